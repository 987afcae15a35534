package charging

import "tandem/kit/store"

const (
	anyCase = "SELECT 1 FROM charging_case WHERE tenant = $1 AND state IN ('open', 'recycling') LIMIT 1"
	casesOf = `SELECT a.billing_account, count(*) FROM charging_case c
		JOIN charging_line l ON l.tenant = c.tenant AND l.e164 = (c.doc ->> 'msisdn') JOIN charging_account a ON a.tenant = l.tenant AND a.number = l.account
		WHERE c.tenant = $1 AND c.state IN ('open', 'recycling') AND (c.doc ->> 'msisdn') <> '' AND a.billing_account IN (`
)

// SuspendedOf counts, by billing account, the open cases of lines that are known: usage that
// could not be charged and will be on a later bill. An account without any is not in it.
func SuspendedOf(tx *store.Tx, accounts []string) (map[string]int64, error) {
	out := map[string]int64{}
	var one int64
	err := tx.Row(anyCase).Scan(&one)
	if err == store.ErrNotFound || len(accounts) == 0 {
		return out, nil
	}
	if err != nil {
		return nil, err
	}
	args := store.Padded(accounts)
	rows, err := tx.Query(casesOf+store.In(2, len(args))+") GROUP BY a.billing_account", args...)
	_, err = store.Collect(rows, err, func(r store.Rows) (n int64, err error) {
		var account string
		err = r.Scan(&account, &n)
		out[account] = n
		return n, err
	})
	return out, err
}
