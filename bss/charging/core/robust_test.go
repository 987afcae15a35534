package core

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"tandem/bss/rating"
	"tandem/edge/credit"
	"tandem/kit/journal"
	"tandem/kit/store"
	"tandem/kit/store/storetest"
)

// TestAWalletIsNeverOverspent: 32 callers on one bucket use all they are granted,
// until nothing is; together that is what was in it, to the octet.
func TestAWalletIsNeverOverspent(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		ref := NewRef(5, 0)
		r.account(ref, number, 0)
		const whole = 1<<30 + 12345
		id := r.give(ref, rolled, whole, time.Time{})
		var total atomic.Uint64
		var wg sync.WaitGroup
		for i := range 32 {
			wg.Go(func() {
				c := ask(credit.Initial, fmt.Sprint("s", i), 0, number)
				done := make(chan struct{})
				c.Done = func(*credit.Call) { done <- struct{}{} }
				report := uint64(0)
				for n := uint32(0); ; n++ {
					c.Request.Units = c.Request.Units[:0]
					c.Request.Number, c.Request.Digest, c.Request.Received = n, uint64(n), r.now().UnixMicro()
					u := group(c, 10)
					if n > 0 {
						c.Request.Kind = credit.Update
						u.Used = append(u.Used[:0], vol(report))
					}
					r.e.Charge(c)
					<-done
					g := &c.Answer.Units[0]
					if g.Result == credit.LimitReached {
						return
					}
					report = g.Grant.Total
					total.Add(report)
				}
			})
		}
		wg.Wait()
		if left, held, _ := r.value(ref, id); left != 0 || held != 0 || total.Load() != whole {
			t.Fatalf("%d of %d used, %d left, %d held", total.Load(), whole, left, held)
		}
		r.money(ref, 0, 0)
	})
}

// world is a wallet with everything: two subscribers, tiers, a day cap, switches of
// the tariff, limits, renewal, rollover, refunds.
type world struct {
	*rapid.T
	r        *rig
	ref      Ref
	sessions []*said
	count    int
	reported uint64
	debits   [][]byte
}

// TestTheJournalSaysWhatTheStateIs: whatever happens in it, and whenever it crashes,
// replay makes the same accounts; each balance is the sum of its entries; open grants
// are what is held; and all use is charged or in suspense, once.
func TestTheJournalSaysWhatTheStateIs(t *testing.T) {
	for _, engine := range []store.Dialect{store.SQLite, store.Postgres} {
		t.Run(engine.String(), func(t *testing.T) {
			db := storetest.Open(t, engine, journal.Schema())
			rapid.Check(t, func(rt *rapid.T) { live(t, rt, db) })
		})
	}
}

func live(t *testing.T, rt *rapid.T, db *store.DB) {
	r := newRig(t, db)
	defer func() { r.e.Close(context.Background()) }()
	r.timed(func(p *rating.Plan) {
		p.Counters = []rating.Counter{{Name: "month", Reset: rating.Cycle}, {Name: "day", Reset: rating.Day}}
		p.Rules[0].Counter, p.Rules[0].Grant.Pool = "month", 1
		p.Rules[0].Price = &rating.Price{Unit: "octets", Per: mib, Tiers: []rating.Step{{To: 30 * mib, Amount: "0.02"}, {From: 30 * mib, Amount: "0.01"}}, DayCap: "0.5", DayCounter: "day"}
		p.Rules = append(p.Rules, rating.Rule{Name: "abroad", Match: rating.Match{Service: "data", Network: "eu"}, Class: "data.roaming", Price: &rating.Price{Unit: "octets", Amount: "0.1", Per: mib}},
			rating.Rule{Name: "sms", Match: rating.Match{Service: "sms"}, Class: "sms", Price: &rating.Price{Unit: "events", Amount: "0.09"}})
	})
	w := &world{T: rt, r: r, ref: NewRef(33, 2)}
	r.account(w.ref, number, rapid.Int64Range(0, 3e9).Draw(rt, "money"))
	r.member(w.ref, number+1)
	r.on(w.ref, planTimed)
	r.give(w.ref, dataBucket, 40*mib, time.Date(2026, 4, 2, 0, 0, 0, 0, zone("Europe/London")))
	r.book.SetDefinition(Definition{ID: 34, Tenant: host, Name: "a day", Unit: Money, Money: true, Counter: true, Hard: true, Reset: Daily, Zone: "Europe/London", Notices: []uint8{50, 100}})
	r.run(w.ref, func(h *Hand) error { return h.Cap(34, 0, rapid.Int64Range(0, 1e9).Draw(rt, "limit"), false) })
	rt.Repeat(map[string]func(*rapid.T){
		"open":    w.open,
		"update":  func(rt *rapid.T) { w.report(credit.Update, rt) },
		"end":     func(rt *rapid.T) { w.report(credit.Terminate, rt) },
		"event":   w.event,
		"refund":  w.refund,
		"time":    func(rt *rapid.T) { r.pass(time.Duration(rapid.Int64Range(1, int64(9*24*time.Hour)).Draw(rt, "time"))) },
		"minutes": func(rt *rapid.T) { r.pass(time.Duration(rapid.Int64Range(1, int64(3*time.Hour)).Draw(rt, "time"))) },
		"top up": func(rt *rapid.T) {
			n := rapid.Int64Range(1, 1e9).Draw(rt, "amount")
			r.run(w.ref, func(h *Hand) error { return h.Credit(1, n, TopUp, "x", 0) })
		},
		"bonus": func(rt *rapid.T) {
			r.give(w.ref, rolled, rapid.Int64Range(1, 20*mib).Draw(rt, "amount"), r.now().Add(time.Duration(rapid.IntRange(1, 400).Draw(rt, "hours"))*time.Hour))
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
				rt.Fatalf("replay differs:\n%x\n%x", before, after)
			}
		},
		"": w.check,
	})
	w.r.T = t
	r.ledger(w.ref)
	w.adds()
}

func (w *world) open(rt *rapid.T) {
	if len(w.sessions) > 6 {
		rt.Skip("enough are open")
	}
	w.count++
	s := &said{msisdn: number + uint64(rapid.IntRange(0, 1).Draw(rt, "who")), name: fmt.Sprint("s", w.count)}
	w.sessions = append(w.sessions, s)
	w.say(s, credit.Initial, 0, rt)
}

func (w *world) say(s *said, kind credit.Kind, n uint64, rt *rapid.T) {
	c := ask(kind, s.name, s.number, s.msisdn)
	s.number++
	c.Request.PLMN = rapid.SampledFrom([]uint32{240001, 240001, 240001, 262001}).Draw(rt, "network")
	u := group(c, uint32(10+rapid.IntRange(0, 1).Draw(rt, "group")))
	u.Asked = kind != credit.Terminate
	if kind != credit.Initial {
		x := vol(n)
		x.Change = credit.Change(rapid.IntRange(0, 3).Draw(rt, "side"))
		u.Used = append(u.Used, x)
		w.reported += n
	}
	a := w.r.charge(c)
	if len(a.Units) > 0 {
		s.grant = a.Units[0].Grant.Total
	}
}

func (w *world) report(kind credit.Kind, rt *rapid.T) {
	if len(w.sessions) == 0 {
		rt.Skip("none open")
	}
	i := rapid.IntRange(0, len(w.sessions)-1).Draw(rt, "session")
	s := w.sessions[i]
	w.say(s, kind, rapid.Uint64Range(0, s.grant+s.grant/8).Draw(rt, "used"), rt) // a little more than granted
	if kind == credit.Terminate {
		w.sessions = append(w.sessions[:i], w.sessions[i+1:]...)
	}
}

func (w *world) event(rt *rapid.T) {
	w.count++
	c := ask(credit.Event, fmt.Sprint("e", w.count), 0, number)
	c.Request.Service, c.Request.Action = credit.SMS, rapid.SampledFrom([]credit.Action{credit.Debit, credit.Post, credit.Balance, credit.Enquiry}).Draw(rt, "action")
	c.Request.AddUnit().Want = credit.Units{Has: credit.HasEvents, Events: uint64(rapid.IntRange(1, 4).Draw(rt, "events"))}
	if a := w.r.charge(c); a.Result == credit.Success && len(a.Refund) > 0 {
		w.debits = append(w.debits, append([]byte(nil), a.Refund...))
	}
}

func (w *world) refund(rt *rapid.T) {
	if len(w.debits) == 0 {
		rt.Skip("nothing to refund")
	}
	w.count++
	c := ask(credit.Event, fmt.Sprint("r", w.count), 0, number)
	c.Request.Service, c.Request.Action, c.Request.RefundOf = credit.SMS, credit.Refund, rapid.SampledFrom(w.debits).Draw(rt, "debit")
	if n := rapid.Int64Range(0, 2e8).Draw(rt, "money"); n > 0 {
		c.Request.AddUnit().Want = credit.Units{Has: credit.HasMoney, Money: n, Currency: 978}
	}
	w.r.charge(c)
}

// check compares what is held with the open grants.
func (w *world) check(rt *rapid.T) {
	if err := w.r.e.Look(w.ref, func(a *Account) {
		buckets, counters := map[uint32]int64{}, map[uint32]int64{}
		a.Sessions(func(s *Session) {
			for _, g := range s.Groups {
				for _, h := range g.Holds {
					if h.Amount <= 0 || h.Bucket != 0 && a.bucket(h.Bucket) < 0 {
						rt.Fatalf("a hold of %d on bucket %d", h.Amount, h.Bucket)
					}
					if h.Bucket != 0 {
						buckets[h.Bucket] += h.Amount
					} else {
						counters[h.Counter] += h.Amount
					}
				}
			}
		})
		for _, b := range a.Buckets {
			if b.Held != buckets[b.ID] {
				rt.Fatalf("bucket %d: held %d, open grants %d", b.ID, b.Held, buckets[b.ID])
			}
		}
		for _, c := range a.Counters {
			if c.Held != counters[c.Def] || c.Value < 0 {
				rt.Fatalf("counter %d: %d, held %d, open grants %d", c.Def, c.Value, c.Held, counters[c.Def])
			}
		}
	}); err != nil {
		rt.Fatal(err)
	}
}

// adds compares what was reported with what was charged or suspended.
func (w *world) adds() {
	sum := uint64(0)
	w.r.moves(func(_ *Record, m *Move) {
		switch m.Op {
		case opUse:
			sum += m.use.totals.Total
		case opSuspense:
			sum += m.Lost.Totals.Total
		}
	})
	if sum != w.reported {
		w.Fatalf("%d reported, %d charged or suspended", w.reported, sum)
	}
}

// kept is a real batch of every kind of record, for the fuzzer to start from.
func kept(f *testing.F) (blobs [][]byte) {
	e := New(Config{Book: basicBook(f), Journal: &keeping{to: &blobs}, Log: quiet})
	if err := e.Start(f.Context()); err != nil {
		f.Fatal(err)
	}
	ref := NewRef(1, 0)
	_, err := e.Run(f.Context(), Command{Number: 1, Ref: ref, Do: func(h *Hand) error {
		if err := h.Open(host, 978, Prepaid, 1); err != nil {
			return err
		}
		if _, err := h.Subscribe(Subscriber{Plan: planBasic, E164: digits(fmt.Append(nil, number))}); err != nil {
			return err
		}
		if err := h.Cap(roamingCap, 0, 1e9, false); err != nil {
			return err
		}
		_, err := h.Give(Bucket{Def: mainMoney}, 1e9, TopUp, "x")
		return err
	}})
	if err != nil {
		f.Fatal(err)
	}
	for n, kind := range []credit.Kind{credit.Initial, credit.Update, credit.Update, credit.Terminate, credit.Update} {
		c := ask(kind, "s", uint32(n), number)
		u := group(c, 10)
		if n > 0 {
			u.Used = []credit.Used{vol(mib)}
		}
		credit.Do(e, c)
	}
	c := ask(credit.Event, "m", 0, number)
	c.Request.Service = credit.SMS
	c.Request.AddUnit()
	credit.Do(e, c)
	e.Close(context.Background())
	return blobs
}

// keeping keeps what is appended.
type keeping struct {
	nowhere
	to *[][]byte
}

func (b *keeping) Append(ctx context.Context, x *journal.Batch) (int64, error) {
	*b.to = append(*b.to, bytes.Clone(x.Blob))
	return b.nowhere.Append(ctx, x)
}

// FuzzAJournalThatIsDamaged: it is read with an error or without, never with a panic;
// and replay does not panic either.
func FuzzAJournalThatIsDamaged(f *testing.F) {
	blobs := kept(f)
	all := bytes.Join(blobs, nil)
	f.Add(all)
	for _, b := range blobs {
		f.Add(b)
	}
	book := basicBook(f)
	f.Fuzz(func(t *testing.T, blob []byte) {
		e := New(Config{Book: book, Journal: &nowhere{}, Log: quiet})
		var m Move
		Scan(blob, 1, func(rec *Record, next func(*Move) bool) error {
			if rec.Shard >= journal.Shards {
				t.Fatal("no such shard")
			}
			e.shards[rec.Shard].records = rec.N - 1
			return e.replay(rec, next, &m)
		})
		r := reader{b: blob}
		sh := newShard(0, newNames(), newDirectory())
		r.page(sh, 0)
		r = reader{b: blob}
		r.head(sh)
		r = reader{b: blob}
		sh.told.load(r.generation())
		sh.told.get(key{1, 2})
		var a credit.Answer
		r = reader{b: blob}
		r.answer(&a)
		r = reader{b: blob}
		r.ending(&sh.over)
	})
}
