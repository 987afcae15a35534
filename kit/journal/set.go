package journal

import "math/bits"

// Shards is how many shards a log has, for ever: the hash of every key depends on it.
const Shards = 256

// Set is a set of shards, each a number from 0 to Shards-1. The zero Set is empty.
type Set [4]uint64

// All is the set of all shards.
func All() Set { return Set{^uint64(0), ^uint64(0), ^uint64(0), ^uint64(0)} }

// Of is the set of the given shards.
func Of(shards ...int) (s Set) {
	for _, n := range shards {
		s.Add(n)
	}
	return s
}

// Add puts shard n into the set.
func (s *Set) Add(n int) { s[n/64] |= 1 << (n % 64) }

// Remove takes shard n out of the set.
func (s *Set) Remove(n int) { s[n/64] &^= 1 << (n % 64) }

// Has says whether shard n is in the set.
func (s Set) Has(n int) bool { return s[n/64]&(1<<(n%64)) != 0 }

// Len is how many shards are in the set.
func (s Set) Len() (n int) {
	for _, w := range s {
		n += bits.OnesCount64(w)
	}
	return n
}

// Each calls f for every shard in the set, the lowest first.
func (s Set) Each(f func(int)) {
	for i, w := range s {
		for ; w != 0; w &= w - 1 {
			f(i*64 + bits.TrailingZeros64(w))
		}
	}
}

// Union is what is in s or in o.
func (s Set) Union(o Set) Set { return Set{s[0] | o[0], s[1] | o[1], s[2] | o[2], s[3] | o[3]} }

// Minus is what is in s and not in o.
func (s Set) Minus(o Set) Set { return Set{s[0] &^ o[0], s[1] &^ o[1], s[2] &^ o[2], s[3] &^ o[3]} }

// Overlaps says whether a shard is in both sets.
func (s Set) Overlaps(o Set) bool {
	return s[0]&o[0]|s[1]&o[1]|s[2]&o[2]|s[3]&o[3] != 0
}

// Covers says whether every shard of o is in s.
func (s Set) Covers(o Set) bool { return o.Minus(s) == Set{} }

func (s Set) words() [4]int64 {
	return [4]int64{int64(s[0]), int64(s[1]), int64(s[2]), int64(s[3])}
}

func setOf(w [4]int64) Set {
	return Set{uint64(w[0]), uint64(w[1]), uint64(w[2]), uint64(w[3])}
}

func (s Set) args() []any {
	args := make([]any, 0, s.Len())
	s.Each(func(n int) { args = append(args, int64(n)) })
	return args
}
