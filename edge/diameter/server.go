package diameter

import (
	"context"
	"crypto/tls"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"tandem/edge/credit"
	"tandem/edge/intake"
	"tandem/kit/fault"
)

// Peer is one who may connect (RFC 6733 5.2). Its Origin-Host is compared without regard to case, as names of hosts are.
type Peer struct {
	Host        string
	Realm       string         // Origin-Realm; empty: any
	Networks    []netip.Prefix // where it comes from; none: anywhere
	Relay       bool           // an agent: it brings requests of other hosts
	Connections int            // at a time; 0: 16
}

// Config says who we are and what we put up with. The zero value of a limit takes the default named beside it.
type Config struct {
	Host     string
	Realm    string
	Product  string   // Product-Name
	StateID  uint32   // Origin-State-Id: greater than before only if sessions were lost (RFC 6733 8.16)
	Aliases  []string // other hosts whose requests are taken too: twins before the same store
	Peers    []Peer
	Contexts []Context
	TLS      *tls.Config // with it every connection begins with TLS; a client certificate must name the Origin-Host

	Watchdog       time.Duration // 30 s without a message: DWR; twice that: gone (RFC 3539)
	Handshake      time.Duration // 10 s for TLS and the CER
	Patience       time.Duration // 10 s for the answer to RAR and ASR
	MaxConnections int           // 1024
	MaxMessage     int           // 64 KiB; a longer one is answered 5015 and skipped
	MaxInFlight    int           // 16384 requests of one connection under way; more are answered 3004
	MaxBacklog     int           // 8 MiB of answers that a peer does not read; more close its connection
	Rate           int           // requests a second of one connection; above it first ones are answered 3004, above twice all; 0: any

	// Restarted, if set, hears that a peer has lost its sessions: its Origin-State-Id in CER or DWR has grown. It is called by the
	// reader of the connection, before any later request of it.
	Restarted func(host string, state uint32)
}

func orElse[T comparable](v, standard T) T {
	var zero T
	if v == zero {
		return standard
	}
	return v
}

func (c *Config) defaults() {
	c.Product = orElse(c.Product, "Tandem")
	c.Watchdog = orElse(c.Watchdog, 30*time.Second)
	c.Handshake = orElse(c.Handshake, 10*time.Second)
	c.Patience = orElse(c.Patience, 10*time.Second)
	c.MaxConnections = orElse(c.MaxConnections, 1024)
	c.MaxMessage = orElse(c.MaxMessage, 64<<10)
	c.MaxInFlight = orElse(c.MaxInFlight, 16384)
	c.MaxBacklog = orElse(c.MaxBacklog, 8<<20)
}

func (c *Config) check() error {
	if !isHost(c.Host) || !isHost(c.Realm) {
		return fault.BadInput("diameterIdentity", "A Diameter host and its realm need full names; these are %q and %q", c.Host, c.Realm)
	}
	if len(c.Peers) == 0 {
		return fault.BadInput("diameterPeers", "Diameter needs at least one peer that may connect")
	}
	for _, p := range c.Peers {
		if !isHost(p.Host) {
			return fault.BadInput("diameterPeer", "The Diameter peer %q is not the name of a host", p.Host)
		}
	}
	if c.MaxMessage < 1024 || c.MaxMessage > 1<<24-1 {
		return fault.BadInput("diameterSize", "The largest Diameter message is between 1 KiB and 16 MiB, not %d octets", c.MaxMessage)
	}
	return nil
}

func isHost(s string) bool { return s != "" && len(s) < 256 && !strings.ContainsAny(s, " \t\r\n@;/") }

// Stats counts since the start. Every field may be read at any time.
type Stats struct {
	Connections  atomic.Int64 // open now
	Refused      atomic.Uint64
	Received     atomic.Uint64 // CCR and ACR
	Answered     atomic.Uint64
	Malformed    atomic.Uint64
	Retransmits  atomic.Uint64 // with the T flag
	Strangers    atomic.Uint64 // connections of unknown peers (3010)
	Overloads    atomic.Uint64 // answered 3004 here, before any charging
	Backlogs     atomic.Uint64 // connections closed because the peer did not read
	Silent       atomic.Uint64 // connections closed by the watchdog
	Told         atomic.Uint64 // RAR and ASR sent
	Unanswered   atomic.Uint64 // of them
	SkippedBytes atomic.Uint64 // of messages that were too long
	results      [6][64]atomic.Uint64
}

// Result is how many CCR and ACR were answered with a Result-Code.
func (s *Stats) Result(code uint32) uint64 {
	if code < 1000 || code >= 6000 {
		return 0
	}
	return s.results[code/1000][code%1000&63].Load()
}

// Server accepts the peers it is configured for and hands their requests to a charger. It is the way back to them, too.
type Server struct {
	Stats   Stats
	cfg     Config
	id      identity
	charger credit.Charger
	calls   sync.Pool
	closing atomic.Bool
	busy    atomic.Int64  // requests at the charger
	idle    chan struct{} // busy has become 0 while closing
	left    chan struct{} // a connection has ended
	quit    chan struct{}
	ids     atomic.Uint32
	wg      sync.WaitGroup

	mu        sync.Mutex
	listeners map[net.Listener]bool
	conns     map[*conn]bool
	peers     map[string]*peerState // by lower case host
	routes    map[string]*conn      // hosts behind relays, as learned from their requests
}

// peerState is what is known of a configured peer.
type peerState struct {
	Peer
	conns []*conn // the newest last
	state uint32  // the highest Origin-State-Id
}

// maxRoutes caps the hosts that are remembered behind relays; others are told by any relay.
const maxRoutes = 65536

// New checks the configuration. The server runs from its first Serve on.
func New(cfg Config, charger credit.Charger) (*Server, error) {
	cfg.defaults()
	if err := cfg.check(); err != nil {
		return nil, err
	}
	s := &Server{
		cfg:       cfg,
		id:        newIdentity(cfg.Host, cfg.Realm, cfg.StateID),
		charger:   charger,
		idle:      make(chan struct{}, 1),
		left:      make(chan struct{}, 1),
		quit:      make(chan struct{}),
		listeners: map[net.Listener]bool{},
		conns:     map[*conn]bool{},
		peers:     map[string]*peerState{},
		routes:    map[string]*conn{},
	}
	s.calls.New = func() any { return newCall(s) }
	s.ids.Store(uint32(time.Now().UnixNano()))
	for _, p := range cfg.Peers {
		p.Connections = orElse(p.Connections, 16)
		s.peers[strings.ToLower(p.Host)] = &peerState{Peer: p}
	}
	s.wg.Go(s.watch)
	return s, nil
}

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
	s.wg.Go(c.write)
}

// Close lets no new work in (3004), waits until every request has its answer, tells the peers (DPR), waits for their leave and ends. If
// ctx ends first, what is left is cut.
func (s *Server) Close(ctx context.Context) error {
	if s.closing.Swap(true) {
		return nil
	}
	s.mu.Lock()
	for l := range s.listeners {
		l.Close()
	}
	s.mu.Unlock()
	err := s.drain(ctx)
	s.mu.Lock()
	for c := range s.conns {
		c.bye()
	}
	s.mu.Unlock()
	for err == nil && s.Stats.Connections.Load() > 0 {
		select {
		case <-s.left:
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	s.mu.Lock()
	for c := range s.conns {
		c.end()
	}
	s.mu.Unlock()
	close(s.quit)
	s.wg.Wait()
	return err
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

// watch looks after silent connections (RFC 3539 3.4).
func (s *Server) watch() {
	tick := time.NewTicker(max(s.cfg.Watchdog/4, time.Millisecond))
	defer tick.Stop()
	var conns []*conn
	for {
		select {
		case <-s.quit:
			return
		case now := <-tick.C:
			s.mu.Lock()
			conns = conns[:0]
			for c := range s.conns {
				conns = append(conns, c)
			}
			s.mu.Unlock()
			for _, c := range conns { // without the lock: the end of a TLS connection may take a while
				c.supervise(now)
			}
		}
	}
}

// join admits a connection whose CER names a host; code is the Result-Code of the CEA.
func (s *Server) join(c *conn, who *capabilities) (code uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.peers[strings.ToLower(string(who.host))]
	if p == nil || !p.matches(c, who) {
		s.Stats.Strangers.Add(1)
		return resultUnknownPeer
	}
	if len(p.conns) >= p.Connections || s.closing.Load() {
		s.Stats.Refused.Add(1)
		return resultBusy
	}
	p.conns = append(p.conns, c)
	c.peer, c.host, c.relay = p, append([]byte(nil), who.host...), p.Relay
	return resultSuccess
}

// matches checks realm, network and, with TLS, the certificate of a peer.
func (p *peerState) matches(c *conn, who *capabilities) bool {
	if p.Realm != "" && !strings.EqualFold(p.Realm, string(who.realm)) {
		return false
	}
	if t, ok := c.nc.(*tls.Conn); ok {
		chain := t.ConnectionState().PeerCertificates
		if len(chain) > 0 && chain[0].VerifyHostname(p.Host) != nil {
			return false
		}
	}
	if len(p.Networks) == 0 {
		return true
	}
	from, err := netip.ParseAddrPort(c.nc.RemoteAddr().String())
	for _, n := range p.Networks {
		if err == nil && n.Contains(from.Addr().Unmap()) {
			return true
		}
	}
	return false
}

// restarted notes the Origin-State-Id of a peer.
func (s *Server) restarted(c *conn, state uint32) {
	if state == 0 || c.peer == nil {
		return
	}
	s.mu.Lock()
	grown := c.peer.state != 0 && state > c.peer.state
	c.peer.state = max(c.peer.state, state)
	s.mu.Unlock()
	if grown && s.cfg.Restarted != nil {
		s.cfg.Restarted(c.peer.Host, state)
	}
}

// leave forgets a connection.
func (s *Server) leave(c *conn) {
	s.mu.Lock()
	delete(s.conns, c)
	if p := c.peer; p != nil {
		for i := range p.conns {
			if p.conns[i] == c {
				p.conns = append(p.conns[:i], p.conns[i+1:]...)
				break
			}
		}
	}
	for host, via := range s.routes {
		if via == c {
			delete(s.routes, host)
		}
	}
	s.Stats.Connections.Add(-1)
	s.mu.Unlock()
	select {
	case s.left <- struct{}{}:
	default:
	}
}

// learn remembers through which relay a host is reached.
func (s *Server) learn(host []byte, c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	via, known := s.routes[string(host)]
	if via != c && (known || len(s.routes) < maxRoutes) {
		s.routes[string(host)] = c
	}
}

// route finds the connection to a host: its own, the relay that brought its last request, or any relay. nil: none.
func (s *Server) route(host []byte) (c *conn, realm string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.peers[strings.ToLower(string(host))]; p != nil {
		realm = p.Realm
		if n := len(p.conns); n > 0 {
			return p.conns[n-1], realm
		}
	}
	if c := s.routes[string(host)]; c != nil {
		return c, realm
	}
	for _, p := range s.peers {
		if n := len(p.conns); n > 0 && p.Relay {
			return p.conns[n-1], realm
		}
	}
	return nil, realm
}

// ours tells whether a Destination-Host means this server.
func (s *Server) ours(host []byte) bool {
	if strings.EqualFold(string(host), s.cfg.Host) {
		return true
	}
	for _, alias := range s.cfg.Aliases {
		if strings.EqualFold(string(host), alias) {
			return true
		}
	}
	return false
}
