package radius

import (
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"tandem/edge/credit"
	"tandem/kit/fault"
)

// ErrorCause is why a gateway refuses a CoA or Disconnect (RFC 5176 3.5); 0: it did not say.
type ErrorCause uint32

// The causes.
const (
	ResidualContextRemoved     ErrorCause = 201 // of an ACK: the session was gone, and what was left of it is now gone too
	InvalidEAPPacket           ErrorCause = 202
	UnsupportedAttribute       ErrorCause = 401
	MissingAttribute           ErrorCause = 402
	NASIdentificationMismatch  ErrorCause = 403
	InvalidRequest             ErrorCause = 404
	UnsupportedService         ErrorCause = 405
	UnsupportedExtension       ErrorCause = 406
	InvalidAttributeValue      ErrorCause = 407
	AdministrativelyProhibited ErrorCause = 501
	RequestNotRoutable         ErrorCause = 502
	SessionNotFound            ErrorCause = 503
	SessionNotRemovable        ErrorCause = 504
	OtherProxyError            ErrorCause = 505
	ResourcesUnavailable       ErrorCause = 506
	RequestInitiated           ErrorCause = 507
	MultipleSessionSelection   ErrorCause = 508
)

var causes = map[ErrorCause]string{
	0: "no cause given", ResidualContextRemoved: "residual session context removed", InvalidEAPPacket: "invalid EAP packet",
	UnsupportedAttribute: "unsupported attribute", MissingAttribute: "missing attribute", NASIdentificationMismatch: "not meant for this gateway",
	InvalidRequest: "invalid request", UnsupportedService: "unsupported service", UnsupportedExtension: "unsupported extension",
	InvalidAttributeValue: "invalid attribute value", AdministrativelyProhibited: "administratively prohibited",
	RequestNotRoutable: "request not routable", SessionNotFound: "session not found", SessionNotRemovable: "session not removable",
	OtherProxyError: "a proxy failed", ResourcesUnavailable: "resources unavailable", RequestInitiated: "request initiated",
	MultipleSessionSelection: "several sessions match",
}

func (c ErrorCause) String() string {
	if s, ok := causes[c]; ok {
		return s
	}
	return fmt.Sprintf("cause %d", uint32(c))
}

// Told is how a gateway answered what it was told.
type Told struct {
	Outcome credit.Outcome
	Cause   ErrorCause
}

// outcomeOf maps an answer. Only 503 says that there is no such session: everything else leaves it where it is.
func outcomeOf(code Code, cause ErrorCause) credit.Outcome {
	switch {
	case code == CoAACK || code == DisconnectACK:
		return credit.Accepted
	case cause == SessionNotFound:
		return credit.Gone
	}
	return credit.Refused
}

const mostWaiting = 1 << 16 // orders that wait for an identifier

// DynamicConfig is how a Dynamic speaks.
type DynamicConfig struct {
	Local string // address to send from, ":0" if it is empty
	// Change says what a session is told at a reauthorisation; nil: nothing, the reauthorisation is refused.
	Change func(peer, session []byte, groups []uint32) *Profile
	// Retry is how long an answer is awaited, the first time, after the first retransmission, and so on; nil means 1, 2, 4 and 8
	// seconds (RFC 5080 2.2.1).
	Retry []time.Duration
}

// Dynamic tells gateways to change and to end sessions (RFC 5176). It is the credit.Client of this face; the gateways and their secrets
// are those of the Server.
type Dynamic struct {
	config  DynamicConfig
	server  *Server
	conn    *net.UDPConn
	reading sync.WaitGroup

	mu      sync.Mutex
	signer  *signer
	targets map[netip.AddrPort]*target
	next    uint8 // identifier that the next target begins with: some gateways take a new request for a repeated one by its identifier alone
	waiting int
	closed  bool
}

// target is a gateway that something is being told: the identifiers under way, and what waits for one.
type target struct {
	open    [256]*order
	under   int
	next    uint8
	waiting []*order
}

// order is one request on its way.
type order struct {
	code   Code
	to     netip.AddrPort
	secret *Secret
	packet []byte
	tries  int
	timer  *time.Timer
	done   func(Told)
}

// NewDynamic opens the socket.
func NewDynamic(s *Server, c DynamicConfig) (*Dynamic, error) {
	if c.Local == "" {
		c.Local = ":0"
	}
	if c.Retry == nil {
		c.Retry = []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second}
	}
	conns, err := listen(c.Local, 1)
	if err != nil {
		return nil, fault.Away(err, "RADIUS cannot send CoA from %s", c.Local)
	}
	d := &Dynamic{config: c, server: s, conn: conns[0], signer: newSigner(), targets: map[netip.AddrPort]*target{}}
	d.reading.Go(d.read)
	return d, nil
}

// Close ends all that is under way with credit.NoAnswer.
func (d *Dynamic) Close() error {
	err := d.conn.Close()
	d.reading.Wait()
	d.mu.Lock()
	d.closed = true
	var left []*order
	for _, t := range d.targets {
		for _, o := range t.open {
			if o != nil {
				o.timer.Stop()
				left = append(left, o)
			}
		}
		left = append(left, t.waiting...)
	}
	d.targets = nil
	d.mu.Unlock()
	for _, o := range left {
		o.done(Told{Outcome: credit.NoAnswer})
	}
	return err
}

// Reauthorise implements credit.Client: a CoA-Request with what Change says.
func (d *Dynamic) Reauthorise(peer, session, back []byte, groups []uint32, done func(credit.Outcome)) {
	var p *Profile
	if d.config.Change != nil {
		p = d.config.Change(peer, session, groups)
	}
	if p == nil {
		done(credit.Refused)
		return
	}
	d.Change(session, back, p, func(t Told) { done(t.Outcome) })
}

// Abort implements credit.Client: a Disconnect-Request. The gateway is not told the cause: the request has no place for it.
func (d *Dynamic) Abort(_, session, back []byte, _ credit.Cause, done func(credit.Outcome)) {
	d.Disconnect(session, back, func(t Told) { done(t.Outcome) })
}

// Disconnect ends a session; back is the Return of its accounting requests.
func (d *Dynamic) Disconnect(session, back []byte, done func(Told)) {
	d.tell(DisconnectRequest, session, back, nil, done)
}

// Change gives a running session new limits. Its address and State are not for a CoA-Request to change (RFC 5176 3, 3.3).
func (d *Dynamic) Change(session, back []byte, p *Profile, done func(Told)) {
	changed := *p
	changed.Address, changed.State = netip.Addr{}, nil
	if changed.check() != nil {
		done(Told{Outcome: credit.Refused, Cause: InvalidRequest})
		return
	}
	d.tell(CoARequest, session, back, &changed, done)
}

func (d *Dynamic) tell(code Code, session, back []byte, p *Profile, done func(Told)) {
	to, names, _, ok := parseBack(back)
	if !ok || len(session) > maxValue {
		done(Told{Outcome: credit.NoAnswer})
		return
	}
	n := d.server.find(to)
	if n == nil {
		done(Told{Outcome: credit.NoAnswer})
		return
	}
	b := AppendHead(nil, code, 0)
	if !n.LegacyNoMessageAuthenticator {
		b = appendMAC(b)
	}
	b = append(b, names...)
	b = AppendBytes(b, AcctSessionID, session)
	b = AppendUint(b, EventTimestamp, uint32(time.Now().Unix())) // against replay (RFC 5176 3)
	if p != nil {
		b = p.append(b, n.Vendors)
	}
	o := &order{code: code, to: netip.AddrPortFrom(to.Unmap(), n.DynamicPort), secret: n.secret, packet: b, done: done}
	if !d.begin(o) {
		done(Told{Outcome: credit.NoAnswer})
	}
}

// begin sends the order, or lets it wait for an identifier: there are 256 for each gateway.
func (d *Dynamic) begin(o *order) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return false
	}
	t := d.targets[o.to]
	if t == nil {
		t = &target{next: d.next}
		d.targets[o.to] = t
	}
	if t.under < len(t.open) {
		sent := d.launch(t, o)
		if t.under == 0 {
			delete(d.targets, o.to)
		}
		return sent
	}
	if d.waiting >= mostWaiting {
		return false
	}
	d.waiting++
	t.waiting = append(t.waiting, o)
	return true
}

// launch gives the order a free identifier and sends it the first time. The identifiers go round, so that a late answer to an
// earlier order finds nobody.
func (d *Dynamic) launch(t *target, o *order) bool {
	for t.open[t.next] != nil {
		t.next++
	}
	o.packet[1] = t.next
	if !d.signer.sealRequest(o.packet, o.secret) {
		return false
	}
	t.open[t.next] = o
	t.next++
	d.next = t.next
	t.under++
	d.send(o)
	return true
}

// send transmits; a retransmission has the same bytes (RFC 5176 2.3).
func (d *Dynamic) send(o *order) {
	d.conn.WriteToUDPAddrPort(o.packet, o.to)
	wait := d.config.Retry[o.tries]
	o.tries++
	o.timer = time.AfterFunc(wait, func() { d.late(o) })
}

// late retransmits, or gives up.
func (d *Dynamic) late(o *order) {
	d.mu.Lock()
	t := d.targets[o.to]
	if t == nil || t.open[o.packet[1]] != o {
		d.mu.Unlock()
		return
	}
	if o.tries < len(d.config.Retry) {
		d.send(o)
		d.mu.Unlock()
		return
	}
	failed := d.end(t, o)
	d.mu.Unlock()
	o.done(Told{Outcome: credit.NoAnswer})
	failAll(failed)
}

// end frees the identifier for the next that waits. It returns orders that cannot be sent.
func (d *Dynamic) end(t *target, o *order) (failed []*order) {
	o.timer.Stop()
	t.open[o.packet[1]] = nil
	t.under--
	for len(t.waiting) > 0 && t.under < len(t.open) {
		next := t.waiting[0]
		t.waiting = t.waiting[1:]
		d.waiting--
		if !d.launch(t, next) {
			failed = append(failed, next)
		}
	}
	if t.under == 0 {
		delete(d.targets, o.to)
	}
	return failed
}

func failAll(list []*order) {
	for _, o := range list {
		o.done(Told{Outcome: credit.NoAnswer})
	}
}

func (d *Dynamic) read() {
	buf := make([]byte, MaxPacket)
	for {
		n, from, err := d.conn.ReadFromUDPAddrPort(buf)
		if err != nil {
			if !passing(err) {
				return
			}
			continue
		}
		if p, err := Parse(buf[:n]); err == nil {
			d.answered(netip.AddrPortFrom(from.Addr().Unmap(), from.Port()), p)
		}
	}
}

// answered ends the order that a reply belongs to. What is not made with the secret, or is no answer to what was asked, is dropped.
func (d *Dynamic) answered(from netip.AddrPort, p Packet) {
	d.mu.Lock()
	t := d.targets[from]
	if t == nil {
		d.mu.Unlock()
		return
	}
	o := t.open[p.ID()]
	if o == nil || p.Code() != o.code+1 && p.Code() != o.code+2 || !d.signer.provenReply(p, o.packet[4:headSize], o.secret) {
		d.mu.Unlock()
		return
	}
	failed := d.end(t, o)
	d.mu.Unlock()
	v, _ := p.Find(ErrorCauseType)
	cause, _ := number(v)
	o.done(Told{outcomeOf(p.Code(), ErrorCause(cause)), ErrorCause(cause)})
	failAll(failed)
}
