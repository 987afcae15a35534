package render

import (
	"bytes"
	"encoding/base64"
	"flag"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"pgregory.net/rapid"
	"rsc.io/qr"

	"tandem/bss/billing"
	"tandem/edge/einvoice"
	"tandem/edge/peertest"
	"tandem/kit/civil"
	"tandem/kit/fault"
	"tandem/kit/money"
)

var update = flag.Bool("update", false, "write the golden files anew")

func day(text string) civil.Date {
	d, err := civil.ParseDate(text)
	if err != nil {
		panic(err)
	}
	return d
}

// paper is an invoice of what a household has: a product with a number, another one that began
// within the month, a discount, usage with its records, two rates of tax.
func paper(language string) *billing.Paper {
	d := &billing.Document{Bill: "bill-1", Kind: billing.Invoice, Account: "A-1001", Customer: "C-4711", Entity: "default", Currency: "EUR", Language: language, Zone: "Europe/Berlin",
		Date: day("2026-06-01"), Due: day("2026-06-16"), From: day("2026-05-01"), To: day("2026-06-01"), PurchaseOrder: "PO 77/12",
		Seller: billing.DocumentParty{Name: "Nordlicht Telekom GmbH", Street: "Hafenstraße 1", PostCode: "20457", City: "Hamburg", Country: "DE", VATID: "DE123456789", Registration: "HRB 12345 B",
			LegalForm: "Geschäftsführung: Ada Grün", Email: "hallo@nordlicht.example", Phone: "+49 40 1234", Endpoint: "hallo@nordlicht.example", EndpointScheme: "EM"},
		Buyer: billing.DocumentParty{Name: "Änne Großmann", ID: "C-4711", Street: "Lange Straße 12", PostCode: "50667", City: "Köln", Country: "DE", Email: "aenne@example.com"},
		Bank:  &billing.Bank{Name: "Nordlicht Telekom GmbH", IBAN: "DE89370400440532013000", BIC: "COBADEFFXXX", CreditorID: "DE98ZZZ09999999999"},
		Note:  "Fragen? Rufen Sie uns an: 0800 1234."}
	p := &billing.Paper{Document: d, Number: "INV-2026-0000042", IssuedOn: day("2026-06-02"), Names: map[string]string{"mobile": "Mobile M +491701234567", "fibre": "Fibre 250"},
		Template: &billing.BillTemplate{Name: "nordlicht", Wordmark: "nordlicht", Color: "#0b5d4e", Window: billing.WindowB,
			Text: []billing.BrandWords{{Language: "de", Opening: "Guten Tag,\nvielen Dank, dass Sie mit uns surfen und telefonieren. Für den Monat Mai berechnen wir:", Closing: "Mit freundlichen Grüßen\nIhr Nordlicht-Team"}}}}
	add(d, billing.DocumentLine{Name: "Fibre 250", Product: "fibre", Sort: billing.Recurring, Net: 3995, Unit: 39.95e9, Part: 31, Of: 31, Rule: "days"})
	add(d, billing.DocumentLine{Name: "Static address", Product: "fibre", Sort: billing.Recurring, Net: 245, Unit: 4.9e9, Part: 15, Of: 31, Rule: "days", ServiceFrom: day("2026-05-17")})
	add(d, billing.DocumentLine{Name: "Installation", Product: "fibre", Sort: billing.OneTime, Net: 4900, Unit: 49e9, Quantity: 1})
	add(d, billing.DocumentLine{Name: "Mobile M", Product: "mobile", Sort: billing.Recurring, Net: 1999, Unit: 19.99e9, Part: 31, Of: 31, Rule: "days"})
	add(d, billing.DocumentLine{Name: "Loyalty", Product: "mobile", Sort: "discount", Net: -200, Percent: [2]int64{-10, 1}, Base: 1999})
	add(d, billing.DocumentLine{Name: "Data abroad", Product: "mobile", Sort: billing.Usage, Net: 1234, Quantity: 1_250_000_000, UsageUnit: "octets", Records: 3, Key: "mobile|usage|data.abroad|octets|19|false|4"})
	add(d, billing.DocumentLine{Name: "Book about fibre", Sort: billing.OneTime, Net: 1000, Unit: 10e9, TaxPercent: [2]int64{7, 1}, TaxCategory: "reduced"})
	usage := billing.ItemisedLine{Line: &d.Lines[5]}
	for i := range int64(3) {
		usage.Records = append(usage.Records, billing.ItemisedRecord{At: time.Date(2026, 5, 3+int(i), 8, 30, 0, 0, time.UTC), Called: "internet", Network: "22201", Quantity: 400_000_000 + i*17_000_000,
			Amount: money.Rate{Nano: 4_113_333_333, Currency: money.EUR}})
	}
	p.Usage = []billing.ItemisedLine{usage}
	sumUp(d)
	return p
}

func add(d *billing.Document, l billing.DocumentLine) {
	l.ID = fmt.Sprint(len(d.Lines) + 1)
	if l.TaxPercent[1] == 0 {
		l.TaxCategory, l.TaxPercent = "standard", [2]int64{19, 1}
	}
	l.TaxCode, l.ServiceTo = "S", d.To
	if !l.ServiceFrom.Valid() {
		l.ServiceFrom = d.From
	}
	l.Amount, l.Wanted = l.Net, l.Net
	d.Lines = append(d.Lines, l)
}

// sumUp works out tax and totals from the net of the lines.
func sumUp(d *billing.Document) {
	d.Taxes, d.Net, d.Tax = nil, 0, 0
	for _, l := range d.Lines {
		i := slices.IndexFunc(d.Taxes, func(t billing.DocumentTax) bool { return t.Percent == l.TaxPercent })
		if i < 0 {
			i, d.Taxes = len(d.Taxes), append(d.Taxes, billing.DocumentTax{Category: l.TaxCategory, Code: "S", Percent: l.TaxPercent})
		}
		d.Taxes[i].Net += l.Net
		d.Net += l.Net
	}
	for i := range d.Taxes {
		x := &d.Taxes[i]
		x.Tax = (x.Net*x.Percent[0]*2 + 100*x.Percent[1]) / (200 * x.Percent[1])
		d.Tax += x.Tax
	}
	d.Gross = d.Net + d.Tax
}

func must(t testing.TB, p *billing.Paper, format string) []byte {
	t.Helper()
	f, err := Make(p, format)
	if err != nil {
		t.Fatal(err)
	}
	return f.Data
}

// readOut is the text of a PDF, which qpdf finds sound.
func readOut(t testing.TB, file []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "a.pdf")
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(peertest.Need(t, "qpdf", "qpdf"), "--check", path).CombinedOutput(); err != nil {
		t.Fatalf("qpdf: %v\n%s", err, out)
	}
	out, err := exec.Command(peertest.Need(t, "pdftotext", "poppler-utils"), "-layout", path, "-").Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(out), "\u00a0", " ")
}

var tagsOfHTML = regexp.MustCompile(`<[^>]*>`)

// said is all that the paper must say, in either form.
func said(p *billing.Paper) (out []string) {
	t := tongueOf(p.Language)
	c, err := money.ParseCurrency(p.Currency)
	if err != nil {
		panic(err)
	}
	for i := range p.Lines {
		out = append(out, p.Lines[i].Name, t.amount(p.Lines[i].Net, c))
	}
	for _, x := range p.Taxes {
		out = append(out, t.money(x.Net, c), t.money(x.Tax, c))
	}
	out = append(out, t.money(p.Net, c), t.money(p.Gross, c), t.date(p.Date.AddDays(-1)), t.date(p.Due), t.date(p.IssuedOn), p.Number, p.Buyer.Name, p.Buyer.Street, p.Seller.Name, p.Seller.VATID,
		grouped(p.Bank.IBAN), p.Bank.BIC, p.Customer, p.PurchaseOrder)
	for _, u := range p.Usage {
		for _, r := range u.Records {
			out = append(out, t.used(r.Quantity, u.Line.UsageUnit), t.rate(r.Amount), r.At.Format("15:04:05"), r.Called)
		}
	}
	for i := range out {
		out[i] = strings.ReplaceAll(out[i], hard, " ")
	}
	return out
}

// Each amount, date, name and record of the document can be read out of PDF and HTML, in each
// language.
func TestAllThatIsPostedCanBeRead(t *testing.T) {
	for _, language := range []string{"en", "de", "fr", "de-AT", "pl"} {
		t.Run(language, func(t *testing.T) {
			p := paper(language)
			html := strings.NewReplacer("&nbsp;", " ", "\u00a0", " ", "&#43;", "+").Replace(tagsOfHTML.ReplaceAllString(string(must(t, p, HTML)), " "))
			for form, text := range map[string]string{PDF: readOut(t, must(t, p, PDF)), HTML: html} {
				for _, want := range said(p) {
					if !strings.Contains(text, want) {
						t.Errorf("%q is not in the %s\n%s", want, form, text)
					}
				}
			}
		})
	}
}

// Amounts of records have as many digits as the longest of them, so that they stand below each
// other.
func TestAmountsOfRecordsStandBelowEachOther(t *testing.T) {
	p := paper("de")
	for i, nano := range []int64{73e6, 730e6, 12_345e9} {
		p.Usage[0].Records[i].Amount.Nano = nano
	}
	s, err := write(p)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, row := range s.Usage[0].Rows {
		got = append(got, row[len(row)-1])
	}
	if want := []string{"0,073", "0,730", "12.345,000"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestGoldenHTML(t *testing.T) {
	for _, language := range []string{"en", "de", "fr"} {
		path := filepath.Join("testdata", "bill."+language+".html")
		got := must(t, paper(language), HTML)
		if *update {
			if err := os.WriteFile(path, got, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s differs: look at it with -update and git diff", path)
		}
	}
}

// Each word there is in one language is there in the others, with the same gaps.
func TestWordsAreThereInEachLanguage(t *testing.T) {
	gaps := regexp.MustCompile(`%[0-9]*[sd%]`)
	for language, w := range words {
		for key, text := range words["en"] {
			if w[key] == "" || fmt.Sprint(gaps.FindAllString(w[key], -1)) != fmt.Sprint(gaps.FindAllString(text, -1)) {
				t.Errorf("%s %s: %q for %q", language, key, w[key], text)
			}
		}
		for key := range w {
			if words["en"][key] == "" {
				t.Errorf("%s alone has %q", language, key)
			}
		}
	}
	for reason := range billing.CreditReasons {
		if words["en"]["reason."+reason] == "" {
			t.Errorf("no words for the reason %q", reason)
		}
	}
}

// The code says what a banking program needs (EPC069-12), and a program of another house reads
// the same out of the picture.
func TestThePaymentCode(t *testing.T) {
	p := paper("de")
	want := "BCD\n002\n1\nSCT\nCOBADEFFXXX\nNordlicht Telekom GmbH\nDE89370400440532013000\nEUR155.56\n\n\nINV-2026-0000042"
	if got := paymentCode(p.Bank, p.Gross, money.EUR, p.Number); got != want {
		t.Errorf("%q", got)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a.pdf"), must(t, p, PDF), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(peertest.Need(t, "pdftoppm", "poppler-utils"), "-r", "110", "-gray", "-png", filepath.Join(dir, "a.pdf"), filepath.Join(dir, "a")).CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	pages, err := filepath.Glob(filepath.Join(dir, "a*.png"))
	if err != nil || len(pages) == 0 {
		t.Fatal(pages, err)
	}
	out, _ := exec.Command(peertest.Need(t, "zbarimg", "zbar-tools"), append([]string{"--raw", "-q"}, pages...)...).Output() // it minds pages without a code
	if strings.TrimSpace(string(out)) != want {
		t.Errorf("zbarimg: %q", out)
	}
	for _, x := range []struct {
		bank     *billing.Bank
		minor    int64
		currency money.Currency
	}{{nil, 100, money.EUR}, {p.Bank, 0, money.EUR}, {p.Bank, -5, money.EUR}, {p.Bank, maxCodeCents + 1, money.EUR}, {p.Bank, 100, currency("CHF")}, {&billing.Bank{Name: "x"}, 100, money.EUR}} {
		if got := paymentCode(x.bank, x.minor, x.currency, "text"); got != "" {
			t.Errorf("%v: %q", x, got)
		}
	}
	if symbol("") != nil || symbol(strings.Repeat("x", 400)) != nil {
		t.Error("a symbol of nothing, or of too much")
	}
}

func currency(code string) money.Currency {
	c, err := money.ParseCurrency(code)
	if err != nil {
		panic(err)
	}
	return c
}

// A payment code never says two things in one line, and is never longer than readers take.
func TestPaymentCodesOfAnyName(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.String().Draw(t, "name")
		text := rapid.String().Draw(t, "text")
		minor := rapid.Int64Range(1, maxCodeCents).Draw(t, "minor")
		code := paymentCode(&billing.Bank{Name: name, IBAN: "DE89370400440532013000"}, minor, money.EUR, text)
		if code == "" {
			return
		}
		if len(code) > maxCode || strings.Count(code, "\n") != 10 {
			t.Fatalf("%q", code)
		}
		if s := symbol(code); s == nil || s.Size > 69 {
			t.Fatal("no symbol")
		} else if _, err := qr.Encode(code, qr.M); err != nil {
			t.Fatal(err)
		}
	})
}

// The electronic invoice is the same document: by itself and inside the PDF, and it is an
// invoice by the rules.
func TestTheElectronicInvoice(t *testing.T) {
	p := paper("de")
	ubl, err := einvoice.ReadUBL(bytes.NewReader(must(t, p, UBL)))
	if err != nil {
		t.Fatal(err)
	}
	cii, err := einvoice.ReadCII(bytes.NewReader(must(t, p, CII)))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a.pdf"), must(t, p, PDF), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(peertest.Need(t, "pdfdetach", "poppler-utils"), "-saveall", "-o", dir, filepath.Join(dir, "a.pdf")).CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	inside, err := os.ReadFile(filepath.Join(dir, "factur-x.xml"))
	if err != nil || !bytes.Equal(inside, must(t, p, CII)) {
		t.Errorf("what is inside is another: %v", err)
	}
	for _, v := range []*einvoice.Invoice{ubl, cii} {
		if v.Number != p.Number || v.Totals.Payable.Minor != p.Gross || len(v.Lines) != len(p.Lines) || v.Due != p.Due || v.Issued != p.IssuedOn {
			t.Errorf("%+v", v)
		}
		if broken := einvoice.Check(v); broken != nil {
			t.Error(broken)
		}
	}
	p.Number = ""
	for _, format := range []string{UBL, CII} {
		if _, err := Make(p, format); fault.Of(err).Code != "notPosted" {
			t.Errorf("%s of a draft: %v", format, err)
		}
	}
	if _, err := Make(p, "docx"); fault.Of(err).Code != "badFormat" {
		t.Error(err)
	}
}

// A draft says so, and asks for no money.
func TestADraftSaysSo(t *testing.T) {
	p := paper("en")
	p.Number = ""
	text := readOut(t, must(t, p, PDF))
	if !strings.Contains(text, "Draft, not an invoice") || strings.Contains(text, "Please pay") || strings.Contains(text, "Scan to pay") || strings.Contains(text, "Due on") {
		t.Errorf("%s", text)
	}
}

// A credit note names the invoice that it corrects and why, and asks for no money.
func TestACreditNote(t *testing.T) {
	p := paper("en")
	p.Kind, p.Reason, p.Number = billing.CreditNote, "outage", "CN-2026-0000007"
	p.Preceding = &billing.Preceding{Bill: "b", Number: "INV-2026-0000001", Date: day("2026-05-02")}
	for form, text := range map[string]string{PDF: readOut(t, must(t, p, PDF)), HTML: strings.ReplaceAll(string(must(t, p, HTML)), "\u00a0", " ")} {
		text = strings.ReplaceAll(text, hard, " ")
		for _, want := range []string{"Credit note", "CN-2026-0000007", "INV-2026-0000001", "2 May 2026", "The service was out of order.", "You receive", "set off against"} {
			if !strings.Contains(text, want) {
				t.Errorf("%q is not in the %s of a credit note\n%s", want, form, text)
			}
		}
		if strings.Contains(text, "Scan to pay") {
			t.Errorf("the %s of a credit note asks for money", form)
		}
	}
}

// Where all prices include tax, customers see what they agreed to pay, and it adds up.
func TestPricesWithTax(t *testing.T) {
	p := paper("de")
	p.Lines, p.Usage = p.Lines[:2], nil
	for i, x := range [][2]int64{{2999, 2520}, {1000, 840}} {
		l := &p.Lines[i]
		l.TaxIncluded, l.Amount, l.Wanted, l.Net, l.Unit = true, x[0], x[0], x[1], x[0]*1e7
	}
	p.Net, p.Tax, p.Gross = 3360, 639, 3999
	p.Document.Taxes = []billing.DocumentTax{{Category: "standard", Code: "S", Percent: [2]int64{19, 1}, Net: 3360, Tax: 639}}
	text := readOut(t, must(t, p, PDF))
	for _, want := range []string{"Betrag inkl. USt (EUR)", "29,99", "10,00", "39,99 €", "darin USt", "6,39 €"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
	if strings.Contains(text, "25,20") {
		t.Errorf("amounts without tax beside\n%s", text)
	}
}

// A bill of 500 lines with long names goes on over pages; nothing is lost or written over the
// foot.
func TestFiveHundredLines(t *testing.T) {
	p := paper("de")
	p.Usage = nil
	p.Lines = p.Lines[:0]
	for i := range int64(500) {
		add(p.Document, billing.DocumentLine{Name: fmt.Sprintf("Posten %03d mit einem langen Namen, der nicht in eine Zeile der Tabelle passt, und Donaudampfschifffahrtsgesellschaftskapitänsmützenabzeichen", i), Product: fmt.Sprint("p", i/10),
			Sort: billing.OneTime, Net: 1000 + i, Unit: (1000 + i) * 1e7})
		p.Names[fmt.Sprint("p", i/10)] = fmt.Sprintf("Anschluss %02d", i/10)
	}
	sumUp(p.Document)
	file := must(t, p, PDF)
	text := readOut(t, file)
	for i := range int64(500) {
		if !strings.Contains(text, fmt.Sprintf("Posten %03d mit", i)) || !strings.Contains(text, tongueOf("de").amount(1000+i, money.EUR)) {
			t.Errorf("line %d is missing", i)
		}
	}
	pages := strings.Count(text, "\f")
	if !strings.Contains(text, fmt.Sprintf("Seite %d von %d", pages, pages)) || strings.Count(text, "Leistung") != pages-1 && strings.Count(text, "Leistung") != pages {
		t.Errorf("%d pages, the head of the table on %d", pages, strings.Count(text, "Leistung"))
	}
	for _, w := range boxes(t, file) {
		if w.x0 < left*point-1 || w.x1 > right*point+1 {
			t.Fatalf("%q is outside of the margins: %+v", w.text, w)
		}
		if w.y1 > bottom*point+3 && w.y0 < 264*point {
			t.Fatalf("%q is written over the foot: %+v", w.text, w)
		}
	}
}

const point = 72 / 25.4

type box struct {
	x0, y0, x1, y1 float64
	text           string
}

var boxOf = regexp.MustCompile(`<word xMin="([0-9.]+)" yMin="([0-9.]+)" xMax="([0-9.]+)" yMax="([0-9.]+)">(.*)</word>`)

// boxes are where the words of a file stand.
func boxes(t *testing.T, file []byte) (out []box) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "a.pdf")
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	text, err := exec.Command(peertest.Need(t, "pdftotext", "poppler-utils"), "-bbox", path, "-").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range boxOf.FindAllStringSubmatch(string(text), -1) {
		var b box
		if _, err := fmt.Sscan(m[1]+" "+m[2]+" "+m[3]+" "+m[4], &b.x0, &b.y0, &b.x1, &b.y1); err != nil {
			t.Fatal(err)
		}
		b.text = m[5]
		out = append(out, b)
	}
	if len(out) == 0 {
		t.Fatal("no words")
	}
	return out
}

// The address stands where the window of an envelope is, by each template.
func TestTheAddressIsInTheWindow(t *testing.T) {
	for window, at := range map[string][2]float64{billing.WindowB: {20, 45}, billing.WindowA: {20, 27}, billing.WindowRight: {105, 45}} {
		p := paper("fr")
		p.Template.Window = window
		found := false
		for _, b := range boxes(t, must(t, p, PDF)) {
			if b.text == "Großmann" || b.text == "Köln" {
				found = true
				if b.x0 < at[0]*point || b.x1 > (at[0]+85)*point || b.y0 < (at[1]+10)*point || b.y1 > (at[1]+45)*point {
					t.Errorf("%s: %+v is outside of the window", window, b)
				}
			}
		}
		if !found {
			t.Error("no address")
		}
	}
}

// A logo is shown in both forms.
func TestALogo(t *testing.T) {
	m := image.NewNRGBA(image.Rect(0, 0, 120, 40))
	for i := range 120 {
		m.Set(i, i/3, color.NRGBA{10, 120, 90, 255})
	}
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	p := paper("en")
	p.Template.Logo = base64.StdEncoding.EncodeToString(b.Bytes())
	if html := string(must(t, p, HTML)); !strings.Contains(html, `<img src="data:image/png;base64,`+p.Template.Logo[:40]) {
		t.Error("no logo in the page")
	}
	readOut(t, must(t, p, PDF))
}

// The same paper gives the same octets.
func TestTheSamePaperGivesTheSameOctets(t *testing.T) {
	for _, format := range Formats {
		if a, b := must(t, paper("de"), format), must(t, paper("de"), format); !bytes.Equal(a, b) {
			t.Errorf("%s differs", format)
		}
	}
}

// Names of any letters break neither form, and no name is markup.
func FuzzNames(f *testing.F) {
	for _, s := range []string{"Änne", "<script>alert(1)</script>", "a\nb", "'\"&", strings.Repeat("w", 300), "\u202eevil", "漢字 عربى", "{{.}}", "\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		p := paper("de")
		p.Buyer.Name, p.Lines[0].Name, p.Note, p.Template.Wordmark, p.Usage[0].Records[0].Called, p.Names["mobile"] = name, name, name, name, name, name
		if strings.ContainsFunc(name, func(r rune) bool { return unicode.IsControl(r) || r == utf8.RuneError || r == 0xfffe || r == 0xffff }) {
			p.Number = "" // no XML can carry it, so no invoice has it: it is a draft that is held
		}
		html := string(must(t, p, HTML))
		if strings.Contains(html, "<script") {
			t.Fatal("a name became markup")
		}
		if file := must(t, p, PDF); !bytes.HasPrefix(file, []byte("%PDF-1.7")) || !bytes.HasSuffix(file, []byte("%%EOF\n")) {
			t.Fatal("no file")
		}
	})
}

func BenchmarkMake(b *testing.B) {
	for _, format := range Formats {
		b.Run(format, func(b *testing.B) {
			p := paper("de")
			for b.Loop() {
				if _, err := Make(p, format); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
