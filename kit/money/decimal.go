package money

import (
	"fmt"
	"strconv"
	"strings"
)

// parseDecimal reads a number in JSON grammar (RFC 8259 section 6) as a count of
// units of 10^-scale. Trailing zeros beyond the scale are harmless; a digit that
// would be lost is ErrPrecision, too large is ErrOverflow, else ErrSyntax.
// The work is bounded by the length of the text, whatever the exponent says.
func parseDecimal(text string, scale int) (int64, error) {
	negative, whole, fraction, exponent, err := scanDecimal(text)
	if err != nil {
		return 0, err
	}
	digits := strings.TrimLeft(whole+fraction, "0")
	if digits == "" {
		return 0, nil
	}
	trimmed := strings.TrimRight(digits, "0")
	// value = trimmed * 10^shift units
	shift := exponent - len(fraction) + len(digits) - len(trimmed) + scale
	if shift < 0 {
		return 0, fmt.Errorf("%w: %.40q has more than %d", ErrPrecision, text, scale)
	}
	if len(trimmed)+shift > 19 {
		return 0, fmt.Errorf("%w: %.40q", ErrOverflow, text)
	}
	units, err := strconv.ParseUint(trimmed, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%w: %.40q", ErrSyntax, text)
	}
	n, err := signed(units*pow10[shift], negative) // 19 digits always fit uint64
	if err != nil {
		return 0, fmt.Errorf("%w: %.40q", err, text)
	}
	return n, nil
}

// scanDecimal cuts -?int(.frac)?([eE][+-]?exp)? into its parts. An absurd exponent
// is clamped far outside any scale so that no later addition overflows.
func scanDecimal(text string) (negative bool, whole, fraction string, exponent int, err error) {
	fail := fmt.Errorf("%w: %.40q", ErrSyntax, text)
	rest, negative := strings.CutPrefix(text, "-")
	whole, rest = leadingDigits(rest)
	if whole == "" || len(whole) > 1 && whole[0] == '0' {
		return false, "", "", 0, fail
	}
	if tail, found := strings.CutPrefix(rest, "."); found {
		fraction, rest = leadingDigits(tail)
		if fraction == "" {
			return false, "", "", 0, fail
		}
	}
	if rest == "" {
		return negative, whole, fraction, 0, nil
	}
	if rest[0] != 'e' && rest[0] != 'E' {
		return false, "", "", 0, fail
	}
	exponent, ok := scanExponent(rest[1:])
	if !ok {
		return false, "", "", 0, fail
	}
	return negative, whole, fraction, exponent, nil
}

// scanExponent reads [+-]?digits, clamped to +-10^12.
func scanExponent(text string) (int, bool) {
	const limit = 1_000_000_000_000
	rest, minus := strings.CutPrefix(text, "-")
	if !minus {
		rest = strings.TrimPrefix(rest, "+")
	}
	digits, tail := leadingDigits(rest)
	if digits == "" || tail != "" {
		return 0, false
	}
	n := 0
	for _, d := range digits {
		n = min(n*10+int(d-'0'), limit)
	}
	if minus {
		n = -n
	}
	return n, true
}

func leadingDigits(text string) (digits, rest string) {
	i := 0
	for i < len(text) && text[i] >= '0' && text[i] <= '9' {
		i++
	}
	return text[:i], text[i:]
}

// appendDecimal writes n units of 10^-scale with as few fraction digits as the
// value needs, but at least atLeast.
func appendDecimal(b []byte, n int64, scale, atLeast int) []byte {
	if n < 0 {
		b = append(b, '-')
	}
	u, unit := magnitude(n), pow10[scale]
	b = strconv.AppendUint(b, u/unit, 10)
	fraction, digits := u%unit, scale
	for digits > atLeast && fraction%10 == 0 {
		fraction, digits = fraction/10, digits-1
	}
	if digits == 0 {
		return b
	}
	b = append(b, '.')
	for d := digits - 1; d >= 0; d-- {
		b = append(b, '0'+byte(fraction/pow10[d]%10))
	}
	return b
}
