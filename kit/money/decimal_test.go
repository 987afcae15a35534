package money

import (
	"errors"
	"math/big"
	"strings"
	"testing"
)

func TestParseAmount(t *testing.T) {
	tests := []struct {
		rule, text, currency string
		want                 int64
		err                  error
	}{
		{"major and minor units", "12.34", "EUR", 1234, nil},
		{"one digit is tenths", "12.3", "EUR", 1230, nil},
		{"no fraction", "12", "EUR", 1200, nil},
		{"negative", "-0.05", "EUR", -5, nil},
		{"negative zero is zero", "-0.00", "EUR", 0, nil},
		{"yen has no minor digits", "1234", "JPY", 1234, nil},
		{"dinar has three", "1.234", "KWD", 1234, nil},
		{"unidad de fomento has four", "0.0001", "CLF", 1, nil},
		{"zeros beyond the scale lose nothing", "12.34000", "EUR", 1234, nil},
		{"a yen price with .00 loses nothing", "1234.00", "JPY", 1234, nil},
		{"a third digit of a euro is refused", "12.345", "EUR", 0, ErrPrecision},
		{"a sen is refused", "0.5", "JPY", 0, ErrPrecision},
		{"exponent", "1.234e1", "EUR", 1234, nil},
		{"negative exponent with zeros", "12340E-1", "EUR", 123400, nil},
		{"exponent below the scale", "1e-3", "EUR", 0, ErrPrecision},
		{"zero with any exponent is zero", "0e99999999999999999999", "EUR", 0, nil},
		{"absurd exponent overflows at once", "1e999999999999999999999999", "EUR", 0, ErrOverflow},
		{"absurd negative exponent is lost precision", "1e-999999999999999999999999", "EUR", 0, ErrPrecision},
		{"largest", "92233720368547758.07", "EUR", 1<<63 - 1, nil},
		{"largest plus a cent", "92233720368547758.08", "EUR", 0, ErrOverflow},
		{"smallest", "-92233720368547758.08", "EUR", -1 << 63, nil},
		{"smallest minus a cent", "-92233720368547758.09", "EUR", 0, ErrOverflow},
		{"long mantissa pulled back by its exponent", "1" + strings.Repeat("0", 300) + "e-298", "EUR", 10000, nil},
		{"twenty digits", "99999999999999999999", "JPY", 0, ErrOverflow},
		{"empty", "", "EUR", 0, ErrSyntax},
		{"plus sign is not JSON", "+1", "EUR", 0, ErrSyntax},
		{"leading zero is not JSON", "01", "EUR", 0, ErrSyntax},
		{"no digit before the point", ".5", "EUR", 0, ErrSyntax},
		{"no digit after the point", "1.", "EUR", 0, ErrSyntax},
		{"comma", "1,50", "EUR", 0, ErrSyntax},
		{"blank", " 1", "EUR", 0, ErrSyntax},
		{"no exponent digits", "1e", "EUR", 0, ErrSyntax},
		{"sign alone", "-", "EUR", 0, ErrSyntax},
		{"two signs", "1e-+5", "EUR", 0, ErrSyntax},
		{"not a number", "NaN", "EUR", 0, ErrSyntax},
		{"hexadecimal", "0x10", "EUR", 0, ErrSyntax},
		{"full-width digits", "１２", "EUR", 0, ErrSyntax},
	}
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			got, err := ParseAmount(tt.text, mustCurrency(tt.currency))
			if !errors.Is(err, tt.err) || got.Minor != tt.want {
				t.Errorf("ParseAmount(%q) = %v, %v; want %d, %v", tt.text, got, err, tt.want, tt.err)
			}
		})
	}
}

func TestParseRateHoldsNineDigits(t *testing.T) {
	got, err := ParseRate("0.000000001", EUR)
	if err != nil || got.Nano != 1 {
		t.Errorf("one nano = %v, %v", got, err)
	}
	if _, err := ParseRate("0.0000000001", EUR); !errors.Is(err, ErrPrecision) {
		t.Errorf("ten digits: %v", err)
	}
	if _, err := ParseRate("9223372036.854775808", EUR); !errors.Is(err, ErrOverflow) {
		t.Errorf("beyond int64: %v", err)
	}
	if _, err := ParseRate("1", Currency{}); !errors.Is(err, ErrCurrency) {
		t.Errorf("without currency: %v", err)
	}
}

func TestDecimalShowsTheDigitsOfTheCurrency(t *testing.T) {
	tests := []struct{ rule, got, want string }{
		{"euro pads to cents", Amount{1230, EUR}.Decimal(), "12.30"},
		{"below one major unit", Amount{-5, EUR}.Decimal(), "-0.05"},
		{"yen has no point", Amount{1234, JPY}.Decimal(), "1234"},
		{"dinar has three digits", Amount{1, KWD}.Decimal(), "0.001"},
		{"smallest int64", Amount{-1 << 63, EUR}.Decimal(), "-92233720368547758.08"},
		{"rate pads to cents", Rate{12_300_000_000, EUR}.Decimal(), "12.30"},
		{"rate shows what it needs", Rate{500_000, EUR}.Decimal(), "0.0005"},
		{"yen rate below one yen", Rate{250_000_000, JPY}.Decimal(), "0.25"},
		{"whole yen rate", Rate{3_000_000_000, JPY}.Decimal(), "3"},
		{"smallest rate", Rate{-1 << 63, EUR}.Decimal(), "-9223372036.854775808"},
		{"string names the currency", Amount{1230, EUR}.String(), "12.30 EUR"},
		{"string without currency says so", Amount{7, Currency{}}.String(), "7 no currency"},
		{"rate string", Rate{500_000, EUR}.String(), "0.0005 EUR"},
	}
	for _, tt := range tests {
		if tt.got != tt.want {
			t.Errorf("%s: %q, want %q", tt.rule, tt.got, tt.want)
		}
	}
}

func FuzzParseDecimal(f *testing.F) {
	for _, seed := range []string{"0", "-0", "12.34", "1e5", "1E-9", "0.000000001", "9223372036854775807",
		"-9223372036854775808", "18446744073709551616", "1e19", "1e999999999999", "00", "1.", ".1", "-", "1e",
		"0.1e+1", "100000000000000000000000e-20", "1_0", "Inf", "1e-"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := parseDecimal(text, rateScale)
		if err != nil {
			if got != 0 {
				t.Fatalf("error with value %d", got)
			}
			return
		}
		if i := strings.IndexAny(text, "eE"); i >= 0 && len(text)-i > 5 {
			return // the oracle would build 10^exponent
		}
		want, ok := new(big.Rat).SetString(text)
		if !ok {
			t.Fatalf("%q accepted, the oracle refuses it", text)
		}
		want.Mul(want, big.NewRat(1_000_000_000, 1))
		if want.Cmp(new(big.Rat).SetInt64(got)) != 0 {
			t.Fatalf("%q = %d, want %s", text, got, want.FloatString(2))
		}
	})
}
