package charging

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"tandem/bss/charging/core"
	"tandem/kit/store"
)

// postedKey is what records of a file have in common that are written in one row of
// usage: a subscriber, a price, a day and a file.
type postedKey struct {
	file         uint64
	day          int64
	sub          uint16
	service      uint8
	group, plmn  uint32
	tariff, rate uint32
	hasGroup     bool
}

// postedRow is such a row.
type postedRow struct {
	postedKey
	records     int
	totals      core.Totals
	first, last int64
	page        []byte
	shard       int
	record      uint64
	at          int64
}

// posted gathers the records of files in one piece of the journal.
type posted struct {
	accounts map[int64]*postedAccount
	order    []*postedAccount
	rows     int // of usage and entries
}

// postedAccount is what an account used by file. It has few rows: they are looked
// through.
type postedAccount struct {
	number int64
	rows   []*postedRow
	taken  []postedEntry
}

// postedEntry is what its usage by file took from a bucket in one second.
type postedEntry struct {
	bucket uint32
	amount int64
	shard  int
	record uint64
	at     int64
}

func (p *posted) account(number int64) *postedAccount {
	a := p.accounts[number]
	if a == nil {
		if p.accounts == nil {
			p.accounts = map[int64]*postedAccount{}
		}
		a = &postedAccount{number: number}
		p.accounts[number] = a
		p.order = append(p.order, a)
	}
	return a
}

// debit adds what a record took from a bucket.
func (p *posted) debit(rec *core.Record, a *postedAccount, bucket uint32, amount int64) {
	i := len(a.taken) - 1 // the last are of this second
	for i >= 0 && (a.taken[i].bucket != bucket || a.taken[i].at/1e6 != rec.At/1e6) {
		i--
	}
	if i < 0 {
		i = len(a.taken)
		a.taken = append(a.taken, postedEntry{bucket: bucket})
		p.rows++
	}
	e := &a.taken[i]
	e.amount -= amount
	e.shard, e.record, e.at = rec.Shard, rec.N, rec.At
}

const (
	postedAtMost = 1000 // records in a row: as many as charging_place has
	day          = 24 * 3600 * 1e6
)

// take adds a record to the row it belongs to.
func (p *posted) take(rec *core.Record, a *postedAccount, x *core.Posted) {
	k := postedKey{file: x.File, day: x.At / day, sub: x.Sub, service: uint8(x.Service), group: x.Group, plmn: x.PLMN, tariff: x.Tariff, rate: x.Rate, hasGroup: x.HasGroup}
	i := len(a.rows) - 1 // the last are of the file that is being taken
	for i >= 0 && (a.rows[i].postedKey != k || a.rows[i].records == postedAtMost) {
		i--
	}
	if i < 0 {
		i = len(a.rows)
		a.rows = append(a.rows, &postedRow{postedKey: k, first: x.At, last: x.At, page: make([]byte, 0, 8*len(x.Raw))})
		p.rows++
	}
	row := a.rows[i]
	row.records++
	row.totals.Seconds += x.Totals.Seconds
	row.totals.Total += x.Totals.Total
	row.totals.Input += x.Totals.Input
	row.totals.Output += x.Totals.Output
	row.totals.Events += x.Totals.Events
	row.totals.Money += x.Totals.Money
	row.first, row.last = min(row.first, x.At), max(row.last, x.At)
	row.shard, row.record, row.at = rec.Shard, rec.N, rec.At
	row.page = append(row.page, x.Raw...)
}

const addPosted = `INSERT INTO charging_usage (tenant, account, subscriber, service, session, part, cause, rating_group, tariff, rate, seconds, octets, octets_in,
	octets_out, events, money, called, network, first_at, last_at, shard, record, at, file, records, page)`

// write writes the rows. Those of an account stand together, so that an index by
// account is changed in few places.
func (p *posted) write(tx *store.Tx) {
	slices.SortFunc(p.order, func(a, b *postedAccount) int { return cmp.Compare(a.number, b.number) })
	for _, a := range p.order {
		for _, x := range a.rows {
			tx.Insert(addPosted, a.number, int64(x.sub), int64(x.service), "", 0, "event", int64(x.group), int64(x.tariff), int64(x.rate),
				int64(x.totals.Seconds), int64(x.totals.Total), int64(x.totals.Input), int64(x.totals.Output), int64(x.totals.Events), x.totals.Money,
				"", int64(x.plmn), x.first, x.last, x.shard, int64(x.record), x.at, int64(x.file), x.records, x.page)
		}
	}
	for _, a := range p.order {
		for _, e := range a.taken {
			if e.amount != 0 {
				tx.Insert(addEntry, a.number, int64(e.bucket), "usage", e.amount, "", e.shard, int64(e.record), e.at)
			}
		}
	}
}

// errEnough ends the reading of the journal when there is enough for a transaction.
var errEnough = errors.New("charging: enough for one transaction")

// size is about how many rows are to be written.
func (p *projected) size() int { return len(p.usage) + len(p.order) + p.posted.rows }

const (
	gatherRows = 1000        // of records of files, from which on more are waited for
	gatherTime = time.Second // how long at most
)

// gather waits while a file is taken, until it ends: then a row is written of all that
// a subscriber has in it, and not of a record or two.
func (r *Room) gather(ctx context.Context) {
	if r.files < gatherRows || r.rows >= projectRows {
		return
	}
	late := time.NewTimer(gatherTime)
	defer late.Stop()
	for r.taken.upto.Load() <= r.upto.Load() {
		select {
		case <-r.taken.news:
		case <-late.C:
			return
		case <-ctx.Done(): // who is stopped finds out himself
			return
		}
	}
}

// taken is up to where the journal has files as a whole.
type taken struct {
	upto atomic.Int64
	news chan struct{}
}

// fileTaken hears that all of a file is durable.
func (r *Room) fileTaken() {
	r.taken.upto.Store(r.Engine.Position())
	nudge(r.taken.news)
}

// projectStuck is how long a file waits for usage of its tenant that does not get written
// down at all: seconds of a slow disk are no reason to go on, a fault is.
const projectStuck = 10 * time.Second

// awaitProjected waits until a tenant has been projected up to a place of the journal. It
// does not wait for the others: one whose usage cannot be written must not stop the files
// of all. Nor does it wait for ever for its own, which would only keep its files from being
// charged in time. Who is stopped finds out himself.
func (r *Room) awaitProjected(ctx context.Context, tenant string, place int64) {
	late := time.NewTimer(projectStuck)
	defer late.Stop()
	for was := int64(-1); r.upto.Load() < place; {
		at, err := r.writtenUpto(ctx, tenant)
		switch {
		case err == nil && at >= place:
			return
		case err == nil && at > was:
			was = at
			late.Reset(projectStuck)
		}
		select {
		case <-r.further:
		case <-late.C:
			r.log.Warn("charging: the next file is charged though usage of its tenant does not get written down", "tenant", tenant, "at", was, "charged", place, "err", err)
			return
		case <-ctx.Done():
			return
		}
	}
}

// writtenUpto is how far a tenant has been projected, by whichever node.
func (r *Room) writtenUpto(ctx context.Context, tenant string) (at int64, err error) {
	err = r.read(ctx, tenant, func(tx *store.Tx) error {
		return tx.Row("SELECT seq FROM charging_cursor WHERE tenant = $1 AND part = 1").Scan(&at)
	})
	return at, err
}

// eachUsed makes a row of each record of a file, so that it is priced as it was: alone.
func eachUsed(row usedRow, page []byte, take func(usedRow) error) error {
	if len(page) == 0 {
		return take(row)
	}
	var failed error
	err := core.EachPosted(page, func(x *core.Posted) bool {
		row.called, row.first, row.money = string(x.Called), x.At, x.Totals.Money
		row.seconds, row.octets, row.events = int64(x.Totals.Seconds), int64(x.Totals.Total), int64(x.Totals.Events)
		failed = take(row)
		row.place++
		return failed == nil
	})
	if err != nil {
		return fmt.Errorf("usage %d: %w", row.number, err)
	}
	return failed
}

// posted adds a record of a file up, and prices it anew.
func (a *audit) posted(rec *core.Record, x *core.Posted) error {
	t := a.read[rec.Tenant]
	t.rows++
	t.seconds += int64(x.Totals.Seconds)
	t.octets += int64(x.Totals.Total)
	t.events += int64(x.Totals.Events)
	t.money += x.Totals.Money
	a.read[rec.Tenant] = t
	a.sum.Records++
	want, judged := a.price(&core.Group{Tariff: x.Tariff, Rate: x.Rate, Priced: x.Priced})
	if !judged || !x.Anew {
		a.sum.Unjudged++
		return nil
	}
	if want.IsInt64() && want.Int64() == x.Totals.Money {
		return nil
	}
	return a.differs(rec.Tenant, x.Tariff, x.Totals.Money, want, fmt.Sprintf("file %d, record %d (shard %d, record %d): %d units were charged with %d of 10^-9, by tariff %d they cost %s",
		x.File, x.Place, rec.Shard, rec.N, x.Priced, x.Totals.Money, x.Tariff, want))
}

const rowsOpened = 100 // rows of files read at once

// openUsages fills in the records of files in a page of usage. Each row is read once,
// however many of its records are asked for.
func openUsages(tx *store.Tx, page []*Usage) error {
	asked, numbers := map[int64][]*Usage{}, []any(nil)
	for _, u := range page {
		n := u.row.number
		if u.row.file == 0 || u.row.open {
			continue
		}
		if asked[n] == nil {
			numbers = append(numbers, n)
		}
		asked[n] = append(asked[n], u)
	}
	for some := range slices.Chunk(numbers, rowsOpened) {
		rows, err := tx.Query("SELECT number, page FROM charging_usage WHERE tenant = $1 AND number IN ("+store.In(2, len(some))+")", some...)
		_, err = store.Collect(rows, err, func(r store.Rows) (n int64, err error) {
			var raw []byte
			if err := r.Scan(&n, &raw); err != nil {
				return n, err
			}
			return n, openRow(raw, asked[n])
		})
		if err != nil {
			return err
		}
	}
	for _, u := range page {
		if u.row.file > 0 && !u.row.open {
			return fmt.Errorf("usage %d: its row has fewer records than it says", u.row.number)
		}
	}
	return nil
}

// openRow fills in those of a row's records that are asked for.
func openRow(page []byte, asked []*Usage) error {
	at := map[int64][]*Usage{}
	for _, u := range asked {
		at[u.row.place] = append(at[u.row.place], u)
	}
	place := int64(0)
	err := core.EachPosted(page, func(x *core.Posted) bool {
		for _, u := range at[place] {
			u.row.fill(x)
			u.show(int64(x.Place))
		}
		delete(at, place)
		place++
		return len(at) > 0
	})
	if err != nil {
		return fmt.Errorf("usage %d: %w", asked[0].row.number, err)
	}
	return nil
}

// fill takes over what a record of a file says.
func (s *usageSeen) fill(x *core.Posted) {
	s.open, s.session, s.called, s.part = true, text(string(x.Session)), text(string(x.Called)), int64(x.Number)
	s.seconds, s.octets, s.in, s.out, s.events = int64(x.Totals.Seconds), int64(x.Totals.Total), int64(x.Totals.Input), int64(x.Totals.Output), int64(x.Totals.Events)
	s.money, s.first, s.last = x.Totals.Money, x.At, x.At
}
