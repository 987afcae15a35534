package journal_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"tandem/kit/journal"
	"tandem/kit/store"
	"tandem/kit/store/storetest"
)

// second is a connection of its own to the same database, which plays what is under
// way at the server while nobody here waits for it.
func second(t *testing.T, c store.Config) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), c.URL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.WithoutCancel(t.Context())) })
	return conn
}

func run(t *testing.T, conn *pgx.Conn, sql string, args ...any) {
	t.Helper()
	if _, err := conn.Exec(t.Context(), sql, args...); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// insert sends an append of the given term to shard 7.
func insert(t *testing.T, conn *pgx.Conn, term int64, text string) (written bool) {
	t.Helper()
	var seq int64
	err := conn.QueryRow(t.Context(), journal.Insert, term, "charging", 1<<7, 0, 0, 0, 1, 0, 0, 0, []byte(text)).Scan(&seq)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		t.Fatal(err)
	}
	return err == nil
}

// awaitBlocked waits until a connection waits for a lock of another.
func awaitBlocked(t *testing.T, conn *pgx.Conn) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for n := 0; n == 0; {
		err := conn.QueryRow(ctx, "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND cardinality(pg_blocking_pids(pid)) > 0").Scan(&n)
		if err != nil {
			t.Fatalf("nobody waits for a lock: %v", err)
		}
	}
}

// pending says that a call has not returned.
func pending(t *testing.T, done <-chan error, what string) {
	t.Helper()
	select {
	case err := <-done:
		t.Fatalf("%s did not wait: %v", what, err)
	default:
	}
}

// two is two holders, of which the first holds all and has not renewed for long.
func two(t *testing.T) (a, b *journal.Log, conn, look *pgx.Conn) {
	t.Helper()
	c := storetest.Config(t, store.Postgres)
	db := storetest.OpenConfig(t, c, schemas...)
	a, b = holder(db, "a"), holder(db, "b")
	claim(t, a, journal.Shards, journal.Shards)
	expire(t, db, "a")
	return a, b, second(t, c), second(t, c)
}

// A take-over waits for the append that is under way, and its replay has it.
func TestTakeOverWaitsForTheAppendUnderWay(t *testing.T) {
	a, b, conn, look := two(t)
	run(t, conn, "BEGIN")
	if !insert(t, conn, a.Term(), "under way") {
		t.Fatal("the append of the holder was refused")
	}
	done := make(chan error, 1)
	go func() {
		_, err := b.Claim(t.Context(), journal.Shards)
		done <- err
	}()
	awaitBlocked(t, look)
	pending(t, done, "the take-over")
	same(t, "the log before the commit", replay(t, b, 0, journal.All()), nil)
	run(t, conn, "COMMIT")
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	same(t, "the log after the take-over", replay(t, b, 0, journal.All()), []string{"under way"})
	if _, err := a.Append(t.Context(), batch("late", 7)); !errors.Is(err, journal.ErrFenced) {
		t.Errorf("append of the old holder: %v", err)
	}
}

// A shard that is given back is free only when nothing of its holder's is under way.
func TestReleaseWaitsForTheAppendUnderWay(t *testing.T) {
	a, b, conn, look := two(t)
	run(t, conn, "BEGIN")
	insert(t, conn, a.Term(), "under way")
	done := make(chan error, 1)
	go func() { done <- a.Release(t.Context(), journal.Of(7)) }()
	awaitBlocked(t, look)
	pending(t, done, "the release")
	run(t, conn, "COMMIT")
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if got := claim(t, b, journal.Shards, 1); got != journal.Of(7) {
		t.Errorf("b gained %v", got)
	}
	same(t, "the log", replay(t, b, 0, journal.Of(7)), []string{"under way"})
	add(t, a, "a goes on", 8)
}

// An append that meets a take-over under way waits, and is refused if it commits
// and goes through if it does not.
func TestAppendWaitsForTheTakeOverUnderWay(t *testing.T) {
	for _, c := range []struct {
		end  string
		want error
		log  []string
	}{{"COMMIT", journal.ErrFenced, nil}, {"ROLLBACK", nil, []string{"late"}}} {
		t.Run(c.end, func(t *testing.T) {
			a, _, conn, look := two(t)
			run(t, conn, "BEGIN")
			run(t, conn, "DELETE FROM journal_term WHERE term = $1", a.Term())
			done := make(chan error, 1)
			go func() {
				_, err := a.Append(t.Context(), batch("late", 7))
				done <- err
			}()
			awaitBlocked(t, look)
			pending(t, done, "the append")
			run(t, conn, c.end)
			if err := <-done; !errors.Is(err, c.want) {
				t.Errorf("the append after %s: %v", c.end, err)
			}
			same(t, "the log", replay(t, a, 0, journal.All()), c.log)
		})
	}
}

// A holder that renews in the last moment is not taken over.
func TestTakeOverLosesAgainstARenewalUnderWay(t *testing.T) {
	a, b, conn, look := two(t)
	run(t, conn, "BEGIN")
	run(t, conn, "UPDATE journal_term SET expires_at = $2 WHERE term = $1", a.Term(), int64(1)<<60)
	gained := make(chan journal.Set, 1)
	go func() {
		got, err := b.Claim(t.Context(), journal.Shards)
		if err != nil {
			t.Error(err)
		}
		gained <- got
	}()
	awaitBlocked(t, look)
	run(t, conn, "COMMIT")
	if got := <-gained; got.Len() != 0 {
		t.Errorf("b gained %d shards", got.Len())
	}
	add(t, a, "still here", 7)
}

// An append whose answer got lost may still be under way at the server. Whoever
// reads or writes next waits for it, or makes sure that it comes to nothing.
func TestALostAnswerIsSettled(t *testing.T) {
	t.Run("replay waits for it", func(t *testing.T) {
		a, _, conn, look := two(t)
		run(t, conn, "BEGIN")
		insert(t, conn, a.Term(), "lost answer")
		a.Doubt()
		done := make(chan error, 1)
		var got []string
		go func() {
			done <- a.Replay(t.Context(), 0, journal.All(), func(_ int64, b *journal.Batch) error {
				got = append(got, string(b.Blob))
				return nil
			})
		}()
		awaitBlocked(t, look)
		pending(t, done, "the replay")
		run(t, conn, "COMMIT")
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		same(t, "the replay", got, []string{"lost answer"})
		add(t, a, "next", 7)
	})
	t.Run("it comes too late", func(t *testing.T) {
		a, b, conn, _ := two(t)
		old := a.Term()
		a.Doubt()
		add(t, a, "next", 7)
		if insert(t, conn, old, "lost answer") {
			t.Error("the append of the term before was written")
		}
		same(t, "the log", replay(t, a, 0, journal.All()), []string{"next"})
		claim(t, b, journal.Shards, 0) // a settled in a fresh term, with all its shards
		if held, err := a.Renew(t.Context()); err != nil || held != journal.All() {
			t.Errorf("a holds %d shards: %v", held.Len(), err)
		}
	})
	t.Run("it was taken over meanwhile", func(t *testing.T) {
		a, b, _, _ := two(t)
		a.Doubt()
		claim(t, b, 1, 1)
		if err := a.Replay(t.Context(), 0, journal.All(), nil); !errors.Is(err, journal.ErrFenced) {
			t.Errorf("the replay: %v", err)
		}
		if held, err := a.Renew(t.Context()); err != nil || held.Len() != 0 {
			t.Errorf("a holds %d shards: %v", held.Len(), err)
		}
	})
}

// The connection breaks before the commit: the append fails, the next one knows.
func TestTheServerEndsTheConnection(t *testing.T) {
	c := storetest.Config(t, store.Postgres)
	conn := second(t, c)
	var cut bool
	c.Around = func(durable bool) {
		if cut && !durable {
			cut = false
			run(t, conn, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()")
		}
	}
	a := holder(storetest.OpenConfig(t, c, schemas...), "a")
	claim(t, a, 10, 10)
	term := a.Term()
	add(t, a, "before", 7)
	cut = true
	if _, err := a.Append(t.Context(), batch("cut", 7)); err == nil || errors.Is(err, journal.ErrFenced) {
		t.Fatalf("the append over a cut connection: %v", err)
	}
	if held := a.Held(); held.Len() != 0 {
		t.Errorf("after the failed append %d shards are held", held.Len())
	}
	late := time.Now().Add(20 * time.Second)
	for { // other connections of the pool were cut as well
		gained, err := a.Claim(t.Context(), 10)
		if gained.Len() == 10 {
			break
		}
		if time.Now().After(late) {
			t.Fatal(err)
		}
	}
	add(t, a, "after", 7)
	same(t, "the log", replay(t, a, 0, journal.All()), []string{"before", "after"})
	if a.Term() == term {
		t.Error("the term goes on though an append of unknown outcome was made in it")
	}
}

// A reader does not pass a batch that is not committed yet, though a later one is.
func TestReadStopsBeforeABatchUnderWay(t *testing.T) {
	a, b, conn, _ := two(t)
	if err := a.Release(t.Context(), journal.Of(1)); err != nil {
		t.Fatal(err)
	}
	claim(t, b, 1, 1)
	run(t, conn, "BEGIN")
	insert(t, conn, a.Term(), "slow")
	add(t, b, "quick", 1)
	var got []string
	read := func(after int64) int64 {
		last, err := b.Read(t.Context(), after, 1<<20, func(_ int64, x *journal.Batch) error {
			got = append(got, string(x.Blob))
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return last
	}
	if at := read(0); at != 0 {
		t.Errorf("the reader went on to %d", at)
	}
	run(t, conn, "COMMIT")
	late := time.Now().Add(20 * time.Second)
	for at := int64(0); len(got) < 2 && time.Now().Before(late); {
		at = read(at)
	}
	same(t, "read", got, []string{"slow", "quick"})
}
