package spec

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"time"

	"tandem/kit/fault"
	"tandem/kit/store"
	"tandem/kit/tmf"
	"tandem/kit/transfer"
)

func at(path string, i int) string { return fmt.Sprintf("%s[%d]", path, i) }

func one(r *tmf.Ref) []tmf.Ref {
	if r == nil {
		return nil
	}
	return []tmf.Ref{*r}
}

// same reports whether two values have one wire form.
func same(a, b any) bool {
	x, errX := tmf.Encode(a)
	y, errY := tmf.Encode(b)
	return errX == nil && errY == nil && bytes.Equal(x, y)
}

// touch notes the time of a change.
func touch(tx *store.Tx, changed bool, updated *time.Time) {
	if changed {
		*updated = tx.Now()
	}
}

// refsExist refuses references to what is not there, in an import to what is not
// there at its end. References that stood before are not looked up again.
func refsExist[T any, P tmf.Pointer[T]](tx *store.Tx, k *tmf.Kind[T, P], path string, was, now []tmf.Ref) error {
	return transfer.Later(tx, func() error { return lookUp(tx, k, path, was, now) })
}

func lookUp[T any, P tmf.Pointer[T]](tx *store.Tx, k *tmf.Kind[T, P], path string, was, now []tmf.Ref) error {
	for i, r := range now {
		if r.ID == "" {
			return fault.BadInput("mandatoryAttributeMissing", "%s.id is required", at(path, i))
		}
		if slices.ContainsFunc(was, func(o tmf.Ref) bool { return o.ID == r.ID }) {
			continue
		}
		if _, err := k.Get(tx, r.ID); err != nil {
			return missing(err, at(path, i), k.Name, r.ID)
		}
	}
	return nil
}

// missing turns "not found" of a reference into a refusal of the request.
func missing(err error, where, what, id string) error {
	if fault.Is(err, fault.NotFound) {
		return fault.BadInput("unknownReference", "%s: there is no %s with id %q", where, what, id)
	}
	return err
}

// counter is the part of a Kind that tells whether something is referred to.
type counter interface {
	Count(tx *store.Tx, w tmf.Where) (int64, error)
	Meta() tmf.Meta
}

// use is an attribute that may refer to a thing.
type use struct {
	kind counter
	path string
}

// unused refuses to delete what others refer to.
func unused(tx *store.Tx, what, id string, uses ...use) error {
	for _, u := range uses {
		n, err := u.kind.Count(tx, tmf.Where{u.path: id})
		if err != nil {
			return err
		}
		if n > 0 {
			return fault.Clash("inUse", "This %s cannot be deleted: %d %s refer to it", what, n, plural(u.kind.Meta().Name, n))
		}
	}
	return nil
}

func plural(name string, n int64) string {
	switch {
	case n == 1:
		return name
	case strings.HasSuffix(name, "y"):
		return strings.TrimSuffix(name, "y") + "ies"
	}
	return name + "s"
}

func unusedCategory(tx *store.Tx, id string, categories, catalogs, candidates counter) error {
	return unused(tx, categories.Meta().Name, id, use{categories, "parentId"}, use{categories, "category.id"},
		use{catalogs, "category.id"}, use{candidates, "category.id"})
}

func rootUnless(isRoot *bool, parent string) *bool {
	if isRoot != nil {
		return isRoot
	}
	root := parent == ""
	return &root
}

const maxCategoryDepth = 50

// checkParent keeps categories a forest.
func checkParent(tx *store.Tx, id, was, parent string, isRoot *bool, parentOf func(string) (string, error)) error {
	if isRoot != nil && *isRoot && parent != "" {
		return fault.BadInput("rootHasParent", "A category with a parentId is not a root: leave isRoot out or make it false")
	}
	if parent == was {
		return nil
	}
	if err := tmf.Renew(tx); err != nil {
		return err
	}
	return transfer.Later(tx, func() error { return climb(id, parent, parentOf) })
}

func climb(id, parent string, parentOf func(string) (string, error)) error {
	for depth, above := 0, parent; above != ""; depth++ {
		if above == id || depth == maxCategoryDepth {
			return fault.BadInput("cycle", "parentId %q would put the category below itself or more than %d levels deep", parent, maxCategoryDepth)
		}
		next, err := parentOf(above)
		if err != nil {
			return missing(err, "parentId", "category", above)
		}
		above = next
	}
	return nil
}

func faultBadRule(where, reason string) error {
	return fault.BadInput("badExpression", "%s: %s", where, reason)
}

func faultRuleFailed(p *program, reason string) error {
	return fault.BadInput("ruleFailed", "The rule %s (%s) cannot be applied: %s", p.where, p.text, reason)
}

// lookup reads a specification of either sort.
func lookup(tx *store.Tx, kind, id string) (*member, error) {
	if kind == Resource {
		s, err := ResourceSpecifications.Get(tx, id)
		if err != nil {
			return nil, err
		}
		return s.member(), nil
	}
	s, err := ServiceSpecifications.Get(tx, id)
	if err != nil {
		return nil, err
	}
	return s.member(), nil
}

// check holds the rules of a specification; old is nil for a new one.
func check(tx *store.Tx, old, m *member) error {
	if err := tmf.Renew(tx); err != nil {
		return err
	}
	if err := m.checkTraits(); err != nil {
		return err
	}
	if err := checkVersion(old, m); err != nil {
		return err
	}
	return transfer.Later(tx, func() error { return checkOthers(tx, old, m) })
}

// checkOthers holds the rules that look at other specifications.
func checkOthers(tx *store.Tx, old, m *member) error {
	targets, err := m.targets(tx)
	if err != nil {
		return err
	}
	for i, l := range m.links {
		if _, err := m.branch(l, targets[i]); err != nil {
			return err
		}
	}
	if err := checkCycle(tx, m, targets); err != nil {
		return err
	}
	if err := checkLife(old, m, targets); err != nil {
		return err
	}
	if old == nil || sameTraits(old, m) && (old.status == m.status || !gone(m.status)) {
		return nil
	}
	return checkUsers(tx, old, m)
}

// targets are the specifications the links lead to.
func (m *member) targets(tx *store.Tx) ([]*member, error) {
	out := make([]*member, len(m.links))
	for i, l := range m.links {
		if l.kind == m.kind && l.id == m.id {
			return nil, fault.BadInput("cycle", "%s: a specification cannot refer to itself", l.where)
		}
		t, err := lookup(tx, l.kind, l.id)
		if err != nil {
			return nil, missing(err, l.where, l.kind+"Specification", l.id)
		}
		out[i] = t
	}
	return out, nil
}

// sameTraits compares in wire form: how a value was spelt does not matter.
func sameTraits(a, b *member) bool {
	return slices.EqualFunc(a.traits, b.traits, func(x, y trait) bool {
		return same(x.CharacteristicRule, y.CharacteristicRule) && same(x.values, y.values)
	})
}

func sameLinks(a, b *member) bool {
	return slices.EqualFunc(a.links, b.links, func(x, y link) bool {
		return x.kind == y.kind && x.id == y.id && x.relation == y.relation && x.role == y.role && same(x.rules, y.rules)
	})
}

// checkVersion keeps a live version what it was when it went live.
func checkVersion(old, m *member) error {
	if old == nil || !live(old.status) || old.version != m.version {
		return nil
	}
	if sameTraits(old, m) && sameLinks(old, m) {
		return nil
	}
	return fault.Clash("versionUnchanged", "%s is %s as version %s: its characteristics and decomposition change only together with a new version",
		m.title(), old.status, old.version)
}

func live(status string) bool { return status == Active || status == Launched || status == Retired }
func gone(status string) bool { return status == Obsolete || status == Rejected }

// checkLife keeps what is offered complete: it requires nothing that is not
// itself live.
func checkLife(old, m *member, targets []*member) error {
	if m.status != Active && m.status != Launched {
		return nil
	}
	for i, l := range m.links {
		known := old != nil && old.status == m.status && slices.ContainsFunc(old.links, func(o link) bool { return o.id == l.id && o.kind == l.kind })
		if decomposes(l.relation) && !known && targets[i].status != Active && targets[i].status != Launched {
			return fault.Clash("notLive", "%s cannot be %s: %s, the %s is %s", m.title(), m.status, l.where, targets[i].title(), targets[i].status)
		}
	}
	return nil
}

// acyclic says of which relationship types a chain must not return to its start.
func acyclic(relation string) bool {
	return decomposes(relation) || relation == "dependency" || relation == "aggregation"
}

func checkCycle(tx *store.Tx, m *member, targets []*member) error {
	seen := map[string]bool{}
	for i, l := range m.links {
		if !acyclic(l.relation) {
			continue
		}
		path, err := findBelow(tx, targets[i], m, seen)
		if err != nil {
			return err
		}
		if path != nil {
			return fault.BadInput("cycle", "%s: %s leads back to this specification by way of %s", l.where, targets[i].name, strings.Join(path, " > "))
		}
	}
	return nil
}

// findBelow is the way from a specification down to the sought one, nil if there is none.
func findBelow(tx *store.Tx, from, sought *member, seen map[string]bool) ([]string, error) {
	if seen[from.kind+from.id] {
		return nil, nil
	}
	seen[from.kind+from.id] = true
	for _, l := range from.links {
		if !acyclic(l.relation) {
			continue
		}
		if l.kind == sought.kind && l.id == sought.id {
			return []string{from.name}, nil
		}
		next, err := lookup(tx, l.kind, l.id)
		if err != nil {
			return nil, missing(err, from.title()+" "+l.where, l.kind+"Specification", l.id)
		}
		path, err := findBelow(tx, next, sought, seen)
		if path != nil || err != nil {
			return append([]string{from.name}, path...), err
		}
	}
	return nil, nil
}

// users are the specifications with a link to this one.
func users(tx *store.Tx, m *member) ([]*member, error) {
	var out []*member
	path := "resourceSpecification.id"
	if m.kind == Service {
		path = "serviceSpecRelationship.id"
	}
	services, err := ServiceSpecifications.Select(tx, tmf.Where{path: m.id}, tmf.Page{})
	if err != nil {
		return nil, err
	}
	for _, s := range services {
		out = append(out, s.member())
	}
	if m.kind == Service {
		return out, nil
	}
	resources, err := ResourceSpecifications.Select(tx, tmf.Where{"resourceSpecRelationship.id": m.id}, tmf.Page{})
	for _, s := range resources {
		out = append(out, s.member())
	}
	return out, err
}

// checkUsers refuses a change that breaks the mappings of others, and the end of
// what others that are live still require.
func checkUsers(tx *store.Tx, old, m *member) error {
	us, err := users(tx, m)
	if err != nil {
		return err
	}
	for _, u := range us {
		for _, l := range u.links {
			if l.kind != m.kind || l.id != m.id || !decomposes(l.relation) || gone(u.status) {
				continue
			}
			if gone(m.status) && !gone(old.status) && live(u.status) {
				return fault.Clash("inUse", "%s cannot become %s: %s, which is %s, requires it", m.title(), m.status, u.title(), u.status)
			}
			if _, err := u.branch(l, m); err != nil {
				return fault.Clash("mappingBroken", "The change breaks a rule of %s: %s", u.title(), fault.Of(err).Reason)
			}
		}
	}
	return nil
}

// drop is the last look before a specification is deleted.
func drop(tx *store.Tx, m *member, uses ...use) error {
	if err := tmf.Renew(tx); err != nil {
		return err
	}
	return unused(tx, m.kind+" specification", m.id, uses...)
}
