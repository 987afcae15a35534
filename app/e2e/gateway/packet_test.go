package gateway

import (
	"encoding/binary"
	"net/netip"
	"testing"
)

// sum is the checksum of the internet protocols (RFC 1071), computed over all of it.
func sum(parts ...[]byte) uint16 {
	n := uint32(0)
	for _, b := range parts {
		if len(b)%2 == 1 {
			b = append(append([]byte(nil), b...), 0)
		}
		for i := 0; i < len(b); i += 2 {
			n += uint32(binary.BigEndian.Uint16(b[i:]))
		}
	}
	for n > 0xffff {
		n = n&0xffff + n>>16
	}
	return ^uint16(n)
}

// pseudo is what a TCP checksum covers of the IP header (RFC 9293 3.1).
func pseudo(p packet) []byte {
	b := append(append([]byte(nil), p[12:20]...), 0, tcp)
	return binary.BigEndian.AppendUint16(b, uint16(len(p.segment())))
}

// request is a SYN with both checksums right.
func request(from, to netip.AddrPort) packet {
	p := make(packet, 43)
	p[0], p[8], p[9] = 0x45, 64, tcp
	binary.BigEndian.PutUint16(p[2:], uint16(len(p)))
	src, dst := from.Addr().As4(), to.Addr().As4()
	copy(p[12:], src[:])
	copy(p[16:], dst[:])
	s := p[20:]
	binary.BigEndian.PutUint16(s, from.Port())
	binary.BigEndian.PutUint16(s[2:], to.Port())
	s[12], s[flag] = 5<<4, syn
	copy(s[20:], "odd")
	binary.BigEndian.PutUint16(s[16:], sum(pseudo(p), s))
	binary.BigEndian.PutUint16(p[10:], sum(p[:20]))
	return p
}

// A packet that was led elsewhere has the checksums that its new addresses need, and
// is what it was when it is led back.
func TestRedirectKeepsChecksums(t *testing.T) {
	for i := range uint16(2000) {
		from := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 46, byte(i), byte(i * 7)}), 1024+i*31)
		to := netip.AddrPortFrom(netip.AddrFrom4([4]byte{byte(i * 13), 70, byte(i >> 3), 1}), web)
		portal := netip.AddrFrom4([4]byte{10, byte(i * 3), 0, byte(i)})
		p := request(from, to)
		was := string(p)
		if !p.opens() || p.from() != from || p.to() != to {
			t.Fatalf("%x is not the request from %s to %s", p, from, to)
		}
		p.redirect(portal)
		if p.dst() != portal || sum(p[:20]) != 0 || sum(pseudo(p), p.segment()) != 0 {
			t.Fatalf("%s to %s led to %s: %x", from, to, portal, p)
		}
		p.redirect(to.Addr())
		if string(p) != was {
			t.Fatalf("led back: %x, was %x", p, was)
		}
	}
}

func TestOnlySoundPacketsPass(t *testing.T) {
	from, to := netip.MustParseAddrPort("10.46.0.2:1024"), netip.MustParseAddrPort("10.70.0.1:80")
	good := request(from, to)
	for name, b := range map[string][]byte{"empty": {}, "short": good[:19], "cut off": good[:len(good)-1], "longer": append(good[:len(good):len(good)], 0), "IPv6": append([]byte{0x65}, good[1:]...),
		"header beyond it": append([]byte{0x4f}, good[1:]...)} {
		if _, ok := parse(b); ok {
			t.Errorf("%s: taken", name)
		}
	}
	if _, ok := parse(good); !ok {
		t.Error("a sound packet is refused")
	}
	fragment := append(packet(nil), good...)
	fragment[7] = 1
	if fragment.opens() {
		t.Error("a fragment has no ports")
	}
}
