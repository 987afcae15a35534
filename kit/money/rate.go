package money

import "fmt"

// rateScale is the number of decimal digits of a Rate.
const rateScale = 9

// Rate is a rated sum or a catalogue price: units of 10^-9 of the major unit. An
// int64 holds 9.2e9 major units, enough for one price or charge; many charges are
// added in a Tally. The zero Rate has no currency and takes part in no operation.
type Rate struct {
	Nano     int64
	Currency Currency
}

// ParseRate reads a decimal of major units with up to nine fraction digits.
func ParseRate(text string, c Currency) (Rate, error) {
	if err := known(c); err != nil {
		return Rate{}, err
	}
	n, err := parseDecimal(text, rateScale)
	if err != nil {
		return Rate{}, fmt.Errorf("%s rate: %w", c, err)
	}
	return Rate{n, c}, nil
}

// RateOf is value*10^exponent major units, exactly, as Diameter's CC-Money carries
// it (RFC 8506 8.8 to 8.11). Loss of a digit is ErrPrecision, else ErrOverflow.
func RateOf(value int64, exponent int32, c Currency) (Rate, error) {
	if err := known(c); err != nil {
		return Rate{}, err
	}
	shift := int64(exponent) + rateScale
	for value != 0 && shift < 0 && value%10 == 0 {
		value, shift = value/10, shift+1
	}
	if value == 0 {
		return Rate{0, c}, nil
	}
	if shift < 0 {
		return Rate{}, fmt.Errorf("%w: %d e%d has more than %d", ErrPrecision, value, exponent, rateScale)
	}
	if shift > 18 { // 10^18 is the largest power an int64 holds
		return Rate{}, fmt.Errorf("%w: %d e%d", ErrOverflow, value, exponent)
	}
	n, err := mulInt(value, int64(pow10[shift]))
	return Rate{Currency: c}.with(n, err)
}

// Add is a + b. Errors: ErrMismatch, ErrOverflow.
func (a Rate) Add(b Rate) (Rate, error) {
	if err := same(a.Currency, b.Currency); err != nil {
		return Rate{}, err
	}
	n, err := addInt(a.Nano, b.Nano)
	return a.with(n, err)
}

// Sub is a - b. Errors: ErrMismatch, ErrOverflow.
func (a Rate) Sub(b Rate) (Rate, error) {
	if err := same(a.Currency, b.Currency); err != nil {
		return Rate{}, err
	}
	n, err := subInt(a.Nano, b.Nano)
	return a.with(n, err)
}

// Neg is -a.
func (a Rate) Neg() (Rate, error) {
	n, err := subInt(0, a.Nano)
	return a.with(n, err)
}

// Mul is the price of n pieces, exactly.
func (a Rate) Mul(n int64) (Rate, error) {
	n, err := mulInt(a.Nano, n)
	return a.with(n, err)
}

// MulRat is a*num/den rounded to 10^-9: the price of num octets at a per den octets.
// A later Post rounds a second time; PostRat does both in one.
func (a Rate) MulRat(num, den int64, r Rounding) (Rate, error) {
	n, err := MulDiv(a.Nano, num, den, r)
	return a.with(n, err)
}

// Post rounds to whole minor units: the one rounding of a charge.
func (a Rate) Post(r Rounding) (Amount, error) { return a.PostRat(1, 1, r) }

// PostRat is a*num/den in whole minor units, rounded once from the exact value.
func (a Rate) PostRat(num, den int64, r Rounding) (Amount, error) {
	n, err := mulDivPow(a.Nano, num, den, pow10[rateScale-a.Currency.Digits()], r)
	return Amount{Currency: a.Currency}.with(n, err)
}

// Cmp is -1, 0 or +1 as a is less than, equal to or greater than b.
func (a Rate) Cmp(b Rate) (int, error) {
	if err := same(a.Currency, b.Currency); err != nil {
		return 0, err
	}
	return compare(a.Nano, b.Nano), nil
}

// Sign is -1, 0 or +1.
func (a Rate) Sign() int { return compare(a.Nano, 0) }

// Decimal is the sum in major units with at least the digits of the currency and
// no further zeros: "12.30", "0.0005".
func (a Rate) Decimal() string {
	return string(appendDecimal(nil, a.Nano, rateScale, a.Currency.Digits()))
}

// String is the sum for logs and tests: "0.0005 EUR".
func (a Rate) String() string { return a.Decimal() + " " + name(a.Currency) }

// with gives n the currency of a, unless it has none or computing n failed.
func (a Rate) with(n int64, err error) (Rate, error) {
	if err == nil {
		err = known(a.Currency)
	}
	if err != nil {
		return Rate{}, err
	}
	return Rate{n, a.Currency}, nil
}
