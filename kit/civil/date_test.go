package civil

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	v2 "github.com/go-json-experiment/json"
	"pgregory.net/rapid"
)

// day is for dates written in tests.
func day(text string) Date {
	d, err := ParseDate(text)
	if err != nil {
		panic(err)
	}
	return d
}

func anyDate() *rapid.Generator[Date] {
	return rapid.Map(rapid.IntRange(0, Last.Sub(First)), First.AddDays)
}

func TestParseDateTakesOnlyRealDays(t *testing.T) {
	for _, text := range []string{"2026-01-31", "2024-02-29", "2000-02-29", "0001-01-01", "9999-12-31"} {
		if d, err := ParseDate(text); err != nil || d.String() != text {
			t.Errorf("%s: %v, %v", text, d, err)
		}
	}
	for _, text := range []string{"", "2026-02-29", "1900-02-29", "2026-04-31", "2026-13-01", "2026-00-01", "2026-01-00",
		"0000-01-01", "2026-1-31", "26-01-31", "2026/01/31", "2026-01-31T00:00:00Z", " 2026-01-3", "+026-01-31", "2026-01-3x", "２026-01"} {
		if d, err := ParseDate(text); !errors.Is(err, ErrDate) || d != (Date{}) {
			t.Errorf("%q gave %v, %v", text, d, err)
		}
	}
}

func TestDateArithmeticEqualsTheStandardCalendar(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d, n := anyDate().Draw(t, "date"), rapid.IntRange(-40_000, 40_000).Draw(t, "days")
		want := time.Date(d.Year, d.Month, d.Day+n, 0, 0, 0, 0, time.UTC)
		got := d.AddDays(n)
		switch {
		case want.Year() > 9999 && got != Last, want.Year() < 1 && got != First:
			t.Fatalf("%v + %d stopped at %v", d, n, got)
		case want.Year() >= 1 && want.Year() <= 9999:
			if got != Wall(want) || got.Sub(d) != n || got.Weekday() != want.Weekday() {
				t.Fatalf("%v + %d = %v, want %v", d, n, got, want)
			}
			if got.Before(d) != (n < 0) || got.After(d) != (n > 0) {
				t.Fatalf("order of %v and %v", d, got)
			}
		}
	})
}

func TestEveryDayHasTheNumberOfTheStandardCalendar(t *testing.T) {
	for n := First.number(); n <= Last.number(); n++ {
		d := dateOf(n)
		if at := time.Unix(int64(n)*daySeconds, 0).UTC(); d != Wall(at) || d.number() != n {
			t.Fatalf("day %d is %v, the number of that %d; the standard library says %v", n, d, d.number(), at)
		}
	}
	if First.midnight().Unix() != int64(First.number())*daySeconds || dateOf(Last.number()) != Last {
		t.Error("the calendar begins or ends elsewhere")
	}
}

func TestAddMonthsClampsToTheMonthEnd(t *testing.T) {
	tests := []struct {
		from string
		n    int
		want string
	}{
		{"2026-01-31", 1, "2026-02-28"}, {"2024-01-31", 1, "2024-02-29"}, {"2026-01-31", 2, "2026-03-31"},
		{"2026-03-31", -1, "2026-02-28"}, {"2026-12-15", 1, "2027-01-15"}, {"2026-01-15", -1, "2025-12-15"},
		{"2024-02-29", 12, "2025-02-28"}, {"2024-02-29", 48, "2028-02-29"}, {"2026-08-31", 1, "2026-09-30"},
		{"9999-11-30", 2, "9999-12-31"}, {"0001-02-10", -2, "0001-01-01"},
	}
	for _, tt := range tests {
		if got := day(tt.from).AddMonths(tt.n); got != day(tt.want) {
			t.Errorf("%s %+d months = %v, want %s", tt.from, tt.n, got, tt.want)
		}
	}
	const huge = int(^uint(0) >> 1)
	if day("2026-01-01").AddMonths(huge) != Last || day("2026-01-01").AddDays(-huge-1) != First {
		t.Error("huge steps must stop at the ends of the calendar")
	}
}

func TestDateInTextAndColumns(t *testing.T) {
	type doc struct {
		On  Date `json:"on"`
		End Date `json:"end,omitzero"`
	}
	in := doc{On: day("2024-02-29")}
	const want = `{"on":"2024-02-29"}`
	for _, codec := range []struct {
		marshal   func(any) ([]byte, error)
		unmarshal func([]byte, any) error
	}{
		{json.Marshal, json.Unmarshal},
		{func(v any) ([]byte, error) { return v2.Marshal(v) }, func(b []byte, v any) error { return v2.Unmarshal(b, v) }},
	} {
		text, err := codec.marshal(in)
		if err != nil || string(text) != want {
			t.Fatalf("%s, %v", text, err)
		}
		var out doc
		if err := codec.unmarshal(text, &out); err != nil || out != in {
			t.Errorf("came back as %v, %v", out, err)
		}
		if err := codec.unmarshal([]byte(`{"on":"2026-02-30"}`), &out); !errors.Is(err, ErrDate) {
			t.Errorf("30 February: %v", err)
		}
		if _, err := codec.marshal(doc{}); !errors.Is(err, ErrDate) {
			t.Errorf("no date written: %v", err)
		}
	}
	for _, d := range []Date{{}, in.On} {
		stored, err := d.Value()
		if err != nil {
			t.Fatal(err)
		}
		back := First
		if err := back.Scan(stored); err != nil || back != d {
			t.Errorf("column %v came back as %v, %v", stored, back, err)
		}
	}
	var d Date
	if err := d.Scan(time.Date(2026, 1, 31, 0, 0, 0, 0, time.UTC)); err != nil || d != day("2026-01-31") {
		t.Errorf("driver's date: %v, %v", d, err)
	}
	if err := d.Scan([]byte("2026-02-01")); err != nil || d != day("2026-02-01") {
		t.Errorf("bytes: %v, %v", d, err)
	}
	if err := d.Scan(int64(5)); !errors.Is(err, ErrDate) {
		t.Errorf("number column: %v", err)
	}
	if _, err := (Date{2026, 2, 30}).Value(); !errors.Is(err, ErrDate) {
		t.Errorf("30 February stored: %v", err)
	}
	if s := (Date{}).String(); s != "-" {
		t.Errorf("no date prints %q", s)
	}
}

func FuzzParseDate(f *testing.F) {
	for _, seed := range []string{"2026-01-31", "2024-02-29", "0000-00-00", "9999-12-31", "2026-1-1", "", "aaaa-bb-cc"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, err := ParseDate(text)
		want, stdErr := time.Parse(time.DateOnly, text)
		stdOK := stdErr == nil && want.Year() >= 1
		if (err == nil) != stdOK {
			t.Fatalf("%q: %v, the standard library says %v", text, err, stdErr)
		}
		if err == nil && (d != Wall(want) || d.String() != text) {
			t.Fatalf("%q gave %v", text, d)
		}
	})
}
