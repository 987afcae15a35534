package core

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"math/big"
	"testing"
	"time"

	"pgregory.net/rapid"

	"tandem/edge/credit"
	"tandem/kit/journal"
	"tandem/kit/store"
	"tandem/kit/store/storetest"
)

// crash ends the engine without a snapshot and lets another take over.
func (r *rig) crash() {
	r.e.leaveHouse()
	if err := r.e.Journal.Release(context.Background(), r.e.letGo()); err != nil {
		r.Fatal(err)
	}
	r.open()
}

// state is all accounts as a snapshot would hold them.
func (r *rig) state() []byte {
	r.e.flush()
	var b []byte
	for _, sh := range r.e.shards {
		sh.mu.Lock()
		if len(sh.accounts) > 0 {
			b = putPage(putU(putU(b, uint64(sh.number)), sh.records), sh.accounts)
		}
		sh.mu.Unlock()
	}
	return b
}

// The flag of the command line, if there is one, is read later and wins.
func init() { flag.Set("rapid.checks", "20") }

// model is what was said to the engine, told by somebody who has no engine.
type model struct {
	*rapid.T
	r        *rig
	sessions []*said
	topped   map[Ref]*big.Int
	octets   map[Ref]uint64 // used, of requests that count
	texts    map[Ref]int
	count    int
}

type said struct {
	ref    Ref
	msisdn uint64
	name   string
	number uint32
	grant  uint64
	last   func() *credit.Call
	answer credit.Granted
	over   bool
}

// TestAnyInterleavingChargesUniqueUseOnce is R11: whatever is repeated, late, or
// interrupted, money and units taken are those of the distinct use, reservations
// are the open grants, and replay gives what was decided.
func TestAnyInterleavingChargesUniqueUseOnce(t *testing.T) {
	for _, engine := range []store.Dialect{store.SQLite, store.Postgres} {
		t.Run(engine.String(), func(t *testing.T) {
			db := storetest.Open(t, engine, journal.Schema())
			rapid.Check(t, func(rt *rapid.T) { interleave(t, rt, db) })
		})
	}
}

func interleave(t *testing.T, rt *rapid.T, db *store.DB) {
	r := newRig(t, db)
	defer func() { r.e.Close(context.Background()) }()
	m := &model{T: rt, r: r, topped: map[Ref]*big.Int{}, octets: map[Ref]uint64{}, texts: map[Ref]int{}}
	refs := []Ref{NewRef(0, 0), NewRef(0, 1), NewRef(77, 5)}
	for i, ref := range refs {
		money := rapid.Int64Range(0, 3e9).Draw(rt, "money")
		r.account(ref, 447700900000+uint64(i), money)
		m.topped[ref] = big.NewInt(money)
		r.give(ref, dataBucket, 100<<20, r.now().Add(30*24*time.Hour))
	}
	rt.Repeat(map[string]func(*rapid.T){
		"open":    func(rt *rapid.T) { m.open(refs[rapid.IntRange(0, len(refs)-1).Draw(rt, "account")], rt) },
		"update":  func(rt *rapid.T) { m.use(credit.Update, rt) },
		"end":     func(rt *rapid.T) { m.use(credit.Terminate, rt) },
		"repeat":  m.again,
		"message": func(rt *rapid.T) { m.message(refs[rapid.IntRange(0, len(refs)-1).Draw(rt, "account")]) },
		"top up": func(rt *rapid.T) {
			ref, n := refs[rapid.IntRange(0, len(refs)-1).Draw(rt, "account")], rapid.Int64Range(1, 1e9).Draw(rt, "amount")
			r.run(ref, func(h *Hand) error { return h.Credit(1, n, TopUp, "x", 0) })
			m.topped[ref].Add(m.topped[ref], big.NewInt(n))
		},
		"snapshot": func(rt *rapid.T) {
			if err := r.e.Snapshot(context.Background()); err != nil {
				rt.Fatal(err)
			}
		},
		"crash": func(rt *rapid.T) {
			before := r.state()
			r.crash()
			if after := r.state(); !bytes.Equal(before, after) {
				rt.Fatalf("replay differs: %x\n%x", before, after)
			}
		},
		"": func(rt *rapid.T) { m.holds(rt, refs) },
	})
	m.adds(rt, refs)
}

func (m *model) open(ref Ref, rt *rapid.T) {
	if len(m.sessions) > 8 {
		return
	}
	m.count++
	s := &said{ref: ref, msisdn: 447700900000, name: fmt.Sprint("s", m.count)}
	for i, x := range []Ref{NewRef(0, 0), NewRef(0, 1), NewRef(77, 5)} {
		if x == ref {
			s.msisdn += uint64(i)
		}
	}
	m.send(s, credit.Initial, 0)
	m.sessions = append(m.sessions, s)
}

func (m *model) send(s *said, kind credit.Kind, used uint64) {
	number := s.number
	s.number++
	s.last = func() *credit.Call {
		c := ask(kind, s.name, number, s.msisdn)
		u := group(c, 10)
		u.Asked = kind != credit.Terminate
		if kind != credit.Initial {
			u.Used = append(u.Used, credit.Used{Units: octets(used)})
		}
		return c
	}
	a := m.r.charge(s.last())
	if len(a.Units) != 1 {
		m.Fatalf("%+v", a)
	}
	s.answer, s.grant = a.Units[0], a.Units[0].Grant.Total
	m.octets[s.ref] += used
}

// use reports what the last grant allowed, or less.
func (m *model) use(kind credit.Kind, rt *rapid.T) {
	if len(m.sessions) == 0 {
		rt.Skip("none open")
	}
	i := rapid.IntRange(0, len(m.sessions)-1).Draw(rt, "session")
	s := m.sessions[i]
	m.send(s, kind, rapid.Uint64Range(0, s.grant).Draw(rt, "used"))
	if kind == credit.Terminate {
		m.sessions = append(m.sessions[:i], m.sessions[i+1:]...)
	}
}

// again sends a request a second time: it must be answered as the first time.
func (m *model) again(rt *rapid.T) {
	if len(m.sessions) == 0 {
		rt.Skip("none open")
	}
	s := m.sessions[rapid.IntRange(0, len(m.sessions)-1).Draw(rt, "session")]
	a := m.r.charge(s.last())
	if len(a.Units) != 1 || a.Units[0].Grant != s.answer.Grant || a.Units[0].Result != s.answer.Result {
		rt.Fatalf("first %+v, again %+v", s.answer, a.Units)
	}
}

func (m *model) message(ref Ref) {
	m.count++
	for i, x := range []Ref{NewRef(0, 0), NewRef(0, 1), NewRef(77, 5)} {
		if x != ref {
			continue
		}
		send := func() credit.Result {
			c := ask(credit.Event, fmt.Sprint("sms", m.count), 0, 447700900000+uint64(i))
			c.Request.Service = credit.SMS
			u := c.Request.AddUnit()
			u.Want = credit.Units{Has: credit.HasEvents, Events: 1}
			return m.r.charge(c).Result
		}
		first := send()
		if first == credit.Success {
			m.texts[ref]++
		} else if first != credit.LimitReached {
			m.Fatalf("a message: %v", first)
		}
		if again := send(); again != first && first == credit.Success {
			m.Fatalf("a repeated message: %v, then %v", first, again)
		}
	}
}

// holds checks that reservations are the open grants and never more than there is.
func (m *model) holds(rt *rapid.T, refs []Ref) {
	for _, ref := range refs {
		if err := m.r.e.Look(ref, func(a *Account) {
			held := map[uint32]int64{}
			a.Sessions(func(s *Session) {
				for _, g := range s.Groups {
					for _, h := range g.Holds {
						held[h.Bucket] += h.Amount
					}
				}
			})
			for _, b := range a.Buckets {
				if b.Held != held[b.ID] || b.Held < 0 || b.Value < b.Held {
					rt.Fatalf("bucket %d: left %d, held %d, open grants %d", b.ID, b.Value, b.Held, held[b.ID])
				}
			}
		}); err != nil {
			rt.Fatal(err)
		}
	}
}

// adds prices what was used, with unbounded numbers and from the journal, and
// compares it with what is left.
func (m *model) adds(rt *rapid.T, refs []Ref) {
	m.r.e.flush()
	type line struct{ priced, total uint64 }
	lines, data := map[Ref]map[uint64]*line{}, map[Ref]int64{}
	var all journal.Set
	for i := range journal.Shards {
		all.Add(i)
	}
	var mv Move
	err := m.r.e.Journal.Replay(context.Background(), 0, all, func(seq int64, b *journal.Batch) error {
		return Scan(b.Blob, b.First, func(rec *Record, next func(*Move) bool) error {
			number := rec.Sess
			for next(&mv) {
				switch mv.Op {
				case opOpen:
					number = mv.Session.Number
				case opUse:
					if lines[rec.Ref()] == nil {
						lines[rec.Ref()] = map[uint64]*line{}
					}
					l := lines[rec.Ref()][number]
					if l == nil {
						l = &line{}
						lines[rec.Ref()][number] = l
					}
					l.priced += mv.use.priced
					l.total += mv.use.totals.Total
				case opDebit:
					if mv.ID == 2 {
						data[rec.Ref()] += mv.Amount
					}
				}
			}
			return nil
		})
	})
	if err != nil {
		rt.Fatal(err)
	}
	for _, ref := range refs {
		cost, used, priced := new(big.Int), uint64(0), uint64(0)
		for _, l := range lines[ref] {
			cost.Add(cost, dear(l.priced))
			used += l.total
			priced += l.priced
		}
		cost.Add(cost, big.NewInt(int64(m.texts[ref])*90_000_000))
		if used != m.octets[ref] || used != priced+uint64(data[ref]) {
			rt.Fatalf("used %d, reported %d, priced %d, from the bucket %d", used, m.octets[ref], priced, data[ref])
		}
		left, _, _ := m.r.value(ref, 1)
		if want := new(big.Int).Sub(m.topped[ref], cost); want.Cmp(big.NewInt(left)) != 0 {
			rt.Fatalf("account %x: %d left, %v expected", ref, left, want)
		}
		if bucket, _, _ := m.r.value(ref, 2); bucket != 100<<20-data[ref] {
			rt.Fatalf("bucket: %d left after %d", bucket, data[ref])
		}
	}
}

// dear is what n octets of a session cost at 0.01 per MiB, in 10^-9, half up.
func dear(n uint64) *big.Int {
	x := new(big.Int).Mul(new(big.Int).SetUint64(n), big.NewInt(10_000_000*2))
	x.Add(x, big.NewInt(1<<20))
	return x.Div(x, big.NewInt(2<<20))
}

// moves calls fn for every move in the journal.
func (r *rig) moves(fn func(*Record, *Move)) {
	r.Helper()
	r.e.flush()
	var m Move
	err := r.e.Journal.Replay(context.Background(), 0, journal.All(), func(_ int64, b *journal.Batch) error {
		return Scan(b.Blob, b.First, func(rec *Record, next func(*Move) bool) error {
			for next(&m) {
				fn(rec, &m)
			}
			return nil
		})
	})
	if err != nil {
		r.Fatal(err)
	}
}
