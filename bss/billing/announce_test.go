package billing_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"tandem/bss/billing"
	"tandem/bss/communication"
	"tandem/fact"
	"tandem/kit/fault"
	"tandem/kit/store"
	"tandem/kit/tmf/tmftest"
)

// Customers are told of a posted bill once, by the way they want to hear of bills, with the
// bill; not where the policy says that another program does.
func TestAnnounce(t *testing.T) {
	kinds, schemas := slices.Concat(runKinds, communication.Kinds()), slices.Concat(runSchemas, communication.Schemas)
	tmftest.Each(t, schemas, kinds, func(t *testing.T, db *store.DB) {
		o := &office{world: &world{t, db, tmftest.Serve(t, db, kinds)}}
		person := o.post("/tmf-api/party/v4/individual", `{"givenName":"Änne","familyName":"Groß","contactMedium":[{"mediumType":"email","characteristic":{"emailAddress":"aenne@example.com"}}]}`)
		customer := o.post("/tmf-api/customerManagement/v4/customer", `{"name":"Änne Groß","engagedParty":{"id":"`+person+`","@referredType":"Individual"}}`)
		account, silent := o.account(customer, ""), o.post(accounts+"billingAccount", `{"name":"A","currency":"EUR","relatedParty":[{"id":"elsewhere","role":"payer"}]}`)
		told := fact.BillsPosted{Entity: "default", Bills: []fact.PostedBill{
			{Bill: "b1", Number: "INV-1", Account: account, Currency: "EUR", Gross: 4403, Date: "2026-12-01", IssuedOn: "2026-12-02", Due: "2026-12-16"},
			{Bill: "b2", Number: "CN-1", Account: account, Currency: "EUR", Gross: -500, Date: "2026-12-01", IssuedOn: "2026-12-02", Due: "2026-12-16", Credits: "b0"},
			{Bill: "b3", Number: "INV-2", Account: silent, Currency: "EUR", Gross: 100, Date: "2026-12-01", IssuedOn: "2026-12-02", Due: "2026-12-16"},
			{Bill: "b4", Number: "INV-3", Account: "gone", Currency: "EUR", Gross: 100, Date: "2026-12-01", IssuedOn: "2026-12-02", Due: "2026-12-16"}}}
		for range 2 {
			o.must(func(tx *store.Tx) error { return billing.Announce(tx, told) })
		}
		sent := o.api.Do("mno", "GET", "/tmf-api/communicationManagement/v4/communicationMessage", nil).List()
		unsent := o.api.Do("mno", "GET", "/tandem-api/communication/v1/unsentNotice", nil).List()
		if len(sent) != 2 || len(unsent) != 0 {
			t.Fatalf("sent %v, unsent %v", sent, unsent)
		}
		for _, m := range sent {
			want := map[string]string{"bill.b1": "your bill INV-1 of 2 December 2026 comes to 44.03 EUR, due on 2026-12-16", "bill.b2": "credit note CN-1 of 2 December 2026 gives you 5.00 EUR back"}[at(m, "id")]
			if want == "" || at(m, "messageType") != "email" || !strings.Contains(at(m, "content"), want) || strings.Contains(at(m, "content"), "no value") {
				t.Errorf("%v", m)
			}
		}
		o.post(runs+"billPolicy", `{"announce":"none"}`)
		told.Bills = told.Bills[:1]
		told.Bills[0].Bill = "b5"
		o.must(func(tx *store.Tx) error { return billing.Announce(tx, told) })
		if again := o.api.Do("mno", "GET", "/tmf-api/communicationManagement/v4/communicationMessage", nil).List(); len(again) != 2 {
			t.Errorf("%v", again)
		}
		draw := billing.Documents(db, func(*billing.Paper) (*communication.File, error) { return nil, errors.New("drawn") })
		if _, err := draw(t.Context(), "mno", "b1"); !fault.Is(err, fault.NotFound) {
			t.Error(err)
		}
	})
}
