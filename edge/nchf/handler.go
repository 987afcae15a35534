package nchf

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// mux is the service behind net/http: charging with the same codec, and Nchf_SpendingLimitControl.
func (s *Server) mux() http.Handler {
	spending := s.spendingHandler()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x := s.exchange()
		defer s.recycle(x)
		x.method, x.path = append(x.method, r.Method...), append(x.path, r.URL.EscapedPath()...)
		if x.route(); x.op == opOther {
			spending.ServeHTTP(w, r)
			return
		}
		s.handleCharging(w, r, x)
	})
}

// handleCharging answers a request of charging and waits for the charger. A consumer that leaves meanwhile stays charged; its retry
// finds the answer.
func (s *Server) handleCharging(w http.ResponseWriter, r *http.Request, x *exchange) {
	x.authority = append(x.authority, r.Host...)
	x.auth, x.ctype = append(x.auth, r.Header.Get("Authorization")...), append(x.ctype, r.Header.Get("Content-Type")...)
	x.secure = isSecure(r)
	var err error
	if x.body, err = readBody(x.body, r.Body, s.cfg.MaxBody); err != nil {
		return // the consumer has gone: there is nobody to answer
	}
	x.waiter = make(chan struct{})
	x.run(time.Now().UnixMicro())
	<-x.waiter
	x.answer.write(w, x.out)
}

// readBody reads up to one octet more than limit.
func readBody(to []byte, from io.Reader, limit int) ([]byte, error) {
	if from == nil {
		return to, nil
	}
	b := bytes.NewBuffer(to)
	_, err := b.ReadFrom(io.LimitReader(from, int64(limit)+1))
	return b.Bytes(), err
}

// write sends an answer through net/http.
func (p *reply) write(w http.ResponseWriter, body []byte) {
	h := w.Header()
	if len(p.location) > 0 {
		h.Set("Location", string(p.location))
	}
	if p.retry > 0 {
		h.Set("Retry-After", strconv.Itoa(int(p.retry)))
	}
	if p.allow != "" {
		h.Set("Allow", p.allow)
	}
	if p.challenge {
		h.Set("WWW-Authenticate", challenge)
	}
	if p.status == http.StatusNoContent {
		w.WriteHeader(p.status)
		return
	}
	h.Set("Content-Type", p.contentType())
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(p.status)
	w.Write(body)
}

// handleOther gives a request of the lean loop to the plain handler, in a goroutine of its own.
func (s *Server) handleOther(x *exchange) {
	w := &recorder{x: x, header: http.Header{}}
	defer func() {
		if recover() != nil { // as net/http does: one request, not the process
			x.answer = reply{}
			x.refuse(500, "SYSTEM_FAILURE", "Something went wrong on our side", "", "")
		}
		x.c.reply(x)
	}()
	u, err := url.ParseRequestURI(string(x.path))
	if err != nil {
		x.refuse(400, causeFormat, "The path cannot be read", "", "")
		return
	}
	r := &http.Request{Method: string(x.method), URL: u, RequestURI: string(x.path), Proto: "HTTP/2.0", ProtoMajor: 2,
		Host: string(x.authority), Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(x.body)),
		ContentLength: int64(len(x.body)), RemoteAddr: x.c.nc.RemoteAddr().String()}
	if len(x.auth) > 0 {
		r.Header.Set("Authorization", string(x.auth))
	}
	if len(x.ctype) > 0 {
		r.Header.Set("Content-Type", string(x.ctype))
	}
	r.URL.Scheme = "http"
	if x.secure {
		r.URL.Scheme = "https"
	}
	s.handler.ServeHTTP(w, r)
	w.finish()
}

// recorder takes down what the plain handler answers.
type recorder struct {
	x      *exchange
	header http.Header
}

func (w *recorder) Header() http.Header { return w.header }

func (w *recorder) WriteHeader(status int) {
	if w.x.answer.status == 0 {
		w.x.answer.status = status
	}
}

func (w *recorder) Write(b []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	w.x.out = append(w.x.out, b...)
	return len(b), nil
}

func (w *recorder) finish() {
	w.WriteHeader(http.StatusOK)
	p := &w.x.answer
	p.ctype, p.allow = w.header.Get("Content-Type"), w.header.Get("Allow")
	p.challenge = w.header.Get("WWW-Authenticate") != ""
	p.location = append(p.location[:0], w.header.Get("Location")...)
	retry, _ := strconv.ParseUint(w.header.Get("Retry-After"), 10, 32)
	p.retry = uint32(retry)
}

// peeked is a connection of which the first octets have been looked at.
type peeked struct {
	net.Conn
	r    *bufio.Reader
	open *atomic.Int64 // how many there are
	once sync.Once
}

func (p *peeked) Close() error {
	p.once.Do(func() { p.open.Add(-1) })
	return p.Conn.Close()
}

// secureKey marks the context of requests that came by TLS: behind a peeked connection net/http does not see it.
type secureKey struct{}

func markSecure(ctx context.Context, c net.Conn) context.Context {
	if p, ok := c.(*peeked); ok {
		if _, ok := p.Conn.(*tls.Conn); ok {
			return context.WithValue(ctx, secureKey{}, true)
		}
	}
	return ctx
}

func isSecure(r *http.Request) bool {
	return r.TLS != nil || r.URL.Scheme == "https" || r.Context().Value(secureKey{}) != nil
}

func (p *peeked) Read(b []byte) (int, error) { return p.r.Read(b) }

// handoff is the listener by which connections that speak HTTP/1.1 reach net/http.
type handoff struct {
	conns chan net.Conn
	quit  chan struct{}
	once  sync.Once
}

func newHandoff() *handoff { return &handoff{conns: make(chan net.Conn), quit: make(chan struct{})} }

func (h *handoff) give(c net.Conn) bool {
	select {
	case h.conns <- c:
		return true
	case <-h.quit:
		return false
	}
}

func (h *handoff) Accept() (net.Conn, error) {
	select {
	case c := <-h.conns:
		return c, nil
	case <-h.quit:
		return nil, net.ErrClosed
	}
}

func (h *handoff) Close() error {
	h.once.Do(func() { close(h.quit) })
	return nil
}

func (h *handoff) Addr() net.Addr { return &net.TCPAddr{} }
