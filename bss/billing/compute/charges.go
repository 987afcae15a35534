package compute

import "slices"

// charges are the pieces of all that is charged from a day on.
func (e *engine) charges(start int64, cuts []int64) (out []charge, err error) {
	out = make([]charge, 0, 2*len(e.owed)+len(e.usage))
	for i := range e.owed {
		o := &e.owed[i]
		switch o.Sort {
		case Recurring:
			out, err = e.pieces(out, o, start, cuts)
		case OneTime:
			if !o.Apart && day(o.from) >= start && (o.last == 0 || len(o.past) > 0) {
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
