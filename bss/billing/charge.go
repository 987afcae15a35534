package billing

import (
	"slices"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"tandem/bss/catalog"
	"tandem/bss/rating"
	"tandem/bss/subscription"
	"tandem/kit/fault"
	"tandem/kit/store"
	"tandem/kit/tmf"
)

// charge is a price of a product as it is owed: the catalogue's, with the amount
// agreed for this product if there is one.
type charge struct {
	price  *catalog.ProductOfferingPrice
	amount *tmf.Money
	goesOn *BillableItem // that ended, and is billed on as it was on another account; nil for none
}

// owed are the charges of a product that was ordered as an offering at the instant.
// A price that is billed already stays: it was valid when it was sold. What charging
// rates is billed by what was used, not from here, and what is paid from a balance is
// not billed at all.
func owed(tx *store.Tx, p *subscription.Product, o *catalog.ProductOffering, at time.Time, billed []*BillableItem) ([]charge, error) {
	prices, err := catalog.Prices(tx, o)
	if err != nil {
		return nil, err
	}
	var out []charge
	for _, price := range prices {
		if rating.Rates(price) || p.PaidFromBalance.Pays(price.ID) {
			continue
		}
		stays := slices.ContainsFunc(billed, func(i *BillableItem) bool { return i.open() && i.Price.ID == price.ID })
		if (stays || price.ValidFor.Holds(at)) && price.Concerns(p.ProductCharacteristic, p.Places()) {
			out = append(out, charge{price: price, amount: agreed(p, price)})
		}
	}
	return out, nil
}

// judged is the date by which prices are judged: that of the order. One that is
// not known, or later than the product begins, is not believed.
func judged(ordered, begins time.Time) time.Time {
	if ordered.IsZero() || ordered.After(begins) {
		return begins
	}
	return ordered
}

// agreed is the amount agreed for the product, or the catalogue's.
func agreed(p *subscription.Product, price *catalog.ProductOfferingPrice) *tmf.Money {
	for _, own := range p.ProductPrice {
		if own.ProductOfferingPrice != nil && own.ProductOfferingPrice.ID == price.ID && own.Price != nil && own.Price.DutyFreeAmount != nil {
			return own.Price.DutyFreeAmount
		}
	}
	return price.Price
}

// chargeType is the sort of charge of a price.
func chargeType(price *catalog.ProductOfferingPrice) string {
	switch {
	case price.Sort() == catalog.Recurring:
		return Recurring
	case price.Sort() == catalog.OneTime:
		return OneTime
	case price.Sort() == catalog.Usage:
		return Usage
	case price.IsAlteration():
		return Alteration
	}
	return price.PriceType
}

// whileSuspended is the charge policy of a price, an extension attribute of it.
func whileSuspended(price *catalog.ProductOfferingPrice) (string, error) {
	var own struct {
		Policy string `json:"chargeWhileSuspended"`
	}
	if price.Extra != nil {
		if err := json.Unmarshal(price.Extra, &own); err != nil {
			return "", fault.BadInput("invalidPolicy", "chargeWhileSuspended of price %q must be full or none", price.Name)
		}
	}
	switch own.Policy {
	case "":
		return ChargeNone, nil
	case ChargeFull, ChargeNone:
		return own.Policy, nil
	}
	return "", fault.BadInput("invalidPolicy", "chargeWhileSuspended of price %q is %q; it must be full or none", price.Name, own.Policy)
}

// item is a new billable item of the charge, frozen as the price is now.
func (c charge) item(p *subscription.Product, o *catalog.ProductOffering, account *Account, service string, from time.Time) (*BillableItem, error) {
	payer := &tmf.Ref{ID: account.ID, Name: account.Name, Href: account.Href, ReferredType: "BillingAccount"}
	if c.goesOn != nil {
		i := *c.goesOn
		if i.committed() > 0 {
			i.TermFrom = i.termFrom()
		}
		i.Entity, i.State, i.BillingAccount, i.ConfirmedBy, i.ServicePeriods = tmf.Entity{}, ItemActive, payer, service, nil
		i.From, i.To, i.Suspension = from, time.Time{}, nil
		return &i, nil
	}
	i := &BillableItem{
		State:           ItemActive,
		Product:         &tmf.Ref{ID: p.ID, Name: p.Name, Href: p.Href, ReferredType: "Product"},
		ProductOffering: &tmf.Ref{ID: o.ID, Name: o.Name, Version: o.Version, Href: o.Href, ReferredType: "ProductOffering"},
		BillingAccount:  payer, ConfirmedBy: service, From: from,
	}
	if err := i.take(c.price, c.amount); err != nil {
		return nil, err
	}
	if customer := p.Customer(); customer != "" {
		i.Customer = &tmf.Ref{ID: customer, ReferredType: "Customer"}
	}
	if i.ChargeType == OneTime {
		i.To, i.State = from, ItemEnded
	}
	return i, nil
}

// take freezes a price into the item, with an amount that may be another than the price's.
func (i *BillableItem) take(price *catalog.ProductOfferingPrice, amount *tmf.Money) (err error) {
	if i.ChargeWhileSuspended, err = whileSuspended(price); err != nil {
		return err
	}
	if i.Billing, err = billingTerms(price); err != nil {
		return err
	}
	i.Name, i.ChargeType = price.Name, chargeType(price)
	i.Price = &tmf.Ref{ID: price.ID, Name: price.Name, Version: price.Version, Href: price.Href, ReferredType: "ProductOfferingPrice"}
	i.Amount, i.Percentage, i.UnitOfMeasure, i.Tax, i.Alters = amount, price.Percentage, price.UnitOfMeasure, price.Tax, nil
	if err := i.lower(price); err != nil {
		return err
	}
	for _, r := range price.PopRelationship {
		i.Alters = append(i.Alters, r.ID)
	}
	i.PeriodUnit, i.PeriodCount = "", 0
	if unit, count, ok := price.Period(); ok {
		i.PeriodUnit, i.PeriodCount = unit, count
	}
	return nil
}

// lower makes what a discount takes away negative: the catalogue has it with
// either sign.
func (i *BillableItem) lower(price *catalog.ProductOfferingPrice) error {
	if i.Amount != nil {
		m, err := price.Signed(*i.Amount)
		if err != nil {
			return err
		}
		i.Amount = &m
	}
	if rate, ok := price.Percent(); ok && price.Lowers() && rate.Sign() > 0 {
		i.Percentage = jsontext.Value("-" + string(i.Percentage))
	}
	return nil
}
