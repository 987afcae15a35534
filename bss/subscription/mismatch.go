package subscription

import (
	"context"
	"fmt"

	"tandem/kit/store"
)

// Mismatch is a product whose state its services contradict.
type Mismatch struct {
	Product, Customer string
	Reason            string
}

// Mismatches walks all products of the tenant and lists those that disagree with
// what the network confirmed; the other half of verify, whether the network still
// knows the services, is asked of the network wing.
func Mismatches(ctx context.Context, db *store.DB, s store.Scope) ([]Mismatch, error) {
	var out []Mismatch
	err := Products.Each(ctx, db, s, func(p *Product) error {
		if reason := p.mismatch(); reason != "" {
			out = append(out, Mismatch{p.ID, p.Customer(), reason})
		}
		return nil
	})
	return out, err
}

func (p *Product) mismatch() string {
	is := p.network()
	switch {
	case live(p.Status) && is == "":
		return fmt.Sprintf("is %s, but not all its services were ever active", p.Status)
	case live(p.Status) && is == Terminated:
		return fmt.Sprintf("is %s, but all its services are terminated", p.Status)
	case live(p.Status) && p.Status != PendingTerminate && p.Status != is:
		return fmt.Sprintf("is %s, but its services are %s", p.Status, is)
	case live(p.Status):
		return ""
	}
	for _, s := range p.RealizingService {
		if s.State == Active && p.Status != PendingActive {
			return fmt.Sprintf("is %s, but service %s runs", p.Status, s.ID)
		}
	}
	return ""
}
