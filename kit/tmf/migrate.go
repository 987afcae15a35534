package tmf

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"tandem/kit/store"
)

// Migrate brings the tables of the kinds to what their declarations say: a new
// kind gets its table, a newly promoted attribute its column, values and index.
// A kind needs no migration of its own; that an attribute is promoted no more is
// ignored, since a column too many harms nobody.
func Migrate(ctx context.Context, db *store.DB, kinds []Mounted) error {
	shapes, err := readShapes(ctx, db)
	if err != nil {
		return err
	}
	for _, k := range kinds {
		m := k.Meta()
		if m.Rows {
			continue // the room's own tables
		}
		if err := migrateKind(ctx, db, k, shapes[m.Table]); err != nil {
			return fmt.Errorf("table of %s: %w", m.Name, err)
		}
	}
	return nil
}

func migrateKind(ctx context.Context, db *store.DB, k Mounted, now shape) (err error) {
	m := k.Meta()
	if now.known == nil || len(m.missing(now)) > 0 {
		if now, err = reshape(ctx, db, m); err != nil {
			return err
		}
	}
	if now.filling == "" {
		return nil
	}
	if err := k.backfill(ctx, db); err != nil {
		return fmt.Errorf("fill new columns: %w", err)
	}
	return db.Write(ctx, store.Scope{}, func(tx *store.Tx) error {
		tx.System().Queue("UPDATE tmf_kind SET filling = '' WHERE tbl = $1 AND filling = $2", m.Table, now.filling)
		return nil
	})
}

// shape is what is written down of a kind's table.
type shape struct {
	known   []string // promoted attributes, as Meta.promoted names them; nil: there is no table
	filling string   // those that the stored resources have not all got yet
}

// readShapes reads all of them, by table.
func readShapes(ctx context.Context, db *store.DB) (map[string]shape, error) {
	all := map[string]shape{}
	err := db.Read(ctx, store.Scope{}, func(tx *store.Tx) error {
		rows, err := tx.System().Query("SELECT tbl, columns, filling FROM tmf_kind")
		_, err = store.Collect(rows, err, func(r store.Rows) (s shape, err error) {
			var table, columns string
			err = r.Scan(&table, &columns, &s.filling)
			s.known = append([]string{}, strings.Fields(columns)...)
			all[table] = s
			return s, err
		})
		return err
	})
	return all, err
}

func readShape(tx *store.Tx, table string) (s shape, err error) {
	var columns string
	err = tx.System().Row("SELECT columns, filling FROM tmf_kind WHERE tbl = $1", table).Scan(&columns, &s.filling)
	if err == store.ErrNotFound {
		return s, nil
	}
	s.known = append([]string{}, strings.Fields(columns)...)
	return s, err
}

// missing are the promoted attributes that the table lacks.
func (m Meta) missing(s shape) []string {
	return slices.DeleteFunc(m.promoted(), func(c string) bool { return slices.Contains(s.known, c) })
}

// reshape changes the table and writes down what it is to be filled with, in one
// transaction: whatever happens after it, the next start goes on from there. Another
// node may have been here since the caller looked.
func reshape(ctx context.Context, db *store.DB, m Meta) (s shape, err error) {
	err = db.Reshape(ctx, func(tx *store.Tx, ddl func(string) error) error {
		if s, err = readShape(tx, m.Table); err != nil {
			return err
		}
		missing := m.missing(s)
		if err := ddl(m.ddl(s.known == nil, missing)); err != nil {
			return err
		}
		if s.known != nil {
			s.filling = strings.Join(append(strings.Fields(s.filling), missing...), " ")
		}
		s.known = append(s.known, missing...)
		tx.System().Queue(`INSERT INTO tmf_kind (tbl, columns, filling) VALUES ($1, $2, $3)
			ON CONFLICT (tbl) DO UPDATE SET columns = excluded.columns, filling = excluded.filling`, m.Table, strings.Join(s.known, " "), s.filling)
		return nil
	})
	return s, err
}

// ddl makes the table, or adds the missing columns and their indexes.
func (m Meta) ddl(fresh bool, missing []string) string {
	var b strings.Builder
	if fresh {
		fmt.Fprintf(&b, "CREATE TABLE IF NOT EXISTS %s (\n\ttenant TEXT NOT NULL,\n\tid TEXT COLLATE \"C\" NOT NULL,\n\trev BIGINT NOT NULL CHECK (rev > 0),\n\tupdated_at BIGINT NOT NULL,\n\tdoc JSON NOT NULL,\n", m.Table)
		for _, c := range m.plan.columns {
			fmt.Fprintf(&b, "\t%s %s,\n", c.name, c.sql)
		}
		fmt.Fprintf(&b, "\tPRIMARY KEY (tenant, id)\n) STRICT;\n")
	}
	for _, c := range m.plan.columns {
		if !fresh && !slices.Contains(missing, c.name) {
			continue
		}
		if !fresh {
			fmt.Fprintf(&b, "ALTER TABLE %s ADD COLUMN %s %s;\n", m.Table, c.name, c.sql)
		}
		fmt.Fprintf(&b, "CREATE INDEX IF NOT EXISTS %s_by_%s ON %s (tenant, %s NULLS FIRST, id);\n", m.Table, c.name, m.Table, c.name)
	}
	return b.String()
}

const fillBatch = 500 // resources filled in one transaction

// backfill writes the promoted attributes of all stored resources anew.
func (k *Kind[T, P]) backfill(ctx context.Context, db *store.DB) error {
	for after, more := (filled{}), true; more; {
		err := db.Write(ctx, store.Scope{}, func(tx *store.Tx) (err error) {
			after, more, err = k.fillAfter(tx, after)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// filled is a resource whose promoted attributes are to be written.
type filled struct {
	tenant, id string
	rev        int64
	raw        []byte
}

// fillAfter fills the next batch and says where it ended. The rows are locked, so
// that nobody changes a resource between its reading and its writing.
func (k *Kind[T, P]) fillAfter(tx *store.Tx, after filled) (filled, bool, error) {
	rows, err := tx.System().Query(fmt.Sprintf("SELECT tenant, id, rev, doc FROM %s WHERE (tenant, id) > ($1, $2) ORDER BY tenant, id LIMIT %d",
		k.Table, fillBatch)+tx.Dialect().ForUpdate(), after.tenant, after.id)
	batch, err := store.Collect(rows, err, func(r store.Rows) (f filled, err error) {
		err = r.Scan(&f.tenant, &f.id, &f.rev, &f.raw)
		return f, err
	})
	if err != nil || len(batch) == 0 {
		return after, false, err
	}
	sets := []string{"rev = rev"} // there may be no column to set
	for i, c := range k.plan.columns {
		sets = append(sets, fmt.Sprintf("%s = $%d", c.name, i+3))
	}
	for _, f := range batch {
		p, err := k.decodeStored(f.raw, f.rev)
		if err != nil {
			return after, false, err
		}
		tx.System().Queue("UPDATE "+k.Table+" SET "+strings.Join(sets, ", ")+" WHERE tenant = $1 AND id = $2",
			append([]any{f.tenant, f.id}, k.plan.values(p)...)...)
		for _, v := range k.plan.multiValues(p) {
			tx.System().Queue("INSERT INTO tmf_multi (tenant, tbl, attr, value, id) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
				f.tenant, k.Table, v.attr, v.value, f.id)
		}
	}
	return batch[len(batch)-1], true, nil
}
