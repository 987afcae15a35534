package core

import "tandem/edge/credit"

// A record in the journal is a list of small moves on one account. Deciding makes
// each move at once and writes it down; replay reads it and makes the same move
// with the same code. So what was decided is never decided again, and a changed
// rule does not change the past.
const (
	opAccount    = iota + 1 // image: a new account, or its head changed
	opBucket                // image: a new bucket, or it was filled again
	opDrop                  // bucket id: it is gone
	opCounter               // image: a new counter, or it was set
	opSubscriber            // image
	opLeave                 // subscriber id
	opState                 // account state
	opCommand               // number: a command was carried out
	opOpen                  // image of a session
	opShut                  // cause, totals: the session is over
	opPart                  // totals: a partial record was cut
	opGroup                 // id, has: a rating group of the session begins
	opUse                   // what was used and what it costs
	opFree                  // group: its holds are released
	opHold                  // group, hold
	opGrant                 // group, units, expiry, switch, final, pool
	opDebit                 // bucket id, amount
	opCredit                // bucket id, amount, why, reference
	opCount                 // counter, amount
	opNotice                // counter?, id, owner, bit
	opFirst                 // bucket id, from, to
	opReported              // group, cumulative counters; not written any more
	opAnswer                // number, digest, answer: of a session
	opKey                   // key, digest, answer: of an event; how far a session of nobody was
	opHeard                 // expires, blocked
	opMoved                 // the session's network or radio changed
	opSuspense              // usage that cannot be charged
	opEvent                 // what a one-time event was: the head of its usage record
	opStage                 // stage of the account's life
	opShift                 // bucket id, bucket id: open grants hold the second instead
	opStatus                // counter, owner, step: its policy status changed
	opReportedAt            // group, cumulative counters, and the instant they were said of
	opFile                  // number: what follows are records of a file
	opAccountIs             // slot: what follows is about another account of the shard
	opPost                  // one use in a record of the file, and what it cost
)

// Why says what a credit to a bucket is.
type Why uint8

const (
	TopUp Why = iota
	Bonus
	Voucher
	Adjusted
	Refunded
	TransferIn
	TransferOut
	Renewed
	RolledOver
	Expired
	Rerated
	Fee // of a renewal
)

var whyNames = [...]string{"topUp", "bonus", "voucher", "adjustment", "refund", "transferIn", "transferOut", "renewal", "rollover", "expiry", "rerating", "fee"}

func (w Why) String() string { return whyNames[w] }

// turn is one decision on one account: the moves it makes, written down as they
// are made. Replay uses one too, with write false.
type turn struct {
	sh    *shard
	a     *Account
	s     *Session
	book  *pages
	slot  uint32
	was   uint64 // number of the session the record is about; 0: none yet
	plan  uint32
	at    int64 // Unix microseconds
	write bool
	once  bool // s is no session but one event: its record is the whole story
	log   []byte

	counted *Session // what other shards know of a session that is not open; nil: nothing

	shifted []shifted // by a command, which may still fail
	after   []effect  // what is to be done once this is durable
	scratch
}

// scratch is memory that every decision uses again.
type scratch struct {
	holds  []Hold // of the group's grant that is being replaced
	debits []debited
	left   []Subscriber // whose names are let go of when the command has succeeded
	split  bool         // the client closed a container at the tariff switch
	order  []int
	answer []byte
	called []byte
	access []byte
	report [1]credit.Used
}

// debited is what an event took from a bucket, for its refund.
type debited struct {
	bucket uint32
	amount int64
}

func (t *turn) now() int64 { return t.at / 1e6 }

func (t *turn) op(op byte) { t.log = append(t.log, op) }

// — account —

func (t *turn) setAccount(a *Account) {
	if t.write {
		t.op(opAccount)
		t.log = putAccount(t.log, a)
	}
	if t.a == nil {
		t.a = a
		return
	}
	t.a.Tenant, t.a.Currency, t.a.State, t.a.Mode = a.Tenant, a.Currency, a.State, a.Mode
	t.a.Anchor = a.Anchor
}

func (t *turn) setState(s State) {
	if t.write {
		t.log = append(t.log, opState, byte(s))
	}
	t.a.State = s
}

// setStage moves the account along its life.
func (t *turn) setStage(s State) {
	if t.write {
		t.log = append(t.log, opStage, byte(s))
	}
	t.a.Stage = s
}

// shifted is a move of what open grants hold from one bucket to another.
type shifted struct{ from, to uint32 }

// shift lets open grants hold another bucket instead of one, with the amounts.
func (t *turn) shift(from, to uint32) {
	if t.write {
		t.op(opShift)
		t.log = putU(putU(t.log, uint64(from)), uint64(to))
	}
	i, j := t.a.bucket(from), t.a.bucket(to)
	if i < 0 || j < 0 {
		return
	}
	t.a.Buckets[j].Held += t.a.Buckets[i].Held
	t.a.Buckets[i].Held = 0
	t.rehold(from, to)
	if t.write {
		t.shifted = append(t.shifted, shifted{from, to})
	}
}

// rehold lets open grants name another bucket.
func (t *turn) rehold(from, to uint32) {
	for s := t.a.sessions; s != nil; s = s.next {
		for g := range s.Groups {
			for h := range s.Groups[g].Holds {
				if x := &s.Groups[g].Holds[h]; x.Bucket == from {
					x.Bucket = to
				}
			}
		}
	}
}

// status gives a counter another policy status.
func (t *turn) status(def uint32, owner uint16, step uint8) {
	if t.write {
		t.op(opStatus)
		t.log = append(putU(putU(t.log, uint64(def)), uint64(owner)), step)
	}
	if i := t.a.counter(def, owner); i >= 0 {
		t.a.Counters[i].Step = step
	}
}

func (t *turn) setBucket(b Bucket) {
	if t.write {
		t.op(opBucket)
		t.log = putBucket(t.log, &b)
	}
	t.sh.look(t.a, b.To)
	if i := t.a.bucket(b.ID); i >= 0 {
		t.a.Buckets[i] = b
		return
	}
	t.a.Buckets = append(t.a.Buckets, b)
	t.a.nextBucket = max(t.a.nextBucket, b.ID)
}

func (t *turn) drop(id uint32) {
	if t.write {
		t.op(opDrop)
		t.log = putU(t.log, uint64(id))
	}
	if i := t.a.bucket(id); i >= 0 {
		t.a.Buckets = append(t.a.Buckets[:i], t.a.Buckets[i+1:]...)
	}
}

func (t *turn) setCounter(c Counter) {
	if t.write {
		t.op(opCounter)
		t.log = putCounter(t.log, &c)
	}
	t.sh.look(t.a, c.Ends)
	if i := t.a.counter(c.Def, c.Owner); i >= 0 {
		t.a.Counters[i] = c
		return
	}
	t.a.Counters = append(t.a.Counters, c)
}

func (t *turn) setSubscriber(s Subscriber) {
	if t.write {
		t.op(opSubscriber)
		t.log = putSubscriber(t.log, &s)
	}
	ref := NewRef(t.sh.number, t.a.slot)
	if old := t.a.subscriber(s.ID); old != nil {
		had := *old
		*old = s
		t.lose(had)
	} else {
		t.a.Subscribers = append(t.a.Subscribers, s)
		t.a.nextSub = max(t.a.nextSub, s.ID)
	}
	t.sh.names.add(&s, ref)
}

func (t *turn) leave(id uint16) {
	if t.write {
		t.op(opLeave)
		t.log = putU(t.log, uint64(id))
	}
	for i := range t.a.Subscribers {
		if had := t.a.Subscribers[i]; had.ID == id {
			t.a.Subscribers = append(t.a.Subscribers[:i], t.a.Subscribers[i+1:]...)
			t.lose(had)
			return
		}
	}
}

// lose lets go of the names a subscriber had: at the end of a command, which may
// still fail, or in a replay at once.
func (t *turn) lose(had Subscriber) {
	if t.write {
		t.left = append(t.left, had)
		return
	}
	t.release(&had)
}

// release forgets those names of a subscriber that nobody in the account has now.
func (t *turn) release(had *Subscriber) {
	gone := *had
	for i := range t.a.Subscribers {
		s := &t.a.Subscribers[i]
		if s.E164 == gone.E164 {
			gone.E164 = 0
		}
		if s.IMSI == gone.IMSI {
			gone.IMSI = 0
		}
		if s.Name == gone.Name {
			gone.Name = ""
		}
	}
	t.sh.names.remove(&gone, NewRef(t.sh.number, t.a.slot))
}

func (t *turn) command(number uint64) {
	if t.write {
		t.op(opCommand)
		t.log = putU(t.log, number)
	}
	t.sh.commands[number] = t.at
}

// — money and units —

func (t *turn) debit(id uint32, amount int64) {
	if amount == 0 {
		return
	}
	if t.write {
		t.op(opDebit)
		t.log = putI(putU(t.log, uint64(id)), amount)
	}
	if i := t.a.bucket(id); i >= 0 {
		t.a.Buckets[i].Value = sum(t.a.Buckets[i].Value, -amount)
	}
	if amount > 0 {
		t.a.Alive = max(t.a.Alive, t.now())
	}
	if t.once && t.write {
		t.debits = append(t.debits, debited{id, amount})
	}
}

func (t *turn) credit(id uint32, amount int64, why Why, ref string) {
	if t.write {
		t.op(opCredit)
		t.log = putS(append(putI(putU(t.log, uint64(id)), amount), byte(why)), ref)
	}
	if i := t.a.bucket(id); i >= 0 {
		t.a.Buckets[i].Value = sum(t.a.Buckets[i].Value, amount)
	}
	if why == TopUp || why == Voucher {
		t.a.Alive = max(t.a.Alive, t.now())
	}
}

func (t *turn) count(i int, amount int64) {
	if amount == 0 {
		return
	}
	c := &t.a.Counters[i]
	if t.write {
		t.op(opCount)
		t.log = putI(putU(putU(t.log, uint64(c.Def)), uint64(c.Owner)), amount)
	}
	c.Value = sum(c.Value, amount)
	t.sh.look(t.a, c.Ends)
}

func (t *turn) notice(counter bool, id uint32, owner uint16, bit uint8) {
	if t.write {
		t.op(opNotice)
		t.log = append(putU(putU(putB(t.log, counter), uint64(id)), uint64(owner)), bit)
	}
	if counter {
		if i := t.a.counter(id, owner); i >= 0 {
			t.a.Counters[i].Notified |= 1 << bit
		}
	} else if i := t.a.bucket(id); i >= 0 {
		t.a.Buckets[i].Notified |= 1 << bit
	}
}

func (t *turn) first(id uint32, from, to int64) {
	if t.write {
		t.op(opFirst)
		t.log = putI(putI(putU(t.log, uint64(id)), from), to)
	}
	if i := t.a.bucket(id); i >= 0 {
		b := &t.a.Buckets[i]
		b.Pending, b.From, b.To = false, from, to
		t.sh.look(t.a, to)
	}
}

// — sessions —

func (t *turn) begin(s *Session) {
	if t.write {
		t.op(opOpen)
		t.log = putSession(t.log, s)
	}
	t.s = s
	t.a.link(s)
	t.sh.add(s)
}

// shut ends a session; its totals go into the record, so that the usage record can
// be written from it.
func (t *turn) shut(cause Cause) {
	if t.write {
		t.log = append(t.log, opShut, byte(cause))
		t.log = putSession(t.log, t.s)
	}
	t.a.unlink(t.s)
	t.sh.remove(t.s, t.at)
}

// part cuts a partial record: what was used so far goes into the record, and the
// session counts from zero again.
func (t *turn) part(cause Cause) {
	if t.write {
		t.log = append(t.log, opPart, byte(cause))
		t.log = putSession(t.log, t.s)
	}
	t.s.Part++
	for i := range t.s.Groups {
		g := &t.s.Groups[i]
		g.Total, g.First, g.LastUse = Totals{}, 0, 0
	}
}

func (t *turn) addGroup(id uint32, has bool) int {
	if t.write && !t.once {
		t.op(opGroup)
		t.log = putB(putU(t.log, uint64(id)), has)
	}
	g := t.s.addGroup()
	g.ID, g.Has = id, has
	return len(t.s.Groups) - 1
}

// used is one priced report.
type used struct {
	tariff, rate, service uint32
	class                 int32
	priced                uint64 // units that money was taken for
	money                 int64
	totals                Totals
	at                    int64
}

func (t *turn) use(group int, u *used) {
	if t.write && !t.once {
		t.op(opUse)
		b := putU(putU(putU(putU(t.log, uint64(group)), uint64(u.tariff)), uint64(u.rate)), uint64(u.service))
		b = putI(putU(putI(b, int64(u.class)), u.priced), u.money)
		t.log = putI(putTotals(b, &u.totals), u.at-t.at)
	}
	g := &t.s.Groups[group]
	if g.Anew && g.Tariff != 0 && (g.Tariff != u.tariff || g.Rate != u.rate) { // another network, another price
		g.Priced, g.Charged, g.Anew = 0, 0, false
	}
	g.Tariff, g.Rate, g.Class, g.Service = u.tariff, u.rate, u.class, u.service
	g.Priced += u.priced
	g.Charged += u.money
	g.Total.add(&u.totals)
	g.Total.Money += u.money
	if u.totals == (Totals{}) {
		return
	}
	if g.First == 0 {
		g.First = u.at
	}
	g.LastUse = u.at
}

func (t *Totals) add(u *Totals) {
	t.Seconds += u.Seconds
	t.Total += u.Total
	t.Input += u.Input
	t.Output += u.Output
	t.Events += u.Events
}

// free releases what the group's grant has reserved, and leaves it in t.holds.
func (t *turn) free(group int) {
	g := &t.s.Groups[group]
	t.holds = append(t.holds[:0], g.Holds...)
	if len(g.Holds) == 0 && g.Granted == 0 {
		return
	}
	if t.write && !t.once {
		t.op(opFree)
		t.log = putU(t.log, uint64(group))
	}
	for _, h := range g.Holds {
		t.held(h, -h.Amount)
	}
	g.Holds, g.Granted = g.Holds[:0], 0
}

// join adds a hold to a list with one for each bucket and counter; an amount below
// zero takes of it.
func join(list []Hold, h Hold) []Hold {
	for i := range list {
		x := &list[i]
		if x.Bucket != h.Bucket || x.Counter != h.Counter || x.Owner != h.Owner {
			continue
		}
		if x.Amount += h.Amount; x.Amount == 0 {
			return append(list[:i], list[i+1:]...)
		}
		return list
	}
	return append(list, h)
}

func (t *turn) held(h Hold, by int64) {
	if h.Bucket != 0 {
		if i := t.a.bucket(h.Bucket); i >= 0 {
			t.a.Buckets[i].Held += by
		}
	} else if i := t.a.counter(h.Counter, h.Owner); i >= 0 {
		t.a.Counters[i].Held += by
	}
}

func (t *turn) hold(group int, h Hold) {
	if h.Amount == 0 {
		return
	}
	if t.write && !t.once {
		t.op(opHold)
		t.log = putHold(putU(t.log, uint64(group)), &h)
	}
	t.s.Groups[group].Holds = join(t.s.Groups[group].Holds, h)
	t.held(h, h.Amount)
}

func (t *turn) grant(group int, units uint64, expires, change int64, final bool) {
	t.grantInto(group, units, expires, change, final, 0)
}

// grantInto makes a grant that goes into a credit pool, unless that is 0.
func (t *turn) grantInto(group int, units uint64, expires, change int64, final bool, pool uint32) {
	if t.write && !t.once {
		t.op(opGrant)
		t.log = append(putI(putI(putU(putU(t.log, uint64(group)), units), expires), change), flags(final, pool != 0))
		if pool != 0 {
			t.log = putU(t.log, uint64(pool))
		}
	}
	g := &t.s.Groups[group]
	g.Granted, g.Expires, g.Switch, g.Final, g.Pool = units, expires, change, final, pool
}

func (t *turn) reported(group int, total Totals, at int64) {
	if t.write && !t.once {
		t.op(opReportedAt)
		t.log = putI(putTotals(putU(t.log, uint64(group)), &total), at-t.at)
	}
	g := &t.s.Groups[group]
	g.Reported, g.Heard = total, at
}

func (t *turn) heard(expires, said int64, blocked bool) {
	if t.write {
		t.op(opHeard)
		t.log = putI(putB(putI(t.log, expires-t.at), blocked), said-t.at)
	}
	t.s.Last, t.s.Expires, t.s.Blocked = t.at, expires, blocked
	t.s.Said = max(t.s.Said, said)
}

func (t *turn) moved(plmn uint32, rat uint8) {
	if t.write {
		t.op(opMoved)
		t.log = append(putU(t.log, uint64(plmn)), rat)
	}
	if t.s.PLMN != plmn {
		for i := range t.s.Groups {
			t.s.Groups[i].Anew = true
		}
	}
	t.s.PLMN, t.s.RAT = plmn, rat
}

// keep takes down what a request of the session was told. auto: the number is not
// the client's.
func (t *turn) keep(number uint32, auto bool, digest uint64, answer []byte) {
	if t.write {
		t.op(opAnswer)
		t.log = putS(putU64(putB(putU(t.log, uint64(number)), auto), digest), answer)
	}
	if !auto {
		t.s.note(number)
	}
	t.s.remember(number, auto, digest, answer)
}

// keepKey takes down what an event was told.
func (t *turn) keepKey(k key, digest uint64, answer []byte) {
	if t.write {
		t.op(opKey)
		t.log = putS(putU64(putU64(putU64(t.log, k[0]), k[1]), digest), answer)
	}
	t.sh.told.put(k, t.at, digest, answer)
}

func putU64(b []byte, n uint64) []byte {
	return append(b, byte(n), byte(n>>8), byte(n>>16), byte(n>>24), byte(n>>32), byte(n>>40), byte(n>>48), byte(n>>56))
}

// suspend writes down usage that cannot be charged; it changes no account.
func (t *turn) suspend(reason Suspense, r *credit.Request, u *credit.Unit, totals *Totals) {
	t.op(opSuspense)
	b := append(t.log, byte(reason), byte(r.Face), byte(r.Service), byte(r.Kind))
	b = putS(putS(b, r.Peer), r.Session)
	b = putU(b, uint64(r.Number))
	if len(r.Subscribers) > 0 {
		b = putS(append(b, byte(r.Subscribers[0].Type)), r.Subscribers[0].ID)
	} else {
		b = putS(append(b, 0), "")
	}
	b = putU(b, uint64(u.Group))
	t.log = putI(putTotals(b, totals), r.At)
}

// Suspense is why usage could not be charged.
type Suspense uint8

const (
	NoSubscriber Suspense = iota
	NoSession
	NoRate
	Implausible
	TooLate
	ClosedAccount
	DuplicateSuspect
)

var suspenseNames = [...]string{"unknownSubscriber", "unknownSession", "noRate", "implausible", "tooLate", "closedAccount", "duplicateSuspect"}

func (s Suspense) String() string { return suspenseNames[s] }

// Cause is why a record of a session was closed (TS 32.298 causeForRecClosing).
type Cause uint8

const (
	NormalRelease Cause = iota
	AbnormalRelease
	StaleSession // nothing was heard for too long
	PeerRestart
	TimeLimit
	VolumeLimit
	TariffSwitch
	PLMNChange
	RATChange
	Replaced // the client opened it again
)

var causeNames = [...]string{"normalRelease", "abnormalRelease", "stale", "peerRestart", "timeLimit", "volumeLimit", "tariffSwitch", "plmnChange", "ratChange", "replaced"}

func (c Cause) String() string { return causeNames[c] }

// event is the head of a one-time usage record.
func (t *turn) event(s *Session) {
	if t.write {
		t.op(opEvent)
		t.log = putSession(t.log, s)
	}
}
