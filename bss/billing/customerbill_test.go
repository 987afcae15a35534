package billing_test

import (
	"fmt"
	"strings"
	"testing"

	"tandem/bss/billing"
	"tandem/bss/ledger"
	"tandem/edge/einvoice"
	"tandem/kit/fault"
	"tandem/kit/store"
)

const tmf678 = "/tmf-api/customerBillManagement/v4/"

// get wants a resource.
func (o *office) read(path string) map[string]any {
	o.Helper()
	a := o.api.Do("mno", "GET", path, nil)
	if a.Status != 200 {
		o.Fatalf("GET %s: %d %s", path, a.Status, a.Body)
	}
	return a.Object()
}

// at is a value by path: "amountDue.value".
func at(v any, path string) string {
	for _, p := range strings.Split(path, ".") {
		m, _ := v.(map[string]any)
		v = m[p]
	}
	if v == nil {
		return ""
	}
	return fmt.Sprint(v)
}

// demand asks for the bill of an account now, and posts it as bob.
func (o *office) demand(account string) string {
	o.Helper()
	r := o.read(tmf678 + "customerBillOnDemand/" + o.post(tmf678+"customerBillOnDemand", `{"name":"now","billingAccount":{"id":"`+account+`"}}`))
	if r["state"] != "done" {
		o.Fatalf("%v", r)
	}
	bill := at(r, "customerBill.id")
	if at(o.read(tmf678+"customerBill/"+bill), "state") == "onHold" { // a clerk has looked at it
		if a := o.api.Do("mno", "PATCH", tmf678+"customerBill/"+bill, `{"state":"new"}`); a.Status != 200 {
			o.Fatalf("%d %s", a.Status, a.Body)
		}
	}
	if err := o.as("bob", func(tx *store.Tx) error { return billing.PostBill(tx, bill) }); err != nil {
		o.Fatal(err)
	}
	return bill
}

// zero wants the books to balance.
func (o *office) zero() {
	o.Helper()
	o.must(func(tx *store.Tx) error {
		f, err := ledger.Audit(tx)
		if err == nil && len(f) > 0 {
			err = fmt.Errorf("%v", f)
		}
		return err
	})
}

// joined is an account with a line that was joined on 13 November: 18 of 30 days.
func (o *office) joined(more string) (account, product string) {
	o.Helper()
	c := o.customer("Groß")
	account = o.account(c, more)
	product = o.runs(o.offering("M", o.price("Mobile M", "recurring", "20", monthly+`"version":"3.1","tandem:billing":{"timing":"arrears"},`),
		o.price("Set-up", "one time", "25", "")), c, account, on("2026-11-13T09:00:00Z"))
	return account, product
}

func TestCustomerBills(t *testing.T) {
	bills(t, func(o *office) {
		account, product := o.joined("")
		o.refused("POST", tmf678+"customerBillOnDemand", `{"name":"n"}`, 400, "mandatoryAttributeMissing")
		o.refused("POST", tmf678+"customerBillOnDemand", `{"billingAccount":{"id":"nobody"}}`, 400, "unknownReference")
		r := o.read(tmf678 + "customerBillOnDemand/" + o.post(tmf678+"customerBillOnDemand", `{"billingAccount":{"id":"`+account+`"}}`))
		id := at(r, "customerBill.id")
		path := tmf678 + "customerBill/" + id
		b := o.read(path)
		for p, want := range map[string]string{"state": "new", "category": "normal", "runType": "offCycle", "billNo": "", "amountDue.value": "44.03", "amountDue.unit": "EUR",
			"taxExcludedAmount.value": "37", "remainingAmount.value": "44.03", "billDate": "2026-11-30T23:00:00.000000Z", "billingPeriod.startDateTime": "2026-10-31T23:00:00.000000Z",
			"billingPeriod.endDateTime": "2026-11-30T23:00:00.000000Z", "nextBillDate": "2026-12-31T23:00:00.000000Z", "paymentDueDate": "2026-12-14T23:00:00.000000Z", "billingAccount.id": account} {
			if got := at(b, p); got != want {
				t.Errorf("%s is %q, want %q", p, got, want)
			}
		}
		lines := o.api.Do("mno", "GET", tmf678+"appliedCustomerBillingRate?bill.id="+id, nil).List()
		if len(lines) != 2 || at(lines[0], "isBilled") != "false" || at(lines[0], "billingAccount.id") != account {
			t.Fatalf("%v", lines)
		}
		for _, l := range lines {
			if one := o.read(tmf678 + "appliedCustomerBillingRate/" + at(l, "id")); fmt.Sprint(one) != fmt.Sprint(l) {
				t.Errorf("%v\n%v", one, l)
			}
			if at(l, "product.id") != product || at(l, "type") == "recurring" && (at(l, "taxExcludedAmount.value") != "12" || at(l, "periodCoverage.startDateTime") != "2026-11-13T00:00:00.000000Z") {
				t.Errorf("%v", l)
			}
		}
		o.refused("PATCH", path, `{"billNo":"1"}`, 400, "notPatchable")
		o.refused("PATCH", path, `{"state":"settled"}`, 409, "illegalMove")
		o.refused("PATCH", path, `{"state":"validated"}`, 403, "fourEyes")
		for _, state := range []string{"onHold", "new"} {
			if a := o.api.Do("mno", "PATCH", path, `{"state":"`+state+`"}`); a.Status != 200 || a.Object()["state"] != state {
				t.Errorf("%d %s", a.Status, a.Body)
			}
		}
		if err := o.as("bob", func(tx *store.Tx) error { return billing.PostBill(tx, id) }); err != nil {
			t.Fatal(err)
		}
		if b = o.read(path); b["state"] != "validated" || b["billNo"] != "INV-2026-0000001" {
			t.Errorf("%v", b)
		}
		o.refused("PATCH", path, `{"state":"onHold"}`, 409, "illegalMove")
		if a := o.api.Do("mno", "PATCH", path, `{"state":"sent"}`); a.Status != 200 {
			t.Errorf("%d %s", a.Status, a.Body)
		}
		for _, x := range []struct {
			left  int64
			state string
		}{{1000, "partiallyPaid"}, {0, "settled"}, {4403, "sent"}} {
			o.must(func(tx *store.Tx) error { billing.Paid(tx, id, 4403, x.left); return nil })
			if b = o.read(path); b["state"] != x.state || at(b, "remainingAmount.value") != strings.TrimSuffix(fmt.Sprintf("%g", float64(x.left)/100), ".0") {
				t.Errorf("%v", b)
			}
		}
		if l := o.api.Do("mno", "GET", tmf678+"customerBill?billingAccount.id="+account+"&state=sent", nil).List(); len(l) != 1 {
			t.Errorf("%v", l)
		}
		if l := o.api.Do("rival", "GET", tmf678+"customerBill", nil).List(); len(l) != 0 {
			t.Errorf("another tenant reads %v", l)
		}
		again := o.read(tmf678 + "customerBillOnDemand/" + o.post(tmf678+"customerBillOnDemand", `{"billingAccount":{"id":"`+account+`"}}`))
		if again["state"] != "rejected" || again["stateReason"] == nil || again["customerBill"] != nil {
			t.Errorf("a second time: %v", again)
		}
		o.zero()
	})
}

// A credit note gives back no more than was billed, in the very cents, and the bill that comes
// in the place of what was credited says so.
func TestCreditNotes(t *testing.T) {
	bills(t, func(o *office) {
		const requests = runs + "creditNoteRequest"
		account, _ := o.joined("")
		bill := o.demand(account)
		ask := func(body string) map[string]any {
			t.Helper()
			return o.read(requests + "/" + o.post(requests, `{"bill":{"id":"`+bill+`"},`+body+`}`))
		}
		o.refused("POST", requests, `{"bill":{"id":"`+bill+`"},"reason":"because"}`, 400, "unknownReason")
		o.refused("POST", requests, `{"bill":{"id":"nobody"},"reason":"goodwill"}`, 400, "notPosted")
		o.refused("POST", requests, `{"bill":{"id":"`+bill+`"},"reason":"goodwill","line":[{"id":"7"}]}`, 400, "unknownLine")
		o.refused("POST", requests, `{"bill":{"id":"`+bill+`"},"reason":"goodwill","line":[{"id":"1","amount":{"unit":"EUR","value":99}}]}`, 409, "aboveBill")
		o.refused("POST", requests, `{"bill":{"id":"`+bill+`"},"reason":"goodwill","line":[{"id":"1","amount":{"unit":"EUR","value":0.001}}]}`, 400, "badAmount")

		part := ask(`"reason":"outage","note":"Two days without service","line":[{"id":"1","amount":{"unit":"EUR","value":1.33}}]`)
		if part["state"] != "posted" || at(part, "gross.value") != "1.58" {
			t.Errorf("%v", part)
		}
		note := o.read(tmf678 + "customerBill/" + at(part, "creditNote.id"))
		if note["category"] != "creditNote" || note["billNo"] != "CN-2026-0000001" || at(note, "correctedBill.id") != bill || note["correctsReason"] != "outage" {
			t.Errorf("%v", note)
		}
		whole := ask(`"reason":"wrongPrice","rebill":true`)
		if whole["state"] != "posted" || at(whole, "gross.value") != "42.45" { // 44.03 less 1.58, to the cent
			t.Errorf("%v", whole)
		}
		o.refused("POST", requests, `{"bill":{"id":"`+bill+`"},"reason":"goodwill"}`, 409, "creditedAlready")
		o.refused("POST", requests, `{"bill":{"id":"`+at(whole, "creditNote.id")+`"},"reason":"goodwill"}`, 400, "notAnInvoice")
		o.must(func(tx *store.Tx) error {
			owed, err := ledger.ByParty(tx, ledger.Receivable)
			for p, n := range owed {
				if n != 0 {
					t.Errorf("%v owes %d after all was credited", p, n)
				}
			}
			return err
		})
		corrected := o.demand(account)
		if b := o.read(tmf678 + "customerBill/" + corrected); at(b, "amountDue.value") != "42.45" {
			t.Errorf("%v", b)
		}
		text := at(o.read(runs+"billExplanation/"+corrected), "text")
		if !strings.Contains(text, "in the place of bill INV-2026-0000001") {
			t.Error(text)
		}
		o.zero()
	})
}

// Above the entity's limit another person decides.
func TestALargeCreditNoteNeedsASecondPerson(t *testing.T) {
	bills(t, func(o *office) {
		const requests = runs + "creditNoteRequest"
		account, _ := o.joined("")
		bill := o.demand(account)
		if a := o.api.Do("mno", "PATCH", runs+"legalEntity/default", `{"approveAbove":{"unit":"EUR","value":10}}`); a.Status != 200 {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
		id := o.post(requests, `{"bill":{"id":"`+bill+`"},"reason":"withdrawal"}`)
		r := o.read(requests + "/" + id)
		if r["state"] != "waiting" || r["creditNote"] != nil {
			t.Errorf("%v", r)
		}
		o.refused("PATCH", requests+"/"+id, `{"state":"posted"}`, 403, "fourEyes")
		err := o.as("bob", func(tx *store.Tx) error {
			old, err := billing.CreditNotes.Lock(tx, id)
			if err != nil {
				return err
			}
			next, err := billing.CreditNotes.Copy(old)
			if err != nil {
				return err
			}
			next.State = "posted"
			return billing.CreditNotes.OnPatch(tx, old, next)
		})
		if err != nil {
			t.Fatal(err)
		}
		if r = o.read(requests + "/" + id); r["state"] != "posted" || r["decidedBy"] != "bob" || r["creditNote"] == nil {
			t.Errorf("%v", r)
		}
		o.refused("PATCH", requests+"/"+id, `{"state":"rejected"}`, 409, "decided")
		o.zero()
	})
}

// What is posted is an invoice by EN 16931, and so is what credits it, in both syntaxes.
func TestPostedBillsAreElectronicInvoices(t *testing.T) {
	bills(t, func(o *office) {
		account, _ := o.joined(`"buyerReference":"04011000-12345-34","purchaseOrder":"PO 7",`)
		d := o.paper("2026-12-01", account)
		o.valid(d)
		v, err := d.Invoice("INV-1", d.Date, d.Due)
		if err != nil {
			t.Fatal(err)
		}
		if v.Type != einvoice.Commercial || v.BuyerReference != "04011000-12345-34" || v.Totals.Payable.Decimal() != "44.03" || v.Period.End.String() != "2026-11-30" || len(v.Lines) != 2 {
			t.Errorf("%+v", v)
		}
		bad := *d
		bad.Gross++
		bad.Seller.Name = ""
		rules := map[string]bool{}
		for _, x := range billing.Judge(&bad) {
			rules[x.Rule] = true
		}
		if !rules["BR-CO-15"] || !rules["BR-06"] {
			t.Errorf("a wrong bill breaks %v", rules)
		}
		o.demand(account)
		if !fault.Is(o.as("bob", func(tx *store.Tx) error { return billing.PostBill(tx, "nobody") }), fault.NotFound) {
			t.Error("a bill that is not there is posted")
		}
	})
}
