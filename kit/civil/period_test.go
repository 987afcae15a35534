package civil

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// short draws periods of one small year, some empty, some open, so that all kinds of
// overlap are common.
func short() *rapid.Generator[Period] {
	return rapid.Custom(func(t *rapid.T) Period {
		from := day("2024-01-01").AddDays(rapid.IntRange(0, 30).Draw(t, "from"))
		if rapid.IntRange(0, 4).Draw(t, "kind") == 0 {
			return Period{From: from}
		}
		return Period{from, from.AddDays(rapid.IntRange(0, 30).Draw(t, "days"))}
	})
}

func TestPeriodOperationsAgreeDayByDay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, q := short().Draw(t, "p"), short().Draw(t, "q")
		cut := day("2023-12-25").AddDays(rapid.IntRange(0, 80).Draw(t, "cut"))
		both, any := p.Intersect(q)
		before, after := p.Cut(cut)
		shared, days := 0, 0
		for d := day("2023-12-20"); d.Before(day("2024-04-01")); d = d.AddDays(1) {
			in := p.Contains(d) && q.Contains(d)
			if in != (any && both.Contains(d)) {
				t.Fatalf("%v: %v and %v share %v", d, p, q, both)
			}
			if in {
				shared++
			}
			if p.Contains(d) {
				days++
			}
			if before.Contains(d) != (p.Contains(d) && d.Before(cut)) || after.Contains(d) != (p.Contains(d) && !d.Before(cut)) {
				t.Fatalf("%v: %v cut at %v is %v and %v", d, p, cut, before, after)
			}
		}
		if any != (shared > 0) || p.Overlaps(q) != any {
			t.Fatalf("overlap of %v and %v: %v, %d days", p, q, any, shared)
		}
		if !p.Open() && (p.Days() != days || p.Empty() != (days == 0)) {
			t.Fatalf("%v has %d days, counted %d", p, p.Days(), days)
		}
		if p.Open() && (p.Days() != Unending || p.Empty()) {
			t.Fatalf("%v has %d days", p, p.Days())
		}
		if p.Check() != nil {
			t.Fatal(p.Check())
		}
	})
}

func TestABackwardsPeriodIsRefused(t *testing.T) {
	for _, p := range []Period{{}, {To: First}, {day("2026-02-01"), day("2026-01-01")}, {day("2026-01-01"), Date{2026, 2, 30}}, {From: Date{2026, 2, 30}}} {
		if err := p.Check(); !errors.Is(err, ErrPeriod) {
			t.Errorf("%v: %v", p, err)
		}
	}
	if p := (Period{day("2026-02-01"), day("2026-01-01")}); p.Days() != 0 || !p.Empty() {
		t.Errorf("%v has %d days", p, p.Days())
	}
}

func TestSpanOperations(t *testing.T) {
	at := func(h int) time.Time { return time.Date(2026, 1, 1, h, 0, 0, 0, time.UTC) }
	morning, day, open := Span{at(6), at(12)}, Span{at(8), at(20)}, Span{From: at(10)}
	tests := []struct {
		rule string
		a, b Span
		want Span
		ok   bool
	}{
		{"overlap", morning, day, Span{at(8), at(12)}, true},
		{"closed and open", morning, open, Span{at(10), at(12)}, true},
		{"open and open", open, Span{From: at(11)}, Span{From: at(11)}, true},
		{"touching share nothing", morning, Span{at(12), at(13)}, Span{}, false},
		{"before an open one", Span{at(1), at(10)}, open, Span{}, false},
	}
	for _, tt := range tests {
		for _, pair := range [][2]Span{{tt.a, tt.b}, {tt.b, tt.a}} {
			if got, ok := pair[0].Intersect(pair[1]); got != tt.want || ok != tt.ok || pair[0].Overlaps(pair[1]) != ok {
				t.Errorf("%s: %v, %v", tt.rule, got, ok)
			}
		}
	}
	if !morning.Contains(at(6)) || morning.Contains(at(12)) || !open.Contains(at(23)) || open.Contains(at(9)) {
		t.Error("a span holds its first instant and not its last")
	}
	text, err := json.Marshal(open)
	if err != nil || string(text) != `{"startDateTime":"2026-01-01T10:00:00Z"}` {
		t.Errorf("TMF TimePeriod: %s, %v", text, err)
	}
}

func TestPortionOfAPeriod(t *testing.T) { // C4
	p := func(from, to string) Period { return Period{day(from), day(to)} }
	quarter, february := p("2026-01-01", "2026-04-01"), p("2026-02-01", "2026-03-01")
	tests := []struct {
		rule       string
		basis      Basis
		part, full Period
		want       Portion
	}{
		{"the denominator is the full period, not the clamped one", ActualDays, Period{From: day("2026-02-18")}, quarter, Portion{48, 90, 90}},
		{"actual February", ActualDays, p("2026-02-01", "2026-02-15"), february, Portion{0, 14, 28}},
		{"30-day February is a full month", Thirty360, february, february, Portion{0, 30, 30}},
		{"30-day half February", Thirty360, p("2026-02-15", "2026-03-01"), february, Portion{14, 30, 30}},
		{"31-day month counts 30", Thirty360, p("2026-01-01", "2026-01-31"), p("2026-01-01", "2026-02-01"), Portion{0, 29, 30}},
		{"days outside do not count", ActualDays, p("2025-01-01", "2026-02-03"), february, Portion{0, 2, 28}},
		{"no day used", ActualDays, p("2025-01-01", "2026-02-01"), february, Portion{0, 0, 28}},
		{"started month is a full month", StartedPeriod, p("2026-02-28", "2026-03-05"), february, Portion{0, 1, 1}},
		{"month not started", StartedPeriod, p("2026-03-01", "2026-03-05"), february, Portion{0, 0, 1}},
	}
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			got, err := tt.basis.Portion(tt.part, tt.full)
			if err != nil || got != tt.want || got.Num() != tt.want.To-tt.want.From {
				t.Errorf("got %v, %v; want %v", got, err, tt.want)
			}
		})
	}
	for rule, run := range map[string]func() (Portion, error){
		"open full period":  func() (Portion, error) { return ActualDays.Portion(february, Period{From: First}) },
		"empty full period": func() (Portion, error) { return ActualDays.Portion(february, p("2026-01-01", "2026-01-01")) },
		"started of empty":  func() (Portion, error) { return StartedPeriod.Portion(february, p("2026-01-01", "2026-01-01")) },
		"backwards":         func() (Portion, error) { return ActualDays.Portion(february, p("2026-01-02", "2026-01-01")) },
		"no basis":          func() (Portion, error) { return Basis(0).Portion(february, february) },
		"no 30/360 day":     func() (Portion, error) { return Thirty360.Portion(february, p("2026-01-30", "2026-01-31")) },
		"open span":         func() (Portion, error) { return Span{}.Portion(Span{From: time.Unix(0, 0)}) },
	} {
		if got, err := run(); !errors.Is(err, ErrPeriod) {
			t.Errorf("%s: %v, %v", rule, got, err)
		}
	}
}

func TestPortionsOfAnyCuttingJoinToTheWhole(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := anyCycle().Draw(t, "cycle")
		full, err := c.Period(rapid.IntRange(-50, 50).Draw(t, "index"))
		if err != nil {
			t.Fatal(err)
		}
		basis := rapid.SampledFrom([]Basis{ActualDays, Thirty360}).Draw(t, "basis")
		whole, err := basis.Portion(full, full)
		if errors.Is(err, ErrPeriod) && basis == Thirty360 {
			t.Skip("a one-day period on day 31")
		}
		if err != nil || whole.From != 0 || whole.To != whole.Of {
			t.Fatalf("whole = %v, %v", whole, err)
		}
		reached, rest := int64(0), full
		for !rest.Empty() {
			var part Period
			part, rest = rest.Cut(rest.From.AddDays(rapid.IntRange(1, 40).Draw(t, "days")))
			p, err := basis.Portion(part, full)
			if err != nil || p.From != reached || p.To < p.From || p.Of != whole.Of {
				t.Fatalf("%v of %v = %v, %v; reached %d", part, full, p, err, reached)
			}
			reached = p.To
		}
		if reached != whole.Of {
			t.Fatalf("parts reach %d of %d", reached, whole.Of)
		}
	})
}

func TestDays360IsThirtyEThreeSixty(t *testing.T) {
	tests := []struct {
		from, to string
		want     int64
	}{
		{"2006-12-31", "2007-01-31", 30}, {"2007-02-26", "2007-02-28", 2}, {"2007-02-28", "2007-03-05", 7},
		{"2007-10-31", "2007-11-28", 28}, {"2007-08-31", "2008-02-28", 178}, {"2026-01-01", "2027-01-01", 360},
	}
	for _, tt := range tests {
		if got := Days360(day(tt.from), day(tt.to)); got != tt.want {
			t.Errorf("%s to %s: %d days, want %d", tt.from, tt.to, got, tt.want)
		}
	}
}

func TestPortionOfASpanIsByTheClock(t *testing.T) {
	berlin := zone(t, "Europe/Berlin")
	full := Period{day("2026-03-29"), day("2026-03-30")}.Span(berlin) // 23 hours
	part := Span{From: full.From.Add(11*time.Hour + 30*time.Minute)}
	got, err := part.Portion(full)
	if err != nil || got.Of != int64(23*time.Hour) || got.Num()*2 != got.Of || got.To != got.Of {
		t.Errorf("half of a short day = %v, %v", got, err)
	}
	got, err = Span{From: full.To}.Portion(full)
	if err != nil || got.Num() != 0 || got.Of != int64(23*time.Hour) {
		t.Errorf("nothing of a day = %v, %v", got, err)
	}
	if _, err := part.Portion(Span{time.Unix(0, 0), time.Unix(1<<40, 0)}); !errors.Is(err, ErrRange) {
		t.Errorf("age of the ice: %v", err)
	}
}
