package receivable

import (
	"bytes"
	"cmp"
	"crypto/sha256"
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

// States of an entry of a bank statement.
const (
	entrySettled  = "settled"  // our collections, or what a clearing account had
	entryReturned = "returned" // of our collections
	entryMatched  = "matched"  // a transfer whose account was recognised
	entryOpen     = "open"     // a person looks at it
	entryAssigned = "assigned" // by a person to an account
	entryCharges  = "charges"  // of the bank, said a person
)

// suspense has the money of entries whose owner is not known yet.
var suspense = ledger.Of(ledger.Clearing, "bank")

// Taken says what a statement file brought.
type Taken struct {
	Statements []string // ids of those that are new
	Known      int      // statements that were taken before: nothing happened
	Settled    int      // entries, by what was done about them
	Returned   int
	Matched    int
	Open       int
}

// TakeStatement takes a file of account statements (camt.053): all of it or nothing,
// each statement once. What came of our collections and what came back is booked on
// them; transfers on the accounts that they are recognised to be for; the rest is on
// the list of entries that a person assigns. Everything is in the books: what the
// ledger has on the account at the bank moves as the bank's own balance does. Of a
// notice (camt.054) nothing is booked, since the statement tells it again: only the
// mandates that it shows to be void are stopped at once.
//
// Errors: those of reading; unknownBankAccount, statementGap, statementChanged.
func TakeStatement(tx *store.Tx, file []byte) (out Taken, err error) {
	f, err := sepa.ReadStatements(bytes.NewReader(file), sepa.Limits{})
	if err != nil {
		return out, err
	}
	return takeStatements(tx, f)
}

func takeStatements(tx *store.Tx, f sepa.StatementFile) (out Taken, err error) {
	defer fault.Wrap(&err, "receivable.TakeStatement")
	for i := range f.Statements {
		t := &taking{tx: tx, s: &f.Statements[i], out: &out}
		if err := t.whose(); err != nil {
			return out, err
		}
		if f.Notice {
			err = t.notice()
		} else {
			err = t.statement()
		}
		if err != nil {
			return out, err
		}
	}
	return out, nil
}

// taking is a statement while it is taken.
type taking struct {
	tx      *store.Tx
	s       *sepa.Statement
	out     *Taken
	entity  string
	through string // account of the ledger
	ours    map[string]*collection
	// sentBack are the refunds that the statement names.
	sentBack map[string]*transfer
	// paysOut are the clearing accounts of gateways and agencies, by IBAN.
	paysOut map[string]string
}

// whose finds the legal entity that has the account.
func (t *taking) whose() error {
	all, err := billing.LegalEntities.Select(t.tx, tmf.Where{}, tmf.Page{Limit: 1000})
	if err != nil {
		return err
	}
	for _, e := range all {
		if i, err := sepa.ParseIBAN(e.IBAN); err == nil && string(i) == t.s.Account {
			t.entity, t.through = e.ID, ledger.Of(ledger.Bank, t.s.Account)
			return nil
		}
	}
	return fault.BadInput("unknownBankAccount", "The statement %s is of the account %s, which no legal entity has as its iban", t.s.ID, sepa.IBAN(t.s.Account).Masked())
}

func (t *taking) statement() error {
	s := t.s
	id := s.ID
	if s.Page != "" {
		id += "/" + s.Page
	}
	known, err := t.known(id)
	if err != nil {
		return err
	}
	if known {
		t.out.Known++
		return nil
	}
	t.tx.Queue(`INSERT INTO receivable_statement (tenant, bank, id, day, currency, opening, closing, at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
		s.Account, id, s.Closing.Day.String(), s.Currency.Code(), s.Opening.Sum.Minor, s.Closing.Sum.Minor, store.Micros(t.tx.Now()))
	t.out.Statements = append(t.out.Statements, id)
	if err := t.recall(); err != nil {
		return err
	}
	if err := t.recallPayouts(); err != nil {
		return err
	}
	for _, e := range s.Entries {
		if !e.Booked {
			continue
		}
		if err := t.charge(e.Charges, "Charges of a line of "+e.Day.String()); err != nil {
			return err
		}
		for _, d := range e.Details {
			if err := t.detail(e, d); err != nil {
				return err
			}
		}
	}
	return nil
}

// known tells whether the statement was taken before, and refuses one that does not
// follow the last one that was.
func (t *taking) known(id string) (bool, error) {
	s := t.s
	var closing int64
	err := t.tx.Row("SELECT closing FROM receivable_statement WHERE tenant = $1 AND bank = $2 AND id = $3 AND day = $4", s.Account, id, s.Closing.Day.String()).Scan(&closing)
	if err == nil && closing != s.Closing.Sum.Minor {
		err = fault.Clash("statementChanged", "The statement %s of %v was taken before with another closing balance, %s", id, s.Closing.Day, money.Amount{Minor: closing, Currency: s.Currency})
	}
	if err != store.ErrNotFound {
		return err == nil, err
	}
	var last sepa.Balance
	err = t.tx.Row("SELECT day, closing, currency FROM receivable_statement WHERE tenant = $1 AND bank = $2 ORDER BY number DESC LIMIT 1"+t.tx.Dialect().ForUpdate(), s.Account).
		Scan(&last.Day, &last.Sum.Minor, &last.Sum.Currency)
	if err == store.ErrNotFound {
		return false, nil // the first one: what stood there before is not ours to book
	}
	if err != nil {
		return false, err
	}
	return false, s.Follows(last)
}

// recall reads the collections that the statement names.
func (t *taking) recall() error {
	t.ours = map[string]*collection{}
	var ids []string
	for _, e := range t.s.Entries {
		for _, d := range e.Details {
			if d.EndToEnd != "" && len(d.EndToEnd) <= 35 {
				ids = append(ids, d.EndToEnd)
			}
		}
	}
	for first := 0; first < len(ids); first += 200 {
		args := store.Padded(ids[first:min(first+200, len(ids))])
		found, err := collections(t.tx.Query("SELECT "+collectionColumns+" FROM receivable_collection WHERE tenant = $1 AND id IN ("+store.In(2, len(args))+") ORDER BY id"+
			t.tx.Dialect().ForUpdate(), args...))
		if err != nil {
			return err
		}
		for _, c := range found {
			if c.entity == t.entity {
				t.ours[c.id] = &c
			}
		}
	}
	return t.recallTransfers(ids)
}

// entry is a payment of a statement as it is kept.
type entry struct {
	id, state, how, account, clearing, payment string
}

// detail takes one payment.
func (t *taking) detail(e sepa.Entry, d sepa.Detail) (err error) {
	principal, err := d.Principal()
	if err != nil {
		return err
	}
	k := entry{id: tmf.NewID()}
	c, x := t.ours[d.EndToEnd], t.sentBack[d.EndToEnd]
	switch {
	case c != nil && c.due() && principal.Minor == c.amount && d.Return == nil:
		err = t.settle(&k, e, c, d)
	case c != nil && c.state == "paid" && principal.Minor == -c.amount:
		err = t.back(&k, e, c, d)
	case x != nil && x.state == "sent" && principal.Minor == -x.amount && d.Return == nil:
		err = t.carried(&k, e, d, x)
	case x != nil && x.state == "paid" && principal.Minor == x.amount:
		err = t.cameBack(&k, e, d, x)
	case c == nil && d.Batch != "" && d.EndToEnd == "" && principal.Sign() < 0:
		err = t.carriedBatch(&k, e, d, principal)
	case c == nil && d.Batch != "" && d.EndToEnd == "" && principal.Sign() > 0:
		err = t.batch(&k, e, d, principal)
	default:
		err = t.other(&k, e, d, principal)
	}
	if err != nil {
		return err
	}
	t.count(k.state)
	return t.keep(&k, e, d)
}

func (t *taking) count(state string) {
	switch state {
	case entrySettled:
		t.out.Settled++
	case entryReturned:
		t.out.Returned++
	case entryMatched:
		t.out.Matched++
	default:
		t.out.Open++
	}
}

// keep writes the entry. Its name is once for ever: the database refuses it twice.
func (t *taking) keep(k *entry, e sepa.Entry, d sepa.Detail) error {
	reason := ""
	if d.Return != nil {
		reason = d.Return.Code
	}
	t.tx.Insert(`INSERT INTO receivable_bank_entry (tenant, id, name, statement, entity, bank, day, currency, amount, charges, end_to_end, payer, payer_iban, reference, about, reason,
		state, how, account, clearing, payment, actor, at)`, k.id, nameOf(d), t.s.ID, t.entity, t.s.Account, e.Day.String(), t.s.Currency.Code(), d.Amount.Minor, d.Charges.Minor,
		cut(d.EndToEnd, 35), cut(d.Payer.Name, 140), cut(d.Payer.IBAN, 34), cut(d.Ref, 35), cut(cmp.Or(d.Text, e.Text), 1000), cut(reason, 35),
		k.state, k.how, k.account, k.clearing, k.payment, t.tx.Actor(), store.Micros(t.tx.Now()))
	return nil
}

// nameOf is what the payment is called once for ever, short enough for a column.
func nameOf(d sepa.Detail) string {
	name := d.Key.String()
	if len(name) <= 200 {
		return name
	}
	return fmt.Sprintf("%x", sha256.Sum256([]byte(name)))
}

// cut keeps so many characters of what a bank wrote.
func cut(text string, n int) string {
	if r := []rune(text); len(r) > n {
		return string(r[:n])
	}
	return text
}

// settle books a collection that was paid out.
func (t *taking) settle(k *entry, e sepa.Entry, c *collection, d sepa.Detail) error {
	if err := c.settled(t.tx, t.through, t.dated(e)); err != nil {
		return err
	}
	k.state, k.how, k.account, k.payment = entrySettled, "Direct debit "+c.id, c.account, c.payment
	return t.charge(d.Charges, "Charges of direct debit "+c.id)
}

// dated is the day of a line: money that the bank dates ahead came today.
func (t *taking) dated(e sepa.Entry) civil.Date {
	if now := today(t.tx); e.Day.After(now) {
		return now
	}
	return e.Day
}

// back books a collection whose money went back. The customer owes what the bank takes
// for it, unless the cause lies with us.
func (t *taking) back(k *entry, e sepa.Entry, c *collection, d sepa.Detail) error {
	p, err := lockPayment(t.tx, c.payment)
	if err != nil {
		return err
	}
	if p.Returned > 0 || p.recovered > 0 {
		k.how = "A part of the payment was given back or used for a write-off: a person decides"
		return t.suspend(k, e, d)
	}
	code := ""
	if d.Return != nil {
		code = d.Return.Code
	}
	why := sepa.ReasonOf(code)
	fee := money.Amount{Currency: t.s.Currency}
	if !why.Ours {
		fee.Minor = -d.Charges.Minor
	}
	if err := Return(t.tx, c.payment, code+" "+why.Text, fee); err != nil {
		return err
	}
	if err := c.failed(t.tx, "returned", code); err != nil {
		return err
	}
	k.state, k.how, k.account, k.payment = entryReturned, "Direct debit "+c.id, c.account, c.payment
	return t.charge(d.Charges, "Charges of the return of direct debit "+c.id)
}

// batch settles all of a batch that the bank shows as one sum. If some of it is missing
// nobody knows which.
func (t *taking) batch(k *entry, e sepa.Entry, d sepa.Detail, principal money.Amount) error {
	all, err := collections(t.tx.Query("SELECT "+collectionColumns+` FROM receivable_collection WHERE tenant = $1 AND entity = $2 AND batch = $3
		AND file = $4 AND (state = 'sent' OR state = 'rejected' AND reason = 'WITHDRAWN') ORDER BY id`+t.tx.Dialect().ForUpdate(), t.entity, d.Batch, cmp.Or(d.Message, e.Message)))
	if err != nil {
		return err
	}
	sum := int64(0)
	for _, c := range all {
		sum += c.amount
	}
	if sum != principal.Minor {
		return t.other(k, e, d, principal)
	}
	for i := range all {
		c := &all[i]
		if known := t.ours[c.id]; known != nil { // the statement may have its return as well
			c = known
		}
		if err := c.settled(t.tx, t.through, t.dated(e)); err != nil {
			return err
		}
	}
	k.state, k.how = entrySettled, "Direct debits of "+d.Batch
	return t.charge(d.Charges, "Charges of direct debits "+d.Batch)
}

// carried books a refund that our bank has carried out.
func (t *taking) carried(k *entry, e sepa.Entry, d sepa.Detail, x *transfer) error {
	if err := x.done(t.tx, t.through); err != nil {
		return err
	}
	k.state, k.how, k.account, k.payment = entrySettled, "Refund "+x.refund, x.account, x.payment
	return t.charge(d.Charges, "Charges of refund "+x.refund)
}

// cameBack books a refund that the customer's bank did not take.
func (t *taking) cameBack(k *entry, e sepa.Entry, d sepa.Detail, x *transfer) error {
	code := ""
	if d.Return != nil {
		code = d.Return.Code
	}
	if err := x.back(t.tx, t.through, code); err != nil {
		return err
	}
	k.state, k.how, k.account, k.payment = entryReturned, "Refund "+x.refund, x.account, x.payment
	return t.charge(d.Charges, "Charges of the return of refund "+x.refund)
}

// carriedBatch books all refunds of a file that the bank shows as one sum.
func (t *taking) carriedBatch(k *entry, e sepa.Entry, d sepa.Detail, principal money.Amount) error {
	all, err := t.transfersIn(cmp.Or(d.Message, e.Message), principal)
	if err != nil || len(all) == 0 {
		if err == nil {
			err = t.other(k, e, d, principal)
		}
		return err
	}
	for i := range all {
		x := &all[i]
		if known := t.sentBack[x.id]; known != nil { // the statement may have its return as well
			x = known
		}
		if err := x.done(t.tx, t.through); err != nil {
			return err
		}
	}
	k.state, k.how = entrySettled, "Refunds of "+d.Batch
	return t.charge(d.Charges, "Charges of refunds "+d.Batch)
}

// other books what is no collection of ours: on the account that it is recognised to be
// for, or in suspense.
func (t *taking) other(k *entry, e sepa.Entry, d sepa.Detail, principal money.Amount) error {
	if principal.Sign() <= 0 || d.Return != nil {
		return t.suspend(k, e, d)
	}
	if code := t.paysOut[d.Payer.IBAN]; code != "" {
		return t.payout(k, e, d, principal, code)
	}
	found, err := t.recognise(d, principal)
	if err != nil {
		return err
	}
	k.how = found.how
	if found.account == "" {
		return t.suspend(k, e, d)
	}
	k.state, k.account = entryMatched, found.account
	k.payment, err = Receive(t.tx, Payment{Entity: t.entity, Account: found.account, Amount: principal, Way: Transfer, Through: t.through,
		External: nameOf(d), Received: t.dated(e)}, found.shares...)
	if err != nil {
		return err
	}
	return t.charge(d.Charges, "Charges of a transfer of "+e.Day.String())
}

// payout books what a gateway or an agency has taken for us and pays on.
func (t *taking) payout(k *entry, e sepa.Entry, d sepa.Detail, principal money.Amount, code string) error {
	k.state, k.clearing, k.how = entrySettled, code, "A payout as one before from the same account"
	if err := ledger.Post(t.tx, ledger.Transaction{Name: "bankEntry/" + k.id, Entity: t.entity, Currency: t.s.Currency, Date: today(t.tx), What: "Settles " + code + " on " + e.Day.String(),
		Entries: []ledger.Entry{{Account: t.through, Amount: principal.Minor}, {Account: ledger.Of(ledger.Clearing, code), Amount: -principal.Minor}}}); err != nil {
		return err
	}
	return t.charge(d.Charges, "Charges of a payout of "+e.Day.String())
}

// recallPayouts reads from which accounts at banks gateways and agencies pay out: a person
// has said so of an entry, of the same account always, and no customer pays from there.
func (t *taking) recallPayouts() error {
	rows, err := t.tx.Query(`SELECT payer_iban, min(clearing) FROM receivable_bank_entry e WHERE tenant = $1 AND clearing IN ('card', 'agency') AND entity = $2
		AND clearing <> '' AND payer_iban <> '' AND amount > 0 AND NOT EXISTS (SELECT 1 FROM receivable_bank_entry o WHERE o.tenant = e.tenant
			AND o.payer_iban = e.payer_iban AND o.payer_iban <> '' AND o.state IN ('matched', 'assigned'))
		GROUP BY payer_iban HAVING count(DISTINCT clearing) = 1`, t.entity)
	t.paysOut = map[string]string{}
	_, err = store.Collect(rows, err, func(r store.Rows) (none struct{}, err error) {
		var iban, code string
		err = r.Scan(&iban, &code)
		t.paysOut[iban] = code
		return none, err
	})
	return err
}

// suspend books what a person has to look at.
func (t *taking) suspend(k *entry, e sepa.Entry, d sepa.Detail) error {
	k.state = entryOpen
	principal, err := d.Principal()
	if err != nil {
		return err
	}
	if principal.Minor != 0 {
		if err := ledger.Post(t.tx, ledger.Transaction{Name: "bankEntry/" + k.id, Entity: t.entity, Currency: t.s.Currency, Date: today(t.tx), What: "Bank statement of " + e.Day.String(),
			Entries: []ledger.Entry{{Account: t.through, Amount: principal.Minor}, {Account: suspense, Amount: -principal.Minor}}}); err != nil {
			return err
		}
	}
	return t.charge(d.Charges, "Charges on the bank statement of "+e.Day.String())
}

// charge books what the bank kept; amounts of charges are negative.
func (t *taking) charge(c money.Amount, what string) error {
	if c.Minor == 0 {
		return nil
	}
	return ledger.Post(t.tx, ledger.Transaction{Name: "bankCharges/" + tmf.NewID(), Entity: t.entity, Currency: t.s.Currency, Date: today(t.tx), What: what,
		Entries: []ledger.Entry{{Account: t.through, Amount: c.Minor}, {Account: ledger.BankCharges, Amount: -c.Minor}}})
}

// notice stops the mandates of collections that came back, before the statement comes.
func (t *taking) notice() error {
	if err := t.recall(); err != nil {
		return err
	}
	for _, e := range t.s.Entries {
		for _, d := range e.Details {
			c := t.ours[d.EndToEnd]
			if c == nil || d.Return == nil {
				continue
			}
			if why := sepa.ReasonOf(d.Return.Code); why.Action == sepa.StopMandate {
				if err := endMandate(t.tx, c.mandate, MandateStopped, why.Code+": "+why.Text); err != nil {
					return err
				}
			}
		}
	}
	return nil
}
