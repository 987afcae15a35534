package revenue_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"tandem/bss/billing"
	"tandem/bss/revenue"
	"tandem/kit/store"
	"tandem/kit/tmf"
	"tandem/kit/tmf/tmftest"
)

// bill makes, approves and posts the bills that are due.
func (h *house) bill() {
	h.Helper()
	r := &billing.BillRun{}
	if err := h.as(mno, "user:ann", func(tx *store.Tx) error { return billing.BillRuns.OnPost(tx, r) }); err != nil {
		h.Fatal(err)
	}
	for _, state := range []string{billing.RunReady, billing.RunApproved, billing.RunPosted} {
		if state != billing.RunReady {
			if err := h.as(mno, "user:bob", func(tx *store.Tx) error { return moveRun(tx, r.ID, state) }); err != nil {
				h.Fatal(err)
			}
		}
		r = h.settled(r.ID)
	}
	if r.State != billing.RunPosted || r.Progress.Done == 0 {
		h.Fatalf("the bill run came to %+v", r)
	}
}

func moveRun(tx *store.Tx, id, state string) error {
	old, err := billing.BillRuns.Lock(tx, id)
	if err != nil {
		return err
	}
	r, err := billing.BillRuns.Copy(old)
	if err != nil {
		return err
	}
	r.State = state
	return billing.BillRuns.OnPatch(tx, old, r)
}

// settled waits until no job of a bill run is under way.
func (h *house) settled(id string) (r *billing.BillRun) {
	h.Helper()
	ctx, cancel := context.WithTimeout(h.Context(), time.Minute)
	defer cancel()
	for {
		if err := h.runner.Idle(ctx); err != nil {
			h.Fatal(err)
		}
		h.read(func(tx *store.Tx) (err error) {
			r, err = billing.BillRuns.Get(tx, id)
			return err
		})
		if !r.Working() {
			return r
		}
	}
}

// What was due on a bill and is on none is found to the cent: parts of months too.
func TestWhatIsDueAndOnNoBill(t *testing.T) {
	each(t, func(h *house) {
		h.sell("p1", 76, true) // 5 October
		h.bill()
		h.clean("R3")
		h.sell("p2", 76, true) // nobody has billed it: 27 of 31 days of October, November, December
		h.finds("R3", "notOnBill leakage 57.39 "+h.account+"/p2")
		f := h.list("R3")[0]
		if len(f.Evidence) != 3 || !strings.Contains(f.Evidence[0].Says, "from 2026-10-05 to 2026-11-01: 17.41 EUR") {
			h.Errorf("evidence %+v", f.Evidence)
		}
		h.clock(15) // the run of January bills it
		h.bill()
		r := h.run("R3").Result[0]
		if r.Findings != 0 || r.Closed != 1 || len(r.Recovered) != 1 || r.Recovered[0].Decimal() != "57.39" {
			h.Errorf("after it was billed: %+v", r)
		}
		h.clock(50) // nobody ran the bills of February
		h.finds("R3", "notOnBill leakage 19.99 "+h.account+"/p1", "notOnBill leakage 19.99 "+h.account+"/p2")
	})
}

func TestAnAccountThatCannotBeBilled(t *testing.T) {
	each(t, func(h *house) {
		h.sell("p1", 76, true)
		h.bill()
		h.must(func(tx *store.Tx) error {
			all, err := billing.TaxRates.Select(tx, nil, tmf.Page{})
			for _, r := range all {
				if err == nil {
					err = billing.TaxRates.Remove(tx, r)
				}
			}
			return err
		})
		h.finds("R3", "cannotBeBilled leakage 0.00 "+h.account)
		h.clock(10)
		h.finds("R3", "cannotBeBilled leakage "+worth("19.99", 10)+" "+h.account)
	})
}

// A report adds up what controls have found, and measures how right the bills were.
func TestTheReport(t *testing.T) {
	each(t, func(h *house) {
		h.sell("p1", 76, true)
		h.sell("p2", 76, true)
		h.sell("p3", 40, false)
		h.bill()
		h.run("R2", "R3", "R5")
		var bill string
		h.read(func(tx *store.Tx) error {
			return tx.Row("SELECT bill FROM billing_posted WHERE tenant = $1").Scan(&bill)
		})
		h.must(func(tx *store.Tx) error {
			return billing.CreditNotes.OnPost(tx, &billing.CreditNoteRequest{Bill: &tmf.Ref{ID: bill}, Reason: "wrongPrice"})
		})
		r := tmftest.Must[revenue.Report](h.api, mno, "POST", base+"report", `{}`)
		var two *revenue.ReportControl
		for i := range r.Control {
			if r.Control[i].ID == "R2" {
				two = &r.Control[i]
			}
		}
		if two == nil || two.State != revenue.Done || two.Standing != 1 || two.Age != [4]int64{1} || len(two.Found) != 1 || two.Found[0].Decimal() != worth("19.99", 40) {
			h.Fatalf("R2 in the report: %+v", two)
		}
		if b := r.Billing; b == nil || b.Judged != 1 || b.Wrong != 1 || b.Percent != "0.0000" {
			h.Errorf("billing accuracy %+v", r.Billing)
		}
		if text := r.String(); !strings.Contains(text, "R2   Services and products") || !strings.Contains(text, "26.29 EUR lost") || !strings.Contains(text, "Billing accuracy: 0.0000 % of 1 invoices (1 wrong") {
			h.Errorf("the report says\n%s", text)
		}
		if back := tmftest.Must[revenue.Report](h.api, mno, "GET", base+"report/"+r.ID, nil); back.String() != r.String() {
			h.Errorf("read again it says\n%s", back)
		}
	})
}
