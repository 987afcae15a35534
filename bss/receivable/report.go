package receivable

import (
	"cmp"
	"maps"
	"net/http"
	"slices"
	"strconv"

	"tandem/bss/ledger"
	"tandem/kit/civil"
	"tandem/kit/fault"
	"tandem/kit/store"
	"tandem/kit/tmf"
)

// AgeingReport is what accounts owe by how long it has been due, the largest debts first.
type AgeingReport struct {
	On    string     `json:"on"`
	Total []AgedLine `json:"total"` // by currency, of all accounts
	Line  []AgedLine `json:"account"`
}

// AgedLine is a row of an ageing report; account is empty in a total.
type AgedLine struct {
	Account string    `json:"account,omitzero"`
	NotDue  tmf.Money `json:"notDue"`
	To30    tmf.Money `json:"to30"`
	To60    tmf.Money `json:"to60"`
	To90    tmf.Money `json:"to90"`
	Over90  tmf.Money `json:"over90"`
	Credit  tmf.Money `json:"credit"` // credit notes that are not used: negative
	Sum     tmf.Money `json:"sum"`
}

// DSOReport says for how many days of sales customers owe (days sales outstanding): what
// is open at the end of a period, by what was billed in it, times its days.
type DSOReport struct {
	From string    `json:"from"`
	To   string    `json:"to"` // with this day
	Line []DSOLine `json:"currency"`
}

// DSOLine is a currency of the report. DSO is tenths of a day; -1: nothing was billed.
type DSOLine struct {
	Open   tmf.Money `json:"open"`
	Billed tmf.Money `json:"billed"`
	DSO    int64     `json:"dsoTenths"`
}

// AccountStatement is every movement of an account with the balance after it: positive is
// what the customer owes.
type AccountStatement struct {
	Account string          `json:"account"`
	From    string          `json:"from"`
	To      string          `json:"to"` // with this day
	Opening []tmf.Money     `json:"opening"`
	Line    []StatementLine `json:"movement"`
	Closing []tmf.Money     `json:"closing"`
}

// StatementLine is a booking on an account.
type StatementLine struct {
	On      string    `json:"on"`
	Booking string    `json:"booking"`
	Text    string    `json:"text"`
	Amount  tmf.Money `json:"amount"`
	Balance tmf.Money `json:"balance"`
}

// Reports serves what is worked out of the rows.
//
//	GET .../ageing?on=2026-01-31&limit=100
//	GET .../dso?from=2026-01-01&to=2026-03-31
//	GET .../accountStatement/{account}?from=...&to=...
type Reports struct {
	DB           *store.DB
	Authenticate func(*http.Request) (*tmf.Caller, error)
}

const (
	maxAged      = 10_000
	maxStatement = 800 // days
)

// Routes puts them behind the guard that admits requests.
func (s *Reports) Routes(mux *http.ServeMux, admit func(http.Handler) http.Handler) {
	get := func(path, kind string, read func(tx *store.Tx, r *http.Request) ([]byte, error)) {
		mux.Handle("GET "+API.Base+path, admit(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.serve(w, r, kind, read) })))
	}
	get("/ageing", "ageing", ageingReport)
	get("/dso", "dso", dsoReport)
	get("/accountStatement/{account}", "accountStatement", statementReport)
}

func (s *Reports) serve(w http.ResponseWriter, r *http.Request, kind string, read func(*store.Tx, *http.Request) ([]byte, error)) {
	caller, err := s.Authenticate(r)
	if err == nil && !caller.Allow(API.ID, kind, tmf.VerbRead) {
		err = fault.Denied("notAllowed", "You may not read %s; ask your administrator for the permission", kind)
	}
	var out []byte
	if err == nil {
		err = s.DB.Read(r.Context(), store.Scope{Tenant: caller.Tenant, Actor: caller.Actor}, func(tx *store.Tx) (err error) { out, err = read(tx, r); return err })
	}
	if err != nil {
		tmf.WriteError(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(out) // the client went away: nobody is left to tell
}

// dayOf is a date of the query, or what holds if it is not given.
func dayOf(r *http.Request, name string, usual civil.Date) (civil.Date, error) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return usual, nil
	}
	d, err := civil.ParseDate(text)
	if err != nil {
		return d, fault.BadInput("invalidDate", "%s is an ISO date such as 2026-01-31, not %.20q", name, text)
	}
	return d, nil
}

// periodOf is the period that a report is about, from its first to its last day.
func periodOf(tx *store.Tx, r *http.Request) (from, to civil.Date, err error) {
	if to, err = dayOf(r, "to", today(tx)); err != nil {
		return from, to, err
	}
	if from, err = dayOf(r, "from", to.AddDays(-89)); err != nil {
		return from, to, err
	}
	if days := to.Sub(from); days < 0 || days > maxStatement {
		err = fault.BadInput("invalidPeriod", "A report is about %d days at most, from the first to the last", maxStatement)
	}
	return from, to, err
}

func ageingReport(tx *store.Tx, r *http.Request) ([]byte, error) {
	on, err := dayOf(r, "on", today(tx))
	if err != nil {
		return nil, err
	}
	limit := 100
	if text := r.URL.Query().Get("limit"); text != "" {
		if limit, err = strconv.Atoi(text); err != nil || limit < 1 || limit > maxAged {
			return nil, fault.BadInput("invalidLimit", "limit is 1 to %d", maxAged)
		}
	}
	totals, err := ageing(tx, on, "''", "currency", maxAged)
	if err != nil {
		return nil, err
	}
	lines, err := Ageing(tx, on, limit)
	if err != nil {
		return nil, err
	}
	out := AgeingReport{On: on.String(), Total: []AgedLine{}, Line: []AgedLine{}}
	for _, a := range totals {
		l, err := a.line()
		if err != nil {
			return nil, err
		}
		out.Total = append(out.Total, l)
	}
	for _, a := range lines {
		l, err := a.line()
		if err != nil {
			return nil, err
		}
		out.Line = append(out.Line, l)
	}
	return tmf.Encode(&out)
}

// line shows the amounts with their currency.
func (a Aged) line() (l AgedLine, err error) {
	l.Account = a.Account
	for _, f := range []struct {
		to    *tmf.Money
		minor int64
	}{{&l.NotDue, a.NotDue}, {&l.To30, a.To30}, {&l.To60, a.To60}, {&l.To90, a.To90}, {&l.Over90, a.Over90}, {&l.Credit, a.Credit},
		{&l.Sum, a.NotDue + a.To30 + a.To60 + a.To90 + a.Over90 + a.Credit}} {
		m, err := amountIn(f.minor, a.Currency)
		if err != nil {
			return l, err
		}
		*f.to = *m
	}
	return l, nil
}

// dsoReport sets what the books have as receivable at the end against what was billed.
func dsoReport(tx *store.Tx, r *http.Request) ([]byte, error) {
	from, to, err := periodOf(tx, r)
	if err != nil {
		return nil, err
	}
	rows, err := tx.Query(`SELECT currency, CAST(sum(amount) AS BIGINT) FROM receivable_claim
		WHERE tenant = $1 AND sort IN ('bill', 'creditNote') AND on_date >= $2 AND on_date <= $3 GROUP BY currency ORDER BY currency`, from.String(), to.String())
	type sum struct {
		currency string
		billed   int64
	}
	sums, err := store.Collect(rows, err, func(r store.Rows) (s sum, err error) { return s, r.Scan(&s.currency, &s.billed) })
	if err != nil {
		return nil, err
	}
	open, err := owedOn(tx, to)
	if err != nil {
		return nil, err
	}
	out := DSOReport{From: from.String(), To: to.String(), Line: []DSOLine{}}
	days := int64(to.Sub(from)) + 1
	for _, s := range sums {
		l := DSOLine{DSO: -1}
		if s.billed > 0 {
			l.DSO = (max(open[s.currency], 0)*days*20/s.billed + 1) / 2 // half up
		}
		owed, err := amountIn(open[s.currency], s.currency)
		if err != nil {
			return nil, err
		}
		billed, err := amountIn(s.billed, s.currency)
		if err != nil {
			return nil, err
		}
		l.Open, l.Billed = *owed, *billed
		out.Line = append(out.Line, l)
	}
	return tmf.Encode(&out)
}

// owedOn is what the books of all legal entities have as receivable by the end of a day,
// by currency.
func owedOn(tx *store.Tx, day civil.Date) (map[string]int64, error) {
	entities, err := ledger.Books(tx)
	if err != nil {
		return nil, err
	}
	out := map[string]int64{}
	for _, e := range entities {
		sums, err := ledger.Trial(tx, e, day)
		if err != nil {
			return nil, err
		}
		for _, s := range sums {
			if s.Account == ledger.Receivable {
				out[s.Currency] += s.Amount
			}
		}
	}
	return out, nil
}

// movementsOf are the bookings that changed what an account owes, oldest first: those on
// its receivables and on its unapplied money together.
func movementsOf(tx *store.Tx, account string, in civil.Period) ([]ledger.Movement, error) {
	var out []ledger.Movement
	at := map[string]int{}
	for _, sort := range []string{ledger.Receivable, ledger.Unapplied} {
		moves, err := ledger.Statement(tx, sort, account, in)
		if err != nil {
			return nil, err
		}
		for _, m := range moves {
			i, seen := at[m.Name]
			if !seen {
				i = len(out)
				at[m.Name], out = i, append(out, m)
				continue
			}
			out[i].Amount += m.Amount
		}
	}
	out = slices.DeleteFunc(out, func(m ledger.Movement) bool { return m.Amount == 0 })
	slices.SortStableFunc(out, func(a, b ledger.Movement) int { return cmp.Or(a.Date.Compare(b.Date), cmp.Compare(a.Name, b.Name)) })
	return out, nil
}

// shown are balances by currency as they are shown, in the order of the codes.
func shown(balance map[string]int64) ([]tmf.Money, error) {
	out := []tmf.Money{}
	for _, code := range slices.Sorted(maps.Keys(balance)) {
		m, err := amountIn(balance[code], code)
		if err != nil {
			return nil, err
		}
		out = append(out, *m)
	}
	return out, nil
}

// statementReport lists what changed what a customer owes. That his money pays this bill
// or that one does not.
func statementReport(tx *store.Tx, r *http.Request) ([]byte, error) {
	from, to, err := periodOf(tx, r)
	if err != nil {
		return nil, err
	}
	a, err := accountOf(tx, &Ref{ID: r.PathValue("account")})
	if err != nil {
		return nil, err
	}
	out := AccountStatement{Account: a.ID, From: from.String(), To: to.String(), Opening: []tmf.Money{}, Line: []StatementLine{}, Closing: []tmf.Money{}}
	balance := map[string]int64{}
	for _, account := range []string{ledger.Receivable, ledger.Unapplied} {
		sums, err := ledger.Balance(tx, account, a.ID, from.AddDays(-1))
		if err != nil {
			return nil, err
		}
		for _, s := range sums {
			balance[s.Currency] += s.Amount
		}
	}
	moves, err := movementsOf(tx, a.ID, civil.Period{From: from, To: to.AddDays(1)})
	if err != nil {
		return nil, err
	}
	if out.Opening, err = shown(balance); err != nil {
		return nil, err
	}
	for _, m := range moves {
		balance[m.Currency] += m.Amount
		amount, err := amountIn(m.Amount, m.Currency)
		if err != nil {
			return nil, err
		}
		after, err := amountIn(balance[m.Currency], m.Currency)
		if err != nil {
			return nil, err
		}
		out.Line = append(out.Line, StatementLine{On: m.Date.String(), Booking: m.Name, Text: m.What, Amount: *amount, Balance: *after})
	}
	out.Closing, err = shown(balance)
	if err != nil {
		return nil, err
	}
	return tmf.Encode(&out)
}
