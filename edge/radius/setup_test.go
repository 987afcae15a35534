package radius_test

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"tandem/edge/credit"
	"tandem/edge/radius"
)

const secret = "a secret of sixteen octets"

// ledger is a small charger: it charges what the totals of a session grew by, once for each digest, and says so when that is on the
// disk. It commits in groups.
type ledger struct {
	mu      sync.Mutex
	waiting []*credit.Call
	wake    chan struct{}
	quit    chan struct{}
	work    sync.WaitGroup
	file    *os.File
	refuse  credit.Result // what everything is answered with; Success: it is charged

	seen     map[uint64]bool
	sessions map[string]credit.Used // the totals so far, by gateway and session
	open     map[string]bool
	octets   uint64 // charged
	calls    int
	last     credit.Request // a copy of the newest, for what tests look at
	restarts []radius.Restart
}

func newLedger(t testing.TB) *ledger {
	t.Helper()
	file, err := os.Create(filepath.Join(t.TempDir(), "ledger"))
	if err != nil {
		t.Fatal(err)
	}
	l := &ledger{wake: make(chan struct{}, 1), quit: make(chan struct{}), file: file, seen: map[uint64]bool{},
		sessions: map[string]credit.Used{}, open: map[string]bool{}}
	l.work.Go(l.commit)
	t.Cleanup(func() {
		close(l.quit)
		l.work.Wait()
		file.Close()
	})
	return l
}

func (l *ledger) Charge(c *credit.Call) {
	l.mu.Lock()
	l.waiting = append(l.waiting, c)
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

func (l *ledger) commit() {
	var batch []*credit.Call
	var journal []byte
	for {
		select {
		case <-l.wake:
		case <-l.quit:
			return
		}
		l.mu.Lock()
		batch, l.waiting = l.waiting, batch[:0]
		journal = journal[:0]
		for _, c := range batch {
			journal = l.charge(c, journal)
		}
		l.mu.Unlock()
		if _, err := l.file.Write(journal); err != nil {
			panic(err)
		}
		if err := l.file.Sync(); err != nil {
			panic(err)
		}
		for _, c := range batch {
			c.Done(c)
		}
	}
}

func (l *ledger) charge(c *credit.Call, journal []byte) []byte {
	r := &c.Request
	l.calls++
	c.Answer.Result = l.refuse
	if l.refuse != credit.Success || l.seen[r.Digest] {
		return journal
	}
	l.seen[r.Digest] = true
	l.last = copied(r)
	key := string(r.Peer) + " " + string(r.Session)
	l.open[key] = r.Kind != credit.Terminate
	for _, u := range r.Units {
		for _, used := range u.Used {
			before := l.sessions[key]
			l.octets += used.Input - before.Input + used.Output - before.Output
			l.sessions[key] = used
		}
	}
	return binary.LittleEndian.AppendUint64(journal, r.Digest)
}

// copied keeps a request beyond Done.
func copied(r *credit.Request) credit.Request {
	c := *r
	for _, b := range []*[]byte{&c.Peer, &c.Session, &c.Return, &c.Calling, &c.Called, &c.Access, &c.Address, &c.Node, &c.Prefix, &c.Delegated, &c.Class} {
		*b = append([]byte(nil), *b...)
	}
	c.Subscribers = nil
	for _, s := range r.Subscribers {
		c.Subscribers = append(c.Subscribers, credit.Subscriber{Type: s.Type, ID: append([]byte(nil), s.ID...)})
	}
	c.Units = nil
	for _, u := range r.Units {
		u.Used = append([]credit.Used(nil), u.Used...)
		c.Units = append(c.Units, u)
	}
	return c
}

// restarted closes the sessions of a gateway.
func (l *ledger) restarted(r radius.Restart, done func(bool)) {
	l.mu.Lock()
	l.restarts = append(l.restarts, r)
	for key := range l.open {
		if strings.HasPrefix(key, r.Peer+" ") {
			l.open[key] = false
		}
	}
	ok := l.refuse == credit.Success
	l.mu.Unlock()
	done(ok)
}

func (l *ledger) say(r credit.Result) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.refuse = r
}

// sum is what has been charged, and how many calls came.
func (l *ledger) sum() (octets uint64, calls int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.octets, l.calls
}

func (l *ledger) newest() credit.Request {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.last
}

// users let in who knows his password, in another goroutine than the one that asks.
type users struct {
	mu        sync.Mutex
	passwords map[string]string
	profile   radius.Profile
	seen      []string // method, user and state of each who asked
	ignore    bool
}

func (u *users) Authenticate(a *radius.Access) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.seen = append(u.seen, a.Method.String()+" "+string(a.User)+" "+string(a.Peer)+" "+string(a.State))
	password, known := u.passwords[string(a.User)]
	ignore, profile := u.ignore, u.profile
	go func() {
		switch {
		case ignore:
			a.Ignore()
		case !known || !a.Verify([]byte(password)):
			a.Reject("You are not known here")
		default:
			if err := a.Accept(&profile); err != nil {
				a.Reject(err.Error())
			}
		}
	}()
}

// give sets what everybody gets who is let in.
func (u *users) give(p radius.Profile) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.profile = p
}

// withhold has everybody ignored, or not.
func (u *users) withhold(ignore bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.ignore = ignore
}

func (u *users) last() string {
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.seen) == 0 {
		return ""
	}
	return u.seen[len(u.seen)-1]
}

type bench struct {
	server *radius.Server
	ledger *ledger
	users  *users
}

// setup starts a server with one gateway, 127.0.0.1, changed as the test wants it.
func setup(t testing.TB, change ...func(*radius.Config)) bench {
	t.Helper()
	l := newLedger(t)
	u := &users{passwords: map[string]string{"alice": "wonderland", "bob": "hello"}}
	c := radius.Config{Auth: []string{"127.0.0.1:0"}, Acct: []string{"127.0.0.1:0"}, Authenticator: u, Charger: l, Restarted: l.restarted,
		NAS: []radius.NAS{{Name: "bng-1", Address: "127.0.0.1", Secret: []byte(secret)}}}
	for _, f := range change {
		f(&c)
	}
	s, err := radius.Listen(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return bench{s, l, u}
}

// dial connects the gateway's side.
func dial(t testing.TB, address string, change ...func(*radius.ClientConfig)) *radius.Client {
	t.Helper()
	c := radius.ClientConfig{Secret: []byte(secret)}
	for _, f := range change {
		f(&c)
	}
	k, err := radius.Dial(address, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { k.Close() })
	return k
}

// eventually polls what has to become true.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.NewTimer(10 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("not within 10 s: %s", what)
		}
	}
}
