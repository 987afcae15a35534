package charging

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"tandem/bss/charging/core"
	"tandem/edge/cdr"
	"tandem/edge/credit"
	"tandem/kit/journal"
	"tandem/kit/store"
)

// Records are charged in blocks: one lock of a shard and one row of the journal for
// all of a block. While one is on its way to the disk, the next is read and decided.
const blocksAtOnce = 4

// blockSize is how many records a block has; tests take fewer.
var blockSize = 4096

// block is some records of a file, charged together.
type block struct {
	records []cdr.Record
	failed  []bool // by record: a use of it became a case
	n       int
	posts   core.Posts
	refused []unchargedUse
	busy    map[[2]int]bool // uses to be handed over again; nil: all
	done    chan error
	under   bool // way
}

// unchargedUse is a use that was not charged.
type unchargedUse struct {
	record, part int
	why          credit.Result
}

// course is the charging of one file.
type course struct {
	m      *Mediator
	feed   *Feed
	source []byte
	out    *File
	s      *survey
	r      cdr.Reader
	was    *earlier
	late   int64 // before this instant a use is late
	blocks *[blocksAtOnce]block
}

// blockRooms are blocks of files that have ended: their records have memory of their own.
var blockRooms = sync.Pool{New: func() any { return &[blocksAtOnce]block{} }}

// charge charges the records of a file that was begun. One that was interrupted is
// read from its beginning again: the journal and the cases say which of its records
// were dealt with.
func (m *Mediator) charge(ctx context.Context, x *taking) (err error) {
	f, out := &x.feed, &x.out
	c := &course{m: m, feed: f, source: []byte(f.Source), out: out, s: &x.s, late: m.room.DB.Now().Add(-m.Late).UnixMicro(), blocks: blockRooms.Get().(*[blocksAtOnce]block)}
	for i := range c.blocks {
		c.furnish(&c.blocks[i])
	}
	defer blockRooms.Put(c.blocks) // nothing is under way any more
	out.Charged, out.Duplicates, out.Suspended, out.Late = 0, 0, 0, 0
	if out.resumed {
		if c.was, err = m.earlier(ctx, f.Tenant, out.Number); err != nil {
			return err
		}
	}
	if c.r, err = f.open(x.body); err != nil {
		return err
	}
	if err = c.run(ctx); err != nil {
		c.wait()
	}
	return err
}

// run hands over block after block.
func (c *course) run(ctx context.Context) error {
	for i := 0; ; i++ {
		b := &c.blocks[i%blocksAtOnce]
		if err := c.land(ctx, b); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		more, err := c.read(ctx, b)
		if err != nil {
			return err
		}
		c.hand(b)
		if more {
			continue
		}
		for j := range c.blocks { // oldest first
			if err := c.land(ctx, &c.blocks[(i+1+j)%blocksAtOnce]); err != nil {
				return err
			}
		}
		return nil
	}
}

// wait waits for what is under way, whatever becomes of it: who goes on with the
// file must find it in the journal.
func (c *course) wait() {
	for i := range c.blocks {
		if b := &c.blocks[i]; b.under {
			<-b.done
			b.under = false
		}
	}
}

// furnish makes a block one of this file.
func (c *course) furnish(b *block) {
	if len(b.records) != blockSize {
		b.records, b.failed, b.done = make([]cdr.Record, blockSize), make([]bool, blockSize), make(chan error, 1)
	}
	b.posts = core.Posts{File: uint64(c.out.Number), Fill: func(i int, r *credit.Request) uint64 {
		b.records[i].FillUse(r, c.source)
		return uint64(b.records[i].Position)
	}, Refused: func(i, part int, why credit.Result) { b.refused = append(b.refused, unchargedUse{i, part, why}) },
		Done: func(err error) { b.done <- err }}
}

// read fills a block with records that are to be charged; more is false at the end
// of the file.
func (c *course) read(ctx context.Context, b *block) (more bool, err error) {
	b.n, b.busy = 0, nil
	clear(b.failed)
	var suspects []caseRow
	for b.n < len(b.records) {
		rec := &b.records[b.n]
		switch err := c.r.Next(rec); err {
		case nil:
		case io.EOF:
			return false, c.keep(ctx, suspects)
		default:
			return false, err
		}
		if rec.Start < c.late {
			c.out.Late++
		}
		if n := c.feed.Networks[string(rec.Network)]; n != 0 && rec.PLMN == 0 {
			rec.PLMN = n
		}
		suspect, not := c.s.not[rec.Position]
		if !not {
			b.n++
			continue
		}
		c.out.Duplicates++
		for part := range rec.Usage {
			if suspect {
				suspects = append(suspects, c.suspend(rec, part, "duplicateSuspect"))
			}
		}
	}
	return true, c.keep(ctx, suspects)
}

// hand gives a block to the engine, or what the engine could not decide on of it.
func (c *course) hand(b *block) {
	b.refused = b.refused[:0]
	b.posts.Len, b.posts.Before = b.n, nil
	if c.was != nil || b.busy != nil {
		b.posts.Before = func(i, part int) bool {
			return b.busy != nil && !b.busy[[2]int{i, part}] || c.was.dealt(&b.records[i], part)
		}
	}
	b.under = true
	c.m.charger.ChargeAll(&b.posts)
}

// land waits for a block, makes cases of what could not be charged, and counts.
func (c *course) land(ctx context.Context, b *block) error {
	for b.under {
		err := <-b.done
		b.under = false
		if err != nil {
			return err
		}
		slices.SortFunc(b.refused, func(x, y unchargedUse) int { // as they stand in the file
			return cmp.Or(cmp.Compare(x.record, y.record), cmp.Compare(x.part, y.part))
		})
		busy := map[[2]int]bool{}
		var rows []caseRow
		for _, x := range b.refused {
			if x.why == credit.Busy {
				busy[[2]int{x.record, x.part}] = true
				continue
			}
			rows = append(rows, c.suspend(&b.records[x.record], x.part, suspenseOf(x.why)))
			b.failed[x.record] = true
		}
		if err := c.keep(ctx, rows); err != nil {
			return err
		}
		if len(busy) == 0 {
			c.count(b)
			return nil
		}
		if err := pause(ctx, busyPause); err != nil {
			return err
		}
		b.busy = busy
		c.hand(b)
	}
	return nil
}

// count counts the records of a block of which everything was charged.
func (c *course) count(b *block) {
	for i := range b.n {
		if !c.was.suspended(&b.records[i], c.out) && !b.failed[i] {
			c.out.Charged++
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// suspend makes a case of one use of a record.
func (c *course) suspend(rec *cdr.Record, part int, reason string) caseRow {
	doc := rec.Doc()
	doc.Usage = doc.Usage[part : part+1]
	c.out.Suspended++
	return caseRow{source: c.feed.Source, session: doc.Session, number: int64(rec.Number), part: int64(part), reason: reason, doc: doc, file: c.out.Number, at: rec.Start}
}

func (c *course) keep(ctx context.Context, rows []caseRow) error {
	for len(rows) > 0 {
		n := min(len(rows), casesAtOnce)
		if err := c.m.write(ctx, c.feed.Tenant, func(tx *store.Tx) error { return addCases(tx, rows[:n]) }); err != nil {
			return err
		}
		rows = rows[n:]
	}
	return nil
}

// earlier is what was done for a file before it was interrupted.
type earlier struct {
	charged map[[2]uint64]bool // place and part
	cases   map[caseName]bool
}

// caseName is what a case of a file is known by.
type caseName struct {
	session      string
	number, part int64
}

// dealt says that a use was charged before, or is a case.
func (e *earlier) dealt(rec *cdr.Record, part int) bool {
	return e != nil && (e.charged[[2]uint64{uint64(rec.Position), uint64(part)}] || e.cases[caseName{text(string(rec.Session)), int64(rec.Number), int64(part)}])
}

// suspended counts the uses of a record that were made cases before; it is false if
// there are none.
func (e *earlier) suspended(rec *cdr.Record, out *File) (some bool) {
	if e == nil || len(e.cases) == 0 {
		return false
	}
	for part := range rec.Usage {
		if e.cases[caseName{text(string(rec.Session)), int64(rec.Number), int64(part)}] {
			out.Suspended++
			some = true
		}
	}
	return some
}

// earlier finds what was done for a file: what the journal says that is not
// projected yet, then what is. What is decided is durable or forgotten by then.
func (m *Mediator) earlier(ctx context.Context, tenant string, file int64) (*earlier, error) {
	e := &earlier{charged: map[[2]uint64]bool{}, cases: map[caseName]bool{}}
	tenants, err := m.room.tenants(ctx)
	if err != nil {
		return nil, err
	}
	low, err := m.lowest(ctx, tenants)
	if err != nil {
		return nil, err
	}
	var move core.Move
	err = m.room.journal.Replay(ctx, low, journal.All(), func(_ int64, b *journal.Batch) error {
		return core.Scan(b.Blob, b.First, func(_ *core.Record, next func(*core.Move) bool) error {
			for next(&move) {
				if move.Op == core.MovePost && move.Posted.File == uint64(file) {
					e.add(&move.Posted)
				}
			}
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	for _, name := range tenants {
		if err := m.read(ctx, name, func(tx *store.Tx) error { return e.readUsage(tx, file) }); err != nil {
			return nil, err
		}
	}
	return e, m.read(ctx, tenant, func(tx *store.Tx) error { return e.readCases(tx, file) })
}

func (e *earlier) add(x *core.Posted) bool {
	e.charged[[2]uint64{x.Place, uint64(x.Part)}] = true
	return true
}

// lowest is up to where all tenants that charge for anything have been projected.
func (m *Mediator) lowest(ctx context.Context, tenants []string) (low int64, err error) {
	low = -1
	for _, name := range tenants {
		if m.room.tenantNumber(name) == 0 {
			continue
		}
		at := int64(0)
		err := m.read(ctx, name, func(tx *store.Tx) error {
			err := tx.Row("SELECT seq FROM charging_cursor WHERE tenant = $1 AND part = 1").Scan(&at)
			if err == store.ErrNotFound {
				err = nil
			}
			return err
		})
		if err != nil {
			return 0, err
		}
		if low < 0 || at < low {
			low = at
		}
	}
	return max(low, 0), nil
}

func (e *earlier) readUsage(tx *store.Tx, file int64) error {
	rows, err := tx.Query("SELECT page FROM charging_usage WHERE tenant = $1 AND file = $2 AND file > 0", file)
	_, err = store.Collect(rows, err, func(r store.Rows) (page []byte, err error) {
		if err = r.Scan(&page); err == nil {
			err = core.EachPosted(page, e.add)
		}
		return nil, err
	})
	if err != nil {
		return fmt.Errorf("what was charged of file %d: %w", file, err)
	}
	return nil
}

func (e *earlier) readCases(tx *store.Tx, file int64) error {
	rows, err := tx.Query("SELECT session, record_number, part FROM charging_case WHERE tenant = $1 AND file = $2 AND first_reason <> 'duplicateSuspect'", file)
	_, err = store.Collect(rows, err, func(r store.Rows) (n caseName, err error) {
		if err = r.Scan(&n.session, &n.number, &n.part); err == nil {
			e.cases[n] = true
		}
		return n, err
	})
	return err
}
