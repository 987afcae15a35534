package charging

import (
	"testing"

	"tandem/bss/catalog"
	"tandem/bss/rating"
)

// FuzzTerms: nothing that an offering says of paying makes reading it panic; what is taken has steps, gifts, bonuses and default grants
// that can be shelved.
func FuzzTerms(f *testing.F) {
	f.Add([]byte(`{"tandem:charging":{"mode":"hybridPrepaid","credit":"5","cycleDay":1,"home":["24001"],"life":{"active":"P90D"},"bonus":[{"from":"20","percent":10}],
		"limits":[{"name":"a","classes":["data"],"unit":"octets","per":"line","openData":{"price":"12.10","wholesale":"1.10"}},{"name":"b","statuses":[{"from":"5","status":"high"}]},
		{"name":"c","unit":"events","window":"PT10M","gift":{"at":"5","name":"x","amount":"1","validity":"PT1H"}}],"defaults":[{"service":"data","units":5,"unit":"octets","validity":"PT1M"}]}}`))
	f.Add([]byte(`{"tandem:charging":{"limits":[{"name":"a","amount":"1e400"}]}}`))
	f.Add([]byte(`{"tandem:charging":{"credit":"0.0000000001"}}`))
	tariff := &rating.Plan{Name: "t", Currency: "EUR", Zone: "UTC", Rules: []rating.Rule{{Name: "data", Match: rating.Match{Service: "data"}, Class: "data", Price: &rating.Price{Unit: "octets", Amount: "1"}}}}
	given := []rating.Allowance{{ID: "g", Name: "g", Unit: unitsOfGrant["octets"], Amount: 5, Classes: []string{"data"}, Within: "a"}, {ID: "h", Name: "h", Unit: unitsOfGrant["octets"], Amount: 5}}
	f.Fuzz(func(t *testing.T, extra []byte) {
		o := &catalog.ProductOffering{Name: "o"}
		o.Extra = extra
		terms, _, err := termsOf(o)
		if err != nil {
			return
		}
		if err := terms.sound(tariff, given); err != nil {
			return
		}
		for i := range terms.Limits {
			l := &terms.Limits[i]
			if _, err := l.steps("EUR"); err != nil {
				t.Fatal(err)
			}
			if n, err := l.volume("EUR"); err != nil || n < 0 {
				t.Fatal(n, err)
			}
			if l.Gift == nil {
				continue
			}
			if g, _, err := l.gift("EUR", "UTC"); err != nil || g.At <= 0 || g.Amount <= 0 {
				t.Fatalf("%+v %v", g, err)
			}
		}
		if _, err := DefaultGrants(terms.Defaults); err != nil {
			t.Fatal(err)
		}
	})
}
