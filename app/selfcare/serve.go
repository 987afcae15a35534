package selfcare

import (
	"io"
	"net/http"

	"github.com/go-json-experiment/json"

	"tandem/kit/access"
	"tandem/kit/fault"
	"tandem/kit/store"
	"tandem/kit/tmf"
)

const maxBody = 16 << 10 // octets

// Server serves self-care.
type Server struct {
	DB    *store.DB
	Guard *access.Guard
	Admit func(w http.ResponseWriter, tenant string) error // counts a request of staff against the tenant's rate
	Rate  float64                                          // requests a second of all customers of a tenant; 0: no limit

	rates rates
}

// TokenRoute is where staff make and end customers' tokens.
const TokenRoute = "/tandem-api/selfcare/v1/token"

// Routes mounts all of it.
func (s *Server) Routes(mux *http.ServeMux) {
	mux.HandleFunc("POST "+TokenRoute, s.staff(tmf.VerbCreate, http.StatusCreated, func(tx *store.Tx, customer string) (any, error) { return Issue(tx, customer) }))
	mux.HandleFunc("DELETE "+TokenRoute, s.staff(tmf.VerbDelete, http.StatusNoContent, func(tx *store.Tx, customer string) (any, error) { return nil, Revoke(tx, customer) }))
	mux.HandleFunc("GET /selfcare/v1/lines", s.reading(func(tx *store.Tx, c caller, _ *http.Request) (any, error) { return c.lines(tx) }))
	mux.HandleFunc("GET /selfcare/v1/lines/{line}/packs", s.reading(func(tx *store.Tx, c caller, r *http.Request) (any, error) { return c.packs(tx, r.PathValue("line")) }))
	mux.HandleFunc("GET /selfcare/v1/lines/{line}/usage", s.reading(func(tx *store.Tx, c caller, r *http.Request) (any, error) {
		return c.usage(tx, r.PathValue("line"), r.URL.Query())
	}))
	mux.HandleFunc("GET /selfcare/v1/lines/{line}/statement", s.reading(func(tx *store.Tx, c caller, r *http.Request) (any, error) {
		return c.statement(tx, r.PathValue("line"), r.URL.Query())
	}))
	mux.HandleFunc("GET /selfcare/v1/orders/{order}", s.reading(func(tx *store.Tx, c caller, r *http.Request) (any, error) { return c.order(tx, r.PathValue("order")) }))
	mux.HandleFunc("POST /selfcare/v1/orders", s.served(s.postOrder))
	mux.HandleFunc("/selfcare/", s.served(func(_ caller, _ http.ResponseWriter, r *http.Request) error {
		return fault.New(fault.NotFound, "notFound", "There is nothing at %s %s", r.Method, r.URL.Path)
	}))
}

// served lets known customers in, and answers refusals.
func (s *Server) served(fn func(c caller, w http.ResponseWriter, r *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		c, err := s.authenticate(r)
		if err == nil {
			err = s.rates.admit(w, c, s.Rate)
		}
		if err == nil {
			err = fn(c, w, r)
		}
		if err != nil {
			tmf.WriteError(w, r, err)
		}
	}
}

func (s *Server) reading(fn func(tx *store.Tx, c caller, r *http.Request) (any, error)) http.HandlerFunc {
	return s.served(func(c caller, w http.ResponseWriter, r *http.Request) error {
		var out any
		err := s.DB.Read(r.Context(), c.scope(), func(tx *store.Tx) (err error) {
			out, err = fn(tx, c, r)
			return err
		})
		if err != nil {
			return err
		}
		return answer(w, http.StatusOK, out)
	})
}

func (s *Server) postOrder(c caller, w http.ResponseWriter, r *http.Request) error {
	var in Purchase
	if err := body(w, r, &in); err != nil {
		return err
	}
	var out Order
	err := s.DB.Write(r.Context(), c.scope(), func(tx *store.Tx) (err error) {
		out, err = c.buy(tx, in)
		return err
	})
	if err != nil {
		return err
	}
	return answer(w, http.StatusCreated, out)
}

// staff lets those in whose roles allow it, who name a customer: {"customer": "..."}.
func (s *Server) staff(verb string, status int, fn func(tx *store.Tx, customer string) (any, error)) http.HandlerFunc {
	do := func(w http.ResponseWriter, r *http.Request) error {
		caller, err := s.Guard.Authenticate(r)
		if err != nil {
			return err
		}
		if err := s.Admit(w, caller.Tenant); err != nil {
			return err
		}
		if !caller.Allow(API, tokenKind, verb) {
			return fault.Denied("notAllowed", "You may not %s tokens of customers; ask your administrator for the permission", verb)
		}
		var in struct {
			Customer string `json:"customer"`
		}
		if err := body(w, r, &in); err != nil {
			return err
		}
		var out any
		err = s.DB.Write(r.Context(), store.Scope{Tenant: caller.Tenant, Actor: caller.Actor}, func(tx *store.Tx) (err error) {
			out, err = fn(tx, in.Customer)
			return err
		})
		if err != nil {
			return err
		}
		return answer(w, status, out)
	}
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		if err := do(w, r); err != nil {
			tmf.WriteError(w, r, err)
		}
	}
}

func body(w http.ResponseWriter, r *http.Request, into any) error {
	doc, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		return fault.BadInput("badBody", "The body has more than %d octets, or did not arrive", maxBody)
	}
	if err := json.Unmarshal(doc, into, json.RejectUnknownMembers(true)); err != nil {
		return fault.BadInput("badBody", "The body cannot be read: %v", err)
	}
	return nil
}

func answer(w http.ResponseWriter, status int, out any) error {
	if out == nil {
		w.WriteHeader(status)
		return nil
	}
	doc, err := json.Marshal(out)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(doc) // the client went away: nobody is left to tell
	return nil
}
