package spec

import (
	"strings"
	"sync"

	"tandem/kit/fault"
	"tandem/kit/store"
	"tandem/kit/tmf"
)

// Limits of a decomposition.
const (
	maxMembers = 500  // specifications in one tree
	maxNodes   = 1000 // things one expansion makes
	maxDepth   = 20   // levels of an expansion
	maxTrees   = 1024 // trees kept in the process
)

// Tree is a service specification with everything it can decompose into: frozen,
// compiled and safe for use by many goroutines.
type Tree struct {
	Mark string           // names the state of all specifications it was read from
	Revs map[string]int64 // revision of every member, by kind/id

	root    *member
	parts   map[string]*part // by kind/id
	service *ServiceSpecification
}

// part is a member with its compiled branches.
type part struct {
	*member
	branches []*branch
}

// branch is a compiled link.
type branch struct {
	link
	target    string // kind/id
	condition *program
	quantity  *program
	mapping   []assignment
}

type assignment struct {
	name string
	expr *program
}

func key(kind, id string) string { return kind + "/" + id }

// Specification is the service specification at the root. It is shared: do not change it.
func (t *Tree) Specification() *ServiceSpecification { return t.service }

// branch compiles a link of m to the target and checks its rules against both.
func (m *member) branch(l link, target *member) (*branch, error) {
	b := &branch{link: l, target: key(l.kind, l.id)}
	if b.role == "" {
		b.role = target.name
	}
	if strings.ContainsAny(b.role, "/[]") {
		return nil, faultBadRule(l.where+".role", "must not contain any of / [ ]")
	}
	var err error
	if l.rules.Condition != "" {
		if b.condition, err = compile(m, l.where+".condition", l.rules.Condition, asBool); err != nil {
			return nil, err
		}
	}
	if l.rules.Quantity != "" {
		if b.quantity, err = compile(m, l.where+".quantity", l.rules.Quantity, asAny); err != nil {
			return nil, err
		}
	}
	if err := l.rules.limits(l.where); err != nil {
		return nil, err
	}
	for i, a := range l.rules.Mapping {
		p, err := m.assignment(at(l.where+".mapping", i), a, target)
		if err != nil {
			return nil, err
		}
		b.mapping = append(b.mapping, assignment{a.Name, p})
	}
	return b, nil
}

func (m *member) assignment(where string, a Mapping, target *member) (*program, error) {
	p, err := compile(m, where+".expr", a.Expr, asAny)
	if err != nil {
		return nil, err
	}
	t := target.trait(a.Name)
	if t == nil && len(target.traits) > 0 {
		return nil, faultBadRule(where+".name", target.title()+" has no characteristic "+a.Name+"; it has "+target.traitNames())
	}
	if t != nil && !p.fits(t) {
		return nil, faultBadRule(where+".expr", "gives "+p.code.Node().Type().String()+"; "+a.Name+" of "+target.title()+" is "+t.ValueType)
	}
	return p, nil
}

func (d *Decomposition) limits(where string) error {
	low, high := d.MinCardinality, d.MaxCardinality
	if low != nil && *low < 0 || high != nil && *high < 0 {
		return faultBadRule(where, "cardinalities are not negative")
	}
	if low != nil && high != nil && *high > 0 && *low > *high {
		return faultBadRule(where, "minCardinality "+bound(low)+" is above maxCardinality "+bound(high))
	}
	return nil
}

// forest keeps trees while the specifications stay as they are.
type forest struct {
	mu    sync.Mutex
	trees map[string]*Tree // by tenant and id
}

var trees = forest{trees: map[string]*Tree{}}

func (f *forest) recall(k, mark string) *Tree {
	f.mu.Lock()
	defer f.mu.Unlock()
	if t := f.trees[k]; t != nil && t.Mark == mark {
		return t
	}
	return nil
}

func (f *forest) keep(k string, t *Tree) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for old := range f.trees {
		if len(f.trees) < maxTrees {
			break
		}
		delete(f.trees, old)
	}
	f.trees[k] = t
}

// Load reads a service specification with all it decomposes into. As long as no
// specification of the tenant changes, it costs one statement.
func Load(tx *store.Tx, serviceSpecID string) (*Tree, error) {
	mark, err := tmf.Generation(tx)
	if err != nil {
		return nil, err
	}
	if mark == "" { // this transaction changes specifications, and no other does meanwhile
		return grow(tx, serviceSpecID)
	}
	k := tx.Tenant() + "/" + serviceSpecID
	if t := trees.recall(k, mark); t != nil {
		return t, nil
	}
	for {
		t, err := grow(tx, serviceSpecID)
		if err != nil {
			return nil, err
		}
		// A reader sees each statement's newest state: a tree that was read while
		// specifications changed may be half old, half new.
		after, err := tmf.GenerationNow(tx)
		if err != nil {
			return nil, err
		}
		if after == mark {
			t.Mark = mark
			trees.keep(k, t)
			return t, nil
		}
		if err := tx.Context().Err(); err != nil {
			return nil, err
		}
		mark = after
	}
}

// grow reads and compiles a tree.
func grow(tx *store.Tx, id string) (*Tree, error) {
	root, err := ServiceSpecifications.Get(tx, id)
	if err != nil {
		return nil, err
	}
	t := &Tree{Revs: map[string]int64{}, parts: map[string]*part{}, service: root, root: root.member()}
	return t, t.add(tx, t.root)
}

func (t *Tree) add(tx *store.Tx, m *member) error {
	if len(t.parts) == maxMembers {
		return fault.Clash("treeTooLarge", "%s decomposes into more than %d specifications", t.root.title(), maxMembers)
	}
	p := &part{member: m}
	t.parts[key(m.kind, m.id)] = p
	t.Revs[key(m.kind, m.id)] = m.rev
	for _, l := range m.links {
		if !decomposes(l.relation) {
			continue
		}
		if t.parts[key(l.kind, l.id)] == nil {
			target, err := lookup(tx, l.kind, l.id)
			if err != nil {
				return missing(err, m.title()+" "+l.where, l.kind+"Specification", l.id)
			}
			if err := t.add(tx, target); err != nil {
				return err
			}
		}
		b, err := m.branch(l, t.parts[key(l.kind, l.id)].member)
		if err != nil {
			return fault.Clash("ruleBroken", "%s has a rule that no longer holds: %s", m.title(), fault.Of(err).Reason)
		}
		p.branches = append(p.branches, b)
	}
	return nil
}

// Member is what a tree knows of a specification.
type Member struct {
	Kind, ID, Name, Version, Class, Category, Status string
	Rev                                              int64
}

func (m *member) public() Member {
	return Member{m.kind, m.id, m.name, m.version, m.class, m.category, m.status, m.rev}
}

// Ref is a TMF reference to the specification.
func (m Member) Ref() *tmf.Ref {
	r := &tmf.Ref{ID: m.ID, Name: m.Name, Version: m.Version, ReferredType: m.Class}
	api, name := ServiceCatalogAPI.Base, "serviceSpecification"
	if m.Kind == Resource {
		api, name = ResourceCatalogAPI.Base, "resourceSpecification"
	}
	r.Href = api + "/" + name + "/" + m.ID
	return r
}
