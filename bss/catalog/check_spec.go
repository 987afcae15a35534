package catalog

import (
	"fmt"

	"tandem/kit/fault"
	"tandem/kit/store"
	"tandem/kit/tmf"
	"tandem/kit/transfer"
)

const maxCharacteristics = 500

func defaultSpec(_ *store.Tx, s *ProductSpecification) error {
	defaultState(&s.LifecycleStatus)
	return nil
}

func checkSpec(tx *store.Tx, old, s *ProductSpecification) error {
	if len(s.BundledProductSpecification) > 0 && s.IsBundle != nil && !*s.IsBundle {
		return fault.BadInput("notABundle", "A specification with bundledProductSpecification has isBundle true")
	}
	if err := s.checkCharacteristics(); err != nil {
		return err
	}
	if err := transfer.Later(tx, func() error { return checkSpecRefs(tx, old, s) }); err != nil {
		return err
	}
	if old == nil {
		return stamp(tx, nil, s, zero, &s.LastUpdate)
	}
	return stamp(tx, old, s, old.LastUpdate, &s.LastUpdate)
}

func (s *ProductSpecification) checkCharacteristics() error {
	if len(s.ProductSpecCharacteristic) > maxCharacteristics {
		return fault.BadInput("tooMany", "A specification has at most %d characteristics", maxCharacteristics)
	}
	seen := map[string]bool{}
	for _, c := range s.ProductSpecCharacteristic {
		if seen[c.Name] {
			return fault.BadInput("duplicateCharacteristic", "The characteristic %q is specified twice", c.Name)
		}
		seen[c.Name] = true
		if err := c.check(); err != nil {
			return err
		}
	}
	for _, c := range s.ProductSpecCharacteristic {
		for _, r := range c.Relationship {
			if r.Name != "" && !seen[r.Name] {
				return fault.BadInput("unknownCharacteristic", "%s is related to %q, which the specification does not have", c.Name, r.Name)
			}
		}
	}
	return nil
}

func (c SpecCharacteristic) check() error {
	if err := checkLimits(c.Name, c.MinCardinality, c.MaxCardinality); err != nil {
		return err
	}
	if c.Regex != "" {
		if _, err := pattern(c.Regex); err != nil {
			return err
		}
	}
	if err := checkValues(c.Name, c.ValueType, c.Values); err != nil {
		return err
	}
	for _, v := range c.Values {
		if v.Value != nil && c.Regex != "" && !matchesPattern(c.Regex, v.Value) {
			return fault.BadInput("invalidCharacteristic", "%s: the value %.60q does not have the form %s", c.Name, text(v.Value), c.Regex)
		}
	}
	return checkDefaults(c.Name, c.MinCardinality, c.MaxCardinality, c.Values)
}

// checkDefaults refuses more defaults than the characteristic takes.
func checkDefaults(name string, least, most *int64, list []ValueSpec) error {
	n := int64(0)
	for _, v := range list {
		if !isTrue(v.IsDefault) {
			continue
		}
		if v.Value == nil {
			return fault.BadInput("invalidDefault", "%s: a default is a value, not a range or a pattern", name)
		}
		if v.ValidFor == nil { // defaults of different times do not meet
			n++
		}
	}
	if _, hi := limits(least, most); n > hi {
		return fault.BadInput("invalidDefault", "%s has %d defaults but takes %d values", name, n, hi)
	}
	return nil
}

// checkValues checks a list of allowed values by itself.
func checkValues(name, valueType string, list []ValueSpec) error {
	if len(list) > maxRefs {
		return fault.BadInput("tooMany", "%s has more than %d values", name, maxRefs)
	}
	for i, v := range list {
		path := fmt.Sprintf("%s.productSpecCharacteristicValue[%d]", name, i)
		if v.Regex != "" {
			if _, err := pattern(v.Regex); err != nil {
				return err
			}
		}
		switch {
		case v.Value != nil && !fits(valueType, v.Value):
			return fault.BadInput("invalidCharacteristic", "%s is %.60s, which is not of type %s", path, v.Value, valueType)
		case v.ValueFrom != nil && v.ValueTo != nil && *v.ValueFrom > *v.ValueTo:
			return fault.BadInput("invalidRange", "%s: valueFrom %d is greater than valueTo %d", path, *v.ValueFrom, *v.ValueTo)
		}
	}
	return nil
}

func (s *ProductSpecification) characteristic(name string) *SpecCharacteristic {
	for i := range s.ProductSpecCharacteristic {
		if s.ProductSpecCharacteristic[i].Name == name {
			return &s.ProductSpecCharacteristic[i]
		}
	}
	return nil
}

// checkUse refuses the narrowing of a characteristic that the specification does
// not have, or to values it does not allow.
func (s *ProductSpecification) checkUse(u ValueUse) error {
	c := s.characteristic(u.Name)
	if c == nil {
		return fault.BadInput("unknownCharacteristic", "The specification %q has no characteristic %q", s.Name, u.Name)
	}
	least, most := limits(c.MinCardinality, c.MaxCardinality)
	if u.MinCardinality != nil && *u.MinCardinality < least || u.MaxCardinality != nil && *u.MaxCardinality > most {
		return fault.BadInput("invalidCardinality", "%s takes %d to %d values by its specification, which can only be narrowed", u.Name, least, most)
	}
	for _, v := range u.Values {
		if v.Value != nil {
			if err := c.accept(v.Value); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkUses is checkUse for a list; uses that name another specification are
// looked up, those that name none belong to spec (nil: not known here).
func checkUses(tx *store.Tx, uses []ValueUse, spec *ProductSpecification) error {
	for i, u := range uses {
		of := spec
		if ref := u.ProductSpecification; ref != nil && (spec == nil || ref.ID != spec.ID) {
			found, err := must(tx, &Specs, fmt.Sprintf("prodSpecCharValueUse[%d].productSpecification", i), ref.ID)
			if err != nil {
				return err
			}
			of = found
		}
		if of == nil {
			continue
		}
		if err := of.checkUse(u); err != nil {
			return err
		}
	}
	return nil
}

// checkUseShapes is what can be said of uses without their specification.
func checkUseShapes(uses []ValueUse) error {
	for _, u := range uses {
		if err := checkLimits(u.Name, u.MinCardinality, u.MaxCardinality); err != nil {
			return err
		}
		if err := checkValues(u.Name, u.ValueType, u.Values); err != nil {
			return err
		}
		if err := checkDefaults(u.Name, u.MinCardinality, u.MaxCardinality, u.Values); err != nil {
			return err
		}
	}
	return nil
}

func partsOfSpec(s *ProductSpecification) []string {
	return idsOf(s.BundledProductSpecification, func(b BundledSpec) string { return b.ID })
}

func checkSpecRefs(tx *store.Tx, old, s *ProductSpecification) error {
	parts := partsOfSpec(s)
	if err := distinct("bundledProductSpecification", s.ID, parts); err != nil {
		return err
	}
	for i := range s.BundledProductSpecification {
		b := &s.BundledProductSpecification[i]
		found, err := must(tx, &Specs, "bundledProductSpecification", b.ID)
		if err != nil {
			return err
		}
		complete(&b.Name, &b.Href, found.Name, found.Href)
	}
	for i := range s.ProductSpecificationRelationship {
		r := &s.ProductSpecificationRelationship[i]
		if r.ID == s.ID {
			return fault.BadInput("selfReference", "productSpecificationRelationship refers to the resource itself")
		}
		found, err := must(tx, &Specs, "productSpecificationRelationship", r.ID)
		if err != nil {
			return err
		}
		complete(&r.Name, &r.Href, found.Name, found.Href)
	}
	err := acyclic("bundledProductSpecification", s.ID, parts, maxDepth, func(id string) ([]string, error) {
		part, err := Specs.Get(tx, id)
		if err != nil {
			return nil, err
		}
		return partsOfSpec(part), nil
	})
	if err != nil || old == nil {
		return err
	}
	return keepsSpecPromises(tx, old, s)
}

// keepsSpecPromises refuses a change of a specification that would leave what
// refers to it without ground.
func keepsSpecPromises(tx *store.Tx, old, s *ProductSpecification) error {
	if inForce(old.LifecycleStatus) && !inForce(s.LifecycleStatus) {
		if err := unused(tx, &Offerings, "productSpecification", s.ID, onMarket, "productSpecification.id"); err != nil {
			return err
		}
	}
	if sameDoc(old.ProductSpecCharacteristic, s.ProductSpecCharacteristic) {
		return nil
	}
	offerings, err := Offerings.Select(tx, tmf.Where{"productSpecification.id": s.ID}, tmf.Page{})
	if err != nil {
		return err
	}
	for _, o := range offerings {
		if err := stillFits(tx, o, s); err != nil {
			return fault.Clash("stillReferenced", "Offering %q (%s) would not fit any more: %s", o.Name, o.ID, fault.Of(err).Reason)
		}
	}
	return usesStillFit(tx, s)
}

// stillFits checks an offering and its prices against a changed specification.
func stillFits(tx *store.Tx, o *ProductOffering, s *ProductSpecification) error {
	if err := checkUses(tx, o.ProdSpecCharValueUse, s); err != nil {
		return err
	}
	if err := checkConditionNames(o.Eligibility, s); err != nil {
		return err
	}
	prices, err := many(tx, &OfferingPrices, priceIDs(o))
	if err != nil {
		return err
	}
	for _, p := range prices {
		if err := checkUses(tx, p.ProdSpecCharValueUse, s); err != nil {
			return err
		}
	}
	return nil
}

// usesStillFit checks the uses that name the specification themselves.
func usesStillFit(tx *store.Tx, s *ProductSpecification) error {
	where := tmf.Where{"prodSpecCharValueUse.productSpecification.id": s.ID}
	offerings, err := Offerings.Select(tx, where, tmf.Page{})
	if err != nil {
		return err
	}
	prices, err := OfferingPrices.Select(tx, where, tmf.Page{})
	if err != nil {
		return err
	}
	var uses []ValueUse
	for _, o := range offerings {
		uses = append(uses, o.ProdSpecCharValueUse...)
	}
	for _, p := range prices {
		uses = append(uses, p.ProdSpecCharValueUse...)
	}
	for _, u := range uses {
		if u.ProductSpecification == nil || u.ProductSpecification.ID != s.ID {
			continue
		}
		if err := s.checkUse(u); err != nil {
			return fault.Clash("stillReferenced", "A price or offering that uses %q would not fit any more: %s", s.Name, fault.Of(err).Reason)
		}
	}
	return nil
}

func sameDoc(a, b any) bool {
	x, err := tmf.Encode(a)
	if err != nil {
		return false
	}
	y, err := tmf.Encode(b)
	return err == nil && string(x) == string(y)
}

func savedSpec(tx *store.Tx, old, now *ProductSpecification) error {
	if now != nil {
		return nil
	}
	const kind = "productSpecification"
	if err := unused(tx, &Offerings, kind, old.ID, nil, "productSpecification.id", "prodSpecCharValueUse.productSpecification.id"); err != nil {
		return err
	}
	if err := unused(tx, &OfferingPrices, kind, old.ID, nil, "prodSpecCharValueUse.productSpecification.id"); err != nil {
		return err
	}
	return unused(tx, &Specs, kind, old.ID, nil, "bundledProductSpecification.id", "productSpecificationRelationship.id")
}
