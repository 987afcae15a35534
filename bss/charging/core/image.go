package core

import (
	"math"
	"slices"

	"tandem/edge/credit"
)

// Images of state, for pages and for records that make something new.

func putBucket(b []byte, k *Bucket) []byte {
	b = putU(putU(putU(b, uint64(k.ID)), uint64(k.Def)), uint64(k.Owner))
	b = append(putB(append(b, k.Notified), k.Pending), flags(k.Tail, k.Source != 0))
	b = putI(putI(putU(b, uint64(k.Cycle)), k.From), k.To)
	b = putI(putI(putI(putI(putI(b, k.Initial), k.Value), k.Held), k.Limit), k.Full)
	if k.Source != 0 {
		b = putU(b, uint64(k.Source))
	}
	return b
}

func (r *reader) bucket() (k Bucket) {
	k.ID, k.Def, k.Owner = uint32(r.u()), uint32(r.u()), uint16(r.u())
	k.Notified, k.Pending = r.byte(), r.bool()
	set := r.byte()
	k.Tail = set&1 != 0
	k.Cycle, k.From, k.To = uint32(r.u()), r.i(), r.i()
	k.Initial, k.Value, k.Held, k.Limit, k.Full = r.i(), r.i(), r.i(), r.i(), r.i()
	if set&2 != 0 {
		k.Source = Source(r.u())
	}
	return k
}

func putCounter(b []byte, c *Counter) []byte {
	b = putU(putU(b, uint64(c.Def)), uint64(c.Owner))
	b = append(b, c.Notified, flags(c.Consent, c.Given, c.Lifted), c.Step)
	return putI(putI(putI(putI(b, c.Ends), c.Value), c.Held), c.Limit)
}

func (r *reader) counter() (c Counter) {
	c.Def, c.Owner = uint32(r.u()), uint16(r.u())
	c.Notified = r.byte()
	set := r.byte()
	c.Consent, c.Given, c.Lifted, c.Step = set&1 != 0, set&2 != 0, set&4 != 0, r.byte()
	c.Ends, c.Value, c.Held, c.Limit = r.i(), r.i(), r.i(), r.i()
	return c
}

func putSubscriber(b []byte, s *Subscriber) []byte {
	b = append(putU(b, uint64(s.ID)), byte(s.State))
	return putS(putU(putU(putU(b, uint64(s.Plan)), s.E164), s.IMSI), s.Name)
}

func (r *reader) subscriber() (s Subscriber) {
	s.ID, s.State = uint16(r.u()), State(r.byte())
	s.Plan, s.E164, s.IMSI, s.Name = uint32(r.u()), r.u(), r.u(), r.s()
	return s
}

// putAccount writes an account without its sessions.
func putAccount(b []byte, a *Account) []byte {
	b = append(putU(putU(b, uint64(a.Tenant)), uint64(a.Currency)), byte(a.State), byte(a.Mode), byte(a.Stage))
	b = putI(putI(putU(putU(b, uint64(a.nextBucket)), uint64(a.nextSub)), a.Anchor), a.Alive)
	b = putU(b, uint64(len(a.Buckets)))
	for i := range a.Buckets {
		b = putBucket(b, &a.Buckets[i])
	}
	b = putU(b, uint64(len(a.Counters)))
	for i := range a.Counters {
		b = putCounter(b, &a.Counters[i])
	}
	b = putU(b, uint64(len(a.Subscribers)))
	for i := range a.Subscribers {
		b = putSubscriber(b, &a.Subscribers[i])
	}
	return b
}

func (r *reader) account() *Account {
	a := newAccount(0)
	a.Tenant, a.Currency = uint32(r.u()), uint16(r.u())
	a.State, a.Mode, a.Stage = State(r.byte()), Mode(r.byte()), State(r.byte())
	a.nextBucket, a.nextSub, a.Anchor, a.Alive = uint32(r.u()), uint16(r.u()), r.i(), r.i()
	n := r.count()
	for a.Buckets = slices.Grow(a.Buckets, n); n > 0; n-- {
		a.Buckets = append(a.Buckets, r.bucket())
	}
	if n := r.count(); n > 0 {
		a.Counters = make([]Counter, n)
	}
	for i := range a.Counters {
		a.Counters[i] = r.counter()
	}
	n = r.count()
	for a.Subscribers = slices.Grow(a.Subscribers, n); n > 0; n-- {
		a.Subscribers = append(a.Subscribers, r.subscriber())
	}
	return a
}

func putTotals(b []byte, t *Totals) []byte {
	return putI(putU(putU(putU(putU(putU(b, t.Seconds), t.Total), t.Input), t.Output), t.Events), t.Money)
}

func (r *reader) totals() Totals {
	return Totals{r.u(), r.u(), r.u(), r.u(), r.u(), r.i()}
}

func putHold(b []byte, h *Hold) []byte {
	return putI(putU(putU(putU(b, uint64(h.Bucket)), uint64(h.Counter)), uint64(h.Owner)), h.Amount)
}

func (r *reader) hold() Hold {
	return Hold{uint32(r.u()), uint32(r.u()), uint16(r.u()), r.i()}
}

// flags are bits in the place where there was one bool, so that what was written
// before there were more of them is read as it was meant.
func flags(set ...bool) (b byte) {
	for i, on := range set {
		if on {
			b |= 1 << i
		}
	}
	return b
}

func putGroup(b []byte, g *Group) []byte {
	b = append(putB(putB(putU(b, uint64(g.ID)), g.Has), g.Final), flags(g.Anew, g.Heard != 0, g.Pool != 0))
	b = putU(putU(putI(putU(b, uint64(g.Tariff)), int64(g.Class)), uint64(g.Rate)), uint64(g.Service))
	b = putI(putI(putU(putI(b, g.Switch), g.Priced), g.Charged), g.Expires)
	b = putU(putI(putI(b, g.First), g.LastUse), g.Granted)
	b = putTotals(putTotals(b, &g.Total), &g.Reported)
	if g.Heard != 0 {
		b = putI(b, g.Heard)
	}
	if g.Pool != 0 {
		b = putU(b, uint64(g.Pool))
	}
	b = putU(b, uint64(len(g.Holds)))
	for i := range g.Holds {
		b = putHold(b, &g.Holds[i])
	}
	return b
}

func (r *reader) group(g *Group) {
	g.ID, g.Has, g.Final = uint32(r.u()), r.bool(), r.bool()
	set := r.byte()
	g.Anew, g.Heard, g.Pool = set&1 != 0, 0, 0
	g.Tariff, g.Class, g.Rate, g.Service = uint32(r.u()), int32(r.i()), uint32(r.u()), uint32(r.u())
	g.Switch, g.Priced, g.Charged, g.Expires = r.i(), r.u(), r.i(), r.i()
	g.First, g.LastUse, g.Granted = r.i(), r.i(), r.u()
	g.Total, g.Reported = r.totals(), r.totals()
	if set&2 != 0 {
		g.Heard = r.i()
	}
	if set&4 != 0 {
		g.Pool = uint32(r.u())
	}
	g.Holds = g.Holds[:0]
	for n := r.count(); n > 0; n-- {
		g.Holds = append(g.Holds, r.hold())
	}
}

// putSession writes a session without its answers.
func putSession(b []byte, s *Session) []byte {
	b = putS(putU(b, s.Number), s.Key)
	b = append(putU(b, uint64(s.Sub)), byte(s.Service), byte(s.Face), s.RAT)
	b = putB(putB(putB(b, s.Blocked), s.Offline), s.Incoming)
	b = putU(putU(putU(putU(b, uint64(s.PLMN)), uint64(s.Highest)), s.seen), uint64(s.State))
	b = putU(putI(putI(putI(putI(b, s.Opened), s.Last), s.Expires), s.Said), uint64(s.Part))
	if s.texts == "" {
		b = append(b, noTexts...)
	}
	b = append(b, s.texts...)
	b = putU(b, uint64(len(s.Groups)))
	for i := range s.Groups {
		b = putGroup(b, &s.Groups[i])
	}
	return b
}

func (r *reader) session(s *Session) {
	s.Number, s.Key = r.u(), r.s()
	s.Sub, s.Service, s.Face, s.RAT = uint16(r.u()), credit.Service(r.byte()), credit.Face(r.byte()), r.byte()
	s.Blocked, s.Offline, s.Incoming = r.bool(), r.bool(), r.bool()
	s.PLMN, s.Highest, s.seen, s.State = uint32(r.u()), uint32(r.u()), r.u(), uint32(r.u())
	s.Opened, s.Last, s.Expires, s.Said, s.Part = r.i(), r.i(), r.i(), r.i(), uint32(r.u())
	from := r.b
	for range textsOfSession {
		r.bytes()
	}
	if r.err == nil {
		s.texts = string(from[:len(from)-len(r.b)])
	}
	n := r.count()
	s.Groups = s.Groups[:0]
	for ; n > 0; n-- {
		s.addGroup()
		r.group(&s.Groups[len(s.Groups)-1])
	}
}

// addGroup appends an empty group, reusing the holds of an earlier one.
func (s *Session) addGroup() *Group {
	if len(s.Groups) < cap(s.Groups) {
		s.Groups = s.Groups[:len(s.Groups)+1]
		g := &s.Groups[len(s.Groups)-1]
		*g = Group{Holds: g.Holds[:0]}
		return g
	}
	s.Groups = append(s.Groups, Group{})
	return &s.Groups[len(s.Groups)-1]
}

func putAnswered(b []byte, s *Session) []byte {
	n := 0
	for i := range s.answers {
		if s.answers[i].used {
			n++
		}
	}
	b = putU(b, uint64(n))
	for i := range s.answers {
		if x := &s.answers[i]; x.used {
			b = putS(putU64(putB(putU(b, uint64(x.number)), x.auto), x.digest), s.answer(i))
		}
	}
	return b
}

func (r *reader) answered(s *Session) {
	for n := r.count(); n > 0; n-- {
		number, auto, digest, answer := uint32(r.u()), r.bool(), r.u64(), r.bytes()
		s.remember(number, auto, digest, answer)
	}
}

// answer is what was told of the i-th that are remembered; it is valid until the next is.
func (s *Session) answer(i int) []byte {
	return s.said[i*len(s.said)/answersKept:][:s.answers[i].size]
}

// widen makes room for answers of so many octets. Those of a session are about equal.
func (s *Session) widen(room int) {
	wider := make([]byte, answersKept*room)
	for i := range s.answers {
		copy(wider[i*room:], s.answer(i))
	}
	s.said = wider
}

// remember keeps an answer in the place of the oldest, unless that is the newer one. Of
// one that is longer than any client takes only the number is known.
func (s *Session) remember(number uint32, auto bool, digest uint64, answer []byte) {
	if auto {
		s.autos = max(s.autos, number+1)
	}
	x := &s.answers[number%answersKept]
	if x.used && x.auto == auto && x.number > number {
		return
	}
	if len(answer) > math.MaxUint16 {
		x.used = false
		return
	}
	i := int(number % answersKept)
	if room := len(s.said) / answersKept; len(answer) > room {
		x.size = 0
		s.widen((len(answer) + 7) &^ 7)
	}
	x.number, x.auto, x.digest, x.used, x.size = number, auto, digest, true, uint16(len(answer))
	copy(s.answer(i), answer)
}

// remembered is the answer to a request: by its number, or by its content if the
// client gave none. It is valid until the next is remembered.
func (s *Session) remembered(r *credit.Request) (digest uint64, answer []byte, ok bool) {
	if r.Numbered {
		i := int(r.Number % answersKept)
		if x := &s.answers[i]; x.used && !x.auto && x.number == r.Number {
			return x.digest, s.answer(i), true
		}
		return 0, nil, false
	}
	for i := range s.answers {
		if x := &s.answers[i]; x.used && x.auto && x.digest == r.Digest && r.Digest != 0 {
			return x.digest, s.answer(i), true
		}
	}
	return 0, nil, false
}
