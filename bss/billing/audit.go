package billing

import (
	"slices"
	"time"

	"tandem/bss/catalog"
	"tandem/bss/subscription"
	"tandem/kit/fault"
	"tandem/kit/store"
	"tandem/kit/tmf"
)

// Booked is what is billed of a product: its items, and the hard facts behind
// them, which say that an item is lost.
type Booked struct {
	Items []*BillableItem
	Lost  []string // items that were begun and are not there any more
}

// BookedOf is what is billed of up to a few hundred products, by product.
func BookedOf(tx *store.Tx, products []string) (map[string]*Booked, error) {
	out := map[string]*Booked{}
	if len(products) == 0 {
		return out, nil
	}
	args := make([]any, len(products))
	for i, id := range products {
		args[i], out[id] = id, &Booked{}
	}
	rows, err := tx.Query("SELECT doc FROM billing_item WHERE tenant = $1 AND a_product_id IN ("+store.In(2, len(args))+") ORDER BY a_product_id, a_from, id", args...)
	items, err := store.Collect(rows, err, func(r store.Rows) (*BillableItem, error) {
		var doc []byte
		if err := r.Scan(&doc); err != nil {
			return nil, err
		}
		i := &BillableItem{}
		return i, tmf.Decode(doc, i)
	})
	if err != nil {
		return nil, err
	}
	for _, i := range items {
		b := out[i.Product.ID]
		b.Items = append(b.Items, i)
	}
	rows, err = tx.Query(`SELECT product, item FROM billing_charge WHERE tenant = $1 AND product IN (`+store.In(2, len(args))+`)
		AND NOT EXISTS (SELECT 1 FROM billing_item i WHERE i.tenant = billing_charge.tenant AND i.id = billing_charge.item) ORDER BY product, item`, args...)
	_, err = store.Collect(rows, err, func(r store.Rows) (item string, err error) {
		var product string
		if err = r.Scan(&product, &item); err == nil {
			out[product].Lost = append(out[product].Lost, item)
		}
		return item, err
	})
	return out, err
}

// Open says that the item still runs.
func (i *BillableItem) Open() bool { return i.open() }

// Monthly is what items bring in a month by their recurring charges.
func Monthly(items []*BillableItem) (tmf.Money, error) { return monthly(items) }

// Owing finds what products owe and nobody bills. It remembers the offerings it
// has read, so it is made anew for each audit, and for one tenant.
type Owing struct{ offerings map[string]*priced }

type priced struct {
	offering *catalog.ProductOffering // nil: it is gone
	prices   []*catalog.ProductOfferingPrice
}

// all says that every price of the offering is billed, whatever applies.
func (k *priced) all(items []*BillableItem) bool {
	return !slices.ContainsFunc(k.prices, func(p *catalog.ProductOfferingPrice) bool { return !billed(items, p) })
}

// Missing are the names of the prices of a live product that have no item, and
// what they would bring in a month. If the catalogue was changed after the
// product began or was last changed, nobody can say that a single price was owed; that nothing at all
// is billed still shows.
func (w *Owing) Missing(tx *store.Tx, p *subscription.Product, items []*BillableItem) (names []string, m tmf.Money, err error) {
	known, err := w.offering(tx, p.Offering())
	if err != nil || known.offering == nil || known.all(items) {
		return nil, m, err
	}
	since := latest(p.StartDate, p.ChangeDate)
	charges, err := owed(tx, p, known.offering, judged(p.Ordered(), since), items)
	if err != nil {
		return nil, m, err
	}
	var would []*BillableItem
	for _, c := range charges {
		if billed(items, c.price) || len(items) > 0 && changedSince(known.offering, c.price, since) {
			continue
		}
		i, err := c.item(p, known.offering, &Account{}, "", tx.Now())
		if err != nil {
			return nil, m, err
		}
		would, names = append(would, i), append(names, c.price.Name)
	}
	m, err = monthly(would)
	return names, m, err
}

// billed says that a price has an open item; one charged once, that it ever had one.
func billed(items []*BillableItem, p *catalog.ProductOfferingPrice) bool {
	once := chargeType(p) == OneTime
	return slices.ContainsFunc(items, func(i *BillableItem) bool { return i.Price.ID == p.ID && (once || i.open()) })
}

func changedSince(o *catalog.ProductOffering, p *catalog.ProductOfferingPrice, at time.Time) bool {
	return o.LastUpdate.After(at) || p.LastUpdate.After(at)
}

func (w *Owing) offering(tx *store.Tx, id string) (*priced, error) {
	if known := w.offerings[id]; known != nil {
		return known, nil
	}
	fresh := &priced{}
	if id != "" {
		o, err := catalog.Offerings.Get(tx, id)
		if err != nil && !fault.Is(err, fault.NotFound) {
			return nil, err
		}
		if err == nil {
			prices, err := catalog.Prices(tx, o)
			if err != nil {
				return nil, err
			}
			fresh.offering, fresh.prices = o, prices
		}
	}
	if w.offerings == nil {
		w.offerings = map[string]*priced{}
	}
	w.offerings[id] = fresh
	return fresh, nil
}
