package journal_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"tandem/kit/journal"
	"tandem/kit/store"
	"tandem/kit/store/storetest"
)

var schemas = []store.Schema{journal.Schema()}

// each runs f on a fresh store of either engine.
func each(t *testing.T, f func(t *testing.T, db *store.DB)) {
	t.Helper()
	storetest.Each(t, schemas, f)
}

var quiet = slog.New(slog.DiscardHandler)

// holder is a Log that holds nothing yet.
func holder(db *store.DB, name string) *journal.Log {
	return journal.New(db, "charging", journal.Options{Holder: name, Address: name + ":7000", Lease: time.Hour, Log: quiet})
}

func claim(t *testing.T, l *journal.Log, max, want int) journal.Set {
	t.Helper()
	gained, err := l.Claim(t.Context(), max)
	if err != nil || gained.Len() != want {
		t.Fatalf("claim of %d gained %d shards (%v), want %d", max, gained.Len(), err, want)
	}
	return gained
}

func add(t *testing.T, l *journal.Log, text string, shards ...int) int64 {
	t.Helper()
	seq, err := l.Append(t.Context(), batch(text, shards...))
	if err != nil {
		t.Fatalf("append %q: %v", text, err)
	}
	return seq
}

func batch(text string, shards ...int) *journal.Batch {
	return &journal.Batch{Shards: journal.Of(shards...), Records: len(shards), First: 1, Last: 2, Blob: []byte(text)}
}

// replay is the texts of the batches that touch the shards.
func replay(t *testing.T, l *journal.Log, after int64, want journal.Set) (texts []string) {
	t.Helper()
	last := after
	err := l.Replay(t.Context(), after, want, func(seq int64, b *journal.Batch) error {
		if seq <= last {
			t.Errorf("batch %d comes after %d", seq, last)
		}
		last = seq
		texts = append(texts, string(b.Blob))
		return nil
	})
	if err != nil {
		t.Fatalf("replay: %v", err)
	}
	return texts
}

// expire makes the terms of a holder look as if it had not renewed for long.
func expire(t testing.TB, db *store.DB, name string) {
	t.Helper()
	err := db.Write(t.Context(), store.Scope{}, func(tx *store.Tx) error {
		_, err := tx.System().Exec("UPDATE journal_term SET expires_at = 0 WHERE holder = $1", name)
		return err
	})
	if err != nil {
		t.Fatalf("expire %s: %v", name, err)
	}
}

func same(t *testing.T, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: got %q, want %q", what, got, want)
	}
}

func TestBatchesComeBackWholeAndInOrder(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB) {
		a := holder(db, "a")
		claim(t, a, journal.Shards, journal.Shards)
		big := bytes.Repeat([]byte{0, 1, 254, 255, '\''}, 200_000)
		want := []journal.Batch{
			{Shards: journal.Of(0), Records: 3, First: -5, Last: 7, Blob: []byte("one")},
			{Shards: journal.Of(63, 64, 255), Records: 1 << 40, First: 1 << 60, Last: 1 << 61, Blob: big},
			{Shards: journal.All(), Blob: []byte{}},
		}
		var seqs []int64
		for i := range want {
			seq, err := a.Append(t.Context(), &want[i])
			if err != nil {
				t.Fatal(err)
			}
			seqs = append(seqs, seq)
		}
		n := 0
		err := a.Replay(t.Context(), 0, journal.All(), func(seq int64, got *journal.Batch) error {
			w := want[n]
			if seq != seqs[n] || got.Shards != w.Shards || got.Records != w.Records || got.First != w.First || got.Last != w.Last || !bytes.Equal(got.Blob, w.Blob) {
				t.Errorf("batch %d came back as number %d, %d records, shards %v, %d octets", seqs[n], seq, got.Records, got.Shards, len(got.Blob))
			}
			n++
			return nil
		})
		if err != nil || n != len(want) {
			t.Fatalf("%d batches came back of %d: %v", n, len(want), err)
		}
	})
}

func TestReplayGivesOnlyWhatTouchesTheShards(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB) {
		a := holder(db, "a")
		claim(t, a, journal.Shards, journal.Shards)
		first := add(t, a, "5", 5)
		add(t, a, "5+200", 5, 200)
		add(t, a, "64", 64)
		add(t, a, "200", 200)
		same(t, "shard 5", replay(t, a, 0, journal.Of(5)), []string{"5", "5+200"})
		same(t, "shard 200", replay(t, a, 0, journal.Of(200)), []string{"5+200", "200"})
		same(t, "shards 64 and 5 after the first", replay(t, a, first, journal.Of(64, 5)), []string{"5+200", "64"})
		same(t, "shard 6", replay(t, a, 0, journal.Of(6)), nil)
	})
}

// More rows than are looked at once, and blobs that do not fit one chunk.
func TestReplayOfManyChunks(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB) {
		a := holder(db, "a")
		claim(t, a, journal.Shards, journal.Shards)
		var want []string
		for i := range 600 {
			text := fmt.Sprint(i)
			if i%100 == 50 {
				text += string(bytes.Repeat([]byte("x"), 3<<20))
			}
			add(t, a, text, i%2)
			if i%2 == 0 {
				want = append(want, text)
			}
		}
		if got := replay(t, a, 0, journal.Of(0)); !slices.Equal(got, want) {
			t.Fatalf("%d batches came back of %d, or not the same", len(got), len(want))
		}
	})
}

func TestReadGoesOnWhereItStopped(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB) {
		a := holder(db, "a")
		claim(t, a, journal.Shards, journal.Shards)
		var want []string
		for i := range 20 {
			want = append(want, fmt.Sprintf("%02d", i))
			add(t, a, want[i], i)
		}
		other := journal.New(db, "other", journal.Options{Holder: "a", Lease: time.Hour})
		claim(t, other, 1, 1)
		add(t, other, "of another log", 0)
		var got []string
		var at int64
		for calls := 0; ; calls++ {
			n := 0
			last, err := a.Read(t.Context(), at, 6, func(_ int64, b *journal.Batch) error {
				n++
				got = append(got, string(b.Blob))
				return nil
			})
			if err != nil || n > 3 {
				t.Fatalf("%d batches of 2 octets in a read of 6: %v", n, err)
			}
			if last == at {
				break
			}
			at = last
		}
		same(t, "read", got, want)

		boom := errors.New("boom")
		last, err := a.Read(t.Context(), 0, 1<<20, func(seq int64, b *journal.Batch) error {
			if string(b.Blob) == "02" {
				return boom
			}
			return nil
		})
		if !errors.Is(err, boom) || last != 2 {
			t.Errorf("a reader that failed at batch 3 stands at %d (%v)", last, err)
		}
	})
}

func TestWhoHoldsNothingWritesNothing(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB) {
		a := holder(db, "a")
		if _, err := a.Append(t.Context(), batch("x", 1)); !errors.Is(err, journal.ErrFenced) {
			t.Errorf("append without a claim: %v", err)
		}
		mine := claim(t, a, 10, 10)
		if mine.Has(10) {
			t.Fatal("the lowest shards were not claimed first")
		}
		add(t, a, "mine", 9)
		if _, err := a.Append(t.Context(), batch("x", 9, 10)); !errors.Is(err, journal.ErrFenced) {
			t.Errorf("append to a shard that is not held: %v", err)
		}
		if held := a.Held(); held.Len() != 0 {
			t.Errorf("after a failed append %d shards are held", held.Len())
		}
		if again := claim(t, a, 10, 10); again != mine {
			t.Errorf("claimed %v and then %v", mine, again)
		}
		if err := a.Save(t.Context(), []journal.Page{{Shard: 9}, {Shard: 10}}); !errors.Is(err, journal.ErrFenced) {
			t.Errorf("save of a shard that is not held: %v", err)
		}
		if held, err := a.Renew(t.Context()); err != nil || held != mine {
			t.Errorf("after a failed save %d shards are held (%v)", held.Len(), err)
		}
		if _, err := a.Append(t.Context(), &journal.Batch{Blob: []byte("x")}); err == nil {
			t.Error("a batch of no shard was taken")
		}
		same(t, "the log", replay(t, a, 0, journal.All()), []string{"mine"})
	})
}

func TestTakeOverFencesTheFrozenHolder(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB) {
		a, b := holder(db, "a"), holder(db, "b")
		claim(t, a, journal.Shards, journal.Shards)
		add(t, a, "a1", 7)
		claim(t, b, journal.Shards, 0)
		expire(t, db, "a")
		claim(t, b, 8, 8) // shards 0-7; a loses all
		if _, err := a.Append(t.Context(), batch("late", 200)); !errors.Is(err, journal.ErrFenced) {
			t.Errorf("append of the frozen holder: %v", err)
		}
		if err := a.Save(t.Context(), []journal.Page{{Shard: 200}}); !errors.Is(err, journal.ErrFenced) {
			t.Errorf("save of the frozen holder: %v", err)
		}
		add(t, b, "b1", 7)
		same(t, "shard 7", replay(t, b, 0, journal.Of(7)), []string{"a1", "b1"})
		same(t, "shard 200", replay(t, b, 0, journal.Of(200)), nil)

		rest := claim(t, a, journal.Shards, journal.Shards-8)
		if rest.Overlaps(journal.Of(0, 1, 2, 3, 4, 5, 6, 7)) {
			t.Error("a claimed what b holds")
		}
		add(t, a, "a2", 200)
		owners, err := a.Owners(t.Context())
		if err != nil || owners[7] != "b:7000" || owners[8] != "a:7000" {
			t.Errorf("shard 7 is at %q, shard 8 at %q (%v)", owners[7], owners[8], err)
		}
	})
}

// A holder whose clock or network stood still learns of its loss by Renew too.
func TestRenewTellsTheLoss(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB) {
		a, b := holder(db, "a"), holder(db, "b")
		claim(t, a, 20, 20)
		expire(t, db, "a")
		if held, err := a.Renew(t.Context()); err != nil || held.Len() != 20 {
			t.Fatalf("renewed in time, but holds %d: %v", held.Len(), err)
		}
		claim(t, b, journal.Shards, journal.Shards-20) // what is free, and no more: a renewed
		if held, err := a.Renew(t.Context()); err != nil || held.Len() != 20 {
			t.Fatalf("holds %d after b claimed the rest: %v", held.Len(), err)
		}
		expire(t, db, "a")
		claim(t, b, 1, 1)
		if held, err := a.Renew(t.Context()); err != nil || held.Len() != 0 {
			t.Fatalf("holds %d after a take-over: %v", held.Len(), err)
		}
		claim(t, a, journal.Shards, 19)
	})
}

// A claim of a holder that was taken over meanwhile does not hide the loss.
func TestClaimTellsTheLoss(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB) {
		a, b := holder(db, "a"), holder(db, "b")
		claim(t, a, 20, 20)
		claim(t, b, journal.Shards-21, journal.Shards-21)
		expire(t, db, "a")
		claim(t, b, 2, 2) // the free one and one of a's, which has 19 left
		if gained, err := a.Claim(t.Context(), 5); !errors.Is(err, journal.ErrFenced) {
			t.Fatalf("the claim gained %d: %v", gained.Len(), err)
		}
		claim(t, a, 5, 5)
	})
}

func TestReleasedShardsAreFreeAtOnce(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB) {
		a, b := holder(db, "a"), holder(db, "b")
		claim(t, a, journal.Shards, journal.Shards)
		half := journal.Set{}
		for n := 100; n < journal.Shards; n++ {
			half.Add(n)
		}
		if err := a.Release(t.Context(), half); err != nil {
			t.Fatal(err)
		}
		if got := claim(t, b, journal.Shards, half.Len()); got != half {
			t.Errorf("b gained %v", got)
		}
		add(t, a, "a goes on", 99)
		add(t, b, "b", 100)
		if err := a.Release(t.Context(), journal.Of(0)); err != nil {
			t.Fatal(err)
		}
		claim(t, b, journal.Shards, 1)
		if _, err := a.Append(t.Context(), batch("x", 99, 0)); !errors.Is(err, journal.ErrFenced) {
			t.Errorf("append to a released shard: %v", err)
		}
		if err := b.Release(t.Context(), journal.All()); err != nil {
			t.Fatal(err)
		}
		claim(t, a, journal.Shards, journal.Shards)
	})
}
