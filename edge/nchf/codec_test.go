package nchf

import (
	"bytes"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"tandem/edge/credit"
)

func decoded(t *testing.T, kind credit.Kind, body string) (*credit.Request, *reading) {
	t.Helper()
	r, q := new(reading), new(credit.Request)
	if f := r.decode(q, kind, []byte(body)); f != nil {
		t.Fatalf("refused: %+v", f)
	}
	return q, r
}

func at(t *testing.T, s string) int64 {
	t.Helper()
	v, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		t.Fatal(err)
	}
	return v.UnixMicro()
}

func TestCreateOfAPDUSession(t *testing.T) {
	q, _ := decoded(t, credit.Initial, createBody)
	q.Digest = 0
	want := &credit.Request{Face: credit.Nchf, Kind: credit.Initial, Service: credit.Data, Numbered: true, Number: 1,
		HasZone: true, Zone: 120, RAT: 51, PLMN: 1001, At: at(t, "2026-03-01T10:00:00.25Z"), Peer: []byte("8fe1f0a1-1d5c-4bd9-9d0e-6b2a3f7a9c01"),
		Return: []byte("http://smf.example/cb"), Access: []byte("internet"), Device: []byte("3550000000000011"), Address: []byte{10, 1, 2, 3},
		ChargingID: []byte("77"), Location: []byte(`{"nrLocation":{"tai":{"plmnId":{"mcc":"001","mnc":"01"},"tac":"000001"}}}`),
		Subscribers: []credit.Subscriber{{Type: credit.IMSI, ID: []byte("001010000000001")}, {Type: credit.E164, ID: []byte("491700000001")}},
		Units: []credit.Unit{{HasGroup: true, Group: 100, Asked: true,
			Want: credit.Units{Has: credit.HasTotal, Total: 1<<53 + 1}}}}
	if !reflect.DeepEqual(q, want) {
		t.Errorf("read\n%+v, not\n%+v", q, want)
	}
}

func TestUpdateWithAContainer(t *testing.T) {
	q, _ := decoded(t, credit.Update, updateBody)
	u := q.Units[0]
	want := credit.Unit{HasGroup: true, Group: 100, Asked: true, Reason: credit.Threshold, Used: []credit.Used{{
		Units: credit.Units{Has: credit.HasSeconds | credit.HasTotal | credit.HasInput | credit.HasOutput, Seconds: 300, Total: 1<<64 - 1,
			Input: 1000, Output: 2000},
		At: at(t, "2026-03-01T10:05:00Z"), Service: 7, Seq: 1, Reason: credit.Threshold}}}
	if !reflect.DeepEqual(u, want) {
		t.Errorf("read\n%+v, not\n%+v", u, want)
	}
}

// with wraps members in the head of a request with sequence number 2.
func with(members string) string { return "{" + head + "2," + members + "}" }

func TestContainersAreInTheirOwnOrder(t *testing.T) {
	q, _ := decoded(t, credit.Update, with(`"multipleUnitUsage":[{"ratingGroup":1,"usedUnitContainer":[
		{"localSequenceNumber":12,"totalVolume":3,"quotaManagementIndicator":"QUOTA_MANAGEMENT_SUSPENDED"},
		{"localSequenceNumber":10,"totalVolume":1,"quotaManagementIndicator":"OFFLINE_CHARGING"},
		{"localSequenceNumber":11,"totalVolume":2,"triggers":[{"triggerType":"TARIFF_TIME_CHANGE","triggerCategory":"DEFERRED_REPORT"}]}]}]`))
	type row struct {
		n      uint64
		quota  credit.Quota
		change credit.Change
	}
	var got []row
	for _, u := range q.Units[0].Used {
		got = append(got, row{u.Total, u.Quota, u.Change})
	}
	want := []row{{1, credit.Offline, credit.Before}, {2, credit.Online, credit.Before}, {3, credit.Suspended, credit.After}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("containers %v, not %v", got, want)
	}
	if q.Units[0].Asked {
		t.Error("no unit was requested, but a grant is asked for")
	}
}

func TestServicesAreToldApart(t *testing.T) {
	sms, _ := decoded(t, credit.Initial, with(`"oneTimeEvent":true,"oneTimeEventType":"PEC","sMSChargingInformation":{"originatorInfo":
		{"originatorGPSI":"msisdn-491700000001"},"recipientInfo":[{"recipientOtherAddress":{"sMaddressType":"MSISDN","sMaddressData":"+4930123"}}],
		"sMMessageType":"DELIVERY","numberofMessagesSent":3}`))
	if sms.Service != credit.SMS || sms.Kind != credit.Event || sms.Action != credit.Post || string(sms.Calling) != "491700000001" ||
		string(sms.Called) != "4930123" || !sms.Incoming || sms.Units[0].Want.Events != 3 {
		t.Errorf("SMS: %+v", sms)
	}
	call, _ := decoded(t, credit.Initial, with(`"iMSChargingInformation":{"roleOfNode":"ORIGINATING","callingPartyAddresses":
		["sip:alice@ims.example","tel:+491700000001"],"calledPartyAddress":"sip:+4930999;npdi@ims.example;user=phone","imsChargingIdentifier":"icid-1"}`))
	if call.Service != credit.Voice || string(call.Calling) != "491700000001" || string(call.Called) != "4930999" || string(call.ChargingID) != "icid-1" {
		t.Errorf("call: %s -> %s, %s", call.Calling, call.Called, call.ChargingID)
	}
	api, _ := decoded(t, credit.Initial, with(`"oneTimeEvent":true,"oneTimeEventType":"IEC","nEFChargingInformation":{"aPIName":"location"}`))
	if api.Service != credit.Content || string(api.Item) != "location" || api.Action != credit.Debit || !api.Units[0].Asked {
		t.Errorf("exposure: %+v", api)
	}
	v6, _ := decoded(t, credit.Initial, with(`"pDUSessionChargingInformation":{"sMFchargingId":"c-1","chargingId":5,"pduSessionInformation":
		{"pduSessionID":1,"dnnId":"x","servingCNPlmnId":{"mcc":"262","mnc":"01"},"pduAddress":{"pduIPv6AddresswithPrefix":"2001:db8:1:2::/64"}}}`))
	if string(v6.ChargingID) != "c-1" || v6.PLMN != 262001 || !bytes.Equal(v6.Prefix, []byte{64, 0x20, 1, 0xd, 0xb8, 0, 1, 0, 2}) {
		t.Errorf("IPv6: %s %d %v", v6.ChargingID, v6.PLMN, v6.Prefix)
	}
}

func TestWhatIsNotKnownIsPassedOver(t *testing.T) {
	q, _ := decoded(t, credit.Update, with(`"futureAttribute":{"a":[1,2.5e-3,{"b":null}],"c":"\u00e4\ud83d\ude00"},"triggers":[{"triggerType":"NEW_IN_REL_21",
		"triggerCategory":"SOMETIME"}],"multipleUnitUsage":[{"ratingGroup":4294967295,"uPFID":"x","requestedUnit":null,"usedUnitContainer":
		[{"localSequenceNumber":1,"totalVolume":5,"quotaManagementIndicator":"NEW","triggers":[]}]}]`))
	u := q.Units[0]
	if u.Group != 1<<32-1 || u.Used[0].Quota != credit.Online || u.Asked || u.Reason != credit.Condition {
		t.Errorf("%+v", u)
	}
}

func TestRefusalsNameTheAttribute(t *testing.T) {
	deep := strings.Repeat(`[`, 30) + strings.Repeat(`]`, 30)
	for name, c := range map[string]struct{ body, cause, param string }{
		"no consumer":         {`{"invocationTimeStamp":"2026-03-01T10:00:00Z"}`, causeMissing, "nfConsumerIdentification"},
		"no instant":          {`{"nfConsumerIdentification":{"nodeFunctionality":"SMF"}}`, causeMissing, "invocationTimeStamp"},
		"broken instant":      {`{"invocationTimeStamp":"yesterday"}`, causeWrong, "invocationTimeStamp"},
		"29 February 2026":    {`{"invocationTimeStamp":"2026-02-29T00:00:00Z"}`, causeWrong, "invocationTimeStamp"},
		"no rating group":     {with(`"multipleUnitUsage":[{"requestedUnit":{}}]`), causeMissing, "ratingGroup"},
		"negative volume":     {with(`"multipleUnitUsage":[{"ratingGroup":1,"requestedUnit":{"totalVolume":-1}}]`), causeWrong, "totalVolume"},
		"volume of 65 bits":   {with(`"multipleUnitUsage":[{"ratingGroup":1,"requestedUnit":{"totalVolume":18446744073709551616}}]`), causeWrong, "totalVolume"},
		"fraction":            {with(`"multipleUnitUsage":[{"ratingGroup":1.5}]`), causeWrong, "ratingGroup"},
		"group of 33 bits":    {with(`"multipleUnitUsage":[{"ratingGroup":4294967296}]`), causeWrong, "ratingGroup"},
		"text for a number":   {with(`"multipleUnitUsage":[{"ratingGroup":"1"}]`), causeWrong, "ratingGroup"},
		"usage twice":         {with(`"multipleUnitUsage":[],"multipleUnitUsage":[]`), causeFormat, "multipleUnitUsage"},
		"event without type":  {with(`"oneTimeEvent":true`), causeMissing, "oneTimeEventType"},
		"event of a new type": {with(`"oneTimeEvent":true,"oneTimeEventType":"XEC"`), causeWrong, "oneTimeEventType"},
		"too deep":            {with(`"x":` + deep), causeFormat, "x"},
		"cut off":             {`{"nfConsumerIdentification":{`, causeFormat, "nfConsumerIdentification"},
		"two bodies":          {with(`"x":1`) + `{}`, causeFormat, ""},
		"an array":            {`[]`, causeFormat, ""},
		"nothing":             {``, causeFormat, ""},
		"not UTF-8":           {"{\"x\":\"\xff\"}", causeFormat, ""},
		"lone surrogate":      {with(`"subscriberIdentifier":"\ud800"`), causeFormat, "subscriberIdentifier"},
		"control character":   {with("\"x\":\"\x01\""), causeFormat, "x"},
	} {
		t.Run(name, func(t *testing.T) {
			var r reading
			var q credit.Request
			f := r.decode(&q, credit.Initial, []byte(c.body))
			if f == nil {
				t.Fatalf("accepted: %+v", q)
			}
			if f.cause != c.cause || c.param != "" && f.param != c.param {
				t.Errorf("%s of %q (%s), not %s of %q", f.cause, f.param, f.reason, c.cause, c.param)
			}
		})
	}
}

func TestTimesAgreeWithTheStandardLibrary(t *testing.T) {
	for _, s := range []string{"2026-03-01T10:00:00Z", "2026-03-01T10:00:00.123456789+05:30", "2024-02-29T23:59:59-11:00", "1970-01-01T00:00:00Z",
		"0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z", "1900-02-28T12:00:00.5Z", "2000-02-29T00:00:00Z"} {
		got, ok := parseTime([]byte(s))
		if want := at(t, s); !ok || got != want {
			t.Errorf("%s: %d %v, not %d", s, got, ok, want)
		}
	}
	for day := 0; day < 80000; day += 13 {
		d := time.Unix(0, 0).UTC().AddDate(0, 0, day-30000)
		if got, ok := parseTime([]byte(d.Format(time.RFC3339))); !ok || got != d.UnixMicro() {
			t.Fatalf("%s: %d, not %d", d, got, d.UnixMicro())
		}
	}
	for _, s := range []string{"", "2026-03-01", "2026-13-01T00:00:00Z", "2026-02-30T00:00:00Z", "2026-03-01T24:00:00Z", "2026-03-01 10:00:00Z",
		"2026-03-01T10:00:00", "2026-03-01T10:00:00+24:00", "2026-03-01T10:00:0aZ"} {
		if at, ok := parseTime([]byte(s)); ok {
			t.Errorf("%q is read as %d", s, at)
		}
	}
}

func TestNumbersOfRepetition(t *testing.T) {
	digest := func(kind credit.Kind, body string) (uint64, bool) {
		q, _ := decoded(t, kind, body)
		return q.Digest, q.Numbered
	}
	first, numbered := digest(credit.Update, updateBody)
	if !numbered {
		t.Fatal("number 2 is taken for none")
	}
	same := map[string]string{
		"retransmission indicator first": strings.Replace(updateBody, "{", `{"retransmissionIndicator":true,`, 1),
		"retransmission indicator last":  updateBody[:len(updateBody)-1] + `,"retransmissionIndicator":true}`,
		"another instant":                strings.Replace(updateBody, "10:00:00.25Z", "10:00:09Z", 1),
	}
	for name, body := range same {
		if d, _ := digest(credit.Update, body); d != first {
			t.Errorf("%s changes the digest", name)
		}
	}
	if d, _ := digest(credit.Update, strings.Replace(updateBody, `"time":300`, `"time":301`, 1)); d == first {
		t.Error("other use has the same digest")
	}
	bare := strings.Replace(updateBody, `Number":2,`, `Number":0,`, 1)
	zero, numbered := digest(credit.Update, bare)
	if numbered {
		t.Error("number 0 of an update is taken for a number")
	}
	if d, _ := digest(credit.Update, strings.Replace(bare, "10:00:00.25Z", "10:00:09Z", 1)); d == zero {
		t.Error("without numbers, another instant is another request")
	}
}

func TestAnswersSurviveTheWire(t *testing.T) {
	_, r := decoded(t, credit.Update, updateBody)
	want := credit.Answer{Failover: true, Failure: credit.FailContinue, Units: []credit.Granted{
		{HasGroup: true, Group: 1, Grant: credit.Units{Has: credit.HasTotal | credit.HasSeconds, Total: 1<<64 - 1, Seconds: 60},
			Threshold: credit.Units{Has: credit.HasTotal | credit.HasSeconds | credit.HasEvents, Total: 1 << 60, Seconds: 5, Events: 1},
			Validity:  3600, HasHolding: true, Change: at(t, "2026-03-01T18:00:00Z"), Arm: true, Triggers: []uint32{30, 4}},
		{HasGroup: true, Group: 2, Result: credit.LimitReached, Final: credit.FinalUnit{Action: credit.FinalRedirect, Type: credit.URL,
			Address: `http://top.example/?a="b"` + "\u2028"}},
		{HasGroup: true, Group: 3, Grant: credit.Units{Has: credit.HasEvents, Events: 2}, Final: credit.FinalUnit{Action: credit.FinalRestrict,
			Filters: []string{"permit out ip from any to 10.0.0.0/8", "walled-garden"}}},
		{HasGroup: true, Group: 4, Result: credit.Denied, Arm: true, Final: credit.FinalUnit{Action: credit.FinalTerminate}},
		{HasGroup: true, Group: 5, Grant: credit.Units{Has: credit.HasInput | credit.HasOutput, Input: 1, Output: 2}},
	}}
	body := appendResponse(nil, r, &want)
	var got credit.Answer
	var s scanner
	if f := readAnswer(&s, 200, body, &got); f != nil {
		t.Fatalf("%+v in %s", f, body)
	}
	for i := range got.Units {
		g := &got.Units[i]
		if g.Services = nil; len(g.Triggers) == 0 {
			g.Triggers = nil
		}
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("read\n%+v, not\n%+v\nfrom %s", got, want, body)
	}
}

func TestRequestsSurviveTheWire(t *testing.T) {
	for _, service := range []credit.Service{credit.Data, credit.Voice, credit.SMS, credit.Content} {
		want := credit.Request{Face: credit.Nchf, Kind: credit.Update, Service: service, Numbered: true, Number: 7, Retransmitted: true,
			At: at(t, "2026-03-01T10:00:00.000001Z"), Peer: []byte("smf-1"), Subscribers: []credit.Subscriber{{Type: credit.IMSI, ID: []byte("001")}},
			Units: []credit.Unit{{HasGroup: true, Group: 9, Asked: true, Reason: credit.Exhausted, Want: credit.Units{Has: credit.HasSeconds, Seconds: 5},
				Used: []credit.Used{{Units: credit.Units{Has: credit.HasTotal, Total: 1<<64 - 1}, Seq: 3, Service: 4, At: at(t, "2026-03-01T09:59:00Z"),
					Reason: credit.Exhausted, Quota: credit.Suspended}}}}}
		switch service {
		case credit.Data:
			want.Subscribers = append(want.Subscribers, credit.Subscriber{Type: credit.E164, ID: []byte("4917")})
			want.ChargingID, want.Access, want.RAT, want.PLMN = []byte("ch"), []byte("internet"), 51, 262003
			want.Zone, want.HasZone, want.Address, want.Device = -90, true, []byte{10, 0, 0, 1}, []byte("35500000000000")
		case credit.Voice:
			want.Calling, want.Called, want.ChargingID, want.Incoming = []byte("4917"), []byte("4930"), []byte("icid"), true
		case credit.SMS:
			want.Calling, want.Called = []byte("4917"), []byte("4930")
		case credit.Content:
			want.Item = []byte("api")
		}
		who := newConsumer("smf-1", "SMF", "")
		body := appendRequest(nil, &who, &want)
		got, _ := decoded(t, credit.Update, string(body))
		got.Digest = 0
		if !reflect.DeepEqual(got, &want) {
			t.Errorf("read\n%+v, not\n%+v\nfrom %s", got, &want, body)
		}
	}
}

func TestNamesOfSessions(t *testing.T) {
	n := newNamer("n1", testKey)
	name := func(kind credit.Kind, body string) string {
		_, r := decoded(t, kind, body)
		return string(n.name(nil, r))
	}
	first := name(credit.Initial, createBody)
	if len(first) != refSize {
		t.Fatalf("the name %q has %d characters", first, len(first))
	}
	if name(credit.Initial, strings.Replace(createBody, "10:00:00.25Z", "10:00:07Z", 1)) != first {
		t.Error("a create repeated later is another session")
	}
	for what, body := range map[string]string{
		"consumer":    strings.Replace(createBody, "8fe1f0a1", "8fe1f0a2", 1),
		"subscriber":  strings.Replace(createBody, "imsi-001010000000001", "imsi-001010000000002", 1),
		"charging id": strings.Replace(createBody, `"chargingId":77`, `"chargingId":78`, 1),
		"sequence":    strings.Replace(createBody, `Number":1,`, `Number":2,`, 1),
		"bearer":      strings.Replace(createBody, `"pduSessionID":5`, `"pduSessionID":6`, 1),
		"start":       strings.Replace(createBody, `"startTime":"2026-03-01T10`, `"startTime":"2026-03-02T10`, 1),
	} {
		if name(credit.Initial, body) == first {
			t.Errorf("another %s, the same session", what)
		}
	}
	event := with(`"oneTimeEvent":true,"oneTimeEventType":"IEC","sMSChargingInformation":{"messageReference":"1"}`)
	if name(credit.Initial, event) == name(credit.Initial, strings.Replace(event, `"1"}`, `"2"}`, 1)) {
		t.Error("two messages of one second are one event")
	}
	_, r := decoded(t, credit.Initial, createBody)
	if string(newNamer("n1", []byte("another key of 16")).name(nil, r)) == first {
		t.Error("the name does not depend on the key")
	}
	for _, node := range []string{"n1", "n2", ""} {
		ref := newNamer(node, testKey).ref(nil, []byte(first))
		if got := string(n.session(ref)); got != first {
			t.Errorf("session of %s is %q", ref, got)
		}
	}
}

func TestHuffmanAndIntegers(t *testing.T) {
	// RFC 7541 C.4.1 and C.6.1.
	for hex, want := range map[string]string{"f1e3c2e5f23a6ba0ab90f4ff": "www.example.com", "a8eb10649cbf": "no-cache", "6402": "302",
		"d07abe941054d444a8200595040b8166e082a62d1bff": "Mon, 21 Oct 2013 20:13:21 GMT"} {
		var src []byte
		fmt.Sscanf(hex, "%x", &src)
		got, err := appendHuffman(nil, src, 1000)
		if err != nil || string(got) != want {
			t.Errorf("%s: %q %v, not %q", hex, got, err, want)
		}
	}
	for _, bad := range [][]byte{{0xff, 0xff, 0xff, 0xff}, {0x00}, {0xff}, {0x07, 0xff}} {
		if got, err := appendHuffman(nil, bad, 1000); err == nil {
			t.Errorf("%x is read as %q", bad, got)
		}
	}
	for _, n := range []int{0, 1, 30, 31, 127, 128, 1337, 1 << 20} {
		b := appendInteger(nil, 0, 5, n)
		if got, rest, ok := integer(b, 5); !ok || got != n || len(rest) != 0 {
			t.Errorf("%d: %x is read as %d", n, b, got)
		}
	}
	if _, _, ok := integer([]byte{0x1f, 0xff, 0xff, 0xff, 0xff, 0xff}, 5); ok {
		t.Error("an endless integer is read")
	}
}

func TestDynamicTable(t *testing.T) {
	// RFC 7541 C.3: three requests on one connection.
	d := decompressor{max: tableSize}
	for _, c := range []struct{ hex, want string }{
		{"828684410f7777772e6578616d706c652e636f6d", ":method=GET :scheme=http :path=/ :authority=www.example.com "},
		{"828684be58086e6f2d6361636865", ":method=GET :scheme=http :path=/ :authority=www.example.com cache-control=no-cache "},
		{"828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565",
			":method=GET :scheme=https :path=/index.html :authority=www.example.com custom-key=custom-value "},
	} {
		var block []byte
		fmt.Sscanf(c.hex, "%x", &block)
		got := ""
		if err := d.decode(block, func(n, v []byte) { got += string(n) + "=" + string(v) + " " }); err != nil || got != c.want {
			t.Errorf("%s %v, not %s", got, err, c.want)
		}
	}
	if d.size != 164 || len(d.table) != 3 {
		t.Errorf("the table has %d octets in %d entries", d.size, len(d.table))
	}
	none := func(n, v []byte) {}
	if err := d.decode([]byte{0x3f, 0x21}, none); err != nil || d.size > 64 { // 64 octets from now on
		t.Errorf("resized to %d: %v", d.size, err)
	}
	for _, bad := range [][]byte{{0x80}, {0xff, 0xff, 0x00}, {0x82, 0x20}, {0x3f, 0xe2, 0x1f}, {0x41, 0x05, 'a'}, {0x40}} {
		if err := d.decode(bad, none); err != errCompression {
			t.Errorf("%x: %v", bad, err)
		}
	}
}
