package app

import (
	"net/http"

	"tandem/app/mobile"
	"tandem/kit/access"
	"tandem/kit/fault"
	"tandem/kit/store"
	"tandem/kit/tmf"
)

// A brand begins with what every brand of mobile SIMs has: specifications, a small
// catalogue and empty pools, which it then changes as its own. It is done once.
//
//	POST /tandem-api/setup/v1/mobile
const setupRoute = "/tandem-api/setup/v1/mobile"

// setUpMobile installs package mobile for the tenant of the caller.
func (a *App) setUpMobile(w http.ResponseWriter, r *http.Request) {
	if err := a.install(r, "setup.mobile", mobile.Kinds(), mobile.Install); err != nil {
		tmf.WriteError(w, r, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// install makes resources of the kinds for the tenant of the caller, who must be
// allowed to create each of the kinds one by one.
func (a *App) install(r *http.Request, what string, kinds []tmf.Mounted, install func(*store.Tx) error) error {
	caller, err := a.Guard.Authenticate(r)
	if err != nil {
		return err
	}
	for _, k := range kinds {
		if m := k.Meta(); !caller.Allow(m.API.ID, m.Name, tmf.VerbCreate) {
			return fault.Denied("notAllowed", "You may not create %s, which is part of it; ask your administrator for the permission", m.Name)
		}
	}
	return a.DB.Write(r.Context(), store.Scope{Tenant: caller.Tenant, Actor: caller.Actor}, func(tx *store.Tx) error {
		if err := install(tx); err != nil {
			return err
		}
		return access.Audit(tx, what, "tenant:"+tx.Tenant(), nil, nil)
	})
}
