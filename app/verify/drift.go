package verify

import (
	"context"
	"errors"
	"strings"

	"tandem/bss/revenue"
	"tandem/kit/store"
	"tandem/oss/activation"
	"tandem/oss/activation/driver"
	"tandem/oss/fulfilment"
)

// Network is what revenue assurance asks of the elements (revenue.Network): one tenant's
// part of what a verification of all of them looks at.
type Network struct {
	DB       *store.DB
	Elements Elements
}

const maxStrangers = 100_000 // of one element, that are looked at one by one

// Drifts holds what the elements of a tenant list against what was built on them. What
// disagrees is asked for once more, alone. What nobody has put there is for the owner of
// the element to say, whoever else uses it.
func (n Network) Drifts(ctx context.Context, tenant string, found func(revenue.Drift) error) (listed, built int64, unread []string, err error) {
	var elements []activation.Element
	err = n.DB.Read(ctx, scopeOf(tenant), func(tx *store.Tx) (err error) {
		elements, err = activation.Elements(tx)
		return err
	})
	if err != nil {
		return 0, 0, nil, err
	}
	for _, e := range elements {
		for _, typ := range driver.HeldBy(e.Type) {
			d := &drifts{Network: n, ctx: ctx, tenant: tenant, e: e, typ: typ, found: found, wants: map[string]*holding{}}
			err := d.all()
			listed, built = listed+d.listed, built+int64(len(d.wants))
			if ctx.Err() != nil {
				return listed, built, unread, ctx.Err()
			}
			if err != nil {
				unread = append(unread, e.Name+": "+reasonOf(err))
				break
			}
		}
	}
	return listed, built, unread, nil
}

// reasonOf is an error of an element in the element's words.
func reasonOf(err error) string {
	var de *driver.Error
	if errors.As(err, &de) {
		return de.Reason
	}
	return err.Error()
}

// holding is what an element shall hold under one key, in few octets: there may be millions.
type holding struct {
	values      [8]byte
	mask        uint8
	seen, other bool
}

// drifts is one type of resource on one element.
type drifts struct {
	Network
	ctx    context.Context
	tenant string
	e      activation.Element
	typ    string
	found  func(revenue.Drift) error
	wants  map[string]*holding
	listed int64
}

func (d *drifts) all() error {
	err := d.built(func(_ fulfilment.Standing, in fulfilment.Intent) error {
		mask := maskOf(in.Type, in.Attributes)
		d.wants[in.Key] = &holding{values: valuesOf(in.Type, mask, in.Attributes), mask: mask}
		return nil
	})
	if err != nil {
		return err
	}
	if err := d.list(); err != nil {
		return err
	}
	for _, w := range d.wants {
		if !w.seen || w.other {
			return d.doubts()
		}
	}
	return nil
}

// built calls f with what services of the tenant have on the element, those ordered and
// those activated directly.
func (d *drifts) built(f func(fulfilment.Standing, fulfilment.Intent) error) error {
	err := fulfilment.Built(d.ctx, d.DB, scopeOf(d.tenant), func(s fulfilment.Standing) error {
		for _, in := range s.Intents {
			if in.Element != d.e.Name || in.Type != d.typ || in.Absent {
				continue
			}
			if err := f(s, in); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return activation.EachDirect(d.ctx, d.DB, d.tenant, func(x activation.Direct) error {
		if x.Element != d.e.Name || x.Desired.Type != d.typ || !x.Settled || x.Desired.Absent {
			return nil
		}
		return f(fulfilment.Standing{Service: x.Service}, fulfilment.Intent{Element: x.Element, Type: x.Desired.Type, Key: x.Desired.Key, Attributes: x.Desired.Attributes})
	})
}

// list marks what the element has, and looks at what nobody built.
func (d *drifts) list() error {
	var unknown, unclaimed []string
	look := func() error {
		some, err := d.unclaimed(unknown)
		unclaimed = append(unclaimed, some[:min(len(some), maxStrangers-len(unclaimed))]...)
		unknown = unknown[:0]
		return err
	}
	err := d.Elements.List(d.ctx, d.tenant, d.e.Name, d.typ, func(o driver.Observed) error {
		d.listed++
		if w := d.wants[o.Key]; w != nil {
			w.seen, w.other = true, valuesOf(d.typ, w.mask, o.Attributes) != w.values
			return nil
		}
		if d.e.Owner != d.tenant {
			return nil
		}
		if unknown = append(unknown, strings.Clone(o.Key)); len(unknown) < pageSize {
			return nil
		}
		return look()
	})
	if err == nil {
		err = look()
	}
	for _, key := range unclaimed {
		if err == nil {
			err = d.stranger(key)
		}
	}
	return err
}

// unclaimed are those of some keys that nobody has claimed.
func (d *drifts) unclaimed(keys []string) (out []string, err error) {
	var claimed map[string]bool
	err = d.DB.Read(d.ctx, scopeOf(d.tenant), func(tx *store.Tx) (err error) {
		claimed, err = activation.Claimed(tx, d.e.Name, d.typ, keys)
		return err
	})
	for _, key := range keys {
		if !claimed[key] {
			out = append(out, key)
		}
	}
	return out, err
}

// stranger tells of a key that is still on the element, and still nobody's.
func (d *drifts) stranger(key string) error {
	o, err := d.Elements.Observe(d.ctx, d.tenant, d.e.Name, d.typ, key)
	if err != nil || !o.Present {
		return err
	}
	if still, err := d.unclaimed([]string{key}); err != nil || len(still) == 0 {
		return err
	}
	return d.found(revenue.Drift{Class: revenue.Stranger, Element: d.e.Name, Key: key, Words: "is served"})
}

// doubts finds, by a second pass, the services behind what the element lacks or has
// otherwise. What a task is at work on is not judged.
func (d *drifts) doubts() error {
	busy := map[string]bool{}
	err := fulfilment.UnderWay(d.ctx, d.DB, scopeOf(d.tenant), func(in fulfilment.Intent) error {
		if in.Element == d.e.Name && in.Type == d.typ {
			busy[in.Key] = true
		}
		return nil
	})
	if err != nil {
		return err
	}
	return d.built(func(s fulfilment.Standing, in fulfilment.Intent) error {
		if w := d.wants[in.Key]; w == nil || w.seen && !w.other || busy[in.Key] {
			return nil
		}
		return d.doubt(s, in)
	})
}

// doubt asks the element about one thing once more.
func (d *drifts) doubt(s fulfilment.Standing, in fulfilment.Intent) error {
	o, err := d.Elements.Observe(d.ctx, d.tenant, d.e.Name, d.typ, in.Key)
	if err != nil {
		return err
	}
	x := revenue.Drift{Class: revenue.NotOnElement, Element: d.e.Name, Key: in.Key, Service: s.Service, Product: s.Product, Suspended: s.Suspended, Built: s.Since, Words: "is not there"}
	if o.Present {
		if x.Class, x.Words = revenue.OtherOnElement, difference(in.Attributes, o.Attributes); x.Words == "" {
			return nil
		}
	}
	return d.found(x)
}
