package charging

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"tandem/bss/charging/core"
	"tandem/edge/cdr"
	"tandem/edge/credit"
	"tandem/kit/fault"
	"tandem/kit/store"
)

// caseRow is usage that could not be charged, as it becomes a case.
type caseRow struct {
	source, session string
	number, part    int64
	reason          string
	doc             cdr.Doc
	file            int64
	at              int64
}

const addCase = `INSERT INTO charging_case (tenant, source, session, record_number, part, reason, first_reason, state, doc, attempts, file, at, changed_at)
	VALUES ($1, $2, $3, $4, $5, $6, $6, 'open', $7, 0, $8, $9, $10) ON CONFLICT (tenant, source, session, record_number, part) DO NOTHING`

// addCases writes cases; one that is there already is the same usage.
func addCases(tx *store.Tx, rows []caseRow) error {
	for i := range rows {
		c := &rows[i]
		doc, err := marshal(&c.doc)
		if err != nil {
			return err
		}
		tx.Queue(addCase, c.source, c.session, c.number, c.part, c.reason, doc, c.file, c.at, store.Micros(tx.Now()))
	}
	return nil
}

// workSuspense gathers what the engine put into suspense, and charges again what is
// to be recycled.
func (m *Mediator) workSuspense(ctx context.Context) error {
	tenants, err := m.room.tenants(ctx)
	if err != nil {
		return err
	}
	for _, tenant := range tenants {
		if err := m.gather(ctx, tenant); err != nil {
			return err
		}
		if err := m.recycleAll(ctx, tenant); err != nil {
			return err
		}
	}
	return nil
}

// suspended is a row of charging_suspense.
type suspended struct {
	number, shard, record, place, at int64
	reason                           string
	doc                              string
}

// gather makes cases of new suspense rows, which are then handed over: their state
// is recycled, and the case is what is worked on. Usage of files has its case from
// mediation, with more in it.
func (m *Mediator) gather(ctx context.Context, tenant string) error {
	for {
		n := 0
		err := m.write(ctx, tenant, func(tx *store.Tx) error {
			rows, err := tx.Query("SELECT number, shard, record, place, at, reason, doc FROM charging_suspense WHERE tenant = $1 AND state = 'open' ORDER BY number LIMIT $2"+tx.Dialect().ForUpdate(), casesAtOnce)
			found, err := store.Collect(rows, err, func(r store.Rows) (s suspended, err error) {
				return s, r.Scan(&s.number, &s.shard, &s.record, &s.place, &s.at, &s.reason, &s.doc)
			})
			if err != nil {
				return err
			}
			n = len(found)
			return handOver(tx, found)
		})
		if err != nil || n < casesAtOnce {
			return err
		}
	}
}

func handOver(tx *store.Tx, found []suspended) error {
	place := int64(0)
	for i := range found {
		s := &found[i]
		if place++; i == 0 || found[i-1].shard != s.shard || found[i-1].record != s.record {
			place = 0
		}
		if s.place < 0 { // written before places were kept
			s.place = place
		}
		if err := handOverOne(tx, s); err != nil {
			return fmt.Errorf("suspense %d: %w", s.number, err)
		}
		tx.Queue("UPDATE charging_suspense SET state = 'recycled' WHERE tenant = $1 AND number = $2", s.number)
	}
	return nil
}

func handOverOne(tx *store.Tx, s *suspended) error {
	var l core.Lost
	if err := json.Unmarshal([]byte(s.doc), &l); err != nil {
		return err
	}
	if l.Face == credit.File {
		return nil
	}
	same := fmt.Sprint(s.place, s.doc)
	if l.Face == credit.RADIUS { // the engine has told what is reported again: what is the same has been used twice
		same = fmt.Sprint(s.shard, s.record, same)
	}
	digest := int64(xxhash.Sum64String(same))
	if l.At == 0 {
		l.At = s.at // the client did not say when
	}
	doc := lostDoc(&l)
	body, err := marshal(&doc)
	if err != nil {
		return err
	}
	return keepCase(tx, s, &l, body, digest)
}

const (
	sameCase = "SELECT count(*) FROM charging_case WHERE tenant = $1 AND source = $2 AND session = $3 AND record_number = $4 AND digest = $5"
	lostCase = `INSERT INTO charging_case (tenant, source, session, record_number, part, reason, first_reason, state, doc, attempts, file, at, changed_at, digest)
		VALUES ($1, $2, $3, $4, $5, $6, $6, 'open', $7, 0, 0, $8, $9, $10) ON CONFLICT (tenant, source, session, record_number, part) DO NOTHING`
)

// keepCase makes a case of a use. What a client reports again is the same case: it
// has the same session, number, place in its request and content. Another use under
// these names, from a client that does not number its requests, is told apart by
// where it stands in the journal.
func keepCase(tx *store.Tx, s *suspended, l *core.Lost, doc string, digest int64) error {
	source, session := text(l.Peer), text(l.Session)
	var known int64
	if err := tx.Row(sameCase, source, session, int64(l.Number), digest).Scan(&known); err != nil || known > 0 {
		return err
	}
	for _, part := range [...]int64{s.place, 1<<62 | s.record<<24 | s.shard<<16 | s.place} {
		n, err := tx.Exec(lostCase, source, session, int64(l.Number), part, s.reason, doc, l.At, store.Micros(tx.Now()), digest)
		if err != nil || n == 1 {
			return err
		}
	}
	return fmt.Errorf("charging: record %d of shard %d has two uses at place %d", s.record, s.shard, s.place)
}

// lostDoc is what is known of usage that came by another face.
func lostDoc(l *core.Lost) cdr.Doc {
	r := cdr.Record{Service: l.Service, Session: []byte(text(l.Session)), Number: l.Number, Start: l.At}
	id := []byte(text(l.Subscriber))
	switch l.IDType {
	case credit.E164:
		r.MSISDN = id
	case credit.IMSI:
		r.IMSI = id
	default:
		r.Name = id
	}
	u := cdr.Usage{HasGroup: l.Group != 0, Group: l.Group, First: l.At}
	for _, x := range [...]struct {
		has credit.Has
		n   uint64
		to  *uint64
	}{{credit.HasSeconds, l.Totals.Seconds, &u.Units.Seconds}, {credit.HasTotal, l.Totals.Total, &u.Units.Total}, {credit.HasInput, l.Totals.Input, &u.Units.Input},
		{credit.HasOutput, l.Totals.Output, &u.Units.Output}, {credit.HasEvents, l.Totals.Events, &u.Units.Events}} {
		if x.n != 0 {
			u.Units.Has |= x.has
			*x.to = x.n
		}
	}
	r.Usage = append(r.Usage, u)
	return r.Doc()
}

// Case is usage that could not be charged.
type Case struct {
	Number      int64          `json:"id"`
	Source      string         `json:"source"`
	Session     string         `json:"session"`
	Record      int64          `json:"number"`
	Part        int64          `json:"part"`
	Reason      string         `json:"reason"`
	FirstReason string         `json:"firstReason"`
	State       string         `json:"state"`
	Usage       jsontext.Value `json:"usage"`
	Attempts    int64          `json:"attempts"`
	File        int64          `json:"file,omitzero"`
	At          time.Time      `json:"at"`
}

const caseColumns = "number, source, session, record_number, part, reason, first_reason, state, doc, attempts, file, at"

func scanCase(r store.Rows) (c Case, err error) {
	var doc string
	var at int64
	err = r.Scan(&c.Number, &c.Source, &c.Session, &c.Record, &c.Part, &c.Reason, &c.FirstReason, &c.State, &doc, &c.Attempts, &c.File, &at)
	c.Usage, c.At = jsontext.Value(doc), store.Instant(at)
	return c, err
}

// Selection says which cases are meant; what is empty matches all.
type Selection struct {
	Cases  []int64   `json:"cases,omitzero"`
	State  string    `json:"state,omitzero"`
	Reason string    `json:"reason,omitzero"`
	Source string    `json:"source,omitzero"`
	File   int64     `json:"file,omitzero"`
	Before time.Time `json:"before,omitzero"` // used before
	After  int64     `json:"after,omitzero"`  // number, for the next page
	Limit  int       `json:"limit,omitzero"`
}

const maxCases = 10_000 // in one selection

func (s *Selection) query(columns string, arg func(any) string) string {
	q := "SELECT " + columns + " FROM charging_case WHERE tenant = $1 AND number > " + arg(s.After)
	for _, c := range [...]struct {
		column, value string
	}{{"state", s.State}, {"reason", s.Reason}, {"source", s.Source}} {
		if c.value != "" {
			q += " AND " + c.column + " = " + arg(c.value)
		}
	}
	if s.File != 0 {
		q += " AND file = " + arg(s.File)
	}
	if !s.Before.IsZero() {
		q += " AND at < " + arg(store.Micros(s.Before))
	}
	if len(s.Cases) > 0 {
		marks := make([]string, len(s.Cases))
		for i, n := range s.Cases {
			marks[i] = arg(n)
		}
		q += " AND number IN (" + strings.Join(marks, ", ") + ")"
	}
	return q + " ORDER BY number LIMIT " + arg(min(cmp.Or(s.Limit, 100), maxCases))
}

// Cases are those of a selection, oldest first.
func Cases(tx *store.Tx, s Selection) ([]Case, error) {
	if len(s.Cases) > 1000 {
		return nil, fault.BadInput("tooManyCases", "At most 1000 cases can be named; select them by reason, source or file")
	}
	var args []any
	q := s.query(caseColumns, func(v any) string { args = append(args, v); return fmt.Sprintf("$%d", len(args)+1) })
	rows, err := tx.Query(q, args...)
	return store.Collect(rows, err, scanCase)
}

// Recycling is an order to charge cases again, corrected or as they are.
type Recycling struct {
	Select Selection                 `json:"select"`
	Set    map[string]jsontext.Value `json:"set,omitzero"` // attributes of the usage and what they are to be; null: none
}

// Recycle corrects the open cases of a selection and has them charged again: the
// outcome stands in each. It says how many there are.
func Recycle(tx *store.Tx, r Recycling) (n int, err error) {
	r.Select.State = "open"
	r.Select.Limit = cmp.Or(r.Select.Limit, maxCases)
	found, err := Cases(tx, r.Select)
	if err != nil {
		return 0, err
	}
	for _, c := range found {
		doc, err := corrected(c.Usage, r.Set)
		if err != nil {
			return 0, fault.At(fmt.Sprintf("Case %d", c.Number), err)
		}
		tx.QueueOne("UPDATE charging_case SET state = 'recycling', attempts = attempts + 1, doc = $3, changed_at = $4 WHERE tenant = $1 AND number = $2 AND state = 'open'",
			c.Number, doc, store.Micros(tx.Now()))
	}
	return len(found), nil
}

// corrected is the usage with some attributes changed; it must still be a usage.
func corrected(usage jsontext.Value, set map[string]jsontext.Value) (string, error) {
	if len(set) == 0 {
		return string(usage), nil
	}
	var all map[string]jsontext.Value
	if err := json.Unmarshal(usage, &all); err != nil {
		return "", err
	}
	for name, v := range set {
		if name == "session" || name == "number" {
			return "", fault.BadInput("badCorrection", "%s is what the usage is known by and stays as it is", name)
		}
		if all[name] = v; bytes.Equal(bytes.TrimSpace(v), []byte("null")) {
			delete(all, name)
		}
	}
	body, err := json.Marshal(all)
	if err != nil {
		return "", err
	}
	var d cdr.Doc
	if err := json.Unmarshal(body, &d, json.RejectUnknownMembers(true)); err != nil {
		return "", fault.BadInput("badCorrection", "The corrected usage cannot be read: %v", err)
	}
	if err := d.Fill(&cdr.Record{}); err != nil {
		return "", fault.BadInput("badCorrection", "The corrected usage is incomplete: %v", err)
	}
	return marshal(&d)
}

// recycleAll charges the cases that are to be. Each attempt has a name of its own
// in the journal, so one that was interrupted is not charged twice.
func (m *Mediator) recycleAll(ctx context.Context, tenant string) error {
	after := int64(0)
	for {
		var found []Case
		err := m.read(ctx, tenant, func(tx *store.Tx) (err error) {
			found, err = Cases(tx, Selection{State: "recycling", Limit: casesAtOnce, After: after})
			return err
		})
		if err != nil || len(found) == 0 {
			return err
		}
		after = found[len(found)-1].Number
		if err := m.recycle(ctx, tenant, found); err != nil {
			return err
		}
	}
}

func (m *Mediator) recycle(ctx context.Context, tenant string, found []Case) error {
	outcome := make([]string, len(found)) // each written by one flight; read after drain
	w := m.newWindow(func(x *flight) {
		outcome[x.at] = cmp.Or(reasonOf(&x.call.Answer, 0), "charged")
	})
	for i := range found {
		x, err := w.free(ctx)
		if err != nil {
			return err
		}
		var d cdr.Doc
		x.rec.Reset()
		if err := json.Unmarshal(found[i].Usage, &d); err == nil {
			err = d.Fill(&x.rec)
		}
		if err != nil {
			outcome[i] = "implausible"
			w.give(x)
			continue
		}
		x.at = i
		r := &x.call.Request
		x.rec.Fill(r, []byte(found[i].Source))
		r.SubSession = uint64(found[i].Number)<<16 | uint64(found[i].Attempts)
		m.charger.Charge(&x.call)
	}
	if err := w.drain(ctx); err != nil {
		return err
	}
	return m.write(ctx, tenant, func(tx *store.Tx) error {
		for i, c := range found {
			state, reason := "open", outcome[i]
			if reason == "charged" {
				state, reason = "charged", c.Reason
			}
			if reason == "" {
				continue // not decided on: it stays as it is
			}
			tx.Queue("UPDATE charging_case SET state = $3, reason = $4, changed_at = $5 WHERE tenant = $1 AND number = $2 AND state = 'recycling'", c.Number, state, reason, store.Micros(tx.Now()))
		}
		return nil
	})
}

// Amounts is what lies in suspense, by reason: what may be lost (leakage).
type Amounts struct {
	Reason string    `json:"reason"`
	Source string    `json:"source"`
	Cases  int64     `json:"cases"`
	Oldest time.Time `json:"oldest"`
}

// Suspended counts the open cases by source and reason.
func Suspended(tx *store.Tx) ([]Amounts, error) {
	rows, err := tx.Query("SELECT source, reason, count(*), min(at) FROM charging_case WHERE tenant = $1 AND state IN ('open', 'recycling') GROUP BY source, reason ORDER BY source, reason")
	return store.Collect(rows, err, func(r store.Rows) (a Amounts, err error) {
		var oldest int64
		err = r.Scan(&a.Source, &a.Reason, &a.Cases, &oldest)
		a.Oldest = store.Instant(oldest)
		return a, err
	})
}
