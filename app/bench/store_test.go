package bench

import (
	"io"
	"testing"

	"tandem/app/apptest"
	"tandem/kit/store"
)

// quietly is a fresh store, and nothing said of what happens on it.
func quietly(t *testing.T, engine store.Dialect) Options {
	t.Helper()
	data, database := apptest.Store(t, engine)
	return Options{Data: data, Database: database, Out: io.Discard, Log: io.Discard}
}
