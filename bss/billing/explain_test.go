package billing_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"tandem/bss/billing"
	"tandem/kit/store"
)

// explained is the text of a bill's explanation, without ids.
func (o *office) explained(bill string, replace ...string) string {
	o.Helper()
	return strings.NewReplacer(replace...).Replace(at(o.read(runs+"billExplanation/"+bill), "text"))
}

// A bill is explained in the customer's language: what each line is, how it was worked out,
// and why it is not what the last one was.
func TestABillIsExplained(t *testing.T) {
	want := map[string][2]string{
		"en": {`Bill INV-2026-0000001 is for 1 November 2026 to 30 November 2026 and comes to 44.03 EUR, due on 15 December 2026.
Mobile M from 13 November 2026 to 30 November 2026: 18 days of 30 days x 20.00 EUR, that is 12.00 EUR.
It has been charged since 13 November 2026, when the network confirmed service s1.
Set-up: charged once, 25.00 EUR.
It has been charged since 13 November 2026, when the network confirmed service s1.
19 % tax on 37.00 EUR: 7.03 EUR.`,
			`Bill INV-2027-0000001 is for 1 December 2026 to 31 December 2026 and comes to 23.80 EUR, due on 15 January 2027.
Mobile M from 1 December 2026 to 31 December 2026, a full period at 20.00 EUR: 20.00 EUR.
It has been charged since 13 November 2026, when the network confirmed service s1.
19 % tax on 20.00 EUR: 3.80 EUR.
The bill is 20.23 EUR lower than the one before, which came to 44.03 EUR.
Set-up is no longer on the bill; it was 25.00 EUR.
Mobile M costs 8.00 EUR more: the last bill had only 18 days of 30 days.`},
		"de": {`Rechnung INV-2026-0000001 gilt für 1. November 2026 bis 30. November 2026 und beträgt 44,03 EUR, fällig am 15. Dezember 2026.
Mobile M vom 13. November 2026 bis 30. November 2026: 18 Tage von 30 Tage x 20,00 EUR, das sind 12,00 EUR.
Berechnet wird es seit 13. November 2026, als das Netz den Dienst s1 bestätigt hat.
Set-up: einmalig 25,00 EUR.
Berechnet wird es seit 13. November 2026, als das Netz den Dienst s1 bestätigt hat.
19 % Steuer auf 37,00 EUR: 7,03 EUR.`,
			`Rechnung INV-2027-0000001 gilt für 1. Dezember 2026 bis 31. Dezember 2026 und beträgt 23,80 EUR, fällig am 15. Januar 2027.
Mobile M vom 1. Dezember 2026 bis 31. Dezember 2026, ein voller Zeitraum zu 20,00 EUR: 20,00 EUR.
Berechnet wird es seit 13. November 2026, als das Netz den Dienst s1 bestätigt hat.
19 % Steuer auf 20,00 EUR: 3,80 EUR.
Die Rechnung ist um 20,23 EUR niedriger als die vorige, die 44,03 EUR betrug.
Set-up steht nicht mehr auf der Rechnung; es waren 25,00 EUR.
Mobile M kostet 8,00 EUR mehr: die letzte Rechnung enthielt nur 18 Tage von 30 Tage.`},
	}
	for language, texts := range want {
		t.Run(language, func(t *testing.T) {
			bills(t, func(o *office) {
				account, product := o.joined(`"language":"` + language + `",`)
				first := o.demand(account)
				o.shift.Store(int64(31 * 24 * time.Hour))
				for i, bill := range []string{first, o.demand(account)} {
					if got := o.explained(bill); got != texts[i] {
						t.Errorf("bill %d is explained\n%s\nwant\n%s", i+1, got, texts[i])
					}
				}
				x := o.read(runs + "billExplanation/" + first)
				line, _ := x["line"].([]any)
				if len(line) != 2 || at(line[0], "price.version") != "3.1" || at(line[0], "product.id") != product || at(line[0], "service.id") != "s1" || at(line[0], "billableItem.id") == "" {
					t.Errorf("%v", line)
				}
				if l := o.api.Do("mno", "GET", runs+"billExplanation?billingAccount.id="+account, nil).List(); len(l) != 2 {
					t.Errorf("%d explanations", len(l))
				}
			})
		})
	}
}

// Each word there is in one language is there in the other, with the same gaps.
func TestWordsAreThereInEachLanguage(t *testing.T) {
	for _, problem := range billing.WordsMissing() {
		t.Error(problem)
	}
}

// An explanation reads by key: its time does not grow with the bills there are.
func TestAnExplanationReadsByKey(t *testing.T) {
	bills(t, func(o *office) {
		account, _ := o.joined("")
		bill := o.demand(account)
		o.read(runs + "billExplanation/" + bill) // once, to be warm
		var times []time.Duration
		for range 9 {
			began := time.Now()
			o.must(func(tx *store.Tx) error {
				_, err := billing.Explanations.Get(tx, bill)
				return err
			})
			times = append(times, time.Since(began))
		}
		slices.Sort(times)
		t.Logf("median %s", times[4])
		if times[4] > 50*time.Millisecond {
			t.Errorf("an explanation takes %s", times)
		}
	})
}
