package recognition

import (
	"fmt"

	"tandem/bss/ledger"
	"tandem/kit/money"
	"tandem/kit/store"
	"tandem/kit/tmf"
)

// RevenueContract is a contract as the API shows it.
type RevenueContract struct {
	tmf.Entity
	LegalEntity     *tmf.Ref          `json:"legalEntity,omitzero"`
	BillingAccount  *tmf.Ref          `json:"billingAccount,omitzero"`
	Product         *tmf.Ref          `json:"product,omitzero"`
	State           string            `json:"state,omitzero" tmf:"enum=active|ended|settled"`
	StartDate       string            `json:"startDate,omitzero"`
	EndDate         string            `json:"endDate,omitzero"` // the first day on which nothing is rendered any more
	Price           money.Amount      `json:"transactionPrice,omitzero"`
	Billed          money.Amount      `json:"billed,omitzero"`
	Recognised      money.Amount      `json:"recognised,omitzero"`
	RecognisedUntil string            `json:"recognisedUntil,omitzero"` // the day after the last month
	Deferred        money.Amount      `json:"deferred,omitzero"`        // contract liability
	ContractAsset   money.Amount      `json:"contractAsset,omitzero"`
	Version         int64             `json:"version,omitzero"`
	Obligation      []ShownObligation `json:"performanceObligation,omitzero"`
	Schedule        []ShownSlice      `json:"schedule,omitzero"`
}

// ShownObligation is a performance obligation.
type ShownObligation struct {
	ID           string       `json:"id"`
	Name         string       `json:"name,omitzero"`
	SellingPrice money.Amount `json:"standAloneSellingPrice"`
	From         string       `json:"from"`
	To           string       `json:"to,omitzero"` // none: satisfied at once
	Revenue      string       `json:"revenue,omitzero"`
}

// ShownSlice is a slice of the schedule.
type ShownSlice struct {
	Obligation string       `json:"obligation"`
	Amount     money.Amount `json:"amount"`
	From       string       `json:"from"`
	To         string       `json:"to,omitzero"`
}

// RevenueContracts are the tenant's contracts.
var RevenueContracts = tmf.Kind[RevenueContract, *RevenueContract]{
	API: &ledger.API, Name: "revenueContract", Table: "recognition_contract", Verbs: tmf.ReadOnly,
	Rows: &tmf.Rows[*RevenueContract]{
		From: "recognition_contract", Columns: columns, Order: []string{"id"},
		Paths: map[string]string{"legalEntity.id": "entity", "billingAccount.id": "account", "product.id": "product", "state": "state", "endDate": "ends"},
		Find:  func(id string, first int) (string, []any) { return fmt.Sprintf("id = $%d", first), []any{id} },
		Scan:  scanShown, Complete: completeShown,
	},
}

// Kinds are the package's resources.
func Kinds() []tmf.Mounted { return []tmf.Mounted{&RevenueContracts, &Runs} }

func scanShown(r store.Rows) (*RevenueContract, error) {
	c, err := scanContract(r)
	if err != nil {
		return nil, err
	}
	amount := func(n int64) money.Amount { return money.Amount{Minor: n, Currency: c.Price.Currency} }
	s := &RevenueContract{State: c.State, StartDate: c.Start.String(), EndDate: c.Ends.String(), Price: c.Price, Billed: amount(c.Billed), Recognised: amount(c.Recognised),
		RecognisedUntil: dateText(c.Upto), Deferred: amount(max(c.position(), 0)), ContractAsset: amount(max(-c.position(), 0)), Version: c.Version,
		LegalEntity:    &tmf.Ref{ID: c.Entity, Href: "/tandem-api/billing/v1/legalEntity/" + c.Entity, ReferredType: "LegalEntity"},
		BillingAccount: &tmf.Ref{ID: c.Account, Href: "/tmf-api/accountManagement/v4/billingAccount/" + c.Account, ReferredType: "BillingAccount"},
		Product:        &tmf.Ref{ID: c.Product, Href: "/tmf-api/productInventory/v4/product/" + c.Product, ReferredType: "Product"}}
	s.ID = c.ID
	return s, nil
}

func completeShown(tx *store.Tx, page []*RevenueContract) error {
	ids, of := make([]string, len(page)), map[string]*RevenueContract{}
	for i, s := range page {
		ids[i], of[s.ID] = s.ID, s
	}
	args := store.Padded(ids)
	all, err := find(tx, "id IN ("+store.In(2, len(args))+")", args...)
	for _, c := range all {
		s := of[c.ID]
		for _, o := range c.Obligations {
			s.Obligation = append(s.Obligation, ShownObligation{ID: o.ID, Name: o.Name, SellingPrice: money.Amount{Minor: o.SellingPrice, Currency: c.Price.Currency},
				From: o.Over.From.String(), To: dateText(o.Over.To), Revenue: o.Revenue})
		}
		for _, x := range c.Schedule {
			s.Schedule = append(s.Schedule, ShownSlice{Obligation: x.Obligation, Amount: money.Amount{Minor: x.Amount, Currency: c.Price.Currency}, From: x.Over.From.String(), To: dateText(x.Over.To)})
		}
	}
	return err
}

// Mismatch is what Audit found wrong, in minor units.
type Mismatch struct {
	What        string
	ID          string // contract, or billing account
	Here, There int64
}

// Audit proves the contracts of the tenant: billed and recognised are what was booked of
// them, the schedule comes to the price, a settled contract has no position, and the books
// of each legal entity have of each account what its contracts come to.
func Audit(tx *store.Tx) (out []Mismatch, err error) {
	for _, q := range []struct{ what, sql string }{
		{"billed is not what bills had", `SELECT c.id, c.billed, coalesce((SELECT CAST(sum(b.amount) AS BIGINT) FROM recognition_billed b WHERE b.tenant = c.tenant AND b.contract = c.id), 0)
			FROM recognition_contract c WHERE c.tenant = $1`},
		{"recognised is not what the months had", `SELECT c.id, c.recognised, coalesce((SELECT CAST(sum(r.amount) AS BIGINT) FROM recognition_recognised r WHERE r.tenant = c.tenant AND r.contract = c.id), 0)
			FROM recognition_contract c WHERE c.tenant = $1`},
		{"the schedule does not come to the price", `SELECT c.id, c.price, coalesce((SELECT CAST(sum(s.amount) AS BIGINT) FROM recognition_slice s WHERE s.tenant = c.tenant AND s.contract = c.id AND s.version = c.version), 0)
			FROM recognition_contract c WHERE c.tenant = $1`},
		{"settled with a position", "SELECT id, billed, recognised FROM recognition_contract WHERE tenant = $1 AND state = 'settled'"},
	} {
		rows, err := tx.Query(q.sql)
		found, err := store.Collect(rows, err, func(r store.Rows) (Mismatch, error) {
			m := Mismatch{What: q.what}
			return m, r.Scan(&m.ID, &m.Here, &m.There)
		})
		if err != nil {
			return nil, err
		}
		for _, m := range found {
			if m.Here != m.There {
				out = append(out, m)
			}
		}
	}
	for _, side := range []struct{ account, sql string }{
		{ledger.Deferred, "SELECT entity, account, currency, CAST(sum(CASE WHEN billed > recognised THEN recognised - billed ELSE 0 END) AS BIGINT) FROM recognition_contract WHERE tenant = $1 GROUP BY entity, account, currency"},
		{ledger.ContractAsset, "SELECT entity, account, currency, CAST(sum(CASE WHEN billed < recognised THEN recognised - billed ELSE 0 END) AS BIGINT) FROM recognition_contract WHERE tenant = $1 GROUP BY entity, account, currency"},
	} {
		if err := againstBooks(tx, &out, side.account, side.sql); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// againstBooks compares sums by legal entity, account and currency with those of the ledger.
func againstBooks(tx *store.Tx, out *[]Mismatch, account, sql string) error {
	books, err := ledger.Held(tx, account)
	if err != nil {
		return err
	}
	rows, err := tx.Query(sql)
	_, err = store.Collect(rows, err, func(r store.Rows) (n int64, err error) {
		var k ledger.Holding
		if err = r.Scan(&k.Entity, &k.Party, &k.Currency, &n); err == nil && books[k] != n {
			*out = append(*out, Mismatch{"the books of " + k.Entity + " have another " + account, k.Party, n, books[k]})
		}
		delete(books, k)
		return n, err
	})
	for k, n := range books {
		if n != 0 {
			*out = append(*out, Mismatch{"the books of " + k.Entity + " have " + account + " of no contract", k.Party, 0, n})
		}
	}
	return err
}
