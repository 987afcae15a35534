package charging_test

import (
	"testing"

	"tandem/edge/cdr"
)

// What a record of a file cost can be given back, in parts, and never more than it was;
// what waits for a second person counts, until it comes to nothing.
func TestARecordOfAFileIsRefunded(t *testing.T) {
	each(t, func(w *world) {
		w.sell("mno", "line", "prepaid", "4917011")
		w.sell("mno", "other", "prepaid", "4917012")
		w.ends("topupBalance", w.post(balance+"topupBalance", `{"product":[{"id":"line"}],"amount":{"amount":10,"units":"EUR"}}`).text("id"), "completed")
		m := w.mediate(cdr.FormatJSON)
		m.take("one.jsonl", lines(t, session("a", "4917011", 0, 7), session("a", "4917011", 1, 3)))
		m.used(10 * mib)
		seven, three := "", ""
		for _, u := range w.get(usage + "usage?usageType=data").list() {
			for _, c := range u["usageCharacteristic"].([]any) {
				c := c.(map[string]any)
				switch id := u["id"].(string); {
				case c["name"] == "octets" && c["value"] == float64(7*mib):
					seven = id
				case c["name"] == "octets":
					three = id
				}
			}
		}
		const adjust = balance + "adjustBalance"
		back := func(id, amount string) string {
			return `{"product":[{"id":"line"}],"reason":"no signal","usage":{"id":"` + id + `"}` + amount + `}`
		}
		euros := func(n string) string { return `,"amount":{"amount":` + n + `,"units":"EUR"}` }
		w.ends("adjustBalance", w.post(adjust, back(seven, euros("0.05"))).text("id"), "completed")
		w.refused(ann, "POST", adjust, back(seven, euros("0.05")), 409, "aboveDebit")
		w.refused(ann, "POST", adjust, back(seven, euros("-0.05")), 409, "aboveDebit")
		rest := w.ends("adjustBalance", w.post(adjust, back(seven, "")).text("id"), "completed")
		if rest.text("amount", "amount") != "0.02" || rest.text("usage", "id") != seven {
			t.Errorf("the rest: %s", rest.body)
		}
		w.refused(ann, "POST", adjust, back(seven, ""), 409, "aboveDebit")
		w.refused(ann, "POST", adjust, back("0.0", ""), 400, "unknownUsage")
		w.refused(ann, "POST", adjust, `{"product":[{"id":"other"}],"reason":"no signal","usage":{"id":"`+three+`"}}`, 400, "unknownUsage")
		if n := w.count("mno", "SELECT CAST(sum(amount) AS BIGINT) FROM charging_entry WHERE tenant = $1 AND against = 'refund'"); n != 7*10_000_000 {
			t.Errorf("%d was given back", n)
		}
		w.post(own+"chargingPolicy", `{"fourEyesAbove":[{"amount":0.01,"units":"EUR"}]}`)
		waits := w.post(adjust, back(three, euros("0.03"))).text("id")
		w.refused(ann, "POST", adjust, back(three, euros("0.01")), 409, "aboveDebit")
		if a := w.do(bob, "POST", own+"approval", `{"subject":{"id":"`+waits+`","@referredType":"AdjustBalance"},"decision":"reject"}`); a.status != 201 {
			t.Fatalf("%d %s", a.status, a.body)
		}
		w.ends("adjustBalance", w.post(adjust, back(three, euros("0.01"))).text("id"), "completed")
		if got := w.left("line.1"); got != "9.98" {
			t.Errorf("%s left", got)
		}
		w.eats("4917011", "event", mib)
		m.used(11 * mib)
		event := ""
		for _, u := range w.get(usage + "usage?externalId=event").list() {
			event = u["id"].(string)
		}
		w.refused(ann, "POST", adjust, back(event, ""), 400, "refundedByClient")
	})
}
