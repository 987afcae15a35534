package access

import (
	"context"

	"tandem/kit/store"
)

// Tenants are all operator brands of the store, by id: for what has to look at
// everybody's data, such as an audit.
func Tenants(ctx context.Context, db *store.DB) (all []Tenant, err error) {
	err = db.Read(ctx, store.Scope{}, func(tx *store.Tx) error {
		rows, err := tx.System().Query("SELECT tenant, name, role, status, created_at FROM access_tenant ORDER BY tenant")
		all, err = store.Collect(rows, err, scanTenant)
		return err
	})
	return all, err
}

// Host reports whether the caller belongs to a host, who may see beyond its own
// tenant where a route says so.
func (c *Caller) Host() bool { return c.host }
