package money

import (
	"encoding/json"
	"errors"
	"testing"
)

func TestTheTableIsListOneOf2026(t *testing.T) {
	count, byDigits, numbers := 0, map[int]int{}, map[uint16]string{}
	for code, e := range isoByCode {
		if !e.active {
			continue
		}
		count++
		if other, taken := numbers[e.number]; taken || e.number == 0 {
			t.Errorf("%s and %s share number %d", code, other, e.number)
		}
		numbers[e.number] = code
		if e.noMinor {
			byDigits[-1]++
			continue
		}
		byDigits[e.currency.Digits()]++
	}
	// list one, 1 January 2026: 178 codes
	want := map[int]int{-1: 13, 0: 17, 2: 139, 3: 7, 4: 2}
	for digits, n := range want {
		if byDigits[digits] != n {
			t.Errorf("%d currencies with %d digits, want %d", byDigits[digits], digits, n)
		}
	}
	if count != 178 {
		t.Errorf("%d active codes, want 178", count)
	}
}

func TestCurrencyFacts(t *testing.T) {
	tests := []struct {
		code   string
		digits int
		number uint16
		active bool
	}{
		{"EUR", 2, 978, true}, {"JPY", 0, 392, true}, {"KWD", 3, 414, true}, {"CLF", 4, 990, true},
		{"ALL", 2, 8, true}, {"XCG", 2, 532, true}, {"ANG", 2, 532, false}, {"BGN", 2, 975, false},
		{"HRK", 2, 191, false}, {"ISK", 0, 352, true}, {"MRU", 2, 929, true}, {"XAD", 2, 396, true},
	}
	for _, tt := range tests {
		c, err := ParseCurrency(tt.code)
		if err != nil || c.Code() != tt.code || c.Digits() != tt.digits || c.Number() != tt.number || c.Active() != tt.active {
			t.Errorf("%s: %v %d %d %v, %v", tt.code, c, c.Digits(), c.Number(), c.Active(), err)
		}
		byNumber, err := CurrencyByNumber(tt.number)
		if tt.active && (err != nil || byNumber != c) {
			t.Errorf("%03d found %v, %v", tt.number, byNumber, err)
		}
		if !tt.active && byNumber == c {
			t.Errorf("%03d finds the withdrawn %v", tt.number, c)
		}
	}
	for _, code := range []string{"", "eur", "EU", "EURO", "ABC", "XXX", "XAU", "XTS", "€"} {
		if _, err := ParseCurrency(code); !errors.Is(err, ErrCurrency) {
			t.Errorf("%q: %v", code, err)
		}
	}
	for _, number := range []uint16{0, 1, 999, 959, 65535} {
		if _, err := CurrencyByNumber(number); !errors.Is(err, ErrCurrency) {
			t.Errorf("%d: %v", number, err)
		}
	}
	none := Currency{}
	if none.Code() != "" || none.Number() != 0 || none.Active() {
		t.Errorf("none = %q %d %v", none.Code(), none.Number(), none.Active())
	}
}

func TestCurrencyInTextAndColumns(t *testing.T) {
	for _, c := range []Currency{{}, EUR, mustCurrency("BGN")} {
		stored, err := c.Value()
		if err != nil {
			t.Fatal(err)
		}
		back := USD
		if err := back.Scan(stored); err != nil || back != c {
			t.Errorf("%v: column %v came back as %v, %v", c, stored, back, err)
		}
		text, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		back = USD
		if err := json.Unmarshal(text, &back); err != nil || back != c {
			t.Errorf("%v: JSON %s came back as %v, %v", c, text, back, err)
		}
	}
	var c Currency
	if err := c.Scan([]byte("KWD")); err != nil || c != KWD {
		t.Errorf("bytes: %v, %v", c, err)
	}
	if err := c.Scan(int64(978)); !errors.Is(err, ErrCurrency) {
		t.Errorf("number column: %v", err)
	}
	if err := c.Scan("EURO"); !errors.Is(err, ErrCurrency) || c != KWD {
		t.Errorf("bad code: %v, %v", c, err)
	}
}

func FuzzParseCurrency(f *testing.F) {
	for _, seed := range []string{"EUR", "JPY", "XXX", "", "eur", "EURO", "\x00\x00\x00"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, code string) {
		c, err := ParseCurrency(code)
		if err == nil && (c.Code() != code || len(code) != 3) {
			t.Fatalf("%q gave %v", code, c)
		}
		if err != nil && c != (Currency{}) {
			t.Fatalf("%q: error and %v", code, c)
		}
	})
}
