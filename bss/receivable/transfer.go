package receivable

import (
	"bytes"
	"cmp"
	"strings"
	"time"

	"tandem/bss/billing"
	"tandem/bss/ledger"
	"tandem/edge/sepa"
	"tandem/kit/fault"
	"tandem/kit/money"
	"tandem/kit/store"
	"tandem/kit/tmf"
)

// TransferFile is a file of transfers for the bank (pain.001): refunds that are given back
// that way. Posting one makes it of all that wait for the legal entity. The file itself is
// at its address with /content behind.
type TransferFile struct {
	tmf.Entity             // message id
	LegalEntity *Ref       `json:"legalEntity,omitzero" tmf:"required"`
	Created     time.Time  `json:"created,omitzero"`
	Execute     string     `json:"executeOn,omitzero"`
	Count       int64      `json:"count,omitzero"`
	Sum         *tmf.Money `json:"sum,omitzero"`
	Status      string     `json:"status,omitzero"` // made; then what the bank says: accepted, partly, rejected
	StatusText  string     `json:"statusReason,omitzero"`
}

// TransferFiles of the tenant.
var TransferFiles = tmf.Kind[TransferFile, *TransferFile]{API: &API, Name: "creditTransferFile", Class: "CreditTransferFile", Table: "receivable_transfer_doc",
	Verbs: tmf.Task, Index: []string{"legalEntity.id", "status"}, StateAttr: "status"}

func init() { TransferFiles.OnPost = postTransferFile }

// refunding has money that was booked as given back until the bank has carried it out.
var refunding = ledger.Of(ledger.Clearing, "refund")

// transfer is money on its way back.
type transfer struct {
	id, refund, payment, account, entity string
	name, iban, bic, about               string
	amount                               int64
	file, batch, state                   string
}

const transferColumns = "id, refund, payment, account, entity, name, iban, bic, about, amount, file, batch, state"

func transfersOf(rows store.Rows, err error) ([]transfer, error) {
	return store.Collect(rows, err, func(r store.Rows) (t transfer, err error) {
		return t, r.Scan(&t.id, &t.refund, &t.payment, &t.account, &t.entity, &t.name, &t.iban, &t.bic, &t.about, &t.amount, &t.file, &t.batch, &t.state)
	})
}

// byTransfer tells whether a refund is to be given back to an account at a bank.
func byTransfer(m *Method) bool {
	kind := cmp.Or(m.Type, m.ReferredType)
	return strings.EqualFold(kind, "BankAccountTransfer")
}

// refundByTransfer books a refund and has the next file carry it: to the account that it
// names, or that the money came from.
func refundByTransfer(tx *store.Tx, r *RefundResource, p Payment, amount money.Amount, a *billing.BillingAccount) error {
	if amount.Currency != money.EUR {
		return fault.BadInput("notEuro", "%s cannot be given back by SEPA transfer, which carries nothing but euro", amount)
	}
	t := transfer{id: tmf.NewID(), payment: p.ID, account: p.Account, entity: p.Entity, amount: amount.Minor, iban: r.PaymentMethod.AccountNumber, bic: r.PaymentMethod.BIC,
		name: cmp.Or(r.PaymentMethod.Owner, a.Name), about: cut(cmp.Or(r.Description, "Refund"), 140), state: "waiting"}
	if t.iban == "" {
		if err := t.cameFrom(tx); err != nil {
			return err
		}
	}
	iban, err := collectable(t.iban)
	if err != nil {
		return err
	}
	t.iban, r.PaymentMethod.AccountNumber = string(iban), iban.Masked()
	if err := sepa.Standard(time.UTC).CheckTransfer(t.item()); err != nil {
		return err
	}
	r.Status, r.StatusDate = "pending", tx.Now()
	if err := Refunds.Create(tx, r); err != nil {
		return err
	}
	t.refund = r.ID
	if amount.Minor <= 0 || amount.Minor > p.Open {
		return fault.BadInput("notOpen", "Of the payment %q %s can be given back", p.ID, money.Amount{Minor: p.Open, Currency: p.Amount.Currency})
	}
	p.Through = refunding
	if err := p.back(tx, amount.Minor, "refund/"+r.ID, t.about); err != nil {
		return err
	}
	tx.Insert("INSERT INTO receivable_transfer (tenant, id, refund, payment, account, entity, name, iban, bic, about, amount, file, batch, state, reason, at)",
		t.id, t.refund, t.payment, t.account, t.entity, t.name, t.iban, t.bic, t.about, t.amount, "", "", t.state, "", store.Micros(tx.Now()))
	return nil
}

// cameFrom takes the account at a bank that the payment came from, or that the customer
// has given a mandate for.
func (t *transfer) cameFrom(tx *store.Tx) error {
	err := tx.Row(`SELECT payer_iban, payer FROM receivable_bank_entry WHERE tenant = $1 AND payment = $2 AND payment <> '' AND payer_iban <> '' LIMIT 1`, t.payment).Scan(&t.iban, &t.name)
	if err != store.ErrNotFound {
		return err
	}
	err = tx.Row("SELECT iban FROM receivable_debtor WHERE tenant = $1 AND account = $2 AND active = 1", t.account).Scan(&t.iban)
	if err == store.ErrNotFound {
		err = fault.BadInput("noIban", "Say in paymentMethod.accountNumber to which account at a bank it is given back: none is known of the account %q", t.account)
	}
	return err
}

func (t *transfer) item() sepa.Transfer {
	return sepa.Transfer{EndToEnd: t.id, Amount: money.Amount{Minor: t.amount, Currency: money.EUR}, Name: t.name, IBAN: sepa.IBAN(t.iban), BIC: sepa.BIC(t.bic), Text: t.about}
}

// postTransferFile makes a file of the transfers that wait.
func postTransferFile(tx *store.Tx, f *TransferFile) error {
	e, err := billing.LegalEntities.Lock(tx, f.LegalEntity.ID) // one file of it at a time
	if fault.Is(err, fault.NotFound) {
		return fault.BadInput("unknownEntity", "There is no legal entity with id %q", f.LegalEntity.ID)
	}
	if err != nil {
		return err
	}
	iban, err := sepa.ParseIBAN(e.IBAN)
	if err != nil {
		return fault.Clash("noCreditor", "The legal entity %q has no account (iban) to pay from", e.Name)
	}
	profile, err := profileOf(e)
	if err != nil {
		return err
	}
	all, err := transfersOf(tx.Query("SELECT "+transferColumns+" FROM receivable_transfer WHERE tenant = $1 AND entity = $2 AND state = 'waiting' ORDER BY id LIMIT $3"+
		tx.Dialect().ForUpdate(), e.ID, int64(min(maxInFile, profile.Longest))))
	if err != nil {
		return err
	}
	if len(all) == 0 {
		return fault.Clash("nothingToPay", "No refund waits to be given back by bank transfer")
	}
	out := sepa.Transfers{ID: tmf.NewID(), Created: tx.Now(), Execute: profile.HandedIn(tx.Now()), Name: e.Name, Address: addressOf(e.Address), IBAN: iban, BIC: sepa.BIC(e.BIC)}
	for i := range all {
		out.Items = append(out.Items, all[i].item())
	}
	var text bytes.Buffer
	sent, err := profile.WriteTransfers(&text, out)
	if err != nil {
		return err
	}
	if f.Sum, err = amountIn(sent.Sum.Minor, "EUR"); err != nil {
		return err
	}
	f.ID, f.Created, f.Execute, f.Count, f.Status, f.StatusText = sent.ID, tx.Now(), out.Execute.String(), int64(sent.Count), "made", ""
	if err := TransferFiles.Create(tx, f); err != nil {
		return err
	}
	tx.Insert("INSERT INTO receivable_sepa_file (tenant, id, content)", sent.ID, text.Bytes())
	for _, t := range all {
		tx.QueueOne("UPDATE receivable_transfer SET state = 'sent', file = $3, batch = $4 WHERE tenant = $1 AND id = $2 AND state = 'waiting'", t.id, sent.ID, sent.Batches[0].ID)
	}
	return nil
}

// done books that our bank has carried the transfer out.
func (t *transfer) done(tx *store.Tx, through string) error {
	t.state = "paid"
	tx.QueueOne("UPDATE receivable_transfer SET state = 'paid' WHERE tenant = $1 AND id = $2 AND state = 'sent'", t.id)
	if err := ledger.Post(tx, ledger.Transaction{Name: "transfer/" + t.id, Entity: t.entity, Currency: money.EUR, Date: today(tx), What: "Refund " + t.refund,
		Entries: []ledger.Entry{{Account: refunding, Amount: t.amount}, {Account: through, Amount: -t.amount}}}); err != nil {
		return err
	}
	return t.show(tx, "done", "")
}

// failed puts the money back on the account: the bank did not take the transfer, or it
// came back.
func (t *transfer) failed(tx *store.Tx, state, code string) error {
	t.state = state
	why := strings.TrimSpace(code + " " + sepa.ReasonOf(code).Text)
	tx.QueueOne("UPDATE receivable_transfer SET state = $3, reason = $4 WHERE tenant = $1 AND id = $2 AND state IN ('sent', 'paid')", t.id, state, cut(code, 35))
	p, err := lockPayment(tx, t.payment)
	if err != nil {
		return err
	}
	if err := t.show(tx, "declined", why); err != nil {
		return err
	}
	return p.unback(tx, t.amount, "refund/"+t.refund, "The refund came back: "+why)
}

// back books that a transfer came back to our account.
func (t *transfer) back(tx *store.Tx, through, code string) error {
	if err := ledger.Post(tx, ledger.Transaction{Name: "transfer/" + t.id + "/back", Entity: t.entity, Currency: money.EUR, Date: today(tx), What: "Refund " + t.refund + " came back",
		Entries: []ledger.Entry{{Account: through, Amount: t.amount}, {Account: refunding, Amount: -t.amount}}}); err != nil {
		return err
	}
	return t.failed(tx, "returned", code)
}

func (t *transfer) show(tx *store.Tx, status, why string) error {
	_, err := Refunds.Edit(tx, t.refund, func(r *RefundResource) error {
		r.Status, r.StatusDate, r.StatusReason = status, tx.Now(), why
		return nil
	})
	return err
}

// takeTransferStatus takes what the bank says about a file of transfers.
func takeTransferStatus(tx *store.Tx, r sepa.StatusReport) (rejected int, err error) {
	f, err := TransferFiles.Lock(tx, r.Original)
	if err != nil {
		return 0, err
	}
	sum, err := f.Sum.PostRat(1, 1, money.HalfUp)
	if err != nil {
		return 0, err
	}
	if err := r.About(sepa.Sent{ID: f.ID, Count: int(f.Count), Sum: sum}); err != nil {
		return 0, err
	}
	all, err := transfersOf(tx.Query("SELECT "+transferColumns+" FROM receivable_transfer WHERE tenant = $1 AND file = $2 AND state = 'sent' ORDER BY id"+tx.Dialect().ForUpdate(), f.ID))
	if err != nil {
		return 0, err
	}
	of := verdicts(r)
	for i := range all {
		t := &all[i]
		v, ok := of[t.id]
		if !ok {
			status, why, _ := r.Of(t.batch, t.id)
			v = verdict{status, codeOf(why, r.Reasons)}
		}
		if !v.status.Bad() {
			continue
		}
		rejected++
		if err := t.failed(tx, "rejected", v.code); err != nil {
			return rejected, err
		}
	}
	n, err := TransferFiles.Copy(f)
	if err != nil {
		return rejected, err
	}
	n.Status, n.StatusText = statusOf(n.Status, r)
	return rejected, TransferFiles.Save(tx, f, n)
}

// recallTransfers reads the transfers of ours that a statement names.
func (t *taking) recallTransfers(ids []string) error {
	t.sentBack = map[string]*transfer{}
	for first := 0; first < len(ids); first += 200 {
		args := store.Padded(ids[first:min(first+200, len(ids))])
		found, err := transfersOf(t.tx.Query("SELECT "+transferColumns+" FROM receivable_transfer WHERE tenant = $1 AND id IN ("+store.In(2, len(args))+") ORDER BY id"+
			t.tx.Dialect().ForUpdate(), args...))
		if err != nil {
			return err
		}
		for i := range found {
			if found[i].entity == t.entity {
				t.sentBack[found[i].id] = &found[i]
			}
		}
	}
	return nil
}

// transfersIn settles all of a file of transfers that the bank shows as one sum.
func (t *taking) transfersIn(file string, principal money.Amount) ([]transfer, error) {
	all, err := transfersOf(t.tx.Query("SELECT "+transferColumns+" FROM receivable_transfer WHERE tenant = $1 AND entity = $2 AND file = $3 AND file <> '' AND state = 'sent' ORDER BY id"+
		t.tx.Dialect().ForUpdate(), t.entity, file))
	if err != nil {
		return nil, err
	}
	sum := int64(0)
	for _, x := range all {
		sum -= x.amount
	}
	if sum != principal.Minor {
		return nil, nil
	}
	return all, nil
}

// transferFileContent is a file as it is handed to the bank.
func transferFileContent(tx *store.Tx, id string) ([]byte, error) {
	if _, err := TransferFiles.Get(tx, id); err != nil {
		return nil, err
	}
	return DebitFile(tx, id)
}
