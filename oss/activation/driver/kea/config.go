package kea

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// members is an object of the configuration; what is not looked into stays as it is.
type members = map[string]jsontext.Value

// configuration is that of the server, taken apart as far as reservations lie in it.
type configuration struct {
	whole   members
	dhcp4   members
	subnets []members
	prefix  []netip.Prefix
}

func parseConfiguration(text []byte) (c configuration, err error) {
	if err := json.Unmarshal(text, &c.whole); err != nil {
		return c, err
	}
	if err := json.Unmarshal(c.whole["Dhcp4"], &c.dhcp4); err != nil {
		return c, err
	}
	if list := c.dhcp4["subnet4"]; list != nil {
		if err := json.Unmarshal(list, &c.subnets); err != nil {
			return c, err
		}
	}
	for _, s := range c.subnets {
		var text string
		if err := json.Unmarshal(s["subnet"], &text); err != nil {
			return c, err
		}
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return c, err
		}
		c.prefix = append(c.prefix, p)
	}
	return c, nil
}

// reservation is one host reservation. login is what the client calls itself; "" if it is known by something else.
type reservation struct {
	address string
	login   string
	all     members
}

func (c *configuration) reservations(subnet int) (list []reservation, err error) {
	var raw []members
	if doc := c.subnets[subnet]["reservations"]; doc != nil {
		if err := json.Unmarshal(doc, &raw); err != nil {
			return nil, err
		}
	}
	for _, m := range raw {
		r := reservation{all: m}
		var client string
		for name, to := range map[string]*string{"ip-address": &r.address, "client-id": &client} {
			if m[name] != nil {
				if err := json.Unmarshal(m[name], to); err != nil {
					return nil, err
				}
			}
		}
		r.login = loginOf(client)
		list = append(list, r)
	}
	return list, nil
}

// all are the reservations of the server, by subnet and in their order.
func (c *configuration) all() (list []reservation, err error) {
	for i := range c.subnets {
		some, err := c.reservations(i)
		if err != nil {
			return nil, err
		}
		list = append(list, some...)
	}
	return list, nil
}

// with is the configuration with another reservation of the address; an empty login: with none.
func (c *configuration) with(subnet int, address, login string) (members, error) {
	list, err := c.reservations(subnet)
	if err != nil {
		return nil, err
	}
	kept := []members{}
	for _, r := range list {
		if r.address != address {
			kept = append(kept, r.all)
		}
	}
	if login != "" {
		kept = append(kept, members{"ip-address": quoted(address), "client-id": quoted(clientID(login))})
	}
	out := configuration{whole: clone(c.whole), dhcp4: clone(c.dhcp4), subnets: slices.Clone(c.subnets)}
	delete(out.whole, "hash")
	out.subnets[subnet] = clone(c.subnets[subnet])
	for _, step := range []struct {
		in   members
		name string
		doc  any
	}{{out.subnets[subnet], "reservations", kept}, {out.dhcp4, "subnet4", out.subnets}, {out.whole, "Dhcp4", out.dhcp4}} {
		if step.in[step.name], err = json.Marshal(step.doc); err != nil {
			return nil, err
		}
	}
	return out.whole, nil
}

func clone(m members) members {
	out := members{}
	for k, v := range m {
		out[k] = v
	}
	return out
}

func quoted(s string) jsontext.Value {
	v, err := json.Marshal(s)
	if err != nil {
		panic(err) // addresses and hexadecimal digits are ASCII
	}
	return v
}

// clientID is a login as a client identifier: type 0, which is no hardware address, and the name (RFC 2132 9.14).
func clientID(login string) string {
	b := append([]byte{0}, login...)
	parts := make([]string, len(b))
	for i, c := range b {
		parts[i] = fmt.Sprintf("%02X", c)
	}
	return strings.Join(parts, ":")
}

// loginOf is the inverse; "" for any other identifier.
func loginOf(id string) string {
	b, err := hex.DecodeString(strings.ReplaceAll(id, ":", ""))
	if err != nil || len(b) < 2 || b[0] != 0 || !isLogin(string(b[1:])) {
		return ""
	}
	return string(b[1:])
}

func isLogin(s string) bool {
	return s != "" && len(s) <= 64 && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })
}
