package work

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/go-json-experiment/json"

	"tandem/kit/store"
)

// Job is one run of a job.
type Job struct {
	ID        int64
	Tenant    string
	Kind, Key string
	Attempt   int64  // 1 at the first run
	LastError string // of the attempt before
	RunAt     time.Time
	CreatedAt time.Time

	epoch    int64
	payload  string
	renewed  time.Time // when the lease was last known to hold; the keeper's
	lose     context.CancelFunc
	lost     atomic.Bool
	nudged   bool // somebody enqueued this kind during the run; guarded by Runner.mu
	finished atomic.Bool
}

// Decode reads the payload into v.
func (j *Job) Decode(v any) error {
	if err := json.Unmarshal([]byte(j.payload), v); err != nil {
		return fmt.Errorf("work: payload of %s %s: %w", j.Kind, j.Key, err)
	}
	return nil
}

// Scope is for transactions on behalf of the job: its tenant, and the kind as actor.
func (j *Job) Scope() store.Scope { return store.Scope{Tenant: j.Tenant, Actor: "system:" + j.Kind} }

// Finish ends the job as part of tx, which writes the outcome; return its error
// from the transaction. ErrStale, at the latest when the transaction ends, says that the
// lease was lost and the outcome must not be written: somebody else is about to, or the
// job was cancelled.
func (j *Job) Finish(tx *store.Tx) error {
	if j.lost.Load() {
		return store.ErrStale
	}
	y := tx.System()
	y.Later(func(rows store.Rows) error {
		if !rows.Next() {
			return store.ErrStale
		}
		rows.Close()
		// An Enqueue of this transaction may stand between the question and these two.
		y.Queue("DELETE FROM work_job WHERE id = $1 AND again_at = 0", j.ID)
		y.Queue(`UPDATE work_job SET epoch = epoch + 1, lease_until = 0, owner = '', again_at = 0, attempt = 0, last_error = '', run_at = again_at
			WHERE id = $1`, j.ID)
		return nil
	}, "SELECT id FROM work_job WHERE id = $1 AND epoch = $2"+tx.Dialect().ForUpdate(), j.ID, j.epoch)
	tx.OnCommit(func() { j.finished.Store(true) })
	return nil
}

// fail writes a failed attempt: the job waits for its next try, or is parked.
// An Enqueue during the run is a new intention: its time counts as well, and it
// is tried rather than parked.
func (j *Job) fail(tx *store.Tx, v verdict) error {
	next := store.Micros(tx.Now().Add(v.after))
	attempt, state := j.Attempt, "open"
	if v.free {
		attempt--
	}
	if v.parked {
		state = "parked"
	}
	tx.System().QueueOne(`UPDATE work_job SET epoch = epoch + 1, lease_until = 0, owner = '', last_error = $4,
		attempt = CASE WHEN again_at = 0 THEN $5 ELSE 0 END,
		state = CASE WHEN again_at = 0 THEN $6 ELSE 'open' END,
		run_at = CASE WHEN again_at > 0 AND (again_at < $3 OR $6 = 'parked') THEN again_at ELSE $3 END,
		again_at = CASE WHEN again_at > $3 AND $6 = 'open' THEN again_at ELSE 0 END
		WHERE id = $1 AND epoch = $2`, j.ID, j.epoch, next, v.reason, attempt, state)
	return nil
}

// giveBack leaves the job to whoever claims it next, as if it had not been run.
func (j *Job) giveBack(tx *store.Tx) error {
	tx.System().QueueOne(`UPDATE work_job SET epoch = epoch + 1, lease_until = 0, owner = '', attempt = attempt - 1
		WHERE id = $1 AND epoch = $2`, j.ID, j.epoch)
	return nil
}
