package rating

import (
	"fmt"
	"math/big"
	"strings"
)

// maxDigits bounds the text of a Decimal: no price needs more.
const maxDigits = 40

var nanos = big.NewRat(1_000_000_000, 1)

// rat is the exact value of d. The empty Decimal is zero.
func (d Decimal) rat() (*big.Rat, error) {
	if d == "" {
		return new(big.Rat), nil
	}
	over, under, isRatio := strings.Cut(string(d), "/")
	n, err := decimal(over)
	if err != nil || !isRatio {
		return n, err
	}
	m, err := decimal(under)
	if err != nil {
		return nil, err
	}
	if m.Sign() == 0 {
		return nil, fmt.Errorf("%q divides by zero", string(d))
	}
	return n.Quo(n, m), nil
}

func decimal(text string) (*big.Rat, error) {
	digits := strings.TrimPrefix(text, "-")
	whole, fraction, pointed := strings.Cut(digits, ".")
	if len(text) > maxDigits || !isDigits(whole) || pointed && !isDigits(fraction) {
		return nil, fmt.Errorf("%.60q is not a decimal number such as 0.05", text)
	}
	n, _ := new(big.Rat).SetString(text)
	if n.Sign() < 0 {
		return nil, fmt.Errorf("%s is negative", text)
	}
	return n, nil
}

func isDigits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// nano is d in whole 10^-9 of the major unit.
func (d Decimal) nano() (int64, error) {
	r, err := d.rat()
	if err != nil {
		return 0, err
	}
	r.Mul(r, nanos)
	if !r.IsInt() {
		return 0, fmt.Errorf("%s has more than nine digits after the point", d)
	}
	if !r.Num().IsInt64() {
		return 0, fmt.Errorf("%s is too large", d)
	}
	return r.Num().Int64(), nil
}

// fraction gives numerator and denominator of a ratio that is not negative, each
// of at most 62 bits.
func fraction(r *big.Rat) (num, den int64, err error) {
	if r.Num().BitLen() > 62 || r.Denom().BitLen() > 62 {
		return 0, 0, fmt.Errorf("%s is too large or too fine", r.RatString())
	}
	return r.Num().Int64(), r.Denom().Int64(), nil
}

// Whole is the amount as a whole number of zero or more; ok is false if it is none.
func (d Decimal) Whole() (n uint64, ok bool) {
	r, err := d.rat()
	if err != nil || !r.IsInt() || !r.Num().IsUint64() {
		return 0, false
	}
	return r.Num().Uint64(), true
}
