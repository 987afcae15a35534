package driver

import "slices"

// HLRSubscriber is a SIM in a home location register. Key: IMSI. Attributes: msisdn (digits, empty for none), cs and ps (circuit and
// packet service, "true" or "false"). Secrets: k and opc (32 hexadecimal digits each), both or neither.
const HLRSubscriber = "hlrSubscriber"

// Type is what callers may know about a type of resource without knowing the element.
type Type struct {
	Key        string            // what the key is, in the trade's words
	Attributes []string          // all there are
	Secrets    []string          // all there are
	InService  map[string]string // attributes of a resource in service, where nothing else is said
	Suspended  map[string]string // attributes that take it out of service and leave it on the element
}

// Types are the resources that drivers know.
var Types = map[string]Type{
	HLRSubscriber: {
		Key:        "IMSI",
		Attributes: []string{"msisdn", "cs", "ps"},
		Secrets:    []string{"k", "opc"},
		InService:  map[string]string{"cs": "true", "ps": "true"},
		Suspended:  map[string]string{"cs": "false", "ps": "false"},
	},
}

// HasAttribute reports whether the type has the attribute.
func (t Type) HasAttribute(name string) bool { return slices.Contains(t.Attributes, name) }

// HasSecret reports whether the type has the secret.
func (t Type) HasSecret(name string) bool { return slices.Contains(t.Secrets, name) }
