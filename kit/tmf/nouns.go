package tmf

import (
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"tandem/kit/fault"
	"tandem/kit/money"
)

// Extension is part of every TMF object: its class (TMF630 Part 1, polymorphism)
// and, in Extra, every attribute the struct around it does not know, unchanged.
type Extension struct {
	Type           string         `json:"@type,omitzero"`
	BaseType       string         `json:"@baseType,omitzero"`
	SchemaLocation string         `json:"@schemaLocation,omitzero"`
	Extra          jsontext.Value `json:",embed"`
}

// Entity is embedded by every resource. ID and Href are made by the server.
type Entity struct {
	ID   string `json:"id,omitzero"`
	Href string `json:"href,omitzero"`
	Extension

	rev int64  // revision this value was read at; 0: not stored yet
	raw []byte // the document as it was read
}

// Base gives the machine access to what all resources share.
func (e *Entity) Base() *Entity { return e }

// Rev is the revision this value was read or written at.
func (e *Entity) Rev() int64 { return e.rev }

// Ref points to another resource of any kind.
type Ref struct {
	ID           string `json:"id,omitzero"`
	Href         string `json:"href,omitzero"`
	Name         string `json:"name,omitzero"`
	Version      string `json:"version,omitzero"`
	Role         string `json:"role,omitzero"`
	ReferredType string `json:"@referredType,omitzero"`
	Extension
}

// RelatedParty points to a party or party role that plays a role.
type RelatedParty struct {
	ID           string `json:"id,omitzero" tmf:"required"`
	Href         string `json:"href,omitzero"`
	Name         string `json:"name,omitzero"`
	Role         string `json:"role,omitzero"`
	ReferredType string `json:"@referredType,omitzero"`
	Extension
}

// PartyWithRole is the id of the first party with the role, "" if there is none.
func PartyWithRole(parties []RelatedParty, role string) string {
	for _, p := range parties {
		if p.Role == role {
			return p.ID
		}
	}
	return ""
}

// TimePeriod is half-open: from StartDateTime up to, not including, EndDateTime.
type TimePeriod struct {
	StartDateTime time.Time      `json:"startDateTime,omitzero"`
	EndDateTime   time.Time      `json:"endDateTime,omitzero"`
	Extra         jsontext.Value `json:",embed"`
}

// Holds reports whether t lies in the period; a nil period holds always.
func (p *TimePeriod) Holds(t time.Time) bool {
	if p == nil {
		return true
	}
	return (p.StartDateTime.IsZero() || !t.Before(p.StartDateTime)) && (p.EndDateTime.IsZero() || t.Before(p.EndDateTime))
}

func (p TimePeriod) check(path string) error {
	if p.StartDateTime.IsZero() || p.EndDateTime.IsZero() || !p.EndDateTime.Before(p.StartDateTime) {
		return nil
	}
	return fault.BadInput("invalidPeriod", "%s ends before it starts", path)
}

// Money is a rated amount with its currency (TMF "Money": unit, value).
type Money = money.Rate

// Quantity is an amount with a unit; the amount keeps the digits it came with.
type Quantity struct {
	Amount jsontext.Value `json:"amount,omitzero"`
	Units  string         `json:"units,omitzero"`
	Extra  jsontext.Value `json:",embed"`
}

// Duration is a count of a time unit.
type Duration struct {
	Amount int64          `json:"amount,omitzero"`
	Units  string         `json:"units,omitzero"`
	Extra  jsontext.Value `json:",embed"`
}

// Characteristic is a named value of any JSON type.
type Characteristic struct {
	ID        string         `json:"id,omitzero"`
	Name      string         `json:"name,omitzero" tmf:"required"`
	ValueType string         `json:"valueType,omitzero"`
	Value     jsontext.Value `json:"value,omitzero"`
	Extension
}

// Note is a remark by a person or a system.
type Note struct {
	ID     string    `json:"id,omitzero"`
	Author string    `json:"author,omitzero"`
	Date   time.Time `json:"date,omitzero"`
	Text   string    `json:"text,omitzero"`
	Extension
}

// Attachment is a document by reference or by value.
type Attachment struct {
	ID             string      `json:"id,omitzero"`
	Href           string      `json:"href,omitzero"`
	AttachmentType string      `json:"attachmentType,omitzero"`
	Content        string      `json:"content,omitzero"`
	Description    string      `json:"description,omitzero"`
	MimeType       string      `json:"mimeType,omitzero"`
	Name           string      `json:"name,omitzero"`
	URL            string      `json:"url,omitzero"`
	Size           *Quantity   `json:"size,omitzero"`
	ValidFor       *TimePeriod `json:"validFor,omitzero"`
	ReferredType   string      `json:"@referredType,omitzero"`
	Extension
}

// Place is a site, address or location that plays a role.
type Place struct {
	ID           string `json:"id,omitzero"`
	Href         string `json:"href,omitzero"`
	Name         string `json:"name,omitzero"`
	Role         string `json:"role,omitzero"`
	ReferredType string `json:"@referredType,omitzero"`
	Extension
}

// ExternalReference is an id the thing has elsewhere.
type ExternalReference struct {
	ID                    string `json:"id,omitzero"`
	Href                  string `json:"href,omitzero"`
	ExternalReferenceType string `json:"externalReferenceType,omitzero"`
	Name                  string `json:"name,omitzero"`
	Extension
}

// Text makes a characteristic with a string value.
func Text(name, value string) Characteristic {
	v, err := jsontext.AppendQuote(nil, value)
	if err != nil {
		v = []byte(`""`) // AppendQuote fails on bad UTF-8 only, which no decoder lets in
	}
	return Characteristic{Name: name, ValueType: "string", Value: v}
}

// Value finds a characteristic and gives its value as text: strings unquoted,
// anything else as its JSON. ok is false if it is not there.
func Value(cs []Characteristic, name string) (text string, ok bool) {
	for _, c := range cs {
		if c.Name != name {
			continue
		}
		if c.Value.Kind() == '"' {
			b, err := jsontext.AppendUnquote(nil, c.Value)
			return string(b), err == nil
		}
		return string(c.Value), c.Value != nil
	}
	return "", false
}

// With sets a characteristic, replacing one of the same name; the slice given is
// not changed.
func With(cs []Characteristic, c Characteristic) []Characteristic {
	out := make([]Characteristic, 0, len(cs)+1)
	done := false
	for _, old := range cs {
		if old.Name == c.Name {
			if !done {
				out = append(out, c)
			}
			done = true
			continue
		}
		out = append(out, old)
	}
	if !done {
		out = append(out, c)
	}
	return out
}
