package ledger

import (
	"embed"
	"fmt"

	"tandem/kit/civil"
	"tandem/kit/fault"
	"tandem/kit/money"
	"tandem/kit/store"
)

//go:embed schema/*.sql
var schemaFiles embed.FS

// Schemas are the room's own tables.
var Schemas = []store.Schema{store.Embedded("ledger", schemaFiles)}

// Entry is one side of a transaction, in minor units: debit positive, credit negative.
type Entry struct {
	Account string // of the chart: Receivable, Of(Revenue, "4400") ...
	Party   string // billing account, for accounts that are kept by party
	Amount  int64
}

// Transaction is what is booked together.
type Transaction struct {
	Name     string // of what it books, such as "bill/4711": booked once
	Entity   string // whose books
	Currency money.Currency
	Date     civil.Date // of the books; decides the accounting period
	Shift    bool       // where Date is closed already, it is booked on the first open day; else it is refused
	What     string     // as the bookkeeper reads it
	Reverses string     // the transaction it undoes, if it does
	Entries  []Entry
}

// maxEntries bounds a transaction: a bill with hundreds of revenue codes is a defect.
const maxEntries = 1000

const (
	insertTransaction = "INSERT INTO ledger_transaction (tenant, name, entity, currency, on_date, what, reverses, actor, at)"
	insertEntry       = "INSERT INTO ledger_entry (tenant, name, line, entity, currency, on_date, account, party, amount)"
)

// Post books transactions, each once by its name. What happened in a month that is closed
// meanwhile is refused (monthClosed), or with Shift booked on the first open day; when it
// happened is kept beside it. Errors: unbalanced, unknownAccount (both defects of the
// caller, told as such), monthClosed, alreadyBooked.
func Post(tx *store.Tx, all ...Transaction) error {
	for i := range all {
		t := &all[i]
		if err := t.Check(); err != nil {
			return err
		}
		on, err := open(tx, t.Entity, t.Date, t.Shift)
		if err != nil {
			return err
		}
		if on != t.Date {
			tx.Insert("INSERT INTO ledger_late (tenant, name, dated)", t.Name, t.Date.String())
			t.Date = on
		}
	}
	for i := range all { // one table after the other: rows that follow one another share a statement
		t := &all[i]
		tx.Insert(insertTransaction, t.Name, t.Entity, t.Currency.Code(), t.Date.String(), t.What, t.Reverses, tx.Actor(), store.Micros(tx.Now()))
	}
	for i := range all {
		t := &all[i]
		for n, e := range t.Entries {
			tx.Insert(insertEntry, t.Name, int64(n), t.Entity, t.Currency.Code(), t.Date.String(), e.Account, e.Party, e.Amount)
		}
	}
	return nil
}

// Check says what is wrong with a transaction, before anything of it is written. What it
// finds is a defect of who books.
func (t *Transaction) Check() error {
	switch {
	case t.Name == "" || t.Entity == "" || !t.Date.Valid() || t.Currency == (money.Currency{}):
		return fmt.Errorf("ledger: transaction %q has no name, entity, date or currency", t.Name)
	case len(t.Entries) < 2 || len(t.Entries) > maxEntries:
		return fmt.Errorf("ledger: transaction %q has %d entries", t.Name, len(t.Entries))
	}
	sum := money.Amount{Currency: t.Currency}
	for _, e := range t.Entries {
		if !known(e.Account, e.Party) {
			return fmt.Errorf("ledger: transaction %q books on %q of %q, which the chart of accounts does not have", t.Name, e.Account, e.Party)
		}
		var err error
		if sum, err = sum.Add(money.Amount{Minor: e.Amount, Currency: t.Currency}); err != nil {
			return fmt.Errorf("ledger: transaction %q: %w", t.Name, err)
		}
	}
	if sum.Minor != 0 {
		return fmt.Errorf("ledger: transaction %q does not balance: %s is left", t.Name, sum)
	}
	return nil
}

type bookOf string

// open is the day on which something of a date is booked: that day, or with shift the first
// after the closed months. The entity's book stays as it is until the transaction ends.
func open(tx *store.Tx, entity string, on civil.Date, shift bool) (civil.Date, error) {
	got, err := tx.Memo(bookOf(entity), func() (any, error) { return holdBook(tx, entity) })
	if err != nil {
		return on, err
	}
	closed := got.(string)
	switch {
	case closed == "" || on.String() > closed:
		return on, nil
	case !shift:
		return on, fault.Clash("monthClosed", "Nothing can be booked on %s: the books of %q are closed up to %s", on, entity, closed)
	}
	last, err := civil.ParseDate(closed)
	return last.AddDays(1), err
}

func holdBook(tx *store.Tx, entity string) (any, error) {
	var closed string
	read := func() error {
		return tx.Row("SELECT closed_to FROM ledger_book WHERE tenant = $1 AND entity = $2"+tx.Dialect().ForShare(), entity).Scan(&closed)
	}
	err := read()
	if err != store.ErrNotFound {
		return closed, err
	}
	if _, err := tx.Exec("INSERT INTO ledger_book (tenant, entity, closed_to) VALUES ($1, $2, '') ON CONFLICT DO NOTHING", entity); err != nil {
		return nil, err
	}
	return closed, read()
}

// Reverse undoes a transaction by booking it with the signs turned, on a date of its
// own, once. The name of the reversal is that of the transaction and "/reversed".
func Reverse(tx *store.Tx, name string, on civil.Date, why string) error {
	t, err := Get(tx, name)
	if err != nil {
		return err
	}
	if t.Reverses != "" {
		return fault.Clash("isReversal", "The booking %q undoes another one and is not undone itself", name)
	}
	t.Name, t.Reverses, t.Date, t.What = name+"/reversed", name, on, why
	for i := range t.Entries {
		t.Entries[i].Amount = -t.Entries[i].Amount
	}
	return Post(tx, t)
}

// Get is a transaction with its entries.
func Get(tx *store.Tx, name string) (Transaction, error) {
	t := Transaction{Name: name}
	err := tx.Row("SELECT entity, currency, on_date, what, reverses FROM ledger_transaction WHERE tenant = $1 AND name = $2", name).
		Scan(&t.Entity, &t.Currency, &t.Date, &t.What, &t.Reverses)
	if err == store.ErrNotFound {
		return t, fault.Missing("booking", name)
	}
	if err != nil {
		return t, err
	}
	rows, err := tx.Query("SELECT account, party, amount FROM ledger_entry WHERE tenant = $1 AND name = $2 ORDER BY line", name)
	t.Entries, err = store.Collect(rows, err, func(r store.Rows) (e Entry, err error) { return e, r.Scan(&e.Account, &e.Party, &e.Amount) })
	return t, err
}
