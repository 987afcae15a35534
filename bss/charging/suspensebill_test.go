package charging_test

import (
	"fmt"
	"testing"

	"tandem/bss/charging"
	"tandem/edge/cdr"
	"tandem/kit/store"
)

// Usage that waits for somebody is counted on the account that will pay for it, also where
// its wallet names none.
func TestUsageInSuspenseIsCountedOnWhoWillPay(t *testing.T) {
	each(t, func(w *world) {
		m := w.mediate(cdr.FormatJSON)
		f := m.take("a.jsonl", lines(t, session("a", "491510001", 0, 1), session("b", "491510002", 0, 2))) // of nobody yet
		if f.Charged != 0 {
			t.Fatalf("%+v", f)
		}
		w.sell("mno", "p1", "prepaid", "491510001")
		w.sell("mno", "p2", "prepaid", "491510002")
		count := func() (n map[string]int64) {
			err := w.db.Write(w.Context(), store.Scope{Tenant: "mno", Actor: "test"}, func(tx *store.Tx) (err error) {
				if _, err = tx.Exec("UPDATE charging_account SET billing_account = '' WHERE tenant = $1 AND id = 'p2'"); err != nil {
					return err
				}
				n, err = charging.SuspendedOf(tx, map[string]string{"ba-p1": "", "ba-usual": "cust-p2"})
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
		if got := fmt.Sprint(count()); got != "map[ba-p1:1 ba-usual:1]" {
			t.Errorf("%s", got)
		}
	})
}
