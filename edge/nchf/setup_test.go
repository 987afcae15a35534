package nchf

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"tandem/edge/credit"
)

// ledger is a small charger: it grants what is asked for, or 1 GiB, keeps the answer of every (session, number), and counts use once.
type ledger struct {
	mu     sync.Mutex
	used   map[string]uint64 // octets by session
	told   map[string]told
	calls  []credit.Kind
	twice  int
	hold   chan struct{} // if set, answers wait for it
	before func(*credit.Call) bool
}

type told struct {
	digest uint64
	answer credit.Result
}

func newLedger() *ledger { return &ledger{used: map[string]uint64{}, told: map[string]told{}} }

func (l *ledger) Charge(call *credit.Call) {
	go func() {
		if l.hold != nil {
			<-l.hold
		}
		l.decide(call)
		call.Done(call)
	}()
}

func (l *ledger) decide(call *credit.Call) {
	l.mu.Lock()
	defer l.mu.Unlock()
	q, a := &call.Request, &call.Answer
	if l.before != nil && !l.before(call) {
		return
	}
	key := string(q.Session) + "/" + string(rune(q.Number))
	if !q.Numbered {
		key = string(q.Session) + "#" + string(rune(q.Digest%1e6))
	}
	l.calls = append(l.calls, q.Kind)
	seen, again := l.told[key]
	if again {
		l.twice++
		if seen.digest != q.Digest {
			a.Result = credit.Clash
			return
		}
	}
	if _, open := l.used[string(q.Session)]; !open && (q.Kind == credit.Update || q.Kind == credit.Terminate) {
		a.Result = credit.UnknownSession
		return
	}
	l.told[key] = told{digest: q.Digest}
	for i := range q.Units {
		u := &q.Units[i]
		for j := range u.Used {
			if n, ok := u.Used[j].Octets(); ok && !again {
				l.used[string(q.Session)] += n
			}
		}
		grant(a, u)
	}
	if !again {
		l.used[string(q.Session)] += 0
	}
}

func grant(a *credit.Answer, u *credit.Unit) {
	g := a.AddUnit(u)
	if !u.Asked {
		return
	}
	g.Grant = u.Want
	if u.Want.Has == 0 {
		g.Grant = credit.Units{Has: credit.HasTotal, Total: 1 << 30}
	}
	g.Validity = 3600
	g.Threshold = credit.Units{Has: credit.HasTotal, Total: 1 << 20}
}

func (l *ledger) sum(session string) uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.used[session]
}

// null answers at once, on the reader.
type null struct{}

func (null) Charge(call *credit.Call) {
	for i := range call.Request.Units {
		grant(&call.Answer, &call.Request.Units[i])
	}
	call.Done(call)
}

var testKey = []byte("0123456789abcdef0123456789abcdef")

// house is a server on the loopback.
type house struct {
	*Server
	t    testing.TB
	addr string
}

func serve(t testing.TB, cfg Config, charger credit.Charger) *house {
	t.Helper()
	if cfg.Key == nil {
		cfg.Key = testKey
	}
	s, err := New(cfg, charger)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := s.Close(ctx); err != nil {
			t.Errorf("close: %v", err)
		}
		if err := <-ended; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return &house{s, t, l.Addr().String()}
}

func (h *house) dial(cfg ClientConfig) *Client {
	h.t.Helper()
	cfg.Consumer = orElse(cfg.Consumer, "8fe1f0a1-1d5c-4bd9-9d0e-6b2a3f7a9c01")
	c, err := Dial(context.Background(), h.addr, cfg)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		c.Close(ctx)
	})
	return c
}

// h2 is a net/http client that speaks h2c with prior knowledge, and nothing else.
func h2(t testing.TB) *http.Client {
	p := new(http.Protocols)
	p.SetUnencryptedHTTP2(true)
	tr := &http.Transport{Protocols: p}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: 10 * time.Second}
}

// answered is what came back.
type answered struct {
	status int
	header http.Header
	body   string
}

func post(t testing.TB, c *http.Client, url, body string) answered {
	t.Helper()
	return ask(t, c, "POST", url, body)
}

func ask(t testing.TB, c *http.Client, method, url, body string) answered {
	t.Helper()
	r, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	a, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close()
	b, err := io.ReadAll(a.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answered{a.StatusCode, a.Header, string(b)}
}

const head = `"nfConsumerIdentification":{"nFName":"8fe1f0a1-1d5c-4bd9-9d0e-6b2a3f7a9c01","nodeFunctionality":"SMF"},` +
	`"invocationTimeStamp":"2026-03-01T10:00:00.25Z","invocationSequenceNumber":`

const createBody = `{` + head + `1,"subscriberIdentifier":"imsi-001010000000001","notifyUri":"http://smf.example/cb",` +
	`"multipleUnitUsage":[{"ratingGroup":100,"requestedUnit":{"totalVolume":9007199254740993}}],` +
	`"pDUSessionChargingInformation":{"chargingId":77,"userInformation":{"servedGPSI":"msisdn-491700000001","servedPEI":"imeisv-3550000000000011"},` +
	`"userLocationinfo":{"nrLocation":{"tai":{"plmnId":{"mcc":"001","mnc":"01"},"tac":"000001"}}},"uetimeZone":"+02:00+1",` +
	`"pduSessionInformation":{"pduSessionID":5,"dnnId":"internet","ratType":"NR","startTime":"2026-03-01T10:00:00Z",` +
	`"pduAddress":{"pduIPv4Address":"10.1.2.3"}}}}`

const updateBody = `{` + head + `2,"subscriberIdentifier":"imsi-001010000000001","multipleUnitUsage":[{"ratingGroup":100,"requestedUnit":{},` +
	`"usedUnitContainer":[{"localSequenceNumber":1,"serviceId":7,"quotaManagementIndicator":"ONLINE_CHARGING",` +
	`"triggers":[{"triggerType":"QUOTA_THRESHOLD","triggerCategory":"IMMEDIATE_REPORT"}],"triggerTimestamp":"2026-03-01T10:05:00Z",` +
	`"time":300,"totalVolume":18446744073709551615,"uplinkVolume":1000,"downlinkVolume":2000}]}]}`

const releaseBody = `{` + head + `3,"subscriberIdentifier":"imsi-001010000000001"}`
