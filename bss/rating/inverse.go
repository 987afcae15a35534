package rating

import "math"

// Units is how many more units can be used for nano: the greatest number of which
// no part costs more, by Cost with the same arguments. Blocks are whole: units of a
// started block that is paid already are free, one that cannot be paid in full is
// not given. bounded is false if the money never runs out (the rate is free, or the
// session cap is within it); more is then as far as 64 bits go. A negative nano
// buys nothing.
//
// The day cap is not looked at: see DayLeft. A formula over money cannot be turned
// round: ask for its Cost.
func (r *Rate) Units(used, counter uint64, charged int64, nano int64) (more uint64, bounded bool) {
	all := math.MaxUint64 - used
	if r.Zero || r.SessionCap != noCap && nano >= 0 && r.capped(math.MaxInt64, charged) <= nano {
		return all, false
	}
	if nano < 0 {
		return 0, true
	}
	if r.formula != nil {
		return r.eventsFor(used, charged, nano), true
	}
	o := r.origin(used, counter)
	before, err := r.total(used, o)
	if err != nil {
		return 0, true
	}
	budget := saturate(before, nano)
	if used == 0 && budget < max(r.connect, r.minimum) {
		return 0, true
	}
	start := int64(0)
	if r.counted {
		x, _ := o.position(0)
		if start, err = r.ladder.price(x); err != nil {
			return 0, true
		}
	}
	limit := saturate(budget, start-r.connect)
	units := r.unitsFor(used, o, limit)
	if units == math.MaxUint64 {
		return all, false
	}
	return max(r.blocks.used(units), used) - used, true
}

// saturate is a + b, at most the greatest int64.
func saturate(a, b int64) int64 {
	if b > 0 && a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}

// unitsFor is the greatest number of billed units up to which the ladder costs
// limit or less, or the greatest uint64 if nothing ends it.
func (r *Rate) unitsFor(used uint64, o origin, limit int64) uint64 {
	if limit < 0 {
		return 0
	}
	if r.ladder.volume {
		return r.volumeFor(used, o, limit)
	}
	x := r.ladder.reach(limit)
	if x == math.MaxUint64 {
		return x
	}
	return r.blocks.below(o.units(x))
}

// volumeFor climbs rung by rung: the price falls or jumps between them, so that a
// rung may only be entered if its first block can be paid.
func (r *Rate) volumeFor(used uint64, o origin, limit int64) uint64 {
	most := r.ladder.most(limit)
	units, _ := r.blocks.billed(used)
	for i := range r.ladder.rungs {
		g := &r.ladder.rungs[i]
		last := r.blocks.below(o.units(g.to))
		if last <= units {
			continue
		}
		if g.num == 0 {
			units = last
			continue
		}
		paid := r.blocks.below(o.units(min(g.to, most.over(g.num))))
		if paid < last {
			return max(units, paid)
		}
		units = last
	}
	return math.MaxUint64
}

// maxScan is how many events a formula is asked for, and so the most it grants.
const maxScan = 1024

// eventsFor tries one event after the other: a formula may be of any shape.
func (r *Rate) eventsFor(used uint64, charged, nano int64) uint64 {
	if r.Unit != unitEvents {
		return 0
	}
	for n := range uint64(maxScan) {
		cost, err := r.Cost(used, n+1, 0, charged)
		if err != nil || cost > nano {
			return n
		}
	}
	return maxScan
}
