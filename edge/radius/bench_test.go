package radius

import (
	"net"
	"net/netip"
	"strconv"
	"syscall"
	"testing"
	"time"

	"tandem/edge/credit"
)

// null says Success at once: what is left is this package and the kernel.
type null struct{}

func (null) Charge(c *credit.Call) {
	c.Answer.Result = credit.Success
	c.Done(c)
}

func benchPort() *port {
	s := &Server{charger: null{}}
	t, err := newTable([]NAS{{Name: "bng-1", Address: "10.0.0.0/8", Secret: []byte("a secret of sixteen octets")}})
	if err != nil {
		panic(err)
	}
	s.table.Store(t)
	return newPort(s, acct, nil, nil, 1000)
}

func interim(i int) *Record {
	return &Record{Phase: Interim, NAS: "bng-1", User: "alice@example.net", Session: "00000001-" + strconv.Itoa(i), Seconds: uint32(i), Input: uint64(i) << 20, Output: uint64(i) << 24, At: 1_700_000_000}
}

// BenchmarkRequest is all the work on an accounting request but the kernel's: find the gateway, parse, check, remember, decode, hand over,
// build and sign the answer.
func BenchmarkRequest(b *testing.B) {
	p, g := benchPort(), newSigner()
	secret := NewSecret([]byte("a secret of sixteen octets"))
	var packets [1024][]byte
	for i := range packets {
		packets[i] = interim(i).Append(AppendHead(nil, AccountingRequest, byte(i)))
		g.sealRequest(packets[i], secret)
	}
	x := newExchange(p)
	x.in.peer = netip.MustParseAddrPort("10.0.0.1:40000")
	now := time.Now().UnixMicro()
	b.ReportAllocs()
	b.SetBytes(int64(len(packets[0])))
	i, before := 0, CPU()
	for b.Loop() {
		x.in.data = append(x.in.data[:0], packets[i%len(packets)]...)
		x.in.peer = netip.AddrPortFrom(x.in.peer.Addr(), uint16(i/len(packets))) // else it is a repeated one
		now += 30
		if !p.receive(x, now) {
			b.Fatal("dropped")
		}
		p.done = p.done[:0]
		if x.ending != toAnswer || !p.conclude(x, g) {
			b.Fatal("not answered")
		}
		i++
	}
	b.ReportMetric(float64(CPU()-before)/float64(i), "cpu-ns/request")
}

func BenchmarkVerify(b *testing.B) {
	g, s := newSigner(), NewSecret([]byte("a secret of sixteen octets"))
	packet := interim(7).Append(AppendHead(nil, AccountingRequest, 1))
	g.sealRequest(packet, s)
	b.ReportAllocs()
	for b.Loop() {
		p, err := Parse(packet)
		if right, _ := g.provenRequest(p, s); err != nil || !right {
			b.Fatal("not proven")
		}
	}
}

// BenchmarkWire moves datagrams of an interim's size over the loopback, 64 at a time and one at a time.
func BenchmarkWire(b *testing.B) {
	for name, way := range map[string]func(*net.UDPConn, bool) wire{
		"many":   func(c *net.UDPConn, connected bool) wire { w, _ := newWire(c, connected); return w },
		"single": func(c *net.UDPConn, connected bool) wire { return &single{c, connected} },
	} {
		b.Run(name, func(b *testing.B) { move(b, way) })
	}
}

func move(b *testing.B, way func(*net.UDPConn, bool) wire) {
	conns, err := listen("127.0.0.1:0", 1)
	if err != nil {
		b.Fatal(err)
	}
	defer conns[0].Close()
	dialed, err := net.Dial("udp", conns[0].LocalAddr().String())
	if err != nil {
		b.Fatal(err)
	}
	defer dialed.Close()
	server, client := way(conns[0], false), way(dialed.(*net.UDPConn), true)
	var out, in []*datagram
	for range batchSize {
		out = append(out, &datagram{data: make([]byte, 160)})
		in = append(in, &datagram{data: make([]byte, 0, MaxPacket)})
	}
	b.ReportAllocs()
	moved, before := 0, CPU()
	for b.Loop() {
		if err := client.write(out); err != nil {
			b.Fatal(err)
		}
		for got := 0; got < batchSize; {
			n, err := server.read(in[:batchSize-got])
			if err != nil {
				b.Fatal(err)
			}
			got += n
		}
		moved += batchSize
	}
	b.ReportMetric(float64(CPU()-before)/float64(moved), "cpu-ns/datagram")
}

// CPU is the processor time that the process has taken.
func CPU() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
