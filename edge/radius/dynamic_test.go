package radius_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	foreign "layeh.com/radius"
	"layeh.com/radius/rfc2865"
	"layeh.com/radius/rfc2866"
	"layeh.com/radius/rfc3576"

	"tandem/edge/credit"
	"tandem/edge/radius"
)

// gateway is the CoA side of a gateway by another implementation. It knows the sessions s-0, s-1, ...
type gateway struct {
	mu      sync.Mutex
	told    []string
	ids     []byte // of the requests, in their order
	timeout map[string]rfc2865.SessionTimeout
	gone    map[string]bool
}

func (g *gateway) ServeRADIUS(w foreign.ResponseWriter, r *foreign.Request) {
	session := rfc2866.AcctSessionID_GetString(r.Packet)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.ids = append(g.ids, r.Identifier)
	g.told = append(g.told, fmt.Sprint(r.Code, " ", session, " ", rfc2865.UserName_GetString(r.Packet)))
	code, cause := foreign.CodeDisconnectACK, rfc3576.ErrorCause(0)
	switch {
	case session == "never":
		return
	case session == "stays":
		code, cause = foreign.CodeDisconnectNAK, rfc3576.ErrorCause(radius.SessionNotRemovable)
	case session == "" || g.gone[session]:
		code, cause = foreign.CodeDisconnectNAK, rfc3576.ErrorCause_Value_SessionContextNotFound
	case r.Code == foreign.CodeDisconnectRequest:
		g.gone[session] = true
	default:
		g.timeout[session] = rfc2865.SessionTimeout_Get(r.Packet)
	}
	if r.Code == foreign.CodeCoARequest {
		code += foreign.CodeCoAACK - foreign.CodeDisconnectACK
	}
	p := r.Response(code)
	if cause != 0 {
		rfc3576.ErrorCause_Set(p, cause)
	}
	w.Write(p)
}

// dynamic starts a foreign gateway on 127.0.0.2 and what tells it; back is the Return of one of its sessions.
func dynamic(t *testing.T, c radius.DynamicConfig) (d *radius.Dynamic, g *gateway, back []byte) {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.2:0")
	if err != nil {
		t.Fatal(err)
	}
	g = &gateway{timeout: map[string]rfc2865.SessionTimeout{}, gone: map[string]bool{}}
	server := foreign.PacketServer{Handler: g, SecretSource: foreign.StaticSecretSource([]byte(secret))}
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := server.Serve(conn); !errors.Is(err, foreign.ErrServerShutdown) {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		server.Shutdown(context.WithoutCancel(t.Context()))
		serving.Wait()
	})
	port := netip.MustParseAddrPort(conn.LocalAddr().String()).Port()
	b := setup(t, func(c *radius.Config) {
		c.NAS = append(c.NAS, radius.NAS{Name: "bng-2", Address: "127.0.0.2", Secret: []byte(secret), DynamicPort: port, Vendors: radius.WISPr})
	})
	if d, err = radius.NewDynamic(b.server, c); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d, g, radius.AppendBytes([]byte{4, 127, 0, 0, 2}, radius.UserName, "alice")
}

// tell waits for how the gateway answers.
func tell(t *testing.T, order func(done func(radius.Told))) radius.Told {
	t.Helper()
	got := make(chan radius.Told, 1)
	order(func(told radius.Told) { got <- told })
	select {
	case told := <-got:
		return told
	case <-time.After(20 * time.Second):
		t.Fatal("done is never called")
		return radius.Told{}
	}
}

func TestTellingAForeignGateway(t *testing.T) {
	retry := []time.Duration{200 * time.Millisecond, 500 * time.Millisecond, 1500 * time.Millisecond}
	d, g, back := dynamic(t, radius.DynamicConfig{Retry: retry, Change: func(_, session []byte, _ []uint32) *radius.Profile {
		if string(session) == "s-9" {
			return nil
		}
		return &radius.Profile{Seconds: 777, Up: 1000, Address: netip.MustParseAddr("10.0.0.1"), State: []byte("s")}
	}})
	reauthorise := func(session string) func(func(radius.Told)) {
		return func(done func(radius.Told)) {
			d.Reauthorise(nil, []byte(session), back, nil, func(o credit.Outcome) { done(radius.Told{Outcome: o}) })
		}
	}
	disconnect := func(session string) func(func(radius.Told)) {
		return func(done func(radius.Told)) { d.Disconnect([]byte(session), back, done) }
	}
	for _, step := range []struct {
		name  string
		order func(func(radius.Told))
		want  radius.Told
	}{
		{"a change", reauthorise("s-1"), radius.Told{}},
		{"no change to make", reauthorise("s-9"), radius.Told{Outcome: credit.Refused}},
		{"the end", disconnect("s-1"), radius.Told{}},
		{"the end again", disconnect("s-1"), radius.Told{Outcome: credit.Gone, Cause: radius.SessionNotFound}},
		{"a change after the end", reauthorise("s-1"), radius.Told{Outcome: credit.Gone}},
		{"a session that stays", disconnect("stays"), radius.Told{Outcome: credit.Refused, Cause: radius.SessionNotRemovable}},
		{"nobody answers", disconnect("never"), radius.Told{Outcome: credit.NoAnswer}},
		{"no way back", func(done func(radius.Told)) { d.Disconnect([]byte("s-1"), nil, done) }, radius.Told{Outcome: credit.NoAnswer}},
		{"an unknown gateway", func(done func(radius.Told)) { d.Disconnect([]byte("s-1"), []byte{4, 192, 0, 2, 1}, done) }, radius.Told{Outcome: credit.NoAnswer}},
		{"an abort", func(done func(radius.Told)) {
			d.Abort(nil, []byte("s-2"), back, credit.Barred, func(o credit.Outcome) { done(radius.Told{Outcome: o}) })
		}, radius.Told{}},
	} {
		if got := tell(t, step.order); got != step.want {
			t.Errorf("%s: %+v, want %+v", step.name, got, step.want)
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.timeout["s-1"] != 777 || !g.gone["s-2"] || g.told[0] != "CoA-Request s-1 alice" {
		t.Errorf("timeouts %v, gone %v, told %q", g.timeout, g.gone, g.told)
	}
}

// One order after the other has another identifier each: some gateways take a request with that of the one before for a repetition, and answer as they did then.
func TestIdentifiersGoOn(t *testing.T) {
	d, g, back := dynamic(t, radius.DynamicConfig{})
	for n := range 300 {
		session := fmt.Appendf(nil, "s-%d", n)
		tell(t, func(done func(radius.Told)) { d.Disconnect(session, back, done) })
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for i, id := range g.ids {
		if id != byte(i) {
			t.Fatalf("request %d has the identifier %d", i, id)
		}
	}
}

// Two thousand sessions of one gateway are ended although it can be asked only 256 at a time, and the gateway's kernel may drop some.
func TestManyDisconnects(t *testing.T) {
	d, g, back := dynamic(t, radius.DynamicConfig{Retry: []time.Duration{200 * time.Millisecond, 200 * time.Millisecond, 2 * time.Second, 2 * time.Second}})
	var open sync.WaitGroup
	var accepted atomic.Int32
	const sessions = 2000
	for i := range sessions {
		open.Add(1)
		d.Disconnect(fmt.Appendf(nil, "s-%d", i), back, func(told radius.Told) {
			if told.Outcome == credit.Accepted || told.Outcome == credit.Gone { // its ACK was lost, and another server forgets at once
				accepted.Add(1)
			}
			open.Done()
		})
	}
	open.Wait()
	g.mu.Lock()
	defer g.mu.Unlock()
	if accepted.Load() != sessions || len(g.gone) != sessions {
		t.Errorf("%d accepted, %d gone", accepted.Load(), len(g.gone))
	}
}

// A retransmission has the same bytes, and answers that were not made with the secret or to another kind of order are not believed.
func TestWhatIsBelieved(t *testing.T) {
	conn, err := net.ListenPacket("udp", "127.0.0.3:0")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	port := netip.MustParseAddrPort(conn.LocalAddr().String()).Port()
	b := setup(t, func(c *radius.Config) {
		c.NAS = append(c.NAS, radius.NAS{Name: "n", Address: "127.0.0.3", Secret: []byte(secret), DynamicPort: port})
	})
	d, err := radius.NewDynamic(b.server, radius.DynamicConfig{Retry: []time.Duration{50 * time.Millisecond, 10 * time.Second}})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	got := make(chan radius.Told, 1)
	d.Disconnect([]byte("s"), []byte{4, 127, 0, 0, 3}, func(told radius.Told) { got <- told })
	buf := make([]byte, radius.MaxPacket)
	n, from, err := conn.ReadFrom(buf)
	if err != nil {
		t.Fatal(err)
	}
	first := bytes.Clone(buf[:n])
	if n, _, err = conn.ReadFrom(buf); err != nil || !bytes.Equal(buf[:n], first) {
		t.Fatalf("retransmitted %x (%v), the first time %x", buf[:n], err, first)
	}
	if first[20] != byte(radius.MessageAuthenticator) || !foreign.IsAuthenticRequest(first, []byte(secret)) {
		t.Error("another implementation does not believe us")
	}
	request, err := foreign.Parse(first, []byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	liar, err := foreign.Parse(first, []byte("another secret"))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []*foreign.Packet{liar.Response(foreign.CodeDisconnectNAK), request.Response(foreign.CodeCoAACK), request.Response(foreign.CodeDisconnectACK)} {
		reply, err := p.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.WriteTo(reply, from); err != nil {
			t.Fatal(err)
		}
	}
	if told := <-got; told.Outcome != credit.Accepted {
		t.Errorf("%+v: a lie is believed", told)
	}
	d.Disconnect([]byte("t"), []byte{4, 127, 0, 0, 3}, func(told radius.Told) { got <- told })
	d.Close()
	if told := <-got; told.Outcome != credit.NoAnswer {
		t.Errorf("closed: %+v", told)
	}
	d.Disconnect([]byte("u"), []byte{4, 127, 0, 0, 3}, func(told radius.Told) { got <- told })
	if told := <-got; told.Outcome != credit.NoAnswer {
		t.Errorf("after the end: %+v", told)
	}
}

// What an accounting request says of the way back leads to its gateway.
func TestWayBack(t *testing.T) {
	obeyed := make(chan string, 1)
	g, err := radius.ListenGateway("127.0.0.1:0", []byte(secret), func(p radius.Packet) (bool, radius.ErrorCause) {
		user, _ := p.Find(radius.UserName)
		session, _ := p.Find(radius.AcctSessionID)
		name, _ := p.Find(radius.NASIdentifier)
		obeyed <- fmt.Sprintf("%d %s %s %s", p.Code(), user, session, name)
		return true, radius.ResidualContextRemoved
	})
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	b := setup(t, func(c *radius.Config) { c.NAS[0].DynamicPort = netip.MustParseAddrPort(g.Addr()).Port() })
	k := dial(t, b.server.AcctAddr())
	r := radius.Record{Phase: radius.Start, User: "alice", Session: "s-1", NAS: "bng-1"}
	if _, err := k.Ask(t.Context(), radius.AccountingRequest, r.Append); err != nil {
		t.Fatal(err)
	}
	d, err := radius.NewDynamic(b.server, radius.DynamicConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	last := b.ledger.newest()
	told := tell(t, func(done func(radius.Told)) { d.Disconnect(last.Session, last.Return, done) })
	if told != (radius.Told{Outcome: credit.Accepted, Cause: radius.ResidualContextRemoved}) {
		t.Errorf("told %+v (%s)", told, told.Cause)
	}
	if got := <-obeyed; got != "40 alice s-1 bng-1" {
		t.Errorf("the gateway obeyed %q", got)
	}
}
