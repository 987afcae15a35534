package diameter

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"tandem/edge/credit"
)

// ClientConfig says who a client is and whom it asks.
type ClientConfig struct {
	Host, Realm     string
	Product         string
	ToHost, ToRealm string // Destination-Host may be empty: any host of the realm
	StateID         uint32
	Window          int           // requests under way at a time, up to 65535; 0: 256
	Patience        time.Duration // for an answer; 0: 10 s, the usual Tx of credit control (RFC 8506 13)
	Accounting      bool          // send ACR (Rf), not CCR
	TLS             *tls.Config

	// Reauthorise and Abort answer RAR and ASR; nil: the session is not known. They are called by the reader and must not wait for an
	// answer on the same connection.
	Reauthorise func(session []byte, groups []uint32) credit.Outcome
	Abort       func(session []byte) credit.Outcome
}

// Client is one connection to a charging server. It is itself a credit.Charger: what is charged here is charged there.
//
// An answer that does not come in time, or is lost with the connection, is told as Busy with a Reason; whether the server has charged
// is then unknown, and the same request may be sent again, with Retransmitted set, on this or another connection.
type Client struct {
	cfg  ClientConfig
	nc   net.Conn
	r    *bufio.Reader
	head []byte // Origin-Host, Origin-Realm, Destination-Realm, Destination-Host
	id   identity
	wake chan struct{}
	gone chan struct{}
	once sync.Once
	wg   sync.WaitGroup

	scratch reading // of the reader

	mu      sync.Mutex
	room    sync.Cond // a slot is free, or the connection has ended
	out     []byte
	spare   []byte
	slots   []slot
	free    []uint16
	rounds  uint32 // makes ids of a slot differ from time to time
	end     uint32
	ended   error
	leaving bool
	drained chan struct{} // closed when nothing is under way any more after Close
}

// slot is a request under way; its number is the low half of the Hop-by-Hop-Id.
type slot struct {
	call *credit.Call
	raw  chan<- []byte
	hop  uint32
	sent int64 // Unix nanoseconds
}

// Dial connects and exchanges capabilities.
func Dial(ctx context.Context, addr string, cfg ClientConfig) (*Client, error) {
	nc, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("diameter: %w", err)
	}
	if cfg.TLS != nil {
		nc = tls.Client(nc, cfg.TLS)
	}
	c, err := newClient(ctx, nc, cfg)
	if err != nil {
		nc.Close()
		return nil, fmt.Errorf("diameter: %s: %w", addr, err)
	}
	return c, nil
}

func newClient(ctx context.Context, nc net.Conn, cfg ClientConfig) (*Client, error) {
	cfg.Window = min(orElse(cfg.Window, 256), 65535)
	cfg.Patience = orElse(cfg.Patience, 10*time.Second)
	cfg.Product = orElse(cfg.Product, "Tandem")
	id := newIdentity(cfg.Host, cfg.Realm, cfg.StateID)
	head := appendBytes(append([]byte(nil), id.origin...), destinationRealm, cfg.ToRealm)
	if cfg.ToHost != "" {
		head = appendBytes(head, destinationHost, cfg.ToHost)
	}
	c := &Client{
		cfg:     cfg,
		nc:      nc,
		r:       bufio.NewReaderSize(nc, 64<<10),
		head:    head,
		id:      id,
		wake:    make(chan struct{}, 1),
		gone:    make(chan struct{}),
		drained: make(chan struct{}),
		slots:   make([]slot, cfg.Window),
		end:     uint32(time.Now().Unix())<<20 | uint32(time.Now().Nanosecond())&0xfffff,
	}
	c.room.L = &c.mu
	for i := range c.slots {
		c.free = append(c.free, uint16(i))
	}
	if err := c.handshake(ctx); err != nil {
		return nil, err
	}
	c.wg.Go(c.read)
	c.wg.Go(c.write)
	c.wg.Go(c.watch)
	return c, nil
}

// RefusedError is a CEA that says no.
type RefusedError struct{ Code uint32 }

func (e *RefusedError) Error() string { return fmt.Sprintf("the peer refuses us with %d", e.Code) }

func (c *Client) handshake(ctx context.Context) error {
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = time.Now().Add(c.cfg.Patience)
	}
	c.nc.SetDeadline(deadline)
	b, at := beginMessage(nil, flagRequest, cmdCapabilities, appBase, 1, c.end)
	b = append(b, c.id.origin...)
	b = appendOurAddress(b, c.nc.LocalAddr().String())
	b = appendAbilities(b, c.cfg.Product)
	b = append(b, c.id.state...)
	if _, err := c.nc.Write(endMessage(b, at)); err != nil {
		return err
	}
	h, body, err := c.message(nil)
	if err != nil {
		return err
	}
	if h.code != cmdCapabilities || h.flags&flagRequest != 0 {
		return errors.New("the first message of the peer is no CEA")
	}
	if code := find(body, resultCode); code != resultSuccess {
		return &RefusedError{code}
	}
	return c.nc.SetDeadline(time.Time{})
}

// message reads one message into buf.
func (c *Client) message(buf []byte) (header, []byte, error) {
	head, err := c.r.Peek(headerSize)
	if err != nil {
		return header{}, buf, err
	}
	h, ok := parseHeader(head)
	if !ok || h.length < headerSize || h.length&3 != 0 {
		return h, buf, errors.New("a message cannot be framed")
	}
	c.r.Discard(headerSize)
	n := h.length - headerSize
	if cap(buf) < n {
		buf = make([]byte, n)
	}
	buf = buf[:n]
	_, err = io.ReadFull(c.r, buf)
	return h, buf, err
}

// Charge sends a request and returns; call.Done is called by the reader with the answer. It waits only while the window is full.
func (c *Client) Charge(call *credit.Call) {
	err := c.submit(slot{call: call}, func(b []byte, hop, end uint32) []byte {
		return appendRequest(b, c.head, &call.Request, c.cfg.Accounting, hop, end)
	})
	if err != nil {
		fail(call, err)
	}
}

func fail(call *credit.Call, err error) {
	call.Answer.Reset()
	call.Answer.Result, call.Answer.Reason = credit.Busy, err.Error()
	call.Done(call)
}

// submit puts a request into a slot and into the buffer of the writer.
func (c *Client) submit(s slot, encode func(b []byte, hop, end uint32) []byte) error {
	s.sent = time.Now().UnixNano()
	c.mu.Lock()
	for len(c.free) == 0 && c.ended == nil && !c.leaving {
		c.room.Wait()
	}
	if c.ended != nil || c.leaving {
		err := c.ended
		c.mu.Unlock()
		return orClosed(err)
	}
	i := c.free[len(c.free)-1]
	c.free = c.free[:len(c.free)-1]
	c.rounds++
	c.end++
	s.hop = c.rounds<<16 | uint32(i)
	c.slots[i] = s
	c.out = encode(c.out, s.hop, c.end)
	c.mu.Unlock()
	c.notify()
	return nil
}

func orClosed(err error) error {
	if err == nil {
		return errors.New("the connection is closed")
	}
	return err
}

// Exchange sends a message as it is, except for the Hop-by-Hop-Id, and returns the answer as it is.
func (c *Client) Exchange(ctx context.Context, message []byte) ([]byte, error) {
	if len(message) < headerSize {
		return nil, errors.New("diameter: the message has no header")
	}
	answer := make(chan []byte, 1)
	err := c.submit(slot{raw: answer}, func(b []byte, hop, _ uint32) []byte {
		b = append(b, message...)
		binary.BigEndian.PutUint32(b[len(b)-len(message)+12:], hop)
		return b
	})
	if err != nil {
		return nil, fmt.Errorf("diameter: %w", err)
	}
	select {
	case b := <-answer:
		if b == nil {
			return nil, errors.New("diameter: no answer")
		}
		return b, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (c *Client) notify() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

func (c *Client) write() {
	for {
		select {
		case <-c.wake:
		case <-c.gone:
			return
		}
		for {
			c.mu.Lock()
			b := c.out
			c.out, c.spare = c.spare[:0], b
			c.mu.Unlock()
			if len(b) == 0 {
				break
			}
			c.nc.SetWriteDeadline(time.Now().Add(c.cfg.Patience))
			if _, err := c.nc.Write(b); err != nil {
				c.nc.Close()
				return
			}
		}
	}
}

func (c *Client) read() {
	var buf []byte
	var h header
	var err error
	for err == nil {
		if h, buf, err = c.message(buf); err == nil {
			err = c.dispatch(h, buf)
		}
	}
	c.nc.Close()
	close(c.gone)
	c.mu.Lock()
	c.ended = fmt.Errorf("the connection is lost: %w", err)
	lost := c.overdue(time.Now().UnixNano() + int64(c.cfg.Patience) + 1)
	c.mu.Unlock()
	c.room.Broadcast()
	c.tellLost(lost, c.ended)
}

func (c *Client) dispatch(h header, body []byte) error {
	if h.flags&flagRequest == 0 {
		if h.code == cmdDisconnect {
			return io.EOF
		}
		c.answered(h, body)
		return nil
	}
	switch h.code {
	case cmdReAuth, cmdAbort:
		c.asked(&h, body)
	case cmdWatchdog, cmdDisconnect:
		c.send(func(b []byte) []byte { return c.id.appendBase(b, &h, resultSuccess) })
	default:
		c.send(func(b []byte) []byte { return c.id.appendBase(b, &h, resultCommand) })
	}
	return nil
}

func (c *Client) send(encode func([]byte) []byte) {
	c.mu.Lock()
	c.out = encode(c.out)
	c.mu.Unlock()
	c.notify()
}

// answered gives an answer to the one who waits; one that comes too late is dropped.
func (c *Client) answered(h header, body []byte) {
	i := int(h.hop & 0xffff)
	c.mu.Lock()
	if i >= len(c.slots) || c.slots[i].hop != h.hop || c.slots[i].call == nil && c.slots[i].raw == nil {
		c.mu.Unlock()
		return
	}
	s := c.release(i)
	c.mu.Unlock()
	c.room.Signal()
	if s.raw != nil {
		b, at := beginMessage(nil, h.flags, h.code, h.app, h.hop, h.end)
		s.raw <- endMessage(append(b, body...), at)
		return
	}
	s.call.Answer.Reset()
	if f := readAnswer(body, &s.call.Answer, &c.scratch); f != nil {
		fail(s.call, f)
		return
	}
	s.call.Done(s.call)
}

// release empties a slot; the caller holds c.mu.
func (c *Client) release(i int) slot {
	s := c.slots[i]
	c.slots[i] = slot{}
	c.free = append(c.free, uint16(i))
	if c.leaving && len(c.free) == len(c.slots) {
		close(c.drained)
	}
	return s
}

// asked answers RAR and ASR.
func (c *Client) asked(h *header, body []byte) {
	var session []byte
	var groups []uint32
	left := MaxAVPs
	cur := cursor{body, &left}
	for {
		a, more, err := cur.next()
		if err != nil || !more {
			break
		}
		switch a.key {
		case sessionID:
			session = a.data
		case ratingGroup:
			v, _ := a.u32()
			groups = append(groups, v)
		}
	}
	o := credit.Gone
	switch {
	case h.code == cmdReAuth && c.cfg.Reauthorise != nil:
		o = c.cfg.Reauthorise(session, groups)
	case h.code == cmdAbort && c.cfg.Abort != nil:
		o = c.cfg.Abort(session)
	}
	code := [...]uint32{credit.Accepted: resultSuccess, credit.Gone: resultUnknownSession, credit.Refused: resultUnable,
		credit.NoAnswer: resultUndeliverable}[o]
	if code == resultSuccess && h.code == cmdReAuth {
		code = resultLimitedSuccess // a CCR will follow
	}
	c.send(func(b []byte) []byte {
		b, at := beginMessage(b, errorFlag(code)|h.flags&flagProxiable, h.code, h.app, h.hop, h.end)
		b = appendBytes(b, sessionID, session)
		b = appendU32(b, resultCode, code)
		return endMessage(append(b, c.id.origin...), at)
	})
}

// watch gives up on requests that are not answered in time.
func (c *Client) watch() {
	tick := time.NewTicker(max(c.cfg.Patience/8, time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case <-c.gone:
			return
		case now := <-tick.C:
			c.mu.Lock()
			lost := c.overdue(now.UnixNano())
			c.mu.Unlock()
			if len(lost) > 0 {
				c.room.Broadcast()
				c.tellLost(lost, errors.New("no answer in time"))
			}
		}
	}
}

// overdue takes out what was sent too long ago; the caller holds c.mu.
func (c *Client) overdue(now int64) []slot {
	var lost []slot
	for i := range c.slots {
		s := &c.slots[i]
		if (s.call != nil || s.raw != nil) && now-s.sent > int64(c.cfg.Patience) {
			lost = append(lost, c.release(i))
		}
	}
	return lost
}

func (c *Client) tellLost(lost []slot, err error) {
	for _, s := range lost {
		if s.raw != nil {
			s.raw <- nil
		} else {
			fail(s.call, err)
		}
	}
}

// Gone is closed when the connection has ended.
func (c *Client) Gone() <-chan struct{} { return c.gone }

// Close waits for the answers under way, says good-bye (DPR) and waits for the peer to agree, all as long as ctx permits.
func (c *Client) Close(ctx context.Context) error {
	c.once.Do(func() {
		c.mu.Lock()
		c.leaving = true
		if len(c.free) == len(c.slots) {
			close(c.drained)
		}
		c.mu.Unlock()
		c.room.Broadcast()
	})
	err := c.farewell(ctx)
	c.nc.Close()
	c.wg.Wait()
	return err
}

func (c *Client) farewell(ctx context.Context) error {
	select {
	case <-c.drained:
	case <-c.gone:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
	c.send(func(b []byte) []byte {
		b, at := beginMessage(b, flagRequest, cmdDisconnect, appBase, 0, 0)
		b = append(b, c.id.origin...)
		return endMessage(appendU32(b, disconnectCause, 2), at) // DO_NOT_WANT_TO_TALK_TO_YOU
	})
	select {
	case <-c.gone:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
