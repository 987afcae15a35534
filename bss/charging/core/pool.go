package core

import (
	"math/bits"

	"tandem/edge/credit"
)

// Credit pools (RFC 8506 5.1.2, 8.30): the grants of several rating groups of a session
// go into one pool, each multiplied by what a unit is worth, and all of them use of it
// until it is empty. Here each grant keeps its own reservation; a group that has used
// more than its own takes of what the other members hold. All together never use more
// than was reserved, because the pool is the sum of the grants.

// pools says whether clients of a face can pool grants.
func pools(f credit.Face) bool { return f == credit.Diameter || f == credit.Direct }

// one9 is a multiplier of one.
const one9 = 1_000_000_000

// pool is the pool that a grant goes into and the worth of a unit in it, at 10^-9;
// 0: none. What buckets of units pay counts by the unit, what money pays by its price,
// so that there is a pool of each. A grant that both pay for, or whose price is not the
// same for every unit, stays alone: nobody could say what a unit is worth.
func (t *turn) pool(gi int, rt rate, o *offer) (pool uint32, multiplier int64) {
	if rt.Pool == 0 || t.once {
		return 0, 0
	}
	id := uint32(rt.Pool)*4 + uint32(rt.unit())
	if o.within {
		return 0, 0 // what a mate takes would be outside the limit
	}
	if o.covered == o.units {
		return id, one9
	}
	worth, ok := t.worth(gi, rt, o)
	if o.covered != 0 || !ok {
		return 0, 0
	}
	return uint32(rt.Pool)*4 + uint32(Money), worth
}

// worth is the price of a unit, at 10^-9 of 10^-9, if each of the grant and as many
// behind it has that.
func (t *turn) worth(gi int, rt rate, o *offer) (worth int64, ok bool) {
	p := t.purse(gi, rt)
	double, err := rt.Cost(p.priced, 2*o.units, p.counter, p.charged)
	if err != nil || o.money <= 0 || double-2*o.money > 1 || 2*o.money-double > 1 {
		return 0, false
	}
	high, low := bits.Mul64(uint64(o.money), one9)
	if high >= o.units {
		return 0, false
	}
	n, rest := bits.Div64(high, low, o.units)
	if rest > 0 {
		n++ // the pool is never worth less than what was reserved for it
	}
	return int64(n), n > 0 && n < 1<<62
}

// fromMates takes of an amount what the other members of a group's pool hold for it,
// and returns what is left of it.
func (t *turn) fromMates(gi int, unit Unit, amount int64) int64 {
	pool := t.s.Groups[gi].Pool
	if pool == 0 || amount <= 0 {
		return amount
	}
	for i := range t.s.Groups {
		mate := &t.s.Groups[i]
		if i == gi || mate.Pool != pool || mate.Granted == 0 {
			continue
		}
		for h := 0; h < len(mate.Holds) && amount > 0; {
			x := mate.Holds[h]
			b := t.a.bucket(x.Bucket)
			if x.Bucket == 0 || b < 0 || t.unitOf(b) != unit {
				h++
				continue
			}
			n := min(x.Amount, amount, max(0, t.a.Buckets[b].Value+t.a.Buckets[b].Limit))
			t.hold(i, Hold{Bucket: x.Bucket, Owner: x.Owner, Amount: -n})
			amount -= t.draw(b, n)
			if n < x.Amount { // else it is gone, and the next one is in its place
				h++
			}
		}
	}
	return amount
}
