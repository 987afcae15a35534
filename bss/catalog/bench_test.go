package catalog_test

import (
	"testing"

	"tandem/bss/catalog"
	"tandem/kit/store"
	"tandem/kit/store/storetest"
	"tandem/kit/tmf"
)

// benchStore holds one offering with two prices, a specification and a condition.
func benchStore(b *testing.B) *store.DB {
	db := storetest.Open(b, store.SQLite, tmf.Schema())
	if err := tmf.Migrate(b.Context(), db, catalog.Kinds()); err != nil {
		b.Fatal(err)
	}
	var spec catalog.ProductSpecification
	var fee, setup catalog.ProductOfferingPrice
	var o catalog.ProductOffering
	parse(b, `{"id":"s","name":"s","lifecycleStatus":"Active","productSpecCharacteristic":[{"name":"profile","valueType":"string","minCardinality":1,
		"productSpecCharacteristicValue":[{"value":"4G","isDefault":true},{"value":"5G"}]}]}`, &spec)
	parse(b, `{"id":"fee","name":"fee","lifecycleStatus":"Active","priceType":"recurring","recurringChargePeriodType":"month","price":{"unit":"EUR","value":9.99}}`, &fee)
	parse(b, `{"id":"setup","name":"setup","lifecycleStatus":"Active","priceType":"oneTime","price":{"unit":"EUR","value":25}}`, &setup)
	parse(b, `{"id":"o","name":"o","lifecycleStatus":"Launched","productSpecification":{"id":"s"},"productOfferingPrice":[{"id":"fee"},{"id":"setup"}],
		"eligibility":[{"expr":"characteristics[\"profile\"] == \"4G\"","reason":"no"}]}`, &o)
	err := db.Write(b.Context(), store.Scope{Tenant: "acme", Actor: "bench"}, func(tx *store.Tx) error {
		for _, create := range []func() error{
			func() error { return catalog.Specs.Create(tx, &spec) },
			func() error { return catalog.OfferingPrices.Create(tx, &fee) },
			func() error { return catalog.OfferingPrices.Create(tx, &setup) },
			func() error { return catalog.Offerings.Create(tx, &o) },
		} {
			if err := create(); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	return db
}
