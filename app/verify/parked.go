package verify

import (
	"cmp"
	"fmt"

	"tandem/kit/outbox"
	"tandem/kit/store"
	"tandem/kit/work"
	"tandem/oss/fulfilment"
)

const parkedPage = 500 // more than hearers of one fact

// parkedFacts reports the facts that a hearer could not take. Those that wait
// behind one of them are not causes of their own.
func (v *run) parkedFacts() error {
	for after := int64(0); ; {
		page, err := v.Bus.Parked(v.ctx, outbox.ParkedQuery{After: after, Limit: parkedPage})
		if err != nil || len(page) == 0 {
			return err
		}
		whole := len(page) == parkedPage
		last := page[len(page)-1].Seq
		for _, p := range page {
			if whole && p.Seq == last {
				break // read again with the rest of its seq
			}
			after = p.Seq
			if p.NextAt.IsZero() {
				continue
			}
			if err := v.parkedFact(p); err != nil {
				return err
			}
		}
		if !whole {
			return nil
		}
	}
}

func (v *run) parkedFact(p outbox.Parked) error {
	m := Mismatch{Kind: KindFact, Tenant: p.Tenant, Key: p.Key}
	about := subjectOf(p.Body)
	m.Service, m.Product = about.Service, cmp.Or(about.Product, about.External.Product)
	m.Order, m.ServiceOrder = cmp.Or(about.Order, about.External.Order), about.ServiceOrder
	m.Words = fmt.Sprintf("%s (fact %d) could not be heard by %s in %d attempts: %s", p.Fact, p.Seq, p.Hearer, p.Attempts, p.Error)
	return v.suspect(suspect{Mismatch: m, also: about.ids(p.Key), again: func() (Mismatch, bool, error) {
		still, err := v.Bus.Parked(v.ctx, outbox.ParkedQuery{Tenant: p.Tenant, Hearer: p.Hearer, After: p.Seq - 1, Limit: 1})
		return m, len(still) == 1 && still[0].Seq == p.Seq, err
	}})
}

// parkedJobs reports the jobs that were given up.
func (v *run) parkedJobs(tenant string) error {
	for after := int64(0); ; {
		var page []work.Parked
		err := v.read(tenant, func(tx *store.Tx) (err error) {
			page, err = work.ListParked(tx, "", after, parkedPage)
			return err
		})
		if err != nil || len(page) == 0 {
			return err
		}
		after = page[len(page)-1].ID
		for _, p := range page {
			if err := v.parkedJob(tenant, p); err != nil {
				return err
			}
		}
	}
}

func (v *run) parkedJob(tenant string, p work.Parked) error {
	m := Mismatch{Kind: KindJob, Tenant: tenant, Key: p.Key}
	m.Words = fmt.Sprintf("the job %s was given up after %d attempts: %s", p.Kind, p.Attempts, p.Error)
	err := v.read(tenant, func(tx *store.Tx) error {
		e, err := fulfilment.OfTask(tx, p.Key)
		m.Order, m.Product = e.Order, e.Product
		return err
	})
	if err != nil {
		return err
	}
	return v.suspect(suspect{Mismatch: m, again: func() (m2 Mismatch, parked bool, err error) {
		err = v.read(tenant, func(tx *store.Tx) error {
			state, _, err := work.StateOf(tx, p.Kind, p.Key)
			parked = state == "parked"
			return err
		})
		return m, parked, err
	}})
}
