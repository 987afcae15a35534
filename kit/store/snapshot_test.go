package store_test

import (
	"testing"

	"tandem/kit/store"
	"tandem/kit/store/storetest"
)

// A snapshot is taken at every use of a connection, also at those (the 64th, the 128th) at
// which the connection forgets its plans first.
func TestSnapshotsOfAConnectionOftenUsed(t *testing.T) {
	storetest.Each(t, schema, func(t *testing.T, db *store.DB) {
		for n := range 300 {
			err := db.Snapshot(t.Context(), mno, func(tx *store.Tx) error {
				var n int64
				return tx.Row("SELECT count(*) FROM item WHERE tenant = $1").Scan(&n)
			})
			if err != nil {
				t.Fatalf("snapshot %d: %v", n+1, err)
			}
		}
	})
}
