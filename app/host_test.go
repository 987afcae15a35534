package app

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"tandem/kit/store"
	"tandem/kit/store/storetest"
)

// The host is the oldest tenant that owns a network, and not the one whose name comes
// first.
func TestTheHostIsChosenByItsRole(t *testing.T) {
	for _, engine := range []store.Dialect{store.SQLite, store.Postgres} {
		t.Run(engine.String(), func(t *testing.T) {
			const token = "a-superuser-token-for-tests"
			a, err := New(t.Context(), Config{Data: t.TempDir(), Database: storetest.Config(t, engine).URL, Tenant: "zulu", AdminToken: token,
				Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(a.Stop)
			for _, body := range []string{`{"id":"alpha","name":"Alpha"}`, `{"id":"beta","name":"Beta","role":"host"}`} {
				r := httptest.NewRequest(http.MethodPost, "/access/v1/tenants", strings.NewReader(body))
				r.Header.Set("Authorization", "Bearer "+token)
				r.Header.Set("Content-Type", "application/json")
				w := httptest.NewRecorder()
				a.Handler().ServeHTTP(w, r)
				if w.Code != http.StatusCreated {
					t.Fatalf("%s: %d %s", body, w.Code, w.Body)
				}
				if got, err := a.host(t.Context()); got != "zulu" || err != nil {
					t.Errorf("the host is %q, %v", got, err)
				}
			}
		})
	}
}
