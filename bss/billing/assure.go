package billing

import (
	"fmt"
	"strings"

	"tandem/bss/billing/compute"
	"tandem/kit/civil"
	"tandem/kit/fault"
	"tandem/kit/money"
	"tandem/kit/store"
	"tandem/kit/tmf"
)

// BillPolicy is which drafts of a tenant's bill runs wait for a person to look at them.
// There is one, with the id "policy".
type BillPolicy struct {
	tmf.Entity
	Description string `json:"description,omitzero"`
	// ZeroBill and NegativeBill are "hold" (unless something else is said) or "issue".
	ZeroBill     string `json:"zeroBill,omitzero" tmf:"enum=hold|issue"`
	NegativeBill string `json:"negativeBill,omitzero" tmf:"enum=hold|issue"`
	// DeviationPercent is how far from the mean of the last three bills a bill may be, in
	// hundredths of that mean; 0: as far as it likes. Absent: 100.
	DeviationPercent *int64 `json:"deviationPercent,omitzero"`
	// DeviationMinor is what a difference must be at least to count, in minor units of
	// the bill's currency. Absent: 2000.
	DeviationMinor *int64 `json:"deviationMinor,omitzero"`
	// Suspense says whether usage of the account that could not be rated holds its bill:
	// "hold" (unless something else is said) or "issue".
	Suspense string `json:"suspense,omitzero" tmf:"enum=hold|issue"`
	// Announce says whether customers are told of their posted bills, as they want to hear of
	// bills: "send" (unless something else is said) or "none", where another program does.
	Announce string `json:"announce,omitzero" tmf:"enum=send|none"`
}

// BillPolicies are the tenant's own, at most one.
var BillPolicies = tmf.Kind[BillPolicy, *BillPolicy]{API: &ItemAPI, Name: "billPolicy", Table: "billing_policy", Verbs: tmf.All, Still: true}

const (
	policyID         = "policy"
	usualPercent     = 100
	usualMinor       = 2000
	maxPercent       = 100_000
	policyIssue      = "issue"
	mostDoubtsOfItem = 3 // services that are named, of those that are not on a bill
)

// postBillPolicy sets the policy, in the place of the one before.
func postBillPolicy(tx *store.Tx, p *BillPolicy) error {
	old, err := BillPolicies.Lock(tx, policyID)
	if fault.Is(err, fault.NotFound) {
		return BillPolicies.Create(tx, p)
	}
	if err != nil {
		return err
	}
	now, err := BillPolicies.Copy(old)
	if err != nil {
		return err
	}
	p.Entity.ID = policyID
	now.Description, now.ZeroBill, now.NegativeBill, now.Suspense, now.Announce = p.Description, p.ZeroBill, p.NegativeBill, p.Suspense, p.Announce
	now.DeviationPercent, now.DeviationMinor, now.Extra = p.DeviationPercent, p.DeviationMinor, p.Extra
	if err := BillPolicies.Save(tx, old, now); err != nil {
		return err
	}
	*p = *now
	return nil
}

func defaultPolicy(_ *store.Tx, p *BillPolicy) error {
	p.ID = policyID
	p.Href = ItemAPI.Base + "/billPolicy/" + policyID
	return nil
}

func checkBillPolicy(_ *store.Tx, _, p *BillPolicy) error {
	if n := p.DeviationPercent; n != nil && (*n < 0 || *n > maxPercent) {
		return fault.BadInput("badPercent", "deviationPercent is %d; it must be from 0 to %d", *n, maxPercent)
	}
	if n := p.DeviationMinor; n != nil && *n < 0 {
		return fault.BadInput("badAmount", "deviationMinor cannot be negative")
	}
	return nil
}

// policyOf is what holds for the tenant.
func policyOf(tx *store.Tx) (*BillPolicy, error) {
	p, err := BillPolicies.Look(tx, policyID)
	if fault.Is(err, fault.NotFound) {
		return &BillPolicy{}, nil
	}
	return p, err
}

func (p *BillPolicy) deviation() (percent, minor int64) {
	percent, minor = usualPercent, usualMinor
	if p.DeviationPercent != nil {
		percent = *p.DeviationPercent
	}
	if p.DeviationMinor != nil {
		minor = *p.DeviationMinor
	}
	return percent, minor
}

// doubts are the reasons to look at a bill before it is posted, in words.
func (j *judge) doubts(g *Gathered, b *compute.Bill, was *past) []string {
	var out []string
	c := g.Input.Currency
	if g.provisional != "" {
		out = append(out, g.provisional)
	}
	if b.Gross == 0 && j.policy.ZeroBill != policyIssue {
		out = append(out, "It is a bill of zero")
	}
	if b.Gross < 0 && j.policy.NegativeBill != policyIssue {
		out = append(out, "The customer gets money back: "+money.Amount{Minor: -b.Gross, Currency: c}.String())
	}
	if s := j.farOff(b.Gross, was.gross, c); s != "" {
		out = append(out, s)
	}
	if s := missing(&g.Input, b); s != "" {
		out = append(out, s)
	}
	if s := taxDoubt(&g.Input, b); s != "" {
		out = append(out, s)
	}
	if n := g.Suspense; n > 0 && j.policy.Suspense != policyIssue {
		out = append(out, fmt.Sprintf("%d usage records of the account could not be rated yet", n))
	}
	return out
}

// farOff compares a bill with the mean of the last ones.
func (j *judge) farOff(gross int64, before []int64, c money.Currency) string {
	percent, minor := j.policy.deviation()
	if len(before) < historyBills || percent == 0 {
		return ""
	}
	var sum int64
	for _, n := range before[:historyBills] {
		sum += n
	}
	mean := sum / historyBills
	off := gross - mean
	if off < 0 {
		off = -off
	}
	limit, err := money.MulDiv(mean, percent, 100, money.HalfUp)
	if err != nil || off <= minor || off <= max(limit, -limit) {
		return ""
	}
	return fmt.Sprintf("It is %s, the mean of the last %d was %s", money.Amount{Minor: gross, Currency: c}, historyBills, money.Amount{Minor: mean, Currency: c})
}

// missing names running services that are owed for the period and neither on this bill
// nor on one before.
func missing(in *compute.Input, b *compute.Bill) string {
	var names []string
	for i := range in.Items {
		it := &in.Items[i]
		if it.Sort == compute.Recurring && it.Amount.Nano > 0 && !onBill(b, it.ID) && owedUnbilled(in, it, b) {
			names = append(names, it.Name)
		}
	}
	if len(names) > mostDoubtsOfItem {
		names = append(names[:mostDoubtsOfItem], "...")
	}
	if len(names) == 0 {
		return ""
	}
	return "A running service is not on it: " + strings.Join(names, ", ")
}

func onBill(b *compute.Bill, item string) bool {
	for i := range b.Lines {
		if b.Lines[i].Item == item {
			return true
		}
	}
	return false
}

// owedUnbilled says that the service period of an item which the bill had to have was
// used and never billed: the one of the last day of the billing period in advance, the
// one before it in arrears.
func owedUnbilled(in *compute.Input, it *compute.Item, b *compute.Bill) bool {
	index, err := it.Cycle.Index(b.Date.AddDays(-1))
	if err != nil {
		return false
	}
	if it.Timing == compute.Arrears {
		index--
	}
	full, err := it.Cycle.Period(index)
	if err != nil {
		return false
	}
	for i := range in.Billed {
		if x := &in.Billed[i]; x.Item == it.ID && x.Index == index {
			return false
		}
	}
	used, ok := it.Span.Intersect(full.Span(in.Zone))
	if !ok || it.Proration == compute.WholeOnly && used != full.Span(in.Zone) {
		return false
	}
	day := civil.DateOf(used.From, in.Zone)
	if !used.Open() && !day.Before(civil.DateOf(used.To, in.Zone)) {
		return false // not a whole day
	}
	for _, s := range it.Suspended {
		if cut, ok := s.Intersect(used); ok && cut == used {
			return false
		}
	}
	return true
}

// taxDoubt works the tax out again from the lines (EN 16931 BR-CO-17).
func taxDoubt(in *compute.Input, b *compute.Bill) string {
	var net, tax int64
	for _, t := range b.Taxes {
		lines, included := int64(0), false
		for i := range b.Lines {
			if l := &b.Lines[i]; l.TaxCode == t.Code && l.TaxPercent == t.Percent {
				lines += l.Net
				included = included || l.TaxIncluded
			}
		}
		net, tax = net+t.Net, tax+t.Tax
		if lines != t.Net {
			return fmt.Sprintf("The lines with tax %s do not add up to its base", t.Code)
		}
		want := int64(0)
		if t.Percent.Den != 0 {
			n, err := money.MulDiv(t.Net, t.Percent.Num, 100*t.Percent.Den, roundingOf(in.Terms))
			if err != nil {
				return fmt.Sprintf("The tax %s cannot be worked out again: %v", t.Code, err)
			}
			want = n
		}
		if off := t.Tax - want; off > 1 || off < -1 || off != 0 && !included {
			return fmt.Sprintf("The tax %s is not what its base and rate make", t.Code)
		}
	}
	if net != b.Net || tax != b.Tax || net+tax != b.Gross {
		return "Net, tax and total do not add up"
	}
	return ""
}

func roundingOf(t compute.Terms) money.Rounding {
	if t.Rounding == 0 {
		return money.HalfUp
	}
	return t.Rounding
}
