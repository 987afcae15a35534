package fulfilment

import (
	"slices"
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

// reservedFor is how long an order may hold what it reserved before it is done,
// from its start on.
const reservedFor = 30 * 24 * time.Hour

// poolsQuarantine lets the pool say how long a number rests.
const poolsQuarantine = -1

// assign gives the parts of a target graph that come from pools their values:
// those the service has already, those asked for, or the next free ones; and
// tells the parts on elements what was assigned beside them. Reservations are
// made in the transaction of the plan, in the name of the root service, for an
// order that begins at start.
func assign(tx *store.Tx, current, target *Graph, start time.Time) error {
	holder, until := target.Root().ID, startAt(tx, start).Add(reservedFor)
	for i := range target.Parts {
		p := &target.Parts[i]
		var err error
		switch kind, isNumber := strings.CutPrefix(p.Category, numberPrefix); {
		case isNumber:
			err = assignNumber(tx, kind, holder, until, current.same(p), p)
		case p.Category == simCategory:
			err = assignSIM(tx, holder, until, current.same(p), p)
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

func assignNumber(tx *store.Tx, kind, holder string, until time.Time, was, p *Part) error {
	want := p.value(kind)
	if was != nil && (want == "" || want == was.value(kind)) {
		p.set(kind, was.value(kind))
		return nil
	}
	got, err := inventory.Reserve(tx, kind, p.value("pool"), want, holder, until)
	if err == nil {
		p.set(kind, got)
	}
	return err
}

func assignSIM(tx *store.Tx, holder string, until time.Time, was, p *Part) error {
	want := p.value("iccid")
	if was != nil && (want == "" || want == was.value("iccid")) {
		p.set("iccid", was.value("iccid"))
		p.set("imsi", was.value("imsi"))
		return nil
	}
	sim, err := inventory.ReserveSIM(tx, p.value("pool"), want, holder, until)
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
	had := before.pooled()
	for _, p := range partsOf(now) {
		if err := p.eachPooled(func(kind, value string) error {
			if slices.Contains(had, Pooled{kind, value}) {
				return nil
			}
			return p.take(tx, kind, value, now.Root().ID)
		}); err != nil {
			return err
		}
	}
	return release(tx, before, now)
}

// take turns a reservation into use. One that has run out is made again, if nobody
// has taken the value meanwhile.
func (p *Part) take(tx *store.Tx, kind, value, holder string) error {
	assign := func() error { return inventory.Assign(tx, kind, value, holder) }
	reserve := func() error {
		_, err := inventory.Reserve(tx, kind, p.value("pool"), value, holder, tx.Now().Add(reservedFor))
		return err
	}
	if kind == simCategory {
		assign = func() error { return inventory.AssignSIM(tx, value, holder) }
		reserve = func() error {
			_, err := inventory.ReserveSIM(tx, p.value("pool"), value, holder, tx.Now().Add(reservedFor))
			return err
		}
	}
	err := assign()
	if !fault.Is(err, fault.Conflict) {
		return err
	}
	if reserve() != nil {
		return err // says what is missing
	}
	return assign()
}

// release gives back what from holds and none of the graphs to keep does. What
// somebody else holds by now, because its reservation had run out, stays his.
func release(tx *store.Tx, from *Graph, keep ...*Graph) error {
	var kept []Pooled
	for _, g := range keep {
		kept = append(kept, g.pooled()...)
	}
	for _, v := range from.pooled() {
		if slices.Contains(kept, v) {
			continue
		}
		var err error
		if v.Kind == simCategory {
			err = inventory.ReleaseSIM(tx, v.Value, from.Root().ID, poolsQuarantine)
		} else {
			err = inventory.Release(tx, v.Kind, v.Value, from.Root().ID, poolsQuarantine)
		}
		if err != nil && fault.Of(err).Code != "notHolder" {
			return err
		}
	}
	return nil
}

// pooled is all that a graph has from pools.
func (g *Graph) pooled() (out []Pooled) {
	for _, p := range partsOf(g) {
		_ = p.eachPooled(func(kind, value string) error { // the function never fails
			out = append(out, Pooled{kind, value})
			return nil
		})
	}
	return out
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
