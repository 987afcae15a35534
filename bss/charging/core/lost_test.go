package core

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tandem/edge/credit"
	"tandem/kit/journal"
	"tandem/kit/store"
	"tandem/kit/store/storetest"
)

var errCut = errors.New("the connection broke")

// shaky is a journal whose appends fail now and then; some of them are durable all
// the same, and nobody knows which.
type shaky struct {
	Journal
	mu    sync.Mutex
	dice  *rand.Rand
	calm  atomic.Bool
	cuts  atomic.Int64
	gate  chan struct{} // not nil: appends wait until it is closed
	stuck chan struct{} // told when an append waits
}

func (s *shaky) Append(ctx context.Context, b *journal.Batch) (int64, error) {
	if s.gate != nil {
		select {
		case s.stuck <- struct{}{}:
		default:
		}
		<-s.gate
	}
	s.mu.Lock()
	luck := s.dice.Intn(8)
	s.mu.Unlock()
	if s.calm.Load() || luck > 1 {
		return s.Journal.Append(ctx, b)
	}
	s.cuts.Add(1)
	if luck == 0 {
		s.Journal.Append(ctx, b)
	}
	broken, stop := context.WithCancel(ctx) // what the log sees: it does not know either
	stop()
	if _, err := s.Journal.Append(broken, b); err != nil {
		return 0, err
	}
	return 0, errCut
}

// client of the network that repeats what is answered with Busy, until it is not.
func (r *rig) insist(c *credit.Call) *credit.Answer {
	r.Helper()
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); {
		if a := r.charge(c); a.Result != credit.Busy {
			return a
		}
		r.e.flush() // give way to those who load the shards
	}
	r.Fatal("busy for too long")
	return nil
}

// TestLostBatchesAreNeitherDoubledNorLost is R11 under the worst journal: each
// append may fail, and may be durable all the same.
func TestLostBatchesAreNeitherDoubledNorLost(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		const callers, updates = 8, 12
		for i := range callers {
			r.account(NewRef(i*30, 0), 447700910000+uint64(i), 1e12)
		}
		r.e.Close(t.Context())
		var bad *shaky
		r.wrap = func(j Journal) Journal {
			bad = &shaky{Journal: j, dice: rand.New(rand.NewSource(7))}
			return bad
		}
		r.open()
		var wg sync.WaitGroup
		for i := range callers {
			wg.Go(func() {
				for n := range uint32(updates) {
					kind := credit.Update
					if n == 0 {
						kind = credit.Initial
					}
					c := ask(kind, fmt.Sprint("s", i), n, 447700910000+uint64(i))
					u := group(c, 10)
					if n > 0 {
						u.Used = append(u.Used, credit.Used{Units: octets(1 << 20)})
					}
					if a := r.insist(c); a.Result != credit.Success {
						t.Errorf("caller %d, request %d: %v", i, n, a.Result)
					}
				}
			})
		}
		wg.Wait()
		bad.calm.Store(true)
		if bad.cuts.Load() == 0 {
			t.Fatal("no append failed: the test says nothing")
		}
		for i := range callers {
			r.settle()
			if left, held, _ := r.value(NewRef(i*30, 0), 1); left != 1e12-(updates-1)*1e7 || held != 1e8 {
				t.Errorf("account %d: left %d, held %d", i, left, held)
			}
		}
	})
}

// settle waits until the engine holds all shards.
func (r *rig) settle() {
	r.Helper()
	for end := time.Now().Add(30 * time.Second); r.e.Held().Len() < journal.Shards; {
		if time.Now().After(end) {
			r.Fatalf("%d shards held", r.e.Held().Len())
		}
		r.e.renew(context.Background())
	}
}

// TestAFrozenNodeCountsNothingWhenItThaws: a node hangs with a batch in its hands,
// another takes over, charges and lets go; the first must not write what it had
// decided before.
func TestAFrozenNodeCountsNothingWhenItThaws(t *testing.T) {
	db := storetest.Open(t, store.Postgres, journal.Schema())
	r := newRig(t, db)
	r.Lease = 50 * time.Millisecond
	r.account(NewRef(3, 0), 447700920000, 1e9)
	r.data(credit.Initial, "s", 0, 447700920000, 10, 0)
	r.e.Close(t.Context())

	frozen := &shaky{dice: rand.New(rand.NewSource(1)), gate: make(chan struct{}), stuck: make(chan struct{}, 1)}
	frozen.calm.Store(true)
	r.wrap = func(j Journal) Journal { frozen.Journal = j; return frozen }
	r.open()
	first := r.e
	first.leaveHouse() // it hangs as a whole: its leases run out
	stuck := ask(credit.Update, "s", 1, 447700920000)
	group(stuck, 10).Used = []credit.Used{{Units: octets(6 << 20)}}
	stuck.Request.Received = r.now().UnixMicro()
	answered := make(chan credit.Result, 1)
	stuck.Done = func(c *credit.Call) { answered <- c.Answer.Result }
	first.Charge(stuck)
	<-frozen.stuck

	r.wrap = nil
	r.takeOver()
	g := r.data(credit.Update, "s", 1, 447700920000, 10, 6<<20) // the client fails over
	if g.Result != credit.Success || g.Grant.Total != 10<<20 {
		t.Fatalf("after the take-over: %+v", g)
	}
	close(frozen.gate)
	if got := <-answered; got != credit.Busy {
		t.Fatalf("the frozen node answered %v", got)
	}
	if first.Stats.Fenced.Load() == 0 {
		t.Fatal("the frozen node was not fenced")
	}
	if left, held, _ := r.value(NewRef(3, 0), 1); left != 94e7 || held != 1e8 {
		t.Fatalf("left %d, held %d", left, held)
	}
	first.Close(t.Context())
	r.crash() // what the journal says
	if left, held, _ := r.value(NewRef(3, 0), 1); left != 94e7 || held != 1e8 {
		t.Fatalf("in the journal: left %d, held %d", left, held)
	}
}

// takeOver starts another engine and waits until it has all shards.
func (r *rig) takeOver() {
	r.Helper()
	r.open()
	r.settle()
}

// TestWhatWasDecidedBeforeALossIsNotWrittenAfterIt: the leases are found lost while a
// batch waits for the writer; it must go with them, though the shards are back.
func TestWhatWasDecidedBeforeALossIsNotWrittenAfterIt(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		r.account(NewRef(3, 0), 447700921000, 1e9)
		r.e.writing.Lock() // the writer does not come to it
		c := ask(credit.Initial, "s", 0, 447700921000)
		group(c, 10)
		answered := make(chan credit.Result, 1)
		c.Done = func(c *credit.Call) { answered <- c.Answer.Result }
		c.Request.Received = r.now().UnixMicro()
		r.e.Charge(c)
		r.e.lose(&batch{}, journal.ErrFenced)
		r.e.writing.Unlock()
		if got := <-answered; got != credit.Busy {
			t.Fatalf("answered %v", got)
		}
		if err := r.e.Journal.Release(t.Context(), journal.All()); err != nil {
			t.Fatal(err)
		}
		r.settle()
		if left, held, _ := r.value(NewRef(3, 0), 1); left != 1e9 || held != 0 {
			t.Fatalf("left %d, held %d", left, held)
		}
		if a := r.insist(c); a.Result != credit.Success {
			t.Fatalf("again: %v", a.Result)
		}
		r.crash()
		if left, held, _ := r.value(NewRef(3, 0), 1); left != 1e9 || held != 1e8 {
			t.Fatalf("in the journal: left %d, held %d", left, held)
		}
	})
}

// TestACommandThatFailsLeavesNothing: half a command is none.
func TestACommandThatFailsLeavesNothing(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		ref := NewRef(5, 0)
		r.account(ref, 447700930000, 1e9)
		r.data(credit.Initial, "s", 0, 447700930000, 10, 0)
		before := r.state()
		refused := errors.New("no")
		_, err := r.e.Run(t.Context(), Command{Number: 77, Ref: ref, Do: func(h *Hand) error {
			if _, err := h.Subscribe(Subscriber{Plan: planBasic, E164: Digits("447700930999")}); err != nil {
				return err
			}
			if err := h.Credit(1, 5e9, TopUp, "x", 0); err != nil {
				return err
			}
			if _, err := h.Give(Bucket{Def: dataBucket}, 1<<20, Bonus, ""); err != nil {
				return err
			}
			return refused
		}})
		if !errors.Is(err, refused) {
			t.Fatal(err)
		}
		_, err = r.e.Run(t.Context(), Command{Number: 78, Ref: NewRef(5, 1), Do: func(h *Hand) error {
			if err := h.Open(host, 978, Prepaid, 0); err != nil {
				return err
			}
			if _, err := h.Subscribe(Subscriber{Plan: planBasic, E164: Digits("447700930998")}); err != nil {
				return err
			}
			return refused
		}})
		if !errors.Is(err, refused) {
			t.Fatal(err)
		}
		if after := r.state(); string(before) != string(after) && len(after) != len(before)+1 { // a place without an account
			t.Fatalf("something was left:\n%x\n%x", before, after)
		}
		for _, number := range []uint64{447700930999, 447700930998} {
			if a := r.charge(ask(credit.Initial, "other", 0, number)); a.Result != credit.UnknownUser {
				t.Fatalf("%d: %v", number, a.Result)
			}
		}
		r.data(credit.Update, "s", 1, 447700930000, 10, 1<<20)
		done, err := r.e.Run(t.Context(), Command{Number: 77, Ref: ref, Do: func(h *Hand) error { return h.Credit(1, 1e9, TopUp, "x", 0) }})
		if done || err != nil {
			t.Fatal("the number of a command that failed is used up", done, err)
		}
		r.crash()
		if left, _, _ := r.value(ref, 1); left != 2e9-1e7 {
			t.Fatalf("left %d", left)
		}
	})
}

// TestAnEngineThatClosesAnswersEverybody: no call is left without an answer.
func TestAnEngineThatClosesAnswersEverybody(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		for i := range 16 {
			r.account(NewRef(i, 0), 447700940000+uint64(i), 1e12)
		}
		var wg sync.WaitGroup
		var sent, answered atomic.Int64
		for i := range 16 {
			wg.Go(func() {
				for n := range uint32(200) {
					c := ask(credit.Initial, fmt.Sprint(i, ";", n), 0, 447700940000+uint64(i))
					group(c, 10)
					c.Request.Received = r.now().UnixMicro()
					done := make(chan struct{})
					c.Done = func(*credit.Call) { answered.Add(1); close(done) }
					sent.Add(1)
					r.e.Charge(c)
					select {
					case <-done:
					case <-time.After(10 * time.Second):
						t.Error("no answer")
						return
					}
				}
			})
		}
		if err := r.e.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		wg.Wait()
		if sent.Load() != answered.Load() || r.e.pending.Load() != 0 {
			t.Fatalf("%d sent, %d answered, %d pending", sent.Load(), answered.Load(), r.e.pending.Load())
		}
	})
}

// quiet is a log that says nothing.
var quiet = slog.New(slog.DiscardHandler)
