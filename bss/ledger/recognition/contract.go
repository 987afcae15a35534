package recognition

import (
	"embed"
	"fmt"
	"slices"

	"tandem/bss/ledger"
	"tandem/kit/civil"
	"tandem/kit/fault"
	"tandem/kit/money"
	"tandem/kit/store"
)

//go:embed schema/*.sql
var schemaFiles embed.FS

// Schemas are the package's own tables.
var Schemas = []store.Schema{store.Embedded("recognition", schemaFiles)}

// States of a contract.
const (
	Active  = "active"
	Ended   = "ended"   // before its time: nothing more is rendered
	Settled = "settled" // what was billed was its price, and all of it is recognised
)

// Contract is a contract with a customer (IFRS 15.9-16): what is paid for it without tax,
// and what is promised for that.
type Contract struct {
	ID          string
	Entity      string // legal entity that sells
	Account     string // billing account
	Product     string // whose bills pay for it
	Price       money.Amount
	Start       civil.Date
	Obligations []Obligation

	Ends       civil.Date // the day after the last obligation
	State      string
	Version    int64
	Billed     int64 // minor units so far
	Recognised int64
	Upto       civil.Date // recognised before this day; not valid: nothing was
	Schedule   Schedule
}

// position is billed less recognised (IFRS 15.105): above zero a contract liability, below
// zero a contract asset.
func (c *Contract) position() int64 { return c.Billed - c.Recognised }

// Open begins a contract; one that is there already stays as it is.
func Open(tx *store.Tx, c Contract) (err error) {
	defer fault.Wrap(&err, "recognition.Open(%s)", c.ID)
	switch {
	case c.ID == "" || c.Entity == "" || c.Account == "" || c.Product == "" || !c.Start.Valid():
		return fmt.Errorf("recognition: contract %q has no entity, account, product or start", c.ID)
	case c.Price.Minor < 0 || c.Price.Minor > maxAmount || len(c.Obligations) > maxObligations:
		return fault.BadInput("badContract", "A contract has a price that is not negative and at most %d obligations", maxObligations)
	}
	var n int64
	if err := tx.Row("SELECT count(*) FROM recognition_contract WHERE tenant = $1 AND id = $2", c.ID).Scan(&n); err != nil || n > 0 {
		return err
	}
	if c.Schedule, err = Plan(c.Price, c.Obligations); err != nil {
		return err
	}
	c.Version, c.State, c.Ends = 1, Active, c.Schedule.End()
	tx.Insert("INSERT INTO recognition_contract (tenant, id, entity, account, product, currency, price, starts, ends, state, version, billed, recognised, upto, at)",
		c.ID, c.Entity, c.Account, c.Product, c.Price.Currency.Code(), c.Price.Minor, c.Start.String(), c.Ends.String(), c.State, c.Version, int64(0), int64(0), "", store.Micros(tx.Now()))
	c.keep(tx, "opened", c.Start)
	return nil
}

// maxObligations bounds a contract.
const maxObligations = 200

// keep writes the version that holds from now on.
func (c *Contract) keep(tx *store.Tx, what string, on civil.Date) {
	for _, o := range c.Obligations {
		tx.Insert("INSERT INTO recognition_obligation (tenant, contract, version, id, name, selling_price, over_from, over_to, revenue)",
			c.ID, c.Version, o.ID, o.Name, o.SellingPrice, o.Over.From.String(), dateText(o.Over.To), o.Revenue)
	}
	for i, s := range c.Schedule {
		tx.Insert("INSERT INTO recognition_slice (tenant, contract, version, line, obligation, amount, over_from, over_to)",
			c.ID, c.Version, int64(i), s.Obligation, s.Amount, s.Over.From.String(), dateText(s.Over.To))
	}
	tx.Insert("INSERT INTO recognition_change (tenant, contract, version, what, on_date, price, actor, at)", c.ID, c.Version, what, on.String(), c.Price.Minor, tx.Actor(), store.Micros(tx.Now()))
}

func dateText(d civil.Date) string {
	if !d.Valid() {
		return ""
	}
	return d.String()
}

func parseText(text string, err error) (civil.Date, error) {
	if text == "" || err != nil {
		return civil.Date{}, err
	}
	return civil.ParseDate(text)
}

const columns = "id, entity, account, product, currency, price, starts, ends, state, version, billed, recognised, upto"

func scanContract(r store.Rows) (*Contract, error) {
	c := &Contract{}
	var upto string
	err := r.Scan(&c.ID, &c.Entity, &c.Account, &c.Product, &c.Price.Currency, &c.Price.Minor, &c.Start, &c.Ends, &c.State, &c.Version, &c.Billed, &c.Recognised, &upto)
	c.Upto, err = parseText(upto, err)
	return c, err
}

// find reads contracts by a condition on their rows, whose arguments begin at $2, with their
// obligations and schedules.
func find(tx *store.Tx, where string, args ...any) ([]*Contract, error) {
	rows, err := tx.Query("SELECT "+columns+" FROM recognition_contract WHERE tenant = $1 AND "+where, args...)
	all, err := store.Collect(rows, err, scanContract)
	if err != nil || len(all) == 0 {
		return all, err
	}
	of, ids := map[string]*Contract{}, make([]string, len(all))
	for i, c := range all {
		of[c.ID], ids[i] = c, c.ID
	}
	in := store.Padded(ids)
	rows, err = tx.Query(`SELECT o.contract, o.id, o.name, o.selling_price, o.over_from, o.over_to, o.revenue FROM recognition_obligation o
		JOIN recognition_contract c ON c.tenant = o.tenant AND c.id = o.contract AND c.version = o.version
		WHERE o.tenant = $1 AND o.contract IN (`+store.In(2, len(in))+") ORDER BY o.contract, o.id", in...)
	if _, err = store.Collect(rows, err, func(r store.Rows) (o Obligation, err error) {
		var id, to string
		err = r.Scan(&id, &o.ID, &o.Name, &o.SellingPrice, &o.Over.From, &to, &o.Revenue)
		if o.Over.To, err = parseText(to, err); err == nil {
			of[id].Obligations = append(of[id].Obligations, o)
		}
		return o, err
	}); err != nil {
		return nil, err
	}
	rows, err = tx.Query(`SELECT s.contract, s.obligation, s.amount, s.over_from, s.over_to FROM recognition_slice s
		JOIN recognition_contract c ON c.tenant = s.tenant AND c.id = s.contract AND c.version = s.version
		WHERE s.tenant = $1 AND s.contract IN (`+store.In(2, len(in))+") ORDER BY s.contract, s.line", in...)
	_, err = store.Collect(rows, err, func(r store.Rows) (s Slice, err error) {
		var id, to string
		err = r.Scan(&id, &s.Obligation, &s.Amount, &s.Over.From, &to)
		if s.Over.To, err = parseText(to, err); err == nil {
			of[id].Schedule = append(of[id].Schedule, s)
		}
		return s, err
	})
	return all, err
}

// Of is a contract.
func Of(tx *store.Tx, id string) (*Contract, error) {
	all, err := find(tx, "id = $2", id)
	if err == nil && len(all) == 0 {
		err = fault.Missing("contract", id)
	}
	if err != nil {
		return nil, err
	}
	return all[0], nil
}

// lock reads a contract that is changed in this transaction.
func lock(tx *store.Tx, id string) (*Contract, error) {
	var one string
	err := tx.Row("SELECT id FROM recognition_contract WHERE tenant = $1 AND id = $2"+tx.Dialect().ForUpdate(), id).Scan(&one)
	if err == store.ErrNotFound {
		return nil, fault.Missing("contract", id)
	}
	if err != nil {
		return nil, err
	}
	return Of(tx, id)
}

// Bill is what a posted bill has of the product of a contract.
type Bill struct {
	ID     string
	Entity string // in whose books it is
	On     civil.Date
	Lines  []BilledLine
}

// BilledLine is a line of a posted bill.
type BilledLine struct {
	Product  string
	From     civil.Date // first day of the service that it is for; not valid: of none
	Fee      bool       // of an early end on From
	Corrects string     // the bill that had what it corrects, or credits
	Revenue  string     // general-ledger account that the bill was booked on
	Net      int64      // minor units; what is credited is negative
}

// pays says that a line pays for a contract that ends before a day: a line of its product,
// but not for service after that, which is a contract from month to month.
func (l *BilledLine) pays(c *Contract, ends civil.Date) bool {
	return l.Product == c.Product && (!l.From.Valid() || l.From.Before(ends) || l.Fee && l.From == ends)
}

// Billed takes what a posted bill has of a contract off the revenue that it was booked on,
// and puts it on the position of the contract; what reaches a settled one stays revenue, and
// so does what corrects what was never taken. A bill is taken once. A bill in the books of
// another legal entity ends the contract.
func Billed(tx *store.Tx, contract string, b Bill) (err error) {
	defer fault.Wrap(&err, "recognition.Billed(%s, %s)", contract, b.ID)
	c, err := lock(tx, contract)
	switch {
	case err != nil || c.State == Settled:
		return err
	case c.Entity != b.Entity:
		return c.elsewhere(tx, &b)
	}
	n, err := tx.Exec("INSERT INTO recognition_billed (tenant, bill, contract, amount, ends) VALUES ($1, $2, $3, 0, $4) ON CONFLICT DO NOTHING", b.ID, c.ID, c.Ends.String())
	if err != nil || n == 0 {
		return err
	}
	taken, err := c.taken(tx, b.Lines)
	if err != nil {
		return err
	}
	revenue, total := map[string]int64{}, int64(0)
	for i := range b.Lines {
		l := &b.Lines[i]
		if was, known := taken[l.Corrects]; l.pays(c, c.Ends) || known && l.pays(c, was) {
			revenue[l.Revenue] += l.Net
			total += l.Net
		}
	}
	if total == 0 && len(revenue) == 0 {
		return nil
	}
	tx.QueueOne("UPDATE recognition_billed SET amount = $4 WHERE tenant = $1 AND bill = $2 AND contract = $3", b.ID, c.ID, total)
	before := c.position()
	c.Billed += total
	c.save(tx)
	return post(tx, c.booking("recognition/"+c.ID+"/bill/"+b.ID, b.On, "Billed of contract "+c.ID, before, revenue))
}

// endless is when a contract was to end of which that was not kept.
var endless = civil.Date{Year: 9999, Month: 12, Day: 31}

// taken are the bills that lines correct, with when the contract was to end as they were
// taken.
func (c *Contract) taken(tx *store.Tx, lines []BilledLine) (map[string]civil.Date, error) {
	out := map[string]civil.Date{}
	for i := range lines {
		bill := lines[i].Corrects
		if _, known := out[bill]; bill == "" || known {
			continue
		}
		var amount int64
		var ends string
		err := tx.Row("SELECT amount, ends FROM recognition_billed WHERE tenant = $1 AND bill = $2 AND contract = $3", bill, c.ID).Scan(&amount, &ends)
		switch {
		case err == store.ErrNotFound:
			out[bill] = civil.Date{}
			continue
		case err != nil:
			return nil, err
		case ends == "" && amount != 0:
			out[bill] = endless
			continue
		}
		if out[bill], err = parseText(ends, nil); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// elsewhere ends a contract whose product another legal entity bills from now on: what that
// has on its bills stays its revenue, since nothing is booked from the books of one company
// to those of another.
func (c *Contract) elsewhere(tx *store.Tx, b *Bill) error {
	from := b.On
	for i := range b.Lines {
		if l := &b.Lines[i]; l.Product == c.Product && l.Corrects == "" && l.From.Valid() && l.From.Before(from) {
			from = l.From
		}
	}
	if err := End(tx, c.ID, from); err != nil {
		return err
	}
	return SetAside(tx, Aside{Contract: c.ID, What: "bill " + b.ID, On: b.On, Entity: c.Entity,
		Reason: fmt.Sprintf("The bill %s of %s was made by the legal entity %q and stays its revenue; the contract is one of %q, where nothing is rendered from %s on", b.ID, b.On, b.Entity, c.Entity, from)})
}

// save writes the sums of a contract.
func (c *Contract) save(tx *store.Tx) {
	tx.QueueOne("UPDATE recognition_contract SET billed = $3, recognised = $4, upto = $5, state = $6, version = $7, price = $8, ends = $9 WHERE tenant = $1 AND id = $2",
		c.ID, c.Billed, c.Recognised, dateText(c.Upto), c.State, c.Version, c.Price.Minor, c.Ends.String())
}

// booking is what the position moved, against revenue by general-ledger account (debit
// positive). What happened in a month that is closed goes to the first open day.
func (c *Contract) booking(name string, on civil.Date, what string, before int64, revenue map[string]int64) ledger.Transaction {
	t := ledger.Transaction{Name: name, Entity: c.Entity, Currency: c.Price.Currency, Date: on, Shift: true, What: what}
	now := c.position()
	for _, e := range []ledger.Entry{
		{Account: ledger.ContractAsset, Party: c.Account, Amount: max(-now, 0) - max(-before, 0)},
		{Account: ledger.Deferred, Party: c.Account, Amount: max(before, 0) - max(now, 0)},
	} {
		if e.Amount != 0 {
			t.Entries = append(t.Entries, e)
		}
	}
	codes := make([]string, 0, len(revenue))
	for code := range revenue {
		codes = append(codes, code)
	}
	slices.Sort(codes)
	for _, code := range codes {
		if revenue[code] != 0 {
			t.Entries = append(t.Entries, ledger.Entry{Account: ledger.Of(ledger.Revenue, code), Amount: revenue[code]})
		}
	}
	return t
}

// post books what there is to book.
func post(tx *store.Tx, t ledger.Transaction) error {
	if len(t.Entries) == 0 {
		return nil
	}
	return ledger.Post(tx, t)
}

// Modification changes a contract. Errors: contractOver, badModification.
type Modification struct {
	On          civil.Date
	Price       money.Amount // of all of the contract, from its beginning
	Obligations []Obligation // as they are from then on, also those that were satisfied
	CatchUp     bool         // else prospective; see the package
}

// Modify changes a contract from a day on.
func Modify(tx *store.Tx, id string, m Modification) (err error) {
	defer fault.Wrap(&err, "recognition.Modify(%s)", id)
	c, err := lock(tx, id)
	if err != nil {
		return err
	}
	switch {
	case c.State != Active:
		return fault.Clash("contractOver", "The contract %q is %s and is not modified any more", id, c.State)
	case m.Price.Currency != c.Price.Currency || m.Price.Minor < 0 || m.Price.Minor > maxAmount || len(m.Obligations) > maxObligations:
		return fault.BadInput("badModification", "The price of contract %q is an amount of %s, and it has at most %d obligations", id, c.Price.Currency, maxObligations)
	case m.On.Before(c.Start):
		return fault.BadInput("badModification", "The contract %q began on %s; it is not modified before", id, c.Start)
	}
	for _, o := range c.Obligations {
		if !slices.ContainsFunc(m.Obligations, func(n Obligation) bool { return n.ID == o.ID }) {
			return fault.BadInput("badModification", "The obligation %q is missing: one that ends has its last day", o.ID)
		}
	}
	what, change := "prospective", c.Schedule.Prospective
	if m.CatchUp {
		what, change = "catchUp", c.Schedule.CatchUp
	}
	if c.Schedule, err = change(m.On, m.Price, m.Obligations); err != nil {
		return err
	}
	c.Price, c.Obligations, c.Ends = m.Price, m.Obligations, c.Schedule.End()
	c.Version++
	c.keep(tx, what, m.On)
	c.save(tx)
	return nil
}

// End ends a contract early: nothing is rendered from the day on. It is settled when the
// last bills have come. One that is over stays as it is.
func End(tx *store.Tx, id string, on civil.Date) (err error) {
	defer fault.Wrap(&err, "recognition.End(%s)", id)
	c, err := lock(tx, id)
	if err != nil || c.State != Active || !on.Before(c.Ends) {
		return err
	}
	if on.Before(c.Start) {
		on = c.Start
	}
	if c.Schedule, err = c.Schedule.cut(on); err != nil {
		return err
	}
	c.State, c.Ends, c.Version = Ended, on, c.Version+1
	c.Price.Minor = c.Schedule.Price()
	c.keep(tx, "ended", on)
	c.save(tx)
	return nil
}

// Any says whether the tenant has contracts at all.
func Any(tx *store.Tx) (bool, error) {
	var n int64
	err := tx.Row("SELECT 1 FROM recognition_contract WHERE tenant = $1 LIMIT 1").Scan(&n)
	if err == store.ErrNotFound {
		return false, nil
	}
	return err == nil, err
}

// ByProduct are the contracts of products that are not settled, by product.
func ByProduct(tx *store.Tx, products []string) (map[string]string, error) {
	out := map[string]string{}
	for some := range slices.Chunk(products, atOnce) {
		args := store.Padded(some)
		rows, err := tx.Query("SELECT product, id FROM recognition_contract WHERE tenant = $1 AND state <> 'settled' AND product IN ("+store.In(2, len(args))+")", args...)
		if _, err = store.Collect(rows, err, func(r store.Rows) (id string, err error) {
			var product string
			err = r.Scan(&product, &id)
			out[product] = id
			return id, err
		}); err != nil {
			return nil, err
		}
	}
	return out, nil
}
