package store_test

import (
	"errors"
	"testing"
	"time"

	"tandem/kit/store"
	"tandem/kit/store/storetest"
)

// Readers at different places of one tail, each before a hole of its own, do not
// make each other forget what they saw.
func TestTailHasManyReaders(t *testing.T) {
	db := storetest.Open(t, store.Postgres, schema...)
	changed := errors.New("changed my mind")
	write := func(fate error) {
		err := db.Write(t.Context(), mno, func(tx *store.Tx) error {
			tx.Append()
			if _, err := tx.Exec("INSERT INTO entry (tenant, n) VALUES ($1, 1)"); err != nil {
				return err
			}
			return fate
		})
		if !errors.Is(err, fate) {
			t.Fatal(err)
		}
	}
	for range 10 {
		write(nil)
		write(changed)
	}
	write(nil)
	tail := db.Tail("entry")
	at := []int64{0, 5, 11}
	late := time.After(20 * time.Second) // others may write to the same server meanwhile
	for at[0] < 21 || at[1] < 21 || at[2] < 21 {
		for i := range at {
			var err error
			if at[i], err = tail.Upto(t.Context(), at[i], 3); err != nil {
				t.Fatal(err)
			}
		}
		select {
		case <-late:
			t.Fatalf("the readers stand at %v of 21", at)
		default:
		}
	}
}
