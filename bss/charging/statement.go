package charging

import (
	"time"

	"tandem/kit/fault"
	"tandem/kit/store"
	"tandem/kit/tmf"
)

// BalanceStatement is what was in the buckets of an account at an instant, and what
// came and went since an earlier one: by the ledger, which is exact to the second.
type BalanceStatement struct {
	tmf.Entity
	BalanceBucket   *tmf.Ref         `json:"bucket,omitzero"` // one of these says whose; a bucket: this one only
	Product         *tmf.Ref         `json:"product,omitzero"`
	LogicalResource *tmf.Ref         `json:"logicalResource,omitzero"`
	PartyAccount    *tmf.Ref         `json:"partyAccount,omitzero"`
	From            time.Time        `json:"from,omitzero"` // entries since; none: no entries
	At              time.Time        `json:"at,omitzero"`   // none: now
	Balance         []StatedBalance  `json:"balance,omitzero"`
	Entry           []StatementEntry `json:"entry,omitzero"`
}

// StatedBalance is a bucket in a statement.
type StatedBalance struct {
	ID      string        `json:"id,omitzero"`
	Name    string        `json:"name,omitzero"`
	Opening *tmf.Quantity `json:"opening,omitzero"` // at From, if there is one
	Value   *tmf.Quantity `json:"value,omitzero"`   // at At
	tmf.Extension
}

// StatementEntry is what a bucket gained, or lost, and against what.
type StatementEntry struct {
	Bucket  string        `json:"bucket,omitzero"`
	Date    time.Time     `json:"date,omitzero"`
	Against string        `json:"against,omitzero"` // usage, topUp, voucher, adjustment, transfer ...
	Ref     string        `json:"ref,omitzero"`
	Amount  *tmf.Quantity `json:"amount,omitzero"`
	tmf.Extension
}

// Statements are those that were asked for.
var Statements = tmf.Kind[BalanceStatement, *BalanceStatement]{
	API: &OwnAPI, Name: "balanceStatement", Table: "charging_statement", Verbs: tmf.Task, Index: []string{"at"},
}

const maxStated = 1000 // entries of a statement

func postStatement(tx *store.Tx, s *BalanceStatement) error {
	r, err := roomOf(tx)
	if err != nil {
		return err
	}
	if err := s.period(tx); err != nil {
		return err
	}
	only := int64(0)
	var a account
	if s.BalanceBucket != nil {
		var id string
		var ok bool
		if id, only, ok = splitBucketID(s.BalanceBucket.ID); ok {
			a, err = oneAccount(tx, "id = $2", id)
		}
		if !ok || err == store.ErrNotFound {
			return fault.BadInput("unknownBucket", "There is no bucket with id %q", s.BalanceBucket.ID)
		}
	} else {
		a, err = whose(tx, where{nil, s.Product, s.LogicalResource, s.PartyAccount})
	}
	if err != nil {
		return err
	}
	s.Balance, s.Entry = nil, nil
	if err := r.state(tx, s, a, only, 0); err != nil {
		return err
	}
	return Statements.Create(tx, s)
}

// period completes what a statement is of.
func (s *BalanceStatement) period(tx *store.Tx) error {
	if s.At.IsZero() {
		s.At = tx.Now()
	}
	if s.At.After(tx.Now()) || !s.From.IsZero() && !s.From.Before(s.At) {
		return fault.BadInput("invalidPeriod", "at is not in the future, and from is before it")
	}
	return nil
}

// StatementOfLine is the statement of the buckets that a product uses: its own, and
// those of the whole account. It is not kept.
func StatementOfLine(tx *store.Tx, product string, from, at time.Time) (*BalanceStatement, error) {
	r, err := roomOf(tx)
	if err != nil {
		return nil, err
	}
	l, err := lineOf(tx, product)
	if err == store.ErrNotFound {
		err = fault.Missing("line", product)
	}
	if err != nil {
		return nil, err
	}
	a, err := oneAccount(tx, "number = $2", l.Account)
	if err != nil {
		return nil, err
	}
	s := &BalanceStatement{From: from, At: at}
	if err := s.period(tx); err != nil {
		return nil, err
	}
	return s, r.state(tx, s, a, 0, l.Subscriber)
}

const (
	statedBuckets = `SELECT b.bucket, b.unit, b.definition, coalesce((SELECT sum(amount) FROM charging_entry e WHERE e.tenant = $1 AND e.account = $2 AND e.bucket = b.bucket AND e.at < $3), 0),
		coalesce((SELECT sum(amount) FROM charging_entry e WHERE e.tenant = $1 AND e.account = $2 AND e.bucket = b.bucket AND e.at <= $4), 0)
		FROM charging_bucket b WHERE b.tenant = $1 AND b.account = $2 AND b.made_at <= $4 AND (b.ended_at IS NULL OR b.ended_at > $5) AND (b.bucket = $6 OR $6 = 0)
		AND (b.owner = $7 OR b.owner = 0 OR $7 = 0) ORDER BY b.bucket`
	statedEntries = `SELECT e.bucket, b.unit, e.against, e.ref, e.amount, e.at FROM charging_entry e JOIN charging_bucket b ON b.tenant = e.tenant AND b.account = e.account AND b.bucket = e.bucket
		WHERE e.tenant = $1 AND e.account = $2 AND e.at >= $3 AND e.at <= $4 AND (e.bucket = $5 OR $5 = 0)
		AND (b.owner = $6 OR b.owner = 0 OR $6 = 0) ORDER BY e.number LIMIT $7`
)

// state fills in what the ledger says: of one bucket, or of those that a subscriber
// may use; 0: of all.
func (r *Room) state(tx *store.Tx, s *BalanceStatement, a account, only, sub int64) error {
	at, from := store.Micros(s.At), store.Micros(s.From)
	since := at // a bucket that has ended since is in a statement of a period
	if from != 0 {
		since = from
	}
	var definitions []int64
	rows, err := tx.Query(statedBuckets, a.Number, from, at, since, only, sub)
	s.Balance, err = store.Collect(rows, err, func(r store.Rows) (b StatedBalance, err error) {
		var bucket, definition, opening, value int64
		var unit string
		err = r.Scan(&bucket, &unit, &definition, &opening, &value)
		definitions = append(definitions, definition)
		b.ID, b.Value = bucketID(a.ID, bucket), quantity(value, unit, a.Currency)
		if from != 0 {
			b.Opening = quantity(opening, unit, a.Currency)
		}
		return b, err
	})
	if err != nil {
		return err
	}
	for i, id := range definitions {
		d, err := r.definition(tx, id)
		if err != nil {
			return err
		}
		if d != nil {
			s.Balance[i].Name = d.Name
		}
	}
	if from == 0 {
		return nil
	}
	rows, err = tx.Query(statedEntries, a.Number, from, at, only, sub, maxStated+1)
	s.Entry, err = store.Collect(rows, err, func(r store.Rows) (e StatementEntry, err error) {
		var bucket, amount, at int64
		var unit string
		err = r.Scan(&bucket, &unit, &e.Against, &e.Ref, &amount, &at)
		e.Bucket, e.Date, e.Amount = bucketID(a.ID, bucket), store.Instant(at), quantity(amount, unit, a.Currency)
		return e, err
	})
	if err == nil && len(s.Entry) > maxStated {
		err = fault.BadInput("tooBroad", "There are more than %d entries; ask for a shorter period", maxStated)
	}
	return err
}
