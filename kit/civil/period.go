package civil

import (
	"fmt"
	"math"
	"time"
)

// Period is the days from From up to, but not including, To. A zero To leaves it
// open: it has no end yet.
type Period struct {
	From, To Date
}

// Unending is what Days says of an open period.
const Unending = math.MaxInt

// Check refuses a period without a real start or with its end before its start.
func (p Period) Check() error {
	if !p.From.Valid() || !p.Open() && !p.To.Valid() {
		return fmt.Errorf("%w: %v", ErrPeriod, p)
	}
	if !p.Open() && p.To.Before(p.From) {
		return fmt.Errorf("%w: %v ends before it starts", ErrPeriod, p)
	}
	return nil
}

// Open tells that the period has no end.
func (p Period) Open() bool { return p.To == Date{} }

// Empty tells that no day is in the period.
func (p Period) Empty() bool { return !p.Open() && !p.From.Before(p.To) }

// Days is the number of days, or Unending.
func (p Period) Days() int {
	if p.Open() {
		return Unending
	}
	return max(0, p.To.Sub(p.From))
}

// Contains tells whether the day is in the period.
func (p Period) Contains(d Date) bool {
	return !d.Before(p.From) && (p.Open() || d.Before(p.To))
}

// Intersect is the days in both periods; false when there are none.
func (p Period) Intersect(q Period) (Period, bool) {
	if q.From.After(p.From) {
		p.From = q.From
	}
	if p.Open() || !q.Open() && q.To.Before(p.To) {
		p.To = q.To
	}
	if p.Empty() {
		return Period{}, false
	}
	return p, true
}

// Overlaps tells whether a day is in both periods.
func (p Period) Overlaps(q Period) bool {
	_, ok := p.Intersect(q)
	return ok
}

// Cut is the period before the day and the period from the day on: a plan changed
// on that day. One of them is empty when the day lies outside.
func (p Period) Cut(at Date) (before, after Period) {
	if at.Before(p.From) {
		at = p.From
	}
	if !p.Open() && at.After(p.To) {
		at = p.To
	}
	return Period{p.From, at}, Period{at, p.To}
}

// Span is the instants of the period in a zone.
func (p Period) Span(zone *time.Location) Span {
	s := Span{From: p.From.Start(zone)}
	if !p.Open() {
		s.To = p.To.Start(zone)
	}
	return s
}

// SpanAcross is the instants of a period after a change of zone: the boundary that
// the period before has set stays where it was, in the zone before; the end is set
// by the new zone. So a move leaves no gap and no overlap, and this one period is up
// to 26 hours longer or shorter. ErrPeriod if nothing is left of it.
func (p Period) SpanAcross(before, zone *time.Location) (Span, error) {
	s := p.Span(zone)
	s.From = p.From.Start(before)
	if !p.Open() && !s.From.Before(s.To) {
		return Span{}, fmt.Errorf("%w: %v is too short to change from %v to %v", ErrPeriod, p, before, zone)
	}
	return s, nil
}

// String is "[2026-01-31, 2026-02-28)".
func (p Period) String() string { return fmt.Sprintf("[%v, %v)", p.From, p.To) }

// Span is the instants from From up to, but not including, To. A zero To leaves it
// open. Its JSON is the TMF TimePeriod.
type Span struct {
	From time.Time `json:"startDateTime,omitzero"`
	To   time.Time `json:"endDateTime,omitzero"`
}

// Open tells that the span has no end.
func (s Span) Open() bool { return s.To.IsZero() }

// Empty tells that no instant is in the span.
func (s Span) Empty() bool { return !s.Open() && !s.From.Before(s.To) }

// Contains tells whether the instant is in the span.
func (s Span) Contains(t time.Time) bool {
	return !t.Before(s.From) && (s.Open() || t.Before(s.To))
}

// Intersect is the instants in both spans; false when there are none.
func (s Span) Intersect(q Span) (Span, bool) {
	if q.From.After(s.From) {
		s.From = q.From
	}
	if s.Open() || !q.Open() && q.To.Before(s.To) {
		s.To = q.To
	}
	if s.Empty() {
		return Span{}, false
	}
	return s, true
}

// Overlaps tells whether an instant is in both spans.
func (s Span) Overlaps(q Span) bool {
	_, ok := s.Intersect(q)
	return ok
}
