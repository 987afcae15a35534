package activation_test

import (
	"io/fs"
	"testing"
	"testing/fstest"

	"tandem/kit/fault"
	"tandem/kit/store"
	"tandem/kit/store/storetest"
	"tandem/oss/activation"
)

// What was activated before there were claims has its places when the node is upgraded.
func TestWhatWasActivatedBeforeClaimsHasItsPlaces(t *testing.T) {
	first, err := fs.ReadFile(activation.Schemas[0].Files, "0001_room.sql")
	must(t, err)
	before := store.Schema{Room: "activation", Files: fstest.MapFS{"0001_room.sql": {Data: first}}}
	storetest.Each(t, []store.Schema{before}, func(t *testing.T, db *store.DB) {
		write := func(tenant string, f func(tx *store.Tx) error) error {
			return db.Write(t.Context(), store.Scope{Tenant: tenant, Actor: "test"}, f)
		}
		exec := func(tenant, sql string, args ...any) {
			must(t, write(tenant, func(tx *store.Tx) error {
				_, err := tx.Exec(sql, args...)
				return err
			}))
		}
		must(t, write("host", func(tx *store.Tx) error {
			return activation.SaveElement(tx, activation.Element{Name: "hlr-1", Type: "osmo-hlr", Address: "127.0.0.1:1", Enabled: true})
		}))
		exec("host", "INSERT INTO activation_grant (tenant, element, grantee, prefix) VALUES ($1, 'hlr-1', 'brand', '24001')")
		const target = "INSERT INTO activation_target (tenant, service, element, type, key, state, change) VALUES ($1, $2, $3, 'hlrSubscriber', $4, 'active', 1)"
		exec("brand", target, "s1", "hlr-1", imsi(1))
		exec("host", target, "s2", "hlr-1", imsi(2))
		exec("host", target, "s3", "scrapped", imsi(3))
		must(t, db.Migrate(t.Context(), activation.Schemas...))

		claim := func(tenant, holder, element string, n int) error {
			return write(tenant, func(tx *store.Tx) error {
				return activation.Claim(tx, activation.Place{Element: element, Type: "hlrSubscriber", Key: imsi(n)}, holder)
			})
		}
		for _, c := range []struct {
			tenant, holder, element string
			n                       int
			free                    bool
		}{
			{"host", "order", "hlr-1", 1, false}, {"brand", "order", "hlr-1", 1, false}, {"brand", "order", "hlr-1", 2, false}, {"host", "order", "scrapped", 3, false},
			{"brand", "direct:s1", "hlr-1", 1, true}, {"host", "direct:s2", "hlr-1", 2, true}, {"other", "order", "hlr-1", 1, true}, {"host", "order", "hlr-1", 4, true},
		} {
			err := claim(c.tenant, c.holder, c.element, c.n)
			if c.free != (err == nil) || err != nil && fault.Of(err).Code != "alreadyActivated" {
				t.Errorf("%+v: %v", c, err)
			}
		}
		must(t, write("host", func(tx *store.Tx) error {
			activation.Yield(tx, activation.Place{Element: "hlr-1", Type: "hlrSubscriber", Key: imsi(4)}, "somebody else")
			return nil
		}))
		if err := claim("brand", "order", "hlr-1", 4); err == nil {
			t.Error("one who does not have a place gave it up")
		}
		must(t, write("host", func(tx *store.Tx) error {
			activation.Yield(tx, activation.Place{Element: "hlr-1", Type: "hlrSubscriber", Key: imsi(4)}, "order")
			return nil
		}))
		must(t, claim("brand", "order", "hlr-1", 4))
	})
}
