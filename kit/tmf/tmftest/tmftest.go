// Package tmftest gives tests a store with the tables of their kinds and a
// running API server before it.
package tmftest

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"tandem/kit/fault"
	"tandem/kit/store"
	"tandem/kit/store/storetest"
	"tandem/kit/tmf"
)

// Each runs f on a fresh store of either engine, with the machine's tables, the
// rooms' own and those of the kinds.
func Each(t *testing.T, schemas []store.Schema, kinds []tmf.Mounted, f func(t *testing.T, db *store.DB)) {
	t.Helper()
	for _, engine := range []store.Dialect{store.SQLite, store.Postgres} {
		t.Run(engine.String(), func(t *testing.T) { f(t, Open(t, Config(t, engine, schemas, kinds), schemas, kinds)) })
	}
}

// Config names a fresh store that has all these tables already.
func Config(t testing.TB, engine store.Dialect, schemas []store.Schema, kinds []tmf.Mounted) store.Config {
	t.Helper()
	return storetest.Made(t, engine, storetest.Layout{Schemas: withMachine(schemas), Text: tmf.Layout(kinds),
		Make: func(ctx context.Context, db *store.DB) error { return tmf.Migrate(ctx, db, kinds) }})
}

// Open opens a store and makes what it lacks of the tables, as a node does that starts.
func Open(t testing.TB, c store.Config, schemas []store.Schema, kinds []tmf.Mounted) *store.DB {
	t.Helper()
	db := storetest.OpenConfig(t, c, withMachine(schemas)...)
	if err := tmf.Migrate(t.Context(), db, kinds); err != nil {
		t.Fatal(err)
	}
	return db
}

// withMachine adds the tables of the machine, unless they are named.
func withMachine(schemas []store.Schema) []store.Schema {
	machine := tmf.Schema()
	if slices.ContainsFunc(schemas, func(s store.Schema) bool { return s.Room == machine.Room }) {
		return schemas
	}
	return append([]store.Schema{machine}, schemas...)
}

// API is a server over the kinds; requests run as the bearer token's tenant:
// the token is the tenant's name.
type API struct {
	t   testing.TB
	URL string
	Hub *tmf.Hub
}

// Serve starts the server. Any token is let in with all permissions for the
// tenant it names.
func Serve(t testing.TB, db *store.DB, kinds []tmf.Mounted) *API {
	t.Helper()
	hub := tmf.NewHub(db, kinds, tmf.HubOptions{AllowLocal: true, Attempts: 3, Backoff: 10 * time.Millisecond})
	hub.Start(t.Context())
	t.Cleanup(hub.Stop)
	s := tmf.NewServer(db, kinds, tmf.Options{Hub: hub, Authenticate: func(r *http.Request) (*tmf.Caller, error) {
		token := r.Header.Get("Authorization")
		if len(token) < 8 {
			return nil, fault.New(fault.Unauthorized, "unauthorized", "Give a bearer token")
		}
		return &tmf.Caller{Tenant: token[7:], Actor: "test", Allow: func(string, string, string) bool { return true }}, nil
	}})
	srv := httptest.NewServer(s)
	t.Cleanup(srv.Close)
	return &API{t: t, URL: srv.URL, Hub: hub}
}

// Answer is a whole response.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// Object is the body as a JSON object; empty if it is none.
func (a Answer) Object() map[string]any {
	var m map[string]any
	_ = json.Unmarshal(a.Body, &m) // a wrong body shows in what the test then compares
	return m
}

// List is the body as an array of objects.
func (a Answer) List() []map[string]any {
	var l []map[string]any
	_ = json.Unmarshal(a.Body, &l)
	return l
}

// Do sends a request as a tenant; body is sent as it is if a string or bytes,
// encoded otherwise. Headers come in pairs.
func (a *API) Do(tenant, method, path string, body any, headers ...string) Answer {
	a.t.Helper()
	var data []byte
	switch b := body.(type) {
	case nil:
	case string:
		data = []byte(b)
	case []byte:
		data = b
	default:
		var err error
		if data, err = json.Marshal(b); err != nil {
			a.t.Fatal(err)
		}
	}
	req, err := http.NewRequestWithContext(a.t.Context(), method, a.URL+path, bytes.NewReader(data))
	if err != nil {
		a.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+tenant)
	if data != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		a.t.Fatal(err)
	}
	defer res.Body.Close()
	out, err := io.ReadAll(res.Body)
	if err != nil {
		a.t.Fatal(err)
	}
	return Answer{res.StatusCode, res.Header, out}
}

// Must sends what must succeed and decodes the answer; body is encoded as the kinds are.
func Must[T any](a *API, tenant, method, path string, body any) *T {
	a.t.Helper()
	r := a.Send(tenant, method, path, body)
	if r.Status/100 != 2 {
		a.t.Fatalf("%s %s: %d %s", method, path, r.Status, r.Body)
	}
	v := new(T)
	if len(r.Body) > 0 {
		if err := tmf.Decode(r.Body, v); err != nil {
			a.t.Fatal(err)
		}
	}
	return v
}

// Send is Do with a body that is encoded as the kinds are, unless it is text.
func (a *API) Send(tenant, method, path string, body any) Answer {
	a.t.Helper()
	switch body.(type) {
	case nil, string, []byte:
		return a.Do(tenant, method, path, body)
	}
	data, err := tmf.Encode(body)
	if err != nil {
		a.t.Fatal(err)
	}
	return a.Do(tenant, method, path, data)
}

// Await asks until nothing is wrong any more, for half a minute at most.
func Await(t testing.TB, wrong func() string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	tick := time.NewTicker(3 * time.Millisecond)
	defer tick.Stop()
	for {
		what := wrong()
		if what == "" {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("not in time: %s", what)
		}
	}
}
