package work

import (
	"embed"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json"

	"tandem/kit/fault"
	"tandem/kit/store"
)

//go:embed schema/*.sql
var schemaFiles embed.FS

// Schema is the tables of jobs.
func Schema() store.Schema { return store.Embedded("work", schemaFiles) }

const enqueue = `INSERT INTO work_job (tenant, kind, key, state, run_at, again_at, attempt, lease_until, owner, epoch, done, payload, last_error, created_at)
	VALUES ($1, $2, $3, 'open', $4, 0, 0, 0, '', 0, 0, $5, '', $6)
	ON CONFLICT (tenant, kind, key) DO UPDATE SET
		payload = excluded.payload,
		state = 'open',
		attempt = CASE WHEN work_job.state = 'parked' THEN 0 ELSE work_job.attempt END,
		run_at = CASE WHEN work_job.state = 'parked' THEN excluded.run_at
			WHEN work_job.owner = '' AND excluded.run_at < work_job.run_at THEN excluded.run_at
			ELSE work_job.run_at END,
		again_at = CASE WHEN work_job.owner <> '' AND (work_job.again_at = 0 OR excluded.run_at < work_job.again_at) THEN excluded.run_at
			ELSE work_job.again_at END`

// Enqueue asks, as part of tx, for a run of kind's handler at the given time
// (zero: now). Payload is kept as JSON. For a key that has a job already see
// "One job a key" in the package's description.
func Enqueue(tx *store.Tx, kind, key string, payload any, at time.Time) error {
	body, err := json.Marshal(payload)
	if err != nil {
		return fmt.Errorf("work: payload of %s %s: %w", kind, key, err)
	}
	if at.IsZero() {
		at = tx.Now()
	}
	tx.Queue(enqueue, kind, key, store.Micros(at), string(body), store.Micros(tx.Now()))
	_, _ = tx.Memo(wakeOnce(kind), func() (any, error) { // the maker below never fails
		tx.OnCommit(func() { wakeAll(kind) })
		return true, nil
	})
	return nil
}

type wakeOnce string

// Cancel removes the job, waiting or parked. A running one loses its lease: its
// outcome will be refused, and its context is cancelled, at once on this node
// and at the next renewal on another.
func Cancel(tx *store.Tx, kind, key string) {
	tx.Queue("DELETE FROM work_job WHERE tenant = $1 AND kind = $2 AND key = $3", kind, key)
	tx.OnCommit(checkAll)
}

// Parked is a job that waits for a person.
type Parked struct {
	ID        int64
	Kind, Key string
	Attempts  int64
	Error     string // of the last attempt
	Payload   string
	CreatedAt time.Time
}

// ListParked lists the tenant's parked jobs of a kind (empty: of all), in the
// order of their ids, after the given one.
func ListParked(tx *store.Tx, kind string, after int64, limit int) ([]Parked, error) {
	rows, err := tx.Query(`SELECT id, kind, key, attempt, last_error, payload, created_at FROM work_job
		WHERE tenant = $1 AND state = 'parked' AND ($2 = '' OR kind = $2) AND id > $3 ORDER BY id LIMIT $4`, kind, after, limit)
	return store.Collect(rows, err, func(r store.Rows) (p Parked, err error) {
		var at int64
		err = r.Scan(&p.ID, &p.Kind, &p.Key, &p.Attempts, &p.Error, &p.Payload, &at)
		p.CreatedAt = store.Instant(at)
		return p, err
	})
}

// Release opens a parked job again, with no attempts used.
func Release(tx *store.Tx, kind, key string) error {
	n, err := tx.Exec(`UPDATE work_job SET state = 'open', attempt = 0, run_at = $4
		WHERE tenant = $1 AND kind = $2 AND key = $3 AND state = 'parked'`, kind, key, store.Micros(tx.Now()))
	if err == nil && n == 0 {
		return notParked(kind, key)
	}
	tx.OnCommit(func() { wakeAll(kind) })
	return err
}

// Drop gives a parked job up for good; who and why is kept with it.
func Drop(tx *store.Tx, kind, key, reason string) error {
	if strings.TrimSpace(reason) == "" {
		return fault.BadInput("reasonMissing", "Say why the job is dropped")
	}
	n, err := tx.Exec(`INSERT INTO work_dropped (tenant, id, kind, key, payload, attempt, last_error, actor, reason, at)
		SELECT tenant, id, kind, key, payload, attempt, last_error, $4, $5, $6 FROM work_job
		WHERE tenant = $1 AND kind = $2 AND key = $3 AND state = 'parked'`, kind, key, tx.Actor(), reason, store.Micros(tx.Now()))
	if err == nil && n == 0 {
		return notParked(kind, key)
	}
	tx.Queue("DELETE FROM work_job WHERE tenant = $1 AND kind = $2 AND key = $3 AND state = 'parked'", kind, key)
	return err
}

func notParked(kind, key string) error {
	return fault.New(fault.NotFound, "notFound", "There is no parked %s job %q", kind, key)
}

// Retry says when to try again, instead of the kind's back-off. With a nil err
// nothing failed, it is only too early: the attempt does not count.
func Retry(after time.Duration, err error) error { return &retry{after, err} }

type retry struct {
	after time.Duration
	err   error
}

func (r *retry) Error() string {
	if r.err == nil {
		return "not yet"
	}
	return r.err.Error()
}
func (r *retry) Unwrap() error { return r.err }

// Park says that trying again is useless: a person has to look at it.
func Park(err error) error { return &park{err} }

type park struct{ err error }

func (p *park) Error() string { return p.err.Error() }
func (p *park) Unwrap() error { return p.err }

// Exponential is a back-off that doubles from first up to most, with a quarter
// of jitter either way, so that what failed together is not tried together.
func Exponential(first, most time.Duration) func(attempt int) time.Duration {
	return func(attempt int) time.Duration {
		d := most
		if shift := max(attempt-1, 0); shift < 20 && first<<shift < most {
			d = first << shift
		}
		return d - d/4 + rand.N(d/2+1)
	}
}

// verdict is what becomes of a job whose handler failed.
type verdict struct {
	after  time.Duration
	free   bool // the attempt does not count
	parked bool
	reason string
}

func (o Options) judge(err error, attempt int64) verdict {
	var r *retry
	var p *park
	v := verdict{reason: short(err)}
	switch {
	case errors.As(err, &p):
		v.parked = true
	case errors.As(err, &r):
		v.after, v.free = r.after, r.err == nil
		v.parked = !v.free && attempt >= int64(o.MaxAttempts)
	default:
		v.after = o.Backoff(int(attempt))
		v.parked = attempt >= int64(o.MaxAttempts)
	}
	return v
}

func short(err error) string {
	s := err.Error()
	return strings.ToValidUTF8(strings.ReplaceAll(s[:min(len(s), 2000)], "\x00", ""), "")
}

// running is the runners of this process: a commit of Enqueue wakes them all.
var running runners

type runners struct {
	mu  sync.RWMutex
	all map[*Runner]bool
}

func (s *runners) set(r *Runner, on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all == nil {
		s.all = map[*Runner]bool{}
	}
	if on {
		s.all[r] = true
		return
	}
	delete(s.all, r)
}

func wakeAll(kind string) {
	running.mu.RLock()
	defer running.mu.RUnlock()
	for r := range running.all {
		r.wakeKind(kind)
	}
}

func checkAll() {
	running.mu.RLock()
	defer running.mu.RUnlock()
	for r := range running.all {
		poke(r.check)
	}
}
