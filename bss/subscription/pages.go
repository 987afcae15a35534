package subscription

import (
	"tandem/kit/store"
	"tandem/kit/tmf"
)

// After is a page of the tenant's products behind an id, by id: for reading only.
func After(tx *store.Tx, after string, limit int) ([]*Product, error) {
	rows, err := tx.Query("SELECT doc FROM subscription_product WHERE tenant = $1 AND id > $2 ORDER BY id LIMIT $3", after, int64(limit))
	return store.Collect(rows, err, func(r store.Rows) (*Product, error) {
		var doc []byte
		if err := r.Scan(&doc); err != nil {
			return nil, err
		}
		p := &Product{}
		return p, tmf.Decode(doc, p)
	})
}
