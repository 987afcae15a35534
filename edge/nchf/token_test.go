package nchf

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"strings"
	"testing"
	"time"

	"tandem/edge/credit"
	"tandem/kit/fault"
)

// signer makes tokens as an NRF does.
type signer struct {
	alg  string
	pem  []byte
	sign func(text []byte) []byte
}

func (s signer) token(alg, claims string) string {
	encode := base64.RawURLEncoding.EncodeToString
	text := encode([]byte(`{"alg":"`+alg+`","typ":"JWT"}`)) + "." + encode([]byte(claims))
	return text + "." + encode(s.sign([]byte(text)))
}

func published(t testing.TB, key crypto.PublicKey) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

func signers(t *testing.T) []signer {
	t.Helper()
	elliptical, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	classic, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	public, edwards, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	sum := func(text []byte) []byte { s := sha256.Sum256(text); return s[:] }
	return []signer{
		{"ES256", published(t, &elliptical.PublicKey), func(text []byte) []byte {
			r, s, err := ecdsa.Sign(rand.Reader, elliptical, sum(text))
			if err != nil {
				t.Fatal(err)
			}
			return append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
		}},
		{"RS256", published(t, &classic.PublicKey), func(text []byte) []byte {
			out, err := rsa.SignPKCS1v15(rand.Reader, classic, crypto.SHA256, sum(text))
			if err != nil {
				t.Fatal(err)
			}
			return out
		}},
		{"PS256", published(t, &classic.PublicKey), func(text []byte) []byte {
			out, err := rsa.SignPSS(rand.Reader, classic, crypto.SHA256, sum(text), nil)
			if err != nil {
				t.Fatal(err)
			}
			return out
		}},
		{"EdDSA", published(t, public), func(text []byte) []byte { return ed25519.Sign(edwards, text) }},
	}
}

const goodClaims = `{"iss":"nrf-1","sub":"smf-1","aud":"CHF","scope":"nchf-convergedcharging other","exp":1790000100,"nbf":1790000000}`

// A token is taken if an NRF whose key is known has signed it, for us, for the service,
// and for now: with each of the algorithms, and not without one.
func TestTokensOfAnNRF(t *testing.T) {
	t.Parallel()
	now := time.Unix(1790000050, 0)
	for _, s := range signers(t) {
		tokens, err := NewTokens(TokenConfig{Keys: s.pem, Issuer: "nrf-1", Audience: []string{"CHF", "chf-7"}, Clock: func() time.Time { return now }})
		if err != nil {
			t.Fatal(err)
		}
		good := s.token(s.alg, goodClaims)
		forged := hmac.New(sha256.New, s.pem)
		head, _, _ := strings.Cut(s.token("HS256", goodClaims), ".")
		body := strings.Split(good, ".")[1]
		forged.Write([]byte(head + "." + body))
		for name, c := range map[string]struct {
			token, scope string
			want         error
		}{
			"good":            {good, ScopeCharging, nil},
			"good again":      {good, ScopeCharging, nil},
			"another service": {good, ScopeSpending, errScope},
			"by instance":     {s.token(s.alg, strings.Replace(goodClaims, `"CHF"`, `["chf-6","chf-7"]`, 1)), ScopeCharging, nil},
			"another type":    {s.token(s.alg, strings.Replace(goodClaims, "CHF", "PCF", 1)), ScopeCharging, errAudience},
			"no audience":     {s.token(s.alg, strings.Replace(goodClaims, `"aud":"CHF",`, "", 1)), ScopeCharging, errAudience},
			"another issuer":  {s.token(s.alg, strings.Replace(goodClaims, "nrf-1", "nrf-2", 1)), ScopeCharging, errAudience},
			"expired":         {s.token(s.alg, strings.Replace(goodClaims, "1790000100", "1790000050", 1)), ScopeCharging, errExpired},
			"no end":          {s.token(s.alg, strings.Replace(goodClaims, `"exp":1790000100,`, "", 1)), ScopeCharging, errExpired},
			"not yet":         {s.token(s.alg, strings.Replace(goodClaims, "1790000000", "1790000051", 1)), ScopeCharging, errExpired},
			"changed":         {strings.Replace(good, ".", "."+"x", 1), ScopeCharging, errSigned},
			"unsigned":        {strings.TrimRight(s.token("none", goodClaims), "abc"), ScopeCharging, errSigned},
			"by our own key":  {head + "." + body + "." + base64.RawURLEncoding.EncodeToString(forged.Sum(nil)), ScopeCharging, errSigned},
			"part of it":      {strings.Join(strings.Split(good, ".")[:2], "."), ScopeCharging, errToken},
			"nothing":         {"", ScopeCharging, errToken},
		} {
			if err := tokens.Verify(c.token, c.scope); err != c.want && !(name == "unsigned" && err != nil) {
				t.Errorf("%s, %s: %v; want %v", s.alg, name, err, c.want)
			}
		}
		now = time.Unix(1790000100, 0)
		if err := tokens.Verify(good, ScopeCharging); err != errExpired {
			t.Errorf("%s: a token that was good is still taken: %v", s.alg, err)
		}
		now = time.Unix(1790000050, 0)
	}
	for _, keys := range []string{"", "no key", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"} {
		if _, err := NewTokens(TokenConfig{Keys: []byte(keys)}); !fault.Is(err, fault.Invalid) {
			t.Errorf("%q: %v", keys, err)
		}
	}
}

// Both services ask for a token of their own scope, over the wire.
func TestTokensOnTheWire(t *testing.T) {
	t.Parallel()
	s := signers(t)[0]
	tokens, err := NewTokens(TokenConfig{Keys: s.pem, Clock: func() time.Time { return time.Unix(1790000050, 0) }})
	if err != nil {
		t.Fatal(err)
	}
	h := serve(t, Config{Verify: tokens.Verify, Spending: &Spending{counters{"data": {Current: "full"}}, folder(t.TempDir())}}, null{})
	charging, spending := s.token("ES256", goodClaims), s.token("ES256", strings.Replace(goodClaims, ScopeCharging, ScopeSpending, 1))
	for token, want := range map[string]credit.Result{charging: credit.Success, spending: credit.BadValue} {
		c := h.dial(ClientConfig{Token: token})
		call := new(credit.Call)
		call.Request.Kind, call.Request.Session, call.Request.At = credit.Initial, []byte("s"), 1
		if credit.Do(c, call); call.Answer.Result != want {
			t.Errorf("charging: %v %s", call.Answer.Result, call.Answer.Reason)
		}
	}
	body := `{"supi":"imsi-001010000000001","notifUri":"http://pcf.example/n28"}`
	for token, want := range map[string]int{charging: 401, spending: 201} {
		if a := askAs(t, h2(t), token, "http://"+h.addr+spendingPath, body); a != want {
			t.Errorf("spending limits: %d, want %d", a, want)
		}
	}
}
