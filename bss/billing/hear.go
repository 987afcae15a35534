package billing

import (
	"fmt"
	"slices"
	"time"

	"tandem/bss/catalog"
	"tandem/bss/subscription"
	"tandem/fact"
	"tandem/kit/fault"
	"tandem/kit/store"
)

const noteFact = "INSERT INTO billing_heard (tenant, product, what, service, at, heard_at)"

// noted writes the fact down; fresh is false if it was heard before.
func noted(tx *store.Tx, what, product, service string, at time.Time) (fresh bool, err error) {
	if known := readAhead(tx); known.products[product] {
		key := noteKey{product, what, service, store.Micros(at)}
		if known.notes[key] {
			return false, nil
		}
		known.notes[key] = true
		tx.Insert(noteFact, product, what, service, key.at, store.Micros(tx.Now()))
		return true, nil
	}
	n, err := tx.Exec(noteFact+" VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (tenant, product, what, service, at) DO NOTHING", product, what, service, store.Micros(at), store.Micros(tx.Now()))
	return n == 1, err
}

// Begin hears that a product runs, and makes an item of each of its prices, from
// the instant the service was confirmed. A price of the product that has an item
// already gets no second one.
func Begin(tx *store.Tx, f fact.ProductActive) (err error) {
	defer fault.Wrap(&err, "billing.Begin(%s)", f.Product)
	fresh, err := noted(tx, "active", f.Product, f.Service, f.At)
	if err != nil || !fresh {
		return err
	}
	p, o, err := sold(tx, f.Product, f.Offering)
	if err != nil || o == nil {
		return err
	}
	charges, err := owed(tx, p, o, judged(p.OrderDate, f.At), nil)
	if err != nil {
		return err
	}
	billed, err := everBilled(tx, p.ID)
	if err != nil {
		return err
	}
	charges = slices.DeleteFunc(charges, func(c charge) bool { return billed[c.price.ID] > 0 })
	rests, err := subscription.LineSuspended(tx, p)
	if err != nil {
		return err
	}
	begun, err := start{p, o, f.BillingAccount, f.Service, f.At, rests}.begin(tx, charges, billed)
	if err != nil || len(begun) == 0 {
		return err
	}
	return openContract(tx, p.ID, begun)
}

// sold is the product and the offering it is billed as; no offering, no prices.
func sold(tx *store.Tx, product, offering string) (*subscription.Product, *catalog.ProductOffering, error) {
	p, err := subscription.Get(tx, product)
	if err != nil {
		return nil, nil, err
	}
	if offering == "" {
		offering = p.Offering()
	}
	if offering == "" {
		return p, nil, nil
	}
	o, err := catalog.Offerings.Look(tx, offering)
	return p, o, err
}

// start is how items of a product begin.
type start struct {
	product   *subscription.Product
	offering  *catalog.ProductOffering
	account   string // "": the product's, or the customer's
	service   string // that confirmed it
	from      time.Time
	suspended bool
}

// begin makes an item of each charge. billed are the items there were of each price.
func (s start) begin(tx *store.Tx, charges []charge, billed map[string]int64) (begun []*BillableItem, err error) {
	if len(charges) == 0 {
		return nil, nil
	}
	account, err := payer(tx, s.product, s.account)
	if err != nil {
		return nil, err
	}
	for _, c := range charges {
		if c.amount != nil {
			if account, err = inCurrency(tx, account, c.amount.Currency.Code()); err != nil {
				return nil, err
			}
		}
		i, err := s.item(tx, c, account, billed)
		if err != nil {
			return nil, err
		}
		if err := Items.Create(tx, i); err != nil {
			return nil, err
		}
		if err := soldDeposit(tx, i); err != nil {
			return nil, err
		}
		begun = append(begun, i)
	}
	return begun, nil
}

// item is the item of a charge on an account, which is not kept yet.
func (s start) item(tx *store.Tx, c charge, account *Account, billed map[string]int64) (*BillableItem, error) {
	i, err := c.item(s.product, s.offering, account, s.service, s.from)
	if err != nil {
		return nil, err
	}
	if err := align(tx, i, account); err != nil {
		return nil, err
	}
	// The id says what the item is, so that there can be one only.
	i.ID = s.product.ID + "." + c.price.ID
	if n := billed[c.price.ID]; n > 0 {
		i.ID = fmt.Sprintf("%s.%d", i.ID, n+1)
	}
	if s.suspended && i.open() {
		i.suspend(s.from)
	}
	return i, nil
}

// payer is the account the product is billed on: the one named, the product's own,
// or the customer's.
func payer(tx *store.Tx, p *subscription.Product, account string) (*Account, error) {
	if account == "" {
		account = p.Account()
	}
	if account == "" {
		if p.Customer() == "" {
			return nil, fault.Clash("nobodyPays", "Product %q runs, but names neither a billing account nor a customer", p.ID)
		}
		return AccountFor(tx, p.Customer())
	}
	a, err := BillingAccounts.Lock(tx, account)
	if err != nil {
		return nil, err
	}
	if a.State == Closed {
		return nil, fault.Clash("accountClosed", "Product %q runs, but its billing account %q is closed", p.ID, account)
	}
	return a, nil
}

// inCurrency fixes the currency of an account that has none yet. It fails with
// [store.ErrStale] if the account, read without a lock, was changed meanwhile.
func inCurrency(tx *store.Tx, a *Account, currency string) (*Account, error) {
	if a.Currency == currency {
		return a, nil
	}
	if a.Currency != "" {
		return nil, fault.Clash("wrongCurrency", "The billing account %q is billed in %s; the price is in %s", a.ID, a.Currency, currency)
	}
	fixed, err := BillingAccounts.Copy(a)
	if err != nil {
		return nil, err
	}
	fixed.Currency = currency
	return fixed, BillingAccounts.Save(tx, a, fixed)
}

// Change hears that a product was modified: what is no longer owed ends at that
// instant, what is owed now begins; prices are judged by the date the change was
// ordered. What stays keeps the amount it was sold for, on another account too. A
// one-time price is charged once in a product's life. What ends before its minimum term is
// charged as at the end of the product, unless something with a term as long takes its place.
func Change(tx *store.Tx, f fact.ProductChanged) (err error) {
	defer fault.Wrap(&err, "billing.Change(%s)", f.Product)
	fresh, err := noted(tx, "changed", f.Product, f.Service, f.At)
	if err != nil || !fresh {
		return err
	}
	p, o, err := sold(tx, f.Product, f.Offering)
	if err != nil || o == nil {
		return err
	}
	items, err := openItems(tx, p.ID)
	if err != nil {
		return err
	}
	at := f.OrderDate
	if at.IsZero() {
		at = f.At
	}
	now, err := owed(tx, p, o, at, items)
	if err != nil {
		return err
	}
	billed, err := everBilled(tx, p.ID)
	if err != nil {
		return err
	}
	next := start{p, o, f.BillingAccount, f.Service, f.At, false}
	ends, now := next.turnover(items, now, billed)
	for _, i := range ends {
		if err := edit(tx, i, func(i *BillableItem) { i.end(f.At) }); err != nil {
			return err
		}
	}
	begun, err := next.begin(tx, now, billed)
	if err != nil {
		return err
	}
	if err := chargeEarlyEnds(tx, ends, begun, f.Service, f.At); err != nil {
		return err
	}
	if err := changeContract(tx, p.ID, ends, f.At); err != nil {
		return err
	}
	return endDeposits(tx, p.ID)
}

// turnover says which of a product's open items end when it owes these charges from now on,
// and which of the charges begin. It completes the start by what the items say: the account,
// and whether they rest. billed are the items there ever were of each price.
func (s *start) turnover(items []*BillableItem, now []charge, billed map[string]int64) (ends []*BillableItem, begins []charge) {
	named := s.account != ""
	for _, i := range items {
		if !named {
			s.account = i.BillingAccount.ID
		}
		s.suspended = s.suspended || i.State == ItemSuspended
		same := slices.IndexFunc(now, func(c charge) bool { return c.price.ID == i.Price.ID && c.sameAs(i) })
		if same >= 0 && i.BillingAccount.ID == s.account {
			now = slices.Delete(now, same, same+1)
			continue
		}
		if same >= 0 {
			now[same].goesOn, now[same].amount = i, i.Amount
		}
		ends = append(ends, i)
	}
	return ends, slices.DeleteFunc(now, func(c charge) bool { return chargeType(c.price) == OneTime && billed[c.price.ID] > 0 })
}

// sameAs says that the charge is what the item bills already. An amount that was
// agreed for the product counts; a changed price list does not.
func (c charge) sameAs(i *BillableItem) bool {
	if c.amount == c.price.Price || c.amount == nil || i.Amount == nil {
		return true
	}
	agreed := *c.amount
	if i.Amount.Sign() < 0 && agreed.Sign() > 0 { // a discount, see lower
		agreed.Nano = -agreed.Nano
	}
	order, err := i.Amount.Cmp(agreed)
	return err == nil && order == 0
}

// Suspend hears that the product is barred in the network. What relies on it cannot be
// used meanwhile: its options rest too, each as the charge policy of its own price says.
func Suspend(tx *store.Tx, f fact.ProductSuspended) (err error) {
	defer fault.Wrap(&err, "billing.Suspend(%s)", f.Product)
	rest := func(i *BillableItem) {
		if i.State == ItemActive {
			i.suspend(f.At)
		}
	}
	fresh, err := noted(tx, "suspended", f.Product, f.Service, f.At)
	if err != nil || !fresh {
		return err
	}
	options, err := subscription.Options(tx, f.Product)
	if err != nil {
		return err
	}
	for _, o := range options {
		if err := eachOpen(tx, o.ID, rest); err != nil {
			return err
		}
	}
	return eachOpen(tx, f.Product, rest)
}

// Resume hears that the product runs again, and with it those of its options that rest
// for nothing else. It starts no new term.
func Resume(tx *store.Tx, f fact.ProductResumed) (err error) {
	defer fault.Wrap(&err, "billing.Resume(%s)", f.Product)
	fresh, err := noted(tx, "resumed", f.Product, f.Service, f.At)
	if err != nil || !fresh {
		return err
	}
	p, err := subscription.Get(tx, f.Product)
	if err != nil {
		return err
	}
	options, err := subscription.Options(tx, f.Product)
	if err != nil {
		return err
	}
	for _, p := range append(options, p) {
		rests, err := subscription.LineSuspended(tx, p)
		if err != nil {
			return err
		}
		if rests || p.ID != f.Product && p.Network() == subscription.Suspended {
			continue
		}
		if err := eachOpen(tx, p.ID, func(i *BillableItem) {
			if i.State == ItemSuspended {
				i.resume(f.At)
			}
		}); err != nil {
			return err
		}
	}
	return nil
}

// End hears that the product has left the network: nothing is owed from then on.
func End(tx *store.Tx, f fact.ProductTerminated) (err error) {
	defer fault.Wrap(&err, "billing.End(%s)", f.Product)
	fresh, err := noted(tx, "terminated", f.Product, f.Service, f.At)
	if err != nil || !fresh {
		return err
	}
	items, err := openItems(tx, f.Product)
	if err != nil {
		return err
	}
	if err := endEarly(tx, f, items); err != nil {
		return err
	}
	for _, i := range items {
		if err := edit(tx, i, func(i *BillableItem) { i.end(f.At) }); err != nil {
			return err
		}
	}
	if err := endContract(tx, f.Product, items, f.At); err != nil {
		return err
	}
	return endDeposits(tx, f.Product)
}

// eachOpen changes the open items of a product.
func eachOpen(tx *store.Tx, product string, change func(*BillableItem)) error {
	items, err := openItems(tx, product)
	if err != nil {
		return err
	}
	for _, i := range items {
		if err := edit(tx, i, change); err != nil {
			return err
		}
	}
	return nil
}

func edit(tx *store.Tx, i *BillableItem, change func(*BillableItem)) error {
	_, err := Items.Edit(tx, i.ID, func(i *BillableItem) error {
		change(i)
		return nil
	})
	return err
}

func openItems(tx *store.Tx, product string) ([]*BillableItem, error) {
	items, err := ItemsOf(tx, product)
	return slices.DeleteFunc(items, func(i *BillableItem) bool { return !i.open() }), err
}
