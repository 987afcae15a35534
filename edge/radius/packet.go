package radius

import (
	"encoding/binary"
	"errors"
	"iter"
)

// Code is the kind of a packet (RFC 2865 3, RFC 2866 3, RFC 5176 2.3, RFC 5997).
type Code uint8

// The codes that are spoken here.
const (
	AccessRequest      Code = 1
	AccessAccept       Code = 2
	AccessReject       Code = 3
	AccountingRequest  Code = 4
	AccountingResponse Code = 5
	AccessChallenge    Code = 11
	StatusServer       Code = 12
	DisconnectRequest  Code = 40
	DisconnectACK      Code = 41
	DisconnectNAK      Code = 42
	CoARequest         Code = 43
	CoAACK             Code = 44
	CoANAK             Code = 45
)

const (
	headSize  = 20 // code, identifier, length (2), authenticator (16)
	MaxPacket = 4096
	maxValue  = 253 // octets of one attribute's value
)

// Errors of Parse.
var (
	ErrShort     = errors.New("radius: the packet is shorter than it says or than its head")
	ErrLong      = errors.New("radius: the packet says that it has more than 4096 octets")
	ErrAttribute = errors.New("radius: an attribute does not fit the packet")
)

// Packet is one RADIUS packet that Parse found well formed. It lies in the buffer it was read into.
type Packet []byte

// Parse finds the packet in a datagram. Octets behind its length are padding; a datagram shorter than its length, and attributes that
// do not fill the packet exactly, are refused (RFC 2865 3, 5).
func Parse(b []byte) (Packet, error) {
	if len(b) < headSize {
		return nil, ErrShort
	}
	n := int(binary.BigEndian.Uint16(b[2:]))
	if n > MaxPacket {
		return nil, ErrLong
	}
	if n < headSize || n > len(b) {
		return nil, ErrShort
	}
	if !wellFormed(b[headSize:n]) {
		return nil, ErrAttribute
	}
	return Packet(b[:n]), nil
}

// wellFormed tells whether attributes fill their room exactly.
func wellFormed(rest []byte) bool {
	for len(rest) > 0 {
		if len(rest) < 2 || rest[1] < 2 || int(rest[1]) > len(rest) {
			return false
		}
		rest = rest[rest[1]:]
	}
	return true
}

// Code is the kind of the packet.
func (p Packet) Code() Code { return Code(p[0]) }

// ID matches requests and replies.
func (p Packet) ID() byte { return p[1] }

// Authenticator is the 16 octets that make a request unique and prove a reply.
func (p Packet) Authenticator() []byte { return p[4:headSize] }

// All walks the attributes in their order.
func (p Packet) All() iter.Seq2[Type, []byte] {
	return func(yield func(Type, []byte) bool) {
		for rest := p[headSize:]; len(rest) > 0; rest = rest[rest[1]:] {
			if !yield(Type(rest[0]), rest[2:rest[1]:rest[1]]) {
				return
			}
		}
	}
}

// Find returns the value of the first attribute of a type.
func (p Packet) Find(t Type) (value []byte, ok bool) {
	for at, v := range p.All() {
		if at == t {
			return v, true
		}
	}
	return nil, false
}

// offset is where the value of the first attribute of a type begins; 0 if there is none.
func (p Packet) offset(t Type) int {
	for i := headSize; i < len(p); i += int(p[i+1]) {
		if Type(p[i]) == t {
			return i + 2
		}
	}
	return 0
}

// Vendor walks the parts of a Vendor-Specific attribute that keeps to the form of RFC 2865 5.26; one that does not has no parts.
func Vendor(value []byte) (id uint32, parts iter.Seq2[uint8, []byte]) {
	var rest []byte
	if len(value) >= 4 {
		id, rest = binary.BigEndian.Uint32(value), value[4:]
	}
	return id, func(yield func(uint8, []byte) bool) {
		for r := rest; len(r) >= 2 && r[1] >= 2 && int(r[1]) <= len(r); r = r[r[1]:] {
			if !yield(r[0], r[2:r[1]]) {
				return
			}
		}
	}
}

// AppendHead begins a packet: the length is wrong and the authenticator zero until it is signed.
func AppendHead(b []byte, code Code, id byte) []byte {
	b = append(b, byte(code), id, 0, headSize)
	return append(b, zero[:]...)
}

var zero [16]byte

// AppendBytes appends an attribute. A value of more than 253 octets is a mistake of the caller.
func AppendBytes[T string | []byte](b []byte, t Type, value T) []byte {
	if len(value) > maxValue {
		panic("radius: an attribute has at most 253 octets")
	}
	b = append(b, byte(t), byte(2+len(value)))
	return append(b, value...)
}

// AppendUint appends an attribute of four octets: an integer, a time, seconds.
func AppendUint(b []byte, t Type, value uint32) []byte {
	b = append(b, byte(t), 6)
	return binary.BigEndian.AppendUint32(b, value)
}

// AppendVendor appends one vendor's attribute in the form of RFC 2865 5.26.
func AppendVendor[T string | []byte](b []byte, vendor uint32, t uint8, value T) []byte {
	if len(value) > maxValue-6 {
		panic("radius: a vendor's attribute has at most 247 octets")
	}
	b = append(b, byte(VendorSpecific), byte(8+len(value)))
	b = binary.BigEndian.AppendUint32(b, vendor)
	b = append(b, t, byte(2+len(value)))
	return append(b, value...)
}

func appendVendorUint(b []byte, vendor uint32, t uint8, value uint32) []byte {
	var v [4]byte
	binary.BigEndian.PutUint32(v[:], value)
	return AppendVendor(b, vendor, t, v[:])
}

// appendMAC appends the place for a Message-Authenticator. It comes first, so that nothing an attacker chooses can stand before it
// (CVE-2024-3596); seal and the signers of requests fill it.
func appendMAC(b []byte) []byte { return AppendBytes(b, MessageAuthenticator, zero[:]) }

// setLength writes the packet's length into its head; false means that it has grown beyond what RADIUS can carry.
func setLength(p []byte) bool {
	binary.BigEndian.PutUint16(p[2:], uint16(len(p)))
	return len(p) <= MaxPacket
}
