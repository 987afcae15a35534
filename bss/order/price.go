package order

import (
	"slices"
	"strconv"
	"time"

	"tandem/bss/catalog"
	"tandem/bss/subscription"
	"tandem/kit/tmf"
)

// concerning are those of the prices of an offering that a product owes which is
// ordered at the instant, with these characteristics at these places.
func concerning(prices []*catalog.ProductOfferingPrice, at time.Time, chars []tmf.Characteristic, places []string) []*catalog.ProductOfferingPrice {
	return slices.DeleteFunc(slices.Clone(prices), func(p *catalog.ProductOfferingPrice) bool {
		return !p.ValidFor.Holds(at) || !p.Concerns(chars, places)
	})
}

// itemPrices are prices as the order shows them, what lowers them as a negative
// amount. A percentage has no amount to show.
func itemPrices(prices []*catalog.ProductOfferingPrice) ([]OrderPrice, error) {
	var out []OrderPrice
	for _, p := range prices {
		if p.Price == nil {
			continue
		}
		amount, err := p.Signed(*p.Price)
		if err != nil {
			return nil, err
		}
		out = append(out, OrderPrice{Name: p.Name, PriceType: p.PriceType, RecurringChargePeriod: period(p),
			Price: &subscription.Price{DutyFreeAmount: &amount}, ProductOfferingPrice: &Ref{ID: p.ID, Name: p.Name}})
	}
	return out, nil
}

func period(p *catalog.ProductOfferingPrice) string {
	if p.RecurringChargePeriodLength != nil && *p.RecurringChargePeriodLength != 1 {
		return strconv.FormatInt(*p.RecurringChargePeriodLength, 10) + " " + p.RecurringChargePeriodType
	}
	return p.RecurringChargePeriodType
}

// totals sums the item prices of an order by type, period and currency. Sums that
// would overflow are left out: they are for show, bills are made of items.
func totals(items []Item) []OrderPrice {
	var out []OrderPrice
	for _, it := range items {
		for _, p := range it.ItemPrice {
			amount, err := p.Price.DutyFreeAmount.Mul(quantity(&it))
			if err != nil {
				continue
			}
			i := 0
			for i < len(out) && (out[i].PriceType != p.PriceType || out[i].RecurringChargePeriod != p.RecurringChargePeriod ||
				out[i].Price.DutyFreeAmount.Currency != amount.Currency) {
				i++
			}
			if i == len(out) {
				out = append(out, OrderPrice{PriceType: p.PriceType, RecurringChargePeriod: p.RecurringChargePeriod, Price: &subscription.Price{DutyFreeAmount: &amount}})
				continue
			}
			if sum, err := out[i].Price.DutyFreeAmount.Add(amount); err == nil {
				out[i].Price.DutyFreeAmount = &sum
			}
		}
	}
	return out
}
