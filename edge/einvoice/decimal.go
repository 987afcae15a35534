package einvoice

import (
	"fmt"
	"strconv"
	"strings"

	"tandem/kit/money"
)

// maxScale is the number of fraction digits a Decimal can have.
const maxScale = 15

// Decimal is an exact number: a quantity, a unit price, a percentage. It is kept
// without trailing zeros, so == compares values. The zero Decimal is an absent
// number, which Dec(0, 0) is not.
type Decimal struct {
	units   int64
	scale   uint8
	present bool
}

// Dec is units * 10^-scale: Dec(195, 1) is 19.5, Dec(rate.Nano, 9) a catalogue price.
// The scale is 0 to 15, which the program knows, so another one panics.
func Dec(units int64, scale int) Decimal {
	if scale < 0 || scale > maxScale {
		panic("einvoice: scale " + strconv.Itoa(scale))
	}
	for scale > 0 && units%10 == 0 {
		units, scale = units/10, scale-1
	}
	return Decimal{units, uint8(scale), true}
}

// ParseDecimal reads an xs:decimal, "19.50" or "-3". More than 15 fraction digits or
// more than 18 digits in all are ErrSyntax.
func ParseDecimal(text string) (Decimal, error) {
	fail := fmt.Errorf("%w: %.40q is not a decimal number", ErrSyntax, text)
	rest, minus := strings.CutPrefix(text, "-")
	if !minus {
		rest = strings.TrimPrefix(rest, "+")
	}
	whole, fraction, _ := strings.Cut(rest, ".")
	whole, fraction = strings.TrimLeft(whole, "0"), strings.TrimRight(fraction, "0")
	digits := whole + fraction
	if !strings.ContainsAny(rest, "0123456789") || len(digits) > 18 || len(fraction) > maxScale {
		return Decimal{}, fail
	}
	var units int64
	for _, d := range []byte(digits) {
		if d < '0' || d > '9' {
			return Decimal{}, fail
		}
		units = units*10 + int64(d-'0')
	}
	if minus {
		units = -units
	}
	return Dec(units, len(fraction)), nil
}

// Present tells whether there is a number.
func (d Decimal) Present() bool { return d.present }

// Sign is -1, 0 or +1; 0 for an absent number.
func (d Decimal) Sign() int {
	switch {
	case d.units < 0:
		return -1
	case d.units > 0:
		return 1
	}
	return 0
}

// String is the number as it stands in XML, "" for an absent one.
func (d Decimal) String() string { return string(d.append(nil)) }

func (d Decimal) append(b []byte) []byte {
	if !d.present {
		return b
	}
	return appendUnits(b, d.units, int(d.scale))
}

// percentOf is d percent of a, rounded half up to minor units. It is false when the
// product is beyond 64 bits.
func (d Decimal) percentOf(minor int64) (int64, bool) {
	n, err := money.MulDiv(minor, d.units, 100*int64(pow10[d.scale]), money.HalfUp)
	return n, err == nil
}

// appendUnits writes units * 10^-scale with all its fraction digits.
func appendUnits(b []byte, units int64, scale int) []byte {
	if units < 0 {
		b = append(b, '-')
	}
	u, one := magnitude(units), pow10[scale]
	b = strconv.AppendUint(b, u/one, 10)
	if scale == 0 {
		return b
	}
	b = append(b, '.')
	for f := u % one; scale > 0; scale-- {
		b = append(b, '0'+byte(f/pow10[scale-1]%10))
	}
	return b
}

func magnitude(n int64) uint64 {
	if n < 0 {
		return -uint64(n)
	}
	return uint64(n)
}

var pow10 = [...]uint64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15}
