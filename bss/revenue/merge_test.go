package revenue

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestTwoSidesAreMergedByKey holds random sets against a join of maps: every key once, in
// order, with what each side has, whatever the pages are.
func TestTwoSidesAreMergedByKey(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 4))
	self := func(s string) string { return s }
	for range 2000 {
		sets := [2][]string{}
		for i := range sets {
			for range r.IntN(40) {
				sets[i] = append(sets[i], fmt.Sprint(r.IntN(60)))
			}
			slices.Sort(sets[i])
			sets[i] = slices.Compact(sets[i])
		}
		limit := 1 + r.IntN(7)
		page := func(set []string, after string) []string {
			i, found := slices.BinarySearch(set, after)
			if found {
				i++
			}
			return set[i:min(len(set), i+limit)]
		}
		var got, want []string
		for after, more := "", true; more; {
			var some []pair[string, string]
			some, after, more = zip(page(sets[0], after), page(sets[1], after), self, self, limit)
			for _, p := range some {
				got = append(got, fmt.Sprint(p.key, p.left != nil, p.right != nil))
			}
		}
		for _, key := range slices.Compact(slices.Sorted(slices.Values(slices.Concat(sets[0], sets[1])))) {
			want = append(want, fmt.Sprint(key, slices.Contains(sets[0], key), slices.Contains(sets[1], key)))
		}
		if !slices.Equal(got, want) {
			t.Fatalf("pages of %d of %v and %v:\n%v\nwant\n%v", limit, sets[0], sets[1], got, want)
		}
	}
}

// What is above three standard deviations, in integers against figures worked out by hand.
func TestAboveThreeDeviations(t *testing.T) {
	for _, c := range []struct {
		x      int64
		others []int64
		over   int64
	}{
		{595, []int64{119, 131, 143, 155, 167}, 402}, // mean 143, deviation 16.97
		{193, []int64{119, 131, 143, 155, 167}, 0},   // just below: 193.9
		{101, []int64{100, 100, 100, 100, 100}, 1},
		{100, []int64{100, 100, 100, 100, 100}, 0},
		{1 << 40, []int64{1, 1, 1, 1}, 0}, // too few to compare with
	} {
		of := &spread{}
		for _, o := range c.others {
			of.add(o, 1)
		}
		of.add(c.x, 1)
		of.add(c.x, -1)
		if over, ok := of.below(c.x); over != c.over || ok != (c.over > 0) {
			t.Errorf("%d against %v: %d %v, want %d", c.x, c.others, over, ok, c.over)
		}
	}
}
