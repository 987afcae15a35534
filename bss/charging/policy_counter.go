package charging

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-json-experiment/json"

	"tandem/bss/charging/core"
	"tandem/edge/credit"
	"tandem/kit/fault"
	"tandem/kit/store"
	"tandem/kit/work"
)

// PolicySubscription is one of policy control to the counters of a subscriber
// (TS 29.594 4.2.2).
type PolicySubscription struct {
	ID       string
	SUPI     string
	GPSI     string
	Counters []string // empty: all
	Notify   string   // where changes are told
	NotifyID string   // the subscriber's name for it
	Expires  time.Time
}

// PolicyTeller tells policy control; it says how that was taken.
type PolicyTeller interface {
	Changed(ctx context.Context, s PolicySubscription, statuses map[string]core.Status) (credit.Outcome, error)
	Ended(ctx context.Context, s PolicySubscription) (credit.Outcome, error)
}

// PolicyJob tells one subscription what it was not told yet.
const PolicyJob = "charging.policy"

// policyLine is a subscriber whose counters are asked for.
type policyLine struct {
	tenant  string
	account int64
	owner   int64
}

// PolicyStatuses are the statuses of a subscriber's policy counters by name, now and
// after their reset: those asked for, or all. unknown are names of none. A subscriber
// nobody charges for is a fault of kind NotFound.
func (r *Room) PolicyStatuses(ctx context.Context, who []credit.Subscriber, ids []string) (found map[string]core.Status, unknown []string, err error) {
	l, err := r.policyLine(ctx, who)
	if err != nil {
		return nil, nil, err
	}
	all, err := r.statusesOf(ctx, l)
	if err != nil || len(ids) == 0 {
		return all, nil, err
	}
	found = map[string]core.Status{}
	for _, id := range ids {
		if s, ok := all[id]; ok {
			found[id] = s
		} else {
			unknown = append(unknown, id)
		}
	}
	return found, unknown, nil
}

// policyLine finds a subscriber by all its names: here, or among the lines of all
// brands if another node decides for it.
func (r *Room) policyLine(ctx context.Context, who []credit.Subscriber) (l policyLine, err error) {
	if ref, here := r.Engine.Find(who); here {
		var tenant uint32
		err := r.Engine.Look(ref, func(a *core.Account) { l.owner, tenant = int64(a.Named(who)), a.Tenant })
		if err == nil && l.owner != 0 {
			l.account, l.tenant = numberOf(ref), r.tenantName(tenant)
			return l, nil
		}
	}
	var imsi, e164 string
	for _, name := range who {
		switch name.Type {
		case credit.IMSI:
			imsi = string(name.ID)
		case credit.E164:
			e164 = string(name.ID)
		}
	}
	tenants, err := r.tenants(ctx)
	if err != nil {
		return l, err
	}
	for _, tenant := range tenants {
		l.tenant = tenant
		err := r.read(ctx, tenant, func(tx *store.Tx) error {
			return tx.Row(`SELECT account, subscriber FROM charging_line WHERE tenant = $1 AND ($2 = '' OR imsi = $2) AND ($3 = '' OR e164 = $3)
				AND ($2 <> '' OR $3 <> '') AND subscriber > 0 AND state <> $4 LIMIT 1`, imsi, e164, int64(core.Closed)).Scan(&l.account, &l.owner)
		})
		if !errors.Is(err, store.ErrNotFound) {
			return l, err
		}
	}
	return l, fault.New(fault.NotFound, "charging.subscriber", "Nobody is charged for under this name")
}

// statusesOf are the counters of a line: as they stand in memory, or as the journal
// last said where another node decides.
func (r *Room) statusesOf(ctx context.Context, l policyLine) (map[string]core.Status, error) {
	var list []core.Status
	var number int64
	err := r.Engine.Look(refOf(l.account), func(a *core.Account) {
		list = a.Statuses(r.book, r.now().Unix())
		for i := range a.Subscribers {
			if int64(a.Subscribers[i].ID) == l.owner {
				number = int64(a.Subscribers[i].Plan)
			}
		}
	})
	if err != nil {
		return r.statusesAway(ctx, l)
	}
	p := r.planByNumber(number)
	return byName(list, l.owner, func(def uint32) bool { return p == nil || p.watches(int64(def)) }), nil
}

func (r *Room) now() time.Time {
	if r.Clock != nil {
		return r.Clock()
	}
	return time.Now()
}

// watches says that a plan has a counter: an account keeps those of its earlier plans.
func (p *plan) watches(def int64) bool {
	return slices.ContainsFunc(p.Caps, func(c capOf) bool { return c.Definition == def })
}

// byName picks the counters of a subscriber; his own one goes before that of all.
func byName(list []core.Status, owner int64, counts func(def uint32) bool) map[string]core.Status {
	out := map[string]core.Status{}
	for _, s := range list {
		if s.Owner != 0 && int64(s.Owner) != owner || !counts(s.Counter) {
			continue
		}
		if has, ok := out[s.Name]; !ok || has.Owner == 0 && s.Owner != 0 {
			out[s.Name] = s
		}
	}
	return out
}

// statusesAway are the counters that the line's offering has, of those that the journal
// told of: an account keeps those of its earlier plans. Of two with one name that of
// the later version counts.
func (r *Room) statusesAway(ctx context.Context, l policyLine) (out map[string]core.Status, err error) {
	err = r.read(ctx, l.tenant, func(tx *store.Tx) error {
		var offering string
		err := tx.Row("SELECT offering FROM charging_line WHERE tenant = $1 AND account = $2 AND subscriber = $3", l.account, l.owner).Scan(&offering)
		if err != nil {
			return err
		}
		rows, err := tx.Query(`SELECT definition, owner, step FROM charging_policy_counter WHERE tenant = $1 AND account = $2 AND owner IN (0, $3)
			ORDER BY definition DESC`, l.account, l.owner)
		type row struct{ definition, owner, step int64 }
		found, err := store.Collect(rows, err, func(r store.Rows) (x row, err error) {
			err = r.Scan(&x.definition, &x.owner, &x.step)
			return x, err
		})
		if err != nil {
			return err
		}
		var list []core.Status
		for _, x := range found {
			d, err := r.definition(tx, x.definition)
			if err != nil {
				return err
			}
			if d != nil {
				list = append(list, core.Status{Counter: d.ID, Name: d.Name, Owner: uint16(x.owner), Current: d.StatusName(uint8(x.step))})
			}
		}
		versions := r.versions(offering)
		out = byName(list, l.owner, func(def uint32) bool {
			return len(versions) == 0 || slices.ContainsFunc(versions, func(p *plan) bool { return p.watches(int64(def)) })
		})
		return nil
	})
	return out, err
}

// subscribed is a subscription as it lies in its row.
type subscribed struct {
	policyLine
	version int64
	sub     PolicySubscription
	told    map[string]string
}

const saveSubscription = `INSERT INTO charging_policy_subscription (tenant, id, account, owner, version, doc, told, expires_at) VALUES ($1, $2, $3, $4, 1, $5, $6, $7)
	ON CONFLICT (tenant, id) DO UPDATE SET account = excluded.account, owner = excluded.owner, version = charging_policy_subscription.version + 1,
		doc = excluded.doc, told = excluded.told, expires_at = excluded.expires_at`

// SaveSubscription keeps a subscription of a subscriber, new or changed, who was just
// told some statuses. What changes from then on is told.
func (r *Room) SaveSubscription(ctx context.Context, s PolicySubscription, who []credit.Subscriber, told map[string]string) error {
	l, err := r.policyLine(ctx, who)
	if err != nil {
		return err
	}
	doc, err := json.Marshal(s)
	if err != nil {
		return err
	}
	said, err := json.Marshal(told, json.Deterministic(true))
	if err != nil {
		return err
	}
	return r.DB.Write(ctx, store.Scope{Tenant: l.tenant, Actor: actor}, func(tx *store.Tx) error {
		if _, err := tx.Exec(saveSubscription, s.ID, l.account, l.owner, string(doc), string(said), micros(s.Expires)); err != nil {
			return err
		}
		tx.Queue("DELETE FROM charging_policy_subscription WHERE tenant = $1 AND expires_at > 0 AND expires_at <= $2", store.Micros(r.now()))
		return work.Enqueue(tx, PolicyJob, s.ID, nil, time.Time{}) // for what has changed meanwhile
	})
}

// Subscription is one by its id, of any brand: ids are unguessable.
func (r *Room) Subscription(ctx context.Context, id string) (PolicySubscription, error) {
	s, err := r.subscription(ctx, id)
	if err == nil && !s.sub.Expires.IsZero() && !s.sub.Expires.After(r.now()) {
		err = fault.Missing("subscription", id)
	}
	return s.sub, err
}

func (r *Room) subscription(ctx context.Context, id string) (s subscribed, err error) {
	tenants, err := r.tenants(ctx)
	if err != nil {
		return s, err
	}
	for _, tenant := range tenants {
		if s, err = r.subscriptionOf(ctx, tenant, id); !errors.Is(err, store.ErrNotFound) {
			return s, err
		}
	}
	return s, fault.Missing("subscription", id)
}

func (r *Room) subscriptionOf(ctx context.Context, tenant, id string) (s subscribed, err error) {
	var doc, told string
	s.tenant = tenant
	err = r.read(ctx, tenant, func(tx *store.Tx) error {
		return tx.Row("SELECT account, owner, version, doc, told FROM charging_policy_subscription WHERE tenant = $1 AND id = $2", id).
			Scan(&s.account, &s.owner, &s.version, &doc, &told)
	})
	if err != nil {
		return s, err
	}
	return s, errors.Join(json.Unmarshal([]byte(doc), &s.sub), json.Unmarshal([]byte(told), &s.told))
}

// Unsubscribe ends a subscription.
func (r *Room) Unsubscribe(ctx context.Context, id string) error {
	s, err := r.subscription(ctx, id)
	if err != nil {
		return err
	}
	return r.forgetSubscription(ctx, s)
}

func (r *Room) forgetSubscription(ctx context.Context, s subscribed) error {
	return r.DB.Write(ctx, store.Scope{Tenant: s.tenant, Actor: actor}, func(tx *store.Tx) error {
		_, err := tx.Exec("DELETE FROM charging_policy_subscription WHERE tenant = $1 AND id = $2", s.sub.ID)
		return err
	})
}

// HandlePolicy registers the job that tells policy control. It is tried until it is
// acknowledged, or the subscription is over.
func (r *Room) HandlePolicy(runner *work.Runner, t PolicyTeller) {
	runner.Handle(PolicyJob, work.Options{Concurrency: 16, MaxAttempts: 1 << 30, Backoff: work.Exponential(time.Second, time.Minute)},
		func(ctx context.Context, job *work.Job) error { return r.tellPolicy(ctx, job, t) })
}

// tellPolicy tells a subscription what differs from what it was told.
func (r *Room) tellPolicy(ctx context.Context, job *work.Job, t PolicyTeller) error {
	s, err := r.subscriptionOf(ctx, job.Tenant, job.Key)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if !s.sub.Expires.IsZero() && !s.sub.Expires.After(r.now()) {
		return r.forgetSubscription(ctx, s)
	}
	ended, err := r.lineEnded(ctx, s.policyLine)
	if err != nil {
		return err
	}
	if ended {
		o, err := t.Ended(ctx, s.sub)
		if err != nil || o == credit.NoAnswer {
			return unheard(s.sub, err)
		}
		return r.forgetSubscription(ctx, s)
	}
	news, err := r.untold(ctx, s)
	if err != nil || len(news) == 0 {
		return err
	}
	switch o, err := t.Changed(ctx, s.sub, news); {
	case err != nil || o == credit.NoAnswer:
		return unheard(s.sub, err)
	case o == credit.Gone:
		return r.forgetSubscription(ctx, s)
	case o == credit.Refused:
		r.log.Warn("charging: policy control refuses a notification", "subscription", s.sub.ID, "to", s.sub.Notify)
	}
	return r.wasTold(ctx, s, news)
}

func unheard(s PolicySubscription, err error) error {
	if err != nil {
		return err
	}
	return fmt.Errorf("policy control does not answer at %s", s.Notify)
}

// lineEnded says that a subscriber has left the network.
func (r *Room) lineEnded(ctx context.Context, l policyLine) (ended bool, err error) {
	err = r.read(ctx, l.tenant, func(tx *store.Tx) error {
		var state int64
		err := tx.Row("SELECT state FROM charging_line WHERE tenant = $1 AND account = $2 AND subscriber = $3", l.account, l.owner).Scan(&state)
		ended = errors.Is(err, store.ErrNotFound) || core.State(state) == core.Closed
		if ended {
			return nil
		}
		return err
	})
	return ended, err
}

// untold are the counters whose status is another one than was told.
func (r *Room) untold(ctx context.Context, s subscribed) (map[string]core.Status, error) {
	all, err := r.statusesOf(ctx, s.policyLine)
	if err != nil {
		return nil, err
	}
	news := map[string]core.Status{}
	for name, now := range all {
		if (len(s.sub.Counters) == 0 || slices.Contains(s.sub.Counters, name)) && s.told[name] != now.Current {
			news[name] = now
		}
	}
	return news, nil
}

// wasTold takes down what was told. If the subscription was changed meanwhile, it was
// told all of it then.
func (r *Room) wasTold(ctx context.Context, s subscribed, news map[string]core.Status) error {
	if s.told == nil {
		s.told = map[string]string{}
	}
	for name, now := range news {
		s.told[name] = now.Current
	}
	told, err := json.Marshal(s.told, json.Deterministic(true))
	if err != nil {
		return err
	}
	return r.DB.Write(ctx, store.Scope{Tenant: s.tenant, Actor: actor}, func(tx *store.Tx) error {
		_, err := tx.Exec("UPDATE charging_policy_subscription SET told = $3 WHERE tenant = $1 AND id = $2 AND version = $4", s.sub.ID, string(told), s.version)
		return err
	})
}

// statusRow is a step of a policy counter, as the journal says it.
type statusRow struct {
	account    int64
	definition uint32
	owner      uint16
	step       uint8
	at         int64
}

const putStatus = `INSERT INTO charging_policy_counter (tenant, account, definition, owner, step, at) VALUES ($1, $2, $3, $4, $5, $6)
	ON CONFLICT (tenant, account, definition, owner) DO UPDATE SET step = excluded.step, at = excluded.at`

// policy writes the steps of policy counters, and has those told who want to know: of
// these, and of lines that have ended.
func (p *projected) policy(tx *store.Tx) error {
	var accounts []any
	add := func(account int64) {
		if !slices.Contains(accounts, any(account)) {
			accounts = append(accounts, account)
		}
	}
	for _, s := range p.statuses {
		tx.Queue(putStatus, s.account, int64(s.definition), int64(s.owner), int64(s.step), s.at)
		add(s.account)
	}
	for _, s := range p.subs {
		if s.state == core.Closed {
			add(s.account)
		}
	}
	for part := range slices.Chunk(accounts, 64) {
		rows, err := tx.Query("SELECT id FROM charging_policy_subscription WHERE tenant = $1 AND account IN ("+store.In(2, len(part))+") ORDER BY id", part...)
		ids, err := store.Collect(rows, err, store.Text)
		if err != nil {
			return err
		}
		for _, id := range ids {
			if err := work.Enqueue(tx, PolicyJob, id, nil, time.Time{}); err != nil {
				return err
			}
		}
	}
	return nil
}
