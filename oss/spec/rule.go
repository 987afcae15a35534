package spec

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/types"
	"github.com/expr-lang/expr/vm"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"tandem/kit/tmf"
)

// Limits of an expression.
const (
	maxRuleLength = 1000 // characters
	maxRuleNodes  = 200  // nodes of the syntax tree
	ruleMemory    = 2000 // elements of lists and maps while it runs
	maxPad        = 64
)

// allowedBuiltins are those of expr-lang whose result is bounded by their input
// and depends on nothing else.
var allowedBuiltins = []string{"len", "abs", "ceil", "floor", "round", "int", "float", "string", "trim", "trimPrefix", "trimSuffix",
	"upper", "lower", "hasPrefix", "hasSuffix", "indexOf", "max", "min", "first", "last"}

// program is a compiled expression with its place in the document.
type program struct {
	where string
	text  string
	code  *vm.Program
}

// compile compiles and type-checks an expression over the characteristics of m.
func compile(m *member, where, text string, result expr.Option) (*program, error) {
	if len(text) > maxRuleLength {
		return nil, badRule(where, "is longer than %d characters", maxRuleLength)
	}
	guard := &guard{}
	options := []expr.Option{expr.Env(m.env()), expr.MaxNodes(maxRuleNodes), expr.Patch(guard), result, expr.DisableAllBuiltins()}
	for _, b := range allowedBuiltins {
		options = append(options, expr.EnableBuiltin(b))
	}
	code, err := expr.Compile(text, options...)
	if guard.found != "" {
		return nil, badRule(where, "uses %s, which an expression here may not", guard.found)
	}
	if err != nil {
		return nil, badRule(where, "%s", inWords(err))
	}
	return &program{where, text, code}, nil
}

func badRule(where, format string, args ...any) error {
	return faultBadRule(where, fmt.Sprintf(format, args...))
}

func inWords(err error) string {
	var fe *file.Error
	if errors.As(err, &fe) {
		return fmt.Sprintf("%s (line %d, column %d)", fe.Message, max(fe.Line, 1), fe.Column+1)
	}
	return err.Error()
}

// guard finds what would let an expression grow beyond its length: loops,
// variables and ranges. Without them every value is used where it is written.
type guard struct{ found string }

// Visit looks at one node of the syntax tree.
func (g *guard) Visit(n *ast.Node) {
	switch x := (*n).(type) {
	case *ast.PredicateNode, *ast.PointerNode:
		g.found = "a loop"
	case *ast.VariableDeclaratorNode:
		g.found = "a variable"
	case *ast.SequenceNode:
		g.found = "a sequence"
	case *ast.BinaryNode:
		if x.Operator == ".." {
			g.found = "a range"
		}
	case *ast.IdentifierNode:
		if x.Value == "$env" {
			g.found = "$env"
		}
	}
}

// env are the names an expression sees, with their types.
func (m *member) env() types.Map {
	c := types.Map{}
	for i := range m.traits {
		c[m.traits[i].Name] = m.traits[i].exprType()
	}
	if len(m.traits) == 0 {
		c[types.Extra] = types.Any
	}
	return types.Map{"c": c, "action": types.String,
		"place": types.Map{"id": types.String, "name": types.String, "role": types.String},
		"has":   types.TypeOf(func(string) bool { return false }),
		"text":  types.TypeOf(asText), "number": types.TypeOf(asNumber), "whole": types.TypeOf(asWhole), "pad": types.TypeOf(pad)}
}

// exprType is the type of a characteristic that always has a value; one that may
// be missing can be nil, and is checked when the expression runs.
func (t *trait) exprType() types.Type {
	switch {
	case !t.required() && t.fallback() == nil:
		return types.Any
	case t.many():
		return types.TypeOf([]any{})
	}
	switch t.basic() {
	case textValue:
		return types.String
	case wholeValue:
		return types.Int
	case numberValue:
		return types.Float64
	case boolValue:
		return types.Bool
	}
	return types.Any
}

// inputs is the environment of one evaluation.
func (m *member) inputs(chars []tmf.Characteristic, action string, place tmf.Place) (map[string]any, error) {
	c := map[string]any{}
	for _, ch := range chars {
		if !hasValue(ch.Value) {
			continue
		}
		var v any
		if err := json.Unmarshal(ch.Value, &v); err != nil {
			return nil, fmt.Errorf("characteristic %s: %w", ch.Name, err)
		}
		c[ch.Name] = v
		if t := m.trait(ch.Name); t == nil || t.basic() != numberValue {
			c[ch.Name] = wholes(v)
		}
	}
	has := func(name string) bool { _, ok := c[name]; return ok }
	return map[string]any{"c": c, "action": action, "has": has, "text": asText, "number": asNumber, "whole": asWhole, "pad": pad,
		"place": map[string]any{"id": place.ID, "name": place.Name, "role": place.Role}}, nil
}

// wholes turns JSON numbers without a fraction into ints, at any depth.
func wholes(v any) any {
	switch x := v.(type) {
	case float64:
		if x == math.Trunc(x) && math.Abs(x) < 1<<53 {
			return int(x)
		}
	case []any:
		for i := range x {
			x[i] = wholes(x[i])
		}
	case map[string]any:
		for k := range x {
			x[k] = wholes(x[k])
		}
	}
	return v
}

func (p *program) run(env map[string]any) (any, error) {
	machine := vm.VM{MemoryBudget: ruleMemory}
	out, err := machine.Run(p.code, env)
	if err != nil {
		return nil, p.failed("%s", inWords(err))
	}
	return out, nil
}

func (p *program) failed(format string, args ...any) error {
	return faultRuleFailed(p, fmt.Sprintf(format, args...))
}

// truth runs a condition.
func (p *program) truth(env map[string]any) (bool, error) {
	v, err := p.run(env)
	if err != nil {
		return false, err
	}
	b, ok := v.(bool)
	if !ok {
		return false, p.failed("gives %v, not true or false", v)
	}
	return b, nil
}

// count runs a quantity.
func (p *program) count(env map[string]any) (int, error) {
	v, err := p.run(env)
	if err != nil {
		return 0, err
	}
	n, err := asWhole(v)
	if err != nil || n < 0 {
		return 0, p.failed("gives %v, not a whole number from 0", v)
	}
	return n, nil
}

// value runs a mapping; nil means that the target's default stands.
func (p *program) value(env map[string]any, t *trait) (jsontext.Value, error) {
	v, err := p.run(env)
	if err != nil || v == nil {
		return nil, err
	}
	if f, ok := v.(float64); ok && t != nil && t.basic() == wholeValue && f == math.Trunc(f) && math.Abs(f) < 1<<53 {
		v = int64(f)
	}
	raw, err := json.Marshal(v, json.Deterministic(true))
	if err != nil {
		return nil, p.failed("gives %v, which is no JSON value", v)
	}
	return raw, nil
}

// fits says whether the static type of a mapping can be the target's.
func (p *program) fits(t *trait) bool {
	got := p.code.Node().Type()
	if got == nil || got.Kind() == reflect.Interface {
		return true
	}
	if t.many() {
		return got.Kind() == reflect.Slice
	}
	switch t.basic() {
	case textValue:
		return got.Kind() == reflect.String
	case boolValue:
		return got.Kind() == reflect.Bool
	case wholeValue, numberValue:
		return got.Kind() >= reflect.Int && got.Kind() <= reflect.Float64
	}
	return true
}

func asText(v any) string {
	switch x := v.(type) {
	case nil:
		return ""
	case string:
		return x
	case float64:
		return strconv.FormatFloat(x, 'f', -1, 64)
	}
	return fmt.Sprint(v)
}

func asNumber(v any) (float64, error) {
	switch x := v.(type) {
	case int:
		return float64(x), nil
	case float64:
		return x, nil
	case string:
		if f, err := strconv.ParseFloat(strings.TrimSpace(x), 64); err == nil {
			return f, nil
		}
	}
	return 0, fmt.Errorf("%v is not a number", v)
}

func asWhole(v any) (int, error) {
	switch x := v.(type) {
	case int:
		return x, nil
	case int64:
		return int(x), nil
	case float64:
		if x == math.Trunc(x) && math.Abs(x) < 1<<53 {
			return int(x), nil
		}
	case string:
		if n, err := strconv.Atoi(strings.TrimSpace(x)); err == nil {
			return n, nil
		}
	}
	return 0, fmt.Errorf("%v is not a whole number", v)
}

func pad(v any, n int) string {
	s := asText(v)
	return strings.Repeat("0", max(0, min(n, maxPad)-len(s))) + s
}
