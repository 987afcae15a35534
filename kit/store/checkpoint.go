package store

// A checkpointer folds the write-ahead log into the file of a SQLite store while the
// writer goes on: a commit that did it would wait until megabytes are on the disk. What
// is committed meanwhile is left for the next time. So the log is never folded to its
// end, and a commit that finds it full (Config.Checkpoint) folds the little that is left,
// after which the log is written from its beginning again.
type checkpointer struct {
	conn *sqliteConn
	full int64 // pages
	log  func(error)
	wake chan struct{}
	done chan struct{}

	folded func() // a test's, run after each folding
}

// foldings is how many times the log is folded until it is full, about.
const foldings = 16

func newCheckpointer(path string, full int64, log func(error)) (*checkpointer, error) {
	conn, err := connect(path, "PRAGMA synchronous=FULL", "PRAGMA cache_size=-1000", "PRAGMA wal_autocheckpoint=0")
	if err != nil {
		return nil, err
	}
	k := &checkpointer{conn: conn, full: full, log: log, wake: make(chan struct{}, 1), done: make(chan struct{})}
	go k.run()
	return k, nil
}

func (k *checkpointer) run() {
	defer close(k.done)
	full := false
	for range k.wake {
		if full { // now it is for a commit, which could do nothing while this was at it
			full = false
			continue
		}
		pages, err := k.foldNow()
		if err != nil {
			k.log(err) // nothing is lost: the log has it all
		}
		full = pages >= k.full
		if k.folded != nil {
			k.folded()
		}
	}
}

// foldNow folds what is in the log, as far as no reader needs it, and says how many pages
// the log has.
func (k *checkpointer) foldNow() (pages int64, err error) {
	rows, err := k.conn.query("PRAGMA wal_checkpoint(PASSIVE)", nil)
	var busy, folded int64
	err = Row{rows, err}.Scan(&busy, &pages, &folded)
	return pages, err
}

// fold has the log folded soon. It does not block.
func (k *checkpointer) fold() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// close waits for what is under way.
func (k *checkpointer) close() {
	close(k.wake)
	<-k.done
	k.conn.close()
}
