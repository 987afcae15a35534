package catalog

import (
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"tandem/kit/fault"
	"tandem/kit/store"
	"tandem/kit/tmf"
)

// Configure completes and checks the characteristics of a product that is ordered:
// see [ProductSpecification.Configure]. It reads the specification.
func Configure(tx *store.Tx, o *ProductOffering, chosen []tmf.Characteristic) ([]tmf.Characteristic, error) {
	spec, err := SpecOf(tx, o)
	if err != nil {
		return nil, err
	}
	return spec.Configure(o, chosen, tx.Now())
}

// Configure gives the characteristics a product of the offering has if these are
// chosen: one for each characteristic of the specification that has a value, in
// its order, with defaults filled in. What may be given more than once is an
// array. Refused are names the specification does not have, values outside the
// allowed list, range, pattern or type, too many or too few of them, and a choice
// where there is none. A nil specification has no characteristics.
func (s *ProductSpecification) Configure(o *ProductOffering, chosen []tmf.Characteristic, at time.Time) ([]tmf.Characteristic, error) {
	given := gather(chosen)
	var out []tmf.Characteristic
	known := s.characteristics()
	for _, c := range known {
		values, err := narrow(c, o.ProdSpecCharValueUse, at).choose(spread(c.ValueType, given[c.Name]))
		if err != nil {
			return nil, err
		}
		delete(given, c.Name)
		if len(values) > 0 {
			out = append(out, c.with(values))
		}
	}
	for _, c := range chosen {
		if _, left := given[c.Name]; left {
			return nil, fault.BadInput("unknownCharacteristic", "%q has no characteristic %q", o.Name, c.Name)
		}
	}
	return out, checkRelations(known, out)
}

func (s *ProductSpecification) characteristics() []SpecCharacteristic {
	if s == nil {
		return nil
	}
	return s.ProductSpecCharacteristic
}

// gather collects the values by name; repeated names are one list.
func gather(chosen []tmf.Characteristic) map[string][]jsontext.Value {
	out := map[string][]jsontext.Value{}
	for _, c := range chosen {
		if kind := c.Value.Kind(); kind != 0 && kind != 'n' {
			out[c.Name] = append(out[c.Name], c.Value)
		} else if _, named := out[c.Name]; !named {
			out[c.Name] = nil
		}
	}
	return out
}

// spread takes arrays apart into values, unless an array is one value.
func spread(valueType string, given []jsontext.Value) []jsontext.Value {
	if strings.EqualFold(valueType, "array") {
		return given
	}
	var out []jsontext.Value
	for _, v := range given {
		var list []jsontext.Value
		if v.Kind() == '[' && json.Unmarshal(v, &list) == nil {
			out = append(out, list...)
			continue
		}
		out = append(out, v)
	}
	return out
}

// choice is a characteristic as one offering offers it at one time.
type choice struct {
	SpecCharacteristic
	uses   []ValueSpec // further restriction by the offering
	lo, hi int64
}

func narrow(c SpecCharacteristic, uses []ValueUse, at time.Time) choice {
	c.Values = inTime(c.Values, at)
	out := choice{SpecCharacteristic: c}
	out.lo, out.hi = limits(c.MinCardinality, c.MaxCardinality)
	for _, u := range uses {
		if u.Name != c.Name || !u.ValidFor.Holds(at) {
			continue
		}
		out.uses = inTime(u.Values, at)
		if u.MinCardinality != nil {
			out.lo = *u.MinCardinality
		}
		if u.MaxCardinality != nil {
			out.hi = *u.MaxCardinality
		}
		out.hi = max(out.lo, out.hi)
	}
	return out
}

func inTime(list []ValueSpec, at time.Time) []ValueSpec {
	if !slices.ContainsFunc(list, func(s ValueSpec) bool { return !s.ValidFor.Holds(at) }) {
		return list
	}
	return slices.DeleteFunc(slices.Clone(list), func(s ValueSpec) bool { return !s.ValidFor.Holds(at) })
}

// choose checks the values given, or takes the defaults.
func (c choice) choose(given []jsontext.Value) ([]jsontext.Value, error) {
	usual := c.defaults()
	if len(given) == 0 {
		given = usual
	}
	if c.Configurable != nil && !*c.Configurable && !sameList(given, usual) {
		return nil, fault.BadInput("notConfigurable", "%s is fixed and cannot be chosen", c.Name)
	}
	if n := int64(len(given)); n < c.lo || n > c.hi {
		if n == 0 {
			return nil, fault.BadInput("characteristicMissing", "%s must be chosen%s", c.Name, orElse(c.offered()))
		}
		return nil, fault.BadInput("invalidCardinality", "%s takes %d to %d values; %d are given", c.Name, c.lo, c.hi, n)
	}
	for _, v := range given {
		if err := c.accept(v); err != nil {
			return nil, err
		}
		if !takes(c.uses, v) {
			return nil, fault.BadInput("invalidCharacteristic", "%s cannot be %.60q here; it may be %s", c.Name, text(v), allowed(c.uses))
		}
	}
	return given, nil
}

func orElse(list string) string {
	if list == "" {
		return ""
	}
	return "; it may be " + list
}

func (c choice) offered() string {
	if len(c.uses) > 0 {
		return allowed(c.uses)
	}
	return allowed(c.Values)
}

// defaults are the values taken if none is given: those marked by the offering,
// or the only one it leaves, or those marked by the specification.
func (c choice) defaults() []jsontext.Value {
	if out := marked(c.uses, c.hi); out != nil {
		return out
	}
	if len(c.uses) == 1 && c.uses[0].Value != nil {
		return []jsontext.Value{c.uses[0].Value}
	}
	out := marked(c.Values, c.hi)
	if slices.ContainsFunc(out, func(v jsontext.Value) bool { return !takes(c.uses, v) }) {
		return nil
	}
	return out
}

func marked(list []ValueSpec, most int64) (out []jsontext.Value) {
	for _, s := range list {
		if isTrue(s.IsDefault) && s.Value != nil && int64(len(out)) < most {
			out = append(out, s.Value)
		}
	}
	return out
}

func sameList(a, b []jsontext.Value) bool { return slices.EqualFunc(a, b, same) }

// with is the characteristic with its values.
func (c SpecCharacteristic) with(values []jsontext.Value) tmf.Characteristic {
	out := tmf.Characteristic{ID: c.ID, Name: c.Name, ValueType: c.ValueType}
	if _, hi := limits(c.MinCardinality, c.MaxCardinality); hi == 1 && len(values) == 1 {
		out.Value = values[0]
		return out
	}
	out.Value = jsontext.Value("[")
	for i, v := range values {
		if i > 0 {
			out.Value = append(out.Value, ',')
		}
		out.Value = append(out.Value, v...)
	}
	out.Value = append(out.Value, ']')
	return out
}

// checkRelations applies productSpecCharRelationship: what depends on another
// needs it, what excludes another forbids it.
func checkRelations(known []SpecCharacteristic, chosen []tmf.Characteristic) error {
	has := func(name string) bool {
		return slices.ContainsFunc(chosen, func(c tmf.Characteristic) bool { return c.Name == name })
	}
	for _, c := range known {
		if len(c.Relationship) == 0 || !has(c.Name) {
			continue
		}
		for _, r := range c.Relationship {
			switch {
			case r.RelationshipType == "dependency" && !has(r.Name):
				return fault.BadInput("characteristicMissing", "%s needs %s as well", c.Name, r.Name)
			case r.RelationshipType == "exclusivity" && has(r.Name):
				return fault.BadInput("characteristicsExclusive", "%s and %s cannot be chosen together", c.Name, r.Name)
			}
		}
	}
	return nil
}

// Concerns says that a product with these characteristics at these places owes the
// price, if it is valid when the product is ordered. A composite price is owed in
// its parts; an allowance is not owed but used up.
func (p *ProductOfferingPrice) Concerns(chars []tmf.Characteristic, places []string) bool {
	return len(p.BundledPopRelationship) == 0 && p.Sort() != "allowance" && p.Applies(chars) && p.inPlace(places)
}

func (p *ProductOfferingPrice) inPlace(places []string) bool {
	return len(p.Place) == 0 || slices.ContainsFunc(p.Place, func(r Ref) bool { return slices.Contains(places, r.ID) })
}

// Applies says whether the price holds for a product with these characteristics:
// each one it names must have one of the values it names.
func (p *ProductOfferingPrice) Applies(chars []tmf.Characteristic) bool {
	given := gather(chars)
	for _, u := range p.ProdSpecCharValueUse {
		if len(u.Values) == 0 {
			continue
		}
		if !slices.ContainsFunc(spread(u.ValueType, given[u.Name]), func(v jsontext.Value) bool { return takes(u.Values, v) }) {
			return false
		}
	}
	return true
}
