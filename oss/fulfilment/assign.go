package fulfilment

import (
	"strings"
	"time"

	"tandem/kit/fault"
	"tandem/kit/store"
	"tandem/oss/inventory"
)

const (
	numberPrefix = "number/"
	simCategory  = "sim"
)

// reservedFor is how long an order may hold what it reserved before it is done.
const reservedFor = 30 * 24 * time.Hour

// poolsQuarantine lets the pool say how long a number rests.
const poolsQuarantine = -1

// assign gives the parts of a target graph that come from pools their values:
// those the service has already, those asked for, or the next free ones; and
// tells the parts on elements what was assigned beside them. Reservations are
// made in the transaction of the plan, in the name of the root service.
func assign(tx *store.Tx, current, target *Graph) error {
	holder := target.Root().ID
	for i := range target.Parts {
		p := &target.Parts[i]
		var err error
		switch kind, isNumber := strings.CutPrefix(p.Category, numberPrefix); {
		case isNumber:
			err = assignNumber(tx, kind, holder, current.find(p.Path), p)
		case p.Category == simCategory:
			err = assignSIM(tx, holder, current.find(p.Path), p)
		}
		if err != nil {
			return err
		}
	}
	for i := range target.Parts {
		if err := target.inform(&target.Parts[i]); err != nil {
			return err
		}
	}
	return nil
}

func assignNumber(tx *store.Tx, kind, holder string, was, p *Part) error {
	want := p.value(kind)
	if was != nil && (want == "" || want == was.value(kind)) {
		p.set(kind, was.value(kind))
		return nil
	}
	got, err := inventory.Reserve(tx, kind, p.value("pool"), want, holder, tx.Now().Add(reservedFor))
	if err == nil {
		p.set(kind, got)
	}
	return err
}

func assignSIM(tx *store.Tx, holder string, was, p *Part) error {
	want := p.value("iccid")
	if was != nil && (want == "" || want == was.value("iccid")) {
		p.set("iccid", was.value("iccid"))
		p.set("imsi", was.value("imsi"))
		return nil
	}
	sim, err := inventory.ReserveSIM(tx, p.value("pool"), want, holder, tx.Now().Add(reservedFor))
	if err == nil {
		p.set("iccid", sim.ICCID)
		p.set("imsi", sim.IMSI)
	}
	return err
}

// inform gives a part on an element, and every service, the assigned values of
// the parts beside and below it that they do not state otherwise.
func (g *Graph) inform(p *Part) error {
	typ, k, onElement := p.onElement()
	if !onElement && p.Kind != "service" {
		if strings.HasPrefix(p.Category, elementPrefix) {
			return fault.Clash("unknownElementKind", "Resource specification %q is of category %q, which no driver serves", p.Spec.Name, p.Category)
		}
		return nil
	}
	for scope := p; scope != nil; scope = g.parent(scope.Path) {
		for name, value := range g.assignedBelow(scope.Path) {
			if p.value(name) == "" || p.Kind == "service" {
				p.set(name, value)
			}
		}
		if p.Kind == "service" {
			return nil
		}
	}
	if p.value(k.key) == "" || p.value("element") == "" {
		return fault.Clash("incompleteSpecification", "Resource specification %q gives no %s or no element for its %s", p.Spec.Name, k.key, typ)
	}
	return nil
}

// assignedBelow are the values that pools gave to the parts below a path.
func (g *Graph) assignedBelow(path string) map[string]string {
	out := map[string]string{}
	for i := range g.Parts {
		p := &g.Parts[i]
		if path != "" && !strings.HasPrefix(p.Path, path+"/") {
			continue
		}
		if kind, ok := strings.CutPrefix(p.Category, numberPrefix); ok {
			out[kind] = p.value(kind)
		}
		if p.Category == simCategory {
			out["iccid"], out["imsi"] = p.value("iccid"), p.value("imsi")
		}
	}
	return out
}

// settle makes the pools agree with a graph that is now in the network: what it
// holds is assigned, what it held before is released into quarantine.
func settle(tx *store.Tx, before, now *Graph) error {
	for _, p := range partsOf(now) {
		was := before.find(p.Path)
		if err := p.eachPooled(func(kind, value string) error {
			if was != nil && was.pooled(kind) == value {
				return nil
			}
			if kind == simCategory {
				return inventory.AssignSIM(tx, value, now.Root().ID)
			}
			return inventory.Assign(tx, kind, value, now.Root().ID)
		}); err != nil {
			return err
		}
	}
	return release(tx, before, now)
}

// release gives back what from holds and keep does not.
func release(tx *store.Tx, from, keep *Graph) error {
	for _, p := range partsOf(from) {
		still := keep.find(p.Path)
		if err := p.eachPooled(func(kind, value string) error {
			if still != nil && still.pooled(kind) == value {
				return nil
			}
			if kind == simCategory {
				return inventory.ReleaseSIM(tx, value, from.Root().ID, poolsQuarantine)
			}
			return inventory.Release(tx, kind, value, from.Root().ID, poolsQuarantine)
		}); err != nil {
			return err
		}
	}
	return nil
}

// eachPooled calls f with what the part holds from a pool, if anything.
func (p *Part) eachPooled(f func(kind, value string) error) error {
	if kind, ok := strings.CutPrefix(p.Category, numberPrefix); ok {
		return f(kind, p.value(kind))
	}
	if p.Category == simCategory {
		return f(simCategory, p.value("iccid"))
	}
	return nil
}

func (p *Part) pooled(kind string) string {
	if kind == simCategory {
		return p.value("iccid")
	}
	return p.value(kind)
}
