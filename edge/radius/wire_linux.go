//go:build linux && (amd64 || arm64)

package radius

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"runtime"
	"syscall"
	"unsafe"
)

// mmsghdr is struct mmsghdr of recvmmsg(2) and sendmmsg(2).
type mmsghdr struct {
	head syscall.Msghdr
	n    uint32
	_    [4]byte
}

// sysSendmmsg is missing in package syscall for amd64.
var sysSendmmsg = map[string]uintptr{"amd64": 307, "arm64": 269}[runtime.GOARCH]

// many moves up to batchSize datagrams in one system call. read belongs to one goroutine and write to one other.
type many struct {
	raw       syscall.RawConn
	six       bool // an IPv6 socket: IPv4 peers have mapped addresses
	connected bool
	in, out   messages
}

// messages are the structures the kernel reads and fills.
type messages struct {
	heads [batchSize]mmsghdr
	vecs  [batchSize]syscall.Iovec
	names [batchSize]syscall.RawSockaddrInet6 // the longer of the two
	want  int
	done  int
	errno syscall.Errno
	call  func(fd uintptr) bool
}

// newWire takes the fast way where there is one.
func newWire(conn *net.UDPConn, connected bool) (wire, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	w := &many{raw: raw, connected: connected}
	var domain int
	var failed error
	err = raw.Control(func(fd uintptr) {
		domain, failed = syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_DOMAIN)
	})
	if err = errors.Join(err, failed); err != nil {
		return nil, err
	}
	w.six = domain == syscall.AF_INET6
	w.in.call = func(fd uintptr) bool { return w.in.run(syscall.SYS_RECVMMSG, fd) }
	w.out.call = func(fd uintptr) bool { return w.out.run(sysSendmmsg, fd) }
	return w, nil
}

// run makes the system call; false means that the socket is not ready.
func (m *messages) run(trap, fd uintptr) bool {
	for {
		n, _, errno := syscall.Syscall6(trap, fd, uintptr(unsafe.Pointer(&m.heads[0])), uintptr(m.want), syscall.MSG_DONTWAIT, 0, 0)
		switch errno {
		case syscall.EINTR:
			continue
		case syscall.EAGAIN:
			return false
		}
		m.done, m.errno = int(n), errno
		return true
	}
}

// put lays one datagram before the kernel.
func (m *messages) put(i int, data []byte, nameLength uint32) {
	m.vecs[i].Base = unsafe.SliceData(data)
	m.vecs[i].SetLen(len(data))
	h := &m.heads[i].head
	h.Iov, h.Iovlen = &m.vecs[i], 1
	h.Namelen, h.Name = nameLength, nil
	if nameLength > 0 {
		h.Name = (*byte)(unsafe.Pointer(&m.names[i]))
	}
}

func (w *many) read(ds []*datagram) (int, error) {
	m := &w.in
	m.want = min(len(ds), batchSize)
	for i, d := range ds[:m.want] {
		m.put(i, d.data[:cap(d.data)], uint32(unsafe.Sizeof(m.names[i])))
	}
	for {
		if err := w.raw.Read(m.call); err != nil {
			return 0, err
		}
		if m.errno == 0 && m.done > 0 {
			break
		}
		// An earlier datagram was refused by its receiver (ICMP): that says nothing about the next.
	}
	for i, d := range ds[:m.done] {
		d.data = d.data[:m.heads[i].n]
		if m.heads[i].head.Flags&syscall.MSG_TRUNC != 0 {
			d.data = d.data[:0]
		}
		d.peer = m.peer(i)
	}
	return m.done, nil
}

// peer reads a socket address: family, port in network order, then 4 octets, or a flow label and 16.
func (m *messages) peer(i int) netip.AddrPort {
	name := &m.names[i]
	port := (*[2]byte)(unsafe.Pointer(&name.Port))
	p := binary.BigEndian.Uint16(port[:])
	if name.Family == syscall.AF_INET {
		four := (*syscall.RawSockaddrInet4)(unsafe.Pointer(name))
		return netip.AddrPortFrom(netip.AddrFrom4(four.Addr), p)
	}
	return netip.AddrPortFrom(netip.AddrFrom16(name.Addr).Unmap(), p)
}

func (w *many) name(i int, to netip.AddrPort) uint32 {
	name := &w.out.names[i]
	*name = syscall.RawSockaddrInet6{}
	port := (*[2]byte)(unsafe.Pointer(&name.Port))
	binary.BigEndian.PutUint16(port[:], to.Port())
	if w.six {
		name.Family, name.Addr = syscall.AF_INET6, to.Addr().As16()
		return uint32(unsafe.Sizeof(*name))
	}
	four := (*syscall.RawSockaddrInet4)(unsafe.Pointer(name))
	if a := to.Addr().Unmap(); a.Is4() { // else the family stays empty, and the kernel refuses it
		four.Family, four.Addr = syscall.AF_INET, a.As4()
	}
	return uint32(unsafe.Sizeof(*four))
}

func (w *many) write(ds []*datagram) error {
	for len(ds) > 0 {
		m := &w.out
		m.want = min(len(ds), batchSize)
		for i, d := range ds[:m.want] {
			var n uint32
			if !w.connected {
				n = w.name(i, d.peer)
			}
			m.put(i, d.data, n)
		}
		if err := w.raw.Write(m.call); err != nil {
			return err
		}
		if m.errno != 0 {
			m.done = 1 // the first one cannot be sent; the others can
		}
		ds = ds[max(m.done, 1):]
	}
	return nil
}

func setReusePort(fd uintptr) error {
	return syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, soReusePort, 1)
}
