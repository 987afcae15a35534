package outbox_test

import (
	"errors"
	"sync"
	"testing"

	"tandem/kit/outbox"
	"tandem/kit/store"
	"tandem/kit/store/storetest"
)

// A hearer reads ahead for all facts of a type and tenant that come together, and not
// for one that comes alone. If it cannot, each fact is handled by itself.
func TestAhead(t *testing.T) {
	storetest.Each(t, schemas, func(t *testing.T, db *store.DB) {
		var mu sync.Mutex
		var read, handled []int
		broken := false
		b := outbox.New(db, quiet())
		outbox.On(b, "counter", func(tx *store.Tx, f Lit) error {
			tx.OnCommit(func() {
				mu.Lock()
				handled = append(handled, f.Value)
				mu.Unlock()
			})
			return nil
		})
		outbox.Ahead(b, "counter", func(tx *store.Tx, facts []Lit) error {
			mu.Lock()
			defer mu.Unlock()
			if broken {
				return errors.New("out of sight")
			}
			for _, f := range facts {
				if tx.Tenant() != "mno" || len(facts) < 2 {
					t.Errorf("%d facts of %q", len(facts), tx.Tenant())
				}
				read = append(read, f.Value)
			}
			return nil
		})
		tell(t, db, Lit{"a", 1}, Lit{"b", 2}, Lit{"a", 3})
		start(t, b)
		idle(t, b)
		tell(t, db, Lit{"c", 4})
		idle(t, b)
		mu.Lock()
		if len(read) != 3 || len(handled) != 4 {
			t.Errorf("read ahead for %v, handled %v", read, handled)
		}
		broken = true
		mu.Unlock()
		tell(t, db, Lit{"d", 5}, Lit{"e", 6})
		idle(t, b)
		mu.Lock()
		defer mu.Unlock()
		if len(handled) != 6 || handled[4] != 5 || handled[5] != 6 {
			t.Errorf("handled %v", handled)
		}
	})
}
