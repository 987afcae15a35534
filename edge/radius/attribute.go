package radius

import (
	"encoding/binary"
	"net/netip"
)

// Type is the number of an attribute.
type Type uint8

// The attributes that are understood here.
const (
	UserName             Type = 1
	UserPassword         Type = 2
	CHAPPassword         Type = 3
	NASIPAddress         Type = 4
	NASPort              Type = 5
	ServiceType          Type = 6
	FramedProtocol       Type = 7
	FramedIPAddress      Type = 8
	FilterID             Type = 11
	ReplyMessage         Type = 18
	State                Type = 24
	Class                Type = 25
	VendorSpecific       Type = 26
	SessionTimeout       Type = 27
	IdleTimeout          Type = 28
	TerminationAction    Type = 29
	CalledStationID      Type = 30
	CallingStationID     Type = 31
	NASIdentifier        Type = 32
	ProxyState           Type = 33
	AcctStatusType       Type = 40
	AcctDelayTime        Type = 41
	AcctInputOctets      Type = 42
	AcctOutputOctets     Type = 43
	AcctSessionID        Type = 44
	AcctSessionTime      Type = 46
	AcctTerminateCause   Type = 49
	AcctInputGigawords   Type = 52
	AcctOutputGigawords  Type = 53
	EventTimestamp       Type = 55
	CHAPChallenge        Type = 60
	NASPortType          Type = 61
	EAPMessage           Type = 79
	MessageAuthenticator Type = 80
	AcctInterimInterval  Type = 85
	NASPortID            Type = 87
	FramedPool           Type = 88
	NASIPv6Address       Type = 95
	FramedIPv6Prefix     Type = 97
	ErrorCauseType       Type = 101
	DelegatedIPv6Prefix  Type = 123
	FramedIPv6Address    Type = 168
)

// Values of Acct-Status-Type (RFC 2866 5.1).
const (
	statusStart         = 1
	statusStop          = 2
	statusInterim       = 3
	statusAccountingOn  = 7
	statusAccountingOff = 8
)

// Values of Service-Type (RFC 2865 5.6, RFC 5176 3.2).
const (
	serviceFramed        = 2
	serviceAuthorizeOnly = 17
)

// Vendors by their enterprise number.
const (
	vendor3GPP     = 10415
	vendorWISPr    = 14122
	vendorChilli   = 14559
	vendorMikrotik = 14988
)

// Parts of 3GPP's attribute (TS 29.061 16.4.7.2).
const (
	threeIMSI     = 1
	threeSGSNPLMN = 18
	threeIMEISV   = 20
	threeRAT      = 21
	threeLocation = 22
)

// number reads an attribute of four octets.
func number(value []byte) (n uint32, ok bool) {
	if len(value) != 4 {
		return 0, false
	}
	return binary.BigEndian.Uint32(value), true
}

// appendAddress appends an IPv4 or an IPv6 address under the type that goes with it.
func appendAddress(b []byte, four, six Type, a netip.Addr) []byte {
	if a = a.Unmap(); a.Is4() {
		v := a.As4()
		return AppendBytes(b, four, v[:])
	}
	v := a.As16()
	return AppendBytes(b, six, v[:])
}

// appendPrefix appends an IPv6 prefix: a reserved octet, its length, and the octets that matter (RFC 3162 2.3).
func appendPrefix(b []byte, t Type, p netip.Prefix) []byte {
	v := p.Masked().Addr().As16()
	n := (p.Bits() + 7) / 8
	b = append(b, byte(t), byte(4+n), 0, byte(p.Bits()))
	return append(b, v[:n]...)
}

// prefixOf checks the value of an IPv6 prefix and returns it from its length on, as credit.Request has it. Octets that do not matter
// may follow up to the whole address.
func prefixOf(value []byte) (prefix []byte, ok bool) {
	if len(value) < 2 || len(value) > 18 || value[1] > 128 || len(value)-2 < (int(value[1])+7)/8 {
		return nil, false
	}
	return value[1 : 2+(int(value[1])+7)/8], true
}
