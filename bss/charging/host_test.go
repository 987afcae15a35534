package charging_test

import (
	"testing"

	"tandem/edge/credit"
)

// Usage of nobody is the host's, whatever its brands are called; a brand that comes
// later does not take it over, and nothing of it is written twice.
func TestTheHostKeepsTheUsageOfNobody(t *testing.T) {
	each(t, func(w *world) {
		w.host = "rival"
		w.again()
		w.sell("mno", "line", "prepaid", "4917011") // the journal has something of a brand, too
		use := credit.Used{Units: credit.Units{Has: credit.HasTotal, Total: mib}}
		w.unknown(credit.Nchf, credit.Update, "a", 1_000_000, use)
		kept := func(tenant string) int64 {
			return w.count(tenant, "SELECT count(*) FROM charging_suspense WHERE tenant = $1")
		}
		w.await("the suspense row", func() bool { return kept("rival") == 1 })
		w.tenants = []string{"another", "mno", "rival"}
		w.again()
		w.unknown(credit.Nchf, credit.Update, "b", 1_000_000, use)
		w.await("the second suspense row", func() bool { return kept("rival") == 2 })
		if kept("mno")+kept("another") != 0 {
			t.Error("a brand has the usage of nobody")
		}
		// A store of before, in which the first brand had it: the host goes on from there.
		w.host = "mno"
		w.again()
		w.unknown(credit.Nchf, credit.Update, "c", 1_000_000, use)
		w.await("the third suspense row", func() bool { return kept("mno") == 1 })
		if kept("rival") != 2 {
			t.Errorf("%d rows", kept("rival"))
		}
	})
}
