package fulfilment

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"tandem/kit/fault"
	"tandem/kit/store"
	"tandem/kit/tmf"
	"tandem/kit/work"
	"tandem/oss/activation/driver"
	"tandem/oss/inventory"
)

const taskJob = "fulfilment.task"

// States of a task.
const (
	taskWaiting   = "waiting"
	taskReady     = "ready"
	taskDone      = "done"
	taskFallen    = "fallen"
	taskSkipped   = "skipped"
	taskCancelled = "cancelled"
	taskUndone    = "undone"
)

// Elements is what the engine needs of activation: make an element hold what is
// desired, confirmed by reading it back. Errors are of package driver.
type Elements interface {
	Ensure(ctx context.Context, tenant, element string, d driver.Desired) (driver.Observed, error)
}

// Opener opens the sealed keys of SIM cards.
type Opener interface {
	Open(sealed []byte, context string) ([]byte, error)
}

// Engine runs the tasks of service orders.
type Engine struct {
	db       *store.DB
	elements Elements
	keys     Opener
	made     map[string]func(key, holder string) (map[string]driver.Secret, error)
	log      *slog.Logger
	outcomes *store.Group[outcome]
}

// Make says how the secrets of entries of a type are made that no card of the stock
// has: from the key that the element knows the entry by, and from who has it, which
// nobody has who had the key before. It is called before the runner starts.
func (e *Engine) Make(typ string, secrets func(key, holder string) (map[string]driver.Secret, error)) {
	e.made[typ] = secrets
}

// NewEngine prepares the engine and gives its jobs to the runner.
func NewEngine(db *store.DB, runner *work.Runner, elements Elements, keys Opener, log *slog.Logger, concurrency int) *Engine {
	e := &Engine{db: db, elements: elements, keys: keys, log: log, made: map[string]func(string, string) (map[string]driver.Secret, error){},
		outcomes: store.NewGroup(db, outcomeLanes, maxOutcomes, succeeded)}
	runner.Handle(taskJob, work.Options{Concurrency: concurrency, MaxAttempts: maxAttempts}, e.run)
	runner.Handle(startJob, work.Options{Concurrency: 1, MaxAttempts: maxAttempts}, e.start)
	runner.Handle(dateJob, work.Options{Concurrency: 1, MaxAttempts: maxAttempts}, e.dateReached)
	return e
}

// What tasks have led to is written together, by this many at most.
const (
	outcomeLanes = 2
	maxOutcomes  = 32
)

// maxAttempts is the runner's: the fault policy decides long before.
const maxAttempts = 1_000_000

// task is a row of fulfilment_task.
type task struct {
	id, order, item, element, state string
	n, attempt, undoing             int64
	do                              Intent
}

const selectTask = "SELECT id, service_order, item, n, element, CASE undoing WHEN 0 THEN desired ELSE undo END, undoing, state, attempt FROM fulfilment_task WHERE tenant = $1 AND "

func scanTask(r interface{ Scan(...any) error }) (t task, err error) {
	var do []byte
	if err = r.Scan(&t.id, &t.order, &t.item, &t.n, &t.element, &do, &t.undoing, &t.state, &t.attempt); err != nil {
		return t, err
	}
	return t, tmf.Decode(do, &t.do)
}

func (e *Engine) scope(tenant string) store.Scope {
	return store.Scope{Tenant: tenant, Actor: "system:fulfilment"}
}

// run does one task: read the intent, make the element agree outside any
// transaction, write the outcome. A process that dies in between leaves the
// intent and the lease; the next run finds the element as it is and goes on.
// What fails on our own side, keys that do not open or books that cannot be
// written, is for the fault policy as well: a person sees it in the end.
func (e *Engine) run(ctx context.Context, job *work.Job) error {
	scope := e.scope(job.Tenant)
	var t task
	var secrets map[string]driver.Secret
	err := e.db.Read(ctx, scope, func(tx *store.Tx) (err error) {
		if t, err = scanTask(tx.Row(selectTask+"id = $2", job.Key)); err != nil || t.state != taskReady {
			return err
		}
		secrets, err = e.secretsOf(tx, t.do)
		return err
	})
	switch {
	case err == store.ErrNotFound, err == nil && t.state != taskReady:
		return e.db.Write(ctx, scope, job.Finish)
	case err != nil && t.id == "":
		return err
	case err == nil:
		err = e.perform(ctx, scope, job, t, secrets)
	}
	if err == nil || errors.Is(err, store.ErrStale) || errors.Is(ctx.Err(), context.Canceled) {
		return err // the lease is lost or the process stops: the outcome is another run's
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), failedIn) // the run's own time may be over
	defer cancel()
	return e.failed(ctx, scope, job, t, err)
}

// failedIn is how long the writing of a failure may take.
const failedIn = 30 * time.Second

// perform makes the element agree and writes the outcome.
func (e *Engine) perform(ctx context.Context, scope store.Scope, job *work.Job, t task, secrets map[string]driver.Secret) error {
	seen, err := e.elements.Ensure(ctx, job.Tenant, t.do.Element, t.do.desired(secrets))
	if err != nil {
		return err
	}
	err = e.outcomes.Write(ctx, scope, outcome{job, t, evidence(seen)})
	if f := fault.Of(err); err != nil && f.Kind != fault.Internal && f.Kind != fault.Unavailable {
		// The element agrees, but our own books do not: a number whose reservation
		// ran out is somebody else's by now. Trying again does not help.
		return &driver.Error{Class: driver.Conflict, Reason: "The element has it, but it cannot be entered: " + f.Reason}
	}
	return err
}

// secretsOf opens the keys that an intent needs.
func (e *Engine) secretsOf(tx *store.Tx, in Intent) (map[string]driver.Secret, error) {
	if in.Absent {
		return nil, nil
	}
	if secrets := e.made[in.Type]; secrets != nil {
		return secrets(in.Key, in.Keys)
	}
	if in.Keys == "" {
		return nil, nil
	}
	sim, err := inventory.SIMOf(tx, in.Keys)
	if err != nil {
		return nil, err
	}
	plain, err := e.keys.Open(sim.Sealed, KeysContext(sim.ICCID))
	if err != nil {
		return nil, fmt.Errorf("open the keys of SIM %s: %w", sim.ICCID, err)
	}
	var keys map[string]string
	if err := tmf.Decode(plain, &keys); err != nil {
		return nil, fmt.Errorf("the keys of SIM %s are not readable", sim.ICCID) // the error would quote them
	}
	out := map[string]driver.Secret{}
	for name, v := range keys {
		out[name] = driver.NewSecret(v)
	}
	return out, nil
}

// KeysContext binds the sealed keys of a SIM card to the card, so that a sealed
// value copied to another row does not open.
func KeysContext(iccid string) string { return "sim/" + iccid }

// evidence is what the element said when it was read back.
func evidence(o driver.Observed) string {
	if !o.Present {
		return o.Key + " is absent"
	}
	b, err := tmf.Encode(o.Attributes)
	if err != nil {
		return o.Key
	}
	return o.Key + " " + string(b)
}

// outcome is a task whose element agrees, and what that said when it was read back.
type outcome struct {
	job  *work.Job
	task task
	seen string
}

// succeeded writes confirmed tasks and starts what waited for them. A task whose intent
// was turned round meanwhile (undoing) refuses the outcome of the old intent: the whole
// transaction fails, and the job runs again. Tasks of one order are written one after the
// other, since one may change what the next one is part of.
func succeeded(tx *store.Tx, all []outcome) error {
	for len(all) > 0 {
		var round, later []outcome
		orders := map[string]bool{}
		for _, o := range all {
			if orders[o.task.order] {
				later = append(later, o)
				continue
			}
			orders[o.task.order] = true
			round = append(round, o)
		}
		if err := roundSucceeded(tx, slices.Sorted(maps.Keys(orders)), round); err != nil {
			return err
		}
		all = later
	}
	return nil
}

// roundSucceeded writes confirmed tasks of as many orders. It asks together what each of
// them needs, and takes locks in one sequence, so that no two wait for each other: the
// orders, as everybody who changes one, then the jobs, both by id.
func roundSucceeded(tx *store.Tx, orders []string, round []outcome) error {
	ServiceOrders.FetchLater(tx, orders, true)
	slices.SortFunc(round, func(a, b outcome) int { return cmp.Compare(a.job.ID, b.job.ID) })
	for _, o := range round {
		if err := o.job.Finish(tx); err != nil {
			return err
		}
	}
	all := make([]closing, len(round))
	for i, o := range round {
		state := taskDone
		if o.task.undoing == 1 {
			state = taskUndone
		}
		tx.QueueOne("UPDATE fulfilment_task SET state = $3, attempt = attempt + 1, class = '', cause = '', evidence = $4, at = $5 WHERE tenant = $1 AND id = $2 AND state = 'ready' AND undoing = $6",
			o.task.id, state, o.seen, store.Micros(tx.Now()), o.task.undoing)
		all[i].task = o.task
		all[i].ask(tx)
	}
	if err := tx.Flush(); err != nil {
		return err
	}
	var services []string
	for i := range all {
		services = append(services, all[i].prepare(tx)...)
	}
	inventory.Services.FetchLater(tx, services, true)
	if err := tx.Flush(); err != nil {
		return err
	}
	for _, c := range all {
		if err := c.end(tx); err != nil {
			return err
		}
	}
	return nil
}

// closing is a task that is being closed: the tasks behind it may start, and its item
// is complete with its last one.
type closing struct {
	task task
	open int64 // tasks of the item that are left without it
	item itemRow
	uses []*use // what the item takes from pools, if it is complete; nil: not asked
}

// closeTask counts a task as closed.
func closeTask(tx *store.Tx, t task) error {
	c := closing{task: t}
	c.ask(tx)
	if err := tx.Flush(); err != nil {
		return err
	}
	return c.end(tx)
}

// ask reads the item, which nobody else changes from now on.
func (c *closing) ask(tx *store.Tx) {
	tx.Later(func(rows store.Rows) (err error) {
		if !rows.Next() {
			return store.ErrNotFound
		}
		c.item, err = scanItemWith(rows, &c.open)
		if c.open--; err == nil && c.open < 0 {
			err = fmt.Errorf("item %s of order %s has no open task", c.task.item, c.task.order)
		}
		return err
	}, "SELECT open_tasks, "+itemColumns+" FROM fulfilment_item WHERE tenant = $1 AND service_order = $2 AND item = $3"+tx.Dialect().ForUpdate(),
		c.task.order, c.task.item)
}

// prepare asks for what the item takes from pools, if this is its end, and says which
// services it will change.
func (c *closing) prepare(tx *store.Tx) []string {
	if c.open > 0 || c.item.state == PendingCancellation {
		return nil
	}
	c.uses = takeLater(tx, c.item.before, c.item.graph)
	return c.item.services()
}

// end takes the task off its item. The end of the item writes that it has none left.
func (c *closing) end(tx *store.Tx) error {
	if c.open > 0 {
		tx.QueueOne("UPDATE fulfilment_item SET open_tasks = open_tasks - 1 WHERE tenant = $1 AND service_order = $2 AND item = $3", c.task.order, c.task.item)
	}
	if c.item.arrows {
		if err := startBehind(tx, c.task.id); err != nil {
			return err
		}
	}
	if c.open > 0 {
		return nil
	}
	return finishItem(tx, c.item, c.uses)
}

// startBehind starts the tasks that waited for id alone. A gate needs no
// element: it is closed as soon as nothing is left to wait for.
func startBehind(tx *store.Tx, id string) error {
	rows, err := tx.Query("SELECT after FROM fulfilment_arrow WHERE tenant = $1 AND before = $2 ORDER BY after", id)
	behind, err := store.Collect(rows, err, store.Text)
	if err != nil {
		return err
	}
	for _, next := range behind {
		var waits, n int64
		var state, order, item string
		err := tx.Row("UPDATE fulfilment_task SET waits_for = waits_for - 1 WHERE tenant = $1 AND id = $2 RETURNING waits_for, state, n, service_order, item", next).
			Scan(&waits, &state, &n, &order, &item)
		if err != nil {
			return err
		}
		if waits > 0 || state != taskWaiting {
			continue
		}
		if n < 0 {
			tx.QueueOne("UPDATE fulfilment_task SET state = 'done', at = $3 WHERE tenant = $1 AND id = $2", next, store.Micros(tx.Now()))
			if err := closeTask(tx, task{id: next, order: order, item: item}); err != nil {
				return err
			}
			continue
		}
		tx.QueueOne("UPDATE fulfilment_task SET state = 'ready', at = $3 WHERE tenant = $1 AND id = $2", next, store.Micros(tx.Now()))
		if err := work.Enqueue(tx, taskJob, next, nil, tx.Now()); err != nil {
			return err
		}
	}
	return nil
}

// failed lets the fault policy decide what an error means. One of an element that
// was not asked at all, because it is out of service, left alone or busy, is no
// attempt: the task waits until it can be made.
func (e *Engine) failed(ctx context.Context, scope store.Scope, job *work.Job, t task, failure error) error {
	var of driver.Error
	if known := (*driver.Error)(nil); errors.As(failure, &known) {
		of = *known
	}
	if of.Unsent {
		return work.Retry(max(of.RetryAfter, notYet(int(job.Attempt))), failure)
	}
	class, cause := classOf(failure), short(failure)
	var wait time.Duration
	err := e.db.Write(ctx, scope, func(tx *store.Tx) error {
		p, err := policyFor(tx, t.do.Type, string(class))
		if err != nil {
			return err
		}
		now := store.Micros(tx.Now())
		wait = 0
		if t.attempt+1 < p.Tries {
			wait = max(p.wait(t.attempt), of.RetryAfter)
			tx.QueueOne("UPDATE fulfilment_task SET attempt = attempt + 1, class = $3, cause = $4, at = $5 WHERE tenant = $1 AND id = $2 AND state = 'ready' AND undoing = $6",
				t.id, string(class), cause, now, t.undoing)
			return nil
		}
		if err := job.Finish(tx); err != nil {
			return err
		}
		tx.QueueOne("UPDATE fulfilment_task SET state = 'fallen', attempt = attempt + 1, class = $3, cause = $4, at = $5 WHERE tenant = $1 AND id = $2 AND state = 'ready' AND undoing = $6",
			t.id, string(class), cause, now, t.undoing)
		return fallOut(tx, t, string(class), cause, p)
	})
	if err == nil && wait > 0 {
		return work.Retry(wait, failure)
	}
	if err != nil && !errors.Is(err, store.ErrStale) {
		err = fmt.Errorf("%w, which cannot be written: %w", failure, err)
	}
	return err
}

// classOf is the class of an error. What another room refuses, such as an element
// that is not there, stays refused until a person changes something.
func classOf(err error) driver.Class {
	if f := fault.Of(err); f.Kind != fault.Internal && f.Kind != fault.Unavailable {
		return driver.Validation
	}
	return driver.ClassOf(err)
}

// notYet is how long to wait before the n-th look whether the element can be asked.
var notYet = work.Exponential(time.Second, time.Minute)

const longestCause = 1000 // bytes; people look fallouts up by their cause

// short is what is kept of an error.
func short(err error) string {
	s := strings.ReplaceAll(err.Error(), "\x00", "")
	return strings.ToValidUTF8(s[:min(len(s), longestCause)], "")
}
