package sepa

import (
	"strings"
	"unicode/utf8"

	"tandem/kit/fault"
)

// Charset is what a bank lets pass in names and texts.
type Charset uint8

const (
	Latin  Charset = iota + 1 // the basic set of the schemes; every bank takes it
	German                    // the basic set, with ä as ae and ß as ss
	UTF8                      // whatever ISO 20022 allows; agreed with the bank
)

const basic = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/-?:().,'+ "

// Map writes text as the charset allows. Letters lose their accents, Greek and
// Cyrillic is transliterated, an ampersand becomes a plus, anything else a full stop
// (EPC217-08 recommends the like). Spaces at the ends and doubled ones go.
func (c Charset) Map(text string) string {
	var b strings.Builder
	for _, r := range text {
		switch {
		case r < utf8.RuneSelf && strings.IndexByte(basic, byte(r)) >= 0:
			b.WriteRune(r)
		case r < ' ' || r == 0x7f || r == 0xa0:
			b.WriteByte(' ')
		case c == UTF8 && xmlRune(r):
			b.WriteRune(r)
		default:
			b.WriteString(c.basicOf(r))
		}
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

func (c Charset) basicOf(r rune) string {
	if c == German {
		if s, ok := umlauts[r]; ok {
			return s
		}
	}
	if s, ok := foreign[r]; ok {
		return s
	}
	return "."
}

// xmlRune is the Char of XML 1.0, without the replacement for broken input.
func xmlRune(r rune) bool {
	return r >= ' ' && r <= 0xd7ff || r >= 0xe000 && r < utf8.RuneError || r >= 0x10000 && r <= 0x10ffff
}

var umlauts = map[rune]string{'ä': "ae", 'ö': "oe", 'ü': "ue", 'Ä': "Ae", 'Ö': "Oe", 'Ü': "Ue", 'ß': "ss", 'ẞ': "SS"}

// foreign maps letters to those of the basic set.
var foreign = spread(
	"A ÀÁÂÃÄÅĀĂĄǍΑΆА", "a àáâãäåāăąǎαάа", "AE Æ", "ae æ", "B Б", "b б", "V ΒВ", "v βв", "C ÇĆĈĊČ", "c çćĉċč",
	"D ĎĐÐΔД", "d ďđðδд", "E ÈÉÊËĒĔĖĘĚΕΈЕЭЁ", "e èéêëēĕėęěεέеэё€", "F ΦФ", "f φф", "G ĜĞĠĢΓГ", "g ĝğġģγг", "H ĤĦΧ",
	"h ĥħχ", "I ÌÍÎÏĨĪĬĮİΙΊΪΗΉИ", "i ìíîïĩīĭįıιίϊΐηήи", "J ĴЙ", "j ĵй", "K ĶΚК", "k ķκк", "L ĹĻĽĿŁΛЛ", "l ĺļľŀłλл",
	"M ΜМ", "m μмµ", "N ÑŃŅŇΝН", "n ñńņňνн", "O ÒÓÔÕÖØŌŎŐΟΌΩΏО", "o òóôõöøōŏőοόωώо", "OE Œ", "oe œ", "P ΠП", "p πп",
	"R ŔŖŘΡР", "r ŕŗřρр", "S ŚŜŞŠȘΣС", "s śŝşšșσςс", "ss ß", "SS ẞ", "T ŢŤŦȚΤТ", "t ţťŧțτт", "TH ÞΘ", "th þθ",
	"U ÙÚÛÜŨŪŬŮŰŲУ", "u ùúûüũūŭůűųу", "W Ŵ", "w ŵ", "X Ξ", "x ξ", "Y ÝŶŸΥΎΫЫ", "y ýŷÿυύϋΰы", "Z ŹŻŽΖЗ", "z źżžζз",
	"PS Ψ", "ps ψ", "ZH Ж", "zh ж", "KH Х", "kh х", "TS Ц", "ts ц", "CH Ч", "ch ч", "SH Ш", "sh ш", "SHT Щ", "sht щ",
	"A Ъ", "a ъ", "Y Ь", "y ь", "YU Ю", "yu ю", "YA Я", "ya я", "+ &", "- _‐‑‒–—", "' `´‘’‚", "( [{<", ") ]}>", ", ;",
)

// spread turns "a àá" into à: a, á: a.
func spread(rows ...string) map[rune]string {
	out := map[rune]string{}
	for _, row := range rows {
		to, from, _ := strings.Cut(row, " ")
		for _, r := range from {
			out[r] = to
		}
	}
	return out
}

// cut shortens to n characters of what the bank counts.
func cut(text string, n int) string {
	if utf8.RuneCountInString(text) <= n {
		return text
	}
	return strings.TrimSpace(string([]rune(text)[:n]))
}

// identifier checks what must come back from the bank letter by letter: it is never
// mapped. The schemes forbid a slash at either end and two in a row (EPC230-15).
func identifier(what, id string, longest int) error {
	switch {
	case id == "":
		return fault.BadInput("idMissing", "%s is missing", what)
	case len(id) > longest:
		return fault.BadInput("idLength", "%s %.60q has %d characters; banks take %d", what, id, len(id), longest)
	case !every(id, func(c byte) bool { return strings.IndexByte(basic, c) >= 0 }):
		return fault.BadInput("idCharacters", "%s %q has characters that banks do not take: allowed are letters, digits, spaces and / - ? : ( ) . , ' +", what, id)
	case id[0] == '/' || id[len(id)-1] == '/' || strings.Contains(id, "//"):
		return fault.BadInput("idSlash", "%s %q begins or ends with a slash or has two in a row", what, id)
	case strings.TrimSpace(id) != id || strings.Contains(id, "  "):
		return fault.BadInput("idSpace", "%s %q begins or ends with a space or has two in a row", what, id)
	}
	return nil
}
