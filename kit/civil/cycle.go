package civil

import "fmt"

// Cycle is an endless row of billing periods. Every boundary is computed from the
// origin in closed form, so a short month leaves no trace: with Day 31 the row runs
// 31 January, 28 February, 31 March (C1).
type Cycle struct {
	// Origin fixes period 0. With a step in days it is its first day; with a step in
	// months only its month counts, and Day.
	Origin Date
	// Step is the length of a period in months or in days, not both: P1M, P3M, P1Y,
	// P7D.
	Step Duration
	// Day is the day of the month on which periods start, 1 to 31; a shorter month
	// has its last day instead, so 31 means "last". Zero takes the day of Origin.
	// With a step in days it must be zero.
	Day int
}

// maxIndex is more periods than there are days in 9999 years.
const maxIndex = 4_000_000

// Check refuses a cycle that has no boundaries. Errors: ErrCycle.
func (c Cycle) Check() error {
	s := c.Step
	switch {
	case !c.Origin.Valid():
		return fmt.Errorf("%w: the origin %v is not a date", ErrCycle, c.Origin)
	case s.Clock != 0 || s.Months < 0 || s.Days < 0 || (s.Months == 0) == (s.Days == 0):
		return fmt.Errorf("%w: the step %v must be whole months or whole days", ErrCycle, s)
	case s.Months > maxMonths || s.Days > maxDays:
		return fmt.Errorf("%w: the step %v is too long", ErrCycle, s)
	case c.Day < 0 || c.Day > 31 || c.Day != 0 && s.Days != 0:
		return fmt.Errorf("%w: day %d does not fit the step %v", ErrCycle, c.Day, s)
	}
	return nil
}

// Boundary is the first day of period i; i may be negative. Errors: ErrCycle, and
// ErrRange outside the years 1 to 9999.
func (c Cycle) Boundary(i int) (Date, error) {
	if err := c.Check(); err != nil {
		return Date{}, err
	}
	if i < -maxIndex || i > maxIndex {
		return Date{}, fmt.Errorf("%w: period %d", ErrRange, i)
	}
	if c.Step.Days != 0 {
		n := i * c.Step.Days
		if n > Last.Sub(c.Origin) || n < First.Sub(c.Origin) {
			return Date{}, fmt.Errorf("%w: period %d", ErrRange, i)
		}
		return c.Origin.AddDays(n), nil
	}
	months := c.Origin.months() + i*c.Step.Months
	if months < First.months() || months > Last.months() {
		return Date{}, fmt.Errorf("%w: period %d", ErrRange, i)
	}
	return dayOfMonth(months, c.day()), nil
}

// Period is period i: boundary i up to boundary i+1.
func (c Cycle) Period(i int) (Period, error) {
	from, err := c.Boundary(i)
	if err != nil {
		return Period{}, err
	}
	to, err := c.Boundary(i + 1)
	if err != nil {
		return Period{}, err
	}
	return Period{from, to}, nil
}

// Index is the number of the period that holds the day.
func (c Cycle) Index(d Date) (int, error) {
	if err := c.Check(); err != nil {
		return 0, err
	}
	if !d.Valid() {
		return 0, fmt.Errorf("%w: %v", ErrDate, d)
	}
	if c.Step.Days != 0 {
		return floorDiv(d.Sub(c.Origin), c.Step.Days), nil
	}
	// The boundary of this index lies in d's month or before; only in d's own month
	// can it still be ahead of d.
	i := floorDiv(d.months()-c.Origin.months(), c.Step.Months)
	months := c.Origin.months() + i*c.Step.Months
	if months == d.months() && dayOfMonth(months, c.day()).After(d) {
		i--
	}
	return i, nil
}

// PeriodOf is the period that holds the day, and its index.
func (c Cycle) PeriodOf(d Date) (Period, int, error) {
	i, err := c.Index(d)
	if err != nil {
		return Period{}, 0, err
	}
	p, err := c.Period(i)
	return p, i, err
}

// Indexes is the half-open range [first, end) of the periods that share a day with p:
// what a bill run has to have billed. ErrPeriod when p is open or backwards.
func (c Cycle) Indexes(p Period) (first, end int, err error) {
	if err := p.Check(); err != nil {
		return 0, 0, err
	}
	if p.Open() {
		return 0, 0, fmt.Errorf("%w: %v has endless periods", ErrPeriod, p)
	}
	if first, err = c.Index(p.From); err != nil || p.Empty() {
		return first, first, err
	}
	last, err := c.Index(p.To.AddDays(-1))
	return first, last + 1, err
}

func (c Cycle) day() int {
	if c.Day != 0 {
		return c.Day
	}
	return c.Origin.Day
}

// floorDiv rounds toward minus infinity, for days before the origin.
func floorDiv(a, b int) int {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}
