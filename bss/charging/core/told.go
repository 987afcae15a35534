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
// generations at a time.
type told struct {
	keep int64         // microseconds
	step int64         // of a generation
	gens []*generation // oldest first
}

// generation is what was told in a span of time.
type generation struct {
	number int64 // of its page: one that a dropped generation had is taken again
	from   int64
	index  map[uint64]uint32 // first half of the key -> place in body
	body   []byte            // second half, digest, length, answer
	dirty  bool
}

const generationMax = 16384 // entries; a page of the snapshot

func (t *told) put(k key, at int64, digest uint64, answer []byte) {
	g := t.current(at)
	g.index[k[0]] = uint32(len(g.body))
	g.body = putS(putU64(putU64(g.body, k[1]), digest), answer)
	g.dirty = true
}

// current is the generation of an instant; it drops those that are too old.
func (t *told) current(at int64) *generation {
	if n := len(t.gens); n > 0 {
		if g := t.gens[n-1]; at-g.from < t.step && len(g.index) < generationMax {
			return g
		}
	}
	t.drop(at)
	g := &generation{number: t.free(), from: at, index: make(map[uint64]uint32, 8)}
	t.gens = append(t.gens, g)
	return g
}

// drop forgets the generations that are too old at an instant.
func (t *told) drop(at int64) {
	n := 0
	for n < len(t.gens) && at-t.gens[n].from > t.keep+t.step {
		n++
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
		k.drop(now)
	}
}

// get is what was told, newest first; the answer is valid until the shard is
// unlocked.
func (t *told) get(k key) (digest uint64, answer []byte, ok bool) {
	for i := len(t.gens) - 1; i >= 0; i-- {
		place, ok := t.gens[i].index[k[0]]
		if !ok {
			continue
		}
		if int(place) > len(t.gens[i].body) {
			continue
		}
		r := reader{b: t.gens[i].body[place:]}
		if r.u64() != k[1] {
			continue
		}
		digest = r.u64()
		return digest, r.bytes(), r.err == nil
	}
	return 0, nil, false
}

func putGeneration(b []byte, g *generation) []byte {
	b = putU(putI(putI(b, g.number), g.from), uint64(len(g.index)))
	for k, place := range g.index {
		b = putU(putU64(b, k), uint64(place))
	}
	return putS(b, g.body)
}

func (r *reader) generation() *generation {
	g := &generation{number: r.i(), from: r.i()}
	n := r.count()
	g.index = make(map[uint64]uint32, n)
	for ; n > 0; n-- {
		k := r.u64()
		g.index[k] = uint32(r.u())
	}
	g.body = append([]byte(nil), r.bytes()...)
	return g
}
