package core

import (
	"cmp"
	"hash/fnv"
	"slices"

	"github.com/cespare/xxhash/v2"
)

// key is a 128-bit name of a request: two hashes of its peer, session and number.
type key [2]uint64

func keyOf(b []byte) key {
	h := fnv.New64a()
	h.Write(b)
	return key{xxhash.Sum64(b), h.Sum64()}
}

// told remembers what was answered to requests of sessions that are over and to
// events, so that one that comes again gets the same answer. It forgets whole
// generations at a time: those that are too old, and the oldest when all together
// are too large.
type told struct {
	keep  int64         // microseconds
	step  int64         // of a generation
	most  int           // octets, about; 0: no bound
	gens  []*generation // oldest first
	index map[uint64]answerAt
	size  int   // octets, about
	early int64 // answers that were forgotten before their time
}

// answerAt is where an answer is: under the first half of its key.
type answerAt struct {
	in    *generation
	place uint32
}

// generation is what was told in a span of time.
type generation struct {
	number int64 // of its page: one that a dropped generation had is taken again
	from   int64
	keys   []placed
	body   []byte // second half of the key, digest, length, answer
	dirty  bool
}

// placed is the first half of a key and where in the body the rest is.
type placed struct {
	key   uint64
	place uint32
}

const (
	generationMax    = 16384     // entries; a page of the snapshot
	generationOctets = 128 << 10 // so that a snapshot need not write much again that it has written
	placedSize       = 64        // octets in memory beside the body, about
)

func (g *generation) size() int { return len(g.body) + len(g.keys)*placedSize }

func (t *told) put(k key, at int64, digest uint64, answer []byte) {
	g := t.current(at)
	before := g.size()
	t.enter(g, placed{k[0], uint32(len(g.body))})
	g.keys = append(g.keys, placed{k[0], uint32(len(g.body))})
	g.body = putS(putU64(putU64(g.body, k[1]), digest), answer)
	g.dirty = true
	t.size += g.size() - before
	t.shrink()
}

func (t *told) enter(g *generation, p placed) {
	if t.index == nil {
		t.index = map[uint64]answerAt{}
	}
	t.index[p.key] = answerAt{g, p.place}
}

// current is the generation of an instant; it drops those that are too old.
func (t *told) current(at int64) *generation {
	if n := len(t.gens); n > 0 {
		if g := t.gens[n-1]; at-g.from < t.step && len(g.keys) < generationMax && len(g.body) < generationOctets {
			return g
		}
	}
	t.drop(at)
	g := &generation{number: t.free(), from: at}
	t.gens = append(t.gens, g)
	return g
}

// drop forgets the generations that are too old at an instant.
func (t *told) drop(at int64) {
	n := 0
	for n < len(t.gens) && at-t.gens[n].from > t.keep+t.step {
		n++
	}
	t.forget(n)
}

// shrink forgets the oldest generations while all are too large together.
func (t *told) shrink() {
	for t.most > 0 && t.size > t.most && len(t.gens) > 1 {
		t.early += int64(len(t.gens[0].keys))
		t.forget(1)
	}
}

// forget forgets the first n generations.
func (t *told) forget(n int) {
	for _, g := range t.gens[:n] {
		t.size -= g.size()
		for _, p := range g.keys {
			if t.index[p.key].in == g {
				delete(t.index, p.key)
			}
		}
	}
	t.gens = slices.Delete(t.gens, 0, n)
}

// free is the smallest page number that no generation has, so that pages of the
// snapshot are written over instead of piling up.
func (t *told) free() int64 {
	for n := int64(0); ; n++ {
		if !slices.ContainsFunc(t.gens, func(g *generation) bool { return g.number == n }) {
			return n
		}
	}
}

// load takes a generation from its page; settle puts them in order.
func (t *told) load(g *generation) { t.gens = append(t.gens, g) }

// settle puts loaded generations in order, and drops those that are too old.
func (sh *shard) settle(now int64) {
	for _, k := range [...]*told{&sh.told, &sh.ended} {
		slices.SortStableFunc(k.gens, func(a, b *generation) int { return cmp.Compare(a.from, b.from) })
		k.index, k.size = nil, 0
		for _, g := range k.gens {
			k.size += g.size()
			for _, p := range g.keys {
				k.enter(g, p)
			}
		}
		k.drop(now)
		k.shrink()
	}
}

// get is what was told last; the answer is valid until the shard is unlocked.
func (t *told) get(k key) (digest uint64, answer []byte, ok bool) {
	at, ok := t.index[k[0]]
	if !ok || int(at.place) > len(at.in.body) {
		return 0, nil, false
	}
	r := reader{b: at.in.body[at.place:]}
	if r.u64() != k[1] {
		return 0, nil, false
	}
	digest = r.u64()
	return digest, r.bytes(), r.err == nil
}

func putGeneration(b []byte, g *generation) []byte {
	b = putU(putI(putI(b, g.number), g.from), uint64(len(g.keys)))
	for _, p := range g.keys {
		b = putU(putU64(b, p.key), uint64(p.place))
	}
	return putS(b, g.body)
}

func (r *reader) generation() *generation {
	g := &generation{number: r.i(), from: r.i()}
	for n := r.count(); n > 0; n-- {
		g.keys = append(g.keys, placed{r.u64(), uint32(r.u())})
	}
	g.body = append([]byte(nil), r.bytes()...)
	return g
}

// Remembered is what an engine keeps of answers, for requests that come again.
type Remembered struct {
	Answers   int64
	Octets    int64
	Forgotten int64 // before their time, for lack of room
}

// Remembered adds up what the shards keep of answers.
func (e *Engine) Remembered() (all Remembered) {
	for _, sh := range e.shards {
		sh.mu.Lock()
		for _, k := range [...]*told{&sh.told, &sh.ended} {
			all.Answers += int64(len(k.index))
			all.Octets += int64(k.size)
			all.Forgotten += k.early
		}
		sh.mu.Unlock()
	}
	return all
}
