// Package apptest gives tests of whole nodes a store that has all tables of the house
// already: to make them takes seconds, to copy them a moment.
//
//	test ── Store ──> copy of (app.Schemas, app.Kinds) ──> app.Config{Data, Database}
//
// Owns, tells and hears nothing; only tests import it.
package apptest
