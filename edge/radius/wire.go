package radius

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"syscall"
)

// datagram is what was read from a peer or is to be written to it. data has a capacity of MaxPacket before a read.
type datagram struct {
	peer netip.AddrPort // not of a connected socket
	data []byte
}

// wire moves datagrams, many in one system call where the kernel can.
type wire interface {
	// read fills datagrams from the first on and returns how many; at least one, unless the socket is closed. A datagram that is
	// longer than its buffer comes as an empty one.
	read([]*datagram) (int, error)
	// write sends all; what a peer does not take is lost, as any datagram may be. The error is that of a closed socket.
	write([]*datagram) error
}

// batchSize is how many datagrams one system call moves at most.
const batchSize = 64

const socketBuffer = 4 << 20 // octets the kernel keeps for us while we are busy, if it may

// soReusePort lets several sockets share an address; the kernel picks one by the source's address and port.
const soReusePort = 15

// listen opens n sockets on one address.
func listen(address string, n int) ([]*net.UDPConn, error) {
	first, err := net.ListenPacket("udp", address)
	if err != nil {
		return nil, err
	}
	if n <= 1 {
		c := first.(*net.UDPConn)
		c.SetReadBuffer(socketBuffer)
		return []*net.UDPConn{c}, nil
	}
	// The first one had the address for itself: nobody else, not even another process of ours, is listening there.
	address = first.LocalAddr().String()
	first.Close()
	shared := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		var err error
		if e := raw.Control(func(fd uintptr) { err = setReusePort(fd) }); e != nil {
			return e
		}
		return err
	}}
	var conns []*net.UDPConn
	for range n {
		c, err := shared.ListenPacket(context.Background(), "udp", address)
		if err != nil {
			closeAll(conns)
			return nil, err
		}
		conns = append(conns, c.(*net.UDPConn))
		conns[len(conns)-1].SetReadBuffer(socketBuffer)
	}
	return conns, nil
}

// passing tells the trouble of one datagram, such as an ICMP refusal of an earlier one, from the end of a socket.
func passing(err error) bool {
	var errno syscall.Errno
	return errors.As(err, &errno)
}

func closeAll(conns []*net.UDPConn) {
	for _, c := range conns {
		c.Close()
	}
}

// single is the wire of kernels without recvmmsg: one datagram at a time.
type single struct {
	conn      *net.UDPConn
	connected bool
}

func (w *single) read(ds []*datagram) (int, error) {
	for {
		d := ds[0]
		n, peer, err := w.conn.ReadFromUDPAddrPort(d.data[:cap(d.data)])
		if err == nil {
			d.peer = netip.AddrPortFrom(peer.Addr().Unmap(), peer.Port())
			d.data = d.data[:n]
			return 1, nil
		}
		if !passing(err) {
			return 0, err
		}
	}
}

func (w *single) write(ds []*datagram) error {
	for _, d := range ds {
		var err error
		if w.connected {
			_, err = w.conn.Write(d.data)
		} else {
			_, err = w.conn.WriteToUDPAddrPort(d.data, d.peer)
		}
		if err != nil && !passing(err) {
			return err
		}
	}
	return nil
}
