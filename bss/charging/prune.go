package charging

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/go-json-experiment/json"

	"tandem/kit/store"
)

// The journal grows by what is decided, and is read in full by nobody who runs. A
// batch goes when no snapshot needs it, every brand has it in its tables, and an
// audit has held the tables and the tariffs against it. What the audit read off it is
// kept as a mark, with its sums, so that later audits still hold all usage rows
// against all that was ever decided.
const (
	pruneEvery = 10 * time.Minute
	keepBatch  = 24 * time.Hour // in which a person can still read what was decided
)

// mark is how far the journal of a tenant was audited, and what it said up to there.
type mark struct {
	Seq      int64
	Number   int64 // of the last usage row of that part
	Unjudged int64
	totals
	chains []openChain
}

// openChain is a rating group of a session with partial records that goes on after
// the mark: what it was charged by decides whether its price is judged.
type openChain struct {
	Shard   int    `json:"shard"`
	Session uint64 `json:"session"`
	Group   int    `json:"group"`
	Tariff  uint32 `json:"tariff"`
	Rate    uint32 `json:"rate"`
	Mixed   bool   `json:"mixed,omitzero"`
}

func (t *totals) add(u totals) {
	t.rows += u.rows
	t.seconds += u.seconds
	t.octets += u.octets
	t.events += u.events
	t.money += u.money
}

const (
	getMark = "SELECT seq, number, unjudged, rows, seconds, octets, events, money, chains FROM charging_audited WHERE tenant = $1"
	addMark = `INSERT INTO charging_audited (tenant, seq, number, unjudged, rows, seconds, octets, events, money, chains) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
		ON CONFLICT (tenant) DO UPDATE SET seq = excluded.seq, number = excluded.number, unjudged = excluded.unjudged, rows = excluded.rows, seconds = excluded.seconds,
		octets = excluded.octets, events = excluded.events, money = excluded.money, chains = excluded.chains WHERE charging_audited.seq = $11`
)

// readMark is how far the tenant was audited; nowhere yet is the zero mark.
func readMark(tx *store.Tx) (m mark, err error) {
	var chains string
	err = tx.Row(getMark).Scan(&m.Seq, &m.Number, &m.Unjudged, &m.rows, &m.seconds, &m.octets, &m.events, &m.money, &chains)
	if errors.Is(err, store.ErrNotFound) {
		return mark{}, nil
	}
	if err != nil {
		return m, err
	}
	return m, json.Unmarshal([]byte(chains), &m.chains)
}

// goOn begins where a tenant was audited to.
func (a *audit) goOn(n uint32, m mark) {
	a.marks[n], a.read[n], a.unjudged[n] = m, m.totals, m.Unjudged
	a.sum.Records += m.rows
	a.sum.Unjudged += m.Unjudged
	for _, c := range m.chains {
		a.open[chain{c.Shard, c.Session, c.Group}] = chainRate{tenant: n, tariff: c.Tariff, rate: c.Rate, mixed: c.Mixed}
	}
}

// from is where the journal is to be read from: a tenant that is further skips what
// it has.
func (a *audit) from() int64 {
	low := int64(math.MaxInt64)
	for n := range a.upto {
		low = min(low, a.marks[n].Seq)
	}
	return low
}

// keep writes down how far a tenant was audited. It fails if another node did so
// meanwhile.
func (a *audit) keep(ctx context.Context, n uint32) error {
	m, t := a.marks[n], a.read[n]
	var chains []openChain
	for k, c := range a.open {
		if c.tenant == n {
			chains = append(chains, openChain{k.shard, k.session, k.group, c.tariff, c.rate, c.mixed})
		}
	}
	doc, err := json.Marshal(chains)
	if err != nil {
		return err
	}
	return a.r.DB.Write(ctx, store.Scope{Tenant: a.names[n], Actor: actor}, func(tx *store.Tx) error {
		changed, err := tx.Exec(addMark, a.upto[n], a.number[n], a.unjudged[n], t.rows, t.seconds, t.octets, t.events, t.money, string(doc), m.Seq)
		if err == nil && changed == 0 {
			err = fmt.Errorf("charging: another node audits the journal of %s", a.names[n])
		}
		return err
	})
}

// Prune audits what the journal has more since it did so last, and removes the
// batches that nobody needs and that are older than keep. If the audit finds
// anything, or cannot read something, the journal stays as it is.
func (r *Room) Prune(ctx context.Context, keep time.Duration) (batches int64, err error) {
	var wrong error
	a, err := r.auditJournal(ctx, true, func(tenant, words string) error {
		wrong = errors.Join(wrong, fmt.Errorf("charging: the journal of %s is kept: %s", tenant, words))
		return nil
	})
	if err = errors.Join(err, wrong); err != nil {
		return 0, err
	}
	for n, upto := range a.upto {
		if upto == a.marks[n].Seq {
			continue
		}
		if err := a.keep(ctx, n); err != nil {
			return 0, err
		}
	}
	low, err := r.projectedTo(ctx)
	if err != nil {
		return 0, err
	}
	for _, upto := range a.upto {
		low = min(low, upto)
	}
	return r.journal.Prune(ctx, low, keep)
}

// projectedTo is the position of the journal that all tenants have in their tables,
// and the host the usage of nobody.
func (r *Room) projectedTo(ctx context.Context) (low int64, err error) {
	tenants, err := r.tenants(ctx)
	if err != nil {
		return 0, err
	}
	seen := false
	low = math.MaxInt64
	for _, tenant := range tenants {
		err := r.read(ctx, tenant, func(tx *store.Tx) error {
			rows, err := tx.Query("SELECT seq FROM charging_cursor WHERE tenant = $1")
			_, err = store.Collect(rows, err, func(row store.Rows) (at int64, err error) {
				err = row.Scan(&at)
				seen, low = true, min(low, at)
				return at, err
			})
			return err
		})
		if err != nil {
			return 0, err
		}
	}
	if !seen {
		return 0, nil
	}
	return low, nil
}

// pruneNowAndThen prunes as long as the room runs.
func (r *Room) pruneNowAndThen(ctx context.Context) {
	defer r.done.Done()
	tick := time.NewTicker(pruneEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if _, err := r.Prune(ctx, keepBatch); err != nil && ctx.Err() == nil {
			r.log.Error("charging: the journal was not pruned", "err", err)
		}
	}
}
