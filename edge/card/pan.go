package card

import (
	"strings"

	"tandem/kit/fault"
)

// HasNumber tells whether a card number stands in the text: 14 to 19 digits of a range
// that a card scheme issues, with the right check digit (ISO/IEC 7812-1, Luhn), whole
// or in groups. Numbers of invoices and telephones rarely are one by accident.
func HasNumber(text string) bool {
	found := false
	scan(text, func(int, int) { found = true })
	return found
}

// Scrub takes card numbers out of a text, for logs and for what others wrote.
func Scrub(text string) string {
	var b strings.Builder
	at := 0
	scan(text, func(from, to int) {
		if from >= at {
			b.WriteString(text[at:from])
			b.WriteString("[card number]")
			at = to
		}
	})
	b.WriteString(text[at:])
	return b.String()
}

// refuseNumbers refuses the first field with a card number in it; it does not repeat it.
func refuseNumbers(fields ...string) error {
	for i := 0; i < len(fields); i += 2 {
		if HasNumber(fields[i+1]) {
			return fault.BadInput("cardNumber", "The %s holds a card number. Card numbers are not taken here: the customer enters the card on the gateway's page, and its token is used", fields[i])
		}
	}
	return nil
}

// group is a run of digits in a text.
type group struct{ from, to int }

// scan finds card numbers: runs of digits, and neighbouring runs with one space, dash,
// dot or slash between them.
func scan(text string, found func(from, to int)) {
	groups := groupsOf(text)
	for i := range groups {
		var digits []byte
		for j := i; j < len(groups) && len(digits) <= 19; j++ {
			if j > i && !joins(text[groups[j-1].to:groups[j].from]) {
				break
			}
			digits = appendDigits(digits, text[groups[j].from:groups[j].to])
			if issued(digits) && luhn(digits) {
				found(groups[i].from, groups[j].to)
			}
		}
	}
}

func joins(between string) bool {
	switch between {
	case " ", "-", ".", "/", "\u00a0", "\u2011", "\u2013", "\u202f", "_", "  ":
		return true
	}
	return false
}

// digitOf is the value of a digit, of full width and Arabic ones too; -1 if r is none.
func digitOf(r rune) int {
	for _, zero := range []rune{'0', '\uff10', '\u0660', '\u06f0'} {
		if r >= zero && r <= zero+9 {
			return int(r - zero)
		}
	}
	return -1
}

func groupsOf(text string) []group {
	var out []group
	open := -1
	for i, r := range text {
		isDigit := digitOf(r) >= 0
		if isDigit && open < 0 {
			open = i
		}
		if !isDigit && open >= 0 {
			out, open = append(out, group{open, i}), -1
		}
	}
	if open >= 0 {
		out = append(out, group{open, len(text)})
	}
	return out
}

func appendDigits(b []byte, text string) []byte {
	for _, r := range text {
		b = append(b, byte(digitOf(r)))
	}
	return b
}

// ranges are the issuer numbers of the card schemes with the lengths of their cards.
// Lengths that are out of use are left out: 13 digits that begin with 4 are a German
// telephone number more often than a card.
var ranges = []struct {
	from, to    string // of the first digits, the same length
	least, most int    // digits of a card
}{
	{"4", "4", 16, 16}, {"4", "4", 19, 19}, // Visa
	{"51", "55", 16, 16}, {"2221", "2720", 16, 16}, // Mastercard
	{"34", "34", 15, 15}, {"37", "37", 15, 15}, // American Express
	{"300", "305", 14, 19}, {"3095", "3095", 14, 19}, {"36", "36", 14, 19}, {"38", "39", 14, 19}, // Diners
	{"3528", "3589", 16, 19},                                               // JCB
	{"6011", "6011", 16, 19}, {"644", "649", 16, 19}, {"65", "65", 16, 19}, // Discover
	{"62", "62", 16, 19},                                                                   // UnionPay
	{"2200", "2204", 16, 19},                                                               // Mir
	{"50", "50", 16, 19}, {"56", "61", 16, 19}, {"63", "64", 16, 19}, {"66", "69", 16, 19}, // Maestro
}

func issued(digits []byte) bool {
	if len(digits) < 14 || len(digits) > 19 {
		return false
	}
	var head [4]byte
	for i := range head {
		head[i] = '0' + digits[i]
	}
	for _, r := range ranges {
		if start := string(head[:len(r.from)]); start >= r.from && start <= r.to && len(digits) >= r.least && len(digits) <= r.most {
			return true
		}
	}
	return false
}

// luhn is the check digit of ISO/IEC 7812-1 annex B.
func luhn(digits []byte) bool {
	sum := 0
	for i, d := range digits {
		n := int(d)
		if (len(digits)-i)%2 == 0 {
			if n *= 2; n > 9 {
				n -= 9
			}
		}
		sum += n
	}
	return sum%10 == 0
}
