package selfcare

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"tandem/bss/party"
	"tandem/kit/access"
	"tandem/kit/fault"
	"tandem/kit/store"
	"tandem/kit/tmf"
)

//go:embed schema/*.sql
var schemaFiles embed.FS

// Schemas are the tables of self-care.
var Schemas = []store.Schema{store.Embedded("selfcare", schemaFiles)}

const (
	tokenLife = 30 * 24 * time.Hour
	prefix    = "tdc_" // begins every customer's token

	// API and the kind are what a permission to make and end tokens names.
	API       = "SELFCARE"
	tokenKind = "token"
)

// Token is a customer's token. Token itself is shown by the answer that makes it, and
// never again.
type Token struct {
	ID        string    `json:"id"`
	Token     string    `json:"token,omitzero"`
	Customer  string    `json:"customer"`
	ExpiresAt time.Time `json:"expiresAt"`
}

var errToken = fault.New(fault.Unauthorized, "unauthorized", "The token is missing, unknown or no longer valid; log in again")

func digest(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

// Issue makes a token of a customer, who must exist.
func Issue(tx *store.Tx, customer string) (Token, error) {
	if _, err := party.Buyer(tx, customer); err != nil {
		return Token{}, err
	}
	random := make([]byte, 24)
	if _, err := rand.Read(random); err != nil {
		return Token{}, err
	}
	t := Token{ID: tmf.NewID(), Token: prefix + hex.EncodeToString(random), Customer: customer, ExpiresAt: tx.Now().Add(tokenLife)}
	// A hundred that are over go with each that is made: there are never many more.
	tx.Queue(`DELETE FROM selfcare_token WHERE tenant = $1 AND id IN
		(SELECT id FROM selfcare_token WHERE tenant = $1 AND expires_at <= $2 LIMIT 100`+tx.Dialect().SkipLocked()+`)`, store.Micros(tx.Now()))
	tx.Insert("INSERT INTO selfcare_token (tenant, id, customer, sum, expires_at, created_at, created_by)",
		t.ID, t.Customer, digest(t.Token), store.Micros(t.ExpiresAt), store.Micros(tx.Now()), tx.Actor())
	return t, access.Audit(tx, "selfcare.token", "Customer:"+customer, nil, map[string]string{"token": t.ID})
}

// Revoke ends all tokens of a customer.
func Revoke(tx *store.Tx, customer string) error {
	n, err := tx.Exec("DELETE FROM selfcare_token WHERE tenant = $1 AND customer = $2", customer)
	if err != nil {
		return err
	}
	return access.Audit(tx, "selfcare.revoke", "Customer:"+customer, map[string]int64{"tokens": n}, nil)
}

// caller is who asks: one customer of one tenant.
type caller struct {
	tenant, customer string
}

func (c caller) scope() store.Scope {
	return store.Scope{Tenant: c.tenant, Actor: "customer:" + c.customer}
}

// authenticate finds out which customer sent the request.
func (s *Server) authenticate(r *http.Request) (c caller, err error) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if token = strings.TrimSpace(token); !strings.EqualFold(scheme, "Bearer") || !strings.HasPrefix(token, prefix) || len(token) > 256 {
		return c, errToken
	}
	var expires int64
	err = s.DB.Read(r.Context(), store.Scope{}, func(tx *store.Tx) error {
		return tx.System().Row("SELECT tenant, customer, expires_at FROM selfcare_token WHERE sum = $1", digest(token)).Scan(&c.tenant, &c.customer, &expires)
	})
	if errors.Is(err, store.ErrNotFound) || err == nil && expires <= store.Micros(s.DB.Now()) {
		return caller{}, errToken
	}
	if err != nil {
		return caller{}, err
	}
	return c, s.open(r.Context(), c.tenant)
}

// open refuses the customers of a tenant that is suspended.
func (s *Server) open(ctx context.Context, tenant string) error {
	all, err := access.Tenants(ctx, s.DB)
	if err == nil && !slices.ContainsFunc(all, func(t access.Tenant) bool { return t.ID == tenant && t.Status == "active" }) {
		err = errToken
	}
	return err
}
