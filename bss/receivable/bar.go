package receivable

import (
	"context"
	"time"

	"tandem/bss/billing"
	"tandem/bss/order"
	"tandem/bss/subscription"
	"tandem/fact"
	"tandem/kit/civil"
	"tandem/kit/fault"
	"tandem/kit/store"
	"tandem/kit/tmf"
	"tandem/kit/work"
)

// Jobs of the room.
const (
	barJob   = "receivable.bar"     // the products of one account
	endJob   = "receivable.end"     // the same, for good
	dunJob   = "receivable.dun"     // all accounts of a tenant, daily
	oneJob   = "receivable.account" // one account that the daily round failed at
	dunEvery = 24 * time.Hour
	lookWait = 2 * time.Second  // between two looks at orders that are under way
	restWait = 10 * time.Minute // at a debt that somebody else sees to
)

// States of a product that is barred for debt. The network has confirmed barred and lifted.
const (
	barring = "barring"
	barred  = "barred"
	lifting = "lifting"
	lifted  = "lifted"
)

// Handle runs the room's jobs.
func Handle(r *work.Runner, db *store.DB) {
	for kind, ensure := range map[string]func(*store.Tx, string) (time.Duration, error){barJob: enforce, endJob: disconnect} {
		r.Handle(kind, work.Options{Concurrency: 8, Backoff: work.Exponential(time.Second, time.Minute), MaxAttempts: 50}, func(ctx context.Context, j *work.Job) error {
			return ordered(ctx, db, j, ensure)
		})
	}
	r.Handle(dunJob, work.Options{Concurrency: 2, Timeout: time.Hour}, func(ctx context.Context, j *work.Job) error {
		return dunAll(ctx, db, j)
	})
	handleCollecting(r, db)
	r.Handle(oneJob, work.Options{Concurrency: 2}, func(ctx context.Context, j *work.Job) error {
		return db.Write(ctx, j.Scope(), func(tx *store.Tx) error {
			if err := Dun(tx, j.Key, today(tx)); err != nil {
				return err
			}
			return j.Finish(tx)
		})
	})
}

// ordered has the products of an account become as they are to be. What was ordered stays
// ordered while the job waits for the rest: one line that is busy holds up no other.
func ordered(ctx context.Context, db *store.DB, j *work.Job, ensure func(*store.Tx, string) (time.Duration, error)) error {
	var wait time.Duration
	err := db.Write(ctx, j.Scope(), func(tx *store.Tx) (err error) {
		if wait, err = ensure(tx, j.Key); err != nil || wait > 0 {
			return err
		}
		return j.Finish(tx)
	})
	if err == nil && wait > 0 {
		return work.Retry(wait, nil)
	}
	return err
}

// keepDunning begins the daily round of a tenant, if it is not begun.
func keepDunning(tx *store.Tx) error {
	state, _, err := work.StateOf(tx, dunJob, "daily")
	if err != nil || state != "" {
		return err
	}
	return work.Enqueue(tx, dunJob, "daily", nil, tx.Now())
}

// dunAll looks at every account that is overdue or stands on its ladder, each in a
// transaction of its own. One that fails gets a job of its own, which is seen when it
// cannot be helped; the others go on, and the round comes again tomorrow in any case.
func dunAll(ctx context.Context, db *store.DB, j *work.Job) error {
	on := civil.DateOf(db.Now(), time.UTC)
	for after, more := "", true; more; {
		accounts, err := toDun(ctx, db, j.Scope(), on, after)
		if err != nil {
			return err
		}
		for _, a := range accounts {
			if err := db.Write(ctx, j.Scope(), func(tx *store.Tx) error { return Dun(tx, a, on) }); err != nil && ctx.Err() == nil {
				err = db.Write(ctx, j.Scope(), func(tx *store.Tx) error { return work.Enqueue(tx, oneJob, a, nil, tx.Now()) })
				if err != nil {
					return err
				}
			}
			after = a
		}
		more = len(accounts) == dunPage
	}
	return db.Write(ctx, j.Scope(), func(tx *store.Tx) error {
		if err := j.Finish(tx); err != nil {
			return err
		}
		return work.Enqueue(tx, dunJob, "daily", nil, tx.Now().Add(dunEvery))
	})
}

const dunPage = 500

func toDun(ctx context.Context, db *store.DB, s store.Scope, on civil.Date, after string) (out []string, err error) {
	err = db.Read(ctx, s, func(tx *store.Tx) error {
		rows, err := tx.Query(`SELECT account FROM (
			SELECT DISTINCT account FROM receivable_claim WHERE tenant = $1 AND open > 0 AND due < $2 AND account > $3
			UNION SELECT account FROM receivable_dunning WHERE tenant = $1 AND (level > 0 OR barred = 1) AND account > $3) AS all_of_them
			ORDER BY account LIMIT $4`, on.String(), after, int64(dunPage))
		out, err = store.Collect(rows, err, store.Text)
		return err
	})
	return out, err
}

// enforce orders what the standing of the account asks for: its products barred, or
// those that were barred for debt unbarred. It says how long to wait if something is under
// way that must end first: whoever pays while his bar is on its way is looked at again.
func enforce(tx *store.Tx, account string) (wait time.Duration, err error) {
	s, err := stand(tx, account)
	if err != nil {
		return 0, err
	}
	was, err := barsOf(tx, account)
	if err != nil {
		return 0, err
	}
	products, err := s.targets(tx, was)
	if err != nil {
		return 0, err
	}
	want, now, then := subscription.Active, subscription.Suspended, lifting
	if s.barred {
		want, now, then = subscription.Suspended, subscription.Active, barring
	}
	for _, p := range products {
		busy, err := underWay(tx, p)
		if err != nil {
			return 0, err
		}
		if busy || p.Status == now {
			wait = lookWait
		}
		if busy || p.Status != now {
			continue
		}
		placed, err := place(tx, account, p, order.Item{ID: "1", Action: order.Modify, Product: &order.Product{ID: p.ID, Status: want}})
		if err != nil {
			return 0, err
		}
		if _, err := tx.Exec(`INSERT INTO receivable_bar (tenant, product, account, state, placed, at) VALUES ($1, $2, $3, $4, $5, $6)
			ON CONFLICT (tenant, product) DO UPDATE SET account = excluded.account, state = excluded.state, placed = excluded.placed, at = excluded.at, confirmed_at = NULL`,
			p.ID, account, then, placed, store.Micros(tx.Now())); err != nil {
			return 0, err
		}
	}
	return wait, nil
}

// bar is what was ordered of a product for debt.
type bar struct{ product, state string }

func barsOf(tx *store.Tx, account string) (map[string]bar, error) {
	rows, err := tx.Query("SELECT product, state FROM receivable_bar WHERE tenant = $1 AND account = $2", account)
	all, err := store.Collect(rows, err, func(r store.Rows) (b bar, err error) { return b, r.Scan(&b.product, &b.state) })
	out := map[string]bar{}
	for _, b := range all {
		out[b.product] = b
	}
	return out, err
}

// underWay tells whether an order about a product that runs has not ended, or its end is
// not heard of: ours, or one of the customer's, whose own suspension is not to become a bar
// that the next payment lifts.
func underWay(tx *store.Tx, p *subscription.Product) (bool, error) {
	switch {
	case p.PendingChange != nil || p.Status == subscription.PendingActive:
		return true, nil
	case p.Status != subscription.Active && p.Status != subscription.Suspended:
		return false, nil
	}
	return order.UnderWay(tx, p.ID)
}

// targets are the products the standing is about: all lines billed on a barred account,
// or those that were barred for debt.
func (s *standing) targets(tx *store.Tx, was map[string]bar) ([]*subscription.Product, error) {
	if s.barred {
		return linesOf(tx, s.account)
	}
	var out []*subscription.Product
	for id, b := range was {
		if b.state == lifted {
			continue
		}
		p, err := subscription.Get(tx, id)
		if fault.Is(err, fault.NotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if !p.Over() {
			out = append(out, p)
		}
	}
	return out, nil
}

// linesOf are the products that are billed on an account and run in the network. An
// option rests with its line.
func linesOf(tx *store.Tx, account string) ([]*subscription.Product, error) {
	items, err := billing.Items.Select(tx, tmf.Where{"billingAccount.id": account}, tmf.Page{Sort: "product.id", Limit: 10_000})
	if err != nil {
		return nil, err
	}
	var out []*subscription.Product
	last := ""
	for _, i := range items {
		if i.State == billing.ItemEnded || i.Product.ID == last {
			continue
		}
		last = i.Product.ID
		p, err := subscription.Get(tx, last)
		if err != nil {
			return nil, err
		}
		if len(p.RealizingService) > 0 && len(p.ReliesOn()) == 0 {
			out = append(out, p)
		}
	}
	return out, nil
}

// disconnect orders that the lines of an account end, if it still owes something overdue:
// who has paid meanwhile keeps them. It waits while the debt is being paid by card, is
// promised, or is seen to by an agency.
func disconnect(tx *store.Tx, account string) (wait time.Duration, err error) {
	on := today(tx)
	promised, err := keepArrangement(tx, account, on)
	if err != nil {
		return 0, err
	}
	overdue, err := overdueOf(tx, account, on)
	if err != nil || len(overdue.all) == 0 {
		return 0, err
	}
	paying, err := payingByCard(tx, account)
	if err != nil {
		return 0, err
	}
	if promised || paying || len(overdue.now) == 0 {
		return restWait, nil
	}
	products, err := linesOf(tx, account)
	if err != nil {
		return 0, err
	}
	for _, p := range products {
		if p.Over() || p.Status == subscription.PendingTerminate {
			continue
		}
		busy, err := underWay(tx, p)
		if err != nil {
			return 0, err
		}
		if busy {
			wait = lookWait
			continue
		}
		if _, err := place(tx, account, p, order.Item{ID: "1", Action: order.Delete, Product: &order.Product{ID: p.ID}}); err != nil {
			return 0, err
		}
	}
	return wait, nil
}

// payingByCard tells whether the gateway has not said yet how a payment of the account ended.
func payingByCard(tx *store.Tx, account string) (bool, error) {
	var n int64
	err := tx.Row("SELECT count(*) FROM receivable_attempt WHERE tenant = $1 AND account = $2 AND sort = 'payment' AND ended_at IS NULL", account).Scan(&n)
	return n > 0, err
}

// place orders one thing of a product, and says by which order.
func place(tx *store.Tx, account string, p *subscription.Product, item order.Item) (string, error) {
	o := &order.ProductOrder{Description: "Dunning of account " + account, RelatedParty: p.RelatedParty, ProductOrderItem: []order.Item{item}}
	err := order.Place(tx, o)
	return o.ID, err
}

// Barred hears that the element refuses a product: what was ordered for debt is done.
func Barred(tx *store.Tx, f fact.ProductSuspended) error {
	return confirmed(tx, f.Product, barred, f.At, "'barring'")
}

// Unbarred hears that the element serves a product again, whoever ordered that.
func Unbarred(tx *store.Tx, f fact.ProductResumed) error {
	return confirmed(tx, f.Product, lifted, f.At, "'lifting', 'barred'")
}

// confirmed notes the element's word, and has the account looked at again: it may have paid,
// or not, since it was ordered.
func confirmed(tx *store.Tx, product, state string, at time.Time, from string) error {
	var account string
	err := tx.Row("SELECT account FROM receivable_bar WHERE tenant = $1 AND product = $2 AND state IN ("+from+")"+tx.Dialect().ForUpdate(), product).Scan(&account)
	if err == store.ErrNotFound {
		return nil
	}
	if err != nil {
		return err
	}
	tx.QueueOne("UPDATE receivable_bar SET state = $3, confirmed_at = $4 WHERE tenant = $1 AND product = $2", product, state, store.Micros(at))
	return work.Enqueue(tx, barJob, account, nil, tx.Now())
}
