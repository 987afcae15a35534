package catalog

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/parser"
	"github.com/expr-lang/expr/vm"

	"tandem/kit/fault"
	"tandem/kit/store"
	"tandem/kit/tmf"
)

// Env is what eligibility is decided on. The names in the tags are those an
// expression may use:
//
//	"business" in segments and channel != "dealer"
//	characteristics["speed"] == "100M" or any(places, # startsWith "DE")
type Env struct {
	Segments        []string       `expr:"segments"`        // market segments of the customer
	Channel         string         `expr:"channel"`         // where the order comes in
	Places          []string       `expr:"places"`          // where the product is to be, narrowest first
	Offerings       []string       `expr:"offerings"`       // ids of what the customer has or orders
	Characteristics map[string]any `expr:"characteristics"` // what is chosen; see [Values]
}

// Limits of a condition. Together with the ban on ranges and nested loops they
// bound its cost by its length times the length of the input.
const (
	maxConditions = 20
	maxExpr       = 1000 // bytes
	maxExprNodes  = 200
	maxExprMemory = 10_000 // elements an evaluation may allocate
	maxPrograms   = 4096   // compiled expressions that are kept
)

// exprFunctions are those an expression may call; the loops run over the input.
var exprFunctions = []string{"all", "any", "none", "one", "count", "len", "lower", "upper", "trim"}

func exprOptions() []expr.Option {
	out := []expr.Option{expr.Env(Env{}), expr.AsBool(), expr.MaxNodes(maxExprNodes), expr.DisableAllBuiltins()}
	for _, f := range exprFunctions {
		out = append(out, expr.EnableBuiltin(f))
	}
	return out
}

// condition is a compiled expression with the characteristics it asks for.
type condition struct {
	program *vm.Program
	names   []string
}

var programs struct {
	sync.Mutex
	m map[string]*condition
}

// compile type-checks an expression against [Env]; the error says in the user's
// words what is wrong with it.
func compile(text string) (*condition, error) {
	programs.Lock()
	defer programs.Unlock()
	if c, ok := programs.m[text]; ok {
		return c, nil
	}
	if len(text) > maxExpr {
		return nil, fault.BadInput("invalidExpression", "A condition has at most %d bytes", maxExpr)
	}
	look, err := inspect(text)
	if err != nil {
		return nil, fault.BadInput("invalidExpression", "The condition %.80q is not valid: %s", text, firstLine(err))
	}
	program, err := expr.Compile(text, exprOptions()...)
	if err != nil {
		return nil, fault.BadInput("invalidExpression", "The condition %.80q is not valid: %s", text, firstLine(err))
	}
	if programs.m == nil || len(programs.m) >= maxPrograms {
		programs.m = map[string]*condition{}
	}
	c := &condition{program, look.names}
	programs.m[text] = c
	return c, nil
}

func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}

// inspector looks for what would make a condition costly, and for the names of
// characteristics it uses.
type inspector struct {
	refused error
	names   []string
}

// inspect looks at the expression as it is written: compiling would already carry
// a range out.
func inspect(text string) (*inspector, error) {
	tree, err := parser.Parse(text)
	if err != nil {
		return nil, err
	}
	look := &inspector{}
	ast.Walk(&tree.Node, look)
	return look, look.refused
}

// Visit is called by ast.Walk.
func (i *inspector) Visit(node *ast.Node) {
	switch n := (*node).(type) {
	case *ast.BinaryNode:
		if n.Operator == ".." {
			i.refused = errors.New("ranges are not allowed")
		}
	case *ast.PredicateNode:
		if ast.Find(n.Node, isLoop) != nil {
			i.refused = errors.New("a loop within a loop is not allowed")
		}
	case *ast.MemberNode:
		from, ok := n.Node.(*ast.IdentifierNode)
		name, isText := n.Property.(*ast.StringNode)
		if ok && isText && from.Value == "characteristics" {
			i.names = append(i.names, name.Value)
		}
	}
}

func isLoop(n ast.Node) bool {
	_, ok := n.(*ast.PredicateNode)
	return ok
}

// holds evaluates the condition. What cannot be decided, such as a comparison of
// a characteristic that is not chosen, does not hold.
func (c *condition) holds(env Env) bool {
	machine := vm.VM{MemoryBudget: maxExprMemory}
	out, err := machine.Run(c.program, env)
	yes, ok := out.(bool)
	return err == nil && ok && yes
}

// checkConditions compiles the conditions of an offering.
func checkConditions(list []Condition) error {
	if len(list) > maxConditions {
		return fault.BadInput("tooMany", "An offering has at most %d conditions of eligibility", maxConditions)
	}
	for i, c := range list {
		if _, err := compile(c.Expr); err != nil {
			return fault.BadInput("invalidExpression", "eligibility[%d]: %s", i, fault.Of(err).Reason)
		}
	}
	return nil
}

// checkConditionNames refuses conditions on characteristics the product has not.
func checkConditionNames(list []Condition, spec *ProductSpecification) error {
	for i, c := range list {
		compiled, err := compile(c.Expr)
		if err != nil {
			return err
		}
		for _, name := range compiled.names {
			if spec != nil && spec.characteristic(name) == nil {
				return fault.BadInput("unknownCharacteristic", "eligibility[%d]: the specification %q has no characteristic %q", i, spec.Name, name)
			}
		}
	}
	return nil
}

// Eligible refuses an offering that this customer cannot have, here, through this
// channel or with this choice. It needs no statement; tx is the transaction the
// decision belongs to.
func Eligible(_ *store.Tx, o *ProductOffering, env Env) error {
	if len(o.MarketSegment) > 0 && !names(o.MarketSegment, env.Segments) {
		return fault.BadInput("notEligible", "%q is only for %s", o.Name, labels(o.MarketSegment))
	}
	if len(o.Channel) > 0 && !names(o.Channel, []string{env.Channel}) {
		return fault.BadInput("notEligible", "%q is sold only through %s", o.Name, labels(o.Channel))
	}
	if len(o.Place) > 0 && !names(o.Place, env.Places) {
		return fault.BadInput("notEligible", "%q is available only in %s", o.Name, labels(o.Place))
	}
	for _, c := range o.Eligibility {
		compiled, err := compile(c.Expr)
		if err != nil {
			return fmt.Errorf("condition of offering %s: %w", o.ID, err)
		}
		if !compiled.holds(env) {
			return fault.BadInput("notEligible", "%q: %s", o.Name, c.Reason)
		}
	}
	return nil
}

// names says whether a list names one of the values, by id or by name.
func names(list []Ref, values []string) bool {
	return slices.ContainsFunc(list, func(r Ref) bool {
		return slices.ContainsFunc(values, func(v string) bool { return v != "" && (v == r.ID || v == r.Name) })
	})
}

func labels(list []Ref) string {
	out := make([]string, len(list))
	for i, r := range list {
		if out[i] = r.Name; out[i] == "" {
			out[i] = r.ID
		}
	}
	return strings.Join(out, ", ")
}

// Values are characteristics as conditions see them: text, true or false, whole
// numbers as int, other numbers as float64, all else as its JSON.
func Values(chars []tmf.Characteristic) map[string]any {
	out := make(map[string]any, len(chars))
	for _, c := range chars {
		switch c.Value.Kind() {
		case 't', 'f':
			out[c.Name] = c.Value.Kind() == 't'
		case '0':
			if n, err := strconv.Atoi(string(c.Value)); err == nil {
				out[c.Name] = n
			} else if f, err := strconv.ParseFloat(string(c.Value), 64); err == nil {
				out[c.Name] = f
			}
		default:
			out[c.Name] = text(c.Value)
		}
	}
	return out
}
