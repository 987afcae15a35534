package receivable

import (
	"tandem/bss/ledger"
	"tandem/kit/fault"
	"tandem/kit/money"
	"tandem/kit/store"
	"tandem/kit/tmf"
)

// TaxPart is how much of what is written off is tax that is claimed back.
type TaxPart struct {
	Code   string // as it was booked
	Amount int64
}

// WriteOff gives up what is open of a claim. relief is the tax of it that the state
// gives back (Article 90 of 2006/112/EC); the rest is a bad debt.
func WriteOff(tx *store.Tx, claim, reason string, relief ...TaxPart) (id string, err error) {
	defer fault.Wrap(&err, "receivable.WriteOff(%s)", claim)
	c, err := lockClaim(tx, claim)
	if err != nil {
		return "", err
	}
	if c.Open <= 0 {
		return "", fault.Clash("notOpen", "Nothing of %s %q is open", c.Sort, c.Number)
	}
	if reason == "" {
		return "", fault.BadInput("noReason", "A write-off needs a reason")
	}
	amount, bad := c.Open, c.Open
	id = tmf.NewID()
	t := ledger.Transaction{Name: "writeOff/" + id, Entity: c.Entity, Currency: c.Amount.Currency, Date: today(tx), What: reason,
		Entries: []ledger.Entry{{Account: ledger.Receivable, Party: c.Account, Amount: -amount}}}
	for _, r := range relief {
		if r.Amount <= 0 || r.Amount > bad {
			return "", fault.BadInput("invalidRelief", "The tax given back is more than is open of %s %q", c.Sort, c.Number)
		}
		bad -= r.Amount
		t.Entries = append(t.Entries, ledger.Entry{Account: ledger.Of(ledger.Tax, r.Code), Amount: r.Amount})
	}
	if bad > 0 {
		t.Entries = append(t.Entries, ledger.Entry{Account: ledger.BadDebt, Amount: bad})
	}
	c.add(tx, -amount)
	tx.Insert("INSERT INTO receivable_write_off (tenant, id, claim, amount, recovered, reason, on_date, actor, at)",
		id, c.ID, amount, 0, reason, today(tx).String(), tx.Actor(), store.Micros(tx.Now()))
	return id, ledger.Post(tx, t)
}

// Recover uses a payment for what was written off.
func Recover(tx *store.Tx, payment, writeOff string, amount int64) (err error) {
	defer fault.Wrap(&err, "receivable.Recover(%s)", writeOff)
	p, err := lockPayment(tx, payment)
	if err != nil {
		return err
	}
	var claim string
	var left int64
	err = tx.Row("SELECT claim, amount - recovered FROM receivable_write_off WHERE tenant = $1 AND id = $2"+tx.Dialect().ForUpdate(), writeOff).Scan(&claim, &left)
	if err == store.ErrNotFound {
		return fault.Missing("write-off", writeOff)
	}
	if err != nil {
		return err
	}
	c, err := lockClaim(tx, claim)
	if err != nil {
		return err
	}
	switch {
	case c.Account != p.Account || c.Amount.Currency != p.Amount.Currency || c.Entity != p.Entity:
		return fault.BadInput("anothersClaim", "%s %q is not one of account %q", c.Sort, c.Number, p.Account)
	case amount <= 0 || amount > left || amount > p.Open:
		return fault.Clash("notOpen", "%s can be recovered from this payment", money.Amount{Minor: max(0, min(left, p.Open)), Currency: p.Amount.Currency})
	}
	p.use(tx, amount)
	tx.QueueOne("UPDATE receivable_write_off SET recovered = recovered + $3 WHERE tenant = $1 AND id = $2", writeOff, amount)
	tx.QueueOne("UPDATE receivable_payment SET recovered = recovered + $3 WHERE tenant = $1 AND id = $2", p.ID, amount)
	id := tmf.NewID()
	tx.Insert("INSERT INTO receivable_recovery (tenant, id, write_off, payment, amount, undone, actor, at)", id, writeOff, p.ID, amount, 0, tx.Actor(), store.Micros(tx.Now()))
	return ledger.Post(tx, ledger.Transaction{Name: "recovery/" + id, Entity: p.Entity, Currency: p.Amount.Currency, Date: today(tx), What: "Recovered of " + c.Number,
		Entries: []ledger.Entry{{Account: ledger.Unapplied, Party: p.Account, Amount: amount}, {Account: ledger.Recovered, Amount: -amount}}})
}

// undoRecoveries takes the payment off what was written off: it is not there any more.
// What was recovered before such rows were kept cannot be told apart, and stays.
func (p *Payment) undoRecoveries(tx *store.Tx) error {
	rows, err := tx.Query("SELECT id, write_off, amount FROM receivable_recovery WHERE tenant = $1 AND payment = $2 AND undone = 0 ORDER BY id", p.ID)
	type recovery struct {
		id, writeOff string
		amount       int64
	}
	all, err := store.Collect(rows, err, func(r store.Rows) (v recovery, err error) { return v, r.Scan(&v.id, &v.writeOff, &v.amount) })
	if err != nil {
		return err
	}
	for _, v := range all {
		p.use(tx, -v.amount)
		p.recovered -= v.amount
		tx.QueueOne("UPDATE receivable_payment SET recovered = recovered - $3 WHERE tenant = $1 AND id = $2", p.ID, v.amount)
		tx.QueueOne("UPDATE receivable_write_off SET recovered = recovered - $3 WHERE tenant = $1 AND id = $2", v.writeOff, v.amount)
		tx.QueueOne("UPDATE receivable_recovery SET undone = 1 WHERE tenant = $1 AND id = $2 AND undone = 0", v.id)
		if err := ledger.Reverse(tx, "recovery/"+v.id, today(tx), "The payment was taken back"); err != nil {
			return err
		}
	}
	return nil
}
