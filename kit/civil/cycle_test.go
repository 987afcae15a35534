package civil

import (
	"errors"
	"testing"

	"pgregory.net/rapid"
)

func TestMonthBoundariesComeFromTheOriginAndNeverDrift(t *testing.T) {
	tests := []struct {
		rule  string
		cycle Cycle
		want  []string
	}{
		{"day 31 survives February", Cycle{Origin: day("2026-01-31"), Step: Duration{Months: 1}},
			[]string{"2026-01-31", "2026-02-28", "2026-03-31", "2026-04-30", "2026-05-31"}},
		{"leap February", Cycle{Origin: day("2024-01-31"), Step: Duration{Months: 1}},
			[]string{"2024-01-31", "2024-02-29", "2024-03-31"}},
		{"day 30", Cycle{Origin: day("2026-01-30"), Step: Duration{Months: 1}},
			[]string{"2026-01-30", "2026-02-28", "2026-03-30"}},
		{"last day, born in a short month", Cycle{Origin: day("2026-02-10"), Step: Duration{Months: 1}, Day: 31},
			[]string{"2026-02-28", "2026-03-31", "2026-04-30"}},
		{"bill day other than the start day", Cycle{Origin: day("2026-01-17"), Step: Duration{Months: 1}, Day: 1},
			[]string{"2026-01-01", "2026-02-01", "2026-03-01"}},
		{"quarters", Cycle{Origin: day("2025-11-30"), Step: Duration{Months: 3}},
			[]string{"2025-11-30", "2026-02-28", "2026-05-30", "2026-08-30"}},
		{"leap day every year", Cycle{Origin: day("2024-02-29"), Step: Duration{Months: 12}},
			[]string{"2024-02-29", "2025-02-28", "2026-02-28", "2027-02-28", "2028-02-29"}},
		{"weeks", Cycle{Origin: day("2026-02-23"), Step: Duration{Days: 7}},
			[]string{"2026-02-23", "2026-03-02", "2026-03-09"}},
		{"30 days", Cycle{Origin: day("2026-01-31"), Step: Duration{Days: 30}},
			[]string{"2026-01-31", "2026-03-02", "2026-04-01"}},
	}
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			for i, want := range tt.want {
				if got, err := tt.cycle.Boundary(i); err != nil || got != day(want) {
					t.Errorf("boundary %d = %v, %v; want %s", i, got, err, want)
				}
			}
		})
	}
}

func TestEveryAnchorForFortyEightMonths(t *testing.T) { // C1
	for _, origin := range []string{"2023-12-31", "2024-02-29", "2026-02-28", "2026-06-15"} {
		for anchor := 1; anchor <= 31; anchor++ {
			c := Cycle{Origin: day(origin), Step: Duration{Months: 1}, Day: anchor}
			before := Date{}
			for i := range 49 {
				b, err := c.Boundary(i)
				if err != nil {
					t.Fatal(err)
				}
				if b.Day != min(anchor, MonthDays(b.Year, b.Month)) || !b.After(before) {
					t.Errorf("anchor %d: boundary %d is %v after %v", anchor, i, b, before)
				}
				before = b
			}
		}
	}
}

func anyCycle() *rapid.Generator[Cycle] {
	return rapid.Custom(func(t *rapid.T) Cycle {
		origin := day("1990-01-01").AddDays(rapid.IntRange(0, 20_000).Draw(t, "origin"))
		if rapid.Bool().Draw(t, "in days") {
			return Cycle{Origin: origin, Step: Duration{Days: rapid.IntRange(1, 400).Draw(t, "days")}}
		}
		step := Duration{Months: rapid.IntRange(1, 30).Draw(t, "months")}
		return Cycle{Origin: origin, Step: step, Day: rapid.IntRange(0, 31).Draw(t, "day")}
	})
}

func TestIndexAndPeriodAreInverse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := anyCycle().Draw(t, "cycle")
		d := c.Origin.AddDays(rapid.IntRange(-30_000, 30_000).Draw(t, "offset"))
		p, i, err := c.PeriodOf(d)
		if err != nil || !p.Contains(d) {
			t.Fatalf("period %d of %v is %v, %v", i, d, p, err)
		}
		next, err := c.Period(i + 1)
		if err != nil || next.From != p.To || p.Empty() {
			t.Fatalf("%v is followed by %v, %v", p, next, err)
		}
		for _, edge := range []struct {
			day  Date
			want int
		}{{p.From, i}, {p.To.AddDays(-1), i}, {p.To, i + 1}, {p.From.AddDays(-1), i - 1}} {
			if got, err := c.Index(edge.day); err != nil || got != edge.want {
				t.Fatalf("index of %v = %d, %v; want %d", edge.day, got, err, edge.want)
			}
		}
	})
}

func TestIndexesAreThePeriodsThatShareADay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := anyCycle().Draw(t, "cycle")
		from := c.Origin.AddDays(rapid.IntRange(-3_000, 3_000).Draw(t, "offset"))
		p := Period{from, from.AddDays(rapid.IntRange(0, 1_500).Draw(t, "days"))}
		first, end, err := c.Indexes(p)
		if err != nil {
			t.Fatal(err)
		}
		for i := first - 2; i < end+2; i++ {
			q, err := c.Period(i)
			if err != nil {
				t.Fatal(err)
			}
			if q.Overlaps(p) != (i >= first && i < end) {
				t.Fatalf("%v and period %d %v: not by [%d, %d)", p, i, q, first, end)
			}
		}
	})
}

func TestAWrongCycleIsRefused(t *testing.T) {
	origin := day("2026-01-31")
	for rule, c := range map[string]Cycle{
		"no origin":             {Step: Duration{Months: 1}},
		"origin that is no day": {Origin: Date{2026, 2, 30}, Step: Duration{Months: 1}},
		"no step":               {Origin: origin},
		"months and days":       {Origin: origin, Step: Duration{Months: 1, Days: 1}},
		"clock time":            {Origin: origin, Step: Duration{Days: 1, Clock: 1}},
		"negative months":       {Origin: origin, Step: Duration{Months: -1}},
		"negative days":         {Origin: origin, Step: Duration{Days: -1}},
		"day 32":                {Origin: origin, Step: Duration{Months: 1}, Day: 32},
		"day below zero":        {Origin: origin, Step: Duration{Months: 1}, Day: -1},
		"day of month by weeks": {Origin: origin, Step: Duration{Days: 7}, Day: 5},
		"absurd step":           {Origin: origin, Step: Duration{Months: maxMonths + 1}},
		"absurd days":           {Origin: origin, Step: Duration{Days: maxDays + 1}},
	} {
		t.Run(rule, func(t *testing.T) {
			if _, err := c.Period(0); !errors.Is(err, ErrCycle) {
				t.Errorf("Period: %v", err)
			}
			if _, _, err := c.PeriodOf(origin); !errors.Is(err, ErrCycle) {
				t.Errorf("PeriodOf: %v", err)
			}
		})
	}
}

func TestTheCalendarEnds(t *testing.T) {
	monthly := Cycle{Origin: day("2026-01-31"), Step: Duration{Months: 1}}
	daily := Cycle{Origin: day("2026-01-31"), Step: Duration{Days: 1}}
	for _, i := range []int{1 << 62, -1 << 62, maxIndex, -maxIndex} {
		if b, err := monthly.Boundary(i); !errors.Is(err, ErrRange) {
			t.Errorf("month %d: %v, %v", i, b, err)
		}
		if b, err := daily.Boundary(i); !errors.Is(err, ErrRange) {
			t.Errorf("day %d: %v, %v", i, b, err)
		}
	}
	if _, _, err := monthly.PeriodOf(Last); !errors.Is(err, ErrRange) {
		t.Errorf("a period past the last day: %v", err)
	}
	if _, err := daily.Index(Date{}); !errors.Is(err, ErrDate) {
		t.Errorf("index of no date: %v", err)
	}
	for _, p := range []Period{{From: daily.Origin}, {From: daily.Origin, To: First}, {}} {
		if _, _, err := daily.Indexes(p); !errors.Is(err, ErrPeriod) {
			t.Errorf("indexes of %v: %v", p, err)
		}
	}
}
