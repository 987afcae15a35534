package core

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"tandem/edge/credit"
	"tandem/kit/journal"
)

// Journal is where decisions become durable.
type Journal interface {
	Append(ctx context.Context, b *journal.Batch) (seq int64, err error)
	Replay(ctx context.Context, after int64, want journal.Set, fn func(seq int64, b *journal.Batch) error) error
	Save(ctx context.Context, pages []journal.Page) error
	Load(ctx context.Context, want journal.Set, fn func(journal.Page) error) error
	Claim(ctx context.Context, max int) (journal.Set, error)
	Renew(ctx context.Context) (journal.Set, error)
	Release(ctx context.Context, shards journal.Set) error
}

// Config is what an engine is told.
type Config struct {
	Book    *Book
	Journal Journal
	Clock   func() time.Time // nil: time.Now
	Log     *slog.Logger
	Queue   int // calls waiting for the disk at which it sheds; 0: 65536
	Lease   time.Duration
	Replay  int64                         // records of the journal that a shard may need replayed, about; 0: 4 Mi, some seconds' worth
	Clients map[credit.Face]credit.Client // the ways back

	// Defaults are granted to new sessions when nothing can be made durable for longer
	// than a client should wait; their use is charged when it is reported after that.
	Defaults []Default

	// Strangers are granted to who is not known; what he uses goes to suspense. None: he
	// is refused.
	Strangers []Default

	// Before is called when shards were claimed and before they are loaded: it sees to
	// it that Book has all that they refer to by number. nil: it always has.
	Before func(context.Context) error

	// Durable is told the position of each batch that has become durable; it must
	// not block.
	Durable func(seq int64)
}

// Engine decides on charges in memory and answers when they are durable.
//
//	Charge ── resolve ── shard (lock) ── decide ──┐
//	                                               v
//	           Done <── completer <── writer <── batch
type Engine struct {
	Config
	names  *names
	open   *directory
	shards [journal.Shards]*shard

	// Locks are taken in this order: house, writing, a shard's, mu.
	house   sync.Mutex // while shards are claimed, loaded or saved
	writing sync.Mutex // while a batch is on its way to the disk, or what is decided is forgotten
	mu      sync.Mutex // of the batch
	batch   batch
	spares  []batch // empty ones, with the memory they had
	ordinal uint64  // of the batch being filled
	wake    chan struct{}
	again   chan struct{} // the shards were lost: claim anew at once
	full    chan batch    // durable, to be answered

	epoch   atomic.Uint64 // how many times what was decided was forgotten
	durable atomic.Int64  // highest journal position known durable
	written atomic.Uint64 // ordinal of the last batch that is durable or lost
	pending atomic.Int64  // calls not yet answered
	broken  atomic.Bool
	idle    *sync.Cond

	outage    outage
	pace      pace // under house
	Stats     Stats
	stop      context.CancelFunc // of the writer
	done      sync.WaitGroup
	leave     context.CancelFunc // of the keeping of the house
	houseDone sync.WaitGroup
}

// Stats count what an engine did.
type Stats struct {
	Calls, Shed, Trusted, Welcomed, Duplicates, Clashes, Unknown, Late, Suspended, Batches, Records, Bytes, Fenced atomic.Int64
}

type batch struct {
	shards  journal.Set
	blob    []byte
	records int
	first   int64
	last    int64
	calls   []*credit.Call
	after   []effect
	ordinal uint64
}

// effect is what is told to a client once the reason for it is durable.
type effect struct {
	abort  bool
	cause  credit.Cause
	face   credit.Face
	peer   string
	name   string
	back   string
	groups []uint32
	ref    Ref
	number uint64
	done   func(error)
}

// New makes an engine that holds no shard yet.
func New(c Config) *Engine {
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Queue == 0 {
		c.Queue = 1 << 16
	}
	if c.Lease == 0 {
		c.Lease = journal.DefaultLease
	}
	if c.Replay == 0 {
		c.Replay = 4 << 20
	}
	e := &Engine{Config: c, names: newNames(), open: newDirectory(), wake: make(chan struct{}, 1), again: make(chan struct{}, 1), full: make(chan batch, 2), ordinal: 1}
	e.idle = sync.NewCond(&sync.Mutex{})
	for i := range e.shards {
		e.shards[i] = newShard(i, e.names, e.open)
	}
	return e
}

func (e *Engine) now() int64 { return e.Clock().UnixMicro() }

// Start claims what shards it can get, loads them, and answers from then on.
func (e *Engine) Start(ctx context.Context) error {
	run, stop := context.WithCancel(context.WithoutCancel(ctx))
	e.stop = stop
	e.done.Add(2)
	go e.write(run)
	go e.complete()
	e.house.Lock()
	err := e.claim(ctx)
	e.house.Unlock()
	if errors.Is(err, ErrStrange) { // the other shards are served
		e.Log.Error("charging: some shards could not be loaded; trying again", "err", err)
		e.claimAgain()
		err = nil
	}
	if err != nil {
		return errors.Join(err, e.Close(ctx))
	}
	house, leave := context.WithCancel(context.WithoutCancel(ctx))
	e.leave = leave
	e.houseDone.Add(1)
	go e.keepHouse(house)
	return nil
}

// Close answers what is decided, saves a snapshot and lets go of the shards. Calls
// that come later are told that the engine is busy.
func (e *Engine) Close(ctx context.Context) error {
	if e.stop == nil {
		return nil
	}
	e.leaveHouse()
	err := e.Snapshot(ctx)
	held := e.letGo()
	if held != (journal.Set{}) {
		err = errors.Join(err, e.Journal.Release(ctx, held))
	}
	return err
}

// leaveHouse ends the keeping of the house.
func (e *Engine) leaveHouse() {
	if e.leave != nil {
		e.leave()
		e.houseDone.Wait()
		e.leave = nil
	}
}

// letGo decides on nothing more, and writes and answers what was decided.
func (e *Engine) letGo() (held journal.Set) {
	for i, sh := range e.shards {
		sh.mu.Lock()
		if sh.held.Load() {
			held.Add(i)
		}
		sh.held.Store(false)
		sh.mu.Unlock()
	}
	e.flush()
	e.stop()
	e.done.Wait()
	e.stop = nil
	return held
}

// Charge decides on a call; its Done is called when the answer is durable.
func (e *Engine) Charge(c *credit.Call) {
	e.Stats.Calls.Add(1)
	c.Answer.Reset()
	r := &c.Request
	if r.Received == 0 {
		r.Received = e.now()
	}
	if e.shed(r) {
		e.Stats.Shed.Add(1)
		e.busy(c)
		return
	}
	e.pending.Add(1)
	for {
		sh, s, ref, known := e.resolve(r)
		if !known {
			if e.unknown(c) {
				return
			}
			continue
		}
		var counted *Session
		if s == nil {
			counted = e.counted(r)
		}
		if e.chargeIn(sh, s, ref, counted, c) {
			return
		}
	}
}

// busy sends a call away at once: no decision was made for it.
func (e *Engine) busy(c *credit.Call) {
	if e.trust(c) {
		c.Done(c)
		return
	}
	c.Answer.Reset()
	c.Answer.Result, c.Answer.RetryAfter = credit.Busy, 1
	c.Done(c)
}

// chargeIn decides on a call in its shard; counted is what other shards know of a
// session that is not open. It is false if what the call was
// resolved to has changed before the shard was locked: then look again.
func (e *Engine) chargeIn(sh *shard, s *Session, ref Ref, counted *Session, c *credit.Call) bool {
	sh.mu.Lock()
	if !sh.held.Load() {
		sh.mu.Unlock()
		e.pending.Add(-1)
		e.busy(c)
		return true
	}
	defer sh.mu.Unlock()
	account := sh.account(ref.Slot())
	if s != nil && (s.closed || s.account != account) {
		return false // ended, or the shard was loaded anew
	}
	if s == nil && c.Request.Kind != credit.Event && e.openNow(&c.Request) {
		return false // another call has opened it meanwhile
	}
	e.decide(sh, account, s, counted, c)
	return true
}

// openNow says whether the session of a request is open.
func (e *Engine) openNow(r *credit.Request) bool {
	b := keys.Get().(*[]byte)
	defer keys.Put(b)
	*b = sessionKey((*b)[:0], r)
	_, found := e.open.get(*b)
	return found
}

// shed refuses new sessions first, then updates, and ends and refunds last, when
// more waits for the disk than can be answered in time (R10).
func (e *Engine) shed(r *credit.Request) bool {
	waiting, most := e.pending.Load(), int64(e.Queue)
	switch {
	case e.broken.Load():
		return true
	case r.Kind == credit.Initial || r.Kind == credit.Event && r.Action != credit.Refund && r.Action != credit.Post:
		return waiting > most/2
	case r.Kind == credit.Update:
		return waiting > most*3/4
	}
	return waiting > most
}

var keys = sync.Pool{New: func() any { b := make([]byte, 0, 256); return &b }}

// resolve finds who decides: by the session if it is open, else by the names of
// the subscriber.
func (e *Engine) resolve(r *credit.Request) (sh *shard, s *Session, ref Ref, ok bool) {
	if r.Kind != credit.Event {
		b := keys.Get().(*[]byte)
		*b = sessionKey((*b)[:0], r)
		o, found := e.open.get(*b)
		keys.Put(b)
		if found {
			return e.shards[o.ref.Shard()], o.s, o.ref, true
		}
	}
	if ref, ok = e.names.find(r.Subscribers); ok {
		return e.shards[ref.Shard()], nil, ref, true
	}
	return nil, nil, 0, false
}

// unknown answers a request of nobody. Use it reports goes to suspense, in the
// shard that its session's name falls to; if not all shards are here, another node
// may know it. It is false if the shards were being loaded when the call was
// resolved, and know it now.
func (e *Engine) unknown(c *credit.Call) bool {
	r := &c.Request
	if e.endedAnywhere(c) {
		return true
	}
	epoch := e.epoch.Load()
	c.Answer.Result = credit.UnknownUser
	reason := NoSubscriber
	if r.Kind == credit.Update || r.Kind == credit.Terminate {
		c.Answer.Result, reason = credit.UnknownSession, NoSession
	}
	counted := e.counted(r)
	sh := e.nobodys(r)
	sh.mu.Lock()
	if !sh.held.Load() || !e.holdsAll() {
		sh.mu.Unlock()
		e.pending.Add(-1)
		e.busy(c)
		return true
	}
	defer sh.mu.Unlock()
	// All shards are here and loaded: only what they say now, and as long as nothing
	// is forgotten, is a "no".
	if _, _, _, known := e.resolve(r); known || e.epoch.Load() != epoch {
		c.Answer.Reset()
		return false
	}
	e.Stats.Unknown.Add(1)
	t := e.turn(sh, nil, nil, r.Received)
	t.counted = counted
	if counted == nil || !recalls(r) || !e.answerAgain(counted, r, &c.Answer) {
		e.welcome(c)
		t.suspendAll(reason, r, &c.Answer)
	}
	e.submit(sh, t, c)
	return true
}

// endedAnywhere answers a request again that names no subscriber and whose session
// is over: any shard may have had it.
func (e *Engine) endedAnywhere(c *credit.Call) bool {
	r := &c.Request
	if len(r.Subscribers) > 0 || r.Kind == credit.Event {
		return false
	}
	for _, sh := range e.shards {
		if e.endedIn(sh, c) {
			return true
		}
	}
	return false
}

func (e *Engine) endedIn(sh *shard, c *credit.Call) bool {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if !sh.held.Load() {
		return false
	}
	o := sh.ending(&c.Request)
	if o == nil || !e.answerAgain(o, &c.Request, &c.Answer) {
		return false
	}
	e.submit(sh, nil, c)
	return true
}

func (e *Engine) holdsAll() bool {
	for _, sh := range e.shards {
		if !sh.held.Load() {
			return false
		}
	}
	return true
}

// turn prepares a decision; the shard is locked.
func (e *Engine) turn(sh *shard, a *Account, s *Session, at int64) *turn {
	t := &sh.turn
	*t = turn{sh: sh, a: a, s: s, book: e.Book.at.Load(), at: at, write: true, log: t.log[:0], after: t.after[:0], scratch: t.scratch}
	if a != nil {
		t.slot = a.slot
	}
	if s != nil {
		t.was = s.Number
	}
	return t
}

// submit hands a decision over to the writer. The shard is locked, so records of a
// shard are in order. An answer without moves waits as well: what it is based on
// may not be durable yet.
func (e *Engine) submit(sh *shard, t *turn, c *credit.Call) {
	e.mu.Lock()
	b := &e.batch
	if t != nil && len(t.log) > 0 {
		sh.records++
		rec := Record{Shard: sh.number, N: sh.records, At: t.at, Slot: t.slot, Sess: t.was, moves: t.log}
		if t.a != nil {
			rec.Tenant = t.a.Tenant
		}
		if b.records == 0 {
			b.first = t.at
		}
		b.last = t.at
		b.blob = putRecord(b.blob, &rec, b.first)
		b.records++
		b.shards.Add(sh.number)
		if t.a != nil {
			sh.touch(t.slot, e.durable.Load())
		} else if !sh.touched {
			sh.touched, sh.low = true, e.durable.Load()
		}
	}
	if t != nil {
		b.after = append(b.after, t.after...)
	}
	if c != nil {
		b.calls = append(b.calls, c)
	}
	e.mu.Unlock()
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// write makes batches durable, one after the other.
func (e *Engine) write(ctx context.Context) {
	defer e.done.Done()
	defer close(e.full)
	for ctx.Err() == nil {
		select {
		case <-e.wake:
		case <-ctx.Done():
		}
		e.writeOne(context.WithoutCancel(ctx))
	}
	e.settled(math.MaxUint64)
}

func (e *Engine) writeOne(ctx context.Context) {
	e.writing.Lock()
	b := e.takeBatch()
	var seq int64
	var err error
	if b.records > 0 {
		seq, err = e.Journal.Append(ctx, &journal.Batch{Shards: b.shards, Records: b.records, First: b.first, Last: b.last, Blob: b.blob})
	}
	if err != nil {
		e.lose(&b, err)
		e.writing.Unlock()
		return
	}
	e.writing.Unlock()
	if b.records > 0 {
		e.durable.Store(seq)
		e.Stats.Batches.Add(1)
		e.Stats.Records.Add(int64(b.records))
		e.Stats.Bytes.Add(int64(len(b.blob)))
		if e.Durable != nil {
			e.Durable(seq)
		}
	}
	if b.records > 0 {
		e.outage.ends()
	}
	e.settled(b.ordinal)
	e.full <- b
}

// takeBatch takes what was decided so far.
func (e *Engine) takeBatch() batch {
	e.mu.Lock()
	defer e.mu.Unlock()
	b := e.batch
	b.ordinal = e.ordinal
	e.ordinal++
	e.batch = batch{}
	if n := len(e.spares); n > 0 {
		e.batch, e.spares = e.spares[n-1], e.spares[:n-1]
	}
	return b
}

// settled tells those who wait that the batches up to one are durable or lost.
func (e *Engine) settled(upto uint64) {
	e.idle.L.Lock()
	e.written.Store(upto)
	e.idle.L.Unlock()
	e.idle.Broadcast()
}

// complete answers the calls of durable batches and tells clients what they must
// hear.
func (e *Engine) complete() {
	defer e.done.Done()
	for b := range e.full {
		for i, c := range b.calls {
			c.Done(c)
			b.calls[i] = nil
		}
		e.pending.Add(-int64(len(b.calls)))
		for i := range b.after {
			e.act(&b.after[i], nil)
		}
		clear(b.after)
		e.mu.Lock()
		if len(e.spares) < cap(e.full)+2 { // as many as are on their way: filled, written, durable, answered
			e.spares = append(e.spares, batch{blob: b.blob[:0], calls: b.calls[:0], after: b.after[:0]})
		}
		e.mu.Unlock()
	}
}

// act tells a client by its way back.
func (e *Engine) act(x *effect, err error) {
	if x.done != nil {
		x.done(err)
		return
	}
	client := e.Clients[x.face]
	if client == nil || err != nil {
		return
	}
	if x.abort {
		client.Abort([]byte(x.peer), []byte(x.name), []byte(x.back), x.cause, func(o credit.Outcome) { e.answered(x.ref, x.number, o) })
		return
	}
	client.Reauthorise([]byte(x.peer), []byte(x.name), []byte(x.back), x.groups, func(o credit.Outcome) { e.answered(x.ref, x.number, o) })
}

// flush waits until everything submitted so far is durable or lost.
func (e *Engine) flush() {
	e.mu.Lock()
	upto := e.ordinal
	e.mu.Unlock()
	select {
	case e.wake <- struct{}{}:
	default:
	}
	e.idle.L.Lock()
	for e.written.Load() < upto {
		e.idle.Wait()
	}
	e.idle.L.Unlock()
}

// lose handles a batch that may not be durable: nobody is answered but to try
// again, and everything decided since the last durable batch is forgotten, shards
// and all. What did become durable comes back by replay, and answers the retry.
// The caller holds writing, so no batch is under way that was decided before and
// would be written after.
//
// A shard that is being loaded is not held and so nothing was decided on it; who
// loads it sees by the epoch that it must not be held.
func (e *Engine) lose(b *batch, err error) {
	e.epoch.Add(1)
	e.outage.begins(e.now(), err)
	e.broken.Store(true)
	e.Log.Error("charging: what was decided could not be made durable; the shards are loaded anew", "err", err, "records", b.records)
	if errors.Is(err, journal.ErrFenced) {
		e.Stats.Fenced.Add(1)
	}
	for _, sh := range e.shards {
		sh.mu.Lock()
		if sh.held.Load() {
			sh.clear()
		}
		sh.mu.Unlock()
	}
	rest := e.takeBatch() // no shard is held: it grows no more
	e.broken.Store(false)
	e.settled(rest.ordinal)
	e.refuse(b, err)
	e.refuse(&rest, err)
	e.claimAgain()
}

// claimAgain asks who keeps the house to claim shards at once.
func (e *Engine) claimAgain() {
	select {
	case e.again <- struct{}{}:
	default:
	}
}

func (e *Engine) refuse(b *batch, err error) {
	for _, c := range b.calls {
		e.busy(c)
	}
	e.pending.Add(-int64(len(b.calls)))
	for i := range b.after {
		e.act(&b.after[i], err)
	}
}

// claim takes what shards are free and loads them; the caller holds house.
func (e *Engine) claim(ctx context.Context) error {
	epoch := e.epoch.Load()
	gained, err := e.Journal.Claim(ctx, journal.Shards)
	if err == nil { // who can write leases can write what is decided
		e.outage.ends()
	}
	if err != nil || gained == (journal.Set{}) {
		return err
	}
	if err := e.furnish(ctx, gained); err != nil {
		gained.Each(func(i int) { e.shards[i].forget() })
		return errors.Join(err, e.Journal.Release(ctx, gained))
	}
	odd, strange := e.strangers(gained)
	if strange != nil {
		odd.Each(func(i int) { e.shards[i].forget() })
		strange = errors.Join(strange, e.Journal.Release(ctx, odd))
		gained = gained.Minus(odd)
	}
	gained.Each(func(i int) {
		sh := e.shards[i]
		sh.mu.Lock()
		defer sh.mu.Unlock()
		if e.epoch.Load() != epoch { // lost again before it was loaded
			sh.clear()
			return
		}
		sh.held.Store(true)
	})
	e.Log.Info("charging: shards loaded", "shards", gained.Len())
	return strange
}

// furnish reads what shards refer to by number, and then the shards: another node may
// have sold by a price list that this one has not heard of.
func (e *Engine) furnish(ctx context.Context, gained journal.Set) error {
	if e.Before != nil {
		if err := e.Before(ctx); err != nil {
			return err
		}
	}
	return e.load(ctx, gained)
}

// ErrStrange says that a shard names a tenant, plan, tariff or definition that the
// Book does not have. Such a shard is not held: by a book with holes buckets would
// not be filled again and use would be charged to nobody.
var ErrStrange = errors.New("charging: the book does not have what a shard refers to")

// strangers are the loaded shards that cannot be decided on by this book.
func (e *Engine) strangers(loaded journal.Set) (odd journal.Set, err error) {
	book := e.Book.at.Load()
	loaded.Each(func(i int) {
		sh := e.shards[i]
		sh.mu.Lock()
		defer sh.mu.Unlock()
		for _, a := range sh.accounts {
			if a == nil {
				continue
			}
			if what, number := book.lacks(a); what != "" {
				odd.Add(i)
				err = errors.Join(err, fmt.Errorf("%w: account %d of shard %d has %s %d", ErrStrange, a.slot, i, what, number))
				return
			}
		}
	})
	return odd, err
}

// keepHouse renews the leases, claims what became free, ends what is stale and
// saves snapshots.
func (e *Engine) keepHouse(ctx context.Context) {
	defer e.houseDone.Done()
	renew := time.NewTicker(e.Lease / 3)
	defer renew.Stop()
	sweep := time.NewTicker(time.Second)
	defer sweep.Stop()
	short := false // the shards could not be claimed: try again soon
	for {
		select {
		case <-ctx.Done():
			return
		case <-renew.C:
			short = !e.renew(ctx)
		case <-e.again:
			short = !e.renew(ctx)
		case <-sweep.C:
			if short {
				short = !e.renew(ctx)
			}
			e.Sweep()
			if err := e.snapshotSome(ctx); err != nil && ctx.Err() == nil {
				e.Log.Error("charging: a snapshot could not be saved; trying again", "err", err)
			}
		}
	}
}

// renew keeps the leases, forgets what was lost, and claims what is free; ok is
// false if that should be tried again soon.
func (e *Engine) renew(ctx context.Context) (ok bool) {
	e.house.Lock()
	defer e.house.Unlock()
	held, err := e.Journal.Renew(ctx)
	if err != nil {
		if ctx.Err() == nil {
			e.Log.Warn("charging: the leases could not be renewed", "err", err)
		}
		return false
	}
	if !held.Covers(e.Held()) {
		e.writing.Lock()
		if !held.Covers(e.Held()) { // the writer has not found out itself
			e.lose(&batch{}, journal.ErrFenced)
		}
		e.writing.Unlock()
	}
	if err := e.claim(ctx); err != nil {
		if ctx.Err() == nil {
			e.Log.Error("charging: free shards could not be loaded", "err", err)
		}
		return false
	}
	return true
}

// Held is the shards this node decides for.
func (e *Engine) Held() (held journal.Set) {
	for i, sh := range e.shards {
		sh.mu.Lock()
		if sh.held.Load() {
			held.Add(i)
		}
		sh.mu.Unlock()
	}
	return held
}

// Position is the highest place of the journal known to be durable.
func (e *Engine) Position() int64 { return e.durable.Load() }
