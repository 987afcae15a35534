package store_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/fstest"

	"tandem/kit/store"
	"tandem/kit/store/storetest"
)

// take reads the numbers of the rows into dest.
func take(dest *[]int64) func(store.Rows) error {
	return func(rows store.Rows) error {
		for rows.Next() {
			var n int64
			if err := rows.Scan(&n); err != nil {
				return err
			}
			*dest = append(*dest, n)
		}
		return nil
	}
}

const numbers = "SELECT n FROM item WHERE tenant = $1 AND n >= $2 ORDER BY n"

func TestQuestionsAreAnsweredTogetherInTheirOrder(t *testing.T) {
	storetest.Each(t, schema, func(t *testing.T, db *store.DB) {
		var before, after, all []int64
		err := db.Write(t.Context(), mno, func(tx *store.Tx) error {
			before, after, all = nil, nil, nil
			tx.Later(take(&before), numbers, 0)
			tx.Insert("INSERT INTO item (tenant, id, n)", "a", 1)
			tx.Later(take(&after), numbers, 0)
			tx.Insert("INSERT INTO item (tenant, id, n)", "b", 2)
			if err := tx.Flush(); err != nil {
				return err
			}
			if before != nil || !slices.Equal(after, []int64{1}) {
				t.Errorf("before %d, after %d", before, after)
			}
			tx.Later(take(&all), numbers, 2) // answered when the transaction ends
			return nil
		})
		if err != nil || !slices.Equal(all, []int64{2}) {
			t.Errorf("%v; %d", err, all)
		}
		all = nil
		err = db.Read(t.Context(), mno, func(tx *store.Tx) error {
			tx.Later(take(&all), numbers, 0)
			return nil
		})
		if err != nil || !slices.Equal(all, []int64{1, 2}) {
			t.Errorf("a reader: %v; %d", err, all)
		}
	})
}

func TestAnAnswerMayEndTheTransaction(t *testing.T) {
	storetest.Each(t, schema, func(t *testing.T, db *store.DB) {
		boom := errors.New("boom")
		refuse := func(store.Rows) error { return boom }
		err := db.Write(t.Context(), mno, func(tx *store.Tx) error {
			tx.Insert("INSERT INTO item (tenant, id, n)", "a", 1)
			tx.Later(refuse, numbers, 0)
			return nil
		})
		if !errors.Is(err, boom) || count(t, db) != 0 {
			t.Errorf("%v; %d rows", err, count(t, db))
		}
		for range 8 { // every reader there is
			if err := db.Read(t.Context(), mno, func(tx *store.Tx) error { tx.Later(refuse, numbers, 0); return nil }); !errors.Is(err, boom) {
				t.Errorf("a reader: %v", err)
			}
		}
		for range 8 {
			if err := db.Read(t.Context(), mno, func(tx *store.Tx) error {
				return tx.Row("SELECT count(*) FROM item WHERE tenant = $1").Scan(new(int64))
			}); err != nil {
				t.Errorf("the reader after it: %v", err)
			}
		}
	})
}

func TestAnAnswerMayQueueWhatFollowsFromIt(t *testing.T) {
	storetest.Each(t, schema, func(t *testing.T, db *store.DB) {
		err := db.Write(t.Context(), mno, func(tx *store.Tx) error {
			tx.Insert("INSERT INTO item (tenant, id, n)", "a", 1)
			tx.Later(func(rows store.Rows) error {
				if !rows.Next() {
					return errors.New("it is not there")
				}
				tx.QueueOne("UPDATE item SET n = 5 WHERE tenant = $1 AND id = $2", "a")
				return nil
			}, numbers, 1)
			return nil
		})
		var n int64
		read := db.Read(t.Context(), mno, func(tx *store.Tx) error { return tx.Row("SELECT n FROM item WHERE tenant = $1").Scan(&n) })
		if err != nil || read != nil || n != 5 {
			t.Errorf("%v, %v; %d", err, read, n)
		}
	})
}

var family = []store.Schema{{Room: "test", Files: fstest.MapFS{"0001.sql": {Data: []byte(`
CREATE TABLE test_parent (tenant TEXT NOT NULL, id TEXT NOT NULL, n BIGINT NOT NULL, PRIMARY KEY (tenant, id)) STRICT;
CREATE TABLE test_child (tenant TEXT NOT NULL, id TEXT NOT NULL, parent TEXT NOT NULL,
	PRIMARY KEY (tenant, id), FOREIGN KEY (tenant, parent) REFERENCES test_parent (tenant, id)) STRICT;
CREATE TABLE test_other (tenant TEXT NOT NULL, id TEXT NOT NULL, n BIGINT NOT NULL, PRIMARY KEY (tenant, id)) STRICT;
`)}}}}

// Rows that share a statement are there when a statement that names their table runs, and
// come behind what they refer to.
func TestRowsKeepTheirPlace(t *testing.T) {
	storetest.Each(t, family, func(t *testing.T, db *store.DB) {
		parent := func(tx *store.Tx, id string) { tx.Insert("INSERT INTO test_parent (tenant, id, n)", id, 1) }
		child := func(tx *store.Tx, id, of string) { tx.Insert("INSERT INTO test_child (tenant, id, parent)", id, of) }
		other := func(tx *store.Tx, id string) { tx.Insert("INSERT INTO test_other (tenant, id, n)", id, 1) }
		err := db.Write(t.Context(), mno, func(tx *store.Tx) error {
			other(tx, "o1")
			parent(tx, "p1")
			child(tx, "c1", "p1")
			tx.QueueOne("UPDATE test_other SET n = 2 WHERE tenant = $1 AND id = $2", "o1")
			parent(tx, "p2")
			child(tx, "c2", "p2")
			tx.QueueOne("UPDATE test_parent SET n = 2 WHERE tenant = $1 AND id = $2", "p2")
			parent(tx, "p3")
			child(tx, "c3", "p3")
			tx.Queue("DELETE FROM test_child WHERE tenant = $1 AND id = $2", "c1")
			child(tx, "c1", "p3")
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		var got string
		err = db.Read(t.Context(), mno, func(tx *store.Tx) error {
			rows, err := tx.Query("SELECT c.id, c.parent, p.n FROM test_child c JOIN test_parent p ON p.tenant = c.tenant AND p.id = c.parent WHERE c.tenant = $1 ORDER BY c.id")
			_, err = store.Collect(rows, err, func(r store.Rows) (bool, error) {
				var id, of string
				var n int64
				err := r.Scan(&id, &of, &n)
				got += fmt.Sprint(id, " ", of, " ", n, "; ")
				return true, err
			})
			return err
		})
		if want := "c1 p3 1; c2 p2 2; c3 p3 1; "; err != nil || got != want {
			t.Errorf("%v; %s", err, got)
		}
	})
}
