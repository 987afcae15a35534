package gateway

import (
	"encoding/binary"
	"net/netip"
)

const (
	tcp  = 6
	web  = 80   // the port whose connections are redirected
	mtu  = 1500 // octets of the largest packet
	flag = 13   // octet of the TCP flags
	syn  = 0x02
	ack  = 0x10
)

// packet is an IPv4 packet in its own memory.
type packet []byte

// parse checks what the gateway relies on; anything else is not let through.
func parse(b []byte) (packet, bool) {
	if len(b) < 20 || b[0]>>4 != 4 || int(binary.BigEndian.Uint16(b[2:])) != len(b) || int(b[0]&15)*4 > len(b) {
		return nil, false
	}
	return append(packet(nil), b...), true
}

func (p packet) src() netip.Addr { return netip.AddrFrom4([4]byte(p[12:16])) }
func (p packet) dst() netip.Addr { return netip.AddrFrom4([4]byte(p[16:20])) }

// segment is the TCP segment of an unfragmented packet, nil if it has none.
func (p packet) segment() []byte {
	s := p[int(p[0]&15)*4:]
	if p[9] != tcp || binary.BigEndian.Uint16(p[6:])&0x3fff != 0 || len(s) < 20 {
		return nil
	}
	return s
}

// from and to are the ends of a TCP connection, zero for other packets.
func (p packet) from() netip.AddrPort {
	if s := p.segment(); s != nil {
		return netip.AddrPortFrom(p.src(), binary.BigEndian.Uint16(s))
	}
	return netip.AddrPort{}
}

func (p packet) to() netip.AddrPort {
	if s := p.segment(); s != nil {
		return netip.AddrPortFrom(p.dst(), binary.BigEndian.Uint16(s[2:]))
	}
	return netip.AddrPort{}
}

// opens says that the packet is the first of a web connection.
func (p packet) opens() bool {
	s := p.segment()
	return s != nil && s[flag]&(syn|ack) == syn && p.to().Port() == web
}

// redirect sends a TCP packet to another host, rename has it come from one.
func (p packet) redirect(to netip.Addr) { p.rewrite(16, to) }
func (p packet) rename(from netip.Addr) { p.rewrite(12, from) }

// rewrite changes an address and both checksums that cover it (RFC 1624).
func (p packet) rewrite(at int, addr netip.Addr) {
	now := addr.As4()
	s := p.segment()
	for i := 0; i < 4; i += 2 {
		was, is := binary.BigEndian.Uint16(p[at+i:]), binary.BigEndian.Uint16(now[i:])
		amend(p[10:12], was, is)
		amend(s[16:18], was, is)
	}
	copy(p[at:], now[:])
}

func amend(sum []byte, was, is uint16) {
	n := uint32(^binary.BigEndian.Uint16(sum)) + uint32(^was) + uint32(is)
	n = n&0xffff + n>>16
	n = n&0xffff + n>>16
	binary.BigEndian.PutUint16(sum, ^uint16(n))
}
