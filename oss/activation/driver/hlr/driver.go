package hlr

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"tandem/edge/hlr"
	"tandem/oss/activation/driver"
)

const (
	defaultConnections = 4
	defaultPatience    = 3 * time.Second
	rounds             = 6 // changes, and reads after a failure, in one Ensure
)

// Driver drives one register.
type Driver struct {
	end    driver.Endpoint
	lines  chan *line    // those that nobody uses
	bar    chan *vtyLine // the one for barring, unless in use
	closed chan struct{}
	close  func()
}

var _ driver.Driver = (*Driver)(nil)

// New makes a driver; it connects when it is first used.
func New(end driver.Endpoint) (driver.Driver, error) {
	if end.Address == "" {
		return nil, &driver.Error{Class: driver.Validation, Reason: "The register has no address"}
	}
	end.Connections = cmp.Or(max(end.Connections, 0), defaultConnections)
	end.Patience = cmp.Or(max(end.Patience, 0), defaultPatience)
	d := &Driver{end: end, lines: make(chan *line, end.Connections), bar: make(chan *vtyLine, 1), closed: make(chan struct{})}
	for range end.Connections {
		d.lines <- &line{end: end}
	}
	d.bar <- &vtyLine{end: end}
	d.close = sync.OnceFunc(d.shut)
	return d, nil
}

// Close waits for operations under way and ends the connections.
func (d *Driver) Close() error {
	d.close()
	return nil
}

func (d *Driver) shut() {
	close(d.closed)
	for range d.end.Connections {
		(<-d.lines).drop()
	}
	(<-d.bar).drop()
}

// take waits for a line that nobody uses.
func (d *Driver) take(ctx context.Context) (l *line, release func(), err error) {
	select {
	case <-d.closed:
		return nil, nil, d.fail(driver.Transient, errors.New("the driver is closed"))
	default:
	}
	select {
	case l = <-d.lines:
		return l, func() { d.lines <- l }, nil
	case <-d.closed:
		return nil, nil, d.fail(driver.Transient, errors.New("the driver is closed"))
	case <-ctx.Done():
		return nil, nil, d.fail(driver.Transient, ctx.Err())
	}
}

// Ensure makes the subscriber as desired; see the contract of the driver package.
func (d *Driver) Ensure(ctx context.Context, want driver.Desired) (driver.Observed, error) {
	t, err := parse(want)
	if err != nil {
		return driver.Observed{}, err
	}
	l, release, err := d.take(ctx)
	if err != nil {
		return driver.Observed{}, err
	}
	defer release()
	s, err := d.ensure(ctx, l, t)
	if err != nil {
		return driver.Observed{}, err
	}
	return s.observed(t.imsi), nil
}

// ensure reads, changes what differs and reads back, until nothing differs.
func (d *Driver) ensure(ctx context.Context, l *line, t target) (state, error) {
	r := run{d: d, l: l, t: t}
	s, err := r.read(ctx)
	for range rounds {
		switch {
		case err == nil && t.meets(s):
			return s, nil
		case err == nil:
			if err := t.conflict(s); err != nil {
				return state{}, err
			}
			s, err = r.change(ctx, s)
		case errors.Is(err, errTransport) && !errors.Is(err, errDial) && ctx.Err() == nil:
			r.failed = err
			s, err = r.read(ctx)
		default:
			return state{}, r.verdict(err)
		}
	}
	if err == nil && t.meets(s) {
		return s, nil
	}
	return state{}, r.verdict(err)
}

// Observe reads one subscriber.
func (d *Driver) Observe(ctx context.Context, typ, key string) (driver.Observed, error) {
	t, err := parse(driver.Desired{Type: typ, Key: key})
	if err != nil {
		return driver.Observed{}, err
	}
	l, release, err := d.take(ctx)
	if err != nil {
		return driver.Observed{}, err
	}
	defer release()
	r := run{d: d, l: l, t: t}
	s, err := r.read(ctx)
	if errors.Is(err, errTransport) && !errors.Is(err, errDial) && ctx.Err() == nil {
		s, err = r.read(ctx) // a connection that died while it was idle shows only now
	}
	if err != nil {
		return driver.Observed{}, r.verdict(err)
	}
	return s.observed(key), nil
}

// List reads the table of all subscribers over the command line, on a connection of its own.
func (d *Driver) List(ctx context.Context, typ string, each func(driver.Observed) error) error {
	switch {
	case typ != driver.HLRSubscriber:
		return unknownType(typ)
	case d.end.VTY == "":
		return &driver.Error{Class: driver.Validation, Reason: "The register lists its subscribers on its command line only, and no address is configured for that"}
	}
	dialing, cancel := context.WithTimeout(ctx, d.end.Patience)
	v, err := hlr.DialVTY(dialing, d.end.VTY)
	cancel()
	if err != nil {
		return d.vtyFailure(err)
	}
	defer v.Close()
	for s, err := range v.Subscribers(ctx) {
		if err != nil {
			return d.fail(driver.Transient, err)
		}
		if err := each(state{present: true, sub: s}.observed(s.IMSI)); err != nil {
			return err
		}
	}
	return nil
}

// fail reports an element that could not be spoken to.
func (d *Driver) fail(c driver.Class, err error) error {
	reason := "The register at %s cannot be reached"
	if c == driver.Unknown {
		reason = "The register at %s did not say whether it did the change"
	}
	return &driver.Error{Class: c, Reason: fmt.Sprintf(reason, d.end.Address), Err: err}
}

// vtyFailure classifies a failure of the command line: a refused "enable" is a question of rights.
func (d *Driver) vtyFailure(err error) error {
	if errors.Is(err, hlr.Refused) {
		return &driver.Error{Class: driver.Auth, Reason: "The command line of the register at " + d.end.VTY + " does not let us in", Err: err}
	}
	return d.fail(driver.Transient, err)
}
