package money

import "errors"

// What can go wrong with money. Every error of the package wraps one of these.
var (
	// ErrOverflow: the result does not fit 64 bits.
	ErrOverflow = errors.New("the sum of money is too large")
	// ErrCurrency: the code is not an ISO 4217 currency with minor units, or none is given.
	ErrCurrency = errors.New("unknown currency")
	// ErrMismatch: two sums in different currencies meet in one operation.
	ErrMismatch = errors.New("different currencies")
	// ErrPrecision: the decimal has more digits than the scale can hold.
	ErrPrecision = errors.New("too many digits after the decimal point")
	// ErrSyntax: the text is not a decimal number or not a Money object.
	ErrSyntax = errors.New("not a decimal number")
	// ErrRounding: the rounding mode is not named.
	ErrRounding = errors.New("unknown rounding mode")
	// ErrDivide: the denominator is zero.
	ErrDivide = errors.New("division by zero")
	// ErrShare: the weights or bounds of a split make no sense.
	ErrShare = errors.New("the sum cannot be split like this")
)
