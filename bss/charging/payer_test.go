package charging_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"tandem/bss/charging"
	"tandem/fact"
	"tandem/kit/store"
)

// moves bills a product on another account from an instant on.
func (w *world) moves(product, to string, at time.Time) {
	w.Helper()
	err := w.db.Write(w.Context(), store.Scope{Tenant: "mno", Actor: "test"}, func(tx *store.Tx) error {
		return w.room.Change(tx, fact.ProductChanged{Product: product, BillingAccount: to, Service: "s-" + product, At: at})
	})
	if err != nil {
		w.Fatal(err)
	}
}

// A product that is billed on one account and then on another, and on the first one again:
// each pays for what was used in his time, once, whenever it is reported and billed.
func TestEachPayerPaysForHisTime(t *testing.T) {
	each(t, func(w *world) {
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		random := rand.New(rand.NewPCG(seed, 2))
		w.postpaid("post", `"mode":"postpaid","credit":"500"`)
		w.sell("mno", "p1", "post", "491510001")
		hour := time.Now().Truncate(time.Hour)
		c := calendar{hour.Add(-40 * time.Hour).UnixMicro(), 10 * 3600e6} // four periods
		changes := []time.Time{hour.Add(-27 * time.Hour), hour.Add(-13 * time.Hour)}
		payers := []string{"ba-p1", "ba-x"}
		used, billed, marks := map[string]int64{}, map[string]int64{}, map[string]charging.BillMarks{}
		n := 0
		use := func(before time.Time) {
			at := hour.Add(-40 * time.Hour).Add(time.Duration(random.Int64N(int64(before.Sub(hour.Add(-40 * time.Hour))))))
			mibs := 1 + random.Int64N(9)
			w.uses("p1", fmt.Sprint("s", n), at, mibs)
			n++
			payer := payers[0]
			if !at.Before(changes[0]) && at.Before(changes[1]) {
				payer = payers[1]
			}
			used[payer] += mibs
		}
		bill := func(period int) {
			both := w.bill(c.ask(payers[0], period, marks[payers[0]]), c.ask(payers[1], period, marks[payers[1]]))
			for i, b := range both {
				payer := payers[i]
				if marks[payer] == nil {
					marks[payer] = charging.BillMarks{}
				}
				for wallet, m := range b.Marks {
					marks[payer][wallet] = m
				}
				for _, x := range b.Totals {
					billed[payer] += x.Amount.Nano / cent
				}
			}
		}
		for range 6 {
			use(changes[0])
		}
		bill(0)
		w.moves("p1", "ba-x", changes[0])
		for range 6 {
			use(changes[1])
		}
		bill(1)
		w.moves("p1", "ba-p1", changes[1])
		w.moves("p1", "ba-p1", changes[1]) // heard again
		w.moves("p1", "", changes[1])      // of something else
		for range 6 {
			use(hour)
		}
		bill(2)
		for range 4 {
			use(hour)
		}
		bill(3)
		bill(3)
		for _, p := range payers {
			if used[p] != billed[p] || used[p] == 0 {
				t.Errorf("%s used %d MiB and was billed %d", p, used[p], billed[p])
			}
		}
	})
}

// Two wallets of a customer, of which one names its billing account and one does not: what
// was used on the second before it is billed for the first time is not lost, whatever stands
// on the bills of the account.
func TestAWalletThatNamesNoAccountHasARectangleOfItsOwn(t *testing.T) {
	each(t, func(w *world) {
		w.postpaid("post", `"mode":"postpaid","credit":"500"`)
		w.sell("mno", "p1", "post", "491510001")
		w.sell("mno", "p2", "post", "491510002")
		unnamed := func() {
			err := w.db.Write(w.Context(), store.Scope{Tenant: "mno", Actor: "test"}, func(tx *store.Tx) error {
				_, err := tx.Exec("UPDATE charging_account SET billing_account = '', customer = 'cust-p1' WHERE tenant = $1 AND id = 'p2'")
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		unnamed()
		c := calendar{time.Now().Add(-40 * time.Hour).Truncate(time.Hour).UnixMicro(), 10 * 3600e6}
		w.uses("p2", "a", time.UnixMicro(c.origin).Add(time.Hour), 5)
		w.uses("p1", "b", time.UnixMicro(c.origin).Add(2*time.Hour), 3)
		one := w.bill(c.ask("ba-p1", 0, nil))[0] // it was nobody's usual account then
		ask := c.ask("ba-p1", 1, one.Marks)
		ask.Customer = "cust-p1"
		two := w.bill(ask)[0]
		if len(one.Totals) != 1 || one.Totals[0].Amount.Nano != 3*cent || one.Unnamed || len(two.Totals) != 1 || two.Totals[0].Amount.Nano != 5*cent || !two.Unnamed || len(two.Marks) != 2 {
			t.Fatalf("%+v\n%+v", one, two)
		}
		err := w.db.Write(w.Context(), store.Scope{Tenant: "mno", Actor: "test"}, func(tx *store.Tx) error { charging.BillOn(tx, "cust-p1", "ba-p1"); return nil })
		if err != nil {
			t.Fatal(err)
		}
		if again := w.bill(c.ask("ba-p1", 1, two.Marks))[0]; len(again.Totals) > 0 || again.Unnamed || len(again.Marks) != 2 {
			t.Errorf("a second time: %+v", again)
		}
	})
}

// What is billed besides use, on a bill without any, has the tax of the product's tariff.
func TestAFeeWithoutUsageHasTheTaxOfTheTariff(t *testing.T) {
	each(t, func(w *world) {
		body := `{"id":"seven","name":"seven","lifecycleStatus":"Launched","isSellable":true,"productOfferingPrice":[{"id":"data"},{"id":"text"}],
			"tandem:rating":{"zone":"Europe/Berlin","currency":"EUR","tax":{"percent":7,"included":true}},"tandem:charging":{"home":["24001"],"mode":"postpaid","credit":"500"}}`
		w.post("/tmf-api/productCatalogManagement/v4/productOffering", body)
		w.sell("mno", "p1", "seven", "491510001")
		w.ends("adjustBalance", w.post(balance+"adjustBalance", `{"product":[{"id":"p1"}],"amount":{"amount":-2.5,"units":"EUR"},"reason":"correction"}`).text("id"), "completed")
		w.await("the entry", func() bool {
			return w.count("mno", "SELECT count(*) FROM charging_entry WHERE tenant = $1 AND against = 'adjustment'") == 1
		})
		c := calendar{time.Now().Add(-50 * time.Hour).UnixMicro(), 51 * 3600e6}
		b := w.bill(c.ask("ba-p1", 0, nil))[0]
		if len(b.Totals) != 1 || b.Totals[0].What != charging.BillChanged || b.Totals[0].Amount.Nano != 250*cent || b.Totals[0].TaxPercent != "7" || !b.Totals[0].TaxIncluded {
			t.Errorf("%+v", b.Totals)
		}
	})
}
