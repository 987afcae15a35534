package charging

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"

	"tandem/kit/access"
	"tandem/kit/fault"
	"tandem/kit/store"
	"tandem/kit/tmf"
)

// What is served of mediation, beside the resources of the own API:
//
//	GET  /tandem-api/charging/v1/file?state=&source=&after=     files that came
//	GET  /tandem-api/charging/v1/file/gap                       sequence numbers that did not
//	GET  /tandem-api/charging/v1/suspense?state=&reason=&source=&file=&after=
//	GET  /tandem-api/charging/v1/suspense/amount                what lies there, by source and reason
//	POST /tandem-api/charging/v1/suspense/recycle               {"select":{...},"set":{"msisdn":"4917..."}}
//	POST /tandem-api/charging/v1/suspense/writeOff              {"reason":"noRate","before":"2026-01-01T00:00:00Z"}
//	POST /tandem-api/charging/v1/rerate                         {"tariff":7,"with":9,"from":"...","to":"..."}
//	GET  /tandem-api/charging/v1/proposal?state=
//	POST /tandem-api/charging/v1/proposal/{id}/approve, /reject
const (
	maxMediationBody = 64 << 10
	filesAtOnce      = 100
)

// mediationVerb does what a route is for.
type mediationVerb func(m *Mediator, tx *store.Tx, r *http.Request) (any, error)

var mediationRoutes = []struct {
	pattern, kind, verb string
	do                  mediationVerb
}{
	{"GET /file", "file", tmf.VerbRead, serveFiles},
	{"GET /file/gap", "file", tmf.VerbRead, func(_ *Mediator, tx *store.Tx, _ *http.Request) (any, error) { return some(Gaps(tx)) }},
	{"GET /suspense", "suspense", tmf.VerbRead, serveCases},
	{"GET /suspense/amount", "suspense", tmf.VerbRead, func(_ *Mediator, tx *store.Tx, _ *http.Request) (any, error) { return some(Suspended(tx)) }},
	{"POST /suspense/recycle", "suspense", tmf.VerbUpdate, serveRecycle},
	{"POST /suspense/writeOff", "suspense", tmf.VerbUpdate, serveWriteOff},
	{"POST /rerate", "rerating", tmf.VerbCreate, serveRerate},
	{"GET /proposal", "proposal", tmf.VerbRead, func(_ *Mediator, tx *store.Tx, r *http.Request) (any, error) {
		return some(Proposals(tx, r.URL.Query().Get("state")))
	}},
	{"POST /proposal/{id}/approve", "proposal", tmf.VerbUpdate, serveDecision(true)},
	{"POST /proposal/{id}/reject", "proposal", tmf.VerbUpdate, serveDecision(false)},
}

// Routes serves mediation; authenticate says who asks, and what they may.
func (m *Mediator) Routes(mux *http.ServeMux, authenticate func(*http.Request) (*tmf.Caller, error), admit func(http.Handler) http.Handler) {
	for _, route := range mediationRoutes {
		method, path, _ := strings.Cut(route.pattern, " ")
		mux.Handle(method+" "+OwnAPI.Base+path, admit(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			out, err := m.answer(w, r, authenticate, route.kind, route.verb, route.do)
			if err != nil {
				tmf.WriteError(w, r, err)
				return
			}
			w.Header().Set("Content-Type", "application/json")
			_ = json.MarshalWrite(w, out) // the client went away: nobody is left to tell
		})))
	}
}

func (m *Mediator) answer(w http.ResponseWriter, r *http.Request, authenticate func(*http.Request) (*tmf.Caller, error), kind, verb string, do mediationVerb) (out any, err error) {
	caller, err := authenticate(r)
	if err != nil {
		return nil, err
	}
	if !caller.Allow(OwnAPI.ID, kind, verb) {
		return nil, fault.Denied("notAllowed", "You may not %s %s; ask your administrator for the permission", verb, kind)
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxMediationBody)
	run := m.room.DB.Write
	if verb == tmf.VerbRead {
		run = m.room.DB.Read
	}
	body, err := bodyOf(r)
	if err != nil {
		return nil, err
	}
	err = run(r.Context(), store.Scope{Tenant: caller.Tenant, Actor: caller.Actor}, func(tx *store.Tx) error {
		r.Body = body() // a transaction may run again
		out, err = do(m, tx, r)
		return err
	})
	return out, err
}

// some makes no rows an empty list.
func some[T any](rows []T, err error) (any, error) {
	if rows == nil {
		rows = []T{}
	}
	return rows, err
}

// bodyOf reads the body, for a transaction that may run more than once.
func bodyOf(r *http.Request) (func() io.ReadCloser, error) {
	b, err := io.ReadAll(r.Body)
	if tooBig := (*http.MaxBytesError)(nil); errors.As(err, &tooBig) {
		return nil, fault.New(fault.TooLarge, "bodyTooLarge", "The body has at most %d bytes", maxMediationBody)
	}
	if err != nil {
		return nil, fault.BadInput("bodyIncomplete", "The request body ended early")
	}
	return func() io.ReadCloser { return io.NopCloser(bytes.NewReader(b)) }, nil
}

func decode(r *http.Request, into any) error {
	if err := json.UnmarshalRead(r.Body, into, json.RejectUnknownMembers(true)); err != nil {
		return fault.BadInput("malformedJSON", "The body cannot be read: %v", err)
	}
	return nil
}

// wholeNumber is a query parameter that must be one; none: 0.
func wholeNumber(r *http.Request, name string) (int64, error) {
	v := r.URL.Query().Get(name)
	if v == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil || n < 0 {
		return 0, fault.BadInput("badNumber", "%s is not a whole number", name)
	}
	return n, nil
}

func serveFiles(_ *Mediator, tx *store.Tx, r *http.Request) (any, error) {
	after, err := wholeNumber(r, "after")
	if err != nil {
		return nil, err
	}
	q := r.URL.Query()
	return some(Files(tx, q.Get("state"), q.Get("source"), after))
}

// Files are the files that came, oldest first.
func Files(tx *store.Tx, state, source string, after int64) ([]File, error) {
	rows, err := tx.Query("SELECT "+fileColumns+" FROM charging_file WHERE tenant = $1 AND (state = $2 OR $2 = '') AND (source = $3 OR $3 = '') AND number > $4 ORDER BY number LIMIT $5",
		state, source, after, filesAtOnce)
	return store.Collect(rows, err, scanFile)
}

func serveCases(_ *Mediator, tx *store.Tx, r *http.Request) (any, error) {
	q := r.URL.Query()
	s := Selection{State: q.Get("state"), Reason: q.Get("reason"), Source: q.Get("source")}
	var err error
	if s.After, err = wholeNumber(r, "after"); err != nil {
		return nil, err
	}
	if s.File, err = wholeNumber(r, "file"); err != nil {
		return nil, err
	}
	return some(Cases(tx, s))
}

func serveRecycle(_ *Mediator, tx *store.Tx, r *http.Request) (any, error) {
	var in Recycling
	if err := decode(r, &in); err != nil {
		return nil, err
	}
	n, err := Recycle(tx, in)
	if err != nil {
		return nil, err
	}
	out := map[string]int{"recycling": n}
	return out, access.Audit(tx, "charging.recycle", "suspense", nil, in)
}

func serveWriteOff(_ *Mediator, tx *store.Tx, r *http.Request) (any, error) {
	var in Selection
	if err := decode(r, &in); err != nil {
		return nil, err
	}
	return ProposeWriteOff(tx, in)
}

// rerated is what answers a proposal to re-rate; without an id nothing would change.
type rerated struct {
	ID     int64        `json:"id,omitzero"`
	Report RerateReport `json:"report"`
}

func serveRerate(m *Mediator, tx *store.Tx, r *http.Request) (any, error) {
	var in Rerating
	if err := decode(r, &in); err != nil {
		return nil, err
	}
	p, report, err := m.room.ProposeRerating(tx, in)
	return rerated{p.Number, report}, err
}

func serveDecision(approve bool) mediationVerb {
	return func(m *Mediator, tx *store.Tx, r *http.Request) (any, error) {
		n, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
		if err != nil {
			return nil, fault.Missing("proposal", r.PathValue("id"))
		}
		return m.room.Decide(tx, n, approve)
	}
}
