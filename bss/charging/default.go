package charging

import (
	"slices"

	"tandem/bss/charging/core"
	"tandem/bss/rating"
	"tandem/edge/credit"
	"tandem/kit/civil"
	"tandem/kit/fault"
)

// DefaultGrant is a small grant for when nothing better can be said (R10): where what is
// used has no price, while nothing can be written, or to who is not known.
type DefaultGrant struct {
	Service  string         `json:"service"`           // data, voice, sms, mms, broadband, content
	Group    uint32         `json:"group,omitzero"`    // rating group; none: all
	Units    uint64         `json:"units"`             // at a time
	Unit     string         `json:"unit"`              // octets, seconds, events
	Validity civil.Duration `json:"validity,omitzero"` // how long it holds; none: an hour
}

const (
	mostDefaults   = 100
	longestDefault = 24 * 3600 // seconds that a default grant may hold
)

// DefaultGrants are grants as the engine takes them; the first that fits counts.
func DefaultGrants(list []DefaultGrant) (out []core.Default, err error) {
	if len(list) > mostDefaults {
		return nil, nonsense("at most %d default grants", mostDefaults)
	}
	for i := range list {
		d, err := list[i].grant()
		if err != nil {
			return nil, fault.At("default grant of "+list[i].Service, err)
		}
		if slices.ContainsFunc(out, func(x core.Default) bool { return x.Service == d.Service && (x.Group == 0 || x.Group == d.Group) }) {
			return nil, nonsense("the default grant of %s for rating group %d comes after one that is for it already", list[i].Service, d.Group)
		}
		out = append(out, d)
	}
	return out, nil
}

// unitsOfGrant are the units that a default grant may be of.
var unitsOfGrant = map[string]credit.Has{"octets": credit.HasTotal, "seconds": credit.HasSeconds, "events": credit.HasEvents}

func (g *DefaultGrant) grant() (d core.Default, err error) {
	service := slices.Index(services[:], g.Service)
	has, known := unitsOfGrant[g.Unit]
	seconds := rating.Seconds(g.Validity)
	switch {
	case service <= 0:
		return d, nonsense("service is data, voice, sms, mms, broadband or content, not %q", g.Service)
	case !known:
		return d, nonsense("unit is octets, seconds or events, not %q", g.Unit)
	case g.Units == 0 || g.Units > rating.MaxUnits:
		return d, nonsense("units are what is granted at a time: more than none, and no more than an account can hold")
	case g.Validity.Months > 0 || seconds < 0 || seconds > longestDefault:
		return d, nonsense("validity is a length such as PT10M, no longer than a day")
	}
	d = core.Default{Service: credit.Service(service), Group: g.Group, Validity: uint32(seconds)}
	switch d.Units.Has = has; has {
	case credit.HasTotal:
		d.Units.Total = g.Units
	case credit.HasSeconds:
		d.Units.Seconds = g.Units
	default:
		d.Units.Events = g.Units
	}
	return d, nil
}
