package gateway

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"sync"
	"time"
)

// GGSN is the command line of an osmo-ggsn, which knows who has which address.
type GGSN struct {
	mu   sync.Mutex
	conn net.Conn
}

const vtyPatience = 5 * time.Second

// DialGGSN connects to the command line in the namespace of an osmo-ggsn.
func DialGGSN(namespace string) (*GGSN, error) {
	v := &GGSN{}
	err := In(namespace, func() (err error) {
		v.conn, err = net.DialTimeout("tcp", "127.0.0.1:4260", vtyPatience)
		return err
	})
	if err != nil {
		return nil, err
	}
	_, err = v.answer()
	return v, err
}

// Close hangs up.
func (v *GGSN) Close() error { return v.conn.Close() }

// Do gives a command and returns what it prints.
func (v *GGSN) Do(command string) (string, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if _, err := fmt.Fprintf(v.conn, "%s\n", command); err != nil {
		return "", err
	}
	return v.answer()
}

var prompt = []byte("OsmoGGSN> ")

func (v *GGSN) answer() (string, error) {
	v.conn.SetReadDeadline(time.Now().Add(vtyPatience))
	var out []byte
	buf := make([]byte, 4096)
	for !bytes.HasSuffix(out, prompt) {
		n, err := v.conn.Read(buf)
		if err != nil {
			return "", fmt.Errorf("gateway: osmo-ggsn: %w after %q", err, out)
		}
		out = append(out, buf[:n]...)
	}
	return string(bytes.TrimSuffix(out, prompt)), nil
}

var imsi = regexp.MustCompile(`IMSI: ([0-9]+)`)

// Who is the IMSI of the context with an address, "" if there is none.
func (v *GGSN) Who(a netip.Addr) (string, error) {
	text, err := v.Context(a)
	if found := imsi.FindStringSubmatch(text); found != nil {
		return found[1], err
	}
	return "", err
}

// Context is how the GGSN describes the context with an address: identity, tunnel
// endpoints and all.
func (v *GGSN) Context(a netip.Addr) (string, error) {
	return v.Do(fmt.Sprintf("show pdp-context ggsn ggsn0 ipv4 %s", a))
}
