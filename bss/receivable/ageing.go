package receivable

import (
	"tandem/bss/ledger"
	"tandem/kit/civil"
	"tandem/kit/store"
)

// Aged is what an account owes by how long it has been due.
type Aged struct {
	Account  string
	Currency string
	NotDue   int64
	To30     int64 // 1 to 30 days overdue
	To60     int64
	To90     int64
	Over90   int64
	Credit   int64 // credit notes that are not used: negative
}

// Ageing is what all accounts owe on a day as it is open now, largest debt first.
func Ageing(tx *store.Tx, on civil.Date, limit int) ([]Aged, error) {
	return ageing(tx, on, "account", "account, currency", limit)
}

// ageing is by what it is grouped.
func ageing(tx *store.Tx, on civil.Date, account, by string, limit int) ([]Aged, error) {
	rows, err := tx.Query(`SELECT `+account+` AS whose, currency,
			CAST(sum(CASE WHEN open > 0 AND due >= $2 THEN open ELSE 0 END) AS BIGINT),
			CAST(sum(CASE WHEN open > 0 AND due < $2 AND due >= $3 THEN open ELSE 0 END) AS BIGINT),
			CAST(sum(CASE WHEN open > 0 AND due < $3 AND due >= $4 THEN open ELSE 0 END) AS BIGINT),
			CAST(sum(CASE WHEN open > 0 AND due < $4 AND due >= $5 THEN open ELSE 0 END) AS BIGINT),
			CAST(sum(CASE WHEN open > 0 AND due < $5 THEN open ELSE 0 END) AS BIGINT),
			CAST(sum(CASE WHEN open < 0 THEN open ELSE 0 END) AS BIGINT)
		FROM receivable_claim WHERE tenant = $1 AND open <> 0 GROUP BY `+by+`
		ORDER BY sum(open) DESC, whose LIMIT $6`, on.String(), on.AddDays(-30).String(), on.AddDays(-60).String(), on.AddDays(-90).String(), int64(limit))
	return store.Collect(rows, err, func(r store.Rows) (a Aged, err error) {
		return a, r.Scan(&a.Account, &a.Currency, &a.NotDue, &a.To30, &a.To60, &a.To90, &a.Over90, &a.Credit)
	})
}

// Mismatch is what Audit found wrong. Amounts are minor units.
type Mismatch struct {
	What        string
	ID          string // claim, payment or account
	Here, There int64
}

// Audit proves the room against itself and the books: what is open of a claim is its
// amount less what paid it and was written off; likewise of a payment; and of every
// account the ledger has as receivable what its claims leave open, and as unapplied
// what its payments do.
func Audit(tx *store.Tx) ([]Mismatch, error) {
	var out []Mismatch
	for _, q := range []struct{ what, sql string }{
		{"open of a claim is not its amount less what paid it", `SELECT c.id, c.open, c.amount
			- coalesce((SELECT CAST(sum(a.amount) AS BIGINT) FROM receivable_allocation a WHERE a.tenant = c.tenant AND a.claim = c.id), 0)
			+ coalesce((SELECT CAST(sum(a.amount) AS BIGINT) FROM receivable_allocation a WHERE a.tenant = c.tenant AND a.source = c.id AND a.source_sort = 'creditNote'), 0)
			- coalesce((SELECT CAST(sum(w.amount) AS BIGINT) FROM receivable_write_off w WHERE w.tenant = c.tenant AND w.claim = c.id), 0)
			FROM receivable_claim c WHERE c.tenant = $1`},
		{"open of a payment is not its amount less its use", `SELECT p.id, p.open, p.amount - p.returned - p.recovered
			- coalesce((SELECT CAST(sum(a.amount) AS BIGINT) FROM receivable_allocation a WHERE a.tenant = p.tenant AND a.source = p.id AND a.source_sort = 'payment'), 0)
			FROM receivable_payment p WHERE p.tenant = $1`},
	} {
		if err := compare(tx, &out, q.what, q.sql); err != nil {
			return nil, err
		}
	}
	if err := againstBooks(tx, &out, "the books have another debt", "SELECT account, currency, CAST(sum(open) AS BIGINT) FROM receivable_claim WHERE tenant = $1 GROUP BY account, currency", ledger.Receivable); err != nil {
		return nil, err
	}
	return out, againstBooks(tx, &out, "the books have another credit", "SELECT account, currency, CAST(-sum(open) AS BIGINT) FROM receivable_payment WHERE tenant = $1 GROUP BY account, currency", ledger.Unapplied)
}

func compare(tx *store.Tx, out *[]Mismatch, what, sql string) error {
	rows, err := tx.Query(sql)
	found, err := store.Collect(rows, err, func(r store.Rows) (Mismatch, error) {
		m := Mismatch{What: what}
		return m, r.Scan(&m.ID, &m.Here, &m.There)
	})
	for _, m := range found {
		if m.Here != m.There {
			*out = append(*out, m)
		}
	}
	return err
}

// againstBooks compares sums by account and currency with what the ledger has of them.
func againstBooks(tx *store.Tx, out *[]Mismatch, what, here, account string) error {
	books, err := ledger.ByParty(tx, account)
	if err != nil {
		return err
	}
	rows, err := tx.Query(here)
	type sum struct {
		account, currency string
		amount            int64
	}
	own, err := store.Collect(rows, err, func(r store.Rows) (s sum, err error) { return s, r.Scan(&s.account, &s.currency, &s.amount) })
	if err != nil {
		return err
	}
	for _, s := range own {
		k := ledger.Party{ID: s.account, Currency: s.currency}
		if books[k] != s.amount {
			*out = append(*out, Mismatch{what, s.account, s.amount, books[k]})
		}
		delete(books, k)
	}
	for k, amount := range books {
		if amount != 0 {
			*out = append(*out, Mismatch{what, k.ID, 0, amount})
		}
	}
	return nil
}
