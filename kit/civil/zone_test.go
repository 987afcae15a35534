package civil

import (
	"archive/zip"
	"errors"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// hardZones have days whose midnight is missing or comes twice, days that are
// missing whole, changes at one minute past midnight, or odd offsets.
var hardZones = []string{
	"UTC", "Europe/Berlin", "America/New_York", "America/Santiago", "America/Havana", "America/Sao_Paulo",
	"America/Asuncion", "America/St_Johns", "Africa/Cairo", "Asia/Beirut", "Asia/Damascus", "Asia/Amman", "Asia/Gaza",
	"Asia/Tehran", "Atlantic/Azores", "America/Scoresbysund", "Pacific/Apia", "Pacific/Fakaofo", "Pacific/Kwajalein",
	"Pacific/Kiritimati", "Australia/Lord_Howe", "Antarctica/Troll", "Antarctica/Casey", "Africa/Casablanca",
	"Africa/Juba", "Asia/Pyongyang", "America/Caracas", "Europe/Volgograd", "America/Nuuk", "Europe/Dublin",
}

func zone(t testing.TB, name string) *time.Location {
	t.Helper()
	loc, err := LoadZone(name)
	if err != nil {
		t.Fatal(err)
	}
	return loc
}

func TestStartOfDay(t *testing.T) {
	tests := []struct{ rule, zone, date, want string }{
		{"an ordinary day", "Europe/Berlin", "2026-07-01", "2026-07-01T00:00:00+02:00"},
		{"the day of the change in the morning", "Europe/Berlin", "2026-03-29", "2026-03-29T00:00:00+01:00"},
		{"Santiago skips midnight", "America/Santiago", "2024-09-08", "2024-09-08T01:00:00-03:00"},
		{"Cairo skips midnight", "Africa/Cairo", "2024-04-26", "2024-04-26T01:00:00+03:00"},
		{"Beirut skips midnight", "Asia/Beirut", "2024-03-31", "2024-03-31T01:00:00+03:00"},
		{"Havana skips midnight", "America/Havana", "2024-03-10", "2024-03-10T01:00:00-04:00"},
		{"Azores skips midnight", "Atlantic/Azores", "2024-03-31", "2024-03-31T01:00:00+00:00"},
		{"Havana has midnight twice: the first", "America/Havana", "2024-11-03", "2024-11-03T00:00:00-04:00"},
		{"Azores have midnight twice: the first", "Atlantic/Azores", "2024-10-27", "2024-10-27T00:00:00+00:00"},
		{"Cairo goes back at midnight: the day starts once", "Africa/Cairo", "2024-11-01", "2024-11-01T00:00:00+02:00"},
		{"St. John's went back at 00:01: the day had begun", "America/St_Johns", "2010-11-07", "2010-11-07T00:00:00-02:30"},
		{"Apia has no 30 December 2011: it starts with the 31st", "Pacific/Apia", "2011-12-30", "2011-12-31T00:00:00+14:00"},
		{"Apia, 31 December 2011", "Pacific/Apia", "2011-12-31", "2011-12-31T00:00:00+14:00"},
		{"the last day of a leap year past the zone file's table", "Europe/Berlin", "2040-12-31", "2040-12-31T00:00:00+01:00"},
		{"the same, and west of Greenwich", "America/New_York", "2040-12-31", "2040-12-31T00:00:00-05:00"},
		{"New Year after it", "America/Santiago", "2041-01-01", "2041-01-01T00:00:00-03:00"},
		{"year 1", "Europe/Berlin", "0001-01-01", "0001-01-01T00:00:00Z"},
		{"year 9999", "Europe/Berlin", "9999-12-31", "9999-12-31T00:00:00+01:00"},
	}
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			loc := zone(t, tt.zone)
			want, err := time.Parse(time.RFC3339, tt.want)
			if err != nil {
				t.Fatal(err)
			}
			if day(tt.date).Year == 1 { // local mean time, whose seconds RFC 3339 cannot write
				want = time.Date(1, 1, 1, 0, 0, 0, 0, loc)
			}
			if got := day(tt.date).Start(loc); !got.Equal(want) || got.Location() != time.UTC {
				t.Errorf("got %v, want %v", got.In(loc), want)
			}
		})
	}
}

// checkDay holds what must be true of the start of every date in every zone.
func checkDay(t *testing.T, d Date, loc *time.Location) (start time.Time) {
	start = d.Start(loc)
	if Wall(start.In(loc)).Before(d) {
		t.Errorf("%v %v: starts at %v", loc, d, start.In(loc))
	}
	if last := start.Add(-1); !Wall(last.In(loc)).Before(d) {
		t.Errorf("%v %v: the instant before its start is %v", loc, d, last.In(loc))
	}
	return start
}

// TestStartOfEveryDayInEveryZone is C3: all zones that the Go distribution has, all
// days of 2000 to 2040; without a distribution at hand, the hard zones.
func TestStartOfEveryDayInEveryZone(t *testing.T) {
	names := hardZones
	if !testing.Short() {
		names = append(names, distributed(t)...)
	}
	noMidnight := map[string]bool{}
	for _, name := range names {
		loc := zone(t, name)
		last := checkDay(t, day("1999-12-31"), loc)
		for d := day("2000-01-01"); d.Year <= 2040; d = d.AddDays(1) {
			start := checkDay(t, d, loc)
			length := start.Sub(last)
			// nothing (a date skipped whole) or a day and at most three hours (Casey)
			if length != 0 && (length < 21*time.Hour || length > 27*time.Hour) {
				t.Errorf("%s: %v is %v long", name, d.AddDays(-1), length)
			}
			if h, m, s := start.In(loc).Clock(); h+m+s != 0 {
				noMidnight[name] = true
			}
			last = start
		}
	}
	for _, name := range []string{"America/Santiago", "Africa/Cairo", "Asia/Beirut", "America/Havana", "Atlantic/Azores"} {
		if !noMidnight[name] {
			t.Errorf("%s has every midnight: the zone data cannot be right", name)
		}
	}
	t.Logf("%d zones, %d of them with a missing midnight", len(names), len(noMidnight))
}

// distributed is the names of all zones in the Go distribution.
func distributed(t *testing.T) (names []string) {
	archive, err := zip.OpenReader(filepath.Join(runtime.GOROOT(), "lib", "time", "zoneinfo.zip"))
	if err != nil {
		t.Logf("only the hard zones: %v", err)
		return nil
	}
	defer archive.Close()
	for _, f := range archive.File {
		if !strings.HasSuffix(f.Name, "/") && f.Name != "Factory" {
			names = append(names, f.Name)
		}
	}
	return names
}

// TestStartIsTheFirstInstantMinuteByMinute looks at every minute around each change
// of offset of the hard zones, without any arithmetic on offsets.
func TestStartIsTheFirstInstantMinuteByMinute(t *testing.T) {
	for _, name := range hardZones {
		loc := zone(t, name)
		at := time.Date(1985, 1, 1, 0, 0, 0, 0, time.UTC).In(loc)
		for {
			_, change := at.ZoneBounds()
			if change.IsZero() || change.Year() > 2030 {
				break
			}
			at = change
			first, seen := change.Add(-36*time.Hour), map[Date]time.Time{}
			largest := Wall(first.In(loc))
			for m := first; m.Before(change.Add(36 * time.Hour)); m = m.Add(time.Minute) {
				d := Wall(m.In(loc))
				for d.After(largest) {
					largest = largest.AddDays(1)
					seen[largest] = m
				}
				if got := DateOf(m, loc); got != largest {
					t.Fatalf("%s: DateOf(%v) = %v, want %v", name, m.In(loc), got, largest)
				}
			}
			for d, want := range seen {
				if got := d.Start(loc); !got.Equal(want) {
					t.Errorf("%s %v starts at %v, want %v", name, d, got.In(loc), want.In(loc))
				}
			}
		}
	}
}

func TestPeriodsCoverTheLineUnderAnyMovesBetweenZones(t *testing.T) { // C2
	rapid.Check(t, func(t *rapid.T) {
		c := anyCycle().Draw(t, "cycle")
		if c.Step.Days > 0 && c.Step.Days < 3 {
			c.Step.Days = 3
		}
		draw := func() *time.Location {
			loc, err := LoadZone(rapid.SampledFrom(hardZones).Draw(t, "zone"))
			if err != nil {
				t.Fatal(err)
			}
			return loc
		}
		before, end := draw(), time.Time{}
		for i := range 12 {
			now := before
			if rapid.Bool().Draw(t, "move") {
				now = draw()
			}
			p, err := c.Period(i)
			if err != nil {
				t.Fatal(err)
			}
			s, err := p.SpanAcross(before, now)
			if err != nil || s.Empty() || i > 0 && !s.From.Equal(end) {
				t.Fatalf("period %d %v is %v, %v; the last ended %v", i, p, s, err, end)
			}
			if before == now && s != p.Span(now) {
				t.Fatalf("without a move %v is %v and %v", p, s, p.Span(now))
			}
			before, end = now, s.To
		}
	})
}

func TestAPeriodTooShortForItsMoveIsRefused(t *testing.T) {
	oneDay := Period{day("2026-01-01"), day("2026-01-02")}
	if s, err := oneDay.SpanAcross(zone(t, "Pacific/Pago_Pago"), zone(t, "Pacific/Kiritimati")); !errors.Is(err, ErrPeriod) {
		t.Errorf("25 hours off a day leave %v, %v", s, err)
	}
	open := Period{From: day("2026-01-01")}
	s, err := open.SpanAcross(zone(t, "Pacific/Pago_Pago"), zone(t, "Pacific/Kiritimati"))
	if err != nil || !s.Open() || !s.From.Equal(time.Date(2026, 1, 1, 11, 0, 0, 0, time.UTC)) {
		t.Errorf("an open period = %v, %v", s, err)
	}
}

func TestLoadZoneNeverTakesTheServersOwn(t *testing.T) {
	for _, name := range []string{"", "Local", "local", "Europe/Bonn", "../../etc/passwd", "CEST+2"} {
		if _, err := LoadZone(name); !errors.Is(err, ErrZone) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestParseInstant(t *testing.T) {
	want := time.Date(2026, 1, 31, 10, 0, 0, 0, time.UTC)
	for _, text := range []string{"2026-01-31T12:00:00+02:00", "2026-01-31T12:00:00 02:00", "2026-01-31T10:00:00Z",
		"2026-01-31t10:00:00z", "2026-01-31T10:00:00.000Z", "2026-01-31T05:30:00.0-04:30", "2026-01-31T10:00:00.0 00:00"} {
		if got, err := ParseInstant(text); err != nil || !got.Equal(want) || got.Location() != time.UTC {
			t.Errorf("%q gave %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "2026-01-31", "2026-01-31T10:00:00", "2026-01-31 10:00:00Z", "2026-01-31T10:00Z",
		"2026-02-30T10:00:00Z", "2026-01-31T24:00:00Z", "2026-01-31T9:00:00Z", "2026-01-31T10:00:00,5Z", "2026-01-31T10:00:00.Z",
		"2026-01-31T10:00:00+0200", "2026-01-31T10:00:00+02", "2026-01-31T10:00:00 ", "2026-01-31T10:00:00 Z", "2026-01-31T10:00:00  2:00",
		"2026-01-31T10:00:00+24:00", "+026-01-31T10:00:00Z", "1769853600"} {
		if got, err := ParseInstant(text); !errors.Is(err, ErrInstant) {
			t.Errorf("%q gave %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"9999-12-31T23:59:59-01:00", "0001-01-01T00:00:00+01:00"} {
		if got, err := ParseInstant(text); !errors.Is(err, ErrRange) {
			t.Errorf("%q gave %v, %v", text, got, err)
		}
	}
}

func FuzzParseInstant(f *testing.F) {
	for _, seed := range []string{"2026-01-31T12:00:00+02:00", "2026-01-31T12:00:00 02:00", "2026-01-31t10:00:00.123456789z",
		"2026-01-31", "T", "2026-01-31T10:00:00,5Z", "9999-12-31T23:59:59-23:59", "2016-12-31T23:59:60Z"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := ParseInstant(text)
		if err != nil {
			return
		}
		again, err := ParseInstant(got.Format(time.RFC3339Nano))
		if err != nil || !again.Equal(got) {
			t.Fatalf("%q -> %v -> %v, %v", text, got, again, err)
		}
		if std, err := time.Parse(time.RFC3339Nano, strings.ToUpper(text)); err == nil && !std.Equal(got) {
			t.Fatalf("%q: %v, the standard library says %v", text, got, std)
		}
	})
}

func BenchmarkStart(b *testing.B) {
	loc, d := zone(b, "Europe/Berlin"), day("2026-07-01")
	for b.Loop() {
		d.Start(loc)
	}
}
