package tmf_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"tandem/kit/store"
	"tandem/kit/store/storetest"
	"tandem/kit/tmf"
)

// before and after are the same kind in two versions of the program: the later one
// promotes a plain attribute and the attribute of a list.
func before() *tmf.Kind[Thing, *Thing] {
	return &tmf.Kind[Thing, *Thing]{API: api, Name: "grown", Table: "test_grown", Verbs: tmf.All, Index: []string{"name"}}
}

func after() *tmf.Kind[Thing, *Thing] {
	k := before()
	k.Index, k.Multi = []string{"name", "description"}, []string{"relatedParty.id"}
	return k
}

const manyThings = 1100 // more than two pages of a backfill

func fillThings(t *testing.T, db *store.DB) {
	t.Helper()
	k := before()
	if err := tmf.Migrate(t.Context(), db, []tmf.Mounted{k}); err != nil {
		t.Fatal(err)
	}
	err := db.Write(t.Context(), store.Scope{Tenant: "mno"}, func(tx *store.Tx) error {
		for i := range manyThings {
			p := &Thing{Name: "n", Description: fmt.Sprint("d", i%2), RelatedParty: []tmf.RelatedParty{{ID: fmt.Sprint("p", i%2), ReferredType: "X"}}}
			if err := k.Create(tx, p); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func checkThings(t *testing.T, db *store.DB) {
	t.Helper()
	err := db.Read(t.Context(), store.Scope{Tenant: "mno"}, func(tx *store.Tx) error {
		for _, w := range []tmf.Where{{"description": "d1"}, {"relatedParty.id": "p1"}} {
			if n, err := after().Count(tx, w); err != nil || n != manyThings/2 {
				t.Errorf("%v finds %d, want %d: %v", w, n, manyThings/2, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// A start that ends after any of the commits of a migration is taken up by the next.
func TestMigrationCutOffAnywhereIsTakenUp(t *testing.T) {
	for _, engine := range []store.Dialect{store.SQLite, store.Postgres} {
		t.Run(engine.String(), func(t *testing.T) {
			for commits, done := 1, false; !done; commits++ {
				done = cutOff(t, engine, commits)
			}
		})
	}
}

// cutOff ends a migration after a number of commits and takes it up; true if it was
// through before.
func cutOff(t *testing.T, engine store.Dialect, commits int) bool {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	left, armed := commits, false
	c := storetest.Config(t, engine)
	c.Around = func(durable bool) {
		if armed && durable {
			if left--; left == 0 {
				cancel()
			}
		}
	}
	db := storetest.OpenConfig(t, c, tmf.Schema())
	defer db.Close()
	fillThings(t, db)
	armed = true
	err := tmf.Migrate(ctx, db, []tmf.Mounted{after()})
	armed = false
	if err != nil && !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if again := tmf.Migrate(t.Context(), db, []tmf.Mounted{after()}); again != nil {
		t.Fatalf("after %d commits a node cannot start any more: %v", commits, again)
	}
	checkThings(t, db)
	return err == nil
}

func TestNodesThatUpgradeTogether(t *testing.T) {
	storetest.Each(t, []store.Schema{tmf.Schema()}, func(t *testing.T, db *store.DB) {
		fillThings(t, db)
		var nodes sync.WaitGroup
		for range 3 {
			nodes.Go(func() {
				if err := tmf.Migrate(t.Context(), db, []tmf.Mounted{after()}); err != nil {
					t.Error(err)
				}
			})
		}
		nodes.Wait()
		checkThings(t, db)
	})
}
