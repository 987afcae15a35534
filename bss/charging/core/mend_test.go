package core

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"tandem/edge/credit"
	"tandem/kit/journal"
)

// TestR08TheSweeperWaitsForTheLastInstantOfASecond: a session is stale at a
// microsecond, and the sweeper knows seconds. In the second before it neither ends
// the session nor looks at it again and again.
func TestR08TheSweeperWaitsForTheLastInstantOfASecond(t *testing.T) {
	one(t, func(t *testing.T, r *rig, ref Ref) {
		r.request(credit.Initial, "s", 0, 10, true)
		r.mu.Lock()
		r.at = start.Add(2*time.Hour - 250*time.Millisecond) // stale a quarter of a second later
		r.mu.Unlock()
		swept := make(chan struct{})
		go func() { r.e.Sweep(); close(swept) }()
		select {
		case <-swept:
		case <-time.After(10 * time.Second):
			t.Fatal("the sweeper does not come to an end")
		}
		r.heard()
		if _, ended := r.client.heard(); len(ended) != 0 {
			t.Fatalf("ended before its time: %v", ended)
		}
		r.pass(1250 * time.Millisecond)
		if _, ended := r.client.heard(); len(ended) != 1 {
			t.Fatalf("within a second of its time these are ended: %v", ended)
		}
		r.none(ref)
	})
}

// TestA03AnOldReportAfterAPartialRecordSaysNothing: a partial record is cut, and the
// group counts from zero again; a report that is older than the last one is late all
// the same, and not a counter that has wrapped.
func TestA03AnOldReportAfterAPartialRecordSaysNothing(t *testing.T) {
	one(t, func(t *testing.T, r *rig, ref Ref) {
		t0 := r.now()
		r.radius(credit.Initial, t0, 0, 0, true, 1)
		r.radius(credit.Update, t0.Add(10*time.Minute), 0, 30*mib, true, 2)
		r.money(ref, 1e9-30*1e7, 0)
		moved := func(at time.Time, out uint64, digest uint64) {
			c := ask(credit.Update, "acct", 0, number)
			c.Request.Face, c.Request.Numbered, c.Request.Digest, c.Request.At, c.Request.RAT = credit.RADIUS, false, digest, at.UnixMicro(), 6
			u := c.Request.AddUnit()
			u.Used = []credit.Used{{Cumulative: true, Narrow: true, Units: credit.Units{Has: credit.HasInput | credit.HasOutput, Output: out}}}
			r.charge(c)
		}
		moved(t0.Add(20*time.Minute), 40*mib, 3) // another radio: a partial record is cut
		r.money(ref, 1e9-40*1e7, 0)
		if causes := r.parts(); len(causes) != 1 {
			t.Fatalf("partial records: %v", causes)
		}
		moved(t0.Add(15*time.Minute), 35*mib, 4)
		r.money(ref, 1e9-40*1e7, 0)
		r.reopen()
		moved(t0.Add(16*time.Minute), 36*mib, 5)
		moved(t0.Add(20*time.Minute), 39*mib, 6) // in the same second, and before it
		r.money(ref, 1e9-40*1e7, 0)
		moved(t0.Add(30*time.Minute), 41*mib, 7)
		r.money(ref, 1e9-41*1e7, 0)
		if lost := r.suspended(); len(lost) != 0 {
			t.Fatalf("in suspense: %+v", lost)
		}
	})
}

// TestO07UseInAnotherUnitThanThePriceIsNotLost: seconds of a session that is priced
// by volume go to suspense, unless the volume was said beside them or all is free.
func TestO07UseInAnotherUnitThanThePriceIsNotLost(t *testing.T) {
	one(t, func(t *testing.T, r *rig, ref Ref) {
		seconds := credit.Used{Units: credit.Units{Has: credit.HasSeconds, Seconds: 60}}
		r.request(credit.Initial, "s", 0, 10, true)
		r.request(credit.Update, "s", 1, 10, true, seconds)
		if lost := r.suspended(); len(lost) != 1 || lost[0].Reason != NoRate || lost[0].Totals.Seconds != 60 {
			t.Fatalf("in suspense: %+v", lost)
		}
		r.request(credit.Update, "s", 2, 10, true, seconds, vol(mib))
		r.request(credit.Initial, "free", 0, 900, true)
		r.request(credit.Terminate, "free", 1, 900, false, seconds)
		r.request(credit.Terminate, "s", 3, 10, false, vol(mib))
		if lost := r.suspended(); len(lost) != 1 {
			t.Fatalf("in suspense: %+v", lost)
		}
		r.money(ref, 1e9-2e7, 0)
		recorded := uint64(0)
		r.moves(func(_ *Record, m *Move) {
			if m.Op == opShut {
				recorded += m.Session.Groups[0].Total.Seconds
			}
		})
		if recorded != 120 {
			t.Fatalf("%d seconds are in records", recorded)
		}
		c := ask(credit.Event, "sms", 0, number)
		c.Request.Service, c.Request.Action = credit.SMS, credit.Debit
		c.Request.AddUnit().Want = credit.Units{Has: credit.HasSeconds, Seconds: 5}
		if a := r.charge(c); a.Result != credit.RatingFailed {
			t.Fatalf("a message asked for by the second: %v", a.Result)
		}
	})
}

// TestO07PostedUseOfNobodyIsNotLost: what has happened is charged or in suspense,
// also if its subscriber is gone.
func TestO07PostedUseOfNobodyIsNotLost(t *testing.T) {
	one(t, func(t *testing.T, r *rig, ref Ref) {
		post := func(name string) credit.Result {
			c := ask(credit.Event, name, 0, number)
			c.Request.Action = credit.Post
			c.Request.AddUnit().Used = []credit.Used{vol(5 * mib)}
			return r.charge(c).Result
		}
		r.run(ref, func(h *Hand) error { return h.SetState(Closed) })
		if res := post("closed"); res != credit.UnknownUser {
			t.Fatalf("of a closed account: %v", res)
		}
		if lost := r.suspended(); len(lost) != 1 || lost[0].Reason != ClosedAccount || lost[0].Totals.Total != 5*mib {
			t.Fatalf("in suspense: %+v", lost)
		}
		c := ask(credit.Initial, "start", 0, number)
		group(c, 10).Used = []credit.Used{vol(mib)}
		if a := r.charge(c); a.Result != credit.UnknownUser {
			t.Fatalf("a session of a closed account: %v", a.Result)
		}
		if lost := r.suspended(); len(lost) != 2 || lost[1].Totals.Total != mib {
			t.Fatalf("in suspense: %+v", lost)
		}
		r.run(ref, func(h *Hand) error { return h.SetState(Active) })
		r.e.names.add(&Subscriber{E164: digits([]byte("447700999999"))}, ref) // a name that leads to an account that does not have it
		c = ask(credit.Event, "nobody", 0, 447700999999)
		c.Request.Action = credit.Post
		c.Request.AddUnit().Used = []credit.Used{vol(7)}
		if a := r.charge(c); a.Result != credit.UnknownUser {
			t.Fatalf("of nobody: %v", a.Result)
		}
		if lost := r.suspended(); len(lost) != 3 || lost[2].Reason != NoSubscriber || lost[2].Totals.Total != 7 {
			t.Fatalf("in suspense: %+v", lost)
		}
		r.money(ref, 1e9, 0)
	})
}

// TestACommandThatFailsAfterARenewalLeavesTheHolds: what open grants hold is moved to
// a bucket of its own when the period ends; a command that fails takes that back, and
// the grants hold what they held.
func TestACommandThatFailsAfterARenewalLeavesTheHolds(t *testing.T) {
	one(t, func(t *testing.T, r *rig, ref Ref) {
		end := r.now().Add(time.Hour)
		id := r.give(ref, dataBucket, 1<<30, end)
		r.request(credit.Initial, "s", 0, 10, true)
		_, held, _ := r.value(ref, id)
		if held == 0 {
			t.Fatal("nothing is held")
		}
		r.mu.Lock()
		r.at = end.Add(time.Second) // its end has come, and no sweeper yet
		r.mu.Unlock()
		refused := errors.New("no")
		_, err := r.e.Run(t.Context(), Command{Ref: ref, Do: func(h *Hand) error {
			if err := h.Credit(1, 1e9, TopUp, "x", 0); err != nil {
				return err
			}
			return refused
		}})
		if !errors.Is(err, refused) {
			t.Fatal(err)
		}
		r.heldIsGranted(ref)
		if left, now, ok := r.value(ref, id); !ok || left != 1<<30 || now != held {
			t.Fatalf("left %d, held %d", left, now)
		}
		r.request(credit.Terminate, "s", 1, 10, false, vol(mib))
		r.heldIsGranted(ref)
		r.ledger(ref)
		before := r.state()
		r.crash()
		if after := r.state(); string(before) != string(after) {
			t.Fatalf("replay differs:\n%x\n%x", before, after)
		}
	})
}

// heldIsGranted checks that each bucket holds what open grants have of it.
func (r *rig) heldIsGranted(ref Ref) {
	r.Helper()
	if err := r.e.Look(ref, func(a *Account) {
		held := map[uint32]int64{}
		a.Sessions(func(s *Session) {
			for i := range s.Groups {
				for _, h := range s.Groups[i].Holds {
					if h.Bucket != 0 {
						held[h.Bucket] += h.Amount
					}
				}
			}
		})
		for i := range a.Buckets {
			b := &a.Buckets[i]
			if b.Held != held[b.ID] {
				r.Errorf("bucket %d holds %d, open grants have %d of it", b.ID, b.Held, held[b.ID])
			}
			delete(held, b.ID)
		}
		for id, n := range held {
			r.Errorf("open grants have %d of bucket %d, which is not there", n, id)
		}
	}); err != nil {
		r.Fatal(err)
	}
}

// unsaved is a journal whose pages cannot be saved.
type unsaved struct {
	Journal
	fail  bool
	saved int
}

func (u *unsaved) Save(ctx context.Context, pages []journal.Page) error {
	if u.fail {
		return errCut
	}
	u.saved++
	return u.Journal.Save(ctx, pages)
}

// TestASnapshotThatFailedIsTriedAgainSoon: the shard is in need of it as before.
func TestASnapshotThatFailedIsTriedAgainSoon(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		r.e.Close(t.Context())
		bad := &unsaved{fail: true}
		r.wrap = func(j Journal) Journal { bad.Journal = j; return bad }
		r.open()
		defer func() { bad.fail = false }()
		ref := NewRef(7, 0)
		r.account(ref, number, 1e9)
		sh := r.e.shards[7]
		r.e.durable.Add(snapshotBehind + 1) // much was written since
		if err := r.e.snapshotSome(t.Context()); !errors.Is(err, errCut) {
			t.Fatalf("the first try: %v", err)
		}
		if !sh.touched {
			t.Fatal("the shard says that it is saved")
		}
		bad.fail = false
		if err := r.e.snapshotSome(t.Context()); err != nil || bad.saved != 1 {
			t.Fatalf("the second try: %v, %d saved", err, bad.saved)
		}
	})
}

// TestAShardIsSavedWhenItsReplayBecomesLong: by records as well as by batches.
func TestAShardIsSavedWhenItsReplayBecomesLong(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		r.e.Close(t.Context())
		r.replay = 50
		r.open()
		quiet, busy := NewRef(7, 0), NewRef(8, 0)
		r.account(quiet, number, 1e9)
		r.account(busy, number+1, 1e9)
		look := func() (saved bool) {
			t.Helper()
			if err := r.e.snapshotSome(t.Context()); err != nil {
				t.Fatal(err)
			}
			sh := r.e.shards[7]
			sh.mu.Lock()
			defer sh.mu.Unlock()
			return !sh.touched
		}
		top := func() { r.run(busy, func(h *Hand) error { return h.Credit(1, 1, TopUp, "more", 0) }) }
		for range 40 {
			if top(); look() {
				t.Fatal("it was saved before 50 records")
			}
		}
		for range 20 {
			top()
		}
		if !look() {
			t.Error("it was not saved after more than 50 records")
		}
	})
}

// TestAShardIsLoadedOnlyWithTheBookItWasChargedBy: before a claimed shard is loaded,
// the node reads what it does not know. A shard that names what nobody can explain is
// not held, and is tried again; the others are.
func TestAShardIsLoadedOnlyWithTheBookItWasChargedBy(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		const late = 77
		r.book.SetDefinition(Definition{ID: late, Tenant: host, Name: "a new bucket", Unit: Octets, Classes: []string{"data.home"}, Renew: Renew{Unit: 'd', Every: 1}, Zone: "Europe/London"})
		ref, other := NewRef(7, 0), NewRef(8, 0)
		r.account(ref, number, 1e9)
		r.account(other, number+1, 1e9)
		id := r.give(ref, late, 1<<30, r.now().Add(time.Hour))
		if err := r.e.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		full := r.book
		r.book = basicBook(t) // of a node that has not heard of it
		r.mu.Lock()
		r.at = r.at.Add(2 * time.Hour) // its time is over: it is to be filled again, not to be dropped
		r.mu.Unlock()
		asked := 0
		known := false
		r.before = func(context.Context) error {
			asked++
			if known {
				r.book.at.Store(full.at.Load())
			}
			return nil
		}
		r.open()
		if asked == 0 {
			t.Fatal("nobody read the shelf before the shards were loaded")
		}
		if held := r.e.Held(); held.Has(7) || !held.Has(8) || held.Len() != journal.Shards-1 {
			t.Fatalf("held: %d shards; the one with the unknown bucket: %v", held.Len(), held.Has(7))
		}
		if a := r.charge(ask(credit.Initial, "s", 0, number)); a.Result != credit.Busy {
			t.Fatalf("a request of the shard that is not here: %v", a.Result)
		}
		if g := r.data(credit.Initial, "other", 0, number+1, 10, 0); g.Result != credit.Success {
			t.Fatalf("a request of another shard: %v", g.Result)
		}
		if r.e.renew(t.Context()) {
			t.Fatal("nothing is to be tried again")
		}
		known = true
		if !r.e.renew(t.Context()) || !r.e.Held().Has(7) {
			t.Fatal("the shard is not held, though all of it is known now")
		}
		r.pass(time.Second)
		if left, _, ok := r.value(ref, id); !ok || left != 1<<30 {
			t.Fatalf("the bucket: %d left, there: %v", left, ok)
		}
	})
}

// TestMoneyWithoutABalanceIsNotForgotten: an account without a main balance takes no
// use that costs money; the use goes to suspense.
func TestMoneyWithoutABalanceIsNotForgotten(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		ref := NewRef(9, 0)
		r.run(ref, func(h *Hand) error {
			if err := h.Open(host, 978, Prepaid, r.now().Unix()); err != nil {
				return err
			}
			_, err := h.Subscribe(Subscriber{Plan: planBasic, E164: digits(fmt.Append(nil, number))})
			return err
		})
		r.give(ref, rolled, 2*mib, time.Time{})
		r.request(credit.Initial, "s", 0, 10, true)
		if a := r.request(credit.Terminate, "s", 1, 10, false, vol(5*mib)); a.Units[0].Result != credit.RatingFailed {
			t.Fatalf("%+v", a.Units[0])
		}
		if lost := r.suspended(); len(lost) != 1 || lost[0].Totals.Total != 3*mib {
			t.Fatalf("in suspense: %+v", lost)
		}
	})
}
