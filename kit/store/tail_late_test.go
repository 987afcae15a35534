package store_test

import (
	"testing"

	"tandem/kit/store"
	"tandem/kit/store/storetest"
)

// Of two transactions the elder one commits first, with the higher row: the row
// of the younger one, which is the newest of all, must be waited for.
func TestTailWaitsForTheNewestTransaction(t *testing.T) {
	db := storetest.Open(t, store.Postgres, schema...)
	insert := func(tx *store.Tx) error {
		tx.Append()
		_, err := tx.Exec("INSERT INTO entry (tenant, n) VALUES ($1, 1)")
		return err
	}
	begun, drawn, goOn, end := make(chan struct{}), make(chan struct{}), make(chan struct{}), make(chan struct{})
	elder, younger := make(chan error, 1), make(chan error, 1)
	go func() {
		elder <- db.Write(t.Context(), mno, func(tx *store.Tx) error {
			tx.Append()
			if err := tx.System().Flush(); err != nil {
				return err
			}
			close(begun)
			<-goOn
			return insert(tx)
		})
	}()
	<-begun
	go func() {
		younger <- db.Write(t.Context(), mno, func(tx *store.Tx) error {
			if err := insert(tx); err != nil {
				return err
			}
			close(drawn)
			<-end
			return nil
		})
	}()
	<-drawn
	close(goOn)
	if err := <-elder; err != nil {
		t.Fatal(err)
	}
	tail := db.Tail("entry")
	for range 5 {
		if upto, err := tail.Upto(t.Context(), 0, 10); err != nil || upto != 0 {
			t.Errorf("the tail goes up to %d (%v) while row 1 is not committed", upto, err)
			break
		}
	}
	close(end)
	if err := <-younger; err != nil {
		t.Fatal(err)
	}
	if upto, err := tail.Upto(t.Context(), 0, 10); err != nil || upto != 2 {
		t.Fatalf("the tail goes up to %d (%v), want 2", upto, err)
	}
}
