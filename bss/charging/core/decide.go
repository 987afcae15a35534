package core

import (
	"math"

	"tandem/bss/rating"
	"tandem/edge/credit"
)

// Defaults of a grant where the rate leaves the choice to the engine.
const (
	defaultValidity = 3600 // seconds
	defaultOctets   = 10 << 20
	defaultSeconds  = 300
	defaultEvents   = 1
	lateReport      = 2 // validities without a report after which a session is stale (Tcc, RFC 8506 13)
)

// plausible is the most that one report can say: 64 PiB, or two billion years. What
// is above is a broken counter.
const plausible = 1 << 56

// decideUnits answers the groups of a request of a session and makes its moves: all
// that was used is charged first, where it was used, then grants are made. late: a
// newer request was answered already, so nothing is granted, and the grants stay.
func (e *Engine) decideUnits(t *turn, r *credit.Request, a *credit.Answer, sub *Subscriber, late bool) {
	refused := t.allowed(r, sub)
	for i := range r.Units {
		t.charge(r, &r.Units[i], a.AddUnit(&r.Units[i]), late)
	}
	if !late {
		t.changeNetwork(r)
	}
	for i := range r.Units {
		u, g := &r.Units[i], &a.Units[i]
		switch {
		case refused != credit.Success:
			g.Result = refused
		case late || g.Result != credit.Success || !u.Asked || r.Kind == credit.Terminate:
		default:
			t.quota(t.groupOf(u), r, u, g)
		}
	}
	a.Result = refused
	if len(a.Units) > 0 {
		a.Result = overall(a)
	}
}

// allowed says whether the subscriber may use anything now.
func (t *turn) allowed(r *credit.Request, sub *Subscriber) credit.Result {
	switch state := max(t.a.State, t.a.Stage, sub.State); {
	case state == Closed && r.Kind != credit.Terminate:
		return credit.UnknownUser
	case state == Barred, state == Inbound && !t.incoming(r):
		if r.Kind == credit.Terminate || r.Kind == credit.Event && (r.Action == credit.Post || r.Action == credit.Refund) {
			return credit.Success
		}
		return credit.Denied
	}
	return credit.Success
}

// incoming says that the session was begun by the other side.
func (t *turn) incoming(r *credit.Request) bool {
	return r.Incoming || t.s != nil && t.s.Incoming
}

// overall is the result of the command: what is partly processed is success, and
// each group says its own (RFC 8506 8.16); without groups the one result is the
// command's own.
func overall(a *credit.Answer) credit.Result {
	if len(a.Units) == 1 && !a.Units[0].HasGroup {
		return a.Units[0].Result
	}
	return credit.Success
}

// changeNetwork goes on in another network: a partial record is cut, because the
// price may change (TS 32.255). What was reported in this request was used in the
// old one.
func (t *turn) changeNetwork(r *credit.Request) {
	plmn, rat := t.s.PLMN, t.s.RAT
	if r.PLMN != 0 {
		plmn = r.PLMN
	}
	if r.RAT != 0 {
		rat = r.RAT
	}
	if plmn == t.s.PLMN && rat == t.s.RAT {
		return
	}
	for i := range t.s.Groups {
		if t.s.Groups[i].Total == (Totals{}) {
			continue
		}
		cause := PLMNChange
		if plmn == t.s.PLMN {
			cause = RATChange
		}
		t.part(cause)
		break
	}
	t.moved(plmn, rat)
}

// charge settles what one group used: containers in the order of the client. What
// the grant held is free again, unless a newer request has made another grant.
func (t *turn) charge(r *credit.Request, u *credit.Unit, g *credit.Granted, late bool) {
	gi := t.groupOf(u)
	t.holds, t.split = t.holds[:0], false
	if !late {
		t.free(gi)
	}
	inOrder(u.Used)
	for i := range u.Used {
		if res := t.settle(gi, r, u, &u.Used[i]); res != credit.Success {
			g.Result = res
		}
	}
}

// inOrder sorts containers by their local sequence number (N4); those without one
// stay where they are.
func inOrder(list []credit.Used) {
	for i := 1; i < len(list); i++ {
		for j := i; j > 0 && list[j].Seq != 0 && list[j].Seq < list[j-1].Seq; j-- {
			list[j], list[j-1] = list[j-1], list[j]
		}
	}
}

func (t *turn) groupOf(u *credit.Unit) int {
	for i := range t.s.Groups {
		if g := &t.s.Groups[i]; g.ID == u.Group && g.Has == u.HasGroup {
			return i
		}
	}
	return t.addGroup(u.Group, u.HasGroup)
}

// context is what prices are looked up by, at an instant (Unix seconds).
func (t *turn) context(r *credit.Request, u *credit.Unit, service uint32, at int64) rating.Context {
	c := rating.Context{Service: t.s.Service, Group: u.Group, HasGroup: u.HasGroup, ServiceID: service, PLMN: t.s.PLMN, At: at, Direction: rating.Outgoing,
		Called: r.Called, Access: r.Access}
	if t.incoming(r) {
		c.Direction = rating.Incoming
	}
	if called := t.s.Called(); len(c.Called) == 0 && called != "" {
		t.called = append(t.called[:0], called...)
		c.Called = t.called
	}
	if access := t.s.text(textAccess); len(c.Access) == 0 && access != "" {
		t.access = append(t.access[:0], access...)
		c.Access = t.access
	}
	if c.ServiceID == 0 && len(u.Services) > 0 {
		c.ServiceID = u.Services[0]
	}
	if c.PLMN == 0 {
		c.PLMN = t.book.homeOf(t.a.Tenant)
	}
	return c
}

// settle charges one report. Use is never clipped (Q3).
func (t *turn) settle(gi int, r *credit.Request, u *credit.Unit, x *credit.Used) credit.Result {
	at := t.saidAt(r, x)
	totals := Totals{Seconds: x.Seconds, Input: x.Input, Output: x.Output, Events: x.Events}
	octets, fits := x.Octets()
	totals.Total = octets
	if x.Has&(credit.HasTotal|credit.HasInput|credit.HasOutput) != 0 && !fits || !totals.plausible() || x.Money < 0 {
		t.suspend(Implausible, r, u, &totals)
		return credit.BadValue
	}
	if x.Cumulative {
		if ok := t.grown(gi, &totals, x.Narrow, at); !ok {
			t.suspend(Implausible, r, u, &totals)
			return credit.Success
		}
	}
	if x.Has&credit.HasMoney != 0 && x.Currency != 0 && x.Currency != t.a.Currency {
		t.suspend(NoRate, r, u, &totals)
		return credit.BadValue
	}
	rt, ok := t.rateOf(gi, r, u, x, at)
	if !ok {
		if totals != (Totals{}) && (!t.once || r.Action == credit.Post) {
			t.suspend(NoRate, r, u, &totals)
		}
		if t.unrated(u) != nil && !t.s.offline() {
			return credit.Success
		}
		return credit.RatingFailed
	}
	n, ok := amountOf(rt, &totals, &x.Units)
	if !ok && totals != (Totals{}) && !rt.Zero && !beside(rt, u) {
		return t.unpriced(r, u, &totals)
	}
	if r.Face == credit.File && !t.affords(gi, rt, n) { // its case says all of it
		t.suspend(NoRate, r, u, &totals)
		return credit.RatingFailed
	}
	if rest := t.take(gi, rt, n, at, x.Service, &totals); rest > 0 {
		t.suspend(NoRate, r, u, &Totals{Total: rest})
		return credit.RatingFailed
	}
	return credit.Success
}

// beside says that the unit of a rate was reported too: what else was, such as the
// seconds of a volume, is only for the record.
func beside(rt rate, u *credit.Unit) bool {
	for i := range u.Used {
		if _, ok := rt.amount(&u.Used[i].Units); ok {
			return true
		}
	}
	return false
}

// unpriced takes down use in a unit that its rate does not price. A client with a
// grant keeps it: a person finds out what it meant.
func (t *turn) unpriced(r *credit.Request, u *credit.Unit, totals *Totals) credit.Result {
	if !t.once || r.Action == credit.Post {
		t.suspend(NoRate, r, u, totals)
	}
	if t.once || t.s.offline() {
		return credit.RatingFailed
	}
	return credit.Success
}

// find is the rate of a context now, if it is in the account's currency.
func (t *turn) find(c *rating.Context) (rate, bool) {
	rt, ok := t.book.find(t.plan, c)
	if ok && !rt.Zero && rt.Currency != t.a.Currency {
		return rate{}, false
	}
	return rt, ok
}

// amountOf is how much of the rate's unit was used.
func amountOf(rt rate, totals *Totals, u *credit.Units) (uint64, bool) {
	switch rt.unit() {
	case Octets:
		return totals.Total, u.Has&(credit.HasTotal|credit.HasInput|credit.HasOutput) != 0
	case Seconds:
		return totals.Seconds, u.Has&credit.HasSeconds != 0
	case Money:
		return uint64(u.Money), u.Has&credit.HasMoney != 0 && u.Money >= 0
	}
	return totals.Events, u.Has&credit.HasEvents != 0
}

// fastest is the most octets a second one session can carry: 10 Gbit/s.
const fastest = 10_000_000_000 / 8

// growth is what a report of counters since the session began is.
type growth uint8

const (
	grew  growth = iota
	stale        // older than the one before: it says nothing
	anew         // a counter went down that cannot have wrapped: it is not believed, and counts from here
)

// growth is where counters since the session began stand, and what they grew by.
// Counters of 32 bits that went down have wrapped if the time between allows for it.
func (g *Group) growth(said Totals, narrow bool, at int64) (now, by Totals, how growth) {
	before, now := g.Reported, said
	if before != (Totals{}) && (at < g.Heard || at == g.Heard && less(&said, &before, narrow)) {
		return before, Totals{}, stale
	}
	for _, c := range [...]struct{ now, before *uint64 }{{&now.Input, &before.Input}, {&now.Output, &before.Output}} {
		if !narrow {
			continue
		}
		low, high := *c.before&math.MaxUint32, *c.before&^math.MaxUint32
		if *c.now < low && int64(*c.now+1<<32-low)*1000 <= fastest*min(max(1, (at-g.Heard)/1000), 1e9) {
			high += 1 << 32
		}
		*c.now += high
	}
	now.Total = now.Input + now.Output
	if now.Input < before.Input || now.Output < before.Output || now.Seconds < before.Seconds {
		return said, said, anew
	}
	by = Totals{Seconds: now.Seconds - before.Seconds, Input: now.Input - before.Input, Output: now.Output - before.Output}
	by.Total = by.Input + by.Output
	return now, by, grew
}

// grown takes off counters since the session began what they were before. It is
// false if they are not believed.
func (t *turn) grown(gi int, total *Totals, narrow bool, at int64) bool {
	now, by, how := t.s.Groups[gi].growth(*total, narrow, at)
	*total = by
	if how != stale {
		t.reported(gi, now, at)
	}
	return how != anew
}

// less says that counters stand lower than they did; those of 32 bits are compared
// as such.
func less(now, before *Totals, narrow bool) bool {
	mask := uint64(math.MaxUint64)
	if narrow {
		mask = math.MaxUint32
	}
	return now.Input < before.Input&mask || now.Output < before.Output&mask || now.Seconds < before.Seconds
}

// rateOf is what a report is priced by: the rate of the grant it was used under,
// unless the tariff has switched since (RFC 8506 8.27).
func (t *turn) rateOf(gi int, r *credit.Request, u *credit.Unit, x *credit.Used, at int64) (rate, bool) {
	g := &t.s.Groups[gi]
	old, was := rate{}, false
	if g.Tariff != 0 {
		old, was = t.book.byNumber(g.Tariff, g.Rate)
	}
	change := t.side(g, x, at)
	if was && (change == credit.Before || change == credit.NoChange && (x.Service == 0 || x.Service == g.Service)) {
		return old, true
	}
	c := t.context(r, u, x.Service, at/1e6)
	now, ok := t.find(&c)
	if !was || !ok || change != credit.Indeterminate || old.unit() != now.unit() {
		return now, ok
	}
	// The client did not split what it used: the cheaper price, for the customer.
	n, _ := now.amount(&x.Units)
	a, errA := old.Cost(g.Priced, n, t.counterOf(old, old.Counter, g.Priced), g.Charged)
	b, errB := now.Cost(g.Priced, n, t.counterOf(now, now.Counter, g.Priced), g.Charged)
	if errA == nil && (errB != nil || a < b) {
		return old, true
	}
	return now, true
}

// side is on which side of the tariff switch in its grant units were used. A client
// that closes a container at the switch has split there: that container was before
// it, and those that follow after (Q10).
func (t *turn) side(g *Group, x *credit.Used, at int64) credit.Change {
	switch {
	case x.Change != credit.NoChange:
		return x.Change
	case g.Switch == 0 || at < g.Switch:
		return credit.NoChange
	case x.At != 0 && at/1e6 == g.Switch/1e6:
		t.split = true
		return credit.Before
	case t.split:
		return credit.After
	}
	return credit.Indeterminate
}

// take charges n units at a rate: buckets of units first, then money. rest is what
// has no price: it is beyond what can be counted.
func (t *turn) take(gi int, rt rate, n uint64, at int64, service uint32, totals *Totals) (rest uint64) {
	x := used{tariff: rt.tariff.ID, rate: rt.ID, service: service, class: int32(rt.class), totals: *totals, at: at}
	t.leaveRate(gi, rt)
	if !rt.Zero {
		more := t.fromUnits(gi, rt, n)
		money, err := t.price(gi, rt, more)
		if err != nil || !t.canPay(rt, money) {
			rest, n = more, n-more
		} else {
			x.money, x.priced = money, more
			t.fromMoney(gi, rt, money)
		}
	}
	t.advance(rt, n, x.money)
	t.use(gi, &x)
	t.notices()
	t.gifts()
	return rest
}

// fromUnits takes units from the buckets that hold them: those reserved for this
// group first, then by order. It returns what none covered.
func (t *turn) fromUnits(gi int, rt rate, n uint64) uint64 {
	rest := int64(min(n, math.MaxInt64))
	unit := rt.unit()
	if unit == Money { // a sum is what is priced, not what is drawn
		return n
	}
	room := t.room(rt)
	for i := range t.holds {
		h := &t.holds[i]
		if h.Bucket == 0 || rest == 0 {
			continue
		}
		if b := t.a.bucket(h.Bucket); b >= 0 && t.unitOf(b) == unit {
			rest -= room.take(t, b, t.draw(b, min(h.Amount, t.a.Buckets[b].Value, rest, room.of(t, b))))
		}
	}
	rest = t.fromMates(gi, unit, rest)
	if rest > 0 {
		t.eligible(unit, rt.class)
		for _, b := range t.order {
			if rest == 0 {
				break
			}
			rest -= room.take(t, b, t.draw(b, min(t.a.Buckets[b].free(), rest, room.of(t, b))))
		}
	}
	return uint64(rest)
}

func (t *turn) draw(b int, n int64) int64 {
	if n <= 0 {
		return 0
	}
	k := &t.a.Buckets[b]
	if k.Pending {
		t.first(k.ID, t.now(), t.now()+t.book.definition(k.Def).FirstUse)
	}
	t.debit(k.ID, n)
	return n
}

func (t *turn) unitOf(b int) Unit {
	if d := t.book.definition(t.a.Buckets[b].Def); d != nil {
		return d.Unit
	}
	return Money
}

// price is what units cost that no bucket covered.
func (t *turn) price(gi int, rt rate, n uint64) (int64, error) {
	if n == 0 {
		return 0, nil
	}
	g := &t.s.Groups[gi] // what another rate priced before counts: a call has one set-up fee
	priced, charged := g.basis(rt)
	cost, err := rt.Cost(priced, n, t.counterOf(rt, rt.Counter, priced), charged)
	if err != nil {
		return 0, err
	}
	return rt.Capped(cost, t.spent(rt)), nil
}

// basis is how many units were priced before, and what for: none, if the network
// has changed and with it the price.
func (g *Group) basis(rt rate) (priced uint64, charged int64) {
	if g.Anew && g.Tariff != 0 && (g.Tariff != rt.tariff.ID || g.Rate != rt.ID) {
		return 0, 0
	}
	return g.Priced, g.Charged
}

// counterOf is where a tariff's counter stands in this account; one that starts
// with each session stands where the session does.
func (t *turn) counterOf(rt rate, counter int, priced uint64) uint64 {
	if counter < 0 || counter >= len(rt.tariff.counters) {
		return 0
	}
	if rt.tariff.Counters[counter].Reset == rating.Session {
		return priced
	}
	i := t.a.counter(rt.tariff.counters[counter], 0)
	if i < 0 {
		return 0
	}
	t.restart(i)
	return uint64(max(0, t.a.Counters[i].Value))
}

// spent is what the day cap of a rate has seen.
func (t *turn) spent(rt rate) int64 {
	if rt.DayCounter < 0 {
		return 0
	}
	return int64(t.counterOf(rt, rt.DayCounter, 0))
}

// fromMoney takes money: reserved first, then by order; the main balance takes the
// rest, below zero if it must.
func (t *turn) fromMoney(gi int, rt rate, cost int64) {
	if cost < 0 { // a volume price reached a cheaper step: the difference goes back
		if b := t.main(); b >= 0 {
			t.debit(t.a.Buckets[b].ID, cost)
		}
		return
	}
	for i := range t.holds {
		h := &t.holds[i]
		if h.Bucket == 0 || cost == 0 {
			continue
		}
		if b := t.a.bucket(h.Bucket); b >= 0 && t.unitOf(b) == Money {
			cost -= t.draw(b, min(h.Amount, t.a.Buckets[b].Value+t.a.Buckets[b].Limit, cost))
		}
	}
	if cost = t.fromMates(gi, Money, cost); cost == 0 {
		return
	}
	t.eligible(Money, rt.class)
	for _, b := range t.order {
		if cost == 0 {
			return
		}
		cost -= t.draw(b, min(t.a.Buckets[b].free(), cost))
	}
	if cost == 0 {
		return
	}
	if b := t.main(); b >= 0 {
		t.draw(b, cost)
	}
}

// canPay says that money can be taken somewhere: from the main balance, which takes
// anything, or if there is none from what other buckets of money have.
func (t *turn) canPay(rt rate, cost int64) bool {
	if cost == 0 || t.main() >= 0 {
		return true
	}
	have := int64(0)
	for _, h := range t.holds {
		if b := t.a.bucket(h.Bucket); h.Bucket != 0 && b >= 0 && t.unitOf(b) == Money {
			have = sum(have, h.Amount)
		}
	}
	t.eligible(Money, rt.class)
	for _, b := range t.order {
		have = sum(have, max(0, t.a.Buckets[b].free()))
	}
	return cost > 0 && cost <= have
}

// main is the bucket that takes what nothing else covers; -1 if there is none.
func (t *turn) main() int {
	for i := range t.a.Buckets {
		if d := t.book.definition(t.a.Buckets[i].Def); d != nil && d.Main {
			return i
		}
	}
	return -1
}

// eligible puts into t.order the buckets of a unit that usage of a class may draw
// on now: by priority, then earliest end, then oldest (P1).
func (t *turn) eligible(unit Unit, class int) {
	t.order = t.order[:0]
	now := t.now()
	for i := range t.a.Buckets {
		b := &t.a.Buckets[i]
		d := t.book.definition(b.Def)
		if d == nil || d.Unit != unit || !b.valid(now) || !d.fits(class) || b.Owner != 0 && b.Owner != t.s.Sub {
			continue
		}
		t.order = append(t.order, i)
		for j := len(t.order) - 1; j > 0 && t.sooner(t.order[j], t.order[j-1]); j-- {
			t.order[j], t.order[j-1] = t.order[j-1], t.order[j]
		}
	}
}

func (t *turn) sooner(i, j int) bool {
	a, b := &t.a.Buckets[i], &t.a.Buckets[j]
	if (a.Limit > 0) != (b.Limit > 0) && t.a.Mode >= HybridPrepaid { // own money and credit (P19)
		return (a.Limit > 0) == (t.a.Mode == HybridPostpaid)
	}
	if p, q := t.book.definition(a.Def).Priority, t.book.definition(b.Def).Priority; p != q {
		return p < q
	}
	if a.To != b.To {
		return a.To != 0 && (b.To == 0 || a.To < b.To)
	}
	return a.ID < b.ID
}

// advance moves the counters that this usage counts in.
func (t *turn) advance(rt rate, units uint64, money int64) {
	tier, day := t.ownCounter(rt, rt.Counter), t.ownCounter(rt, rt.DayCounter)
	for i := range t.a.Counters {
		c := &t.a.Counters[i]
		d := t.book.definition(c.Def)
		if d == nil || c.Owner != 0 && c.Owner != t.s.Sub {
			continue
		}
		n := int64(0)
		switch {
		case c.Def == tier:
			n = int64(units)
		case c.Def == day:
			n = money
		case d.Tariff || d.TopUps || !d.fits(rt.class):
			continue
		case d.Money && d.Net:
			n, _ = rt.tariff.Tax(money)
		case d.Money:
			n = money
		case d.Unit == rt.unit():
			n = int64(units)
		}
		if n != 0 {
			t.restart(i)
			t.openWindow(i, d)
			t.count(i, n)
		}
	}
}

// limits says that a counter with classes of its own is about usage at this rate.
func (t *turn) limits(d *Definition, rt rate) bool {
	return !d.Tariff && d.fits(rt.class)
}

// ownCounter is the definition of a counter of the rate's own tariff, which the
// account is given if it has none; 0: the rate has none.
func (t *turn) ownCounter(rt rate, counter int) (def uint32) {
	if counter < 0 || counter >= len(rt.tariff.counters) || rt.tariff.Counters[counter].Reset == rating.Session {
		return 0
	}
	def = rt.tariff.counters[counter]
	if t.a.counter(def, 0) < 0 {
		t.setCounter(Counter{Def: def, Ends: t.ends(t.book.definition(def))})
	}
	return def
}

// restart starts a counter anew if its period is over.
func (t *turn) restart(i int) {
	if c := t.a.Counters[i]; c.Ends != 0 && t.now() >= c.Ends {
		d := t.book.definition(c.Def)
		c.Value, c.Notified, c.Given, c.Consent = 0, 0, false, false
		c.Ends = t.ends(d)
		t.setCounter(c)
		t.restep(i, d)
	}
}

// restep gives a counter the policy status that its value has now.
func (t *turn) restep(i int, d *Definition) {
	if d == nil || len(d.Status) == 0 {
		return
	}
	c := &t.a.Counters[i]
	if step := d.step(c.Value); step != c.Step {
		t.status(c.Def, c.Owner, step)
	}
}

// notices gives each notice that a threshold has been crossed, once per cycle.
func (t *turn) notices() {
	for i := range t.a.Buckets {
		b := &t.a.Buckets[i]
		d := t.book.definition(b.Def)
		if d == nil || len(d.Notices) == 0 || b.Initial <= 0 {
			continue
		}
		for bit, percent := range d.Notices[:min(len(d.Notices), NoticeAhead)] {
			if b.Notified&(1<<bit) == 0 && reached(b.Initial-b.Value, b.Initial, percent) {
				t.notice(false, b.ID, b.Owner, uint8(bit))
			}
		}
	}
	for i := range t.a.Counters {
		c := &t.a.Counters[i]
		d := t.book.definition(c.Def)
		t.restep(i, d)
		if d == nil || len(d.Notices) == 0 || c.Limit <= 0 {
			continue
		}
		for bit, percent := range d.Notices[:min(len(d.Notices), NoticeAhead)] {
			if c.Notified&(1<<bit) == 0 && reached(c.Value, c.Limit, percent) {
				t.notice(true, c.Def, c.Owner, uint8(bit))
			}
		}
	}
}

// reached says whether used is percent of whole or more, without overflow.
func reached(used, whole int64, percent uint8) bool {
	if used <= 0 {
		return false
	}
	mark := whole/100*int64(percent) + whole%100*int64(percent)/100
	if whole%100*int64(percent)%100 != 0 {
		mark++
	}
	return used >= mark
}
