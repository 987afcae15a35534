package e2e_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"tandem/edge/peertest"
	"tandem/kit/store"
)

const (
	fairUnits = 4_000_000 // octets at full speed
	slowRate  = 4_000_000 // bits a second after them
)

// A phone on a real GGSN overruns the fair use of its tariff: policy control is told
// (TS 29.594), has the GGSN's traffic shaped, and lifts that when the customer's boost
// starts the counter anew. The session and the quota go on all the time.
func TestFairUseOverGTP(t *testing.T) {
	t.Parallel()
	for program, pack := range map[string]string{"osmo-ggsn": "osmo-ggsn", "sgsnemu": "osmo-ggsn", "ip": "iproute2", "tc": "iproute2", "mount": "mount"} {
		peertest.Need(t, program, pack)
	}
	for _, engine := range engines {
		t.Run(engine.String(), func(t *testing.T) {
			t.Parallel()
			if apart(t, engine) {
				fairUseOverGTP(t, engine)
			}
		})
	}
}

func fairUseOverGTP(t *testing.T, engine store.Dialect) {
	m := mobileNetwork(t, engine)
	m.offersSurf()
	fair := fmt.Sprintf(`{"tandem:rating": {"fairUse": {"counter": "data", "normal": "full", "units": %d, "status": "slow"}}}`, fairUnits)
	if a := m.as(brand, http.MethodPatch, "/tmf-api/productCatalogManagement/v4/productOfferingPrice/flat-m-data", fair); a.status != http.StatusOK {
		t.Fatal(a)
	}
	line := m.sold("surf-flat")
	policy := m.policyControl()
	body := fmt.Sprintf(`{"supi":"imsi-%s","policyCounterIds":["data"],"notifUri":"%s","notifId":"n-1"}`, char(line, "imsi"), policy.url)
	if _, said := policy.asks(http.MethodPost, "http://"+m.NchfAddr()+"/nchf-spendinglimitcontrol/v1/subscriptions", body, http.StatusCreated); said.Infos["data"].Current != "full" {
		t.Fatalf("at first: %+v", said)
	}
	p := m.attach(char(line, "imsi"))
	before := m.context(p)

	const size = 2_000_000
	full := m.timed(p, size)
	rest := m.begins(p, 2*fairUnits)
	policy.hears("notify", "slow")
	m.shape(slowRate)
	if err := <-rest; err != nil {
		t.Fatal(err)
	}
	slow := m.timed(p, size)
	at := func(took time.Duration) float64 { return size * 8 / took.Seconds() }
	if at(slow) > slowRate*1.1 || at(slow) < slowRate/2 {
		t.Errorf("told to be slow, %d octets went at %.0f bit/s; want %d", size, at(slow), slowRate)
	}

	boost := map[string]any{"product": map[string]any{"id": line.ID}, "limit": "data", "restart": true}
	if a := m.as(brand, http.MethodPost, "/tandem-api/charging/v1/limitChange", boost); a.status != http.StatusCreated {
		t.Fatal(a)
	}
	policy.hears("notify", "full")
	m.shape(0)
	again := m.timed(p, size)
	if at(again) < 2*slowRate {
		t.Errorf("the boost lifted it, and %d octets went at %.0f bit/s", size, at(again))
	}
	t.Logf("%s: %.0f bit/s at first, %.0f when slow, %.0f with the boost", engine, at(full), at(slow), at(again))
	if now := m.context(p); now != before {
		t.Errorf("the GTP session is not the one it was:\n%s\nbefore:\n%s", now, before)
	}
	m.detaches(p)
	m.addsUp()
}

// timed downloads so many octets and says how long that took.
func (m *gtp) timed(p *phone, n int) time.Duration {
	m.t.Helper()
	began := time.Now()
	m.downloads(p, n)
	return time.Since(began)
}

// shape limits what the GGSN sends to phones, in bits a second; 0 lifts that.
func (m *gtp) shape(rate int) {
	m.t.Helper()
	if rate == 0 {
		run(m.t, "tc", "-n", "ggsn", "qdisc", "del", "dev", "tun4", "root")
		return
	}
	run(m.t, "tc", "-n", "ggsn", "qdisc", "replace", "dev", "tun4", "root", "tbf", "rate", fmt.Sprintf("%dbit", rate), "burst", "16kb", "latency", "200ms")
}
