package billing_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"tandem/bss/billing"
	"tandem/bss/catalog"
	"tandem/bss/charging"
	"tandem/bss/ledger"
	"tandem/bss/ledger/recognition"
	"tandem/bss/party"
	"tandem/bss/subscription"
	"tandem/kit/access"
	"tandem/kit/civil"
	"tandem/kit/money"
	"tandem/kit/outbox"
	"tandem/kit/store"
	"tandem/kit/tmf"
	"tandem/kit/tmf/tmftest"
	"tandem/kit/work"
	"tandem/oss/inventory"
)

const runs = "/tandem-api/billing/v1/"

var (
	runKinds   = slices.Concat(party.Kinds(), catalog.Kinds(), subscription.Kinds(), charging.Kinds(), billing.Kinds(), inventory.Kinds())
	runSchemas = slices.Concat([]store.Schema{outbox.Schema(), work.Schema(), access.Schema()}, subscription.Schemas, charging.Schemas, ledger.Schemas, recognition.Schemas, billing.Schemas, inventory.Schemas)
	firstOfDec = time.Date(2026, 12, 1, 6, 0, 0, 0, time.UTC)
)

// office is a world with accounts to bill and a clock that stands still.
type office struct {
	*world
	shift  *atomic.Int64 // by how much the clock was set on, in nanoseconds
	runner *work.Runner
}

// offices runs f on both stores, with so many accounts.
func offices(t *testing.T, accounts int, f func(o *office)) {
	for _, engine := range []store.Dialect{store.SQLite, store.Postgres} {
		t.Run(engine.String(), func(t *testing.T) { f(openOffice(t, engine, accounts)) })
	}
}

func openOffice(t *testing.T, engine store.Dialect, accounts int) *office {
	shift, began := &atomic.Int64{}, time.Now()
	c := tmftest.Config(t, engine, runSchemas, runKinds)
	c.Clock = func() time.Time { return firstOfDec.Add(time.Since(began) + time.Duration(shift.Load())) } // jobs that are tried again wait by it
	db := tmftest.Open(t, c, runSchemas, runKinds)
	o := &office{world: &world{t, db, tmftest.Serve(t, db, runKinds)}, shift: shift}
	o.open(0, accounts)
	o.runner = o.node(db)
	return o
}

// node runs the jobs of bill runs until the test ends.
func (o *office) node(db *store.DB) *work.Runner {
	o.Helper()
	r := work.New(db, slog.New(slog.NewTextHandler(o.Output(), nil)), work.Config{})
	billing.Handle(r, db)
	if err := r.Start(o.Context()); err != nil {
		o.Fatal(err)
	}
	o.Cleanup(r.Stop)
	return r
}

func accountID(n int) string { return fmt.Sprintf("account-%06d", n) }

// open makes accounts, each with a customer and five items of the last month.
func (o *office) open(from, to int) {
	o.Helper()
	o.must(func(tx *store.Tx) error {
		if err := completeEntity(tx); err != nil {
			return err
		}
		for n := from; n < to; n++ {
			p := &party.Individual{GivenName: "Änne", FamilyName: fmt.Sprintf("Groß %d", n)}
			p.ID = fmt.Sprintf("person-%06d", n)
			if err := party.Individuals.Create(tx, p); err != nil {
				return err
			}
			c := &party.Customer{Name: "Änne Groß", EngagedParty: &tmf.RelatedParty{ID: p.ID, ReferredType: "Individual"}}
			c.ID = fmt.Sprintf("customer-%06d", n)
			if err := party.Customers.Create(tx, c); err != nil {
				return err
			}
			a := &billing.BillingAccount{Currency: "EUR", TimeZone: "Europe/Berlin", AccountTerms: billing.AccountTerms{Name: "Account " + p.ID,
				RelatedParty: []tmf.RelatedParty{{ID: c.ID, Role: "customer", ReferredType: "Customer"}}}}
			a.ID = accountID(n)
			if err := billing.BillingAccounts.Create(tx, a); err != nil {
				return err
			}
			for i := range 5 {
				if err := billing.Items.Create(tx, oweItem(n, i)); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

var itemsStart = time.Date(2026, 11, 10, 9, 30, 0, 0, time.UTC)

// oweItem is the i-th item of the n-th account: lines of 10 to 13 EUR a month, and an
// installation fee.
func oweItem(n, i int) *billing.BillableItem {
	it := &billing.BillableItem{Name: fmt.Sprintf("Line %d", i), State: billing.ItemActive, ChargeType: billing.Recurring, PeriodUnit: "month", PeriodCount: 1,
		Product: &tmf.Ref{ID: fmt.Sprintf("product-%06d-%d", n, i)}, Price: &tmf.Ref{ID: fmt.Sprintf("price-%d", i), Version: "1.0"},
		BillingAccount: &tmf.Ref{ID: accountID(n)}, Amount: &tmf.Money{Nano: int64(10+i) * 1e9, Currency: money.EUR}, ConfirmedBy: "service", From: itemsStart,
		ChargeWhileSuspended: billing.ChargeNone}
	it.ID = fmt.Sprintf("item-%06d-%d", n, i)
	if i == 4 {
		it.Name, it.ChargeType, it.PeriodUnit, it.PeriodCount, it.To, it.State = "Installation", billing.OneTime, "", 0, itemsStart, billing.ItemEnded
	}
	return it
}

// idle waits until no job is left.
func (o *office) idle() {
	o.Helper()
	ctx, cancel := context.WithTimeout(o.Context(), 60*time.Second)
	defer cancel()
	if err := o.runner.Idle(ctx); err != nil {
		o.Fatal(err)
	}
}

// as writes as somebody.
func (o *office) as(actor string, fn func(tx *store.Tx) error) error {
	o.Helper()
	return o.db.Write(o.Context(), store.Scope{Tenant: "mno", Actor: actor}, fn)
}

// start begins a run as ann.
func (o *office) start(body string) (*billing.BillRun, error) {
	o.Helper()
	r := &billing.BillRun{}
	if err := tmf.Decode([]byte(body), r); err != nil {
		o.Fatal(err)
	}
	err := o.as("user:ann", func(tx *store.Tx) error { return billing.BillRuns.OnPost(tx, r) })
	return r, err
}

// run begins a run and waits until its drafts are made.
func (o *office) run(body string) *billing.BillRun {
	o.Helper()
	r, err := o.start(body)
	if err != nil {
		o.Fatal(err)
	}
	return o.settled(r.ID)
}

// settled waits until no job of a run is under way, also one that is tried again.
func (o *office) settled(id string) *billing.BillRun {
	o.Helper()
	for late := time.Now().Add(time.Minute); ; {
		o.idle()
		if r := o.get(id); !r.Working() {
			return r
		}
		if time.Now().After(late) {
			o.Fatalf("the run %s does not come to an end", id)
		}
	}
}

func (o *office) get(id string) (r *billing.BillRun) {
	o.Helper()
	err := o.db.Read(o.Context(), mno, func(tx *store.Tx) (err error) {
		r, err = billing.BillRuns.Get(tx, id)
		return err
	})
	if err != nil {
		o.Fatal(err)
	}
	return r
}

// move asks for a state of a run.
func (o *office) move(actor, id, state string) error {
	o.Helper()
	return o.as(actor, func(tx *store.Tx) error {
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
	})
}

// rests waits until a run waits for a person, or is over.
func (o *office) rests(id string) {
	o.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(20 * time.Second); ; {
		o.idle()
		if r := o.get(id); !r.Working() {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			o.Fatalf("the run %s does not come to rest: %+v", id, o.get(id))
		}
	}
}

// postRun approves and posts a run.
func (o *office) postRun(id string) *billing.BillRun {
	o.Helper()
	if err := o.move("user:bob", id, billing.RunApproved); err != nil {
		o.Fatal(err)
	}
	if err := o.move("user:bob", id, billing.RunPosted); err != nil {
		o.Fatal(err)
	}
	return o.settled(id)
}

func (o *office) decide(decision, sort, id string) error {
	o.Helper()
	return o.as("user:bob", func(tx *store.Tx) error {
		return billing.BillDecisions.OnPost(tx, &billing.BillDecision{Subject: &tmf.Ref{ID: id, ReferredType: sort}, Decision: decision, Reason: "we know why"})
	})
}

// rows reads a statement as lines, with blanks between columns.
func (o *office) rows(columns int, sql string, args ...any) (out []string) {
	o.Helper()
	err := o.db.Read(o.Context(), mno, func(tx *store.Tx) error {
		rows, err := tx.Query(sql, args...)
		out, err = store.Collect(rows, err, func(r store.Rows) (string, error) {
			cells, to := make([]string, columns), make([]any, columns)
			for i := range to {
				to[i] = &cells[i]
			}
			err := r.Scan(to...)
			return strings.Join(cells, " "), err
		})
		return err
	})
	if err != nil {
		o.Fatal(err)
	}
	return out
}

func (o *office) number(sql string) (n int64) {
	o.Helper()
	err := o.db.Read(o.Context(), mno, func(tx *store.Tx) error { return tx.Row(sql).Scan(&n) })
	if err != nil {
		o.Fatal(err)
	}
	return n
}

// proves that the posted bills are a chain without a gap, that the ledger has each of
// them, and that nothing was billed twice.
func (o *office) proves() {
	o.Helper()
	err := o.db.Read(o.Context(), mno, func(tx *store.Tx) error {
		bad, err := billing.AuditBills(tx, func(b billing.BillFault) error { o.Error(b); return nil })
		if err == nil && bad.Faults > 0 {
			err = fmt.Errorf("%d faults", bad.Faults)
		}
		if err != nil {
			return err
		}
		wrong, err := ledger.Audit(tx)
		if err == nil && len(wrong) > 0 {
			err = fmt.Errorf("the books: %v", wrong)
		}
		return err
	})
	if err != nil {
		o.Error(err)
	}
}

func (o *office) trial() (out []ledger.Sum) {
	o.Helper()
	err := o.db.Read(o.Context(), mno, func(tx *store.Tx) (err error) {
		out, err = ledger.Trial(tx, "default", civil.Date{Year: 2030, Month: 1, Day: 1})
		return err
	})
	if err != nil {
		o.Fatal(err)
	}
	return out
}

func TestARunMakesDraftsThatASecondPersonApprovesAndThatArePosted(t *testing.T) {
	offices(t, 3, func(o *office) {
		r := o.run(`{"description":"November"}`)
		if r.State != billing.RunReady || r.Progress.Bills != 3 || r.CutOff != "2026-12-01" || len(r.Total) != 1 {
			o.Fatalf("%+v", r)
		}
		if err := o.move("user:ann", r.ID, billing.RunApproved); err == nil || !strings.Contains(err.Error(), "another person") {
			o.Errorf("who started the run approved it: %v", err)
		}
		if err := o.move("user:bob", r.ID, billing.RunPosted); err == nil {
			o.Error("posted what nobody has approved")
		}
		r = o.postRun(r.ID)
		if r.State != billing.RunPosted || r.Progress.Done != 3 || !slices.Equal(r.Total, r.PostedTotal) {
			o.Fatalf("%+v", r)
		}
		want := []string{"1 INV-2026-0000001 2026-12-01 2026-12-15", "2 INV-2026-0000002 2026-12-01 2026-12-15", "3 INV-2026-0000003 2026-12-01 2026-12-15"}
		if got := o.rows(4, "SELECT CAST(seq AS TEXT), number, issue_date, due_date FROM billing_posted WHERE tenant = $1 ORDER BY seq"); !slices.Equal(got, want) {
			o.Errorf("posted %v", got)
		}
		o.proves()
		var left int64
		for _, s := range o.trial() {
			left += s.Amount
			if s.Account == ledger.Receivable && s.Amount != r.Total[0].Gross.Minor {
				o.Errorf("receivable %d, bills %s", s.Amount, r.Total[0].Gross)
			}
		}
		if left != 0 {
			o.Errorf("the trial balance leaves %d", left)
		}
		again := o.run(`{}`)
		if again.State != billing.RunPosted || again.Progress.Accounts != 0 || again.Reason == "" {
			o.Errorf("a second run: %+v", again)
		}
	})
}
