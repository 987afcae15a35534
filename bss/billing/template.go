package billing

import (
	"encoding/base64"
	"fmt"
	"strings"

	"tandem/kit/fault"
	"tandem/kit/pdf"
	"tandem/kit/store"
	"tandem/kit/tmf"
)

// BillTemplate is how the documents of a brand look, and what they say beside the amounts. Its
// id is what a legal entity names as its brand. It says nothing of money: what was posted is
// the same in any dress.
type BillTemplate struct {
	tmf.Entity
	Name          string       `json:"name,omitzero" tmf:"required"`
	Description   string       `json:"description,omitzero"`
	Wordmark      string       `json:"wordmark,omitzero"`      // at the head; none: what the seller trades as
	Logo          string       `json:"logo,omitzero"`          // instead of it: PNG or JPEG in base64
	Color         string       `json:"color,omitzero"`         // of headings and lines: #rrggbb, dark enough to be read on white
	Window        string       `json:"window,omitzero"`        // where the address stands: envelopes have their window there
	ReturnAddress string       `json:"returnAddress,omitzero"` // small, above the address; none: the seller's
	Footer        []string     `json:"footer,omitzero"`        // lines of the foot, in columns of four; none: what the law wants of the seller
	Text          []BrandWords `json:"text,omitzero"`          // by language
}

// BrandWords are what a brand says to its customers in a language.
type BrandWords struct {
	Language string `json:"language,omitzero" tmf:"required"` // BCP 47
	Opening  string `json:"opening,omitzero"`                 // above the charges
	Closing  string `json:"closing,omitzero"`                 // below the totals
	tmf.Extension
}

// Places of the address.
const (
	WindowB     = "din5008B" // 45 mm from the top, left: the usual one
	WindowA     = "din5008A" // 27 mm from the top, left
	WindowRight = "right"    // 45 mm from the top, right: France and others
)

// BillTemplates are the tenant's.
var BillTemplates = tmf.Kind[BillTemplate, *BillTemplate]{API: &ItemAPI, Name: "billTemplate", Table: "billing_template", Verbs: tmf.All, Index: []string{"name"}, Still: true}

func init() { BillTemplates.Default, BillTemplates.Check = defaultTemplate, checkTemplate } // hooks refer back to their kind

const (
	brandColor    = "#17466f"
	maxLogo       = 256 << 10 // octets of base64
	maxBrandText  = 2000
	maxFooter     = 16
	maxFooterLine = 80
	leastContrast = 4.5 // of text to its ground (WCAG 2.2, 1.4.3)
)

func defaultTemplate(_ *store.Tx, t *BillTemplate) error {
	if t.Color == "" {
		t.Color = brandColor
	}
	if t.Window == "" {
		t.Window = WindowB
	}
	return nil
}

// checkTemplate refuses what could not be printed or read.
func checkTemplate(_ *store.Tx, _, t *BillTemplate) error {
	bad := func(format string, args ...any) error { return fault.BadInput("invalidTemplate", format, args...) }
	c, err := pdf.ParseColor(t.Color)
	switch {
	case err != nil:
		return bad("color: %v", err)
	case onWhite(c) < leastContrast:
		return bad("color %s is too light: text of it on white could not be read by many (contrast %.1f, needed %.1f)", t.Color, onWhite(c), leastContrast)
	case t.Window != WindowA && t.Window != WindowB && t.Window != WindowRight:
		return bad("window is %s, %s or %s, not %.20q", WindowB, WindowA, WindowRight, t.Window)
	case len(t.Footer) > maxFooter:
		return bad("footer has %d lines; there is room for %d", len(t.Footer), maxFooter)
	case len(t.Wordmark) > maxFooterLine || len(t.ReturnAddress) > 2*maxFooterLine:
		return bad("wordmark has at most %d letters, returnAddress %d", maxFooterLine, 2*maxFooterLine)
	case len(t.Logo) > maxLogo:
		return bad("logo is larger than %d kB", maxLogo>>10)
	}
	for _, line := range t.Footer {
		if len(line) > maxFooterLine {
			return bad("a line of the footer has at most %d letters: %.40q", maxFooterLine, line)
		}
	}
	for _, w := range t.Text {
		if !languageTag.MatchString(w.Language) {
			return bad("%.20q is not a language, such as de or pt-BR (BCP 47)", w.Language)
		}
		if len(w.Opening) > maxBrandText || len(w.Closing) > maxBrandText {
			return bad("opening and closing have at most %d letters", maxBrandText)
		}
	}
	_, err = t.Picture()
	return err
}

// Picture is the logo, nil if there is none.
func (t *BillTemplate) Picture() (*pdf.Image, error) {
	if t.Logo == "" {
		return nil, nil
	}
	data, err := base64.StdEncoding.DecodeString(t.Logo)
	if err != nil {
		return nil, fault.BadInput("invalidTemplate", "logo is not base64")
	}
	i, err := pdf.Decode(data)
	if err != nil {
		return nil, fault.BadInput("invalidTemplate", "logo: %v", err)
	}
	return i, nil
}

// onWhite is the contrast of a colour to white (WCAG 2.2, relative luminance), from 1 to 21.
func onWhite(c pdf.Color) float64 { return 1.05 / (c.Luminance() + 0.05) }

// templateOf is the template of a brand, the plain one if the brand has none.
func templateOf(tx *store.Tx, brand string) (*BillTemplate, error) {
	if brand != "" {
		t, err := BillTemplates.Look(tx, brand)
		if err == nil || !fault.Is(err, fault.NotFound) {
			return t, err
		}
	}
	t := &BillTemplate{Name: "plain"}
	if err := defaultTemplate(tx, t); err != nil {
		return nil, fmt.Errorf("plain template: %w", err)
	}
	return t, nil
}

// Words are what the brand says in a language: in that of the very tag, else of its base
// language; of none it says nothing.
func (t *BillTemplate) Words(language string) BrandWords {
	for i := range t.Text {
		if t.Text[i].Language == language {
			return t.Text[i]
		}
	}
	for i := range t.Text {
		if baseLanguage(t.Text[i].Language) == baseLanguage(language) {
			return t.Text[i]
		}
	}
	return BrandWords{}
}

func baseLanguage(tag string) string {
	base, _, _ := strings.Cut(tag, "-")
	return base
}
