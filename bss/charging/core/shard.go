package core

import (
	"slices"
	"sync"
	"sync/atomic"
)

// shard is a 256th of the accounts, decided on by one goroutine at a time.
type shard struct {
	mu       sync.Mutex
	number   int
	held     atomic.Bool // this node decides for it; changed under mu
	names    *names
	open     *directory
	accounts []*Account // by slot; nil: none
	records  uint64     // written
	session  uint64     // last number given
	low      int64      // journal position from which it must be replayed
	dirty    []bool     // pages changed since the snapshot
	touched  bool
	commands map[uint64]int64 // carried out, and when: not to be carried out again
	told     told             // of events
	ended    told             // of sessions that are over
	due      dues
	over     Session // scratch of ending
	turn     turn
}

// How long answers are kept for a request that comes again (R3), microseconds.
const (
	keepEvents   = 24 * 3600 * 1e6
	keepSessions = 3600 * 1e6
	keepCommands = 7 * 24 * 3600 * 1e6
)

// What of answers a shard keeps at most, octets: with all shards here 4 GiB and 1 GiB.
// Under more load than fits, they are kept for less long (tandem_charging_answers).
const (
	mostEvents   = 16 << 20
	mostSessions = 4 << 20
)

func newShard(number int, names *names, open *directory) *shard {
	sh := &shard{number: number, names: names, open: open}
	sh.clear()
	return sh
}

// clear forgets everything: another node decides now.
func (sh *shard) clear() {
	for _, a := range sh.accounts {
		if a == nil {
			continue
		}
		for i := range a.Subscribers {
			sh.names.remove(&a.Subscribers[i], NewRef(sh.number, a.slot))
		}
		for s := a.sessions; s != nil; s = s.next {
			sh.open.remove(s.Key)
		}
	}
	sh.held.Store(false)
	sh.accounts, sh.records, sh.session, sh.dirty = nil, 0, 0, nil
	sh.low, sh.touched = 0, false
	sh.commands = map[uint64]int64{}
	sh.told = told{keep: keepEvents, step: keepEvents / 24, most: mostEvents, early: sh.told.early}
	sh.ended = told{keep: keepSessions, step: keepSessions / 6, most: mostSessions, early: sh.ended.early}
	sh.due = nil
}

// forget is clear for one who does not hold the lock.
func (sh *shard) forget() {
	sh.mu.Lock()
	sh.clear()
	sh.mu.Unlock()
}

// slots bounds the accounts of a shard: 4 billion in all.
const slots = 1 << 24

// put gives an account its place; there is none for a slot that cannot be.
func (sh *shard) put(a *Account) bool {
	if a.slot >= slots {
		return false
	}
	for int(a.slot) >= len(sh.accounts) {
		sh.accounts = append(sh.accounts, nil)
	}
	sh.accounts[a.slot] = a
	return true
}

func (sh *shard) account(slot uint32) *Account {
	if int(slot) >= len(sh.accounts) {
		return nil
	}
	return sh.accounts[slot]
}

func (sh *shard) add(s *Session) {
	sh.session = max(sh.session, s.Number)
	sh.open.add(s.Key, NewRef(sh.number, s.account.slot), s)
	sh.look(s.account, upTo(s.Expires))
}

// remove forgets an open session but for what it takes to answer its requests
// again. A client that reports by file, RADIUS or offline Diameter is late by
// hours, so that its sessions are remembered as long as events.
func (sh *shard) remove(s *Session, at int64) {
	s.closed = true
	sh.open.remove(s.Key)
	sh.turn.answer = putEnding(sh.turn.answer[:0], s)
	of := &sh.ended
	if s.offline() {
		of = &sh.told
	}
	of.put(keyOf([]byte(s.Key)), at, 0, sh.turn.answer)
}

// upTo is the first whole second at which an instant (Unix microseconds) has come:
// whoever looked in the second before would find nothing to do, and look again.
func upTo(us int64) int64 { return (us + 999_999) / 1e6 }

// look sees to it that the sweeper looks at an account at an instant (Unix
// seconds) or before. An account waits once only, for the earliest instant.
func (sh *shard) look(a *Account, at int64) {
	if at <= 0 || a.due != 0 && int64(a.due) <= at {
		return
	}
	a.due = uint32(min(at, 1<<32-1))
	sh.due.add(a.due, a.slot)
}

// touch marks the page of an account as changed. low is the position in the
// journal behind which the change will be.
func (sh *shard) touch(slot uint32, low int64) {
	page := int(slot / pageSize)
	for page >= len(sh.dirty) {
		sh.dirty = append(sh.dirty, false)
	}
	sh.dirty[page] = true
	if !sh.touched {
		sh.touched, sh.low = true, low
	}
}

// directory leads from the key of an open session to it.
type directory [stripes]struct {
	sync.RWMutex
	m map[string]opened
}

type opened struct {
	ref Ref
	s   *Session
}

func newDirectory() *directory {
	d := &directory{}
	for i := range d {
		d[i].m = map[string]opened{}
	}
	return d
}

func (d *directory) add(key string, ref Ref, s *Session) {
	x := &d[spreadText(key)]
	x.Lock()
	x.m[key] = opened{ref, s}
	x.Unlock()
}

func (d *directory) get(key []byte) (opened, bool) {
	x := &d[spreadText(key)]
	x.RLock()
	o, ok := x.m[string(key)]
	x.RUnlock()
	return o, ok
}

func (d *directory) remove(key string) {
	x := &d[spreadText(key)]
	x.Lock()
	delete(x.m, key)
	x.Unlock()
}

// dues are the accounts that the sweeper must look at, the earliest first: a heap of
// the instant (Unix seconds) and, below, the slot.
type dues []uint64

func (d *dues) add(at, slot uint32) {
	h := append(*d, uint64(at)<<32|uint64(slot))
	for i := len(h) - 1; i > 0; {
		up := (i - 1) / 2
		if h[up] <= h[i] {
			break
		}
		h[up], h[i] = h[i], h[up]
		i = up
	}
	*d = h
}

// take is an account that is due by now.
func (d *dues) take(now int64) (at, slot uint32, ok bool) {
	h := *d
	if len(h) == 0 || int64(h[0]>>32) > now {
		return 0, 0, false
	}
	first := h[0]
	last := len(h) - 1
	h[0] = h[last]
	h = h[:last]
	for i := 0; ; {
		least := i
		for _, down := range [...]int{2*i + 1, 2*i + 2} {
			if down < last && h[down] < h[least] {
				least = down
			}
		}
		if least == i {
			break
		}
		h[i], h[least] = h[least], h[i]
		i = least
	}
	if cap(h) > 1024 && len(h) < cap(h)/4 {
		h = slices.Clip(slices.Clone(h))
	}
	*d = h
	return uint32(first >> 32), uint32(first), true
}
