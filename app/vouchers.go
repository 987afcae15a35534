package app

import (
	"io"
	"net/http"

	"github.com/go-json-experiment/json"

	"tandem/bss/charging"
	"tandem/kit/fault"
	"tandem/kit/store"
	"tandem/kit/tmf"
)

// The PINs of a voucher batch are made by this route and shown in its answer, once:
// no resource may hold them.
//
//	POST /tandem-api/charging/v1/voucherPrint  {"batch":"..."}  ->  [{"serial":"...","pin":"..."}]
const printRoute = "/tandem-api/charging/v1/voucherPrint"

// voucherPrint is what a permission to print a batch names, with the verb create.
const voucherPrint = "voucherPrint"

func (a *App) printVouchers(w http.ResponseWriter, r *http.Request) {
	out, err := a.newVouchers(w, r)
	if err != nil {
		tmf.WriteError(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusCreated)
	_ = json.MarshalWrite(w, out) // the client went away: nobody is left to tell
}

func (a *App) newVouchers(w http.ResponseWriter, r *http.Request) (out []charging.PrintedVoucher, err error) {
	caller, err := a.Guard.Authenticate(r)
	if err != nil {
		return nil, err
	}
	if !caller.Allow(charging.OwnAPI.ID, voucherPrint, tmf.VerbCreate) {
		return nil, fault.Denied("notAllowed", "You may not print vouchers; ask your administrator for the permission")
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 4096))
	if err != nil {
		return nil, fault.BadInput("badBody", "The body is {\"batch\": \"...\"}")
	}
	var in struct {
		Batch string `json:"batch"`
	}
	if err := json.Unmarshal(body, &in, json.RejectUnknownMembers(true)); err != nil || in.Batch == "" {
		return nil, fault.BadInput("badBody", "The body is {\"batch\": \"...\"}")
	}
	err = a.DB.Write(r.Context(), store.Scope{Tenant: caller.Tenant, Actor: caller.Actor}, func(tx *store.Tx) error {
		out, err = a.Charging.Print(tx, in.Batch)
		return err
	})
	return out, err
}
