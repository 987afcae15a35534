package bench

import (
	"context"
	"fmt"
	"time"

	"tandem/app/mobile"
	"tandem/bss/subscription"
	"tandem/kit/store"
	"tandem/kit/tmf"
)

// fill makes products that exist before the measurement, as a migration would
// bring them: through the product inventory's own door.
func (r *rig) fill(ctx context.Context, n int) error {
	var have int64
	err := r.DB.Read(ctx, scope, func(tx *store.Tx) (err error) {
		have, err = subscription.Products.Count(tx, nil)
		return err
	})
	if err != nil || int(have) >= n {
		return err
	}
	r.options.say("filling the store up to %d products", n)
	const step = 2000
	began := time.Now()
	for i := int(have); i < n; i += step {
		if err := r.DB.Write(ctx, scope, func(tx *store.Tx) error {
			for j := i; j < min(i+step, n); j++ {
				if err := subscription.Products.Create(tx, existing(j)); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			return err
		}
		if i/100_000 != (i+step)/100_000 {
			r.options.say("  %d products, %.0f a second", i+step, float64(i+step-int(have))/time.Since(began).Seconds())
		}
	}
	return nil
}

var offerings = []string{mobile.Prepaid, mobile.FlatM, mobile.FlatL}

// existing is a product as it stands in a store that has grown: the states and
// dates spread, so that filters and sorts have something to do.
func existing(n int) *subscription.Product {
	p := &subscription.Product{Name: "Line " + fmt.Sprint(n), Status: subscription.Created, ProductOffering: &subscription.Ref{ID: offerings[n%3], Name: "Flat"},
		OrderDate:             time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(n) * time.Minute),
		StartDate:             time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(n*7919%3_000_000) * time.Minute),
		ProductCharacteristic: []tmf.Characteristic{tmf.Text("msisdn", fmt.Sprint(491500000000+n)), tmf.Text("iccid", fmt.Sprintf("8949018%012d", n))},
		RelatedParty:          []tmf.RelatedParty{{ID: buyer(n % owners), Role: "owner", ReferredType: "Customer"}}}
	p.ID = fmt.Sprintf("existing-%08d", n)
	return p
}
