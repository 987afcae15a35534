package charging

import (
	"strings"

	"github.com/go-json-experiment/json"

	"tandem/bss/charging/core"
	"tandem/bss/subscription"
	"tandem/fact"
	"tandem/kit/fault"
	"tandem/kit/store"
)

// account is a wallet as the business knows it.
type account struct {
	Number         int64
	ID             string
	Customer       string
	BillingAccount string
	Mode           core.Mode
	Currency       string
}

// ref is where the account lives: numbers are dense, so shards fill evenly.
func refOf(number int64) core.Ref {
	return core.NewRef(int(number%256), uint32(number/256))
}

// numberOf is the account at a place.
func numberOf(ref core.Ref) int64 { return int64(ref.Slot())*256 + int64(ref.Shard()) }

const (
	addAccount = `INSERT INTO charging_account (tenant, id, customer, billing_account, mode, currency, opened_at) VALUES ($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT (tenant, id) DO NOTHING`
	readAccount = "SELECT number, id, customer, billing_account, mode, currency FROM charging_account WHERE tenant = $1 AND "
)

func scanAccount(r store.Rows) (a account, err error) {
	err = r.Scan(&a.Number, &a.ID, &a.Customer, &a.BillingAccount, &a.Mode, &a.Currency)
	return a, err
}

func oneAccount(tx *store.Tx, where string, arg any) (a account, err error) {
	rows, err := tx.Query(readAccount+where+" LIMIT 1", arg)
	all, err := store.Collect(rows, err, scanAccount)
	if err == nil && len(all) == 0 {
		err = store.ErrNotFound
	}
	if err != nil {
		return a, err
	}
	return all[0], nil
}

// line is a product on its account.
type line struct {
	Product    string
	Account    int64
	Subscriber int64
	Offering   string
}

func lineOf(tx *store.Tx, product string) (l line, err error) {
	l.Product = product
	err = tx.Row("SELECT account, subscriber, offering FROM charging_line WHERE tenant = $1 AND product = $2", product).Scan(&l.Account, &l.Subscriber, &l.Offering)
	return l, err
}

// names are what the network calls a subscriber by.
type names struct {
	E164 string `json:"e164,omitzero"`
	IMSI string `json:"imsi,omitzero"`
	Name string `json:"name,omitzero"`
}

func namesOf(resources []fact.Resource) (n names) {
	for _, r := range resources {
		switch r.Role {
		case "msisdn":
			n.E164 = r.Value
		case "hlrSubscriber":
			n.IMSI = r.Value
		case "radiusUser":
			n.Name = r.Value
		}
	}
	return n
}

// Commands by kind.
const (
	cmdLine   = "line"   // a product begins to draw on the account
	cmdChange = "change" // its numbers or plan changed
	cmdState  = "state"
	cmdCredit = "credit"
	cmdCap    = "cap"
	cmdLimit  = "creditLimit"
	cmdTopUp  = "topUp"       // with its bonus
	cmdOut    = "transferOut" // the first step of a transfer
	cmdIn     = "transferIn"  // the second
	cmdBack   = "back"        // what was given is taken back
)

// order is a command as it lies in its row.
type order struct {
	Plan       int64      `json:"plan,omitzero"`
	Names      names      `json:"names,omitzero"`
	Subscriber int64      `json:"subscriber,omitzero"`
	State      core.State `json:"state,omitzero"`
	Anchor     int64      `json:"anchor,omitzero"`
	Tenant     int64      `json:"tenant,omitzero"`
	Bucket     uint32     `json:"bucket,omitzero"`
	Definition uint32     `json:"definition,omitzero"`
	Amount     int64      `json:"amount,omitzero"`
	Why        core.Why   `json:"why,omitzero"`
	Ref        string     `json:"ref,omitzero"`
	To         int64      `json:"to,omitzero"`
	Consent    bool       `json:"consent,omitzero"`
	Restart    bool       `json:"restart,omitzero"`
	Keep       bool       `json:"keep,omitzero"` // the amount stays as it is
	Reverse    bool       `json:"reverse,omitzero"`
	First      bool       `json:"first,omitzero"` // the account is new

	Action      string `json:"-"`              // the balance action it is a step of: kind/id
	Other       int64  `json:"other,omitzero"` // the account at the other end of a transfer
	OtherBucket uint32 `json:"otherBucket,omitzero"`
	Takes       []take `json:"takes,omitzero"`
	Failed      string `json:"failed,omitzero"` // why the action is taken back
}

const addCommand = `INSERT INTO charging_command (tenant, account, kind, product, action, doc, state, error, at)
	VALUES ($1, $2, $3, $4, $5, $6, 'pending', '', $7)`

// order writes a command; it is carried out after the transaction.
func (r *Room) order(tx *store.Tx, number int64, kind, product string, o order) error {
	body, err := json.Marshal(o)
	if err != nil {
		return err
	}
	if _, err := tx.Exec(addCommand, number, kind, product, o.Action, string(body), store.Micros(tx.Now())); err != nil {
		return err
	}
	tx.OnCommit(func() { nudge(r.kick) })
	return nil
}

// Open hears that a product runs: its subscriber may use what the offering gives,
// and is charged for the rest, from now on.
func (r *Room) Open(tx *store.Tx, f fact.ProductActive) (err error) {
	defer fault.Wrap(&err, "charging.Open(%s)", f.Product)
	if _, err := lineOf(tx, f.Product); err != store.ErrNotFound {
		return err // heard before
	}
	p, err := subscription.Get(tx, f.Product)
	if err != nil {
		return err
	}
	offering := f.Offering
	if offering == "" {
		offering = p.Offering()
	}
	if offering == "" {
		return nil
	}
	on, err := r.publish(tx, offering)
	if err != nil || on == nil && p.PaidFromBalance == nil {
		return err
	}
	if is, err := r.openOption(tx, p, offering, on); is || err != nil || on == nil {
		return err
	}
	acc, fresh, err := r.accountFor(tx, p, f, on)
	if err != nil {
		return err
	}
	n := namesOf(f.Resources)
	if _, err := tx.Exec("INSERT INTO charging_line (tenant, product, account, subscriber, offering, e164, imsi, name) VALUES ($1, $2, $3, 0, $4, $5, $6, $7)",
		f.Product, acc.Number, offering, strings.TrimPrefix(n.E164, "+"), n.IMSI, n.Name); err != nil {
		return err
	}
	return r.order(tx, acc.Number, cmdLine, f.Product, order{Plan: on.Number, Names: n, Anchor: f.At.Unix(), First: fresh, Ref: f.Product})
}

// sharesOf is the relationship by which a product draws on another one's account.
const sharesOf = "sharesAllowanceOf"

// accountFor is the wallet of a product: the one of the product it shares with, or
// its own.
func (r *Room) accountFor(tx *store.Tx, p *subscription.Product, f fact.ProductActive, on *plan) (a account, fresh bool, err error) {
	for _, rel := range p.ProductRelationship {
		if rel.RelationshipType != sharesOf || rel.Product == nil {
			continue
		}
		other, err := lineOf(tx, rel.Product.ID)
		if err == store.ErrNotFound {
			return a, false, fault.Clash("charging.sharing", "Product %q shares the allowance of %q, which has none", p.ID, rel.Product.ID)
		}
		if err != nil {
			return a, false, err
		}
		a, err = oneAccount(tx, "number = $2", other.Account)
		if err == nil && a.Currency != on.Currency {
			err = fault.Clash("charging.sharing", "Product %q is priced in %s; the account it shares is in %s", p.ID, on.Currency, a.Currency)
		}
		return a, false, err
	}
	n, err := tx.Exec(addAccount, p.ID, f.Customer, f.BillingAccount, on.Mode, on.Currency, store.Micros(f.At))
	if err != nil {
		return a, false, err
	}
	a, err = oneAccount(tx, "id = $2", p.ID)
	return a, n == 1, err
}

// Change hears that a product was modified: other numbers, another plan.
func (r *Room) Change(tx *store.Tx, f fact.ProductChanged) (err error) {
	defer fault.Wrap(&err, "charging.Change(%s)", f.Product)
	l, err := lineOf(tx, f.Product)
	if err == store.ErrNotFound {
		return r.Open(tx, fact.ProductActive{Product: f.Product, Offering: f.Offering, Customer: f.Customer, BillingAccount: f.BillingAccount,
			Service: f.Service, At: f.At, Resources: f.Resources})
	}
	if err != nil {
		return err
	}
	if err := movePayer(tx, f.Product, f.BillingAccount, f.At); err != nil {
		return err
	}
	o := order{Names: namesOf(f.Resources), Subscriber: l.Subscriber, Anchor: f.At.Unix(), Ref: f.Product}
	if err := rename(tx, f.Product, o.Names); err != nil {
		return err
	}
	if f.Offering != "" && f.Offering != l.Offering {
		on, err := r.publish(tx, f.Offering)
		if err != nil {
			return err
		}
		if on != nil {
			o.Plan = on.Number
		}
		if _, err := tx.Exec("UPDATE charging_line SET offering = $3 WHERE tenant = $1 AND product = $2", f.Product, f.Offering); err != nil {
			return err
		}
	}
	return r.order(tx, l.Account, cmdChange, f.Product, o)
}

const renameLine = `UPDATE charging_line SET e164 = CASE WHEN $3 = '' THEN e164 ELSE $3 END, imsi = CASE WHEN $4 = '' THEN imsi ELSE $4 END,
	name = CASE WHEN $5 = '' THEN name ELSE $5 END WHERE tenant = $1 AND product = $2`

// rename notes what the network calls a line by from now on.
func rename(tx *store.Tx, product string, n names) error {
	_, err := tx.Exec(renameLine, product, strings.TrimPrefix(n.E164, "+"), n.IMSI, n.Name)
	return err
}

// Suspend hears that a product is barred in the network.
func (r *Room) Suspend(tx *store.Tx, f fact.ProductSuspended) error {
	return r.setState(tx, f.Product, core.Barred)
}

// Resume hears that a product runs again.
func (r *Room) Resume(tx *store.Tx, f fact.ProductResumed) error {
	return r.setState(tx, f.Product, core.Active)
}

// End hears that a product has left the network.
func (r *Room) End(tx *store.Tx, f fact.ProductTerminated) error {
	return r.setState(tx, f.Product, core.Closed)
}

func (r *Room) setState(tx *store.Tx, product string, s core.State) (err error) {
	defer fault.Wrap(&err, "charging: %s of %s", s, product)
	l, err := lineOf(tx, product)
	if err == store.ErrNotFound {
		return r.endOption(tx, product, s)
	}
	if err != nil {
		return err
	}
	return r.order(tx, l.Account, cmdState, product, order{State: s})
}
