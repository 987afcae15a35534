package revenue

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"tandem/bss/billing"
	"tandem/kit/money"
	"tandem/kit/store"
	"tandem/kit/tmf"
)

// Classes of R1.
const (
	Stranger       = "stranger"       // an element serves what nobody has put there
	NotOnElement   = "notOnElement"   // a service was built, and its element does not have it
	OtherOnElement = "otherOnElement" // its element has it otherwise than it was built
)

// Drift is what an element holds otherwise than it was built.
type Drift struct {
	Class            string // Stranger, NotOnElement, OtherOnElement
	Element, Key     string
	Service, Product string // that built it; none of a stranger
	Suspended        bool   // the service is barred
	Words            string // what is otherwise
	Built            time.Time
}

// Network asks the elements of a tenant for their own lists and holds them against what
// was built. It says how many things they list, how many were built on them, and which
// elements could not be asked. The business wing never talks to an element itself.
type Network interface {
	Drifts(ctx context.Context, tenant string, found func(Drift) error) (listed, built int64, unread []string, err error)
}

// network is R1: what the elements list against what was built on them.
func network(c *check) error {
	if c.doors.Network == nil {
		return errNotHere("The elements cannot be asked from here: run it on a node that talks to them")
	}
	var mean *tmf.Money
	err := c.read(func(tx *store.Tx) (err error) {
		mean, err = meanValue(tx)
		return err
	})
	if err != nil {
		return err
	}
	var unread []string
	c.out.Left, c.out.Right, unread, err = c.doors.Network.Drifts(c.ctx, c.scope.Tenant, func(d Drift) error { return c.drift(d, mean) })
	if err == nil && len(unread) > 0 {
		err = fmt.Errorf("could not be asked: %s", strings.Join(unread, "; "))
	}
	return err
}

// drift tells one difference. When it began nobody knows: it is as old as the finding.
func (c *check) drift(d Drift, mean *tmf.Money) error {
	l := leak{key: d.Element + "/" + d.Key, class: d.Class, monthly: mean, about: refs(ref("Service", d.Service), ref("Product", d.Product), ref("Element", d.Element))}
	built := Evidence{Set: "services", ID: d.Service, Says: "was built"}
	if !d.Built.IsZero() {
		built.Says += " at " + instant(d.Built)
	}
	switch d.Class {
	case Stranger:
		l.words = fmt.Sprintf("%s serves %s, but nothing that stands has put it there", d.Element, d.Key)
		built = Evidence{Set: "services", Says: "nobody has claimed it"}
	case NotOnElement:
		l.side, l.words = Overcharge, fmt.Sprintf("Service %s was built, but %s does not have %s", d.Service, d.Element, d.Key)
	default:
		l.side, l.words = Risk, fmt.Sprintf("Service %s on %s: of %s %s", d.Service, d.Element, d.Key, d.Words)
		if d.Suspended {
			l.side = Leakage // barred by us, and perhaps served
		}
	}
	l.evidence = []Evidence{{Set: "element", ID: d.Key, Says: d.Words}, built}
	if d.Class != Stranger {
		l.monthly = nil
	}
	if d.Product != "" {
		if err := c.read(func(tx *store.Tx) (err error) { l.monthly, err = valueOf(tx, d.Product); return err }); err != nil {
			return err
		}
	}
	if err := c.tell(l); err != nil {
		return err
	}
	if len(c.leaks) < writeAtOnce {
		return nil
	}
	return c.flush()
}

const meanOf = 1000 // products

// meanValue is what a product of the tenant brings in a month on average, by the first that
// are billed; nil if nothing is, or they are of several currencies.
func meanValue(tx *store.Tx) (*tmf.Money, error) {
	running, err := billing.RunningAfter(tx, "", meanOf)
	if err != nil || len(running) == 0 {
		return nil, err
	}
	total := sums{}
	for some := range slices.Chunk(running, atOnce) {
		ids := make([]string, len(some))
		for i, r := range some {
			ids[i] = r.Product
		}
		booked, err := billing.BookedOf(tx, ids)
		if err != nil {
			return nil, err
		}
		for _, b := range booked {
			m, err := billing.Monthly(slices.DeleteFunc(b.Items, func(i *billing.BillableItem) bool { return !i.Open() }))
			if err == nil {
				err = total.add(&m)
			}
			if err != nil {
				return nil, err
			}
		}
	}
	list, err := total.list()
	if err != nil || len(list) != 1 {
		return nil, err
	}
	m, err := list[0].MulRat(1, int64(len(running)), money.HalfEven)
	return &m, err
}
