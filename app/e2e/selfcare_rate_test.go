package e2e_test

import (
	"net/http"
	"testing"

	"tandem/edge/hlr/hlrtest"
	"tandem/kit/store"
)

// A customer who asks without end is refused, and neither the operator nor another customer is.
func TestOneCustomerClosesNothing(t *testing.T) {
	t.Parallel()
	for _, engine := range engines {
		t.Run(engine.String(), func(t *testing.T) {
			t.Parallel()
			e := hlrtest.Start(t)
			c := config(t, engine)
			c.Rate = 100
			o := start(t, c, e)
			o.seed(e.CTRL(), e.VTY(), 1)
			o.write(brand, func(tx *store.Tx) error { return buyer(tx, "bob") })
			ada, bob := o.owner(o.tokenOf(brand, customer)), o.owner(o.tokenOf(brand, "bob"))
			refused := 0
			for range 300 {
				var lines any
				switch status, err := ada.asks(t.Context(), http.MethodGet, "/selfcare/v1/lines", nil, &lines); status {
				case http.StatusTooManyRequests:
					refused++
				case http.StatusOK:
				default:
					t.Fatalf("%d, %v", status, err)
				}
			}
			if refused < 100 {
				t.Errorf("of 300 requests of one customer only %d are refused", refused)
			}
			for range 30 {
				if a := o.as(brand, http.MethodGet, orders, nil); a.status != http.StatusOK {
					t.Fatalf("the operator: %s", a)
				}
			}
			var lines any
			bob.must(t, http.MethodGet, "/selfcare/v1/lines", nil, &lines)
		})
	}
}

// Tokens that are over do not stay.
func TestTokensThatAreOverGo(t *testing.T) {
	each(t, func(t *testing.T, o *operator) {
		o.tokenOf(brand, customer)
		o.write(brand, func(tx *store.Tx) error {
			_, err := tx.Exec("UPDATE selfcare_token SET expires_at = 1 WHERE tenant = $1")
			return err
		})
		o.tokenOf(brand, customer)
		if n := o.count("SELECT count(*) FROM selfcare_token WHERE tenant = $1", brand); n != 1 {
			t.Errorf("%d tokens, one of them is valid", n)
		}
	})
}
