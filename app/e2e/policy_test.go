package e2e_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"tandem/app"
	"tandem/app/mobile"
	"tandem/edge/credit"
	"tandem/edge/hlr/hlrtest"
	"tandem/kit/store"
)

// pcf is the policy control of a 5G core: it subscribes to counters and is notified, by
// HTTP/2 without TLS.
type pcf struct {
	*operator
	client *http.Client
	url    string
	heard  chan spent
	deaf   atomic.Bool // it answers 503
	tries  atomic.Int64
}

// spent is a SpendingLimitStatus, or a SubscriptionTerminationInfo (TS 29.594 6.1.6.2).
type spent struct {
	Path     string `json:"-"`
	SUPI     string `json:"supi"`
	NotifyID string `json:"notifId"`
	Cause    string `json:"termCause"`
	Infos    map[string]struct {
		Current string `json:"currentStatus"`
		Pending []struct {
			Status string    `json:"policyCounterStatus"`
			At     time.Time `json:"activationTime"`
		} `json:"penPolCounterStatuses"`
	} `json:"statusInfos"`
}

func (o *operator) policyControl() *pcf {
	o.t.Helper()
	clear := new(http.Protocols)
	clear.SetUnencryptedHTTP2(true)
	p := &pcf{operator: o, heard: make(chan spent, 100), client: &http.Client{Transport: &http.Transport{Protocols: clear}, Timeout: patience}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		o.t.Fatal(err)
	}
	s := &http.Server{Protocols: clear, Handler: http.HandlerFunc(p.hear)}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(l) }()
	o.t.Cleanup(func() {
		p.client.CloseIdleConnections()
		if err := s.Close(); err != nil {
			o.t.Error(err)
		}
		<-ended
	})
	p.url = "http://" + l.Addr().String() + "/n28"
	return p
}

func (p *pcf) hear(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	said := spent{Path: strings.TrimPrefix(r.URL.Path, "/n28/")}
	p.tries.Add(1)
	switch {
	case err != nil || json.Unmarshal(body, &said) != nil || r.ProtoMajor != 2:
		w.WriteHeader(http.StatusBadRequest)
	case p.deaf.Load():
		w.WriteHeader(http.StatusServiceUnavailable)
	default:
		p.heard <- said
		w.WriteHeader(http.StatusNoContent)
	}
}

// asks sends a request to the charging function.
func (p *pcf) asks(method, url, body string, want int) (location string, said spent) {
	p.t.Helper()
	r, err := http.NewRequestWithContext(p.t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	a, err := p.client.Do(r)
	if err != nil {
		p.t.Fatal(err)
	}
	defer a.Body.Close()
	doc, err := io.ReadAll(a.Body)
	if err != nil || a.StatusCode != want || a.ProtoMajor != 2 {
		p.t.Fatalf("%s %s: %s %d %s, %v", method, url, a.Proto, a.StatusCode, doc, err)
	}
	if len(doc) > 0 {
		if err := json.Unmarshal(doc, &said); err != nil {
			p.t.Fatal(err)
		}
	}
	return a.Header.Get("Location"), said
}

// hears waits for what the charging function tells next.
func (p *pcf) hears(path, status string) spent {
	p.t.Helper()
	select {
	case said := <-p.heard:
		if said.Path != path || said.Infos["data"].Current != status || said.NotifyID != "n-1" {
			p.t.Fatalf("heard %+v, not %s %s", said, path, status)
		}
		return said
	case <-time.After(patience):
		p.t.Fatalf("nothing was heard of %s %s", path, status)
	}
	return spent{}
}

// A subscriber overruns the fair use of his tariff: the PCF that has subscribed is told
// once, also when it was deaf at first, knows when the status ends, and hears of the new
// period and of the subscriber's end.
func TestFairUseReachesPolicyControl(t *testing.T) {
	t.Parallel()
	for _, engine := range engines {
		t.Run(engine.String(), func(t *testing.T) {
			t.Parallel()
			fairUse(t, engine)
		})
	}
}

func fairUse(t *testing.T, engine store.Dialect) {
	var ahead atomic.Int64
	now := func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	e := hlrtest.Start(t)
	c := config(t, engine)
	c.Clock = now
	c.Faces = app.Faces{Nchf: &app.NchfFace{Listen: "127.0.0.1:0"}}
	o := start(t, c, e)
	o.seed(e.CTRL(), e.VTY(), stock)
	fair := map[string]any{"tandem:rating": map[string]any{"fairUse": map[string]any{"counter": "data", "normal": "full", "units": 20 << 20, "status": "slow"}}}
	if a := o.as(brand, http.MethodPatch, "/tmf-api/productCatalogManagement/v4/productOfferingPrice/flat-m-data", fair); a.status != http.StatusOK {
		t.Fatal(a)
	}
	line := o.sold(mobile.FlatM)
	p := o.policyControl()
	base := "http://" + o.NchfAddr() + "/nchf-spendinglimitcontrol/v1/subscriptions"
	supi := fmt.Sprintf("imsi-%d", o.count("SELECT CAST(imsi AS BIGINT) FROM charging_line WHERE tenant = $1 AND product = $2", brand, line.ID))
	body := `{"supi":"` + supi + `","gpsi":"msisdn-` + strings.TrimPrefix(char(line, "msisdn"), "+") + `","policyCounterIds":["data"],"notifUri":"` + p.url + `","notifId":"n-1"}`
	p.asks(http.MethodPost, base, strings.Replace(body, `["data"]`, `["data","voice"]`, 1), http.StatusBadRequest)
	p.asks(http.MethodPost, base, strings.Replace(body, "imsi-", "imsi-9", 1), http.StatusBadRequest)
	location, said := p.asks(http.MethodPost, base, body, http.StatusCreated)
	if s := said.Infos["data"]; s.Current != "full" || len(s.Pending) > 0 {
		t.Fatalf("at first: %+v", said)
	}

	p.deaf.Store(true)
	o.downloads("first", o.core5G(), char(line, "msisdn"))
	o.await("the PCF to be tried twice", func() bool { return p.tries.Load() >= 2 })
	p.deaf.Store(false)
	s := p.hears("notify", "slow").Infos["data"]
	if len(s.Pending) != 1 || s.Pending[0].Status != "full" || !s.Pending[0].At.After(now()) {
		t.Fatalf("what is ahead: %+v", s)
	}
	o.downloads("second", o.core5G(), char(line, "msisdn")) // no other status: nothing is told

	ahead.Add(int64(s.Pending[0].At.Sub(now()) + time.Minute)) // the new period
	p.hears("notify", "full")
	o.downloads("third", o.core5G(), char(line, "msisdn"))
	p.hears("notify", "slow")
	if _, said = p.asks(http.MethodPut, location, body, http.StatusOK); said.Infos["data"].Current != "slow" {
		t.Errorf("subscribed anew: %+v", said)
	}

	gone, _ := p.asks(http.MethodPost, base, body, http.StatusCreated)
	p.asks(http.MethodDelete, gone, "", http.StatusNoContent)
	o.through(end(line.ID))
	if said := p.hears("terminate", ""); said.Cause != "REMOVED_SUBSCRIBER" || said.SUPI != supi {
		t.Errorf("at the end: %+v", said)
	}
	p.asks(http.MethodDelete, location, "", http.StatusNotFound)
	if n := len(p.heard); n > 0 {
		t.Errorf("%d more were told", n)
	}
	if n := o.count("SELECT count(*) FROM charging_policy_subscription"); n != 0 {
		t.Errorf("%d subscriptions are left", n)
	}
}

// Who has no money left is slowed down where the catalogue says so: the gateway is given
// the name of a filter it has and a rule, over Gy and over Nchf, and the session lives on.
func TestNothingLeftSlowsTheLineDown(t *testing.T) {
	t.Parallel()
	for _, engine := range engines {
		t.Run(engine.String(), func(t *testing.T) {
			t.Parallel()
			o, g := online(t, engine)
			const rule = "permit out ip from 192.0.2.0/24 to any"
			slow := map[string]any{"tandem:rating": map[string]any{"grant": map[string]any{"final": map[string]any{"action": "restrict", "address": nil, "filters": []string{"slow-64k", rule}}}}}
			if a := o.as(brand, http.MethodPatch, "/tmf-api/productCatalogManagement/v4/productOfferingPrice/mobile-data", slow); a.status != http.StatusOK {
				t.Fatal(a)
			}
			p := o.sold(mobile.Prepaid)
			for face, client := range map[string]credit.Charger{"Gy": g, "Nchf": o.core5G()} {
				s := &session{o: o, g: client, name: gateway + ";slow;" + face, msisdn: char(p, "msisdn")}
				res, u := s.says(credit.Initial, 10, 0)
				slices.Sort(u.Final.Filters)
				if res != credit.Success || u.Result != credit.Success || u.Final.Action != credit.FinalRestrict || !slices.Equal(u.Final.Filters, []string{rule, "slow-64k"}) {
					t.Errorf("%s: %v, %+v", face, res, u)
				}
				if res, u = s.says(credit.Update, 10, 0); res != credit.Success || u.Final.Action != credit.FinalRestrict {
					t.Errorf("%s: the session does not live on: %v, %+v", face, res, u)
				}
				s.says(credit.Terminate, 10, 0)
			}
		})
	}
}
