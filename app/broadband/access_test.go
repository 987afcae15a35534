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
	ends    []credit.Outcome    // one after the other; then accepted
	silent  []func(radius.Told) // what was not answered, of sessions whose name says so
	loud    bool
}

// mute begins the name of a session whose gateway does not answer until it speaks.
const mute = "mute-"

// keepsSilent says that a session is of a gateway that answers later.
func (n *nas) keepsSilent(session []byte, done func(radius.Told)) bool {
	if !strings.HasPrefix(string(session), mute) {
		return false
	}
	n.mu.Lock()
	loud := n.loud
	if !loud {
		n.silent = append(n.silent, done)
	}
	n.mu.Unlock()
	if loud {
		done(radius.Told{Outcome: credit.Accepted})
	}
	return true
}

// speaks answers all that was not answered, and from now on at once.
func (n *nas) speaks() {
	n.mu.Lock()
	list := n.silent
	n.silent, n.loud = nil, true
	n.mu.Unlock()
	for _, done := range list {
		done(radius.Told{Outcome: credit.Accepted})
	}
}

func (n *nas) Change(session, _ []byte, p *radius.Profile, done func(radius.Told)) {
	n.mu.Lock()
	o := n.changes
	n.mu.Unlock()
	n.heard <- fmt.Sprintf("change %s %d/%d", session, p.Up, p.Down)
	done(radius.Told{Outcome: o})
}

func (n *nas) Disconnect(session, _ []byte, done func(radius.Told)) {
	if n.keepsSilent(session, done) {
		return
	}
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
	lines   driver.Driver
	address netip.Addr // of the line
}

const user = "line-1"

func newBench(t *testing.T, db *store.DB) *bench {
	sealer, err := access.NewSealer(make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	r := register.NewRegister(db, "northwind", sealer)
	b := &bench{purse: &purse{}, nas: &nas{heard: make(chan string, 100)}, address: netip.MustParseAddr("100.64.0.1")}
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
	v := verdict{level: level, profile: radius.Profile{Up: up, Down: down, Address: b.address}}
	b.session(kind, "bng-1", "s", user, v.class())
}

func (b *bench) session(kind credit.Kind, gateway, id, user, class string) {
	b.Reported(&credit.Call{Request: credit.Request{Kind: kind, Peer: []byte(gateway), Session: []byte(id), Return: []byte{4, 127, 0, 0, 1}, Class: []byte(class),
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

func TestALineWithoutAnAddressOfItsOwn(t *testing.T) {
	storetest.Each(t, register.Schemas, func(t *testing.T, db *store.DB) {
		b := newBench(t, db)
		b.has(t, map[string]string{"ipv4": ""})
		b.address = netip.Addr{}
		b.purse.set(true)
		b.report(credit.Update, full)
		b.hears(t, slowChange)
		b.has(t, map[string]string{"ipv4": "100.64.0.2"})
		b.hears(t, "end s")
	})
}

// Who is slowed is looked at less and less while nothing changes, and at once when charging says that there is more.
func TestWaitsOfWhoIsSlowed(t *testing.T) {
	storetest.Each(t, register.Schemas, func(t *testing.T, db *store.DB) {
		b := newBench(t, db)
		b.purse.set(true)
		b.report(credit.Update, full)
		b.hears(t, slowChange)
		for range 10 {
			b.watch(user, true, false) // as after a look that has changed nothing
		}
		b.Access.mu.Lock()
		wait, due := b.watched[user].wait, time.Until(b.watched[user].due)
		b.Access.mu.Unlock()
		if wait != longestSlow || due < longestSlow/2 {
			t.Errorf("after many looks the next is in %v, and %v were waited for", due, wait)
		}
		b.purse.set(false)
		since := time.Now()
		b.Reauthorise([]byte("bng-1"), []byte("s"), append([]byte{4, 127, 0, 0, 1, 1, byte(2 + len(user))}, user...), nil, func(o credit.Outcome) {
			if o != credit.Accepted {
				t.Errorf("charging is told %v", o)
			}
		})
		b.hears(t, fastChange)
		if took := time.Since(since); took > longestSlow/3 {
			t.Errorf("it is lifted after %v", took)
		}
	})
}

// A gateway that is silent keeps nobody of another waiting, however many of its own wait.
func TestASilentGatewayHasItsOwnPlaces(t *testing.T) {
	storetest.Each(t, register.Schemas, func(t *testing.T, db *store.DB) {
		b := newBench(t, db)
		defer b.speaks()
		for i := range 2 * mostAtOnce { // none of them is in the register: they are to end
			b.session(credit.Update, "bng-silent", fmt.Sprint(mute, i), fmt.Sprint("gone-", i), mark+" "+full+" - 0")
		}
		b.purse.set(true)
		b.report(credit.Update, full)
		b.hears(t, slowChange)
	})
}

func TestPasswords(t *testing.T) {
	one := password([]byte("key"), "a", "line/1")
	for _, other := range []string{password([]byte("key"), "b", "line/1"), password([]byte("other"), "a", "line/1"), password([]byte("key"), "a", "line/2"), password([]byte("key"), "a", "next/1")} {
		if other == one {
			t.Errorf("%q again", one)
		}
	}
	if one != password([]byte("key"), "a", "line/1") || len(one) != 16 || strings.ContainsAny(one, "lo01=") {
		t.Errorf("%q", one)
	}
}
