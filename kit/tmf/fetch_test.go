package tmf_test

import (
	"fmt"
	"testing"

	"tandem/kit/fault"
	"tandem/kit/store"
	"tandem/kit/tmf/tmftest"
)

// What was read ahead is what the transaction would read: with what it changes
// itself, without what is not there, and of its own tenant.
func TestFetch(t *testing.T) {
	tmftest.Each(t, nil, kinds, func(t *testing.T, db *store.DB) {
		mno := store.Scope{Tenant: "mno", Actor: "test"}
		write := func(f func(tx *store.Tx) error) {
			t.Helper()
			if err := db.Write(t.Context(), mno, f); err != nil {
				t.Fatal(err)
			}
		}
		var ids []string
		write(func(tx *store.Tx) error {
			for i := range 70 { // more than one statement takes
				x := &Thing{Name: fmt.Sprint("thing ", i)}
				if x.ID = fmt.Sprintf("t%02d", i); things.Create(tx, x) != nil {
					return fmt.Errorf("thing %d was refused", i)
				}
				ids = append(ids, x.ID)
			}
			return nil
		})
		write(func(tx *store.Tx) error {
			if err := things.Fetch(tx, append(ids, "none", "t03", ""), true); err != nil {
				return err
			}
			for i, id := range ids {
				if x, err := things.Get(tx, id); err != nil || x.Name != fmt.Sprint("thing ", i) {
					return fmt.Errorf("%s: %v", id, err)
				}
			}
			if _, err := things.Get(tx, "none"); !fault.Is(err, fault.NotFound) {
				t.Errorf("none is there: %v", err)
			}
			if _, err := things.Get(tx.As(store.Scope{Tenant: "mvno"}), "t03"); !fault.Is(err, fault.NotFound) {
				t.Errorf("another tenant has it: %v", err)
			}
			for _, name := range []string{"once", "twice"} {
				if _, err := things.Edit(tx, "t03", func(x *Thing) error { x.Name = name; return nil }); err != nil {
					return err
				}
				if x, err := things.Get(tx, "t03"); err != nil || x.Name != name {
					return fmt.Errorf("its own change: %v", err)
				}
			}
			old, err := things.Lock(tx, "t04")
			if err != nil {
				return err
			}
			if err := things.Remove(tx, old); err != nil {
				return err
			}
			if _, err := things.Lock(tx, "t04"); !fault.Is(err, fault.NotFound) {
				t.Errorf("what was removed is there: %v", err)
			}
			made := &Thing{Name: "late"}
			made.ID = "none"
			if err := things.Create(tx, made); err != nil {
				return err
			}
			if x, err := things.Get(tx, "none"); err != nil || x.Name != "late" {
				return fmt.Errorf("what was made: %v", err)
			}
			return nil
		})
		write(func(tx *store.Tx) error {
			found, err := things.GetMany(tx, []string{"t03", "none"})
			if err != nil || found[0].Name != "twice" || found[1].Name != "late" {
				t.Errorf("stored: %v, %v", found, err)
			}
			if _, err := things.Get(tx, "t04"); !fault.Is(err, fault.NotFound) {
				t.Errorf("t04 is stored: %v", err)
			}
			return nil
		})
	})
}
