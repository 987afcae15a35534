package sepa

import (
	"bytes"
	"encoding/xml"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"tandem/kit/fault"
	"tandem/kit/money"
)

var update = flag.Bool("update", false, "write the golden files")

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is not what was written; run with -update and read the difference\n%s", path, got)
	}
}

func euro(cents int64) money.Amount { return money.Amount{Minor: cents, Currency: money.EUR} }

// handed is a Monday, before the cut-off.
func handed(t testing.TB) time.Time {
	return time.Date(2026, 11, 23, 9, 30, 0, 0, zone(t))
}

func collection(t testing.TB, n int) Collection {
	return Collection{
		EndToEnd: fmt.Sprintf("INV-2026-%06d", n), Scheme: Core, Sequence: Recurring, Due: day(t, "2026-12-01"), Amount: euro(2999),
		Mandate: Mandate{ID: fmt.Sprintf("TDM-%05d", n), Signed: day(t, "2024-02-29")}, Debtor: "Erika Mustermann", IBAN: "DE89370400440532013000",
		Text: fmt.Sprintf("Invoice INV-2026-%06d", n),
	}
}

func debits(t testing.TB) Debits {
	d := Debits{
		ID: "TANDEM-20261123-1", Created: handed(t),
		Creditor: Creditor{Name: "Tandem Mobile GmbH", IBAN: "DE02120300000000202051", BIC: "BYLADEM1001", ID: "DE98ZZZ09999999999",
			Address: Address{Street: "Funkerweg", Building: "7", PostCode: "10115", Town: "Berlin", Country: "DE"}},
	}
	for n := range 6 {
		d.Collections = append(d.Collections, collection(t, n+1))
	}
	c := d.Collections
	c[1].Sequence, c[1].Debtor, c[1].Amount = First, "Müller & Söhne Gesellschaft mit beschränkter Haftung für Nachrichtentechnik", euro(100)
	c[2].Mandate.Change = Change{MandateID: "OLD-00003", CreditorName: "Vorgänger AG", CreditorID: "AT61ZZZ01234567890", IBAN: "AT611904300234573201"}
	c[3].Mandate.Change = Change{Account: true}
	c[3].BIC, c[3].IBAN = "COBADEFFXXX", "DE75512108001245126199"
	c[4].Scheme, c[4].Sequence, c[4].Text, c[4].Reference = B2B, OneOff, "", "RF18539007547034"
	c[5].IBAN, c[5].BIC, c[5].Debtor = "CH9300762011623852957", "UBSWCHZH80A", "Café Zürich"
	c[5].Address = Address{Street: "Bahnhofstrasse", Building: "1", PostCode: "8001", Town: "Zürich", Country: "CH"}
	c[5].Amount = euro(99999999999)
	return d
}

func profiles(t testing.TB) map[string]Profile {
	older, newer := Standard(zone(t)), Standard(zone(t))
	older.Version, older.Charset, older.Each = V2009, German, true
	return map[string]Profile{"02": older, "08": newer}
}

func TestFilesOfDirectDebits(t *testing.T) {
	for version, p := range profiles(t) {
		var file bytes.Buffer
		sent, err := p.WriteDebits(&file, debits(t))
		if err != nil {
			t.Fatal(err)
		}
		golden(t, "pain.008.001."+version+".xml", file.Bytes())
		short(t, file.Bytes())
		if sent.Count != 6 || sent.Sum != euro(4*2999+100+99999999999) || len(sent.Batches) != 3 {
			t.Errorf("%+v", sent)
		}
		if got := sent.Batches[0]; got.ID != "TANDEM-20261123-1-1" || got.Count != 4 || !slices.Equal(got.Items, []int{0, 2, 3, 5}) || got.Due != day(t, "2026-12-01") {
			t.Errorf("%+v", got)
		}
	}
}

func TestFilesOfTransfers(t *testing.T) {
	for version, p := range map[string]Profile{"03": profiles(t)["02"], "09": profiles(t)["08"]} {
		var file bytes.Buffer
		sent, err := p.WriteTransfers(&file, Transfers{
			ID: "REFUND-20261123", Created: handed(t), Execute: day(t, "2026-11-24"), Name: "Tandem Mobile GmbH", IBAN: "DE02120300000000202051",
			Items: []Transfer{
				{EndToEnd: "RFD-1", Amount: euro(1234), Name: "Erika Mustermann", IBAN: "DE89370400440532013000", Text: "Refund of INV-2026-000001"},
				{EndToEnd: "RFD-2", Amount: euro(1), Name: "Łukasz", IBAN: "PL61109010140000071219812874", BIC: "BREXPLPW", Reference: "RF18539007547034",
					Address: Address{Street: "Nowa", Building: "1", PostCode: "00-001", Town: "Warszawa", Country: "PL"}},
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		golden(t, "pain.001.001."+version+".xml", file.Bytes())
		short(t, file.Bytes())
		if sent.Count != 2 || sent.Sum != euro(1235) || len(sent.Batches) != 1 {
			t.Errorf("%+v", sent)
		}
	}
}

// longest are the lengths of the schemes' guidelines, shorter than those of the schemas.
var longest = map[string]int{"Nm": 70, "AdrLine": 70, "StrtNm": 70, "BldgNb": 16, "PstCd": 16, "TwnNm": 35, "Ustrd": 140, "MsgId": 35, "PmtInfId": 35, "EndToEndId": 35, "MndtId": 35}

// short checks a file against the lengths; the order of elements is judged by the
// schemas (schema_test.go).
func short(t *testing.T, file []byte) {
	t.Helper()
	name := ""
	for dec := xml.NewDecoder(bytes.NewReader(file)); ; {
		tok, err := dec.Token()
		if err == io.EOF {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		switch k := tok.(type) {
		case xml.StartElement:
			name = k.Name.Local
		case xml.CharData:
			if n := len([]rune(strings.TrimSpace(string(k)))); longest[name] > 0 && n > longest[name] {
				t.Errorf("<%s> has %d characters", name, n)
			}
		}
	}
}

func TestACollectionThatTheBankWouldRejectIsRefused(t *testing.T) {
	p := Standard(zone(t))
	tests := map[string]func(c *Collection){
		"endToEnd idMissing":         func(c *Collection) { c.EndToEnd = "" },
		"notEuro":                    func(c *Collection) { c.Amount = money.Amount{Minor: 100, Currency: money.CHF} },
		"amountNotPositive":          func(c *Collection) { c.Amount = euro(0) },
		"negative amountNotPositive": func(c *Collection) { c.Amount = euro(-1) },
		"amountTooLarge":             func(c *Collection) { c.Amount = euro(100000000000) },
		"schemeMissing":              func(c *Collection) { c.Scheme = 0 },
		"sequenceMissing":            func(c *Collection) { c.Sequence = 9 },
		"idSlash":                    func(c *Collection) { c.Mandate.ID = "A//B" },
		"mandateUnsigned":            func(c *Collection) { c.Mandate.Signed = day(t, "2024-01-01"); c.Mandate.Signed.Day = 0 },
		"mandateLate":                func(c *Collection) { c.Mandate.Signed = day(t, "2026-12-02") },
		"changeTwice":                func(c *Collection) { c.Mandate.Change = Change{IBAN: "DE89370400440532013000", Account: true} },
		"former ibanChecksum":        func(c *Collection) { c.Mandate.Change.IBAN = "DE88370400440532013000" },
		"debtorMissing":              func(c *Collection) { c.Debtor = " " },
		"ibanChecksum":               func(c *Collection) { c.IBAN = "DE88370400440532013000" },
		"ibanOutside":                func(c *Collection) { c.IBAN = "TR330006100519786457841326" },
		"bicForm":                    func(c *Collection) { c.BIC = "12345678" },
		"debtorAbroad":               func(c *Collection) { c.IBAN = "CH9300762011623852957" },
		"remittanceTwice":            func(c *Collection) { c.Reference = "RF18539007547034" },
		"referenceChecksum":          func(c *Collection) { c.Text, c.Reference = "", "RF19539007547034" },
		"textLength":                 func(c *Collection) { c.Text = strings.Repeat("a", 141) },
		"dueClosed":                  func(c *Collection) { c.Due = day(t, "2026-12-25") },
		"dueEarly":                   func(c *Collection) { c.Due = day(t, "2026-11-23") },
		"dueFar":                     func(c *Collection) { c.Due = day(t, "2027-11-24") },
		"addressCountry":             func(c *Collection) { c.Address = Address{Country: "XX", Town: "A"} },
		"addressTown":                func(c *Collection) { c.Address = Address{Country: "DE"} },
	}
	for name, spoil := range tests {
		words := strings.Fields(name)
		code := words[len(words)-1]
		d := debits(t)
		spoil(&d.Collections[0])
		if err := p.Check(d.Collections[0], d.Created); fault.Of(err).Code != code {
			t.Errorf("%s: %v", name, err)
		}
		var file bytes.Buffer
		if _, err := p.WriteDebits(&file, d); fault.Of(err).Code != code || file.Len() > 0 {
			t.Errorf("%s: %v, and %d bytes were written", name, err, file.Len())
		}
	}
}

func TestAFileThatTheBankWouldRejectIsNotWritten(t *testing.T) {
	tests := map[string]func(p *Profile, d *Debits){
		"idLength":           func(_ *Profile, d *Debits) { d.ID = strings.Repeat("A", 30) },
		"fileEmpty":          func(_ *Profile, d *Debits) { d.Collections = nil },
		"fileLong":           func(p *Profile, _ *Debits) { p.Longest = 5 },
		"endToEndTwice":      func(_ *Profile, d *Debits) { d.Collections[1].EndToEnd = d.Collections[0].EndToEnd },
		"creditorIdForm":     func(_ *Profile, d *Debits) { d.Creditor.ID = "" },
		"creditorMissing":    func(_ *Profile, d *Debits) { d.Creditor.Name = "" },
		"ibanForm":           func(_ *Profile, d *Debits) { d.Creditor.IBAN = "" },
		"profileVersion":     func(p *Profile, _ *Debits) { p.Version = 0 },
		"profileFirst":       func(p *Profile, _ *Debits) { p.First = 0 },
		"profileCharset":     func(p *Profile, _ *Debits) { p.Charset = 0 },
		"profileZone":        func(p *Profile, _ *Debits) { p.Zone = nil },
		"profileCutOff":      func(p *Profile, _ *Debits) { p.CutOff = 0 },
		"profileLongest":     func(p *Profile, _ *Debits) { p.Longest = 0 },
		"profileLead":        func(p *Profile, _ *Debits) { p.Core.First = -1 },
		"creditorIdChecksum": func(_ *Profile, d *Debits) { d.Creditor.ID = "DE97ZZZ09999999999" },
	}
	for code, spoil := range tests {
		p, d := Standard(zone(t)), debits(t)
		spoil(&p, &d)
		var file bytes.Buffer
		if _, err := p.WriteDebits(&file, d); fault.Of(err).Code != code || file.Len() > 0 {
			t.Errorf("%s: %v, and %d bytes were written", code, err, file.Len())
		}
	}
}

func TestATransferThatTheBankWouldRejectIsRefused(t *testing.T) {
	tests := map[string]func(d *Transfers){
		"ibanChecksum":       func(d *Transfers) { d.Items[0].IBAN = "DE88370400440532013000" },
		"beneficiaryMissing": func(d *Transfers) { d.Items[0].Name = "" },
		"amountNotPositive":  func(d *Transfers) { d.Items[0].Amount = euro(-5) },
		"dueClosed":          func(d *Transfers) { d.Execute = day(t, "2026-11-28") },
		"dueEarly":           func(d *Transfers) { d.Execute = day(t, "2026-11-20") },
		"payerMissing":       func(d *Transfers) { d.Name = "" },
		"fileEmpty":          func(d *Transfers) { d.Items = nil },
		"endToEndTwice":      func(d *Transfers) { d.Items = append(d.Items, d.Items[0]) },
	}
	for code, spoil := range tests {
		d := Transfers{
			ID: "REFUND-1", Created: handed(t), Execute: day(t, "2026-11-24"), Name: "Tandem", IBAN: "DE02120300000000202051",
			Items: []Transfer{{EndToEnd: "RFD-1", Amount: euro(1), Name: "A", IBAN: "DE89370400440532013000", Text: "x"}},
		}
		spoil(&d)
		var file bytes.Buffer
		if _, err := Standard(zone(t)).WriteTransfers(&file, d); fault.Of(err).Code != code || file.Len() > 0 {
			t.Errorf("%s: %v, and %d bytes were written", code, err, file.Len())
		}
	}
}

func BenchmarkWriteDebits(b *testing.B) {
	p, d := Standard(zone(b)), debits(b)
	d.Collections = nil
	for n := range 10_000 {
		d.Collections = append(d.Collections, collection(b, n))
	}
	b.ReportAllocs()
	for b.Loop() {
		if sent, err := p.WriteDebits(io.Discard, d); err != nil || sent.Count != 10_000 {
			b.Fatal(err)
		}
	}
}
