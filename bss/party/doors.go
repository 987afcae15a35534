package party

import (
	"tandem/kit/fault"
	"tandem/kit/store"
	"tandem/kit/tmf"
)

// Get is the customer with the id; fault.Missing if the tenant has none.
func Get(tx *store.Tx, id string) (*Customer, error) { return Customers.Get(tx, id) }

// Buyer is Get for somebody who wants to buy: a customer that is closed, or not
// valid at the transaction's instant, is refused in the user's words. Who asks for him
// again in the transaction has him at hand.
func Buyer(tx *store.Tx, id string) (*Customer, error) {
	if err := Customers.Fetch(tx, []string{id}, false); err != nil {
		return nil, err
	}
	c, err := Customers.Get(tx, id)
	if fault.Is(err, fault.NotFound) {
		return nil, fault.BadInput("unknownCustomer", "There is no customer with id %q", id)
	}
	if err != nil {
		return nil, err
	}
	if c.Status == Closed {
		return nil, fault.BadInput("customerClosed", "The customer %q is closed", c.Name)
	}
	if !c.ValidFor.Holds(tx.Now()) {
		return nil, fault.BadInput("customerNotValid", "The customer %q is not valid at this time", c.Name)
	}
	return c, nil
}

// Contacts says how to reach a customer. The customer's own media come before
// those of the engaged party, preferred ones before others; the name is the
// party's, the language that of the customer's or party's characteristic
// "language", else a person's favourite one.
func Contacts(tx *store.Tx, customerID string) (Contact, error) {
	c, err := Customers.Get(tx, customerID)
	if err != nil {
		return Contact{}, err
	}
	return ContactsOf(tx, c)
}

// ContactsAhead reads at once what Contacts needs of several customers.
func ContactsAhead(tx *store.Tx, customers []string) error {
	if err := Customers.Fetch(tx, customers, false); err != nil {
		return err
	}
	var people, firms []string
	for _, id := range customers {
		c, err := Customers.Get(tx, id)
		switch {
		case fault.Is(err, fault.NotFound):
		case err != nil:
			return err
		case c.EngagedParty.ReferredType == "Organization":
			firms = append(firms, c.EngagedParty.ID)
		default:
			people = append(people, c.EngagedParty.ID)
		}
	}
	if err := Individuals.Fetch(tx, people, false); err != nil {
		return err
	}
	return Organizations.Fetch(tx, firms, false)
}

// ContactsOf is Contacts for a customer already read.
func ContactsOf(tx *store.Tx, c *Customer) (Contact, error) {
	out := Contact{Name: c.Name}
	out.Language, _ = tmf.Value(c.Characteristic, "language")
	out.fill(c.ContactMedium, tx.Now())
	var err error
	if c.EngagedParty.ReferredType == "Organization" {
		err = out.ofOrganization(tx, c.EngagedParty.ID)
	} else {
		err = out.ofIndividual(tx, c.EngagedParty.ID)
	}
	return out, err
}

func (c *Contact) ofIndividual(tx *store.Tx, id string) error {
	p, err := Individuals.Get(tx, id)
	if err != nil {
		return err
	}
	c.Name = p.Name()
	if c.Language == "" {
		c.Language, _ = tmf.Value(p.PartyCharacteristic, "language")
	}
	if c.Language == "" {
		c.Language = p.Language(tx.Now())
	}
	c.fill(p.ContactMedium, tx.Now())
	return nil
}

func (c *Contact) ofOrganization(tx *store.Tx, id string) error {
	o, err := Organizations.Get(tx, id)
	if err != nil {
		return err
	}
	c.Name = o.TradingName
	if c.Language == "" {
		c.Language, _ = tmf.Value(o.PartyCharacteristic, "language")
	}
	c.fill(o.ContactMedium, tx.Now())
	return nil
}
