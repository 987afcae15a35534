package store_test

import (
	"errors"
	"testing"
	"testing/fstest"

	"tandem/kit/store"
	"tandem/kit/store/storetest"
)

func getSchema(text string) []store.Schema {
	return []store.Schema{{Room: "get", Files: fstest.MapFS{"0001_get.sql": {Data: []byte(text)}}}}
}

func TestQueueGetTellsTheNumberOfTheOneRow(t *testing.T) {
	storetest.Each(t, getSchema("CREATE TABLE get_row (seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, n BIGINT NOT NULL) STRICT;\n"), func(t *testing.T, db *store.DB) {
		get := func(sql string, args ...any) (got int64, err error) {
			err = db.Write(t.Context(), store.Scope{}, func(tx *store.Tx) error {
				tx.System().QueueGet(&got, sql, args...)
				return nil
			})
			return got, err
		}
		for want := range int64(3) {
			if got, err := get("INSERT INTO get_row (n) VALUES ($1) RETURNING seq", -5); err != nil || got != want+1 {
				t.Fatalf("insert %d got %d: %v", want+1, got, err)
			}
		}
		if got, err := get("UPDATE get_row SET n = n - 1 WHERE seq = $1 RETURNING n", 2); err != nil || got != -6 {
			t.Errorf("the update got %d: %v", got, err)
		}
		if _, err := get("UPDATE get_row SET n = 0 WHERE seq = $1 RETURNING n", 9); !errors.Is(err, store.ErrStale) {
			t.Errorf("no row: %v", err)
		}
		if _, err := get("UPDATE get_row SET n = 0 WHERE seq < $1 RETURNING n", 3); !errors.Is(err, store.ErrStale) {
			t.Errorf("two rows: %v", err)
		}
		if got, err := get("UPDATE get_row SET n = n WHERE seq = $1 RETURNING n", 1); err != nil || got != -5 {
			t.Errorf("the failed transaction left %d: %v", got, err)
		}
	})
}

func TestALineForPostgreSQLAlone(t *testing.T) {
	storetest.Each(t, getSchema("CREATE TABLE get_row (n BIGINT NOT NULL) STRICT;\n-- postgres: INSERT INTO get_row (n) VALUES (1);\n"), func(t *testing.T, db *store.DB) {
		var got int64
		err := db.Read(t.Context(), store.Scope{}, func(tx *store.Tx) error {
			return tx.System().Row("SELECT count(*) FROM get_row").Scan(&got)
		})
		want := map[store.Dialect]int64{store.SQLite: 0, store.Postgres: 1}[db.Dialect()]
		if err != nil || got != want {
			t.Errorf("%d rows (%v), want %d", got, err, want)
		}
	})
}
