package journal_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"tandem/kit/journal"
	"tandem/kit/store"
)

// line is a row of the log as it lies in the store.
type line struct {
	seq, term int64
	shards    journal.Set
	text      string
}

// tester is a test or a run of a property.
type tester interface {
	Helper()
	Context() context.Context
	Fatal(...any)
}

func lines(t tester, db *store.DB, log string) (all []line) {
	t.Helper()
	err := db.Read(t.Context(), store.Scope{}, func(tx *store.Tx) error {
		rows, err := tx.System().Query("SELECT seq, term, shards_0, shards_1, shards_2, shards_3, blob FROM journal_batch WHERE log = $1 ORDER BY seq", log)
		all, err = store.Collect(rows, err, func(r store.Rows) (x line, err error) {
			var w [4]int64
			var blob []byte
			err = r.Scan(&x.seq, &x.term, &w[0], &w[1], &w[2], &w[3], &blob)
			x.text = string(blob)
			for i := range w {
				x.shards[i] = uint64(w[i])
			}
			return x, err
		})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// interleaved names a shard in which a term goes on after another has begun.
func interleaved(all []line) error {
	var last [journal.Shards]int64
	over := map[[2]int64]bool{}
	for _, x := range all {
		var err error
		x.shards.Each(func(n int) {
			if last[n] == x.term {
				return
			}
			over[[2]int64{int64(n), last[n]}] = true
			last[n] = x.term
			if over[[2]int64{int64(n), x.term}] {
				err = fmt.Errorf("shard %d: batch %d of term %d follows another term", n, x.seq, x.term)
			}
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// holders is some that share a log, one after the other doing something.
type holders struct {
	t     *rapid.T
	db    *store.DB
	name  string
	logs  []*journal.Log
	acked []string // texts in the order of the answers
	count int
}

func (h *holders) draw() *journal.Log {
	return h.logs[rapid.IntRange(0, len(h.logs)-1).Draw(h.t, "holder")]
}

func (h *holders) claim(*rapid.T) {
	l := h.draw()
	before := l.Held()
	gained, err := l.Claim(h.t.Context(), rapid.IntRange(1, journal.Shards).Draw(h.t, "max"))
	if err != nil && !errors.Is(err, journal.ErrFenced) {
		h.t.Fatal(err)
	}
	if gained.Overlaps(before) {
		h.t.Fatal("gained what was held")
	}
}

// append writes to some of the shards the holder believes to hold, or to any.
func (h *holders) append(*rapid.T) {
	l := h.draw()
	held := l.Held()
	var shards journal.Set
	for range rapid.IntRange(1, 4).Draw(h.t, "shards") {
		if n := rapid.IntRange(0, journal.Shards-1).Draw(h.t, "shard"); held.Has(n) || rapid.IntRange(0, 9).Draw(h.t, "wild") == 0 {
			shards.Add(n)
		}
	}
	if shards == (journal.Set{}) {
		return
	}
	h.count++
	text := fmt.Sprint(h.count)
	_, err := l.Append(h.t.Context(), &journal.Batch{Shards: shards, Blob: []byte(text)})
	switch {
	case err == nil:
		h.acked = append(h.acked, text)
		if !held.Covers(shards) {
			h.t.Fatal("wrote to what is not held")
		}
	case !errors.Is(err, journal.ErrFenced):
		h.t.Fatal(err)
	case l.Held() != journal.Set{}:
		h.t.Fatal("still holds something after a failed append")
	}
}

func (h *holders) expire(*rapid.T) {
	who := rapid.IntRange(0, len(h.logs)-1).Draw(h.t, "expired")
	err := h.db.Write(h.t.Context(), store.Scope{}, func(tx *store.Tx) error {
		_, err := tx.System().Exec("UPDATE journal_term SET expires_at = 0 WHERE log = $1 AND holder = $2", h.name, fmt.Sprint(who))
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
}

func (h *holders) renew(*rapid.T) {
	l := h.draw()
	before := l.Held()
	held, err := l.Renew(h.t.Context())
	if err != nil || held != before && held != (journal.Set{}) {
		h.t.Fatalf("renewed %d of %d shards: %v", held.Len(), before.Len(), err)
	}
}

func (h *holders) release(*rapid.T) {
	l := h.draw()
	var some journal.Set
	for i := range some {
		some[i] = rapid.Uint64().Draw(h.t, "released")
	}
	before := l.Held()
	err := l.Release(h.t.Context(), some)
	if err != nil && !errors.Is(err, journal.ErrFenced) {
		h.t.Fatal(err)
	}
	if held := l.Held(); held.Overlaps(some) || err == nil && held != before.Minus(some) {
		h.t.Fatal("released something else")
	}
}

func (h *holders) doubt(*rapid.T) { h.draw().Doubt() }

// check is what always holds: what was acknowledged is there, nothing else, in
// order, and no shard has two masters at a time.
func (h *holders) check(t *rapid.T) {
	all := lines(h.t, h.db, h.name)
	var texts []string
	for _, x := range all {
		texts = append(texts, x.text)
	}
	if !slices.Equal(texts, h.acked) {
		t.Fatalf("the log has %q, acknowledged were %q", texts, h.acked)
	}
	if err := interleaved(all); err != nil {
		t.Fatal(err)
	}
}

func TestAnyOrderOfEventsKeepsTheShardsApart(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB) {
		runs := 0
		rapid.Check(t, func(rt *rapid.T) {
			runs++
			h := &holders{t: rt, db: db, name: fmt.Sprint("log ", runs)}
			for i := range 3 {
				h.logs = append(h.logs, journal.New(db, h.name, journal.Options{Holder: fmt.Sprint(i), Lease: time.Hour, Log: quiet}))
			}
			rt.Repeat(map[string]func(*rapid.T){
				"claim": h.claim, "append": h.append, "append more": h.append, "append still more": h.append,
				"expire": h.expire, "renew": h.renew, "release": h.release, "doubt": h.doubt, "": func(*rapid.T) {},
			})
			h.check(rt)
		})
	})
}

// The same with all holders at work at once, each with several appends under way.
func TestHoldersAtWorkAtOnce(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	each(t, func(t *testing.T, db *store.DB) {
		var wg sync.WaitGroup
		var mu sync.Mutex
		acked := map[string]bool{}
		for i := range 3 {
			l := journal.New(db, "charging", journal.Options{Holder: fmt.Sprint(i), Lease: time.Hour, Log: quiet})
			for j := range 2 {
				r := rand.New(rand.NewPCG(seed, uint64(i*2+j)))
				wg.Go(func() {
					for n := range 150 {
						text := fmt.Sprintf("%d.%d.%d", i, j, n)
						if step(t, db, l, r, text) {
							mu.Lock()
							acked[text] = true
							mu.Unlock()
						}
					}
				})
			}
		}
		wg.Wait()
		all := lines(t, db, "charging")
		if err := interleaved(all); err != nil {
			t.Error(err)
		}
		for _, x := range all {
			if !acked[x.text] {
				t.Errorf("%s is in the log, but was refused", x.text)
			}
			delete(acked, x.text)
		}
		if len(acked) > 0 || len(all) < 20 {
			t.Errorf("%d acknowledged batches are missing; the log has %d", len(acked), len(all))
		}
	})
}

// step does one thing and says whether it was an append that was acknowledged.
func step(t *testing.T, db *store.DB, l *journal.Log, r *rand.Rand, text string) bool {
	var err error
	switch r.IntN(10) {
	case 0:
		_, err = l.Claim(t.Context(), 1+r.IntN(200))
	case 1:
		_, err = l.Renew(t.Context())
	case 2:
		err = l.Release(t.Context(), journal.Set{r.Uint64() & r.Uint64(), 0, r.Uint64() & r.Uint64()})
	case 3:
		if r.IntN(3) == 0 {
			expire(t, db, fmt.Sprint(r.IntN(3)))
		}
	default:
		held := l.Held()
		var shards journal.Set
		held.Each(func(n int) {
			if r.IntN(max(1, held.Len()/4)) == 0 {
				shards.Add(n)
			}
		})
		if shards == (journal.Set{}) {
			_, err = l.Claim(t.Context(), 100)
			break
		}
		if _, err = l.Append(t.Context(), &journal.Batch{Shards: shards, Blob: []byte(text)}); err == nil {
			return true
		}
	}
	if err != nil && !errors.Is(err, journal.ErrFenced) {
		t.Error(err)
	}
	return false
}
