package core

import (
	"sync"
	"time"

	"tandem/kit/civil"
)

var zones sync.Map // name -> *time.Location

// zone is a time zone by name; an unknown one is UTC, and the catalogue refuses it
// before it comes here.
func zone(name string) *time.Location {
	if z, ok := zones.Load(name); ok {
		return z.(*time.Location)
	}
	z, err := time.LoadLocation(name)
	if err != nil {
		z = time.UTC
	}
	zones.Store(name, z)
	return z
}

// ends is when a counter that runs now starts from zero again, Unix seconds.
func (t *turn) ends(d *Definition) int64 {
	if d == nil || d.Window > 0 || d.Reset == NoReset {
		return 0 // a window begins with what is counted first
	}
	z := zone(d.Zone)
	now := time.Unix(t.now(), 0).In(z)
	if d.Reset == Daily {
		return civil.Wall(now).AddDays(1).Start(z).Unix()
	}
	return next(t.a.Anchor, now, z, 'm', max(1, d.Months))
}

// next is the first boundary after now of periods counted from an origin, so that
// the 31st stays the 31st where there is one (P2).
func next(origin int64, now time.Time, z *time.Location, unit byte, every int) int64 {
	from := civil.Wall(time.Unix(origin, 0).In(z))
	if every < 1 {
		every = 1
	}
	today := civil.Wall(now)
	n := 0
	if unit == 'd' {
		n = today.Sub(from) / every
	} else {
		n = ((today.Year-from.Year)*12 + int(today.Month) - int(from.Month)) / every
	}
	for n = max(0, n-1); ; n++ {
		d := from.AddMonths(n * every)
		if unit == 'd' {
			d = from.AddDays(n * every)
		}
		if at := d.Start(z).Unix(); at > now.Unix() {
			return at
		}
	}
}

func unix(at int64, z *time.Location) time.Time { return time.Unix(at, 0).In(z) }
