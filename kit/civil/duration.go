package civil

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Duration is an ISO 8601 duration: calendar months, calendar days and time on the
// clock, kept apart because a month has no fixed number of days and a day no fixed
// number of hours. Years are 12 months, weeks 7 days.
type Duration struct {
	Months, Days int
	Clock        time.Duration
}

const (
	maxMonths = 12 * 9999
	maxDays   = 366 * 9999
)

// designators of ISO 8601 in the order in which they must come.
const (
	dateDesignators  = "YMWD"
	clockDesignators = "HMS"
)

// ParseDuration reads P1M, P14D, P1Y6M, P2W, PT5M, PT0.5S, P1DT12H. Only seconds
// may have a fraction. Errors: ErrDuration, and ErrRange beyond 9999 years or 292
// years of clock time.
func ParseDuration(text string) (Duration, error) {
	fail := fmt.Errorf("%w: %.40q is not like P1M, P14D or PT5M", ErrDuration, text)
	body, found := strings.CutPrefix(text, "P")
	if !found {
		return Duration{}, fail
	}
	date, clock, timed := strings.Cut(body, "T")
	if timed && clock == "" || !timed && date == "" {
		return Duration{}, fail
	}
	months, days, ok := parseDays(date)
	if !ok {
		return Duration{}, fail
	}
	if months > maxMonths || days > maxDays {
		return Duration{}, fmt.Errorf("%w: %.40q", ErrRange, text)
	}
	elapsed, ok, fits := parseClock(clock)
	if !ok {
		return Duration{}, fail
	}
	if !fits {
		return Duration{}, fmt.Errorf("%w: %.40q", ErrRange, text)
	}
	return Duration{months, days, elapsed}, nil
}

// parseDays reads the part before T. Weeks may stand beside the others: ISO 8601-2
// allows what 8601-1 does not.
func parseDays(text string) (months, days int, ok bool) {
	for text != "" {
		n, _, unit, rest, ok := component(text, dateDesignators)
		if !ok {
			return 0, 0, false
		}
		switch unit {
		case 'Y':
			months += 12 * n
		case 'M':
			months += n
		case 'W':
			days += 7 * n
		case 'D':
			days += n
		}
		text = rest
	}
	return months, days, true
}

// parseClock reads the part after T; fits is false beyond maxClock.
func parseClock(text string) (sum time.Duration, ok, fits bool) {
	for text != "" {
		n, nanos, unit, rest, ok := component(text, clockDesignators)
		if !ok {
			return 0, false, false
		}
		size := time.Second
		switch unit {
		case 'H':
			size = time.Hour
		case 'M':
			size = time.Minute
		}
		if time.Duration(n) > (maxClock-sum)/size {
			return 0, true, false
		}
		sum += time.Duration(n)*size + nanos
		text = rest
	}
	return sum, true, true
}

// maxClock leaves room for the fraction of a second.
const maxClock = time.Duration(1<<63-1) - time.Second

// component cuts one number with designator off the text. Only seconds may have
// nanos; designators keep their order. A number of more than 12 digits is no duration.
func component(text, designators string) (n int, nanos time.Duration, unit byte, rest string, ok bool) {
	i := strings.IndexAny(text, designators)
	if i < 1 {
		return 0, 0, 0, "", false
	}
	number, unit, rest := text[:i], text[i], text[i+1:]
	if unit == 'S' {
		number, nanos, ok = cutFraction(number)
		if !ok {
			return 0, 0, 0, "", false
		}
	}
	if len(number) > 12 || strings.Trim(number, "0123456789") != "" {
		return 0, 0, 0, "", false
	}
	if strings.ContainsAny(rest, designators[:strings.IndexByte(designators, unit)+1]) {
		return 0, 0, 0, "", false // out of order or twice
	}
	n, err := strconv.Atoi(number)
	return n, nanos, unit, rest, err == nil
}

// cutFraction splits 1.5 or 1,5 into 1 and nanoseconds; up to nine digits.
func cutFraction(number string) (whole string, nanos time.Duration, ok bool) {
	at := strings.IndexAny(number, ".,")
	if at < 0 {
		return number, 0, true
	}
	digits := number[at+1:]
	if digits == "" || len(digits) > 9 || strings.Trim(digits, "0123456789") != "" {
		return "", 0, false
	}
	n, err := strconv.Atoi(digits + "000000000"[len(digits):])
	return number[:at], time.Duration(n), err == nil
}

// String is the shortest ISO 8601 form: 14 months are P1Y2M, 14 days P14D, nothing
// PT0S.
func (d Duration) String() string {
	if d == (Duration{}) {
		return "PT0S"
	}
	b := appendPart([]byte("P"), int64(d.Months/12), 'Y')
	b = appendPart(b, int64(d.Months%12), 'M')
	b = appendPart(b, int64(d.Days), 'D')
	if d.Clock == 0 {
		return string(b)
	}
	b = append(b, 'T')
	b = appendPart(b, int64(d.Clock/time.Hour), 'H')
	b = appendPart(b, int64(d.Clock%time.Hour/time.Minute), 'M')
	seconds, nanos := int64(d.Clock%time.Minute/time.Second), int64(d.Clock%time.Second)
	if nanos == 0 {
		return string(appendPart(b, seconds, 'S'))
	}
	fraction := strings.TrimRight(fmt.Sprintf("%09d", nanos), "0")
	return fmt.Sprintf("%s%d.%sS", b, seconds, fraction)
}

func appendPart(b []byte, n int64, unit byte) []byte {
	if n == 0 {
		return b
	}
	return append(strconv.AppendInt(b, n, 10), unit)
}

// MarshalText writes ISO 8601. A negative part is ErrDuration: it has no text form.
func (d Duration) MarshalText() ([]byte, error) {
	if d.Months < 0 || d.Days < 0 || d.Clock < 0 {
		return nil, fmt.Errorf("%w: a part is negative", ErrDuration)
	}
	return []byte(d.String()), nil
}

// UnmarshalText reads ISO 8601.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := ParseDuration(string(text))
	if err != nil {
		return err
	}
	*d = parsed
	return nil
}

// From is the instant the duration after t for clocks in the zone: first months,
// then days, on the local calendar at the same time of day, then the clock part.
// P1D over a change to summer time is 23 hours, PT24H is 24. The result is in UTC.
func (d Duration) From(t time.Time, zone *time.Location) time.Time {
	if d.Months == 0 && d.Days == 0 {
		return t.Add(d.Clock).UTC()
	}
	local := t.In(zone)
	h, m, s := local.Clock()
	clock := time.Duration(h)*time.Hour + time.Duration(m)*time.Minute + time.Duration(s)*time.Second +
		time.Duration(local.Nanosecond())
	return Wall(local).AddMonths(d.Months).AddDays(d.Days).At(clock, zone).Add(d.Clock)
}
