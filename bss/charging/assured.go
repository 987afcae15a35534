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

// Twice is a session that was charged more than once: the same parts of it, for the same
// rating groups, at the same instants.
type Twice struct {
	Session  string
	Customer string
	Again    int64      // charges beyond the first of each
	Over     money.Rate // what was charged by them
	At       time.Time
}

// ChargedTwice are the sessions of the newest usage that were charged more than once, at
// most limit. Usage that came by file is told apart when it is taken.
func ChargedTwice(tx *store.Tx, limit int) ([]Twice, error) {
	rows, err := tx.Query(`SELECT session, customer, currency, CAST(sum(n - 1) AS BIGINT), CAST(sum(extra) AS BIGINT), max(at) FROM (
		SELECT u.session AS session, a.customer AS customer, a.currency AS currency, count(*) AS n, sum(u.money) - max(u.money) AS extra, max(u.at) AS at FROM charging_usage u
		JOIN charging_account a ON a.tenant = u.tenant AND a.number = u.account
		WHERE u.tenant = $1 AND u.file = 0 AND u.session <> '' AND u.number > coalesce((SELECT max(number) FROM charging_usage WHERE tenant = $1), 0) - $2
		GROUP BY u.account, u.session, u.part, u.rating_group, u.first_at, u.last_at, u.octets, u.seconds, u.events, a.customer, a.currency HAVING count(*) > 1) AS parts
		GROUP BY session, customer, currency ORDER BY session, customer, currency LIMIT $3`, int64(meanOf), int64(limit))
	return store.Collect(rows, err, func(r store.Rows) (t Twice, err error) {
		var code string
		var at int64
		if err = r.Scan(&t.Session, &t.Customer, &code, &t.Again, &t.Over.Nano, &at); err != nil {
			return t, err
		}
		t.At = store.Instant(at)
		if code != "" {
			t.Over.Currency, err = money.ParseCurrency(code)
		}
		return t, err
	})
}

// Lacking are the sequence numbers between two files of a source that came.
type Lacking struct {
	Gap
	At time.Time // the file behind them came
}

// MissingFiles are the sequence numbers that are missing now, at most limit gaps.
func MissingFiles(tx *store.Tx, limit int) ([]Lacking, error) {
	rows, err := tx.Query(`SELECT source, was, sequence, seen_at FROM (SELECT source, sequence, seen_at, lag(sequence) OVER (PARTITION BY source ORDER BY sequence) AS was
		FROM charging_file WHERE tenant = $1 AND sequence >= 0 AND state = 'taken') AS runs WHERE sequence > was + 1 ORDER BY source, sequence LIMIT $2`, int64(limit))
	return store.Collect(rows, err, func(r store.Rows) (g Lacking, err error) {
		var at int64
		err = r.Scan(&g.Source, &g.From, &g.To, &at)
		g.From, g.To, g.At = g.From+1, g.To-1, store.Instant(at)
		return g, err
	})
}

// FilesCame counts the files of a source that were taken, from one sequence number to
// another.
func FilesCame(tx *store.Tx, source string, from, to int64) (n int64, err error) {
	err = tx.Row("SELECT count(*) FROM charging_file WHERE tenant = $1 AND source = $2 AND sequence BETWEEN $3 AND $4 AND state = 'taken'", source, from, to).Scan(&n)
	return n, err
}

// CasesSince counts usage of a source and reason that could not be charged, and that waits
// or was dealt with since an instant: what was charged of it, and all.
func CasesSince(tx *store.Tx, source, reason string, since time.Time) (charged, all int64, err error) {
	err = tx.Row(`SELECT CAST(coalesce(sum(CASE WHEN state = 'charged' THEN 1 ELSE 0 END), 0) AS BIGINT), count(*) FROM charging_case
		WHERE tenant = $1 AND source = $2 AND (reason = $3 OR first_reason = $3) AND (state IN ('open', 'recycling') OR changed_at >= $4)`,
		source, reason, store.Micros(since)).Scan(&charged, &all)
	return charged, all, err
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
