package journal_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"tandem/kit/journal"
	"tandem/kit/store"
	"tandem/kit/store/storetest"
)

var sizes = []int{16 << 10, 64 << 10, 256 << 10, 1 << 20}

// BenchmarkAppend appends blobs one after the other, as the one writer of a node
// does, beside the floor of the same disk.
func BenchmarkAppend(b *testing.B) {
	for _, size := range sizes {
		b.Run(fmt.Sprintf("floor/%dKiB", size>>10), func(b *testing.B) { benchmarkFloor(b, size) })
		for _, engine := range []store.Dialect{store.SQLite, store.Postgres} {
			b.Run(fmt.Sprintf("%s/%dKiB", engine, size>>10), func(b *testing.B) { benchmarkAppend(b, engine, size) })
		}
	}
}

func benchmarkFloor(b *testing.B, size int) {
	b.SetBytes(int64(size))
	pace, err := journal.Floor(b.TempDir(), size, 1)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() { // measured above, in the time it takes
	}
	b.ReportMetric(pace.PerSecond(), "append/s")
	b.ReportMetric(pace.MegabytesPerSecond(), "MB/s")
}

func benchmarkAppend(b *testing.B, engine store.Dialect, size int) {
	l, one := writer(b, engine, size)
	var slowest time.Duration
	b.SetBytes(int64(size))
	for b.Loop() {
		begun := time.Now()
		if _, err := l.Append(b.Context(), one); err != nil {
			b.Fatal(err)
		}
		slowest = max(slowest, time.Since(begun))
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "append/s")
	b.ReportMetric(float64(slowest.Microseconds())/1000, "ms-slowest")
}

// writer is the holder of all shards of a new log, and a batch.
func writer(b *testing.B, engine store.Dialect, size int) (*journal.Log, *journal.Batch) {
	b.Helper()
	c := storetest.Config(b, engine)
	c.Checkpoint = journal.Checkpoint
	l := holder(storetest.OpenConfig(b, c, schemas...), "a")
	if _, err := l.Claim(b.Context(), journal.Shards); err != nil {
		b.Fatal(err)
	}
	blob := make([]byte, size)
	for i := range blob {
		blob[i] = byte(rand.Uint32N(64)) // as compressible as packed numbers are
	}
	return l, &journal.Batch{Shards: journal.All(), Records: 1000, Blob: blob}
}

// BenchmarkReplay reads 128 MB of journal, which is what a start or a take-over waits
// for, and the same for one shard that is in one batch of 256.
func BenchmarkReplay(b *testing.B) {
	const size, batches = 64 << 10, 2048
	for _, engine := range []store.Dialect{store.SQLite, store.Postgres} {
		l, one := writer(b, engine, size)
		for n := range batches {
			one.Shards = journal.Of(n % journal.Shards)
			if _, err := l.Append(b.Context(), one); err != nil {
				b.Fatal(err)
			}
		}
		for name, want := range map[string]journal.Set{"all": journal.All(), "one shard": journal.Of(9)} {
			b.Run(engine.String()+"/"+name, func(b *testing.B) {
				b.SetBytes(int64(size * batches * want.Len() / journal.Shards))
				for b.Loop() {
					if err := l.Replay(b.Context(), 0, want, func(int64, *journal.Batch) error { return nil }); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
