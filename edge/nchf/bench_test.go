package nchf

import (
	"net"
	"net/http"
	"sync"
	"testing"

	"tandem/edge/credit"
)

// BenchmarkDecode reads an update of one rating group.
func BenchmarkDecode(b *testing.B) {
	var r reading
	var q credit.Request
	body := []byte(updateBody)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if f := r.decode(&q, credit.Update, body); f != nil {
			b.Fatal(f)
		}
	}
}

// BenchmarkDecodeCreate reads a create of a PDU session, with all that is said of it.
func BenchmarkDecodeCreate(b *testing.B) {
	var r reading
	var q credit.Request
	body := []byte(createBody)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if f := r.decode(&q, credit.Initial, body); f != nil {
			b.Fatal(f)
		}
	}
}

// BenchmarkEncode writes the answer to it.
func BenchmarkEncode(b *testing.B) {
	var r reading
	var q credit.Request
	if f := r.decode(&q, credit.Update, []byte(updateBody)); f != nil {
		b.Fatal(f)
	}
	var a credit.Answer
	grant(&a, &q.Units[0])
	out := make([]byte, 0, 1024)
	b.ReportAllocs()
	for b.Loop() {
		out = appendResponse(out[:0], &r, &a)
	}
	b.SetBytes(int64(len(out)))
}

// BenchmarkName makes the name of a session.
func BenchmarkName(b *testing.B) {
	var r reading
	var q credit.Request
	if f := r.decode(&q, credit.Initial, []byte(createBody)); f != nil {
		b.Fatal(f)
	}
	n := newNamer("", testKey)
	b.ReportAllocs()
	for b.Loop() {
		n.name(nil, &r)
	}
}

// BenchmarkLean and BenchmarkPlain send updates over 4 connections with 64 under way on each, to the lean loop and to the same codec
// behind net/http; the client is ours in both. The charger decides nothing, so this is the cost of the wire.
func BenchmarkLean(b *testing.B) { updates(b, serve(b, Config{}, null{}).addr) }

func BenchmarkPlain(b *testing.B) {
	s, err := New(Config{Key: testKey}, null{})
	if err != nil {
		b.Fatal(err)
	}
	p := new(http.Protocols)
	p.SetUnencryptedHTTP2(true)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	plain := &http.Server{Handler: s.Handler(), Protocols: p, HTTP2: &http.HTTP2Config{MaxConcurrentStreams: 1024}}
	go plain.Serve(l)
	b.Cleanup(func() {
		plain.Close()
		s.Close(b.Context())
	})
	updates(b, l.Addr().String())
}

func updates(b *testing.B, addr string) {
	const conns, window = 4, 64
	h := &house{t: b, addr: addr}
	calls := make(chan *credit.Call, conns*window)
	var under sync.WaitGroup
	for range conns {
		c := h.dial(ClientConfig{Window: window})
		for range window {
			call := new(credit.Call)
			q := &call.Request
			q.Kind, q.Service, q.Session, q.At = credit.Update, credit.Data, []byte("0123456789abcdefghjkmnpqrs"), 1_772_000_000_000_000
			q.Subscribers = []credit.Subscriber{{Type: credit.IMSI, ID: []byte("001010000000001")}}
			q.Access, q.PLMN, q.RAT, q.Context = []byte("internet"), 1001, 51, []byte("32255@3gpp.org")
			u := q.AddUnit()
			u.HasGroup, u.Group, u.Asked = true, 100, true
			u.Used = append(u.Used, credit.Used{Units: credit.Units{Has: credit.HasTotal, Total: 1 << 20}, Seq: 1, Reason: credit.Threshold})
			call.Own = c
			call.Done = func(call *credit.Call) {
				if call.Answer.Result != credit.Success || len(call.Answer.Units) != 1 {
					b.Errorf("%v %s", call.Answer.Result, call.Answer.Reason)
				}
				under.Done()
				calls <- call
			}
			calls <- call
		}
	}
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		call := <-calls
		call.Request.Number = uint32(i + 1)
		under.Add(1)
		call.Own.(*Client).Charge(call)
	}
	under.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "req/s")
}
