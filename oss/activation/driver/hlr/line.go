package hlr

import (
	"context"
	"errors"
	"fmt"
	"time"

	"tandem/edge/hlr"
	"tandem/oss/activation/driver"
)

// errTransport marks what went wrong between us and the element, as opposed to what the element refused.
var errTransport = errors.New("no usable answer")

// errDial marks that there is no connection: the element is not there now, and asking at once again is useless.
var errDial = errors.New("no connection")

// line is a connection to the control interface that is made when it is needed. One operation uses it at a time.
type line struct {
	end      driver.Endpoint
	client   *hlr.Client
	timeouts int // in a row
}

// do sends the commands. A failure wraps errTransport; the replies then tell how far each command came.
func (l *line) do(ctx context.Context, cmds []hlr.Command) ([]hlr.Reply, error) {
	ctx, cancel := exchange(ctx, l.end.Patience)
	defer cancel()
	if l.client == nil {
		c, err := hlr.Dial(ctx, l.end.Address)
		if err != nil {
			return nil, fmt.Errorf("%w, %w: %w", errTransport, errDial, err)
		}
		l.client, l.timeouts = c, 0
	}
	replies, err := l.client.Do(ctx, cmds...)
	switch {
	case err == nil:
		l.timeouts = 0
		return replies, nil
	case errors.Is(err, hlr.InvalidValue):
		return replies, &driver.Error{Class: driver.Validation, Reason: "The register cannot be told this", Err: err}
	case !errors.Is(err, hlr.Timeout):
		l.drop()
	case l.timeouts > 0:
		l.drop() // the element does not even answer a question: perhaps it was replaced, and only a new connection would show it
	default:
		l.timeouts++
	}
	return replies, fmt.Errorf("%w: %w", errTransport, err)
}

func (l *line) drop() {
	if l.client != nil {
		l.client.Close()
		l.client = nil
	}
}

// exchange limits one exchange to patience, and to half of the time that is left, so that the outcome can still be read back.
func exchange(ctx context.Context, patience time.Duration) (context.Context, context.CancelFunc) {
	if deadline, ok := ctx.Deadline(); ok {
		patience = min(patience, max(time.Until(deadline)/2, 50*time.Millisecond))
	}
	return context.WithTimeout(ctx, patience)
}

// vtyLine is the same for the command line.
type vtyLine struct {
	end driver.Endpoint
	vty *hlr.VTY
}

// setAccess changes the domains of a subscriber and lets the register tell the nodes that serve the phone.
func (l *vtyLine) setAccess(ctx context.Context, imsi string, a hlr.Access) (err error) {
	ctx, cancel := exchange(ctx, l.end.Patience)
	defer cancel()
	for range 2 {
		if l.vty == nil {
			if l.vty, err = hlr.DialVTY(ctx, l.end.VTY); err != nil {
				return err
			}
		}
		err = l.vty.SetAccess(ctx, imsi, a)
		if err == nil || errors.Is(err, hlr.NoSubscriber) || errors.Is(err, hlr.Refused) {
			return err
		}
		l.drop()
		if !errors.Is(err, hlr.NotSent) && !errors.Is(err, hlr.Lost) {
			return err
		}
		// The connection died while it was idle, or with this command. To set the same again is safe: if it was done, nothing changes.
	}
	return err
}

func (l *vtyLine) drop() {
	if l.vty != nil {
		l.vty.Close()
		l.vty = nil
	}
}
