package einvoice

import (
	"bytes"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"tandem/kit/civil"
	"tandem/kit/money"
)

// Limits of what is read.
const (
	maxBytes = 64 << 20 // of a document, with what is attached
	maxDepth = 16       // of its elements; the deepest that is read lies at 7
	maxNodes = 1 << 20  // elements: an invoice of 20,000 full lines
)

// node is an element. All its methods take nil for an absent one.
type node struct {
	name string
	attr []xml.Attr
	text string
	kids []*node
}

// document reads the XML of r into nodes: the root, and below it the elements of the
// given name spaces.
func document(r io.Reader, spaces ...string) (*node, error) {
	from := &source{r: r, left: maxBytes}
	p := parser{dec: xml.NewDecoder(from), spaces: spaces}
	for {
		token, err := p.dec.Token()
		if err == nil {
			err = p.take(token)
		}
		switch {
		case err == nil:
		case from.err != nil: // it did not end, or not by itself
			return nil, from.err
		case err == io.EOF && p.root != nil:
			return p.root, nil
		case errors.Is(err, ErrLimit), errors.Is(err, ErrSyntax):
			return nil, err
		default:
			return nil, fmt.Errorf("%w: %v", ErrSyntax, err)
		}
	}
}

// source is a reader with a limit, which remembers the error that it gave.
type source struct {
	r    io.Reader
	left int
	err  error
}

func (s *source) Read(b []byte) (int, error) {
	n, err := s.r.Read(b)
	if s.left -= n; s.left < 0 {
		err = fmt.Errorf("%w: more than %d octets", ErrLimit, maxBytes)
	}
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}

// parser makes nodes of tokens.
type parser struct {
	dec    *xml.Decoder
	spaces []string
	root   *node
	open   []*node  // elements that have begun, outermost first
	texts  [][]byte // their texts so far
	count  int
}

func (p *parser) take(token xml.Token) error {
	last := len(p.open) - 1
	switch t := token.(type) {
	case xml.Directive:
		return fmt.Errorf("%w: a document type declaration", ErrSyntax)
	case xml.StartElement:
		return p.begin(t)
	case xml.EndElement:
		p.open[last].text = string(bytes.TrimSpace(p.texts[last]))
		p.open = p.open[:last]
	case xml.CharData:
		if last >= 0 {
			p.texts[last] = append(p.texts[last], t...)
		}
	}
	return nil
}

func (p *parser) begin(t xml.StartElement) error {
	last := len(p.open) - 1
	switch {
	case p.root != nil && last < 0:
		return fmt.Errorf("%w: two roots", ErrSyntax)
	case !slices.Contains(p.spaces, t.Name.Space) && p.root == nil:
		return fmt.Errorf("%w: the root is %.100q", ErrSyntax, t.Name.Space+" "+t.Name.Local)
	case !slices.Contains(p.spaces, t.Name.Space): // an extension
		return p.skip()
	case p.count == maxNodes || last+1 == maxDepth:
		return fmt.Errorf("%w: more than %d elements, or %d inside each other", ErrLimit, maxNodes, maxDepth)
	}
	p.count++
	n := &node{name: t.Name.Local, attr: t.Attr}
	if p.root == nil {
		p.root = n
	} else {
		p.open[last].kids = append(p.open[last].kids, n)
	}
	p.open = append(p.open, n)
	if len(p.texts) < len(p.open) {
		p.texts = append(p.texts, nil)
	}
	p.texts[last+1] = p.texts[last+1][:0]
	return nil
}

// skip reads over an element whose start was read.
func (p *parser) skip() error {
	for depth := 1; depth > 0; {
		token, err := p.dec.Token()
		if err != nil {
			return err
		}
		switch token.(type) {
		case xml.StartElement:
			if depth++; depth > 8*maxDepth {
				return fmt.Errorf("%w: more than %d elements inside each other", ErrLimit, 8*maxDepth)
			}
		case xml.EndElement:
			depth--
		}
	}
	return nil
}

// one is the first element down a path of names, nil where there is none.
func (n *node) one(path ...string) *node {
	for _, name := range path {
		n = n.child(name)
	}
	return n
}

func (n *node) child(name string) *node {
	if n == nil {
		return nil
	}
	for _, kid := range n.kids {
		if kid.name == name {
			return kid
		}
	}
	return nil
}

// all are the children of a name.
func (n *node) all(name string) []*node {
	if n == nil {
		return nil
	}
	var found []*node
	for _, kid := range n.kids {
		if kid.name == name {
			found = append(found, kid)
		}
	}
	return found
}

// str is the text of the first element down a path.
func (n *node) str(path ...string) string {
	if n = n.one(path...); n == nil {
		return ""
	}
	return n.text
}

func (n *node) attribute(name string) string {
	if n != nil {
		for i := range n.attr {
			if n.attr[i].Name.Local == name {
				return strings.TrimSpace(n.attr[i].Value)
			}
		}
	}
	return ""
}

// id is an identifier with its scheme.
func (n *node) id(path ...string) Identifier {
	n = n.one(path...)
	id := Identifier{n.str(), n.attribute("schemeID")}
	if id.ID == "" {
		return Identifier{}
	}
	return id
}

// values turns texts into values; the first that is none stays in err.
type values struct {
	currency money.Currency // of amounts that do not say theirs
	err      error
}

func (r *values) fail(n *node, err error) {
	if r.err == nil && err != nil {
		r.err = fmt.Errorf("%w: %s: %v", ErrSyntax, n.name, err)
	}
}

func (r *values) currencyOf(n *node) money.Currency {
	if n.str() == "" {
		return money.Currency{}
	}
	c, err := money.ParseCurrency(n.text)
	r.fail(n, err)
	return c
}

// amount is an amount, in the currency it says or the invoice's.
func (r *values) amount(n *node) money.Amount {
	if n.str() == "" {
		return money.Amount{}
	}
	c := r.currency
	if code := n.attribute("currencyID"); code != "" && code != c.Code() {
		var err error
		if c, err = money.ParseCurrency(code); err != nil {
			r.fail(n, err)
			return money.Amount{}
		}
	}
	d := r.decimal(n)
	if c == (money.Currency{}) || !d.present {
		r.fail(n, money.ErrCurrency)
		return money.Amount{}
	}
	a, err := money.ParseAmount(d.String(), c)
	r.fail(n, err)
	return a
}

func (r *values) decimal(n *node) Decimal {
	if n.str() == "" {
		return Decimal{}
	}
	d, err := ParseDecimal(n.text)
	r.fail(n, err)
	return d
}

// date is a date of ISO 8601 or, of eight digits, of the form 102.
func (r *values) date(n *node) civil.Date {
	text := n.str()
	if text == "" {
		return civil.Date{}
	}
	if len(text) == 8 {
		text = text[:4] + "-" + text[4:6] + "-" + text[6:]
	}
	d, err := civil.ParseDate(text)
	r.fail(n, err)
	return d
}

// file is an attached file.
func (r *values) file(n *node, d *Document) {
	if n == nil {
		return
	}
	d.MIME, d.File = n.attribute("mimeCode"), n.attribute("filename")
	content, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(n.text), ""))
	r.fail(n, err)
	d.Content = content
	if d.Content == nil {
		d.Content = []byte{}
	}
}

// indicated tells whether an allowance or charge is a charge; otherwise it must say
// that it is an allowance.
func (r *values) indicated(n *node) bool {
	switch n.str() {
	case "true", "1":
		return true
	case "false", "0":
		return false
	}
	if n == nil {
		n = &node{name: "ChargeIndicator"}
	}
	r.fail(n, errors.New("neither true nor false"))
	return false
}
