package compute

import (
	"time"

	"tandem/kit/civil"
)

// epoch is day 0 of day numbers.
var epoch = civil.Date{Year: 1970, Month: time.January, Day: 1}

// day is the number of a date.
func day(d civil.Date) int64 { return int64(d.Sub(epoch)) }

// dateOf is the date of a number.
func dateOf(n int64) civil.Date { return epoch.AddDays(int(n)) }

// clock turns instants into local dates of an account and back. The zones it had before
// hold up to the start, in them, of the first date of the next one.
type clock struct {
	zone  *time.Location
	moved []Moved
	// The last instant asked for: the items of a product begin together.
	at   time.Time
	then civil.Date
}

// date is the local date of an instant. It never runs backwards, also not over a move.
func (c *clock) date(t time.Time) civil.Date {
	if t.Equal(c.at) && c.then != (civil.Date{}) {
		return c.then
	}
	c.at, c.then = t, c.read(t)
	return c.then
}

func (c *clock) read(t time.Time) civil.Date {
	least := civil.Date{}
	for _, m := range c.moved {
		if t.Before(m.Until.Start(m.Zone)) {
			return later(civil.DateOf(t, m.Zone), least)
		}
		least = m.Until
	}
	return later(civil.DateOf(t, c.zone), least)
}

// start is the first instant of a local date.
func (c *clock) start(d civil.Date) time.Time {
	var least time.Time
	for _, m := range c.moved {
		if !d.After(m.Until) {
			return latest(d.Start(m.Zone), least)
		}
		least = latest(least, m.Until.Start(m.Zone))
	}
	return latest(d.Start(c.zone), least)
}

// Date is the date of an instant where the account is, in the zone that held then.
func (t *Terms) Date(at time.Time) civil.Date {
	c := clock{zone: t.Zone, moved: t.Moved}
	return c.date(at)
}

// Start is the first instant of a date where the account is, in the zone that held then.
func (t *Terms) Start(d civil.Date) time.Time {
	c := clock{zone: t.Zone, moved: t.Moved}
	return c.start(d)
}

func latest(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}
