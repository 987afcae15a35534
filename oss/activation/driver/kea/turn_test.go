package kea

import (
	"testing"
	"time"

	"tandem/kit/store"
	"tandem/kit/store/storetest"
)

const agent = "127.0.0.1:8000"

// asks is one look whether the turn is free.
func (t *turn) asks(tb testing.TB, want bool) {
	tb.Helper()
	got, err := t.ask(tb.Context())
	if err != nil || got != want {
		tb.Fatalf("the turn of %s: %v, %v; want %v", t.me, got, err, want)
	}
}

// A turn is one node's, goes to who waits for it, and says what is on the disk.
func TestTurns(t *testing.T) {
	storetest.Each(t, Schemas, func(t *testing.T, db *store.DB) {
		s := NewTurns(db, "northwind")
		as := func(name string) *turn { return &turn{of: s, address: agent, me: name, cancel: func() {}} }
		a, b, c := as("a"), as("b"), as("c")
		a.asks(t, true)
		b.asks(t, false)
		c.asks(t, false)
		other := as("a")
		other.address = "127.0.0.1:8001"
		other.asks(t, true)
		a.written = true
		a.end(t.Context())
		as("a").asks(t, false) // b was before
		c.asks(t, false)
		b.asks(t, true)
		if !b.written {
			t.Error("what the one before has written is not known")
		}
		b.written = false // its write failed
		b.end(t.Context())
		c.asks(t, true)
		if c.written {
			t.Error("what the one before could not write counts as written")
		}
	})
}

// A node that dies with the turn has it until its lease is over; what is on the disk is not known then.
func TestTurnOfTheDead(t *testing.T) {
	storetest.Each(t, Schemas, func(t *testing.T, db *store.DB) {
		s := NewTurns(db, "northwind")
		dead := &turn{of: s, address: agent, me: "dead", cancel: func() {}}
		dead.asks(t, true)
		dead.written = true
		dead.end(t.Context())
		s.lease = 300 * time.Millisecond
		dead.asks(t, true)
		since := time.Now()
		_, heir, err := s.take(t.Context(), agent)
		if err != nil {
			t.Fatal(err)
		}
		defer heir.end(t.Context())
		if waited := time.Since(since); waited < 200*time.Millisecond || heir.written {
			t.Errorf("it waited %v, and takes all for written is %v", waited, heir.written)
		}
	})
}
