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
		m.handedOver(4)
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

// counters reports what was used since a session of the number 4917099 began, with
// counters of 32 bits.
func (w *world) counters(kind credit.Kind, at int64, octets uint64) {
	w.Helper()
	call := &credit.Call{}
	r := &call.Request
	*r = credit.Request{Face: credit.RADIUS, Kind: kind, Service: credit.Data, At: at * 1_000_000, Digest: uint64(at), Peer: []byte("nas"), Session: []byte("a"),
		Subscribers: []credit.Subscriber{{Type: credit.E164, ID: []byte("4917099")}}}
	if kind != credit.Initial {
		r.AddUnit().Used = []credit.Used{{Cumulative: true, Narrow: true, Units: credit.Units{Has: credit.HasInput | credit.HasOutput, Output: octets & (1<<32 - 1)}}}
	}
	credit.Do(w.room.Engine, call)
}

// What was used is charged once: by the case of it, or by the session from when its
// subscriber is known, whatever comes first; also if counters of 32 bits wrap
// meanwhile, the node starts anew, or the Start comes last.
func TestASessionThatBecomesKnownGoesOnFromItsCases(t *testing.T) {
	const end = 6000 * mib // beyond 32 bits
	become := func(w *world) { w.sell("mno", "late", "prepaid", "4917099") }
	before := func(w *world) {
		w.counters(credit.Update, 1000, 2000*mib)
		w.counters(credit.Update, 2000, 4000*mib)
		w.counters(credit.Update, 3000, 5000*mib) // wrapped
		w.counters(credit.Update, 2500, 4500*mib) // overtaken
	}
	after := func(w *world) {
		w.counters(credit.Update, 4000, 5500*mib)
		w.counters(credit.Terminate, 5000, end)
		w.counters(credit.Terminate, 5000, end)
	}
	again := func(m *mediation, cases int) {
		m.handedOver(int64(cases))
		m.recycle(charging.Recycling{Select: charging.Selection{Source: "nas"}, Set: map[string]jsontext.Value{"msisdn": jsontext.Value(`"4917011"`)}}, cases)
	}
	for name, walk := range map[string]func(m *mediation){
		"the cases last":  func(m *mediation) { before(m.world); become(m.world); after(m.world); again(m, 3) },
		"the cases first": func(m *mediation) { before(m.world); again(m, 3); become(m.world); after(m.world) },
		"only its end": func(m *mediation) {
			before(m.world)
			become(m.world)
			m.counters(credit.Terminate, 5000, end)
			again(m, 3)
		},
		"its end is a case": func(m *mediation) {
			before(m.world)
			m.counters(credit.Terminate, 5000, end)
			become(m.world)
			m.counters(credit.Terminate, 5000, end)
			again(m, 4)
		},
		"a late Start": func(m *mediation) {
			before(m.world)
			become(m.world)
			m.counters(credit.Initial, 500, 0)
			after(m.world)
			again(m, 3)
		},
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(w *world) {
				w.sell("mno", "line", "prepaid", "4917011")
				m := w.mediate(cdr.FormatJSON)
				walk(m)
				m.used(end)
			})
		})
	}
	t.Run("a node that starts anew", func(t *testing.T) {
		each(t, func(w *world) {
			w.sell("mno", "line", "prepaid", "4917011")
			before(w)
			w.again()
			become(w)
			w.again()
			m := w.mediate(cdr.FormatJSON) // of the node that runs now
			after(w)
			again(m, 3)
			m.used(end)
		})
	})
}

// What a client of Diameter reports is what was used since its last report. A request
// of nobody that comes again when its subscriber is known is the case it is already.
func TestARequestOfNobodyThatComesAgainIsOneCase(t *testing.T) {
	each(t, func(w *world) {
		w.sell("mno", "line", "prepaid", "4917011")
		m := w.mediate(cdr.FormatJSON)
		ask := func(number uint32, octets uint64) {
			call := &credit.Call{}
			r := &call.Request
			*r = credit.Request{Face: credit.Diameter, Kind: credit.Update, Service: credit.Data, Numbered: true, Number: number, At: int64(number) * 1_000_000,
				Digest: uint64(number), Peer: []byte("nas"), Session: []byte("a"), Subscribers: []credit.Subscriber{{Type: credit.E164, ID: []byte("4917099")}}}
			r.AddUnit().Used = []credit.Used{{Units: credit.Units{Has: credit.HasTotal, Total: octets}}}
			credit.Do(w.room.Engine, call)
		}
		ask(1, 2*mib)
		w.sell("mno", "late", "prepaid", "4917099")
		ask(1, 2*mib)
		ask(2, 3*mib)
		m.handedOver(3)
		m.recycle(charging.Recycling{Select: charging.Selection{Source: "nas"}}, 2)
		m.used(5 * mib)
	})
}
