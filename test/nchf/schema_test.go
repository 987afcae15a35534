package nchf_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"

	"tandem/edge/credit"
	"tandem/edge/nchf"
)

// judge is a set of schemas of 3GPP's files, which lie in the folder NCHF_SPECS.
type judge struct{ doc *openapi3.T }

func newJudge(t *testing.T, file string) judge {
	t.Helper()
	dir := os.Getenv("NCHF_SPECS")
	if dir == "" {
		t.Skip("NCHF_SPECS does not name the folder of 3GPP's OpenAPI files")
	}
	l := openapi3.NewLoader()
	l.IsExternalRefsAllowed = true
	doc, err := l.LoadFromFile(filepath.Join(dir, file))
	if err != nil {
		t.Fatal(err)
	}
	return judge{doc}
}

// check validates a body; every attribute must be one that the schema has.
func (j judge) check(t *testing.T, schema string, body []byte) {
	t.Helper()
	ref := j.doc.Components.Schemas[schema]
	if ref == nil {
		t.Fatalf("there is no schema %s", schema)
	}
	var v any
	if err := json.Unmarshal(body, &v); err != nil {
		t.Errorf("%s: %v in %s", schema, err, body)
		return
	}
	if err := ref.Value.VisitJSON(v, openapi3.MultiErrors(), openapi3.EnableFormatValidation()); err != nil {
		t.Errorf("%s: %v\nin %s", schema, err, body)
	}
	if o, ok := v.(map[string]any); ok && len(ref.Value.Properties) > 0 {
		for name := range o {
			if ref.Value.Properties[name] == nil {
				t.Errorf("%s has no attribute %s", schema, name)
			}
		}
	}
}

// problem validates problem details.
func (j judge) problem(t *testing.T, body []byte) {
	t.Helper()
	for _, schema := range j.doc.Components.Schemas {
		if p := schema.Value.Properties["error"]; p != nil {
			var v any
			if err := json.Unmarshal(body, &v); err != nil {
				t.Fatal(err)
			}
			if err := p.Value.VisitJSON(v, openapi3.MultiErrors()); err != nil {
				t.Errorf("ProblemDetails: %v\nin %s", err, body)
			}
			return
		}
	}
	t.Fatal("no schema of problem details is found")
}

// between records what goes to a handler and comes back.
type between struct {
	mu   sync.Mutex
	seen []exchange
}

type exchange struct {
	path, ctype   string
	status        int
	asked, answer []byte
}

func (b *between) wrap(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(asked))
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, r)
		b.mu.Lock()
		b.seen = append(b.seen, exchange{r.URL.Path, rec.Header().Get("Content-Type"), rec.Code, asked, rec.Body.Bytes()})
		b.mu.Unlock()
		for k, v := range rec.Header() {
			w.Header()[k] = v
		}
		w.WriteHeader(rec.Code)
		w.Write(rec.Body.Bytes())
	})
}

// listen serves a handler by h2c.
func listen(t *testing.T, h http.Handler) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := new(http.Protocols)
	p.SetUnencryptedHTTP2(true)
	s := &http.Server{Handler: h, Protocols: p}
	go s.Serve(l)
	t.Cleanup(func() { s.Close() })
	return l.Addr().String()
}

// everything is an answer with all that an answer may have.
func everything(call *credit.Call) {
	a := &call.Answer
	if call.Request.Kind == credit.Event && string(call.Request.Item) == "refused" {
		a.Result, a.Reason = credit.Result(call.Request.Number), "as asked"
		return
	}
	a.Failover, a.Failure = true, credit.FailRetry
	a.Units = append(a.Units,
		credit.Granted{HasGroup: true, Group: 1<<32 - 1, Grant: credit.Units{Has: 0x1f, Seconds: 1, Total: 1<<63 - 1, Input: 2, Output: 3, Events: 4},
			Threshold: credit.Units{Has: 0x1f, Seconds: 1, Total: 1 << 40, Events: 1}, Validity: 60, Holding: 0, HasHolding: true,
			Change: 1_790_000_000_123_456, Arm: true, Triggers: []uint32{2, 3, 4, 5, 30, 35, 36, 61, 73, 999}},
		credit.Granted{HasGroup: true, Group: 2, Result: credit.LimitReached, Final: credit.FinalUnit{Action: credit.FinalRedirect, Type: credit.IPv6, Address: "2001:db8::1"}},
		credit.Granted{HasGroup: true, Group: 3, Final: credit.FinalUnit{Action: credit.FinalRestrict, Filters: []string{"permit in ip from any to any", "x"}}},
		credit.Granted{HasGroup: true, Group: 4, Arm: true, Final: credit.FinalUnit{Action: credit.FinalTerminate}})
	for r := credit.Success; r <= credit.Clash; r++ {
		a.Units = append(a.Units, credit.Granted{HasGroup: true, Group: 10 + uint32(r), Result: r})
	}
}

func TestBodiesOfChargingFollowTheSchema(t *testing.T) {
	j := newJudge(t, "TS32291_Nchf_ConvergedCharging.yaml")
	c := newCore()
	c.answer = everything
	s, _ := serve(t, nchf.Config{}, c)
	var b between
	client, err := nchf.Dial(t.Context(), listen(t, b.wrap(s.Handler())), nchf.ClientConfig{Consumer: "8fe1f0a1-1d5c-4bd9-9d0e-6b2a3f7a9c01", Notify: "http://smf.example/cb"})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close(t.Context())
	for _, service := range []credit.Service{credit.Data, credit.Voice, credit.SMS, credit.Content} {
		for n, kind := range []credit.Kind{credit.Initial, credit.Update, credit.Terminate, credit.Event} {
			credit.Do(client, request(service, kind, uint32(n)))
		}
	}
	for r := credit.Denied; r <= credit.Clash; r++ {
		call := request(credit.Content, credit.Event, uint32(r))
		call.Request.Item = []byte("refused")
		credit.Do(client, call)
		if call.Answer.Result == credit.Success {
			t.Errorf("%v comes back as success", r)
		}
	}
	if len(b.seen) != 16+int(credit.Clash) {
		t.Errorf("%d exchanges are seen", len(b.seen))
	}
	for _, x := range b.seen {
		j.check(t, "ChargingDataRequest", x.asked)
		switch {
		case x.status == 204:
			if len(x.answer) > 0 {
				t.Errorf("204 with %s", x.answer)
			}
		case x.status < 300:
			j.check(t, "ChargingDataResponse", x.answer)
		case x.ctype != "application/problem+json":
			t.Errorf("%d is %s", x.status, x.ctype)
		default:
			j.problem(t, x.answer)
		}
	}
}

func request(service credit.Service, kind credit.Kind, n uint32) *credit.Call {
	call := new(credit.Call)
	q := &call.Request
	q.Service, q.Kind, q.Number, q.At, q.Session = service, kind, n, 1_790_000_000_123_456, []byte("name")
	q.Retransmitted, q.Calling, q.Called, q.Access, q.Item = true, []byte("491700000001"), []byte("491700000002"), []byte("internet"), []byte("api")
	q.RAT, q.PLMN, q.Zone, q.HasZone, q.Address, q.Device = 51, 262003, -90, true, []byte{10, 0, 0, 1}, []byte("3550000000000011")
	q.Subscribers = []credit.Subscriber{{Type: credit.IMSI, ID: []byte("262030000000001")}, {Type: credit.E164, ID: []byte("491700000001")}}
	for quota := credit.Online; quota <= credit.Suspended; quota++ {
		u := q.AddUnit()
		u.HasGroup, u.Group, u.Asked, u.Services = true, 1<<32-1, true, []uint32{7}
		u.Want = credit.Units{Has: credit.HasTotal | credit.HasSeconds, Total: 1<<63 - 1, Seconds: 9}
		for r := credit.NoReason; r <= credit.UnusedTimer; r++ {
			u.Triggers = []uint32{30, 4}
			u.Used = append(u.Used, credit.Used{Units: credit.Units{Has: 0x1f, Total: 1<<63 - 1}, Seq: uint32(r), Reason: r, Quota: quota, At: q.At})
		}
	}
	return call
}

func TestNotificationsFollowTheSchema(t *testing.T) {
	j := newJudge(t, "TS32291_Nchf_ConvergedCharging.yaml")
	s, _ := serve(t, nchf.Config{}, newCore())
	var b between
	back := []byte("http://" + listen(t, b.wrap(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }))))
	var under sync.WaitGroup
	for _, groups := range [][]uint32{nil, {1, 1<<32 - 1}} {
		under.Add(2)
		s.Reauthorise(nil, []byte("s"), back, groups, func(credit.Outcome) { under.Done() })
		s.Abort(nil, []byte("s"), back, credit.Fraud, func(credit.Outcome) { under.Done() })
	}
	under.Wait()
	for _, x := range b.seen {
		j.check(t, "ChargingNotifyRequest", x.asked)
	}
	if len(b.seen) != 4 {
		t.Errorf("%d notifications", len(b.seen))
	}
}

// shelf keeps subscriptions as long as the test lasts.
type shelf struct{ sync.Map }

func (s *shelf) Save(_ context.Context, sub nchf.Subscription, _ map[string]nchf.Status) error {
	s.Store(sub.ID, sub)
	return nil
}

func (s *shelf) Load(_ context.Context, id string) (nchf.Subscription, error) {
	v, ok := s.Map.Load(id)
	if !ok {
		return nchf.Subscription{}, os.ErrNotExist
	}
	return v.(nchf.Subscription), nil
}

func (s *shelf) Delete(_ context.Context, id string) error {
	s.Map.Delete(id)
	return nil
}

// one is a policy with one counter.
type one struct{}

func (one) Statuses(_ context.Context, _ []credit.Subscriber, ids []string) (map[string]nchf.Status, []string, error) {
	if len(ids) > 1 {
		return nil, ids[1:], nil
	}
	return map[string]nchf.Status{"data": {Current: "valid", Pending: []nchf.Pending{{Status: "over", At: time.Unix(1790000000, 0)}}}}, nil, nil
}

func TestBodiesOfSpendingLimitsFollowTheSchema(t *testing.T) {
	j := newJudge(t, "TS29594_Nchf_SpendingLimitControl.yaml")
	s, addr := serve(t, nchf.Config{Spending: &nchf.Spending{Policy: one{}, Subscriptions: new(shelf)}}, newCore())
	var b between
	back := "http://" + listen(t, b.wrap(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) })))
	p := new(http.Protocols)
	p.SetUnencryptedHTTP2(true)
	c := &http.Client{Transport: &http.Transport{Protocols: p}, Timeout: 10 * time.Second}
	base := "http://" + addr + "/nchf-spendinglimitcontrol/v1/subscriptions"
	send := func(method, url, body string, want int) (string, []byte) {
		t.Helper()
		r, _ := http.NewRequest(method, url, strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		a, err := c.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer a.Body.Close()
		answer, _ := io.ReadAll(a.Body)
		if a.StatusCode != want {
			t.Fatalf("%s %s: %d %s", method, url, a.StatusCode, answer)
		}
		return a.Header.Get("Location"), answer
	}
	body := `{"supi":"imsi-262030000000001","gpsi":"msisdn-491700000001","policyCounterIds":["data"],"notifUri":"` + back + `","expiry":"2027-01-01T00:00:00Z","supportedFeatures":"1","notifId":"n"}`
	j.check(t, "SpendingLimitContext", []byte(body))
	location, answer := send("POST", base, body, 201)
	j.check(t, "SpendingLimitStatus", answer)
	if u, err := url.Parse(location); err != nil || !u.IsAbs() {
		t.Errorf("Location %q", location)
	}
	_, answer = send("PUT", location, body, 200)
	j.check(t, "SpendingLimitStatus", answer)
	_, answer = send("POST", base, strings.Replace(body, `["data"]`, `["data","x"]`, 1), 400)
	newJudge(t, "TS32291_Nchf_ConvergedCharging.yaml").problem(t, answer)
	sub := nchf.Subscription{ID: "x", SUPI: "imsi-262030000000001", Notify: back, NotifyID: "n"}
	s.Changed(t.Context(), sub, map[string]nchf.Status{"data": {Current: "over"}})
	s.Ended(t.Context(), sub, nchf.Removed)
	send("DELETE", location, "", 204)
	for _, x := range b.seen {
		schema := map[string]string{"/notify": "SpendingLimitStatus", "/terminate": "SubscriptionTerminationInfo"}[x.path]
		j.check(t, schema, x.asked)
	}
	if len(b.seen) != 2 {
		t.Errorf("%d notifications", len(b.seen))
	}
}
