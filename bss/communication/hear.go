package communication

import (
	"strconv"
	"time"

	"tandem/bss/catalog"
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
		o, err := catalog.Offerings.Get(tx, offering)
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
	_, err := tx.Exec(rememberSubject, product, name, number)
	return err
}

// recall is the name of a product, its id if it has none, and its number in
// brackets if it has one.
func recall(tx *store.Tx, product string) (name, number string, err error) {
	err = tx.Row("SELECT name, number FROM communication_subject WHERE tenant = $1 AND product = $2", product).Scan(&name, &number)
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
