package core

import (
	"errors"
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

// outage is the time in which nothing can be made durable, and who was granted
// something in it.
type outage struct {
	mu      sync.Mutex
	since   int64            // Unix microseconds; 0: there is none
	trusted map[string]int64 // keys of sessions that nobody has opened, until when, Unix microseconds
}

const (
	patience    = 5 * time.Second // in which a client had better ask again
	mostTrusted = 1 << 16
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
// there is no such outage, or too many were trusted in it.
func (o *outage) take(r *credit.Request, now int64) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.since == 0 || now-o.since < patience.Microseconds() || len(o.trusted) >= mostTrusted {
		return false
	}
	if o.trusted == nil {
		o.trusted = map[string]int64{}
	}
	var b [256]byte
	o.trusted[string(sessionKey(b[:0], r))] = now + 24*3600*1e6
	return true
}

// trusts says that a session which is not open was granted something by default; it
// is asked once.
func (o *outage) trusts(r *credit.Request, now int64) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.trusted) == 0 {
		return false
	}
	for key, until := range o.trusted {
		if until < now {
			delete(o.trusted, key)
		}
	}
	var b [256]byte
	key := string(sessionKey(b[:0], r))
	_, ok := o.trusted[key]
	delete(o.trusted, key)
	return ok
}
