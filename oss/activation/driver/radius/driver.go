package radius

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"tandem/kit/store"
	"tandem/oss/activation/driver"
)

// Element is the type of the element.
const Element = "tandem-aaa"

const (
	defaultPatience = 3 * time.Second
	rounds          = 6 // changes, and reads after a failure, in one Ensure
)

// logins is what the driver needs of the register; a test disturbs it.
type logins interface {
	Find(ctx context.Context, name string) (User, error)
	put(ctx context.Context, u User, password *string) error
	remove(ctx context.Context, name string) error
	each(ctx context.Context, f func(User) error) error
}

// Driver provisions the register.
type Driver struct {
	patience time.Duration
	logins   logins
	under    sync.WaitGroup
	mu       sync.Mutex
	closed   bool
}

var _ driver.Driver = (*Driver)(nil)

// New makes drivers of the register. The address of the element is where gateways log users in; the driver does not use it.
func (r *Register) New(end driver.Endpoint) (driver.Driver, error) { return newDriver(r, end), nil }

func newDriver(l logins, end driver.Endpoint) *Driver {
	return &Driver{patience: cmp.Or(max(end.Patience, 0), defaultPatience), logins: l}
}

// Close waits for operations under way.
func (d *Driver) Close() error {
	d.mu.Lock()
	d.closed = true
	d.mu.Unlock()
	d.under.Wait()
	return nil
}

// begin admits an operation; end it with under.Done.
func (d *Driver) begin() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return fail(driver.Transient, errors.New("the driver is closed"))
	}
	d.under.Add(1)
	return nil
}

// target is a Desired that was understood.
type target struct {
	name       string
	absent     bool
	attributes map[string]string
	password   *string
}

// Ensure makes the login as desired; see the contract of the driver package.
func (d *Driver) Ensure(ctx context.Context, want driver.Desired) (driver.Observed, error) {
	t, err := parse(want)
	if err != nil {
		return driver.Observed{}, err
	}
	if err := d.begin(); err != nil {
		return driver.Observed{}, err
	}
	defer d.under.Done()
	var failed error // of the last write or read
	unsure := false  // a write was begun, and the register has not been read since
	for range rounds {
		u, present, err := d.read(ctx, t.name)
		if err != nil {
			if failed = err; ctx.Err() != nil {
				break
			}
			continue
		}
		unsure = false
		same, err := t.met(u, present)
		switch {
		case err != nil:
			return driver.Observed{}, err
		case same:
			return observed(t.name, u, present), nil
		}
		if !t.absent && !present && t.password == nil {
			return driver.Observed{}, &driver.Error{Class: driver.Conflict, Reason: "The login " + t.name + " is not in the register, and cannot be made there without its password"}
		}
		unsure = true
		failed = d.write(ctx, t, u)
		if errors.Is(failed, errTaken) {
			return driver.Observed{}, &driver.Error{Class: driver.Conflict, Reason: "The address " + t.attributes["ipv4"] + " belongs to another login", Err: failed}
		}
	}
	if unsure {
		return driver.Observed{}, fail(driver.Unknown, failed)
	}
	return driver.Observed{}, fail(driver.Transient, failed)
}

// read is one look at the register.
func (d *Driver) read(ctx context.Context, name string) (u User, present bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, d.patience)
	defer cancel()
	u, err = d.logins.Find(ctx, name)
	if errors.Is(err, store.ErrNotFound) {
		return User{}, false, nil
	}
	return u, err == nil, err
}

// write makes the login what the target says, beside what it has.
func (d *Driver) write(ctx context.Context, t target, u User) error {
	ctx, cancel := context.WithTimeout(ctx, d.patience)
	defer cancel()
	if t.absent {
		return d.logins.remove(ctx, t.name)
	}
	u.Name = t.name
	return d.logins.put(ctx, u.with(t.attributes), t.password)
}

// Observe reads one login.
func (d *Driver) Observe(ctx context.Context, typ, key string) (driver.Observed, error) {
	t, err := parse(driver.Desired{Type: typ, Key: key})
	if err != nil {
		return driver.Observed{}, err
	}
	if err := d.begin(); err != nil {
		return driver.Observed{}, err
	}
	defer d.under.Done()
	u, present, err := d.read(ctx, t.name)
	if err != nil {
		return driver.Observed{}, fail(driver.Transient, err)
	}
	return observed(key, u, present), nil
}

// List hands all logins to each, by name.
func (d *Driver) List(ctx context.Context, typ string, each func(driver.Observed) error) error {
	if typ != driver.RADIUSUser {
		return unknownType(typ)
	}
	if err := d.begin(); err != nil {
		return err
	}
	defer d.under.Done()
	err := d.logins.each(ctx, func(u User) error { return each(observed(u.Name, u, true)) })
	var own errEach
	switch {
	case errors.As(err, &own):
		return own.error
	case err != nil:
		return fail(driver.Transient, err)
	}
	return nil
}

func observed(name string, u User, present bool) driver.Observed {
	return driver.Observed{Type: driver.RADIUSUser, Key: name, Present: present, Attributes: maps.Clone(u.Attributes)}
}

// met tells whether nothing is left to do.
func (t target) met(u User, present bool) (bool, error) {
	if t.absent || !present {
		return t.absent && !present, nil
	}
	for name, value := range t.attributes {
		if u.Attributes[name] != value {
			return false, nil
		}
	}
	if t.password == nil {
		return true, nil
	}
	same, err := u.has(*t.password)
	if err != nil {
		return false, &driver.Error{Class: driver.Auth, Reason: "The password of " + t.name + " in the register does not open: this node has another key", Err: err}
	}
	return same, nil
}

// parse checks a Desired. Errors never repeat a secret.
func parse(d driver.Desired) (t target, err error) {
	if d.Type != driver.RADIUSUser {
		return t, unknownType(d.Type)
	}
	if !isName(d.Key, 64) {
		return t, invalid("%q is not a user name: it has 1 to 64 printable characters and no blank", d.Key)
	}
	t = target{name: d.Key, absent: d.Absent, attributes: d.Attributes}
	if d.Absent {
		return t, nil
	}
	for _, name := range slices.Sorted(maps.Keys(d.Attributes)) {
		if err := checkAttribute(name, d.Attributes[name]); err != nil {
			return t, err
		}
	}
	for name, s := range d.Secrets {
		text := s.Reveal()
		switch {
		case name != "password":
			return t, invalid("A login has no secret %q", name)
		case len(text) < 8 || len(text) > 128: // RFC 2865 5.2
			return t, invalid("A password has 8 to 128 octets")
		}
		t.password = &text
	}
	return t, nil
}

func checkAttribute(name, value string) error {
	switch name {
	case "ipv4":
		if a, err := netip.ParseAddr(value); value != "" && (err != nil || !a.Is4() || a.String() != value) {
			return invalid("%q is not an IPv4 address", value)
		}
	case "profile":
		if value != "" && !isName(value, 64) {
			return invalid("The profile is the name of a filter, not %q", value)
		}
	case "down", "up", "slowDown", "slowUp":
		if n, err := strconv.ParseUint(value, 10, 32); err != nil || strconv.FormatUint(n, 10) != value {
			return invalid("%s is a number of kbit/s, not %q", name, value)
		}
	case "empty":
		if value != Throttle && value != Disconnect {
			return invalid("What happens when nothing is left is %s or %s, not %q", Throttle, Disconnect, value)
		}
	case "enabled":
		if value != "true" && value != "false" {
			return invalid("enabled is true or false, not %q", value)
		}
	default:
		return invalid("A login has no attribute %q", name)
	}
	return nil
}

// What happens to a login with nothing left to use.
const (
	Throttle   = "throttle"
	Disconnect = "disconnect"
)

func isName(s string, most int) bool {
	return s != "" && len(s) <= most && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })
}

func unknownType(typ string) error {
	return invalid("The access server has no %q, only %s", typ, driver.RADIUSUser)
}

func invalid(reason string, args ...any) error {
	return &driver.Error{Class: driver.Validation, Reason: fmt.Sprintf(reason, args...)}
}

// fail reports a register that could not be read or written.
func fail(c driver.Class, err error) error {
	reason := "The register of logins cannot be reached"
	if c == driver.Unknown {
		reason = "The register of logins did not say whether it did the change"
	}
	if err == nil {
		err = errors.New("it does not become what it shall be")
	}
	return &driver.Error{Class: c, Reason: reason, Err: err}
}
