package compute

import (
	"cmp"
	"math"
	"slices"
	"sort"
	"time"

	"tandem/kit/civil"
	"tandem/kit/fault"
	"tandem/kit/money"
)

// span is [from, to) in days, or in the ticks of a rule of proration.
type span struct{ from, to int64 }

// endless is the end of what has none.
const endless = math.MaxInt64

func (s span) empty() bool { return s.from >= s.to }

// cut is what two spans share.
func (s span) cut(t span) span { return span{max(s.from, t.from), min(s.to, t.to)} }

// owed is an item with its time in dates and in ticks of its rule of proration: days, days
// of months of 30, or seconds.
type owed struct {
	*Item
	rule        Proration
	from, to    civil.Date // as the item's Span; no date: it runs
	used        span       // the same in ticks
	rests       []span     // when the resting amount holds
	price       int64      // of a full period, or once, rounded
	rest        int64      // of a full period while it rests
	first, last int        // service periods that are due; none when last < first
	past        []Billed   // of this item, by index and version
	top         int        // last index that was billed
}

// service is one service period of an item.
type service struct {
	index int
	full  civil.Period
	part  civil.Period // of the item in it; empty if it has none
	ticks span         // of full
}

// owe sets out an item.
func (e *engine) owe(o *owed, it *Item) error {
	*o = owed{Item: it, rule: it.Proration}
	if err := e.checkItem(it); err != nil {
		return err
	}
	if it.Sort == OneTime || o.byPercent() || o.rule == By30Days && it.Cycle.Step.Days != 0 {
		o.rule = ByDays // there is nothing to prorate, or there are no months
	}
	o.from = e.clock.date(it.Span.From)
	switch {
	case it.Sort == OneTime:
		o.to = o.from.AddDays(1)
	case !it.Span.Open():
		o.to = later(e.ending(o), o.from)
	}
	if !o.from.Valid() {
		return fault.BadInput("itemInvalid", "%s of account %s is charged from no known date", it.Name, e.in.Account)
	}
	o.past = e.billed(it.ID)
	o.top = -1
	if n := len(o.past); n > 0 {
		o.top = o.past[n-1].Index
	}
	e.tick(o)
	if err := e.value(o); err != nil {
		return err
	}
	return e.due(o)
}

// ending is the date on which the item is no longer owed: by the second it is owed for a
// part of the day on which it ends.
func (e *engine) ending(o *owed) civil.Date {
	d := e.clock.date(o.Span.To)
	if o.rule == BySeconds && e.clock.start(d).Before(o.Span.To) {
		return d.AddDays(1)
	}
	return d
}

func later(a, b civil.Date) civil.Date {
	if a.Before(b) {
		return b
	}
	return a
}

// tick measures the item's time by its rule.
func (e *engine) tick(o *owed) {
	if o.rule == BySeconds {
		o.used = span{o.Span.From.Unix(), endless}
		if !o.Span.Open() {
			o.used.to = o.Span.To.Unix()
		}
	} else {
		o.used = span{e.mark(o.rule, o.from), endless}
		if o.to != (civil.Date{}) {
			o.used.to = e.mark(o.rule, o.to)
		}
	}
	if o.Resting == nil || o.Sort == OneTime || o.byPercent() {
		return
	}
	at := o.used.from
	for _, s := range o.Suspended {
		r := span{to: endless}
		if o.rule == BySeconds {
			r.from = s.From.Unix()
			if !s.Open() {
				r.to = s.To.Unix()
			}
		} else {
			r.from = e.mark(o.rule, e.clock.date(s.From))
			if !s.Open() {
				r.to = e.mark(o.rule, e.clock.date(s.To))
			}
		}
		if r = r.cut(span{at, o.used.to}); !r.empty() {
			o.rests = append(o.rests, r)
			at = r.to
		}
	}
}

// mark is a date in ticks of a rule.
func (e *engine) mark(rule Proration, d civil.Date) int64 {
	switch rule {
	case By30Days:
		return civil.Days360(epoch, d)
	case BySeconds:
		return e.clock.start(d).Unix()
	}
	return day(d)
}

// value rounds the price of a full period once.
func (e *engine) value(o *owed) (err error) {
	if o.byPercent() {
		return nil
	}
	if err := e.priced(o.Name, o.Amount); err != nil {
		return err
	}
	if o.price, err = post(o.Amount, o.quantity(), e.round, o.Name); err != nil || o.Resting == nil {
		return err
	}
	if err := e.priced(o.Name, *o.Resting); err != nil {
		return err
	}
	o.rest, err = post(*o.Resting, o.quantity(), e.round, o.Name)
	return err
}

// due finds the service periods that are due by the date of the bill.
func (e *engine) due(o *owed) (err error) {
	o.first, o.last = 0, -1
	date, arrears := e.bill.Date, o.Timing == Arrears || o.Sort == Commitment
	if o.Sort == OneTime {
		if o.from.Before(date) || o.from == date && !arrears {
			o.last = 0
		}
		return nil
	}
	if o.first, err = o.Cycle.Index(o.from); err != nil {
		return o.outside(err)
	}
	o.last = o.first - 1
	ended := o.to != civil.Date{}
	if o.from.After(date) || ended && !o.from.Before(o.to) {
		return nil
	}
	last, err := o.Cycle.Index(date)
	if err != nil {
		return o.outside(err)
	}
	if arrears {
		last--
	}
	if ended {
		end, err := o.Cycle.Index(o.to.AddDays(-1))
		if err != nil {
			return o.outside(err)
		}
		if last = min(last, end); arrears && !o.to.After(date) {
			last = end
		}
	}
	o.last = last
	if last-o.first > maxPeriods {
		return fault.BadInput("tooManyPeriods", "%s of account %s has more than %d service periods: check since when it is charged (%v)",
			o.Name, e.in.Account, maxPeriods, o.from)
	}
	return nil
}

func (o *owed) outside(err error) error {
	return fault.BadInput("itemInvalid", "%s is charged outside of the calendar: %v", o.Name, err)
}

// service is period k of an item; a one-time charge has the day on which it is owed.
func (e *engine) service(o *owed, k int) (service, error) {
	p := service{index: k}
	if o.Sort == OneTime {
		p.full = civil.Period{From: o.from, To: o.to}
		p.part = p.full
		p.ticks = o.used
		if k != 0 { // there is no other day
			p.ticks = span{o.used.to, o.used.to + 1}
		}
		return p, nil
	}
	full, err := o.Cycle.Period(k)
	if err != nil {
		return p, o.outside(err)
	}
	p.full = full
	own, any := full.Intersect(civil.Period{From: o.from, To: o.to})
	if !any {
		own = civil.Period{From: full.From, To: full.From}
	}
	p.part = own
	p.ticks = span{e.mark(o.rule, full.From), e.mark(o.rule, full.To)}
	return p, nil
}

// amount is what is owed for a window of a full service period, both in ticks: slices of
// the rounded price, so that the windows of any cutting add up.
func (o *owed) amount(full, window span, round money.Rounding) (int64, error) {
	if o.Sort == OneTime {
		if window.cut(o.used).empty() {
			return 0, nil
		}
		return o.price, nil
	}
	if o.rule == InFull || o.rule == WholeOnly {
		return o.undivided(full, window), nil
	}
	used := o.used.cut(full).cut(window)
	if used.empty() {
		return 0, nil
	}
	total, err := slice(o.price, full, used, round)
	for _, r := range o.resting(used) {
		if err != nil {
			break
		}
		var price, rest int64
		if price, err = slice(o.price, full, r.cut(used), round); err == nil {
			rest, err = slice(o.rest, full, r.cut(used), round)
		}
		total += rest - price
	}
	return total, err
}

// slice is the part of a sum that covers a part of the whole, money's Slice.
func slice(sum int64, whole, part span, round money.Rounding) (int64, error) {
	if part == whole {
		return sum, nil
	}
	of := whole.to - whole.from
	to, err := money.MulDiv(sum, part.to-whole.from, of, round)
	if err != nil || part.from == whole.from {
		return to, err
	}
	from, err := money.MulDiv(sum, part.from-whole.from, of, round)
	return to - from, err
}

// undivided is the amount of a period that is charged wholly or not at all. It belongs to
// the first tick for which it is owed, whichever windows the period is looked at through.
func (o *owed) undivided(full, window span) int64 {
	used := o.used.cut(full)
	if used.empty() {
		return 0
	}
	active, first := used.to-used.from, used.from
	for _, r := range o.resting(used) {
		r = r.cut(used)
		active -= r.to - r.from
		if r.from == first {
			first = r.to
		}
	}
	sum := o.price
	switch {
	case o.rule == InFull && active == 0:
		sum, first = o.rest, used.from
	case o.rule == WholeOnly && used != full:
		return 0
	case o.rule == WholeOnly && active < full.to-full.from:
		sum, first = o.rest, used.from
	}
	if first < window.from || first >= window.to {
		return 0
	}
	return sum
}

// resting are the rests that share ticks with a span.
func (o *owed) resting(used span) []span {
	lo := sort.Search(len(o.rests), func(i int) bool { return o.rests[i].to > used.from })
	hi := lo
	for hi < len(o.rests) && o.rests[hi].from < used.to {
		hi++
	}
	return o.rests[lo:hi]
}

// share is how much of a full period is charged at the full and at the resting price.
func (o *owed) share(full span) (civil.Portion, int64) {
	used := o.used.cut(full)
	p := civil.Portion{Of: full.to - full.from}
	if used.empty() {
		return p, 0
	}
	var rested int64
	for _, r := range o.resting(used) {
		r = r.cut(used)
		rested += r.to - r.from
	}
	p.To = used.to - used.from - rested
	if o.rule == BySeconds { // a Portion of time is in nanoseconds
		p.To, p.Of, rested = p.To*nanos, p.Of*nanos, rested*nanos
	}
	return p, rested
}

const nanos = int64(time.Second)

// byPercent says that the item is a discount without an amount of its own: it follows what
// it counts, also while that rests.
func (o *owed) byPercent() bool { return o.Sort == Discount && o.Percent.Den != 0 }

func (o *owed) quantity() int64 { return cmp.Or(o.Quantity, 1) }

// unchanged says that the item is as it was when it was last billed.
func (o *owed) unchanged() bool {
	if len(o.past) == 0 {
		return false
	}
	newest := o.past[0].Revision
	for i := range o.past {
		if o.past[i].Revision == 0 && o.Revision != 0 {
			return false // a period was taken back, to be charged again
		}
		newest = max(newest, o.past[i].Revision)
	}
	return newest == o.Revision
}

// taxPoint is the date whose tax a charge for a period has.
func (o *owed) taxPoint(p *service) civil.Date {
	part := p.part
	if part.Empty() {
		part = p.full
	}
	if o.Timing == Arrears || o.Sort == Commitment {
		return part.To.AddDays(-1)
	}
	return part.From
}

// at is what was billed of a service period.
func (o *owed) at(k int) []Billed {
	lo := sort.Search(len(o.past), func(i int) bool { return o.past[i].Index >= k })
	hi := lo
	for hi < len(o.past) && o.past[hi].Index == k {
		hi++
	}
	return o.past[lo:hi]
}

// billed is what was billed of an item.
func (e *engine) billed(item string) []Billed {
	lo, _ := slices.BinarySearchFunc(e.past, item, func(b Billed, id string) int { return cmp.Compare(b.Item, id) })
	hi := lo
	for hi < len(e.past) && e.past[hi].Item == item {
		hi++
	}
	return e.past[lo:hi]
}

// net is the sum of what was billed.
func net(rows []Billed) (sum int64) {
	for i := range rows {
		sum += rows[i].Net
	}
	return sum
}

// number is that of the next line.
func number(rows []Billed) (n int) {
	for i := range rows {
		n = max(n, rows[i].Version)
	}
	return n
}

// checkItem refuses an item that cannot be charged.
func (e *engine) checkItem(it *Item) error {
	bad := func(what string) error {
		return fault.BadInput("itemInvalid", "%s (item %s) of account %s %s", it.Name, it.ID, e.in.Account, what)
	}
	switch {
	case it.ID == "":
		return bad("has no id")
	case it.Sort > Commitment:
		return bad("is no charge that is billed by period")
	case it.Timing > Arrears || it.Proration > WholeOnly:
		return bad("has an unknown timing or rule of proration")
	case it.Quantity < 0 || it.Periods < 0:
		return bad("has a negative quantity or number of periods")
	case it.Span.From.IsZero():
		return bad("is charged from no known instant")
	case it.Proration == BySeconds && (it.Cycle.Step.Months > maxYears*12 || it.Cycle.Step.Days > maxYears*365):
		return bad("is charged by the second of a period that is too long")
	case !it.Percent.sane():
		return bad("has no percentage that can be reckoned with")
	}
	if it.Cap.Currency != (money.Currency{}) {
		if err := e.priced(it.Name, it.Cap); err != nil {
			return err
		}
	}
	if it.Sort == OneTime {
		return nil
	}
	if err := it.Cycle.Check(); err != nil {
		return bad("has no service periods: " + err.Error())
	}
	return nil
}
