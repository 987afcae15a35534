package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"tandem/app/mobile"
	"tandem/bss/billing"
	"tandem/bss/catalog"
	"tandem/bss/order"
	"tandem/bss/rating"
	"tandem/bss/subscription"
	"tandem/edge/hlr"
	"tandem/kit/fault"
	"tandem/kit/store"
	"tandem/kit/tmf"
)

// fill makes lines that exist before the measurement. A few are ordered, one of each
// offering, by the way that all orders go; the others are copies of every row that
// those have left, in all tables, under names of their own, and are on the lab's HLR
// as well. What only looks back is not copied: changes, facts, jobs, messages. The
// cards' sealed keys are copies, too, and open for none of them.
func (r *rig) fill(ctx context.Context, n int) error {
	var have int
	err := r.DB.Read(ctx, scope, func(tx *store.Tx) error {
		return tx.Row("SELECT count(*) FROM "+subscription.Products.Table+" WHERE tenant = $1 AND id LIKE $2", lineID+"%").Scan(&have)
	})
	if err != nil || have >= n {
		return err
	}
	r.options.say("filling the store up to %d products", n)
	var stamps []*stamp
	for i, offering := range []string{mobile.Prepaid, mobile.FlatM, mobile.FlatL} {
		offering, err := r.plain(ctx, offering)
		if err != nil {
			return fmt.Errorf("a plain %s: %w", offering, err)
		}
		s, err := r.newStamp(ctx, i, offering)
		if err != nil {
			return fmt.Errorf("a line of %s to copy: %w", offering, err)
		}
		stamps = append(stamps, s)
	}
	register, err := hlr.Dial(ctx, r.Lab.Addr())
	if err != nil {
		return err
	}
	defer register.Close()
	began, step := time.Now(), max(10, (n+owners-1)/owners) // one owner's lines are one transaction
	var next, made atomic.Int64
	failed := make(chan error, fillers)
	for range fillers {
		go func() {
			for {
				block := int(next.Add(1) - 1)
				from, to := have+block*step, min(have+(block+1)*step, n)
				if from >= n {
					failed <- nil
					return
				}
				err := stamps[block%len(stamps)].print(ctx, r, block%owners, from, to)
				if err := errors.Join(err, subscribe(ctx, register, from, to)); err != nil {
					next.Store(int64(n)) // the others have nothing more to do
					failed <- err
					return
				}
				if all := int(made.Add(int64(to - from))); have+all == n || all/100_000 != (all-to+from)/100_000 {
					r.options.say("  %d products, %.0f a second", have+all, float64(all)/time.Since(began).Seconds())
				}
			}
		}()
	}
	for range fillers {
		err = errors.Join(err, <-failed)
	}
	if err != nil {
		return err
	}
	return analyse(ctx, r.DB)
}

// plain is an offering without usage: what exists before is not charged online, since
// accounts of charging are no rows that could be copied.
func (r *rig) plain(ctx context.Context, offering string) (id string, err error) {
	id = "plain-" + offering
	return id, r.DB.Write(ctx, scope, func(tx *store.Tx) error {
		if _, err := catalog.Offerings.Get(tx, id); !fault.Is(err, fault.NotFound) {
			return err // there already: the store was filled before
		}
		o, err := catalog.Offerings.Get(tx, offering)
		if err != nil {
			return err
		}
		prices, err := catalog.Prices(tx, o)
		if err != nil {
			return err
		}
		own := &catalog.ProductOffering{Name: "Plain " + o.Name, Version: o.Version, LifecycleStatus: o.LifecycleStatus, IsSellable: o.IsSellable,
			ProductSpecification: o.ProductSpecification, Category: o.Category}
		own.ID = id
		for _, p := range prices {
			if !rating.Rates(p) {
				own.ProductOfferingPrice = append(own.ProductOfferingPrice, catalog.PriceRefOrValue{ID: p.ID, Name: p.Name})
			}
		}
		return catalog.Offerings.Create(tx, own)
	})
}

const fillers = 4 // transactions at once

// Names of the n-th line, of which the last eight digits are n.
const (
	lineID    = "existing-"
	lineIMSI  = "2620190"
	lineICCID = "89490180000"
	lineMSN   = "4915"
)

// stamp is an ordered line: its rows in all tables, and what in them is its alone.
type stamp struct {
	prefixes            []string // of the ids made while it was ordered: their time to a second
	product             string
	msisdn, iccid, imsi string
	owner, account      string
	start               time.Time
	rows                []row
}

// row is a row of a table; nil cells are NULL, bytes are hexadecimal.
type row struct {
	table *table
	cells []*string
}

type table struct {
	name    string
	columns []column
}

type column struct{ name, kind string } // kind: text, json, number or bytes

// newStamp orders a line and keeps its rows.
func (r *rig) newStamp(ctx context.Context, n int, offering string) (*stamp, error) {
	s := &stamp{owner: buyer(n)}
	before := idPrefix(time.Now())
	for idPrefix(time.Now()) == before { // what was made before has other prefixes
		time.Sleep(20 * time.Millisecond)
	}
	began := time.Now()
	o := &order.ProductOrder{RelatedParty: []tmf.RelatedParty{{ID: s.owner, Role: "customer", ReferredType: "Customer"}},
		ProductOrderItem: []order.Item{{ID: "1", Action: order.Add, ProductOffering: &order.Ref{ID: offering}}}}
	if err := r.DB.Write(ctx, scope, func(tx *store.Tx) error { return order.Place(tx, o) }); err != nil {
		return nil, err
	}
	if err := r.completed(ctx, o.ID); err != nil {
		return nil, err
	}
	for at := began; ; at = at.Add(500 * time.Millisecond) {
		if p := idPrefix(at); !slices.Contains(s.prefixes, p) {
			s.prefixes = append(s.prefixes, p)
		}
		if at.After(time.Now()) {
			break
		}
	}
	return s, r.DB.Write(ctx, scope, func(tx *store.Tx) error { return s.keep(tx) })
}

// idPrefix is what the ids made within about a second begin with (ULID: the first 48
// bits are milliseconds).
func idPrefix(at time.Time) string {
	const digits, length = "0123456789ABCDEFGHJKMNPQRSTVWXYZ", 10
	out, ms := make([]byte, length), at.UnixMilli()
	for i := length - 1; i >= 0; i, ms = i-1, ms>>5 {
		out[i] = digits[ms&31]
	}
	return string(out[:8])
}

// completed waits until an order is through and everybody has heard of it.
func (r *rig) completed(ctx context.Context, id string) error {
	for late := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		var o *order.ProductOrder
		err := r.DB.Read(ctx, scope, func(tx *store.Tx) (err error) {
			o, err = order.ProductOrders.Get(tx, id)
			return err
		})
		if err != nil {
			return err
		}
		if o.State == order.Completed {
			return r.Bus.Idle(ctx)
		}
		if time.Now().After(late) {
			return fmt.Errorf("order %s is still %s", id, o.State)
		}
	}
}

// passing are tables of what only looks back, or is there for all lines together.
var passing = []string{"sqlite_", "pg_", "store_", "access_", "outbox_", "work_", "communication_", "party_", "bench_", "tmf_change", "tmf_hub", "tmf_dead", "tmf_kind", "tmf_generation",
	"billing_legal_entity", "billing_tax_rate"} // made once, when somebody first needs them

// keep reads the stamp's rows of every table, and learns its names from them.
func (s *stamp) keep(tx *store.Tx) error {
	all, err := tables(tx)
	if err != nil {
		return err
	}
	for _, t := range all {
		if slices.ContainsFunc(passing, func(p string) bool { return strings.HasPrefix(t.name, p) }) ||
			slices.ContainsFunc(t.columns, func(c column) bool { return c.name == "seq" }) {
			continue
		}
		found, err := s.rowsOf(tx, t)
		if err != nil {
			return fmt.Errorf("rows of %s: %w", t.name, err)
		}
		if t.name == "inventory_node" { // edges refer to nodes; no other table to another's rows of the line
			s.rows = append(found, s.rows...)
		} else {
			s.rows = append(s.rows, found...)
		}
	}
	return s.learn(tx)
}

// rowsOf are the rows of a table that have one of the stamp's ids in them.
func (s *stamp) rowsOf(tx *store.Tx, t *table) ([]row, error) {
	hex := "hex(%s)"
	if tx.Dialect() == store.Postgres {
		hex = "encode(%s, 'hex')"
	}
	var mine, cells []string
	for _, c := range t.columns {
		if c.kind == "bytes" {
			cells = append(cells, fmt.Sprintf(hex, c.name))
			continue
		}
		cells = append(cells, "CAST("+c.name+" AS TEXT)")
		for _, p := range s.prefixes {
			mine = append(mine, fmt.Sprintf("CAST(%s AS TEXT) LIKE '%%%s%%'", c.name, p))
		}
	}
	rows, err := tx.System().Query("SELECT " + strings.Join(cells, ", ") + " FROM " + t.name + " WHERE " + strings.Join(mine, " OR "))
	return store.Collect(rows, err, func(x store.Rows) (row, error) {
		r, to := row{t, make([]*string, len(t.columns))}, make([]any, len(t.columns))
		for i := range to {
			to[i] = &r.cells[i]
		}
		return r, x.Scan(to...)
	})
}

func tables(tx *store.Tx) (out []*table, err error) {
	text := "SELECT m.name, p.name, p.type FROM sqlite_master m JOIN pragma_table_info(m.name) p WHERE m.type = 'table' ORDER BY m.name, p.cid"
	if tx.Dialect() == store.Postgres {
		text = "SELECT table_name::text, column_name::text, data_type::text FROM information_schema.columns WHERE table_schema = current_schema() ORDER BY table_name, ordinal_position"
	}
	rows, err := tx.System().Query(text)
	_, err = store.Collect(rows, err, func(x store.Rows) (struct{}, error) {
		var name, col, typ string
		err := x.Scan(&name, &col, &typ)
		if len(out) == 0 || out[len(out)-1].name != name {
			out = append(out, &table{name: name})
		}
		kind := map[string]string{"text": "text", "json": "json", "bigint": "number", "integer": "number", "bytea": "bytes", "blob": "bytes"}[strings.ToLower(typ)]
		t := out[len(out)-1]
		t.columns = append(t.columns, column{col, kind})
		return struct{}{}, err
	})
	return out, err
}

// learn reads the names of the line out of its rows.
func (s *stamp) learn(tx *store.Tx) error {
	for _, x := range []struct {
		table, column string
		to            *string
	}{{"inventory_number", "value", &s.msisdn}, {"inventory_sim", "iccid", &s.iccid}, {"inventory_sim", "imsi", &s.imsi}, {subscription.Products.Table, "id", &s.product}} {
		i := slices.IndexFunc(s.rows, func(r row) bool { return r.table.name == x.table })
		if i < 0 {
			return fmt.Errorf("it left nothing in %s", x.table)
		}
		at := slices.IndexFunc(s.rows[i].table.columns, func(c column) bool { return c.name == x.column })
		*x.to = *s.rows[i].cells[at]
	}
	p, err := subscription.Products.Get(tx, s.product)
	if err != nil {
		return err
	}
	a, err := billing.AccountFor(tx, s.owner)
	if err != nil {
		return err
	}
	s.account, s.start = a.ID, p.StartDate
	return nil
}

// print makes the lines from and up to a number, all of one owner and of one day: each
// row of the stamp once for each number, under names with it.
func (s *stamp) print(ctx context.Context, r *rig, owner, from, to int) error {
	return r.DB.Write(ctx, scope, func(tx *store.Tx) error {
		a, err := billing.AccountFor(tx, buyer(owner))
		if err != nil {
			return err
		}
		day := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(owner*7919%3_000_000) * time.Minute)
		const d = "' || n.d || '" // within a text of SQL: the eight digits of the number
		with := []string{s.owner, buyer(owner), s.account, a.ID, tmf.FormatTime(s.start), tmf.FormatTime(day), "'", "''",
			s.product, lineID + d, s.msisdn, lineMSN + d, s.iccid, lineICCID + d, s.imsi, lineIMSI + d}
		for _, p := range s.prefixes {
			with = append(with, p, d)
		}
		named := strings.NewReplacer(with...)
		for _, row := range s.rows {
			var names, values []string
			for i, c := range row.table.columns {
				names, values = append(names, c.name), append(values, c.value(tx.Dialect(), row.cells[i], named, s.start, day))
			}
			tx.System().Queue(fmt.Sprintf(`WITH RECURSIVE i(i) AS (SELECT %d UNION ALL SELECT i + 1 FROM i WHERE i < %d),
				n(d) AS (SELECT substr(CAST(100000000 + i AS TEXT), 2) FROM i)
				INSERT INTO %s (%s) SELECT %s FROM n`, from, to-1, row.table.name, strings.Join(names, ", "), strings.Join(values, ", ")))
		}
		return nil
	})
}

// value is a cell of a copy in SQL.
func (c column) value(d store.Dialect, cell *string, named *strings.Replacer, start, day time.Time) string {
	switch {
	case cell == nil:
		return "NULL"
	case c.kind == "number" && *cell == fmt.Sprint(store.Micros(start)):
		return fmt.Sprint(store.Micros(day))
	case c.kind == "number":
		return *cell
	case c.kind == "bytes" && d == store.Postgres:
		return "decode('" + *cell + "', 'hex')"
	case c.kind == "bytes":
		return "x'" + *cell + "'"
	case c.kind == "json" && d == store.Postgres:
		return "CAST('" + named.Replace(*cell) + "' AS JSON)"
	}
	return "'" + named.Replace(*cell) + "'"
}

// subscribe puts lines on the register, as their orders would have.
func subscribe(ctx context.Context, c *hlr.Client, from, to int) error {
	const atOnce = 100
	for ; from < to; from += atOnce {
		var cmds []hlr.Command
		for n := from; n < min(from+atOnce, to); n++ {
			imsi := fmt.Sprintf("%s%08d", lineIMSI, n)
			key, err := hlr.ParseSecret(fmt.Sprintf("%032x", n))
			if err != nil {
				return err
			}
			cmds = append(cmds, hlr.CreateCommand(imsi), hlr.MilenageCommand(imsi, key, key), hlr.MSISDNCommand(imsi, fmt.Sprintf("%s%08d", lineMSN, n)))
		}
		replies, err := c.Do(ctx, cmds...)
		if err != nil {
			return err
		}
		for i, r := range replies {
			if r.Err != nil {
				return fmt.Errorf("%v: %w", cmds[i], r.Err)
			}
		}
	}
	return nil
}
