package subscription

import (
	"slices"
	"time"

	"tandem/fact"
	"tandem/kit/outbox"
	"tandem/kit/store"
	"tandem/kit/tmf"
)

// What can be heard of a service.
const (
	heardActive     = "active"
	heardChanged    = "changed"
	heardSuspended  = "suspended"
	heardResumed    = "resumed"
	heardTerminated = "terminated"
)

// news is a fact of a service, whatever its type.
type news struct {
	product, service string
	order            string // the product order behind it, "" if none
	what             string
	at               time.Time
	resources        []fact.Resource
}

// Activate hears that a service runs. The product is active when all its services
// are, from the instant the last one was confirmed.
func Activate(tx *store.Tx, f fact.ServiceActive) error {
	return hear(tx, news{f.External.Product, f.Service, f.External.Order, heardActive, f.At, f.Resources})
}

// Change hears that a running service was modified: the pending change and the
// new resources become part of the product.
func Change(tx *store.Tx, f fact.ServiceChanged) error {
	return hear(tx, news{f.External.Product, f.Service, f.External.Order, heardChanged, f.At, f.Resources})
}

// Suspend hears that the network refuses the subscriber.
func Suspend(tx *store.Tx, f fact.ServiceSuspended) error {
	return hear(tx, news{f.External.Product, f.Service, f.External.Order, heardSuspended, f.At, nil})
}

// Resume hears that a suspended service runs again.
func Resume(tx *store.Tx, f fact.ServiceResumed) error {
	return hear(tx, news{f.External.Product, f.Service, f.External.Order, heardResumed, f.At, nil})
}

// Terminate hears that the network no longer knows the service.
func Terminate(tx *store.Tx, f fact.ServiceTerminated) error {
	return hear(tx, news{f.External.Product, f.Service, f.External.Order, heardTerminated, f.At, nil})
}

// hear takes one fact into the product, tells what that makes of the product, and
// does neither if it was heard before. A service that realises no product is not
// ours; a fact for a product that is not there is an error, so that it is parked
// and seen: something runs that nobody has.
func hear(tx *store.Tx, n news) error {
	if n.product == "" {
		return nil
	}
	fresh, err := noted(tx, n)
	if err != nil || !fresh {
		return err
	}
	old, err := Products.Lock(tx, n.product)
	if err != nil {
		return err
	}
	p, err := Products.Copy(old)
	if err != nil {
		return err
	}
	p.take(n)
	was, is := old.network(), p.network()
	for _, status := range p.path(old.Status, was, is) {
		if old, err = p.step(tx, old, status, n.at); err != nil {
			return err
		}
	}
	if err := Products.Save(tx, old, p); err != nil {
		return err
	}
	p.tell(tx, n, was, is)
	return nil
}

const noteFact = "INSERT INTO subscription_history (tenant, product, service, what, at, heard_at)"

// noted writes the fact to the history; fresh is false if it is there already.
func noted(tx *store.Tx, n news) (fresh bool, err error) {
	if heard := heardBefore(tx); heard.products[n.product] {
		key := noteKey{n.product, n.service, n.what, store.Micros(n.at)}
		if heard.notes[key] {
			return false, nil
		}
		heard.notes[key] = true
		tx.Insert(noteFact, n.product, n.service, n.what, key.at, store.Micros(tx.Now()))
		return true, nil
	}
	rows, err := tx.Exec(noteFact+" VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (tenant, product, service, what, at) DO NOTHING",
		n.product, n.service, n.what, store.Micros(n.at), store.Micros(tx.Now()))
	return rows == 1, err
}

// heard is the history of the products that were read ahead. Nobody else writes it
// meanwhile: whoever hears holds the cursor.
type heard struct {
	products map[string]bool
	notes    map[noteKey]bool
}

type noteKey struct {
	product, service, what string
	at                     int64
}

type heardKey struct{ tenant string }

func heardBefore(tx *store.Tx) heard {
	v, err := tx.Shared(heardKey{tx.Tenant()}, func() (any, error) { return heard{map[string]bool{}, map[noteKey]bool{}}, nil })
	if err != nil {
		panic(err) // the maker above never fails
	}
	return v.(heard)
}

// Ahead reads at once what Activate needs of several services.
func Ahead(tx *store.Tx, facts []fact.ServiceActive) error {
	var ids []string
	for _, f := range facts {
		ids = append(ids, f.External.Product)
	}
	ids = slices.Compact(slices.Sorted(slices.Values(ids)))
	if err := Products.Fetch(tx, ids, true); err != nil {
		return err
	}
	args := store.Padded(ids)
	rows, err := tx.Query("SELECT product, service, what, at FROM subscription_history WHERE tenant = $1 AND product IN ("+store.In(2, len(args))+")", args...)
	notes, err := store.Collect(rows, err, func(r store.Rows) (k noteKey, err error) {
		err = r.Scan(&k.product, &k.service, &k.what, &k.at)
		return k, err
	})
	known := heardBefore(tx)
	for _, k := range notes {
		known.notes[k] = true
	}
	for _, id := range ids {
		known.products[id] = true
	}
	return err
}

// service finds or adds the reference to a service.
func (p *Product) service(id string) *ServiceRef {
	i := slices.IndexFunc(p.RealizingService, func(s ServiceRef) bool { return s.ID == id })
	if i < 0 {
		i = len(p.RealizingService)
		p.RealizingService = append(p.RealizingService, ServiceRef{ID: id, ReferredType: "CustomerFacingService"})
	}
	return &p.RealizingService[i]
}

// take notes what was confirmed of the service.
func (p *Product) take(n news) {
	s := p.service(n.service)
	if s.State != Terminated { // the last word of a service
		switch n.what {
		case heardActive, heardResumed:
			s.State, s.Since = Active, n.at
			if s.Started.IsZero() {
				s.Started = n.at
			}
		case heardSuspended:
			s.State, s.Since = Suspended, n.at
		case heardTerminated:
			s.State, s.Since = Terminated, n.at
		}
	}
	p.takeResources(n)
	if n.what == heardChanged {
		p.takeChange(n)
	}
}

// characteristicOf says what the value of a resource is called among the product's
// characteristics. A role not listed lends its own name.
var characteristicOf = map[string]string{"sim": "iccid", "hlrSubscriber": "imsi"}

func (p *Product) takeResources(n news) {
	for _, r := range n.resources {
		ref := ResourceRef{ID: r.ID, Name: r.Role, Value: r.Value, Role: r.Role, Service: n.service}
		i := slices.IndexFunc(p.RealizingResource, func(x ResourceRef) bool { return x.Service == n.service && x.Role == r.Role })
		if i < 0 {
			p.RealizingResource = append(p.RealizingResource, ref)
		} else {
			p.RealizingResource[i] = ref
		}
		if r.Value == "" {
			continue
		}
		name := characteristicOf[r.Role]
		if name == "" {
			name = r.Role
		}
		p.ProductCharacteristic = tmf.With(p.ProductCharacteristic, tmf.Text(name, r.Value))
	}
}

// takeChange makes the pending change part of the product, if this was the last
// service to confirm it.
func (p *Product) takeChange(n news) {
	c := p.PendingChange
	if c == nil || c.order() != n.order {
		return
	}
	c.Awaited = slices.DeleteFunc(c.Awaited, func(id string) bool { return id == n.service })
	if len(c.Awaited) == 0 {
		p.Take(c)
		p.PendingChange, p.ChangeDate = nil, c.OrderDate
	}
}

// Take makes a change part of the product.
func (p *Product) Take(c *PendingChange) {
	if c.ProductOffering != nil {
		p.ProductOffering = c.ProductOffering
	}
	if c.ProductSpecification != nil {
		p.ProductSpecification = c.ProductSpecification
	}
	if c.ProductPrice != nil {
		p.ProductPrice = c.ProductPrice
	}
	for _, v := range c.ProductCharacteristic {
		p.ProductCharacteristic = tmf.With(p.ProductCharacteristic, v)
	}
	if c.BillingAccount != nil {
		p.BillingAccount = c.BillingAccount
	}
	if c.Place != nil {
		p.Place = c.Place
	}
	if c.ProductOrderItem != nil {
		p.ProductOrderItem = append(p.ProductOrderItem, *c.ProductOrderItem)
	}
}

// order is the product order that asks for the change.
func (c *PendingChange) order() string {
	if c.ProductOrderItem == nil {
		return ""
	}
	return c.ProductOrderItem.ProductOrderID
}

// network is what the services together say of the product: "" as long as one of
// them was never active, terminated when all have gone, active when all that are
// left are, suspended otherwise.
func (p *Product) network() string {
	if len(p.RealizingService) == 0 {
		return ""
	}
	is := Terminated
	for _, s := range p.RealizingService {
		switch {
		case s.Started.IsZero():
			if s.State != Terminated {
				return ""
			}
		case s.State == Suspended:
			is = Suspended
		case s.State == Active && is == Terminated:
			is = Active
		}
	}
	if is == Terminated && !slices.ContainsFunc(p.RealizingService, func(s ServiceRef) bool { return !s.Started.IsZero() }) {
		return "" // nothing ever ran
	}
	return is
}

// path is the states the product goes through to get from what it is to what its
// services say. A product that an order is ending stays so until it has ended,
// and nothing brings an ended one back: that is a mismatch for verify.
func (p *Product) path(status, was, is string) []string {
	switch {
	case was == is || is == "" || status == is:
		return nil
	case status == Cancelled || status == Aborted || status == Terminated:
		return nil
	case status == PendingTerminate && is != Terminated:
		return nil
	case was == "" && is == Terminated:
		return nil // it never ran as a whole: its order ends it
	case (status == Created || status == PendingActive) && is == Suspended:
		return []string{Active, Suspended}
	}
	return []string{is}
}

// step saves the product in one further state and returns it as it is stored.
func (p *Product) step(tx *store.Tx, old *Product, status string, at time.Time) (*Product, error) {
	p.Status = status
	switch status {
	case Active:
		if p.StartDate.IsZero() || !live(old.Status) {
			p.StartDate = at
		}
	case Terminated:
		p.TerminationDate = at
		if at.Before(p.StartDate) { // clocks of two elements
			p.TerminationDate = p.StartDate
		}
	}
	if err := Products.Save(tx, old, p); err != nil {
		return nil, err
	}
	return Products.Copy(p)
}

// tell tells what the fact makes of the product. One that an order cancelled
// before it ran is told nothing of: it must not be billed.
func (p *Product) tell(tx *store.Tx, n news, was, is string) {
	if p.Status == Cancelled || p.Status == Aborted || is == "" || was == "" && is == Terminated {
		return
	}
	if was == "" {
		outbox.Tell(tx, fact.ProductActive{Product: p.ID, Offering: p.Offering(), Customer: p.Customer(), BillingAccount: p.Account(),
			Service: n.service, At: n.at, Resources: p.resources()})
		was = Active
	}
	switch {
	case was != is && is == Suspended:
		outbox.Tell(tx, fact.ProductSuspended{Product: p.ID, Customer: p.Customer(), Service: n.service, At: n.at})
	case was == Suspended && is == Active:
		outbox.Tell(tx, fact.ProductResumed{Product: p.ID, Customer: p.Customer(), Service: n.service, At: n.at})
	case was != is && is == Terminated:
		outbox.Tell(tx, fact.ProductTerminated{Product: p.ID, Customer: p.Customer(), Service: n.service, At: n.at})
	case n.what == heardChanged && is != Terminated && p.PendingChange == nil:
		outbox.Tell(tx, fact.ProductChanged{Product: p.ID, Offering: p.Offering(), Customer: p.Customer(), BillingAccount: p.Account(),
			OrderDate: p.Ordered(), Service: n.service, At: n.at, Resources: p.resources()})
	}
}

// resources are all resources of the product, as facts carry them.
func (p *Product) resources() []fact.Resource {
	out := make([]fact.Resource, len(p.RealizingResource))
	for i, r := range p.RealizingResource {
		out[i] = fact.Resource{ID: r.ID, Role: r.Role, Value: r.Value}
	}
	return out
}
