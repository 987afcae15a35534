package e2e_test

import (
	"net/http"
	"strings"
	"testing"

	"tandem/app/mobile"
	"tandem/app/selfcare"
	"tandem/bss/order"
	"tandem/bss/subscription"
	"tandem/kit/store"
)

// paysIn tops up a line, in euros.
func (o *operator) paysIn(line *subscription.Product, amount string) {
	o.t.Helper()
	a := o.as(brand, http.MethodPost, "/tmf-api/prepayBalanceManagement/v4/topupBalance", `{"product": [{"id": "`+line.ID+`"}], "amount": {"amount": `+amount+`, "units": "EUR"}}`)
	if a.status != http.StatusCreated {
		o.t.Fatalf("top-up: %s", a)
	}
	o.idle()
}

// packFor is the item of the catalogue's pack for a line.
func packFor(line *subscription.Product) order.Item {
	it := add(mobile.Pack)
	it.Product.Relationship = []subscription.Relationship{{RelationshipType: subscription.ReliesOn, Product: &subscription.RefOrValue{ID: line.ID}}}
	return it
}

// fees are how often something was taken from a balance for a product.
func (o *operator) fees(product string) int64 {
	o.t.Helper()
	return o.count("SELECT count(*) FROM charging_entry WHERE tenant = $1 AND ref = $2 AND against = 'fee' AND amount = -9900000000", brand, product)
}

// A prepaid customer pays for a pack from his balance, himself and through staff, once;
// it is not billed.
func TestAPackIsPaidFromTheBalance(t *testing.T) {
	each(t, func(t *testing.T, o *operator) {
		line := o.sold(mobile.Prepaid)
		ada := o.owner(o.tokenOf(brand, customer))
		want := selfcare.Purchase{ID: "purchase-1", Line: line.ID, Offering: mobile.Pack}
		o.paysIn(line, "9.89")
		ada.refused(t, http.StatusConflict, "balanceTooLow", http.MethodPost, buy, want)
		o.paysIn(line, "12.11")
		for range 2 {
			var got selfcare.Order
			ada.must(t, http.MethodPost, buy, want, &got)
		}
		first := o.completed(want.ID)
		second := o.through(packFor(line))
		for _, p := range []*subscription.Product{first, second} {
			bill := o.count("SELECT count(*) FROM billing_charge WHERE tenant = $1 AND product = $2", brand, p.ID)
			if p.Status != subscription.Active || p.PaidFromBalance == nil || p.PaidFromBalance.Amount.String() != "9.90 EUR" || bill != 0 || o.fees(p.ID) != 1 {
				t.Errorf("%s, paid %+v, %d items billed, %d fees", p.Status, p.PaidFromBalance, bill, o.fees(p.ID))
			}
		}
		if got := ada.left(t); got["balance"] != "2.2" || got["5 GB more"] != "5000000000" {
			t.Errorf("left: %v", got)
		}
		if code, reason := o.as(brand, http.MethodPost, orders, wish(packFor(line))).refusal(); code != "balanceTooLow" || !strings.Contains(reason, "costs 9.9 EUR, and 2.2 EUR") {
			t.Errorf("a third pack: %s %q", code, reason)
		}
		o.through(end(first.ID))
		if got := ada.left(t); got["balance"] != "2.2" {
			t.Errorf("without a pack: %v", got)
		}
	})
}

// Of two packs that the balance reached for when they were ordered, but not for both,
// one is given; the other is ended, and its order says why.
func TestABalanceThatReachesForOneOfTwoPacks(t *testing.T) {
	each(t, func(t *testing.T, o *operator) {
		line := o.sold(mobile.Prepaid)
		o.paysIn(line, "15")
		o.write(brand, func(tx *store.Tx) error {
			for range 2 {
				if err := order.Place(tx, wish(packFor(line))); err != nil {
					return err
				}
			}
			return nil
		})
		ended := func() int64 {
			return o.count("SELECT count(*) FROM subscription_product WHERE tenant = $1 AND a_product_offering_id = $2 AND a_status = 'terminated'", brand, mobile.Pack)
		}
		o.await("the end of one pack", func() bool { return ended() == 1 })
		o.idle()
		runs := o.count("SELECT count(*) FROM subscription_product WHERE tenant = $1 AND a_product_offering_id = $2 AND a_status = 'active'", brand, mobile.Pack)
		fees := o.count("SELECT count(*) FROM charging_entry WHERE tenant = $1 AND against = 'fee'", brand)
		said := o.count("SELECT count(*) FROM order_product_order WHERE tenant = $1 AND CAST(doc AS TEXT) LIKE '%could not be given: It costs 9.9 EUR, and 5.1 EUR%'", brand)
		if ended() != 1 || runs != 1 || fees != 1 || said != 1 {
			t.Errorf("%d packs ended, %d run, %d were paid, %d orders say why", ended(), runs, fees, said)
		}
		two := wish(packFor(line))
		n := int64(2)
		two.ProductOrderItem[0].Quantity = &n
		o.paysIn(line, "10")
		if code, _ := o.as(brand, http.MethodPost, orders, two).refusal(); code != "balanceTooLow" {
			t.Errorf("two packs by one order: %s", code)
		}
	})
}

// A pack of data is no use to a line whose tariff knows calls only.
func TestAPackThatDoesNotFit(t *testing.T) {
	each(t, func(t *testing.T, o *operator) {
		a := o.as(brand, http.MethodPost, "/tmf-api/productCatalogManagement/v4/productOffering", `{"id": "talk", "name": "Talk", "version": "1.0", "lifecycleStatus": "Launched", "isSellable": true,
			"productSpecification": {"id": "mobile-sim", "name": "Mobile SIM"}, "productOfferingPrice": [{"id": "mobile-calls", "name": "Calls"}, {"id": "mobile-calls-abroad", "name": "Calls abroad"}],
			"tandem:rating": {"zone": "Europe/Stockholm", "unknownNetwork": "home", "currency": "EUR", "networks": [{"name": "home", "codes": ["24001"]}],
				"destinations": [{"name": "national", "prefixes": ["46"]}, {"name": "abroad", "prefixes": ["*"]}]}}`)
		if a.status != http.StatusCreated {
			t.Fatal(a)
		}
		line := o.sold("talk")
		o.paysIn(line, "20")
		a = o.as(brand, http.MethodPost, orders, wish(packFor(line)))
		want := `"5 GB pack" gives "5 GB more" for data.home, data.europe; "Talk" charges for voice.national, voice.abroad, so nothing of it could be used`
		if code, reason := a.refusal(); a.status != http.StatusBadRequest || code != "packDoesNotFit" || !strings.Contains(reason, want) {
			t.Errorf("%s", a)
		}
	})
}

// A discount on what a pack costs once is taken off what the balance pays, and nobody is
// billed for it.
func TestADiscountOnAPackIsPaidFromTheBalanceToo(t *testing.T) {
	each(t, func(t *testing.T, o *operator) {
		for _, x := range [][2]string{
			{"productOfferingPrice", `{"id": "autumn", "name": "Autumn", "version": "1.0", "lifecycleStatus": "Active", "priceType": "discount", "percentage": 10, "popRelationship": [{"id": "mobile-pack-5-fee"}]}`},
			{"productOffering", `{"id": "autumn-pack", "name": "Autumn pack", "version": "1.0", "lifecycleStatus": "Launched", "isSellable": true, "productSpecification": {"id": "mobile-pack", "name": "Mobile pack"},
				"productOfferingPrice": [{"id": "mobile-pack-5-fee"}, {"id": "autumn"}, {"id": "mobile-pack-5-data"}],
				"productOfferingRelationship": [{"id": "mobile-prepaid", "name": "Prepaid", "relationshipType": "optionalFor"}], "tandem:rating": {"zone": "Europe/Stockholm"}}`},
		} {
			if a := o.as(brand, http.MethodPost, "/tmf-api/productCatalogManagement/v4/"+x[0], x[1]); a.status != http.StatusCreated {
				t.Fatal(a)
			}
		}
		line := o.sold(mobile.Prepaid)
		o.paysIn(line, "8.91")
		it := packFor(line)
		it.ProductOffering.ID = "autumn-pack"
		p := o.through(it)
		if p.PaidFromBalance == nil || p.PaidFromBalance.Amount.String() != "8.91 EUR" || len(p.PaidFromBalance.Price) != 2 {
			t.Errorf("paid %+v", p.PaidFromBalance)
		}
		if n := o.count("SELECT count(*) FROM billing_charge WHERE tenant = $1 AND product = $2", brand, p.ID); n != 0 {
			t.Errorf("%d items are billed", n)
		}
		if n := o.count("SELECT count(*) FROM charging_entry WHERE tenant = $1 AND ref = $2 AND against = 'fee' AND amount = -8910000000", brand, p.ID); n != 1 {
			t.Errorf("it was paid %d times", n)
		}
		ada := o.owner(o.tokenOf(brand, customer))
		if got := ada.left(t); got["balance"] != "0" || got["5 GB more"] != "5000000000" {
			t.Errorf("left: %v", got)
		}
	})
}
