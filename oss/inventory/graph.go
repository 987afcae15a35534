package inventory

import (
	"fmt"
	"maps"
	"slices"

	"github.com/oklog/ulid/v2"

	"tandem/kit/fault"
	"tandem/kit/store"
)

// Edge is one relation between two nodes of the graph.
type Edge struct {
	From, To string // From carries To
	Type     string
	Role     string
}

// ownedEdge is an edge with the place in the owner's document that states it.
type ownedEdge struct {
	Edge
	where  string
	across bool // from one sort to another: site to resource, resource to service
}

func at(path string, i int) string { return fmt.Sprintf("%s[%d]", path, i) }

// edges are what the node's statements mean. Relations that are not allowed mean
// nothing; checkGraph refuses them.
func (n *node) edges() []ownedEdge {
	if n == nil {
		return nil
	}
	var out []ownedEdge
	for _, s := range n.says {
		r, ok := find(s.says, n.class, s.class)
		if !ok {
			continue
		}
		e := Edge{From: n.id, To: s.other, Type: r.kind, Role: s.role}
		if r.direction == taken {
			e.From, e.To = e.To, e.From
		}
		if !slices.ContainsFunc(out, func(o ownedEdge) bool { return o.Edge == e }) {
			out = append(out, ownedEdge{e, s.where, s.class != n.sort()})
		}
	}
	return out
}

// sort is the class without the difference between physical and logical.
func (n *node) sort() string {
	if n.class == classService || n.class == classSite {
		return n.class
	}
	return classResource
}

// without gives the edges of a that are not in b.
func without(a, b []ownedEdge) []ownedEdge {
	var out []ownedEdge
	for _, e := range a {
		if !slices.ContainsFunc(b, func(o ownedEdge) bool { return o.Edge == e.Edge }) {
			out = append(out, e)
		}
	}
	return out
}

// checkGraph refuses statements about what is not there, relations that are not
// allowed, and cycles. old is nil for a new node.
func checkGraph(tx *store.Tx, old, n *node) error {
	if old != nil && old.class != n.class {
		return fault.BadInput("typeFixed", "@type makes this a %s resource; that cannot change", old.class)
	}
	if err := n.checkStatements(tx, old); err != nil {
		return err
	}
	added := without(n.edges(), old.edges())
	added = slices.DeleteFunc(added, func(e ownedEdge) bool { return !slices.Contains(carrying, e.Type) })
	if !n.couldCycle(added, old == nil) {
		return nil
	}
	tx.Queue("INSERT INTO inventory_graph (tenant, changes) VALUES ($1, 1) ON CONFLICT (tenant) DO UPDATE SET changes = inventory_graph.changes + 1")
	for _, e := range added {
		if err := checkCycle(tx, e, n); err != nil {
			return err
		}
	}
	return nil
}

func (n *node) checkStatements(tx *store.Tx, old *node) error {
	var ids []any
	for _, s := range n.says {
		switch {
		case s.other == "":
			return fault.BadInput("mandatoryAttributeMissing", "%s.id is required", s.where)
		case s.other == n.id:
			return fault.BadInput("cycle", "%s: nothing can be related to itself", s.where)
		case !old.said(s) && newNodes(tx)[s.other] == "":
			ids = append(ids, s.other)
		}
	}
	classes, err := classesOf(tx, ids)
	if err != nil {
		return err
	}
	maps.Copy(classes, newNodes(tx))
	for _, s := range n.says {
		if old.said(s) {
			continue
		}
		class, ok := classes[s.other]
		if !ok || class != s.class && (s.class != classResource || class == classService || class == classSite) {
			return fault.BadInput("unknownReference", "%s: there is no %s with id %q", s.where, s.class, s.other)
		}
		if _, ok := find(s.says, n.class, class); !ok {
			return refused(s, n.class, class)
		}
	}
	return nil
}

// said reports whether the node says the same.
func (n *node) said(s statement) bool {
	return n != nil && slices.ContainsFunc(n.says, func(o statement) bool {
		return o.says == s.says && o.other == s.other && o.class == s.class && o.role == s.role
	})
}

const inBatch = 400 // ids in one statement

// classesOf are the classes of the nodes that are there, which stay there until the
// transaction ends.
func classesOf(tx *store.Tx, ids []any) (map[string]string, error) {
	out := map[string]string{}
	for batch := range slices.Chunk(ids, inBatch) {
		rows, err := tx.Query("SELECT id, class FROM inventory_node WHERE tenant = $1 AND id IN ("+store.In(2, len(batch))+")"+tx.Dialect().ForKeyShare(), batch...)
		_, err = store.Collect(rows, err, func(r store.Rows) (bool, error) {
			var id, class string
			err := r.Scan(&id, &class)
			out[id] = class
			return true, err
		})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// couldCycle spares the search where no cycle can come about: sites carry
// resources carry services and never the other way round, and a new node that is
// only carried, or only carries, closes no ring.
func (n *node) couldCycle(added []ownedEdge, fresh bool) bool {
	ins, outs := 0, 0
	for _, e := range added {
		switch {
		case e.across:
		case e.To == n.id:
			ins++
		default:
			outs++
		}
	}
	if fresh {
		return ins > 0 && outs > 0
	}
	return ins+outs > 0
}

const maxSearch = 100_000 // nodes looked at to prove that an edge closes no ring

// checkCycle looks below an edge's carrier for what it is to carry. What is below
// a thing is little; what is above it can be the whole network. The edges of the
// node being saved are taken from it: the tables still have the old ones.
func checkCycle(tx *store.Tx, e ownedEdge, n *node) error {
	own := n.edges()
	seen := map[string]bool{e.From: true}
	for level := []string{e.From}; len(level) > 0; {
		if slices.Contains(level, e.To) {
			return fault.BadInput("cycle", "%s: %s would carry itself by way of this relation", e.where, e.To)
		}
		found, err := neighbours(tx, level, false, n.id)
		if err != nil {
			return err
		}
		for _, o := range own {
			if slices.Contains(level, o.To) && slices.Contains(carrying, o.Type) {
				found = append(found, Reached{ID: o.From})
			}
		}
		level = nil
		for _, f := range found {
			if !seen[f.ID] {
				seen[f.ID] = true
				level = append(level, f.ID)
			}
		}
		if len(seen) > maxSearch {
			return fault.BadInput("tooDeep", "%s: more than %d things lie below it", e.where, maxSearch)
		}
	}
	return nil
}

// saveGraph keeps node and edges in step with the documents.
func saveGraph(tx *store.Tx, old, n *node) error {
	if n == nil {
		return dropNode(tx, old)
	}
	switch {
	case old == nil:
		if err := addNode(tx, n); err != nil {
			return err
		}
	case old.name != n.name || old.class != n.class:
		tx.Queue("UPDATE inventory_node SET class = $3, name = $4 WHERE tenant = $1 AND id = $2", n.id, n.class, n.name)
	}
	was, now := old.edges(), n.edges()
	for _, e := range without(was, now) {
		tx.Queue("DELETE FROM inventory_edge WHERE tenant = $1 AND from_id = $2 AND to_id = $3 AND type = $4 AND role = $5 AND owner = $6",
			e.From, e.To, e.Type, e.Role, n.id)
	}
	for _, e := range without(now, was) {
		tx.Insert("INSERT INTO inventory_edge (tenant, from_id, to_id, type, role, owner)",
			e.From, e.To, e.Type, e.Role, n.id)
	}
	return nil
}

// addNode keeps ids unique over services, resources and sites. Only an id that a
// client chose can be taken; that of a new ULID is left to the primary key.
func addNode(tx *store.Tx, n *node) error {
	const insert = "INSERT INTO inventory_node (tenant, id, class, name)"
	if _, err := ulid.ParseStrict(n.id); err == nil {
		tx.Insert(insert, n.id, n.class, n.name)
		newNodes(tx)[n.id] = n.class
		return nil
	}
	added, err := tx.Exec(insert+" VALUES ($1, $2, $3, $4) ON CONFLICT (tenant, id) DO NOTHING", n.id, n.class, n.name)
	if err != nil || added == 1 {
		return err
	}
	var class string
	if err := tx.Row("SELECT class FROM inventory_node WHERE tenant = $1 AND id = $2", n.id).Scan(&class); err != nil {
		return err
	}
	return fault.Clash("idTaken", "The id %q belongs to a %s already", n.id, class)
}

type newNodesKey struct{ tenant string }

// newNodes are those that the transaction has added, with their class: what it says
// of them need not be looked up.
func newNodes(tx *store.Tx) map[string]string {
	v, err := tx.Shared(newNodesKey{tx.Tenant()}, func() (any, error) { return map[string]string{}, nil })
	if err != nil {
		panic(err) // the maker above never fails
	}
	return v.(map[string]string)
}

// dropNode refuses while others say something of the node. It takes the node first: who
// is about to say something has said it then, or finds the node gone.
func dropNode(tx *store.Tx, old *node) error {
	tx.Queue("SELECT id FROM inventory_node WHERE tenant = $1 AND id = $2"+tx.Dialect().ForUpdate(), old.id)
	for _, e := range old.edges() {
		tx.Queue("DELETE FROM inventory_edge WHERE tenant = $1 AND from_id = $2 AND to_id = $3 AND type = $4 AND role = $5 AND owner = $6",
			e.From, e.To, e.Type, e.Role, old.id)
	}
	var other string
	err := tx.Row(`SELECT owner FROM inventory_edge WHERE tenant = $1 AND from_id = $2
		UNION ALL SELECT owner FROM inventory_edge WHERE tenant = $1 AND to_id = $2 LIMIT 1`, old.id).Scan(&other)
	if err == nil {
		return fault.Clash("inUse", "This %s cannot be deleted: %s refers to it", old.class, other)
	}
	if err != store.ErrNotFound {
		return err
	}
	tx.Queue("DELETE FROM inventory_node WHERE tenant = $1 AND id = $2", old.id)
	delete(newNodes(tx), old.id)
	return nil
}

// Edges lists the relations of a node, both ways, each once.
func Edges(tx *store.Tx, id string) ([]Edge, error) {
	rows, err := tx.Query(`SELECT from_id, to_id, type, role FROM inventory_edge WHERE tenant = $1 AND from_id = $2
		UNION SELECT from_id, to_id, type, role FROM inventory_edge WHERE tenant = $1 AND to_id = $2
		ORDER BY 1, 2, 3, 4`, id)
	return store.Collect(rows, err, func(r store.Rows) (e Edge, err error) {
		err = r.Scan(&e.From, &e.To, &e.Type, &e.Role)
		return e, err
	})
}

// Reached is a node met on the way through the graph.
type Reached struct {
	ID       string
	Class    string // service, resource, physical, logical or site
	Name     string
	Distance int    // edges from the start; 1: next to it
	Via      string // the node before it on a shortest way
	Type     string // of the edge from Via
	Role     string
}

// Above is everything that a failure of the node could hurt, nearest first, no
// more than limit. A result of exactly limit may be cut short.
func Above(tx *store.Tx, id string, limit int) ([]Reached, error) { return walk(tx, id, limit, true) }

// Below is everything the node stands on, nearest first, no more than limit.
func Below(tx *store.Tx, id string, limit int) ([]Reached, error) { return walk(tx, id, limit, false) }

func walk(tx *store.Tx, id string, limit int, up bool) ([]Reached, error) {
	var out []Reached
	seen := map[string]bool{id: true}
	for level, distance := []string{id}, 1; len(level) > 0; distance++ {
		found, err := neighbours(tx, level, up, "")
		if err != nil {
			return nil, err
		}
		level = nil
		for _, f := range found {
			if seen[f.ID] {
				continue
			}
			if len(out) == limit {
				return out, nil
			}
			seen[f.ID] = true
			f.Distance = distance
			out = append(out, f)
			level = append(level, f.ID)
		}
	}
	return out, nil
}

// neighbours are the nodes one carrying edge above or below those given, but for
// edges that the node except states.
func neighbours(tx *store.Tx, ids []string, up bool, except string) ([]Reached, error) {
	here, there := "to_id", "from_id"
	if up {
		here, there = there, here
	}
	var out []Reached
	for batch := range slices.Chunk(ids, inBatch) {
		args := []any{except}
		for _, id := range batch {
			args = append(args, id)
		}
		rows, err := tx.Query("SELECT e."+there+", n.class, n.name, e."+here+", e.type, e.role FROM inventory_edge e JOIN inventory_node n ON n.tenant = $1 AND n.id = e."+there+
			" WHERE e.tenant = $1 AND e.owner <> $2 AND e.type IN ('supports', 'contains', 'connects') AND e."+here+" IN ("+store.In(3, len(batch))+") ORDER BY 1, 4, 5, 6", args...)
		found, err := store.Collect(rows, err, func(r store.Rows) (n Reached, err error) {
			err = r.Scan(&n.ID, &n.Class, &n.Name, &n.Via, &n.Type, &n.Role)
			return n, err
		})
		if err != nil {
			return nil, err
		}
		out = append(out, found...)
	}
	return out, nil
}
