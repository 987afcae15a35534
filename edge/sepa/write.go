package sepa

import (
	"bufio"
	"encoding/xml"
	"io"
	"strconv"
	"time"

	"tandem/kit/civil"
	"tandem/kit/fault"
	"tandem/kit/money"
)

// Address is a postal address. The older messages carry it in two lines, the newer
// ones field by field, as the schemes demand since the rulebooks of 2025.
type Address struct {
	Street   string
	Building string // number
	PostCode string
	Town     string
	Country  string // ISO 3166; "": no address at all
}

// Sent is what a file says about itself: keep it to understand the bank's answers.
type Sent struct {
	ID      string // message id: comes back as the original message
	Count   int
	Sum     money.Amount
	Batches []SentBatch
}

// SentBatch is one block of payments of a kind: one PmtInf.
type SentBatch struct {
	ID    string // payment information id
	Due   civil.Date
	Count int
	Sum   money.Amount
	Items []int // indices into the payments given
}

// tally starts the account of a file; add counts one payment into the batch key.
type tally struct {
	sent  Sent
	index map[string]int
}

func newTally(id string) *tally {
	return &tally{Sent{ID: id, Sum: money.Amount{Currency: money.EUR}}, map[string]int{}}
}

func (t *tally) add(key string, due civil.Date, item int, sum money.Amount) (err error) {
	n, known := t.index[key]
	if !known {
		n = len(t.sent.Batches)
		t.index[key] = n
		id := t.sent.ID + "-" + strconv.Itoa(n+1)
		t.sent.Batches = append(t.sent.Batches, SentBatch{ID: id, Due: due, Sum: money.Amount{Currency: money.EUR}})
	}
	b := &t.sent.Batches[n]
	b.Count++
	b.Items = append(b.Items, item)
	t.sent.Count++
	if b.Sum, err = b.Sum.Add(sum); err == nil {
		t.sent.Sum, err = t.sent.Sum.Add(sum)
	}
	return err
}

// longestMessage leaves room for "-99999" behind a message id of 35 characters.
const longestMessage = 29

// writer writes elements one by one; the first error stays.
type writer struct {
	out   *bufio.Writer
	chars Charset
	v     Version
	depth int
	err   error
}

func (p Profile) writer(w io.Writer) *writer {
	return &writer{out: bufio.NewWriterSize(w, 1<<16), chars: p.Charset, v: p.Version}
}

func (w *writer) put(text string) {
	if w.err == nil {
		_, w.err = w.out.WriteString(text)
	}
}

func (w *writer) line() {
	w.put("\n")
	for range w.depth {
		w.put(" ")
	}
}

// open begins elements, one in the other; close ends them.
func (w *writer) open(names ...string) {
	for _, n := range names {
		w.line()
		w.put("<" + n + ">")
		w.depth++
	}
}

func (w *writer) close(names ...string) {
	for i := len(names) - 1; i >= 0; i-- {
		w.depth--
		w.line()
		w.put("</" + names[i] + ">")
	}
}

// leaf writes an element with text that must not be changed: codes, ids, numbers.
func (w *writer) leaf(name, text string) {
	w.line()
	w.put("<" + name + ">")
	if w.err == nil {
		w.err = xml.EscapeText(w.out, []byte(text))
	}
	w.put("</" + name + ">")
}

// name writes what people read, in the bank's characters and length; nothing for "".
func (w *writer) name(element, text string, longest int) {
	if text = cut(w.chars.Map(text), longest); text != "" {
		w.leaf(element, text)
	}
}

// in writes one leaf inside the elements of a path.
func (w *writer) in(text string, path ...string) {
	last := len(path) - 1
	w.open(path[:last]...)
	w.leaf(path[last], text)
	w.close(path[:last]...)
}

func (w *writer) amount(a money.Amount) {
	w.line()
	w.put(`<InstdAmt Ccy="` + a.Currency.Code() + `">` + a.Decimal() + `</InstdAmt>`)
}

// begin writes the head of a message and its group header.
func (w *writer) begin(message, root string, t Sent, created, by string) {
	w.put(`<?xml version="1.0" encoding="UTF-8"?>` + "\n" + `<Document xmlns="urn:iso:std:iso:20022:tech:xsd:` + message + `">`)
	w.depth = 1
	w.open(root, "GrpHdr")
	w.leaf("MsgId", t.ID)
	w.leaf("CreDtTm", created)
	w.leaf("NbOfTxs", strconv.Itoa(t.Count))
	w.leaf("CtrlSum", t.Sum.Decimal())
	w.open("InitgPty")
	w.name("Nm", by, 70)
	w.close("GrpHdr", "InitgPty")
}

func (w *writer) end(root string) error {
	w.close(root)
	w.put("\n</Document>\n")
	if w.err == nil {
		w.err = w.out.Flush()
	}
	return w.err
}

// party writes a name with its address.
func (w *writer) party(element, name string, a Address) {
	w.open(element)
	w.name("Nm", name, 70)
	w.address(a)
	w.close(element)
}

func (w *writer) address(a Address) {
	if a.Country == "" {
		return
	}
	w.open("PstlAdr")
	if w.v == V2009 {
		w.leaf("Ctry", a.Country)
		w.name("AdrLine", a.Street+" "+a.Building, 70)
		w.name("AdrLine", a.PostCode+" "+a.Town, 70)
	} else {
		w.name("StrtNm", a.Street, 70)
		w.name("BldgNb", a.Building, 16)
		w.name("PstCd", a.PostCode, 16)
		w.name("TwnNm", a.Town, 35)
		w.leaf("Ctry", a.Country)
	}
	w.close("PstlAdr")
}

// bank writes an agent; one without a BIC is found by the account's IBAN.
func (w *writer) bank(element string, b BIC) {
	switch {
	case b == "":
		w.in("NOTPROVIDED", element, "FinInstnId", "Othr", "Id")
	case w.v == V2009:
		w.in(string(b), element, "FinInstnId", "BIC")
	default:
		w.in(string(b), element, "FinInstnId", "BICFI")
	}
}

// remittance writes what the payment is for: a creditor reference or a text.
func (w *writer) remittance(reference, text string) {
	if reference == "" && text == "" {
		return
	}
	w.open("RmtInf")
	if reference == "" {
		w.name("Ustrd", text, 140)
	} else {
		w.open("Strd", "CdtrRefInf", "Tp")
		w.in("SCOR", "CdOrPrtry", "Cd")
		w.leaf("Issr", "ISO")
		w.close("Tp")
		w.leaf("Ref", reference)
		w.close("Strd", "CdtrRefInf")
	}
	w.close("RmtInf")
}

// local is the instant as the bank's clock shows it. The schemes take it without an
// offset; some banks refuse one.
func (p Profile) local(t time.Time) string { return t.In(p.Zone).Format("2006-01-02T15:04:05") }

// payable refuses amounts that the schemes do not carry.
func payable(a money.Amount) error {
	switch {
	case a.Currency != money.EUR:
		return fault.BadInput("notEuro", "%s is not in euro; SEPA carries nothing else", a)
	case a.Minor <= 0:
		return fault.BadInput("amountNotPositive", "%s cannot be paid; a payment is 0.01 EUR or more", a)
	case a.Minor > 999_999_999_99:
		return fault.BadInput("amountTooLarge", "%s is more than one payment may carry, 999999999.99 EUR", a)
	}
	return nil
}

// remittance checks what a text or reference may say.
func (p Profile) remittance(reference, text string) error {
	if reference != "" && text != "" {
		return fault.BadInput("remittanceTwice", "A payment carries a reference or a text, not both")
	}
	if reference != "" {
		_, err := ParseReference(reference)
		return err
	}
	if n := len([]rune(p.Charset.Map(text))); n > 140 {
		return fault.BadInput("textLength", "The text has %d characters; banks carry 140", n)
	}
	return nil
}

func country(a Address) error {
	if a.Country != "" && !isoCountries[a.Country] {
		return fault.BadInput("addressCountry", "%.10q is not a country code such as DE", a.Country)
	}
	if a.Country != "" && a.Town == "" {
		return fault.BadInput("addressTown", "An address names at least town and country")
	}
	return nil
}
