package core

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tandem/bss/rating"
	"tandem/edge/credit"
	"tandem/kit/journal"
	"tandem/kit/store"
	"tandem/kit/store/storetest"
)

// each runs a test on a journal in both stores.
func each(t *testing.T, f func(t *testing.T, r *rig)) {
	storetest.Each(t, []store.Schema{journal.Schema()}, func(t *testing.T, db *store.DB) {
		f(t, newRig(t, db))
	})
}

// rig is an engine on a real journal, with a clock that the test moves.
type rig struct {
	replay int64 // Config.Replay
	*testing.T
	db       *store.DB
	e        *Engine
	book     *Book
	log      string // its own in the store
	holder   int
	mu       sync.Mutex
	at       time.Time
	client   *client
	wrap     func(Journal) Journal // what stands before the journal of the next engine
	before   func(context.Context) error
	defaults []Default
	Lease    time.Duration
}

// Numbers of the rig's book.
const (
	host       = 1
	planBasic  = 1
	mainMoney  = 1 // EUR balance
	dataBucket = 2 // 1 GiB home data
	voiceBonus = 3
	roamingCap = 4
	tierCount  = 5
	rolled     = 6
	family     = 7
)

// Not at a whole second: what is due is known in seconds, and is due after them.
var start = time.Date(2026, 3, 2, 12, 0, 0, 5e8, time.UTC)

func basicPlan() rating.Plan {
	return rating.Plan{
		Name: "basic", Version: "1", Currency: "EUR", Zone: "Europe/London",
		Networks:       []rating.Network{{Name: "home", Codes: []string{"24001"}}, {Name: "eu", Codes: []string{"262", "208"}}, {Name: "world", Codes: []string{"*"}}},
		UnknownNetwork: "home",
		Destinations:   []rating.Destination{{Name: "national", Prefixes: []string{"44"}}, {Name: "other", Prefixes: []string{"*"}}},
		Bands:          []rating.Band{{Name: "night", Days: []string{"mon", "tue", "wed", "thu", "fri", "sat", "sun"}, From: "20:00", To: "06:00"}},
		Rules: []rating.Rule{
			{Name: "data", Match: rating.Match{Service: "data"}, Class: "data.home",
				Price: &rating.Price{Unit: "octets", Amount: "0.01", Per: 1 << 20},
				Grant: rating.Grant{Default: 10 << 20, Min: 1 << 20, Max: 100 << 20, Validity: 3600, Threshold: 20}},
			{Name: "self-care", Match: rating.Match{Service: "data", Groups: []uint32{900}}, Class: "data.free", Zero: true, Price: &rating.Price{Unit: "octets", Amount: "0"}},
			{Name: "roaming", Match: rating.Match{Service: "data", Network: "eu"}, Class: "data.roaming",
				Price: &rating.Price{Unit: "octets", Amount: "0.10", Per: 1 << 20}, Grant: rating.Grant{Default: 1 << 20}},
			{Name: "redirected", Match: rating.Match{Service: "data", Groups: []uint32{20}}, Class: "data.home",
				Price: &rating.Price{Unit: "octets", Amount: "0.01", Per: 1 << 20},
				Grant: rating.Grant{Default: 10 << 20, Final: rating.Final{Action: "redirect", Address: "http://portal.example/"}}},
			{Name: "voice", Match: rating.Match{Service: "voice"}, Class: "voice",
				Price: &rating.Price{Unit: "seconds", Amount: "0.06", Per: 60, Block: rating.Block{First: 60, Step: 1}, Connect: "0.05"},
				Grant: rating.Grant{Default: 120}},
			{Name: "voice at night", Match: rating.Match{Service: "voice", Band: "night"}, Class: "voice",
				Price: &rating.Price{Unit: "seconds", Amount: "0.03", Per: 60}, Grant: rating.Grant{Default: 120}},
			{Name: "sms", Match: rating.Match{Service: "sms"}, Class: "sms", Price: &rating.Price{Unit: "events", Amount: "0.09"}},
		},
	}
}

func basicBook(t testing.TB) *Book {
	t.Helper()
	b, err := makeBook()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func makeBook() (*Book, error) {
	tariff, err := rating.Compile(basicPlan())
	if err != nil {
		return nil, err
	}
	b := NewBook()
	b.SetTenant(host, Tenant{Name: "host", Home: []uint32{240001}})
	b.SetTariff(1, tariff, nil)
	b.SetPlan(planBasic, Plan{Name: "basic", Tenant: host, Versions: []Version{{From: 0, Tariff: 1}}})
	b.SetDefinition(Definition{ID: mainMoney, Tenant: host, Name: "main", Unit: Money, Priority: 100, Main: true, Zone: "Europe/London"})
	b.SetDefinition(Definition{ID: dataBucket, Tenant: host, Name: "data 1 GiB", Unit: Octets, Classes: []string{"data.home"}, Priority: 10, Notices: []uint8{50, 80, 100},
		Zone: "Europe/London", Renew: Renew{Unit: 'm', Every: 1}, Rollover: Rollover{Percent: 50, Max: 1 << 29, Cycles: 2, Def: rolled}})
	b.SetDefinition(Definition{ID: rolled, Tenant: host, Name: "rolled data", Unit: Octets, Classes: []string{"data.home"}, Priority: 5, Zone: "Europe/London"})
	b.SetDefinition(Definition{ID: voiceBonus, Tenant: host, Name: "bonus seconds", Unit: Seconds, Classes: []string{"voice"}, Priority: 5, FirstUse: 86400, Zone: "Europe/London"})
	b.SetDefinition(Definition{ID: roamingCap, Tenant: host, Name: "roaming cap", Unit: Money, Counter: true, Money: true, Hard: true, Classes: []string{"data.roaming"},
		Notices: []uint8{80, 100}, Reset: Monthly, Zone: "Europe/London"})
	return b, nil
}

var logs atomic.Int64

func newRig(t *testing.T, db *store.DB) *rig {
	r := &rig{T: t, db: db, book: basicBook(t), at: start, client: &client{}, log: fmt.Sprint("charging-", logs.Add(1))}
	r.open()
	t.Cleanup(func() { r.e.Close(context.Background()) })
	return r
}

func (r *rig) now() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.at
}

func (r *rig) pass(d time.Duration) {
	r.mu.Lock()
	r.at = r.at.Add(d)
	r.mu.Unlock()
	r.e.Sweep()
	r.heard()
}

// heard waits until everybody was told what there is to tell.
func (r *rig) heard() {
	r.Helper()
	done := make(chan struct{})
	if !r.e.afterAll(r.e.shards[0], func(error) { close(done) }) {
		return
	}
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		r.Fatal("nothing is written")
	}
}

// open starts an engine on what the journal holds.
func (r *rig) open() {
	r.Helper()
	r.holder++
	lease := r.Lease
	if lease == 0 {
		lease = time.Minute
	}
	var log Journal = journal.New(r.db, r.log, journal.Options{Holder: fmt.Sprintf("%s-%d", r.log, r.holder), Lease: lease, Log: quiet})
	if r.wrap != nil {
		log = r.wrap(log)
	}
	r.e = New(Config{Book: r.book, Before: r.before, Defaults: r.defaults, Journal: log, Log: quiet, Clock: r.now, Lease: time.Minute, Replay: r.replay, Clients: map[credit.Face]credit.Client{credit.Direct: r.client, credit.Diameter: r.client}})
	if err := r.e.Start(r.Context()); err != nil {
		r.Fatal(err)
	}
}

// reopen closes the engine in good order and opens it again.
func (r *rig) reopen() {
	r.Helper()
	if err := r.e.Close(r.Context()); err != nil {
		r.Fatal(err)
	}
	r.open()
}

func (r *rig) run(ref Ref, do func(*Hand) error) {
	r.Helper()
	if _, err := r.e.Run(r.Context(), Command{Ref: ref, Do: do}); err != nil {
		r.Fatal(err)
	}
}

// account opens an account with a subscriber and some money, in 10^-9 EUR.
func (r *rig) account(ref Ref, msisdn uint64, money int64) {
	r.Helper()
	r.run(ref, func(h *Hand) error {
		if err := h.Open(host, 978, Prepaid, r.now().Unix()); err != nil {
			return err
		}
		if _, err := h.Subscribe(Subscriber{Plan: planBasic, E164: digits(fmt.Append(nil, msisdn)), IMSI: digits(fmt.Appendf(nil, "24001%010d", msisdn%1e10))}); err != nil {
			return err
		}
		_, err := h.Give(Bucket{Def: mainMoney}, money, TopUp, "first")
		return err
	})
}

func (r *rig) give(ref Ref, def uint32, amount int64, to time.Time) (id uint32) {
	r.Helper()
	r.run(ref, func(h *Hand) (err error) {
		b := Bucket{Def: def, Initial: amount}
		if !to.IsZero() {
			b.To = to.Unix()
		}
		id, err = h.Give(b, amount, Renewed, "")
		return err
	})
	return id
}

// value is what is left in a bucket; ok false if it is gone.
func (r *rig) value(ref Ref, bucket uint32) (left, held int64, ok bool) {
	r.Helper()
	if err := r.e.Look(ref, func(a *Account) {
		if i := a.bucket(bucket); i >= 0 {
			left, held, ok = a.Buckets[i].Value, a.Buckets[i].Held, true
		}
	}); err != nil {
		r.Fatal(err)
	}
	return left, held, ok
}

// ask is a request as a face would make it.
func ask(kind credit.Kind, session string, number uint32, msisdn uint64) *credit.Call {
	c := &credit.Call{}
	c.Request = credit.Request{Face: credit.Direct, Kind: kind, Service: credit.Data, Numbered: true, Number: number, PLMN: 240001,
		Peer: []byte("pgw.example"), Session: []byte(session), Digest: uint64(kind)<<32 | uint64(number),
		Subscribers: []credit.Subscriber{{Type: credit.E164, ID: fmt.Append(nil, msisdn)}}}
	return c
}

func group(c *credit.Call, id uint32) *credit.Unit {
	u := c.Request.AddUnit()
	u.HasGroup, u.Group, u.Asked = true, id, true
	return u
}

func octets(n uint64) credit.Units { return credit.Units{Has: credit.HasTotal, Total: n} }

// charge hands a call over and waits.
func (r *rig) charge(c *credit.Call) *credit.Answer {
	r.Helper()
	done := make(chan struct{})
	c.Done = func(*credit.Call) { close(done) }
	c.Request.Received = r.now().UnixMicro()
	r.e.Charge(c)
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		r.Fatal("no answer")
	}
	return &c.Answer
}

// data is one request of a data session: used so far unreported, and a new grant.
func (r *rig) data(kind credit.Kind, session string, number uint32, msisdn uint64, rg uint32, used uint64) *credit.Granted {
	r.Helper()
	c := ask(kind, session, number, msisdn)
	u := group(c, rg)
	if kind != credit.Initial {
		u.Used = append(u.Used, credit.Used{Units: octets(used)})
	}
	if kind == credit.Terminate {
		u.Asked = false
	}
	a := r.charge(c)
	if len(a.Units) != 1 {
		r.Fatalf("%d groups answered: %+v", len(a.Units), a)
	}
	return &a.Units[0]
}

// client writes down what it is told.
type client struct {
	mu    sync.Mutex
	asked []string
	ended []string
	say   credit.Outcome
}

func (c *client) Reauthorise(peer, session, back []byte, groups []uint32, done func(credit.Outcome)) {
	c.mu.Lock()
	c.asked = append(c.asked, string(session))
	say := c.say
	c.mu.Unlock()
	done(say)
}

func (c *client) Abort(peer, session, back []byte, cause credit.Cause, done func(credit.Outcome)) {
	c.mu.Lock()
	c.ended = append(c.ended, string(session))
	say := c.say
	c.mu.Unlock()
	done(say)
}

func (c *client) heard() (asked, ended []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]string(nil), c.asked...), append([]string(nil), c.ended...)
}

func benchStore(b *testing.B) *store.DB {
	db, err := store.Open(b.Context(), store.Config{Path: filepath.Join(b.TempDir(), "journal.db")})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(db.Close)
	if err := db.Migrate(b.Context(), journal.Schema()); err != nil {
		b.Fatal(err)
	}
	return db
}
