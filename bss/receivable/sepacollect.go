package receivable

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"tandem/bss/billing"
	"tandem/edge/sepa"
	"tandem/kit/civil"
	"tandem/kit/fault"
	"tandem/kit/money"
	"tandem/kit/store"
	"tandem/kit/tmf"
)

// DirectDebitFile is a file of collections for the bank (pain.008). Posting one makes
// it of everything that is to be collected for the legal entity. The file itself is at
// its address with /content behind.
type DirectDebitFile struct {
	tmf.Entity             // message id
	LegalEntity *Ref       `json:"legalEntity,omitzero" tmf:"required"`
	Created     time.Time  `json:"created,omitzero"`
	Count       int64      `json:"count,omitzero"`
	Sum         *tmf.Money `json:"sum,omitzero"`
	Status      string     `json:"status,omitzero"` // made; then what the bank says: accepted, partly, rejected; or withdrawn
	StatusText  string     `json:"statusReason,omitzero"`
	Skipped     []Skipped  `json:"skipped,omitzero"` // what the bank would refuse: at most maxSkipped
	More        *bool      `json:"more,omitzero"`    // the file is full: post another
}

// Skipped is a claim that is not in a file, and why.
type Skipped struct {
	Claim  string `json:"claim,omitzero"`
	Reason string `json:"reason,omitzero"`
	tmf.Extension
}

// DirectDebitFiles of the tenant.
var DirectDebitFiles = tmf.Kind[DirectDebitFile, *DirectDebitFile]{API: &API, Name: "directDebitFile", Table: "receivable_debit_file", Verbs: tmf.Post | tmf.Patch,
	Frozen: []string{"legalEntity", "created", "count", "sum", "skipped", "more"},
	Index:  []string{"legalEntity.id", "status"}, StateAttr: "status"}

func init() { DirectDebitFiles.OnPost, DirectDebitFiles.OnPatch = postDebitFile, withdrawFile }

const (
	collectAhead = 5      // days before it is due that a claim is given to the bank, if tandem:collect does not say
	maxInFile    = 10_000 // collections of one file: it is made in one transaction
	maxSkipped   = 100
	maxAttempts  = 3 // collections of one claim, before a person decides
)

// collection is a claim that was given to the bank.
type collection struct {
	id, file, batch, mandate, account, entity, iban, claim string
	amount                                                 int64
	sequence, state, reason, payment                       string
}

const collectionColumns = "id, file, batch, mandate, account, entity, iban, claim, amount, sequence, state, reason, payment"

func scanCollection(r interface{ Scan(...any) error }) (c collection, err error) {
	return c, r.Scan(&c.id, &c.file, &c.batch, &c.mandate, &c.account, &c.entity, &c.iban, &c.claim, &c.amount, &c.sequence, &c.state, &c.reason, &c.payment)
}

func collections(rows store.Rows, err error) ([]collection, error) {
	return store.Collect(rows, err, func(r store.Rows) (collection, error) { return scanCollection(r) })
}

// Collect makes a file of the open claims of a legal entity that fall due and whose
// accounts have a mandate, and says its id. A claim is in one open collection only, and
// not collected while it is disputed. Errors: noCreditor, nothingToCollect.
func Collect(tx *store.Tx, entity string, now time.Time) (file string, err error) {
	defer fault.Wrap(&err, "receivable.Collect(%s)", entity)
	f := &DirectDebitFile{LegalEntity: &Ref{ID: entity}}
	if err := makeFile(tx, f, now); err != nil {
		return "", err
	}
	return f.ID, nil
}

func postDebitFile(tx *store.Tx, f *DirectDebitFile) error { return makeFile(tx, f, tx.Now()) }

// run is a file while it is made.
type run struct {
	tx      *store.Tx
	profile sepa.Profile
	now     time.Time
	today   civil.Date
	terms   collecting
	file    *DirectDebitFile
	out     sepa.Debits
	from    []candidate // of out.Collections
	begun   map[string]bool
}

func makeFile(tx *store.Tx, f *DirectDebitFile, now time.Time) error {
	e, err := billing.LegalEntities.Lock(tx, f.LegalEntity.ID) // one file of it at a time
	if fault.Is(err, fault.NotFound) {
		return fault.BadInput("unknownEntity", "There is no legal entity with id %q", f.LegalEntity.ID)
	}
	if err != nil {
		return err
	}
	r := &run{tx: tx, now: now, file: f, begun: map[string]bool{}}
	if err := r.creditor(e); err != nil {
		return err
	}
	if r.terms, err = collectingOf(e); err != nil {
		return err
	}
	r.today = civil.DateOf(now, r.profile.Zone)
	found, err := r.held(e.ID)
	if err != nil {
		return err
	}
	if err := r.add(found); err != nil {
		return err
	}
	return r.write(e.ID)
}

// creditor says who collects, or what the legal entity lacks for that.
func (r *run) creditor(e *billing.LegalEntity) (err error) {
	if e.IBAN == "" || e.CreditorID == "" {
		return fault.Clash("noCreditor", "The legal entity %q cannot collect by direct debit: it has no %s", e.Name, missing(e))
	}
	if r.profile, err = profileOf(e); err != nil {
		return err
	}
	iban, err := sepa.ParseIBAN(e.IBAN)
	if err != nil {
		return err
	}
	id, err := sepa.ParseCreditorID(e.CreditorID)
	if err != nil {
		return err
	}
	r.out = sepa.Debits{ID: tmf.NewID(), Created: r.now, Creditor: sepa.Creditor{Name: e.Name, Address: addressOf(e.Address), IBAN: iban, BIC: sepa.BIC(e.BIC), ID: id}}
	return nil
}

func missing(e *billing.LegalEntity) string {
	switch {
	case e.CreditorID != "":
		return "IBAN (iban)"
	case e.IBAN != "":
		return "SEPA creditor identifier (creditorId)"
	}
	return "IBAN (iban) and no SEPA creditor identifier (creditorId)"
}

// addressOf is an address as banks take it: without town and country they take none.
func addressOf(a *billing.PostalAddress) sepa.Address {
	if a == nil || a.City == "" || a.Country == "" {
		return sepa.Address{}
	}
	return sepa.Address{Street: a.Street, PostCode: a.PostCode, Town: a.City, Country: a.Country}
}

// candidate is a claim with the account it may be collected from.
type candidate struct {
	claim, number, account, mandate, iban, former string
	open                                          int64
	due, lastUse                                  civil.Date
	used                                          bool // a collection under the mandate was made, or is under way
}

// collectible tells of a claim c that nothing keeps it from being collected: it is not at
// the bank or held, disputed, in a plan or with an agency, and no card of its account is
// being charged.
const collectible = `NOT EXISTS (SELECT 1 FROM receivable_collection s WHERE s.tenant = c.tenant AND s.claim = c.id AND (s.state = 'sent' OR s.hold = 1))
	AND NOT EXISTS (SELECT 1 FROM receivable_dispute q WHERE q.tenant = c.tenant AND q.claim = c.id AND q.settled_at IS NULL)
	AND NOT EXISTS (SELECT 1 FROM receivable_attempt t WHERE t.tenant = c.tenant AND t.account = c.account AND t.sort = 'payment' AND t.ended_at IS NULL)
	AND NOT ` + inPlan + " AND NOT " + withAgency

// held are the candidates, and nobody else pays them before the file is made. Who did so
// while we waited for their claims is seen by the second look only; where there is one
// writer nobody does.
func (r *run) held(entity string) ([]candidate, error) {
	if r.tx.Dialect().ForUpdate() == "" {
		return r.candidates(entity, false)
	}
	before, err := r.candidates(entity, true)
	if err != nil {
		return nil, err
	}
	mine := map[string]bool{}
	for _, c := range before {
		mine[c.claim] = true
	}
	found, err := r.candidates(entity, false)
	return slices.DeleteFunc(found, func(c candidate) bool { return !mine[c.claim] }), err
}

// candidates are the claims that may be collected; hold has others wait who pay them.
func (r *run) candidates(entity string, hold bool) ([]candidate, error) {
	lock := ""
	if hold {
		lock = r.tx.Dialect().ForUpdate() + " OF c"
	}
	notice := "LEFT JOIN"
	if *r.terms.NoticeDays > 0 { // nobody is collected from who was not told
		notice = "JOIN"
	}
	rows, err := r.tx.Query(`SELECT c.id, c.number, c.account, d.mandate, d.iban, d.former, c.open, CASE WHEN n.collect_on > c.due THEN n.collect_on ELSE c.due END, d.last_use,
			CASE WHEN d.used = 1 OR EXISTS (SELECT 1 FROM receivable_collection s WHERE s.tenant = d.tenant AND s.mandate = d.mandate AND s.state = 'sent') THEN 1 ELSE 0 END
		FROM receivable_claim c JOIN receivable_debtor d ON d.tenant = c.tenant AND d.account = c.account AND d.active = 1
		`+notice+` receivable_prenotice n ON n.tenant = c.tenant AND n.claim = c.id AND n.mandate = d.mandate
		WHERE c.tenant = $1 AND c.open > 0 AND c.due <= $3 AND (n.collect_on IS NULL OR n.collect_on <= $3) AND c.entity = $2 AND c.currency = 'EUR'
		AND `+collectible+`
		ORDER BY c.due, c.id LIMIT $4`+lock, entity, r.today.AddDays(*r.terms.DaysBefore).String(), int64(r.most()+1))
	found, err := store.Collect(rows, err, func(s store.Rows) (c candidate, err error) {
		var used int64
		err = s.Scan(&c.claim, &c.number, &c.account, &c.mandate, &c.iban, &c.former, &c.open, &c.due, &c.lastUse, &used)
		c.used = used == 1
		return c, err
	})
	if len(found) > r.most() {
		found, r.file.More = found[:r.most()], new(bool)
		*r.file.More = true
	}
	return found, err
}

func (r *run) most() int { return min(maxInFile, r.profile.Longest) }

// add puts into the file what the bank will take.
func (r *run) add(found []candidate) error {
	mandates, err := r.mandates(found)
	if err != nil {
		return err
	}
	for _, c := range found {
		m := mandates[c.mandate]
		if r.today.Before(sepa.MandateEnds(c.lastUse)) {
			r.collect(c, m)
			continue
		}
		r.skip(c, fmt.Errorf("The mandate %q was not used for 36 months, so it is over; the customer must give another one", c.mandate))
		if r.begun[c.mandate] {
			continue
		}
		r.begun[c.mandate] = true
		if err := endMandate(r.tx, c.mandate, MandateExpired, "It was not used for 36 months"); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) mandates(found []candidate) (map[string]*Mandate, error) {
	var ids []string
	out := map[string]*Mandate{}
	for _, c := range found {
		if _, known := out[c.mandate]; !known {
			out[c.mandate] = nil
			ids = append(ids, c.mandate)
		}
	}
	for first := 0; first < len(ids); first += 200 {
		page, err := Mandates.GetMany(r.tx, ids[first:min(first+200, len(ids))])
		if err != nil {
			return nil, err
		}
		for _, m := range page {
			out[m.ID] = m
		}
	}
	return out, nil
}

// collect puts one claim into the file, or says why it cannot be.
func (r *run) collect(c candidate, m *Mandate) {
	oneOff := m.OneOff != nil && *m.OneOff
	if oneOff && (c.used || r.begun[c.mandate]) {
		r.skip(c, errors.New("The mandate is for one collection only"))
		return
	}
	scheme, err := sepa.ParseScheme(m.Scheme)
	if err != nil {
		r.skip(c, err)
		return
	}
	signed, err := civil.ParseDate(m.Signed)
	if err != nil {
		r.skip(c, err)
		return
	}
	seq := r.profile.SequenceOf(sepa.MandateUse{OneOff: oneOff, Used: c.used || r.begun[c.mandate]})
	one := sepa.Collection{EndToEnd: tmf.NewID(), Scheme: scheme, Sequence: seq, Due: r.profile.Due(c.due, r.now, scheme, seq),
		Amount: money.Amount{Minor: c.open, Currency: money.EUR}, Mandate: sepa.Mandate{ID: m.ID, Signed: signed, Change: sepa.Change{IBAN: sepa.IBAN(c.former)}},
		Debtor: m.Debtor, Address: addressOf(m.DebtorAddress), IBAN: sepa.IBAN(c.iban), BIC: sepa.BIC(m.BIC), Text: c.number}
	if err := r.profile.Check(one, r.now); err != nil {
		r.skip(c, err)
		return
	}
	r.begun[c.mandate] = true
	r.out.Collections, r.from = append(r.out.Collections, one), append(r.from, c)
}

func (r *run) skip(c candidate, why error) {
	if len(r.file.Skipped) < maxSkipped {
		text := why.Error()
		if f := (*fault.Error)(nil); errors.As(why, &f) {
			text = f.Reason
		}
		r.file.Skipped = append(r.file.Skipped, Skipped{Claim: c.claim, Reason: text})
	}
}

// write makes the file and remembers what is in it.
func (r *run) write(entity string) error {
	if len(r.out.Collections) == 0 {
		why := "No claim with a mandate is due"
		if len(r.file.Skipped) > 0 {
			why = "The bank would take none: " + r.file.Skipped[0].Reason
		}
		return fault.Clash("nothingToCollect", "There is nothing to collect. %s", why)
	}
	var text bytes.Buffer
	sent, err := r.profile.WriteDebits(&text, r.out)
	if err != nil {
		return err
	}
	sum, err := sent.Sum.Rate()
	if err != nil {
		return err
	}
	f := r.file
	f.ID, f.Created, f.Count, f.Sum, f.Status = sent.ID, r.now, int64(sent.Count), &sum, "made"
	if err := DirectDebitFiles.Create(r.tx, f); err != nil {
		return err
	}
	r.tx.Insert("INSERT INTO receivable_sepa_file (tenant, id, content)", sent.ID, text.Bytes())
	for _, b := range sent.Batches {
		for _, i := range b.Items {
			one, c := r.out.Collections[i], r.from[i]
			r.tx.Insert(`INSERT INTO receivable_collection (tenant, id, file, batch, mandate, account, entity, iban, claim, amount, sequence, due, state, reason, hold, payment, at)`,
				one.EndToEnd, sent.ID, b.ID, c.mandate, c.account, entity, c.iban, c.claim, one.Amount.Minor, one.Sequence.String(), one.Due.String(), "sent", "", 0, "", store.Micros(r.tx.Now()))
		}
	}
	return nil
}

// DebitFile is a file as it is handed to the bank.
func DebitFile(tx *store.Tx, id string) (content []byte, err error) {
	err = tx.Row("SELECT content FROM receivable_sepa_file WHERE tenant = $1 AND id = $2", id).Scan(&content)
	if err == store.ErrNotFound {
		err = fault.Missing("directDebitFile", id)
	}
	return content, err
}

// settled books a collection that the bank has paid out.
func (c *collection) settled(tx *store.Tx, through string, on civil.Date) (err error) {
	c.payment, err = Receive(tx, Payment{Entity: c.entity, Account: c.account, Amount: money.Amount{Minor: c.amount, Currency: money.EUR}, Way: DirectDebit,
		Through: through, External: c.id, Received: on}, Share{Claim: c.claim})
	if err != nil {
		return err
	}
	c.state = "paid"
	tx.QueueOne("UPDATE receivable_collection SET state = 'paid', payment = $3 WHERE tenant = $1 AND id = $2 AND state IN ('sent', 'rejected')", c.id, c.payment)
	tx.QueueOne(`UPDATE receivable_debtor SET used = 1, last_use = CASE WHEN last_use < $3 THEN $3 ELSE last_use END,
		former = CASE WHEN iban = $4 THEN '' ELSE former END WHERE tenant = $1 AND mandate = $2`, c.mandate, on.String(), c.iban)
	if c.sequence == sepa.OneOff.String() || c.sequence == sepa.Final.String() {
		return endMandate(tx, c.mandate, MandateExpired, "It was for one collection, which was made")
	}
	return nil
}

// failed writes that the bank did not collect, or that the money went back, and does
// what the reason asks for: collect again, ask a person, or stop the mandate.
func (c *collection) failed(tx *store.Tx, state, code string) error {
	why := sepa.ReasonOf(code)
	hold, stop := false, why.Action == sepa.StopMandate
	switch why.Action {
	case sepa.Review, sepa.Reopen, sepa.Correct:
		hold = true
	case sepa.Retry, sepa.RetryOnce:
		var claim, mandate int64
		if err := tx.Row(`SELECT (SELECT count(*) FROM receivable_collection WHERE tenant = $1 AND claim = $2),
			(SELECT count(*) FROM receivable_collection WHERE tenant = $1 AND mandate = $3 AND reason = $4 AND id <> $5)`,
			c.claim, c.mandate, code, c.id).Scan(&claim, &mandate); err != nil {
			return err
		}
		hold, stop = claim >= maxAttempts, why.Action == sepa.RetryOnce && mandate > 0
	}
	c.state, c.reason = state, code
	tx.QueueOne("UPDATE receivable_collection SET state = $3, reason = $4, hold = $5 WHERE tenant = $1 AND id = $2 AND state IN ('sent', 'paid')",
		c.id, state, code, flag(hold))
	if !stop {
		return nil
	}
	return endMandate(tx, c.mandate, MandateStopped, cmp.Or(code, "-")+": "+why.Text)
}
