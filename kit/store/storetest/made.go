package storetest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"tandem/kit/store"
)

// Layout is what a store has before a test begins: tables, no rows.
type Layout struct {
	Schemas []store.Schema
	Text    string                                        // what Make makes: layouts that differ in it are not shared
	Make    func(ctx context.Context, db *store.DB) error // the rest, after the schemas; nil: nothing
}

// Made names a fresh store of a layout, all its own: a copy of one that was made once,
// since hundreds of tables take seconds to make and a moment to copy.
func Made(t testing.TB, engine store.Dialect, l Layout) store.Config {
	t.Helper()
	sum, err := l.sum()
	if err != nil {
		t.Fatal(err)
	}
	if engine == store.SQLite {
		c := Config(t, engine)
		image(t, sum, l).write(t, filepath.Dir(c.Path))
		return c
	}
	return database(t, " TEMPLATE "+template(t, sum, l))
}

// sum tells layouts apart.
func (l Layout) sum() (string, error) {
	h := sha256.New()
	fmt.Fprintf(h, "%d %s\n", len(l.Text), l.Text)
	for _, s := range l.Schemas {
		files, err := fs.Glob(s.Files, "*.sql")
		if err != nil {
			return "", err
		}
		slices.Sort(files)
		for _, name := range files {
			text, err := fs.ReadFile(s.Files, name)
			if err != nil {
				return "", err
			}
			fmt.Fprintf(h, "%s/%s %d %s\n", s.Room, name, len(text), text)
		}
	}
	return hex.EncodeToString(h.Sum(nil)[:12]), nil
}

// fill makes the layout in an empty store and closes it.
func (l Layout) fill(ctx context.Context, c store.Config) error {
	db, err := store.Open(ctx, c)
	if err != nil {
		return err
	}
	defer db.Close()
	if err := db.Migrate(ctx, l.Schemas...); err != nil || l.Make == nil {
		return err
	}
	return l.Make(ctx, db)
}

// files is a closed SQLite store: name -> content.
type files map[string][]byte

// images are those that this process has made, by the sum of their layout.
var images struct {
	sync.Mutex
	made map[string]files
}

func image(t testing.TB, sum string, l Layout) files {
	t.Helper()
	images.Lock()
	defer images.Unlock()
	if f := images.made[sum]; f != nil {
		return f
	}
	f, err := makeImage(t.Context(), t.TempDir(), l)
	if err != nil {
		t.Fatalf("make a store: %v", err)
	}
	if images.made == nil {
		images.made = map[string]files{}
	}
	images.made[sum] = f
	return f
}

func makeImage(ctx context.Context, dir string, l Layout) (files, error) {
	if err := l.fill(ctx, store.Config{Path: filepath.Join(dir, "tandem.db")}); err != nil {
		return nil, err
	}
	found, err := filepath.Glob(filepath.Join(dir, "tandem.db*")) // with its log, if one is left
	if err != nil {
		return nil, err
	}
	f := files{}
	for _, path := range found {
		if f[filepath.Base(path)], err = os.ReadFile(path); err != nil {
			return nil, err
		}
	}
	return f, nil
}

func (f files) write(t testing.TB, dir string) {
	t.Helper()
	for name, content := range f {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

const (
	templatePrefix = "tandem_made_"
	keepTemplates  = 100     // of a server that outlives the tests; the rest are older layouts
	makingLock     = 7482302 // one process makes a template at a time
)

// templates are the databases known to be there, by the sum of their layout.
var templates struct {
	sync.Mutex
	known map[string]bool
}

// template is the name of a database of the layout that nobody uses. It is made by the
// first test of all processes that needs it.
func template(t testing.TB, sum string, l Layout) string {
	t.Helper()
	name := templatePrefix + sum
	templates.Lock()
	defer templates.Unlock()
	if templates.known[sum] {
		return name
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	if err := makeTemplate(ctx, Server(t), name, l); err != nil {
		t.Fatalf("make a database: %v", err)
	}
	if templates.known == nil {
		templates.known = map[string]bool{}
	}
	templates.known[sum] = true
	return name
}

// makeTemplate makes the database under another name first, so that one that was not
// finished is never taken for one that was.
func makeTemplate(ctx context.Context, server, name string, l Layout) error {
	conn, err := pgx.Connect(ctx, server)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx)) // and with it the lock
	if _, err := conn.Exec(ctx, "SELECT pg_advisory_lock($1)", makingLock); err != nil {
		return err
	}
	var there bool
	if err := conn.QueryRow(ctx, "SELECT EXISTS (SELECT 1 FROM pg_database WHERE datname = $1)", name).Scan(&there); err != nil || there {
		return err
	}
	half := name + "_half"
	for _, sql := range []string{"DROP DATABASE IF EXISTS " + half + " WITH (FORCE)", "CREATE DATABASE " + half} {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return err
		}
	}
	if err := l.fill(ctx, store.Config{URL: within(server, half)}); err != nil {
		return err
	}
	if _, err := conn.Exec(ctx, "ALTER DATABASE "+half+" RENAME TO "+name); err != nil {
		return err
	}
	return dropOld(ctx, conn)
}

// dropOld drops the templates that were made first, if there are many.
func dropOld(ctx context.Context, conn *pgx.Conn) error {
	rows, err := conn.Query(ctx, "SELECT datname FROM pg_database WHERE starts_with(datname::text, $1) ORDER BY oid DESC OFFSET $2", templatePrefix, keepTemplates)
	if err != nil {
		return err
	}
	old, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	for _, name := range old {
		if _, err := conn.Exec(ctx, "DROP DATABASE "+pgx.Identifier{name}.Sanitize()); err != nil {
			return err
		}
	}
	return nil
}

// within is the URL of a database on the server of another.
func within(server, database string) string {
	return strings.Replace(server, "/postgres?", "/"+database+"?", 1)
}
