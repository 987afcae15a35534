package broadband

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"tandem/edge/credit"
	"tandem/edge/radius"
	"tandem/kit/access"
	"tandem/kit/store"
	"tandem/kit/store/storetest"
	"tandem/oss/activation/driver"
	register "tandem/oss/activation/driver/radius"
)

// purse answers charging's question: is there something left?
type purse struct {
	mu    sync.Mutex
	empty bool
}

func (p *purse) Charge(c *credit.Call) {
	p.mu.Lock()
	c.Answer.NotEnough = p.empty
	p.mu.Unlock()
	c.Done(c)
}

func (p *purse) set(empty bool) {
	p.mu.Lock()
	p.empty = empty
	p.mu.Unlock()
}

// nas is a gateway that answers as it is told to.
type nas struct {
	heard   chan string
	mu      sync.Mutex
	changes credit.Outcome
	ends    []credit.Outcome // one after the other; then accepted
}

func (n *nas) Change(session, _ []byte, p *radius.Profile, done func(radius.Told)) {
	n.mu.Lock()
	o := n.changes
	n.mu.Unlock()
	n.heard <- fmt.Sprintf("change %s %d/%d", session, p.Up, p.Down)
	done(radius.Told{Outcome: o})
}

func (n *nas) Disconnect(session, _ []byte, done func(radius.Told)) {
	n.mu.Lock()
	o := credit.Accepted
	if len(n.ends) > 0 {
		o, n.ends = n.ends[0], n.ends[1:]
	}
	n.mu.Unlock()
	n.heard <- fmt.Sprintf("end %s", session)
	done(radius.Told{Outcome: o})
}

// hears waits for what the gateway is told next.
func (n *nas) hears(t *testing.T, want string) {
	t.Helper()
	select {
	case got := <-n.heard:
		if got != want {
			t.Fatalf("the gateway is told %q, want %q", got, want)
		}
	case <-time.After(20 * time.Second):
		t.Fatalf("the gateway is not told %q", want)
	}
}

type bench struct {
	*Access
	*purse
	*nas
	lines driver.Driver
}

const user = "line-1"

func newBench(t *testing.T, db *store.DB) *bench {
	sealer, err := access.NewSealer(make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	r := register.NewRegister(db, "northwind", sealer)
	b := &bench{purse: &purse{}, nas: &nas{heard: make(chan string, 100)}}
	if b.lines, err = r.New(driver.Endpoint{}); err != nil {
		t.Fatal(err)
	}
	b.Access = New(Config{Register: r, Charger: b.purse})
	r.Changed = b.Look
	b.has(t, map[string]string{"ipv4": "100.64.0.1", "down": "100000", "up": "40000", "slowDown": "1000", "slowUp": "500", "empty": "throttle", "enabled": "true"})
	b.Start(b.nas)
	t.Cleanup(b.Access.Close)
	return b
}

func (b *bench) has(t *testing.T, attributes map[string]string) {
	t.Helper()
	d := driver.Desired{Type: driver.RADIUSUser, Key: user, Attributes: attributes, Secrets: map[string]driver.Secret{"password": driver.NewSecret("a password")}}
	if _, err := b.lines.Ensure(context.Background(), d); err != nil {
		t.Fatal(err)
	}
}

// report is one of a session that was let in at a level.
func (b *bench) report(kind credit.Kind, level string) {
	down, up := uint64(100_000_000), uint64(40_000_000)
	if level == slow {
		down, up = 1_000_000, 500_000
	}
	v := verdict{level: level, profile: radius.Profile{Up: up, Down: down, Address: netip.MustParseAddr("100.64.0.1")}}
	b.Reported(&credit.Call{Request: credit.Request{Kind: kind, Peer: []byte("bng-1"), Session: []byte("s"), Return: []byte{4, 127, 0, 0, 1}, Class: []byte(v.class()),
		Subscribers: []credit.Subscriber{{Type: credit.Private, ID: []byte(user)}}}})
}

const (
	fastChange = "change s 40000000/100000000"
	slowChange = "change s 500000/1000000"
)

func TestASessionIsWhatItShouldBe(t *testing.T) {
	storetest.Each(t, register.Schemas, func(t *testing.T, db *store.DB) {
		t.Run("slowed and lifted without a word of the gateway", func(t *testing.T) {
			b := newBench(t, db)
			b.purse.set(true)
			b.report(credit.Update, full)
			b.hears(t, slowChange)
			b.purse.set(false)
			b.hears(t, fastChange)
		})
		t.Run("a gateway that cannot change it ends what must be slowed", func(t *testing.T) {
			b := newBench(t, db)
			b.nas.changes = credit.Refused
			b.purse.set(true)
			b.report(credit.Update, full)
			b.hears(t, slowChange)
			b.hears(t, "end s")
			b.Access.Close() // what is under way has ended
			if n := b.Sessions(); n != 0 {
				t.Errorf("%d sessions", n)
			}
		})
		t.Run("and leaves what could be faster", func(t *testing.T) {
			b := newBench(t, db)
			b.nas.changes = credit.Refused
			b.report(credit.Update, slow)
			b.hears(t, fastChange)
			b.has(t, map[string]string{"enabled": "false"})
			b.hears(t, "end s") // nothing was told in between
		})
		t.Run("an end that is not answered is told again", func(t *testing.T) {
			b := newBench(t, db)
			b.nas.ends = []credit.Outcome{credit.NoAnswer, credit.Refused}
			b.report(credit.Initial, full)
			b.has(t, map[string]string{"enabled": "false"})
			for range 3 {
				b.hears(t, "end s")
			}
		})
		t.Run("another address ends it", func(t *testing.T) {
			b := newBench(t, db)
			b.report(credit.Initial, full)
			b.has(t, map[string]string{"ipv4": "100.64.0.2"})
			b.hears(t, "end s")
		})
	})
}

func TestPasswords(t *testing.T) {
	one, two := password([]byte("key"), "a"), password([]byte("key"), "b")
	if one == two || one != password([]byte("key"), "a") || one == password([]byte("other"), "a") || len(one) != 16 || strings.ContainsAny(one, "lo01=") {
		t.Errorf("%q, %q", one, two)
	}
}
