package tmf

import (
	"cmp"
	"fmt"
	"reflect"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// matches evaluates conditions on a resource in Go: for hub subscriptions, and
// for what SQL cannot express. It must agree with the SQL (a property test).
func matches(conds []Cond, res reflect.Value) bool {
	for i := range conds {
		if !conds[i].matches(res) {
			return false
		}
	}
	return true
}

// matches is true if any value of the attribute satisfies the condition. "ne"
// is true if no value is equal, also when there is none.
func (c *Cond) matches(res reflect.Value) bool {
	found := false
	c.attr.each(res, func(v reflect.Value) { found = found || c.holds(v) })
	return found != (c.Op == "ne")
}

func (c *Cond) holds(v reflect.Value) bool {
	for i, want := range c.Values {
		order, ok := c.compare(v, i, want)
		if !ok {
			continue
		}
		switch c.Op {
		case "eq", "ne":
			ok = order == 0
		case "gt":
			ok = order > 0
		case "gte":
			ok = order >= 0
		case "lt":
			ok = order < 0
		case "lte":
			ok = order <= 0
		case "regex":
			ok = c.regex[i].MatchString(valueText(v))
		}
		if ok {
			return true
		}
	}
	return false
}

// compare orders a value against the i-th wanted one; false if it is absent.
func (c *Cond) compare(v reflect.Value, i int, want string) (int, bool) {
	switch c.attr.kind {
	case asTime:
		t := v.Interface().(time.Time)
		if t.IsZero() || c.Op == "regex" {
			return 0, !t.IsZero()
		}
		return t.Truncate(time.Microsecond).Compare(c.times[i]), true
	case asNumber:
		n, err := strconv.ParseInt(want, 10, 64)
		return cmp.Compare(v.Int(), n), err == nil || c.Op == "regex"
	case asBool:
		return cmp.Compare(strconv.FormatBool(v.Bool()), want), true
	}
	text := valueText(v)
	return cmp.Compare(text, want), text != ""
}

func valueText(v reflect.Value) string {
	switch x := v.Interface().(type) {
	case string:
		return x
	case time.Time:
		return FormatTime(x)
	case jsontext.Value:
		if x.Kind() == '"' {
			return unquoted(x)
		}
		return string(x)
	}
	if v.Kind() == reflect.String {
		return v.String()
	}
	return fmt.Sprint(v.Interface())
}
