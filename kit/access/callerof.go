package access

import (
	"context"
	"errors"
	"strings"
	"time"

	"tandem/kit/fault"
	"tandem/kit/store"
)

const superActor = "token:admin"

// CallerOf is what an actor of the tenant (user:ann, token:ci) may do as of now:
// for what goes on in its name when its request is long over. fault.Unauthorized
// if it is gone, suspended or expired, or its tenant is suspended.
func (g *Guard) CallerOf(ctx context.Context, tenant, actor string) (*Caller, error) {
	return g.remember("actor:"+tenant+" "+actor, func() (*Caller, time.Time, error) {
		var c *Caller
		var until time.Time
		err := g.db.Read(ctx, store.Scope{Tenant: tenant, Actor: actor}, func(tx *store.Tx) (err error) {
			c, until, err = g.actor(tx)
			return err
		})
		return c, until, err
	})
}

// ActorOf is what the actor of tx may do as of now, as CallerOf, seen in tx itself.
func (g *Guard) ActorOf(tx *store.Tx) (*Caller, error) {
	c, _, err := g.actor(tx)
	return c, err
}

var errActor = fault.New(fault.Unauthorized, "unauthorized", "Whoever this was begun for may not go on: gone, suspended or expired")

// actor is the actor of tx as a caller, and until when.
func (g *Guard) actor(tx *store.Tx) (*Caller, time.Time, error) {
	t, err := findTenant(tx)
	if fault.Is(err, fault.NotFound) {
		err = errActor
	}
	if err != nil {
		return nil, time.Time{}, err
	}
	if tx.Actor() == superActor {
		if !g.hasSuperuser() {
			return nil, time.Time{}, errActor
		}
		return superuser(t.ID), time.Time{}, nil
	}
	h := held{tenant: t.ID, subject: tx.Actor(), role: t.Role}
	until, err := actorsEnd(tx)
	if err == nil && t.Status != "active" {
		err = errActor
	}
	if err != nil {
		return nil, time.Time{}, err
	}
	c, err := h.caller(tx)
	return c, until, err
}

// actorsEnd is when the actor of tx expires, the zero time if it does not.
func actorsEnd(tx *store.Tx) (until time.Time, err error) {
	kind, id, _ := strings.Cut(tx.Actor(), ":")
	var status string
	var expires int64
	switch kind {
	case "user":
		err = tx.Row("SELECT status FROM access_user WHERE tenant = $1 AND id = $2", id).Scan(&status)
	case "token":
		status = "active"
		err = tx.Row("SELECT expires_at FROM access_token WHERE tenant = $1 AND id = $2 AND kind = 'api'", id).Scan(&expires)
		until = store.Instant(expires)
	}
	if errors.Is(err, store.ErrNotFound) || err == nil && (status != "active" || kind == "token" && !until.After(tx.Now())) {
		return until, errActor
	}
	return until, err
}
