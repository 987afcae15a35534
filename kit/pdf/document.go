package pdf

import (
	"cmp"
	"slices"
	"time"
)

// Info is what a file says of itself.
type Info struct {
	Title    string
	Author   string
	Subject  string
	Language string    // BCP 47
	Made     time.Time // the date it carries
	Producer string    // program
}

// Document is a file under way. It belongs to one goroutine.
type Document struct {
	info    Info
	pages   []*Page
	fonts   []*use
	images  []*Image
	files   []File
	schemas []Schema
	root    element
	at      *element // what is drawn next belongs to it; nil: only for the eye
	open    []*element
}

// File travels inside a document.
type File struct {
	Name        string // such as factur-x.xml
	Media       string // such as text/xml
	Description string
	Relation    string // of the document to it: Alternative, Data, Source, Supplement (ISO 32000-2, 7.11.3)
	Data        []byte
}

// Schema says something of a document that programs look for (XMP, ISO 16684-1).
type Schema struct {
	Name, URI, Prefix string
	Properties        []Property
}

// Property is a value of a schema.
type Property struct{ Name, Description, Value string }

// New begins a document.
func New(i Info) *Document {
	d := &Document{info: i, root: element{tag: "Document"}}
	d.at = &d.root
	return d
}

// Page begins a page. Number counts from 1.
func (d *Document) Page() *Page {
	p := &Page{doc: d, number: len(d.pages) + 1}
	d.pages = append(d.pages, p)
	return p
}

// Pages are those there are so far.
func (d *Document) Pages() []*Page { return d.pages }

// Attach puts a file into the document.
func (d *Document) Attach(f File) { d.files = append(d.files, f) }

// Describe says something of the document.
func (d *Document) Describe(s Schema) { d.schemas = append(d.schemas, s) }

// element is a part of what the document says: a heading, a table, a cell.
type element struct {
	tag    string
	attr   string // PDF syntax
	alt    string
	parent *element
	kids   []kid
	number int // of its object
}

// kid is an element, or marked content of a page.
type kid struct {
	element *element
	page    *Page
	mark    int
}

// Elements, by their names in the structure of a document (ISO 32000-1, 14.8.4).
const (
	Section   = "Sect"
	Heading1  = "H1"
	Heading2  = "H2"
	Paragraph = "P"
	Table     = "Table"
	Row       = "TR"
	Header    = "TH" // of a column
	RowHeader = "TH row"
	Cell      = "TD"
	Figure    = "Figure"
	Artifact  = "" // only for the eye: page numbers, what is repeated on each page
)

// Open begins an element inside the one that is open. What is drawn belongs to it until it is
// closed, on whichever page.
func (d *Document) Open(tag string) {
	d.open = append(d.open, d.at)
	if tag == Artifact || d.at == nil {
		d.at = nil
		return
	}
	e := &element{tag: tag, parent: d.at}
	switch tag {
	case Header:
		e.attr = "/A <</O /Table /Scope /Column>>"
	case RowHeader:
		e.tag, e.attr = "TH", "/A <</O /Table /Scope /Row>>"
	}
	d.at.kids = append(d.at.kids, kid{element: e})
	d.at = e
}

// OpenFigure begins a picture; alt says in words what it shows.
func (d *Document) OpenFigure(alt string) {
	d.Open(Figure)
	if d.at != nil {
		d.at.alt = alt
	}
}

// Close ends the element that was opened last.
func (d *Document) Close() {
	if n := len(d.open); n > 0 {
		d.at, d.open = d.open[n-1], d.open[:n-1]
	}
}

// use is a font in a document: what of it is shown.
type use struct {
	font   *Font
	number int
	shown  map[uint16]rune
	last   [256]bool // ASCII that was noted
}

func (d *Document) use(f *Font) *use {
	for _, u := range d.fonts {
		if u.font == f {
			return u
		}
	}
	u := &use{font: f, number: len(d.fonts) + 1, shown: map[uint16]rune{}}
	d.fonts = append(d.fonts, u)
	return u
}

const hexDigits = "0123456789abcdef"

// encode writes the glyphs of the text in hexadecimal.
func (u *use) encode(b []byte, text string) []byte {
	for _, r := range text {
		if unseen(r) {
			continue
		}
		g, shown := u.font.find(r)
		if r >= 256 || !u.last[r] {
			if r >= 0 && r < 256 {
				u.last[r] = true
			}
			if was, ok := u.shown[g]; !ok || g != 0 && shown < was { // one glyph may show two characters
				u.shown[g] = shown
			}
		}
		b = append(b, hexDigits[g>>12], hexDigits[g>>8&15], hexDigits[g>>4&15], hexDigits[g&15])
	}
	return b
}

// glyphs are those that are shown, in order.
func (u *use) glyphs() []uint16 {
	out := make([]uint16, 0, len(u.shown))
	for g := range u.shown {
		out = append(out, g)
	}
	slices.SortFunc(out, func(a, b uint16) int { return cmp.Compare(a, b) })
	return out
}

func (d *Document) image(i *Image) int {
	if n := slices.Index(d.images, i); n >= 0 {
		return n + 1
	}
	d.images = append(d.images, i)
	return len(d.images)
}
