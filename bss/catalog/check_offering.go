package catalog

import (
	"slices"
	"strings"

	"tandem/kit/fault"
	"tandem/kit/store"
	"tandem/kit/transfer"
)

func defaultOffering(_ *store.Tx, o *ProductOffering) error {
	defaultState(&o.LifecycleStatus)
	if o.IsSellable == nil {
		yes := true
		o.IsSellable = &yes
	}
	return nil
}

func checkOffering(tx *store.Tx, old, o *ProductOffering) error {
	for _, check := range []func() error{
		o.checkBundle, o.checkRelationships,
		func() error { return checkTerms(o.ProductOfferingTerm) },
		func() error { return checkUseShapes(o.ProdSpecCharValueUse) },
		func() error { return checkConditions(o.Eligibility) },
		func() error { return storeInline(tx, o) },
		func() error { return transfer.Later(tx, func() error { return checkOfferingRefs(tx, old, o) }) },
	} {
		if err := check(); err != nil {
			return err
		}
	}
	if old == nil {
		return stamp(tx, nil, o, zero, &o.LastUpdate)
	}
	return stamp(tx, old, o, old.LastUpdate, &o.LastUpdate)
}

func (o *ProductOffering) checkBundle() error {
	if len(o.BundledProductOffering) > 0 && o.IsBundle != nil && !*o.IsBundle {
		return fault.BadInput("notABundle", "An offering with bundledProductOffering has isBundle true")
	}
	if o.IsBundle == nil {
		bundle := len(o.BundledProductOffering) > 0
		o.IsBundle = &bundle
	}
	if *o.IsBundle && len(o.BundledProductOffering) == 0 && inForce(o.LifecycleStatus) {
		return fault.BadInput("emptyBundle", "The bundle %q has no parts; it cannot be %s", o.Name, o.LifecycleStatus)
	}
	for i, b := range o.BundledProductOffering {
		if lower, upper, usual := b.Limits(); lower < 0 || upper < 1 || lower > usual || usual > upper {
			return fault.BadInput("invalidCardinality", "bundledProductOffering[%d]: a lower limit %d, a default %d and an upper limit %d make no sense", i, lower, usual, upper)
		}
	}
	return distinct("bundledProductOffering", o.ID, partsOfOffering(o))
}

// checkRelationships refuses contradictions: an offering cannot both need and
// exclude another one, nor exclude itself.
func (o *ProductOffering) checkRelationships() error {
	if len(o.ProductOfferingRelationship) > maxRefs {
		return fault.BadInput("tooMany", "productOfferingRelationship has more than %d entries", maxRefs)
	}
	needs, excludes := map[string]bool{}, map[string]bool{}
	for _, r := range o.ProductOfferingRelationship {
		if r.ID == o.ID {
			return fault.BadInput("selfReference", "productOfferingRelationship refers to the resource itself")
		}
		switch r.RelationshipType {
		case Requires, OptionalFor:
			needs[r.ID] = true
		case Excludes:
			excludes[r.ID] = true
		}
		if needs[r.ID] && excludes[r.ID] {
			return fault.BadInput("contradiction", "The offering both needs and excludes %q", r.label())
		}
	}
	for _, b := range o.BundledProductOffering {
		if excludes[b.ID] {
			return fault.BadInput("contradiction", "The bundle excludes its own part %q", b.ID)
		}
	}
	return nil
}

func partsOfOffering(o *ProductOffering) []string {
	return idsOf(o.BundledProductOffering, func(b BundledOffering) string { return b.ID })
}

func priceIDs(o *ProductOffering) []string {
	return idsOf(o.ProductOfferingPrice, func(r PriceRefOrValue) string { return r.ID })
}

// checkOfferingRefs checks the offering against what it refers to. All of it is
// locked until the transaction ends.
func checkOfferingRefs(tx *store.Tx, old, o *ProductOffering) error {
	spec, err := o.checkSpecification(tx)
	if err != nil {
		return err
	}
	if err := o.checkPrices(tx, spec); err != nil {
		return err
	}
	if err := o.checkParts(tx); err != nil {
		return err
	}
	for i := range o.ProductOfferingRelationship {
		r := &o.ProductOfferingRelationship[i]
		found, err := must(tx, &Offerings, "productOfferingRelationship", r.ID)
		if err != nil {
			return err
		}
		complete(&r.Name, &r.Href, found.Name, found.Href)
	}
	if err := distinct("category", "", refIDs(o.Category)); err != nil {
		return err
	}
	for i := range o.Category {
		r := &o.Category[i]
		found, err := must(tx, &Categories, "category", r.ID)
		if err != nil {
			return err
		}
		complete(&r.Name, &r.Href, found.Name, found.Href)
	}
	if err := judged(tx, o, nil); err != nil {
		return err
	}
	if old != nil && inForce(old.LifecycleStatus) && !inForce(o.LifecycleStatus) {
		return unused(tx, &Offerings, "productOffering", o.ID, onMarket, "bundledProductOffering.id")
	}
	return nil
}

func (o *ProductOffering) checkSpecification(tx *store.Tx) (spec *ProductSpecification, err error) {
	if ref := o.ProductSpecification; ref != nil {
		if spec, err = must(tx, &Specs, "productSpecification", ref.ID); err != nil {
			return nil, err
		}
		complete(&ref.Name, &ref.Href, spec.Name, spec.Href)
		if o.LifecycleStatus == Launched && !inForce(spec.LifecycleStatus) {
			return nil, fault.BadInput("specificationNotActive", "%q cannot be launched: its specification %q is %s", o.Name, spec.Name, spec.LifecycleStatus)
		}
	}
	for i, u := range o.ProdSpecCharValueUse {
		if spec == nil && u.ProductSpecification == nil {
			return nil, fault.BadInput("unknownCharacteristic", "prodSpecCharValueUse[%d] narrows %q, but neither it nor the offering names a productSpecification", i, u.Name)
		}
	}
	if err := checkUses(tx, o.ProdSpecCharValueUse, spec); err != nil {
		return nil, err
	}
	return spec, checkConditionNames(o.Eligibility, spec)
}

func (o *ProductOffering) checkPrices(tx *store.Tx, spec *ProductSpecification) error {
	if err := distinct("productOfferingPrice", "", priceIDs(o)); err != nil {
		return err
	}
	prices := make([]*ProductOfferingPrice, len(o.ProductOfferingPrice))
	for i := range o.ProductOfferingPrice {
		ref := &o.ProductOfferingPrice[i]
		p, err := must(tx, &OfferingPrices, "productOfferingPrice", ref.ID)
		if err != nil {
			return err
		}
		if o.LifecycleStatus == Launched && !inForce(p.LifecycleStatus) {
			return fault.BadInput("priceNotActive", "%q cannot be launched: its price %q is %s", o.Name, p.Name, p.LifecycleStatus)
		}
		complete(&ref.Name, &ref.Href, p.Name, p.Href)
		prices[i] = p
	}
	return checkOfferingPrices(tx, prices, spec)
}

func (o *ProductOffering) checkParts(tx *store.Tx) error {
	parts := partsOfOffering(o)
	for i := range o.BundledProductOffering {
		b := &o.BundledProductOffering[i]
		found, err := must(tx, &Offerings, "bundledProductOffering", b.ID)
		if err != nil {
			return err
		}
		if o.LifecycleStatus == Launched && !inForce(found.LifecycleStatus) {
			return fault.BadInput("partNotActive", "%q cannot be launched: its part %q is %s", o.Name, found.Name, found.LifecycleStatus)
		}
		complete(&b.Name, &b.Href, found.Name, found.Href)
	}
	return acyclic("bundledProductOffering", o.ID, parts, maxDepth, func(id string) ([]string, error) {
		part, err := Offerings.Get(tx, id)
		if err != nil {
			return nil, err
		}
		return partsOfOffering(part), nil
	})
}

// savedOffering: what has been on the market is retired, then obsolete, so that
// products sold keep their offering; only then may it go.
func savedOffering(tx *store.Tx, old, now *ProductOffering) error {
	if now != nil {
		return nil
	}
	if slices.Contains([]string{Launched, Retired}, old.LifecycleStatus) {
		return fault.Clash("stillReferenced", "%q is %s: products may have been sold; it can be deleted when it is %s", old.Name, old.LifecycleStatus, Obsolete)
	}
	const kind = "productOffering"
	if err := unused(tx, &Offerings, kind, old.ID, nil, "bundledProductOffering.id", "productOfferingRelationship.id"); err != nil {
		return err
	}
	return unused(tx, &Categories, kind, old.ID, nil, "productOffering.id")
}

// Months is a commitment in months if its unit is a month or longer, else in days.
func (t Term) Months() (months, days int64, ok bool) {
	if t.Duration == nil || t.Duration.Amount < 1 || t.Duration.Amount > 1200 {
		return 0, 0, false
	}
	n := t.Duration.Amount
	switch periodUnits[strings.ToLower(t.Duration.Units)] {
	case "year":
		return 12 * n, 0, true
	case "quarter":
		return 3 * n, 0, true
	case "month":
		return n, 0, true
	case "week":
		return 0, 7 * n, true
	case "day":
		return 0, n, true
	}
	return 0, 0, false
}
