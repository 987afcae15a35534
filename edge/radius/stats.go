package radius

import (
	"sync/atomic"
	"time"
)

// counters count since the start.
type counters struct {
	requests, replies, repeated, underWay, silent, ignored atomic.Uint64
	malformed, unexpected, limited, stalled                atomic.Uint64
	unknown, forged, unsigned                              noted
}

// noted is a counter whose event is worth a line in the log, but not more than one a second.
type noted struct {
	atomic.Uint64
	last atomic.Int64
}

func (n *noted) note(s *Server, x *exchange, now int64, what string) {
	total := n.Add(1)
	last := n.last.Load()
	if now-last < int64(time.Second/time.Microsecond) || !n.last.CompareAndSwap(last, now) {
		return
	}
	s.log.Warn("radius: dropped "+what, "from", x.in.peer.String(), "total", total)
}

// Stats is what happened since the start.
type Stats struct {
	Requests   uint64 // handed on to be decided
	Replies    uint64 // sent, repeated ones with them
	Repeated   uint64 // requests that were answered again with the same bytes
	UnderWay   uint64 // repeated before the first copy was answered: dropped
	Silent     uint64 // decided, and left without an answer
	Ignored    uint64 // accounting of tunnels and links: answered, not charged
	Malformed  uint64
	Unexpected uint64 // of a code that does not belong to the port
	Unknown    uint64 // from addresses that are no gateway's
	Forged     uint64 // not made with the shared secret
	Unsigned   uint64 // without the Message-Authenticator that is required
	Limited    uint64 // over the gateway's rate
	Stalled    uint64 // times that nothing was read because too much was under way
	Forgotten  uint64 // times that replies were forgotten early because too many came
}

// Stats reads the counters.
func (s *Server) Stats() Stats {
	c := &s.count
	st := Stats{Requests: c.requests.Load(), Replies: c.replies.Load(), Repeated: c.repeated.Load(), UnderWay: c.underWay.Load(),
		Silent: c.silent.Load(), Ignored: c.ignored.Load(), Malformed: c.malformed.Load(), Unexpected: c.unexpected.Load(),
		Unknown: c.unknown.Load(), Forged: c.forged.Load(), Unsigned: c.unsigned.Load(), Limited: c.limited.Load(), Stalled: c.stalled.Load()}
	for _, p := range s.ports {
		p.replies.mu.Lock()
		st.Forgotten += p.replies.early
		p.replies.mu.Unlock()
	}
	return st
}
