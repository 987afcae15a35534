package sepa

import (
	"encoding/xml"
	"strings"

	"tandem/kit/money"
)

// part is a detail as the bank wrote it, with the sums that may be its own. Banks put
// a payment's amount into one of three places, and some repeat the sum of a batch in
// every part of it; which place is meant shows when the parts are added up.
type part struct {
	Detail
	sums [len(places)]money.Amount // without currency: not there
	side string                    // CRDT or DBIT; "": as the line
	fees money.Amount
}

// places are where the amount of a detail may stand, best first.
var places = [...]string{"Amt", "AmtDtls/TxAmt/Amt", "AmtDtls/InstdAmt/Amt"}

// line is an entry while it is read.
type line struct {
	Entry
	side  string
	parts []part
	fees  money.Amount // announced for the whole line
	batch money.Amount // what its batches announce together
}

// entry reads one Ntry.
func (r *reader) entry(s *Statement) (Entry, error) {
	if err := r.count(); err != nil {
		return Entry{}, err
	}
	var l line
	err := r.each(func(name string, el xml.StartElement) error {
		if name == "NtryDtls" {
			return r.details(&l)
		}
		n, err := r.tree(el)
		if err != nil {
			return err
		}
		return r.entryPart(name, n, &l)
	})
	if err != nil {
		return Entry{}, err
	}
	if err := r.lineSum(&l); err != nil {
		return Entry{}, err
	}
	return l.Entry, r.split(&l)
}

func (r *reader) entryPart(name string, n *node, l *line) (err error) {
	switch name {
	case "NtryRef":
		l.Ref = n.text
	case "AcctSvcrRef":
		l.Bank = n.text
	case "Amt":
		l.Amount, err = r.sum(n, "A line")
	case "CdtDbtInd":
		l.side = n.text
	case "RvslInd":
		l.Reversal = n.text == "true" || n.text == "1"
	case "Sts": // a word until 2009, an element with a code since 2019
		l.Booked = n.text == "BOOK" || n.str("Cd") == "BOOK"
	case "BookgDt":
		l.Day, err = r.day(n, "The booking date")
	case "ValDt":
		l.Value, err = r.day(n, "The value date")
	case "BkTxCd":
		l.Code = bankCode(n)
	case "AddtlNtryInf":
		l.Text = n.text
	case "Chrgs":
		err = r.fees(n, &l.fees)
	}
	return err
}

// lineSum gives the line its sign and its days.
func (r *reader) lineSum(l *line) (err error) {
	if l.Amount.Currency == (money.Currency{}) {
		return r.bad("amountMissing", "a line of the statement has no amount")
	}
	if l.Amount, err = r.signed(l.Amount, l.side, "A line"); err != nil {
		return err
	}
	if !l.Day.Valid() {
		l.Day = l.Value
	}
	if !l.Day.Valid() && l.Booked {
		return r.bad("dateMissing", "a booked line of %s has no date", l.Amount)
	}
	return nil
}

func bankCode(n *node) BankCode {
	return BankCode{
		Domain: n.str("Domn", "Cd"), Family: n.str("Domn", "Fmly", "Cd"), Sub: n.str("Domn", "Fmly", "SubFmlyCd"),
		Own: n.str("Prtry", "Cd"),
	}
}

// details reads one NtryDtls: what batch it is, and its payments one by one.
func (r *reader) details(l *line) error {
	first := len(l.parts)
	var batch *node
	err := r.each(func(name string, el xml.StartElement) error {
		n, err := r.tree(el)
		if err != nil {
			return err
		}
		switch name {
		case "Btch":
			batch = n
		case "TxDtls":
			if err := r.count(); err != nil {
				return err
			}
			p, err := r.part(n)
			if err != nil {
				return err
			}
			l.parts = append(l.parts, p)
		}
		return nil
	})
	if err != nil || batch == nil {
		return err
	}
	return r.batch(l, batch, l.parts[first:])
}

// batch reads what a line says about its batch and the listed payments. Banks that
// list none still count them.
func (r *reader) batch(l *line, n *node, listed []part) (err error) {
	l.Message, l.Batch = n.str("MsgId"), n.str("PmtInfId")
	for i := range listed {
		listed[i].Message, listed[i].Batch = or(listed[i].Message, l.Message), or(listed[i].Batch, l.Batch)
	}
	if text := n.str("NbOfTxs"); text != "" && len(listed) > 0 {
		count, err := r.number(text, "The number of payments of a line")
		if err != nil {
			return err
		}
		if count != len(listed) {
			return r.bad("entryCount", "the batch %s of a line announces %d payments and lists %d", or(l.Batch, l.Message), count, len(listed))
		}
	}
	if n = n.at("TtlAmt"); n == nil {
		return nil
	}
	sum, err := r.sum(n, "The sum of a batch")
	if err == nil {
		err = r.grow(&l.batch, sum, "the batches of a line")
	}
	return err
}

// grow adds to a sum that begins without currency.
func (r *reader) grow(sum *money.Amount, a money.Amount, what string) (err error) {
	if sum.Currency == (money.Currency{}) {
		*sum = a
		return nil
	}
	if *sum, err = sum.Add(a); err != nil {
		return r.bad("amount", "%s are in several currencies or add up to too much", what)
	}
	return nil
}

// part reads one TxDtls.
func (r *reader) part(n *node) (part, error) {
	refs := n.at("Refs")
	p := part{side: n.str("CdtDbtInd"), Detail: Detail{
		EndToEnd: refs.str("EndToEndId"), Mandate: refs.str("MndtId"), Message: refs.str("MsgId"), Batch: refs.str("PmtInfId"),
		Bank: refs.str("AcctSvcrRef"), Purpose: n.str("Purp", "Cd"), Return: returned(n.at("RtrInf")),
	}}
	if p.EndToEnd == "NOTPROVIDED" {
		p.EndToEnd = ""
	}
	p.parties(n)
	p.about(n)
	for i, path := range places {
		at := n.at(strings.Split(path, "/")...)
		if at == nil {
			continue
		}
		var err error
		if p.sums[i], err = r.sum(at, "A payment of a line"); err != nil {
			return p, err
		}
	}
	for _, k := range n.all("Chrgs") {
		if err := r.fees(k, &p.fees); err != nil {
			return p, err
		}
	}
	return p, nil
}

// fees adds the fees that one Chrgs tells of: its records, or the one fee it is
// (until 2009), or its total.
func (r *reader) fees(n *node, sum *money.Amount) error {
	var sums []*node
	for _, k := range n.all("Rcrd") {
		sums = append(sums, k.at("Amt"))
	}
	if len(sums) == 0 {
		if k := n.at("Amt"); k != nil {
			sums = append(sums, k)
		} else if k := n.at("TtlChrgsAndTaxAmt"); k != nil {
			sums = append(sums, k)
		}
	}
	for _, k := range sums {
		a, err := r.sum(k, "A fee")
		if err == nil {
			err = r.grow(sum, a, "the fees of a line")
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (p *part) parties(n *node) {
	rel, agents := n.at("RltdPties"), n.at("RltdAgts")
	p.Payer = Account{Name: nameOf(rel.at("Dbtr")), IBAN: rel.str("DbtrAcct", "Id", "IBAN"), BIC: bicOf(agents.at("DbtrAgt"))}
	p.Payee = Account{Name: nameOf(rel.at("Cdtr")), IBAN: rel.str("CdtrAcct", "Id", "IBAN"), BIC: bicOf(agents.at("CdtrAgt"))}
	for _, id := range []*node{rel.at("Cdtr", "Id", "PrvtId", "Othr"), rel.at("Cdtr", "Pty", "Id", "PrvtId", "Othr")} {
		if text := id.str("Id"); text != "" {
			p.Creditor = CreditorID(text)
		}
	}
}

// nameOf is a party's name; since 2019 it lies one element deeper.
func nameOf(n *node) string {
	if name := n.str("Nm"); name != "" {
		return name
	}
	return n.str("Pty", "Nm")
}

func bicOf(n *node) string {
	if bic := n.str("FinInstnId", "BICFI"); bic != "" {
		return bic
	}
	return n.str("FinInstnId", "BIC")
}

// about is what the payer says the payment is for.
func (p *part) about(n *node) {
	rmt := n.at("RmtInf")
	for _, k := range rmt.all("Ustrd") {
		p.Text = joined(p.Text, k.text)
	}
	for _, k := range rmt.all("Strd") {
		if ref := k.str("CdtrRefInf", "Ref"); p.Ref == "" {
			p.Ref = ref
		}
		for _, doc := range k.all("RfrdDocInf") {
			if nb := doc.str("Nb"); nb != "" {
				p.Invoices = append(p.Invoices, nb)
			}
		}
		for _, more := range k.all("AddtlRmtInf") {
			p.Text = joined(p.Text, more.text)
		}
	}
	if p.Text == "" {
		p.Text = n.str("AddtlTxInf")
	}
}

func returned(n *node) *Return {
	if n == nil {
		return nil
	}
	out := &Return{Code: n.str("Rsn", "Cd"), Original: bankCode(n.at("OrgnlBkTxCd"))}
	if out.Code == "" {
		out.Code = n.str("Rsn", "Prtry")
	}
	for _, k := range n.all("AddtlInf") {
		out.Text = joined(out.Text, k.text)
	}
	return out
}

// split gives the parts of a line their amounts, so that they and the line's fees make
// its amount. A line whose parts have amounts that do not is refused; one whose parts
// have none stays whole.
func (r *reader) split(l *line) error {
	l.Charges = money.Amount{Currency: l.Amount.Currency}
	if sum := l.batch; sum.Currency != (money.Currency{}) && l.fees.Sign() == 0 && (sum.Currency != l.Amount.Currency || sum.Minor != abs(l.Amount.Minor)) {
		return r.bad("entrySum", "a line of %s announces a batch of %s", l.Amount, sum)
	}
	if len(l.parts) == 0 {
		l.whole()
		return nil
	}
	for place := range places {
		if r.splitBy(l, place, false) || r.splitBy(l, place, true) {
			return nil
		}
	}
	for _, p := range l.parts {
		if p.sums[0].Currency == l.Amount.Currency || p.sums[1].Currency == l.Amount.Currency {
			return r.bad("entrySum", "the payments of the line %s of %s do not add up to it", or(or(l.Ref, l.Bank), l.Day.String()), l.Amount)
		}
	}
	l.whole()
	return nil
}

// splitBy tries one place of the amounts. What is left of the line must be its fees;
// with onTop the fees of each part come on top of its amount.
func (r *reader) splitBy(l *line, place int, onTop bool) bool {
	rest := l.Amount
	details := make([]Detail, len(l.parts))
	for i, p := range l.parts {
		d := p.Detail
		var err error
		if d.Amount, err = r.signed(p.sums[place], or(p.side, l.side), "A payment of a line"); err != nil || d.Amount.Currency != l.Amount.Currency {
			return false
		}
		d.Charges = p.fee(d.Amount)
		if onTop && p.fees.Currency == d.Amount.Currency {
			d.Charges = money.Amount{Minor: -p.fees.Minor, Currency: d.Amount.Currency}
			if d.Amount, err = d.Amount.Add(d.Charges); err != nil {
				return false
			}
		}
		if rest, err = rest.Sub(d.Amount); err != nil {
			return false
		}
		details[i] = d
	}
	// What the bank kept of a credit, or took on top of a debit, is negative.
	if rest.Sign() != 0 && (rest.Sign() > 0 || l.fees.Currency != rest.Currency || rest.Minor != -l.fees.Minor) {
		return false
	}
	l.Split, l.Charges, l.Details = true, rest, details
	return true
}

// fee is what of the amount of a part are fees: where the part names fees and what was
// instructed, and both make the amount.
func (p part) fee(amount money.Amount) money.Amount {
	none := money.Amount{Currency: amount.Currency}
	instructed := p.sums[len(places)-1]
	if p.fees.Sign() == 0 || p.fees.Currency != amount.Currency || instructed.Currency != amount.Currency {
		return none
	}
	// A debit of 13 is 10 with fees of 3; a credit of 7 is 10 less 3.
	fees := money.Amount{Minor: -p.fees.Minor, Currency: amount.Currency}
	if rest, err := amount.Sub(fees); err != nil || abs(rest.Minor) != instructed.Minor {
		return none
	}
	return fees
}

func abs(n int64) int64 {
	if n < 0 {
		return -n
	}
	return n
}

// whole makes one detail of the line. A single part is that detail; several are kept
// beside it for a person to look at.
func (l *line) whole() {
	d := Detail{Text: l.Text, Message: l.Message, Batch: l.Batch}
	if len(l.parts) == 1 {
		d = l.parts[0].Detail
	}
	d.Amount, d.Charges = l.Amount, money.Amount{Currency: l.Amount.Currency}
	if len(l.parts) == 1 {
		d.Charges = l.parts[0].fee(l.Amount)
	} else {
		for _, p := range l.parts {
			l.Parts = append(l.Parts, p.Detail)
		}
	}
	l.Details = []Detail{d}
}
