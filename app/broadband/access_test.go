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

// purse answers charging's question: how much is left?
type purse struct {
	mu   sync.Mutex
	left credit.Units
}

func (p *purse) Charge(c *credit.Call) {
	p.mu.Lock()
	c.Answer.AddUnit(&c.Request.Units[0]).Grant = p.left
	p.mu.Unlock()
	c.Done(c)
}

func (p *purse) set(empty bool) {
	p.has(credit.Units{Has: credit.HasTotal, Total: plenty})
	if empty {
		p.has(credit.Units{Has: credit.HasTotal})
	}
}

func (p *purse) has(left credit.Units) {
	p.mu.Lock()
	p.left = left
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
	said := fmt.Sprintf("change %s %d/%d", session, p.Up, p.Down)
	if p.Octets > 0 || p.Seconds > 0 {
		said += fmt.Sprintf(" until %d octets, %d seconds", p.Octets, p.Seconds)
	}
	n.heard <- said
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
	b := &bench{purse: &purse{left: credit.Units{Has: credit.HasTotal, Total: plenty}}, nas: &nas{heard: make(chan string, 100)}, address: netip.MustParseAddr("100.64.0.1")}
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

// A line that ends when nothing is left has a quota at its gateway, in octets or seconds since the session began: what it used and what is
// left. It is told anew when that changes by more than what was used.
func TestTheQuotaOfALine(t *testing.T) {
	storetest.Each(t, register.Schemas, func(t *testing.T, db *store.DB) {
		b := newBench(t, db)
		b.has(t, map[string]string{"empty": "disconnect"})
		octets := func(n uint64) { b.purse.has(credit.Units{Has: credit.HasTotal, Total: n << 20}) }
		says := func(used uint64) {
			b.note(name{"bng-1", "s"}, user, "", (&verdict{level: full, profile: radius.Profile{Up: 40_000_000, Down: 100_000_000, Address: b.address}}).class(), quota{used << 20, used})
			b.settle(user)
		}
		quiet := func() {
			t.Helper()
			b.settle(user)
			select {
			case said := <-b.nas.heard:
				t.Fatalf("the gateway is told %q", said)
			default:
			}
		}
		octets(100)
		says(0)
		b.hears(t, fmt.Sprintf("%s until %d octets, 0 seconds", fastChange, 100<<20))
		octets(60)
		says(40)
		quiet()
		octets(160) // paid in
		says(50)
		b.hears(t, fmt.Sprintf("%s until %d octets, 0 seconds", fastChange, 210<<20))
		b.purse.has(credit.Units{Has: credit.HasSeconds, Seconds: 3600})
		says(60)
		b.hears(t, fmt.Sprintf("%s until %d octets, %d seconds", fastChange, plenty, 60+3600))
		b.purse.set(false) // it has a flat rate now
		says(70)
		b.hears(t, fmt.Sprintf("%s until %d octets, %d seconds", fastChange, plenty, plentySeconds))
		quiet()
		octets(0)
		says(80)
		b.hears(t, "end s")
	})
}

// What a gateway is told at the login is read back from the Class of its reports.
func TestTheQuotaAtTheLogin(t *testing.T) {
	v := verdict{level: full, profile: radius.Profile{Down: 1000, Address: netip.MustParseAddr("100.64.0.1"), Seconds: 86400}, left: &quota{octets: 5 << 30}}
	p, _ := v.since(quota{}, 86400)
	got, ours := toldIn(string(p.Class))
	if !ours || p.Octets != 5<<30 || p.Seconds != 86400 || got.quota != (quota{octets: 5 << 30}) || got.class != v.class() || got.address != "100.64.0.1" {
		t.Errorf("%+v is read back as %+v", p, got)
	}
	v.left = &quota{seconds: 7200}
	if p, _ := v.since(quota{seconds: 60}, 86400); p.Octets != 0 || p.Seconds != 7260 {
		t.Errorf("by time: %+v", p)
	}
	if p, _ := v.since(quota{seconds: 86000}, 86400); p.Seconds != 86400 {
		t.Errorf("no longer than a login lasts: %+v", p)
	}
}

// Charging lifts a session on the node that holds the account, and the gateway reported to another one: it is told at once, from here.
func TestASessionThatAnotherNodeSlowed(t *testing.T) {
	storetest.Each(t, register.Schemas, func(t *testing.T, db *store.DB) {
		b := newBench(t, db)
		way := func(class string) []byte {
			back := radius.AppendBytes([]byte{4, 127, 0, 0, 1}, radius.UserName, user)
			return radius.AppendBytes(back, radius.Class, class)
		}
		lift := func(session, class string) {
			b.Reauthorise([]byte("bng-1"), []byte(session), way(class), nil, func(o credit.Outcome) {
				if o != credit.Accepted {
					t.Errorf("charging is told %v", o)
				}
			})
		}
		began := (&verdict{level: full, profile: radius.Profile{Up: 40_000_000, Down: 100_000_000, Address: b.address}}).class() // it was slowed later
		lift("s", began)
		b.hears(t, fastChange)
		lift("not ours", "somebody else's class")
		b.purse.set(true)
		lift("s", began)
		b.hears(t, slowChange)
		b.purse.set(false)
		lift("s", began)
		b.hears(t, fastChange)
		b.has(t, map[string]string{"enabled": "false"})
		b.hears(t, "end s")
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

// A Class is what a gateway sends: whatever it is, it is ours or not, and what is ours is told again as it was.
func FuzzClass(f *testing.F) {
	f.Add("tandem1 full 100.64.0.1 abcdef012345 2s/1k")
	f.Add("tandem1 slow - abcdef012345")
	f.Add("tandem1    ")
	f.Fuzz(func(t *testing.T, class string) {
		got, ours := toldIn(class)
		if !ours && (got != told{} || elsewhere(class) != "") {
			t.Fatalf("%+v of %q", got, class)
		}
		if again, _ := toldIn(elsewhere(class)); ours && (again.level != unheard || again.address != got.address) {
			t.Fatalf("%q elsewhere: %+v", class, again)
		}
	})
}
