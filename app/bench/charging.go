package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"tandem/app"
	"tandem/app/mobile"
	"tandem/bss/catalog"
	"tandem/bss/charging/core"
	"tandem/edge/credit"
	"tandem/edge/diameter"
	"tandem/edge/nchf"
	"tandem/edge/radius"
	"tandem/kit/journal"
	"tandem/kit/store"
)

// Faces of the charging benchmark.
var Faces = []string{"direct", "diameter", "nchf", "radius"}

// ChargingOptions say what is charged.
type ChargingOptions struct {
	Options
	Face     string
	Accounts int
	Callers  int  // requests in flight; 0: 4096
	Rate     int  // requests a second, paced; 0: as fast as they are answered
	Hot      bool // all of them on one account
}

const (
	firstNumber = 46_700_000_000_000 // of the accounts
	gateway     = "pgw.bench.example"
	charger     = "ocs.bench.example"
	realm       = "bench.example"
	ahead       = 1_000_000_000_000_000 // money of an account, 10^-9
	mib         = 1 << 20
)

// Charging measures durable charges a second, with the journal and the projector
// running, beside the floor: the same bytes in the same batches, appended to a file
// and made durable with fdatasync.
func Charging(ctx context.Context, o ChargingOptions) (Result, error) {
	if o.Callers == 0 {
		o.Callers = 4096
	}
	if o.Hot {
		o.Accounts = 1
	}
	done, err := o.folder()
	if err != nil {
		return Result{}, err
	}
	defer done()
	r, err := newChargingRig(ctx, o)
	if err != nil {
		return Result{}, err
	}
	defer r.Stop()
	began := time.Now()
	if err := r.accounts(ctx); err != nil {
		return Result{}, err
	}
	opened := time.Since(began)
	runtime.GC()
	settled := resident()
	if err := r.face(ctx); err != nil {
		return Result{}, err
	}
	r.warm(ctx)
	if o.Profile != "" {
		f, err := os.Create(o.Profile)
		if err != nil {
			return Result{}, err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return Result{}, err
		}
		defer pprof.StopCPUProfile()
	}
	return r.measure(ctx, opened, settled)
}

type chargingRig struct {
	*app.App
	o      ChargingOptions
	charge credit.Charger
	ends   time.Time
	count  atomic.Int64
	bad    atomic.Int64
	live   sync.WaitGroup
}

func newChargingRig(ctx context.Context, o ChargingOptions) (*chargingRig, error) {
	c := app.Config{Data: o.Data, Database: o.Database, Tenant: tenant, Log: slog.New(slog.NewTextHandler(io.Discard, nil))}
	c.ChargingQueue = 4 * o.Callers
	switch o.Face {
	case "nchf":
		c.Faces = app.Faces{Nchf: &app.NchfFace{Listen: "127.0.0.1:0"}}
	case "radius":
		c.Faces = app.Faces{RADIUS: &app.RADIUSFace{Accounting: []string{"127.0.0.1:0"}, Gateways: []app.RADIUSNAS{{Name: "bng", Address: "127.0.0.1", Secret: nasSecret}}}}
	case "diameter":
		c.Faces = app.Faces{Diameter: &app.DiameterFace{Listen: "127.0.0.1:0", Host: charger, Realm: realm, Peers: []app.DiameterPeer{{Host: gateway}}}}
	}
	a, err := app.New(ctx, c)
	if err != nil {
		return nil, err
	}
	if err := a.Start(ctx); err != nil {
		a.Stop()
		return nil, err
	}
	r := &chargingRig{App: a, o: o}
	err = a.DB.Write(ctx, scope, func(tx *store.Tx) error {
		if err := mobile.Install(tx); err != nil || o.Face != "radius" {
			return err
		}
		_, err := catalog.Offerings.Edit(tx, mobile.Prepaid, fixed)
		return err
	})
	if err != nil {
		a.Stop()
		return nil, err
	}
	return r, nil
}

// fixed prices the octets of a fixed line too, which the mobile catalogue does not.
func fixed(o *catalog.ProductOffering) error {
	const rules, own = `"rules":[`, `{"name":"Fixed line","match":{"service":"broadband"},"class":"data.fixed","price":{"unit":"octets","amount":"0.001","per":1048576}},`
	plan := strings.Replace(string(o.Extra), rules, rules+own, 1)
	if plan == string(o.Extra) {
		return errors.New("the catalogue has no rules to add to")
	}
	o.Extra = jsontext.Value(plan)
	return nil
}

// accounts opens prepaid wallets with one line and one balance each.
func (r *chargingRig) accounts(ctx context.Context) error {
	p, err := r.Charging.Publish(ctx, tenant, mobile.Prepaid)
	if err != nil {
		return err
	}
	r.o.say("opening %d accounts", r.o.Accounts)
	const openers = 4096
	var wait sync.WaitGroup
	var first atomic.Pointer[error]
	for w := range min(openers, r.o.Accounts) {
		wait.Go(func() {
			for i := w; i < r.o.Accounts && first.Load() == nil; i += openers {
				if err := r.open(ctx, i, p.Tenant, p.Plan, p.Main); err != nil {
					first.Store(&err)
				}
			}
		})
	}
	wait.Wait()
	if err := first.Load(); err != nil {
		return *err
	}
	return nil
}

func (r *chargingRig) open(ctx context.Context, i int, tenant, plan, main uint32) error {
	_, err := r.Charging.Engine.Run(ctx, core.Command{Ref: refOf(i), Do: func(h *core.Hand) error {
		if err := h.Open(tenant, 978, core.Prepaid, time.Now().Unix()); err != nil {
			return err
		}
		line := core.Subscriber{Plan: plan, E164: core.Digits(fmt.Sprint(firstNumber + i))}
		if r.o.Face == "radius" {
			line.Name = fmt.Sprint("+", firstNumber+i)
		}
		if _, err := h.Subscribe(line); err != nil {
			return err
		}
		_, err := h.Give(core.Bucket{Def: main}, ahead, core.TopUp, "")
		return err
	}})
	return err
}

// refOf is where account i lives: evenly over the shards.
func refOf(i int) core.Ref { return core.NewRef(i%journal.Shards, uint32(i/journal.Shards)) }

// face connects to what is measured.
func (r *chargingRig) face(ctx context.Context) error {
	switch r.o.Face {
	case "direct":
		r.charge = r.Charging.Engine
		return nil
	case "diameter":
		var all several
		for range 8 {
			c, err := diameter.Dial(ctx, r.DiameterAddr(), diameter.ClientConfig{Host: gateway, Realm: realm, ToRealm: realm, Window: max(r.o.Callers/8, 1)})
			if err != nil {
				return err
			}
			all = append(all, c)
		}
		r.charge = all
		return nil
	case "nchf":
		var all several
		for range 4 {
			c, err := nchf.Dial(ctx, r.NchfAddr(), nchf.ClientConfig{Consumer: "smf-bench", Window: max(r.o.Callers/4, 1)})
			if err != nil {
				return err
			}
			all = append(all, c)
		}
		r.charge = all
		return nil
	case "radius":
		c, err := radius.Dial(r.RADIUSAddr(), radius.ClientConfig{Secret: radius.Key(nasSecret), Ports: max(r.o.Callers/128, 1)})
		r.charge = accounting{c}
		return err
	}
	return fmt.Errorf("no face is called %q; there are %v", r.o.Face, Faces)
}

const nasSecret = "a secret of this benchmark only"

// accounting sends what a call says as a gateway would: counters since the session
// began.
type accounting struct{ *radius.Client }

func (a accounting) Charge(call *credit.Call) {
	c := call.Own.(*caller)
	rec := radius.Record{Phase: radius.Interim, User: "+" + string(c.msisdn), Session: string(c.name), Seconds: c.number * 60, Input: uint64(c.number) * mib, At: time.Now().Unix()}
	switch call.Request.Kind {
	case credit.Initial:
		rec.Phase = radius.Start
	case credit.Terminate:
		rec.Phase = radius.Stop
	}
	err := a.Send(radius.AccountingRequest, rec.Append, func(_ radius.Packet, err error) {
		call.Answer.Reset()
		if err != nil {
			call.Answer.Result = credit.Failed
		}
		call.Done(call)
	})
	if err != nil {
		call.Answer.Result = credit.Failed
		call.Done(call)
	}
}

// several are connections; a session stays on one.
type several []credit.Charger

func (s several) Charge(c *credit.Call) { s[c.Own.(*caller).worker%len(s)].Charge(c) }

// warm runs for a second, so that memory and files have their size.
func (r *chargingRig) warm(ctx context.Context) { r.run(ctx, time.Second) }

// run keeps all callers busy for a time and says how many requests were answered
// and how long a sample of them took.
func (r *chargingRig) run(ctx context.Context, d time.Duration) (n int64, took []time.Duration) {
	r.ends = time.Now().Add(d)
	r.count.Store(0)
	callers := make([]*caller, r.o.Callers)
	pace := (*pacer)(nil)
	if r.o.Rate > 0 {
		pace = &pacer{}
	}
	r.live.Add(len(callers))
	for w := range callers {
		callers[w] = &caller{rig: r, worker: w, pace: pace}
		callers[w].call.Own = callers[w]
		callers[w].call.Done = callers[w].answered
		if pace == nil {
			callers[w].next()
		} else {
			pace.idle = append(pace.idle, callers[w])
		}
	}
	if pace != nil {
		pace.run(r)
	}
	r.live.Wait()
	for _, c := range callers {
		took = append(took, c.took...)
	}
	return r.count.Load(), took
}

// pacer sends at a fixed rate whatever has become of the requests before: a slow
// answer does not slow the next request (open loop), as long as a caller is free.
type pacer struct {
	mu   sync.Mutex
	idle []*caller
	over bool
	late int64 // requests for which no caller was free
}

func (p *pacer) run(r *chargingRig) {
	began, sent := time.Now(), 0
	for time.Now().Before(r.ends) {
		due := int(time.Since(began).Seconds() * float64(r.o.Rate))
		for ; sent < due; sent++ {
			p.mu.Lock()
			if len(p.idle) == 0 {
				p.late += int64(due - sent)
				sent = due
				p.mu.Unlock()
				break
			}
			c := p.idle[len(p.idle)-1]
			p.idle = p.idle[:len(p.idle)-1]
			p.mu.Unlock()
			c.next()
		}
		time.Sleep(200 * time.Microsecond)
	}
	p.mu.Lock()
	p.over = true
	for range p.idle {
		r.live.Done()
	}
	p.idle = nil
	p.mu.Unlock()
}

func (p *pacer) back(c *caller) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over {
		c.rig.live.Done()
		return
	}
	p.idle = append(p.idle, c)
}

// caller is a gateway's session after session, one request at a time.
type caller struct {
	rig     *chargingRig
	pace    *pacer
	worker  int
	call    credit.Call
	round   int
	number  uint32
	account int
	name    []byte
	msisdn  []byte
	sent    time.Time
	asked   int
	took    []time.Duration
}

const (
	updates = 8  // of a session
	sampled = 16 // one in so many requests is timed
)

func (c *caller) next() {
	if c.number == 0 {
		c.round++
		c.account = (c.worker + c.round*c.rig.o.Callers) % c.rig.o.Accounts
		c.name = fmt.Appendf(c.name[:0], gateway+";%d;%d;%d", c.rig.ends.UnixNano(), c.worker, c.round)
		c.msisdn = fmt.Append(c.msisdn[:0], firstNumber+c.account)
	}
	kind := credit.Update
	switch c.number {
	case 0:
		kind = credit.Initial
	case updates + 1:
		kind = credit.Terminate
	}
	r := &c.call.Request
	r.Reset()
	r.Kind, r.Service, r.Numbered, r.Number, r.PLMN, r.Peer, r.Session = kind, credit.Data, true, c.number, 240001, peerName, c.name
	r.Context, r.Digest = dataContext, uint64(c.number)
	r.Subscribers = append(r.Subscribers, credit.Subscriber{Type: credit.E164, ID: c.msisdn})
	u := r.AddUnit()
	u.HasGroup, u.Group, u.Asked = true, 10, kind != credit.Terminate
	if kind != credit.Initial {
		u.Used = append(u.Used, credit.Used{Units: credit.Units{Has: credit.HasTotal, Total: mib}})
	}
	if c.asked++; c.asked%sampled == 0 {
		c.sent = time.Now()
	}
	c.rig.charge.Charge(&c.call)
}

var peerName, dataContext = []byte(gateway), []byte("32251@3gpp.org")

func (c *caller) answered(*credit.Call) {
	if c.asked%sampled == 0 {
		c.took = append(c.took, time.Since(c.sent))
	}
	if c.call.Answer.Result != credit.Success {
		c.rig.bad.Add(1)
	}
	c.rig.count.Add(1)
	if c.number++; c.number > updates+1 {
		c.number = 0
	}
	switch {
	case c.pace != nil:
		c.pace.back(c)
	case time.Now().After(c.rig.ends):
		c.rig.live.Done()
	default:
		c.next()
	}
}

// measure runs, waits for the projector, and measures the floor on the same disk.
func (r *chargingRig) measure(ctx context.Context, opened time.Duration, settled float64) (Result, error) {
	o, stats := r.o, &r.Charging.Engine.Stats
	batches, records, octets, began := stats.Batches.Load(), stats.Records.Load(), stats.Bytes.Load(), time.Now()
	cpu := processCPU()
	n, took := r.run(ctx, time.Duration(o.Seconds)*time.Second)
	spent, cpu := time.Since(began), processCPU()-cpu
	batches, records, octets = stats.Batches.Load()-batches, stats.Records.Load()-records, stats.Bytes.Load()-octets
	behind, caught := r.Charging.Behind(), time.Now()
	for r.Charging.Behind() > 0 && time.Since(caught) < time.Minute {
		time.Sleep(10 * time.Millisecond)
	}
	catching := time.Since(caught)
	if r.bad.Load() > 0 {
		return Result{}, fmt.Errorf("%d of %d requests were refused", r.bad.Load(), n)
	}
	if batches == 0 {
		return Result{}, errors.New("nothing was charged")
	}
	size := int(octets / batches)
	folder := o.Data
	if o.Database != "" {
		folder = filepath.Dir(o.Data)
	}
	floor, err := journal.Floor(folder, size, 3)
	if err != nil {
		return Result{}, err
	}
	floored := floor.PerSecond() * float64(records) / float64(batches)
	rate := float64(n) / spent.Seconds()
	return Result{Name: "charging", Store: r.DB.Dialect().String(), Seconds: spent.Seconds(), PerSecond: rate, FloorPerSecond: floored, Ratio: rate / floored,
		P50: percentile(took, 0.5), P99: percentile(took, 0.99), RSS: resident(), Own: map[string]any{
			"face": o.Face, "accounts": o.Accounts, "callers": o.Callers, "paced_rate": o.Rate,
			"open_seconds": opened.Seconds(), "rss_open_mb": settled, "cpu_us_per_charge": cpu.Seconds() * 1e6 / float64(n),
			"records_per_batch": float64(records) / float64(batches), "bytes_per_record": float64(octets) / float64(max(records, 1)),
			"batches_per_second": float64(batches) / spent.Seconds(), "projector_behind_batches": behind, "projector_caught_up_seconds": catching.Seconds(),
		}}, nil
}

// processCPU is what this process has used.
func processCPU() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
