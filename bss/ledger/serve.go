package ledger

import (
	"fmt"
	"net/http"
	"time"

	"tandem/kit/civil"
	"tandem/kit/fault"
	"tandem/kit/money"
	"tandem/kit/store"
	"tandem/kit/tmf"
)

// Server gives what is no resource of its own.
//
//	GET .../trialBalance?legalEntity.id=E&date=2026-03-31   what stands on each account
//	GET .../generalLedgerExport/{id}/content                the file, as CSV
type Server struct {
	DB           *store.DB
	Authenticate func(*http.Request) (*tmf.Caller, error)
}

// Routes puts them behind the guard that admits requests.
func (s *Server) Routes(mux *http.ServeMux, admit func(http.Handler) http.Handler) {
	mux.Handle("GET "+API.Base+"/trialBalance", admit(http.HandlerFunc(s.trial)))
	mux.Handle("GET "+API.Base+"/generalLedgerExport/{id}/content", admit(http.HandlerFunc(s.content)))
}

// allowed says who asks, if they may read the kind.
func (s *Server) allowed(r *http.Request, kind string) (store.Scope, error) {
	c, err := s.Authenticate(r)
	if err != nil {
		return store.Scope{}, err
	}
	if !c.Allow(API.ID, kind, tmf.VerbRead) {
		return store.Scope{}, fault.Denied("notAllowed", "You may not read %s; ask your administrator for the permission", kind)
	}
	return store.Scope{Tenant: c.Tenant, Actor: c.Actor}, nil
}

// TrialBalance is what stands on the accounts of an entity by the end of a day.
type TrialBalance struct {
	LegalEntity *tmf.Ref       `json:"legalEntity"`
	Date        string         `json:"date"`
	ClosedTo    string         `json:"closedTo,omitzero"` // nothing changes any more up to this day
	Line        []TrialLine    `json:"line"`
	Total       []BalanceTotal `json:"total"`
}

// TrialLine is one account. It has a debit or a credit.
type TrialLine struct {
	Account   string        `json:"account"`
	GLAccount string        `json:"glAccount"`
	Name      string        `json:"name,omitzero"`
	Debit     *money.Amount `json:"debit,omitzero"`
	Credit    *money.Amount `json:"credit,omitzero"`
}

// BalanceTotal is the sum of a currency; both sides are equal.
type BalanceTotal struct {
	Debit  money.Amount `json:"debit"`
	Credit money.Amount `json:"credit"`
}

// BalanceOf is the trial balance with the accounts of the general ledger.
func BalanceOf(tx *store.Tx, entity string, on civil.Date) (*TrialBalance, error) {
	entity, err := bookOfOne(tx, entity)
	if err != nil {
		return nil, err
	}
	sums, err := Trial(tx, entity, on)
	if err != nil {
		return nil, err
	}
	accounts, err := chart(tx)
	if err != nil {
		return nil, err
	}
	b := &TrialBalance{LegalEntity: entityRef(entity), Date: on.String(), Line: []TrialLine{}}
	if closed, err := ClosedTo(tx, entity); err != nil {
		return nil, err
	} else if closed.Valid() {
		b.ClosedTo = closed.String()
	}
	at := map[string]int{}
	for _, s := range sums {
		if s.Amount == 0 {
			continue
		}
		c, err := money.ParseCurrency(s.Currency)
		if err != nil {
			return nil, err
		}
		if _, ok := at[s.Currency]; !ok {
			at[s.Currency] = len(b.Total)
			b.Total = append(b.Total, BalanceTotal{money.Amount{Currency: c}, money.Amount{Currency: c}})
		}
		l, t := TrialLine{Account: s.Account}, &b.Total[at[s.Currency]]
		l.GLAccount, l.Name = accounts.Of(s.Account)
		side, sum := &l.Debit, &t.Debit
		amount := money.Amount{Minor: s.Amount, Currency: c}
		if s.Amount < 0 {
			side, sum = &l.Credit, &t.Credit
			if amount, err = amount.Neg(); err != nil {
				return nil, err
			}
		}
		*side = &amount
		if *sum, err = sum.Add(amount); err != nil {
			return nil, err
		}
		b.Line = append(b.Line, l)
	}
	return b, nil
}

func (s *Server) trial(w http.ResponseWriter, r *http.Request) {
	who, err := s.allowed(r, "trialBalance")
	var b *TrialBalance
	if err == nil {
		b, err = s.balance(r, who)
	}
	if err != nil {
		tmf.WriteError(w, r, err)
		return
	}
	out, err := tmf.Encode(b)
	if err != nil {
		tmf.WriteError(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(out) // the client went away: nobody is left to tell
}

func (s *Server) balance(r *http.Request, who store.Scope) (b *TrialBalance, err error) {
	q := r.URL.Query()
	on := civil.DateOf(s.DB.Now(), time.UTC)
	if text := q.Get("date"); text != "" {
		if on, err = civil.ParseDate(text); err != nil {
			return nil, fault.BadInput("badDate", "date is a day such as 2026-03-31, not %.20q", text)
		}
	}
	err = s.DB.Snapshot(r.Context(), who, func(tx *store.Tx) error {
		b, err = BalanceOf(tx, q.Get("legalEntity.id"), on)
		return err
	})
	return b, err
}

// started remembers whether something of an answer has left.
type started struct {
	http.ResponseWriter
	yes bool
}

func (s *started) Write(b []byte) (int, error) {
	s.yes = true
	return s.ResponseWriter.Write(b)
}

// content streams the file. What comes out other than it was breaks off in the middle, so
// that nobody takes it for whole.
func (s *Server) content(w http.ResponseWriter, r *http.Request) {
	who, err := s.allowed(r, GeneralLedgerExports.Name)
	out := &started{ResponseWriter: w}
	if err == nil {
		err = s.DB.Snapshot(r.Context(), who, func(tx *store.Tx) error {
			x, err := GeneralLedgerExports.Get(tx, r.PathValue("id"))
			if err != nil {
				return err
			}
			w.Header().Set("Content-Type", "text/csv; charset=utf-8")
			w.Header().Set("Content-Disposition", fmt.Sprintf("attachment; filename=%q", x.ID+".csv"))
			w.Header().Set("Tandem-SHA256", x.SHA256)
			return Content(tx, out, x)
		})
	}
	switch {
	case err != nil && out.yes:
		panic(http.ErrAbortHandler)
	case err != nil:
		w.Header().Del("Content-Disposition")
		tmf.WriteError(w, r, err)
	}
}
