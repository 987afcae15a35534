package catalog

import (
	"tandem/kit/fault"
	"tandem/kit/store"
)

// storeInline turns prices written out in an offering into prices of their own
// and leaves references (TMF620: productOfferingPrice is a reference or a value).
// So there is one way to read a price, and the same price may serve many offerings.
// Each alteration becomes a price too, related to the one it alters.
func storeInline(tx *store.Tx, o *ProductOffering) error {
	var all []PriceRefOrValue
	for _, v := range o.ProductOfferingPrice {
		if v.ID != "" {
			all = append(all, v)
			continue
		}
		p, err := v.own(o)
		if err != nil {
			return err
		}
		if err := OfferingPrices.Create(tx, p); err != nil {
			return err
		}
		all = append(all, refTo(p))
		for _, a := range v.PriceAlteration {
			changed, err := a.own(v, p)
			if err != nil {
				return err
			}
			if err := OfferingPrices.Create(tx, changed); err != nil {
				return err
			}
			all = append(all, refTo(changed))
		}
	}
	if len(all) > 0 {
		o.ProductOfferingPrice = all
	}
	return nil
}

func refTo(p *ProductOfferingPrice) PriceRefOrValue {
	return PriceRefOrValue{ID: p.ID, Href: p.Href, Name: p.Name, ReferredType: "ProductOfferingPrice"}
}

// own is the price of its own; it begins in the state of its offering.
func (v PriceRefOrValue) own(o *ProductOffering) (*ProductOfferingPrice, error) {
	if v.Name == "" {
		return nil, fault.BadInput("mandatoryAttributeMissing", "productOfferingPrice needs an id, or else a name and a price")
	}
	p := &ProductOfferingPrice{
		Name: v.Name, Description: v.Description, Version: v.Version, LifecycleStatus: o.LifecycleStatus, ValidFor: v.ValidFor,
		PriceType: v.PriceType, UnitOfMeasure: v.UnitOfMeasure, Constraint: v.Constraint,
		RecurringChargePeriodType: v.RecurringChargePeriod, RecurringChargePeriodLength: v.RecurringChargePeriodLength,
	}
	if withdrawn(p.LifecycleStatus) {
		return nil, fault.BadInput("withdrawn", "An offering that is %s gets no new prices", o.LifecycleStatus)
	}
	p.Extra = v.Extra
	return p, v.Price.into(p)
}

func (a PriceAlteration) own(v PriceRefOrValue, of *ProductOfferingPrice) (*ProductOfferingPrice, error) {
	p := &ProductOfferingPrice{
		Name: a.Name, Description: a.Description, LifecycleStatus: of.LifecycleStatus, ValidFor: a.ValidFor,
		PriceType: a.PriceType, UnitOfMeasure: a.UnitOfMeasure, RecurringChargePeriodType: a.RecurringChargePeriod,
		PopRelationship: []PriceRelationship{{ID: of.ID, Href: of.Href, Name: of.Name, RelationshipType: "alters"}},
	}
	if p.Name == "" {
		p.Name = v.Name + ": " + a.PriceType
	}
	if a.ApplicationDuration != nil {
		p.ProductOfferingTerm = []Term{{Name: "applicationDuration", Duration: a.ApplicationDuration}}
	}
	return p, a.Price.into(p)
}

// into takes over the amount without tax. An amount with tax only would need a
// rate that may change before it is billed, so it is refused.
func (v *PriceValue) into(p *ProductOfferingPrice) error {
	if v == nil {
		return nil
	}
	if v.DutyFreeAmount == nil && v.TaxIncludedAmount != nil {
		return fault.BadInput("invalidPrice", "The price %q gives taxIncludedAmount only; give dutyFreeAmount: tax is worked out when billing", p.Name)
	}
	p.Price, p.Percentage = v.DutyFreeAmount, v.Percentage
	if v.TaxRate != nil || v.TaxCategory != "" {
		p.Tax = []TaxItem{{TaxCategory: v.TaxCategory, TaxRate: v.TaxRate}}
	}
	return nil
}
