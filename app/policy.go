package app

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/url"
	"os"
	"time"

	"tandem/bss/charging"
	"tandem/bss/charging/core"
	"tandem/edge/credit"
	"tandem/edge/nchf"
	"tandem/kit/fault"
	"tandem/kit/tmf"
)

// NchfTLS is what the 5G face shows and trusts. Files are PEM.
type NchfTLS struct {
	Certificate string `json:"certificate"`      // file of our certificate, with those it rests on
	Key         string `json:"key"`              // file
	Clients     string `json:"clients,omitzero"` // file of authorities of consumers; none: consumers need no certificate
	Trust       string `json:"trust,omitzero"`   // file of authorities of those we notify; none: those of this machine
}

// NchfTokens says whose access tokens consumers must bring (TS 29.500 6.7.3).
type NchfTokens struct {
	Keys     string   `json:"keys"`              // file of the NRF's public keys or certificates, PEM
	Issuer   string   `json:"issuer,omitzero"`   // the NRF's instance id; none: any with one of the keys
	Audience []string `json:"audience,omitzero"` // our instance id; none: CHF
}

// config is how the 5G face runs. Both services of it are there: charging, and the
// spending limits of the same accounts.
func (n *NchfFace) config(a *App, key []byte) (c nchf.Config, err error) {
	c = nchf.Config{Key: derived(key, "nchf: names of sessions"), Root: n.Root,
		Spending: &nchf.Spending{Policy: spending{a}, Subscriptions: spending{a}},
		NotifyTo: func(u *url.URL) error { return tmf.CheckOutbound("notifyUri", u.String(), n.Local || a.AllowLocal) }}
	if n.TLS != nil {
		if c.TLS, c.NotifyTLS, err = n.TLS.load(); err != nil {
			return c, err
		}
	}
	if n.Tokens == nil {
		return c, nil
	}
	keys, err := os.ReadFile(n.Tokens.Keys)
	if err != nil {
		return c, err
	}
	tokens, err := nchf.NewTokens(nchf.TokenConfig{Keys: keys, Issuer: n.Tokens.Issuer, Audience: n.Tokens.Audience, Clock: a.Clock})
	if err != nil {
		return c, err
	}
	c.Verify = tokens.Verify
	return c, nil
}

// load reads the files: how we are called, and how we call back.
func (t *NchfTLS) load() (serve, call *tls.Config, err error) {
	own, err := tls.LoadX509KeyPair(t.Certificate, t.Key)
	if err != nil {
		return nil, nil, fault.BadInput("faces", "The certificate of the Nchf face cannot be used: %v", err)
	}
	serve = &tls.Config{Certificates: []tls.Certificate{own}, MinVersion: tls.VersionTLS12}
	call = &tls.Config{Certificates: []tls.Certificate{own}, MinVersion: tls.VersionTLS12}
	if t.Clients != "" {
		if serve.ClientCAs, err = authorities(t.Clients); err != nil {
			return nil, nil, err
		}
		serve.ClientAuth = tls.RequireAndVerifyClientCert
	}
	if t.Trust != "" {
		call.RootCAs, err = authorities(t.Trust)
	}
	return serve, call, err
}

func authorities(file string) (*x509.CertPool, error) {
	doc, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(doc) {
		return nil, fault.BadInput("faces", "%s has no certificate in PEM", file)
	}
	return pool, nil
}

// spending is Nchf_SpendingLimitControl on the policy counters of charging.
type spending struct{ a *App }

// Statuses tells a PCF how far a subscriber's counters are.
func (s spending) Statuses(ctx context.Context, who []credit.Subscriber, ids []string) (map[string]nchf.Status, []string, error) {
	found, unknown, err := s.a.Charging.PolicyStatuses(ctx, who, ids)
	return statuses(found), unknown, err
}

func statuses(found map[string]core.Status) map[string]nchf.Status {
	out := map[string]nchf.Status{}
	for name, s := range found {
		status := nchf.Status{Current: s.Current}
		if s.Pending != "" {
			status.Pending = []nchf.Pending{{Status: s.Pending, At: time.Unix(s.At, 0).UTC()}}
		}
		out[name] = status
	}
	return out
}

// Save keeps a subscription with what it is being told.
func (s spending) Save(ctx context.Context, sub nchf.Subscription, told map[string]nchf.Status) error {
	current := map[string]string{}
	for name, status := range told {
		current[name] = status.Current
	}
	return s.a.Charging.SaveSubscription(ctx, charging.PolicySubscription(sub), sub.Subscribers(), current)
}

// Load reads a subscription.
func (s spending) Load(ctx context.Context, id string) (nchf.Subscription, error) {
	sub, err := s.a.Charging.Subscription(ctx, id)
	return nchf.Subscription(sub), err
}

// Delete ends a subscription.
func (s spending) Delete(ctx context.Context, id string) error {
	return s.a.Charging.Unsubscribe(ctx, id)
}

// Changed tells a PCF of counters that have changed.
func (s spending) Changed(ctx context.Context, sub charging.PolicySubscription, news map[string]core.Status) (credit.Outcome, error) {
	return s.a.chf.Changed(ctx, nchf.Subscription(sub), statuses(news))
}

// Ended tells a PCF that its subscriber is gone.
func (s spending) Ended(ctx context.Context, sub charging.PolicySubscription) (credit.Outcome, error) {
	return s.a.chf.Ended(ctx, nchf.Subscription(sub), nchf.Removed)
}

// openNchf makes the 5G face known to charging; nothing listens yet.
func (a *App) openNchf(key []byte) error {
	c, err := a.Faces.Nchf.config(a, key)
	if err == nil {
		a.chf, err = nchf.New(c, a.Charging.Engine)
	}
	if err != nil {
		return fmt.Errorf("nchf: %w", err)
	}
	a.clients[credit.Nchf] = a.chf
	return nil
}
