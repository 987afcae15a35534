package core

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tandem/bss/rating"
	"tandem/edge/credit"
	"tandem/kit/journal"
	"tandem/kit/store"
)

// TestP06AVoucherIsRedeemedOnceUnderARace: whoever redeems it, and however often, it is
// credited once; it brings the account to life again, and wakes who waits for money.
func TestP06AVoucherIsRedeemedOnceUnderARace(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		const day = 24 * 3600
		r.book.SetTenant(host, Tenant{Name: "host", Home: []uint32{240001}, Life: Life{Active: 30 * day, Inbound: 30 * day}})
		ref := NewRef(6, 0)
		r.account(ref, number, 1e8)
		r.request(credit.Initial, "s", 0, 20, true)
		r.request(credit.Update, "s", 1, 20, true, vol(10*mib)) // nothing is left: redirected
		redeem := func() (done bool, err error) {
			return r.e.Run(t.Context(), Command{Number: 4711, Ref: ref, Do: func(h *Hand) error { return h.Credit(1, 10e9, Voucher, "v-1", 0) }})
		}
		var wg sync.WaitGroup
		var first atomic.Int64
		for range 32 {
			wg.Go(func() {
				done, err := redeem()
				if err != nil {
					t.Error(err)
				}
				if !done {
					first.Add(1)
				}
			})
		}
		wg.Wait()
		r.heard()
		if first.Load() != 1 {
			t.Fatalf("it was redeemed %d times", first.Load())
		}
		r.money(ref, 10e9, 0)
		if asked, _ := r.client.heard(); len(asked) != 1 {
			t.Fatalf("told that there is more: %v", asked)
		}
		r.crash()
		if done, err := redeem(); err != nil || !done {
			t.Fatalf("after a restart: %v, %v", done, err)
		}
		r.money(ref, 10e9, 0)
		entries := 0
		r.moves(func(_ *Record, m *Move) {
			if m.Op == opCredit && m.Why == Voucher && string(m.Text) == "v-1" {
				entries++
			}
		})
		if entries != 1 {
			t.Fatalf("%d entries name the voucher", entries)
		}
		r.pass(31 * day * time.Second)
		stage := func() (s State) {
			if err := r.e.Look(ref, func(a *Account) { s = a.Stage }); err != nil {
				t.Fatal(err)
			}
			return s
		}
		if stage() != Inbound {
			t.Fatalf("after a month: %v", stage())
		}
		r.run(ref, func(h *Hand) error { return h.Credit(1, 1e9, Voucher, "v-2", 0) })
		if stage() != Active {
			t.Fatalf("after a voucher: %v", stage())
		}
		r.ledger(ref)
	})
}

// TestP07GiftsAreGivenOnce: five messages within ten minutes, the first top-up, and a
// volume in a month earn something, once each.
func TestP07GiftsAreGivenOnce(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		const texts, burst, first, heavy = 70, 71, 72, 73
		r.book.SetDefinition(Definition{ID: texts, Tenant: host, Name: "free texts", Unit: Events, Classes: []string{"sms"}, Priority: 1, Zone: "Europe/London"})
		r.book.SetDefinition(Definition{ID: burst, Tenant: host, Name: "5 within 10 minutes", Unit: Events, Counter: true, Classes: []string{"sms"}, Window: 600, Zone: "Europe/London",
			Gift: Gift{At: 5, Def: texts, Amount: 3, Valid: 3600}})
		r.book.SetDefinition(Definition{ID: first, Tenant: host, Name: "first top-up", Unit: Events, Counter: true, TopUps: true, Zone: "Europe/London", Gift: Gift{At: 1, Def: rolled, Amount: 100 * mib}})
		r.book.SetDefinition(Definition{ID: heavy, Tenant: host, Name: "50 MiB in a month", Unit: Octets, Counter: true, Classes: []string{"data.home"}, Reset: Monthly, Zone: "Europe/London",
			Gift: Gift{At: 50 * mib, Def: texts, Amount: 7}})
		ref := NewRef(6, 0)
		r.account(ref, number, 10e9)
		r.run(ref, func(h *Hand) error {
			return errors.Join(h.Cap(burst, 0, 0, false), h.Cap(first, 0, 0, false), h.Cap(heavy, 0, 0, false))
		})
		has := func(def uint32) (n int, left int64) {
			if err := r.e.Look(ref, func(a *Account) {
				for _, b := range a.Buckets {
					if b.Def == def {
						n++
						left += b.Value
					}
				}
			}); err != nil {
				t.Fatal(err)
			}
			return n, left
		}
		said := 0
		text := func() {
			said++
			c := ask(credit.Event, fmt.Sprint("t", said), 0, number)
			c.Request.Service = credit.SMS
			c.Request.AddUnit().Want = credit.Units{Has: credit.HasEvents, Events: 1}
			if a := r.charge(c); a.Result != credit.Success {
				t.Fatalf("a text: %v", a.Result)
			}
		}
		for range 4 {
			text()
		}
		r.pass(11 * time.Minute) // too late for the fifth
		for i := range 4 {
			text()
			if n, _ := has(texts); n != 0 {
				t.Fatalf("given after %d", i+1)
			}
		}
		r.crash()
		text()
		if n, left := has(texts); n != 1 || left != 3 {
			t.Fatalf("%d gifts, %d free texts", n, left)
		}
		text() // free, and no second gift
		if n, left := has(texts); n != 1 || left != 2 {
			t.Fatalf("%d gifts, %d free texts", n, left)
		}
		r.pass(2 * time.Hour) // the gift and its window are over
		for range 5 {
			text()
		}
		if n, left := has(texts); n != 1 || left != 3 {
			t.Fatalf("in another window: %d gifts, %d free texts", n, left)
		}
		if n, _ := has(rolled); n != 0 {
			t.Fatal("a gift for a top-up that was none")
		}
		for range 2 {
			r.run(ref, func(h *Hand) error { return h.Credit(1, 1e9, TopUp, "x", 0) })
			if n, left := has(rolled); n != 1 || left != 100*mib {
				t.Fatalf("%d gifts, %d octets", n, left)
			}
		}
		r.pass(2 * time.Hour) // free texts are over
		r.use("a", 10, 49*mib)
		r.use("b", 10, 3*mib)
		r.use("c", 10, 100*mib)
		if n, left := has(texts); n != 1 || left != 7 {
			t.Fatalf("for the volume: %d gifts, %d free texts", n, left)
		}
		r.ledger(ref)
		r.sound(ref)
	})
}

// TestP15FairUseAbroad: a customer uses his allowance abroad up to the volume of fair
// use, is told when it is reached, and pays a surcharge for what comes after only. Open
// sessions together do not get beyond it. What is observed over four months starts anew
// after four.
func TestP15FairUseAbroad(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		const bundle, abroad, observed, plan = 80, 81, 82, 83
		p := basicPlan()
		p.Rules = append(p.Rules, rating.Rule{Name: "surcharge", Priority: 1, Match: rating.Match{Service: "data", Network: "eu"}, Class: "data.roaming",
			Price: &rating.Price{Unit: "octets", Amount: "1.10", Per: gigabyte}, Grant: rating.Grant{Default: 500_000_000}})
		tariff, err := rating.Compile(p)
		if err != nil {
			t.Fatal(err)
		}
		r.book.SetTariff(plan, tariff, nil)
		r.book.SetPlan(plan, Plan{Name: "abroad", Tenant: host, Versions: []Version{{Tariff: plan}}})
		r.book.SetDefinition(Definition{ID: bundle, Tenant: host, Name: "100 GB", Unit: Octets, Classes: []string{"data.home", "data.roaming"}, Priority: 1, Within: abroad, Zone: "Europe/London"})
		r.book.SetDefinition(Definition{ID: abroad, Tenant: host, Name: "fair use abroad", Unit: Octets, Counter: true, Classes: []string{"data.roaming"}, Reset: Monthly, Notices: []uint8{100}, Zone: "Europe/London"})
		r.book.SetDefinition(Definition{ID: observed, Tenant: host, Name: "abroad in four months", Unit: Octets, Counter: true, Classes: []string{"data.roaming"}, Reset: Monthly, Months: 4, Zone: "Europe/London"})
		ref := NewRef(6, 0)
		r.account(ref, number, 10e9)
		r.on(ref, plan)
		id := r.give(ref, bundle, 100*gigabyte, time.Time{})
		const price, wholesale = 1_210_000_000, 1_100_000_000 // EUR 1.21 a month without tax; EUR 1.10 a GB
		volume, err := OpenData(price, wholesale)
		if err != nil {
			t.Fatal(err)
		}
		r.run(ref, func(h *Hand) error {
			return errors.Join(h.Cap(abroad, 0, volume, false), h.Cap(observed, 0, 0, false))
		})
		count := func(def uint32) (value, limit int64) {
			if err := r.e.Look(ref, func(a *Account) { c := a.Counters[a.counter(def, 0)]; value, limit = c.Value, c.Limit }); err != nil {
				t.Fatal(err)
			}
			return value, limit
		}
		if _, limit := count(abroad); limit != 2_200_000_000 {
			t.Fatalf("fair use is %d octets", limit)
		}
		roam := func(kind credit.Kind, session string, n uint32, used uint64) *credit.Granted {
			c := ask(kind, session, n, number)
			c.Request.PLMN = 262001
			u := group(c, 10)
			if u.Asked = kind != credit.Terminate; kind != credit.Initial {
				u.Used = []credit.Used{vol(used)}
			}
			return &r.charge(c).Units[0]
		}
		for i := range 2 {
			if g := roam(credit.Initial, fmt.Sprint("s", i), 0, 0); g.Grant.Total != 500_000_000 {
				t.Fatalf("session %d: %+v", i, g)
			}
		}
		r.money(ref, 10e9, 0)
		for i := range 2 { // more than was granted
			roam(credit.Terminate, fmt.Sprint("s", i), 1, 900_000_000)
		}
		roam(credit.Initial, "s4", 0, 0) // 0.4 GB from the bundle, 0.1 for money
		if _, held, _ := r.value(ref, id); held != 400_000_000 {
			t.Fatalf("%d octets of the bundle are held", held)
		}
		r.money(ref, 10e9, 110_000_000)
		roam(credit.Initial, "s5", 0, 0) // nothing is left of fair use
		if _, held, _ := r.value(ref, id); held != 400_000_000 {
			t.Fatalf("with another session %d octets of the bundle are held", held)
		}
		r.money(ref, 10e9, 110_000_000+550_000_000)
		roam(credit.Terminate, "s5", 1, 0)
		if said := r.noticed(); len(said) != 0 {
			t.Fatalf("told before it was reached: %v", said)
		}
		roam(credit.Update, "s4", 1, 500_000_000)
		if left, _, _ := r.value(ref, id); left != 100*gigabyte-2_200_000_000 {
			t.Fatalf("%d octets of the bundle are left", left)
		}
		if said := r.noticed(); len(said) != 1 {
			t.Fatalf("told: %v", said)
		}
		roam(credit.Terminate, "s4", 2, 100_000_000)
		r.money(ref, 10e9-110_000_000-110_000_000, 0)
		r.use("at home", 10, 300_000_000) // as ever
		if left, _, _ := r.value(ref, id); left != 100*gigabyte-2_500_000_000 {
			t.Fatalf("%d octets of the bundle are left", left)
		}
		r.pass(31 * 24 * time.Hour)
		roam(credit.Initial, "next", 0, 0)
		roam(credit.Terminate, "next", 1, 100_000_000)
		if value, _ := count(abroad); value != 100_000_000 {
			t.Fatalf("in another month: %d", value)
		}
		if value, _ := count(observed); value != 2_500_000_000 {
			t.Fatalf("observed: %d", value)
		}
		r.pass(92 * 24 * time.Hour)
		if value, _ := count(observed); value != 0 {
			t.Fatalf("observed after four months: %d", value)
		}
		r.ledger(ref)
		r.sound(ref)
	})
}

// TestP22EachChargeIsExplainedAndABalanceKnownAtAnyInstant: in each record what was used is
// what buckets gave and money paid, by a rate that is named; the entries up to an instant
// come to the balance that was seen then.
func TestP22EachChargeIsExplainedAndABalanceKnownAtAnyInstant(t *testing.T) {
	one(t, func(t *testing.T, r *rig, ref Ref) {
		id := r.give(ref, dataBucket, 20*mib, r.now().Add(24*time.Hour))
		seen := map[int64][2]int64{} // what was left, by instant
		look := func() {
			money, _, _ := r.value(ref, 1)
			units, _, _ := r.value(ref, id)
			seen[r.now().UnixMicro()] = [2]int64{money, units}
			r.pass(time.Minute)
		}
		look()
		r.request(credit.Initial, "s", 0, 10, true)
		look()
		r.request(credit.Update, "s", 1, 10, true, vol(8*mib))
		look()
		r.run(ref, func(h *Hand) error { return h.Credit(1, 5e8, TopUp, "t-1", 0) })
		look()
		r.request(credit.Update, "s", 2, 10, true, vol(17*mib)) // 12 of the bucket, 5 for money
		look()
		r.request(credit.Terminate, "s", 3, 10, false, vol(mib))
		look()
		sums, charges := [2]int64{}, 0
		at := map[int64][2]int64{}
		type charge struct{ used, priced, units, cost, money int64 }
		open := map[uint64]*charge{} // by record
		r.moves(func(rec *Record, m *Move) {
			x := open[rec.N]
			if x == nil {
				x = &charge{}
				open[rec.N] = x
			}
			switch {
			case m.Op == opUse:
				x.used += int64(m.use.totals.Total)
				x.priced += int64(m.use.priced)
				x.cost += m.use.money
				if charges++; r.book.Tariff(m.use.tariff) == nil || r.book.Tariff(m.use.tariff).Rate(m.use.rate) == nil {
					t.Errorf("record %d names no rate", rec.N)
				}
			case m.Op == opDebit && m.ID == 1:
				x.money += m.Amount
				sums[0] -= m.Amount
			case m.Op == opDebit:
				x.units += m.Amount
				sums[1] -= m.Amount
			case m.Op == opCredit && m.ID == 1:
				sums[0] += m.Amount
			case m.Op == opCredit:
				sums[1] += m.Amount
			}
			at[rec.At] = sums
		})
		for n, x := range open {
			if x.used != x.priced+x.units || x.cost != x.money {
				t.Errorf("record %d: %+v", n, *x)
			}
		}
		if charges < 3 {
			t.Fatalf("%d charges", charges)
		}
		for instant, left := range seen {
			then, last := [2]int64{}, int64(0)
			for when, sums := range at {
				if when <= instant && when > last {
					then, last = sums, when
				}
			}
			if then != left {
				t.Errorf("at %d the entries come to %v, seen were %v", instant, then, left)
			}
		}
	})
}

// TestP22ErasureKeepsTheLedgerAndDropsTheIdentity: when a subscriber has left and the
// journal before it is pruned, nothing says the number any more; what is owed stays.
func TestP22ErasureKeepsTheLedgerAndDropsTheIdentity(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		ref := NewRef(6, 0)
		r.account(ref, number, 1e9)
		r.use("s", 10, 5*mib)
		holds := func() (places int) {
			for _, table := range [...]string{"journal_batch", "journal_page"} {
				if err := r.db.Read(t.Context(), store.Scope{}, func(tx *store.Tx) error {
					rows, err := tx.System().Query("SELECT blob FROM "+table+" WHERE log = $1", r.log)
					_, err = store.Collect(rows, err, func(row store.Rows) (b []byte, err error) {
						if err = row.Scan(&b); bytes.Contains(b, putU(nil, Digits(fmt.Sprint(number)))) {
							places++
						}
						return b, err
					})
					return err
				}); err != nil {
					t.Fatal(err)
				}
			}
			return places
		}
		if err := r.e.Snapshot(t.Context()); err != nil {
			t.Fatal(err)
		}
		if holds() < 2 {
			t.Fatal("the number is not where it should be: the test says nothing")
		}
		r.run(ref, func(h *Hand) error { return h.Leave(h.Account().Subscribers[0].ID) })
		r.run(ref, func(h *Hand) error { return h.Credit(1, 1e6, Adjusted, "later", 0) })
		if err := r.e.Snapshot(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n, err := r.e.Journal.(*journal.Log).Prune(t.Context(), math.MaxInt64, -1); err != nil || n == 0 {
			t.Fatalf("%d batches pruned: %v", n, err)
		}
		if n := holds(); n != 0 {
			t.Fatalf("the number is in %d places", n)
		}
		r.crash()
		r.money(ref, 1e9-5e7+1e6, 0)
		if a := r.charge(ask(credit.Initial, "again", 0, number)); a.Result != credit.UnknownUser {
			t.Fatalf("the number still leads to somebody: %v", a.Result)
		}
	})
}
