package sepatest

import (
	"encoding/xml"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"
)

// Bank keeps one account. Money is in cents.
type Bank struct {
	IBAN    string
	Balance int64
	Newer   bool // writes the messages of 2019 instead of those of 2009
	Each    bool // books every collection by itself instead of a sum for its batch
	Sums    bool // shows of a batch its sum only, and not what is in it

	rejects map[string]string // debtor's account: reason
	seen    map[string]bool   // message ids
	waiting []Collection
	settled map[string]Collection // by end-to-end reference
	lines   []line
	opening int64 // balance of the last statement
	number  int
}

// Collection is a direct debit as the bank read it.
type Collection struct {
	Message, Batch, EndToEnd string
	Mandate, Creditor        string
	Scheme, Sequence, Due    string
	Debtor, IBAN, Text       string
	Cents                    int64
}

// line is a booked line of the account; cents are positive for credits.
type line struct {
	day, ref, info string
	cents          int64
	code           [3]string
	message, batch string
	parts          []part
}

type part struct {
	Collection
	cents  int64 // absolute
	fee    int64 // absolute, included in cents
	reason string
	out    bool // a credit transfer of ours
	rf     string
}

// New opens an account.
func New(iban string, opening int64) *Bank {
	return &Bank{IBAN: iban, Balance: opening, opening: opening, rejects: map[string]string{}, seen: map[string]bool{}, settled: map[string]Collection{}}
}

// Reject has collections from an account rejected before they are settled.
func (b *Bank) Reject(iban, reason string) { b.rejects[iban] = reason }

// Waiting is what was taken and is not yet settled.
func (b *Bank) Waiting() []Collection { return slices.Clone(b.waiting) }

// pain008 is as much of the message as a bank needs.
type pain008 struct {
	XMLName xml.Name
	Head    struct {
		ID    string `xml:"MsgId"`
		Count int    `xml:"NbOfTxs"`
		Sum   string `xml:"CtrlSum"`
	} `xml:"CstmrDrctDbtInitn>GrpHdr"`
	Batches []struct {
		ID       string `xml:"PmtInfId"`
		Count    int    `xml:"NbOfTxs"`
		Sum      string `xml:"CtrlSum"`
		Scheme   string `xml:"PmtTpInf>LclInstrm>Cd"`
		Sequence string `xml:"PmtTpInf>SeqTp"`
		Due      string `xml:"ReqdColltnDt"`
		IBAN     string `xml:"CdtrAcct>Id>IBAN"`
		Creditor string `xml:"CdtrSchmeId>Id>PrvtId>Othr>Id"`
		Items    []struct {
			EndToEnd string `xml:"PmtId>EndToEndId"`
			Amount   struct {
				Ccy  string `xml:"Ccy,attr"`
				Text string `xml:",chardata"`
			} `xml:"InstdAmt"`
			Mandate string   `xml:"DrctDbtTx>MndtRltdInf>MndtId"`
			Debtor  string   `xml:"Dbtr>Nm"`
			IBAN    string   `xml:"DbtrAcct>Id>IBAN"`
			Text    []string `xml:"RmtInf>Ustrd"`
			RF      string   `xml:"RmtInf>Strd>CdtrRefInf>Ref"`
		} `xml:"DrctDbtTxInf"`
	} `xml:"CstmrDrctDbtInitn>PmtInf"`
}

// Take reads a file of direct debits and answers with a status report. A file that a
// bank would not open at all is an error.
func (b *Bank) Take(file []byte) (report []byte, err error) {
	var in pain008
	if err := xml.Unmarshal(file, &in); err != nil {
		return nil, fmt.Errorf("sepatest: %w", err)
	}
	if !strings.HasPrefix(in.XMLName.Space, "urn:iso:std:iso:20022:tech:xsd:pain.008.001.") {
		return nil, fmt.Errorf("sepatest: a file of the kind %q", in.XMLName.Space)
	}
	if b.seen[in.Head.ID] {
		return b.report("pain.008", in.Head.ID, "RJCT", "DU01", nil), nil
	}
	if reason := in.wrong(b.IBAN); reason != "" {
		return b.report("pain.008", in.Head.ID, "RJCT", reason, nil), nil
	}
	b.seen[in.Head.ID] = true
	var rejected []part
	count := 0
	for _, batch := range in.Batches {
		for _, i := range batch.Items {
			cents, err := centsOf(i.Amount.Text)
			if err != nil {
				return nil, err
			}
			c := Collection{in.Head.ID, batch.ID, i.EndToEnd, i.Mandate, batch.Creditor, batch.Scheme, batch.Sequence, batch.Due,
				i.Debtor, i.IBAN, strings.Join(i.Text, "") + i.RF, cents}
			count++
			if reason := b.rejects[i.IBAN]; reason != "" {
				rejected = append(rejected, part{Collection: c, cents: cents, reason: reason})
				continue
			}
			b.waiting = append(b.waiting, c)
		}
	}
	switch len(rejected) {
	case 0:
		return b.report("pain.008", in.Head.ID, "ACCP", "", nil), nil
	case count:
		return b.report("pain.008", in.Head.ID, "RJCT", "", rejected), nil
	}
	return b.report("pain.008", in.Head.ID, "PART", "", rejected), nil
}

// wrong is the reason to refuse the file whole.
func (in pain008) wrong(account string) string {
	count, sum := 0, int64(0)
	for _, batch := range in.Batches {
		inBatch := int64(0)
		for _, i := range batch.Items {
			cents, err := centsOf(i.Amount.Text)
			if err != nil || i.Amount.Ccy != "EUR" {
				return "CURR"
			}
			inBatch += cents
		}
		if batch.IBAN != account {
			return "AC01"
		}
		if want, err := centsOf(batch.Sum); err != nil || want != inBatch {
			return "AM10"
		}
		if batch.Count != len(batch.Items) {
			return "AM18"
		}
		count, sum = count+len(batch.Items), sum+inBatch
	}
	if want, err := centsOf(in.Head.Sum); err != nil || want != sum {
		return "AM10"
	}
	if in.Head.Count != count || count == 0 {
		return "AM18"
	}
	return ""
}

// pain001 is as much of a file of transfers as a bank needs.
type pain001 struct {
	XMLName xml.Name
	ID      string `xml:"CstmrCdtTrfInitn>GrpHdr>MsgId"`
	Count   int    `xml:"CstmrCdtTrfInitn>GrpHdr>NbOfTxs"`
	Sum     string `xml:"CstmrCdtTrfInitn>GrpHdr>CtrlSum"`
	Batch   struct {
		ID    string `xml:"PmtInfId"`
		IBAN  string `xml:"DbtrAcct>Id>IBAN"`
		Items []struct {
			EndToEnd string `xml:"PmtId>EndToEndId"`
			Amount   string `xml:"Amt>InstdAmt"`
			Name     string `xml:"Cdtr>Nm"`
			IBAN     string `xml:"CdtrAcct>Id>IBAN"`
			Text     string `xml:"RmtInf>Ustrd"`
		} `xml:"CdtTrfTxInf"`
	} `xml:"CstmrCdtTrfInitn>PmtInf"`
}

// Carry reads a file of transfers, carries all of it out on the day, in one line, and
// answers with a status report.
func (b *Bank) Carry(day string, file []byte) (report []byte, err error) {
	var in pain001
	if err := xml.Unmarshal(file, &in); err != nil {
		return nil, fmt.Errorf("sepatest: %w", err)
	}
	if !strings.HasPrefix(in.XMLName.Space, "urn:iso:std:iso:20022:tech:xsd:pain.001.001.") {
		return nil, fmt.Errorf("sepatest: a file of the kind %q", in.XMLName.Space)
	}
	l := line{day: day, info: "SAMMELUEBERWEISUNG", code: [3]string{"PMNT", "ICDT", "ESCT"}, message: in.ID, batch: in.Batch.ID}
	for _, i := range in.Batch.Items {
		cents, err := centsOf(i.Amount)
		if err != nil {
			return nil, err
		}
		l.cents -= cents
		l.parts = append(l.parts, part{Collection: Collection{Message: in.ID, Batch: in.Batch.ID, EndToEnd: i.EndToEnd, Debtor: i.Name, IBAN: i.IBAN, Text: i.Text, Cents: cents}, cents: cents, out: true})
	}
	reason := ""
	switch want, err := centsOf(in.Sum); {
	case b.seen[in.ID]:
		reason = "DU01"
	case in.Batch.IBAN != b.IBAN:
		reason = "AC01"
	case err != nil || want != -l.cents:
		reason = "AM10"
	case in.Count != len(l.parts) || in.Count == 0:
		reason = "AM18"
	}
	if reason != "" {
		return b.report("pain.001", in.ID, "RJCT", reason, nil), nil
	}
	b.seen[in.ID] = true
	b.book(l)
	return b.report("pain.001", in.ID, "ACCP", "", nil), nil
}

// centsOf reads an amount exactly.
func centsOf(text string) (int64, error) {
	r, ok := new(big.Rat).SetString(text)
	if ok {
		r.Mul(r, big.NewRat(100, 1))
	}
	if !ok || !r.IsInt() || r.Sign() < 0 || !r.Num().IsInt64() {
		return 0, fmt.Errorf("sepatest: %q is not an amount", text)
	}
	return r.Num().Int64(), nil
}

func (b *Bank) report(kind, file, status, reason string, rejected []part) []byte {
	var x strings.Builder
	x.WriteString(`<?xml version="1.0" encoding="UTF-8"?>` + "\n")
	fmt.Fprintf(&x, `<Document xmlns="urn:iso:std:iso:20022:tech:xsd:%s"><CstmrPmtStsRpt>`, b.either("pain.002.001.03", "pain.002.001.10"))
	fmt.Fprintf(&x, `<GrpHdr><MsgId>STS-%s</MsgId><CreDtTm>2026-01-01T08:00:00</CreDtTm></GrpHdr>`, file)
	fmt.Fprintf(&x, `<OrgnlGrpInfAndSts><OrgnlMsgId>%s</OrgnlMsgId><OrgnlMsgNmId>%s</OrgnlMsgNmId><GrpSts>%s</GrpSts>%s</OrgnlGrpInfAndSts>`, file, kind, status, why(reason))
	for i := 0; i < len(rejected); {
		batch := rejected[i].Batch
		fmt.Fprintf(&x, `<OrgnlPmtInfAndSts><OrgnlPmtInfId>%s</OrgnlPmtInfId>`, batch)
		for ; i < len(rejected) && rejected[i].Batch == batch; i++ {
			p := rejected[i]
			fmt.Fprintf(&x, `<TxInfAndSts><OrgnlEndToEndId>%s</OrgnlEndToEndId><TxSts>RJCT</TxSts>%s<OrgnlTxRef><Amt><InstdAmt Ccy="EUR">%s</InstdAmt></Amt><MndtRltdInf><MndtId>%s</MndtId></MndtRltdInf></OrgnlTxRef></TxInfAndSts>`,
				escape(p.EndToEnd), why(p.reason), euros(p.cents), escape(p.Mandate))
		}
		x.WriteString(`</OrgnlPmtInfAndSts>`)
	}
	x.WriteString(`</CstmrPmtStsRpt></Document>`)
	return []byte(x.String())
}

func why(reason string) string {
	if reason == "" {
		return ""
	}
	return `<StsRsnInf><Rsn><Cd>` + reason + `</Cd></Rsn></StsRsnInf>`
}

func (b *Bank) either(older, newer string) string {
	if b.Newer {
		return newer
	}
	return older
}

func euros(cents int64) string {
	if cents < 0 {
		cents = -cents
	}
	return fmt.Sprintf("%d.%02d", cents/100, cents%100)
}

func escape(text string) string {
	var b strings.Builder
	if err := xml.EscapeText(&b, []byte(text)); err != nil {
		panic(err)
	}
	return b.String()
}

// Settle books what is due on or before the day: one line for a batch, as banks do, or
// one for each collection.
func (b *Bank) Settle(day string) {
	var rest []Collection
	batches, order := map[string][]part{}, []string{}
	for _, c := range b.waiting {
		if c.Due > day {
			rest = append(rest, c)
			continue
		}
		key := c.Batch
		if b.Each {
			key += "/" + c.EndToEnd
		}
		if batches[key] == nil {
			order = append(order, key)
		}
		batches[key] = append(batches[key], part{Collection: c, cents: c.Cents})
		b.settled[c.EndToEnd] = c
	}
	b.waiting = rest
	for _, key := range order {
		parts := batches[key]
		l := line{day: day, info: "SAMMLER-LASTSCHRIFT", code: [3]string{"PMNT", "IDDT", "ESDD"}, parts: parts, message: parts[0].Message, batch: parts[0].Batch}
		for _, p := range parts {
			l.cents += p.cents
		}
		b.book(l)
	}
}

func (b *Bank) book(l line) {
	l.ref = fmt.Sprintf("%s%06d", strings.ReplaceAll(l.day, "-", ""), len(b.lines)+1+b.number*1000)
	b.lines = append(b.lines, l)
	b.Balance += l.cents
}

// Return takes back collections that were settled, in one line; the bank keeps a fee
// for each.
func (b *Bank) Return(day, reason string, fee int64, endToEnds ...string) error {
	l := line{day: day, info: "RUECKLASTSCHRIFT", code: [3]string{"PMNT", "IDDT", "UPDD"}}
	for _, e := range endToEnds {
		c, ok := b.settled[e]
		if !ok {
			return fmt.Errorf("sepatest: nothing was settled under %q, or it came back already", e)
		}
		delete(b.settled, e)
		l.parts = append(l.parts, part{Collection: c, cents: c.Cents + fee, fee: fee, reason: reason})
		l.cents -= c.Cents + fee
	}
	b.book(l)
	return nil
}

// Pay is a credit transfer by somebody; rf is a creditor reference or "".
func (b *Bank) Pay(day, name, iban, text, rf string, cents int64) {
	p := part{Collection: Collection{EndToEnd: "NOTPROVIDED", Debtor: name, IBAN: iban, Text: text, Cents: cents}, cents: cents, rf: rf}
	b.book(line{day: day, info: "GUTSCHRIFT", code: [3]string{"PMNT", "RCDT", "ESCT"}, cents: cents, parts: []part{p}})
}

// Statement is what was booked since the last statement, as camt.053.
func (b *Bank) Statement(day string) []byte {
	b.number++
	var x strings.Builder
	b.head(&x, "camt.053", "BkToCstmrStmt", fmt.Sprintf("C53-%s-%d", day, b.number))
	fmt.Fprintf(&x, `<Stmt><Id>%s-%04d</Id><ElctrncSeqNb>%d</ElctrncSeqNb><CreDtTm>%sT23:00:00</CreDtTm>`, day[:4], b.number, b.number, day)
	fmt.Fprintf(&x, `<Acct><Id><IBAN>%s</IBAN></Id><Ccy>EUR</Ccy></Acct>`, b.IBAN)
	balance(&x, "OPBD", b.opening, day)
	balance(&x, "CLBD", b.Balance, day)
	b.entries(&x)
	x.WriteString(`</Stmt></BkToCstmrStmt></Document>`)
	b.lines, b.opening = nil, b.Balance
	return []byte(x.String())
}

// Notice is the same as the next statement will tell, as camt.054; it changes nothing.
func (b *Bank) Notice(day string) []byte {
	var x strings.Builder
	b.head(&x, "camt.054", "BkToCstmrDbtCdtNtfctn", fmt.Sprintf("C54-%s-%d", day, b.number))
	fmt.Fprintf(&x, `<Ntfctn><Id>N%s-%04d</Id><CreDtTm>%sT20:00:00</CreDtTm>`, day[:4], b.number, day)
	fmt.Fprintf(&x, `<Acct><Id><IBAN>%s</IBAN></Id><Ccy>EUR</Ccy></Acct>`, b.IBAN)
	b.entries(&x)
	x.WriteString(`</Ntfctn></BkToCstmrDbtCdtNtfctn></Document>`)
	return []byte(x.String())
}

func (b *Bank) head(x *strings.Builder, kind, root, id string) {
	fmt.Fprintf(x, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Document xmlns=\"urn:iso:std:iso:20022:tech:xsd:%s.001.%s\">", kind, b.either("02", "08"))
	fmt.Fprintf(x, `<%s><GrpHdr><MsgId>%s</MsgId><CreDtTm>%s</CreDtTm></GrpHdr>`, root, id, time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Format(time.RFC3339))
}

func balance(x *strings.Builder, code string, cents int64, day string) {
	fmt.Fprintf(x, `<Bal><Tp><CdOrPrtry><Cd>%s</Cd></CdOrPrtry></Tp><Amt Ccy="EUR">%s</Amt><CdtDbtInd>%s</CdtDbtInd><Dt><Dt>%s</Dt></Dt></Bal>`, code, euros(cents), side(cents), day)
}

func side(cents int64) string {
	if cents < 0 {
		return "DBIT"
	}
	return "CRDT"
}

func (b *Bank) entries(x *strings.Builder) {
	for _, l := range b.lines {
		fmt.Fprintf(x, `<Ntry><Amt Ccy="EUR">%s</Amt><CdtDbtInd>%s</CdtDbtInd><Sts>%s</Sts>`, euros(l.cents), side(l.cents), b.either("BOOK", "<Cd>BOOK</Cd>"))
		fmt.Fprintf(x, `<BookgDt><Dt>%s</Dt></BookgDt><ValDt><Dt>%s</Dt></ValDt><AcctSvcrRef>%s</AcctSvcrRef>`, l.day, l.day, l.ref)
		fmt.Fprintf(x, `<BkTxCd><Domn><Cd>%s</Cd><Fmly><Cd>%s</Cd><SubFmlyCd>%s</SubFmlyCd></Fmly></Domn></BkTxCd><NtryDtls>`, l.code[0], l.code[1], l.code[2])
		if l.batch != "" {
			fmt.Fprintf(x, `<Btch><MsgId>%s</MsgId><PmtInfId>%s</PmtInfId><NbOfTxs>%d</NbOfTxs></Btch>`, l.message, l.batch, len(l.parts))
		}
		for _, p := range l.parts {
			if !b.Sums || l.batch == "" {
				b.details(x, p)
			}
		}
		fmt.Fprintf(x, `</NtryDtls><AddtlNtryInf>%s</AddtlNtryInf></Ntry>`, l.info)
	}
}

func (b *Bank) details(x *strings.Builder, p part) {
	x.WriteString(`<TxDtls><Refs>`)
	if p.Message != "" {
		fmt.Fprintf(x, `<MsgId>%s</MsgId><PmtInfId>%s</PmtInfId>`, p.Message, p.Batch)
	}
	fmt.Fprintf(x, `<EndToEndId>%s</EndToEndId>`, escape(p.EndToEnd))
	if p.Mandate != "" {
		fmt.Fprintf(x, `<MndtId>%s</MndtId>`, escape(p.Mandate))
	}
	x.WriteString(`</Refs>`)
	instructed := ""
	if p.reason != "" {
		instructed = fmt.Sprintf(`<InstdAmt><Amt Ccy="EUR">%s</Amt></InstdAmt>`, euros(p.Cents))
	}
	if b.Newer {
		fmt.Fprintf(x, `<Amt Ccy="EUR">%s</Amt>`, euros(p.cents))
	}
	fmt.Fprintf(x, `<AmtDtls>%s<TxAmt><Amt Ccy="EUR">%s</Amt></TxAmt></AmtDtls>`, instructed, euros(p.cents))
	if p.fee > 0 {
		fmt.Fprintf(x, b.either(`<Chrgs><Amt Ccy="EUR">%s</Amt></Chrgs>`, `<Chrgs><Rcrd><Amt Ccy="EUR">%s</Amt></Rcrd></Chrgs>`), euros(p.fee))
	}
	who := "Dbtr"
	if p.out {
		who = "Cdtr"
	}
	fmt.Fprintf(x, b.either(`<RltdPties><%[1]s><Nm>%[2]s</Nm></%[1]s>`, `<RltdPties><%[1]s><Pty><Nm>%[2]s</Nm></Pty></%[1]s>`), who, escape(p.Debtor))
	fmt.Fprintf(x, `<%[1]sAcct><Id><IBAN>%[2]s</IBAN></Id></%[1]sAcct></RltdPties>`, who, p.IBAN)
	x.WriteString(`<RmtInf>`)
	if p.Text != "" {
		fmt.Fprintf(x, `<Ustrd>%s</Ustrd>`, escape(p.Text))
	}
	if p.rf != "" {
		fmt.Fprintf(x, `<Strd><CdtrRefInf><Ref>%s</Ref></CdtrRefInf></Strd>`, p.rf)
	}
	x.WriteString(`</RmtInf>`)
	if p.reason != "" {
		fmt.Fprintf(x, `<RtrInf><OrgnlBkTxCd><Domn><Cd>PMNT</Cd><Fmly><Cd>IDDT</Cd><SubFmlyCd>ESDD</SubFmlyCd></Fmly></Domn></OrgnlBkTxCd><Rsn><Cd>%s</Cd></Rsn></RtrInf>`, p.reason)
	}
	x.WriteString(`</TxDtls>`)
}
