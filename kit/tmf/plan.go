package tmf

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"tandem/kit/fault"
	"tandem/kit/store"
)

// plan is what the machine knows of a resource type from its struct: attribute
// paths with their Go fields, promoted columns and the rules in the tags.
type plan struct {
	typ     reflect.Type
	columns []column
	multi   []column
	byPath  sync.Map // path -> *attribute, filled on demand
}

// column is a promoted attribute: a column with an index, or a multi path.
type column struct {
	attr *attribute
	name string // a_product_offering_id
	sql  string // TEXT or BIGINT
}

// attribute is a dotted path resolved against the struct types.
type attribute struct {
	path  string
	steps []step
	kind  valueKind
}

type step struct {
	name  string
	index []int // field index within the struct
	array bool  // the field is a slice
}

// valueKind says how an attribute's values compare.
type valueKind int

const (
	asText valueKind = iota
	asTime
	asNumber
	asBool
	asAny  // a value of any JSON type: compared by its text
	asJSON // an object: has no value of its own
)

var (
	timeType  = reflect.TypeFor[time.Time]()
	valueType = reflect.TypeFor[jsontext.Value]()
)

func newPlan(t reflect.Type, index, multi []string) *plan {
	p := &plan{typ: t}
	for _, path := range index {
		p.columns = append(p.columns, p.column(path, false))
	}
	for _, path := range multi {
		p.multi = append(p.multi, p.column(path, true))
	}
	return p
}

func (p *plan) column(path string, multi bool) column {
	a := p.attribute(path)
	if a == nil {
		panic(fmt.Sprintf("tmf: %s has no attribute %s to index", p.typ, path))
	}
	if a.crossesArray() != multi {
		panic(fmt.Sprintf("tmf: %s.%s: arrays are indexed by Multi, single values by Index", p.typ, path))
	}
	sql := "BIGINT"
	switch a.kind {
	case asText:
		sql = `TEXT COLLATE "C"`
	case asAny, asJSON:
		panic(fmt.Sprintf("tmf: %s.%s is not a plain value and cannot be indexed", p.typ, path))
	}
	return column{attr: a, name: columnName(path), sql: sql}
}

// columnName turns productOffering.id into a_product_offering_id; the prefix keeps
// attributes like "from" apart from SQL's own words.
func columnName(path string) string {
	var b strings.Builder
	b.WriteString("a_")
	for _, r := range path {
		switch {
		case r == '.':
			b.WriteByte('_')
		case r == '@':
			b.WriteString("at_")
		case r >= 'A' && r <= 'Z':
			b.WriteByte('_')
			b.WriteRune(r + 'a' - 'A')
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

func (a *attribute) crossesArray() bool {
	return slices.ContainsFunc(a.steps, func(s step) bool { return s.array })
}

// attribute resolves a dotted path; nil if the type has no such attribute.
func (p *plan) attribute(path string) *attribute {
	if a, ok := p.byPath.Load(path); ok {
		return a.(*attribute)
	}
	a := resolve(p.typ, path)
	if a != nil {
		p.byPath.Store(path, a)
	}
	return a
}

func resolve(t reflect.Type, path string) *attribute {
	a := &attribute{path: path}
	for _, name := range strings.Split(path, ".") {
		for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice && t != valueType {
			t = t.Elem()
		}
		f, ok := fieldByJSON(t, name)
		if !ok {
			return nil
		}
		t = f.Type
		a.steps = append(a.steps, step{name: name, index: f.Index, array: isList(t)})
	}
	a.kind = kindOf(t)
	return a
}

func isList(t reflect.Type) bool { return t.Kind() == reflect.Slice && t != valueType }

func kindOf(t reflect.Type) valueKind {
	for t.Kind() == reflect.Pointer || isList(t) {
		t = t.Elem()
	}
	switch {
	case t == timeType:
		return asTime
	case t == valueType:
		return asAny
	case t.Kind() == reflect.String:
		return asText
	case t.Kind() == reflect.Bool:
		return asBool
	case t.Kind() >= reflect.Int && t.Kind() <= reflect.Uint64:
		return asNumber
	}
	return asJSON
}

var fieldCache sync.Map // reflect.Type -> map[string]reflect.StructField

// fieldByJSON finds a field by its JSON name, also in embedded structs.
func fieldByJSON(t reflect.Type, name string) (reflect.StructField, bool) {
	f, ok := fieldsOf(t)[name]
	return f, ok
}

func fieldsOf(t reflect.Type) map[string]reflect.StructField {
	if t.Kind() != reflect.Struct || t == timeType {
		return nil
	}
	if m, ok := fieldCache.Load(t); ok {
		return m.(map[string]reflect.StructField)
	}
	m := map[string]reflect.StructField{}
	for _, f := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name != "" && name != "-" && f.IsExported() {
			if _, dup := m[name]; !dup || len(f.Index) < len(m[name].Index) {
				m[name] = f
			}
		}
	}
	fieldCache.Store(t, m)
	return m
}

// each calls f with every value an attribute has in a resource.
func (a *attribute) each(v reflect.Value, f func(reflect.Value)) { walk(v, a.steps, f) }

func walk(v reflect.Value, steps []step, f func(reflect.Value)) {
	for v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return
		}
		v = v.Elem()
	}
	if len(steps) == 0 {
		f(v)
		return
	}
	fv, err := v.FieldByIndexErr(steps[0].index)
	if err != nil {
		return
	}
	if !steps[0].array {
		walk(fv, steps[1:], f)
		return
	}
	for i := range fv.Len() {
		walk(fv.Index(i), steps[1:], f)
	}
}

// plain turns a Go value into what a column holds; nil for absent.
func plain(v reflect.Value, kind valueKind) any {
	switch kind {
	case asTime:
		t := v.Interface().(time.Time)
		if t.IsZero() {
			return nil
		}
		return store.Micros(t)
	case asBool:
		if v.Bool() {
			return int64(1)
		}
		return int64(0)
	case asNumber:
		if v.CanInt() {
			return v.Int()
		}
		return int64(v.Uint())
	}
	if v.String() == "" {
		return nil
	}
	return v.String()
}

// values are the promoted columns of a resource, in the order of the columns.
func (p *plan) values(res any) []any {
	root := reflect.ValueOf(res)
	out := make([]any, len(p.columns))
	for i, c := range p.columns {
		c.attr.each(root, func(v reflect.Value) { out[i] = plain(v, c.attr.kind) })
	}
	return out
}

// text is a string attribute of a resource, "" if absent.
func (p *plan) text(res any, path string) string {
	out := ""
	a := p.attribute(path)
	if a == nil {
		panic(fmt.Sprintf("tmf: %s has no attribute %s", p.typ, path))
	}
	a.each(reflect.ValueOf(res), func(v reflect.Value) { out = v.String() })
	return out
}

// multiValue is one value of a multi path.
type multiValue struct{ attr, value string }

func (p *plan) multiValues(res any) []multiValue {
	var out []multiValue
	root := reflect.ValueOf(res)
	for _, c := range p.multi {
		c.attr.each(root, func(v reflect.Value) {
			mv := multiValue{c.attr.path, fmt.Sprint(plain(v, c.attr.kind))}
			if plain(v, c.attr.kind) != nil && !slices.Contains(out, mv) {
				out = append(out, mv)
			}
		})
	}
	return out
}

func (p *plan) saveMulti(tx *store.Tx, table, id string, fresh bool, old, now []multiValue) {
	for _, v := range old {
		if !slices.Contains(now, v) {
			tx.Queue("DELETE FROM tmf_multi WHERE tenant = $1 AND tbl = $2 AND attr = $3 AND value = $4 AND id = $5",
				table, v.attr, v.value, id)
		}
	}
	for _, v := range now {
		if fresh || !slices.Contains(old, v) {
			tx.Insert("INSERT INTO tmf_multi (tenant, tbl, attr, value, id)",
				table, v.attr, v.value, id)
		}
	}
}

// validate checks the rules in the tags: `tmf:"required"` and `tmf:"enum=a|b"`,
// at every level, and that no TimePeriod ends before it begins; a nested rule holds
// only where its parent is present.
func (p *plan) validate(res any) error {
	if err := p.indexable(res); err != nil {
		return err
	}
	return validateValue(reflect.ValueOf(res).Elem(), "")
}

const maxIndexed = 1000 // bytes of a text that is indexed; PostgreSQL's limit is near 2700 for all columns of an index

// indexable refuses text that no index could hold.
func (p *plan) indexable(res any) error {
	root := reflect.ValueOf(res)
	for _, list := range [][]column{p.columns, p.multi} {
		for _, c := range list {
			long := false
			c.attr.each(root, func(v reflect.Value) { long = long || v.Kind() == reflect.String && v.Len() > maxIndexed })
			if long {
				return fault.BadInput("tooLong", "%s has at most %d bytes", c.attr.path, maxIndexed)
			}
		}
	}
	return nil
}

type rule struct {
	field    reflect.StructField
	name     string
	required bool
	enum     []string
	period   bool
	deep     bool // may contain rules further down
}

var ruleCache sync.Map // reflect.Type -> []rule

func rulesOf(t reflect.Type) []rule {
	if r, ok := ruleCache.Load(t); ok {
		return r.([]rule)
	}
	var out []rule
	for name, f := range fieldsOf(t) {
		r := rule{field: f, name: name, period: isPeriod(f.Type), deep: hasRules(f.Type, map[reflect.Type]bool{t: true})}
		for _, part := range strings.Split(f.Tag.Get("tmf"), ",") {
			if part == "required" {
				r.required = true
			}
			if list, ok := strings.CutPrefix(part, "enum="); ok {
				r.enum = strings.Split(list, "|")
			}
		}
		if r.required || r.enum != nil || r.period || r.deep {
			out = append(out, r)
		}
	}
	slices.SortFunc(out, func(a, b rule) int { return strings.Compare(a.name, b.name) })
	ruleCache.Store(t, out)
	return out
}

// isPeriod reports whether a field holds one TimePeriod or several.
func isPeriod(t reflect.Type) bool {
	for t.Kind() == reflect.Pointer || isList(t) {
		t = t.Elem()
	}
	return t == reflect.TypeFor[TimePeriod]()
}

// hasRules reports whether a type or anything in it carries a rule. A type that
// contains itself counts as having rules: it is cheaper to look than to prove.
func hasRules(t reflect.Type, seen map[reflect.Type]bool) bool {
	for t.Kind() == reflect.Pointer || isList(t) {
		t = t.Elem()
	}
	if seen[t] {
		return t.Kind() == reflect.Struct && t != timeType
	}
	fields := fieldsOf(t)
	seen[t] = true
	for _, f := range fields {
		if f.Tag.Get("tmf") != "" || isPeriod(f.Type) || hasRules(f.Type, seen) {
			return true
		}
	}
	delete(seen, t)
	return false
}

func validateValue(v reflect.Value, path string) error {
	if p, ok := v.Interface().(TimePeriod); ok {
		return p.check(path)
	}
	for _, r := range rulesOf(v.Type()) {
		fv, err := v.FieldByIndexErr(r.field.Index)
		if err != nil {
			continue
		}
		if err := r.check(fv, join(path, r.name)); err != nil {
			return err
		}
	}
	return nil
}

func (r rule) check(v reflect.Value, path string) error {
	empty := v.IsZero() || v.Kind() == reflect.Slice && v.Len() == 0
	if r.required && (empty || v.Kind() == reflect.String && strings.TrimSpace(v.String()) == "") {
		return fault.BadInput("mandatoryAttributeMissing", "%s is required", path)
	}
	if empty {
		return nil
	}
	if r.enum != nil {
		if s := reflect.Indirect(v).String(); !slices.Contains(r.enum, s) {
			return fault.BadInput("invalidValue", "%s is %q; it must be one of %s", path, s, strings.Join(r.enum, ", "))
		}
	}
	if !r.deep && !r.period {
		return nil
	}
	switch v = reflect.Indirect(v); {
	case v.Kind() == reflect.Struct:
		return validateValue(v, path)
	case isList(v.Type()):
		for i := range v.Len() {
			e := reflect.Indirect(v.Index(i))
			if e.Kind() != reflect.Struct {
				break
			}
			if err := validateValue(e, fmt.Sprintf("%s[%d]", path, i)); err != nil {
				return err
			}
		}
	}
	return nil
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}
