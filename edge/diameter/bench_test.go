package diameter

import (
	"sync"
	"testing"

	"tandem/edge/credit"
)

// typical is a CCR-U as a packet gateway sends it, about 700 octets.
func typical() credit.Request {
	q := data("pgw.core.test;3812345678;1;242010000000001", credit.Update, 7, 5<<20)
	q.At = 1_790_000_000_000_000
	q.Device = []byte("3569380356438091")
	q.PLMN, q.RAT, q.HasZone, q.Zone = 242001, 6, true, 120
	q.Location = []byte{130, 0x42, 0xf2, 0x10, 0, 1, 0x42, 0xf2, 0x10, 0, 1, 2, 3}
	q.Access, q.Address, q.ChargingID = []byte("internet"), []byte{10, 46, 0, 17}, []byte{1, 2, 3, 4}
	q.Units[0].Reason = credit.Exhausted
	return q
}

func encode(q *credit.Request) []byte {
	head := appendBytes(newIdentity(pgwHost, pgwRealm, 0).origin, destinationRealm, ocsRealm)
	return appendRequest(nil, head, q, false, 1, 2)
}

func BenchmarkDecodeUpdate(b *testing.B) {
	q := typical()
	m := encode(&q)
	h, _ := parseHeader(m)
	var r reading
	var into credit.Request
	b.SetBytes(int64(len(m)))
	b.ReportAllocs()
	for b.Loop() {
		r.reset(&into, nil)
		if f := r.decode(h, m[headerSize:]); f != nil {
			b.Fatal(f)
		}
	}
}

func BenchmarkEncodeAnswer(b *testing.B) {
	q := typical()
	m := encode(&q)
	h, _ := parseHeader(m)
	var r reading
	var into credit.Request
	r.reset(&into, nil)
	if f := r.decode(h, m[headerSize:]); f != nil {
		b.Fatal(f)
	}
	a := credit.Answer{Units: []credit.Granted{{HasGroup: true, Group: 10, Grant: credit.Units{Has: credit.HasTotal, Total: 10 << 20},
		Threshold: credit.Units{Has: credit.HasTotal, Total: 1 << 20}, Validity: 3600, HasHolding: true, Holding: 600}}}
	id := newIdentity(ocsHost, ocsRealm, 7)
	out := make([]byte, 0, 1024)
	b.ReportAllocs()
	for b.Loop() {
		out = appendAnswer(out[:0], &id, &h, &r, resultSuccess, &a, nil)
	}
	b.SetBytes(int64(len(out)))
}

// nothing is a charger that grants at once, to measure the wire alone.
type nothing struct{}

func (nothing) Charge(call *credit.Call) {
	for i := range call.Request.Units {
		g := call.Answer.AddUnit(&call.Request.Units[i])
		g.Grant = credit.Units{Has: credit.HasTotal, Total: 10 << 20}
		g.Validity = 3600
	}
	call.Done(call)
}

// BenchmarkLoopback is client and server in one process: one operation is one CCR-U and its CCA.
func BenchmarkLoopback(b *testing.B) {
	for _, conns := range []int{1, 8} {
		for _, window := range []int{32, 256} {
			b.Run(name(conns, window), func(b *testing.B) { loopback(b, conns, window) })
		}
	}
}

func name(conns, window int) string {
	digits := func(n int) string {
		s := ""
		for ; n > 0; n /= 10 {
			s = string(rune('0'+n%10)) + s
		}
		return s
	}
	return digits(conns) + "x" + digits(window)
}

func loopback(b *testing.B, conns, window int) {
	_, addr := serve(b, nothing{}, nil)
	clients := make([]*Client, conns)
	for i := range clients {
		clients[i] = dial(b, addr, func(c *ClientConfig) { c.Window = window })
	}
	b.ReportAllocs()
	b.ResetTimer()
	var wg sync.WaitGroup
	for i, c := range clients {
		n := b.N / conns
		if i == 0 {
			n += b.N % conns
		}
		wg.Go(func() { pump(b, c, window, n) })
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "CCR/s")
}

// pump keeps window requests under way until n are answered.
func pump(b *testing.B, c *Client, window, n int) {
	free := make(chan *credit.Call, window)
	for range window {
		call := &credit.Call{Request: typical()}
		call.Done = func(x *credit.Call) {
			if x.Answer.Result != credit.Success || len(x.Answer.Units) != 1 {
				b.Errorf("%+v", x.Answer)
			}
			free <- x
		}
		free <- call
	}
	for range n {
		call := <-free
		call.Request.Number++
		c.Charge(call)
	}
	for range window {
		<-free
	}
}

// The path of a request through decoder and encoder takes nothing from the heap.
func TestHotPathDoesNotAllocate(t *testing.T) {
	q := typical()
	m := encode(&q)
	h, _ := parseHeader(m)
	var r reading
	var into credit.Request
	a := credit.Answer{Units: []credit.Granted{{HasGroup: true, Group: 10, Grant: credit.Units{Has: credit.HasTotal, Total: 10 << 20}, Validity: 3600}}}
	id := newIdentity(ocsHost, ocsRealm, 7)
	out := make([]byte, 0, 4096)
	if n := testing.AllocsPerRun(100, func() {
		r.reset(&into, nil)
		if f := r.decode(h, m[headerSize:]); f != nil {
			t.Fatal(f)
		}
		out = appendAnswer(out[:0], &id, &h, &r, resultSuccess, &a, nil)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
