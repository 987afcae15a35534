package receivable

import (
	"time"

	"tandem/bss/subscription"
	"tandem/kit/fault"
	"tandem/kit/store"
)

// This file has what revenue assurance asks of the room: its sets by key, a page at a time.

// CurrencyOf is the currency of a claim, a payment or what an account owes; "" if there is
// no such thing.
func CurrencyOf(tx *store.Tx, id string) (code string, err error) {
	err = tx.Row(`SELECT currency FROM (SELECT currency FROM receivable_claim WHERE tenant = $1 AND id = $2
		UNION ALL SELECT currency FROM receivable_payment WHERE tenant = $1 AND id = $2
		UNION ALL SELECT currency FROM receivable_claim WHERE tenant = $1 AND account = $2
		UNION ALL SELECT currency FROM receivable_payment WHERE tenant = $1 AND account = $2) AS named LIMIT 1`, id).Scan(&code)
	if err == store.ErrNotFound {
		return "", nil
	}
	return code, err
}

// Unused is money that came in and pays nothing: a payment with an open part while its
// account owes something, or an entry of a bank statement that nobody has assigned.
type Unused struct {
	ID, Account, Currency string
	Bank                  bool // it is a bank entry
	Amount                int64
	At                    time.Time
}

// UnusedAfter is a page of money that pays nothing, behind an id, by id.
func UnusedAfter(tx *store.Tx, after string, limit int) ([]Unused, error) {
	rows, err := tx.Query(`SELECT id, account, currency, bank, amount, at FROM (
		SELECT p.id AS id, p.account AS account, p.currency AS currency, 0 AS bank, p.open AS amount, p.at AS at FROM receivable_payment p WHERE p.tenant = $1 AND p.id > $2 AND p.open > 0
			AND EXISTS (SELECT 1 FROM receivable_claim c WHERE c.tenant = p.tenant AND c.account = p.account AND c.currency = p.currency AND c.open > 0
				AND NOT EXISTS (SELECT 1 FROM receivable_dispute d WHERE d.tenant = c.tenant AND d.claim = c.id AND d.settled_at IS NULL))
		UNION ALL SELECT e.id, e.account, e.currency, 1, e.amount, e.at FROM receivable_bank_entry e WHERE e.tenant = $1 AND e.id > $2 AND e.state = 'open' AND e.amount > 0) AS unused
		ORDER BY id LIMIT $3`, after, int64(limit))
	return store.Collect(rows, err, func(r store.Rows) (u Unused, err error) {
		var bank, at int64
		err = r.Scan(&u.ID, &u.Account, &u.Currency, &bank, &u.Amount, &at)
		u.Bank, u.At = bank == 1, store.Instant(at)
		return u, err
	})
}

// Barring is an account whose lines are to be barred for debt, or one of whose lines is
// or was barred for it, with what stands otherwise than its ladder says.
type Barring struct {
	Account string
	Barred  bool      // its lines are to be barred
	Since   time.Time // the ladder says so, or the bar was ordered
	Running []string  // lines that run though they are to be barred
	Held    []string  // lines that are barred for debt though they are not to be
}

// BarringAfter is a page of the accounts whose lines are or were barred for debt, behind an
// id, by id.
func BarringAfter(tx *store.Tx, after string, limit int) ([]Barring, error) {
	rows, err := tx.Query(`SELECT a.account, coalesce(d.barred, 0), coalesce((SELECT max(x.at) FROM receivable_action x WHERE x.tenant = $1 AND x.account = a.account AND x.action = 'bar'), 0),
		coalesce((SELECT max(b.at) FROM receivable_bar b WHERE b.tenant = $1 AND b.account = a.account AND b.state <> 'lifted'), 0) FROM (
			SELECT account FROM receivable_dunning WHERE tenant = $1 AND barred = 1 AND account > $2
			UNION SELECT account FROM receivable_bar WHERE tenant = $1 AND state <> 'lifted' AND account > $2) AS a
		LEFT JOIN receivable_dunning d ON d.tenant = $1 AND d.account = a.account ORDER BY a.account LIMIT $3`, after, int64(limit))
	out, err := store.Collect(rows, err, func(r store.Rows) (b Barring, err error) {
		var barred, acted, ordered int64
		err = r.Scan(&b.Account, &barred, &acted, &ordered)
		b.Barred, b.Since = barred == 1, store.Instant(ordered)
		if b.Barred {
			b.Since = store.Instant(max(acted, 1))
		}
		return b, err
	})
	if err != nil {
		return nil, err
	}
	for i := range out {
		if err := out[i].compare(tx); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// compare finds the lines of an account that do not stand as the ladder says.
func (b *Barring) compare(tx *store.Tx) error {
	if b.Barred {
		lines, err := linesOf(tx, b.Account)
		for _, p := range lines {
			if p.Network() == subscription.Active && p.Status == subscription.Active {
				b.Running = append(b.Running, p.ID)
			}
		}
		return err
	}
	bars, err := barsOf(tx, b.Account)
	if err != nil {
		return err
	}
	for id, bar := range bars {
		if bar.state == lifted {
			continue
		}
		p, err := subscription.Get(tx, id)
		if fault.Is(err, fault.NotFound) {
			continue
		}
		if err != nil {
			return err
		}
		if p.Status == subscription.Suspended {
			b.Held = append(b.Held, id)
		}
	}
	return nil
}
