package sepa

import (
	"fmt"
	"log/slog"
	"strings"

	"tandem/kit/fault"
)

// IBAN is an international bank account number (ISO 13616) without spaces, checked
// by ParseIBAN. A log shows it masked.
type IBAN string

// BIC is the code of a bank or of its branch (ISO 9362), 8 or 11 characters.
type BIC string

// CreditorID is what a creditor is called in the direct debit schemes (EPC262-08):
// country, check digits, a business code of the creditor's own choice, national id.
type CreditorID string

// ibanLengths is the length of an IBAN by country (ISO 13616-2 registry).
var ibanLengths = lengths("AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BI27 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 " +
	"DJ27 DK18 DO28 EE20 EG29 ES24 FI18 FK18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HN28 HR21 HU28 IE22 IL23 IQ23 " +
	"IS26 IT27 JO30 KW30 KZ20 LB28 LC32 LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22 MK19 MN20 MR27 MT31 MU30 NI28 NL18 " +
	"NO15 OM23 PK24 PL28 PS29 PT25 QA29 RO24 RS22 RU33 SA24 SC31 SD18 SE24 SI19 SK24 SM27 SO23 ST25 SV28 TL23 TN24 " +
	"TR26 UA29 VA22 VG24 XK20 YE30")

// sepaCountries are those whose accounts the schemes reach (EPC409-09), by the
// country code of their IBANs: dependencies use the code of their state.
var sepaCountries = set("AD AL AT BE BG CH CY CZ DE DK EE ES FI FR GB GI GR HR HU IE IS IT LI LT LU LV MC MD ME MK MT " +
	"NL NO PL PT RO RS SE SI SK SM VA")

func lengths(table string) map[string]int {
	out := map[string]int{}
	for _, row := range strings.Fields(table) {
		out[row[:2]] = int(row[2]-'0')*10 + int(row[3]-'0')
	}
	return out
}

func set(words string) map[string]bool {
	out := map[string]bool{}
	for _, w := range strings.Fields(words) {
		out[w] = true
	}
	return out
}

// ParseIBAN reads an IBAN as people write it, with or without spaces, and checks the
// length of its country and the check digits (ISO 7064 MOD 97-10).
func ParseIBAN(text string) (IBAN, error) {
	s := electronic(text)
	if len(s) < 5 || !alphanumeric(s) || !letters(s[:2]) || !digits(s[2:4]) {
		return "", fault.BadInput("ibanForm", "%s is not an IBAN: it begins with a country and two check digits, such as DE89, and has letters and digits only", shown(s))
	}
	want, known := ibanLengths[s[:2]]
	if !known {
		return "", fault.BadInput("ibanCountry", "%s is not an IBAN: no country %s has IBANs", shown(s), s[:2])
	}
	if len(s) != want {
		return "", fault.BadInput("ibanLength", "The IBAN %s has %d characters; one of %s has %d", shown(s), len(s), s[:2], want)
	}
	if mod97(s[4:]+s[:4]) != 1 {
		return "", fault.BadInput("ibanChecksum", "The check digits of the IBAN %s are wrong: a character was mistyped or two were swapped", shown(s))
	}
	return IBAN(s), nil
}

// Country is the ISO 3166 code that the account's number begins with.
func (i IBAN) Country() string { return prefix(string(i), 2) }

// SEPA tells whether the schemes reach the account.
func (i IBAN) SEPA() bool { return sepaCountries[i.Country()] }

// Print is the form for paper: groups of four.
func (i IBAN) Print() string {
	var b strings.Builder
	for n, r := range string(i) {
		if n > 0 && n%4 == 0 {
			b.WriteByte(' ')
		}
		b.WriteRune(r)
	}
	return b.String()
}

// Masked shows enough to recognise the account and too little to use it.
func (i IBAN) Masked() string { return shown(string(i)) }

// LogValue masks the number in logs.
func (i IBAN) LogValue() slog.Value { return slog.StringValue(i.Masked()) }

// ParseBIC reads a BIC of 8 or 11 characters.
func ParseBIC(text string) (BIC, error) {
	s := electronic(text)
	if len(s) != 8 && len(s) != 11 {
		return "", fault.BadInput("bicLength", "The BIC %.20q has %d characters; a BIC has 8 or 11", s, len(s))
	}
	// A prefix with digits is allowed since ISO 9362:2014, none was ever given out, and
	// the older messages do not take one.
	if !letters(s[:6]) || !alphanumeric(s[6:]) {
		return "", fault.BadInput("bicForm", "%q is not a BIC: four letters for the bank, two for the country, then letters and digits, such as COBADEFF", s)
	}
	if !isoCountries[s[4:6]] {
		return "", fault.BadInput("bicCountry", "The BIC %q names the country %s, which does not exist", s, s[4:6])
	}
	return BIC(s), nil
}

// isoCountries are the ISO 3166-1 codes, and XK.
var isoCountries = set("AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS " +
	"BT BV BW BY BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ " +
	"FK FM FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT " +
	"JE JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP " +
	"MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE " +
	"RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV " +
	"TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS XK YE YT ZA ZM ZW")

// ParseCreditorID reads a creditor identifier and checks its digits; the business
// code does not take part in them (EPC262-08).
func ParseCreditorID(text string) (CreditorID, error) {
	s := electronic(text)
	if len(s) < 8 || len(s) > 35 || !alphanumeric(s) || !letters(s[:2]) || !digits(s[2:4]) {
		return "", fault.BadInput("creditorIdForm", "%.40q is not a creditor identifier: country, two check digits, three characters of business code and the national number, such as DE98ZZZ09999999999", s)
	}
	if !isoCountries[s[:2]] {
		return "", fault.BadInput("creditorIdCountry", "The creditor identifier %q names the country %s, which does not exist", s, s[:2])
	}
	if s[:2] == "DE" && len(s) != 18 {
		return "", fault.BadInput("creditorIdLength", "The creditor identifier %q has %d characters; one of DE has 18", s, len(s))
	}
	if mod97(s[7:]+s[:4]) != 1 {
		return "", fault.BadInput("creditorIdChecksum", "The check digits of the creditor identifier %q are wrong", s)
	}
	return CreditorID(s), nil
}

// NewReference makes the creditor reference of a number, RF with check digits
// (ISO 11649): a payer's bank refuses it mistyped. At most 21 letters and digits.
func NewReference(number string) (string, error) {
	s := electronic(number)
	if len(s) == 0 || len(s) > 21 || !alphanumeric(s) {
		return "", fault.BadInput("referenceForm", "A creditor reference is made of 1 to 21 letters and digits, not of %.40q", number)
	}
	return fmt.Sprintf("RF%02d%s", 98-mod97(s+"RF00"), s), nil
}

// ParseReference checks a creditor reference as a payer wrote it.
func ParseReference(text string) (string, error) {
	s := electronic(text)
	if len(s) < 5 || len(s) > 25 || !alphanumeric(s) || s[:2] != "RF" || !digits(s[2:4]) {
		return "", fault.BadInput("referenceForm", "%.40q is not a creditor reference such as RF18539007547034", text)
	}
	if mod97(s[4:]+s[:4]) != 1 {
		return "", fault.BadInput("referenceChecksum", "The check digits of the creditor reference %q are wrong", s)
	}
	return s, nil
}

// electronic takes away the spaces that people write, and makes capitals.
func electronic(text string) string {
	return strings.ToUpper(strings.Join(strings.Fields(text), ""))
}

// mod97 is the remainder of the number that s is when A stands for 10 and Z for 35.
func mod97(s string) int {
	rest := 0
	for _, c := range []byte(s) {
		if c >= 'A' {
			rest = (rest*100 + int(c-'A') + 10) % 97
		} else {
			rest = (rest*10 + int(c-'0')) % 97
		}
	}
	return rest
}

func alphanumeric(s string) bool {
	return every(s, func(c byte) bool { return c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' })
}

func letters(s string) bool { return every(s, func(c byte) bool { return c >= 'A' && c <= 'Z' }) }

func digits(s string) bool { return every(s, func(c byte) bool { return c >= '0' && c <= '9' }) }

func every(s string, ok func(byte) bool) bool {
	for i := range len(s) {
		if !ok(s[i]) {
			return false
		}
	}
	return true
}

// shown masks the middle of an account number.
func shown(s string) string {
	if len(s) <= 8 {
		return prefix(s, 4) + "..."
	}
	return prefix(s, 4) + "..." + s[len(s)-4:]
}

func prefix(s string, n int) string { return s[:min(n, len(s))] }
