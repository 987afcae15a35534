package pdf

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"golang.org/x/image/font/gofont/goregular"
	"pgregory.net/rapid"
)

// program finds a program of another house that judges what was written.
func program(t testing.TB, name, pack string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		if os.Getenv("TANDEM_ALLOW_SKIP") == "1" {
			t.Skipf("%s is missing: apt-get install %s", name, pack)
		}
		t.Fatalf("%s is missing: apt-get install %s", name, pack)
	}
	return path
}

// judged is what pdftotext reads out of a file that qpdf finds sound.
func judged(t testing.TB, file []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "a.pdf")
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(program(t, "qpdf", "qpdf"), "--check", path).CombinedOutput(); err != nil {
		t.Fatalf("qpdf: %v\n%s", err, out)
	}
	var errs bytes.Buffer
	cmd := exec.Command(program(t, "pdftotext", "poppler-utils"), "-layout", path, "-")
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil || errs.Len() > 0 {
		t.Fatalf("pdftotext: %v\n%s", err, errs.String())
	}
	return string(out)
}

var made = Info{Title: "Größe (1)", Author: "A & B", Subject: "s", Language: "de", Made: time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC), Producer: "test"}

// Letters of all alphabets that the fonts cover can be read out as they were written.
func TestTextIsReadOut(t *testing.T) {
	words := []string{"Straße größer Ærøskøbing", "Łódź Žižkov Őrség", "Ελληνικά λέξη", "Киев Ємність Ђорђе", "1.234,56 € £ ½ – „so“", "a(b)\\c", "İstanbul ğış"}
	d := New(made)
	p := d.Page()
	for i, w := range words {
		p.Text(20, 20+8*float64(i), Regular(), 10, Color{}, w)
		p.Right(190, 20+8*float64(i), Bold(), 10, Color{}, fmt.Sprint(i*1111))
	}
	text := judged(t, d.Bytes())
	for i, w := range words {
		if !strings.Contains(text, w) || !strings.Contains(text, fmt.Sprint(i*1111)) {
			t.Errorf("%q is not in\n%s", w, text)
		}
	}
}

// A letter that the font lacks is shown without its marks; a sign that it lacks is a box, and
// nothing fails.
func TestLettersThatTheFontLacks(t *testing.T) {
	d := New(made)
	d.Page().Text(20, 20, Regular(), 10, Color{}, "Brașov Việt e\u0301t\u00ade \u202a漢字")
	if text := judged(t, d.Bytes()); !strings.Contains(text, "Brașov Viet ete") {
		t.Errorf("%q", text)
	}
	if f := Regular(); f.Covers("Việt") || !f.Covers("Groß €") || f.Width("e\u0301", 10) != f.Width("e", 10) {
		t.Error("what it covers is not known")
	}
}

// The same drawing gives the same octets, whatever was drawn before.
func TestTheSameDrawingGivesTheSameOctets(t *testing.T) {
	draw := func() []byte {
		d := New(made)
		for n := range 3 {
			p := d.Page()
			d.Open(Table)
			for i := range 40 {
				d.Open(Row)
				d.Open(Cell)
				p.Text(20, 20+5*float64(i), Regular(), 9, Color{}, fmt.Sprintf("Zeile %d/%d żółć", n, i))
				d.Close()
				d.Close()
			}
			d.Close()
		}
		d.Attach(File{Name: "a.xml", Media: "text/xml", Description: "d", Relation: "Data", Data: []byte("<a/>")})
		return d.Bytes()
	}
	first := draw()
	for range 3 {
		if !bytes.Equal(first, draw()) {
			t.Fatal("another file")
		}
	}
	judged(t, first)
}

// A table of many rows is one table over all its pages, for those who see no page.
func TestTheStructureIsReadOut(t *testing.T) {
	d := New(made)
	var p *Page
	d.Open(Table)
	for i := range 300 {
		if i%50 == 0 {
			p = d.Page()
			d.Open(Artifact)
			p.Text(20, 10, Bold(), 9, Color{}, "only for the eye")
			d.Close()
		}
		d.Open(Row)
		d.Open(Header)
		p.Text(20, 20+5*float64(i%50), Regular(), 9, Color{}, fmt.Sprint("row", i))
		d.Close()
		d.Close()
	}
	d.Close()
	d.OpenFigure("a square")
	p.Dots(100, 100, 20, 21, func(x, y int) bool { return (x+y)%2 == 0 })
	d.Close()
	path := filepath.Join(t.TempDir(), "a.pdf")
	if err := os.WriteFile(path, d.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(program(t, "pdfinfo", "poppler-utils"), "-struct-text", path).CombinedOutput()
	text := string(out)
	if err != nil || strings.Count(text, "Table") != 1 || strings.Count(text, "TH") != 300 || !strings.Contains(text, "row299") || strings.Contains(text, "only for the eye") || !strings.Contains(text, "Figure") {
		t.Errorf("%v\n%.2000s", err, text)
	}
	info, err := exec.Command(program(t, "pdfinfo", "poppler-utils"), path).CombinedOutput()
	if err != nil || !strings.Contains(string(info), "Tagged:          yes") || !strings.Contains(string(info), "Größe (1)") {
		t.Errorf("%v\n%s", err, info)
	}
}

// Files inside come out as they went in.
func TestFilesInside(t *testing.T) {
	d := New(made)
	d.Page().Text(20, 20, Regular(), 9, Color{}, "x")
	want := []byte("<?xml version=\"1.0\"?><a>é</a>")
	d.Attach(File{Name: "factur-x.xml", Media: "text/xml", Description: "die Rechnung für Größe", Relation: "Alternative", Data: want})
	d.Describe(Schema{Name: "S & T", URI: "urn:x#", Prefix: "fx", Properties: []Property{{"DocumentType", "what it is", "INVOICE"}}})
	dir := t.TempDir()
	path := filepath.Join(dir, "a.pdf")
	if err := os.WriteFile(path, d.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(program(t, "pdfdetach", "poppler-utils"), "-saveall", "-o", dir, path).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if got, err := os.ReadFile(filepath.Join(dir, "factur-x.xml")); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%q %v", got, err)
	}
	meta, err := exec.Command(program(t, "pdfinfo", "poppler-utils"), "-meta", path).CombinedOutput()
	if err != nil || !strings.Contains(string(meta), "<fx:DocumentType>INVOICE</fx:DocumentType>") || !strings.Contains(string(meta), "<pdfaid:part>3</pdfaid:part>") {
		t.Errorf("%v\n%s", err, meta)
	}
}

func TestPicturesAndColours(t *testing.T) {
	m := image.NewNRGBA(image.Rect(0, 0, 40, 20))
	m.Set(3, 3, color.NRGBA{255, 0, 0, 128})
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	i, err := Decode(b.Bytes())
	if err != nil || i.Ratio() != 2 || i.pixels[0] != 255 {
		t.Fatalf("%+v %v", i, err)
	}
	d := New(made)
	p := d.Page()
	p.Picture(20, 20, 40, 20, i)
	p.Fill(20, 50, 10, 10, Color{200, 0, 0})
	p.Rule(20, 70, 60, 70, 0.2, Color{0, 0, 200})
	judged(t, d.Bytes())
	for _, bad := range []string{"", "#12", "123456", "#12345g", "#1234567"} {
		if _, err := ParseColor(bad); err == nil {
			t.Errorf("%q is a colour", bad)
		}
	}
	if c, err := ParseColor("#0a6bdc"); err != nil || c != (Color{10, 107, 220}) || c.Luminance() < 0.1 || c.Luminance() > 0.2 {
		t.Errorf("%v %v", c, err)
	}
	for _, bad := range [][]byte{nil, []byte("GIF89a"), b.Bytes()[:20]} {
		if _, err := Decode(bad); err == nil {
			t.Error("a picture that is none")
		}
	}
}

// A subset is a font again, with the outlines that are wanted and no other, and a text is as
// wide in it.
func TestASubsetIsAFont(t *testing.T) {
	for _, f := range []*Font{Regular(), Bold()} {
		rapid.Check(t, func(t *rapid.T) {
			text := rapid.StringOfN(rapid.RuneFrom([]rune("AÄÖßéÅžЖω€09 .,")), 1, 40, -1).Draw(t, "text")
			u := &use{font: f, shown: map[uint16]rune{}}
			u.encode(nil, text)
			data := f.subset(u.glyphs())
			if checksum(data) != 0xB1B0AFBA {
				t.Fatalf("checksum %x", checksum(data))
			}
			g := &Font{tables: map[string][]byte{}, other: map[rune]uint16{}}
			head := &bytesAt{b: data}
			for i := range head.u16(4) {
				at := 12 + 16*i
				g.tables[string(data[at:at+4])] = data[head.u32(at+8):][:head.u32(at+12)]
			}
			if !g.measures() || !g.outlines() {
				t.Fatal("it cannot be read")
			}
			for _, r := range text {
				n, _ := f.find(r)
				if !bytes.Equal(bytes.TrimRight(g.glyphs[n], "\x00"), bytes.TrimRight(f.glyphs[n], "\x00")) || g.widths[n] != f.widths[n] {
					t.Fatalf("%q is another letter", r)
				}
				for _, part := range f.parts[n] {
					if len(g.glyphs[part]) == 0 && len(f.glyphs[part]) > 0 {
						t.Fatalf("a part of %q is missing", r)
					}
				}
			}
		})
	}
}

// Fonts that are cut or changed are refused, or read; nothing panics or takes for ever.
func FuzzParseFont(f *testing.F) {
	for _, at := range []uint32{4, 20, 400, 1700, 128000, 140000} {
		f.Add(at, byte(255), uint32(200000))
		f.Add(at, byte(0), at*2)
	}
	f.Fuzz(func(t *testing.T, at uint32, to byte, size uint32) {
		data := bytes.Clone(goregular.TTF[:min(len(goregular.TTF), int(size))])
		if len(data) > 0 {
			data[int(at)%len(data)] = to
		}
		font, err := ParseFont("Fuzz", data)
		if err == nil {
			font.subset([]uint16{1, 2, 3})
			font.Width("Aé漢", 9)
		}
	})
}

// Whatever is written, the text is in the file as a whole, and no octet of it is PDF syntax.
func FuzzText(f *testing.F) {
	for _, s := range []string{"Größe", "a) Tj ET", "\x00\xff", "\u202eabc", strings.Repeat("x", 500)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d := New(Info{Title: text, Language: text, Made: made.Made})
		p := d.Page()
		d.OpenFigure(text)
		p.Text(20, 20, Regular(), 9, Color{}, text)
		d.Close()
		body := string(p.body)
		if n := strings.Count(body, "Tj"); n != min(1, len(text)) {
			t.Fatalf("%d texts: %q", n, body)
		}
		if len(d.Bytes()) < 1000 {
			t.Fatal("no file")
		}
		if textString(text) == "" || !utf8.ValidString(escape(text)) {
			t.Fatal("not a string")
		}
	})
}

func BenchmarkPage(b *testing.B) {
	for b.Loop() {
		d := New(made)
		p := d.Page()
		for i := range 60 {
			p.Text(20, 20+4*float64(i), Regular(), 9, Color{}, "Ein Satz mit ein paar Wörtern und 1.234,56 €")
		}
		d.Bytes()
	}
}
