package verify

import (
	"bytes"
	"crypto/sha256"
	"slices"
)

// id is a digest that stands for ids and keys of any length.
type id [16]byte

func digest(parts ...string) (d id) {
	var buf [256]byte
	b := buf[:0]
	for _, p := range parts {
		b = append(append(b, p...), 0)
	}
	sum := sha256.Sum256(b)
	copy(d[:], sum[:])
	return d
}

// packed is a large set of digests with a small value each: filled, then sorted
// once, then looked up.
type packed[V any] []entry[V]

type entry[V any] struct {
	id  id
	val V
}

func (p *packed[V]) add(d id, v V) { *p = append(*p, entry[V]{d, v}) }

func (p packed[V]) sort() {
	slices.SortFunc(p, func(a, b entry[V]) int { return bytes.Compare(a.id[:], b.id[:]) })
}

// find gives all values of a digest, to be changed in place.
func (p packed[V]) find(d id) []entry[V] {
	n, _ := slices.BinarySearchFunc(p, d, func(e entry[V], d id) int { return bytes.Compare(e.id[:], d[:]) })
	end := n
	for end < len(p) && p[end].id == d {
		end++
	}
	return p[n:end]
}
