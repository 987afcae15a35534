package sepa

import (
	"io"
	"strconv"
	"time"

	"tandem/kit/civil"
	"tandem/kit/fault"
	"tandem/kit/money"
)

// Transfers is one file of credit transfers from one account: refunds, deposits paid
// back, what dealers are owed.
type Transfers struct {
	ID      string // message id, 29 characters, never used before
	Created time.Time
	Execute civil.Date // a bank day
	Name    string     // ours
	Address Address
	IBAN    IBAN
	BIC     BIC
	Items   []Transfer
}

// Transfer is one credit transfer.
type Transfer struct {
	EndToEnd  string // 35 characters, once in a file
	Amount    money.Amount
	Name      string // of the beneficiary
	Address   Address
	IBAN      IBAN
	BIC       BIC
	Reference string // RF reference, or
	Text      string // up to 140 characters
}

// CheckTransfer refuses a transfer that the bank would reject.
func (p Profile) CheckTransfer(t Transfer) error {
	if err := identifier("The end-to-end reference", t.EndToEnd, 35); err != nil {
		return err
	}
	if err := payable(t.Amount); err != nil {
		return err
	}
	if p.Charset.Map(t.Name) == "" {
		return fault.BadInput("beneficiaryMissing", "The name of the beneficiary is missing")
	}
	if _, err := ParseIBAN(string(t.IBAN)); err != nil {
		return err
	}
	if !t.IBAN.SEPA() {
		return fault.BadInput("ibanOutside", "The account %s lies outside of the payments area", t.IBAN.Masked())
	}
	if t.BIC != "" {
		if _, err := ParseBIC(string(t.BIC)); err != nil {
			return err
		}
	}
	if err := country(t.Address); err != nil {
		return err
	}
	return p.remittance(t.Reference, t.Text)
}

// WriteTransfers writes a file for the bank and says what is in it; nothing is written
// when one of the transfers is refused.
func (p Profile) WriteTransfers(w io.Writer, d Transfers) (Sent, error) {
	t, err := p.tallyTransfers(d)
	if err != nil {
		return Sent{}, err
	}
	message := "pain.001.001.03"
	if p.Version == V2019 {
		message = "pain.001.001.09"
	}
	x := p.writer(w)
	x.begin(message, "CstmrCdtTrfInitn", t.sent, p.local(d.Created), d.Name)
	x.transfers(p, d, t.sent.Batches[0])
	return t.sent, x.end("CstmrCdtTrfInitn")
}

func (p Profile) tallyTransfers(d Transfers) (*tally, error) {
	if err := p.Valid(); err != nil {
		return nil, err
	}
	if p.Charset.Map(d.Name) == "" {
		return nil, fault.BadInput("payerMissing", "Our own name is missing")
	}
	if err := ours(d.IBAN, d.BIC, d.Address); err != nil {
		return nil, err
	}
	if err := p.size(d.ID, len(d.Items)); err != nil {
		return nil, err
	}
	if !d.Execute.Valid() || !BankDay(d.Execute) {
		return nil, fault.BadInput("dueClosed", "The file %s is to be carried out on %v, which is not a bank day", d.ID, d.Execute)
	}
	if first := p.HandedIn(d.Created); d.Execute.Before(first) {
		return nil, fault.BadInput("dueEarly", "The file %s is to be carried out on %v; handed in now that is %v at the earliest", d.ID, d.Execute, first)
	}
	t, seen := newTally(d.ID), make(map[string]bool, len(d.Items))
	for i, c := range d.Items {
		where := "Transfer " + strconv.Itoa(i+1) + " (" + prefix(c.EndToEnd, 35) + ")"
		if err := p.CheckTransfer(c); err != nil {
			return nil, fault.At(where, err)
		}
		if seen[c.EndToEnd] {
			return nil, fault.BadInput("endToEndTwice", "%s: its end-to-end reference stands in the file twice", where)
		}
		seen[c.EndToEnd] = true
		if err := t.add("", d.Execute, i, c.Amount); err != nil {
			return nil, fault.At(where, err)
		}
	}
	return t, nil
}

func (w *writer) transfers(p Profile, d Transfers, b SentBatch) {
	w.open("PmtInf")
	w.leaf("PmtInfId", b.ID)
	w.leaf("PmtMtd", "TRF")
	w.leaf("BtchBookg", strconv.FormatBool(!p.Each))
	w.leaf("NbOfTxs", strconv.Itoa(b.Count))
	w.leaf("CtrlSum", b.Sum.Decimal())
	w.in("SEPA", "PmtTpInf", "SvcLvl", "Cd")
	if w.v == V2009 {
		w.leaf("ReqdExctnDt", b.Due.String())
	} else {
		w.in(b.Due.String(), "ReqdExctnDt", "Dt")
	}
	w.party("Dbtr", d.Name, d.Address)
	w.in(string(d.IBAN), "DbtrAcct", "Id", "IBAN")
	w.bank("DbtrAgt", d.BIC)
	w.leaf("ChrgBr", "SLEV")
	for _, t := range d.Items {
		w.transfer(t)
	}
	w.close("PmtInf")
}

func (w *writer) transfer(t Transfer) {
	w.open("CdtTrfTxInf")
	w.in(t.EndToEnd, "PmtId", "EndToEndId")
	w.open("Amt")
	w.amount(t.Amount)
	w.close("Amt")
	if t.BIC != "" {
		w.bank("CdtrAgt", t.BIC)
	}
	w.party("Cdtr", t.Name, t.Address)
	w.in(string(t.IBAN), "CdtrAcct", "Id", "IBAN")
	w.remittance(t.Reference, t.Text)
	w.close("CdtTrfTxInf")
}
