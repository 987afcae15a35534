package journal

// Doubt makes the log believe that the outcome of a write is not known.
func (l *Log) Doubt() { l.doubt.Store(true) }

// Term is the number of the present term, 0 for none.
func (l *Log) Term() int64 {
	term, _ := l.present()
	return term
}

// Insert is the statement of an append, as PostgreSQL gets it; its last two
// parameters but one are the time and the blob.
const Insert = appendBatch + " FOR SHARE RETURNING seq"
