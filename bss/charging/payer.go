package charging

import (
	"slices"
	"time"

	"tandem/kit/store"
)

// tenure is a time in which a wallet was billed on one billing account; "": on the usual one
// of its customer, since it named none. Instants are microseconds.
type tenure struct {
	payer    string
	from, to int64 // to is not in it
}

const (
	longAgo = -1 << 62
	never   = 1<<62 - 1
)

const (
	anyPayer     = "SELECT 1 FROM charging_payer WHERE tenant = $1 LIMIT 1"
	formerPayers = "SELECT account, until_at, billing_account FROM charging_payer WHERE tenant = $1 AND account IN ("
	lastPayer    = "SELECT coalesce(max(until_at), 0) FROM charging_payer WHERE tenant = $1 AND account = $2"
	addPayer     = `INSERT INTO charging_payer (tenant, account, until_at, billing_account) VALUES ($1, $2, $3, $4)
		ON CONFLICT (tenant, account, until_at) DO NOTHING`
	setPayer = "UPDATE charging_account SET billing_account = $3 WHERE tenant = $1 AND number = $2"
)

// movePayer hears that a product is billed on an account from an instant on. Its wallet goes
// with it: what was used before stays with who paid then. A product that draws on another
// one's wallet moves nothing; no account named is no news.
func movePayer(tx *store.Tx, product, to string, at time.Time) error {
	if to == "" {
		return nil
	}
	a, err := oneAccount(tx, "id = $2", product)
	if err == store.ErrNotFound || err == nil && a.BillingAccount == to {
		return nil
	}
	if err != nil {
		return err
	}
	var last int64
	if err := tx.Row(lastPayer, a.Number).Scan(&last); err != nil {
		return err
	}
	if _, err := tx.Exec(addPayer, a.Number, max(store.Micros(at), last), a.BillingAccount); err != nil {
		return err
	}
	_, err = tx.Exec(setPayer, a.Number, to)
	return err
}

// anyMoved says whether some wallet of the tenant was billed elsewhere once: mostly none was.
func anyMoved(tx *store.Tx) (bool, error) {
	var one int64
	err := tx.Row(anyPayer).Scan(&one)
	if err == store.ErrNotFound {
		return false, nil
	}
	return err == nil, err
}

// tenures are the times of wallets by who paid for them, in order; the last one has no end.
// moves: see anyMoved.
func tenures(tx *store.Tx, wallets []account, moves bool) (map[int64][]tenure, error) {
	out := map[int64][]tenure{}
	if moves {
		args := make([]any, len(wallets))
		for i, w := range wallets {
			args[i] = w.Number
		}
		rows, err := tx.Query(formerPayers+store.In(2, len(args))+") ORDER BY account, until_at", args...)
		if _, err := store.Collect(rows, err, func(r store.Rows) (t tenure, err error) {
			var number int64
			err = r.Scan(&number, &t.to, &t.payer)
			t.from = begun(out[number])
			out[number] = append(out[number], t)
			return t, err
		}); err != nil {
			return nil, err
		}
	}
	for _, w := range wallets {
		out[w.Number] = append(out[w.Number], tenure{w.BillingAccount, begun(out[w.Number]), never})
	}
	return out, nil
}

// begun is when the tenure after some begins.
func begun(before []tenure) int64 {
	if n := len(before); n > 0 {
		return before[n-1].to
	}
	return longAgo
}

// paidBy says whether a wallet was billed on an account at an instant.
func paidBy(list []tenure, at int64, account string) bool {
	i := slices.IndexFunc(list, func(t tenure) bool { return at < t.to })
	return i >= 0 && list[i].payer == account
}
