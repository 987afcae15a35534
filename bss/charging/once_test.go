package charging

import (
	"strings"
	"testing"

	"github.com/go-json-experiment/json"

	"tandem/bss/catalog"
)

// TestWhatIsPaidOnceFromTheBalance: the one-time prices of a pack, and what alters them; what
// alters a recurring price is billed with that.
func TestWhatIsPaidOnceFromTheBalance(t *testing.T) {
	for _, c := range []struct{ name, prices, amount, of string }{
		{"nothing", `{"id":"m","priceType":"recurring","recurringChargePeriodType":"month","price":{"unit":"EUR","value":5}}`, "", ""},
		{"a discount without a price", `{"id":"d","priceType":"discount","price":{"unit":"EUR","value":5}}`, "", ""},
		{"a price", `{"id":"a","priceType":"oneTime","price":{"unit":"EUR","value":9.9}}`, "9.90 EUR", "a"},
		{"two", `{"id":"a","priceType":"oneTime","price":{"unit":"EUR","value":9.9}},{"id":"b","priceType":"one-time","price":{"unit":"EUR","value":0.1}}`, "10.00 EUR", "a b"},
		{"an amount off", `{"id":"a","priceType":"oneTime","price":{"unit":"EUR","value":9.9}},{"id":"d","priceType":"discount","price":{"unit":"EUR","value":2},"popRelationship":[{"id":"a"}]}`, "7.90 EUR", "a d"},
		{"an amount off, with a sign", `{"id":"a","priceType":"oneTime","price":{"unit":"EUR","value":9.9}},{"id":"d","priceType":"rebate","price":{"unit":"EUR","value":-2}}`, "7.90 EUR", "a d"},
		{"a part off", `{"id":"d","priceType":"discount","percentage":12.5,"popRelationship":[{"id":"a"}]},{"id":"a","priceType":"oneTime","price":{"unit":"EUR","value":8}},{"id":"b","priceType":"oneTime","price":{"unit":"EUR","value":1}}`, "8.00 EUR", "a b d"},
		{"a part off all", `{"id":"a","priceType":"oneTime","price":{"unit":"EUR","value":8}},{"id":"b","priceType":"oneTime","price":{"unit":"EUR","value":2}},{"id":"d","priceType":"discount","percentage":10}`, "9.00 EUR", "a b d"},
		{"a surcharge", `{"id":"a","priceType":"oneTime","price":{"unit":"EUR","value":8}},{"id":"d","priceType":"surcharge","percentage":10}`, "8.80 EUR", "a d"},
		{"more off than it is", `{"id":"a","priceType":"oneTime","price":{"unit":"EUR","value":8}},{"id":"d","priceType":"discount","price":{"unit":"EUR","value":9}}`, "0.00 EUR", "a d"},
		{"off the month", `{"id":"a","priceType":"oneTime","price":{"unit":"EUR","value":8}},{"id":"m","priceType":"recurring","recurringChargePeriodType":"month","price":{"unit":"EUR","value":5}},
			{"id":"d","priceType":"discount","percentage":50,"popRelationship":[{"id":"m"}]},{"id":"e","priceType":"discount","recurringChargePeriodType":"month","price":{"unit":"EUR","value":1}}`, "8.00 EUR", "a"},
		{"another currency", `{"id":"a","priceType":"oneTime","price":{"unit":"EUR","value":8}},{"id":"d","name":"Off","priceType":"discount","price":{"unit":"USD","value":1}}`, `"Off" is priced in USD`, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var prices []*catalog.ProductOfferingPrice
			if err := json.Unmarshal([]byte("["+c.prices+"]"), &prices); err != nil {
				t.Fatal(err)
			}
			got, err := once(prices, "EUR")
			amount, of := "", ""
			switch {
			case err != nil:
				amount = err.Error()
			case got != nil:
				amount = got.Amount.String()
				for _, r := range got.Price {
					of += " " + r.ID
				}
			}
			if !strings.HasPrefix(amount, c.amount) || (amount == "") != (c.amount == "") || strings.TrimSpace(of) != c.of {
				t.Errorf("%q of %q", amount, of)
			}
		})
	}
}
