// Package nchf_test lets foreign software speak with edge/nchf: the Nchf client of free5GC, and 3GPP's own OpenAPI files as judges of
// every body.
package nchf_test

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"tandem/edge/credit"
	"tandem/edge/nchf"
)

// core is a charger: it grants 1 GiB to who asks, adds up what was used, and answers a repetition with what it said first.
type core struct {
	mu     sync.Mutex
	used   map[string]uint64
	seen   map[uint64]bool
	answer func(*credit.Call) // says more than that, if set
}

func (c *core) Charge(call *credit.Call) {
	c.mu.Lock()
	q, a := &call.Request, &call.Answer
	again := c.seen[q.Digest]
	c.seen[q.Digest] = true
	for i := range q.Units {
		u := &q.Units[i]
		for j := range u.Used {
			if n, ok := u.Used[j].Octets(); ok && !again {
				c.used[string(q.Session)] += n
			}
		}
		g := a.AddUnit(u)
		if u.Asked {
			g.Grant, g.Validity = credit.Units{Has: credit.HasTotal, Total: 1 << 30}, 3600
		}
	}
	if c.answer != nil {
		c.answer(call)
	}
	c.mu.Unlock()
	go call.Done(call)
}

func newCore() *core { return &core{used: map[string]uint64{}, seen: map[uint64]bool{}} }

var key = []byte("0123456789abcdef")

func serve(t *testing.T, cfg nchf.Config, c credit.Charger) (*nchf.Server, string) {
	t.Helper()
	cfg.Key = key
	s, err := nchf.New(cfg, c)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go s.Serve(l)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := s.Close(ctx); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s, l.Addr().String()
}
