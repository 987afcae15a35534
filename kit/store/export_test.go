package store

// Between runs f in each Upto between its two looks at the database.
func (t *Tail) Between(f func()) { t.between = f }

// Folded runs f each time that SQLite's log has been folded into the file beside the
// writer. It is set before anything is written.
func (db *DB) Folded(f func()) { db.engine.(*sqliteEngine).folder.folded = f }

// Waiting is how many values wait for their group to write them.
func (g *Group[T]) Waiting() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.waiting)
}
