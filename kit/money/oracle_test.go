package money

import (
	"math/big"
	"testing"

	"pgregory.net/rapid"
)

// The oracle works on big.Rat: exact fractions, rounded by the definition of each
// mode and by nothing that the package itself uses.

var allModes = []Rounding{HalfUp, HalfEven, HalfDown, Up, Down, Ceiling, Floor}

// oracleRound rounds an exact fraction to a whole number.
func oracleRound(x *big.Rat, r Rounding) *big.Int {
	floor := new(big.Int)
	floor.Div(x.Num(), x.Denom()) // Euclidean; the denominator is positive, so this is floor
	rest := new(big.Rat).Sub(x, new(big.Rat).SetInt(floor))
	ceiling := new(big.Int).Set(floor)
	if rest.Sign() != 0 {
		ceiling.Add(ceiling, big.NewInt(1))
	}
	toward, away := floor, ceiling
	if x.Sign() < 0 {
		toward, away = ceiling, floor
	}
	half := rest.Cmp(big.NewRat(1, 2))
	nearest := floor
	if half > 0 {
		nearest = ceiling
	}
	switch r {
	case Floor:
		return floor
	case Ceiling:
		return ceiling
	case Down:
		return toward
	case Up:
		return away
	}
	if half != 0 {
		return nearest
	}
	switch {
	case r == HalfUp:
		return away
	case r == HalfDown:
		return toward
	case floor.Bit(0) == 0:
		return floor
	}
	return ceiling
}

// agree checks a result against the oracle: equal when it fits, ErrOverflow when not.
func agree(t *rapid.T, what string, got int64, err error, want *big.Int) {
	t.Helper()
	if !want.IsInt64() {
		if err == nil {
			t.Fatalf("%s = %d, want overflow of %s", what, got, want)
		}
		return
	}
	if err != nil || got != want.Int64() {
		t.Fatalf("%s = %d, %v; want %s", what, got, err, want)
	}
}

// anyInt draws int64 with many small, many huge and many round values: ties and
// overflows have to be common, not lucky.
func anyInt() *rapid.Generator[int64] {
	return rapid.OneOf(
		rapid.Int64Range(-20, 20),
		rapid.Int64(),
		rapid.Map(rapid.Int64Range(-9_000, 9_000), func(n int64) int64 { return n * 5_000_000 }),
		rapid.SampledFrom([]int64{-1 << 63, -1<<63 + 1, 1<<63 - 1, 1<<63 - 2, 1 << 62, 1 << 32}),
	)
}

func anyCurrency() *rapid.Generator[Currency] {
	return rapid.Map(rapid.SampledFrom([]string{"EUR", "USD", "JPY", "VND", "KWD", "TND", "CLF", "UYW", "XCG"}), mustCurrency)
}

func TestMulDivEqualsTheExactFractionRoundedOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := anyInt().Draw(t, "a"), anyInt().Draw(t, "b"), anyInt().Draw(t, "c")
		r := rapid.SampledFrom(allModes).Draw(t, "mode")
		if c == 0 {
			t.Skip("tested by table")
		}
		got, err := MulDiv(a, b, c, r)
		x := new(big.Rat).SetFrac(new(big.Int).Mul(big.NewInt(a), big.NewInt(b)), big.NewInt(c))
		agree(t, "MulDiv", got, err, oracleRound(x, r))
	})
}

func TestPostRatRoundsTheExactFractionOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cur := anyCurrency().Draw(t, "currency")
		a, num, den := anyInt().Draw(t, "nano"), anyInt().Draw(t, "num"), anyInt().Draw(t, "den")
		r := rapid.SampledFrom(allModes).Draw(t, "mode")
		if den == 0 {
			t.Skip("tested by table")
		}
		got, err := Rate{a, cur}.PostRat(num, den, r)
		x := new(big.Rat).SetFrac(new(big.Int).Mul(big.NewInt(a), big.NewInt(num)), big.NewInt(den))
		unit := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(9-cur.Digits())), nil)
		x.Quo(x, new(big.Rat).SetInt(unit))
		agree(t, "PostRat", got.Minor, err, oracleRound(x, r))
	})
}

func TestAddSubMulNegEqualBigInt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := anyInt().Draw(t, "a"), anyInt().Draw(t, "b")
		bigA, bigB := big.NewInt(a), big.NewInt(b)
		x, y := Amount{a, EUR}, Amount{b, EUR}
		p, q := Rate{a, EUR}, Rate{b, EUR}

		sum, err := x.Add(y)
		agree(t, "Amount.Add", sum.Minor, err, new(big.Int).Add(bigA, bigB))
		difference, err := x.Sub(y)
		agree(t, "Amount.Sub", difference.Minor, err, new(big.Int).Sub(bigA, bigB))
		product, err := x.Mul(b)
		agree(t, "Amount.Mul", product.Minor, err, new(big.Int).Mul(bigA, bigB))
		negative, err := x.Neg()
		agree(t, "Amount.Neg", negative.Minor, err, new(big.Int).Neg(bigA))

		rate, err := p.Add(q)
		agree(t, "Rate.Add", rate.Nano, err, new(big.Int).Add(bigA, bigB))
		rate, err = p.Sub(q)
		agree(t, "Rate.Sub", rate.Nano, err, new(big.Int).Sub(bigA, bigB))
		rate, err = p.Mul(b)
		agree(t, "Rate.Mul", rate.Nano, err, new(big.Int).Mul(bigA, bigB))
		rate, err = p.Neg()
		agree(t, "Rate.Neg", rate.Nano, err, new(big.Int).Neg(bigA))
	})
}

func TestTallyEqualsBigIntForAnyHistory(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cur := anyCurrency().Draw(t, "currency")
		tally, want := NewTally(cur), new(big.Int)
		for _, n := range rapid.SliceOfN(anyInt(), 0, 40).Draw(t, "rates") {
			if rapid.Bool().Draw(t, "sub") {
				if err := tally.Sub(Rate{n, cur}); err != nil {
					t.Fatal(err)
				}
				want.Sub(want, big.NewInt(n))
				continue
			}
			if err := tally.Add(Rate{n, cur}); err != nil {
				t.Fatal(err)
			}
			want.Add(want, big.NewInt(n))
		}
		rate, err := tally.Rate()
		agree(t, "Tally.Rate", rate.Nano, err, want)

		r := rapid.SampledFrom(allModes).Draw(t, "mode")
		posted, err := tally.Post(r)
		unit := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(9-cur.Digits())), nil)
		agree(t, "Tally.Post", posted.Minor, err, oracleRound(new(big.Rat).SetFrac(want, unit), r))
	})
}

func TestAllocateLosesNothingAndIsFair(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		total := anyInt().Draw(t, "total")
		weights := rapid.SliceOfN(rapid.OneOf(rapid.Int64Range(0, 9), rapid.Int64Range(0, 1<<62)), 1, 12).Draw(t, "weights")
		all := new(big.Int)
		for _, w := range weights {
			all.Add(all, big.NewInt(w))
		}
		parts, err := Amount{total, EUR}.Allocate(weights...)
		if all.Sign() == 0 || !all.IsUint64() {
			if err == nil {
				t.Fatalf("weights %v accepted", weights)
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		sum := new(big.Int)
		for i, part := range parts {
			sum.Add(sum, big.NewInt(part.Minor))
			share := new(big.Rat).SetFrac(new(big.Int).Mul(big.NewInt(total), big.NewInt(weights[i])), all)
			off := new(big.Rat).Sub(new(big.Rat).SetInt64(part.Minor), share)
			if off.Abs(off).Cmp(big.NewRat(1, 1)) >= 0 {
				t.Fatalf("part %d is %d, exact share %s: off by a unit or more", i, part.Minor, share.FloatString(3))
			}
		}
		if sum.Cmp(big.NewInt(total)) != 0 {
			t.Fatalf("parts sum to %s, want %d", sum, total)
		}
	})
}

func TestSlicesOfAnyCuttingSumToTheWhole(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		total := rapid.Int64().Draw(t, "total")
		days := rapid.Int64Range(1, 366).Draw(t, "days")
		r := rapid.SampledFrom(allModes).Draw(t, "mode")
		sum, from := Rate{0, EUR}, int64(0)
		for from < days {
			to := rapid.Int64Range(from+1, days).Draw(t, "cut")
			part, err := Rate{total, EUR}.Slice(from, to, days, r)
			if err != nil {
				t.Fatal(err)
			}
			if sum, err = sum.Add(part); err != nil {
				t.Fatal(err)
			}
			from = to
		}
		if sum.Nano != total {
			t.Fatalf("slices sum to %d, want %d", sum.Nano, total)
		}
	})
}

func TestDecimalTextComesBackExactly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cur, n := anyCurrency().Draw(t, "currency"), anyInt().Draw(t, "n")
		a, err := ParseAmount(Amount{n, cur}.Decimal(), cur)
		if err != nil || a != (Amount{n, cur}) {
			t.Fatalf("amount %s came back as %v, %v", Amount{n, cur}, a, err)
		}
		r, err := ParseRate(Rate{n, cur}.Decimal(), cur)
		if err != nil || r != (Rate{n, cur}) {
			t.Fatalf("rate %s came back as %v, %v", Rate{n, cur}, r, err)
		}
	})
}
