// Package civil owns dates as people and contracts mean them: a [Date] without
// time, a half-open [Period] of dates, a [Cycle] of billing boundaries, an ISO 8601
// [Duration], and the one crossing from dates to instants, [Date.Start] in a zone.
//
//	Cycle{Origin, Step, Day}                      index -> period, date -> index
//	   |  from the origin, never from the last boundary
//	   v
//	 31 Jan      28 Feb        31 Mar       30 Apr        local dates
//	---[============)[============)[===========)--->
//	   |            |  Period.Span(zone)
//	   v            v
//	 instant      instant      first instant of the local date, also where
//	                           midnight is missing or occurs twice
//
// Periods share their boundary: the day or instant To belongs to the next one. No
// arithmetic here assumes a day of 24 hours. A share of a period is a [Portion] of
// whole numbers that goes on the bill line and into money's Slice or MulRat.
//
// The time zone database is linked in, so a bare container knows every zone.
//
// The package tells no facts and hears none. It returns plain errors that wrap the
// sentinels of errors.go.
package civil
