package core

import (
	"testing"

	"tandem/edge/credit"
)

// A session that was told that nothing is left for one rating group goes on with
// another, free one, and is told all the same when there is more (Q11, P12).
func TestASessionWaitsForMoreWhileAnotherGroupGoesOn(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		ref := NewRef(12, 0)
		r.account(ref, 447700900033, 5e7) // 5 MiB
		r.data(credit.Initial, "s", 0, 447700900033, 20, 0)
		if g := r.data(credit.Update, "s", 1, 447700900033, 20, 5<<20); g.Grant.Has != 0 || g.Final.Action != credit.FinalRedirect {
			t.Fatalf("nothing left: %+v", g)
		}
		if g := r.data(credit.Update, "s", 2, 447700900033, 900, 0); g.Result != credit.Success || g.Grant.Total == 0 || g.Final.Action != credit.NotFinal {
			t.Fatalf("what is free: %+v", g)
		}
		r.run(ref, func(h *Hand) error { return h.Credit(1, 5e9, TopUp, "t1", 0) })
		r.e.flush()
		if asked, _ := r.client.heard(); len(asked) != 1 || asked[0] != "s" {
			t.Fatalf("told: %v", asked)
		}
		if g := r.data(credit.Update, "s", 3, 447700900033, 20, 0); g.Grant.Total != 10<<20 {
			t.Fatalf("after the top-up: %+v", g)
		}
		if g := r.data(credit.Update, "s", 4, 447700900033, 900, 0); g.Grant.Total == 0 {
			t.Fatalf("what is free: %+v", g)
		}
		r.run(ref, func(h *Hand) error { return h.Credit(1, 5e9, TopUp, "t2", 0) })
		r.e.flush()
		if asked, _ := r.client.heard(); len(asked) != 1 {
			t.Fatalf("a session with something left is told of a top-up: %v", asked)
		}
	})
}
