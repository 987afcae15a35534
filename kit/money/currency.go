package money

import (
	"database/sql/driver"
	"fmt"
)

// Currency is an ISO 4217 currency that has minor units. It is comparable with ==
// and small (4 bytes); the zero Currency is "none". Only ParseCurrency,
// CurrencyByNumber and the text and SQL decoders make one.
type Currency struct {
	letters [3]byte
	digits  uint8
}

// The currencies that code and tests name most. All others: ParseCurrency.
var (
	CHF = mustCurrency("CHF")
	EUR = mustCurrency("EUR")
	GBP = mustCurrency("GBP")
	JPY = mustCurrency("JPY")
	KWD = mustCurrency("KWD")
	USD = mustCurrency("USD")
)

// mustCurrency is for codes written in the program.
func mustCurrency(code string) Currency {
	c, err := ParseCurrency(code)
	if err != nil {
		panic(err)
	}
	return c
}

// ParseCurrency finds an alphabetic ISO 4217 code in capitals, such as "EUR".
// It fails with ErrCurrency for unknown codes and for codes without minor units
// (gold, XXX). Recently withdrawn codes are found, see Active.
func ParseCurrency(code string) (Currency, error) {
	e, ok := isoByCode[code]
	if !ok {
		return Currency{}, fmt.Errorf("%w: %.20q is not an ISO 4217 code such as EUR", ErrCurrency, code)
	}
	if e.noMinor {
		return Currency{}, fmt.Errorf("%w: %s has no minor unit, no amount can be posted in it", ErrCurrency, code)
	}
	return e.currency, nil
}

// CurrencyByNumber finds an active currency by its numeric ISO 4217 code, as
// Diameter carries it (RFC 8506 8.11).
func CurrencyByNumber(number uint16) (Currency, error) {
	c, ok := isoByNumber[number]
	if !ok {
		return Currency{}, fmt.Errorf("%w: %03d is not a numeric ISO 4217 code", ErrCurrency, number)
	}
	return c, nil
}

// Code is the alphabetic code, "" for none.
func (c Currency) Code() string {
	if c == (Currency{}) {
		return ""
	}
	return string(c.letters[:])
}

// String is Code.
func (c Currency) String() string { return c.Code() }

// Digits is the number of decimal digits of the minor unit: 2 for EUR, 0 for JPY.
func (c Currency) Digits() int { return int(c.digits) }

// Number is the numeric ISO 4217 code, 0 for none.
func (c Currency) Number() uint16 { return isoByCode[c.Code()].number }

// Active is false for a withdrawn currency: old bills show it, new prices may not use it.
func (c Currency) Active() bool { return isoByCode[c.Code()].active }

// MarshalText writes the code.
func (c Currency) MarshalText() ([]byte, error) { return []byte(c.Code()), nil }

// UnmarshalText reads what MarshalText wrote: a code, or nothing for none.
func (c *Currency) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*c = Currency{}
		return nil
	}
	parsed, err := ParseCurrency(string(text))
	if err != nil {
		return err
	}
	*c = parsed
	return nil
}

// Value stores the code as text, none as NULL.
func (c Currency) Value() (driver.Value, error) {
	if c == (Currency{}) {
		return nil, nil
	}
	return c.Code(), nil
}

// Scan reads what Value stored.
func (c *Currency) Scan(src any) error {
	switch v := src.(type) {
	case nil:
		*c = Currency{}
		return nil
	case string:
		return c.UnmarshalText([]byte(v))
	case []byte:
		return c.UnmarshalText(v)
	}
	return fmt.Errorf("%w: cannot read a currency from a column of type %T", ErrCurrency, src)
}

// same tells whether two sums may meet in one operation.
func same(a, b Currency) error {
	if a != b {
		return fmt.Errorf("%w: %s and %s", ErrMismatch, name(a), name(b))
	}
	return nil
}

// known refuses the zero Currency.
func known(c Currency) error {
	if c == (Currency{}) {
		return fmt.Errorf("%w: the sum has no currency", ErrCurrency)
	}
	return nil
}

func name(c Currency) string {
	if c == (Currency{}) {
		return "no currency"
	}
	return c.Code()
}
