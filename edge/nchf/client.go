package nchf

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"tandem/edge/credit"
)

// ClientConfig says who a client is and how it asks.
type ClientConfig struct {
	Consumer string        // nFName, the id of the NF instance
	Function string        // nodeFunctionality; empty: SMF
	Notify   string        // notifyUri of new sessions; empty: none
	Prefix   string        // path of the apiRoot
	Token    string        // access token; empty: none
	Window   int           // requests under way at a time; 0: 256, and never more than the server admits
	Patience time.Duration // for an answer; 0: 10 s
	TLS      *tls.Config   // nil: h2c with prior knowledge
}

// Client is one connection to a charging server. It is itself a credit.Charger: what is charged here is charged there. Sessions go by
// the names that the caller gives them in Request.Session; the client remembers the reference that the server made for each. The
// reference is told in Answer.Session, and may be used instead.
//
// An answer that does not come in time, or is lost with the connection, is told as Busy with a Reason; whether the server has charged
// is then unknown, and the same request may be sent again, with Retransmitted set, on this or another connection.
type Client struct {
	cfg    ClientConfig
	nc     net.Conn
	r      *bufio.Reader
	who    consumer
	head   []byte // header fields that are the same in every request: the pseudo-headers, which come first
	tail   []byte // and the others
	wake   chan struct{}
	gone   chan struct{}
	once   sync.Once
	wg     sync.WaitGroup
	prefix string

	// Of the reader.
	d        decompressor
	field    func(name, value []byte)
	status   int
	location []byte
	block    []byte
	opening  frame
	received int64
	scan     scanner

	mu      sync.Mutex
	room    sync.Cond // a stream or a window is free, or the connection has ended
	out     []byte
	spare   []byte
	body    []byte
	peer    settings
	window  int64
	streams map[uint32]*asking
	free    []*asking
	next    uint32
	refs    map[string]string // references by the names of the caller
	ended   error
	leaving bool
	drained chan struct{} // closed when nothing is under way any more after Close
}

// asking is a request under way.
type asking struct {
	call     *credit.Call
	name     string // of a new session
	sent     int64  // Unix nanoseconds
	status   int
	location []byte
	body     []byte
}

// Dial connects and exchanges settings.
func Dial(ctx context.Context, addr string, cfg ClientConfig) (*Client, error) {
	nc, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("nchf: %w", err)
	}
	if cfg.TLS != nil {
		t := cfg.TLS.Clone()
		t.NextProtos = []string{"h2"}
		if t.ServerName == "" {
			t.ServerName, _, _ = net.SplitHostPort(addr)
		}
		nc = tls.Client(nc, t)
	}
	c := newClient(nc, addr, cfg)
	if err := c.handshake(ctx); err != nil {
		nc.Close()
		return nil, fmt.Errorf("nchf: %s: %w", addr, err)
	}
	c.wg.Go(c.read)
	c.wg.Go(c.write)
	c.wg.Go(c.watch)
	return c, nil
}

func newClient(nc net.Conn, addr string, cfg ClientConfig) *Client {
	cfg.Window = orElse(cfg.Window, 256)
	cfg.Patience = orElse(cfg.Patience, 10*time.Second)
	c := &Client{
		cfg:     cfg,
		nc:      nc,
		r:       bufio.NewReaderSize(nc, 64<<10),
		who:     newConsumer(cfg.Consumer, orElse(cfg.Function, "SMF"), cfg.Notify),
		wake:    make(chan struct{}, 1),
		gone:    make(chan struct{}),
		drained: make(chan struct{}),
		prefix:  strings.TrimSuffix(cfg.Prefix, "/") + chargingPath + "v3/chargingdata",
		peer:    standardSettings(),
		window:  oldWindow,
		streams: map[uint32]*asking{},
		next:    1,
		refs:    map[string]string{},
	}
	c.room.L = &c.mu
	c.d.max = tableSize
	c.field = c.header
	c.head = append(c.head, 0x80|headerPOST, 0x80|headerHTTP)
	if cfg.TLS != nil {
		c.head[1] = 0x80 | headerHTTPS
	}
	c.head = appendField(c.head, headerAuthority, addr)
	c.tail = appendField(c.tail, headerType, "application/json")
	if token := bearer(cfg.Token); token != "" {
		c.tail = appendField(c.tail, headerAuthorization, token)
	}
	return c
}

// clientWindow is what the server may send before we take it.
const clientWindow = 1 << 20

// handshake says the preface and our settings, and waits for the server's.
func (c *Client) handshake(ctx context.Context) error {
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = time.Now().Add(c.cfg.Patience)
	}
	c.nc.SetDeadline(deadline)
	b := append([]byte(nil), preface...)
	at := len(b)
	b = appendHead(b, 0, frameSettings, 0, 0)
	b = appendSetting(b, settingPush, 0)
	b = appendSetting(b, settingWindow, clientWindow)
	b = setLength(b, at)
	if _, err := c.nc.Write(appendWindow(b, 0, clientWindow-oldWindow)); err != nil {
		return err
	}
	f, err := c.frame()
	if err != nil {
		return err
	}
	if f.kind != frameSettings || f.flags&flagAck != 0 {
		return errors.New("the server does not speak HTTP/2")
	}
	if err := c.handle(&f); err != nil {
		return err
	}
	c.r.Discard(len(f.body))
	return c.nc.SetDeadline(time.Time{})
}

// frame reads a frame; its body is discarded after it was handled.
func (c *Client) frame() (frame, error) {
	head, err := c.r.Peek(headSize)
	if err != nil {
		return frame{}, err
	}
	n := int(head[0])<<16 | int(head[1])<<8 | int(head[2])
	f := frame{kind: head[3], flags: head[4], stream: binary.BigEndian.Uint32(head[5:]) & maxWindow}
	if n > frameSize {
		return f, errors.New("a frame is too long")
	}
	c.r.Discard(headSize)
	f.body, err = c.r.Peek(n)
	return f, err
}

// Charge sends a request and returns; call.Done is called by the reader with the answer. It waits only while the window is full.
func (c *Client) Charge(call *credit.Call) {
	if err := c.submit(call); err != nil {
		fail(call, err)
	}
}

func fail(call *credit.Call, err error) {
	call.Answer.Reset()
	call.Answer.Result, call.Answer.Reason = credit.Busy, err.Error()
	call.Done(call)
}

// submit opens a stream for a request and puts it into the buffer of the writer.
func (c *Client) submit(call *credit.Call) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.ready(&call.Request); err != nil {
		return err
	}
	a := c.asking(call)
	if call.Request.Kind == credit.Initial {
		a.name = string(call.Request.Session)
	}
	id := c.next
	c.next += 2
	c.streams[id] = a
	c.window -= int64(len(c.body))
	c.out = c.appendStream(c.out, id, &call.Request)
	c.notify()
	return nil
}

// ready encodes the body and waits until there is a stream and a window for it; the caller holds c.mu.
func (c *Client) ready(q *credit.Request) error {
	for {
		switch {
		case c.ended != nil || c.leaving || c.next > maxWindow:
			return orClosed(c.ended)
		case len(c.streams) >= min(c.cfg.Window, int(c.peer.streams)):
			c.room.Wait()
			continue
		}
		c.body = appendRequest(c.body[:0], &c.who, q)
		n := int64(len(c.body))
		switch {
		case n > c.peer.window || n > oldWindow:
			return errors.New("the request is larger than the server takes")
		case n <= c.window:
			return nil
		}
		c.room.Wait()
	}
}

// appendStream encodes the frames of a request whose body is in c.body; the caller holds c.mu.
func (c *Client) appendStream(b []byte, id uint32, q *credit.Request) []byte {
	at := len(b)
	b = appendHead(b, 0, frameHeaders, flagEndHeaders, id)
	b = append(b, c.head...)
	b = append(c.appendPath(b, q), c.tail...)
	var digits [20]byte
	b = appendField(b, headerLength, strconv.AppendInt(digits[:0], int64(len(c.body)), 10))
	b = setLength(b, at)
	for rest := c.body; len(rest) > 0; {
		n, flags := min(len(rest), frameSize), byte(0)
		if n == len(rest) {
			flags = flagEndStream
		}
		b = append(appendHead(b, n, frameData, flags, id), rest[:n]...)
		rest = rest[n:]
	}
	return b
}

// asking takes a slot; the caller holds c.mu.
func (c *Client) asking(call *credit.Call) *asking {
	a := new(asking)
	if n := len(c.free); n > 0 {
		a, c.free = c.free[n-1], c.free[:n-1]
	}
	*a = asking{call: call, sent: time.Now().UnixNano(), location: a.location[:0], body: a.body[:0]}
	return a
}

// appendPath encodes :path; the caller holds c.mu.
func (c *Client) appendPath(b []byte, q *credit.Request) []byte {
	var text [256]byte
	path := append(text[:0], c.prefix...)
	if q.Kind == credit.Update || q.Kind == credit.Terminate {
		path = append(path, '/')
		if ref, ok := c.refs[string(q.Session)]; ok {
			path = append(path, ref...)
		} else {
			path = append(path, q.Session...)
		}
		if q.Kind == credit.Update {
			path = append(path, "/update"...)
		} else {
			path = append(path, "/release"...)
		}
	}
	return appendField(b, headerPath, path)
}

func orClosed(err error) error {
	if err == nil {
		return errors.New("the connection is closed")
	}
	return err
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
				c.nc.Close() // the reader ends it
				return
			}
		}
	}
}

// read serves the connection until it ends; what is under way then is lost.
func (c *Client) read() {
	var err error
	for err == nil {
		var f frame
		if f, err = c.frame(); err == nil {
			err = c.handle(&f)
			c.r.Discard(len(f.body))
		}
	}
	c.nc.Close()
	c.mu.Lock()
	c.ended = fmt.Errorf("the connection has ended: %w", err)
	lost := make([]*asking, 0, len(c.streams))
	for id, a := range c.streams {
		lost = append(lost, a)
		delete(c.streams, id)
	}
	c.mu.Unlock()
	close(c.gone)
	c.room.Broadcast()
	for _, a := range lost {
		fail(a.call, c.ended)
	}
}

func (c *Client) handle(f *frame) error {
	switch f.kind {
	case frameHeaders:
		whole := f.body
		if err := f.unpad(); err != nil {
			return err
		}
		c.opening = frame{flags: f.flags, stream: f.stream}
		block := f.body
		f.body = whole
		if f.flags&flagEndHeaders == 0 {
			c.block = append(c.block[:0], block...)
			return nil
		}
		return c.answered(block)
	case frameContinuation:
		if c.block = append(c.block, f.body...); len(c.block) > maxText {
			return errTooLarge
		}
		if f.flags&flagEndHeaders == 0 {
			return nil
		}
		return c.answered(c.block)
	case frameData:
		return c.data(f)
	}
	return c.control(f)
}

// control obeys the frames that carry no answer.
func (c *Client) control(f *frame) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	defer c.room.Broadcast()
	switch f.kind {
	case frameSettings:
		if f.flags&flagAck != 0 {
			return nil
		}
		if _, err := c.peer.read(f.body); err != nil {
			return err
		}
		c.out = appendHead(c.out, 0, frameSettings, flagAck, 0)
		c.notify()
	case framePing:
		if f.flags&flagAck == 0 && len(f.body) == 8 {
			c.out = append(appendHead(c.out, 8, framePing, flagAck, 0), f.body...)
			c.notify()
		}
	case frameWindow:
		n, err := f.window()
		if err != nil {
			return err
		}
		if f.stream == 0 {
			c.window += n
		}
	case frameReset:
		if a := c.streams[f.stream]; a != nil {
			delete(c.streams, f.stream)
			if c.leaving && len(c.streams) == 0 {
				c.dry()
			}
			go fail(a.call, errors.New("the server has dropped the request"))
		}
	case frameGoAway:
		if c.leaving = true; len(c.streams) == 0 {
			c.dry()
		}
	}
	return nil
}

// header takes one field of an answer.
func (c *Client) header(name, value []byte) {
	switch string(name) {
	case ":status":
		c.status, _ = strconv.Atoi(string(value))
	case "location":
		c.location = append(c.location[:0], value...)
	}
}

func (c *Client) answered(block []byte) error {
	c.status, c.location = 0, c.location[:0]
	if err := c.d.decode(block, c.field); err != nil {
		return err
	}
	c.mu.Lock()
	a := c.streams[c.opening.stream]
	c.mu.Unlock()
	if a == nil || c.status/100 == 1 {
		return nil
	}
	if c.status != 0 {
		a.status, a.location = c.status, append(a.location[:0], c.location...)
	}
	if c.opening.flags&flagEndStream != 0 {
		c.finish(c.opening.stream, a)
	}
	return nil
}

func (c *Client) data(f *frame) error {
	c.received += int64(len(f.body))
	whole := f.body
	err := f.unpad()
	body := f.body
	f.body = whole
	if err != nil {
		return err
	}
	c.mu.Lock()
	if c.received >= clientWindow/2 {
		c.out = appendWindow(c.out, 0, uint32(c.received))
		c.received = 0
		c.notify()
	}
	a := c.streams[f.stream]
	c.mu.Unlock()
	if a == nil {
		return nil
	}
	a.body = append(a.body, body...)
	if f.flags&flagEndStream != 0 {
		c.finish(f.stream, a)
	}
	return nil
}

// finish gives an answer to the one who waits.
func (c *Client) finish(id uint32, a *asking) {
	call := a.call
	c.mu.Lock()
	if c.streams[id] != a { // given up meanwhile
		c.mu.Unlock()
		return
	}
	delete(c.streams, id)
	c.mu.Unlock()
	answer := &call.Answer
	answer.Reset()
	flaw := readAnswer(&c.scan, a.status, a.body, answer)
	ref := refOf(a.location)
	answer.Session = append(answer.Session[:0], ref...)
	c.mu.Lock()
	switch {
	case a.name != "" && len(ref) > 0:
		c.refs[a.name] = string(ref)
	case call.Request.Kind == credit.Terminate && a.status/100 == 2:
		delete(c.refs, string(call.Request.Session))
	}
	c.free = append(c.free, a)
	if c.leaving && len(c.streams) == 0 {
		c.dry()
	}
	c.mu.Unlock()
	c.room.Signal()
	if flaw != nil {
		fail(call, errors.New(flaw.reason))
		return
	}
	call.Done(call)
}

// refOf is the last segment of a Location.
func refOf(location []byte) []byte {
	for i := len(location) - 1; i >= 0; i-- {
		if location[i] == '/' {
			return location[i+1:]
		}
	}
	return location
}

// dry says that nothing is under way; the caller holds c.mu.
func (c *Client) dry() { c.once.Do(func() { close(c.drained) }) }

// watch gives up on requests that are not answered in time.
func (c *Client) watch() {
	tick := time.NewTicker(max(c.cfg.Patience/8, time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case <-c.gone:
			return
		case now := <-tick.C:
			for _, call := range c.overdue(now.UnixNano()) {
				fail(call, errors.New("no answer in time"))
			}
		}
	}
}

// overdue drops what was sent too long ago. The slots are left to the collector: the reader may be at them.
func (c *Client) overdue(now int64) []*credit.Call {
	c.mu.Lock()
	defer c.mu.Unlock()
	var lost []*credit.Call
	for id, a := range c.streams {
		if now-a.sent > int64(c.cfg.Patience) {
			lost = append(lost, a.call)
			delete(c.streams, id)
			c.out = appendReset(c.out, id, cancelled)
		}
	}
	if len(lost) > 0 {
		if c.leaving && len(c.streams) == 0 {
			c.dry()
		}
		c.notify()
		c.room.Broadcast()
	}
	return lost
}

// Gone is closed when the connection has ended.
func (c *Client) Gone() <-chan struct{} { return c.gone }

// Close waits for the answers under way as long as ctx permits, and ends.
func (c *Client) Close(ctx context.Context) error {
	c.mu.Lock()
	c.leaving = true
	if len(c.streams) == 0 {
		c.dry()
	}
	c.mu.Unlock()
	c.room.Broadcast()
	var err error
	select {
	case <-c.drained:
	case <-c.gone:
	case <-ctx.Done():
		err = ctx.Err()
	}
	c.nc.Close()
	c.wg.Wait()
	return err
}
