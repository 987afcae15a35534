package ledger

import "tandem/kit/store"

const readNames = "SELECT name FROM ledger_transaction WHERE tenant = $1 AND name > $2 AND name < $3 AND reverses = '' ORDER BY name LIMIT $4"

// NamesOf is a page of the names of transactions that book things of a sort, such as "bill/":
// those behind a name, in order. Reversals are not among them.
func NamesOf(tx *store.Tx, sort, after string, limit int) ([]string, error) {
	rows, err := tx.Query(readNames, max(sort, after), sort+"\U0010ffff", int64(limit))
	return store.Collect(rows, err, store.Text)
}
