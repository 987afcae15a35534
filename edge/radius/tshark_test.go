package radius_test

import (
	"bytes"
	"crypto/md5"
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"tandem/edge/peertest"
	"tandem/edge/radius"
)

// capture is a file of packets (pcap, raw IPv4) between a gateway, 10.0.0.1, and us, 10.0.0.2.
type capture struct{ b []byte }

func (c *capture) add(toUs bool, port uint16, payload []byte) {
	if c.b == nil {
		for _, n := range []uint32{0xa1b2c3d4, 4<<16 | 2, 0, 0, 65535, 101} {
			c.b = binary.LittleEndian.AppendUint32(c.b, n)
		}
	}
	source, target, from, to := byte(1), byte(2), uint16(40000), port
	if !toUs {
		source, target, from, to = 2, 1, port, 40000
	}
	total := 28 + len(payload)
	for _, n := range []int{1_700_000_000, len(c.b), total, total} {
		c.b = binary.LittleEndian.AppendUint32(c.b, uint32(n))
	}
	c.b = append(c.b, 0x45, 0, byte(total>>8), byte(total), 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, source, 10, 0, 0, target)
	for _, n := range []uint16{from, to, uint16(8 + len(payload)), 0} {
		c.b = binary.BigEndian.AppendUint16(c.b, n)
	}
	c.b = append(c.b, payload...)
}

// ask sends a request, and keeps it and its reply.
func (c *capture) ask(w wired, port uint16, request []byte) radius.Packet {
	w.t.Helper()
	c.add(true, port, request)
	w.send(request)
	reply := w.hear()
	c.add(false, port, reply)
	p, err := radius.Parse(reply)
	if err != nil {
		w.t.Fatal(err)
	}
	return p
}

// Wireshark reads all that we send, checks the authenticators with the shared secret, and finds nothing malformed.
func TestWiresharkReadsUs(t *testing.T) {
	shark := peertest.Need(t, "tshark", "tshark")
	b := setup(t)
	b.users.give(fullProfile)
	var c capture
	login, charge := wire(t, b.server.AuthAddr()), wire(t, b.server.AcctAddr())
	c.ask(login, 1812, accessPacket(t, 1, secret, true, chapProof("alice", "wonderland")))
	c.ask(login, 1812, accessPacket(t, 2, secret, true, chapProof("alice", "wrong")))
	bob := radius.AppendBytes(nil, radius.UserName, "bob")
	p := c.ask(login, 1812, accessPacket(t, 3, secret, true, bob, radius.AppendBytes(nil, radius.EAPMessage, []byte("\x02\x00\x00\x08\x01bob"))))
	challenge, _ := p.Find(radius.EAPMessage)
	state, _ := p.Find(radius.State)
	sum := md5.Sum(append([]byte("\x01hello"), challenge[6:22]...))
	c.ask(login, 1812, accessPacket(t, 4, secret, true, bob, radius.AppendBytes(nil, radius.State, state),
		radius.AppendBytes(nil, radius.EAPMessage, append([]byte{2, 1, 0, 22, 4, 16}, sum[:]...))))
	for i, phase := range []radius.Phase{radius.NASUp, radius.Start, radius.Interim, radius.Stop} {
		c.ask(charge, 1813, accountingPacket(t, byte(10+i), secret, radius.Record{Phase: phase, User: "alice", Session: "s", Input: 5 << 32, At: 1_700_000_000}))
	}
	orders(t, &c)

	file := filepath.Join(t.TempDir(), "radius.pcap")
	if err := os.WriteFile(file, c.b, 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"-r", file, "-o", "radius.shared_secret:" + secret, "-o", "radius.validate_authenticator:TRUE", "-T", "fields", "-E", "separator=;"}
	for _, field := range []string{"radius.code", "radius.authenticator.valid", "radius.authenticator.invalid", "_ws.malformed", "eap.code", "radius.Mikrotik_Total_Limit_Gigawords"} {
		args = append(args, "-e", field)
	}
	cmd := exec.Command(shark, args...)
	var trouble bytes.Buffer
	cmd.Stderr = &trouble
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, trouble.Bytes())
	}
	// It checks the authenticator of replies only.
	want := []string{"1;;;;;", "2;1;0;;;5", "1;;;;;", "3;1;0;;;", "1;;;;2;", "11;1;0;;1;", "1;;;;2;", "2;1;0;;3;5"}
	for range 4 {
		want = append(want, "4;;;;;", "5;1;0;;;")
	}
	want = append(want, "43;;;;;5", "44;1;0;;;", "40;;;;;", "42;1;0;;;")
	if got := strings.TrimSpace(string(out)); got != strings.Join(want, "\n") {
		t.Errorf("code; valid; invalid; malformed; EAP code; quota\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
}

// orders has our own two sides of CoA speak through a relay that keeps what they say.
func orders(t *testing.T, c *capture) {
	t.Helper()
	g, err := radius.ListenGateway("127.0.0.1:0", []byte(secret), func(p radius.Packet) (bool, radius.ErrorCause) {
		return p.Code() == radius.CoARequest, map[bool]radius.ErrorCause{false: radius.SessionNotFound}[p.Code() == radius.CoARequest]
	})
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	front, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer front.Close()
	b := setup(t, func(c *radius.Config) { c.NAS[0].DynamicPort = uint16(front.LocalAddr().(*net.UDPAddr).Port) })
	d, err := radius.NewDynamic(b.server, radius.DynamicConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	relay := wire(t, g.Addr())
	back := radius.AppendBytes([]byte{4, 127, 0, 0, 1}, radius.UserName, "alice")
	got := make(chan radius.Told, 1)
	for i, order := range []func(){
		func() { d.Change([]byte("s"), back, &fullProfile, func(told radius.Told) { got <- told }) },
		func() { d.Disconnect([]byte("s"), back, func(told radius.Told) { got <- told }) },
	} {
		order()
		request := make([]byte, radius.MaxPacket)
		n, from, err := front.ReadFrom(request)
		if err != nil {
			t.Fatal(err)
		}
		reply := c.askOrder(relay, request[:n])
		if _, err := front.WriteTo(reply, from); err != nil {
			t.Fatal(err)
		}
		if told := <-got; fmt.Sprint(told.Outcome, told.Cause) != []string{"0 no cause given", "1 session not found"}[i] {
			t.Errorf("order %d: %v %v", i, told.Outcome, told.Cause)
		}
	}
}

// askOrder is ask in the other direction: we ask the gateway.
func (c *capture) askOrder(w wired, request []byte) []byte {
	c.add(false, 3799, request)
	w.send(request)
	reply := w.hear()
	c.add(true, 3799, reply)
	return reply
}
