package selfcare

import (
	"slices"
	"time"

	"tandem/bss/catalog"
	"tandem/bss/charging"
	"tandem/bss/order"
	"tandem/bss/subscription"
	"tandem/kit/fault"
	"tandem/kit/store"
	"tandem/kit/tmf"
)

// Channel is the channel that orders come by here. An offering that names channels
// is sold here if it names this one.
const Channel = "selfcare"

// Line is a product of the customer with what can be used of it.
type Line struct {
	ID       string    `json:"id"`
	Name     string    `json:"name"`
	Status   string    `json:"status"`
	Number   string    `json:"number,omitzero"`
	Offering string    `json:"offering,omitzero"`
	Balances []Balance `json:"balances,omitzero"`
}

// Balance is a bucket.
type Balance struct {
	ID        string        `json:"id"`
	Name      string        `json:"name"`
	Type      string        `json:"type"`
	Remaining *tmf.Quantity `json:"remaining,omitzero"`
	Initial   *tmf.Quantity `json:"initial,omitzero"`
	ValidTo   time.Time     `json:"validTo,omitzero"`
}

// Pack is something to buy for a line.
type Pack struct {
	Offering    string  `json:"offering"`
	Name        string  `json:"name"`
	Description string  `json:"description,omitzero"`
	Prices      []Price `json:"prices,omitzero"`
}

// Price is one price of a pack, and what it gives.
type Price struct {
	Name   string        `json:"name"`
	Type   string        `json:"type"`
	Amount *tmf.Money    `json:"amount,omitzero"`
	Gives  *tmf.Quantity `json:"gives,omitzero"`
}

// Purchase asks for a pack for a line. A client that gives an id may ask again: it
// gets the order it has.
type Purchase struct {
	ID       string `json:"id,omitzero"`
	Line     string `json:"line"`
	Offering string `json:"offering"`
}

// Order is a purchase as it stands.
type Order struct {
	ID    string `json:"id"`
	State string `json:"state"`
}

// lines are the customer's products that run and are charged for.
func (c caller) lines(tx *store.Tx) ([]Line, error) {
	out := []Line{}
	owned, err := subscription.OfCustomer(tx, c.customer, subscription.Active, subscription.Suspended)
	if err != nil {
		return nil, err
	}
	for _, p := range owned {
		buckets, err := charging.OfLine(tx, p.ID)
		if fault.Is(err, fault.NotFound) {
			continue // an option, or nothing that is used up
		}
		if err != nil {
			return nil, err
		}
		l := Line{ID: p.ID, Name: p.Name, Status: p.Status, Offering: p.Offering()}
		for _, r := range p.RealizingResource {
			if r.Role == "msisdn" {
				l.Number = r.Value
			}
		}
		for _, b := range buckets {
			l.Balances = append(l.Balances, balance(b))
		}
		out = append(out, l)
	}
	return out, nil
}

func balance(b *charging.Bucket) Balance {
	out := Balance{ID: b.ID, Name: b.Name, Type: b.UsageType, Remaining: b.RemainingValue, Initial: b.Initial}
	if b.ValidFor != nil {
		out.ValidTo = b.ValidFor.EndDateTime
	}
	return out
}

// line is a product of the customer.
func (c caller) line(tx *store.Tx, id string) (*subscription.Product, error) {
	p, err := subscription.Get(tx, id)
	if err == nil && p.Customer() != c.customer {
		err = fault.Missing("line", id)
	}
	return p, err
}

// packs are the offerings on sale here that are optional for a line.
func (c caller) packs(tx *store.Tx, line string) ([]Pack, error) {
	p, err := c.line(tx, line)
	if err != nil {
		return nil, err
	}
	all, err := catalog.Offerings.Select(tx, tmf.Where{}, tmf.Page{})
	if err != nil {
		return nil, err
	}
	out := []Pack{}
	for _, o := range all {
		if !optional(o, p.Offering(), tx.Now()) {
			continue
		}
		if _, err := catalog.Sellable(tx, o.ID, tx.Now()); err != nil {
			continue // not, or no longer, on sale
		}
		prices, err := catalog.Prices(tx, o)
		if err != nil {
			return nil, err
		}
		k := Pack{Offering: o.ID, Name: o.Name, Description: o.Description}
		for _, x := range prices {
			k.Prices = append(k.Prices, price(x))
		}
		out = append(out, k)
	}
	return out, nil
}

func price(p *catalog.ProductOfferingPrice) Price {
	out := Price{Name: p.Name, Type: p.PriceType, Amount: p.Price}
	if p.Sort() == "allowance" {
		out.Gives = p.UnitOfMeasure
	}
	return out
}

// optional says that an offering is an addition to another one, and sold here.
func optional(o *catalog.ProductOffering, base string, now time.Time) bool {
	here := len(o.Channel) == 0 || slices.ContainsFunc(o.Channel, func(r catalog.Ref) bool { return r.ID == Channel })
	return here && slices.ContainsFunc(o.ProductOfferingRelationship, func(r catalog.OfferingRelationship) bool {
		return r.RelationshipType == catalog.OptionalFor && r.ID == base && r.ValidFor.Holds(now)
	})
}

// buy orders a pack for a line.
func (c caller) buy(tx *store.Tx, in Purchase) (Order, error) {
	if in.Line == "" || in.Offering == "" {
		return Order{}, fault.BadInput("mandatoryAttributeMissing", "line and offering are required")
	}
	if in.ID != "" {
		old, err := c.order(tx, in.ID)
		if err == nil || !fault.Is(err, fault.NotFound) {
			return old, err
		}
	}
	line, err := c.line(tx, in.Line)
	if err != nil {
		return Order{}, err
	}
	offering, err := catalog.Sellable(tx, in.Offering, tx.Now())
	if err != nil {
		return Order{}, err
	}
	if !optional(offering, line.Offering(), tx.Now()) {
		return Order{}, fault.BadInput("notAPack", "%q cannot be bought for %q", offering.Name, line.Name)
	}
	o := &order.ProductOrder{
		Channel:      []order.Ref{{ID: Channel}},
		RelatedParty: []tmf.RelatedParty{{ID: c.customer, Role: "customer", ReferredType: "Customer"}},
		ProductOrderItem: []order.Item{{ID: "1", Action: order.Add, ProductOffering: &order.Ref{ID: offering.ID}, Product: &order.Product{
			BillingAccount: line.BillingAccount,
			Relationship:   []subscription.Relationship{{RelationshipType: charging.ReliesOn, Product: &subscription.RefOrValue{ID: line.ID}}}}}},
	}
	o.ID = in.ID
	if err := order.Place(tx, o); err != nil {
		return Order{}, err
	}
	return Order{o.ID, o.State}, nil
}

// order is an order of the customer.
func (c caller) order(tx *store.Tx, id string) (Order, error) {
	o, err := order.ProductOrders.Get(tx, id)
	if err != nil {
		return Order{}, err
	}
	mine := slices.ContainsFunc(o.RelatedParty, func(r tmf.RelatedParty) bool { return r.Role == "customer" && r.ID == c.customer })
	if !mine {
		return Order{}, fault.Missing("order", id)
	}
	return Order{o.ID, o.State}, nil
}
