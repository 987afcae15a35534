package bench

import (
	"context"
	"fmt"
	"time"

	"tandem/bss/billing"
	"tandem/bss/catalog"
	"tandem/kit/money"
	"tandem/kit/store"
	"tandem/kit/tmf"
)

// compare works all bills of the run out once more: as they were, and with another price of
// the first charge. Every bill has to come to the same, and every one to differ by the price.
func (b *billingRun) compare(ctx context.Context, run *billing.BillRun, r *Result) error {
	b.options.say("comparing the bills with what they would be")
	c := &billing.BillComparison{BillRun: &tmf.Ref{ID: run.ID}, Change: []billing.PriceChange{{ProductOfferingPrice: &tmf.Ref{ID: "price-0"}, With: &tmf.Ref{ID: "price-0-next"}}}}
	if err := b.DB.Write(ctx, scope, func(tx *store.Tx) error { return otherPrices(tx) }); err != nil {
		return err
	}
	began := time.Now()
	if err := b.DB.Write(ctx, scope, func(tx *store.Tx) error {
		again := *c
		err := billing.BillComparisons.OnPost(tx, &again)
		*c = again
		return err
	}); err != nil {
		return err
	}
	for c.Working() {
		select {
		case <-time.After(20 * time.Millisecond): // a benchmark's end, not a test's signal
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := b.DB.Read(ctx, scope, func(tx *store.Tx) (err error) {
			c, err = billing.BillComparisons.Get(tx, c.ID)
			return err
		}); err != nil {
			return err
		}
	}
	n := int64(b.options.Accounts)
	r.Own["compare_seconds"], r.Own["compare_per_second"] = time.Since(began).Seconds(), float64(n)/time.Since(began).Seconds()
	if p := c.Progress; c.State != billing.ComparisonDone || p.Reproduced != n || p.Changed != n || p.Lines < n {
		r.fail("the comparison is %s: of %d bills %d come to the same, %d would differ in %d lines", c.State, p.Bills, p.Reproduced, p.Changed, p.Lines)
	}
	return nil
}

// otherPrices makes the price of the first charge in the catalogue, and the one in its place.
func otherPrices(tx *store.Tx) error {
	amount, err := money.ParseRate(benchCharges[0].amount, money.EUR)
	if err != nil {
		return err
	}
	for id, more := range map[string]int64{"price-0": 0, "price-0-next": 1e9} {
		p := &catalog.ProductOfferingPrice{Name: benchCharges[0].name, PriceType: "recurring", RecurringChargePeriodType: "month", LifecycleStatus: catalog.InDesign,
			Price: &tmf.Money{Nano: amount.Nano + more, Currency: money.EUR}}
		p.ID = id
		if err := catalog.OfferingPrices.Create(tx, p); err != nil {
			return fmt.Errorf("price %s: %w", id, err)
		}
	}
	return nil
}
