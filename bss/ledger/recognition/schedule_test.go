package recognition

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"tandem/kit/civil"
	"tandem/kit/money"
)

func date(y int, m time.Month, d int) civil.Date { return civil.Date{Year: y, Month: m, Day: d} }

func eur(minor int64) money.Amount { return money.Amount{Minor: minor, Currency: money.EUR} }

func ok(t interface {
	Helper()
	Fatal(...any)
}, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

var (
	begin = date(2026, 1, 1)
	july  = date(2026, 7, 1) // month 7
	ends  = date(2028, 1, 1)
)

// subsidised is a handset of 600.00 for 200.00 with 24 months of service at 60.00.
func subsidised() (money.Amount, []Obligation) {
	return eur(24*6000 + 20000), []Obligation{
		{ID: "handset", Name: "Handset", SellingPrice: 60000, Over: civil.Period{From: begin}, Revenue: "4410"},
		{ID: "service", Name: "Service", SellingPrice: 144000, Over: civil.Period{From: begin, To: ends}, Revenue: "4400"}}
}

// recognised are the amounts of some months, from one on, of the obligations.
func recognised(t testing.TB, s Schedule, from civil.Date, n int, obligations ...string) (out [][]int64) {
	t.Helper()
	last, err := s.Before(from)
	ok(t, err)
	for i := range n {
		now, err := s.Before(from.AddMonths(i + 1))
		ok(t, err)
		var row []int64
		for _, o := range obligations {
			row = append(row, now[o]-last[o])
		}
		out, last = append(out, row), now
	}
	return out
}

func same(t *testing.T, what string, got, want [][]int64) {
	t.Helper()
	if !slices.EqualFunc(got, want, slices.Equal) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

// TestASubsidisedHandset is the case of the standard's readers, by hand (amounts in cents):
//
//	price     24 x 6000 + 20000                    = 164000
//	handset   164000 x  60000/204000 = 48235.29    =  48235
//	service   164000 x 144000/204000 = 115764.71   = 115765    4823.54 a month
//	month 1   recognised 48235 + 4824 = 53059, billed 20000 + 6000: contract asset 27059
//	          of which the handset 28235, less what the service is billed above 4824: 1176
func TestASubsidisedHandset(t *testing.T) {
	price, all := subsidised()
	s, err := Plan(price, all)
	ok(t, err)
	if s[0].Amount != 48235 || s[1].Amount != 115765 {
		t.Fatalf("allocated %d to the handset, %d to the service", s[0].Amount, s[1].Amount)
	}
	same(t, "months 1 to 6", recognised(t, s, begin, 6, "handset", "service"),
		[][]int64{{48235, 4824}, {0, 4823}, {0, 4824}, {0, 4823}, {0, 4824}, {0, 4823}})
	last, err := s.Before(ends)
	ok(t, err)
	if last["handset"] != 48235 || last["service"] != 115765 || s.End() != ends {
		t.Errorf("at the end %v, on %s", last, s.End())
	}
}

// TestAChangeOfPlanInMonthSeven: from 1 July the customer pays 45.00 a month, and an option
// for 10.00, of which the service costs 50.00 and the option 12.00 on its own.
//
//	price       164000 - 18 x 1500 + 18 x 1000               = 155000
//	recognised  48235 + 28941 (six months)                   =  77176
//	left                                                     =  77824
//	service     77824 x  90000/111600 = 62761.29   =  62761    3486.72 a month
//	option      77824 x  21600/111600 = 15062.71   =  15063     836.83 a month
func TestAChangeOfPlanInMonthSeven(t *testing.T) {
	price, all := subsidised()
	s, err := Plan(price, all)
	ok(t, err)
	all[1].SellingPrice = 24 * 5000
	all = append(all, Obligation{ID: "option", SellingPrice: 18 * 1200, Over: civil.Period{From: july, To: ends}, Revenue: "4420"})
	s, err = s.Prospective(july, eur(155000), all)
	ok(t, err)
	same(t, "months 6 to 8", recognised(t, s, date(2026, 6, 1), 3, "handset", "service", "option"), [][]int64{{0, 4823, 0}, {0, 3487, 837}, {0, 3486, 837}})
	last, err := s.Before(ends)
	ok(t, err)
	if last["handset"] != 48235 || last["service"] != 28941+62761 || last["option"] != 15063 || s.Price() != 155000 {
		t.Errorf("at the end %v of %d", last, s.Price())
	}
}

// TestARebateForTheWholeContract: in month 7 the price is lowered by 48.00, as if it had
// always been so.
//
//	handset  159200 x  60000/204000 = 46823.53   =  46824    -1411 on 1 July
//	service  159200 x 144000/204000 = 112376.47  = 112376    six months 28094, -847 on 1 July
//	left     84282 in 18 months                              4682.33 a month
func TestARebateForTheWholeContract(t *testing.T) {
	price, all := subsidised()
	s, err := Plan(price, all)
	ok(t, err)
	s, err = s.CatchUp(july, eur(159200), all)
	ok(t, err)
	same(t, "months 6 to 8", recognised(t, s, date(2026, 6, 1), 3, "handset", "service"), [][]int64{{0, 4823}, {-1411, 4682 - 847}, {0, 4683}})
	if s.Price() != 159200 {
		t.Errorf("the price is %d", s.Price())
	}
}

// TestAnEarlyEnd: after ten months the customer leaves and pays half of what is left.
//
//	recognised  48235 + 115765 x 10/24 = 48235.42              = 96470
//	billed      20000 + 10 x 6000 = 80000, fee 14 x 3000 42000 = 122000
//	settled                                                      25530
func TestAnEarlyEnd(t *testing.T) {
	price, all := subsidised()
	s, err := Plan(price, all)
	ok(t, err)
	november := date(2026, 11, 1)
	s, err = s.cut(november)
	ok(t, err)
	if s.Price() != 96470 || s.End() != november {
		t.Fatalf("cut to %d, %s", s.Price(), s.End())
	}
	s = s.Settled(date(2027, 1, 1), 122000, "service")
	same(t, "November to January", recognised(t, s, november, 3, "handset", "service"), [][]int64{{0, 0}, {0, 0}, {0, 25530}})
}

// TestSchedulesAddUp changes random contracts at random: whatever happens the slices come to
// the price, what was recognised before a change stays, and at the end all is recognised.
func TestSchedulesAddUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		amount := rapid.Int64Range(0, 5_000_00)
		drawn := func(name string, from civil.Date) Obligation {
			o := Obligation{ID: name, SellingPrice: amount.Draw(t, "selling price"), Over: civil.Period{From: from}}
			if rapid.Bool().Draw(t, "over time") {
				o.Over.To = from.AddDays(rapid.IntRange(1, 900).Draw(t, "days"))
			}
			return o
		}
		var all []Obligation
		for i := range rapid.IntRange(1, 4).Draw(t, "obligations") {
			all = append(all, drawn(fmt.Sprint("o", i), begin.AddDays(rapid.IntRange(0, 60).Draw(t, "later"))))
		}
		all[0].SellingPrice++
		price := eur(rapid.Int64Range(0, 10_000_00).Draw(t, "price"))
		s, err := Plan(price, all)
		ok(t, err)
		on := begin
		for i := range rapid.IntRange(0, 3).Draw(t, "changes") {
			on = on.AddDays(rapid.IntRange(0, 200).Draw(t, "days on"))
			price.Minor += rapid.Int64Range(-1000_00, 1000_00).Draw(t, "more")
			more := drawn(fmt.Sprint("new", i), on)
			more.SellingPrice++
			all = append(all, more)
			before, err := s.Before(on)
			ok(t, err)
			next, err := s.Prospective(on, price, all)
			if rapid.Bool().Draw(t, "catch-up") {
				next, err = s.CatchUp(on, price, all)
			}
			ok(t, err)
			after, err := next.Before(on)
			ok(t, err)
			for o, n := range before {
				if after[o] != n {
					t.Fatalf("a change on %s recognised %d of %s before it, not %d", on, after[o], o, n)
				}
			}
			s = next
		}
		if s.Price() != price.Minor {
			t.Fatalf("the slices come to %d, the price is %d", s.Price(), price.Minor)
		}
		if rapid.Bool().Draw(t, "ends early") {
			on = on.AddDays(rapid.IntRange(0, 400).Draw(t, "until"))
			s, err = s.cut(on)
			ok(t, err)
			s = s.Settled(on.AddMonths(2), price.Minor, all[0].ID)
		}
		var sum int64
		last := map[string]int64{}
		for month := begin; !month.After(s.End().AddMonths(1)); month = month.AddMonths(1) {
			now, err := s.Before(month)
			ok(t, err)
			for o, n := range now {
				sum += n - last[o]
			}
			last = now
		}
		if sum != price.Minor {
			t.Fatalf("recognised month by month %d, the price is %d", sum, price.Minor)
		}
	})
}
