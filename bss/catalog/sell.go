package catalog

import (
	"slices"
	"strings"
	"time"

	"tandem/kit/fault"
	"tandem/kit/store"
	"tandem/kit/tmf"
)

// Sellable is the offering if it can be ordered by itself at the instant;
// otherwise it says why not: unknownOffering, offeringRetired or notSellable.
func Sellable(tx *store.Tx, offeringID string, at time.Time) (*ProductOffering, error) {
	o, err := offered(tx, offeringID)
	if err != nil {
		return nil, err
	}
	if err := o.onSale(at); err != nil {
		return nil, err
	}
	if o.IsSellable != nil && !*o.IsSellable {
		return nil, fault.BadInput("notSellable", "%q is sold only as part of a bundle", o.Name)
	}
	return o, nil
}

// Component is an offering taken as part of a bundle: on sale as for [Sellable],
// except that it need not be sold by itself, and one of those the bundle names.
func Component(tx *store.Tx, bundle *ProductOffering, offeringID string, at time.Time) (*ProductOffering, error) {
	if !slices.ContainsFunc(bundle.BundledProductOffering, func(b BundledOffering) bool { return b.ID == offeringID }) {
		return nil, fault.BadInput("notInBundle", "The bundle %q has no part %q", bundle.Name, offeringID)
	}
	o, err := offered(tx, offeringID)
	if err != nil {
		return nil, err
	}
	return o, o.onSale(at)
}

// CheckParts refuses numbers of parts (offering id to number) a bundle does not allow.
func (o *ProductOffering) CheckParts(taken map[string]int64) error {
	for id := range taken {
		if !slices.ContainsFunc(o.BundledProductOffering, func(b BundledOffering) bool { return b.ID == id }) {
			return fault.BadInput("notInBundle", "The bundle %q has no part %q", o.Name, id)
		}
	}
	for _, b := range o.BundledProductOffering {
		if lower, upper, _ := b.Limits(); taken[b.ID] < lower || taken[b.ID] > upper {
			name := b.Name
			if name == "" {
				name = b.ID
			}
			return fault.BadInput("bundleLimit", "The bundle %q takes %d to %d of %q; %d are ordered", o.Name, lower, upper, name, taken[b.ID])
		}
	}
	return nil
}

func offered(tx *store.Tx, id string) (*ProductOffering, error) {
	o, err := Offerings.Look(tx, id)
	if fault.Is(err, fault.NotFound) {
		return nil, fault.BadInput("unknownOffering", "There is no offering with id %q", id)
	}
	return o, err
}

func (o *ProductOffering) onSale(at time.Time) error {
	switch {
	case o.LifecycleStatus == Retired || o.LifecycleStatus == Obsolete:
		return fault.BadInput("offeringRetired", "%q is no longer sold", o.Name)
	case o.LifecycleStatus != Launched:
		return fault.BadInput("notSellable", "%q is not on the market: its state is %q", o.Name, o.LifecycleStatus)
	case o.ValidFor.Holds(at):
		return nil
	case at.Before(o.ValidFor.StartDateTime):
		return fault.BadInput("notSellable", "%q is sold from %s on", o.Name, o.ValidFor.StartDateTime.UTC().Format(time.RFC3339))
	}
	return fault.BadInput("notSellable", "%q was sold until %s", o.Name, o.ValidFor.EndDateTime.UTC().Format(time.RFC3339))
}

// SpecOf is the specification of an offering, for reading only; nil if it has none, as
// bundles and plain fees do.
func SpecOf(tx *store.Tx, o *ProductOffering) (*ProductSpecification, error) {
	if o.ProductSpecification == nil {
		return nil, nil
	}
	return Specs.Look(tx, o.ProductSpecification.ID)
}

// Prices are the prices of an offering in its order, valid now or not, whatever
// they apply to; composite prices are followed by their parts.
func Prices(tx *store.Tx, o *ProductOffering) ([]*ProductOfferingPrice, error) {
	var out []*ProductOfferingPrice
	seen := map[string]bool{}
	for ids, depth := priceIDs(o), 0; len(ids) > 0 && depth < maxDepth; depth++ {
		for _, id := range ids {
			seen[id] = true
		}
		found, err := many(tx, &OfferingPrices, ids)
		if err != nil {
			return nil, err
		}
		out, ids = append(out, found...), nil
		for _, p := range found {
			for _, part := range partsOfPrice(p) {
				if !seen[part] {
					seen[part] = true
					ids = append(ids, part)
				}
			}
		}
	}
	return out, nil
}

// many reads resources by id in one statement, in the order of the ids; they are
// for reading only. A missing one is an error: references are kept.
func many[T any, P tmf.Pointer[T]](tx *store.Tx, k *tmf.Kind[T, P], ids []string) ([]P, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	if len(ids) > maxRefs {
		return nil, fault.BadInput("tooMany", "More than %d of %s at once", maxRefs, k.Name)
	}
	out, err := k.GetMany(tx, ids)
	if f := fault.Of(err); err != nil && f.Kind == fault.NotFound {
		return nil, fault.BadInput("unknownReference", "%s", f.Reason)
	}
	return out, err
}

// Compatible refuses a set of offerings (those a customer has and those ordered)
// that cannot be had together: requires, excludes and optionalFor.
func Compatible(tx *store.Tx, offeringIDs []string) error {
	ids := slices.Compact(slices.Sorted(slices.Values(offeringIDs)))
	set, err := many(tx, &Offerings, ids)
	if err != nil {
		return err
	}
	return CompatibleSet(set, tx.Now())
}

// CompatibleSet is [Compatible] for offerings already read.
func CompatibleSet(set []*ProductOffering, at time.Time) error {
	names := map[string]string{}
	for _, o := range set {
		names[o.ID] = o.Name
	}
	for _, o := range set {
		if err := o.goesWith(names, at); err != nil {
			return err
		}
	}
	return nil
}

func (o *ProductOffering) goesWith(names map[string]string, at time.Time) error {
	var bases []string // of optionalFor
	met := false
	for _, r := range o.ProductOfferingRelationship {
		_, there := names[r.ID]
		switch {
		case !r.ValidFor.Holds(at):
		case r.RelationshipType == Requires && !there:
			return fault.BadInput("offeringRequired", "%q can only be had together with %q", o.Name, r.label())
		case r.RelationshipType == Excludes && there:
			return fault.BadInput("offeringsExclusive", "%q cannot be had together with %q", o.Name, names[r.ID])
		case r.RelationshipType == OptionalFor:
			bases = append(bases, r.label())
			met = met || there
		}
	}
	if len(bases) > 0 && !met {
		return fault.BadInput("offeringRequired", "%q is an addition to %s and cannot be had alone", o.Name, strings.Join(bases, " or "))
	}
	return nil
}

func (r OfferingRelationship) label() string {
	if r.Name != "" {
		return r.Name
	}
	return r.ID
}
