package core

import (
	"slices"
	"testing"

	"tandem/edge/credit"
)

// TestALineHearsThatThereIsMore: the reports of a line ask for nothing, so nothing is ever refused to it; its access server, which
// slowed it, hears of a top-up all the same.
func TestALineHearsThatThereIsMore(t *testing.T) {
	one(t, func(t *testing.T, r *rig, ref Ref) {
		r.e.Clients[credit.RADIUS] = r.client
		r.radius(credit.Initial, r.now(), 0, 0, true, 1)
		if asked, _ := r.client.heard(); len(asked) != 0 {
			t.Fatalf("told before there is anything to tell: %v", asked)
		}
		r.run(ref, func(h *Hand) error { return h.Credit(1, 1e9, TopUp, "voucher", 0) })
		r.heard()
		if asked, _ := r.client.heard(); !slices.Equal(asked, []string{"acct"}) {
			t.Fatalf("told of a top-up: %v", asked)
		}
	})
}
