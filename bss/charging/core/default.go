package core

import (
	"errors"
	"slices"
	"sync"
	"time"

	"tandem/edge/credit"
	"tandem/kit/journal"
)

// Default is a small fixed grant for the time when nothing can be said: when what is
// used has no price yet, or when nothing can be made durable (R10). Nothing is
// reserved for it. What is used of it is charged later, or waits in suspense.
type Default struct {
	Service  credit.Service
	Group    uint32       // rating group; 0: all
	Units    credit.Units // of one kind
	Validity uint32       // seconds; 0: defaultValidity
}

// fallback is the default grant of a rating group, nil if there is none.
func fallback(list []Default, s credit.Service, u *credit.Unit) *Default {
	for i := range list {
		if d := &list[i]; d.Service == s && (d.Group == 0 || u.HasGroup && d.Group == u.Group) {
			return d
		}
	}
	return nil
}

// give is the grant.
func (d *Default) give(g *credit.Granted) {
	g.Result, g.Grant, g.Validity = credit.Success, d.Units, d.Validity
	if g.Validity == 0 {
		g.Validity = defaultValidity
	}
}

// unrated is the default grant of a group that has no price, nil if there is none.
func (t *turn) unrated(u *credit.Unit) *Default {
	if t.once || int(t.a.Tenant) >= len(t.book.tenants) {
		return nil
	}
	return fallback(t.book.tenants[t.a.Tenant].Defaults, t.s.Service, u)
}

// welcome grants by default what somebody asks for who is not known: what he reports is
// in suspense, until he is. It is false where there is no such default.
func (e *Engine) welcome(c *credit.Call) bool {
	r, a := &c.Request, &c.Answer
	if r.Kind == credit.Event || r.Face == credit.RADIUS || r.Face == credit.File || len(r.Subscribers) == 0 {
		return false
	}
	if !slices.ContainsFunc(e.Strangers, func(d Default) bool { return d.Service == r.Service }) {
		return false
	}
	for i := range r.Units {
		if fallback(e.Strangers, r.Service, &r.Units[i]) == nil {
			return false
		}
	}
	a.Reset()
	for i := range r.Units {
		if g := a.AddUnit(&r.Units[i]); r.Units[i].Asked {
			fallback(e.Strangers, r.Service, &r.Units[i]).give(g)
		}
	}
	e.Stats.Welcomed.Add(1)
	return true
}

// outage is the time in which nothing can be made durable, and who was granted
// something in it.
type outage struct {
	mu    sync.Mutex
	since int64         // Unix microseconds; 0: there is none
	until map[key]int64 // sessions that nobody has opened, Unix microseconds
	order []trusted     // of them the last ones; the oldest is at next when it is full
	next  int
}

// trusted is a session that was granted something in an outage.
type trusted struct {
	key   key
	until int64
}

const (
	patience    = 5 * time.Second // in which a client had better ask again
	trustKept   = 24 * time.Hour
	mostTrusted = 1 << 16 // the oldest is forgotten for the next: what it reports is in suspense
)

// begins takes down that appends fail. A node that was fenced has no outage: another
// one decides.
func (o *outage) begins(now int64, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.since == 0 && !errors.Is(err, journal.ErrFenced) {
		o.since = now
	}
}

func (o *outage) ends() {
	o.mu.Lock()
	o.since = 0
	o.mu.Unlock()
}

// trust grants by default what a call asks for that cannot be decided on, if it
// opens a session and reports no use: use that cannot be written down is not taken.
func (e *Engine) trust(c *credit.Call) bool {
	r, a := &c.Request, &c.Answer
	if len(e.Defaults) == 0 || r.Kind != credit.Initial || len(r.Units) == 0 {
		return false
	}
	for i := range r.Units {
		if u := &r.Units[i]; !u.Asked || len(u.Used) > 0 || fallback(e.Defaults, r.Service, u) == nil {
			return false
		}
	}
	if !e.outage.take(r, e.now()) {
		return false
	}
	a.Reset()
	for i := range r.Units {
		fallback(e.Defaults, r.Service, &r.Units[i]).give(a.AddUnit(&r.Units[i]))
	}
	e.Stats.Trusted.Add(1)
	return true
}

// take remembers a session that is granted something in an outage that lasts; false:
// there is no such outage.
func (o *outage) take(r *credit.Request, now int64) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.since == 0 || now-o.since < patience.Microseconds() {
		return false
	}
	if o.until == nil {
		o.until = map[key]int64{}
	}
	x := trusted{outageKey(r), now + trustKept.Microseconds()}
	if until, again := o.until[x.key]; again && now <= until {
		return true
	}
	o.until[x.key] = x.until
	if len(o.order) < mostTrusted {
		o.order = append(o.order, x)
		return true
	}
	if old := o.order[o.next]; o.until[old.key] == old.until {
		delete(o.until, old.key)
	}
	o.order[o.next] = x
	o.next = (o.next + 1) % mostTrusted
	return true
}

// trusts says that a session which is not open was granted something by default; it
// is asked once.
func (o *outage) trusts(r *credit.Request, now int64) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.until) == 0 {
		return false
	}
	k := outageKey(r)
	until, ok := o.until[k]
	delete(o.until, k)
	return ok && now <= until
}

func outageKey(r *credit.Request) key {
	var b [256]byte
	return keyOf(sessionKey(b[:0], r))
}
