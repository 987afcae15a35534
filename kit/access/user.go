package access

import (
	"net/http"
	"regexp"
	"time"

	"tandem/kit/fault"
	"tandem/kit/store"
)

var soundIDs = regexp.MustCompile(`^[a-z0-9][a-z0-9._@-]{0,63}$`)

func soundID(what, id string) error {
	if !soundIDs.MatchString(id) {
		return fault.BadInput("badId", "The id of a %s is 1 to 64 of a-z, 0-9, . _ @ -, beginning with a letter or digit", what)
	}
	return nil
}

// User is a person who logs in.
type User struct {
	ID        string    `json:"id"`
	FullName  string    `json:"fullName"`
	Status    string    `json:"status"`
	Roles     []string  `json:"roles"`
	CreatedAt time.Time `json:"createdAt"`

	hash string
}

const userColumns = "id, full_name, status, created_at, hash"

func scanUser(r store.Rows) (u User, err error) {
	var at int64
	err = r.Scan(&u.ID, &u.FullName, &u.Status, &at, &u.hash)
	u.CreatedAt = store.Instant(at)
	return u, err
}

func findUser(tx *store.Tx, id string) (User, error) {
	rows, err := tx.Query("SELECT "+userColumns+" FROM access_user WHERE tenant = $1 AND id = $2", id)
	found, err := store.Collect(rows, err, scanUser)
	if err == nil && len(found) == 0 {
		err = fault.Missing("user", id)
	}
	if err != nil {
		return User{}, err
	}
	found[0].Roles, err = rolesOf(tx, "user:"+id)
	return found[0], err
}

func (g *Guard) getUsers(c *Caller, w http.ResponseWriter, r *http.Request) error {
	after, limit, err := page(r)
	if err != nil {
		return err
	}
	return g.reading(c, w, r, "user", func(tx *store.Tx) (any, error) {
		rows, err := tx.Query("SELECT "+userColumns+" FROM access_user WHERE tenant = $1 AND id > $2 ORDER BY id LIMIT $3", after, limit)
		users, err := store.Collect(rows, err, scanUser)
		for i := range users {
			if err == nil {
				users[i].Roles, err = rolesOf(tx, "user:"+users[i].ID)
			}
		}
		return users, err
	})
}

func (g *Guard) getUser(c *Caller, w http.ResponseWriter, r *http.Request) error {
	return g.reading(c, w, r, "user", func(tx *store.Tx) (any, error) { return findUser(tx, r.PathValue("id")) })
}

type newUser struct {
	ID       string   `json:"id"`
	FullName string   `json:"fullName"`
	Password string   `json:"password"`
	Roles    []string `json:"roles"`
}

func (n newUser) sound() error {
	if err := soundID("user", n.ID); err != nil {
		return err
	}
	if len(n.FullName) > 200 {
		return fault.BadInput("badName", "The full name has more than 200 octets")
	}
	return acceptable(n.Password, n.ID)
}

func insertUser(tx *store.Tx, n newUser, hash string) (User, error) {
	_, err := tx.Exec("INSERT INTO access_user (tenant, id, full_name, hash, status, created_at) VALUES ($1, $2, $3, $4, 'active', $5)",
		n.ID, n.FullName, hash, store.Micros(tx.Now()))
	if store.IsUnique(err, "access_user") {
		err = fault.Clash("alreadyExists", "There is a user %q already", n.ID)
	}
	return User{ID: n.ID, FullName: n.FullName, Status: "active", Roles: n.Roles, CreatedAt: tx.Now()}, err
}

func (g *Guard) postUser(c *Caller, w http.ResponseWriter, r *http.Request) error {
	in, err := readBody[newUser](w, r)
	if err != nil {
		return err
	}
	if err := c.must("user", "create"); err != nil { // before the cost of the hash
		return err
	}
	if err := in.sound(); err != nil {
		return err
	}
	hash, err := g.hasher.hash(r.Context(), in.Password)
	if err != nil {
		return err
	}
	return g.changing(c, w, r, "user", "create", func(tx *store.Tx) (any, error) {
		u, err := insertUser(tx, in, hash)
		if err != nil {
			return nil, err
		}
		if err := c.grant(tx, "user:"+u.ID, in.Roles); err != nil {
			return nil, err
		}
		return u, audit(tx, "user.create", "user:"+u.ID, nil, u)
	})
}

type userPatch struct {
	FullName *string   `json:"fullName"`
	Status   *string   `json:"status"`
	Password *string   `json:"password"`
	Roles    *[]string `json:"roles"`
}

func (p userPatch) sound(id string) error {
	if p.Status != nil && *p.Status != "active" && *p.Status != "suspended" {
		return fault.BadInput("badStatus", "status is active or suspended")
	}
	if p.FullName != nil && len(*p.FullName) > 200 {
		return fault.BadInput("badName", "The full name has more than 200 octets")
	}
	if p.Password != nil {
		return acceptable(*p.Password, id)
	}
	return nil
}

// patchUser changes a user. A new password or a suspension ends its sessions.
func (g *Guard) patchUser(c *Caller, w http.ResponseWriter, r *http.Request) error {
	id := r.PathValue("id")
	in, err := readBody[userPatch](w, r)
	if err != nil {
		return err
	}
	if err := c.must("user", "update"); err != nil {
		return err
	}
	if err := in.sound(id); err != nil {
		return err
	}
	hash := ""
	if in.Password != nil {
		if hash, err = g.hasher.hash(r.Context(), *in.Password); err != nil {
			return err
		}
	}
	return g.changing(c, w, r, "user", "update", func(tx *store.Tx) (any, error) {
		old, err := findUser(tx, id)
		if err != nil {
			return nil, err
		}
		if err := c.mayTouch(tx, "user:"+id); err != nil {
			return nil, err
		}
		u, err := c.applyUser(tx, old, in, hash)
		if err != nil {
			return nil, err
		}
		action := "user.update"
		if hash != "" {
			action = "user.update+password"
		}
		return u, audit(tx, action, "user:"+id, old, u)
	})
}

func (c *Caller) applyUser(tx *store.Tx, old User, in userPatch, hash string) (User, error) {
	u := old
	if in.FullName != nil {
		u.FullName = *in.FullName
	}
	if in.Status != nil {
		u.Status = *in.Status
	}
	if hash != "" {
		u.hash = hash
	}
	tx.Queue("UPDATE access_user SET full_name = $3, status = $4, hash = $5 WHERE tenant = $1 AND id = $2", u.ID, u.FullName, u.Status, u.hash)
	if hash != "" || u.Status == "suspended" {
		tx.Queue("DELETE FROM access_token WHERE tenant = $1 AND subject = $2 AND kind = 'session'", "user:"+u.ID)
	}
	if in.Roles == nil || sameRoles(*in.Roles, old.Roles) {
		return u, nil
	}
	u.Roles = *in.Roles
	return u, c.grant(tx, "user:"+u.ID, u.Roles)
}

func (g *Guard) deleteUser(c *Caller, w http.ResponseWriter, r *http.Request) error {
	id := r.PathValue("id")
	return g.changing(c, w, r, "user", "delete", func(tx *store.Tx) (any, error) {
		old, err := findUser(tx, id)
		if err != nil {
			return nil, err
		}
		if err := c.mayTouch(tx, "user:"+id); err != nil {
			return nil, err
		}
		tx.Queue("DELETE FROM access_token WHERE tenant = $1 AND subject = $2", "user:"+id)
		tx.Queue("DELETE FROM access_grant WHERE tenant = $1 AND subject = $2", "user:"+id)
		tx.Queue("DELETE FROM access_user WHERE tenant = $1 AND id = $2", id)
		return nil, audit(tx, "user.delete", "user:"+id, old, nil)
	})
}
