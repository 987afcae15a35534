package civil

import (
	"fmt"
	"strings"
	"time"
	_ "time/tzdata" // a container image may have no zone files
)

// LoadZone finds an IANA time zone such as "Europe/Berlin". Unlike
// time.LoadLocation it refuses "" and "Local": a bill must not depend on the
// server's own setting.
func LoadZone(name string) (*time.Location, error) {
	if name == "" || strings.EqualFold(name, "local") {
		return nil, fmt.Errorf("%w: %q; name one such as Europe/Berlin", ErrZone, name)
	}
	loc, err := time.LoadLocation(name)
	if err != nil {
		return nil, fmt.Errorf("%w: %.60q; name one such as Europe/Berlin", ErrZone, name)
	}
	return loc, nil
}

// Start is the first instant of the date in the zone, in UTC. Where midnight is
// missing that is the first instant after the gap (01:00 local, say); where it
// occurs twice, the first of the two; where the whole date is missing (Apia,
// 30 December 2011), the start of the next date, so that the missing day is empty.
// Start never runs backwards from one date to the next.
func (d Date) Start(zone *time.Location) time.Time { return d.At(0, zone) }

// At is the first instant at which clocks in the zone show the date and the time of
// day, or more: a time inside a gap gives the end of the gap, a repeated time its
// first pass. The result is in UTC.
func (d Date) At(clock time.Duration, zone *time.Location) time.Time {
	wall := d.midnight().Add(clock)
	// Within one offset of the zone, wall time is instant plus offset. Walk the
	// offsets from a day earlier (no zone is a day ahead of UTC) to the first whose
	// time has come.
	for from := wall.Add(-daySeconds * time.Second); ; {
		offset, end, last := offsetAt(from, zone)
		at := wall.Add(-offset)
		if at.Before(from) { // the clocks jumped over it
			at = from
		}
		if last || at.Before(end) {
			return at.UTC()
		}
		from = end
	}
}

// offsetAt is the zone's offset at the instant and the end of its validity, unless
// it is the last one. The end may come early, never late.
func offsetAt(t time.Time, zone *time.Location) (offset time.Duration, end time.Time, last bool) {
	local := t.In(zone)
	_, seconds := local.Zone()
	_, end = local.ZoneBounds()
	last = end.IsZero()
	if !last && !end.After(t) {
		// In years past the zone file's own table ZoneBounds lets a year end after 365
		// days: on 31 December 2040 its end lies in the past, and a walk along the
		// bounds would stand still. No zone changes its clocks on that day.
		end = t.Add(15 * time.Minute)
	}
	return time.Duration(seconds) * time.Second, end, last
}

// DateOf is the date whose day holds the instant: Start(date) <= t < Start(date+1).
// It is what the wall shows, except in the rare hour after clocks went back over
// midnight, which stays with the day that had already begun.
func DateOf(t time.Time, zone *time.Location) Date {
	d := Wall(t.In(zone))
	if next := d.AddDays(1); next != d && !next.Start(zone).After(t) {
		return next
	}
	return d
}

// ParseInstant reads an RFC 3339 date and time with zone and gives it in UTC. It
// also takes a blank before the zone digits: a "+" that a client forgot to escape
// in a query string arrives as one.
func ParseInstant(text string) (time.Time, error) {
	fixed := strings.ToUpper(text)
	if n := len(fixed) - len("+00:00"); n > 0 && fixed[n] == ' ' {
		fixed = fixed[:n] + "+" + fixed[n+1:]
	}
	fail := fmt.Errorf("%w: %.40q is not like 2026-01-31T12:00:00Z", ErrInstant, text)
	if !rfc3339Shape(fixed) {
		return time.Time{}, fail
	}
	t, err := time.Parse(time.RFC3339Nano, fixed)
	if err != nil {
		return time.Time{}, fail
	}
	if year := t.UTC().Year(); year < 1 || year > 9999 {
		return time.Time{}, fmt.Errorf("%w: %.40q", ErrRange, text)
	}
	return t.UTC(), nil
}

// rfc3339Shape checks the characters of RFC 3339 section 5.6 one by one, because
// time.Parse also takes one-digit hours, a comma for the point and a zone of 24 hours.
func rfc3339Shape(text string) bool {
	const head = "0000-00-00T00:00:00"
	if len(text) <= len(head) || !shaped(text[:len(head)], head) {
		return false
	}
	rest := text[len(head):]
	if tail, found := strings.CutPrefix(rest, "."); found {
		rest = strings.TrimLeft(tail, "0123456789")
		if rest == tail {
			return false
		}
	}
	if rest == "Z" {
		return true
	}
	return (shaped(rest, "+00:00") || shaped(rest, "-00:00")) && rest[1:3] < "24"
}

// shaped tells whether text has a digit where the pattern has a zero and the
// pattern's own character everywhere else.
func shaped(text, pattern string) bool {
	if len(text) != len(pattern) {
		return false
	}
	for i := range len(text) {
		digit := text[i] >= '0' && text[i] <= '9'
		if pattern[i] == '0' && !digit || pattern[i] != '0' && text[i] != pattern[i] {
			return false
		}
	}
	return true
}
