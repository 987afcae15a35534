package app

import (
	"context"
	"time"

	"tandem/app/verify"
	"tandem/bss/revenue"
	"tandem/kit/access"
	"tandem/kit/store"
	"tandem/kit/work"
)

// Assurance is what controls of the revenue ask of this node besides its store.
func (a *App) Assurance() revenue.Doors {
	return revenue.Doors{Network: verify.Network{DB: a.DB, Elements: a.Network}, Charging: a.Charging}
}

// assureJob begins the daily controls of all tenants; it is a job of the host's.
const (
	assureJob  = "app.assure"
	assureHour = 3 // UTC, when little else is done
)

// handleAssurance registers the jobs of revenue assurance.
func (a *App) handleAssurance() {
	revenue.Handle(a.Runner, a.DB, a.Assurance())
	a.Runner.Handle(assureJob, work.Options{Concurrency: 1}, a.assureAll)
}

// assureAll begins a run for each tenant, and comes again tomorrow.
func (a *App) assureAll(ctx context.Context, j *work.Job) error {
	tenants, err := access.Tenants(ctx, a.DB)
	if err != nil {
		return err
	}
	for _, t := range tenants {
		if err := a.DB.Write(ctx, store.Scope{Tenant: t.ID, Actor: "system:revenue"}, revenue.Begin); err != nil {
			return err
		}
	}
	return a.DB.Write(ctx, j.Scope(), func(tx *store.Tx) error {
		if err := j.Finish(tx); err != nil {
			return err
		}
		return work.Enqueue(tx, assureJob, "daily", nil, nextAssurance(tx.Now()))
	})
}

// keepAssurance begins the daily round, if it is not begun.
func (a *App) keepAssurance(ctx context.Context) error {
	return a.DB.Write(ctx, store.Scope{Tenant: a.Tenant, Actor: "system:revenue"}, func(tx *store.Tx) error {
		state, _, err := work.StateOf(tx, assureJob, "daily")
		if err != nil || state != "" {
			return err
		}
		return work.Enqueue(tx, assureJob, "daily", nil, nextAssurance(tx.Now()))
	})
}

// nextAssurance is the next time at which controls begin.
func nextAssurance(now time.Time) time.Time {
	now = now.UTC()
	at := time.Date(now.Year(), now.Month(), now.Day(), assureHour, 0, 0, 0, time.UTC)
	if !at.After(now) {
		at = at.AddDate(0, 0, 1)
	}
	return at
}
