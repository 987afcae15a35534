package compute

import (
	"cmp"
	"math/bits"
	"slices"
	"strings"

	"tandem/kit/civil"
	"tandem/kit/fault"
	"tandem/kit/money"
)

// tax is what a line says of its tax.
type tax struct {
	category, code, reason string
	percent                Percent // in lowest terms; Den 0 before it was looked up
	included               bool
}

// same says that two lines have the same tax.
func (t tax) same(u tax) bool {
	return t.category == u.category && t.percent == u.percent && t.included == u.included
}

// put writes the tax on a line.
func (t tax) put(l *Line) {
	l.TaxCategory, l.TaxCode, l.TaxPercent, l.TaxReason, l.TaxIncluded = t.category, t.code, t.percent, t.reason, t.included
}

// tax is that of a line that was billed; own fills in what is not known of it.
func (b *Billed) tax(own tax) tax {
	if b.TaxCategory != "" {
		own.category, own.included = b.TaxCategory, b.TaxIncluded
	}
	if b.TaxRate.Den != 0 {
		own.percent = b.TaxRate.lowest()
	}
	return own
}

// lookUp completes a tax by the rates of the account on a date. A percentage that is known
// already, because it was billed, stays.
func (e *engine) lookUp(t tax, at civil.Date, name string) (tax, error) {
	r := e.rate(t.category, at)
	if r == nil && t.percent.Den != 0 {
		r = e.rate(t.category, civil.Date{})
	}
	if r == nil {
		return t, fault.BadInput("taxRateMissing", "There is no rate of the tax category %q on %v, which %s of account %s needs: enter it and bill the account again",
			t.category, at, name, e.in.Account)
	}
	if t.percent.Den == 0 {
		t.percent = r.Percent.lowest()
	}
	if !r.Percent.sane() || t.percent.Num < 0 {
		return t, fault.BadInput("taxRateInvalid", "The rate of the tax category %q on %v is not a percentage", t.category, at)
	}
	t.code, t.reason = r.Code, r.Reason
	return t, nil
}

// rate is the rate of a category on a date; no date: any.
func (e *engine) rate(category string, at civil.Date) *TaxRate {
	for i := range e.in.Rates {
		r := &e.in.Rates[i]
		if r.Category == category && (at == civil.Date{} || r.Period.Contains(at)) {
			return r
		}
	}
	return nil
}

// sane says that the percentage can be reckoned with.
func (p Percent) sane() bool {
	return p.Den >= 0 && p.Den <= maxScale && p.Num <= maxScale && p.Num >= -maxScale
}

// lowest is the percentage in lowest terms: equal ones are ==. None is zero.
func (p Percent) lowest() Percent {
	if p.Num == 0 || p.Den == 0 {
		return Percent{0, 1}
	}
	if p.Den == 1 {
		return p
	}
	a, b := max(p.Num, -p.Num), p.Den
	for b != 0 {
		a, b = b, a%b
	}
	return Percent{p.Num / a, p.Den / a}
}

// group is the lines of one code and rate: those whose prices are without tax, and those
// whose prices include it.
type group struct {
	TaxSum
	net, gross int64
	largest    int // line with the largest price that includes tax; -1 for none
}

// total works out tax and totals: once for each code and rate (EN 16931 BR-CO-17), from
// the sum of the net prices, and from the sum of the gross ones, which stays exact.
func (e *engine) total() error {
	var room [4]group
	groups := room[:0]
	for i := range e.bill.Lines {
		var err error
		if groups, err = e.collect(groups, i); err != nil {
			return err
		}
	}
	slices.SortStableFunc(groups, func(a, b group) int {
		return cmp.Or(cmp.Compare(a.Code, b.Code), -a.Percent.compare(b.Percent))
	})
	e.bill.Taxes = make([]TaxSum, len(groups))
	for i := range groups {
		if err := e.close(&groups[i]); err != nil {
			return err
		}
		e.bill.Taxes[i] = groups[i].TaxSum
	}
	gross, least := e.bill.Gross, e.in.Minimum
	e.bill.Waits = gross < least && gross > -least
	return nil
}

// collect adds line i to its group.
func (e *engine) collect(groups []group, i int) (_ []group, err error) {
	l := &e.bill.Lines[i]
	at := slices.IndexFunc(groups, func(g group) bool { return g.Code == l.TaxCode && g.Percent == l.TaxPercent })
	if at < 0 {
		at = len(groups)
		groups = append(groups, group{TaxSum: TaxSum{Category: l.TaxCategory, Code: l.TaxCode, Percent: l.TaxPercent, Reason: l.TaxReason}, largest: -1})
	}
	g := &groups[at]
	if g.Reason != l.TaxReason && l.TaxReason != "" && !slices.Contains(strings.Split(g.Reason, "; "), l.TaxReason) {
		g.Reason = strings.TrimPrefix(g.Reason+"; "+l.TaxReason, "; ")
	}
	if !l.TaxIncluded {
		l.Net = l.Amount
		g.net, err = plus(g.net, l.Amount)
		return groups, err
	}
	if g.largest < 0 || size(l.Amount) > size(e.bill.Lines[g.largest].Amount) {
		g.largest = i
	}
	g.gross, err = plus(g.gross, l.Amount)
	return groups, err
}

// size is an amount without its sign.
func size(n int64) int64 { return max(n, -n) }

// compare orders percentages that are not negative; the products need not fit 64 bits.
func (p Percent) compare(q Percent) int {
	hi, lo := bits.Mul64(uint64(p.Num), uint64(q.Den))
	otherHi, otherLo := bits.Mul64(uint64(q.Num), uint64(p.Den))
	return cmp.Or(cmp.Compare(hi, otherHi), cmp.Compare(lo, otherLo))
}

// close works out the tax of a group.
func (e *engine) close(g *group) error {
	hundred := g.Percent.Den * 100
	onNet, err := money.MulDiv(g.net, g.Percent.Num, hundred, e.round)
	if err != nil {
		return tooLarge("the tax")
	}
	inGross, err := money.MulDiv(g.gross, g.Percent.Num, hundred+g.Percent.Num, e.round)
	if err != nil {
		return tooLarge("the tax")
	}
	if g.largest >= 0 {
		if err := e.spread(g, g.gross-inGross); err != nil {
			return err
		}
	}
	if g.Net, err = plus(g.net, g.gross-inGross); err != nil {
		return err
	}
	if g.Tax, err = plus(onNet, inGross); err != nil {
		return err
	}
	if e.bill.Net, err = plus(e.bill.Net, g.Net); err != nil {
		return err
	}
	if e.bill.Tax, err = plus(e.bill.Tax, g.Tax); err != nil {
		return err
	}
	e.bill.Gross, err = plus(e.bill.Net, e.bill.Tax)
	return err
}

// spread gives each line whose price includes tax its share of the net sum; what rounding
// leaves stands in the largest (C12).
func (e *engine) spread(g *group, net int64) error {
	hundred := g.Percent.Den * 100
	for i := range e.bill.Lines {
		l := &e.bill.Lines[i]
		if !l.TaxIncluded || l.TaxCode != g.Code || l.TaxPercent != g.Percent {
			continue
		}
		var err error
		if l.Net, err = money.MulDiv(l.Amount, hundred, hundred+g.Percent.Num, e.round); err != nil {
			return tooLarge("the tax")
		}
		net -= l.Net
	}
	e.bill.Lines[g.largest].Net += net
	return nil
}
