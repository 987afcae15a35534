package work

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"

	"tandem/kit/store"
)

const (
	poll         = 250 * time.Millisecond // how late a job of another node is noticed
	defaultLease = 30 * time.Second
	grace        = 5 * time.Second // running handlers have this long to end by themselves at Stop
	finishTries  = 5               // of writing a handler's end
)

// Config says who runs jobs.
type Config struct {
	Node  string        // name of this node, for people who look at the table
	Lease time.Duration // how long a dead node's jobs are left alone; 0: 30 s
}

// Options says how a kind of job is run. Zero values mean the defaults.
type Options struct {
	Concurrency int                             // handlers at once on this node; 4
	MaxAttempts int                             // then the job is parked; 10
	Backoff     func(attempt int) time.Duration // wait after the n-th failure; Exponential(1 s, 5 min)
	Timeout     time.Duration                   // of one run; 5 min
}

// Handler does one job. It must be safe to run again: after a crash, a lost
// lease or an unknown outcome it will be.
type Handler func(ctx context.Context, job *Job) error

// Runner claims due jobs and runs their handlers. Make it with New, register
// with Handle, then Start.
type Runner struct {
	db     *store.DB
	log    *slog.Logger
	config Config
	owner  string // this life of this node
	kinds  []*kind
	lookup string // SQL: when is the next job of each kind due

	wake   chan struct{}      // capacity 1: look for jobs
	check  chan struct{}      // capacity 1: look whether the leases still hold
	cancel context.CancelFunc // of claiming
	abort  context.CancelFunc // of the handlers' contexts
	free   context.CancelFunc // of keeping leases
	claims sync.WaitGroup
	jobs   sync.WaitGroup
	keeper sync.WaitGroup

	mu      sync.Mutex
	running map[int64]*Job
	ended   chan struct{} // closed when a job ends; nil while nobody waits
}

type kind struct {
	name    string
	options Options
	handler Handler

	// Guarded by Runner.mu.
	free  int  // handlers that could start
	look  bool // there may be a due job
	dueAt int64
}

// New is a runner without handlers.
func New(db *store.DB, log *slog.Logger, c Config) *Runner {
	if c.Lease <= 0 {
		c.Lease = defaultLease
	}
	return &Runner{db: db, log: log, config: c, wake: make(chan struct{}, 1), check: make(chan struct{}, 1), running: map[int64]*Job{}}
}

// Handle registers the handler of a kind. Register all before Start; a kind
// registered twice is a programmer's error.
func (r *Runner) Handle(name string, o Options, h Handler) {
	if slices.ContainsFunc(r.kinds, func(k *kind) bool { return k.name == name }) {
		panic("work: kind " + name + " is handled twice")
	}
	o.Concurrency = cmp.Or(max(o.Concurrency, 0), 4)
	o.MaxAttempts = cmp.Or(max(o.MaxAttempts, 0), 10)
	o.Timeout = cmp.Or(max(o.Timeout, 0), 5*time.Minute)
	if o.Backoff == nil {
		o.Backoff = Exponential(time.Second, 5*time.Minute)
	}
	r.kinds = append(r.kinds, &kind{name: name, options: o, handler: h})
}

// Start begins to run jobs until ctx ends or Stop is called.
func (r *Runner) Start(ctx context.Context) error {
	r.owner = r.config.Node + "/" + ulid.Make().String()
	if r.db.Dialect() == store.SQLite {
		if err := r.voidLeases(ctx); err != nil {
			return fmt.Errorf("work: start: %w", err)
		}
	}
	r.lookup = lookupSQL(len(r.kinds))
	for _, k := range r.kinds {
		k.free, k.look = k.options.Concurrency, true
	}
	handlers, abort := context.WithCancel(ctx)
	claims, cancel := context.WithCancel(ctx)
	keeping, free := context.WithCancel(context.WithoutCancel(ctx)) // as long as a handler runs
	r.abort, r.cancel, r.free = abort, cancel, free
	running.set(r, true)
	r.claims.Go(func() { r.dispatch(claims, handlers) })
	r.keeper.Go(func() { r.keepLeases(keeping) })
	return nil
}

// Stop claims nothing any more and waits for the running handlers; those that
// take longer than a few seconds have their context cancelled. What did not
// finish is given back at once, without an attempt counted.
func (r *Runner) Stop() {
	if r.cancel == nil {
		return
	}
	running.set(r, false)
	r.cancel()
	r.claims.Wait()
	timer := time.AfterFunc(grace, r.abort)
	r.jobs.Wait()
	timer.Stop()
	r.abort()
	r.free()
	r.keeper.Wait()
	r.cancel = nil
}

func (r *Runner) voidLeases(ctx context.Context) error {
	return r.db.Write(ctx, store.Scope{Actor: "system:work"}, func(tx *store.Tx) error {
		tx.System().Queue("UPDATE work_job SET owner = '', lease_until = 0 WHERE owner <> ''")
		return nil
	})
}

func (r *Runner) wakeKind(name string) {
	r.mu.Lock()
	for _, k := range r.kinds {
		if k.name == name {
			k.look = true
		}
	}
	for _, j := range r.running {
		if j.Kind == name {
			j.nudged = true // it may have been asked to run once more
		}
	}
	r.mu.Unlock()
	poke(r.wake)
}

// poke fills a channel of capacity one without waiting.
func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// dispatch claims jobs for free handlers: when woken, when the next timer is
// due, and every poll in any case (other nodes, a clock that jumped).
func (r *Runner) dispatch(ctx, handlers context.Context) {
	tick := time.NewTicker(poll)
	defer tick.Stop()
	var timer <-chan time.Time
	for {
		if err := r.claimAll(ctx, handlers); err != nil && ctx.Err() == nil {
			r.log.Error("work: claiming failed; trying again", "err", err)
		}
		if next := r.nextDue(); next > 0 {
			timer = time.After(max(time.Millisecond, store.Instant(next).Sub(r.db.Now())))
		}
		select {
		case <-r.wake:
		case <-timer:
			timer = nil
			r.lookDue(ctx)
		case <-tick.C:
			r.lookDue(ctx)
			r.signal()
		case <-ctx.Done():
			return
		}
	}
}

// nextDue is the time of the next known timer that comes before the next poll.
func (r *Runner) nextDue() (next int64) {
	now := r.db.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, k := range r.kinds {
		soon := k.dueAt > store.Micros(now) && k.dueAt < store.Micros(now.Add(poll))
		if soon && (next == 0 || k.dueAt < next) {
			next = k.dueAt
		}
	}
	return next
}

// lookupSQL asks for each kind when its next job that nobody runs is due. $1 is
// now, the kinds are $2 and on.
func lookupSQL(kinds int) string {
	var parts []string
	for i := range kinds {
		parts = append(parts, fmt.Sprintf(`SELECT %d AS n, coalesce((SELECT run_at FROM work_job
			WHERE kind = $%d AND state = 'open' AND lease_until <= $1 ORDER BY run_at LIMIT 1), 0) AS due`, i, i+2))
	}
	return strings.Join(parts, " UNION ALL ")
}

// lookDue marks the kinds that have due jobs and remembers when the others have.
func (r *Runner) lookDue(ctx context.Context) {
	if len(r.kinds) == 0 {
		return
	}
	now := store.Micros(r.db.Now())
	args := []any{now}
	for _, k := range r.kinds {
		args = append(args, k.name)
	}
	type due struct{ n, at int64 }
	var all []due
	err := r.db.Read(ctx, store.Scope{}, func(tx *store.Tx) error {
		rows, err := tx.System().Query(r.lookup, args...)
		all, err = store.Collect(rows, err, func(r store.Rows) (d due, err error) {
			err = r.Scan(&d.n, &d.at)
			return d, err
		})
		return err
	})
	if err != nil {
		if ctx.Err() == nil {
			r.log.Error("work: looking for due jobs failed; trying again", "err", err)
		}
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, d := range all {
		k := r.kinds[d.n]
		k.dueAt = d.at
		k.look = k.look || d.at > 0 && d.at <= now
	}
}

// The inner SELECT is materialised: PostgreSQL may otherwise run it again and
// lock more rows than asked for.
func claimSQL(d store.Dialect) string {
	return `WITH due AS MATERIALIZED (
		SELECT id FROM work_job WHERE kind = $1 AND state = 'open' AND run_at <= $2 AND lease_until <= $2
		ORDER BY run_at, id LIMIT $3` + d.SkipLocked() + `)
	UPDATE work_job SET owner = $4, lease_until = $5, epoch = epoch + 1, attempt = attempt + 1,
		again_at = CASE WHEN again_at > $2 THEN again_at ELSE 0 END
	WHERE id IN (SELECT id FROM due)
	RETURNING id, tenant, kind, key, run_at, created_at, attempt, epoch, payload, last_error`
}

// claimAll claims for every kind that may have due jobs and has a free handler.
func (r *Runner) claimAll(ctx, handlers context.Context) error {
	type ask struct {
		kind *kind
		n    int
	}
	var asks []ask
	r.mu.Lock()
	for _, k := range r.kinds {
		if k.look && k.free > 0 {
			k.look = false
			asks = append(asks, ask{k, k.free})
		}
	}
	r.mu.Unlock()
	if len(asks) == 0 {
		return nil
	}
	var claimed []*Job
	started := time.Now()
	err := r.db.Write(ctx, store.Scope{Actor: "system:work"}, func(tx *store.Tx) error {
		claimed = nil
		until := tx.Now().Add(r.config.Lease)
		for _, a := range asks {
			rows, err := tx.System().Query(claimSQL(tx.Dialect()), a.kind.name, store.Micros(tx.Now()), a.n, r.owner, store.Micros(until))
			jobs, err := store.Collect(rows, err, scanJob)
			if err != nil {
				return err
			}
			claimed = append(claimed, jobs...)
		}
		return nil
	})
	if err != nil {
		claimed = nil
	}
	slices.SortFunc(claimed, func(a, b *Job) int { return cmp.Or(a.RunAt.Compare(b.RunAt), cmp.Compare(a.ID, b.ID)) })
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, a := range asks {
		n := 0
		for _, j := range claimed {
			if j.Kind == a.kind.name {
				n++
				r.begin(handlers, a.kind, j, started)
			}
		}
		a.kind.look = a.kind.look || n == a.n || err != nil
	}
	return err
}

func scanJob(r store.Rows) (*Job, error) {
	j := &Job{}
	var runAt, createdAt int64
	err := r.Scan(&j.ID, &j.Tenant, &j.Kind, &j.Key, &runAt, &createdAt, &j.Attempt, &j.epoch, &j.payload, &j.LastError)
	j.RunAt, j.CreatedAt = store.Instant(runAt), store.Instant(createdAt)
	return j, err
}

// begin starts the handler of a claimed job. The caller holds mu.
func (r *Runner) begin(handlers context.Context, k *kind, j *Job, claimed time.Time) {
	ctx, cancel := context.WithTimeout(handlers, k.options.Timeout)
	j.lose, j.renewed = cancel, claimed
	r.running[j.ID] = j
	k.free--
	r.jobs.Go(func() {
		defer cancel()
		r.do(ctx, handlers, k, j)
		r.mu.Lock()
		delete(r.running, j.ID)
		k.free++
		k.look = k.look || j.nudged
		hungry := k.look
		r.mu.Unlock()
		if hungry {
			poke(r.wake)
		}
		r.signal()
	})
}

// do runs the handler and writes how it ended.
func (r *Runner) do(ctx, handlers context.Context, k *kind, j *Job) {
	if j.Attempt > int64(k.options.MaxAttempts) {
		// Only a claim that never came to an end goes beyond: the process died.
		err := fmt.Errorf("started %d times, and the last run did not come to an end; last error: %s", j.Attempt-1, cmp.Or(j.LastError, "none"))
		r.end(ctx, j, "park", func(tx *store.Tx) error { return j.fail(tx, verdict{parked: true, reason: short(err)}) })
		return
	}
	err := safely(ctx, k.handler, j)
	switch {
	case j.finished.Load():
		if err != nil {
			r.log.Warn("work: handler failed after it finished its job", "kind", j.Kind, "key", j.Key, "tenant", j.Tenant, "err", err)
		}
	case j.lost.Load():
		r.log.Warn("work: lease lost; the job runs elsewhere or was cancelled", "kind", j.Kind, "key", j.Key, "tenant", j.Tenant, "err", err)
	case err == nil:
		r.end(ctx, j, "finish", j.Finish)
	case handlers.Err() != nil:
		r.end(ctx, j, "give back", j.giveBack)
	default:
		v := k.options.judge(err, j.Attempt)
		switch {
		case v.parked:
			r.log.Warn("work: job parked", "kind", j.Kind, "key", j.Key, "tenant", j.Tenant, "attempts", j.Attempt, "err", err)
		case !v.free:
			r.log.Info("work: attempt failed; trying again", "kind", j.Kind, "key", j.Key, "tenant", j.Tenant, "attempts", j.Attempt, "wait", v.after, "err", err)
		}
		r.end(ctx, j, "fail", func(tx *store.Tx) error { return j.fail(tx, v) })
		if !v.parked {
			r.due(k, r.db.Now().Add(v.after))
		}
	}
}

// due remembers that a job of the kind will be due, so that it runs on time.
func (r *Runner) due(k *kind, at time.Time) {
	r.mu.Lock()
	if us := store.Micros(at); k.dueAt <= store.Micros(r.db.Now()) || us < k.dueAt {
		k.dueAt = us
	}
	r.mu.Unlock()
	poke(r.wake)
}

// end writes the end of a run. If the store is away for longer than the tries,
// the lease runs out and the job is run again, which handlers must stand.
func (r *Runner) end(ctx context.Context, j *Job, what string, fn func(*store.Tx) error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.config.Lease) // the handler's time may be over
	defer cancel()
	var err error
	for try := range finishTries {
		if err = r.db.Write(ctx, j.Scope(), fn); err == nil || errors.Is(err, store.ErrStale) || errors.Is(err, store.ErrClosed) {
			break
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Duration(try+1) * 50 * time.Millisecond):
		}
	}
	if err != nil {
		r.log.Warn("work: could not "+what+" a job", "kind", j.Kind, "key", j.Key, "tenant", j.Tenant, "err", err)
	}
}

// safely turns a handler's panic into its error.
func safely(ctx context.Context, h Handler, j *Job) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("work: panic in handler: %v\n%s", p, debug.Stack())
		}
	}()
	return h(ctx, j)
}

// keepLeases renews the leases of running jobs and cancels those that were lost.
func (r *Runner) keepLeases(ctx context.Context) {
	tick := time.NewTicker(r.config.Lease / 3)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-r.check:
		case <-ctx.Done():
			return
		}
		if err := r.renew(ctx); err != nil && ctx.Err() == nil {
			r.log.Error("work: renewing leases failed; trying again", "err", err)
		}
	}
}

const renewSlice = 200 // leases renewed by one statement

func (r *Runner) renew(ctx context.Context) error {
	r.mu.Lock()
	var jobs []*Job
	for _, j := range r.running {
		jobs = append(jobs, j)
	}
	r.mu.Unlock()
	var failed error
	for part := range slices.Chunk(jobs, renewSlice) {
		began := time.Now()
		held, err := r.renewSlice(ctx, part)
		failed = errors.Join(failed, err)
		for _, j := range part {
			switch {
			case err == nil && held[j.ID] == j.epoch:
				j.renewed = began
			case err == nil || time.Since(j.renewed) > r.config.Lease:
				j.lost.Store(true)
				j.lose()
			}
		}
	}
	return failed
}

func (r *Runner) renewSlice(ctx context.Context, jobs []*Job) (held map[int64]int64, err error) {
	slices.SortFunc(jobs, func(a, b *Job) int { return cmp.Compare(a.ID, b.ID) })
	err = r.db.Write(ctx, store.Scope{Actor: "system:work"}, func(tx *store.Tx) error {
		held = map[int64]int64{}
		args := []any{r.owner, store.Micros(tx.Now().Add(r.config.Lease))}
		for _, j := range jobs {
			args = append(args, j.ID)
		}
		rows, err := tx.System().Query("UPDATE work_job SET lease_until = $2 WHERE owner = $1 AND id IN ("+store.In(3, len(jobs))+") RETURNING id, epoch", args...)
		_, err = store.Collect(rows, err, func(r store.Rows) (id int64, err error) {
			var epoch int64
			err = r.Scan(&id, &epoch)
			held[id] = epoch
			return id, err
		})
		return err
	})
	return held, err
}

// Idle waits until no job of this runner's kinds is due, whoever runs it.
// Timers in the future, retries not yet due and parked jobs do not count.
func (r *Runner) Idle(ctx context.Context) error {
	for {
		ended := r.watch()
		left, err := r.dueJobs(ctx)
		if err != nil || left == 0 {
			return err
		}
		select {
		case <-ended:
		case <-ctx.Done():
			return fmt.Errorf("work: %d jobs are due or running: %w", left, ctx.Err())
		}
	}
}

func (r *Runner) dueJobs(ctx context.Context) (n int64, err error) {
	if len(r.kinds) == 0 {
		return 0, nil
	}
	args := []any{store.Micros(r.db.Now())}
	for _, k := range r.kinds {
		args = append(args, k.name)
	}
	err = r.db.Read(ctx, store.Scope{}, func(tx *store.Tx) error {
		return tx.System().Row("SELECT count(*) FROM work_job WHERE state = 'open' AND run_at <= $1 AND kind IN ("+store.In(2, len(r.kinds))+")", args...).Scan(&n)
	})
	return n, err
}

func (r *Runner) watch() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended == nil {
		r.ended = make(chan struct{})
	}
	return r.ended
}

func (r *Runner) signal() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended != nil {
		close(r.ended)
		r.ended = nil
	}
}
