package billing

import "strings"

// words are what documents and explanations say, by language and key. A language that is not
// here speaks English.
var words = map[string]map[string]string{
	"en": {
		"usage.paid.balance":       "Paid from your balance",
		"usage.changed.adjustment": "Adjustment of usage charges",
		"usage.changed.refund":     "Refund of usage charges",
		"usage.changed.rerating":   "Correction of usage charges",
		"usage.fee.fee":            "Fee of an allowance",
	},
	"de": {
		"usage.paid.balance":       "Aus Ihrem Guthaben bezahlt",
		"usage.changed.adjustment": "Anpassung von Nutzungsentgelten",
		"usage.changed.refund":     "Erstattung von Nutzungsentgelten",
		"usage.changed.rerating":   "Berichtigung von Nutzungsentgelten",
		"usage.fee.fee":            "Entgelt für ein Inklusivvolumen",
	},
}

// say is the text of a key in a language, English if that has none.
func say(language, key string) string {
	base, _, _ := strings.Cut(language, "-")
	if text, ok := words[base][key]; ok {
		return text
	}
	if text, ok := words["en"][key]; ok {
		return text
	}
	return key
}
