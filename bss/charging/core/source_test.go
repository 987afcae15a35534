package core

import (
	"maps"
	"testing"
	"time"
)

// What came from a source is known as that after a restart, from the journal and from
// pages, and so is what was rolled over of it; and it goes without what came from
// elsewhere. A limit that was lifted stays so until one is set.
func TestASourceOutlivesARestart(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		ref := NewRef(3, 0)
		r.account(ref, 447700900001, 1e9)
		a, b := SourceOf("a"), SourceOf("b")
		for _, s := range []Source{a, b, 0} {
			r.run(ref, func(h *Hand) error {
				_, err := h.Give(Bucket{Def: dataBucket, Owner: 1, To: h.Boundary(dataBucket), Source: s}, 100*mib, Renewed, "")
				return err
			})
		}
		r.run(ref, func(h *Hand) error { return h.Cap(roamingCap, 0, 1e9, false) })
		r.run(ref, func(h *Hand) error { return h.Lift(roamingCap, 0) })
		r.pass(32 * 24 * time.Hour)
		wants := func(want map[Source]int, lifted bool, limit int64) {
			t.Helper()
			got := map[Source]int{}
			var c Counter
			if err := r.e.Look(ref, func(x *Account) {
				for i := range x.Buckets {
					got[x.Buckets[i].Source]++
				}
				c = x.Counters[x.counter(roamingCap, 0)]
			}); err != nil {
				t.Fatal(err)
			}
			if !maps.Equal(got, want) || c.Lifted != lifted || c.Limit != limit {
				t.Errorf("%v, lifted %v, limit %d; want %v, %v, %d", got, c.Lifted, c.Limit, want, lifted, limit)
			}
		}
		all := map[Source]int{a: 2, b: 2, 0: 3} // each with what was rolled over, and the balance
		wants(all, true, 0)
		r.reopen()
		wants(all, true, 0)
		if err := r.e.Snapshot(t.Context()); err != nil {
			t.Fatal(err)
		}
		r.reopen()
		wants(all, true, 0)
		r.run(ref, func(h *Hand) error { return h.EndOf(a) })
		r.run(ref, func(h *Hand) error { return h.EndOf(0) })
		r.run(ref, func(h *Hand) error { return h.Cap(roamingCap, 0, 1e9, false) })
		wants(map[Source]int{b: 2, 0: 3}, false, 1e9)
	})
}
