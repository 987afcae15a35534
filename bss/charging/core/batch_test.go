package core

import (
	"errors"
	"fmt"
	"math/rand"
	"sync"
	"testing"
	"time"

	"tandem/edge/credit"
	"tandem/kit/journal"
)

// posting records of a file: who used how many octets.
type post struct {
	msisdn uint64
	octets uint64
}

// posts makes records of a file and gathers what becomes of them.
func posts(file uint64, list []post) (p *Posts, refused map[int]credit.Result, done chan error) {
	refused, done = map[int]credit.Result{}, make(chan error, 1)
	p = &Posts{File: file, Len: len(list), Fill: func(i int, r *credit.Request) uint64 {
		r.Reset()
		r.Face, r.Kind, r.Action, r.Service, r.Numbered, r.Number = credit.File, credit.Event, credit.Post, credit.Data, true, uint32(i)
		r.PLMN, r.Peer, r.Session, r.At = 240001, []byte("smf-1"), fmt.Append(nil, "s", i), start.UnixMicro()
		r.Subscribers = append(r.Subscribers, credit.Subscriber{Type: credit.E164, ID: fmt.Append(nil, list[i].msisdn)})
		u := r.AddUnit()
		u.HasGroup, u.Group = true, 10
		u.Used = append(u.Used, credit.Used{Units: octets(list[i].octets), At: r.At, Quota: credit.Offline})
		return uint64(i + 1)
	}, Refused: func(i, _ int, why credit.Result) { refused[i] = why }, Done: func(err error) { done <- err }}
	return p, refused, done
}

func (r *rig) chargeAll(p *Posts, done chan error) error {
	r.Helper()
	r.e.ChargeAll(p)
	select {
	case err := <-done:
		return err
	case <-time.After(10 * time.Second):
		r.Fatal("a block of records was not answered")
	}
	return nil
}

// posted reads the records of files in the journal.
func (r *rig) posted() (all []Posted) {
	r.Helper()
	log := journal.New(r.db, r.log, journal.Options{Holder: "reader", Log: quiet})
	var m Move
	for after := int64(0); ; {
		last, err := log.Read(r.Context(), after, 1<<20, func(_ int64, b *journal.Batch) error {
			return Scan(b.Blob, b.First, func(_ *Record, next func(*Move) bool) error {
				for next(&m) {
					if m.Op == MovePost {
						x := m.Posted
						x.Session, x.Called, x.Raw = append([]byte(nil), x.Session...), nil, append([]byte(nil), x.Raw...)
						all = append(all, x)
					}
				}
				return nil
			})
		})
		if err != nil {
			r.Fatal(err)
		}
		if last == after {
			return all
		}
		after = last
	}
}

// Records of a file are charged like events one by one, in their order for each
// account, and a replay comes to the same.
func TestRecordsOfAFileAreChargedTogether(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		const accounts, records = 5, 200
		refs := make([]Ref, accounts)
		for i := range refs {
			refs[i] = NewRef(i*50%100, uint32(i)) // two shards
			r.account(refs[i], 447700920000+uint64(i), 1e12)
		}
		bucket := r.give(refs[0], dataBucket, 3<<20, time.Time{}) // pays the first 3 MiB of the first account
		dice, list, want := rand.New(rand.NewSource(1)), []post{}, make([]int64, accounts)
		for range records {
			who := dice.Intn(accounts)
			n := uint64(1 + dice.Intn(4))
			list = append(list, post{447700920000 + uint64(who), n << 20})
			want[who] += int64(n)
		}
		list = append(list, post{447709999999, 1 << 20})
		p, refused, done := posts(7, list)
		before := r.e.Stats.Batches.Load()
		if err := r.chargeAll(p, done); err != nil {
			t.Fatal(err)
		}
		if len(refused) != 1 || refused[records] != credit.UnknownUser {
			t.Errorf("%v", refused)
		}
		if n := r.e.Stats.Batches.Load() - before; n > 3 {
			t.Errorf("%d appends for one block", n)
		}
		want[0] -= 3
		check := func(when string) {
			t.Helper()
			for i, ref := range refs {
				if left, held, _ := r.value(ref, 1); left != 1e12-want[i]*10_000_000 || held != 0 {
					t.Errorf("%s: account %d has %d left and %d held, used %d MiB", when, i, left, held, want[i])
				}
			}
			if left, _, _ := r.value(refs[0], bucket); left != 0 {
				t.Errorf("%s: %d octets are left of the allowance", when, left)
			}
		}
		check("charged")
		r.reopen()
		check("after a snapshot")
		crash(r)
		check("replayed")
		got, octets, money := r.posted(), uint64(0), int64(0)
		for _, x := range got {
			if x.File != 7 || string(x.Session) != fmt.Sprint("s", x.Place-1) || x.Totals.Total != list[x.Place-1].octets || x.At != start.UnixMicro() || x.Tariff != 1 {
				t.Errorf("%+v", x)
			}
			octets, money = octets+x.Totals.Total, money+x.Totals.Money
			if err := EachPosted(x.Raw, func(y *Posted) bool {
				if y.Place != x.Place || y.Totals != x.Totals || string(y.Session) != string(x.Session) {
					t.Errorf("raw %+v is not %+v", y, x)
				}
				return true
			}); err != nil {
				t.Error(err)
			}
		}
		if len(got) != records || money != (int64(octets>>20)-3)*10_000_000 {
			t.Errorf("%d records of %d octets cost %d", len(got), octets, money)
		}
	})
}

// crash opens the engine again without a snapshot of what is new.
func crash(r *rig) {
	r.Helper()
	r.e.leaveHouse()
	held := r.e.letGo()
	if err := r.e.Journal.Release(r.Context(), held); err != nil {
		r.Fatal(err)
	}
	r.open()
}

// Two blocks of different brands in one shard keep their brands apart.
func TestRecordsOfBrandsAreKeptApart(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		r.book.SetTenant(2, Tenant{Name: "brand", Home: []uint32{240001}})
		for i := range uint32(6) {
			r.run(NewRef(3, i), func(h *Hand) error {
				if err := h.Open(1+i%2, 978, Prepaid, r.now().Unix()); err != nil {
					return err
				}
				if _, err := h.Subscribe(Subscriber{Plan: planBasic, E164: Digits(fmt.Sprint(447700930000 + uint64(i)))}); err != nil {
					return err
				}
				_, err := h.Give(Bucket{Def: mainMoney}, 1e12, TopUp, "")
				return err
			})
		}
		var list []post
		for i := range uint64(60) {
			list = append(list, post{447700930000 + i%6, 1 << 20})
		}
		p, refused, done := posts(1, list)
		if err := r.chargeAll(p, done); err != nil || len(refused) > 0 {
			t.Fatal(err, refused)
		}
		log := journal.New(r.db, r.log, journal.Options{Holder: "reader", Log: quiet})
		seen := map[uint32]int{}
		var m Move
		if _, err := log.Read(t.Context(), 0, 1<<20, func(_ int64, b *journal.Batch) error {
			return Scan(b.Blob, b.First, func(rec *Record, next func(*Move) bool) error {
				for slot := rec.Slot; next(&m); {
					switch m.Op {
					case MoveAccount:
						slot = m.ID
					case MovePost:
						seen[rec.Tenant]++
						if rec.Tenant != 1+slot%2 {
							t.Errorf("a record of account %d is said to be of brand %d", slot, rec.Tenant)
						}
					}
				}
				return nil
			})
		}); err != nil {
			t.Fatal(err)
		}
		if seen[1] != 30 || seen[2] != 30 {
			t.Errorf("%v", seen)
		}
	})
}

// What was charged before is not charged again, and what cannot be decided on is said
// to be busy.
func TestRecordsThatWereChargedBefore(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		ref := NewRef(1, 0)
		r.account(ref, 447700940000, 1e12)
		list := []post{{447700940000, 1 << 20}, {447700940000, 1 << 20}, {447700940000, 1 << 20}}
		p, refused, done := posts(1, list)
		p.Before = func(i, _ int) bool { return i == 1 }
		if err := r.chargeAll(p, done); err != nil || len(refused) > 0 {
			t.Fatal(err, refused)
		}
		if left, _, _ := r.value(ref, 1); left != 1e12-2*10_000_000 {
			t.Errorf("%d are left", left)
		}
		r.e.shards[1].held.Store(false)
		p, refused, done = posts(1, list)
		if err := r.chargeAll(p, done); err != nil || len(refused) != 3 || refused[0] != credit.Busy {
			t.Errorf("%v, %v", err, refused)
		}
		r.e.shards[1].held.Store(true)
	})
}

// TestLostBlocksAreFoundAgain: who hands over blocks to the worst journal, and after
// each loss only what the journal does not say, has every record charged once.
func TestLostBlocksAreFoundAgain(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		const accounts, blocks, size = 8, 30, 40
		for i := range accounts {
			r.account(NewRef(i*30, 0), 447700950000+uint64(i), 1e12)
		}
		r.e.Close(t.Context())
		var bad *shaky
		r.wrap = func(j Journal) Journal {
			bad = &shaky{Journal: j, dice: rand.New(rand.NewSource(3))}
			return bad
		}
		r.open()
		var list []post
		for i := range uint64(size) {
			list = append(list, post{447700950000 + i%accounts, 1 << 20})
		}
		lost := 0
		for file := range uint64(blocks) {
			for {
				p, refused, done := posts(file+1, list)
				known := map[uint64]bool{}
				for _, x := range r.posted() {
					if x.File == file+1 {
						known[x.Place] = true
					}
				}
				p.Before = func(i, _ int) bool { return known[uint64(i+1)] }
				err := r.chargeAll(p, done)
				if err != nil && !errors.Is(err, ErrLost) {
					t.Fatal(err)
				}
				if err == nil && len(refused) == 0 {
					break
				}
				if err != nil {
					lost++
				}
				r.whole()
			}
		}
		bad.calm.Store(true)
		if lost == 0 {
			t.Fatal("no block was lost: the test says nothing")
		}
		for i := range accounts {
			if left, _, _ := r.value(NewRef(i*30, 0), 1); left != 1e12-blocks*size/accounts*10_000_000 {
				t.Errorf("account %d has %d left", i, left)
			}
		}
		if n := len(r.posted()); n != blocks*size {
			t.Errorf("%d records are in the journal", n)
		}
	})
}

// whole waits until all shards are here again.
func (r *rig) whole() {
	r.Helper()
	for end := time.Now().Add(30 * time.Second); !r.e.holdsAll(); {
		if time.Now().After(end) {
			r.Fatal("the shards did not come back")
		}
		r.e.flush()
	}
}

func BenchmarkChargeAll(b *testing.B) {
	const accounts, size = 10_000, 4096
	book, err := makeBook()
	if err != nil {
		b.Fatal(err)
	}
	e := New(Config{Book: book, Journal: journal.New(benchStore(b), "charging", journal.Options{Holder: "bench", Log: quiet}), Log: quiet})
	if err := e.Start(b.Context()); err != nil {
		b.Fatal(err)
	}
	defer e.Close(b.Context())
	var wait sync.WaitGroup
	for w := range 64 {
		wait.Go(func() {
			for i := w; i < accounts; i += 64 {
				_, err := e.Run(b.Context(), Command{Ref: NewRef(i%256, uint32(i/256)), Do: func(h *Hand) error {
					if err := h.Open(host, 978, Prepaid, 0); err != nil {
						return err
					}
					if _, err := h.Subscribe(Subscriber{Plan: planBasic, E164: Digits(fmt.Sprint(447700000000 + i))}); err != nil {
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
	wait.Wait()
	dice, list := rand.New(rand.NewSource(1)), make([]post, size)
	for i := range list {
		list[i] = post{447700000000 + uint64(dice.Intn(accounts)), 1 << 20}
	}
	b.ReportAllocs()
	for b.Loop() {
		p, refused, done := posts(1, list)
		e.ChargeAll(p)
		if err := <-done; err != nil || len(refused) > 0 {
			b.Fatal(err, refused)
		}
	}
	b.ReportMetric(float64(b.N*size)/b.Elapsed().Seconds(), "records/s")
}

// FuzzPosted: what is kept of the records of a file is read as it was written, and
// nothing that is not does harm.
func FuzzPosted(f *testing.F) {
	for _, x := range []Posted{{}, {Place: 1, Number: 2, Service: credit.Data, HasGroup: true, Anew: true, Group: 10, At: 1_700_000_000_000_001, Priced: 5,
		Totals: Totals{Total: 7, Input: 3, Output: 4, Money: -1}, Session: []byte("s"), Called: []byte("4917011")}, {Totals: Totals{Seconds: 60, Money: 5}, Priced: 60}} {
		f.Add(putPosted(nil, &x))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var all []byte
		err := EachPosted(raw, func(x *Posted) bool {
			again := putPosted(nil, x)
			err := EachPosted(again, func(y *Posted) bool {
				a, b := *x, *y
				a.Raw, b.Raw = nil, nil
				if fmt.Sprint(a) != fmt.Sprint(b) {
					t.Errorf("%+v is read as %+v", a, b)
				}
				return true
			})
			if err != nil {
				t.Error(err)
			}
			all = append(all, x.Raw...)
			return true
		})
		if err == nil && string(all) != string(raw) {
			t.Errorf("%x has the records %x", raw, all)
		}
	})
}
