package radius

import (
	"bytes"
	"crypto/hmac"
	"crypto/md5"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	"tandem/edge/credit"
)

func unhex(s string) []byte {
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		panic(err)
	}
	return b
}

var vectorSecret = NewSecret([]byte("xyzzy5461"))

// RFC 2865 7.1: a user Telnetting to a specified host.
func TestVectorPAP(t *testing.T) {
	request := parsed(t, unhex(`01 00 00 38 0f 40 3f 94 73 97 80 57 bd 83 d5 cb 98 f4 22 7a 01 06 6e 65 6d 6f 02 12 0d be
		70 8d 93 d4 13 ce 31 96 e4 3f 78 2a 0a ee 04 06 c0 a8 01 10 05 06 00 00 00 03`))
	hidden, _ := request.Find(UserPassword)
	password, ok := RevealPassword(hidden, request.Authenticator(), vectorSecret)
	if !ok || string(password) != "arctangent" {
		t.Errorf("the password is %q", password)
	}
	if again := HidePassword(nil, password, request.Authenticator(), vectorSecret); !bytes.Equal(again, hidden) {
		t.Errorf("hidden as %x, want %x", again, hidden)
	}
	reply := unhex(`02 00 00 26 86 fe 22 0e 76 24 ba 2a 10 05 f6 bf 9b 55 e0 b2 06 06 00 00 00 01 0f 06 00 00 00 00
		0e 06 c0 a8 01 03`)
	wantReply(t, request, reply)
}

// RFC 2865 7.2: a framed user authenticating with CHAP.
func TestVectorCHAP(t *testing.T) {
	request := parsed(t, unhex(`01 01 00 47 2a ee 86 f0 8d 0d 55 96 9c a5 97 8e 0d 33 67 a2 01 08 66 6c 6f 70 73 79 03 13
		16 e9 75 57 c3 16 18 58 95 f2 93 ff 63 44 07 72 75 04 06 c0 a8 01 10 05 06 00 00 00 14 06 06 00 00 00 02 07 06 00 00 00 01`))
	chap, _ := request.Find(CHAPPassword)
	for password, want := range map[string]bool{"arctangent": true, "arctangen": false, "": false} {
		a := Access{Method: CHAP, proofID: chap[0], proof: chap[1:], challenge: request.Authenticator()}
		if got := a.Verify([]byte(password)); got != want {
			t.Errorf("password %q: %v", password, got)
		}
	}
	wantReply(t, request, unhex(`02 01 00 38 15 ef bc 7d ab 26 cf a3 dc 34 d9 c0 3c 86 01 a4 06 06 00 00 00 02 07 06 00 00 00 01
		08 06 ff ff ff fe 0a 06 00 00 00 02 0d 06 00 00 00 01 0c 06 00 00 05 dc`))
}

func parsed(t *testing.T, b []byte) Packet {
	t.Helper()
	p, err := Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// wantReply seals the reply anew and wants the bytes of the vector.
func wantReply(t *testing.T, request Packet, want []byte) {
	t.Helper()
	g := newSigner()
	if !g.provenReply(parsed(t, want), request.Authenticator(), vectorSecret) {
		t.Error("the reply of the RFC is not proven")
	}
	got := bytes.Clone(want)
	copy(got[2:headSize], make([]byte, headSize-2))
	if !g.sealReply(got, request.Authenticator(), vectorSecret) || !bytes.Equal(got, want) {
		t.Errorf("sealed\n%x, want\n%x", got, want)
	}
	got[len(got)-1]++
	if g.provenReply(got, request.Authenticator(), vectorSecret) {
		t.Error("a changed reply is proven")
	}
}

// Message-Authenticator and request authenticator are what the plain definition of RFC 3579 3.2 and RFC 2866 3 gives.
func TestChecksumsByDefinition(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	g := newSigner()
	for range 200 {
		key := randomBytes(random, 1+random.IntN(100))
		s := NewSecret(key)
		p := appendMAC(AppendHead(nil, CoARequest, byte(random.Uint32())))
		for range random.IntN(20) {
			p = AppendBytes(p, Type(random.Uint32()), randomBytes(random, random.IntN(maxValue+1)))
		}
		if len(p) > MaxPacket {
			continue
		}
		if !g.sealRequest(p, s) {
			t.Fatal("not sealed")
		}
		plain := bytes.Clone(p)
		copy(plain[4:20], zero[:])
		copy(plain[22:38], zero[:])
		h := hmac.New(md5.New, key)
		h.Write(plain)
		copy(plain[22:38], h.Sum(nil))
		if sum := md5.Sum(append(bytes.Clone(plain), key...)); !bytes.Equal(sum[:], p[4:20]) || !bytes.Equal(plain[22:38], p[22:38]) {
			t.Fatalf("secret of %d octets: checksums differ", len(key))
		}
		if right, signed := g.provenRequest(p, s); !right || !signed {
			t.Fatal("our own request is not proven")
		}
		p[22+random.IntN(16)] ^= 1 + byte(random.IntN(255))
		if right, _ := g.provenRequest(p, s); right {
			t.Fatal("a wrong Message-Authenticator is proven")
		}
	}
}

func randomBytes(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func TestPasswordsOfEveryLength(t *testing.T) {
	auth := []byte("0123456789abcdef")
	for n := range 129 {
		password := bytes.Repeat([]byte{'x'}, n)
		hidden := HidePassword(nil, password, auth, vectorSecret)
		if want := max(16, (n+15)/16*16); len(hidden) != want {
			t.Fatalf("%d octets are hidden in %d, want %d", n, len(hidden), want)
		}
		got, ok := RevealPassword(hidden, auth, vectorSecret)
		if !ok || !bytes.Equal(got, password) {
			t.Fatalf("%d octets: revealed %q", n, got)
		}
	}
	for _, n := range []int{0, 1, 15, 17, 144} {
		if _, ok := RevealPassword(make([]byte, n), auth, vectorSecret); ok {
			t.Errorf("a value of %d octets is revealed", n)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	good := AppendUint(AppendHead(nil, AccountingRequest, 1), AcctStatusType, 1)
	setLength(good)
	parsed(t, good)
	parsed(t, append(bytes.Clone(good), 1, 2, 3)) // padding
	for name, change := range map[string]func(b []byte) []byte{
		"an empty datagram":               func(b []byte) []byte { return nil },
		"half a head":                     func(b []byte) []byte { return b[:19] },
		"fewer octets than the length":    func(b []byte) []byte { return b[:len(b)-1] },
		"a length below the head's":       func(b []byte) []byte { b[3] = 19; return b },
		"a length above 4096":             func(b []byte) []byte { b[2] = 0x10; b[3] = 1; return append(b, make([]byte, 4100)...) },
		"an attribute without a length":   func(b []byte) []byte { b[3] = 21; return b },
		"an attribute of length 1":        func(b []byte) []byte { b[21] = 1; return b },
		"an attribute beyond the packet":  func(b []byte) []byte { b[21] = 7; return b },
		"an attribute of length 0 (loop)": func(b []byte) []byte { b[21] = 0; return b },
	} {
		if _, err := Parse(change(bytes.Clone(good))); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}

// What a record says is what the request says, in one go and in every field.
func TestRecordBecomesRequest(t *testing.T) {
	record := Record{Phase: Stop, NAS: "bng-7", User: "alice", Session: "s1", Seconds: 61, Input: 5<<32 + 7, Output: 1<<33 + 9,
		At: 1_700_000_000, Delay: 5, Cause: 1, Class: []byte("c")}
	b := record.Append(AppendHead(nil, AccountingRequest, 9))
	b = AppendBytes(b, FramedIPAddress, []byte{100, 64, 0, 7})
	b = AppendBytes(b, NASIPv6Address, bytes.Repeat([]byte{0xfd}, 16))
	b = appendPrefix(b, FramedIPv6Prefix, netip.MustParsePrefix("2001:db8:1::/64"))
	b = appendPrefix(b, DelegatedIPv6Prefix, netip.MustParsePrefix("2001:db8:8000::/33"))
	b = AppendBytes(b, CallingStationID, "aa-bb")
	b = AppendBytes(b, CalledStationID, "internet")
	b = AppendVendor(b, vendor3GPP, threeIMSI, "240010000000001")
	b = AppendVendor(b, vendor3GPP, threeSGSNPLMN, "24001")
	setLength(b)
	x := newExchange(&port{})
	x.packet, x.nas = parsed(t, b), testNAS(t, NAS{Name: "relay", Address: "10.0.0.1", Secret: []byte("s")})
	x.in.peer = netip.MustParseAddrPort("10.0.0.1:1000")
	r := &x.call.Request
	rep, ok := x.report(r)
	if !ok {
		t.Fatal("not read")
	}
	x.name()
	rep.use(r)
	want := credit.Used{Units: credit.Units{Has: credit.HasSeconds | credit.HasInput | credit.HasOutput, Seconds: 61, Input: 5<<32 + 7, Output: 1<<33 + 9},
		Cumulative: true, Reason: credit.Final}
	if got := r.Units[0].Used[0]; got != want {
		t.Errorf("used %+v, want %+v", got, want)
	}
	got := fmt.Sprintf("%s %s %s %s %s %s %d %x %x %x %x", x.peer, r.Session, r.Subscribers[0].ID, r.Subscribers[1].ID, r.Calling, r.Access, r.PLMN,
		r.Address, r.Node[:2], r.Prefix, r.Delegated)
	if want := "relay/bng-7 s1 alice 240010000000001 aa-bb internet 240001 64400007 fdfd 4020010db800010000 2120010db880"; got != want {
		t.Errorf("request\n%s, want\n%s", got, want)
	}
}

func testNAS(t *testing.T, n NAS) *nas {
	t.Helper()
	entry, err := newNAS(n)
	if err != nil {
		t.Fatal(err)
	}
	return entry
}

// A retry has another delay and another identifier and keeps its digest; anything that counts changes it.
func TestDigest(t *testing.T) {
	base := Record{Phase: Interim, NAS: "a", User: "u", Session: "s", Seconds: 10, Input: 1, Output: 2, At: 1_700_000_000}
	want := digestOfRecord(t, base)
	retry := base
	retry.Delay = 7
	if digestOfRecord(t, retry) != want {
		t.Error("a retry has another digest")
	}
	for name, change := range map[string]func(*Record){
		"phase":   func(r *Record) { r.Phase = Stop },
		"session": func(r *Record) { r.Session = "t" },
		"gateway": func(r *Record) { r.NAS = "b" },
		"seconds": func(r *Record) { r.Seconds++ },
		"input":   func(r *Record) { r.Input++ },
		"high":    func(r *Record) { r.Output += 1 << 32 },
		"event":   func(r *Record) { r.At++ },
	} {
		other := base
		change(&other)
		if digestOfRecord(t, other) == want {
			t.Errorf("another %s has the same digest", name)
		}
	}
	if want != 0x154c9e049e8a0a81 { // it is kept in the store with the charge
		t.Errorf("the digest is %#x, it was another in earlier versions", want)
	}
}

func digestOfRecord(t *testing.T, r Record) uint64 {
	t.Helper()
	b := r.Append(AppendHead(nil, AccountingRequest, byte(r.Delay)))
	setLength(b)
	x := newExchange(&port{})
	x.packet, x.nas = parsed(t, b), testNAS(t, NAS{Name: "n", Address: "10.0.0.1", Secret: []byte("s")})
	x.in.peer = netip.MustParseAddrPort("10.0.0.1:1000")
	rep, ok := x.report(&x.call.Request)
	if !ok {
		t.Fatal("not read")
	}
	x.name()
	x.call.Request.Peer = x.peer
	return rep.digest(&x.call.Request)
}

func TestLongestMatchNamesTheGateway(t *testing.T) {
	table, err := newTable([]NAS{
		{Name: "all", Address: "10.0.0.0/8", Secret: []byte("a")},
		{Name: "site", Address: "10.1.0.0/16", Secret: []byte("b")},
		{Name: "one", Address: "10.1.2.3", Secret: []byte("c")},
		{Name: "six", Address: "2001:db8::/32", Secret: []byte("d")},
	})
	if err != nil {
		t.Fatal(err)
	}
	for address, want := range map[string]string{"10.9.9.9": "all", "10.1.9.9": "site", "10.1.2.3": "one", "::ffff:10.1.2.3": "one",
		"2001:db8::1": "six", "2001:db9::1": "", "192.0.2.1": ""} {
		got := ""
		if n := table.find(netip.MustParseAddr(address)); n != nil {
			got = n.Name
		}
		if got != want {
			t.Errorf("%s is %q, want %q", address, got, want)
		}
	}
}

func TestGatewaysThatAreRefused(t *testing.T) {
	ok := NAS{Name: "n", Address: "10.0.0.1", Secret: []byte("s")}
	for name, list := range map[string][]NAS{
		"no address": {{Name: "n", Secret: []byte("s")}},
		"no secret":  {{Name: "n", Address: "10.0.0.1"}},
		"no name":    {{Address: "10.0.0.1", Secret: []byte("s")}},
		"twice":      {ok, {Name: "m", Address: "10.0.0.1/32", Secret: []byte("t")}},
	} {
		if _, err := newTable(list); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}

func TestRate(t *testing.T) {
	var l limit
	l.set(100)
	admitted := 0
	for micros := int64(0); micros < 2_000_000; micros += 1000 {
		if l.allow(1_700_000_000_000_000 + micros) {
			admitted++
		}
	}
	if admitted < 200 || admitted > 211 { // two seconds at 100, and the tenth of a second that may come at once
		t.Errorf("%d of 2000 are admitted", admitted)
	}
}

// The memory of replies is bounded, keeps a reply for at least one life, and forgets it after two.
func TestRepliesAge(t *testing.T) {
	r := newReplies(1000, 100)
	key := replyKey{1, 1}
	if _, v := r.begin(key, 5000, nil); v != unseen {
		t.Fatal("seen before it came")
	}
	if _, v := r.begin(key, 5001, nil); v != underWay {
		t.Fatal("not under way")
	}
	r.finish(key, []byte("reply"))
	for _, at := range []int64{5999, 6100} {
		if reply, v := r.begin(key, at, nil); v != answered || string(reply) != "reply" {
			t.Fatalf("at %d: %q, %d", at, reply, v)
		}
	}
	if _, v := r.begin(replyKey{1, 2}, 6101, nil); v != unseen {
		t.Error("another request of the same name is taken for the first")
	}
	if _, v := r.begin(key, 8200, nil); v != unseen {
		t.Error("never forgotten")
	}
	for i := range uint64(10_000) {
		r.begin(replyKey{i, i}, 8201, nil)
		r.finish(replyKey{i, i}, make([]byte, 200))
		if len(r.young.index)+len(r.old.index) > 200 {
			t.Fatalf("%d entries", len(r.young.index)+len(r.old.index))
		}
	}
	if r.early == 0 {
		t.Error("nobody is told that replies are forgotten early")
	}
	if got := cap(r.young.bytes) + cap(r.old.bytes); got > 200*256 {
		t.Errorf("%d octets for 200 entries", got)
	}
}

// A challenge is answered once, in time, and by who was challenged; a full ring forgets the oldest.
func TestChallenges(t *testing.T) {
	c := newChallenges(4)
	handle, value := c.issue(1000, 7, []byte("alice"), []byte("renew"))
	for name, try := range map[string]func() bool{
		"another user":  func() bool { _, ok := c.take(1001, handle[:], []byte("bob")); return ok },
		"another nonce": func() bool { h := handle; h[15] ^= 1; _, ok := c.take(1001, h[:], []byte("alice")); return ok },
		"another slot":  func() bool { h := handle; h[0] = 0xff; _, ok := c.take(1001, h[:], []byte("alice")); return ok },
		"too late":      func() bool { _, ok := c.take(1001+challengeLife, handle[:], []byte("alice")); return ok },
		"half a state":  func() bool { _, ok := c.take(1001, handle[:8], []byte("alice")); return ok },
	} {
		if try() {
			t.Errorf("%s finds the challenge", name)
		}
	}
	got, ok := c.take(1001, handle[:], []byte("alice"))
	if !ok || got.value != value || got.id != 7 || string(got.state) != "renew" {
		t.Fatalf("%+v, %v", got, ok)
	}
	if _, ok := c.take(1001, handle[:], []byte("alice")); ok {
		t.Error("answered twice")
	}
	first, _ := c.issue(1, 1, []byte("a"), nil)
	for range 4 {
		c.issue(1, 1, []byte("a"), nil)
	}
	if _, ok := c.take(1, first[:], []byte("a")); ok {
		t.Error("the oldest is not forgotten")
	}
}

func TestProfileAttributes(t *testing.T) {
	p := Profile{Seconds: 3600, Octets: 5<<32 + 1, Renew: true, Interim: 5, Up: 1e6, Down: 5e9, State: []byte("s"), Class: []byte("c"),
		Address: netip.MustParseAddr("100.64.0.7"), Pool: "p", Filter: "f",
		Prefix: netip.MustParsePrefix("2001:db8::/64"), Delegated: netip.MustParsePrefix("2001:db8:8000::/56")}
	for dialects, want := range map[Vendors]string{
		0: "",
		Mikrotik: "1a0c00003a8c 110600000001" + "1a0c00003a8c 120600000005" + "1a1a00003a8c 0814" +
			hex.EncodeToString([]byte("1000000/5000000000")),
		WISPr:  "1a0c0000372a 0706000f4240" + "1a0c0000372a 0806ffffffff",
		Chilli: "1a0c000038df 030600000001" + "1a0c000038df 170600000005",
	} {
		plain := "1b0600000e10 1d0600000001 55060000003c 080664400007" + "610c0040 20010db800000000" + "7b0b0038 20010db8800000" +
			"580370 0b0366 190363 180373"
		if got := p.append(nil, dialects); !bytes.Equal(got, unhex(plain+want)) {
			t.Errorf("dialects %d:\n%x, want\n%x", dialects, got, unhex(plain+want))
		}
	}
	whole := Profile{Octets: 1 << 32}
	if got := whole.append(nil, Chilli); !bytes.Equal(got, unhex("1a0c000038df 0306ffffffff 1a0c000038df 170600000000")) {
		t.Errorf("4 GiB are told as %x: an old gateway would read no limit", got)
	}
	for name, bad := range map[string]Profile{
		"a long class":  {Class: make([]byte, 254)},
		"an IPv4 block": {Delegated: netip.MustParsePrefix("10.0.0.0/8")},
		"endless renew": {Renew: true},
	} {
		if bad.check() == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}

func TestSecretsNeverPrint(t *testing.T) {
	for _, v := range []any{NewSecret([]byte("swordfish")), NAS{Secret: Key("swordfish")}, &NAS{Secret: Key("swordfish")}, ClientConfig{Secret: Key("swordfish")}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%q"} {
			text := fmt.Sprintf(verb, v)
			for _, leak := range []string{"swordfish", "73776f7264", "115", "0x73"} {
				if strings.Contains(text, leak) {
					t.Errorf("%s prints %s", verb, text)
				}
			}
		}
		if text, err := json.Marshal(v); err != nil || strings.Contains(string(text), "c3dvcmRmaXNo") {
			t.Errorf("as a document: %s, %v", text, err)
		}
	}
}

// No packet of any content does harm, and what is accepted is walked to its end.
func FuzzParse(f *testing.F) {
	good := (&Record{Phase: Stop, User: "u", Session: "s", Input: 1 << 40}).Append(AppendHead(nil, AccountingRequest, 1))
	good = AppendVendor(good, vendor3GPP, threeIMSI, "240010000000001")
	setLength(good)
	f.Add(good)
	f.Add([]byte{1, 0, 0, 20})
	entry, _ := newNAS(NAS{Name: "n", Address: "10.0.0.0/8", Secret: []byte("s")})
	x := newExchange(&port{})
	x.nas, x.in.peer = entry, netip.MustParseAddrPort("10.0.0.1:1000")
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := Parse(b)
		if err != nil {
			return
		}
		n := headSize
		for typ, v := range p.All() {
			n += 2 + len(v)
			if typ == VendorSpecific {
				_, parts := Vendor(v)
				for range parts {
				}
			}
		}
		if n != int(binary.BigEndian.Uint16(b[2:])) {
			t.Fatalf("walked %d of %d octets", n, binary.BigEndian.Uint16(b[2:]))
		}
		x.packet = p
		r := &x.call.Request
		r.Reset()
		if rep, ok := x.report(r); ok {
			x.name()
			rep.use(r)
			rep.digest(r)
			if _, attributes, class, ok := parseBack(x.wayBack()); !ok || len(attributes)+len(class) > len(p) {
				t.Fatal("the way back is lost")
			}
		}
		g := newSigner()
		g.provenRequest(p, entry.secret)
		g.provenMAC(p, p.Authenticator(), entry.secret)
	})
}

func FuzzEAP(f *testing.F) {
	f.Add(eapPacket{eapResponse, 1, eapIdentity, []byte("bob")}.append(nil))
	f.Add(eapPacket{eapResponse, 2, eapMD5, append([]byte{16}, make([]byte, 20)...)}.append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, ok := parseEAP(b)
		if !ok {
			return
		}
		e.md5Value()
		if again := e.append(nil); !bytes.Equal(again, b[:len(again)]) {
			t.Fatalf("%x becomes %x", b, again)
		}
	})
}

// A way back comes out of the journal: whatever it is, what is read of it lies within.
func FuzzWayBack(f *testing.F) {
	f.Add([]byte{4, 10, 0, 0, 1, 1, 3, 'u', 25, 4, 'a', 'b'})
	f.Add([]byte{16, 0})
	f.Add([]byte{4, 10, 0, 0, 1, 25, 2})
	f.Fuzz(func(t *testing.T, b []byte) {
		to, attributes, class, ok := parseBack(b)
		if ok && (!to.IsValid() || 1+int(b[0])+len(attributes)+len(class) > len(b)) {
			t.Fatalf("%v %x %x", to, attributes, class)
		}
		if !ok && UserOf(b)+ClassOf(b) != "" {
			t.Fatalf("%q %q of what is no way back", UserOf(b), ClassOf(b))
		}
	})
}

// A way back names the session by what its gateway sent, and has the Class beside it: a CoA-Request does not repeat that as a name.
func TestAWayBackHasTheClass(t *testing.T) {
	p := AppendHead(nil, AccountingRequest, 1)
	p = AppendBytes(p, Class, "told")
	p = AppendBytes(p, UserName, "u")
	p = AppendBytes(p, NASIdentifier, "bng-1")
	setLength(p)
	x := newExchange(&port{})
	x.in.peer, x.packet = netip.MustParseAddrPort("10.0.0.1:1000"), Packet(p)
	back := x.wayBack()
	to, names, _, ok := parseBack(back)
	want := AppendBytes(AppendBytes(nil, UserName, "u"), NASIdentifier, "bng-1")
	if !ok || to.String() != "10.0.0.1" || !bytes.Equal(names, want) || ClassOf(back) != "told" || UserOf(back) != "u" {
		t.Errorf("%v %x, class %q of %q", to, names, ClassOf(back), UserOf(back))
	}
	old := append([]byte{4, 10, 0, 0, 1}, want...) // of a session that was opened before there was one in it
	if _, names, class, ok := parseBack(old); !ok || class != nil || !bytes.Equal(names, want) || ClassOf(old) != "" {
		t.Errorf("%x %x", names, class)
	}
}
