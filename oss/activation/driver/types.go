package driver

import (
	"maps"
	"slices"
)

// HLRSubscriber is a SIM in a home location register. Key: IMSI. Attributes: msisdn (digits, empty for none), cs and ps (circuit and
// packet service, "true" or "false"). Secrets: k and opc (32 hexadecimal digits each), both or neither.
const HLRSubscriber = "hlrSubscriber"

// RADIUSUser is a line's login at an access server. Key: the user name. Attributes: ipv4 (what it is told as its address, empty for
// whatever the gateway gives), profile (name of the gateway's own filter, empty for none), down and up (kbit/s to and from the user; 0: the gateway's
// own), slowDown and slowUp (the same while nothing is left to use), empty (what happens then: "throttle" or "disconnect") and enabled
// ("true" or "false"). Secret: password.
const RADIUSUser = "radiusUser"

// DHCPReservation keeps an address for one client of a DHCP server. Key: the IPv4 address. Attributes: login (what the client calls
// itself in the client identifier, RFC 2132 9.14, behind an octet of zero).
const DHCPReservation = "dhcpReservation"

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
	RADIUSUser: {
		Key:        "user name",
		Attributes: []string{"ipv4", "profile", "down", "up", "slowDown", "slowUp", "empty", "enabled"},
		Secrets:    []string{"password"},
		InService:  map[string]string{"enabled": "true"},
		Suspended:  map[string]string{"enabled": "false"},
	},
	DHCPReservation: {
		Key:        "IPv4 address",
		Attributes: []string{"login"},
	},
}

// held are the types of resources that a type of element holds.
var held = map[string][]string{"osmo-hlr": {HLRSubscriber}, "tandem-aaa": {RADIUSUser}, "kea-dhcp4": {DHCPReservation}}

// HeldBy lists the types of resources that a type of element can hold: all there are, if that is not known.
func HeldBy(element string) []string {
	if list := held[element]; list != nil {
		return list
	}
	return slices.Sorted(maps.Keys(Types))
}

// HasAttribute reports whether the type has the attribute.
func (t Type) HasAttribute(name string) bool { return slices.Contains(t.Attributes, name) }

// HasSecret reports whether the type has the secret.
func (t Type) HasSecret(name string) bool { return slices.Contains(t.Secrets, name) }
