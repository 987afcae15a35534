package revenue

import (
	"fmt"
	"slices"
	"testing"

	"tandem/kit/access"
	"tandem/kit/outbox"
	"tandem/kit/store"
	"tandem/kit/tmf/tmftest"
	"tandem/kit/work"
)

// What is held against each other is read at one state of the store, and what only one
// state shows was under way.
func TestWhatIsUnderWayIsNotTold(t *testing.T) {
	schemas := append([]store.Schema{outbox.Schema(), work.Schema(), access.Schema()}, Schemas...)
	tmftest.Each(t, schemas, Kinds(), func(t *testing.T, db *store.DB) {
		scope := store.Scope{Tenant: "mno", Actor: "test"}
		control, _ := builtin("R20")
		c, err := newCheck(t.Context(), db, scope, Doors{}, control, "run")
		if err != nil {
			t.Fatal(err)
		}
		count := func(tx *store.Tx) (n int64) {
			if err := tx.Row("SELECT count(*) FROM revenue_setting WHERE tenant = $1").Scan(&n); err != nil {
				t.Fatal(err)
			}
			return n
		}
		looks := 0
		err = c.surely(func(tx *store.Tx, found func(leak) error) error {
			looks++
			here := count(tx)
			if err := db.Write(t.Context(), scope, func(tx *store.Tx) error {
				_, err := tx.Exec("INSERT INTO revenue_setting (tenant, control, doc) VALUES ($1, $2, '')", fmt.Sprint(looks))
				return err
			}); err != nil {
				return err
			}
			if there := count(tx); here != there {
				t.Errorf("look %d sees %d and then %d", looks, here, there)
			}
			if looks == 1 {
				if err := found(leak{key: "passes", class: DoesNotAddUp, side: Risk}); err != nil {
					return err
				}
			} else if err := found(leak{key: "comes", class: DoesNotAddUp, side: Risk}); err != nil {
				return err
			}
			return found(leak{key: "stands", class: DoesNotAddUp, side: Risk})
		})
		if err != nil {
			t.Fatal(err)
		}
		var keys []string
		if err := Findings.Each(t.Context(), db, scope, func(f *Finding) error { keys = append(keys, f.Key); return nil }); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(keys, []string{"stands"}) || looks != 2 {
			t.Errorf("after %d looks it tells %v", looks, keys)
		}
	})
}
