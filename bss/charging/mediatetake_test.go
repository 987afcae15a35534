package charging_test

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"tandem/bss/charging"
	"tandem/bss/charging/core"
	"tandem/edge/cdr"
	"tandem/kit/store"
)

// gated is the engine, which decides on records of files when it may.
type gated struct {
	charging.Charger
	wait func()
}

func (g gated) ChargeAll(b *core.Posts) {
	g.wait()
	g.Charger.ChargeAll(b)
}

// entered waits until so many files are being taken. It is not for the test's goroutine
// only.
func (m *mediation) entered(want int64) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for late := time.After(30 * time.Second); ; {
		var n int64
		err := m.db.Read(m.Context(), store.Scope{Tenant: "mno", Actor: "test"}, func(tx *store.Tx) error {
			return tx.Row("SELECT count(*) FROM charging_file WHERE tenant = $1 AND state = 'taking'").Scan(&n)
		})
		if err == nil && n == want {
			return
		}
		select {
		case <-tick.C:
		case <-late:
			m.Errorf("%d files are being taken, not %d, while one is charged: %v", n, want, err)
			return
		}
	}
}

// The files of a tenant do not wait for another whose usage cannot be written down.
func TestFilesDoNotWaitForAnotherTenant(t *testing.T) {
	each(t, func(w *world) {
		w.sell("mno", "line", "prepaid", "4917011")
		w.sell("rival", "other", "plan", "4917099")
		if err := w.db.Write(t.Context(), store.Scope{}, func(tx *store.Tx) error {
			_, err := tx.System().Exec("CREATE UNIQUE INDEX charging_usage_stuck ON charging_usage (tenant) WHERE tenant = 'rival'")
			return err
		}); err != nil {
			t.Fatal(err)
		}
		w.eats("4917099", "one", mib)
		w.eats("4917099", "two", mib) // it cannot be written, nor what comes behind it
		m := w.mediate(cdr.Format3GPP)
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		const files = 5
		began, ended := time.Now(), 0
		m.m.TakeEach(ctx, func(yield func(*charging.Feed, string) bool) {
			for i := range files {
				path := filepath.Join(m.dir, fmt.Sprint(i, ".cdr"))
				if err := cdr.Write(path, framed(t, uint32(i+1), session(fmt.Sprint("s", i), "4917011", 0, 1))); err != nil {
					t.Error(err)
					return
				}
				if !yield(&m.feed, path) {
					return
				}
			}
		}, func(f charging.File, err error) {
			if err != nil || f.State != "taken" {
				t.Errorf("%+v: %v", f, err)
			}
			ended++
		})
		if ended != files {
			t.Fatalf("%d of %d files ended in %s", ended, files, time.Since(began))
		}
		m.used(files * mib)
		if n := w.count("rival", "SELECT count(*) FROM charging_usage WHERE tenant = $1"); n > 1 {
			t.Fatalf("the other tenant has %d rows of usage: it is not stuck", n)
		}
	})
}

// While a file is charged, the next is entered already; and what becomes of each is as
// if they had come one by one, also of the same file under two names.
func TestTheNextFileIsEnteredWhileOneIsCharged(t *testing.T) {
	each(t, func(w *world) {
		w.sell("mno", "line", "prepaid", "4917011")
		m := w.mediate(cdr.Format3GPP)
		m.m.Through(gated{w.room.Engine, sync.OnceFunc(func() { m.entered(2) })})
		a, b := session("a", "4917011", 0, 1), session("b", "4917011", 0, 2)
		bodies := [][]byte{framed(t, 1, a), framed(t, 2, a, b), nil, framed(t, 4, session("c", "4917011", 0, 4))}
		bodies[2] = bodies[1]
		var ended []charging.File
		m.m.TakeEach(t.Context(), func(yield func(*charging.Feed, string) bool) {
			for i, name := range []string{"one.cdr", "two.cdr", "two again.cdr", "four.cdr"} {
				path := filepath.Join(m.dir, name)
				if err := cdr.Write(path, bodies[i]); err != nil {
					t.Error(err)
					return
				}
				if !yield(&m.feed, path) {
					return
				}
			}
		}, func(f charging.File, err error) {
			if err != nil {
				t.Errorf("%s: %v", f.Name, err)
			}
			ended = append(ended, f)
		})
		want := []struct {
			name, state                 string
			charged, duplicate, missing int64
		}{{"one.cdr", "taken", 1, 0, 0}, {"two.cdr", "taken", 1, 1, 0}, {"two again.cdr", "duplicate", 0, 0, 0}, {"four.cdr", "taken", 1, 0, 1}}
		if len(ended) != len(want) {
			t.Fatalf("%d files ended, not %d", len(ended), len(want))
		}
		for i, x := range want {
			if f := ended[i]; f.Name != x.name || f.State != x.state || f.Charged != x.charged || f.Duplicates != x.duplicate || f.Missing != x.missing {
				t.Errorf("%+v, not %+v", f, x)
			}
		}
		m.used(7 * mib)
	})
}
