package verify

import (
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"time"

	"tandem/bss/revenue"
	"tandem/bss/subscription"
	"tandem/kit/store"
	"tandem/oss/activation"
	"tandem/oss/activation/driver"
	"tandem/oss/fulfilment"
	"tandem/oss/inventory"
)

// want is what an element shall hold under one key: which attributes count, by
// their place in the type's list, and a digest of their values.
type want struct {
	values [8]byte
	mask   uint8
	flags  uint8
}

// flags of a want.
const (
	seen    = 1 << iota // the element lists it
	differs             // with other values
	twice               // two services built it
)

// network is what all tenants together have built on elements.
type network struct {
	wants    packed[want]
	underWay map[id]bool
	elements map[string]activation.Element // by owner and name
	lookup   map[string]names              // by tenant
}

func newNetwork() *network {
	return &network{underWay: map[id]bool{}, elements: map[string]activation.Element{}, lookup: map[string]names{}}
}

// names are the elements that a tenant may use, by the names it has for them.
type names map[string]activation.Element

// place is where something is: digests of the same resource are the same,
// whoever names it.
func (n names) place(element, typ, key string) id {
	e, ok := n[element]
	if !ok {
		return digest("no element", element, typ, key)
	}
	return placeOn(e, typ, key)
}

func placeOn(e activation.Element, typ, key string) id {
	return digest("element", e.Owner, e.Name, typ, key)
}

func (v *run) names(tenant string) (names, error) {
	if known := v.network.lookup[tenant]; known != nil {
		return known, nil
	}
	out := names{}
	err := v.read(tenant, func(tx *store.Tx) error {
		all, err := activation.Elements(tx)
		for _, e := range all {
			out[e.Name] = e
			v.network.elements[e.Owner+" "+e.Name] = e
		}
		return err
	})
	v.network.lookup[tenant] = out
	return out, err
}

// valuesOf digests the attributes of a mask.
func valuesOf(typ string, mask uint8, attributes map[string]string) (d [8]byte) {
	h := fnv.New64a()
	for i, name := range driver.Types[typ].Attributes {
		if mask&(1<<i) != 0 {
			fmt.Fprintf(h, "%s=%q", name, attributes[name])
		}
	}
	copy(d[:], h.Sum(nil))
	return d
}

func maskOf(typ string, attributes map[string]string) (mask uint8) {
	for i, name := range driver.Types[typ].Attributes {
		if _, ok := attributes[name]; ok {
			mask |= 1 << i
		}
	}
	return mask
}

// expect notes that an element shall hold something.
func (n *network) expect(place id, typ string, attributes map[string]string) {
	mask := maskOf(typ, attributes)
	n.wants.add(place, want{values: valuesOf(typ, mask, attributes), mask: mask})
}

// underWay calls f with the places of everything that a task is at work on.
func (v *run) underWay(tenant string, n names, f func(id)) error {
	err := fulfilment.UnderWay(v.ctx, v.DB, scopeOf(tenant), func(in fulfilment.Intent) error {
		f(n.place(in.Element, in.Type, in.Key))
		return nil
	})
	if err != nil {
		return err
	}
	return activation.EachDirect(v.ctx, v.DB, tenant, func(d activation.Direct) error {
		if !d.Settled {
			f(n.place(d.Element, d.Desired.Type, d.Desired.Key))
		}
		return nil
	})
}

// built is a tenant's services while they are compared.
type built struct {
	tenant string
	names  names
	parts  packed[struct{}] // services of the inventory that belong to one that stands
	pooled packed[bool]     // numbers and SIMs with their holder; true: the pool says the same
	page   []fulfilment.Standing
	began  time.Time
}

// services compares what was built with the inventory and with the pools, and
// notes what elements shall hold.
func (v *run) services(tenant string) error {
	n, err := v.names(tenant)
	if err != nil {
		return err
	}
	b := &built{tenant: tenant, names: n, began: v.DB.Now()}
	err = fulfilment.Built(v.ctx, v.DB, scopeOf(tenant), func(s fulfilment.Standing) error { return v.standing(b, s) })
	if err == nil {
		err = v.inventoryPage(b)
	}
	if err == nil {
		err = v.direct(b)
	}
	if err == nil {
		err = v.underWay(tenant, n, func(d id) { v.network.underWay[d] = true })
	}
	if err != nil {
		return err
	}
	b.parts.sort()
	b.pooled.sort()
	if err := v.living(b); err != nil {
		return err
	}
	return v.pools(b)
}

const pageSize = 400 // of what is looked up together

func (v *run) standing(b *built, s fulfilment.Standing) error {
	for _, x := range s.Services {
		b.parts.add(digest(b.tenant, x), struct{}{})
	}
	for _, h := range s.Pooled {
		b.pooled.add(digest(h.Kind, h.Value, s.Service), false)
	}
	for _, in := range s.Intents {
		v.network.expect(b.names.place(in.Element, in.Type, in.Key), in.Type, in.Attributes)
	}
	if v.sum.Services++; v.sum.Services%100_000 == 0 {
		v.say("%s: %d services", b.tenant, v.sum.Services)
	}
	if b.page = append(b.page, s); len(b.page) < pageSize {
		return nil
	}
	return v.inventoryPage(b)
}

// inventoryPage holds a page of services against inventory and products.
func (v *run) inventoryPage(b *built) error {
	page := b.page
	b.page = nil
	if len(page) == 0 {
		return nil
	}
	var services, products []string
	for _, s := range page {
		services = append(services, s.Services...)
		if s.Product != "" {
			products = append(products, s.Product)
		}
	}
	var states, statuses map[string]string
	if err := v.read(b.tenant, func(tx *store.Tx) (err error) {
		if states, err = inventory.States(tx, services); err != nil {
			return err
		}
		statuses, err = subscription.Statuses(tx, products)
		return err
	}); err != nil {
		return err
	}
	for _, s := range page {
		if m, bad := judgeStanding(b.tenant, s, states, statuses); bad {
			if err := v.suspect(suspect{Mismatch: m, also: s.Services, again: func() (Mismatch, bool, error) { return v.standingAgain(b.tenant, s.Service) }}); err != nil {
				return err
			}
		}
	}
	return nil
}

func (v *run) standingAgain(tenant, service string) (m Mismatch, bad bool, err error) {
	err = v.read(tenant, func(tx *store.Tx) error {
		s, err := fulfilment.BuiltOf(tx, service)
		if err != nil || s == nil {
			return err
		}
		states, err := inventory.States(tx, s.Services)
		if err != nil {
			return err
		}
		statuses, err := subscription.Statuses(tx, []string{s.Product})
		if err == nil {
			m, bad = judgeStanding(tenant, *s, states, statuses)
		}
		return err
	})
	return m, bad, err
}

// judgeStanding says what is wrong with the records of a service that stands.
func judgeStanding(tenant string, s fulfilment.Standing, states, statuses map[string]string) (Mismatch, bool) {
	m := Mismatch{Kind: KindService, Tenant: tenant, Service: s.Service, Product: s.Product}
	class, words := revenue.JudgeStanding(s, states, statuses)
	if class == revenue.NoProduct {
		m.Kind = KindProduct
	}
	m.Words = words
	return m, class != ""
}

// direct notes what integrators have activated by themselves.
func (v *run) direct(b *built) error {
	return activation.EachDirect(v.ctx, v.DB, b.tenant, func(d activation.Direct) error {
		if d.Settled {
			v.sum.Services++
			v.network.expect(b.names.place(d.Element, d.Desired.Type, d.Desired.Key), d.Desired.Type, d.Desired.Attributes)
		}
		return nil
	})
}

// living looks for services in the inventory that nobody built.
func (v *run) living(b *built) error {
	return inventory.Living(v.ctx, v.DB, scopeOf(b.tenant), func(x string, changed time.Time) error {
		d := digest(b.tenant, x)
		if len(b.parts.find(d)) > 0 || v.Running && changed.After(b.began) {
			return nil
		}
		m := Mismatch{Kind: KindService, Tenant: b.tenant, Service: x, Words: "runs in the inventory, but no order that stands has built it in the network"}
		return v.suspect(suspect{Mismatch: m, built: d, again: func() (Mismatch, bool, error) {
			var states map[string]string
			err := v.read(b.tenant, func(tx *store.Tx) (err error) {
				states, err = inventory.States(tx, []string{x})
				return err
			})
			return m, states[x] == inventory.Active || states[x] == inventory.Inactive, err
		}})
	})
}

// elements asks every element what it holds.
func (v *run) elements() error {
	n := v.network
	n.wants.sort()
	for i := 1; i < len(n.wants); i++ {
		if n.wants[i].id == n.wants[i-1].id {
			n.wants[i].val.flags |= twice
			n.wants[i-1].val.flags |= twice
		}
	}
	unread := map[string]bool{}
	for _, name := range sortedKeys(n.elements) {
		e := n.elements[name]
		v.say("element %s of %s", e.Name, e.Owner)
		if err := v.element(e); err != nil {
			if v.ctx.Err() != nil {
				return err
			}
			unread[name] = true
			if err := v.unreadable(e, err); err != nil {
				return err
			}
		}
	}
	return v.absent(unread)
}

const (
	readTries  = 3
	maxSurplus = 100_000 // strangers of an element that are named one by one
)

// element marks what the element lists and suspects what nobody built.
func (v *run) element(e activation.Element) error {
	for _, typ := range driver.HeldBy(e.Type) {
		var strangers []string
		list := func() error {
			strangers = nil
			return v.Elements.List(v.ctx, e.Owner, e.Name, typ, func(o driver.Observed) error {
				if v.mark(e, o) && len(strangers) < maxSurplus {
					strangers = append(strangers, strings.Clone(o.Key))
				}
				return nil
			})
		}
		err := list()
		for n := 1; v.Running && err != nil && n < readTries; n++ {
			err = list()
		}
		if err != nil {
			return err
		}
		for _, key := range strangers {
			if err := v.stranger(e, typ, key); err != nil {
				return err
			}
		}
	}
	return nil
}

// mark compares one resource of an element and says whether it is a stranger.
func (v *run) mark(e activation.Element, o driver.Observed) bool {
	if v.sum.Resources++; v.sum.Resources%100_000 == 0 {
		v.say("%d resources on elements", v.sum.Resources)
	}
	d := placeOn(e, o.Type, o.Key)
	found := v.network.wants.find(d)
	for i := range found {
		w := &found[i].val
		if w.flags |= seen; valuesOf(o.Type, w.mask, o.Attributes) != w.values {
			w.flags |= differs
		}
	}
	return len(found) == 0 && !v.network.underWay[d]
}

func (v *run) stranger(e activation.Element, typ, key string) error {
	m := Mismatch{Kind: KindElement, Tenant: e.Owner, Element: e.Name, Key: key, Words: "is on the element, but nothing that stands has put it there"}
	return v.suspect(suspect{Mismatch: m, built: placeOn(e, typ, key), again: func() (Mismatch, bool, error) {
		o, err := v.Elements.Observe(v.ctx, e.Owner, e.Name, typ, key)
		return m, o.Present, err
	}})
}

func (v *run) unreadable(e activation.Element, cause error) error {
	reason := cause.Error()
	var de *driver.Error
	if errors.As(cause, &de) {
		reason = de.Reason
	}
	m := Mismatch{Kind: KindElement, Tenant: e.Owner, Element: e.Name, Words: "could not be asked what it holds: " + reason}
	return v.suspect(suspect{Mismatch: m, again: func() (Mismatch, bool, error) { return m, true, nil }})
}

// absent finds, by a further pass, the services behind what an element lacks or
// has otherwise.
func (v *run) absent(unread map[string]bool) error {
	if !slices.ContainsFunc(v.network.wants, func(e entry[want]) bool { return e.val.flags != seen }) {
		return nil
	}
	for _, t := range v.tenants {
		n := v.network.lookup[t]
		err := fulfilment.Built(v.ctx, v.DB, scopeOf(t), func(s fulfilment.Standing) error {
			for _, in := range s.Intents {
				if err := v.doubt(t, n, unread, in, s.Service, s.Product); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		err = activation.EachDirect(v.ctx, v.DB, t, func(d activation.Direct) error {
			in := fulfilment.Intent{Element: d.Element, Type: d.Desired.Type, Key: d.Desired.Key, Attributes: d.Desired.Attributes}
			if !d.Settled {
				return nil
			}
			return v.doubt(t, n, unread, in, d.Service, "")
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// doubt suspects an intent that its element does not meet.
func (v *run) doubt(tenant string, n names, unread map[string]bool, in fulfilment.Intent, service, product string) error {
	e, known := n[in.Element]
	place := n.place(in.Element, in.Type, in.Key)
	if v.network.underWay[place] || unread[e.Owner+" "+e.Name] {
		return nil
	}
	m := Mismatch{Kind: KindElement, Tenant: tenant, Service: service, Product: product, Element: in.Element, Key: in.Key}
	if !known {
		m.Words = "runs on an element that is not there for this tenant"
		return v.suspect(suspect{Mismatch: m, again: func() (Mismatch, bool, error) { return m, true, nil }})
	}
	found := v.network.wants.find(place)
	if len(found) == 0 || found[0].val.flags == seen {
		return nil
	}
	double := found[0].val.flags&twice != 0
	return v.suspect(suspect{Mismatch: m, again: func() (Mismatch, bool, error) {
		return v.intentAgain(m, e, double)
	}})
}

// intentAgain reads one resource, and what it shall be, anew.
func (v *run) intentAgain(m Mismatch, e activation.Element, double bool) (Mismatch, bool, error) {
	in, err := v.intentOf(m)
	if err != nil || in == nil {
		return m, false, err
	}
	if double {
		m.Words = "is not the only service that holds this resource of the element"
		return m, true, nil
	}
	o, err := v.Elements.Observe(v.ctx, e.Owner, e.Name, in.Type, in.Key)
	switch {
	case err != nil:
		m.Words = "cannot be read on its element: " + err.Error()
	case !o.Present:
		m.Words = "runs and is billed as far as we know, but the element does not have it"
	default:
		m.Words = difference(in.Attributes, o.Attributes)
	}
	if m.Words == "" || v.ctx.Err() != nil {
		return m, false, v.ctx.Err()
	}
	busy := false
	err = v.underWay(m.Tenant, v.network.lookup[m.Tenant], func(d id) { busy = busy || d == placeOn(e, in.Type, in.Key) })
	return m, !busy, err
}

// intentOf is what a suspect's service shall have under its key now; nil if that
// is over.
func (v *run) intentOf(m Mismatch) (found *fulfilment.Intent, err error) {
	err = v.read(m.Tenant, func(tx *store.Tx) error {
		s, err := fulfilment.BuiltOf(tx, m.Service)
		if err != nil || s == nil {
			return err
		}
		for _, in := range s.Intents {
			if in.Element == m.Element && in.Key == m.Key {
				found = &in
			}
		}
		return nil
	})
	if err != nil || found != nil {
		return found, err
	}
	err = activation.EachDirect(v.ctx, v.DB, m.Tenant, func(d activation.Direct) error {
		if d.Service == m.Service && d.Settled {
			found = &fulfilment.Intent{Element: d.Element, Type: d.Desired.Type, Key: d.Desired.Key, Attributes: d.Desired.Attributes}
		}
		return nil
	})
	return found, err
}

// difference is in words what an element has otherwise, "" if nothing.
func difference(want, have map[string]string) string {
	var out []string
	for _, name := range sortedKeys(want) {
		if have[name] != want[name] {
			out = append(out, fmt.Sprintf("%s is %q on the element and should be %q", name, have[name], want[name]))
		}
	}
	return strings.Join(out, ", ")
}
