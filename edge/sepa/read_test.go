package sepa

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tandem/kit/fault"
	"tandem/kit/money"
)

func load(t testing.TB, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func statements(t *testing.T, file []byte) StatementFile {
	t.Helper()
	f, err := ReadStatements(bytes.NewReader(file), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// told is what a test compares: one line for each detail.
func told(f StatementFile) string {
	var b strings.Builder
	for _, s := range f.Statements {
		fmt.Fprintf(&b, "statement %s no %q page %q copy %v of %s in %s", s.ID, s.Number, s.Page, s.Copy, s.Account, s.Currency)
		if s.Opening != nil {
			fmt.Fprintf(&b, ": %v %s to %v %s", s.Opening.Day, s.Opening.Sum, s.Closing.Day, s.Closing.Sum)
		}
		b.WriteString("\n")
		for _, e := range s.Entries {
			fmt.Fprintf(&b, " %v %v %s booked %v reversal %v split %v fees %s code %v batch %q %q ref %q %q %q\n", e.Day, e.Value, e.Amount, e.Booked, e.Reversal, e.Split, e.Charges.Decimal(), e.Code, e.Message, e.Batch, e.Ref, e.Bank, e.Text)
			for _, d := range e.Details {
				fmt.Fprintf(&b, "  %s\n   %s fees %s e2e %q mandate %q batch %q payer %+v ref %q invoices %q text %q creditor %q", d.Key, d.Amount, d.Charges.Decimal(), d.EndToEnd, d.Mandate, d.Batch, d.Payer, d.Ref, d.Invoices, d.Text, d.Creditor)
				if d.Return != nil {
					fmt.Fprintf(&b, " returned %+v", *d.Return)
				}
				b.WriteString("\n")
			}
			for _, p := range e.Parts {
				fmt.Fprintf(&b, "  part %q\n", p.EndToEnd)
			}
		}
	}
	return b.String()
}

func TestStatementsOfBanks(t *testing.T) {
	for _, name := range []string{"statements.de", "statement.nl", "notice.at"} {
		f := statements(t, load(t, name+".xml"))
		if f.Notice != strings.HasPrefix(name, "notice") || f.ID == "" || f.Created.IsZero() {
			t.Errorf("%s: %+v", name, f)
		}
		golden(t, name+".txt", []byte(told(f)))
		adds(t, f)
	}
}

// adds checks the law of a statement: details and fees make their line, and booked
// lines lead from the opening to the closing balance; and no key occurs twice.
func adds(t *testing.T, f StatementFile) {
	t.Helper()
	keys := map[string]bool{}
	for _, s := range f.Statements {
		moved := int64(0)
		for _, e := range s.Entries {
			sum := e.Charges.Minor
			for _, d := range e.Details {
				sum += d.Amount.Minor
				if keys[d.Key.String()] {
					t.Errorf("the key %s occurs twice", d.Key)
				}
				keys[d.Key.String()] = true
			}
			if sum != e.Amount.Minor || len(e.Details) == 0 {
				t.Errorf("the details of %s make %d cents", e.Amount, sum)
			}
			if e.Booked {
				moved += e.Amount.Minor
			}
		}
		if s.Opening != nil && s.Opening.Sum.Minor+moved != s.Closing.Sum.Minor {
			t.Errorf("%s: %s and %d cents make %s", s.ID, s.Opening.Sum, moved, s.Closing.Sum)
		}
	}
}

func TestAReturnTellsWhatWasOwedAndWhatItCost(t *testing.T) {
	f := statements(t, load(t, "statements.de.xml"))
	d := f.Statements[0].Entries[1].Details[0]
	owed, err := d.Principal()
	if err != nil || owed != euro(-3000) || d.Charges != euro(-302) || d.Return == nil || ReasonOf(d.Return.Code).Action != Retry {
		t.Errorf("%+v, owed %s, %v", d, owed, err)
	}
	// The fee may also stand beside the amount instead of inside of it.
	d = statements(t, load(t, "statement.nl.xml")).Statements[0].Entries[1].Details[1]
	if owed, err := d.Principal(); err != nil || owed != euro(-1250) || d.Charges != euro(-250) {
		t.Errorf("%+v, owed %s, %v", d, owed, err)
	}
}

// The same file has the same keys, whenever it comes, and two equal payments have two.
func TestAPaymentHasOneKeyForEver(t *testing.T) {
	first, again := statements(t, load(t, "statements.de.xml")), statements(t, load(t, "statements.de.xml"))
	if told(first) != told(again) {
		t.Error("the same file is read in two ways")
	}
	e := first.Statements[0].Entries
	if a, b := e[2].Details[0], e[3].Details[0]; a.Key == b.Key || a.Amount != b.Amount {
		t.Errorf("two equal payments: %s and %s", a.Key, b.Key)
	}
}

func TestKeysStayApart(t *testing.T) {
	a, b := Key{"A", "B|C", "D", 1}, Key{"A|B", "C", "D", 1}
	c := Key{"A", "B%7CC", "D", 1}
	if a.String() == b.String() || a.String() == c.String() || b.String() == c.String() {
		t.Errorf("%s, %s, %s", a, b, c)
	}
}

// breaks is a connection that ends with an error.
type breaks struct{ in io.Reader }

func (b breaks) Read(p []byte) (int, error) {
	n, err := b.in.Read(p)
	if err == io.EOF {
		err = errors.New("connection reset")
	}
	return n, err
}

func TestAFileThatCannotBeReadIsNotTaken(t *testing.T) {
	whole := load(t, "statement.nl.xml")
	f, err := ReadStatements(breaks{bytes.NewReader(whole[:len(whole)/2])}, Limits{})
	if !fault.Is(err, fault.Unavailable) || len(f.Statements) != 0 {
		t.Errorf("%v", err)
	}
}

// A file that is cut anywhere gives nothing but a refusal.
func TestAFileThatWasCutIsRefusedWhole(t *testing.T) {
	for _, name := range []string{"statements.de.xml", "statement.nl.xml", "notice.at.xml", "status.part.xml"} {
		whole := bytes.TrimSpace(load(t, name))
		for n := 0; n < len(whole); n += 3 + n%11 {
			cut := whole[:n]
			var err error
			var got int
			if strings.HasPrefix(name, "status") {
				var r StatusReport
				r, err = ReadStatus(bytes.NewReader(cut), Limits{})
				got = len(r.Batches) + len(r.ID)
			} else {
				var f StatementFile
				f, err = ReadStatements(bytes.NewReader(cut), Limits{})
				got = len(f.Statements) + len(f.ID)
			}
			if fault.Of(err).Kind != fault.Invalid || got != 0 {
				t.Fatalf("%s cut after %d bytes: %v, and %d things are taken", name, n, err, got)
			}
			if code := fault.Of(err).Code; n > 600 && code != "fileCut" && code != "fileBroken" {
				t.Fatalf("%s cut after %d bytes: %v", name, n, err)
			}
		}
	}
}

func TestAStatementThatDoesNotAddUpIsRefused(t *testing.T) {
	tests := []struct{ name, file, from, to, code string }{
		{"closing balance", "statements.de.xml", ">1142.97<", ">1142.98<", "balance"},
		{"opening balance", "statements.de.xml", ">1000.00<", ">1000.01<", "balance"},
		{"a line", "statements.de.xml", ">6.22<", ">6.23<", "summary"},
		{"a part of a batch", "statements.de.xml", `<TxAmt><Amt Ccy="EUR">29.99`, `<TxAmt><Amt Ccy="EUR">29.98`, "entrySum"},
		{"number in a batch", "statements.de.xml", "<NbOfTxs>3<", "<NbOfTxs>4<", "entryCount"},
		{"number of lines", "statements.de.xml", "<NbOfNtries>6<", "<NbOfNtries>5<", "summary"},
		{"sum of credits", "statements.de.xml", "<Sum>195.99<", "<Sum>196.00<", "summary"},
		{"no closing balance", "statements.de.xml", "<Cd>CLBD<", "<Cd>CLXX<", "balanceMissing"},
		{"a long id", "statements.de.xml", "<Id>0352C5320261201221503<", "<Id>" + strings.Repeat("1", 36) + "<", "statementId"},
		{"a long reference", "statements.de.xml", "<AcctSvcrRef>NONREF<", "<AcctSvcrRef>" + strings.Repeat("1", 36) + "<", "entryRef"},
		{"credit or debit", "statements.de.xml", "<CdtDbtInd>DBIT</CdtDbtInd>\n        <Sts>", "<CdtDbtInd>XXXX</CdtDbtInd>\n        <Sts>", "indicator"},
		{"currency of a line", "statements.de.xml", `Ccy="EUR">6.22`, `Ccy="USD">6.22`, "currency"},
		{"no currency", "statements.de.xml", `Ccy="EUR">6.22`, `Ccy="XYZ">6.22`, "currency"},
		{"a negative amount", "statements.de.xml", ">6.22<", ">-6.22<", "amount"},
		{"a fraction of a cent", "statements.de.xml", ">6.22<", ">6.221<", "amount"},
		{"a number with letters", "statements.de.xml", ">6.22<", ">6,22<", "amount"},
		{"account", "statements.de.xml", "DE02120300000000202051", "DE03120300000000202051", "statementAccount"},
		{"no account", "statements.de.xml", "<Id>4711</Id>", "<Id></Id>", "statementAccount"},
		{"a date", "statements.de.xml", "<BookgDt><Dt>2026-12-01<", "<BookgDt><Dt>2026-02-30<", "date"},
		{"a time", "statements.de.xml", "2026-12-01T22:15:03.000", "2026-12-01 22:15", "time"},
		{"fees of a batch", "statement.nl.xml", `Ccy="EUR">0.50`, `Ccy="EUR">0.60`, "entrySum"},
		{"fees of a return", "statement.nl.xml", `Ccy="EUR">2.50`, `Ccy="EUR">2.51`, "entrySum"},
		{"sum of a batch", "statement.nl.xml", `<TtlAmt Ccy="EUR">25.00`, `<TtlAmt Ccy="EUR">25.01`, "entrySum"},
		{"interim balance", "statement.nl.xml", ">73.50<", ">73.51<", "balance"},
		{"number of the rejected", "status.part.xml", "<DtldNbOfTxs>2</DtldNbOfTxs><DtldSts>RJCT", "<DtldNbOfTxs>3</DtldNbOfTxs><DtldSts>RJCT", "statusCount"},
		{"sum of the rejected", "status.part.xml", ">59.98<", ">59.99<", "statusSum"},
		{"which file", "status.part.xml", "<OrgnlMsgId>TANDEM-20261123-1<", "<OrgnlMsgId><", "statusForm"},
		{"which payment", "status.part.xml", "<OrgnlEndToEndId>INV-2026-000003<", "<OrgnlEndToEndId><", "statusForm"},
	}
	for _, tt := range tests {
		file := load(t, tt.file)
		spoilt := bytes.Replace(file, []byte(tt.from), []byte(tt.to), 1)
		if bytes.Equal(file, spoilt) {
			t.Fatalf("%s: nothing was spoilt", tt.name)
		}
		err := read(spoilt, Limits{})
		if fault.Of(err).Code != tt.code || fault.Of(err).Kind != fault.Invalid {
			t.Errorf("%s: %v, want %s", tt.name, err, tt.code)
		}
	}
}

// read reads anything, and gives only the error.
func read(file []byte, lim Limits) error {
	if bytes.Contains(file, []byte("pain.002")) {
		_, err := ReadStatus(bytes.NewReader(file), lim)
		return err
	}
	_, err := ReadStatements(bytes.NewReader(file), lim)
	return err
}

func TestWhatIsNoFileOfABankIsRefused(t *testing.T) {
	whole := string(load(t, "statement.nl.xml"))
	tests := []struct{ name, file, code string }{
		{"nothing", "", "fileCut"},
		{"a table", "Datum;Betrag\n1;2\n", "fileForeign"},
		{"a page", "<html><body>Session expired</body></html>", "fileForeign"},
		{"another message", strings.Replace(whole, "camt.053.001.08", "camt.060.001.03", 1), "fileKind"},
		{"an intraday report", strings.Replace(whole, "camt.053.001.08", "camt.052.001.08", 1), "fileKind"},
		{"a statement that is a notice", strings.Replace(whole, "camt.053.001.08", "camt.054.001.08", 1), "fileKind"},
		{"no namespace", strings.Replace(whole, ` xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"`, "", 1), "fileKind"},
		{"entities", strings.Replace(whole, "<Document", "<!DOCTYPE x [<!ENTITY a \"b\">]><Document", 1), "fileDirective"},
		{"an unknown entity", strings.Replace(whole, "Jan de Vries", "&lol;", 1), "fileBroken"},
		{"another encoding", strings.Replace(whole, "UTF-8", "EBCDIC-37", 1), "fileEncoding"},
		{"wrong ends", strings.Replace(whole, "</GrpHdr>", "</GrpHd>", 1), "fileBroken"},
		{"a tail", whole + "<Document/>", "fileTail"},
		{"a text behind", whole + "x", "fileTail"},
		{"no statement", whole[:strings.Index(whole, "<Stmt>")] + whole[strings.Index(whole, "</Stmt>")+7:], "statementMissing"},
		{"a statement twice", strings.Replace(whole, "</Stmt>", "</Stmt>"+whole[strings.Index(whole, "<Stmt>"):strings.Index(whole, "</Stmt>")+7], 1), "statementTwice"},
	}
	for _, tt := range tests {
		f, err := ReadStatements(strings.NewReader(tt.file), Limits{})
		if fault.Of(err).Code != tt.code || len(f.Statements) != 0 {
			t.Errorf("%s: %v, want %s", tt.name, err, tt.code)
		}
	}
	if _, err := ReadStatus(strings.NewReader(whole), Limits{}); fault.Of(err).Code != "fileKind" || !strings.Contains(err.Error(), "account statement") {
		t.Errorf("a statement taken for a status: %v", err)
	}
}

func TestWhatComesInIsLimited(t *testing.T) {
	whole := load(t, "statements.de.xml")
	for code, lim := range map[string]Limits{
		"fileLarge": {Bytes: int64(len(whole) - 1)}, "fileDeep": {Depth: 6}, "fileText": {Text: 20}, "fileLong": {Items: 5}, "fileWide": {Members: 10},
	} {
		if err := read(whole, lim); fault.Of(err).Code != code {
			t.Errorf("%+v: %v, want %s", lim, err, code)
		}
	}
	if err := read(whole, Limits{Bytes: int64(len(whole))}); err != nil {
		t.Errorf("a file of just the limit: %v", err)
	}
	deep := "<Document xmlns=\"urn:iso:std:iso:20022:tech:xsd:camt.053.001.02\"><BkToCstmrStmt>" + strings.Repeat("<a>", 1_000_000)
	if err := read([]byte(deep), Limits{}); fault.Of(err).Code != "fileDeep" {
		t.Errorf("a million elements in one another: %v", err)
	}
}

func TestWhatBecameOfAFile(t *testing.T) {
	r, err := ReadStatus(bytes.NewReader(load(t, "status.part.xml")), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if r.Original != "TANDEM-20261123-1" || r.Message != "pain.008" || r.Status != Partly || len(r.Batches) != 3 {
		t.Errorf("%+v", r)
	}
	for _, tt := range []struct {
		batch, payment string
		status         Status
		code, text     string
		ok             bool
	}{
		{"TANDEM-20261123-1-1", "INV-2026-000001", Rejected, "AC04", "Konto aufgeloest", true},
		{"TANDEM-20261123-1-1", "INV-2026-000003", Rejected, "MD01", "", true},
		{"TANDEM-20261123-1-1", "INV-2026-000004", "", "", "", false}, // not listed in a batch taken in part: it goes on
		{"TANDEM-20261123-1-2", "INV-2026-000002", Rejected, "DT01", "", true},
		{"TANDEM-20261123-1-3", "INV-2026-000005", Accepted, "", "", true},
		{"TANDEM-20261123-1-9", "INV-2026-000001", "", "", "", false},
	} {
		status, why, ok := r.Of(tt.batch, tt.payment)
		code, text := "", ""
		if len(why) > 0 {
			code, text = why[0].Code, why[0].Text
		}
		if status != tt.status || code != tt.code || text != tt.text || ok != tt.ok {
			t.Errorf("%s %s: %s %q %q %v", tt.batch, tt.payment, status, code, text, ok)
		}
	}
	if p := r.Batches[0].Payments[0]; p.Mandate != "TDM-00001" || p.Amount != euro(2999) || p.Reasons[0].By != "COBADEFFXXX" {
		t.Errorf("%+v", p)
	}
	sent := Sent{ID: "TANDEM-20261123-1", Count: 6, Sum: euro(100000012095)}
	if err := r.About(sent); err != nil {
		t.Error(err)
	}
	for code, other := range map[string]Sent{"statusForeign": {ID: "X", Count: 6, Sum: sent.Sum}, "statusCount": {ID: sent.ID, Count: 5, Sum: sent.Sum}, "statusSum": {ID: sent.ID, Count: 6, Sum: euro(1)}} {
		if err := r.About(other); fault.Of(err).Code != code {
			t.Errorf("%v, want %s", err, code)
		}
	}
	r, err = ReadStatus(bytes.NewReader(load(t, "status.file.xml")), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if s, why, ok := r.Of("any", "payment"); s != Rejected || !s.Bad() || !ok || why[0].Code != "AM05" {
		t.Errorf("%s %+v %v", s, why, ok)
	}
}

func FuzzStatements(f *testing.F) {
	for _, name := range []string{"statements.de.xml", "statement.nl.xml", "notice.at.xml"} {
		f.Add(load(f, name))
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		out, err := ReadStatements(bytes.NewReader(file), Limits{Items: 1000})
		if err != nil && len(out.Statements) > 0 {
			t.Error("something is taken of a file that is refused")
		}
		adds(t, out)
	})
}

func FuzzStatus(f *testing.F) {
	f.Add(load(f, "status.part.xml"))
	f.Add(load(f, "status.file.xml"))
	f.Fuzz(func(t *testing.T, file []byte) {
		if r, err := ReadStatus(bytes.NewReader(file), Limits{Items: 1000}); err == nil && r.Original == "" {
			t.Error("an answer about nothing")
		}
	})
}

func FuzzAccount(f *testing.F) {
	f.Add("DE89 3704 0044 0532 0130 00")
	f.Add("RF18539007547034")
	f.Add("DE98ZZZ09999999999")
	f.Fuzz(func(t *testing.T, text string) {
		if i, err := ParseIBAN(text); err == nil {
			if back, err := ParseIBAN(i.Print()); err != nil || back != i {
				t.Errorf("%s becomes %s, %v", i, back, err)
			}
		}
		ParseBIC(text)
		ParseCreditorID(text)
		ParseReference(text)
	})
}

func TestAMissingStatementIsSeen(t *testing.T) {
	s := statements(t, load(t, "statements.de.xml")).Statements[0]
	if err := s.Follows(Balance{day(t, "2026-11-30"), euro(100000)}); err != nil {
		t.Error(err)
	}
	if err := s.Follows(Balance{day(t, "2026-11-29"), euro(99999)}); fault.Of(err).Code != "statementGap" {
		t.Errorf("a gap: %v", err)
	}
}

// bulk is a statement with one batch of n payments.
func bulk(n int) []byte {
	var b bytes.Buffer
	total := money.Amount{Minor: int64(n) * 2999, Currency: money.EUR}
	fmt.Fprintf(&b, `<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.02"><BkToCstmrStmt><GrpHdr><MsgId>M</MsgId><CreDtTm>2026-12-01T22:15:03</CreDtTm></GrpHdr><Stmt><Id>S</Id><Acct><Id><IBAN>DE02120300000000202051</IBAN></Id></Acct>`)
	fmt.Fprintf(&b, `<Bal><Tp><CdOrPrtry><Cd>OPBD</Cd></CdOrPrtry></Tp><Amt Ccy="EUR">0.00</Amt><CdtDbtInd>CRDT</CdtDbtInd><Dt><Dt>2026-12-01</Dt></Dt></Bal><Bal><Tp><CdOrPrtry><Cd>CLBD</Cd></CdOrPrtry></Tp><Amt Ccy="EUR">%s</Amt><CdtDbtInd>CRDT</CdtDbtInd><Dt><Dt>2026-12-01</Dt></Dt></Bal>`, total.Decimal())
	fmt.Fprintf(&b, `<Ntry><Amt Ccy="EUR">%s</Amt><CdtDbtInd>CRDT</CdtDbtInd><Sts>BOOK</Sts><BookgDt><Dt>2026-12-01</Dt></BookgDt><AcctSvcrRef>R</AcctSvcrRef><NtryDtls><Btch><NbOfTxs>%d</NbOfTxs></Btch>`, total.Decimal(), n)
	for i := range n {
		fmt.Fprintf(&b, `<TxDtls><Refs><MsgId>TANDEM-20261123-1</MsgId><EndToEndId>INV-2026-%08d</EndToEndId><MndtId>TDM-%08d</MndtId></Refs><AmtDtls><TxAmt><Amt Ccy="EUR">29.99</Amt></TxAmt></AmtDtls><RltdPties><Dbtr><Nm>Erika Mustermann</Nm></Dbtr><DbtrAcct><Id><IBAN>DE89370400440532013000</IBAN></Id></DbtrAcct></RltdPties></TxDtls>`, i, i)
	}
	b.WriteString(`</NtryDtls></Ntry></Stmt></BkToCstmrStmt></Document>`)
	return b.Bytes()
}

func BenchmarkReadStatement(b *testing.B) {
	file := bulk(10_000)
	b.SetBytes(int64(len(file)))
	b.ReportAllocs()
	for b.Loop() {
		f, err := ReadStatements(bytes.NewReader(file), Limits{})
		if err != nil || len(f.Statements[0].Entries[0].Details) != 10_000 {
			b.Fatal(err)
		}
	}
}
