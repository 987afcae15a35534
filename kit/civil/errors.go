package civil

import "errors"

// What can go wrong with dates. Every error of the package wraps one of these.
var (
	// ErrDate: the text or the three numbers are not a date of the years 1 to 9999.
	ErrDate = errors.New("not a date")
	// ErrInstant: the text is not an RFC 3339 date and time with zone.
	ErrInstant = errors.New("not a date and time")
	// ErrDuration: the text is not an ISO 8601 duration.
	ErrDuration = errors.New("not a duration")
	// ErrZone: the name is not in the IANA time zone database.
	ErrZone = errors.New("unknown time zone")
	// ErrPeriod: the period is open, empty or backwards where it must not be.
	ErrPeriod = errors.New("the period cannot be used like this")
	// ErrCycle: the cycle has no usable origin, step or day.
	ErrCycle = errors.New("not a billing cycle")
	// ErrRange: the result lies outside the years 1 to 9999 or is absurdly large.
	ErrRange = errors.New("out of range")
)
