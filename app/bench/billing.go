package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime/pprof"
	"time"

	"tandem/app"
	"tandem/bss/billing"
	"tandem/kit/civil"
	"tandem/kit/store"
	"tandem/kit/work"
)

// BillingOptions are those of the bill run.
type BillingOptions struct {
	Options
	Accounts int  // each with items of five charges and usage
	Compare  bool // the bills are then compared with what they would be at another price
}

// Billing measures a bill run: drafts for all accounts with tax and totals, then number,
// hash, ledger and fact of each. Seeding, the floor and the proof are not in the figure.
func Billing(ctx context.Context, o BillingOptions) (Result, error) {
	done, err := o.folder()
	if err != nil {
		return Result{}, err
	}
	defer done()
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	a, err := app.New(ctx, app.Config{Data: o.Data, Database: o.Database, Tenant: tenant, Log: log})
	if err != nil {
		return Result{}, err
	}
	defer a.Stop()
	b := &billingRun{App: a, options: o}
	o.say("seeding %d accounts", o.Accounts)
	began := time.Now()
	if err := errors.Join(b.seed(ctx), b.incorporate(ctx)); err != nil {
		return Result{}, fmt.Errorf("seed: %w", err)
	}
	if err := analyse(ctx, b.DB); err != nil {
		return Result{}, err
	}
	seeded := time.Since(began)
	o.say("seeded in %.1f s", seeded.Seconds())
	jobs := work.New(a.DB, log, work.Config{})
	billing.Handle(jobs, a.DB)
	if err := jobs.Start(ctx); err != nil {
		return Result{}, err
	}
	defer jobs.Stop()
	compute, post, run, err := b.measure(ctx)
	if err != nil {
		return Result{}, err
	}
	peak := statusMB("VmHWM")
	o.say("computed in %.1f s, posted in %.1f s; measuring the floor", compute.Seconds(), post.Seconds())
	floor, rows, err := b.floor(ctx)
	if err != nil {
		return Result{}, fmt.Errorf("floor: %w", err)
	}
	n := float64(o.Accounts)
	rate := n / (compute + post).Seconds()
	r := Result{Name: "billing", Store: a.DB.Dialect().String(), Seconds: (compute + post).Seconds(), PerSecond: rate, FloorPerSecond: floor, Ratio: rate / floor, RSS: peak,
		Own: map[string]any{"accounts": o.Accounts, "seed_seconds": seeded.Seconds(), "compute_per_second": n / compute.Seconds(), "post_per_second": n / post.Seconds(),
			"pages": run.Progress.Pages, "bills": run.Progress.Done, "rows_per_account": rows}}
	if run.Progress.Done != int64(o.Accounts) || run.Progress.Parked > 0 || run.Progress.Held > 0 {
		r.fail("%d bills were posted of %d accounts, %d parked, %d held", run.Progress.Done, o.Accounts, run.Progress.Parked, run.Progress.Held)
	}
	if err := analyse(ctx, b.DB); err != nil {
		return Result{}, err
	}
	if o.Compare {
		if err := b.compare(ctx, run, &r); err != nil {
			return r, fmt.Errorf("compare: %w", err)
		}
	}
	return r, b.prove(ctx, &r)
}

// incorporate completes the legal entity that the house has made: the bills of one that is
// made up are held.
func (b *billingRun) incorporate(ctx context.Context) error {
	return b.DB.Write(ctx, approver, func(tx *store.Tx) error {
		e, err := billing.DefaultEntity(tx)
		if err != nil {
			return err
		}
		_, err = billing.LegalEntities.Edit(tx, e.ID, func(e *billing.LegalEntity) error {
			e.Name, e.TaxRegistration = "Bench GmbH", "12/345/67890"
			e.Address = &billing.PostalAddress{Street: "Way 1", PostCode: "10115", City: "Berlin", Country: "DE"}
			return nil
		})
		return err
	})
}

// analyse does at once what PostgreSQL's autovacuum does within minutes of so much being
// written: without statistics it takes every table for empty, and plans accordingly. SQLite
// plans without statistics, and those of a table that was small would mislead it.
func analyse(ctx context.Context, db *store.DB) error {
	if db.Dialect() != store.Postgres {
		return nil
	}
	return db.Script(ctx, "ANALYZE")
}

// billingRun is the benchmark under way.
type billingRun struct {
	*app.App
	options BillingOptions
}

// approver is the second person.
var approver = store.Scope{Tenant: tenant, Actor: "approver"}

// measure makes a run and posts it.
func (b *billingRun) measure(ctx context.Context) (compute, post time.Duration, r *billing.BillRun, err error) {
	if b.options.Profile != "" {
		f, err := os.Create(b.options.Profile)
		if err != nil {
			return 0, 0, nil, err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return 0, 0, nil, err
		}
		defer pprof.StopCPUProfile()
	}
	began := time.Now()
	r = &billing.BillRun{CutOff: billDate.String()}
	if err = b.DB.Write(ctx, scope, func(tx *store.Tx) error {
		again := *r
		err := billing.BillRuns.OnPost(tx, &again)
		*r = again
		return err
	}); err != nil {
		return 0, 0, nil, err
	}
	if r, err = b.until(ctx, r.ID, billing.RunReady); err != nil {
		return 0, 0, nil, err
	}
	compute = time.Since(began)
	began = time.Now()
	for _, state := range []string{billing.RunApproved, billing.RunPosted} {
		if err := b.DB.Write(ctx, approver, func(tx *store.Tx) error {
			old, err := billing.BillRuns.Lock(tx, r.ID)
			if err != nil {
				return err
			}
			next, err := billing.BillRuns.Copy(old)
			if err != nil {
				return err
			}
			next.State = state
			return billing.BillRuns.OnPatch(tx, old, next)
		}); err != nil {
			return 0, 0, nil, err
		}
	}
	r, err = b.until(ctx, r.ID, billing.RunPosted)
	return compute, time.Since(began), r, err
}

// until waits for a state of the run.
func (b *billingRun) until(ctx context.Context, id, state string) (r *billing.BillRun, err error) {
	said := time.Now()
	for {
		err := b.DB.Read(ctx, scope, func(tx *store.Tx) (err error) {
			r, err = billing.BillRuns.Get(tx, id)
			return err
		})
		if err != nil || r.State == state {
			return r, err
		}
		if !r.Working() {
			return r, fmt.Errorf("the run is %s: %s", r.State, r.Reason)
		}
		if time.Since(said) > 10*time.Second {
			b.options.say("%s: %d drafts, %d posted", r.State, r.Progress.Bills, r.Progress.Done)
			said = time.Now()
		}
		select {
		case <-time.After(20 * time.Millisecond): // a benchmark's end, not a test's signal
		case <-ctx.Done():
			return r, ctx.Err()
		}
	}
}

// prove follows the chain of what was posted.
func (b *billingRun) prove(ctx context.Context, r *Result) error {
	b.options.say("following the chain")
	return b.DB.Read(ctx, scope, func(tx *store.Tx) error {
		sum, err := billing.AuditBills(tx, func(f billing.BillFault) error { r.fail("%s", f); return nil })
		if err == nil && sum.Bills != int64(b.options.Accounts) {
			err = errors.New("the chain does not have a bill for each account")
		}
		return err
	})
}

// billDate is that of the run: the first of a month.
var billDate = civil.Date{Year: 2026, Month: time.June, Day: 1}
