package tenancy

import (
	"bytes"
	"testing"
	"time"

	"tandem/bss/party"
	"tandem/kit/store"
)

// Whoever is suspended, loses a permission or whose token is withdrawn hears no more,
// from the first event on that comes after it.
func TestWhoIsRevokedHearsNoMore(t *testing.T) {
	each(t, func(r *rig) {
		root := who{r, superuser, ""}
		r.must(201, root.do("POST", "/access/v1/users", map[string]any{"id": "ann", "password": "a long enough password", "roles": []string{"admin"}}))
		login := r.must(200, who{r, "", ""}.do("POST", "/access/v1/login", map[string]any{"tenant": "alpha", "user": "ann", "password": "a long enough password"}))
		narrow := map[string]any{"title": "x", "permissions": []any{map[string]any{"api": "TMF632", "kind": "*", "verbs": []string{"read"}},
			map[string]any{"api": "TMF632", "kind": "hub", "verbs": []string{"create"}}}}
		r.must(200, root.do("PUT", "/access/v1/roles/narrow", narrow))
		ann, ci, part := who{r, login.object()["token"].(string), ""}, r.admin("alpha", "ci"), r.admin("alpha", "part", "narrow")
		ears := map[string]*listener{}
		for name, w := range map[string]who{"ann": ann, "ci": ci, "part": part, "root": root} {
			ears[name] = newListener(t)
			r.must(201, w.do("POST", "/tmf-api/party/v4/hub", map[string]any{"callback": ears[name].url}))
		}
		r.say("before")
		for _, l := range ears {
			l.await(t, "before")
		}
		r.must(200, root.do("PATCH", "/access/v1/users/ann", map[string]any{"status": "suspended"}))
		r.must(204, root.do("DELETE", "/access/v1/tokens/ci", nil))
		narrow["permissions"] = []any{map[string]any{"api": "TMF632", "kind": "individual", "verbs": []string{"read"}}}
		r.must(200, root.do("PUT", "/access/v1/roles/narrow", narrow))
		r.say("after")
		r.must(201, root.do("POST", "/tmf-api/party/v4/individual", map[string]any{"givenName": "still", "familyName": "heard"}))
		ears["root"].await(t, "after")
		ears["part"].await(t, "still")
		r.passed(4)
		for _, name := range []string{"ann", "ci", "part"} {
			ears[name].mu.Lock()
			for _, e := range ears[name].got {
				if bytes.Contains(e, []byte("after")) || name != "part" && bytes.Contains(e, []byte("still")) {
					t.Errorf("%s heard %s", name, e)
				}
			}
			ears[name].mu.Unlock()
		}
		r.must(200, root.do("PATCH", "/access/v1/users/ann", map[string]any{"status": "active"}))
		r.say("again")
		ears["ann"].await(t, "again")
	})
}

// say makes an event.
func (r *rig) say(word string) {
	r.Helper()
	err := r.app.DB.Write(r.Context(), store.Scope{Tenant: "alpha", Actor: "test"}, func(tx *store.Tx) error {
		return party.Organizations.Create(tx, &party.Organization{TradingName: word})
	})
	if err != nil {
		r.Fatal(err)
	}
}

// passed waits until all n subscriptions have gone past every change.
func (r *rig) passed(n int64) {
	r.Helper()
	late, tick := time.After(60*time.Second), time.NewTicker(20*time.Millisecond)
	defer tick.Stop()
	for left := int64(-1); left != 0; {
		select {
		case <-tick.C:
		case <-late:
			r.Fatalf("%d of %d subscriptions are behind", left, n)
		}
		err := r.app.DB.Read(r.Context(), store.Scope{Tenant: "alpha"}, func(tx *store.Tx) error {
			var all int64
			if err := tx.Row("SELECT count(*), coalesce(sum(CASE WHEN cursor < (SELECT max(seq) FROM tmf_change) THEN 1 ELSE 0 END), 0) FROM tmf_hub WHERE tenant = $1").Scan(&all, &left); err != nil {
				return err
			}
			if all != n {
				r.Fatalf("%d subscriptions", all)
			}
			return nil
		})
		if err != nil {
			r.Fatal(err)
		}
	}
}
