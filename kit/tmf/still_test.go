package tmf_test

import (
	"errors"
	"testing"

	"tandem/kit/fault"
	"tandem/kit/store"
	"tandem/kit/tmf"
	"tandem/kit/tmf/tmftest"
)

var stillThings = tmf.Kind[Thing, *Thing]{API: api, Name: "stillThing", Table: "test_still", Verbs: tmf.All, Still: true}

// What a process keeps of a catalogue is what the store has: a change is seen by the
// transaction that makes it at once, by all others when it is committed and never if
// it is not, and no tenant has what another keeps.
func TestKeptCatalogueIsTheStored(t *testing.T) {
	tmftest.Each(t, nil, []tmf.Mounted{&stillThings}, func(t *testing.T, db *store.DB) {
		scope := store.Scope{Tenant: "mno", Actor: "test"}
		taken := errors.New("taken back")
		write := func(f func(tx *store.Tx) error) {
			t.Helper()
			if err := db.Write(t.Context(), scope, f); err != nil && !errors.Is(err, taken) {
				t.Fatal(err)
			}
		}
		rename := func(tx *store.Tx, name string) error {
			_, err := stillThings.Edit(tx, "a", func(x *Thing) error { x.Name = name; return nil })
			return err
		}
		look := func(tx *store.Tx, want string) error {
			for _, id := range []string{"a", "a"} {
				one, err := stillThings.Look(tx, id)
				if err != nil || one.Name != want {
					t.Errorf("looked: %v %v, want %q", one, err, want)
				}
			}
			many, err := stillThings.GetMany(tx, []string{"b", "a"})
			if err != nil || many[1].Name != want || many[0].Name != "other" {
				t.Errorf("many: %v %v, want %q", many, err, want)
			}
			return nil
		}
		see := func(want string) (kept *Thing) {
			t.Helper()
			if err := db.Read(t.Context(), scope, func(tx *store.Tx) error {
				kept, _ = stillThings.Look(tx, "a")
				return look(tx, want)
			}); err != nil {
				t.Fatal(err)
			}
			return kept
		}
		write(func(tx *store.Tx) error {
			for _, id := range []string{"a", "b"} {
				x := &Thing{Name: map[string]string{"a": "first", "b": "other"}[id]}
				if x.ID = id; stillThings.Create(tx, x) != nil {
					t.Fatalf("%s was refused", id)
				}
			}
			return nil
		})
		if see("first") != see("first") {
			t.Error("each transaction reads the store anew")
		}
		write(func(tx *store.Tx) error {
			if err := errors.Join(look(tx, "first"), rename(tx, "second"), look(tx, "second"), rename(tx, "third"), look(tx, "third")); err != nil {
				return err
			}
			return taken
		})
		see("first")
		write(func(tx *store.Tx) error {
			mine, err := stillThings.Get(tx, "a")
			if err != nil {
				return err
			}
			mine.Name = "mine" // nobody else's
			if err := look(tx, "first"); err != nil {
				return err
			}
			return errors.Join(rename(tx, "second"), look(tx, "second"))
		})
		see("second")
		write(func(tx *store.Tx) error {
			if _, err := stillThings.Look(tx.As(store.Scope{Tenant: "mvno"}), "a"); !fault.Is(err, fault.NotFound) {
				t.Errorf("another tenant has it: %v", err)
			}
			old, err := stillThings.Lock(tx, "a")
			if err != nil {
				return err
			}
			if err := stillThings.Remove(tx, old); err != nil {
				return err
			}
			if _, err := stillThings.Look(tx, "a"); !fault.Is(err, fault.NotFound) {
				t.Errorf("what was removed is there: %v", err)
			}
			return nil
		})
		if err := db.Read(t.Context(), scope, func(tx *store.Tx) error {
			_, err := stillThings.Look(tx, "a")
			return err
		}); !fault.Is(err, fault.NotFound) {
			t.Errorf("what was removed is there: %v", err)
		}
	})
}
