package store

import (
	"regexp"
	"strings"
	"time"
)

// Dialect names the engine and says the few things the two say differently.
type Dialect int

const (
	SQLite Dialect = iota
	Postgres
)

func (d Dialect) String() string {
	if d == Postgres {
		return "postgres"
	}
	return "sqlite"
}

// SkipLocked is appended to the inner SELECT of a queue claim.
func (d Dialect) SkipLocked() string {
	if d == Postgres {
		return " FOR UPDATE SKIP LOCKED"
	}
	return ""
}

// ForUpdate is appended to a SELECT of one row that will be written back.
func (d Dialect) ForUpdate() string {
	if d == Postgres {
		return " FOR UPDATE"
	}
	return ""
}

// ForShare is appended to a SELECT of one row that must stay as it is until the
// transaction ends; others may read it so as well.
func (d Dialect) ForShare() string {
	if d == Postgres {
		return " FOR SHARE"
	}
	return ""
}

// ForKeyShare is appended to a SELECT of rows that must not be deleted before the
// transaction ends, by who writes references to them.
func (d Dialect) ForKeyShare() string {
	if d == Postgres {
		return " FOR KEY SHARE"
	}
	return ""
}

var sqliteTypes = strings.NewReplacer(
	"BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY", "INTEGER PRIMARY KEY AUTOINCREMENT",
	"BIGINT", "INTEGER", "BYTEA", "BLOB", "JSON", "TEXT", ` COLLATE "C"`, "", " NULLS FIRST", "")

var (
	postgresTail = regexp.MustCompile(`\)\s*STRICT(, WITHOUT ROWID)?\s*;`)
	postgresOnly = regexp.MustCompile(`(?m)^-- postgres: `)
	sqliteOnly   = regexp.MustCompile(`(?m)^-- sqlite: `)
)

// DDL turns a schema text into this engine's own. Schema files use PostgreSQL's
// type names and end each table with ") STRICT;". A line that begins with
// "-- postgres: " is a statement to PostgreSQL and a comment to SQLite; one that begins
// with "-- sqlite: " the reverse. A statement ends with a semicolon at the end of a line.
func (d Dialect) DDL(text string) string {
	if d == Postgres {
		return postgresOnly.ReplaceAllString(postgresTail.ReplaceAllString(text, ");"), "")
	}
	return sqliteTypes.Replace(sqliteOnly.ReplaceAllString(text, ""))
}

// Micros is how instants are stored: microseconds since 1970 UTC, 0 for none.
func Micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// Instant is the inverse of Micros.
func Instant(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}
