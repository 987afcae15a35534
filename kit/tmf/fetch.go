package tmf

import (
	"fmt"
	"slices"

	"tandem/kit/fault"
	"tandem/kit/store"
)

// fetched is what a transaction has read ahead of a kind, by id.
type fetched map[string]fetchedDoc

type fetchedDoc struct {
	rev    int64
	raw    []byte // nil: there is none
	locked bool
}

type fetchedKey struct{ table, tenant string }

func (k *Kind[T, P]) fetched(tx *store.Tx) fetched {
	v, err := tx.Shared(fetchedKey{k.Table, tx.Tenant()}, func() (any, error) { return fetched{}, nil })
	if err != nil {
		panic(err) // the maker above never fails
	}
	return v.(fetched)
}

// Fetch reads resources by id in one statement, those that are not there included:
// Get, and with lock Lock too, then have them at hand until the transaction ends, as
// it changes them itself. It is for who handles many things in one transaction.
func (k *Kind[T, P]) Fetch(tx *store.Tx, ids []string, lock bool) error {
	k.FetchLater(tx, ids, lock)
	return tx.Flush()
}

// FetchLater is Fetch in one round trip with what else is asked: the resources are at
// hand after [store.Tx.Flush].
func (k *Kind[T, P]) FetchLater(tx *store.Tx, ids []string, lock bool) {
	k.ready()
	known := k.fetched(tx)
	var want []string
	for _, id := range ids {
		if d, ok := known[id]; id != "" && (!ok || lock && !d.locked) {
			want = append(want, id)
		}
	}
	slices.Sort(want)
	for part := range slices.Chunk(slices.Compact(want), maxFetch) {
		k.fetch(tx, known, part, lock)
	}
}

const maxFetch = 64 // ids of one statement

func (k *Kind[T, P]) fetch(tx *store.Tx, known fetched, ids []string, lock bool) {
	args := store.Padded(ids)
	text := "SELECT id, rev, updated_at, doc FROM " + k.Table + " WHERE tenant = $1 AND id IN (" + store.In(2, len(args)) + ")"
	if lock { // in order, so that no two wait for each other
		text += " ORDER BY id" + tx.Dialect().ForUpdate()
	}
	tx.Later(func(rows store.Rows) error {
		docs, err := store.Collect(rows, nil, scanDocument)
		if err != nil {
			return fmt.Errorf("read %s: %w", k.Name, err)
		}
		for _, id := range ids {
			known[id] = fetchedDoc{}
		}
		for _, d := range docs {
			known[d.id] = fetchedDoc{d.rev, d.body, lock}
		}
		return nil
	}, text, args...)
}

func (k *Kind[T, P]) ofFetched(d fetchedDoc, id string) (P, error) {
	if d.raw == nil {
		return nil, fault.Missing(k.Name, id)
	}
	return k.decodeStored(d.raw, d.rev)
}

// note keeps what was fetched in step with what the transaction writes; a nil raw
// says that the resource is gone.
func (k *Kind[T, P]) note(tx *store.Tx, id string, rev int64, raw []byte) {
	if known := k.fetched(tx); len(known) > 0 {
		known[id] = fetchedDoc{rev, raw, raw != nil}
	}
}

// Owners finds by an attribute of Multi the ids of the resources that have any of the
// values, by value and in order; a value that none has is there too, without ids.
func (k *Kind[T, P]) Owners(tx *store.Tx, path string, values []string) (map[string][]string, error) {
	out := map[string][]string{}
	for part := range slices.Chunk(slices.Compact(slices.Sorted(slices.Values(values))), maxFetch) {
		args := store.Padded(part)
		rows, err := tx.Query(fmt.Sprintf("SELECT value, id FROM tmf_multi WHERE tenant = $1 AND tbl = '%s' AND attr = '%s' AND value IN (%s) ORDER BY value, id",
			k.Table, path, store.In(2, len(args))), args...)
		found, err := store.Collect(rows, err, func(r store.Rows) (o [2]string, err error) {
			err = r.Scan(&o[0], &o[1])
			return o, err
		})
		if err != nil {
			return nil, fmt.Errorf("find %s: %w", k.Name, err)
		}
		for _, v := range part {
			out[v] = nil
		}
		for _, o := range found {
			out[o[0]] = append(out[o[0]], o[1])
		}
	}
	return out, nil
}
