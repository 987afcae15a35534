package core

import (
	"testing"
	"time"

	"tandem/edge/credit"
)

func TestSessionReservesChargesAndReleases(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		ref := NewRef(7, 3)
		r.account(ref, 447700900001, 1e9) // 1 EUR: 100 MiB
		g := r.data(credit.Initial, "s1", 0, 447700900001, 10, 0)
		if g.Result != credit.Success || g.Grant.Total != 10<<20 || g.Threshold.Total == 0 || g.Validity != 3600 {
			t.Fatalf("first grant: %+v", g)
		}
		if left, held, _ := r.value(ref, 1); left != 1e9 || held != 1e8 {
			t.Fatalf("after the grant: left %d, held %d", left, held)
		}
		g = r.data(credit.Update, "s1", 1, 447700900001, 10, 6<<20)
		if left, held, _ := r.value(ref, 1); left != 94e7 || held != 1e8 || g.Grant.Total != 10<<20 {
			t.Fatalf("after 6 MiB: left %d, held %d, %+v", left, held, g)
		}
		r.reopen()
		if left, held, _ := r.value(ref, 1); left != 94e7 || held != 1e8 {
			t.Fatalf("after the restart: left %d, held %d", left, held)
		}
		r.data(credit.Terminate, "s1", 2, 447700900001, 10, 4<<20)
		if left, held, _ := r.value(ref, 1); left != 9e8 || held != 0 {
			t.Fatalf("after the end: left %d, held %d", left, held)
		}
	})
}

func TestRepeatedRequestsAreAnsweredAsBefore(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		ref := NewRef(9, 0)
		r.account(ref, 447700900002, 1e9)
		r.data(credit.Initial, "s", 0, 447700900002, 10, 0)
		first := *r.data(credit.Update, "s", 1, 447700900002, 10, 5<<20)
		again := *r.data(credit.Update, "s", 1, 447700900002, 10, 5<<20)
		if first.Grant != again.Grant || first.Validity != again.Validity {
			t.Fatalf("first %+v, again %+v", first, again)
		}
		r.reopen()
		again = *r.data(credit.Update, "s", 1, 447700900002, 10, 5<<20)
		if first.Grant != again.Grant {
			t.Fatalf("after the restart: first %+v, again %+v", first, again)
		}
		r.data(credit.Terminate, "s", 2, 447700900002, 10, 1<<20)
		if g := r.data(credit.Terminate, "s", 2, 447700900002, 10, 1<<20); g.Result != credit.Success {
			t.Fatalf("a repeated end: %+v", g)
		}
		if left, held, _ := r.value(ref, 1); left != 94e7 || held != 0 {
			t.Fatalf("left %d, held %d", left, held)
		}
		c := ask(credit.Update, "s", 1, 447700900002)
		c.Request.Digest = 99
		if a := r.charge(c); a.Result != credit.Clash {
			t.Fatalf("other content under a used number: %v", a.Result)
		}
	})
}

func TestLastGrantIsFinalAndTopUpWakesTheSession(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		ref := NewRef(11, 0)
		r.account(ref, 447700900003, 15e7) // 15 MiB
		g := r.data(credit.Initial, "s", 0, 447700900003, 20, 0)
		if g.Final.Action != credit.NotFinal {
			t.Fatalf("%+v", g)
		}
		g = r.data(credit.Update, "s", 1, 447700900003, 20, 10<<20)
		if g.Grant.Total != 5<<20 || g.Final.Action != credit.FinalRedirect || g.Final.Address != "http://portal.example/" {
			t.Fatalf("the last units: %+v", g)
		}
		g = r.data(credit.Update, "s", 2, 447700900003, 20, 5<<20)
		if g.Grant.Has != 0 || g.Final.Action != credit.FinalRedirect || g.Result != credit.Success {
			t.Fatalf("nothing left: %+v", g)
		}
		r.run(ref, func(h *Hand) error { return h.Credit(1, 5e9, TopUp, "t1", 0) })
		r.e.flush()
		if asked, _ := r.client.heard(); len(asked) != 1 || asked[0] != "s" {
			t.Fatalf("told: %v", asked)
		}
		g = r.data(credit.Update, "s", 3, 447700900003, 20, 0)
		if g.Grant.Total != 10<<20 || g.Final.Action != credit.NotFinal {
			t.Fatalf("after the top-up: %+v", g)
		}
	})
}

func TestStaleSessionsAreEnded(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		ref := NewRef(200, 1)
		r.account(ref, 447700900004, 1e9)
		r.data(credit.Initial, "s", 0, 447700900004, 10, 0)
		r.pass(3 * time.Hour)
		if _, held, _ := r.value(ref, 1); held != 0 {
			t.Fatalf("held %d", held)
		}
		if _, ended := r.client.heard(); len(ended) != 1 {
			t.Fatalf("told: %v", ended)
		}
	})
}
