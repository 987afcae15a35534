package store_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"tandem/kit/store"
	"tandem/kit/store/storetest"
)

var errBoom = errors.New("boom")

// crowd is a group of one lane whose first value waits in its transaction until so many
// others have come.
func crowd(db *store.DB, others int) (g *store.Group[int], calls *atomic.Int64) {
	calls = &atomic.Int64{}
	g = store.NewGroup(db, 1, 100, func(tx *store.Tx, all []int) error {
		calls.Add(1)
		for all[0] == 0 && g.Waiting() < others {
			runtime.Gosched()
		}
		for _, n := range all {
			tx.Insert("INSERT INTO item (tenant, id, n)", fmt.Sprint(n), n)
			if n < 0 {
				return errBoom
			}
		}
		return nil
	})
	return g, calls
}

func TestAGroupSharesATransaction(t *testing.T) {
	storetest.Each(t, schema, func(t *testing.T, db *store.DB) {
		const n = 40
		g, calls := crowd(db, n)
		var wg sync.WaitGroup
		write := func(i int) {
			s := mno
			if i%4 == 1 {
				s.Tenant = "mvno"
			}
			if err := g.Write(t.Context(), s, i); err != nil {
				t.Error(err)
			}
		}
		wg.Go(func() { write(0) })
		for calls.Load() == 0 {
			runtime.Gosched()
		}
		for i := range n {
			wg.Go(func() { write(i + 1) })
		}
		wg.Wait()
		if k := calls.Load(); k != 3 { // the first one; then all others, by tenant
			t.Errorf("%d calls", k)
		}
		if mine := count(t, db); mine != n+1-n/4 {
			t.Errorf("%d rows of the one tenant", mine)
		}
	})
}

func TestAFailureInAGroupTakesNothingOfTheOthers(t *testing.T) {
	storetest.Each(t, schema, func(t *testing.T, db *store.DB) {
		const n = 20
		g, calls := crowd(db, n)
		var wg sync.WaitGroup
		write := func(i int) {
			if err := g.Write(t.Context(), mno, i); (i < 0) != errors.Is(err, errBoom) {
				t.Errorf("%d: %v", i, err)
			}
		}
		wg.Go(func() { write(0) })
		for calls.Load() == 0 {
			runtime.Gosched()
		}
		for i := range n {
			wg.Go(func() {
				if i++; i%5 == 0 {
					i = -i
				}
				write(i)
			})
		}
		wg.Wait()
		if k := count(t, db); k != 1+n-n/5 {
			t.Errorf("%d rows", k)
		}
	})
}

func TestWhoGivesUpBeforeHisGroupWritesHasWrittenNothing(t *testing.T) {
	storetest.Each(t, schema, func(t *testing.T, db *store.DB) {
		g, calls := crowd(db, 2)
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := g.Write(t.Context(), mno, 0); err != nil {
				t.Error(err)
			}
		})
		for calls.Load() == 0 {
			runtime.Gosched()
		}
		ctx, cancel := context.WithCancel(t.Context())
		gone := make(chan error)
		go func() { gone <- g.Write(ctx, mno, 1) }()
		for g.Waiting() < 1 {
			runtime.Gosched()
		}
		cancel()
		if err := <-gone; !errors.Is(err, context.Canceled) {
			t.Errorf("who gave up: %v", err)
		}
		for i := range 2 {
			wg.Go(func() {
				if err := g.Write(t.Context(), mno, i+2); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if k := count(t, db); k != 3 {
			t.Errorf("%d rows", k)
		}
	})
}
