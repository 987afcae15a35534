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
	for _, k := range kinds {
		if err := migrateKind(ctx, db, k); err != nil {
			return fmt.Errorf("table of %s: %w", k.Meta().Name, err)
		}
	}
	return nil
}

func migrateKind(ctx context.Context, db *store.DB, k Mounted) error {
	m := k.Meta()
	known, err := knownColumns(ctx, db, m.Table)
	if err != nil {
		return err
	}
	want := m.columnNames()
	missing := slices.DeleteFunc(slices.Clone(want), func(c string) bool { return slices.Contains(known, c) })
	if known != nil && len(missing) == 0 {
		return nil
	}
	if known == nil {
		missing = nil
	}
	if err := db.Script(ctx, m.ddl(known == nil, missing)); err != nil {
		return err
	}
	if len(missing) > 0 {
		if err := k.backfill(ctx, db); err != nil {
			return fmt.Errorf("fill new columns: %w", err)
		}
	}
	return db.Write(ctx, store.Scope{}, func(tx *store.Tx) error {
		tx.System().Queue("INSERT INTO tmf_kind (tbl, columns) VALUES ($1, $2) ON CONFLICT (tbl) DO UPDATE SET columns = excluded.columns",
			m.Table, strings.Join(append(known, slices.DeleteFunc(want, func(c string) bool { return slices.Contains(known, c) })...), " "))
		return nil
	})
}

// knownColumns is nil if the table is new.
func knownColumns(ctx context.Context, db *store.DB, table string) (out []string, err error) {
	err = db.Read(ctx, store.Scope{}, func(tx *store.Tx) error {
		var text string
		err := tx.System().Row("SELECT columns FROM tmf_kind WHERE tbl = $1", table).Scan(&text)
		if err == store.ErrNotFound {
			return nil
		}
		out = append([]string{}, strings.Fields(text)...)
		return err
	})
	return out, err
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

// backfill writes the promoted columns of all stored resources anew, in pages.
func (k *Kind[T, P]) backfill(ctx context.Context, db *store.DB) error {
	type row struct {
		tenant, id string
		raw        []byte
	}
	for after := (row{}); ; {
		var page []row
		err := db.Read(ctx, store.Scope{}, func(tx *store.Tx) error {
			rows, err := tx.System().Query("SELECT tenant, id, doc FROM "+k.Table+" WHERE (tenant, id) > ($1, $2) ORDER BY tenant, id LIMIT 1000", after.tenant, after.id)
			page, err = store.Collect(rows, err, func(r store.Rows) (x row, err error) {
				err = r.Scan(&x.tenant, &x.id, &x.raw)
				return x, err
			})
			return err
		})
		if err != nil || len(page) == 0 {
			return err
		}
		after = page[len(page)-1]
		sets := make([]string, len(k.plan.columns))
		for i, c := range k.plan.columns {
			sets[i] = fmt.Sprintf("%s = $%d", c.name, i+3)
		}
		err = db.Write(ctx, store.Scope{}, func(tx *store.Tx) error {
			for _, r := range page {
				p, err := k.decodeStored(r.raw, 1)
				if err != nil {
					return err
				}
				tx.System().Queue("UPDATE "+k.Table+" SET "+strings.Join(sets, ", ")+" WHERE tenant = $1 AND id = $2",
					append([]any{r.tenant, r.id}, k.plan.values(p)...)...)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
}
