package compute

import (
	"cmp"
	"slices"

	"tandem/kit/civil"
	"tandem/kit/fault"
	"tandem/kit/money"
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
	first, last := o.first, o.last
	if o.Sort == Discount {
		last = o.first - 1
		if end > day(o.from) {
			k, err := o.Cycle.Index(dateOf(end - 1))
			if err != nil {
				return o.outside(err)
			}
			last = k
		}
		if o.Periods > 0 && o.Periods < int64(last-first)+1 {
			last = first + int(o.Periods) - 1
		}
	}
	if start > day(o.from) {
		k, err := o.Cycle.Index(dateOf(start))
		if err != nil {
			return o.outside(err)
		}
		first = k
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

// charges are the pieces of all that is charged from a day on.
func (e *engine) charges(start int64, cuts []int64) (out []charge, err error) {
	out = make([]charge, 0, 2*len(e.owed)+len(e.usage))
	for i := range e.owed {
		o := &e.owed[i]
		switch o.Sort {
		case Recurring:
			out, err = e.pieces(out, o, start, cuts)
		case OneTime:
			if day(o.from) >= start && (o.last == 0 || len(o.past) > 0) {
				out, err = e.piece(out, o, 0, cuts)
			}
		}
		if err != nil {
			return nil, err
		}
	}
	return append(out, e.usage...), nil
}

// pieces are those of a recurring charge.
func (e *engine) pieces(out []charge, o *owed, start int64, cuts []int64) ([]charge, error) {
	first, through := o.first, o.last
	if start > day(o.from) {
		k, err := o.Cycle.Index(dateOf(start))
		if err != nil {
			return nil, o.outside(err)
		}
		first = k
	}
	if len(o.past) > 0 {
		through = max(through, o.top)
	}
	for k := first; k <= through; k++ {
		if k > o.last && len(o.at(k)) == 0 {
			continue
		}
		var err error
		if out, err = e.piece(out, o, k, cuts); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// piece cuts the charge for a service period at the given days. What lies before the
// first of them is left out.
func (e *engine) piece(out []charge, o *owed, k int, cuts []int64) ([]charge, error) {
	p, err := e.service(o, k)
	if err != nil {
		return nil, err
	}
	if p.part.Empty() {
		return out, nil
	}
	tax, err := e.taxed(o, &p, o.at(k))
	if err != nil {
		return nil, err
	}
	days := span{day(p.part.From), day(p.part.To)}
	at, _ := slices.BinarySearch(cuts, days.from+1) // the first cut within
	from, ticks := days.from, p.ticks
	if from < cuts[0] {
		if from = cuts[0]; from >= days.to {
			return out, nil
		}
		ticks.from, at = e.mark(o.rule, dateOf(from)), 1
	}
	for from < days.to {
		to := days.to
		ticks.to = p.ticks.to
		if at < len(cuts) && cuts[at] < days.to {
			to = cuts[at]
			ticks.to = e.mark(o.rule, dateOf(to))
		}
		sum, err := o.amount(p.ticks, ticks, e.round)
		if err != nil {
			return nil, err
		}
		if sum != 0 {
			out = append(out, charge{days: span{from, to}, price: o.Price, product: o.Product, revenue: o.Revenue, left: sum, tax: tax})
		}
		from, ticks.from, at = to, ticks.to, at+1
	}
	return out, nil
}

// few are so many charges that looking at all of them is no work.
const few = 64

// sortOut lists the charges, of a large account also by product: each of its lines may have
// a discount of its own.
func (e *engine) sortOut(charges []charge) {
	e.all = make([]int, len(charges))
	for i := range charges {
		e.all[i] = i
	}
	if len(charges) <= few {
		return
	}
	e.of = map[string][]int{}
	for i := range charges {
		e.of[charges[i].product] = append(e.of[charges[i].product], i)
	}
}

// near are the charges that a discount or commitment may count.
func (e *engine) near(o *owed) []int {
	if o.AllOf || e.of == nil {
		return e.all
	}
	return e.of[o.Product]
}

// counts says that a discount or commitment counts a charge in one of its periods. Usage
// belongs to the first period that shares a day with it.
func (o *owed) counts(c *charge, w *window) bool {
	at := c.days.from
	if c.usage {
		at = max(at, day(o.from))
	}
	switch {
	case at < w.days.from || at >= w.days.to || at >= c.days.to:
		return false
	case !o.AllOf && c.product != o.Product:
		return false
	case c.usage:
		return o.WithUsage
	}
	return len(o.Alters) == 0 || slices.Contains(o.Alters, c.price)
}

// discount works out what a discount takes off (or puts on) in one of its periods, shares
// it out over the charges that it counts, and makes a line for each tax of them.
func (e *engine) discount(a *altering, w *window, charges []charge) (err error) {
	o, base, alike := a.owed, int64(0), a.last
	found := e.found[:0]
	for _, i := range e.near(o) {
		if c := &charges[i]; c.left > 0 && o.counts(c, w) {
			alike = alike && (len(found) == 0 || c.tax.same(charges[found[0]].tax))
			if base, err = plus(base, c.left); err != nil {
				return err
			}
			found = append(found, i)
		}
	}
	e.found = found
	sum, err := e.change(o, w, base)
	if err != nil {
		return err
	}
	shares := e.shares[:0]
	switch {
	case sum == 0:
	case alike: // how it is shared out makes no difference to anyone
		shares = append(shares, share{tax: charges[found[0]].tax, revenue: charges[found[0]].revenue, wanted: sum})
	default:
		if shares, err = e.share(shares, sum, charges); err != nil {
			return err
		}
	}
	return e.lower(o, w, base, shares)
}

// change is what a discount changes of what it counts: negative takes off.
func (e *engine) change(o *owed, w *window, base int64) (sum int64, err error) {
	if base == 0 {
		return 0, nil
	}
	if o.byPercent() {
		if sum, err = money.MulDiv(base, o.Percent.Num, o.Percent.Den*100, e.round); err != nil {
			return 0, tooLarge(o.Name)
		}
	} else if sum, err = o.amount(w.ticks, w.ticks, e.round); err != nil {
		return 0, err
	}
	if o.Cap.Currency != (money.Currency{}) {
		most, err := post(o.Cap, 1, e.round, o.Name)
		if err != nil {
			return 0, err
		}
		sum = min(max(sum, -size(most)), size(most))
	}
	if sum > maxMinor {
		return 0, tooLarge(o.Name)
	}
	return max(sum, -base), nil
}

// share is what a discount changes under one tax.
type share struct {
	tax            tax
	revenue        string
	wanted, before int64
	bill           string // that had its first line
}

// share shares a change out over charges by what is left of them, the largest remainders
// first, and sums it up by tax.
func (e *engine) share(out []share, sum int64, charges []charge) ([]share, error) {
	weights := make([]int64, len(e.found))
	for i, at := range e.found {
		weights[i] = charges[at].left
	}
	parts, err := money.Amount{Minor: sum, Currency: e.in.Currency}.Allocate(weights...)
	if err != nil {
		return nil, err
	}
	for i, at := range e.found {
		c := &charges[at]
		c.left += parts[i].Minor
		k := slices.IndexFunc(out, func(s share) bool { return s.tax.same(c.tax) })
		if k < 0 {
			k = len(out)
			out = append(out, share{tax: c.tax, revenue: c.revenue})
		}
		out[k].wanted += parts[i].Minor
	}
	return out, nil
}

// lower makes the lines of a discount: for each tax the difference to what was billed.
func (e *engine) lower(o *owed, w *window, base int64, shares []share) error {
	rows := o.at(w.index)
	for i := range rows {
		at, err := e.belongs(o, w, &rows[i], &shares)
		if err != nil {
			return err
		}
		s := &shares[at]
		s.before += rows[i].Net
		s.bill = cmp.Or(s.bill, rows[i].Bill)
	}
	e.shares = shares
	next := number(rows)
	for i := range shares {
		s := &shares[i]
		if s.wanted == s.before {
			continue
		}
		l := e.line(o, &w.service, rows)
		l.Number, l.Corrects, l.Base = next, s.bill, base
		l.Wanted, l.Before, l.Amount = s.wanted, s.before, s.wanted-s.before
		l.Revenue = cmp.Or(o.Revenue, s.revenue)
		s.tax.put(l)
		next++
	}
	return nil
}

// belongs is the share whose tax is that of a line billed before; a new one if there is none.
func (e *engine) belongs(o *owed, w *window, b *Billed, shares *[]share) (int, error) {
	known := slices.IndexFunc(*shares, func(s share) bool { return b.tax(s.tax).same(s.tax) })
	if known >= 0 {
		return known, nil
	}
	at := o.taxPoint(&w.service)
	t, err := e.lookUp(b.tax(tax{category: e.category(o.TaxCategory, at), included: o.TaxIncluded}), at, o.Name)
	if err != nil {
		return 0, err
	}
	*shares = append(*shares, share{tax: t})
	return len(*shares) - 1, nil
}

// commit works out what is missing to a commitment in one of its periods. A period for
// which nothing is missing has a line of zero, once: it says so, and that it was looked at.
func (e *engine) commit(o *owed, w *window, charges []charge) (err error) {
	var counted int64
	for _, i := range e.near(o) {
		if c := &charges[i]; o.counts(c, w) {
			if counted, err = plus(counted, c.left); err != nil {
				return err
			}
		}
	}
	sum, err := o.amount(w.ticks, w.ticks, e.round)
	if err != nil {
		return err
	}
	missing, err := plus(sum, -counted)
	if err != nil {
		return err
	}
	rows := o.at(w.index)
	wanted, before := max(0, missing), net(rows)
	if wanted == before && len(rows) > 0 {
		return nil
	}
	t, err := e.taxed(o, &w.service, rows)
	if err != nil {
		return err
	}
	l := e.line(o, &w.service, rows)
	l.Base, l.Wanted, l.Before, l.Amount = counted, wanted, before, wanted-before
	t.put(l)
	return nil
}
