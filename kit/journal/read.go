package journal

import (
	"context"
	"math"

	"tandem/kit/store"
)

const (
	lookAhead   = 256     // rows looked at before the blobs are read
	replayChunk = 8 << 20 // octets of blobs in memory during a replay, about
)

// entry is a row of the log.
type entry struct {
	seq int64
	Batch
}

// Read calls fn with the batches after the given number, in order, up to about
// maxBytes (at least one), and returns the number to go on after. It stops before
// a number that may still appear, so that no batch is ever missed. It is for those
// that follow the log. If fn fails, last is the batch before.
func (l *Log) Read(ctx context.Context, after int64, maxBytes int, fn func(seq int64, b *Batch) error) (last int64, err error) {
	upto, err := l.tail.Upto(ctx, after, lookAhead)
	if err != nil || upto == after {
		return after, err
	}
	chunk, last, err := l.chunk(ctx, after, upto, maxBytes, All())
	if err != nil {
		return after, err
	}
	for i := range chunk {
		if err := fn(chunk[i].seq, &chunk[i].Batch); err != nil {
			return after, err
		}
		after = chunk[i].seq
	}
	return last, nil
}

// Replay calls fn with all durable batches after the given number that touch want,
// in order. For shards that are held it is complete: nobody else can add to them.
func (l *Log) Replay(ctx context.Context, after int64, want Set, fn func(seq int64, b *Batch) error) error {
	if err := l.settle(ctx); err != nil {
		return err
	}
	for {
		chunk, last, err := l.chunk(ctx, after, math.MaxInt64, replayChunk, want)
		if err != nil {
			return err
		}
		for i := range chunk {
			if err := fn(chunk[i].seq, &chunk[i].Batch); err != nil {
				return err
			}
		}
		if len(chunk) == 0 {
			return nil
		}
		after = last
	}
}

const (
	touching  = ` AND ((shards_0 & $4) <> 0 OR (shards_1 & $5) <> 0 OR (shards_2 & $6) <> 0 OR (shards_3 & $7) <> 0)`
	someSizes = `SELECT seq, length(blob) FROM journal_batch WHERE log = $1 AND seq > $2 AND seq <= $3` + touching + ` ORDER BY seq LIMIT $8`
	someBlobs = `SELECT seq, shards_0, shards_1, shards_2, shards_3, records, first_at, last_at, blob
		FROM journal_batch WHERE log = $1 AND seq > $2 AND seq <= $3` + touching + ` ORDER BY seq`
)

// chunk reads batches in (after, upto] that touch want, about maxBytes and at least
// one if there is any. All that is wanted up to last is in it.
func (l *Log) chunk(ctx context.Context, after, upto int64, maxBytes int, want Set) (chunk []entry, last int64, err error) {
	err = l.db.Read(ctx, store.Scope{}, func(tx *store.Tx) error {
		w := want.words()
		args := []any{l.name, after, upto, w[0], w[1], w[2], w[3]}
		if last, err = l.reach(tx, args, maxBytes); err != nil || last == after {
			return err
		}
		args[2] = last
		rows, err := tx.System().Query(someBlobs, args...)
		chunk, err = store.Collect(rows, err, scanEntry)
		return err
	})
	return chunk, last, err
}

// reach finds up to where to read.
func (l *Log) reach(tx *store.Tx, args []any, maxBytes int) (last int64, err error) {
	after, upto := args[1].(int64), args[2].(int64)
	rows, err := tx.System().Query(someSizes, append(args[:len(args):len(args)], lookAhead)...)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	last, seen := after, 0
	for total := 0; rows.Next(); seen++ {
		var seq int64
		var size int
		if err := rows.Scan(&seq, &size); err != nil {
			return 0, err
		}
		if total += size; total > maxBytes && seen > 0 {
			return last, nil
		}
		last = seq
	}
	if seen < lookAhead && upto < math.MaxInt64 {
		last = upto // what follows is not wanted
	}
	return last, rows.Err()
}

func scanEntry(r store.Rows) (e entry, err error) {
	var w [4]int64
	err = r.Scan(&e.seq, &w[0], &w[1], &w[2], &w[3], &e.Records, &e.First, &e.Last, &e.Blob)
	e.Shards = setOf(w)
	return e, err
}
