package ledger

import (
	"cmp"
	"strings"
	"time"

	"tandem/kit/civil"
	"tandem/kit/fault"
	"tandem/kit/store"
)

// monthOf are the days of the month that holds a day.
func monthOf(d civil.Date) civil.Period {
	first := civil.Date{Year: d.Year, Month: d.Month, Day: 1}
	return civil.Period{From: first, To: first.AddMonths(1)}
}

// lastOf is the last day of a month.
func lastOf(month civil.Date) civil.Date { return monthOf(month).To.AddDays(-1) }

// Close closes a month of an entity's books: nothing is booked up to its last day any
// more. Months are closed one after the other, and only when they are over: one in which
// nothing was booked needs no closing of its own. The chart of accounts is kept as it is now.
// Errors: monthNotOver, monthClosed, monthBeforeOpen, unbalanced.
func Close(tx *store.Tx, entity string, month civil.Date) (err error) {
	defer fault.Wrap(&err, "ledger.Close(%s, %s)", entity, month)
	last := lastOf(month)
	if !last.Before(civil.DateOf(tx.Now(), time.UTC)) {
		return fault.Clash("monthNotOver", "The month of %s is not over yet", last)
	}
	if _, err := tx.Exec("INSERT INTO ledger_book (tenant, entity, closed_to) VALUES ($1, $2, '') ON CONFLICT DO NOTHING", entity); err != nil {
		return err
	}
	var closed string
	err = tx.Row("SELECT closed_to FROM ledger_book WHERE tenant = $1 AND entity = $2"+tx.Dialect().ForUpdate(), entity).Scan(&closed)
	switch {
	case err != nil:
		return err
	case closed >= last.String():
		return fault.Clash("monthClosed", "The books of %q are closed up to %s already", entity, closed)
	}
	if err := inTurn(tx, entity, closed, month); err != nil {
		return err
	}
	if _, err := tx.Exec("UPDATE ledger_book SET closed_to = $3 WHERE tenant = $1 AND entity = $2", entity, last.String()); err != nil {
		return err
	}
	sums, err := Trial(tx, entity, last)
	if err != nil {
		return err
	}
	if err := balanced(sums); err != nil {
		return err
	}
	for _, s := range sums {
		tx.Insert("INSERT INTO ledger_closing (tenant, entity, closed_to, account, currency, amount, actor, at)",
			entity, last.String(), s.Account, s.Currency, s.Amount, tx.Actor(), store.Micros(tx.Now()))
	}
	return keepClosing(tx, entity, last)
}

// inTurn refuses a month while something is booked in one before it that is open: who
// approves sees the turnover of one month.
func inTurn(tx *store.Tx, entity, closed string, month civil.Date) error {
	oldest := ""
	err := tx.Row("SELECT min(on_date) FROM ledger_entry WHERE tenant = $1 AND entity = $2 AND on_date > $3 AND on_date < $4", entity, closed, monthOf(month).From.String()).Scan(&nullable{&oldest})
	if err != nil || oldest == "" {
		return err
	}
	return fault.Clash("monthBeforeOpen", "The month %s of %q is still open and has bookings: close it before %s", oldest[:len("2006-01")], entity, month.String()[:len("2006-01")])
}

// keepClosing writes down that a month was closed, with the chart.
func keepClosing(tx *store.Tx, entity string, last civil.Date) error {
	var number int64
	if err := tx.Row("SELECT coalesce(max(number), 0) + 1 FROM ledger_closed WHERE tenant = $1 AND entity = $2", entity).Scan(&number); err != nil {
		return err
	}
	tx.Insert("INSERT INTO ledger_closed (tenant, entity, number, closed_to, actor, at, reopened_by, reopened_at, reason)",
		entity, number, last.String(), tx.Actor(), store.Micros(tx.Now()), "", int64(0), "")
	now, err := chart(tx)
	for _, a := range now {
		tx.Insert("INSERT INTO ledger_closed_chart (tenant, entity, number, account, gl_account, name)", entity, number, a.Account, a.GLAccount, a.Name)
	}
	return err
}

// Reopen opens the month that was closed last, for a reason; the one closed before it is
// then the last. What was exported of it stays as it was handed over: the next closing has
// another number. Errors: noReason, notClosed, notTheLast.
func Reopen(tx *store.Tx, entity string, month civil.Date, reason string) (err error) {
	defer fault.Wrap(&err, "ledger.Reopen(%s, %s)", entity, month)
	if strings.TrimSpace(reason) == "" {
		return fault.BadInput("noReason", "A month is opened again for a reason: say it")
	}
	last := lastOf(month).String()
	var closed string
	err = tx.Row("SELECT closed_to FROM ledger_book WHERE tenant = $1 AND entity = $2"+tx.Dialect().ForUpdate(), entity).Scan(&closed)
	switch {
	case err != nil && err != store.ErrNotFound:
		return err
	case closed < last:
		return fault.Clash("notClosed", "The month of %s is not closed in the books of %q", last, entity)
	case closed > last:
		return fault.Clash("notTheLast", "The books of %q are closed up to %s: open that month first", entity, closed)
	}
	before := ""
	if err := tx.Row("SELECT max(closed_to) FROM ledger_closed WHERE tenant = $1 AND entity = $2 AND reopened_by = '' AND closed_to < $3", entity, last).Scan(&nullable{&before}); err != nil {
		return err
	}
	tx.QueueOne("UPDATE ledger_book SET closed_to = $3 WHERE tenant = $1 AND entity = $2", entity, before)
	tx.QueueOne("UPDATE ledger_closed SET reopened_by = $4, reopened_at = $5, reason = $6 WHERE tenant = $1 AND entity = $2 AND closed_to = $3 AND reopened_by = ''",
		entity, last, tx.Actor(), store.Micros(tx.Now()), reason)
	tx.Queue("DELETE FROM ledger_closing WHERE tenant = $1 AND entity = $2 AND closed_to = $3", entity, last)
	return tx.Flush()
}

// ClosedTo is the last day of the last closed month of an entity; not valid if none is.
// Nothing is booked on it or before.
func ClosedTo(tx *store.Tx, entity string) (civil.Date, error) {
	var closed string
	err := tx.Row("SELECT closed_to FROM ledger_book WHERE tenant = $1 AND entity = $2", entity).Scan(&closed)
	if err == store.ErrNotFound || err == nil && closed == "" {
		return civil.Date{}, nil
	}
	if err != nil {
		return civil.Date{}, err
	}
	return civil.ParseDate(closed)
}

// Books are the entities that have books.
func Books(tx *store.Tx) ([]string, error) {
	rows, err := tx.Query("SELECT entity FROM ledger_book WHERE tenant = $1 ORDER BY entity")
	return store.Collect(rows, err, store.Text)
}

// bookOfOne is the entity that is meant: the one named, which has to have books, or the
// only one that has.
func bookOfOne(tx *store.Tx, entity string) (string, error) {
	all, err := Books(tx)
	if err != nil {
		return "", err
	}
	for _, e := range all {
		if e == entity || entity == "" && len(all) == 1 {
			return e, nil
		}
	}
	if entity == "" && len(all) > 1 {
		return "", fault.BadInput("whichBooks", "Name the legal entity whose books are meant; there are %s", strings.Join(all, ", "))
	}
	return "", fault.BadInput("noBooks", "Nothing was ever booked for the legal entity %q", cmp.Or(entity, "default"))
}
