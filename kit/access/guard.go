package access

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"tandem/kit/fault"
	"tandem/kit/store"
)

//go:embed schema/*.sql
var schemaFiles embed.FS

// Schema is the tables of access.
func Schema() store.Schema { return store.Embedded("access", schemaFiles) }

// Header is how the superuser names the tenant.
const Header = "Tandem-Tenant"

const (
	adminTokenMin = 24
	cacheMax      = 10_000
	usedEvery     = time.Hour // how coarse "last used" is
)

// Config says who gets in before anybody was let in.
type Config struct {
	AdminToken string        // the superuser's token, at least 24 characters; empty: no superuser
	Tenant     string        // the first tenant (a host), also the superuser's default
	TenantName string        // its name for people; empty: the id
	Session    time.Duration // how long a login holds; 0: 12 h
	Cache      time.Duration // how long other nodes may miss a revocation; 0: 5 s
}

// Guard authenticates requests and serves /access/v1/.
type Guard struct {
	db       *store.DB
	log      *slog.Logger
	config   Config
	adminSum [sha256.Size]byte
	hasher   *hasher
	visitors *visitors

	mu    sync.Mutex
	turn  int64 // counts changes, so that what was read before one is not cached after it
	cache map[string]cached
}

type cached struct {
	caller *Caller
	until  time.Time
}

// New is a guard on db. Call Prepare before serving.
func New(db *store.DB, log *slog.Logger, c Config) (*Guard, error) {
	if c.AdminToken != "" && len(c.AdminToken) < adminTokenMin {
		return nil, fmt.Errorf("access: the admin token needs at least %d characters", adminTokenMin)
	}
	if err := soundTenant(c.Tenant); err != nil {
		return nil, fmt.Errorf("access: default tenant: %w", err)
	}
	if c.Session <= 0 {
		c.Session = 12 * time.Hour
	}
	if c.Cache <= 0 {
		c.Cache = 5 * time.Second
	}
	h, err := newHasher()
	if err != nil {
		return nil, err
	}
	g := &Guard{db: db, log: log, config: c, hasher: h, visitors: newVisitors(), cache: map[string]cached{}}
	g.adminSum = sha256.Sum256([]byte(c.AdminToken))
	g.config.AdminToken = "" // its digest is enough from here on
	if c.AdminToken == "" {
		g.adminSum = [sha256.Size]byte{} // no text has this digest
	}
	return g, nil
}

// Prepare makes the default tenant, as a host, if it is not there.
func (g *Guard) Prepare(ctx context.Context) error {
	t := Tenant{ID: g.config.Tenant, Name: g.config.TenantName, Role: "host", Status: "active"}
	if t.Name == "" {
		t.Name = t.ID
	}
	return g.db.Write(ctx, store.Scope{Tenant: t.ID, Actor: "system:access"}, func(tx *store.Tx) error {
		_, err := findTenant(tx)
		if fault.Is(err, fault.NotFound) {
			return insertTenant(tx, t)
		}
		return err
	})
}

// Caller is who asks.
type Caller struct {
	Tenant, Actor string

	super, host bool
	session     string // id of the session token, if it is one
	roles       []string
	permissions []Permission
}

// Allow reports whether the caller may do the verb (read, create, update,
// delete) on the kind of the API.
func (c *Caller) Allow(api, kind, verb string) bool { return allowed(c.permissions, api, kind, verb) }

func (c *Caller) scope() store.Scope { return store.Scope{Tenant: c.Tenant, Actor: c.Actor} }

func (c *Caller) must(kind, verb string) error {
	if c.Allow("access", kind, verb) {
		return nil
	}
	return fault.Denied("notAllowed", "Your roles do not allow you to %s a %s", verb, kind)
}

var errToken = fault.New(fault.Unauthorized, "unauthorized", "The token is missing, unknown or no longer valid; log in again")

// Authenticate finds out who sent the request: fault.Unauthorized if its bearer
// token is missing, unknown, expired, or of a suspended user or tenant.
func (g *Guard) Authenticate(r *http.Request) (*Caller, error) {
	token, ok := bearer(r)
	if !ok {
		return nil, errToken
	}
	sum := sha256.Sum256([]byte(token))
	if subtle.ConstantTimeCompare(sum[:], g.adminSum[:]) == 1 {
		return g.superuser(r)
	}
	return g.remember("token:"+hex.EncodeToString(sum[:]), func() (*Caller, time.Time, error) {
		return g.holder(r.Context(), hex.EncodeToString(sum[:]))
	})
}

func bearer(r *http.Request) (string, bool) {
	scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	token = strings.TrimSpace(token)
	return token, ok && strings.EqualFold(scheme, "Bearer") && token != "" && len(token) <= 256
}

func (g *Guard) superuser(r *http.Request) (*Caller, error) {
	tenant := r.Header.Get(Header)
	if tenant == "" {
		tenant = g.config.Tenant
	}
	return g.remember("super:"+tenant, func() (*Caller, time.Time, error) {
		err := g.db.Read(r.Context(), store.Scope{Tenant: tenant}, func(tx *store.Tx) error {
			_, err := findTenant(tx)
			return err
		})
		if fault.Is(err, fault.NotFound) {
			err = fault.New(fault.Unauthorized, "unknownTenant", "There is no tenant %q", tenant)
		}
		return superuser(tenant), time.Time{}, err
	})
}

func superuser(tenant string) *Caller {
	return &Caller{Tenant: tenant, Actor: superActor, super: true, host: true,
		permissions: []Permission{{API: "*", Kind: "*", Verbs: []string{"*"}}}}
}

func (g *Guard) hasSuperuser() bool { return g.adminSum != [sha256.Size]byte{} }

// remember keeps a caller for some seconds. What load found while something
// changed is used once, but not kept.
func (g *Guard) remember(key string, load func() (*Caller, time.Time, error)) (*Caller, error) {
	now := g.db.Now()
	g.mu.Lock()
	hit, turn := g.cache[key], g.turn
	g.mu.Unlock()
	if hit.caller != nil && now.Before(hit.until) {
		return hit.caller, nil
	}
	c, expires, err := load()
	if err != nil {
		return nil, err
	}
	until := now.Add(g.config.Cache)
	if !expires.IsZero() && expires.Before(until) {
		until = expires
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.turn == turn {
		if len(g.cache) >= cacheMax {
			clear(g.cache)
		}
		g.cache[key] = cached{c, until}
	}
	return c, nil
}

// forget empties the cache: something was changed on this node.
func (g *Guard) forget() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.turn++
	clear(g.cache)
}

// held is a token row with what decides whether it is good.
type held struct {
	tenant, id, kind, subject string
	expires, used             int64
	user, status, role        string
}

func (g *Guard) holder(ctx context.Context, sum string) (*Caller, time.Time, error) {
	var t held
	var c *Caller
	now := g.db.Now()
	err := g.db.Read(ctx, store.Scope{}, func(tx *store.Tx) error {
		err := tx.System().Row(`SELECT t.tenant, t.id, t.kind, t.subject, t.expires_at, t.used_at, coalesce(u.status, ''), n.status, n.role
			FROM access_token t JOIN access_tenant n ON n.tenant = t.tenant
			LEFT JOIN access_user u ON u.tenant = t.tenant AND t.subject = 'user:' || u.id WHERE t.sum = $1`, sum).
			Scan(&t.tenant, &t.id, &t.kind, &t.subject, &t.expires, &t.used, &t.user, &t.status, &t.role)
		if errors.Is(err, store.ErrNotFound) || err == nil && !t.good(now) {
			return errToken
		}
		if err != nil {
			return err
		}
		c, err = t.caller(tx.As(store.Scope{Tenant: t.tenant, Actor: t.subject}))
		return err
	})
	if err != nil {
		return nil, time.Time{}, err
	}
	if now.Sub(store.Instant(t.used)) > usedEvery {
		g.noteUse(ctx, t, now)
	}
	return c, store.Instant(t.expires), nil
}

func (t held) good(now time.Time) bool {
	return t.expires > store.Micros(now) && t.status == "active" && (t.kind == "api" || t.user == "active")
}

func (t held) caller(tx *store.Tx) (*Caller, error) {
	c := &Caller{Tenant: t.tenant, Actor: t.subject, host: t.role == "host"}
	if t.kind == "session" {
		c.session = t.id
	}
	var err error
	if c.roles, err = rolesOf(tx, t.subject); err != nil {
		return nil, err
	}
	c.permissions, err = permissionsOf(tx, c.roles)
	return c, err
}

// noteUse is a courtesy to whoever tidies tokens up: its failure refuses nobody.
func (g *Guard) noteUse(ctx context.Context, t held, now time.Time) {
	err := g.db.Write(ctx, store.Scope{Tenant: t.tenant, Actor: t.subject}, func(tx *store.Tx) error {
		tx.Queue("UPDATE access_token SET used_at = $3 WHERE tenant = $1 AND id = $2", t.id, store.Micros(now))
		return nil
	})
	if err != nil {
		g.log.Warn("access: could not note the use of a token", "tenant", t.tenant, "token", t.id, "err", err)
	}
}

func sameRoles(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}
