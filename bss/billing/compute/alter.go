package compute

import (
	"cmp"
	"slices"

	"tandem/kit/civil"
	"tandem/kit/fault"
)

// charge is a piece of what is charged, as discounts and commitments see it: it lies wholly
// within or outside of each of their periods.
type charge struct {
	days    span // it belongs to the first of them
	price   string
	product string
	revenue string
	usage   bool
	left    int64 // what the discounts so far have left of it
	tax     tax
}

// window is a service period of a discount or commitment, by the days in which it holds.
type window struct {
	service
	days span
}

// altering is a discount or commitment at work.
type altering struct {
	*owed
	windows []window
	last    bool // nobody counts after it
}

// alter makes the lines of discounts and commitments. They are reconciled as all items
// are; what they count is worked out anew from the first day that this bill touches.
func (e *engine) alter() error {
	list := e.altering()
	if len(list) == 0 {
		return nil
	}
	start, err := e.touched(list)
	if err != nil || start == endless {
		return err
	}
	cuts, err := e.windows(list, start)
	if err != nil {
		return err
	}
	charges, err := e.charges(start, cuts)
	if err != nil {
		return err
	}
	e.sortOut(charges)
	for i := range list {
		a, made := &list[i], len(e.bill.Lines)
		a.last = i+1 == len(list)
		for j := range a.windows {
			w := &a.windows[j]
			if a.Sort == Commitment {
				err = e.commit(a.owed, w, charges)
			} else {
				err = e.discount(a, w, charges)
			}
			if err != nil {
				return err
			}
		}
		if len(e.bill.Lines)-made > maxLines {
			return fault.BadInput("tooManyPeriods", "%s of account %s would have more than %d lines on one bill: check since when it holds (%v)",
				list[i].Name, e.in.Account, maxLines, list[i].from)
		}
	}
	return nil
}

// altering are the discounts in the order in which they run, then the commitments.
func (e *engine) altering() []altering {
	n := 0
	for i := range e.owed {
		if s := e.owed[i].Sort; s == Discount || s == Commitment {
			n++
		}
	}
	if n == 0 {
		return nil
	}
	list := make([]altering, 0, n)
	for i := range e.owed {
		if o := &e.owed[i]; o.Sort == Discount || o.Sort == Commitment {
			list = append(list, altering{owed: o})
		}
	}
	slices.SortStableFunc(list, func(a, b altering) int {
		if c := cmp.Compare(a.Sort, b.Sort); c != 0 {
			return c
		}
		return cmp.Or(cmp.Compare(a.Priority, b.Priority), cmp.Compare(a.ID, b.ID))
	})
	return list
}

// touched is the first day for which what discounts and commitments count may have
// changed, taken back to where the periods of all of them begin.
func (e *engine) touched(list []altering) (int64, error) {
	start := int64(endless)
	for i := range e.bill.Lines {
		start = min(start, day(e.bill.Lines[i].Full.From))
	}
	for i := range e.owed {
		at, err := e.owed[i].begins()
		if err != nil {
			return 0, err
		}
		start = min(start, at)
	}
	if start == endless {
		return start, nil
	}
	for again := true; again; {
		again = false
		for _, a := range list {
			at, err := a.holding(start)
			if err != nil {
				return 0, err
			}
			if at < start {
				start, again = at, true
			}
		}
		for i := range e.usage { // which each discount counts from the first day they share
			if d := e.usage[i].days; d.from < start && start < d.to {
				start, again = d.from, true
			}
		}
	}
	return start, nil
}

// begins is the day from which the item itself has to be looked at: a charge that has
// changed may have moved into or out of a discount though its sum has not.
func (o *owed) begins() (int64, error) {
	k := o.first
	switch {
	case o.unchanged() && o.Sort == Commitment && o.top < o.last:
		k = o.top + 1
	case o.unchanged():
		return endless, nil // only if what it counts has changed
	case o.Sort == OneTime && len(o.past) > 0:
		return day(civil.First), nil // it may have had any other day
	case o.Sort == OneTime:
		return endless, nil
	case len(o.past) > 0:
		k = min(k, o.past[0].Index)
	case o.Sort == Recurring, o.Sort == Commitment && o.last < o.first:
		return endless, nil
	}
	full, err := o.Cycle.Period(k)
	if err != nil {
		return 0, o.outside(err)
	}
	return day(full.From), nil
}

// holding is the first day of the period of the item that holds a day, the day itself
// where the item does not run.
func (a *altering) holding(at int64) (int64, error) {
	o := a.owed
	if at < day(o.from) || o.to != (civil.Date{}) && at >= day(o.to) {
		return at, nil
	}
	full, _, err := o.Cycle.PeriodOf(dateOf(at))
	if err != nil {
		return 0, o.outside(err)
	}
	return max(day(full.From), day(o.from)), nil
}

// windows finds the periods of all discounts and commitments from a day on, and the days
// at which charges have to be cut so that each piece lies in one of each.
func (e *engine) windows(list []altering, start int64) (cuts []int64, err error) {
	end, err := e.end()
	if err != nil {
		return nil, err
	}
	cuts = append(make([]int64, 0, 4+4*len(list)), start)
	for i := range list {
		a := &list[i]
		if err := e.window(a, start, end); err != nil {
			return nil, err
		}
		if cuts, err = a.cuts(cuts, end); err != nil {
			return nil, err
		}
	}
	slices.Sort(cuts)
	return slices.Compact(cuts), nil
}

// cuts adds the days at which the periods begin and end, also those that are not due yet:
// a charge is cut the same way on every bill.
func (a *altering) cuts(cuts []int64, end int64) ([]int64, error) {
	last := civil.Date{}
	for i := range a.windows {
		if w := &a.windows[i]; !w.days.empty() {
			cuts = append(cuts, w.days.from, w.days.to)
			last = later(last, w.part.To)
		}
	}
	if a.Sort == Discount || a.to != (civil.Date{}) && !a.from.Before(a.to) {
		return cuts, nil
	}
	last = later(last, later(a.from, dateOf(cuts[0])))
	cuts = append(cuts, day(last))
	for day(last) < end && (a.to == civil.Date{} || last.Before(a.to)) {
		full, _, err := a.Cycle.PeriodOf(last)
		if err != nil {
			return nil, a.outside(err)
		}
		if last = full.To; a.to != (civil.Date{}) && a.to.Before(last) {
			last = a.to
		}
		cuts = append(cuts, day(last))
	}
	return cuts, nil
}

// end is the day after the last one for which anything is charged.
func (e *engine) end() (int64, error) {
	end := day(e.bill.Date)
	for i := range e.usage {
		end = max(end, e.usage[i].days.to)
	}
	for i := range e.owed {
		o := &e.owed[i]
		if o.Sort == OneTime {
			end = max(end, day(o.to))
		}
		if o.Sort != Recurring {
			continue
		}
		last := o.last
		if len(o.past) > 0 {
			last = max(last, o.top)
		}
		to, err := o.Cycle.Boundary(last + 1)
		if err != nil {
			return 0, o.outside(err)
		}
		end = max(end, day(to))
	}
	return end, nil
}

// window finds the periods of one discount or commitment between two days, and those
// that were billed and no longer are.
func (e *engine) window(a *altering, start, end int64) error {
	o := a.owed
	first, last, err := a.between(start, end)
	if err != nil {
		return err
	}
	for i := range o.past {
		k := o.past[i].Index
		again := k >= first || !o.unchanged()
		if again && (k < first || k > last) && (i == 0 || o.past[i-1].Index != k) {
			if err := e.open(a, k, start, false); err != nil {
				return err
			}
		}
	}
	if last-first > maxPeriods {
		return fault.BadInput("tooManyPeriods", "%s of account %s has more than %d periods: check since when it holds (%v)", o.Name, e.in.Account, maxPeriods, o.from)
	}
	a.windows = slices.Grow(a.windows, max(0, last-first+1))
	for k := first; k <= last; k++ {
		if err := e.open(a, k, start, true); err != nil {
			return err
		}
	}
	return nil
}

// between is the first and the last period between two days: of a commitment that are due,
// of a discount in which it may hold.
func (a *altering) between(start, end int64) (first, last int, err error) {
	o := a.owed
	first, last = o.first, o.last
	if o.Sort == Discount {
		last = o.first - 1
		if end > day(o.from) {
			if last, err = o.Cycle.Index(dateOf(end - 1)); err != nil {
				return 0, 0, o.outside(err)
			}
		}
		if o.Periods > 0 && o.Periods < int64(last-first)+1 {
			last = first + int(o.Periods) - 1
		}
	}
	if start > day(o.from) {
		if first, err = o.Cycle.Index(dateOf(start)); err != nil {
			return 0, 0, o.outside(err)
		}
	}
	return first, last, nil
}

// open adds period k, unless it is over before the start. One that no longer holds has no
// days; one of a commitment that was billed holds, due or not.
func (e *engine) open(a *altering, k int, start int64, holds bool) error {
	p, err := e.service(a.owed, k)
	if err != nil {
		return err
	}
	w := window{service: p, days: span{day(p.part.From), day(p.part.To)}}
	if !holds && a.Sort == Discount {
		w.days.to = w.days.from
	}
	if w.days.empty() && len(a.at(k)) == 0 || !w.days.empty() && w.days.to <= start {
		return nil
	}
	a.windows = append(a.windows, w)
	return nil
}
