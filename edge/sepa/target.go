package sepa

import (
	"time"

	"tandem/kit/civil"
)

// BankDay tells whether payments settle on d: the TARGET calendar is closed on
// Saturdays, Sundays, 1 January, Good Friday, Easter Monday, 1 May, 25 and 26
// December, in every country of the area.
func BankDay(d civil.Date) bool {
	if w := d.Weekday(); w == time.Saturday || w == time.Sunday {
		return false
	}
	switch {
	case d.Month == time.January && d.Day == 1, d.Month == time.May && d.Day == 1,
		d.Month == time.December && (d.Day == 25 || d.Day == 26):
		return false
	}
	easter := Easter(d.Year)
	return d != easter.AddDays(-2) && d != easter.AddDays(1)
}

// NextBankDay is d itself, or the first bank day after it.
func NextBankDay(d civil.Date) civil.Date {
	for !BankDay(d) && d.Before(civil.Last) {
		d = d.AddDays(1)
	}
	return d
}

// AddBankDays is the n-th bank day after d; n of zero or less is NextBankDay.
func AddBankDays(d civil.Date, n int) civil.Date {
	d = NextBankDay(d)
	for ; n > 0 && d.Before(civil.Last); n-- {
		d = NextBankDay(d.AddDays(1))
	}
	return d
}

// Easter is Easter Sunday of a year in the Gregorian calendar: the Sunday after the
// first ecclesiastical full moon on or after 21 March. The moon repeats its dates
// every 19 years; century years correct both sun and moon.
func Easter(year int) civil.Date {
	golden := year % 19
	century := year / 100
	leapsLeftOut := century - century/4
	moonMoved := (8*century + 13) / 25
	epact := (19*golden + leapsLeftOut - moonMoved + 15) % 30 // days from 21 March to the full moon
	if epact == 29 || epact == 28 && golden > 10 {
		epact-- // two full moons of the cycle would fall on the same date
	}
	moon := civil.Date{Year: year, Month: time.March, Day: 21}.AddDays(epact)
	return moon.AddDays(7 - int(moon.Weekday()))
}
