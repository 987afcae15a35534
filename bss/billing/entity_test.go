package billing_test

import (
	"strings"
	"testing"

	"tandem/bss/billing"
	"tandem/kit/store"
)

// completeEntity makes the entity that the house has made a real one, as its operator would.
func completeEntity(tx *store.Tx) error {
	e, err := billing.DefaultEntity(tx)
	if err != nil {
		return err
	}
	_, err = billing.LegalEntities.Edit(tx, e.ID, func(e *billing.LegalEntity) error {
		e.Name, e.TaxRegistration = "Mobile Networks GmbH", "12/345/67890"
		e.Address.Street, e.Address.PostCode, e.Address.City = "Way 1", "10115", "Berlin"
		return nil
	})
	return err
}

// madeUp takes completeEntity back.
func madeUp(tx *store.Tx) error {
	yes := true
	_, err := billing.LegalEntities.Edit(tx, "default", func(e *billing.LegalEntity) error {
		e.Name, e.Provisional, e.TaxRegistration, e.Address.Street = "mno", &yes, "provisional", "-"
		return nil
	})
	return err
}

// What the house has made up stands on no invoice: bills of such an entity are held, and say
// what to set; when that is done they are made anew, and go out.
func TestBillsOfAProvisionalEntityAreHeld(t *testing.T) {
	bills(t, func(o *office) {
		const entity = runs + "legalEntity/default"
		o.must(madeUp)
		account, _ := o.joined("")
		o.refused("PATCH", entity, `{"provisional":false}`, 409, "stillProvisional")
		ask := func() (bill string, of map[string]any) {
			r := o.read(tmf678 + "customerBillOnDemand/" + o.post(tmf678+"customerBillOnDemand", `{"billingAccount":{"id":"`+account+`"}}`))
			bill = at(r, "customerBill.id")
			return bill, o.read(tmf678 + "customerBill/" + bill)
		}
		bill, b := ask()
		why := o.rows(1, "SELECT held FROM billing_draft WHERE tenant = $1")[0]
		for _, words := range []string{"provisional legal entity", "set name, address.street, vatId or taxRegistration", "legalEntity/default", "discard this draft"} {
			if !strings.Contains(why, words) {
				t.Errorf("%q is not in: %s", words, why)
			}
		}
		if b["state"] != "onHold" || strings.Contains(why, "postCode") {
			t.Errorf("%v: %s", b["state"], why)
		}
		o.refused("PATCH", entity, `{"timeZone":"Asia/Tokyo"}`, 409, "zoneFixed")
		if a := o.api.Do("mno", "PATCH", entity, `{"name":"Bluebird GmbH","taxRegistration":"12/345/67890"}`); a.Status != 200 || a.Object()["provisional"] != true {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
		a := o.api.Do("mno", "PATCH", entity, `{"address":{"street":"Way 1","postCode":"10115","city":"Berlin","country":"DE"}}`)
		if a.Status != 200 || a.Object()["provisional"] != nil {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
		if err := o.decide(billing.Discard, "HeldBill", bill); err != nil {
			t.Fatal(err)
		}
		if bill, b = ask(); b["state"] != "new" || o.documentOf(bill).Seller.Name != "Bluebird GmbH" {
			t.Errorf("%v: %+v", b["state"], o.documentOf(bill).Seller)
		}
	})
}
