package tmf

import (
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"tandem/kit/fault"
)

// Limits of what a list request may ask for.
const (
	defaultLimit  = 100
	maxLimit      = 1000
	maxConditions = 20
	maxValues     = 100
	maxValueBytes = 512
	maxRegexBytes = 128
)

// Query is a parsed list request or hub subscription: filter, sort, page and
// fields (TMF630 Part 1; points 6 to 13). Lists and hubs share this one parser.
type Query struct {
	Conds  []Cond
	Sort   []SortKey
	Offset int
	Limit  int
	Fields []string // nil: all; otherwise besides id and href
	paths  []string // the same, as they were written
}

// Cond is one condition; conditions are ANDed, values within one are ORed.
type Cond struct {
	Path   string
	Op     string // eq ne gt gte lt lte regex
	Values []string
	attr   *attribute
	regex  []*regexp.Regexp // one for each value, as times
	times  []time.Time
}

// SortKey orders by an attribute.
type SortKey struct {
	Path string
	Desc bool
	attr *attribute
}

// suffixes of parameter names, and the operators inside names that TMF630 Part 1
// writes percent-encoded (%3E, %3E%3D, ...); the longer before their beginnings.
var (
	suffixOps  = []string{"eq", "ne", "gt", "gte", "lt", "lte", "regex"}
	literalOps = []struct{ text, op string }{{">=", "gte"}, {"<=", "lte"}, {"==", "eq"}, {"=~", "regex"}, {"!=", "ne"}, {">", "gt"}, {"<", "lt"}}
)

// ParseQuery reads the query string of a list request. resolve finds an
// attribute by path, nil if there is none.
func parseQuery(raw string, resolve func(string) *attribute) (*Query, error) {
	q := &Query{Limit: defaultLimit}
	for _, part := range strings.FieldsFunc(raw, func(r rune) bool { return r == '&' }) {
		// A semicolon between repeated conditions means OR; it is kept inside the
		// value here and split in addCond.
		rawName, value, hasValue := strings.Cut(part, "=")
		name, err := url.QueryUnescape(rawName)
		if err != nil {
			return nil, fault.BadInput("badQuery", "The parameter name %.40q is not properly percent-encoded", rawName)
		}
		if hasValue && name != "" && strings.ContainsRune("><!=", rune(name[len(name)-1])) {
			name += "=" // the sign between name and value is the second half of >= <= != ==
		} else if !hasValue {
			name, value = literal(name, rawName)
		}
		value = strings.TrimPrefix(value, "=") // name==value
		if err := q.add(name, value, resolve); err != nil {
			return nil, err
		}
	}
	return q, q.merge()
}

// literal takes a condition apart that came as a whole in the name (size%3E5): the
// name with its operator, and the value, still percent-encoded, so that an encoded
// comma stays part of it.
func literal(name, raw string) (nameAndOp, value string) {
	at := len(name)
	for _, l := range literalOps {
		if i := strings.Index(name, l.text); i >= 0 && i < at {
			at, nameAndOp = i, name[:i+len(l.text)]
		}
	}
	if at == len(name) {
		return name, ""
	}
	left := len(nameAndOp)
	for left > 0 { // one byte of the name is one of raw, or a percent and two digits
		if raw[0] == '%' {
			raw = raw[2:]
		}
		raw, left = raw[1:], left-1
	}
	return nameAndOp, raw
}

func (q *Query) add(name, value string, resolve func(string) *attribute) (err error) {
	plainValue, uerr := url.QueryUnescape(value)
	if uerr != nil {
		return fault.BadInput("badQuery", "The value of %.40q is not properly percent-encoded", name)
	}
	switch name {
	case "offset":
		q.Offset, err = count(name, plainValue, 0, 1<<40)
	case "limit":
		q.Limit, err = count(name, plainValue, 1, 1<<40)
		q.Limit = min(q.Limit, maxLimit)
	case "fields":
		err = q.addFields(plainValue, resolve)
	case "sort":
		err = q.addSort(plainValue, resolve)
	default:
		err = q.addCond(name, value, resolve)
	}
	return err
}

func count(name, text string, least, most int) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < least || n > most {
		return 0, fault.BadInput("badQuery", "%s must be a whole number of at least %d", name, least)
	}
	return n, nil
}

func (q *Query) addFields(text string, resolve func(string) *attribute) error {
	q.Fields = []string{}
	for _, f := range strings.Split(text, ",") {
		f = strings.TrimSpace(f)
		if f == "" || f == "none" {
			continue
		}
		first, _, _ := strings.Cut(f, ".")
		if len(q.Fields) >= 100 {
			return fault.BadInput("badQuery", "fields names more than 100 attributes")
		}
		q.Fields, q.paths = append(q.Fields, first), append(q.paths, f)
	}
	return nil
}

func (q *Query) addSort(text string, resolve func(string) *attribute) error {
	for _, s := range strings.Split(text, ",") {
		s = strings.TrimSpace(s)
		k := SortKey{Path: strings.TrimLeft(s, "+- "), Desc: strings.HasPrefix(s, "-")}
		if k.attr = resolve(k.Path); k.attr == nil {
			return unknownAttribute(k.Path)
		}
		if k.attr.crossesArray() || k.attr.kind >= asAny {
			return fault.BadInput("badQuery", "A list cannot be sorted by %s: it has no single plain value", k.Path)
		}
		if q.Sort = append(q.Sort, k); len(q.Sort) > 5 {
			return fault.BadInput("badQuery", "A list can be sorted by at most 5 attributes")
		}
	}
	return nil
}

func unknownAttribute(path string) error {
	return fault.BadInput("unknownAttribute", "There is no attribute %.60q to filter or sort by", path)
}

// addCond reads name=value with the operator in the name, as a suffix or as a
// literal, and the values apart at unescaped commas and semicolons.
func (q *Query) addCond(name, rawValue string, resolve func(string) *attribute) error {
	c := Cond{Path: name, Op: "eq"}
	if i := strings.LastIndexByte(name, '.'); i > 0 && slices.Contains(suffixOps, name[i+1:]) && resolve(name) == nil {
		c.Path, c.Op = name[:i], name[i+1:]
	}
	for _, l := range literalOps {
		if before, ok := strings.CutSuffix(c.Path, l.text); ok {
			c.Path, c.Op = before, l.op
			break
		}
	}
	if strings.HasSuffix(c.Path, "*") && c.Op == "eq" {
		c.Path, c.Op = strings.TrimSuffix(c.Path, "*"), "regex"
	}
	if c.attr = resolve(c.Path); c.attr == nil {
		return unknownAttribute(c.Path)
	}
	if c.attr.kind == asJSON {
		return fault.BadInput("badQuery", "A list cannot be filtered by %s itself: it is not a plain value", c.Path)
	}
	if err := c.split(rawValue); err != nil {
		return err
	}
	if q.Conds = append(q.Conds, c); len(q.Conds) > maxConditions {
		return fault.BadInput("badQuery", "A filter has at most %d conditions", maxConditions)
	}
	return nil
}

// split takes values apart: "a,b" is OR, "a;attr=b" is OR with the name again.
func (c *Cond) split(raw string) error {
	for _, part := range strings.FieldsFunc(raw, func(r rune) bool { return r == ',' || r == ';' }) {
		part = strings.TrimPrefix(part, c.Path+"=")
		v, err := url.QueryUnescape(part)
		if err != nil {
			return fault.BadInput("badQuery", "The value of %s is not properly percent-encoded", c.Path)
		}
		c.Values = append(c.Values, v)
	}
	if len(c.Values) == 0 {
		c.Values = []string{""}
	}
	return c.check()
}

// check compares the values with the attribute's type.
func (c *Cond) check() error {
	if len(c.Values) > maxValues {
		return fault.BadInput("badQuery", "%s is given more than %d values", c.Path, maxValues)
	}
	for _, v := range c.Values {
		if len(v) > maxValueBytes || strings.ContainsRune(v, 0) || strings.ToValidUTF8(v, "") != v {
			return fault.BadInput("badQuery", "A value of %s is too long or not text", c.Path)
		}
	}
	switch {
	case c.Op == "regex":
		for _, v := range c.Values {
			re, err := regexp.Compile(v)
			if err != nil || len(v) > maxRegexBytes {
				return fault.BadInput("badQuery", "A pattern for %s is too long or not a regular expression (RE2)", c.Path)
			}
			c.regex = append(c.regex, re)
		}
	case c.attr.kind == asTime:
		for _, v := range c.Values {
			t, err := ParseTime(v)
			if err != nil {
				return fault.BadInput("badQuery", "%s is compared with %.40q, which is not a date-time like 2026-01-31T12:00:00Z", c.Path, v)
			}
			c.times = append(c.times, t.Truncate(time.Microsecond))
		}
	case c.attr.kind == asNumber:
		for _, v := range c.Values {
			if _, err := strconv.ParseInt(v, 10, 64); err != nil {
				return fault.BadInput("badQuery", "%s is compared with %.40q, which is not a whole number", c.Path, v)
			}
		}
	case c.attr.kind == asBool:
		for _, v := range c.Values {
			if v != "true" && v != "false" {
				return fault.BadInput("badQuery", "%s is compared with %.40q; it is true or false", c.Path, v)
			}
		}
	}
	return nil
}

// merge ORs conditions that repeat the same name with equality (point 11).
func (q *Query) merge() error {
	var out []Cond
	for _, c := range q.Conds {
		i := slices.IndexFunc(out, func(o Cond) bool { return o.Path == c.Path && o.Op == c.Op && c.Op == "eq" })
		if i < 0 {
			out = append(out, c)
			continue
		}
		out[i].Values = append(out[i].Values, c.Values...)
		out[i].times = append(out[i].times, c.times...)
		if len(out[i].Values) > maxValues {
			return fault.BadInput("badQuery", "%s is given more than %d values", c.Path, maxValues)
		}
	}
	q.Conds = out
	return nil
}

// Where is a filter written in code: attribute path to value, ANDed.
type Where map[string]string

// Page is a page asked for in code.
type Page struct {
	Sort   string // as in the API: "-startDate,id"
	Offset int
	Limit  int // 0: no limit
}

func (w Where) query(p Page, resolve func(string) *attribute) (*Query, error) {
	q := &Query{Offset: p.Offset, Limit: p.Limit}
	for _, path := range slices.Sorted(maps.Keys(w)) {
		c := Cond{Path: path, Op: "eq", Values: []string{w[path]}, attr: resolve(path)}
		if c.attr == nil {
			return nil, fmt.Errorf("tmf: no attribute %s", path)
		}
		if err := c.check(); err != nil {
			return nil, err
		}
		q.Conds = append(q.Conds, c)
	}
	if p.Sort != "" {
		return q, q.addSort(p.Sort, resolve)
	}
	return q, nil
}
