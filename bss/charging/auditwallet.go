package charging

import (
	"context"

	"tandem/bss/charging/core"
	"tandem/kit/money"
	"tandem/kit/store"
)

// WalletFault is an account whose balances are not what its entries add up to.
type WalletFault struct {
	Account, Customer, BillingAccount string
	Words                             string
	// Money is by how much its buckets of money differ, added up without signs; the zero
	// rate if they do not, or the account has no currency.
	Money money.Rate
}

// AuditWallets is AuditBalances with the money that is at stake: opening and what came,
// less what went, against what is there.
func (r *Room) AuditWallets(ctx context.Context, tenant string, found func(WalletFault) error) (judged int64, err error) {
	return r.auditBalances(ctx, tenant, func(a *audited, words string) error {
		f := WalletFault{Account: a.ID, Customer: a.Customer, BillingAccount: a.BillingAccount, Words: words}
		c, err := money.ParseCurrency(a.Currency)
		if err != nil {
			return found(f)
		}
		buckets, err := r.moneyBuckets(ctx, tenant, a.Number)
		if err != nil {
			return err
		}
		f.Money.Currency = c
		for _, b := range buckets {
			d := a.has[b] - a.booked[b]
			f.Money.Nano += max(d, -d)
		}
		return found(f)
	})
}

// moneyBuckets are the buckets of an account that hold money, the ended ones too.
func (r *Room) moneyBuckets(ctx context.Context, tenant string, account int64) (out []int64, err error) {
	err = r.read(ctx, tenant, func(tx *store.Tx) error {
		rows, err := tx.Query("SELECT bucket FROM charging_bucket WHERE tenant = $1 AND account = $2 AND unit = $3", account, core.Money.String())
		out, err = store.Collect(rows, err, func(r store.Rows) (b int64, err error) { return b, r.Scan(&b) })
		return err
	})
	return out, err
}
