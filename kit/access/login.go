package access

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"errors"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"
	"golang.org/x/time/rate"

	"tandem/kit/fault"
	"tandem/kit/store"
)

const (
	lockAfter   = 5                // failed logins of one name
	lockFirst   = time.Minute      // doubles with each further failure
	lockMost    = time.Hour        //
	forgetAfter = 24 * time.Hour   // failures older than this are forgotten
	sessionsMax = 20               // of one user; the oldest gives way
	visitorsMax = 10_000           // addresses whose pace is watched
	hashWait    = 10 * time.Second // for one's turn at the hasher
)

// errLogin is the same for an unknown tenant, an unknown user, a suspended one
// and a wrong password.
var errLogin = fault.New(fault.Unauthorized, "loginFailed", "The name or the password is wrong")

// visitors watches the pace of logins by address: 20 at once, then one in two
// seconds. The lock by name is in the store; this only keeps the noise down.
type visitors struct {
	mu  sync.Mutex
	all map[string]*rate.Limiter
}

func newVisitors() *visitors { return &visitors{all: map[string]*rate.Limiter{}} }

func (v *visitors) admit(r *http.Request, now time.Time) bool {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	l := v.all[host]
	if l == nil {
		if len(v.all) >= visitorsMax {
			clear(v.all)
		}
		l = rate.NewLimiter(0.5, 20)
		v.all[host] = l
	}
	return l.AllowN(now, 1)
}

type loginRequest struct {
	Tenant   string `json:"tenant"` // empty: the default one
	User     string `json:"user"`
	Password string `json:"password"`
}

type loginAnswer struct {
	Token     string    `json:"token"`
	ExpiresAt time.Time `json:"expiresAt"`
	Tenant    string    `json:"tenant"`
	Actor     string    `json:"actor"`
}

// login trades a password for a session token.
func (g *Guard) login(w http.ResponseWriter, r *http.Request) error {
	if !g.visitors.admit(r, time.Now()) {
		return fault.New(fault.TooMany, "tooManyLogins", "Too many logins from your address; wait a moment")
	}
	in, err := readBody[loginRequest](w, r)
	if err != nil {
		return err
	}
	if in.Tenant == "" {
		in.Tenant = g.config.Tenant
	}
	if soundTenant(in.Tenant) != nil || len(in.User) > 64 || len(in.Password) > passwordMax || strings.ContainsRune(in.User, 0) {
		return errLogin
	}
	if err := g.prove(r.Context(), in.Tenant, in.User, in.Password); err != nil {
		return err
	}
	answer, err := g.openSession(r.Context(), in.Tenant, in.User)
	if err != nil {
		return err
	}
	return write(w, http.StatusOK, answer)
}

// prove checks a password. Each try is counted before it is checked, so that
// tries side by side do not get around the lock; success wipes the count.
func (g *Guard) prove(ctx context.Context, tenant, user, password string) error {
	scope := store.Scope{Tenant: tenant, Actor: "user:" + user}
	hash, err := g.countTry(ctx, scope, user)
	if err != nil {
		return err
	}
	wait, cancel := context.WithTimeout(ctx, hashWait)
	defer cancel()
	ok, stale, err := g.hasher.check(wait, hash, password)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		return fault.Away(err, "Too many people log in at once; try again")
	}
	if err != nil {
		return err
	}
	if !ok {
		return errLogin
	}
	renewed := ""
	if stale {
		if renewed, err = g.hasher.hash(ctx, password); err != nil {
			return err
		}
	}
	return g.db.Write(ctx, scope, func(tx *store.Tx) error {
		tx.Queue("DELETE FROM access_failure WHERE tenant = $1 AND name = $2", digest(user))
		if renewed != "" {
			tx.Queue("UPDATE access_user SET hash = $3 WHERE tenant = $1 AND id = $2 AND hash = $4", user, renewed, hash)
		}
		return nil
	})
}

// countTry refuses a locked name, counts one try, and returns the hash to check
// against; it is empty for a user who cannot log in.
func (g *Guard) countTry(ctx context.Context, scope store.Scope, user string) (hash string, err error) {
	name := digest(user)
	err = g.db.Write(ctx, scope, func(tx *store.Tx) error {
		hash = ""
		t, err := findTenant(tx)
		if fault.Is(err, fault.NotFound) {
			return nil // nothing to count: the hash of nobody is checked
		}
		if err != nil {
			return err
		}
		locked, failures, err := countFailure(tx, name)
		if err != nil || locked {
			return errors.Join(err, lockedError(locked))
		}
		u, err := findUser(tx, user)
		switch {
		case fault.Is(err, fault.NotFound):
			return nil
		case err != nil:
			return err
		}
		if failures == lockAfter {
			if err := audit(tx.As(store.Scope{Tenant: scope.Tenant, Actor: "system:access"}), "user.lock", "user:"+user, nil, nil); err != nil {
				return err
			}
		}
		if u.Status == "active" && t.Status == "active" {
			hash = u.hash
		}
		return nil
	})
	return hash, err
}

func lockedError(locked bool) error {
	if !locked {
		return nil
	}
	return fault.New(fault.TooMany, "locked", "Too many failed logins with this name; wait and try again")
}

// countFailure adds one to the failures of a name, unless it is locked. The row
// is written first, which locks it against tries at the same time.
func countFailure(tx *store.Tx, name string) (locked bool, failures int64, err error) {
	now := tx.Now()
	tx.Queue("DELETE FROM access_failure WHERE tenant = $1 AND at < $2", store.Micros(now.Add(-forgetAfter)))
	var until int64
	err = tx.Row(`INSERT INTO access_failure (tenant, name, failures, locked_until, at) VALUES ($1, $2, 1, 0, $3)
		ON CONFLICT (tenant, name) DO UPDATE SET
			failures = CASE WHEN access_failure.locked_until > $3 THEN access_failure.failures ELSE access_failure.failures + 1 END,
			at = excluded.at
		RETURNING failures, locked_until`, name, store.Micros(now)).Scan(&failures, &until)
	if err != nil || until > store.Micros(now) {
		return until > store.Micros(now), failures, err
	}
	if failures >= lockAfter {
		lock := lockMost
		if n := failures - lockAfter; n < 6 {
			lock = min(lockFirst<<n, lockMost)
		}
		tx.Queue("UPDATE access_failure SET locked_until = $3 WHERE tenant = $1 AND name = $2", name, store.Micros(now.Add(lock)))
	}
	return false, failures, nil
}

// digest stands for a name that was typed: it may have been a password.
func digest(name string) string {
	sum := sha256.Sum256([]byte(name))
	return hex.EncodeToString(sum[:])
}

// newToken draws a token: 160 random bits, and a prefix by which scanners of
// leaked secrets can know it.
func newToken() (token, prefix, sum string, err error) {
	random := make([]byte, 20)
	if _, err := rand.Read(random); err != nil {
		return "", "", "", err
	}
	token = "tdm_" + strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(random))
	return token, token[:8], digest(token), nil
}

func (g *Guard) openSession(ctx context.Context, tenant, user string) (a loginAnswer, err error) {
	token, prefix, sum, err := newToken()
	if err != nil {
		return a, err
	}
	subject := "user:" + user
	err = g.db.Write(ctx, store.Scope{Tenant: tenant, Actor: subject}, func(tx *store.Tx) error {
		a = loginAnswer{Token: token, ExpiresAt: tx.Now().Add(g.config.Session), Tenant: tenant, Actor: subject}
		id := "s-" + strings.ToLower(ulid.MustNew(ulid.Timestamp(tx.Now()), rand.Reader).String())
		now := store.Micros(tx.Now())
		tx.Queue("DELETE FROM access_token WHERE tenant = $1 AND subject = $2 AND kind = 'session' AND expires_at <= $3", subject, now)
		tx.Queue(`DELETE FROM access_token WHERE tenant = $1 AND id IN (SELECT id FROM access_token
			WHERE tenant = $1 AND subject = $2 AND kind = 'session' ORDER BY created_at DESC, id DESC LIMIT 1000 OFFSET $3)`, subject, sessionsMax-1)
		tx.Queue(insertToken, id, "session", subject, sum, prefix, "", store.Micros(a.ExpiresAt), now, now, subject)
		return audit(tx, "login", subject, nil, nil)
	})
	return a, err
}

// logout ends the session of the token the request came with.
func (g *Guard) logout(c *Caller, w http.ResponseWriter, r *http.Request) error {
	if c.session == "" {
		return fault.Clash("noSession", "Only a session can be logged out; revoke an API token instead")
	}
	return g.writing(c, w, r, func(tx *store.Tx) (any, error) {
		tx.Queue("DELETE FROM access_token WHERE tenant = $1 AND id = $2", c.session)
		return nil, audit(tx, "logout", c.Actor, nil, nil)
	})
}

type meAnswer struct {
	Tenant      string       `json:"tenant"`
	Actor       string       `json:"actor"`
	Host        bool         `json:"host"`
	Roles       []string     `json:"roles"`
	Permissions []Permission `json:"permissions"`
}

func (g *Guard) me(c *Caller, w http.ResponseWriter, _ *http.Request) error {
	return write(w, http.StatusOK, meAnswer{c.Tenant, c.Actor, c.host, c.roles, c.permissions})
}

type passwordChange struct {
	Old string `json:"old"`
	New string `json:"new"`
}

// changePassword is for the user's own; all other sessions of the user end.
func (g *Guard) changePassword(c *Caller, w http.ResponseWriter, r *http.Request) error {
	in, err := readBody[passwordChange](w, r)
	if err != nil {
		return err
	}
	user, ok := strings.CutPrefix(c.Actor, "user:")
	if !ok {
		return fault.Clash("noPassword", "Only a user has a password")
	}
	if err := acceptable(in.New, user); err != nil {
		return err
	}
	if err := g.prove(r.Context(), c.Tenant, user, in.Old); err != nil {
		return err
	}
	hash, err := g.hasher.hash(r.Context(), in.New)
	if err != nil {
		return err
	}
	return g.writing(c, w, r, func(tx *store.Tx) (any, error) {
		tx.QueueOne("UPDATE access_user SET hash = $3 WHERE tenant = $1 AND id = $2", user, hash)
		tx.Queue("DELETE FROM access_token WHERE tenant = $1 AND subject = $2 AND kind = 'session' AND id <> $3", c.Actor, c.session)
		return nil, audit(tx, "user.password", c.Actor, nil, nil)
	})
}
