package receivable

import (
	"bytes"
	"crypto/sha256"
	"encoding/csv"
	"fmt"
	"strings"
	"time"

	"tandem/bss/billing"
	"tandem/bss/ledger"
	"tandem/kit/civil"
	"tandem/kit/fault"
	"tandem/kit/money"
	"tandem/kit/store"
	"tandem/kit/tmf"
)

// States of a claim that an agency works on.
const (
	casePlaced   = "placed"
	casePaid     = "paid"     // to the agency or, as its reason says, to us
	caseRecalled = "recalled" // by us: we go on ourselves
	caseClosed   = "closed"   // by the agency: nothing came of it
)

// AgencyFile places overdue claims with a collection agency. Posting it picks the claims:
// those it names, or all that are overdue long enough. The file itself is at its address
// with /content behind.
type AgencyFile struct {
	tmf.Entity
	Agency      string     `json:"agency,omitzero" tmf:"required"`
	LegalEntity *Ref       `json:"legalEntity,omitzero" tmf:"required"`
	Claim       []Ref      `json:"claim,omitzero"`
	OverdueDays *int64     `json:"overdueDays,omitzero"` // if it names none: overdue so long at least
	Minimum     *tmf.Money `json:"minimum,omitzero"`     // and so much
	Count       int64      `json:"count,omitzero"`
	Sum         *tmf.Money `json:"sum,omitzero"`
	PlacedBy    string     `json:"placedBy,omitzero"`
}

// AgencyCase is a claim that an agency works on. A person recalls it, or closes it when
// the agency gives it back.
type AgencyCase struct {
	tmf.Entity            // the reference that the agency is given
	File       *Ref       `json:"agencyFile,omitzero"`
	Claim      *Ref       `json:"claim,omitzero"`
	Account    *Ref       `json:"account,omitzero"`
	Amount     *tmf.Money `json:"amount,omitzero"` // when it was placed
	State      string     `json:"state,omitzero"`
	Reason     string     `json:"reason,omitzero"`
}

// AgencyRemittance is what an agency has collected and pays on: a file of lines
//
//	reference;amount;commission;date
//
// where commission is what the agency keeps of the amount. Each remittance is taken once, by
// its number.
type AgencyRemittance struct {
	tmf.Entity
	Agency     string     `json:"agency,omitzero" tmf:"required"`
	Number     string     `json:"number,omitzero" tmf:"required"` // the agency's
	File       string     `json:"file,omitzero" tmf:"required"`
	Count      int64      `json:"count,omitzero"`
	Sum        *tmf.Money `json:"sum,omitzero"`
	Commission *tmf.Money `json:"commission,omitzero"`
	By         string     `json:"by,omitzero"`
}

// AgencyFiles, AgencyCases and AgencyRemittances of the tenant.
var (
	AgencyFiles = tmf.Kind[AgencyFile, *AgencyFile]{API: &API, Name: "agencyFile", Table: "receivable_agency_file", Verbs: tmf.Task, Index: []string{"legalEntity.id", "agency"}}
	AgencyCases = tmf.Kind[AgencyCase, *AgencyCase]{API: &API, Name: "agencyCase", Table: "receivable_agency_case", Verbs: tmf.Patch, StateAttr: "state",
		Frozen: []string{"agencyFile", "claim", "account", "amount"},
		Rows: &tmf.Rows[*AgencyCase]{From: "receivable_agency_case", Columns: "id, file, claim, account, currency, amount, state, reason", Order: []string{"id"},
			Paths: map[string]string{"agencyFile.id": "file", "claim.id": "claim", "account.id": "account", "state": "state"},
			Find:  func(id string, first int) (string, []any) { return "id = $" + itoa(first), []any{id} },
			Scan:  scanCase}}
	AgencyRemittances = tmf.Kind[AgencyRemittance, *AgencyRemittance]{API: &API, Name: "agencyRemittance", Table: "receivable_agency_remittance", Verbs: tmf.Task,
		Index: []string{"agency", "number"}}
)

func init() {
	AgencyFiles.OnPost, AgencyCases.OnPatch, AgencyRemittances.OnPost = postAgencyFile, patchCase, postRemittance
}

func scanCase(r store.Rows) (*AgencyCase, error) {
	c := &AgencyCase{}
	var file, claim, account, currency string
	var amount int64
	if err := r.Scan(&c.ID, &file, &claim, &account, &currency, &amount, &c.State, &c.Reason); err != nil {
		return nil, err
	}
	c.File, c.Claim, c.Account = refTo(file), refTo(claim), refTo(account)
	var err error
	c.Amount, err = amountIn(amount, currency)
	return c, err
}

const (
	maxCases       = 5000
	agencyFromDays = 60 // overdue, if the file does not say
)

// postAgencyFile places claims that nobody else sees to.
func postAgencyFile(tx *store.Tx, f *AgencyFile) error {
	if len(f.Agency) > 100 || len(f.Claim) > maxItems {
		return fault.BadInput("tooLong", "agency has at most 100 characters, claim %d entries", maxItems)
	}
	found, err := f.pick(tx)
	if err != nil {
		return err
	}
	if len(found) == 0 {
		return fault.Clash("nothingToPlace", "No claim is overdue long enough that is not disputed, in a plan, being paid or placed already")
	}
	sum := money.Amount{Currency: found[0].Amount.Currency}
	for _, c := range found {
		if c.Amount.Currency != sum.Currency {
			return fault.BadInput("twoCurrencies", "The claims are in several currencies; place those of one at a time, by minimum")
		}
		sum.Minor += c.Open
	}
	f.Count, f.PlacedBy, f.Claim = int64(len(found)), tx.Actor(), nil
	if f.Sum, err = amountIn(sum.Minor, sum.Currency.Code()); err != nil {
		return err
	}
	if err := AgencyFiles.Create(tx, f); err != nil {
		return err
	}
	for _, c := range found {
		tx.Insert("INSERT INTO receivable_agency_case (tenant, id, file, claim, account, entity, currency, amount, state, reason, actor, at)",
			tmf.NewID(), f.ID, c.ID, c.Account, c.Entity, c.Amount.Currency.Code(), c.Open, casePlaced, "", tx.Actor(), store.Micros(tx.Now()))
	}
	return nil
}

// pick finds the claims of a file, and holds them.
func (f *AgencyFile) pick(tx *store.Tx) ([]Claim, error) {
	days, least, currency := int64(agencyFromDays), int64(1), ""
	if f.OverdueDays != nil {
		days = *f.OverdueDays
	}
	if days < 1 || days > 3650 {
		return nil, fault.BadInput("invalidDays", "overdueDays is 1 to 3650")
	}
	if f.Minimum != nil {
		m, err := f.Minimum.PostRat(1, 1, money.HalfUp)
		if err != nil {
			return nil, err
		}
		least, currency = max(1, m.Minor), m.Currency.Code()
	}
	if len(f.Claim) > 0 {
		days, least, currency = 1, 1, ""
	}
	args := []any{f.LegalEntity.ID, today(tx).AddDays(-int(days) + 1).String(), least, currency}
	named := ""
	if len(f.Claim) > 0 {
		for _, c := range f.Claim {
			args = append(args, c.ID)
		}
		named = " AND c.id IN (" + store.In(6, len(f.Claim)) + ")"
	}
	return collectClaims(tx.Query("SELECT "+claimColumns+` FROM receivable_claim c WHERE tenant = $1 AND entity = $2 AND due < $3 AND open >= $4 AND ($5 = '' OR currency = $5)`+named+`
		AND `+disputedOf+` = 0 AND NOT `+inPlan+" AND NOT "+byCard+" AND NOT "+withAgency+`
		AND NOT EXISTS (SELECT 1 FROM receivable_collection s WHERE s.tenant = c.tenant AND s.claim = c.id AND s.state = 'sent')
		ORDER BY account, due, id LIMIT `+itoa(maxCases)+tx.Dialect().ForUpdate(), args...))
}

// AgencyCSV is a file as the agency gets it: a line for each claim that is still placed and
// owed.
func AgencyCSV(tx *store.Tx, id string) ([]byte, error) {
	if _, err := AgencyFiles.Get(tx, id); err != nil {
		return nil, err
	}
	rows, err := tx.Query(`SELECT g.id, g.account, c.number, c.on_date, c.due, c.currency, c.amount, c.open FROM receivable_agency_case g
		JOIN receivable_claim c ON c.tenant = g.tenant AND c.id = g.claim WHERE g.tenant = $1 AND g.file = $2 AND g.state = 'placed' AND c.open > 0 ORDER BY g.id`, id)
	type line struct {
		reference, account, number string
		on, due                    civil.Date
		amount                     money.Amount
		open                       int64
	}
	all, err := store.Collect(rows, err, func(r store.Rows) (l line, err error) {
		return l, r.Scan(&l.reference, &l.account, &l.number, &l.on, &l.due, &l.amount.Currency, &l.amount.Minor, &l.open)
	})
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	w := csv.NewWriter(&out)
	w.Comma = ';'
	w.Write([]string{"reference", "account", "debtor", "street", "postCode", "city", "country", "email", "claim", "date", "due", "currency", "amount", "open"})
	for _, l := range all {
		a, err := accountOf(tx, &Ref{ID: l.account})
		if err != nil {
			return nil, err
		}
		d, err := billing.Buyer(tx, a)
		if err != nil {
			return nil, err
		}
		open := money.Amount{Minor: l.open, Currency: l.amount.Currency}
		w.Write([]string{l.reference, l.account, plain(d.Name), plain(d.Street), plain(d.PostCode), plain(d.City), d.Country, plain(d.Email), plain(l.number), l.on.String(), l.due.String(),
			l.amount.Currency.Code(), l.amount.Decimal(), open.Decimal()})
	}
	w.Flush()
	return out.Bytes(), w.Error()
}

// EndedCSV tells an agency which cases of a file it is to close: those that were paid to us
// or credited, or that we have recalled. It has those as well that the agency ended itself.
func EndedCSV(tx *store.Tx, id string) ([]byte, error) {
	if _, err := AgencyFiles.Get(tx, id); err != nil {
		return nil, err
	}
	rows, err := tx.Query(`SELECT g.id, c.number, g.state, g.reason, g.ended_at FROM receivable_agency_case g
		JOIN receivable_claim c ON c.tenant = g.tenant AND c.id = g.claim WHERE g.tenant = $1 AND g.file = $2 AND g.state <> 'placed' ORDER BY g.ended_at, g.id`, id)
	lines, err := store.Collect(rows, err, func(r store.Rows) (l []string, err error) {
		var reference, number, state, reason string
		var at int64
		err = r.Scan(&reference, &number, &state, &reason, &at)
		return []string{reference, plain(number), state, plain(reason), civil.DateOf(store.Instant(at), time.UTC).String()}, err
	})
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	w := csv.NewWriter(&out)
	w.Comma = ';'
	w.Write([]string{"reference", "claim", "state", "reason", "ended"})
	err = w.WriteAll(lines)
	return out.Bytes(), err
}

// plain keeps a spreadsheet from taking a text for a formula.
func plain(text string) string {
	if strings.ContainsAny(text[:min(1, len(text))], "=+-@\t\r") {
		return "'" + text
	}
	return text
}

// patchCase is a person who takes a claim back from the agency.
func patchCase(tx *store.Tx, old, c *AgencyCase) error {
	if c.State != caseRecalled && c.State != caseClosed || c.Reason == "" || len(c.Reason) > 500 {
		return fault.BadInput("invalidState", "A case is %s or %s, with a reason of at most 500 characters", caseRecalled, caseClosed)
	}
	n, err := tx.Exec("UPDATE receivable_agency_case SET state = $3, reason = $4, actor = $5, ended_at = $6 WHERE tenant = $1 AND id = $2 AND state = 'placed'",
		old.ID, c.State, c.Reason, tx.Actor(), store.Micros(tx.Now()))
	if err == nil && n == 0 {
		err = fault.Clash("caseEnded", "The case %q has ended already", old.ID)
	}
	return err
}

// postRemittance takes what an agency pays on: all lines or none.
func postRemittance(tx *store.Tx, r *AgencyRemittance) error {
	if len(r.Number) > 100 || len(r.Agency) > 100 {
		return fault.BadInput("tooLong", "agency and number have at most 100 characters")
	}
	before, err := AgencyRemittances.Select(tx, tmf.Where{"agency": r.Agency, "number": r.Number}, tmf.Page{Limit: 1})
	if err != nil {
		return err
	}
	if len(before) > 0 {
		return fault.Clash("alreadyTaken", "The remittance %q of %q was taken before, as %q", r.Number, r.Agency, before[0].ID)
	}
	lines, err := readRemittance(r.File)
	if err != nil {
		return err
	}
	var sum, kept money.Amount
	for i, l := range lines {
		c, err := l.take(tx, r, i)
		if err != nil {
			return err
		}
		if sum.Currency = c; i > 0 && kept.Currency != c {
			return fault.BadInput("twoCurrencies", "A remittance is in one currency")
		}
		kept.Currency = c
		sum.Minor, kept.Minor = sum.Minor+l.minor, kept.Minor+l.commission
	}
	r.Count, r.By, r.File = int64(len(lines)), tx.Actor(), fmt.Sprintf("%d lines", len(lines))
	if r.Sum, err = amountIn(sum.Minor, sum.Currency.Code()); err != nil {
		return err
	}
	if r.Commission, err = amountIn(kept.Minor, sum.Currency.Code()); err != nil {
		return err
	}
	return AgencyRemittances.Create(tx, r)
}

// remitted is a line of a remittance. Its amounts are texts until their currency, that of
// the claim, is known.
type remitted struct {
	reference         string
	amount, keeps     string
	on                civil.Date
	minor, commission int64
}

func readRemittance(file string) (out []*remitted, err error) {
	r := csv.NewReader(strings.NewReader(file))
	r.Comma, r.FieldsPerRecord, r.TrimLeadingSpace = ';', 4, true
	all, err := r.ReadAll()
	if err != nil {
		return nil, fault.BadInput("fileForm", "The file has lines of reference;amount;commission;date: %v", err)
	}
	if len(all) > 0 && strings.EqualFold(all[0][0], "reference") {
		all = all[1:]
	}
	if len(all) == 0 || len(all) > maxCases {
		return nil, fault.BadInput("fileForm", "A remittance has 1 to %d lines", maxCases)
	}
	for i, f := range all {
		on, err := civil.ParseDate(f[3])
		if err != nil {
			return nil, fault.BadInput("fileForm", "Line %d: %q is no ISO date", i+1, f[3])
		}
		out = append(out, &remitted{reference: f[0], amount: f[1], keeps: f[2], on: on})
	}
	return out, nil
}

// line names a line of a remittance once for ever. The agency's own words may be long, and
// have strokes in them: a digest of them is neither.
func (r *AgencyRemittance) line(i int) string {
	return fmt.Sprintf("agency/%x/%d", sha256.Sum256(fmt.Appendf(nil, "%d/%s/%s", len(r.Agency), r.Agency, r.Number)), i+1)
}

// leaveAgency ends what an agency does about a claim that was settled with us. Only what is
// overdue is with one.
func (c *Claim) leaveAgency(tx *store.Tx, why string) {
	if c.Open != 0 || !c.Due.Before(today(tx)) {
		return
	}
	tx.Queue("UPDATE receivable_agency_case SET state = 'paid', reason = $3, actor = $4, ended_at = $5 WHERE tenant = $1 AND claim = $2 AND state = 'placed'",
		c.ID, why, tx.Actor(), store.Micros(tx.Now()))
}

// take books a line: the customer has paid all of it; what the agency keeps is our cost.
func (l *remitted) take(tx *store.Tx, r *AgencyRemittance, i int) (money.Currency, error) {
	var claim, account, entity string
	var c money.Currency
	err := tx.Row("SELECT claim, account, entity, currency FROM receivable_agency_case WHERE tenant = $1 AND id = $2"+tx.Dialect().ForUpdate(), l.reference).Scan(&claim, &account, &entity, &c)
	if err == store.ErrNotFound {
		return c, fault.BadInput("unknownReference", "Line %d: there is no case with the reference %q", i+1, l.reference)
	}
	if err != nil {
		return c, err
	}
	paid, wrong := money.ParseAmount(l.amount, c)
	keeps, bad := money.ParseAmount(l.keeps, c)
	l.minor, l.commission = paid.Minor, keeps.Minor
	if wrong != nil || bad != nil || l.minor <= 0 || l.commission < 0 || l.commission > l.minor {
		return c, fault.BadInput("fileForm", "Line %d: %q and %q are not an amount in %s and what is kept of it", i+1, l.amount, l.keeps, c)
	}
	owed, err := lockClaim(tx, claim)
	if err != nil {
		return c, err
	}
	var to []Share
	if pays := min(owed.Open, l.minor); pays > 0 {
		to = []Share{{Claim: claim, Amount: pays}}
	}
	through := ledger.Of(ledger.Clearing, "agency")
	name := r.line(i)
	if owed.Open <= l.minor { // before it is booked, which would have the agency told that we were paid
		tx.Queue("UPDATE receivable_agency_case SET state = 'paid', ended_at = $3 WHERE tenant = $1 AND id = $2 AND state = 'placed'", l.reference, store.Micros(tx.Now()))
	}
	if _, err := Receive(tx, Payment{Entity: entity, Account: account, Amount: money.Amount{Minor: l.minor, Currency: c}, Way: Transfer, Through: through,
		External: name, Received: l.on}, to...); err != nil {
		return c, err
	}
	if l.commission == 0 {
		return c, nil
	}
	return c, ledger.Post(tx, ledger.Transaction{Name: name + "/commission", Entity: entity, Currency: c, Date: today(tx), What: "Kept by " + cut(r.Agency, 60),
		Entries: []ledger.Entry{{Account: ledger.BankCharges, Amount: l.commission}, {Account: through, Amount: -l.commission}}})
}
