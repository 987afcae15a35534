package compute_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"tandem/bss/billing/compute"
	"tandem/kit/civil"
	"tandem/kit/fault"
	"tandem/kit/money"
)

var berlin = mustZone("Europe/Berlin")

// noon is an instant of a date in Berlin.
func noon(text string) time.Time { return mustDate(text).At(12*time.Hour, berlin) }

func eur(text string) money.Rate {
	r, err := money.ParseRate(text, money.EUR)
	if err != nil {
		panic(err)
	}
	return r
}

var monthly = civil.Cycle{Origin: mustDate("2026-01-01"), Step: civil.Duration{Months: 1}}

// rates are those of a country with a change on 1 July 2026.
func rates() []compute.TaxRate {
	all := civil.Period{From: mustDate("2000-01-01")}
	return []compute.TaxRate{
		{Category: "standard", Code: "S", Percent: compute.Percent{19, 1}, Period: civil.Period{From: all.From, To: mustDate("2026-07-01")}},
		{Category: "standard", Code: "S", Percent: compute.Percent{16, 1}, Period: civil.Period{From: mustDate("2026-07-01")}},
		{Category: "reduced", Code: "S", Percent: compute.Percent{70, 10}, Period: all},
		{Category: "reverse", Code: "AE", Period: all, Reason: "Reverse charge"},
		{Category: "exempt", Code: "E", Period: all, Reason: "Article 132"},
	}
}

func account(index int, items ...compute.Item) *compute.Input {
	return &compute.Input{Terms: compute.Terms{Account: "acc", Currency: money.EUR, Zone: berlin, Cycle: monthly, Rates: rates()}, Index: index, Items: items}
}

// plan is a monthly charge in advance.
func plan(id, price, from, to string) compute.Item {
	it := compute.Item{ID: id, Price: "p-" + id, Name: "Plan " + id, Product: "line", Amount: eur(price), Cycle: monthly, Span: civil.Span{From: noon(from)},
		TaxCategory: "standard", Revenue: "4000", Revision: 1}
	if to != "" {
		it.Span.To = noon(to)
	}
	return it
}

func mustMake(t testing.TB, in *compute.Input) *compute.Bill {
	t.Helper()
	b, err := compute.Make(in)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestAPlanThatEndsInAPeriodBilledInAdvanceIsCreditedByDays(t *testing.T) {
	in := account(0, plan("a", "31.00", "2026-01-15", ""))
	b := mustMake(t, in) // dated 1 February: the rest of January, and February in advance
	if len(b.Lines) != 2 || b.Lines[0].Amount != 1700 || b.Lines[1].Amount != 3100 || b.Net != 4800 || b.Tax != 912 || b.Gross != 5712 {
		t.Fatalf("%+v", b)
	}
	in.Billed = kept(in, b, "bill-0")
	if again := mustMake(t, in); len(again.Lines) != 0 {
		t.Fatalf("a second run charges again: %+v", again.Lines)
	}
	in.Index, in.Items[0].Span.To, in.Items[0].Revision = 1, noon("2026-02-15"), 2
	b = mustMake(t, in)
	if len(b.Lines) != 1 || b.Lines[0].Amount != -1550 || b.Lines[0].Corrects != "bill-0" || b.Lines[0].Number != 1 {
		t.Fatalf("%+v", b.Lines)
	}
}

func TestWhatKeepsAnAccountFromBeingBilledIsSaid(t *testing.T) {
	dollars := eur("1.00")
	dollars.Currency = money.USD
	for code, change := range map[string]func(in *compute.Input){
		"currencyMissing":                func(in *compute.Input) { in.Currency = money.Currency{} },
		"zoneMissing":                    func(in *compute.Input) { in.Zone = nil },
		"zoneInvalid":                    func(in *compute.Input) { in.Moved = []compute.Moved{{Zone: berlin}} },
		"cycleInvalid":                   func(in *compute.Input) { in.Terms.Cycle.Step = civil.Duration{} },
		"billingPeriod":                  func(in *compute.Input) { in.Index = 1 << 40 },
		"roundingInvalid":                func(in *compute.Input) { in.Rounding = 99 },
		"minimumInvalid":                 func(in *compute.Input) { in.Minimum = -1 },
		"priceMissing":                   func(in *compute.Input) { in.Items[0].Amount = money.Rate{} },
		"currencyMismatch":               func(in *compute.Input) { in.Items[0].Amount = dollars },
		"taxRateMissing":                 func(in *compute.Input) { in.Items[0].TaxCategory = "luxury" },
		"taxRateInvalid":                 func(in *compute.Input) { in.Rates[0].Percent.Num = -1 },
		"itemInvalid":                    func(in *compute.Input) { in.Items[0].Cycle.Step.Days = 3 },
		"amountTooLarge":                 func(in *compute.Input) { in.Items[0].Quantity = 1 << 60 },
		"billedInvalid":                  func(in *compute.Input) { in.Billed = []compute.Billed{{Item: "a", Net: 1 << 60}} },
		"usageInvalid":                   func(in *compute.Input) { in.Usage = []compute.UsageSum{{Amount: eur("1"), TaxCategory: "standard"}} },
		"amountTooLarge of a commitment": func(in *compute.Input) { in.Items[0].Sort, in.Items[0].Quantity = compute.Commitment, 1<<40 },
		"itemInvalid of a cap":           func(in *compute.Input) { in.Items[0].Sort, in.Items[0].Cycle.Day = compute.Discount, 32 },
		"itemInvalid of a century": func(in *compute.Input) {
			in.Items[0].Proration, in.Items[0].Cycle.Step.Months = compute.BySeconds, 1_201
		},
		"currencyMismatch of a cap": func(in *compute.Input) { in.Items[0].Sort, in.Items[0].Cap = compute.Discount, dollars },
		"tooManyPeriods of a discount": func(in *compute.Input) {
			off := plan("off", "-1.00", "1900-01-01", "")
			off.Sort, off.Cycle.Step = compute.Discount, civil.Duration{Days: 1}
			in.Items = append(in.Items, off)
		},
		"tooManyPeriods": func(in *compute.Input) {
			in.Items[0].Span.From = noon("1900-01-01")
			in.Rates[0].Period.From = mustDate("1800-01-01")
		},
	} {
		in := account(0, plan("a", "31.00", "2026-01-15", ""))
		change(in)
		if b, err := compute.Make(in); !fault.Is(err, fault.Invalid) || fault.Of(err).Code != strings.Fields(code)[0] {
			t.Errorf("%s: %+v, %v", code, b, err)
		} else if testing.Verbose() {
			t.Log(err)
		}
	}
}

func BenchmarkSevenLines(b *testing.B) {
	in := account(5,
		plan("a", "19.99", "2025-03-04", ""), plan("b", "4.99", "2025-03-04", ""), plan("c", "9.90", "2025-06-01", ""),
		plan("d", "2.50", "2025-06-01", ""), plan("e", "1.00", "2025-06-01", ""))
	in.Usage = []compute.UsageSum{
		{Key: "v", Name: "Calls", Product: "line", Quantity: 600, Unit: "seconds", Records: 9, Amount: eur("1.234567"), Period: civil.Period{From: mustDate("2026-06-01"), To: mustDate("2026-07-01")}, TaxCategory: "standard"},
		{Key: "d", Name: "Data", Product: "line", Quantity: 1 << 30, Unit: "octets", Records: 99, Amount: eur("3.2"), Period: civil.Period{From: mustDate("2026-06-01"), To: mustDate("2026-07-01")}, TaxCategory: "standard"},
	}
	for i := range in.Items {
		in.Billed = append(in.Billed, compute.Billed{Item: in.Items[i].ID, Index: 5, Net: 1, Version: 1, Revision: 1, TaxCategory: "standard", TaxRate: compute.Percent{19, 1}, Bill: "x"})
	}
	if n := len(mustMake(b, in).Lines); n != 7 {
		b.Fatalf("%d lines", n)
	}
	b.Run("plain", func(b *testing.B) { make7(b, in) })
	with := *in
	with.Items = append(with.Items[:5:5], compute.Item{ID: "f", Name: "10 % off", Product: "line", Sort: compute.Discount, Percent: compute.Percent{-10, 1}, AllOf: true, Cycle: monthly,
		Span: civil.Span{From: noon("2025-03-04")}, TaxCategory: "standard", Revision: 1})
	with.Billed = append(with.Billed[:5:5], compute.Billed{Item: "f", Index: 5, Net: -384, Version: 1, Revision: 1, TaxCategory: "standard", TaxRate: compute.Percent{19, 1}, Bill: "x"})
	b.Run("discount", func(b *testing.B) { make7(b, &with) })
}

// A large account has lines with a discount each: twice as many take twice the time.
func BenchmarkEnterprise(b *testing.B) {
	for _, size := range []int{1_000, 2_000, 4_000} {
		in := account(5)
		for i := range size {
			it := plan(fmt.Sprintf("a%05d", i), "19.99", "2026-06-11", "")
			it.Product = it.ID
			off := it
			off.ID, off.Sort, off.Percent, off.Amount = fmt.Sprintf("d%05d", i), compute.Discount, compute.Percent{Num: -10, Den: 1}, money.Rate{}
			in.Items = append(in.Items, it, off)
		}
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			if n := len(mustMake(b, in).Lines); n != 4*size {
				b.Fatalf("%d lines", n)
			}
			make7(b, in)
		})
	}
}

func make7(b *testing.B, in *compute.Input) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := compute.Make(in); err != nil {
			b.Fatal(err)
		}
	}
}
