package pdf

import (
	"bytes"
	"compress/zlib"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf16"
)

// writer puts objects into a file: streams one by one, others packed together in streams of
// objects (ISO 32000-1, 7.5.7), which makes a long table a tenth.
type writer struct {
	out     bytes.Buffer
	places  []place // of objects by number; number 0 is not one
	packed  []byte  // bodies of objects that wait
	numbers []int   // theirs
	starts  []int
}

// place is where an object is: at an offset, or the n-th in a stream of objects.
type place struct{ stream, at int }

const packSize = 200 // objects in a stream of them

var deflaters = sync.Pool{New: func() any {
	z, err := zlib.NewWriterLevel(nil, 4)
	if err != nil {
		panic(err) // the level is one
	}
	return z
}}

func deflate(data []byte) []byte {
	var b bytes.Buffer
	b.Grow(len(data)/3 + 64)
	z := deflaters.Get().(*zlib.Writer)
	defer deflaters.Put(z)
	z.Reset(&b)
	_, _ = z.Write(data) // a buffer in memory takes all
	_ = z.Close()
	return b.Bytes()
}

// next is the number of a new object, to be put later.
func (w *writer) next() int {
	w.places = append(w.places, place{})
	return len(w.places)
}

// put writes an object that is no stream.
func (w *writer) put(number int, format string, args ...any) {
	w.places[number-1] = place{at: len(w.numbers)}
	w.numbers, w.starts = append(w.numbers, number), append(w.starts, len(w.packed))
	w.packed = fmt.Appendf(w.packed, format, args...)
	w.packed = append(w.packed, '\n')
	if len(w.numbers) == packSize {
		w.pack()
	}
}

// add is put of a new object.
func (w *writer) add(format string, args ...any) int {
	n := w.next()
	w.put(n, format, args...)
	return n
}

// pack writes the objects that wait as one stream.
func (w *writer) pack() {
	if len(w.numbers) == 0 {
		return
	}
	var index []byte
	for i, n := range w.numbers {
		index = fmt.Appendf(index, "%d %d ", n, w.starts[i])
	}
	s := w.next()
	for i, n := range w.numbers {
		w.places[n-1] = place{stream: s, at: i}
	}
	count := len(w.numbers)
	body := append(slices.Clip(index), w.packed...)
	w.numbers, w.starts, w.packed = w.numbers[:0], w.starts[:0], w.packed[:0]
	w.stream(s, fmt.Sprintf("/Type /ObjStm /N %d /First %d", count, len(index)), body)
}

// stream writes a stream, deflated.
func (w *writer) stream(number int, dict string, data []byte) int {
	return w.raw(number, dict+" /Filter /FlateDecode", deflate(data))
}

func (w *writer) raw(number int, dict string, data []byte) int {
	if number == 0 {
		number = w.next()
	}
	w.places[number-1] = place{at: w.out.Len()}
	fmt.Fprintf(&w.out, "%d 0 obj\n<<%s /Length %d>>\nstream\n", number, dict, len(data))
	w.out.Write(data)
	w.out.WriteString("\nendstream\nendobj\n")
	return number
}

// end writes where each object is (ISO 32000-1, 7.5.8).
func (w *writer) end(root, info int) []byte {
	w.pack()
	self := w.next()
	table := []byte{0, 0, 0, 0, 0, 0xff, 0xff}
	start := w.out.Len()
	w.places[self-1] = place{at: start}
	for _, p := range w.places {
		kind, first, second := byte(1), p.at, 0
		if p.stream != 0 {
			kind, first, second = 2, p.stream, p.at
		}
		table = append(table, kind)
		table = binary.BigEndian.AppendUint32(table, uint32(first))
		table = binary.BigEndian.AppendUint16(table, uint16(second))
	}
	sum := sha256.Sum256(w.out.Bytes())
	id := hex.EncodeToString(sum[:16])
	w.stream(self, fmt.Sprintf("/Type /XRef /Size %d /W [1 4 2] /Root %d 0 R /Info %d 0 R /ID [<%s> <%s>]", len(w.places)+1, root, info, id, id), table)
	fmt.Fprintf(&w.out, "startxref\n%d\n%%%%EOF\n", start)
	return w.out.Bytes()
}

// Bytes is the file. The document is not to be drawn on afterwards.
func (d *Document) Bytes() []byte {
	w := &writer{}
	w.out.WriteString("%PDF-1.7\n%\xe2\xe3\xcf\xd3\n")
	catalog, tree := w.next(), w.next()
	pages := make([]int, len(d.pages))
	for i := range pages {
		pages[i] = w.next()
	}
	resources := d.writeResources(w)
	for i, p := range d.pages {
		p.unmark()
		content := w.stream(0, "", p.body)
		w.put(pages[i], "<</Type /Page /Parent %d 0 R /MediaBox [0 0 595.28 841.89] /Resources %d 0 R /Contents %d 0 R /StructParents %d /Tabs /S>>", tree, resources, content, i)
	}
	w.put(tree, "<</Type /Pages /Count %d /Kids [%s]>>", len(pages), references(pages))
	structure := d.writeStructure(w, pages)
	more := d.writeFiles(w)
	intent := w.add("<</Type /OutputIntent /S /GTS_PDFA1 /OutputConditionIdentifier (sRGB) /Info (sRGB IEC61966-2.1) /DestOutputProfile %d 0 R>>",
		w.stream(0, "/N 3", profile()))
	meta := w.raw(0, "/Type /Metadata /Subtype /XML", d.metadata())
	w.put(catalog, "<</Type /Catalog /Version /1.7 /Pages %d 0 R /Metadata %d 0 R /OutputIntents [%d 0 R] /StructTreeRoot %d 0 R /MarkInfo <</Marked true>> /Lang %s /ViewerPreferences <</DisplayDocTitle true>>%s>>",
		tree, meta, intent, structure, textString(d.info.Language), more)
	info := w.add("<</Title %s /Author %s /Subject %s /Producer %s /CreationDate (%s)>>", textString(d.info.Title), textString(d.info.Author), textString(d.info.Subject),
		textString(d.info.Producer), d.info.Made.UTC().Format("D:20060102150405Z"))
	return w.end(catalog, info)
}

func references(numbers []int) string {
	var b []byte
	for _, n := range numbers {
		b = strconv.AppendInt(b, int64(n), 10)
		b = append(b, " 0 R "...)
	}
	return string(bytes.TrimRight(b, " "))
}

// writeResources writes fonts and pictures, which all pages share.
func (d *Document) writeResources(w *writer) int {
	var b strings.Builder
	b.WriteString("<</Font <<")
	for _, u := range d.fonts {
		fmt.Fprintf(&b, "/F%d %d 0 R ", u.number, u.write(w))
	}
	b.WriteString(">> /XObject <<")
	for n, i := range d.images {
		fmt.Fprintf(&b, "/I%d %d 0 R ", n+1, i.write(w))
	}
	b.WriteString(">>>>")
	return w.add("%s", b.String())
}

func (i *Image) write(w *writer) int {
	color := "/ColorSpace /DeviceRGB /BitsPerComponent 8"
	if i.mask {
		color = "/ImageMask true /BitsPerComponent 1 /Decode [1 0]"
	}
	return w.stream(0, fmt.Sprintf("/Type /XObject /Subtype /Image /Width %d /Height %d %s", i.width, i.height, color), i.pixels)
}

// write writes the font with the outlines, widths and meanings of the glyphs that are shown.
func (u *use) write(w *writer) int {
	f, glyphs := u.font, u.glyphs()
	name := tag(glyphs) + "+" + f.name
	data := f.subset(glyphs)
	file := w.stream(0, fmt.Sprintf("/Length1 %d", len(data)), data)
	descriptor := w.add("<</Type /FontDescriptor /FontName /%s /Flags 4 /FontBBox [%d %d %d %d] /ItalicAngle 0 /Ascent %d /Descent %d /CapHeight %d /StemV 80 /FontFile2 %d 0 R>>",
		name, f.box[0], f.box[1], f.box[2], f.box[3], f.ascent, f.descent, f.ascent, file)
	var widths []byte
	for _, g := range glyphs {
		widths = fmt.Appendf(widths, "%d [%d] ", g, f.widths[g])
	}
	cid := w.add("<</Type /Font /Subtype /CIDFontType2 /BaseFont /%s /CIDSystemInfo <</Registry (Adobe) /Ordering (Identity) /Supplement 0>> /FontDescriptor %d 0 R /DW %d /W [%s] /CIDToGIDMap /Identity>>",
		name, descriptor, f.widths[0], bytes.TrimRight(widths, " "))
	return w.add("<</Type /Font /Subtype /Type0 /BaseFont /%s /Encoding /Identity-H /DescendantFonts [%d 0 R] /ToUnicode %d 0 R>>", name, cid, w.stream(0, "", u.meanings(glyphs)))
}

// tag is six letters that tell one subset of a font from another (ISO 32000-1, 9.6.4).
func tag(glyphs []uint16) string {
	h := sha256.New()
	for _, g := range glyphs {
		h.Write([]byte{byte(g >> 8), byte(g)})
	}
	sum := h.Sum(nil)[:6]
	for i := range sum {
		sum[i] = 'A' + sum[i]%26
	}
	return string(sum)
}

// meanings says which character a glyph shows, so that text can be copied (ISO 32000-1,
// 9.10.3).
func (u *use) meanings(glyphs []uint16) []byte {
	b := []byte("/CIDInit /ProcSet findresource begin\n12 dict begin\nbegincmap\n/CIDSystemInfo <</Registry (Adobe) /Ordering (UCS) /Supplement 0>> def\n" +
		"/CMapName /Adobe-Identity-UCS def\n/CMapType 2 def\n1 begincodespacerange\n<0000> <ffff>\nendcodespacerange\n")
	for group := range slices.Chunk(glyphs, 100) {
		b = fmt.Appendf(b, "%d beginbfchar\n", len(group))
		for _, g := range group {
			shown := u.shown[g]
			if g == 0 {
				shown = '\ufffd'
			}
			b = fmt.Appendf(b, "<%04x> <", g)
			for _, c := range utf16.Encode([]rune{shown}) {
				b = fmt.Appendf(b, "%04x", c)
			}
			b = append(b, ">\n"...)
		}
		b = append(b, "endbfchar\n"...)
	}
	return append(b, "endcmap\nCMapName currentdict /CMap defineresource pop\nend\nend\n"...)
}

// writeStructure writes the elements, and which of them marked content belongs to.
func (d *Document) writeStructure(w *writer, pages []int) int {
	root := w.next()
	var number func(e *element)
	number = func(e *element) {
		e.number = w.next()
		for _, k := range e.kids {
			if k.element != nil {
				number(k.element)
			}
		}
	}
	number(&d.root)
	d.root.write(w, root, pages)
	var parents []byte
	for i, p := range d.pages {
		parents = fmt.Appendf(parents, "%d [", i)
		for _, e := range p.marks {
			parents = fmt.Appendf(parents, "%d 0 R ", e.number)
		}
		parents = append(bytes.TrimRight(parents, " "), "] "...)
	}
	w.put(root, "<</Type /StructTreeRoot /K %d 0 R /ParentTree %d 0 R /ParentTreeNextKey %d>>", d.root.number, w.add("<</Nums [%s]>>", parents), len(pages))
	return root
}

func (e *element) write(w *writer, parent int, pages []int) {
	b := fmt.Appendf(nil, "<</S /%s /P %d 0 R", e.tag, parent)
	if e.attr != "" {
		b = append(append(b, ' '), e.attr...)
	}
	if e.alt != "" {
		b = append(append(b, " /Alt "...), textString(e.alt)...)
	}
	page := -1
	b = append(b, " /K ["...)
	for _, k := range e.kids {
		switch {
		case k.element != nil:
			b = fmt.Appendf(b, "%d 0 R ", k.element.number)
		case page < 0 || page == k.page.number-1:
			page = k.page.number - 1
			b = fmt.Appendf(b, "%d ", k.mark)
		default:
			b = fmt.Appendf(b, "<</Type /MCR /Pg %d 0 R /MCID %d>> ", pages[k.page.number-1], k.mark)
		}
	}
	b = append(bytes.TrimRight(b, " "), ']')
	if page >= 0 {
		b = fmt.Appendf(b, " /Pg %d 0 R", pages[page])
	}
	w.put(e.number, "%s>>", b)
	for _, k := range e.kids {
		if k.element != nil {
			k.element.write(w, e.number, pages)
		}
	}
}

// writeFiles writes the files inside; it is what the catalogue says of them.
func (d *Document) writeFiles(w *writer) string {
	if len(d.files) == 0 {
		return ""
	}
	slices.SortFunc(d.files, func(a, b File) int { return strings.Compare(a.Name, b.Name) })
	var names, all []byte
	for _, f := range d.files {
		made := d.info.Made.UTC().Format("D:20060102150405Z")
		body := w.stream(0, fmt.Sprintf("/Type /EmbeddedFile /Subtype /%s /Params <</Size %d /ModDate (%s)>>", strings.ReplaceAll(f.Media, "/", "#2F"), len(f.Data), made), f.Data)
		n := w.add("<</Type /Filespec /F %s /UF %s /Desc %s /AFRelationship /%s /EF <</F %d 0 R /UF %d 0 R>>>>", textString(f.Name), textString(f.Name), textString(f.Description), f.Relation, body, body)
		names = fmt.Appendf(names, "%s %d 0 R ", textString(f.Name), n)
		all = fmt.Appendf(all, "%d 0 R ", n)
	}
	return fmt.Sprintf(" /AF [%s] /Names <</EmbeddedFiles <</Names [%s]>>>>", bytes.TrimRight(all, " "), bytes.TrimRight(names, " "))
}

// textString writes text as an object: as it is where it is ASCII, else UTF-16.
func textString(text string) string {
	var b strings.Builder
	for i := range len(text) {
		if c := text[i]; c < ' ' || c > '~' {
			return wideString(text)
		}
	}
	b.WriteByte('(')
	for i := range len(text) {
		if c := text[i]; c == '(' || c == ')' || c == '\\' {
			b.WriteByte('\\')
		}
		b.WriteByte(text[i])
	}
	b.WriteByte(')')
	return b.String()
}

func wideString(text string) string {
	b := []byte("<FEFF")
	for _, c := range utf16.Encode([]rune(text)) {
		b = fmt.Appendf(b, "%04X", c)
	}
	return string(append(b, '>'))
}
