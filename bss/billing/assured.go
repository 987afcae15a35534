package billing

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"tandem/bss/billing/compute"
	"tandem/kit/civil"
	"tandem/kit/money"
	"tandem/kit/store"
	"tandem/kit/tmf"
)

// This file has what revenue assurance asks of the room: its sets by key, a page at a time.

// Running is a product that is billed: what of it runs.
type Running struct {
	Product string
	Items   []string // open billable items
	Since   time.Time
}

// RunningAfter is a page of the products that have open billable items, behind an id, by
// id. They need not exist.
func RunningAfter(tx *store.Tx, after string, limit int) ([]Running, error) {
	rows, err := tx.Query(`SELECT product, item, from_at FROM billing_charge WHERE tenant = $1 AND to_at IS NULL AND product IN (
		SELECT DISTINCT product FROM billing_charge WHERE tenant = $1 AND to_at IS NULL AND product > $2 ORDER BY product LIMIT $3) ORDER BY product, item`, after, int64(limit))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []Running
	for rows.Next() {
		var product, item string
		var at int64
		if err := rows.Scan(&product, &item, &at); err != nil {
			return nil, err
		}
		if n := len(out); n == 0 || out[n-1].Product != product {
			out = append(out, Running{Product: product, Since: store.Instant(at)})
		}
		r := &out[len(out)-1]
		r.Items = append(r.Items, item)
		if from := store.Instant(at); from.Before(r.Since) {
			r.Since = from
		}
	}
	return out, rows.Err()
}

// AccountsAfter is a page of the billing accounts behind an id, by id.
func AccountsAfter(tx *store.Tx, after string, limit int) ([]string, error) {
	rows, err := tx.Query("SELECT id FROM billing_account WHERE tenant = $1 AND id > $2 ORDER BY id LIMIT $3", after, int64(limit))
	return store.Collect(rows, err, store.Text)
}

// Missed is what bills should have had of an account and do not.
type Missed struct {
	Account string
	Parked  string // the account cannot be billed: why, and what to do
	Bill    civil.Date
	Lines   []MissedLine // of products, in their order
}

// MissedLine is a charge of a product that was due and is on no bill.
type MissedLine struct {
	Product string
	Item    string
	Name    string
	Service civil.Period
	Net     money.Amount
}

// MissedOf works out what was due on bills dated up to a day and is on none, of accounts in
// the order of their ids: charges of service periods that no bill has a line of. What a bill
// has a line of and is to be corrected is not among them, nor is usage.
func MissedOf(tx *store.Tx, accounts []string, upto civil.Date) ([]Missed, error) {
	all, err := Gather(tx, accounts, upto)
	if err != nil {
		return nil, err
	}
	out := make([]Missed, 0, len(all))
	for i := range all {
		m, err := missedOf(&all[i])
		if err != nil {
			return nil, err
		}
		out = append(out, m)
	}
	return out, nil
}

func missedOf(g *Gathered) (Missed, error) {
	m := Missed{Account: g.Account, Parked: g.Parked}
	if m.Parked != "" || len(g.Input.Items) == 0 {
		return m, nil
	}
	bill, err := compute.Make(&g.Input)
	if err != nil {
		m.Parked = sentence(err)
		return m, nil
	}
	m.Bill = bill.Date
	for i := range bill.Lines {
		l := &bill.Lines[i]
		if l.Sort == compute.Usage || l.Number > 0 || l.Amount == 0 {
			continue
		}
		m.Lines = append(m.Lines, MissedLine{l.Product, l.Item, l.Name, l.Service, money.Amount{Minor: l.Net, Currency: g.Input.Currency}})
	}
	slices.SortStableFunc(m.Lines, func(a, b MissedLine) int { return cmp.Compare(a.Product, b.Product) })
	return m, nil
}

// PostedBill is a posted bill as the books and the customer should have it.
type PostedBill struct {
	Bill, Number, Account, Kind, Currency string
	Gross                                 int64
	PostedAt                              time.Time
	Sent                                  bool // or paid, which it was not before it was there
}

// PostedAfter is a page of the posted bills behind an id, by id.
func PostedAfter(tx *store.Tx, after string, limit int) ([]PostedBill, error) {
	rows, err := tx.Query(`SELECT p.bill, p.number, d.account, d.kind, d.currency, d.gross, p.posted_at, a.bill IS NOT NULL FROM billing_posted p
		JOIN billing_draft d ON d.tenant = p.tenant AND d.id = p.bill LEFT JOIN billing_afterwards a ON a.tenant = p.tenant AND a.bill = p.bill
		WHERE p.tenant = $1 AND p.bill > $2 ORDER BY p.bill LIMIT $3`, after, int64(limit))
	return store.Collect(rows, err, func(r store.Rows) (b PostedBill, err error) {
		var at int64
		err = r.Scan(&b.Bill, &b.Number, &b.Account, &b.Kind, &b.Currency, &b.Gross, &at, &b.Sent)
		b.PostedAt = store.Instant(at)
		return b, err
	})
}

// Waiting is a draft that nobody has posted.
type Waiting struct {
	Bill, Account, Run, Held, Currency string
	Gross                              int64
	At                                 time.Time // it was made
}

// WaitingAfter is a page of the drafts that are not posted, behind an id, by id.
func WaitingAfter(tx *store.Tx, after string, limit int) ([]Waiting, error) {
	rows, err := tx.Query(`SELECT d.id, d.account, d.run, d.held, d.currency, d.gross, d.at FROM billing_draft d
		WHERE d.tenant = $1 AND d.id > $2 AND NOT EXISTS (SELECT 1 FROM billing_posted p WHERE p.tenant = d.tenant AND p.bill = d.id) ORDER BY d.id LIMIT $3`, after, int64(limit))
	return store.Collect(rows, err, func(r store.Rows) (w Waiting, err error) {
		var at int64
		err = r.Scan(&w.Bill, &w.Account, &w.Run, &w.Held, &w.Currency, &w.Gross, &at)
		w.At = store.Instant(at)
		return w, err
	})
}

// Accuracy counts the invoices of a time, and the credit notes of it that say that a bill
// was wrong ([CreditReasons]).
type Accuracy struct{ Invoices, Wrong, Others int64 }

// AccuracyOf counts what was posted from one instant to another.
func AccuracyOf(tx *store.Tx, from, to time.Time) (a Accuracy, err error) {
	err = tx.Row(`SELECT count(*) FROM billing_posted p JOIN billing_draft d ON d.tenant = p.tenant AND d.id = p.bill
		WHERE p.tenant = $1 AND d.kind = 'invoice' AND p.posted_at >= $2 AND p.posted_at < $3`, store.Micros(from), store.Micros(to)).Scan(&a.Invoices)
	if err != nil {
		return a, err
	}
	rows, err := tx.Query(`SELECT r.doc ->> 'reason', count(*) FROM billing_posted p JOIN billing_credit_request r ON r.tenant = p.tenant AND r.a_credit_note_id = p.bill
		WHERE p.tenant = $1 AND p.posted_at >= $2 AND p.posted_at < $3 GROUP BY r.doc ->> 'reason'`, store.Micros(from), store.Micros(to))
	if err != nil {
		return a, err
	}
	defer rows.Close()
	for rows.Next() {
		var reason *string
		var n int64
		if err := rows.Scan(&reason, &n); err != nil {
			return a, err
		}
		if reason != nil && CreditReasons[*reason] {
			a.Wrong += n
		} else {
			a.Others += n
		}
	}
	return a, rows.Err()
}

// CreditBy is a credit note that a person asked for.
type CreditBy struct {
	Request, Bill, Reason, By string
	Gross                     money.Amount
	At                        time.Time // it was posted
}

// CreditsAfter is a page of the credit notes that were asked for and posted from an instant
// on, behind an id of their requests, by id.
func CreditsAfter(tx *store.Tx, from time.Time, after string, limit int) ([]CreditBy, error) {
	rows, err := tx.Query(`SELECT r.doc, p.posted_at FROM billing_credit_request r JOIN billing_posted p ON p.tenant = r.tenant AND p.bill = r.a_credit_note_id
		WHERE r.tenant = $1 AND r.a_state = 'posted' AND r.id > $2 AND p.posted_at >= $4 ORDER BY r.id LIMIT $3`, after, int64(limit), store.Micros(from))
	return store.Collect(rows, err, func(r store.Rows) (c CreditBy, err error) {
		var doc []byte
		var at int64
		if err := r.Scan(&doc, &at); err != nil {
			return c, err
		}
		var q CreditNoteRequest
		if err := tmf.Decode(doc, &q); err != nil {
			return c, err
		}
		c = CreditBy{Request: q.ID, Reason: q.Reason, By: q.RequestedBy, At: store.Instant(at)}
		if q.Bill != nil {
			c.Bill = q.Bill.ID
		}
		if q.Gross != nil {
			if c.Gross, err = q.Gross.Post(money.HalfEven); err != nil {
				return c, fmt.Errorf("credit note request %s: %w", q.ID, err)
			}
		}
		return c, nil
	})
}
