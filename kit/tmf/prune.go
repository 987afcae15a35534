package tmf

import (
	"context"
	"time"

	"tandem/kit/store"
)

const (
	pruneEvery = 10 * time.Minute
	pruneSlice = 500 // change records looked at in one transaction
)

func (h *Hub) keepPruning(ctx context.Context) {
	defer h.done.Done()
	tick := time.NewTicker(pruneEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if _, err := h.Prune(ctx, h.db.Now().Add(-h.opt.Keep)); err != nil && ctx.Err() == nil {
				h.opt.Log.Error("old change records cannot be deleted; trying again", "error", err)
			}
		case <-ctx.Done():
			return
		}
	}
}

// Prune deletes the records of changes made before an instant and says how many it
// deleted. What a subscription has still to be told of stays, however old it is. A
// hub with HubOptions.Keep does it by itself.
func (h *Hub) Prune(ctx context.Context, before time.Time) (deleted int64, err error) {
	for after, more := int64(0), true; more; {
		var n int64
		if n, after, more, err = h.pruneSlice(ctx, after, before); err != nil {
			return deleted, err
		}
		deleted += n
	}
	return deleted, nil
}

// The changes a subscription has passed, and those of APIs nobody listens to. Nothing
// later is worse off: what a change left behind is told by those after it.
const pruneChanges = `DELETE FROM tmf_change AS c WHERE seq > $1 AND seq <= $2
	AND NOT EXISTS (SELECT 1 FROM tmf_hub AS h WHERE h.tenant = c.tenant AND h.api = c.api AND h.cursor < c.seq)`

// pruneSlice looks at the next records in the order they were written, which is by
// and large that of their age.
func (h *Hub) pruneSlice(ctx context.Context, after int64, before time.Time) (deleted, upto int64, more bool, err error) {
	err = h.db.Write(ctx, store.Scope{Actor: "system:hub"}, func(tx *store.Tx) error {
		type row struct{ seq, at int64 }
		upto, more = after, false
		rows, err := tx.System().Query("SELECT seq, at FROM tmf_change WHERE seq > $1 ORDER BY seq LIMIT $2", after, pruneSlice)
		next, err := store.Collect(rows, err, func(r store.Rows) (x row, err error) {
			err = r.Scan(&x.seq, &x.at)
			return x, err
		})
		if err != nil {
			return err
		}
		for _, x := range next {
			if x.at >= store.Micros(before) {
				break
			}
			upto = x.seq
		}
		if upto == after {
			return nil
		}
		more = upto == next[len(next)-1].seq
		deleted, err = tx.System().Exec(pruneChanges, after, upto)
		return err
	})
	return deleted, upto, more, err
}
