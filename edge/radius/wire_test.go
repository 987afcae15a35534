package radius

import (
	"net"
	"testing"
	"time"
)

// Both ways to the kernel move the same datagrams, many at once; of one that is too long nothing is taken for whole.
func TestWires(t *testing.T) {
	for name, make := range map[string]func(*net.UDPConn, bool) wire{
		"many":   func(c *net.UDPConn, connected bool) wire { w, err := newWire(c, connected); must(t, err); return w },
		"single": func(c *net.UDPConn, connected bool) wire { return &single{c, connected} },
	} {
		t.Run(name, func(t *testing.T) { echo(t, make) })
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func echo(t *testing.T, make func(*net.UDPConn, bool) wire) {
	conns, err := listen("127.0.0.1:0", 1)
	must(t, err)
	defer conns[0].Close()
	dialed, err := net.Dial("udp", conns[0].LocalAddr().String())
	must(t, err)
	defer dialed.Close()
	server, client := make(conns[0], false), make(dialed.(*net.UDPConn), true)
	deadline := time.Now().Add(10 * time.Second)
	must(t, dialed.(*net.UDPConn).SetReadBuffer(socketBuffer))
	must(t, conns[0].SetDeadline(deadline))
	must(t, dialed.SetDeadline(deadline))

	const count = 150
	var out []*datagram
	for i := range count {
		out = append(out, &datagram{data: bytesOf(i, 1+i*20)})
	}
	out = append(out, &datagram{data: bytesOf(1, MaxPacket+1)})
	must(t, client.write(out))
	got := collect(t, server, count+1)
	for i, d := range got[:count] {
		if len(d.data) != 1+i*20 || d.data[0] != byte(i) || d.peer.String() != dialed.LocalAddr().String() {
			t.Fatalf("datagram %d: %d octets from %s", i, len(d.data), d.peer)
		}
	}
	if n := len(got[count].data); n != 0 && name(server) == "many" {
		t.Errorf("a datagram of %d octets is read as %d", MaxPacket+1, n)
	}
	must(t, server.write(got[:count]))
	for i, d := range collect(t, client, count) {
		if len(d.data) != 1+i*20 {
			t.Fatalf("echo %d has %d octets", i, len(d.data))
		}
	}
	conns[0].Close()
	if _, err := server.read(out); err == nil {
		t.Error("a closed socket is read")
	}
}

func name(w wire) string {
	if _, ok := w.(*single); ok {
		return "single"
	}
	return "many"
}

func bytesOf(i, n int) []byte {
	b := make([]byte, n)
	for j := range b {
		b[j] = byte(i)
	}
	return b
}

// collect reads n datagrams, each into a buffer of its own.
func collect(t *testing.T, w wire, n int) []*datagram {
	t.Helper()
	var all []*datagram
	for len(all) < n {
		var slots []*datagram
		for range min(n-len(all), 100) {
			slots = append(slots, &datagram{data: make([]byte, 0, MaxPacket)})
		}
		got, err := w.read(slots)
		must(t, err)
		all = append(all, slots[:got]...)
	}
	return all
}
