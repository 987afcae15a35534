package verify

import (
	"fmt"
	"slices"

	"tandem/kit/fault"
	"tandem/kit/store"
	"tandem/oss/fulfilment"
	"tandem/oss/inventory"
)

// pools holds the numbers and SIMs in use against what services were built with,
// both ways.
func (v *run) pools(b *built) error {
	err := inventory.Assigned(v.ctx, v.DB, scopeOf(b.tenant), func(n inventory.Number) error {
		found := b.pooled.find(digest(n.Kind, n.Value, n.Holder))
		for i := range found {
			found[i].val = true
		}
		if len(found) > 0 {
			return nil
		}
		again := func() (Mismatch, bool, error) { return v.numberAgain(b.tenant, n.Kind, n.Value) }
		return v.suspect(suspect{Mismatch: Mismatch{Kind: KindPool, Tenant: b.tenant, Service: n.Holder, Key: n.Value}, again: again})
	})
	if err != nil || !slices.ContainsFunc(b.pooled, func(e entry[bool]) bool { return !e.val }) {
		return err
	}
	return fulfilment.Built(v.ctx, v.DB, scopeOf(b.tenant), func(s fulfilment.Standing) error {
		for _, h := range s.Pooled {
			if found := b.pooled.find(digest(h.Kind, h.Value, s.Service)); len(found) == 0 || found[0].val {
				continue
			}
			again := func() (Mismatch, bool, error) { return v.holderAgain(b.tenant, s.Service, h) }
			m := Mismatch{Kind: KindPool, Tenant: b.tenant, Service: s.Service, Product: s.Product, Key: h.Value}
			if err := v.suspect(suspect{Mismatch: m, again: again}); err != nil {
				return err
			}
		}
		return nil
	})
}

// numberOf reads a number or SIM; its State is empty if there is none.
func numberOf(tx *store.Tx, kind, value string) (n inventory.Number, err error) {
	if kind == inventory.SIMs {
		s, err := inventory.SIMOf(tx, value)
		n = inventory.Number{Kind: kind, Value: value, Pool: s.Pool, State: s.State, Holder: s.Holder}
		return n, ignoreMissing(err)
	}
	n, err = inventory.NumberOf(tx, kind, value)
	return n, ignoreMissing(err)
}

func ignoreMissing(err error) error {
	if fault.Is(err, fault.NotFound) {
		return nil
	}
	return err
}

// numberAgain says whether a number in use is used by nobody.
func (v *run) numberAgain(tenant, kind, value string) (m Mismatch, bad bool, err error) {
	err = v.read(tenant, func(tx *store.Tx) error {
		n, err := numberOf(tx, kind, value)
		if err != nil || n.State != inventory.NumberAssigned {
			return err
		}
		s, err := fulfilment.BuiltOf(tx, n.Holder)
		if err != nil || s != nil && slices.Contains(s.Pooled, fulfilment.Pooled{Kind: kind, Value: value}) {
			return err
		}
		bad, m = true, Mismatch{Kind: KindPool, Tenant: tenant, Service: n.Holder, Key: value,
			Words: fmt.Sprintf("%s is assigned to service %s in pool %s, which does not have it", title(kind), n.Holder, n.Pool)}
		return nil
	})
	return m, bad, err
}

// holderAgain says whether a service has a number that its pool gave to nobody, or
// to another.
func (v *run) holderAgain(tenant, service string, h fulfilment.Pooled) (m Mismatch, bad bool, err error) {
	err = v.read(tenant, func(tx *store.Tx) error {
		s, err := fulfilment.BuiltOf(tx, service)
		if err != nil || s == nil || !slices.Contains(s.Pooled, h) {
			return err
		}
		n, err := numberOf(tx, h.Kind, h.Value)
		if err != nil || n.State == inventory.NumberAssigned && n.Holder == service {
			return err
		}
		m = Mismatch{Kind: KindPool, Tenant: tenant, Service: service, Product: s.Product, Key: h.Value}
		switch {
		case n.State == "":
			m.Words = title(h.Kind) + " is used by the service, but is in no pool of the tenant"
		case n.Holder != "" && n.Holder != service:
			m.Words = fmt.Sprintf("%s is used by the service, but is %s for %s in pool %s", title(h.Kind), n.State, n.Holder, n.Pool)
		default:
			m.Words = fmt.Sprintf("%s is used by the service, but is %s in pool %s", title(h.Kind), n.State, n.Pool)
		}
		bad = true
		return nil
	})
	return m, bad, err
}

func title(kind string) string {
	switch kind {
	case inventory.SIMs:
		return "the SIM"
	case inventory.MSISDN:
		return "the number"
	}
	return "the " + kind
}
