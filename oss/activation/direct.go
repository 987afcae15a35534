package activation

import (
	"context"

	"tandem/kit/store"
	"tandem/oss/activation/driver"
)

// Direct is a service that an integrator activated on an element.
type Direct struct {
	Service string
	Element string
	Desired driver.Desired // without secrets
	Settled bool           // the element was read to hold it, and nothing else was asked for since
}

// EachDirect calls f with the tenant's directly activated services that are, or
// are about to be, on an element.
func EachDirect(ctx context.Context, db *store.DB, tenant string, f func(Direct) error) error {
	scope := store.Scope{Tenant: tenant, Actor: "system:activation"}
	return Services.Each(ctx, db, scope, func(s *Service) error {
		w, err := wishOf(s)
		if err != nil || w.element == "" {
			return err
		}
		var t *target
		err = db.Read(ctx, scope, func(tx *store.Tx) (err error) {
			t, err = targetOf(tx, selectTarget, s.ID)
			return err
		})
		if err != nil || t == nil {
			return err
		}
		return f(Direct{s.ID, w.element, w.desired(t.state, nil), runs(s.State) && s.State == t.state})
	})
}
