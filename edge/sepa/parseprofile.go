package sepa

import (
	"bytes"
	"encoding/json"
	"io"
	"time"

	"tandem/kit/civil"
	"tandem/kit/fault"
)

// written is a Profile in words, as an operator configures it.
type written struct {
	Name    string         `json:"name"`
	Like    string         `json:"like"`    // standard (the default) or classic
	Version string         `json:"version"` // 2009 or 2019
	First   string         `json:"first"`   // marked or recurring
	Charset string         `json:"charset"` // latin, german or utf8
	Core    map[string]int `json:"core"`    // bank days by sequence type: {"FRST": 5}
	B2B     map[string]int `json:"b2b"`
	CutOff  string         `json:"cutOff"` // 14:30
	Zone    string         `json:"zone"`   // Europe/Berlin
	Each    *bool          `json:"each"`   // booked one by one
	Longest int            `json:"longest"`
}

var (
	firstRules = [...]string{"", "marked", "recurring"}
	charsets   = [...]string{"", "latin", "german", "utf8"}
)

// ParseProfile reads the profile of a bank in JSON. What is left out is as in the
// profile that it is like.
//
//	{"name": "Hausbank", "zone": "Europe/Berlin", "version": "2009", "charset": "german",
//	 "core": {"FRST": 5, "RCUR": 2}, "cutOff": "14:30", "first": "recurring"}
func ParseProfile(text []byte) (Profile, error) {
	var in written
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&in); err != nil {
		return Profile{}, fault.BadInput("profileForm", "The bank profile cannot be read: %v", err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return Profile{}, fault.BadInput("profileForm", "Something follows the end of the bank profile %q", in.Name)
	}
	zone, err := civil.LoadZone(in.Zone)
	if err != nil {
		return Profile{}, fault.BadInput("profileZone", "The bank profile %q: %v", in.Name, err)
	}
	p, err := like(in.Like, zone)
	if err == nil {
		err = in.onto(&p)
	}
	if err == nil {
		err = p.Valid()
	}
	if err != nil {
		return Profile{}, err
	}
	return p, nil
}

func like(name string, zone *time.Location) (Profile, error) {
	switch name {
	case "", "standard":
		return Standard(zone), nil
	case "classic":
		return Classic(zone), nil
	}
	return Profile{}, fault.BadInput("profileLike", "There is no bank profile %q to be like; there are standard and classic", name)
}

// onto writes what is said over p.
func (in written) onto(p *Profile) error {
	if in.Name != "" {
		p.Name = in.Name
	}
	for _, word := range []struct {
		what, text string
		names      []string
		set        func(int)
	}{
		{"version of messages", in.Version, versions[:], func(i int) { p.Version = Version(i) }},
		{"rule for first collections", in.First, firstRules[:], func(i int) { p.First = FirstRule(i) }},
		{"set of characters", in.Charset, charsets[:], func(i int) { p.Charset = Charset(i) }},
	} {
		if word.text == "" {
			continue
		}
		i, err := which(word.what, word.text, word.names)
		if err != nil {
			return fault.At("The bank profile "+p.Name, err)
		}
		word.set(i)
	}
	if in.CutOff != "" {
		at, err := time.Parse("15:04", in.CutOff)
		if err != nil {
			return fault.BadInput("profileCutOff", "The cut-off of the bank profile %q is not a time of day such as 14:30", p.Name)
		}
		p.CutOff = time.Duration(at.Hour())*time.Hour + time.Duration(at.Minute())*time.Minute
	}
	if in.Each != nil {
		p.Each = *in.Each
	}
	if in.Longest != 0 {
		p.Longest = in.Longest
	}
	if err := p.Core.read(in.Core, p.Name); err != nil {
		return err
	}
	return p.B2B.read(in.B2B, p.Name)
}

func (l *Lead) read(days map[string]int, profile string) error {
	for text, n := range days {
		s, err := ParseSequence(text)
		if err != nil {
			return fault.At("The bank profile "+profile, err)
		}
		switch s {
		case First:
			l.First = n
		case Recurring:
			l.Recurring = n
		case OneOff:
			l.OneOff = n
		case Final:
			l.Final = n
		}
	}
	return nil
}
