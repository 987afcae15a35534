package billing

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"tandem/bss/party"
	"tandem/kit/civil"
	"tandem/kit/fault"
	"tandem/kit/money"
	"tandem/kit/store"
	"tandem/kit/tmf"
)

// States of an account the house acts on. The file leaves the state free: other
// words come and go as the operator likes, except that nothing leaves Closed.
const (
	Active    = "Active"
	Suspended = "Suspended"
	Closed    = "Closed"
)

var accountMoves = tmf.Moves{Active: {Suspended, Closed}, Suspended: {Active, Closed}, Closed: {}}

func checkState(from, to string) error {
	next, known := accountMoves[from]
	_, house := accountMoves[to]
	if from == to || !known || !house && from != Closed || slices.Contains(next, to) {
		return nil
	}
	return fault.Clash("illegalMove", "An account that is %s cannot become %q", from, to)
}

func defaultTerms(t *AccountTerms) {
	if t.State == "" {
		t.State = Active
	}
}

// checkTerms is the rules of all four kinds of account; old is nil for a new one.
func checkTerms(tx *store.Tx, old, t *AccountTerms, self string) error {
	if old != nil {
		if err := checkState(old.State, t.State); err != nil {
			return err
		}
	}
	if t.CreditLimit != nil && t.CreditLimit.Sign() < 0 {
		return fault.BadInput("invalidCreditLimit", "creditLimit cannot be negative")
	}
	for i, r := range t.AccountRelationship {
		if r.Account == nil {
			continue
		}
		if r.Account.ID == self {
			return fault.BadInput("selfReference", "accountRelationship[%d] refers to the account itself", i)
		}
		if known := old != nil && slices.ContainsFunc(old.AccountRelationship, func(o AccountRelationship) bool {
			return o.Account != nil && o.Account.ID == r.Account.ID
		}); known {
			continue
		}
		if err := accountExists(tx, r.Account.ID); err != nil {
			return err
		}
	}
	return checkCustomers(tx, old, t)
}

// accountExists looks for an account in all four registers.
func accountExists(tx *store.Tx, id string) error {
	for _, k := range []*tmf.Kind[Account, *Account]{&BillingAccounts, &PartyAccounts, &SettlementAccounts} {
		if _, err := k.Get(tx, id); err == nil || !fault.Is(err, fault.NotFound) {
			return err
		}
	}
	_, err := FinancialAccounts.Get(tx, id)
	return named("accountRelationship", err)
}

// named turns "not found" into what it means for the one who sent the reference.
func named(path string, err error) error {
	if fault.Is(err, fault.NotFound) {
		return fault.BadInput("unknownReference", "%s: %s", path, fault.Of(err).Reason)
	}
	return err
}

// isCustomer says that the party is named as a customer of ours. Other parties of
// an account are free: they may live elsewhere.
func isCustomer(p tmf.RelatedParty) bool {
	return strings.EqualFold(p.Role, "customer") || p.ReferredType == "Customer"
}

// checkCustomers: a customer of an account exists. It stays locked until the
// transaction ends, so that it cannot be deleted meanwhile.
func checkCustomers(tx *store.Tx, old, t *AccountTerms) error {
	for i := range t.RelatedParty {
		r := &t.RelatedParty[i]
		known := old != nil && slices.ContainsFunc(old.RelatedParty, func(o tmf.RelatedParty) bool { return o.ID == r.ID && isCustomer(o) })
		if !isCustomer(*r) || known {
			continue
		}
		c, err := party.Customers.Lock(tx, r.ID)
		if err != nil {
			return named(fmt.Sprintf("relatedParty[%d]", i), err)
		}
		if r.Name == "" {
			r.Name = c.Name
		}
	}
	return nil
}

// checkAccount is the rules of the three kinds of paying account.
func checkAccount(tx *store.Tx, old, a *Account) error {
	var was *AccountTerms
	if old != nil {
		was = &old.AccountTerms
	}
	if len(a.RelatedParty) == 0 {
		return fault.BadInput("mandatoryAttributeMissing", "relatedParty is required")
	}
	if err := checkTerms(tx, was, &a.AccountTerms, a.ID); err != nil {
		return err
	}
	if err := checkCurrency(tx, old, a); err != nil {
		return err
	}
	if a.TimeZone != "" {
		if _, err := civil.LoadZone(a.TimeZone); err != nil {
			return fault.BadInput("unknownTimeZone", "timeZone: %v", err)
		}
	}
	if err := checkReferences(tx, old, a); err != nil {
		return err
	}
	if err := checkBillAttributes(tx, old, a); err != nil {
		return err
	}
	if old != nil && old.State != Closed && a.State == Closed {
		if err := nothingOpen(tx, a.ID); err != nil {
			return err
		}
	}
	return stampAccount(tx, old, a)
}

// checkCurrency: one account, one currency. It is fixed by the first thing billed.
func checkCurrency(tx *store.Tx, old, a *Account) error {
	if a.Currency == "" && a.CreditLimit != nil {
		a.Currency = a.CreditLimit.Currency.Code()
	}
	if a.Currency != "" {
		if c, err := money.ParseCurrency(a.Currency); err != nil || !c.Active() {
			return fault.BadInput("unknownCurrency", "currency %q is not an active ISO 4217 currency", a.Currency)
		}
	}
	if old != nil && old.Currency != "" && old.Currency != a.Currency {
		n, err := onAccount(tx, a.ID)
		if err != nil {
			return err
		}
		if n > 0 {
			return fault.Clash("currencyFixed", "The account is billed in %s already; another currency needs another account", old.Currency)
		}
	}
	if a.CreditLimit != nil && a.CreditLimit.Currency.Code() != a.Currency {
		return fault.BadInput("mixedCurrency", "creditLimit is in %s, the account in %s", a.CreditLimit.Currency, a.Currency)
	}
	return nil
}

func checkReferences(tx *store.Tx, old, a *Account) error {
	if a.FinancialAccount != nil && (old == nil || old.FinancialAccount == nil || old.FinancialAccount.ID != a.FinancialAccount.ID) {
		f, err := FinancialAccounts.Lock(tx, a.FinancialAccount.ID)
		if err != nil {
			return named("financialAccount", err)
		}
		a.FinancialAccount.Name, a.FinancialAccount.Href = f.Name, f.Href
	}
	b := a.BillStructure
	if b == nil {
		return nil
	}
	if r := b.CycleSpecification; r != nil {
		if err := refer(tx, &CycleSpecifications, "billStructure.cycleSpecification", r, func(c *BillingCycleSpecification) string { return c.Name }); err != nil {
			return err
		}
	}
	name := func(p *Presentation) string { return p.Name }
	if b.Format != nil {
		if err := refer(tx, &Formats, "billStructure.format", b.Format, name); err != nil {
			return err
		}
	}
	for i := range b.PresentationMedia {
		if err := refer(tx, &Media, fmt.Sprintf("billStructure.presentationMedia[%d]", i), &b.PresentationMedia[i], name); err != nil {
			return err
		}
	}
	return nil
}

// refer checks a reference to a part of the bill structure and completes it. A
// part written out in place refers to nothing.
func refer[T any, P tmf.Pointer[T]](tx *store.Tx, k *tmf.Kind[T, P], path string, r *RefOrValue, name func(P) string) error {
	if r.IsRef != nil && !*r.IsRef {
		return nil
	}
	if r.ID == "" {
		return fault.BadInput("mandatoryAttributeMissing", "%s needs an id, or isRef false if it is written out here", path)
	}
	p, err := k.Lock(tx, r.ID)
	if err != nil {
		return named(path, err)
	}
	yes := true
	r.Name, r.Href, r.IsRef = name(p), p.Base().Href, &yes
	return nil
}

// stampAccount sets lastModified if anything else changed.
func stampAccount(tx *store.Tx, old, a *Account) error {
	if old == nil {
		a.LastModified = tx.Now()
		return nil
	}
	return stamp(tx, old, a, old.LastModified, &a.LastModified)
}

func stamp(tx *store.Tx, old, now any, was time.Time, is *time.Time) error {
	*is = was
	before, err := tmf.Encode(old)
	if err != nil {
		return err
	}
	after, err := tmf.Encode(now)
	if err != nil {
		return err
	}
	if string(before) != string(after) {
		*is = tx.Now()
	}
	return nil
}

func checkFinancial(tx *store.Tx, old, a *FinancialAccount) error {
	if old == nil {
		a.LastModified = tx.Now()
		return checkTerms(tx, nil, &a.AccountTerms, a.ID)
	}
	if err := checkTerms(tx, &old.AccountTerms, &a.AccountTerms, a.ID); err != nil {
		return err
	}
	return stamp(tx, old, a, old.LastModified, &a.LastModified)
}

func checkCycle(tx *store.Tx, old, c *BillingCycleSpecification) error {
	for name, v := range map[string]*int64{"billingDateShift": c.BillingDateShift, "chargeDateOffset": c.ChargeDateOffset,
		"creditDateOffset": c.CreditDateOffset, "mailingDateOffset": c.MailingDateOffset, "paymentDueDateOffset": c.PaymentDueDateOffset} {
		if v != nil && (*v < -366 || *v > 366) {
			return fault.BadInput("invalidOffset", "%s is %d days; it must be from -366 to 366", name, *v)
		}
	}
	if p := c.ValidFor; p != nil && !p.StartDateTime.IsZero() && !p.EndDateTime.IsZero() && !p.StartDateTime.Before(p.EndDateTime) {
		return fault.BadInput("invalidPeriod", "validFor must end after it starts")
	}
	if old == nil {
		return nil
	}
	return cycleInUse(tx, old, c)
}

// removeAccount keeps what bills refer to.
func removeAccount(k *tmf.Kind[Account, *Account]) func(*store.Tx, *Account) error {
	return func(tx *store.Tx, a *Account) error {
		n, err := onAccount(tx, a.ID)
		if err != nil {
			return err
		}
		if n > 0 {
			return fault.Clash("stillReferenced", "The account %q cannot be deleted: %d billable items belong to it; close it instead", a.ID, n)
		}
		if err := unrelated(tx, a.ID); err != nil {
			return err
		}
		return k.Remove(tx, a)
	}
}

func removeFinancial(tx *store.Tx, a *FinancialAccount) error {
	if err := unrelated(tx, a.ID); err != nil {
		return err
	}
	if err := unused(tx, "financialAccount", a.ID, "financialAccount.id"); err != nil {
		return err
	}
	return FinancialAccounts.Remove(tx, a)
}

// unrelated refuses to let go of an account that another account relates to.
func unrelated(tx *store.Tx, id string) error {
	if err := unused(tx, "account", id, "accountRelationship.account.id"); err != nil {
		return err
	}
	found, err := FinancialAccounts.Select(tx, tmf.Where{"accountRelationship.account.id": id}, tmf.Page{Limit: 1})
	if err != nil || len(found) == 0 {
		return err
	}
	return fault.Clash("stillReferenced", "The account %q cannot be deleted: financialAccount %q refers to it", id, found[0].ID)
}

// unused refuses to let go of a thing that an account names at the path.
func unused(tx *store.Tx, what, id, path string) error {
	for _, k := range []*tmf.Kind[Account, *Account]{&BillingAccounts, &PartyAccounts, &SettlementAccounts} {
		found, err := k.Select(tx, tmf.Where{path: id}, tmf.Page{Limit: 1})
		if err != nil {
			return err
		}
		if len(found) > 0 {
			return fault.Clash("stillReferenced", "The %s %q cannot be deleted: %s %q refers to it", what, id, k.Name, found[0].ID)
		}
	}
	return nil
}

// keptBy makes the delete of a part of bill structures ask the accounts first.
func keptBy[T any, P tmf.Pointer[T]](k *tmf.Kind[T, P], path string) func(*store.Tx, P) error {
	return func(tx *store.Tx, p P) error {
		if err := unused(tx, k.Name, p.Base().ID, path); err != nil {
			return err
		}
		return k.Remove(tx, p)
	}
}
