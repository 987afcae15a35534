package core

import (
	"context"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"tandem/edge/credit"
	"tandem/kit/journal"
)

// crowd opens accounts with a number, an IMSI and a balance each, without waiting
// for the disk one by one.
func crowd(b *testing.B, e *Engine, accounts int) {
	b.Helper()
	var wg sync.WaitGroup
	for i := range accounts {
		wg.Add(1)
		ref := NewRef(i%256, uint32(i/256))
		_, err := e.runIn(e.shards[i%256], Command{Ref: ref, Do: func(h *Hand) error {
			if err := h.Open(host, 978, Prepaid, start.Unix()); err != nil {
				return err
			}
			if _, err := h.Subscribe(Subscriber{Plan: planBasic, E164: 1e12 + 447700000000 + uint64(i), IMSI: 1e15 + 240010000000000 + uint64(i)}); err != nil {
				return err
			}
			_, err := h.Give(Bucket{Def: mainMoney}, 1e12, TopUp, "")
			return err
		}}, func(error) { wg.Done() })
		if err != nil {
			b.Fatal(err)
		}
	}
	wg.Wait()
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// BenchmarkAccounts says what an account costs in memory, its names and all, and how
// long the collector is busy with them.
func BenchmarkAccounts(b *testing.B) {
	for _, n := range []int{100_000, 1_000_000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			for b.Loop() {
				before := heap()
				e := New(Config{Book: basicBook(b), Journal: &nowhere{}, Log: quiet})
				if err := e.Start(b.Context()); err != nil {
					b.Fatal(err)
				}
				crowd(b, e, n)
				after := heap()
				began := time.Now()
				runtime.GC()
				b.ReportMetric(float64(time.Since(began).Milliseconds()), "ms/GC")
				b.ReportMetric(float64(after-before)/float64(n), "B/account")
				b.ReportMetric(float64(unsafe.Sizeof(Account{})), "B/Account{}")
				b.ReportMetric(float64(unsafe.Sizeof(Session{})), "B/Session{}")
				b.ReportMetric(float64(unsafe.Sizeof(Group{})), "B/Group{}")
				e.Close(context.Background())
			}
		})
	}
}

// BenchmarkRestart opens reservations on a real journal, and says how long a restart
// takes with all of them open, from a snapshot and by replay, and how long it takes
// to end them when all are stale at once (Tcc).
func BenchmarkRestart(b *testing.B) {
	for _, n := range []int{100_000, 1_000_000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			for b.Loop() {
				restart(b, n)
			}
		})
	}
}

func restart(b *testing.B, n int) {
	db := benchStore(b)
	now := start
	open := func(holder string) (e *Engine, took time.Duration) {
		began := time.Now()
		e = New(Config{Book: basicBook(b), Journal: journal.New(db, "charging", journal.Options{Holder: holder, Log: quiet}), Log: quiet, Clock: func() time.Time { return now }})
		if err := e.Start(b.Context()); err != nil {
			b.Fatal(err)
		}
		return e, time.Since(began)
	}
	e, _ := open("a")
	crowd(b, e, n)
	reserve(e, n)
	e.leaveHouse() // it dies: everything comes back by replay
	if err := e.Journal.Release(b.Context(), e.letGo()); err != nil {
		b.Fatal(err)
	}
	e, took := open("b")
	b.ReportMetric(took.Seconds(), "s/replay")
	if err := e.Close(b.Context()); err != nil {
		b.Fatal(err)
	}
	e, took = open("c")
	b.ReportMetric(took.Seconds(), "s/restart")
	e.leaveHouse()
	now = now.Add(3 * time.Hour)
	began := time.Now()
	e.Sweep()
	e.flush()
	b.ReportMetric(time.Since(began).Seconds(), "s/Tcc")
	ended := 0
	for _, sh := range e.shards {
		for _, a := range sh.accounts {
			if a != nil && a.sessions == nil && a.Buckets[0].Held == 0 {
				ended++
			}
		}
	}
	if ended != n {
		b.Fatalf("%d of %d were ended", ended, n)
	}
	e.Close(b.Context())
}

// reserve opens a session on each account.
func reserve(e *Engine, n int) {
	onEach(e, n, func(c *credit.Call) { group(c, 10) })
}

// update reports a megabyte of each session and asks for more.
func update(e *Engine, n int, number uint32) {
	onEach(e, n, func(c *credit.Call) {
		c.Request.Kind, c.Request.Number, c.Request.Digest = credit.Update, number, uint64(number)
		u := group(c, 10)
		u.Used = append(u.Used, credit.Used{Units: credit.Units{Has: credit.HasTotal, Total: 1 << 20}})
	})
}

// onEach sends a request of a session to each account.
func onEach(e *Engine, n int, fill func(*credit.Call)) {
	var wg sync.WaitGroup
	room := make(chan *credit.Call, 4096)
	for range cap(room) {
		room <- &credit.Call{Done: func(c *credit.Call) { wg.Done(); room <- c }}
	}
	for i := range n {
		c := <-room
		r := &c.Request
		r.Reset()
		r.Kind, r.Service, r.Numbered, r.PLMN, r.Peer, r.Session = credit.Initial, credit.Data, true, 240001, []byte("pgw.example"), fmt.Appendf(nil, "pgw.example;1876543210;%d", i)
		r.Received, r.Context = start.UnixMicro(), []byte("32251@3gpp.org")
		r.Subscribers = append(r.Subscribers, credit.Subscriber{Type: credit.E164, ID: fmt.Append(nil, 447700000000+i)})
		fill(c)
		wg.Add(1)
		e.Charge(c)
	}
	wg.Wait()
}

// BenchmarkSessions says what an open session costs in memory that has been updated
// until its account remembers all the answers it ever will, and what the collector
// finds to do: with objects, not with octets, its time grows.
func BenchmarkSessions(b *testing.B) {
	const n = 100_000
	for b.Loop() {
		e := New(Config{Book: basicBook(b), Journal: &nowhere{}, Log: quiet, Clock: func() time.Time { return start }})
		if err := e.Start(b.Context()); err != nil {
			b.Fatal(err)
		}
		crowd(b, e, n)
		before, objects := heap(), objectsOf()
		reserve(e, n)
		for number := range uint32(answersKept) {
			update(e, n, number+1)
		}
		b.ReportMetric(float64(heap()-before)/n, "B/session")
		b.ReportMetric(float64(objectsOf()-objects)/n, "objects/session")
		began := time.Now()
		runtime.GC()
		b.ReportMetric(float64(time.Since(began).Milliseconds()), "ms/GC")
		e.Close(context.Background())
	}
}

func objectsOf() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapObjects
}

// Most accounts and sessions fill a piece of memory of the allocator's: what is added to
// one of them costs all of them the next larger.
func TestSizes(t *testing.T) {
	for what, size := range map[string][2]uintptr{"an account with a bucket and a subscriber": {unsafe.Sizeof(wallet{}), 256}, "a session with a group and two holds": {unsafe.Sizeof(roomier{}), 512}} {
		if size[0] > size[1] {
			t.Errorf("%s takes %d octets, not %d", what, size[0], size[1])
		}
	}
}

// What a client says of its session comes back from the record of it, each in its place.
func TestTextsOfASession(t *testing.T) {
	long := strings.Repeat("x", 300)
	r := &credit.Request{Called: []byte("46700000001"), Access: []byte(long), Return: []byte("http://smf/notify")}
	var s, again Session
	s.of(1, &Subscriber{ID: 7}, r)
	in := reader{b: putSession(nil, &s)}
	in.session(&again)
	for _, s := range []*Session{&s, &again} {
		if s.Called() != "46700000001" || s.text(textAccess) != long || s.text(textBack) != "http://smf/notify" || s.text(textsOfSession-1) != "" {
			t.Errorf("%q, %q, %q", s.Called(), s.text(textAccess), s.text(textBack))
		}
	}
	none := Session{}
	in = reader{b: putSession(nil, &none)}
	if in.session(&again); in.err != nil || len(in.b) > 0 || again.Called() != "" {
		t.Errorf("%v, %q", in.err, again.Called())
	}
}
