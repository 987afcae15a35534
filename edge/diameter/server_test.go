package diameter

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"tandem/edge/credit"
)

// line is a bare connection on which a test writes any octets and reads messages.
type line struct {
	t  *testing.T
	nc net.Conn
	r  *bufio.Reader
}

func connect(t *testing.T, addr string) *line {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(10 * time.Second))
	return &line{t, nc, bufio.NewReader(nc)}
}

func (l *line) write(b []byte) {
	l.t.Helper()
	if _, err := l.nc.Write(b); err != nil {
		l.t.Fatal(err)
	}
}

// read returns the next message; a closed connection gives io.EOF.
func (l *line) read() (header, []byte, error) {
	head := make([]byte, headerSize)
	if _, err := io.ReadFull(l.r, head); err != nil {
		return header{}, nil, err
	}
	h, _ := parseHeader(head)
	body := make([]byte, h.length-headerSize)
	_, err := io.ReadFull(l.r, body)
	return h, body, err
}

func (l *line) expect(code uint32) (header, []byte) {
	l.t.Helper()
	h, body, err := l.read()
	if err != nil {
		l.t.Fatalf("instead of an answer to %d: %v", code, err)
	}
	if h.code != code {
		l.t.Fatalf("command %d instead of %d", h.code, code)
	}
	return h, body
}

// closed tells that the server ends the connection, perhaps by a reset.
func (l *line) closed() {
	l.t.Helper()
	if h, _, err := l.read(); err == nil {
		l.t.Errorf("command %d instead of the end", h.code)
	} else if ne, ok := errors.AsType[net.Error](err); ok && ne.Timeout() {
		l.t.Error("the connection stays open")
	}
}

// cer is a CER without Host-IP-Address.
func cer(host, realm string, app uint32) []byte {
	b, at := beginMessage(nil, flagRequest, cmdCapabilities, appBase, 1, 1)
	b = append(b, newIdentity(host, realm, 0).origin...)
	b = appendBytes(appendU32(b, vendorID, 0), productName|optional, "test")
	return endMessage(appendU32(b, authApplication, app), at)
}

func open(t *testing.T, addr string) *line {
	t.Helper()
	l := connect(t, addr)
	l.write(cer(pgwHost, pgwRealm, appCredit))
	if _, body := l.expect(cmdCapabilities); find(body, resultCode) != resultSuccess {
		t.Fatalf("CEA %d", find(body, resultCode))
	}
	return l
}

// A CER is answered by who is asked, and a stranger is refused, counted and sent away.
func TestCapabilities(t *testing.T) {
	s, addr := serve(t, newTill(t, 1000), func(c *Config) {
		c.Peers = append(c.Peers, Peer{Host: "far.test", Networks: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}},
			Peer{Host: "near.test", Networks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Connections: 1})
	})
	for _, c := range []struct {
		rule string
		cer  []byte
		code uint32
	}{
		{"a peer, without Host-IP-Address", cer(pgwHost, pgwRealm, appCredit), resultSuccess},
		{"in other letters", cer("PGW.Core.Test", "CORE.TEST", appCredit), resultSuccess},
		{"a relay", cer(pgwHost, pgwRealm, appRelay), resultSuccess},
		{"a stranger", cer("evil.test", pgwRealm, appCredit), resultUnknownPeer},
		{"a peer of another realm", cer(pgwHost, "evil.test", appCredit), resultUnknownPeer},
		{"a peer from elsewhere", cer("far.test", "far", appCredit), resultUnknownPeer},
		{"a peer from its network", cer("near.test", "near", appCredit), resultSuccess},
		{"another application", cer(pgwHost, pgwRealm, 16777238), resultNoCommon},
		{"no host", endMessage(appendU32(cer("", pgwRealm, 4)[:headerSize], authApplication, 4), 0), resultMissing},
	} {
		l := connect(t, addr)
		l.write(c.cer)
		h, body := l.expect(cmdCapabilities)
		if code := find(body, resultCode); code != c.code || (h.flags&flagError != 0) != (c.code == resultUnknownPeer) {
			t.Errorf("%s: %d with flags %x, not %d", c.rule, code, h.flags, c.code)
		}
		if who, f := parseCapabilities(body); f != nil || string(who.host) != ocsHost || who.state != 7 || !who.common {
			t.Errorf("%s: CEA of %q", c.rule, who.host)
		}
		if c.code != resultSuccess {
			l.closed()
		}
	}
	if n := s.Stats.Strangers.Load(); n != 3 {
		t.Errorf("%d strangers were counted", n)
	}
	first, second := connect(t, addr), connect(t, addr)
	first.write(cer("near.test", "near", appCredit)) // the one above is still open
	if _, body := first.expect(cmdCapabilities); find(body, resultCode) != resultBusy {
		t.Error("more connections than a peer may have")
	}
	second.write(encode(new(credit.Request)))
	second.closed()
}

// A message that cannot be accepted is answered on a connection that goes on.
func TestProtocolErrors(t *testing.T) {
	k := newTill(t, 1<<40)
	s, addr := serve(t, k, func(c *Config) { c.Aliases = []string{"twin.oss.test"} })
	l := open(t, addr)
	q := data("s;1", credit.Initial, 0, 0)
	to := func(host, realm string) []byte {
		head := appendBytes(newIdentity(pgwHost, pgwRealm, 0).origin, destinationRealm, realm)
		if host != "" {
			head = appendBytes(head, destinationHost, host)
		}
		return appendRequest(nil, head, &q, false, 9, 8)
	}
	with := func(at int, v byte) []byte {
		m := to("", ocsRealm)
		m[at] = v
		return m
	}
	added := func(b []byte) []byte { return endMessage(append(to("", ocsRealm), b...), 0) }
	foreign := data("s;1", credit.Initial, 0, 0)
	other := appendRequest(nil, appendBytes(newIdentity("other.test", pgwRealm, 0).origin, destinationRealm, ocsRealm), &foreign, false, 9, 8)
	strange := q
	strange.Context = []byte("99999@3gpp.org")
	long := added(appendBytes(nil, optional|0xffff, make([]byte, 64<<10)))
	for _, c := range []struct {
		rule    string
		message []byte
		code    uint32
		failed  bool
	}{
		{"an unknown command", with(7, 200), resultCommand, false},
		{"another application", with(11, 3), resultApplication, false},
		{"a strange application", with(9, 3), resultApplication, false},
		{"a request with the error flag", with(4, flagRequest|flagError), resultHeaderBits, false},
		{"another realm", to("", "other.test"), resultRealm, false},
		{"another host", to("other.oss.test", ocsRealm), resultUndeliverable, false},
		{"a host that is not the peer", other, resultUnknownPeer, false},
		{"an unknown mandatory AVP", added(appendU32(nil, 0xffff, 1)), resultUnsupported, true},
		{"a bad value", added(appendU32(nil, requestedAction, 9)), resultBadValue, true},
		{"two numbers", added(appendU32(nil, ccNumber, 9)), resultTooOften, true},
		{"a wrong length", added(appendBytes(nil, ccSubSession, "abcd")), resultAVPLength, true},
		{"no AVPs", endMessage(to("", ocsRealm)[:headerSize], 0), resultMissing, true},
		{"a message that is too long", long, resultMessageLength, false},
		{"an unknown service context", encode(&strange), resultRatingFailed, false},
		{"the host itself", to(ocsHost, ocsRealm), resultSuccess, false},
		{"its twin", to("twin.oss.test", ocsRealm), resultSuccess, false},
	} {
		l.write(c.message)
		h, body, err := l.read()
		if err != nil {
			t.Fatalf("%s: %v", c.rule, err)
		}
		code := find(body, resultCode)
		if code != c.code || (h.flags&flagError != 0) != (code/1000 == 3) || h.flags&flagRequest != 0 {
			t.Errorf("%s: %d with flags %x, not %d", c.rule, code, h.flags, c.code)
		}
		if want, _ := parseHeader(c.message); h.hop != want.hop || h.end != want.end || h.code != want.code {
			t.Errorf("%s: answer to %+v", c.rule, h)
		}
		if has := contains(body, failedAVP); has != c.failed {
			t.Errorf("%s: Failed-AVP %v", c.rule, has)
		}
	}
	if got := s.Stats.Result(resultSuccess); got != 2 {
		t.Errorf("%d successes counted", got)
	}
	if got := s.Stats.Malformed.Load(); got != 5 {
		t.Errorf("%d malformed counted", got)
	}
	l.write([]byte("GET / HTTP/1.1\r\nHost: ocs\r\n\r\n"))
	l.read() // 5011
	l.closed()
	open(t, addr) // others are not disturbed
}

func contains(body []byte, k key) bool {
	left := MaxAVPs
	c := cursor{body, &left}
	for {
		a, more, err := c.next()
		if err != nil || !more {
			return false
		}
		if a.key == k {
			return true
		}
	}
}

// Proxy-Info comes back as it was sent, in order, also with an error (RFC 6733 6.2).
func TestProxyInfoComesBack(t *testing.T) {
	_, addr := serve(t, newTill(t, 1000), nil)
	l := open(t, addr)
	var proxies []byte
	for _, name := range []string{"a.test", "bc.test"} {
		var at int
		proxies, at = begin(proxies, proxyInfo)
		proxies = end(appendBytes(appendBytes(proxies, proxyHost, name), proxyState, "1"), at)
	}
	q := data("s", credit.Initial, 0, 0)
	m := append(encode(&q), proxies...)
	l.write(endMessage(m, 0))
	if _, body := l.expect(cmdCreditControl); !bytes.HasSuffix(body, proxies) {
		t.Errorf("%x", body)
	}
	l.write(endMessage(append(m, appendU32(nil, 0xffff, 1)...), 0))
	if _, body := l.expect(cmdCreditControl); !bytes.HasSuffix(body, proxies) || find(body, resultCode) != resultUnsupported {
		t.Errorf("%x", body)
	}
}

// I, U, T: what is granted, charged and given back; one group denied while the other goes on.
func TestSession(t *testing.T) {
	k := newTill(t, 2500)
	_, addr := serve(t, k, nil)
	c := dial(t, addr, nil)
	q := data("s", credit.Initial, 0, 0)
	q.Units = append(q.Units, credit.Unit{HasGroup: true, Group: 66, Asked: true})
	a := ask(t, c, q)
	if a.Result != credit.Success || len(a.Units) != 2 || a.Units[0].Grant.Total != 1000 || a.Units[0].Validity != 600 ||
		a.Units[1].Result != credit.Denied || !a.Failover || a.Failure != credit.FailRetry {
		t.Fatalf("%+v", a)
	}
	a = ask(t, c, data("s", credit.Update, 1, 900))
	if a.Result != credit.Success || a.Units[0].Grant.Total != 1000 || a.Units[0].Final.Action != credit.NotFinal {
		t.Fatalf("%+v", a)
	}
	a = ask(t, c, data("s", credit.Update, 2, 1000))
	if a.Units[0].Grant.Total != 600 || a.Units[0].Final.Action != credit.FinalTerminate {
		t.Fatalf("the last slice: %+v", a)
	}
	again := data("s", credit.Update, 2, 1000)
	again.Retransmitted = true
	if b := ask(t, c, again); b.Units[0].Grant.Total != 600 {
		t.Fatalf("the repetition: %+v", b)
	}
	if b := ask(t, c, data("s", credit.Update, 2, 999)); b.Result != credit.Failed {
		t.Fatalf("the same number with other content: %+v", b)
	}
	ask(t, c, data("s", credit.Terminate, 3, 100))
	if pot, spent, repeats := k.figures(); pot != 500 || spent != 2000 || repeats != 2 {
		t.Errorf("pot %d, spent %d, repeats %d", pot, spent, repeats)
	}
	if a = ask(t, c, data("s", credit.Update, 4, 1)); a.Result != credit.UnknownSession {
		t.Errorf("after the end: %+v", a)
	}
}

// An event stands in the message itself, and its refusal in the Result-Code.
func TestEvent(t *testing.T) {
	k := newTill(t, 3)
	_, addr := serve(t, k, nil)
	c := dial(t, addr, nil)
	event := func(session string, n uint64) credit.Request {
		return credit.Request{Kind: credit.Event, Action: credit.Debit, Service: credit.SMS, Session: []byte(session), Called: []byte("4788"),
			Units: []credit.Unit{{Asked: true, Want: credit.Units{Has: credit.HasEvents, Events: n}}}}
	}
	if a := ask(t, c, event("1", 2)); a.Result != credit.Success || len(a.Units) != 1 || a.Units[0].Grant.Events != 2 || string(a.Refund) != "1" {
		t.Errorf("%+v", a)
	}
	ask(t, c, event("2", 1))
	if a := ask(t, c, event("3", 1)); a.Result != credit.LimitReached {
		t.Errorf("%+v", a)
	}
	if q := k.seen[0]; string(q.Called) != "4788" || q.Action != credit.Debit || string(q.Peer) != pgwHost {
		t.Errorf("%+v", q)
	}
}

// Use that comes under an unknown service context reaches the charger, so that it is not lost, and is answered 5031 all the same.
func TestUseOfUnknownServiceIsKept(t *testing.T) {
	k := newTill(t, 1000)
	s, addr := serve(t, k, nil)
	c := dial(t, addr, nil)
	q := data("s", credit.Initial, 0, 0)
	ask(t, c, q)
	q = data("s", credit.Update, 1, 77)
	q.Context = []byte("new@3gpp.org")
	if a := ask(t, c, q); a.Result != credit.RatingFailed || len(a.Units) > 0 {
		t.Errorf("%+v", a)
	}
	if _, spent, _ := k.figures(); spent != 77 || s.Stats.Result(resultRatingFailed) != 1 {
		t.Errorf("spent %d", spent)
	}
}

// An accounting session, and the record of an event.
func TestAccounting(t *testing.T) {
	k := newTill(t, 1<<30)
	_, addr := serve(t, k, nil)
	c := dial(t, addr, func(c *ClientConfig) { c.Accounting = true })
	ask(t, c, data("r", credit.Initial, 0, 0))
	if a := ask(t, c, data("r", credit.Terminate, 1, 500)); a.Result != credit.Success {
		t.Errorf("%+v", a)
	}
	ask(t, c, credit.Request{Kind: credit.Event, Service: credit.SMS, Session: []byte("e"), Calling: []byte("4799"), Called: []byte("4788")})
	_, spent, _ := k.figures()
	if q := k.seen[2]; spent != 501 || q.Action != credit.Post || q.Kind != credit.Event {
		t.Errorf("spent %d: %+v", spent, q)
	}
}

// Both ways of the watchdog, a peer that has died, and the end by the peer.
func TestWatchdog(t *testing.T) {
	s, addr := serve(t, newTill(t, 1), func(c *Config) { c.Watchdog = 250 * time.Millisecond })
	l := open(t, addr)
	b, at := beginMessage(nil, flagRequest, cmdWatchdog, appBase, 4, 5)
	l.write(endMessage(append(b, newIdentity(pgwHost, pgwRealm, 0).origin...), at))
	if h, body := l.expect(cmdWatchdog); find(body, resultCode) != resultSuccess || stateOf(body) != 7 || h.hop != 4 {
		t.Errorf("DWA %+v %x", h, body)
	}
	for range 2 { // ours, as long as we answer
		h, body := l.expect(cmdWatchdog)
		if h.flags&flagRequest == 0 || !contains(body, originHost) {
			t.Fatalf("not a DWR: %+v", h)
		}
		l.write(newIdentityAnswer(h))
	}
	l.expect(cmdWatchdog) // and no answer
	l.closed()
	poll(t, func() bool { return s.Stats.Silent.Load() == 1 })
	l = open(t, addr)
	b, at = beginMessage(nil, flagRequest, cmdDisconnect, appBase, 6, 7)
	l.write(endMessage(appendU32(append(b, newIdentity(pgwHost, pgwRealm, 0).origin...), disconnectCause, 0), at))
	if h, body := l.expect(cmdDisconnect); h.flags&flagRequest != 0 || find(body, resultCode) != resultSuccess {
		t.Errorf("DPA %+v", h)
	}
	l.closed()
}

func newIdentityAnswer(h header) []byte {
	id := newIdentity(pgwHost, pgwRealm, 1)
	return id.appendBase(nil, &h, resultSuccess)
}

// Re-authorisation and abort go to the peer that owns the session, and each answer has its outcome.
func TestToldByServer(t *testing.T) {
	s, addr := serve(t, newTill(t, 1000), func(c *Config) { c.Patience = time.Second })
	var mu sync.Mutex
	var groups []uint32
	dial(t, addr, func(c *ClientConfig) {
		c.Reauthorise = func(session []byte, g []uint32) credit.Outcome {
			mu.Lock()
			defer mu.Unlock()
			groups = append(groups, g...)
			return map[string]credit.Outcome{"yes": credit.Accepted, "no": credit.Refused, "away": credit.NoAnswer, "gone": credit.Gone}[string(session)]
		}
		c.Abort = func(session []byte) credit.Outcome {
			if string(session) == "yes" {
				return credit.Accepted
			}
			return credit.Gone
		}
	})
	outcome := make(chan credit.Outcome, 1)
	told := func(o credit.Outcome) { outcome <- o }
	expect := func(what string, want credit.Outcome) {
		t.Helper()
		select {
		case got := <-outcome:
			if got != want {
				t.Errorf("%s: %d, not %d", what, got, want)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("%s: no outcome", what)
		}
	}
	for session, want := range map[string]credit.Outcome{"yes": credit.Accepted, "no": credit.Refused, "away": credit.NoAnswer, "gone": credit.Gone} {
		s.Reauthorise([]byte(pgwHost), []byte(session), []byte(pgwRealm), []uint32{10}, told)
		expect("RAR of "+session, want)
	}
	s.Reauthorise([]byte(pgwHost), []byte("yes"), nil, []uint32{10, 20}, told)
	expect("RAR of several groups", credit.Accepted)
	if !slices.Equal(groups, []uint32{10, 10, 10, 10}) {
		t.Errorf("groups %v", groups)
	}
	s.Abort([]byte(pgwHost), []byte("yes"), nil, credit.Barred, told)
	expect("ASR", credit.Accepted)
	s.Abort([]byte(pgwHost), []byte("no"), nil, credit.Barred, told)
	expect("ASR of an unknown session", credit.Gone)
	s.Abort([]byte("nobody.test"), []byte("yes"), nil, credit.Barred, told)
	expect("ASR to nobody", credit.NoAnswer)
	l := open(t, addr) // the newest connection is asked first, and this one is silent
	s.Reauthorise([]byte(pgwHost), []byte("yes"), nil, nil, told)
	_, body := l.expect(cmdReAuth)
	if find(body, reAuthType) != 0 || !contains(body, destinationHost) || !contains(body, sessionID) || contains(body, ratingGroup) {
		t.Errorf("RAR %x", body)
	}
	expect("RAR without an answer", credit.NoAnswer)
	s.Reauthorise([]byte(pgwHost), []byte("yes"), nil, nil, told)
	l.expect(cmdReAuth)
	l.nc.Close()
	expect("RAR on a lost connection", credit.NoAnswer)
	if n := s.Stats.Unanswered.Load(); n != 4 {
		t.Errorf("%d unanswered counted", n)
	}
}

// A peer that has lost its sessions is noticed by its Origin-State-Id.
func TestPeerRestart(t *testing.T) {
	restarts := make(chan uint32, 8)
	_, addr := serve(t, newTill(t, 1), func(c *Config) { c.Restarted = func(_ string, state uint32) { restarts <- state } })
	for _, state := range []uint32{5, 5, 4, 9} {
		dial(t, addr, func(c *ClientConfig) { c.StateID = state })
	}
	select {
	case state := <-restarts:
		if state != 9 || len(restarts) > 0 {
			t.Errorf("restart to %d", state)
		}
	case <-time.After(10 * time.Second):
		t.Error("the restart is not noticed")
	}
}

// Too much work is refused with 3004, first what opens a session.
func TestOverload(t *testing.T) {
	k := newTill(t, 1<<30)
	hold := make(chan struct{})
	k.hold = hold
	s, addr := serve(t, k, func(c *Config) { c.MaxInFlight = 2 })
	c := dial(t, addr, nil)
	results := make(chan credit.Result, 3)
	for i := range 3 {
		call := &credit.Call{Request: data("s", credit.Initial, uint32(i), 0)}
		call.Done = func(x *credit.Call) { results <- x.Answer.Result }
		c.Charge(call)
	}
	if r := <-results; r != credit.Busy {
		t.Errorf("the third of two is %s", r)
	}
	close(hold)
	for range 2 {
		if r := <-results; r != credit.Success {
			t.Errorf("%s", r)
		}
	}
	if s.Stats.Overloads.Load() != 1 || s.Stats.Result(resultBusy) != 1 {
		t.Error("not counted")
	}
}

// Above its rate a peer opens nothing, but what is open goes on.
func TestRate(t *testing.T) {
	s := &Server{cfg: Config{Rate: 10, MaxInFlight: 1000}}
	c := &conn{s: s}
	refused := map[credit.Kind]int{}
	for i := range 30 {
		x := &call{}
		x.Request.Received = 5_000_000
		x.Request.Kind = credit.Initial + credit.Kind(i%2)
		if c.room(x) != nil {
			refused[x.Request.Kind]++
		}
	}
	if refused[credit.Initial] != 10 || refused[credit.Update] != 5 {
		t.Errorf("%v", refused)
	}
	x := &call{}
	x.Request.Received = 6_000_000
	x.Request.Kind = credit.Initial
	if c.room(x) != nil {
		t.Error("the next second is not free")
	}
}

// Close waits for every answer, then says good-bye.
func TestCloseLosesNothing(t *testing.T) {
	k := newTill(t, 1<<30)
	hold := make(chan struct{})
	k.hold = hold
	s, addr := serve(t, k, nil)
	c := dial(t, addr, nil)
	const n = 50
	results := make(chan credit.Result, n)
	for i := range n {
		call := &credit.Call{Request: data("s", credit.Initial, uint32(i), 0)}
		call.Done = func(x *credit.Call) { results <- x.Answer.Result }
		c.Charge(call)
	}
	poll(t, func() bool { return s.Stats.Received.Load() == n })
	closed := make(chan error, 1)
	go func() { closed <- s.Close(t.Context()) }()
	poll(t, s.closing.Load)
	if a := ask(t, c, data("late", credit.Initial, 0, 0)); a.Result != credit.Busy {
		t.Errorf("while closing: %+v", a)
	}
	close(hold)
	for range n {
		if r := <-results; r != credit.Success {
			t.Errorf("%s", r)
		}
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}
	select {
	case <-c.Gone():
	case <-time.After(10 * time.Second):
		t.Error("the client is not sent away")
	}
	if _, err := Dial(t.Context(), addr, ClientConfig{Host: pgwHost, Realm: pgwRealm, ToRealm: ocsRealm}); err == nil {
		t.Error("a closed server accepts")
	}
}

// poll waits until a condition that another goroutine brings about holds.
func poll(t testing.TB, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatal("it does not happen")
		}
		time.Sleep(time.Millisecond)
	}
}

// A client whose connection is lost is told of every request under way; the next server gives the stored answer.
func TestClientLosesConnection(t *testing.T) {
	k := newTill(t, 1<<30)
	hold := make(chan struct{})
	k.hold = hold
	s, addr := serve(t, k, nil)
	c := dial(t, addr, nil)
	lost := make(chan credit.Answer, 1)
	call := &credit.Call{Request: data("s", credit.Initial, 0, 0)}
	call.Done = func(x *credit.Call) { lost <- x.Answer }
	c.Charge(call)
	poll(t, func() bool { return s.Stats.Received.Load() == 1 })
	c.nc.Close()
	if a := <-lost; a.Result != credit.Busy || a.Reason == "" {
		t.Errorf("%+v", a)
	}
	close(hold)
	q := data("s", credit.Initial, 0, 0)
	q.Retransmitted = true
	if a := ask(t, dial(t, addr, nil), q); a.Units[0].Grant.Total != 1000 {
		t.Errorf("%+v", a)
	}
	if pot, _, repeats := k.figures(); repeats != 1 || pot != 1<<30-1000 || s.Stats.Retransmits.Load() != 1 {
		t.Errorf("repeats %d, pot %d", repeats, pot)
	}
}

// A peer that reads nothing is cut off; its answers do not fill the memory.
func TestSlowReader(t *testing.T) {
	s, addr := serve(t, nothing{}, func(c *Config) { c.MaxBacklog = 64 << 10 })
	l := open(t, addr)
	q := typical()
	m := bytes.Repeat(encode(&q), 64)
	for {
		if _, err := l.nc.Write(m); err != nil {
			break
		}
	}
	poll(t, func() bool { return s.Stats.Backlogs.Load() == 1 })
}

// With TLS the certificate must name the Origin-Host.
func TestTLS(t *testing.T) {
	pool := x509.NewCertPool()
	server, pgw, evil := certificate(t, pool, ocsHost), certificate(t, pool, pgwHost), certificate(t, pool, "evil.test")
	_, addr := serve(t, newTill(t, 1000), func(c *Config) {
		c.TLS = &tls.Config{Certificates: []tls.Certificate{server}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool}
	})
	with := func(own tls.Certificate) ClientConfig {
		return ClientConfig{Host: pgwHost, Realm: pgwRealm, ToRealm: ocsRealm,
			TLS: &tls.Config{Certificates: []tls.Certificate{own}, RootCAs: pool, ServerName: ocsHost}}
	}
	c, err := Dial(t.Context(), addr, with(pgw))
	if err != nil {
		t.Fatal(err)
	}
	if a := ask(t, c, data("s", credit.Initial, 0, 0)); a.Units[0].Grant.Total != 1000 {
		t.Errorf("%+v", a)
	}
	if err := c.Close(t.Context()); err != nil {
		t.Error(err)
	}
	_, err = Dial(t.Context(), addr, with(evil))
	if refused, ok := errors.AsType[*RefusedError](err); !ok || refused.Code != resultUnknownPeer {
		t.Errorf("a stolen name: %v", err)
	}
	plain := with(pgw)
	plain.TLS, plain.Patience = nil, time.Second
	if _, err = Dial(t.Context(), addr, plain); err == nil {
		t.Error("a connection without TLS")
	}
}

func certificate(t *testing.T, pool *x509.CertPool, host string) tls.Certificate {
	t.Helper()
	priv, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: host}, DNSNames: []string{host},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &priv.PublicKey, priv)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool.AddCert(cert)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: priv}
}

// Configurations that cannot work are refused with a reason.
func TestConfigurationIsChecked(t *testing.T) {
	good := Config{Host: ocsHost, Realm: ocsRealm, Peers: []Peer{{Host: pgwHost}}}
	for name, change := range map[string]func(*Config){
		"no host":         func(c *Config) { c.Host = "" },
		"no realm":        func(c *Config) { c.Realm = "a b" },
		"no peers":        func(c *Config) { c.Peers = nil },
		"a nameless peer": func(c *Config) { c.Peers = []Peer{{}} },
		"tiny messages":   func(c *Config) { c.MaxMessage = 10 },
		"huge messages":   func(c *Config) { c.MaxMessage = 1 << 24 },
	} {
		cfg := good
		change(&cfg)
		if _, err := New(cfg, nothing{}); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
	s, err := New(good, nothing{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(context.Background()); err != nil {
		t.Error(err)
	}
}
