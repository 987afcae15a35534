package revenue

import (
	"fmt"

	"tandem/kit/store"
	"tandem/oss/fulfilment"
)

// WaitsForPerson is an order that fell out.
const WaitsForPerson = "waitsForPerson"

// waiting is R27: what orders that wait for a person would bring meanwhile. A product that
// waits for several tasks counts once, with the oldest.
func waiting(c *check) error {
	counted := map[string]bool{}
	left := side[*fulfilment.Fallout]{fulfilment.OpenFallouts, func(f *fulfilment.Fallout) string { return f.ID }}
	return compare(c, left, nothing(), func(tx *store.Tx, page []pair[*fulfilment.Fallout, struct{}]) error {
		for _, p := range page {
			f := *p.left
			l := leak{key: f.ID, class: WaitsForPerson, since: f.Since, words: fmt.Sprintf("Service order %s waits for a person: %s", f.ServiceOrder, f.Cause),
				about:    refs(ref("Fallout", f.ID), ref("ServiceOrder", f.ServiceOrder), ref("Service", f.Service)),
				evidence: []Evidence{{Set: "fallout", ID: f.ID, Says: fmt.Sprintf("%s on %s since %s, after %d attempts", f.Class, f.Element, instant(f.Since), f.Attempts)}}}
			if x := f.External; x != nil {
				l.about = append(l.about, refs(ref("ProductOrder", x.Order), ref("Product", x.Product))...)
				if x.Product != "" && !counted[x.Product] {
					counted[x.Product] = true
					var err error
					if l.monthly, err = valueOf(tx, x.Product); err != nil {
						return err
					}
				}
			}
			if err := c.tell(l); err != nil {
				return err
			}
		}
		return nil
	})
}
