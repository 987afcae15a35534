package billing

import (
	"context"
	"fmt"
	"time"

	"tandem/bss/communication"
	"tandem/fact"
	"tandem/kit/civil"
	"tandem/kit/fault"
	"tandem/kit/money"
	"tandem/kit/store"
)

// BillPolicy.Announce: what customers are told of a posted bill.
const announceNone = "none"

// Announce hears that bills were posted, and tells the customers, as they want to hear of
// bills; an e-mail has the bill with it. Once for each bill, as the key of the notice is the
// bill.
func Announce(tx *store.Tx, f fact.BillsPosted) error {
	policy, err := policyOf(tx)
	if err != nil || policy.Announce == announceNone {
		return err
	}
	ids := make([]string, len(f.Bills))
	for i, b := range f.Bills {
		ids[i] = b.Account
	}
	if err := BillingAccounts.Fetch(tx, ids, false); err != nil {
		return err
	}
	var notices []communication.Notice
	for _, b := range f.Bills {
		n, err := announcement(tx, b)
		if err != nil {
			return fmt.Errorf("announce bill %s: %w", b.Bill, err)
		}
		if n != nil {
			notices = append(notices, *n)
		}
	}
	return communication.SendAll(tx, notices)
}

// announcement is the notice of a bill, nil where nobody is named whom it could go to.
func announcement(tx *store.Tx, b fact.PostedBill) (*communication.Notice, error) {
	a, err := BillingAccounts.Get(tx, b.Account)
	if fault.Is(err, fault.NotFound) {
		return nil, nil
	}
	if err != nil || a.Customer() == "" {
		return nil, err
	}
	c, err := money.ParseCurrency(b.Currency)
	if err != nil {
		return nil, err
	}
	issued, err := civil.ParseDate(b.IssuedOn)
	if err != nil {
		return nil, err
	}
	n := &communication.Notice{Key: "bill." + b.Bill, Customer: a.Customer(), Purpose: communication.Billing, Template: "billReady",
		Document: b.Bill, At: issued.Start(time.UTC).Add(12 * time.Hour), // this day by nearly all clocks
		Values: map[string]string{"bill": b.Number, "amount": money.Amount{Minor: b.Gross, Currency: c}.String(), "due": b.Due}}
	if b.Gross < 0 {
		n.Template = "creditReady"
		n.Values["amount"] = money.Amount{Minor: -b.Gross, Currency: c}.String()
		delete(n.Values, "due")
	}
	return n, nil
}

// Documents makes the documents that travel with notices of bills, by a way to draw a paper.
func Documents(db *store.DB, draw func(*Paper) (*communication.File, error)) communication.Documents {
	return func(ctx context.Context, tenant, bill string) (*communication.File, error) {
		var p *Paper
		if err := db.Snapshot(ctx, store.Scope{Tenant: tenant, Actor: "delivery"}, func(tx *store.Tx) (err error) {
			p, err = ReadPaper(tx, bill, Itemising{})
			return err
		}); err != nil {
			return nil, err
		}
		return draw(p)
	}
}
