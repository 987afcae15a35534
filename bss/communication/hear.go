package communication

import (
	"cmp"
	"slices"
	"strconv"
	"time"

	"tandem/bss/catalog"
	"tandem/bss/party"
	"tandem/fact"
	"tandem/kit/fault"
	"tandem/kit/store"
)

// Welcome hears that a product runs, and tells the customer.
func Welcome(tx *store.Tx, f fact.ProductActive) error {
	if err := remember(tx, f.Product, f.Offering, f.Resources); err != nil {
		return err
	}
	return about(tx, welcome, f.Product, f.Customer, f.At)
}

// Ahead reads at once what Welcome needs of several products.
func Ahead(tx *store.Tx, facts []fact.ProductActive) error {
	var products, notices, customers []string
	for _, f := range facts {
		products, customers = append(products, f.Product), append(customers, f.Customer)
		notices = append(notices, Notice{Key: welcome + "." + f.Product}.id())
	}
	if err := recallAhead(tx, products); err != nil {
		return err
	}
	if err := Messages.Fetch(tx, notices, false); err != nil {
		return err
	}
	if err := Unsent.Fetch(tx, notices, false); err != nil {
		return err
	}
	if err := Preferences.Fetch(tx, customers, false); err != nil {
		return err
	}
	return party.ContactsAhead(tx, slices.DeleteFunc(customers, func(id string) bool { return id == "" }))
}

// Changed hears that a product was modified: later messages call it by its new
// name and number.
func Changed(tx *store.Tx, f fact.ProductChanged) error {
	return remember(tx, f.Product, f.Offering, f.Resources)
}

// Suspended hears that a product is barred, and tells the customer.
func Suspended(tx *store.Tx, f fact.ProductSuspended) error {
	return about(tx, suspended, f.Product, f.Customer, f.At)
}

// Resumed hears that a product runs again, and tells the customer.
func Resumed(tx *store.Tx, f fact.ProductResumed) error {
	return about(tx, resumed, f.Product, f.Customer, f.At)
}

// Goodbye hears that a product has ended, and tells the customer.
func Goodbye(tx *store.Tx, f fact.ProductTerminated) error {
	return about(tx, goodbye, f.Product, f.Customer, f.At)
}

// OrderFailed hears how an order ended, and tells the customer if something of it
// could not be done.
func OrderFailed(tx *store.Tx, f fact.OrderEnded) error {
	if f.State != "failed" && f.State != "partial" {
		return nil
	}
	return Send(tx, Notice{Key: orderFailed + "." + f.Order, Customer: f.Customer, Purpose: Service, Template: orderFailed,
		Values: map[string]string{"order": f.Order}, At: tx.Now()})
}

// Threshold hears that a part of an allowance or of a limit is used, and tells the
// customer: once, as the fact is told once for each threshold and period. What stops
// something now is not held back by quiet hours.
func Threshold(tx *store.Tx, f fact.ThresholdCrossed) error {
	template := allowanceUsed
	switch {
	case f.Limit && f.Percent >= 100:
		template = limitReached
	case f.Limit:
		template = limitNear
	case f.Ending:
		template = allowanceEnds
	case f.Percent >= 100:
		template = allowanceGone
	}
	product, number, err := recall(tx, f.Account)
	if err != nil {
		return err
	}
	percent := strconv.Itoa(f.Percent)
	return Send(tx, Notice{Key: template + "." + f.Account + "." + f.Name + "." + percent + "." + strconv.FormatInt(store.Micros(f.At), 36),
		Customer: f.Customer, Purpose: Service, Template: template, At: f.At, Urgent: f.Percent >= 100,
		Values: map[string]string{"product": product, "number": number, "name": f.Name, "percent": percent}})
}

// about sends a notice about a product. The instant is part of the key: a product
// can be suspended many times, but welcomed once.
func about(tx *store.Tx, template, product, customer string, at time.Time) error {
	name, number, err := recall(tx, product)
	if err != nil {
		return err
	}
	key := template + "." + product
	if template != welcome && template != goodbye {
		key += "." + strconv.FormatInt(store.Micros(at), 36)
	}
	return Send(tx, Notice{Key: key, Customer: customer, Purpose: Service, Template: template,
		Values: map[string]string{"product": name, "number": number}, At: at})
}

const rememberSubject = `INSERT INTO communication_subject (tenant, product, name, number) VALUES ($1, $2, $3, $4)
	ON CONFLICT (tenant, product) DO UPDATE SET
		name = CASE WHEN excluded.name <> '' THEN excluded.name ELSE communication_subject.name END,
		number = CASE WHEN excluded.number <> '' THEN excluded.number ELSE communication_subject.number END`

// remember keeps how the product is called.
func remember(tx *store.Tx, product, offering string, resources []fact.Resource) error {
	name, number := "", ""
	if offering != "" {
		o, err := catalog.Offerings.Look(tx, offering)
		if err != nil && !fault.Is(err, fault.NotFound) {
			return err
		}
		if err == nil {
			name = o.Name
		}
	}
	for _, r := range resources {
		if r.Role == "msisdn" {
			number = r.Value
		}
	}
	tx.Queue(rememberSubject, product, name, number)
	if known := subjects(tx); known[product] != nil {
		was := known[product]
		known[product] = &subject{cmp.Or(name, was.name), cmp.Or(number, was.number)}
	}
	return nil
}

// subject is how a product is called.
type subject struct{ name, number string }

type subjectsKey struct{ tenant string }

// subjects are those that were read ahead, by product.
func subjects(tx *store.Tx) map[string]*subject {
	v, err := tx.Shared(subjectsKey{tx.Tenant()}, func() (any, error) { return map[string]*subject{}, nil })
	if err != nil {
		panic(err) // the maker above never fails
	}
	return v.(map[string]*subject)
}

func recallAhead(tx *store.Tx, products []string) error {
	args := store.Padded(products)
	rows, err := tx.Query("SELECT product, name, number FROM communication_subject WHERE tenant = $1 AND product IN ("+store.In(2, len(args))+")", args...)
	known := subjects(tx)
	for _, id := range products {
		known[id] = &subject{}
	}
	_, err = store.Collect(rows, err, func(r store.Rows) (id string, err error) {
		var s subject
		err = r.Scan(&id, &s.name, &s.number)
		known[id] = &s
		return id, err
	})
	return err
}

// recall is the name of a product, its id if it has none, and its number in
// brackets if it has one.
func recall(tx *store.Tx, product string) (name, number string, err error) {
	if s := subjects(tx)[product]; s != nil {
		name, number = s.name, s.number
	} else {
		err = tx.Row("SELECT name, number FROM communication_subject WHERE tenant = $1 AND product = $2", product).Scan(&name, &number)
	}
	if err == store.ErrNotFound {
		err = nil
	}
	if name == "" {
		name = product
	}
	if number != "" {
		number = " (" + number + ")"
	}
	return name, number, err
}
