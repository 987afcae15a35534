package tmf

import (
	"maps"
	"slices"
	"time"

	"tandem/kit/store"
)

// AsOf reads what resources were like at instants in the past, each at its own, by the
// record of their changes. It answers for those that have changed since: as they were, or
// nil for one that was made later. What is not in the answer is as it is now, or has changed
// so long ago that the record of it is no longer kept.
func (k *Kind[T, P]) AsOf(tx *store.Tx, at map[string]time.Time) (map[string]P, error) {
	out := map[string]P{}
	k.ready()
	for ids := range slices.Chunk(slices.Sorted(maps.Keys(at)), maxAsOf) {
		if err := k.asOf(tx, ids, at, out); err != nil {
			return nil, err
		}
	}
	return out, nil
}

const maxAsOf = 4096 // ids of one statement; an engine takes no more than 32,766 parameters

// asOf adds what some of the resources were like to out.
func (k *Kind[T, P]) asOf(tx *store.Tx, ids []string, at map[string]time.Time, out map[string]P) error {
	earliest := store.Micros(at[ids[0]])
	for _, id := range ids {
		earliest = min(earliest, store.Micros(at[id]))
	}
	args := append([]any{k.Name, k.API.ID, earliest}, store.Padded(ids)...)
	rows, err := tx.Query("SELECT id, at, rev, op, before FROM tmf_change WHERE tenant = $1 AND kind = $2 AND api = $3 AND at > $4 AND id IN ("+
		store.In(5, len(args)-3)+") ORDER BY id, seq", args...)
	_, err = store.Collect(rows, err, func(r store.Rows) (id string, err error) {
		var when, rev int64
		var op string
		var before []byte
		if err = r.Scan(&id, &when, &rev, &op, &before); err != nil {
			return id, err
		}
		if _, known := out[id]; known || when <= store.Micros(at[id]) {
			return id, nil // the first change after the instant says what was before it
		}
		if op == opCreate {
			out[id] = nil
			return id, nil
		}
		out[id], err = k.decodeStored(before, rev-1)
		return id, err
	})
	return err
}
