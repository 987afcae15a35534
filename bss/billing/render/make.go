package render

import (
	"bytes"
	"cmp"
	"strings"

	"tandem/bss/billing"
	"tandem/bss/communication"
	"tandem/edge/einvoice"
	"tandem/kit/fault"
)

// Forms in which a bill can be had.
const (
	PDF  = "pdf"
	HTML = "html"
	UBL  = "ubl"
	CII  = "cii"
)

// Formats are all of them.
var Formats = []string{PDF, HTML, UBL, CII}

// File is a bill in one of its forms.
type File struct {
	Name  string
	Media string
	Data  []byte
}

// Make draws a bill. It fails with "badFormat", and with "notPosted" where an electronic
// invoice of a draft is asked for.
func Make(p *billing.Paper, format string) (*File, error) {
	f := &File{Name: fileName(cmp.Or(p.Number, "draft-"+p.Bill)) + "." + format}
	var err error
	switch format {
	case UBL, CII:
		f.Name, f.Media = strings.TrimSuffix(f.Name, format)+format+".xml", "application/xml"
		f.Data, err = electronic(p, format)
	case HTML:
		f.Media = "text/html; charset=utf-8"
		f.Data, err = pageOf(p)
	case PDF:
		f.Media = "application/pdf"
		f.Data, err = paperOf(p)
	default:
		err = fault.BadInput("badFormat", "A bill can be had as %s, not as %.20q", strings.Join(Formats, ", "), format)
	}
	if err != nil {
		return nil, err
	}
	return f, nil
}

// fileName is a number without what file systems and headers take for something else.
func fileName(number string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' || r == '.' {
			return r
		}
		return '-'
	}, number)
}

// electronic is the bill as programs read it.
func electronic(p *billing.Paper, format string) ([]byte, error) {
	if p.Number == "" {
		return nil, fault.Clash("notPosted", "The bill %q is a draft: an electronic invoice needs a number, which it gets when it is posted", p.Bill)
	}
	v, err := p.Invoice(p.Number, p.IssuedOn, p.Due)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if format == UBL {
		err = einvoice.WriteUBL(&b, v)
	} else {
		err = einvoice.WriteCII(&b, v)
	}
	return b.Bytes(), err
}

func pageOf(p *billing.Paper) ([]byte, error) {
	s, err := write(p)
	if err != nil {
		return nil, err
	}
	return drawHTML(s, p.Template)
}

func paperOf(p *billing.Paper) ([]byte, error) {
	s, err := write(p)
	if err != nil {
		return nil, err
	}
	var cii []byte
	if p.Number != "" {
		if cii, err = electronic(p, CII); err != nil {
			return nil, err
		}
	}
	return drawPDF(s, p, cii)
}

// Letter is the bill as it travels with an e-mail: the PDF, with the electronic invoice inside.
func Letter(p *billing.Paper) (*communication.File, error) {
	f, err := Make(p, PDF)
	if err != nil {
		return nil, err
	}
	return &communication.File{Name: f.Name, Media: f.Media, Data: f.Data}, nil
}
