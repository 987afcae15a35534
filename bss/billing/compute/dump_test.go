package compute_test

import (
	"fmt"
	"strings"

	"tandem/bss/billing/compute"
)

// dump shows what a bill was made from, for a history that fails.
func dump(in *compute.Input, b *compute.Bill) string {
	var s strings.Builder
	fmt.Fprintf(&s, "\nzone %v moved %v cycle %v bill %d dated %v\n", in.Zone, in.Moved, in.Terms.Cycle, in.Index, b.Date)
	for _, it := range in.Items {
		fmt.Fprintf(&s, "item %s sort %d product %s price %s amount %v percent %v resting %v quantity %d timing %d rule %d cycle %v span %v..%v suspended %v alters %v all %v usage %v prio %d cap %v periods %d rev %d\n",
			it.ID, it.Sort, it.Product, it.Price, it.Amount.Nano, it.Percent, it.Resting, it.Quantity, it.Timing, it.Proration, it.Cycle,
			it.Span.From.In(in.Zone), it.Span.To.In(in.Zone), it.Suspended, it.Alters, it.AllOf, it.WithUsage, it.Priority, it.Cap, it.Periods, it.Revision)
	}
	for _, u := range in.Usage {
		fmt.Fprintf(&s, "usage %s %v before %d amount %d\n", u.Key, u.Period, u.Before.Nano, u.Amount.Nano)
	}
	for _, r := range in.Billed {
		fmt.Fprintf(&s, "billed %s/%d net %d version %d rev %d %s %v %v\n", r.Item, r.Index, r.Net, r.Version, r.Revision, r.TaxCategory, r.TaxRate, r.TaxIncluded)
	}
	for _, l := range b.Lines {
		fmt.Fprintf(&s, "line %s%s/%d/%d %v of %v: wanted %d before %d amount %d base %d %s %v %v\n", l.Item, l.Key, l.Index, l.Number, l.Service, l.Full,
			l.Wanted, l.Before, l.Amount, l.Base, l.TaxCategory, l.TaxPercent, l.TaxIncluded)
	}
	return s.String()
}
