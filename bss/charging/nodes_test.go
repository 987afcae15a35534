package charging_test

import (
	"context"
	"io"
	"log/slog"
	"slices"
	"testing"
	"time"

	"tandem/bss/charging"
	"tandem/bss/subscription"
	"tandem/fact"
	"tandem/kit/access"
	"tandem/kit/journal"
	"tandem/kit/outbox"
	"tandem/kit/store"
	"tandem/kit/tmf"
	"tandem/kit/tmf/tmftest"
)

// TestANodeTakesOverWithThePriceListOfTheOther: a node runs, another sells by an
// offering that was made since, and goes. The first takes its accounts over with
// what they refer to: nothing of them is lost, and they are charged as they were.
func TestANodeTakesOverWithThePriceListOfTheOther(t *testing.T) {
	schemas := slices.Concat([]store.Schema{outbox.Schema(), access.Schema(), journal.Schema()}, subscription.Schemas, charging.Schemas)
	db := tmftest.Open(t, tmftest.Config(t, store.Postgres, schemas, kinds), schemas, kinds)
	w := &world{T: t, db: db, journal: db, facts: make(chan fact.BalanceChanged, 100), crossed: make(chan fact.ThresholdCrossed, 100),
		tenants: []string{"mno", "rival"}, host: "mno"}
	w.start() // has all shards
	w.serve()
	w.listen()
	second := charging.New(charging.Config{DB: db, Journal: db, Holder: tmf.NewID(), Address: "there", Lease: time.Second, PINKey: []byte("a key for tests"),
		Tenants: func(context.Context) ([]string, error) { return []string{"mno", "rival"}, nil }, Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err := second.Start(t.Context()); err != nil { // knows no offering, and has nothing to carry out
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := second.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	if held := second.Engine.Held().Len(); held != 0 {
		t.Fatalf("the second node has %d shards", held)
	}
	w.shelve("mno")
	w.sell("mno", "p1", "plan", "4915110000001")
	w.eats("4915110000001", "before", 1_000_000)
	w.until("the journal is projected", w.room.Idle)
	if err := w.room.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.room = second
	w.await("the second node to have all shards", func() bool { return second.Engine.Held().Len() == journal.Shards })
	w.eats("4915110000001", "after", 2_000_000)
	w.until("the journal is projected", second.Idle)
	if left := w.left("p1.2"); left != "97000000" {
		t.Fatalf("%s octets are left of 100,000,000 after 3,000,000 were used", left)
	}
	if found := w.balances(second, 1); len(found) > 0 {
		t.Fatal(found)
	}
}

func (w *world) until(what string, idle func(context.Context) error) {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), 30*time.Second)
	defer cancel()
	if err := idle(ctx); err != nil {
		w.Fatalf("waiting until %s: %v", what, err)
	}
}
