package rating

import (
	"cmp"
	"math"
	"slices"
	"time"
)

const daySeconds = 24 * 60 * 60

// schedule says which bands hold at an instant and when that changes. It is the
// zone's history and the bands as flat tables, so that a question costs some tens
// of nanoseconds and no memory. Days count from 1970-01-01.
type schedule struct {
	shifts    []shift
	edges     []int32 // seconds into the day at which a band begins or ends, from 0
	own       []uint64
	late      []uint64  // own and late: by edge, bands that hold if the day, or the day before, is theirs
	weekdays  [7]uint64 // bands by weekday, Sunday first
	holidays  uint64    // bands that hold on holidays
	calendars []calendar
}

// calendar is the holidays of some bands.
type calendar struct {
	name  string
	bands uint64
	days  []int32 // sorted
}

// shift is an offset from UTC and the instant from which it holds.
type shift struct{ at, offset int64 }

// Years for which clock changes are known; later ones keep the last offset.
const firstYear, lastYear = 1970, 2100

// shiftsOf writes out the clock changes of a zone.
func shiftsOf(zone *time.Location) []shift {
	t := time.Date(firstYear, 1, 1, 0, 0, 0, 0, time.UTC)
	last := time.Date(lastYear+1, 1, 1, 0, 0, 0, 0, time.UTC)
	shifts := []shift{{math.MinInt64, offsetAt(t, zone)}}
	for t.Before(last) {
		_, end := t.In(zone).ZoneBounds()
		if end.IsZero() {
			break
		}
		if !end.After(t) { // beyond the zone file, on the last day of a leap year
			end = t.Add(15 * time.Minute)
		}
		t = end
		if offset := offsetAt(t, zone); offset != shifts[len(shifts)-1].offset {
			shifts = append(shifts, shift{t.Unix(), offset})
		}
	}
	return shifts
}

func offsetAt(t time.Time, zone *time.Location) int64 {
	_, offset := t.In(zone).Zone()
	return int64(offset)
}

// shiftAt is the index of the shift that holds at an instant.
func (s *schedule) shiftAt(at int64) int {
	i, found := slices.BinarySearchFunc(s.shifts, at, func(f shift, at int64) int { return cmp.Compare(f.at, at) })
	if found {
		return i
	}
	return i - 1
}

// instant is when clocks show the second of the day for the first time, or more: the
// rule of civil.Date.At on flat tables. i is a shift that holds at least a day
// before.
func (s *schedule) instant(i int, day int64, second int32) int64 {
	wall := day*daySeconds + int64(second)
	from := wall - daySeconds // no zone is a day ahead of UTC
	for i+1 < len(s.shifts) && s.shifts[i+1].at <= from {
		i++
	}
	for ; ; i++ {
		at := max(wall-s.shifts[i].offset, from)
		if i+1 == len(s.shifts) || at < s.shifts[i+1].at {
			return at
		}
		from = s.shifts[i+1].at
	}
}

// day is the local day that holds an instant: once it has begun, clocks that go
// back over midnight do not end it. i is as for instant.
func (s *schedule) day(i int, at int64) int64 {
	now := i
	for now+1 < len(s.shifts) && s.shifts[now+1].at <= at {
		now++
	}
	local := at + s.shifts[now].offset
	day := local / daySeconds
	if local%daySeconds < 0 {
		day--
	}
	if s.instant(i, day+1, 0) <= at {
		return day + 1
	}
	return day
}

// bands that are of a day.
func (s *schedule) bands(day int64) uint64 {
	held := s.weekdays[((day+4)%7+7)%7] // 1970-01-01 was a Thursday
	for i := range s.calendars {
		c := &s.calendars[i]
		if _, found := slices.BinarySearch(c.days, int32(day)); found {
			held = held&^c.bands | s.holidays&c.bands
		}
	}
	return held
}

// latest keeps days and instants far from the ends of their types.
const latest = 1 << 36

// pick is the first choice whose band holds at an instant, -1 if there is none, and
// the next instant at which that changes, 0 if none does within the horizon.
func (s *schedule) pick(choices []choice, at int64) (rate, until int64) {
	at = min(max(at, -latest), latest)
	shift := s.shiftAt(at - 3*daySeconds)
	day := s.day(shift, at)
	k := len(s.edges) - 1
	for k > 0 && s.instant(shift, day, s.edges[k]) > at {
		k--
	}
	before, today := s.bands(day-1), s.bands(day)
	rate = first(choices, s.own[k]&today|s.late[k]&before)
	for {
		if k++; k == len(s.edges) {
			k, day = 0, day+1
			before, today = today, s.bands(day)
		}
		if first(choices, s.own[k]&today|s.late[k]&before) == rate && k > 0 {
			continue
		}
		from, to := s.interval(shift, day, k)
		if from > at+horizon {
			return rate, 0
		}
		if from < to && first(choices, s.own[k]&today|s.late[k]&before) != rate {
			return rate, from
		}
	}
}

// interval is the time from an edge to the next one; a gap in the clocks leaves it
// empty.
func (s *schedule) interval(shift int, day int64, k int) (from, to int64) {
	from = s.instant(shift, day, s.edges[k])
	if k+1 < len(s.edges) {
		return from, s.instant(shift, day, s.edges[k+1])
	}
	return from, s.instant(shift, day+1, 0)
}

func first(choices []choice, held uint64) int64 {
	for _, c := range choices {
		if c.band < 0 || held>>uint(c.band)&1 == 1 {
			return int64(c.rate)
		}
	}
	return -1
}
