package radius

import (
	"encoding/binary"
	"math"
	"net/netip"
	"strconv"

	"tandem/kit/fault"
)

const leastInterim = 60 // seconds; RFC 2869 2.1 lets nobody ask for less

// Profile is what a gateway is told to give a user: in an Access-Accept, or in a CoA-Request to a session that runs. What is zero is not
// said.
type Profile struct {
	// Seconds and Octets are the quota (RFC 2865 5.27; octets both ways, in the dialects of the gateway).
	Seconds uint32
	Octets  uint64
	Idle    uint32 // seconds without traffic after which the gateway ends the session
	// Renew has the gateway ask again, with State, when Seconds are over, instead of ending the session (RFC 2865 5.29).
	Renew bool
	// Interim is how often it reports, in seconds; fewer than 60 are raised to 60 (RFC 2869 5.16).
	Interim   uint32
	Address   netip.Addr   // Framed-IP-Address, or Framed-IPv6-Address
	Pool      string       // Framed-Pool: a pool of the gateway's own
	Prefix    netip.Prefix // Framed-IPv6-Prefix, for the link
	Delegated netip.Prefix // Delegated-IPv6-Prefix, for the customer's network
	Filter    string       // Filter-Id: a filter of the gateway's own
	Up, Down  uint64       // bit/s from and to the user, in the dialects of the gateway
	Class     []byte       // it echoes this in every accounting request
	State     []byte       // and this in the Access-Request of Renew
}

// check refuses what no packet can say.
func (p *Profile) check() error {
	for _, v := range []struct {
		name string
		size int
	}{{"pool", len(p.Pool)}, {"filter", len(p.Filter)}, {"class", len(p.Class)}, {"state", len(p.State)}} {
		if v.size > maxValue {
			return fault.BadInput("profileTooLong", "The %s of a RADIUS profile has at most %d octets", v.name, maxValue)
		}
	}
	for _, prefix := range []netip.Prefix{p.Prefix, p.Delegated} {
		if prefix.IsValid() && !prefix.Addr().Is6() {
			return fault.BadInput("profilePrefix", "%s is no IPv6 prefix", prefix)
		}
	}
	if p.Renew && p.Seconds == 0 {
		return fault.BadInput("profileRenew", "A session without a time limit is never renewed")
	}
	return nil
}

// append writes the attributes of the profile.
func (p *Profile) append(b []byte, dialects Vendors) []byte {
	for _, v := range []struct {
		t Type
		n uint32
	}{{SessionTimeout, p.Seconds}, {IdleTimeout, p.Idle}} {
		if v.n > 0 {
			b = AppendUint(b, v.t, v.n)
		}
	}
	if p.Renew {
		b = AppendUint(b, TerminationAction, 1)
	}
	if p.Interim > 0 {
		b = AppendUint(b, AcctInterimInterval, max(p.Interim, leastInterim))
	}
	if p.Address.IsValid() {
		b = appendAddress(b, FramedIPAddress, FramedIPv6Address, p.Address)
	}
	if p.Prefix.IsValid() {
		b = appendPrefix(b, FramedIPv6Prefix, p.Prefix)
	}
	if p.Delegated.IsValid() {
		b = appendPrefix(b, DelegatedIPv6Prefix, p.Delegated)
	}
	b = appendIf(b, FramedPool, p.Pool)
	b = appendIf(b, FilterID, p.Filter)
	b = appendIf(b, Class, p.Class)
	b = appendIf(b, State, p.State)
	b = p.appendQuota(b, dialects)
	return p.appendSpeed(b, dialects)
}

func appendIf[T string | []byte](b []byte, t Type, value T) []byte {
	if len(value) == 0 {
		return b
	}
	return AppendBytes(b, t, value)
}

// appendQuota says how many octets may pass: the low and the high word of the total. A gateway that does not know the high word would
// read a low word of zero as no limit at all, so a quota never has one: it is an octet less.
func (p *Profile) appendQuota(b []byte, dialects Vendors) []byte {
	if p.Octets == 0 {
		return b
	}
	octets := p.Octets
	if uint32(octets) == 0 {
		octets--
	}
	low, high := uint32(octets), uint32(octets>>32)
	if dialects&Mikrotik != 0 {
		b = appendVendorUint(b, vendorMikrotik, 17, low)
		b = appendVendorUint(b, vendorMikrotik, 18, high)
	}
	if dialects&Chilli != 0 {
		b = appendVendorUint(b, vendorChilli, 3, low)
		b = appendVendorUint(b, vendorChilli, 23, high)
	}
	return b
}

// appendSpeed says how fast octets may pass. Mikrotik's text is from the user, a slash, to the user.
func (p *Profile) appendSpeed(b []byte, dialects Vendors) []byte {
	if p.Up == 0 && p.Down == 0 {
		return b
	}
	if dialects&Mikrotik != 0 {
		var text [48]byte
		t := strconv.AppendUint(text[:0], p.Up, 10)
		t = strconv.AppendUint(append(t, '/'), p.Down, 10)
		b = AppendVendor(b, vendorMikrotik, 8, t)
	}
	if dialects&WISPr != 0 {
		b = appendVendorUint(b, vendorWISPr, 7, saturate(p.Up))
		b = appendVendorUint(b, vendorWISPr, 8, saturate(p.Down))
	}
	return b
}

func saturate(n uint64) uint32 { return uint32(min(n, math.MaxUint32)) }

// echoFramed repeats what kind of access was asked for, if it was a framed one: dial-in gateways want to hear it (RFC 2865 5.6, 5.7).
func echoFramed(b []byte, asked Packet) []byte {
	service, _ := asked.Find(ServiceType)
	if n, ok := number(service); !ok || n != serviceFramed {
		return b
	}
	b = AppendUint(b, ServiceType, serviceFramed)
	if v, ok := asked.Find(FramedProtocol); ok && len(v) == 4 {
		b = AppendUint(b, FramedProtocol, binary.BigEndian.Uint32(v))
	}
	return b
}
