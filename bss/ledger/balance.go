package ledger

import (
	"tandem/kit/civil"
	"tandem/kit/fault"
	"tandem/kit/money"
	"tandem/kit/store"
)

// Sum is what stands on an account: debit positive.
type Sum struct {
	Account  string
	Currency string
	Amount   int64
}

// Balance is what stands on an account of a party by the end of a day, by currency.
func Balance(tx *store.Tx, account, party string, on civil.Date) ([]Sum, error) {
	rows, err := tx.Query(`SELECT account, currency, CAST(sum(amount) AS BIGINT) FROM ledger_entry
		WHERE tenant = $1 AND party = $2 AND party <> '' AND account = $3 AND on_date <= $4 GROUP BY account, currency ORDER BY currency`, party, account, on.String())
	return store.Collect(rows, err, scanSum)
}

func scanSum(r store.Rows) (s Sum, err error) { return s, r.Scan(&s.Account, &s.Currency, &s.Amount) }

// Trial is the trial balance of an entity by the end of a day: the sum of every
// account. The amounts of one currency sum to zero.
func Trial(tx *store.Tx, entity string, on civil.Date) ([]Sum, error) {
	from := ""
	err := tx.Row("SELECT max(closed_to) FROM ledger_closing WHERE tenant = $1 AND entity = $2 AND closed_to <= $3", entity, on.String()).Scan(&nullable{&from})
	if err != nil {
		return nil, err
	}
	rows, err := tx.Query(`SELECT account, currency, CAST(sum(amount) AS BIGINT) FROM (
		SELECT account, currency, amount FROM ledger_closing WHERE tenant = $1 AND entity = $2 AND closed_to = $3
		UNION ALL
		SELECT account, currency, amount FROM ledger_entry WHERE tenant = $1 AND entity = $2 AND on_date > $3 AND on_date <= $4
	) AS sums GROUP BY account, currency ORDER BY account, currency`, entity, from, on.String())
	return store.Collect(rows, err, scanSum)
}

// Party is whose account, in which currency.
type Party struct{ ID, Currency string }

// ByParty is what stands on an account of every party.
func ByParty(tx *store.Tx, account string) (map[Party]int64, error) {
	rows, err := tx.Query("SELECT party, currency, CAST(sum(amount) AS BIGINT) FROM ledger_entry WHERE tenant = $1 AND party <> '' AND account = $2 GROUP BY party, currency", account)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := map[Party]int64{}
	for rows.Next() {
		var p Party
		var amount int64
		if err := rows.Scan(&p.ID, &p.Currency, &amount); err != nil {
			return nil, err
		}
		out[p] = amount
	}
	return out, rows.Err()
}

// Holding is whose account, in whose books and in which currency.
type Holding struct{ Entity, Party, Currency string }

// Held is what stands on an account of every party, in the books of each legal entity.
func Held(tx *store.Tx, account string) (map[Holding]int64, error) {
	out := map[Holding]int64{}
	rows, err := tx.Query(`SELECT entity, party, currency, CAST(sum(amount) AS BIGINT) FROM ledger_entry
		WHERE tenant = $1 AND party <> '' AND account = $2 GROUP BY entity, party, currency`, account)
	_, err = store.Collect(rows, err, func(r store.Rows) (n int64, err error) {
		var h Holding
		err = r.Scan(&h.Entity, &h.Party, &h.Currency, &n)
		out[h] = n
		return n, err
	})
	return out, err
}

// nullable scans NULL as the empty text.
type nullable struct{ to *string }

func (n *nullable) Scan(v any) error {
	switch v := v.(type) {
	case string:
		*n.to = v
	case []byte:
		*n.to = string(v)
	}
	return nil
}

// Movement is an entry as a statement of account lists it.
type Movement struct {
	Name, What string
	Date       civil.Date
	Account    string
	Party      string
	Currency   string
	Amount     int64
}

const movements = `SELECT e.name, t.what, e.on_date, e.account, e.party, e.currency, e.amount FROM ledger_entry e
	JOIN ledger_transaction t ON t.tenant = e.tenant AND t.name = e.name `

func scanMovement(r store.Rows) (m Movement, err error) {
	return m, r.Scan(&m.Name, &m.What, &m.Date, &m.Account, &m.Party, &m.Currency, &m.Amount)
}

// Statement is what was booked on an account of a party in a period, oldest first.
func Statement(tx *store.Tx, account, party string, in civil.Period) ([]Movement, error) {
	rows, err := tx.Query(movements+`WHERE e.tenant = $1 AND e.party = $2 AND e.party <> '' AND e.account = $3 AND e.on_date >= $4 AND e.on_date < $5
		ORDER BY e.on_date, e.name, e.line`, party, account, in.From.String(), in.To.String())
	return store.Collect(rows, err, scanMovement)
}

// balanced refuses sums that are not zero in a currency.
func balanced(sums []Sum) error {
	left := map[string]int64{}
	for _, s := range sums {
		left[s.Currency] += s.Amount
	}
	for currency, n := range left {
		if n != 0 {
			c, _ := money.ParseCurrency(currency)
			return fault.Clash("unbalanced", "The books do not balance: %s is left", money.Amount{Minor: n, Currency: c})
		}
	}
	return nil
}

// Mismatch is what Audit found wrong.
type Mismatch struct {
	Name string // of the booking, or the month
	What string
	Left int64 // minor units that are too many
}

// Audit proves the books of the tenant: every booking sums to zero and has its entries,
// every entry a booking of the same entity, currency and date, and the sums of closed
// months are those of their entries.
func Audit(tx *store.Tx) ([]Mismatch, error) {
	var out []Mismatch
	for _, q := range []struct{ what, sql string }{
		{"does not balance", `SELECT name, CAST(sum(amount) AS BIGINT) FROM ledger_entry WHERE tenant = $1 GROUP BY name HAVING sum(amount) <> 0`},
		{"has no entries", `SELECT t.name, 0 FROM ledger_transaction t LEFT JOIN ledger_entry e ON e.tenant = t.tenant AND e.name = t.name AND e.line = 0
			WHERE t.tenant = $1 AND e.name IS NULL`},
		{"is not what its entries are", `SELECT e.name, e.amount FROM ledger_entry e LEFT JOIN ledger_transaction t ON t.tenant = e.tenant AND t.name = e.name
			WHERE e.tenant = $1 AND (t.name IS NULL OR t.entity <> e.entity OR t.currency <> e.currency OR t.on_date <> e.on_date)`},
		{"was closed with other sums", `SELECT c.closed_to || ' ' || c.entity || ' ' || c.account, c.amount - coalesce((SELECT CAST(sum(e.amount) AS BIGINT) FROM ledger_entry e
			WHERE e.tenant = c.tenant AND e.entity = c.entity AND e.currency = c.currency AND e.account = c.account AND e.on_date <= c.closed_to), 0)
			FROM ledger_closing c WHERE c.tenant = $1 AND c.amount <> coalesce((SELECT CAST(sum(e.amount) AS BIGINT) FROM ledger_entry e
			WHERE e.tenant = c.tenant AND e.entity = c.entity AND e.currency = c.currency AND e.account = c.account AND e.on_date <= c.closed_to), 0)`},
	} {
		rows, err := tx.Query(q.sql)
		found, err := store.Collect(rows, err, func(r store.Rows) (Mismatch, error) {
			m := Mismatch{What: q.what}
			return m, r.Scan(&m.Name, &m.Left)
		})
		if err != nil {
			return nil, err
		}
		out = append(out, found...)
	}
	return out, nil
}
