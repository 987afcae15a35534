package radius

import (
	"fmt"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"tandem/kit/fault"
)

// Vendors are the dialects of vendor attributes that a gateway understands, for what plain RADIUS cannot say: quotas of octets and
// speeds. A gateway ignores a dialect it does not know (RFC 2865 5.26).
type Vendors uint8

// The dialects.
const (
	Mikrotik Vendors = 1 << iota // 14988: Total-Limit 17 and 18, Rate-Limit 8
	WISPr                        // 14122: Bandwidth-Max-Up 7, -Down 8; no quota
	Chilli                       // 14559: Max-Total-Octets 3 and 23
)

const defaultDynamicPort = 3799 // RFC 5176 2.1

// NAS is a gateway, or a block of gateways with one shared secret.
type NAS struct {
	// Name is the gateway's identity towards the charger. Where the packets carry a NAS-Identifier or address of another
	// name, that is appended: "relay-1/bng-7".
	Name string
	// Address is one address or a block in CIDR form; the longest match counts.
	Address string
	Secret  Key
	// LegacyNoMessageAuthenticator accepts Access-Requests without a Message-Authenticator. It lays the login of this
	// gateway's users open to forgery by whoever sits on the path (CVE-2024-3596). Requests with EAP or Proxy-State need
	// one all the same.
	LegacyNoMessageAuthenticator bool
	// Vendors are the dialects it is told quotas and speeds in; none means all.
	Vendors Vendors
	// Rate is how many requests a second it may send; 0: no limit. A tenth of a second's worth may come at once.
	Rate int
	// DynamicPort is where it hears CoA and Disconnect; 0 means 3799.
	DynamicPort uint16
}

// nas is a NAS in the table.
type nas struct {
	NAS
	prefix netip.Prefix
	secret *Secret
	limit  limit
}

// table finds gateways by address.
type table struct {
	by   map[netip.Prefix]*nas
	bits []int // prefix lengths in use, longest first; IPv4 counts as its mapped form
}

func newTable(list []NAS) (*table, error) {
	t := &table{by: map[netip.Prefix]*nas{}}
	for _, n := range list {
		entry, err := newNAS(n)
		if err != nil {
			return nil, err
		}
		if other := t.by[entry.prefix]; other != nil {
			return nil, fault.BadInput("nasTwice", "The gateways %q and %q have the same address %s", other.Name, n.Name, n.Address)
		}
		t.by[entry.prefix] = entry
		if !slices.Contains(t.bits, entry.prefix.Bits()) {
			t.bits = append(t.bits, entry.prefix.Bits())
		}
	}
	slices.Sort(t.bits)
	slices.Reverse(t.bits)
	return t, nil
}

func newNAS(n NAS) (*nas, error) {
	prefix, err := netip.ParsePrefix(n.Address)
	if err != nil {
		a, err := netip.ParseAddr(n.Address)
		if err != nil {
			return nil, fault.BadInput("nasAddress", "The gateway %q has no address or block of addresses: %q", n.Name, n.Address)
		}
		prefix = netip.PrefixFrom(a, a.BitLen())
	}
	if n.Name == "" || len(n.Name) > maxValue {
		return nil, fault.BadInput("nasName", "The gateway at %s needs a name of up to %d letters", n.Address, maxValue)
	}
	if len(n.Secret) == 0 {
		return nil, fault.BadInput("nasSecret", "The gateway %q has no shared secret", n.Name)
	}
	if n.Rate < 0 {
		return nil, fault.BadInput("nasRate", "The gateway %q has a rate below zero", n.Name)
	}
	if n.Vendors == 0 {
		n.Vendors = Mikrotik | WISPr | Chilli
	}
	if n.DynamicPort == 0 {
		n.DynamicPort = defaultDynamicPort
	}
	entry := &nas{NAS: n, prefix: mapped(prefix), secret: NewSecret(n.Secret)}
	entry.limit.set(n.Rate)
	entry.Secret = nil // the table keeps one copy
	return entry, nil
}

// mapped turns an IPv4 prefix into that of the mapped IPv6 addresses, so that one table serves both.
func mapped(p netip.Prefix) netip.Prefix {
	if p.Addr().Is4() {
		p = netip.PrefixFrom(netip.AddrFrom16(p.Addr().As16()), p.Bits()+96)
	}
	return p.Masked()
}

// find returns the gateway with the longest match; nil: unknown.
func (t *table) find(a netip.Addr) *nas {
	wide := netip.AddrFrom16(a.As16())
	for _, bits := range t.bits {
		p, err := wide.Prefix(bits)
		if err != nil {
			continue
		}
		if n := t.by[p]; n != nil {
			return n
		}
	}
	return nil
}

// weak lists what an operator should know about the gateways.
func (t *table) weak() []string {
	var list []string
	for _, n := range t.by {
		if n.LegacyNoMessageAuthenticator {
			list = append(list, fmt.Sprintf("The gateway %q may log users in without Message-Authenticator: whoever sits on the path can forge logins (CVE-2024-3596)", n.Name))
		}
		if len(n.secret.key) < 16 {
			list = append(list, fmt.Sprintf("The shared secret of the gateway %q has fewer than 16 octets: it can be guessed from recorded packets (RFC 2865 3)", n.Name))
		}
	}
	slices.Sort(list)
	return list
}

// limit is a leaky bucket in one word: the instant at which the last admitted request would have been due.
type limit struct {
	due    atomic.Int64
	every  int64 // microseconds between requests, times 1024; 0: no limit
	credit int64 // how far ahead of time requests may run
}

func (l *limit) set(rate int) {
	if rate == 0 {
		return
	}
	second := int64(time.Second/time.Microsecond) * 1024
	l.every, l.credit = second/int64(rate), max(second/10, second/int64(rate))
}

// allow admits a request at an instant in Unix microseconds, or refuses it.
func (l *limit) allow(micros int64) bool {
	if l.every == 0 {
		return true
	}
	now := micros * 1024
	for {
		due := l.due.Load()
		at := max(due, now)
		if at-now >= l.credit {
			return false
		}
		if l.due.CompareAndSwap(due, at+l.every) {
			return true
		}
	}
}
