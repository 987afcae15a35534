package rating

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/checker"
	"github.com/expr-lang/expr/conf"
	"github.com/expr-lang/expr/parser"

	"tandem/edge/credit"
	"tandem/kit/fault"
	"tandem/kit/money"
)

// formula is a price written as an expression over whole numbers:
//
//	units   events of the session; 0 if a sum of money is priced
//	money   the sum that is priced, in 10^-9 of the major unit; else 0
//
// with + - * %, comparisons, and, or, not, c ? a : b, min(a, b), max(a, b) and
// share(a, b, c), which is a * b / c with one rounding (the plan's). The result is
// the price of all units so far in 10^-9 of the major unit: "units * 90000000".
//
// The language and its types are those of expr-lang; the tree is evaluated here,
// because its machine would let a product of two large numbers wrap around.
type formula struct {
	root  ast.Node
	round money.Rounding
}

// formulaEnv is what a formula may name.
type formulaEnv struct {
	Units int                    `expr:"units"`
	Money int                    `expr:"money"`
	Share func(a, b, c int) int  `expr:"share"`
	Min   func(a int, b int) int `expr:"min"`
	Max   func(a int, b int) int `expr:"max"`
}

// maxFormula bounds the nodes of a formula.
const maxFormula = 200

func compileFormula(text string, round money.Rounding) (*formula, error) {
	c := conf.New(formulaEnv{})
	c.MaxNodes = maxFormula
	c.Builtins = nil // what they give is of no fixed type
	tree, err := parser.ParseWithConfig(text, c)
	if err != nil {
		return nil, fmt.Errorf("the formula cannot be read: %s", firstLine(err))
	}
	kind, err := checker.Check(tree, c)
	if err != nil {
		return nil, fmt.Errorf("the formula makes no sense: %s", firstLine(err))
	}
	if kind == nil || kind.Kind() != reflect.Int {
		return nil, fmt.Errorf("the formula gives %v, not a whole number of 10^-9 of the currency", kind)
	}
	if err := plain(tree.Node); err != nil {
		return nil, err
	}
	return &formula{tree.Node, round}, nil
}

// firstLine leaves out the drawing of where in the text an error is.
func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}

var operators = map[string]bool{"+": true, "-": true, "*": true, "%": true, "<": true, "<=": true, ">": true, ">=": true,
	"==": true, "!=": true, "and": true, "&&": true, "or": true, "||": true}

// plain refuses what eval does not know: floats above all.
func plain(n ast.Node) error {
	var parts []ast.Node
	ok := true
	switch n := n.(type) {
	case *ast.IntegerNode, *ast.BoolNode:
	case *ast.IdentifierNode:
		ok = n.Value == "units" || n.Value == "money"
	case *ast.UnaryNode:
		parts = []ast.Node{n.Node}
	case *ast.BinaryNode:
		ok, parts = operators[n.Operator], []ast.Node{n.Left, n.Right}
	case *ast.ConditionalNode:
		parts = []ast.Node{n.Cond, n.Exp1, n.Exp2}
	case *ast.CallNode:
		_, ok = n.Callee.(*ast.IdentifierNode)
		parts = n.Arguments
	default:
		ok = false
	}
	if !ok {
		return fmt.Errorf("the formula may not use %q: whole numbers, + - * %%, comparisons, ?:, min, max and share only", n.String())
	}
	for _, p := range parts {
		if err := plain(p); err != nil {
			return err
		}
	}
	return nil
}

// price is the formula's value for n units. Errors: money.ErrOverflow,
// money.ErrDivide, and a price below zero.
func (f *formula) price(n uint64, unit credit.Has) (int64, error) {
	if n > 1<<63-1 {
		return 0, money.ErrOverflow
	}
	e := evaluation{round: f.round}
	if unit == unitMoney {
		e.money = int64(n)
	} else {
		e.units = int64(n)
	}
	v := e.eval(f.root)
	if e.err == nil && v < 0 {
		e.err = fault.BadInput("negativePrice", "The formula gives a price below zero for %d", n)
	}
	if e.err != nil {
		return 0, e.err
	}
	return v, nil
}

// evaluation is one run of a formula; the first error stays.
type evaluation struct {
	units, money int64
	round        money.Rounding
	err          error
}

// eval is the value of a node; truth is 1 and 0.
func (e *evaluation) eval(n ast.Node) int64 {
	switch n := n.(type) {
	case *ast.IntegerNode:
		return int64(n.Value)
	case *ast.BoolNode:
		return truth(n.Value)
	case *ast.IdentifierNode:
		if n.Value == "units" {
			return e.units
		}
		return e.money
	case *ast.UnaryNode:
		return e.unary(n)
	case *ast.BinaryNode:
		return e.binary(n)
	case *ast.ConditionalNode:
		if e.eval(n.Cond) != 0 {
			return e.eval(n.Exp1)
		}
		return e.eval(n.Exp2)
	case *ast.CallNode:
		return e.call(n)
	}
	return 0 // plain lets nothing else through
}

func (e *evaluation) unary(n *ast.UnaryNode) int64 {
	v := e.eval(n.Node)
	switch n.Operator {
	case "-":
		return e.mulDiv(v, -1, 1)
	case "!", "not":
		return truth(v == 0)
	}
	return v
}

func (e *evaluation) binary(n *ast.BinaryNode) int64 {
	a := e.eval(n.Left)
	switch n.Operator {
	case "and", "&&":
		return truth(a != 0 && e.eval(n.Right) != 0)
	case "or", "||":
		return truth(a != 0 || e.eval(n.Right) != 0)
	}
	b := e.eval(n.Right)
	switch n.Operator {
	case "+":
		return e.add(a, b)
	case "-":
		return e.add(a, e.mulDiv(b, -1, 1))
	case "*":
		return e.mulDiv(a, b, 1)
	case "%":
		if b == 0 {
			e.fail(money.ErrDivide)
			return 0
		}
		return a % b
	case "<":
		return truth(a < b)
	case "<=":
		return truth(a <= b)
	case ">":
		return truth(a > b)
	case ">=":
		return truth(a >= b)
	case "==":
		return truth(a == b)
	}
	return truth(a != b)
}

func (e *evaluation) call(n *ast.CallNode) int64 {
	a, b := e.eval(n.Arguments[0]), e.eval(n.Arguments[1])
	switch n.Callee.(*ast.IdentifierNode).Value {
	case "min":
		return min(a, b)
	case "max":
		return max(a, b)
	}
	return e.mulDiv(a, b, e.eval(n.Arguments[2]))
}

func (e *evaluation) add(a, b int64) int64 {
	if b > 0 && a > 1<<63-1-b || b < 0 && a < -1<<63-b {
		e.fail(money.ErrOverflow)
		return 0
	}
	return a + b
}

func (e *evaluation) mulDiv(a, b, c int64) int64 {
	v, err := money.MulDiv(a, b, c, e.round)
	e.fail(err)
	return v
}

func (e *evaluation) fail(err error) {
	if e.err == nil {
		e.err = err
	}
}

func truth(b bool) int64 {
	if b {
		return 1
	}
	return 0
}
