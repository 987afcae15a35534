package pdf

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"unicode"

	"golang.org/x/image/font/gofont/gobold"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/text/unicode/norm"
)

// Font is a TrueType font. It is never changed, so that all documents share it.
type Font struct {
	name    string
	tables  map[string][]byte
	units   int      // of the em
	glyphs  [][]byte // outlines, without instructions
	parts   [][]uint16
	widths  []int // thousandths of the em
	latin   [0x250]uint16
	other   map[rune]uint16
	ascent  int // thousandths of the em
	descent int
	box     [4]int
}

// The fonts that come with the house: Go Regular and Go Bold (BSD-3). They cover the letters
// of WGL4: Latin, Greek, Cyrillic, and the signs of currencies.
var (
	Regular = sync.OnceValue(func() *Font { return mustFont("GoRegular", goregular.TTF) })
	Bold    = sync.OnceValue(func() *Font { return mustFont("Go-Bold", gobold.TTF) })
)

func mustFont(name string, ttf []byte) *Font {
	f, err := ParseFont(name, ttf)
	if err != nil {
		panic(err) // a font of the house: linked in, and looked at by a test
	}
	return f
}

var errFont = errors.New("pdf: the font is cut short or not a TrueType font")

// bytesAt reads big-endian numbers of a table; past its end it reads zeros and notes that.
type bytesAt struct {
	b   []byte
	bad bool
}

func (t *bytesAt) u16(at int) int {
	if at < 0 || at+2 > len(t.b) {
		t.bad = true
		return 0
	}
	return int(binary.BigEndian.Uint16(t.b[at:]))
}

func (t *bytesAt) i16(at int) int { return int(int16(t.u16(at))) }
func (t *bytesAt) u32(at int) int { return t.u16(at)<<16 | t.u16(at+2) }

// ParseFont reads a TrueType font with outlines (ISO/IEC 14496-22: glyf). name is the
// PostScript name, letters and hyphens only.
func ParseFont(name string, ttf []byte) (*Font, error) {
	f := &Font{name: name, tables: map[string][]byte{}, other: map[rune]uint16{}}
	head := &bytesAt{b: ttf}
	for i := range head.u16(4) {
		at := 12 + 16*i
		from, size := head.u32(at+8), head.u32(at+12)
		if head.bad || from > len(ttf) || size > len(ttf)-from {
			return nil, errFont
		}
		f.tables[string(ttf[at:at+4])] = ttf[from : from+size]
	}
	for _, read := range []func() bool{f.measures, f.outlines, f.characters} {
		if !read() {
			return nil, errFont
		}
	}
	return f, nil
}

// measures reads how large things are.
func (f *Font) measures() bool {
	head, hhea, maxp, hmtx := &bytesAt{b: f.tables["head"]}, &bytesAt{b: f.tables["hhea"]}, &bytesAt{b: f.tables["maxp"]}, &bytesAt{b: f.tables["hmtx"]}
	f.units = head.u16(18)
	if head.bad || f.units == 0 {
		return false
	}
	for i := range f.box {
		f.box[i] = f.thousandths(head.i16(36 + 2*i))
	}
	f.ascent, f.descent = f.thousandths(hhea.i16(4)), f.thousandths(hhea.i16(6))
	n, long := maxp.u16(4), hhea.u16(34)
	if n == 0 || long == 0 || long > n {
		return false
	}
	f.widths = make([]int, n)
	for i := range f.widths {
		f.widths[i] = f.thousandths(hmtx.u16(4 * min(i, long-1)))
	}
	return !head.bad && !hhea.bad && !maxp.bad && !hmtx.bad
}

func (f *Font) thousandths(n int) int {
	if n < 0 {
		return -f.thousandths(-n)
	}
	return (n*1000 + f.units/2) / f.units
}

// outlines cuts the table of glyphs apart.
func (f *Font) outlines() bool {
	head, loca, glyf := &bytesAt{b: f.tables["head"]}, &bytesAt{b: f.tables["loca"]}, f.tables["glyf"]
	at := func(i int) int { return 2 * loca.u16(2*i) }
	if head.i16(50) == 1 {
		at = func(i int) int { return loca.u32(4 * i) }
	}
	f.glyphs, f.parts = make([][]byte, len(f.widths)), make([][]uint16, len(f.widths))
	for i := range f.glyphs {
		from, to := at(i), at(i+1)
		if loca.bad || from > to || to > len(glyf) {
			return false
		}
		if from == to {
			continue
		}
		var ok bool
		if f.glyphs[i], f.parts[i], ok = bare(glyf[from:to]); !ok {
			return false
		}
	}
	return true
}

// Flags of a part of a composite glyph.
const (
	wordArguments = 1 << 0
	oneScale      = 1 << 3
	moreParts     = 1 << 5
	twoScales     = 1 << 6
	fourScales    = 1 << 7
	instructed    = 1 << 8
)

// bare is a glyph without its instructions, which only help screens of few dots, and the
// glyphs that it is made of.
func bare(glyph []byte) (out []byte, parts []uint16, ok bool) {
	t := &bytesAt{b: glyph}
	contours := t.i16(0)
	if contours >= 0 {
		at := 10 + 2*contours
		n := t.u16(at)
		if t.bad || at+2+n > len(glyph) {
			return nil, nil, false
		}
		out = append(append(out, glyph[:at]...), 0, 0)
		return append(out, glyph[at+2+n:]...), nil, true
	}
	out = append(out, glyph[:10]...)
	for at := 10; ; {
		flags := t.u16(at)
		size := 6
		for _, x := range [][2]int{{wordArguments, 2}, {oneScale, 2}, {twoScales, 4}, {fourScales, 8}} {
			if flags&x[0] != 0 {
				size += x[1]
			}
		}
		parts = append(parts, uint16(t.u16(at+2)))
		if t.bad || at+size > len(glyph) {
			return nil, nil, false
		}
		out = binary.BigEndian.AppendUint16(out, uint16(flags&^instructed))
		out = append(out, glyph[at+2:at+size]...)
		if at += size; flags&moreParts == 0 {
			return out, parts, true
		}
	}
}

// characters reads which glyph a character has: the table of the Basic Multilingual Plane
// (format 4).
func (f *Font) characters() bool {
	t := &bytesAt{b: f.tables["cmap"]}
	for i := range t.u16(2) {
		at := t.u32(4 + 8*i + 4)
		if t.u16(4+8*i) == 3 && t.u16(4+8*i+2) == 1 && t.u16(at) == 4 {
			f.segments(t, at)
			return !t.bad && f.glyph('A') != 0
		}
	}
	return false
}

func (f *Font) segments(t *bytesAt, at int) {
	n, seen := t.u16(at+6)/2, 0
	for i := range n {
		end, start := t.u16(at+14+2*i), t.u16(at+16+2*n+2*i)
		delta, offset := t.u16(at+16+4*n+2*i), t.u16(at+16+6*n+2*i)
		for c := start; c <= end && c < 0xffff && !t.bad; c++ {
			g := c + delta
			if offset != 0 {
				if g = t.u16(at + 16 + 6*n + 2*i + offset + 2*(c-start)); g != 0 {
					g += delta
				}
			}
			seen++ // segments do not overlap
			if g &= 0xffff; g >= len(f.widths) || seen > 0xffff {
				t.bad = true
				return
			}
			if c < len(f.latin) {
				f.latin[c] = uint16(g)
			} else {
				f.other[rune(c)] = uint16(g)
			}
		}
	}
}

func (f *Font) glyph(r rune) uint16 {
	if r >= 0 && int(r) < len(f.latin) {
		return f.latin[r]
	}
	return f.other[r]
}

// stand is what stands for characters that no font need have.
var stand = map[rune]rune{'\u2011': '-', '\u202f': ' ', '\u2009': ' ', '\u2007': ' ', '\t': ' ', '\n': ' ', '\r': ' '}

// find is the glyph of a character and the character that it shows. Of one that the font has
// not, it is that of the letter without its marks; else the empty box.
func (f *Font) find(r rune) (uint16, rune) {
	if g := f.glyph(r); g != 0 {
		return g, r
	}
	if s, ok := stand[r]; ok {
		return f.glyph(s), s
	}
	for _, base := range norm.NFKD.String(string(r)) {
		if g := f.glyph(base); g != 0 && !unicode.Is(unicode.Mn, base) {
			return g, base
		}
		break
	}
	return 0, r
}

// Covers says whether the font shows each letter of the text as it is.
func (f *Font) Covers(text string) bool {
	for _, r := range text {
		if f.glyph(r) == 0 {
			return false
		}
	}
	return true
}

// Width is how wide the text is at a size in points, in millimetres.
func (f *Font) Width(text string, size float64) float64 {
	sum := 0
	for _, r := range text {
		if unseen(r) {
			continue
		}
		g, _ := f.find(r)
		sum += f.widths[g]
	}
	return float64(sum) * size / 1000 / point
}

// unseen are characters that take no room: marks that no letter was composed with, signs that
// only turn the direction of text, hyphens for the case that a line ends there.
func unseen(r rune) bool {
	return r == softHyphen || r >= 0x300 && (unicode.Is(unicode.Mn, r) || unicode.Is(unicode.Cf, r))
}

const softHyphen = 0xad

// subset is the font with the outlines of some glyphs only, and those that they are made of.
// Numbers of glyphs stay what they are.
func (f *Font) subset(used []uint16) []byte {
	keep := make([]bool, len(f.glyphs))
	var mark func(g uint16, depth int)
	mark = func(g uint16, depth int) {
		if int(g) >= len(keep) || keep[g] || depth > 8 {
			return
		}
		keep[g] = true
		for _, p := range f.parts[g] {
			mark(p, depth+1)
		}
	}
	mark(0, 0)
	for _, g := range used {
		mark(g, 0)
	}
	var glyf, loca []byte
	for i, g := range f.glyphs {
		loca = binary.BigEndian.AppendUint32(loca, uint32(len(glyf)))
		if keep[i] {
			glyf = append(glyf, g...)
			for len(glyf)%4 != 0 {
				glyf = append(glyf, 0)
			}
		}
	}
	loca = binary.BigEndian.AppendUint32(loca, uint32(len(glyf)))
	head := append([]byte(nil), f.tables["head"]...)
	binary.BigEndian.PutUint16(head[50:], 1) // long offsets
	binary.BigEndian.PutUint32(head[8:], 0)
	return sfnt([]table{{"glyf", glyf}, {"head", head}, {"hhea", f.tables["hhea"]}, {"hmtx", f.tables["hmtx"]}, {"loca", loca}, {"maxp", f.tables["maxp"]}})
}

type table struct {
	tag  string
	data []byte
}

// sfnt puts tables, in the order of their tags, into a font file.
func sfnt(tables []table) []byte {
	power, exponent := 1, 0
	for power*2 <= len(tables) {
		power, exponent = power*2, exponent+1
	}
	out := binary.BigEndian.AppendUint32(nil, 0x00010000)
	for _, n := range []int{len(tables), 16 * power, exponent, 16*len(tables) - 16*power} {
		out = binary.BigEndian.AppendUint16(out, uint16(n))
	}
	at, headAt := 12+16*len(tables), 0
	for _, t := range tables {
		if t.tag == "head" {
			headAt = at
		}
		out = append(out, t.tag...)
		for _, n := range []uint32{checksum(t.data), uint32(at), uint32(len(t.data))} {
			out = binary.BigEndian.AppendUint32(out, n)
		}
		at += (len(t.data) + 3) &^ 3
	}
	for _, t := range tables {
		out = append(out, t.data...)
		for len(out)%4 != 0 {
			out = append(out, 0)
		}
	}
	binary.BigEndian.PutUint32(out[headAt+8:], 0xB1B0AFBA-checksum(out))
	return out
}

func checksum(b []byte) (sum uint32) {
	for len(b) >= 4 {
		sum += binary.BigEndian.Uint32(b)
		b = b[4:]
	}
	var rest [4]byte
	copy(rest[:], b)
	return sum + binary.BigEndian.Uint32(rest[:])
}

// String names the font.
func (f *Font) String() string { return fmt.Sprintf("%s, %d glyphs", f.name, len(f.glyphs)) }
