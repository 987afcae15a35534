package einvoice

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"

	"tandem/kit/civil"
	"tandem/kit/money"
)

// syntaxes are the two formats.
var syntaxes = []struct {
	name  string
	write func(io.Writer, *Invoice) error
	read  func(io.Reader) (*Invoice, error)
}{
	{"UBL", WriteUBL, ReadUBL},
	{"CII", WriteCII, ReadCII},
}

func TestAnyInvoiceComesBackAsItWas(t *testing.T) {
	for _, s := range syntaxes {
		t.Run(s.name, func(t *testing.T) {
			r := seeded(t)
			var b bytes.Buffer
			for i := range rounds() {
				v := random(r)
				b.Reset()
				if err := s.write(&b, v); err != nil {
					t.Fatalf("round %d: %v", i, err)
				}
				back, err := s.read(bytes.NewReader(b.Bytes()))
				if err != nil {
					t.Fatalf("round %d: %v\n%s", i, err, b.String())
				}
				if !reflect.DeepEqual(v, back) {
					t.Fatalf("round %d: %s\n%s", i, difference("", reflect.ValueOf(v), reflect.ValueOf(back)), b.String())
				}
			}
		})
	}
}

// difference names the first field in which two values differ.
func difference(path string, a, b reflect.Value) string {
	switch a.Kind() {
	case reflect.Pointer:
		if !a.IsNil() && !b.IsNil() {
			return difference(path, a.Elem(), b.Elem())
		}
	case reflect.Struct:
		for i := range a.NumField() {
			if d := difference(path+"."+a.Type().Field(i).Name, a.Field(i), b.Field(i)); d != "" {
				return d
			}
		}
		return ""
	case reflect.Slice:
		for i := range min(a.Len(), b.Len()) {
			if d := difference(path+"[]", a.Index(i), b.Index(i)); d != "" {
				return d
			}
		}
		if a.Len() == b.Len() && a.IsNil() == b.IsNil() {
			return ""
		}
	default:
		if a.Equal(b) {
			return ""
		}
	}
	if a.Kind() == reflect.Pointer && a.IsNil() && b.IsNil() {
		return ""
	}
	return strings.TrimSpace(path) + ": " + describe(a) + " became " + describe(b)
}

func describe(v reflect.Value) string {
	if v.Kind() == reflect.String {
		return "\"" + v.String() + "\""
	}
	if v.CanInt() {
		return Dec(v.Int(), 0).String()
	}
	return v.String()
}

func TestTheTwoSyntaxesSayTheSame(t *testing.T) {
	r := seeded(t)
	for range rounds() / 5 {
		v := random(r)
		var ubl, cii bytes.Buffer
		if err := errors.Join(WriteUBL(&ubl, v), WriteCII(&cii, v)); err != nil {
			t.Fatal(err)
		}
		a, err := ReadUBL(&ubl)
		if err != nil {
			t.Fatal(err)
		}
		b, err := ReadCII(&cii)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(a, b) {
			t.Fatal(difference("", reflect.ValueOf(a), reflect.ValueOf(b)))
		}
	}
}

func TestWhatIsMissingStaysMissing(t *testing.T) {
	for _, s := range syntaxes {
		for name, v := range map[string]*Invoice{
			"nothing": {Currency: money.EUR},
			"groups": {
				Currency: money.EUR, Seller: Seller{Address: &Address{}}, Buyer: Buyer{Address: &Address{}}, Payee: &Payee{},
				TaxRepresentative: &TaxRepresentative{}, Period: &Period{}, Payment: &Payment{}, Allowances: []Adjustment{{}},
				Charges: []Adjustment{{}}, VAT: []Breakdown{{}}, Documents: []Document{{}}, Preceding: []Preceding{{}}, Lines: []Line{{Period: &Period{}}},
			},
		} {
			var b bytes.Buffer
			if err := s.write(&b, v); err != nil {
				t.Fatal(err)
			}
			back, err := s.read(&b)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(v, back) {
				t.Errorf("%s, %s: %s", s.name, name, difference("", reflect.ValueOf(v), reflect.ValueOf(back)))
			}
			if !reflect.DeepEqual(Check(v), Check(back)) {
				t.Errorf("%s, %s: other violations: %v", s.name, name, Check(back))
			}
		}
	}
}

func TestWhatASyntaxCannotCarryIsAnError(t *testing.T) {
	late := sample(Standard)
	late.Type, late.Payment = CreditNote, nil
	cases := []struct {
		name  string
		write func(io.Writer, *Invoice) error
		v     *Invoice
	}{
		{"a due date in a UBL credit note", WriteUBL, late},
		{"another tax point code in CII", WriteCII, &Invoice{TaxPointCode: "9", VAT: []Breakdown{{}}}},
		{"a control character", WriteUBL, &Invoice{Number: "a\x00b"}},
		{"half a character", WriteCII, &Invoice{Number: "a\xffb"}},
		{"no character", WriteCII, &Invoice{Number: "a\uffffb"}},
		{"no day", WriteUBL, &Invoice{Issued: civil.Date{Year: 2026, Month: 2, Day: 30}}},
	}
	for _, c := range cases {
		var b bytes.Buffer
		if err := c.write(&b, c.v); !errors.Is(err, ErrCarry) || b.Len() > 0 {
			t.Errorf("%s: %v, %d octets", c.name, err, b.Len())
		}
	}
}

const otherUBL = `<?xml version="1.0"?>
<x:Invoice xmlns:x="urn:oasis:names:specification:ubl:schema:xsd:Invoice-2" xmlns:a="urn:oasis:names:specification:ubl:schema:xsd:CommonAggregateComponents-2"
  xmlns="urn:oasis:names:specification:ubl:schema:xsd:CommonBasicComponents-2" xmlns:e="urn:oasis:names:specification:ubl:schema:xsd:CommonExtensionComponents-2">
  <e:UBLExtensions><e:UBLExtension><ID>not this</ID></e:UBLExtension></e:UBLExtensions>
  <UBLVersionID>2.1</UBLVersionID>
  <ID> A-1
  </ID>
  <DocumentCurrencyCode>EUR</DocumentCurrencyCode>
  <a:TaxTotal><TaxAmount currencyID="SEK">50.10</TaxAmount></a:TaxTotal>
  <TaxCurrencyCode>SEK</TaxCurrencyCode>
  <a:TaxTotal><TaxAmount currencyID="EUR">4.5000</TaxAmount></a:TaxTotal>
  <a:AllowanceCharge><ChargeIndicator>1</ChargeIndicator><Amount currencyID="EUR">+1</Amount></a:AllowanceCharge>
  <Note>#AAI#one</Note><Note>#two</Note>
</x:Invoice>`

func TestReadersTakeWhatOthersWrite(t *testing.T) {
	v, err := ReadUBL(strings.NewReader(otherUBL))
	if err != nil {
		t.Fatal(err)
	}
	sek, _ := money.ParseCurrency("SEK")
	want := &Invoice{
		Number: "A-1", Currency: money.EUR, TaxCurrency: sek,
		Totals:  Totals{VAT: eur(450), TaxAccounting: money.Amount{Minor: 5010, Currency: sek}},
		Charges: []Adjustment{{Amount: eur(100)}}, Notes: []Note{{"AAI", "one"}, {"", "#two"}},
	}
	if !reflect.DeepEqual(v, want) {
		t.Error(difference("", reflect.ValueOf(want), reflect.ValueOf(v)))
	}
}

func TestReadersRefuse(t *testing.T) {
	root := func(inner string) string {
		return `<Invoice xmlns="` + nsInvoice + `" xmlns:cac="` + nsCAC + `" xmlns:cbc="` + nsCBC + `">` + inner + `</Invoice>`
	}
	deep := strings.Repeat("<cac:Party>", maxDepth) + strings.Repeat("</cac:Party>", maxDepth)
	foreign := strings.Repeat("<f>", 200) + strings.Repeat("</f>", 200)
	cases := map[string]struct {
		xml  string
		want error
	}{
		"nothing":          {"", ErrSyntax},
		"a half":           {root("")[:40], ErrSyntax},
		"another document": {`<Order xmlns="` + nsInvoice + `"/>`, ErrSyntax},
		"another space":    {`<Invoice xmlns="urn:other"/>`, ErrSyntax},
		"a declaration":    {`<!DOCTYPE Invoice [<!ENTITY a "b">]>` + root(""), ErrSyntax},
		"an entity":        {root("<cbc:ID>&lol;</cbc:ID>"), ErrSyntax},
		"two roots":        {root("") + root(""), ErrSyntax},
		"too deep":         {root(deep), ErrLimit},
		"a deep extension": {root(`<x:a xmlns:x="urn:x">` + strings.ReplaceAll(foreign, "f>", "x:f>") + `</x:a>`), ErrLimit},
		"no date":          {root("<cbc:IssueDate>2026-02-30</cbc:IssueDate>"), ErrSyntax},
		"no currency":      {root("<cbc:DocumentCurrencyCode>XYZ</cbc:DocumentCurrencyCode>"), ErrSyntax},
		"a cent of a cent": {root(`<cac:LegalMonetaryTotal><cbc:PayableAmount currencyID="EUR">1.001</cbc:PayableAmount></cac:LegalMonetaryTotal>`), ErrSyntax},
		"an exponent":      {root(`<cac:LegalMonetaryTotal><cbc:PayableAmount currencyID="EUR">1e3</cbc:PayableAmount></cac:LegalMonetaryTotal>`), ErrSyntax},
		"no money":         {root(`<cac:LegalMonetaryTotal><cbc:PayableAmount>1</cbc:PayableAmount></cac:LegalMonetaryTotal>`), ErrSyntax},
		"neither nor":      {root(`<cac:AllowanceCharge><cbc:ChargeIndicator>maybe</cbc:ChargeIndicator></cac:AllowanceCharge>`), ErrSyntax},
		"no base64":        {root(`<cac:AdditionalDocumentReference><cac:Attachment><cbc:EmbeddedDocumentBinaryObject>*</cbc:EmbeddedDocumentBinaryObject></cac:Attachment></cac:AdditionalDocumentReference>`), ErrSyntax},
	}
	for name, c := range cases {
		if _, err := ReadUBL(strings.NewReader(c.xml)); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := ReadCII(strings.NewReader(root(""))); !errors.Is(err, ErrSyntax) {
		t.Errorf("UBL as CII: %v", err)
	}
	endless := io.MultiReader(strings.NewReader(root("")[:100]), &blanks{maxBytes + 1})
	if _, err := ReadUBL(endless); !errors.Is(err, ErrLimit) {
		t.Errorf("an endless document: %v", err)
	}
	cut := io.MultiReader(strings.NewReader(root("")[:150]), errReader{})
	if _, err := ReadUBL(cut); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("a broken line: %v", err)
	}
}

// blanks is a document of n blanks.
type blanks struct{ n int }

func (b *blanks) Read(p []byte) (int, error) {
	if b.n <= 0 {
		return 0, io.EOF
	}
	n := min(len(p), b.n)
	for i := range n {
		p[i] = ' '
	}
	b.n -= n
	return n, nil
}

type errReader struct{}

func (errReader) Read([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestDecimals(t *testing.T) {
	for text, want := range map[string]Decimal{
		"0": Dec(0, 0), "19": Dec(19, 0), "19.50": Dec(195, 1), "-0.005": Dec(-5, 3), "+7": Dec(7, 0), ".5": Dec(5, 1), "1.": Dec(1, 0),
		"0000000000000000000000001": Dec(1, 0), "999999999999999999": Dec(999999999999999999, 0), "0.000000000000001": Dec(1, 15),
	} {
		if got, err := ParseDecimal(text); err != nil || got != want {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", ".", "-", "+-1", "1e3", "1,5", "1.2.3", "NaN", "1000000000000000000", "0.0000000000000001", " 1"} {
		if got, err := ParseDecimal(text); !errors.Is(err, ErrSyntax) {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	if (Decimal{}) == Dec(0, 0) || (Decimal{}).String() != "" || Dec(0, 5).String() != "0" || Dec(-1230, 3).String() != "-1.23" || Dec(-1, 3).Sign() != -1 {
		t.Error("an absent decimal is not zero")
	}
	if n, ok := Dec(19, 0).percentOf(-1050); !ok || n != -200 { // 199.5 away from zero, as its debit
		t.Error(n, ok)
	}
	if _, ok := Dec(1e17, 0).percentOf(1e13); ok {
		t.Error("a product beyond 64 bits")
	}
}

func FuzzReadUBL(f *testing.F) { fuzz(f, WriteUBL, ReadUBL) }

func FuzzReadCII(f *testing.F) { fuzz(f, WriteCII, ReadCII) }

// fuzz reads anything. What is an invoice can be checked, and what can be written is
// read again as the same.
func fuzz(f *testing.F, write func(io.Writer, *Invoice) error, read func(io.Reader) (*Invoice, error)) {
	var b bytes.Buffer
	for _, k := range nine {
		for _, v := range []*Invoice{sample(k), represented(), dinars()} {
			b.Reset()
			if err := write(&b, v); err != nil {
				f.Fatal(err)
			}
			f.Add(bytes.Clone(b.Bytes()))
		}
	}
	f.Add([]byte(otherUBL))
	f.Fuzz(func(t *testing.T, text []byte) {
		v, err := read(bytes.NewReader(text))
		if err != nil {
			return
		}
		for _, x := range Check(v) {
			if x.Text == "" {
				t.Fatalf("%s says nothing", x.Rule)
			}
		}
		var first, second bytes.Buffer
		if err := write(&first, v); err != nil {
			return
		}
		again, err := read(bytes.NewReader(first.Bytes()))
		if err != nil {
			t.Fatalf("%v\n%s", err, first.Bytes())
		}
		if err := write(&second, again); err != nil {
			t.Fatal(err)
		}
		third, err := read(&second)
		if err != nil || !reflect.DeepEqual(again, third) {
			t.Fatalf("%v: %s", err, difference("", reflect.ValueOf(again), reflect.ValueOf(third)))
		}
	})
}

func BenchmarkWriteUBL(b *testing.B) { benchmark(b, WriteUBL) }

func BenchmarkWriteCII(b *testing.B) { benchmark(b, WriteCII) }

func benchmark(b *testing.B, write func(io.Writer, *Invoice) error) {
	v := typical(7)
	var out bytes.Buffer
	b.ReportAllocs()
	for b.Loop() {
		out.Reset()
		if err := write(&out, v); err != nil {
			b.Fatal(err)
		}
	}
	b.SetBytes(int64(out.Len()))
}

func BenchmarkReadUBL(b *testing.B) {
	var out bytes.Buffer
	if err := WriteUBL(&out, typical(7)); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.SetBytes(int64(out.Len()))
	for b.Loop() {
		if _, err := ReadUBL(bytes.NewReader(out.Bytes())); err != nil {
			b.Fatal(err)
		}
	}
}
