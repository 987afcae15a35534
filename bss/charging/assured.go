package charging

import (
	"context"
	"math/big"
	"time"

	"tandem/bss/rating"
	"tandem/kit/money"
	"tandem/kit/store"
)

// This file has what revenue assurance asks of the room.

// Suspense is usage of one source and reason that could not be charged, and waits.
type Suspense struct {
	Source, Reason string
	Cases          int64
	Oldest         time.Time
}

// SuspenseByReason is what waits, by source and reason.
func SuspenseByReason(tx *store.Tx) ([]Suspense, error) {
	rows, err := tx.Query("SELECT source, reason, count(*), min(at) FROM charging_case WHERE tenant = $1 AND state IN ('open', 'recycling') GROUP BY source, reason ORDER BY source, reason")
	return store.Collect(rows, err, func(r store.Rows) (s Suspense, err error) {
		var at int64
		err = r.Scan(&s.Source, &s.Reason, &s.Cases, &at)
		s.Oldest = store.Instant(at)
		return s, err
	})
}

const meanOf = 100_000 // rows of usage, the newest

// MeanRecord is what a record of usage is charged with on average, by the newest, in the
// currency of most of them; the zero rate if there are none.
func MeanRecord(tx *store.Tx) (money.Rate, error) {
	return mean(tx, `SELECT a.currency, CAST(sum(u.money) AS BIGINT), CAST(sum(u.records) AS BIGINT) FROM charging_usage u JOIN charging_account a ON a.tenant = u.tenant AND a.number = u.account
		WHERE u.tenant = $1 AND u.number > coalesce((SELECT max(number) FROM charging_usage WHERE tenant = $1), 0) - $2 GROUP BY a.currency ORDER BY sum(u.records) DESC LIMIT 1`, int64(meanOf))
}

// MeanFile is what the records of a file of a source are charged with on average, by its
// newest files; the zero rate if there are none.
func MeanFile(tx *store.Tx, source string) (money.Rate, error) {
	return mean(tx, `SELECT a.currency, CAST(sum(u.money) AS BIGINT), count(DISTINCT u.file) FROM charging_usage u JOIN charging_account a ON a.tenant = u.tenant AND a.number = u.account
		WHERE u.tenant = $1 AND u.file IN (SELECT number FROM charging_file WHERE tenant = $1 AND source = $2 AND state = 'taken' ORDER BY number DESC LIMIT 100)
		GROUP BY a.currency ORDER BY count(*) DESC LIMIT 1`, source)
}

// mean reads a currency, a sum and a count.
func mean(tx *store.Tx, sql string, args ...any) (m money.Rate, err error) {
	var code string
	var sum, n int64
	err = tx.Row(sql, args...).Scan(&code, &sum, &n)
	if err == store.ErrNotFound || err == nil && (code == "" || n == 0) {
		return m, nil
	}
	if err != nil {
		return m, err
	}
	if m.Currency, err = money.ParseCurrency(code); err != nil {
		return m, err
	}
	m.Nano = sum
	return m.MulRat(1, n, money.HalfEven)
}

// Twice is usage that was charged more than once: the same part of the same session, for
// the same rating group, at the same instants.
type Twice struct {
	Session  string
	Customer string
	Times    int64
	Over     money.Rate // what was charged beyond the first
	At       time.Time
}

// ChargedTwice are the sessions of the newest usage that were charged more than once, at
// most limit. Usage that came by file is told apart when it is taken.
func ChargedTwice(tx *store.Tx, limit int) ([]Twice, error) {
	rows, err := tx.Query(`SELECT u.session, a.customer, a.currency, count(*), CAST(sum(u.money) - max(u.money) AS BIGINT), max(u.at) FROM charging_usage u
		JOIN charging_account a ON a.tenant = u.tenant AND a.number = u.account
		WHERE u.tenant = $1 AND u.file = 0 AND u.session <> '' AND u.number > coalesce((SELECT max(number) FROM charging_usage WHERE tenant = $1), 0) - $2
		GROUP BY u.account, u.session, u.part, u.rating_group, u.first_at, u.last_at, u.octets, u.seconds, u.events, a.customer, a.currency HAVING count(*) > 1
		ORDER BY u.session LIMIT $3`, int64(meanOf), int64(limit))
	return store.Collect(rows, err, func(r store.Rows) (t Twice, err error) {
		var code string
		var at int64
		if err = r.Scan(&t.Session, &t.Customer, &code, &t.Times, &t.Over.Nano, &at); err != nil {
			return t, err
		}
		t.At = store.Instant(at)
		if code != "" {
			t.Over.Currency, err = money.ParseCurrency(code)
		}
		return t, err
	})
}

// WrongCharge is a record of usage that was charged otherwise than its tariff says.
type WrongCharge struct {
	Words string
	Off   money.Rate // charged less what it costs: below zero, too little was charged
}

// AuditCharges prices the usage of a tenant that is in the journal anew, from the words of
// the tariffs and with exact fractions, in code of its own, and hands found what was charged
// otherwise. Unjudged is what depends on more than the units of one rate.
func (r *Room) AuditCharges(ctx context.Context, tenant string, found func(WrongCharge) error) (Audited, error) {
	a := r.newAudit(func(string, string) error { return nil })
	if err := r.readShelves(ctx); err != nil {
		return a.sum, err
	}
	a.wrong = func(plan rating.Plan, charged int64, want *big.Int, words string) error {
		w := WrongCharge{Words: words}
		c, err := money.ParseCurrency(plan.Currency)
		if off := new(big.Int).Sub(big.NewInt(charged), want); err == nil && off.IsInt64() {
			w.Off = money.Rate{Nano: off.Int64(), Currency: c}
		}
		return found(w)
	}
	if err := a.prepare(ctx, tenant); err != nil {
		return a.sum, err
	}
	last := int64(0)
	for _, upto := range a.upto {
		last = max(last, upto)
	}
	err := a.scan(ctx, last)
	return a.sum, err
}
