package civil

import (
	"cmp"
	"database/sql/driver"
	"fmt"
	"time"
)

// Date is a day of the Gregorian calendar, without zone and time. It is comparable
// with ==. The zero Date is no date: an absent column, the open end of a Period.
type Date struct {
	Year  int
	Month time.Month
	Day   int
}

// First and Last bound all dates. AddDays and AddMonths stop there.
var (
	First = Date{1, time.January, 1}
	Last  = Date{9999, time.December, 31}
)

// ParseDate reads ISO 8601 "2026-01-31", nothing shorter or longer.
func ParseDate(text string) (Date, error) {
	fail := fmt.Errorf("%w: %.20q is not a day such as 2026-01-31", ErrDate, text)
	if len(text) != 10 || text[4] != '-' || text[7] != '-' {
		return Date{}, fail
	}
	year, ok1 := twoDigits(text[0:2])
	rest, ok2 := twoDigits(text[2:4])
	month, ok3 := twoDigits(text[5:7])
	day, ok4 := twoDigits(text[8:10])
	d := Date{year*100 + rest, time.Month(month), day}
	if !ok1 || !ok2 || !ok3 || !ok4 || !d.Valid() {
		return Date{}, fail
	}
	return d, nil
}

func twoDigits(s string) (int, bool) {
	if s[0] < '0' || s[0] > '9' || s[1] < '0' || s[1] > '9' {
		return 0, false
	}
	return int(s[0]-'0')*10 + int(s[1]-'0'), true
}

// Wall is the date that the calendar on the wall shows at t, in t's own zone. To
// file usage under days take DateOf, which never runs backwards.
func Wall(t time.Time) Date {
	y, m, d := t.Date()
	return Date{y, m, d}
}

// MonthDays is the number of days of a month.
func MonthDays(year int, month time.Month) int {
	switch month {
	case time.April, time.June, time.September, time.November:
		return 30
	case time.February:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	}
	return 31
}

// Valid tells whether d is a real day of the years 1 to 9999.
func (d Date) Valid() bool {
	return d.Year >= 1 && d.Year <= 9999 && d.Month >= time.January && d.Month <= time.December &&
		d.Day >= 1 && d.Day <= MonthDays(d.Year, d.Month)
}

// String is "2026-01-31", or "-" for no date.
func (d Date) String() string {
	if d == (Date{}) {
		return "-"
	}
	return fmt.Sprintf("%04d-%02d-%02d", d.Year, int(d.Month), d.Day)
}

// Compare is -1, 0 or +1 as d is before, equal to or after e.
func (d Date) Compare(e Date) int {
	return cmp.Or(cmp.Compare(d.Year, e.Year), cmp.Compare(d.Month, e.Month), cmp.Compare(d.Day, e.Day))
}

// Before tells whether d is an earlier day than e.
func (d Date) Before(e Date) bool { return d.Compare(e) < 0 }

// After tells whether d is a later day than e.
func (d Date) After(e Date) bool { return d.Compare(e) > 0 }

// Weekday is the day of the week.
func (d Date) Weekday() time.Weekday { return d.midnight().Weekday() }

// Sub is the number of days from e to d: 1 from yesterday to today.
func (d Date) Sub(e Date) int { return d.number() - e.number() }

// AddDays is the day n days later, at most Last, at least First.
func (d Date) AddDays(n int) Date {
	switch {
	case n > Last.Sub(d):
		return Last
	case n < First.Sub(d):
		return First
	}
	return dateOf(d.number() + n)
}

// AddMonths is the same day n months later, or the last of that month if it is
// shorter: 31 January plus 1 is 28 or 29 February. Adding again to the result loses
// the 31; recurring dates come from a Cycle. Stops at First and Last.
func (d Date) AddMonths(n int) Date {
	switch at := d.months(); {
	case n > Last.months()-at:
		return Last
	case n < First.months()-at:
		return First
	default:
		return dayOfMonth(at+n, d.Day)
	}
}

// MarshalText writes ISO 8601. The zero Date is an error: leave it out (omitzero).
func (d Date) MarshalText() ([]byte, error) {
	if !d.Valid() {
		return nil, fmt.Errorf("%w: %v", ErrDate, d)
	}
	return []byte(d.String()), nil
}

// UnmarshalText reads ISO 8601.
func (d *Date) UnmarshalText(text []byte) error {
	parsed, err := ParseDate(string(text))
	if err != nil {
		return err
	}
	*d = parsed
	return nil
}

// Value stores ISO 8601 text, which sorts as the dates do; no date is NULL.
func (d Date) Value() (driver.Value, error) {
	if d == (Date{}) {
		return nil, nil
	}
	if !d.Valid() {
		return nil, fmt.Errorf("%w: %v", ErrDate, d)
	}
	return d.String(), nil
}

// Scan reads text or a driver's own date value.
func (d *Date) Scan(src any) error {
	switch v := src.(type) {
	case nil:
		*d = Date{}
		return nil
	case string:
		return d.UnmarshalText([]byte(v))
	case []byte:
		return d.UnmarshalText(v)
	case time.Time:
		*d = Wall(v)
		return nil
	}
	return fmt.Errorf("%w: cannot read a date from a column of type %T", ErrDate, src)
}

const daySeconds = 24 * 60 * 60 // of a day in UTC; local days differ, see zone.go

// midnight is the start of d in UTC.
func (d Date) midnight() time.Time {
	return time.Date(d.Year, d.Month, d.Day, 0, 0, 0, 0, time.UTC)
}

const (
	fourYears, century, leapCycle = 1461, 36_524, 146_097 // days of 4, 100 and 400 years
	march0000                     = 719_468               // days from 1 March of the year 0 to 1970-01-01
)

// number counts days, 0 being 1970-01-01. Years are counted from March, so that the leap
// day is the last of its year, and month lengths follow 153 days for five months.
func (d Date) number() int {
	year, month := d.Year, int(d.Month)-3
	if month < 0 {
		year, month = year-1, month+12
	}
	return year*365 + floorDiv(year, 4) - floorDiv(year, 100) + floorDiv(year, 400) + (153*month+2)/5 + d.Day - 1 - march0000
}

// dateOf is the inverse of number.
func dateOf(n int) Date {
	n += march0000
	cycle := floorDiv(n, leapCycle)
	n -= cycle * leapCycle
	// Without the leap days so far in the cycle every year has 365 days.
	year := (n - n/(fourYears-1) + n/century - n/(leapCycle-1)) / 365
	n -= year*365 + year/4 - year/100
	month := (5*n + 2) / 153
	day := n - (153*month+2)/5 + 1
	year += cycle * 400
	if month += 3; month > 12 {
		year, month = year+1, month-12
	}
	return Date{year, time.Month(month), day}
}

// months counts months, 0 being January of the year 0.
func (d Date) months() int { return d.Year*12 + int(d.Month) - 1 }

// dayOfMonth is a day in a month counted as by months, or the month's last day.
func dayOfMonth(months, day int) Date {
	year, month := months/12, time.Month(months%12+1)
	return Date{year, month, min(day, MonthDays(year, month))}
}
