package inventory_test

import (
	"fmt"
	"sync"
	"testing"

	"tandem/kit/fault"
	"tandem/kit/store"
	"tandem/kit/tmf"
	"tandem/kit/tmf/tmftest"
	"tandem/oss/inventory"
)

// Somebody says that his service runs on a resource while another deletes that: one of
// them is refused, and no edge leads to what is not there.
func TestNoEdgeLeadsToWhatIsDeletedMeanwhile(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB, _ *tmftest.API) {
		said := 0
		for i := range 60 {
			id := fmt.Sprint("shelf", i)
			write(t, db, mno, func(tx *store.Tx) error {
				r := &inventory.Resource{Name: "shelf"}
				r.ID = id
				return inventory.Resources.Create(tx, r)
			})
			var say, drop error
			var wg sync.WaitGroup
			wg.Go(func() {
				say = db.Write(t.Context(), mno, func(tx *store.Tx) error {
					return inventory.Services.Create(tx, &inventory.Service{State: inventory.Active, ServiceSpecification: &tmf.Ref{ID: "line"},
						SupportingResource: []tmf.Ref{{ID: id}}})
				})
			})
			wg.Go(func() {
				drop = db.Write(t.Context(), mno, func(tx *store.Tx) error {
					r, err := inventory.Resources.Lock(tx, id)
					if err != nil {
						return err
					}
					return inventory.Resources.Remove(tx, r)
				})
			})
			wg.Wait()
			switch {
			case say == nil && fault.Is(drop, fault.Conflict):
				said++
			case drop == nil && fault.Is(say, fault.Invalid):
			default:
				t.Fatalf("%s: said: %v; deleted: %v", id, say, drop)
			}
		}
		read(t, db, func(tx *store.Tx) error {
			var edges, whole int
			err := tx.Row(`SELECT count(*), count(n.id) FROM inventory_edge e LEFT JOIN inventory_node n ON n.tenant = e.tenant AND n.id = e.from_id WHERE e.tenant = $1`).Scan(&edges, &whole)
			if edges != said || whole != said {
				t.Errorf("%d edges, %d of them from what is there; %d were said", edges, whole, said)
			}
			return err
		})
	})
}
