package render

import (
	"strings"
	"unicode/utf8"

	"rsc.io/qr"

	"tandem/bss/billing"
	"tandem/kit/money"
)

// Limits of EPC069-12 version 2.1: octets of the whole, letters of the name and the text, the
// largest amount, the largest symbol.
const (
	maxCode      = 331
	maxCodeName  = 70
	maxCodeText  = 140
	maxCodeCents = 99_999_999_999
	maxCodeSize  = 13
)

// paymentCode is what a banking program reads of a credit transfer (EPC069-12), "" where the
// code cannot say it: another currency, no account, an amount beyond it.
func paymentCode(b *billing.Bank, minor int64, c money.Currency, text string) string {
	if b == nil || b.IBAN == "" || c.Code() != "EUR" || minor < 1 || minor > maxCodeCents {
		return ""
	}
	code := strings.Join([]string{"BCD", "002", "1", "SCT", b.BIC, cut(b.Name, maxCodeName), b.IBAN, "EUR" + money.Amount{Minor: minor, Currency: c}.Decimal(),
		"", "", cut(text, maxCodeText)}, "\n")
	if len(code) > maxCode {
		return ""
	}
	return code
}

// cut is one line of at most n letters.
func cut(text string, n int) string {
	text = strings.Join(strings.Fields(text), " ")
	for utf8.RuneCountInString(text) > n {
		_, size := utf8.DecodeLastRuneInString(text)
		text = text[:len(text)-size]
	}
	return text
}

// symbol is the code as a QR symbol of level M, nil where it is too large.
func symbol(code string) *qr.Code {
	if code == "" {
		return nil
	}
	s, err := qr.Encode(code, qr.M)
	if err != nil || s.Size > 17+4*maxCodeSize {
		return nil
	}
	return s
}
