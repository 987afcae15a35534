package verify

import (
	"fmt"

	"tandem/bss/charging"
	"tandem/bss/charging/core"
	"tandem/bss/subscription"
	"tandem/kit/store"
)

// charged are the states in which charging must have a line, by what the network says.
var charged = map[string]core.State{subscription.Active: core.Active, subscription.Suspended: core.Barred}

// judgeLine holds a product against what charging knows of it.
func (v *run) judgeLine(tx *store.Tx, p *subscription.Product, lines map[string]charging.Line) (words string, err error) {
	line, known := lines[p.ID]
	switch {
	case line.Option:
		return "", nil // its state is that of its line
	case !p.Live() && known && line.State != core.Closed && !p.TerminationDate.IsZero():
		return "has ended, but charging still lets it use the network", nil
	case !p.Live():
		return "", nil
	case !known:
		charges, err := v.charges(tx, p.Offering())
		if err != nil || !charges {
			return "", err
		}
		return fmt.Sprintf("is %s, and its offering charges for usage, but charging does not know it", p.Status), nil
	case !line.Confirmed:
		return fmt.Sprintf("is %s, but charging has not opened its line", p.Status), nil
	}
	if want, ok := charged[p.Network()]; ok && want != line.State {
		return fmt.Sprintf("is %s in the network, but %s in charging", p.Network(), line.State), nil
	}
	return "", nil
}

// charges says whether an offering charges for usage, asked for once.
func (v *run) charges(tx *store.Tx, offering string) (yes bool, err error) {
	if offering == "" {
		return false, nil
	}
	key := tx.Tenant() + "/" + offering
	if yes, known := v.usage[key]; known {
		return yes, nil
	}
	yes, err = charging.Charges(tx, offering)
	if err == nil {
		v.usage[key] = yes
	}
	return yes, err
}

// lines looks for lines whose product is not there at all; those of the others were
// judged with their product.
func (v *run) lines(tenant string) error {
	for after := ""; ; {
		var lost, page []string
		err := v.read(tenant, func(tx *store.Tx) (err error) {
			if page, err = charging.LinesAfter(tx, after, pageSize); err != nil {
				return err
			}
			lost, err = unknownProducts(tx, page)
			return err
		})
		if err != nil || len(page) == 0 {
			return err
		}
		after = page[len(page)-1]
		for _, product := range lost {
			m := Mismatch{Kind: KindCharging, Tenant: tenant, Product: product, Words: "may use the network, but the product does not exist"}
			if err := v.suspect(suspect{Mismatch: m, again: func() (Mismatch, bool, error) {
				still := false
				err := v.read(tenant, func(tx *store.Tx) error {
					lost, err := unknownProducts(tx, []string{product})
					still = len(lost) > 0
					return err
				})
				return m, still, err
			}}); err != nil {
				return err
			}
		}
	}
}

func unknownProducts(tx *store.Tx, ids []string) (lost []string, err error) {
	there, err := subscription.Statuses(tx, ids)
	for _, id := range ids {
		if there[id] == "" {
			lost = append(lost, id)
		}
	}
	return lost, err
}

// balances holds what is in the buckets against the ledger: in memory where this
// process decides on charges, as the journal has it elsewhere.
func (v *run) balances(tenant string) error {
	if v.Charging == nil {
		return nil
	}
	judged, err := v.Charging.AuditBalances(v.ctx, tenant, func(account, words string) error {
		m := Mismatch{Kind: KindCharging, Tenant: tenant, Product: account, Words: words}
		return v.suspect(suspect{Mismatch: m, again: func() (Mismatch, bool, error) {
			words, err := v.Charging.AuditBalance(v.ctx, tenant, account)
			m.Words = words
			return m, words != "", err
		}})
	})
	v.sum.Accounts += judged
	return err
}

// journal holds the usage of all tenants against the journal, and the charges against
// the tariffs. What it finds is written: it does not go away by waiting.
func (v *run) journal() error {
	if v.Charging == nil {
		return nil
	}
	v.say("the journal of charges")
	seen, err := v.Charging.AuditJournal(v.ctx, func(tenant, words string) error {
		return v.report(suspect{Mismatch: Mismatch{Kind: KindCharging, Tenant: tenant, Words: words}})
	})
	v.sum.Charges, v.sum.Unjudged = seen.Records, seen.Unjudged
	return err
}
