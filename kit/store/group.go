package store

import (
	"context"
	"errors"
	"slices"
	"sync"
)

// Group lets callers that have the same to write at the same time share a transaction:
// one commit for them all, and one round trip for what all of them ask. Who comes while
// others write waits for them, and so the group is as large as there is load.
type Group[T any] struct {
	db    *DB
	most  int
	write func(tx *Tx, all []T) error
	lanes chan struct{}

	mu      sync.Mutex
	waiting []*grouped[T]
}

type grouped[T any] struct {
	ctx   context.Context
	scope Scope
	value T
	done  chan error // capacity 1
}

// NewGroup is a group that writes up to most values in one transaction, and has so many
// of these under way. write is given values of one tenant and actor; it may be called for
// several, and again with each value by itself: a failure takes nothing of the others with it.
func NewGroup[T any](db *DB, lanes, most int, write func(tx *Tx, all []T) error) *Group[T] {
	return &Group[T]{db: db, most: most, write: write, lanes: make(chan struct{}, lanes)}
}

// Write writes v, with what others write now; when it returns nil, v is durable.
func (g *Group[T]) Write(ctx context.Context, s Scope, v T) error {
	own := &grouped[T]{ctx, s, v, make(chan error, 1)}
	g.mu.Lock()
	g.waiting = append(g.waiting, own)
	g.mu.Unlock()
	select {
	case err := <-own.done:
		return err
	case g.lanes <- struct{}{}:
	case <-ctx.Done():
		if g.leave(own) {
			return ctx.Err()
		}
		return <-own.done // somebody writes it: only the outcome says whether it is durable
	}
	g.lead(own)
	<-g.lanes
	return <-own.done
}

// lead writes those that wait, until the own value was among them or none is left.
func (g *Group[T]) lead(own *grouped[T]) {
	for all := g.take(); len(all) > 0; all = g.take() {
		g.together(all)
		if slices.Contains(all, own) {
			return
		}
	}
}

func (g *Group[T]) take() []*grouped[T] {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := min(len(g.waiting), g.most)
	all := slices.Clone(g.waiting[:n])
	g.waiting = slices.Delete(g.waiting, 0, n)
	return all
}

// leave takes a value back that nobody writes yet.
func (g *Group[T]) leave(v *grouped[T]) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	i := slices.Index(g.waiting, v)
	if i < 0 {
		return false
	}
	g.waiting = slices.Delete(g.waiting, i, i+1)
	return true
}

// together writes values in one transaction, or if that fails each in one of its own.
func (g *Group[T]) together(all []*grouped[T]) {
	var err error
	if len(all) > 1 {
		err = g.db.Write(all[0].ctx, Scope{}, func(tx *Tx) error { return g.byScope(tx, all) })
	}
	alone := len(all) == 1 || err != nil && !errors.Is(err, ErrAway)
	for _, v := range all {
		if alone {
			err = g.db.Write(v.ctx, v.scope, func(tx *Tx) error { return g.write(tx, []T{v.value}) })
		}
		v.done <- err
	}
}

func (g *Group[T]) byScope(tx *Tx, all []*grouped[T]) error {
	of := map[Scope][]T{}
	var scopes []Scope
	for _, v := range all {
		if of[v.scope] == nil {
			scopes = append(scopes, v.scope)
		}
		of[v.scope] = append(of[v.scope], v.value)
	}
	for _, s := range scopes {
		if err := g.write(tx.As(s), of[s]); err != nil {
			return err
		}
	}
	return nil
}
