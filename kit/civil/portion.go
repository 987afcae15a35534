package civil

import "fmt"

// Portion is the part [From, To) of a whole [0, Of), in days or nanoseconds. The
// three numbers are stored on the bill line; money's Slice turns them into sums that
// add up over any cutting of the whole.
type Portion struct {
	From, To, Of int64
}

// Num is the numerator of the share Num/Of.
func (p Portion) Num() int64 { return p.To - p.From }

// Basis is a rule that counts days for proration. The zero Basis is no rule.
type Basis uint8

const (
	// ActualDays counts days: 14 of 28 in February, 14 of 31 in March.
	ActualDays Basis = iota + 1
	// Thirty360 gives each month 30 days (30E/360: day 31 counts as day 30). Of the
	// 30/360 rules it is the one whose parts always add up to the whole.
	Thirty360
	// StartedPeriod charges a period in full once a day of it is used.
	StartedPeriod
)

// Portion is the share of part in the full service period. Days of part outside of
// full do not count. ErrPeriod when full is open, empty or has no day by this basis.
func (b Basis) Portion(part, full Period) (Portion, error) {
	if err := full.Check(); err != nil {
		return Portion{}, err
	}
	if full.Open() {
		return Portion{}, fmt.Errorf("%w: no share of %v, it has no end", ErrPeriod, full)
	}
	used, any := part.Intersect(full)
	if !any {
		used = Period{full.From, full.From}
	}
	p, err := b.count(used, full)
	if err == nil && p.Of <= 0 {
		err = fmt.Errorf("%w: no share of %v, it has no days", ErrPeriod, full)
	}
	if err != nil {
		return Portion{}, err
	}
	return p, nil
}

// count measures used, which lies in full, by the basis.
func (b Basis) count(used, full Period) (Portion, error) {
	switch b {
	case ActualDays:
		return Portion{
			From: int64(used.From.Sub(full.From)),
			To:   int64(used.To.Sub(full.From)),
			Of:   int64(full.Days()),
		}, nil
	case Thirty360:
		zero := full.From.number360()
		return Portion{
			From: used.From.number360() - zero,
			To:   used.To.number360() - zero,
			Of:   full.To.number360() - zero,
		}, nil
	case StartedPeriod:
		return Portion{From: 0, To: int64(min(1, used.Days())), Of: int64(min(1, full.Days()))}, nil
	}
	return Portion{}, fmt.Errorf("%w: unknown day count basis %d", ErrPeriod, b)
}

// Days360 is the number of days from d to e by 30E/360 (ISDA 2006 4.16(g)).
func Days360(d, e Date) int64 { return e.number360() - d.number360() }

// number360 counts days in months of 30.
func (d Date) number360() int64 { return int64(d.months())*30 + int64(min(d.Day, 30)) }

// Portion is the share of s in the full span to the nanosecond, for prices prorated
// by time. A full span beyond 292 years is ErrRange.
func (s Span) Portion(full Span) (Portion, error) {
	if full.Open() || full.Empty() {
		return Portion{}, fmt.Errorf("%w: no share of an open or empty span", ErrPeriod)
	}
	whole := full.To.Sub(full.From)
	if !full.From.Add(whole).Equal(full.To) { // Sub stops at the largest Duration
		return Portion{}, fmt.Errorf("%w: the span is longer than 292 years", ErrRange)
	}
	used, any := s.Intersect(full)
	if !any {
		return Portion{Of: int64(whole)}, nil
	}
	return Portion{
		From: int64(used.From.Sub(full.From)),
		To:   int64(used.To.Sub(full.From)),
		Of:   int64(whole),
	}, nil
}
