package einvoice

import (
	"encoding/base64"
	"fmt"
	"io"
	"sync"
	"unicode/utf8"

	"tandem/kit/civil"
	"tandem/kit/money"
)

// sink appends one XML document. The first thing that XML or the syntax cannot carry
// stays in err; nothing of the document is written then.
type sink struct {
	b   []byte
	err error
}

var sinks = sync.Pool{New: func() any { return new(sink) }}

// kept is the largest buffer that waits for the next document.
const kept = 1 << 20

// write has build fill a sink and writes it to w at once.
func write(w io.Writer, v *Invoice, build func(*sink, *Invoice)) error {
	s := sinks.Get().(*sink)
	defer func() {
		if cap(s.b) <= kept {
			sinks.Put(s)
		}
	}()
	s.b, s.err = append(s.b[:0], `<?xml version="1.0" encoding="UTF-8"?>`...), nil
	build(s, v)
	if s.err != nil {
		return s.err
	}
	_, err := w.Write(s.b)
	return err
}

// cannot notes that the syntax has no place for something.
func (s *sink) cannot(what string) {
	if s.err == nil {
		s.err = fmt.Errorf("%w: %s", ErrCarry, what)
	}
}

func (s *sink) raw(x string) { s.b = append(s.b, x...) }

func (s *sink) open(tag string) {
	s.b = append(append(append(s.b, '<'), tag...), '>')
}

func (s *sink) shut(tag string) {
	s.b = append(append(append(s.b, '<', '/'), tag...), '>')
}

// text writes an element, or nothing without text.
func (s *sink) text(tag, value string) {
	if value == "" {
		return
	}
	s.open(tag)
	s.escape(value)
	s.shut(tag)
}

// wrapped writes text inside two elements.
func (s *sink) wrapped(outer, inner, value string) {
	if value == "" {
		return
	}
	s.open(outer)
	s.text(inner, value)
	s.shut(outer)
}

// with writes an element with an attribute, which is left out where it is empty.
func (s *sink) with(tag, name, attribute, value string) {
	if value == "" {
		return
	}
	s.begin(tag)
	s.attribute(name, attribute)
	s.b = append(s.b, '>')
	s.escape(value)
	s.shut(tag)
}

func (s *sink) begin(tag string) { s.b = append(append(s.b, '<'), tag...) }

func (s *sink) attribute(name, value string) {
	if value == "" {
		return
	}
	s.b = append(append(append(s.b, ' '), name...), '=', '"')
	s.escape(value)
	s.b = append(s.b, '"')
}

// number writes a decimal, or nothing.
func (s *sink) number(tag string, d Decimal) {
	if d.present {
		s.open(tag)
		s.b = d.append(s.b)
		s.shut(tag)
	}
}

// measure writes a decimal with its unit, or nothing.
func (s *sink) measure(tag string, d Decimal, unit string) {
	if !d.present {
		return
	}
	s.begin(tag)
	s.attribute("unitCode", unit)
	s.b = append(s.b, '>')
	s.b = d.append(s.b)
	s.shut(tag)
}

// money writes an amount, with its currency where the syntax wants it, or nothing.
func (s *sink) money(tag string, a money.Amount, currency bool) {
	if !present(a) {
		return
	}
	s.begin(tag)
	if currency {
		s.attribute("currencyID", a.Currency.Code())
	}
	s.b = append(s.b, '>')
	s.b = appendAmount(s.b, a)
	s.shut(tag)
}

// appendAmount writes an amount with the decimals of its currency, but of more than
// two only those that are not zero (BR-DEC).
func appendAmount(b []byte, a money.Amount) []byte {
	units, scale := a.Minor, a.Currency.Digits()
	for scale > 2 && units%10 == 0 {
		units, scale = units/10, scale-1
	}
	return appendUnits(b, units, scale)
}

// day writes a date as 2026-01-31, or 20260131 without the dashes.
func (s *sink) day(d civil.Date, dashes bool) {
	if !d.Valid() {
		s.cannot("the date " + d.String())
		return
	}
	s.digits(d.Year, 1000)
	if dashes {
		s.b = append(s.b, '-')
	}
	s.digits(int(d.Month), 10)
	if dashes {
		s.b = append(s.b, '-')
	}
	s.digits(d.Day, 10)
}

func (s *sink) digits(n, unit int) {
	for ; unit > 0; unit /= 10 {
		s.b = append(s.b, '0'+byte(n/unit%10))
	}
}

// date writes an element with a date as ISO 8601 writes it, or nothing.
func (s *sink) date(tag string, d civil.Date) {
	if !noDate(d) {
		s.open(tag)
		s.day(d, true)
		s.shut(tag)
	}
}

// binary writes an attached file.
func (s *sink) binary(tag string, d *Document) {
	s.begin(tag)
	s.attribute("mimeCode", d.MIME)
	s.attribute("filename", d.File)
	s.b = append(s.b, '>')
	s.b = base64.StdEncoding.AppendEncode(s.b, d.Content)
	s.shut(tag)
}

// escape writes text. White space is escaped too, so that a reader does not fold it.
func (s *sink) escape(value string) {
	from := 0
	for i := 0; i < len(value); {
		c := value[i]
		if c >= utf8.RuneSelf {
			i += s.rune(value[i:])
			continue
		}
		i++
		if c >= ' ' && c != '&' && c != '<' && c != '>' && c != '"' {
			continue
		}
		s.b = append(append(s.b, value[from:i-1]...), s.entity(c)...)
		from = i
	}
	s.b = append(s.b, value[from:]...)
}

// rune is the length of the character that text begins with, which XML must know.
func (s *sink) rune(text string) int {
	r, n := utf8.DecodeRuneInString(text)
	if r == utf8.RuneError && n == 1 || r == 0xFFFE || r == 0xFFFF {
		s.cannot(fmt.Sprintf("the character %q", text[:n]))
	}
	return n
}

func (s *sink) entity(c byte) string {
	switch c {
	case '&':
		return "&amp;"
	case '<':
		return "&lt;"
	case '>':
		return "&gt;"
	case '"':
		return "&#34;"
	case '\t':
		return "&#9;"
	case '\n':
		return "&#10;"
	case '\r':
		return "&#13;"
	}
	s.cannot(fmt.Sprintf("the character %q", c))
	return ""
}
