package core

import "tandem/edge/credit"

// Sweep does what time brings: it ends stale sessions, lets buckets expire or
// fills them again, starts counters anew and moves accounts along their life. It is
// called every second.
func (e *Engine) Sweep() {
	now := e.now()
	for _, sh := range e.shards {
		sh.mu.Lock()
		for sh.held.Load() {
			at, slot, ok := sh.due.take(now / 1e6)
			if !ok {
				break
			}
			if a := sh.account(slot); a != nil && a.due == at {
				a.due = 0
				e.lookAt(sh, a, now)
			}
		}
		sh.mu.Unlock()
	}
}

// lookAt brings one account up to date.
func (e *Engine) lookAt(sh *shard, a *Account, now int64) {
	for s := a.sessions; s != nil; {
		following := s.next
		if s.Expires <= now {
			t := e.turn(sh, a, s, now)
			t.tell(s, true, credit.Stale)
			e.end(t, StaleSession)
			e.submit(sh, t, nil)
		} else {
			sh.look(a, upTo(s.Expires))
		}
		s = following
	}
	t := e.turn(sh, a, nil, now)
	t.overdue()
	t.aheadOfTheEnd()
	for i := range a.Counters {
		t.restart(i)
	}
	t.grow()
	if len(t.log) > 0 {
		t.wakeBlocked()
		e.submit(sh, t, nil)
	}
	t.lookAgain()
}

// lookAgain sees to it that the sweeper looks at the account when time brings
// something, but for its sessions.
func (t *turn) lookAgain() {
	t.sh.look(t.a, t.a.nextDue(t.now()))
	for i := range t.a.Buckets {
		if at := t.warnAt(&t.a.Buckets[i]); at > t.now() {
			t.sh.look(t.a, at)
		}
	}
	if _, next := t.stage(); next != 0 {
		t.sh.look(t.a, max(next, t.now()+1))
	}
}

// NoticeAhead is the bit of the notice that a bucket will end soon (P9); those below
// are indexes of Definition.Notices.
const NoticeAhead = 7

// warnAt is when the notice that a bucket will end is given; 0: never, or it was.
func (t *turn) warnAt(b *Bucket) int64 {
	d := t.book.definition(b.Def)
	if d == nil || d.Ahead == 0 || b.To == 0 || b.Tail || b.Notified&(1<<NoticeAhead) != 0 {
		return 0
	}
	return b.To - d.Ahead
}

func (t *turn) aheadOfTheEnd() {
	for i := range t.a.Buckets {
		b := &t.a.Buckets[i]
		if at := t.warnAt(b); at != 0 && at <= t.now() && b.Value > 0 {
			t.notice(false, b.ID, b.Owner, NoticeAhead)
		}
	}
}

// overdue ends or renews the buckets whose time is over.
func (t *turn) overdue() {
	for i := len(t.a.Buckets) - 1; i >= 0; i-- {
		if b := t.a.Buckets[i]; b.To != 0 && b.To <= t.now() {
			t.over(b)
		}
	}
}

// stage is where in its life the account should be now, and when the next stage
// begins (0: never).
func (t *turn) stage() (State, int64) {
	if t.a.Mode != Prepaid {
		return Active, 0
	}
	return t.book.life(t.a.Tenant).stage(t.a.Alive, t.now())
}

// grow moves the account to the stage of life its age has (P8). A closed one comes
// to life no more.
func (t *turn) grow() {
	s, _ := t.stage()
	if t.a.Stage == Closed || s == t.a.Stage {
		return
	}
	worse := s > t.a.Stage
	t.setStage(s)
	if !worse {
		return
	}
	for x := t.a.sessions; x != nil; x = x.next {
		if s >= Barred || !x.Incoming {
			t.tell(x, true, credit.Barred)
		}
	}
}

// tell tells the client of a session something, once this turn is durable: that it
// is over, or that it must ask anew.
func (t *turn) tell(s *Session, abort bool, cause credit.Cause) {
	t.after = append(t.after, effect{abort: abort, cause: cause, face: s.Face, peer: s.Peer(), name: s.Name(), back: s.text(textBack),
		ref: NewRef(t.sh.number, t.a.slot), number: s.Number})
}

// wakeBlocked lets the sessions that were told there is nothing left ask anew
// (Q11, Q14). One of a line is told by its access server, which hears of it always:
// its reports ask for nothing.
func (t *turn) wakeBlocked() {
	for s := t.a.sessions; s != nil; s = s.next {
		if (s.Blocked || s.Face == credit.RADIUS) && (!t.once || s != t.s) {
			t.tell(s, false, 0)
		}
	}
}

// answered hears how a client took what it was told. One that does not know the
// session has lost it: it is closed here with the last use it reported (Q14).
func (e *Engine) answered(ref Ref, number uint64, o credit.Outcome) {
	if o != credit.Gone {
		return
	}
	sh := e.shards[ref.Shard()]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	a := sh.account(ref.Slot())
	if !sh.held.Load() || a == nil {
		return
	}
	for s := a.sessions; s != nil; s = s.next {
		if s.Number == number {
			t := e.turn(sh, a, s, e.now())
			e.end(t, AbnormalRelease)
			e.submit(sh, t, nil)
			return
		}
	}
}

// over ends a bucket at its last instant: what is left expires, rolls over, or the
// bucket is filled again for the next period. What open grants hold of it stays with
// them until they are settled: in the bucket itself, or in one split off for it (P3).
func (t *turn) over(b Bucket) {
	d := t.book.definition(b.Def)
	if d == nil {
		return // nobody knows what becomes of it; see strange
	}
	renews := d.Renew.Unit != 0 && !b.Tail
	if renews && b.Held > 0 {
		t.splitOff(b)
		b = t.a.Buckets[t.a.bucket(b.ID)]
	}
	left := b.Value - b.Held
	if d.Rollover.Percent > 0 && left > 0 {
		left -= t.rollOver(b, d, left)
	}
	if renews && t.payRenewal(d) {
		t.expire(b.ID, left)
		t.refill(b.ID, d)
		return
	}
	if renews && d.Renew.Grace > 0 && t.now() < b.To+d.Renew.Grace {
		t.expire(b.ID, left) // it cannot be used; the price is asked for again, and at each top-up
		return
	}
	if b.Held > 0 {
		return // an open grant settles to it first
	}
	t.expire(b.ID, left)
	t.drop(b.ID)
}

func (t *turn) expire(id uint32, left int64) {
	if left > 0 {
		t.credit(id, -left, Expired, "")
	}
}

// splitOff leaves what open grants hold of a bucket in one of its own, which ends
// with them.
func (t *turn) splitOff(b Bucket) {
	tail := Bucket{ID: t.a.nextBucket + 1, Def: b.Def, Owner: b.Owner, From: b.From, To: b.To, Initial: b.Held, Tail: true, Notified: 0xff, Source: b.Source}
	t.setBucket(tail)
	t.credit(tail.ID, b.Held, RolledOver, "")
	t.credit(b.ID, -b.Held, RolledOver, "")
	t.shift(b.ID, tail.ID)
}

// refill begins the next period of a bucket: the one that holds now, if some were
// missed. Sessions that pay otherwise are asked to report, so that they may draw on
// it (P2).
func (t *turn) refill(id uint32, d *Definition) {
	b := t.a.Buckets[t.a.bucket(id)]
	z := zone(d.Zone)
	to := next(t.a.Anchor, unix(t.now(), z), z, d.Renew.Unit, d.Renew.Every)
	if next(t.a.Anchor, unix(b.To, z), z, d.Renew.Unit, d.Renew.Every) == to {
		b.From = b.To
	} else {
		b.From = t.now()
	}
	if b.Full == 0 {
		b.Full = b.Initial
	}
	b.To, b.Cycle, b.Notified, b.Initial = to, b.Cycle+1, 0, b.Full
	t.setBucket(b)
	t.credit(id, b.Full, Renewed, "")
	for s := t.a.sessions; s != nil; s = s.next {
		if !s.Blocked && s.paysMoney(t) { // those that are blocked are told anyway
			t.tell(s, false, 0)
		}
	}
}

// paysMoney says that an open grant of the session is paid with money.
func (s *Session) paysMoney(t *turn) bool {
	for i := range s.Groups {
		for _, h := range s.Groups[i].Holds {
			if b := t.a.bucket(h.Bucket); h.Bucket != 0 && b >= 0 && t.unitOf(b) == Money {
				return true
			}
		}
	}
	return false
}

// rollOver keeps a part of what is left in a bucket of its own, for so many periods
// as the definition says. What comes out of the same period later goes to the same
// bucket, and under the same cap.
func (t *turn) rollOver(b Bucket, d *Definition, left int64) (kept int64) {
	to := t.book.definition(d.Rollover.Def)
	if to == nil {
		return 0
	}
	kept = left/100*d.Rollover.Percent + left%100*d.Rollover.Percent/100
	z := zone(d.Zone)
	unit, every := byte('m'), 1
	if d.Renew.Unit != 0 {
		unit, every = d.Renew.Unit, d.Renew.Every
	}
	until := b.To
	for range max(1, d.Rollover.Cycles) {
		until = next(t.a.Anchor, unix(until, z), z, unit, every)
	}
	into := Bucket{ID: t.a.nextBucket + 1, Def: to.ID, Owner: b.Owner, From: b.To, To: until, Source: b.Source}
	for i := range t.a.Buckets {
		if x := &t.a.Buckets[i]; x.Def == to.ID && x.From == b.To && x.Owner == b.Owner && x.Source == b.Source {
			into = *x
		}
	}
	if d.Rollover.Max > 0 {
		kept = min(kept, d.Rollover.Max-into.Initial)
	}
	if kept <= 0 || until <= t.now() {
		return 0
	}
	into.Initial += kept
	t.setBucket(into)
	t.credit(into.ID, kept, RolledOver, "")
	t.credit(b.ID, -kept, RolledOver, "")
	return kept
}

// payRenewal takes the price of the next period; false if the money is short.
func (t *turn) payRenewal(d *Definition) bool {
	if d.Renew.Price == 0 {
		return true
	}
	m := t.main()
	if m < 0 || t.a.Buckets[m].free() < d.Renew.Price {
		return false
	}
	t.credit(t.a.Buckets[m].ID, -d.Renew.Price, Fee, "")
	return true
}
