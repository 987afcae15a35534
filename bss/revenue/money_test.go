package revenue_test

import (
	"fmt"
	"testing"

	"tandem/bss/billing"
	"tandem/bss/ledger"
	"tandem/bss/receivable"
	"tandem/bss/subscription"
	"tandem/fact"
	"tandem/kit/civil"
	"tandem/kit/money"
	"tandem/kit/store"
	"tandem/kit/tmf"
	"tandem/oss/inventory"
)

func TestWhatWasPostedAndNotDelivered(t *testing.T) {
	each(t, func(h *house) {
		h.sell("p1", 76, true)
		h.bill()
		h.clean("R18") // it is not old enough
		h.clock(5)
		var bill string
		h.read(func(tx *store.Tx) error {
			return tx.Row("SELECT bill FROM billing_posted WHERE tenant = $1").Scan(&bill)
		})
		h.finds("R18", "undelivered risk 68.29 "+bill+"/undelivered") // 57.39 and 19 per cent
		if a := h.api.Do(mno, "PATCH", "/tmf-api/customerBillManagement/v4/customerBill/"+bill, `{"state":"sent"}`); a.Status != 200 {
			h.Fatalf("sent: %d %s", a.Status, a.Body)
		}
		h.clean("R18")
		h.sql(`INSERT INTO billing_billed (tenant, item, idx, version, bill, net, tax_category, tax_num, tax_den, tax_included, revision) VALUES ($1, 'x', 0, 0, 'gone', 1, 'standard', 19, 1, 0, 1)`)
		h.finds("R18", "brokenChain risk - //gone/brokenChain")
	})
}

// owe books a bill of the account as billing does.
func (h *house) owe(id string, gross int64, due civil.Date) {
	h.Helper()
	h.must(func(tx *store.Tx) error {
		if err := ledger.Post(tx, ledger.Transaction{Name: "bill/" + id, Entity: "default", Currency: money.EUR, Date: due.AddDays(-14), What: "Bill", Entries: []ledger.Entry{
			{Account: ledger.Receivable, Party: h.account, Amount: gross}, {Account: ledger.Of(ledger.Revenue, "4400"), Amount: -gross}}}); err != nil {
			return err
		}
		return receivable.Posted(tx, fact.BillsPosted{Entity: "default", Bills: []fact.PostedBill{{Bill: id, Number: "N-" + id, Account: h.account, Currency: "EUR", Gross: gross,
			IssuedOn: due.AddDays(-14).String(), Due: due.String()}}})
	})
}

func TestPaymentsThatDoNotAddUp(t *testing.T) {
	each(t, func(h *house) {
		h.owe("b1", 1000, civil.Date{Year: 2026, Month: 12, Day: 15})
		var payment string
		h.must(func(tx *store.Tx) (err error) {
			payment, err = receivable.Receive(tx, receivable.Payment{Entity: "default", Account: h.account, Amount: money.Amount{Minor: 600, Currency: money.EUR}, Way: receivable.Cash})
			return err
		})
		h.clean("R20")
		var number int64
		h.read(func(tx *store.Tx) error {
			return tx.Row("SELECT number FROM receivable_allocation WHERE tenant = $1").Scan(&number)
		})
		h.must(func(tx *store.Tx) error { return receivable.Release(tx, number) })
		h.clean("R20") // it is not old enough
		h.clock(2)
		h.finds("R20", "paysNothing risk 6.00 "+payment+"/paysNothing")
		h.must(func(tx *store.Tx) error { return receivable.Settle(tx, h.account) })
		h.clean("R20")
		h.sql("UPDATE receivable_claim SET open = open - 150 WHERE tenant = $1 AND id = 'b1'")
		h.finds("R20", "doesNotAddUp risk 1.50 "+h.account+"/the books have another debt", "doesNotAddUp risk 1.50 b1/open of a claim is not its amount less what paid it")
	})
}

func TestDebtsAndBars(t *testing.T) {
	each(t, func(h *house) {
		h.sell("p1", 76, true)
		h.clean("R21")
		barred := store.Micros(now.AddDate(0, 0, -6))
		h.sql("INSERT INTO receivable_dunning (tenant, account, cycle, level, barred, paused_to, pause_reason) VALUES ($1, $2, 1, 2, 1, '', '')", h.account)
		h.sql("INSERT INTO receivable_action (tenant, account, cycle, level, action, overdue, currency, oldest, on_date, at) VALUES ($1, $2, 1, 2, 'bar', 1000, 'EUR', 'b1', '2026-12-14', $3)", h.account, barred)
		h.finds("R21", "notBarred leakage "+worth("19.99", 6)+" p1/notBarred")
		h.must(func(tx *store.Tx) error {
			if err := subscription.Suspend(tx, fact.ServiceSuspended{Service: "s-p1", External: fact.External{Product: "p1"}, At: now.AddDate(0, 0, -5)}); err != nil {
				return err
			}
			_, err := inventory.Suspend(tx, "s-p1", now.AddDate(0, 0, -5))
			return err
		})
		h.sql("INSERT INTO receivable_bar (tenant, product, account, state, placed, at) VALUES ($1, 'p1', $2, 'barred', 'o1', $3)", h.account, store.Micros(now.AddDate(0, 0, -5)))
		h.clean("R21")
		h.sql("UPDATE receivable_dunning SET barred = 0, level = 0 WHERE tenant = $1")
		h.finds("R21", "stillBarred overcharge "+worth("19.99", 5)+" p1/stillBarred")
	})
}

// A person who credits far more than all others is to be looked at.
func TestCreditsFarAboveThoseOfOthers(t *testing.T) {
	each(t, func(h *house) {
		h.sell("p1", 76, true)
		h.bill()
		var bill string
		h.read(func(tx *store.Tx) error {
			return tx.Row("SELECT bill FROM billing_posted WHERE tenant = $1").Scan(&bill)
		})
		credit := func(who string, cents int64) {
			err := h.as(mno, "user:"+who, func(tx *store.Tx) error {
				return billing.CreditNotes.OnPost(tx, &billing.CreditNoteRequest{Bill: &tmf.Ref{ID: bill}, Reason: "goodwill",
					Line: []billing.CreditLine{{ID: "1", Amount: &tmf.Money{Nano: cents * 1e7, Currency: money.EUR}}}})
			})
			if err != nil {
				h.Fatal(err)
			}
		}
		for i, cents := range []int64{100, 110, 120, 130, 140} { // with tax 1.19, 1.31, 1.43, 1.55, 1.67: mean 1.43, deviation 0.1697
			credit(fmt.Sprintf("agent%d", i), cents)
		}
		h.clean("R22")
		credit("mallory", 500) // 5.95: 1.43 and three deviations are 1.939, so 1.93 in whole cents
		h.finds("R22", "outlier risk 4.02 user:mallory/EUR")
	})
}
