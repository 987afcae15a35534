package subscription

import (
	"fmt"

	"tandem/kit/store"
)

// Mismatch says in words in what the product contradicts what it heard of its
// services, "" if in nothing.
func (p *Product) Mismatch() string {
	if is := p.network(); (p.Status == Created || p.Status == PendingActive) && (is == Active || is == Suspended) {
		return fmt.Sprintf("is %s, but all its services were confirmed", p.Status)
	}
	return p.mismatch()
}

// Network is what the services together say of the product: active, suspended,
// terminated, or "" if it never ran as a whole.
func (p *Product) Network() string { return p.network() }

// Live says that something of the product runs in the network, or is barred there.
func (p *Product) Live() bool { return live(p.Status) }

// Statuses are the statuses of up to a few hundred products by id; one that is
// not there is missing.
func Statuses(tx *store.Tx, ids []string) (map[string]string, error) {
	out := map[string]string{}
	if len(ids) == 0 {
		return out, nil
	}
	args := make([]any, len(ids))
	for i, id := range ids {
		args[i] = id
	}
	// rev is in no index of the status: SQLite would rather read all of such an
	// index than look up some ids.
	rows, err := tx.Query("SELECT id, a_status, rev FROM subscription_product WHERE tenant = $1 AND id IN ("+store.In(2, len(args))+")", args...)
	_, err = store.Collect(rows, err, func(r store.Rows) (id string, err error) {
		var status string
		var rev int64
		err = r.Scan(&id, &status, &rev)
		out[id] = status
		return id, err
	})
	return out, err
}
