package demo

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync/atomic"
	"testing"

	"tandem/app"
	"tandem/bss/party"
	"tandem/kit/store"
	"tandem/oss/inventory"
)

// However often the seeding is ended before its end, the next one makes it whole.
func TestSeedingThatWasEndedGoesOn(t *testing.T) {
	var left atomic.Int64
	var cancel context.CancelFunc
	const token = "a-superuser-token-for-tests"
	c := app.Config{Data: t.TempDir(), Tenant: Host, AdminToken: token, Lab: true, AllowLocal: true, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
		Around: func(durable bool) {
			if durable && left.Add(-1) == 0 {
				cancel()
			}
		}}
	a, err := app.New(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Stop()
	if err := a.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	cut := 0
	for commits := int64(1); ; commits += 4 {
		var ctx context.Context
		ctx, cancel = context.WithCancel(t.Context())
		left.Store(commits)
		err := New(a, token).Seed(ctx)
		left.Store(0)
		stopped := ctx.Err() != nil
		cancel()
		if err == nil {
			break
		}
		if cut++; !stopped || errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
	}
	if cut < 3 {
		t.Errorf("it was ended %d times only", cut)
	}
	for _, b := range Brands {
		err := a.DB.Read(t.Context(), scope(b.ID), func(tx *store.Tx) error {
			n, err := party.Customers.Count(tx, nil)
			if err != nil {
				return err
			}
			if n != customersEach {
				t.Errorf("%s has %d customers", b.ID, n)
			}
			stock, err := inventory.ResourcePools.Count(tx, nil)
			if stock != 2 {
				t.Errorf("%s has %d pools", b.ID, stock)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
}
