package diameter

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"tandem/edge/credit"
)

// conn is one connection of a peer.
type conn struct {
	s       *Server
	nc      net.Conn
	r       *bufio.Reader
	wake    chan struct{} // there is something to write
	quit    chan struct{} // closed when the connection ends
	once    sync.Once
	flight  atomic.Int64 // requests at the charger
	heard   atomic.Int64 // Unix microseconds of the last whole message
	open    atomic.Bool  // the CER was accepted
	leaving atomic.Bool  // DPR was sent or received
	probed  atomic.Bool  // a DWR is unanswered

	// Of the reader.
	peer   *peerState
	host   []byte // Origin-Host of the peer
	relay  bool
	behind []byte // the last host that a relay brought
	second int64  // of the rate
	count  int    // of requests in it

	mu      sync.Mutex
	out     []byte
	spare   []byte
	last    bool // nothing is written any more, and the connection ends when out is empty
	hop     uint32
	pending map[uint32]*pending // what we have told, by Hop-by-Hop-Id
}

// call is one request with the buffer it lies in, from the reader to the answer.
type call struct {
	credit.Call
	reading reading
	h       header
	c       *conn
	buf     []byte
}

func newCall(s *Server) *call {
	x := &call{buf: make([]byte, 0, 2048)}
	x.Own = x
	x.Done = s.done
	return x
}

// keepBuffer is the largest buffer that a call keeps for the next one.
const keepBuffer = 8 << 10

func (s *Server) recycle(x *call) {
	x.c = nil
	if cap(x.buf) > keepBuffer {
		x.buf = make([]byte, 0, 2048)
	}
	s.calls.Put(x)
}

func newConn(s *Server, nc net.Conn) *conn {
	c := &conn{
		s:       s,
		nc:      nc,
		r:       bufio.NewReaderSize(nc, 64<<10),
		wake:    make(chan struct{}, 1),
		quit:    make(chan struct{}),
		hop:     s.ids.Add(0x9e3779b9),
		pending: map[uint32]*pending{},
	}
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
	defer func() {
		c.end()
		c.s.leave(c)
		c.abandon()
	}()
	c.nc.SetReadDeadline(time.Now().Add(c.s.cfg.Handshake))
	for {
		x := c.s.calls.Get().(*call)
		ok := c.next(x)
		if ok {
			c.heard.Store(time.Now().UnixMicro())
			c.probed.Store(false)
			ok = c.dispatch(x) // x is no longer ours
		} else {
			c.s.recycle(x)
		}
		if !ok {
			c.linger()
			return
		}
	}
}

// linger lets the writer finish what there is, for a moment.
func (c *conn) linger() {
	c.mu.Lock()
	c.last = true
	c.mu.Unlock()
	c.notify()
	select {
	case <-c.quit:
	case <-time.After(c.s.cfg.Handshake):
	}
}

// next reads a message into x. Too long ones are answered and skipped; false ends the connection.
func (c *conn) next(x *call) bool {
	for {
		head, err := c.r.Peek(headerSize)
		if err != nil {
			return false
		}
		h, ok := parseHeader(head)
		x.h, x.c = h, c
		x.reading.reset(&x.Request, c.s.cfg.Contexts)
		switch {
		case !ok:
			c.refuse(x, &flaw{resultVersion, nil, "the version of Diameter is not 1"})
			return false
		case h.length < headerSize || h.length&3 != 0: // the next message cannot be found
			c.refuse(x, &flaw{resultMessageLength, nil, "the length of the message is impossible"})
			return false
		case h.length > c.s.cfg.MaxMessage:
			if !c.open.Load() || !c.skip(x) {
				return false
			}
			continue
		}
		c.r.Discard(headerSize)
		n := h.length - headerSize
		if cap(x.buf) < n {
			x.buf = make([]byte, 0, n)
		}
		x.buf = x.buf[:n]
		_, err = io.ReadFull(c.r, x.buf)
		return err == nil
	}
}

// skip passes over a message that is too long and answers it.
func (c *conn) skip(x *call) bool {
	n, err := io.CopyN(io.Discard, c.r, int64(x.h.length))
	c.s.Stats.SkippedBytes.Add(uint64(n))
	if err == nil && x.h.flags&flagRequest != 0 {
		c.refuse(x, &flaw{resultMessageLength, nil, "the message is too long"})
	}
	return err == nil
}

// dispatch handles a message and gives x away; false ends the connection once what was written is out.
func (c *conn) dispatch(x *call) bool {
	if !c.open.Load() {
		defer c.s.recycle(x)
		if x.h.code != cmdCapabilities || x.h.flags&flagRequest == 0 {
			return false
		}
		return c.capabilities(x)
	}
	if x.h.flags&flagRequest == 0 {
		defer c.s.recycle(x)
		return c.answered(x)
	}
	wanted := uint32(appBase)
	switch x.h.code {
	case cmdCreditControl:
		wanted = appCredit
	case cmdAccounting:
		wanted = appAccounting
	}
	switch {
	case x.h.flags&flagError != 0:
		return c.reject(x, resultHeaderBits, "a request with the error flag")
	case x.h.app != wanted && wanted != appBase, x.h.app > appCredit || x.h.app == 1 || x.h.app == 2:
		return c.reject(x, resultApplication, "the application is not supported")
	case wanted != appBase:
		c.charge(x)
		return true
	}
	switch x.h.code {
	case cmdCapabilities, cmdWatchdog, cmdDisconnect:
		defer c.s.recycle(x)
		return c.base(x)
	}
	return c.reject(x, resultCommand, "the command is not supported")
}

// base answers the commands of the base protocol on an open connection.
func (c *conn) base(x *call) bool {
	switch x.h.code {
	case cmdCapabilities:
		who, f := parseCapabilities(x.buf)
		if f != nil || !bytes.EqualFold(who.host, c.host) {
			return false // it has become somebody else
		}
		c.send(func(b []byte) []byte { return c.appendCEA(b, &x.h, resultSuccess, nil) })
		return true
	case cmdDisconnect:
		c.leaving.Store(true)
	case cmdWatchdog:
		c.s.restarted(c, stateOf(x.buf))
	}
	c.send(func(b []byte) []byte { return c.s.id.appendBase(b, &x.h, resultSuccess) })
	return x.h.code != cmdDisconnect
}

// reject answers a request with a protocol error.
func (c *conn) reject(x *call, code uint32, reason string) bool {
	x.reading.accounting = x.h.code == cmdAccounting
	x.reading.salvage(x.buf)
	c.refuse(x, &flaw{code, nil, reason})
	c.s.recycle(x)
	return true
}

// refuse answers a request that does not reach the charger.
func (c *conn) refuse(x *call, f *flaw) {
	if x.h.code == cmdCreditControl || x.h.code == cmdAccounting {
		c.s.Stats.results[f.code/1000][f.code%1000&63].Add(1)
		c.s.Stats.Answered.Add(1)
	}
	c.reply(x, f.code, nil, f)
}

func (c *conn) reply(x *call, code uint32, a *credit.Answer, f *flaw) {
	c.mu.Lock()
	if !c.last {
		c.out = appendAnswer(c.out, &c.s.id, &x.h, &x.reading, code, a, f)
	}
	n := len(c.out)
	c.mu.Unlock()
	if n > c.s.cfg.MaxBacklog && c.end() {
		c.s.Stats.Backlogs.Add(1)
	}
	c.notify()
}

// send encodes a message of the base protocol into the buffer of the writer.
func (c *conn) send(encode func([]byte) []byte) {
	c.mu.Lock()
	if !c.last {
		c.out = encode(c.out)
	}
	c.mu.Unlock()
	c.notify()
}

func (c *conn) notify() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// write is the only writer: it takes what has gathered since the last time and writes it at once.
func (c *conn) write() {
	defer c.end()
	for {
		select {
		case <-c.wake:
		case <-c.quit:
			return
		}
		for {
			b, last := c.take()
			if len(b) == 0 {
				if last {
					return
				}
				break
			}
			c.nc.SetWriteDeadline(time.Now().Add(2 * c.s.cfg.Watchdog))
			if _, err := c.nc.Write(b); err != nil {
				return
			}
		}
	}
}

// take swaps the buffers.
func (c *conn) take() (b []byte, last bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	b = c.out
	c.out, c.spare = c.spare[:0], b
	return b, c.last
}

// charge decodes a CCR or ACR and hands it over, in the order of the connection.
func (c *conn) charge(x *call) {
	s := c.s
	s.Stats.Received.Add(1)
	if x.h.flags&flagRetransmit != 0 {
		s.Stats.Retransmits.Add(1)
	}
	f := x.reading.decode(x.h, x.buf)
	if f != nil {
		s.Stats.Malformed.Add(1)
	} else {
		f = c.admit(x)
	}
	if f == nil {
		s.busy.Add(1)
		if f = c.room(x); f != nil {
			s.finished()
		}
	}
	if f != nil {
		c.refuse(x, f)
		s.recycle(x)
		return
	}
	c.flight.Add(1)
	x.Answer.Reset()
	s.charger.Charge(&x.Call)
}

// admit refuses what is not meant for us or not from whom it says (RFC 6733 6.1).
func (c *conn) admit(x *call) *flaw {
	s, r := c.s, &x.reading
	x.Request.Received = c.heard.Load()
	switch {
	case !strings.EqualFold(string(r.toRealm), s.cfg.Realm):
		return &flaw{resultRealm, nil, "the destination realm is not served here"}
	case len(r.toHost) > 0 && !s.ours(r.toHost):
		return &flaw{resultUndeliverable, nil, "the destination host is not this one"}
	case bytes.Equal(x.Request.Peer, c.host) || bytes.EqualFold(x.Request.Peer, c.host):
	case !c.relay:
		return &flaw{resultUnknownPeer, nil, "the origin host is not the peer of this connection"}
	case !bytes.Equal(x.Request.Peer, c.behind):
		c.behind = append(c.behind[:0], x.Request.Peer...)
		s.learn(c.behind, c)
	}
	if r.lost && !r.accounting && !reportsUse(&x.Request) {
		return &flaw{resultRatingFailed, nil, "the service context is not known"}
	}
	return nil
}

// reportsUse tells whether a request brings use. It then goes to the charger even if it cannot be rated, so that the use is kept.
func reportsUse(q *credit.Request) bool {
	for i := range q.Units {
		if len(q.Units[i].Used) > 0 {
			return true
		}
	}
	return false
}

// room refuses work that is too much: first what opens something, then all (3004: the client asks another server).
func (c *conn) room(x *call) *flaw {
	s := c.s
	full := s.closing.Load() || c.flight.Load() >= int64(s.cfg.MaxInFlight)
	if s.cfg.Rate > 0 {
		if now := x.Request.Received / 1e6; now != c.second {
			c.second, c.count = now, 0
		}
		c.count++
		opens := x.Request.Kind == credit.Initial || x.Request.Kind == credit.Event && x.Request.Action != credit.Refund
		full = full || c.count > 2*s.cfg.Rate || c.count > s.cfg.Rate && opens
	}
	if !full {
		return nil
	}
	s.Stats.Overloads.Add(1)
	return &flaw{resultBusy, nil, "too busy"}
}

// done encodes the answer of the charger.
func (s *Server) done(done *credit.Call) {
	x := done.Own.(*call)
	a, c := &x.Answer, x.c
	code := messageCode(a.Result)
	switch {
	case x.reading.lost && !x.reading.accounting:
		code = resultRatingFailed
	case x.reading.flat && code == resultSuccess && len(a.Units) > 0:
		code = messageCode(a.Units[0].Result)
	}
	s.Stats.results[code/1000][code%1000&63].Add(1)
	s.Stats.Answered.Add(1)
	c.reply(x, code, a, nil)
	c.flight.Add(-1)
	s.recycle(x)
	s.finished()
}

func (s *Server) finished() {
	if s.busy.Add(-1) == 0 && s.closing.Load() {
		select {
		case s.idle <- struct{}{}:
		default:
		}
	}
}

// supervise sends a watchdog request on a silent connection and ends a dead one.
func (c *conn) supervise(now time.Time) {
	silent := time.Duration(now.UnixMicro()-c.heard.Load()) * time.Microsecond
	switch {
	case !c.open.Load(): // the deadline of the handshake watches
	case silent >= 2*c.s.cfg.Watchdog:
		if c.end() {
			c.s.Stats.Silent.Add(1)
		}
	case silent >= c.s.cfg.Watchdog && !c.probed.Swap(true):
		c.send(func(b []byte) []byte {
			b, at := c.beginOwn(b, cmdWatchdog)
			return endMessage(append(b, c.s.id.state...), at)
		})
	}
}

// bye announces the end (DPR with Disconnect-Cause REBOOTING, RFC 6733 5.4.1); a connection without a peer ends at once.
func (c *conn) bye() {
	if !c.open.Load() {
		c.end()
		return
	}
	if c.leaving.Swap(true) {
		return
	}
	c.send(func(b []byte) []byte {
		b, at := c.beginOwn(b, cmdDisconnect)
		return endMessage(appendU32(b, disconnectCause, 0), at)
	})
}

// beginOwn begins a request of the base protocol; the caller holds c.mu.
func (c *conn) beginOwn(b []byte, code uint32) ([]byte, int) {
	c.hop++
	b, at := beginMessage(b, flagRequest, code, appBase, c.hop, c.s.ids.Add(1))
	return append(b, c.s.id.origin...), at
}
