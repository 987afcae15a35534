package broadband

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"tandem/edge/credit"
	"tandem/edge/radius"
	"tandem/kit/store"
	register "tandem/oss/activation/driver/radius"
)

// Config is what the access server is told.
type Config struct {
	Register       *register.Register
	Charger        credit.Charger
	SessionTimeout uint32 // seconds after which a user must log in anew; 0: never
	Interim        uint32 // seconds between reports; 0: as the gateway is set
	Log            *slog.Logger
}

// Dynamic tells gateways things of sessions that run.
type Dynamic interface {
	Change(session, back []byte, p *radius.Profile, done func(radius.Told))
	Disconnect(session, back []byte, done func(radius.Told))
}

// Stats count what the access server did since its start.
type Stats struct {
	Accepted, Slow, Refused, Unknown, Wrong, Ignored atomic.Int64 // logins
	Changed, Ended, Unheard                          atomic.Int64 // of live sessions: told by CoA, ended by Disconnect, not reached
}

// Access is the access server of a node: radius.Authenticator, and the credit.Client of its gateways.
type Access struct {
	Config
	Stats Stats

	way atomic.Pointer[Dynamic]

	mu       sync.Mutex
	sessions map[name]*live
	users    map[string]map[name]*live
	busy     map[string]*place // users that are being looked at
	places   map[string]int    // how many of them have a session on a gateway
	watched  map[string]*watch // users to be looked at again without being told to
	closed   bool
	stop     chan struct{}
	under    sync.WaitGroup
}

// name is what a session is known by.
type name struct{ peer, id string }

// live is a session on a gateway.
type live struct {
	name
	user  string
	back  string
	class string // what it was told
	used  quota  // as its gateway said last
}

// place is what a user has while he is looked at.
type place struct {
	gateways []string // that may be told something
	again    bool     // look once more
}

// New is an access server that nobody asks yet.
func New(c Config) *Access {
	if c.Log == nil {
		c.Log = slog.Default()
	}
	return &Access{Config: c, sessions: map[name]*live{}, users: map[string]map[name]*live{}, busy: map[string]*place{}, places: map[string]int{}, watched: map[string]*watch{}, stop: make(chan struct{})}
}

// tick is how often those are looked for whose turn has come.
const tick = 250 * time.Millisecond

// Start gives it the way back to the gateways.
func (a *Access) Start(d Dynamic) {
	a.way.Store(&d)
	a.under.Go(func() {
		t := time.NewTicker(tick)
		defer t.Stop()
		for {
			select {
			case <-t.C:
				a.lookAtWatched()
			case <-a.stop:
				return
			}
		}
	})
}

// Close waits for what is under way. It comes after the way back has been closed.
func (a *Access) Close() {
	a.mu.Lock()
	closed := a.closed
	a.closed = true
	a.mu.Unlock()
	if !closed {
		close(a.stop)
	}
	a.under.Wait()
}

// Reported hears of a report of a session; see radius.Config.
func (a *Access) Reported(c *credit.Call) {
	r := &c.Request
	key := name{string(r.Peer), string(r.Session)}
	if r.Kind == credit.Terminate {
		a.forget(key)
		return
	}
	if !strings.HasPrefix(string(r.Class), mark+" ") {
		return
	}
	user := userOf(r)
	a.note(key, user, string(r.Return), string(r.Class), usedIn(r))
	a.Look(user)
}

// usedIn is what a report says of the session so far.
func usedIn(r *credit.Request) (q quota) {
	if len(r.Units) == 0 || len(r.Units[0].Used) == 0 {
		return q
	}
	u := &r.Units[0].Used[0]
	q.octets, _ = u.Octets()
	q.seconds = u.Seconds
	return q
}

func userOf(r *credit.Request) string {
	for _, s := range r.Subscribers {
		if s.Type == credit.Private {
			return string(s.ID)
		}
	}
	return ""
}

// note enters a session, or what its gateway says it was told and has used.
func (a *Access) note(key name, user, back, class string, used quota) {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.sessions[key]
	if s != nil && s.user == user {
		s.back, s.used = back, quota{max(s.used.octets, used.octets), max(s.used.seconds, used.seconds)}
		return // what it was told since is known better here: not every gateway takes over a Class
	}
	if s != nil {
		a.drop(s)
	}
	s = &live{key, user, back, class, used}
	a.sessions[key] = s
	if a.users[user] == nil {
		a.users[user] = map[name]*live{}
	}
	a.users[user][key] = s
}

func (a *Access) drop(s *live) {
	delete(a.sessions, s.name)
	delete(a.users[s.user], s.name)
	if len(a.users[s.user]) == 0 {
		delete(a.users, s.user)
	}
}

func (a *Access) forget(key name) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if s := a.sessions[key]; s != nil {
		a.drop(s)
	}
}

// Restarted forgets the sessions of a gateway that has begun anew.
func (a *Access) Restarted(peer string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for key, s := range a.sessions {
		if key.peer == peer {
			a.drop(s)
		}
	}
}

// Sessions is how many are live at gateways that report here.
func (a *Access) Sessions() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.sessions)
}

// Look makes the live sessions of a user what they should be, soon. It does not block.
func (a *Access) Look(user string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed || len(a.users[user]) == 0 || a.way.Load() == nil {
		return
	}
	if p := a.busy[user]; p != nil {
		p.again = true
		return
	}
	gateways, free := a.free(user)
	if !free { // the tick comes back to it
		a.due(user)
		return
	}
	for _, g := range gateways {
		a.places[g]++
	}
	a.busy[user] = &place{gateways: gateways}
	a.under.Go(func() { a.look(user) })
}

const (
	mostAtOnce    = 256 // users looked at
	mostAtGateway = 32  // of them: one that is silent holds a place for many seconds, and others must not wait for it
)

// free says whether there is a place to look at a user, and which gateways he has sessions on; the caller holds mu.
func (a *Access) free(user string) (gateways []string, ok bool) {
	ok = len(a.busy) < mostAtOnce
	for s := range a.users[user] {
		if !slices.Contains(gateways, s.peer) {
			gateways = append(gateways, s.peer)
			ok = ok && a.places[s.peer] < mostAtGateway
		}
	}
	return gateways, ok
}

// due has a user looked at with the next tick; the caller holds mu.
func (a *Access) due(user string) {
	if w := a.watched[user]; w != nil {
		w.due = time.Time{}
		return
	}
	a.watched[user] = &watch{}
}

func (a *Access) look(user string) {
	for {
		a.settle(user)
		if !a.again(user) {
			return
		}
	}
}

// again says that a user is to be looked at once more; else his place is free.
func (a *Access) again(user string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	p := a.busy[user]
	if p.again && !a.closed {
		p.again = false
		return true
	}
	delete(a.busy, user)
	for _, g := range p.gateways {
		if a.places[g]--; a.places[g] == 0 {
			delete(a.places, g)
		}
	}
	return false
}

// lookAtWatched looks at those whose turn has come and for whom there is a place.
func (a *Access) lookAtWatched() {
	now := time.Now()
	var due []string
	a.mu.Lock()
	for u, w := range a.watched {
		switch {
		case len(a.users[u]) == 0:
			delete(a.watched, u)
		case now.Before(w.due), a.busy[u] != nil: // a look that ends says when the next one is
		default:
			if _, ok := a.free(u); ok {
				due = append(due, u)
			}
		}
	}
	a.mu.Unlock()
	for _, u := range due {
		a.Look(u)
	}
}

// watch is when a user is looked at again, and how long was waited for it.
type watch struct {
	due  time.Time
	wait time.Duration
}

// The longest waits: for a gateway that does not do what it is told, and for something to be left again. That is only a safeguard,
// since charging says so (Reauthorise).
const (
	longest     = time.Minute
	longestSlow = 30 * time.Second
)

// watch has a user looked at again if he is slowed or something failed, after waits that grow as long as that is so.
func (a *Access) watch(user string, slowed, failed bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !slowed && !failed || len(a.users[user]) == 0 {
		delete(a.watched, user)
		return
	}
	most := longestSlow
	if failed {
		most = longest
	}
	w := a.watched[user]
	if w == nil {
		w = &watch{}
		a.watched[user] = w
	}
	w.wait = min(max(2*w.wait, tick), most)
	w.due = time.Now().Add(w.wait)
}

// settle tells each session of a user what it should be told now.
func (a *Access) settle(user string) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	v, err := verdict{reason: "This line is gone"}, error(nil)
	u, found := a.Register.Find(ctx, user)
	switch {
	case found == nil:
		v, err = a.judge(ctx, &u)
	case !errors.Is(found, store.ErrNotFound):
		err = found
	}
	if err != nil {
		a.watch(user, false, true)
		return
	}
	var told sync.WaitGroup
	var again atomic.Bool
	for _, s := range a.of(user) {
		told.Add(1)
		a.tell(s, v, func(settled bool) {
			if !settled {
				again.Store(true)
			}
			told.Done()
		})
	}
	told.Wait()
	a.watch(user, v.level == slow, again.Load())
}

// of copies the live sessions of a user.
func (a *Access) of(user string) (list []live) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, s := range a.users[user] {
		list = append(list, *s)
	}
	return list
}

// tell brings a session to the verdict. done hears false if it must be tried again.
func (a *Access) tell(s live, v verdict, done func(settled bool)) {
	was, _ := toldIn(s.class)
	v.left = v.left.beside(was)
	p, q := v.since(s.used, a.SessionTimeout)
	now := string(p.Class)
	d := *a.way.Load()
	switch {
	case v.level != out && was.class == v.class() && q.near(was.quota):
		done(true)
	case v.level == out, was.address != v.address():
		a.disconnect(d, s, done)
	default:
		d.Change([]byte(s.id), []byte(s.back), &p, func(t radius.Told) {
			switch t.Outcome {
			case credit.Accepted:
				a.Stats.Changed.Add(1)
				a.took(s.name, now)
				done(true)
			case credit.Gone:
				a.forget(s.name)
				done(true)
			case credit.Refused: // it cannot change sessions: one that has more than it should ends, one that has less may stay
				if v.level == slow {
					a.disconnect(d, s, done)
					return
				}
				a.Stats.Unheard.Add(1)
				a.took(s.name, now)
				done(true)
			default:
				a.Stats.Unheard.Add(1)
				done(false)
			}
		})
	}
}

// disconnect ends a session. Its last report will follow.
func (a *Access) disconnect(d Dynamic, s live, done func(bool)) {
	d.Disconnect([]byte(s.id), []byte(s.back), func(t radius.Told) {
		switch t.Outcome {
		case credit.Accepted, credit.Gone:
			a.Stats.Ended.Add(1)
			a.forget(s.name)
			done(true)
		default:
			a.Stats.Unheard.Add(1)
			done(false)
		}
	})
}

// took notes what a session was told.
func (a *Access) took(key name, class string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if s := a.sessions[key]; s != nil {
		s.class = class
	}
}

// Reauthorise implements credit.Client: charging says that something has changed for a session.
func (a *Access) Reauthorise(peer, session, back []byte, _ []uint32, done func(credit.Outcome)) {
	user := radius.UserOf(back)
	if user == "" || a.way.Load() == nil {
		done(credit.Refused)
		return
	}
	a.heardOf(name{string(peer), string(session)}, user, back)
	a.Look(user)
	done(credit.Accepted)
}

// heardOf enters a session that this node knows from charging only: its gateway reported to another one, which does not hold the account
// any more. It is told from here.
func (a *Access) heardOf(key name, user string, back []byte) {
	a.mu.Lock()
	_, known := a.sessions[key]
	a.mu.Unlock()
	if class := elsewhere(radius.ClassOf(back)); !known && class != "" {
		a.note(key, user, string(back), class, quota{})
	}
}

// Abort implements credit.Client: charging ends a session.
func (a *Access) Abort(peer, session, back []byte, cause credit.Cause, done func(credit.Outcome)) {
	key := name{string(peer), string(session)}
	if cause == credit.Stale { // nothing was heard of it for too long
		a.forget(key)
	}
	d := a.way.Load()
	if d == nil {
		done(credit.NoAnswer)
		return
	}
	(*d).Disconnect(session, back, func(t radius.Told) {
		if t.Outcome == credit.Accepted || t.Outcome == credit.Gone {
			a.Stats.Ended.Add(1)
			a.forget(key)
		}
		done(t.Outcome)
	})
}
