package diameter

import (
	"bytes"
	"reflect"
	"testing"

	"tandem/edge/credit"
)

// decodeAgain encodes a request and reads it back.
func decodeAgain(t *testing.T, q *credit.Request, accounting bool) (*credit.Request, *reading) {
	t.Helper()
	head := appendBytes(newIdentity(pgwHost, pgwRealm, 0).origin, destinationRealm, ocsRealm)
	m := appendRequest(nil, head, q, accounting, 1, 2)
	h, ok := parseHeader(m)
	if !ok || h.length != len(m) {
		t.Fatalf("header %+v of %d octets", h, len(m))
	}
	r, got := new(reading), new(credit.Request)
	r.reset(got, nil)
	if f := r.decode(h, m[headerSize:]); f != nil {
		t.Fatalf("%s %x", f.reason, f.failed)
	}
	return got, r
}

// same compares what the wire carries.
func same(t *testing.T, what string, got, want credit.Request) {
	t.Helper()
	want.Face, want.Digest, want.Peer, want.Return, want.Context = got.Face, got.Digest, got.Peer, got.Return, got.Context
	if !reflect.DeepEqual(normal(got), normal(want)) {
		t.Errorf("%s:\n%+v\nnot\n%+v", what, got, want)
	}
}

// normal makes empty and absent slices equal.
func normal(q credit.Request) credit.Request {
	units := make([]credit.Unit, len(q.Units))
	for i, u := range q.Units {
		u.Services = append([]uint32(nil), u.Services...)
		u.Triggers = append([]uint32(nil), u.Triggers...)
		u.Used = append([]credit.Used(nil), u.Used...)
		units[i] = u
	}
	q.Units = units
	q.Subscribers = append([]credit.Subscriber(nil), q.Subscribers...)
	return q
}

func TestRequestsComeBack(t *testing.T) {
	names := []credit.Subscriber{{Type: credit.E164, ID: []byte("4799000001")}, {Type: credit.IMSI, ID: []byte("242010000000001")},
		{Type: credit.SIPURI, ID: []byte("sip:a@b.test")}, {Type: credit.NAI, ID: []byte("a@b")}, {Type: credit.Private, ID: []byte("x")}}
	packet := typical()
	packet.Subscribers = names
	packet.SubSession = 1 << 40
	packet.OriginState = 9
	packet.Node = []byte{10, 1, 2, 3}
	packet.Retransmitted = true
	packet.Units = []credit.Unit{
		{HasGroup: true, Group: 1 << 31, Services: []uint32{1, 2}, Asked: true, Want: credit.Units{Has: credit.HasTotal, Total: 1 << 40}},
		{HasGroup: true, Group: 2, Reason: credit.Condition, Triggers: []uint32{3, 4, 30}, Used: []credit.Used{
			{Units: credit.Units{Has: credit.HasSeconds | credit.HasInput | credit.HasOutput | credit.HasTotal | credit.HasEvents,
				Seconds: 1<<32 - 1, Input: 1<<63 + 1, Output: 7, Total: 1<<63 + 8, Events: 5}, Change: credit.Before, Reason: credit.Threshold},
			{Units: credit.Units{Has: credit.HasTotal}, Change: credit.After, Reason: credit.UnusedTimer, At: 1_790_000_001_000_000},
			{Change: credit.Indeterminate},
		}},
		{Services: []uint32{77}, Asked: true, Want: credit.Units{Has: credit.HasMoney, Money: 1_500_000_001, Currency: 978}},
	}
	voice := credit.Request{Kind: credit.Initial, Numbered: true, Service: credit.Voice, Session: []byte("v"), Incoming: true,
		Calling: []byte("447911111111"), Called: []byte("sip:alice@ims.test"), ChargingID: []byte("icid"), Item: []byte("vas"),
		Subscribers: names[:1], Units: []credit.Unit{{HasGroup: true, Asked: true, Want: credit.Units{Has: credit.HasSeconds, Seconds: 60}}}}
	sms := credit.Request{Kind: credit.Event, Numbered: true, Service: credit.SMS, Session: []byte("e"), Action: credit.Refund,
		RefundOf: []byte("ref"), Calling: []byte("4799"), Called: []byte("4788"), Subscribers: names[:1],
		Units: []credit.Unit{{Asked: true, Services: []uint32{5}, Want: credit.Units{Has: credit.HasEvents, Events: 3}}}}
	open := credit.Request{Kind: credit.Initial, Numbered: true, Service: credit.Data, Session: []byte("o")}
	for name, q := range map[string]credit.Request{"packet": packet, "voice": voice, "refund of a message": sms, "no groups": open} {
		got, _ := decodeAgain(t, &q, false)
		same(t, name, *got, q)
	}
	record := credit.Request{Kind: credit.Update, Numbered: true, Number: 3, Service: credit.Data, Session: []byte("r"),
		Subscribers: names[:2], Access: []byte("internet"), Units: []credit.Unit{
			{HasGroup: true, Group: 10, Services: []uint32{4}, Used: []credit.Used{{Units: credit.Units{Has: credit.HasInput | credit.HasOutput | credit.HasSeconds,
				Input: 1 << 33, Output: 9, Seconds: 60}, Seq: 4, At: 1_790_000_000_000_000, Quota: credit.Offline}}},
			{Used: []credit.Used{{Units: credit.Units{Has: credit.HasInput, Input: 1}, Quota: credit.Offline}}},
		}}
	got, _ := decodeAgain(t, &record, true)
	same(t, "record", *got, record)
}

func TestAnswersComeBack(t *testing.T) {
	q := typical()
	got, r := decodeAgain(t, &q, false)
	_ = got
	want := credit.Answer{Failover: true, Failure: credit.FailContinue, HasCost: true, Cost: -12_345_678_901, Currency: 578,
		HasRemaining: true, Remaining: 100, LowBalance: true, Refund: []byte("debit 7"), Units: []credit.Granted{
			{HasGroup: true, Group: 1, Services: []uint32{7, 8}, Grant: credit.Units{Has: credit.HasTotal | credit.HasInput | credit.HasOutput, Total: 1 << 60, Input: 3, Output: 4},
				Threshold: credit.Units{Has: credit.HasTotal, Total: 1 << 20}, Validity: 60, HasHolding: true, Change: 1_790_000_000_000_000,
				Pool: 9, Multiplier: 333_333_333, Arm: true, Triggers: []uint32{3, 4}},
			{HasGroup: true, Group: 2, Result: credit.LimitReached},
			{HasGroup: true, Group: 3, Arm: true, Grant: credit.Units{Has: credit.HasSeconds | credit.HasEvents, Seconds: 60, Events: 2},
				Threshold: credit.Units{Has: credit.HasSeconds | credit.HasEvents, Seconds: 6, Events: 1},
				Final:     credit.FinalUnit{Action: credit.FinalRedirect, Type: credit.URL, Address: "https://top.up/"}},
			{HasGroup: true, Group: 4, Final: credit.FinalUnit{Action: credit.FinalRestrict, Filters: []string{"permit out ip from 10.0.0.1 to any", "portal"}}},
			{HasGroup: true, Group: 5, Final: credit.FinalUnit{Action: credit.FinalTerminate}, Grant: credit.Units{Has: credit.HasMoney, Money: 5, Currency: 978}},
		}}
	id := newIdentity(ocsHost, ocsRealm, 7)
	h := header{flags: flagRequest | flagProxiable | flagRetransmit, code: cmdCreditControl, app: appCredit, hop: 5, end: 6}
	m := appendAnswer(nil, &id, &h, r, resultSuccess, &want, nil)
	if back, _ := parseHeader(m); back.length != len(m) || back.flags != flagProxiable || back.hop != 5 || back.end != 6 {
		t.Errorf("header %+v", back)
	}
	var a credit.Answer
	if f := readAnswer(m[headerSize:], &a, new(reading)); f != nil {
		t.Fatal(f)
	}
	for i := range a.Units {
		a.Units[i].Services = append([]uint32(nil), a.Units[i].Services...)
		a.Units[i].Triggers = append([]uint32(nil), a.Units[i].Triggers...)
	}
	if !reflect.DeepEqual(a, want) {
		t.Errorf("\n%+v\nnot\n%+v", a, want)
	}
	if bytes.Contains(m, appendU32(nil, qosFinalUnit|optional, 0)[:4]) {
		t.Error("a client of RFC 4006 is sent AVPs of RFC 8506")
	}
	r.modern = true
	m = appendAnswer(nil, &id, &h, r, resultSuccess, &want, nil)
	if !bytes.Contains(m, appendBytes(nil, redirectURL|optional, "https://top.up/")) {
		t.Error("a client of RFC 8506 is not told the redirection in its form")
	}
}

// Every result has its code, and the client reads it back as the same or, where one code stands for several, as the first of them.
func TestResultsComeBack(t *testing.T) {
	for r := credit.Success; r <= credit.Clash; r++ {
		want := r
		if r == credit.Clash {
			want = credit.Failed
		}
		if got := resultOf(messageCode(r)); got != want {
			t.Errorf("%s is %d and comes back as %s", r, messageCode(r), got)
		}
		if protocolError(groupCode(r)) {
			t.Errorf("%s of a group is the protocol error %d", r, groupCode(r))
		}
	}
	if messageCode(200) != resultUnable || groupCode(200) != resultUnable {
		t.Error("an unknown result")
	}
}

// The digest is of the content: agents may add Route-Records and another destination, and the T flag may be set.
func TestDigest(t *testing.T) {
	q := typical()
	m := encode(&q)
	digest := func(flags byte, add []byte) uint64 {
		var r reading
		var into credit.Request
		r.reset(&into, nil)
		if f := r.decode(header{code: cmdCreditControl, flags: flags}, append(bytes.Clone(m[headerSize:]), add...)); f != nil {
			t.Fatal(f)
		}
		return into.Digest
	}
	first := digest(flagRequest, nil)
	added := appendBytes(appendBytes(nil, routeRecord, "dra.test"), destinationHost, "other.test")
	if digest(flagRequest|flagRetransmit, added) != first {
		t.Error("the way of a message changes its digest")
	}
	if digest(flagRequest, appendU32(nil, ccCorrelation|optional, 1)) == first {
		t.Error("another content has the same digest")
	}
	seen := map[uint64]bool{}
	for i := range m[headerSize:] {
		m[headerSize+i] ^= 1
		var r reading
		var into credit.Request
		r.reset(&into, nil)
		if r.decode(header{code: cmdCreditControl}, m[headerSize:]) == nil {
			if d := into.Digest; d == first || seen[d] {
				ignored := bytes.Contains([]byte{0, 1}, m[headerSize+i:headerSize+i+1]) // padding and flags
				if !ignored && m[headerSize+i] != 0x41 && m[headerSize+i] != 0xc1 {
					t.Errorf("octet %d (%x) is not in the digest", i, m[headerSize+i])
				}
			} else {
				seen[d] = true
			}
		}
		m[headerSize+i] ^= 1
	}
	if len(seen) < 100 {
		t.Errorf("only %d changed messages were read", len(seen))
	}
}

// Octets reported twice in a record, as flows and as the whole bearer, count once.
func TestRecordsCountOnce(t *testing.T) {
	head := appendBytes(newIdentity(pgwHost, pgwRealm, 0).origin, destinationRealm, ocsRealm)
	volumes := func(b []byte, k key, n uint64, group uint32) []byte {
		b, at := begin(b, k)
		if group != 0 {
			b = appendU32(b, ratingGroup, group)
		}
		return end(appendU64(appendU64(b, acctInputOctets, n), acctOutputOctets, 1), at)
	}
	for _, c := range []struct {
		rule         string
		top, bearer  bool
		flows, units int
	}{{"message", true, false, 0, 1}, {"message and bearer", true, true, 0, 1},
		{"all", true, true, 2, 2}, {"flows and bearer", false, true, 1, 1},
		{"nothing", false, false, 0, 0}} {
		b, at := beginMessage(nil, flagRequest, cmdAccounting, appAccounting, 1, 1)
		b = append(appendBytes(b, sessionID, "s"), head...)
		b = appendU32(appendU32(b, accountingRecordType, 3), accountingRecordNo, 1)
		if c.top {
			b = appendU64(b, acctInputOctets, 1000)
		}
		b, outer := begin(b, serviceInformation)
		b, inner := begin(b, psInformation)
		if c.bearer {
			b = volumes(b, dataVolumes, 600, 0)
		}
		for i := range c.flows {
			b = volumes(b, dataContainer, 300, uint32(i+1))
		}
		if c.bearer {
			b = volumes(b, dataVolumes, 400, 0)
		}
		b = endMessage(end(end(b, inner), outer), at)
		var r reading
		var q credit.Request
		r.reset(&q, nil)
		h, _ := parseHeader(b)
		if f := r.decode(h, b[headerSize:]); f != nil {
			t.Fatal(f)
		}
		if len(q.Units) != c.units {
			t.Errorf("%s: %d units", c.rule, len(q.Units))
		}
		sum := uint64(0)
		for _, u := range q.Units {
			for _, x := range u.Used {
				sum += x.Input
				if x.Quota != credit.Offline {
					t.Errorf("%s: use that was reserved", c.rule)
				}
			}
		}
		want := uint64(1000)
		if c.flows > 0 {
			want = uint64(300 * c.flows)
		}
		if c.units > 0 && sum != want {
			t.Errorf("%s: %d octets, not %d", c.rule, sum, want)
		}
	}
}

// The way Kamailio asks (ims_charging): origin twice, the subscription twice, a record type of accounting beside the request type, both
// forms of the application, a long service context.
func TestKamailioIsUnderstood(t *testing.T) {
	id := newIdentity("scscf.ims.test", "ims.test", 0)
	subscription := func(b []byte) []byte {
		b, at := begin(b, subscriptionID)
		return end(appendBytes(appendU32(b, subscriptionType, 2), subscriptionData, "sip:447900000001@ims.test"), at)
	}
	b, at := beginMessage(nil, flagRequest|flagProxiable, cmdCreditControl, appCredit, 1, 1)
	b = appendBytes(b, sessionID, "scscf.ims.test;1;2")
	b = append(append(b, id.origin...), id.origin...)
	b = appendBytes(b, destinationRealm, ocsRealm)
	b = appendU32(appendU32(b, accountingRecordType, 2), accountingRecordNo, 0)
	b, group := begin(b, vendorSpecificApp)
	b = end(appendU32(appendU32(b, vendorID, vendor3GPP), authApplication, appCredit), group)
	b = appendU32(appendU32(appendU32(b, authApplication, appCredit), ccType, 1), ccNumber, 0)
	b = appendTime(b, eventTimestamp, 1_790_000_000_000_000)
	b = appendBytes(b, serviceContext, "ext.01.001.8.32260@3gpp.org")
	b = appendU32(subscription(b), multipleServices, 1)
	b, group = begin(b, mscc)
	b, inner := begin(b, requested)
	b = end(appendU32(b, ccTime, 10), inner)
	b = end(appendU32(appendU32(b, serviceID, 1), ratingGroup, 1), group)
	b, group = begin(b, serviceInformation)
	b, inner = begin(subscription(b), imsInformation)
	b = appendU32(appendU32(b, tgpp|862, 0), roleOfNode, 0)
	b = appendBytes(appendBytes(b, callingParty, "sip:447900000001@ims.test"), calledParty, "sip:447911111111@ims.test;user=phone")
	b = endMessage(end(end(b, inner), group), at)
	var r reading
	var q credit.Request
	r.reset(&q, nil)
	h, _ := parseHeader(b)
	if f := r.decode(h, b[headerSize:]); f != nil {
		t.Fatalf("%s %x", f.reason, f.failed)
	}
	if q.Service != credit.Voice || q.Kind != credit.Initial || len(q.Subscribers) != 1 || q.Subscribers[0].Type != credit.SIPURI ||
		string(q.Called) != "447911111111" || q.Incoming || len(q.Units) != 1 || q.Units[0].Want.Seconds != 10 || q.At != 1_790_000_000_000_000 {
		t.Errorf("%+v", q)
	}
}
