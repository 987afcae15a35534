package charging_test

import (
	"strings"
	"testing"

	"tandem/kit/store"
)

func (w *world) batches() (n int64) {
	w.Helper()
	err := w.journal.Read(w.Context(), store.Scope{}, func(tx *store.Tx) error {
		return tx.System().Row("SELECT count(*) FROM journal_batch").Scan(&n)
	})
	if err != nil {
		w.Fatal(err)
	}
	return n
}

// TestThePrunedJournalIsStillAudited: what every snapshot, brand and audit has seen
// goes; the sums stay, so that a usage row changed afterwards is found all the same.
func TestThePrunedJournalIsStillAudited(t *testing.T) {
	each(t, func(w *world) {
		w.sell("mno", "p1", "plan", "491510001")
		w.sell("mno", "p2", "prepaid", "491510002")
		w.sell("rival", "r1", "prepaid", "491510003")
		w.eats("491510001", "a", 60_000_000)
		w.eats("491510001", "b", 60_000_001)
		w.eats("491510002", "c", 1_000_003)
		w.await("the journal to be projected", func() bool { return w.room.Behind() <= 0 })
		all := w.batches()

		lower := "UPDATE charging_usage SET octets = octets - 1 WHERE tenant = $1 AND session = 'a'"
		higher := "UPDATE charging_usage SET octets = octets + 1 WHERE tenant = $1 AND session = 'a'"
		w.change(lower)
		if err := w.room.Engine.Snapshot(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n, err := w.room.Prune(t.Context(), -1); err == nil || !strings.Contains(err.Error(), "the journal has 3 records") || n != 0 || w.batches() != all {
			t.Fatalf("a journal that disagrees with what is written: %d batches pruned of %d, %v", n, all, err)
		}
		w.change(higher)
		w.prunes(func() bool { return w.batches() < all })
		w.eats("491510002", "d", 77)
		w.eats("491510003", "e", 123_456_789)
		w.post(usage+"usage", `{"usageType":"sms","usageCharacteristic":[{"name":"msisdn","value":"491510001"},{"name":"events","value":7}]}`)
		if found := w.audited(); len(found) > 0 { // and that there are six records
			t.Fatalf("%v", found)
		}
		w.change(lower)
		if found := w.audited(); len(found) == 0 || !strings.Contains(found[0], "mno: the journal has 5 records") {
			t.Fatalf("a row that was changed after its part of the journal was pruned: %v", found)
		}
		w.change(higher)
		w.again()
		if err := w.room.Engine.Snapshot(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.prunes(func() bool { return w.batches() <= 1 }) // the last one is where the snapshots stand
		if found := w.audited(); len(found) > 0 {
			t.Fatalf("%v", found)
		}
		if left := w.left("p1.2"); left != "0" {
			t.Fatalf("%s octets are left of 100,000,000 after 120,000,001 were used", left)
		}
	})
}

// prunes prunes until it is done: a batch is looked at when no transaction that began
// before it is open any more, and on PostgreSQL others may be.
func (w *world) prunes(done func() bool) {
	w.Helper()
	w.await("the journal to be pruned", func() bool {
		had := w.batches()
		n, err := w.room.Prune(w.Context(), -1)
		if left := w.batches(); err != nil || left != had-n {
			w.Fatalf("%d batches of %d pruned, %d are left: %v", n, had, left, err)
		}
		return done()
	})
}
