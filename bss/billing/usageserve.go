package billing

import (
	"net/http"
	"net/url"
	"strconv"

	"tandem/kit/fault"
	"tandem/kit/store"
	"tandem/kit/tmf"
)

// UsagePages give the usage records of a bill's lines, which an explanation shows the newest of.
//
//	GET .../billExplanation/{id}/usage?line=3&cursor=C&limit=100
type UsagePages struct {
	DB           *store.DB
	Authenticate func(*http.Request) (*tmf.Caller, error)
}

// BillUsagePage is a page of them; moreUsage is where the next one is, absent at the end.
type BillUsagePage struct {
	Bill  *tmf.Ref     `json:"bill"`
	Line  string       `json:"line"`
	Usage []UsageEntry `json:"usage"`
	More  string       `json:"moreUsage,omitzero"`
}

const usagePage = 100 // records, if the client does not say

// Routes puts them behind the guard that admits requests.
func (s *UsagePages) Routes(mux *http.ServeMux, admit func(http.Handler) http.Handler) {
	mux.Handle("GET "+ItemAPI.Base+"/billExplanation/{id}/usage", admit(http.HandlerFunc(s.give)))
}

func (s *UsagePages) give(w http.ResponseWriter, r *http.Request) {
	page, err := s.page(r)
	var body []byte
	if err == nil {
		body, err = tmf.Encode(page)
	}
	if err != nil {
		tmf.WriteError(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "private, no-store")
	_, _ = w.Write(body) // the client went away: nobody is left to tell
}

func (s *UsagePages) page(r *http.Request) (*BillUsagePage, error) {
	caller, err := s.Authenticate(r)
	if err != nil {
		return nil, err
	}
	if !caller.Allow(ItemAPI.ID, Explanations.Name, tmf.VerbRead) {
		return nil, fault.Denied("notAllowed", "You may not read explanations of bills; ask your administrator for the permission")
	}
	q, limit := r.URL.Query(), usagePage
	if text := q.Get("limit"); text != "" {
		if limit, err = strconv.Atoi(text); err != nil || limit < 1 {
			return nil, fault.BadInput("badLimit", "limit is a number from 1 to %d, not %.40q", maxUsagePage, text)
		}
	}
	bill, line := r.PathValue("id"), q.Get("line")
	if line == "" {
		return nil, fault.BadInput("mandatoryAttributeMissing", "line is required: the id of a line of the bill")
	}
	p := &BillUsagePage{Bill: &tmf.Ref{ID: bill, Href: BillAPI.Base + "/customerBill/" + bill, ReferredType: "CustomerBill"}, Line: line}
	next := ""
	err = s.DB.Read(r.Context(), store.Scope{Tenant: caller.Tenant, Actor: caller.Actor}, func(tx *store.Tx) (err error) {
		p.Usage, next, err = BillUsageOf(tx, bill, line, q.Get("cursor"), limit)
		return err
	})
	if p.Usage == nil {
		p.Usage = []UsageEntry{}
	}
	p.More = moreUsage(bill, line, next)
	return p, err
}

// moreUsage is where the page behind a cursor is, "" at the end.
func moreUsage(bill, line, cursor string) string {
	if cursor == "" {
		return ""
	}
	return ItemAPI.Base + "/billExplanation/" + bill + "/usage?" + url.Values{"line": {line}, "cursor": {cursor}}.Encode()
}
