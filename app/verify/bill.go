package verify

import (
	"fmt"

	"tandem/bss/billing"
	"tandem/bss/ledger"
	"tandem/bss/ledger/recognition"
	"tandem/bss/receivable"
	"tandem/kit/money"
	"tandem/kit/store"
)

// bills holds the posted bills of a tenant against their numbers, their chain of hashes,
// what stands on them and the ledger, the ledger against itself, and what customers owe and
// have paid against the ledger. What is posted is
// written in one transaction and never changed: a disagreement needs no second look.
func (v *run) bills(tenant string) error {
	return v.read(tenant, func(tx *store.Tx) error {
		sum, err := billing.AuditBills(tx, func(f billing.BillFault) error {
			return v.certain(Mismatch{Kind: KindBill, Tenant: tenant, Key: f.Bill, Words: f.String()})
		})
		v.sum.Bills += sum.Bills
		if err != nil {
			return err
		}
		contracts, err := recognition.Audit(tx)
		if err != nil {
			return err
		}
		for _, m := range contracts {
			if err := v.certain(Mismatch{Kind: KindBill, Tenant: tenant, Key: m.ID, Words: fmt.Sprintf("%s: %d, not %d minor units", m.What, m.Here, m.There)}); err != nil {
				return err
			}
		}
		wrong, err := ledger.Audit(tx)
		if err != nil {
			return err
		}
		for _, m := range wrong {
			words := m.What
			if m.Left != 0 {
				words += ": " + (money.Amount{Minor: m.Left}).Decimal() + " is left, in minor units"
			}
			if err := v.certain(Mismatch{Kind: KindBill, Tenant: tenant, Key: m.Name, Words: "the booking " + words}); err != nil {
				return err
			}
		}
		owed, err := receivable.Audit(tx)
		if err != nil {
			return err
		}
		for _, m := range owed {
			words := fmt.Sprintf("%s: %d here, %d there, in minor units", m.What, m.Here, m.There)
			if err := v.certain(Mismatch{Kind: KindBill, Tenant: tenant, Key: m.ID, Words: words}); err != nil {
				return err
			}
		}
		return nil
	})
}

// certain reports what needs no second look.
func (v *run) certain(m Mismatch) error {
	v.sum.Mismatches++
	return v.found(m)
}
