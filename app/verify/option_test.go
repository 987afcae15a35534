package verify_test

import (
	"net/http"
	"testing"
	"time"

	"tandem/app/mobile"
	"tandem/app/verify"
	"tandem/bss/catalog"
	"tandem/bss/order"
	"tandem/bss/subscription"
	"tandem/kit/store"
	"tandem/kit/tmf"
)

// monthly puts an option with a monthly price on sale.
func (o *operator) monthly() {
	o.t.Helper()
	o.write(brand, func(tx *store.Tx) error {
		var p catalog.ProductOfferingPrice
		if err := tmf.Decode([]byte(`{"id": "more-month", "name": "More monthly", "lifecycleStatus": "Active", "priceType": "recurring", "recurringChargePeriodType": "month",
			"recurringChargePeriodLength": 1, "price": {"unit": "EUR", "value": 4}}`), &p); err != nil {
			return err
		}
		if err := catalog.OfferingPrices.Create(tx, &p); err != nil {
			return err
		}
		var more catalog.ProductOffering
		if err := tmf.Decode([]byte(`{"id": "more", "name": "More", "lifecycleStatus": "Launched", "productSpecification": {"id": "mobile-pack"},
			"productOfferingPrice": [{"id": "more-month"}, {"id": "mobile-pack-5-data"}]}`), &more); err != nil {
			return err
		}
		return catalog.Offerings.Create(tx, &more)
	})
}

// option sells an option of a line.
func (o *operator) option(offering string, of line) line {
	o.t.Helper()
	o.done(order.Item{Action: order.Add, ProductOffering: &order.Ref{ID: offering}, Product: &order.Product{
		Relationship: []subscription.Relationship{{RelationshipType: subscription.ReliesOn, Product: &subscription.RefOrValue{ID: of.product}}}}})
	return o.newest()
}

// Options agree with their lines, barred or not; one that outlives its line is found
// with what it costs in a month.
func TestAnOptionWithoutItsLine(t *testing.T) {
	each(t, func(t *testing.T, o *operator) {
		o.monthly()
		l, gone := o.sell(mobile.FlatM), o.sell(mobile.FlatM)
		more := o.option("more", l)
		o.option(mobile.Pack, l)
		prepaid := o.sell(mobile.Prepaid)
		topUp := map[string]any{"product": []any{map[string]any{"id": prepaid.product}}, "amount": map[string]any{"amount": 10, "units": "EUR"}}
		if w := o.send(brand, token, http.MethodPost, "/tmf-api/prepayBalanceManagement/v4/topupBalance", topUp); w.Code != http.StatusCreated {
			t.Fatalf("top-up: %d %s", w.Code, w.Body)
		}
		o.settled()
		o.option(mobile.Pack, prepaid)
		o.done(order.Item{Action: order.Delete, Product: &order.Product{ID: gone.product}})
		o.agrees()
		o.modify(l, subscription.Suspended)
		o.agrees()
		o.modify(l, subscription.Active)
		o.agrees()
		undo := o.keep("subscription_product", "id = '"+more.product+"'")
		o.sql("UPDATE subscription_product SET doc = $3 WHERE tenant = $1 AND id = $2", more.product, o.replaced("subscription_product", more.product, l.product, gone.product))
		found, s := o.verify(20 * time.Millisecond)
		undo()
		left := tampering{kind: verify.KindProduct, money: "4.00 EUR", words: "which it relies on, is terminated",
			about: func(lines) verify.Mismatch { return verify.Mismatch{Product: more.product} }}
		left.check(t, lines{}, found, s)
		o.agrees()
	})
}
