//go:build !linux || !(amd64 || arm64)

package radius

import (
	"errors"
	"net"
)

func newWire(conn *net.UDPConn, connected bool) (wire, error) { return &single{conn, connected}, nil }

func setReusePort(uintptr) error {
	return errors.New("radius: several readers on one address need Linux")
}
