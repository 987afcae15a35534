package app

import (
	"errors"
	"net/http"

	"github.com/go-json-experiment/json"

	"tandem/app/broadband"
	"tandem/kit/access"
	"tandem/kit/fault"
	"tandem/kit/store"
	"tandem/kit/tmf"
	"tandem/oss/activation"
)

// Fixed lines: what a brand begins with, and the password that a customer puts into
// his router; customer care may read it, and who asks is written down. A new one comes
// with a modify order that raises the characteristic passwordIssue of the line.
//
//	POST /tandem-api/setup/v1/broadband
//	GET  /tandem-api/broadband/v1/login/{login}   {"login": "...", "password": "..."}
const (
	setupLines = "/tandem-api/setup/v1/broadband"
	loginRoute = "/tandem-api/broadband/v1/login/{login}"

	broadbandAPI = "BROADBAND" // what a permission names
)

// login is a login on the wire.
type login struct {
	Login    string `json:"login"`
	Password string `json:"password"`
}

// setUpBroadband installs package broadband for the tenant of the caller.
func (a *App) setUpBroadband(w http.ResponseWriter, r *http.Request) {
	if err := a.install(r, "setup.broadband", broadband.Kinds(), broadband.Install); err != nil {
		tmf.WriteError(w, r, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// getLogin answers with the password of a login.
func (a *App) getLogin(w http.ResponseWriter, r *http.Request) {
	l, err := a.loginOf(r)
	if err != nil {
		tmf.WriteError(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.MarshalWrite(w, l) // the client went away: nobody is left to tell
}

// loginOf reads a login that the caller's tenant has on the access server.
func (a *App) loginOf(r *http.Request) (l login, err error) {
	caller, err := a.Guard.Authenticate(r)
	if err != nil {
		return l, err
	}
	// To read all there is must not be enough to log in as a customer.
	if !caller.Allow(broadbandAPI, "login", tmf.VerbUpdate) {
		return l, fault.Denied("notAllowed", "You may not read passwords of logins; ask your administrator for the permission")
	}
	l.Login = r.PathValue("login")
	scope := store.Scope{Tenant: caller.Tenant, Actor: caller.Actor}
	if err := a.DB.Write(r.Context(), scope, func(tx *store.Tx) error {
		if err := activation.Holds(tx, activation.Place{Element: broadband.Element, Type: "radiusUser", Key: l.Login}); err != nil {
			return err
		}
		return access.Audit(tx, "login.read", "login:"+l.Login, nil, nil)
	}); err != nil {
		return l, err
	}
	u, err := a.register.Find(r.Context(), l.Login)
	if errors.Is(err, store.ErrNotFound) {
		return l, fault.Missing("login", l.Login)
	}
	if err != nil {
		return l, err
	}
	password, err := u.Password()
	l.Password = string(password)
	return l, err
}
