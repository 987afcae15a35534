package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"slices"
	"strings"
)

// Schema is a room's tables: numbered files (0001_name.sql, ...) that only ever
// grow. A file once released never changes; its checksum is kept and compared.
type Schema struct {
	Room  string
	Files fs.FS
}

// Embedded is the schema of a room that embeds its folder "schema".
func Embedded(room string, files fs.FS) Schema {
	sub, err := fs.Sub(files, "schema")
	if err != nil {
		panic(err) // the name is valid
	}
	return Schema{Room: room, Files: sub}
}

const migrationTable = `CREATE TABLE IF NOT EXISTS store_migration (
	room TEXT NOT NULL, file TEXT NOT NULL, sum TEXT NOT NULL, applied_at BIGINT NOT NULL,
	PRIMARY KEY (room, file)
) STRICT;`

// Migrate brings all rooms to their newest schema, each file in a transaction
// of its own, forward only.
func (db *DB) Migrate(ctx context.Context, rooms ...Schema) error {
	if err := db.Script(ctx, migrationTable); err != nil {
		return err
	}
	applied, err := db.applied(ctx)
	if err != nil {
		return err
	}
	for _, room := range rooms {
		files, err := fs.Glob(room.Files, "*.sql")
		if err != nil || len(files) == 0 {
			return fmt.Errorf("room %s has no schema files: %v", room.Room, err)
		}
		slices.Sort(files)
		for _, f := range files {
			if err := db.apply(ctx, room, f, applied[room.Room+"/"+f]); err != nil {
				return fmt.Errorf("schema %s/%s: %w", room.Room, f, err)
			}
		}
	}
	return nil
}

// applied are the sums of the files that the store has, by room and file.
func (db *DB) applied(ctx context.Context) (map[string]string, error) {
	sums := map[string]string{}
	err := db.Read(ctx, Scope{}, func(tx *Tx) error {
		rows, err := tx.System().Query("SELECT room, file, sum FROM store_migration")
		_, err = Collect(rows, err, func(r Rows) (sum string, err error) {
			var room, file string
			err = r.Scan(&room, &file, &sum)
			sums[room+"/"+file] = sum
			return sum, err
		})
		return err
	})
	return sums, err
}

// apply applies a file unless the store has it; known is the sum of what it had when
// the migration began, if anything.
func (db *DB) apply(ctx context.Context, room Schema, file, known string) error {
	text, err := fs.ReadFile(room.Files, file)
	if err != nil {
		return err
	}
	digest := sha256.Sum256(text)
	sum := hex.EncodeToString(digest[:])
	if known == sum {
		return nil
	}
	return db.Write(ctx, Scope{}, func(tx *Tx) error {
		y := tx.System()
		if err := migrationLock(tx); err != nil {
			return err
		}
		err := y.Row("SELECT sum FROM store_migration WHERE room = $1 AND file = $2", room.Room, file).Scan(&known)
		if err == nil && known != sum {
			return fmt.Errorf("the file was changed after it was applied; add a new file instead")
		}
		if err != ErrNotFound {
			return err
		}
		if err := runScript(y, db.dialect.DDL(string(text))); err != nil {
			return err
		}
		y.Queue("INSERT INTO store_migration (room, file, sum, applied_at) VALUES ($1, $2, $3, $4)",
			room.Room, file, sum, Micros(tx.Now()))
		return nil
	})
}

// migrationLock lets one node migrate at a time.
func migrationLock(tx *Tx) error {
	if tx.dialect != Postgres {
		return nil
	}
	_, err := tx.System().Exec("SELECT pg_advisory_xact_lock(7482301)")
	return err
}

// Reshape runs fn in a transaction under the migration lock: what fn reads of the
// shape of tables no other node changes meanwhile. ddl runs statements of kit's own
// making, which the transaction's end decides with all else.
func (db *DB) Reshape(ctx context.Context, fn func(tx *Tx, ddl func(string) error) error) error {
	return db.Write(ctx, Scope{}, func(tx *Tx) error {
		if err := migrationLock(tx); err != nil {
			return err
		}
		return fn(tx, func(text string) error { return runScript(tx.System(), db.dialect.DDL(text)) })
	})
}

// Script runs DDL statements under the migration lock.
func (db *DB) Script(ctx context.Context, text string) error {
	return db.Reshape(ctx, func(_ *Tx, ddl func(string) error) error { return ddl(text) })
}

// runScript runs statements separated by a semicolon at the end of a line.
func runScript(y System, text string) error {
	for _, stmt := range strings.Split(text+"\n", ";\n") {
		if strings.TrimSpace(stripComments(stmt)) == "" {
			continue
		}
		if _, err := y.Exec(stmt); err != nil {
			return fmt.Errorf("%w in %s", err, strings.TrimSpace(stmt))
		}
	}
	return nil
}

func stripComments(s string) string {
	var out []string
	for _, line := range strings.Split(s, "\n") {
		if !strings.HasPrefix(strings.TrimSpace(line), "--") {
			out = append(out, line)
		}
	}
	return strings.Join(out, "\n")
}
