package app_test

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"tandem/app"
	"tandem/app/apptest"
	"tandem/bss/subscription"
	"tandem/kit/store"
	"tandem/kit/tmf"
	"tandem/oss/activation"
)

const superuser = "a-superuser-token-for-tests"

// each runs f with the config of a node on either store.
func each(t *testing.T, f func(t *testing.T, c app.Config)) {
	for _, engine := range []store.Dialect{store.SQLite, store.Postgres} {
		t.Run(engine.String(), func(t *testing.T) {
			data, database := apptest.Store(t, engine)
			f(t, app.Config{Data: data, Database: database, Tenant: "host", AdminToken: superuser,
				Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
		})
	}
}

// open is a node that is stopped with the test.
func open(t *testing.T, c app.Config) *app.App {
	t.Helper()
	a, err := app.New(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Stop)
	return a
}

func ask(a *app.App, tenant, method, path, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+superuser)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Tandem-Tenant", tenant)
	w := httptest.NewRecorder()
	a.Handler().ServeHTTP(w, r)
	return w
}

// No face of the node is outside of the rate of a tenant.
func TestEveryFaceCountsAgainstTheRate(t *testing.T) {
	for _, path := range []string{"GET /tmf-api/party/v4/individual", "GET /tandem-api/network/v1/element", "POST /tandem-api/stock/v1/simCard",
		"POST /tandem-api/setup/v1/mobile", "GET /access/v1/me", "GET /transfer/x.json", "GET /verify/v1/report"} {
		t.Run(path, func(t *testing.T) {
			a := open(t, app.Config{Data: t.TempDir(), Tenant: "host", AdminToken: superuser, Rate: 2, Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
			method, path, _ := strings.Cut(path, " ")
			for n := range 3 {
				w := ask(a, "host", method, path, "{}")
				if refused := w.Code == http.StatusTooManyRequests; refused != (n == 2) {
					t.Errorf("request %d: %d %s", n+1, w.Code, w.Body)
				}
			}
		})
	}
}

// A brand is set up over the node's own API, once.
func TestABrandIsSetUpByItsAdministrator(t *testing.T) {
	each(t, func(t *testing.T, c app.Config) {
		a := open(t, c)
		for _, s := range []struct {
			tenant, method, path, body string
			want                       int
		}{
			{"host", "POST", "/access/v1/tenants", `{"id":"bluebird","name":"Bluebird"}`, 201},
			{"bluebird", "POST", "/tandem-api/setup/v1/mobile", "", 204},
			{"bluebird", "POST", "/tandem-api/setup/v1/mobile", "", 409},
			{"bluebird", "POST", "/tmf-api/resourcePoolManagement/v1/push", `{"resourcePool":{"id":"msisdn"},"first":"46700000000","last":"46700000999"}`, 201},
			{"bluebird", "GET", "/tmf-api/productCatalogManagement/v4/productOffering/mobile-flat-m", "", 200},
			{"host", "GET", "/tmf-api/productCatalogManagement/v4/productOffering/mobile-flat-m", "", 404},
		} {
			if w := ask(a, s.tenant, s.method, s.path, s.body); w.Code != s.want {
				t.Errorf("%s %s: %d %s, want %d", s.method, s.path, w.Code, w.Body, s.want)
			}
		}
	})
}

// The lab takes the name of no element that somebody has configured.
func TestTheLabLeavesARealElementAlone(t *testing.T) {
	each(t, func(t *testing.T, c app.Config) {
		a := open(t, c)
		if w := ask(a, "host", "PUT", "/tandem-api/network/v1/element/hlr", `{"type":"osmo-hlr","address":"192.0.2.1:4259","vty":"192.0.2.1:4258","enabled":false}`); w.Code != 200 {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		a.Stop()
		c.Lab = true
		a = open(t, c)
		if err := a.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		err := a.DB.Read(t.Context(), store.Scope{Tenant: "host"}, func(tx *store.Tx) error {
			e, err := activation.Resolve(tx, "hlr")
			if e.Address != "192.0.2.1:4259" || e.Enabled {
				t.Errorf("the element is now %+v", e)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	})
}

// Every API that is served is somebody's daily work, not only the administrator's.
func TestEveryAPIIsInARole(t *testing.T) {
	a := open(t, app.Config{Data: t.TempDir(), Tenant: "host", AdminToken: superuser, Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	var roles []struct {
		ID          string
		Permissions []struct {
			API, Kind string
			Verbs     []string
		}
	}
	if w := ask(a, "host", "GET", "/access/v1/roles", ""); json.Unmarshal(w.Body.Bytes(), &roles) != nil || len(roles) == 0 {
		t.Fatalf("roles: %d %s", w.Code, w.Body)
	}
	in := func(api, verb string) bool {
		for _, r := range roles {
			for _, p := range r.Permissions {
				if r.ID != "admin" && r.ID != "reader" && p.API == api && (slices.Contains(p.Verbs, verb) || slices.Contains(p.Verbs, "*")) {
					return true
				}
			}
		}
		return false
	}
	for _, k := range app.Kinds() {
		m := k.Meta()
		for verb, served := range map[string]bool{"read": true, "create": m.Verbs&tmf.Post != 0, "update": m.Verbs&tmf.Patch != 0} {
			if m.API == &subscription.API && verb != "read" {
				continue // products come of orders; who writes them by hand is moving house
			}
			if served && !in(m.API.ID, verb) {
				t.Errorf("nobody but the administrator may %s %s %s", verb, m.API.ID, m.Name)
			}
		}
	}
	for api, verb := range map[string]string{"network": "update", "verify": "read"} {
		if !in(api, verb) {
			t.Errorf("nobody but the administrator may %s %s", verb, api)
		}
	}
}
