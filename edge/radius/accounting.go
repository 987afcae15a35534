package radius

import (
	"time"

	"tandem/edge/credit"
)

// clockEpoch is the first instant that Event-Timestamp is believed: a gateway that shows an earlier one has never set its clock.
var clockEpoch = uint32(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).Unix())

// report is the integers of an accounting request.
type report struct {
	status, delay, seconds, cause, event uint32
	inLow, inHigh, outLow, outHigh       uint32
	has                                  has
}

type has uint8

const (
	hasSeconds has = 1 << iota
	hasInput
	hasOutput
	hasHigh
)

// Restart is what a gateway says of itself with Accounting-On or -Off: no session that it had goes on (RFC 2866 5.1).
type Restart struct {
	Peer   string
	On     bool   // it has come up; else it is going down
	At     int64  // Unix microseconds
	Digest uint64 // the same for a retry; 0: no Event-Timestamp tells a retry from the next restart
}

// accounting reads an accounting request and hands it over. False: it is malformed, or not to be answered.
func (p *port) accounting(x *exchange, now int64) bool {
	r := &x.call.Request
	r.Reset()
	x.call.Answer.Reset()
	rep, ok := x.report(r)
	if !ok {
		p.server.count.malformed.Add(1)
		return false
	}
	x.name()
	r.Face, r.Service, r.Received, r.At = credit.RADIUS, credit.Broadband, now, now-int64(rep.delay)*1e6
	if x.imsi != nil {
		r.Service = credit.Data
	}
	if rep.event >= clockEpoch {
		r.At = int64(rep.event) * 1e6
	}
	r.Peer = x.peer
	r.Return = x.wayBack()
	r.Digest = rep.digest(r)
	switch rep.status {
	case statusStart:
		r.Kind = credit.Initial
	case statusInterim:
		r.Kind = credit.Update
	case statusStop:
		r.Kind, r.Cause = credit.Terminate, rep.cause
	case statusAccountingOn, statusAccountingOff:
		if rep.event == 0 {
			r.Digest = 0
		}
		return p.restarted(x, rep.status == statusAccountingOn)
	default: // of tunnels, links and failures (RFC 2867): no use is reported, and the gateway need not try again
		p.server.count.ignored.Add(1)
		x.accounted()
		return true
	}
	if len(r.Session) == 0 { // RFC 2866 5.5
		p.server.count.malformed.Add(1)
		return false
	}
	rep.use(r)
	p.server.charger.Charge(&x.call)
	return true
}

// restarted tells that a gateway has begun anew, and answers once that is durable.
func (p *port) restarted(x *exchange, on bool) bool {
	r := &x.call.Request
	p.server.restarted(Restart{string(x.peer), on, r.At, r.Digest}, func(durable bool) {
		if !durable {
			x.finish(silent)
			return
		}
		x.accounted()
	})
	return true
}

// charged is the Done of every call.
func charged(call *credit.Call) {
	x := call.Own.(*exchange)
	if !recorded(call.Answer.Result) {
		x.finish(silent) // the gateway keeps its record and sends it again (RFC 2866 4.1)
		return
	}
	if hear := x.port.server.reported; hear != nil {
		hear(call)
	}
	x.accounted()
}

// accounted has the Accounting-Response sent; the writer builds it.
func (x *exchange) accounted() { x.finish(toAnswer) }

// report reads the attributes: what is text or an address into the request, what is a number into the report.
func (x *exchange) report(r *credit.Request) (rep report, ok bool) {
	x.imsi = nil
	for t, v := range x.packet.All() {
		if field, flag := rep.field(t); field != nil {
			n, ok := number(v)
			if !ok {
				return rep, false
			}
			*field = n
			rep.has |= flag
			continue
		}
		if !x.text(t, v, r) {
			return rep, false
		}
	}
	if x.imsi != nil {
		r.Subscribers = append(r.Subscribers, credit.Subscriber{Type: credit.IMSI, ID: x.imsi})
		r.Access = r.Called // the APN (TS 29.061 16.4.3)
	}
	return rep, rep.status != 0
}

// field is where a number belongs.
func (rep *report) field(t Type) (*uint32, has) {
	switch t {
	case AcctStatusType:
		return &rep.status, 0
	case AcctDelayTime:
		return &rep.delay, 0
	case AcctSessionTime:
		return &rep.seconds, hasSeconds
	case AcctInputOctets:
		return &rep.inLow, hasInput
	case AcctOutputOctets:
		return &rep.outLow, hasOutput
	case AcctInputGigawords:
		return &rep.inHigh, hasHigh
	case AcctOutputGigawords:
		return &rep.outHigh, hasHigh
	case AcctTerminateCause:
		return &rep.cause, 0
	case EventTimestamp:
		return &rep.event, 0
	}
	return nil, 0
}

// text reads one attribute that is not a number.
func (x *exchange) text(t Type, v []byte, r *credit.Request) bool {
	ok := true
	switch t {
	case UserName:
		r.Subscribers = append(r.Subscribers, credit.Subscriber{Type: credit.Private, ID: v})
	case AcctSessionID:
		r.Session = v
	case CallingStationID:
		r.Calling = v
	case CalledStationID:
		r.Called = v
	case NASPortID:
		r.Access = v
	case Class:
		r.Class = v
	case FramedIPAddress:
		r.Address, ok = v, len(v) == 4
	case FramedIPv6Address:
		if ok = len(v) == 16; ok && r.Address == nil {
			r.Address = v
		}
	case NASIPAddress:
		r.Node, ok = v, len(v) == 4
	case NASIPv6Address:
		r.Node, ok = v, len(v) == 16
	case FramedIPv6Prefix:
		r.Prefix, ok = prefixOf(v)
	case DelegatedIPv6Prefix:
		r.Delegated, ok = prefixOf(v)
	case VendorSpecific:
		x.threeGPP(v, r)
	}
	return ok
}

// threeGPP reads what a mobile gateway adds (TS 29.061 16.4.7.2).
func (x *exchange) threeGPP(v []byte, r *credit.Request) {
	vendor, parts := Vendor(v)
	if vendor != vendor3GPP {
		return
	}
	for t, v := range parts {
		switch {
		case t == threeIMSI:
			x.imsi = v
		case t == threeSGSNPLMN:
			r.PLMN = plmn(v)
		case t == threeIMEISV:
			r.Device = v
		case t == threeRAT && len(v) == 1:
			r.RAT = v[0]
		case t == threeLocation:
			r.Location = v
		}
	}
}

// plmn reads five or six digits, MCC and MNC; 0 for anything else.
func plmn(digits []byte) (n uint32) {
	if len(digits) != 5 && len(digits) != 6 {
		return 0
	}
	for i, d := range digits {
		if d < '0' || d > '9' {
			return 0
		}
		if i == 3 && len(digits) == 5 {
			n *= 10 // credit.Request.PLMN leaves the MNC three digits
		}
		n = n*10 + uint32(d-'0')
	}
	return n
}

// use puts the totals of the session so far into the request (RFC 2866 5.3, 5.4, 5.7; RFC 2869 5.1, 5.2). A Start has none.
func (rep *report) use(r *credit.Request) {
	if rep.status == statusStart || rep.has == 0 {
		return
	}
	u := r.AddUnit()
	used := credit.Used{Cumulative: true, Narrow: rep.has&hasHigh == 0}
	if rep.has&hasSeconds != 0 {
		used.Has |= credit.HasSeconds
		used.Seconds = uint64(rep.seconds)
	}
	if rep.has&hasInput != 0 {
		used.Has |= credit.HasInput
		used.Input = uint64(rep.inHigh)<<32 | uint64(rep.inLow)
	}
	if rep.has&hasOutput != 0 {
		used.Has |= credit.HasOutput
		used.Output = uint64(rep.outHigh)<<32 | uint64(rep.outLow)
	}
	if rep.status == statusStop {
		used.Reason = credit.Final
	}
	u.Used = append(u.Used, used)
}

// digest is FNV-1a over what a retry repeats: not the identifier and not the delay (RFC 2866 5.2). It is kept with the charge, so it
// must not change between versions.
func (rep *report) digest(r *credit.Request) uint64 {
	h := fnvBytes(fnvBytes(fnvStart, r.Peer), r.Session)
	for _, n := range [...]uint32{rep.status, rep.inLow, rep.inHigh, rep.outLow, rep.outHigh, rep.seconds, rep.event} {
		for range 4 {
			h = (h ^ uint64(n&0xff)) * fnvPrime
			n >>= 8
		}
	}
	return h
}

const (
	fnvStart = 14695981039346656037
	fnvPrime = 1099511628211
)

func fnvBytes(h uint64, b []byte) uint64 {
	for _, c := range b {
		h = (h ^ uint64(c)) * fnvPrime
	}
	return (h ^ 0xff) * fnvPrime // so that "ab","c" and "a","bc" differ
}

// recorded says that the engine has kept the report, charged or in suspense: a
// gateway that is not answered sends it again for ever (RFC 2866 2).
func recorded(r credit.Result) bool {
	switch r {
	case credit.Busy, credit.Failed, credit.Clash:
		return false
	}
	return true
}
