package diameter

import (
	"context"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"tandem/edge/credit"
)

// till is a small charger that really counts: one pot of units for all, reservations by session and group, and a memory of what it
// has answered. It decides in a goroutine of its own, so that answers come from elsewhere.
type till struct {
	queue chan *credit.Call
	wg    sync.WaitGroup

	mu       sync.Mutex
	pot      uint64 // free units
	spent    uint64
	slice    uint64 // granted when the client asks for no amount
	barred   uint32 // a rating group that is denied
	final    credit.FinalUnit
	open     map[string]map[uint32]uint64
	answered map[string]told
	repeats  int
	seen     []credit.Request // copies without slices
	hold     chan struct{}    // if set, decisions wait for it
}

type told struct {
	digest uint64
	answer credit.Answer
}

func newTill(t testing.TB, pot uint64) *till {
	k := &till{
		queue:    make(chan *credit.Call, 65536),
		pot:      pot,
		slice:    1000,
		barred:   66,
		final:    credit.FinalUnit{Action: credit.FinalTerminate},
		open:     map[string]map[uint32]uint64{},
		answered: map[string]told{},
	}
	k.wg.Go(func() {
		for call := range k.queue {
			if k.hold != nil {
				<-k.hold
			}
			k.decide(&call.Request, &call.Answer)
			call.Done(call)
		}
	})
	t.Cleanup(func() {
		close(k.queue)
		k.wg.Wait()
	})
	return k
}

func (k *till) Charge(call *credit.Call) { k.queue <- call }

func (k *till) decide(q *credit.Request, a *credit.Answer) {
	k.mu.Lock()
	defer k.mu.Unlock()
	id := string(q.Peer) + "|" + string(q.Session) + "|" + string(rune(q.Number)) + "|" + string(rune(q.SubSession))
	if old, ok := k.answered[id]; ok {
		k.repeats++
		if old.digest != q.Digest {
			a.Result = credit.Clash
			return
		}
		*a = clone(&old.answer)
		return
	}
	k.seen = append(k.seen, *q)
	k.settle(q, a)
	k.answered[id] = told{q.Digest, clone(a)}
}

func clone(a *credit.Answer) credit.Answer {
	c := *a
	c.Units = slices.Clone(a.Units)
	c.Refund = slices.Clone(a.Refund)
	return c
}

func amount(u *credit.Units) uint64 {
	if n, ok := u.Octets(); ok {
		return n
	}
	return u.Seconds + u.Events
}

func (k *till) settle(q *credit.Request, a *credit.Answer) {
	session := string(q.Session)
	if q.Kind == credit.Initial {
		k.open[session] = map[uint32]uint64{}
	}
	reserved, ok := k.open[session]
	if !ok && q.Kind != credit.Event {
		a.Result = credit.UnknownSession
		return
	}
	a.Failover, a.Failure = true, credit.FailRetry
	for i := range q.Units {
		u, g := &q.Units[i], a.AddUnit(&q.Units[i])
		k.pot += reserved[u.Group]
		delete(reserved, u.Group)
		for j := range u.Used {
			k.take(amount(&u.Used[j].Units))
		}
		if u.Asked {
			k.grant(q, u, a, g, reserved)
		}
	}
	if q.Kind == credit.Terminate {
		for _, n := range reserved {
			k.pot += n
		}
		delete(k.open, session)
	}
}

func (k *till) take(n uint64) {
	k.spent += n
	k.pot -= min(n, k.pot)
}

func (k *till) grant(q *credit.Request, u *credit.Unit, a *credit.Answer, g *credit.Granted, reserved map[uint32]uint64) {
	n := min(orElse(amount(&u.Want), k.slice), k.pot)
	switch {
	case u.HasGroup && u.Group == k.barred:
		g.Result = credit.Denied
		return
	case n == 0:
		g.Result = credit.LimitReached
		return
	}
	if n == k.pot {
		g.Final = k.final
	}
	switch has := orElse(u.Want.Has, credit.HasTotal); {
	case has&credit.HasSeconds != 0:
		g.Grant = credit.Units{Has: credit.HasSeconds, Seconds: n}
	case has&credit.HasEvents != 0:
		g.Grant = credit.Units{Has: credit.HasEvents, Events: n}
	default:
		g.Grant = credit.Units{Has: credit.HasTotal, Total: n}
	}
	g.Validity = 600
	if q.Kind == credit.Event {
		a.Refund = append(a.Refund[:0], q.Session...)
		k.take(n)
		return
	}
	k.pot -= n
	reserved[u.Group] = n
}

func (k *till) figures() (pot, spent uint64, repeats int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.pot, k.spent, k.repeats
}

const (
	ocsHost, ocsRealm = "ocs.oss.test", "oss.test"
	pgwHost, pgwRealm = "pgw.core.test", "core.test"
)

// serve starts a server on a loopback port; change may alter its configuration.
func serve(t testing.TB, k credit.Charger, change func(*Config)) (*Server, string) {
	t.Helper()
	cfg := Config{Host: ocsHost, Realm: ocsRealm, StateID: 7, Peers: []Peer{{Host: pgwHost, Realm: pgwRealm}}}
	if change != nil {
		change(&cfg)
	}
	s, err := New(cfg, k)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		s.Close(ctx)
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return s, l.Addr().String()
}

// dial connects our own client; change may alter its configuration.
func dial(t testing.TB, addr string, change func(*ClientConfig)) *Client {
	t.Helper()
	cfg := ClientConfig{Host: pgwHost, Realm: pgwRealm, ToRealm: ocsRealm, StateID: 3}
	if change != nil {
		change(&cfg)
	}
	c, err := Dial(t.Context(), addr, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		c.Close(ctx)
	})
	return c
}

// ask charges one request through a charger and returns the answer.
func ask(t testing.TB, c credit.Charger, q credit.Request) credit.Answer {
	t.Helper()
	call := &credit.Call{Request: q}
	done := make(chan struct{})
	call.Done = func(*credit.Call) { close(done) }
	c.Charge(call)
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		t.Fatal("no answer")
	}
	return call.Answer
}

// data is a request of a data session with one rating group.
func data(session string, kind credit.Kind, number uint32, used uint64) credit.Request {
	q := credit.Request{Kind: kind, Number: number, Numbered: true, Service: credit.Data, Session: []byte(session),
		Subscribers: []credit.Subscriber{{Type: credit.E164, ID: []byte("4799000001")}, {Type: credit.IMSI, ID: []byte("242010000000001")}}}
	u := credit.Unit{HasGroup: true, Group: 10, Asked: kind != credit.Terminate}
	if kind != credit.Initial {
		u.Used = []credit.Used{{Units: credit.Units{Has: credit.HasTotal | credit.HasInput | credit.HasOutput,
			Total: used, Input: used / 4, Output: used - used/4}}}
	}
	q.Units = []credit.Unit{u}
	return q
}
