package gateway

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"net/url"
	"sync"
	"time"

	"tandem/edge/credit"
)

// Config says where a gateway stands.
type Config struct {
	Inside, Outside io.ReadWriteCloser // packets of the GGSN's side and of the internet's, one a read and write
	Charger         credit.Charger     // where quota is asked for
	Host            string             // begins the names of its sessions
	PLMN            uint32             // of the serving network, MCC * 1000 + MNC
	Group, Free     uint32             // rating groups: of the internet, and of the portal
	Portal          netip.Addr         // always reachable; web connections are led here when nothing is left

	// Who is the IMSI behind a subscriber's address, "" if nobody has it (any more).
	Who func(netip.Addr) (imsi string, err error)
	Log func(format string, args ...any)
}

// State is what becomes of a rating group's packets.
type State string

// The states.
const (
	Open       State = "open"       // they pass as far as quota goes
	Redirected State = "redirected" // new web connections are led to the portal
	Cut        State = "cut"        // dropped
)

// Counted is what a gateway knows of one rating group of a session.
type Counted struct {
	State    State
	Passed   uint64 // octets let through, both ways
	Up, Down uint64 // of these
	Reported uint64 // of these, told to charging and answered
	Grants   int    // times that quota was given
	Asked    int    // times that charging wanted to be asked again
}

// Event is a change of a rating group's state.
type Event struct {
	At      time.Time
	Address netip.Addr
	Group   uint32
	State   State
}

// Gateway enforces.
type Gateway struct {
	Config
	name   string // of this start
	stop   context.CancelFunc
	done   sync.WaitGroup
	events chan Event

	mu       sync.Mutex
	sessions map[netip.Addr]*session
	byName   map[string]*session
	over     map[uint32]Counted // sessions that have ended, by group
	next     int
}

// watchEvery is how often contexts and validities are looked at.
const watchEvery = 100 * time.Millisecond

// New prepares a gateway; Start has it pass packets.
func New(c Config) *Gateway {
	return &Gateway{Config: c, name: fmt.Sprintf("%s;%d", c.Host, time.Now().UnixNano()), events: make(chan Event, 256),
		sessions: map[netip.Addr]*session{}, byName: map[string]*session{}, over: map[uint32]Counted{}}
}

// Start lets packets through until Close.
func (g *Gateway) Start() {
	ctx, stop := context.WithCancel(context.Background())
	g.stop = stop
	g.done.Go(func() { g.read(g.Inside, packet.src, true) })
	g.done.Go(func() { g.read(g.Outside, packet.dst, false) })
	g.done.Go(func() { g.watch(ctx) })
}

// Close ends it, without a word to charging: as if the power went.
func (g *Gateway) Close() {
	g.stop()
	g.Inside.Close()
	g.Outside.Close()
	g.done.Wait()
}

// Events are the changes of state as they come. Who does not read them loses some.
func (g *Gateway) Events() <-chan Event { return g.events }

// Counted is what was counted for an address and a rating group.
func (g *Gateway) Counted(a netip.Addr, group uint32) (c Counted) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if s := g.sessions[a]; s != nil {
		if f := s.flows[group]; f != nil {
			c = f.Counted
		}
	}
	return c
}

// Sessions is how many there are.
func (g *Gateway) Sessions() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.sessions)
}

// isPortal says that a redirect address of charging (RFC 8506 8.38) is the portal,
// the one place this gateway leads to.
func (g *Gateway) isPortal(address string) bool {
	u, err := url.Parse(address)
	return err == nil && u.Hostname() == g.Portal.String()
}

// read takes packets from one side.
func (g *Gateway) read(from io.Reader, subscriber func(packet) netip.Addr, up bool) {
	buf := make([]byte, 1<<16)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return // closed
		}
		if p, ok := parse(buf[:n]); ok {
			g.packet(subscriber(p), p, up)
		}
	}
}

// packet decides on one packet of a subscriber.
func (g *Gateway) packet(a netip.Addr, p packet, up bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.sessions[a]
	if s == nil {
		if !up {
			return // nobody has asked for it
		}
		s = g.begin(a)
	}
	s.packet(p, up)
}

// begin opens a session at its first packet. Charging is asked as soon as it is
// known who that is; until then packets wait.
func (g *Gateway) begin(a netip.Addr) *session {
	g.next++
	s := &session{g: g, address: a, name: fmt.Sprintf("%s;%d", g.name, g.next), busy: true, flows: map[uint32]*flow{}, led: map[uint16]netip.Addr{}}
	g.sessions[a], g.byName[s.name] = s, s
	g.done.Go(func() {
		imsi, err := g.Who(a)
		g.mu.Lock()
		defer g.mu.Unlock()
		if err != nil || imsi == "" {
			g.Log("gateway: %s is nobody's: %v", a, err)
			g.forget(s)
			return
		}
		s.imsi, s.busy = imsi, false
		s.ask()
	})
	return s
}

// Total is what was counted in sessions that have ended and were answered for.
func (g *Gateway) Total(group uint32) Counted {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.over[group]
}

func (g *Gateway) forget(s *session) {
	for id, f := range s.flows {
		c := g.over[id]
		c.Passed, c.Up, c.Down, c.Reported = c.Passed+f.Passed, c.Up+f.Up, c.Down+f.Down, c.Reported+f.Reported
		c.Grants, c.Asked = c.Grants+f.Grants, c.Asked+f.Asked
		g.over[id] = c
	}
	delete(g.sessions, s.address)
	delete(g.byName, s.name)
}

// watch looks after what has a term: validities of grants, and contexts that the
// GGSN has ended, which it tells nobody.
func (g *Gateway) watch(ctx context.Context) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for _, s := range g.due(time.Now()) {
			imsi, err := g.Who(s.address)
			if err != nil {
				g.Log("gateway: who has %s: %v", s.address, err)
				continue
			}
			if imsi != s.imsi {
				g.mu.Lock()
				s.ended = true
				s.ask()
				g.mu.Unlock()
			}
		}
	}
}

// due are the sessions to look at; those with a grant that is no longer valid ask again.
func (g *Gateway) due(now time.Time) (out []*session) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, s := range g.sessions {
		if s.imsi == "" || s.ended {
			continue
		}
		out = append(out, s)
		for _, f := range s.flows {
			if !f.valid.IsZero() && now.After(f.valid) {
				f.valid = time.Time{}
				s.need(f, credit.ValidityTime)
			}
		}
	}
	return out
}

// Reauthorise answers a RAR: the session asks again for the groups, or for all it has.
func (g *Gateway) Reauthorise(name []byte, groups []uint32) credit.Outcome {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.byName[string(name)]
	if s == nil {
		return credit.Gone
	}
	for id, f := range s.flows {
		if len(groups) == 0 || contains(groups, id) {
			f.Asked++
			s.want(f, credit.Forced)
		}
	}
	g.done.Go(func() { // an answer may not wait for the connection it came by
		g.mu.Lock()
		defer g.mu.Unlock()
		s.ask()
	})
	return credit.Accepted
}

// Abort answers an ASR: the session is over, and says what it has used.
func (g *Gateway) Abort(name []byte) credit.Outcome {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.byName[string(name)]
	if s == nil {
		return credit.Gone
	}
	s.ended = true
	g.done.Go(func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		s.ask()
	})
	return credit.Accepted
}

func contains(all []uint32, x uint32) bool {
	for _, n := range all {
		if n == x {
			return true
		}
	}
	return false
}
