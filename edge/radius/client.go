package radius

import (
	"context"
	"crypto/rand"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// ErrNoAnswer says that a server did not answer, however often it was asked.
var ErrNoAnswer = errors.New("radius: no answer")

// ErrTooLong says that the attributes do not fit a packet.
var ErrTooLong = errors.New("radius: the packet is longer than 4096 octets")

// ClientConfig is how a Client asks.
type ClientConfig struct {
	Secret Key
	Ports  int           // source ports; each has 256 requests under way at most. 0 means 1
	Wait   time.Duration // until a request is sent again; 0 means 3 s
	Tries  int           // 0 means 3
	Sign   bool          // put a Message-Authenticator into accounting requests too; into the others it always goes
}

// Client is the gateway's side of authentication and accounting: for load and for the laboratory network. Many requests are under
// way at once.
type Client struct {
	config ClientConfig
	secret *Secret
	ports  []*source
	turn   atomic.Uint32
	places chan struct{} // as many as there are identifiers
	quit   chan struct{}
	once   sync.Once
	work   sync.WaitGroup
}

// source is one source port.
type source struct {
	client *Client
	conn   *net.UDPConn
	wire   wire
	wake   chan struct{}

	mu     sync.Mutex
	signer *signer
	asks   [256]ask
	free   []uint8
	queue  []uint8
	closed bool
}

// ask is one identifier of a source.
type ask struct {
	packet datagram
	done   func(Packet, error)
	sent   time.Time
	tries  int
	open   bool
}

// Dial prepares to ask one server ("192.0.2.1:1813").
func Dial(server string, c ClientConfig) (*Client, error) {
	c.Ports, c.Tries = max(c.Ports, 1), max(c.Tries, 0)
	if c.Tries == 0 {
		c.Tries = 3
	}
	if c.Wait == 0 {
		c.Wait = 3 * time.Second
	}
	k := &Client{config: c, secret: NewSecret(c.Secret), quit: make(chan struct{}), places: make(chan struct{}, 256*c.Ports)}
	for range c.Ports {
		s, err := k.source(server)
		if err != nil {
			k.Close()
			return nil, err
		}
		k.ports = append(k.ports, s)
		k.work.Go(s.read)
		k.work.Go(s.write)
	}
	k.work.Go(k.watch)
	return k, nil
}

func (k *Client) source(server string) (*source, error) {
	conn, err := net.Dial("udp", server)
	if err != nil {
		return nil, err
	}
	udp := conn.(*net.UDPConn)
	udp.SetReadBuffer(socketBuffer)
	w, err := newWire(udp, true)
	if err != nil {
		udp.Close()
		return nil, err
	}
	s := &source{client: k, conn: udp, wire: w, wake: make(chan struct{}, 1), signer: newSigner()}
	for id := 255; id >= 0; id-- {
		s.free = append(s.free, uint8(id))
	}
	return s, nil
}

// Close ends all that is under way with net.ErrClosed.
func (k *Client) Close() error {
	var errs []error
	k.once.Do(func() { close(k.quit) })
	for _, s := range k.ports {
		errs = append(errs, s.conn.Close())
	}
	k.work.Wait()
	for _, s := range k.ports {
		s.fail()
	}
	return errors.Join(errs...)
}

// Secret is what passwords are hidden with.
func (k *Client) Secret() *Secret { return k.secret }

// Send asks. fill appends the attributes to a packet that has its random authenticator already, for HidePassword, if its kind has one.
// done is called once, from another goroutine, with the reply, which is valid until done returns. Send waits while no identifier of any
// port is free: done may call it only where fewer requests than 256 a port are ever under way.
func (k *Client) Send(code Code, fill func(b []byte) []byte, done func(Packet, error)) error {
	select {
	case k.places <- struct{}{}:
	case <-k.quit:
		return net.ErrClosed
	}
	s := k.roomy()
	defer s.mu.Unlock()
	id := s.free[len(s.free)-1]
	a := &s.asks[id]
	if err := s.build(&a.packet, code, id, fill); err != nil {
		<-k.places
		return err
	}
	s.free = s.free[:len(s.free)-1]
	a.done, a.open, a.tries = done, true, 0
	if s.closed {
		s.end(id)
		return net.ErrClosed
	}
	s.enqueue(id)
	return nil
}

// roomy is the next port with a free identifier, locked. There is one: who looks has
// a place.
func (k *Client) roomy() *source {
	for turn := k.turn.Add(1); ; turn++ {
		s := k.ports[int(turn%uint32(len(k.ports)))]
		s.mu.Lock()
		if len(s.free) > 0 {
			return s
		}
		s.mu.Unlock()
	}
}

func (s *source) build(d *datagram, code Code, id uint8, fill func([]byte) []byte) error {
	b := AppendHead(d.data[:0], code, id)
	checksum := code != AccessRequest && code != StatusServer
	if !checksum {
		rand.Read(b[4:headSize])
	}
	if !checksum || s.client.config.Sign {
		b = appendMAC(b)
	}
	d.data = fill(b)
	sealed := false
	if checksum {
		sealed = s.signer.sealRequest(d.data, s.client.secret)
	} else {
		sealed = s.signer.sealAccess(d.data, s.client.secret)
	}
	if !sealed {
		return ErrTooLong
	}
	return nil
}

func (s *source) enqueue(id uint8) {
	s.queue = append(s.queue, id)
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// write sends what is queued. It keeps the lock meanwhile: a packet must not be built anew while it is being sent.
func (s *source) write() {
	var slots []*datagram
	for {
		select {
		case <-s.wake:
		case <-s.client.quit:
			return
		}
		s.mu.Lock()
		slots = slots[:0]
		now := time.Now()
		for _, id := range s.queue {
			if a := &s.asks[id]; a.open {
				a.tries++
				a.sent = now
				slots = append(slots, &a.packet)
			}
		}
		s.queue = s.queue[:0]
		s.wire.write(slots)
		s.mu.Unlock()
	}
}

func (s *source) read() {
	slots := make([]*datagram, batchSize)
	for i := range slots {
		slots[i] = &datagram{data: make([]byte, 0, MaxPacket)}
	}
	for {
		n, err := s.wire.read(slots)
		if err != nil {
			return
		}
		for _, d := range slots[:n] {
			if p, err := Parse(d.data); err == nil {
				s.answered(p)
			}
		}
	}
}

func (s *source) answered(p Packet) {
	s.mu.Lock()
	a := &s.asks[p.ID()]
	if !a.open || !s.signer.provenReply(p, a.packet.data[4:headSize], s.client.secret) {
		s.mu.Unlock()
		return
	}
	done := s.end(p.ID())
	s.mu.Unlock()
	done(p, nil)
}

// end frees an identifier.
func (s *source) end(id uint8) (done func(Packet, error)) {
	a := &s.asks[id]
	done, a.done, a.open = a.done, nil, false
	s.free = append(s.free, id)
	<-s.client.places
	return done
}

// watch sends again what was not answered.
func (k *Client) watch() {
	tick := time.NewTicker(k.config.Wait / 4)
	defer tick.Stop()
	for {
		select {
		case now := <-tick.C:
			for _, s := range k.ports {
				s.late(now)
			}
		case <-k.quit:
			return
		}
	}
}

func (s *source) late(now time.Time) {
	var lost []func(Packet, error)
	s.mu.Lock()
	for i := range s.asks {
		a := &s.asks[i]
		if !a.open || a.tries == 0 || now.Sub(a.sent) < s.client.config.Wait {
			continue
		}
		if a.tries >= s.client.config.Tries {
			lost = append(lost, s.end(uint8(i)))
			continue
		}
		s.enqueue(uint8(i))
	}
	s.mu.Unlock()
	for _, done := range lost {
		done(nil, ErrNoAnswer)
	}
}

func (s *source) fail() {
	var lost []func(Packet, error)
	s.mu.Lock()
	s.closed = true
	for i := range s.asks {
		if s.asks[i].open {
			lost = append(lost, s.end(uint8(i)))
		}
	}
	s.mu.Unlock()
	for _, done := range lost {
		done(nil, net.ErrClosed)
	}
}

// Ask sends one request and waits for its reply.
func (k *Client) Ask(ctx context.Context, code Code, fill func(b []byte) []byte) (Packet, error) {
	type answer struct {
		p   Packet
		err error
	}
	got := make(chan answer, 1)
	err := k.Send(code, fill, func(p Packet, err error) { got <- answer{append(Packet(nil), p...), err} })
	if err != nil {
		return nil, err
	}
	select {
	case a := <-got:
		return a.p, a.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Phase is where in a session a gateway reports; the values are those of Acct-Status-Type (RFC 2866 5.1).
type Phase uint32

// The phases.
const (
	Start   Phase = statusStart
	Stop    Phase = statusStop
	Interim Phase = statusInterim
	NASUp   Phase = statusAccountingOn
	NASDown Phase = statusAccountingOff
)

// Record is what a gateway reports of a session: totals since it began.
type Record struct {
	Phase         Phase
	NAS           string // NAS-Identifier
	User, Session string
	Seconds       uint32
	Input, Output uint64 // octets from and to the user
	At            int64  // Unix seconds; 0: no Event-Timestamp
	Delay         uint32 // seconds since it happened
	Cause         uint32 // Acct-Terminate-Cause
	Class         []byte
}

// Append writes the attributes of the record.
func (r *Record) Append(b []byte) []byte {
	b = AppendUint(b, AcctStatusType, uint32(r.Phase))
	b = appendIf(b, NASIdentifier, r.NAS)
	b = appendIf(b, UserName, r.User)
	b = appendIf(b, AcctSessionID, r.Session)
	b = appendIf(b, Class, r.Class)
	if r.At != 0 {
		b = AppendUint(b, EventTimestamp, uint32(r.At))
	}
	if r.Delay != 0 {
		b = AppendUint(b, AcctDelayTime, r.Delay)
	}
	if r.Phase != Interim && r.Phase != Stop {
		return b
	}
	b = AppendUint(b, AcctSessionTime, r.Seconds)
	b = AppendUint(b, AcctInputOctets, uint32(r.Input))
	b = AppendUint(b, AcctOutputOctets, uint32(r.Output))
	b = AppendUint(b, AcctInputGigawords, uint32(r.Input>>32))
	b = AppendUint(b, AcctOutputGigawords, uint32(r.Output>>32))
	if r.Cause != 0 {
		b = AppendUint(b, AcctTerminateCause, r.Cause)
	}
	return b
}
