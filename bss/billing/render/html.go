package render

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"strings"

	"rsc.io/qr"

	"tandem/bss/billing"
)

//go:embed bill.html
var billHTML string

var htmlPage = template.Must(template.New("bill").Parse(billHTML))

// drawHTML is the bill as one file for browsers: nothing is fetched, and it prints.
func drawHTML(s *sheet, t *billing.BillTemplate) ([]byte, error) {
	type view struct {
		S                                   *sheet
		Color                               template.CSS
		Logo                                template.URL
		Charges, Taxes, Payment, Usage, Sum string
		CodeSize                            int
		CodePath                            string
	}
	v := view{S: s, Color: template.CSS(t.Color), Charges: s.t.say("charges"), Taxes: s.t.say("taxes"), Payment: s.t.say("payment"), Usage: s.t.say("usage"), Sum: s.t.say("sum")}
	if t.Logo != "" {
		v.Logo = template.URL("data:" + mediaOf(t.Logo) + ";base64," + t.Logo)
	}
	if s.Pay != nil && s.Pay.Code != nil {
		v.CodeSize, v.CodePath = s.Pay.Code.Size+2*quiet, path(s.Pay.Code)
	}
	var b bytes.Buffer
	if err := htmlPage.Execute(&b, v); err != nil {
		return nil, fmt.Errorf("bill as HTML: %w", err)
	}
	return b.Bytes(), nil
}

// mediaOf is the media type of a logo, which was looked at when the template was saved.
func mediaOf(logo string) string {
	if strings.HasPrefix(logo, "/9j/") {
		return "image/jpeg"
	}
	return "image/png"
}

const quiet = 4 // white modules around a QR symbol (ISO/IEC 18004, 5.3.8)

// path draws the black modules of a symbol, run by run.
func path(c *qr.Code) string {
	var b strings.Builder
	for y := range c.Size {
		for x := 0; x < c.Size; x++ {
			n := 0
			for c.Black(x+n, y) {
				n++
			}
			if n > 0 {
				fmt.Fprintf(&b, "M%d %dh%dv1h-%dz", x+quiet, y+quiet, n, n)
				x += n
			}
		}
	}
	return b.String()
}
