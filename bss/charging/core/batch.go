package core

import (
	"errors"
	"math"
	"slices"
	"sync"
	"sync/atomic"

	"tandem/edge/credit"
)

// Posts are records of one file that are charged together: use that has happened. A
// shard is locked once for all of them, and what they change is one record of the
// journal for each shard and brand.
//
// The engine does not keep what it answered to them. Whoever hands them over finds
// them again by file, place and part in what the journal says (MovePost), and hands
// over only what is not there.
type Posts struct {
	File uint64 // its number
	Len  int
	// Fill makes a request of the i-th record: an event that is posted. It may be
	// called twice. place is where the record stands in the file.
	Fill func(i int, r *credit.Request) (place uint64)
	// Before says that a use of the i-th record was charged before, when its file was
	// interrupted; nil: none was.
	Before func(i, part int) bool
	// Refused is told each use of which nothing is charged, and why: Busy if nothing
	// was decided and it is to be handed over again. A shard is locked meanwhile.
	Refused func(i, part int, why credit.Result)
	// Done is told when what was decided is durable, or with ErrLost that it may not be.
	Done func(error)
}

// ErrLost says that what was decided may not have become durable.
var ErrLost = errors.New("charging: what was decided may be lost; the journal says whether it is")

// Posted is one use of a record of a file, as the journal keeps it.
type Posted struct {
	File     uint64
	Place    uint64 // of the record in the file
	Part     int    // of the use in the record
	Number   uint32 // of a partial record, as its writer counts
	Sub      uint16
	Service  credit.Service
	HasGroup bool
	Anew     bool // the first of its rating group in the record: its price stands alone
	Group    uint32
	PLMN     uint32
	Tariff   uint32
	Rate     uint32
	Priced   uint64 // units that money was taken for
	At       int64  // Unix microseconds
	Totals   Totals
	Session  []byte // what the writer calls the session
	Called   []byte
	Raw      []byte // all of it but File, as it is written
}

// posting is the memory of one ChargeAll.
type posting struct {
	*Posts
	e       *Engine
	at      int64
	keys    []uint64 // shard, slot and index of a record
	nobody  []int
	outcome func(error) // of each record of the journal
	left    *atomic.Int32
	request credit.Request
	session Session
	use     Posted
}

var postings = sync.Pool{New: func() any { return &posting{} }}

// ChargeAll decides on records of a file. It does not block but for the locks of
// the shards; the records of an account are charged in their order.
func (e *Engine) ChargeAll(b *Posts) {
	e.Stats.Calls.Add(int64(b.Len))
	p := postings.Get().(*posting)
	defer postings.Put(p)
	p.Posts, p.e, p.at = b, e, e.now()
	p.expect()
	p.sort()
	for from := 0; from < len(p.keys); {
		to := from + 1
		for to < len(p.keys) && p.keys[to]>>56 == p.keys[from]>>56 {
			to++
		}
		p.chargeIn(e.shards[p.keys[from]>>56], p.keys[from:to])
		from = to
	}
	for _, i := range p.nobody {
		p.unknown(i)
	}
	last := p.outcome
	p.Posts, p.outcome, p.left = nil, nil, nil
	last(nil)
}

// expect counts the records of the journal that are under way, and this call: the
// last of them tells what became of all.
func (p *posting) expect() {
	left, lost, done := &atomic.Int32{}, &atomic.Bool{}, p.Done
	left.Store(1)
	p.left = left
	p.outcome = func(err error) {
		if err != nil {
			lost.Store(true)
		}
		if left.Add(-1) > 0 {
			return
		}
		if lost.Load() {
			done(ErrLost)
			return
		}
		done(nil)
	}
}

// submit gives a record of the journal to the writer.
func (p *posting) submit(sh *shard, t *turn) {
	p.left.Add(1)
	t.after = append(t.after, effect{done: p.outcome})
	p.e.submit(sh, t, nil)
}

// sort finds the accounts of all records, and puts the records in the order of them.
func (p *posting) sort() {
	p.keys, p.nobody = p.keys[:0], p.nobody[:0]
	for i := range p.Len {
		p.Fill(i, &p.request)
		ref, known := p.e.names.find(p.request.Subscribers)
		if !known {
			p.nobody = append(p.nobody, i)
			continue
		}
		p.keys = append(p.keys, uint64(ref.Shard())<<56|uint64(ref.Slot())<<32|uint64(i))
	}
	slices.Sort(p.keys)
}

// refuse tells of all uses of a record that were not charged before.
func (p *posting) refuse(i int, r *credit.Request, why credit.Result) {
	for part := range r.Units {
		if p.Before == nil || !p.Before(i, part) {
			p.Refused(i, part, why)
		}
	}
}

// chargeIn charges the records of one shard.
func (p *posting) chargeIn(sh *shard, keys []uint64) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if !sh.held.Load() {
		for _, k := range keys {
			p.Fill(int(uint32(k)), &p.request)
			p.refuse(int(uint32(k)), &p.request, credit.Busy)
		}
		return
	}
	t := p.e.turn(sh, nil, nil, p.at)
	t.once = true
	for _, k := range keys {
		i, slot := int(uint32(k)), uint32(k>>32)&(slots-1)
		place := p.Fill(i, &p.request)
		account := sh.account(slot)
		if account == nil {
			p.refuse(i, &p.request, credit.UnknownUser)
			continue
		}
		if account != t.a {
			if t.a != nil && t.a.Tenant != account.Tenant {
				p.hand(sh, t)
			}
			p.turnTo(t, account)
			sh.soil(slot)
		}
		p.charge(t, i, place)
	}
	p.hand(sh, t)
}

// turnTo goes on with another account.
func (p *posting) turnTo(t *turn, account *Account) {
	if len(t.log) == 0 {
		t.op(opFile)
		t.log = putU(t.log, p.File)
		t.slot = account.slot // of the record: its first account
	}
	t.op(opAccountIs)
	t.log = putU(t.log, uint64(account.slot))
	t.a = account
}

// hand gives what was decided so far to the writer, as one record.
func (p *posting) hand(sh *shard, t *turn) {
	if t.a != nil {
		p.submit(sh, t)
		t.a, t.log, t.after = nil, t.log[:0], t.after[:0]
	}
}

// charge charges the uses of one record.
func (p *posting) charge(t *turn, i int, place uint64) {
	r := &p.request
	sub := t.who(r)
	if sub == nil {
		t.suspendAll(NoSubscriber, r, nil)
		p.refuse(i, r, credit.UnknownUser)
		return
	}
	if res := t.allowed(r, sub); res != credit.Success {
		p.refuse(i, r, res)
		return
	}
	t.plan = sub.Plan
	s := &p.session
	*s = Session{Sub: sub.ID, Service: r.Service, Face: r.Face, PLMN: r.PLMN, RAT: r.RAT, Incoming: r.Incoming, Offline: true, Groups: s.Groups[:0], account: t.a}
	t.s = s
	for part := range r.Units {
		if p.Before != nil && p.Before(i, part) {
			continue
		}
		if res := p.chargeUse(t, r, part, place); res != credit.Success {
			p.Refused(i, part, res)
		}
	}
}

// chargeUse charges one use, and writes down what it was and what it cost.
func (p *posting) chargeUse(t *turn, r *credit.Request, part int, place uint64) credit.Result {
	u := &r.Units[part]
	gi := t.groupOf(u)
	g := &t.s.Groups[gi]
	x := &p.use
	*x = Posted{Place: place, Part: part, Number: r.Number, Sub: t.s.Sub, Service: r.Service, HasGroup: u.HasGroup, Group: u.Group, PLMN: r.PLMN,
		Anew: g.Priced == 0 && g.Charged == 0, Session: r.Session, Called: r.Called, At: r.At}
	was, priced := g.Total, g.Priced
	t.debits, t.holds, t.split = t.debits[:0], t.holds[:0], false
	res := credit.Success
	for j := range u.Used {
		if one := t.settle(gi, r, u, &u.Used[j]); one != credit.Success {
			res = one
		}
		if u.Used[j].At != 0 {
			x.At = u.Used[j].At
		}
	}
	g = &t.s.Groups[gi]
	if g.Total == was {
		return res
	}
	x.Tariff, x.Rate, x.Priced, x.Totals = g.Tariff, g.Rate, g.Priced-priced, g.Total.less(&was)
	t.op(opPost)
	t.log = putPosted(t.log, x)
	return res
}

// affords says that n units can be paid for, before any is taken: use of a file is
// charged as a whole, or not at all.
func (t *turn) affords(gi int, rt rate, n uint64) bool {
	if rt.Zero {
		return true
	}
	if _, err := t.price(gi, rt, n); err == nil && t.main() >= 0 {
		return true
	}
	money, err := t.price(gi, rt, n-t.covered(rt, n))
	return err == nil && t.canPay(rt, money)
}

// covered is how many of n units buckets of units would pay for.
func (t *turn) covered(rt rate, n uint64) uint64 {
	if rt.unit() == Money { // a sum is what is priced, not what is drawn
		return 0
	}
	all := int64(min(n, math.MaxInt64))
	rest, room := all, t.room(rt)
	t.eligible(rt.unit(), rt.class)
	for _, b := range t.order {
		rest -= room.take(t, b, max(0, min(t.a.Buckets[b].free(), rest, room.of(t, b))))
	}
	return uint64(all - rest)
}

// less is what was added since.
func (t Totals) less(was *Totals) Totals {
	return Totals{t.Seconds - was.Seconds, t.Total - was.Total, t.Input - was.Input, t.Output - was.Output, t.Events - was.Events, t.Money - was.Money}
}

// soil marks the page of an account as changed by a record that has marked the shard.
func (sh *shard) soil(slot uint32) {
	page := int(slot / pageSize)
	for page >= len(sh.dirty) {
		sh.dirty = append(sh.dirty, false)
	}
	sh.dirty[page] = true
}

// unknown puts a record of nobody into suspense. Only if all shards are here is
// nobody known by its names.
func (p *posting) unknown(i int) {
	p.Fill(i, &p.request)
	r := &p.request
	sh := p.e.shards[textHash(r.Session)>>56]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if !sh.held.Load() || !p.e.holdsAll() {
		p.refuse(i, r, credit.Busy)
		return
	}
	if _, known := p.e.names.find(r.Subscribers); known {
		p.refuse(i, r, credit.Busy) // it has become known meanwhile
		return
	}
	p.e.Stats.Unknown.Add(1)
	t := p.e.turn(sh, nil, nil, p.at)
	t.suspendAll(NoSubscriber, r, nil)
	p.submit(sh, t)
	p.refuse(i, r, credit.UnknownUser)
}

const (
	postedGroup = 1 << iota
	postedAnew
	postedVolumes // octets by direction
	postedNumber
	postedMoney
	postedSum    // the octets are those of both directions
	postedPriced // money was taken for all octets
	postedWhole  // its instant is a whole second
)

// putPosted writes a use. What most have is written always.
func putPosted(b []byte, x *Posted) []byte {
	flags := byte(0)
	for i, set := range [...]bool{x.HasGroup, x.Anew, x.Totals.Input|x.Totals.Output != 0, x.Number != 0, x.Totals.Money != 0 || x.Priced != 0,
		x.Totals.Total == x.Totals.Input+x.Totals.Output, x.Priced == x.Totals.Total, x.At%1e6 == 0} {
		if set {
			flags |= 1 << i
		}
	}
	b = append(b, flags, byte(x.Service))
	b = putU(putU(putU(b, x.Place), uint64(x.Part)), uint64(x.Sub))
	b = putU(putU(putU(putU(b, uint64(x.Group)), uint64(x.PLMN)), uint64(x.Tariff)), uint64(x.Rate))
	if flags&postedWhole != 0 {
		b = putI(b, x.At/1e6)
	} else {
		b = putI(b, x.At)
	}
	b = putU(putU(b, x.Totals.Seconds), x.Totals.Events)
	if flags&postedSum == 0 {
		b = putU(b, x.Totals.Total)
	}
	if flags&postedVolumes != 0 {
		b = putU(putU(b, x.Totals.Input), x.Totals.Output)
	}
	if flags&postedNumber != 0 {
		b = putU(b, uint64(x.Number))
	}
	if flags&postedPriced == 0 {
		b = putU(b, x.Priced)
	}
	if flags&postedMoney != 0 {
		b = putI(b, x.Totals.Money)
	}
	return putS(putS(b, x.Session), x.Called)
}

func (r *reader) posted(x *Posted) {
	from := r.b
	flags := r.byte()
	*x = Posted{File: x.File, HasGroup: flags&postedGroup != 0, Anew: flags&postedAnew != 0, Service: credit.Service(r.byte()),
		Place: r.u(), Part: int(r.u()), Sub: uint16(r.u()), Group: uint32(r.u()), PLMN: uint32(r.u()), Tariff: uint32(r.u()), Rate: uint32(r.u())}
	if x.At = r.i(); flags&postedWhole != 0 {
		x.At *= 1e6
	}
	x.Totals.Seconds, x.Totals.Events = r.u(), r.u()
	if flags&postedSum == 0 {
		x.Totals.Total = r.u()
	}
	if flags&postedVolumes != 0 {
		x.Totals.Input, x.Totals.Output = r.u(), r.u()
	}
	if flags&postedNumber != 0 {
		x.Number = uint32(r.u())
	}
	if flags&postedSum != 0 {
		x.Totals.Total = x.Totals.Input + x.Totals.Output
	}
	if x.Priced = x.Totals.Total; flags&postedPriced == 0 {
		x.Priced = r.u()
	}
	if flags&postedMoney != 0 {
		x.Totals.Money = r.i()
	}
	x.Session, x.Called = r.bytes(), r.bytes()
	x.Raw = from[:len(from)-len(r.b)]
}

// EachPosted calls fn with the uses in a row of Raw ones, until it is false. What it is given is valid until then.
func EachPosted(raw []byte, fn func(*Posted) bool) error {
	in, x := reader{b: raw}, Posted{}
	for len(in.b) > 0 {
		if in.posted(&x); in.err != nil {
			return in.err
		}
		if !fn(&x) {
			return nil
		}
	}
	return nil
}
