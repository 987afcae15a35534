package core

import (
	"math"

	"tandem/bss/rating"
	"tandem/edge/credit"
)

// offer is how much can be granted and what it takes.
type offer struct {
	units   uint64
	money   int64
	covered uint64 // of units, by buckets of units
	more    bool   // there is more after it
	within  bool   // buckets cover it up to a limit of their own
	expires int64  // Unix seconds; 0: no bucket or limit ends
}

// quota makes a new grant for a group: it reserves what the grant may use at most,
// so that all open grants together never exceed what there is (Q1).
func (t *turn) quota(gi int, r *credit.Request, u *credit.Unit, g *credit.Granted) {
	c := t.context(r, u, 0, t.now())
	rt, ok := t.find(&c)
	if !ok {
		d := t.unrated(u)
		if d == nil {
			g.Result = credit.RatingFailed
			return
		}
		d.give(g)
		t.grant(gi, 0, t.at+int64(g.Validity)*1e6, 0, false)
		return
	}
	if t.s.Service == credit.Data && t.s.Groups[gi].Tariff == 0 { // a first grant arms what may change the price (Q8)
		g.Arm, g.Triggers = true, append(g.Triggers[:0], changeOfRAT, changeOfMCC, changeOfMNC)
	}
	want := wanted(rt, u)
	validity, next, change := t.horizon(rt, r, &c)
	if rt.Zero {
		t.grantFree(gi, rt, want, validity, g)
		return
	}
	o := t.reserve(gi, rt, next, want)
	if o.expires != 0 {
		validity = uint32(min(int64(validity), max(1, o.expires-t.now())))
	}
	if o.units == 0 {
		t.refuse(gi, rt, g)
		return
	}
	final := !o.more
	if !final && change == 0 && pools(r.Face) {
		g.Pool, g.Multiplier = t.pool(gi, rt, &o)
	}
	t.grantInto(gi, o.units, t.at+int64(validity)*1e6, change, final, g.Pool)
	setUnits(&g.Grant, rt, o.units)
	g.Validity, g.Holding, g.HasHolding, g.Change = validity, rt.Holding, rt.Holding > 0, change
	switch {
	case final:
		g.Final = rt.Final
		if g.Final.Action == credit.NotFinal {
			g.Final.Action = credit.FinalTerminate
		}
	case rt.Threshold > 0:
		if mark := o.units/100*uint64(rt.Threshold) + o.units%100*uint64(rt.Threshold)/100; mark > 0 && mark < o.units {
			setUnits(&g.Threshold, rt, mark)
		}
	}
	t.keepRate(gi, rt)
}

// Values of Trigger-Type (TS 32.299 7.2.235).
const (
	changeOfRAT = 4
	changeOfMCC = 30
	changeOfMNC = 31
)

// keepRate takes down by which rate the grant will be priced.
func (t *turn) keepRate(gi int, rt rate) {
	if g := &t.s.Groups[gi]; g.Tariff != rt.tariff.ID || g.Rate != rt.ID {
		t.leaveRate(gi, rt)
		t.use(gi, &used{tariff: rt.tariff.ID, rate: rt.ID, class: int32(rt.class), at: t.at})
	}
}

// leaveRate cuts a partial record before another price holds, so that one line of
// a usage record has one price.
func (t *turn) leaveRate(gi int, rt rate) {
	g := &t.s.Groups[gi]
	if g.Tariff != 0 && (g.Tariff != rt.tariff.ID || g.Rate != rt.ID) && g.Total != (Totals{}) && !t.once {
		t.part(TariffSwitch)
	}
}

// wanted is how much to grant at most.
func wanted(rt rate, u *credit.Unit) uint64 {
	n, asked := rt.amount(&u.Want)
	if !asked || n == 0 {
		n = rt.Default
		if n == 0 {
			switch rt.unit() {
			case Octets:
				n = defaultOctets
			case Seconds:
				n = defaultSeconds
			default:
				n = defaultEvents
			}
		}
	}
	if rt.Max > 0 {
		n = min(n, rt.Max)
	}
	return min(n, math.MaxInt64)
}

// grantFree grants what costs nothing and is counted all the same (P12).
func (t *turn) grantFree(gi int, rt rate, want uint64, validity uint32, g *credit.Granted) {
	t.grant(gi, want, t.at+int64(validity)*1e6, 0, false)
	setUnits(&g.Grant, rt, want)
	g.Validity, g.Holding, g.HasHolding = validity, rt.Holding, rt.Holding > 0
	t.keepRate(gi, rt)
}

// horizon is how long a grant is valid (Q4), and where in that time the tariff
// switches, and to what (Q9). There is one switch in a grant at most: it ends before
// a second one, and at the first if the client cannot switch by itself or the
// buckets that pay before it do not pay after it.
func (t *turn) horizon(rt rate, r *credit.Request, c *rating.Context) (validity uint32, next rate, change int64) {
	now := t.now()
	end := now + defaultValidity
	if rt.Validity > 0 {
		end = now + int64(rt.Validity)
	}
	if rt.until != 0 && rt.until < end {
		at := *c
		at.At = rt.until
		n, ok := t.find(&at)
		if ok && switches(r.Face) && !rt.Zero && !n.Zero && n.unit() == rt.unit() && n.class == rt.class {
			next, change = n, rt.until*1e6
			if n.until != 0 {
				end = min(end, n.until)
			}
		} else {
			end = rt.until
		}
	}
	if end = t.countersEnd(rt, end); change != 0 && change/1e6 >= end {
		next, change = rate{}, 0
	}
	return uint32(max(1, end-now)), next, change
}

// switches says whether clients of a face can switch the tariff by themselves.
func switches(f credit.Face) bool {
	return f == credit.Diameter || f == credit.Nchf || f == credit.Direct
}

// countersEnd is end, or when a tier, a cap or a limit that the rate looks at starts
// anew before it.
func (t *turn) countersEnd(rt rate, end int64) int64 {
	for i := range t.a.Counters {
		c := &t.a.Counters[i]
		d := t.book.definition(c.Def)
		if d == nil || c.Ends <= t.now() || c.Ends >= end || c.Owner != 0 && c.Owner != t.s.Sub {
			continue
		}
		if d.Tariff && t.reads(rt, c.Def) || d.Hard && c.Limit > 0 && t.limits(d, rt) {
			end = c.Ends
		}
	}
	return end
}

// reads says that the rate's own tariff counts in the counter.
func (t *turn) reads(rt rate, def uint32) bool {
	for _, counter := range [...]int{rt.Counter, rt.DayCounter} {
		if counter >= 0 && counter < len(rt.tariff.counters) && rt.tariff.counters[counter] == def {
			return true
		}
	}
	return false
}

// reserve holds as much of want as there is: units first, then money.
func (t *turn) reserve(gi int, rt, next rate, want uint64) (o offer) {
	limit := t.capped(rt, math.MaxInt64)
	want = min(want, limit)
	left, spare := want, false
	if rt.unit() != Money { // a sum is what is priced, not what is drawn
		room := t.room(rt)
		t.eligible(rt.unit(), rt.class)
		for _, b := range t.order {
			k := &t.a.Buckets[b]
			free := min(k.free(), room.of(t, b))
			n := t.share(free, int64(left), leastOf(rt, want))
			spare = spare || free > max(0, n)
			if n <= 0 {
				continue
			}
			left -= uint64(n)
			t.hold(gi, Hold{Bucket: k.ID, Owner: k.Owner, Amount: n})
			room.take(t, b, n)
			o.ends(k.To)
		}
		o.within = room.hold(t, gi)
	}
	o.covered = want - left
	o.units, o.more = o.covered, spare
	if left > 0 || !spare {
		t.reserveMoney(gi, rt, next, left, &o)
	}
	o.more = o.more && want < limit
	t.holdLimits(gi, rt, o.units, o.money)
	return o
}

// leastOf is the smallest grant worth a request of its own: what the tariff says, or
// a sixteenth of what is wanted, so that a bucket is not drained in ever smaller
// steps (Q12).
func leastOf(rt rate, want uint64) int64 {
	return int64(min(max(rt.Min, want/16, 1), math.MaxInt64))
}

// share is how much of a bucket one grant may take: all that is wanted while there
// is plenty, a fair part when several sessions draw on what is nearly empty (Q12).
func (t *turn) share(free, want, least int64) int64 {
	if free <= 0 || want <= 0 {
		return 0
	}
	if n := int64(t.a.open); n > 1 && free/n < want && !t.once {
		want = min(want, max(least, (free+n-1)/n))
	}
	return min(free, want)
}

func (o *offer) ends(to int64) {
	if to != 0 && (o.expires == 0 || to < o.expires) {
		o.expires = to
	}
}

// reserveMoney holds money for units that no bucket covers, enough for the dearer
// side of a tariff switch (Q9).
func (t *turn) reserveMoney(gi int, rt, next rate, left uint64, o *offer) {
	p := t.purse(gi, rt)
	t.eligible(Money, rt.class)
	have := int64(0)
	for _, b := range t.order {
		have = sum(have, max(0, t.a.Buckets[b].free()))
	}
	have = t.allowance(rt, have)
	cost, units := p.afford(rt, left, have)
	if n := int64(t.a.open); n > 1 && units > 0 && !t.once && (units < left || cost > have/n) {
		least, _ := p.afford(rt, min(left, uint64(leastOf(rt, left))), have)
		cost, units = p.afford(rt, left, min(have, max(have/n, least)))
	}
	if next.Rate != nil && units > 0 {
		q := t.purse(gi, next)
		dear, n := q.afford(next, units, have)
		cost, _ = p.afford(rt, n, have)
		units, cost = n, max(cost, dear)
	}
	cost = max(0, cost) // a volume price may give something back
	o.units += units
	o.money = cost
	rest := cost
	for _, b := range t.order {
		k := &t.a.Buckets[b]
		n := min(max(0, k.free()), rest)
		if n > 0 {
			o.ends(k.To)
		}
		t.hold(gi, Hold{Bucket: k.ID, Owner: k.Owner, Amount: n})
		rest -= n
	}
	p.priced, p.charged = p.priced+units, sum(p.charged, cost)
	p.counter += units
	_, one := p.afford(rt, 1, have-cost)
	o.more = o.more || one > 0
}

// purse is what the price of the next units depends on.
type purse struct {
	priced, counter uint64
	charged, spent  int64
}

func (t *turn) purse(gi int, rt rate) (p purse) {
	p.priced, p.charged = t.s.Groups[gi].basis(rt)
	p.counter, p.spent = t.counterOf(rt, rt.Counter, p.priced), t.spent(rt)
	return p
}

// afford is how many of n units money can buy, and what they cost.
func (p *purse) afford(rt rate, n uint64, have int64) (cost int64, units uint64) {
	if n == 0 {
		return 0, 0
	}
	cost, err := rt.Cost(p.priced, n, p.counter, p.charged)
	if err == nil {
		if cost = rt.Capped(cost, p.spent); cost <= have {
			return cost, n
		}
	}
	units, bounded := rt.Units(p.priced, p.counter, p.charged, have)
	if !bounded {
		return 0, n
	}
	if units = min(units, n); units == 0 {
		return 0, 0
	}
	if cost, err = rt.Cost(p.priced, units, p.counter, p.charged); err != nil || cost > have {
		return 0, 0
	}
	return cost, units
}

// sum is a + b, or the nearest that fits.
func sum(a, b int64) int64 {
	switch {
	case b > 0 && a > math.MaxInt64-b:
		return math.MaxInt64
	case b < 0 && a < math.MinInt64-b:
		return math.MinInt64
	}
	return a + b
}

// capped clips units by the hard limits on units.
func (t *turn) capped(rt rate, want uint64) uint64 {
	for i := range t.a.Counters {
		if c, d := t.hard(i, rt); c != nil && !d.Money && d.Unit == rt.unit() {
			want = min(want, uint64(max(0, c.left())))
		}
	}
	return want
}

// allowance clips money by the hard limits on money.
func (t *turn) allowance(rt rate, have int64) int64 {
	for i := range t.a.Counters {
		if c, d := t.hard(i, rt); c != nil && d.Money {
			have = min(have, max(0, c.left()))
		}
	}
	return have
}

// hard is a counter that refuses usage at this rate beyond its limit.
func (t *turn) hard(i int, rt rate) (*Counter, *Definition) {
	c := &t.a.Counters[i]
	d := t.book.definition(c.Def)
	if d == nil || !d.Hard || c.Limit <= 0 || c.Consent || c.Owner != 0 && c.Owner != t.s.Sub || !t.limits(d, rt) {
		return nil, nil
	}
	t.restart(i)
	return &t.a.Counters[i], d
}

// holdLimits reserves in the hard limits what the grant may use, so that open
// grants count (P11).
func (t *turn) holdLimits(gi int, rt rate, units uint64, money int64) {
	for i := range t.a.Counters {
		c, d := t.hard(i, rt)
		switch {
		case c == nil:
		case d.Money:
			t.hold(gi, Hold{Counter: c.Def, Owner: c.Owner, Amount: money})
		case d.Unit == rt.unit():
			t.hold(gi, Hold{Counter: c.Def, Owner: c.Owner, Amount: int64(units)})
		}
	}
}

// refuse answers a group for which nothing is left: the session is cut, or led to
// where more can be bought, and is told when there is (Q11).
func (t *turn) refuse(gi int, rt rate, g *credit.Granted) {
	t.grant(gi, 0, 0, 0, true)
	if rt.Final.Action == credit.FinalRedirect || rt.Final.Action == credit.FinalRestrict {
		g.Final = rt.Final
		g.Validity = rt.Validity
		if g.Validity == 0 {
			g.Validity = defaultValidity
		}
		t.keepRate(gi, rt)
		return
	}
	g.Result = credit.LimitReached
}

func setUnits(u *credit.Units, rt rate, n uint64) {
	u.Has = rt.Unit
	switch rt.unit() {
	case Octets:
		u.Total = n
	case Seconds:
		u.Seconds = n
	case Money:
		u.Money, u.Currency = int64(n), rt.Currency
	default:
		u.Events = n
	}
}
