package access

import (
	"errors"
	"net/http"
	"regexp"
	"time"

	"tandem/kit/fault"
	"tandem/kit/store"
)

var soundTenants = regexp.MustCompile(`^[a-z][a-z0-9-]{0,31}$`)

func soundTenant(id string) error {
	if !soundTenants.MatchString(id) {
		return fault.BadInput("badId", "The id of a tenant is 1 to 32 of a-z, 0-9 and -, beginning with a letter")
	}
	return nil
}

// Tenant is an operator brand. A host owns the network that tenants use.
type Tenant struct {
	ID        string    `json:"id"`
	Name      string    `json:"name"`
	Role      string    `json:"role"`   // host, tenant
	Status    string    `json:"status"` // active, suspended: nobody of it gets in
	CreatedAt time.Time `json:"createdAt"`
}

func scanTenant(r store.Rows) (t Tenant, err error) {
	var at int64
	err = r.Scan(&t.ID, &t.Name, &t.Role, &t.Status, &at)
	t.CreatedAt = store.Instant(at)
	return t, err
}

// findTenant is the tenant of tx.
func findTenant(tx *store.Tx) (Tenant, error) {
	rows, err := tx.Query("SELECT tenant, name, role, status, created_at FROM access_tenant WHERE tenant = $1")
	found, err := store.Collect(rows, err, scanTenant)
	if err == nil && len(found) == 0 {
		err = fault.Missing("tenant", tx.Tenant())
	}
	if err != nil {
		return Tenant{}, err
	}
	return found[0], nil
}

// insertTenant makes the tenant of tx.
func insertTenant(tx *store.Tx, t Tenant) error {
	t.CreatedAt = tx.Now()
	_, err := tx.Exec("INSERT INTO access_tenant (tenant, name, role, status, created_at) VALUES ($1, $2, $3, $4, $5)",
		t.Name, t.Role, t.Status, store.Micros(tx.Now()))
	if store.IsUnique(err, "access_tenant") {
		return fault.Clash("alreadyExists", "There is a tenant %q already", t.ID)
	}
	if err != nil {
		return err
	}
	return audit(tx, "tenant.create", "tenant:"+t.ID, nil, t)
}

func (c *Caller) mustHost() error {
	if c.host {
		return nil
	}
	return fault.Denied("hostOnly", "Only a host may see and change tenants")
}

func (g *Guard) getTenants(c *Caller, w http.ResponseWriter, r *http.Request) error {
	if err := c.mustHost(); err != nil {
		return err
	}
	after, limit, err := page(r)
	if err != nil {
		return err
	}
	return g.reading(c, w, r, "tenant", func(tx *store.Tx) (any, error) {
		rows, err := tx.System().Query("SELECT tenant, name, role, status, created_at FROM access_tenant WHERE tenant > $1 ORDER BY tenant LIMIT $2", after, limit)
		return store.Collect(rows, err, scanTenant)
	})
}

type newTenant struct {
	ID    string   `json:"id"`
	Name  string   `json:"name"`
	Role  string   `json:"role"`
	Admin *newUser `json:"admin"` // its first user, with the role admin
}

func (n *newTenant) sound(c *Caller) error {
	if n.Role == "" {
		n.Role = "tenant"
	}
	switch {
	case n.Role != "host" && n.Role != "tenant":
		return fault.BadInput("badRole", "role is host or tenant")
	case n.Role == "host" && !c.super:
		return fault.Denied("superuserOnly", "Only the superuser may make a host")
	case n.Name == "" || len(n.Name) > 200:
		return fault.BadInput("badName", "The name has 1 to 200 octets")
	case n.Admin != nil:
		n.Admin.Roles = []string{"admin"}
		return errors.Join(n.Admin.sound(), soundTenant(n.ID))
	}
	return soundTenant(n.ID)
}

// postTenant makes a tenant, with its first administrator if one is given.
func (g *Guard) postTenant(c *Caller, w http.ResponseWriter, r *http.Request) error {
	if err := errors.Join(c.mustHost(), c.must("tenant", "create")); err != nil {
		return err
	}
	in, err := readBody[newTenant](w, r)
	if err != nil {
		return err
	}
	if err := in.sound(c); err != nil {
		return err
	}
	hash := ""
	if in.Admin != nil {
		if hash, err = g.hasher.hash(r.Context(), in.Admin.Password); err != nil {
			return err
		}
	}
	return g.changing(c, w, r, "tenant", "create", func(tx *store.Tx) (any, error) {
		there := tx.As(store.Scope{Tenant: in.ID, Actor: c.Actor + "@" + c.Tenant})
		t := Tenant{ID: in.ID, Name: in.Name, Role: in.Role, Status: "active", CreatedAt: tx.Now()}
		if err := insertTenant(there, t); err != nil {
			return nil, err
		}
		if in.Admin != nil {
			u, err := insertUser(there, *in.Admin, hash)
			if err != nil {
				return nil, err
			}
			there.Queue("INSERT INTO access_grant (tenant, subject, role) VALUES ($1, $2, 'admin')", "user:"+u.ID)
			if err := audit(there, "user.create", "user:"+u.ID, nil, u); err != nil {
				return nil, err
			}
		}
		return t, audit(tx, "tenant.create", "tenant:"+t.ID, nil, t)
	})
}

type tenantPatch struct {
	Name   *string `json:"name"`
	Status *string `json:"status"`
}

func (g *Guard) patchTenant(c *Caller, w http.ResponseWriter, r *http.Request) error {
	if err := c.mustHost(); err != nil {
		return err
	}
	in, err := readBody[tenantPatch](w, r)
	if err != nil {
		return err
	}
	if in.Status != nil && *in.Status != "active" && *in.Status != "suspended" {
		return fault.BadInput("badStatus", "status is active or suspended")
	}
	if in.Name != nil && (*in.Name == "" || len(*in.Name) > 200) {
		return fault.BadInput("badName", "The name has 1 to 200 octets")
	}
	id := r.PathValue("id")
	return g.changing(c, w, r, "tenant", "update", func(tx *store.Tx) (any, error) {
		there := tx.As(store.Scope{Tenant: id, Actor: c.Actor + "@" + c.Tenant})
		old, err := findTenant(there)
		if err != nil {
			return nil, err
		}
		if old.Role == "host" && !c.super {
			return nil, fault.Denied("superuserOnly", "Only the superuser may change a host")
		}
		t := old
		if in.Name != nil {
			t.Name = *in.Name
		}
		if in.Status != nil {
			t.Status = *in.Status
		}
		there.Queue("UPDATE access_tenant SET name = $2, status = $3 WHERE tenant = $1", t.Name, t.Status)
		return t, errors.Join(audit(there, "tenant.update", "tenant:"+id, old, t), audit(tx, "tenant.update", "tenant:"+id, old, t))
	})
}
