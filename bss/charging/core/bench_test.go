package core

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"

	"tandem/edge/credit"
	"tandem/kit/journal"
)

// nowhere takes batches and keeps nothing: what deciding alone costs.
type nowhere struct {
	seq     atomic.Int64
	claimed atomic.Bool
}

func (n *nowhere) Append(context.Context, *journal.Batch) (int64, error) { return n.seq.Add(1), nil }
func (n *nowhere) Replay(context.Context, int64, journal.Set, func(int64, *journal.Batch) error) error {
	return nil
}
func (n *nowhere) Save(context.Context, []journal.Page) error { return nil }
func (n *nowhere) Load(context.Context, journal.Set, func(journal.Page) error) error {
	return nil
}
func (n *nowhere) Claim(context.Context, int) (journal.Set, error) {
	if n.claimed.Swap(true) {
		return journal.Set{}, nil // they are held
	}
	return journal.All(), nil
}
func (n *nowhere) Renew(context.Context) (journal.Set, error) { return journal.All(), nil }
func (n *nowhere) Release(context.Context, journal.Set) error { return nil }

func benchEngine(b *testing.B, j Journal, accounts int) *Engine {
	e := New(Config{Book: basicBook(b), Journal: j, Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err := e.Start(b.Context()); err != nil {
		b.Fatal(err)
	}
	var wg sync.WaitGroup
	for w := range 256 {
		wg.Go(func() {
			for i := w; i < accounts; i += 256 {
				ref := NewRef(i%256, uint32(i/256))
				_, err := e.Run(b.Context(), Command{Ref: ref, Do: func(h *Hand) error {
					if err := h.Open(host, 978, Prepaid, start.Unix()); err != nil {
						return err
					}
					if _, err := h.Subscribe(Subscriber{Plan: planBasic, E164: digits(fmt.Append(nil, 447700000000+i))}); err != nil {
						return err
					}
					_, err := h.Give(Bucket{Def: mainMoney}, 1e15, TopUp, "")
					return err
				}})
				if err != nil {
					b.Error(err)
				}
			}
		})
	}
	wg.Wait()
	return e
}

// BenchmarkUpdates runs I, 8 U, T sessions of 1,024 callers over 10,000 accounts.
func BenchmarkUpdates(b *testing.B) {
	b.Run("nowhere", func(b *testing.B) { updates(b, &nowhere{}) })
	b.Run("sqlite", func(b *testing.B) {
		db := benchStore(b)
		updates(b, journal.New(db, "charging", journal.Options{Holder: "bench"}))
	})
}

func updates(b *testing.B, j Journal) {
	const accounts, callers = 10_000, 1024
	e := benchEngine(b, j, accounts)
	b.ReportAllocs()
	b.ResetTimer()
	var left atomic.Int64
	left.Store(int64(b.N))
	var wg sync.WaitGroup
	for w := range callers {
		wg.Add(1)
		x := &caller{e: e, left: &left, wg: &wg, worker: w, accounts: accounts}
		x.call.Done = func(*credit.Call) { x.next() }
		x.session()
	}
	wg.Wait()
	b.StopTimer()
	if b.N > 1000 && e.Stats.Batches.Load() > 0 {
		b.ReportMetric(float64(e.Stats.Records.Load())/float64(e.Stats.Batches.Load()), "records/batch")
		b.ReportMetric(float64(e.Stats.Bytes.Load())/float64(e.Stats.Records.Load()), "B/record")
	}
	e.Close(context.Background())
}

type caller struct {
	e        *Engine
	call     credit.Call
	left     *atomic.Int64
	wg       *sync.WaitGroup
	worker   int
	accounts int
	n        int
	number   uint32
	name     []byte
	msisdn   []byte
}

func (c *caller) session() {
	i := (c.worker + c.n*1024) % c.accounts
	c.n++
	c.name = fmt.Appendf(c.name[:0], "pgw.example;%d;%d", c.worker, c.n)
	c.msisdn = fmt.Append(c.msisdn[:0], 447700000000+i)
	c.number = 0
	c.send(credit.Initial)
}

func (c *caller) next() {
	if c.call.Answer.Result != credit.Success {
		panic(fmt.Sprint("refused: ", c.call.Answer.Result))
	}
	if c.left.Add(-1) < 0 {
		c.wg.Done()
		return
	}
	c.number++
	switch {
	case c.number < 9:
		c.send(credit.Update)
	case c.number == 9:
		c.send(credit.Terminate)
	default:
		c.session()
	}
}

func (c *caller) send(kind credit.Kind) {
	r := &c.call.Request
	r.Reset()
	r.Kind, r.Service, r.Numbered, r.Number, r.PLMN, r.Peer, r.Session = kind, credit.Data, true, c.number, 240001, []byte("pgw.example"), c.name
	r.Digest = uint64(c.number)
	r.Subscribers = append(r.Subscribers, credit.Subscriber{Type: credit.E164, ID: c.msisdn})
	u := r.AddUnit()
	u.HasGroup, u.Group, u.Asked = true, 10, kind != credit.Terminate
	if kind != credit.Initial {
		u.Used = append(u.Used, credit.Used{Units: credit.Units{Has: credit.HasTotal, Total: 1 << 20}})
	}
	c.e.Charge(&c.call)
}
