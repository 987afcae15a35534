package receivable_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"tandem/bss/billing"
	"tandem/bss/ledger"
	"tandem/bss/receivable"
	"tandem/fact"
	"tandem/kit/civil"
	"tandem/kit/store"
	"tandem/kit/tmf"
	"tandem/kit/tmf/tmftest"
)

func (d *desk) day() civil.Date { return civil.DateOf(d.clock(), time.UTC) }

// dun looks at the account on each of the next days, and says how many levels were entered.
func (d *desk) dun(account string, days int) (n int64) {
	d.Helper()
	for range days {
		d.on(1)
		d.must(func(tx *store.Tx) error { return receivable.Dun(tx, account, d.day()) })
	}
	d.must(func(tx *store.Tx) error {
		return tx.Row("SELECT count(*) FROM receivable_action WHERE tenant = $1 AND account = $2", account).Scan(&n)
	})
	return n
}

// pays books cash on an account today.
func (d *desk) pays(account string, cents int64) {
	d.Helper()
	d.must(func(tx *store.Tx) error {
		_, err := receivable.Receive(tx, receivable.Payment{Entity: "acme", Account: account, Amount: euros(cents), Way: receivable.Cash})
		return err
	})
}

func (d *desk) post(kind string, body any) map[string]any {
	d.Helper()
	got := d.api.Send("host", http.MethodPost, receivables+kind, body)
	if got.Status != http.StatusCreated {
		d.Fatalf("POST %s: %d %s", kind, got.Status, got.Body)
	}
	return got.Object()
}

func (d *desk) no(method, path string, body any, code string) {
	d.Helper()
	if got := d.api.Send("host", method, receivables+path, body); got.Object()["code"] != code {
		d.Errorf("%s %s: %d %s, want %s", method, path, got.Status, got.Body, code)
	}
}

func (d *desk) state(kind, id string) any {
	d.Helper()
	return d.api.Send("host", http.MethodGet, receivables+kind+"/"+id, nil).Object()["state"]
}

type object = map[string]any

func ref(id string) object { return object{"id": id} }

// Who keeps a plan is left alone; an instalment that is late by more than the days of
// grace has the ladder go on.
func TestAPaymentPlanIsKeptOrBroken(t *testing.T) {
	desks(t, func(d *desk) {
		for _, a := range []string{"a", "b"} {
			d.account(a, "Customer "+a, "")
			d.bill("1"+a, a, 10_001, d.day().AddDays(-2), "")
		}
		if n := d.dun("a", 2); n != 1 {
			t.Fatalf("%d levels before the plan", n)
		}
		plan := map[string]string{}
		for _, a := range []string{"a", "b"} {
			p := d.post("paymentPlan", object{"account": ref(a), "count": 3, "firstOn": d.day().AddDays(10).String()})
			plan[a] = p["id"].(string)
			if lines := p["instalment"].([]any); len(lines) != 3 || lines[0].(object)["amount"].(object)["value"].(float64) != 33.34 || lines[2].(object)["amount"].(object)["value"].(float64) != 33.33 {
				t.Errorf("%v", lines)
			}
		}
		d.no(http.MethodPost, "paymentPlan", object{"account": ref("a"), "count": 3, "firstOn": d.day().String()}, "arrangedAlready")
		d.no(http.MethodPatch, "paymentPlan/"+plan["a"], object{"state": "kept"}, "invalidState")
		if a, b := d.dun("a", 9), d.dun("b", 0); a != 1 || b != 0 {
			t.Errorf("dunned within the plan: %d, %d", a, b)
		}
		d.pays("a", 3334)
		if n := d.dun("a", 30); n != 1 || d.state("paymentPlan", plan["a"]) != "active" {
			t.Errorf("a pays in time: %d levels, %v", n, d.state("paymentPlan", plan["a"]))
		}
		d.pays("a", 6667)
		if got := d.state("paymentPlan", plan["a"]); got != "kept" {
			t.Errorf("a has paid: %v", got)
		}
		if n := d.dun("b", 1); n != 1 || d.state("paymentPlan", plan["b"]) != "broken" {
			t.Errorf("b has not paid: %d levels, %v", n, d.state("paymentPlan", plan["b"]))
		}
		d.expect("a", map[string]int64{})
	})
}

// Who pays his instalments keeps his plan, whatever else he owes: they are what he means.
// What he pays beyond them goes to what is due, not to instalments that are deferred.
func TestAnInstalmentPaysItsPlan(t *testing.T) {
	desks(t, func(d *desk) {
		d.account("a", "Anna", "")
		first := d.day()
		d.bill("old", "a", 2000, first.AddDays(-40), "")
		d.bill("big", "a", 10_000, first.AddDays(-30), "")
		plan := d.post("paymentPlan", object{"account": ref("a"), "claim": []object{ref("big")}, "count": 2, "firstOn": first.AddDays(10).String()})["id"].(string)
		d.on(5)
		d.pays("a", 5000) // before its day
		d.expect("a", map[string]int64{"old": 2000, "big": 5000})
		d.dun("a", 10)
		if got := d.state("paymentPlan", plan); got != "active" {
			t.Errorf("the first instalment is paid: %v", got)
		}
		d.bill("new", "a", 1500, d.day().AddDays(1), "")
		d.pays("a", 6500) // the instalment, and what this month costs
		d.expect("a", map[string]int64{"old": 500, "new": 1500})
		if got := d.state("paymentPlan", plan); got != "kept" {
			t.Errorf("all of it is paid: %v", got)
		}
		d.pays("a", 2000)
		d.bill("next", "a", 9000, d.day().AddDays(1), "")
		d.post("paymentPlan", object{"account": ref("a"), "count": 3, "firstOn": d.day().AddDays(10).String()})
		d.bill("month", "a", 1000, d.day().AddDays(14), "")
		d.pays("a", 4000) // is due before the second instalment
		d.expect("a", map[string]int64{"next": 6000})
	})
}

// What is disputed is not paid by money that was not meant for it, and does not break a
// plan; when it is settled, that money pays it.
func TestNoMoneyGoesToWhatIsDisputedByItself(t *testing.T) {
	desks(t, func(d *desk) {
		d.account("a", "Anna", "")
		d.bill("1", "a", 4000, d.day().AddDays(-40), "")
		d.bill("2", "a", 6000, d.day().AddDays(-30), "")
		plan := d.post("paymentPlan", object{"account": ref("a"), "count": 2, "firstOn": d.day().AddDays(10).String()})["id"].(string)
		dispute := d.post("dispute", object{"claim": ref("1"), "reason": "I was in hospital", "amount": object{"unit": "EUR", "value": 30}})["id"].(string)
		d.pays("a", 7500)
		d.expect("a", map[string]int64{"1": 3000})
		if n := d.dun("a", 30); n != 0 || d.state("paymentPlan", plan) != "active" {
			t.Errorf("%d levels, %v", n, d.state("paymentPlan", plan))
		}
		tmftest.Must[receivable.DisputeCase](d.api, "host", http.MethodPatch, receivables+"dispute/"+dispute, object{"state": "rejected", "resolution": "The contract says so"})
		d.expect("a", map[string]int64{"1": 2500})
		d.pays("a", 2500)
		if got := d.state("paymentPlan", plan); got != "kept" {
			t.Errorf("%v", got)
		}
		d.expect("a", map[string]int64{})
	})
}

func TestAPromiseHoldsTheLadderOnce(t *testing.T) {
	desks(t, func(d *desk) {
		d.account("a", "Anna", "")
		d.no(http.MethodPost, "promiseToPay", object{"account": ref("a"), "by": d.day().String()}, "notOverdue")
		d.bill("1", "a", 5000, d.day().AddDays(-1), "")
		d.no(http.MethodPost, "promiseToPay", object{"account": ref("a"), "by": d.day().AddDays(32).String()}, "invalidPromise")
		for i, want := range []string{"broken", "broken"} {
			p := d.post("promiseToPay", object{"account": ref("a"), "by": d.day().AddDays(4).String()})
			before := d.dun("a", 0)
			if n := d.dun("a", 4); n != before {
				t.Errorf("promise %d: dunned before its day", i)
			}
			if n := d.dun("a", 1); n != before+int64(1-i) || d.state("promiseToPay", p["id"].(string)) != want {
				t.Errorf("promise %d: %d levels, %v", i, n-before, d.state("promiseToPay", p["id"].(string)))
			}
			if n := d.dun("a", 5); n != int64(2+i) { // the ladder goes on
				t.Errorf("promise %d: %d levels", i, n)
			}
		}
		d.no(http.MethodPost, "promiseToPay", object{"account": ref("a"), "by": d.day().AddDays(4).String()}, "promisesBroken")
		d.now.Add(400 * 86400)
		p := d.post("promiseToPay", object{"account": ref("a"), "by": d.day().AddDays(4).String(), "amount": object{"unit": "EUR", "value": 20}})
		d.pays("a", 2000)
		if got := d.state("promiseToPay", p["id"].(string)); got != "kept" {
			t.Errorf("%v", got)
		}
	})
}

// Of a disputed bill the rest is dunned; a credit note for what is disputed settles it, a
// rejection has all of it dunned.
func TestADisputeHoldsWhatIsDisputed(t *testing.T) {
	desks(t, func(d *desk) {
		for _, a := range []string{"a", "b", "c"} {
			d.account(a, "Customer "+a, ibans[0])
			d.bill("1"+a, a, 5000, d.day(), "")
			if a == "c" {
				d.no(http.MethodPost, "dispute", object{"claim": ref("1c"), "reason": "x", "amount": object{"unit": "EUR", "value": 51}}, "invalidDispute")
			}
		}
		all := d.post("dispute", object{"claim": ref("1a"), "reason": "I was in hospital"})["id"].(string)
		part := d.post("dispute", object{"claim": ref("1b"), "reason": "The call was not mine", "amount": object{"unit": "EUR", "value": 30}})["id"].(string)
		d.no(http.MethodPost, "dispute", object{"claim": ref("1a"), "reason": "again"}, "disputed")
		if a, b := d.dun("a", 5), d.dun("b", 0); a != 0 || b != 0 {
			t.Errorf("%d, %d", a, b)
		}
		if n := d.dun("b", 1); n != 1 {
			t.Errorf("what is not disputed was dunned %d times", n)
		}
		var overdue int64
		d.must(func(tx *store.Tx) error {
			return tx.Row("SELECT overdue FROM receivable_action WHERE tenant = $1 AND account = 'b'").Scan(&overdue)
		})
		if overdue != 2000 {
			t.Errorf("%d cents were dunned, want 2000", overdue)
		}
		d.collectOnly("1c")
		d.no(http.MethodPatch, "dispute/"+all, object{"state": "credited"}, "byCreditNote")
		d.no(http.MethodPatch, "dispute/"+all, object{"state": "rejected"}, "noReason")
		tmftest.Must[receivable.DisputeCase](d.api, "host", http.MethodPatch, receivables+"dispute/"+all, object{"state": "rejected", "resolution": "The contract says so"})
		if n := d.dun("a", 1); n != 1 {
			t.Errorf("after the rejection: %d", n)
		}
		d.bill("cn", "b", -3000, d.day(), "1b")
		if got := tmftest.Must[receivable.DisputeCase](d.api, "host", http.MethodGet, receivables+"dispute/"+part, nil); got.State != "credited" || got.CreditNote.ID != "cn" {
			t.Errorf("%+v", got)
		}
		d.expect("b", map[string]int64{"1b": 2000})
	})
}

// collectOnly proves that the next file has that claim alone.
func (d *desk) collectOnly(claim string) {
	d.Helper()
	d.collect()
	got := *tmftest.Must[[]receivable.DirectDebitResource](d.api, "host", http.MethodGet, receivables+"directDebit", nil)
	if len(got) != 1 || got[0].Claim.ID != claim {
		d.Errorf("collected: %+v", got)
	}
}

func TestAWriteOffNeedsFourEyes(t *testing.T) {
	desks(t, func(d *desk) {
		d.account("a", "Anna", "")
		d.bill("1", "a", 1190, d.day(), "")
		tax := []object{{"code": "S19", "amount": object{"unit": "EUR", "value": 1.9}}}
		id := d.post("writeOff", object{"claim": ref("1"), "reason": "Insolvent", "taxRelief": tax})["id"].(string)
		d.no(http.MethodPost, "writeOff", object{"claim": ref("1"), "reason": "Insolvent"}, "requestedAlready")
		d.no(http.MethodPatch, "writeOff/"+id, object{"state": "approved"}, "fourEyes")
		d.expect("a", map[string]int64{"1": 1190})
		d.must(func(tx *store.Tx) error { return d.decide(tx, id, receivable.WriteOffApproved) })
		d.expect("a", map[string]int64{})
		d.pays("a", 700)
		var payment string
		d.must(func(tx *store.Tx) error {
			return tx.Row("SELECT id FROM receivable_payment WHERE tenant = $1").Scan(&payment)
		})
		d.no(http.MethodPost, "recovery", object{"writeOff": ref(id), "payment": ref(payment), "amount": object{"unit": "EUR", "value": 8}}, "notOpen")
		d.post("recovery", object{"writeOff": ref(id), "payment": ref(payment), "amount": object{"unit": "EUR", "value": 7}})
		if w := tmftest.Must[receivable.WriteOffRequest](d.api, "host", http.MethodGet, receivables+"writeOff/"+id, nil); w.DecidedBy != "user:ann" || w.RequestedBy != "test" || w.Recovered.String() != "7 EUR" && w.Recovered.Nano != 7_000_000_000 {
			t.Errorf("%+v", w)
		}
		d.sound()
	})
}

// decide is user:ann, who decides about what another asked for.
func (d *desk) decide(tx *store.Tx, id, state string) error {
	old, err := receivable.WriteOffs.Lock(tx, id)
	if err != nil {
		return err
	}
	w, err := receivable.WriteOffs.Copy(old)
	if err != nil {
		return err
	}
	w.State = state
	return receivable.WriteOffs.OnPatch(tx, old, w)
}

// Nobody gives up more, or tax of another amount, than he was shown: what is open may have
// changed since it was asked for.
func TestWhatIsApprovedIsWhatWasShown(t *testing.T) {
	desks(t, func(d *desk) {
		d.account("a", "Anna", "")
		d.bill("1", "a", 10_000, d.day(), "")
		d.pays("a", 9_000)
		ask := func() string {
			return d.post("writeOff", object{"claim": ref("1"), "reason": "Not worth the stamp"})["id"].(string)
		}
		small := ask()
		var payment string
		d.must(func(tx *store.Tx) error {
			if err := tx.Row("SELECT id FROM receivable_payment WHERE tenant = $1").Scan(&payment); err != nil {
				return err
			}
			return receivable.Return(tx, payment, "AC04", euros(0))
		})
		d.expect("a", map[string]int64{"1": 10_000})
		d.refused(d.write(func(tx *store.Tx) error { return d.decide(tx, small, receivable.WriteOffApproved) }), "amountChanged")
		d.expect("a", map[string]int64{"1": 10_000})
		d.must(func(tx *store.Tx) error { return d.decide(tx, small, receivable.WriteOffRejected) })
		large := ask()
		d.must(func(tx *store.Tx) error { return d.decide(tx, large, receivable.WriteOffApproved) })
		d.expect("a", map[string]int64{})
	})
}

func TestAPersonDecidesAboutDunning(t *testing.T) {
	desks(t, func(d *desk) {
		d.account("a", "Anna", "")
		d.bill("1", "a", 5000, d.day().AddDays(-3), "")
		d.no(http.MethodPost, "dunningDecision", object{"account": ref("a"), "decision": "unbar", "until": d.day().AddDays(9).String(), "reason": "x"}, "notBarred")
		d.no(http.MethodPost, "dunningDecision", object{"account": ref("a"), "decision": "pause", "until": d.day().String(), "reason": "x"}, "invalidPause")
		d.post("dunningDecision", object{"account": ref("a"), "decision": "pause", "until": d.day().AddDays(3).String(), "reason": "Our outage"})
		if n := d.dun("a", 3); n != 0 {
			t.Errorf("dunned in the pause: %d", n)
		}
		d.post("dunningDecision", object{"account": ref("a"), "decision": "pause", "until": d.day().AddDays(30).String(), "reason": "Hardship"})
		d.post("dunningDecision", object{"account": ref("a"), "decision": "resume", "reason": "He won the lottery"})
		d.no(http.MethodPost, "dunningDecision", object{"account": ref("a"), "decision": "resume", "reason": "x"}, "notPaused")
		if n := d.dun("a", 1); n != 1 {
			t.Errorf("dunned %d times after the pause", n)
		}
		s := tmftest.Must[receivable.Standing](d.api, "host", http.MethodGet, receivables+"dunning/a", nil)
		if *s.Level != 1 || *s.Barred || len(s.Action) != 1 || s.Action[0].Action != "remind" || s.Action[0].Oldest.ID != "1" {
			t.Errorf("%+v", s)
		}
		if got := d.api.Do("other", http.MethodGet, receivables+"dunning", nil); string(got.Body) != "[]" {
			t.Errorf("another tenant sees %s", got.Body)
		}
	})
}

// What an agency works on is not dunned by us; what it pays on is paid, and what it keeps
// is our cost. A remittance is taken once, whole or not at all.
func TestAnAgencyCollects(t *testing.T) {
	desks(t, func(d *desk) {
		d.account("a", "=Anna", "")
		d.account("b", "Bert", "")
		d.bill("1", "a", 5000, d.day().AddDays(-80), "")
		d.bill("2", "a", 900, d.day().AddDays(-80), "")
		d.bill("3", "b", 7000, d.day().AddDays(-10), "")
		f := d.post("agencyFile", object{"agency": "Creditreform", "legalEntity": ref("acme"), "overdueDays": 60, "minimum": object{"unit": "EUR", "value": 10}})
		if f["count"].(float64) != 1 {
			t.Fatalf("%v", f)
		}
		d.no(http.MethodPost, "agencyFile", object{"agency": "Creditreform", "legalEntity": ref("acme"), "claim": []object{ref("1")}}, "nothingToPlace")
		csv := d.report("agencyFile/" + f["id"].(string) + "/content")
		lines := strings.Split(strings.TrimSpace(csv), "\n")
		if len(lines) != 2 || !strings.Contains(lines[1], ";'=Anna x;") || !strings.HasSuffix(lines[1], ";EUR;50.00;50.00") {
			t.Fatalf("%q", lines)
		}
		reference, _, _ := strings.Cut(lines[1], ";")
		remit := func(number, file string) object {
			return object{"agency": "Creditreform", "number": number, "file": file}
		}
		today := ";" + d.day().String()
		d.no(http.MethodPost, "agencyRemittance", remit("1", reference+";20.00;5.00"+today+"\nnobody;1.00;0.00"+today), "unknownReference")
		d.no(http.MethodPost, "agencyRemittance", remit("1", reference+";20.001;5.00"+today), "fileForm")
		d.expect("a", map[string]int64{"1": 5000, "2": 900})
		d.post("agencyRemittance", remit("1", "reference;amount;commission;date\n"+reference+";20.00;5.00"+today))
		d.no(http.MethodPost, "agencyRemittance", remit("1", reference+";20.00;5.00"+today), "alreadyTaken")
		d.expect("a", map[string]int64{"1": 3000, "2": 900})
		if got := d.state("agencyCase", reference); got != "placed" {
			t.Errorf("%v", got)
		}
		d.post("agencyRemittance", remit("2", reference+";30.00;7.50"+today))
		d.expect("a", map[string]int64{"2": 900})
		if got := d.state("agencyCase", reference); got != "paid" {
			t.Errorf("%v", got)
		}
		d.no(http.MethodPatch, "agencyCase/"+reference, object{"state": "recalled", "reason": "x"}, "caseEnded")
	})
}

// Who pays us directly is taken back from the agency, which is told so.
func TestAnAgencyIsToldThatWeWerePaid(t *testing.T) {
	desks(t, func(d *desk) {
		for _, a := range []string{"a", "b", "c"} {
			d.account(a, "Customer "+a, "")
			d.bill("1"+a, a, 5000, d.day().AddDays(-80), "")
		}
		file := d.post("agencyFile", object{"agency": "Creditreform", "legalEntity": ref("acme")})["id"].(string)
		d.pays("a", 4999)
		d.pays("b", 2000)
		d.bill("cn", "c", -5000, d.day(), "1c")
		if got := d.report("agencyFile/" + file + "/content"); strings.Count(got, "\n") != 3 || strings.Contains(got, "N-1c") || !strings.Contains(got, ";EUR;50.00;0.01\n") {
			t.Errorf("the agency is to collect\n%s", got)
		}
		d.pays("a", 1)
		if got := d.report("agencyFile/" + file + "/content"); strings.Count(got, "\n") != 2 || !strings.HasSuffix(got, ";EUR;50.00;30.00\n") {
			t.Errorf("the agency is to collect\n%s", got)
		}
		got := d.report("agencyFile/" + file + "/ended")
		if want := ";N-1a;paid;Paid to us;" + d.day().String() + "\n"; strings.Count(got, "\n") != 3 || !strings.Contains(got, want) || !strings.Contains(got, ";N-1c;paid;Credited by N-cn;") {
			t.Errorf("the agency is told\n%s\nwant\n%s", got, want)
		}
	})
}

// However long an agency's name and its numbers are, each line is booked once.
func TestLongNamesOfAnAgencyLoseNoLine(t *testing.T) {
	desks(t, func(d *desk) {
		d.account("a", "Anna", "")
		d.bill("1", "a", 5000, d.day().AddDays(-80), "")
		d.bill("2", "a", 5000, d.day().AddDays(-80), "")
		agency, number := strings.Repeat("A", 100), strings.Repeat("7", 100)
		file := d.post("agencyFile", object{"agency": agency, "legalEntity": ref("acme")})["id"].(string)
		lines := strings.Split(d.report("agencyFile/"+file+"/content"), "\n")
		var text string
		for range 2 {
			for _, l := range lines[1:3] {
				reference, _, _ := strings.Cut(l, ";")
				text += reference + ";10.00;1.00;" + d.day().String() + "\n"
			}
		}
		if got := d.post("agencyRemittance", object{"agency": agency, "number": number, "file": text}); got["count"].(float64) != 4 {
			t.Errorf("%v", got)
		}
		d.expect("a", map[string]int64{"1": 3000, "2": 3000})
	})
}

// report reads an address of the reports, or a file that is handed out.
func (d *desk) report(path string) string {
	d.Helper()
	w := d.read(path, func(string, string, string) bool { return true })
	if w.Code != http.StatusOK {
		d.Fatalf("%s: %d %s", path, w.Code, w.Body)
	}
	return w.Body.String()
}

// read reads such an address as one who may do so much.
func (d *desk) read(path string, may func(api, kind, verb string) bool) *httptest.ResponseRecorder {
	mux := http.NewServeMux()
	who := func(*http.Request) (*tmf.Caller, error) {
		return &tmf.Caller{Tenant: "host", Actor: "ann", Allow: may}, nil
	}
	all := func(h http.Handler) http.Handler { return h }
	(&receivable.Reports{DB: d.db, Authenticate: who}).Routes(mux, all)
	(&receivable.BankFiles{DB: d.db, Authenticate: who}).Routes(mux, all)
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest(http.MethodGet, receivables+path, nil))
	return w
}

func TestReportsAddUp(t *testing.T) {
	desks(t, func(d *desk) {
		d.account("a", "Anna", "")
		from := d.day()
		d.bill("1", "a", 9000, from.AddDays(14), "")
		d.on(10)
		d.pays("a", 2500)
		d.on(10)
		d.bill("cn", "a", -1500, d.day().AddDays(14), "1")
		d.on(9)
		var statement receivable.AccountStatement
		if err := tmf.Decode([]byte(d.report("accountStatement/a?from="+from.String()+"&to="+d.day().String())), &statement); err != nil {
			t.Fatal(err)
		}
		var balances []int64
		for _, m := range statement.Line {
			balances = append(balances, m.Balance.Nano/1e9)
		}
		if !slices.Equal(balances, []int64{90, 65, 50}) || len(statement.Closing) != 1 || statement.Closing[0].Nano != 50e9 || len(statement.Opening) != 0 {
			t.Errorf("%+v", statement)
		}
		if got, want := d.report("dso?from="+from.String()+"&to="+from.AddDays(29).String()), `"dsoTenths":200`; !strings.Contains(got, want) { // 50 of 75 in 30 days
			t.Errorf("%s, want %s", got, want)
		}
		if got := d.report("ageing?on=" + d.day().AddDays(10).String()); strings.Count(got, `"sum":{"unit":"EUR","value":50}`) != 2 || !strings.Contains(got, `"to30":{"unit":"EUR","value":50}`) {
			t.Errorf("%s", got)
		}
	})
}

// A short number in a text is a house number until something else says the same.
func TestAShortNumberDoesNotPayAStrangersBill(t *testing.T) {
	desks(t, func(d *desk) {
		d.account("stranger", "Sten Stranger", "")
		d.account("account-4711", "Anna Groß", "")
		d.numbered("s", "2026", "stranger", 5000)
		d.numbered("x", "4712", "account-4711", 900)
		now := d.on(7)
		d.bank.Pay(now, "Wer Weiss", ibans[3], "Miete Maerz 2026 Hauptstr. 4712", "", 12300)
		if b := d.take(d.bank.Statement(now)); number(b.Open) != 1 || number(b.Matched) != 0 {
			t.Errorf("%d matched", number(b.Matched))
		}
		d.bank.Pay(now, "Wer Weiss", ibans[3], "Rechnung 2026", "", 5000)        // the amount says so too
		d.bank.Pay(now, "Anna Gross x", ibans[2], "4712", "", 500)               // the name
		d.bank.Pay(now, "Oma", ibans[1], "fuer account-4711 von Oma", "", 30000) // the account
		if b := d.take(d.bank.Statement(now)); number(b.Matched) != 3 {
			t.Errorf("%d matched, %d open", number(b.Matched), number(b.Open))
		}
		d.expect("stranger", map[string]int64{})
		d.expect("account-4711", map[string]int64{})
		d.even()
	})
}

// numbered books a bill with a number of its own.
func (d *desk) numbered(id, number, account string, gross int64) {
	d.Helper()
	d.must(func(tx *store.Tx) error {
		if err := ledger.Post(tx, ledger.Transaction{Name: "bill/" + id, Entity: "acme", Currency: euros(1).Currency, Date: day, What: "Bill", Entries: []ledger.Entry{
			{Account: ledger.Receivable, Party: account, Amount: gross}, {Account: ledger.Of(ledger.Revenue, "4400"), Amount: -gross}}}); err != nil {
			return err
		}
		return receivable.Posted(tx, fact.BillsPosted{Entity: "acme", Bills: []fact.PostedBill{{Bill: id, Number: number, Account: account, Currency: "EUR", Gross: gross,
			IssuedOn: day.String(), Due: day.String()}}})
	})
}

// A file that the bank never answered is withdrawn: its claims are collected anew. If the
// bank had it all the same, no money is lost.
func TestAFileIsWithdrawn(t *testing.T) {
	desks(t, func(d *desk) {
		d.account("a", "Anna", ibans[0])
		d.bill("1", "a", 5000, d.day().AddDays(2), "")
		var first []byte
		var id string
		d.must(func(tx *store.Tx) (err error) {
			if id, err = receivable.Collect(tx, "acme", d.clock()); err == nil {
				first, err = receivable.DebitFile(tx, id)
			}
			return err
		})
		d.no(http.MethodPatch, "directDebitFile/"+id, object{"status": "accepted"}, "invalidState")
		d.no(http.MethodPatch, "directDebitFile/"+id, object{"status": "withdrawn"}, "noReason")
		tmftest.Must[receivable.DirectDebitFile](d.api, "host", http.MethodPatch, receivables+"directDebitFile/"+id, object{"status": "withdrawn", "statusReason": "The line was cut"})
		d.on(3)
		d.collect()
		if _, err := d.bank.Take(first); err != nil { // a clerk hands it in all the same, and nobody sees the answer
			t.Fatal(err)
		}
		now := d.on(4)
		d.bank.Settle(now)
		if b := d.take(d.bank.Statement(now)); number(b.Settled) != 2 || number(b.Open) != 0 {
			t.Errorf("%+v", b)
		}
		d.expect("a", map[string]int64{})
		d.even() // paid twice by the bank: the second is his, and is given back
	})
}

// Refunds go to the bank in a file, and are paid when its statement says so.
func TestARefundByTransfer(t *testing.T) {
	desks(t, func(d *desk) {
		d.account("a", "Anna", "")
		now := d.on(1)
		d.bank.Pay(now, "Anna Gross", ibans[2], "fuer account a", "", 9000)
		d.take(d.bank.Statement(now))
		open := *tmftest.Must[[]receivable.BankEntry](d.api, "host", http.MethodGet, receivables+"bankEntry?state=open", nil)
		e := tmftest.Must[receivable.BankEntry](d.api, "host", http.MethodPatch, receivables+"bankEntry/"+open[0].ID, object{"account": ref("a")})
		refund := func(value int, code string) string {
			t.Helper()
			got := d.api.Send("host", http.MethodPost, refunds, object{"account": ref("a"), "payment": ref(e.Payment.ID), "totalAmount": object{"unit": "EUR", "value": value},
				"paymentMethod": object{"@type": "BankAccountTransfer"}})
			if code != "" && got.Object()["code"] != code || code == "" && got.Object()["status"] != "pending" {
				t.Errorf("%s", got.Body)
			}
			id, _ := got.Object()["id"].(string)
			return id
		}
		refund(91, "notOpen")
		first, second := refund(20, ""), refund(30, "")
		if n := len(d.api.Do("host", http.MethodGet, refunds+"/"+first, nil).Body); n == 0 {
			t.Error("no refund")
		}
		f := d.post("creditTransferFile", object{"legalEntity": ref("acme")})
		d.no(http.MethodPost, "creditTransferFile", object{"legalEntity": ref("acme")}, "nothingToPay")
		content := d.report("creditTransferFile/" + f["id"].(string) + "/content")
		if !strings.Contains(content, ibans[2]) {
			t.Errorf("not to the account the money came from:\n%s", content)
		}
		d.bank.Sums = true
		now = d.on(1)
		answer, err := d.bank.Carry(now, []byte(content))
		if err != nil {
			t.Fatal(err)
		}
		d.take(answer)
		if b := d.take(d.bank.Statement(now)); number(b.Settled) != 1 || number(b.Open) != 0 {
			t.Errorf("%+v", b)
		}
		d.even()
		for _, id := range []string{first, second} {
			if got := d.api.Send("host", http.MethodGet, refunds+"/"+id, nil).Object()["status"]; got != "done" {
				t.Errorf("refund %s is %v", id, got)
			}
		}
		third := refund(40, "")
		f = d.post("creditTransferFile", object{"legalEntity": ref("acme")})
		content = strings.ReplaceAll(d.report("creditTransferFile/"+f["id"].(string)+"/content"), ourAccount, "DE75512108001245126199")
		answer, err = d.bank.Carry(now, []byte(content)) // not its account: rejected whole
		if err != nil {
			t.Fatal(err)
		}
		if b := d.take(answer); number(b.Rejected) != 1 {
			t.Errorf("%+v", b)
		}
		if got := d.api.Send("host", http.MethodGet, refunds+"/"+third, nil).Object()["status"]; got != "declined" {
			t.Errorf("%v", got)
		}
		refund(41, "notOpen")
		refund(40, "")
		d.sound()
	})
}

// Customers are told before, files are made on bank days, and nothing is collected before
// the day they were told.
func TestCollectionsAreAnnouncedAndMadeByThemselves(t *testing.T) {
	desks(t, func(d *desk) {
		d.account("a", "Anna", ibans[0])
		d.must(func(tx *store.Tx) error {
			_, err := billing.LegalEntities.Edit(tx, "acme", func(e *billing.LegalEntity) error {
				e.Extra = []byte(`{"tandem:collect":{"automatic":true,"daysBefore":3,"noticeDays":7}}`)
				return nil
			})
			return err
		})
		d.bill("1", "a", 5000, d.day().AddDays(2), "") // Monday, due on Wednesday
		d.bill("2", "a", 700, d.day().AddDays(13), "")
		var made []string
		for range 16 {
			d.must(func(tx *store.Tx) error {
				for done := false; !done; {
					var err error
					if done, err = receivable.CollectScheduled(tx, "acme"); err != nil {
						return err
					}
				}
				return nil
			})
			if files := *tmftest.Must[[]receivable.DirectDebitFile](d.api, "host", http.MethodGet, receivables+"directDebitFile?status=made", nil); len(files) > 0 {
				made = append(made, d.day().String())
				d.hand()
			}
			d.on(1)
		}
		// Told on the 9th: not before the 16th, and given to the bank three days before, on
		// Friday the 13th. The other falls due on Sunday the 22nd, so on the 23rd.
		if strings.Join(made, " ") != "2026-03-13 2026-03-20" {
			t.Errorf("files were made on %v", made)
		}
		var dues []string
		for _, c := range d.bank.Waiting() {
			dues = append(dues, c.Due)
		}
		if strings.Join(dues, " ") != "2026-03-16 2026-03-23" {
			t.Errorf("collected on %v", dues)
		}
	})
}
