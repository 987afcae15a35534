package compute

import (
	"cmp"
	"slices"

	"tandem/kit/money"
)

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
		due := e.difference(o.ID, w.index, &s.tax, s.wanted, s.before)
		if due == 0 {
			continue
		}
		l := e.line(o, &w.service, rows)
		l.Number, l.Corrects, l.Base = next, s.bill, base
		l.charge(s.wanted, s.before, due)
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
	due := e.difference(o.ID, w.index, nil, wanted, before)
	if due == 0 && len(rows) > 0 {
		return nil
	}
	t, err := e.taxed(o, &w.service, rows)
	if err != nil {
		return err
	}
	l := e.line(o, &w.service, rows)
	l.Base = counted
	l.charge(wanted, before, due)
	t.put(l)
	return nil
}
