package revenue_test

import (
	"fmt"
	"math/big"
	"os"
	"strconv"
	"strings"
	"testing"

	"tandem/bss/billing"
	"tandem/bss/subscription"
	"tandem/fact"
	"tandem/kit/store"
	"tandem/kit/tmf"
	"tandem/oss/inventory"
)

// sellMany makes products that run since 40 days; every hundredth is not billed.
func (h *house) sellMany(n int) {
	h.Helper()
	at := now.AddDate(0, 0, -40)
	const together = 250
	for first := 0; first < n; first += together {
		ids := make([]string, 0, together)
		for i := first; i < min(n, first+together); i++ {
			ids = append(ids, fmt.Sprintf("many-%07d", i))
		}
		h.must(func(tx *store.Tx) error {
			for _, id := range ids {
				s := &inventory.Service{Name: id, State: inventory.Active, ServiceSpecification: &tmf.Ref{ID: "line"}}
				s.ID = "s-" + id
				p := &subscription.Product{Status: subscription.PendingActive, ProductOffering: &subscription.Ref{ID: h.offering}, OrderDate: at, BillingAccount: &subscription.Ref{ID: h.account},
					RelatedParty: []tmf.RelatedParty{{ID: h.customer, Role: "customer"}}, RealizingService: []subscription.ServiceRef{{ID: s.ID}}}
				p.ID = id
				if err := inventory.Services.Create(tx, s); err != nil {
					return err
				}
				if err := subscription.Create(tx, p); err != nil {
					return err
				}
			}
			return nil
		})
		h.must(func(tx *store.Tx) error {
			for _, id := range ids {
				if err := subscription.Activate(tx, fact.ServiceActive{Service: "s-" + id, External: fact.External{Product: id}, At: at}); err != nil {
					return err
				}
			}
			return nil
		})
		h.must(func(tx *store.Tx) error {
			for _, id := range ids {
				if strings.HasSuffix(id, "00") {
					continue
				}
				if err := billing.Begin(tx, fact.ProductActive{Product: id, Offering: h.offering, Customer: h.customer, BillingAccount: h.account, Service: "s-" + id, At: at}); err != nil {
					return err
				}
			}
			return nil
		})
	}
}

// TestManyProducts goes through more pages than one; TANDEM_REVENUE_PRODUCTS says how many
// products there are.
func TestManyProducts(t *testing.T) {
	n := 900
	if text := os.Getenv("TANDEM_REVENUE_PRODUCTS"); text != "" {
		var err error
		if n, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	each(t, func(h *house) {
		h.sellMany(n)
		lost := int64(n+99) / 100
		r := h.run("R2").Result[0]
		each, _ := new(big.Rat).SetString(worth("19.99", 40))
		want := strings.TrimRight(new(big.Rat).Mul(each, big.NewRat(lost, 1)).FloatString(9), "0")
		if r.Left != int64(n) || r.Right != int64(n)-lost || r.Findings != lost || r.Opened != lost || len(r.Leakage) != 1 || r.Leakage[0].Decimal() != want {
			h.Errorf("%+v, want %d findings of %s", r, lost, want)
		}
		h.Logf("%d products: R2 took %d ms", n, r.Millis)
	})
}
