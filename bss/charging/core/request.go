package core

import (
	"tandem/edge/credit"
)

// decide handles one request of a known subscriber; the shard is locked.
func (e *Engine) decide(sh *shard, account *Account, s, counted *Session, c *credit.Call) {
	r, a := &c.Request, &c.Answer
	t := e.turn(sh, account, s, r.Received)
	t.counted = counted
	switch {
	case account == nil: // its names are about to be forgotten
		a.Result = credit.UnknownUser
		t.happened(NoSubscriber, r, a)
	case r.Kind == credit.Event:
		e.event(t, r, a)
	case r.Kind == credit.Initial:
		e.initial(t, r, a)
	default:
		e.later(t, r, a)
	}
	e.submit(sh, t, c)
}

// who is the subscriber of the account that a request names.
func (t *turn) who(r *credit.Request) *Subscriber {
	for i := range t.a.Subscribers {
		s := &t.a.Subscribers[i]
		for j := range r.Subscribers {
			if s.names(&r.Subscribers[j]) {
				return s
			}
		}
	}
	return nil
}

// repeated answers a request that came before: with what it was told then, or, if
// it says something else now, with an error (R3, R4).
func (e *Engine) repeated(digest uint64, answer []byte, r *credit.Request, a *credit.Answer) {
	if digest != r.Digest {
		e.Stats.Clashes.Add(1)
		a.Result = credit.Clash
		return
	}
	e.Stats.Duplicates.Add(1)
	in := reader{b: answer}
	in.answer(a)
}

// answerAgain answers a request of a session, open or over, that came before. It
// is false if it did not.
func (e *Engine) answerAgain(s *Session, r *credit.Request, a *credit.Answer) bool {
	if digest, answer, ok := s.remembered(r); ok {
		e.repeated(digest, answer, r, a)
		return true
	}
	if !r.Numbered || !s.came(r.Number) || s.ancient(r.Number) {
		return false
	}
	// It came, and what it was told is forgotten: its client has gone on since.
	e.Stats.Duplicates.Add(1)
	for i := range r.Units {
		a.AddUnit(&r.Units[i])
	}
	return true
}

// initial opens a session. One that is open already under the name is ended first:
// its client has forgotten it.
func (e *Engine) initial(t *turn, r *credit.Request, a *credit.Answer) {
	if t.s != nil {
		if e.answerAgain(t.s, r, a) {
			return
		}
		if !r.Numbered && t.s.offline() {
			e.later(t, r, a) // a Start that comes late opens no second session (A4)
			return
		}
		e.end(t, Replaced)
	} else if o := t.ending(r); o != nil && (e.answerAgain(o, r, a) || t.overtaken(o, r)) {
		return
	}
	sub := t.who(r)
	if sub == nil {
		a.Result = credit.UnknownUser
		t.suspendAll(NoSubscriber, r, a)
		return
	}
	t.plan = sub.Plan
	if res := t.allowed(r, sub); res != credit.Success {
		a.Result = res
		t.suspendAll(ClosedAccount, r, a)
		return
	}
	s := roomy()
	s.of(t.sh.session+1, sub, r)
	if o := t.counted; o != nil && r.Numbered { // of what it reports some was suspended before
		s.Highest, s.seen = o.Highest, o.seen
	}
	t.begin(s)
	e.decideUnits(t, r, a, sub, false)
	e.finish(t, r, a)
}

// overtaken says that a report of a client that sends counters is older than the
// end of its session: the end has said it all (A4).
func (t *turn) overtaken(o *Session, r *credit.Request) bool {
	return !r.Numbered && r.At != 0 && r.At <= o.Said
}

// of makes an empty session that of a subscriber, as its first request has it.
func (s *Session) of(number uint64, sub *Subscriber, r *credit.Request) {
	var b [256]byte
	*s = Session{Number: number, Key: string(sessionKey(b[:0], r)), Sub: sub.ID, Service: r.Service, Face: r.Face, RAT: r.RAT, PLMN: r.PLMN,
		State: r.OriginState, Opened: r.Received, Last: r.Received, Offline: offline(r), Incoming: r.Incoming, Expires: r.Received + lateReport*defaultValidity*1e6,
		texts: textsOf(r), Groups: s.Groups}
}

// later handles an update or the end of a session.
func (e *Engine) later(t *turn, r *credit.Request, a *credit.Answer) {
	if t.s == nil {
		e.over(t, r, a)
		return
	}
	if e.answerAgain(t.s, r, a) {
		return
	}
	if r.Numbered && t.s.ancient(r.Number) { // nobody knows whether it came: a person decides
		e.Stats.Late.Add(1)
		t.suspendAll(DuplicateSuspect, r, a)
		for i := range r.Units {
			a.AddUnit(&r.Units[i])
		}
		return
	}
	sub := t.a.subscriber(t.s.Sub)
	if sub == nil { // it has left the account
		sub = &Subscriber{ID: t.s.Sub, State: Barred}
	}
	t.plan = sub.Plan
	late := r.Numbered && t.s.seen != 0 && r.Number < t.s.Highest
	if late { // charge what it used, grant nothing new (R5)
		e.Stats.Late.Add(1)
	}
	e.decideUnits(t, r, a, sub, late)
	e.finish(t, r, a)
	if r.Kind == credit.Terminate {
		e.end(t, NormalRelease)
	}
}

// over handles a request of a session that is not open.
func (e *Engine) over(t *turn, r *credit.Request, a *credit.Answer) {
	o := t.ending(r)
	if o != nil && (e.answerAgain(o, r, a) || t.overtaken(o, r)) {
		return
	}
	if r.Face == credit.RADIUS || r.Face == credit.File || offline(r) {
		e.adopt(t, r, a, o, true) // offline charging is stateless on order (O1)
		return
	}
	if o == nil && e.outage.trusts(r, t.at) {
		e.adopt(t, r, a, nil, false)
		return
	}
	a.Result = credit.UnknownSession
	reason := NoSession
	if o != nil && r.Numbered && o.ancient(r.Number) { // nobody knows whether it came before the end
		reason = DuplicateSuspect
	}
	t.suspendAll(reason, r, a)
	e.Stats.Suspended.Add(1)
}

func offline(r *credit.Request) bool {
	for i := range r.Units {
		for j := range r.Units[i].Used {
			if r.Units[i].Used[j].Quota == credit.Offline {
				return true
			}
		}
	}
	return false
}

// adopt opens a session in its middle or at its end. One that was over goes on from
// where its counters were.
func (e *Engine) adopt(t *turn, r *credit.Request, a *credit.Answer, o *Session, offline bool) {
	sub := t.who(r)
	if sub == nil {
		a.Result = credit.UnknownUser
		t.suspendAll(NoSubscriber, r, a)
		return
	}
	t.plan = sub.Plan
	s := roomy()
	s.of(t.sh.session+1, sub, r)
	s.Offline = s.Offline || offline
	if o != nil {
		s.Highest, s.seen, s.Said = o.Highest, o.seen, o.Said
		for i := range o.Groups {
			x := &o.Groups[i]
			g := s.addGroup()
			g.ID, g.Has, g.Heard, g.Reported = x.ID, x.Has, x.Heard, x.Reported
		}
	}
	t.begin(s)
	e.decideUnits(t, r, a, sub, false)
	e.finish(t, r, a)
	if r.Kind == credit.Terminate || o != nil && o != t.counted && r.Numbered {
		e.end(t, NormalRelease)
	}
}

// finish takes down the answer and when the session is to be heard of next.
func (e *Engine) finish(t *turn, r *credit.Request, a *credit.Answer) {
	validity, blocked := int64(0), false
	for i := range a.Units {
		g := &a.Units[i]
		validity = max(validity, int64(g.Validity))
		blocked = blocked || g.Final.Action != credit.NotFinal || g.Result == credit.LimitReached
	}
	for i := range t.s.Groups { // one that the request does not speak of still waits for more
		blocked = blocked || t.s.Groups[i].Final
	}
	if validity == 0 {
		validity = defaultValidity
	}
	said := r.At
	if said == 0 {
		said = t.at
	}
	t.heard(t.at+lateReport*validity*1e6, said, blocked)
	if r.Numbered || r.Digest != 0 {
		number := r.Number
		if !r.Numbered {
			number = t.s.autos
		}
		t.answer = putAnswer(t.answer[:0], a)
		t.keep(number, !r.Numbered, r.Digest, t.answer)
	}
	t.sh.look(t.a, upTo(t.s.Expires))
}

// end closes the session: what it had reserved is free again, for others too.
func (e *Engine) end(t *turn, cause Cause) {
	freed := false
	for i := range t.s.Groups {
		freed = freed || len(t.s.Groups[i].Holds) > 0
		t.free(i)
	}
	t.shut(cause)
	t.s = nil
	if freed {
		t.wakeBlocked()
	}
}
