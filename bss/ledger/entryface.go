package ledger

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"tandem/kit/money"
	"tandem/kit/store"
	"tandem/kit/tmf"
)

// EntryView is an entry of the books as the API shows it.
type EntryView struct {
	tmf.Entity
	Booking        string        `json:"booking,omitzero"` // the transaction it is part of
	Line           int64         `json:"line"`
	LegalEntity    *tmf.Ref      `json:"legalEntity,omitzero"`
	Date           string        `json:"date,omitzero"` // of the books
	Account        string        `json:"account,omitzero"`
	BillingAccount *tmf.Ref      `json:"billingAccount,omitzero"`
	Text           string        `json:"text,omitzero"`
	Debit          *money.Amount `json:"debit,omitzero"`
	Credit         *money.Amount `json:"credit,omitzero"`
	Reverses       string        `json:"reverses,omitzero"`
	BookedBy       string        `json:"bookedBy,omitzero"`
	BookedDate     time.Time     `json:"bookedDate,omitzero"`
}

// Entries are what is booked. They are listed in the order of their bookings; narrow them
// down by legal entity and date, by account, or by billing account.
var Entries = tmf.Kind[EntryView, *EntryView]{
	API: &API, Name: "entry", Table: "ledger_entry", Verbs: tmf.ReadOnly,
	Rows: &tmf.Rows[*EntryView]{
		From: `(SELECT e.tenant, e.name, e.line, e.entity, e.on_date, e.account, e.party, e.currency, e.amount, t.what, t.reverses, t.actor, t.at
			FROM ledger_entry e JOIN ledger_transaction t ON t.tenant = e.tenant AND t.name = e.name) AS booked`,
		Columns: "name, line, entity, on_date, account, party, currency, amount, what, reverses, actor, at",
		Order:   []string{"name", "line"},
		Paths: map[string]string{"booking": "name", "legalEntity.id": "entity", "date": "on_date", "account": "account", "billingAccount.id": "party",
			"reverses": "reverses", "bookedDate": "at"},
		Find: findEntry,
		Scan: scanEntryView,
	},
}

// An entry's id is its booking and its line; a slash would end a path.
const slash = "~"

func entryID(name string, line int64) string {
	return strings.ReplaceAll(name, "/", slash) + slash + strconv.FormatInt(line, 10)
}

func findEntry(id string, first int) (string, []any) {
	at := strings.LastIndex(id, slash)
	if at < 0 {
		return "", nil
	}
	line, err := strconv.ParseInt(id[at+1:], 10, 64)
	if err != nil {
		return "", nil
	}
	return fmt.Sprintf("name = $%d AND line = $%d", first, first+1), []any{strings.ReplaceAll(id[:at], slash, "/"), line}
}

func scanEntryView(r store.Rows) (*EntryView, error) {
	e, entity, party, amount, at := &EntryView{}, "", "", money.Amount{}, int64(0)
	if err := r.Scan(&e.Booking, &e.Line, &entity, &e.Date, &e.Account, &party, &amount.Currency, &amount.Minor, &e.Text, &e.Reverses, &e.BookedBy, &at); err != nil {
		return nil, err
	}
	e.ID, e.LegalEntity, e.BookedDate = entryID(e.Booking, e.Line), entityRef(entity), store.Instant(at)
	if party != "" {
		e.BillingAccount = &tmf.Ref{ID: party, Href: "/tmf-api/accountManagement/v4/billingAccount/" + party, ReferredType: "BillingAccount"}
	}
	if amount.Minor >= 0 {
		e.Debit = &amount
		return e, nil
	}
	credit, err := amount.Neg()
	e.Credit = &credit
	return e, err
}
