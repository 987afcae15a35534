package charging_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
)

// Buckets show what is left now, are found by product and customer, and belong to
// their tenant.
func TestBucketsShowWhatIsLeft(t *testing.T) {
	each(t, func(w *world) {
		w.sell("mno", "p1", "plan", "491510001")
		if got := w.left("p1.2"); got != "100000000" {
			t.Fatalf("the allowance holds %s", got)
		}
		w.eats("491510001", "e1", 30_000_000)
		b := w.get(balance + "bucket/p1.2")
		if b.text("remainingValue", "amount") != "70000000" || b.text("remainingValue", "units") != "octets" || b.text("usageType") != "data" ||
			b.text("name") != "100 MB" || b.text("status") != "active" || b.text("validFor", "endDateTime") == "" {
			t.Errorf("%s", b.body)
		}
		for _, filter := range []string{"product.id=p1", "relatedParty.id=cust-p1", "partyAccount.id=ba-p1", "id=p1.1,p1.2", "status=active&product.id=p1"} {
			if n := len(w.get(balance + "bucket?" + filter).list()); n != 2 {
				t.Errorf("%s finds %d buckets", filter, n)
			}
		}
		if l := w.get(balance + "bucket?product.id=p1&sort=-id&limit=1").list(); len(l) != 1 || l[0]["id"] != "p1.2" {
			t.Errorf("%v", l)
		}
		if a := w.get(balance + "accumulatedBalance/p1.octets"); a.text("totalBalance", "amount") != "70000000" {
			t.Errorf("%s", a.body)
		}
		if n := len(w.get(balance + "accumulatedBalance?product.id=p1").list()); n != 2 {
			t.Errorf("%d sums", n)
		}
		for _, path := range []string{"bucket/p1.1", "accumulatedBalance/p1.money"} {
			w.refused("rival/user:eve", "GET", balance+path, nil, 404, "notFound")
		}
		if l := w.do("rival/user:eve", "GET", balance+"bucket", nil).list(); len(l) != 0 {
			t.Errorf("a rival sees %v", l)
		}
		for _, id := range []string{"p1", "p1.x", "p1.99", ".1", "p1.1.1", "p1.01"} {
			w.refused(ann, "GET", balance+"bucket/"+id, nil, 404, "notFound")
		}
		w.refused(ann, "GET", balance+"bucket?sort=name", nil, 400, "badQuery")
		w.refused(ann, "GET", balance+"bucket?nonsense=1", nil, 400, "unknownAttribute")
	})
}

// A top-up is done once however often it is asked for, brings its bonus, is told, and
// can be taken back, also when it is spent.
func TestTopUp(t *testing.T) {
	each(t, func(w *world) {
		w.sell("mno", "p1", "prepaid", "491510001")
		const body = `{"externalId":"pay-7","amount":{"amount":20,"units":"EUR"},"product":[{"id":"p1"}],"channel":{"id":"app"}}`
		a := w.post(balance+"topupBalance", body)
		if a.text("status") != "created" {
			t.Errorf("%s", a.body)
		}
		id := a.text("id")
		w.ends("topupBalance", id, "completed")
		if got := w.left("p1.1"); got != "22" { // 10 % bonus
			t.Errorf("the balance is %s", got)
		}
		if f := next(w, w.facts); f.ID != id || f.Account != "p1" || f.Customer != "cust-p1" || f.Bucket != "p1.1" || f.Action != "topupBalance" {
			t.Errorf("%+v", f)
		}
		var wait sync.WaitGroup
		for range 8 { // the payment system repeats itself
			wait.Go(func() {
				if b := w.do(ann, "POST", balance+"topupBalance", body); b.status != 201 || b.text("id") != id {
					t.Errorf("again: %d %s", b.status, b.body)
				}
			})
		}
		wait.Wait()
		w.refused(ann, "POST", balance+"topupBalance", strings.Replace(body, `"amount":20`, `"amount":21`, 1), 409, "alreadyExists")
		if n := w.count("mno", "SELECT count(*) FROM charging_command WHERE tenant = $1 AND kind = 'topUp'"); n != 1 || w.left("p1.1") != "22" {
			t.Errorf("%d top-ups, %s left", n, w.left("p1.1"))
		}
		w.eats("491510001", "e1", 2100<<20) // 21 EUR
		if a := w.do(ann, "PATCH", balance+"topupBalance/"+id, `{"status":"cancelled"}`); a.status != 200 || a.text("status") != "completed" {
			t.Errorf("cancel: %d %s", a.status, a.body)
		}
		w.ends("topupBalance", id, "cancelled")
		if got := w.left("p1.1"); got != "-21" {
			t.Errorf("after the reversal the balance is %s", got)
		}
		w.refused(ann, "PATCH", balance+"topupBalance/"+id, `{"status":"completed"}`, 409, "illegalMove")
		h := w.get(balance + "balanceActionHistory/topupBalance:" + id)
		if h.text("status") != "cancelled" || h.text("@type") != "TopupBalance" {
			t.Errorf("history: %s", h.body)
		}
		if n := w.count("mno", "SELECT coalesce(sum(amount), 0) FROM charging_entry WHERE tenant = $1 AND bucket = 1"); n != -21e9 {
			t.Errorf("the entries add up to %d", n)
		}
	})
}

// A large top-up's bonus has a bucket of its own, with an end.
func TestTopUpWithABonusBucket(t *testing.T) {
	each(t, func(w *world) {
		w.sell("mno", "p1", "prepaid", "491510001")
		a := w.post(balance+"topupBalance", `{"id":"t1","amount":{"amount":"100.00","units":"EUR"},"bucket":{"id":"p1.1"},"usageType":"monetary","partyAccount":{"id":"ba-p1"}}`)
		w.ends("topupBalance", a.text("id"), "completed")
		w.await("the bonus", func() bool { return len(w.get(balance+"bucket?product.id=p1").list()) == 2 })
		b := w.get(balance + "bucket/p1.2")
		if w.left("p1.1") != "100" || b.text("remainingValue", "amount") != "30" || b.text("name") != "bonus" || b.text("validFor", "endDateTime") == "" {
			t.Errorf("%s, %s", w.left("p1.1"), b.body)
		}
		w.do(ann, "PATCH", balance+"topupBalance/t1", `{"status":"cancelled"}`)
		w.ends("topupBalance", "t1", "cancelled")
		if w.left("p1.1") != "0" || w.left("p1.2") != "0" {
			t.Errorf("%s and %s are left", w.left("p1.1"), w.left("p1.2"))
		}
	})
}

// What cannot be read, or means nothing, is refused in words.
func TestBadBalanceActions(t *testing.T) {
	each(t, func(w *world) {
		w.sell("mno", "p1", "plan", "491510001")
		w.sell("rival", "r1", "plan", "491510002")
		for _, c := range []struct {
			kind, body, code string
			status           int
		}{
			{"topupBalance", `{}`, "mandatoryAttributeMissing", 400},
			{"topupBalance", `{"bucket":{"id":"p1.1"}}`, "mandatoryAttributeMissing", 400},
			{"topupBalance", `{"bucket":{"id":"p1.1"},"amount":{"amount":0,"units":"EUR"}}`, "badAmount", 400},
			{"topupBalance", `{"bucket":{"id":"p1.1"},"amount":{"amount":-5,"units":"EUR"}}`, "badAmount", 400},
			{"topupBalance", `{"bucket":{"id":"p1.1"},"amount":{"amount":5,"units":"USD"}}`, "wrongCurrency", 400},
			{"topupBalance", `{"bucket":{"id":"p1.1"},"amount":{"amount":1e300,"units":"EUR"}}`, "badAmount", 400},
			{"topupBalance", `{"bucket":{"id":"p1.1"},"amount":{"amount":0.0000000001,"units":"EUR"}}`, "badAmount", 400},
			{"topupBalance", `{"bucket":{"id":"p1.2"},"amount":{"amount":5,"units":"min"}}`, "wrongUnit", 400},
			{"topupBalance", `{"bucket":{"id":"p1.2"},"amount":{"amount":"1/3","units":"MB"}}`, "badAmount", 400},
			{"topupBalance", `{"bucket":{"id":"p1.2"},"amount":{"amount":99999999999,"units":"TB"}}`, "badAmount", 400},
			{"topupBalance", `{"bucket":{"id":"p1.9"},"amount":{"amount":5,"units":"EUR"}}`, "unknownBucket", 400},
			{"topupBalance", `{"bucket":{"id":"r1.1"},"amount":{"amount":5,"units":"EUR"}}`, "unknownBucket", 400},
			{"topupBalance", `{"product":[{"id":"r1"}],"amount":{"amount":5,"units":"EUR"}}`, "unknownProduct", 400},
			{"topupBalance", `{"logicalResource":[{"id":"491510002"}],"amount":{"amount":5,"units":"EUR"}}`, "unknownNumber", 400},
			{"topupBalance", `{"partyAccount":{"id":"ba-r1"},"amount":{"amount":5,"units":"EUR"}}`, "unknownAccount", 400},
			{"topupBalance", `{"bucket":{"id":"p1.1"},"amount":{"amount":5,"units":"EUR"},"validFor":{"endDateTime":"2020-01-01T00:00:00Z"}}`, "invalidPeriod", 400},
			{"topupBalance", `{"bucket":{"id":"p1.1"},"amount":{"amount":5,"units":"EUR"},"status":"done"}`, "invalidValue", 400},
			{"adjustBalance", `{"bucket":{"id":"p1.1"},"amount":{"amount":5,"units":"EUR"}}`, "mandatoryAttributeMissing", 400},
			{"adjustBalance", `{"bucket":{"id":"p1.1"},"amount":{"amount":0,"units":"EUR"},"reason":"x"}`, "badAmount", 400},
			{"transferBalance", `{"bucket":{"id":"p1.1"},"amount":{"amount":5,"units":"EUR"}}`, "mandatoryAttributeMissing", 400},
			{"transferBalance", `{"bucket":{"id":"p1.1"},"receiverBucket":{"id":"p1.1"},"amount":{"amount":5,"units":"EUR"}}`, "sameBucket", 400},
			{"transferBalance", `{"bucket":{"id":"p1.1"},"receiverBucket":{"id":"p1.2"},"amount":{"amount":5,"units":"EUR"}}`, "wrongUnit", 400},
			{"transferBalance", `{"bucket":{"id":"p1.1"},"receiverBucket":{"id":"r1.1"},"amount":{"amount":5,"units":"EUR"}}`, "unknownBucket", 400},
			{"reserveBalance", `{"bucket":{"id":"p1.1"},"amount":{"amount":-1,"units":"EUR"}}`, "badAmount", 400},
		} {
			w.refused(ann, "POST", balance+c.kind, c.body, c.status, c.code)
		}
		if n := w.count("mno", "SELECT count(*) FROM charging_command WHERE tenant = $1 AND action <> ''"); n != 0 {
			t.Errorf("%d commands were written", n)
		}
	})
}

// A correction has a reason; a large one needs a second person, who is another one.
func TestAdjustmentNeedsFourEyes(t *testing.T) {
	each(t, func(w *world) {
		w.sell("mno", "p1", "prepaid", "491510001")
		small := w.post(balance+"adjustBalance", `{"bucket":{"id":"p1.1"},"amount":{"amount":12.5,"units":"EUR"},"reason":"goodwill"}`)
		w.ends("adjustBalance", small.text("id"), "completed")
		large := w.post(balance+"adjustBalance", `{"id":"big","bucket":{"id":"p1.1"},"amount":{"amount":60,"units":"EUR"},"reason":"lost recharge"}`)
		if large.text("approval", "state") != "pending" || large.text("approval", "requestedBy") != "user:ann" {
			t.Errorf("%s", large.body)
		}
		const approve = `{"subject":{"id":"big","@referredType":"AdjustBalance"},"decision":"approve"}`
		w.refused(ann, "POST", own+"approval", approve, 403, "fourEyes")
		w.refused("rival/user:bob", "POST", own+"approval", approve, 404, "notFound")
		w.refused(bob, "POST", own+"approval", `{"subject":{"id":"big","@referredType":"Order"},"decision":"approve"}`, 400, "badSubject")
		if got := w.left("p1.1"); got != "12.5" {
			t.Errorf("before the approval the balance is %s", got)
		}
		if a := w.do(bob, "POST", own+"approval", approve); a.status != 201 {
			t.Fatalf("%d %s", a.status, a.body)
		}
		w.ends("adjustBalance", "big", "completed")
		w.refused(bob, "POST", own+"approval", approve, 409, "notPending")
		if got := w.left("p1.1"); got != "72.5" {
			t.Errorf("the balance is %s", got)
		}
		w.post(own+"chargingPolicy", `{"fourEyesAbove":[{"amount":1000,"units":"EUR"}]}`)
		w.post(own+"chargingPolicy", `{"fourEyesAbove":[{"amount":1,"units":"EUR"}]}`)
		w.refused(ann, "POST", own+"chargingPolicy", `{"fourEyesAbove":[{"amount":1,"units":"shells"}]}`, 400, "wrongUnit")
		w.post(balance+"adjustBalance", `{"id":"down","bucket":{"id":"p1.1"},"amount":{"amount":-2,"units":"EUR"},"reason":"typo"}`)
		if a := w.do(bob, "POST", own+"approval", `{"subject":{"id":"down","@referredType":"AdjustBalance"},"decision":"reject","reason":"no typo"}`); a.status != 201 {
			t.Fatalf("%d %s", a.status, a.body)
		}
		if a := w.ends("adjustBalance", "down", "failed"); a.text("approval", "reason") != "no typo" {
			t.Errorf("%s", a.body)
		}
		w.post(balance+"adjustBalance", `{"id":"mind","bucket":{"id":"p1.1"},"amount":{"amount":-3,"units":"EUR"},"reason":"typo"}`)
		if a := w.do(ann, "PATCH", balance+"adjustBalance/mind", `{"status":"cancelled"}`); a.status != 200 || a.text("status") != "cancelled" {
			t.Errorf("%d %s", a.status, a.body)
		}
		w.refused(bob, "POST", own+"approval", strings.Replace(approve, "big", "mind", 1), 409, "notPending")
		w.refused(ann, "DELETE", balance+"adjustBalance/big", nil, 409, "stillReferenced")
		w.refused(ann, "PATCH", balance+"adjustBalance/big", `{"approval":null}`, 400, "notPatchable")
		short := w.post(balance+"adjustBalance", `{"bucket":{"id":"p1.1"},"amount":{"amount":-0.5,"units":"EUR"},"reason":"typo"}`)
		w.ends("adjustBalance", short.text("id"), "completed")
		if got := w.left("p1.1"); got != "72" {
			t.Errorf("the balance is %s", got)
		}
	})
}

// A transfer moves an amount, or nothing: what the receiver cannot take comes back.
func TestTransfer(t *testing.T) {
	each(t, func(w *world) {
		w.sell("mno", "p1", "prepaid", "491510001")
		w.sell("mno", "p2", "prepaid", "491510002")
		w.ends("topupBalance", w.post(balance+"topupBalance", `{"product":[{"id":"p1"}],"amount":{"amount":10,"units":"EUR"}}`).text("id"), "completed")
		id := w.post(balance+"transferBalance", `{"logicalResource":[{"id":"+491510001"}],"receiverLogicalResource":{"id":"491510002"},"amount":{"amount":4,"units":"EUR"},"reason":"gift"}`).text("id")
		w.ends("transferBalance", id, "completed")
		if w.left("p1.1") != "6" || w.left("p2.1") != "4" {
			t.Errorf("%s and %s", w.left("p1.1"), w.left("p2.1"))
		}
		short := w.post(balance+"transferBalance", `{"bucket":{"id":"p1.1"},"receiverBucket":{"id":"p2.1"},"amount":{"amount":6.01,"units":"EUR"}}`).text("id")
		if a := w.ends("transferBalance", short, "failed"); !strings.Contains(a.text("statusReason"), "not enough") {
			t.Errorf("%s", a.body)
		}
		var wait sync.WaitGroup
		var mu sync.Mutex
		var ids []string
		for i := range 10 { // more than there is, to and fro
			wait.Go(func() {
				a := w.do(ann, "POST", balance+"transferBalance", fmt.Sprintf(`{"bucket":{"id":"p%d.1"},"receiverBucket":{"id":"p%d.1"},"amount":{"amount":3,"units":"EUR"}}`, 1+i%2, 2-i%2))
				mu.Lock()
				defer mu.Unlock()
				ids = append(ids, a.text("id"))
			})
		}
		wait.Wait()
		for _, id := range ids {
			w.await("transfer "+id, func() bool { return w.get(balance+"transferBalance/"+id).text("status") != "created" })
		}
		if n := w.count("mno", "SELECT sum(amount) FROM charging_entry WHERE tenant = $1 AND against LIKE 'transfer%'"); n != 0 {
			t.Errorf("%d came out of nowhere", n)
		}
		if n := w.count("mno", "SELECT sum(amount) FROM charging_entry WHERE tenant = $1"); n != 10e9 {
			t.Errorf("%d in all", n)
		}
	})
}

// What is reserved cannot be used, until it is released.
func TestReserve(t *testing.T) {
	each(t, func(w *world) {
		w.sell("mno", "p1", "prepaid", "491510001")
		w.ends("topupBalance", w.post(balance+"topupBalance", `{"product":[{"id":"p1"}],"amount":{"amount":10,"units":"EUR"}}`).text("id"), "completed")
		id := w.post(balance+"reserveBalance", `{"bucket":{"id":"p1.1"},"amount":{"amount":8,"units":"EUR"}}`).text("id")
		w.ends("reserveBalance", id, "completed")
		again := w.post(balance+"reserveBalance", `{"bucket":{"id":"p1.1"},"amount":{"amount":8,"units":"EUR"}}`).text("id")
		w.ends("reserveBalance", again, "failed")
		if got := w.left("p1.1"); got != "2" {
			t.Errorf("%s left", got)
		}
		w.do(ann, "PATCH", balance+"reserveBalance/"+id, `{"status":"cancelled"}`)
		w.ends("reserveBalance", id, "cancelled")
		if got := w.left("p1.1"); got != "10" {
			t.Errorf("%s left", got)
		}
		if a := w.do(ann, "DELETE", balance+"reserveBalance/"+again, nil); a.status != 204 {
			t.Errorf("%d %s", a.status, a.body)
		}
	})
}
