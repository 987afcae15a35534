package spec

import (
	"fmt"

	"github.com/expr-lang/expr"

	"tandem/kit/fault"
	"tandem/kit/tmf"
)

var (
	asBool = expr.AsBool()
	asAny  = expr.AsAny()
)

// Node is a service or resource that an order wants to exist.
type Node struct {
	Path            string // roles from the root: "", "access", "access/sim", "access/port[1]"
	Spec            Member
	Kind            string // service or resource
	Role            string // its part in the parent, "" at the root
	Relation        string // requires, reliesOn or contains; "" at the root
	Min, Max        int    // how many of the role the parent must and may have; Max 0: no limit
	Characteristics []tmf.Characteristic
	Children        []*Node // in the order of the specification
}

// Walk calls f with the node and all below it, parents first.
func (n *Node) Walk(f func(*Node)) {
	f(n)
	for _, c := range n.Children {
		c.Walk(f)
	}
}

// Find is the node at a path, nil if there is none.
func (n *Node) Find(path string) *Node {
	var found *Node
	n.Walk(func(x *Node) {
		if x.Path == path {
			found = x
		}
	})
	return found
}

// Expand decides what a service with the characteristics given is made of. It is
// pure: the same tree, characteristics, action and place give the same graph.
// At most one place is looked at.
func (t *Tree) Expand(chars []tmf.Characteristic, action string, place ...tmf.Place) (*Node, error) {
	e := &expansion{tree: t, action: action}
	if len(place) > 0 {
		e.place = place[0]
	}
	root := &Node{Kind: Service}
	return root, e.fill(root, t.parts[key(Service, t.root.id)], chars, 0)
}

type expansion struct {
	tree   *Tree
	action string
	place  tmf.Place
	nodes  int
}

// fill configures a node and makes its children.
func (e *expansion) fill(n *Node, p *part, chars []tmf.Characteristic, depth int) error {
	if e.nodes++; e.nodes > maxNodes || depth > maxDepth {
		return fault.BadInput("treeTooLarge", "%s would be made of more than %d parts or in more than %d levels", e.tree.root.title(), maxNodes, maxDepth)
	}
	n.Spec = p.public()
	var err error
	if n.Characteristics, err = configure(p.member, chars); err != nil {
		return within(n.Path, err)
	}
	env, err := p.inputs(n.Characteristics, e.action, e.place)
	if err != nil {
		return within(n.Path, err)
	}
	counts := make([]int, len(p.branches))
	for i, b := range p.branches {
		if counts[i], err = b.count(env); err != nil {
			return within(n.Path, err)
		}
	}
	roles, err := p.roles(counts)
	if err != nil {
		return within(n.Path, err)
	}
	next := map[string]int{}
	for i, b := range p.branches {
		for range counts[i] {
			child := &Node{Kind: b.kind, Role: b.role, Relation: b.relation, Min: roles[b.role].min, Max: roles[b.role].max}
			child.Path = childPath(n.Path, b.role, next[b.role])
			next[b.role]++
			given, err := b.given(env, e.tree.parts[b.target])
			if err != nil {
				return within(n.Path, err)
			}
			if err := e.fill(child, e.tree.parts[b.target], given, depth+1); err != nil {
				return err
			}
			n.Children = append(n.Children, child)
		}
	}
	return nil
}

// within names the part of the service a refusal is about.
func within(path string, err error) error {
	f := fault.Of(err)
	if path == "" || f.Kind == fault.Internal {
		return err
	}
	return fault.New(f.Kind, f.Code, "%s: %s", path, f.Reason)
}

// childPath numbers the children of a role from the second on, so that a path
// stays what it is when the role gains another.
func childPath(parent, role string, i int) string {
	if parent != "" {
		parent += "/"
	}
	if i == 0 {
		return parent + role
	}
	return fmt.Sprintf("%s%s[%d]", parent, role, i)
}

// count is how many things a branch makes.
func (b *branch) count(env map[string]any) (int, error) {
	if b.condition != nil {
		if taken, err := b.condition.truth(env); err != nil || !taken {
			return 0, err
		}
	}
	if b.quantity == nil {
		return 1, nil
	}
	n, err := b.quantity.count(env)
	if err == nil && n > maxNodes {
		err = b.quantity.failed("gives %d; more than %d are never made", n, maxNodes)
	}
	return n, err
}

// given are the characteristics that the mappings hand to the target.
func (b *branch) given(env map[string]any, target *part) ([]tmf.Characteristic, error) {
	var out []tmf.Characteristic
	for _, a := range b.mapping {
		t := target.trait(a.name)
		v, err := a.expr.value(env, t)
		if err != nil {
			return nil, err
		}
		if !hasValue(v) {
			continue
		}
		c := tmf.Characteristic{Name: a.name, Value: v}
		if t != nil {
			c.ValueType = t.ValueType
		}
		out = tmf.With(out, c)
	}
	return out, nil
}

// limit is how often a role must, may and does occur.
type limit struct {
	min, max, count int
	limited         bool // some branch gives a maxCardinality
}

// roles adds up the branches of each role and holds them against its limits.
func (p *part) roles(counts []int) (map[string]limit, error) {
	out := map[string]limit{}
	for i, b := range p.branches {
		l := out[b.role]
		l.count += counts[i]
		l.min = max(l.min, b.least())
		if high := b.rules.MaxCardinality; high != nil {
			if l.max = max(l.max, int(*high)); *high == 0 || l.limited && out[b.role].max == 0 {
				l.max = 0
			}
			l.limited = true
		}
		out[b.role] = l
	}
	for _, b := range p.branches {
		l := out[b.role]
		if l.count < l.min || l.max > 0 && l.count > l.max {
			return nil, fault.BadInput("cardinality", "%s needs %s of %s; with these characteristics it gets %d", p.title(), l.words(), b.role, l.count)
		}
	}
	return out, nil
}

// least is how many a branch demands of its role: one, unless it says otherwise
// or leaves it to a condition or a quantity.
func (b *branch) least() int {
	switch {
	case b.rules.MinCardinality != nil:
		return int(*b.rules.MinCardinality)
	case b.condition != nil || b.quantity != nil:
		return 0
	}
	return 1
}

func (l limit) words() string {
	switch {
	case l.max == 0:
		return fmt.Sprintf("at least %d", l.min)
	case l.min == l.max:
		return fmt.Sprintf("exactly %d", l.min)
	}
	return fmt.Sprintf("%d to %d", l.min, l.max)
}
