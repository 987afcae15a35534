package nchf

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"net/netip"
	"slices"
	"unicode/utf8"

	"tandem/edge/credit"
)

// reading is the state of the decoder, and what the answer to a request needs besides credit.Answer.
type reading struct {
	scanner
	q         *credit.Request
	seen      uint32
	stamp     []byte // invocationTimeStamp as it was sent: it is echoed
	stamped   uint64 // its digest
	number    uint32
	event     bool
	eventType []byte
	features  []byte // supportedFeatures
	function  []byte // nodeFunctionality
	start     []byte // startTime of the PDU session
	bearer    uint32 // pduSessionID
	visited   uint32 // the network of the location
	parts     uint64 // numberofMessagesSent
	reason    credit.Reason
	triggers  []uint32 // of the whole request
	address   [16]byte
	prefix    [17]byte
	node      [16]byte
}

// Members of a ChargingDataRequest that may come once; what must come stands in complete.
const (
	sawConsumer = 1 << iota
	sawStamp
	sawNumber
	sawUsage
	sawSubscriber
	sawEvent
)

func (r *reading) reset(q *credit.Request, body []byte) {
	triggers := r.triggers[:0]
	*r = reading{scanner: r.scanner, q: q, triggers: triggers}
	r.scanner.reset(body)
	q.Reset()
	q.Face = credit.Nchf
}

// decode reads a ChargingDataRequest (TS 32.291 6.1.6.2.1.1). All slices of the request lie in body, in the arena or in r. Attributes
// that nothing is read from are passed over, whatever they hold.
func (r *reading) decode(q *credit.Request, kind credit.Kind, body []byte) *flaw {
	r.reset(q, body)
	q.Kind = kind
	if !utf8.Valid(body) {
		r.syntax("the body is not UTF-8")
		return r.err
	}
	if r.peek() != '{' {
		r.syntax("the body is no JSON object")
		return r.err
	}
	digest := mix(digestSeed, uint64(kind))
	for o := r.object(); r.more(&o); {
		name, from := r.key, r.i
		r.member()
		switch string(name) {
		case "retransmissionIndicator":
		case "invocationTimeStamp":
			r.stamped = mixBytes(digestSeed, r.b[min(from, r.i):r.i])
		default:
			digest = mixBytes(mixBytes(digest, name), r.b[min(from, r.i):r.i])
		}
	}
	r.end()
	if r.err == nil {
		r.complete()
	}
	if r.err == nil {
		r.settle(digest)
	}
	return r.err
}

// once refuses a member that came before: a body of two minds.
func (r *reading) once(bit uint32) {
	if r.seen&bit != 0 {
		r.syntax("an attribute occurs twice")
	}
	r.seen |= bit
}

// member reads one member of the request itself.
func (r *reading) member() {
	q := r.q
	switch string(r.key) {
	case "subscriberIdentifier":
		r.once(sawSubscriber)
		r.subscriber(r.str())
	case "nfConsumerIdentification":
		r.once(sawConsumer)
		r.consumer()
	case "invocationTimeStamp":
		r.once(sawStamp)
		r.instant()
	case "invocationSequenceNumber":
		n, ok := r.uint(1<<32 - 1)
		if ok {
			r.once(sawNumber)
			r.number = uint32(n)
		}
	case "retransmissionIndicator":
		q.Retransmitted = r.boolean()
	case "oneTimeEvent":
		r.once(sawEvent)
		r.event = r.boolean()
	case "oneTimeEventType":
		r.eventType = r.str()
	case "notifyUri":
		q.Return = r.str()
	case "supportedFeatures":
		r.features = r.str()
	case "serviceSpecificationInfo":
		q.Context = r.str()
	case "chargingId":
		r.chargingID()
	case "multipleUnitUsage":
		r.once(sawUsage)
		r.usage()
	case "triggers":
		r.triggerList(&r.reason, &r.triggers)
	default:
		r.information()
	}
}

// information reads what is said of the service.
func (r *reading) information() {
	q := r.q
	switch string(r.key) {
	case "pDUSessionChargingInformation":
		q.Service = credit.Data
		r.session()
	case "sMSChargingInformation":
		q.Service = credit.SMS
		r.message()
	case "iMSChargingInformation":
		q.Service = credit.Voice
		r.call()
	case "mMTelChargingInformation":
		q.Service = credit.Voice
		r.skip()
	case "nEFChargingInformation", "directEdgeEnablingServiceChargingInformation", "exposedEdgeEnablingServiceChargingInformation":
		q.Service = credit.Content
		r.exposure()
	case "registrationChargingInformation", "n2ConnectionChargingInformation", "locationReportingChargingInformation",
		"nSPAChargingInformation", "nSMChargingInformation", "eASDeploymentChargingInformation",
		"edgeInfrastructureUsageChargingInformation", "proSeChargingInformation":
		if q.Service == credit.UnknownService {
			q.Service = credit.Content
		}
		r.skip()
	default:
		r.skip()
	}
}

func (r *reading) instant() {
	b := r.str()
	at, ok := parseTime(b)
	if r.err == nil && !ok {
		r.fail(causeWrong, "an instant is not of the form 2026-01-02T03:04:05Z")
	}
	r.stamp, r.q.At = b, at
}

// consumer reads an NFIdentification; the name it goes by is the first of instance, FQDN and address.
func (r *reading) consumer() {
	var name, fqdn, v4, v6 []byte
	for o := r.object(); r.more(&o); {
		switch string(r.key) {
		case "nFName":
			name = r.str()
		case "nFFqdn":
			fqdn = r.str()
		case "nFIPv4Address":
			v4 = r.str()
		case "nFIPv6Address":
			v6 = r.str()
		case "nodeFunctionality":
			r.function = r.str()
		default:
			r.skip()
		}
	}
	for _, b := range [...][]byte{name, fqdn, v4, v6} {
		if len(b) > 0 {
			r.q.Peer = b
			return
		}
	}
	r.q.Peer = r.function
}

// subscriber takes a SUPI or GPSI (TS 29.571 5.3.2). The same name given twice is kept once.
func (r *reading) subscriber(b []byte) {
	if len(b) == 0 {
		return
	}
	s := nameOf(b)
	for i := range r.q.Subscribers {
		if o := &r.q.Subscribers[i]; o.Type == s.Type && bytes.Equal(o.ID, s.ID) {
			return
		}
	}
	r.q.Subscribers = append(r.q.Subscribers, s)
}

// nameOf reads a SUPI or GPSI: the kind stands before the first hyphen. Kinds that are not known stay as they are.
func nameOf(b []byte) credit.Subscriber {
	kind, id, ok := bytes.Cut(b, []byte("-"))
	if !ok || len(id) == 0 {
		return credit.Subscriber{Type: credit.Private, ID: b}
	}
	switch string(kind) {
	case "imsi":
		return credit.Subscriber{Type: credit.IMSI, ID: id}
	case "msisdn":
		return credit.Subscriber{Type: credit.E164, ID: id}
	case "nai", "extid":
		return credit.Subscriber{Type: credit.NAI, ID: id}
	}
	return credit.Subscriber{Type: credit.Private, ID: b}
}

// chargingID reads the identifier as a number and keeps its digits; the string of the SMF is the better name (TS 32.291).
func (r *reading) chargingID() {
	r.peek()
	from := r.i
	if _, ok := r.uint(1<<32 - 1); ok && r.q.ChargingID == nil {
		r.q.ChargingID = r.b[from:r.i]
	}
}

// maxGroups and maxContainers cap what one request reports.
const (
	maxGroups     = 256
	maxContainers = 1024
)

// usage reads multipleUnitUsage.
func (r *reading) usage() {
	for a := r.array(); r.more(&a); {
		if len(r.q.Units) == maxGroups {
			r.syntax("more rating groups than one request may have")
			return
		}
		r.group()
	}
}

func (r *reading) group() {
	u := r.q.AddUnit()
	for o := r.object(); r.more(&o); {
		switch string(r.key) {
		case "ratingGroup":
			n, ok := r.uint(1<<32 - 1)
			u.Group, u.HasGroup = uint32(n), ok
		case "requestedUnit":
			u.Asked = r.peek() != 'n'
			for o := r.object(); r.more(&o); {
				if !r.amount(&u.Want) {
					r.skip()
				}
			}
			u.Want = asked(u.Want)
		case "usedUnitContainer":
			for a := r.array(); r.more(&a); {
				if len(u.Used) == maxContainers {
					r.syntax("more containers than one rating group may have")
					return
				}
				r.container(u)
			}
		default:
			r.skip()
		}
	}
	if r.err == nil && !u.HasGroup {
		r.key = []byte("ratingGroup")
		r.fail(causeMissing, "a unit usage has no rating group")
	}
	arrange(u)
}

// asked drops amounts of nothing: who asks for 0 octets lets the server choose.
func asked(u credit.Units) credit.Units {
	for _, a := range [...]struct {
		bit credit.Has
		n   uint64
	}{{credit.HasSeconds, u.Seconds}, {credit.HasTotal, u.Total}, {credit.HasInput, u.Input}, {credit.HasOutput, u.Output},
		{credit.HasEvents, u.Events}} {
		if a.n == 0 {
			u.Has &^= a.bit
		}
	}
	return u
}

// amount reads one member of service units; false: it is none.
func (r *reading) amount(u *credit.Units) bool {
	var to *uint64
	var bit credit.Has
	limit := uint64(1<<64 - 1)
	switch string(r.key) {
	case "time":
		to, bit, limit = &u.Seconds, credit.HasSeconds, 1<<32-1
	case "totalVolume":
		to, bit = &u.Total, credit.HasTotal
	case "uplinkVolume":
		to, bit = &u.Input, credit.HasInput
	case "downlinkVolume":
		to, bit = &u.Output, credit.HasOutput
	case "serviceSpecificUnits":
		to, bit = &u.Events, credit.HasEvents
	default:
		return false
	}
	if n, ok := r.uint(limit); ok {
		*to = n
		u.Has |= bit
	}
	return true
}

// container reads a usedUnitContainer (TS 32.291 6.1.6.2.1.8).
func (r *reading) container(of *credit.Unit) {
	of.Used = append(of.Used, credit.Used{})
	x := &of.Used[len(of.Used)-1]
	for o := r.object(); r.more(&o); {
		if r.amount(&x.Units) {
			continue
		}
		switch string(r.key) {
		case "serviceId":
			x.Service = r.u32()
		case "quotaManagementIndicator":
			x.Quota = quotaOf(r.str())
		case "triggers":
			if r.triggerList(&x.Reason, &of.Triggers) {
				x.Change = credit.Before
			}
		case "triggerTimestamp":
			x.At = r.time()
		case "localSequenceNumber":
			x.Seq = r.u32()
		default:
			r.skip()
		}
	}
}

func quotaOf(b []byte) credit.Quota {
	switch string(b) {
	case "OFFLINE_CHARGING":
		return credit.Offline
	case "QUOTA_MANAGEMENT_SUSPENDED":
		return credit.Suspended
	}
	return credit.Online
}

// arrange puts the containers into the order of their local sequence numbers (TS 32.255 5.2.1), and marks the sides of a tariff
// switch: what was closed by it lies before, what follows lies after.
func arrange(u *credit.Unit) {
	inOrder := func(a, b credit.Used) int { return cmp.Compare(a.Seq, b.Seq) }
	if !slices.IsSortedFunc(u.Used, inOrder) {
		slices.SortStableFunc(u.Used, inOrder)
	}
	last := -1
	for i := range u.Used {
		if u.Used[i].Change == credit.Before {
			last = i
		}
	}
	for i := range u.Used {
		switch {
		case last >= 0 && i <= last:
			u.Used[i].Change = credit.Before
		case last >= 0:
			u.Used[i].Change = credit.After
		}
		if u.Reason == credit.NoReason || u.Used[i].Reason == credit.Final {
			u.Reason = u.Used[i].Reason
		}
	}
}

// complete refuses a request without what it must have (TS 32.291 6.1.6.2.1.1). The sequence number is not asked for: some consumers
// have none.
func (r *reading) complete() {
	missing := func(name string) {
		r.key = []byte(name)
		r.fail(causeMissing, "a mandatory attribute is missing")
	}
	switch {
	case r.seen&sawConsumer == 0:
		missing("nfConsumerIdentification")
	case len(r.q.Peer) == 0:
		missing("nodeFunctionality")
	case r.stamp == nil:
		missing("invocationTimeStamp")
	case r.event && len(r.eventType) == 0:
		missing("oneTimeEventType")
	}
}

// settle finishes a request whose members have all been read, in whatever order they came.
func (r *reading) settle(digest uint64) {
	q := r.q
	r.eventKind()
	if q.Service == credit.UnknownService {
		q.Service = serviceOf(r.function)
	}
	if q.PLMN == 0 {
		q.PLMN = r.visited
	}
	for i := range q.Units {
		u := &q.Units[i]
		if u.Reason == credit.NoReason {
			u.Reason = r.reason
			u.Triggers = append(u.Triggers, r.triggers...)
		}
		if u.Asked && u.Want.Has == 0 && r.parts > 0 {
			u.Want = credit.Units{Has: credit.HasEvents, Events: r.parts}
		}
	}
	if q.Kind == credit.Event && len(q.Units) == 0 {
		u := q.AddUnit() // the server finds how much
		u.Asked = true
		if r.parts > 0 {
			u.Want = credit.Units{Has: credit.HasEvents, Events: r.parts}
		}
	}
	r.identify(digest)
}

// identify says by what a repetition is known. A number that stays 0 after the first request is none: such consumers are known by
// content and instant.
func (r *reading) identify(digest uint64) {
	q := r.q
	q.Number = r.number
	first := q.Kind == credit.Initial || q.Kind == credit.Event
	q.Numbered = r.seen&sawNumber != 0 && (first || r.number > 0)
	if !q.Numbered {
		digest = mix(digest, r.stamped)
	}
	q.Digest = digest
}

func (r *reading) eventKind() {
	q := r.q
	if !r.event || q.Kind != credit.Initial {
		return
	}
	q.Kind = credit.Event
	switch string(r.eventType) {
	case "IEC":
		q.Action = credit.Debit
	case "PEC":
		q.Action = credit.Post
	default:
		r.key = []byte("oneTimeEventType")
		r.fail(causeWrong, "the kind of event is not known")
	}
}

// serviceOf is the service of a consumer that does not say more.
func serviceOf(function []byte) credit.Service {
	switch string(function) {
	case "SMF", "PGW_C_SMF", "I_SMF", "V_SMF", "SGW", "ePDG", "SGSN", "UPF":
		return credit.Data
	case "SMSF", "SMS":
		return credit.SMS
	case "IMS_Node":
		return credit.Voice
	case "NEF", "NEFF", "CEF", "EES", "AMF", "MnS_Producer", "5G_DDNMF", "PCF", "UDM":
		return credit.Content
	}
	return credit.UnknownService
}

// The digest is FNV-like, over 8 octets at a time. It is meant for honest consumers: the same number with other content is a defect
// of theirs, not an attack.
const (
	digestSeed  = 14695981039346656037
	digestPrime = 1099511628211
)

func mix(h, v uint64) uint64 {
	h = (h ^ v) * digestPrime
	return h ^ h>>29
}

func mixBytes(h uint64, b []byte) uint64 {
	h = mix(h, uint64(len(b)))
	for ; len(b) >= 8; b = b[8:] {
		h = mix(h, binary.LittleEndian.Uint64(b))
	}
	var rest uint64
	for i, v := range b {
		rest |= uint64(v) << (8 * i)
	}
	return mix(h, rest)
}

// addressInto reads an address; nil: it is none.
func addressInto(to *[16]byte, text []byte) []byte {
	if len(text) > 45 {
		return nil
	}
	ip, err := netip.ParseAddr(string(text))
	if err != nil {
		return nil
	}
	if ip.Is4() {
		v4 := ip.As4()
		return to[:copy(to[:], v4[:])]
	}
	*to = ip.As16()
	return to[:]
}
