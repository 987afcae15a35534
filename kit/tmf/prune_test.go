package tmf_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"tandem/kit/store"
	"tandem/kit/tmf/tmftest"
)

// Old change records go, but for those that a subscriber has still to be told of;
// he is told of all of them, in order, and of what comes later.
func TestOldChangesArePruned(t *testing.T) {
	clocked(t, func(t *testing.T, a *tmftest.API, db *store.DB, ahead *atomic.Int64) {
		var away atomic.Bool
		away.Store(true)
		got := make(chan string, 100)
		sub := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if away.Load() {
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			got <- nameIn(t, r)
		}))
		defer sub.Close()
		a.Hub.Stop() // while the subscriber is behind
		const total = 700
		err := db.Write(t.Context(), store.Scope{Tenant: "mno"}, func(tx *store.Tx) error {
			for i := range total {
				if err := things.Create(tx, &Thing{Name: fmt.Sprint(i)}); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if r := a.Do("mno", "POST", hubPath, map[string]any{"callback": sub.URL}); r.Status != 201 {
			t.Fatalf("subscribe: %d %s", r.Status, r.Body)
		}
		id := a.Do("mno", "POST", path, `{"name":"kept"}`).Object()["id"].(string)
		other := a.Do("mvno", "POST", path, `{"name":"another's"}`).Object()["id"].(string)
		ahead.Store(int64(31 * 24 * time.Hour))
		a.Do("mno", "PATCH", path+"/"+id, `{"name":"young"}`)
		month := func() time.Time { return db.Now().Add(-30 * 24 * time.Hour) }
		prune := func(want int64) {
			t.Helper()
			if n, err := a.Hub.Prune(t.Context(), month()); err != nil || n != want {
				t.Errorf("pruned %d records, %v; want %d", n, err, want)
			}
		}
		prune(total + 1) // all that nobody waits for, the other tenant's too
		prune(0)
		if h := history(t, a.Do("mno", "GET", path+"/"+id+"/history", nil)); len(h) != 2 {
			t.Errorf("of what the subscriber waits for %d records are left", len(h))
		}
		if r := a.Do("mvno", "GET", path+"/"+other+"/history", nil); r.Status != 200 || string(r.Body) != "[]" {
			t.Errorf("a history that is forgotten: %d %s", r.Status, r.Body)
		}
		if r := a.Do("mno", "GET", path+"/"+other+"/history", nil); r.Status != 404 {
			t.Errorf("another's history that is forgotten: %d %s", r.Status, r.Body)
		}

		away.Store(false)
		a.Hub.Start(t.Context())
		for _, want := range []string{"kept", "young"} {
			if name := next(t, got, want); name != want {
				t.Errorf("told of %s, want %s", name, want)
			}
		}
		a.Do("mno", "PATCH", path+"/"+id, `{"name":"new"}`)
		if name := next(t, got, "new"); name != "new" {
			t.Errorf("told of %s, want the new change", name)
		}
		for deadline := time.Now().Add(20 * time.Second); ; { // until the cursor has followed
			n, err := a.Hub.Prune(t.Context(), month())
			if err != nil || time.Now().After(deadline) {
				t.Fatalf("what he was told of is not pruned: %v", err)
			}
			if n == 1 {
				break
			}
		}
		h := history(t, a.Do("mno", "GET", path+"/"+id+"/history", nil))
		if len(h) != 2 || h[0].Op != "change" || h[0].Before["name"] != "kept" || h[1].After["name"] != "new" {
			t.Errorf("the history of the last month: %+v", h)
		}
	})
}
