package core

import (
	"testing"
	"time"

	"tandem/edge/credit"
)

// A record of a file that can be paid for in part only is not charged at all: its case
// says all of it, and when there is more, all of it is charged once.
func TestARecordOfAFileIsChargedAsAWholeOrNot(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		const msisdn = 447700960000
		ref, list := NewRef(1, 0), []post{{msisdn, 2 << 20}, {msisdn, 2 << 20}, {msisdn, 1 << 20}}
		r.run(ref, func(h *Hand) error { // who has no balance of money
			if err := h.Open(host, 978, Prepaid, r.now().Unix()); err != nil {
				return err
			}
			_, err := h.Subscribe(Subscriber{Plan: planBasic, E164: Digits("447700960000")})
			return err
		})
		bucket := r.give(ref, dataBucket, 3<<20, time.Time{})
		left := func(when string, bucket uint32, want int64) {
			t.Helper()
			if n, _, _ := r.value(ref, bucket); n != want {
				t.Errorf("%s: %d octets are left, not %d", when, n, want)
			}
		}
		p, refused, done := posts(1, list)
		if err := r.chargeAll(p, done); err != nil || len(refused) != 1 || refused[1] != credit.RatingFailed {
			t.Fatal(err, refused)
		}
		left("charged", bucket, 0)
		crash(r)
		left("replayed", bucket, 0)
		for _, x := range r.posted() {
			if x.Place == 2 || x.Totals.Total != list[x.Place-1].octets {
				t.Errorf("%+v", x)
			}
		}
		again := r.give(ref, dataBucket, 3<<20, time.Time{})
		one := ask(credit.Event, "one", 0, msisdn) // as a case is charged again
		one.Request.Face, one.Request.Action = credit.File, credit.Post
		u := group(one, 10)
		u.Asked, u.Used = false, append(u.Used, credit.Used{Units: octets(4 << 20), Quota: credit.Offline})
		if a := r.charge(one); a.Units[0].Result != credit.RatingFailed {
			t.Errorf("%+v", a)
		}
		left("after a record of 4 MiB", again, 3<<20)
		p, refused, done = posts(1, list)
		p.Before = func(i, _ int) bool { return i != 1 }
		if err := r.chargeAll(p, done); err != nil || len(refused) > 0 {
			t.Fatal(err, refused)
		}
		left("when there is more", again, 1<<20)
	})
}
