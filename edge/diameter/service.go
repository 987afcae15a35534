package diameter

import (
	"bytes"

	"tandem/edge/credit"
)

var domain3GPP = []byte("@3gpp.org")

// serviceOf reads a Service-Context-Id: the number of the specification stands before @3gpp.org, perhaps behind release, operator and
// extension, as in ext.01.001.8.32260@3gpp.org (TS 32.299 7.1.12). Contexts of the operator's own come first.
func serviceOf(id []byte, own []Context) credit.Service {
	for i := range own {
		if bytes.HasSuffix(id, []byte(own[i].Suffix)) {
			return own[i].Service
		}
	}
	name, ok := bytes.CutSuffix(id, domain3GPP)
	if !ok {
		return credit.UnknownService
	}
	switch string(name[bytes.LastIndexByte(name, '.')+1:]) {
	case "32251", "32255":
		return credit.Data
	case "32260", "32275", "32276":
		return credit.Voice
	case "32274":
		return credit.SMS
	case "32270":
		return credit.MMS
	}
	return credit.UnknownService
}

// service reads a Service-Information (TS 32.299 7.2.192). It is a record more than a command: AVPs of 3GPP in it that mean nothing
// here are left alone even if they are marked mandatory.
func (r *reading) service(a *avp) *flaw {
	return r.each(a, func(r *reading, a *avp) *flaw {
		switch a.key {
		case subscriptionID:
			return r.subscription(a)
		case psInformation:
			return r.each(a, (*reading).packet)
		case imsInformation:
			return r.each(a, (*reading).call)
		case smsInformation, mmsInformation:
			return r.each(a, (*reading).shortMessage)
		}
		return r.foreign(a)
	})
}

// maxDepth is how deep groups nest inside Service-Information.
const maxDepth = 6

// each reads the AVPs of a group one by one. They lie in r, since an argument of a function value would go to the heap.
func (r *reading) each(group *avp, read func(*reading, *avp) *flaw) *flaw {
	if r.depth == maxDepth {
		return group.flaw(resultBadValue, "groups are nested too deep")
	}
	a := &r.stack[r.depth]
	r.depth++
	c := cursor{group.data, &r.left}
	for {
		var more bool
		var err *flaw
		if *a, more, err = c.next(); err == nil && more {
			err = read(r, a)
		}
		if err != nil || !more {
			r.depth--
			return err
		}
	}
}

func (r *reading) foreign(a *avp) *flaw {
	if a.key.vendor() == vendor3GPP {
		return nil
	}
	return r.other(a)
}

// packet reads an AVP of PS-Information.
func (r *reading) packet(a *avp) *flaw {
	q := r.request
	var err *flaw
	switch a.key {
	case tgppChargingID:
		q.ChargingID = a.data
	case calledStation:
		q.Access, err = a.text()
	case pdpAddress:
		if q.Address == nil {
			q.Address, err = a.address()
		}
	case sgsnAddress, sgwAddress:
		q.Node, err = a.address()
	case sgsnMCCMNC:
		if v := plmnDigits(a.data); v != 0 {
			q.PLMN = v
		}
	case ratType:
		if len(a.data) > 0 {
			q.RAT = a.data[len(a.data)-1]
		}
	case userLocation:
		q.Location = a.data
		if q.PLMN == 0 {
			q.PLMN = plmnOfLocation(a.data)
		}
	case msTimeZone:
		q.Zone, q.HasZone = zone(a.data)
	case userEquipment:
		err = r.equipment(a)
	case terminalInfo:
		err = r.each(a, func(r *reading, a *avp) *flaw {
			if a.key == terminalIMEI {
				r.request.Device = a.data
			}
			return r.foreign(a)
		})
	case dataContainer:
		err = r.container(a)
	case dataVolumes:
		err = r.volumes(a)
	default:
		err = r.foreign(a)
	}
	return err
}

// Role-Of-Node and SM-Message-Type say which side is charged.
const (
	roleTerminating = 1
	messageDelivery = 3
)

// call reads an AVP of IMS-Information.
func (r *reading) call(a *avp) *flaw {
	q := r.request
	switch a.key {
	case roleOfNode:
		v, err := a.u32()
		q.Incoming = v == roleTerminating
		return err
	case callingParty: // several: the number is the better name
		if p := party(a.data); q.Calling == nil || digits(p) && !digits(q.Calling) {
			q.Calling = p
		}
	case calledParty:
		q.Called = party(a.data)
	case calledAsserted:
		if q.Called == nil {
			q.Called = party(a.data)
		}
	case imsChargingID:
		q.ChargingID = a.data
	case imsServiceID:
		q.Item = a.data
	default:
		return r.foreign(a)
	}
	return nil
}

// shortMessage reads an AVP of SMS-Information or MMS-Information.
func (r *reading) shortMessage(a *avp) *flaw {
	q := r.request
	switch a.key {
	case originatorReceived, originatorAddress:
		return r.addressOf(a, &q.Calling)
	case recipientInfo:
		return r.each(a, func(r *reading, a *avp) *flaw {
			if a.key == recipientAddress {
				return r.addressOf(a, &r.request.Called)
			}
			return r.foreign(a)
		})
	case recipientAddress:
		return r.addressOf(a, &q.Called)
	case smMessageType:
		v, err := a.u32()
		q.Incoming = v == messageDelivery
		return err
	case numberOfMessages:
		v, err := a.u32()
		r.parts = uint64(v)
		return err
	}
	return r.foreign(a)
}

// addressOf reads the Address-Data of a party; the first recipient counts.
func (r *reading) addressOf(group *avp, to *[]byte) *flaw {
	c := cursor{group.data, &r.left}
	for {
		a, more, err := c.next()
		if err != nil || !more {
			return err
		}
		if a.key == addressData && *to == nil {
			*to = party(a.data)
		}
	}
}

// party is the number in a tel URI, in a SIP URI whose user part is a number of the world, or in plain digits, without +; anything
// else stays as it is.
func party(b []byte) []byte {
	user, isTel := bytes.CutPrefix(b, []byte("tel:"))
	user, isSIP := bytes.CutPrefix(user, []byte("sip:"))
	user, isSIPS := bytes.CutPrefix(user, []byte("sips:"))
	uri := !isTel && (isSIP || isSIPS)
	if uri {
		user, _, _ = bytes.Cut(user, []byte("@"))
	}
	user, _, _ = bytes.Cut(user, []byte(";"))
	number, plus := bytes.CutPrefix(user, []byte("+"))
	if !digits(number) || uri && !plus && !bytes.Contains(b, []byte("user=phone")) {
		return b
	}
	return number
}

func digits(b []byte) bool {
	for _, c := range b {
		if c < '0' || c > '9' {
			return false
		}
	}
	return len(b) > 0
}

// plmnDigits reads 5 or 6 digits of MCC and MNC as MCC * 1000 + MNC; 0: they are not.
func plmnDigits(b []byte) uint32 {
	if len(b) != 5 && len(b) != 6 || !digits(b) {
		return 0
	}
	var n uint32
	for _, c := range b[3:] {
		n = n*10 + uint32(c-'0')
	}
	return (uint32(b[0]-'0')*100+uint32(b[1]-'0')*10+uint32(b[2]-'0'))*1000 + n
}

// plmnOfLocation reads the network that stands in the first identity of a 3GPP-User-Location-Info (TS 29.061 16.4.7): all known
// types begin with it, in packed digits.
func plmnOfLocation(b []byte) uint32 {
	if len(b) < 4 || b[0] > 2 && b[0] < 128 {
		return 0
	}
	text := [6]byte{'0' + b[1]&15, '0' + b[1]>>4, '0' + b[2]&15, '0' + b[3]&15, '0' + b[3]>>4, '0' + b[2]>>4}
	if b[2]>>4 == 15 { // an MNC of two digits
		return plmnDigits(text[:5])
	}
	return plmnDigits(text[:])
}

// zone reads a 3GPP-MS-TimeZone: quarters of an hour in swapped digits with a sign in bit 3, then the summer time that is included
// in it (TS 29.061 16.4.7, TS 23.040 9.2.3.11).
func zone(b []byte) (minutes int16, ok bool) {
	if len(b) < 1 {
		return 0, false
	}
	tens, ones := int16(b[0]&7), int16(b[0]>>4)
	if ones > 9 {
		return 0, false
	}
	minutes = (tens*10 + ones) * 15
	if b[0]&8 != 0 {
		minutes = -minutes
	}
	return minutes, true
}
