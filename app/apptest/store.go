package apptest

import (
	"path/filepath"
	"testing"

	"tandem/app"
	"tandem/kit/store"
	"tandem/kit/tmf/tmftest"
)

// Store is a fresh store of a node: Data and Database of its configuration. It is gone
// after the test.
func Store(t testing.TB, engine store.Dialect) (data, database string) {
	t.Helper()
	c := tmftest.Config(t, engine, app.Schemas(), app.Kinds())
	if engine == store.SQLite {
		return filepath.Dir(c.Path), "" // where a node looks for it
	}
	return t.TempDir(), c.URL
}
