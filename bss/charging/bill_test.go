package charging_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"tandem/bss/charging"
	"tandem/edge/cdr"
	"tandem/kit/money"
	"tandem/kit/store"
)

// postpaid is an offering whose customers pay a bill; more stands beside its mode.
func (w *world) postpaid(id, charging string, prices ...string) {
	w.Helper()
	refs := `{"id":"data"},{"id":"text"}`
	for _, p := range prices {
		refs += `,{"id":"` + p + `"}`
	}
	w.post("/tmf-api/productCatalogManagement/v4/productOffering", `{"id":"`+id+`","name":"`+id+`","lifecycleStatus":"Launched","isSellable":true,"productOfferingPrice":[`+refs+`],
		"tandem:rating":{"zone":"Europe/Berlin","currency":"EUR","tax":{"percent":19,"included":true}},"tandem:charging":{"home":["24001"],`+charging+`}}`)
}

// calendar is one of periods of some hours.
type calendar struct {
	origin int64 // microseconds
	step   int64
}

func (c calendar) span(period int) (from, to int64) {
	return c.origin + int64(period)*c.step, c.origin + int64(period+1)*c.step
}

func (c calendar) ask(account string, period int, after charging.BillMarks) charging.ToBill {
	from, to := c.span(period)
	return charging.ToBill{Account: account, After: after, From: from, Before: to, Span: c.span,
		Period: func(at int64) int { return int((at - c.origin) / c.step) }}
}

func (w *world) bill(asked ...charging.ToBill) (out []charging.Billed) {
	w.Helper()
	err := w.db.Read(w.Context(), store.Scope{Tenant: "mno", Actor: "test"}, func(tx *store.Tx) (err error) {
		out, err = charging.BillFor(tx, asked)
		return err
	})
	if err != nil {
		w.Fatal(err)
	}
	return out
}

// uses reports octets used at an instant, in MiB.
func (w *world) uses(product, name string, at time.Time, mibs int64) {
	w.Helper()
	w.post(usage+"usage", fmt.Sprintf(`{"externalId":%q,"usageType":"data","usageDate":%q,"ratedProductUsage":[{"productRef":{"id":%q}}],
		"usageCharacteristic":[{"name":"octets","value":%d}]}`, name, at.UTC().Format(time.RFC3339Nano), product, mibs<<20))
}

const cent = 10_000_000 // 10^-9 of a euro: what a MiB costs

// Whatever order usage comes in and whenever bills are made, each use is billed once, in
// its own period, and what the bill says of before is what was billed before.
func TestEachUseIsBilledOnceInWhateverOrderItComes(t *testing.T) {
	each(t, func(w *world) {
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		random := rand.New(rand.NewPCG(seed, 1))
		w.postpaid("post", `"mode":"postpaid","credit":"500"`)
		w.sell("mno", "p1", "post", "491510001")
		w.sell("mno", "p2", "prepaid", "491510002")
		c := calendar{time.Now().Add(-40 * time.Hour).Truncate(time.Hour).UnixMicro(), 10 * 3600e6}
		used := map[int]int64{}
		billed := map[int]int64{}
		var marks charging.BillMarks
		number := w.count("mno", "SELECT number FROM charging_account WHERE tenant = $1 AND id = 'p1'")
		period, n := 0, 0
		for ; n < 30; n++ {
			p := random.IntN(period + 1)
			from, to := c.span(p)
			mibs := 1 + random.Int64N(20)
			w.uses("p1", fmt.Sprint("s", n), time.UnixMicro(from+random.Int64N(to-from)), mibs)
			used[p] += mibs
			if random.IntN(4) > 0 && n < 29 {
				continue
			}
			b := w.bill(c.ask("ba-p1", period, marks))[0]
			if was, is := marks.Of(number), b.Marks.Of(number); len(b.Marks) != 1 || is.Before < was.Before || is.Number < was.Number {
				t.Fatalf("%+v after %+v", b, marks)
			}
			for _, x := range b.Totals {
				if x.What != charging.BillUsage || x.Class != "data" || x.Unit != "octets" || x.Product != "p1" || !x.TaxIncluded || x.TaxPercent != "19" || x.Name != "Data" {
					t.Errorf("%+v", x)
				}
				if x.Before.Nano != billed[x.Period]*cent || x.Quantity != x.Amount.Nano/cent<<20 {
					t.Errorf("bill %d says %+v; billed before were %d MiB", period, x, billed[x.Period])
				}
				billed[x.Period] += x.Amount.Nano / cent
			}
			if marks = b.Marks; n < 29 && random.IntN(2) == 0 && period < 3 { // else the same period once more
				period++
			}
		}
		for p := range 4 {
			if used[p] != billed[p] {
				t.Errorf("period %d: %d MiB were used, %d billed", p, used[p], billed[p])
			}
		}
		if again := w.bill(c.ask("ba-p1", period, marks))[0]; len(again.Totals) > 0 || again.Marks.Of(number) != marks.Of(number) {
			t.Errorf("a second time: %+v", again)
		}
		if b := w.bill(c.ask("ba-p2", 3, nil))[0]; len(b.Marks) > 0 || len(b.Totals) > 0 {
			t.Errorf("who pays in advance: %+v", b)
		}
	})
}

// Records of a file lie in rows of a day; a billing period that ends within the day has
// those of its own side.
func TestABillCutsTheRowsOfFiles(t *testing.T) {
	each(t, func(w *world) {
		w.postpaid("post", `"mode":"postpaid","credit":"500"`)
		w.sell("mno", "p1", "post", "491510001")
		m := w.mediate(cdr.FormatJSON)
		a, b, d := session("a", "491510001", 0, 1), session("b", "491510001", 0, 2), session("c", "491510001", 0, 4)
		for i, r := range []*cdr.Record{a, b, d} { // at noon, so that they lie in one day
			r.Start = time.Now().Truncate(24 * time.Hour).Add(-12*time.Hour + time.Duration(i)*time.Minute).UnixMicro()
			r.Usage[0].First = r.Start
		}
		if f := m.take("a.jsonl", lines(t, a, b, d)); f.Charged != 3 {
			t.Fatalf("%+v", f)
		}
		m.used(7 * mib)
		rows := w.count("mno", "SELECT count(*) FROM charging_usage WHERE tenant = $1")
		first, last := w.count("mno", "SELECT min(first_at) FROM charging_usage WHERE tenant = $1"), w.count("mno", "SELECT max(last_at) FROM charging_usage WHERE tenant = $1")
		if rows != 1 {
			t.Fatalf("%d rows", rows)
		}
		if first == last {
			t.Fatal("the records are of one instant; the test says nothing")
		}
		c := calendar{last - 1000*3600e6, 1000 * 3600e6} // period 0 ends with the last record outside
		one := w.bill(c.ask("ba-p1", 0, nil))[0]
		two := w.bill(c.ask("ba-p1", 1, one.Marks))[0]
		if len(one.Totals) != 1 || len(two.Totals) != 1 || one.Totals[0].Records+two.Totals[0].Records != 3 || one.Totals[0].Records == 3 {
			t.Fatalf("%+v and %+v", one, two)
		}
		if sum := one.Totals[0].Amount.Nano + two.Totals[0].Amount.Nano; sum != 7*cent || two.Totals[0].Period != 1 {
			t.Errorf("%d; %+v", sum, two)
		}
		if again := w.bill(c.ask("ba-p1", 1, two.Marks))[0]; len(again.Totals) > 0 {
			t.Errorf("a second time: %+v", again)
		}
	})
}

// Of a hybrid account the bill takes what its own money did not pay; and what was changed of
// the charges afterwards.
func TestABillTakesTheCreditOnly(t *testing.T) {
	each(t, func(w *world) {
		w.postpaid("hybrid", `"mode":"hybridPrepaid","credit":"10"`)
		w.postpaid("post", `"mode":"postpaid","credit":"500"`)
		w.sell("mno", "p1", "hybrid", "491510001")
		w.sell("mno", "p2", "post", "491510002")
		c := calendar{time.Now().Add(-50 * time.Hour).UnixMicro(), 51 * 3600e6}
		w.ends("topupBalance", w.post(balance+"topupBalance", `{"product":[{"id":"p1"}],"amount":{"amount":2,"units":"EUR"}}`).text("id"), "completed")
		w.eats("491510001", "a", 300*mib) // 3 EUR
		w.eats("491510002", "b", 100*mib)
		w.await("the usage", func() bool { return w.count("mno", "SELECT count(*) FROM charging_usage WHERE tenant = $1") == 2 })
		w.ends("adjustBalance", w.post(balance+"adjustBalance", `{"product":[{"id":"p2"}],"amount":{"amount":0.25,"units":"EUR"},"reason":"goodwill"}`).text("id"), "completed")
		w.await("the entries", func() bool {
			return w.count("mno", "SELECT count(*) FROM charging_entry WHERE tenant = $1 AND against = 'adjustment'") == 1
		})
		both := w.bill(c.ask("ba-p1", 0, nil), c.ask("ba-p2", 0, nil))
		for i, want := range []map[string]int64{{charging.BillUsage: 300 * cent, charging.BillPaid: -200 * cent}, {charging.BillUsage: 100 * cent, charging.BillChanged: -25 * cent}} {
			got := map[string]int64{}
			for _, x := range both[i].Totals {
				got[x.What] += x.Amount.Nano
				if x.Amount.Currency != money.EUR || !x.TaxIncluded {
					t.Errorf("%+v", x)
				}
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("account %d: %v, want %v", i+1, got, want)
			}
			if again := w.bill(c.ask(fmt.Sprint("ba-p", i+1), 0, both[i].Marks))[0]; len(again.Totals) > 0 {
				t.Errorf("a second time: %+v", again)
			}
		}
	})
}

// The numbers of billing periods are not in a row, and a session may go over the end of one:
// what was billed before is counted once, in its own period.
func TestWhatWasBilledBeforeIsCountedOnce(t *testing.T) {
	each(t, func(w *world) {
		w.postpaid("post", `"mode":"postpaid","credit":"500"`)
		w.sell("mno", "p1", "post", "491510001")
		c := calendar{time.Now().Add(-50 * time.Hour).Truncate(time.Hour).UnixMicro(), 10 * 3600e6}
		ask := func(period int, after charging.BillMarks) charging.ToBill {
			a := c.ask("ba-p1", period, after)
			inRow := a.Period
			a.Period = func(at int64) int { return 30 * inRow(at) }
			a.Span = func(number int) (from, to int64) { return c.span(number / 30) }
			a.All, a.Since = true, c.origin
			return a
		}
		within := func(period int) time.Time { from, _ := c.span(period); return time.UnixMicro(from + 3600e6) }
		w.uses("p1", "first", within(0), 10)
		w.uses("p1", "second", within(1), 20)
		w.uses("p1", "over", within(1), 5)
		if err := w.db.Write(w.Context(), store.Scope{Tenant: "mno", Actor: "test"}, func(tx *store.Tx) error {
			n, err := tx.Exec("UPDATE charging_usage SET first_at = $2 WHERE tenant = $1 AND money = $3", within(0).UnixMicro(), int64(5*cent))
			if n != 1 {
				t.Errorf("%d sessions go over the end", n)
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
		marks := w.bill(ask(1, nil))[0].Marks
		w.uses("p1", "third", within(2), 30)
		want := map[int][2]int64{0: {10, 0}, 30: {25, 0}, 60: {0, 30}}
		got := map[int][2]int64{}
		for _, x := range w.bill(ask(2, marks))[0].Totals {
			got[x.Period] = [2]int64{x.Before.Nano / cent, x.Amount.Nano / cent}
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("MiB before and now are %v, want %v", got, want)
		}
	})
}
