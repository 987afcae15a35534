package fulfilment

import (
	"tandem/kit/store"
	"tandem/kit/tmf"
)

// OpenFallouts is a page of the fallouts that wait for a person, behind an id, by id: for
// reading only.
func OpenFallouts(tx *store.Tx, after string, limit int) ([]*Fallout, error) {
	rows, err := tx.Query("SELECT doc FROM fulfilment_fallout WHERE tenant = $1 AND a_state = 'open' AND id > $2 ORDER BY id LIMIT $3", after, int64(limit))
	return store.Collect(rows, err, func(r store.Rows) (*Fallout, error) {
		var doc []byte
		if err := r.Scan(&doc); err != nil {
			return nil, err
		}
		f := &Fallout{}
		return f, tmf.Decode(doc, f)
	})
}
