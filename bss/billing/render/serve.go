package render

import (
	"cmp"
	"net/http"
	"strconv"

	"tandem/bss/billing"
	"tandem/bss/charging"
	"tandem/kit/access"
	"tandem/kit/fault"
	"tandem/kit/store"
	"tandem/kit/tmf"
)

// Server gives bills to whoever may read them. More of the usage on them than the account
// has shown (its itemisation) is for those who may read usage (TMF635), and is audited.
//
//	GET .../customerBill/{id}/document?format=pdf|html|ubl|cii&usage=none|masked|full
type Server struct {
	DB           *store.DB
	Authenticate func(*http.Request) (*tmf.Caller, error)
}

// Routes puts them behind the guard that admits requests.
func (s *Server) Routes(mux *http.ServeMux, admit func(http.Handler) http.Handler) {
	mux.Handle("GET "+billing.BillAPI.Base+"/customerBill/{id}/document", admit(http.HandlerFunc(s.give)))
}

// give reads the bill on one snapshot, and draws it when the store is let go of.
func (s *Server) give(w http.ResponseWriter, r *http.Request) {
	f, err := s.file(r)
	if err != nil {
		tmf.WriteError(w, r, err)
		return
	}
	h := w.Header()
	h.Set("Content-Type", f.Media)
	h.Set("Content-Disposition", `inline; filename="`+f.Name+`"`)
	h.Set("Content-Length", strconv.Itoa(len(f.Data)))
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "private, no-store")
	_, _ = w.Write(f.Data) // the client went away: nobody is left to tell
}

func (s *Server) file(r *http.Request) (*File, error) {
	caller, err := s.Authenticate(r)
	if err != nil {
		return nil, err
	}
	if !caller.Allow(billing.BillAPI.ID, billing.CustomerBills.Name, tmf.VerbRead) {
		return nil, fault.Denied("notAllowed", "You may not read bills; ask your administrator for the permission")
	}
	var p *billing.Paper
	bill, query := r.PathValue("id"), r.URL.Query()
	asked := billing.Itemising{As: query.Get("usage"), More: caller.Allow(charging.UsageAPI.ID, charging.Usages.Name, tmf.VerbRead)}
	scope := store.Scope{Tenant: caller.Tenant, Actor: caller.Actor}
	if err := s.DB.Snapshot(r.Context(), scope, func(tx *store.Tx) (err error) {
		p, err = billing.ReadPaper(tx, bill, asked)
		return err
	}); err != nil {
		return nil, err
	}
	f, err := Make(p, cmp.Or(query.Get("format"), PDF))
	if err != nil || len(p.Beyond) == 0 {
		return f, err
	}
	return f, s.DB.Write(r.Context(), scope, func(tx *store.Tx) error { // nothing is given that is not on record
		return access.Audit(tx, "bill.usage", "customerBill:"+bill, nil, shownUsage{asked.As, p.Beyond})
	})
}

// shownUsage is what the audit says of usage that was shown: how, and of which accounts.
type shownUsage struct {
	Usage          string   `json:"usage"`
	BillingAccount []string `json:"billingAccount"`
}
