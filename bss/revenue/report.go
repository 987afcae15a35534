package revenue

import (
	"context"
	"fmt"
	"math/big"
	"strings"
	"time"

	"tandem/bss/billing"
	"tandem/kit/fault"
	"tandem/kit/money"
	"tandem/kit/store"
	"tandem/kit/tmf"
)

// Report is how the revenue stands: what controls have found, what of it is old, and how
// right bills and ratings were, measured.
type Report struct {
	tmf.Entity
	From    time.Time       `json:"from,omitzero"` // of what was found, ended and billed: 30 days before To if it is absent
	To      time.Time       `json:"to,omitzero"`   // now, if it is absent
	Made    time.Time       `json:"madeDate,omitzero"`
	Run     *tmf.Ref        `json:"controlRun,omitzero"` // the last that came to its end
	Control []ReportControl `json:"control,omitzero"`
	Billing *Measured       `json:"billingAccuracy,omitzero"` // invoices, and those that a credit note says were wrong
	Rating  *Measured       `json:"ratingAccuracy,omitzero"`  // charges that were priced anew by another evaluator
}

// ReportControl is a control in a report. Sums of money are by currency.
type ReportControl struct {
	ID       string   `json:"id"`
	Name     string   `json:"name"`
	State    string   `json:"state"` // of its last run; empty: it never ran
	Reason   string   `json:"reason,omitzero"`
	Standing int64    `json:"standing"` // findings that are open or confirmed
	Age      [4]int64 `json:"age"`      // of them: found today, this week, in 30 days, before

	Found     []tmf.Money `json:"found,omitzero"`     // leakage that stands
	Confirmed []tmf.Money `json:"confirmed,omitzero"` // of it, what a person has confirmed
	Charged   []tmf.Money `json:"overcharge,omitzero"`
	AtRisk    []tmf.Money `json:"risk,omitzero"`
	Recovered []tmf.Money `json:"recovered,omitzero"` // ended since From
	Prevented []tmf.Money `json:"prevented,omitzero"` // a month, ended since From
	False     []tmf.Money `json:"false,omitzero"`     // found to be nothing
}

// Measured is a share of things that were right, with what it was measured by.
type Measured struct {
	Judged   int64  `json:"judged"`
	Wrong    int64  `json:"wrong"`
	Unjudged int64  `json:"unjudged,omitzero"` // nobody can say
	Percent  string `json:"percent,omitzero"`  // right ones, with four decimals, rounded down; absent: nothing was judged
}

// Reports that were made.
var Reports = tmf.Kind[Report, *Report]{API: &API, Name: "report", Table: "revenue_report", Verbs: tmf.Post, Index: []string{"madeDate"}}

const (
	reportDays   = 30
	maxReportAge = 3660 * day
)

// measured is a share.
func measured(judged, wrong, unjudged int64) *Measured {
	m := &Measured{Judged: judged, Wrong: wrong, Unjudged: unjudged}
	if judged > 0 {
		right := new(big.Int).Mul(big.NewInt(judged-min(wrong, judged)), big.NewInt(1_000_000))
		n := right.Quo(right, big.NewInt(judged)).Int64()
		m.Percent = fmt.Sprintf("%d.%04d", n/10_000, n%10_000)
	}
	return m
}

// postReport makes a report and keeps it.
func postReport(ctx context.Context, db *store.DB, s store.Scope, r *Report) error {
	now := db.Now()
	*r = Report{Entity: r.Entity, From: r.From, To: r.To, Made: now}
	if r.To.IsZero() {
		r.To = now
	}
	if r.From.IsZero() {
		r.From = r.To.Add(-reportDays * day)
	}
	if !r.From.Before(r.To) || r.To.Sub(r.From) > maxReportAge {
		return fault.BadInput("invalidPeriod", "A report is from an instant to a later one, ten years at the most")
	}
	if err := r.gather(ctx, db, s); err != nil {
		return err
	}
	return db.Write(ctx, s, func(tx *store.Tx) error { return Reports.Create(tx, r) })
}

// tallied is a control while it is summed up.
type tallied struct {
	*ReportControl
	found, confirmed, charged, risk, recovered, prevented, no sums
}

func (r *Report) gather(ctx context.Context, db *store.DB, s store.Scope) error {
	by := map[string]*tallied{}
	r.Control = make([]ReportControl, len(controls))
	for i := range controls {
		r.Control[i].ID, r.Control[i].Name = controls[i].ID, controls[i].Name
		by[controls[i].ID] = &tallied{&r.Control[i], sums{}, sums{}, sums{}, sums{}, sums{}, sums{}, sums{}}
	}
	err := Findings.Each(ctx, db, s, func(f *Finding) error {
		if t := by[f.Control.ID]; t != nil {
			return t.add(f, r)
		}
		return nil
	})
	for _, c := range r.Control {
		if err == nil {
			err = by[c.ID].end()
		}
	}
	if err != nil {
		return err
	}
	return db.Read(ctx, s, func(tx *store.Tx) error { return r.measure(tx, by) })
}

func (t *tallied) add(f *Finding, r *Report) error {
	in := !f.Closed.Before(r.From) && f.Closed.Before(r.To)
	switch {
	case f.State == False:
		return t.no.add(f.Amount)
	case f.State == Recovered && in:
		return t.recovered.add(f.Amount)
	case f.State == Prevented && in:
		return t.prevented.add(f.Monthly)
	case f.over():
		return nil
	}
	t.Standing++
	age := r.Made.Sub(f.Found)
	at := 3
	for i, most := range []time.Duration{day, 7 * day, 30 * day} {
		if age < most {
			at = i
			break
		}
	}
	t.Age[at]++
	switch f.Side {
	case Overcharge:
		return t.charged.add(f.Amount)
	case Risk:
		return t.risk.add(f.Amount)
	}
	if f.State == Confirmed {
		if err := t.confirmed.add(f.Amount); err != nil {
			return err
		}
	}
	return t.found.add(f.Amount)
}

func (t *tallied) end() (err error) {
	for _, x := range []struct {
		to   *[]tmf.Money
		from sums
	}{{&t.Found, t.found}, {&t.Confirmed, t.confirmed}, {&t.Charged, t.charged}, {&t.AtRisk, t.risk}, {&t.Recovered, t.recovered}, {&t.Prevented, t.prevented}, {&t.False, t.no}} {
		if *x.to, err = x.from.list(); err != nil {
			return err
		}
	}
	return nil
}

// measure reads the last run and the accuracies.
func (r *Report) measure(tx *store.Tx, by map[string]*tallied) error {
	runs, err := ControlRuns.Select(tx, tmf.Where{"state": Done}, tmf.Page{Sort: "-requestedDate", Limit: 50})
	if err != nil {
		return err
	}
	for i, run := range runs {
		if i == 0 {
			r.Run = &tmf.Ref{ID: run.ID, Href: run.Href, ReferredType: "ControlRun"}
		}
		for _, x := range run.Result {
			t := by[x.Control]
			if t == nil || t.State != "" {
				continue
			}
			t.State, t.Reason = x.State, x.Reason
			if x.Control == rerating && x.State == Done {
				r.Rating = measured(x.Judged, x.Wrong, x.Unjudged)
			}
		}
	}
	a, err := billing.AccuracyOf(tx, r.From, r.To)
	r.Billing = measured(a.Invoices, a.Wrong, 0)
	return err
}

// rerating is the control that prices charges anew.
const rerating = "R14"

// String is the report for people.
func (r *Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Revenue assurance, %s to %s\n", r.From.Format(time.DateOnly), r.To.Format(time.DateOnly))
	fmt.Fprintf(&b, "%-4s %-26s %-7s %8s %8s  %s\n", "", "control", "last", "standing", "older", "money")
	for _, c := range r.Control {
		state := c.State
		if state == "" {
			state = "-"
		}
		fmt.Fprintf(&b, "%-4s %-26s %-7s %8d %8d  %s\n", c.ID, c.Name, state, c.Standing, c.Age[2]+c.Age[3], c.money())
	}
	for _, m := range []struct {
		name, of string
		m        *Measured
	}{{"Billing accuracy", "invoices", r.Billing}, {"Rating accuracy", "charges", r.Rating}} {
		switch {
		case m.m == nil || m.m.Judged == 0:
			fmt.Fprintf(&b, "%s: nothing was judged\n", m.name)
		default:
			fmt.Fprintf(&b, "%s: %s %% of %d %s (%d wrong, %d not judged)\n", m.name, m.m.Percent, m.m.Judged, m.of, m.m.Wrong, m.m.Unjudged)
		}
	}
	return b.String()
}

// money is what a control comes to, in words.
func (c *ReportControl) money() string {
	var out []string
	for _, x := range []struct {
		word string
		of   []tmf.Money
	}{{"lost", c.Found}, {"confirmed", c.Confirmed}, {"charged too much", c.Charged}, {"at risk", c.AtRisk}, {"recovered", c.Recovered}, {"prevented a month", c.Prevented}, {"false", c.False}} {
		for _, m := range x.of {
			out = append(out, inMinor(m)+" "+x.word)
		}
	}
	return strings.Join(out, ", ")
}

// inMinor is money rounded to whole minor units, as people write it.
func inMinor(m tmf.Money) string {
	a, err := m.Post(money.HalfEven)
	if err != nil {
		return m.String()
	}
	return a.String()
}
