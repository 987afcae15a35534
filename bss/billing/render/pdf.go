package render

import (
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"tandem/bss/billing"
	"tandem/kit/pdf"
)

// Places on the paper, in millimetres (DIN 5008).
const (
	left, right  = 25.0, 190.0
	bottom       = 262.0 // of what is written; below it is the foot
	headNext     = 14.0  // base line of the head of further pages
	topNext      = 26.0
	addressWide  = 80.0
	factsLeft    = 118.0
	codeSide     = 27.0
	lineHeight   = 4.5
	detailHeight = 3.7
)

// Sizes of letters, in points.
const (
	large, heading, body, detail, small = 16.0, 11.0, 9.5, 8.0, 7.0
)

var (
	ink  = pdf.Color{R: 26, G: 28, B: 31}
	soft = pdf.Color{R: 89, G: 95, B: 105}
	rule = pdf.Color{R: 205, G: 210, B: 217}
	warn = pdf.Color{R: 163, G: 0, B: 11}
)

// drawing is a PDF under way.
type drawing struct {
	*sheet
	doc       *pdf.Document
	page      *pdf.Page
	y         float64 // base line of what comes next
	brand     pdf.Color
	logo      *pdf.Image
	regular   *pdf.Font
	bold      *pdf.Font
	window    string
	tableHead func() // repeats the head of the table that goes on; nil: none
}

// drawPDF is the bill on paper; cii, if there is one, travels inside it.
func drawPDF(s *sheet, p *billing.Paper, cii []byte) ([]byte, error) {
	brand, err := pdf.ParseColor(p.Template.Color)
	if err != nil {
		return nil, err
	}
	logo, err := logoOf(p.Template)
	if err != nil {
		return nil, err
	}
	made := time.Date(p.IssuedOn.Year, p.IssuedOn.Month, p.IssuedOn.Day, 0, 0, 0, 0, time.UTC)
	d := &drawing{sheet: s, brand: brand, logo: logo, regular: pdf.Regular(), bold: pdf.Bold(), window: p.Template.Window,
		doc: pdf.New(pdf.Info{Title: s.Subject, Author: p.Seller.Name, Subject: s.Title, Language: s.Lang, Made: made, Producer: "Tandem"})}
	d.first()
	d.chargesTable()
	d.totalsTable()
	d.taxTable()
	d.paymentPart()
	d.paragraphs(s.Closing, d.regular, body, ink)
	d.paragraphs(s.Notes, d.regular, detail, soft)
	d.usagePages()
	d.feet()
	if cii != nil {
		d.doc.Attach(pdf.File{Name: "factur-x.xml", Media: "text/xml", Description: "Electronic invoice (EN 16931, UN/CEFACT CII)", Relation: "Alternative", Data: cii})
		d.doc.Describe(facturX)
	}
	return d.doc.Bytes(), nil
}

// facturX says that the file inside is the invoice (Factur-X 1.0, ZUGFeRD 2.x, 7.2.2).
var facturX = pdf.Schema{Name: "Factur-X PDFA Extension Schema", URI: "urn:factur-x:pdfa:CrossIndustryDocument:invoice:1p0#", Prefix: "fx", Properties: []pdf.Property{
	{Name: "DocumentFileName", Description: "The name of the embedded XML document", Value: "factur-x.xml"},
	{Name: "DocumentType", Description: "The type of the hybrid document in capital letters", Value: "INVOICE"},
	{Name: "Version", Description: "The actual version of the standard applying to the embedded XML document", Value: "1.0"},
	{Name: "ConformanceLevel", Description: "The conformance level of the embedded XML document", Value: "EN 16931"},
}}

// logos are those that were read, by their base64.
var logos = struct {
	sync.Mutex
	m map[string]*pdf.Image
}{m: map[string]*pdf.Image{}}

const maxLogos = 64

// logoOf is the logo of a template, read once in a process.
func logoOf(t *billing.BillTemplate) (*pdf.Image, error) {
	if t.Logo == "" {
		return nil, nil
	}
	logos.Lock()
	defer logos.Unlock()
	if i := logos.m[t.Logo]; i != nil {
		return i, nil
	}
	i, err := t.Picture()
	if err != nil {
		return nil, err
	}
	if len(logos.m) >= maxLogos {
		clear(logos.m)
	}
	logos.m[t.Logo] = i
	return i, nil
}

// first draws the head of the first page: mark, address, facts, title.
func (d *drawing) first() {
	d.page = d.doc.Page()
	d.doc.Open(pdf.Artifact)
	d.page.Fill(0, 0, pdf.Width, 3.5, d.brand)
	d.doc.Close()
	top := 45.0
	if d.window == billing.WindowA {
		top = 27
	}
	address, facts := left, factsLeft
	if d.window == billing.WindowRight {
		address, facts = 110, left
	}
	d.mark()
	d.doc.Open(pdf.Paragraph)
	d.page.Text(address, top+14.5, d.regular, small, soft, d.fit(d.regular, small, d.Return, addressWide))
	d.doc.Close()
	d.doc.Open(pdf.Paragraph)
	y := top + 20.5
	for _, text := range d.Address {
		for _, part := range d.wrap(d.regular, 10, text, addressWide) {
			d.page.Text(address, y, d.regular, 10, ink, part)
			y += 4.7
		}
	}
	d.doc.Close()
	end := d.factsTable(facts, top+9)
	d.y = max(top+58, y+9, end+9)
	d.folds(top)
	color := ink
	if d.Draft {
		color = warn
	}
	d.text(pdf.Heading1, d.bold, large, color, d.Title, 9)
	d.paragraphs(d.Opening, d.regular, body, ink)
	d.y += 2
}

// mark draws the brand.
func (d *drawing) mark() {
	if d.logo != nil {
		h := 15.0
		w := h * d.logo.Ratio()
		if w > 70 {
			w, h = 70, 70/d.logo.Ratio()
		}
		d.doc.OpenFigure(d.Wordmark)
		d.page.Picture(left, 9, w, h, d.logo)
		d.doc.Close()
		return
	}
	d.doc.Open(pdf.Paragraph)
	d.page.Text(left, 20, d.bold, 20, d.brand, d.fit(d.bold, 20, d.Wordmark, right-left))
	d.doc.Close()
}

// folds are the marks at which the letter is folded and punched.
func (d *drawing) folds(top float64) {
	for _, y := range []float64{top + 60, top + 165} {
		d.page.Rule(4, y, 8, y, 0.15, rule)
	}
	d.page.Rule(4, pdf.Height/2, 10, pdf.Height/2, 0.15, rule)
}

// factsTable draws what the bill is, label by label; it is where it ends.
func (d *drawing) factsTable(x, y float64) float64 {
	wide := right - factsLeft
	labels := 0.0
	for _, f := range d.Facts {
		labels = max(labels, d.regular.Width(f.Label, 8.5))
	}
	d.doc.Open(pdf.Table)
	for _, f := range d.Facts {
		d.doc.Open(pdf.Row)
		d.doc.Open(pdf.RowHeader)
		d.page.Text(x, y, d.regular, 8.5, soft, f.Label)
		d.doc.Close()
		d.doc.Open(pdf.Cell)
		for _, part := range d.wrap(d.regular, 8.5, f.Value, wide-labels-3) {
			d.page.Right(x+wide, y, d.regular, 8.5, ink, part)
			y += 4.4
		}
		d.doc.Close()
		d.doc.Close()
	}
	d.doc.Close()
	return y
}

// text writes a line as an element of its own and moves on; what is too wide goes on in the
// next line.
func (d *drawing) text(tag string, f *pdf.Font, size float64, c pdf.Color, text string, step float64) {
	d.doc.Open(tag)
	defer d.doc.Close()
	for i, part := range d.wrap(f, size, text, right-left) {
		if i > 0 {
			d.y += size * 0.45
		}
		d.room(0) // what follows, not this line, needs the step below it
		d.page.Text(left, d.y, f, size, c, part)
	}
	d.y += step
}

func (d *drawing) paragraphs(texts []string, f *pdf.Font, size float64, c pdf.Color) {
	for _, text := range texts {
		d.text(pdf.Paragraph, f, size, c, text, size*0.6)
	}
}

// room begins a new page if less than so much is left on this one.
func (d *drawing) room(need float64) {
	if d.y+need <= bottom {
		return
	}
	d.next()
}

// next begins a further page, with the head of the table that goes on.
func (d *drawing) next() {
	d.page = d.doc.Page()
	d.doc.Open(pdf.Artifact)
	d.page.Fill(0, 0, pdf.Width, 2, d.brand)
	d.page.Text(left, headNext, d.bold, 9, d.brand, d.fit(d.bold, 9, d.Wordmark, 90))
	d.page.Right(right, headNext, d.regular, 8.5, soft, d.fit(d.regular, 8.5, d.runningHead(), 75))
	d.y = topNext
	if d.tableHead != nil {
		d.tableHead()
	}
	d.doc.Close()
}

func (d *drawing) runningHead() string {
	if d.Draft {
		return d.Title
	}
	return d.Title + " " + d.Facts[0].Value
}

// Right edges of the columns of charges, behind the description.
var chargeEdges = []float64{124, 145, 158, right}

func (d *drawing) chargesTable() {
	d.doc.Open(pdf.Table)
	d.room(20)
	d.chargesHead()
	d.tableHead = d.chargesHead
	for i := range d.Groups {
		g := &d.Groups[i]
		if g.Name != "" {
			d.groupHead(g.Name)
		}
		for j := range g.Lines {
			d.charge(&g.Lines[j])
		}
		if g.Sum != "" {
			d.groupSum(g.Sum)
		}
	}
	d.tableHead = nil
	d.doc.Close()
}

// chargesHead draws the head of the columns. What is repeated on a further page is only for
// the eye: it is drawn while an artifact is open.
func (d *drawing) chargesHead() {
	d.doc.Open(pdf.Row)
	d.cell(pdf.Header, left, d.bold, detail, soft, d.Head[0])
	for i, edge := range chargeEdges {
		d.cellRight(pdf.Header, edge, d.bold, detail, soft, d.Head[i+1])
	}
	d.doc.Close()
	d.page.Rule(left, d.y+1.8, right, d.y+1.8, 0.4, d.brand)
	d.y += 6.5
}

func (d *drawing) cell(tag string, x float64, f *pdf.Font, size float64, c pdf.Color, text string) {
	d.doc.Open(tag)
	d.page.Text(x, d.y, f, size, c, text)
	d.doc.Close()
}

func (d *drawing) cellRight(tag string, edge float64, f *pdf.Font, size float64, c pdf.Color, text string) {
	d.cell(tag, edge-f.Width(text, size), f, size, c, text)
}

func (d *drawing) groupHead(name string) {
	d.room(2*lineHeight + detailHeight + 3)
	d.y += 1
	d.doc.Open(pdf.Row)
	d.cell(pdf.RowHeader, left, d.bold, body, ink, d.fit(d.bold, body, name, right-left))
	d.doc.Close()
	d.y += lineHeight + 0.8
}

func (d *drawing) groupSum(sum string) {
	d.room(lineHeight)
	d.doc.Open(pdf.Row)
	d.cell(pdf.RowHeader, left, d.bold, body, ink, d.t.say("sum"))
	d.cellRight(pdf.Cell, right, d.bold, body, ink, sum)
	d.doc.Close()
	d.y += lineHeight + 1.5
}

const describedWide = 78.0

// charge draws a line with its details below it, on one page.
func (d *drawing) charge(l *line) {
	name := d.wrap(d.regular, body, l.Name, describedWide)
	details := d.wrap(d.regular, detail, strings.Join(l.Details, " · "), describedWide)
	d.room(float64(len(name))*lineHeight + float64(len(details))*detailHeight)
	d.doc.Open(pdf.Row)
	top := d.y
	d.doc.Open(pdf.RowHeader)
	for _, part := range name {
		d.page.Text(left, d.y, d.regular, body, ink, part)
		d.y += lineHeight
	}
	for _, part := range details {
		d.page.Text(left, d.y-0.4, d.regular, detail, soft, part)
		d.y += detailHeight
	}
	d.doc.Close()
	end := d.y
	d.y = top
	for i, text := range []string{l.Quantity, l.Price, l.Rate, l.Amount} {
		d.cellRight(pdf.Cell, chargeEdges[i], d.regular, body, ink, text)
	}
	d.y = end
	d.doc.Close()
	d.page.Rule(left, d.y-2.9, right, d.y-2.9, 0.1, rule)
	d.y += 1.1
}

func (d *drawing) totalsTable() {
	d.room(float64(len(d.Totals))*6 + 8)
	d.y += 2
	d.doc.Open(pdf.Table)
	for _, x := range d.Totals {
		f, size, c := d.regular, body, ink
		if x.Strong {
			f, size = d.bold, heading+1
			d.y += 2.2
			d.page.Rule(factsLeft-10, d.y-5.6, right, d.y-5.6, 0.3, d.brand)
		}
		d.doc.Open(pdf.Row)
		d.cell(pdf.RowHeader, factsLeft-10, f, size, c, x.Label)
		d.cellRight(pdf.Cell, right, f, size, c, x.Amount)
		d.doc.Close()
		d.y += 5.4
	}
	d.doc.Close()
}

var taxEdges = []float64{85, 120, 155}

func (d *drawing) taxTable() {
	if len(d.Taxes) == 0 {
		d.y += 2
		d.paragraphs(d.Reasons, d.regular, detail, soft)
		return
	}
	d.room(float64(len(d.Taxes))*4.4 + 16)
	d.y += 5
	d.text(pdf.Heading2, d.bold, body, d.brand, d.t.say("taxes"), 5)
	d.doc.Open(pdf.Table)
	row := func(first, other string, f *pdf.Font, c pdf.Color, cells []string) {
		d.doc.Open(pdf.Row)
		d.cell(first, left, f, detail, c, cells[0])
		for i, edge := range taxEdges {
			d.cellRight(other, edge, f, detail, c, cells[i+1])
		}
		d.doc.Close()
		d.y += 4.2
	}
	row(pdf.Header, pdf.Header, d.bold, soft, d.TaxHead)
	for _, cells := range d.Taxes {
		row(pdf.RowHeader, pdf.Cell, d.regular, ink, cells)
	}
	d.doc.Close()
	d.paragraphs(d.Reasons, d.regular, detail, soft)
}

func (d *drawing) paymentPart() {
	if d.PayText == "" {
		return
	}
	need := 20.0
	if d.Pay != nil {
		need = 20 + codeSide + 14
	}
	d.room(need)
	d.y += 4
	d.text(pdf.Heading2, d.bold, heading, d.brand, d.t.say("payment"), 5.2)
	d.text(pdf.Paragraph, d.regular, body, ink, d.PayText, 4)
	if d.Pay != nil {
		d.slip(d.Pay)
	}
	d.y += 3
}

// slip draws what a credit transfer needs, with the code beside it.
func (d *drawing) slip(s *slip) {
	top, high := d.y, codeSide+9
	for _, edge := range [][4]float64{{left, top, right, top}, {left, top + high, right, top + high}, {left, top, left, top + high}, {right, top, right, top + high}} {
		d.page.Rule(edge[0], edge[1], edge[2], edge[3], 0.2, rule)
	}
	d.y = top + 8.5
	d.doc.Open(pdf.Table)
	for i, f := range append([]pair{{s.Label, s.Sum}}, s.Pairs...) {
		font := d.regular
		if i == 0 {
			font = d.bold
		}
		d.doc.Open(pdf.Row)
		d.cell(pdf.RowHeader, left+5, d.regular, detail+0.5, soft, f.Label)
		d.cell(pdf.Cell, left+42, font, body+0.5, ink, d.fit(font, body+0.5, f.Value, 78))
		d.doc.Close()
		d.y += 5.6
	}
	d.doc.Close()
	if s.Code != nil {
		x := right - codeSide - 6
		d.doc.OpenFigure(s.Alt)
		d.page.Dots(x, top+4, codeSide, s.Code.Size, s.Code.Black)
		d.doc.Close()
		d.doc.Open(pdf.Paragraph)
		d.page.Text(x+(codeSide-d.regular.Width(s.Hint, small))/2, top+codeSide+7.6, d.regular, small, soft, s.Hint)
		d.doc.Close()
	}
	d.y = top + high + 3
}

// Left edges of the first columns of itemised usage, right edges of the last two.
var usageEdges = []float64{left, 47, 64, 128, 158, right}

const usageStep = 3.75

func (d *drawing) usagePages() {
	if len(d.Usage) == 0 {
		return
	}
	d.next()
	d.text(pdf.Heading1, d.bold, heading+2, ink, d.t.say("usage"), 6)
	d.text(pdf.Paragraph, d.regular, detail, soft, d.UsageIntro, 6)
	for i := range d.Usage {
		d.usageTable(&d.Usage[i])
	}
}

func (d *drawing) usageTable(u *usageTable) {
	d.room(20)
	d.y += 2
	d.text(pdf.Heading2, d.bold, body, d.brand, u.Title, 5.5)
	if len(u.Rows) > 0 {
		head := func() { d.usageHead(u.Head) }
		d.doc.Open(pdf.Table)
		head()
		d.tableHead = head
		for _, row := range u.Rows {
			d.room(0)
			d.usageRow(pdf.Cell, d.regular, ink, row)
			d.y += usageStep
		}
		d.tableHead = nil
		d.doc.Close()
	}
	if u.Omitted != "" {
		d.text(pdf.Paragraph, d.regular, detail, soft, u.Omitted, 5)
	}
	d.y += 3
}

func (d *drawing) usageHead(head []string) {
	d.usageRow(pdf.Header, d.bold, soft, head)
	d.page.Rule(left, d.y+1.5, right, d.y+1.5, 0.3, d.brand)
	d.y += 5.5
}

func (d *drawing) usageRow(tag string, f *pdf.Font, c pdf.Color, cells []string) {
	d.doc.Open(pdf.Row)
	for i, text := range cells {
		switch {
		case i >= 4:
			d.cellRight(tag, usageEdges[i], f, detail, c, text)
		case i == 2:
			d.cell(tag, usageEdges[i], f, detail, c, d.fit(f, detail, text, usageEdges[3]-usageEdges[2]-2))
		default:
			d.cell(tag, usageEdges[i], f, detail, c, text)
		}
	}
	d.doc.Close()
}

// feet draws the foot of each page, when it is known how many there are.
func (d *drawing) feet() {
	pages, columns := d.doc.Pages(), d.footColumns()
	d.doc.Open(pdf.Artifact)
	defer d.doc.Close()
	for i, p := range pages {
		p.Right(right, 269, d.regular, 7.5, soft, d.t.say("page", i+1, len(pages)))
		p.Rule(left, 271.5, right, 271.5, 0.15, rule)
		x := left
		for c, column := range d.Footer {
			for n, text := range column {
				p.Text(x, 275.5+float64(n)*3.2, d.regular, small, soft, d.fit(d.regular, small, text, columns[c]-footGap))
			}
			x += columns[c]
		}
	}
}

const footGap = 4.0

// footColumns are how wide the columns of the foot are: as their longest lines want it, with
// what is left shared out, or less where there is too little.
func (d *drawing) footColumns() []float64 {
	out, sum := make([]float64, len(d.Footer)), 0.0
	for c, column := range d.Footer {
		for _, text := range column {
			out[c] = max(out[c], d.regular.Width(text, small)+footGap)
		}
		sum += out[c]
	}
	for c := range out {
		if rest := right - left - sum; rest > 0 {
			out[c] += rest / float64(len(out))
		} else {
			out[c] *= (right - left) / sum
		}
	}
	return out
}

// wrap breaks text into lines of a width, at blanks, and words that are wider where they must.
func (d *drawing) wrap(f *pdf.Font, size float64, text string, width float64) (out []string) {
	if text == "" {
		return nil
	}
	if f.Width(text, size) <= width {
		return []string{text}
	}
	line := ""
	for _, word := range strings.Split(text, " ") {
		longer := strings.TrimPrefix(line+" "+word, " ")
		if f.Width(longer, size) <= width {
			line = longer
			continue
		}
		if line != "" {
			out = append(out, line)
		}
		for f.Width(word, size) > width {
			n := fitting(f, size, word, width)
			out = append(out, word[:n])
			word = word[n:]
		}
		line = word
	}
	if line != "" {
		out = append(out, line)
	}
	return out
}

// fitting is how many octets of the text fit into the width: one letter at least.
func fitting(f *pdf.Font, size float64, text string, width float64) int {
	n, used := 0, 0.0
	for n < len(text) {
		_, step := utf8.DecodeRuneInString(text[n:])
		if used += f.Width(text[n:n+step], size); used > width && n > 0 {
			break
		}
		n += step
	}
	return n
}

// fit is the text, cut where it is wider than there is room.
func (d *drawing) fit(f *pdf.Font, size float64, text string, width float64) string {
	if f.Width(text, size) <= width {
		return text
	}
	return strings.TrimRight(text[:fitting(f, size, text, width-f.Width("…", size))], " ") + "…"
}
