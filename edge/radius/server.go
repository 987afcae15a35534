package radius

import (
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"tandem/edge/credit"
	"tandem/kit/fault"
)

const (
	replyLife    = 15 * time.Second // a reply is remembered for one to two of it
	mostReplies  = 1 << 19          // in one life: 35,000 requests a second
	mostInFlight = 8192
	challengeMax = 8192
)

// Config is what a Server needs. Without Auth addresses no Authenticator is needed, without Acct addresses no Charger.
type Config struct {
	Auth []string // addresses to listen on, "192.0.2.1:1812". Name an address: on a host with several, replies of a wildcard may leave from another
	Acct []string
	NAS  []NAS

	Authenticator Authenticator
	Charger       credit.Charger
	// Restarted closes all sessions of a gateway, with the last use that is known of each, and calls done once that is durable.
	Restarted func(r Restart, done func(durable bool))
	// Reported hears of each accounting report that was kept, before the gateway does: the call is valid until it returns, and it must
	// not block. nil: nobody hears.
	Reported func(*credit.Call)

	Readers  int // sockets and readers for each address; 0 means 1. More need Linux
	InFlight int // requests of an address under way at once; 0 means 8192
	Log      *slog.Logger
}

// Check says what is wrong with the configuration, and what is weak in it.
func (c *Config) Check() (warnings []string, err error) {
	t, err := newTable(c.NAS)
	if err != nil {
		return nil, err
	}
	if len(c.Auth) > 0 && c.Authenticator == nil {
		return nil, fault.BadInput("radiusAuth", "Nobody decides on the logins that come to %s", c.Auth[0])
	}
	if len(c.Acct) > 0 && (c.Charger == nil || c.Restarted == nil) {
		return nil, fault.BadInput("radiusAcct", "Nobody charges what is reported to %s", c.Acct[0])
	}
	return t.weak(), nil
}

// Server is the RADIUS server. It answers until it is closed.
type Server struct {
	authenticator Authenticator
	charger       credit.Charger
	restarted     func(Restart, func(bool))
	reported      func(*credit.Call)
	table         atomic.Pointer[table]
	challenges    *challenges
	count         counters
	log           *slog.Logger
	ports         []*port
	quit          chan struct{}
	once          sync.Once
	readers       sync.WaitGroup
	writers       sync.WaitGroup
}

// Listen opens the sockets and starts to answer.
func Listen(c Config) (*Server, error) {
	if _, err := c.Check(); err != nil {
		return nil, err
	}
	s := &Server{authenticator: c.Authenticator, charger: c.Charger, restarted: c.Restarted, reported: c.Reported,
		challenges: newChallenges(challengeMax), log: c.Log, quit: make(chan struct{})}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if err := s.SetNAS(c.NAS); err != nil {
		return nil, err
	}
	for _, group := range []struct {
		role      role
		addresses []string
	}{{auth, c.Auth}, {acct, c.Acct}} {
		for _, address := range group.addresses {
			if err := s.open(address, group.role, &c); err != nil {
				closePorts(s.ports)
				return nil, fault.Away(err, "RADIUS cannot listen on %s", address)
			}
		}
	}
	for _, p := range s.ports {
		s.readers.Go(p.readAll)
		s.writers.Go(p.writeAll)
	}
	return s, nil
}

func (s *Server) open(address string, r role, c *Config) error {
	conns, err := listen(address, c.Readers)
	if err != nil {
		return err
	}
	inFlight := c.InFlight
	if inFlight == 0 {
		inFlight = mostInFlight
	}
	for i, conn := range conns {
		w, err := newWire(conn, false)
		if err != nil {
			closeAll(conns[i:])
			return err
		}
		s.ports = append(s.ports, newPort(s, r, conn, w, inFlight/len(conns)))
	}
	return nil
}

// SetNAS replaces the list of gateways. Requests under way keep the entry they came by.
func (s *Server) SetNAS(list []NAS) error {
	t, err := newTable(list)
	if err != nil {
		return err
	}
	s.table.Store(t)
	return nil
}

// AuthAddr is the first address for authentication that is listened on, and AcctAddr that for accounting; "" if there is none.
func (s *Server) AuthAddr() string { return s.address(auth) }

// AcctAddr is the first address for accounting.
func (s *Server) AcctAddr() string { return s.address(acct) }

func (s *Server) address(r role) string {
	for _, p := range s.ports {
		if p.role == r {
			return p.conn.LocalAddr().String()
		}
	}
	return ""
}

// Close stops listening and waits for the goroutines. What is decided later is not answered: the gateway will ask again.
func (s *Server) Close() error {
	var err error
	s.once.Do(func() {
		err = closePorts(s.ports)
		close(s.quit)
	})
	s.readers.Wait()
	s.writers.Wait()
	return err
}

func closePorts(ports []*port) error {
	var errs []error
	for _, p := range ports {
		errs = append(errs, p.conn.Close())
	}
	return errors.Join(errs...)
}

// role is what a port is for.
type role uint8

const (
	auth role = iota
	acct
)

// port is one socket with its reader and its writer.
type port struct {
	server  *Server
	role    role
	conn    *net.UDPConn
	wire    wire
	replies *replies
	most    int
	signer  *signer       // the reader's
	wake    chan struct{} // there is something to write
	freed   chan struct{} // an exchange has come back

	mu   sync.Mutex
	free []*exchange
	made int
	done []*exchange // decided, for the writer
}

func newPort(s *Server, r role, conn *net.UDPConn, w wire, inFlight int) *port {
	return &port{server: s, role: r, conn: conn, wire: w, most: max(inFlight, 1) + batchSize, signer: newSigner(),
		replies: newReplies(replyLife.Microseconds(), mostReplies), wake: make(chan struct{}, 1), freed: make(chan struct{}, 1)}
}

// readAll reads until the socket is closed. While as many requests as may be are under way, nothing is read: the kernel's buffer fills
// up, and then the gateways hear nothing and turn to another server.
func (p *port) readAll() {
	var batch []*exchange
	slots := make([]*datagram, 0, batchSize)
	for {
		if batch = p.refill(batch); len(batch) == 0 {
			return
		}
		slots = slots[:0]
		for _, x := range batch {
			slots = append(slots, &x.in)
		}
		n, err := p.wire.read(slots)
		if err != nil {
			return
		}
		now := time.Now().UnixMicro()
		kept := batch[:0]
		for i, x := range batch {
			if i >= n || !p.receive(x, now) {
				kept = append(kept, x)
			}
		}
		batch = kept
	}
}

// refill gets exchanges to read into; none if the server is being closed.
func (p *port) refill(batch []*exchange) []*exchange {
	for {
		p.mu.Lock()
		for len(batch) < batchSize {
			if n := len(p.free); n > 0 {
				batch = append(batch, p.free[n-1])
				p.free = p.free[:n-1]
				continue
			}
			if p.made >= p.most {
				break
			}
			p.made++
			batch = append(batch, newExchange(p))
		}
		p.mu.Unlock()
		if len(batch) > 0 {
			return batch
		}
		p.server.count.stalled.Add(1)
		select {
		case <-p.freed:
		case <-p.server.quit:
			return nil
		}
	}
}

// receive looks at one datagram. True: the exchange was handed on.
func (p *port) receive(x *exchange, now int64) bool {
	c := &p.server.count
	if x.nas = p.server.table.Load().find(x.in.peer.Addr()); x.nas == nil {
		c.unknown.note(p.server, x, now, "a packet from an address that is no gateway's")
		return false
	}
	var err error
	if x.packet, err = Parse(x.in.data); err != nil {
		c.malformed.Add(1)
		return false
	}
	if !p.authentic(x, now) {
		return false
	}
	if !x.nas.limit.allow(now) {
		c.limited.Add(1)
		return false
	}
	if x.packet.Code() == StatusServer {
		x.alive()
		return true
	}
	return p.first(x, now)
}

// authentic tells whether the packet is of a kind that belongs here and was made with the gateway's secret.
func (p *port) authentic(x *exchange, now int64) bool {
	c := &p.server.count
	var right bool
	switch code := x.packet.Code(); {
	case code == AccountingRequest && p.role == acct:
		right, x.signed = p.signer.provenRequest(x.packet, x.nas.secret)
	case code == AccessRequest && p.role == auth, code == StatusServer:
		x.signed, right = p.signer.provenMAC(x.packet, x.packet.Authenticator(), x.nas.secret)
		if !x.signed {
			if !x.excused(code) {
				c.unsigned.note(p.server, x, now, "a request without Message-Authenticator")
				return false
			}
			right = true
		}
	default:
		c.unexpected.Add(1)
		return false
	}
	if !right {
		c.forged.note(p.server, x, now, "a packet that was not made with the shared secret")
	}
	return right
}

// excused tells whether a request may come without Message-Authenticator: an Access-Request of a gateway that is marked so. With a
// Proxy-State it never may: gateways do not send one, and the forgery of a reply is built out of ours repeating it (CVE-2024-3596).
// RFC 5997 3 wants a Message-Authenticator in every Status-Server.
func (x *exchange) excused(code Code) bool {
	return code == AccessRequest && x.nas.LegacyNoMessageAuthenticator && x.packet.offset(ProxyState) == 0
}

// first has a request decided, unless it was seen before.
func (p *port) first(x *exchange, now int64) bool {
	c := &p.server.count
	x.key = p.replies.key(x.in.peer, x.packet)
	reply, known := p.replies.begin(x.key, now, x.out.data[:0])
	switch known {
	case underWay:
		c.underWay.Add(1)
		return false
	case answered:
		c.repeated.Add(1)
		x.out.data = reply
		x.finish(sealed)
		return true
	}
	c.requests.Add(1)
	ok := false
	if p.role == auth {
		ok = p.access(x, now)
	} else {
		ok = p.accounting(x, now)
	}
	if !ok {
		p.replies.forget(x.key)
	}
	return ok
}

// alive answers a Status-Server: here we are (RFC 5997 4).
func (x *exchange) alive() {
	code := AccessAccept
	if x.port.role == acct {
		code = AccountingResponse
	}
	x.key = replyKey{}
	x.out.data = x.reply(code)
	x.finish(toSeal)
}

// finished takes a decided exchange. It is called from any goroutine and does not block.
func (p *port) finished(x *exchange) {
	p.mu.Lock()
	p.done = append(p.done, x)
	p.mu.Unlock()
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// writeAll signs and sends replies, as many at a time as have come together.
func (p *port) writeAll() {
	g := newSigner()
	var ready []*exchange
	var slots []*datagram
	for {
		select {
		case <-p.wake:
		case <-p.server.quit:
			return
		}
		p.mu.Lock()
		ready, p.done = p.done, ready[:0]
		p.mu.Unlock()
		slots = slots[:0]
		for _, x := range ready {
			if p.conclude(x, g) {
				slots = append(slots, &x.out)
			}
		}
		p.wire.write(slots) // a reply that is lost is asked for again
		p.release(ready)
	}
}

// conclude makes the reply and remembers it. False: there is none.
func (p *port) conclude(x *exchange, g *signer) bool {
	c := &p.server.count
	known := x.key != replyKey{}
	if !x.seal(g) {
		c.silent.Add(1)
		if known {
			p.replies.forget(x.key)
		}
		return false
	}
	c.replies.Add(1)
	x.out.peer = x.in.peer
	if known && x.ending != sealed {
		p.replies.finish(x.key, x.out.data)
	}
	return true
}

// release makes the exchanges free to be used again.
func (p *port) release(list []*exchange) {
	p.mu.Lock()
	p.free = append(p.free, list...)
	p.mu.Unlock()
	select {
	case p.freed <- struct{}{}:
	default:
	}
}

// find is the gateway at an address; nil: unknown.
func (s *Server) find(a netip.Addr) *nas { return s.table.Load().find(a) }
