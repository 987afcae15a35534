package compute_test

import (
	"fmt"
	"math"
	"math/big"
	"slices"
	"sort"
	"strings"
	"time"

	"tandem/bss/billing/compute"
	"tandem/kit/civil"
	"tandem/kit/money"
)

// The oracle says what ought to have been billed of an account by now, straight from the
// rules in doc.go: exact rationals, its own calendar and clock, no code of the engine. Of
// kit it takes only the fields of what goes in.
type oracle struct {
	in    *compute.Input
	date  int // of the bill
	first map[period]oTax
	sums  map[owedKey]int64
	list  []*oCharge
	cuts  []int
	begin map[int]int64 // first instants of days, looked for once
}

// period is a service period of an item.
type period struct {
	item  string
	index int
}

// owedKey is what amounts are summed by: a period and its tax. Usage has no item.
type owedKey struct {
	period
	tax oTax
}

type oTax struct {
	category, code, percent string
	included                bool
}

// oCharge is a piece of a charge that begins on a day.
type oCharge struct {
	item           *compute.Item
	product, price string
	day, end       int // of usage: its period
	usage          bool
	left           int64
	tax            oTax
}

const never = 1 << 40

// ---- calendar: days counted from 1 March of the year 0, leap days at the end of a year

func number(y, m, d int) int {
	if m <= 2 {
		y, m = y-1, m+12
	}
	return 365*y + y/4 - y/100 + y/400 + (153*(m-3)+2)/5 + d - 1
}

func numberOf(d civil.Date) int { return number(d.Year, int(d.Month), d.Day) }

// calendar is the inverse of number: a guess that is too early, and steps.
func calendar(n int) (y, m, d int) {
	y = n * 400 / 146097
	for number(y+1, 3, 1) <= n {
		y++
	}
	for number(y, 3, 1) > n {
		y--
	}
	m = 3
	for m < 14 && monthStart(y, m+1) <= n {
		m++
	}
	d = n - monthStart(y, m) + 1
	if m > 12 {
		y, m = y+1, m-12
	}
	return y, m, d
}

// monthStart takes months 3 to 14 of a year that begins in March.
func monthStart(y, m int) int {
	if m > 12 {
		return number(y+1, m-12, 1)
	}
	return number(y, m, 1)
}

// boundary is the first day of period i.
func boundary(c civil.Cycle, i int) int {
	if c.Step.Days != 0 {
		return numberOf(c.Origin) + i*c.Step.Days
	}
	months := c.Origin.Year*12 + int(c.Origin.Month) - 1 + i*c.Step.Months
	y, m := months/12, months%12+1
	length := number(y, m+1, 1) - number(y, m, 1)
	if m == 12 {
		length = 31
	}
	day := c.Day
	if day == 0 {
		day = c.Origin.Day
	}
	return number(y, m, min(day, length))
}

// indexOf is the period that holds a day.
func indexOf(c civil.Cycle, day int) int {
	step := c.Step.Days
	if step == 0 {
		step = c.Step.Months * 31
	}
	i := (day - numberOf(c.Origin)) / step
	for boundary(c, i) > day {
		i--
	}
	for boundary(c, i+1) <= day {
		i++
	}
	return i
}

// ---- clock

func wall(t time.Time, zone *time.Location) int {
	y, m, d := t.In(zone).Date()
	return number(y, int(m), d)
}

// local is the day that has begun: clocks that are put back do not begin it again.
func local(t time.Time, zone *time.Location) int {
	day := wall(t, zone)
	if change, _ := t.In(zone).ZoneBounds(); !change.IsZero() && t.Sub(change) < 48*time.Hour {
		day = max(day, wall(change.Add(-1), zone))
	}
	return day
}

// search is the first second at which the day has come, by a clock.
func search(day int, clock func(time.Time) int) int64 {
	around := int64(day-number(1970, 1, 1)) * 86400
	lo, hi := around-3*86400, around+3*86400
	for lo < hi {
		if mid := (lo + hi) / 2; clock(time.Unix(mid, 0)) >= day {
			hi = mid
		} else {
			lo = mid + 1
		}
	}
	return lo
}

func (o *oracle) dayOf(t time.Time) int {
	least := -never
	for _, m := range o.in.Moved {
		until := numberOf(m.Until)
		if t.Unix() < search(until, func(t time.Time) int { return local(t, m.Zone) }) {
			return max(least, local(t, m.Zone))
		}
		least = until
	}
	return max(least, local(t, o.in.Zone))
}

func (o *oracle) startOf(day int) int64 {
	at, ok := o.begin[day]
	if !ok {
		at = search(day, o.dayOf)
		o.begin[day] = at
	}
	return at
}

// ---- rounding and slices

func rounded(r *big.Rat, how money.Rounding) int64 {
	floor := new(big.Int).Div(r.Num(), r.Denom()) // Euclid: toward minus infinity, as the denominator is positive
	rest := new(big.Rat).Sub(r, new(big.Rat).SetInt(floor))
	half := rest.Cmp(big.NewRat(1, 2))
	up := false
	switch negative := r.Sign() < 0; how {
	case money.HalfUp:
		up = half > 0 || half == 0 && !negative
	case money.HalfDown:
		up = half > 0 || half == 0 && negative
	case money.HalfEven:
		up = half > 0 || half == 0 && floor.Bit(0) == 1
	case money.Up:
		up = rest.Sign() != 0 && !negative
	case money.Down:
		up = rest.Sign() != 0 && negative
	case money.Ceiling:
		up = rest.Sign() != 0
	}
	if up {
		return floor.Int64() + 1
	}
	return floor.Int64()
}

func (o *oracle) round(r *big.Rat) int64 {
	how := o.in.Rounding
	if how == 0 {
		how = money.HalfUp
	}
	return rounded(r, how)
}

// posted is a rate times the pieces in minor units.
func (o *oracle) posted(r money.Rate, pieces int64) int64 {
	nano := int64(1_000_000_000)
	for range o.in.Currency.Digits() {
		nano /= 10
	}
	return o.round(new(big.Rat).Mul(big.NewRat(r.Nano, nano), big.NewRat(pieces, 1)))
}

// upTo is the running total of a sum over [a, b) at x.
func (o *oracle) upTo(sum, a, b, x int64) int64 {
	switch {
	case x <= a:
		return 0
	case x >= b:
		return sum
	}
	return o.round(new(big.Rat).Mul(big.NewRat(sum, 1), big.NewRat(x-a, b-a)))
}

// ---- items

func (o *oracle) days(it *compute.Item) (from, to int) {
	from, to = o.dayOf(it.Span.From), never
	switch {
	case it.Sort == compute.OneTime:
		to = from + 1
	case !it.Span.To.IsZero():
		to = o.dayOf(it.Span.To)
		if rule(it) == compute.BySeconds && o.startOf(to) < it.Span.To.Unix() {
			to++
		}
	}
	return from, to
}

// rule is the rule of proration that applies.
func rule(it *compute.Item) compute.Proration {
	switch {
	case it.Sort == compute.OneTime, it.Sort == compute.Discount && it.Percent.Den != 0, it.Proration == compute.By30Days && it.Cycle.Step.Days != 0:
		return compute.ByDays
	}
	return it.Proration
}

func (o *oracle) tick(it *compute.Item, day int) int64 {
	switch rule(it) {
	case compute.By30Days:
		y, m, d := calendar(day)
		return int64(y*360 + m*30 + min(d, 30))
	case compute.BySeconds:
		return o.startOf(day)
	}
	return int64(day)
}

func (o *oracle) tickAt(it *compute.Item, t time.Time) int64 {
	if rule(it) == compute.BySeconds {
		return t.Unix()
	}
	return o.tick(it, o.dayOf(t))
}

// due are the periods that ought to be billed by now.
func (o *oracle) due(it *compute.Item) (out []int) {
	from, to := o.days(it)
	if it.Sort == compute.OneTime {
		if from < o.date || from == o.date && it.Timing == compute.Advance {
			out = append(out, 0)
		}
		return out
	}
	for k := indexOf(it.Cycle, from); from < to && boundary(it.Cycle, k) < to; k++ {
		at := max(from, boundary(it.Cycle, k))
		if it.Timing == compute.Arrears || it.Sort == compute.Commitment {
			at = min(to, boundary(it.Cycle, k+1))
		}
		if at > o.date {
			break
		}
		out = append(out, k)
	}
	return out
}

// part is the days of the item in a period.
func (o *oracle) part(it *compute.Item, k int) (from, to int) {
	from, to = o.days(it)
	if it.Sort == compute.OneTime {
		return from, to
	}
	return max(from, boundary(it.Cycle, k)), min(to, boundary(it.Cycle, k+1))
}

// state is what of an item holds at a tick.
type state int

const (
	absent state = iota
	active
	resting
)

func (o *oracle) state(it *compute.Item, x int64) state {
	to := int64(math.MaxInt64)
	if !it.Span.To.IsZero() {
		to = o.tickAt(it, it.Span.To)
	}
	if x < o.tickAt(it, it.Span.From) || x >= to {
		return absent
	}
	if it.Resting == nil || it.Sort == compute.Discount && it.Percent.Den != 0 {
		return active
	}
	for _, s := range it.Suspended {
		if x >= o.tickAt(it, s.From) && (s.To.IsZero() || x < o.tickAt(it, s.To)) {
			return resting
		}
	}
	return active
}

// sliceOf is an amount from a day on.
type sliceOf struct {
	day    int
	amount int64
}

// pieces is what a period is charged, cut at days.
func (o *oracle) pieces(it *compute.Item, k int, cuts []int) []sliceOf {
	from, to := o.part(it, k)
	if from >= to {
		return nil
	}
	out := []sliceOf{{day: from}}
	for _, c := range cuts {
		if c > from && c < to {
			out = append(out, sliceOf{day: c})
		}
	}
	pieces := max(it.Quantity, 1)
	price := o.posted(it.Amount, pieces)
	if it.Sort == compute.OneTime {
		out[0].amount = price
		return out
	}
	var rest int64
	if it.Resting != nil {
		rest = o.posted(*it.Resting, pieces)
	}
	if r := rule(it); r == compute.InFull || r == compute.WholeOnly {
		at, sum := o.undivided(it, k, from, to, price, rest)
		for i := len(out) - 1; i >= 0 && sum != 0; i-- {
			if out[i].day <= at {
				out[i].amount = sum
				break
			}
		}
		return out
	}
	o.divide(it, k, out, price, rest)
	return out
}

// undivided says what a period is charged that is charged as one, and from which day.
func (o *oracle) undivided(it *compute.Item, k, from, to int, price, rest int64) (int, int64) {
	first, activeDays := -1, 0
	for d := from; d < to; d++ {
		if o.state(it, int64(d)) == active {
			activeDays++
			if first < 0 {
				first = d
			}
		}
	}
	if rule(it) == compute.InFull {
		if activeDays > 0 {
			return first, price
		}
		return from, rest
	}
	switch full := boundary(it.Cycle, k+1) - boundary(it.Cycle, k); {
	case to-from < full:
		return from, 0
	case activeDays == full:
		return from, price
	}
	return from, rest
}

// divide gives each piece the running total at its end less that at its beginning, stretch
// by stretch of one state.
func (o *oracle) divide(it *compute.Item, k int, out []sliceOf, price, rest int64) {
	a, b := o.tick(it, boundary(it.Cycle, k)), o.tick(it, boundary(it.Cycle, k+1))
	at := []int64{a, b, o.tickAt(it, it.Span.From)}
	if !it.Span.To.IsZero() {
		at = append(at, o.tickAt(it, it.Span.To))
	}
	for _, s := range it.Suspended {
		at = append(at, o.tickAt(it, s.From))
		if !s.To.IsZero() {
			at = append(at, o.tickAt(it, s.To))
		}
	}
	starts := make([]int64, len(out))
	for i := range out {
		starts[i] = o.tick(it, out[i].day)
	}
	at = append(at, starts...)
	slices.Sort(at)
	for i := 0; i+1 < len(at); i++ {
		x, y := max(at[i], a), min(at[i+1], b)
		if x >= y {
			continue
		}
		sum := int64(0)
		switch o.state(it, x) {
		case active:
			sum = o.upTo(price, a, b, y) - o.upTo(price, a, b, x)
		case resting:
			sum = o.upTo(rest, a, b, y) - o.upTo(rest, a, b, x)
		}
		into := 0
		for j := range starts {
			if starts[j] <= x {
				into = j
			}
		}
		out[into].amount += sum
	}
}

// ---- tax

func (o *oracle) tax(category string, included bool, day int) oTax {
	if o.in.Override != "" {
		category = o.in.Override
	}
	for _, x := range slices.Backward(o.in.Exempted) {
		if in := x.Period; (in.From == civil.Date{} || numberOf(in.From) <= day) && (in.To == civil.Date{} || day < numberOf(in.To)) {
			category = x.Category
		}
	}
	for _, r := range o.in.Rates {
		if r.Category == category && numberOf(r.Period.From) <= day && (r.Period.To == civil.Date{} || day < numberOf(r.Period.To)) {
			p := new(big.Rat)
			if r.Percent.Den != 0 {
				p.SetFrac64(r.Percent.Num, r.Percent.Den)
			}
			return oTax{category, r.Code, p.RatString(), included}
		}
	}
	panic("no rate of " + category)
}

func (o *oracle) taxOf(it *compute.Item, k int) oTax {
	if t, ok := o.first[period{it.ID, k}]; ok {
		return t
	}
	from, to := o.part(it, k)
	if from >= to {
		from, to = boundary(it.Cycle, k), boundary(it.Cycle, k+1)
	}
	if it.Timing == compute.Arrears || it.Sort == compute.Commitment {
		return o.tax(it.TaxCategory, it.TaxIncluded, to-1)
	}
	return o.tax(it.TaxCategory, it.TaxIncluded, from)
}

// ---- the whole

// expected is what ought to have been billed by the date of the bill, by period and tax.
// first are the taxes of what was billed before, and is added to.
func expected(in *compute.Input, first map[period]oTax) map[owedKey]int64 {
	o := &oracle{in: in, date: boundary(in.Terms.Cycle, in.Index+1), first: first, sums: map[owedKey]int64{}, begin: map[int]int64{}}
	o.cut()
	for i := range in.Items {
		it := &in.Items[i]
		if it.Sort == compute.Discount || it.Sort == compute.Commitment {
			continue
		}
		for _, k := range o.due(it) {
			o.charge(it, k)
		}
	}
	for i := range in.Usage {
		o.use(&in.Usage[i])
	}
	for _, it := range o.sorted(compute.Discount) {
		for _, k := range o.periods(it) {
			o.discount(it, k)
		}
	}
	for _, it := range o.sorted(compute.Commitment) {
		for _, k := range o.due(it) {
			o.commit(it, k)
		}
	}
	return o.sums
}

// cut collects where periods of discounts and commitments begin and end.
func (o *oracle) cut() {
	for i := range o.in.Items {
		it := &o.in.Items[i]
		if it.Sort != compute.Discount && it.Sort != compute.Commitment {
			continue
		}
		for _, k := range o.periods(it) {
			from, to := o.part(it, k)
			o.cuts = append(o.cuts, from, to)
		}
	}
	slices.Sort(o.cuts)
	o.cuts = slices.Compact(o.cuts)
}

// periods are those in which a discount or commitment holds, up to a day after which
// nothing is charged: two years from now.
func (o *oracle) periods(it *compute.Item) (out []int) {
	from, to := o.days(it)
	for k := indexOf(it.Cycle, from); from < to && boundary(it.Cycle, k) < min(to, o.date+740); k++ {
		if it.Sort == compute.Discount && it.Periods > 0 && int64(len(out)) == it.Periods {
			break
		}
		out = append(out, k)
	}
	return out
}

func (o *oracle) charge(it *compute.Item, k int) {
	tax := o.taxOf(it, k)
	var sum int64
	for _, p := range o.pieces(it, k, o.cuts) {
		sum += p.amount
		o.list = append(o.list, &oCharge{item: it, product: it.Product, price: it.Price, day: p.day, end: p.day + 1, left: p.amount, tax: tax})
	}
	if sum != 0 {
		o.first[period{it.ID, k}] = tax
		o.sums[owedKey{period{it.ID, k}, tax}] = sum
	}
}

func (o *oracle) use(u *compute.UsageSum) {
	all := money.Rate{Nano: u.Before.Nano + u.Amount.Nano, Currency: o.in.Currency}
	tax := o.tax(u.TaxCategory, u.TaxIncluded, numberOf(u.Period.To)-1)
	sum := o.posted(all, 1)
	o.list = append(o.list, &oCharge{product: u.Product, usage: true, day: numberOf(u.Period.From), end: numberOf(u.Period.To), left: sum, tax: tax})
	o.sums[owedKey{period{"usage " + u.Key, 0}, tax}] = sum
}

func (o *oracle) sorted(s compute.Sort) (out []*compute.Item) {
	for i := range o.in.Items {
		if o.in.Items[i].Sort == s {
			out = append(out, &o.in.Items[i])
		}
	}
	sort.SliceStable(out, func(i, j int) bool {
		if out[i].Priority != out[j].Priority {
			return out[i].Priority < out[j].Priority
		}
		return out[i].ID < out[j].ID
	})
	return out
}

// counted are the charges that an item counts in one of its periods.
func (o *oracle) counted(it *compute.Item, k int) (out []*oCharge) {
	begin, _ := o.days(it)
	from, to := o.part(it, k)
	for _, c := range o.list {
		day := c.day
		if c.usage {
			day = max(day, begin)
		}
		if day < from || day >= to || day >= c.end || !it.AllOf && c.product != it.Product {
			continue
		}
		if c.usage && it.WithUsage || !c.usage && (len(it.Alters) == 0 || strings.Contains(strings.Join(it.Alters, " ")+" ", c.price+" ")) {
			out = append(out, c)
		}
	}
	return out
}

func (o *oracle) discount(it *compute.Item, k int) {
	var list []*oCharge
	var base int64
	for _, c := range o.counted(it, k) {
		if c.left > 0 {
			list, base = append(list, c), base+c.left
		}
	}
	if base == 0 {
		return
	}
	var sum int64
	if it.Percent.Den != 0 {
		sum = o.round(new(big.Rat).Mul(big.NewRat(base, 100), big.NewRat(it.Percent.Num, it.Percent.Den)))
	} else {
		for _, p := range o.pieces(it, k, nil) {
			sum += p.amount
		}
	}
	if it.Cap.Currency.Code() != "" {
		most := o.posted(it.Cap, 1)
		sum = max(min(sum, most), -most)
	}
	sum = max(sum, -base)
	for i, n := range apportion(sum, list) {
		list[i].left += n
		o.sums[owedKey{period{it.ID, k}, list[i].tax}] += n
	}
}

// apportion is the largest-remainder method by what is left of charges.
func apportion(sum int64, list []*oCharge) []int64 {
	total := new(big.Int)
	for _, c := range list {
		total.Add(total, big.NewInt(c.left))
	}
	sign, size := int64(1), sum
	if sum < 0 {
		sign, size = -1, -sum
	}
	out := make([]int64, len(list))
	rests := make([]*big.Int, len(list))
	order := make([]int, len(list))
	open := size
	for i, c := range list {
		q, r := new(big.Int).QuoRem(new(big.Int).Mul(big.NewInt(size), big.NewInt(c.left)), total, new(big.Int))
		out[i], rests[i], order[i] = q.Int64(), r, i
		open -= q.Int64()
	}
	sort.SliceStable(order, func(i, j int) bool { return rests[order[i]].Cmp(rests[order[j]]) > 0 })
	for _, i := range order[:open] {
		out[i]++
	}
	for i := range out {
		out[i] *= sign
	}
	return out
}

func (o *oracle) commit(it *compute.Item, k int) {
	var missing int64
	for _, p := range o.pieces(it, k, nil) {
		missing += p.amount
	}
	for _, c := range o.counted(it, k) {
		missing -= c.left
	}
	tax := o.taxOf(it, k)
	o.first[period{it.ID, k}] = tax // a line of zero says so too
	if missing > 0 {
		o.sums[owedKey{period{it.ID, k}, tax}] = missing
	}
}

// checkTotals says what is wrong with the tax and the totals of a bill.
func checkTotals(in *compute.Input, b *compute.Bill) error {
	o := &oracle{in: in}
	type group struct{ net, gross int64 }
	groups := map[oTax]*group{}
	for _, l := range b.Lines {
		key := oTax{code: l.TaxCode, percent: big.NewRat(l.TaxPercent.Num, l.TaxPercent.Den).RatString()}
		g := groups[key]
		if g == nil {
			g = &group{}
			groups[key] = g
		}
		if l.TaxIncluded {
			g.gross += l.Amount
		} else {
			g.net += l.Amount
		}
	}
	if len(groups) != len(b.Taxes) {
		return fmt.Errorf("%d taxes for %d codes and rates", len(b.Taxes), len(groups))
	}
	var net, tax int64
	for _, s := range b.Taxes {
		p := big.NewRat(s.Percent.Num, s.Percent.Den*100)
		g := groups[oTax{code: s.Code, percent: big.NewRat(s.Percent.Num, s.Percent.Den).RatString()}]
		if g == nil {
			return fmt.Errorf("tax of %s %v for no line", s.Code, s.Percent)
		}
		in := o.round(new(big.Rat).Mul(big.NewRat(g.gross, 1), new(big.Rat).Quo(p, new(big.Rat).Add(p, big.NewRat(1, 1)))))
		on := o.round(new(big.Rat).Mul(big.NewRat(g.net, 1), p))
		if s.Tax != in+on || s.Net != g.net+g.gross-in {
			return fmt.Errorf("%s %v: net %d tax %d, not %d and %d", s.Code, s.Percent, s.Net, s.Tax, g.net+g.gross-in, in+on)
		}
		net, tax = net+s.Net, tax+s.Tax
	}
	if b.Net != net || b.Tax != tax || b.Gross != net+tax {
		return fmt.Errorf("totals %d %d %d, not %d %d", b.Net, b.Tax, b.Gross, net, tax)
	}
	return nil
}
