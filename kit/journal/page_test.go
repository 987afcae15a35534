package journal_test

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"tandem/kit/journal"
	"tandem/kit/store"
)

func save(t *testing.T, l *journal.Log, pages ...journal.Page) {
	t.Helper()
	if err := l.Save(t.Context(), pages); err != nil {
		t.Fatalf("save: %v", err)
	}
}

func load(t *testing.T, l *journal.Log, want journal.Set) (pages []journal.Page) {
	t.Helper()
	err := l.Load(t.Context(), want, func(p journal.Page) error {
		pages = append(pages, p)
		return nil
	})
	if err != nil {
		t.Fatalf("load: %v", err)
	}
	return pages
}

func low(t *testing.T, l *journal.Log, want int64) {
	t.Helper()
	if got, err := l.Low(t.Context()); err != nil || got != want {
		t.Errorf("low is %d (%v), want %d", got, err, want)
	}
}

func prune(t *testing.T, l *journal.Log, upto int64, keep time.Duration, want int64) {
	t.Helper()
	if rows, err := l.Prune(t.Context(), upto, keep); err != nil || rows != want {
		t.Errorf("pruned %d rows (%v), want %d", rows, err, want)
	}
}

func TestPagesComeBackAsTheyWereSavedLast(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB) {
		a := holder(db, "a")
		claim(t, a, journal.Shards, journal.Shards)
		want := []journal.Page{
			{Shard: 3, Number: -1, Mark: math.MaxUint64, Low: 1, Blob: []byte("new")},
			{Shard: 3, Number: 0, Mark: 1, Low: math.MaxInt64, Blob: []byte{}},
			{Shard: 200, Number: 7, Mark: 9, Low: 2, Blob: bytes.Repeat([]byte{0xff, 0}, 1<<19)},
		}
		save(t, a, journal.Page{Shard: 3, Number: -1, Mark: 5, Low: 5, Blob: []byte("old")}, journal.Page{Shard: 4, Blob: []byte("of another shard")})
		save(t, a, want[2], want[0], want[1])
		same := func(x, y journal.Page) bool {
			return x.Shard == y.Shard && x.Number == y.Number && x.Mark == y.Mark && x.Low == y.Low && bytes.Equal(x.Blob, y.Blob)
		}
		if got := load(t, a, journal.Of(3, 200)); !slices.EqualFunc(got, want, same) {
			t.Errorf("%d pages came back, not those saved", len(got))
		}
	})
}

func TestLoadOfManyPages(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB) {
		a := holder(db, "a")
		claim(t, a, journal.Shards, journal.Shards)
		var pages []journal.Page
		for i := range 200 {
			pages = append(pages, journal.Page{Shard: 9, Number: int64(i), Blob: fmt.Append(nil, i)})
		}
		save(t, a, pages...)
		got := load(t, a, journal.All())
		if len(got) != len(pages) {
			t.Fatalf("%d pages came back of %d", len(got), len(pages))
		}
		for i, p := range got {
			if p.Number != int64(i) || string(p.Blob) != fmt.Sprint(i) {
				t.Fatalf("page %d came back as %d, %q", i, p.Number, p.Blob)
			}
		}
	})
}

func TestLowIsTheFirstBatchThatAShardNeeds(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB) {
		a := holder(db, "a")
		claim(t, a, journal.Shards, journal.Shards)
		low(t, a, 1)
		first := add(t, a, "1", 1)
		second := add(t, a, "1+2", 1, 2)
		third := add(t, a, "1 again", 1)
		low(t, a, first)
		save(t, a, journal.Page{Shard: 1, Low: third})
		low(t, a, second) // shard 2 has no page
		save(t, a, journal.Page{Shard: 2, Low: second})
		low(t, a, second)
		save(t, a, journal.Page{Shard: 2, Number: 1, Low: math.MaxInt64}) // another page of it still needs it
		low(t, a, second)
		save(t, a, journal.Page{Shard: 2, Low: second + 1})
		low(t, a, third)
		save(t, a, journal.Page{Shard: 1, Low: third + 1})
		low(t, a, third+1) // nothing is needed: shards of no batch need no page
	})
}

// A shard that rests keeps nothing but its own batches from being pruned.
func TestARestingShardHoldsNothingBack(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB) {
		a := holder(db, "a")
		claim(t, a, journal.Shards, journal.Shards)
		rests := add(t, a, "rests", 50)
		save(t, a, journal.Page{Shard: 50, Low: rests + 1})
		var last int64
		for i := range 600 {
			last = add(t, a, fmt.Sprint(i), 1)
		}
		low(t, a, rests+1)
		save(t, a, journal.Page{Shard: 1, Low: last})
		low(t, a, last)
		prune(t, a, math.MaxInt64, 0, last-1)
		same(t, "what is left", replay(t, a, 0, journal.All()), []string{"599"})
	})
}

func TestPruneKeepsWhatIsNeededOrYoung(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB) {
		a := holder(db, "a")
		claim(t, a, journal.Shards, journal.Shards)
		for i := range 20 {
			add(t, a, fmt.Sprint(i+1)+string(bytes.Repeat([]byte("x"), 2<<20)), 1)
		}
		other := journal.New(db, "other", journal.Options{Holder: "a"})
		claim(t, other, 1, 1)
		foreign := add(t, other, "of another log", 0)
		prune(t, a, 20, 0, 0) // no page has it
		save(t, a, journal.Page{Shard: 1, Low: 11})
		prune(t, a, 20, time.Hour, 0)
		prune(t, a, 4, 0, 4)
		prune(t, a, 20, -time.Hour, 6)
		prune(t, a, 20, 0, 0)
		if got := replay(t, a, 0, journal.All()); len(got) != 10 || got[0][:2] != "11" {
			t.Errorf("%d batches are left", len(got))
		}
		save(t, a, journal.Page{Shard: 1, Low: 21})
		prune(t, a, foreign+1, 0, 10)
		same(t, "the other log", replay(t, other, 0, journal.All()), []string{"of another log"})
		if seq := add(t, a, "next", 1); seq <= foreign {
			t.Errorf("number %d was used again", seq)
		}
	})
}
