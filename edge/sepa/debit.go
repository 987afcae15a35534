package sepa

import (
	"io"
	"strconv"
	"time"

	"tandem/kit/civil"
	"tandem/kit/fault"
	"tandem/kit/money"
)

// Creditor is who collects, and where the money goes.
type Creditor struct {
	Name    string
	Address Address
	IBAN    IBAN
	BIC     BIC // "": the bank finds itself
	ID      CreditorID
}

// Debits is one file of collections for one creditor.
type Debits struct {
	ID          string    // message id, 29 characters, never used before: a bank refuses a second file of that name
	Created     time.Time // when it is handed in; due dates are measured from it
	Creditor    Creditor
	Collections []Collection
}

// Collection is one direct debit.
type Collection struct {
	EndToEnd  string // 35 characters, once in a file; comes back with every answer
	Scheme    Scheme
	Sequence  Sequence
	Due       civil.Date // a bank day, see Profile.Due
	Amount    money.Amount
	Mandate   Mandate
	Debtor    string
	Address   Address // needed where the debtor's bank is outside of the European Economic Area
	IBAN      IBAN
	BIC       BIC    // needed for the same accounts
	Reference string // RF reference, or
	Text      string // up to 140 characters
}

// Mandate is the authority to collect.
type Mandate struct {
	ID     string // unique mandate reference
	Signed civil.Date
	Change Change
}

// Change is what was altered since the last collection under the mandate; it goes with
// the next one. What is empty did not change.
type Change struct {
	MandateID    string     // the former reference
	CreditorName string     // the former name
	CreditorID   CreditorID // the former identifier
	IBAN         IBAN       // the debtor's former account
	Account      bool       // the debtor's account changed, the former one is not named
}

func (c Change) any() bool { return c != (Change{}) }

// overseas are the countries of the area outside of the European Economic Area: the
// law there wants the debtor's address and BIC (EPC, since 2019).
var overseas = set("AD AL CH GB GI MC MD ME MK RS SM VA")

// Check refuses a collection that the bank would reject. One that passes does not
// spoil the file it is put into, handed in at the given instant.
func (p Profile) Check(c Collection, now time.Time) error {
	checks := []func() error{
		func() error { return identifier("The end-to-end reference", c.EndToEnd, 35) },
		func() error { return payable(c.Amount) },
		func() error { return c.authorised() },
		func() error { return c.reaches(p) },
		func() error { return p.remittance(c.Reference, c.Text) },
		func() error { return p.inTime(c, now) },
	}
	for _, check := range checks {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

// authorised checks scheme, sequence and mandate.
func (c Collection) authorised() error {
	if c.Scheme != Core && c.Scheme != B2B {
		return fault.BadInput("schemeMissing", "A collection is for the scheme CORE or B2B")
	}
	if c.Sequence < First || c.Sequence > Final {
		return fault.BadInput("sequenceMissing", "A collection is FRST, RCUR, OOFF or FNAL; a bank takes no other")
	}
	if err := identifier("The mandate reference", c.Mandate.ID, 35); err != nil {
		return err
	}
	if !c.Mandate.Signed.Valid() {
		return fault.BadInput("mandateUnsigned", "The mandate %s has no date of signature", c.Mandate.ID)
	}
	if c.Mandate.Signed.After(c.Due) {
		return fault.BadInput("mandateLate", "The mandate %s was signed on %v, after the collection is due", c.Mandate.ID, c.Mandate.Signed)
	}
	return c.changed()
}

// changed checks what the mandate was before.
func (c Collection) changed() error {
	m := c.Mandate.Change
	if m.IBAN != "" && m.Account {
		return fault.BadInput("changeTwice", "The former account of mandate %s is named or it is not, not both", c.Mandate.ID)
	}
	if m.IBAN != "" {
		if _, err := ParseIBAN(string(m.IBAN)); err != nil {
			return fault.At("The former account", err)
		}
	}
	if m.CreditorID != "" {
		if _, err := ParseCreditorID(string(m.CreditorID)); err != nil {
			return fault.At("The former identifier", err)
		}
	}
	if m.MandateID != "" {
		return identifier("The former mandate reference", m.MandateID, 35)
	}
	return nil
}

// reaches checks the debtor and the account.
func (c Collection) reaches(p Profile) error {
	if p.Charset.Map(c.Debtor) == "" {
		return fault.BadInput("debtorMissing", "The name of the debtor is missing")
	}
	if _, err := ParseIBAN(string(c.IBAN)); err != nil {
		return err
	}
	if !c.IBAN.SEPA() {
		return fault.BadInput("ibanOutside", "The account %s lies outside of the payments area: no direct debit reaches %s", c.IBAN.Masked(), c.IBAN.Country())
	}
	if c.BIC != "" {
		if _, err := ParseBIC(string(c.BIC)); err != nil {
			return err
		}
	}
	if overseas[c.IBAN.Country()] && (c.BIC == "" || c.Address.Country == "") {
		return fault.BadInput("debtorAbroad", "A collection from an account in %s needs the debtor's address and the BIC of his bank", c.IBAN.Country())
	}
	return country(c.Address)
}

// inTime checks the due date.
func (p Profile) inTime(c Collection, now time.Time) error {
	if !c.Due.Valid() {
		return fault.BadInput("dueMissing", "The collection has no due date")
	}
	if !BankDay(c.Due) {
		return fault.BadInput("dueClosed", "%v is not a bank day; the next one is %v", c.Due, NextBankDay(c.Due))
	}
	if first := p.Earliest(now, c.Scheme, c.Sequence); c.Due.Before(first) {
		return fault.BadInput("dueEarly", "The collection is due on %v; handed in now, the bank debits a %v %v on %v at the earliest", c.Due, c.Scheme, c.Sequence, first)
	}
	if c.Due.After(civil.DateOf(now, p.Zone).AddDays(360)) {
		return fault.BadInput("dueFar", "The collection is due on %v, more than 360 days ahead; banks do not keep it that long", c.Due)
	}
	return nil
}

// WriteDebits writes a file for the bank and says what is in it. Nothing is written
// when a collection is refused (see Check) or an end-to-end reference occurs twice.
// Collections of one scheme, sequence type and due date make a batch.
func (p Profile) WriteDebits(w io.Writer, d Debits) (Sent, error) {
	t, err := p.tallyDebits(d)
	if err != nil {
		return Sent{}, err
	}
	message := "pain.008.001.02"
	if p.Version == V2019 {
		message = "pain.008.001.08"
	}
	x := p.writer(w)
	x.begin(message, "CstmrDrctDbtInitn", t.sent, p.local(d.Created), d.Creditor.Name)
	for _, b := range t.sent.Batches {
		x.debitBatch(p, d, b)
	}
	return t.sent, x.end("CstmrDrctDbtInitn")
}

// tallyDebits checks everything and puts it into batches.
func (p Profile) tallyDebits(d Debits) (*tally, error) {
	if err := p.Valid(); err != nil {
		return nil, err
	}
	if err := d.Creditor.valid(p); err != nil {
		return nil, err
	}
	if err := p.size(d.ID, len(d.Collections)); err != nil {
		return nil, err
	}
	t, seen := newTally(d.ID), make(map[string]bool, len(d.Collections))
	for i, c := range d.Collections {
		where := "Collection " + strconv.Itoa(i+1) + " (" + prefix(c.EndToEnd, 35) + ")"
		if err := p.Check(c, d.Created); err != nil {
			return nil, fault.At(where, err)
		}
		if seen[c.EndToEnd] {
			return nil, fault.BadInput("endToEndTwice", "%s: its end-to-end reference stands in the file twice", where)
		}
		seen[c.EndToEnd] = true
		if err := t.add(c.Scheme.String()+c.Sequence.String()+c.Due.String(), c.Due, i, c.Amount); err != nil {
			return nil, fault.At(where, err)
		}
	}
	return t, nil
}

// size checks what the file as a whole must have.
func (p Profile) size(id string, count int) error {
	if err := identifier("The message id", id, longestMessage); err != nil {
		return err
	}
	if count == 0 {
		return fault.BadInput("fileEmpty", "The file %s has no payments", id)
	}
	if count > p.Longest {
		return fault.BadInput("fileLong", "The file %s has %d payments; the bank takes %d in one", id, count, p.Longest)
	}
	return nil
}

func (c Creditor) valid(p Profile) error {
	if p.Charset.Map(c.Name) == "" {
		return fault.BadInput("creditorMissing", "The name of the creditor is missing")
	}
	if _, err := ParseCreditorID(string(c.ID)); err != nil {
		return err
	}
	return ours(c.IBAN, c.BIC, c.Address)
}

// ours checks the account at our own bank.
func ours(i IBAN, b BIC, a Address) error {
	if _, err := ParseIBAN(string(i)); err != nil {
		return fault.At("Our own account", err)
	}
	if !i.SEPA() {
		return fault.BadInput("ibanOutside", "Our own account %s lies outside of the payments area", i.Masked())
	}
	if b != "" {
		if _, err := ParseBIC(string(b)); err != nil {
			return fault.At("Our own bank", err)
		}
	}
	return country(a)
}

func (w *writer) debitBatch(p Profile, d Debits, b SentBatch) {
	like := d.Collections[b.Items[0]]
	w.open("PmtInf")
	w.leaf("PmtInfId", b.ID)
	w.leaf("PmtMtd", "DD")
	w.leaf("BtchBookg", strconv.FormatBool(!p.Each))
	w.leaf("NbOfTxs", strconv.Itoa(b.Count))
	w.leaf("CtrlSum", b.Sum.Decimal())
	w.open("PmtTpInf")
	w.in("SEPA", "SvcLvl", "Cd")
	w.in(like.Scheme.String(), "LclInstrm", "Cd")
	w.leaf("SeqTp", like.Sequence.String())
	w.close("PmtTpInf")
	w.leaf("ReqdColltnDt", b.Due.String())
	w.party("Cdtr", d.Creditor.Name, d.Creditor.Address)
	w.in(string(d.Creditor.IBAN), "CdtrAcct", "Id", "IBAN")
	w.bank("CdtrAgt", d.Creditor.BIC)
	w.leaf("ChrgBr", "SLEV")
	w.open("CdtrSchmeId")
	w.scheme(d.Creditor.ID)
	w.close("CdtrSchmeId")
	for _, i := range b.Items {
		w.collection(d.Collections[i])
	}
	w.close("PmtInf")
}

// scheme writes the identifier of a creditor.
func (w *writer) scheme(id CreditorID) {
	w.open("Id", "PrvtId", "Othr")
	w.leaf("Id", string(id))
	w.in("SEPA", "SchmeNm", "Prtry")
	w.close("Id", "PrvtId", "Othr")
}

func (w *writer) collection(c Collection) {
	w.open("DrctDbtTxInf")
	w.in(c.EndToEnd, "PmtId", "EndToEndId")
	w.amount(c.Amount)
	w.open("DrctDbtTx", "MndtRltdInf")
	w.leaf("MndtId", c.Mandate.ID)
	w.leaf("DtOfSgntr", c.Mandate.Signed.String())
	w.leaf("AmdmntInd", strconv.FormatBool(c.Mandate.Change.any()))
	if c.Mandate.Change.any() {
		w.change(c.Mandate.Change)
	}
	w.close("DrctDbtTx", "MndtRltdInf")
	w.bank("DbtrAgt", c.BIC)
	w.party("Dbtr", c.Debtor, c.Address)
	w.in(string(c.IBAN), "DbtrAcct", "Id", "IBAN")
	w.remittance(c.Reference, c.Text)
	w.close("DrctDbtTxInf")
}

func (w *writer) change(m Change) {
	w.open("AmdmntInfDtls")
	if m.MandateID != "" {
		w.leaf("OrgnlMndtId", m.MandateID)
	}
	if m.CreditorName != "" || m.CreditorID != "" {
		w.open("OrgnlCdtrSchmeId")
		w.name("Nm", m.CreditorName, 70)
		if m.CreditorID != "" {
			w.scheme(m.CreditorID)
		}
		w.close("OrgnlCdtrSchmeId")
	}
	if m.IBAN != "" {
		w.in(string(m.IBAN), "OrgnlDbtrAcct", "Id", "IBAN")
	}
	if m.Account { // "same mandate, new debtor account"
		w.in("SMNDA", "OrgnlDbtrAcct", "Id", "Othr", "Id")
	}
	w.close("AmdmntInfDtls")
}
