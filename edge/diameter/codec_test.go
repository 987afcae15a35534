package diameter

import (
	"bytes"
	"encoding/hex"
	"math"
	"strings"
	"testing"
	"time"

	"tandem/edge/credit"
)

func unhex(s string) []byte {
	b, err := hex.DecodeString(strings.NewReplacer(" ", "", "\n", "", "\t", "").Replace(s))
	if err != nil {
		panic(err)
	}
	return b
}

// Octets written down from RFC 6733 3 and 4.1, not by our writer.
func TestGoldenWatchdogAnswer(t *testing.T) {
	id := newIdentity("a.bc", "bc", 7)
	h := header{code: cmdWatchdog, hop: 0x01020304, end: 0x05060708}
	want := unhex(`01 00004c 00 000118 00000000 01020304 05060708
		0000010c 40 00000c 000007d1
		00000108 40 00000c 612e6263
		00000128 40 00000a 6263 0000
		00000116 40 00000c 00000007`)
	want[3] = byte(len(want))
	if got := id.appendBase(nil, &h, resultSuccess); !bytes.Equal(got, want) {
		t.Errorf("%x\nnot\n%x", got, want)
	}
}

// A credit control request written down octet by octet, with a 3GPP AVP, a group in a group, and padding.
func TestGoldenRequest(t *testing.T) {
	body := unhex(`
		00000107 40 00000b 733b31 00
		00000108 40 00000c 612e6263
		00000128 40 00000a 6263 0000
		0000011b 40 00000a 6f73 0000
		00000102 40 00000c 00000004
		000001a0 40 00000c 00000002
		0000019f 40 00000c 00000005
		000001cd 40 000016 3332323531403367 70702e6f7267 0000
		000001bb 40 000020  000001c2 40 00000c 00000001  000001bc 40 00000b 323432 00
		000001c8 40 000048
		  000001b0 40 00000c 0000000a
		  000001b5 40 000008
		  000001be 40 00001c
		    000001a4 40 00000c 0000003c
		    000001c4 40 00000c 00000001
		  00000368 c0 000010 000028af 00000004`)
	patch := func(code string, size int) { // the lengths of the two groups that hold groups
		i := bytes.Index(body, unhex(code))
		body[i+7] = byte(size)
	}
	patch("000001be40", 8+12+12)
	patch("000001c840", 8+12+8+(8+12+12)+16)
	var r reading
	var q credit.Request
	r.reset(&q, nil)
	if f := r.decode(header{code: cmdCreditControl, flags: flagRequest | flagRetransmit}, body); f != nil {
		t.Fatalf("%v %x", f, f.failed)
	}
	u := q.Units[0]
	switch {
	case string(q.Session) != "s;1" || string(q.Peer) != "a.bc" || string(q.Return) != "bc" || string(r.toRealm) != "os":
		t.Errorf("names: %q %q %q %q", q.Session, q.Peer, q.Return, r.toRealm)
	case q.Kind != credit.Update || q.Number != 5 || !q.Numbered || q.Service != credit.Data || !q.Retransmitted:
		t.Errorf("head: %+v", q)
	case len(q.Subscribers) != 1 || q.Subscribers[0].Type != credit.IMSI || string(q.Subscribers[0].ID) != "242":
		t.Errorf("subscribers: %+v", q.Subscribers)
	case !u.HasGroup || u.Group != 10 || !u.Asked || u.Want.Has != 0 || u.Reason != credit.ValidityTime:
		t.Errorf("group: %+v", u)
	case len(u.Used) != 1 || u.Used[0].Has != credit.HasSeconds || u.Used[0].Seconds != 60 || u.Used[0].Change != credit.After:
		t.Errorf("used: %+v", u.Used)
	}
}

// What a broken AVP is answered with, and which AVP is shown.
func TestBrokenAVPs(t *testing.T) {
	q := typical()
	good := encode(&q)
	for _, c := range []struct {
		rule string
		add  string
		code uint32
		show string // prefix of the Failed-AVP
	}{
		{"an unknown AVP with the M flag", "0000ffff 40 00000c 00000001", resultUnsupported, "0000ffff40"},
		{"an unknown AVP of a vendor with the M flag", "00000001 c0 000010 00000009 00000001", resultUnsupported, "00000001c0"},
		{"an unknown AVP without the M flag", "0000ffff 00 00000c 00000001", 0, ""},
		{"a length beyond the message", "0000ffff 40 0000ff 00000001", resultAVPLength, "0000ffff40000008"},
		{"a length below the header", "0000ffff 40 000007 00000001", resultAVPLength, "0000ffff40000008"},
		{"a vendor AVP without its vendor", "0000ffff c0 000008", resultAVPLength, ""},
		{"three octets at the end", "000001", resultAVPLength, ""},
		{"a number of 3 octets", "00000116 40 00000b 000001 00", resultAVPLength, "00000116"},
		{"a second CC-Request-Number", "0000019f 40 00000c 00000005", resultTooOften, "0000019f"},
		{"a second Session-Id", "00000107 40 00000b 733b31 00", resultTooOften, "00000107"},
		{"an unknown Requested-Action", "000001b4 40 00000c 00000009", resultBadValue, "000001b4"},
		{"an unknown Subscription-Id-Type", "000001bb 40 000020 000001c2 40 00000c 00000009 000001bc 40 00000b 323432 00",
			resultBadValue, "000001c2"},
		{"text that is not UTF-8", "000001cd 40 00000a ff00 0000", resultBadValue, "000001cd"},
		{"a second Origin-Host, which Kamailio sends", "00000108 40 00000c 612e6263", 0, ""},
		{"money finer than 10^-9", money("0000000000000001", "fffffff6"), resultBadValue, "0000019d"},
		{"money beyond 64 bit", money("7fffffffffffffff", "00000001"), resultBadValue, "0000019d"},
		{"negative money", money("ffffffffffffffff", "00000000"), resultBadValue, "0000019d"},
		{"money with too large an exponent", money("0000000000000001", "7fffffff"), resultBadValue, "0000019d"},
		{"used units beside the groups", "000001be 40 000014 000001a4 40 00000c 00000001", resultNotAllowed, ""},
		{"requested units beside the groups", "000001b5 40 000008", 0, ""},
	} {
		m := append(bytes.Clone(good), unhex(c.add)...)
		m = endMessage(m, 0)
		h, _ := parseHeader(m)
		var r reading
		var into credit.Request
		r.reset(&into, nil)
		f := r.decode(h, m[headerSize:])
		switch {
		case f == nil && c.code != 0:
			t.Errorf("%s is accepted", c.rule)
		case f == nil:
		case f.code != c.code:
			t.Errorf("%s: %d %s, not %d", c.rule, f.code, f.reason, c.code)
		case !bytes.HasPrefix(f.failed, unhex(c.show)):
			t.Errorf("%s: shows %x", c.rule, f.failed)
		case !bytes.Equal(r.session, q.Session) || r.number != q.Number:
			t.Errorf("%s: the answer would not name session %q and number %d", c.rule, r.session, r.number)
		}
	}
}

// money is a Requested-Service-Unit with CC-Money in the message itself.
func money(digits, exponent string) string {
	return "000001b5 40 000034 0000019d 40 00002c 000001bd 40 000024 000001bf 40 000010" + digits + "000001ad 40 00000c" + exponent
}

// Every AVP that must be there is named when it is not.
func TestMissingAVPs(t *testing.T) {
	q := typical()
	m := encode(&q)
	h, _ := parseHeader(m)
	for _, k := range []key{sessionID, originHost, originRealm, destinationRealm, authApplication, serviceContext, ccType, ccNumber} {
		var body []byte
		left := MaxAVPs
		for c := (cursor{m[headerSize:], &left}); ; {
			a, more, err := c.next()
			if err != nil || !more {
				break
			}
			if a.key != k {
				body = appendRaw(body, a.raw)
			}
		}
		var r reading
		var into credit.Request
		r.reset(&into, nil)
		f := r.decode(h, body)
		if f == nil || f.code != resultMissing {
			t.Errorf("without %d: %v", k, f)
			continue
		}
		c := cursor{f.failed, &left}
		if a, _, err := c.next(); err != nil || a.key != k {
			t.Errorf("without %d: shows %x", k, f.failed)
		}
	}
}

func TestAVPCountIsCapped(t *testing.T) {
	q := typical()
	m := encode(&q)
	for range MaxAVPs {
		m = appendU32(m, optional|0xffff, 1)
	}
	h, _ := parseHeader(m)
	var r reading
	var into credit.Request
	r.reset(&into, nil)
	if f := r.decode(h, m[headerSize:]); f == nil || f.code != resultTooOften {
		t.Errorf("%v", f)
	}
}

func TestScale(t *testing.T) {
	for _, c := range []struct {
		v, e, want int64
		ok         bool
	}{
		{5, 7, 50_000_000, true}, {1250, -2, 0, false}, {1200, -2, 12, true}, {0, math.MaxInt32, 0, true}, {0, math.MinInt32, 0, true},
		{-3, 9, -3_000_000_000, true}, {math.MaxInt64, 0, math.MaxInt64, true}, {math.MinInt64, 0, math.MinInt64, true},
		{math.MaxInt64, 1, 0, false}, {math.MinInt64, 1, 0, false}, {922337203685477580, 1, 9223372036854775800, true},
		{922337203685477581, 1, 0, false}, {1, math.MaxInt32, 0, false}, {1, math.MinInt32, 0, false},
	} {
		if got, ok := scale(c.v, c.e); ok != c.ok || ok && got != c.want {
			t.Errorf("%d * 10^%d is %d, %v", c.v, c.e, got, ok)
		}
	}
}

func TestParty(t *testing.T) {
	for in, want := range map[string]string{
		"tel:+4479110000;phone-context=x":  "4479110000",
		"tel:112":                          "112",
		"+4479110000":                      "4479110000",
		"4479110000":                       "4479110000",
		"sip:+4479110000@ims.test":         "4479110000",
		"sips:4479110000@x;user=phone":     "4479110000",
		"sip:4479110000@ims.test":          "sip:4479110000@ims.test",
		"sip:alice@ims.test":               "sip:alice@ims.test",
		"tel:+44-79":                       "tel:+44-79",
		"sip:":                             "sip:",
		"":                                 "",
		"tel:":                             "tel:",
		"sip:+47900;npdi@ims.test;x":       "47900",
		"urn:service:sos":                  "urn:service:sos",
		"sip:+4790@a;user=phone?x=tel:112": "4790",
	} {
		if got := string(party([]byte(in))); got != want {
			t.Errorf("%q is %q, not %q", in, got, want)
		}
	}
}

func TestServiceContext(t *testing.T) {
	own := []Context{{"games@operator.test", credit.Content}}
	for in, want := range map[string]credit.Service{
		"32251@3gpp.org":               credit.Data,
		"8.32251@3gpp.org":             credit.Data,
		"ext.01.001.8.32260@3gpp.org":  credit.Voice,
		"32274@3gpp.org":               credit.SMS,
		"6.32270@3gpp.org":             credit.MMS,
		"games@operator.test":          credit.Content,
		"1.games@operator.test":        credit.Content,
		"32251":                        credit.UnknownService,
		"99999@3gpp.org":               credit.UnknownService,
		"032251@3gpp.org":              credit.UnknownService,
		"32251@3gpp.org.attacker.test": credit.UnknownService,
		"":                             credit.UnknownService,
	} {
		if got := serviceOf([]byte(in), own); got != want {
			t.Errorf("%q is %d", in, got)
		}
	}
}

func TestPlaces(t *testing.T) {
	for _, c := range []struct {
		location string
		want     uint32
	}{
		{"82 42f210 0001 42f210 00010203", 242001}, // TAI and ECGI, two digits
		{"01 130014 0001 0002", 310410},            // SAI 310-410: octets 13 00 14
		{"05 42f210 00", 0},
		{"82 42", 0},
		{"", 0},
		{"82 ffffff 0001", 0},
	} {
		if got := plmnOfLocation(unhex(c.location)); got != c.want {
			t.Errorf("%s is %d, not %d", c.location, got, c.want)
		}
	}
	if plmnDigits([]byte("310410")) != 310410 || plmnDigits([]byte("24201")) != 242001 || plmnDigits([]byte("2420")) != 0 {
		t.Error("digits of networks")
	}
	for octets, want := range map[string]int16{"80 01": 120, "00 00": 0, "02 00": 300, "2b 00": -32 * 15, "22 00": 330} {
		if got, ok := zone(unhex(octets)); !ok || got != want {
			t.Errorf("zone %s is %d, not %d", octets, got, want)
		}
	}
}

func TestTimeEras(t *testing.T) {
	for text, value := range map[string]uint32{
		"1968-01-20T03:14:08Z": 0x80000000,
		"2026-09-21T14:13:20Z": 3998988800,
		"2036-02-07T06:28:15Z": 0xffffffff,
		"2036-02-07T06:28:16Z": 0,
		"2040-01-01T00:00:00Z": 123010304,
	} {
		want, err := time.Parse(time.RFC3339, text)
		if err != nil {
			t.Fatal(err)
		}
		a := avp{data: appendU32(nil, eventTimestamp, value)[8:]}
		if got, f := a.time(); f != nil || got != want.UnixMicro() {
			t.Errorf("%d is %s, not %s", value, time.UnixMicro(got).UTC(), text)
		}
		if b := appendTime(nil, eventTimestamp, want.UnixMicro()); !bytes.Equal(b, appendU32(nil, eventTimestamp, value)) {
			t.Errorf("%s is %x", text, b)
		}
	}
}
