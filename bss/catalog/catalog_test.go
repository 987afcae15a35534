package catalog_test

import (
	"log/slog"
	"net/http"
	"os"
	"strings"
	"testing"

	"tandem/bss/catalog"
	"tandem/kit/fault"
	"tandem/kit/store"
	"tandem/kit/tmf/tmftest"
	"tandem/kit/transfer"
	"tandem/kit/work"
)

const base = "/tmf-api/productCatalogManagement/v4/"

// room is a running room on one engine.
type room struct {
	*tmftest.API
	t      *testing.T
	db     *store.DB
	runner *work.Runner
	folder string
}

func each(t *testing.T, f func(t *testing.T, r *room)) {
	tmftest.Each(t, []store.Schema{work.Schema()}, catalog.Kinds(), func(t *testing.T, db *store.DB) {
		r := &room{API: tmftest.Serve(t, db, catalog.Kinds()), t: t, db: db, folder: t.TempDir(),
			runner: newRunner(db)}
		catalog.Jobs.Run(r.runner, db, transfer.Config{Folder: r.folder})
		if err := r.runner.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(r.runner.Stop)
		f(t, r)
	})
}

func newRunner(db *store.DB) *work.Runner {
	return work.New(db, slog.New(slog.DiscardHandler), work.Config{Node: "test"})
}

func (r *room) as(t *testing.T) *room { c := *r; c.t = t; return &c }

func (r *room) do(want int, method, path, body string) map[string]any {
	r.t.Helper()
	return r.doAs("acme", want, method, path, body)
}

func (r *room) doAs(tenant string, want int, method, path, body string) map[string]any {
	r.t.Helper()
	var sent any
	if body != "" {
		sent = body
	}
	a := r.Do(tenant, method, base+path, sent)
	if a.Status != want {
		r.t.Fatalf("%s %s %s: %d, want %d: %s", method, path, body, a.Status, want, a.Body)
	}
	return a.Object()
}

func (r *room) refused(want int, code, method, path, body string) {
	r.t.Helper()
	if got := r.do(want, method, path, body); got["code"] != code {
		r.t.Errorf("refused with %v (%v), want %s", got["code"], got["reason"], code)
	}
}

func (r *room) read(f func(tx *store.Tx)) {
	r.t.Helper()
	err := r.db.Read(r.t.Context(), store.Scope{Tenant: "acme", Actor: "test"}, func(tx *store.Tx) error { f(tx); return nil })
	if err != nil {
		r.t.Fatal(err)
	}
}

// load imports the example catalogue of testdata.
func (r *room) load(tenant string) {
	r.t.Helper()
	data, err := os.ReadFile("testdata/catalogue.json")
	if err != nil {
		r.t.Fatal(err)
	}
	if job := r.job(tenant, "importJob", `{"content":`+string(data)+`}`); job["status"] != transfer.Succeeded {
		r.t.Fatalf("import of the example: %v", job)
	}
}

// job posts a job, waits for it and gives what became of it.
func (r *room) job(tenant, kind, body string) map[string]any {
	r.t.Helper()
	posted := r.doAs(tenant, http.StatusCreated, "POST", kind, body)
	if posted["status"] != transfer.NotStarted {
		r.t.Errorf("a new job is %v", posted["status"])
	}
	if err := r.runner.Idle(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
	return r.doAs(tenant, http.StatusOK, "GET", kind+"/"+posted["id"].(string), "")
}

func code(err error) string {
	if err == nil {
		return ""
	}
	return fault.Of(err).Code
}

func TestInputIsChecked(t *testing.T) {
	spec := func(c string) string { return `{"name":"s","productSpecCharacteristic":[` + c + `]}` }
	offer := func(c string) string { return `{"name":"o",` + c + `}` }
	price := func(c string) string { return `{"name":"p",` + c + `}` }
	rules := []struct{ rule, kind, body, code string }{
		{"an offering has a name", "productOffering", `{"description":"x"}`, "mandatoryAttributeMissing"},
		{"nothing begins retired", "productOffering", offer(`"lifecycleStatus":"Retired"`), "illegalState"},
		{"a state is one of TMF620", "category", offer(`"lifecycleStatus":"On sale"`), "illegalState"},
		{"a period ends after it starts", "catalog", offer(`"validFor":{"startDateTime":"2026-02-01T00:00:00Z","endDateTime":"2026-01-01T00:00:00Z"}`), "invalidPeriod"},

		{"a characteristic is named once", "productSpecification", spec(`{"name":"a"},{"name":"a"}`), "duplicateCharacteristic"},
		{"cardinality goes from min to max", "productSpecification", spec(`{"name":"a","minCardinality":3,"maxCardinality":2}`), "invalidCardinality"},
		{"cardinality is not negative", "productSpecification", spec(`{"name":"a","minCardinality":-1}`), "invalidCardinality"},
		{"a regex compiles", "productSpecification", spec(`{"name":"a","regex":"["}`), "invalidRegex"},
		{"a regex is not huge", "productSpecification", spec(`{"name":"a","regex":"` + strings.Repeat("a", 300) + `"}`), "invalidRegex"},
		{"a value is of the type", "productSpecification", spec(`{"name":"a","valueType":"integer","productSpecCharacteristicValue":[{"value":"many"}]}`), "invalidCharacteristic"},
		{"a value has the form", "productSpecification", spec(`{"name":"a","regex":"[0-9]+","productSpecCharacteristicValue":[{"value":"x"}]}`), "invalidCharacteristic"},
		{"a range goes up", "productSpecification", spec(`{"name":"a","productSpecCharacteristicValue":[{"valueFrom":5,"valueTo":1}]}`), "invalidRange"},
		{"a range is open or closed", "productSpecification", spec(`{"name":"a","productSpecCharacteristicValue":[{"valueFrom":1,"rangeInterval":"ajar"}]}`), "invalidValue"},
		{"one value has one default", "productSpecification", spec(`{"name":"a","productSpecCharacteristicValue":[{"value":1,"isDefault":true},{"value":2,"isDefault":true}]}`), "invalidDefault"},
		{"a default is a value", "productSpecification", spec(`{"name":"a","productSpecCharacteristicValue":[{"valueFrom":1,"isDefault":true}]}`), "invalidDefault"},
		{"a related characteristic is there", "productSpecification", spec(`{"name":"a","productSpecCharRelationship":[{"name":"b","relationshipType":"dependency"}]}`), "unknownCharacteristic"},
		{"a bundled specification exists", "productSpecification", `{"name":"s","bundledProductSpecification":[{"id":"none"}]}`, "unknownReference"},

		{"a price is not negative", "productOfferingPrice", price(`"priceType":"recurring","price":{"unit":"EUR","value":-1}`), "negativePrice"},
		{"a currency is one of ISO 4217", "productOfferingPrice", price(`"price":{"unit":"XQQ","value":1}`), "wrongType"},
		{"a new price is in a currency of today", "productOfferingPrice", price(`"lifecycleStatus":"Active","priceType":"oneTime","price":{"unit":"DEM","value":1}`), ""},
		{"a price has ten digits at most", "productOfferingPrice", price(`"price":{"unit":"EUR","value":99999999999999999999}`), "wrongType"},
		{"a percentage is for alterations", "productOfferingPrice", price(`"priceType":"recurring","percentage":10`), "invalidPercentage"},
		{"a discount is at most all of it", "productOfferingPrice", price(`"priceType":"discount","percentage":101`), "invalidPercentage"},
		{"a percentage is no gigantic number", "productOfferingPrice", price(`"priceType":"surcharge","percentage":1e999999999`), "invalidPercentage"},
		{"an amount or a percentage", "productOfferingPrice", price(`"priceType":"discount","percentage":10,"price":{"unit":"EUR","value":1}`), "invalidPrice"},
		{"an active recurring price has a period", "productOfferingPrice", price(`"lifecycleStatus":"Active","priceType":"recurring","price":{"unit":"EUR","value":1}`), "incompletePrice"},
		{"a period is of the calendar", "productOfferingPrice", price(`"priceType":"recurring","recurringChargePeriodType":"fortnight"`), "invalidPeriod"},
		{"an active usage price has a unit", "productOfferingPrice", price(`"lifecycleStatus":"Active","priceType":"usage","price":{"unit":"EUR","value":1}`), "incompletePrice"},
		{"an active price charges something", "productOfferingPrice", price(`"lifecycleStatus":"Active","priceType":"oneTime"`), "incompletePrice"},
		{"a unit is more than nothing", "productOfferingPrice", price(`"unitOfMeasure":{"amount":0,"units":"MB"}`), "invalidUnit"},
		{"a tax is at most all of it", "productOfferingPrice", price(`"tax":[{"taxRate":101}]`), "invalidTax"},
		{"an altered price exists", "productOfferingPrice", price(`"popRelationship":[{"id":"none"}]`), "unknownReference"},
		{"a price uses what the specification has", "productOfferingPrice", price(`"prodSpecCharValueUse":[{"name":"colour","productSpecification":{"id":"mobile-line"}}]`), "unknownCharacteristic"},

		{"a specification exists", "productOffering", offer(`"productSpecification":{"id":"none"}`), "unknownReference"},
		{"a reference has an id", "productOffering", offer(`"productSpecification":{"name":"x"}`), "mandatoryAttributeMissing"},
		{"a price exists", "productOffering", offer(`"productOfferingPrice":[{"id":"none"}]`), "unknownReference"},
		{"a price is named once", "productOffering", offer(`"productOfferingPrice":[{"id":"s-monthly"},{"id":"s-monthly"}]`), "duplicateReference"},
		{"a category exists", "productOffering", offer(`"category":[{"id":"none"}]`), "unknownReference"},
		{"a part exists", "productOffering", offer(`"bundledProductOffering":[{"id":"none"}]`), "unknownReference"},
		{"a bundle says so", "productOffering", offer(`"isBundle":false,"bundledProductOffering":[{"id":"tandem-s"}]`), "notABundle"},
		{"a launched bundle has parts", "productOffering", offer(`"isBundle":true,"lifecycleStatus":"Launched"`), "emptyBundle"},
		{"limits of a part go up", "productOffering", offer(`"bundledProductOffering":[{"id":"tandem-s","bundledProductOfferingOption":{"numberRelOfferLowerLimit":2,"numberRelOfferUpperLimit":1}}]`), "invalidCardinality"},
		{"the default lies in the limits", "productOffering", offer(`"bundledProductOffering":[{"id":"tandem-s","bundledProductOfferingOption":{"numberRelOfferUpperLimit":2,"numberRelOfferDefault":3}}]`), "invalidCardinality"},
		{"needed and excluded is a contradiction", "productOffering", offer(`"productOfferingRelationship":[{"id":"tandem-s","relationshipType":"requires"},{"id":"tandem-s","relationshipType":"excludes"}]`), "contradiction"},
		{"a narrowed characteristic exists", "productOffering", offer(`"productSpecification":{"id":"mobile-line"},"prodSpecCharValueUse":[{"name":"colour"}]`), "unknownCharacteristic"},
		{"a narrowed value is allowed", "productOffering", offer(`"productSpecification":{"id":"mobile-line"},"prodSpecCharValueUse":[{"name":"profile","productSpecCharacteristicValue":[{"value":"6G"}]}]`), "invalidCharacteristic"},
		{"narrowing does not widen", "productOffering", offer(`"productSpecification":{"id":"mobile-line"},"prodSpecCharValueUse":[{"name":"friends","maxCardinality":4}]`), "invalidCardinality"},
		{"a use belongs to a specification", "productOffering", offer(`"prodSpecCharValueUse":[{"name":"profile"}]`), "unknownCharacteristic"},
		{"one offering, one currency", "productOffering", offer(`"productOfferingPrice":[{"id":"s-monthly"},{"name":"x","priceType":"oneTime","price":{"dutyFreeAmount":{"unit":"USD","value":1}}}]`), "mixedCurrency"},
		{"a term is of the calendar", "productOffering", offer(`"productOfferingTerm":[{"duration":{"amount":2,"units":"moon"}}]`), "invalidTerm"},
		{"an inline price has a name", "productOffering", offer(`"productOfferingPrice":[{"priceType":"oneTime"}]`), "mandatoryAttributeMissing"},
		{"an inline price is without tax", "productOffering", offer(`"productOfferingPrice":[{"name":"x","price":{"taxIncludedAmount":{"unit":"EUR","value":1}}}]`), "invalidPrice"},
		{"retired is not launched upon", "productOffering", offer(`"lifecycleStatus":"Launched","productOfferingPrice":[{"id":"old-monthly"}]`), "priceNotActive"},
		{"a retired part is not launched upon", "productOffering", offer(`"lifecycleStatus":"Launched","bundledProductOffering":[{"id":"tandem-old"}]`), "partNotActive"},

		{"a root has no parent", "category", offer(`"isRoot":true,"parentId":"mobile"`), "notARoot"},
		{"a parent exists", "category", offer(`"parentId":"none"`), "unknownReference"},
		{"a categorised offering exists", "category", offer(`"productOffering":[{"id":"none"}]`), "unknownReference"},
		{"a catalogue's category exists", "catalog", offer(`"category":[{"id":"none"}]`), "unknownReference"},
	}
	each(t, func(t *testing.T, r *room) {
		r.load("acme")
		for _, rule := range rules {
			t.Run(rule.rule, func(t *testing.T) {
				r := r.as(t)
				if rule.code == "" {
					r.do(http.StatusBadRequest, "POST", rule.kind, rule.body)
					return
				}
				r.refused(http.StatusBadRequest, rule.code, "POST", rule.kind, rule.body)
			})
		}
	})
}

func TestExpressionsAreChecked(t *testing.T) {
	rules := []struct{ rule, expr string }{
		{"syntax", `segments ==`},
		{"only known names", `salary > 3`},
		{"types must match", `channel > 3`},
		{"the answer is yes or no", `channel`},
		{"no ranges", `len(1..1000000) > 3`},
		{"no loop in a loop", `any(places, any(offerings, # == "a"))`},
		{"no other functions", `now() != nil`},
		{"not too long", `channel == "` + strings.Repeat("x", 1000) + `"`},
		{"not too many parts", strings.Repeat(`channel=="a"||`, 70) + `true`},
		{"characteristics the product has", `characteristics["colour"] == "red"`},
	}
	each(t, func(t *testing.T, r *room) {
		r.load("acme")
		for _, rule := range rules {
			t.Run(rule.rule, func(t *testing.T) {
				got := r.as(t).do(400, "POST", "productOffering", `{"name":"o","productSpecification":{"id":"mobile-line"},"eligibility":[{"reason":"no","expr":`+quote(rule.expr)+`}]}`)
				if got["code"] != "invalidExpression" && got["code"] != "unknownCharacteristic" || got["reason"] == "" {
					t.Errorf("%v", got)
				}
			})
		}
		r.do(400, "POST", "productOffering", `{"name":"o","eligibility":[{"expr":"true"}]}`) // a reason is needed
	})
}

func TestLifeCycle(t *testing.T) {
	each(t, func(t *testing.T, r *room) {
		step := func(want int, kind, state string) {
			t.Helper()
			r.do(want, "PATCH", kind, `{"lifecycleStatus":"`+state+`"}`)
		}
		o := r.do(201, "POST", "productOffering", `{"id":"o","name":"o"}`)
		if o["lifecycleStatus"] != catalog.InStudy || o["lastUpdate"] == nil {
			t.Errorf("a new offering: %v", o)
		}
		step(409, "productOffering/o", "Launched")
		for _, s := range []string{"In design", "In test", "In design", "In test", "Active", "Launched", "Retired"} {
			step(200, "productOffering/o", s)
		}
		for _, s := range []string{"Launched", "Active", "In design"} {
			step(409, "productOffering/o", s)
		}
		step(200, "productOffering/o", "Obsolete")
		step(409, "productOffering/o", "Retired")
	})
}

func TestLaunchNeedsSolidGround(t *testing.T) {
	each(t, func(t *testing.T, r *room) {
		launch := `{"lifecycleStatus":"Launched"}`
		active := `{"lifecycleStatus":"Active"}`
		r.do(201, "POST", "productSpecification", `{"id":"s","name":"s","lifecycleStatus":"In test"}`)
		r.do(201, "POST", "productOfferingPrice", `{"id":"p","name":"p","priceType":"oneTime","price":{"unit":"EUR","value":1},"lifecycleStatus":"In test"}`)
		r.do(201, "POST", "productOffering", `{"id":"part","name":"part","lifecycleStatus":"In test"}`)
		r.do(201, "POST", "productOffering", `{"id":"o","name":"o","lifecycleStatus":"Active","productSpecification":{"id":"s"},"productOfferingPrice":[{"id":"p"}],"bundledProductOffering":[{"id":"part"}]}`)
		r.refused(400, "specificationNotActive", "PATCH", "productOffering/o", launch)
		r.do(200, "PATCH", "productSpecification/s", active)
		r.refused(400, "priceNotActive", "PATCH", "productOffering/o", launch)
		r.do(200, "PATCH", "productOfferingPrice/p", active)
		r.refused(400, "partNotActive", "PATCH", "productOffering/o", launch)
		r.do(200, "PATCH", "productOffering/part", active)
		r.do(200, "PATCH", "productOffering/o", launch)
		for _, ground := range []string{"productSpecification/s", "productOfferingPrice/p", "productOffering/part"} {
			r.refused(409, "stillReferenced", "PATCH", ground, `{"lifecycleStatus":"Retired"}`)
		}
		r.do(200, "PATCH", "productOffering/o", `{"lifecycleStatus":"Retired"}`)
		for _, ground := range []string{"productSpecification/s", "productOfferingPrice/p", "productOffering/part"} {
			r.do(200, "PATCH", ground, `{"lifecycleStatus":"Retired"}`)
		}
	})
}

func TestNothingReferredToIsDeleted(t *testing.T) {
	each(t, func(t *testing.T, r *room) {
		r.load("acme")
		for _, kept := range []string{"productSpecification/mobile-line", "productOfferingPrice/s-monthly", "productOffering/tandem-m",
			"productOffering/tandem-old", "category/tariffs", "category/mobile"} {
			r.refused(409, "stillReferenced", "DELETE", kept, "")
		}
		r.do(204, "DELETE", "catalog/retail", "")
		r.do(409, "DELETE", "productOffering/family", "")
		r.do(200, "PATCH", "productOffering/family", `{"lifecycleStatus":"Retired"}`)
		r.do(409, "DELETE", "productOffering/family", "")
		r.do(200, "PATCH", "productOffering/family", `{"lifecycleStatus":"Obsolete"}`)
		r.do(204, "DELETE", "productOffering/family", "")
		r.do(204, "DELETE", "productOfferingPrice/family-discount", "")
	})
}

func TestNoCycles(t *testing.T) {
	each(t, func(t *testing.T, r *room) {
		for _, k := range []struct{ kind, attr string }{{"productOffering", "bundledProductOffering"}, {"productOfferingPrice", "bundledPopRelationship"},
			{"productSpecification", "bundledProductSpecification"}, {"category", "subCategory"}} {
			for _, id := range []string{"a", "b", "c"} {
				r.do(201, "POST", k.kind, `{"id":"`+id+`","name":"x"}`)
			}
			has := func(id string) string { return `{"` + k.attr + `":[{"id":"` + id + `"}],"isBundle":true}` }
			r.do(200, "PATCH", k.kind+"/a", has("b"))
			r.do(200, "PATCH", k.kind+"/b", has("c"))
			r.refused(400, "cycle", "PATCH", k.kind+"/c", has("a"))
		}
		r.refused(400, "cycle", "PATCH", "category/a", `{"isRoot":false,"parentId":"c"}`)
		r.do(200, "PATCH", "category/c", `{"isRoot":false,"parentId":"b"}`)
		r.refused(400, "cycle", "PATCH", "category/b", `{"isRoot":false,"parentId":"c"}`)
	})
}

func TestSpecificationKeepsItsPromises(t *testing.T) {
	each(t, func(t *testing.T, r *room) {
		r.load("acme")
		chars := func(profiles string) string {
			return `{"productSpecCharacteristic":[{"name":"profile","valueType":"string","minCardinality":1,"productSpecCharacteristicValue":[` + profiles + `]},
				{"name":"dataVolume","valueType":"integer"},{"name":"friends","maxCardinality":3},{"name":"voicemail"},{"name":"voicemailPin"}]}`
		}
		r.refused(409, "stillReferenced", "PATCH", "productSpecification/mobile-line", chars(`{"value":"4G"}`))
		r.refused(409, "stillReferenced", "PATCH", "productSpecification/mobile-line", `{"productSpecCharacteristic":[]}`)
		r.do(200, "PATCH", "productSpecification/mobile-line", chars(`{"value":"4G"},{"value":"5G"},{"value":"6G"}`))
		r.refused(409, "stillReferenced", "PATCH", "productOfferingPrice/activation", `{"price":{"unit":"CHF","value":25}}`)
	})
}

func TestInlinePricesBecomePrices(t *testing.T) {
	each(t, func(t *testing.T, r *room) {
		o := r.do(201, "POST", "productOffering", `{"id":"o","name":"o","lifecycleStatus":"Active","productOfferingPrice":[{"name":"fee","priceType":"recurring","recurringChargePeriod":"month",
			"price":{"dutyFreeAmount":{"unit":"EUR","value":9.99},"taxRate":19},
			"priceAlteration":[{"name":"welcome","priceType":"discount","price":{"percentage":50},"applicationDuration":{"amount":3,"units":"month"}}]}]}`)
		if prices := o["productOfferingPrice"].([]any); len(prices) != 2 {
			t.Fatalf("prices %v", prices)
		}
		r.read(func(tx *store.Tx) {
			o, err := catalog.Offerings.Get(tx, "o")
			if err != nil {
				t.Fatal(err)
			}
			prices, err := catalog.Prices(tx, o)
			if err != nil || len(prices) != 2 {
				t.Fatalf("%v, %v", prices, err)
			}
			fee, welcome := prices[0], prices[1]
			unit, n, ok := fee.Period()
			if fee.Price.String() != "9.99 EUR" || unit != "month" || n != 1 || !ok || string(fee.Tax[0].TaxRate) != "19" {
				t.Errorf("fee %+v", fee)
			}
			percent, ok := welcome.Percent()
			if !ok || percent.RatString() != "50" || welcome.PopRelationship[0].ID != fee.ID || !welcome.IsAlteration() {
				t.Errorf("welcome %+v", welcome)
			}
		})
		r.refused(409, "stillReferenced", "DELETE", "productOfferingPrice/"+o["productOfferingPrice"].([]any)[0].(map[string]any)["id"].(string), "")
	})
}

func TestLastUpdateIsTheServers(t *testing.T) {
	each(t, func(t *testing.T, r *room) {
		o := r.do(201, "POST", "catalog", `{"id":"o","name":"o","lastUpdate":"2001-01-01T00:00:00Z"}`)
		if strings.HasPrefix(o["lastUpdate"].(string), "2001") {
			t.Errorf("lastUpdate %v", o["lastUpdate"])
		}
		same := r.do(200, "PATCH", "catalog/o", `{"name":"o"}`)
		if same["lastUpdate"] != o["lastUpdate"] {
			t.Errorf("a patch that changes nothing moved lastUpdate from %v to %v", o["lastUpdate"], same["lastUpdate"])
		}
		changed := r.do(200, "PATCH", "catalog/o", `{"name":"p"}`)
		if changed["lastUpdate"] == o["lastUpdate"] {
			t.Errorf("a change left lastUpdate")
		}
		r.refused(400, "notPatchable", "PATCH", "catalog/o", `{"lastUpdate":"2001-01-01T00:00:00Z"}`)
	})
}
