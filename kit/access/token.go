package access

import (
	"net/http"
	"strings"
	"time"

	"tandem/kit/fault"
	"tandem/kit/store"
)

const (
	tokenLife    = 365 * 24 * time.Hour // of an API token, if its maker names no end
	tokenLifeMax = 2 * tokenLife
)

// Token is an API token as it can be listed: without itself.
type Token struct {
	ID        string    `json:"id"`
	Prefix    string    `json:"prefix"` // its first characters, to know it again
	Note      string    `json:"note,omitzero"`
	Roles     []string  `json:"roles"`
	ExpiresAt time.Time `json:"expiresAt"`
	UsedAt    time.Time `json:"usedAt,omitzero"` // to the hour
	CreatedAt time.Time `json:"createdAt"`
	CreatedBy string    `json:"createdBy"`
}

const insertToken = `INSERT INTO access_token (tenant, id, kind, subject, sum, prefix, note, expires_at, used_at, created_at, created_by)
	VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`

const tokenColumns = "id, prefix, note, expires_at, used_at, created_at, created_by"

func scanToken(r store.Rows) (t Token, err error) {
	var expires, used, created int64
	err = r.Scan(&t.ID, &t.Prefix, &t.Note, &expires, &used, &created, &t.CreatedBy)
	t.ExpiresAt, t.UsedAt, t.CreatedAt = store.Instant(expires), store.Instant(used), store.Instant(created)
	return t, err
}

func (g *Guard) getTokens(c *Caller, w http.ResponseWriter, r *http.Request) error {
	after, limit, err := page(r)
	if err != nil {
		return err
	}
	return g.reading(c, w, r, "token", func(tx *store.Tx) (any, error) {
		rows, err := tx.Query("SELECT "+tokenColumns+" FROM access_token WHERE tenant = $1 AND kind = 'api' AND id > $2 ORDER BY id LIMIT $3", after, limit)
		tokens, err := store.Collect(rows, err, scanToken)
		for i := range tokens {
			if err == nil {
				tokens[i].Roles, err = rolesOf(tx, "token:"+tokens[i].ID)
			}
		}
		return tokens, err
	})
}

type newTokenRequest struct {
	ID        string    `json:"id"`
	Note      string    `json:"note"`
	Roles     []string  `json:"roles"`
	ExpiresAt time.Time `json:"expiresAt"`
}

func (n *newTokenRequest) sound(now time.Time) error {
	if err := soundID("token", n.ID); err != nil {
		return err
	}
	if strings.HasPrefix(n.ID, "s-") || n.ID == "admin" {
		return fault.BadInput("badId", "A token cannot be named admin, nor begin with s-")
	}
	if n.ExpiresAt.IsZero() {
		n.ExpiresAt = now.Add(tokenLife)
	}
	if !n.ExpiresAt.After(now) || n.ExpiresAt.After(now.Add(tokenLifeMax)) {
		return fault.BadInput("badExpiry", "expiresAt must lie within the next two years")
	}
	if len(n.Note) > 500 {
		return fault.BadInput("badNote", "The note has more than 500 octets")
	}
	return nil
}

// created is the only answer that shows the token.
type created struct {
	Token  string `json:"token"`
	Detail Token  `json:"detail"`
}

func (g *Guard) postToken(c *Caller, w http.ResponseWriter, r *http.Request) error {
	in, err := readBody[newTokenRequest](w, r)
	if err != nil {
		return err
	}
	if err := in.sound(g.db.Now()); err != nil {
		return err
	}
	token, prefix, sum, err := newToken()
	if err != nil {
		return err
	}
	return g.changing(c, w, r, "token", "create", func(tx *store.Tx) (any, error) {
		subject := "token:" + in.ID
		t := Token{ID: in.ID, Prefix: prefix, Note: in.Note, Roles: in.Roles, ExpiresAt: in.ExpiresAt, CreatedAt: tx.Now(), CreatedBy: c.Actor}
		_, err := tx.Exec(insertToken, in.ID, "api", subject, sum, prefix, in.Note, store.Micros(in.ExpiresAt), int64(0), store.Micros(tx.Now()), c.Actor)
		if store.IsUnique(err, "access_token") {
			return nil, fault.Clash("alreadyExists", "There is a token %q already", in.ID)
		}
		if err != nil {
			return nil, err
		}
		if err := c.grant(tx, subject, in.Roles); err != nil {
			return nil, err
		}
		return created{token, t}, audit(tx, "token.create", subject, nil, t)
	})
}

func (g *Guard) deleteToken(c *Caller, w http.ResponseWriter, r *http.Request) error {
	id := r.PathValue("id")
	return g.changing(c, w, r, "token", "delete", func(tx *store.Tx) (any, error) {
		rows, err := tx.Query("SELECT "+tokenColumns+" FROM access_token WHERE tenant = $1 AND kind = 'api' AND id = $2", id)
		found, err := store.Collect(rows, err, scanToken)
		if err != nil {
			return nil, err
		}
		if len(found) == 0 {
			return nil, fault.Missing("token", id)
		}
		if err := c.mayTouch(tx, "token:"+id); err != nil {
			return nil, err
		}
		tx.Queue("DELETE FROM access_token WHERE tenant = $1 AND id = $2", id)
		tx.Queue("DELETE FROM access_grant WHERE tenant = $1 AND subject = $2", "token:"+id)
		return nil, audit(tx, "token.delete", "token:"+id, found[0], nil)
	})
}
