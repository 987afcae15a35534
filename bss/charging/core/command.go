package core

import (
	"context"
	"errors"

	"tandem/edge/credit"
	"tandem/kit/fault"
)

// Command is a change of accounts that comes from the business: an order, a
// top-up, an agent. Number makes it happen once: a command carried out before is
// carried out no more.
type Command struct {
	Number uint64
	Ref    Ref
	Do     func(*Hand) error
}

// Hand is what a command may do with an account. If the command ends with an error,
// none of it has happened.
type Hand struct {
	t *turn
	e *Engine
}

// ErrAway says that this node does not decide for the account.
var ErrAway = errors.New("charging: another node decides for this account")

// Run carries out a command and returns when it is durable. done is true if it was
// carried out before; then nothing happened now. If Do fails, nothing has happened:
// what it did before it failed is undone.
func (e *Engine) Run(ctx context.Context, c Command) (done bool, err error) {
	wait := make(chan error, 1)
	done, err = e.runIn(e.shards[c.Ref.Shard()], c, func(err error) { wait <- err })
	if err != nil {
		return false, err
	}
	return done, e.await(ctx, wait)
}

// runIn carries out a command in its shard; durable is called when the outcome is.
func (e *Engine) runIn(sh *shard, c Command, durable func(error)) (done bool, err error) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if !sh.held.Load() {
		return false, ErrAway
	}
	if _, done = sh.commands[c.Number]; done && c.Number != 0 {
		e.submit(sh, &turn{sh: sh, after: []effect{{done: durable}}}, nil)
		return true, nil
	}
	t := e.turn(sh, sh.account(c.Ref.Slot()), nil, e.now())
	t.slot = c.Ref.Slot()
	before := t.photograph()
	t.left = t.left[:0]
	if err = c.Do(&Hand{t, e}); err != nil {
		t.undo(before)
		return false, err
	}
	if c.Number != 0 {
		t.command(c.Number)
	}
	for i := range t.left {
		t.release(&t.left[i])
	}
	if t.a != nil {
		t.lookAgain()
	}
	t.after = append(t.after, effect{done: durable})
	e.submit(sh, t, nil)
	return false, nil
}

// photograph is the account as it is before a command; nil: there is none.
func (t *turn) photograph() []byte {
	if t.a == nil {
		return nil
	}
	t.answer = putAccount(t.answer[:0], t.a)
	return t.answer
}

// undo makes the account what it was. A command changes nothing of a session but
// which buckets its grants hold.
func (t *turn) undo(before []byte) {
	if len(t.log) == 0 || t.a == nil {
		return
	}
	ref := NewRef(t.sh.number, t.slot)
	for i := range t.a.Subscribers {
		t.sh.names.remove(&t.a.Subscribers[i], ref)
	}
	if before == nil {
		t.sh.accounts[t.slot] = nil
		return
	}
	in := reader{b: before}
	was, now := in.account(), t.a
	was.slot, was.due, was.open, was.sessions = now.slot, now.due, now.open, now.sessions
	was.Buckets, was.Counters, was.Subscribers = append(now.Buckets[:0], was.Buckets...), append(now.Counters[:0], was.Counters...), append(now.Subscribers[:0], was.Subscribers...)
	*now = *was                                // in the memory that it has
	for i := len(t.shifted) - 1; i >= 0; i-- { // to a bucket that was made for it, and is gone
		t.rehold(t.shifted[i].to, t.shifted[i].from)
	}
	for i := range now.Subscribers {
		t.sh.names.add(&now.Subscribers[i], ref)
	}
}

func (e *Engine) await(ctx context.Context, wait chan error) error {
	select {
	case err := <-wait:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (h *Hand) exists() error {
	if h.t.a == nil {
		return fault.New(fault.NotFound, "charging.account", "This account is not open for charging")
	}
	return nil
}

// Open opens an account at the command's place.
func (h *Hand) Open(tenant uint32, currency uint16, mode Mode, anchor int64) error {
	if h.t.a != nil {
		return fault.Clash("charging.account", "This account is open for charging already")
	}
	a := newAccount(h.t.slot)
	a.Tenant, a.Currency, a.Mode, a.Anchor, a.Alive = tenant, currency, mode, anchor, h.t.now()
	if !h.t.sh.put(a) {
		return fault.BadInput("charging.account", "There is no place for account %d", h.t.slot)
	}
	h.t.setAccount(a)
	return nil
}

// Account is the account as it is. It must not be changed.
func (h *Hand) Account() *Account { return h.t.a }

// Now is the instant of the command, Unix seconds.
func (h *Hand) Now() int64 { return h.t.now() }

// SetState bars or lifts the account. Barring ends what is open.
func (h *Hand) SetState(s State) error {
	if err := h.exists(); err != nil || h.t.a.State == s {
		return err
	}
	h.t.setState(s)
	if s >= Barred {
		h.abort(func(*Session) bool { return true }, s)
	}
	return nil
}

// abort asks clients to end sessions.
func (h *Hand) abort(which func(*Session) bool, s State) {
	cause := credit.Barred
	if s == Closed {
		cause = credit.Ended
	}
	for x := h.t.a.sessions; x != nil; x = x.next {
		if which(x) {
			h.t.tell(x, true, cause)
		}
	}
}

// Subscribe adds a subscriber or changes one; an ID of 0 is given a new one. A
// change of plan or state acts on open sessions at once.
func (h *Hand) Subscribe(s Subscriber) (id uint16, err error) {
	if err := h.exists(); err != nil {
		return 0, err
	}
	if err := h.inCurrency(s.Plan); err != nil {
		return 0, err
	}
	old := h.t.a.subscriber(s.ID)
	if s.ID != 0 && old == nil || s.ID == 0 && h.t.a.nextSub == 1<<16-1 {
		return 0, fault.New(fault.NotFound, "charging.subscriber", "The account has no such subscriber, and no place for one")
	}
	if err := h.take(&s); err != nil {
		return 0, err
	}
	if s.ID == 0 {
		s.ID = h.t.a.nextSub + 1
	}
	changed := old != nil && (old.Plan != s.Plan || old.State != s.State)
	h.t.setSubscriber(s)
	if changed {
		h.renew(func(x *Session) bool { return x.Sub == s.ID }, s.State)
	}
	return s.ID, nil
}

// inCurrency says that a plan charges in the account's currency: an account has one.
func (h *Hand) inCurrency(plan uint32) error {
	if int(plan) >= len(h.t.book.plans) {
		return fault.New(fault.NotFound, "charging.plan", "There is no such plan")
	}
	for _, v := range h.t.book.plans[plan].Versions {
		if t := h.t.book.tariff(v.Tariff); t != nil && t.Currency.Number() != h.t.a.Currency {
			return fault.Clash("charging.currency", "The plan is priced in %s; the account is in another currency", t.Currency.Code())
		}
	}
	return nil
}

// take takes the names of a subscriber for the account, unless another account has
// one of them.
func (h *Hand) take(s *Subscriber) error {
	switch h.t.sh.names.take(s, NewRef(h.t.sh.number, h.t.slot)) {
	case credit.E164:
		return fault.Clash("charging.number", "The number belongs to another account")
	case credit.IMSI:
		return fault.Clash("charging.imsi", "The IMSI belongs to another account")
	case credit.NAI:
		return fault.Clash("charging.name", "The user name belongs to another account")
	}
	return nil
}

// renew lets open sessions ask anew, or ends them if the subscriber is barred.
func (h *Hand) renew(which func(*Session) bool, s State) {
	if s >= Barred {
		h.abort(which, s)
		return
	}
	for x := h.t.a.sessions; x != nil; x = x.next {
		if which(x) {
			h.t.tell(x, false, 0)
		}
	}
}

// Leave removes a subscriber; its sessions end.
func (h *Hand) Leave(id uint16) error {
	if err := h.exists(); err != nil {
		return err
	}
	if h.t.a.subscriber(id) == nil {
		return fault.New(fault.NotFound, "charging.subscriber", "The account has no such subscriber")
	}
	h.abort(func(s *Session) bool { return s.Sub == id }, Closed)
	h.t.leave(id)
	return nil
}

// Give adds a bucket and fills it.
func (h *Hand) Give(b Bucket, amount int64, why Why, ref string) (id uint32, err error) {
	if err := h.exists(); err != nil {
		return 0, err
	}
	d := h.t.book.definition(b.Def)
	if d == nil || d.Counter {
		return 0, fault.New(fault.NotFound, "charging.definition", "There is no such kind of bucket")
	}
	if b.From == 0 {
		b.From = h.t.now()
	}
	b.ID, b.Value, b.Held = h.t.a.nextBucket+1, 0, 0
	if err := inRange(amount, b.Initial, b.Limit); err != nil {
		return 0, err
	}
	b.Full = max(b.Initial, amount) // a first period may give a part of it
	if b.Initial == 0 || amount > 0 && d.Renew.Unit != 0 {
		b.Initial = amount
	}
	b.Pending = d.FirstUse > 0 && b.To == 0
	h.t.setBucket(b)
	if amount != 0 {
		h.t.credit(b.ID, amount, why, ref)
		h.t.toppedUp(amount, why)
	}
	h.t.wakeBlocked()
	return b.ID, nil
}

// most is the most that one amount of a bucket or limit may be, so that sums of them
// fit: 2 billion of the major unit, 2 EiB.
const most = 1 << 61

func inRange(amounts ...int64) error {
	for _, n := range amounts {
		if n > most || n < -most {
			return fault.BadInput("charging.tooMuch", "An amount is beyond what an account can hold")
		}
	}
	return nil
}

// Credit adds to a bucket, or takes from it if amount is negative; no more than is
// free can be taken. to is a new end of its validity, if not 0.
func (h *Hand) Credit(bucket uint32, amount int64, why Why, ref string, to int64) error {
	if err := h.exists(); err != nil {
		return err
	}
	i := h.t.a.bucket(bucket)
	if i < 0 {
		return fault.New(fault.NotFound, "charging.bucket", "The account has no such bucket")
	}
	b := h.t.a.Buckets[i]
	if amount < 0 && b.free() < -amount {
		return fault.Clash("charging.notEnough", "There is not enough in the bucket")
	}
	if err := inRange(amount, sum(b.Value, amount)); err != nil {
		return err
	}
	h.t.credit(bucket, amount, why, ref)
	h.t.toppedUp(amount, why)
	if amount > 0 || to > b.To {
		b = h.t.a.Buckets[i]
		b.Notified, b.Initial = 0, max(b.Initial, b.Value)
		if to > b.To && b.To != 0 {
			b.To = to
		}
		h.t.setBucket(b)
		h.t.overdue() // what could not be renewed for lack of money
		h.t.grow()
		h.t.wakeBlocked()
	}
	return nil
}

// Reverse takes back what was credited, also when it is spent already (P5).
func (h *Hand) Reverse(bucket uint32, amount int64, why Why, ref string) error {
	if err := h.exists(); err != nil {
		return err
	}
	i := h.t.a.bucket(bucket)
	if i < 0 {
		return fault.New(fault.NotFound, "charging.bucket", "The account has no such bucket")
	}
	if err := inRange(amount, sum(h.t.a.Buckets[i].Value, -amount)); err != nil {
		return err
	}
	h.t.credit(bucket, -amount, why, ref)
	if h.t.a.Buckets[i].free() < 0 { // what open grants count on is not there
		h.renew(func(*Session) bool { return true }, Active)
	}
	return nil
}

// Withdraw takes back the allowances of a subscriber: another plan gives others.
// What open grants hold stays until they are settled.
func (h *Hand) Withdraw(sub uint16) error {
	if err := h.exists(); err != nil {
		return err
	}
	for i := len(h.t.a.Buckets) - 1; i >= 0; i-- {
		b := h.t.a.Buckets[i]
		if d := h.t.book.definition(b.Def); b.Owner != sub || sub == 0 || d == nil || d.Main {
			continue
		}
		if left := b.Value - b.Held; left > 0 {
			h.t.credit(b.ID, -left, Expired, "")
		}
		if b.Held > 0 {
			b = h.t.a.Buckets[i]
			b.To, b.Tail = h.t.now(), true
			h.t.setBucket(b)
			continue
		}
		h.t.drop(b.ID)
	}
	return nil
}

// Boundary is when a bucket of a kind that begins now is filled again.
func (h *Hand) Boundary(def uint32) int64 {
	d := h.t.book.definition(def)
	if d == nil || h.t.a == nil || d.Renew.Unit == 0 {
		return 0
	}
	z := zone(d.Zone)
	return next(h.t.a.Anchor, unix(h.t.now(), z), z, d.Renew.Unit, d.Renew.Every)
}

// SetLimit sets the credit of a money bucket.
func (h *Hand) SetLimit(bucket uint32, limit int64) error {
	if err := h.exists(); err != nil {
		return err
	}
	i := h.t.a.bucket(bucket)
	if i < 0 || limit < 0 {
		return fault.New(fault.NotFound, "charging.bucket", "The account has no such bucket, or the limit is below zero")
	}
	if err := inRange(limit); err != nil {
		return err
	}
	b := h.t.a.Buckets[i]
	more := limit > b.Limit
	b.Limit = limit
	h.t.setBucket(b)
	if more {
		h.t.wakeBlocked()
	} else {
		h.renew(func(*Session) bool { return true }, Active)
	}
	return nil
}

// Cap sets a limit on what is counted; the count goes on. consent lifts a soft or
// regulatory stop for the rest of the period (P11, P14).
func (h *Hand) Cap(def uint32, owner uint16, limit int64, consent bool) error {
	if err := h.exists(); err != nil {
		return err
	}
	d := h.t.book.definition(def)
	if d == nil || !d.Counter {
		return fault.New(fault.NotFound, "charging.definition", "There is no such limit")
	}
	if err := inRange(limit); err != nil || limit < 0 {
		return fault.BadInput("charging.limit", "A limit is zero or more, and not beyond what an account can hold")
	}
	c := Counter{Def: def, Owner: owner, Ends: h.t.ends(d)}
	if i := h.t.a.counter(def, owner); i >= 0 {
		c = h.t.a.Counters[i]
	}
	more := limit > c.Limit || consent || limit == 0
	c.Limit, c.Consent, c.Lifted = limit, consent, false
	h.t.setCounter(c)
	if more {
		h.t.wakeBlocked()
	} else {
		h.renew(func(s *Session) bool { return owner == 0 || s.Sub == owner }, Active)
	}
	return nil
}

// Look calls fn with the account as it is, under the shard's lock.
func (e *Engine) Look(ref Ref, fn func(*Account)) error {
	sh := e.shards[ref.Shard()]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if !sh.held.Load() {
		return ErrAway
	}
	a := sh.account(ref.Slot())
	if a == nil {
		return fault.New(fault.NotFound, "charging.account", "This account is not open for charging")
	}
	fn(a)
	return nil
}

// Sessions calls fn for the open sessions of an account; use it inside Look.
func (a *Account) Sessions(fn func(*Session)) {
	for s := a.sessions; s != nil; s = s.next {
		fn(s)
	}
}

// Slot is the account's place in its shard.
func (a *Account) Slot() uint32 { return a.slot }

// Restarted ends the sessions of a client that has lost them: its Origin-State-Id
// rose, or it said so (R9, A5).
func (e *Engine) Restarted(face credit.Face, peer string, state uint32) (ended int) {
	now := e.now()
	for _, sh := range e.shards {
		sh.mu.Lock()
		if sh.held.Load() {
			ended += e.endAll(sh, now, face, peer, state)
		}
		sh.mu.Unlock()
	}
	return ended
}

// Restart is Restarted that returns when it is durable, for a client that is to be
// told so (RFC 2866 4.1).
func (e *Engine) Restart(ctx context.Context, face credit.Face, peer string, state uint32) (ended int, err error) {
	ended = e.Restarted(face, peer, state)
	wait := make(chan error, 1)
	for _, sh := range e.shards {
		if e.afterAll(sh, func(err error) { wait <- err }) {
			return ended, e.await(ctx, wait)
		}
	}
	return ended, ErrAway
}

// afterAll calls durable when what was decided up to now is; it is false if the
// shard is not held here.
func (e *Engine) afterAll(sh *shard, durable func(error)) bool {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if !sh.held.Load() {
		return false
	}
	e.submit(sh, &turn{sh: sh, after: []effect{{done: durable}}}, nil)
	return true
}

func (e *Engine) endAll(sh *shard, now int64, face credit.Face, peer string, state uint32) (ended int) {
	for _, a := range sh.accounts {
		if a == nil || a.sessions == nil {
			continue
		}
		for s := a.sessions; s != nil; {
			following := s.next
			if s.Face == face && s.Peer() == peer && (state == 0 || s.State < state) {
				t := e.turn(sh, a, s, now)
				e.end(t, PeerRestart)
				e.submit(sh, t, nil)
				ended++
			}
			s = following
		}
	}
	return ended
}
