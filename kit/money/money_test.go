package money

import (
	"errors"
	"fmt"
	"math"
	"testing"
)

func TestEveryRoundingModeAtEveryKindOfResidue(t *testing.T) {
	// columns: the value in tenths of a cent, rounded to cents
	tenths := []int64{21, 25, 29, 35, -21, -25, -29, -35, 20}
	tests := []struct {
		mode Rounding
		want []int64
	}{
		{HalfUp, []int64{2, 3, 3, 4, -2, -3, -3, -4, 2}},
		{HalfEven, []int64{2, 2, 3, 4, -2, -2, -3, -4, 2}},
		{HalfDown, []int64{2, 2, 3, 3, -2, -2, -3, -3, 2}},
		{Up, []int64{3, 3, 3, 4, -3, -3, -3, -4, 2}},
		{Down, []int64{2, 2, 2, 3, -2, -2, -2, -3, 2}},
		{Ceiling, []int64{3, 3, 3, 4, -2, -2, -2, -3, 2}},
		{Floor, []int64{2, 2, 2, 3, -3, -3, -3, -4, 2}},
	}
	for _, tt := range tests {
		t.Run(tt.mode.String(), func(t *testing.T) {
			for i, n := range tenths {
				got, err := Rate{n * 1_000_000, EUR}.Post(tt.mode)
				if err != nil || got.Minor != tt.want[i] {
					t.Errorf("%d tenths -> %v, %v; want %d", n, got, err, tt.want[i])
				}
			}
		})
	}
}

func TestAModeNobodyNamedIsRefusedEvenWhenNothingIsLost(t *testing.T) {
	for _, mode := range []Rounding{0, Floor + 1} {
		if _, err := (Rate{1_000_000_000, EUR}).Post(mode); !errors.Is(err, ErrRounding) {
			t.Errorf("Post(%v): %v", mode, err)
		}
		if _, err := MulDiv(4, 1, 2, mode); !errors.Is(err, ErrRounding) {
			t.Errorf("MulDiv(%v): %v", mode, err)
		}
		if _, err := NewTally(EUR).Post(mode); !errors.Is(err, ErrRounding) {
			t.Errorf("Tally.Post(%v): %v", mode, err)
		}
		if _, err := mode.MarshalText(); !errors.Is(err, ErrRounding) {
			t.Errorf("MarshalText(%v): %v", mode, err)
		}
	}
	for _, mode := range allModes {
		text, err := mode.MarshalText()
		var back Rounding
		if err != nil || back.UnmarshalText(text) != nil || back != mode {
			t.Errorf("%v came back as %v, %v", mode, back, err)
		}
	}
	if _, err := ParseRounding("bankers"); !errors.Is(err, ErrRounding) {
		t.Errorf("unknown name: %v", err)
	}
}

func TestOneRoundingIsNotTwo(t *testing.T) {
	// 0.0149999999996 EUR: to nano first it becomes 0.015 and then 2 cents, which is wrong.
	price := Rate{149_999_999_996, EUR}
	twice, err := price.MulRat(1, 10_000, HalfUp)
	if err != nil {
		t.Fatal(err)
	}
	wrong, _ := twice.Post(HalfUp)
	right, err := price.PostRat(1, 10_000, HalfUp)
	if err != nil || right.Minor != 1 || wrong.Minor != 2 {
		t.Errorf("PostRat = %v, %v (want 0.01); MulRat then Post = %v (want 0.02)", right, err, wrong)
	}
}

func TestADigitFarBelowHalfACentStillBreaksTheTie(t *testing.T) {
	// 0.015000001 / 3 is half a cent and a third of a nano: no tie.
	for _, mode := range []Rounding{HalfEven, HalfDown} {
		if got, err := (Rate{15_000_001, EUR}).PostRat(1, 3, mode); err != nil || got.Minor != 1 {
			t.Errorf("%v: %v, %v", mode, got, err)
		}
		if got, err := (Rate{15_000_000, EUR}).PostRat(1, 3, mode); err != nil || got.Minor != 0 {
			t.Errorf("%v of the tie: %v, %v", mode, got, err)
		}
	}
}

func TestErrorsNameWhatWentWrong(t *testing.T) {
	huge, hugeRate := Amount{math.MaxInt64, EUR}, Rate{math.MaxInt64, EUR}
	low := Amount{math.MinInt64, EUR}
	one, dollar := Amount{1, EUR}, Amount{1, USD}
	none := Amount{Minor: 1}
	tests := []struct {
		rule string
		run  func() error
		want error
	}{
		{"add of two currencies", func() error { _, err := one.Add(dollar); return err }, ErrMismatch},
		{"sub of two currencies", func() error { _, err := one.Sub(dollar); return err }, ErrMismatch},
		{"compare of two currencies", func() error { _, err := one.Cmp(dollar); return err }, ErrMismatch},
		{"rate add of two currencies", func() error { _, err := Rate{1, EUR}.Add(Rate{1, USD}); return err }, ErrMismatch},
		{"rate sub of two currencies", func() error { _, err := Rate{1, EUR}.Sub(Rate{1, USD}); return err }, ErrMismatch},
		{"rate compare of two currencies", func() error { _, err := Rate{1, EUR}.Cmp(Rate{1, USD}); return err }, ErrMismatch},
		{"tally of two currencies", func() error { u := NewTally(EUR); return u.Add(Rate{1, USD}) }, ErrMismatch},
		{"tally takes off another currency", func() error { u := NewTally(EUR); return u.Sub(Rate{1, USD}) }, ErrMismatch},
		{"sum of two currencies", func() error { _, err := Sum(EUR, one, dollar); return err }, ErrMismatch},
		{"none plus none", func() error { _, err := none.Add(none); return err }, ErrCurrency},
		{"none allocated", func() error { _, err := none.Allocate(1); return err }, ErrCurrency},
		{"none as rate", func() error { _, err := none.Rate(); return err }, ErrCurrency},
		{"rate of none posted", func() error { _, err := Rate{Nano: 1}.Post(HalfUp); return err }, ErrCurrency},
		{"rate of none allocated", func() error { _, err := Rate{Nano: 1}.Allocate(1); return err }, ErrCurrency},
		{"tally of none posted", func() error { _, err := NewTally(Currency{}).Post(HalfUp); return err }, ErrCurrency},
		{"largest plus one", func() error { _, err := huge.Add(one); return err }, ErrOverflow},
		{"smallest minus one", func() error { _, err := low.Sub(one); return err }, ErrOverflow},
		{"smallest negated", func() error { _, err := low.Neg(); return err }, ErrOverflow},
		{"largest doubled", func() error { _, err := huge.Mul(2); return err }, ErrOverflow},
		{"largest by ratio", func() error { _, err := huge.MulRat(3, 2, HalfUp); return err }, ErrOverflow},
		{"quotient of exactly 2^64", func() error { _, err := MulDiv(1<<62, 4, 1, Down); return err }, ErrOverflow},
		{"largest as rate", func() error { _, err := huge.Rate(); return err }, ErrOverflow},
		{"rounding up past the largest", func() error { _, err := huge.RoundTo(5, Up); return err }, ErrOverflow},
		{"rate by huge ratio", func() error { _, err := hugeRate.PostRat(math.MaxInt64, 1, HalfUp); return err }, ErrOverflow},
		{"ratio with zero denominator", func() error { _, err := one.MulRat(1, 0, HalfUp); return err }, ErrDivide},
		{"rate ratio with zero denominator", func() error { _, err := hugeRate.PostRat(1, 0, HalfUp); return err }, ErrDivide},
		{"round to nothing", func() error { _, err := one.RoundTo(0, HalfUp); return err }, ErrShare},
		{"no weights", func() error { _, err := one.Allocate(); return err }, ErrShare},
		{"all weights zero", func() error { _, err := one.Allocate(0, 0); return err }, ErrShare},
		{"negative weight", func() error { _, err := one.Allocate(2, -1); return err }, ErrShare},
		{"weights beyond 64 bits", func() error {
			_, err := one.Allocate(math.MaxInt64, math.MaxInt64, math.MaxInt64)
			return err
		}, ErrOverflow},
		{"slice past the end", func() error { _, err := one.Slice(0, 32, 31, HalfUp); return err }, ErrShare},
		{"slice backwards", func() error { _, err := one.Slice(5, 4, 31, HalfUp); return err }, ErrShare},
		{"slice of nothing", func() error { _, err := one.Slice(0, 0, 0, HalfUp); return err }, ErrShare},
	}
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			if err := tt.run(); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}

func TestAllocateGivesTheOddCentsToTheLargestRemainders(t *testing.T) {
	tests := []struct {
		rule    string
		total   int64
		weights []int64
		want    []int64
	}{
		{"a euro in three: the first gets the cent", 100, []int64{1, 1, 1}, []int64{34, 33, 33}},
		{"minus a euro mirrors it", -100, []int64{1, 1, 1}, []int64{-34, -33, -33}},
		{"largest remainder, not first", 100, []int64{1, 1, 4}, []int64{17, 17, 66}},
		{"zero weight gets nothing", 100, []int64{0, 3, 0, 4}, []int64{0, 43, 0, 57}},
		{"fewer cents than parts", 2, []int64{1, 1, 1, 1}, []int64{1, 1, 0, 0}},
		{"nothing to split", 0, []int64{2, 1}, []int64{0, 0}},
		{"smallest int64", math.MinInt64, []int64{1}, []int64{math.MinInt64}},
	}
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			parts, err := Amount{tt.total, EUR}.Allocate(tt.weights...)
			if err != nil {
				t.Fatal(err)
			}
			rates, err := Rate{tt.total, EUR}.Allocate(tt.weights...)
			if err != nil {
				t.Fatal(err)
			}
			for i, want := range tt.want {
				if parts[i] != (Amount{want, EUR}) || rates[i] != (Rate{want, EUR}) {
					t.Errorf("part %d = %v, %v; want %d", i, parts[i], rates[i], want)
				}
			}
		})
	}
}

func TestSmallOperations(t *testing.T) {
	check := func(rule string, got fmt.Stringer, err error, want string) {
		t.Helper()
		if err != nil || got.String() != want {
			t.Errorf("%s = %v, %v; want %s", rule, got, err, want)
		}
	}
	a, err := Amount{1003, CHF}.RoundTo(5, HalfUp)
	check("Swiss cash rounding", a, err, "10.05 CHF")
	a, err = Amount{1002, CHF}.RoundTo(5, HalfUp)
	check("Swiss cash rounding down", a, err, "10.00 CHF")
	a, err = Amount{1999, EUR}.MulRat(100, 119, HalfUp)
	check("net of 19 % gross", a, err, "16.80 EUR")
	a, err = Amount{3100, EUR}.Slice(10, 20, 31, HalfUp)
	check("ten of 31 days", a, err, "10.00 EUR")
	a, err = Sum(EUR)
	check("empty sum", a, err, "0.00 EUR")
	a, err = Sum(EUR, Amount{1, EUR}, Amount{2, EUR})
	check("sum", a, err, "0.03 EUR")
	r, err := Amount{-1234, EUR}.Rate()
	check("amount as rate", r, err, "-12.34 EUR")
	r, err = Rate{100_000_000, EUR}.MulRat(1<<29, 1<<30, HalfUp)
	check("half a GiB at 0.10 per GiB", r, err, "0.05 EUR")

	if c, err := (Amount{1, EUR}).Cmp(Amount{2, EUR}); c != -1 || err != nil {
		t.Errorf("1 < 2: %d, %v", c, err)
	}
	if c, err := (Rate{2, EUR}).Cmp(Rate{1, EUR}); c != 1 || err != nil {
		t.Errorf("2 > 1: %d, %v", c, err)
	}
	if (Amount{-1, EUR}).Sign() != -1 || (Rate{0, EUR}).Sign() != 0 {
		t.Error("Sign")
	}
}

func TestRateOfCarriesDiameterMoneyExactly(t *testing.T) {
	tests := []struct {
		rule     string
		value    int64
		exponent int32
		want     int64
		err      error
	}{
		{"cents", 1234, -2, 12_340_000_000, nil},
		{"thousands", 5, 3, 5_000_000_000_000, nil},
		{"nine digits", 1, -9, 1, nil},
		{"twelve digits that end in zeros", 5000, -12, 5, nil},
		{"ten digits", 1, -10, 0, ErrPrecision},
		{"zero with any exponent", 0, math.MinInt32, 0, nil},
		{"zero with a huge exponent", 0, math.MaxInt32, 0, nil},
		{"too large", 1, 10, 0, ErrOverflow},
		{"absurd exponent", 1, math.MaxInt32, 0, ErrOverflow},
		{"absurd negative exponent", 1, math.MinInt32, 0, ErrPrecision},
	}
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			got, err := RateOf(tt.value, tt.exponent, EUR)
			if !errors.Is(err, tt.err) || got.Nano != tt.want {
				t.Errorf("got %v, %v", got, err)
			}
		})
	}
	if _, err := RateOf(1, 0, Currency{}); !errors.Is(err, ErrCurrency) {
		t.Errorf("without currency: %v", err)
	}
}

func TestTallyOfAMonthInAWeakCurrency(t *testing.T) {
	vnd := mustCurrency("VND")
	tally := NewTally(vnd)
	for range 1000 {
		if err := tally.Add(Rate{9_000_000_000_500_000_000, vnd}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := tally.Rate(); !errors.Is(err, ErrOverflow) {
		t.Errorf("9e12 dong as a rate: %v", err)
	}
	if got, err := tally.Post(HalfUp); err != nil || got.Minor != 9_000_000_000_500 {
		t.Errorf("posted %v, %v", got, err)
	}
}

func BenchmarkChargeAndPost(b *testing.B) {
	price, octets := Rate{100_000_000, EUR}, int64(123_456_789)
	for b.Loop() {
		if _, err := price.PostRat(octets, 1<<30, HalfUp); err != nil {
			b.Fatal(err)
		}
	}
}
