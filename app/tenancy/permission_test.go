package tenancy

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"tandem/app"
	"tandem/kit/store"
	"tandem/kit/tmf"
)

// A role that may read one kind reads that kind, and does nothing else anywhere.
func TestAPermissionIsExactlyWhatItSays(t *testing.T) {
	each(t, func(r *rig) {
		root := who{r, superuser, ""}
		for n, k := range app.Kinds() {
			m := k.Meta()
			role := fmt.Sprintf("only-%d", n)
			r.must(200, root.do("PUT", "/access/v1/roles/"+role, map[string]any{"title": role,
				"permissions": []any{map[string]any{"api": m.API.ID, "kind": m.Name, "verbs": []string{"read"}}}}))
			r.onlyReads(r.admin("alpha", role, role), k)
		}
	})
}

func (r *rig) onlyReads(w who, k tmf.Mounted) {
	r.Helper()
	mine := k.Meta()
	for _, other := range app.Kinds() {
		m := other.Meta()
		reads := http.StatusForbidden
		if m.API == mine.API && m.Name == mine.Name {
			reads = http.StatusOK
		}
		route := m.API.Base + "/" + m.Name
		for _, c := range []struct {
			method, path string
			verb         tmf.Verbs
			want         int
		}{
			{"GET", route, 0, reads}, {"GET", route + "/x", 0, missingOr(reads)}, {"GET", route + "/x/history", 0, missingOr(reads)},
			{"POST", route, tmf.Post, http.StatusForbidden}, {"PATCH", route + "/x", tmf.Patch, http.StatusForbidden}, {"DELETE", route + "/x", tmf.Delete, http.StatusForbidden},
		} {
			if c.verb != 0 && m.Verbs&c.verb == 0 {
				c.want = http.StatusMethodNotAllowed
			}
			var body any
			if c.method != "GET" {
				body = `{}`
			}
			if a := w.do(c.method, c.path, body); a.status != c.want {
				r.Errorf("who may read %s: %s %s: %d %s, want %d", mine.Name, c.method, c.path, a.status, a.body, c.want)
			}
		}
		hub := http.StatusForbidden
		if m.API == mine.API {
			hub = http.StatusOK
		}
		if a := w.do("GET", m.API.Base+"/hub", nil); a.status != hub {
			r.Errorf("who may read %s: hub of %s: %d, want %d", mine.Name, m.API.ID, a.status, hub)
		}
	}
	for _, c := range [][2]string{{"GET", "/access/v1/users"}, {"GET", "/access/v1/audit"}, {"POST", "/access/v1/tokens"}, {"POST", "/tandem-api/stock/v1/simCard"}} {
		if a := w.do(c[0], c[1], map[string]any{"id": "x"}); a.status != http.StatusForbidden {
			r.Errorf("who may read %s: %s %s: %d", mine.Name, c[0], c[1], a.status)
		}
	}
}

// missingOr turns the answer of a list into that of a resource that is not there.
func missingOr(list int) int {
	if list == http.StatusOK {
		return http.StatusNotFound
	}
	return list
}

// Every write of every kind leaves a line: by whom, from what, to what.
func TestNothingIsWrittenWithoutHistory(t *testing.T) {
	type line struct {
		actor, op     string
		before, after any
	}
	each(t, func(r *rig) {
		m := marks{"hist", "histt", "171234567"}
		w := r.admin("alpha", "writer")
		docs := w.populate(m)
		for _, k := range app.Kinds() {
			meta := k.Meta()
			route := meta.API.Base + "/" + meta.Name
			if meta.Rows {
				continue // served from what the journal of charges says, which is only ever added to
			}
			for _, doc := range docs[route] {
				path := route + "/" + url.PathEscape(doc["id"].(string))
				had := len(w.do("GET", path+"/history?limit=1000", nil).list())
				before := w.do("GET", path, nil)
				done := []line{}
				if meta.Verbs&tmf.Patch != 0 {
					if a := w.do("PATCH", path, map[string]any{"x-remark": "seen"}); a.status == http.StatusOK {
						done = append(done, line{"token:writer", "change", before.object(), a.object()})
						before = a
					}
				}
				if meta.Verbs&tmf.Delete != 0 {
					if a := w.do("DELETE", path, nil); a.status == http.StatusNoContent && w.do("GET", path, nil).status == http.StatusNotFound {
						done = append(done, line{"token:writer", "delete", before.object(), nil})
					}
				}
				all := w.do("GET", path+"/history?limit=1000", nil).list()
				if had == 0 || len(all) < had+len(done) {
					r.Errorf("%s: %d lines before, %d after %d writes", path, had, len(all), len(done))
					continue
				}
				if all[0]["op"] != "create" || all[0]["actor"] == "" || all[0]["before"] != nil {
					r.Errorf("%s began with %v", path, all[0])
				}
				r.continuous(path, all)
				if meta.API.ID == "TMF640" {
					continue // what is on an element is deleted by the one who takes it off
				}
				for i, want := range done {
					got := all[len(all)-len(done)+i]
					if got["actor"] != want.actor || got["op"] != want.op || !sameDoc(got["before"], want.before) || !sameDoc(got["after"], want.after) {
						r.Errorf("%s: %v, want %v", path, got, want)
					}
				}
			}
		}
	})
}

// continuous: each line begins with what the one before it left.
func (r *rig) continuous(path string, all []map[string]any) {
	r.Helper()
	for i := 1; i < len(all); i++ {
		if all[i]["rev"] != all[i-1]["rev"].(float64)+1 || !sameDoc(all[i]["before"], all[i-1]["after"]) {
			r.Errorf("%s: line %d does not go on from line %d", path, i, i-1)
		}
	}
}

func sameDoc(a, b any) bool {
	if m, ok := b.(map[string]any); ok && m == nil {
		b = nil
	}
	return fmt.Sprint(a) == fmt.Sprint(b)
}

// The keys of SIM cards go in and never come out.
func TestKeysOfCardsGoInAndStayIn(t *testing.T) {
	each(t, func(r *rig) {
		w := r.admin("alpha", "stock")
		key, opc := strings.Repeat("5eC2e7Aa", 4), strings.Repeat("0Ff1CeB5", 4)
		r.must(201, w.do("POST", "/tmf-api/resourcePoolManagement/v1/resourcePool", map[string]any{"id": "cards", "name": "Cards", "kind": "sim"}))
		card := func(n int, k string) map[string]any {
			return map[string]any{"iccid": fmt.Sprintf("89490000000000%04d", n), "imsi": fmt.Sprintf("26299000000%04d", n), "k": k, "opc": opc}
		}
		const route = "/tandem-api/stock/v1/simCard"
		deliver := func(pool string, cards ...any) map[string]any { return map[string]any{"pool": pool, "cards": cards} }
		got := [][]byte{r.must(201, w.do("POST", route, deliver("cards", card(1, key), card(2, key)))).body}
		for _, c := range []struct {
			rule string
			body any
			want int
		}{
			{"a card is in stock once", deliver("cards", card(3, key), card(1, key)), 409},
			{"a key has 32 digits", deliver("cards", card(4, key[1:])), 400},
			{"of hexadecimal", deliver("cards", card(4, "zz"+key[2:])), 400},
			{"a pool must be there", deliver("none", card(4, key)), 404},
			{"a pool has a name", deliver("a\x00", card(4, key)), 400},
			{"there are cards", deliver("cards"), 400},
			{"and nothing else", `{"pool":"cards","cards":[{"iccid":"1","kk":"` + key + `"}]}`, 400},
			{"it is JSON", `{"pool":"cards","cards":[{"k":"` + key, 400},
			{"of the right types", `{"pool":"cards","cards":[{"k":["` + key + `"]}]}`, 400},
			{"of moderate size", `{"pool":"` + strings.Repeat("x", 2<<20) + `"}`, 413},
		} {
			a := w.do("POST", route, c.body)
			if a.status != c.want {
				t.Errorf("%s: %d %s", c.rule, a.status, a.body)
			}
			got = append(got, a.body)
		}
		audit := w.do("GET", "/access/v1/audit?limit=1000", nil).body
		if !bytes.Contains(audit, []byte(`"stock.simCard"`)) || !bytes.Contains(audit, []byte(`"added":2`)) || bytes.Contains(audit, []byte("894900000000000003")) {
			t.Errorf("the audit: %s", audit)
		}
		got = append(got, audit, []byte(r.stored("inventory_sim", "sealed")), []byte(r.stored("access_audit", "after")))
		raw, _ := hex.DecodeString(key) // it is written above
		for _, text := range got {
			for _, secret := range [][]byte{[]byte(key), []byte(strings.ToLower(key)), []byte(opc), []byte(strings.ToLower(opc)), raw} {
				if bytes.Contains(text, secret) {
					t.Errorf("a key came out: %.300s", text)
				}
			}
		}
	})
}

// stored is all of a column of alpha's.
func (r *rig) stored(table, column string) (out string) {
	r.Helper()
	err := r.app.DB.Read(r.Context(), store.Scope{Tenant: "alpha"}, func(tx *store.Tx) error {
		rows, err := tx.Query("SELECT " + column + " FROM " + table + " WHERE tenant = $1")
		all, err := store.Collect(rows, err, func(x store.Rows) (b []byte, err error) {
			err = x.Scan(&b)
			return b, err
		})
		for _, b := range all {
			out += string(b) + "\n"
		}
		return err
	})
	if err != nil || out == "" {
		r.Fatalf("%s of %s: %q, %v", column, table, out, err)
	}
	return out
}
