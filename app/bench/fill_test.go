package bench

import (
	"testing"

	"tandem/app/verify"
	"tandem/bss/subscription"
	"tandem/kit/store"
	"tandem/kit/tmf"
)

// Lines that exist before a measurement are whole: network, inventory and billing
// agree on each of them.
func TestExistingLinesAreWhole(t *testing.T) {
	const lines = 120
	for _, engine := range []store.Dialect{store.SQLite, store.Postgres} {
		t.Run(engine.String(), func(t *testing.T) {
			r, err := newRig(t.Context(), quietly(t, engine))
			if err != nil {
				t.Fatal(err)
			}
			defer r.Stop()
			if err := r.stock(t.Context(), owners); err != nil {
				t.Fatal(err)
			}
			for _, n := range []int{lines / 2, lines, lines} { // a store that was kept is filled up
				if err := r.fill(t.Context(), n); err != nil {
					t.Fatal(err)
				}
			}
			got, err := r.Verify(t.Context(), func(string) {}, func(m verify.Mismatch) error {
				t.Errorf("%v", m)
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if all := int64(lines + 6); got.Products != all || got.Services != all || got.Resources != all || got.Items <= lines {
				t.Errorf("%+v", got)
			}
			err = r.DB.Read(t.Context(), scope, func(tx *store.Tx) error {
				n, err := subscription.Products.Count(tx, tmf.Where{"status": subscription.Active, "relatedParty.id": buyer(5)})
				if n != lines/6 { // ten of either filling
					t.Errorf("buyer 5 has %d lines", n)
				}
				return err
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
}
