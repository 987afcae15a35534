package activation

import (
	"embed"
	"net"
	"regexp"
	"strings"

	"tandem/kit/fault"
	"tandem/kit/store"
	"tandem/kit/tmf"
)

//go:embed schema/*.sql
var schemaFiles embed.FS

// Schemas are the room's own tables.
var Schemas = []store.Schema{store.Embedded("activation", schemaFiles)}

// Kinds are the resources the room serves.
func Kinds() []tmf.Mounted { return []tmf.Mounted{&Services, &Monitors} }

// Element is a network element that can be driven.
type Element struct {
	Owner       string // the host; set by Resolve and Elements
	Name        string
	Type        string // names the driver: "osmo-hlr"
	Address     string // host:port
	VTY         string // host:port of its command line, empty: none
	Rate        int64  // operations a second, 0: no limit
	Concurrency int64  // operations at once, 0: a default
	Enabled     bool   // false: out of service by decision, e.g. for maintenance
	Note        string
	Prefix      string // set by Resolve: of the keys the tenant may touch; empty: all
}

var nameShape = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

func (e Element) check() error {
	if !nameShape.MatchString(e.Name) || !nameShape.MatchString(e.Type) {
		return fault.BadInput("badElement", "The name and the type of an element have 1 to 64 of the characters A-Z a-z 0-9 . _ -")
	}
	for _, addr := range []string{e.Address, e.VTY} {
		if host, port, err := net.SplitHostPort(addr); (addr != "" || e.Address == "") && (err != nil || host == "" || port == "") {
			return fault.BadInput("badElement", "The address of an element looks like host:port, not %q", addr)
		}
	}
	if e.Rate < 0 || e.Concurrency < 0 || e.Concurrency > 256 {
		return fault.BadInput("badElement", "The rate of an element is 0 or more, its concurrency 0 to 256")
	}
	return nil
}

// SaveElement makes an element of the tenant or changes it. Operations notice within the refresh time.
func SaveElement(tx *store.Tx, e Element) error {
	if err := e.check(); err != nil {
		return err
	}
	enabled := 0
	if e.Enabled {
		enabled = 1
	}
	_, err := tx.Exec(`INSERT INTO activation_element (tenant, name, type, address, vty, rate, concurrency, enabled, note)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (tenant, name) DO UPDATE SET type = excluded.type, address = excluded.address,
		vty = excluded.vty, rate = excluded.rate, concurrency = excluded.concurrency, enabled = excluded.enabled, note = excluded.note`,
		e.Name, e.Type, e.Address, e.VTY, e.Rate, e.Concurrency, enabled, e.Note)
	return err
}

// RemoveElement removes an element of the tenant that nobody else uses and no directly activated service runs on.
func RemoveElement(tx *store.Tx, name string) error {
	var used int64
	err := tx.Row(`SELECT (SELECT count(*) FROM activation_grant WHERE tenant = $1 AND element = $2) +
		(SELECT count(*) FROM activation_target WHERE tenant = $1 AND element = $2)`, name).Scan(&used)
	if err != nil {
		return err
	}
	if used > 0 {
		return fault.Clash("elementInUse", "Element %s is granted to others or carries services", name)
	}
	n, err := tx.Exec("DELETE FROM activation_element WHERE tenant = $1 AND name = $2", name)
	if err == nil && n == 0 {
		return fault.Missing("element", name)
	}
	return err
}

// Grant lets another operator use an element of the tenant, for keys that begin with prefix. The prefixes of two operators do not overlap:
// neither could be told whose a key is.
func Grant(tx *store.Tx, element, grantee, prefix string) error {
	if grantee == "" || grantee == tx.Tenant() {
		return fault.BadInput("badGrant", "An element is granted to another operator")
	}
	var found string
	err := tx.Row("SELECT name FROM activation_element WHERE tenant = $1 AND name = $2"+tx.Dialect().ForUpdate(), element).Scan(&found)
	switch {
	case err == store.ErrNotFound:
		return fault.Missing("element", element)
	case err != nil:
		return err
	case prefix == "":
		return fault.BadInput("prefixMissing", "Say with which prefix the keys begin that %s may use", grantee)
	}
	var other string
	err = tx.Row(`SELECT grantee FROM activation_grant WHERE tenant = $1 AND element = $2 AND grantee <> $3
		AND (substr(prefix, 1, length($4)) = $4 OR substr($4, 1, length(prefix)) = prefix) LIMIT 1`, element, grantee, prefix).Scan(&other)
	switch {
	case err == nil:
		return fault.Clash("prefixTaken", "Some keys that begin with %s are granted to %s", prefix, other)
	case err != store.ErrNotFound:
		return err
	}
	_, err = tx.Exec(`INSERT INTO activation_grant (tenant, element, grantee, prefix) VALUES ($1, $2, $3, $4)
		ON CONFLICT (tenant, element, grantee) DO UPDATE SET prefix = excluded.prefix`, element, grantee, prefix)
	if store.IsUnique(err, "grantee") {
		return fault.Clash("nameTaken", "%s uses an element named %s of another host already", grantee, element)
	}
	return err
}

// Revoke ends a grant.
func Revoke(tx *store.Tx, element, grantee string) error {
	n, err := tx.Exec("DELETE FROM activation_grant WHERE tenant = $1 AND element = $2 AND grantee = $3", element, grantee)
	if err == nil && n == 0 {
		return fault.Missing("grant of element "+element+" to", grantee)
	}
	return err
}

// An element of one's own hides a granted one of the same name.
const selectElements = `SELECT e.tenant, e.name, e.type, e.address, e.vty, e.rate, e.concurrency, e.enabled, e.note, '' AS prefix, 0 AS granted
	FROM activation_element e WHERE e.tenant = $1 AND ($2 = '' OR e.name = $2)
	UNION ALL SELECT e.tenant, e.name, e.type, e.address, e.vty, e.rate, e.concurrency, e.enabled, e.note, g.prefix, 1
	FROM activation_grant g JOIN activation_element e ON e.tenant = g.tenant AND e.name = g.element
	WHERE g.grantee = $1 AND ($2 = '' OR e.name = $2) ORDER BY 2, 11`

// Elements lists what the tenant may use, its own and what was granted to it, by name.
func Elements(tx *store.Tx) ([]Element, error) { return elements(tx, "") }

// Resolve finds the element that the tenant means by a name: its own, or one granted to it. fault.Missing if there is none.
func Resolve(tx *store.Tx, name string) (Element, error) {
	found, err := elements(tx, name)
	if err != nil {
		return Element{}, err
	}
	if name == "" || len(found) == 0 {
		return Element{}, fault.Missing("element", name)
	}
	return found[0], nil
}

func elements(tx *store.Tx, name string) ([]Element, error) {
	rows, err := tx.Query(selectElements, name)
	all, err := store.Collect(rows, err, func(r store.Rows) (e Element, err error) {
		var enabled, granted int64
		err = r.Scan(&e.Owner, &e.Name, &e.Type, &e.Address, &e.VTY, &e.Rate, &e.Concurrency, &enabled, &e.Note, &e.Prefix, &granted)
		e.Enabled = enabled == 1
		return e, err
	})
	out := all[:0]
	for _, e := range all {
		if len(out) == 0 || out[len(out)-1].Name != e.Name {
			out = append(out, e)
		}
	}
	return out, err
}

// permits tells whether the tenant may touch a resource with this key.
func (e Element) permits(key string) bool { return strings.HasPrefix(key, e.Prefix) }
