package core

import (
	"fmt"
	"testing"

	"tandem/edge/credit"
)

// stranger is a number that nobody has at first.
const stranger = 447700900555

// rf is a request of offline charging: what has happened, by number.
func (r *rig) rf(kind credit.Kind, session string, n uint32, used ...uint64) *credit.Answer {
	r.Helper()
	c := ask(kind, session, n, stranger)
	c.Request.Face = credit.Diameter
	if kind == credit.Event {
		c.Request.Action = credit.Post
	}
	for _, octets := range used {
		u := c.Request.AddUnit()
		u.HasGroup, u.Group = true, 10
		x := vol(octets)
		x.Quota = credit.Offline
		u.Used = append(u.Used, x)
		c.Request.Digest += octets << 8
	}
	return r.charge(c)
}

// TestR03WhatIsInSuspenseIsNotChargedBesideIt: reports of a session of nobody are in
// suspense. When they come again, their subscriber is known; they get their first answer,
// before and after a restart. What is new is charged.
func TestR03WhatIsInSuspenseIsNotChargedBesideIt(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		ref := NewRef(5, 0)
		reports := func() []credit.Result {
			return []credit.Result{r.rf(credit.Update, "a", 1, 3*mib).Result, r.rf(credit.Update, "a", 2, mib).Result,
				r.rf(credit.Terminate, "b", 1, 2*mib).Result, r.rf(credit.Event, "c", 0, 5*mib).Result}
		}
		first := reports()
		for i, res := range first {
			if res == credit.Success {
				t.Fatalf("report %d of nobody: %v", i, res)
			}
		}
		lost := func(want int) {
			t.Helper()
			if got := r.suspended(); len(got) != want {
				t.Fatalf("%d reports are in suspense, want %d: %+v", len(got), want, got)
			}
		}
		lost(4)
		same := func(when string) {
			t.Helper()
			if again := reports(); fmt.Sprint(again) != fmt.Sprint(first) {
				t.Fatalf("%s: first %v, then %v", when, first, again)
			}
			lost(4)
		}
		same("before anybody has the number")
		r.account(ref, stranger, 1e9)
		same("when somebody has it")
		r.money(ref, 1e9, 0)
		if res := r.rf(credit.Update, "a", 2, 7*mib).Result; res != credit.Clash {
			t.Fatalf("another report under the number: %v", res)
		}
		r.reopen()
		same("after a restart")
		r.money(ref, 1e9, 0)
		if res := r.rf(credit.Initial, "a", 0).Result; res != credit.Success {
			t.Fatalf("a late start: %v", res)
		}
		for range 2 {
			for n, octets := range []uint64{1: 3 * mib, mib, 4 * mib} {
				if octets > 0 {
					r.rf(credit.Update, "a", uint32(n), octets)
				}
			}
		}
		r.money(ref, 1e9-4e7, 0)
		r.rf(credit.Terminate, "a", 4, mib)
		r.reopen()
		r.rf(credit.Update, "a", 1, 3*mib)
		r.rf(credit.Terminate, "a", 4, mib)
		r.money(ref, 1e9-5e7, 0)
		r.rf(credit.Terminate, "b", 1, 2*mib)
		r.rf(credit.Terminate, "b", 2, 2*mib) // without a start, and known by now
		r.rf(credit.Event, "c", 1, mib)
		r.money(ref, 1e9-8e7, 0)
		lost(4)
		r.sound(ref)
		r.ledger(ref)
	})
}

// TestR03AnEventOfAClosedAccountStaysInSuspense: what happened while the account was closed
// is a case, also when it is reported again after that.
func TestR03AnEventOfAClosedAccountStaysInSuspense(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		ref := NewRef(5, 0)
		r.account(ref, stranger, 1e9)
		r.run(ref, func(h *Hand) error { return h.SetState(Closed) })
		first := r.rf(credit.Event, "c", 0, mib).Result
		r.run(ref, func(h *Hand) error { return h.SetState(Active) })
		if again := r.rf(credit.Event, "c", 0, mib).Result; again != first || first == credit.Success {
			t.Fatalf("first %v, then %v", first, again)
		}
		if lost := r.suspended(); len(lost) != 1 {
			t.Fatalf("in suspense: %+v", lost)
		}
		r.money(ref, 1e9, 0)
	})
}

// TestR10WhoIsNotKnownMayBeGrantedSomething: where the operator says so. What is used of
// it is in suspense, and a client that has become known is charged from a session of its
// own.
func TestR10WhoIsNotKnownMayBeGrantedSomething(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		say := func(kind credit.Kind, n uint32, rg uint32, used uint64) *credit.Answer {
			c := ask(kind, "s", n, stranger)
			u := group(c, rg)
			if u.Asked = kind != credit.Terminate; used > 0 {
				u.Used = []credit.Used{vol(used)}
			}
			return r.charge(c)
		}
		if a := say(credit.Initial, 0, 10, 0); a.Result != credit.UnknownUser {
			t.Fatalf("where nothing is said: %v", a.Result)
		}
		r.e.Strangers = []Default{{Service: credit.Data, Group: 10, Units: octets(2 * mib), Validity: 90}}
		if a := say(credit.Initial, 0, 20, 0); a.Result != credit.UnknownUser {
			t.Fatalf("a group without a default: %v", a.Result)
		}
		for n, kind := range []credit.Kind{credit.Initial, credit.Update} {
			a := say(kind, uint32(n), 10, uint64(n)*mib)
			if a.Result != credit.Success || len(a.Units) != 1 || a.Units[0].Grant.Total != 2*mib || a.Units[0].Validity != 90 {
				t.Fatalf("request %d: %+v", n, a)
			}
		}
		if a := say(credit.Terminate, 2, 10, mib); a.Result != credit.Success || a.Units[0].Grant.Has != 0 {
			t.Fatalf("the end: %+v", a)
		}
		lost := r.suspended()
		if len(lost) != 2 || lost[0].Totals.Total != mib || lost[1].Totals.Total != mib {
			t.Fatalf("in suspense: %+v", lost)
		}
		if n := r.e.Stats.Welcomed.Load(); n != 3 {
			t.Fatalf("%d were counted", n)
		}
	})
}

// TestR10AnOutageForgetsItsOldestSessions: what is remembered of an outage is bounded, the
// oldest makes room, and nothing is older than a day.
func TestR10AnOutageForgetsItsOldestSessions(t *testing.T) {
	o := &outage{since: 1}
	session := func(n int) *credit.Request {
		return &credit.Request{Face: credit.Diameter, Peer: []byte("gw"), Session: fmt.Append(nil, n)}
	}
	now := patience.Microseconds() + 1
	for n := range mostTrusted + 2 {
		if !o.take(session(n), now) || !o.take(session(n), now) {
			t.Fatalf("session %d is not trusted", n)
		}
	}
	if len(o.until) != mostTrusted || len(o.order) != mostTrusted {
		t.Fatalf("%d sessions are remembered, in a list of %d", len(o.until), len(o.order))
	}
	for n, want := range map[int]bool{0: false, 1: false, 2: true, mostTrusted / 2: true, mostTrusted + 1: true} {
		if o.trusts(session(n), now) != want || o.trusts(session(n), now) {
			t.Errorf("session %d: want %t, once", n, want)
		}
	}
	later := now + 2*trustKept.Microseconds()
	if o.trusts(session(3), later) {
		t.Error("a session of two days ago")
	}
	for n := range mostTrusted + 1 { // another outage
		if !o.take(session(1_000_000+n), later) {
			t.Fatalf("session %d of another outage is not trusted", n)
		}
	}
	if len(o.until) > mostTrusted || o.trusts(session(5), later) || !o.trusts(session(1_000_000+mostTrusted), later) {
		t.Errorf("%d sessions are remembered", len(o.until))
	}
}

// TestA06HowMuchIsLeft: in the unit of the price, from buckets and for money together, and
// what others have reserved is not in it. Nothing is taken.
func TestA06HowMuchIsLeft(t *testing.T) {
	one(t, func(t *testing.T, r *rig, ref Ref) {
		left := func(most uint64) credit.Units {
			c := ask(credit.Event, "how much", 0, number)
			c.Request.Action, c.Request.Numbered = credit.Left, false
			group(c, 10).Want = credit.Units{Has: credit.HasTotal | credit.HasSeconds, Total: most, Seconds: most}
			a := r.charge(c)
			if a.Result != credit.Success || len(a.Units) != 1 {
				t.Fatalf("%+v", a)
			}
			return a.Units[0].Grant
		}
		if u := left(1 << 50); u.Has != credit.HasTotal || u.Total != 100*mib {
			t.Fatalf("for EUR 1: %+v", u)
		}
		r.give(ref, dataBucket, 7*mib, r.now().Add(1e12))
		if u := left(1 << 50); u.Total != 107*mib {
			t.Fatalf("with a bucket: %+v", u)
		}
		if u := left(5 * mib); u.Total != 5*mib {
			t.Fatalf("as much as was asked for: %+v", u)
		}
		r.request(credit.Initial, "s", 0, 10, true)
		if u := left(1 << 50); u.Total != 97*mib {
			t.Fatalf("beside a session: %+v", u)
		}
		r.request(credit.Terminate, "s", 1, 10, false, vol(100*mib))
		if u := left(1 << 50); u.Total != 7*mib {
			t.Fatalf("after it: %+v", u)
		}
		r.sound(ref)
	})
}
