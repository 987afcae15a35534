package rating

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"tandem/kit/civil"
)

var weekdays = map[string]time.Weekday{"sun": time.Sunday, "mon": time.Monday, "tue": time.Tuesday,
	"wed": time.Wednesday, "thu": time.Thursday, "fri": time.Friday, "sat": time.Saturday}

const holiday = "holiday"

// hours is a band's time of day in seconds; to is before from if it runs past
// midnight.
type hours struct{ from, to int32 }

func (h hours) late() bool { return h.to < h.from }

func (c *compiler) listBands() (err error) {
	bands := c.plan.Bands
	c.bands, err = index("band", maxBands, namesOf(bands, func(b Band) string { return b.Name }))
	if err != nil {
		return err
	}
	calendars, err := c.readCalendars()
	if err != nil {
		return err
	}
	s := &c.t.times
	all := make([]hours, len(bands))
	s.edges = []int32{0}
	for i := range bands {
		if all[i], err = c.band(&bands[i], 1<<uint(i), calendars); err != nil {
			return err
		}
		s.edges = append(s.edges, all[i].from, all[i].to%daySeconds)
	}
	slices.Sort(s.edges)
	s.edges = slices.Compact(s.edges)
	s.own, s.late = make([]uint64, len(s.edges)), make([]uint64, len(s.edges))
	for k, edge := range s.edges {
		for i, h := range all {
			if h.from <= edge && (edge < h.to || h.late()) {
				s.own[k] |= 1 << uint(i)
			}
			if h.late() && edge < h.to {
				s.late[k] |= 1 << uint(i)
			}
		}
	}
	return nil
}

// readCalendars gives the sorted holidays of each calendar, and of all under "".
func (c *compiler) readCalendars() (map[string][]int32, error) {
	if _, err := index("calendar", maxZones, namesOf(c.plan.Calendars, func(k Calendar) string { return k.Name })); err != nil {
		return nil, err
	}
	out := map[string][]int32{}
	for _, k := range c.plan.Calendars {
		var days []int32
		for _, text := range k.Holidays {
			more, ok := holidaysOf(text)
			if !ok {
				return nil, invalid("Calendar %q: %.40q is not a day such as 2026-04-03, or 12-25 for every year", k.Name, text)
			}
			days = append(days, more...)
		}
		if out[""] = append(out[""], days...); len(k.Holidays) > maxHolidays {
			return nil, invalid("Calendar %q has more than %d holidays", k.Name, maxHolidays)
		}
		out[k.Name] = days
	}
	for _, days := range out {
		slices.Sort(days)
	}
	return out, nil
}

// holidaysOf writes a day out, one without a year for every year it exists in.
func holidaysOf(text string) (days []int32, ok bool) {
	if d, err := civil.ParseDate(text); err == nil {
		return []int32{dayNumber(d)}, true
	}
	leap, err := civil.ParseDate("2000-" + text)
	if err != nil {
		return nil, false
	}
	for year := firstYear; year <= lastYear; year++ {
		if d := (civil.Date{Year: year, Month: leap.Month, Day: leap.Day}); d.Valid() {
			days = append(days, dayNumber(d))
		}
	}
	return days, true
}

func dayNumber(d civil.Date) int32 {
	return int32(d.Sub(civil.Date{Year: 1970, Month: time.January, Day: 1}))
}

// band notes the days of a band and reads its hours.
func (c *compiler) band(b *Band, bit uint64, calendars map[string][]int32) (hours, error) {
	s := &c.t.times
	for _, day := range b.Days {
		wd, known := weekdays[strings.ToLower(day)]
		switch {
		case known:
			s.weekdays[wd] |= bit
		case strings.ToLower(day) != holiday:
			return hours{}, invalid("Band %q: there is no day %q; it must be mon, tue, wed, thu, fri, sat, sun or holiday", b.Name, day)
		case len(calendars) == 0:
			return hours{}, invalid("Band %q is for holidays, but the tariff has no calendar", b.Name)
		default:
			s.holidays |= bit
		}
	}
	if len(b.Days) == 0 {
		return hours{}, invalid("Band %q has no days", b.Name)
	}
	days, known := calendars[b.Calendar]
	if !known && b.Calendar != "" {
		return hours{}, invalid("Band %q: there is no calendar %q", b.Name, b.Calendar)
	}
	s.keep(bit, b.Calendar, days)
	return b.hours()
}

// keep notes whose holidays a band has.
func (s *schedule) keep(band uint64, name string, days []int32) {
	for i := range s.calendars {
		if s.calendars[i].name == name {
			s.calendars[i].bands |= band
			return
		}
	}
	s.calendars = append(s.calendars, calendar{name, band, days})
}

func (b *Band) hours() (hours, error) {
	from, ok1 := timeOfDay(cmp.Or(b.From, "00:00"))
	to, ok2 := timeOfDay(cmp.Or(b.To, "24:00"))
	switch {
	case !ok1 || !ok2 || from == daySeconds:
		return hours{}, invalid("Band %q: from %.20q to %.20q are not times of day such as 08:00 and 18:00", b.Name, b.From, b.To)
	case from == to:
		return hours{}, invalid("Band %q begins and ends at the same time; leave both out for the whole day", b.Name)
	}
	return hours{from, to}, nil
}

// timeOfDay reads HH:MM from 00:00 to 24:00.
func timeOfDay(text string) (seconds int32, ok bool) {
	h, m, found := strings.Cut(text, ":")
	if !found || len(h) != 2 || len(m) != 2 || !isDigits(h+m) {
		return 0, false
	}
	hour, minute := int32(h[0]-'0')*10+int32(h[1]-'0'), int32(m[0]-'0')*10+int32(m[1]-'0')
	seconds = hour*3600 + minute*60
	return seconds, minute < 60 && seconds <= daySeconds
}

// mayMeet says whether two bands can hold at the same instant. Bands of different
// calendars are taken to meet on any day, since a day may be a holiday in one only.
func (c *compiler) mayMeet(a, b int8) bool {
	s := &c.t.times
	same := c.plan.Bands[a].Calendar == c.plan.Bands[b].Calendar
	for k := range s.edges {
		ownA, ownB := s.own[k]>>uint(a)&1 == 1, s.own[k]>>uint(b)&1 == 1
		lateA, lateB := s.late[k]>>uint(a)&1 == 1, s.late[k]>>uint(b)&1 == 1
		if (ownA && ownB || lateA && lateB) && (!same || c.shareDay(a, b, 0)) ||
			ownA && lateB && (!same || c.shareDay(a, b, 1)) || lateA && ownB && (!same || c.shareDay(b, a, 1)) {
			return true
		}
	}
	return false
}

// shareDay says whether a can hold on a day when b holds, or held shift days
// before. A holiday may fall on any day of the week.
func (c *compiler) shareDay(a, b int8, shift int) bool {
	s := &c.t.times
	for wd := range 7 {
		if s.weekdays[wd]>>uint(a)&1 == 1 && s.weekdays[(wd+7-shift)%7]>>uint(b)&1 == 1 {
			return true
		}
	}
	feastA, feastB := s.holidays>>uint(a)&1 == 1, s.holidays>>uint(b)&1 == 1
	if shift == 0 {
		return feastA && feastB
	}
	return feastA || feastB
}

// conflicts refuses two rules that match the same usage with the same rank: nobody
// could say which one holds.
func (c *compiler) conflicts() error {
	type key struct {
		priority    int
		rank        uint8
		destination uint16
		network     uint16
	}
	byKey := map[key][]int{}
	for i := range c.t.criteria {
		x := &c.t.criteria[i]
		k := key{x.priority, x.rank(), x.destination, x.network}
		for _, j := range byKey[k] {
			if c.overlap(x, &c.t.criteria[j]) {
				return invalid("Rules %q and %q match the same usage and neither is more specific; narrow one down or give it a priority",
					c.plan.Rules[j].Name, c.plan.Rules[i].Name)
			}
		}
		byKey[k] = append(byKey[k], i)
	}
	return nil
}

// overlap is for two criteria of the same rank, destination and network.
func (c *compiler) overlap(x, y *criteria) bool {
	if x.service != y.service || x.direction != y.direction || x.access != y.access {
		return false
	}
	if len(x.groups) > 0 && !meet(x.groups, y.groups) || len(x.services) > 0 && !meet(x.services, y.services) {
		return false
	}
	return x.band < 0 || x.band == y.band || c.mayMeet(x.band, y.band)
}

func meet(a, b []uint32) bool {
	return slices.ContainsFunc(a, func(n uint32) bool { return slices.Contains(b, n) })
}
