package nchf

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"math/big"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"tandem/kit/fault"
)

// TokenConfig says whose access tokens are taken (TS 29.500 6.7.3, TS 33.501 13.4.1).
type TokenConfig struct {
	Keys     []byte           // PEM: public keys or certificates of the NRF that signs
	Audience []string         // a token must name one of these: our NF instance id; none: CHF, our type
	Issuer   string           // the NRF's instance id; empty: any that signs with one of the keys
	Clock    func() time.Time // nil: time.Now
}

// Tokens checks access tokens: signed JWTs (RFC 7519) of an NRF. It keeps those it has
// found good until they expire, since a consumer sends the same one with each request.
type Tokens struct {
	cfg  TokenConfig
	keys []crypto.PublicKey

	mu   sync.Mutex
	good map[[sha256.Size]byte]*claims
}

// maxGood is how many good tokens are kept.
const maxGood = 4096

// claims are those of an AccessTokenClaims (TS 29.510 6.3.5.2.4) that matter here.
type claims struct {
	Issuer  string         `json:"iss"`
	Aud     jsontext.Value `json:"aud"` // an NF type, or a list of NF instance ids
	Scope   string         `json:"scope"`
	Expires int64          `json:"exp"`
	From    int64          `json:"nbf"`
}

// NewTokens reads the keys.
func NewTokens(cfg TokenConfig) (*Tokens, error) {
	t := &Tokens{cfg: cfg, good: map[[sha256.Size]byte]*claims{}}
	if t.cfg.Clock == nil {
		t.cfg.Clock = time.Now
	}
	if len(cfg.Audience) == 0 {
		t.cfg.Audience = []string{"CHF"}
	}
	for rest := cfg.Keys; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		key, err := publicKey(block)
		if err != nil {
			return nil, fault.BadInput("nchfTokenKey", "A key of the NRF cannot be read: %v", err)
		}
		t.keys = append(t.keys, key)
	}
	if len(t.keys) == 0 {
		return nil, fault.BadInput("nchfTokenKey", "Access tokens need a public key or certificate of the NRF, in PEM")
	}
	return t, nil
}

func publicKey(block *pem.Block) (key crypto.PublicKey, err error) {
	switch block.Type {
	case "CERTIFICATE":
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		key = c.PublicKey
	case "PUBLIC KEY":
		if key, err = x509.ParsePKIXPublicKey(block.Bytes); err != nil {
			return nil, err
		}
	default:
		return nil, errors.New("it is a " + block.Type + ", not a PUBLIC KEY or CERTIFICATE")
	}
	switch k := key.(type) {
	case *rsa.PublicKey:
		if k.N.BitLen() < 2048 {
			return nil, errors.New("an RSA key has 2048 bits at least")
		}
		return key, nil
	case *ecdsa.PublicKey, ed25519.PublicKey:
		return key, nil
	}
	return nil, errors.New("it is neither RSA nor an elliptic curve")
}

// Errors of Verify.
var (
	errToken    = errors.New("it is no signed token")
	errSigned   = errors.New("none of the keys has signed it")
	errExpired  = errors.New("it has expired, or does not hold yet")
	errScope    = errors.New("it is not for this service")
	errAudience = errors.New("it is for another function, or from another issuer")
)

// Verify checks a token for a scope.
func (t *Tokens) Verify(token, scope string) error {
	sum := sha256.Sum256([]byte(token))
	t.mu.Lock()
	c := t.good[sum]
	t.mu.Unlock()
	if c == nil {
		var err error
		if c, err = t.open(token); err != nil {
			return err
		}
		t.mu.Lock()
		if len(t.good) >= maxGood {
			clear(t.good)
		}
		t.good[sum] = c
		t.mu.Unlock()
	}
	now := t.cfg.Clock().Unix()
	switch {
	case now >= c.Expires || now < c.From:
		return errExpired
	case !slices.Contains(strings.Fields(c.Scope), scope):
		return errScope
	}
	return nil
}

// open checks what never changes of a token: signature, audience and issuer.
func (t *Tokens) open(token string) (*claims, error) {
	signed, sign, ok := cutLast(token)
	head, body, two := strings.Cut(signed, ".")
	if !ok || !two || strings.Contains(body, ".") {
		return nil, errToken
	}
	var h struct {
		Alg  string         `json:"alg"`
		Crit jsontext.Value `json:"crit"`
	}
	signature, err := base64.RawURLEncoding.DecodeString(sign)
	if err != nil || unpack(head, &h) != nil || len(h.Crit) > 0 {
		return nil, errToken
	}
	if !slices.ContainsFunc(t.keys, func(k crypto.PublicKey) bool { return signedBy(k, h.Alg, []byte(signed), signature) }) {
		return nil, errSigned
	}
	c := new(claims)
	if unpack(body, c) != nil {
		return nil, errToken
	}
	if !t.ours(c.Aud) || t.cfg.Issuer != "" && c.Issuer != t.cfg.Issuer {
		return nil, errAudience
	}
	return c, nil
}

func cutLast(token string) (before, after string, ok bool) {
	i := strings.LastIndexByte(token, '.')
	if i < 0 {
		return "", "", false
	}
	return token[:i], token[i+1:], true
}

func unpack(part string, into any) error {
	doc, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		return err
	}
	return json.Unmarshal(doc, into)
}

// ours says that a token is for us.
func (t *Tokens) ours(aud jsontext.Value) bool {
	var one string
	if json.Unmarshal(aud, &one) == nil {
		return slices.Contains(t.cfg.Audience, one)
	}
	var list []string
	if json.Unmarshal(aud, &list) != nil {
		return false
	}
	return slices.ContainsFunc(list, func(a string) bool { return slices.Contains(t.cfg.Audience, a) })
}

// signedBy checks a signature (RFC 7518 3.1). The key says which algorithms fit it, so
// that a token cannot choose a weaker one; there is no "none" and no HMAC.
func signedBy(key crypto.PublicKey, alg string, signed, signature []byte) bool {
	sum, hash := sha256.Sum256(signed), crypto.SHA256
	digest := sum[:]
	if strings.HasSuffix(alg, "384") {
		sum := sha512.Sum384(signed)
		digest, hash = sum[:], crypto.SHA384
	}
	switch k := key.(type) {
	case *rsa.PublicKey:
		switch alg {
		case "RS256", "RS384":
			return rsa.VerifyPKCS1v15(k, hash, digest, signature) == nil
		case "PS256", "PS384":
			return rsa.VerifyPSS(k, hash, digest, signature, nil) == nil
		}
	case *ecdsa.PublicKey:
		size := (k.Params().BitSize + 7) / 8
		if alg != map[int]string{32: "ES256", 48: "ES384"}[size] || len(signature) != 2*size {
			return false
		}
		return ecdsa.Verify(k, digest, new(big.Int).SetBytes(signature[:size]), new(big.Int).SetBytes(signature[size:]))
	case ed25519.PublicKey:
		return alg == "EdDSA" && ed25519.Verify(k, signed, signature)
	}
	return false
}
