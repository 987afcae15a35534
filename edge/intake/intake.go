// Package intake is how a server of ours takes its connections.
//
//	listener ── Loop ──> take(connection)      out of descriptors: a pause, for others will end
//
// Owns, tells and hears nothing.
package intake

import (
	"errors"
	"net"
	"time"
)

// Loop gives take each connection of the listener until closing says that no more are
// wanted, or the listener is closed by somebody else: then its error is that. Other
// errors, such as too many open files, are waited out, no longer than until quit.
func Loop(l net.Listener, closing func() bool, quit <-chan struct{}, take func(net.Conn)) error {
	for pause := time.Millisecond; ; {
		c, err := l.Accept()
		switch {
		case closing():
			if c != nil {
				c.Close()
			}
			return nil
		case errors.Is(err, net.ErrClosed):
			return err
		case err != nil:
			select {
			case <-quit:
			case <-time.After(pause):
			}
			pause = min(2*pause, time.Second)
		default:
			pause = time.Millisecond
			take(c)
		}
	}
}
