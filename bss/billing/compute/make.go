package compute

import (
	"cmp"
	"math"
	"slices"

	"tandem/kit/civil"
	"tandem/kit/fault"
	"tandem/kit/money"
)

// Bounds of one bill. Beyond them something is wrong with the data, and the account is
// parked rather than sent an absurd bill.
const (
	maxLines   = 1_000  // of one item on one bill
	maxPeriods = 20_000 // of one item looked at
	maxYears   = 100    // of a period that is charged by the second
	maxMinor   = 100_000_000_000_000
	maxScale   = 1_000_000_000_000 // of the numbers of a percentage
)

// engine is the making of one bill.
type engine struct {
	in    *Input
	clock clock
	round money.Rounding
	bill  *Bill
	past  []Billed // by item, index and version
	given map[given][]Credited
	owed  []owed   // one for each of in.Items
	usage []charge // one for each of in.Usage

	all    []int            // of the charges of discounts
	of     map[string][]int // the same by product; nil for a small account
	found  []int            // charges that a discount counts
	shares []share          // what it changes, by tax
}

// Make works out the bill of the billing period in.Index. A bill without lines is one
// too: nothing was to be charged. Errors are refusals (kit/fault) in the words of a bill
// clerk; they say what of the account keeps it from being billed.
func Make(in *Input) (*Bill, error) {
	e, err := begin(in)
	if err != nil {
		return nil, err
	}
	for i := range e.owed {
		if err := e.reconcile(&e.owed[i]); err != nil {
			return nil, err
		}
	}
	if err := e.consume(); err != nil {
		return nil, err
	}
	if err := e.alter(); err != nil {
		return nil, err
	}
	if err := e.total(); err != nil {
		return nil, err
	}
	return e.bill, nil
}

// begin checks the terms and sets out what is owed, by dates.
func begin(in *Input) (*engine, error) {
	if err := checkTerms(&in.Terms); err != nil {
		return nil, err
	}
	period, err := in.Cycle.Period(in.Index)
	if err != nil {
		return nil, fault.BadInput("billingPeriod", "Account %s has no billing period %d: %v", in.Account, in.Index, err)
	}
	e := &engine{in: in, clock: clock{zone: in.Zone, moved: in.Moved}, round: in.Rounding}
	if e.round == 0 {
		e.round = money.HalfUp
	}
	e.bill = &Bill{Account: in.Account, Period: period, Date: period.To, Lines: make([]Line, 0, len(in.Items)+len(in.Usage)+2)}
	if err := e.order(); err != nil {
		return nil, err
	}
	if err := e.takeCredits(); err != nil {
		return nil, err
	}
	e.owed = make([]owed, len(in.Items))
	for i := range in.Items {
		if err := e.owe(&e.owed[i], &in.Items[i]); err != nil {
			return nil, err
		}
	}
	return e, nil
}

// order takes what was billed, by item, index and version.
func (e *engine) order() error {
	e.past = e.in.Billed
	if !slices.IsSortedFunc(e.past, byPeriod) {
		e.past = slices.Clone(e.past)
		slices.SortStableFunc(e.past, byPeriod)
	}
	for i := range e.past {
		if b := &e.past[i]; b.Net > maxMinor || b.Net < -maxMinor || b.Version < 0 || !b.TaxRate.sane() {
			return fault.BadInput("billedInvalid", "What was billed of item %s, period %d, is not believable: %d minor units", b.Item, b.Index, b.Net)
		}
	}
	return nil
}

func byPeriod(a, b Billed) int {
	if c := cmp.Compare(a.Item, b.Item); c != 0 {
		return c
	}
	return cmp.Or(cmp.Compare(a.Index, b.Index), cmp.Compare(a.Version, b.Version))
}

// checkTerms says what is missing of the account.
func checkTerms(t *Terms) error {
	switch {
	case t.Currency == (money.Currency{}):
		return fault.BadInput("currencyMissing", "Account %s has no currency: enter the one it is billed in", t.Account)
	case t.Zone == nil:
		return fault.BadInput("zoneMissing", "Account %s has no time zone: enter one such as Europe/Berlin", t.Account)
	case t.Rounding > money.Floor:
		return fault.BadInput("roundingInvalid", "Account %s has an unknown rule of rounding", t.Account)
	case t.Minimum < 0:
		return fault.BadInput("minimumInvalid", "The least amount of a bill of account %s is negative", t.Account)
	}
	for i, m := range t.Moved {
		if m.Zone == nil || !m.Until.Valid() || i > 0 && !t.Moved[i-1].Until.Before(m.Until) {
			return fault.BadInput("zoneInvalid", "The former time zones of account %s are not in order", t.Account)
		}
	}
	if err := t.Cycle.Check(); err != nil {
		return fault.BadInput("cycleInvalid", "Account %s has no billing cycle: %v", t.Account, err)
	}
	return nil
}

// reconcile makes the lines of an item that do not depend on other items.
func (e *engine) reconcile(o *owed) error {
	if o.Sort == Discount || o.Sort == Commitment {
		return nil
	}
	from := o.first
	if o.unchanged() {
		from = max(from, o.top+1)
	} else if err := e.retract(o, math.MinInt, o.first); err != nil {
		return err
	}
	made := len(e.bill.Lines)
	for k := from; k <= o.last; k++ {
		if err := e.settle(o, k); err != nil {
			return err
		}
		if len(e.bill.Lines)-made > maxLines {
			return fault.BadInput("tooManyPeriods", "%s of account %s would have more than %d lines on one bill: check since when it is charged (%v)",
				o.Name, e.in.Account, maxLines, o.from)
		}
	}
	if o.unchanged() {
		return nil
	}
	return e.retract(o, o.last+1, math.MaxInt)
}

// retract settles the periods from one up to another that were billed and are not due by
// what is known now: they lie outside of the item's time, or ahead.
func (e *engine) retract(o *owed, from, to int) error {
	for i := range o.past {
		k := o.past[i].Index
		if k < from || k >= to || i > 0 && o.past[i-1].Index == k {
			continue
		}
		if err := e.settle(o, k); err != nil {
			return err
		}
	}
	return nil
}

// settle makes the line of the difference between what ought to be billed for a service
// period and what was.
func (e *engine) settle(o *owed, k int) error {
	p, err := e.service(o, k)
	if err != nil {
		return err
	}
	wanted, err := o.amount(p.ticks, p.ticks, e.round)
	if err != nil {
		return err
	}
	rows := o.at(k)
	before := net(rows)
	due := e.difference(o.ID, k, nil, wanted, before)
	if due == 0 {
		return nil
	}
	l := e.line(o, &p, rows)
	l.charge(wanted, before, due)
	tax, err := e.taxed(o, &p, rows)
	if err != nil {
		return err
	}
	tax.put(l)
	return nil
}

// line adds the line of an item's service period, without money and tax.
func (e *engine) line(o *owed, p *service, rows []Billed) *Line {
	e.bill.Lines = append(e.bill.Lines, Line{
		Item: o.ID, Price: o.Price, Version: o.Version, Name: o.Name, Product: o.Product, Account: o.Account, Sort: o.Sort,
		Index: p.index, Number: number(rows), Service: p.part, Full: p.full, Rule: o.rule,
		Unit: o.Amount, Quantity: o.quantity(), Percent: o.Percent, Revenue: o.Revenue, TaxPoint: o.taxPoint(p),
	})
	l := &e.bill.Lines[len(e.bill.Lines)-1]
	l.Portion, l.Rested = o.share(p.ticks)
	if len(rows) > 0 {
		l.Corrects = rows[0].Bill
	}
	return l
}

// taxed is the tax of an item's service period: of what was billed, or that of the tax point.
func (e *engine) taxed(o *owed, p *service, rows []Billed) (tax, error) {
	at := o.taxPoint(p)
	t := tax{category: e.category(o.TaxCategory, at), included: o.TaxIncluded}
	if len(rows) > 0 {
		t = rows[0].tax(t)
	}
	return e.lookUp(t, at, o.Name)
}

// category is the tax category of a charge with a tax point on this account.
func (e *engine) category(own string, at civil.Date) string {
	for _, x := range e.in.Exempted {
		if (x.Period == civil.Period{}) || x.Period.Contains(at) {
			return x.Category
		}
	}
	return cmp.Or(e.in.Override, own)
}

// consume makes the lines of usage.
func (e *engine) consume() error {
	e.usage = make([]charge, len(e.in.Usage))
	for i := range e.in.Usage {
		if err := e.used(&e.in.Usage[i], &e.usage[i]); err != nil {
			return err
		}
	}
	return nil
}

// used makes the line of a sum of usage, and what of it discounts may count.
func (e *engine) used(u *UsageSum, c *charge) error {
	before, after, err := e.sums(u)
	if err != nil {
		return err
	}
	if err := u.Period.Check(); err != nil || u.Period.Open() || u.Period.Empty() {
		return fault.BadInput("usageInvalid", "Usage %q of account %s has no billing period", u.Name, e.in.Account)
	}
	last := u.Period.To.AddDays(-1)
	t, err := e.lookUp(tax{category: e.category(u.TaxCategory, last), included: u.TaxIncluded}, last, u.Name)
	if err != nil {
		return err
	}
	*c = charge{days: span{day(u.Period.From), day(u.Period.To)}, product: u.Product, usage: true, left: after, tax: t, revenue: u.Revenue}
	if u.Amount.Nano == 0 && u.Records == 0 {
		return nil
	}
	e.bill.Lines = append(e.bill.Lines, Line{
		Key: u.Key, Name: u.Name, Product: u.Product, Account: u.Account, Sort: Usage, Service: u.Period, Full: u.Period,
		Portion: civil.Portion{To: 1, Of: 1}, Unit: u.Amount, Quantity: u.Quantity, UsageUnit: u.Unit, Records: u.Records,
		Wanted: after, Before: before, Amount: after - before, TaxPoint: last, Revenue: u.Revenue,
	})
	t.put(&e.bill.Lines[len(e.bill.Lines)-1])
	return nil
}

// sums are what was billed of a sum of usage and what ought to be, each rounded once.
func (e *engine) sums(u *UsageSum) (before, after int64, err error) {
	if err := e.priced(u.Name, u.Amount); err != nil {
		return 0, 0, err
	}
	all := money.NewTally(e.in.Currency)
	if u.Before != (money.Rate{}) {
		if err := e.priced(u.Name, u.Before); err != nil {
			return 0, 0, err
		}
		if before, err = post(u.Before, 1, e.round, u.Name); err != nil {
			return 0, 0, err
		}
		err = all.Add(u.Before)
	}
	if err == nil {
		err = all.Add(u.Amount)
	}
	if err != nil {
		return 0, 0, err
	}
	a, err := all.Post(e.round)
	if err != nil || a.Minor > maxMinor || a.Minor < -maxMinor {
		return 0, 0, tooLarge(u.Name)
	}
	return before, a.Minor, nil
}

// priced refuses a price in no or another currency than the account's.
func (e *engine) priced(name string, r money.Rate) error {
	switch r.Currency {
	case e.in.Currency:
		return nil
	case money.Currency{}:
		return fault.BadInput("priceMissing", "%s has no price in %v, in which account %s is billed: enter the price, or move the product to another account",
			name, e.in.Currency, e.in.Account)
	}
	return fault.BadInput("currencyMismatch", "%s is priced in %v, account %s is billed in %v: enter the price in %v, or move the product to an account in %v",
		name, r.Currency, e.in.Account, e.in.Currency, e.in.Currency, r.Currency)
}

// post rounds the price of so many pieces to minor units.
func post(r money.Rate, pieces int64, round money.Rounding, name string) (int64, error) {
	a, err := r.PostRat(pieces, 1, round)
	if err != nil || a.Minor > maxMinor || a.Minor < -maxMinor {
		return 0, tooLarge(name)
	}
	return a.Minor, nil
}

func tooLarge(name string) error {
	return fault.BadInput("amountTooLarge", "The amount of %s is too large to be right: check its price and quantity", name)
}

// plus adds minor units.
func plus(a, b int64) (int64, error) {
	if b > 0 && a > math.MaxInt64-b || b < 0 && a < math.MinInt64-b {
		return 0, tooLarge("all lines together")
	}
	return a + b, nil
}
