package sepa

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"tandem/kit/civil"
	"tandem/kit/fault"
	"tandem/kit/money"
)

// Limits bound what a file may make us read and keep. Zero values mean Usual.
type Limits struct {
	Bytes   int64 // of the file
	Depth   int   // of elements in elements
	Text    int   // bytes of one text
	Items   int   // entries, details and transactions together
	Members int   // elements of one detail
}

// Usual takes the files of a large operator: a hundred thousand returns in a day.
var Usual = Limits{Bytes: 256 << 20, Depth: 32, Text: 8 << 10, Items: 250_000, Members: 2_000}

func (l Limits) orUsual() Limits {
	pick := func(have *int, usual int) {
		if *have <= 0 {
			*have = usual
		}
	}
	if l.Bytes <= 0 {
		l.Bytes = Usual.Bytes
	}
	pick(&l.Depth, Usual.Depth)
	pick(&l.Text, Usual.Text)
	pick(&l.Items, Usual.Items)
	pick(&l.Members, Usual.Members)
	return l
}

// node is one element with what lies in it.
type node struct {
	name string
	text string
	ccy  string // attribute Ccy
	kids []*node
}

// at finds an element below n by its path; nil if there is none.
func (n *node) at(path ...string) *node {
	for _, name := range path {
		if n = n.kid(name); n == nil {
			return nil
		}
	}
	return n
}

func (n *node) kid(name string) *node {
	if n != nil {
		for _, k := range n.kids {
			if k.name == name {
				return k
			}
		}
	}
	return nil
}

// all are the direct children of that name.
func (n *node) all(name string) []*node {
	var out []*node
	if n != nil {
		for _, k := range n.kids {
			if k.name == name {
				out = append(out, k)
			}
		}
	}
	return out
}

// str is the text at a path, "" if there is none.
func (n *node) str(path ...string) string {
	if n = n.at(path...); n == nil {
		return ""
	}
	return n.text
}

// reader walks an XML file once, from beginning to end, and keeps no more than the
// element it stands in. It counts against the limits.
type reader struct {
	dec   *xml.Decoder
	lim   Limits
	in    *counted
	depth int
	items int
}

// counted is a reader that stops after a number of bytes.
type counted struct {
	r    io.Reader
	left int64
	over bool
}

func (c *counted) Read(p []byte) (int, error) {
	if c.left <= 0 {
		var one [1]byte
		if n, err := c.r.Read(one[:]); n == 0 {
			return 0, err
		}
		c.over = true
		return 0, io.ErrUnexpectedEOF
	}
	n, err := c.r.Read(p[:min(int64(len(p)), c.left)])
	c.left -= int64(n)
	return n, err
}

func newReader(r io.Reader, lim Limits) *reader {
	in := &counted{r: r, left: lim.Bytes}
	dec := xml.NewDecoder(in)
	dec.CharsetReader = charsetReader
	return &reader{dec: dec, lim: lim, in: in}
}

// charsetReader takes the encodings besides UTF-8 that banks write.
func charsetReader(label string, in io.Reader) (io.Reader, error) {
	switch strings.ToLower(label) {
	case "us-ascii", "ascii":
		return in, nil
	case "iso-8859-1", "latin1", "latin-1":
		return &latin1{in: in}, nil
	}
	return nil, fault.BadInput("fileEncoding", "The file is written in %.40q; UTF-8 and ISO-8859-1 are read", label)
}

// latin1 turns ISO 8859-1 into UTF-8.
type latin1 struct {
	in   io.Reader
	buf  [512]byte
	rest []byte
}

func (l *latin1) Read(p []byte) (int, error) {
	if len(l.rest) == 0 {
		n, err := l.in.Read(l.buf[:])
		if n == 0 {
			return 0, err
		}
		l.rest = make([]byte, 0, 2*n)
		for _, b := range l.buf[:n] {
			l.rest = utf8.AppendRune(l.rest, rune(b))
		}
	}
	n := copy(p, l.rest)
	l.rest = l.rest[n:]
	return n, nil
}

// bad is a refusal that names the line.
func (r *reader) bad(code, text string, args ...any) error {
	line, _ := r.dec.InputPos()
	return fault.BadInput(code, "Line %d: %s", line, fmt.Sprintf(text, args...))
}

// broken says what is wrong with the file when the decoder failed.
func (r *reader) broken(err error) error {
	if r.in.over {
		return fault.New(fault.TooLarge, "fileLarge", "The file is larger than the %d bytes that are read", r.lim.Bytes)
	}
	var refused *fault.Error
	if errors.As(err, &refused) {
		return refused
	}
	var syntax *xml.SyntaxError
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &syntax) && strings.Contains(syntax.Msg, "unexpected EOF") {
		return r.bad("fileCut", "the file ends in the middle; it was cut off on its way. Nothing of it was taken: fetch it again from the bank")
	}
	if errors.As(err, &syntax) {
		return r.bad("fileBroken", "the file is not well-formed XML (%.100s). Nothing of it was taken", syntax.Msg)
	}
	return fault.Away(err, "The file could not be read to its end; nothing of it was taken")
}

// next is the next element, text or end; nothing else comes out.
func (r *reader) next() (xml.Token, error) {
	for {
		tok, err := r.dec.Token()
		if err != nil {
			return nil, r.broken(err)
		}
		switch t := tok.(type) {
		case xml.StartElement:
			if r.depth++; r.depth > r.lim.Depth {
				return nil, r.bad("fileDeep", "elements lie deeper in one another than %d", r.lim.Depth)
			}
			return t, nil
		case xml.EndElement:
			r.depth--
			return t, nil
		case xml.CharData:
			return t, nil
		case xml.Directive:
			return nil, r.bad("fileDirective", "the file has a document type declaration, which no bank sends")
		}
	}
}

// start is the next element inside of the one the reader stands in; ok is false at
// its end.
func (r *reader) start() (el xml.StartElement, ok bool, err error) {
	for {
		tok, err := r.next()
		if err != nil {
			return el, false, err
		}
		switch t := tok.(type) {
		case xml.StartElement:
			return t, true, nil
		case xml.EndElement:
			return el, false, nil
		}
	}
}

// each calls do with every element inside of the one the reader stands in; do reads
// it to its end.
func (r *reader) each(do func(name string, el xml.StartElement) error) error {
	for {
		el, ok, err := r.start()
		if err != nil || !ok {
			return err
		}
		if err := do(el.Name.Local, el); err != nil {
			return err
		}
	}
}

// skip reads over an element.
func (r *reader) skip() error {
	for end := r.depth - 1; r.depth > end; {
		if _, err := r.next(); err != nil {
			return err
		}
	}
	return nil
}

// count counts one more entry, detail or transaction.
func (r *reader) count() error {
	if r.items++; r.items > r.lim.Items {
		return fault.New(fault.TooLarge, "fileLong", "The file has more than %d entries; nothing of it was taken", r.lim.Items)
	}
	return nil
}

// tree reads an element with all that lies in it.
func (r *reader) tree(el xml.StartElement) (*node, error) {
	members := 0
	return r.branch(el, &members)
}

func (r *reader) branch(el xml.StartElement, members *int) (*node, error) {
	if *members++; *members > r.lim.Members {
		return nil, fault.New(fault.TooLarge, "fileWide", "An element <%s> has more than %d parts", el.Name.Local, r.lim.Members)
	}
	n := &node{name: el.Name.Local}
	for _, a := range el.Attr {
		if a.Name.Local == "Ccy" {
			n.ccy = a.Value
		}
	}
	var text []byte
	for {
		tok, err := r.next()
		if err != nil {
			return nil, err
		}
		switch t := tok.(type) {
		case xml.StartElement:
			kid, err := r.branch(t, members)
			if err != nil {
				return nil, err
			}
			n.kids = append(n.kids, kid)
		case xml.CharData:
			if len(text)+len(t) > r.lim.Text {
				return nil, r.bad("fileText", "the text of <%s> is longer than %d bytes", n.name, r.lim.Text)
			}
			text = append(text, t...)
		case xml.EndElement:
			n.text = strings.TrimSpace(string(text))
			return n, nil
		}
	}
}

// begin reads up to the message element and tells which message it is. want lists
// those that are read here, such as camt.053, and their elements. Names inside of the
// document are taken without their namespace: nothing foreign stands in the parts
// that are read.
func (r *reader) begin(want map[string]string) (message string, err error) {
	el, ok, err := r.outer()
	if err != nil {
		return "", err
	}
	space := el.Name.Space
	if !ok || el.Name.Local != "Document" {
		return "", r.bad("fileForeign", "this is no file of a bank: its first element is <%.40s>, not <Document>", el.Name.Local)
	}
	const iso = "urn:iso:std:iso:20022:tech:xsd:"
	kind := prefix(strings.TrimPrefix(space, iso), len("camt.053"))
	root, known := want[kind]
	if !known || !strings.HasPrefix(space, iso) {
		return "", r.bad("fileKind", "this is a file of the kind %.80q, which is not taken here%s", strings.TrimPrefix(space, iso), hint(kind))
	}
	el, ok, err = r.start()
	if err != nil {
		return "", err
	}
	if !ok || el.Name.Local != root {
		return "", r.bad("fileKind", "a file of the kind %s has <%s> inside, this one has <%.40s>", kind, root, el.Name.Local)
	}
	return kind, nil
}

// outer is the first element of the file.
func (r *reader) outer() (xml.StartElement, bool, error) {
	for {
		tok, err := r.next()
		if err != nil {
			return xml.StartElement{}, false, err
		}
		switch t := tok.(type) {
		case xml.StartElement:
			return t, true, nil
		case xml.CharData:
			if len(strings.TrimSpace(strings.TrimPrefix(string(t), "\ufeff"))) > 0 {
				return xml.StartElement{}, false, r.bad("fileForeign", "this is no file of a bank: it is not XML")
			}
		}
	}
}

func hint(kind string) string {
	switch {
	case kind == "camt.052":
		return ": an intraday report comes again in the statement of the day, take that"
	case kind == "camt.053", kind == "camt.054":
		return ": it is an account statement"
	case kind == "pain.002":
		return ": it is an answer to a file of payments"
	}
	return ""
}

// finish reads the rest of the file: the ends of message and document, then nothing.
func (r *reader) finish() error {
	for r.depth > 0 {
		if _, err := r.next(); err != nil {
			return err
		}
	}
	for {
		tok, err := r.dec.Token()
		if err == io.EOF && !r.in.over {
			return nil
		}
		if err != nil {
			return r.broken(err)
		}
		switch t := tok.(type) {
		case xml.CharData:
			if len(strings.TrimSpace(string(t))) > 0 {
				return r.bad("fileTail", "something follows the end of the document")
			}
		case xml.Comment, xml.ProcInst:
		default:
			return r.bad("fileTail", "something follows the end of the document")
		}
	}
}

// sum reads an amount with its currency; it is never negative in these messages.
func (r *reader) sum(n *node, what string) (money.Amount, error) {
	if n == nil {
		return money.Amount{}, r.bad("amountMissing", "%s has no amount", what)
	}
	c, err := money.ParseCurrency(n.ccy)
	if err != nil {
		return money.Amount{}, r.bad("currency", "%s: %.10q is not a currency", what, n.ccy)
	}
	return r.decimal(n.text, c, what)
}

// decimal reads an amount whose currency stands elsewhere.
func (r *reader) decimal(text string, c money.Currency, what string) (money.Amount, error) {
	a, err := money.ParseAmount(strings.TrimPrefix(text, "+"), c)
	if err != nil || a.Minor < 0 {
		return money.Amount{}, r.bad("amount", "%s: %.40q is not an amount in %s", what, text, c)
	}
	return a, nil
}

// signed gives an amount the sign of its indicator: credits are positive.
func (r *reader) signed(a money.Amount, indicator, what string) (money.Amount, error) {
	switch indicator {
	case "CRDT":
		return a, nil
	case "DBIT":
		return a.Neg()
	}
	return a, r.bad("indicator", "%s is neither credit (CRDT) nor debit (DBIT) but %.10q", what, indicator)
}

// number reads a count.
func (r *reader) number(text, what string) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return 0, r.bad("number", "%s: %.40q is not a number", what, text)
	}
	return n, nil
}

// day reads Dt or DtTm below n; no element is no date.
func (r *reader) day(n *node, what string) (civil.Date, error) {
	text := n.str("Dt")
	if text == "" {
		text = prefix(n.str("DtTm"), 10)
	}
	if text == "" {
		return civil.Date{}, nil
	}
	d, err := civil.ParseDate(prefix(text, 10)) // xs:date may carry a zone behind it
	if err != nil {
		return d, r.bad("date", "%s: %.40q is not a date", what, text)
	}
	return d, nil
}

// instant reads a date with time. One without an offset is taken as UTC: it orders
// files of one bank and decides nothing.
func (r *reader) instant(text, what string) (time.Time, error) {
	for _, form := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999"} {
		if t, err := time.Parse(form, text); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, r.bad("time", "%s: %.40q is not a date with time", what, text)
}
