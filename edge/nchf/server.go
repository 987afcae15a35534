package nchf

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"tandem/edge/credit"
	"tandem/edge/intake"
	"tandem/kit/fault"
)

// Config says who we are and what we put up with. The zero value of a limit takes the default named beside it.
type Config struct {
	Root string // apiRoot of our URIs, such as https://chf.example; empty: what the consumer called us
	Node string // stands before the names of sessions, for whoever routes by it; letters, digits, hyphens
	Key  []byte // names of sessions are made under it: 16 octets or more, the same on all nodes, never changed in a life of sessions
	TLS  *tls.Config

	// Verify checks an access token for a scope (TS 29.500 6.7.3); nil: none is asked for. It is called by the reader of a connection
	// and must not wait.
	Verify func(token, scope string) error
	// Spending opens Nchf_SpendingLimitControl; nil: there is none.
	Spending *Spending
	// NotifyTo judges where consumers want to be notified, before each request and redirect; nil: anywhere.
	NotifyTo  func(*url.URL) error
	NotifyTLS *tls.Config
	Notifiers int // workers that notify; 16

	Handshake      time.Duration // 10 s for TLS and the preface
	Idle           time.Duration // 5 min without a frame or open stream
	Slow           time.Duration // 10 s for the whole of a request, and for the peer to take an answer
	Patience       time.Duration // 10 s for the answer to a notification
	MaxConnections int           // 1024
	MaxStreams     int           // 1024 of one connection, those at the charger included
	MaxBody        int           // 256 KiB
	MaxHeaders     int           // 16 KiB
	MaxBacklog     int           // 8 MiB of answers that a peer does not read; more close its connection
	MaxResets      int           // 1000 streams a second that a peer opens and drops (CVE-2023-44487)
	Rate           int           // requests a second of one connection; above it creates are answered 503, above twice all; 0: any
}

func orElse[T comparable](v, standard T) T {
	var zero T
	if v == zero {
		return standard
	}
	return v
}

func (c *Config) defaults() {
	c.Notifiers = orElse(c.Notifiers, 16)
	c.Handshake = orElse(c.Handshake, 10*time.Second)
	c.Idle = orElse(c.Idle, 5*time.Minute)
	c.Slow = orElse(c.Slow, 10*time.Second)
	c.Patience = orElse(c.Patience, 10*time.Second)
	c.MaxConnections = orElse(c.MaxConnections, 1024)
	c.MaxStreams = orElse(c.MaxStreams, 1024)
	c.MaxBody = orElse(c.MaxBody, 256<<10)
	c.MaxHeaders = orElse(c.MaxHeaders, 16<<10)
	c.MaxBacklog = orElse(c.MaxBacklog, 8<<20)
	c.MaxResets = orElse(c.MaxResets, 1000)
	c.Root = strings.TrimSuffix(c.Root, "/")
}

func (c *Config) check() (rootPath string, err error) {
	if len(c.Key) < 16 {
		return "", fault.BadInput("nchfKey", "The key for the names of charging sessions needs 16 octets, it has %d", len(c.Key))
	}
	for _, r := range c.Node {
		if !strings.ContainsRune("abcdefghijklmnopqrstuvwxyz0123456789-", r) || len(c.Node) > 64 {
			return "", fault.BadInput("nchfNode", "The node name %q may have small letters, digits and hyphens, 64 at most", c.Node)
		}
	}
	if c.MaxBody < 4<<10 || c.MaxBody > 16<<20 {
		return "", fault.BadInput("nchfSize", "The largest Nchf body is between 4 KiB and 16 MiB, not %d octets", c.MaxBody)
	}
	if c.Root == "" {
		return "", nil
	}
	u, err := url.Parse(c.Root)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" {
		return "", fault.BadInput("nchfRoot", "The root of our URIs must look like https://chf.example, not %q", c.Root)
	}
	return u.EscapedPath(), nil
}

// Stats counts since the start. Every field may be read at any time.
type Stats struct {
	Connections  atomic.Int64 // open now
	Refused      atomic.Uint64
	Plain        atomic.Uint64 // connections that spoke HTTP/1.1
	Received     atomic.Uint64 // requests of charging
	Answered     atomic.Uint64
	Malformed    atomic.Uint64
	Retransmits  atomic.Uint64 // with the retransmission indicator
	Unauthorized atomic.Uint64
	Overloads    atomic.Uint64 // answered 503 here, before any charging
	Turned       atomic.Uint64 // streams refused: too many, or closing
	Resets       atomic.Uint64 // streams that a peer dropped
	Slow         atomic.Uint64 // streams dropped because the peer was too slow
	Backlogs     atomic.Uint64 // connections closed because the peer did not read
	Silent       atomic.Uint64 // connections closed because nothing came
	Broken       atomic.Uint64 // connections closed because of an error of HTTP/2
	Told         atomic.Uint64 // notifications sent
	Unanswered   atomic.Uint64 // of them
	statuses     [600]atomic.Uint64
}

// Status is how many requests of charging were answered with an HTTP status.
func (s *Stats) Status(code int) uint64 {
	if code < 0 || code >= len(s.statuses) {
		return 0
	}
	return s.statuses[code].Load()
}

// Server takes requests of consumers to a charger. It is the way back to them, too.
type Server struct {
	Stats     Stats
	cfg       Config
	rootPath  string
	charger   credit.Charger
	names     *namer
	handler   http.Handler
	teller    *teller
	plain     *http.Server // for connections that speak HTTP/1.1
	handoff   *handoff
	plainOpen atomic.Int64 // of them
	pool      sync.Pool
	date      atomic.Pointer[string]
	closing   atomic.Bool
	busy      atomic.Int64  // streams open
	idle      chan struct{} // busy has become 0 while closing
	left      chan struct{} // a connection has ended
	quit      chan struct{}
	wg        sync.WaitGroup

	mu        sync.Mutex
	listeners map[net.Listener]bool
	conns     map[*conn]bool
}

// New checks the configuration. The server runs from its first Serve on; notifications are possible at once.
func New(cfg Config, charger credit.Charger) (*Server, error) {
	cfg.defaults()
	rootPath, err := cfg.check()
	if err != nil {
		return nil, err
	}
	s := &Server{
		cfg:       cfg,
		rootPath:  rootPath,
		charger:   charger,
		names:     newNamer(cfg.Node, cfg.Key),
		handoff:   newHandoff(),
		idle:      make(chan struct{}, 1),
		left:      make(chan struct{}, 1),
		quit:      make(chan struct{}),
		listeners: map[net.Listener]bool{},
		conns:     map[*conn]bool{},
	}
	if cfg.TLS != nil {
		s.cfg.TLS = cfg.TLS.Clone()
		s.cfg.TLS.NextProtos = []string{"h2", "http/1.1"}
		s.cfg.TLS.MinVersion = max(s.cfg.TLS.MinVersion, tls.VersionTLS12)
	}
	s.pool.New = func() any { return newExchange(s) }
	s.handler = s.mux()
	s.teller = newTeller(s)
	s.plain = &http.Server{Handler: s.handler, ReadHeaderTimeout: cfg.Handshake, ReadTimeout: cfg.Slow, WriteTimeout: 4 * cfg.Slow, IdleTimeout: cfg.Idle,
		MaxHeaderBytes: cfg.MaxHeaders, ConnContext: markSecure}
	s.tick(time.Now())
	s.wg.Go(s.watch)
	s.wg.Go(func() { s.plain.Serve(s.handoff) })
	return s, nil
}

// Handler is the same service behind net/http, for a host that has its own server.
func (s *Server) Handler() http.Handler { return s.handler }

// Serve accepts connections until Close. Several listeners may be served at a time.
func (s *Server) Serve(l net.Listener) error {
	if s.cfg.TLS != nil {
		l = tls.NewListener(l, s.cfg.TLS)
	}
	s.mu.Lock()
	if s.closing.Load() {
		s.mu.Unlock()
		return l.Close()
	}
	s.listeners[l] = true
	s.mu.Unlock()
	return intake.Loop(l, s.closing.Load, s.quit, s.accept)
}

func (s *Server) accept(nc net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing.Load() || len(s.conns) >= s.cfg.MaxConnections {
		s.Stats.Refused.Add(1)
		nc.Close()
		return
	}
	c := newConn(s, nc)
	s.conns[c] = true
	s.Stats.Connections.Add(1)
	s.wg.Go(c.read)
}

// Close tells the peers (GOAWAY), refuses new streams, waits until every request has its answer, and ends. If ctx ends first, what
// is left is cut.
func (s *Server) Close(ctx context.Context) error {
	if s.closing.Swap(true) {
		return nil
	}
	s.mu.Lock()
	for l := range s.listeners {
		l.Close()
	}
	s.mu.Unlock()
	s.each((*conn).announce)
	err := s.drain(ctx)
	if e := s.plain.Shutdown(ctx); err == nil {
		err = e
	}
	s.each((*conn).bye)
	for err == nil && s.Stats.Connections.Load() > 0 {
		select {
		case <-s.left:
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	s.each(func(c *conn) { c.end() })
	s.plain.Close()
	close(s.quit)
	s.teller.close()
	s.wg.Wait()
	return err
}

// each does something to every connection, without the lock: the end of a TLS connection may take a while.
func (s *Server) each(do func(*conn)) {
	s.mu.Lock()
	conns := make([]*conn, 0, len(s.conns))
	for c := range s.conns {
		conns = append(conns, c)
	}
	s.mu.Unlock()
	for _, c := range conns {
		do(c)
	}
}

func (s *Server) drain(ctx context.Context) error {
	for s.busy.Load() > 0 {
		select {
		case <-s.idle:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func (s *Server) finished() {
	if s.busy.Add(-1) == 0 && s.closing.Load() {
		select {
		case s.idle <- struct{}{}:
		default:
		}
	}
}

// watch keeps the date and looks after slow and silent peers.
func (s *Server) watch() {
	every := max(min(s.cfg.Slow/4, s.cfg.Idle/4, time.Second), time.Millisecond)
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-s.quit:
			return
		case now := <-tick.C:
			s.tick(now)
			s.each(func(c *conn) { c.supervise(now) })
		}
	}
}

// tick renews the Date of answers (RFC 9110 6.6.1).
func (s *Server) tick(now time.Time) {
	date := now.UTC().Format(http.TimeFormat)
	s.date.Store(&date)
}

// leave forgets a connection.
func (s *Server) leave(c *conn) {
	s.mu.Lock()
	delete(s.conns, c)
	s.Stats.Connections.Add(-1)
	s.mu.Unlock()
	select {
	case s.left <- struct{}{}:
	default:
	}
}
