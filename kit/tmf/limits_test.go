package tmf_test

import (
	"fmt"
	"strings"
	"testing"

	"tandem/kit/store"
	"tandem/kit/tmf/tmftest"
)

// A list is sorted by any attribute as long as that costs little.
func TestSortingWithoutIndexHasALimit(t *testing.T) {
	serve(t, func(t *testing.T, a *tmftest.API, db *store.DB) {
		fill := func(n int) {
			err := db.Write(t.Context(), store.Scope{Tenant: "mno"}, func(tx *store.Tx) error {
				_, err := tx.Exec(`INSERT INTO test_thing (tenant, id, rev, updated_at, doc, a_name)
					WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ` + fmt.Sprint(n) + `)
					SELECT $1 AS tenant, 'x' || i, 1, 1, '{"id":"x"}', CASE WHEN i < 10 THEN 'few' ELSE 'many' END FROM n`)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		fill(200_001)
		for query, want := range map[string]int{
			"sort=description":            400,
			"sort=name,description":       400,
			"sort=name":                   206,
			"sort=-id":                    206,
			"name=few&sort=description":   200,
			"size.ne=7&sort=-description": 400,
		} {
			r := a.Do("mno", "GET", path+"?"+query+"&limit=20", nil)
			if r.Status != want || want == 400 && !strings.Contains(string(r.Body), "TooBroad") {
				t.Errorf("?%s: %d %.300s, want %d", query, r.Status, r.Body, want)
			}
		}
	})
}

// A page is no larger than it can be carried; what is left comes with the next.
func TestAPageHasALimitInBytes(t *testing.T) {
	serve(t, func(t *testing.T, a *tmftest.API, _ *store.DB) {
		const all = 24
		for i := range all {
			body := fmt.Sprintf(`{"id":"t%02d","name":"n","description":%q}`, i, strings.Repeat("x", 1_000_000))
			if r := a.Do("mno", "POST", path, body); r.Status != 201 {
				t.Fatalf("%d %.200s", r.Status, r.Body)
			}
		}
		for _, filter := range []string{"name=n", "description.ne=y"} {
			seen, next := 0, path+"?"+filter+"&limit=1000&sort=id"
			for pages := 0; next != "" && pages < all; pages++ {
				r := a.Do("mno", "GET", next, nil)
				if len(r.Body) > 18<<20 || r.Header.Get("X-Total-Count") != fmt.Sprint(all) {
					t.Errorf("a page of %d bytes of %s", len(r.Body), r.Header.Get("X-Total-Count"))
				}
				for _, thing := range r.List() {
					if thing["id"] != fmt.Sprintf("t%02d", seen) {
						t.Errorf("%v comes as number %d", thing["id"], seen)
					}
					seen++
				}
				next = ""
				for _, link := range r.Header["Link"] {
					if to, ok := strings.CutSuffix(link, `>; rel="next"`); ok {
						next = strings.TrimPrefix(to, "<")
					}
				}
			}
			if seen != all {
				t.Errorf("?%s: %d came in all", filter, seen)
			}
		}
	})
}

// What is indexed is short: PostgreSQL could not keep it otherwise.
func TestIndexedTextHasALimit(t *testing.T) {
	serve(t, func(t *testing.T, a *tmftest.API, _ *store.DB) {
		long, fits := strings.Repeat("ö", 501), strings.Repeat("x", 1000)
		for _, attr := range []string{`"name":%q`, `"name":"a","offering":{"id":%q}`, `"name":"a","relatedParty":[{"id":"b","@referredType":"X"},{"id":%q,"@referredType":"X"}]`} {
			if r := a.Do("mno", "POST", path, fmt.Sprintf("{"+attr+"}", long)); r.Status != 400 || !strings.Contains(string(r.Body), "1000 bytes") {
				t.Errorf("%s: %d %.200s", attr, r.Status, r.Body)
			}
			if r := a.Do("mno", "POST", path, fmt.Sprintf("{"+attr+"}", fits)); r.Status != 201 {
				t.Errorf("%s: %d %.200s", attr, r.Status, r.Body)
			}
		}
		if r := a.Do("mno", "POST", path, `{"name":"a","description":"`+strings.Repeat("x", 9000)+`"}`); r.Status != 201 {
			t.Errorf("what has no index may be long: %d %.200s", r.Status, r.Body)
		}
	})
}
