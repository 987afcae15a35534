package order

import "tandem/kit/store"

// UnderWay tells whether the network still works on what an order asks of a product.
func UnderWay(tx *store.Tx, product string) (bool, error) {
	var open int64
	err := tx.Row("SELECT count(*) FROM order_line WHERE tenant = $1 AND product = $2 AND state = 'open'", product).Scan(&open)
	return open > 0, err
}
