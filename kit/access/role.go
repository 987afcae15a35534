package access

import (
	_ "embed"
	"errors"
	"net/http"
	"slices"

	"github.com/go-json-experiment/json"

	"tandem/kit/fault"
	"tandem/kit/store"
)

// Permission allows verbs (read, create, update, delete or *) on a kind of an
// API; both may be *. APIs are named by their number (TMF622) or, for those
// that are not TM Forum's, by their room (access).
type Permission struct {
	API   string   `json:"api"`
	Kind  string   `json:"kind"`
	Verbs []string `json:"verbs"`
}

func (p Permission) allows(api, kind, verb string) bool {
	return (p.API == "*" || p.API == api) && (p.Kind == "*" || p.Kind == kind) &&
		(slices.Contains(p.Verbs, "*") || slices.Contains(p.Verbs, verb))
}

func allowed(all []Permission, api, kind, verb string) bool {
	return slices.ContainsFunc(all, func(p Permission) bool { return p.allows(api, kind, verb) })
}

// covers reports whether all contains everything that some allows.
func covers(all, some []Permission) bool {
	for _, p := range some {
		for _, verb := range p.Verbs {
			if !allowed(all, p.API, p.Kind, verb) {
				return false
			}
		}
	}
	return true
}

// Role is a named list of permissions.
type Role struct {
	ID          string       `json:"id"`
	Title       string       `json:"title"`
	Permissions []Permission `json:"permissions"`
	BuiltIn     bool         `json:"builtIn,omitzero"`
}

//go:embed roles.json
var rolesFile []byte

var builtIn = func() (roles []Role) {
	if err := json.Unmarshal(rolesFile, &roles); err != nil {
		panic(err) // the file is embedded above
	}
	for i := range roles {
		roles[i].BuiltIn = true
	}
	return roles
}()

func builtInRole(id string) (Role, bool) {
	i := slices.IndexFunc(builtIn, func(r Role) bool { return r.ID == id })
	if i < 0 {
		return Role{}, false
	}
	return builtIn[i], true
}

func scanRole(r store.Rows) (role Role, err error) {
	var permissions string
	if err := r.Scan(&role.ID, &role.Title, &permissions); err != nil {
		return role, err
	}
	return role, json.Unmarshal([]byte(permissions), &role.Permissions)
}

func listRoles(tx *store.Tx) ([]Role, error) {
	rows, err := tx.Query("SELECT id, title, permissions FROM access_role WHERE tenant = $1 ORDER BY id")
	own, err := store.Collect(rows, err, scanRole)
	return append(slices.Clone(builtIn), own...), err
}

func findRole(tx *store.Tx, id string) (Role, error) {
	if role, ok := builtInRole(id); ok {
		return role, nil
	}
	rows, err := tx.Query("SELECT id, title, permissions FROM access_role WHERE tenant = $1 AND id = $2", id)
	found, err := store.Collect(rows, err, scanRole)
	if err == nil && len(found) == 0 {
		return Role{}, fault.Missing("role", id)
	}
	if err != nil {
		return Role{}, err
	}
	return found[0], nil
}

// permissionsOf is everything the roles allow. A role that is gone allows nothing.
func permissionsOf(tx *store.Tx, roles []string) (all []Permission, err error) {
	for _, id := range roles {
		role, err := findRole(tx, id)
		if fault.Is(err, fault.NotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		all = append(all, role.Permissions...)
	}
	return all, nil
}

func rolesOf(tx *store.Tx, subject string) ([]string, error) {
	rows, err := tx.Query("SELECT role FROM access_grant WHERE tenant = $1 AND subject = $2 ORDER BY role", subject)
	return store.Collect(rows, err, store.Text)
}

// grant gives the subject exactly these roles. The caller must have all that
// they allow.
func (c *Caller) grant(tx *store.Tx, subject string, roles []string) error {
	for _, id := range roles {
		role, err := findRole(tx, id)
		if fault.Is(err, fault.NotFound) {
			return fault.BadInput("unknownRole", "There is no role %q", id)
		}
		if err != nil {
			return err
		}
		if !covers(c.permissions, role.Permissions) {
			return fault.Denied("moreThanOwn", "Role %q allows more than you may do yourself", id)
		}
	}
	tx.Queue("DELETE FROM access_grant WHERE tenant = $1 AND subject = $2", subject)
	for _, id := range slices.Compact(slices.Sorted(slices.Values(roles))) {
		tx.Queue("INSERT INTO access_grant (tenant, subject, role) VALUES ($1, $2, $3)", subject, id)
	}
	return nil
}

// mayTouch refuses a change to somebody who may do more than the caller.
func (c *Caller) mayTouch(tx *store.Tx, subject string) error {
	roles, err := rolesOf(tx, subject)
	if err != nil {
		return err
	}
	permissions, err := permissionsOf(tx, roles)
	if err == nil && !covers(c.permissions, permissions) {
		return fault.Denied("moreThanOwn", "%s may do more than you may do yourself", subject)
	}
	return err
}

func (g *Guard) getRoles(c *Caller, w http.ResponseWriter, r *http.Request) error {
	return g.reading(c, w, r, "role", func(tx *store.Tx) (any, error) { return listRoles(tx) })
}

func (c *Caller) soundRole(role Role) error {
	if err := soundID("role", role.ID); err != nil {
		return err
	}
	if _, ok := builtInRole(role.ID); ok {
		return fault.Clash("builtIn", "Role %q is built in and cannot be changed; make one of your own", role.ID)
	}
	if len(role.Permissions) == 0 || len(role.Permissions) > 200 {
		return fault.BadInput("badRole", "A role needs 1 to 200 permissions")
	}
	for _, p := range role.Permissions {
		if p.API == "" || p.Kind == "" || len(p.Verbs) == 0 {
			return fault.BadInput("badRole", "A permission needs api, kind and verbs")
		}
		for _, v := range p.Verbs {
			if !slices.Contains([]string{"read", "create", "update", "delete", "*"}, v) {
				return fault.BadInput("badRole", "%q is no verb; there are read, create, update, delete and *", v)
			}
		}
	}
	if !covers(c.permissions, role.Permissions) {
		return fault.Denied("moreThanOwn", "The role would allow more than you may do yourself")
	}
	return nil
}

// putRole makes or replaces a role of the tenant's own.
func (g *Guard) putRole(c *Caller, w http.ResponseWriter, r *http.Request) error {
	role, err := readBody[Role](w, r)
	if err != nil {
		return err
	}
	role.ID, role.BuiltIn = r.PathValue("id"), false
	if err := c.soundRole(role); err != nil {
		return err
	}
	permissions, err := json.Marshal(role.Permissions)
	if err != nil {
		return err
	}
	return g.changing(c, w, r, "role", "update", func(tx *store.Tx) (any, error) {
		var before any
		switch old, err := findRole(tx, role.ID); {
		case err == nil && !covers(c.permissions, old.Permissions):
			return nil, fault.Denied("moreThanOwn", "Role %q allows more than you may do yourself", role.ID)
		case err == nil:
			before = old
		case !fault.Is(err, fault.NotFound):
			return nil, err
		}
		tx.Queue(`INSERT INTO access_role (tenant, id, title, permissions) VALUES ($1, $2, $3, $4)
			ON CONFLICT (tenant, id) DO UPDATE SET title = excluded.title, permissions = excluded.permissions`,
			role.ID, role.Title, string(permissions))
		return role, audit(tx, "role.put", "role:"+role.ID, before, role)
	})
}

func (g *Guard) deleteRole(c *Caller, w http.ResponseWriter, r *http.Request) error {
	id := r.PathValue("id")
	if _, ok := builtInRole(id); ok {
		return fault.Clash("builtIn", "Role %q is built in and cannot be deleted", id)
	}
	return g.changing(c, w, r, "role", "delete", func(tx *store.Tx) (any, error) {
		old, err := findRole(tx, id)
		if err != nil {
			return nil, err
		}
		var holder string
		err = tx.Row("SELECT subject FROM access_grant WHERE tenant = $1 AND role = $2 LIMIT 1", id).Scan(&holder)
		if err == nil {
			return nil, fault.Clash("roleInUse", "Role %q is still given to %s", id, holder)
		}
		if !errors.Is(err, store.ErrNotFound) {
			return nil, err
		}
		tx.Queue("DELETE FROM access_role WHERE tenant = $1 AND id = $2", id)
		return nil, audit(tx, "role.delete", "role:"+id, old, nil)
	})
}
