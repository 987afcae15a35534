package pdf

import (
	"bytes"
	"fmt"
	"image"
	_ "image/jpeg" // logos
	_ "image/png"
	"math"
	"strconv"
	"strings"
)

// A4, in millimetres.
const (
	Width  = 210.0
	Height = 297.0
)

const point = 72 / 25.4 // points in a millimetre

// Color is red, green and blue (sRGB).
type Color struct{ R, G, B uint8 }

// ParseColor reads "#0a6bdc".
func ParseColor(text string) (c Color, err error) {
	digits, ok := strings.CutPrefix(text, "#")
	n, err := strconv.ParseUint(digits, 16, 24)
	if !ok || err != nil || len(digits) != 6 {
		return Color{}, fmt.Errorf("a colour is written #rrggbb, not %.20q", text)
	}
	return Color{uint8(n >> 16), uint8(n >> 8), uint8(n)}, nil
}

// Page is a page of A4. Places are millimetres from its top left corner; those of text are of
// its base line.
type Page struct {
	doc    *Document
	number int
	body   []byte
	font   *Font
	size   float64
	color  *Color
	marks  []*element // by marked content
	inside *element   // whose marked content is open
	marked bool
}

// Text writes text from x to the right.
func (p *Page) Text(x, y float64, f *Font, size float64, c Color, text string) {
	if text == "" {
		return
	}
	p.mark(p.doc.at)
	p.paint(c)
	p.body = append(p.body, "BT "...)
	if p.font != f || p.size != size {
		p.font, p.size = f, size
		p.body = append(p.body, '/', 'F')
		p.body = strconv.AppendInt(p.body, int64(p.doc.use(f).number), 10)
		p.body = append(p.body, ' ')
		p.body = appendNumber(p.body, size)
		p.body = append(p.body, " Tf "...)
	}
	p.body = appendNumber(p.body, x*point)
	p.body = append(p.body, ' ')
	p.body = appendNumber(p.body, (Height-y)*point)
	p.body = append(p.body, " Td <"...)
	p.body = p.doc.use(f).encode(p.body, text)
	p.body = append(p.body, "> Tj ET\n"...)
}

// Right writes text that ends at x.
func (p *Page) Right(x, y float64, f *Font, size float64, c Color, text string) {
	p.Text(x-f.Width(text, size), y, f, size, c, text)
}

// Rule draws a line.
func (p *Page) Rule(x, y, x2, y2, width float64, c Color) {
	p.mark(nil)
	p.body = fmt.Appendf(p.body, "%.3f %.3f %.3f RG %.2f w %.2f %.2f m %.2f %.2f l S\n", float64(c.R)/255, float64(c.G)/255, float64(c.B)/255,
		width*point, x*point, (Height-y)*point, x2*point, (Height-y2)*point)
}

// Fill paints a rectangle, whose top left corner is x, y.
func (p *Page) Fill(x, y, w, h float64, c Color) {
	p.mark(nil)
	p.paint(c)
	p.body = fmt.Appendf(p.body, "%.2f %.2f %.2f %.2f re f\n", x*point, (Height-y-h)*point, w*point, h*point)
}

// Picture draws a picture into a rectangle. In an open element it is a part of that.
func (p *Page) Picture(x, y, w, h float64, i *Image) {
	p.mark(p.doc.at)
	p.body = fmt.Appendf(p.body, "q %.2f 0 0 %.2f %.2f %.2f cm /I%d Do Q\n", w*point, h*point, x*point, (Height-y-h)*point, p.doc.image(i))
}

// Dots draws a square of black and white modules, such as a QR code.
func (p *Page) Dots(x, y, w float64, size int, black func(x, y int) bool) {
	p.paint(Color{})
	p.Picture(x, y, w, w, dots(size, black))
}

func (p *Page) paint(c Color) {
	if p.color != nil && *p.color == c {
		return
	}
	p.color = &c
	for _, n := range []uint8{c.R, c.G, c.B} {
		p.body = appendFraction(p.body, int64(n)*1000/255, 1000)
		p.body = append(p.body, ' ')
	}
	p.body = append(p.body, "rg\n"...)
}

// mark says of what is drawn next which element it belongs to; nil: it is only for the eye.
func (p *Page) mark(e *element) {
	if p.marked && p.inside == e {
		return
	}
	p.unmark()
	p.marked, p.inside = true, e
	if e == nil {
		p.body = append(p.body, "/Artifact BMC\n"...)
		return
	}
	p.body = fmt.Appendf(p.body, "/%s <</MCID %d>> BDC\n", e.tag, len(p.marks))
	e.kids = append(e.kids, kid{page: p, mark: len(p.marks)})
	p.marks = append(p.marks, e)
}

func (p *Page) unmark() {
	if p.marked {
		p.body = append(p.body, "EMC\n"...)
	}
	p.marked = false
}

// appendNumber writes a number with at most two digits behind the point.
func appendNumber(b []byte, f float64) []byte {
	n := int64(f*100 + 0.5)
	if f < 0 {
		n = -int64(-f*100 + 0.5)
	}
	return appendFraction(b, n, 100)
}

func appendFraction(b []byte, n, scale int64) []byte {
	if n < 0 {
		b, n = append(b, '-'), -n
	}
	b = strconv.AppendInt(b, n/scale, 10)
	rest := n % scale
	if rest == 0 {
		return b
	}
	b = append(b, '.')
	for scale /= 10; rest > 0; scale /= 10 {
		b = append(b, byte('0'+rest/scale))
		rest %= scale
	}
	return b
}

// Image is a picture that can be drawn, read once.
type Image struct {
	width, height int
	pixels        []byte // RGB, or bits of a mask
	mask          bool
}

const maxPixels = 4 << 20

// Decode reads a picture (PNG or JPEG, of 4 million dots at most). What lets light through is
// shown on white.
func Decode(data []byte) (*Image, error) {
	c, _, err := image.DecodeConfig(bytes.NewReader(data))
	if err != nil || c.Width < 1 || c.Height < 1 || c.Width > maxPixels/c.Height {
		return nil, fmt.Errorf("a picture is a PNG or JPEG of at most %d dots", maxPixels)
	}
	m, _, err := image.Decode(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("the picture cannot be read: %w", err)
	}
	i := &Image{width: c.Width, height: c.Height, pixels: make([]byte, 0, 3*c.Width*c.Height)}
	box := m.Bounds()
	for y := box.Min.Y; y < box.Max.Y; y++ {
		for x := box.Min.X; x < box.Max.X; x++ {
			r, g, b, a := m.At(x, y).RGBA() // multiplied by a
			white := 0xffff - a
			i.pixels = append(i.pixels, byte((r+white)>>8), byte((g+white)>>8), byte((b+white)>>8))
		}
	}
	return i, nil
}

// Ratio is width by height.
func (i *Image) Ratio() float64 { return float64(i.width) / float64(i.height) }

// dots is a mask of square modules.
func dots(size int, black func(x, y int) bool) *Image {
	i := &Image{width: size, height: size, mask: true}
	for y := range size {
		row := make([]byte, (size+7)/8)
		for x := range size {
			if black(x, y) {
				row[x/8] |= 0x80 >> (x % 8)
			}
		}
		i.pixels = append(i.pixels, row...)
	}
	return i
}

// Luminance is how light the colour is to the eye, 0 black to 1 white (WCAG 2.2).
func (c Color) Luminance() float64 {
	part := func(n uint8) float64 {
		f := float64(n) / 255
		if f <= 0.04045 {
			return f / 12.92
		}
		return math.Pow((f+0.055)/1.055, 2.4)
	}
	return 0.2126*part(c.R) + 0.7152*part(c.G) + 0.0722*part(c.B)
}
