package diameter

import (
	"bytes"

	"tandem/edge/credit"
)

// MaxAVPs caps the AVPs of one message that are looked at, on all levels together. Groups are entered only where a field is read from
// them, so that nesting is bounded by the grammar: six levels.
const MaxAVPs = 2048

// Context lets an operator's own Service-Context-Ids be read: one that ends in Suffix is of Service (RFC 8506 8.42).
type Context struct {
	Suffix  string
	Service credit.Service
}

// reading is what the answer to a request needs besides credit.Answer, and the state of the decoder.
type reading struct {
	request    *credit.Request
	contexts   []Context
	accounting bool // ACR, not CCR
	flat       bool // units stood in the message itself, not in a Multiple-Services-Credit-Control
	modern     bool // the client sent AVPs that RFC 8506 brought
	lost       bool // the service context is not known
	flagged    bool // Requested-Action was there
	left       int  // AVPs that may still come
	top        int  // index in request.Units of the units in the message itself, -1: none
	bearer     int  // the same of Traffic-Data-Volumes
	containers int  // Service-Data-Containers seen
	seen       uint32
	number     uint32
	kind       uint32 // CC-Request-Type or Accounting-Record-Type as it was sent
	parts      uint64 // Number-Of-Messages-Sent
	session    []byte
	realm      []byte   // Origin-Realm
	toHost     []byte   // Destination-Host
	toRealm    []byte   // Destination-Realm
	proxies    [][]byte // Proxy-Info, to be given back (RFC 6733 6.2)
	depth      int
	stack      [maxDepth]avp
}

// What has been seen of a message, for what must come, and may come only once.
const (
	sawSession = 1 << iota
	sawOrigin
	sawRealm
	sawToRealm
	sawApplication
	sawContext
	sawKind
	sawNumber
	sawSub
)

func (r *reading) reset(q *credit.Request, contexts []Context) {
	*r = reading{request: q, contexts: contexts, proxies: r.proxies[:0], left: MaxAVPs, top: -1, bearer: -1}
	q.Reset()
	q.Face = credit.Diameter
}

// decode reads the AVPs of a CCR or ACR into r.request. All slices of the request lie in body. After a flaw, what the answer needs is
// there as far as it could be found.
func (r *reading) decode(h header, body []byte) *flaw {
	r.accounting = h.code == cmdAccounting
	r.request.Retransmitted = h.flags&flagRetransmit != 0
	r.request.Digest = mix(digestSeed, uint64(h.code))
	c := cursor{body, &r.left}
	for {
		a, more, err := c.next()
		if err == nil && more {
			err = r.field(&a)
		}
		if err != nil {
			r.salvage(body)
			return err
		}
		if !more {
			break
		}
	}
	if err := r.complete(); err != nil {
		return err
	}
	if r.accounting {
		return r.settleRecord()
	}
	return r.settle()
}

// salvage finds what an answer must repeat, in a message that could not be read: the first of each.
func (r *reading) salvage(body []byte) {
	left := MaxAVPs
	c := cursor{body, &left}
	r.proxies, r.session, r.seen = r.proxies[:0], nil, r.seen&sawSub
	for {
		a, more, err := c.next()
		if err != nil || !more {
			return
		}
		switch a.key {
		case sessionID:
			if r.session == nil {
				r.session = a.data
			}
		case proxyInfo:
			r.proxies = append(r.proxies, a.raw)
		case ccType, accountingRecordType:
			r.rescue(&a, accountingRecordType, sawKind, &r.kind)
		case ccNumber, accountingRecordNo:
			r.rescue(&a, accountingRecordNo, sawNumber, &r.number)
		}
	}
}

func (r *reading) rescue(a *avp, ofRecord key, bit uint32, to *uint32) {
	v, err := a.u32()
	if err != nil || r.seen&bit != 0 || (a.key == ofRecord) != r.accounting {
		return
	}
	*to, r.seen = v, r.seen|bit
}

// once notes an AVP that identifies the message: a second one would make the key of the request ambiguous.
func (r *reading) once(a *avp, bit uint32) *flaw {
	if r.seen&bit != 0 {
		return a.flaw(resultTooOften, "an AVP occurs twice that may occur once")
	}
	r.seen |= bit
	return nil
}

// field reads one AVP of the message itself.
func (r *reading) field(a *avp) *flaw {
	q := r.request
	switch a.key {
	case routeRecord, destinationHost, originState: // differ by the way a message took
	case proxyInfo:
		r.proxies = append(r.proxies, a.raw)
		return nil
	default:
		q.Digest = mixAVP(q.Digest, a)
	}
	var err *flaw
	switch a.key {
	case sessionID:
		if err = r.once(a, sawSession); err == nil {
			q.Session, err = a.text()
			r.session = q.Session
		}
	case originHost:
		if r.seen&sawOrigin == 0 { // some clients send it twice
			r.seen |= sawOrigin
			q.Peer, err = a.text()
		}
	case originRealm:
		if r.seen&sawRealm == 0 {
			r.seen |= sawRealm
			r.realm, err = a.text()
			q.Return = r.realm
		}
	case destinationRealm:
		r.seen |= sawToRealm
		r.toRealm, err = a.text()
	case destinationHost:
		r.toHost, err = a.text()
	case originState:
		q.OriginState, err = a.u32()
	case eventTimestamp:
		q.At, err = a.time()
	case serviceContext:
		r.seen |= sawContext
		if q.Context, err = a.text(); err == nil {
			q.Service = serviceOf(q.Context, r.contexts)
		}
	case subscriptionID:
		err = r.subscription(a)
	case subscriptionExt:
		err = r.subscriptionExtension(a)
	case userEquipment, equipmentExtension:
		err = r.equipment(a)
	case serviceInformation:
		err = r.service(a)
	case refundInformation:
		q.RefundOf = a.data
	case vendorSpecificApp: // Kamailio names the application only in it
		r.seen |= sawApplication
	default:
		if r.accounting {
			return r.recordField(a)
		}
		return r.creditField(a)
	}
	return err
}

// creditField reads an AVP that only a CCR has.
func (r *reading) creditField(a *avp) *flaw {
	q := r.request
	var err *flaw
	switch a.key {
	case authApplication:
		r.seen |= sawApplication
		if v, e := a.u32(); e != nil || v != appCredit {
			err = a.flaw(resultBadValue, "the application is not credit control")
		}
	case ccType:
		if err = r.once(a, sawKind); err == nil {
			r.kind, err = a.u32()
			if err == nil && (r.kind < 1 || r.kind > 4) {
				err = a.flaw(resultBadValue, "the request type is unknown")
			}
			q.Kind = credit.Kind(r.kind)
		}
	case ccNumber:
		if err = r.once(a, sawNumber); err == nil {
			r.number, err = a.u32()
			q.Number, q.Numbered = r.number, true
		}
	case ccSubSession:
		if err = r.once(a, sawSub); err == nil {
			q.SubSession, err = a.u64()
		}
	case requestedAction:
		var v uint32
		v, err = a.enum(3)
		q.Action, r.flagged = credit.Action(v), true
	case mscc:
		err = r.group(a)
	case serviceID:
		var v uint32
		v, err = a.u32()
		u := r.topUnit()
		u.Services = append(u.Services, v)
	case requested:
		u := r.topUnit()
		u.Asked = true
		err = r.units(a, &u.Want)
	case used:
		err = r.usedUnits(a, r.topUnit())
	case serviceParameter:
		err = r.parameter(a)
	case tgppChargingID, sgsnMCCMNC, ratType, userLocation, msTimeZone, calledStation: // before release 7 they stood here
		err = r.packet(a)
	default:
		err = r.other(a)
	}
	return err
}

// other judges an AVP that nothing is read from.
func (r *reading) other(a *avp) *flaw {
	if a.flags&avpMandatory != 0 && !understood(a.key) {
		return a.flaw(resultUnsupported, "a mandatory AVP is not supported")
	}
	return nil
}

// topUnit is the Unit of the message itself.
func (r *reading) topUnit() *credit.Unit {
	if r.top < 0 {
		r.request.AddUnit()
		r.top = len(r.request.Units) - 1
	}
	return &r.request.Units[r.top]
}

// drop removes a Unit and keeps its memory.
func (r *reading) drop(i int) {
	u := r.request.Units
	last := len(u) - 1
	u[i], u[last] = u[last], u[i]
	r.request.Units = u[:last]
}

// complete refuses a message without the AVPs that the grammar requires (RFC 8506 3.1, RFC 6733 9.7.1).
func (r *reading) complete() *flaw {
	type must struct {
		bit  uint32
		key  key
		size int
	}
	for _, m := range [...]must{{sawSession, sessionID, 1}, {sawOrigin, originHost, 1}, {sawRealm, originRealm, 1},
		{sawToRealm, destinationRealm, 1}} {
		if r.seen&m.bit == 0 {
			return absent(m.key, m.size)
		}
	}
	if r.accounting {
		switch {
		case r.seen&sawKind == 0:
			return absent(accountingRecordType, 4)
		case r.seen&sawNumber == 0:
			return absent(accountingRecordNo, 4)
		}
		return nil
	}
	switch {
	case r.seen&sawApplication == 0:
		return absent(authApplication, 4)
	case r.seen&sawContext == 0:
		return absent(serviceContext, 1)
	case r.seen&sawKind == 0:
		return absent(ccType, 4)
	case r.seen&sawNumber == 0:
		return absent(ccNumber, 4)
	case r.kind == uint32(credit.Event) && !r.flagged:
		return absent(requestedAction, 4)
	}
	return nil
}

// settle finishes a CCR whose AVPs have all been read, in whatever order they came.
func (r *reading) settle() *flaw {
	q := r.request
	r.lost = q.Service == credit.UnknownService
	if q.Kind == credit.Event && len(q.Units) == 0 {
		r.topUnit().Asked = true // centralised unit determination: the server finds how much
	}
	if r.top < 0 {
		return nil
	}
	if len(q.Units) == 1 {
		r.flat = true
		if u := &q.Units[0]; u.Asked && u.Want.Has == 0 && r.parts > 0 {
			u.Want = credit.Units{Has: credit.HasEvents, Events: r.parts}
		}
		return nil
	}
	if len(q.Units[r.top].Used) > 0 {
		return &flaw{resultNotAllowed, nil, "used units stand both in the message and in its services"}
	}
	r.drop(r.top)
	return nil
}

// group reads a Multiple-Services-Credit-Control (RFC 8506 8.16).
func (r *reading) group(a *avp) *flaw {
	u := r.request.AddUnit()
	c := cursor{a.data, &r.left}
	for {
		a, more, err := c.next()
		if err != nil || !more {
			return err
		}
		switch a.key {
		case ratingGroup:
			u.HasGroup = true
			u.Group, err = a.u32()
		case serviceID:
			var v uint32
			v, err = a.u32()
			u.Services = append(u.Services, v)
		case requested:
			u.Asked = true
			err = r.units(&a, &u.Want)
		case used:
			err = r.usedUnits(&a, u)
		case reportingReason:
			u.Reason, err = reason(&a)
		case trigger:
			err = r.triggers(&a, u)
		case triggerType:
			err = addTrigger(&a, u)
		case refundInformation:
			r.request.RefundOf = a.data
		default:
			err = r.other(&a)
		}
		if err != nil {
			return err
		}
	}
}

func reason(a *avp) (credit.Reason, *flaw) {
	v, err := a.enum(9)
	return credit.Reason(v + 1), err
}

func (r *reading) triggers(a *avp, u *credit.Unit) *flaw {
	c := cursor{a.data, &r.left}
	for {
		a, more, err := c.next()
		if err != nil || !more {
			return err
		}
		if a.key != triggerType {
			err = r.other(&a)
		} else {
			err = addTrigger(&a, u)
		}
		if err != nil {
			return err
		}
	}
}

func addTrigger(a *avp, u *credit.Unit) *flaw {
	v, err := a.u32()
	u.Triggers = append(u.Triggers, v)
	return err
}

// subscription reads a Subscription-Id. The same name given twice is kept once: some clients repeat it in Service-Information.
func (r *reading) subscription(a *avp) *flaw {
	var kind uint32
	var id []byte
	c := cursor{a.data, &r.left}
	whole := *a
	for {
		a, more, err := c.next()
		if err == nil && !more {
			break
		}
		if err == nil {
			switch a.key {
			case subscriptionType:
				kind, err = a.enum(uint32(credit.Private))
			case subscriptionData:
				id, err = a.text()
			default:
				err = r.other(&a)
			}
		}
		if err != nil {
			return err
		}
	}
	if id == nil {
		return whole.flaw(resultBadValue, "a subscription has no name")
	}
	r.subscriber(credit.IDType(kind), id)
	return nil
}

// subscriptionExtension reads the form of RFC 8506 8.58: one AVP for each type of name.
func (r *reading) subscriptionExtension(a *avp) *flaw {
	r.modern = true
	c := cursor{a.data, &r.left}
	for {
		a, more, err := c.next()
		if err != nil || !more {
			return err
		}
		if a.key < subscriptionE164 || a.key > subscriptionPrivate {
			err = r.other(&a)
		} else if id, e := a.text(); e == nil {
			r.subscriber(credit.IDType(a.key-subscriptionE164), id)
		} else {
			err = e
		}
		if err != nil {
			return err
		}
	}
}

func (r *reading) subscriber(kind credit.IDType, id []byte) {
	if kind == credit.E164 && len(id) > 1 && id[0] == '+' {
		id = id[1:]
	}
	for i := range r.request.Subscribers {
		if s := &r.request.Subscribers[i]; s.Type == kind && bytes.Equal(s.ID, id) {
			return
		}
	}
	r.request.Subscribers = append(r.request.Subscribers, credit.Subscriber{Type: kind, ID: id})
}

// equipment reads User-Equipment-Info and its extension: the value as it was sent.
func (r *reading) equipment(a *avp) *flaw {
	r.modern = r.modern || a.key == equipmentExtension
	c := cursor{a.data, &r.left}
	for {
		a, more, err := c.next()
		if err == nil && more {
			if a.key == equipmentValue || a.key >= equipmentIMEISV && a.key <= equipmentIMEI {
				r.request.Device = a.data
			} else {
				err = r.other(&a)
			}
		}
		if err != nil || !more {
			return err
		}
	}
}

// parameter reads a Service-Parameter-Info: its value names what is bought.
func (r *reading) parameter(a *avp) *flaw {
	c := cursor{a.data, &r.left}
	for {
		a, more, err := c.next()
		if err != nil || !more {
			return err
		}
		if a.key == serviceParamValue && r.request.Item == nil {
			r.request.Item = a.data
		}
	}
}
