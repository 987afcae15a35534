package bench

import (
	"context"
	"fmt"
	"math/bits"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"tandem/bss/charging/core"
	"tandem/edge/credit"
)

// traffic is callers kept busy for a time: closed (each asks again when it was answered)
// or paced (open loop: a request is due at its instant whatever became of those
// before, and is timed from that instant on, also if it had to wait for a caller).
type traffic struct {
	rig  *chargingRig
	do   func(*caller) // makes a caller's next request and sends it
	ends time.Time
	most int64 // requests after which it ends as well; 0: any number

	count atomic.Int64
	bad   atomic.Int64
	took  spread
	live  sync.WaitGroup
	idle  chan *caller  // paced: those who wait for a request, the longest first
	over  chan struct{} // closed when no more requests are sent

	late     int64         // requests due while all callers waited for answers
	unsent   int64         // of which so many were never sent
	duration time.Duration // until the last answer
}

// run keeps callers busy; rate 0 is as fast as they are answered.
func (r *chargingRig) run(d time.Duration, callers, rate int, most int64, do func(*caller)) *traffic {
	r.loads++
	began := time.Now()
	l := &traffic{rig: r, do: do, ends: began.Add(d), most: most, over: make(chan struct{})}
	all := make([]*caller, callers)
	for w := range all {
		c := &caller{load: l, worker: w, dice: rand.New(rand.NewPCG(uint64(r.loads), uint64(w)))}
		c.call.Own, c.call.Done = c, c.answered
		all[w] = c
	}
	if rate > 0 {
		l.idle = make(chan *caller, callers)
		for _, c := range all {
			l.idle <- c
		}
		l.pace(began, rate)
		close(l.over)
	} else {
		l.live.Add(callers)
		for _, c := range all {
			c.next(time.Now())
		}
	}
	l.live.Wait()
	l.duration = time.Since(began)
	return l
}

// patience is how long after the end requests may still wait for a caller.
var patience = 5 * time.Second

// pace sends requests at the instants they are due.
func (l *traffic) pace(began time.Time, rate int) {
	for i := int64(0); ; i++ {
		due := began.Add(time.Duration(float64(i) / float64(rate) * 1e9))
		if !due.Before(l.ends) || l.most > 0 && i >= l.most {
			return
		}
		if wait := time.Until(due); wait > 0 {
			time.Sleep(wait)
		}
		c := l.free()
		if c == nil {
			l.unsent = (l.ends.Sub(due).Nanoseconds()*int64(rate) + 1e9 - 1) / 1e9
			l.late += l.unsent - 1 // the first was counted when nobody was free
			return
		}
		l.live.Add(1)
		c.next(due)
	}
}

// free is the caller who has waited longest; if none is free, the request is late.
func (l *traffic) free() *caller {
	select {
	case c := <-l.idle:
		return c
	default:
	}
	l.late++
	select {
	case c := <-l.idle:
		return c
	case <-time.After(time.Until(l.ends.Add(patience))):
		return nil
	}
}

// perSecond is the requests answered in a second.
func (l *traffic) perSecond() float64 { return float64(l.count.Load()) / l.duration.Seconds() }

// caller is a gateway's requests, one at a time.
type caller struct {
	load    *traffic
	worker  int
	call    credit.Call
	due     time.Time
	round   int    // sessions or events begun
	number  uint32 // of the request in its session
	account int
	name    []byte
	msisdn  []byte
	dice    *rand.Rand
	held    uint32 // charglt: what is to be known of the account; see chargingRig.busy
}

const updates = 8 // of a session

func (c *caller) next(due time.Time) {
	c.due = due
	c.load.do(c)
}

func (c *caller) answered(call *credit.Call) {
	c.ended(call.Answer.Result == credit.Success && (len(call.Answer.Units) == 0 || call.Answer.Units[0].Result == credit.Success))
}

// ended is told how a request ended, and goes on to the next one.
func (c *caller) ended(ok bool) {
	l, now := c.load, time.Now()
	c.letGo()
	l.took.add(now.Sub(c.due))
	if !ok {
		l.bad.Add(1)
	}
	n := l.count.Add(1)
	switch {
	case l.idle != nil:
		l.live.Done()
		l.idle <- c // there is room for all of them
	case now.After(l.ends), l.most > 0 && n >= l.most:
		l.live.Done()
	default:
		c.next(now)
	}
}

// sessions goes on with the caller's session: one initial request, updates that each
// report a megabyte and ask for more, one that ends it; then another account's.
func sessions(pick func(*caller) int) func(*caller) {
	return func(c *caller) {
		if c.number == 0 {
			c.begin(pick(c))
		}
		kind, number := credit.Update, c.number
		switch number {
		case 0:
			kind = credit.Initial
		case updates + 1:
			kind = credit.Terminate
		}
		c.data(kind, number)
		if c.number++; kind == credit.Terminate {
			c.number = 0
		}
		c.load.rig.charge.Charge(&c.call)
	}
}

// begin names a new session on an account.
func (c *caller) begin(account int) {
	c.round++
	c.account = account
	c.name = fmt.Appendf(c.name[:0], gateway+";%d;%d;%d;%d", c.load.rig.began.UnixNano(), c.load.rig.loads, c.worker, c.round)
	c.msisdn = fmt.Append(c.msisdn[:0], firstNumber+c.account)
}

// data fills in a request of a data session.
func (c *caller) data(kind credit.Kind, number uint32) {
	r := c.request(kind, credit.Data, dataContext)
	r.Number, r.Digest = number, uint64(number)
	u := r.AddUnit()
	u.HasGroup, u.Group, u.Asked = true, group, kind != credit.Terminate
	if kind != credit.Initial {
		u.Used = append(u.Used, credit.Used{Units: credit.Units{Has: credit.HasTotal, Total: mib}})
	}
}

func (c *caller) request(kind credit.Kind, service credit.Service, context []byte) *credit.Request {
	r := &c.call.Request
	r.Reset()
	r.Kind, r.Service, r.Numbered, r.PLMN, r.Peer, r.Session, r.Context = kind, service, true, 240001, peerName, c.name, context
	r.Subscribers = append(r.Subscribers, credit.Subscriber{Type: credit.E164, ID: c.msisdn})
	return r
}

// message is an event: one text message, paid at once.
func message(c *caller) {
	c.begin(c.load.rig.pick(c))
	r := c.request(credit.Event, credit.SMS, textContext)
	r.Action, r.Called = credit.Debit, called
	r.Digest = uint64(c.round)
	u := r.AddUnit()
	u.Asked, u.Want = true, credit.Units{Has: credit.HasEvents, Events: 1}
	c.load.rig.charge.Charge(&c.call)
}

var (
	peerName    = []byte(gateway)
	dataContext = []byte("32251@3gpp.org")
	textContext = []byte("32274@3gpp.org")
	called      = []byte("46701234567")
)

// pick is the account of a caller's next session: each in turn, in an order that has
// nothing to do with how they lie in memory.
func (r *chargingRig) pick(c *caller) int {
	i := uint64(c.worker) + uint64(c.round)*uint64(r.o.Callers)
	return int(i % uint64(r.o.Accounts) * stride % uint64(r.o.Accounts))
}

const stride = 1_000_000_007 // a prime, so that every account has its turn

// ofFamily is the one wallet of a family, by one of its lines.
func (r *chargingRig) ofFamily(c *caller) int { return r.o.Accounts + c.worker%family }

const family = 8 // lines of the one wallet

// charglt is the mix of the voltdb-charglt benchmark: an account by chance, four
// times in five it reports use and reserves more, else it is given credit.
func charglt(c *caller) {
	c.hold()
	if c.dice.IntN(5) == 0 {
		go c.topUp()
		return
	}
	number := c.held >> 1
	c.name = fmt.Appendf(c.name[:0], gateway+";%d;%d", c.load.rig.began.UnixNano(), c.account)
	c.msisdn = fmt.Append(c.msisdn[:0], firstNumber+c.account)
	kind := credit.Update
	if number == 0 {
		kind = credit.Initial
	}
	c.data(kind, number)
	c.held += 2
	c.load.rig.charge.Charge(&c.call)
}

// hold gives the caller an account by chance that no other caller has at the moment.
func (c *caller) hold() {
	for {
		c.account = c.dice.IntN(len(c.load.rig.busy))
		c.held = c.load.rig.busy[c.account].Load()
		if c.held&1 == 0 && c.load.rig.busy[c.account].CompareAndSwap(c.held, c.held|1) {
			return
		}
	}
}

// letGo lets others have the account, and remembers the number of its next request.
func (c *caller) letGo() {
	if c.load.rig.busy != nil {
		c.load.rig.busy[c.account].Store(c.held)
	}
}

// topUp gives the caller's account credit, as an order of the business does.
func (c *caller) topUp() {
	_, err := c.load.rig.Charging.Engine.Run(context.Background(), core.Command{Ref: refOf(c.account), Do: func(h *core.Hand) error {
		return h.Credit(mainBucket, topUpOf, core.TopUp, "bench", 0)
	}})
	c.ended(err == nil)
}

const (
	mainBucket = 1             // the first of an account
	topUpOf    = 1_000_000_000 // 10^-9
)

// spread counts durations, each within a thirtieth: the count of slot i is that of
// all from one microsecond after slot i-1 up to upper(i).
type spread [64 * 32]atomic.Int64

func (s *spread) add(d time.Duration) { s[slotOf(uint64(max(d, 0).Microseconds()))].Add(1) }

func slotOf(us uint64) int {
	shift := max(bits.Len64(us)-6, 0)
	return shift*32 + int(us>>shift)
}

// upper is the longest duration of a slot, microseconds.
func upper(slot int) uint64 {
	if slot < 64 {
		return uint64(slot)
	}
	shift := slot/32 - 1
	return uint64(slot-shift*32+1)<<shift - 1
}

// percentile is a duration that so many of all do not exceed, in milliseconds.
func (s *spread) percentile(p float64) float64 {
	all := int64(0)
	for i := range s {
		all += s[i].Load()
	}
	seen, last := int64(0), 0
	for i := range s {
		n := s[i].Load()
		if n == 0 {
			continue
		}
		last = i
		if seen += n; float64(seen) >= p*float64(all) {
			break
		}
	}
	return float64(upper(last)) / 1000
}
