package money

import (
	"fmt"
	"math"
	"math/bits"
)

// MulDiv is a*b/c with a 128-bit product, rounded once. It is the one place where
// money meets a ratio. Errors: ErrOverflow, ErrDivide, ErrRounding.
func MulDiv(a, b, c int64, r Rounding) (int64, error) {
	if !r.valid() {
		return 0, fmt.Errorf("%w: %d", ErrRounding, uint8(r))
	}
	if c == 0 {
		return 0, ErrDivide
	}
	negative := (a < 0) != (b < 0) != (c < 0)
	hi, lo := bits.Mul64(magnitude(a), magnitude(b))
	d := magnitude(c)
	if hi >= d {
		return 0, ErrOverflow
	}
	q, rem := bits.Div64(hi, lo, d)
	return finish(q, negative, residueOf(rem, d, false), r)
}

// mulDivPow is a*b/(c*pow), rounded once; pow is a power of ten from 10 to 10^9.
// The product c*pow need not fit 64 bits: dividing twice and keeping whether the
// first division left a rest gives the same digit, because half of pow is whole.
func mulDivPow(a, b, c int64, pow uint64, r Rounding) (int64, error) {
	if !r.valid() {
		return 0, fmt.Errorf("%w: %d", ErrRounding, uint8(r))
	}
	if c == 0 {
		return 0, ErrDivide
	}
	negative := (a < 0) != (b < 0) != (c < 0)
	hi, lo := bits.Mul64(magnitude(a), magnitude(b))
	hi, lo, rest := div128(hi, lo, magnitude(c))
	hi, lo, rem := div128(hi, lo, pow)
	if hi != 0 {
		return 0, ErrOverflow
	}
	return finish(lo, negative, residueOf(rem, pow, rest != 0), r)
}

// div128 divides a 128-bit number by d > 0.
func div128(hi, lo, d uint64) (qhi, qlo, rem uint64) {
	qhi, rem = hi/d, hi%d
	qlo, rem = bits.Div64(rem, lo, d)
	return qhi, qlo, rem
}

// finish rounds the magnitude q and gives it its sign.
func finish(q uint64, negative bool, at residue, r Rounding) (int64, error) {
	if r.away(negative, q&1 == 1, at) {
		if q == math.MaxUint64 {
			return 0, ErrOverflow
		}
		q++
	}
	return signed(q, negative)
}

// signed turns sign and magnitude into an int64.
func signed(q uint64, negative bool) (int64, error) {
	switch {
	case negative && q <= 1<<63:
		return -int64(q), nil // -int64(1<<63) wraps to MinInt64, as wanted
	case !negative && q <= math.MaxInt64:
		return int64(q), nil
	}
	return 0, ErrOverflow
}

// magnitude is |n| without the overflow of -MinInt64.
func magnitude(n int64) uint64 {
	if n < 0 {
		return -uint64(n)
	}
	return uint64(n)
}

func addInt(a, b int64) (int64, error) {
	s := a + b
	if (s > a) != (b > 0) {
		return 0, ErrOverflow
	}
	return s, nil
}

func subInt(a, b int64) (int64, error) {
	s := a - b
	if (s < a) != (b > 0) {
		return 0, ErrOverflow
	}
	return s, nil
}

func mulInt(a, b int64) (int64, error) {
	hi, lo := bits.Mul64(magnitude(a), magnitude(b))
	if hi != 0 {
		return 0, ErrOverflow
	}
	return signed(lo, (a < 0) != (b < 0))
}

// pow10 holds the powers of ten that fit 64 bits.
var pow10 = [...]uint64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9,
	1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19}
