package communication

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"tandem/kit/civil"
)

func TestQuietHours(t *testing.T) {
	night, lunch := &QuietHours{From: "22:00", To: "07:00"}, &QuietHours{From: "12:00", To: "13:30"}
	for _, c := range []struct {
		rule  string
		zone  string
		quiet *QuietHours
		at    string
		want  string
	}{
		{"none", "Europe/Berlin", nil, "2026-03-05T23:00:00+01:00", "2026-03-05T23:00:00+01:00"},
		{"before the night", "Europe/Berlin", night, "2026-03-05T21:59:59+01:00", "2026-03-05T21:59:59+01:00"},
		{"the night begins", "Europe/Berlin", night, "2026-03-05T22:00:00+01:00", "2026-03-06T07:00:00+01:00"},
		{"after midnight", "Europe/Berlin", night, "2026-03-06T03:00:00+01:00", "2026-03-06T07:00:00+01:00"},
		{"the night ends", "Europe/Berlin", night, "2026-03-06T07:00:00+01:00", "2026-03-06T07:00:00+01:00"},
		{"within a day", "Europe/Berlin", lunch, "2026-03-05T12:30:00+01:00", "2026-03-05T13:30:00+01:00"},
		{"the other zone's clock", "America/New_York", night, "2026-03-06T04:00:00+01:00", "2026-03-06T13:00:00+01:00"},
		{"the night to summer time is an hour shorter", "Europe/Berlin", night, "2026-03-28T23:00:00+01:00", "2026-03-29T07:00:00+02:00"},
		{"the night to winter time is an hour longer", "Europe/Berlin", night, "2026-10-24T23:00:00+02:00", "2026-10-25T07:00:00+01:00"},
		{"an end that the clock jumps over", "Europe/Berlin", &QuietHours{From: "22:00", To: "02:30"}, "2026-03-29T01:00:00+01:00", "2026-03-29T03:00:00+02:00"},
		{"a midnight that is missing", "America/Santiago", &QuietHours{From: "22:00", To: "00:00"}, "2026-09-05T23:30:00-04:00", "2026-09-06T01:00:00-03:00"},
	} {
		p := &Preference{TimeZone: c.zone, QuietHours: c.quiet}
		at, want := instant(t, c.at), instant(t, c.want)
		if got, err := p.after(at); err != nil || !got.Equal(want) {
			t.Errorf("%s: %s waits until %v, %v; want %v", c.rule, c.at, got, err, want)
		}
	}
}

func instant(t *testing.T, s string) time.Time {
	at, err := civil.ParseInstant(s)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// TestNothingIsSentInQuietHours looks at the clock on the customer's wall.
func TestNothingIsSentInQuietHours(t *testing.T) {
	zones := []string{"Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "America/Santiago", "UTC"}
	rapid.Check(t, func(rt *rapid.T) {
		clockText := func(label string) string {
			return time.Date(2026, 1, 1, 0, rapid.IntRange(0, 1439).Draw(rt, label), 0, 0, time.UTC).Format("15:04")
		}
		p := &Preference{TimeZone: rapid.SampledFrom(zones).Draw(rt, "zone"), QuietHours: &QuietHours{From: clockText("from"), To: clockText("to")}}
		if p.QuietHours.From == p.QuietHours.To {
			return
		}
		at := time.Date(2026, 1, 1, 0, rapid.IntRange(0, 365*1440).Draw(rt, "minute"), 0, 0, time.UTC)
		got, err := p.after(at)
		if err != nil || got.Before(at) || got.Sub(at) > 26*time.Hour {
			rt.Fatalf("%v waits until %v, %v", at, got, err)
		}
		if again, err := p.after(got); err != nil || !again.Equal(got) {
			rt.Fatalf("%v is quiet still, until %v, %v", got, again, err)
		}
		zone, _ := civil.LoadZone(p.TimeZone)
		wall, q := at.In(zone).Format("15:04"), p.QuietHours
		quiet := wall >= q.From && wall < q.To
		if q.From > q.To {
			quiet = wall >= q.From || wall < q.To
		}
		_, off1 := at.Add(-24 * time.Hour).In(zone).Zone()
		_, off2 := at.Add(24 * time.Hour).In(zone).Zone()
		if off1 == off2 && quiet == got.Equal(at) {
			rt.Fatalf("the wall shows %s, quiet is %s-%s, but it is sent at %v", wall, q.From, q.To, got.In(zone))
		}
	})
}
