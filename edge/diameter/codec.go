package diameter

import (
	"encoding/binary"
	"math"
	"unicode/utf8"
)

// Command codes.
const (
	cmdCapabilities  = 257
	cmdReAuth        = 258
	cmdAccounting    = 271
	cmdCreditControl = 272
	cmdAbort         = 274
	cmdWatchdog      = 280
	cmdDisconnect    = 282
)

// Applications.
const (
	appBase       = 0
	appAccounting = 3
	appCredit     = 4
	appRelay      = 0xffffffff
)

// Command flags (RFC 6733 3).
const (
	flagRequest    = 0x80
	flagProxiable  = 0x40
	flagError      = 0x20
	flagRetransmit = 0x10
)

// AVP flags (RFC 6733 4.1).
const (
	avpVendor    = 0x80
	avpMandatory = 0x40
)

const (
	headerSize = 20
	vendor3GPP = 10415
)

// header is the fixed part of a message.
type header struct {
	length int // of the whole message
	flags  byte
	code   uint32
	app    uint32
	hop    uint32
	end    uint32
}

// parseHeader reads the first 20 octets; ok is false for another version of the protocol.
func parseHeader(b []byte) (h header, ok bool) {
	h = header{
		length: int(binary.BigEndian.Uint32(b) & 0xffffff),
		flags:  b[4],
		code:   binary.BigEndian.Uint32(b[4:]) & 0xffffff,
		app:    binary.BigEndian.Uint32(b[8:]),
		hop:    binary.BigEndian.Uint32(b[12:]),
		end:    binary.BigEndian.Uint32(b[16:]),
	}
	return h, b[0] == 1
}

// key names an AVP: the vendor in bits 32 to 62, the code below. Bit 63 is set by the writer only: it leaves the M flag out.
type key uint64

const (
	tgpp     key = vendor3GPP << 32
	optional key = 1 << 63
)

func (k key) code() uint32   { return uint32(k) }
func (k key) vendor() uint32 { return uint32(k>>32) & 0x7fffffff }

// avp is one AVP in the buffer it was read into.
type avp struct {
	key   key
	flags byte
	data  []byte
	raw   []byte // with its header, without padding
}

// flaw is why a message, or one AVP of it, cannot be accepted. failed is the AVP to show (RFC 6733 7.5).
type flaw struct {
	code   uint32 // Result-Code
	failed []byte
	reason string
}

func (f *flaw) Error() string { return f.reason }

func (a *avp) flaw(code uint32, reason string) *flaw { return &flaw{code, a.raw, reason} }

// absent is the flaw of a missing AVP: an example with a zero value of the smallest size is shown (RFC 6733 7.1.5).
func absent(k key, size int) *flaw {
	b, at := begin(nil, k)
	b = append(b, make([]byte, size)...)
	return &flaw{resultMissing, end(b, at), "a required AVP is missing"}
}

// cursor walks the AVPs of a message or of a group. left is shared by all cursors of one message and caps the number of AVPs.
type cursor struct {
	b    []byte
	left *int
}

// next returns the next AVP; more is false at the end.
func (c *cursor) next() (a avp, more bool, err *flaw) {
	b := c.b
	if len(b) == 0 {
		return a, false, nil
	}
	if len(b) < 8 {
		return a, false, &flaw{resultAVPLength, failedStub(b, 0), "an AVP is cut off"}
	}
	size := int(binary.BigEndian.Uint32(b[4:]) & 0xffffff)
	a.key, a.flags = key(binary.BigEndian.Uint32(b)), b[4]
	at := 8
	if a.flags&avpVendor != 0 {
		at = 12
	}
	if size < at || size > len(b) {
		return a, false, &flaw{resultAVPLength, failedStub(b, at), "an AVP has an impossible length"}
	}
	if at == 12 {
		a.key |= key(binary.BigEndian.Uint32(b[8:])&0x7fffffff) << 32
	}
	a.data, a.raw = b[at:size], b[:size]
	if *c.left--; *c.left < 0 {
		return a, false, a.flaw(resultTooOften, "the message has too many AVPs")
	}
	c.b = b[min((size+3)&^3, len(b)):]
	return a, true, nil
}

// failedStub is the header of a broken AVP with the length corrected, as far as it can be shown (RFC 6733 7.1.5).
func failedStub(b []byte, at int) []byte {
	if len(b) < 8 || at > len(b) {
		return nil
	}
	stub := append([]byte(nil), b[:at]...)
	stub[5], stub[6], stub[7] = 0, 0, byte(at)
	return stub
}

func (a *avp) u32() (uint32, *flaw) {
	if len(a.data) != 4 {
		return 0, a.flaw(resultAVPLength, "a 32 bit AVP has another length")
	}
	return binary.BigEndian.Uint32(a.data), nil
}

func (a *avp) u64() (uint64, *flaw) {
	if len(a.data) != 8 {
		return 0, a.flaw(resultAVPLength, "a 64 bit AVP has another length")
	}
	return binary.BigEndian.Uint64(a.data), nil
}

// enum reads an Enumerated and refuses values above the last one known.
func (a *avp) enum(last uint32) (uint32, *flaw) {
	v, err := a.u32()
	if err == nil && v > last {
		err = a.flaw(resultBadValue, "an enumerated AVP has an unknown value")
	}
	return v, err
}

// text reads a UTF8String that may not be empty.
func (a *avp) text() ([]byte, *flaw) {
	if len(a.data) == 0 || !utf8.Valid(a.data) {
		return nil, a.flaw(resultBadValue, "a text AVP is empty or not UTF-8")
	}
	return a.data, nil
}

// The era of NTP began 1900; a value with the top bit clear belongs to the next one, from 2036 on (RFC 6733 4.3.1).
const (
	ntpToUnix = 2208988800
	ntpEra    = 1 << 32
)

// time reads a Time as Unix microseconds.
func (a *avp) time() (int64, *flaw) {
	v, err := a.u32()
	t := int64(v) - ntpToUnix
	if v&0x80000000 == 0 {
		t += ntpEra
	}
	return t * 1e6, err
}

// address reads an Address: 2 octets of family, then 4 or 16.
func (a *avp) address() ([]byte, *flaw) {
	if len(a.data) == 6 && a.data[1] == 1 || len(a.data) == 18 && a.data[1] == 2 {
		return a.data[2:], nil
	}
	return nil, a.flaw(resultBadValue, "an address is neither IPv4 nor IPv6")
}

// The writer appends; groups and messages get their length when they end.

// beginMessage appends a header; endMessage writes its length.
func beginMessage(b []byte, flags byte, code, app, hop, end uint32) ([]byte, int) {
	at := len(b)
	b = append(b, 1, 0, 0, 0, flags, byte(code>>16), byte(code>>8), byte(code))
	b = binary.BigEndian.AppendUint32(b, app)
	b = binary.BigEndian.AppendUint32(b, hop)
	return binary.BigEndian.AppendUint32(b, end), at
}

func endMessage(b []byte, at int) []byte {
	n := len(b) - at
	b[at+1], b[at+2], b[at+3] = byte(n>>16), byte(n>>8), byte(n)
	return b
}

// begin appends the header of an AVP whose content follows; end writes its length and pads.
func begin(b []byte, k key) ([]byte, int) {
	at := len(b)
	flags := byte(avpMandatory)
	if k&optional != 0 {
		flags = 0
	}
	b = binary.BigEndian.AppendUint32(b, k.code())
	vendor := k.vendor()
	if vendor == 0 {
		return append(b, flags, 0, 0, 0), at
	}
	b = append(b, flags|avpVendor, 0, 0, 0)
	return binary.BigEndian.AppendUint32(b, vendor), at
}

func end(b []byte, at int) []byte {
	n := len(b) - at
	b[at+5], b[at+6], b[at+7] = byte(n>>16), byte(n>>8), byte(n)
	for ; n&3 != 0; n++ {
		b = append(b, 0)
	}
	return b
}

func appendU32(b []byte, k key, v uint32) []byte {
	b, at := begin(b, k)
	return end(binary.BigEndian.AppendUint32(b, v), at)
}

func appendU64(b []byte, k key, v uint64) []byte {
	b, at := begin(b, k)
	return end(binary.BigEndian.AppendUint64(b, v), at)
}

// appendBytes appends an AVP of octets or text.
func appendBytes[T []byte | string](b []byte, k key, v T) []byte {
	b, at := begin(b, k)
	return end(append(b, v...), at)
}

// appendRaw appends an AVP as it was read, padded.
func appendRaw(b, raw []byte) []byte {
	b = append(b, raw...)
	for n := len(raw); n&3 != 0; n++ {
		b = append(b, 0)
	}
	return b
}

// appendTime appends a Time from Unix microseconds.
func appendTime(b []byte, k key, micros int64) []byte {
	return appendU32(b, k, uint32(micros/1e6+ntpToUnix))
}

// appendAddress appends an Address of 4 or 16 octets; others are left out.
func appendAddress(b []byte, k key, ip []byte) []byte {
	if len(ip) != 4 && len(ip) != 16 {
		return b
	}
	b, at := begin(b, k)
	family := byte(1)
	if len(ip) == 16 {
		family = 2
	}
	return end(append(append(b, 0, family), ip...), at)
}

// clamp32 is v, or the largest value that a 32 bit AVP can hold.
func clamp32(v uint64) uint32 { return uint32(min(v, math.MaxUint32)) }
