package store_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"tandem/kit/store"
	"tandem/kit/store/storetest"
)

var schema = []store.Schema{{Room: "test", Files: fstest.MapFS{"0001.sql": {Data: []byte(`
CREATE TABLE item (
	tenant TEXT NOT NULL, id TEXT COLLATE "C" NOT NULL, n BIGINT NOT NULL, doc JSON,
	PRIMARY KEY (tenant, id)
) STRICT;
CREATE TABLE entry (
	seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, tenant TEXT NOT NULL, n BIGINT NOT NULL
) STRICT;
`)}}}}

var mno = store.Scope{Tenant: "mno", Actor: "test"}

func TestOneFailingTransactionTakesNothingOfTheOthers(t *testing.T) {
	storetest.Each(t, schema, func(t *testing.T, db *store.DB) {
		var wg sync.WaitGroup
		boom := errors.New("boom")
		for i := range 100 {
			wg.Go(func() {
				err := db.Write(t.Context(), mno, func(tx *store.Tx) error {
					tx.Queue("INSERT INTO item (tenant, id, n) VALUES ($1, $2, $3)", fmt.Sprint(i), i)
					if i%3 == 0 {
						return boom
					}
					return nil
				})
				if (i%3 == 0) != errors.Is(err, boom) {
					t.Errorf("write %d: %v", i, err)
				}
			})
		}
		wg.Wait()
		if n := count(t, db); n != 66 {
			t.Errorf("%d rows, want 66", n)
		}
	})
}

func TestPanicInATransactionIsAnErrorAndRollsBack(t *testing.T) {
	storetest.Each(t, schema, func(t *testing.T, db *store.DB) {
		err := db.Write(t.Context(), mno, func(tx *store.Tx) error {
			tx.Queue("INSERT INTO item (tenant, id, n) VALUES ($1, 'a', 1)")
			panic("oh")
		})
		if err == nil || count(t, db) != 0 {
			t.Errorf("err %v, rows %d", err, count(t, db))
		}
	})
}

func TestQueuedStatementThatFailsEndsTheTransaction(t *testing.T) {
	storetest.Each(t, schema, func(t *testing.T, db *store.DB) {
		insert := func(tx *store.Tx) error {
			tx.Queue("INSERT INTO item (tenant, id, n) VALUES ($1, 'b', 1)")
			tx.Queue("INSERT INTO item (tenant, id, n) VALUES ($1, 'b', 2)")
			return nil
		}
		if err := db.Write(t.Context(), mno, insert); !store.IsUnique(err, "item") {
			t.Errorf("want a broken uniqueness on item, got %v", err)
		}
		stale := func(tx *store.Tx) error {
			tx.Queue("INSERT INTO item (tenant, id, n) VALUES ($1, 'c', 1)")
			tx.QueueOne("UPDATE item SET n = 9 WHERE tenant = $1 AND id = 'none'")
			return nil
		}
		if err := db.Write(t.Context(), mno, stale); !errors.Is(err, store.ErrStale) {
			t.Errorf("want ErrStale, got %v", err)
		}
		if n := count(t, db); n != 0 {
			t.Errorf("%d rows left behind", n)
		}
	})
}

func TestAReaderSeesWhatAWriterAcknowledged(t *testing.T) {
	storetest.Each(t, schema, func(t *testing.T, db *store.DB) {
		for i := range 20 {
			err := db.Write(t.Context(), mno, func(tx *store.Tx) error {
				tx.Queue("INSERT INTO item (tenant, id, n, doc) VALUES ($1, $2, $3, $4)", fmt.Sprint(i), i, `{"a":{"b":"x"}}`)
				var got string
				if err := tx.Row("SELECT doc->'a'->>'b' FROM item WHERE tenant = $1 AND id = $2", fmt.Sprint(i)).Scan(&got); err != nil || got != "x" {
					return fmt.Errorf("own write: %q, %v", got, err)
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if n := count(t, db); n != int64(i+1) {
				t.Fatalf("%d rows, want %d", n, i+1)
			}
		}
	})
}

func TestAStatementWithoutATenantIsRefused(t *testing.T) {
	storetest.Each(t, schema, func(t *testing.T, db *store.DB) {
		for _, text := range []string{"SELECT n FROM item", "SELECT n FROM item WHERE id = $1"} {
			err := db.Read(t.Context(), mno, func(tx *store.Tx) error { return tx.Row(text).Scan(new(int64)) })
			if err == nil {
				t.Errorf("%s was run", text)
			}
		}
	})
}

// The tail of a log loses no row, whatever the order in which writers commit.
func TestTailLosesNothingUnderConcurrentWriters(t *testing.T) {
	storetest.Each(t, schema, func(t *testing.T, db *store.DB) {
		const writers, each = 8, 150
		var wg sync.WaitGroup
		for w := range writers {
			wg.Go(func() {
				for i := range each {
					err := db.Write(t.Context(), mno, func(tx *store.Tx) error {
						tx.Append()
						tx.Queue("INSERT INTO entry (tenant, n) VALUES ($1, $2)", w*each+i)
						for range i % 4 { // some commit long after they drew their number
							if err := tx.Row("SELECT count(*) FROM item WHERE tenant = $1").Scan(new(int64)); err != nil {
								return err
							}
						}
						if i%5 == 4 { // a hole
							return errors.New("changed my mind")
						}
						return nil
					})
					if (err != nil) != (i%5 == 4) {
						t.Errorf("write: %v", err)
					}
				}
			})
		}
		done := make(chan struct{})
		go func() { wg.Wait(); close(done) }()
		tail, seen, after, finished, late := db.Tail("entry"), map[int64]bool{}, int64(0), false, time.Now().Add(time.Minute)
		for len(seen) < writers*each*4/5 {
			upto, err := tail.Upto(t.Context(), after, 64)
			if err != nil {
				t.Fatal(err)
			}
			if upto == after && finished && time.Now().After(late) { // a hole waits for every transaction of the server, also of other tests
				t.Fatalf("seen %d rows only", len(seen))
			}
			err = db.Read(t.Context(), store.Scope{}, func(tx *store.Tx) error {
				rows, err := tx.System().Query("SELECT n FROM entry WHERE seq > $1 AND seq <= $2", after, upto)
				_, err = store.Collect(rows, err, func(r store.Rows) (n int64, err error) {
					err = r.Scan(&n)
					seen[n] = true
					return n, err
				})
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			after = upto
			select {
			case <-done:
				finished = true
			default:
			}
		}
	})
}

// A writer that drew an early number and commits between the tail's two looks is
// not passed over.
func TestTailWaitsForAWriterThatCommitsBetweenTwoLooks(t *testing.T) {
	db := storetest.Open(t, store.Postgres, schema...)
	insert := func(tx *store.Tx) error {
		tx.Append()
		_, err := tx.Exec("INSERT INTO entry (tenant, n) VALUES ($1, 1)")
		return err
	}
	drawn, commit, done := make(chan struct{}), make(chan struct{}), make(chan error)
	go func() {
		done <- db.Write(t.Context(), mno, func(tx *store.Tx) error {
			err := insert(tx)
			close(drawn)
			<-commit
			return err
		})
	}()
	<-drawn
	if err := db.Write(t.Context(), mno, insert); err != nil {
		t.Fatal(err)
	}
	tail := db.Tail("entry")
	if upto, err := tail.Upto(t.Context(), 0, 10); upto != 0 || err != nil {
		t.Fatalf("the tail went on to %d past a number that may still appear: %v", upto, err)
	}
	tail.Between(func() {
		close(commit)
		if err := <-done; err != nil {
			t.Error(err)
		}
		tail.Between(nil)
	})
	upto, err := tail.Upto(t.Context(), 0, 10)
	if err != nil || upto != 2 {
		t.Errorf("upto %d, %v", upto, err)
	}
	var n int64
	if err := db.Read(t.Context(), mno, func(tx *store.Tx) error {
		return tx.Row("SELECT count(*) FROM entry WHERE tenant = $1 AND seq <= $2", upto).Scan(&n)
	}); err != nil || n != 2 {
		t.Errorf("%d rows up to %d, %v", n, upto, err)
	}
}

func TestAChangedSchemaFileIsRefused(t *testing.T) {
	storetest.Each(t, schema, func(t *testing.T, db *store.DB) {
		if err := db.Migrate(t.Context(), schema...); err != nil {
			t.Fatalf("the same again: %v", err)
		}
		other := []store.Schema{{Room: "test", Files: fstest.MapFS{"0001.sql": {Data: []byte("CREATE TABLE x (a BIGINT) STRICT;\n")}}}}
		if err := db.Migrate(t.Context(), other...); err == nil {
			t.Error("a changed file was accepted")
		}
	})
}

func count(t *testing.T, db *store.DB) (n int64) {
	t.Helper()
	err := db.Read(t.Context(), mno, func(tx *store.Tx) error {
		return tx.Row("SELECT count(*) FROM item WHERE tenant = $1").Scan(&n)
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// Rows that share a statement are all there, each with its tenant, in the order told;
// what refers to another row finds it, and the transaction reads what it inserted.
func TestRowsThatShareAStatement(t *testing.T) {
	storetest.Each(t, linked, func(t *testing.T, db *store.DB) {
		const rows = 77
		err := db.Write(t.Context(), mno, func(tx *store.Tx) error {
			other := tx.As(store.Scope{Tenant: "mvno", Actor: "test"})
			for i := range rows {
				tx.Insert("INSERT INTO node (tenant, id)", i)
				other.Insert("INSERT INTO node (tenant, id)", i)
				tx.Insert("INSERT INTO link (tenant, a, b)", i, i/2)
				tx.Log("INSERT INTO entry (tenant, n)", i)
				if i == 40 {
					var n int
					if err := tx.Row("SELECT count(*) FROM link WHERE tenant = $1").Scan(&n); err != nil || n != 41 {
						return fmt.Errorf("%d links, %v", n, err)
					}
				}
			}
			tx.QueueOne("DELETE FROM link WHERE tenant = $1 AND a = $2", rows-1)
			tx.Insert("INSERT INTO link (tenant, a, b)", rows-1, 0)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		var entries []int64
		err = db.Read(t.Context(), mno, func(tx *store.Tx) error {
			for tenant, want := range map[string]int{"mno": rows, "mvno": rows} {
				var n int
				if err := tx.System().Row("SELECT count(*) FROM node WHERE tenant = $1", tenant).Scan(&n); err != nil || n != want {
					t.Errorf("%s has %d nodes, %v", tenant, n, err)
				}
			}
			rows, err := tx.Query("SELECT n FROM entry WHERE tenant = $1 ORDER BY seq")
			entries, err = store.Collect(rows, err, func(r store.Rows) (n int64, err error) {
				err = r.Scan(&n)
				return n, err
			})
			return err
		})
		if err != nil || len(entries) != rows || !slices.IsSorted(entries) {
			t.Errorf("%v, %v", entries, err)
		}
		err = db.Write(t.Context(), mno, func(tx *store.Tx) error {
			tx.Insert("INSERT INTO node (tenant, id)", 1000)
			tx.Insert("INSERT INTO node (tenant, id)", 1)
			return nil
		})
		if !store.IsUnique(err, "node") {
			t.Errorf("a row twice: %v", err)
		}
	})
}

var linked = []store.Schema{{Room: "test", Files: fstest.MapFS{"0001.sql": {Data: []byte(`
CREATE TABLE node (tenant TEXT NOT NULL, id BIGINT NOT NULL, PRIMARY KEY (tenant, id)) STRICT;
CREATE TABLE link (
	tenant TEXT NOT NULL, a BIGINT NOT NULL, b BIGINT NOT NULL, PRIMARY KEY (tenant, a),
	FOREIGN KEY (tenant, a) REFERENCES node (tenant, id), FOREIGN KEY (tenant, b) REFERENCES node (tenant, id)
) STRICT;
CREATE TABLE entry (
	seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, tenant TEXT NOT NULL, n BIGINT NOT NULL
) STRICT;
`)}}}}

// TestASnapshotSeesOneState: what is committed between two statements of a snapshot is not
// seen, and is by the next reader; a snapshot that fails or is given up leaves none behind.
func TestASnapshotSeesOneState(t *testing.T) {
	storetest.Each(t, schema, func(t *testing.T, db *store.DB) {
		count := func(tx *store.Tx) (n int64) {
			if err := tx.Row("SELECT count(*) FROM item WHERE tenant = $1").Scan(&n); err != nil {
				t.Fatal(err)
			}
			return n
		}
		n := 0
		add := func() {
			n++
			if err := db.Write(t.Context(), mno, func(tx *store.Tx) error {
				tx.Insert("INSERT INTO item (tenant, id, n)", fmt.Sprintf("snap%d", n), 1)
				return nil
			}); err != nil {
				t.Fatal(err)
			}
		}
		add()
		wrong := errors.New("given up")
		for i := range 20 { // as many as there are readers, and more
			var before, after int64
			ctx, cancel := context.WithCancel(t.Context())
			err := db.Snapshot(ctx, mno, func(tx *store.Tx) error {
				before = count(tx)
				add()
				after = count(tx)
				if i%3 == 1 {
					cancel()
				}
				if i%3 == 2 {
					return wrong
				}
				return nil
			})
			cancel()
			if i%3 == 0 && err != nil || i%3 == 2 && !errors.Is(err, wrong) {
				t.Fatal(err)
			}
			if before != after || before != int64(n-1) {
				t.Fatalf("a snapshot saw %d and then %d things of %d", before, after, n)
			}
		}
		for range 20 {
			if err := db.Read(t.Context(), mno, func(tx *store.Tx) error {
				if got := count(tx); got != int64(n) {
					t.Errorf("a reader after snapshots sees %d things of %d", got, n)
				}
				return nil
			}); err != nil {
				t.Fatal(err)
			}
		}
	})
}
