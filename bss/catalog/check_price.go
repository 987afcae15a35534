package catalog

import (
	"math/big"

	"tandem/kit/fault"
	"tandem/kit/store"
	"tandem/kit/tmf"
	"tandem/kit/transfer"
)

func defaultPrice(_ *store.Tx, p *ProductOfferingPrice) error {
	defaultState(&p.LifecycleStatus)
	return nil
}

func checkPrice(tx *store.Tx, old, p *ProductOfferingPrice) error {
	for _, check := range []func() error{
		p.checkAmount, p.checkPercentage, p.checkRecurrence, p.checkUnit, p.checkTax, p.checkComplete,
		func() error { return checkUseShapes(p.ProdSpecCharValueUse) },
		func() error { return checkTerms(p.ProductOfferingTerm) },
		func() error { return transfer.Later(tx, func() error { return checkPriceRefs(tx, old, p) }) },
	} {
		if err := check(); err != nil {
			return err
		}
	}
	if old == nil {
		return stamp(tx, nil, p, zero, &p.LastUpdate)
	}
	return stamp(tx, old, p, old.LastUpdate, &p.LastUpdate)
}

func (p *ProductOfferingPrice) checkAmount() error {
	if p.IsBundle == nil {
		bundle := len(p.BundledPopRelationship) > 0
		p.IsBundle = &bundle
	}
	switch {
	case len(p.BundledPopRelationship) > 0 && !*p.IsBundle:
		return fault.BadInput("notABundle", "A price with bundledPopRelationship has isBundle true")
	case p.Price == nil:
		return nil
	case p.Price.Currency.Code() == "":
		return fault.BadInput("invalidPrice", "price has no currency: give unit and value")
	case !p.Price.Currency.Active() && inForce(p.LifecycleStatus):
		return fault.BadInput("invalidPrice", "The currency %s is withdrawn", p.Price.Currency)
	case p.Price.Sign() < 0 && !p.IsAlteration():
		return fault.BadInput("negativePrice", "A price of type %q cannot be negative; a discount can", p.PriceType)
	case p.Percentage != nil:
		return fault.BadInput("invalidPrice", "A price has an amount or a percentage, not both")
	}
	return nil
}

// checkPercentage: only what alters another price is a percentage; nothing can be
// lowered by more than itself.
func (p *ProductOfferingPrice) checkPercentage() error {
	if p.Percentage == nil {
		return nil
	}
	if !p.IsAlteration() {
		return fault.BadInput("invalidPercentage", "percentage is for prices that alter another one (priceType discount, surcharge ...), not for %q", p.PriceType)
	}
	rate, ok := number(p.Percentage)
	if !ok || rate.Cmp(big.NewRat(-100, 1)) < 0 || rate.Cmp(big.NewRat(1000, 1)) > 0 {
		return fault.BadInput("invalidPercentage", "percentage is a number from -100 to 1000, not %.40s", p.Percentage)
	}
	if p.Sort() == "discount" && new(big.Rat).Abs(rate).Cmp(big.NewRat(100, 1)) > 0 {
		return fault.BadInput("invalidPercentage", "A discount is at most 100 percent")
	}
	return nil
}

func (p *ProductOfferingPrice) checkRecurrence() error {
	if n := p.RecurringChargePeriodLength; n != nil && (*n < 0 || *n > 1200) {
		return fault.BadInput("invalidPeriod", "recurringChargePeriodLength is %d; it must be from 0 to 1200", *n)
	}
	if p.RecurringChargePeriodType == "" {
		return nil
	}
	if _, _, ok := p.Period(); !ok {
		return fault.BadInput("invalidPeriod", "recurringChargePeriodType is %q; it must be day, week, month, quarter or year", p.RecurringChargePeriodType)
	}
	if n := p.RecurringChargePeriodLength; p.Sort() == Recurring && n != nil && *n == 0 {
		return fault.BadInput("invalidPeriod", "A recurring price falls due every 1 or more %ss", p.RecurringChargePeriodType)
	}
	return nil
}

func (p *ProductOfferingPrice) checkUnit() error {
	if p.UnitOfMeasure == nil || p.UnitOfMeasure.Amount == nil {
		return nil
	}
	if n, ok := number(p.UnitOfMeasure.Amount); !ok || n.Sign() <= 0 {
		return fault.BadInput("invalidUnit", "unitOfMeasure.amount is a number greater than 0, not %.40s", p.UnitOfMeasure.Amount)
	}
	return nil
}

func (p *ProductOfferingPrice) checkTax() error {
	for i, t := range p.Tax {
		if t.TaxRate != nil {
			if n, ok := number(t.TaxRate); !ok || n.Sign() < 0 || n.Cmp(big.NewRat(100, 1)) > 0 {
				return fault.BadInput("invalidTax", "tax[%d].taxRate is a percentage from 0 to 100, not %.40s", i, t.TaxRate)
			}
		}
		if t.TaxAmount != nil && t.TaxAmount.Sign() < 0 {
			return fault.BadInput("invalidTax", "tax[%d].taxAmount cannot be negative", i)
		}
	}
	return nil
}

// checkComplete: a price in force says what is charged, and per what. A draft may
// be as incomplete as its author likes.
func (p *ProductOfferingPrice) checkComplete() error {
	if !inForce(p.LifecycleStatus) {
		return nil
	}
	_, _, hasPeriod := p.Period()
	hasAmount := p.Price != nil || p.Percentage != nil || len(p.PricingLogicAlgorithm) > 0 || len(p.BundledPopRelationship) > 0
	switch {
	case !hasAmount && p.Sort() != "allowance":
		return fault.BadInput("incompletePrice", "An active price needs price, percentage, pricingLogicAlgorithm or bundledPopRelationship")
	case p.Sort() == Recurring && !hasPeriod:
		return fault.BadInput("incompletePrice", "An active recurring price needs recurringChargePeriodType")
	case p.Sort() == Usage && p.Price != nil && (p.UnitOfMeasure == nil || p.UnitOfMeasure.Units == "" || p.UnitOfMeasure.Amount == nil):
		return fault.BadInput("incompletePrice", "An active usage price needs unitOfMeasure: amount and units the price is for")
	}
	return nil
}

func partsOfPrice(p *ProductOfferingPrice) []string {
	return idsOf(p.BundledPopRelationship, func(b BundledPriceRel) string { return b.ID })
}

func checkPriceRefs(tx *store.Tx, old, p *ProductOfferingPrice) error {
	parts := partsOfPrice(p)
	if err := distinct("bundledPopRelationship", p.ID, parts); err != nil {
		return err
	}
	for i := range p.BundledPopRelationship {
		b := &p.BundledPopRelationship[i]
		found, err := must(tx, &OfferingPrices, "bundledPopRelationship", b.ID)
		if err != nil {
			return err
		}
		if inForce(p.LifecycleStatus) && !inForce(found.LifecycleStatus) {
			return fault.BadInput("partNotActive", "The part %q of this price is %s; it must be active first", found.Name, found.LifecycleStatus)
		}
		complete(&b.Name, &b.Href, found.Name, found.Href)
	}
	for i := range p.PopRelationship {
		r := &p.PopRelationship[i]
		if r.ID == p.ID {
			return fault.BadInput("selfReference", "popRelationship refers to the resource itself")
		}
		found, err := must(tx, &OfferingPrices, "popRelationship", r.ID)
		if err != nil {
			return err
		}
		complete(&r.Name, &r.Href, found.Name, found.Href)
	}
	if err := checkUses(tx, p.ProdSpecCharValueUse, nil); err != nil {
		return err
	}
	err := acyclic("bundledPopRelationship", p.ID, parts, maxDepth, func(id string) ([]string, error) {
		part, err := OfferingPrices.Get(tx, id)
		if err != nil {
			return nil, err
		}
		return partsOfPrice(part), nil
	})
	if err != nil || old == nil {
		return err
	}
	if err := keepsPricePromises(tx, old, p); err != nil {
		return err
	}
	return judgedUsers(tx, p)
}

// keepsPricePromises refuses a change of a price that would leave the offerings
// and composite prices that use it without ground.
func keepsPricePromises(tx *store.Tx, old, p *ProductOfferingPrice) error {
	if inForce(old.LifecycleStatus) && !inForce(p.LifecycleStatus) {
		if err := unused(tx, &Offerings, "productOfferingPrice", p.ID, onMarket, "productOfferingPrice.id"); err != nil {
			return err
		}
		for _, state := range []string{Active, Launched} {
			if err := unused(tx, &OfferingPrices, "productOfferingPrice", p.ID, tmf.Where{"lifecycleStatus": state}, "bundledPopRelationship.id"); err != nil {
				return err
			}
		}
	}
	if sameDoc([]any{old.Price, old.ProdSpecCharValueUse, old.Place}, []any{p.Price, p.ProdSpecCharValueUse, p.Place}) {
		return nil
	}
	offerings, err := Offerings.Select(tx, tmf.Where{"productOfferingPrice.id": p.ID}, tmf.Page{})
	if err != nil {
		return err
	}
	for _, o := range offerings {
		if err := priceStillFits(tx, o, p); err != nil {
			return fault.Clash("stillReferenced", "Offering %q (%s) would not fit any more: %s", o.Name, o.ID, fault.Of(err).Reason)
		}
	}
	return nil
}

// priceStillFits checks an offering as if one of its prices were already changed.
func priceStillFits(tx *store.Tx, o *ProductOffering, changed *ProductOfferingPrice) error {
	prices, err := many(tx, &OfferingPrices, priceIDs(o))
	if err != nil {
		return err
	}
	for i := range prices {
		if prices[i].ID == changed.ID {
			prices[i] = changed
		}
	}
	spec, err := SpecOf(tx, o)
	if err != nil {
		return err
	}
	return checkOfferingPrices(tx, prices, spec)
}

// checkOfferingPrices: one offering is priced in one currency (but for prices of a
// certain place), and its prices depend on characteristics its product has.
func checkOfferingPrices(tx *store.Tx, prices []*ProductOfferingPrice, spec *ProductSpecification) error {
	var first *ProductOfferingPrice
	for _, p := range prices {
		if spec != nil {
			if err := checkUses(tx, p.ProdSpecCharValueUse, spec); err != nil {
				return err
			}
		}
		if p.Price == nil || len(p.Place) > 0 {
			continue
		}
		if first == nil {
			first = p
		}
		if p.Price.Currency != first.Price.Currency {
			return fault.BadInput("mixedCurrency", "The prices %q and %q are in different currencies: %s and %s",
				first.Name, p.Name, first.Price.Currency, p.Price.Currency)
		}
	}
	return nil
}

func savedPrice(tx *store.Tx, old, now *ProductOfferingPrice) error {
	if now != nil {
		return nil
	}
	const kind = "productOfferingPrice"
	if err := unused(tx, &Offerings, kind, old.ID, nil, "productOfferingPrice.id"); err != nil {
		return err
	}
	return unused(tx, &OfferingPrices, kind, old.ID, nil, "bundledPopRelationship.id", "popRelationship.id")
}

// checkTerms: a commitment lasts a positive time in units of the calendar.
func checkTerms(terms []Term) error {
	for i, t := range terms {
		if t.Duration == nil {
			continue
		}
		if _, _, ok := t.Months(); !ok {
			return fault.BadInput("invalidTerm", "productOfferingTerm[%d].duration is %d %q; it must be 1 to 1200 days, weeks, months, quarters or years",
				i, t.Duration.Amount, t.Duration.Units)
		}
	}
	return nil
}
