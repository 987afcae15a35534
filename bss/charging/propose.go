package charging

import (
	"fmt"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"tandem/bss/charging/core"
	"tandem/bss/rating"
	"tandem/edge/credit"
	"tandem/kit/access"
	"tandem/kit/fault"
	"tandem/kit/store"
)

// Proposal is something that is done when a second person agrees: writing off
// usage that cannot be charged, or re-rating usage that was.
type Proposal struct {
	Number     int64          `json:"id"`
	Kind       string         `json:"kind"` // writeOff, rerate
	Doc        jsontext.Value `json:"doc"`
	Report     jsontext.Value `json:"report"`
	State      string         `json:"state"`
	ProposedBy string         `json:"proposedBy"`
	DecidedBy  string         `json:"decidedBy,omitzero"`
	At         time.Time      `json:"at"`
}

const proposalColumns = "number, kind, doc, report, state, proposed_by, decided_by, at"

func scanProposal(r store.Rows) (p Proposal, err error) {
	var doc, report string
	var at int64
	err = r.Scan(&p.Number, &p.Kind, &doc, &report, &p.State, &p.ProposedBy, &p.DecidedBy, &at)
	p.Doc, p.Report, p.At = jsontext.Value(doc), jsontext.Value(report), store.Instant(at)
	return p, err
}

// Proposals are the newest of a state; none: of all.
func Proposals(tx *store.Tx, state string) ([]Proposal, error) {
	rows, err := tx.Query("SELECT "+proposalColumns+" FROM charging_proposal WHERE tenant = $1 AND ($2 = '' OR state = $2) ORDER BY number DESC LIMIT 100", state)
	return store.Collect(rows, err, scanProposal)
}

func propose(tx *store.Tx, kind string, doc, report any) (p Proposal, err error) {
	d, err := marshal(doc)
	if err != nil {
		return p, err
	}
	r, err := marshal(report)
	if err != nil {
		return p, err
	}
	p = Proposal{Kind: kind, Doc: jsontext.Value(d), Report: jsontext.Value(r), State: "proposed", ProposedBy: tx.Actor(), At: tx.Now()}
	err = tx.Row(`INSERT INTO charging_proposal (tenant, kind, doc, report, state, proposed_by, decided_by, at) VALUES ($1, $2, $3, $4, 'proposed', $5, '', $6) RETURNING number`,
		kind, d, r, tx.Actor(), store.Micros(tx.Now())).Scan(&p.Number)
	if err == nil {
		err = access.Audit(tx, "charging."+kind, fmt.Sprintf("proposal:%d", p.Number), nil, p)
	}
	return p, err
}

// ProposeWriteOff proposes to give up the open cases of a selection; those that are
// meant are settled now.
func ProposeWriteOff(tx *store.Tx, s Selection) (Proposal, error) {
	s.State, s.Limit = "open", maxCases
	found, err := Cases(tx, s)
	if err != nil {
		return Proposal{}, err
	}
	if len(found) == 0 {
		return Proposal{}, fault.BadInput("nothingSelected", "No open case is selected")
	}
	numbers, reasons := make([]int64, len(found)), map[string]int{}
	for i, c := range found {
		numbers[i] = c.Number
		reasons[c.Reason]++
	}
	return propose(tx, "writeOff", map[string]any{"cases": numbers}, map[string]any{"cases": len(found), "reasons": reasons, "oldest": found[0].At})
}

// Decide approves or rejects a proposal. Who proposed it cannot approve it.
func (r *Room) Decide(tx *store.Tx, number int64, approve bool) (p Proposal, err error) {
	rows, err := tx.Query("SELECT "+proposalColumns+" FROM charging_proposal WHERE tenant = $1 AND number = $2"+tx.Dialect().ForUpdate(), number)
	found, err := store.Collect(rows, err, scanProposal)
	if err != nil {
		return p, err
	}
	if len(found) == 0 {
		return p, fault.Missing("proposal", fmt.Sprint(number))
	}
	p = found[0]
	was := p
	if p.State != "proposed" {
		return p, fault.Clash("decided", "Proposal %d is %s already", number, p.State)
	}
	if approve && p.ProposedBy == tx.Actor() {
		return p, fault.Denied("fourEyes", "Who proposed it cannot approve it: a second person must")
	}
	p.State, p.DecidedBy = "rejected", tx.Actor()
	if approve {
		p.State = "approved"
		if err := r.carryOutProposal(tx, &p); err != nil {
			return p, err
		}
	}
	tx.QueueOne("UPDATE charging_proposal SET state = $3, decided_by = $4, decided_at = $5 WHERE tenant = $1 AND number = $2 AND state = 'proposed'", number, p.State, p.DecidedBy, store.Micros(tx.Now()))
	return p, access.Audit(tx, "charging."+p.Kind, fmt.Sprintf("proposal:%d", number), was, p)
}

func (r *Room) carryOutProposal(tx *store.Tx, p *Proposal) error {
	if p.Kind == "rerate" {
		return r.postReratings(tx, p)
	}
	var doc struct {
		Cases []int64 `json:"cases"`
	}
	if err := json.Unmarshal(p.Doc, &doc); err != nil {
		return err
	}
	for _, n := range doc.Cases { // one that was charged meanwhile stays charged
		tx.Queue("UPDATE charging_case SET state = 'writtenOff', changed_at = $3 WHERE tenant = $1 AND number = $2 AND state = 'open'", n, store.Micros(tx.Now()))
	}
	return nil
}

// — re-rating —

// Rerating says which usage is to be priced anew, and by what: usage of a time,
// priced by one version of a tariff, by another version.
type Rerating struct {
	Tariff  int64     `json:"tariff"` // number of the version it was priced by
	With    int64     `json:"with"`   // number of the version that is right
	From    time.Time `json:"from"`
	To      time.Time `json:"to"`
	Account int64     `json:"account,omitzero"`
	Service string    `json:"service,omitzero"`
}

// RerateReport is what a re-rating would change.
type RerateReport struct {
	Records   int   `json:"records"` // looked at
	Changed   int   `json:"changed"` // of which the price changes
	Same      int   `json:"same"`
	Undecided int   `json:"undecided"` // paid in part by an allowance or a counter: see ProposeRerating
	Unrated   int   `json:"unrated"`   // the other version has no rate for it
	Accounts  int   `json:"accounts"`
	Was       int64 `json:"was"` // 10^-9 of the major unit, of the changed ones
	Becomes   int64 `json:"becomes"`
	Delta     int64 `json:"delta"`
}

const maxRerating = 100_000 // records in one proposal

// usedKey is a usage record: of one by file, its place in the row.
type usedKey struct{ number, place int64 }

// usedRow is a usage record to be priced anew.
type usedRow struct {
	usedKey
	account, service, group, rate                  int64
	seconds, octets, events, money, network, first int64
	called                                         string
}

// A row of records of a file is meant if one of them may lie in the time and is in no
// proposal; which of them do is seen when it is read.
const (
	findRerating = `SELECT number, account, service, rating_group, rate, seconds, octets, events, money, network, first_at, called, page FROM charging_usage u
	WHERE tenant = $1 AND tariff = $2 AND last_at >= $3 AND first_at < $4 AND (account = $5 OR $5 = 0) AND (service = $6 OR $6 = 0)
	AND records > (SELECT count(*) FROM charging_rerated d JOIN charging_proposal p ON p.tenant = d.tenant AND p.number = d.proposal
		WHERE d.tenant = $1 AND d.usage_number = u.number AND p.state <> 'rejected')
	ORDER BY number LIMIT $7`
	findRerated = `SELECT d.usage_number, d.place FROM charging_rerated d JOIN charging_proposal p ON p.tenant = d.tenant AND p.number = d.proposal
	JOIN charging_usage u ON u.tenant = d.tenant AND u.number = d.usage_number WHERE d.tenant = $1 AND p.state <> 'rejected' AND u.file > 0
	AND u.tariff = $2 AND u.last_at >= $3 AND u.first_at < $4 AND (u.account = $5 OR $5 = 0) AND (u.service = $6 OR $6 = 0)`
)

// ProposeRerating prices usage anew and proposes the differences. Nothing is
// changed: what is posted on approval are further entries that name the proposal.
//
// A record is priced as a whole and alone. What an allowance paid stays paid: a
// record that cost nothing is left out if its old rate has a price. Where only a
// part was paid by an allowance, or where the price depends on a counter, the record
// does not say enough; it is counted as undecided and left out.
func (r *Room) ProposeRerating(tx *store.Tx, x Rerating) (p Proposal, report RerateReport, err error) {
	old, currency, err := tariffOf(tx, x.Tariff)
	if err != nil {
		return p, report, err
	}
	fresh, other, err := tariffOf(tx, x.With)
	if err != nil {
		return p, report, err
	}
	if currency != other {
		return p, report, fault.BadInput("badRerating", "The versions are in %s and %s", currency, other)
	}
	service, err := serviceOf(x.Service)
	if err != nil {
		return p, report, err
	}
	found, err := meant(tx, x, service)
	if err != nil {
		return p, report, err
	}
	var deltas []delta
	accounts := map[int64]bool{}
	for i := range found {
		d, ok := report.price(old, fresh, &found[i])
		if ok {
			deltas = append(deltas, d)
			accounts[d.account] = true
		}
	}
	report.Accounts = len(accounts)
	if len(deltas) == 0 {
		return p, report, nil
	}
	if p, err = propose(tx, "rerate", x, report); err != nil {
		return p, report, err
	}
	for _, d := range deltas {
		tx.Insert("INSERT INTO charging_rerated (tenant, proposal, usage_number, place, account, was, becomes)", p.Number, d.number, d.place, d.account, d.was, d.becomes)
	}
	return p, report, nil
}

// meant are the records that a re-rating is about and in no proposal yet.
func meant(tx *store.Tx, x Rerating, service credit.Service) (all []usedRow, err error) {
	from, to, done := store.Micros(x.From), store.Micros(x.To), map[usedKey]bool{}
	tooMuch := fault.BadInput("tooMuch", "More than %d records are meant; take a shorter time", maxRerating)
	rows, err := tx.Query(findRerated, x.Tariff, from, to, x.Account, int64(service))
	_, err = store.Collect(rows, err, func(r store.Rows) (k usedKey, err error) {
		err = r.Scan(&k.number, &k.place)
		done[k] = true
		return k, err
	})
	if err != nil {
		return nil, err
	}
	take := func(u usedRow) error {
		switch {
		case u.first < from || u.first >= to || done[u.usedKey]:
			return nil
		case len(all) == maxRerating:
			return tooMuch
		}
		all = append(all, u)
		return nil
	}
	rows, err = tx.Query(findRerating, x.Tariff, from, to, x.Account, int64(service), maxRerating+1)
	read, err := store.Collect(rows, err, func(r store.Rows) (number int64, err error) {
		var u usedRow
		var page []byte // of records of a file
		err = r.Scan(&u.number, &u.account, &u.service, &u.group, &u.rate, &u.seconds, &u.octets, &u.events, &u.money, &u.network, &u.first, &u.called, &page)
		if err == nil {
			err = eachUsed(u, page, take)
		}
		return u.number, err
	})
	if err == nil && len(read) > maxRerating {
		err = tooMuch
	}
	return all, err
}

func serviceOf(name string) (credit.Service, error) {
	for i, n := range []string{"", "data", "voice", "sms", "mms", "broadband", "content"} {
		if n == name {
			return credit.Service(i), nil
		}
	}
	return 0, fault.BadInput("badService", "There is no service %q", name)
}

// tariffOf compiles a published version of a tariff.
func tariffOf(tx *store.Tx, number int64) (t *rating.Tariff, currency string, err error) {
	var doc string
	err = tx.Row("SELECT doc FROM charging_book WHERE tenant = $1 AND number = $2 AND kind = 'tariff'", number).Scan(&doc)
	if err == store.ErrNotFound {
		return nil, "", fault.BadInput("unknownTariff", "There is no version %d of a tariff", number)
	}
	if err != nil {
		return nil, "", err
	}
	var d tariffDoc
	if err := json.Unmarshal([]byte(doc), &d); err != nil {
		return nil, "", err
	}
	t, err = rating.Compile(d.Prices)
	return t, d.Prices.Currency, err
}

// delta is what a record costs by two versions.
type delta struct {
	usedKey
	account, was, becomes int64
}

// price prices one record by the other version.
func (r *RerateReport) price(old, fresh *rating.Tariff, u *usedRow) (d delta, ok bool) {
	r.Records++
	was := old.Rate(uint32(u.rate))
	c := rating.Context{Service: credit.Service(u.service), Group: uint32(u.group), HasGroup: u.group != 0, PLMN: uint32(u.network), Called: []byte(u.called), At: u.first / 1e6}
	now, _, found := fresh.Find(&c)
	switch {
	case was == nil || !found:
		r.Unrated++
		return d, false
	case was.Counter >= 0 || now.Counter >= 0 || was.DayCounter >= 0 || now.DayCounter >= 0:
		r.Undecided++
		return d, false
	}
	before, errA := was.Cost(0, u.amount(was), 0, 0)
	after, errB := now.Cost(0, u.amount(now), 0, 0)
	switch {
	case errA != nil || errB != nil:
		r.Unrated++
		return d, false
	case was.Zero:
		before = 0
	}
	if now.Zero {
		after = 0
	}
	switch {
	case u.money != before: // an allowance paid all of it, or a part
		r.Undecided++
		return d, false
	case after == u.money:
		r.Same++
		return d, false
	}
	r.Changed++
	r.Was, r.Becomes, r.Delta = r.Was+u.money, r.Becomes+after, r.Delta+after-u.money
	return delta{u.usedKey, u.account, u.money, after}, true
}

// amount is what the record used of a rate's unit.
func (u *usedRow) amount(r *rating.Rate) uint64 {
	switch r.Unit {
	case credit.HasSeconds:
		return uint64(u.seconds)
	case credit.HasTotal:
		return uint64(u.octets)
	case credit.HasMoney:
		return uint64(max(0, u.money))
	}
	return uint64(u.events)
}

// postReratings orders the differences of an approved proposal, one entry for each
// account; the command's number in the journal makes it happen once.
func (r *Room) postReratings(tx *store.Tx, p *Proposal) error {
	rows, err := tx.Query("SELECT account, CAST(sum(becomes - was) AS BIGINT) FROM charging_rerated WHERE tenant = $1 AND proposal = $2 GROUP BY account ORDER BY account", p.Number)
	sums, err := store.Collect(rows, err, func(r store.Rows) (d delta, err error) { return d, r.Scan(&d.account, &d.becomes) })
	if err != nil {
		return err
	}
	for _, d := range sums {
		bucket, err := r.balanceOf(tx, d.account)
		if err != nil {
			return err
		}
		// What costs more is taken also if it is spent: Reverse takes the amount back.
		o := order{Bucket: bucket, Amount: -d.becomes, Why: core.Rerated, Ref: fmt.Sprintf("rerate %d", p.Number)}
		if d.becomes > 0 {
			o.Amount, o.Reverse = d.becomes, true
		}
		if d.becomes == 0 {
			continue
		}
		if err := r.order(tx, d.account, cmdCredit, "", o); err != nil {
			return err
		}
	}
	return nil
}

// balanceOf is the bucket of an account that takes what nothing else covers.
func (r *Room) balanceOf(tx *store.Tx, account int64) (uint32, error) {
	rows, err := tx.Query("SELECT bucket, definition FROM charging_bucket WHERE tenant = $1 AND account = $2 AND ended_at IS NULL ORDER BY bucket", account)
	found, err := store.Collect(rows, err, func(r store.Rows) (b [2]int64, err error) { return b, r.Scan(&b[0], &b[1]) })
	for _, b := range found {
		if d := r.book.Definition(uint32(b[1])); d != nil && d.Main {
			return uint32(b[0]), nil
		}
	}
	if err == nil {
		err = fault.Clash("noBalance", "Account %d has no balance to post to", account)
	}
	return 0, err
}
