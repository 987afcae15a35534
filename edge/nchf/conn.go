package nchf

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// conn is one connection of a consumer that speaks HTTP/2.
type conn struct {
	s     *Server
	nc    net.Conn
	r     *bufio.Reader
	wake  chan struct{} // there is something to write
	quit  chan struct{} // closed when the connection ends
	once  sync.Once
	heard atomic.Int64 // Unix microseconds of the last frame
	begun atomic.Bool  // preface and settings were exchanged, and the writer runs

	// Of the reader.
	secure   bool
	d        decompressor
	field    func(name, value []byte) // c.header, bound once
	x        *exchange                // whose header block is being decoded
	block    []byte                   // of HEADERS without END_HEADERS
	opening  frame                    // that HEADERS; stream 0: none
	last     uint32                   // the highest stream of the peer
	received int64                    // octets of DATA since the last WINDOW_UPDATE
	second   int64                    // of the counts below
	count    int                      // requests, see overloaded
	resets   int
	chatter  int // frames that lead to nothing
	moment   int64

	mu      sync.Mutex
	peer    settings
	window  int64 // what the peer lets us send on all streams together
	streams map[uint32]*exchange
	flight  int // streams, those included that were reset and are at the charger
	blocked []*exchange
	out     []byte
	spare   []byte
	ending  bool // nothing is written any more, and the connection ends when out is empty
}

// ourWindow is what a peer may send on one connection before we take it.
const ourWindow = 4 << 20

func newConn(s *Server, nc net.Conn) *conn {
	c := &conn{
		s:       s,
		nc:      nc,
		r:       bufio.NewReaderSize(nc, 64<<10),
		wake:    make(chan struct{}, 1),
		quit:    make(chan struct{}),
		peer:    standardSettings(),
		window:  oldWindow,
		streams: map[uint32]*exchange{},
	}
	c.field = c.header
	c.d.max, c.d.limit = tableSize, s.cfg.MaxHeaders
	c.heard.Store(time.Now().UnixMicro())
	return c
}

// end closes the connection now; it may be called from anywhere and more than once. first tells the call that did it.
func (c *conn) end() (first bool) {
	c.once.Do(func() {
		close(c.quit)
		c.nc.Close()
		first = true
	})
	return first
}

// read serves the peer until the connection ends.
func (c *conn) read() {
	defer c.s.leave(c)
	c.nc.SetDeadline(time.Now().Add(c.s.cfg.Handshake))
	if !c.speaksHTTP2() {
		return
	}
	defer c.abandon()
	defer c.end()
	if c.begin() != nil {
		return
	}
	c.nc.SetDeadline(time.Time{})
	c.begun.Store(true)
	c.s.wg.Go(c.write)
	for first := true; ; first = false {
		f, err := c.next()
		if err == nil && first && (f.kind != frameSettings || f.flags&flagAck != 0) {
			err = broken(protocolError, "the first frame is not SETTINGS")
		}
		if err == nil {
			err = c.handle(&f)
			c.r.Discard(len(f.body))
		}
		if err != nil {
			c.fail(err)
			return
		}
	}
}

// speaksHTTP2 looks at the first octets. A connection that speaks HTTP/1.1 is given to net/http.
func (c *conn) speaksHTTP2() bool {
	if t, ok := c.nc.(*tls.Conn); ok {
		if t.Handshake() != nil {
			c.end()
			return false
		}
		c.secure = true
	}
	start, err := c.r.Peek(4)
	switch {
	case err != nil:
		c.end()
		return false
	case string(start) == preface[:4]:
		return true
	}
	c.handOver()
	return false
}

// handOver gives the connection to net/http; its kind has the same limit of its own.
func (c *conn) handOver() {
	c.nc.SetDeadline(time.Time{})
	p := &peeked{Conn: c.nc, r: c.r, open: &c.s.plainOpen}
	if c.s.plainOpen.Add(1) > int64(c.s.cfg.MaxConnections) || !c.s.handoff.give(p) {
		c.s.Stats.Refused.Add(1)
		p.Close()
		return
	}
	c.s.Stats.Plain.Add(1)
}

// begin reads the preface and says our settings (RFC 9113 3.4).
func (c *conn) begin() error {
	var got [len(preface)]byte
	if _, err := io.ReadFull(c.r, got[:]); err != nil || string(got[:]) != preface {
		return errors.New("no preface")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	at := len(c.out)
	b := appendHead(c.out, 0, frameSettings, 0, 0)
	b = appendSetting(b, settingStreams, uint32(c.s.cfg.MaxStreams))
	b = appendSetting(b, settingWindow, uint32(max(oldWindow, c.s.cfg.MaxBody+frameSize)))
	b = appendSetting(b, settingHeaderList, uint32(c.s.cfg.MaxHeaders))
	b = setLength(b, at)
	c.out = appendWindow(b, 0, ourWindow-oldWindow)
	_, err := c.nc.Write(c.out)
	c.out = c.out[:0]
	return err
}

// next reads a frame. Its body lies in the buffer and is discarded after it was handled.
func (c *conn) next() (frame, error) {
	head, err := c.r.Peek(headSize)
	if err != nil {
		return frame{}, err
	}
	n := int(head[0])<<16 | int(head[1])<<8 | int(head[2])
	f := frame{kind: head[3], flags: head[4], stream: binary.BigEndian.Uint32(head[5:]) & maxWindow}
	if n > frameSize {
		return f, broken(frameSizeError, "a frame is too long")
	}
	c.r.Discard(headSize)
	if f.body, err = c.r.Peek(n); err != nil {
		return f, err
	}
	c.moment = time.Now().UnixMicro()
	c.heard.Store(c.moment)
	return f, nil
}

// fail ends the connection after an error: of HTTP/2 with a GOAWAY, of the network at once.
func (c *conn) fail(err error) {
	var e *connError
	if !errors.As(err, &e) {
		return
	}
	c.s.Stats.Broken.Add(1)
	c.mu.Lock()
	if !c.ending {
		c.out = appendGoAway(c.out, c.last, e.code, e.reason)
		c.ending = true
	}
	c.mu.Unlock()
	c.notify()
	select {
	case <-c.quit:
	case <-time.After(c.s.cfg.Handshake):
	}
}

// idleFrames is how many frames a second that carry nothing are put up with, each request paying for some of them.
const (
	idleFrames = 10000
	perRequest = 8
)

// handle obeys one frame.
func (c *conn) handle(f *frame) error {
	if c.opening.stream != 0 && (f.kind != frameContinuation || f.stream != c.opening.stream) {
		return broken(protocolError, "a header block is interrupted")
	}
	if now := c.moment / 1e6; now != c.second {
		c.second, c.resets, c.chatter, c.count = now, 0, 0, 0
	}
	switch f.kind {
	case frameHeaders:
		return c.headers(f)
	case frameContinuation:
		return c.continued(f)
	case frameData:
		return c.data(f)
	}
	if c.chatter++; c.chatter > idleFrames {
		return broken(enhanceYourCalm, "too many frames that carry nothing")
	}
	switch f.kind {
	case frameSettings:
		return c.settings(f)
	case framePing:
		return c.ping(f)
	case frameWindow:
		return c.more(f)
	case frameReset:
		return c.reset(f)
	case framePriority:
		if f.stream == 0 || len(f.body) != 5 {
			return broken(frameSizeError, "PRIORITY of a broken form")
		}
	case framePush:
		return broken(protocolError, "a client does not push")
	case frameGoAway:
		if f.stream != 0 || len(f.body) < 8 {
			return broken(protocolError, "GOAWAY of a broken form")
		}
	}
	return nil // of a kind that is not known: to be ignored (RFC 9113 4.1)
}

func (c *conn) headers(f *frame) error {
	if f.stream&1 == 0 {
		return broken(protocolError, "a client opens streams of odd numbers")
	}
	whole := f.body
	if err := f.unpad(); err != nil {
		return err
	}
	block := f.body
	f.body = whole // what is discarded
	if f.flags&flagEndHeaders != 0 {
		return c.opened(f.stream, f.flags&flagEndStream != 0, block)
	}
	c.opening = frame{flags: f.flags, stream: f.stream}
	c.block = append(c.block[:0], block...)
	return nil
}

// continued takes a CONTINUATION; a block that is too large ends the connection before it is complete (CVE-2024-27316).
func (c *conn) continued(f *frame) error {
	if c.opening.stream == 0 {
		return broken(protocolError, "CONTINUATION of nothing")
	}
	c.block = append(c.block, f.body...)
	c.chatter++
	if len(c.block) > 2*c.s.cfg.MaxHeaders || c.chatter > idleFrames {
		return broken(enhanceYourCalm, "the header block is too large")
	}
	if f.flags&flagEndHeaders == 0 {
		return nil
	}
	o := c.opening
	c.opening = frame{}
	return c.opened(o.stream, o.flags&flagEndStream != 0, c.block)
}

// opened takes a whole header block: it opens a stream, or ends one (trailers).
func (c *conn) opened(id uint32, last bool, block []byte) error {
	fresh := id > c.last
	x := c.s.exchange()
	x.c, x.id = c, id
	c.x = x
	err := c.d.decode(block, c.field)
	c.x = nil
	if errors.Is(err, errCompression) {
		c.s.recycle(x)
		return broken(compressionError, err.Error())
	}
	if !fresh {
		c.s.recycle(x)
		return c.trailers(id, last)
	}
	c.last = id
	c.chatter = max(0, c.chatter-perRequest)
	if !c.admit(x) {
		return nil
	}
	switch {
	case errors.Is(err, errTooLarge):
		x.refuse(431, "", "The header fields are too large", "", "")
		c.reply(x)
	case !x.wellFormed() || last && x.length > 0:
		c.cancel(x, protocolError)
	case x.length > int64(c.s.cfg.MaxBody):
		x.refuse(413, "", "The body is too large", "", "")
		c.reply(x)
	case last:
		c.dispatch(x)
	}
	return nil
}

// admit enters a new stream; one too many is refused, and may safely be tried again (RFC 9113 8.7).
func (c *conn) admit(x *exchange) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.s.closing.Load() || c.flight >= c.s.cfg.MaxStreams {
		c.s.Stats.Turned.Add(1)
		c.out = appendReset(c.out, x.id, refusedStream)
		c.s.recycle(x)
		c.notify()
		return false
	}
	c.s.busy.Add(1)
	c.flight++
	x.began, x.window = time.UnixMicro(c.moment), c.peer.window
	c.streams[x.id] = x
	return true
}

// Pseudo-headers that have come.
const (
	sawMethod = 1 << iota
	sawPath
	sawScheme
	sawAuthority
)

// header takes one field of a request.
func (c *conn) header(name, value []byte) {
	x := c.x
	if bytes.ContainsAny(value, "\r\n\x00") || len(name) == 0 {
		x.bad = true
		return
	}
	if name[0] == ':' {
		x.pseudo(name, value)
		return
	}
	x.regular = true
	for _, b := range name {
		x.bad = x.bad || b <= ' ' || b >= 'A' && b <= 'Z' || b == ':' || b >= 0x7f
	}
	switch string(name) {
	case "content-length":
		n, err := strconv.ParseInt(string(value), 10, 63)
		x.bad = x.bad || err != nil || n < 0 || x.length >= 0 && x.length != n
		x.length = n
	case "content-type":
		x.ctype = append(x.ctype[:0], value...)
	case "authorization":
		x.auth = append(x.auth[:0], value...)
	case "host":
		if len(x.authority) == 0 {
			x.authority = append(x.authority, value...)
		}
	case "connection", "proxy-connection", "keep-alive", "transfer-encoding", "upgrade":
		x.bad = true
	case "te":
		x.bad = x.bad || string(value) != "trailers"
	}
}

// pseudo takes a pseudo-header: each once, before all others (RFC 9113 8.3).
func (x *exchange) pseudo(name, value []byte) {
	bit := uint8(0)
	switch string(name) {
	case ":method":
		bit, x.method = sawMethod, append(x.method[:0], value...)
	case ":path":
		bit, x.path = sawPath, append(x.path[:0], value...)
	case ":scheme":
		bit, x.secure = sawScheme, string(value) == "https"
	case ":authority":
		bit, x.authority = sawAuthority, append(x.authority[:0], value...)
	}
	x.bad = x.bad || bit == 0 || x.seen&bit != 0 || x.regular
	x.seen |= bit
}

func (x *exchange) wellFormed() bool {
	for _, b := range x.authority {
		x.bad = x.bad || b <= ' ' || b == '/' || b == '"' || b >= 0x7f
	}
	const must = sawMethod | sawPath | sawScheme
	return !x.bad && x.seen&must == must && len(x.path) > 0 && x.path[0] == '/'
}

// trailers end a stream; what they say is not used.
func (c *conn) trailers(id uint32, last bool) error {
	c.mu.Lock()
	x := c.streams[id]
	known := x != nil && !x.whole && !x.answered
	c.mu.Unlock()
	switch {
	case !known: // reset by us, perhaps
		return nil
	case !last:
		return broken(protocolError, "trailers that do not end the stream")
	}
	c.complete(x)
	return nil
}

// data takes octets of a body. The windows of streams are as large as the largest body, so that only the connection needs to be told
// to go on.
func (c *conn) data(f *frame) error {
	if f.stream == 0 || f.stream > c.last {
		return broken(protocolError, "DATA of a stream that is not open")
	}
	size := int64(len(f.body))
	whole := f.body
	err := f.unpad()
	body := f.body
	f.body = whole
	if err != nil {
		return err
	}
	c.mu.Lock()
	x := c.streams[f.stream]
	if c.received += size; c.received >= ourWindow/2 {
		c.out = appendWindow(c.out, 0, uint32(c.received))
		c.received = 0
		c.notify()
	}
	open := x != nil && !x.whole && !x.answered
	c.mu.Unlock()
	last := f.flags&flagEndStream != 0
	switch {
	case !open: // reset or answered by us
		return nil
	case len(body) == 0 && !last:
		if c.chatter++; c.chatter > idleFrames {
			return broken(enhanceYourCalm, "too many empty frames")
		}
		return nil
	case len(x.body)+len(body) > c.s.cfg.MaxBody:
		x.refuse(413, "", "The body is too large", "", "")
		c.reply(x)
		return nil
	}
	x.body = append(x.body, body...)
	if last {
		c.complete(x)
	}
	return nil
}

func (c *conn) complete(x *exchange) {
	if x.length >= 0 && x.length != int64(len(x.body)) {
		c.cancel(x, protocolError)
		return
	}
	c.dispatch(x)
}

// dispatch hands over a request that has ended; the reader does not wait for its answer.
func (c *conn) dispatch(x *exchange) {
	c.mu.Lock()
	there := c.streams[x.id] == x
	x.whole = true
	c.mu.Unlock()
	if !there {
		return // too slow: dropped meanwhile
	}
	if x.route(); x.op != opOther {
		x.run(c.moment)
		return
	}
	c.s.wg.Go(func() { c.s.handleOther(x) })
}

func (c *conn) settings(f *frame) error {
	if f.stream != 0 {
		return broken(protocolError, "SETTINGS of a stream")
	}
	if f.flags&flagAck != 0 {
		if len(f.body) > 0 {
			return broken(frameSizeError, "an acknowledgement with settings")
		}
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	grown, err := c.peer.read(f.body)
	if err != nil {
		return err
	}
	for _, x := range c.streams {
		if x.window += grown; x.window > maxWindow {
			return broken(flowControlError, "the window of a stream is too large")
		}
	}
	c.out = appendHead(c.out, 0, frameSettings, flagAck, 0)
	c.pump()
	c.notify()
	return nil
}

func (c *conn) ping(f *frame) error {
	if f.stream != 0 || len(f.body) != 8 {
		return broken(frameSizeError, "PING of a broken form")
	}
	if f.flags&flagAck != 0 {
		return nil
	}
	c.mu.Lock()
	c.out = append(appendHead(c.out, 8, framePing, flagAck, 0), f.body...)
	c.mu.Unlock()
	c.notify()
	return nil
}

// more opens a window (RFC 9113 6.9).
func (c *conn) more(f *frame) error {
	n, err := f.window()
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if f.stream == 0 {
		if c.window += n; n == 0 || c.window > maxWindow {
			return broken(flowControlError, "the window of the connection is too large, or grows by nothing")
		}
	} else if f.stream > c.last {
		return broken(protocolError, "WINDOW_UPDATE of a stream that is not open")
	} else if x := c.streams[f.stream]; x != nil {
		if x.window += n; n == 0 || x.window > maxWindow {
			c.drop(x, flowControlError)
		}
	}
	if len(c.blocked) > 0 {
		c.pump()
		c.notify()
	}
	return nil
}

// reset forgets a stream. The request may be at the charger: it stays charged, and counts as open until it is answered, so that a
// peer that opens and drops streams gains nothing.
func (c *conn) reset(f *frame) error {
	if f.stream == 0 || f.stream > c.last || len(f.body) != 4 {
		return broken(protocolError, "RST_STREAM of a stream that is not open")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	x := c.streams[f.stream]
	if x == nil {
		return nil
	}
	c.s.Stats.Resets.Add(1)
	if c.resets++; c.resets > c.s.cfg.MaxResets {
		return broken(enhanceYourCalm, "too many streams are opened and dropped")
	}
	c.forget(x)
	return nil
}
