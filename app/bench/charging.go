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
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"tandem/app"
	"tandem/app/mobile"
	"tandem/bss/catalog"
	"tandem/bss/charging"
	"tandem/bss/charging/core"
	"tandem/edge/credit"
	"tandem/kit/fault"
	"tandem/kit/journal"
	"tandem/kit/store"
)

// Faces of the charging benchmark.
var Faces = []string{"direct", "diameter", "nchf", "radius", "file"}

// Mixes of requests: sessions of ten requests, messages that are paid one by one, or
// the mix of the voltdb-charglt benchmark.
var Mixes = []string{"sessions", "events", "charglt"}

// ChargingOptions say what is charged.
type ChargingOptions struct {
	Options
	Face      string
	Format    string // of files; none: 3gpp
	Mix       string
	Accounts  int
	Callers   int    // requests in flight at most; 0: 4096 or half a second's, and 32 with Hot
	Rate      int    // requests a second, paced; 0: as fast as they are answered
	Hot       bool   // on one wallet of a family, beside the same callers on an account each
	Increment uint64 // octets that use is rounded up to; 0: as the catalogue has it
	Replay    int64  // charge so many, then replay them all; 0: charge for Seconds
}

const (
	firstNumber = 46_700_000_000_000 // of the accounts
	gateway     = "pgw.bench.example"
	charger     = "ocs.bench.example"
	realm       = "bench.example"
	ahead       = 1_000_000_000_000_000 // money of an account, 10^-9
	group       = 10                    // rating group
	mib         = 1 << 20
)

// Charging measures durable charges a second, with the journal and the projector
// running, beside the floor: the same bytes in the same batches, appended to a file
// and made durable with fdatasync. What was not as it should be is in Result.Failed.
func Charging(ctx context.Context, o ChargingOptions) (Result, error) {
	if err := o.complete(); err != nil {
		return Result{}, err
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
	defer func() { r.Stop() }()
	if err := r.fill(ctx); err != nil {
		return Result{}, err
	}
	if o.Face == "file" {
		return fileFace(ctx, r)
	}
	if err := r.connect(ctx); err != nil {
		return Result{}, err
	}
	if o.Hot {
		return r.measureHot(ctx)
	}
	res, err := r.measure(ctx, r.doing())
	if err == nil && o.Replay > 0 {
		err = r.replayed(ctx, &res)
	}
	return res, err
}

func (o *ChargingOptions) complete() error {
	switch {
	case o.Callers > 0:
	case o.Hot:
		o.Callers = 32
	default:
		o.Callers = max(4096, o.Rate/2) // paced: those of half a second, so that a pause of the disk is measured and not avoided
	}
	if o.Mix == "" {
		o.Mix = "sessions"
	}
	switch {
	case !slices.Contains(Faces, o.Face):
		return fmt.Errorf("no face is called %q; there are %v", o.Face, Faces)
	case !slices.Contains(Mixes, o.Mix):
		return fmt.Errorf("no mix is called %q; there are %v", o.Mix, Mixes)
	case o.Face == "radius" && o.Mix != "sessions":
		return errors.New("RADIUS accounting has sessions only")
	case o.Mix == "charglt" && o.Accounts < 2*o.Callers:
		return fmt.Errorf("%d callers who each want an account of their own need more than %d accounts", o.Callers, o.Accounts)
	case o.Accounts < 1 || o.Hot && o.Mix != "sessions":
		return errors.New("there must be an account; and one wallet is for sessions")
	}
	return nil
}

// doing is what the callers do.
func (r *chargingRig) doing() func(*caller) {
	switch r.o.Mix {
	case "events":
		return message
	case "charglt":
		r.busy = make([]atomic.Uint32, r.o.Accounts)
		return charglt
	}
	return sessions(r.pick)
}

type chargingRig struct {
	*app.App
	o      ChargingOptions
	config app.Config
	charge credit.Charger
	began  time.Time
	loads  int
	busy   []atomic.Uint32 // charglt, of each account: twice the number of its session's next request, and 1 while a caller has it

	opened  time.Duration // how long it took to open the accounts
	settled float64       // resident memory with all accounts open, MB
}

func newChargingRig(ctx context.Context, o ChargingOptions) (*chargingRig, error) {
	r := &chargingRig{o: o, began: time.Now()}
	r.config = app.Config{Data: o.Data, Database: o.Database, Tenant: tenant, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
		ChargingQueue: 4 * max(o.Callers, openers), Faces: o.listen()}
	if err := r.start(ctx); err != nil {
		return nil, err
	}
	err := r.DB.Write(ctx, scope, func(tx *store.Tx) error {
		if _, err := catalog.Offerings.Get(tx, mobile.Prepaid); !fault.Is(err, fault.NotFound) {
			return err // a folder that was kept
		}
		if err := mobile.Install(tx); err != nil {
			return err
		}
		_, err := catalog.Offerings.Edit(tx, mobile.Prepaid, o.price)
		return err
	})
	if err != nil {
		r.Stop()
		return nil, err
	}
	return r, nil
}

func (r *chargingRig) start(ctx context.Context) error {
	a, err := app.New(ctx, r.config)
	if err != nil {
		return err
	}
	if err := a.Start(ctx); err != nil {
		a.Stop()
		return err
	}
	r.App = a
	return nil
}

// price adds to the offering what the mobile catalogue has no price for: octets of a
// fixed line, and octets in steps of another size.
func (o *ChargingOptions) price(of *catalog.ProductOffering) error {
	var own string
	if o.Face == "radius" {
		own += `{"name":"Fixed line","match":{"service":"broadband"},"class":"data.fixed","price":{"unit":"octets","amount":"0.001","per":1048576}},`
	}
	if o.Increment > 0 {
		own += fmt.Sprintf(`{"name":"Steps","priority":10,"match":{"service":"data","groups":[%d]},"class":"data.home","price":{"unit":"octets","amount":"0.01","per":1048576,"block":{"step":%d}},"grant":{"default":10485760}},`, group, o.Increment)
	}
	const rules = `"rules":[`
	plan := strings.Replace(string(of.Extra), rules, rules+own, 1)
	if plan == string(of.Extra) && own != "" {
		return errors.New("the catalogue has no rules to add to")
	}
	of.Extra = jsontext.Value(plan)
	return nil
}

const openers = 4096 // accounts opened at once

// fill opens prepaid wallets with one line and one balance each, and that of the
// family; and waits until all of it is written down.
func (r *chargingRig) fill(ctx context.Context) error {
	began := time.Now()
	p, err := r.Charging.Publish(ctx, tenant, mobile.Prepaid)
	if err != nil {
		return err
	}
	r.o.say("opening %d accounts", r.o.Accounts)
	all := r.o.Accounts
	if r.o.Hot {
		all++
	}
	var wait sync.WaitGroup
	var first atomic.Pointer[error]
	for w := range min(openers, all) {
		wait.Go(func() {
			for i := w; i < all && first.Load() == nil; i += openers {
				if err := r.open(ctx, i, p); err != nil {
					first.Store(&err)
				}
			}
		})
	}
	wait.Wait()
	if err := first.Load(); err != nil {
		return *err
	}
	r.opened = time.Since(began)
	r.o.say("opened in %.1f s; waiting until they are written down", r.opened.Seconds())
	if err := r.writtenDown(ctx); err != nil {
		return err
	}
	runtime.GC()
	r.settled = resident()
	return nil
}

// writtenDown waits for the projector, however long it takes, unless it stands still.
func (r *chargingRig) writtenDown(ctx context.Context) error {
	for behind, since := r.Charging.Behind(), time.Now(); !r.caughtUp(time.Second); {
		now := r.Charging.Behind()
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case now < behind:
			behind, since = now, time.Now()
		case time.Since(since) > time.Minute:
			return fmt.Errorf("the projector stands still, %d batches behind", now)
		}
	}
	return nil
}

func (r *chargingRig) open(ctx context.Context, i int, p charging.Published) error {
	_, err := r.Charging.Engine.Run(ctx, core.Command{Ref: refOf(i), Do: func(h *core.Hand) error {
		if h.Account() != nil {
			return nil
		}
		if err := h.Open(p.Tenant, 978, core.Prepaid, time.Now().Unix()); err != nil {
			return err
		}
		lines := 1
		if i == r.o.Accounts {
			lines = family
		}
		for n := range lines {
			line := core.Subscriber{Plan: p.Plan, E164: core.Digits(fmt.Sprint(firstNumber + i + n))}
			if r.o.Face == "radius" {
				line.Name = fmt.Sprint("+", firstNumber+i+n)
			}
			if _, err := h.Subscribe(line); err != nil {
				return err
			}
		}
		_, err := h.Give(core.Bucket{Def: p.Main}, ahead, core.TopUp, "")
		return err
	}})
	return err
}

// refOf is where account i lives: evenly over the shards.
func refOf(i int) core.Ref { return core.NewRef(i%journal.Shards, uint32(i/journal.Shards)) }

// caughtUp waits for the projector; it is false if that did not get there in time.
func (r *chargingRig) caughtUp(most time.Duration) bool {
	for began := time.Now(); r.Charging.Behind() > 0; {
		if time.Since(began) > most {
			return false
		}
		time.Sleep(5 * time.Millisecond)
	}
	return true
}

// meter reads what the engine and the process have done so far.
type meter struct {
	batches, records, octets int64
	user, system             time.Duration
}

func (r *chargingRig) meter() (m meter) {
	s := &r.Charging.Engine.Stats
	m.batches, m.records, m.octets = s.Batches.Load(), s.Records.Load(), s.Bytes.Load()
	m.user, m.system = processCPU()
	return m
}

func (m meter) since(o meter) meter {
	return meter{m.batches - o.batches, m.records - o.records, m.octets - o.octets, m.user - o.user, m.system - o.system}
}

// measure warms up, looks at the floor, runs, lets the projector catch up, and looks
// at the floor again.
func (r *chargingRig) measure(ctx context.Context, do func(*caller)) (Result, error) {
	o, folder := r.o, r.folder()
	before := r.meter()
	r.run(time.Second, o.Callers, o.Rate, 0, do) // memory and files have their size then
	if !r.caughtUp(time.Minute) {
		return Result{}, errors.New("the projector did not even keep up with the warming up")
	}
	warm := r.meter().since(before)
	if warm.batches == 0 {
		return Result{}, errors.New("nothing was charged")
	}
	var floor floors
	var err error
	if floor.before, err = raw(folder, warm.perBatch(warm.octets), warm.perBatch(warm.records)); err != nil {
		return Result{}, err
	}
	stop, err := profile(o.Profile)
	if err != nil {
		return Result{}, err
	}
	before = r.meter()
	l := r.run(o.limit(), o.Callers, o.Rate, o.Replay, do)
	behind, began := r.Charging.Behind(), time.Now()
	caught := r.caughtUp(time.Minute)
	catching := time.Since(began)
	m := r.meter().since(before)
	stop()
	if m.batches == 0 {
		return Result{}, errors.New("nothing was charged")
	}
	if floor.after, err = raw(folder, m.perBatch(m.octets), m.perBatch(m.records)); err != nil {
		return Result{}, err
	}
	if floor.callers, err = rawLoop(folder, o.Callers, int(max(m.octets/m.records, 1)), floorSeconds*time.Second); err != nil {
		return Result{}, err
	}
	res := r.result(l, m, floor)
	res.Own["projector_behind_batches"], res.Own["projector_caught_up_seconds"] = behind, catching.Seconds()
	if allowed := max(2*time.Second, l.duration/10); !caught || catching > allowed {
		res.fail("the projector was %.1f s behind at the end; it keeps up if that is no more than %.1f s", catching.Seconds(), allowed.Seconds())
	}
	return res, nil
}

// limit is how long a run may take.
func (o *ChargingOptions) limit() time.Duration {
	if o.Replay > 0 {
		return time.Hour
	}
	return time.Duration(o.Seconds) * time.Second
}

// folder is on the disk that the journal is on, as far as that is known.
func (r *chargingRig) folder() string {
	if r.o.Database != "" {
		return filepath.Dir(r.o.Data)
	}
	return r.o.Data
}

func (m meter) perBatch(n int64) float64 { return float64(n) / float64(m.batches) }

// result is what a run comes to, beside the floors.
func (r *chargingRig) result(l *traffic, m meter, floor floors) Result {
	o, n := r.o, float64(max(l.count.Load(), 1))
	micros := func(d time.Duration) float64 { return d.Seconds() * 1e6 / n }
	res := Result{Name: "charging", Store: r.DB.Dialect().String(), Seconds: l.duration.Seconds(), PerSecond: l.perSecond(), FloorPerSecond: floor.both(),
		P50: l.took.percentile(0.5), P99: l.took.percentile(0.99), RSS: resident(), Own: map[string]any{
			"face": o.Face, "mix": o.Mix, "accounts": o.Accounts, "callers": o.Callers, "paced_rate": o.Rate, "increment_octets": o.Increment,
			"open_seconds": r.opened.Seconds(), "rss_open_mb": r.settled, "rss_peak_mb": statusMB("VmHWM"),
			"p999_ms": l.took.percentile(0.999), "max_ms": l.took.percentile(1),
			"cpu_us_per_charge": micros(m.user + m.system), "cpu_user_us": micros(m.user), "cpu_system_us": micros(m.system), "cores_busy": (m.user + m.system).Seconds() / l.duration.Seconds(),
			"records_per_batch": m.perBatch(m.records), "bytes_per_record": float64(m.octets) / float64(m.records), "batches_per_second": float64(m.batches) / l.duration.Seconds(),
			"floor_before_per_second": floor.before, "floor_after_per_second": floor.after, "floor_same_callers_per_second": floor.callers, "ratio_same_callers": l.perSecond() / floor.callers,
			"late": l.late, "refused": l.bad.Load(),
		}}
	res.Ratio = res.PerSecond / res.FloorPerSecond
	if bad := l.bad.Load(); bad > 0 {
		res.fail("%d of %d requests were refused", bad, l.count.Load())
	}
	if l.late > 0 {
		res.fail("%d requests were due while all %d callers waited for answers, and %d of them were never sent: %d a second is more than it can do", l.late, o.Callers, l.unsent, o.Rate)
	}
	return res
}

// measureHot runs the same callers on accounts of their own and on one wallet of a
// family.
func (r *chargingRig) measureHot(ctx context.Context) (Result, error) {
	r.o.say("%d callers on accounts of their own", r.o.Callers)
	spread, err := r.measure(ctx, sessions(r.pick))
	if err != nil {
		return Result{}, err
	}
	r.o.say("%d callers on one wallet with %d lines", r.o.Callers, family)
	res, err := r.measure(ctx, sessions(r.ofFamily))
	if err != nil {
		return Result{}, err
	}
	ratio := res.PerSecond / spread.PerSecond
	res.Own["spread_per_second"], res.Own["hot_ratio"] = spread.PerSecond, ratio
	res.Failed = append(spread.Failed, res.Failed...)
	if ratio < 0.5 {
		res.fail("one wallet is slower than half: %.2f of what the same callers do on accounts of their own", ratio)
	}
	return res, nil
}

// profile begins a CPU profile, if one is wanted; stop ends it.
func profile(file string) (stop func(), err error) {
	if file == "" {
		return func() {}, nil
	}
	f, err := os.Create(file)
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() { pprof.StopCPUProfile(); f.Close() }, nil
}

// processCPU is what this process has used, in its own code and in the kernel's.
func processCPU() (user, system time.Duration) {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0, 0
	}
	return time.Duration(u.Utime.Nano()), time.Duration(u.Stime.Nano())
}
