package charging_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"tandem/fact"
)

// A reported event is charged once, can be read with what it cost, and is found by
// product, customer and time; usage by other ways is in the same list.
func TestUsage(t *testing.T) {
	each(t, func(w *world) {
		w.sell("mno", "p1", "prepaid", "491510001")
		w.sell("rival", "r1", "prepaid", "491510002")
		w.ends("topupBalance", w.post(balance+"topupBalance", `{"product":[{"id":"p1"}],"amount":{"amount":10,"units":"EUR"}}`).text("id"), "completed")
		const event = `{"externalId":"cdr-1","usageType":"sms","usageCharacteristic":[{"name":"msisdn","value":"491510001"},{"name":"events","value":3}]}`
		a := w.post(usage+"usage", event)
		if a.text("status") != "rated" || a.text("externalId") != "cdr-1" || !strings.Contains(string(a.body), `"value":0.15`) {
			t.Errorf("%s", a.body)
		}
		id := a.text("id")
		var wait sync.WaitGroup
		for range 8 {
			wait.Go(func() {
				if b := w.do(ann, "POST", usage+"usage", event); b.status != 201 || b.text("id") != id {
					t.Errorf("again: %d %s", b.status, b.body)
				}
			})
		}
		wait.Wait()
		if got := w.left("p1.1"); got != "9.85" {
			t.Errorf("%s left", got)
		}
		w.refused(ann, "POST", usage+"usage", strings.Replace(event, `"value":3`, `"value":4`, 1), 409, "alreadyReported")
		w.eats("491510001", "e1", 5<<20)
		w.await("the usage record", func() bool { return len(w.get(usage+"usage?usageType=data").list()) == 1 })
		for _, filter := range []string{"ratedProductUsage.productRef.id=p1", "relatedParty.id=cust-p1", "usageDate.gt=2020-01-01T00:00:00Z", "sort=-usageDate", "status=rated"} {
			if n := len(w.get(usage + "usage?" + filter).list()); n != 2 {
				t.Errorf("%s finds %d", filter, n)
			}
		}
		if n := len(w.get(usage + "usage?usageDate.gt=" + time.Now().Add(time.Hour).UTC().Format(time.RFC3339)).list()); n != 0 {
			t.Errorf("%d records of the future", n)
		}
		if l := w.get(usage + "usage?sort=-id&limit=1").list(); len(l) != 1 || l[0]["usageType"] != "data" {
			t.Errorf("%v", l)
		}
		w.refused("rival/user:eve", "GET", usage+"usage/"+id, nil, 404, "notFound")
		w.refused(ann, "GET", usage+"usage/0x1", nil, 404, "notFound")
		for _, c := range [][2]string{
			{`{"usageType":"sms","usageCharacteristic":[{"name":"events","value":1}]}`, "mandatoryAttributeMissing"},
			{`{"usageType":"sms","usageCharacteristic":[{"name":"msisdn","value":"491510001"}]}`, "mandatoryAttributeMissing"},
			{`{"usageType":"sms","usageCharacteristic":[{"name":"msisdn","value":"491510002"},{"name":"events","value":1}]}`, "unknownProduct"},
			{`{"usageType":"sms","ratedProductUsage":[{"productRef":{"id":"r1"}}],"usageCharacteristic":[{"name":"events","value":1}]}`, "unknownProduct"},
			{`{"usageType":"telex","usageCharacteristic":[{"name":"msisdn","value":"491510001"},{"name":"events","value":1}]}`, "badUsageType"},
			{`{"usageType":"sms","usageCharacteristic":[{"name":"msisdn","value":"491510001"},{"name":"events","value":-1}]}`, "badCharacteristic"},
			{`{"usageType":"sms","usageCharacteristic":[{"name":"msisdn","value":"491510001"},{"name":"events","value":1e3}]}`, "badCharacteristic"},
			{`{"usageType":"sms","usageCharacteristic":[{"name":"msisdn","value":"491510001"},{"name":"events","value":18446744073709551615}]}`, "badCharacteristic"},
			{`{"usageType":"sms","usageCharacteristic":[{"name":"msisdn","value":"491510001"},{"name":"colour","value":1}]}`, "badCharacteristic"},
			{`{"usageType":"sms","usageDate":"2999-01-01T00:00:00Z","usageCharacteristic":[{"name":"msisdn","value":"491510001"},{"name":"events","value":1}]}`, "invalidDate"},
			{`{"usageType":"voice","usageCharacteristic":[{"name":"msisdn","value":"491510001"},{"name":"seconds","value":1}]}`, "noRate"},
		} {
			w.refused(ann, "POST", usage+"usage", c[0], 400, c[1])
		}
		if got := w.left("p1.1"); got != "9.8" {
			t.Errorf("%s left", got)
		}
		spec := w.post(usage+"usageSpecification", `{"name":"sms","specCharacteristic":[{"name":"events","valueType":"number"}]}`)
		if a := w.get(usage + "usageSpecification/" + spec.text("id")); a.text("name") != "sms" {
			t.Errorf("%s", a.body)
		}
	})
}

// What a customer has used and has left, by product, number, account and customer.
func TestConsumption(t *testing.T) {
	each(t, func(w *world) {
		w.sell("mno", "p1", "plan", "491510001")
		w.eats("491510001", "e1", 25_000_000)
		w.await("the entry", func() bool {
			return w.count("mno", "SELECT count(*) FROM charging_entry WHERE tenant = $1 AND against = 'usage'") == 1
		})
		for _, by := range []string{`"searchCriteria":{"product":[{"id":"p1"}]}`, `"searchCriteria":{"logicalResource":[{"id":"491510001"}]}`,
			`"partyAccount":[{"id":"ba-p1"}]`, `"relatedParty":[{"id":"cust-p1"}]`} {
			a := w.post(consumption, "{"+by+"}")
			all, _ := a.object()["usageConsumption"].([]any)
			if len(all) != 1 || !strings.Contains(string(a.body), `"value":{"amount":25000000,"units":"octets"}`) ||
				!strings.Contains(string(a.body), `"remainingValue":{"amount":75000000,"units":"octets"}`) {
				t.Errorf("%s: %s", by, a.body)
			}
			if got := w.get(consumption + "/" + a.text("id")); string(got.body) != string(a.body) {
				t.Errorf("%s", got.body)
			}
		}
		w.refused(ann, "POST", consumption, `{}`, 400, "mandatoryAttributeMissing")
		if a := w.do("rival/user:eve", "POST", consumption, `{"searchCriteria":{"product":[{"id":"p1"}]}}`); a.status != 201 || strings.Contains(string(a.body), "octets") {
			t.Errorf("a rival sees %s", a.body)
		}
	})
}

// Each threshold is told once, also when one step crosses two; a top-up arms it again.
func TestThresholdsAreToldOnce(t *testing.T) {
	each(t, func(w *world) {
		w.sell("mno", "p1", "plan", "491510001")
		w.eats("491510001", "e1", 49_000_000)
		w.eats("491510001", "e2", 32_000_000) // over 50 and 80 at once
		w.eats("491510001", "e3", 1_000_000)
		w.eats("491510001", "e4", 18_000_000)
		got := map[int]fact.ThresholdCrossed{}
		for range 3 {
			f := next(w, w.crossed)
			if _, twice := got[f.Percent]; twice {
				t.Errorf("%d %% twice", f.Percent)
			}
			got[f.Percent] = f
		}
		for _, percent := range []int{50, 80, 100} {
			if f := got[percent]; f.Name != "100 MB" || f.Customer != "cust-p1" || f.Account != "p1" || f.Limit {
				t.Errorf("%d %%: %+v", percent, f)
			}
		}
		w.eats("491510001", "e5", 1<<20)
		w.ends("topupBalance", w.post(balance+"topupBalance", `{"bucket":{"id":"p1.2"},"amount":{"amount":50,"units":"MB"}}`).text("id"), "completed")
		w.eats("491510001", "e6", 30_000_000)
		if f := next(w, w.crossed); f.Name != "100 MB" || f.Percent != 50 {
			t.Errorf("after a top-up: %+v", f)
		}
	})
}

// print makes the vouchers of a batch that is active, as two people do.
func (w *world) print(id, amount string, count int) (pins []string) {
	w.Helper()
	w.post(own+"voucherBatch", fmt.Sprintf(`{"id":%q,"name":"Scratch cards","count":%d,"amount":%s}`, id, count, amount))
	pins = w.printed(id)
	if a := w.do(bob, "POST", own+"approval", `{"subject":{"id":"`+id+`","@referredType":"VoucherBatch"},"decision":"approve"}`); a.status != 201 {
		w.Fatalf("%d %s", a.status, a.body)
	}
	return pins
}

// A price that changes holds for lines sold from then on; what was sold keeps the price
// it was sold at, on a node that starts anew as well.
func TestAPriceHoldsForWhatIsSoldAfterIt(t *testing.T) {
	each(t, func(w *world) {
		w.sell("mno", "old", "prepaid", "491510001")
		patch := `{"price":{"unit":"EUR","value":0.02}}`
		if a := w.do("mno/user:shop", "PATCH", "/tmf-api/productCatalogManagement/v4/productOfferingPrice/data", patch); a.status != 200 {
			t.Fatalf("%d %s", a.status, a.body)
		}
		w.sell("mno", "new", "prepaid", "491510003")
		for _, name := range []string{"first", "second"} {
			w.eats("491510001", name+"-old", 1<<20)
			w.eats("491510003", name+"-new", 1<<20)
			if name == "first" {
				w.again()
			}
		}
		if old, fresh := w.left("old.1"), w.left("new.1"); old != "-0.02" || fresh != "-0.04" {
			t.Errorf("the old line has %s, the new one %s", old, fresh)
		}
	})
}
