package tmf_test

import (
	"encoding/json"
	"strings"
	"testing"

	"tandem/kit/store"
	"tandem/kit/tmf"
	"tandem/kit/tmf/tmftest"
)

type told struct {
	At, Actor, Op string
	Rev           int64
	Before, After map[string]any
}

func history(t *testing.T, r tmftest.Answer) (out []told) {
	t.Helper()
	if r.Status/100 != 2 {
		t.Fatalf("history: %d %s", r.Status, r.Body)
	}
	if err := json.Unmarshal(r.Body, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestHistoryTellsWhoChangedWhat(t *testing.T) {
	serve(t, func(t *testing.T, a *tmftest.API, _ *store.DB) {
		id := a.Do("mno", "POST", path, `{"name":"one","description":"secret plan"}`).Object()["id"].(string)
		a.Do("mno", "PATCH", path+"/"+id, `{"description":"open plan"}`)
		a.Do("mno", "PATCH", path+"/"+id, `{"description":"open plan"}`) // changes nothing
		a.Do("mno", "PATCH", path+"/"+id, `{"status":"active"}`)
		alive := history(t, a.Do("mno", "GET", path+"/"+id+"/history", nil))
		if len(alive) != 3 || alive[2].After["status"] != "active" {
			t.Errorf("while it lives: %+v", alive)
		}
		a.Do("mno", "DELETE", path+"/"+id, nil)
		got := history(t, a.Do("mno", "GET", path+"/"+id+"/history", nil))
		if len(got) != 4 {
			t.Fatalf("%d entries: %+v", len(got), got)
		}
		for i, op := range []string{"create", "change", "state", "delete"} {
			e := got[i]
			if e.Op != op || e.Actor != "test" || e.Rev != int64(i+1) || e.At == "" || (e.Before == nil) != (i == 0) || (e.After == nil) != (i == 3) {
				t.Errorf("entry %d: %+v", i, e)
			}
			if i > 0 && e.Before["status"] != got[i-1].After["status"] {
				t.Errorf("entry %d does not begin where the last ended", i)
			}
		}
		if got[1].Before["description"] != "secret plan" || got[1].After["description"] != "open plan" || got[2].After["status"] != "active" {
			t.Errorf("before and after: %+v", got)
		}
		page := a.Do("mno", "GET", path+"/"+id+"/history?offset=1&limit=2", nil)
		if p := history(t, page); page.Status != 206 || page.Header.Get("X-Total-Count") != "4" || len(p) != 2 || p[0].Op != "change" || p[1].After["status"] != "active" {
			t.Errorf("second page: %d %s", page.Status, page.Body)
		}
		for _, c := range []struct {
			rule, tenant, method, path string
			want                       int
		}{
			{"another tenant's is not there", "other", "GET", path + "/" + id + "/history", 404},
			{"nor is that of nothing", "mno", "GET", path + "/none/history", 404},
			{"it is read only", "mno", "DELETE", path + "/" + id + "/history", 405},
			{"it has no filters", "mno", "GET", path + "/" + id + "/history?name=one", 400},
			{"nor fields", "mno", "GET", path + "/" + id + "/history?fields=at", 400},
			{"there is nothing below it", "mno", "GET", path + "/" + id + "/history/1", 404},
			{"a path is text", "mno", "GET", path + "/%00/history", 404},
			{"in UTF-8", "mno", "GET", path + "/%ff", 404},
		} {
			if r := a.Do(c.tenant, c.method, c.path, nil); r.Status != c.want {
				t.Errorf("%s: %d %s", c.rule, r.Status, r.Body)
			}
		}
	})
}

// A View holds wherever a resource is read: alone, in a list, in its history and
// in events.
func TestAViewHoldsInListAndHistory(t *testing.T) {
	viewed := tmf.Kind[Thing, *Thing]{API: api, Name: "thing", Table: "test_thing", Verbs: tmf.All, Index: []string{"name"},
		View: func(p *Thing) { p.Description = "" }}
	kinds := []tmf.Mounted{&viewed}
	tmftest.Each(t, nil, kinds, func(t *testing.T, db *store.DB) {
		a := tmftest.Serve(t, db, kinds)
		made := a.Do("mno", "POST", path, `{"name":"one","description":"hidden"}`)
		id := made.Object()["id"].(string)
		answers := map[string]tmftest.Answer{"POST": made,
			"PATCH": a.Do("mno", "PATCH", path+"/"+id, `{"name":"two"}`), "PATCH of nothing": a.Do("mno", "PATCH", path+"/"+id, `{}`),
			"GET": a.Do("mno", "GET", path+"/"+id, nil), "list": a.Do("mno", "GET", path, nil), "filtered": a.Do("mno", "GET", path+"?description=hidden", nil),
			"history": a.Do("mno", "GET", path+"/"+id+"/history", nil)}
		for what, r := range answers {
			if r.Status/100 != 2 || strings.Contains(string(r.Body), "hidden") || !strings.Contains(string(r.Body), id) {
				t.Errorf("%s: %d %s", what, r.Status, r.Body)
			}
		}
	})
}
