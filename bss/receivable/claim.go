package receivable

import (
	"time"

	"tandem/bss/billing"
	"tandem/fact"
	"tandem/kit/civil"
	"tandem/kit/fault"
	"tandem/kit/money"
	"tandem/kit/store"
)

// Sorts of claim.
const (
	Bill       = "bill"
	CreditNote = "creditNote"
	Fee        = "fee"
	Interest   = "interest"
)

// Claim is an amount a customer owes. That of a credit note is negative.
type Claim struct {
	ID       string
	Sort     string
	Number   string // as the customer knows it
	Entity   string
	Account  string
	Concerns string // the bill that a credit note credits, or a fee is for
	Amount   money.Amount
	Open     int64 // what of it is neither paid nor written off
	On       civil.Date
	Due      civil.Date
}

const claimColumns = "id, sort, number, entity, account, concerns, currency, amount, open, on_date, due"

func scanClaim(r interface{ Scan(...any) error }) (c Claim, err error) {
	return c, r.Scan(&c.ID, &c.Sort, &c.Number, &c.Entity, &c.Account, &c.Concerns, &c.Amount.Currency, &c.Amount.Minor, &c.Open, &c.On, &c.Due)
}

func collectClaims(rows store.Rows, err error) ([]Claim, error) {
	return store.Collect(rows, err, func(r store.Rows) (Claim, error) { return scanClaim(r) })
}

// lockClaim reads a claim that is written back in the transaction.
func lockClaim(tx *store.Tx, id string) (Claim, error) {
	c, err := scanClaim(tx.Row("SELECT "+claimColumns+" FROM receivable_claim WHERE tenant = $1 AND id = $2"+tx.Dialect().ForUpdate(), id))
	if err == store.ErrNotFound {
		return c, fault.Missing("claim", id)
	}
	return c, err
}

// Claims are all claims of an account, oldest first.
func Claims(tx *store.Tx, account string) ([]Claim, error) {
	return collectClaims(tx.Query("SELECT "+claimColumns+" FROM receivable_claim WHERE tenant = $1 AND account = $2 ORDER BY on_date, id", account))
}

// openClaims are those that are not settled, credit notes among them. Whoever changes
// what is open of an account holds all of it: two payments do not pay one claim.
func openClaims(tx *store.Tx, account string) ([]Claim, error) {
	return collectClaims(tx.Query("SELECT "+claimColumns+" FROM receivable_claim WHERE tenant = $1 AND account = $2 AND open <> 0 ORDER BY due, id"+
		tx.Dialect().ForUpdate(), account))
}

const insertClaim = "INSERT INTO receivable_claim (tenant, id, sort, number, entity, account, concerns, currency, amount, open, on_date, due, at)"

func (c *Claim) insert(tx *store.Tx) {
	tx.Insert(insertClaim, c.ID, c.Sort, c.Number, c.Entity, c.Account, c.Concerns, c.Amount.Currency.Code(), c.Amount.Minor, c.Amount.Minor,
		c.On.String(), c.Due.String(), store.Micros(tx.Now()))
}

// add moves what is open of a claim, which its bill shows; the database refuses more than
// there is.
func (c *Claim) add(tx *store.Tx, amount int64) {
	c.Open += amount
	tx.QueueOne("UPDATE receivable_claim SET open = open + $3 WHERE tenant = $1 AND id = $2", c.ID, amount)
	if c.Sort == Bill {
		billing.Paid(tx, c.ID, c.Amount.Minor, c.Open)
	}
}

// Posted hears that bills were posted, which are in the books already: each is a claim
// from now on. What the account has paid before is used for it at once.
func Posted(tx *store.Tx, f fact.BillsPosted) (err error) {
	defer fault.Wrap(&err, "receivable.Posted(%s)", f.Entity)
	fresh, err := unheard(tx, f.Bills)
	if err != nil {
		return err
	}
	touched := map[string]bool{}
	for _, b := range fresh {
		c, err := claimOf(f.Entity, b)
		if err != nil {
			return err
		}
		if c.Amount.Minor == 0 {
			continue
		}
		c.insert(tx)
		touched[c.Account] = true
		if c.Sort == CreditNote && c.Concerns != "" {
			if err := creditDispute(tx, c); err != nil {
				return err
			}
		}
	}
	if err := keepDunning(tx); err != nil {
		return err
	}
	if err := keepCollecting(tx); err != nil {
		return err
	}
	return settleThose(tx, touched)
}

// unheard are the bills that are no claim yet: a fact may come twice.
func unheard(tx *store.Tx, bills []fact.PostedBill) ([]fact.PostedBill, error) {
	known := map[string]bool{}
	for first := 0; first < len(bills); first += 200 {
		part := bills[first:min(first+200, len(bills))]
		ids := make([]string, len(part))
		for i, b := range part {
			ids[i] = b.Bill
		}
		args := store.Padded(ids)
		rows, err := tx.Query("SELECT id FROM receivable_claim WHERE tenant = $1 AND id IN ("+store.In(2, len(args))+")", args...)
		found, err := store.Collect(rows, err, store.Text)
		if err != nil {
			return nil, err
		}
		for _, id := range found {
			known[id] = true
		}
	}
	var out []fact.PostedBill
	for _, b := range bills {
		if !known[b.Bill] {
			out, known[b.Bill] = append(out, b), true
		}
	}
	return out, nil
}

func claimOf(entity string, b fact.PostedBill) (c Claim, err error) {
	c = Claim{ID: b.Bill, Sort: Bill, Number: b.Number, Entity: entity, Account: b.Account, Concerns: b.Credits}
	if b.Gross < 0 {
		c.Sort = CreditNote
	}
	c.Amount.Minor = b.Gross
	if c.Amount.Currency, err = money.ParseCurrency(b.Currency); err != nil {
		return c, err
	}
	if c.On, err = civil.ParseDate(b.IssuedOn); err != nil {
		return c, err
	}
	c.Due, err = civil.ParseDate(b.Due)
	return c, err
}

// settleThose uses what accounts have paid in advance, and credit notes, for their claims.
func settleThose(tx *store.Tx, accounts map[string]bool) error {
	var ids []string
	for a := range accounts {
		ids = append(ids, a)
	}
	for first := 0; first < len(ids); first += 200 {
		args := store.Padded(ids[first:min(first+200, len(ids))])
		rows, err := tx.Query(`SELECT account FROM receivable_payment WHERE tenant = $1 AND open > 0 AND account IN (`+store.In(2, len(args))+`)
			UNION SELECT account FROM receivable_claim WHERE tenant = $1 AND open < 0 AND account IN (`+store.In(2, len(args))+") ORDER BY account", args...)
		found, err := store.Collect(rows, err, store.Text)
		if err != nil {
			return err
		}
		for _, account := range found {
			if err := Settle(tx, account); err != nil {
				return err
			}
		}
	}
	return nil
}

// today is the date of the books.
func today(tx *store.Tx) civil.Date { return civil.DateOf(tx.Now(), time.UTC) }
