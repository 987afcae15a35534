package nchf

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
	"encoding/binary"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"tandem/edge/credit"
)

// wire is a consumer that says frames as it likes.
type wire struct {
	t    *testing.T
	nc   net.Conn
	r    *bufio.Reader
	d    decompressor
	next uint32
	why  string // of a GOAWAY
}

// wired opens a connection, says preface and settings, and takes the settings of the server.
func wired(t *testing.T, h *house, settings []byte) *wire {
	t.Helper()
	nc, err := net.Dial("tcp", h.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(10 * time.Second))
	w := &wire{t: t, nc: nc, r: bufio.NewReader(nc), next: 1}
	w.d.max = tableSize
	w.say([]byte(preface), setLength(append(appendHead(nil, 0, frameSettings, 0, 0), settings...), 0))
	if f := w.hear(); f.kind != frameSettings {
		t.Fatalf("the first frame is of kind %d", f.kind)
	}
	return w
}

func (w *wire) say(parts ...[]byte) {
	w.t.Helper()
	if _, err := w.nc.Write(bytes.Join(parts, nil)); err != nil {
		w.t.Fatal(err)
	}
}

// hear reads a frame; kind 255 is the end.
func (w *wire) hear() frame {
	var head [headSize]byte
	if _, err := io.ReadFull(w.r, head[:]); err != nil {
		return frame{kind: 255}
	}
	f := frame{kind: head[3], flags: head[4], stream: binary.BigEndian.Uint32(head[5:])}
	f.body = make([]byte, int(head[0])<<16|int(head[1])<<8|int(head[2]))
	io.ReadFull(w.r, f.body)
	return f
}

// until reads frames until one of a kind.
func (w *wire) until(kind byte) frame {
	w.t.Helper()
	for {
		f := w.hear()
		if f.kind == kind {
			return f
		}
		if f.kind == 255 {
			w.t.Fatalf("the connection ended before a frame of kind %d; %s", kind, w.why)
		}
		if f.kind == frameGoAway {
			w.why = fmt.Sprintf("GOAWAY %x %s", f.body[:8], f.body[8:])
		}
	}
}

// error reads until the GOAWAY or RST_STREAM and returns its code.
func (w *wire) error() uint32 {
	w.t.Helper()
	for {
		switch f := w.hear(); f.kind {
		case frameGoAway:
			return binary.BigEndian.Uint32(f.body[4:])
		case frameReset:
			return binary.BigEndian.Uint32(f.body)
		case 255:
			w.t.Fatal("the connection ended without a word")
		}
	}
}

// status decodes :status of a HEADERS frame.
func (w *wire) status(f frame) string {
	status := ""
	if err := w.d.decode(f.body, func(n, v []byte) {
		if string(n) == ":status" {
			status = string(v)
		}
	}); err != nil {
		w.t.Fatal(err)
	}
	return status
}

func block(path string, more ...string) []byte {
	b := []byte{0x80 | headerPOST, 0x80 | headerHTTP}
	b = appendField(b, headerAuthority, "chf.example")
	b = appendField(b, headerPath, path)
	for i := 0; i < len(more); i += 2 {
		b = appendNamed(b, more[i], more[i+1])
	}
	return b
}

func headers(stream uint32, flags byte, block []byte) []byte {
	return append(appendHead(nil, len(block), frameHeaders, flags, stream), block...)
}

func dataFrame(stream uint32, flags byte, body string) []byte {
	return append(appendHead(nil, len(body), frameData, flags, stream), body...)
}

// request is a whole create.
func (w *wire) request(body string) uint32 {
	id := w.next
	w.next += 2
	w.say(headers(id, flagEndHeaders, block(v3)), dataFrame(id, flagEndStream, body))
	return id
}

func TestAnswersObeyTheWindowsOfThePeer(t *testing.T) {
	t.Parallel()
	h := serve(t, Config{}, null{})
	w := wired(t, h, appendSetting(nil, settingWindow, 100))
	id := w.request(createBody)
	var body []byte
	w.until(frameHeaders)
	f := w.until(frameData)
	if len(f.body) != 100 || f.flags&flagEndStream != 0 {
		t.Fatalf("%d octets in a window of 100", len(f.body))
	}
	body = append(body, f.body...)
	w.say(appendWindow(nil, id, 50))
	if f = w.until(frameData); len(f.body) != 50 {
		t.Fatalf("%d octets in a window of 50", len(f.body))
	}
	body = append(body, f.body...)
	w.say(setLength(append(appendHead(nil, 0, frameSettings, 0, 0), appendSetting(nil, settingWindow, 10000)...), 0))
	f = w.until(frameData)
	if body = append(body, f.body...); f.flags&flagEndStream == 0 || !bytes.HasSuffix(body, []byte("}]}")) {
		t.Errorf("answer %s", body)
	}
}

func TestTheWindowOfTheConnectionIsShared(t *testing.T) {
	t.Parallel()
	h := serve(t, Config{}, null{})
	w := wired(t, h, nil)
	got, ended := 0, 0
	const requests = 400 // answers of more than 65535 octets
	w.say(appendWindow(nil, 0, 1))
	go func() {
		for i := range requests {
			id := uint32(2*i + 1)
			w.nc.Write(append(headers(id, flagEndHeaders, block(v3)), dataFrame(id, flagEndStream, createBody)...))
		}
	}()
	for ended < requests {
		f := w.until(frameData)
		got += len(f.body)
		if f.flags&flagEndStream != 0 {
			ended++
		}
		if got == oldWindow+1 {
			w.say(appendWindow(nil, 0, 1<<20))
		}
	}
	if got <= oldWindow+1 {
		t.Errorf("%d octets do not fill the window", got)
	}
}

func TestContinuationAndPadding(t *testing.T) {
	t.Parallel()
	h := serve(t, Config{}, null{})
	w := wired(t, h, nil)
	b := block(v3)
	padded := append([]byte{5}, append(append([]byte{0, 0, 0, 0, 16}, b[:3]...), 0, 0, 0, 0, 0)...)
	w.say(append(appendHead(nil, len(padded), frameHeaders, flagPadded|flagPriority, 1), padded...),
		append(appendHead(nil, 4, frameContinuation, 0, 1), b[3:7]...),
		append(appendHead(nil, len(b)-7, frameContinuation, flagEndHeaders, 1), b[7:]...))
	body := append([]byte{3}, createBody+"\x00\x00\x00"...)
	w.say(append(appendHead(nil, len(body), frameData, flagPadded, 1), body...))
	w.say(headers(1, flagEndHeaders|flagEndStream, appendNamed(nil, "checksum", "1"))) // trailers
	if s := w.status(w.until(frameHeaders)); s != "201" {
		t.Errorf("status %s", s)
	}
}

func TestWhatIsRefusedOnTheWire(t *testing.T) {
	t.Parallel()
	big := strings.Repeat("x", 9000)
	for name, c := range map[string]struct {
		say  [][]byte
		code uint32
	}{
		"a header block interrupted":      {[][]byte{headers(1, 0, block(v3)), appendHead(nil, 0, frameData, 0, 1)}, protocolError},
		"CONTINUATION of nothing":         {[][]byte{appendHead(nil, 0, frameContinuation, 0, 1)}, protocolError},
		"an even stream":                  {[][]byte{headers(2, flagEndHeaders, block(v3))}, protocolError},
		"DATA of an idle stream":          {[][]byte{dataFrame(5, 0, "x")}, protocolError},
		"a frame too long":                {[][]byte{appendHead(nil, 20000, frameData, 0, 1)}, frameSizeError},
		"a push":                          {[][]byte{appendHead(nil, 0, framePush, 0, 1)}, protocolError},
		"a window beyond 2^31":            {[][]byte{appendWindow(nil, 0, maxWindow)}, flowControlError},
		"a window of nothing":             {[][]byte{appendWindow(nil, 0, 0)}, flowControlError},
		"a broken index":                  {[][]byte{headers(1, flagEndHeaders, []byte{0xff, 0xff, 0x01})}, compressionError},
		"settings cut off":                {[][]byte{append(appendHead(nil, 5, frameSettings, 0, 0), 0, 0, 0, 0, 0)}, frameSizeError},
		"an upper case name":              {[][]byte{headers(1, flagEndHeaders, block(v3, "X-A", "1"))}, protocolError},
		"a pseudo-header late":            {[][]byte{headers(1, flagEndHeaders, block(v3, "a", "1", ":method", "GET"))}, protocolError},
		"transfer-encoding":               {[][]byte{headers(1, flagEndHeaders, block(v3, "transfer-encoding", "chunked"))}, protocolError},
		"no path":                         {[][]byte{headers(1, flagEndHeaders, []byte{0x80 | headerPOST, 0x80 | headerHTTP})}, protocolError},
		"content-length that lies":        {[][]byte{headers(1, flagEndHeaders, block(v3, "content-length", "5")), dataFrame(1, flagEndStream, "{}")}, protocolError},
		"a header block without an end":   {append([][]byte{headers(1, 0, block(v3))}, repeat(40, append(appendHead(nil, 1000, frameContinuation, 0, 1), make([]byte, 1000)...))...), enhanceYourCalm},
		"pings without an end":            {repeat(idleFrames+10, appendHead(nil, 0, 77, 0, 0)), enhanceYourCalm},
		"RST_STREAM of an idle stream":    {[][]byte{appendReset(nil, 9, cancelled)}, protocolError},
		"a HEADERS frame before SETTINGS": {nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := serve(t, Config{}, null{})
			if c.say == nil {
				nc, err := net.Dial("tcp", h.addr)
				if err != nil {
					t.Fatal(err)
				}
				defer nc.Close()
				nc.SetDeadline(time.Now().Add(10 * time.Second))
				w := &wire{t: t, nc: nc, r: bufio.NewReader(nc)}
				w.say([]byte(preface), headers(1, flagEndHeaders, block(v3)))
				if code := w.error(); code != protocolError {
					t.Errorf("code %d", code)
				}
				return
			}
			w := wired(t, h, nil)
			go w.nc.Write(bytes.Join(c.say, nil))
			if code := w.error(); code != c.code {
				t.Errorf("code %d, not %d", code, c.code)
			}
		})
	}
	h := serve(t, Config{MaxBody: 8 << 10, MaxHeaders: 4 << 10}, null{})
	w := wired(t, h, nil)
	w.say(headers(1, flagEndHeaders, block(v3)), dataFrame(1, 0, big))
	if s := w.status(w.until(frameHeaders)); s != "413" {
		t.Errorf("a body that is too large: %s", s)
	}
	if code := w.error(); code != noError {
		t.Errorf("the rest of it is refused with %d", code)
	}
	w.say(headers(3, flagEndHeaders, block(v3, "x", big[:5000])))
	if s := w.status(w.until(frameHeaders)); s != "431" {
		t.Errorf("a header list that is too large: %s", s)
	}
	w.say(headers(5, flagEndHeaders, block(v3)), dataFrame(5, flagEndStream, createBody))
	if s := w.status(w.until(frameHeaders)); s != "201" {
		t.Errorf("after refusals: %s", s)
	}
}

func repeat(n int, b []byte) [][]byte { return [][]byte{bytes.Repeat(b, n)} }

func TestOpeningAndDroppingStreams(t *testing.T) {
	t.Parallel()
	l := newLedger()
	l.hold = make(chan struct{})
	h := serve(t, Config{MaxStreams: 20, MaxResets: 30}, l)
	w := wired(t, h, nil)
	for range 20 {
		w.say(appendReset(nil, w.request(createBody), cancelled))
	}
	w.request(createBody) // those that were dropped are still at the charger
	if code := w.error(); code != refusedStream {
		t.Errorf("the 21st stream is refused with %d", code)
	}
	for range 20 {
		id := w.next
		w.next += 2
		w.say(headers(id, flagEndHeaders, block(v3)), appendReset(nil, id, cancelled))
		if code := w.error(); code != refusedStream {
			t.Errorf("code %d", code)
		}
	}
	close(l.hold)
	w.say(append(appendHead(nil, 8, framePing, 0, 0), "12345678"...))
	if f := w.until(framePing); string(f.body) != "12345678" || f.flags&flagAck == 0 {
		t.Errorf("PING is answered with %q", f.body)
	}
	for h.busy.Load() > 0 {
		w.say(append(appendHead(nil, 8, framePing, 0, 0), "12345678"...))
		w.until(framePing)
	}
	for range 40 {
		id := w.next
		w.next += 2
		w.nc.Write(append(headers(id, flagEndHeaders, block(v3)), appendReset(nil, id, cancelled)...))
	}
	for {
		code := w.error()
		if code == enhanceYourCalm {
			break
		}
		if code != refusedStream {
			t.Fatalf("code %d", code)
		}
	}
}

func TestSlowAndSilentPeers(t *testing.T) {
	t.Parallel()
	h := serve(t, Config{Slow: 60 * time.Millisecond, Idle: time.Second, Handshake: time.Second}, null{})
	w := wired(t, h, appendSetting(nil, settingWindow, 0))
	w.say(headers(1, flagEndHeaders, block(v3)), dataFrame(1, 0, "{"))
	if f := w.until(frameReset); f.stream != 1 || binary.BigEndian.Uint32(f.body) != cancelled {
		t.Errorf("half a request: %+v", f)
	}
	w.say(headers(3, flagEndHeaders, block(v3)), dataFrame(3, flagEndStream, createBody))
	if f := w.until(frameReset); f.stream != 3 {
		t.Errorf("an answer that is not taken: %+v", f)
	}
	w.until(frameGoAway)
	if f := w.hear(); f.kind != 255 {
		t.Errorf("a frame of kind %d after the end", f.kind)
	}
	if h.Stats.Slow.Load() != 2 || h.Stats.Silent.Load() == 0 || h.busy.Load() != 0 {
		t.Errorf("slow %d, silent %d, busy %d", h.Stats.Slow.Load(), h.Stats.Silent.Load(), h.busy.Load())
	}
	nc, err := net.Dial("tcp", h.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := nc.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("who says nothing: %v", err)
	}
}

func TestCloseWaitsForAnswers(t *testing.T) {
	t.Parallel()
	l := newLedger()
	l.hold = make(chan struct{})
	s, err := New(Config{Key: testKey}, l)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go s.Serve(ln)
	w := wired(t, &house{s, t, ln.Addr().String()}, nil)
	w.request(createBody)
	w.say(append(appendHead(nil, 8, framePing, 0, 0), "12345678"...))
	w.until(framePing) // the request is at the charger
	closed := make(chan error, 1)
	go func() { closed <- s.Close(t.Context()) }()
	w.until(frameGoAway)
	w.request(createBody)
	if code := w.error(); code != refusedStream {
		t.Errorf("a new stream while closing: %d", code)
	}
	close(l.hold)
	if st := w.status(w.until(frameHeaders)); st != "201" {
		t.Errorf("the old one: %s", st)
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}
}

func certificate(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "chf"}, NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func TestTLSByALPNAndHTTP1(t *testing.T) {
	t.Parallel()
	cert := certificate(t)
	h := serve(t, Config{TLS: &tls.Config{Certificates: []tls.Certificate{cert}}}, newLedger())
	leaf, _ := x509.ParseCertificate(cert.Certificate[0])
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	trust := &tls.Config{RootCAs: roots}
	for _, second := range []bool{true, false} {
		p := new(http.Protocols)
		p.SetHTTP2(second)
		p.SetHTTP1(!second)
		tr := &http.Transport{Protocols: p, TLSClientConfig: trust.Clone()}
		c := &http.Client{Transport: tr, Timeout: 10 * time.Second}
		a := post(t, c, "https://"+h.addr+v3, createBody)
		if a.status != 201 || !strings.HasPrefix(a.header.Get("Location"), "https://"+h.addr) {
			t.Errorf("HTTP/2 %v: %d %v", second, a.status, a.header)
		}
		tr.CloseIdleConnections()
	}
	if h.Stats.Plain.Load() != 1 {
		t.Errorf("%d connections of HTTP/1.1", h.Stats.Plain.Load())
	}
	c := h.dial(ClientConfig{TLS: trust})
	call := new(credit.Call)
	call.Request.Kind, call.Request.Session, call.Request.At = credit.Initial, []byte("s"), 1
	credit.Do(c, call)
	if call.Answer.Result != credit.Success {
		t.Errorf("our client over TLS: %v %s", call.Answer.Result, call.Answer.Reason)
	}
}

func TestManyStreamsInParallelChargeOnce(t *testing.T) {
	t.Parallel()
	l := newLedger()
	h := serve(t, Config{}, l)
	const sessions, updates, step = 40, 25, uint64(1) << 54
	var done sync.WaitGroup
	for s := range sessions {
		c := h.dial(ClientConfig{Window: 8})
		done.Go(func() {
			name := []byte(fmt.Sprintf("session-%d", s))
			for n := range updates + 2 {
				call := new(credit.Call)
				q := &call.Request
				q.Kind, q.Session, q.Number, q.At, q.Service = credit.Update, name, uint32(n+1), 1_772_000_000_000_000, credit.Data
				q.Subscribers = []credit.Subscriber{{Type: credit.IMSI, ID: name}}
				switch n {
				case 0:
					q.Kind = credit.Initial
				case updates + 1:
					q.Kind = credit.Terminate
				default:
					u := q.AddUnit()
					u.HasGroup, u.Group, u.Asked = true, 1, true
					u.Used = append(u.Used, credit.Used{Units: credit.Units{Has: credit.HasTotal, Total: step}, Seq: uint32(n)})
				}
				for range 2 { // each one twice
					credit.Do(c, call)
					if call.Answer.Result != credit.Success {
						if q.Kind != credit.Terminate || !q.Retransmitted {
							t.Errorf("%s/%d: %v %s", name, n, call.Answer.Result, call.Answer.Reason)
						}
					}
					q.Retransmitted = true
				}
			}
		})
	}
	done.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.used) != sessions {
		t.Errorf("%d sessions, not %d: a repeated create opened another", len(l.used), sessions)
	}
	for s, n := range l.used {
		if n != updates*step {
			t.Errorf("session %s is charged %d, not %d", s, n, updates*step)
		}
	}
}

func TestClientHearsOfALostConnection(t *testing.T) {
	t.Parallel()
	l := newLedger()
	l.hold = make(chan struct{})
	s, err := New(Config{Key: testKey}, l)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go s.Serve(ln)
	c := (&house{s, t, ln.Addr().String()}).dial(ClientConfig{})
	call := new(credit.Call)
	call.Request.Kind, call.Request.Session, call.Request.At = credit.Initial, []byte("s"), 1
	done := make(chan struct{})
	call.Done = func(*credit.Call) { close(done) }
	c.Charge(call)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s.Close(ctx)
	<-done
	if call.Answer.Result != credit.Busy || call.Answer.Reason == "" {
		t.Errorf("%v %q", call.Answer.Result, call.Answer.Reason)
	}
	close(l.hold)
}

func TestConnectionsAreCounted(t *testing.T) {
	t.Parallel()
	h := serve(t, Config{MaxConnections: 2}, null{})
	old := func() net.Conn {
		nc, err := net.Dial("tcp", h.addr)
		if err != nil {
			t.Fatal(err)
		}
		nc.SetDeadline(time.Now().Add(10 * time.Second))
		fmt.Fprintf(nc, "GET / HTTP/1.1\r\nHost: chf\r\n\r\n")
		return nc
	}
	alive := func(nc net.Conn) bool {
		_, err := nc.Read(make([]byte, 1))
		return err == nil
	}
	first, second := old(), old()
	defer second.Close()
	if !alive(first) || !alive(second) {
		t.Fatal("two connections of HTTP/1.1 are too many")
	}
	if third := old(); alive(third) {
		t.Error("a third connection of HTTP/1.1 is let in")
	}
	first.Close()
	for deadline := time.Now().Add(10 * time.Second); h.plainOpen.Load() > 1; {
		if time.Now().After(deadline) {
			t.Fatal("a connection that has ended still counts")
		}
		runtime.Gosched()
	}
	if again := old(); !alive(again) {
		t.Error("there is no room although one has left")
	} else {
		again.Close()
	}
	wired(t, h, nil)
	wired(t, h, nil)
	nc, err := net.Dial("tcp", h.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(10 * time.Second))
	if alive(nc) {
		t.Error("a third connection of HTTP/2 is let in")
	}
}
