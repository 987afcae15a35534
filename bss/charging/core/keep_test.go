package core

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"tandem/edge/credit"
)

// TestAnswersAreForgottenAndTheirPagesWrittenOver: what is kept of answers is bounded
// by time, in memory and in the snapshot.
func TestAnswersAreForgottenAndTheirPagesWrittenOver(t *testing.T) {
	kept := told{keep: 100, step: 10}
	name := func(at int64) key { return keyOf(fmt.Append(nil, at)) }
	for at := int64(0); at < 10_000; at++ {
		kept.put(name(at), at, uint64(at), []byte("answer"))
		if digest, _, ok := kept.get(name(max(0, at-100))); !ok || digest != uint64(max(0, at-100)) {
			t.Fatalf("at %d what was told 100 ago is forgotten", at)
		}
		if len(kept.gens) > 13 {
			t.Fatalf("%d generations at %d", len(kept.gens), at)
		}
		for _, g := range kept.gens {
			if g.number > 13 {
				t.Fatalf("page %d at %d", g.number, at)
			}
		}
	}
	if _, _, ok := kept.get(name(9000)); ok {
		t.Fatal("what was told long ago is there still")
	}
}

// TestAnswersHaveABound: what is kept is bounded in size as well; the oldest goes
// first, and is counted. How many generations there are costs nothing to who asks.
func TestAnswersHaveABound(t *testing.T) {
	kept := told{keep: 1e9, step: 1e9, most: 4 << 20}
	name := func(n int) key { return keyOf(fmt.Append(nil, n)) }
	const all = 100_000
	for n := range all {
		kept.put(name(n), int64(n), uint64(n), make([]byte, 100))
		if kept.size > kept.most+1<<20 {
			t.Fatalf("%d octets at %d", kept.size, n)
		}
	}
	there, size := 0, 0
	for n := range all {
		if digest, _, ok := kept.get(name(n)); ok && digest == uint64(n) {
			there++
		} else if there > 0 {
			t.Fatalf("%d is forgotten, one before it is not", n)
		}
	}
	for _, g := range kept.gens {
		size += g.size()
	}
	if there < 4096 || kept.early != int64(all-there) || len(kept.index) != there || size != kept.size {
		t.Fatalf("%d are there, %d in the index, %d were forgotten; %d octets, counted as %d", there, len(kept.index), kept.early, size, kept.size)
	}
	// A shard that is loaded anew has the same, and the newest of two that have one name.
	kept.put(name(all-1), all, 7, nil)
	sh := newShard(0, newNames(), newDirectory())
	for i := len(kept.gens) - 1; i >= 0; i-- {
		r := reader{b: putGeneration(nil, kept.gens[i])}
		sh.told.load(r.generation())
	}
	sh.settle(all)
	if digest, _, ok := sh.told.get(name(all - 1)); !ok || digest != 7 || len(sh.told.index) != there {
		t.Fatalf("loaded: %d, %v, %d answers", digest, ok, len(sh.told.index))
	}
}

func TestAnAccountWaitsForTheSweeperOnce(t *testing.T) {
	one(t, func(t *testing.T, r *rig, ref Ref) {
		for n := range uint32(500) {
			kind := credit.Update
			if n == 0 {
				kind = credit.Initial
			}
			r.mu.Lock()
			r.at = r.at.Add(time.Second)
			r.mu.Unlock()
			r.request(kind, "s", n, 10, true)
		}
		if n := len(r.e.shards[ref.Shard()].due); n > 2 {
			t.Fatalf("%d entries for one account", n)
		}
	})
}

func TestDuesComeInOrder(t *testing.T) {
	var d dues
	for i := range uint32(5000) {
		d.add(i*7919%5003, i)
	}
	last := uint32(0)
	for n := 0; ; n++ {
		at, slot, ok := d.take(4000)
		if !ok {
			if n < 3990 || len(d) != 5000-n {
				t.Fatalf("%d taken, %d left", n, len(d))
			}
			return
		}
		if at < last || slot*7919%5003 != at {
			t.Fatalf("%d after %d, of slot %d", at, last, slot)
		}
		last = at
	}
}

func TestR03EventsAreKeptForADay(t *testing.T) {
	one(t, func(t *testing.T, r *rig, ref Ref) {
		c := ask(credit.Event, "m", 0, number)
		c.Request.Service = credit.SMS
		c.Request.AddUnit()
		r.charge(c)
		for range 3 {
			r.pass(8*time.Hour - time.Minute)
			r.crash()
			if a := r.charge(c); a.Result != credit.Success {
				t.Fatalf("%+v", a)
			}
			r.money(ref, 91e7, 0)
		}
	})
}

// TestOneSessionWhenItsRequestComesManyTimesAtOnce: a relay that fails over sends the
// same request by two ways.
func TestOneSessionWhenItsRequestComesManyTimesAtOnce(t *testing.T) {
	one(t, func(t *testing.T, r *rig, ref Ref) {
		for round := range 20 {
			var wg sync.WaitGroup
			for range 8 {
				c := ask(credit.Initial, fmt.Sprint("s", round), 0, number)
				group(c, 10).Want = octets(mib)
				c.Request.Received = r.now().UnixMicro()
				wg.Add(1)
				c.Done = func(c *credit.Call) {
					if c.Answer.Result != credit.Success || c.Answer.Units[0].Grant.Total != mib {
						t.Errorf("%+v", c.Answer)
					}
					wg.Done()
				}
				go r.e.Charge(c)
			}
			wg.Wait()
		}
		r.money(ref, 1e9, 20*1e7)
	})
}

func TestUsageOfNobodyIsSuspended(t *testing.T) {
	one(t, func(t *testing.T, r *rig, ref Ref) {
		c := ask(credit.Update, "nobody's", 3, number+77)
		group(c, 10).Used = []credit.Used{vol(5)}
		if a := r.charge(c); a.Result != credit.UnknownSession {
			t.Fatalf("%+v", a)
		}
		c = ask(credit.Event, "nobody's", 3, number+77)
		c.Request.Action = credit.Post
		group(c, 10).Used = []credit.Used{vol(6)}
		if a := r.charge(c); a.Result != credit.UnknownUser {
			t.Fatalf("%+v", a)
		}
		r.crash()
		lost := r.suspended()
		if len(lost) != 2 || lost[0].Reason != NoSession || lost[1].Reason != NoSubscriber || lost[1].Totals.Total != 6 || lost[1].Subscriber != fmt.Sprint(number+77) {
			t.Fatalf("in suspense: %+v", lost)
		}
	})
}

// TestALimitStartsAnewThoughItWasEmptyWhenLookedAt: the sweeper forgets an empty
// counter, and must hear of it again when something is counted.
func TestALimitStartsAnewThoughItWasEmptyWhenLookedAt(t *testing.T) {
	one(t, func(t *testing.T, r *rig, ref Ref) {
		r.book.SetDefinition(Definition{ID: 34, Tenant: host, Name: "a day", Unit: Money, Money: true, Counter: true, Hard: true, Reset: Daily, Zone: "Europe/London"})
		r.run(ref, func(h *Hand) error { return h.Cap(34, 0, 1e7, false) })
		r.request(credit.Initial, "old", 0, 10, true)
		r.pass(3 * time.Hour) // its session is stale; nothing was counted
		r.request(credit.Initial, "s", 0, 10, true)
		if g := r.request(credit.Update, "s", 1, 10, true, vol(mib)).Units[0]; g.Result != credit.LimitReached {
			t.Fatalf("%+v", g)
		}
		for n := range uint32(9) { // 15:00 to midnight
			r.request(credit.Update, "s", n+2, 10, true, vol(0))
			r.pass(time.Hour)
		}
		if asked, _ := r.client.heard(); len(asked) == 0 {
			t.Fatal("nobody was told of the new day")
		}
	})
}
