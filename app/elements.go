package app

import (
	"net/http"

	"github.com/go-json-experiment/json"

	"tandem/kit/access"
	"tandem/kit/fault"
	"tandem/kit/store"
	"tandem/kit/tmf"
	"tandem/oss/activation"
)

// Elements of the network and who may use them. The host configures its elements
// here; a brand uses one only by an explicit grant.
//
//	GET    /tandem-api/network/v1/element                  what the tenant may use
//	PUT    /tandem-api/network/v1/element/{name}           {"type":"osmo-hlr","address":"10.0.0.1:4259","vty":"10.0.0.1:4258","enabled":true}
//	DELETE /tandem-api/network/v1/element/{name}
//	PUT    /tandem-api/network/v1/element/{name}/grant/{tenant}   {"prefix":"24001"} of the keys it may touch
//	DELETE /tandem-api/network/v1/element/{name}/grant/{tenant}
const networkBase = "/tandem-api/network/v1/element"

const maxElementBody = 64 << 10

// elementVerb does what a route is for; in is the body of a PUT.
type elementVerb func(tx *store.Tx, r *http.Request, in element) (any, error)

// element is an element on the wire.
type element struct {
	Name        string `json:"name,omitzero"`
	Owner       string `json:"owner,omitzero"`
	Type        string `json:"type,omitzero"`
	Address     string `json:"address,omitzero"`
	VTY         string `json:"vty,omitzero"`
	Rate        int64  `json:"rate,omitzero"`
	Concurrency int64  `json:"concurrency,omitzero"`
	Enabled     bool   `json:"enabled"`
	Note        string `json:"note,omitzero"`
	Prefix      string `json:"prefix,omitzero"`
}

func (a *App) elementRoutes(mux *http.ServeMux) {
	mux.Handle("GET "+networkBase, a.element(tmf.VerbRead, listElements))
	mux.Handle("PUT "+networkBase+"/{name}", a.element(tmf.VerbUpdate, putElement))
	mux.Handle("DELETE "+networkBase+"/{name}", a.element(tmf.VerbDelete, deleteElement))
	mux.Handle("PUT "+networkBase+"/{name}/grant/{tenant}", a.element(tmf.VerbUpdate, putGrant))
	mux.Handle("DELETE "+networkBase+"/{name}/grant/{tenant}", a.element(tmf.VerbUpdate, deleteGrant))
}

// element answers a request that do carries out in one transaction; who may has
// the permission for element of the API "network".
func (a *App) element(verb string, do elementVerb) http.Handler {
	return a.admitted(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		out, err := a.elementAnswer(w, r, verb, do)
		if err != nil {
			tmf.WriteError(w, r, err)
			return
		}
		if out == nil {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.MarshalWrite(w, out) // the client went away: nobody is left to tell
	}))
}

func (a *App) elementAnswer(w http.ResponseWriter, r *http.Request, verb string, do elementVerb) (out any, err error) {
	caller, err := a.Guard.Authenticate(r)
	if err != nil {
		return nil, err
	}
	if !caller.Allow("network", "element", verb) {
		return nil, fault.Denied("notAllowed", "You may not %s elements; ask your administrator for the permission", verb)
	}
	if verb != tmf.VerbRead && !caller.Host() {
		return nil, fault.Denied("hostOnly", "Only a host configures elements; a brand is granted their use")
	}
	s := store.Scope{Tenant: caller.Tenant, Actor: caller.Actor}
	run := a.DB.Write
	if verb == tmf.VerbRead {
		run = a.DB.Read
	}
	body := element{}
	if r.Method == http.MethodPut {
		text, err := tmf.ReadBody(w, r, maxElementBody)
		if err != nil {
			return nil, err
		}
		if err := json.Unmarshal(text, &body, json.RejectUnknownMembers(true)); err != nil {
			return nil, fault.BadInput("malformedJSON", "The body is not an element: see the attributes of this route")
		}
	}
	err = run(r.Context(), s, func(tx *store.Tx) error {
		out, err = do(tx, r, body)
		return err
	})
	return out, err
}

func listElements(tx *store.Tx, _ *http.Request, _ element) (any, error) {
	found, err := activation.Elements(tx)
	out := []element{}
	for _, e := range found {
		shown := element{Name: e.Name, Owner: e.Owner, Type: e.Type, Enabled: e.Enabled, Note: e.Note, Prefix: e.Prefix}
		if e.Owner == tx.Tenant() { // where the host's elements are is not the brands' business
			shown.Address, shown.VTY, shown.Rate, shown.Concurrency = e.Address, e.VTY, e.Rate, e.Concurrency
		}
		out = append(out, shown)
	}
	return out, err
}

// was is an element of the tenant of tx as it stands, for the audit; nil if there is none.
func was(tx *store.Tx, name string) (any, error) {
	all, err := listElements(tx, nil, element{})
	if err != nil {
		return nil, err
	}
	for _, e := range all.([]element) {
		if e.Name == name && e.Owner == tx.Tenant() {
			return e, nil
		}
	}
	return nil, nil
}

// granted is what the tenant of tx has granted of an element, for the audit; nil for
// nothing.
func granted(tx *store.Tx, name, grantee string) (any, error) {
	all, err := activation.Elements(tx.As(store.Scope{Tenant: grantee, Actor: tx.Actor()}))
	if err != nil {
		return nil, err
	}
	for _, e := range all {
		if e.Name == name && e.Owner == tx.Tenant() {
			return map[string]string{"element": name, "tenant": grantee, "prefix": e.Prefix}, nil
		}
	}
	return nil, nil
}

func putElement(tx *store.Tx, r *http.Request, in element) (any, error) {
	e := activation.Element{Name: r.PathValue("name"), Type: in.Type, Address: in.Address, VTY: in.VTY, Rate: in.Rate,
		Concurrency: in.Concurrency, Enabled: in.Enabled, Note: in.Note}
	before, err := was(tx, e.Name)
	if err != nil {
		return nil, err
	}
	if err := activation.SaveElement(tx, e); err != nil {
		return nil, err
	}
	in.Name, in.Owner = e.Name, tx.Tenant()
	return in, access.Audit(tx, "element.put", "element:"+e.Name, before, in)
}

func deleteElement(tx *store.Tx, r *http.Request, _ element) (any, error) {
	name := r.PathValue("name")
	before, err := was(tx, name)
	if err != nil {
		return nil, err
	}
	if err := activation.RemoveElement(tx, name); err != nil {
		return nil, err
	}
	return nil, access.Audit(tx, "element.delete", "element:"+name, before, nil)
}

func putGrant(tx *store.Tx, r *http.Request, in element) (any, error) {
	name, tenant, prefix := r.PathValue("name"), r.PathValue("tenant"), in.Prefix
	before, err := granted(tx, name, tenant)
	if err != nil {
		return nil, err
	}
	if err := activation.Grant(tx, name, tenant, prefix); err != nil {
		return nil, err
	}
	grant := map[string]string{"element": name, "tenant": tenant, "prefix": prefix}
	return grant, access.Audit(tx, "element.grant", "element:"+name, before, grant)
}

func deleteGrant(tx *store.Tx, r *http.Request, _ element) (any, error) {
	name, tenant := r.PathValue("name"), r.PathValue("tenant")
	before, err := granted(tx, name, tenant)
	if err != nil {
		return nil, err
	}
	if err := activation.Revoke(tx, name, tenant); err != nil {
		return nil, err
	}
	return nil, access.Audit(tx, "element.revoke", "element:"+name, before, nil)
}
