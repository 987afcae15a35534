package compute_test

import (
	"cmp"
	"fmt"
	"math/big"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"tandem/bss/billing/compute"
	"tandem/kit/civil"
	"tandem/kit/money"
)

// many runs a property on made-up data and says the seed of the one that fails.
func many(t *testing.T, count uint64, property func(r *rand.Rand) error) {
	t.Helper()
	seed := setting(t, "TANDEM_SEED", rand.Uint64N(1<<40))
	t.Logf("TANDEM_SEED=%d", seed)
	for i := range count {
		if err := property(rand.New(rand.NewPCG(seed+i, 2))); err != nil {
			t.Fatalf("TANDEM_SEED=%d: %v", seed+i, err)
		}
	}
}

// run bills an account for all periods up to one, as it is known at each of them, and
// gives all lines in order.
func run(terms compute.Terms, bills int, known func(bill int) (compute.Terms, []compute.Item)) ([]compute.Line, error) {
	var lines []compute.Line
	var rows []compute.Billed
	for n := range bills {
		in := &compute.Input{Terms: terms, Index: n, Billed: rows}
		in.Terms, in.Items = known(n)
		b, err := compute.Make(in)
		if err != nil {
			return nil, err
		}
		rows = append(rows, kept(in, b, fmt.Sprint("bill", n))...)
		lines = append(lines, b.Lines...)
	}
	return lines, nil
}

func sumOf(lines []compute.Line) (sum int64) {
	for _, l := range lines {
		sum += l.Amount
	}
	return sum
}

func TestC1PeriodsOfEveryAnchorComeFromTheOrigin(t *testing.T) {
	for _, origin := range []string{"2023-12-31", "2024-02-29", "2026-02-28", "2026-06-15"} {
		for anchor := 1; anchor <= 31; anchor++ {
			in := account(0)
			in.Terms.Cycle = civil.Cycle{Origin: mustDate(origin), Step: civil.Duration{Months: 1}, Day: anchor}
			it := plan("a", "10.00", "2020-01-01", "")
			it.Cycle, it.Span.From = in.Terms.Cycle, mustPeriod(in.Terms.Cycle, 0).From.Start(berlin)
			lines, err := run(in.Terms, 48, func(int) (compute.Terms, []compute.Item) { return in.Terms, []compute.Item{it} })
			if err != nil || len(lines) != 49 || sumOf(lines) != 49_000 {
				t.Fatalf("anchor %d from %s: %d lines, %v", anchor, origin, len(lines), err)
			}
			for i, l := range lines {
				d := l.Full.From
				if d.Day != min(anchor, civil.MonthDays(d.Year, d.Month)) || l.Index != i || i > 0 && lines[i-1].Full.To != d || l.Service != l.Full {
					t.Fatalf("anchor %d from %s: line %d is for %v", anchor, origin, i, l.Full)
				}
			}
		}
	}
}

func TestC2AMoveOfZoneLeavesNoGapAndNoOverlap(t *testing.T) {
	many(t, 300, func(r *rand.Rand) error {
		in := account(0)
		in.Zone = pick(r, zones()...)
		now, moves := in.Terms, map[int]compute.Terms{}
		for n := range 24 {
			if r.IntN(4) == 0 {
				now.Moved = append(slices.Clone(now.Moved), compute.Moved{Zone: now.Zone, Until: mustPeriod(now.Cycle, n).To})
				now.Zone = pick(r, zones()...)
			}
			moves[n] = now
		}
		it := plan("a", "31.00", "2026-01-01", "")
		it.Span.From = mustDate("2026-01-01").AddDays(r.IntN(31)).Start(in.Zone)
		lines, err := run(in.Terms, 24, func(n int) (compute.Terms, []compute.Item) {
			if n%5 == 4 { // all is looked at again
				it.Revision++
			}
			return moves[n], []compute.Item{it}
		})
		if err != nil || len(lines) != 25 {
			return fmt.Errorf("%d lines, %v", len(lines), err)
		}
		for i, l := range lines[1:] {
			if l.Service.From != lines[i].Service.To || l.Amount != 3100 {
				return fmt.Errorf("%v is followed by %v for %d", lines[i].Service, l.Service, l.Amount)
			}
		}
		return nil
	})
}

func TestC3ADayBeginsWhereTheZoneHasIt(t *testing.T) {
	rule := rand.New(rand.NewPCG(3, 3)) // by days or by seconds: both on each date of some zone
	for _, zone := range append(zones(), zones()...) {
		in := account(0)
		in.Zone = zone
		in.Terms.Cycle = civil.Cycle{Origin: mustDate("2010-01-01"), Step: civil.Duration{Months: 48}}
		for d := mustDate("2011-03-01"); d.Before(mustDate("2012-03-01")); d = d.AddDays(1) {
			it := plan("a", "2.00", "2011-01-01", "")
			it.Proration = pick(rule, compute.ByDays, compute.BySeconds)
			it.Cycle = civil.Cycle{Origin: mustDate("2010-01-01"), Step: civil.Duration{Days: 1}}
			it.Span = civil.Span{From: d.Start(zone), To: d.AddDays(2).Start(zone)}
			in.Items = []compute.Item{it}
			b := mustMake(t, in)
			want := int64(400)
			if zone.String() == "Pacific/Apia" { // had no 30 December 2011: it is a date, but took no time
				want = 200 * int64(civil.DateOf(it.Span.To, zone).Sub(civil.DateOf(it.Span.From, zone)))
				if it.Proration == compute.BySeconds {
					want = 200 * int64((it.Span.To.Sub(it.Span.From)+2*time.Hour)/(24*time.Hour)) // also of 23 hours
				}
			}
			if sumOf(b.Lines) != want {
				t.Fatalf("%v, from %v: %d of %d", zone, d, sumOf(b.Lines), want)
			}
		}
	}
}

func TestC4ThePartsOfAnyCuttingAddUpToTheFullPrice(t *testing.T) {
	many(t, 1_000, func(r *rand.Rand) error {
		in := account(0)
		in.Zone = pick(r, zones()...)
		in.Rounding = pick(r, money.HalfUp, money.HalfEven, money.Down, money.Ceiling)
		cycle := civil.Cycle{Origin: mustDate("2024-01-31").AddDays(r.IntN(900)), Step: civil.Duration{Months: 1 + r.IntN(3)}, Day: pick(r, 0, 1, 30, 31)}
		in.Terms.Cycle = cycle
		full := mustPeriod(cycle, 0).Span(in.Zone)
		rule := compute.Proration(r.IntN(3))
		at := []time.Time{full.From, full.To}
		for range r.IntN(12) {
			at = append(at, full.From.Add(time.Duration(r.Int64N(int64(full.To.Sub(full.From))))))
		}
		slices.SortFunc(at, time.Time.Compare)
		price := money.Rate{Nano: r.Int64N(1e12), Currency: money.EUR}
		for i := range len(at) - 1 {
			it := plan(fmt.Sprintf("i%02d", i), "0", "2026-01-01", "")
			it.Amount, it.Cycle, it.Proration, it.Span = price, cycle, rule, civil.Span{From: at[i], To: at[i+1]}
			in.Items = append(in.Items, it)
		}
		b, err := compute.Make(in)
		if err != nil {
			return err
		}
		whole, err := price.Post(in.Rounding)
		if err != nil || sumOf(b.Lines) != whole.Minor {
			return fmt.Errorf("rule %d, cut at %v: %d of %v, %v", rule, at, sumOf(b.Lines), whole, err)
		}
		return nil
	})
}

func TestC4APeriodInFullOrWhole(t *testing.T) {
	for _, tt := range []struct {
		rule     compute.Proration
		from, to string
		want     int64
	}{
		{compute.InFull, "2026-01-31", "", 3100}, {compute.InFull, "2026-01-10", "2026-01-11", 3100}, {compute.InFull, "2026-01-10", "2026-01-10", 0},
		{compute.WholeOnly, "2026-01-01", "", 3100}, {compute.WholeOnly, "2026-01-02", "", 0}, {compute.WholeOnly, "2026-01-01", "2026-01-31", 0},
		{compute.WholeOnly, "2026-01-01", "2026-02-01", 3100}, {compute.By30Days, "2026-01-16", "", 1550}, {compute.By30Days, "2026-01-31", "", 103},
	} {
		it := plan("a", "31.00", tt.from, tt.to)
		it.Proration, it.Timing = tt.rule, compute.Arrears
		if b := mustMake(t, account(0, it)); sumOf(b.Lines) != tt.want {
			t.Errorf("rule %d from %s to %s: %d, not %d", tt.rule, tt.from, tt.to, sumOf(b.Lines), tt.want)
		}
	}
}

// change is a life of plans of one product, one after the other, with suspensions.
type change struct {
	items []compute.Item
	rests []civil.Span
}

func newChange(r *rand.Rand, suspend bool) change {
	var c change
	at := noon("2026-01-01").Add(time.Duration(r.Int64N(int64(60 * 24 * time.Hour))))
	for i := range 1 + r.IntN(5) {
		it := plan(fmt.Sprintf("i%02d", i), "0", "2026-01-01", "")
		it.Amount = money.Rate{Nano: int64(r.IntN(10_000)) * 10_000_000, Currency: money.EUR}
		it.Timing = pick(r, compute.Advance, compute.Arrears)
		it.Span.From = at
		at = at.Add(time.Duration(r.Int64N(int64(70 * 24 * time.Hour))))
		it.Span.To = at
		if suspend && r.IntN(3) > 0 {
			x := it.Span.From.Add(time.Duration(r.Int64N(int64(20 * 24 * time.Hour))))
			y := x.Add(time.Duration(r.Int64N(int64(20 * 24 * time.Hour))))
			if y.Before(at) {
				it.Suspended = []civil.Span{{From: x, To: y}}
			}
			it.Resting = &money.Rate{Nano: it.Amount.Nano / int64(1+r.IntN(4)), Currency: money.EUR}
		}
		c.items = append(c.items, it)
	}
	return c
}

// integral is the price over time, exact, and how far rounding may be from it.
func (c change) integral() (sum *big.Rat, within *big.Rat) {
	sum, slack := new(big.Rat), int64(0)
	for _, it := range c.items {
		for d := civil.DateOf(it.Span.From, berlin); d.Before(civil.DateOf(it.Span.To, berlin)); d = d.AddDays(1) {
			price := it.Amount.Nano
			for _, s := range it.Suspended {
				if !d.Before(civil.DateOf(s.From, berlin)) && d.Before(civil.DateOf(s.To, berlin)) {
					price = it.Resting.Nano
				}
			}
			sum.Add(sum, big.NewRat(price, 10_000_000*int64(civil.MonthDays(d.Year, d.Month))))
		}
		// Each of at most seven running totals of a period is at most half a minor unit off.
		slack += int64(4 * (civil.DateOf(it.Span.To, berlin).Sub(civil.DateOf(it.Span.From, berlin))/28 + 2))
	}
	return sum, big.NewRat(slack, 1)
}

// late bills the life with each piece of news at a time of its own, 18 months in all.
func (c change) late(r *rand.Rand) ([]compute.Line, error) {
	known := make([][3]int, len(c.items)) // the item, its suspension, its end
	for i := range known {
		known[i] = [3]int{r.IntN(17), r.IntN(17), r.IntN(17)}
	}
	terms := account(0).Terms
	return run(terms, 18, func(n int) (compute.Terms, []compute.Item) {
		var items []compute.Item
		for i, it := range c.items {
			if n < known[i][0] {
				continue
			}
			if n < known[i][1] {
				it.Suspended = nil
			} else {
				it.Revision += 2
			}
			if n < known[i][2] {
				it.Span.To = time.Time{}
			} else {
				it.Revision++
			}
			items = append(items, it)
		}
		return terms, items
	})
}

func (c change) check(r *rand.Rand) error {
	first, err := c.late(r)
	if err != nil {
		return err
	}
	want, within := c.integral()
	if off := new(big.Rat).Sub(big.NewRat(sumOf(first), 1), want); off.Abs(off).Cmp(within) > 0 {
		return fmt.Errorf("billed %d, the integral is %s", sumOf(first), want.FloatString(3))
	}
	again, err := c.late(r)
	if err != nil || sumOf(again) != sumOf(first) {
		return fmt.Errorf("billed %d, and %d when the news came in another order, %v", sumOf(first), sumOf(again), err)
	}
	for _, l := range first {
		if l.Number > 0 && (l.Corrects == "" || l.Before == 0 && l.Number == 1) {
			return fmt.Errorf("%+v corrects nothing", l)
		}
	}
	return nil
}

func TestC5ChangesOfPlanAreChargedTheIntegralOfThePrice(t *testing.T) {
	many(t, 300, func(r *rand.Rand) error { return newChange(r, false).check(r) })
}

func TestC7SuspensionsAreChargedTheIntegralOfThePrice(t *testing.T) {
	many(t, 300, func(r *rand.Rand) error { return newChange(r, true).check(r) })
}

func TestC7WhileSuspendedTheRestingAmountIsCharged(t *testing.T) {
	none, some := eur("0"), eur("3.10")
	for name, tt := range map[string]struct {
		resting *money.Rate
		rule    compute.Proration
		want    int64
	}{
		"full":            {nil, compute.ByDays, 3100},
		"none":            {&none, compute.ByDays, 2100},
		"reduced":         {&some, compute.ByDays, 2200},
		"begun, none":     {&none, compute.InFull, 3100},
		"whole, reduced":  {&some, compute.WholeOnly, 310},
		"whole, full":     {nil, compute.WholeOnly, 3100},
		"whole, none":     {&none, compute.WholeOnly, 0},
		"by 30 days":      {&none, compute.By30Days, 2066},
		"by second, none": {&none, compute.BySeconds, 2100},
	} {
		it := plan("a", "31.00", "2026-01-01", "2026-02-01")
		it.Span = civil.Period{From: mustDate("2026-01-01"), To: mustDate("2026-02-01")}.Span(berlin)
		it.Suspended = []civil.Span{civil.Period{From: mustDate("2026-01-11"), To: mustDate("2026-01-21")}.Span(berlin)}
		it.Resting, it.Proration, it.Timing = tt.resting, tt.rule, compute.Arrears
		b := mustMake(t, account(0, it))
		if sumOf(b.Lines) != tt.want {
			t.Errorf("%s: %d, not %d", name, sumOf(b.Lines), tt.want)
		}
		for _, l := range b.Lines { // 21 days are charged whole, 10 not; by the second in nanoseconds
			day := int64(1)
			if tt.rule == compute.BySeconds {
				day = int64(24 * time.Hour)
			}
			if tt.resting != nil && (l.Rested != 10*day || l.Portion.Of < 30*day || l.Portion.Num() != l.Portion.Of-10*day) {
				t.Errorf("%s: %v and %d", name, l.Portion, l.Rested)
			}
		}
	}
}

// anyLines is a bill of one-time charges: any prices, rates, and with or without tax.
func anyLines(r *rand.Rand, included bool) *compute.Input {
	in := account(0)
	in.Rounding = pick(r, 0, money.HalfUp, money.HalfEven, money.Down)
	for i := range 1 + r.IntN(60) {
		it := plan(fmt.Sprintf("i%02d", i), "0", "2026-01-05", "")
		it.Sort, it.TaxCategory = compute.OneTime, pick(r, "standard", "standard", "reduced", "exempt", "reverse")
		it.Amount.Nano = (int64(r.IntN(20_000)) - 2_000) * 10_000_000
		it.TaxIncluded = included
		in.Items = append(in.Items, it)
	}
	return in
}

// rulesOfTotals are BR-CO-10 to BR-CO-17 as far as they concern what is made here.
func rulesOfTotals(in *compute.Input, b *compute.Bill) error {
	var net, tax int64
	type rate struct {
		code    string
		percent compute.Percent
	}
	sums, included := map[rate]int64{}, map[rate]bool{}
	for _, l := range b.Lines {
		net += l.Net
		k := rate{l.TaxCode, l.TaxPercent}
		sums[k] += l.Net
		included[k] = included[k] || l.TaxIncluded
		if !l.TaxIncluded && l.Net != l.Amount {
			return fmt.Errorf("%s: net %d of %d", l.Name, l.Net, l.Amount)
		}
	}
	if net != b.Net {
		return fmt.Errorf("BR-CO-10, BR-CO-13: lines have %d, the bill %d", net, b.Net)
	}
	for _, s := range b.Taxes {
		k := rate{s.Code, s.Percent}
		if s.Net != sums[k] {
			return fmt.Errorf("BR-S-08: %v has %d, its lines %d", k, s.Net, sums[k])
		}
		delete(sums, k)
		tax += s.Tax
		how := cmp.Or(in.Rounding, money.HalfUp)
		want := rounded(new(big.Rat).Mul(big.NewRat(s.Net, 100), big.NewRat(s.Percent.Num, s.Percent.Den)), how)
		most := 1 + s.Percent.Num/(100*s.Percent.Den) // of a rate above 100 % a minor unit of net is more of tax
		if off := s.Tax - want; off != 0 && (!included[k] || off > most || off < -most) {
			return fmt.Errorf("BR-CO-17: %v of %d is %d, not %d", k, s.Net, s.Tax, want)
		}
	}
	if len(sums) > 0 || tax != b.Tax || b.Gross != b.Net+b.Tax {
		return fmt.Errorf("BR-CO-14, BR-CO-15, BR-CO-18: %+v", b.Taxes)
	}
	return nil
}

func TestC11TaxIsThatOfTheSumOfItsRate(t *testing.T) {
	many(t, 1_000, func(r *rand.Rand) error {
		in := anyLines(r, false)
		b, err := compute.Make(in)
		if err != nil {
			return err
		}
		return rulesOfTotals(in, b)
	})
}

func TestC12WhatIsPaidIsTheSumOfThePricesWithTax(t *testing.T) {
	differs := 0
	many(t, 1_000, func(r *rand.Rand) error {
		in := anyLines(r, true)
		b, err := compute.Make(in)
		if err != nil {
			return err
		}
		if b.Gross != sumOf(b.Lines) {
			return fmt.Errorf("to pay %d, the prices are %d", b.Gross, sumOf(b.Lines))
		}
		for _, l := range b.Lines { // only the largest of a rate may be off by more than rounding
			exact := new(big.Rat).Quo(big.NewRat(l.Amount*100*l.TaxPercent.Den, 1), big.NewRat(l.TaxPercent.Num+100*l.TaxPercent.Den, 1))
			if off := exact.Sub(exact, big.NewRat(l.Net, 1)); off.Abs(off).Cmp(big.NewRat(1, 1)) >= 0 {
				differs++
			}
		}
		return rulesOfTotals(in, b)
	})
	if differs == 0 {
		t.Error("no bill had a residue: the test does not see what it is for")
	}
}

func TestC13AmountsAreRoundedOnceInTheDigitsOfTheCurrency(t *testing.T) {
	for _, tt := range []struct {
		currency money.Currency
		price    string
		pieces   int64
		want     int64
	}{
		{money.JPY, "100.4", 1, 100}, {money.JPY, "100.4", 3, 301}, {money.KWD, "1.2344", 10, 12344}, {money.KWD, "1.2345", 1, 1235},
		{money.EUR, "0.004999999", 1, 0}, {money.EUR, "0.005", 1, 1}, {money.EUR, "0.000000001", 5_000_000, 1},
	} {
		in := account(0, plan("a", "0", "2026-01-01", "2026-02-01"))
		in.Currency = tt.currency
		price, err := money.ParseRate(tt.price, tt.currency)
		if err != nil {
			t.Fatal(err)
		}
		in.Items[0].Amount, in.Items[0].Quantity = price, tt.pieces
		if got := sumOf(mustMake(t, in).Lines); got != tt.want {
			t.Errorf("%d x %v: %d, not %d", tt.pieces, price, got, tt.want)
		}
	}
	many(t, 2_000, func(r *rand.Rand) error {
		in := account(0, plan("a", "0", "2026-01-01", "2026-02-01"))
		in.Currency, in.Rounding = pick(r, money.JPY, money.EUR, money.KWD), money.Rounding(1+r.IntN(7))
		it := &in.Items[0]
		it.Amount, it.Quantity = money.Rate{Nano: r.Int64N(2e15) - 1e15, Currency: in.Currency}, 1+r.Int64N(1000)
		b, err := compute.Make(in)
		if err != nil {
			return err
		}
		o := oracle{in: in}
		if want := o.posted(it.Amount, it.Quantity); sumOf(b.Lines) != want {
			return fmt.Errorf("%d x %v %v: %d, not %d", it.Quantity, it.Amount, in.Rounding, sumOf(b.Lines), want)
		}
		return nil
	})
}

func TestC16ZeroNegativeAndTinyBills(t *testing.T) {
	for _, tt := range []struct {
		price   string
		minimum int64
		lines   int
		waits   bool
	}{
		{"0.00", 0, 0, false}, {"0.00", 500, 0, true}, {"4.00", 500, 1, true}, {"4.21", 500, 1, false}, {"-4.00", 500, 1, true},
		{"-100.00", 500, 1, false}, {"-4.00", 0, 1, false}, {"0.001", 0, 0, false},
	} {
		it := plan("a", tt.price, "2026-01-01", "2026-02-01")
		in := account(0, it)
		in.Minimum = tt.minimum
		if b := mustMake(t, in); b.Waits != tt.waits || len(b.Lines) != tt.lines {
			t.Errorf("%s with a minimum of %d: waits %v, %d lines, %d to pay", tt.price, tt.minimum, b.Waits, len(b.Lines), b.Gross)
		}
	}
	// What waits is on the next bill, once.
	in := account(0, plan("a", "4.00", "2026-01-01", "2026-02-01"), plan("b", "9.00", "2026-02-03", "2026-02-04"))
	in.Minimum = 500
	if b := mustMake(t, in); !b.Waits {
		t.Error("a bill of 4.76 is made")
	}
	in.Index = 1
	if b := mustMake(t, in); b.Waits || b.Net != 432 || len(b.Lines) != 2 {
		t.Errorf("the next bill: %+v", b)
	}
}

func TestC17ACommitmentIsTruedUpOnce(t *testing.T) {
	many(t, 300, func(r *rand.Rand) error {
		terms := account(0).Terms
		minimum := plan("z", "0", "2026-01-01", "")
		minimum.Span.From = mustDate("2026-01-01").AddDays(r.IntN(40)).Start(berlin)
		minimum.Sort, minimum.AllOf, minimum.Amount.Nano = compute.Commitment, true, int64(r.IntN(20_000))*10_000_000
		items := []compute.Item{minimum}
		for i := range r.IntN(4) { // subscriptions that share it
			it := plan(fmt.Sprintf("i%02d", i), "0", "2026-01-01", "")
			it.Product, it.Amount.Nano = fmt.Sprint("line", i), int64(r.IntN(8_000))*10_000_000
			it.Span.From = minimum.Span.From.AddDate(0, 0, -r.IntN(20))
			items = append(items, it)
		}
		lines, err := run(terms, 8, func(int) (compute.Terms, []compute.Item) { return terms, items })
		if err != nil {
			return err
		}
		for k := range 8 {
			month := mustPeriod(monthly, k)
			var charged, missing, notes int64
			for _, l := range lines {
				if l.Full != month {
					continue
				}
				if l.Sort == compute.Commitment {
					missing, notes = missing+l.Amount, notes+1
					continue
				}
				// of what is charged since the commitment holds
				from := civil.DateOf(minimum.Span.From, berlin)
				days, left := int64(month.Days()), int64(max(0, min(month.Days(), month.To.Sub(from))))
				price := l.Unit.Nano / 10_000_000
				charged += price - rounded(big.NewRat(price*(days-left), days), money.HalfUp)
			}
			held, ok := month.Intersect(civil.Period{From: civil.DateOf(minimum.Span.From, berlin)})
			if !ok {
				continue
			}
			price, days := minimum.Amount.Nano/10_000_000, int64(month.Days())
			floor := price - rounded(big.NewRat(price*(days-int64(held.Days())), days), money.HalfUp)
			if notes != 1 || missing != max(0, floor-charged) {
				return fmt.Errorf("month %d: %d of %d charged, %d added in %d lines", k, charged, floor, missing, notes)
			}
		}
		return nil
	})
}

func TestC18DiscountsAreWhatTheyTakeOffByRate(t *testing.T) {
	many(t, 1_000, func(r *rand.Rand) error {
		in := account(0)
		left := map[string]int64{} // of each rate: it is only lowered as a whole
		var total int64
		for i := range 1 + r.IntN(6) {
			it := plan(fmt.Sprintf("i%02d", i), "0", "2026-01-01", "2026-02-01")
			it.Amount.Nano, it.TaxCategory = int64(r.IntN(9_000))*10_000_000, pick(r, "standard", "reduced", "exempt")
			left[it.TaxCategory] += it.Amount.Nano / 10_000_000
			total += it.Amount.Nano / 10_000_000
			in.Items = append(in.Items, it)
		}
		rest := total
		var want []int64
		for i := range 1 + r.IntN(4) { // by priority, which is the order made
			it := plan(fmt.Sprint("d", 9-i), "0", "2026-01-01", "2026-02-01")
			it.Sort, it.AllOf, it.Priority = compute.Discount, true, int64(i)
			off := int64(r.IntN(9_000))
			if r.IntN(2) == 0 {
				it.Amount.Nano = -off * 10_000_000
			} else {
				percent := int64(r.IntN(120))
				it.Percent = compute.Percent{Num: -percent, Den: 1}
				off = rounded(big.NewRat(rest*percent, 100), money.HalfUp)
			}
			if r.IntN(3) == 0 {
				most := int64(r.IntN(3_000))
				it.Cap = money.Rate{Nano: most * 10_000_000, Currency: money.EUR}
				off = min(off, most)
			}
			off = min(off, rest)
			rest -= off
			want = append(want, -off)
			in.Items = append(in.Items, it)
		}
		b, err := compute.Make(in)
		if err != nil {
			return err
		}
		got := make([]int64, len(want))
		for _, l := range b.Lines {
			if l.Sort == compute.Discount {
				got['9'-l.Item[1]] += l.Amount
				left[l.TaxCategory] += l.Amount
			}
		}
		if !slices.Equal(got, want) || b.Net != rest {
			return fmt.Errorf("discounts %v, not %v; %d left, not %d", got, want, b.Net, rest)
		}
		for _, s := range b.Taxes {
			if s.Net < 0 || s.Net != left[s.Category] {
				return fmt.Errorf("%s is left with %d, not %d", s.Category, s.Net, left[s.Category])
			}
			delete(left, s.Category)
		}
		return rulesOfTotals(in, b)
	})
}
