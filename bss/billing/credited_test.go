package billing_test

import (
	"strings"
	"testing"

	"tandem/bss/billing"
	"tandem/fact"
	"tandem/kit/money"
	"tandem/kit/store"
)

// A final credit note of a period that is corrected later: the correction gives back what the
// credit note has not, and the customer gets no cent twice.
func TestACreditNoteIsNotGivenBackOnceMoreByACorrection(t *testing.T) {
	bills(t, func(o *office) {
		for _, c := range []struct {
			reason, credit string
			back           string // by the correction, without tax
			text           string
		}{
			{"notOrdered", "", "", ""},
			{"cancellation", `,"amount":{"unit":"EUR","value":4}`, "-6", "4.00 EUR of it were settled by a credit note already; what is left is"},
			{"goodwill", `,"amount":{"unit":"EUR","value":4}`, "-10", "the difference is"},
			{"goodwill", `,"amount":{"unit":"EUR","value":15}`, "-5", "5.00 EUR of it"},
		} {
			customer := o.customer("Groß")
			account := o.account(customer, "")
			product := o.runs(o.offering("M", o.price("Mobile M", "recurring", "20", monthly)), customer, account, on("2026-10-31T23:00:00Z"))
			bill := o.demand(account) // November, and December in advance
			november := ""
			for _, l := range o.documentOf(bill).Lines {
				if l.ServiceFrom.String() == "2026-11-01" {
					november = l.ID
				}
			}
			r := o.read(runs + "creditNoteRequest/" + o.post(runs+"creditNoteRequest", `{"bill":{"id":"`+bill+`"},"reason":"`+c.reason+`","line":[{"id":"`+november+`"`+c.credit+`}]}`))
			if r["state"] != "posted" {
				t.Fatalf("%v", r)
			}
			o.must(func(tx *store.Tx) error { // heard late: it had ended in the middle of November
				return billing.End(tx, fact.ProductTerminated{Product: product, Service: "s1", At: on("2026-11-15T23:00:00Z")})
			})
			second := o.demand(account)
			back, text := "", at(o.read(runs+"billExplanation/"+second), "text")
			for _, l := range o.documentOf(second).Lines {
				if l.ServiceFrom.String() == "2026-11-01" {
					back = strings.TrimSuffix(money.Amount{Minor: -l.Amount, Currency: money.EUR}.Decimal(), ".00") // the document is a credit note
				}
			}
			if back != c.back || !strings.Contains(text, c.text) {
				t.Errorf("%s%s: the correction gives back %q, want %q\n%s", c.reason, c.credit, back, c.back, text)
			}
			var left int64
			o.must(func(tx *store.Tx) error {
				return tx.Row(`SELECT CAST(sum(CASE WHEN kind = 'invoice' THEN net ELSE -net END) AS BIGINT) FROM billing_draft WHERE tenant = $1 AND account = $2`, account).Scan(&left)
			})
			if left < 0 {
				t.Errorf("%s%s: all together %d minor units were given back that were never charged", c.reason, c.credit, -left)
			}
			o.zero()
		}
	})
}

// documentOf is the document of a bill.
func (o *office) documentOf(bill string) *billing.Document {
	o.Helper()
	doc := o.rows(1, "SELECT doc FROM billing_document WHERE tenant = $1 AND bill = '"+bill+"'")[0]
	d, err := billing.ReadDocument([]byte(doc))
	if err != nil {
		o.Fatal(err)
	}
	return d
}
