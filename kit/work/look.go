package work

import (
	"time"

	"tandem/kit/store"
)

// StateOf says what becomes of a job: "open" with the time of its next run,
// "parked", or "" if there is none. A job under way is open.
func StateOf(tx *store.Tx, kind, key string) (state string, at time.Time, err error) {
	var run int64
	err = tx.Row("SELECT state, run_at FROM work_job WHERE tenant = $1 AND kind = $2 AND key = $3", kind, key).Scan(&state, &run)
	if err == store.ErrNotFound {
		return "", time.Time{}, nil
	}
	return state, store.Instant(run), err
}
