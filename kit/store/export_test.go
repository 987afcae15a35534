package store

// Between runs f in each Upto between its two looks at the database.
func (t *Tail) Between(f func()) { t.between = f }
