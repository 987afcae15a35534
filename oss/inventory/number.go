package inventory

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"tandem/kit/fault"
	"tandem/kit/store"
)

// States of a number or SIM.
const (
	NumberAvailable   = "available"
	NumberReserved    = "reserved"
	NumberAssigned    = "assigned"
	NumberQuarantined = "quarantined"
)

// Kinds of pools whose values have a shape of their own. Any other kind (vlan,
// ipv4, sipUri, ...) takes any value of up to 64 characters.
const (
	MSISDN = "msisdn" // E.164 without plus: 5 to 15 digits
	SIMs   = "sim"    // SIM cards and eSIM profiles by ICCID; see SIM
)

const maxRange = 100_000 // numbers added in one transaction

// Number is a value of a pool: a telephone number, a VLAN, an address.
type Number struct {
	Kind, Value, Pool, State string
	Holder                   string    // service id or "reservation:"+id; "" if free
	Until                    time.Time // end of the reservation or quarantine
}

// shelf is one of the two tables; both have the same life. In its statements $2
// is the kind and, in a match, $3 the value.
type shelf struct{ table, key, kind, what string }

var (
	numberShelf = shelf{"inventory_number", "value", "kind", "number"}
	simShelf    = shelf{"inventory_sim", "iccid", "'sim'", "SIM"}
)

func (s shelf) title() string { return strings.ToUpper(s.what[:1]) + s.what[1:] }
func (s shelf) match() string { return s.kind + " = $2 AND " + s.key + " = $3" }

func shelfOf(kind string) shelf {
	if kind == SIMs {
		return simShelf
	}
	return numberShelf
}

// AddRange puts the numbers from first to last, both included, into a pool. They
// have the same count of digits; no more than 100,000 at once. Numbers that are
// in a pool already, whoever's, are refused.
func AddRange(tx *store.Tx, pool, first, last string) (int, error) {
	p, err := poolOf(tx, pool)
	if err != nil {
		return 0, err
	}
	if p.Kind == SIMs {
		return 0, fault.BadInput("wrongKind", "Pool %s holds SIMs; they come with their IMSI and sealed keys", pool)
	}
	r, err := newRange(p.Kind, first, last)
	if err != nil {
		return 0, err
	}
	// The counter starts at a power of ten, so that its text keeps leading zeros
	// once the first digit is cut off.
	n, err := tx.Exec(`INSERT INTO inventory_number (tenant, kind, value, pool, state, holder, until)
		WITH RECURSIVE counter(n) AS (SELECT CAST($5 AS BIGINT) UNION ALL SELECT n + 1 FROM counter WHERE n < CAST($6 AS BIGINT))
		SELECT CAST($1 AS TEXT), CAST($2 AS TEXT), CAST($4 AS TEXT) || substr(CAST(n AS TEXT), 2), CAST($3 AS TEXT), 'available', '', 0 FROM counter`,
		p.Kind, pool, r.prefix, r.first, r.last)
	if store.IsUnique(err, "inventory_number") {
		return 0, fault.Clash("numberTaken", "Some numbers from %s to %s are in a pool already", first, last)
	}
	startOver(tx)
	return int(n), err
}

// digits is a range as a common beginning and a counter.
type digits struct {
	prefix      string
	first, last int64
}

const counterDigits = 17 // digits of a number that are counted; with the leading 1 they fit int64

func newRange(kind, first, last string) (digits, error) {
	if first == "" || len(first) != len(last) || !isDigits(first) || !isDigits(last) || last < first {
		return digits{}, fault.BadInput("badRange", "A range goes from a number to one not smaller with as many digits; %q to %q does not", first, last)
	}
	if err := checkValue(kind, first); err != nil {
		return digits{}, err
	}
	cut := max(0, len(first)-counterDigits)
	if first[:cut] != last[:cut] {
		return digits{}, fault.BadInput("badRange", "The range from %s to %s is too long", first, last)
	}
	from, errFrom := strconv.ParseInt("1"+first[cut:], 10, 64)
	to, errTo := strconv.ParseInt("1"+last[cut:], 10, 64)
	if errFrom != nil || errTo != nil || to-from >= maxRange {
		return digits{}, fault.BadInput("rangeTooLong", "A range has at most %d numbers; add it in parts", maxRange)
	}
	return digits{first[:cut], from, to}, nil
}

func isDigits(s string) bool { return strings.Trim(s, "0123456789") == "" }

// checkValue holds a value against the shape of its kind.
func checkValue(kind, value string) error {
	if kind == MSISDN && (len(value) < 5 || len(value) > 15 || !isDigits(value)) {
		return fault.BadInput("badNumber", "%q is not an E.164 number of 5 to 15 digits without plus", value)
	}
	if value == "" || len(value) > 64 || strings.TrimSpace(value) != value {
		return fault.BadInput("badNumber", "%q is not a value of 1 to 64 characters", value)
	}
	return nil
}

// AddNumbers puts single values into a pool.
func AddNumbers(tx *store.Tx, pool string, values []string) error {
	p, err := poolOf(tx, pool)
	if err != nil {
		return err
	}
	if p.Kind == SIMs {
		return fault.BadInput("wrongKind", "Pool %s holds SIMs; they come with their IMSI and sealed keys", pool)
	}
	startOver(tx)
	for _, v := range values {
		if err := checkValue(p.Kind, v); err != nil {
			return err
		}
		_, err := tx.Exec("INSERT INTO inventory_number (tenant, kind, value, pool, state, holder, until) VALUES ($1, $2, $3, $4, 'available', '', 0)", p.Kind, v, pool)
		if store.IsUnique(err, "inventory_number") {
			return fault.Clash("numberTaken", "%s is in a pool already", v)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// RemoveRange takes the free numbers from first to last out of a pool and says how
// many. If any of the pool's numbers between them is not free, none is removed.
func RemoveRange(tx *store.Tx, pool, first, last string) (int, error) {
	p, err := poolOf(tx, pool)
	if err != nil {
		return 0, err
	}
	if first != last {
		if _, err := newRange(p.Kind, first, last); err != nil {
			return 0, err
		}
	}
	s := shelfOf(p.Kind)
	between := "pool = $2 AND " + s.key + " >= $3 AND " + s.key + " <= $4 AND length(" + s.key + ") = length(CAST($3 AS TEXT))"
	n, err := tx.Exec("DELETE FROM "+s.table+" WHERE tenant = $1 AND "+between+" AND state = 'available'", pool, first, last)
	if err != nil {
		return 0, err
	}
	var taken string
	err = tx.Row("SELECT "+s.key+" FROM "+s.table+" WHERE tenant = $1 AND "+between+" LIMIT 1", pool, first, last).Scan(&taken)
	if err == nil {
		return 0, fault.Clash("numberInUse", "%s %s is not free; nothing was removed", s.title(), taken)
	}
	if err != store.ErrNotFound {
		return 0, err
	}
	return int(n), nil
}

// Reserve keeps a number for the holder until the given time: the one wanted, or
// with want "" the next free one of the pool. Who has reserved the wanted one
// already keeps it until the new time. Refusals: poolEmpty, numberNotAvailable
// (the same whether it is taken, another tenant's or not there).
func Reserve(tx *store.Tx, kind, pool, want, holder string, until time.Time) (string, error) {
	return shelfOf(kind).reserve(tx, kind, pool, want, holder, until)
}

// Assign turns the holder's reservation into use without end. Doing it again is no error.
func Assign(tx *store.Tx, kind, value, holder string) error {
	return shelfOf(kind).assign(tx, kind, value, holder)
}

// AssignLater is Assign, and AssignSIM for a value of kind sim, in one round trip with
// what else is asked: done says after [store.Tx.Flush] that the value was the holder's.
func AssignLater(tx *store.Tx, kind, value, holder string, done *bool) {
	s := shelfOf(kind)
	tx.Later(func(rows store.Rows) error {
		*done = rows.Next()
		return nil
	}, s.toAssign()+" RETURNING "+s.key, kind, value, holder)
}

// Release gives a number back. One that was in use rests for the quarantine, or
// for its pool's if that is negative; one that was only reserved is free at once.
// A number that nobody holds any more is no error, so that it may be done again.
func Release(tx *store.Tx, kind, value, holder string, quarantine time.Duration) error {
	return shelfOf(kind).release(tx, kind, value, holder, quarantine)
}

// HandOver passes a reservation on, from a cart to the service ordered from it.
func HandOver(tx *store.Tx, kind, value, from, to string, until time.Time) error {
	s := shelfOf(kind)
	if err := checkHolder(tx, to, until); err != nil {
		return err
	}
	n, err := tx.Exec("UPDATE "+s.table+" SET holder = $5, until = $6 WHERE tenant = $1 AND "+s.match()+" AND state = 'reserved' AND holder = $4",
		kind, value, from, to, store.Micros(until))
	if err == nil && n == 0 {
		err = s.notAvailable(value)
	}
	return err
}

func checkHolder(tx *store.Tx, holder string, until time.Time) error {
	if holder == "" {
		return fault.BadInput("holderMissing", "Say who the reservation is for")
	}
	if !until.After(tx.Now()) {
		return fault.BadInput("endInThePast", "A reservation ends in the future; %s is not", until.UTC().Format(time.RFC3339))
	}
	return nil
}

func (s shelf) notAvailable(value string) error {
	return fault.Clash("numberNotAvailable", "%s %s is not available", s.title(), value)
}

func (s shelf) reserve(tx *store.Tx, kind, pool, want, holder string, until time.Time) (string, error) {
	if err := checkHolder(tx, holder, until); err != nil {
		return "", err
	}
	if want == "" {
		return s.reserveNext(tx, kind, pool, holder, until)
	}
	n, err := tx.Exec("UPDATE "+s.table+" SET state = 'reserved', holder = $5, until = $6 WHERE tenant = $1 AND "+s.match()+
		" AND pool = $4 AND (state = 'available' OR state = 'reserved' AND holder = $5)", kind, want, pool, holder, store.Micros(until))
	if err == nil && n == 0 {
		err = s.notAvailable(want)
	}
	return want, err
}

// takeNext is the statement that reserves the first free value of a pool ($3) behind
// another ($6) for a holder ($4) until a time ($5). State and value are compared and
// sorted together, which leaves the index of free values as the only one to go by: that
// of all values would be walked through all that are taken.
func (s shelf) takeNext(lock string) string {
	return "UPDATE " + s.table + " SET state = 'reserved', holder = $4, until = $5 WHERE tenant = $1 AND state = 'available' AND " + s.kind + " = $2 AND " + s.key +
		" = (SELECT " + s.key + " FROM " + s.table + " WHERE tenant = $1 AND pool = $3 AND (state, " + s.key + ") > ('available', $6) AND state <= 'available' ORDER BY state, " +
		s.key + " LIMIT 1" + lock + ") RETURNING " + s.key
}

// lastTaken is the value this process reserved last, by drawer.
var lastTaken sync.Map

type drawer struct {
	db           *store.DB
	tenant, pool string
}

// goOn calls take with the value that was reserved last from the pool, and if nothing
// is free behind it with none. What was taken before leaves its mark in the index for a
// while, which is not walked through again and again. What another node freed meanwhile
// has its turn after the rest.
func goOn(tx *store.Tx, pool string, take func(behind string) (value string, err error)) (string, error) {
	behind := behind(tx, pool)
	value, err := take(behind)
	if err == store.ErrNotFound && behind != "" {
		value, err = take("")
	}
	if err == nil {
		noteTaken(tx, pool, value)
	}
	return value, err
}

// behind is the value that was reserved last from the pool, "" if none was.
func behind(tx *store.Tx, pool string) string {
	last, _ := lastTaken.Load(drawer{tx.DB(), tx.Tenant(), pool})
	value, _ := last.(string)
	return value
}

// noteTaken notes that a value was reserved as the next of its pool.
func noteTaken(tx *store.Tx, pool, value string) {
	d := drawer{tx.DB(), tx.Tenant(), pool}
	tx.OnCommit(func() { lastTaken.Store(d, value) })
}

// startOver lets the tenant's pools be searched from the beginning: something may have
// become free there. It forgets at once as well: whoever sees the transaction's end may be
// here before what follows it.
func startOver(tx *store.Tx) {
	db, tenant := tx.DB(), tx.Tenant()
	forget := func() {
		lastTaken.Range(func(k, _ any) bool {
			if d := k.(drawer); d.db == db && d.tenant == tenant {
				lastTaken.Delete(d)
			}
			return true
		})
	}
	forget()
	tx.OnCommit(forget)
}

// reserveNext passes over numbers that others are taking at this moment. Only if
// nothing else is left it waits for them: they may be rolled back.
func (s shelf) reserveNext(tx *store.Tx, kind, pool, holder string, until time.Time) (string, error) {
	for _, lock := range []string{tx.Dialect().SkipLocked(), tx.Dialect().ForUpdate()} {
		value, err := goOn(tx, pool, func(behind string) (value string, err error) {
			err = tx.Row(s.takeNext(lock), kind, pool, holder, store.Micros(until), behind).Scan(&value)
			return value, err
		})
		if err != store.ErrNotFound {
			return value, err
		}
	}
	p, err := poolOf(tx, pool)
	if err != nil {
		return "", err
	}
	if p.Kind != kind {
		return "", fault.BadInput("wrongKind", "Pool %s holds %s, not %s", pool, p.Kind, kind)
	}
	return "", fault.Clash("poolEmpty", "Pool %q has no free %s left", p.Name, s.what)
}

func (s shelf) toAssign() string {
	return "UPDATE " + s.table + " SET state = 'assigned', until = 0 WHERE tenant = $1 AND " + s.match() + " AND holder = $4 AND state IN ('reserved', 'assigned')"
}

func (s shelf) assign(tx *store.Tx, kind, value, holder string) error {
	n, err := tx.Exec(s.toAssign(), kind, value, holder)
	if err == nil && n == 0 {
		err = fault.Clash("numberNotAvailable", "%s %s is not reserved for %s", s.title(), value, holder)
	}
	return err
}

func (s shelf) release(tx *store.Tx, kind, value, holder string, quarantine time.Duration) error {
	now := store.Micros(tx.Now())
	rest := "CAST($5 AS BIGINT)"
	if quarantine < 0 {
		rest = "(SELECT p.quarantine * 1000000 FROM inventory_pool p WHERE p.tenant = $1 AND p.id = " + s.table + ".pool) + CAST($5 AS BIGINT)"
		quarantine = 0
	}
	used := "state = 'assigned' AND " + rest + " > 0"
	n, err := tx.Exec("UPDATE "+s.table+" SET holder = '', until = CASE WHEN "+used+" THEN CAST($6 AS BIGINT) + "+rest+" ELSE 0 END, state = CASE WHEN "+used+
		" THEN 'quarantined' ELSE 'available' END WHERE tenant = $1 AND "+s.match()+" AND holder = $4 AND state IN ('reserved', 'assigned')",
		kind, value, holder, quarantine.Microseconds(), now)
	if err != nil || n == 1 {
		startOver(tx)
		return err
	}
	other, err := s.holder(tx, kind, value)
	if err == nil && other != "" {
		return fault.Clash("notHolder", "%s %s is not held by %s", s.title(), value, holder)
	}
	return err
}

// holder is who holds a value, "" if nobody does.
func (s shelf) holder(tx *store.Tx, kind, value string) (holder string, err error) {
	err = tx.Row("SELECT holder FROM "+s.table+" WHERE tenant = $1 AND "+s.match(), kind, value).Scan(&holder)
	if err == store.ErrNotFound {
		return "", fault.Missing(s.what, value)
	}
	return holder, err
}

// sweep frees up to limit values whose reservation or quarantine has ended.
func (s shelf) sweep(tx *store.Tx, limit int) (int, error) {
	rows, err := tx.Query("SELECT "+s.kind+", "+s.key+" FROM "+s.table+" WHERE tenant = $1 AND until > 0 AND until <= $2 ORDER BY until LIMIT "+strconv.Itoa(limit)+
		tx.Dialect().SkipLocked(), store.Micros(tx.Now()))
	due, err := store.Collect(rows, err, func(r store.Rows) (n Number, err error) {
		err = r.Scan(&n.Kind, &n.Value)
		return n, err
	})
	for _, n := range due {
		startOver(tx)
		tx.Queue("UPDATE "+s.table+" SET state = 'available', holder = '', until = 0 WHERE tenant = $1 AND "+s.match()+" AND until > 0 AND until <= $4",
			n.Kind, n.Value, store.Micros(tx.Now()))
	}
	return len(due), err
}

// Expire frees up to limit numbers and as many SIMs whose reservation or
// quarantine has ended, and says how many it freed.
func Expire(tx *store.Tx, limit int) (int, error) {
	numbers, err := numberShelf.sweep(tx, limit)
	if err != nil {
		return 0, err
	}
	sims, err := simShelf.sweep(tx, limit)
	return numbers + sims, err
}

// NumberOf reads a number of the tenant.
func NumberOf(tx *store.Tx, kind, value string) (n Number, err error) {
	var until int64
	err = tx.Row("SELECT kind, value, pool, state, holder, until FROM inventory_number WHERE tenant = $1 AND kind = $2 AND value = $3", kind, value).
		Scan(&n.Kind, &n.Value, &n.Pool, &n.State, &n.Holder, &until)
	if err == store.ErrNotFound {
		return n, fault.Missing("number", value)
	}
	n.Until = store.Instant(until)
	return n, err
}

// HeldBy lists the numbers that are reserved for or assigned to a holder; SIMs
// come as numbers of kind sim with the ICCID.
func HeldBy(tx *store.Tx, holder string) ([]Number, error) {
	rows, err := tx.Query(`SELECT kind, value, pool, state, holder, until FROM inventory_number WHERE tenant = $1 AND holder = $2 AND holder <> ''
		UNION ALL SELECT 'sim', iccid, pool, state, holder, until FROM inventory_sim WHERE tenant = $1 AND holder = $2 AND holder <> '' ORDER BY 1, 2`, holder)
	return store.Collect(rows, err, func(r store.Rows) (n Number, err error) {
		var until int64
		err = r.Scan(&n.Kind, &n.Value, &n.Pool, &n.State, &n.Holder, &until)
		n.Until = store.Instant(until)
		return n, err
	})
}

// Available counts the free values of a pool, up to a bound.
func Available(tx *store.Tx, pool string, upTo int) (n int, err error) {
	p, err := poolOf(tx, pool)
	if err != nil {
		return 0, err
	}
	s := shelfOf(p.Kind)
	err = tx.Row(fmt.Sprintf("SELECT count(*) FROM (SELECT 1 FROM %s WHERE tenant = $1 AND pool = $2 AND state = 'available' LIMIT %d) AS free", s.table, upTo), pool).Scan(&n)
	return n, err
}
