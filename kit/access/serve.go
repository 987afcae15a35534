package access

import (
	"bytes"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json"

	"tandem/kit/fault"
	"tandem/kit/store"
	"tandem/kit/tmf"
)

const (
	maxBody  = 64 << 10 // bytes of a request body
	pageSize = 100
	pageMax  = 1000
)

// Handler serves the paths under /access/v1/: JSON in, JSON out.
func (g *Guard) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /access/v1/login", g.open(g.login))
	for pattern, fn := range map[string]func(*Caller, http.ResponseWriter, *http.Request) error{
		"POST /access/v1/logout":        g.logout,
		"GET /access/v1/me":             g.me,
		"POST /access/v1/me/password":   g.changePassword,
		"GET /access/v1/users":          g.getUsers,
		"POST /access/v1/users":         g.postUser,
		"GET /access/v1/users/{id}":     g.getUser,
		"PATCH /access/v1/users/{id}":   g.patchUser,
		"DELETE /access/v1/users/{id}":  g.deleteUser,
		"GET /access/v1/tokens":         g.getTokens,
		"POST /access/v1/tokens":        g.postToken,
		"DELETE /access/v1/tokens/{id}": g.deleteToken,
		"GET /access/v1/roles":          g.getRoles,
		"PUT /access/v1/roles/{id}":     g.putRole,
		"DELETE /access/v1/roles/{id}":  g.deleteRole,
		"GET /access/v1/tenants":        g.getTenants,
		"POST /access/v1/tenants":       g.postTenant,
		"PATCH /access/v1/tenants/{id}": g.patchTenant,
		"GET /access/v1/audit":          g.getAudit,
	} {
		mux.HandleFunc(pattern, g.open(g.known(fn)))
	}
	mux.HandleFunc("/", g.open(func(_ http.ResponseWriter, r *http.Request) error {
		return fault.New(fault.NotFound, "notFound", "There is nothing at %s %s", r.Method, r.URL.Path)
	}))
	return mux
}

// open answers refusals, and keeps answers out of caches.
func (g *Guard) open(fn func(http.ResponseWriter, *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		err := soundURL(r)
		if err == nil {
			err = fn(w, r)
		}
		if err != nil {
			tmf.WriteError(w, r, err)
		}
	}
}

// soundURL refuses what no id contains and PostgreSQL cannot keep.
func soundURL(r *http.Request) error {
	if strings.ContainsRune(r.URL.Path, 0) || strings.Contains(r.URL.RawQuery, "%00") || !utf8.ValidString(r.URL.Path+r.URL.Query().Get("after")) {
		return fault.BadInput("badText", "The address is not valid text")
	}
	return nil
}

// known lets nobody in whom it does not know.
func (g *Guard) known(fn func(*Caller, http.ResponseWriter, *http.Request) error) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		c, err := g.Authenticate(r)
		if err != nil {
			return err
		}
		return fn(c, w, r)
	}
}

// readBody reads a small JSON object and refuses members it does not know.
func readBody[T any](w http.ResponseWriter, r *http.Request) (v T, err error) {
	text, err := tmf.ReadBody(w, r, maxBody)
	if err != nil {
		return v, err
	}
	if bytes.Contains(text, []byte(`\u0000`)) { // PostgreSQL cannot keep it
		return v, fault.BadInput("badText", "The body contains a NUL character")
	}
	if json.Unmarshal(text, &v, json.RejectUnknownMembers(true)) != nil {
		// The decoder's words could repeat what was sent, which may be a secret.
		return v, fault.BadInput("malformedJSON", "The body is not a JSON object of the known members: %s", members[T]())
	}
	return v, nil
}

func members[T any]() (names string) {
	t := reflect.TypeFor[T]()
	for i := range t.NumField() {
		if tag := t.Field(i).Tag.Get("json"); tag != "" {
			if names != "" {
				names += ", "
			}
			name, _, _ := strings.Cut(tag, ",")
			names += name
		}
	}
	return names
}

// page reads ?after= and ?limit=.
func page(r *http.Request) (after string, limit int, err error) {
	q := r.URL.Query()
	limit = pageSize
	if text := q.Get("limit"); text != "" {
		if limit, err = strconv.Atoi(text); err != nil || limit < 1 || limit > pageMax {
			return "", 0, fault.BadInput("badPage", "limit is a number from 1 to %d", pageMax)
		}
	}
	return q.Get("after"), limit, nil
}

func write(w http.ResponseWriter, status int, v any) error {
	if v == nil {
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client went away: nobody is left to tell
	return nil
}

// reading answers what fn finds for a caller who may read the kind.
func (g *Guard) reading(c *Caller, w http.ResponseWriter, r *http.Request, kind string, fn func(*store.Tx) (any, error)) error {
	if err := c.must(kind, "read"); err != nil {
		return err
	}
	var v any
	err := g.db.Read(r.Context(), c.scope(), func(tx *store.Tx) (err error) {
		v, err = fn(tx)
		return err
	})
	if err != nil {
		return err
	}
	return write(w, http.StatusOK, v)
}

// changing runs fn in a transaction for a caller who may do verb on the kind.
func (g *Guard) changing(c *Caller, w http.ResponseWriter, r *http.Request, kind, verb string, fn func(*store.Tx) (any, error)) error {
	if err := c.must(kind, verb); err != nil {
		return err
	}
	return g.writing(c, w, r, fn)
}

// writing runs fn in a transaction, forgets cached callers and answers.
func (g *Guard) writing(c *Caller, w http.ResponseWriter, r *http.Request, fn func(*store.Tx) (any, error)) error {
	var v any
	err := g.db.Write(r.Context(), c.scope(), func(tx *store.Tx) (err error) {
		tx.OnCommit(g.forget)
		v, err = fn(tx)
		return err
	})
	if err != nil {
		return err
	}
	status := http.StatusOK
	if r.Method == http.MethodPost {
		status = http.StatusCreated
	}
	return write(w, status, v)
}
