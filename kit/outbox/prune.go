package outbox

import (
	"context"
	"errors"
	"time"

	"tandem/kit/store"
)

const (
	pruneEvery = time.Minute
	pruneSlice = 1000               // facts deleted in one transaction
	lostAfter  = 7 * 24 * time.Hour // a hearer unknown here that has not moved for so long holds nothing back
)

func (b *Bus) keepPruning(ctx context.Context) {
	tick := time.NewTicker(pruneEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if _, err := b.Prune(ctx); err != nil && ctx.Err() == nil {
				b.log.Error("outbox: pruning failed; trying again", "err", err)
			}
		case <-ctx.Done():
			return
		}
	}
}

// Prune deletes facts that every hearer has passed, but for the newest Keep, and
// says how many. The bus does it by itself every minute.
func (b *Bus) Prune(ctx context.Context) (deleted int64, err error) {
	for more := true; more; {
		var n int64
		if n, more, err = b.pruneOnce(ctx); err != nil {
			return deleted, err
		}
		deleted += n
	}
	return deleted, nil
}

// pruneOnce deletes the oldest slice. Holding the row of the empty name, it is
// alone in doing so; the row remembers the place for hearers yet to come.
func (b *Bus) pruneOnce(ctx context.Context) (deleted int64, more bool, err error) {
	err = b.db.Write(ctx, store.Scope{Actor: "system:outbox"}, func(tx *store.Tx) error {
		deleted, more = 0, false
		y := tx.System()
		var from int64
		err := y.Row("SELECT seq FROM outbox_cursor WHERE hearer = ''" + tx.Dialect().SkipLocked()).Scan(&from)
		if errors.Is(err, store.ErrNotFound) {
			return nil // another node prunes
		}
		if err != nil {
			return err
		}
		upto, err := b.prunable(tx)
		if err != nil || upto <= from {
			return err
		}
		upto, more = min(upto, from+pruneSlice), upto > from+pruneSlice
		deleted, err = y.Exec("DELETE FROM outbox_fact WHERE seq <= $1", upto)
		y.Queue("UPDATE outbox_cursor SET seq = $1, moved_at = $2 WHERE hearer = ''", upto, store.Micros(tx.Now()))
		return err
	})
	return deleted, more, err
}

// prunable is the highest number that nobody needs any more. Hearers count if
// they are of this node, or of another and moved lately (a rolling release has
// both); a hearer that no release knows any longer holds nothing back.
func (b *Bus) prunable(tx *store.Tx) (int64, error) {
	var newest, low int64
	if err := tx.System().Row("SELECT coalesce(max(seq), 0) FROM outbox_fact").Scan(&newest); err != nil {
		return 0, err
	}
	args := []any{store.Micros(tx.Now().Add(-lostAfter))}
	for _, h := range b.hearers {
		args = append(args, h.name)
	}
	here := ""
	if len(b.hearers) > 0 {
		here = " OR hearer IN (" + store.In(2, len(b.hearers)) + ")"
	}
	err := tx.System().Row("SELECT coalesce(min(seq), -1) FROM outbox_cursor WHERE hearer <> '' AND (moved_at > $1"+here+")", args...).Scan(&low)
	if low < 0 {
		low = newest
	}
	return min(low, newest-b.Keep), err
}
