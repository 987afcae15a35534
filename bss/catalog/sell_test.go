package catalog_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"tandem/bss/catalog"
	"tandem/kit/store"
	"tandem/kit/tmf"
)

func quote(s string) string { return strconv.Quote(s) }

func TestOnlyWhatIsOnTheMarketIsSold(t *testing.T) {
	at := time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
	each(t, func(t *testing.T, r *room) {
		r.load("acme")
		r.do(201, "POST", "productOffering", `{"id":"draft","name":"Draft"}`)
		r.do(201, "POST", "productOffering", `{"id":"active","name":"Active","lifecycleStatus":"Active"}`)
		r.do(201, "POST", "productOffering", `{"id":"soon","name":"Soon","lifecycleStatus":"Launched","validFor":{"startDateTime":"2026-06-02T00:00:00Z"}}`)
		r.do(201, "POST", "productOffering", `{"id":"over","name":"Over","lifecycleStatus":"Launched","validFor":{"endDateTime":"2026-06-01T00:00:00Z"}}`)
		want := map[string]string{"tandem-m": "", "family": "", "draft": "notSellable", "active": "notSellable", "soon": "notSellable",
			"over": "notSellable", "tandem-old": "offeringRetired", "partner-card": "notSellable", "none": "unknownOffering"}
		r.read(func(tx *store.Tx) {
			for id, w := range want {
				if _, err := catalog.Sellable(tx, id, at); code(err) != w {
					t.Errorf("%s: %v, want %q", id, err, w)
				}
			}
			family, err := catalog.Sellable(tx, "family", at)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := catalog.Component(tx, family, "partner-card", at); err != nil {
				t.Errorf("a part of a bundle: %v", err)
			}
			if _, err := catalog.Component(tx, family, "tandem-s", at); code(err) != "notInBundle" {
				t.Errorf("no part of the bundle: %v", err)
			}
			for want, parts := range map[string]map[string]int64{
				"":            {"tandem-m": 1, "partner-card": 4},
				"bundleLimit": {"tandem-m": 1, "partner-card": 5},
				"notInBundle": {"tandem-m": 1, "tandem-s": 1},
			} {
				if err := family.CheckParts(parts); code(err) != want {
					t.Errorf("%v: %v, want %q", parts, err, want)
				}
			}
			if err := family.CheckParts(nil); code(err) != "bundleLimit" {
				t.Errorf("a bundle without its part: %v", err)
			}
		})
	})
}

func TestPricesOfAnOffering(t *testing.T) {
	each(t, func(t *testing.T, r *room) {
		r.load("acme")
		r.do(201, "POST", "productOfferingPrice", `{"id":"both","name":"both","lifecycleStatus":"Active","bundledPopRelationship":[{"id":"s-monthly"},{"id":"activation"}]}`)
		r.do(201, "POST", "productOffering", `{"id":"o","name":"o","productOfferingPrice":[{"id":"both"},{"id":"activation"}]}`)
		r.read(func(tx *store.Tx) {
			for id, want := range map[string]string{"tandem-m": "m-monthly activation data-overage", "o": "both activation s-monthly"} {
				o, err := catalog.Offerings.Get(tx, id)
				if err != nil {
					t.Fatal(err)
				}
				prices, err := catalog.Prices(tx, o)
				var ids []string
				for _, p := range prices {
					ids = append(ids, p.ID)
				}
				if got := strings.Join(ids, " "); got != want || err != nil {
					t.Errorf("%s: %s, %v; want %s", id, got, err, want)
				}
			}
		})
	})
}

func TestConfigure(t *testing.T) {
	var spec catalog.ProductSpecification
	parse(t, `{"name":"Line","productSpecCharacteristic":[
		{"name":"profile","valueType":"string","minCardinality":1,"productSpecCharacteristicValue":[{"value":"4G","isDefault":true},{"value":"5G"},{"value":"3G","validFor":{"endDateTime":"2021-01-01T00:00:00Z"}}]},
		{"name":"speed","valueType":"number","productSpecCharacteristicValue":[{"valueFrom":10,"valueTo":20,"rangeInterval":"closedBottom"},{"value":50}]},
		{"name":"friends","valueType":"string","maxCardinality":3,"regex":"[0-9]+"},
		{"name":"fixed","valueType":"integer","configurable":false,"productSpecCharacteristicValue":[{"value":7,"isDefault":true}]},
		{"name":"pin","valueType":"string","productSpecCharRelationship":[{"name":"speed","relationshipType":"dependency"},{"name":"friends","relationshipType":"exclusivity"}]},
		{"name":"colour","extensible":true,"productSpecCharacteristicValue":[{"value":"red"}]},
		{"name":"tags","valueType":"array"}]}`, &spec)
	rules := []struct{ rule, uses, chosen, want string }{
		{"defaults are filled in", ``, ``, `profile="4G" fixed=7`},
		{"a choice replaces the default", ``, `{"name":"profile","value":"5G"}`, `profile="5G" fixed=7`},
		{"an unknown name is refused", ``, `{"name":"wings","value":2}`, `unknownCharacteristic`},
		{"a value not listed is refused", ``, `{"name":"profile","value":"6G"}`, `invalidCharacteristic`},
		{"a value out of time is refused", ``, `{"name":"profile","value":"3G"}`, `invalidCharacteristic`},
		{"a value of another type is refused", ``, `{"name":"profile","value":5}`, `invalidCharacteristic`},
		{"the bottom of a range closed there is in it", ``, `{"name":"speed","value":10}`, `profile="4G" speed=10 fixed=7`},
		{"the top of that range is not", ``, `{"name":"speed","value":20}`, `invalidCharacteristic`},
		{"numbers are compared by amount", ``, `{"name":"speed","value":5.0e1}`, `profile="4G" speed=5.0e1 fixed=7`},
		{"several values are an array", ``, `{"name":"friends","value":"1"},{"name":"friends","value":"2"}`, `profile="4G" friends=["1","2"] fixed=7`},
		{"an array is several values", ``, `{"name":"friends","value":["1","2","3"]}`, `profile="4G" friends=["1","2","3"] fixed=7`},
		{"too many values are refused", ``, `{"name":"friends","value":["1","2","3","4"]}`, `invalidCardinality`},
		{"a pattern matches the whole value", ``, `{"name":"friends","value":"12x"}`, `invalidCharacteristic`},
		{"one value is not two", ``, `{"name":"profile","value":["4G","5G"]}`, `invalidCardinality`},
		{"what is fixed may be repeated", ``, `{"name":"fixed","value":7}`, `profile="4G" fixed=7`},
		{"what is fixed is not chosen", ``, `{"name":"fixed","value":8}`, `notConfigurable`},
		{"a dependency is needed", ``, `{"name":"pin","value":"1"}`, `characteristicMissing`},
		{"an exclusion is kept", ``, `{"name":"pin","value":"1"},{"name":"speed","value":50},{"name":"friends","value":"1"}`, `characteristicsExclusive`},
		{"an extensible list takes other values", ``, `{"name":"colour","value":"mauve"}`, `profile="4G" fixed=7 colour="mauve"`},
		{"an array can be one value", ``, `{"name":"tags","value":["a","b"]}`, `profile="4G" fixed=7 tags=["a","b"]`},
		{"null is no value", ``, `{"name":"profile","value":null}`, `profile="4G" fixed=7`},
		{"the offering narrows", `{"name":"profile","productSpecCharacteristicValue":[{"value":"5G"}]}`, `{"name":"profile","value":"4G"}`, `invalidCharacteristic`},
		{"the only value left is taken", `{"name":"profile","productSpecCharacteristicValue":[{"value":"5G"}]}`, ``, `profile="5G" fixed=7`},
		{"the offering has its own default", `{"name":"speed","productSpecCharacteristicValue":[{"value":12},{"value":50,"isDefault":true}]}`, ``, `profile="4G" speed=50 fixed=7`},
		{"a default the offering does not allow is none", `{"name":"profile","productSpecCharacteristicValue":[{"value":"5G"},{"value":"6G"}]}`, ``, `characteristicMissing`},
		{"the offering may demand a choice", `{"name":"friends","minCardinality":2}`, `{"name":"friends","value":"1"}`, `invalidCardinality`},
	}
	for _, r := range rules {
		t.Run(r.rule, func(t *testing.T) {
			var o catalog.ProductOffering
			parse(t, `{"name":"o","prodSpecCharValueUse":[`+r.uses+`]}`, &o)
			var chosen []tmf.Characteristic
			parse(t, `[`+r.chosen+`]`, &chosen)
			out, err := spec.Configure(&o, chosen, time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
			var got []string
			for _, c := range out {
				got = append(got, c.Name+"="+string(c.Value))
			}
			if err != nil {
				got = []string{code(err)}
			}
			if strings.Join(got, " ") != r.want {
				t.Errorf("got %s (%v), want %s", strings.Join(got, " "), err, r.want)
			}
		})
	}
	var none *catalog.ProductSpecification
	if _, err := none.Configure(&catalog.ProductOffering{}, []tmf.Characteristic{tmf.Text("a", "b")}, time.Time{}); code(err) != "unknownCharacteristic" {
		t.Errorf("an offering without specification took a characteristic: %v", err)
	}
}

func parse(t testing.TB, text string, v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), v); err != nil {
		t.Fatal(err)
	}
}

func TestEligible(t *testing.T) {
	rules := []struct{ rule, offering, want string }{
		{"everybody may have what has no rules", `{}`, ""},
		{"a segment of the customer, by id", `{"marketSegment":[{"id":"sme"},{"id":"gov"}]}`, ""},
		{"a segment of the customer, by name", `{"marketSegment":[{"id":"7","name":"sme"}]}`, ""},
		{"another segment", `{"marketSegment":[{"id":"gov"}]}`, "notEligible"},
		{"the channel", `{"channel":[{"id":"web"}]}`, ""},
		{"another channel", `{"channel":[{"id":"shop","name":"Shop"}]}`, "notEligible"},
		{"the wider place", `{"place":[{"id":"DE"}]}`, ""},
		{"another place", `{"place":[{"id":"FR"}]}`, "notEligible"},
		{"a condition that holds", `{"eligibility":[{"expr":"\"sme\" in segments and channel == \"web\"","reason":"no"}]}`, ""},
		{"a condition over what is had", `{"eligibility":[{"expr":"none(offerings, # startsWith \"old-\")","reason":"no"}]}`, "notEligible"},
		{"a condition over the choice", `{"eligibility":[{"expr":"characteristics[\"speed\"] >= 50 and characteristics[\"profile\"] == \"5G\"","reason":"no"}]}`, ""},
		{"a choice not made does not hold", `{"eligibility":[{"expr":"characteristics[\"age\"] > 17","reason":"no"}]}`, "notEligible"},
		{"all conditions must hold", `{"eligibility":[{"expr":"true","reason":"a"},{"expr":"false","reason":"b"}]}`, "notEligible"},
	}
	env := catalog.Env{Segments: []string{"sme"}, Channel: "web", Places: []string{"DE-BE", "DE"}, Offerings: []string{"old-1"},
		Characteristics: catalog.Values([]tmf.Characteristic{tmf.Text("profile", "5G"), {Name: "speed", Value: jsontext.Value("50")}})}
	for _, r := range rules {
		t.Run(r.rule, func(t *testing.T) {
			o := catalog.ProductOffering{}
			parse(t, r.offering, &o)
			if err := catalog.Eligible(nil, &o, env); code(err) != r.want {
				t.Errorf("%v, want %q", err, r.want)
			}
		})
	}
}

func TestCompatible(t *testing.T) {
	each(t, func(t *testing.T, r *room) {
		r.load("acme")
		r.do(201, "POST", "productOffering", `{"id":"sms","name":"SMS pack","productOfferingRelationship":[{"id":"roaming-world","relationshipType":"requires"}]}`)
		r.do(201, "POST", "productOffering", `{"id":"past","name":"Past rule","productOfferingRelationship":[{"id":"tandem-m","relationshipType":"excludes","validFor":{"endDateTime":"2020-01-01T00:00:00Z"}}]}`)
		rules := []struct{ set, want string }{
			{"", ""},
			{"tandem-m", ""},
			{"tandem-m tandem-m", ""},
			{"tandem-m tandem-s", "offeringsExclusive"},
			{"roaming-world", "offeringRequired"},
			{"roaming-world tandem-s", ""},
			{"sms tandem-s", "offeringRequired"},
			{"sms tandem-s roaming-world", ""},
			{"past tandem-m", ""},
			{"none", "unknownReference"},
		}
		r.read(func(tx *store.Tx) {
			for _, rule := range rules {
				if err := catalog.Compatible(tx, strings.Fields(rule.set)); code(err) != rule.want {
					t.Errorf("%s: %v, want %q", rule.set, err, rule.want)
				}
			}
		})
	})
}

func TestPriceAppliesToChoice(t *testing.T) {
	var p catalog.ProductOfferingPrice
	parse(t, `{"name":"p","prodSpecCharValueUse":[{"name":"profile","productSpecCharacteristicValue":[{"value":"5G"}]},{"name":"speed","productSpecCharacteristicValue":[{"valueFrom":50}]}]}`, &p)
	for want, chosen := range map[bool]string{true: `[{"name":"profile","value":"5G"},{"name":"speed","value":100}]`, false: `[{"name":"profile","value":"5G"}]`} {
		var chars []tmf.Characteristic
		parse(t, chosen, &chars)
		if p.Applies(chars) != want {
			t.Errorf("%s: want %v", chosen, want)
		}
	}
}

// Ordering one offering: the statements of the doors, on the example catalogue.
func BenchmarkDoors(b *testing.B) {
	db := benchStore(b)
	scope := store.Scope{Tenant: "acme", Actor: "bench"}
	at := time.Now()
	b.ResetTimer()
	for b.Loop() {
		err := db.Read(b.Context(), scope, func(tx *store.Tx) error { return order(tx, at) })
		if err != nil {
			b.Fatal(err)
		}
	}
}

func order(tx *store.Tx, at time.Time) error {
	o, err := catalog.Sellable(tx, "o", at)
	if err != nil {
		return err
	}
	spec, err := catalog.SpecOf(tx, o)
	if err != nil {
		return err
	}
	chars, err := spec.Configure(o, nil, at)
	if err != nil {
		return err
	}
	if prices, err := catalog.Prices(tx, o); err != nil || len(prices) != 2 {
		return fmt.Errorf("%d prices: %w", len(prices), err)
	}
	if err := catalog.Eligible(tx, o, catalog.Env{Characteristics: catalog.Values(chars)}); err != nil {
		return err
	}
	return catalog.CompatibleSet([]*catalog.ProductOffering{o}, at)
}
