package billing_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"tandem/bss/billing"
	"tandem/bss/ledger"
	"tandem/kit/fault"
	"tandem/kit/store"
	"tandem/kit/tmf"
	"tandem/kit/tmf/tmftest"
	"tandem/kit/work"
)

// clerkEnv makes this test binary a process that bills a month: its value says which.
const clerkEnv = "TANDEM_BILLING_CLERK"

func TestMain(m *testing.M) {
	if doc := os.Getenv(clerkEnv); doc != "" {
		var c clerk
		err := json.Unmarshal([]byte(doc), &c)
		if err == nil {
			err = c.work()
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// clerk bills a month from the beginning to the end, or goes on where another was killed.
type clerk struct {
	Path, URL string
	Month     int           // after December 2026
	Page      int           // accounts
	KillAt    int64         // the n-th commit; 0: none
	Durable   bool          // after the commit, else before it
	Limit     time.Duration // within which a month is billed; 0: two minutes
}

func (c clerk) now() time.Time { return firstOfDec.AddDate(0, c.Month, 0) }

func (c clerk) work() error {
	billing.PagesOf(c.Page)
	ctx, cancel := context.WithTimeout(context.Background(), cmp.Or(c.Limit, 2*time.Minute))
	defer cancel()
	var armed atomic.Bool
	began := time.Now()
	db, err := store.Open(ctx, store.Config{Path: c.Path, URL: c.URL, Clock: func() time.Time { return c.now().Add(time.Since(began)) }, Around: c.killer(&armed)})
	if err != nil {
		return err
	}
	defer db.Close()
	r := work.New(db, slog.New(slog.NewTextHandler(os.Stderr, nil)), work.Config{Lease: time.Second})
	billing.Handle(r, db)
	if err := r.Start(ctx); err != nil {
		return err
	}
	defer r.Stop()
	armed.Store(true)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		run, err := c.step(ctx, db)
		if err != nil {
			return err
		}
		if run != nil && run.State == billing.RunPosted {
			break
		}
		if err := r.Idle(ctx); err != nil {
			return err
		}
		if run != nil && run.Working() { // the jobs of the one who was killed are leased yet
			select {
			case <-tick.C:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
	return c.prove(ctx, db)
}

// step does what is next: start, approve or post the run of the month.
func (c clerk) step(ctx context.Context, db *store.DB) (r *billing.BillRun, err error) {
	as := func(actor string, fn func(tx *store.Tx) error) error {
		return db.Write(ctx, store.Scope{Tenant: "mno", Actor: actor}, fn)
	}
	err = db.Read(ctx, mno, func(tx *store.Tx) error {
		all, err := billing.BillRuns.Select(tx, nil, tmf.Page{})
		for _, x := range all {
			if x.CutOff == c.now().Format("2006-01-02") {
				r = x
			}
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	next := map[string]string{billing.RunReady: billing.RunApproved, billing.RunApproved: billing.RunPosted}
	switch {
	case r == nil:
		err := as("user:ann", func(tx *store.Tx) error { return billing.BillRuns.OnPost(tx, &billing.BillRun{}) })
		if err != nil && fault.Of(err).Code == "runUnderWay" { // PostgreSQL was still committing that of the one who was killed
			err = nil
		}
		return nil, err
	case next[r.State] == "":
		return r, nil
	}
	return r, as("user:bob", func(tx *store.Tx) error {
		old, err := billing.BillRuns.Lock(tx, r.ID)
		if err != nil {
			return err
		}
		x, err := billing.BillRuns.Copy(old)
		if err != nil {
			return err
		}
		x.State = next[r.State]
		return billing.BillRuns.OnPatch(tx, old, x)
	})
}

// prove holds the month against one that nobody disturbed: all accounts once, each with
// the same lines, to the cent.
func (c clerk) prove(ctx context.Context, db *store.DB) error {
	return db.Read(ctx, mno, func(tx *store.Tx) error {
		var faults []error
		if _, err := billing.AuditBills(tx, func(f billing.BillFault) error { faults = append(faults, errors.New(f.String())); return nil }); err != nil {
			return err
		}
		wrong, err := ledger.Audit(tx)
		if err != nil {
			return err
		}
		if len(wrong) > 0 {
			faults = append(faults, fmt.Errorf("the books: %v", wrong))
		}
		parked, err := work.ListParked(tx, "", 0, 10)
		if err != nil {
			return err
		}
		if len(parked) > 0 {
			faults = append(faults, fmt.Errorf("parked jobs: %v", parked))
		}
		var accounts, bills, gross, lines, posted int64
		date := c.now().Format("2006-01-02")
		for _, q := range []struct {
			to   *int64
			sql  string
			args []any
		}{
			{&accounts, "SELECT count(*) FROM billing_account WHERE tenant = $1", nil},
			{&bills, "SELECT count(DISTINCT account) FROM billing_draft WHERE tenant = $1 AND bill_date = $2", []any{date}},
			{&gross, "SELECT CAST(coalesce(sum(gross), 0) AS BIGINT) FROM billing_draft WHERE tenant = $1 AND bill_date = $2", []any{date}},
			{&lines, "SELECT count(*) FROM billing_billed b JOIN billing_draft d ON d.tenant = b.tenant AND d.id = b.bill WHERE b.tenant = $1 AND d.bill_date = $2", []any{date}},
			{&posted, "SELECT count(*) FROM billing_posted p JOIN billing_draft d ON d.tenant = p.tenant AND d.id = p.bill WHERE p.tenant = $1 AND d.bill_date = $2", []any{date}},
		} {
			if err := tx.Row(q.sql, q.args...).Scan(q.to); err != nil {
				return err
			}
		}
		// 10, 11, 12 and 13 EUR a month with 19 %.
		if c.Month > 0 && (bills != accounts || posted != accounts || gross != accounts*5474 || lines != accounts*4) {
			faults = append(faults, fmt.Errorf("%d accounts, %d bills, %d posted, %d lines, total %d, want %d", accounts, bills, posted, lines, gross, accounts*5474))
		}
		return errors.Join(faults...)
	})
}

// killer ends the process at a commit, as kill -9 does.
func (c clerk) killer(armed *atomic.Bool) func(bool) {
	var n atomic.Int64
	return func(durable bool) {
		if c.KillAt == 0 || !armed.Load() || durable != c.Durable || n.Add(1) != c.KillAt {
			return
		}
		if err := syscall.Kill(os.Getpid(), syscall.SIGKILL); err != nil {
			panic(err)
		}
		select {}
	}
}

// spawn runs a clerk as a process and says whether it was killed.
func (c clerk) spawn(t *testing.T) (killed bool) {
	t.Helper()
	doc, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), clerkEnv+"="+string(doc))
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err = cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL {
		return true
	}
	if err != nil {
		t.Fatalf("month %d, killed at %d: %v\n%s", c.Month, c.KillAt, err, out.Bytes())
	}
	return false
}

// clerkAccounts is how many accounts are billed while the process is killed.
func clerkAccounts() int {
	if n, err := strconv.Atoi(os.Getenv("TANDEM_BILLING_KILL_ACCOUNTS")); err == nil && n > 0 {
		return n
	}
	return 6
}

// A process that bills is killed just before and just after every commit of a run, one
// commit further each month until it gets through; another one goes on. Each month is to
// the cent what it would have been, the numbers have no gap, and the books balance.
func TestKillAtEveryCommitOfARun(t *testing.T) {
	for _, engine := range []store.Dialect{store.SQLite, store.Postgres} {
		t.Run(engine.String(), func(t *testing.T) {
			t.Parallel()
			accounts := clerkAccounts()
			c := tmftest.Config(t, engine, runSchemas, runKinds)
			t.Run("prepare", func(t *testing.T) { // the store is closed with it
				db := tmftest.Open(t, c, runSchemas, runKinds)
				(&office{world: &world{TB: t, db: db}}).open(0, accounts)
			})
			base := clerk{Path: c.Path, URL: c.URL, Page: (accounts + 2) / 3}
			base.spawn(t) // the first month is not a whole one
			month, steps := 0, map[bool]int64{}
			for _, durable := range []bool{false, true} {
				for at := int64(1); ; at++ {
					month++
					victim := base
					victim.Month, victim.KillAt, victim.Durable = month, at, durable
					if !victim.spawn(t) {
						break
					}
					steps[durable] = at
					heir := base
					heir.Month = month
					heir.spawn(t)
				}
			}
			if min(steps[false], steps[true]) < 10 {
				t.Errorf("only %v durable steps", steps)
			}
			t.Logf("%s: killed before %d commits and after %d, %d months of %d accounts", engine, steps[false], steps[true], month, accounts)
		})
	}
}
