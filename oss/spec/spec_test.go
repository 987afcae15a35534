package spec_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"pgregory.net/rapid"

	"tandem/kit/fault"
	"tandem/kit/store"
	"tandem/kit/store/storetest"
	"tandem/kit/tmf"
	"tandem/kit/tmf/tmftest"
	"tandem/kit/transfer"
	"tandem/kit/work"
	"tandem/oss/spec"
)

var update = flag.Bool("update", false, "write the golden files anew")

var mno = store.Scope{Tenant: "mno", Actor: "user:ann"}

const (
	services  = "/tmf-api/serviceCatalogManagement/v4"
	resources = "/tmf-api/resourceCatalog/v4"
)

type obj = map[string]any

func schemas() []store.Schema { return append([]store.Schema{work.Schema()}, spec.Schemas...) }

// mobile is a catalogue for a mobile line, in the order it must be posted.
var mobile = []struct {
	path string
	body obj
}{
	{resources + "/resourceSpecification", obj{"id": "msisdn", "name": "MSISDN", "@type": "LogicalResourceSpecification", "category": "number", "lifecycleStatus": "Active",
		"resourceSpecCharacteristic": []obj{{"name": "class", "valueType": "string", "resourceSpecCharacteristicValue": []obj{{"value": "standard", "isDefault": true}, {"value": "gold"}}}}}},
	{resources + "/resourceSpecification", obj{"id": "usim", "name": "USIM", "@type": "PhysicalResourceSpecification", "category": "sim", "lifecycleStatus": "Active", "vendor": "Acme",
		"resourceSpecCharacteristic": []obj{
			{"name": "form", "valueType": "string", "minCardinality": 1, "resourceSpecCharacteristicValue": []obj{{"value": "removable"}, {"value": "esim"}}}}}},
	{resources + "/resourceSpecification", obj{"id": "hss", "name": "Subscriber record", "@type": "LogicalResourceSpecification", "category": "hlrSubscriber", "lifecycleStatus": "Active",
		"resourceSpecCharacteristic": []obj{
			{"name": "apn", "valueType": "string", "minCardinality": 1, "regex": "[a-z.]+"},
			{"name": "speed", "valueType": "integer", "minCardinality": 1, "resourceSpecCharacteristicValue": []obj{{"valueFrom": 1, "valueTo": 2000}}},
			{"name": "roaming", "valueType": "boolean", "resourceSpecCharacteristicValue": []obj{{"value": false, "isDefault": true}, {"value": true}}}}}},
	{services + "/serviceSpecification", obj{"id": "access", "name": "Mobile access", "@type": "ResourceFacingServiceSpecification", "lifecycleStatus": "Active",
		"specCharacteristic": []obj{
			{"name": "speed", "valueType": "integer", "minCardinality": 1},
			{"name": "roaming", "valueType": "boolean", "characteristicValueSpecification": []obj{{"value": false, "isDefault": true}, {"value": true}}}},
		"resourceSpecification": []obj{{"id": "hss", "role": "hlrSubscriber", "mapping": []obj{
			{"name": "apn", "expr": `c.roaming ? "roam.internet" : "internet"`},
			{"name": "speed", "expr": "c.speed"}, {"name": "roaming", "expr": "c.roaming"}}}}}},
	{services + "/serviceSpecification", obj{"id": "voicemail", "name": "Voice mail", "@type": "ResourceFacingServiceSpecification", "lifecycleStatus": "Active"}},
	{services + "/serviceSpecification", obj{"id": "line", "name": "Mobile line", "@type": "CustomerFacingServiceSpecification", "lifecycleStatus": "Launched",
		"specCharacteristic": []obj{
			{"name": "speed", "valueType": "integer", "characteristicValueSpecification": []obj{{"value": 100, "isDefault": true}, {"value": 300}, {"value": 1000}}},
			{"name": "simForm", "valueType": "string", "characteristicValueSpecification": []obj{{"value": "esim", "isDefault": true}, {"value": "removable"}}},
			{"name": "extraSims", "valueType": "integer", "characteristicValueSpecification": []obj{{"value": 0, "isDefault": true}, {"valueFrom": 1, "valueTo": 4}}},
			{"name": "roaming", "valueType": "boolean"},
			{"name": "options", "valueType": "string", "maxCardinality": 5, "isUnique": true}},
		"serviceSpecRelationship": []obj{
			{"id": "access", "relationshipType": "requires", "role": "access", "mapping": []obj{
				{"name": "speed", "expr": `place.role == "slow" ? min(c.speed, 50) : c.speed`}, {"name": "roaming", "expr": "c.roaming"}}},
			{"id": "voicemail", "relationshipType": "reliesOn", "role": "voicemail", "condition": `has("options") && "voicemail" in c.options && action != "delete"`},
			{"id": "access", "relationshipType": "substitution", "role": "old"}},
		"resourceSpecification": []obj{
			{"id": "msisdn", "role": "msisdn"},
			{"id": "usim", "role": "sim", "quantity": "1 + c.extraSims", "minCardinality": 1, "maxCardinality": 5, "mapping": []obj{{"name": "form", "expr": "c.simForm"}}}}}},
}

func each(t *testing.T, f func(t *testing.T, db *store.DB, api *tmftest.API)) {
	tmftest.Each(t, schemas(), spec.Kinds(), func(t *testing.T, db *store.DB) {
		f(t, db, tmftest.Serve(t, db, spec.Kinds()))
	})
}

func post(t *testing.T, api *tmftest.API, path string, body any, want int) tmftest.Answer {
	t.Helper()
	a := api.Do("mno", "POST", path, body)
	if a.Status != want {
		t.Fatalf("POST %s: %d %s, want %d", path, a.Status, a.Body, want)
	}
	return a
}

func fill(t *testing.T, api *tmftest.API) {
	t.Helper()
	for _, s := range mobile {
		post(t, api, s.path, s.body, 201)
	}
}

func load(t *testing.T, db *store.DB, id string) *spec.Tree {
	t.Helper()
	var tree *spec.Tree
	err := db.Read(t.Context(), mno, func(tx *store.Tx) (err error) {
		tree, err = spec.Load(tx, id)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

func chars(t *testing.T, text string) []tmf.Characteristic {
	t.Helper()
	var m map[string]json.RawMessage
	if err := json.Unmarshal([]byte(text), &m); err != nil {
		t.Fatal(err)
	}
	var out []tmf.Characteristic
	for k, v := range m {
		out = append(out, tmf.Characteristic{Name: k, Value: jsontext.Value(v)})
	}
	return out
}

// draw writes a graph as a person reads it.
func draw(n *spec.Node) string {
	var b strings.Builder
	n.Walk(func(n *spec.Node) {
		limits := fmt.Sprintf("%d..%d", n.Min, n.Max)
		if n.Max == 0 {
			limits = fmt.Sprintf("%d..*", n.Min)
		}
		fmt.Fprintf(&b, "%s/%s (%s %s v%s, %s %s)", strings.Repeat("  ", strings.Count(n.Path, "/")), n.Path, n.Kind, n.Spec.ID, n.Spec.Version, n.Relation, limits)
		for _, c := range n.Characteristics {
			fmt.Fprintf(&b, " %s=%s", c.Name, c.Value)
		}
		b.WriteByte('\n')
	})
	return b.String()
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name+".txt")
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s:\n%s\nwant\n%s", name, got, want)
	}
}

func TestExpandGivesTheTargetGraph(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB, api *tmftest.API) {
		fill(t, api)
		tree := load(t, db, "line")
		for _, c := range []struct{ name, chars, action, role string }{
			{"defaults", `{}`, "add", ""},
			{"all", `{"speed":300,"simForm":"removable","extraSims":2,"roaming":true,"options":["voicemail","spam"]}`, "add", ""},
			{"delete_without_voicemail", `{"options":["voicemail"]}`, "delete", ""},
			{"slow_place", `{"speed":1000}`, "add", "slow"},
		} {
			n, err := tree.Expand(chars(t, c.chars), c.action, tmf.Place{ID: "p1", Role: c.role})
			if err != nil {
				t.Errorf("%s: %v", c.name, err)
				continue
			}
			golden(t, c.name, draw(n))
		}
	})
}

func TestExpandRefusesInTheUsersWords(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB, api *tmftest.API) {
		fill(t, api)
		tree := load(t, db, "line")
		for _, c := range []struct{ name, chars, code, says string }{
			{"a value outside the allowed ones", `{"speed":5}`, "invalidCharacteristic", "speed is 5; allowed is 100, 300, 1000"},
			{"text for a number", `{"speed":"100"}`, "invalidCharacteristic", "a whole number"},
			{"an unknown characteristic", `{"sped":100}`, "unknownCharacteristic", `no characteristic "sped"; it has speed, simForm`},
			{"a value above its range", `{"extraSims":5}`, "invalidCharacteristic", "0, 1..4"},
			{"a single value for a list", `{"options":"voicemail"}`, "invalidCharacteristic", "must be a list"},
			{"a value twice", `{"options":["a","a"]}`, "invalidCharacteristic", "twice"},
			{"too many values", `{"options":["a","b","c","d","e","f"]}`, "invalidCharacteristic", "at most 5"},
		} {
			_, err := tree.Expand(chars(t, c.chars), "add")
			if f := fault.Of(err); f.Kind != fault.Invalid || f.Code != c.code || !strings.Contains(f.Reason, c.says) {
				t.Errorf("%s: %v (%s)", c.name, err, f.Code)
			}
		}
	})
}

func TestRulesAreCheckedWhenSaved(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB, api *tmftest.API) {
		fill(t, api)
		deep := "1" + strings.Repeat("+1", 300)
		for _, c := range []struct{ name, field, expr, says string }{
			{"unknown characteristic", "condition", `c.sped > 1`, "unknown field sped"},
			{"not a condition", "condition", `c.speed`, "expected bool"},
			{"syntax", "condition", `c.speed >`, "column"},
			{"text against number", "condition", `c.speed > "a"`, "mismatched"},
			{"loops", "condition", `any([1,2], # > 1)`, "a loop"},
			{"ranges", "condition", `5 in 1..10`, "a range"},
			{"variables", "condition", `let x = 1; x > 0`, "a variable"},
			{"clocks", "condition", `now().Year() > 1`, "now"},
			{"environment", "condition", `$env != nil`, "$env"},
			{"length", "condition", `c.speed > 1 ` + strings.Repeat(" ", 1000), "longer than"},
			{"nodes", "quantity", deep, "nodes"},
			{"wrong type for the target", "mapping", `"fast"`, "gives string; speed of service specification Mobile access is integer"},
		} {
			rel := obj{"id": "access", "relationshipType": "requires"}
			if rel[c.field] = c.expr; c.field == "mapping" {
				rel["mapping"] = []obj{{"name": "speed", "expr": c.expr}}
			}
			a := post(t, api, services+"/serviceSpecification", obj{"name": "x", "specCharacteristic": []obj{{"name": "speed", "valueType": "integer", "minCardinality": 1}},
				"serviceSpecRelationship": []obj{rel}}, 400)
			reason := fmt.Sprint(a.Object()["reason"])
			if !strings.Contains(reason, c.says) || !strings.Contains(reason, "serviceSpecRelationship[0]."+c.field) {
				t.Errorf("%s: %s", c.name, a.Body)
			}
		}
		a := post(t, api, services+"/serviceSpecification", obj{"name": "x", "resourceSpecification": []obj{{"id": "usim", "mapping": []obj{{"name": "nope", "expr": "1"}}}}}, 400)
		if !strings.Contains(string(a.Body), "has no characteristic nope; it has form") {
			t.Errorf("mapping to an unknown characteristic: %s", a.Body)
		}
	})
}

func TestCardinalitiesHoldOverARole(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB, api *tmftest.API) {
		for _, id := range []string{"fibre", "radio"} {
			post(t, api, services+"/serviceSpecification", obj{"id": id, "name": id}, 201)
		}
		branch := func(id, cond string) obj {
			return obj{"id": id, "relationshipType": "requires", "role": "access", "minCardinality": 1, "maxCardinality": 1, "condition": cond}
		}
		post(t, api, services+"/serviceSpecification", obj{"id": "net", "name": "Internet",
			"specCharacteristic":      []obj{{"name": "tech", "valueType": "string"}},
			"serviceSpecRelationship": []obj{branch("fibre", `c.tech in ["fibre", "both"]`), branch("radio", `c.tech in ["radio", "both"]`)}}, 201)
		tree := load(t, db, "net")
		n, err := tree.Expand(chars(t, `{"tech":"radio"}`), "add")
		if err != nil || len(n.Children) != 1 || n.Find("access").Spec.ID != "radio" {
			t.Errorf("radio: %v %v", n, err)
		}
		for _, given := range []string{`{}`, `{"tech":"both"}`} {
			if _, err := tree.Expand(chars(t, given), "add"); fault.Of(err).Code != "cardinality" {
				t.Errorf("%s: %v", given, err)
			}
		}
	})
}

func TestCyclesAndDanglingReferencesAreRefused(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB, api *tmftest.API) {
		rel := func(id, typ string) obj {
			return obj{"serviceSpecRelationship": []obj{{"id": id, "relationshipType": typ}}}
		}
		for _, id := range []string{"a", "b", "c"} {
			post(t, api, services+"/serviceSpecification", obj{"id": id, "name": id}, 201)
		}
		patch := func(id string, body obj, want int, says string) {
			t.Helper()
			if a := api.Do("mno", "PATCH", services+"/serviceSpecification/"+id, body); a.Status != want || !strings.Contains(string(a.Body), says) {
				t.Errorf("PATCH %s %v: %d %s", id, body, a.Status, a.Body)
			}
		}
		patch("a", rel("b", "requires"), 200, "")
		patch("b", rel("c", "reliesOn"), 200, "")
		patch("c", rel("a", "requires"), 400, "a leads back to this specification by way of a > b")
		patch("c", rel("c", "requires"), 400, "cannot refer to itself")
		patch("c", rel("a", "substitution"), 200, "")
		patch("c", rel("zz", "substitution"), 400, "there is no serviceSpecification")
		if a := api.Do("mno", "DELETE", services+"/serviceSpecification/b", nil); a.Status != 409 {
			t.Errorf("delete of what is in use: %d %s", a.Status, a.Body)
		}
		if a := api.Do("mno", "DELETE", services+"/serviceSpecification/a", nil); a.Status != 409 {
			t.Errorf("c still names a as substitution: %d %s", a.Status, a.Body)
		}
		patch("c", obj{"serviceSpecRelationship": nil}, 200, "")
		if a := api.Do("mno", "DELETE", services+"/serviceSpecification/a", nil); a.Status != 204 {
			t.Errorf("delete of what is not in use: %d %s", a.Status, a.Body)
		}
	})
}

func TestTwoWritersCannotCloseACycleTogether(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB, api *tmftest.API) {
		for round := range 10 {
			x, y := fmt.Sprint("x", round), fmt.Sprint("y", round)
			for _, id := range []string{x, y} {
				post(t, api, services+"/serviceSpecification", obj{"id": id, "name": id}, 201)
			}
			done := make(chan int, 2)
			for _, p := range [][2]string{{x, y}, {y, x}} {
				go func() {
					body := obj{"serviceSpecRelationship": []obj{{"id": p[1], "relationshipType": "requires"}}}
					done <- api.Do("mno", "PATCH", services+"/serviceSpecification/"+p[0], body).Status
				}()
			}
			if a, b := <-done, <-done; a+b != 600 {
				t.Fatalf("round %d: %d and %d, want one 200 and one 400", round, a, b)
			}
		}
	})
}

func TestALiveVersionChangesOnlyWithItsNumber(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB, api *tmftest.API) {
		fill(t, api)
		patch := func(body obj) tmftest.Answer {
			return api.Do("mno", "PATCH", services+"/serviceSpecification/line", body)
		}
		if a := patch(obj{"description": "For everyone"}); a.Status != 200 {
			t.Errorf("description: %d %s", a.Status, a.Body)
		}
		less := obj{"resourceSpecification": []obj{{"id": "msisdn", "role": "msisdn"}}}
		if a := patch(less); a.Status != 409 || a.Object()["code"] != "versionUnchanged" {
			t.Errorf("without a new version: %d %s", a.Status, a.Body)
		}
		less["version"] = "2.0"
		if a := patch(less); a.Status != 200 {
			t.Errorf("with a new version: %d %s", a.Status, a.Body)
		}
		if a := patch(obj{"lifecycleStatus": "In test"}); a.Status != 409 {
			t.Errorf("back to test: %d %s", a.Status, a.Body)
		}
		if a := api.Do("mno", "PATCH", resources+"/resourceSpecification/msisdn", obj{"lifecycleStatus": "Retired"}); a.Status != 200 {
			t.Errorf("retire: %d %s", a.Status, a.Body)
		}
		if a := api.Do("mno", "PATCH", resources+"/resourceSpecification/msisdn", obj{"lifecycleStatus": "Obsolete"}); a.Status != 409 {
			t.Errorf("obsolete while a launched service requires it: %d %s", a.Status, a.Body)
		}
		a := api.Do("mno", "PATCH", resources+"/resourceSpecification/hss", obj{"version": "2.0", "resourceSpecCharacteristic": []obj{{"name": "apn", "valueType": "string"}}})
		if a.Status != 409 || a.Object()["code"] != "mappingBroken" || !strings.Contains(string(a.Body), "Mobile access") {
			t.Errorf("a characteristic that others map to: %d %s", a.Status, a.Body)
		}
		a = api.Do("mno", "POST", services+"/serviceSpecification", obj{"name": "early", "lifecycleStatus": "Launched",
			"resourceSpecification": []obj{{"id": "msisdn"}}})
		if a.Status != 409 || a.Object()["code"] != "notLive" {
			t.Errorf("launch on a retired resource: %d %s", a.Status, a.Body)
		}
	})
}

func TestLoadFollowsChangesOfAnyMember(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB, api *tmftest.API) {
		fill(t, api)
		before := load(t, db, "line")
		if load(t, db, "line") != before {
			t.Error("a second load made the tree again")
		}
		if before.Revs["resource/hss"] != 1 || before.Revs["service/access"] != 1 || len(before.Revs) != 6 {
			t.Errorf("members %v", before.Revs)
		}
		if a := api.Do("mno", "PATCH", resources+"/resourceSpecification/hss", obj{"name": "HSS record"}); a.Status != 200 {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
		after := load(t, db, "line")
		if after == before || after.Revs["resource/hss"] != 2 {
			t.Errorf("the change was not seen: %v", after.Revs)
		}
		n, err := after.Expand(nil, "add")
		if err != nil || n.Find("access/hlrSubscriber").Spec.Name != "HSS record" {
			t.Errorf("%v %v", n, err)
		}
		// What a rolled back transaction saw must not be seen by others.
		boom := errors.New("rolled back")
		err = db.Write(t.Context(), mno, func(tx *store.Tx) error {
			_, err := spec.ResourceSpecifications.Edit(tx, "hss", func(p *spec.ResourceSpecification) error {
				p.Name = "never"
				return nil
			})
			if err != nil {
				return err
			}
			if _, err := spec.Load(tx, "line"); err != nil {
				return err
			}
			return boom
		})
		if !errors.Is(err, boom) {
			t.Fatal(err)
		}
		n, err = load(t, db, "line").Expand(nil, "add")
		if err != nil || n.Find("access/hlrSubscriber").Spec.Name != "HSS record" {
			t.Errorf("a rolled back name is seen: %v", n.Find("access/hlrSubscriber"))
		}
		err = db.Read(t.Context(), store.Scope{Tenant: "other"}, func(tx *store.Tx) error {
			_, err := spec.Load(tx, "line")
			return err
		})
		if !fault.Is(err, fault.NotFound) {
			t.Errorf("another tenant: %v", err)
		}
	})
}

func TestCategoriesAndCandidatesReferToWhatIsThere(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB, api *tmftest.API) {
		fill(t, api)
		post(t, api, services+"/serviceCategory", obj{"id": "top", "name": "Mobile"}, 201)
		sub := post(t, api, services+"/serviceCategory", obj{"id": "sub", "name": "Lines", "parentId": "top"}, 201).Object()
		if sub["isRoot"] != false || sub["lifecycleStatus"] != spec.InDesign || sub["version"] != "1.0" || sub["lastUpdate"] == nil {
			t.Errorf("defaults: %v", sub)
		}
		if a := api.Do("mno", "PATCH", services+"/serviceCategory/top", obj{"parentId": "sub", "isRoot": false}); a.Status != 400 || a.Object()["code"] != "cycle" {
			t.Errorf("%d %s", a.Status, a.Body)
		}
		post(t, api, services+"/serviceCandidate", obj{"name": "x", "serviceSpecification": obj{"id": "line"}, "category": []obj{{"id": "sub"}}}, 201)
		post(t, api, services+"/serviceCandidate", obj{"name": "x", "serviceSpecification": obj{"id": "nope"}}, 400)
		post(t, api, services+"/serviceCandidate", obj{"name": "x"}, 400)
		post(t, api, services+"/serviceCatalog", obj{"name": "All", "category": []obj{{"id": "top"}}}, 201)
		post(t, api, services+"/serviceCatalog", obj{"name": "All", "category": []obj{{"id": "zz"}}}, 400)
		for _, id := range []string{"top", "sub"} {
			if a := api.Do("mno", "DELETE", services+"/serviceCategory/"+id, nil); a.Status != 409 {
				t.Errorf("delete %s: %d %s", id, a.Status, a.Body)
			}
		}
		post(t, api, resources+"/resourceCategory", obj{"id": "sims", "name": "SIM cards"}, 201)
		post(t, api, resources+"/resourceCandidate", obj{"name": "usim", "category": []obj{{"id": "sims"}}, "resourceSpecification": obj{"id": "usim"}}, 201)
		post(t, api, resources+"/resourceCatalog", obj{"name": "All", "category": []obj{{"id": "sims"}}}, 201)
		if a := api.Do("mno", "DELETE", resources+"/resourceSpecification/usim", nil); a.Status != 409 {
			t.Errorf("%d %s", a.Status, a.Body)
		}
		got := api.Do("mno", "GET", resources+"/resourceSpecification/usim", nil)
		if got.Object()["vendor"] != "Acme" || got.Object()["@type"] != "PhysicalResourceSpecification" {
			t.Errorf("%s", got.Body)
		}
	})
}

// Whatever the rules, an expansion is the same twice, holds its limits, takes
// exactly the branches whose condition is true and hands over what is mapped.
func TestExpandProperties(t *testing.T) {
	tmftest.Each(t, schemas(), spec.Kinds(), func(t *testing.T, db *store.DB) {
		if db.Dialect() == store.Postgres {
			return // Expand is pure: one engine shows it
		}
		round := 0
		rapid.Check(t, func(r *rapid.T) {
			round++
			layers := rapid.IntRange(1, 4).Draw(r, "layers")
			width := rapid.IntRange(1, 3).Draw(r, "width")
			id := func(layer, i int) string { return fmt.Sprintf("r%d-%d-%d", round, layer, i) }
			n := rapid.IntRange(0, 9).Draw(r, "n")
			wantChildren := map[string]int{}
			must(r, db.Write(t.Context(), mno, func(tx *store.Tx) error {
				for layer := layers; layer >= 0; layer-- {
					for i := range width {
						s := &spec.ServiceSpecification{Name: id(layer, i)}
						s.ID = id(layer, i)
						one := int64(1)
						s.SpecCharacteristic = []spec.CharacteristicSpecification{{CharacteristicRule: spec.CharacteristicRule{Name: "n", ValueType: "integer", MinCardinality: &one}}}
						for b := range rapid.IntRange(0, 2).Draw(r, "branches") {
							if layer == layers {
								break
							}
							limit := rapid.IntRange(0, 9).Draw(r, "limit")
							q := rapid.IntRange(0, 2).Draw(r, "quantity")
							if n+layer > limit {
								wantChildren[s.ID] += q
							}
							s.ServiceSpecRelationship = append(s.ServiceSpecRelationship, spec.ServiceSpecRelationship{ID: id(layer+1, rapid.IntRange(0, width-1).Draw(r, "to")),
								RelationshipType: spec.Requires, Role: fmt.Sprint("b", b),
								Decomposition: spec.Decomposition{Condition: fmt.Sprintf("c.n > %d", limit), Quantity: fmt.Sprint(q),
									Mapping: []spec.Mapping{{Name: "n", Expr: "c.n + 1"}}}})
						}
						if err := spec.ServiceSpecifications.Create(tx, s); err != nil {
							return err
						}
					}
				}
				return nil
			}))
			var tree *spec.Tree
			must(r, db.Read(t.Context(), mno, func(tx *store.Tx) (err error) {
				tree, err = spec.Load(tx, id(0, 0))
				return err
			}))
			given := []tmf.Characteristic{{Name: "n", Value: jsontext.Value(fmt.Sprint(n))}}
			a, err := tree.Expand(given, "add")
			must(r, err)
			b, err := tree.Expand(given, "add")
			must(r, err)
			if draw(a) != draw(b) {
				r.Fatalf("two expansions differ:\n%s\n%s", draw(a), draw(b))
			}
			paths := map[string]bool{}
			a.Walk(func(x *spec.Node) {
				depth := 0
				if x.Path != "" {
					depth = strings.Count(x.Path, "/") + 1
				}
				if paths[x.Path] {
					r.Fatalf("path %q twice", x.Path)
				}
				paths[x.Path] = true
				if v, _ := tmf.Value(x.Characteristics, "n"); v != fmt.Sprint(n+depth) {
					r.Fatalf("%s: n is %s, want %d", x.Path, v, n+depth)
				}
				if len(x.Children) != wantChildren[x.Spec.ID] {
					r.Fatalf("%s: %d children, want %d", x.Path, len(x.Children), wantChildren[x.Spec.ID])
				}
			})
		})
	})
}

func must(t interface{ Fatal(...any) }, err error) {
	if err != nil {
		t.Fatal(err)
	}
}

func TestUnknownAttributesSurvive(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB, api *tmftest.API) {
		body := obj{"name": "x", "colour": "red", "specCharacteristic": []obj{{"name": "a", "hint": "h", "characteristicValueSpecification": []obj{{"value": obj{"deep": 1}, "z": true}}}}}
		id := post(t, api, services+"/serviceSpecification", body, 201).Object()["id"]
		got := api.Do("mno", "GET", fmt.Sprint(services, "/serviceSpecification/", id), nil)
		for _, want := range []string{`"colour":"red"`, `"hint":"h"`, `"z":true`, `{"deep":1}`} {
			if !bytes.Contains(got.Body, []byte(want)) {
				t.Errorf("%s is lost: %s", want, got.Body)
			}
		}
	})
}

// Within an import resources may refer to each other in any order; at its end
// everything must hold, or nothing of it is there.
func TestImport(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB, api *tmftest.API) {
		runner := work.New(db, slog.New(slog.DiscardHandler), work.Config{Node: "test"})
		config := transfer.Config{Folder: t.TempDir()}
		spec.ServiceJobs.Run(runner, db, config)
		spec.ResourceJobs.Run(runner, db, config)
		if err := runner.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		defer runner.Stop()
		run := func(content []obj) obj {
			job := post(t, api, services+"/importJob", obj{"content": content}, 201).Object()
			return ended(t, api, fmt.Sprint(services, "/importJob/", job["id"]))
		}
		upper := obj{"@type": "ServiceSpecification", "id": "upper", "name": "Upper", "lifecycleStatus": "Launched",
			"serviceSpecRelationship": []obj{{"id": "lower", "relationshipType": "requires", "mapping": []obj{{"name": "n", "expr": "1"}}}}}
		lower := obj{"@type": "ResourceFacingServiceSpecification", "id": "lower", "name": "Lower", "lifecycleStatus": "Active",
			"specCharacteristic": []obj{{"name": "n", "valueType": "integer"}}}
		candidate := obj{"@type": "OwnCandidate", "@baseType": "ServiceCandidate", "id": "c", "name": "c", "serviceSpecification": obj{"id": "upper"}, "category": []obj{{"id": "cat"}}}
		if got := run([]obj{{"@type": "OwnThing", "@baseType": "Thing", "name": "x"}}); !strings.Contains(fmt.Sprint(got["errorLog"]), "is none of this catalogue") {
			t.Errorf("a class of nowhere: %v", got)
		}
		if got := run([]obj{candidate, upper, lower}); got["status"] != "Failed" || !strings.Contains(fmt.Sprint(got["errorLog"]), "there is no serviceCategory") {
			t.Errorf("%v", got)
		}
		if a := api.Do("mno", "GET", services+"/serviceSpecification/upper", nil); a.Status != 404 {
			t.Errorf("a failed import left something: %s", a.Body)
		}
		if got := run([]obj{candidate, {"@type": "ServiceCategory", "id": "cat", "name": "cat"}, upper, lower}); got["status"] != "Succeeded" {
			t.Errorf("%v", got)
		}
		n, err := load(t, db, "upper").Expand(nil, "add")
		if v := ""; err == nil {
			if v, _ = tmf.Value(n.Find("Lower").Characteristics, "n"); v != "1" {
				t.Errorf("%s", draw(n))
			}
		} else {
			t.Error(err)
		}
		lower["serviceSpecRelationship"] = []obj{{"id": "upper", "relationshipType": "requires"}}
		lower["version"] = "2.0"
		if got := run([]obj{lower}); got["status"] != "Failed" || !strings.Contains(fmt.Sprint(got["errorLog"]), "leads back") {
			t.Errorf("a cycle by import: %v", got)
		}
	})
}

// ended is a job once it has ended.
func ended(t *testing.T, api *tmftest.API, path string) obj {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if job := api.Do("mno", "GET", path, nil).Object(); job["status"] == "Succeeded" || job["status"] == "Failed" {
			return job
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal("the job did not end")
		}
	}
}

// BenchmarkLoad shows what a load costs while nothing changes.
func BenchmarkLoad(b *testing.B) {
	for _, engine := range []store.Dialect{store.SQLite, store.Postgres} {
		b.Run(engine.String(), func(b *testing.B) {
			db := storetest.Open(b, engine, append([]store.Schema{tmf.Schema()}, schemas()...)...)
			must(b, tmf.Migrate(b.Context(), db, spec.Kinds()))
			must(b, db.Write(b.Context(), mno, func(tx *store.Tx) error {
				s := &spec.ServiceSpecification{Name: "line"}
				s.ID = "line"
				return spec.ServiceSpecifications.Create(tx, s)
			}))
			for b.Loop() {
				must(b, db.Read(b.Context(), mno, func(tx *store.Tx) error {
					_, err := spec.Load(tx, "line")
					return err
				}))
			}
		})
	}
}
