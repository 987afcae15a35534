// Package app builds every room once and runs them as one operator.
//
//	New: open the store, migrate, wire the score (flow.go), mount the APIs
//	Start: lab, activation, jobs, facts, hub, HTTP     Stop: the same, backwards
package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"tandem/app/broadband"
	"tandem/app/mobile"
	"tandem/app/selfcare"
	"tandem/bss/billing"
	"tandem/bss/billing/render"
	"tandem/bss/catalog"
	"tandem/bss/charging"
	"tandem/bss/communication"
	"tandem/bss/ledger"
	"tandem/bss/ledger/recognition"
	"tandem/bss/order"
	"tandem/bss/party"
	"tandem/bss/receivable"
	"tandem/bss/revenue"
	"tandem/bss/subscription"
	"tandem/edge/credit"
	"tandem/edge/diameter"
	"tandem/edge/lab"
	"tandem/edge/nchf"
	"tandem/edge/radius"
	"tandem/kit/access"
	"tandem/kit/outbox"
	"tandem/kit/store"
	"tandem/kit/tmf"
	"tandem/kit/transfer"
	"tandem/kit/work"
	"tandem/oss/activation"
	"tandem/oss/activation/driver"
	"tandem/oss/activation/driver/hlr"
	"tandem/oss/activation/driver/kea"
	aaa "tandem/oss/activation/driver/radius"
	"tandem/oss/fulfilment"
	"tandem/oss/inventory"
	"tandem/oss/spec"
)

// Config is all that a node is told.
type Config struct {
	Data          string // folder of the embedded store, keys, transfers and the lab
	Database      string // postgres://...; empty: SQLite in Data
	Listen        string // HOST:PORT
	AdminToken    string // bootstrap superuser
	Tenant        string // the first tenant, the host; default "host"
	AllowLocal    bool   // callbacks and webhooks may go to this machine: tests and demo
	Rate          float64
	Lab           bool // start the lab's elements in this process
	LabFaults     lab.Faults
	Concurrency   int           // service order tasks at once
	Lease         time.Duration // of a job whose node died
	Conns         int           // store connections
	KeepHistory   time.Duration // how long it is kept what each write of a resource changed; 0: for ever
	Messages      communication.Config
	Cards         receivable.CardConfig // gateways that card payments go through
	Profile       bool                  // serve /debug/pprof
	Faces         Faces
	ChargingQueue int // calls waiting for the disk at which charging sheds; 0: a default
	Log           *slog.Logger
	Clock         func() time.Time
	Around        func(durable bool) // of every commit, see store.Config: tests end the process there
}

// App is a running node.
type App struct {
	Config
	DB      *store.DB
	Guard   *access.Guard
	Sealer  *access.Sealer
	Bus     *outbox.Bus
	Runner  *work.Runner
	Network *activation.Activation
	Hub     *tmf.Hub
	API     *tmf.Server
	Lab     *lab.HLR // nil without the lab

	Charging *charging.Room
	mediator *charging.Mediator
	cards    *receivable.Cards
	clients  map[credit.Face]credit.Client // the ways back to network elements
	gy       *diameter.Server              // nil without it
	gyAddr   string
	chf      *nchf.Server
	chfAddr  string
	radius   *radius.Server
	register *aaa.Register // logins of lines

	broadband *broadband.Access // nil without RADIUS

	handler http.Handler
	metrics *metrics
	server  *http.Server
	addr    net.Addr
	stack   []func() // what Stop undoes, last first
	ready   atomic.Bool

	verifying sync.Mutex // one report at a time
}

// Kinds are all resources served, in the order of the house.
func Kinds() []tmf.Mounted {
	var out []tmf.Mounted
	for _, room := range [][]tmf.Mounted{
		party.Kinds(), catalog.Kinds(), subscription.Kinds(), order.Kinds(), ledger.Kinds(), recognition.Kinds(), billing.Kinds(), receivable.Kinds(), revenue.Kinds(), charging.Kinds(), communication.Kinds(),
		spec.Kinds(), inventory.Kinds(), activation.Kinds(), fulfilment.Kinds(),
	} {
		out = append(out, room...)
	}
	return out
}

// transfers are the catalogues that are imported and exported.
var transfers = []*transfer.Jobs{catalog.Jobs, spec.ServiceJobs, spec.ResourceJobs}

// Schemas are the tables that rooms own besides those of their kinds.
func Schemas() []store.Schema {
	out := []store.Schema{tmf.Schema(), outbox.Schema(), work.Schema(), access.Schema()}
	for _, room := range [][]store.Schema{
		subscription.Schemas, order.Schemas, ledger.Schemas, recognition.Schemas, billing.Schemas, receivable.Schemas, revenue.Schemas, charging.Schemas, communication.Schemas,
		spec.Schemas, inventory.Schemas, activation.Schemas, aaa.Schemas, kea.Schemas, fulfilment.Schemas, selfcare.Schemas,
	} {
		out = append(out, room...)
	}
	return out
}

// New opens and migrates the store and builds the rooms. Stop closes it again,
// also when Start was never called.
func New(ctx context.Context, c Config) (*App, error) {
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Tenant == "" {
		c.Tenant = "host"
	}
	if c.Concurrency == 0 {
		c.Concurrency = 32
	}
	a := &App{Config: c, metrics: newMetrics()}
	if err := a.assemble(ctx); err != nil {
		a.Stop()
		return nil, err
	}
	return a, nil
}

func (a *App) assemble(ctx context.Context) error {
	if err := os.MkdirAll(a.Data, 0o700); err != nil {
		return fmt.Errorf("data folder: %w", err)
	}
	if err := a.openStore(ctx); err != nil {
		return err
	}
	return a.build(ctx)
}

func (a *App) openStore(ctx context.Context) (err error) {
	c := store.Config{URL: a.Database, Conns: a.Conns, Clock: a.Clock, Log: a.Log, Around: a.Around}
	if a.Database == "" {
		c.Path = filepath.Join(a.Data, "tandem.db")
	}
	if a.DB, err = store.Open(ctx, c); err != nil {
		return err
	}
	a.push(a.DB.Close)
	if err := a.DB.Migrate(ctx, Schemas()...); err != nil {
		return err
	}
	return tmf.Migrate(ctx, a.DB, Kinds())
}

func (a *App) build(ctx context.Context) (err error) {
	if a.Guard, err = access.New(a.DB, a.Log, access.Config{AdminToken: a.AdminToken, Tenant: a.Tenant}); err != nil {
		return err
	}
	if err := a.Guard.Prepare(ctx); err != nil {
		return err
	}
	key, err := access.LoadKey(filepath.Join(a.Data, "secret.key"))
	if err != nil {
		return err
	}
	if a.Sealer, err = access.NewSealer(key); err != nil {
		return err
	}
	party.Keep("subscription", subscription.Needs)
	party.Keep("billing", billing.Needs)
	order.Payer(billing.SettlePayer)
	a.Bus = outbox.New(a.DB, a.Log)
	a.register = aaa.NewRegister(a.DB, a.Tenant, a.Sealer)
	if err := a.openCharging(ctx, key); err != nil {
		return err
	}
	score(a.Bus, a.Charging)
	a.Runner = work.New(a.DB, a.Log, work.Config{Lease: a.Lease})
	a.connect()
	a.Network.Handle(a.Runner)
	if a.chf != nil {
		a.Charging.HandlePolicy(a.Runner, spending{a})
	}
	fulfilment.NewEngine(a.DB, a.Runner, a.Network, a.Sealer, a.Log, a.Concurrency).
		Make(driver.RADIUSUser, broadband.Passwords(derived(key, "broadband: passwords of logins")))
	order.Handle(a.Runner, a.DB)
	billing.Handle(a.Runner, a.DB)
	recognition.Handle(a.Runner, a.DB)
	receivable.Handle(a.Runner, a.DB)
	gateways, closing, err := a.Config.Cards.Open()
	a.push(closing)
	if err != nil {
		return err
	}
	a.cards = &receivable.Cards{DB: a.DB, Of: gateways, Tenants: a.tenants}
	a.cards.Handle(a.Runner)
	inventory.Handle(a.Runner, a.DB)
	a.handleAssurance()
	delivery, err := communication.NewDelivery(a.DB, a.Messages)
	if err != nil {
		return err
	}
	delivery.Documents = billing.Documents(a.DB, render.Letter)
	delivery.Handle(a.Runner)
	files := transfer.Config{Folder: filepath.Join(a.Data, "transfer"), Client: tmf.Outbound(a.AllowLocal, 30*time.Second),
		Allow: func(url string) error { return tmf.CheckOutbound("url", url, a.AllowLocal) }, Rights: a.rights}
	for _, jobs := range transfers {
		jobs.Run(a.Runner, a.DB, files)
	}
	a.Hub = tmf.NewHub(a.DB, Kinds(), tmf.HubOptions{AllowLocal: a.AllowLocal, Keep: a.KeepHistory, Authorize: a.authorize, Audit: access.Audit, Log: a.Log})
	a.API = tmf.NewServer(a.DB, Kinds(), tmf.Options{Authenticate: a.authenticate, Rate: a.Rate, Hub: a.Hub, Log: a.Log})
	a.handler = a.routes()
	return nil
}

// connect prepares what talks to elements; nothing is sent before it is used.
func (a *App) connect() {
	o := activation.Options{Log: a.Log, Drivers: map[string]driver.Factory{"osmo-hlr": hlr.New, aaa.Element: a.register.New, "kea-dhcp4": kea.NewTurns(a.DB, a.Tenant).New}}
	if a.Sealer != nil {
		o.Keys = a.Sealer
	}
	a.Network = activation.New(a.DB, o)
	a.push(func() {
		if err := a.Network.Close(); err != nil {
			a.Log.Warn("elements", "error", err)
		}
	})
}

func (a *App) push(f func()) { a.stack = append(a.stack, f) }

// Start runs what works in the background, and then the listener: a node that
// answers is a node that works.
func (a *App) Start(ctx context.Context) error {
	if a.Config.Lab {
		if err := a.startLab(ctx); err != nil {
			return err
		}
	}
	if err := a.startCharging(ctx); err != nil {
		return err
	}
	if err := a.startFaces(); err != nil {
		return err
	}
	if err := a.Bus.Start(ctx); err != nil {
		return err
	}
	a.push(a.Bus.Stop)
	if err := a.keepAssurance(ctx); err != nil {
		return err
	}
	if err := a.Runner.Start(ctx); err != nil {
		return err
	}
	a.push(a.Runner.Stop)
	a.Hub.Start(ctx)
	a.push(a.Hub.Stop)
	if a.Listen == "" {
		a.ready.Store(true)
		return nil
	}
	return a.listen()
}

func (a *App) listen() error {
	l, err := net.Listen("tcp", a.Listen)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", a.Listen, err)
	}
	a.addr = l.Addr()
	a.server = &http.Server{Handler: a.handler, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 30 * time.Second,
		WriteTimeout: 60 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 32 << 10, ErrorLog: slog.NewLogLogger(a.Log.Handler(), slog.LevelWarn)}
	go func() {
		if err := a.server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			a.Log.Error("the listener stopped", "error", err)
		}
	}()
	a.push(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(context.Background()), 10*time.Second)
		defer cancel()
		if err := a.server.Shutdown(ctx); err != nil {
			a.Log.Warn("some requests were cut off", "error", err)
		}
	})
	a.ready.Store(true)
	return nil
}

// Addr is where the node listens, "" if it does not.
func (a *App) Addr() string {
	if a.addr == nil {
		return ""
	}
	return a.addr.String()
}

// Stop ends what runs, last started first, and waits for it.
func (a *App) Stop() {
	a.ready.Store(false)
	for i := len(a.stack) - 1; i >= 0; i-- {
		a.stack[i]()
	}
	a.stack = nil
}

// startLab starts the lab's HLR on the data folder and names it to activation as
// the host's element, unless an element of that name is configured otherwise.
func (a *App) startLab(ctx context.Context) error {
	dir := filepath.Join(a.Data, "lab")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	h, err := lab.StartHLR(ctx, lab.HLRConfig{Dir: dir, CTRLAddr: "127.0.0.1:0", VTYAddr: "127.0.0.1:0", Faults: a.LabFaults})
	if err != nil {
		return fmt.Errorf("lab: %w", err)
	}
	a.Lab = h
	a.push(func() { h.Close() })
	return a.DB.Write(ctx, store.Scope{Tenant: a.Tenant, Actor: "system:lab"}, func(tx *store.Tx) error {
		known, err := activation.Elements(tx)
		if err != nil {
			return err
		}
		for _, e := range known {
			if e.Name == mobile.Element && e.Owner == a.Tenant && e.Note != labNote {
				a.Log.Warn("the lab's HLR is not used: the host has named an element hlr itself", "address", e.Address)
				return nil
			}
		}
		return activation.SaveElement(tx, activation.Element{Name: mobile.Element, Type: "osmo-hlr", Address: h.Addr(), VTY: h.VTYAddr(),
			Enabled: true, Note: labNote})
	})
}
