package radius

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"

	"tandem/kit/access"
	"tandem/kit/store"
	"tandem/kit/store/storetest"
	"tandem/oss/activation/driver"
	"tandem/oss/activation/driver/drivertest"
)

func TestConformance(t *testing.T) {
	for _, engine := range []store.Dialect{store.SQLite, store.Postgres} {
		t.Run(engine.String(), func(t *testing.T) {
			drivertest.Run(t, func(t *testing.T) drivertest.Harness { return startRegister(t, engine) })
		})
	}
}

var (
	errCut  = errors.New("the connection broke")
	errDead = errors.New("the store is down")
)

// disturbed is the register with the way to it under the suite's control.
type disturbed struct {
	mu   sync.Mutex
	to   *Register
	down bool
	rule drivertest.Rule
	seen int
}

// do runs one command under the rule.
func (d *disturbed) do(ctx context.Context, f func(r *Register) error) error {
	d.mu.Lock()
	fault := drivertest.Fault{}
	if d.rule != nil {
		d.seen++
		rule, n := d.rule, d.seen
		d.mu.Unlock()
		fault = rule(n)
		d.mu.Lock()
	}
	to, down := d.to, d.down
	d.mu.Unlock()
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case down:
		return errDead
	case fault.Action == drivertest.CutBefore:
		return errCut
	}
	err := f(to)
	switch fault.Action {
	case drivertest.CutAfter:
		return errCut
	case drivertest.LoseReply:
		<-ctx.Done()
		return ctx.Err()
	case drivertest.HoldReply:
		select {
		case <-fault.Until:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return err
}

func (d *disturbed) Find(ctx context.Context, name string) (u User, err error) {
	err = d.do(ctx, func(r *Register) error {
		u, err = r.Find(context.WithoutCancel(ctx), name)
		return err
	})
	return u, err
}

func (d *disturbed) put(ctx context.Context, u User, password *string) error {
	return d.do(ctx, func(r *Register) error { return r.put(context.WithoutCancel(ctx), u, password) })
}

func (d *disturbed) remove(ctx context.Context, name string) error {
	return d.do(ctx, func(r *Register) error { return r.remove(context.WithoutCancel(ctx), name) })
}

func (d *disturbed) each(ctx context.Context, f func(User) error) error {
	return d.do(ctx, func(r *Register) error { return r.each(ctx, f) })
}

const owner = "northwind"

func startRegister(t *testing.T, engine store.Dialect) drivertest.Harness {
	sealer, err := access.NewSealer(make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	c := storetest.Config(t, engine)
	open := func() *store.DB { return storetest.OpenConfig(t, c, Schemas...) }
	db := open()
	d := &disturbed{to: NewRegister(db, owner, sealer)}
	h := common(t, d)
	h.New = func(end driver.Endpoint) (driver.Driver, error) { return newDriver(d, end), nil }
	h.Inject = func(rule drivertest.Rule) {
		d.mu.Lock()
		d.rule, d.seen = rule, 0
		d.mu.Unlock()
	}
	h.Kill = func() {
		d.mu.Lock()
		d.down = true
		d.mu.Unlock()
		db.Close()
	}
	h.Restart = func() {
		db = open()
		d.mu.Lock()
		d.to, d.down = NewRegister(db, owner, sealer), false
		d.mu.Unlock()
	}
	return h
}

// direct is the register past the faults.
func (d *disturbed) direct() *Register {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.to
}

func common(t *testing.T, d *disturbed) drivertest.Harness {
	return drivertest.Harness{
		Resident: true,
		Full:     full,
		Changed: func(d driver.Desired) driver.Desired {
			other := full(number(d) + 5000)
			other.Key = d.Key
			other.Attributes["profile"], other.Attributes["empty"], other.Attributes["enabled"] = "closed", Disconnect, "false"
			return other
		},
		Clashing: func(d, owner driver.Desired) driver.Desired {
			d = full(number(d))
			d.Attributes["ipv4"] = owner.Attributes["ipv4"]
			return d
		},
		Invalid: wrong(),
		Holds:   func(t testing.TB, want driver.Desired) error { return holds(t, d.direct(), want) },
		Tamper: func(t testing.TB, want driver.Desired) {
			other := full(9999)
			other.Attributes["profile"], other.Attributes["empty"], other.Attributes["enabled"] = "drift", Disconnect, "false"
			password := "another password"
			u := User{Name: want.Key, Attributes: other.Attributes}
			if err := d.direct().put(t.Context(), u, &password); err != nil {
				t.Fatal(err)
			}
		},
		Vanish: func(t testing.TB, want driver.Desired) {
			if err := d.direct().remove(t.Context(), want.Key); err != nil {
				t.Fatal(err)
			}
		},
	}
}

func full(n int) driver.Desired {
	return driver.Desired{Type: driver.RADIUSUser, Key: fmt.Sprintf("line-%06d", n),
		Attributes: map[string]string{"ipv4": netip.AddrFrom4([4]byte{100, 64, byte(n >> 8), byte(n)}).String(), "profile": "open",
			"down": fmt.Sprint(100_000 + n), "up": fmt.Sprint(40_000 + n), "slowDown": fmt.Sprint(1000 + n), "slowUp": fmt.Sprint(500 + n), "empty": Throttle, "enabled": "true"},
		Secrets: map[string]driver.Secret{"password": driver.NewSecret(fmt.Sprintf("correct horse %06d", n))}}
}

func number(d driver.Desired) (n int) {
	fmt.Sscanf(strings.TrimPrefix(d.Key, "line-"), "%d", &n)
	return n
}

func wrong() (list []driver.Desired) {
	with := func(change func(*driver.Desired)) {
		d := full(1)
		change(&d)
		list = append(list, d)
	}
	with(func(d *driver.Desired) { d.Key = "" })
	with(func(d *driver.Desired) { d.Key = "two words" })
	with(func(d *driver.Desired) { d.Key = strings.Repeat("x", 65) })
	with(func(d *driver.Desired) { d.Secrets["password"] = driver.NewSecret("short") })
	for name, values := range map[string][]string{"ipv4": {"100.64.0.256", "2001:db8::1", "100.064.0.1"}, "profile": {"a b"}, "down": {"", "-1", "fast", "01"},
		"empty": {"", "nothing"}, "enabled": {"", "yes"}} {
		for _, v := range values {
			with(func(d *driver.Desired) { d.Attributes[name] = v })
		}
	}
	return slices.Clip(list)
}

// holds reads the row itself.
func holds(t testing.TB, r *Register, want driver.Desired) error {
	u, err := r.Find(t.Context(), want.Key)
	if err != nil {
		return err
	}
	for name, value := range want.Attributes {
		if u.Attributes[name] != value {
			return fmt.Errorf("%s is %q, not %q", name, u.Attributes[name], value)
		}
	}
	for _, s := range want.Secrets {
		if same, err := u.has(s.Reveal()); err != nil || !same {
			return fmt.Errorf("the password is another: %v", err)
		}
	}
	return nil
}

// A sealed password that is copied to another login's row does not open there, and none is stored in the clear.
func TestPasswordsAreSealed(t *testing.T) {
	storetest.Each(t, Schemas, func(t *testing.T, db *store.DB) {
		sealer, err := access.NewSealer(make([]byte, 32))
		if err != nil {
			t.Fatal(err)
		}
		r := NewRegister(db, owner, sealer)
		d, err := r.New(driver.Endpoint{})
		if err != nil {
			t.Fatal(err)
		}
		for n := range 2 {
			if _, err := d.Ensure(t.Context(), full(n)); err != nil {
				t.Fatal(err)
			}
		}
		u, err := r.Find(t.Context(), full(0).Key)
		if err != nil || strings.Contains(string(u.sealed), "correct") {
			t.Fatalf("in the clear, or %v", err)
		}
		err = db.Write(t.Context(), r.scope, func(tx *store.Tx) error {
			_, err := tx.Exec("UPDATE radius_user SET sealed = $3 WHERE tenant = $1 AND name = $2", full(1).Key, u.sealed)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		stolen, err := r.Find(t.Context(), full(1).Key)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := stolen.Password(); err == nil {
			t.Error("a password opens in another's row")
		}
		if _, err := d.Ensure(t.Context(), full(1)); driver.ClassOf(err) != driver.Auth {
			t.Errorf("%v, want a failure of class auth", err)
		}
	})
}
