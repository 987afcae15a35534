package inventory

import (
	"context"
	"embed"
	"time"

	"tandem/kit/fault"
	"tandem/kit/store"
	"tandem/kit/tmf"
	"tandem/kit/work"
)

//go:embed schema/*.sql
var schemaFiles embed.FS

// Schemas are the room's own tables.
var Schemas = []store.Schema{store.Embedded("inventory", schemaFiles)}

// Kinds are the room's resources.
func Kinds() []tmf.Mounted {
	return []tmf.Mounted{&Services, &Resources, &Sites, &ResourcePools, &Reservations, &AvailabilityChecks, &Pushes, &Extracts}
}

func init() {
	initServices()
	initResources()
	initPools()
	initReservations()
	initTasks()
}

// Kinds of jobs.
const (
	SweepJob       = "inventory.sweep"       // one a tenant with pools: frees what has run out
	ReservationJob = "inventory.reservation" // one a reservation, at its end
)

const (
	sweepEvery = 30 * time.Second
	sweepSize  = 500 // values freed in one transaction
)

// Handle registers the room's timers.
func Handle(r *work.Runner, db *store.DB) {
	r.Handle(SweepJob, work.Options{Concurrency: 1}, func(ctx context.Context, job *work.Job) error {
		return db.Write(ctx, job.Scope(), func(tx *store.Tx) error { return sweep(tx, job) })
	})
	r.Handle(ReservationJob, work.Options{}, func(ctx context.Context, job *work.Job) error {
		return db.Write(ctx, job.Scope(), func(tx *store.Tx) error {
			if err := expireReservation(tx, job.Key); err != nil {
				return err
			}
			return job.Finish(tx)
		})
	})
}

// sweep frees one portion and asks to be run again: at once if there may be more.
func sweep(tx *store.Tx, job *work.Job) error {
	n, err := Expire(tx, sweepSize)
	if err != nil {
		return err
	}
	next := tx.Now().Add(sweepEvery)
	if n >= sweepSize {
		next = tx.Now()
	}
	if err := work.Enqueue(tx, SweepJob, job.Key, nil, next); err != nil {
		return err
	}
	return job.Finish(tx)
}

// expireReservation ends a reservation whose time has come.
func expireReservation(tx *store.Tx, id string) error {
	_, err := Reservations.Edit(tx, id, func(r *Reservation) error {
		if r.ReservationState == ReservationOpen {
			r.ReservationState = ReservationExpired
		}
		return nil
	})
	if fault.Is(err, fault.NotFound) {
		return nil
	}
	return err
}
