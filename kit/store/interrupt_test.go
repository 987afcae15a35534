package store_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"tandem/kit/store"
	"tandem/kit/store/storetest"
)

// endless is a query that no patience waits for.
const endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000000000000) SELECT count(*) FROM n"

// A reader whose caller has gone stops, and serves the next.
func TestAReaderStopsWithItsCaller(t *testing.T) {
	storetest.Each(t, nil, func(t *testing.T, db *store.DB) {
		for range 10 { // more than there are readers
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			var n int64
			done := make(chan error, 1)
			go func() {
				done <- db.Read(ctx, store.Scope{}, func(tx *store.Tx) error { return tx.System().Row(endless).Scan(&n) })
			}()
			select {
			case err := <-done:
				if !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("it ended with %v", err)
				}
			case <-time.After(20 * time.Second):
				t.Fatal("it goes on without its caller")
			}
			cancel()
		}
		if err := db.Ready(t.Context()); err != nil {
			t.Errorf("afterwards: %v", err)
		}
	})
}
