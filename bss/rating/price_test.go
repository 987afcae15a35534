package rating

import (
	"errors"
	"math"
	"slices"
	"strconv"
	"testing"

	"pgregory.net/rapid"

	"tandem/kit/money"
)

// planOf is a plan with one rule.
func planOf(p Price, rounding string, counter bool) Plan {
	plan := Plan{Name: "test", Currency: "EUR", Zone: "UTC", Counters: []Counter{{"period", Cycle}, {"spent", Day}},
		Rules: []Rule{{Name: "rule", Price: &p}}}
	if rounding != "" {
		plan.Rounding, _ = money.ParseRounding(rounding)
	}
	if counter {
		plan.Rules[0].Counter = "period"
	}
	return plan
}

var amounts = rapid.SampledFrom([]Decimal{"0", "0.000000001", "0.000000005", "0.00000001", "0.01", "0.07", "0.01/3", "1/7", "2", "0.0000000007"})

// genSteps draws a few steps without gaps.
func genSteps(t *rapid.T) []Step {
	steps := make([]Step, rapid.IntRange(1, 4).Draw(t, "steps"))
	from := uint64(0)
	for i := range steps {
		steps[i] = Step{From: from, Amount: amounts.Draw(t, "amount"), Per: rapid.SampledFrom([]uint64{0, 1, 3, 60}).Draw(t, "per")}
		if i < len(steps)-1 {
			from += rapid.Uint64Range(1, 60).Draw(t, "length")
			steps[i].To = from
		}
	}
	return steps
}

// genPrice draws a price of any shape but formula.
func genPrice(t *rapid.T) (p Price, counted bool) {
	p = Price{Unit: "seconds", Per: rapid.SampledFrom([]uint64{0, 1, 7, 60, 1024}).Draw(t, "price per")}
	p.Block = Block{First: rapid.Uint64Range(0, 20).Draw(t, "first"), Step: rapid.Uint64Range(0, 12).Draw(t, "step"),
		Rounding: rapid.SampledFrom([]string{"", "up", "half-up", "half-even", "down"}).Draw(t, "block rounding")}
	fee := rapid.SampledFrom([]Decimal{"", "", "0.01", "0.000000001", "0.2"})
	p.Connect = fee.Draw(t, "connect")
	switch rapid.IntRange(0, 4).Draw(t, "shape") {
	case 0:
		p.Amount = amounts.Draw(t, "price")
	case 1:
		p.Steps = genSteps(t)
	case 2:
		p.Tiers, counted = genSteps(t), true
	case 3:
		p.Volume, counted = genSteps(t), rapid.Bool().Draw(t, "counted")
		return p, counted
	case 4:
		p.Unit, p.Per, p.Percent = "money", 0, rapid.SampledFrom([]Decimal{"100", "2.5", "33.333", "0"}).Draw(t, "percent")
	}
	p.Minimum = fee.Draw(t, "minimum")
	if p.Minimum == "" {
		p.SessionCap = fee.Draw(t, "cap")
	}
	return p, counted
}

var roundings = rapid.SampledFrom([]string{"up", "down", "half-up", "half-even", "half-down", "ceiling", "floor"})

// TestCostAgainstOracle: every shape costs what unbounded fractions say, unit by
// unit.
func TestCostAgainstOracle(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, counted := genPrice(t)
		rounding := roundings.Draw(t, "rounding")
		slow := slowCase{price: &p, rounding: rounding, counted: counted}
		tariff, err := Compile(planOf(p, rounding, counted))
		if err != nil {
			t.Fatal(err)
		}
		used, more := rapid.Uint64Range(0, 80).Draw(t, "used"), rapid.Uint64Range(0, 120).Draw(t, "more")
		counter := rapid.Uint64Range(0, 150).Draw(t, "counter")
		charged := rapid.Int64Range(0, 300_000_000).Draw(t, "charged")
		got, err := tariff.Rate(0).Cost(used, more, counter, charged)
		if want := slow.cost(used, more, counter, charged); err != nil || got != want {
			t.Fatalf("cost %d, %v; want %d", got, err, want)
		}
	})
}

// TestUnitsAgainstOracle: the inverse is the last unit that walking one by one can
// pay.
func TestUnitsAgainstOracle(t *testing.T) {
	const far = 250
	rapid.Check(t, func(t *rapid.T) {
		p, counted := genPrice(t)
		rounding := roundings.Draw(t, "rounding")
		slow := slowCase{price: &p, rounding: rounding, counted: counted}
		tariff, err := Compile(planOf(p, rounding, counted))
		if err != nil {
			t.Fatal(err)
		}
		used, counter := rapid.Uint64Range(0, 50).Draw(t, "used"), rapid.Uint64Range(0, 100).Draw(t, "counter")
		charged := rapid.Int64Range(0, 300_000_000).Draw(t, "charged")
		nano := rapid.OneOf(rapid.Int64Range(0, 60), rapid.Int64Range(0, 3_000_000_000)).Draw(t, "nano")
		got, bounded := tariff.Rate(0).Units(used, counter, charged, nano)
		want := uint64(0)
		for want < far && slow.cost(used, want+1, counter, charged) <= nano {
			want++
		}
		if want == far && got >= far {
			return // further than it is worth walking
		}
		if got != want || !bounded {
			t.Fatalf("%d units, bounded %v; want %d", got, bounded, want)
		}
	})
}

// TestP17PartsAddUp: the parts of a session cost what the whole does, for every
// way of cutting it, at sizes of real sessions, tier counter and cap moved along.
func TestP17PartsAddUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, counted := genPrice(t)
		if p.Percent == "" {
			p.Per = rapid.SampledFrom([]uint64{1 << 20, 1 << 30, 60}).Draw(t, "real per")
		}
		p.Block.Step = rapid.SampledFrom([]uint64{1, 1024, 1 << 20}).Draw(t, "real step")
		for _, steps := range [][]Step{p.Steps, p.Tiers, p.Volume} {
			for i := range steps {
				steps[i].From, steps[i].To, steps[i].Per = steps[i].From<<25, steps[i].To<<25, steps[i].Per<<20
			}
		}
		tariff, err := Compile(planOf(p, roundings.Draw(t, "rounding"), counted))
		if err != nil {
			t.Fatal(err)
		}
		r, counter := tariff.Rate(0), rapid.Uint64Range(0, 1<<33).Draw(t, "counter")
		parts := rapid.SliceOfN(rapid.Uint64Range(0, 1<<32), 1, 20).Draw(t, "parts")
		var used uint64
		var sum int64
		for _, part := range parts {
			cost, err := r.Cost(used, part, counter+used, sum)
			if err != nil {
				t.Fatal(err)
			}
			used, sum = used+part, sum+cost
		}
		whole, err := r.Cost(0, used, counter, 0)
		if err != nil || whole != sum {
			t.Fatalf("parts %d, whole %d, %v", sum, whole, err)
		}
	})
}

// TestUnitsIsTight: at any size, what Units gives costs no more than the money, and
// one unit beyond costs more.
func TestUnitsIsTight(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, counted := genPrice(t)
		if len(p.Volume) > 0 {
			return
		}
		tariff, err := Compile(planOf(p, roundings.Draw(t, "rounding"), counted))
		if err != nil {
			t.Fatal(err)
		}
		r := tariff.Rate(0)
		used, counter := rapid.Uint64Range(0, 1<<40).Draw(t, "used"), rapid.Uint64Range(0, 1<<40).Draw(t, "counter")
		nano := rapid.Int64Range(0, 1<<61).Draw(t, "nano")
		more, bounded := r.Units(used, counter, 0, nano)
		if !bounded {
			return
		}
		if cost, err := r.Cost(used, more, counter, 0); err != nil && !errors.Is(err, money.ErrOverflow) || cost > nano {
			t.Fatalf("%d units cost %d of %d, %v", more, cost, nano, err)
		}
		if cost, err := r.Cost(used, more+1, counter, 0); err == nil && cost <= nano {
			t.Fatalf("%d units given, one more costs %d of %d", more, cost, nano)
		}
	})
}

// TestP17Rounding: units and money are rounded by their own names.
func TestP17Rounding(t *testing.T) {
	for _, c := range []struct {
		rounding string
		units    uint64 // at half of 10^-9 each
		want     int64
	}{
		{"up", 1, 1}, {"half-up", 1, 1}, {"half-even", 1, 0}, {"half-even", 3, 2}, {"half-even", 5, 2}, {"half-down", 3, 1}, {"down", 3, 1}, {"", 1, 1},
	} {
		r := mustCompile(t, planOf(Price{Unit: "seconds", Amount: "0.000000001", Per: 2}, c.rounding, false)).Rate(0)
		if got, err := r.Cost(0, c.units, 0, 0); err != nil || got != c.want {
			t.Errorf("%s: %d units cost %d, %v; want %d", c.rounding, c.units, got, err, c.want)
		}
	}
	for _, c := range []struct {
		rounding   string
		used, want uint64
	}{{"up", 61, 120}, {"half-up", 89, 60}, {"half-up", 90, 120}, {"half-even", 90, 60}, {"half-even", 150, 180}, {"down", 119, 60}, {"up", 1, 60}, {"down", 1, 60}} {
		r := priced(t, Price{Unit: "seconds", Amount: "1", Block: Block{Step: 60, Rounding: c.rounding}}, false)
		if got, err := r.Cost(0, c.used, 0, 0); err != nil || got != int64(c.want)*1e9 {
			t.Errorf("%s: %d s are billed as %d ns, %v; want %d s", c.rounding, c.used, got, err, c.want)
		}
	}
}

// TestP16Shapes prices a few sessions by hand.
func TestP16Shapes(t *testing.T) {
	minute := func(amount Decimal) Price { return Price{Unit: "seconds", Amount: amount, Per: 60} }
	with := func(p Price, change func(*Price)) Price { change(&p); return p }
	steps := []Step{{To: 60, Amount: "0.10"}, {From: 60, To: 600, Amount: "0.05"}, {From: 600, Amount: "0"}}
	for _, c := range []struct {
		name                string
		price               Price
		used, more, counter uint64
		charged             int64
		want                string
	}{
		{"a minute", minute("0.09"), 0, 60, 0, 0, "0.09"},
		{"block 60/1, first second", with(minute("0.09"), func(p *Price) { p.Block = Block{First: 60, Step: 1} }), 0, 1, 0, 0, "0.09"},
		{"block 60/1, second minute by the second", with(minute("0.09"), func(p *Price) { p.Block = Block{First: 60, Step: 1} }), 60, 20, 0, 0, "0.03"},
		{"block 60/60, second 61", with(minute("0.09"), func(p *Price) { p.Block = Block{Step: 60} }), 60, 1, 0, 0, "0.09"},
		{"block 60/60, inside the paid minute", with(minute("0.09"), func(p *Price) { p.Block = Block{Step: 60} }), 61, 59, 0, 0, "0"},
		{"set-up fee with the first unit", with(minute("0.06"), func(p *Price) { p.Connect = "0.15" }), 0, 10, 0, 0, "0.16"},
		{"set-up fee only once", with(minute("0.06"), func(p *Price) { p.Connect = "0.15" }), 10, 10, 0, 0, "0.01"},
		{"no use, no set-up fee", with(minute("0.06"), func(p *Price) { p.Connect = "0.15" }), 0, 0, 0, 0, "0"},
		{"minimum", with(minute("0.06"), func(p *Price) { p.Minimum = "0.10" }), 0, 10, 0, 0, "0.10"},
		{"minimum is used up first", with(minute("0.06"), func(p *Price) { p.Minimum = "0.10" }), 10, 100, 0, 0, "0.01"},
		{"session cap", with(minute("0.06"), func(p *Price) { p.SessionCap = "0.50" }), 0, 3600, 0, 0, "0.50"},
		{"session cap, the rest of it", with(minute("0.06"), func(p *Price) { p.SessionCap = "0.50" }), 480, 3600, 0, 480_000_000, "0.02"},
		{"session cap, used up", with(minute("0.06"), func(p *Price) { p.SessionCap = "0.50" }), 600, 60, 0, 500_000_000, "0"},
		{"steps", Price{Unit: "seconds", Per: 60, Steps: steps}, 0, 3600, 0, 0, "0.55"},
		{"steps, from the middle", Price{Unit: "seconds", Per: 60, Steps: steps}, 30, 60, 0, 0, "0.075"},
		{"tiers by the counter", Price{Unit: "seconds", Per: 60, Tiers: steps}, 0, 60, 30, 0, "0.075"},
		{"volume, below the step", Price{Unit: "seconds", Per: 60, Volume: steps}, 0, 30, 30, 0, "0.05"},
		{"volume, all units at the cheaper price", Price{Unit: "seconds", Per: 60, Volume: steps}, 0, 60, 60, 0, "0"},
		{"volume, a credit where the step is reached", Price{Unit: "seconds", Per: 60, Volume: steps}, 0, 12, 60, 0, "-0.04"},
		{"percentage", Price{Unit: "money", Percent: "12.5"}, 0, 8_000_000_000, 0, 0, "1"},
		{"a third of a cent does not drift", Price{Unit: "events", Amount: "0.01/3"}, 0, 3_000_000, 0, 0, "10000"},
		{"formula", Price{Unit: "events", Formula: "units <= 3 ? 0 : (units - 3) * 90000000"}, 2, 3, 0, 0, "0.18"},
		{"formula of a sum", Price{Unit: "money", Formula: "max(200000000, share(money, 3, 100))"}, 0, 10_000_000_000, 0, 0, "0.3"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := priced(t, c.price, len(c.price.Tiers)+len(c.price.Volume) > 0)
			got, err := r.Cost(c.used, c.more, c.counter, c.charged)
			if want, _ := money.ParseRate(c.want, money.EUR); err != nil || got != want.Nano {
				t.Fatalf("cost %d, %v; want %s", got, err, c.want)
			}
		})
	}
}

// TestP16DayCap: the caller's counter of money caps the charges of a day.
func TestP16DayCap(t *testing.T) {
	r := priced(t, Price{Unit: "octets", Amount: "1", Per: 1 << 20, DayCap: "5", DayCounter: "spent"}, false)
	spent := int64(0)
	for range 7 {
		cost, err := r.Cost(0, 1<<20, 0, 0)
		if err != nil {
			t.Fatal(err)
		}
		spent += r.Capped(cost, spent)
	}
	if spent != 5_000_000_000 || r.DayLeft(spent) != 0 || r.DayCounter != 1 {
		t.Errorf("7 MiB at 1 EUR under a cap of 5 EUR: %d, counter %d", spent, r.DayCounter)
	}
	free := priced(t, Price{Unit: "octets", Amount: "1"}, false)
	if free.Capped(7, math.MaxInt64) != 7 || free.DayLeft(0) != math.MaxInt64 {
		t.Error("a rate without a day cap caps")
	}
}

// TestP16CounterReset: a counter that starts again in the middle of a session makes
// the next units those of the first tier.
func TestP16CounterReset(t *testing.T) {
	tiers := []Step{{To: 100, Amount: "0.10"}, {From: 100, Amount: "0.01"}}
	r := priced(t, Price{Unit: "events", Tiers: tiers}, true)
	for _, c := range []struct {
		used, more, counter uint64
		want                int64
	}{{90, 20, 90, 1_100_000_000}, {150, 20, 0, 2_000_000_000}, {150, 110, 0, 10_100_000_000}, {150, 20, 95, 650_000_000}} {
		if got, err := r.Cost(c.used, c.more, c.counter, 0); err != nil || got != c.want {
			t.Errorf("%+v: %d, %v", c, got, err)
		}
	}
}

// TestUnitsGrants: quota is whole blocks, and free use is without bound.
func TestUnitsGrants(t *testing.T) {
	call := priced(t, Price{Unit: "seconds", Amount: "0.09", Per: 60, Block: Block{Step: 60}, Connect: "0.10"}, false)
	for _, c := range []struct {
		used uint64
		nano int64
		want uint64
	}{{0, 189_999_999, 0}, {0, 190_000_000, 60}, {0, 300_000_000, 120}, {30, 0, 30}, {60, 89_999_999, 0}, {60, 90_000_000, 60}, {0, -1, 0}} {
		if got, bounded := call.Units(c.used, 0, 0, c.nano); got != c.want || !bounded {
			t.Errorf("after %d s, %d nano buy %d s (bounded %v); want %d", c.used, c.nano, got, bounded, c.want)
		}
	}
	capped := priced(t, Price{Unit: "seconds", Amount: "0.09", SessionCap: "2"}, false)
	if _, bounded := capped.Units(100, 0, 1_000_000_000, 1_000_000_000); bounded {
		t.Error("the rest of the session cap is there, yet use ends")
	}
	if got, bounded := capped.Units(10, 0, 900_000_000, 1_000_000_000); got != 11 || !bounded {
		t.Errorf("%d, %v", got, bounded)
	}
	volume := priced(t, Price{Unit: "events", Volume: []Step{{To: 100, Amount: "0.10"}, {From: 100, Amount: "0.05"}}}, true)
	if got, _ := volume.Units(0, 90, 0, 500_000_000); got != 5 {
		t.Errorf("%d units: the cheaper step lies behind units that cannot be paid", got)
	}
	if got, _ := volume.Units(0, 90, 0, 1_000_000_000); got != 110 {
		t.Errorf("%d units; 200 at 0.05 are 10 EUR, 9 of them paid before", got)
	}
	events := priced(t, Price{Unit: "events", Formula: "units * units * 1000000000"}, false)
	if got, bounded := events.Units(2, 0, 0, 21_000_000_000); got != 3 || !bounded {
		t.Errorf("%d, %v: 3 more after 2 cost 21", got, bounded)
	}
}

// TestP12Zero: zero-rated use costs nothing, has no bound and is still counted.
func TestP12Zero(t *testing.T) {
	plan := planOf(Price{}, "", false)
	plan.Rules = []Rule{{Name: "self-care", Match: Match{Service: "data", Groups: []uint32{99}}, Zero: true, Counter: "period", Class: "free"}}
	tariff := mustCompile(t, plan)
	r, _, ok := tariff.Find(&Context{Service: 1, HasGroup: true, Group: 99})
	if !ok || r.Counter != 0 || tariff.ClassName(r.Class) != "free" || r.Unit != unitOctets {
		t.Fatalf("%+v, %v", r, ok)
	}
	if cost, err := r.Cost(0, math.MaxUint64, 0, 0); cost != 0 || err != nil {
		t.Error(cost, err)
	}
	if _, bounded := r.Units(0, 0, 0, 0); bounded {
		t.Error("at balance 0 free use must go on")
	}
}

// TestP18Tax: tax within or on top, rounded once.
func TestP18Tax(t *testing.T) {
	for _, c := range []struct {
		tax       Tax
		nano      int64
		net, vat  int64
		rateUnder string
	}{
		{Tax{"19", true}, 1_190_000_000, 1_000_000_000, 190_000_000, ""},
		{Tax{"19", true}, 1, 1, 0, ""},
		{Tax{"19", false}, 1_000_000_000, 1_000_000_000, 190_000_000, ""},
		{Tax{"8.1", true}, 1_000_000_000, 925_069_380, 74_930_620, ""},
		{Tax{"8.1", false}, 5, 5, 0, ""},
		{Tax{"50", false}, 1, 1, 1, ""},
		{Tax{}, 77, 77, 0, ""},
		{Tax{"100", true}, math.MaxInt64, math.MaxInt64/2 + 0, math.MaxInt64/2 + 1, ""},
		{Tax{"19", true}, -1_190_000_000, -1_000_000_000, -190_000_000, ""},
	} {
		plan := planOf(Price{Unit: "events", Amount: "1"}, "", false)
		plan.Tax = c.tax
		net, vat := mustCompile(t, plan).Tax(c.nano)
		if net != c.net || vat != c.vat {
			t.Errorf("%+v of %d: %d + %d; want %d + %d", c.tax, c.nano, net, vat, c.net, c.vat)
		}
		if c.tax.Included && net+vat != c.nano {
			t.Errorf("%+v: %d is split into %d and %d", c.tax, c.nano, net, vat)
		}
	}
}

// TestOverflow: what does not fit is an error, not a wrong sum.
func TestOverflow(t *testing.T) {
	dear := priced(t, Price{Unit: "octets", Amount: "4000000000"}, false)
	blocks := priced(t, Price{Unit: "octets", Amount: "0.000000001", Per: 1 << 60, Block: Block{Step: 1 << 30}}, false)
	fee := priced(t, Price{Unit: "octets", Amount: "0.000000001", Connect: "9000000000"}, false)
	square := priced(t, Price{Unit: "events", Formula: "units * units * units"}, false)
	tiers := priced(t, Price{Unit: "octets", Tiers: []Step{{Amount: "0.000000001", Per: 1 << 60}}}, true)
	for i, err := range []error{
		costErr(dear, 0, 3, 0), costErr(dear, 2, 1, 0), costErr(blocks, 0, math.MaxUint64, 0), costErr(blocks, math.MaxUint64, 1, 0),
		costErr(fee, 0, 1<<61, 0), costErr(square, 0, 1<<22, 0), costErr(square, 0, 1<<63, 0), costErr(tiers, 0, 2, math.MaxUint64-1),
	} {
		if !errors.Is(err, money.ErrOverflow) {
			t.Errorf("case %d: %v", i, err)
		}
	}
	if err := costErr(dear, 0, 2, 0); err != nil {
		t.Error(err)
	}
	if more, bounded := dear.Units(0, 0, 0, math.MaxInt64); more != 2 || !bounded {
		t.Errorf("%d, %v", more, bounded)
	}
	cheap := priced(t, Price{Unit: "octets", Amount: "0.000000001", Per: 1 << 40}, false)
	if _, bounded := cheap.Units(0, 0, 0, math.MaxInt64); bounded {
		t.Error("more money than any number of octets costs, yet use ends")
	}
}

func costErr(r *Rate, used, more, counter uint64) error {
	_, err := r.Cost(used, more, counter, 0)
	return err
}

// TestQ13ClosedForm: sizes at which walking the increments would never end.
func TestQ13ClosedForm(t *testing.T) {
	r := priced(t, Price{Unit: "octets", Steps: []Step{{To: 1 << 50, Amount: "0.01", Per: 1 << 30}, {From: 1 << 50, Amount: "0.001", Per: 1 << 30}}, Block: Block{Step: 1}}, false)
	const want = 1<<20*10_000_000 + (1<<30-1<<20)*1_000_000 // nano
	if cost, err := r.Cost(0, 1<<60, 0, 0); err != nil || cost != want {
		t.Errorf("%d, %v; want %d", cost, err, want)
	}
	if more, bounded := r.Units(1<<59, 0, 0, 1_000_000); more != 1<<30+536 || !bounded {
		t.Errorf("%d, %v; want 1 GiB and what rounds down for 0.001", more, bounded)
	}
}

// TestFormulaErrors: a formula that goes wrong says so.
func TestFormulaErrors(t *testing.T) {
	for formula, want := range map[string]error{"units % (units - 1)": money.ErrDivide, "share(1, 1, units - 1)": money.ErrDivide} {
		if err := costErr(priced(t, Price{Unit: "events", Formula: formula}, false), 0, 1, 0); !errors.Is(err, want) {
			t.Errorf("%s: %v", formula, err)
		}
	}
	if err := costErr(priced(t, Price{Unit: "events", Formula: "0 - units"}, false), 0, 1, 0); err == nil {
		t.Error("a price below zero")
	}
}

// TestFormulaAgainstLanguage: the house evaluates a formula as whole numbers do.
func TestFormulaAgainstLanguage(t *testing.T) {
	for formula, want := range map[string]func(u int64) int64{
		"units * 2 + 3 - 1":                           func(u int64) int64 { return u*2 + 2 },
		"units % 4 * 7":                               func(u int64) int64 { return u % 4 * 7 },
		"units > 5 and units != 8 ? 1 : 2":            func(u int64) int64 { return 2 - b2i(u > 5 && u != 8) },
		"units < 3 or not (units <= 9) ? 100 : units": func(u int64) int64 { return pick(u < 3 || u > 9, 100, u) },
		"min(units, 4) * max(units, 6)":               func(u int64) int64 { return min(u, 4) * max(u, 6) },
		"units >= 4 && units == 7 ? -(-5) : 0":        func(u int64) int64 { return pick(u == 7, 5, 0) },
		"share(units, 1, 2)":                          func(u int64) int64 { return (u + 1) / 2 },
		"if units > 2 { 9 } else { 8 }":               func(u int64) int64 { return pick(u > 2, 9, 8) },
		"true ? units : money":                        func(u int64) int64 { return u },
	} {
		r := priced(t, Price{Unit: "events", Formula: formula}, false)
		for u := range int64(12) {
			if got, err := r.Cost(0, uint64(u+1), 0, 0); err != nil || got != want(u+1) {
				t.Errorf("%s at %d: %d, %v; want %d", formula, u+1, got, err, want(u+1))
			}
		}
	}
}

func b2i(b bool) int64 { return pick(b, 1, 0) }

func pick(c bool, a, b int64) int64 {
	if c {
		return a
	}
	return b
}

// increments are the rates of B5: the same price at rounding steps from 1 KiB up.
func increments(t testing.TB) map[string]*Rate {
	out := map[string]*Rate{}
	for name, step := range map[string]uint64{"1KiB": 1 << 10, "1MiB": 1 << 20, "10MiB": 10 << 20} {
		out[name] = priced(t, Price{Unit: "octets", Amount: "0.01", Per: 1 << 20, Block: Block{Step: step}}, false)
	}
	return out
}

// TestNoAllocations: pricing and finding leave no garbage.
func TestNoAllocations(t *testing.T) {
	r := increments(t)["1KiB"]
	formula := priced(t, Price{Unit: "events", Formula: "units > 3 ? share(units, 5, 2) : max(units, 2)"}, false)
	tiers := priced(t, Price{Unit: "octets", Tiers: []Step{{To: 1 << 30, Amount: "0.01"}, {From: 1 << 30, Amount: "0.005"}}, Per: 1 << 20}, true)
	tariff, contexts := busyTariff(t)
	var sink int64
	if n := testing.AllocsPerRun(100, func() {
		for _, rate := range []*Rate{r, formula, tiers} {
			cost, _ := rate.Cost(5, 1<<10, 1<<30, 0)
			more, _ := rate.Units(5, 1<<30, 0, 1e9)
			sink += cost + int64(more)
		}
		for i := range contexts {
			rate, until, _ := tariff.Find(&contexts[i])
			sink += until + int64(rate.ID)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	_ = strconv.FormatInt(sink, 10)
}

func BenchmarkCost(b *testing.B) {
	rates := increments(b)
	for _, name := range []string{"1KiB", "1MiB", "10MiB"} {
		b.Run("10MiB in steps of "+name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, _ = rates[name].Cost(123<<20, 10<<20, 0, 0)
			}
		})
	}
	call := priced(b, Price{Unit: "seconds", Amount: "0.09", Per: 60, Block: Block{First: 60, Step: 1}, Connect: "0.05", Minimum: "0.1"}, false)
	b.Run("hour of voice in seconds", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = call.Cost(0, 3600, 0, 0)
		}
	})
	formula := priced(b, Price{Unit: "events", Formula: "units > 3 ? share(units, 5, 2) : max(units, 2)"}, false)
	b.Run("formula", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = formula.Cost(2, 4, 0, 0)
		}
	})
}

func BenchmarkUnits(b *testing.B) {
	rates := increments(b)
	for _, name := range slices.Sorted(func(yield func(string) bool) {
		for n := range rates {
			if !yield(n) {
				return
			}
		}
	}) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, _ = rates[name].Units(123<<20, 0, 0, 5_000_000_000)
			}
		})
	}
}
