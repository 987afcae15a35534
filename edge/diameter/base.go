package diameter

import (
	"net/netip"
	"time"
)

// capabilities is what a CER or CEA says (RFC 6733 5.3).
type capabilities struct {
	host   []byte
	realm  []byte
	state  uint32
	result uint32 // of a CEA
	common bool   // credit control, accounting or a relay
}

// parseCapabilities reads a CER or CEA. A missing Host-IP-Address is forgiven: there are clients that leave it out, and the address is
// known from the connection.
func parseCapabilities(body []byte) (capabilities, *flaw) {
	var who capabilities
	left := MaxAVPs
	c := cursor{body, &left}
	for {
		a, more, err := c.next()
		if err == nil && !more {
			break
		}
		if err == nil {
			err = who.field(&a, &left)
		}
		if err != nil {
			return who, err
		}
	}
	switch {
	case who.host == nil:
		return who, absent(originHost, 1)
	case who.realm == nil:
		return who, absent(originRealm, 1)
	}
	return who, nil
}

func (who *capabilities) field(a *avp, left *int) *flaw {
	var err *flaw
	switch a.key {
	case originHost:
		who.host, err = a.text()
	case originRealm:
		who.realm, err = a.text()
	case originState:
		who.state, err = a.u32()
	case resultCode:
		who.result, err = a.u32()
	case authApplication, acctApplication:
		var app uint32
		app, err = a.u32()
		who.common = who.common || app == appRelay ||
			a.key == authApplication && app == appCredit || a.key == acctApplication && app == appAccounting
	case vendorSpecificApp:
		c := cursor{a.data, left}
		for {
			in, more, err := c.next()
			if err == nil && more && (in.key == authApplication || in.key == acctApplication) {
				err = who.field(&in, left)
			}
			if err != nil || !more {
				return err
			}
		}
	}
	return err
}

// capabilities answers the first CER of a connection; false refuses the peer.
func (c *conn) capabilities(x *call) bool {
	who, f := parseCapabilities(x.buf)
	code := uint32(resultSuccess)
	switch {
	case f != nil:
		code = f.code
		c.s.Stats.Malformed.Add(1)
	case !who.common:
		code = resultNoCommon
		c.s.Stats.Refused.Add(1)
	default:
		code = c.s.join(c, &who)
	}
	if code == resultSuccess {
		c.nc.SetReadDeadline(time.Time{})
		c.open.Store(true)
	}
	c.send(func(b []byte) []byte { return c.appendCEA(b, &x.h, code, f) })
	if code != resultSuccess {
		return false
	}
	c.s.restarted(c, who.state)
	return true
}

func (c *conn) appendCEA(b []byte, h *header, code uint32, f *flaw) []byte {
	b, at := beginMessage(b, errorFlag(code), cmdCapabilities, appBase, h.hop, h.end)
	b = appendU32(b, resultCode, code)
	b = append(b, c.s.id.origin...)
	b = appendOurAddress(b, c.nc.LocalAddr().String())
	b = appendAbilities(b, c.s.cfg.Product)
	b = append(b, c.s.id.state...)
	if f != nil {
		b = appendBytes(b, errorMessage|optional, f.reason)
		if f.failed != nil {
			var group int
			b, group = begin(b, failedAVP)
			b = end(appendRaw(b, f.failed), group)
		}
	}
	return endMessage(b, at)
}

func errorFlag(code uint32) byte {
	if protocolError(code) {
		return flagError
	}
	return 0
}

func appendOurAddress(b []byte, local string) []byte {
	addr, err := netip.ParseAddrPort(local)
	if err != nil {
		return appendAddress(b, hostIPAddress, []byte{127, 0, 0, 1}) // not an internet connection
	}
	return appendAddress(b, hostIPAddress, addr.Addr().Unmap().AsSlice())
}

// appendAbilities appends who made us and which applications we have, both by themselves and as those of 3GPP: clients look for one
// or the other.
func appendAbilities(b []byte, product string) []byte {
	b = appendU32(b, vendorID, 0)
	b = appendBytes(b, productName|optional, product)
	b = appendU32(b, supportedVendor, vendor3GPP)
	b = appendU32(b, authApplication, appCredit)
	b = appendU32(b, acctApplication, appAccounting)
	for _, app := range [...]struct {
		key key
		id  uint32
	}{{authApplication, appCredit}, {acctApplication, appAccounting}} {
		var group int
		b, group = begin(b, vendorSpecificApp)
		b = appendU32(b, vendorID, vendor3GPP)
		b = end(appendU32(b, app.key, app.id), group)
	}
	return b
}

// appendBase encodes DWA and DPA.
func (id *identity) appendBase(b []byte, h *header, code uint32) []byte {
	b, at := beginMessage(b, errorFlag(code), h.code, h.app, h.hop, h.end)
	b = appendU32(b, resultCode, code)
	b = append(b, id.origin...)
	if h.code == cmdWatchdog {
		b = append(b, id.state...)
	}
	return endMessage(b, at)
}

// find returns the 32 bit value of the first AVP of that name on the highest level, 0 if there is none.
func find(body []byte, k key) uint32 {
	left := MaxAVPs
	c := cursor{body, &left}
	for {
		a, more, err := c.next()
		if err != nil || !more {
			return 0
		}
		if a.key == k {
			v, _ := a.u32()
			return v
		}
	}
}

func stateOf(body []byte) uint32 { return find(body, originState) }
