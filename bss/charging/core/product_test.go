package core

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"tandem/bss/rating"
	"tandem/edge/credit"
	"tandem/kit/fault"
)

// left is what is left in a bucket.
func (r *rig) left(ref Ref, bucket uint32) int64 {
	r.Helper()
	n, _, ok := r.value(ref, bucket)
	if !ok {
		r.Fatalf("bucket %d is gone", bucket)
	}
	return n
}

// noticed are the notices in the journal: definition-or-bucket and bit.
func (r *rig) noticed() (list []string) {
	r.Helper()
	r.moves(func(rec *Record, m *Move) {
		if m.Op == opNotice {
			list = append(list, fmt.Sprintf("%v %d %d", m.Flag, m.ID, m.Bit))
		}
	})
	return list
}

// once reports use in a session of its own.
func (r *rig) use(session string, rg uint32, n uint64) *credit.Answer {
	r.Helper()
	r.request(credit.Initial, session, 0, rg, true)
	return r.request(credit.Terminate, session, 1, rg, false, vol(n))
}

// ledger checks that the balance of each bucket is the sum of its entries (R11, P22).
func (r *rig) ledger(ref Ref) {
	r.Helper()
	sums := map[uint32]int64{}
	r.moves(func(rec *Record, m *Move) {
		if rec.Ref() != ref {
			return
		}
		switch m.Op {
		case opDebit:
			sums[m.ID] -= m.Amount
		case opCredit:
			sums[m.ID] += m.Amount
		case opDrop:
			if sums[m.ID] != 0 {
				r.Errorf("bucket %d ended with %d in the ledger", m.ID, sums[m.ID])
			}
			delete(sums, m.ID)
		}
	})
	if err := r.e.Look(ref, func(a *Account) {
		for _, b := range a.Buckets {
			if b.Value != sums[b.ID] {
				r.Errorf("bucket %d holds %d, its entries come to %d", b.ID, b.Value, sums[b.ID])
			}
		}
	}); err != nil {
		r.Fatal(err)
	}
}

func TestP01AllowancesAreUsedInOrder(t *testing.T) {
	one(t, func(t *testing.T, r *rig, ref Ref) {
		late := r.give(ref, dataBucket, 10*mib, r.now().Add(20*24*time.Hour))
		soon := r.give(ref, dataBucket, 10*mib, r.now().Add(10*24*time.Hour))
		bonus := r.give(ref, rolled, 10*mib, r.now().Add(30*24*time.Hour)) // a smaller priority number: first
		r.use("s", 10, 25*mib)
		if r.left(ref, bonus) != 0 || r.left(ref, soon) != 0 || r.left(ref, late) != 5*mib {
			t.Fatalf("bonus %d, soon %d, late %d", r.left(ref, bonus), r.left(ref, soon), r.left(ref, late))
		}
		r.use("t", 10, 10*mib)
		r.money(ref, 95e7, 0)
		r.ledger(ref)
	})
	one(t, func(t *testing.T, r *rig, ref Ref) { // eligible by class, valid from the first use
		seconds := r.give(ref, voiceBonus, 100, time.Time{})
		r.use("s", 10, mib)
		if r.left(ref, seconds) != 100 {
			t.Fatal("data drew on seconds")
		}
		r.pass(100 * time.Hour)
		call := func(name string, n uint64) {
			c := ask(credit.Event, name, 0, number)
			c.Request.Service, c.Request.Action, c.Request.Called = credit.Voice, credit.Post, []byte("447700900999")
			c.Request.AddUnit().Used = []credit.Used{{Units: credit.Units{Has: credit.HasSeconds, Seconds: n}}}
			if a := r.charge(c); a.Result != credit.Success {
				t.Fatalf("%+v", a)
			}
		}
		call("c1", 30)
		if r.left(ref, seconds) != 70 {
			t.Fatalf("%d seconds left", r.left(ref, seconds))
		}
		r.pass(24*time.Hour - time.Second)
		r.left(ref, seconds)
		r.pass(time.Second)
		if _, _, ok := r.value(ref, seconds); ok {
			t.Fatal("a day after its first use it is still there")
		}
		r.ledger(ref)
	})
}

func TestP02RenewalKeepsTheDayOfItsOrigin(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		r.at = time.Date(2026, 1, 31, 10, 0, 0, 0, time.UTC)
		ref := NewRef(4, 0)
		r.account(ref, number, 1e9)
		id := r.give(ref, dataBucket, 100, time.Date(2026, 2, 28, 0, 0, 0, 0, time.UTC))
		want := []string{"2026-02-28 00:00", "2026-03-31 00:00", "2026-04-30 00:00", "2026-05-31 00:00"}
		london := zone("Europe/London") // summer time from 29 March on
		for _, at := range want {
			var to int64
			r.e.Look(ref, func(a *Account) { to = a.Buckets[a.bucket(id)].To })
			if got := unix(to, london).Format("2006-01-02 15:04"); got != at {
				t.Fatalf("ends at %s, not %s", got, at)
			}
			r.use("s"+at, 10, 80)
			r.pass(unix(to, london).Sub(r.now()) - time.Second)
			if r.left(ref, id) >= 100 {
				t.Fatal("nothing was used")
			}
			r.pass(time.Second)
			if r.left(ref, id) != 100 {
				t.Fatalf("%d after the renewal", r.left(ref, id))
			}
		}
		r.crash()
		r.ledger(ref)
	})
}

func TestP02AFirstPeriodMayGiveAPart(t *testing.T) {
	one(t, func(t *testing.T, r *rig, ref Ref) {
		var id uint32
		r.run(ref, func(h *Hand) (err error) {
			id, err = h.Give(Bucket{Def: dataBucket, Initial: 100 * mib, To: h.Boundary(dataBucket)}, 40*mib, Renewed, "")
			return err
		})
		r.use("s", 10, 10*mib)
		if list := r.noticed(); len(list) != 0 {
			t.Fatalf("a quarter of the part was used: %v", list)
		}
		r.pass(31 * 24 * time.Hour)
		if r.left(ref, id) != 100*mib {
			t.Fatalf("%d in the first full period", r.left(ref, id))
		}
	})
}

func TestP02RenewalWaitsForMoney(t *testing.T) {
	one(t, func(t *testing.T, r *rig, ref Ref) {
		r.book.SetDefinition(Definition{ID: 31, Tenant: host, Name: "paid week", Unit: Octets, Classes: []string{"data.home"}, Priority: 1, Zone: "Europe/London",
			Renew: Renew{Unit: 'd', Every: 7, Price: 3e9, Grace: 2 * 86400}})
		var id uint32
		r.run(ref, func(h *Hand) (err error) {
			id, err = h.Give(Bucket{Def: 31, To: h.Boundary(31)}, 100*mib, Renewed, "")
			return err
		})
		r.pass(7 * 24 * time.Hour)
		if r.left(ref, id) != 0 {
			t.Fatalf("not paid, and %d there", r.left(ref, id))
		}
		r.use("s", 10, mib) // falls back to money
		r.money(ref, 99e7, 0)
		r.run(ref, func(h *Hand) error { return h.Credit(1, 3e9, TopUp, "t", 0) })
		if r.left(ref, id) != 100*mib {
			t.Fatalf("paid, and %d there", r.left(ref, id))
		}
		r.money(ref, 99e7, 0)
		r.pass(7*24*time.Hour + time.Hour)
		r.left(ref, id)
		r.pass(2 * 24 * time.Hour)
		if _, _, ok := r.value(ref, id); ok {
			t.Fatal("still there after its grace")
		}
		r.ledger(ref)
	})
}

func TestP02RenewalReauthorisesASessionThatPaysMoney(t *testing.T) {
	one(t, func(t *testing.T, r *rig, ref Ref) {
		r.give(ref, dataBucket, mib, r.now().Add(10*time.Hour))
		r.use("a", 10, mib)
		r.request(credit.Initial, "s", 0, 10, true) // on money
		for range 10 {
			r.pass(time.Hour)
			r.request(credit.Update, "s", uint32(r.now().Unix()), 10, true, vol(0))
		}
		if asked, _ := r.client.heard(); !slices.Contains(asked, "s") {
			t.Fatalf("told: %v", asked)
		}
	})
}

func TestP03RolloverAndOpenReservationsAtTheBoundary(t *testing.T) {
	one(t, func(t *testing.T, r *rig, ref Ref) {
		to := time.Date(2026, 4, 2, 0, 0, 0, 0, zone("Europe/London"))
		id := r.give(ref, dataBucket, 100*mib, to)
		r.pass(to.Sub(r.now()) - 30*time.Minute)
		r.request(credit.Initial, "s", 0, 10, true) // holds 10 MiB
		r.pass(30 * time.Minute)                    // 90 MiB left, half rolls over
		if l, held, _ := r.value(ref, id); l != 100*mib || held != 0 {
			t.Fatalf("after the renewal %d, held %d", l, held)
		}
		u := vol(6 * mib)
		u.At = to.UnixMicro() - 1
		r.request(credit.Update, "s", 1, 10, false, u)
		if r.left(ref, id) != 100*mib {
			t.Fatalf("the new period paid for the old: %d", r.left(ref, id))
		}
		r.pass(2 * time.Minute) // the rest of the reservation follows
		kept := int64(0)
		r.e.Look(ref, func(a *Account) {
			for _, b := range a.Buckets {
				if b.Def == rolled {
					kept += b.Value
					if got := unix(b.To, zone("Europe/London")).Format("2006-01-02"); got != "2026-06-02" { // two periods
						t.Errorf("kept until %s", got)
					}
				}
				if b.Tail {
					t.Errorf("the split-off bucket is still there: %+v", b)
				}
			}
		})
		if kept != (90+4)/2*mib {
			t.Fatalf("%d MiB kept", kept/mib)
		}
		r.use("t", 10, mib)
		if r.left(ref, id) != 100*mib {
			t.Fatal("what was kept is not used first")
		}
		r.crash()
		r.ledger(ref)
	})
}

// family adds a second subscriber.
func (r *rig) member(ref Ref, msisdn uint64) (id uint16) {
	r.Helper()
	r.run(ref, func(h *Hand) (err error) {
		id, err = h.Subscribe(Subscriber{Plan: planBasic, E164: digits(fmt.Append(nil, msisdn))})
		return err
	})
	return id
}

func TestP04SharingWithMemberCaps(t *testing.T) {
	one(t, func(t *testing.T, r *rig, ref Ref) {
		child := r.member(ref, number+1)
		shared := r.give(ref, rolled, 100*mib, time.Time{})
		own := uint32(0)
		r.run(ref, func(h *Hand) (err error) {
			own, err = h.Give(Bucket{Def: rolled, Owner: 1}, 10*mib, Bonus, "")
			return err
		})
		r.book.SetDefinition(Definition{ID: 32, Tenant: host, Name: "child", Unit: Octets, Counter: true, Hard: true, Classes: []string{"data.home"}, Reset: Daily, Zone: "Europe/London"})
		r.run(ref, func(h *Hand) error { return h.Cap(32, child, 15*mib, false) })
		g := r.data(credit.Initial, "c", 0, number+1, 10, 0)
		g = r.data(credit.Update, "c", 1, number+1, 10, 10*mib)
		if g.Grant.Total != 5*mib || g.Final.Action == credit.NotFinal {
			t.Fatalf("the last of the child's limit: %+v", g)
		}
		if g = r.data(credit.Update, "c", 2, number+1, 10, 5*mib); g.Result != credit.LimitReached {
			t.Fatalf("beyond the child's limit: %+v", g)
		}
		if r.left(ref, shared) != 85*mib || r.left(ref, own) != 10*mib {
			t.Fatalf("shared %d, the other's own %d", r.left(ref, shared), r.left(ref, own))
		}
		r.use("p", 10, 12*mib) // the owner has no limit
		if r.left(ref, shared)+r.left(ref, own) != 83*mib {
			t.Fatal("the owner was limited")
		}
		for n := range uint32(13) { // past midnight
			r.pass(time.Hour)
			r.data(credit.Update, "c", 3+n, number+1, 10, 0)
		}
		if asked, _ := r.client.heard(); !slices.Contains(asked, "c") {
			t.Fatalf("the child's session is not told of the new day: %v", asked)
		}
	})
}

func TestP04AMemberLeavesInMidSession(t *testing.T) {
	one(t, func(t *testing.T, r *rig, ref Ref) {
		child := r.member(ref, number+1)
		r.data(credit.Initial, "c", 0, number+1, 10, 0)
		r.run(ref, func(h *Hand) error { return h.Leave(child) })
		if _, ended := r.client.heard(); len(ended) != 1 {
			t.Fatalf("told: %v", ended)
		}
		r.crash()
		if g := r.data(credit.Update, "c", 1, number+1, 10, 4*mib); g.Result != credit.Denied || g.Grant.Has != 0 {
			t.Fatalf("%+v", g)
		}
		r.money(ref, 96e7, 0)
		r.data(credit.Terminate, "c", 2, number+1, 10, mib)
		r.money(ref, 95e7, 0)
		c := ask(credit.Initial, "d", 0, number+1)
		if a := r.charge(c); a.Result != credit.UnknownUser {
			t.Fatalf("a new session: %+v", a)
		}
	})
}

func TestP05TopUp(t *testing.T) {
	one(t, func(t *testing.T, r *rig, ref Ref) {
		up := func() (bool, error) {
			return r.e.Run(t.Context(), Command{Number: 4711, Ref: ref, Do: func(h *Hand) error { return h.Credit(1, 5e9, TopUp, "pay-1", 0) }})
		}
		for i := range 3 {
			if done, err := up(); err != nil || done != (i > 0) {
				t.Fatal(done, err)
			}
			if i == 1 {
				r.crash()
			}
		}
		r.money(ref, 6e9, 0)
		r.use("s", 10, 550*mib)
		r.run(ref, func(h *Hand) error { return h.Reverse(1, 5e9, Adjusted, "pay-1") }) // the payment failed, and it is spent
		r.money(ref, -45e8, 0)
		if a := r.request(credit.Initial, "t", 0, 10, true); a.Units[0].Result != credit.LimitReached {
			t.Fatalf("%+v", a)
		}
		if _, err := r.e.Run(t.Context(), Command{Ref: ref, Do: func(h *Hand) error { return h.Credit(1, 1<<62, TopUp, "x", 0) }}); !fault.Is(err, fault.Invalid) {
			t.Fatal(err)
		}
		to := r.now().Add(48 * time.Hour).Unix()
		id := r.give(ref, rolled, mib, r.now().Add(24*time.Hour))
		r.run(ref, func(h *Hand) error { return h.Credit(id, mib, TopUp, "longer", to) })
		r.pass(47 * time.Hour)
		if r.left(ref, id) != 2*mib {
			t.Fatal("its validity was not extended")
		}
		r.ledger(ref)
	})
}

func TestP08LifeOfAPrepaidAccount(t *testing.T) {
	one(t, func(t *testing.T, r *rig, ref Ref) {
		day := int64(86400)
		r.book.SetTenant(host, Tenant{Name: "host", Home: []uint32{240001}, Life: Life{Active: 30 * day, Inbound: 30 * day, Barred: 30 * day}})
		try := func(name string, incoming bool) credit.Result {
			c := ask(credit.Event, name, 0, number)
			c.Request.Service, c.Request.Incoming, c.Request.Action = credit.SMS, incoming, credit.Balance
			c.Request.AddUnit()
			return r.charge(c).Result
		}
		r.use("s", 10, mib)
		r.run(ref, func(h *Hand) error { return h.Credit(1, 1, TopUp, "", 0) }) // lets it be looked at
		r.pass(30*24*time.Hour - time.Second)
		if got := try("a", false); got != credit.Success {
			t.Fatal(got)
		}
		r.pass(time.Second)
		if a, b := try("b", false), try("c", true); a != credit.Denied || b != credit.Success {
			t.Fatal("inbound only:", a, b)
		}
		r.run(ref, func(h *Hand) error { return h.Credit(1, 1, TopUp, "", 0) })
		if got := try("d", false); got != credit.Success {
			t.Fatal("after a top-up:", got)
		}
		r.pass(30 * 24 * time.Hour)
		r.crash()
		r.pass(30 * 24 * time.Hour)
		if a, b := try("e", false), try("f", true); a != credit.Denied || b != credit.Denied {
			t.Fatal("barred:", a, b)
		}
		r.pass(30 * 24 * time.Hour)
		if got := try("g", true); got != credit.UnknownUser {
			t.Fatal("closed:", got)
		}
		var stages []State
		r.moves(func(_ *Record, m *Move) {
			if m.Op == opStage {
				stages = append(stages, m.State)
			}
		})
		if !slices.Equal(stages, []State{Inbound, Active, Inbound, Barred, Closed}) {
			t.Fatal(stages)
		}
	})
}

func TestP09NoticesOncePerCycle(t *testing.T) {
	one(t, func(t *testing.T, r *rig, ref Ref) {
		id := r.give(ref, dataBucket, 100*mib, time.Date(2026, 4, 2, 0, 0, 0, 0, zone("Europe/London")))
		r.use("a", 10, 85*mib) // over 50 and 80 at once
		r.use("b", 10, 5*mib)
		r.crash()
		r.use("c", 10, 5*mib)
		want := []string{fmt.Sprintf("false %d 0", id), fmt.Sprintf("false %d 1", id)}
		if got := r.noticed(); !slices.Equal(got, want) {
			t.Fatalf("%v, not %v", got, want)
		}
		r.use("d", 10, 5*mib)
		want = append(want, fmt.Sprintf("false %d 2", id))
		r.run(ref, func(h *Hand) error { return h.Credit(id, 100*mib, TopUp, "", 0) }) // arms them again
		r.use("e", 10, 60*mib)
		want = append(want, fmt.Sprintf("false %d 0", id))
		if got := r.noticed(); !slices.Equal(got, want) {
			t.Fatalf("%v, not %v", got, want)
		}
	})
}

func TestP09ANoticeAheadOfTheEnd(t *testing.T) {
	one(t, func(t *testing.T, r *rig, ref Ref) {
		r.book.SetDefinition(Definition{ID: 41, Tenant: host, Name: "week", Unit: Octets, Ahead: 3 * 86400, Zone: "Europe/London"})
		id := r.give(ref, 41, mib, r.now().Add(7*24*time.Hour))
		empty := r.give(ref, 41, mib, r.now().Add(7*24*time.Hour))
		r.run(ref, func(h *Hand) error { return h.Credit(empty, -mib, Adjusted, "", 0) })
		r.pass(4*24*time.Hour - time.Second)
		r.crash()
		if got := r.noticed(); len(got) != 0 {
			t.Fatal(got)
		}
		r.pass(time.Second)
		r.crash()
		r.pass(24 * time.Hour)
		if got := r.noticed(); !slices.Equal(got, []string{fmt.Sprintf("false %d %d", id, NoticeAhead)}) {
			t.Fatal(got)
		}
	})
}

// TestP21APlanChangeTakesItsAllowancesAlong: what an open grant holds of them ends
// with it, and is not filled again.
func TestP21APlanChangeTakesItsAllowancesAlong(t *testing.T) {
	one(t, func(t *testing.T, r *rig, ref Ref) {
		var id uint32
		r.run(ref, func(h *Hand) (err error) {
			id, err = h.Give(Bucket{Def: dataBucket, Owner: 1, To: h.Boundary(dataBucket)}, 100*mib, Renewed, "")
			return err
		})
		r.request(credit.Initial, "s", 0, 10, true)
		r.run(ref, func(h *Hand) error { return h.Withdraw(1) })
		if left, held, _ := r.value(ref, id); left != 10*mib || held != 10*mib {
			t.Fatalf("left %d, held %d", left, held)
		}
		r.request(credit.Update, "s", 1, 10, false, vol(4*mib))
		r.pass(2 * time.Minute)
		if _, _, ok := r.value(ref, id); ok {
			t.Fatal("the allowance of the old plan is still there")
		}
		r.money(ref, 1e9, 0)
		r.ledger(ref)
	})
}

// TestNamesAreThereWhileTheirSubscriberChanges: a change of plan or state takes no
// number out of the directory, not for an instant.
func TestNamesAreThereWhileTheirSubscriberChanges(t *testing.T) {
	one(t, func(t *testing.T, r *rig, ref Ref) {
		stop, done := make(chan struct{}), make(chan struct{})
		missing := 0
		go func() {
			defer close(done)
			for {
				select {
				case <-stop:
					return
				default:
				}
				if _, ok := r.e.names.e164.get(Digits(fmt.Sprint(number))); !ok {
					missing++
				}
			}
		}()
		for i := range 50 {
			r.run(ref, func(h *Hand) error {
				s := h.Account().Subscribers[0]
				s.State = State(i % 2)
				_, err := h.Subscribe(s)
				return err
			})
		}
		close(stop)
		<-done
		if missing > 0 {
			t.Fatalf("%d times", missing)
		}
		r.run(ref, func(h *Hand) error {
			s := h.Account().Subscribers[0]
			s.E164 = Digits("447700955555")
			_, err := h.Subscribe(s)
			return err
		})
		if _, ok := r.e.names.e164.get(Digits(fmt.Sprint(number))); ok {
			t.Fatal("a number that was given up leads there still")
		}
	})
}

func TestP10FairUse(t *testing.T) {
	one(t, func(t *testing.T, r *rig, ref Ref) {
		r.book.SetDefinition(Definition{ID: 33, Tenant: host, Name: "fair use", Unit: Octets, Counter: true, Classes: []string{"data.home"}, Reset: Monthly, Zone: "Europe/London",
			Status: []Step{{0, "full"}, {20 * mib, "slow"}, {40 * mib, "slower"}}})
		r.run(ref, func(h *Hand) error { return h.Cap(33, 0, 0, false) })
		status := func() (s Status) {
			if err := r.e.Look(ref, func(a *Account) { s = a.Statuses(r.book, r.now().Unix())[0] }); err != nil {
				t.Fatal(err)
			}
			return s
		}
		if s := status(); s.Current != "full" || s.Pending != "" {
			t.Fatalf("%+v", s)
		}
		r.use("a", 10, 25*mib)
		if s := status(); s.Current != "slow" || s.Pending != "full" || unix(s.At, zone("Europe/London")).Format("01-02 15:04") != "04-02 00:00" {
			t.Fatalf("%+v", s)
		}
		r.use("b", 10, 25*mib)
		r.crash()
		if s := status(); s.Current != "slower" {
			t.Fatalf("%+v", s)
		}
		r.pass(31 * 24 * time.Hour)
		if s := status(); s.Current != "full" || s.Pending != "" {
			t.Fatalf("%+v", s)
		}
		var steps []uint8
		r.moves(func(_ *Record, m *Move) {
			if m.Op == opStatus {
				steps = append(steps, m.Bit)
			}
		})
		if !slices.Equal(steps, []uint8{1, 2, 3, 1}) && !slices.Equal(steps, []uint8{2, 3, 1}) {
			t.Fatal(steps)
		}
	})
}

func TestP11SpendingLimitsCountOpenReservations(t *testing.T) {
	one(t, func(t *testing.T, r *rig, ref Ref) {
		r.book.SetDefinition(Definition{ID: 34, Tenant: host, Name: "a day", Unit: Money, Money: true, Counter: true, Hard: true, Reset: Daily, Zone: "Europe/London"})
		r.book.SetDefinition(Definition{ID: 35, Tenant: host, Name: "soft", Unit: Money, Money: true, Counter: true, Notices: []uint8{100}, Reset: Daily, Zone: "Europe/London"})
		r.run(ref, func(h *Hand) error { return errors.Join(h.Cap(34, 0, 15e7, false), h.Cap(35, 0, 1e7, false)) })
		r.request(credit.Initial, "a", 0, 10, true) // 0.10 of 0.15
		g := r.request(credit.Initial, "b", 0, 10, true).Units[0]
		if g.Grant.Total > 5*mib || g.Grant.Total == 0 {
			t.Fatalf("%+v", g)
		}
		r.request(credit.Terminate, "b", 1, 10, false, vol(0))
		r.request(credit.Update, "a", 1, 10, false, vol(10*mib))
		c := ask(credit.Event, "m", 0, number)
		c.Request.Service = credit.SMS
		c.Request.AddUnit()
		if a := r.charge(c); a.Result != credit.LimitReached { // 0.09 of 0.05
			t.Fatalf("%+v", a)
		}
		if got := r.noticed(); !slices.Equal(got, []string{"true 35 0"}) {
			t.Fatalf("the soft limit: %v", got)
		}
		r.pass(13 * time.Hour)
		c = ask(credit.Event, "n", 0, number)
		c.Request.Service = credit.SMS
		c.Request.AddUnit()
		if a := r.charge(c); a.Result != credit.Success {
			t.Fatalf("the next day: %+v", a)
		}
	})
}

func TestP12ZeroRatedIsCountedWithoutMoney(t *testing.T) {
	one(t, func(t *testing.T, r *rig, ref Ref) {
		r.book.SetDefinition(Definition{ID: 36, Tenant: host, Name: "free", Unit: Octets, Counter: true, Classes: []string{"data.free"}, Zone: "Europe/London"})
		r.run(ref, func(h *Hand) error { return h.Cap(36, 0, 0, false) })
		r.request(credit.Initial, "s", 0, 20, true)
		g := r.request(credit.Update, "s", 1, 20, true, vol(100*mib)).Units[0] // all gone, redirected
		if g.Final.Action != credit.FinalRedirect {
			t.Fatalf("%+v", g)
		}
		r.money(ref, 0, 0)
		g = r.request(credit.Update, "s", 2, 900, true).Units[0]
		if g.Result != credit.Success || g.Grant.Total == 0 {
			t.Fatalf("free at balance 0: %+v", g)
		}
		r.request(credit.Terminate, "s", 3, 900, false, vol(7*mib))
		r.money(ref, 0, 0)
		counted, total := int64(0), uint64(0)
		r.e.Look(ref, func(a *Account) { counted = a.Counters[a.counter(36, 0)].Value })
		r.moves(func(_ *Record, m *Move) {
			if m.Op == opShut {
				for _, g := range m.Session.Groups {
					if g.ID == 900 {
						total += g.Total.Total
					}
				}
			}
		})
		if counted != 7*mib || total != 7*mib {
			t.Fatalf("counted %d, recorded %d", counted, total)
		}
	})
}

func TestP13Zones(t *testing.T) {
	for plmn, price := range map[uint32]int64{240001: 1e7, 262001: 10e7, 208015: 10e7, 310410: 1e7} {
		one(t, func(t *testing.T, r *rig, ref Ref) {
			c := ask(credit.Event, "e", 0, number)
			c.Request.PLMN, c.Request.Action = plmn, credit.Post
			group(c, 10).Used = []credit.Used{vol(mib)}
			r.charge(c)
			r.money(ref, 1e9-price, 0)
		})
	}
}

func TestP14RoamingCapStopsUntilConsent(t *testing.T) {
	one(t, func(t *testing.T, r *rig, ref Ref) {
		r.run(ref, func(h *Hand) error { return h.Cap(roamingCap, 0, 5e8, false) })
		send := func(n uint32, octets uint64) *credit.Granted {
			kind := credit.Update
			if n == 0 {
				kind = credit.Initial
			}
			c := ask(kind, "s", n, number)
			c.Request.PLMN = 262001
			u := group(c, 10)
			if n > 0 {
				u.Used = []credit.Used{vol(octets)}
			}
			return &r.charge(c).Units[0]
		}
		send(0, 0)
		for n := range uint32(4) {
			send(n+1, mib)
		}
		if got := r.noticed(); !slices.Equal(got, []string{fmt.Sprintf("true %d 0", roamingCap)}) {
			t.Fatalf("at 80 %%: %v", got)
		}
		if g := send(5, mib); g.Result != credit.LimitReached {
			t.Fatalf("at the limit: %+v", g)
		}
		r.money(ref, 5e8, 0)
		r.run(ref, func(h *Hand) error { return h.Cap(roamingCap, 0, 5e8, true) })
		if asked, _ := r.client.heard(); len(asked) != 1 {
			t.Fatalf("told: %v", asked)
		}
		if g := send(6, 0); g.Grant.Total != mib {
			t.Fatalf("with consent: %+v", g)
		}
		r.pass(31 * 24 * time.Hour)
		consent := true
		r.e.Look(ref, func(a *Account) { consent = a.Counters[a.counter(roamingCap, 0)].Consent })
		if consent {
			t.Fatal("the consent outlived its month")
		}
	})
}

func TestP14TheRoamingCapCountsWithoutTax(t *testing.T) {
	one(t, func(t *testing.T, r *rig, ref Ref) {
		r.timed(func(p *rating.Plan) {
			p.Rules = p.Rules[:1]
			p.Tax = rating.Tax{Percent: "25", Included: true}
		})
		r.on(ref, planTimed)
		r.book.SetDefinition(Definition{ID: 37, Tenant: host, Name: "net", Unit: Money, Money: true, Net: true, Counter: true, Hard: true, Zone: "Europe/London"})
		r.run(ref, func(h *Hand) error { return h.Cap(37, 0, 1e9, false) })
		r.use("s", 10, 10*mib) // 0.20 with tax
		r.e.Look(ref, func(a *Account) {
			if v := a.Counters[a.counter(37, 0)].Value; v != 16e7 {
				t.Errorf("counted %d", v)
			}
		})
	})
}

func TestP16PriceShapesAndCaps(t *testing.T) {
	one(t, func(t *testing.T, r *rig, ref Ref) { // tiers by the month, over sessions
		r.timed(func(p *rating.Plan) {
			p.Counters = []rating.Counter{{Name: "month", Reset: rating.Cycle}}
			p.Rules = p.Rules[:1]
			p.Rules[0].Counter = "month"
			p.Rules[0].Price = &rating.Price{Unit: "octets", Per: mib, Tiers: []rating.Step{{To: 10 * mib, Amount: "0.02"}, {From: 10 * mib, Amount: "0.01"}}}
		})
		r.on(ref, planTimed)
		r.use("a", 10, 6*mib)
		r.crash()
		r.use("b", 10, 6*mib)
		r.money(ref, 1e9-10*2e7-2*1e7, 0)
		r.pass(31 * 24 * time.Hour)
		r.use("c", 10, mib)
		r.money(ref, 1e9-11*2e7-2*1e7, 0)
	})
	one(t, func(t *testing.T, r *rig, ref Ref) { // a day costs 0.05 at most
		r.timed(func(p *rating.Plan) {
			p.Counters = []rating.Counter{{Name: "day", Reset: rating.Day}}
			p.Rules = p.Rules[:1]
			p.Rules[0].Price.DayCap, p.Rules[0].Price.DayCounter = "0.05", "day"
		})
		r.on(ref, planTimed)
		r.run(ref, func(h *Hand) error { return h.Credit(1, -945e6, Adjusted, "", 0) }) // 0.055
		r.use("a", 10, 2*mib)
		r.money(ref, 15e6, 0)
		g := r.request(credit.Initial, "b", 0, 10, true).Units[0]
		if g.Grant.Total != 10*mib {
			t.Fatalf("0.01 is enough for the rest of the day: %+v", g)
		}
		r.request(credit.Terminate, "b", 1, 10, false, vol(10*mib))
		r.money(ref, 5e6, 0)
		if g = r.request(credit.Initial, "c", 0, 10, true).Units[0]; g.Grant.Total != 10*mib {
			t.Fatalf("the day is paid: %+v", g)
		}
		r.request(credit.Terminate, "c", 1, 10, false, vol(10*mib))
		r.money(ref, 5e6, 0)
	})
}

func TestP17PartsComeToTheWhole(t *testing.T) {
	call := func(r *rig, name string, parts ...uint64) {
		for i, n := range append([]uint64{0}, parts...) {
			kind := credit.Update
			if i == 0 {
				kind = credit.Initial
			} else if i == len(parts) {
				kind = credit.Terminate
			}
			c := ask(kind, name, uint32(i), number)
			c.Request.Service, c.Request.Called = credit.Voice, []byte("447700900999")
			u := c.Request.AddUnit()
			u.Asked = kind != credit.Terminate
			if i > 0 {
				u.Used = []credit.Used{{Units: credit.Units{Has: credit.HasSeconds, Seconds: n}}}
			}
			if a := r.charge(c); a.Result != credit.Success {
				r.Fatalf("%+v", a)
			}
		}
	}
	for _, cut := range [][]uint64{{137}, {60, 77}, {1, 136}, {59, 1, 1, 76}, {100, 37}} {
		one(t, func(t *testing.T, r *rig, ref Ref) {
			call(r, "c", cut...)
			r.money(ref, 1e9-5e7-137*1e6, 0)
		})
	}
}

func TestP18OneCurrencyAnAccount(t *testing.T) {
	one(t, func(t *testing.T, r *rig, ref Ref) {
		r.timed(func(p *rating.Plan) { p.Currency = "USD" })
		_, err := r.e.Run(t.Context(), Command{Ref: ref, Do: func(h *Hand) error {
			s := h.Account().Subscribers[0]
			s.Plan = planTimed
			_, err := h.Subscribe(s)
			return err
		}})
		if !fault.Is(err, fault.Conflict) {
			t.Fatal(err)
		}
		tariff := r.book.Tariff(planTimed).Tariff // a later price in another currency
		r.book.SetTariff(50, tariff, nil)
		r.book.SetPlan(planBasic, Plan{Tenant: host, Versions: []Version{{Tariff: 1}, {From: r.now().Add(time.Hour).Unix(), Tariff: 50}}})
		if g := r.request(credit.Initial, "s", 0, 10, true).Units[0]; g.Change != 0 || g.Validity != 3600 {
			t.Fatalf("%+v", g)
		}
		r.pass(90 * time.Minute)
		if g := r.request(credit.Initial, "t", 0, 10, true).Units[0]; g.Result != credit.RatingFailed {
			t.Fatalf("%+v", g)
		}
		c := ask(credit.Event, "m", 0, number)
		u := group(c, 10)
		u.Used = []credit.Used{{Units: credit.Units{Has: credit.HasMoney, Money: 1e9, Currency: 840}}}
		c.Request.Action = credit.Post
		if a := r.charge(c); a.Result != credit.BadValue {
			t.Fatalf("%+v", a)
		}
		r.money(ref, 1e9, 1e8)
	})
}

func TestP19PostpaidAndHybrid(t *testing.T) {
	one(t, func(t *testing.T, r *rig, ref Ref) {
		r.run(ref, func(h *Hand) error { return errors.Join(h.Credit(1, -1e9, Adjusted, "", 0), h.SetLimit(1, 15e7)) })
		if g := r.request(credit.Initial, "a", 0, 10, true).Units[0]; g.Grant.Total != 10*mib {
			t.Fatalf("%+v", g)
		}
		g := r.request(credit.Initial, "b", 0, 10, true).Units[0] // open use counts
		total := uint64(0)
		for n := uint32(1); g.Result == credit.Success; n++ {
			total += g.Grant.Total
			g = r.request(credit.Update, "b", n, 10, true, vol(g.Grant.Total)).Units[0]
		}
		if total != 5*mib || g.Result != credit.LimitReached {
			t.Fatalf("%d beside the open use: %+v", total, g)
		}
		r.money(ref, -5e7, 1e8)
		r.run(ref, func(h *Hand) error { return h.SetLimit(1, 1e9) })
		if asked, _ := r.client.heard(); !slices.Contains(asked, "b") {
			t.Fatalf("told: %v", asked)
		}
	})
	for mode, own := range map[Mode]int64{HybridPrepaid: 1e9 - 2e7, HybridPostpaid: 1e9} {
		one(t, func(t *testing.T, r *rig, _ Ref) {
			ref := NewRef(17, 0)
			r.book.SetDefinition(Definition{ID: 38, Tenant: host, Name: "credit line", Unit: Money, Priority: 100, Zone: "Europe/London"})
			var purse, line uint32
			r.run(ref, func(h *Hand) (err error) {
				if err = h.Open(host, 978, mode, 0); err != nil {
					return err
				}
				if _, err = h.Subscribe(Subscriber{Plan: planBasic, E164: Digits("447700959999")}); err != nil {
					return err
				}
				if purse, err = h.Give(Bucket{Def: mainMoney}, 1e9, TopUp, ""); err != nil {
					return err
				}
				line, err = h.Give(Bucket{Def: 38, Limit: 1e9}, 0, TopUp, "")
				return err
			})
			r.data(credit.Initial, "s", 0, 447700959999, 10, 0)
			r.data(credit.Terminate, "s", 1, 447700959999, 10, 2*mib)
			if r.left(ref, purse) != own || r.left(ref, purse)+r.left(ref, line) != 1e9-2e7 {
				t.Fatalf("own money %d, credit %d", r.left(ref, purse), r.left(ref, line))
			}
		})
	}
}

func TestP20RefundsAreLinkedAndNeverAbove(t *testing.T) {
	one(t, func(t *testing.T, r *rig, ref Ref) {
		r.book.SetDefinition(Definition{ID: 39, Tenant: host, Name: "texts", Unit: Events, Classes: []string{"sms"}, Priority: 1, Zone: "Europe/London"})
		texts := r.give(ref, 39, 2, time.Time{})
		c := ask(credit.Event, "buy", 0, number)
		c.Request.Service = credit.SMS
		c.Request.AddUnit().Want = credit.Units{Has: credit.HasEvents, Events: 5}
		debit := r.charge(c)
		if debit.Cost != 27e7 || len(debit.Refund) != 16 {
			t.Fatalf("%+v", debit)
		}
		of := append([]byte(nil), debit.Refund...)
		r.money(ref, 73e7, 0)
		if again := r.charge(c); string(again.Refund) != string(of) {
			t.Fatal("a repeated debit has another name")
		}
		back := func(name string, money int64) credit.Result {
			c := ask(credit.Event, name, 0, number)
			c.Request.Service, c.Request.Action, c.Request.RefundOf = credit.SMS, credit.Refund, of
			if money > 0 {
				c.Request.AddUnit().Want = credit.Units{Has: credit.HasMoney, Money: money, Currency: 978}
			}
			return r.charge(c).Result
		}
		if got := back("r1", 10e7); got != credit.Success {
			t.Fatal(got)
		}
		back("r1", 10e7) // repeated
		r.money(ref, 83e7, 0)
		if got := back("r2", 18e7); got != credit.Denied {
			t.Fatal("above the rest:", got)
		}
		r.crash()
		if got := back("r3", 0); got != credit.Success {
			t.Fatal(got)
		}
		r.money(ref, 1e9, 0)
		if r.left(ref, texts) != 2 {
			t.Fatalf("%d texts back", r.left(ref, texts))
		}
		if got := back("r4", 0); got != credit.Denied {
			t.Fatal("twice:", got)
		}
		of = make([]byte, 16)
		if got := back("r5", 0); got != credit.UnknownSession {
			t.Fatal("of nothing:", got)
		}
		r.ledger(ref)
	})
}

func TestP21FactsInMidSession(t *testing.T) {
	one(t, func(t *testing.T, r *rig, ref Ref) { // a new price at its date
		r.timed(nil)
		r.book.SetPlan(planBasic, Plan{Tenant: host, Versions: []Version{{Tariff: 1}, {From: r.now().Add(30 * time.Minute).Unix(), Tariff: planTimed}}})
		g := r.request(credit.Initial, "s", 0, 10, true).Units[0]
		if g.Change != r.now().Add(30*time.Minute).Unix()*1e6 {
			t.Fatalf("%+v", g)
		}
		r.pass(40 * time.Minute)
		before, after := vol(3*mib), vol(2*mib)
		before.Change, after.Change = credit.Before, credit.After
		r.request(credit.Update, "s", 1, 10, true, before, after)
		r.money(ref, 1e9-3*1e7-2*2e7, 2e8)
	})
	one(t, func(t *testing.T, r *rig, ref Ref) { // another plan
		r.timed(nil)
		r.request(credit.Initial, "s", 0, 10, true)
		r.on(ref, planTimed)
		if asked, _ := r.client.heard(); len(asked) != 1 {
			t.Fatalf("told: %v", asked)
		}
		r.request(credit.Update, "s", 1, 10, true, vol(3*mib)) // used by the old price
		r.money(ref, 97e7, 2e8)
		r.request(credit.Update, "s", 2, 10, true, vol(3*mib))
		r.money(ref, 91e7, 2e8)
	})
	one(t, func(t *testing.T, r *rig, ref Ref) { // another SIM
		r.request(credit.Initial, "s", 0, 10, true)
		r.run(ref, func(h *Hand) error {
			s := h.Account().Subscribers[0]
			s.IMSI = Digits("240019999999999")
			_, err := h.Subscribe(s)
			return err
		})
		c := ask(credit.Update, "s", 1, number)
		c.Request.Subscribers = []credit.Subscriber{{Type: credit.IMSI, ID: fmt.Appendf(nil, "24001%010d", number%1e10)}}
		group(c, 10).Used = []credit.Used{vol(mib)}
		if a := r.charge(c); a.Result != credit.Success {
			t.Fatalf("the open session: %+v", a)
		}
		r.money(ref, 99e7, 1e8)
		c = ask(credit.Initial, "t", 0, number)
		c.Request.Subscribers = []credit.Subscriber{{Type: credit.IMSI, ID: []byte("240019999999999")}}
		if a := r.charge(c); a.Result != credit.Success {
			t.Fatalf("the new SIM: %+v", a)
		}
	})
	one(t, func(t *testing.T, r *rig, ref Ref) { // barred
		r.request(credit.Initial, "s", 0, 10, true)
		r.run(ref, func(h *Hand) error { return h.SetState(Barred) })
		if _, ended := r.client.heard(); len(ended) != 1 {
			t.Fatalf("told: %v", ended)
		}
		a := r.request(credit.Update, "s", 1, 10, true, vol(mib))
		if a.Result != credit.Success || a.Units[0].Result != credit.Denied {
			t.Fatalf("%+v", a)
		}
		r.money(ref, 99e7, 0)
		if a := r.request(credit.Initial, "t", 0, 10, true); a.Result != credit.Denied {
			t.Fatalf("%+v", a)
		}
	})
}

// TestP13AnotherNetworkIsANewBeginning: a set-up fee and steps are by network; a
// change of time of day has one set-up fee.
func TestP13AnotherNetworkIsANewBeginning(t *testing.T) {
	one(t, func(t *testing.T, r *rig, ref Ref) {
		r.timed(func(p *rating.Plan) {
			p.Rules[0].Price.Connect, p.Rules[1].Price.Connect = "0.05", "0.05"
			p.Rules = append(p.Rules, rating.Rule{Name: "abroad", Match: rating.Match{Service: "data", Network: "eu"}, Class: "data.roaming",
				Price: &rating.Price{Unit: "octets", Amount: "0.1", Per: mib, Connect: "0.07"}, Grant: rating.Grant{Default: mib}})
		})
		r.on(ref, planTimed)
		r.pass(7*time.Hour + 30*time.Minute)
		r.request(credit.Initial, "s", 0, 10, true)
		before, after := vol(mib), vol(mib)
		before.Change, after.Change = credit.Before, credit.After
		r.pass(45 * time.Minute)
		r.request(credit.Update, "s", 1, 10, true, before, after) // 0.05 + 0.02 + 0.01
		left := int64(1e9 - 8e7)
		abroad := func(n uint32, octets uint64) {
			c := ask(credit.Update, "s", n, number)
			c.Request.PLMN = 262001
			group(c, 10).Used = []credit.Used{vol(octets)}
			r.charge(c)
		}
		abroad(2, 0)
		abroad(3, mib)
		r.request(credit.Terminate, "s", 4, 10, false, vol(0))
		r.money(ref, left-17e7, 0) // 0.07 + 0.10
	})
}
