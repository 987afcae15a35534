package charging

import (
	"context"
	"time"

	"tandem/kit/fault"
	"tandem/kit/store"
)

// Published is what a subscriber of an offering is opened with.
type Published struct {
	Tenant uint32 // in the book of the engine
	Plan   uint32
	Main   uint32 // definition of the balance
}

// Publish puts what an offering charges for usage on the shelf of a tenant now,
// as the first sale would, and says under which numbers.
func (r *Room) Publish(ctx context.Context, tenant, offering string) (p Published, err error) {
	scope := store.Scope{Tenant: tenant, Actor: actor}
	var on *plan
	err = r.DB.Write(ctx, scope, func(tx *store.Tx) (err error) {
		on, err = r.publish(tx, offering)
		return err
	})
	if err != nil {
		return p, err
	}
	if on == nil {
		return p, fault.New(fault.NotFound, "charging.plan", "The offering %q charges no usage", offering)
	}
	if err := r.DB.Read(ctx, scope, r.readShelf); err != nil {
		return p, err
	}
	return Published{Tenant: r.tenantNumber(tenant), Plan: uint32(on.Number), Main: uint32(on.Main)}, nil
}

// Behind is how many batches of the journal have not been projected yet.
func (r *Room) Behind() int64 { return r.Engine.Position() - r.upto.Load() }

// Idle waits until all commands are carried out and what the journal says is written
// down; for tests.
func (r *Room) Idle(ctx context.Context) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		waiting, err := r.waiting(ctx)
		if err != nil || waiting == 0 && r.Behind() <= 0 {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// waiting counts the commands that are not carried out.
func (r *Room) waiting(ctx context.Context) (all int64, err error) {
	tenants, err := r.Tenants(ctx)
	if err != nil {
		return 0, err
	}
	for _, t := range tenants {
		var n int64
		err := r.read(ctx, t, func(tx *store.Tx) error {
			return tx.Row("SELECT count(*) FROM charging_command WHERE tenant = $1 AND state = 'pending'").Scan(&n)
		})
		if err != nil {
			return 0, err
		}
		all += n
	}
	return all, nil
}
