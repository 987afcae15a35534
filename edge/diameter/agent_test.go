package diameter

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"tandem/edge/credit"
	"tandem/edge/peertest"
)

func need(t *testing.T, program, pack string) { peertest.Need(t, program, pack) }

const agentHost, agentAddress = "dra.oss.test", "10.38.0.1"

// agent is a running freeDiameterd between the client and two servers.
type agent struct {
	dir string
	cmd *exec.Cmd
}

func run(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %v: %v %s", name, args, err, out)
	}
}

func startAgent(t *testing.T, ports ...int) *agent {
	t.Helper()
	a := &agent{dir: t.TempDir()}
	file := func(name string, text []byte) string {
		path := filepath.Join(a.dir, name)
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	own := certificate(t, x509.NewCertPool(), agentHost)
	priv, err := x509.MarshalPKCS8PrivateKey(own.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	cert := file("cert.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: own.Certificate[0]}))
	key := file("key.pem", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: priv}))
	acl := file("acl.conf", []byte("ALLOW_IPSEC "+pgwHost+"\n"))
	var routes, peers []byte
	for i, port := range ports {
		host := fmt.Sprintf("ocs%d.oss.test", i+1)
		routes = fmt.Appendf(routes, "* : %q += %d ;\n", host, 20-10*i)
		peers = fmt.Appendf(peers, "ConnectPeer = %q { ConnectTo = \"127.0.0.1\"; Port = %d; No_TLS; No_SCTP; };\n", host, port)
	}
	rt := file("rt.conf", routes)
	conf := fmt.Appendf(nil, `Identity = %q; Realm = "oss.test"; SecPort = 0; No_SCTP; No_IPv6;
ListenOn = %q; TLS_Cred = %q, %q; TLS_CA = %q; TcTimer = 6; TwTimer = 6;
LoadExtension = "dict_nasreq.fdx"; LoadExtension = "dict_dcca.fdx"; LoadExtension = "dict_dcca_3gpp.fdx";
LoadExtension = "acl_wl.fdx" : %q;
LoadExtension = "rt_default.fdx" : %q;
%s`, agentHost, agentAddress, cert, key, cert, acl, rt, peers)
	log, err := os.Create(filepath.Join(a.dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	a.cmd = exec.Command("freeDiameterd", "-c", file("fd.conf", conf))
	a.cmd.Dir, a.cmd.Stdout, a.cmd.Stderr = a.dir, log, log
	a.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := a.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		a.cmd.Process.Kill()
		a.cmd.Wait()
		log.Close()
		if t.Failed() {
			text, _ := os.ReadFile(log.Name())
			t.Logf("the agent:\n%s", text[max(0, len(text)-20000):])
		}
	})
	return a
}

// node is one of two servers before one charger, as two nodes share one store.
func node(t *testing.T, k credit.Charger, n int) (*Server, net.Listener) {
	t.Helper()
	s, err := New(Config{Host: fmt.Sprintf("ocs%d.oss.test", n), Realm: ocsRealm, StateID: 7,
		Peers: []Peer{{Host: agentHost, Realm: ocsRealm, Relay: true}}}, k)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go s.Serve(l)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		s.Close(ctx)
	})
	return s, l
}

// cut lets a server vanish as a killed process does.
func cut(s *Server, l net.Listener) {
	l.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		c.end()
	}
}

// joined tells how many peers have an open connection.
func joined(s *Server) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, p := range s.peers {
		n += len(p.conns)
	}
	return n
}

// dialAgent connects as soon as the agent listens.
func dialAgent(t *testing.T, change func(*ClientConfig)) *Client {
	t.Helper()
	cfg := ClientConfig{Host: pgwHost, Realm: pgwRealm, ToRealm: ocsRealm, StateID: 3, Patience: 20 * time.Second}
	change(&cfg)
	var c *Client
	poll(t, func() (ok bool) {
		var err error
		c, err = Dial(t.Context(), agentAddress+":3868", cfg)
		return err == nil
	})
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		c.Close(ctx)
	})
	return c
}

// TestAgent runs behind a real agent in a network of its own, since the agent takes every address it finds.
func TestAgent(t *testing.T) {
	need(t, "freeDiameterd", "freediameterd freediameter-extensions")
	need(t, "ip", "iproute2")
	if !peertest.Inside(t) {
		return
	}
	run(t, "ip", "link", "set", "lo", "up")
	run(t, "ip", "address", "add", agentAddress+"/32", "dev", "lo")
	k := newTill(t, 100_000)
	first, firstListener := node(t, k, 1)
	second, secondListener := node(t, k, 2)
	startAgent(t, firstListener.Addr().(*net.TCPAddr).Port, secondListener.Addr().(*net.TCPAddr).Port)
	poll(t, func() bool { return joined(first) == 1 && joined(second) == 1 })
	asked := make(chan string, 1)
	c := dialAgent(t, func(c *ClientConfig) {
		c.Reauthorise = func(session []byte, _ []uint32) credit.Outcome {
			asked <- string(session)
			return credit.Accepted
		}
		c.Abort = func([]byte) credit.Outcome { return credit.Gone }
	})

	// A session, and what the server says by itself, through the agent.
	q := data("s", credit.Initial, 0, 0)
	q.Units = append(q.Units, credit.Unit{HasGroup: true, Group: 66, Asked: true})
	if a := ask(t, c, q); a.Result != credit.Success || a.Units[0].Grant.Total != 1000 || a.Units[1].Result != credit.Denied {
		t.Fatalf("%+v", a)
	}
	if a := ask(t, c, data("s", credit.Update, 1, 700)); a.Units[0].Grant.Total != 1000 {
		t.Fatalf("%+v", a)
	}
	if n := first.Stats.Received.Load(); n != 2 || string(k.seen[0].Peer) != pgwHost {
		t.Errorf("the first server got %d requests, of %q", n, k.seen[0].Peer)
	}
	outcome := make(chan credit.Outcome, 1)
	first.Reauthorise([]byte(pgwHost), []byte("s"), []byte(pgwRealm), []uint32{10}, func(o credit.Outcome) { outcome <- o })
	if session, o := <-asked, <-outcome; session != "s" || o != credit.Accepted {
		t.Errorf("RAR for %q: %d", session, o)
	}
	first.Abort([]byte(pgwHost), []byte("s"), []byte(pgwRealm), credit.Fraud, func(o credit.Outcome) { outcome <- o })
	if o := <-outcome; o != credit.Gone {
		t.Errorf("ASR: %d", o)
	}

	// The first server dies with a request under way: the agent sends it to the second with the T flag, and it is charged once.
	hold := make(chan struct{})
	k.hold = hold
	answer := make(chan credit.Answer, 1)
	call := &credit.Call{Request: data("s", credit.Update, 2, 800)}
	call.Done = func(x *credit.Call) { answer <- x.Answer }
	c.Charge(call)
	poll(t, func() bool { return first.Stats.Received.Load() == 3 })
	cut(first, firstListener)
	poll(t, func() bool { return second.Stats.Received.Load() == 1 })
	close(hold)
	if a := <-answer; a.Result != credit.Success || len(a.Units) != 1 || a.Units[0].Grant.Total != 1000 {
		t.Errorf("after the fail-over: %+v", a)
	}
	if n := second.Stats.Retransmits.Load(); n != 1 {
		t.Errorf("%d requests with the T flag", n)
	}
	if a := ask(t, c, data("s", credit.Terminate, 3, 500)); a.Result != credit.Success {
		t.Errorf("%+v", a)
	}
	if pot, spent, repeats := k.figures(); pot != 98_000 || spent != 2000 || repeats != 1 {
		t.Errorf("pot %d, spent %d, repeats %d", pot, spent, repeats)
	}

	// With no server left the agent answers itself.
	cut(second, secondListener)
	poll(t, func() bool { return joined(second) == 0 })
	raw := data("t", credit.Initial, 0, 0)
	poll(t, func() bool {
		m, err := c.Exchange(t.Context(), encode(&raw))
		return err == nil && find(m[headerSize:], resultCode) == resultUndeliverable
	})
}
