package charging_test

import (
	"fmt"
	"testing"
	"time"
)

// The balance at a past instant is what the ledger says it was; between two instants
// the entries say why it changed.
func TestStatementOfAPastInstant(t *testing.T) {
	each(t, func(w *world) {
		w.sell("mno", "p1", "prepaid", "491510001")
		w.ends("topupBalance", w.post(balance+"topupBalance", `{"product":[{"id":"p1"}],"amount":{"amount":10,"units":"EUR"}}`).text("id"), "completed")
		w.eats("491510001", "a", 100*mib) // 1 EUR
		w.await("the usage", func() bool { return w.count("mno", "SELECT count(*) FROM charging_usage WHERE tenant = $1") == 1 })
		between := time.Now()
		w.await("the next second", func() bool { return time.Now().Unix() > between.Unix() })
		w.eats("491510001", "b", 200*mib)
		w.eats("491510001", "c", 300*mib)
		w.await("the usage", func() bool { return w.count("mno", "SELECT count(*) FROM charging_usage WHERE tenant = $1") == 3 })
		stated := func(body string) answer {
			t.Helper()
			return w.post(own+"balanceStatement", body)
		}
		then := between.UTC().Format(time.RFC3339Nano)
		for body, want := range map[string]string{
			`{"product":{"id":"p1"}}`:                                                                              `[{"id":"p1.1","name":"balance","value":{"amount":4,"units":"EUR"}}]`,
			fmt.Sprintf(`{"bucket":{"id":"p1.1"},"at":%q}`, then):                                                  `[{"id":"p1.1","name":"balance","value":{"amount":9,"units":"EUR"}}]`,
			fmt.Sprintf(`{"logicalResource":{"id":"491510001"},"from":%q}`, then):                                  `[{"id":"p1.1","name":"balance","opening":{"amount":9,"units":"EUR"},"value":{"amount":4,"units":"EUR"}}]`,
			fmt.Sprintf(`{"product":{"id":"p1"},"at":%q}`, between.Add(-time.Hour).UTC().Format(time.RFC3339Nano)): ``,
		} {
			if got := stated(body).text("balance"); got != want {
				t.Errorf("%s: %s, want %s", body, got, want)
			}
		}
		a := stated(fmt.Sprintf(`{"product":{"id":"p1"},"from":%q}`, then))
		sum := 0.0
		entries, _ := a.object()["entry"].([]any)
		for _, e := range entries {
			m := e.(map[string]any)
			if m["against"] != "usage" || m["bucket"] != "p1.1" {
				t.Errorf("%v", m)
			}
			sum += m["amount"].(map[string]any)["amount"].(float64)
		}
		if sum != -5 || len(entries) == 0 {
			t.Errorf("%s", a.body)
		}
		w.refused(ann, "POST", own+"balanceStatement", `{"product":{"id":"p1"},"at":"2999-01-01T00:00:00Z"}`, 400, "invalidPeriod")
		w.refused(ann, "POST", own+"balanceStatement", `{"bucket":{"id":"p9.1"}}`, 400, "unknownBucket")
		w.refused("rival/user:eve", "POST", own+"balanceStatement", `{"product":{"id":"p1"}}`, 400, "unknownProduct")
	})
}
