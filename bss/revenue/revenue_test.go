package revenue_test

import (
	"net/http"
	"testing"
	"time"

	"tandem/bss/billing"
	"tandem/bss/revenue"
	"tandem/kit/store"
	"tandem/kit/tmf/tmftest"
	"tandem/oss/fulfilment"

	"tandem/fact"
)

func TestAProductThatNobodyBillsIsFound(t *testing.T) {
	each(t, func(h *house) {
		h.sell("p1", 40, true)
		h.sell("p2", 40, true)
		h.clock(0)
		h.clean("R2", "R4", "R5")
		h.sell("p3", 40, false)
		h.clock(0)
		h.finds("R2", "notBilled leakage "+worth("19.99", 40)+" p3/notBilled")
		h.clean("R4", "R5")
	})
}

// A finding is one thing through its life: it ages, ends, comes back.
func TestTheLifeOfAFinding(t *testing.T) {
	each(t, func(h *house) {
		h.sell("p1", 40, false)
		h.clock(0)
		r := h.run("R2").Result[0]
		if r.Left != 1 || r.Findings != 1 || r.Opened != 1 || len(r.Leakage) != 1 || r.Leakage[0].Decimal() != worth("19.99", 40) {
			h.Fatalf("first run: %+v", r)
		}
		f := h.list("R2")[0]
		if f.State != revenue.Open || f.FirstRun == "" || f.Correction == nil || f.Correction.State != revenue.Proposed {
			h.Fatalf("found %+v", f)
		}
		h.clock(10)
		if r = h.run("R2").Result[0]; r.Findings != 1 || r.Opened != 0 {
			h.Fatalf("second run: %+v", r)
		}
		h.finds("R2", "notBilled leakage "+worth("19.99", 50)+" p1/notBilled")
		tmftest.Must[revenue.Finding](h.api, mno, "PATCH", base+"finding/"+f.ID, `{"state":"confirmed","owner":"bea","note":"It is so"}`)
		h.begin("p1", now.AddDate(0, 0, -40))
		if r = h.run("R2").Result[0]; r.Findings != 0 || r.Closed != 1 || len(r.Recovered) != 1 || r.Recovered[0].Decimal() != worth("19.99", 50) {
			h.Fatalf("after it was put right: %+v", r)
		}
		if f = h.list("R2")[0]; f.State != revenue.Recovered || f.Owner != "bea" || f.Closed.IsZero() {
			h.Fatalf("ended as %+v", f)
		}
		h.sql("DELETE FROM billing_item WHERE tenant = $1")
		h.sql("DELETE FROM billing_charge WHERE tenant = $1")
		if r = h.run("R2").Result[0]; r.Reopened != 1 || r.Opened != 0 {
			h.Fatalf("it came back: %+v", r)
		}
		if f = h.list("R2")[0]; f.State != revenue.Open || f.Reopened != 1 || !f.Closed.IsZero() {
			h.Fatalf("came back as %+v", f)
		}
		tmftest.Must[revenue.Finding](h.api, mno, "PATCH", base+"finding/"+f.ID, `{"state":"false","note":"A test line"}`)
		h.run("R2")
		if f = h.list("R2")[0]; f.State != revenue.False {
			h.Fatalf("what a person said is forgotten: %+v", f)
		}
	})
}

// What is younger than the patience of a control may be on its way.
func TestWhatIsOnItsWayIsNoFinding(t *testing.T) {
	each(t, func(h *house) {
		h.sell("p1", 0, false)
		h.clock(0)
		if r := h.run("R2").Result[0]; r.Young != 1 || r.Findings != 0 {
			h.Fatalf("at once: %+v", r)
		}
		h.shift.Store(int64(2 * time.Hour))
		h.finds("R2", "notBilled leakage 0.00 p1/notBilled")
	})
}

func TestWhatEndedAndIsBilledOn(t *testing.T) {
	each(t, func(h *house) {
		h.sell("p1", 60, true)
		h.sell("p2", 60, true)
		h.sell("p3", 60, true)
		h.terminate("p1", 30, false)
		h.terminate("p2", 30, true)
		h.clock(0)
		h.finds("R5", "billedAfterEnd overcharge "+worth("19.99", 30)+" p1/billedAfterEnd")
		h.clean("R2", "R4")
		f := h.list("R5")[0]
		tmftest.Must[revenue.Finding](h.api, mno, "PATCH", base+"finding/"+f.ID, `{"correction":{"action":"endBilling","product":"p1","description":"`+f.Correction.Words+`","state":"accepted"}}`)
		h.clean("R5")
		if f = h.list("R5")[0]; f.State != revenue.Recovered || f.Correction.State != revenue.Made {
			h.Errorf("after the correction: %+v %+v", f, f.Correction)
		}
		h.sql("DELETE FROM subscription_product WHERE tenant = $1 AND id = $2", "p3")
		h.finds("R2", "orphan overcharge "+worth("19.99", 60)+" p3/orphan")
	})
}

func TestBillingThatBeganAtAnotherTime(t *testing.T) {
	each(t, func(h *house) {
		h.sell("p1", 60, false)
		h.begin("p1", now.AddDate(0, 0, -50))
		h.sell("p2", 60, false)
		h.begin("p2", now.AddDate(0, 0, -65))
		h.clock(0)
		h.finds("R4", "billingEarly overcharge "+worth("19.99", 5)+" p2/billingEarly", "billingLate leakage "+worth("19.99", 10)+" p1/billingLate")
		h.clean("R2", "R5")
	})
}

// A control that may fix begins billing by itself, but not what began long ago.
func TestAFixIsMadeWithinThePolicy(t *testing.T) {
	each(t, func(h *house) {
		h.sell("p1", 20, false)
		h.sell("p2", 100, false)
		h.clock(0)
		tmftest.Must[revenue.Control](h.api, mno, "PATCH", base+"control/R2", `{"correction":"fix","fixDays":30,"owner":"assurance"}`)
		if r := h.run("R2").Result[0]; r.Findings != 2 || r.Corrected != 1 {
			h.Fatalf("%+v", r)
		}
		h.finds("R2", "notBilled leakage "+worth("19.99", 100)+" p2/notBilled")
		h.read(func(tx *store.Tx) error {
			items, err := billing.ItemsOf(tx, "p1")
			if err == nil && (len(items) != 1 || !items[0].From.Equal(now.AddDate(0, 0, -20))) {
				h.Errorf("p1 is billed as %+v", items)
			}
			return err
		})
	})
}

func TestControlsAreATenantsOwn(t *testing.T) {
	each(t, func(h *house) {
		h.sell("p1", 40, false)
		h.clock(0)
		h.run("R2")
		for _, path := range []string{"finding", "controlRun"} {
			if got := h.api.Do("other", "GET", base+path, nil).List(); len(got) != 0 {
				h.Errorf("another tenant sees %s %v", path, got)
			}
		}
		tmftest.Must[revenue.Control](h.api, mno, "PATCH", base+"control/R2", `{"tolerance":{"unit":"EUR","value":1000},"enabled":false}`)
		if c := tmftest.Must[revenue.Control](h.api, "other", "GET", base+"control/R2", nil); c.Tolerance != nil || c.Enabled != nil {
			h.Errorf("another tenant's control is %+v", c)
		}
		mine := tmftest.Must[revenue.Control](h.api, mno, "GET", base+"control/R2", nil)
		if mine.Tolerance == nil || mine.Enabled == nil || *mine.Enabled {
			h.Errorf("the control is %+v", mine)
		}
		for _, x := range []struct{ path, body, code string }{
			{"control/R2", `{"name":"Mine"}`, ""}, {"control/R2", `{"patience":"soon"}`, "invalidPatience"}, {"control/R2", `{"correction":"guess"}`, ""},
			{"control/R2", `{"tolerance":{"unit":"EUR","value":-1}}`, "invalidTolerance"},
		} {
			if a := h.api.Do(mno, "PATCH", base+x.path, x.body); a.Status/100 != 4 || x.code != "" && a.Object()["code"] != x.code {
				h.Errorf("PATCH %s %s: %d %s", x.path, x.body, a.Status, a.Body)
			}
		}
		if a := h.api.Do(mno, "POST", base+"controlRun", `{"control":[{"id":"R99"}]}`); a.Status != http.StatusBadRequest {
			h.Errorf("an unknown control: %d %s", a.Status, a.Body)
		}
	})
}

func TestOrdersThatWaitForAPerson(t *testing.T) {
	each(t, func(h *house) {
		h.sell("p1", 40, true)
		h.sell("p2", 40, true)
		h.clock(0)
		h.clean("R27")
		h.must(func(tx *store.Tx) error {
			for _, f := range []*fulfilment.Fallout{
				{State: "open", ServiceOrder: "so1", Element: "hlr", Class: "capacity", Cause: "full", Since: now.AddDate(0, 0, -12), External: &fact.External{Order: "o1", Product: "p1"}},
				{State: "open", ServiceOrder: "so1", Element: "hlr", Class: "capacity", Cause: "full", Since: now.AddDate(0, 0, -11), External: &fact.External{Order: "o1", Product: "p1"}},
				{State: "open", ServiceOrder: "so2", Element: "hlr", Class: "capacity", Cause: "full", Since: now.AddDate(0, 0, -3)},
			} {
				f.ID = "task-" + f.ServiceOrder + f.Since.Format("02")
				if err := fulfilment.Fallouts.Create(tx, f); err != nil {
					return err
				}
			}
			return nil
		})
		h.finds("R27", "waitsForPerson leakage - task-so109", "waitsForPerson leakage - task-so217", "waitsForPerson leakage "+worth("19.99", 12)+" task-so108")
		h.must(func(tx *store.Tx) error {
			for _, id := range []string{"task-so108", "task-so109"} {
				if _, err := fulfilment.Fallouts.Edit(tx, id, func(f *fulfilment.Fallout) error { f.State = "resolved"; return nil }); err != nil {
					return err
				}
			}
			return nil
		})
		if r := h.run("R27").Result[0]; r.Closed != 2 || len(r.Prevented) != 1 || r.Prevented[0].Decimal() != "19.99" {
			h.Errorf("%+v", r)
		}
	})
}
