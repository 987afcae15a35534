package compute_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tandem/bss/billing/compute"
	"tandem/kit/civil"
	"tandem/kit/money"
)

var update = flag.Bool("update", false, "write the golden bills anew")

// A scene is an account billed month after month, as it is known at each bill.
type scene struct {
	name  string
	bills int
	known func(n int, in *compute.Input)
}

// C6 and C16: what is charged in advance and in arrears, whole and in part, on one bill.
var scenes = []scene{
	{"joins-upgrades-leaves", 5, func(n int, in *compute.Input) {
		small, roaming := plan("small", "20.00", "2026-01-17", ""), plan("roaming", "6.20", "2026-01-17", "")
		roaming.Timing = compute.Arrears
		fee := plan("activation", "29.90", "2026-01-17", "2026-01-17")
		fee.Sort = compute.OneTime
		in.Items = []compute.Item{fee, small, roaming}
		in.Usage = []compute.UsageSum{calls(n, 61, "1.234567", "0")}
		if n >= 2 { // on 10 March, heard before the bill of that month
			in.Items[1].Span.To, in.Items[1].Revision = noon("2026-03-10"), 2
			in.Items = append(in.Items, plan("large", "40.00", "2026-03-10", ""))
		}
		if n >= 3 { // the end of all on 3 April; calls of March come late
			for i := 1; i < len(in.Items); i++ {
				if in.Items[i].Span.Open() {
					in.Items[i].Span.To, in.Items[i].Revision = noon("2026-04-03"), 2
				}
			}
			in.Usage = []compute.UsageSum{calls(2, 10, "0.303", "1.234567")}
		}
		if n == 4 {
			in.Usage = nil
		}
	}},
	{"consumer-prices-with-tax", 8, func(n int, in *compute.Input) {
		line := plan("line", "29.99", "2026-01-01", "")
		line.TaxIncluded, line.Resting = true, &money.Rate{Currency: money.EUR}
		if n >= 4 { // suspended from 20 May to 5 June, the resumption heard a month late
			line.Suspended, line.Revision = []civil.Span{{From: noon("2026-05-20")}}, 2
		}
		if n >= 6 {
			line.Suspended, line.Revision = []civil.Span{{From: noon("2026-05-20"), To: noon("2026-06-05")}}, 3
		}
		book := plan("e-books", "4.99", "2026-02-11", "")
		book.TaxIncluded, book.TaxCategory, book.Timing = true, "reduced", compute.Arrears
		off := plan("half price for three months", "0", "2026-01-01", "")
		off.Sort, off.Percent, off.Periods, off.Alters, off.Amount = compute.Discount, compute.Percent{Num: -50, Den: 1}, 3, []string{"p-line"}, money.Rate{}
		in.Items = []compute.Item{line, book, off}
	}},
	{"enterprise-commitment-and-reverse-charge", 4, func(n int, in *compute.Input) {
		for i, site := range []string{"2026-01-10", "2026-01-10", "2026-02-15"} {
			it := plan(fmt.Sprint("site ", i+1), "90.00", site, "")
			it.Product, it.Quantity = fmt.Sprint("site", i+1), int64(i+1)
			in.Items = append(in.Items, it)
		}
		off := plan("ten off all, at most 25", "0", "2026-01-10", "")
		off.Sort, off.AllOf, off.Percent, off.Cap, off.WithUsage, off.Amount = compute.Discount, true, compute.Percent{Num: -10, Den: 1}, eur("25"), true, money.Rate{}
		floor := plan("commitment", "500.00", "2026-01-10", "")
		floor.Sort, floor.AllOf, floor.WithUsage = compute.Commitment, true, true
		in.Items = append(in.Items, off, floor)
		for k := range n + 1 {
			u := calls(k, 0, "0", "80.005")
			if k == n {
				u = calls(n, 4000, "80.005", "0")
			}
			in.Usage = append(in.Usage, u)
		}
		if n >= 2 { // the buyer's VAT id is checked in March: corrections keep the tax they had
			in.Exempted = []compute.Exemption{{Category: "reverse", Period: civil.Period{From: mustDate("2026-03-01")}}}
			in.Items[0].Span.To, in.Items[0].Revision = noon("2026-02-21"), 2
		}
	}},
	{"credit-carried-forward", 3, func(n int, in *compute.Input) {
		in.Minimum = 500
		in.Items = []compute.Item{plan("a", "100.00", "2026-01-01", "")}
		if n >= 1 {
			in.Items[0].Span.To, in.Items[0].Revision = noon("2026-01-30"), 2
		}
		if n >= 2 {
			in.Items = append(in.Items, plan("b", "3.00", "2026-03-02", "2026-03-20"))
		}
	}},
}

// calls are those of a month.
func calls(n int, records int64, amount, before string) compute.UsageSum {
	return compute.UsageSum{Key: fmt.Sprint("calls/", n), Product: "line", Name: "Calls", Class: "voice.national", Quantity: records * 60, Unit: "seconds",
		Records: records, Amount: eur(amount), Before: eur(before), Period: mustPeriod(monthly, n), TaxCategory: "standard", Revenue: "4100"}
}

func TestGoldenBills(t *testing.T) {
	for _, s := range scenes {
		t.Run(s.name, func(t *testing.T) {
			var out strings.Builder
			var rows []compute.Billed
			for n := range s.bills {
				in := account(n)
				s.known(n, in)
				in.Billed = rows
				b := mustMake(t, in)
				if err := rulesOfTotals(in, b); err != nil {
					t.Error(err)
				}
				if !b.Waits {
					rows = append(rows, kept(in, b, fmt.Sprint("bill ", n))...)
				}
				write(&out, b)
			}
			path := filepath.Join("testdata", s.name+".txt")
			if *update {
				if err := os.WriteFile(path, []byte(out.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil || string(want) != out.String() {
				t.Errorf("the bills are not those of %s (%v):\n%s", path, err, out.String())
			}
		})
	}
}

// write prints a bill as people read one.
func write(out *strings.Builder, b *compute.Bill) {
	fmt.Fprintf(out, "%v, for %v", b.Date, b.Period)
	if b.Waits {
		out.WriteString(", waits")
	}
	out.WriteString("\n")
	for _, l := range b.Lines {
		fmt.Fprintf(out, "  %-28s %v", l.Name, l.Service)
		if l.Sort == compute.Recurring || l.Sort == compute.Commitment {
			fmt.Fprintf(out, " %2d of %2d days", l.Portion.Num(), l.Portion.Of)
			if l.Rested > 0 {
				fmt.Fprintf(out, ", rested %d", l.Rested)
			}
		}
		if l.Sort == compute.Discount || l.Sort == compute.Commitment {
			fmt.Fprintf(out, " of %s", cents(l.Base))
		}
		if l.Quantity > 1 {
			fmt.Fprintf(out, " x %d", l.Quantity)
		}
		fmt.Fprintf(out, "  %s", cents(l.Amount))
		if l.Before != 0 || l.Number > 0 {
			fmt.Fprintf(out, " (%s less %s)", cents(l.Wanted), cents(l.Before))
		}
		if l.Corrects != "" {
			fmt.Fprintf(out, " corrects %s", l.Corrects)
		}
		with := "net"
		if l.TaxIncluded {
			with = "with tax, net " + cents(l.Net)
		}
		fmt.Fprintf(out, "  %s %s on %v, %s\n", l.TaxCode, percent(l.TaxPercent), l.TaxPoint, with)
	}
	for _, s := range b.Taxes {
		fmt.Fprintf(out, "  tax %s %s %s of %s = %s\n", s.Code, percent(s.Percent), s.Reason, cents(s.Net), cents(s.Tax))
	}
	fmt.Fprintf(out, "  net %s + tax %s = %s\n\n", cents(b.Net), cents(b.Tax), cents(b.Gross))
}

func cents(n int64) string { return money.Amount{Minor: n, Currency: money.EUR}.Decimal() }

func percent(p compute.Percent) string {
	if p.Den == 1 {
		return fmt.Sprint(p.Num, "%")
	}
	return fmt.Sprintf("%d/%d%%", p.Num, p.Den)
}

// C9 in part: usage that comes late costs what it would have cost in time.
func TestLateUsageIsChargedToItsPeriodAtItsRateAndAddsUp(t *testing.T) {
	in := account(0)
	in.Usage = []compute.UsageSum{calls(0, 1, "0.004", "0")}
	if b := mustMake(t, in); len(b.Lines) != 1 || b.Net != 0 {
		t.Errorf("%+v", b)
	}
	in.Index = 6 // 16 % since July, but these were made in January
	in.Usage = []compute.UsageSum{calls(0, 1, "0.004", "0.004"), calls(6, 1, "1.00", "0")}
	b := mustMake(t, in)
	if len(b.Lines) != 2 || b.Lines[0].Amount != 1 || b.Lines[0].TaxPercent.Num != 19 || b.Lines[1].TaxPercent.Num != 16 || len(b.Taxes) != 2 {
		t.Errorf("%+v", b)
	}
	if b.Lines[0].Service.To != mustDate("2026-02-01") || b.Lines[0].TaxPoint != mustDate("2026-01-31") {
		t.Errorf("%+v", b.Lines[0])
	}
}

// A second run, and a run of an account on which nothing has changed, finds nothing to do
// whatever is missing of the rows that are not needed.
func TestAnUnchangedItemIsOnlyLookedAtFromItsNextPeriod(t *testing.T) {
	in := account(6, plan("a", "31.00", "2026-01-15", ""))
	in.Billed = []compute.Billed{{Item: "a", Index: 6, Net: 1, Version: 1, Revision: 1}}
	b := mustMake(t, in)
	if len(b.Lines) != 1 || b.Lines[0].Index != 7 {
		t.Fatalf("%+v", b.Lines)
	}
	in.Items[0].Revision = 2
	if b = mustMake(t, in); len(b.Lines) != 8 || b.Lines[6].Amount != 3099 {
		t.Fatalf("%+v", b.Lines)
	}
}

// A credit note may take a period back to be charged again.
func TestAPeriodThatWasTakenBackIsChargedAgain(t *testing.T) {
	in := account(2, plan("a", "31.00", "2026-01-01", ""))
	in.Billed = kept(in, mustMake(t, in), "bill 2")
	in.Billed = append(in.Billed, compute.Billed{Item: "a", Index: 1, Net: -3100, Version: 2, TaxCategory: "standard", TaxRate: compute.Percent{Num: 19, Den: 1}, Bill: "credit"})
	b := mustMake(t, in)
	if len(b.Lines) != 1 || b.Lines[0].Index != 1 || b.Lines[0].Amount != 3100 || b.Lines[0].Number != 2 {
		t.Errorf("%+v", b.Lines)
	}
	in.Billed = append(in.Billed, kept(in, b, "bill 3")...)
	if b = mustMake(t, in); len(b.Lines) != 0 {
		t.Errorf("and again: %+v", b.Lines)
	}
}

// A charge that is in arrears from now on has been billed in advance: it stays due, and so
// does its discount.
func TestWhatWasBilledOnceStaysDue(t *testing.T) {
	off := plan("off", "0", "2026-01-01", "")
	off.Sort, off.Percent, off.Amount = compute.Discount, compute.Percent{Num: -10, Den: 1}, money.Rate{}
	in := account(0, plan("a", "31.00", "2026-01-01", ""), off)
	in.Billed = kept(in, mustMake(t, in), "bill 0")
	in.Items[0].Timing, in.Items[0].Revision = compute.Arrears, 2
	if b := mustMake(t, in); len(b.Lines) != 0 {
		t.Errorf("%+v", b.Lines)
	}
	in.Index = 1 // February was billed, March is not due
	if b := mustMake(t, in); len(b.Lines) != 0 {
		t.Errorf("%+v", b.Lines)
	}
	in.Index = 2
	if b := mustMake(t, in); len(b.Lines) != 2 || b.Net != 2790 {
		t.Errorf("%+v", b.Lines)
	}
}

// A discount that was an error, and one whose target has gone, are charged back whole.
func TestADiscountThatNoLongerHoldsIsChargedBack(t *testing.T) {
	off := plan("off", "0", "2026-01-01", "")
	off.Sort, off.Percent, off.Amount = compute.Discount, compute.Percent{Num: -10, Den: 1}, money.Rate{}
	for name, change := range map[string]func(in *compute.Input){
		"begins later":  func(in *compute.Input) { in.Items[1].Span.From, in.Items[1].Revision = noon("2026-07-01"), 2 },
		"other product": func(in *compute.Input) { in.Items[1].Product, in.Items[1].Revision = "other", 2 },
		"target gone":   func(in *compute.Input) { in.Items[0].Span.To, in.Items[0].Revision = in.Items[0].Span.From, 2 },
	} {
		in := account(0, plan("a", "100.00", "2026-01-01", ""), off)
		in.Billed = kept(in, mustMake(t, in), "bill 0")
		in.Index = 1
		in.Items[0].Span.To = noon("2026-03-01")
		change(in)
		var back int64
		for _, l := range mustMake(t, in).Lines {
			if l.Sort == compute.Discount {
				back += l.Amount
			}
		}
		if back != 2000 {
			t.Errorf("%s: %d charged back", name, back)
		}
	}
}

// The time of day at which something happened does not matter, nor the server's zone.
func TestABillIsTheSameFromAnyZoneOfTheServer(t *testing.T) {
	in := account(0, plan("a", "31.00", "2026-01-15", "2026-01-20"))
	want := mustMake(t, in)
	in.Items[0].Span.From = in.Items[0].Span.From.In(mustZone("Pacific/Kiritimati"))
	in.Items[0].Span.To = in.Items[0].Span.To.In(time.FixedZone("", -3600))
	if got := mustMake(t, in); got.Lines[0].Service != want.Lines[0].Service || got.Gross != want.Gross {
		t.Errorf("%+v", got)
	}
}
