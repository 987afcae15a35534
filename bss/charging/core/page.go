package core

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"sort"

	"tandem/kit/journal"
)

const pageSize = 256 // accounts in a page of the snapshot

// Pages of a shard by number: the head, pages of accounts, generations of answers.
const (
	headPage  = 0
	toldPage  = 1 << 40 // and on: answers to events
	endedPage = 1 << 41 // and on: last answers of sessions
)

// never is the Low of a page that needs no replay: the head speaks for all.
const never = math.MaxInt64

func putHead(b []byte, sh *shard) []byte {
	b = putU(putU(b, sh.records), sh.session)
	b = putU(b, uint64(len(sh.commands)))
	for number, at := range sh.commands {
		b = putI(putU(b, number), at)
	}
	return b
}

func (r *reader) head(sh *shard) {
	sh.records, sh.session = r.u(), r.u()
	for n := r.count(); n > 0; n-- {
		number := r.u()
		sh.commands[number] = r.i()
	}
}

// putPage writes the accounts of a page with their open sessions.
func putPage(b []byte, accounts []*Account) []byte {
	for _, a := range accounts {
		if a == nil {
			b = append(b, 0)
			continue
		}
		b = putAccount(append(b, 1), a)
		b = putU(b, uint64(a.open))
		for s := last(a.sessions); s != nil; s = s.prev { // oldest first, as they are linked again
			b = putAnswered(putSession(b, s), s)
		}
	}
	return b
}

func last(s *Session) *Session {
	for s != nil && s.next != nil {
		s = s.next
	}
	return s
}

func (r *reader) page(sh *shard, number int64) {
	for slot := uint32(number) * pageSize; len(r.b) > 0; slot++ {
		if r.byte() == 0 {
			continue
		}
		a := r.account()
		a.slot = slot
		if !sh.put(a) {
			r.fail()
			return
		}
		for i := range a.Subscribers {
			sh.names.add(&a.Subscribers[i], NewRef(sh.number, slot))
		}
		for n := r.count(); n > 0; n-- {
			s := roomy()
			r.session(s)
			a.link(s)
			r.answered(s)
			sh.add(s)
		}
	}
}

// nextDue is when the sweeper must look at an account, but for its sessions. What
// is over at now waits for something, such as an open grant: it is looked at again
// after a while.
func (a *Account) nextDue(now int64) (at int64) {
	sooner := func(to int64) {
		if to != 0 && to <= now {
			to = now + retryEvery
		}
		if to != 0 && (at == 0 || to < at) {
			at = to
		}
	}
	for i := range a.Buckets {
		sooner(a.Buckets[i].To)
	}
	for i := range a.Counters {
		if c := &a.Counters[i]; c.Value != 0 || c.Notified != 0 || c.Given || c.Consent || c.Step != 0 {
			sooner(c.Ends)
		}
	}
	return at
}

// retryEvery is how often what could not be done in time is tried again, seconds.
const retryEvery = 60

// shoot takes the snapshot of a shard: all pages that changed, under one lock.
func (sh *shard) shoot(durable, now int64) (pages []journal.Page) {
	sh.tidy(now)
	mark := sh.records
	add := func(number int64, low int64, blob []byte) {
		pages = append(pages, journal.Page{Shard: sh.number, Number: number, Mark: mark, Low: low, Blob: blob})
	}
	for i, dirty := range sh.dirty {
		if !dirty {
			continue
		}
		from, to := i*pageSize, min((i+1)*pageSize, len(sh.accounts))
		add(int64(i)+1, never, putPage(nil, sh.accounts[min(from, to):to]))
		sh.dirty[i] = false
	}
	for _, k := range [...]struct {
		told *told
		base int64
	}{{&sh.told, toldPage}, {&sh.ended, endedPage}} {
		for _, g := range k.told.gens {
			if g.dirty {
				add(k.base+g.number, never, putGeneration(nil, g))
				g.dirty = false
			}
		}
	}
	sh.low, sh.touched = durable, false
	add(headPage, durable, putHead(nil, sh))
	return pages
}

// Snapshot saves all shards that changed.
func (e *Engine) Snapshot(ctx context.Context) error {
	for i := range e.shards {
		if err := e.snapshot(ctx, i); err != nil {
			return err
		}
	}
	return nil
}

// snapshot saves one shard. The pages hold what may not be durable yet, so they
// are written only when it is. Nobody claims meanwhile: a shard that is lost after
// the pages were found durable is fenced when they are saved.
func (e *Engine) snapshot(ctx context.Context, i int) error {
	e.house.Lock()
	defer e.house.Unlock()
	sh := e.shards[i]
	sh.mu.Lock()
	if !sh.held.Load() || !sh.touched {
		sh.mu.Unlock()
		return nil
	}
	epoch := e.epoch.Load()
	low := sh.low
	pages := sh.shoot(e.durable.Load(), e.now())
	sh.mu.Unlock()
	e.flush()
	if e.epoch.Load() != epoch {
		return nil // lost meanwhile: what was shot may never have become durable
	}
	if err := e.Journal.Save(ctx, pages); err != nil {
		sh.mu.Lock()
		for _, p := range pages {
			if p.Number > headPage && p.Number < toldPage && int(p.Number-1) < len(sh.dirty) {
				sh.dirty[p.Number-1] = true
			}
		}
		sh.spoil()
		sh.low = low // as far behind as it was, so that it is tried again soon
		sh.mu.Unlock()
		return fmt.Errorf("charging: snapshot of shard %d: %w", i, err)
	}
	return nil
}

// spoil marks all answers as unsaved and the shard as in need of a snapshot.
func (sh *shard) spoil() {
	sh.touched = true
	for _, k := range [...]*told{&sh.told, &sh.ended} {
		for _, g := range k.gens {
			g.dirty = true
		}
	}
}

// snapshotSome saves the shards whose replay would take longest, a few a second.
func (e *Engine) snapshotSome(ctx context.Context) error {
	due := e.longest()
	for _, d := range due[:min(len(due), snapshotsAtOnce)] {
		if err := e.snapshot(ctx, d.shard); err != nil {
			return err
		}
	}
	return nil
}

const (
	snapshotBehind  = 20_000 // batches of the journal that may need replay
	snapshotsAtOnce = 8
)

// behind is a shard that was saved long ago.
type behind struct {
	low   int64
	shard int
}

// longest are the shards whose replay has become too long, the longest first.
func (e *Engine) longest() (due []behind) {
	e.house.Lock()
	defer e.house.Unlock()
	now := e.durable.Load()
	records, lowest := e.pace.note(now, e.Stats.Records.Load()), now
	for i, sh := range e.shards {
		sh.mu.Lock()
		if sh.held.Load() && sh.touched {
			lowest = min(lowest, sh.low)
			if now-sh.low > snapshotBehind || records-e.pace.at(sh.low) > e.Replay {
				due = append(due, behind{sh.low, i})
			}
		}
		sh.mu.Unlock()
	}
	e.pace.forget(lowest)
	slices.SortFunc(due, func(a, b behind) int { return cmp.Compare(a.low, b.low) })
	return due
}

// pace is how many records there had been at positions of the journal, one for each look
// at it.
type pace []struct{ position, records int64 }

// note takes down how many records there are, and returns it.
func (p *pace) note(position, records int64) int64 {
	if n := len(*p); n == 0 || (*p)[n-1].position < position {
		*p = append(*p, struct{ position, records int64 }{position, records})
	}
	return records
}

// at is how many records there had been at a position, or a little before.
func (p pace) at(position int64) (records int64) {
	i := sort.Search(len(p), func(i int) bool { return p[i].position > position })
	if i == 0 {
		return 0
	}
	return p[i-1].records
}

// forget forgets what is below a position that is still of interest.
func (p *pace) forget(position int64) {
	i := sort.Search(len(*p), func(i int) bool { return (*p)[i].position > position })
	*p = (*p)[max(0, i-1):]
}

// load builds shards from their pages and what the journal says since.
func (e *Engine) load(ctx context.Context, want journal.Set) error {
	marks := map[int]uint64{}
	after := int64(never)
	want.Each(func(i int) {
		sh := e.shards[i]
		sh.mu.Lock()
		sh.clear()
		sh.mu.Unlock()
		marks[i] = 0
	})
	low := map[int]int64{}
	err := e.Journal.Load(ctx, want, func(p journal.Page) error {
		sh := e.shards[p.Shard]
		sh.mu.Lock()
		defer sh.mu.Unlock()
		r := reader{b: p.Blob}
		switch {
		case p.Number == headPage:
			r.head(sh)
			marks[p.Shard], low[p.Shard] = p.Mark, p.Low
		case p.Number < toldPage:
			r.page(sh, p.Number-1)
		case p.Number < endedPage:
			sh.told.load(r.generation())
		default:
			sh.ended.load(r.generation())
		}
		if r.err != nil {
			return fmt.Errorf("charging: page %d of shard %d: %w", p.Number, p.Shard, r.err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	want.Each(func(i int) { after = min(after, low[i]); e.shards[i].settle(e.now()) })
	var m Move
	err = e.Journal.Replay(ctx, after, want, func(seq int64, b *journal.Batch) error {
		e.raise(seq)
		return Scan(b.Blob, b.First, func(rec *Record, next func(*Move) bool) error {
			if !want.Has(rec.Shard) || rec.N <= marks[rec.Shard] {
				return nil
			}
			return e.replay(rec, next, &m)
		})
	})
	if err == nil {
		want.Each(func(i int) { e.wait(e.shards[i]) })
	}
	return err
}

// wait lets the sweeper look at the accounts of a loaded shard when time brings
// something.
func (e *Engine) wait(sh *shard) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	now := e.now()
	for _, a := range sh.accounts {
		if a != nil {
			e.turn(sh, a, nil, now).lookAgain()
		}
	}
}

// raise keeps the highest position known.
func (e *Engine) raise(seq int64) {
	for {
		now := e.durable.Load()
		if seq <= now || e.durable.CompareAndSwap(now, seq) {
			return
		}
	}
}

// tidy drops what has been kept for long enough.
func (sh *shard) tidy(now int64) {
	sh.told.drop(now)
	sh.ended.drop(now)
	for number, at := range sh.commands {
		if now-at > keepCommands {
			delete(sh.commands, number)
		}
	}
}

// replay makes the moves of a record again. Records of a shard come in order and
// without holes; anything else is a journal that is not to be trusted.
func (e *Engine) replay(rec *Record, next func(*Move) bool, m *Move) error {
	sh := e.shards[rec.Shard]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if rec.N != sh.records+1 {
		return fmt.Errorf("charging: shard %d: record %d follows %d", rec.Shard, rec.N, sh.records)
	}
	sh.records = rec.N
	t := &sh.turn
	*t = turn{sh: sh, a: sh.account(rec.Slot), slot: rec.Slot, at: rec.At, book: e.Book.at.Load(), log: t.log[:0], scratch: t.scratch}
	if rec.Sess != 0 && t.a != nil {
		for s := t.a.sessions; s != nil; s = s.next {
			if s.Number == rec.Sess {
				t.s = s
			}
		}
	}
	for next(m) {
		if err := t.apply(m); err != nil {
			return err
		}
		if m.Op == opShut {
			t.s = nil
		}
	}
	sh.touch(rec.Slot, e.durable.Load()-1)
	return nil
}
