package tmf_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"tandem/kit/fault"
	"tandem/kit/store"
	"tandem/kit/tmf"
	"tandem/kit/tmf/tmftest"
)

// Thing is a resource with one of each sort of attribute.
type Thing struct {
	tmf.Entity
	Name           string               `json:"name,omitzero" tmf:"required"`
	Description    string               `json:"description,omitzero"`
	Status         string               `json:"status,omitzero" tmf:"enum=new|active|gone"`
	Size           *int64               `json:"size,omitzero"`
	Big            *bool                `json:"big,omitzero"`
	StartDate      time.Time            `json:"startDate,omitzero"`
	EndDate        time.Time            `json:"endDate,omitzero"`
	Offering       *tmf.Ref             `json:"offering,omitzero"`
	RelatedParty   []tmf.RelatedParty   `json:"relatedParty,omitzero"`
	Characteristic []tmf.Characteristic `json:"characteristic,omitzero"`
	Price          *tmf.Money           `json:"price,omitzero"`
}

var api = &tmf.API{ID: "TMF000", Name: "Things", Version: "4.0.0", Base: "/tmf-api/things/v4"}

var things = tmf.Kind[Thing, *Thing]{
	API: api, Name: "thing", Table: "test_thing", Verbs: tmf.All,
	Index: []string{"name", "status", "size", "startDate", "offering.id"}, Multi: []string{"relatedParty.id"},
	StateAttr: "status", Moves: tmf.Moves{"": {"new", "active"}, "new": {"active"}, "active": {"gone"}},
	Frozen: []string{"startDate"},
}

func init() {
	things.Default = func(tx *store.Tx, p *Thing) error {
		if p.Status == "" {
			p.Status = "new"
		}
		p.StartDate = tx.Now()
		return nil
	}
	things.Check = func(tx *store.Tx, old, p *Thing) error {
		if p.Name == "forbidden" {
			return fault.BadInput("forbiddenName", "This name is not allowed")
		}
		return nil
	}
}

var kinds = []tmf.Mounted{&things}

func serve(t *testing.T, f func(t *testing.T, a *tmftest.API, db *store.DB)) {
	tmftest.Each(t, nil, kinds, func(t *testing.T, db *store.DB) { f(t, tmftest.Serve(t, db, kinds), db) })
}

const path = "/tmf-api/things/v4/thing"

func TestLifeOfAResource(t *testing.T) {
	serve(t, func(t *testing.T, a *tmftest.API, _ *store.DB) {
		in := `{"name":"one","price":{"unit":"EUR","value":9.990},"size":0,"big":false,
			"relatedParty":[{"id":"p1","role":"customer","@referredType":"Customer","x":{"deep":[1.50,null]}}],"own":{"k":[1,"2"]},"@type":"Special"}`
		made := a.Do("mno", "POST", path, in)
		if made.Status != 201 {
			t.Fatalf("POST: %d %s", made.Status, made.Body)
		}
		o := made.Object()
		id := o["id"].(string)
		if made.Header.Get("Location") != path+"/"+id || o["href"] != path+"/"+id || o["status"] != "new" || o["@type"] != "Special" {
			t.Errorf("POST answer: %s", made.Body)
		}
		got := a.Do("mno", "GET", path+"/"+id, nil)
		if got.Status != 200 || string(got.Body) != string(made.Body) {
			t.Errorf("GET gives %d %s\nPOST gave %s", got.Status, got.Body, made.Body)
		}
		for _, want := range []string{`"own":{"k":[1,"2"]}`, `"x":{"deep":[1.50,null]}`, `"big":false`, `"size":0`} {
			if !strings.Contains(string(got.Body), want) {
				t.Errorf("%s is lost in %s", want, got.Body)
			}
		}
		if r := a.Do("other", "GET", path+"/"+id, nil); r.Status != 404 {
			t.Errorf("another tenant reads it: %d", r.Status)
		}
		if r := a.Do("mno", "GET", path+"/"+id, nil, "If-None-Match", got.Header.Get("ETag")); r.Status != 304 {
			t.Errorf("If-None-Match: %d", r.Status)
		}
		if r := a.Do("mno", "GET", path+"/"+id+"?fields=name", nil).Object(); len(r) != 3 || r["name"] != "one" {
			t.Errorf("fields: %v", r)
		}
		if r := a.Do("mno", "DELETE", path+"/"+id, nil); r.Status != 204 {
			t.Errorf("DELETE: %d", r.Status)
		}
		if r := a.Do("mno", "GET", path+"/"+id, nil); r.Status != 404 {
			t.Errorf("GET after DELETE: %d", r.Status)
		}
	})
}

func TestPatch(t *testing.T) {
	serve(t, func(t *testing.T, a *tmftest.API, _ *store.DB) {
		id := a.Do("mno", "POST", path, `{"name":"one","description":"d","own":1}`).Object()["id"].(string)
		merge, ops := "application/merge-patch+json", "application/json-patch+json"
		for _, c := range []struct {
			rule, typ, body string
			status          int
			has, hasNot     string
		}{
			{"merge changes", merge, `{"description":"e"}`, 200, `"description":"e"`, `"description":"d"`},
			{"null deletes, also what the struct does not know", merge, `{"description":null,"own":null}`, 200, "", `"own"`},
			{"plain JSON merges", "application/json", `{"own":{"a":2}}`, 200, `"own":{"a":2}`, ""},
			{"JSON patch", ops, `[{"op":"test","path":"/name","value":"one"},{"op":"replace","path":"/name","value":"two"}]`, 200, `"name":"two"`, ""},
			{"a failed test undoes all", ops, `[{"op":"replace","path":"/name","value":"x"},{"op":"test","path":"/name","value":"y"}]`, 409, "", ""},
			{"id is the server's", merge, `{"id":"z"}`, 400, "", ""},
			{"href is the server's", merge, `{"href":"z"}`, 400, "", ""},
			{"the class stays", merge, `{"@type":"Z"}`, 400, "", ""},
			{"server dates stay", merge, `{"startDate":"2020-01-01T00:00:00Z"}`, 400, "", ""},
			{"legal move", merge, `{"status":"active"}`, 200, `"status":"active"`, ""},
			{"illegal move", merge, `{"status":"new"}`, 409, "it may become gone", ""},
			{"not in the enum", merge, `{"status":"odd"}`, 400, "must be one of", ""},
			{"mandatory cannot go", merge, `{"name":null}`, 400, "name is required", ""},
			{"wrong type", merge, `{"name":5}`, 400, "name must be a string", ""},
			{"the room's rule", merge, `{"name":"forbidden"}`, 400, "forbiddenName", ""},
			{"another media type", "text/plain", `{}`, 415, "", ""},
			{"not an object", merge, `[1]`, 400, "", ""},
			{"cut off", merge, `{"name":"a`, 400, "malformedJSON", ""},
			{"given twice", merge, `{"name":"a","name":"b"}`, 400, "twice", ""},
		} {
			r := a.Do("mno", "PATCH", path+"/"+id, c.body, "Content-Type", c.typ)
			if r.Status != c.status || !strings.Contains(string(r.Body), c.has) || c.hasNot != "" && strings.Contains(string(r.Body), c.hasNot) {
				t.Errorf("%s: %d %s", c.rule, r.Status, r.Body)
			}
		}
		tag := a.Do("mno", "GET", path+"/"+id, nil).Header.Get("ETag")
		if r := a.Do("mno", "PATCH", path+"/"+id, `{"description":"f"}`, "If-Match", `"99"`); r.Status != 412 {
			t.Errorf("stale If-Match: %d", r.Status)
		}
		if r := a.Do("mno", "PATCH", path+"/"+id, `{"description":"f"}`, "If-Match", tag); r.Status != 200 || r.Header.Get("ETag") == tag {
			t.Errorf("If-Match: %d %s", r.Status, r.Body)
		}
	})
}

func TestBadInputIsRefusedInWordsAndWritesNothing(t *testing.T) {
	serve(t, func(t *testing.T, a *tmftest.API, db *store.DB) {
		for rule, body := range map[string]string{
			"nothing": ``, "null": `null`, "array": `[{"name":"a"}]`, "cut": `{"name":"a"`, "two": `{"name":"a"}{"name":"b"}`,
			"missing": `{}`, "blank": `{"name":"  "}`, "type": `{"name":{"a":1}}`, "enum": `{"name":"a","status":"odd"}`,
			"date": `{"name":"a","endDate":"yesterday"}`, "bool": `{"name":"a","big":"yes"}`, "number": `{"name":"a","size":1.5}`,
			"utf8": "{\"name\":\"\xff\"}", "nul": `{"name":"a\u0000"}`, "nested": `{"name":"a","relatedParty":[{"role":"x"}]}`,
			"money": `{"name":"a","price":{"unit":"EUR","value":"lots"}}`, "begin": `{"name":"a","status":"gone"}`,
			"deep": `{"name":"a","x":` + strings.Repeat("[", 500) + strings.Repeat("]", 500) + `}`,
			"big":  `{"name":"` + strings.Repeat("x", 2<<20) + `"}`, "id": `{"name":"a","id":"../x"}`,
		} {
			r := a.Do("mno", "POST", path, body)
			var e struct{ Code, Reason, Status string }
			if err := json.Unmarshal(r.Body, &e); err != nil || r.Status/100 != 4 || e.Code == "" || e.Reason == "" || e.Status != fmt.Sprint(r.Status) {
				t.Errorf("%s: %d %.200s", rule, r.Status, r.Body)
			}
		}
		if r := a.Do("mno", "GET", path, nil); r.Header.Get("X-Total-Count") != "0" {
			t.Errorf("something was written: %s", r.Body)
		}
		for _, q := range []string{"limit=0", "offset=-1", "limit=x", "nosuch=1", "sort=nosuch", "startDate.gt=soon", "size=big", "big=maybe",
			"name.regex=(", "sort=relatedParty.id", "offering=1", "name=%zz", "name=%00", "doc=1", "tenant=other", "name'--=1"} {
			if r := a.Do("mno", "GET", path+"?"+q, nil); r.Status != 400 {
				t.Errorf("?%s: %d %s", q, r.Status, r.Body)
			}
		}
		if r := a.Do("mno", "PUT", path, `{}`); r.Status != 405 {
			t.Errorf("PUT: %d", r.Status)
		}
	})
}

func TestEventsArriveInOrderOnceTheSubscriberIsBack(t *testing.T) {
	serve(t, func(t *testing.T, a *tmftest.API, _ *store.DB) {
		got, fail := make(chan map[string]any, 100), make(chan bool, 2)
		fail <- true
		fail <- true
		sub := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			select {
			case <-fail:
				w.WriteHeader(500)
				return
			default:
			}
			var e map[string]any
			if err := json.NewDecoder(r.Body).Decode(&e); err != nil {
				t.Errorf("event: %v", err)
			}
			got <- e
		}))
		defer sub.Close()
		hub := a.Do("mno", "POST", "/tmf-api/things/v4/hub", map[string]any{"callback": sub.URL + "/x", "query": "event.thing.name=one"})
		if hub.Status != 201 || hub.Object()["callback"] != sub.URL+"/x" {
			t.Fatalf("hub: %d %s", hub.Status, hub.Body)
		}
		a.Do("other", "POST", path, `{"name":"one"}`)
		a.Do("mno", "POST", path, `{"name":"two"}`)
		id := a.Do("mno", "POST", path, `{"name":"one"}`).Object()["id"].(string)
		a.Do("mno", "PATCH", path+"/"+id, `{"description":"x"}`)
		a.Do("mno", "PATCH", path+"/"+id, `{"status":"active"}`)
		a.Do("mno", "DELETE", path+"/"+id, nil)
		for i, want := range []string{"ThingCreateEvent", "ThingAttributeValueChangeEvent", "ThingStateChangeEvent", "ThingDeleteEvent"} {
			select {
			case e := <-got:
				th := e["event"].(map[string]any)["thing"].(map[string]any)
				if e["eventType"] != want || th["id"] != id || (i >= 1) != (th["description"] == "x") || (i >= 2) != (th["status"] == "active") {
					t.Errorf("event %d: %v", i, e)
				}
			case <-time.After(20 * time.Second):
				t.Fatalf("event %d (%s) did not come", i, want)
			}
		}
	})
}

func TestAnEventNobodyTakesBecomesADeadLetterThatCanBeSentAgain(t *testing.T) {
	serve(t, func(t *testing.T, a *tmftest.API, _ *store.DB) {
		broken, calls := true, make(chan string, 100)
		sub := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			var e struct {
				Event struct{ Thing struct{ Name string } }
			}
			_ = json.NewDecoder(r.Body).Decode(&e)
			if e.Event.Thing.Name == "poison" && broken {
				w.WriteHeader(500)
			}
			calls <- e.Event.Thing.Name
		}))
		defer sub.Close()
		hub := a.Do("mno", "POST", "/tmf-api/things/v4/hub", map[string]any{"callback": sub.URL}).Object()["href"].(string)
		a.Do("mno", "POST", path, `{"name":"poison"}`)
		a.Do("mno", "POST", path, `{"name":"good"}`)
		for _, want := range []string{"poison", "poison", "poison", "good"} {
			select {
			case name := <-calls:
				if name != want {
					t.Errorf("delivered %s, want %s", name, want)
				}
			case <-time.After(20 * time.Second):
				t.Fatalf("%s did not come", want)
			}
		}
		dead := a.Do("mno", "GET", hub+"/deadLetter", nil).List()
		if len(dead) != 1 || dead[0]["error"] != "the callback answered 500" {
			t.Fatalf("dead letters: %v", dead)
		}
		if r := a.Do("other", "GET", hub+"/deadLetter", nil); len(r.List()) != 0 {
			t.Errorf("another tenant sees them: %s", r.Body)
		}
		broken = false
		if r := a.Do("mno", "POST", fmt.Sprintf("%s/deadLetter/%.0f/redeliver", hub, dead[0]["seq"]), nil); r.Status != 204 {
			t.Errorf("redeliver: %d %s", r.Status, r.Body)
		}
		if d := a.Do("mno", "GET", hub+"/deadLetter", nil).List(); len(d) != 0 {
			t.Errorf("still there: %v", d)
		}
	})
}

func TestOpenAPIDocumentNamesEveryRoute(t *testing.T) {
	serve(t, func(t *testing.T, a *tmftest.API, _ *store.DB) {
		doc := a.Do("mno", "GET", "/tmf-api/things/v4/openapi.json", nil).Object()
		paths := doc["paths"].(map[string]any)
		for p, verbs := range map[string]string{"/thing": "get post", "/thing/{id}": "get patch delete", "/thing/{id}/history": "get",
			"/hub": "get post", "/hub/{id}": "get delete", "/hub/{id}/deadLetter": "get", "/hub/{id}/deadLetter/{seq}/redeliver": "post"} {
			route, _ := paths[p].(map[string]any)
			for _, verb := range strings.Fields(verbs) {
				if route[verb] == nil {
					t.Errorf("no %s of %s", verb, p)
				}
			}
		}
	})
}

// A newly promoted attribute gets its column, its values and its index.
func TestPromotingAnAttributeLaterFillsItsColumn(t *testing.T) {
	old := tmf.Kind[Thing, *Thing]{API: api, Name: "thing", Table: "test_thing", Verbs: tmf.All, Index: []string{"name"}}
	tmftest.Each(t, nil, []tmf.Mounted{&old}, func(t *testing.T, db *store.DB) {
		scope := store.Scope{Tenant: "mno", Actor: "test"}
		err := db.Write(t.Context(), scope, func(tx *store.Tx) error {
			return old.Create(tx, &Thing{Name: "a", Status: "active"})
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := tmf.Migrate(t.Context(), db, kinds); err != nil {
			t.Fatal(err)
		}
		err = db.Read(t.Context(), scope, func(tx *store.Tx) error {
			found, err := things.Select(tx, tmf.Where{"status": "active"}, tmf.Page{})
			if len(found) != 1 {
				t.Errorf("found %d by the new column", len(found))
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}
