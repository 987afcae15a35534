package charging

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"tandem/bss/charging/core"
	"tandem/fact"
	"tandem/kit/journal"
	"tandem/kit/outbox"
	"tandem/kit/store"
)

const (
	projectBytes = 8 << 20 // of the journal in one transaction
	projectRows  = 32_000  // in one transaction, about: others write to the store as well
	projectPoll  = 250 * time.Millisecond
	projectPace  = 25 * time.Millisecond // from the beginning of a transaction to the next, unless
	projectFull  = 256                   // so many batches wait
)

// project writes what the journal says into the tables that people ask, tenant by
// tenant, each with its own cursor in the same transaction: so every record is
// written once, whatever is interrupted, and two nodes that project at the same
// time do not write twice.
func (r *Room) project(ctx context.Context) {
	defer r.done.Done()
	tick := time.NewTicker(projectPoll)
	defer tick.Stop()
	for {
		began := time.Now()
		more, err := r.projectSome(ctx)
		if err != nil && ctx.Err() == nil {
			r.log.Error("charging: the journal could not be projected; trying again", "err", err)
			more = false
		}
		nudge(r.further) // whether it has come further or not: whoever waits looks for himself
		if more {
			r.gather(ctx)
			r.pace(ctx, began)
			continue
		}
		select {
		case <-r.news:
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// pace lets the journal grow to what is worth a transaction: that costs as much for
// one record as for a hundred, it waits for the same disk as the journal, and two
// uses of a bucket in it are one entry.
func (r *Room) pace(ctx context.Context, began time.Time) {
	if wait := projectPace - time.Since(began); wait > 0 && r.Behind() < projectFull {
		_ = pause(ctx, wait) // who is stopped finds out himself
	}
}

// projected is what one piece of the journal says of one tenant.
type projected struct {
	usage    []usageRow
	entries  map[entryKey]*entryRow
	order    []*entryRow // the entries as they came
	subs     []subRow
	buckets  []bucketRow
	dropped  []bucketRow
	commands []int64
	notices  []noticeRow
	statuses []statusRow
	lost     []lostRow
	posted   posted
}

type usageRow struct {
	account         int64
	session         *core.Session
	group           core.Group
	cause           string
	shard           int
	record          uint64
	at              int64
	firstAt, lastAt int64
}

// entryKey joins moves that are one entry: the usage of a bucket in this piece of
// the journal by an account, or each credit by itself.
type entryKey struct {
	account int64
	bucket  uint32
	against string
	ref     string
	second  int64 // so that a balance is known at any past second
}

type entryRow struct {
	entryKey
	amount int64
	shard  int
	record uint64
	at     int64
}

type subRow struct {
	account int64
	command int64
	sub     uint16
	state   core.State
}

type bucketRow struct {
	account    int64
	bucket     uint32
	definition uint32
	owner      uint16
	at         int64
}

type noticeRow struct {
	account int64
	counter bool
	id      uint32
	owner   uint16
	bit     uint8
	at      int64
}

type lostRow struct {
	lost   core.Lost
	shard  int
	record uint64
	place  int // in the record
	at     int64
}

// projectSome projects one piece of the journal; more says that there may be more.
func (r *Room) projectSome(ctx context.Context) (more bool, err error) {
	if err := r.catchUp(ctx); err != nil {
		return false, err
	}
	after := r.cursors.low()
	all := map[uint32]*projected{}
	r.files, r.rows = 0, 0
	whole := r.taken.upto.Load()
	last, err := r.journal.Read(ctx, after, projectBytes, func(seq int64, b *journal.Batch) error {
		if r.rows >= projectRows || after < whole && whole < seq { // a file that is being taken waits for its end
			return errEnough
		}
		return core.Scan(b.Blob, b.First, func(rec *core.Record, next func(*core.Move) bool) error {
			tenant := rec.Tenant
			if seq <= r.cursors.at[tenant] {
				return nil // this tenant is ahead
			}
			p := all[tenant]
			if p == nil {
				p = &projected{entries: map[entryKey]*entryRow{}}
				all[tenant] = p
			}
			was := p.size()
			p.take(rec, next, &r.move)
			r.rows += p.size() - was
			return nil
		})
	})
	if err != nil && err != errEnough {
		return false, err
	}
	if last == after {
		r.upto.Store(after) // a node that has just started learns where it stands
		return false, nil
	}
	for tenant := range r.cursors.at {
		if r.cursors.at[tenant] >= last {
			continue
		}
		if err := r.writeProjected(ctx, tenant, all[tenant], last); err != nil {
			r.cursors.at = nil // another node may be at it: read anew where it stands
			return false, err
		}
		r.cursors.at[tenant] = last
	}
	for _, p := range all {
		r.files += p.posted.rows
	}
	r.upto.Store(r.cursors.low())
	return true, nil
}

// cursors are how far the tenants are, by number. Number 0 is usage of nobody,
// which the host keeps.
type cursors struct {
	at map[uint32]int64
}

func (c *cursors) low() int64 {
	low := int64(-1)
	for _, at := range c.at {
		if low < 0 || at < low {
			low = at
		}
	}
	return max(low, 0)
}

// catchUp reads the cursors of tenants that are new to this node.
func (r *Room) catchUp(ctx context.Context) error {
	tenants, err := r.tenants(ctx)
	if err != nil {
		return err
	}
	if r.cursors.at == nil {
		r.cursors.at = map[uint32]int64{}
	}
	for _, name := range tenants {
		number := r.tenantNumber(name)
		if _, known := r.cursors.at[number]; known || number == 0 {
			continue
		}
		if r.cursors.at[number], err = r.cursor(ctx, name, 1, 0); err != nil {
			delete(r.cursors.at, number)
			return err
		}
	}
	if _, known := r.cursors.at[0]; known {
		return nil
	}
	return r.catchUpHost(ctx, tenants)
}

// catchUpHost reads how far the usage of nobody is. A host that has none of it yet
// goes on from where another tenant left it.
func (r *Room) catchUpHost(ctx context.Context, tenants []string) (err error) {
	switch {
	case r.Host != nil:
		r.host, err = r.Host(ctx)
	case len(tenants) > 0:
		r.host = tenants[0]
	}
	if err != nil || r.host == "" {
		return err
	}
	done := int64(0)
	for _, name := range tenants {
		err := r.read(ctx, name, func(tx *store.Tx) error {
			var at int64
			err := tx.Row("SELECT seq FROM charging_cursor WHERE tenant = $1 AND part = 0").Scan(&at)
			done = max(done, at)
			return err
		})
		if err != nil && err != store.ErrNotFound {
			return err
		}
	}
	at, err := r.cursor(ctx, r.host, 0, done)
	if err == nil {
		r.cursors.at[0] = at
	}
	return err
}

const openCursor = `INSERT INTO charging_cursor (tenant, part, seq) VALUES ($1, $2, $3)
	ON CONFLICT (tenant, part) DO UPDATE SET seq = CASE WHEN charging_cursor.seq < $3 THEN $3 ELSE charging_cursor.seq END`

// cursor is how far a part of a tenant has been projected, but no less than what is
// known to be done.
func (r *Room) cursor(ctx context.Context, tenant string, part, done int64) (at int64, err error) {
	err = r.DB.Write(ctx, store.Scope{Tenant: tenant, Actor: actor}, func(tx *store.Tx) error {
		if _, err := tx.Exec(openCursor, part, done); err != nil {
			return err
		}
		return tx.Row("SELECT seq FROM charging_cursor WHERE tenant = $1 AND part = $2", part).Scan(&at)
	})
	return at, err
}

// take sorts out what a record says.
func (p *projected) take(rec *core.Record, next func(*core.Move) bool, m *core.Move) {
	account := numberOf(rec.Ref())
	first, lost := len(p.subs), len(p.lost)
	var file *postedAccount // whose records of a file these are
	for next(m) {
		switch m.Op {
		case core.MoveShut, core.MovePart:
			p.use(rec, account, &m.Session, m.Cause.String())
		case core.MoveEvent:
			p.use(rec, account, &m.Session, "event")
		case core.MoveDebit:
			if file != nil {
				p.posted.debit(rec, file, m.ID, m.Amount)
				continue
			}
			p.entry(rec, entryKey{account, m.ID, "usage", "", rec.At / 1e6}, -m.Amount)
		case core.MoveAccount:
			account = numberOf(core.NewRef(rec.Shard, m.ID))
			file = p.posted.account(account)
		case core.MovePost:
			p.posted.take(rec, file, &m.Posted)
		case core.MoveCredit:
			p.entry(rec, entryKey{account, m.ID, m.Why.String(), string(m.Text), rec.At / 1e6}, m.Amount)
		case core.MoveSubscriber:
			p.subs = append(p.subs, subRow{account: account, sub: m.Sub.ID, state: m.Sub.State})
		case core.MoveBucket:
			p.buckets = append(p.buckets, bucketRow{account, m.Bucket.ID, m.Bucket.Def, m.Bucket.Owner, rec.At})
		case core.MoveDrop:
			p.dropped = append(p.dropped, bucketRow{account: account, bucket: m.ID, at: rec.At})
		case core.MoveCommand:
			p.commands = append(p.commands, int64(m.Number))
			for i := first; i < len(p.subs); i++ {
				p.subs[i].command = int64(m.Number)
			}
		case core.MoveNotice:
			p.notices = append(p.notices, noticeRow{account, m.Flag, m.ID, m.Owner, m.Bit, rec.At})
		case core.MoveStatus:
			p.statuses = append(p.statuses, statusRow{account, m.ID, m.Owner, m.Bit, rec.At})
		case core.MoveSuspense:
			p.lost = append(p.lost, lostRow{m.Lost, rec.Shard, rec.N, len(p.lost) - lost, rec.At})
		}
	}
}

// use makes a usage row of each group of a session that was used.
func (p *projected) use(rec *core.Record, account int64, s *core.Session, cause string) {
	var kept *core.Session
	for i := range s.Groups {
		g := s.Groups[i]
		if g.Total == (core.Totals{}) {
			continue
		}
		if kept == nil {
			c := *s
			c.Groups = nil
			kept = &c
		}
		g.Holds = nil
		row := usageRow{account: account, session: kept, group: g, cause: cause, shard: rec.Shard, record: rec.N, at: rec.At, firstAt: g.First, lastAt: g.LastUse}
		if row.firstAt == 0 {
			row.firstAt, row.lastAt = rec.At, rec.At
		}
		p.usage = append(p.usage, row)
	}
}

func (p *projected) entry(rec *core.Record, k entryKey, amount int64) {
	e := p.entries[k]
	if e == nil {
		e = &entryRow{entryKey: k}
		p.entries[k] = e
		p.order = append(p.order, e)
	}
	e.amount += amount
	e.shard, e.record, e.at = rec.Shard, rec.N, rec.At
}

// writeProjected writes a tenant's part up to a position of the journal.
func (r *Room) writeProjected(ctx context.Context, number uint32, p *projected, upto int64) error {
	tenant := r.host
	if number != 0 {
		tenant = r.tenantName(number)
	}
	was := r.cursors.at[number]
	var done []int64
	err := r.DB.Write(ctx, store.Scope{Tenant: tenant, Actor: actor}, func(tx *store.Tx) error {
		tx.QueueOne("UPDATE charging_cursor SET seq = $3 WHERE tenant = $1 AND part = $2 AND seq = $4", min(number, 1), upto, was)
		if p == nil {
			return nil
		}
		done = p.commands
		return p.write(tx, r)
	})
	if errors.Is(err, store.ErrStale) {
		return errors.New("charging: another node projects as well")
	}
	if err != nil {
		return err
	}
	for _, n := range done {
		r.flying.Delete(n)
	}
	if len(done) > 0 {
		nudge(r.kick) // what waited for them may go on
	}
	return nil
}

const (
	addUsage = `INSERT INTO charging_usage (tenant, account, subscriber, service, session, part, cause, rating_group, tariff, rate, seconds, octets, octets_in,
		octets_out, events, money, called, network, first_at, last_at, shard, record, at)`
	addEntry    = "INSERT INTO charging_entry (tenant, account, bucket, against, amount, ref, shard, record, at)"
	addSuspense = "INSERT INTO charging_suspense (tenant, reason, state, doc, shard, record, place, at)"
)

func (p *projected) write(tx *store.Tx, r *Room) error {
	for i := range p.usage {
		u := &p.usage[i]
		g := &u.group
		tx.Insert(addUsage, u.account, int64(u.session.Sub), int64(u.session.Service), text(u.session.Name()), int64(u.session.Part), u.cause, int64(g.ID),
			int64(g.Tariff), int64(g.Rate), int64(g.Total.Seconds), int64(g.Total.Total), int64(g.Total.Input), int64(g.Total.Output), int64(g.Total.Events),
			g.Total.Money, text(u.session.Called()), int64(u.session.PLMN), u.firstAt, u.lastAt, u.shard, int64(u.record), u.at)
	}
	p.posted.write(tx)
	// Those of an account stand together, so that their index is changed in few places.
	slices.SortStableFunc(p.order, func(a, b *entryRow) int { return cmp.Compare(a.account, b.account) })
	for _, e := range p.order {
		if e.amount != 0 {
			tx.Insert(addEntry, e.account, int64(e.bucket), e.against, e.amount, e.ref, e.shard, int64(e.record), e.at)
		}
	}
	for i := range p.lost {
		l := &p.lost[i]
		doc, err := json.Marshal(l.lost)
		if err != nil {
			return err
		}
		tx.Insert(addSuspense, l.lost.Reason.String(), "open", string(doc), l.shard, int64(l.record), l.place, l.at)
	}
	for _, n := range p.commands {
		tx.Queue("UPDATE charging_command SET state = 'done', ended_at = $3 WHERE tenant = $1 AND number = $2", n, store.Micros(tx.Now()))
	}
	for _, s := range p.subs {
		if s.command != 0 {
			tx.Queue(`UPDATE charging_line SET subscriber = $3, state = $4 WHERE tenant = $1 AND product =
				(SELECT product FROM charging_command WHERE tenant = $1 AND number = $2)`, s.command, int64(s.sub), int64(s.state))
		}
	}
	for _, b := range p.buckets {
		d, err := r.definition(tx, int64(b.definition))
		if err != nil {
			return err
		}
		if d == nil {
			return fmt.Errorf("charging: definition %d is not on the shelf", b.definition)
		}
		tx.Queue(addBucket, b.account, int64(b.bucket), int64(b.definition), b.at, int64(b.owner), d.Unit.String())
	}
	for _, b := range p.dropped {
		tx.Queue("UPDATE charging_bucket SET ended_at = $4 WHERE tenant = $1 AND account = $2 AND bucket = $3", b.account, int64(b.bucket), b.at)
	}
	if err := r.finished(tx, p.commands); err != nil {
		return err
	}
	if err := p.policy(tx); err != nil {
		return err
	}
	return p.tell(tx, r)
}

// A bucket for all of an account came with the product that opened it.
const addBucket = `INSERT INTO charging_bucket (tenant, account, bucket, definition, unit, owner, product, made_at) VALUES ($1, $2, $3, $4, $7, $6,
	coalesce((SELECT product FROM charging_line WHERE tenant = $1 AND account = $2 AND subscriber = $6 AND $6 > 0 LIMIT 1),
		(SELECT id FROM charging_account WHERE tenant = $1 AND number = $2), ''), $5)
	ON CONFLICT (tenant, account, bucket) DO NOTHING`

// text makes what came from the wire fit for a text column.
func text(s string) string {
	if i := strings.IndexByte(s, 0); i >= 0 {
		s = s[:i]
	}
	return strings.ToValidUTF8(s, "?")
}

// tell tells what the customer must hear: a threshold of a bucket or a limit was
// crossed, each once.
func (p *projected) tell(tx *store.Tx, r *Room) error {
	slices.SortStableFunc(p.notices, func(a, b noticeRow) int { return int(a.at - b.at) })
	for _, n := range p.notices {
		acc, err := oneAccount(tx, "number = $2", n.account)
		if err != nil {
			return err
		}
		def := int64(n.id)
		if !n.counter {
			err := tx.Row("SELECT definition FROM charging_bucket WHERE tenant = $1 AND account = $2 AND bucket = $3", n.account, int64(n.id)).Scan(&def)
			if err != nil {
				return err
			}
		}
		d, err := r.definition(tx, def)
		if err != nil {
			return err
		}
		if d == nil {
			return fmt.Errorf("charging: definition %d is not on the shelf", def)
		}
		f := fact.ThresholdCrossed{Account: acc.ID, Customer: acc.Customer, Name: d.Name, Limit: n.counter, At: store.Instant(n.at)}
		switch {
		case !n.counter && n.bit == core.NoticeAhead:
			f.Ending = true
		case int(n.bit) < len(d.Notices):
			f.Percent = int(d.Notices[n.bit])
		default:
			continue
		}
		outbox.Tell(tx, f)
	}
	return nil
}
