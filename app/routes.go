package app

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/pprof"
	"path/filepath"
	"strings"
	"time"

	"tandem/app/selfcare"
	"tandem/bss/billing"
	"tandem/bss/billing/render"
	"tandem/bss/ledger"
	"tandem/bss/receivable"
	"tandem/kit/fault"
	"tandem/kit/store"
	"tandem/kit/tmf"
	"tandem/kit/transfer"
)

// routes puts the faces of the operator side by side.
func (a *App) routes() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/tmf-api/", a.API)
	mux.Handle("/tandem-api/", a.API)
	mux.Handle(receivable.PaymentAPI.Base+"/", a.API) // TMF676 alone has another root
	mux.HandleFunc("GET /tmf-api", a.index)
	mux.Handle("POST "+stockRoute, a.admitted(http.HandlerFunc(a.postCards)))
	mux.Handle("POST "+printRoute, a.admitted(http.HandlerFunc(a.printVouchers)))
	mux.Handle("POST "+setupRoute, a.admitted(http.HandlerFunc(a.setUpMobile)))
	mux.Handle("POST "+setupLines, a.admitted(http.HandlerFunc(a.setUpBroadband)))
	mux.Handle("GET "+loginRoute, a.admitted(http.HandlerFunc(a.getLogin)))
	a.elementRoutes(mux)
	a.mediator.Routes(mux, a.authenticate, a.admitted)
	(&billing.UsagePages{DB: a.DB, Authenticate: a.authenticate}).Routes(mux, a.admitted)
	(&ledger.Server{DB: a.DB, Authenticate: a.authenticate}).Routes(mux, a.admitted)
	(&render.Server{DB: a.DB, Authenticate: a.authenticate}).Routes(mux, a.admitted)
	(&receivable.BankFiles{DB: a.DB, Authenticate: a.authenticate}).Routes(mux, a.admitted)
	(&receivable.Reports{DB: a.DB, Authenticate: a.authenticate}).Routes(mux, a.admitted)
	a.cards.Routes(mux)
	(&selfcare.Server{DB: a.DB, Guard: a.Guard, Admit: a.API.Admit, Rate: a.Rate}).Routes(mux)
	mux.Handle("/access/", a.admitted(a.Guard.Handler()))
	mux.Handle("/transfer/", a.admitted(transfer.Handler(filepath.Join(a.Data, "transfer"), a.fetcher)))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, r *http.Request) { answer(w, http.StatusOK, "alive") })
	mux.HandleFunc("GET /readyz", a.readyz)
	mux.Handle("GET /verify/v1/report", a.admitted(http.HandlerFunc(a.report)))
	mux.Handle("GET /metrics", a.metrics.handler(a))
	mux.HandleFunc("GET /{$}", a.welcome)
	if a.Profile {
		mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	}
	return a.metrics.count(mux)
}

func answer(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text + "\n")) // the client went away: nobody is left to tell
}

// readyz says whether the node takes work: started, and the store answers.
func (a *App) readyz(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
	defer cancel()
	if !a.ready.Load() {
		answer(w, http.StatusServiceUnavailable, "not started")
		return
	}
	if err := a.DB.Ready(ctx); err != nil {
		a.Log.Warn("not ready", "error", err)
		answer(w, http.StatusServiceUnavailable, "the store does not answer")
		return
	}
	answer(w, http.StatusOK, "ready")
}

// index lists the APIs with their documents.
func (a *App) index(w http.ResponseWriter, r *http.Request) {
	type api struct{ ID, Name, Version, Base, OpenAPI string }
	var out []api
	for _, x := range a.API.APIs() {
		out = append(out, api{x.ID, x.Name, x.Version, x.Base, x.Base + "/openapi.json"})
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(out) // the client went away: nobody is left to tell
}

func (a *App) welcome(w http.ResponseWriter, r *http.Request) {
	answer(w, http.StatusOK, "Tandem. The APIs are listed at /tmf-api, the node's state is at /readyz and /metrics.")
}

// admitted counts a request against its tenant's rate, as the API server does with its
// own. Whom it does not know, next refuses.
func (a *App) admitted(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c, err := a.Guard.Authenticate(r); err == nil {
			if err := a.API.Admit(w, c.Tenant); err != nil {
				tmf.WriteError(w, r, err)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// authenticate turns access control's caller into the machine's.
func (a *App) authenticate(r *http.Request) (*tmf.Caller, error) {
	c, err := a.Guard.Authenticate(r)
	if err != nil {
		return nil, err
	}
	return &tmf.Caller{Tenant: c.Tenant, Actor: c.Actor, Allow: c.Allow}, nil
}

// authorize says what the one who subscribed to events may read now: nothing any
// more, if it is gone.
func (a *App) authorize(ctx context.Context, tenant, actor string) (func(api, kind, verb string) bool, error) {
	c, err := a.Guard.CallerOf(ctx, tenant, actor)
	if fault.Is(err, fault.Unauthorized) {
		return func(string, string, string) bool { return false }, nil
	}
	if err != nil {
		return nil, err
	}
	return c.Allow, nil
}

// rights are what the actor of tx may do now.
func (a *App) rights(tx *store.Tx) (transfer.Rights, error) {
	c, err := a.Guard.ActorOf(tx)
	if err != nil {
		return nil, err
	}
	return c.Allow, nil
}

// fetcher is the tenant of who asks for a file, and may have it.
func (a *App) fetcher(r *http.Request) (string, error) {
	c, err := a.Guard.Authenticate(r)
	if err != nil {
		return "", err
	}
	err = a.DB.Read(r.Context(), store.Scope{Tenant: c.Tenant, Actor: c.Actor}, func(tx *store.Tx) error {
		return transfer.MayFetch(tx, r.URL.Path, c.Allow, transfers...)
	})
	return c.Tenant, err
}

// isAPI says whether a path belongs to the machine-readable faces.
func isAPI(path string) bool {
	return strings.HasPrefix(path, "/tmf-api") || strings.HasPrefix(path, "/tandem-api") || strings.HasPrefix(path, receivable.PaymentAPI.Base) || strings.HasPrefix(path, "/access/")
}

// Handler is all the node serves, for callers in the same process.
func (a *App) Handler() http.Handler { return a.handler }
