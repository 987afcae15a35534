package radius

import (
	"context"
	"crypto/subtle"
	"embed"
	"errors"
	"maps"

	"github.com/go-json-experiment/json"

	"tandem/kit/store"
)

//go:embed schema/*.sql
var schemaFiles embed.FS

// Schemas are the register's own tables.
var Schemas = []store.Schema{store.Embedded("radius", schemaFiles)}

// Sealer encrypts secrets for one place, named by context.
type Sealer interface {
	Seal(plain []byte, context string) ([]byte, error)
	Open(sealed []byte, context string) ([]byte, error)
}

// User is a login as the register has it. Its password stays sealed until it is verified.
type User struct {
	Name       string
	Attributes map[string]string // those of driver.RADIUSUser

	tenant string
	sealed []byte
	seal   Sealer
}

// String leaves the password out of every log.
func (u User) String() string { return "login " + u.Name }

// Password opens the password.
func (u *User) Password() ([]byte, error) {
	if u.seal == nil {
		return nil, errors.New("radius: passwords cannot be opened without the key of the node")
	}
	return u.seal.Open(u.sealed, placeOf(u.tenant, u.Name))
}

// has tells whether a password is the user's.
func (u *User) has(password string) (bool, error) {
	known, err := u.Password()
	return err == nil && subtle.ConstantTimeCompare(known, []byte(password)) == 1, err
}

// placeOf binds a sealed password to its row: one that is copied to another row does not open.
func placeOf(tenant, name string) string { return "radius/" + tenant + "/" + name }

// errTaken says that the address is another login's.
var errTaken = errors.New("radius: the address belongs to another login")

// Register is the logins in the store, of one host.
type Register struct {
	// Changed is told the name of a login that was changed or removed, by this node or, while it Watches, by another; it must not
	// block. nil: nobody is.
	Changed func(name string)

	db    *store.DB
	scope store.Scope
	seal  Sealer
}

// NewRegister is the register of a host. Without a sealer it can be read, but for the passwords, and not written.
func NewRegister(db *store.DB, host string, seal Sealer) *Register {
	return &Register{db: db, scope: store.Scope{Tenant: host, Actor: "system:radius"}, seal: seal}
}

const selectUser = "SELECT name, doc, sealed FROM radius_user WHERE tenant = $1"

// Find reads a login; store.ErrNotFound if there is none of the name.
func (r *Register) Find(ctx context.Context, name string) (u User, err error) {
	err = r.db.Read(ctx, r.scope, func(tx *store.Tx) (err error) {
		u, err = r.scan(tx.Row(selectUser+" AND name = $2", name))
		return err
	})
	return u, err
}

func (r *Register) scan(row interface{ Scan(...any) error }) (u User, err error) {
	var doc string
	if err := row.Scan(&u.Name, &doc, &u.sealed); err != nil {
		return u, err
	}
	u.tenant, u.seal = r.scope.Tenant, r.seal
	return u, json.Unmarshal([]byte(doc), &u.Attributes)
}

const putUser = `INSERT INTO radius_user (tenant, name, ipv4, doc, sealed, at) VALUES ($1, $2, $3, $4, $5, $6)
	ON CONFLICT (tenant, name) DO UPDATE SET ipv4 = excluded.ipv4, doc = excluded.doc, sealed = excluded.sealed, at = excluded.at`

// put writes a login whole. password nil: the one it has stays.
func (r *Register) put(ctx context.Context, u User, password *string) error {
	sealed := u.sealed
	if password != nil {
		if r.seal == nil {
			return errors.New("radius: passwords cannot be sealed without the key of the node")
		}
		var err error
		if sealed, err = r.seal.Seal([]byte(*password), placeOf(r.scope.Tenant, u.Name)); err != nil {
			return err
		}
	}
	doc, err := json.Marshal(u.Attributes, json.Deterministic(true))
	if err != nil {
		return err
	}
	err = r.db.Write(ctx, r.scope, func(tx *store.Tx) error {
		r.note(tx, u.Name)
		_, err := tx.Exec(putUser, u.Name, u.Attributes["ipv4"], string(doc), sealed, store.Micros(tx.Now()))
		return err
	})
	if store.IsUnique(err, "ipv4") {
		return errTaken
	}
	return err
}

func (r *Register) remove(ctx context.Context, name string) error {
	return r.db.Write(ctx, r.scope, func(tx *store.Tx) error {
		r.note(tx, name)
		_, err := tx.Exec("DELETE FROM radius_user WHERE tenant = $1 AND name = $2", name)
		return err
	})
}

// note has all nodes hear of a change: this one at once, the others by the log.
func (r *Register) note(tx *store.Tx, name string) {
	tx.Append()
	tx.Queue("INSERT INTO radius_change (tenant, name, at) VALUES ($1, $2, $3)", name, store.Micros(tx.Now()))
	tx.OnCommit(func() { r.changed(name) })
}

func (r *Register) changed(name string) {
	if r.Changed != nil {
		r.Changed(name)
	}
}

const page = 1000 // logins read at once by each

// each hands all logins to f, by name, page by page.
func (r *Register) each(ctx context.Context, f func(User) error) error {
	for behind := ""; ; {
		var users []User
		err := r.db.Read(ctx, r.scope, func(tx *store.Tx) error {
			rows, err := tx.Query(selectUser+" AND name > $2 ORDER BY name LIMIT $3", behind, page)
			users, err = store.Collect(rows, err, func(row store.Rows) (User, error) { return r.scan(row) })
			return err
		})
		if err != nil {
			return err
		}
		for _, u := range users {
			if err := f(u); err != nil {
				return errEach{err}
			}
		}
		if len(users) < page {
			return nil
		}
		behind = users[len(users)-1].Name
	}
}

// errEach marks an error of the caller's own function.
type errEach struct{ error }

// with is the user with other attributes in place of those named.
func (u User) with(attributes map[string]string) User {
	u.Attributes = maps.Clone(u.Attributes)
	if u.Attributes == nil {
		u.Attributes = map[string]string{}
	}
	maps.Copy(u.Attributes, attributes)
	return u
}
