package radius

import (
	"context"
	"io"
	"log/slog"
	"math"
	"sync"
	"testing"
	"time"

	"tandem/kit/access"
	"tandem/kit/store"
	"tandem/kit/store/storetest"
	"tandem/oss/activation/driver"
)

// What one node changes, another hears of: a login that is made, suspended or removed. A brand of another host is none of its business.
func TestOtherNodesHearOfChanges(t *testing.T) {
	storetest.Each(t, Schemas, func(t *testing.T, db *store.DB) {
		sealer, err := access.NewSealer(make([]byte, 32))
		if err != nil {
			t.Fatal(err)
		}
		here, there := NewRegister(db, owner, sealer), NewRegister(db, owner, sealer)
		heard := make(chan string, 100)
		there.Changed = func(name string) { heard <- name }
		ctx, cancel := context.WithCancel(t.Context())
		var watching sync.WaitGroup
		watching.Go(func() { there.Watch(ctx, slog.New(slog.NewTextHandler(io.Discard, nil))) })
		defer watching.Wait()
		defer cancel()
		d, err := here.New(driver.Endpoint{})
		if err != nil {
			t.Fatal(err)
		}
		stranger, err := NewRegister(db, "finch", sealer).New(driver.Endpoint{})
		if err != nil {
			t.Fatal(err)
		}
		out := full(1)
		out.Attributes["enabled"] = "false"
		if _, err := stranger.Ensure(t.Context(), full(2)); err != nil {
			t.Fatal(err)
		}
		for _, want := range []driver.Desired{full(1), out, {Type: driver.RADIUSUser, Key: out.Key, Absent: true}} {
			if _, err := d.Ensure(t.Context(), want); err != nil {
				t.Fatal(err)
			}
			select {
			case got := <-heard:
				if got != want.Key {
					t.Fatalf("it hears of %q, not %q", got, want.Key)
				}
			case <-time.After(20 * time.Second):
				t.Fatalf("the other node does not hear of %s", want.Key)
			}
		}
	})
}

// The log is kept for a day.
func TestTheLogOfChangesIsPruned(t *testing.T) {
	storetest.Each(t, Schemas, func(t *testing.T, db *store.DB) {
		r := NewRegister(db, owner, nil)
		w := watcher{Register: r, tail: db.Tail("radius_change")}
		err := db.Write(t.Context(), r.scope, func(tx *store.Tx) error {
			tx.Append()
			for _, age := range []time.Duration{25 * time.Hour, 23 * time.Hour} {
				tx.Queue("INSERT INTO radius_change (tenant, name, at) VALUES ($1, $2, $3)", age.String(), store.Micros(tx.Now().Add(-age)))
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := w.prune(t.Context()); err != nil {
			t.Fatal(err)
		}
		if left, err := w.names(t.Context(), math.MaxInt64); err != nil || len(left) != 1 || left[0] != "23h0m0s" {
			t.Errorf("left: %v, %v", left, err)
		}
	})
}
