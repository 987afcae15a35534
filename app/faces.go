package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/go-json-experiment/json"

	"tandem/app/broadband"
	"tandem/bss/charging"
	"tandem/edge/credit"
	"tandem/edge/diameter"
	"tandem/edge/radius"
	"tandem/kit/fault"
)

// Faces says by which protocols network elements reach charging; it is read from
// the file of --faces.
type Faces struct {
	Diameter *DiameterFace `json:"diameter,omitzero"`
	RADIUS   *RADIUSFace   `json:"radius,omitzero"`
	Nchf     *NchfFace     `json:"nchf,omitzero"`

	Defaults DefaultGrants `json:"defaults,omitzero"`

	// Feeds are folders that files of usage are taken from, Streams files of records
	// that are written. Their folders are those of one node.
	Feeds   []charging.Feed   `json:"feeds,omitzero"`
	Streams []charging.Stream `json:"streams,omitzero"`
}

// DefaultGrants are what is granted where charging cannot decide; none: it is refused.
// What is granted where use has no price stands in the catalogue.
type DefaultGrants struct {
	Outage  []charging.DefaultGrant `json:"outage,omitzero"`  // to new sessions, while nothing can be written for longer than a client should wait
	Unknown []charging.DefaultGrant `json:"unknown,omitzero"` // to subscribers that nobody knows: their use waits in suspense
}

// RADIUSFace is the access server of broadband (RFC 2865, RFC 5176) and the accounting
// of it and of gateways without Gy (RFC 2866).
type RADIUSFace struct {
	Authentication []string    `json:"authentication,omitzero"` // HOST:PORT, usually port 1812; name the host
	Accounting     []string    `json:"accounting"`              // HOST:PORT, usually port 1813; name the host
	Gateways       []RADIUSNAS `json:"gateways"`                // who may ask and report
	SessionTimeout uint32      `json:"sessionTimeout,omitzero"` // seconds after which a user logs in anew; none: never
	Interim        uint32      `json:"interim,omitzero"`        // seconds between reports, 60 or more; none: as the gateway is set
}

// RADIUSNAS is a gateway, or a block of gateways with one secret.
type RADIUSNAS struct {
	Name    string   `json:"name"`
	Address string   `json:"address"` // one, or a block in CIDR form
	Secret  string   `json:"secret"`
	Vendors []string `json:"vendors,omitzero"` // in whose attributes it is told speeds: mikrotik, wispr, chilli; none: all
	Rate    int      `json:"rate,omitzero"`    // requests a second; none: no limit
	Port    uint16   `json:"port,omitzero"`    // where it hears CoA and Disconnect; none: 3799
	// Unsigned lets it log users in without Message-Authenticator, which lays it open to
	// forgery (CVE-2024-3596).
	Unsigned bool `json:"unsigned,omitzero"`
}

// NchfFace is Nchf_ConvergedCharging and Nchf_SpendingLimitControl of the 5G core
// (TS 32.291, TS 29.594): HTTP/2, without TLS behind the operator's own mesh.
type NchfFace struct {
	Listen string `json:"listen"`         // HOST:PORT
	Root   string `json:"root,omitzero"`  // what Location begins with; none: as the client called us
	Local  bool   `json:"local,omitzero"` // notifications may go to this machine

	TLS    *NchfTLS    `json:"tls,omitzero"`
	Tokens *NchfTokens `json:"tokens,omitzero"` // none: no access token is asked for
}

// DiameterFace is the Gy, Ro and Rf face (RFC 6733, RFC 8506, TS 32.299).
type DiameterFace struct {
	Listen string         `json:"listen"` // HOST:PORT, usually port 3868
	Host   string         `json:"host"`   // our Origin-Host
	Realm  string         `json:"realm"`
	Twins  []string       `json:"twins,omitzero"` // other nodes on the same store
	Peers  []DiameterPeer `json:"peers"`          // who may connect
}

// DiameterPeer is a client that may connect.
type DiameterPeer struct {
	Host     string         `json:"host"`
	Realm    string         `json:"realm,omitzero"`    // none: any
	Networks []netip.Prefix `json:"networks,omitzero"` // none: from anywhere
	Relay    bool           `json:"relay,omitzero"`    // an agent: it brings requests of other hosts
}

const maxFaces = 1 << 20 // octets of the file

// ReadFaces reads the file of --faces.
func ReadFaces(path string) (f Faces, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return f, err
	}
	if info.Size() > maxFaces {
		return f, fault.BadInput("faces", "%s is larger than %d octets", path, maxFaces)
	}
	doc, err := os.ReadFile(path)
	if err != nil {
		return f, err
	}
	if err := json.Unmarshal(doc, &f, json.RejectUnknownMembers(true)); err != nil {
		return f, fault.BadInput("faces", "%s cannot be read: %v", path, err)
	}
	for _, list := range [...][]charging.DefaultGrant{f.Defaults.Outage, f.Defaults.Unknown} {
		if _, err := charging.DefaultGrants(list); err != nil {
			return f, fault.At(path, err)
		}
	}
	return f, nil
}

// openFaces makes the faces known to charging; nothing listens yet.
func (a *App) openFaces(key []byte) (err error) {
	if d := a.Faces.Diameter; d != nil {
		if a.gy, err = diameter.New(d.config(a), a.Charging.Engine); err != nil {
			return fmt.Errorf("diameter: %w", err)
		}
		a.clients[credit.Diameter] = a.gy
	}
	if a.Faces.Nchf != nil {
		if err := a.openNchf(key); err != nil {
			return err
		}
	}
	if f := a.Faces.RADIUS; f != nil {
		a.broadband = broadband.New(broadband.Config{Register: a.register, Charger: a.Charging.Engine, SessionTimeout: f.SessionTimeout, Interim: f.Interim, Log: a.Log})
		a.register.Changed = a.broadband.Look
		a.clients[credit.RADIUS] = a.broadband
	}
	return nil
}

// startRADIUS listens. A report is answered when it is durable.
func (a *App) startRADIUS() (err error) {
	c, err := a.Faces.RADIUS.config(a)
	if err != nil {
		return err
	}
	if a.radius, err = radius.Listen(c); err != nil {
		return fmt.Errorf("radius: %w", err)
	}
	back, err := radius.NewDynamic(a.radius, radius.DynamicConfig{})
	if err != nil {
		return fmt.Errorf("radius: %w", errors.Join(err, a.radius.Close()))
	}
	a.broadband.Start(back)
	ctx, cancel := context.WithCancel(context.Background())
	var watching sync.WaitGroup
	watching.Go(func() { a.register.Watch(ctx, a.Log) })
	a.push(func() {
		cancel()
		watching.Wait()
		if err := errors.Join(back.Close(), a.radius.Close()); err != nil {
			a.Log.Warn("radius", "error", err)
		}
		a.broadband.Close()
	})
	return nil
}

func (f *RADIUSFace) config(a *App) (c radius.Config, err error) {
	c = radius.Config{Auth: f.Authentication, Acct: f.Accounting, Authenticator: a.broadband, Charger: a.Charging.Engine, Reported: a.broadband.Reported, Log: a.Log,
		Restarted: func(r radius.Restart, done func(bool)) {
			go func() {
				a.broadband.Restarted(r.Peer)
				_, err := a.Charging.Engine.Restart(context.Background(), credit.RADIUS, r.Peer, 0)
				done(err == nil)
			}()
		}}
	for _, n := range f.Gateways {
		nas := radius.NAS{Name: n.Name, Address: n.Address, Secret: radius.Key(n.Secret), Rate: n.Rate, DynamicPort: n.Port, LegacyNoMessageAuthenticator: n.Unsigned}
		for _, v := range n.Vendors {
			dialect, known := dialects[v]
			if !known {
				return c, fault.BadInput("faces", "The gateway %q speaks mikrotik, wispr or chilli, not %q", n.Name, v)
			}
			nas.Vendors |= dialect
		}
		c.NAS = append(c.NAS, nas)
	}
	return c, nil
}

var dialects = map[string]radius.Vendors{"mikrotik": radius.Mikrotik, "wispr": radius.WISPr, "chilli": radius.Chilli}

func (d *DiameterFace) config(a *App) diameter.Config {
	c := diameter.Config{Host: d.Host, Realm: d.Realm, Aliases: d.Twins,
		Restarted: func(host string, state uint32) { a.Charging.Engine.Restarted(credit.Diameter, host, state) }}
	for _, p := range d.Peers {
		c.Peers = append(c.Peers, diameter.Peer{Host: p.Host, Realm: p.Realm, Networks: p.Networks, Relay: p.Relay})
	}
	return c
}

// startFaces listens. It comes after charging has loaded what it decides for.
func (a *App) startFaces() error {
	if a.Faces.RADIUS != nil {
		if err := a.startRADIUS(); err != nil {
			return err
		}
	}
	if a.chf != nil {
		if err := a.serveFace("nchf", a.Faces.Nchf.Listen, &a.chfAddr, a.chf); err != nil {
			return err
		}
	}
	if a.gy == nil {
		return nil
	}
	return a.serveFace("diameter", a.Faces.Diameter.Listen, &a.gyAddr, a.gy)
}

// face is a listening server of charging.
type face interface {
	Serve(net.Listener) error
	Close(context.Context) error
}

func (a *App) serveFace(name, address string, at *string, f face) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("%s: listen on %s: %w", name, address, err)
	}
	*at = l.Addr().String()
	go func() {
		if err := f.Serve(l); err != nil {
			a.Log.Error(name+": the listener stopped", "error", err)
		}
	}()
	a.push(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := f.Close(ctx); err != nil {
			a.Log.Warn(name+": some requests were cut off", "error", err)
		}
	})
	return nil
}

// NchfAddr is where the 5G core reaches charging, "" if it does not.
func (a *App) NchfAddr() string { return a.chfAddr }

// RADIUSAddr is where gateways report to, "" if they do not.
func (a *App) RADIUSAddr() string {
	if a.radius == nil {
		return ""
	}
	return a.radius.AcctAddr()
}

// LoginAddr is where gateways log users in, "" if they do not.
func (a *App) LoginAddr() string {
	if a.radius == nil {
		return ""
	}
	return a.radius.AuthAddr()
}

// LiveSessions is how many sessions of lines run at gateways that report to this node.
func (a *App) LiveSessions() int {
	if a.broadband == nil {
		return 0
	}
	return a.broadband.Sessions()
}

// RADIUSStats is what the RADIUS face took and refused, nil without it.
func (a *App) RADIUSStats() *radius.Stats {
	if a.radius == nil {
		return nil
	}
	s := a.radius.Stats()
	return &s
}

// DiameterAddr is where Diameter clients reach the node, "" if they do not.
func (a *App) DiameterAddr() string { return a.gyAddr }

// DiameterPeers is how many Diameter clients are connected.
func (a *App) DiameterPeers() int {
	if a.gy == nil {
		return 0
	}
	return int(a.gy.Stats.Connections.Load())
}
