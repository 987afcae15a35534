package communication_test

import (
	"strings"
	"testing"
	"time"

	"tandem/bss/communication"
	"tandem/fact"
	"tandem/kit/store"
)

// The customer hears of 50, 80 and 100 % of an allowance, and of a limit: each once in
// a period however often the fact is heard, in his words; in the next period again.
func TestThresholdsReachTheCustomerOnce(t *testing.T) {
	each(t, func(w *world) {
		c := w.customer("de", byMail)
		offering := w.offering()
		at := time.Now().UTC().Truncate(time.Second)
		say := func(f fact.ThresholdCrossed) {
			w.must(func(tx *store.Tx) error { return communication.Threshold(tx, f) })
		}
		w.must(func(tx *store.Tx) error {
			return communication.Changed(tx, fact.ProductChanged{Product: "p1", Offering: offering, Resources: []fact.Resource{{Role: "msisdn", Value: "491510001"}}})
		})
		for range 2 {
			for i, percent := range []int{50, 80, 100} {
				say(fact.ThresholdCrossed{Account: "p1", Customer: c, Name: "20 GB", Percent: percent, At: at.Add(time.Duration(i) * time.Second)})
			}
			say(fact.ThresholdCrossed{Account: "p1", Customer: c, Name: "Roaming", Limit: true, Percent: 80, At: at})
			say(fact.ThresholdCrossed{Account: "p1", Customer: c, Name: "Roaming", Limit: true, Percent: 100, At: at})
		}
		say(fact.ThresholdCrossed{Account: "p1", Customer: c, Name: "20 GB", Percent: 50, At: at.AddDate(0, 1, 0)})
		var subjects []string
		for _, m := range w.api.Do("mno", "GET", "/tmf-api/communicationManagement/v4/communicationMessage?limit=100", nil).List() {
			subjects = append(subjects, m["subject"].(string))
			if !strings.Contains(m["content"].(string), "(491510001)") {
				t.Errorf("%v", m["content"])
			}
		}
		all := strings.Join(subjects, "\n")
		for words, n := range map[string]int{"50 % von 20 GB verbraucht": 2, "80 % von 20 GB verbraucht": 1, "20 GB ist aufgebraucht": 1, "80 % Ihres Limits Roaming": 1, "Ihr Limit Roaming ist erreicht": 1} {
			if strings.Count(all, words) != n {
				t.Errorf("%q is said %d times, want %d:\n%s", words, strings.Count(all, words), n, all)
			}
		}
		if len(subjects) != 6 {
			t.Errorf("%d messages:\n%s", len(subjects), all)
		}
	})
}
