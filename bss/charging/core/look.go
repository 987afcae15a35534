package core

import (
	"context"

	"tandem/kit/fault"
	"tandem/kit/journal"
)

// LookAt is Look that also says with which record of its shard the account became as
// it is. The record may not be durable yet; see Settled.
func (e *Engine) LookAt(ref Ref, fn func(a *Account, record uint64)) error {
	sh := e.shards[ref.Shard()]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if !sh.held.Load() {
		return ErrAway
	}
	a := sh.account(ref.Slot())
	if a == nil {
		return fault.New(fault.NotFound, "charging.account", "This account is not open for charging")
	}
	fn(a, sh.records)
	return nil
}

// Settled returns when what was decided up to now is durable; an error says that
// some of it may have been lost. ErrAway: this node decides on nothing.
func (e *Engine) Settled(ctx context.Context) error {
	wait := make(chan error, 1)
	for _, sh := range e.shards {
		if e.afterAll(sh, func(err error) { wait <- err }) {
			return e.await(ctx, wait)
		}
	}
	return ErrAway
}

// Recall builds shards from what is durable, beside the engine and whoever holds
// them, and calls fn with each account and the last record of its shard that is in
// it. The accounts are valid until Recall returns.
func (e *Engine) Recall(ctx context.Context, want journal.Set, fn func(ref Ref, a *Account, record uint64)) error {
	x := New(Config{Book: e.Book, Journal: e.Journal, Clock: e.Clock, Log: e.Log, Lease: e.Lease})
	if err := x.load(ctx, want); err != nil {
		return err
	}
	want.Each(func(i int) {
		sh := x.shards[i]
		for _, a := range sh.accounts {
			if a != nil {
				fn(NewRef(i, a.slot), a, sh.records)
			}
		}
	})
	return nil
}
