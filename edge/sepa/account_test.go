package sepa

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"tandem/kit/fault"
)

func TestAccountNumbersOfManyCountries(t *testing.T) {
	for _, text := range []string{
		"DE89 3704 0044 0532 0130 00", "AT61 1904 3002 3457 3201", "BE68 5390 0754 7034", "CH93 0076 2011 6238 5295 7", "ES91 2100 0418 4502 0005 1332",
		"FR14 2004 1010 0505 0001 3M02 606", "GB29 NWBK 6016 1331 9268 19", "IT60 X054 2811 1010 0000 0123 456", "LU28 0019 4006 4475 0000", "NL91 ABNA 0417 1643 00",
		"NO93 8601 1117 947", "PL61 1090 1014 0000 0712 1981 2874", "PT50 0002 0123 1234 5678 9015 4", "SE45 5000 0000 0583 9825 7466", "MT84 MALT 0110 0001 2345 MTLC AST0 01S",
		"IE29 AIBK 9311 5212 3456 78", "FI21 1234 5600 0007 85", "DK50 0040 0440 1162 43", "HU42 1177 3016 1111 1018 0000 0000", "GR16 0110 1250 0000 0001 2300 695",
		"de89370400440532013000", "TR33 0006 1005 1978 6457 8413 26",
	} {
		i, err := ParseIBAN(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if i.Print() != strings.ToUpper(text) && strings.Contains(text, " ") {
			t.Errorf("%s is printed as %s", text, i.Print())
		}
		if i.SEPA() == (i.Country() == "TR") {
			t.Errorf("%s: SEPA %v", text, i.SEPA())
		}
	}
	for text, code := range map[string]string{
		"": "ibanForm", "DE": "ibanForm", "3704004405": "ibanForm", "DE89-3704-0044": "ibanForm", "DEAA370400440532013000": "ibanForm", "DE89 3704 0044 0532 0130 0ü": "ibanForm",
		"XX89370400440532013000": "ibanCountry", "US12345678901234": "ibanCountry",
		"DE8937040044053201300": "ibanLength", "DE893704004405320130000": "ibanLength", "AT89370400440532013000": "ibanLength",
		"DE88370400440532013000": "ibanChecksum", "DE89370400440532013001": "ibanChecksum",
	} {
		if _, err := ParseIBAN(text); fault.Of(err).Code != code {
			t.Errorf("%q: %v, want %s", text, err, code)
		}
	}
}

// The check digits find every character mistyped and every two neighbours swapped.
func TestNoTypingErrorInAnAccountNumberPasses(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	for range 3000 {
		bban := fmt.Sprintf("%018d", rnd.Uint64N(1e18))
		good := "DE" + fmt.Sprintf("%02d", 98-mod97(bban+"DE00")) + bban
		if _, err := ParseIBAN(good); err != nil {
			t.Fatalf("%s: %v", good, err)
		}
		bad := []byte(good)
		at := 2 + rnd.IntN(len(bad)-3)
		if rnd.IntN(2) == 0 {
			bad[at], bad[at+1] = bad[at+1], bad[at]
		} else {
			bad[at] = byte('0' + (int(bad[at]-'0')+1+rnd.IntN(9))%10)
		}
		if _, err := ParseIBAN(string(bad)); err == nil && string(bad) != good {
			t.Fatalf("%s passes for %s", bad, good)
		}
	}
}

func TestAnAccountNumberIsNotShownWhole(t *testing.T) {
	_, err := ParseIBAN("DE88370400440532013000")
	if err == nil || strings.Contains(err.Error(), "370400440532") {
		t.Errorf("%v", err)
	}
	if got := IBAN("DE89370400440532013000").LogValue().String(); got != "DE89...3000" {
		t.Errorf("a log shows %s", got)
	}
}

func TestBankCodes(t *testing.T) {
	for _, text := range []string{"COBADEFF", "COBADEFFXXX", "cobadeff", "NWBKGB2L", "ABNANL2A", "BOFIIE2D"} {
		if _, err := ParseBIC(text); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
	for text, code := range map[string]string{"COBADEF": "bicLength", "COBADEFFXX": "bicLength", "COB1DEFF": "bicForm", "COBADEF-": "bicForm", "COBAXXFF": "bicCountry", "": "bicLength"} {
		if _, err := ParseBIC(text); fault.Of(err).Code != code {
			t.Errorf("%q: %v, want %s", text, err, code)
		}
	}
}

func TestCreditorIdentifiers(t *testing.T) {
	for _, text := range []string{"DE98ZZZ09999999999", "DE98ABC09999999999", "AT61ZZZ01234567890", "FR72ZZZ123456"} {
		if _, err := ParseCreditorID(text); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
	for text, code := range map[string]string{"DE99ZZZ09999999999": "creditorIdChecksum", "DE98ZZZ0999999999": "creditorIdLength", "98DEZZZ0999": "creditorIdForm", "XX98ZZZ09999999999": "creditorIdCountry", "": "creditorIdForm"} {
		if _, err := ParseCreditorID(text); fault.Of(err).Code != code {
			t.Errorf("%q: %v, want %s", text, err, code)
		}
	}
}

func TestReferences(t *testing.T) {
	if _, err := ParseReference("RF18 5390 0754 7034"); err != nil {
		t.Error(err)
	}
	for n := range 500 {
		ref, err := NewReference(fmt.Sprintf("INV%d", n*7919))
		if err != nil {
			t.Fatal(err)
		}
		if back, err := ParseReference(ref); err != nil || back != ref {
			t.Fatalf("%s: %v", ref, err)
		}
	}
	for _, text := range []string{"", "RF18", "RF19539007547034", "XX18539007547034", "RF18-539007547034"} {
		if _, err := ParseReference(text); err == nil {
			t.Errorf("%q passes", text)
		}
	}
	if _, err := NewReference("INV-1"); err == nil {
		t.Error("a dash passes")
	}
}

func TestTextForBanks(t *testing.T) {
	tests := []struct {
		set        Charset
		text, want string
	}{
		{Latin, "Müller & Söhne GmbH", "Muller + Sohne GmbH"}, {German, "Müller & Söhne Straße", "Mueller + Soehne Strasse"},
		{UTF8, "Müller & Söhne", "Müller & Söhne"}, {Latin, "Łódź Żółć", "Lodz Zolc"}, {Latin, "Παπαδόπουλος", "Papadopoylos"},
		{Latin, "Щербаков", "SHTerbakov"}, {Latin, "a\u00a0b\tc\n d", "a b c d"}, {Latin, "50% off!", "50. off."}, {Latin, "", ""}, {Latin, "  ", ""},
		{UTF8, "a\u0000b\ufffe", "a b."}, {Latin, "日本", ".."}, {Latin, "It's (ok): 1/2+3-4?", "It's (ok): 1/2+3-4?"}, {Latin, "\xff", "."}, {UTF8, "\xff", "."},
	}
	for _, tt := range tests {
		if got := tt.set.Map(tt.text); got != tt.want {
			t.Errorf("%q became %q, want %q", tt.text, got, tt.want)
		}
	}
	for _, set := range []Charset{Latin, German} {
		for r := rune(0); r < 0x3000; r++ {
			got := set.Map("a" + string(r) + "a")
			if !every(got, func(c byte) bool { return strings.IndexByte(basic, c) >= 0 }) {
				t.Errorf("%U became %q", r, got)
			}
		}
	}
}

func TestReferencesGoAsTheyAre(t *testing.T) {
	for id, code := range map[string]string{"": "idMissing", "INV/2026-1": "internal", "/INV": "idSlash", "INV/": "idSlash", "A//B": "idSlash", "Ä": "idCharacters", "A_B": "idCharacters", " A": "idSpace", strings.Repeat("A", 36): "idLength"} {
		if err := identifier("The reference", id, 35); err == nil && code != "internal" || err != nil && fault.Of(err).Code != code {
			t.Errorf("%q: %v, want %s", id, err, code)
		}
	}
}
