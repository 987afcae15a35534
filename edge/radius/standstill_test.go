package radius_test

import (
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"tandem/edge/credit"
	"tandem/edge/radius"
)

// unruly decides in any order, from several goroutines or at once, and is busy now and
// then, so that the gateway must ask again.
type unruly struct {
	calls chan *credit.Call
	busy  atomic.Int64
}

func (u *unruly) Charge(c *credit.Call) {
	switch rand.IntN(10) {
	case 0:
		c.Answer.Result = credit.Busy
		u.busy.Add(1)
		c.Done(c)
	case 1:
		c.Answer.Result = credit.Success
		c.Done(c)
	default:
		u.calls <- c
	}
}

func (u *unruly) decide() {
	var some []*credit.Call
	for c := range u.calls {
		some = append(some, c)
		for len(some) > 0 && (len(u.calls) == 0 || len(some) > 20) {
			i := rand.IntN(len(some))
			some[i].Answer.Result = credit.Success
			some[i].Done(some[i])
			some[i] = some[len(some)-1]
			some = some[:len(some)-1]
		}
	}
}

// The server never stands still: with places for few requests, several sockets, and a
// charger that answers in any order, every one of many requests is answered, also those
// that were turned away at first.
func TestServerGoesOnWhateverTheOrder(t *testing.T) {
	const requests = 20_000
	u := &unruly{calls: make(chan *credit.Call, requests)}
	for range 3 {
		go u.decide()
	}
	b := setup(t, func(c *radius.Config) { c.Charger, c.InFlight, c.Readers = u, 8, 3 })
	t.Cleanup(func() {
		b.server.Close() // nobody charges any more
		close(u.calls)
	})
	k := dial(t, b.server.AcctAddr(), func(c *radius.ClientConfig) { c.Ports, c.Wait, c.Tries = 6, 50*time.Millisecond, 1000 })
	var answered atomic.Int64
	all := make(chan struct{})
	for i := range requests {
		r := radius.Record{Phase: radius.Interim, User: "alice", Session: fmt.Sprint(i), Seconds: uint32(i)}
		err := k.Send(radius.AccountingRequest, r.Append, func(_ radius.Packet, err error) {
			if err != nil {
				t.Errorf("request %d: %v", i, err)
			}
			if answered.Add(1) == requests {
				close(all)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	select {
	case <-all:
	case <-time.After(time.Minute):
		t.Fatalf("it stands still after %d of %d answers: %+v", answered.Load(), requests, b.server.Stats())
	}
	if u.busy.Load() == 0 {
		t.Error("nobody was turned away")
	}
}
