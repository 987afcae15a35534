package store_test

import (
	"os"
	"testing"
	"testing/fstest"

	"tandem/kit/store"
	"tandem/kit/store/storetest"
)

var blobs = []store.Schema{{Room: "test", Files: fstest.MapFS{"0001.sql": {Data: []byte(`
CREATE TABLE blob (seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, tenant TEXT NOT NULL, blob BYTEA NOT NULL) STRICT;
`)}}}}

// The log of a SQLite store is folded into the file while the writer goes on, long
// before a commit would have to do it; and it does not grow for ever.
func TestTheLogIsFoldedBesideTheWriter(t *testing.T) {
	const mib = 1 << 20
	c := storetest.Config(t, store.SQLite)
	c.Checkpoint = 16 * mib
	db := storetest.OpenConfig(t, c, blobs...)
	folded := make(chan struct{}, 1000)
	db.Folded(func() { folded <- struct{}{} })
	write := func(n int) {
		t.Helper()
		err := db.Write(t.Context(), mno, func(tx *store.Tx) error {
			tx.Queue("INSERT INTO blob (tenant, blob) VALUES ($1, $2)", make([]byte, n))
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for range 8 { // half of what a commit would fold
		write(mib)
		<-folded
	}
	if n := sizeOf(t, c.Path); n < 6*mib {
		t.Errorf("%d octets of 8 MiB have been folded", n)
	}
	for range 100 {
		write(mib)
	}
	if n := sizeOf(t, c.Path+"-wal"); n > 2*c.Checkpoint {
		t.Errorf("the log has grown to %d octets", n)
	}
	err := db.Read(t.Context(), mno, func(tx *store.Tx) error {
		var n, octets int64
		err := tx.Row("SELECT count(*), sum(length(blob)) FROM blob WHERE tenant = $1").Scan(&n, &octets)
		if n != 108 || octets != 108*mib {
			t.Errorf("%d blobs with %d octets", n, octets)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func sizeOf(t *testing.T, path string) int64 {
	t.Helper()
	f, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return f.Size()
}
