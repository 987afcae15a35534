package tmf

import (
	"sync"

	"tandem/kit/store"
)

// Catalogues and specifications are read a thousand times for each write. Each
// tenant's have one mark, the generation; what was read and decoded under a mark is
// good for every transaction that finds the same mark. Marks are unique for ever: one
// that was rolled back never comes again with other content.

// Generation is the mark of the tenant's catalogue and specifications, as the
// transaction first saw it. It is "" if there is none to go by: nothing was ever
// written, or this transaction itself has changed something.
func Generation(tx *store.Tx) (string, error) {
	g, err := generationOf(tx)
	if err != nil || g.changed {
		return "", err
	}
	return g.mark, nil
}

// GenerationNow is the mark as it is now: who has read several things one after the
// other learns whether any of it has changed meanwhile.
func GenerationNow(tx *store.Tx) (mark string, err error) {
	err = tx.Row(selectMark).Scan(&mark)
	if err == store.ErrNotFound {
		return "", nil
	}
	return mark, err
}

// Renew gives the tenant's catalogue and specifications a new mark, and lets one
// transaction at a time change them.
func Renew(tx *store.Tx) error {
	g, err := generationOf(tx)
	if err != nil || g.changed {
		return err
	}
	_, err = tx.Exec("INSERT INTO tmf_generation (tenant, mark) VALUES ($1, $2) ON CONFLICT (tenant) DO UPDATE SET mark = excluded.mark", NewID())
	g.changed = err == nil
	return err
}

type generation struct {
	mark    string
	known   bool // it was read
	changed bool // by this transaction
}

type generationKey struct{ tenant string }

func generationOf(tx *store.Tx) (*generation, error) {
	g := generationFrom(tx)
	if g.known {
		return g, nil
	}
	GenerationLater(tx)
	return g, tx.Flush()
}

func generationFrom(tx *store.Tx) *generation {
	v, err := tx.Shared(generationKey{tx.Tenant()}, func() (any, error) { return &generation{}, nil })
	if err != nil {
		panic(err) // the maker above never fails
	}
	return v.(*generation)
}

const selectMark = "SELECT mark FROM tmf_generation WHERE tenant = $1"

// GenerationLater reads the mark in one round trip with what else is asked, for who will
// read of the catalogue.
func GenerationLater(tx *store.Tx) {
	g := generationFrom(tx)
	if g.known {
		return
	}
	tx.Later(func(rows store.Rows) error {
		g.known = true
		if !rows.Next() {
			return nil
		}
		return rows.Scan(&g.mark)
	}, selectMark)
}

// still is what was read of a Still kind of one tenant under one mark. Nobody
// changes a resource that lies in it.
type still[P any] struct {
	mark string
	mu   sync.Mutex
	seen map[string]P
}

// What a process keeps of one Still kind at most; it begins anew beyond.
const (
	maxStill        = 20_000 // resources of one tenant
	maxStillTenants = 1_000
)

func newStill[P any](mark string) *still[P] { return &still[P]{mark: mark, seen: map[string]P{}} }

func (s *still[P]) get(id string) (P, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, ok := s.seen[id]
	return p, ok
}

func (s *still[P]) put(id string, p P) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.seen) >= maxStill {
		clear(s.seen)
	}
	s.seen[id] = p
}

// stills are those of a Kind, by tenant.
type stills[P any] struct {
	mu sync.Mutex
	of map[string]*still[P]
}

func (s *stills[P]) under(tenant, mark string) *still[P] {
	s.mu.Lock()
	defer s.mu.Unlock()
	if kept := s.of[tenant]; kept != nil && kept.mark == mark {
		return kept
	}
	if s.of == nil || len(s.of) >= maxStillTenants {
		s.of = map[string]*still[P]{}
	}
	fresh := newStill[P](mark)
	s.of[tenant] = fresh
	return fresh
}

type stillKey struct{ table, tenant string }

// view is what a transaction reads a Still kind through: the process's, or its own
// once it has written.
type view[P any] struct{ *still[P] }

func (k *Kind[T, P]) seen(tx *store.Tx) (*view[P], error) {
	v, err := tx.Shared(stillKey{k.Table, tx.Tenant()}, func() (any, error) {
		mark, err := Generation(tx)
		if err != nil {
			return nil, err
		}
		if mark == "" {
			return &view[P]{newStill[P]("")}, nil
		}
		return &view[P]{k.stills.under(tx.Tenant(), mark)}, nil
	})
	if err != nil {
		return nil, err
	}
	return v.(*view[P]), nil
}

// unstill makes ready for a write: others will read anew, and this transaction
// reads what it writes.
func (k *Kind[T, P]) unstill(tx *store.Tx) error {
	if !k.Still {
		return nil
	}
	if err := Renew(tx); err != nil {
		return err
	}
	v, err := k.seen(tx)
	if err == nil {
		v.still = newStill[P]("")
	}
	return err
}

// Look reads one resource of a Still kind for reading only: others hold the same.
// fault.Missing if the tenant has none with this id.
func (k *Kind[T, P]) Look(tx *store.Tx, id string) (P, error) {
	k.ready()
	seen, err := k.seen(tx)
	if err != nil {
		return nil, err
	}
	if p, ok := seen.get(id); ok {
		return p, nil
	}
	p, err := k.load(tx, k.texts.get, id)
	if err == nil {
		seen.put(id, p)
	}
	return p, err
}
