package fulfilment

import (
	"context"
	"time"

	"tandem/kit/store"
	"tandem/kit/tmf"
	"tandem/oss/spec"
)

// Standing is a service as the network was last confirmed to have it: what its
// newest completed order item built.
type Standing struct {
	Service   string    // the root
	Product   string    // what the one who ordered calls it, if he said so
	Since     time.Time // when the newest item was completed
	Suspended bool
	Services  []string // all its services in the inventory, the root first
	Intents   []Intent // what its elements hold
	Pooled    []Pooled // what it has from pools
}

// Pooled is a number or SIM (kind "sim", its ICCID) of a service.
type Pooled struct{ Kind, Value string }

const builtPage = 500 // items read at once

type builtRow struct {
	service, order  string
	at              int64
	graph, external []byte
}

const selectBuilt = `SELECT service, at, service_order, graph, external FROM fulfilment_item
	WHERE tenant = $1 AND state = 'completed' AND step <> 'nothing' AND `

func scanBuilt(r store.Rows) (b builtRow, err error) {
	err = r.Scan(&b.service, &b.at, &b.order, &b.graph, &b.external)
	return b, err
}

// Built calls f with every service that stands, by id, in pages, each on a
// reader of its own; for audits. What changes meanwhile may be seen as it was or
// as it is.
func Built(ctx context.Context, db *store.DB, s store.Scope, f func(Standing) error) error {
	var last builtRow // the newest item so far of the service being read
	for {
		var page []builtRow
		err := db.Read(ctx, s, func(tx *store.Tx) error {
			rows, err := tx.Query(selectBuilt+"(service, at, service_order) > ($2, $3, $4) ORDER BY service, at, service_order LIMIT $5",
				last.service, last.at, last.order, int64(builtPage))
			page, err = store.Collect(rows, err, scanBuilt)
			return err
		})
		if err != nil {
			return err
		}
		for _, b := range page {
			if b.service != last.service {
				if err := last.hand(f); err != nil {
					return err
				}
			}
			last = b
		}
		if len(page) < builtPage {
			return last.hand(f)
		}
	}
}

// BuiltOf is one service as it stands, nil if nothing of it does.
func BuiltOf(tx *store.Tx, service string) (found *Standing, err error) {
	rows, err := tx.Query(selectBuilt+"service = $2 ORDER BY at DESC, service_order DESC LIMIT 1", service)
	newest, err := store.Collect(rows, err, scanBuilt)
	if err != nil || len(newest) == 0 {
		return nil, err
	}
	err = newest[0].hand(func(s Standing) error {
		found = &s
		return nil
	})
	return found, err
}

// hand gives the service to f, unless its newest item took it out of the network.
func (b builtRow) hand(f func(Standing) error) error {
	if b.graph == nil {
		return nil
	}
	var g Graph
	if err := tmf.Decode(b.graph, &g); err != nil {
		return err
	}
	e, err := external(b.external)
	if err != nil {
		return err
	}
	s := Standing{Service: b.service, Product: e.Product, Since: store.Instant(b.at), Suspended: g.Root().value(suspended) == "true"}
	for i := range g.Parts {
		p := &g.Parts[i]
		if p.Kind == spec.Service {
			s.Services = append(s.Services, p.ID)
		}
		if _, _, ok := p.onElement(); ok {
			s.Intents = append(s.Intents, p.intent())
		}
	}
	s.Pooled = g.pooled()
	return f(s)
}

// UnderWay calls f with what the items that have not ended do, or undo, on
// elements: until they end nobody can say what these hold.
func UnderWay(ctx context.Context, db *store.DB, s store.Scope, f func(Intent) error) error {
	return EachOpen(ctx, db, s, func(order string) error {
		var all [][2]Intent
		err := db.Read(ctx, s, func(tx *store.Tx) error {
			rows, err := tx.Query(`SELECT t.desired, t.undo FROM fulfilment_item i JOIN fulfilment_task t
				ON t.tenant = i.tenant AND t.service_order = i.service_order AND t.item = i.item
				WHERE i.tenant = $1 AND i.service_order = $2 AND i.state NOT IN ('completed', 'failed', 'cancelled') AND t.n >= 0`, order)
			all, err = store.Collect(rows, err, scanIntents)
			return err
		})
		for _, both := range all {
			for _, in := range both {
				if err == nil {
					err = f(in)
				}
			}
		}
		return err
	})
}

// scanIntents reads what a task does, and what would undo it.
func scanIntents(r store.Rows) (both [2]Intent, err error) {
	var docs [2][]byte
	if err = r.Scan(&docs[0], &docs[1]); err != nil {
		return both, err
	}
	for i, doc := range docs {
		if err = tmf.Decode(doc, &both[i]); err != nil {
			return both, err
		}
	}
	return both, nil
}
