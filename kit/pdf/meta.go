package pdf

import (
	"encoding/binary"
	"encoding/xml"
	"fmt"
	"strings"
	"time"
)

// metadata is what the document says of itself to programs (XMP). It says the same as the
// dictionary Info, as PDF/A asks for.
func (d *Document) metadata() []byte {
	var b strings.Builder
	i := &d.info
	b.WriteString("<?xpacket begin=\"\ufeff\" id=\"W5M0MpCehiHzreSzNTczkc9d\"?>\n<x:xmpmeta xmlns:x=\"adobe:ns:meta/\"><rdf:RDF xmlns:rdf=\"http://www.w3.org/1999/02/22-rdf-syntax-ns#\">\n")
	fmt.Fprintf(&b, "<rdf:Description rdf:about=\"\" xmlns:dc=\"http://purl.org/dc/elements/1.1/\"><dc:format>application/pdf</dc:format>"+
		"<dc:title><rdf:Alt><rdf:li xml:lang=\"x-default\">%s</rdf:li></rdf:Alt></dc:title><dc:creator><rdf:Seq><rdf:li>%s</rdf:li></rdf:Seq></dc:creator>"+
		"<dc:description><rdf:Alt><rdf:li xml:lang=\"x-default\">%s</rdf:li></rdf:Alt></dc:description><dc:language><rdf:Bag><rdf:li>%s</rdf:li></rdf:Bag></dc:language></rdf:Description>\n",
		escape(i.Title), escape(i.Author), escape(i.Subject), escape(i.Language))
	fmt.Fprintf(&b, "<rdf:Description rdf:about=\"\" xmlns:xmp=\"http://ns.adobe.com/xap/1.0/\" xmlns:pdf=\"http://ns.adobe.com/pdf/1.3/\"><xmp:CreateDate>%s</xmp:CreateDate><pdf:Producer>%s</pdf:Producer></rdf:Description>\n",
		i.Made.UTC().Format(time.RFC3339), escape(i.Producer))
	b.WriteString("<rdf:Description rdf:about=\"\" xmlns:pdfaid=\"http://www.aiim.org/pdfa/ns/id/\"><pdfaid:part>3</pdfaid:part><pdfaid:conformance>B</pdfaid:conformance></rdf:Description>\n")
	d.extensions(&b)
	b.WriteString("</rdf:RDF></x:xmpmeta>\n<?xpacket end=\"r\"?>")
	return []byte(b.String())
}

// extensions says what schemas mean that the standard does not know (ISO 19005-1, 6.7.8), and
// their values.
func (d *Document) extensions(b *strings.Builder) {
	if len(d.schemas) == 0 {
		return
	}
	b.WriteString("<rdf:Description rdf:about=\"\" xmlns:pdfaExtension=\"http://www.aiim.org/pdfa/ns/extension/\" xmlns:pdfaSchema=\"http://www.aiim.org/pdfa/ns/schema#\" " +
		"xmlns:pdfaProperty=\"http://www.aiim.org/pdfa/ns/property#\"><pdfaExtension:schemas><rdf:Bag>")
	for _, s := range d.schemas {
		fmt.Fprintf(b, "<rdf:li rdf:parseType=\"Resource\"><pdfaSchema:schema>%s</pdfaSchema:schema><pdfaSchema:namespaceURI>%s</pdfaSchema:namespaceURI><pdfaSchema:prefix>%s</pdfaSchema:prefix><pdfaSchema:property><rdf:Seq>",
			escape(s.Name), escape(s.URI), s.Prefix)
		for _, p := range s.Properties {
			fmt.Fprintf(b, "<rdf:li rdf:parseType=\"Resource\"><pdfaProperty:name>%s</pdfaProperty:name><pdfaProperty:valueType>Text</pdfaProperty:valueType><pdfaProperty:category>external</pdfaProperty:category><pdfaProperty:description>%s</pdfaProperty:description></rdf:li>",
				p.Name, escape(p.Description))
		}
		b.WriteString("</rdf:Seq></pdfaSchema:property></rdf:li>")
	}
	b.WriteString("</rdf:Bag></pdfaExtension:schemas></rdf:Description>\n")
	for _, s := range d.schemas {
		fmt.Fprintf(b, "<rdf:Description rdf:about=\"\" xmlns:%s=\"%s\">", s.Prefix, escape(s.URI))
		for _, p := range s.Properties {
			fmt.Fprintf(b, "<%s:%s>%s</%s:%s>", s.Prefix, p.Name, escape(p.Value), s.Prefix, p.Name)
		}
		b.WriteString("</rdf:Description>\n")
	}
}

func escape(text string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(text)) // a buffer in memory takes all
	return b.String()
}

// profile says what red, green and blue mean: the primaries of sRGB with a gamma of 2.2, as an
// ICC profile of version 2 (ICC.1:2001-04).
func profile() []byte {
	xyz := func(x, y, z uint32) []byte {
		b := append([]byte("XYZ "), 0, 0, 0, 0)
		for _, n := range []uint32{x, y, z} { // 16.16
			b = binary.BigEndian.AppendUint32(b, n)
		}
		return b
	}
	named := func(text string) []byte {
		b := append([]byte("desc"), 0, 0, 0, 0)
		b = binary.BigEndian.AppendUint32(b, uint32(len(text)+1))
		b = append(append(b, text...), 0)
		return append(b, make([]byte, 4+4+2+1+67)...) // no Unicode, no ScriptCode
	}
	curve := []byte{'c', 'u', 'r', 'v', 0, 0, 0, 0, 0, 0, 0, 1, 2, 51, 0, 0}
	tags := []table{
		{"desc", named("sRGB")}, {"cprt", append([]byte("text\x00\x00\x00\x00"), "No copyright\x00"...)}, {"wtpt", xyz(0xf351, 0x10000, 0x116cc)},
		{"rXYZ", xyz(0x6fa2, 0x38f5, 0x0390)}, {"gXYZ", xyz(0x6299, 0xb785, 0x18da)}, {"bXYZ", xyz(0x24a0, 0x0f84, 0xb6cf)},
		{"rTRC", curve}, {"gTRC", curve}, {"bTRC", curve},
	}
	head := make([]byte, 128)
	copy(head[8:], []byte{2, 0x10, 0, 0})
	copy(head[12:], "mntrRGB XYZ ")
	binary.BigEndian.PutUint16(head[24:], 2020)
	head[27], head[29] = 1, 1
	copy(head[36:], "acsp")
	copy(head[68:], xyz(0xf6d6, 0x10000, 0xd32d)[8:]) // the light of the connection space: D50
	out := binary.BigEndian.AppendUint32(head, uint32(len(tags)))
	at := 132 + 12*len(tags)
	var bodies []byte
	for _, t := range tags {
		out = append(out, t.tag...)
		out = binary.BigEndian.AppendUint32(out, uint32(at+len(bodies)))
		out = binary.BigEndian.AppendUint32(out, uint32(len(t.data)))
		bodies = append(bodies, t.data...)
		for len(bodies)%4 != 0 {
			bodies = append(bodies, 0)
		}
	}
	out = append(out, bodies...)
	binary.BigEndian.PutUint32(out, uint32(len(out)))
	return out
}
