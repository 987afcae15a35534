package spec

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"tandem/kit/fault"
	"tandem/kit/tmf"
)

// CharacteristicRule is what specifications of all sorts say of a characteristic.
type CharacteristicRule struct {
	ID                  string          `json:"id,omitzero"`
	Name                string          `json:"name,omitzero" tmf:"required"`
	Description         string          `json:"description,omitzero"`
	ValueType           string          `json:"valueType,omitzero"`
	Configurable        *bool           `json:"configurable,omitzero"`   // false: the default stands
	Extensible          *bool           `json:"extensible,omitzero"`     // true: values beside the listed ones are allowed
	IsUnique            *bool           `json:"isUnique,omitzero"`       // true: a value occurs once in the list
	MinCardinality      *int64          `json:"minCardinality,omitzero"` // default 0: optional
	MaxCardinality      *int64          `json:"maxCardinality,omitzero"` // default 1: a single value, not a list
	Regex               string          `json:"regex,omitzero"`
	ValidFor            *tmf.TimePeriod `json:"validFor,omitzero"`
	ValueSchemaLocation string          `json:"@valueSchemaLocation,omitzero"`
	tmf.Extension
}

// AllowedValue is a value, a range or a pattern that a characteristic may take.
type AllowedValue struct {
	IsDefault     *bool           `json:"isDefault,omitzero"`
	RangeInterval string          `json:"rangeInterval,omitzero" tmf:"enum=open|closed|closedBottom|closedTop"`
	Regex         string          `json:"regex,omitzero"`
	UnitOfMeasure string          `json:"unitOfMeasure,omitzero"`
	ValueFrom     *int64          `json:"valueFrom,omitzero"`
	ValueTo       *int64          `json:"valueTo,omitzero"`
	ValueType     string          `json:"valueType,omitzero"`
	ValidFor      *tmf.TimePeriod `json:"validFor,omitzero"`
	Value         jsontext.Value  `json:"value,omitzero"`
	tmf.Extension
}

// CharacteristicRelationship ties a characteristic to one of another specification.
type CharacteristicRelationship struct {
	CharacteristicSpecificationID string          `json:"characteristicSpecificationId,omitzero"`
	Name                          string          `json:"name,omitzero"`
	ParentSpecificationHref       string          `json:"parentSpecificationHref,omitzero"`
	ParentSpecificationID         string          `json:"parentSpecificationId,omitzero"`
	RelationshipType              string          `json:"relationshipType,omitzero"`
	ValidFor                      *tmf.TimePeriod `json:"validFor,omitzero"`
	tmf.Extension
}

// CharacteristicSpecification is a characteristic of a service.
type CharacteristicSpecification struct {
	CharacteristicRule
	Values        []AllowedValue               `json:"characteristicValueSpecification,omitzero"`
	Relationships []CharacteristicRelationship `json:"charSpecRelationship,omitzero"`
}

// ResourceSpecificationCharacteristic is a characteristic of a resource.
type ResourceSpecificationCharacteristic struct {
	CharacteristicRule
	Values        []AllowedValue               `json:"resourceSpecCharacteristicValue,omitzero"`
	Relationships []CharacteristicRelationship `json:"resourceSpecCharRelationship,omitzero"`
}

// FeatureSpecificationCharacteristic is a characteristic of a feature.
type FeatureSpecificationCharacteristic struct {
	CharacteristicRule
	Values        []AllowedValue               `json:"featureSpecCharacteristicValue,omitzero"`
	Relationships []CharacteristicRelationship `json:"featureSpecCharRelationship,omitzero"`
}

// trait is a characteristic as the rules see it, whatever specification it is of.
type trait struct {
	CharacteristicRule
	values []AllowedValue
}

func (t *trait) many() bool     { return t.MaxCardinality != nil && *t.MaxCardinality != 1 }
func (t *trait) required() bool { return t.MinCardinality != nil && *t.MinCardinality > 0 }

// basic is the sort of value a valueType names.
type basic int

const (
	anyValue basic = iota
	textValue
	wholeValue
	numberValue
	boolValue
)

func (t *trait) basic() basic {
	switch strings.ToLower(t.ValueType) {
	case "string", "text", "date", "datetime", "date-time", "time", "uri", "url", "enum", "duration":
		return textValue
	case "integer", "int", "long":
		return wholeValue
	case "number", "numeric", "decimal", "float", "double":
		return numberValue
	case "boolean", "bool":
		return boolValue
	}
	return anyValue
}

// fallback is the value the characteristic has when none is given, nil if none.
func (t *trait) fallback() jsontext.Value {
	var defaults []jsontext.Value
	for _, v := range t.values {
		if v.IsDefault != nil && *v.IsDefault && v.Value != nil {
			defaults = append(defaults, v.Value)
		}
	}
	if len(defaults) == 0 || !t.many() {
		return slices.Concat(defaults...)
	}
	return slices.Concat(jsontext.Value("["), bytes.Join(asBytes(defaults), []byte(",")), jsontext.Value("]"))
}

func asBytes(vs []jsontext.Value) [][]byte {
	out := make([][]byte, len(vs))
	for i, v := range vs {
		out[i] = v
	}
	return out
}

// Configure fills in the defaults of a specification and refuses characteristics
// it does not know and values outside the allowed ones. The result is in the
// order of the specification. A specification without characteristics takes any.
func Configure(s Specified, chars []tmf.Characteristic) ([]tmf.Characteristic, error) {
	return configure(s.member(), chars)
}

func configure(m *member, chars []tmf.Characteristic) ([]tmf.Characteristic, error) {
	if len(m.traits) == 0 {
		return chars, nil
	}
	for _, c := range chars {
		if m.trait(c.Name) == nil {
			return nil, fault.BadInput("unknownCharacteristic", "%s has no characteristic %q; it has %s", m.title(), c.Name, m.traitNames())
		}
	}
	out := make([]tmf.Characteristic, 0, len(m.traits))
	for i := range m.traits {
		c, ok, err := m.traits[i].settle(chars)
		if err != nil {
			return nil, fault.BadInput("invalidCharacteristic", "%s: %s", m.title(), err)
		}
		if ok {
			out = append(out, c)
		}
	}
	return out, nil
}

// settle is the characteristic with its value; ok is false if it stays without.
func (t *trait) settle(chars []tmf.Characteristic) (c tmf.Characteristic, ok bool, err error) {
	i := slices.IndexFunc(chars, func(c tmf.Characteristic) bool { return c.Name == t.Name })
	def := t.fallback()
	if i >= 0 && hasValue(chars[i].Value) {
		c = chars[i]
		if t.Configurable != nil && !*t.Configurable && def != nil && !sameJSON(c.Value, def) {
			return c, false, fmt.Errorf("%s is fixed to %s", t.Name, def)
		}
		if c.ValueType == "" {
			c.ValueType = t.ValueType
		}
		return c, true, t.accepts(c.Value)
	}
	if def != nil {
		return tmf.Characteristic{Name: t.Name, ValueType: t.ValueType, Value: def}, true, nil
	}
	if t.required() {
		return c, false, fmt.Errorf("%s is required", t.Name)
	}
	return c, false, nil
}

func hasValue(v jsontext.Value) bool { return len(v) > 0 && v.Kind() != 'n' }

// accepts says why a value is not allowed.
func (t *trait) accepts(v jsontext.Value) error {
	if !t.many() {
		return t.acceptsOne(v)
	}
	var list []jsontext.Value
	if v.Kind() != '[' || json.Unmarshal(v, &list) != nil {
		return fmt.Errorf("%s must be a list", t.Name)
	}
	if t.MinCardinality != nil && int64(len(list)) < *t.MinCardinality {
		return fmt.Errorf("%s must have at least %d values", t.Name, *t.MinCardinality)
	}
	if *t.MaxCardinality > 0 && int64(len(list)) > *t.MaxCardinality {
		return fmt.Errorf("%s must have at most %d values", t.Name, *t.MaxCardinality)
	}
	for i, e := range list {
		if err := t.acceptsOne(e); err != nil {
			return err
		}
		if t.IsUnique != nil && *t.IsUnique && slices.ContainsFunc(list[:i], func(o jsontext.Value) bool { return sameJSON(o, e) }) {
			return fmt.Errorf("%s has %s twice", t.Name, e)
		}
	}
	return nil
}

func (t *trait) acceptsOne(v jsontext.Value) error {
	if err := t.typed(v); err != nil {
		return err
	}
	if t.Regex != "" {
		if ok, err := matchesWhole(t.Regex, v); err != nil || !ok {
			return fmt.Errorf("%s is %s; it must match %s", t.Name, v, t.Regex)
		}
	}
	if len(t.values) == 0 || t.Extensible != nil && *t.Extensible {
		return nil
	}
	if slices.ContainsFunc(t.values, func(a AllowedValue) bool { return a.allows(v) }) {
		return nil
	}
	return fmt.Errorf("%s is %s; allowed is %s", t.Name, v, t.allowed())
}

func (t *trait) typed(v jsontext.Value) error {
	want, ok := "", true
	switch t.basic() {
	case textValue:
		want, ok = "text", v.Kind() == '"'
	case wholeValue:
		_, err := strconv.ParseInt(string(v), 10, 64)
		want, ok = "a whole number", err == nil
	case numberValue:
		want, ok = "a number", v.Kind() == '0'
	case boolValue:
		want, ok = "true or false", v.Kind() == 't' || v.Kind() == 'f'
	}
	if !ok {
		return fmt.Errorf("%s is %s; it must be %s", t.Name, v, want)
	}
	return nil
}

// allows reports whether a value is the listed one, lies in the range or matches.
func (a *AllowedValue) allows(v jsontext.Value) bool {
	if a.Value != nil {
		return sameJSON(a.Value, v)
	}
	if a.Regex != "" {
		ok, err := matchesWhole(a.Regex, v)
		return ok && err == nil
	}
	if a.ValueFrom == nil && a.ValueTo == nil {
		return true
	}
	n, err := strconv.ParseFloat(string(v), 64)
	if err != nil {
		return false
	}
	openBottom := a.RangeInterval == "open" || a.RangeInterval == "closedTop"
	openTop := a.RangeInterval == "open" || a.RangeInterval == "closedBottom"
	if a.ValueFrom != nil && (n < float64(*a.ValueFrom) || openBottom && n == float64(*a.ValueFrom)) {
		return false
	}
	return a.ValueTo == nil || n < float64(*a.ValueTo) || !openTop && n == float64(*a.ValueTo)
}

func (t *trait) allowed() string {
	var out []string
	for _, a := range t.values {
		switch {
		case a.Value != nil:
			out = append(out, string(a.Value))
		case a.Regex != "":
			out = append(out, "/"+a.Regex+"/")
		default:
			out = append(out, bound(a.ValueFrom)+".."+bound(a.ValueTo))
		}
	}
	return strings.Join(out, ", ")
}

func bound(n *int64) string {
	if n == nil {
		return ""
	}
	return strconv.FormatInt(*n, 10)
}

// matchesWhole matches text, or the digits of a number, against a whole pattern.
func matchesWhole(pattern string, v jsontext.Value) (bool, error) {
	re, err := regexp.Compile(`^(?:` + pattern + `)$`)
	if err != nil {
		return false, err
	}
	s := string(v)
	if v.Kind() == '"' {
		b, err := jsontext.AppendUnquote(nil, v)
		if err != nil {
			return false, err
		}
		s = string(b)
	}
	return re.MatchString(s), nil
}

// sameJSON compares values, not their spelling: 1.0 is 1, {"a":1,"b":2} is {"b":2,"a":1}.
func sameJSON(a, b jsontext.Value) bool {
	x, y := slices.Clone(a), slices.Clone(b)
	return x.Canonicalize() == nil && y.Canonicalize() == nil && bytes.Equal(x, y)
}

// checkTraits says what is wrong with the characteristics of a specification.
func (m *member) checkTraits() error {
	seen := map[string]bool{}
	for i := range m.traits {
		t := &m.traits[i]
		if seen[t.Name] {
			return fault.BadInput("duplicateCharacteristic", "characteristic %q is listed twice", t.Name)
		}
		seen[t.Name] = true
		if err := t.sound(); err != nil {
			return fault.BadInput("invalidCharacteristic", "characteristic %q: %s", t.Name, err)
		}
	}
	return nil
}

func (t *trait) sound() error {
	if t.MinCardinality != nil && *t.MinCardinality < 0 || t.MaxCardinality != nil && *t.MaxCardinality < 0 {
		return fmt.Errorf("cardinalities are not negative")
	}
	if t.MinCardinality != nil && t.MaxCardinality != nil && *t.MaxCardinality > 0 && *t.MinCardinality > *t.MaxCardinality {
		return fmt.Errorf("minCardinality %d is above maxCardinality %d", *t.MinCardinality, *t.MaxCardinality)
	}
	if _, err := regexp.Compile(t.Regex); err != nil {
		return fmt.Errorf("regex %q is not valid", t.Regex)
	}
	defaults := 0
	for _, a := range t.values {
		if err := t.soundValue(a); err != nil {
			return err
		}
		if a.IsDefault != nil && *a.IsDefault {
			defaults++
		}
	}
	if defaults > 1 && !t.many() {
		return fmt.Errorf("%d values are marked isDefault; it takes a single value", defaults)
	}
	return nil
}

func (t *trait) soundValue(a AllowedValue) error {
	if _, err := regexp.Compile(a.Regex); err != nil {
		return fmt.Errorf("regex %q is not valid", a.Regex)
	}
	if a.ValueFrom != nil && a.ValueTo != nil && *a.ValueFrom > *a.ValueTo {
		return fmt.Errorf("valueFrom %d is above valueTo %d", *a.ValueFrom, *a.ValueTo)
	}
	if a.IsDefault != nil && *a.IsDefault && a.Value == nil {
		return fmt.Errorf("a default needs a value")
	}
	if a.Value == nil {
		return nil
	}
	if err := t.typed(a.Value); err != nil {
		return err
	}
	if t.Regex != "" {
		if ok, _ := matchesWhole(t.Regex, a.Value); !ok {
			return fmt.Errorf("value %s does not match %s", a.Value, t.Regex)
		}
	}
	return nil
}
