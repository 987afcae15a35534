package charging

import (
	"context"
	"embed"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"tandem/bss/charging/core"
	"tandem/edge/credit"
	"tandem/kit/journal"
	"tandem/kit/store"
	"tandem/kit/tmf"
)

//go:embed schema/*.sql
var schemaFiles embed.FS

// Schemas are the room's own tables.
var Schemas = []store.Schema{store.Embedded("charging", schemaFiles)}

// Kinds are the room's resources.
func Kinds() []tmf.Mounted {
	return []tmf.Mounted{&Buckets, &Balances, &TopUps, &Adjustments, &Transfers, &Reservations, &History, &Decisions, &Policies, &Batches,
		&Usages, &UsageSpecifications, &Queries, &LimitChanges, &CreditChanges, &Statements}
}

func init() { // hooks refer back to their kinds
	Buckets.Rows.Complete, Balances.Rows.Complete = completeBuckets, completeBalances
	for k, post := range map[*actionKind]func(*store.Tx, *BalanceAction) error{&TopUps: postTopUp, &Adjustments: postAdjust, &Transfers: postTransfer, &Reservations: postReserve} {
		k.OnPost, k.OnPatch, k.OnDelete, k.Saved = post, patchAction(k), deleteAction(k), keepHistory(k)
	}
	Adjustments.Saved = saveAdjustment
	History.Verbs, History.Moves = tmf.ReadOnly, nil
	Usages.Rows.Complete, Usages.Act = completeUsage, postUsage
	Queries.OnPost = postQuery
	Decisions.OnPost = postDecision
	Statements.OnPost = postStatement
	Policies.OnPost, Policies.Check = postPolicy, checkPolicy
	Batches.OnPost, Batches.OnPatch, Batches.Check = postBatch, patchBatch, checkBatch
}

// Config is what the room is told.
type Config struct {
	DB      *store.DB // what the business knows
	Journal *store.DB // where the journal lies: DB itself on PostgreSQL, a file of its own on SQLite
	Holder  string    // of leases, unique per process start
	Address string    // where other nodes reach this one
	Tenants func(context.Context) ([]string, error)
	Host    func(context.Context) (string, error) // the tenant that keeps the usage of nobody, "": there is none yet; nil: the first tenant
	Lease   time.Duration
	Queue   int
	Clock   func() time.Time
	Log     *slog.Logger
	Clients map[credit.Face]credit.Client
	PINKey  []byte // of the MACs of vouchers' PINs; the same on all nodes

	// Outage is granted to new sessions while nothing can be written, Strangers to who is
	// not known; none: they are refused (R10). See DefaultGrants.
	Outage, Strangers []core.Default
}

// Room runs charging on a node.
type Room struct {
	Config
	Engine  *core.Engine
	journal *journal.Log
	book    *core.Book
	shelves shelves
	kick    chan struct{} // there are commands
	news    chan struct{} // the journal has grown
	stop    context.CancelFunc
	done    sync.WaitGroup
	flying  sync.Map // commands being carried out: since when, by number
	cursors cursors
	upto    atomic.Int64 // position of the journal that all tenants have been projected to
	brands  brands
	host    string    // the tenant that keeps the usage of nobody, as far as the projector knows
	move    core.Move // of the projector
	rows    int       // of what it projects at present
	files   int       // of them, rows of records of files
	taken   taken
	further chan struct{} // the projector has looked at the journal, now and every projectPoll
	log     *slog.Logger
}

// New prepares the room; Start runs it.
func New(c Config) *Room {
	if c.Log == nil {
		c.Log = slog.Default()
	}
	r := &Room{Config: c, log: c.Log, book: core.NewBook(), kick: make(chan struct{}, 1), news: make(chan struct{}, 1), taken: taken{news: make(chan struct{}, 1)}, further: make(chan struct{}, 1)}
	r.shelves.known = map[int64]bool{}
	r.journal = journal.New(c.Journal, "charging", journal.Options{Holder: c.Holder, Address: c.Address, Lease: c.Lease, Log: c.Log})
	r.Engine = core.New(core.Config{Book: r.book, Journal: r.journal, Clock: c.Clock, Log: c.Log, Queue: c.Queue, Lease: c.Lease, Clients: c.Clients, Defaults: c.Outage, Strangers: c.Strangers,
		Before: r.readShelves, Durable: func(int64) { nudge(r.news) }})
	rooms.Store(c.DB, r)
	return r
}

// Start reads the shelf, loads the shards this node gets, and carries out commands
// and projects the journal from then on.
func (r *Room) Start(ctx context.Context) error {
	if err := r.readShelves(ctx); err != nil {
		return err
	}
	if err := r.Engine.Start(ctx); err != nil {
		return err
	}
	run, stop := context.WithCancel(context.WithoutCancel(ctx))
	r.stop = stop
	r.done.Add(3)
	go r.carryOut(run)
	go r.project(run)
	go r.pruneNowAndThen(run)
	nudge(r.kick)
	nudge(r.news)
	return nil
}

// Stop ends it in good order: what was decided is durable and projected as far as
// there is time.
func (r *Room) Stop(ctx context.Context) error {
	rooms.CompareAndDelete(r.DB, r)
	if r.stop == nil {
		return nil
	}
	r.stop()
	r.done.Wait()
	r.stop = nil
	return r.Engine.Close(ctx)
}

// brands are the tenants, asked for again after a second.
type brands struct {
	mu    sync.Mutex
	names []string
	at    time.Time
}

func (r *Room) tenants(ctx context.Context) ([]string, error) {
	r.brands.mu.Lock()
	defer r.brands.mu.Unlock()
	if time.Since(r.brands.at) < time.Second {
		return r.brands.names, nil
	}
	names, err := r.Tenants(ctx)
	if err == nil {
		r.brands.names, r.brands.at = names, time.Now()
	}
	return names, err
}

func nudge(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
