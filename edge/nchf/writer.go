package nchf

import (
	"strconv"
	"time"
)

// What goes out on a connection. Answers gather in a buffer, in whatever order they are ready; the writer takes what has gathered
// since the last time and writes it at once. Bodies obey the windows of the peer (RFC 9113 5.2).

// reply puts the answer of a stream into the buffer; x is no longer the caller's.
func (c *conn) reply(x *exchange) {
	c.mu.Lock()
	switch {
	case !x.whole && c.streams[x.id] != x: // too slow: dropped meanwhile
	case x.gone || c.ending:
		delete(c.streams, x.id)
		c.release(x)
	default:
		x.answered = true
		x.rest = x.out
		if x.answer.status == 204 {
			x.rest = nil
		}
		c.out = c.appendHeaders(c.out, x)
		if len(x.rest) == 0 {
			c.finish(x)
		} else if !c.push(x) {
			x.blocked, x.began = true, time.Now()
			c.blocked = append(c.blocked, x)
		}
	}
	n := len(c.out)
	c.mu.Unlock()
	if n > c.s.cfg.MaxBacklog && c.end() {
		c.s.Stats.Backlogs.Add(1)
	}
	c.notify()
}

// appendHeaders encodes the head of an answer; the caller holds c.mu.
func (c *conn) appendHeaders(b []byte, x *exchange) []byte {
	at := len(b)
	flags := byte(flagEndHeaders)
	if len(x.rest) == 0 {
		flags |= flagEndStream
	}
	b = appendHead(b, 0, frameHeaders, flags, x.id)
	if c.peer.shrink {
		c.peer.shrink = false
		b = append(b, 0x20) // RFC 7541 4.2
	}
	p := &x.answer
	b = appendStatus(b, p.status)
	if len(x.rest) > 0 {
		b = appendField(b, headerType, p.contentType())
		var digits [20]byte
		b = appendField(b, headerLength, strconv.AppendInt(digits[:0], int64(len(x.rest)), 10))
	}
	b = appendField(b, headerDate, *c.s.date.Load())
	if len(p.location) > 0 {
		b = appendField(b, headerLocation, p.location)
	}
	if p.retry > 0 {
		b = appendField(b, headerRetryAfter, strconv.Itoa(int(p.retry)))
	}
	if p.allow != "" {
		b = appendField(b, headerAllow, p.allow)
	}
	if p.challenge {
		b = appendField(b, headerAuthenticate, challenge)
	}
	return setLength(b, at)
}

const challenge = `Bearer error="invalid_token"`

// push frames as much of an answer as the windows let through; true: all of it. The caller holds c.mu.
func (c *conn) push(x *exchange) bool {
	for len(x.rest) > 0 {
		n := min(int64(len(x.rest)), int64(c.peer.frame), c.window, x.window)
		if n <= 0 {
			return false
		}
		flags := byte(0)
		if n == int64(len(x.rest)) {
			flags = flagEndStream
		}
		c.out = append(appendHead(c.out, int(n), frameData, flags, x.id), x.rest[:n]...)
		x.rest = x.rest[n:]
		c.window -= n
		x.window -= n
	}
	c.finish(x)
	return true
}

// pump goes on with the answers that wait for a window, the oldest first; the caller holds c.mu.
func (c *conn) pump() {
	waiting := c.blocked[:0]
	for _, x := range c.blocked {
		switch {
		case x.gone:
			c.release(x)
		case !c.push(x):
			waiting = append(waiting, x)
		}
	}
	clear(c.blocked[len(waiting):])
	c.blocked = waiting
}

// finish ends a stream whose answer is in the buffer; the caller holds c.mu. A request that has not ended is cut short: the peer need
// not send the rest of it (RFC 9113 8.1).
func (c *conn) finish(x *exchange) {
	if !x.whole {
		c.out = appendReset(c.out, x.id, noError)
	}
	delete(c.streams, x.id)
	c.release(x)
}

// release gives x back; the caller holds c.mu.
func (c *conn) release(x *exchange) {
	c.flight--
	c.s.recycle(x)
	c.s.finished()
}

// forget drops a stream after a reset of either side; the caller holds c.mu. If the charger or the queue of the blocked has it, they
// release it.
func (c *conn) forget(x *exchange) {
	delete(c.streams, x.id)
	switch {
	case x.blocked:
		x.gone = true
		c.pump()
	case x.whole:
		x.gone = true
	default:
		c.release(x)
	}
}

// drop resets a stream; the caller holds c.mu.
func (c *conn) drop(x *exchange, code uint32) {
	c.out = appendReset(c.out, x.id, code)
	c.forget(x)
	c.notify()
}

// cancel resets a stream that has not been handed over.
func (c *conn) cancel(x *exchange, code uint32) {
	c.mu.Lock()
	if c.streams[x.id] == x {
		c.drop(x, code)
	}
	c.mu.Unlock()
}

func (c *conn) notify() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// write is the only writer.
func (c *conn) write() {
	defer c.end()
	for {
		select {
		case <-c.wake:
		case <-c.quit:
			return
		}
		for {
			b, ending := c.take()
			if len(b) == 0 {
				if ending {
					return
				}
				break
			}
			c.nc.SetWriteDeadline(time.Now().Add(2 * c.s.cfg.Slow))
			if _, err := c.nc.Write(b); err != nil {
				return
			}
		}
	}
}

// take swaps the buffers.
func (c *conn) take() (b []byte, ending bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	b = c.out
	c.out, c.spare = c.spare[:0], b
	return b, c.ending
}

// supervise drops streams of a slow peer and closes a connection that says nothing.
func (c *conn) supervise(now time.Time) {
	c.mu.Lock()
	for _, x := range c.streams {
		if (!x.whole || x.blocked) && now.Sub(x.began) > c.s.cfg.Slow {
			c.s.Stats.Slow.Add(1)
			c.slow(x)
		}
	}
	quiet := len(c.streams) == 0
	c.mu.Unlock()
	silent := time.Duration(now.UnixMicro()-c.heard.Load()) * time.Microsecond
	if quiet && silent > c.s.cfg.Idle {
		c.s.Stats.Silent.Add(1)
		c.bye()
	}
}

// slow drops a stream while the reader may be at it: the reader finds it gone from the table. The caller holds c.mu.
func (c *conn) slow(x *exchange) {
	c.out = appendReset(c.out, x.id, cancelled)
	delete(c.streams, x.id)
	c.notify()
	if x.blocked {
		x.gone = true
		c.pump()
		return
	}
	c.flight-- // x is left to the collector: the reader may hold it
	c.s.finished()
}

// announce says that no new streams will be taken, without naming a last one (RFC 9113 6.8).
func (c *conn) announce() {
	c.mu.Lock()
	if !c.ending {
		c.out = appendGoAway(c.out, maxWindow, noError, "")
	}
	c.mu.Unlock()
	c.notify()
}

// bye ends the connection once what was written is out; one that has not begun, at once.
func (c *conn) bye() {
	if !c.begun.Load() {
		c.end()
		return
	}
	c.mu.Lock()
	if !c.ending {
		c.out = appendGoAway(c.out, maxWindow, noError, "")
		c.ending = true
	}
	c.mu.Unlock()
	c.notify()
}

// abandon releases the streams of a connection that has gone; those at the charger are released when they come back.
func (c *conn) abandon() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ending = true
	for _, x := range c.streams {
		delete(c.streams, x.id)
		switch {
		case x.blocked:
		case x.whole:
			x.gone = true
		default:
			c.release(x)
		}
	}
	for _, x := range c.blocked {
		c.release(x)
	}
	c.blocked = nil
}
