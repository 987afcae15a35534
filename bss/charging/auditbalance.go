package charging

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"tandem/bss/charging/core"
	"tandem/kit/fault"
	"tandem/kit/journal"
	"tandem/kit/store"
)

// A balance is audited at one place of the journal, however much it moves meanwhile:
//
//	entries, up to a batch C ──> + moves of the journal behind C, up to record N ──┐
//	                                                                               ├── the same?
//	memory of this node, or pages and journal, up to record N of the shard ────────┘

const (
	auditAtOnce   = 500 // accounts of one look
	shardsRecall  = 16  // recalled at once: a sixteenth of all accounts is in memory twice
	writtenTooFar = 1000
)

// audited is an account while it is looked at, and what its entries say.
type audited struct {
	account
	upto   int64           // position of the journal
	booked map[int64]int64 // by bucket: what the entries up to there add up to
	has    map[int64]int64 // by bucket: what is in it
	record uint64          // of its shard, up to which that is so
	known  bool            // the account is open
	away   bool            // another node decides for it
}

// AuditBalances holds what is in the buckets of a tenant's accounts against the sum
// of their entries, at one place of the journal each, and hands found the accounts
// that differ. Accounts of other nodes are looked at as the journal has them. It says
// how many were judged; the ones that cannot be are an error.
func (r *Room) AuditBalances(ctx context.Context, tenant string, found func(account, words string) error) (judged int64, err error) {
	return r.auditBalances(ctx, tenant, func(a *audited, words string) error { return found(a.ID, words) })
}

func (r *Room) auditBalances(ctx context.Context, tenant string, found func(a *audited, words string) error) (judged int64, err error) {
	if err := r.readShelves(ctx); err != nil {
		return 0, err
	}
	var away [journal.Shards][]int64
	for after := int64(0); ; {
		page, err := r.accounts(ctx, tenant, "number > $2 ORDER BY number LIMIT $3", after, auditAtOnce)
		if err != nil {
			return judged, err
		}
		if len(page) == 0 {
			break
		}
		after = page[len(page)-1].Number
		if err := r.judge(ctx, tenant, page, r.here, found); err != nil {
			return judged, err
		}
		for i := range page {
			if a := &page[i]; a.away {
				away[a.Number%journal.Shards] = append(away[a.Number%journal.Shards], a.Number)
			} else {
				judged++
			}
		}
	}
	n, err := r.auditAway(ctx, tenant, &away, found)
	return judged + n, err
}

// auditAway audits the accounts that this node does not decide for, some shards at a time.
func (r *Room) auditAway(ctx context.Context, tenant string, away *[journal.Shards][]int64, found func(a *audited, words string) error) (judged int64, err error) {
	for first := 0; first < journal.Shards; first += shardsRecall {
		numbers := slices.Concat(away[first : first+shardsRecall]...)
		var all []audited
		for some := range slices.Chunk(numbers, auditAtOnce) {
			args := make([]any, len(some))
			for i, n := range some {
				args[i] = n
			}
			page, err := r.accounts(ctx, tenant, "number IN ("+store.In(2, len(args))+")", args...)
			if err != nil {
				return judged, err
			}
			all = append(all, page...)
		}
		if len(all) == 0 {
			continue
		}
		if err := r.judge(ctx, tenant, all, r.recalled, found); err != nil {
			return judged, err
		}
		judged += int64(len(all))
	}
	return judged, nil
}

// AuditBalance does so for one account.
func (r *Room) AuditBalance(ctx context.Context, tenant, id string) (words string, err error) {
	say := func(_ *audited, w string) error { words = w; return nil }
	page, err := r.accounts(ctx, tenant, "id = $2", id)
	if err != nil {
		return "", err
	}
	if err := r.judge(ctx, tenant, page, r.here, say); err != nil {
		return "", err
	}
	if len(page) == 1 && page[0].away {
		err = r.judge(ctx, tenant, page, r.recalled, say)
	}
	return words, err
}

// accounts are some of a tenant's.
func (r *Room) accounts(ctx context.Context, tenant, where string, args ...any) (page []audited, err error) {
	err = r.read(ctx, tenant, func(tx *store.Tx) error {
		rows, err := tx.Query(readAccount+where, args...)
		page, err = store.Collect(rows, err, func(r store.Rows) (audited, error) {
			a, err := scanAccount(r)
			return audited{account: a}, err
		})
		return err
	})
	return page, err
}

// judge compares what the entries of some accounts say with what is in them, by
// whichever way that is found out.
func (r *Room) judge(ctx context.Context, tenant string, page []audited, look func(context.Context, []audited) error, found func(a *audited, words string) error) error {
	for some := range slices.Chunk(page, auditAtOnce) {
		if err := r.booked(ctx, tenant, some); err != nil {
			return err
		}
	}
	if err := look(ctx, page); err != nil {
		return err
	}
	if err := r.bring(ctx, page); err != nil {
		return err
	}
	for i := range page {
		a := &page[i]
		words := ""
		switch {
		case a.away:
			continue
		case a.known:
			words = difference(a.booked, a.has)
		default:
			waits, err := r.opens(ctx, tenant, a.Number)
			if err != nil {
				return err
			}
			if !waits {
				words = "is not open for charging, and nothing is about to open it"
			}
		}
		if words != "" {
			if err := found(a, words); err != nil {
				return err
			}
		}
	}
	return nil
}

// opens says that the command that opens an account waits, or was refused.
func (r *Room) opens(ctx context.Context, tenant string, account int64) (yes bool, err error) {
	err = r.read(ctx, tenant, func(tx *store.Tx) error {
		var n int64
		err := tx.Row("SELECT count(*) FROM charging_command WHERE tenant = $1 AND account = $2 AND state <> 'done'", account).Scan(&n)
		yes = n > 0
		return err
	})
	return yes, err
}

// booked reads what the entries of some accounts add up to, and up to where.
func (r *Room) booked(ctx context.Context, tenant string, page []audited) error {
	args, at := make([]any, len(page)), map[int64]*audited{}
	for i := range page {
		args[i], at[page[i].Number] = page[i].Number, &page[i]
	}
	const cursor = "SELECT seq FROM charging_cursor WHERE tenant = $1 AND part = 1"
	return r.read(ctx, tenant, func(tx *store.Tx) error {
		for range writtenTooFar {
			var before, after int64
			if err := tx.Row(cursor).Scan(&before); err != nil && err != store.ErrNotFound {
				return err
			}
			for i := range page {
				page[i].booked = map[int64]int64{}
			}
			rows, err := tx.Query("SELECT account, bucket, sum(amount) FROM charging_entry WHERE tenant = $1 AND account IN ("+store.In(2, len(args))+") GROUP BY account, bucket", args...)
			_, err = store.Collect(rows, err, func(r store.Rows) (bucket int64, err error) {
				var account, sum int64
				err = r.Scan(&account, &bucket, &sum)
				if a := at[account]; a != nil {
					a.booked[bucket] = sum
				}
				return bucket, err
			})
			if err != nil {
				return err
			}
			if err := tx.Row(cursor).Scan(&after); err != nil && err != store.ErrNotFound {
				return err
			}
			if before == after {
				for i := range page {
					page[i].upto = before
				}
				return nil
			}
		}
		return fault.Away(nil, "The entries of %s are written faster than they can be added up; verify when there is less traffic", tenant)
	})
}

// here looks at the accounts this node decides for, in memory.
func (r *Room) here(ctx context.Context, page []audited) error {
	some := false
	for i := range page {
		a := &page[i]
		err := r.Engine.LookAt(refOf(a.Number), func(x *core.Account, record uint64) { a.see(x, record) })
		switch {
		case err == core.ErrAway:
			a.away = true
		case err != nil && !fault.Is(err, fault.NotFound):
			return err
		default:
			some = true
		}
	}
	if !some {
		return nil
	}
	return r.Engine.Settled(ctx) // what was seen must not be lost before it is compared
}

// recalled looks at accounts as the journal has them.
func (r *Room) recalled(ctx context.Context, page []audited) error {
	at := map[int64]*audited{}
	want := journal.Set{}
	for i := range page {
		page[i].away = false
		at[page[i].Number] = &page[i]
		want.Add(int(page[i].Number % journal.Shards))
	}
	return r.Engine.Recall(ctx, want, func(ref core.Ref, x *core.Account, record uint64) {
		if a := at[numberOf(ref)]; a != nil {
			a.see(x, record)
		}
	})
}

func (a *audited) see(x *core.Account, record uint64) {
	a.has, a.record, a.known = map[int64]int64{}, record, true
	for i := range x.Buckets {
		a.has[int64(x.Buckets[i].ID)] = x.Buckets[i].Value
	}
}

// bring brings what is booked of accounts to the records up to which they were seen:
// by the moves of the journal that were not written down when the entries were read,
// and without those that came after the look.
func (r *Room) bring(ctx context.Context, page []audited) error {
	at, want, after := map[int64]*audited{}, journal.Set{}, int64(-1)
	for i := range page {
		a := &page[i]
		if !a.known {
			continue
		}
		at[a.Number] = a
		want.Add(int(a.Number % journal.Shards))
		if after < 0 || a.upto < after {
			after = a.upto
		}
	}
	if len(at) == 0 {
		return nil
	}
	var m core.Move
	return r.journal.Replay(ctx, after, want, func(seq int64, b *journal.Batch) error {
		return core.Scan(b.Blob, b.First, func(rec *core.Record, next func(*core.Move) bool) error {
			moved := func(ref core.Ref) *audited { // nil: what moves there is not asked for
				if a := at[numberOf(ref)]; a != nil && seq > a.upto && rec.N <= a.record {
					return a
				}
				return nil
			}
			a := moved(rec.Ref())
			for next(&m) {
				switch {
				case m.Op == core.MoveAccount: // records of a file: several accounts of the shard
					a = moved(core.NewRef(rec.Shard, m.ID))
				case a == nil:
				case m.Op == core.MoveDebit:
					a.booked[int64(m.ID)] -= m.Amount
				case m.Op == core.MoveCredit:
					a.booked[int64(m.ID)] += m.Amount
				}
			}
			return nil
		})
	})
}

// difference is in words what is not the same, "" if all is.
func difference(booked, has map[int64]int64) string {
	var out []string
	for b, value := range has {
		if booked[b] != value {
			out = append(out, fmt.Sprintf("bucket %d holds %d, but its entries add up to %d", b, value, booked[b]))
		}
	}
	for b, sum := range booked {
		if _, there := has[b]; !there && sum != 0 {
			out = append(out, fmt.Sprintf("bucket %d is gone, but its entries add up to %d", b, sum))
		}
	}
	slices.Sort(out)
	return strings.Join(out, "; ")
}
