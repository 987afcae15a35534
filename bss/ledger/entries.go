package ledger

import "tandem/kit/store"

// EntriesOf reads the entries of up to a few hundred transactions by their names, in the
// order in which they were booked. A transaction that is not there has none.
func EntriesOf(tx *store.Tx, names []string) (map[string][]Entry, error) {
	out := map[string][]Entry{}
	if len(names) == 0 {
		return out, nil
	}
	args := store.Padded(names)
	rows, err := tx.Query("SELECT name, account, party, amount FROM ledger_entry WHERE tenant = $1 AND name IN ("+store.In(2, len(args))+") ORDER BY name, line", args...)
	_, err = store.Collect(rows, err, func(r store.Rows) (e Entry, err error) {
		var name string
		err = r.Scan(&name, &e.Account, &e.Party, &e.Amount)
		out[name] = append(out[name], e)
		return e, err
	})
	return out, err
}
