package radius

import (
	"net/netip"

	"tandem/edge/credit"
)

// ending says what becomes of an exchange.
type ending uint8

const (
	silent   ending = iota // no reply, and the request may come again
	toAnswer               // build the Accounting-Response
	toSeal                 // the reply is built, but not signed
	sealed                 // it is ready as it is: a repeated one
)

// exchange is one request on its way through and back. It owns the buffers that the request and everything read from it lie in, and is
// used again when its reply has been sent.
type exchange struct {
	in, out datagram
	packet  Packet // in in.data
	port    *port
	nas     *nas
	key     replyKey
	ending  ending
	signed  bool // it came with a Message-Authenticator
	call    credit.Call
	peer    []byte // the gateway's identity
	back    []byte
	imsi    []byte
}

func newExchange(p *port) *exchange {
	x := &exchange{port: p}
	x.in.data = make([]byte, 0, MaxPacket)
	x.call.Own, x.call.Done = x, charged
	return x
}

// finish hands the exchange to the writer. It does not block.
func (x *exchange) finish(e ending) {
	x.ending = e
	x.port.finished(x)
}

// reply begins a reply to an access request: Message-Authenticator first, then what a proxy wants to see again (RFC 2865 5.33).
func (x *exchange) reply(code Code) []byte {
	return x.echo(appendMAC(AppendHead(x.out.data[:0], code, x.packet.ID())))
}

func (x *exchange) echo(b []byte) []byte {
	for t, v := range x.packet.All() {
		if t == ProxyState {
			b = AppendBytes(b, ProxyState, v)
		}
	}
	return b
}

// seal makes the reply ready to be sent. False: there is none.
func (x *exchange) seal(g *signer) bool {
	switch x.ending {
	case silent:
		return false
	case sealed:
		return true
	case toAnswer:
		// No Message-Authenticator: the authenticator proves all of it, RFC 2866 5.13 has no place for one, and peers disagree on
		// what it would be computed with.
		x.out.data = x.echo(AppendHead(x.out.data[:0], AccountingResponse, x.packet.ID()))
	}
	return g.sealReply(x.out.data, x.packet.Authenticator(), x.nas.secret)
}

// name composes the gateway's identity: its name in the list, and what it calls itself if that says more. A gateway that changes
// NAS-Identifier is another one; a relay speaks for many.
func (x *exchange) name() {
	x.peer = append(x.peer[:0], x.nas.Name...)
	source := x.in.peer.Addr()
	var id []byte
	address := source
	for t, v := range x.packet.All() {
		switch {
		case t == NASIdentifier && len(v) > 0:
			id = v
		case t == NASIPv6Address || t == NASIPAddress:
			if a, ok := netip.AddrFromSlice(v); ok && !a.IsUnspecified() {
				address = a.Unmap()
			}
		}
	}
	switch {
	case id != nil && string(id) == x.nas.Name:
	case id != nil:
		x.peer = append(append(x.peer, '/'), id...)
	case address != source || !x.nas.prefix.IsSingleIP():
		x.peer = address.AppendTo(append(x.peer, '/'))
	}
}

// wayBack is the Return of a session: the address that CoA and Disconnect go to, behind its length, the attributes that name the
// session and its gateway there, as the gateway sent them (RFC 5176 3), and last the Class that the session was let in with.
func (x *exchange) wayBack() []byte {
	b := x.back[:0]
	if a := x.in.peer.Addr(); a.Is4() {
		v := a.As4()
		b = append(append(b, 4), v[:]...)
	} else {
		v := a.As16()
		b = append(append(b, 16), v[:]...)
	}
	var class []byte
	for t, v := range x.packet.All() {
		switch t {
		case UserName, NASIdentifier, NASIPAddress, NASIPv6Address:
			b = AppendBytes(b, t, v)
		case Class:
			class = v
		}
	}
	b = appendIf(b, Class, class)
	x.back = b
	return b
}

// parseBack reads what wayBack wrote. The Class is no name of the session: it is not among the attributes.
func parseBack(b []byte) (to netip.Addr, attributes, class []byte, ok bool) {
	if len(b) == 0 || len(b) < 1+int(b[0]) {
		return netip.Addr{}, nil, nil, false
	}
	to, ok = netip.AddrFromSlice(b[1 : 1+b[0]])
	attributes = b[1+b[0]:]
	if !ok || !wellFormed(attributes) {
		return netip.Addr{}, nil, nil, false
	}
	for n := 0; n < len(attributes); n += int(attributes[n+1]) {
		if Type(attributes[n]) == Class {
			return to, attributes[:n], attributes[n+2 : n+int(attributes[n+1])], true
		}
	}
	return to, attributes, nil, true
}

// UserOf is the user that a way back names: the Return of accounting requests, as a Client of charging is given it.
func UserOf(back []byte) string {
	_, attributes, _, _ := parseBack(back)
	for len(attributes) > 2 {
		size := int(attributes[1])
		if Type(attributes[0]) == UserName {
			return string(attributes[2:size])
		}
		attributes = attributes[size:]
	}
	return ""
}

// ClassOf is the Class that a session had when charging first heard of it, by its way back; "" if it had none.
func ClassOf(back []byte) string {
	_, _, class, _ := parseBack(back)
	return string(class)
}
