package rating

import (
	"math"
	"math/bits"

	"tandem/kit/money"
)

// maxSum bounds a sum of numerators: 2^126, so that two of them never overflow.
const maxSum = 1 << 62

// wide is a whole number of 128 bits that is not negative.
type wide struct{ hi, lo uint64 }

func product(a, b uint64) wide {
	hi, lo := bits.Mul64(a, b)
	return wide{hi, lo}
}

func (a wide) less(b wide) bool { return a.hi < b.hi || a.hi == b.hi && a.lo < b.lo }

func (a wide) minus(b wide) wide {
	lo, borrow := bits.Sub64(a.lo, b.lo, 0)
	return wide{a.hi - b.hi - borrow, lo}
}

// plus is a + b; ok is false from 2^126 on.
func (a wide) plus(b wide) (sum wide, ok bool) {
	lo, carry := bits.Add64(a.lo, b.lo, 0)
	hi, over := bits.Add64(a.hi, b.hi, carry)
	return wide{hi, lo}, over == 0 && hi < maxSum
}

// over is a/d rounded down, at most the greatest uint64.
func (a wide) over(d uint64) uint64 {
	if a.hi >= d {
		return math.MaxUint64
	}
	q, _ := bits.Div64(a.hi, a.lo, d)
	return q
}

// rung is one step of a price: each unit after from, up to and with to, costs
// num/den (den is the ladder's). base is the sum of num over all units up to from.
type rung struct {
	from, to uint64
	num      uint64
	base     wide
}

// ladder is a price by position, in 10^-9 of the major unit. All its rungs have one
// denominator, so that a sum over several is exact until it is rounded, once.
type ladder struct {
	rungs  []rung
	den    uint64
	volume bool // all units cost what the rung reached says
	round  money.Rounding
}

// at is the rung that position x lies on; a position that ends a rung belongs to it.
func (l *ladder) at(x uint64) *rung {
	for i := range l.rungs {
		if x <= l.rungs[i].to {
			return &l.rungs[i]
		}
	}
	return &l.rungs[len(l.rungs)-1]
}

// price is what the first x units cost, rounded. Error: money.ErrOverflow.
func (l *ladder) price(x uint64) (int64, error) {
	g := l.at(x)
	sum, ok := product(x, g.num), true
	if !l.volume {
		sum, ok = product(x-g.from, g.num).plus(g.base)
	}
	if !ok || sum.hi >= l.den {
		return 0, money.ErrOverflow
	}
	q, rem := bits.Div64(sum.hi, sum.lo, l.den)
	if q >= math.MaxInt64 {
		return 0, money.ErrOverflow
	}
	return int64(q) + l.carry(q, rem), nil
}

// carry is what rounding adds to q, given the remainder: 0 or 1. It leaves the
// meaning of the name to money; the parity of q is kept for half-even.
func (l *ladder) carry(q, rem uint64) int64 {
	if rem == 0 {
		return 0
	}
	odd := int64(q & 1)
	n, err := money.MulDiv(int64(rem)+odd*int64(l.den), 1, int64(l.den), l.round)
	if err != nil {
		return 0 // cannot be: Compile has checked rounding, and den is less than 2^62
	}
	return n - odd
}

// most is the greatest sum of numerators that is rounded to nano or less.
func (l *ladder) most(nano int64) wide {
	whole := product(uint64(nano), l.den)
	var more uint64 // numerators beyond nano that still round down to it
	switch l.round {
	case money.Down, money.Floor:
		more = l.den - 1
	case money.HalfDown:
		more = l.den / 2
	case money.HalfUp:
		more = (l.den - 1) / 2
	case money.HalfEven:
		more = (l.den - 1) / 2
		if nano%2 == 0 {
			more = l.den / 2
		}
	}
	sum, _ := whole.plus(wide{0, more}) // 63 + 62 bits
	return sum
}

// reach is the greatest position whose price, and that of every position of a
// graduated ladder before it, is nano or less.
func (l *ladder) reach(nano int64) uint64 {
	most := l.most(nano)
	for i := range l.rungs {
		g := &l.rungs[i]
		if x := g.reach(most); x < g.to {
			return x
		}
	}
	return math.MaxUint64
}

// reach is the greatest position on the rung, priced by graduation, whose sum is
// most or less; from, if there is none.
func (g *rung) reach(most wide) uint64 {
	if g.num == 0 {
		return g.to
	}
	if most.less(g.base) {
		return g.from
	}
	n := most.minus(g.base).over(g.num)
	return g.from + min(n, g.to-g.from)
}
