package rating

import (
	"math"

	"tandem/kit/money"
)

// noCap stands for a cap that is not set.
const noCap = -1

// blocks rounds units: the first block whole, the rest in increments.
type blocks struct {
	first, step uint64
	round       blockRounding
}

// blockRounding says what becomes of a started increment beyond the first block.
type blockRounding uint8

const (
	blockUp blockRounding = iota
	blockHalfUp
	blockHalfEven
	blockDown
)

var blockRoundings = map[string]blockRounding{
	"": blockUp, "up": blockUp, "half-up": blockHalfUp, "half-even": blockHalfEven, "down": blockDown,
}

// billed is how many units n used ones are taken for; ok is false if they do not
// fit 64 bits.
func (b *blocks) billed(n uint64) (units uint64, ok bool) {
	if n == 0 {
		return 0, true
	}
	if n <= b.first {
		return b.first, true
	}
	q, rem := (n-b.first)/b.step, (n-b.first)%b.step
	units = n - rem
	if !b.grows(q, rem) {
		return units, true
	}
	return units + b.step, units+b.step > units
}

// grows says whether rem units beyond q increments count as one more.
func (b *blocks) grows(q, rem uint64) bool {
	switch b.round {
	case blockHalfUp:
		return rem >= b.step-rem
	case blockHalfEven:
		return rem > b.step-rem || rem == b.step-rem && q%2 == 1
	case blockDown:
		return false
	}
	return rem > 0
}

// below is the greatest number of billed units that is most or less.
func (b *blocks) below(most uint64) uint64 {
	if most < b.first {
		return 0
	}
	return most - (most-b.first)%b.step
}

// above is the least number of billed units that is more than n; ok is false if
// there is none in 64 bits.
func (b *blocks) above(n uint64) (units uint64, ok bool) {
	if n < b.first {
		return b.first, true
	}
	units = b.below(n) + b.step
	return units, units > n
}

// used is the greatest number of used units that is billed as the given number,
// which must be one that billed returns.
func (b *blocks) used(units uint64) uint64 {
	if units == 0 {
		return 0
	}
	var rest uint64
	switch q := (units - b.first) / b.step; b.round {
	case blockDown:
		rest = b.step - 1
	case blockHalfUp:
		rest = (b.step - 1) / 2
	case blockHalfEven:
		rest = (b.step - 1) / 2
		if q%2 == 0 {
			rest = b.step / 2
		}
	}
	if units+rest < units {
		return math.MaxUint64
	}
	return units + rest
}

// origin is where a session began in its counter: the counter's value less what
// the session has used itself. After a reset it lies below zero.
type origin struct {
	at    uint64
	below bool // the origin is -at
}

// position is where the billed units of a session end in the counter.
func (o origin) position(units uint64) (x uint64, ok bool) {
	switch {
	case !o.below:
		return o.at + units, o.at+units >= units
	case units < o.at:
		return 0, true
	}
	return units - o.at, true
}

// units is the greatest number of billed units that ends at x or before.
func (o origin) units(x uint64) uint64 {
	if o.below {
		if x+o.at < x {
			return math.MaxUint64
		}
		return x + o.at
	}
	if x < o.at {
		return 0
	}
	return x - o.at
}

// origin of a session by its use and counter; a price that reads no counter begins
// at zero.
func (r *Rate) origin(used, counter uint64) origin {
	switch {
	case !r.counted:
		return origin{}
	case counter >= used:
		return origin{at: counter - used}
	}
	return origin{at: used - counter, below: true}
}

// Cost is the price of more units after used units of the same session on this
// rate, in 10^-9 of the major unit, tax as t.Tax says.
//
// counter is where the rule's counter stands before these units: the caller adds
// more to it afterwards (units as used, not as billed). Rates without tiers ignore
// it. charged is what this session was charged on this rate so far; only a session
// cap reads it.
//
// After a switch to another rate used and charged begin at 0 if the new rate is a
// new beginning (another network). In a call that runs on over a change of band they
// go on with those of the session: then no second set-up fee, minimum or first block
// is charged, and steps go on where they were.
//
// Parts add up: Cost(used, a) + Cost(used+a, b) == Cost(used, a+b), with counter
// and charged moved on in between. A volume price may cost less than nothing: where
// a cheaper step is reached, the units before are priced anew. Error:
// money.ErrOverflow, and what a formula refuses.
func (r *Rate) Cost(used, more uint64, counter uint64, charged int64) (nano int64, err error) {
	if r.Zero || more == 0 {
		return 0, nil
	}
	end := used + more
	if end < used {
		return 0, money.ErrOverflow
	}
	o := r.origin(used, counter)
	before, err := r.total(used, o)
	if err != nil {
		return 0, err
	}
	after, err := r.total(end, o)
	if err != nil {
		return 0, err
	}
	return r.capped(after-before, charged), nil // totals are not negative, or are small volume differences
}

// capped lowers a cost to what the session cap leaves.
func (r *Rate) capped(cost, charged int64) int64 {
	if r.SessionCap == noCap {
		return cost
	}
	return min(cost, max(0, r.SessionCap-max(0, charged)))
}

// total is F: what the first n units of a session cost that began at o, before any
// cap.
func (r *Rate) total(n uint64, o origin) (int64, error) {
	if n == 0 {
		return 0, nil
	}
	sum, err := r.metered(n, o)
	if err != nil {
		return 0, err
	}
	if sum > 0 && r.connect > math.MaxInt64-sum {
		return 0, money.ErrOverflow
	}
	if sum += r.connect; r.minimum > 0 {
		sum = max(sum, r.minimum)
	}
	return sum, nil
}

// metered is the price of the units alone.
func (r *Rate) metered(n uint64, o origin) (int64, error) {
	if r.formula != nil {
		return r.formula.price(n, r.Unit)
	}
	units, ok := r.blocks.billed(n)
	if !ok {
		return 0, money.ErrOverflow
	}
	x, ok := o.position(units)
	if !ok {
		return 0, money.ErrOverflow
	}
	sum, err := r.ladder.price(x)
	if err != nil || !r.counted {
		return sum, err
	}
	x, _ = o.position(0)
	start, err := r.ladder.price(x)
	return sum - start, err
}

// Capped is what a cost comes to under the day cap, when spent is what the rate's
// day counter stands at, in 10^-9 of the major unit. Without a day cap it is cost.
func (r *Rate) Capped(cost, spent int64) int64 {
	if r.DayCap == noCap {
		return cost
	}
	return min(cost, r.DayLeft(spent))
}

// DayLeft is how much can still be charged under the day cap. A budget of that
// much pays for any number of units until the day counter is reset.
func (r *Rate) DayLeft(spent int64) int64 {
	if r.DayCap == noCap {
		return math.MaxInt64
	}
	return max(0, r.DayCap-max(0, spent))
}
