package kea

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"tandem/edge/kea"
	"tandem/oss/activation/driver"
)

const (
	defaultPatience = 5 * time.Second // a configuration of 5,000 reservations takes one to be set
	rounds          = 6               // changes, and reads after a failure, in one Ensure
)

// Driver drives one server.
type Driver struct {
	end    driver.Endpoint
	client *kea.Client
	turns  *Turns
	under  sync.WaitGroup
	mu     sync.Mutex
	closed bool

	here chan struct{} // who of this node waits for the turn, or has it
}

var _ driver.Driver = (*Driver)(nil)

func newDriver(turns *Turns, end driver.Endpoint) (driver.Driver, error) {
	if end.Address == "" {
		return nil, invalid("The DHCP server has no address of its control agent")
	}
	end.Patience = cmp.Or(max(end.Patience, 0), defaultPatience)
	return &Driver{end: end, turns: turns, client: kea.New(end.Address, cmp.Or(max(end.Connections, 0), 4)), here: make(chan struct{}, 1)}, nil
}

// Close waits for operations under way and ends the connections.
func (d *Driver) Close() error {
	d.mu.Lock()
	d.closed = true
	d.mu.Unlock()
	d.under.Wait()
	d.client.Close()
	return nil
}

func (d *Driver) begin() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return d.fail(driver.Transient, errors.New("the driver is closed"))
	}
	d.under.Add(1)
	return nil
}

// target is a Desired that was understood.
type target struct {
	address netip.Addr
	absent  bool
	login   *string
}

// Ensure makes the reservation as desired; see the contract of the driver package.
func (d *Driver) Ensure(ctx context.Context, want driver.Desired) (driver.Observed, error) {
	t, err := parse(want)
	if err != nil {
		return driver.Observed{}, err
	}
	if err := d.begin(); err != nil {
		return driver.Observed{}, err
	}
	defer d.under.Done()
	select {
	case d.here <- struct{}{}:
		defer func() { <-d.here }()
	case <-ctx.Done():
		return driver.Observed{}, d.notOurTurn(ctx.Err())
	}
	mine, now, err := d.turns.take(ctx, d.end.Address)
	if err != nil {
		return driver.Observed{}, d.notOurTurn(err)
	}
	defer now.end(ctx)
	return d.make(mine, now, want.Key, t)
}

// notOurTurn reports a server that was not asked.
func (d *Driver) notOurTurn(err error) error {
	return &driver.Error{Class: driver.Transient, Reason: "The DHCP server behind " + d.end.Address + " is being changed; it is not yet this node's turn", Unsent: true, Err: err}
}

// make changes the configuration until it is read to be as desired, and is on the server's disk.
func (d *Driver) make(ctx context.Context, now *turn, key string, t target) (driver.Observed, error) {
	var failed error
	unsure := false // a change was sent that has not been read, or is not known to be on the disk
	for range rounds {
		c, err := d.read(ctx)
		if err != nil {
			if failed = err; ctx.Err() != nil || errors.Is(err, errUnreadable) {
				break
			}
			continue
		}
		unsure = false
		have, err := d.find(&c, t)
		switch {
		case err != nil:
			return driver.Observed{}, err
		case t.met(have) && now.written:
			return observed(key, have), nil
		}
		unsure = true
		if t.met(have) { // by a change that is not known to be on the disk: ours, or of a node that died
			failed = d.write(ctx, now)
			continue
		}
		if failed = d.change(ctx, now, &c, t); failed == nil {
			continue
		}
		var no *kea.Refused
		if errors.As(failed, &no) && no.Result == 1 && no.Command == "config-set" {
			unsure = false
		}
	}
	if unsure {
		return driver.Observed{}, d.fail(driver.Unknown, failed)
	}
	return driver.Observed{}, d.fail(driver.Transient, failed)
}

// errUnreadable says that the server answers something that is no configuration.
var errUnreadable = errors.New("the configuration cannot be read")

func (d *Driver) read(ctx context.Context) (c configuration, err error) {
	ctx, cancel := context.WithTimeout(ctx, d.end.Patience)
	defer cancel()
	text, err := d.client.Do(ctx, "config-get", nil)
	if err != nil {
		return c, err
	}
	if c, err = parseConfiguration(text); err != nil {
		err = fmt.Errorf("%w: %w", errUnreadable, err)
	}
	return c, err
}

// change sets the configuration with the reservation as it shall be, and has the server keep it over a restart.
func (d *Driver) change(ctx context.Context, now *turn, c *configuration, t target) error {
	login := ""
	if !t.absent {
		login = *t.login
	}
	doc, err := c.with(c.subnetOf(t.address), t.address.String(), login)
	if err != nil {
		return err
	}
	now.written = false // the server may do it without an answer
	if err := d.do(ctx, "config-set", doc); err != nil {
		return err
	}
	return d.write(ctx, now)
}

// write has the server keep what it has in memory over a restart.
func (d *Driver) write(ctx context.Context, now *turn) error {
	err := d.do(ctx, "config-write", nil)
	now.written = err == nil
	return err
}

// do has the server do a command whose answer says no more than that.
func (d *Driver) do(ctx context.Context, command string, arguments any) error {
	ctx, cancel := context.WithTimeout(ctx, d.end.Patience)
	defer cancel()
	_, err := d.client.Do(ctx, command, arguments)
	return err
}

// subnetOf is the subnet an address belongs to, -1 if there is none.
func (c *configuration) subnetOf(a netip.Addr) int {
	return slices.IndexFunc(c.prefix, func(p netip.Prefix) bool { return p.Contains(a) })
}

// find is the reservation of the target's address, nil if there is none; an error says that the target contradicts what there is.
func (d *Driver) find(c *configuration, t target) (have *reservation, err error) {
	all, err := c.all()
	if err != nil {
		return nil, d.fail(driver.Transient, fmt.Errorf("%w: %w", errUnreadable, err))
	}
	for i := range all {
		r := &all[i]
		switch {
		case r.address == t.address.String() && r.login == "":
			return nil, conflict("The address %s is reserved at the DHCP server for a client that is no line", t.address)
		case r.address == t.address.String():
			have = r
		case !t.absent && t.login != nil && r.login == *t.login:
			return nil, conflict("The DHCP server keeps another address, %s, for %s", r.address, r.login)
		}
	}
	switch {
	case t.absent || have != nil:
		return have, nil
	case c.subnetOf(t.address) < 0:
		return nil, conflict("The DHCP server has no subnet with the address %s", t.address)
	case t.login == nil:
		return nil, conflict("The address %s is not reserved, and cannot be without the login it is for", t.address)
	}
	return nil, nil
}

func (t target) met(have *reservation) bool {
	if t.absent || have == nil {
		return t.absent && have == nil
	}
	return t.login == nil || *t.login == have.login
}

// Observe reads one reservation.
func (d *Driver) Observe(ctx context.Context, typ, key string) (driver.Observed, error) {
	if _, err := parse(driver.Desired{Type: typ, Key: key}); err != nil {
		return driver.Observed{}, err
	}
	all, err := d.list(ctx)
	if err != nil {
		return driver.Observed{}, err
	}
	for i := range all {
		if all[i].address == key && all[i].login != "" {
			return observed(key, &all[i]), nil
		}
	}
	return observed(key, nil), nil
}

// List hands all reservations of lines to each.
func (d *Driver) List(ctx context.Context, typ string, each func(driver.Observed) error) error {
	if typ != driver.DHCPReservation {
		return unknownType(typ)
	}
	all, err := d.list(ctx)
	if err != nil {
		return err
	}
	for i := range all {
		if all[i].login == "" {
			continue
		}
		if err := each(observed(all[i].address, &all[i])); err != nil {
			return err
		}
	}
	return nil
}

// list reads all reservations; a connection that died while it was idle shows only now, so it asks twice.
func (d *Driver) list(ctx context.Context) ([]reservation, error) {
	if err := d.begin(); err != nil {
		return nil, err
	}
	defer d.under.Done()
	c, err := d.read(ctx)
	if err != nil && ctx.Err() == nil {
		c, err = d.read(ctx)
	}
	if err == nil {
		var all []reservation
		if all, err = c.all(); err == nil {
			return all, nil
		}
	}
	return nil, d.fail(driver.Transient, err)
}

func observed(key string, have *reservation) driver.Observed {
	o := driver.Observed{Type: driver.DHCPReservation, Key: key, Present: have != nil}
	if have != nil {
		o.Attributes = map[string]string{"login": have.login}
	}
	return o
}

// parse checks a Desired.
func parse(d driver.Desired) (t target, err error) {
	if d.Type != driver.DHCPReservation {
		return t, unknownType(d.Type)
	}
	if t.address, err = netip.ParseAddr(d.Key); err != nil || !t.address.Is4() || t.address.String() != d.Key {
		return t, invalid("%q is not an IPv4 address", d.Key)
	}
	if t.absent = d.Absent; t.absent {
		return t, nil
	}
	for _, name := range slices.Sorted(maps.Keys(d.Attributes)) {
		value := d.Attributes[name]
		switch {
		case name != "login":
			return t, invalid("A reservation has no attribute %q", name)
		case !isLogin(value):
			return t, invalid("%q is not a login: it has 1 to 64 printable characters and no blank", value)
		}
		t.login = &value
	}
	if len(d.Secrets) > 0 {
		return t, invalid("A reservation has no secrets")
	}
	return t, nil
}

func unknownType(typ string) error {
	return invalid("A DHCP server has no %q, only %s", typ, driver.DHCPReservation)
}

func invalid(reason string, args ...any) error {
	return &driver.Error{Class: driver.Validation, Reason: fmt.Sprintf(reason, args...)}
}

func conflict(reason string, args ...any) error {
	return &driver.Error{Class: driver.Conflict, Reason: fmt.Sprintf(reason, args...)}
}

// fail reports a server that could not be spoken to.
func (d *Driver) fail(c driver.Class, err error) error {
	reason := "The DHCP server behind %s cannot be reached"
	var no *kea.Refused
	switch {
	case errors.As(err, &no) && no.Command == "config-write":
		c, reason = driver.Transient, "The DHCP server behind %s has the change, but cannot write it to its disk"
	case c == driver.Unknown:
		reason = "The DHCP server behind %s did not say whether it did the change"
	}
	if err == nil {
		err = errors.New("it does not become what it shall be")
	}
	return &driver.Error{Class: c, Reason: fmt.Sprintf(reason, d.end.Address), Err: err}
}
