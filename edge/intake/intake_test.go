package intake

import (
	"errors"
	"net"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// scripted answers Accept from a list, then as a closed listener.
type scripted struct {
	net.Listener
	answers []error // nil: a connection
}

func (s *scripted) Accept() (net.Conn, error) {
	if len(s.answers) == 0 {
		return nil, net.ErrClosed
	}
	err := s.answers[0]
	s.answers = s.answers[1:]
	if err != nil {
		return nil, err
	}
	c, _ := net.Pipe()
	return c, nil
}

// A listener that is out of descriptors is asked again, after pauses that grow to a
// second and begin anew once a connection came.
func TestLoopOutlastsTemporaryErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		full := syscall.EMFILE
		l := &scripted{answers: []error{nil, full, full, full, nil, full, nil}}
		taken, start := 0, time.Now()
		err := Loop(l, func() bool { return false }, make(chan struct{}), func(c net.Conn) { taken++; c.Close() })
		if !errors.Is(err, net.ErrClosed) || taken != 3 {
			t.Errorf("%d connections, then %v", taken, err)
		}
		if d := time.Since(start); d != (1+2+4+1)*time.Millisecond {
			t.Errorf("it waited for %v", d)
		}
	})
}

// What comes while the server closes is let go, and that is no error.
func TestLoopEndsWithItsServer(t *testing.T) {
	var closing atomic.Bool
	err := Loop(&scripted{answers: []error{nil, nil}}, closing.Load, nil, func(c net.Conn) {
		c.Close()
		if closing.Swap(true) {
			t.Error("a connection was taken by a server that closes")
		}
	})
	if err != nil {
		t.Error(err)
	}
}
