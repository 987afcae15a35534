package charging_test

import (
	"fmt"
	"runtime"
	"testing"

	"tandem/edge/cdr"
)

// A list of usage reads each row of many records once, not once for each of them.
func TestAListOfUsageReadsEachRowOnce(t *testing.T) {
	each(t, func(w *world) {
		w.sell("mno", "line", "prepaid", "4917011")
		m := w.mediate(cdr.FormatJSON)
		var records []*cdr.Record
		for i := range 900 {
			records = append(records, session(fmt.Sprintf("%0200d", i), "4917011", i, 1))
		}
		m.take("a.jsonl", lines(t, records...))
		m.used(900 * mib)
		if n := w.count("mno", "SELECT max(records) FROM charging_usage WHERE tenant = $1"); n < 800 {
			t.Fatalf("a row has %d records at most: the test says nothing", n)
		}
		list := func() (octets uint64) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			l := w.get(usage + "usage?limit=100&offset=300").list()
			runtime.ReadMemStats(&after)
			if len(l) != 100 || l[99]["externalId"] != fmt.Sprintf("%0200d", 399) {
				t.Fatalf("%d records, the last is %v", len(l), l[len(l)-1])
			}
			return after.TotalAlloc - before.TotalAlloc
		}
		list()
		n := list()
		t.Logf("a list of 100 records takes %d KiB of memory", n>>10)
		if n > 8<<20 {
			t.Error("its rows are read again and again")
		}
	})
}
