package billing

import (
	"time"

	"tandem/kit/store"
)

// This file has what shows revenue assurance that something was made good.

// LinesSince says of items that bills have lines of, which were posted from an instant on or
// are drafts: whether all of the lines are posted.
func LinesSince(tx *store.Tx, items []string, from time.Time) (posted map[string]bool, err error) {
	posted = map[string]bool{}
	if len(items) == 0 {
		return posted, nil
	}
	args := []any{store.Micros(from)}
	for _, i := range items {
		args = append(args, i)
	}
	rows, err := tx.Query(`SELECT b.item, min(CASE WHEN p.bill IS NULL THEN 0 ELSE 1 END) FROM billing_billed b LEFT JOIN billing_posted p ON p.tenant = b.tenant AND p.bill = b.bill
		WHERE b.tenant = $1 AND (p.bill IS NULL OR p.posted_at >= $2) AND b.item IN (`+store.In(3, len(items))+`) GROUP BY b.item`, args...)
	_, err = store.Collect(rows, err, func(r store.Rows) (item string, err error) {
		var all int64
		err = r.Scan(&item, &all)
		posted[item] = all == 1
		return item, err
	})
	return posted, err
}

// WasPosted says that a bill was posted.
func WasPosted(tx *store.Tx, bill string) (bool, error) {
	var n int64
	err := tx.Row("SELECT count(*) FROM billing_posted WHERE tenant = $1 AND bill = $2", bill).Scan(&n)
	return n > 0, err
}
