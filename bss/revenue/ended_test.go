package revenue_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"tandem/bss/revenue"
	"tandem/kit/store"
	"tandem/kit/tmf/tmftest"
)

// ends runs a control and says what its findings became: how many ended, and what was
// recovered.
func (h *house) ends(control string) string {
	h.Helper()
	r := h.run(control).Result[0]
	out := fmt.Sprint(r.Closed, " ended")
	for _, m := range r.Recovered {
		out += ", recovered " + m.Decimal()
	}
	return out
}

// state is what became of the finding of a control with a key.
func (h *house) state(control, key string) string {
	h.Helper()
	for _, f := range h.list(control) {
		if f.Key == key {
			return f.State
		}
	}
	return ""
}

// Money is recovered only where something shows it: that a finding is not there any more
// does not.
func TestNothingIsRecoveredThatWasNotMadeGood(t *testing.T) {
	each(t, func(h *house) {
		h.sell("p1", 90, false)
		h.sell("p2", 90, false)
		h.clock(0)
		h.run("R2")
		h.terminate("p1", 0, false)
		h.begin("p2", now.AddDate(0, 0, -90))
		if got := h.ends("R2"); got != "2 ended, recovered "+worth("19.99", 90) {
			h.Errorf("one customer left, and one is billed from the start: %s", got)
		}
		if got := h.state("R2", "p1/notBilled") + " " + h.state("R2", "p2/notBilled"); got != "prevented recovered" {
			h.Errorf("they are %s", got)
		}
		h.sql("INSERT INTO charging_account (tenant, id, customer, billing_account, mode, currency, opened_at) VALUES ($1, 'w', 'ada', '', 1, 'EUR', 1)")
		h.use("call-1", 0, 1, 3e8)
		h.use("call-1", 0, 1, 3e8)
		h.finds("R10", "chargedTwice overcharge 0.30 ada/call-1")
		h.sql("DELETE FROM charging_usage WHERE tenant = $1 AND session = 'call-1'") // as if it were not among the newest any more
		if got := h.ends("R10"); got != "0 ended" {
			h.Errorf("usage that is not looked at any more: %s", got)
		}
		for sequence, number := range map[int64]int64{1: 4, 2: 4, 6: 4} {
			h.file(number, sequence)
		}
		h.finds("R8", "fileGap leakage 12.00 msc1/3")
		h.file(4, 3)
		if got := h.ends("R8"); got != "1 ended, recovered 4.00" {
			h.Errorf("one of three files came: %s", got)
		}
		h.finds("R8", "fileGap leakage 8.00 msc1/4")
		at := store.Micros(now.AddDate(0, 0, -3))
		for record := range int64(3) {
			h.sql(`INSERT INTO charging_case (tenant, source, session, record_number, part, reason, first_reason, state, doc, attempts, file, at, changed_at)
				VALUES ($1, 'msc1', 's', $2, 0, 'unknownSubscriber', 'unknownSubscriber', 'open', '{}', 0, 1, $3, $3)`, record, at)
		}
		h.finds("R12", "inSuspense leakage 1.20 msc1/unknownSubscriber")
		h.sql("UPDATE charging_case SET state = CASE WHEN record_number = 0 THEN 'writtenOff' ELSE 'charged' END, changed_at = $2 WHERE tenant = $1", store.Micros(now.Add(time.Hour)))
		if got := h.ends("R12"); got != "1 ended, recovered 0.80" {
			h.Errorf("two of three records were charged: %s", got)
		}
	})
}

// One session in several parts is one finding of all of them.
func TestAllThatASessionWasChargedTwice(t *testing.T) {
	each(t, func(h *house) {
		h.sql("INSERT INTO charging_account (tenant, id, customer, billing_account, mode, currency, opened_at) VALUES ($1, 'w', 'ada', '', 1, 'EUR', 1)")
		for range 2 {
			h.use("call-1", 0, 1, 3e8)
		}
		h.sql("UPDATE charging_usage SET part = 1 WHERE tenant = $1 AND session = 'call-1'")
		for range 3 {
			h.use("call-1", 0, 1, 2e8)
		}
		h.finds("R10", "chargedTwice overcharge 0.70 ada/call-1")
	})
}

// What a person has called false costs nothing, and is not put right.
func TestWhatIsCalledFalseIsNotCounted(t *testing.T) {
	each(t, func(h *house) {
		h.sell("p1", 20, false)
		h.clock(0)
		h.run("R2")
		tmftest.Must[revenue.Finding](h.api, mno, "PATCH", base+"finding/"+h.list("R2")[0].ID, `{"state":"false"}`)
		tmftest.Must[revenue.Control](h.api, mno, "PATCH", base+"control/R2", `{"correction":"fix"}`)
		if r := h.run("R2").Result[0]; r.Findings != 0 || len(r.Leakage) != 0 || r.Corrected != 0 || r.Closed != 0 {
			h.Errorf("%+v", r)
		}
	})
}

// drifting is a network of elements with differences.
type drifting func() []revenue.Drift

func (d drifting) Drifts(_ context.Context, _ string, found func(revenue.Drift) error) (int64, int64, []string, error) {
	all := d()
	for _, x := range all {
		if err := found(x); err != nil {
			return 0, 0, nil, err
		}
	}
	return int64(len(all)), 0, nil, nil
}

// What nobody knows the beginning of is young until it was seen for as long as the
// control is patient, without a break.
func TestThePatienceOfWhatHasNoBeginning(t *testing.T) {
	each(t, func(h *house) {
		all := []revenue.Drift{{Class: revenue.Stranger, Element: "hlr", Key: "1"}}
		h.doors.Network = drifting(func() []revenue.Drift { return all })
		look := func(after time.Duration, young, findings int64) {
			h.Helper()
			h.shift.Store(int64(after))
			if r := h.run("R1").Result[0]; r.Young != young || r.Findings != findings {
				h.Errorf("after %s: %d young, %d findings, not %d and %d", after, r.Young, r.Findings, young, findings)
			}
		}
		look(0, 1, 0)
		look(30*time.Minute, 1, 0)
		all = nil
		look(40*time.Minute, 0, 0)
		all = []revenue.Drift{{Class: revenue.Stranger, Element: "hlr", Key: "1"}}
		look(70*time.Minute, 1, 0) // it was away
		look(140*time.Minute, 0, 1)
		if f := h.list("R1")[0]; f.Since.Sub(now) < 70*time.Minute || f.Since.Sub(now) > 80*time.Minute {
			h.Errorf("it is there since %s", f.Since)
		}
		h.sql("INSERT INTO charging_account (tenant, id, customer, billing_account, mode, currency, opened_at) VALUES ($1, 'w', 'ada', '', 1, 'EUR', 1)")
		h.file(4, 1)
		h.file(4, 3)
		h.sql("UPDATE charging_file SET seen_at = $2 WHERE tenant = $1 AND sequence = 3", store.Micros(now.Add(100*time.Minute)))
		if r := h.run("R8").Result[0]; r.Young != 1 || r.Findings != 0 {
			h.Errorf("a file behind a gap came 40 minutes ago: %+v", r)
		}
		look(170*time.Minute, 0, 1)
		h.finds("R8", "fileGap leakage 4.00 msc1/2")
	})
}

// A control ends nothing that was seen since it began: another run may have found it.
func TestWhatAnotherRunHasSeenDoesNotEnd(t *testing.T) {
	each(t, func(h *house) {
		tmftest.Must[revenue.Control](h.api, mno, "PATCH", base+"control/R1", `{"patience":"PT0S"}`)
		all := []revenue.Drift{{Class: revenue.Stranger, Element: "hlr", Key: "1"}}
		h.doors.Network = drifting(func() []revenue.Drift { return all })
		h.run("R1")
		h.doors.Network = drifting(func() []revenue.Drift {
			h.sql("UPDATE revenue_finding SET a_last_control_run = 'another', a_last_seen_date = $2 WHERE tenant = $1", store.Micros(now.Add(time.Hour)))
			return nil
		})
		if got := h.ends("R1"); got != "0 ended" {
			h.Errorf("seen by another run meanwhile: %s", got)
		}
		h.doors.Network = drifting(func() []revenue.Drift { return nil })
		h.clock(1)
		if got := h.ends("R1"); got != "1 ended" {
			h.Errorf("seen by nobody any more: %s", got)
		}
	})
}
