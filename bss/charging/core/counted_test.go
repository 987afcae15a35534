package core

import (
	"testing"
	"time"

	"tandem/edge/credit"
)

// What was charged is not in suspense as well when the subscriber is gone, and is not
// charged to whoever has his number next; nor is what lies in suspense.
func TestCountersGoOnWhoeverPays(t *testing.T) {
	one(t, func(t *testing.T, r *rig, ref Ref) {
		t0, next := r.now(), NewRef(200, 0)
		r.radius(credit.Update, t0.Add(time.Minute), 0, 10*mib, false, 1)
		r.money(ref, 1e9-10e7, 0)
		if n, err := r.e.Restart(t.Context(), credit.RADIUS, "pgw.example", 0); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		r.run(ref, func(h *Hand) error { return h.Leave(1) })
		r.radius(credit.Update, t0.Add(2*time.Minute), 0, 15*mib, false, 2)
		r.radius(credit.Update, t0.Add(2*time.Minute), 0, 15*mib, false, 2)
		if lost := r.suspended(); len(lost) != 1 || lost[0].Totals.Total != 5*mib {
			t.Fatalf("in suspense: %+v", lost)
		}
		r.crash()
		r.radius(credit.Update, t0.Add(3*time.Minute), 0, 17*mib, false, 3)
		r.reopen()
		r.account(next, number, 1e9)
		r.radius(credit.Update, t0.Add(4*time.Minute), 0, 20*mib, false, 4)
		r.money(next, 1e9-3e7, 0)
		r.money(ref, 1e9-10e7, 0)
		if lost := r.suspended(); len(lost) != 2 || lost[1].Totals.Total != 2*mib {
			t.Fatalf("in suspense: %+v", lost)
		}
	})
}

// Counters of nobody that went down and cannot have wrapped count from anew; one that
// is broken leaves them where they are.
func TestCountersOfNobodyThatWentDown(t *testing.T) {
	one(t, func(t *testing.T, r *rig, ref Ref) {
		t0 := r.now()
		r.run(ref, func(h *Hand) error { return h.Leave(1) })
		r.radius(credit.Update, t0.Add(time.Minute), 0, 10*mib, false, 1)
		r.radius(credit.Update, t0.Add(2*time.Minute), 0, 1<<60, false, 2)
		r.radius(credit.Update, t0.Add(3*time.Minute), 0, 12*mib, false, 3)
		r.radius(credit.Update, t0.Add(4*time.Minute), 0, 3*mib, false, 4)
		r.radius(credit.Terminate, t0.Add(4*time.Minute), 0, 4*mib, false, 5) // in the same second
		want := []uint64{10 * mib, 1 << 60, 2 * mib, 3 * mib, mib}
		lost := r.suspended()
		if len(lost) != len(want) {
			t.Fatalf("in suspense: %+v", lost)
		}
		for i, l := range lost {
			if l.Totals.Total != want[i] {
				t.Errorf("%d octets are in suspense, not %d", l.Totals.Total, want[i])
			}
		}
	})
}
