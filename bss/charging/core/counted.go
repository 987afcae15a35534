package core

import (
	"slices"

	"tandem/edge/credit"
)

// A client that counts since the session began says with each report what it said
// before, and more. Of a session of nobody only what a report adds goes into
// suspense, and how far its counters were is remembered like that of a session that
// is over. Who is charged for the session later goes on from there, wherever that
// was: each use is in suspense or charged, and never both.

// counts says that a request may have counters since its session began.
func counts(r *credit.Request) bool {
	return r.Face == credit.RADIUS && r.Kind != credit.Event
}

// counted is how far the counters of a session that is not open were, by what the
// shards here remember: nil if nothing. A session that begins is looked for only
// where sessions of nobody are. What another node remembers is not found: as long as
// the shards are spread over nodes, no session is one of nobody.
func (e *Engine) counted(r *credit.Request) *Session {
	if recalls(r) || begins(r) {
		return e.suspendedBefore(r)
	}
	if !counts(r) {
		return nil
	}
	if r.Kind == credit.Initial {
		return e.nobodys(r).heardOf(r)
	}
	var last *Session
	for _, sh := range e.shards {
		if s := sh.heardOf(r); s != nil && (last == nil || s.Said > last.Said) {
			last = s
		}
	}
	return last
}

// nobodys is the shard that decides on a session of nobody.
func (e *Engine) nobodys(r *credit.Request) *shard { return e.shards[textHash(r.Session)>>56] }

// heardOf is what the shard remembers of the counters of a session.
func (sh *shard) heardOf(r *credit.Request) *Session {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if !sh.held.Load() {
		return nil
	}
	o := sh.ending(r)
	if o == nil {
		return nil
	}
	return &Session{Said: o.Said, Highest: o.Highest, seen: o.seen, answers: o.answers, said: slices.Clone(o.said), Groups: slices.Clone(o.Groups)}
}

// ending is what is kept of the session of a request, if it is over: by this shard,
// or by another one that has heard of it later.
func (t *turn) ending(r *credit.Request) *Session {
	o := t.sh.ending(r)
	if t.counted != nil && (o == nil || t.counted.Said > o.Said) {
		return t.counted
	}
	return o
}

// suspendAll puts all use of a request into suspense; a is what it is told.
func (t *turn) suspendAll(reason Suspense, r *credit.Request, a *credit.Answer) {
	s, moved := t.uncharged(r), false
	for i := range r.Units {
		u := &r.Units[i]
		for j := range u.Used {
			x := &u.Used[j]
			totals := Totals{Seconds: x.Seconds, Input: x.Input, Output: x.Output, Events: x.Events}
			totals.Total, _ = x.Octets()
			if s != nil && x.Cumulative && totals.plausible() {
				moved = s.count(u, &totals, x.Narrow, t.saidAt(r, x)) || moved
			}
			if totals != (Totals{}) {
				t.suspend(reason, r, u, &totals)
			}
		}
	}
	if recalls(r) {
		t.recall(s, r, a)
		moved = r.Kind != credit.Event
	}
	if moved {
		b := keys.Get().(*[]byte)
		*b = sessionKey((*b)[:0], r)
		t.answer = putEnding(t.answer[:0], s)
		t.keepKey(keyOf(*b), 0, t.answer)
		keys.Put(b)
	}
}

// uncharged is the session of a request whose use is not charged, with its counters
// as far as they are known, or the numbers of its requests; nil if its client neither
// counts nor says what has happened.
func (t *turn) uncharged(r *credit.Request) *Session {
	numbers := recalls(r) && r.Kind != credit.Event
	if !counts(r) && !numbers {
		return nil
	}
	s := &Session{}
	if o := t.ending(r); o != nil {
		s.Said, s.Groups = o.Said, slices.Clone(o.Groups)
		if numbers {
			s.Highest, s.seen, s.answers, s.said = o.Highest, o.seen, o.answers, slices.Clone(o.said)
		}
	}
	said := t.at
	if r.At != 0 {
		said = r.At
	}
	if r.Kind != credit.Terminate {
		said-- // what comes in the same instant may be its end, which says more
	}
	s.Said = max(s.Said, said)
	return s
}

// count takes off counters what they were before; it is false if they say nothing
// new.
func (s *Session) count(u *credit.Unit, totals *Totals, narrow bool, at int64) bool {
	g := s.group(u.Group, u.HasGroup)
	if g == nil {
		g = s.addGroup()
		g.ID, g.Has = u.Group, u.HasGroup
	}
	now, by, how := g.growth(*totals, narrow, at)
	if *totals = by; how == stale {
		return false
	}
	g.Reported, g.Heard = now, at
	return true
}

// saidAt is the instant that a report speaks of.
func (t *turn) saidAt(r *credit.Request, x *credit.Used) int64 {
	switch {
	case x.At != 0:
		return x.At
	case r.At != 0:
		return r.At
	}
	return t.at
}

// plausible says that no counter is broken.
func (t *Totals) plausible() bool {
	return max(t.Seconds, t.Input, t.Output, t.Total, t.Events) <= plausible
}
