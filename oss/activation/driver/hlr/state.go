package hlr

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"tandem/edge/hlr"
	"tandem/oss/activation/driver"
)

// target is a Desired that was understood. A nil field stays as it is on the element.
type target struct {
	imsi   string
	absent bool
	msisdn *string
	cs, ps *bool
	keys   *keys
}

type keys struct{ k, opc hlr.Secret }

// state is what the element has.
type state struct {
	present bool
	sub     hlr.Subscriber
	auth    hlr.Auth // read only for a target with keys
	holder  string   // IMSI of the subscriber that has the desired number, if that was asked
}

func (s state) observed(imsi string) driver.Observed {
	o := driver.Observed{Type: driver.HLRSubscriber, Key: imsi, Present: s.present}
	if s.present {
		o.Attributes = map[string]string{"msisdn": s.sub.MSISDN, "cs": strconv.FormatBool(s.sub.CS), "ps": strconv.FormatBool(s.sub.PS)}
	}
	return o
}

func unknownType(typ string) error {
	return invalid("A home location register has no %q, only %s", typ, driver.HLRSubscriber)
}

func invalid(reason string, args ...any) error {
	return &driver.Error{Class: driver.Validation, Reason: fmt.Sprintf(reason, args...)}
}

// parse checks a Desired. Errors never repeat a secret.
func parse(d driver.Desired) (t target, err error) {
	if d.Type != driver.HLRSubscriber {
		return t, unknownType(d.Type)
	}
	if !digits(d.Key, 6, 15) {
		return t, invalid("%q is not an IMSI, which has 6 to 15 digits", d.Key)
	}
	t = target{imsi: d.Key, absent: d.Absent}
	if d.Absent {
		return t, nil
	}
	for _, name := range slices.Sorted(maps.Keys(d.Attributes)) {
		value := d.Attributes[name]
		switch name {
		case "msisdn":
			if value != "" && !digits(value, 1, 15) {
				return t, invalid("%q is not an MSISDN, which has 1 to 15 digits", value)
			}
			t.msisdn = &value
		case "cs":
			t.cs, err = parseBool(name, value)
		case "ps":
			t.ps, err = parseBool(name, value)
		default:
			err = invalid("A subscriber has no attribute %q", name)
		}
		if err != nil {
			return t, err
		}
	}
	t.keys, err = parseKeys(d.Secrets)
	return t, err
}

func parseBool(name, value string) (*bool, error) {
	if value != "true" && value != "false" {
		return nil, invalid("%s is true or false, not %q", name, value)
	}
	b := value == "true"
	return &b, nil
}

func parseKeys(secrets map[string]driver.Secret) (*keys, error) {
	if len(secrets) == 0 {
		return nil, nil
	}
	var all keys
	for _, name := range slices.Sorted(maps.Keys(secrets)) {
		s, err := hlr.ParseSecret(secrets[name].Reveal())
		switch {
		case name != "k" && name != "opc":
			return nil, invalid("A subscriber has no secret %q", name)
		case err != nil:
			return nil, &driver.Error{Class: driver.Validation, Reason: "The key " + name + " of the SIM is not usable", Err: err}
		case name == "k":
			all.k = s
		default:
			all.opc = s
		}
	}
	if len(secrets) != 2 {
		return nil, invalid("A SIM has two keys, k and opc")
	}
	return &all, nil
}

func digits(s string, least, most int) bool {
	return len(s) >= least && len(s) <= most && strings.Trim(s, "0123456789") == ""
}

func differs[T comparable](want *T, have T) bool { return want != nil && *want != have }

// meets tells whether nothing is left to do.
func (t target) meets(s state) bool {
	if t.absent || !s.present {
		return t.absent && !s.present
	}
	return len(t.changes(s)) == 0
}

// changes are the commands that make s the target, in their order. A prefix of them leaves a state from which the rest is found again.
func (t target) changes(s state) []hlr.Command {
	var out []hlr.Command
	switch {
	case t.absent && !s.present:
		return nil
	case t.absent:
		return []hlr.Command{hlr.DeleteCommand(t.imsi)}
	case !s.present:
		out = append(out, hlr.CreateCommand(t.imsi))
		s = state{present: true, sub: hlr.Subscriber{CS: true, PS: true}} // what the element makes of a new one
	}
	if t.keys != nil && !s.auth.Matches(t.keys.k, t.keys.opc) {
		out = append(out, hlr.MilenageCommand(t.imsi, t.keys.k, t.keys.opc))
	}
	if differs(t.msisdn, s.sub.MSISDN) {
		out = append(out, hlr.MSISDNCommand(t.imsi, *t.msisdn))
	}
	if differs(t.cs, s.sub.CS) {
		out = append(out, hlr.CSCommand(t.imsi, *t.cs))
	}
	if differs(t.ps, s.sub.PS) {
		out = append(out, hlr.PSCommand(t.imsi, *t.ps))
	}
	return out
}

// bars tells whether a phone that may be attached loses a domain, and which access is left to it.
func (t target) bars(s state) (hlr.Access, bool) {
	if !s.present {
		return hlr.Access{}, false
	}
	left := hlr.Access{CS: s.sub.CS, PS: s.sub.PS}
	if t.absent {
		return hlr.Access{}, left.CS || left.PS
	}
	if t.cs != nil {
		left.CS = *t.cs
	}
	if t.ps != nil {
		left.PS = *t.ps
	}
	return left, s.sub.CS && !left.CS || s.sub.PS && !left.PS
}

// conflict tells why the target contradicts what the element has, nil if it does not.
func (t target) conflict(s state) error {
	if t.absent {
		return nil
	}
	if s.holder != "" && s.holder != t.imsi {
		return &driver.Error{Class: driver.Conflict,
			Reason: fmt.Sprintf("MSISDN %s is in use by another subscriber on the element", *t.msisdn)}
	}
	if !s.present && t.keys == nil {
		return &driver.Error{Class: driver.Conflict,
			Reason: fmt.Sprintf("IMSI %s is not on the element, and cannot be created there without its keys", t.imsi)}
	}
	return nil
}
