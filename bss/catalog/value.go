package catalog

import (
	"math/big"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"tandem/kit/fault"
	"tandem/kit/tmf"
)

// number is a JSON number as an exact fraction. Numbers of absurd length or
// exponent are refused: they would cost more memory than any price is worth.
func number(v jsontext.Value) (*big.Rat, bool) {
	text := strings.TrimSpace(string(v))
	if v.Kind() != '0' || len(text) > 40 {
		return nil, false
	}
	if i := strings.IndexAny(text, "eE"); i >= 0 {
		if exp, err := strconv.Atoi(text[i+1:]); err != nil || exp < -30 || exp > 30 {
			return nil, false
		}
	}
	return new(big.Rat).SetString(text)
}

// text is a value as people read it: strings unquoted, anything else as JSON.
func text(v jsontext.Value) string {
	if v.Kind() == '"' {
		if b, err := jsontext.AppendUnquote(nil, v); err == nil {
			return string(b)
		}
	}
	return string(v)
}

// same compares two values: numbers by amount, all else by canonical JSON.
func same(a, b jsontext.Value) bool {
	if x, ok := number(a); ok {
		y, ok := number(b)
		return ok && x.Cmp(y) == 0
	}
	x, y := a.Clone(), b.Clone()
	return x.Canonicalize() == nil && y.Canonicalize() == nil && string(x) == string(y)
}

// fits says whether a value is of a valueType. Types the house does not know are
// the operator's own and take anything.
func fits(valueType string, v jsontext.Value) bool {
	switch strings.ToLower(valueType) {
	case "string", "text":
		return v.Kind() == '"'
	case "number", "numeric", "decimal", "float", "double":
		_, ok := number(v)
		return ok
	case "integer", "int", "long":
		n, ok := number(v)
		return ok && n.IsInt()
	case "boolean", "bool":
		return v.Kind() == 't' || v.Kind() == 'f'
	case "date", "datetime", "date-time", "timestamp":
		return v.Kind() == '"' && isDate(text(v))
	case "array":
		return v.Kind() == '['
	case "object":
		return v.Kind() == '{'
	}
	return v.Kind() != 'n' && v.Kind() != 0
}

func isDate(s string) bool {
	if _, err := time.Parse(time.DateOnly, s); err == nil {
		return true
	}
	_, err := tmf.ParseTime(s)
	return err == nil
}

// patterns are compiled regular expressions (RE2), anchored at both ends; the
// table is emptied when it grows beyond what catalogues have.
var patterns struct {
	sync.Mutex
	m map[string]*regexp.Regexp
}

const (
	maxPattern  = 256  // bytes of a regular expression
	maxPatterns = 4096 // compiled ones that are kept
)

func pattern(re string) (*regexp.Regexp, error) {
	patterns.Lock()
	defer patterns.Unlock()
	if r, ok := patterns.m[re]; ok {
		return r, nil
	}
	r, err := regexp.Compile(`^(?:` + re + `)$`)
	if err != nil || len(re) > maxPattern {
		return nil, fault.BadInput("invalidRegex", "The regex %.80q is not a regular expression (RE2) of at most %d bytes", re, maxPattern)
	}
	if patterns.m == nil || len(patterns.m) >= maxPatterns {
		patterns.m = map[string]*regexp.Regexp{}
	}
	patterns.m[re] = r
	return r, nil
}

func matchesPattern(re string, v jsontext.Value) bool {
	r, err := pattern(re)
	return err == nil && r.MatchString(text(v))
}

// takes says whether the entry allows a value.
func (s ValueSpec) takes(v jsontext.Value) bool {
	switch {
	case s.Value != nil:
		return same(s.Value, v)
	case s.ValueFrom != nil || s.ValueTo != nil:
		n, ok := number(v)
		return ok && s.holds(n) && (s.Regex == "" || matchesPattern(s.Regex, v))
	case s.Regex != "":
		return matchesPattern(s.Regex, v)
	}
	return true
}

// holds applies rangeInterval (TMF620): open excludes both ends, closedBottom
// includes the lower one only, closedTop the upper one only; default is closed.
func (s ValueSpec) holds(n *big.Rat) bool {
	openBottom := s.RangeInterval == "open" || s.RangeInterval == "closedTop"
	openTop := s.RangeInterval == "open" || s.RangeInterval == "closedBottom"
	if s.ValueFrom != nil {
		if c := n.Cmp(new(big.Rat).SetInt64(*s.ValueFrom)); c < 0 || c == 0 && openBottom {
			return false
		}
	}
	if s.ValueTo != nil {
		if c := n.Cmp(new(big.Rat).SetInt64(*s.ValueTo)); c > 0 || c == 0 && openTop {
			return false
		}
	}
	return true
}

// takes says whether a list of entries allows a value; an empty list does.
func takes(list []ValueSpec, v jsontext.Value) bool {
	return len(list) == 0 || slices.ContainsFunc(list, func(s ValueSpec) bool { return s.takes(v) })
}

// allowed is the list in the user's words.
func allowed(list []ValueSpec) string {
	var out []string
	for _, s := range list {
		switch {
		case s.Value != nil:
			out = append(out, text(s.Value))
		case s.ValueFrom != nil && s.ValueTo != nil:
			out = append(out, strconv.FormatInt(*s.ValueFrom, 10)+" to "+strconv.FormatInt(*s.ValueTo, 10))
		case s.ValueFrom != nil:
			out = append(out, "from "+strconv.FormatInt(*s.ValueFrom, 10))
		case s.ValueTo != nil:
			out = append(out, "up to "+strconv.FormatInt(*s.ValueTo, 10))
		case s.Regex != "":
			out = append(out, "text like "+s.Regex)
		}
		if len(out) == 20 {
			out = append(out, "...")
			break
		}
	}
	return strings.Join(out, ", ")
}

// accept refuses a value the characteristic cannot have.
func (c SpecCharacteristic) accept(v jsontext.Value) error {
	if !fits(c.ValueType, v) {
		return fault.BadInput("invalidCharacteristic", "%s must be of type %s, not %.60s", c.Name, c.ValueType, v)
	}
	if c.Regex != "" && !matchesPattern(c.Regex, v) {
		return fault.BadInput("invalidCharacteristic", "%s: %.60q does not have the form %s", c.Name, text(v), c.Regex)
	}
	if !isTrue(c.Extensible) && !takes(c.Values, v) {
		return fault.BadInput("invalidCharacteristic", "%s cannot be %.60q; it may be %s", c.Name, text(v), allowed(c.Values))
	}
	return nil
}

// limits are the least and the greatest number of values; by default none or one.
func limits(least, most *int64) (lo, hi int64) {
	if least != nil {
		lo = *least
	}
	hi = max(1, lo)
	if most != nil {
		hi = *most
	}
	return lo, hi
}

func checkLimits(name string, least, most *int64) error {
	if lo, hi := limits(least, most); lo < 0 || hi < 1 || lo > hi {
		return fault.BadInput("invalidCardinality", "%s: minCardinality %d and maxCardinality %d make no sense", name, lo, hi)
	}
	return nil
}
