package civil

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestParseDuration(t *testing.T) {
	tests := []struct {
		text, again string
		want        Duration
	}{
		{"P1M", "P1M", Duration{Months: 1}},
		{"P14D", "P14D", Duration{Days: 14}},
		{"PT5M", "PT5M", Duration{Clock: 5 * time.Minute}},
		{"P2W", "P14D", Duration{Days: 14}},
		{"P1Y6M", "P1Y6M", Duration{Months: 18}},
		{"P24M", "P2Y", Duration{Months: 24}},
		{"P1Y2M3W4DT5H6M7.089S", "P1Y2M25DT5H6M7.089S", Duration{14, 25, 5*time.Hour + 6*time.Minute + 7*time.Second + 89*time.Millisecond}},
		{"PT0.5S", "PT0.5S", Duration{Clock: time.Second / 2}},
		{"PT0,000000001S", "PT0.000000001S", Duration{Clock: 1}},
		{"PT36H", "PT36H", Duration{Clock: 36 * time.Hour}},
		{"PT90M", "PT1H30M", Duration{Clock: 90 * time.Minute}},
		{"P0D", "PT0S", Duration{}},
		{"P9999Y", "P9999Y", Duration{Months: maxMonths}},
	}
	for _, tt := range tests {
		got, err := ParseDuration(tt.text)
		if err != nil || got != tt.want || got.String() != tt.again {
			t.Errorf("%s = %v (%+v), %v", tt.text, got, got, err)
		}
	}
	for _, text := range []string{"", "P", "PT", "1M", "P1", "P1MT", "PM", "P1S", "PT1D", "P1D1M", "P1D2D", "PT1S1M", "-P1M", "P-1M",
		"P1.5M", "PT1.5H", "PT1.S", "PT.5S", "PT0.0000000001S", "p1m", "P1M ", "P1M T5M", "P1H", "PT1MT1S", "P+1M", "P1e3D", "P9999999999999D"} {
		if got, err := ParseDuration(text); !errors.Is(err, ErrDuration) || got != (Duration{}) {
			t.Errorf("%q gave %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"P10000Y", "P999999999999D", "PT999999999999H", "PT2562047H48M", "P999999999999Y999999999999M"} {
		if got, err := ParseDuration(text); !errors.Is(err, ErrRange) || got != (Duration{}) {
			t.Errorf("%q gave %v, %v", text, got, err)
		}
	}
}

func TestDurationTextComesBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := Duration{
			Months: rapid.IntRange(0, maxMonths).Draw(t, "months"),
			Days:   rapid.IntRange(0, maxDays).Draw(t, "days"),
			Clock:  time.Duration(rapid.Int64Range(0, int64(maxClock)).Draw(t, "clock")),
		}
		text, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		var back Duration
		if err := json.Unmarshal(text, &back); err != nil || back != d {
			t.Fatalf("%s came back as %v, %v", text, back, err)
		}
	})
	if _, err := (Duration{Days: -1}).MarshalText(); !errors.Is(err, ErrDuration) {
		t.Errorf("a negative duration was written: %v", err)
	}
	var d Duration
	if err := json.Unmarshal([]byte(`"5 days"`), &d); !errors.Is(err, ErrDuration) {
		t.Errorf("words: %v", err)
	}
}

func TestDurationRunsOnTheLocalCalendar(t *testing.T) {
	berlin := zone(t, "Europe/Berlin")
	tests := []struct{ rule, from, step, want string }{
		{"a day over the change to summer time keeps the hour", "2026-03-28T12:00:00+01:00", "P1D", "2026-03-29T12:00:00+02:00"},
		{"24 hours do not", "2026-03-28T12:00:00+01:00", "PT24H", "2026-03-29T13:00:00+02:00"},
		{"a month from the 31st ends on the 28th", "2026-01-31T08:30:00+01:00", "P1M", "2026-02-28T08:30:00+01:00"},
		{"months first, then days", "2026-01-31T08:30:00+01:00", "P1M1D", "2026-03-01T08:30:00+01:00"},
		{"an hour that is missing begins at its end", "2026-03-28T02:30:00+01:00", "P1D", "2026-03-29T03:00:00+02:00"},
		{"an hour that comes twice is the first", "2026-10-24T02:30:00+02:00", "P1D", "2026-10-25T02:30:00+02:00"},
		{"no calendar part: the second pass stays the second", "2026-10-25T02:30:00+01:00", "PT0S", "2026-10-25T02:30:00+01:00"},
		{"both parts", "2026-03-28T12:00:00.25+01:00", "P1DT1H", "2026-03-29T13:00:00.25+02:00"},
	}
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			from, err := time.Parse(time.RFC3339, tt.from)
			if err != nil {
				t.Fatal(err)
			}
			step, err := ParseDuration(tt.step)
			if err != nil {
				t.Fatal(err)
			}
			want, err := time.Parse(time.RFC3339, tt.want)
			if err != nil {
				t.Fatal(err)
			}
			if got := step.From(from, berlin); !got.Equal(want) || got.Location() != time.UTC {
				t.Errorf("got %v, want %v", got.In(berlin), want)
			}
		})
	}
}

func FuzzParseDuration(f *testing.F) {
	for _, seed := range []string{"P1M", "P14D", "PT5M", "P1Y2M3W4DT5H6M7.089S", "PT0,5S", "P", "PT", "P1.5D", "P99999999999999999999D", "PT2562047H47M16.854775807S"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, err := ParseDuration(text)
		if err != nil {
			return
		}
		if d.Months < 0 || d.Days < 0 || d.Clock < 0 || !strings.HasPrefix(text, "P") {
			t.Fatalf("%q gave %+v", text, d)
		}
		if again, err := ParseDuration(d.String()); err != nil || again != d {
			t.Fatalf("%q -> %+v -> %s -> %+v, %v", text, d, d, again, err)
		}
	})
}
