package gateway

import (
	"net/netip"
	"time"

	"tandem/edge/credit"
)

// held is how many packets of a group wait for an answer; a phone sends the rest again.
const held = 512

// session is a credit control session: one bearer of one subscriber. Its methods are
// called with the gateway locked.
type session struct {
	g       *Gateway
	address netip.Addr
	name    string
	imsi    string
	number  uint32
	busy    bool // a request is under way
	ended   bool // the bearer is gone: what is left to do is to say so
	flows   map[uint32]*flow
	led     map[uint16]netip.Addr // web connections led to the portal, by port: where they wanted to go
}

// flow is a rating group of a session.
type flow struct {
	Counted
	group     uint32
	left      uint64 // of the grant
	threshold uint64 // ask again when less than this is left
	used      uint64 // since the last report
	sent      uint64 // in the report under way
	granted   bool   // once
	asking    bool   // for quota, in the request under way or the next one
	report    bool   // in the next request
	reason    credit.Reason
	final     credit.FinalUnit // what follows the grant
	valid     time.Time
	waiting   []waiting
}

type waiting struct {
	p  packet
	up bool
}

// packet takes a packet into the flow it belongs to.
func (s *session) packet(p packet, up bool) {
	if s.ended {
		return
	}
	if up {
		s.lead(p)
	}
	remote := p.src()
	if up {
		remote = p.dst()
	}
	group := s.g.Group
	if remote == s.g.Portal {
		group = s.g.Free
	}
	f := s.flows[group]
	if f == nil {
		f = &flow{Counted: Counted{State: Open}, group: group}
		s.flows[group] = f
	}
	s.take(f, waiting{p, up})
}

// lead sends a web connection to the portal if the internet is closed to its
// subscriber, and goes on with what was led there.
func (s *session) lead(p packet) {
	from, to := p.from(), p.to()
	if p.opens() {
		delete(s.led, from.Port())
		if f := s.flows[s.g.Group]; f != nil && f.State == Redirected && to.Addr() != s.g.Portal {
			s.led[from.Port()] = to.Addr()
		}
	}
	if was, ok := s.led[from.Port()]; ok && was == to.Addr() && to.Port() == web {
		p.redirect(s.g.Portal)
	}
}

// take lets a packet through if quota covers it.
func (s *session) take(f *flow, w waiting) {
	n := uint64(len(w.p))
	switch {
	case f.State != Open:
	case n <= f.left:
		s.pass(f, w)
	case f.granted && f.final.Action != credit.NotFinal && !f.asking:
		s.close(f)
	case len(f.waiting) < held:
		f.waiting = append(f.waiting, w)
		if f.granted {
			s.need(f, credit.Exhausted)
		} else {
			s.need(f, credit.NoReason)
		}
	}
}

// pass counts a packet and lets it through.
func (s *session) pass(f *flow, w waiting) {
	n := uint64(len(w.p))
	f.left -= n
	f.used += n
	f.Passed += n
	to := s.g.Inside
	if w.up {
		f.Up += n
		to = s.g.Outside
	} else {
		f.Down += n
		if was, ok := s.led[w.p.to().Port()]; ok && w.p.src() == s.g.Portal && w.p.from().Port() == web {
			w.p.rename(was)
		}
	}
	if _, err := to.Write(w.p); err != nil {
		s.g.Log("gateway: a packet of %d octets is lost: %v", n, err)
	}
	if f.threshold > 0 && f.left < f.threshold && f.final.Action == credit.NotFinal {
		s.need(f, credit.Threshold)
	}
}

// close does what was to be done when the last units are used, and says so.
func (s *session) close(f *flow) {
	f.waiting = nil
	s.shut(f)
	s.need(f, credit.Final)
}

// shut stops a flow as charging said.
func (s *session) shut(f *flow) {
	f.left, f.threshold = 0, 0
	to := Cut
	if f.final.Action == credit.FinalRedirect && s.g.isPortal(f.final.Address) {
		to = Redirected
	}
	s.turn(f, to)
}

func (s *session) turn(f *flow, to State) {
	if f.State == to {
		return
	}
	f.State = to
	s.g.Log("gateway: %s group %d is %s after %d octets", s.address, f.group, to, f.Passed)
	select {
	case s.g.events <- Event{time.Now(), s.address, f.group, to}:
	default:
	}
}

// need asks for quota, unless that is asked for already.
func (s *session) need(f *flow, why credit.Reason) {
	if f.asking {
		return
	}
	s.want(f, why)
	s.ask()
}

// want has the next request ask for quota.
func (s *session) want(f *flow, why credit.Reason) {
	if !f.report {
		f.asking, f.report, f.reason = true, true, why
	}
}

// ask sends what is to be said, one request at a time.
func (s *session) ask() {
	if s.busy || s.g.byName[s.name] != s {
		return
	}
	if s.ended && s.number == 0 {
		s.g.forget(s) // charging never heard of it
		return
	}
	call := &credit.Call{Done: s.answered}
	r := &call.Request
	*r = credit.Request{Kind: credit.Update, Service: credit.Data, Numbered: true, Number: s.number, Session: []byte(s.name), PLMN: s.g.PLMN,
		Context: []byte("32251@3gpp.org"), Subscribers: []credit.Subscriber{{Type: credit.IMSI, ID: []byte(s.imsi)}}}
	switch {
	case s.ended:
		r.Kind = credit.Terminate
	case s.number == 0:
		r.Kind = credit.Initial
	}
	for _, f := range s.flows {
		if f.report || s.ended {
			s.say(r, f)
		}
	}
	if len(r.Units) == 0 && !s.ended {
		return
	}
	s.number++
	s.busy = true
	s.g.done.Go(func() { s.g.Charger.Charge(call) })
}

// say puts a flow into a request.
func (s *session) say(r *credit.Request, f *flow) {
	u := r.AddUnit()
	u.HasGroup, u.Group, u.Asked = true, f.group, !s.ended
	if f.granted {
		why := f.reason
		if s.ended {
			why = credit.Final
		}
		u.Used = append(u.Used, credit.Used{Units: credit.Units{Has: credit.HasTotal, Total: f.used}, Reason: why})
	}
	f.sent, f.used, f.report = f.used, 0, false
}

// answered takes an answer; it is called by the connection's reader.
func (s *session) answered(call *credit.Call) {
	g := s.g
	g.mu.Lock()
	defer g.mu.Unlock()
	s.busy = false
	if r := call.Answer.Result; r != credit.Success {
		g.Log("gateway: request %d of %s: %v %s", call.Request.Number, s.imsi, r, call.Answer.Reason)
	}
	if call.Request.Kind == credit.Terminate {
		for _, f := range s.flows {
			s.settle(f, call.Answer.Result)
		}
		g.forget(s)
		return
	}
	for i := range call.Request.Units {
		f := s.flows[call.Request.Units[i].Group]
		f.asking = f.report
		s.settle(f, call.Answer.Result)
	}
	for i := range call.Answer.Units {
		if f := s.flows[call.Answer.Units[i].Group]; f != nil {
			s.granted(f, &call.Answer.Units[i])
		}
	}
	s.ask()
}

// settle notes that a report was taken. Without one the flow is cut, and what it has
// used is said with the end of the session.
func (s *session) settle(f *flow, r credit.Result) {
	n := f.sent
	f.sent = 0
	if r == credit.Success {
		f.Reported += n
		return
	}
	f.used += n
	f.final = credit.FinalUnit{Action: credit.FinalTerminate}
	f.waiting = nil
	s.shut(f)
}

// granted puts a grant in the place of the one before (RFC 8506 5.3). What passed
// since the report is part of it.
func (s *session) granted(f *flow, g *credit.Granted) {
	f.final = g.Final
	f.valid = time.Time{}
	if g.Validity > 0 {
		f.valid = time.Now().Add(time.Duration(g.Validity) * time.Second)
	}
	if g.Result != credit.Success {
		f.final = credit.FinalUnit{Action: credit.FinalTerminate}
	}
	f.granted = true
	f.Grants++
	f.left, f.threshold = g.Grant.Total-min(g.Grant.Total, f.used), g.Threshold.Total
	if f.final.Action != credit.NotFinal && f.left < mtu { // no packet is sure to fit: it is the end already
		f.waiting = nil
		s.shut(f)
		return
	}
	s.turn(f, Open)
	ready := f.waiting
	f.waiting = nil
	for _, w := range ready {
		s.take(f, w)
	}
}
