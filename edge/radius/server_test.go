package radius_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/md5"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	mathrand "math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	foreign "layeh.com/radius"
	"layeh.com/radius/rfc2865"
	"layeh.com/radius/rfc2866"
	"layeh.com/radius/rfc2869"

	"tandem/edge/credit"
	"tandem/edge/radius"
)

// wired is a bare socket to the server: what comes back are the bytes themselves.
type wired struct {
	t    *testing.T
	conn net.Conn
}

func wire(t *testing.T, address string) wired {
	t.Helper()
	conn, err := net.Dial("udp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return wired{t, conn}
}

func (w wired) send(b []byte) {
	w.t.Helper()
	if _, err := w.conn.Write(b); err != nil {
		w.t.Fatal(err)
	}
}

// hear is the next reply, which has to come.
func (w wired) hear() []byte {
	w.t.Helper()
	w.conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	b := make([]byte, radius.MaxPacket)
	n, err := w.conn.Read(b)
	if err != nil {
		w.t.Fatalf("no reply: %v", err)
	}
	return b[:n]
}

// accountingPacket is an accounting request made by another implementation.
func accountingPacket(t *testing.T, id byte, key string, r radius.Record) []byte {
	t.Helper()
	p := foreign.New(foreign.CodeAccountingRequest, []byte(key))
	p.Identifier = id
	rfc2866.AcctStatusType_Set(p, rfc2866.AcctStatusType(r.Phase))
	if r.Session != "" {
		rfc2866.AcctSessionID_SetString(p, r.Session)
	}
	rfc2865.UserName_SetString(p, r.User)
	rfc2866.AcctDelayTime_Set(p, rfc2866.AcctDelayTime(r.Delay))
	rfc2866.AcctSessionTime_Set(p, rfc2866.AcctSessionTime(r.Seconds))
	rfc2866.AcctInputOctets_Set(p, rfc2866.AcctInputOctets(r.Input))
	rfc2866.AcctOutputOctets_Set(p, rfc2866.AcctOutputOctets(r.Output))
	rfc2869.AcctInputGigawords_Set(p, rfc2869.AcctInputGigawords(r.Input>>32))
	rfc2869.AcctOutputGigawords_Set(p, rfc2869.AcctOutputGigawords(r.Output>>32))
	if r.At != 0 {
		rfc2869.EventTimestamp_Set(p, time.Unix(r.At, 0))
	}
	b, err := p.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// accessPacket is an Access-Request by the plain definitions; signed tells whether it has a Message-Authenticator.
func accessPacket(t *testing.T, id byte, key string, signed bool, attributes ...[]byte) []byte {
	t.Helper()
	b := radius.AppendHead(nil, radius.AccessRequest, id)
	rand.Read(b[4:20])
	for _, a := range attributes {
		b = append(b, a...)
	}
	at := len(b) + 2
	if signed {
		b = radius.AppendBytes(b, radius.MessageAuthenticator, make([]byte, 16))
	}
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
	if signed {
		h := hmac.New(md5.New, []byte(key))
		h.Write(b)
		copy(b[at:], h.Sum(nil))
	}
	return b
}

// chapProof are the attributes of a CHAP login.
func chapProof(user, password string) []byte {
	challenge := []byte("0123456789abcdef")
	sum := md5.Sum(append(append([]byte{7}, password...), challenge...))
	b := radius.AppendBytes(nil, radius.UserName, user)
	b = radius.AppendBytes(b, radius.CHAPPassword, append([]byte{7}, sum[:]...))
	return radius.AppendBytes(b, radius.CHAPChallenge, challenge)
}

// wantID hears a reply and wants it to be to a certain request: those before it, on the same socket, were not answered.
func (w wired) wantID(code radius.Code, id byte) radius.Packet {
	w.t.Helper()
	p, err := radius.Parse(w.hear())
	if err != nil || p.Code() != code || p.ID() != id {
		w.t.Fatalf("reply %x (%v), want code %d to request %d", []byte(p), err, code, id)
	}
	return p
}

func wantStat(t *testing.T, name string, got, want uint64) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %d, want %d", name, got, want)
	}
}

// A login without Message-Authenticator, or with a wrong one, is dropped and counted (CVE-2024-3596).
func TestUnsignedLoginIsDropped(t *testing.T) {
	b := setup(t)
	w := wire(t, b.server.AuthAddr())
	proof := chapProof("alice", "wonderland")
	w.send(accessPacket(t, 1, secret, false, proof))
	w.send(accessPacket(t, 2, "another secret", true, proof))
	broken := accessPacket(t, 3, secret, true, proof)
	broken[len(broken)-1] ^= 1
	w.send(broken)
	w.send(accessPacket(t, 4, secret, true, proof))
	w.wantID(radius.AccessAccept, 4)
	s := b.server.Stats()
	wantStat(t, "unsigned", s.Unsigned, 1)
	wantStat(t, "forged", s.Forged, 2)
	wantStat(t, "requests", s.Requests, 1)
}

// A gateway that is marked may log in without, and is named by the check; its EAP has to be signed all the same (RFC 3579 3.1), and so has
// what comes with a Proxy-State.
func TestLegacyGateway(t *testing.T) {
	legacy := func(c *radius.Config) { c.NAS[0].LegacyNoMessageAuthenticator = true }
	b := setup(t, legacy)
	w := wire(t, b.server.AuthAddr())
	eap := radius.AppendBytes(radius.AppendBytes(nil, radius.UserName, "bob"), radius.EAPMessage, []byte("\x02\x01\x00\x08\x01bob"))
	w.send(accessPacket(t, 1, secret, false, eap))
	w.send(accessPacket(t, 3, secret, false, chapProof("alice", "wonderland"), radius.AppendBytes(nil, radius.ProxyState, "forged")))
	w.send(accessPacket(t, 2, secret, false, chapProof("alice", "wonderland")))
	p := w.wantID(radius.AccessAccept, 2)
	if radius.Type(p[20]) != radius.MessageAuthenticator {
		t.Error("the reply is not signed")
	}
	c := radius.Config{NAS: []radius.NAS{{Name: "old-1", Address: "192.0.2.1", Secret: []byte("short")}, {Name: "new-1", Address: "192.0.2.2", Secret: []byte(secret)}}}
	legacy(&c)
	warnings, err := c.Check()
	if err != nil || len(warnings) != 2 || !strings.Contains(strings.Join(warnings, " "), "CVE-2024-3596") || strings.Contains(strings.Join(warnings, " "), "new-1") {
		t.Errorf("warnings %q, %v", warnings, err)
	}
}

// Accounting that was made with another secret, or comes from a gateway nobody knows, is dropped, counted and not charged.
func TestForgedAccountingIsDropped(t *testing.T) {
	b := setup(t)
	w := wire(t, b.server.AcctAddr())
	r := radius.Record{Phase: radius.Stop, User: "alice", Session: "s", Input: 1000}
	w.send(accountingPacket(t, 1, "another secret", r))
	changed := accountingPacket(t, 2, secret, r)
	changed[len(changed)-1] ^= 1
	w.send(changed)
	w.send(accessPacket(t, 3, secret, true)) // on the wrong port
	w.send([]byte{4, 1, 0})
	w.send(accountingPacket(t, 9, secret, r))
	w.wantID(radius.AccountingResponse, 9)
	if octets, calls := b.ledger.sum(); octets != 1000 || calls != 1 {
		t.Errorf("%d octets in %d calls", octets, calls)
	}
	s := b.server.Stats()
	wantStat(t, "forged", s.Forged, 2)
	wantStat(t, "unexpected", s.Unexpected, 1)
	wantStat(t, "malformed", s.Malformed, 1)
	if err := b.server.SetNAS([]radius.NAS{{Name: "other", Address: "192.0.2.0/24", Secret: []byte(secret)}}); err != nil {
		t.Fatal(err)
	}
	w.send(accountingPacket(t, 10, secret, r))
	eventually(t, "unknown gateways are counted", func() bool { return b.server.Stats().Unknown == 1 })
}

// The same packet gets the same bytes; it and its retry with a new delay are charged once.
func TestReplayIsChargedOnce(t *testing.T) {
	b := setup(t)
	w := wire(t, b.server.AcctAddr())
	r := radius.Record{Phase: radius.Interim, User: "alice", Session: "s", Seconds: 60, Input: 5<<32 + 1000, Output: 500, At: 1_700_000_000}
	packet := accountingPacket(t, 1, secret, r)
	w.send(packet)
	first := w.hear()
	for range 3 {
		w.send(packet)
		if again := w.hear(); !bytes.Equal(again, first) {
			t.Fatalf("answered %x, the first time %x", again, first)
		}
	}
	if octets, calls := b.ledger.sum(); octets != 5<<32+1500 || calls != 1 {
		t.Errorf("%d octets in %d calls", octets, calls)
	}
	wantStat(t, "repeated", b.server.Stats().Repeated, 3)
	other := wire(t, b.server.AcctAddr()) // another source port is another request (RFC 5080 2.2.2)
	r.Delay = 5
	other.send(accountingPacket(t, 2, secret, r))
	other.wantID(radius.AccountingResponse, 2)
	other.send(packet)
	other.wantID(radius.AccountingResponse, 1)
	if octets, calls := b.ledger.sum(); octets != 5<<32+1500 || calls != 3 {
		t.Errorf("after the retries %d octets in %d calls", octets, calls)
	}
}

// The replay of a login gets the same bytes and is not decided again, whatever has changed meanwhile.
func TestReplayOfLogin(t *testing.T) {
	b := setup(t)
	w := wire(t, b.server.AuthAddr())
	packet := accessPacket(t, 1, secret, true, chapProof("alice", "wonderland"))
	w.send(packet)
	first := w.hear()
	b.users.mu.Lock()
	b.users.passwords = nil
	b.users.mu.Unlock()
	w.send(packet)
	if again := w.hear(); !bytes.Equal(again, first) {
		t.Errorf("answered %x, the first time %x", again, first)
	}
	wantStat(t, "decided", b.server.Stats().Requests, 1)
	w.send(accessPacket(t, 1, secret, true, chapProof("alice", "wonderland"))) // the same identifier, another request
	w.wantID(radius.AccessReject, 1)
}

// What could not be made durable is not answered, and the retry of the same bytes is charged then.
func TestSilenceUntilDurable(t *testing.T) {
	b := setup(t)
	w := wire(t, b.server.AcctAddr())
	packet := accountingPacket(t, 1, secret, radius.Record{Phase: radius.Stop, User: "alice", Session: "s", Input: 7})
	on := accountingPacket(t, 2, secret, radius.Record{Phase: radius.NASUp})
	for i, result := range []credit.Result{credit.Failed, credit.Busy, credit.Clash} {
		b.ledger.say(result)
		w.send(packet)
		w.send(on)
		eventually(t, result.String(), func() bool { return b.server.Stats().Silent == uint64(2*i+2) })
	}
	b.ledger.say(credit.Success)
	w.send(packet)
	w.wantID(radius.AccountingResponse, 1)
	if octets, calls := b.ledger.sum(); octets != 7 || calls != 4 {
		t.Errorf("%d octets in %d calls", octets, calls)
	}
}

// held keeps calls until they are let go.
type held struct{ calls chan *credit.Call }

func (h held) Charge(c *credit.Call) { h.calls <- c }

// A copy that comes while the first is under way is dropped: one charge, one answer.
func TestCopyWhileUnderWay(t *testing.T) {
	h := held{make(chan *credit.Call, 16)}
	b := setup(t, func(c *radius.Config) { c.Charger = h })
	w := wire(t, b.server.AcctAddr())
	packet := accountingPacket(t, 1, secret, radius.Record{Phase: radius.Start, User: "alice", Session: "s"})
	w.send(packet)
	call := <-h.calls
	w.send(packet)
	eventually(t, "the copy is counted", func() bool { return b.server.Stats().UnderWay == 1 })
	call.Done(call)
	w.wantID(radius.AccountingResponse, 1)
	if len(h.calls) != 0 {
		t.Error("the copy was charged")
	}
}

// While as much as may be is under way nothing more is read, and it goes on when there is room. Closing does not wait for the charger.
func TestBoundedUnderWay(t *testing.T) {
	h := held{make(chan *credit.Call, 1000)}
	b := setup(t, func(c *radius.Config) { c.Charger, c.InFlight = h, 4 })
	w := wire(t, b.server.AcctAddr())
	const sent = 200
	for i := range sent {
		w.send(accountingPacket(t, byte(i), secret, radius.Record{Phase: radius.Start, User: "alice", Session: fmt.Sprint(i)}))
	}
	eventually(t, "it stalls", func() bool { return b.server.Stats().Stalled > 0 })
	if n := len(h.calls); n > 4+64 {
		t.Errorf("%d calls are under way, at most 68 may be", n)
	}
	for range sent {
		call := <-h.calls
		call.Done(call)
		w.hear()
	}
	for i := range sent {
		w.send(accountingPacket(t, byte(i), secret, radius.Record{Phase: radius.Stop, User: "alice", Session: fmt.Sprint(i)}))
	}
	late := <-h.calls
	b.server.Close()
	late.Done(late)
}

// Accounting-On and -Off close the sessions of that gateway and of no other.
func TestRestartedGateway(t *testing.T) {
	b := setup(t)
	k := dial(t, b.server.AcctAddr())
	for _, r := range []radius.Record{{Phase: radius.Start, NAS: "a", User: "u", Session: "1"}, {Phase: radius.Start, NAS: "b", User: "u", Session: "1"},
		{Phase: radius.NASUp, NAS: "a", At: 1_700_000_000}, {Phase: radius.NASDown, NAS: "c"}} {
		if p, err := k.Ask(t.Context(), radius.AccountingRequest, r.Append); err != nil || p.Code() != radius.AccountingResponse {
			t.Fatalf("%+v: %v", r, err)
		}
	}
	b.ledger.mu.Lock()
	defer b.ledger.mu.Unlock()
	if b.ledger.open["bng-1/a 1"] || !b.ledger.open["bng-1/b 1"] {
		t.Errorf("open: %v", b.ledger.open)
	}
	if r := b.ledger.restarts; len(r) != 2 || !r[0].On || r[0].Peer != "bng-1/a" || r[0].At != 1_700_000_000_000_000 || r[0].Digest == 0 || r[1].Digest != 0 || r[1].On || r[1].Peer != "bng-1/c" {
		t.Errorf("restarts: %+v", r)
	}
}

// Event time is Event-Timestamp; without it, or with one from a clock that was never set, receipt less delay.
func TestEventTime(t *testing.T) {
	b := setup(t)
	k := dial(t, b.server.AcctAddr())
	for _, r := range []radius.Record{{Phase: radius.Interim, Session: "1", Delay: 100}, {Phase: radius.Interim, Session: "2", Delay: 100, At: 1000}} {
		if _, err := k.Ask(t.Context(), radius.AccountingRequest, r.Append); err != nil {
			t.Fatal(err)
		}
		if got := b.ledger.newest(); got.At != got.Received-100_000_000 {
			t.Errorf("%+v: at %d, received %d", r, got.At, got.Received)
		}
	}
}

// What is no use of a session is answered so that it is not sent for ever, and not charged; what is malformed is not answered.
func TestOddAccounting(t *testing.T) {
	b := setup(t)
	w := wire(t, b.server.AcctAddr())
	w.send(accountingPacket(t, 1, secret, radius.Record{Phase: 9, Session: "tunnel"}))
	w.wantID(radius.AccountingResponse, 1)
	w.send(accountingPacket(t, 2, secret, radius.Record{Phase: radius.Start})) // no session
	p := foreign.New(foreign.CodeAccountingRequest, []byte(secret))
	p.Identifier = 3
	p.Add(foreign.Type(radius.AcctStatusType), []byte{0, 2}) // a number of two octets
	short, err := p.Encode()
	if err != nil {
		t.Fatal(err)
	}
	w.send(short)
	w.send(accountingPacket(t, 4, secret, radius.Record{Phase: 15, Session: "failed"}))
	w.wantID(radius.AccountingResponse, 4)
	s := b.server.Stats()
	wantStat(t, "ignored", s.Ignored, 2)
	wantStat(t, "malformed", s.Malformed, 2)
	if _, calls := b.ledger.sum(); calls != 0 {
		t.Errorf("%d calls", calls)
	}
}

// A session that is renewed brings our State back, also through a challenge of EAP.
func TestRenewal(t *testing.T) {
	b := setup(t)
	w := wire(t, b.server.AuthAddr())
	state := radius.AppendBytes(nil, radius.State, "renewal-7")
	w.send(accessPacket(t, 1, secret, true, chapProof("alice", "wonderland"), state))
	w.wantID(radius.AccessAccept, 1)
	if got := b.users.last(); got != "CHAP alice bng-1 renewal-7" {
		t.Errorf("asked as %q", got)
	}
	bob := radius.AppendBytes(nil, radius.UserName, "bob")
	w.send(accessPacket(t, 2, secret, true, bob, radius.AppendBytes(nil, radius.EAPMessage, ""))) // EAP-Start
	p := w.wantID(radius.AccessChallenge, 2)
	if m, _ := p.Find(radius.EAPMessage); !bytes.Equal(m, []byte{1, 0, 0, 5, 1}) {
		t.Errorf("EAP-Start is answered with %x", m)
	}
	w.send(accessPacket(t, 3, secret, true, bob, radius.AppendBytes(nil, radius.EAPMessage, []byte("\x02\x00\x00\x08\x01bob")), state))
	p = w.wantID(radius.AccessChallenge, 3)
	challenge, _ := p.Find(radius.EAPMessage)
	handle, _ := p.Find(radius.State)
	sum := md5.Sum(append([]byte("\x01hello"), challenge[6:22]...))
	response := radius.AppendBytes(nil, radius.EAPMessage, append([]byte{2, 1, 0, 22, 4, 16}, sum[:]...))
	w.send(accessPacket(t, 4, secret, true, bob, response, radius.AppendBytes(nil, radius.State, handle)))
	p = w.wantID(radius.AccessAccept, 4)
	if m, _ := p.Find(radius.EAPMessage); !bytes.Equal(m, []byte{3, 1, 0, 4}) {
		t.Errorf("the last word of EAP is %x", m)
	}
	if got := b.users.last(); got != "EAP-MD5 bob bng-1 renewal-7" {
		t.Errorf("asked as %q", got)
	}
	w.send(accessPacket(t, 5, secret, true, bob, response, radius.AppendBytes(nil, radius.State, handle))) // once answered, it is used up
	w.wantID(radius.AccessReject, 5)
}

func TestEAPWithAnotherMethodIsRefused(t *testing.T) {
	b := setup(t)
	w := wire(t, b.server.AuthAddr())
	w.send(accessPacket(t, 1, secret, true, radius.AppendBytes(nil, radius.UserName, "bob"), radius.AppendBytes(nil, radius.EAPMessage, []byte{2, 9, 0, 6, 3, 25})))
	p := w.wantID(radius.AccessReject, 1)
	if m, _ := p.Find(radius.EAPMessage); !bytes.Equal(m, []byte{4, 9, 0, 4}) {
		t.Errorf("a Nak is answered with %x", m)
	}
}

// Where nothing can be decided the gateway hears nothing and asks another server.
func TestIgnoredLogin(t *testing.T) {
	b := setup(t)
	b.users.withhold(true)
	w := wire(t, b.server.AuthAddr())
	packet := accessPacket(t, 1, secret, true, chapProof("alice", "wonderland"))
	w.send(packet)
	eventually(t, "it is left unanswered", func() bool { return b.server.Stats().Silent == 1 })
	b.users.withhold(false)
	w.send(packet)
	w.wantID(radius.AccessAccept, 1)
}

// A profile that no packet can carry is refused to the caller, and the decision stays his.
func TestProfileThatCannotBeSent(t *testing.T) {
	b := setup(t)
	b.users.give(radius.Profile{Class: make([]byte, 300)})
	w := wire(t, b.server.AuthAddr())
	w.send(accessPacket(t, 1, secret, true, chapProof("alice", "wonderland")))
	p := w.wantID(radius.AccessReject, 1)
	if m, _ := p.Find(radius.ReplyMessage); !strings.Contains(string(m), "class") {
		t.Errorf("the reason is %q", m)
	}
}

func TestGatewayOverItsRate(t *testing.T) {
	b := setup(t, func(c *radius.Config) { c.NAS[0].Rate = 20 })
	w := wire(t, b.server.AcctAddr())
	for i := range 50 {
		w.send(accountingPacket(t, byte(i), secret, radius.Record{Phase: radius.Start, Session: fmt.Sprint(i)}))
	}
	eventually(t, "all are read", func() bool { s := b.server.Stats(); return s.Limited+s.Requests == 50 })
	if s := b.server.Stats(); s.Requests < 2 || s.Limited == 0 {
		t.Errorf("%d of 50 at once are let through, at 20 a second", s.Requests)
	}
}

// Over IPv6 and over a socket that takes both, addresses are what they are.
func TestIPv6(t *testing.T) {
	nas := []radius.NAS{{Name: "four", Address: "127.0.0.1", Secret: []byte(secret)}, {Name: "six", Address: "::1/128", Secret: []byte(secret)}}
	b := setup(t, func(c *radius.Config) { c.Acct, c.NAS = []string{"[::]:0"}, nas })
	port := netip.MustParseAddrPort(b.server.AcctAddr()).Port()
	for host, want := range map[string]string{"127.0.0.1": "four", "[::1]": "six"} {
		k := dial(t, fmt.Sprintf("%s:%d", host, port))
		if _, err := k.Ask(t.Context(), radius.AccountingRequest, (&radius.Record{Phase: radius.Start, Session: want}).Append); err != nil {
			t.Fatalf("%s: %v", host, err)
		}
		if got := b.ledger.newest(); string(got.Peer) != want {
			t.Errorf("%s is %q", host, got.Peer)
		}
	}
}

// Several readers share an address; every session is charged in full, and a second server cannot creep in.
func TestSeveralReaders(t *testing.T) {
	b := setup(t, func(c *radius.Config) { c.Readers = 3 })
	k := dial(t, b.server.AcctAddr(), func(c *radius.ClientConfig) { c.Ports, c.Sign = 8, true })
	load(t, k, 500, 4)
	if octets, calls := b.ledger.sum(); octets != 500*3*(1<<32+1000) || calls != 2000 {
		t.Errorf("%d octets in %d calls", octets, calls)
	}
	_, err := radius.Listen(radius.Config{Acct: []string{b.server.AcctAddr()}, Charger: b.ledger, Restarted: b.ledger.restarted, Readers: 3})
	if err == nil {
		t.Error("two servers listen on one address")
	}
}

// load reports n sessions in several steps, all sessions at once, each step after the one before: a Start, interims, a Stop. Every step
// adds 1<<32+1000 octets.
func load(t testing.TB, k *radius.Client, n, steps int) {
	t.Helper()
	for step := range steps {
		var open sync.WaitGroup
		for i := range n {
			r := radius.Record{Phase: radius.Interim, User: "alice", Session: fmt.Sprintf("s-%d", i), NAS: "bng-1", Seconds: uint32(step * 60),
				Input: uint64(step) << 32, Output: uint64(step) * 1000}
			switch step {
			case 0:
				r.Phase = radius.Start
			case steps - 1:
				r.Phase = radius.Stop
			}
			open.Add(1)
			err := k.Send(radius.AccountingRequest, r.Append, func(_ radius.Packet, err error) {
				if err != nil {
					t.Errorf("session %d, step %d: %v", i, step, err)
				}
				open.Done()
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		open.Wait()
	}
}

// Over a path that loses, repeats and overtakes, in both directions, every octet is charged once: what is lost is sent again, what comes
// twice is recognised.
func TestLossyPath(t *testing.T) {
	b := setup(t)
	p := newPath(t, b.server.AcctAddr())
	k := dial(t, p.address(), func(c *radius.ClientConfig) { c.Ports, c.Wait, c.Tries = 4, 40*time.Millisecond, 1000 })
	load(t, k, 200, 5)
	if octets, _ := b.ledger.sum(); octets != 200*4*(1<<32+1000) {
		t.Errorf("%d octets are charged, want %d", octets, uint64(200*4*(1<<32+1000)))
	}
	s := b.server.Stats()
	if s.Repeated+s.UnderWay == 0 || p.lost.Load() == 0 {
		t.Errorf("the path was good: %+v, %d lost", s, p.lost.Load())
	}
}

// path is a relay that loses one datagram in five, and sends one in five twice, the second time behind the next one.
type path struct {
	front  net.PacketConn
	server string
	lost   atomic.Int64
	work   sync.WaitGroup
	mu     sync.Mutex
	random *mathrand.Rand
}

func newPath(t *testing.T, server string) *path {
	t.Helper()
	front, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &path{front: front, server: server, random: mathrand.New(mathrand.NewPCG(7, 7))}
	p.work.Go(p.requests)
	t.Cleanup(func() {
		front.Close()
		p.work.Wait()
	})
	return p
}

func (p *path) address() string { return p.front.LocalAddr().String() }

// requests relays from the gateway, through a socket of its own for each of its ports.
func (p *path) requests() {
	type leg struct {
		conn net.Conn
		send func([]byte)
	}
	legs := map[string]leg{}
	b := make([]byte, radius.MaxPacket)
	for {
		n, from, err := p.front.ReadFrom(b)
		if err != nil {
			break
		}
		l, known := legs[from.String()]
		if !known {
			conn, err := net.Dial("udp", p.server)
			if err != nil {
				break
			}
			l = leg{conn, p.fault(func(b []byte) { conn.Write(b) })}
			legs[from.String()] = l
			p.work.Go(func() { p.answers(conn, from) })
		}
		l.send(b[:n])
	}
	for _, l := range legs {
		l.conn.Close()
	}
}

func (p *path) answers(conn net.Conn, to net.Addr) {
	send := p.fault(func(b []byte) { p.front.WriteTo(b, to) })
	b := make([]byte, radius.MaxPacket)
	for {
		n, err := conn.Read(b)
		if err != nil {
			return
		}
		send(b[:n])
	}
}

// fault puts the faults before a way to send.
func (p *path) fault(send func([]byte)) func([]byte) {
	var again []byte
	return func(b []byte) {
		p.mu.Lock()
		luck := p.random.IntN(5)
		p.mu.Unlock()
		if luck == 0 {
			p.lost.Add(1)
			return
		}
		send(b)
		if again != nil {
			send(again)
			again = nil
		}
		if luck == 1 {
			again = bytes.Clone(b)
		}
	}
}

// A server that is away is asked as often as was said, and then given up.
func TestClientGivesUp(t *testing.T) {
	away, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer away.Close()
	k := dial(t, away.LocalAddr().String(), func(c *radius.ClientConfig) { c.Wait, c.Tries = 20*time.Millisecond, 3 })
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if _, err := k.Ask(ctx, radius.AccountingRequest, (&radius.Record{Phase: radius.Start, Session: "1"}).Append); err != radius.ErrNoAnswer {
		t.Fatalf("%v, want no answer", err)
	}
	var first []byte
	b := make([]byte, radius.MaxPacket)
	for i := range 3 {
		n, _, err := away.ReadFrom(b)
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			first = bytes.Clone(b[:n])
		}
		if !bytes.Equal(b[:n], first) {
			t.Error("a retransmission has other bytes")
		}
	}
}
