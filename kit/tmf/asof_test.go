package tmf_test

import (
	"fmt"
	"testing"
	"time"

	"tandem/kit/store"
	"tandem/kit/tmf/tmftest"
)

// A resource is read as it was at an instant, whatever has become of it since.
func TestAResourceAsItWas(t *testing.T) {
	serve(t, func(t *testing.T, a *tmftest.API, db *store.DB) {
		var at []time.Time
		id := a.Do("mno", "POST", path, `{"name":"one","description":"first"}`).Object()["id"].(string)
		at = append(at, db.Now())
		a.Do("mno", "PATCH", path+"/"+id, `{"description":"second"}`)
		at = append(at, db.Now())
		a.Do("mno", "PATCH", path+"/"+id, `{"description":"third"}`)
		later := a.Do("mno", "POST", path, `{"name":"two"}`).Object()["id"].(string)
		same := func(t time.Time) map[string]time.Time { return map[string]time.Time{id: t, later: t} }
		for _, x := range []struct {
			name  string
			at    map[string]time.Time
			was   string
			rev   int64
			known int
		}{
			{"before it was", same(at[0].Add(-time.Hour)), "", 0, 2}, {"first", same(at[0]), "first", 1, 2}, {"second", same(at[1]), "second", 2, 2},
			{"now", same(db.Now()), "", 0, 0}, {"each at its own", map[string]time.Time{id: db.Now(), later: at[0]}, "", 0, 1}, {"nothing", nil, "", 0, 0},
			{"among more than a statement has parameters", among(17_000, same(at[1])), "second", 2, 2},
		} {
			for tenant, known := range map[string]int{"mno": x.known, "rival": 0} {
				var got map[string]*Thing
				if err := db.Read(t.Context(), store.Scope{Tenant: tenant}, func(tx *store.Tx) (err error) {
					got, err = things.AsOf(tx, x.at)
					return err
				}); err != nil {
					t.Fatal(err)
				}
				if len(got) != known || got[later] != nil {
					t.Errorf("%s, %s: %v", x.name, tenant, got)
				}
				if p := got[id]; tenant == "mno" && (p == nil) != (x.was == "") || p != nil && (p.Description != x.was || p.Rev() != x.rev) {
					t.Errorf("%s: %+v", x.name, p)
				}
			}
		}
	})
}

// among adds so many resources that are not there.
func among(n int, at map[string]time.Time) map[string]time.Time {
	for i := range n {
		at[fmt.Sprint("none", i)] = time.Unix(0, 0)
	}
	return at
}
