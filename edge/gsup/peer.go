package gsup

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"time"
)

const (
	protoCCM  = 0xfe
	protoOsmo = 0xee
	extGSUP   = 0x05

	maxBody    = 4096
	maxPushes  = 1024
	patience   = 10 * time.Second // for a call whose context has no deadline
	bodyOffset = 3                // length16, protocol
)

// Domain is a core network domain.
type Domain byte

// The two domains.
const (
	PS Domain = 1
	CS Domain = 2
)

// Cause is a GMM cause (3GPP TS 24.008, 10.5.5.14).
type Cause byte

// The causes of osmo-hlr that matter here.
const (
	CauseIMSIUnknown    Cause = 2
	CauseGPRSNotAllowed Cause = 7
	CauseNetworkFailure Cause = 17
)

// CauseError is a refusal by the register.
type CauseError struct {
	Procedure string // "UpdateLocation"
	IMSI      string
	Cause     Cause
}

func (e *CauseError) Error() string {
	return fmt.Sprintf("gsup: %s of %s refused with cause %d", e.Procedure, e.IMSI, e.Cause)
}

// Vector is an authentication vector (3GPP TS 33.102, 6.3.2) with its GSM part. It prints as its RAND only.
type Vector struct {
	RAND, XRES, AUTN, CK, IK []byte
	SRES, Kc                 []byte
}

// Format prints RAND for every verb of fmt; session keys never appear.
func (v Vector) Format(s fmt.State, _ rune) { fmt.Fprintf(s, "vector for RAND %x", v.RAND) }

// LogValue keeps the session keys out of logs.
func (v Vector) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(v)) }

// PushKind is what the register sent by itself.
type PushKind string

// The pushes.
const (
	InsertSubscriberData PushKind = "InsertSubscriberData"
	DeleteSubscriberData PushKind = "DeleteSubscriberData"
	LocationCancel       PushKind = "LocationCancel"
)

// Push is a message that the register sent by itself; the Peer has answered it.
type Push struct {
	Kind   PushKind
	IMSI   string
	MSISDN string // of InsertSubscriberData
	Domain Domain // 0: not named, as in every DeleteSubscriberData of osmo-hlr 1.5.0
}

// Peer is a serving node with one connection to the register.
type Peer struct {
	conn   net.Conn
	name   string
	pushes chan Push
	known  chan struct{} // closed when the register has accepted the identity
	gone   chan struct{} // closed when the reader has ended
	out    sync.Mutex

	mu      sync.Mutex
	waiting map[procedure]*exchange
	lost    error
}

// procedure tells exchanges apart: one of a kind for each IMSI at a time.
type procedure struct {
	kind msgType
	imsi string
}

type exchange struct {
	msisdn string // from an InsertSubscriberData on the way
	answer chan message
}

// Dial connects to addr ("host:4222") as the node with the given name and returns when the register has accepted it. Two nodes need
// two names.
func Dial(ctx context.Context, addr, name string) (*Peer, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("gsup: %w", err)
	}
	p := &Peer{
		conn:    conn,
		name:    name,
		pushes:  make(chan Push, maxPushes),
		known:   make(chan struct{}),
		gone:    make(chan struct{}),
		waiting: map[procedure]*exchange{},
	}
	go p.read()
	ctx, cancel := withPatience(ctx)
	defer cancel()
	select {
	case <-p.known:
		return p, nil
	case <-p.gone:
		return nil, fmt.Errorf("gsup: %w", p.lost)
	case <-ctx.Done():
		p.Close()
		return nil, fmt.Errorf("gsup: the register does not ask who we are: %w", ctx.Err())
	}
}

// Close ends the connection and waits for the reader.
func (p *Peer) Close() error {
	err := p.conn.Close()
	<-p.gone
	return err
}

// Pushes delivers what the register sends by itself; it is closed with the connection. A peer that leaves 1024 pushes unread is
// disconnected.
func (p *Peer) Pushes() <-chan Push { return p.pushes }

// Authenticate asks for authentication vectors (SendAuthInfo). A *CauseError says why there are none.
func (p *Peer) Authenticate(ctx context.Context, imsi string) ([]Vector, error) {
	m, _, err := p.call(ctx, "SendAuthInfo", sendAuthInfo, imsi, PS)
	if err != nil {
		return nil, err
	}
	list, err := m.vectors()
	if err != nil {
		return nil, fmt.Errorf("gsup: SendAuthInfo: %w", err)
	}
	return list, nil
}

// Attach registers the phone here (UpdateLocation) and returns the MSISDN that the register inserts, "" for none. A *CauseError says
// why it is refused.
func (p *Peer) Attach(ctx context.Context, imsi string, d Domain) (msisdn string, err error) {
	_, msisdn, err = p.call(ctx, "UpdateLocation", updateLocation, imsi, d)
	return msisdn, err
}

// Purge tells the register that this node has forgotten the phone (PurgeMS).
func (p *Peer) Purge(ctx context.Context, imsi string, d Domain) error {
	_, _, err := p.call(ctx, "PurgeMS", purgeMS, imsi, d)
	return err
}

// call sends a request and waits for its result or error.
func (p *Peer) call(ctx context.Context, name string, kind msgType, imsi string, d Domain) (message, string, error) {
	if imsi == "" || len(imsi) > 15 || strings.Trim(imsi, "0123456789") != "" {
		return message{}, "", fmt.Errorf("gsup: %s: an IMSI has up to 15 digits", name)
	}
	ctx, cancel := withPatience(ctx)
	defer cancel()
	x := &exchange{answer: make(chan message, 1)}
	key := procedure{kind, imsi}
	if err := p.begin(key, x); err != nil {
		return message{}, "", fmt.Errorf("gsup: %s of %s: %w", name, imsi, err)
	}
	defer p.end(key)
	deadline, _ := ctx.Deadline()
	request := message{kind, []element{{tagIMSI, encodeBCD(imsi)}, {tagDomain, []byte{byte(d)}}}}
	if err := p.send(deadline, protoOsmo, request.append([]byte{extGSUP})); err != nil {
		return message{}, "", fmt.Errorf("gsup: %s of %s: %w", name, imsi, err)
	}
	select {
	case m := <-x.answer:
		if !m.kind.isError() {
			return m, x.msisdn, nil
		}
		cause, _ := m.find(tagCause)
		if len(cause) != 1 {
			return message{}, "", fmt.Errorf("gsup: %s of %s refused without a cause", name, imsi)
		}
		return message{}, "", &CauseError{name, imsi, Cause(cause[0])}
	case <-p.gone:
		return message{}, "", fmt.Errorf("gsup: %s of %s: connection lost: %w", name, imsi, p.lost)
	case <-ctx.Done():
		return message{}, "", fmt.Errorf("gsup: %s of %s: %w", name, imsi, ctx.Err())
	}
}

func (p *Peer) begin(key procedure, x *exchange) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.waiting[key] != nil {
		return errors.New("the same procedure is under way")
	}
	p.waiting[key] = x
	return nil
}

func (p *Peer) end(key procedure) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.waiting, key)
}

func (p *Peer) send(deadline time.Time, proto byte, body []byte) error {
	frame := binary.BigEndian.AppendUint16(nil, uint16(len(body)))
	frame = append(append(frame, proto), body...)
	p.out.Lock()
	defer p.out.Unlock()
	p.conn.SetWriteDeadline(deadline)
	_, err := p.conn.Write(frame)
	if err != nil {
		p.conn.Close() // half a frame may be on the wire
	}
	return err
}

// read serves the register until the connection ends.
func (p *Peer) read() {
	r := bufio.NewReader(p.conn)
	var err error
	for err == nil {
		var proto byte
		var body []byte
		if proto, body, err = readFrame(r); err == nil {
			err = p.dispatch(proto, body)
		}
	}
	p.conn.Close()
	p.lost = err
	close(p.gone)
	close(p.pushes)
}

func readFrame(r io.Reader) (proto byte, body []byte, err error) {
	var head [bodyOffset]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	n := binary.BigEndian.Uint16(head[:])
	if n == 0 || n > maxBody {
		return 0, nil, fmt.Errorf("a frame of %d octets", n)
	}
	body = make([]byte, n)
	_, err = io.ReadFull(r, body)
	return head[2], body, err
}

func (p *Peer) dispatch(proto byte, body []byte) error {
	switch {
	case proto == protoCCM:
		return p.ccm(body)
	case proto == protoOsmo && body[0] == extGSUP:
		m, err := parseMessage(body[1:])
		if err != nil {
			return err
		}
		if m.kind.isRequest() {
			return p.pushed(m)
		}
		p.answered(m)
	}
	return nil
}

// Messages of the IPA connection management.
const (
	ccmPing    = 0x00
	ccmPong    = 0x01
	ccmIDGet   = 0x04
	ccmIDReply = 0x05
	ccmIDAck   = 0x06
)

// ccm answers pings and the question who we are; the register closes connections that do not.
func (p *Peer) ccm(body []byte) error {
	soon := time.Now().Add(patience)
	switch body[0] {
	case ccmPing:
		return p.send(soon, protoCCM, []byte{ccmPong})
	case ccmIDGet:
		if err := p.send(soon, protoCCM, p.identity()); err != nil {
			return err
		}
		if err := p.send(soon, protoCCM, []byte{ccmIDAck}); err != nil {
			return err
		}
	case ccmIDAck:
		select {
		case <-p.known:
		default:
			close(p.known)
		}
	}
	return nil
}

// identity lists unit id (8), unit name (1) and serial number (0); the register addresses us by the last.
func (p *Peer) identity() []byte {
	b := []byte{ccmIDReply}
	for _, f := range []struct {
		tag   byte
		value string
	}{{0x08, "0/0/0"}, {0x01, p.name}, {0x00, p.name}} {
		b = binary.BigEndian.AppendUint16(b, uint16(len(f.value)+2))
		b = append(b, f.tag)
		b = append(append(b, f.value...), 0)
	}
	return b
}

// answered hands a result or an error to the call that waits for it.
func (p *Peer) answered(m message) {
	p.mu.Lock()
	defer p.mu.Unlock()
	key := procedure{m.kind.request(), m.imsi()}
	if x := p.waiting[key]; x != nil {
		x.answer <- m
		delete(p.waiting, key)
	}
}

// pushed answers a request of the register. Data inserted during an Attach belongs to it; everything else is a Push.
func (p *Peer) pushed(m message) error {
	push := Push{IMSI: m.imsi()}
	if d, ok := m.find(tagDomain); ok && len(d) == 1 {
		push.Domain = Domain(d[0])
	}
	switch m.kind {
	case insertSubscriber:
		push.Kind = InsertSubscriberData
		msisdn, err := m.msisdn()
		if err != nil {
			return err
		}
		push.MSISDN = msisdn
	case deleteSubscriber:
		push.Kind = DeleteSubscriberData
	case locationCancel:
		push.Kind = LocationCancel
	default:
		return nil
	}
	result := message{m.kind.result(), []element{{tagIMSI, encodeBCD(push.IMSI)}}}
	if push.Domain != 0 {
		result.elements = append(result.elements, element{tagDomain, []byte{byte(push.Domain)}})
	}
	// Note the number before the result goes out: the register completes the attach as soon as it has it.
	if !p.duringAttach(push) {
		select {
		case p.pushes <- push:
		default:
			return fmt.Errorf("%d pushes are unread", maxPushes)
		}
	}
	return p.send(time.Now().Add(patience), protoOsmo, result.append([]byte{extGSUP}))
}

func (p *Peer) duringAttach(push Push) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	x := p.waiting[procedure{updateLocation, push.IMSI}]
	if x == nil || push.Kind != InsertSubscriberData {
		return false
	}
	x.msisdn = push.MSISDN
	return true
}

func withPatience(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, limited := ctx.Deadline(); limited {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, patience)
}
