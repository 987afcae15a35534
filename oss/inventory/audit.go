package inventory

import (
	"context"
	"time"

	"tandem/kit/store"
)

const auditPage = 1000 // rows read at once

// States are the states of services by id; one that is not there is missing.
func States(tx *store.Tx, ids []string) (map[string]string, error) {
	out := map[string]string{}
	for from := 0; from < len(ids); from += inBatch {
		part := ids[from:min(from+inBatch, len(ids))]
		args := make([]any, len(part))
		for i, id := range part {
			args[i] = id
		}
		// rev is in no index of the state: SQLite would rather read all of such an
		// index than look up some ids.
		rows, err := tx.Query("SELECT id, a_state, rev FROM inventory_service WHERE tenant = $1 AND id IN ("+store.In(2, len(args))+")", args...)
		_, err = store.Collect(rows, err, func(r store.Rows) (id string, err error) {
			var state string
			var rev int64
			err = r.Scan(&id, &state, &rev)
			out[id] = state
			return id, err
		})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Living calls f with every service that is active or inactive, by id, with the
// time of its last change.
func Living(ctx context.Context, db *store.DB, s store.Scope, f func(id string, changed time.Time) error) error {
	type living struct {
		id string
		at int64
	}
	for after := ""; ; {
		var page []living
		err := db.Read(ctx, s, func(tx *store.Tx) error {
			rows, err := tx.Query("SELECT id, updated_at FROM inventory_service WHERE tenant = $1 AND id > $2 AND a_state IN ('active', 'inactive') ORDER BY id LIMIT $3", after, int64(auditPage))
			page, err = store.Collect(rows, err, func(r store.Rows) (l living, err error) {
				err = r.Scan(&l.id, &l.at)
				return l, err
			})
			return err
		})
		if err != nil || len(page) == 0 {
			return err
		}
		after = page[len(page)-1].id
		for _, l := range page {
			if err := f(l.id, store.Instant(l.at)); err != nil {
				return err
			}
		}
	}
}

// Assigned calls f with every number and SIM of the tenant that is in use, pool
// by pool; SIMs come as numbers of kind sim with the ICCID.
func Assigned(ctx context.Context, db *store.DB, s store.Scope, f func(Number) error) error {
	var pools []Pool
	err := db.Read(ctx, s, func(tx *store.Tx) error {
		rows, err := tx.Query("SELECT id, kind FROM inventory_pool WHERE tenant = $1 ORDER BY id")
		pools, err = store.Collect(rows, err, func(r store.Rows) (p Pool, err error) {
			err = r.Scan(&p.ID, &p.Kind)
			return p, err
		})
		return err
	})
	for _, p := range pools {
		if err == nil {
			err = assignedOf(ctx, db, s, p, f)
		}
	}
	return err
}

func assignedOf(ctx context.Context, db *store.DB, s store.Scope, p Pool, f func(Number) error) error {
	sh := shelfOf(p.Kind)
	text := "SELECT " + sh.key + ", holder FROM " + sh.table + " WHERE tenant = $1 AND pool = $2 AND state = 'assigned' AND " + sh.key + " > $3 ORDER BY " + sh.key + " LIMIT $4"
	for after := ""; ; {
		var page []Number
		err := db.Read(ctx, s, func(tx *store.Tx) error {
			rows, err := tx.Query(text, p.ID, after, int64(auditPage))
			page, err = store.Collect(rows, err, func(r store.Rows) (Number, error) {
				n := Number{Kind: p.Kind, Pool: p.ID, State: NumberAssigned}
				err := r.Scan(&n.Value, &n.Holder)
				return n, err
			})
			return err
		})
		if err != nil || len(page) == 0 {
			return err
		}
		after = page[len(page)-1].Value
		for _, n := range page {
			if err := f(n); err != nil {
				return err
			}
		}
	}
}
