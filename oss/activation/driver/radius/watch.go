package radius

import (
	"context"
	"log/slog"
	"time"

	"tandem/kit/store"
)

const (
	watchEvery = 250 * time.Millisecond
	pruneEvery = 10 * time.Minute
	keep       = 24 * time.Hour // of the log of changes
	most       = 1000           // changes read, or deleted, at once
)

// Watch tells Changed of what other nodes change, too, until ctx is done. What was changed before it began may be told once more.
func (r *Register) Watch(ctx context.Context, log *slog.Logger) {
	w := watcher{Register: r, tail: r.db.Tail("radius_change")}
	look, prune := time.NewTicker(watchEvery), time.NewTicker(pruneEvery)
	defer look.Stop()
	defer prune.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return
		case <-look.C:
			err = w.look(ctx)
		case <-prune.C:
			err = w.prune(ctx)
		}
		if failing := err != nil; failing != w.failing && ctx.Err() == nil {
			w.failing = failing
			log.Warn("radius: the register's log of changes", "failing", failing, "error", err)
		}
	}
}

// watcher is how far the log was read.
type watcher struct {
	*Register
	tail    *store.Tail
	seen    int64
	failing bool // said once
}

// look tells of all that is new.
func (w *watcher) look(ctx context.Context) error {
	for {
		upto, err := w.tail.Upto(ctx, w.seen, most)
		if err != nil || upto == w.seen {
			return err
		}
		names, err := w.names(ctx, upto)
		if err != nil {
			return err
		}
		w.seen = upto
		for _, n := range names {
			w.changed(n)
		}
	}
}

// names are the logins in the log behind seen, each once.
func (w *watcher) names(ctx context.Context, upto int64) (list []string, err error) {
	err = w.db.Read(ctx, w.scope, func(tx *store.Tx) error {
		rows, err := tx.Query("SELECT DISTINCT name FROM radius_change WHERE tenant = $1 AND seq > $2 AND seq <= $3", w.seen, upto)
		list, err = store.Collect(rows, err, store.Text)
		return err
	})
	return list, err
}

// prune deletes what is older than a day; what several nodes would delete one does.
func (w *watcher) prune(ctx context.Context) error {
	for {
		var n int64
		err := w.db.Write(ctx, w.scope, func(tx *store.Tx) (err error) {
			n, err = tx.Exec(`DELETE FROM radius_change WHERE tenant = $1 AND seq IN
				(SELECT seq FROM radius_change WHERE tenant = $1 AND at < $2 ORDER BY seq LIMIT $3`+tx.Dialect().SkipLocked()+`)`, store.Micros(tx.Now().Add(-keep)), most)
			return err
		})
		if err != nil || n < most {
			return err
		}
	}
}
