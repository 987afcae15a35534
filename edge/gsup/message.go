package gsup

import (
	"errors"
	"fmt"
)

// msgType is the first octet of a GSUP message. A request has a type divisible by 4, its error is one more, its result two more.
type msgType byte

const (
	updateLocation   msgType = 0x04
	sendAuthInfo     msgType = 0x08
	purgeMS          msgType = 0x0c
	insertSubscriber msgType = 0x10
	deleteSubscriber msgType = 0x14
	locationCancel   msgType = 0x1c
)

func (t msgType) request() msgType { return t &^ 3 }
func (t msgType) isRequest() bool  { return t&3 == 0 }
func (t msgType) isError() bool    { return t&3 == 1 }
func (t msgType) result() msgType  { return t | 2 }

// Tags of information elements: tag, length (1 octet), value.
const (
	tagIMSI      = 0x01
	tagCause     = 0x02
	tagAuthTuple = 0x03
	tagMSISDN    = 0x08
	tagRAND      = 0x20
	tagSRES      = 0x21
	tagKc        = 0x22
	tagIK        = 0x23
	tagCK        = 0x24
	tagAUTN      = 0x25
	tagRES       = 0x27
	tagDomain    = 0x28
)

// element is one information element.
type element struct {
	tag   byte
	value []byte
}

// message is a decoded GSUP message.
type message struct {
	kind     msgType
	elements []element
}

var errTruncated = errors.New("an information element is truncated")

// parseMessage decodes the body behind the extension octet.
func parseMessage(b []byte) (message, error) {
	if len(b) == 0 {
		return message{}, errors.New("an empty message")
	}
	elements, err := parseElements(b[1:])
	return message{msgType(b[0]), elements}, err
}

func parseElements(b []byte) ([]element, error) {
	var list []element
	for len(b) > 0 {
		if len(b) < 2 || len(b) < 2+int(b[1]) {
			return nil, errTruncated
		}
		n := int(b[1])
		list = append(list, element{b[0], b[2 : 2+n]})
		b = b[2+n:]
	}
	return list, nil
}

// append encodes the message.
func (m message) append(b []byte) []byte {
	b = append(b, byte(m.kind))
	for _, e := range m.elements {
		b = append(b, e.tag, byte(len(e.value)))
		b = append(b, e.value...)
	}
	return b
}

// find returns the value of the first element with the tag.
func (m message) find(tag byte) ([]byte, bool) {
	for _, e := range m.elements {
		if e.tag == tag {
			return e.value, true
		}
	}
	return nil, false
}

// imsi returns the digits of the IMSI element, or "" if it is absent or malformed.
func (m message) imsi() string {
	v, _ := m.find(tagIMSI)
	digits, err := decodeBCD(v)
	if err != nil {
		return ""
	}
	return digits
}

// encodeBCD packs digits two in an octet, the first in the low half; an odd end is filled with 0xf.
func encodeBCD(digits string) []byte {
	var b []byte
	for i := range len(digits) {
		d := digits[i] - '0'
		if i%2 == 0 {
			b = append(b, 0xf0|d)
			continue
		}
		b[len(b)-1] = b[len(b)-1]&0x0f | d<<4
	}
	return b
}

func decodeBCD(b []byte) (string, error) {
	var digits []byte
	for i, octet := range b {
		low, high := octet&0x0f, octet>>4
		if low > 9 || high > 9 && (high != 0xf || i != len(b)-1) {
			return "", errors.New("a half octet is not a digit")
		}
		digits = append(digits, '0'+low)
		if high != 0xf {
			digits = append(digits, '0'+high)
		}
	}
	return string(digits), nil
}

// msisdn returns the number of an InsertSubscriberData: a length octet, then packed digits. "" is none.
func (m message) msisdn() (string, error) {
	v, ok := m.find(tagMSISDN)
	if !ok || len(v) == 0 {
		return "", nil
	}
	if int(v[0]) != len(v)-1 {
		return "", fmt.Errorf("an MSISDN of %d octets announces %d", len(v)-1, v[0])
	}
	return decodeBCD(v[1:])
}

// vectors returns the authentication vectors of a SendAuthInfo result.
func (m message) vectors() ([]Vector, error) {
	var list []Vector
	for _, e := range m.elements {
		if e.tag != tagAuthTuple {
			continue
		}
		parts, err := parseElements(e.value)
		if err != nil {
			return nil, err
		}
		var v Vector
		for _, p := range parts {
			if dst := v.field(p.tag); dst != nil {
				*dst = append([]byte(nil), p.value...)
			}
		}
		list = append(list, v)
	}
	return list, nil
}

func (v *Vector) field(tag byte) *[]byte {
	switch tag {
	case tagRAND:
		return &v.RAND
	case tagSRES:
		return &v.SRES
	case tagKc:
		return &v.Kc
	case tagIK:
		return &v.IK
	case tagCK:
		return &v.CK
	case tagAUTN:
		return &v.AUTN
	case tagRES:
		return &v.XRES
	}
	return nil
}
