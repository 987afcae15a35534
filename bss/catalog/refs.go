package catalog

import (
	"tandem/kit/fault"
	"tandem/kit/store"
	"tandem/kit/tmf"
)

const (
	maxRefs  = 1000 // references of one sort in a resource
	maxDepth = 10   // levels of bundles and composite prices
	maxTree  = 10_000
)

// must reads what is referred to and keeps it locked until the transaction ends,
// so that it can neither be deleted nor withdrawn meanwhile.
func must[T any, P tmf.Pointer[T]](tx *store.Tx, k *tmf.Kind[T, P], path, id string) (P, error) {
	p, err := k.Lock(tx, id)
	if fault.Is(err, fault.NotFound) {
		return nil, fault.BadInput("unknownReference", "%s: there is no %s with id %q", path, k.Name, id)
	}
	return p, err
}

// complete gives a reference the name and address of its target, if it lacks them.
func complete(name, href *string, targetName, targetHref string) {
	if *name == "" {
		*name = targetName
	}
	if *href == "" {
		*href = targetHref
	}
}

// distinct refuses a list that names the same thing twice, or the thing itself.
func distinct(path, self string, ids []string) error {
	if len(ids) > maxRefs {
		return fault.BadInput("tooMany", "%s has more than %d entries", path, maxRefs)
	}
	seen := make(map[string]bool, len(ids))
	for _, id := range ids {
		if id == self {
			return fault.BadInput("selfReference", "%s refers to the resource itself", path)
		}
		if seen[id] {
			return fault.BadInput("duplicateReference", "%s names %q twice", path, id)
		}
		seen[id] = true
	}
	return nil
}

func idsOf[E any](list []E, id func(E) string) []string {
	out := make([]string, len(list))
	for i, e := range list {
		out[i] = id(e)
	}
	return out
}

func refIDs(list []Ref) []string { return idsOf(list, func(r Ref) string { return r.ID }) }

// acyclic walks down from a resource that is about to be saved with these parts
// and refuses to come back to it. next reads the parts of a stored resource.
func acyclic(path, self string, parts []string, levels int, next func(id string) ([]string, error)) error {
	seen := map[string]bool{}
	for depth := 1; len(parts) > 0; depth++ {
		if depth > levels || len(seen) > maxTree {
			return fault.BadInput("tooDeep", "%s nests deeper than %d levels", path, levels)
		}
		var below []string
		for _, id := range parts {
			if id == self {
				return fault.BadInput("cycle", "%s: %q would contain itself", path, self)
			}
			if seen[id] {
				continue
			}
			seen[id] = true
			more, err := next(id)
			if err != nil {
				return err
			}
			below = append(below, more...)
		}
		parts = below
	}
	return nil
}

// unused refuses to let go of a resource while others of a kind name it at one of
// the paths; extra narrows down which of them count.
func unused[T any, P tmf.Pointer[T]](tx *store.Tx, k *tmf.Kind[T, P], what, id string, extra tmf.Where, paths ...string) error {
	for _, path := range paths {
		where := tmf.Where{path: id}
		for attr, v := range extra {
			where[attr] = v
		}
		found, err := k.Select(tx, where, tmf.Page{Limit: 1})
		if err != nil {
			return err
		}
		if len(found) > 0 {
			return fault.Clash("stillReferenced", "The %s %q is still needed: %s %q refers to it", what, id, k.Name, found[0].Base().ID)
		}
	}
	return nil
}

var onMarket = tmf.Where{"lifecycleStatus": Launched}
