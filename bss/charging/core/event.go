package core

import (
	"math"

	"tandem/edge/credit"
)

// event handles a request that is no session: a message, a purchase, a refund, a
// question.
func (e *Engine) event(t *turn, r *credit.Request, a *credit.Answer) {
	k := eventKey(r)
	if digest, answer, ok := t.sh.told.get(k); ok {
		e.repeated(digest, answer, r, a)
		if a.HasCost {
			a.Refund = putU64(putU64(a.Refund[:0], k[0]), k[1])
		}
		return
	}
	if t.counted != nil && e.answerAgain(t.counted, r, a) { // it is in suspense
		return
	}
	sub := t.who(r)
	if sub == nil {
		a.Result = credit.UnknownUser
		t.happened(NoSubscriber, r, a)
		return
	}
	t.plan = sub.Plan
	if a.Result = t.allowed(r, sub); a.Result != credit.Success {
		t.happened(ClosedAccount, r, a)
		return
	}
	t.once, t.s, t.debits = true, &Session{}, t.debits[:0]
	t.s.of(0, sub, r)
	t.s.account = t.a
	switch r.Action {
	case credit.Balance:
		a.Result = t.reserveAll(r)
		t.freeAll()
		a.NotEnough = a.Result == credit.LimitReached
		if a.NotEnough {
			a.Result = credit.Success
		}
		return
	case credit.Left:
		a.Result = t.enough(r, a)
		t.freeAll()
		return
	case credit.Enquiry:
		t.enquire(r, a)
		return
	case credit.Refund:
		t.refund(r, a)
	default:
		t.direct(r, a, k)
	}
	if a.Result == credit.Success || len(t.debits) > 0 {
		t.answer = putDebits(putAnswer(t.answer[:0], a), t.debits)
		t.keepKey(k, r.Digest, t.answer)
	}
}

// happened puts use that is reported and charged to nobody into suspense; a request
// that only asks for something leaves nothing.
func (t *turn) happened(reason Suspense, r *credit.Request, a *credit.Answer) {
	if r.Kind != credit.Event || r.Action == credit.Post {
		t.suspendAll(reason, r, a)
	}
}

// eventKey names an event: by its number, or by its content if the client gives
// none.
func eventKey(r *credit.Request) key {
	b := keys.Get().(*[]byte)
	defer keys.Put(b)
	*b = sessionKey((*b)[:0], r)
	if !r.Numbered {
		*b = putU64(*b, r.Digest)
		return keyOf(*b)
	}
	*b = append(*b, byte(r.Number), byte(r.Number>>8), byte(r.Number>>16), byte(r.Number>>24))
	return keyOf(*b)
}

func putDebits(b []byte, list []debited) []byte {
	b = putU(b, uint64(len(list)))
	for _, d := range list {
		b = putI(putU(b, uint64(d.bucket)), d.amount)
	}
	return b
}

func (r *reader) debits(list []debited) []debited {
	for n := r.count(); n > 0; n-- {
		list = append(list, debited{uint32(r.u()), r.i()})
	}
	return list
}

// direct charges an event at once: all of it or nothing, unless it has happened
// already.
func (t *turn) direct(r *credit.Request, a *credit.Answer, k key) {
	if r.Action == credit.Debit {
		if a.Result = t.reserveAll(r); a.Result != credit.Success {
			t.freeAll()
			return
		}
	}
	for i := range r.Units {
		u := &r.Units[i]
		gi := t.groupOf(u)
		g := a.AddUnit(u)
		t.free(gi)
		reports := t.reports(u)
		for j := range reports {
			if res := t.settle(gi, r, u, &reports[j]); res != credit.Success {
				g.Result = res
				continue
			}
			if r.Action == credit.Debit {
				g.Grant = reports[j].Units
			}
		}
		if !u.HasGroup || len(r.Units) == 1 {
			a.Result = g.Result
		}
		a.Cost = sum(a.Cost, t.s.Groups[gi].Total.Money)
	}
	a.HasCost, a.Currency = true, t.a.Currency
	a.Refund = putU64(putU64(a.Refund[:0], k[0]), k[1])
	t.event(t.s)
}

// reports is what an event is charged for: what was used, else what is asked for;
// an event without units is one event (F2: the server finds the units).
func (t *turn) reports(u *credit.Unit) []credit.Used {
	if len(u.Used) > 0 {
		return u.Used
	}
	t.report[0] = credit.Used{Units: u.Want}
	if u.Want.Has == 0 {
		t.report[0].Has, t.report[0].Events = credit.HasEvents, 1
	}
	return t.report[:]
}

// reserveAll holds what all units of an event take. The holds are in memory only:
// the turn lets go of them before it ends.
func (t *turn) reserveAll(r *credit.Request) credit.Result {
	for i := range r.Units {
		u := &r.Units[i]
		gi := t.groupOf(u)
		c := t.context(r, u, 0, t.now())
		rt, ok := t.find(&c)
		if !ok {
			return credit.RatingFailed
		}
		n := uint64(0)
		reports := t.reports(u)
		for j := range reports {
			more, ok := rt.amount(&reports[j].Units)
			if !ok && !rt.Zero {
				return credit.RatingFailed
			}
			n += min(more, plausible)
		}
		if rt.Zero || n == 0 {
			continue
		}
		if o := t.reserve(gi, rt, rate{}, n); o.units < n {
			return credit.LimitReached
		}
	}
	return credit.Success
}

// enough says how much could be used now, in the unit of the price: all that is asked
// for, or less.
func (t *turn) enough(r *credit.Request, a *credit.Answer) credit.Result {
	for i := range r.Units {
		u := &r.Units[i]
		c := t.context(r, u, 0, t.now())
		rt, ok := t.find(&c)
		if !ok {
			return credit.RatingFailed
		}
		n, asked := rt.amount(&u.Want)
		if !asked {
			return credit.RatingFailed
		}
		n = min(n, plausible)
		g := a.AddUnit(u)
		if !rt.Zero {
			o := t.reserve(t.groupOf(u), rt, rate{}, n)
			n = o.units
			if o.expires != 0 {
				g.Validity = uint32(min(math.MaxUint32, max(1, o.expires-t.now())))
			}
		}
		setUnits(&g.Grant, rt, n)
	}
	return credit.Success
}

func (t *turn) freeAll() {
	for i := range t.s.Groups {
		t.free(i)
	}
}

// enquire says what an event would cost now, whatever the balance is.
func (t *turn) enquire(r *credit.Request, a *credit.Answer) {
	for i := range r.Units {
		u := &r.Units[i]
		c := t.context(r, u, 0, t.now())
		rt, ok := t.find(&c)
		if !ok {
			a.Result = credit.RatingFailed
			return
		}
		n, _ := rt.amount(&t.reports(u)[0].Units)
		if rt.unit() != Money {
			t.eligible(rt.unit(), rt.class)
			for _, b := range t.order {
				n -= min(n, uint64(max(0, t.a.Buckets[b].free())))
			}
		}
		cost, err := rt.Cost(0, n, t.counterOf(rt, rt.Counter, 0), 0)
		if err != nil {
			a.Result = credit.RatingFailed
			return
		}
		a.Cost = sum(a.Cost, rt.Capped(cost, t.spent(rt)))
	}
	a.HasCost, a.Currency = true, t.a.Currency
}

// refund gives back what a debit took, to where it came from: all that is left of
// it, or the money that is asked for. All refunds of a debit together never come to
// more than the debit (P20).
func (t *turn) refund(r *credit.Request, a *credit.Answer) {
	if len(r.RefundOf) != 16 {
		a.Result = credit.Missing
		return
	}
	in := reader{b: r.RefundOf}
	k := key{in.u64(), in.u64()}
	rest, ok := t.refundable(k)
	if !ok {
		a.Result = credit.UnknownSession
		return
	}
	asked := int64(math.MaxInt64)
	for i := range r.Units {
		if w := &r.Units[i].Want; w.Has&credit.HasMoney != 0 {
			if w.Currency != 0 && w.Currency != t.a.Currency || w.Money <= 0 {
				a.Result = credit.BadValue
				return
			}
			asked = w.Money
		}
	}
	a.Cost, a.Result = t.giveBack(rest, asked, string(r.Session))
	if a.Result != credit.Success {
		return
	}
	t.keepKey(key{^k[0], ^k[1]}, r.Digest, putDebits(nil, rest))
	a.HasCost, a.Currency = true, t.a.Currency
	t.wakeBlocked()
}

// refundable is what is left of a debit: what was not given back yet.
func (t *turn) refundable(k key) (rest []debited, ok bool) {
	if _, kept, again := t.sh.told.get(key{^k[0], ^k[1]}); again {
		in := reader{b: kept}
		return in.debits(nil), in.err == nil
	}
	_, kept, ok := t.sh.told.get(k)
	if !ok {
		return nil, false
	}
	var debit credit.Answer
	in := reader{b: kept}
	in.answer(&debit)
	rest = in.debits(nil)
	return rest, in.err == nil && debit.HasCost
}

// giveBack credits the buckets of a debit, the last first, and takes it off rest. A
// sum of money is given back from the money parts only.
func (t *turn) giveBack(rest []debited, asked int64, ref string) (cost int64, res credit.Result) {
	money := int64(0)
	for _, d := range rest {
		if b := t.a.bucket(d.bucket); b < 0 || t.unitOf(b) == Money {
			money = sum(money, d.amount)
		}
	}
	whole := asked == math.MaxInt64
	if !whole && asked > money || whole && allZero(rest) {
		return 0, credit.Denied
	}
	for i := len(rest) - 1; i >= 0; i-- {
		d := &rest[i]
		b := t.a.bucket(d.bucket)
		isMoney := b < 0 || t.unitOf(b) == Money
		n := d.amount
		if isMoney && !whole {
			n = min(n, asked)
			asked -= n
		} else if !whole {
			continue
		}
		d.amount -= n
		if b < 0 {
			b = t.main()
		}
		if n == 0 || b < 0 {
			continue
		}
		if isMoney {
			cost -= n
		}
		t.credit(t.a.Buckets[b].ID, n, Refunded, ref)
	}
	return cost, credit.Success
}

func allZero(list []debited) bool {
	for _, d := range list {
		if d.amount != 0 {
			return false
		}
	}
	return true
}
