package app

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/oklog/ulid/v2"

	"tandem/bss/charging"
	"tandem/edge/credit"
	"tandem/kit/access"
	"tandem/kit/journal"
	"tandem/kit/store"
)

// openCharging opens the journal, in a file and with a writer of its own on SQLite,
// so that charges and orders do not wait for each other; and builds the room.
func (a *App) openCharging(ctx context.Context, key []byte) error {
	at, holder := a.DB, ulid.Make().String()
	if a.Database == "" {
		holder = "embedded"                         // the folder's lock keeps others out: a node takes over from the one before it at once
		folder := filepath.Join(a.Data, "charging") // a store locks its folder
		if err := os.MkdirAll(folder, 0o700); err != nil {
			return fmt.Errorf("charging journal: %w", err)
		}
		db, err := store.Open(ctx, store.Config{Path: filepath.Join(folder, "journal.db"), Checkpoint: journal.Checkpoint, Clock: a.Clock, Log: a.Log})
		if err != nil {
			return fmt.Errorf("charging journal: %w", err)
		}
		a.push(db.Close)
		at = db
	}
	if err := at.Migrate(ctx, journal.Schema()); err != nil {
		return err
	}
	a.clients = map[credit.Face]credit.Client{}
	outage, err := charging.DefaultGrants(a.Faces.Defaults.Outage)
	if err != nil {
		return err
	}
	unknown, err := charging.DefaultGrants(a.Faces.Defaults.Unknown)
	if err != nil {
		return err
	}
	a.Charging = charging.New(charging.Config{DB: a.DB, Journal: at, Holder: holder, Address: a.Listen, Tenants: a.tenants, Host: a.host,
		Lease: a.Lease, Queue: a.ChargingQueue, Clock: a.Clock, Log: a.Log, Clients: a.clients, PINKey: derived(key, "charging: PINs of vouchers"),
		Outage: outage, Strangers: unknown})
	a.mediator = charging.NewMediator(a.Charging, charging.MediationConfig{Feeds: a.Faces.Feeds, Streams: a.Faces.Streams})
	return a.openFaces(key)
}

// derived makes a key of its own for a purpose out of the sealing key, so that no
// key has two uses.
func derived(key []byte, purpose string) []byte {
	m := hmac.New(sha256.New, key)
	m.Write([]byte(purpose))
	return m.Sum(nil)
}

func (a *App) tenants(ctx context.Context) ([]string, error) {
	all, err := access.Tenants(ctx, a.DB)
	names := make([]string, len(all))
	for i, t := range all {
		names[i] = t.ID
	}
	return names, err
}

// host is the tenant that keeps the usage of nobody: the oldest of those that own a
// network; "" if there is none yet.
func (a *App) host(ctx context.Context) (id string, err error) {
	all, err := access.Tenants(ctx, a.DB)
	var since time.Time
	for _, t := range all {
		if t.Role == "host" && (id == "" || t.CreatedAt.Before(since)) {
			id, since = t.ID, t.CreatedAt
		}
	}
	return id, err
}

func (a *App) startCharging(ctx context.Context) error {
	if err := a.Charging.Start(ctx); err != nil {
		return fmt.Errorf("charging: %w", err)
	}
	a.push(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := a.Charging.Stop(ctx); err != nil {
			a.Log.Warn("charging stopped with an error", "error", err)
		}
	})
	if err := a.mediator.Start(ctx); err != nil {
		return fmt.Errorf("mediation: %w", err)
	}
	a.push(a.mediator.Stop)
	return nil
}
