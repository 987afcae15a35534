package fulfilment

import (
	"slices"
	"strings"
	"time"

	"tandem/kit/fault"
	"tandem/kit/store"
	"tandem/oss/activation"
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
// those asked for, those that held has already (the first graph counts), or the
// next it may draw; tells the parts on elements what was assigned beside them; and
// claims their places there. Reservations and claims are made in the transaction of
// the plan, in the name of the root service, for an order that begins at start.
func assign(tx *store.Tx, target *Graph, draw inventory.Draw, start time.Time, held ...*Graph) error {
	d := drawing{tx, draw, target.Root().ID, startAt(tx, start).Add(reservedFor)}
	if err := d.values(target, held); err != nil {
		return err
	}
	if err := target.apart(); err != nil {
		return err
	}
	for i := range target.Parts {
		if err := target.inform(&target.Parts[i]); err != nil {
			return err
		}
	}
	for _, place := range target.places() {
		if err := activation.Claim(tx, place, d.holder); err != nil {
			return err
		}
	}
	return nil
}

// drawing is how a service gets values from pools.
type drawing struct {
	tx     *store.Tx
	draw   inventory.Draw
	holder string
	until  time.Time
}

// values gives the parts of a graph their values. Those that may be any are drawn
// together, after what is certain was taken.
func (d drawing) values(target *Graph, held []*Graph) error {
	var next []*inventory.Next
	var of []*Part
	for i := range target.Parts {
		p := &target.Parts[i]
		had := holders(p, held)
		var draws *inventory.Next
		var err error
		switch kind, isNumber := strings.CutPrefix(p.Category, numberPrefix); {
		case isNumber:
			draws, err = d.number(kind, had, p)
		case p.Category == simCategory:
			draws, err = d.sim(had, p)
		case p.ownsCard():
			err = d.card(had, p)
		}
		if err != nil {
			return err
		}
		if draws != nil {
			next, of = append(next, draws), append(of, p)
		}
	}
	if err := d.draw.ReserveNext(d.tx, d.holder, d.until, next); err != nil {
		return err
	}
	for i, n := range next {
		of[i].hold(n.Kind, n.Value, n.IMSI)
	}
	return nil
}

// hold notes what the part has from a pool.
func (p *Part) hold(kind, value, imsi string) {
	if kind != simCategory {
		p.set(kind, value)
		return
	}
	p.set("iccid", value)
	p.set("imsi", imsi)
}

// reservation is the @referredType of a supporting resource that is one of TMF685.
const reservation = "Reservation"

// draw is what an item may draw on: the reservations it names, and what is reserved
// for the parties of its order.
func (so *ServiceOrder) draw(s *Service) (d inventory.Draw) {
	for _, r := range s.Supporting {
		if r.ReferredType == reservation {
			d.Reservations = append(d.Reservations, r.ID)
		}
	}
	for _, r := range slices.Concat(so.RelatedParty, s.RelatedParty) {
		d.Parties = append(d.Parties, r.ID)
	}
	return d
}

// had is what parts of the service have from pools.
type had struct{ own, all []*Part }

// holders are the part as it was in each of the graphs, and all of its category.
func holders(p *Part, held []*Graph) (h had) {
	for _, g := range held {
		if was := g.same(p); was != nil {
			h.own = append(h.own, was)
		}
		for i := range partsOf(g) {
			if was := &g.Parts[i]; was.Category == p.Category {
				h.all = append(h.all, was)
			}
		}
	}
	return h
}

// with is the first part that has the value wanted, wherever in the service it was;
// the part itself if none is.
func (h had) with(name, want string) *Part {
	if want == "" && len(h.own) > 0 {
		return h.own[0]
	}
	i := slices.IndexFunc(h.all, func(was *Part) bool { return want != "" && want == was.value(name) })
	if i < 0 {
		return nil
	}
	return h.all[i]
}

// apart refuses one value in two parts.
func (g *Graph) apart() error {
	all := g.pooled()
	for i, v := range all {
		if v.Value != "" && slices.Contains(all[:i], v) {
			return fault.BadInput("assignedTwice", "Two parts of the service would have the %s %s", v.Kind, v.Value)
		}
	}
	return nil
}

// number gives a part its number, or says that any of the pool will do.
func (d drawing) number(kind string, had had, p *Part) (*inventory.Next, error) {
	want := p.value(kind)
	if was := had.with(kind, want); was != nil {
		p.set(kind, was.value(kind))
		return nil, nil
	}
	if want == "" {
		return &inventory.Next{Kind: kind, Pool: p.value("pool")}, nil
	}
	_, err := d.draw.Reserve(d.tx, kind, p.value("pool"), want, d.holder, d.until)
	return nil, err
}

// sim gives a part its card, or says that any of the pool will do.
func (d drawing) sim(had had, p *Part) (*inventory.Next, error) {
	want := p.value("iccid")
	if was := had.with("iccid", want); was != nil {
		p.hold(simCategory, was.value("iccid"), was.value("imsi"))
		return nil, nil
	}
	if want == "" {
		return &inventory.Next{Kind: simCategory, Pool: p.value("pool")}, nil
	}
	sim, err := d.draw.ReserveSIM(d.tx, p.value("pool"), want, d.holder, d.until)
	if err == nil {
		p.hold(simCategory, sim.ICCID, sim.IMSI)
	}
	return nil, err
}

// ownsCard says that the part is an entry of a SIM card ordered by itself: no
// service has the card, so the entry takes it out of the stock.
func (p *Part) ownsCard() bool {
	_, k, ok := p.onElement()
	return ok && p.Path == "" && k.secrets == "iccid"
}

// card reserves the card of an entry's key. A key that no card of the stock has
// stands for itself, without keys to authenticate it.
func (d drawing) card(had had, p *Part) error {
	imsi, iccid := p.value("imsi"), p.value("iccid")
	sim, err := inventory.SIMByIMSI(d.tx, imsi)
	switch {
	case fault.Is(err, fault.NotFound) && iccid == "":
		return nil
	case fault.Is(err, fault.NotFound), err == nil && iccid != "" && iccid != sim.ICCID:
		return fault.BadInput("wrongCard", "IMSI %q is not that of the card %q", imsi, iccid)
	case err != nil:
		return err
	}
	p.set("iccid", sim.ICCID)
	if had.with("iccid", sim.ICCID) != nil {
		return nil
	}
	_, err = d.draw.ReserveSIM(d.tx, sim.Pool, sim.ICCID, d.holder, d.until)
	if fault.Is(err, fault.Conflict) {
		return fault.Clash("simInUse", "The card with IMSI %q is in use, reserved or at rest", imsi)
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

// use is a value of a pool that a part of a service takes into use.
type use struct {
	Pooled
	part *Part
	done bool // it was reserved for the service
}

// takeLater turns into use what now has of pools and before had not, in one round trip
// with what else is asked; never nil.
func takeLater(tx *store.Tx, before, now *Graph) []*use {
	had, uses := before.pooled(), []*use{}
	for _, p := range partsOf(now) {
		_ = p.eachPooled(func(kind, value string) error { // the function never fails
			if v := (Pooled{kind, value}); !slices.Contains(had, v) {
				u := &use{Pooled: v, part: &p}
				uses = append(uses, u)
				inventory.AssignLater(tx, kind, value, now.Root().ID, &u.done)
			}
			return nil
		})
	}
	return uses
}

// settle makes the pools agree with a graph that is now in the network: what it
// holds is assigned, what it held before is released into quarantine.
func settle(tx *store.Tx, before, now *Graph, uses []*use) error {
	for _, u := range uses {
		if u.done {
			continue
		}
		if err := u.part.take(tx, u.Kind, u.Value, now.Root().ID); err != nil {
			return err
		}
	}
	return releaseAll(tx, now, before, now.earlier())
}

// releaseAll is release of several graphs.
func releaseAll(tx *store.Tx, keep *Graph, from ...*Graph) error {
	for _, g := range from {
		if err := release(tx, g, keep); err != nil {
			return err
		}
	}
	return nil
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

// release gives back what from holds and keep does not, on elements and from
// pools. What somebody else holds by now, because its reservation had run out,
// stays his.
func release(tx *store.Tx, from, keep *Graph) error {
	staying := keep.places()
	for _, place := range from.places() {
		if !slices.Contains(staying, place) {
			activation.Yield(tx, place, from.Root().ID)
		}
	}
	kept := keep.pooled()
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
	if iccid := p.value("iccid"); p.Category == simCategory || p.ownsCard() && iccid != "" {
		return f(simCategory, iccid)
	}
	return nil
}
