package app

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tandem/edge/credit"
	"tandem/edge/nchf"
)

// authority issues certificates, in files.
type authority struct {
	*testing.T
	dir  string
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{T: t, dir: t.TempDir()}
	var err error
	if a.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	der := a.sign("ca", &x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}, &a.key.PublicKey)
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return a
}

// sign makes a certificate and writes it to NAME.pem.
func (a *authority) sign(name string, c *x509.Certificate, key *ecdsa.PublicKey) []byte {
	a.Helper()
	c.SerialNumber, c.Subject = big.NewInt(time.Now().UnixNano()), pkix.Name{CommonName: name}
	c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent := a.cert
	if parent == nil {
		parent = c
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, key, a.key)
	if err != nil {
		a.Fatal(err)
	}
	a.write(name+".pem", "CERTIFICATE", der)
	return der
}

// issue makes NAME.pem and NAME.key.
func (a *authority) issue(name string) tls.Certificate {
	a.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.Fatal(err)
	}
	der := a.sign(name, &x509.Certificate{IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}, &key.PublicKey)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.Fatal(err)
	}
	a.write(name+".key", "PRIVATE KEY", private)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func (a *authority) path(name string) string { return filepath.Join(a.dir, name) }

func (a *authority) write(name, kind string, der []byte) {
	a.Helper()
	if err := os.WriteFile(a.path(name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		a.Fatal(err)
	}
}

// token is one of the NRF whose certificate is nrf.pem.
func (a *authority) token(nrf tls.Certificate, scope string) string {
	a.Helper()
	encode := base64.RawURLEncoding.EncodeToString
	text := encode([]byte(`{"alg":"ES256"}`)) + "." + encode(fmt.Appendf(nil, `{"iss":"nrf","sub":"smf","aud":"CHF","scope":%q,"exp":%d}`, scope, time.Now().Add(time.Minute).Unix()))
	sum := sha256.Sum256([]byte(text))
	r, s, err := ecdsa.Sign(rand.Reader, nrf.PrivateKey.(*ecdsa.PrivateKey), sum[:])
	if err != nil {
		a.Fatal(err)
	}
	return text + "." + encode(append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...))
}

// A node whose file of faces says so speaks Nchf by TLS with those whose certificates it
// trusts, and asks for a token of the NRF for each service.
func TestNchfByTLSWithTokens(t *testing.T) {
	a := newAuthority(t)
	nrf := a.issue("nrf")
	consumer := a.issue("smf")
	a.issue("chf")
	file := a.path("faces.json")
	doc := fmt.Sprintf(`{"nchf": {"listen": "127.0.0.1:0", "tls": {"certificate": %q, "key": %q, "clients": %q, "trust": %q}, "tokens": {"keys": %q, "issuer": "nrf"}}}`,
		a.path("chf.pem"), a.path("chf.key"), a.path("ca.pem"), a.path("ca.pem"), a.path("nrf.pem"))
	if err := os.WriteFile(file, []byte(doc), 0o600); err != nil {
		t.Fatal(err)
	}
	faces, err := ReadFaces(file)
	if err != nil {
		t.Fatal(err)
	}
	n, err := New(t.Context(), Config{Data: t.TempDir(), AdminToken: "a-token-for-tests-000001", Faces: faces, Lease: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Stop)
	if err := n.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(a.cert)
	trust := &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{consumer}}
	for token, want := range map[string]credit.Result{a.token(nrf, nchf.ScopeCharging): credit.UnknownUser, a.token(nrf, nchf.ScopeSpending): credit.BadValue,
		a.token(consumer, nchf.ScopeCharging): credit.BadValue, "": credit.BadValue} {
		c, err := nchf.Dial(t.Context(), n.NchfAddr(), nchf.ClientConfig{Consumer: "smf.example", TLS: trust, Token: token})
		if err != nil {
			t.Fatal(err)
		}
		call := &credit.Call{}
		call.Request = credit.Request{Kind: credit.Initial, Service: credit.Data, Numbered: true, Session: []byte("s"), Subscribers: []credit.Subscriber{{Type: credit.IMSI, ID: []byte("240010000000001")}}}
		credit.Do(c, call)
		if call.Answer.Result != want {
			t.Errorf("charging: %v %s; want %v", call.Answer.Result, call.Answer.Reason, want)
		}
		if err := c.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
	transport := &http.Transport{TLSClientConfig: trust.Clone(), ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	for token, want := range map[string]int{a.token(nrf, nchf.ScopeSpending): 400, a.token(nrf, nchf.ScopeCharging): 401} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+n.NchfAddr()+"/nchf-spendinglimitcontrol/v1/subscriptions",
			strings.NewReader(`{"supi":"imsi-240010000000001","notifUri":"https://pcf.example/n28"}`))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Authorization", "Bearer "+token)
		res, err := (&http.Client{Transport: transport}).Do(r)
		if err != nil {
			t.Fatal(err)
		}
		if res.StatusCode != want || res.ProtoMajor != 2 {
			t.Errorf("spending limits: %s %d, want %d", res.Proto, res.StatusCode, want)
		}
		if err := res.Body.Close(); err != nil {
			t.Error(err)
		}
	}
	stranger := &tls.Config{RootCAs: roots}
	if c, err := nchf.Dial(t.Context(), n.NchfAddr(), nchf.ClientConfig{Consumer: "smf.example", TLS: stranger, Token: a.token(nrf, nchf.ScopeCharging)}); err == nil {
		call := &credit.Call{Request: credit.Request{Kind: credit.Initial, Session: []byte("s")}}
		if credit.Do(c, call); call.Answer.Result == credit.UnknownUser {
			t.Error("a consumer without a certificate is served")
		}
		_ = c.Close(t.Context()) // the connection was refused
	}
	for was, is := range map[string]string{"chf.key": "nrf.key", `"clients": "` + a.path("ca.pem"): `"clients": "` + a.path("chf.key"), `"keys": "` + a.path("nrf.pem"): `"keys": "` + a.path("nrf.key")} {
		if err := os.WriteFile(file, []byte(strings.Replace(doc, was, is, 1)), 0o600); err != nil {
			t.Fatal(err)
		}
		faces, err := ReadFaces(file)
		if err != nil {
			t.Fatal(err)
		}
		if n, err := New(t.Context(), Config{Data: t.TempDir(), AdminToken: "a-token-for-tests-000001", Faces: faces}); err == nil {
			n.Stop()
			t.Errorf("a node starts with %s", is)
		}
	}
}
