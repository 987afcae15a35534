package charging_test

import (
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"tandem/bss/charging"
	"tandem/edge/cdr"
	"tandem/edge/credit"
)

// unknown reports use of a number that nobody has.
func (w *world) unknown(face credit.Face, kind credit.Kind, session string, at int64, used ...credit.Used) {
	w.Helper()
	call := &credit.Call{}
	r := &call.Request
	*r = credit.Request{Face: face, Kind: kind, Service: credit.Data, At: at, Peer: []byte("nas"), Session: []byte(session),
		Subscribers: []credit.Subscriber{{Type: credit.E164, ID: []byte("4917099")}}}
	r.AddUnit().Used = used
	credit.Do(w.room.Engine, call)
	if call.Answer.Result == credit.Success {
		w.Fatalf("use of nobody was charged")
	}
}

// handedOver waits for the suspense rows and has cases made of them.
func (m *mediation) handedOver(rows int64) {
	m.Helper()
	m.await("the suspense rows", func() bool { return m.count("mno", "SELECT count(*) FROM charging_suspense WHERE tenant = $1") == rows })
	if err := m.m.WorkSuspense(m.Context()); err != nil {
		m.Fatal(err)
	}
}

// A client that counts since the session began says with each report what it said
// before, and more: what was used is one sum of cases, whatever was repeated or late.
func TestSuspenseOfAClientThatCounts(t *testing.T) {
	each(t, func(w *world) {
		w.sell("mno", "line", "prepaid", "4917011")
		m := w.mediate(cdr.FormatJSON)
		up := func(n uint64) credit.Used {
			return credit.Used{Cumulative: true, Units: credit.Units{Has: credit.HasInput | credit.HasOutput, Input: n * mib, Output: n * mib}}
		}
		w.unknown(credit.RADIUS, credit.Update, "a", 1_000_000, up(5))
		w.unknown(credit.RADIUS, credit.Update, "b", 1_000_000, up(7))
		m.handedOver(2)
		w.unknown(credit.RADIUS, credit.Update, "a", 3_000_000, up(12))
		w.unknown(credit.RADIUS, credit.Update, "a", 3_000_000, up(12))
		w.unknown(credit.RADIUS, credit.Update, "a", 2_000_000, up(9)) // overtaken
		w.unknown(credit.RADIUS, credit.Terminate, "a", 4_000_000, up(20))
		m.handedOver(6)
		if c := m.cases("open"); len(c) != 4 {
			t.Fatalf("%d cases: %+v", len(c), c)
		}
		m.recycle(charging.Recycling{Select: charging.Selection{Source: "nas"}, Set: map[string]jsontext.Value{"msisdn": jsontext.Value(`"4917011"`)}}, 4)
		m.used(2 * 27 * mib)
	})
}

// A client that does not number its requests reports several uses under one name, and
// the same use twice in one request: all of it waits for a person.
func TestSuspenseOfAClientThatDoesNotNumber(t *testing.T) {
	each(t, func(w *world) {
		w.sell("mno", "line", "prepaid", "4917011")
		m := w.mediate(cdr.FormatJSON)
		vol := func(n uint64) credit.Used {
			return credit.Used{Units: credit.Units{Has: credit.HasTotal, Total: n * mib}}
		}
		w.unknown(credit.Nchf, credit.Update, "a", 1_000_000, vol(1), vol(1))
		m.handedOver(2)
		w.unknown(credit.Nchf, credit.Update, "a", 2_000_000, vol(2), vol(4))
		w.unknown(credit.Nchf, credit.Update, "a", 3_000_000, vol(8))
		w.unknown(credit.Nchf, credit.Update, "a", 3_000_000, vol(8)) // the same again
		m.handedOver(6)
		w.unknown(credit.Nchf, credit.Update, "a", 3_000_000, vol(8)) // and once more
		m.handedOver(7)
		if c := m.cases("open"); len(c) != 5 {
			t.Fatalf("%d cases: %+v", len(c), c)
		}
		m.recycle(charging.Recycling{Select: charging.Selection{Source: "nas"}, Set: map[string]jsontext.Value{"msisdn": jsontext.Value(`"4917011"`)}}, 5)
		m.used(16 * mib)
	})
}
