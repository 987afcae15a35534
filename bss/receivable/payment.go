package receivable

import (
	"fmt"

	"tandem/bss/ledger"
	"tandem/kit/civil"
	"tandem/kit/fault"
	"tandem/kit/money"
	"tandem/kit/store"
	"tandem/kit/tmf"
)

// Ways money comes in.
const (
	Cash        = "cash"
	Transfer    = "transfer"
	DirectDebit = "directDebit"
)

// Payment is money that came in on an account.
type Payment struct {
	ID       string // empty: a new one
	Entity   string
	Account  string
	Amount   money.Amount
	Open     int64  // what of it pays nothing yet and was not given back
	Way      string // Cash, Transfer ...
	Through  string // account of the ledger that has the money; empty: Clearing of the way
	External string // what the bank or gateway calls it: taken once
	Received civil.Date
	Returned int64

	recovered int64 // paid what was written off
}

const paymentColumns = "id, entity, account, currency, amount, open, by_way, through, external, received, returned, recovered"

func scanPayment(r interface{ Scan(...any) error }) (p Payment, err error) {
	return p, r.Scan(&p.ID, &p.Entity, &p.Account, &p.Amount.Currency, &p.Amount.Minor, &p.Open, &p.Way, &p.Through, &p.External, &p.Received, &p.Returned, &p.recovered)
}

func lockPayment(tx *store.Tx, id string) (Payment, error) {
	p, err := scanPayment(tx.Row("SELECT "+paymentColumns+" FROM receivable_payment WHERE tenant = $1 AND id = $2"+tx.Dialect().ForUpdate(), id))
	if err == store.ErrNotFound {
		return p, fault.Missing("payment", id)
	}
	return p, err
}

func openPayments(tx *store.Tx, account string) ([]Payment, error) {
	rows, err := tx.Query("SELECT "+paymentColumns+" FROM receivable_payment WHERE tenant = $1 AND account = $2 AND open > 0 ORDER BY received, id"+
		tx.Dialect().ForUpdate(), account)
	return store.Collect(rows, err, func(r store.Rows) (Payment, error) { return scanPayment(r) })
}

// Share is a part of a payment that is meant for a claim.
type Share struct {
	Claim  string
	Amount int64 // minor units; 0: as much as is open of it
}

// Receive takes a payment: into the books, on the claims it names, and what is left on
// what else the account owes, by the policy of [Settle]. A payment that was taken
// before under its external name is known, and nothing happens: its id is returned.
func Receive(tx *store.Tx, p Payment, to ...Share) (id string, err error) {
	defer fault.Wrap(&err, "receivable.Receive(%s)", p.Account)
	if err := p.complete(tx); err != nil {
		return "", err
	}
	if known, err := taken(tx, p); known != "" || err != nil {
		return known, err
	}
	tx.Insert("INSERT INTO receivable_payment (tenant, id, entity, account, currency, amount, open, by_way, through, external, received, returned, recovered, actor, at)",
		p.ID, p.Entity, p.Account, p.Amount.Currency.Code(), p.Amount.Minor, p.Amount.Minor, p.Way, p.Through, p.External, p.Received.String(), 0, 0, tx.Actor(), store.Micros(tx.Now()))
	if err := ledger.Post(tx, ledger.Transaction{Name: "payment/" + p.ID, Entity: p.Entity, Currency: p.Amount.Currency, Date: today(tx), What: "Payment by " + p.Way,
		Entries: []ledger.Entry{{Account: p.Through, Amount: p.Amount.Minor}, {Account: ledger.Unapplied, Party: p.Account, Amount: -p.Amount.Minor}}}); err != nil {
		return "", err
	}
	for _, s := range to {
		if err := Allocate(tx, p.ID, s); err != nil {
			return "", err
		}
	}
	return p.ID, Settle(tx, p.Account)
}

// complete fills what a payment leaves open and refuses what is none.
func (p *Payment) complete(tx *store.Tx) error {
	if p.ID == "" {
		p.ID = tmf.NewID()
	}
	if p.Through == "" {
		p.Through = ledger.Of(ledger.Clearing, p.Way)
	}
	if !p.Received.Valid() {
		p.Received = today(tx)
	}
	switch {
	case p.Amount.Sign() <= 0:
		return fault.BadInput("invalidAmount", "A payment is more than nothing, not %s", p.Amount)
	case p.Account == "" || p.Entity == "":
		return fault.BadInput("noAccount", "A payment names the billing account it is for")
	case p.Received.After(today(tx).AddDays(1)):
		return fault.BadInput("invalidDate", "The payment is dated %s, which is in the future", p.Received)
	case len(p.External) > 200:
		return fault.BadInput("tooLong", "The reference of the payment has more than 200 characters")
	}
	return nil
}

// taken is the payment that was taken under the same external name.
func taken(tx *store.Tx, p Payment) (string, error) {
	if p.External == "" {
		return "", nil
	}
	k, err := scanPayment(tx.Row("SELECT "+paymentColumns+" FROM receivable_payment WHERE tenant = $1 AND by_way = $2 AND external = $3", p.Way, p.External))
	switch {
	case err == store.ErrNotFound:
		return "", nil
	case err != nil:
		return "", err
	case k.Account != p.Account || k.Amount != p.Amount:
		return "", fault.Clash("alreadyTaken", "The payment %q was taken before, as %s on account %q", p.External, k.Amount, k.Account)
	}
	return k.ID, nil
}

// use moves what is open of a payment; the database refuses more than there is.
func (p *Payment) use(tx *store.Tx, amount int64) {
	p.Open -= amount
	tx.QueueOne("UPDATE receivable_payment SET open = open - $3 WHERE tenant = $1 AND id = $2", p.ID, amount)
}

// Return undoes a payment that the bank or the gateway took back (a returned debit, a
// chargeback): what it paid is open again, and the money is not there. A fee for it is
// a claim of its own. Once for a payment, and only of what is still there.
func Return(tx *store.Tx, payment, reason string, fee money.Amount) (err error) {
	defer fault.Wrap(&err, "receivable.Return(%s)", payment)
	p, err := lockPayment(tx, payment)
	if err != nil {
		return err
	}
	if p.Returned > 0 {
		return fault.Clash("alreadyReturned", "Of the payment %q %s were returned before", payment, money.Amount{Minor: p.Returned, Currency: p.Amount.Currency})
	}
	if p.recovered > 0 {
		return fault.Clash("usedForWriteOff", "The payment %q paid what was written off; undo that first", payment)
	}
	return p.takenBack(tx, p.Amount.Minor, "return", reason, fee)
}

// takenBack undoes what the payment pays and books that so much of it left again. name
// is once for the payment.
func (p *Payment) takenBack(tx *store.Tx, amount int64, name, reason string, fee money.Amount) error {
	paid, err := allocationsOf(tx, p.ID)
	if err != nil {
		return err
	}
	for _, a := range paid {
		if err := Release(tx, a.Number); err != nil {
			return err
		}
		p.Open += a.Amount
	}
	if err := p.back(tx, amount, name, "Returned: "+reason); err != nil {
		return err
	}
	if fee.Minor != 0 {
		err := Charge(tx, Claim{ID: name + "/" + p.ID, Sort: Fee, Number: "Return fee", Entity: p.Entity, Account: p.Account, Concerns: p.ID,
			Amount: fee, On: today(tx), Due: today(tx)})
		if err != nil {
			return err
		}
	}
	return Settle(tx, p.Account) // what else of his money is here pays it
}

// GiveBack pays money back that pays nothing: an over-payment, a deposit. name is that
// of the refund, which is done once.
func GiveBack(tx *store.Tx, payment, name string, amount int64, why string) (err error) {
	defer fault.Wrap(&err, "receivable.GiveBack(%s)", payment)
	p, err := lockPayment(tx, payment)
	if err != nil {
		return err
	}
	if amount <= 0 || amount > p.Open {
		return fault.BadInput("notOpen", "Of the payment %q %s can be given back", payment, money.Amount{Minor: p.Open, Currency: p.Amount.Currency})
	}
	return p.back(tx, amount, "refund/"+name, why)
}

// back books that money left again, from what is open of the payment.
func (p *Payment) back(tx *store.Tx, amount int64, name, why string) error {
	p.Open -= amount
	tx.QueueOne("UPDATE receivable_payment SET open = open - $3, returned = returned + $3 WHERE tenant = $1 AND id = $2", p.ID, amount)
	return ledger.Post(tx, ledger.Transaction{Name: fmt.Sprintf("payment/%s/%s", p.ID, name), Entity: p.Entity, Currency: p.Amount.Currency, Date: today(tx), What: why,
		Entries: []ledger.Entry{{Account: ledger.Unapplied, Party: p.Account, Amount: amount}, {Account: p.Through, Amount: -amount}}})
}

// unback puts back what was booked as left and did not leave: it pays what is owed.
func (p *Payment) unback(tx *store.Tx, amount int64, name, why string) error {
	tx.QueueOne("UPDATE receivable_payment SET open = open + $3, returned = returned - $3 WHERE tenant = $1 AND id = $2", p.ID, amount)
	if err := ledger.Reverse(tx, fmt.Sprintf("payment/%s/%s", p.ID, name), today(tx), why); err != nil {
		return err
	}
	return Settle(tx, p.Account)
}

// Charge makes a fee or interest a claim, and books it. id names it: once.
func Charge(tx *store.Tx, c Claim) error {
	revenue := ledger.Fees
	if c.Sort == Interest {
		revenue = ledger.Interest
	}
	if c.Amount.Sign() <= 0 || c.Sort != Fee && c.Sort != Interest {
		return fault.BadInput("invalidAmount", "A fee is more than nothing, not %s", c.Amount)
	}
	c.insert(tx)
	return ledger.Post(tx, ledger.Transaction{Name: "claim/" + c.ID, Entity: c.Entity, Currency: c.Amount.Currency, Date: c.On, What: c.Number,
		Entries: []ledger.Entry{{Account: ledger.Receivable, Party: c.Account, Amount: c.Amount.Minor}, {Account: revenue, Amount: -c.Amount.Minor}}})
}
