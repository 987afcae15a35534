package billing_test

import "testing"

// What was billed in advance, credited and is charged again has several periods: all of them
// are charged once more, none twice.
func TestAllPeriodsOfABillThatWasCreditedAreChargedAgainOnce(t *testing.T) {
	bills(t, func(o *office) {
		c := o.customer("Groß")
		account := o.account(c, "")
		o.runs(o.offering("M", o.price("Mobile M", "recurring", "20", monthly)), c, account, on("2026-10-13T09:00:00Z"))
		bill := o.demand(account)
		amount := at(o.read(tmf678+"customerBill/"+bill), "amountDue.value")
		lines := len(o.api.Do("mno", "GET", tmf678+"appliedCustomerBillingRate?bill.id="+bill, nil).List())
		if lines < 3 {
			t.Fatalf("%d lines: the test is about several periods", lines)
		}
		request := o.read(runs + "creditNoteRequest/" + o.post(runs+"creditNoteRequest", `{"bill":{"id":"`+bill+`"},"reason":"wrongPrice","rebill":true}`))
		if request["state"] != "posted" {
			t.Fatalf("%v", request)
		}
		again := o.demand(account)
		if got := at(o.read(tmf678+"customerBill/"+again), "amountDue.value"); got != amount {
			t.Errorf("charged again: %s, the first time %s", got, amount)
		}
		if n := len(o.api.Do("mno", "GET", tmf678+"appliedCustomerBillingRate?bill.id="+again, nil).List()); n != lines {
			t.Errorf("%d lines, the first time %d", n, lines)
		}
		o.zero()
	})
}
