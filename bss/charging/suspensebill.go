package charging

import "tandem/kit/store"

const (
	anyCase = "SELECT 1 FROM charging_case WHERE tenant = $1 AND state IN ('open', 'recycling') LIMIT 1"
	casesOf = `SELECT a.billing_account, a.customer, count(*) FROM charging_case c
		JOIN charging_line l ON l.tenant = c.tenant AND l.e164 = (c.doc ->> 'msisdn') JOIN charging_account a ON a.tenant = l.tenant AND a.number = l.account
		WHERE c.tenant = $1 AND c.state IN ('open', 'recycling') AND (c.doc ->> 'msisdn') <> '' AND `
)

// SuspendedOf counts, by billing account, the open cases of lines that are known: usage that
// could not be charged and will be on a later bill. It is asked of accounts with the customer
// whose usual account each is, "" for nobody's: cases of his wallets that name no account are
// counted there. An account without any is not in the answer.
func SuspendedOf(tx *store.Tx, accounts map[string]string) (map[string]int64, error) {
	out := map[string]int64{}
	var one int64
	err := tx.Row(anyCase).Scan(&one)
	if err == store.ErrNotFound || len(accounts) == 0 {
		return out, nil
	}
	if err != nil {
		return nil, err
	}
	var names, customers []string
	usual := map[string]string{}
	for account, customer := range accounts {
		names = append(names, account)
		if customer != "" {
			customers, usual[customer] = append(customers, customer), account
		}
	}
	count := func(where string, args []any) error {
		if len(args) == 0 {
			return nil
		}
		rows, err := tx.Query(casesOf+where+store.In(2, len(args))+") GROUP BY a.billing_account, a.customer", args...)
		_, err = store.Collect(rows, err, func(r store.Rows) (n int64, err error) {
			var account, customer string
			err = r.Scan(&account, &customer, &n)
			if account == "" {
				account = usual[customer]
			}
			out[account] += n
			return n, err
		})
		return err
	}
	if err := count("a.billing_account IN (", store.Padded(names)); err != nil {
		return nil, err
	}
	return out, count("a.billing_account = '' AND a.customer IN (", store.Padded(customers))
}
