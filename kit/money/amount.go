package money

import "fmt"

// Amount is a posted sum: whole minor units (cents for EUR, yen for JPY) of a
// currency. It stands on bills, in the ledger and in payments. The zero Amount has
// no currency and takes part in no operation.
type Amount struct {
	Minor    int64
	Currency Currency
}

// ParseAmount reads a decimal of major units, such as "12.34". More fraction digits
// than the currency has are ErrPrecision, unless they are zeros.
func ParseAmount(text string, c Currency) (Amount, error) {
	if err := known(c); err != nil {
		return Amount{}, err
	}
	n, err := parseDecimal(text, c.Digits())
	if err != nil {
		return Amount{}, fmt.Errorf("%s amount: %w", c, err)
	}
	return Amount{n, c}, nil
}

// Sum adds sums of one currency. It starts from zero, so it needs the currency.
func Sum(c Currency, sums ...Amount) (Amount, error) {
	total := Amount{Currency: c}
	for _, a := range sums {
		var err error
		if total, err = total.Add(a); err != nil {
			return Amount{}, err
		}
	}
	return total, nil
}

// Add is a + b. Errors: ErrMismatch, ErrOverflow.
func (a Amount) Add(b Amount) (Amount, error) {
	if err := same(a.Currency, b.Currency); err != nil {
		return Amount{}, err
	}
	n, err := addInt(a.Minor, b.Minor)
	return a.with(n, err)
}

// Sub is a - b. Errors: ErrMismatch, ErrOverflow.
func (a Amount) Sub(b Amount) (Amount, error) {
	if err := same(a.Currency, b.Currency); err != nil {
		return Amount{}, err
	}
	n, err := subInt(a.Minor, b.Minor)
	return a.with(n, err)
}

// Neg is -a: the credit of a debit.
func (a Amount) Neg() (Amount, error) {
	n, err := subInt(0, a.Minor)
	return a.with(n, err)
}

// Mul is a times n pieces.
func (a Amount) Mul(n int64) (Amount, error) {
	n, err := mulInt(a.Minor, n)
	return a.with(n, err)
}

// MulRat is a*num/den, rounded once: a percentage, a share of a month.
func (a Amount) MulRat(num, den int64, r Rounding) (Amount, error) {
	n, err := MulDiv(a.Minor, num, den, r)
	return a.with(n, err)
}

// RoundTo rounds to a multiple of step minor units (step 5: Swiss cash rounding).
func (a Amount) RoundTo(step int64, r Rounding) (Amount, error) {
	if step <= 0 {
		return Amount{}, fmt.Errorf("%w: cannot round to multiples of %d", ErrShare, step)
	}
	n, err := MulDiv(a.Minor, 1, step, r)
	if err != nil {
		return Amount{}, err
	}
	n, err = mulInt(n, step)
	return a.with(n, err)
}

// Cmp is -1, 0 or +1 as a is less than, equal to or greater than b.
func (a Amount) Cmp(b Amount) (int, error) {
	if err := same(a.Currency, b.Currency); err != nil {
		return 0, err
	}
	return compare(a.Minor, b.Minor), nil
}

// Sign is -1, 0 or +1. There is no IsZero on purpose: "omitzero" would then drop a
// price of 0.00 EUR instead of an absent price.
func (a Amount) Sign() int { return compare(a.Minor, 0) }

// Rate is the same sum at the scale of rated amounts.
func (a Amount) Rate() (Rate, error) {
	n, err := mulInt(a.Minor, int64(pow10[rateScale-a.Currency.Digits()]))
	return Rate{Currency: a.Currency}.with(n, err)
}

// Decimal is the sum in major units with all digits of the currency: "12.30".
func (a Amount) Decimal() string {
	digits := a.Currency.Digits()
	return string(appendDecimal(nil, a.Minor, digits, digits))
}

// String is the sum for logs and tests: "12.30 EUR".
func (a Amount) String() string { return a.Decimal() + " " + name(a.Currency) }

// with gives n the currency of a, unless it has none or computing n failed.
func (a Amount) with(n int64, err error) (Amount, error) {
	if err == nil {
		err = known(a.Currency)
	}
	if err != nil {
		return Amount{}, err
	}
	return Amount{n, a.Currency}, nil
}

func compare(a, b int64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}
