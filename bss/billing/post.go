package billing

import (
	"slices"

	"tandem/bss/ledger"
	"tandem/fact"
	"tandem/kit/civil"
	"tandem/kit/fault"
	"tandem/kit/money"
	"tandem/kit/outbox"
	"tandem/kit/store"
)

// postAll gives bills their numbers, in the order given: series by series a number, the
// hash, the entries of the ledger and the fact, all in this transaction.
func postAll(tx *store.Tx, drafts []*draft) error {
	groups, order := map[string][]*draft{}, []string(nil)
	for _, d := range drafts {
		key := d.entity + "\x00" + d.kind
		if groups[key] == nil {
			order = append(order, key)
		}
		groups[key] = append(groups[key], d)
	}
	slices.Sort(order) // who posts several series locks them in one order
	var rows []posted
	var books []ledger.Transaction
	var facts []fact.BillsPosted
	for _, key := range order {
		group := groups[key]
		got, err := number(tx, group)
		if err != nil {
			return err
		}
		told := fact.BillsPosted{Entity: group[0].entity}
		for i, d := range group {
			t, err := d.booking(&got[i])
			if err != nil {
				return err
			}
			if len(t.Entries) > 0 {
				books = append(books, t)
			}
			f, err := d.fact(tx, &got[i])
			if err != nil {
				return err
			}
			told.Bills = append(told.Bills, f)
		}
		facts = append(facts, told)
		rows = append(rows, got...)
	}
	if err := ledger.Post(tx, books...); err != nil {
		return err
	}
	for i := range rows {
		rows[i].write(tx)
	}
	for _, f := range facts {
		outbox.Tell(tx, f)
	}
	return nil
}

// number takes the next numbers of the series of an entity's documents of one kind.
func number(tx *store.Tx, group []*draft) ([]posted, error) {
	e, err := LegalEntities.Look(tx, group[0].entity)
	if err != nil {
		return nil, err
	}
	zone, err := civil.LoadZone(e.TimeZone)
	if err != nil {
		return nil, err
	}
	latest, err := latestIssue(tx, e.ID, group[0].kind, civil.DateOf(tx.Now(), zone))
	if err != nil {
		return nil, err
	}
	for _, d := range group { // a bill is not issued before its own date
		on, err := d.billDate()
		if err != nil {
			return nil, err
		}
		if on.After(latest) {
			latest = on
		}
	}
	s, err := holdSeries(tx, e, group[0].kind, latest.Year)
	if err != nil {
		return nil, err
	}
	before := s.last
	out := make([]posted, len(group))
	for i, d := range group {
		if out[i], err = s.take(d, latest); err != nil {
			return nil, err
		}
	}
	s.save(tx, before)
	return out, nil
}

// latestIssue is the day on which a document is issued now: today, or the day of the last
// one if the clock was set back since, over a new year as well.
func latestIssue(tx *store.Tx, entity, kind string, today civil.Date) (civil.Date, error) {
	for _, year := range []int{today.Year + 1, today.Year} {
		var last string
		err := tx.Row("SELECT last_date FROM billing_series WHERE tenant = $1 AND series = $2", seriesName(entity, kind, year)).Scan(&last)
		if err == store.ErrNotFound {
			continue
		}
		if err != nil {
			return today, err
		}
		if last > today.String() {
			return civil.ParseDate(last)
		}
	}
	return today, nil
}

// billBooking begins the name of what the ledger has of a bill.
const billBooking = "bill/"

// booking is what the ledger gets: a credit note turns the signs of its entries by itself,
// since its entries are those of the bill that was worked out.
func (d *draft) booking(p *posted) (ledger.Transaction, error) {
	c, err := money.ParseCurrency(d.currency)
	if err != nil {
		return ledger.Transaction{}, err
	}
	on, err := civil.ParseDate(p.issue)
	if err != nil {
		return ledger.Transaction{}, err
	}
	entries, err := readEntries(d.entries, d.account)
	return ledger.Transaction{Name: billBooking + d.id, Entity: d.entity, Currency: c, Date: on, What: d.kind + " " + p.number, Entries: entries}, err
}

// fact is what others hear of the bill. That of a credit note is what the customer gets.
func (d *draft) fact(tx *store.Tx, p *posted) (fact.PostedBill, error) {
	f := fact.PostedBill{Bill: d.id, Account: d.account, Number: p.number, Currency: d.currency, Gross: d.gross, Date: d.date, IssuedOn: p.issue, Due: p.due}
	if d.kind != CreditNote {
		return f, nil
	}
	f.Gross = -d.gross
	doc, err := documentOf(tx, d.id)
	if err == nil && doc.Preceding != nil {
		f.Credits = doc.Preceding.Bill
	}
	return f, err
}

// PostBill posts one bill that is not held and not posted yet, such as a credit note or one
// that was made on demand. Errors: stillHeld, alreadyPosted, inRun (its run posts it).
func PostBill(tx *store.Tx, bill string) error {
	d, done, err := draftOf(tx, bill)
	switch {
	case err != nil:
		return err
	case done:
		return fault.Clash("alreadyPosted", "The bill %q is posted already", bill)
	case d.held != "":
		return fault.Clash("stillHeld", "The bill %q is held: %s", bill, d.held)
	case d.run != "":
		return fault.Clash("inRun", "The bill %q is posted with its bill run %q", bill, d.run)
	}
	return postAll(tx, []*draft{d})
}

// KeepDocument keeps a document that was not made by a run, such as a credit note, as a
// draft; [PostBill] posts it. entries are what the ledger gets: the signs are those of the
// books, and the receivable's party is the account.
func KeepDocument(tx *store.Tx, doc *Document, entries []ledger.Entry) error {
	body, err := doc.Encode()
	if err != nil {
		return err
	}
	was, err := pasts(tx, []string{doc.Account})
	if err != nil {
		return err
	}
	turn, next := int64(1), ""
	if p := was[doc.Account]; p != nil {
		turn, next = p.turn+1, p.next
	}
	var text []byte
	for _, e := range entries {
		text = appendEntry(text, e.Account, e.Amount)
	}
	d := &draft{id: doc.Bill, account: doc.Account, turn: turn, entity: doc.Entity, kind: doc.Kind, currency: doc.Currency,
		net: doc.Net, tax: doc.Tax, gross: doc.Gross, date: doc.Date.String(), next: next, dueDays: doc.DueDays,
		entries: string(text), digest: digestOf(body)}
	d.insert(tx, body)
	return nil
}
