package charging_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"tandem/bss/charging"
	"tandem/bss/subscription"
	"tandem/kit/access"
	"tandem/kit/journal"
	"tandem/kit/outbox"
	"tandem/kit/store"
	"tandem/kit/store/storetest"
	"tandem/kit/tmf"
)

// killEnv makes this test binary a node that carries out a transfer and dies on the way.
const killEnv = "TANDEM_CHARGING_KILL"

func TestMain(m *testing.M) {
	if doc := os.Getenv(killEnv); doc != "" {
		if err := dying(doc); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if url := os.Getenv(freezeEnv); url != "" {
		if err := freezing(url); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// errand is what a child does: the transfer with the name, and the commit at which it
// is killed, counted from then on; 0: never.
type errand struct {
	Path, Journal, URL string
	Transfer           string
	KillAt             int64
	Durable            bool // after the commit, else before it
}

func (e errand) open(ctx context.Context, around func(bool)) (db, log *store.DB, err error) {
	if db, err = store.Open(ctx, store.Config{Path: e.Path, URL: e.URL, Around: around}); err != nil || e.URL != "" {
		return db, db, err
	}
	log, err = store.Open(ctx, store.Config{Path: e.Journal, Around: around})
	return db, log, err
}

func dying(doc string) error {
	var e errand
	if err := json.Unmarshal([]byte(doc), &e); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var armed atomic.Bool
	var n atomic.Int64
	db, log, err := e.open(ctx, func(durable bool) {
		if armed.Load() && e.KillAt > 0 && durable == e.Durable && n.Add(1) == e.KillAt {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL) // it does not return
			select {}
		}
	})
	if err != nil {
		return err
	}
	room := charging.New(charging.Config{DB: db, Journal: log, Holder: tmf.NewID(), Address: "child", Lease: 500 * time.Millisecond, PINKey: []byte("a key for tests"),
		Tenants: func(context.Context) ([]string, error) { return []string{"mno", "rival"}, nil }, Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err := room.Start(ctx); err != nil {
		return err
	}
	armed.Store(true)
	scope := store.Scope{Tenant: "mno", Actor: "user:ann"}
	var mismatches []string
	for {
		err := db.Write(ctx, scope, func(tx *store.Tx) error {
			p := &charging.BalanceAction{}
			if err := tmf.Decode([]byte(`{"bucket":{"id":"p1.1"},"receiverBucket":{"id":"p2.1"},"amount":{"amount":3,"units":"EUR"}}`), p); err != nil {
				return err
			}
			p.ID = e.Transfer
			return charging.Transfers.OnPost(tx, p)
		})
		if err == nil {
			break
		}
		if ctx.Err() != nil {
			return err
		}
	}
	for status := ""; status != "completed"; {
		err := db.Read(ctx, scope, func(tx *store.Tx) error {
			p, err := charging.Transfers.Get(tx, e.Transfer)
			if err == nil {
				status = p.Status
			}
			return err
		})
		if err != nil {
			return err
		}
		if status == "failed" {
			return errors.New("the transfer failed")
		}
	}
	if err := room.Idle(ctx); err != nil {
		return err
	}
	if e.KillAt == 0 { // the one that mends looks whether all agrees
		judged, err := room.AuditBalances(ctx, "mno", func(account, words string) error {
			mismatches = append(mismatches, account+": "+words)
			return nil
		})
		if err != nil || judged != 2 || len(mismatches) > 0 {
			return fmt.Errorf("%d balances: %v %w", judged, mismatches, err)
		}
	}
	armed.Store(false)
	err = room.Stop(ctx)
	db.Close()
	log.Close()
	return err
}

func (e errand) run(t *testing.T) (killed bool) {
	t.Helper()
	doc, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), killEnv+"="+string(doc))
	out, err := cmd.CombinedOutput()
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() && status.Signal() == syscall.SIGKILL {
		return true
	}
	if err != nil {
		t.Fatalf("%+v: %v: %s", e, err, out)
	}
	return false
}

// A node that is killed at any commit of a transfer leaves it to the next one, which
// ends it: the money is out of one balance and in the other, once.
func TestTransferSurvivesKill(t *testing.T) {
	for _, engine := range []store.Dialect{store.SQLite, store.Postgres} {
		t.Run(engine.String(), func(t *testing.T) {
			t.Parallel() // it waits for leases
			c := storetest.Config(t, engine)
			e := errand{Path: c.Path, URL: c.URL}
			if e.URL == "" {
				e.Journal = storetest.Config(t, engine).Path
			}
			e.prepare(t)
			done, killed := 0, 0
			for _, e.Durable = range []bool{false, true} {
				for e.KillAt = 1; ; e.KillAt++ {
					done++
					e.Transfer = fmt.Sprintf("t%d", done)
					died := e.run(t)
					if died {
						killed++
						again := e
						again.KillAt = 0
						again.run(t)
					}
					if !died || e.KillAt > 12 {
						break
					}
				}
			}
			if killed < 8 {
				t.Errorf("only %d of %d nodes were killed", killed, done)
			}
			db, log, err := e.open(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			defer log.Close()
			for _, x := range []struct {
				product string
				want    int64
			}{{"p1", -3 * int64(done)}, {"p2", 3 * int64(done)}} {
				var sum int64
				err := db.Read(t.Context(), store.Scope{Tenant: "mno", Actor: "test"}, func(tx *store.Tx) error {
					return tx.Row(`SELECT coalesce(sum(amount), 0) FROM charging_entry WHERE tenant = $1 AND against LIKE 'transfer%'
						AND account = (SELECT account FROM charging_line WHERE tenant = $1 AND product = $2)`, x.product).Scan(&sum)
				})
				if err != nil || sum != x.want*1e9 {
					t.Errorf("%d transfers: %s gained %d, want %d (%v)", done, x.product, sum, x.want*1e9, err)
				}
			}
		})
	}
}

// prepare makes two lines with money, and leaves the store.
func (e errand) prepare(t *testing.T) {
	t.Helper()
	w := &world{T: t, tenants: []string{"mno", "rival"}, host: "mno"}
	var err error
	if w.db, w.journal, err = e.open(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	schemas := slices.Concat([]store.Schema{tmf.Schema(), outbox.Schema(), access.Schema()}, subscription.Schemas, charging.Schemas)
	if err := errors.Join(w.db.Migrate(t.Context(), schemas...), tmf.Migrate(t.Context(), w.db, kinds), w.journal.Migrate(t.Context(), journal.Schema())); err != nil {
		t.Fatal(err)
	}
	w.start()
	w.serve()
	w.shelve("mno")
	w.sell("mno", "p1", "prepaid", "491510001")
	w.sell("mno", "p2", "prepaid", "491510002")
	w.ends("topupBalance", w.post(balance+"topupBalance", `{"product":[{"id":"p1"}],"amount":{"amount":1000,"units":"EUR"}}`).text("id"), "completed")
	if err := errors.Join(w.room.Idle(t.Context()), w.room.Stop(context.Background())); err != nil {
		t.Fatal(err)
	}
	w.db.Close()
	w.journal.Close()
}
