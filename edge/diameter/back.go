package diameter

import (
	"time"

	"tandem/edge/credit"
)

var _ credit.Client = (*Server)(nil)

// pending is something we told a client and wait for the answer of.
type pending struct {
	done  func(credit.Outcome)
	timer *time.Timer
}

// maxPending caps what one connection has been told and not answered.
const maxPending = 16384

// Reauthorise sends an RAR (RFC 8506 5.5). The message has place for one rating group: with several, the client is asked to report
// all of them. done is called once, from another goroutine.
func (s *Server) Reauthorise(peer, session, back []byte, groups []uint32, done func(credit.Outcome)) {
	s.tell(cmdReAuth, peer, session, back, groups, done)
}

// Abort sends an ASR (RFC 6733 8.5). Diameter has no word for the cause.
func (s *Server) Abort(peer, session, back []byte, _ credit.Cause, done func(credit.Outcome)) {
	s.tell(cmdAbort, peer, session, back, nil, done)
}

// tell sends a request to the client that owns a session; back is its realm.
func (s *Server) tell(code uint32, peer, session, back []byte, groups []uint32, done func(credit.Outcome)) {
	c, realm := s.route(peer)
	if c == nil || c.leaving.Load() {
		s.Stats.Unanswered.Add(1)
		go done(credit.NoAnswer)
		return
	}
	if len(back) > 0 {
		realm = string(back)
	}
	c.mu.Lock()
	if c.last || len(c.pending) >= maxPending {
		c.mu.Unlock()
		s.Stats.Unanswered.Add(1)
		go done(credit.NoAnswer)
		return
	}
	c.hop++
	hop := c.hop
	c.pending[hop] = &pending{done, time.AfterFunc(s.cfg.Patience, func() { c.settle(hop, credit.NoAnswer) })}
	b, at := beginMessage(c.out, flagRequest|flagProxiable, code, appCredit, hop, s.ids.Add(1))
	b = appendBytes(b, sessionID, session)
	b = append(b, s.id.origin...)
	b = appendBytes(b, destinationRealm, realm)
	b = appendBytes(b, destinationHost, peer)
	b = appendU32(b, authApplication, appCredit)
	if code == cmdReAuth {
		b = appendU32(b, reAuthType, 0) // AUTHORIZE_ONLY
		if len(groups) == 1 {
			b = appendU32(b, ratingGroup, groups[0])
		}
	}
	b = append(b, s.id.state...)
	c.out = endMessage(b, at)
	c.mu.Unlock()
	s.Stats.Told.Add(1)
	c.notify()
}

// settle ends a pending request, if nobody else has.
func (c *conn) settle(hop uint32, o credit.Outcome) {
	c.mu.Lock()
	p := c.pending[hop]
	delete(c.pending, hop)
	c.mu.Unlock()
	if p == nil {
		return
	}
	p.timer.Stop()
	if o == credit.NoAnswer {
		c.s.Stats.Unanswered.Add(1)
	}
	p.done(o)
}

// answered takes an answer of the peer; false ends the connection, after DPA.
func (c *conn) answered(x *call) bool {
	switch x.h.code {
	case cmdReAuth, cmdAbort:
		c.settle(x.h.hop, outcomeOf(find(x.buf, resultCode)))
	case cmdWatchdog:
		c.s.restarted(c, stateOf(x.buf))
	case cmdDisconnect:
		return false
	}
	return true
}

// abandon ends everything pending when the connection has gone.
func (c *conn) abandon() {
	c.mu.Lock()
	c.last = true
	hops := make([]uint32, 0, len(c.pending))
	for hop := range c.pending {
		hops = append(hops, hop)
	}
	c.mu.Unlock()
	for _, hop := range hops {
		c.settle(hop, credit.NoAnswer)
	}
}
