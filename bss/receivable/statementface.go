package receivable

import (
	"bytes"
	"context"
	"fmt"

	"tandem/bss/billing"
	"tandem/bss/ledger"
	"tandem/edge/sepa"
	"tandem/kit/civil"
	"tandem/kit/fault"
	"tandem/kit/money"
	"tandem/kit/store"
	"tandem/kit/tmf"
)

// BankStatement is a file of the bank that was taken: account statements (camt.053), a
// notice (camt.054), or the answer to a file of ours (pain.002). Posting it takes the
// file. Larger ones than a request of this API holds are posted as they are, see app.
type BankStatement struct {
	tmf.Entity
	File       string   `json:"file,omitzero"`    // XML as the bank sent it; not kept
	Answers    string   `json:"answers,omitzero"` // the file of ours that a pain.002 is about
	Statements []string `json:"statement,omitzero"`
	Known      *int64   `json:"known,omitzero"` // statements that were taken before
	Settled    *int64   `json:"settled,omitzero"`
	Returned   *int64   `json:"returned,omitzero"`
	Matched    *int64   `json:"matched,omitzero"`
	Open       *int64   `json:"open,omitzero"`     // entries for a person
	Rejected   *int64   `json:"rejected,omitzero"` // collections
}

// BankStatements of the tenant.
var BankStatements = tmf.Kind[BankStatement, *BankStatement]{API: &API, Name: "bankStatement", Table: "receivable_bank_file", Verbs: tmf.Post}

// BankEntry is a payment on a statement. One that is open is assigned by giving it the
// billing account that paid, the clearing account that it settles, or, if money left, the
// state charges. A gateway and an agency that pay out are known by their account at the
// bank from then on.
type BankEntry struct {
	tmf.Entity
	Statement string     `json:"statement,omitzero"`
	Day       string     `json:"day,omitzero"`
	Amount    *tmf.Money `json:"amount,omitzero"` // positive when our account grew; charges inside
	Charges   *tmf.Money `json:"charges,omitzero"`
	EndToEnd  string     `json:"endToEndId,omitzero"`
	Payer     string     `json:"payerName,omitzero"`
	PayerIBAN string     `json:"payerIban,omitzero"` // masked
	Reference string     `json:"reference,omitzero"`
	Text      string     `json:"text,omitzero"`
	Reason    string     `json:"reasonCode,omitzero"`
	State     string     `json:"state,omitzero"`
	How       string     `json:"how,omitzero"` // it was recognised, or why it was not
	Account   *Ref       `json:"account,omitzero"`
	Clearing  string     `json:"clearing,omitzero" tmf:"enum=cash|transfer|directDebit|card|agency|refund"`
	Payment   *Ref       `json:"payment,omitzero"`
}

// BankEntries are what the banks booked.
var BankEntries = tmf.Kind[BankEntry, *BankEntry]{API: &API, Name: "bankEntry", Table: "receivable_bank_entry", Verbs: tmf.Patch, StateAttr: "state",
	Frozen: []string{"statement", "day", "amount", "charges", "endToEndId", "payerName", "payerIban", "reference", "text", "reasonCode", "how", "payment"},
	Rows: &tmf.Rows[*BankEntry]{
		From: "receivable_bank_entry", Columns: "id, statement, day, currency, amount, charges, end_to_end, payer, payer_iban, reference, about, reason, state, how, account, clearing, payment",
		Order: []string{"id"}, Paths: map[string]string{"state": "state", "day": "day", "account.id": "account", "clearing": "clearing", "statement": "statement", "endToEndId": "end_to_end"},
		Find: func(id string, first int) (string, []any) { return fmt.Sprintf("id = $%d", first), []any{id} },
		Scan: scanBankEntry,
	}}

// DirectDebitResource is a claim that was given to the bank. onHold says that it is not
// given again before a person takes that back.
type DirectDebitResource struct {
	tmf.Entity            // end-to-end reference
	File       *Ref       `json:"directDebitFile,omitzero"`
	Mandate    *Ref       `json:"mandate,omitzero"`
	Account    *Ref       `json:"account,omitzero"`
	Claim      *Ref       `json:"claim,omitzero"`
	Amount     *tmf.Money `json:"amount,omitzero"`
	Sequence   string     `json:"sequence,omitzero"`
	Due        string     `json:"dueOn,omitzero"`
	State      string     `json:"state,omitzero"`
	Reason     string     `json:"reasonCode,omitzero"`
	ReasonText string     `json:"reason,omitzero"`
	OnHold     *bool      `json:"onHold,omitzero"`
	Payment    *Ref       `json:"payment,omitzero"`
}

// DirectDebits of the tenant.
var DirectDebits = tmf.Kind[DirectDebitResource, *DirectDebitResource]{API: &API, Name: "directDebit", Table: "receivable_collection", Verbs: tmf.Patch, StateAttr: "state",
	Frozen: []string{"directDebitFile", "mandate", "account", "claim", "amount", "sequence", "dueOn", "state", "reasonCode", "reason", "payment"},
	Rows: &tmf.Rows[*DirectDebitResource]{
		From: "receivable_collection", Columns: "id, file, mandate, account, claim, amount, sequence, due, state, reason, hold, payment",
		Order: []string{"id"}, Paths: map[string]string{"directDebitFile.id": "file", "mandate.id": "mandate", "account.id": "account", "claim.id": "claim", "state": "state", "reasonCode": "reason"},
		Find: func(id string, first int) (string, []any) { return fmt.Sprintf("id = $%d", first), []any{id} },
		Scan: scanDirectDebit,
	}}

func init() {
	BankStatements.Act, BankEntries.OnPatch, DirectDebits.OnPatch = postBankFile, patchEntry, patchDirectDebit
}

// bankKinds are the resources of what goes to banks and comes from them.
func bankKinds() []tmf.Mounted {
	return []tmf.Mounted{&Mandates, &DirectDebitFiles, &DirectDebits, &TransferFiles, &BankStatements, &BankEntries}
}

// refTo is nothing if there is no id.
func refTo(id string) *Ref {
	if id == "" {
		return nil
	}
	return &Ref{ID: id}
}

// amountIn is minor units as they are shown.
func amountIn(minor int64, code string) (*tmf.Money, error) {
	c, err := money.ParseCurrency(code)
	if err != nil {
		return nil, err
	}
	r, err := money.Amount{Minor: minor, Currency: c}.Rate()
	return &r, err
}

func scanBankEntry(r store.Rows) (*BankEntry, error) {
	e := &BankEntry{}
	var currency, account, payment string
	var amount, charges int64
	if err := r.Scan(&e.ID, &e.Statement, &e.Day, &currency, &amount, &charges, &e.EndToEnd, &e.Payer, &e.PayerIBAN, &e.Reference, &e.Text, &e.Reason,
		&e.State, &e.How, &account, &e.Clearing, &payment); err != nil {
		return nil, err
	}
	if e.PayerIBAN != "" {
		e.PayerIBAN = sepa.IBAN(e.PayerIBAN).Masked()
	}
	e.Account, e.Payment = refTo(account), refTo(payment)
	var err error
	if e.Amount, err = amountIn(amount, currency); err == nil && charges != 0 {
		e.Charges, err = amountIn(charges, currency)
	}
	return e, err
}

func scanDirectDebit(r store.Rows) (*DirectDebitResource, error) {
	d := &DirectDebitResource{OnHold: new(bool)}
	var file, mandate, account, claim, payment string
	var amount, hold int64
	if err := r.Scan(&d.ID, &file, &mandate, &account, &claim, &amount, &d.Sequence, &d.Due, &d.State, &d.Reason, &hold, &payment); err != nil {
		return nil, err
	}
	d.File, d.Mandate, d.Account, d.Claim, d.Payment, *d.OnHold = refTo(file), refTo(mandate), refTo(account), refTo(claim), refTo(payment), hold == 1
	if d.State == "rejected" || d.State == "returned" {
		d.ReasonText = sepa.ReasonOf(d.Reason).Text
	}
	var err error
	d.Amount, err = amountIn(amount, "EUR")
	return d, err
}

// BankFile is a file of a bank that was read: what it is, and that it is whole.
type BankFile struct {
	status     *sepa.StatusReport
	statements sepa.StatementFile
}

// ReadBankFile reads a file of a bank: account statements (camt.053), a notice (camt.054)
// or an answer (pain.002). It needs no store: large files are read before a transaction.
func ReadBankFile(file []byte) (*BankFile, error) {
	if bytes.Contains(file[:min(len(file), 4096)], []byte("pain.002")) {
		r, err := sepa.ReadStatus(bytes.NewReader(file), sepa.Limits{})
		return &BankFile{status: &r}, err
	}
	s, err := sepa.ReadStatements(bytes.NewReader(file), sepa.Limits{})
	return &BankFile{statements: s}, err
}

// Take does what the file says, all of it or nothing, and keeps what it brought as b.
func (f *BankFile) Take(tx *store.Tx, b *BankStatement) error {
	*b = BankStatement{Entity: tmf.Entity{ID: b.ID}}
	count := func(n int) *int64 { v := int64(n); return &v }
	if f.status != nil {
		about, rejected, err := takeStatus(tx, *f.status)
		if err != nil {
			return err
		}
		b.Answers, b.Rejected = about, count(rejected)
		return BankStatements.Create(tx, b)
	}
	t, err := takeStatements(tx, f.statements)
	if err != nil {
		return err
	}
	b.Statements = t.Statements
	b.Known, b.Settled, b.Returned, b.Matched, b.Open = count(t.Known), count(t.Settled), count(t.Returned), count(t.Matched), count(t.Open)
	return BankStatements.Create(tx, b)
}

// TakeBankFile takes a file of a bank, whichever it is, and keeps what it brought as b.
func TakeBankFile(tx *store.Tx, b *BankStatement, file []byte) error {
	f, err := ReadBankFile(file)
	if err != nil {
		return err
	}
	return f.Take(tx, b)
}

// postBankFile takes the file of a request: it is read before the transaction begins.
func postBankFile(ctx context.Context, db *store.DB, s store.Scope, b *BankStatement) error {
	if b.File == "" {
		return fault.BadInput("fileMissing", "file is the text of the bank's file: camt.053, camt.054 or pain.002")
	}
	f, err := ReadBankFile([]byte(b.File))
	if err != nil {
		return err
	}
	id := b.ID
	return db.Write(ctx, s, func(tx *store.Tx) error {
		b.ID = id
		return f.Take(tx, b)
	})
}

// patchEntry is a person who says what an open entry is.
func patchEntry(tx *store.Tx, old, e *BankEntry) error {
	k, err := lockEntry(tx, old.ID)
	if err != nil {
		return err
	}
	switch {
	case k.state != entryOpen:
		return fault.Clash("notOpen", "The entry is %s already; a payment that is on the wrong account is given back or released there", k.state)
	case e.Account != nil && e.Clearing == "" && e.State == entryOpen:
		return k.assign(tx, e.Account)
	case e.Account == nil && e.Clearing != "" && e.State == entryOpen:
		return k.settles(tx, e.Clearing)
	case e.Account == nil && e.Clearing == "" && e.State == entryCharges:
		return k.charges(tx)
	}
	return fault.BadInput("invalidAssignment", "Give the entry the account that paid, or the clearing account that it settles, or, if money left, the state %s", entryCharges)
}

// kept is an entry that is assigned.
type kept struct {
	id, name, entity, state string
	principal               money.Amount
	day                     civil.Date
}

func lockEntry(tx *store.Tx, id string) (k kept, err error) {
	err = tx.Row("SELECT id, name, entity, state, amount - charges, currency, day FROM receivable_bank_entry WHERE tenant = $1 AND id = $2"+tx.Dialect().ForUpdate(), id).
		Scan(&k.id, &k.name, &k.entity, &k.state, &k.principal.Minor, &k.principal.Currency, &k.day)
	if err == store.ErrNotFound {
		err = fault.Missing("bankEntry", id)
	}
	return k, err
}

// assign makes the money a payment of the account.
func (k *kept) assign(tx *store.Tx, ref *Ref) error {
	if k.principal.Sign() <= 0 {
		return fault.BadInput("moneyLeft", "The entry takes money from our account; only what came in can be assigned to a customer")
	}
	a, err := accountOf(tx, ref)
	if err != nil {
		return err
	}
	e, err := billing.EntityOf(tx, a)
	if err != nil {
		return err
	}
	if e.ID != k.entity {
		return fault.BadInput("wrongEntity", "The money came in on an account of another legal entity than the one that bills %q", a.ID)
	}
	if a.Currency != "" && a.Currency != k.principal.Currency.Code() {
		return fault.BadInput("wrongCurrency", "The money is %s; the account %q is billed in %s", k.principal, a.ID, a.Currency)
	}
	if now := today(tx); k.day.After(now) {
		k.day = now
	}
	id, err := Receive(tx, Payment{Entity: k.entity, Account: a.ID, Amount: k.principal, Way: Transfer, Through: suspense, External: k.name, Received: k.day})
	if err != nil {
		return err
	}
	return k.done(tx, entryAssigned, a.ID, "", id)
}

// settles books the entry on a clearing account: what was taken or given there is at our
// bank now, or has left it.
func (k *kept) settles(tx *store.Tx, code string) error {
	if k.principal.Sign() == 0 {
		return fault.BadInput("nothingMoved", "The entry moved nothing but charges, which are booked")
	}
	if err := ledger.Post(tx, ledger.Transaction{Name: "bankEntry/" + k.id + "/" + code, Entity: k.entity, Currency: k.principal.Currency, Date: today(tx), What: "Settles " + code + " on " + k.day.String(),
		Entries: []ledger.Entry{{Account: suspense, Amount: k.principal.Minor}, {Account: ledger.Of(ledger.Clearing, code), Amount: -k.principal.Minor}}}); err != nil {
		return err
	}
	return k.done(tx, entrySettled, "", code, "")
}

// charges books the entry as what the bank took.
func (k *kept) charges(tx *store.Tx) error {
	if k.principal.Sign() >= 0 {
		return fault.BadInput("moneyCame", "The entry brought money; give it the account that paid")
	}
	if err := ledger.Post(tx, ledger.Transaction{Name: "bankEntry/" + k.id + "/charges", Entity: k.entity, Currency: k.principal.Currency, Date: today(tx), What: "Bank charges of " + k.day.String(),
		Entries: []ledger.Entry{{Account: suspense, Amount: k.principal.Minor}, {Account: ledger.BankCharges, Amount: -k.principal.Minor}}}); err != nil {
		return err
	}
	return k.done(tx, entryCharges, "", "", "")
}

func (k *kept) done(tx *store.Tx, state, account, clearing, payment string) error {
	tx.QueueOne("UPDATE receivable_bank_entry SET state = $3, account = $4, payment = $5, how = $6, actor = $7, clearing = $8 WHERE tenant = $1 AND id = $2 AND state = 'open'",
		k.id, state, account, payment, "A person said so", tx.Actor(), clearing)
	return nil
}

// patchDirectDebit is a person who lets a claim be collected again, or not.
func patchDirectDebit(tx *store.Tx, old, d *DirectDebitResource) error {
	if d.OnHold == nil {
		return fault.BadInput("onHold", "onHold is true or false")
	}
	tx.QueueOne("UPDATE receivable_collection SET hold = $3 WHERE tenant = $1 AND id = $2", old.ID, flag(*d.OnHold))
	return nil
}
