package receivable_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"tandem/bss/billing"
	"tandem/bss/ledger"
	"tandem/bss/receivable"
	"tandem/fact"
	"tandem/kit/civil"
	"tandem/kit/fault"
	"tandem/kit/money"
	"tandem/kit/store"
	"tandem/kit/store/storetest"
	"tandem/kit/work"
)

var (
	host = store.Scope{Tenant: "host", Actor: "user:ann"}
	day  = civil.Date{Year: 2026, Month: 3, Day: 14}
)

// books is a store whose bills are posted by the test, as billing posts them.
type books struct {
	*testing.T
	db *store.DB
}

func each(t *testing.T, f func(b *books)) {
	storetest.Each(t, slices.Concat([]store.Schema{work.Schema()}, ledger.Schemas, billing.Schemas, receivable.Schemas), func(t *testing.T, db *store.DB) { f(&books{t, db}) })
}

func (b *books) write(fn func(tx *store.Tx) error) error { return b.db.Write(b.Context(), host, fn) }

func (b *books) must(fn func(tx *store.Tx) error) {
	b.Helper()
	if err := b.write(fn); err != nil {
		b.Fatal(err)
	}
}

func (b *books) refused(err error, code string) {
	b.Helper()
	var f *fault.Error
	if !errors.As(err, &f) || f.Code != code {
		b.Fatalf("got %v, want a refusal %s", err, code)
	}
}

// bill books a bill of the account and tells it, as billing does.
func (b *books) bill(id, account string, gross int64, due civil.Date, credits string) {
	b.Helper()
	f := fact.BillsPosted{Entity: "acme", Bills: []fact.PostedBill{{Bill: id, Number: "N-" + id, Account: account, Currency: "EUR", Gross: gross,
		IssuedOn: due.AddDays(-14).String(), Due: due.String(), Credits: credits}}}
	b.must(func(tx *store.Tx) error {
		return ledger.Post(tx, ledger.Transaction{Name: "bill/" + id, Entity: "acme", Currency: money.EUR, Date: due.AddDays(-14), What: "Bill", Entries: []ledger.Entry{
			{Account: ledger.Receivable, Party: account, Amount: gross}, {Account: ledger.Of(ledger.Revenue, "4400"), Amount: -gross}}})
	})
	for range 2 { // a fact may come twice
		b.must(func(tx *store.Tx) error { return receivable.Posted(tx, f) })
	}
}

func (b *books) pay(account string, minor int64, to ...receivable.Share) string {
	b.Helper()
	var id string
	b.must(func(tx *store.Tx) (err error) {
		id, err = receivable.Receive(tx, receivable.Payment{Entity: "acme", Account: account, Amount: money.Amount{Minor: minor, Currency: money.EUR}, Way: receivable.Cash}, to...)
		return err
	})
	return id
}

// open is what is open of the claims of an account, by id.
func (b *books) open(account string) map[string]int64 {
	b.Helper()
	out := map[string]int64{}
	if err := b.db.Read(b.Context(), host, func(tx *store.Tx) error {
		claims, err := receivable.Claims(tx, account)
		for _, c := range claims {
			if c.Open != 0 {
				out[c.ID] = c.Open
			}
		}
		return err
	}); err != nil {
		b.Fatal(err)
	}
	return out
}

func (b *books) expect(account string, want map[string]int64) {
	b.Helper()
	if got := b.open(account); fmt.Sprint(got) != fmt.Sprint(want) {
		b.Errorf("open of %s: %v, want %v", account, got, want)
	}
	b.sound()
}

// sound proves the room and the books.
func (b *books) sound() {
	b.Helper()
	if err := b.db.Read(b.Context(), host, func(tx *store.Tx) error {
		found, err := receivable.Audit(tx)
		if err != nil || len(found) > 0 {
			b.Errorf("receivable: %v %v", found, err)
		}
		wrong, err := ledger.Audit(tx)
		if err != nil || len(wrong) > 0 {
			b.Errorf("ledger: %v %v", wrong, err)
		}
		return nil
	}); err != nil {
		b.Fatal(err)
	}
}

func TestAPaymentPaysTheOldestFirst(t *testing.T) {
	each(t, func(b *books) {
		b.bill("2", "a", 2000, day.AddDays(30), "")
		b.bill("1", "a", 1000, day, "")
		b.must(func(tx *store.Tx) error {
			return receivable.Charge(tx, receivable.Claim{ID: "fee/1", Sort: receivable.Fee, Number: "Reminder", Entity: "acme", Account: "a",
				Amount: money.Amount{Minor: 250, Currency: money.EUR}, On: day, Due: day.AddDays(40)})
		})
		b.pay("a", 1500)
		b.expect("a", map[string]int64{"2": 1750}) // 250 fee, 1000 the oldest, 250 of the next
		b.pay("a", 5000)
		b.expect("a", map[string]int64{})
		b.bill("3", "a", 3000, day.AddDays(60), "") // 3250 were paid too much
		b.expect("a", map[string]int64{})
		b.bill("4", "a", 3000, day.AddDays(90), "")
		b.expect("a", map[string]int64{"4": 2750})
	})
}

func TestAPaymentPaysWhatItNames(t *testing.T) {
	each(t, func(b *books) {
		b.bill("1", "a", 1000, day, "")
		b.bill("2", "a", 2000, day.AddDays(30), "")
		b.bill("3", "b", 700, day, "")
		b.pay("a", 600, receivable.Share{Claim: "2"})
		b.expect("a", map[string]int64{"1": 1000, "2": 1400})
		receive := func(p receivable.Payment, s receivable.Share) error {
			return b.write(func(tx *store.Tx) error { _, err := receivable.Receive(tx, p, s); return err })
		}
		p := receivable.Payment{Entity: "acme", Account: "a", Amount: money.Amount{Minor: 5000, Currency: money.EUR}, Way: receivable.Cash}
		b.refused(receive(p, receivable.Share{Claim: "3"}), "anothersClaim")
		b.refused(receive(p, receivable.Share{Claim: "9"}), "unknownClaim")
		b.refused(receive(p, receivable.Share{Claim: "1", Amount: 1001}), "notOpen")
		small := p
		small.Amount.Minor = 10
		b.refused(receive(small, receivable.Share{Claim: "1", Amount: 11}), "notOpen")
		usd := p
		usd.Amount.Currency = money.USD
		b.refused(receive(usd, receivable.Share{Claim: "1"}), "wrongCurrency")
		nothing := p
		nothing.Amount.Minor = 0
		b.refused(receive(nothing, receivable.Share{Claim: "1"}), "invalidAmount")
		b.expect("a", map[string]int64{"1": 1000, "2": 1400}) // nothing of a refused payment is left
	})
}

func TestMoneyIsTakenOnce(t *testing.T) {
	each(t, func(b *books) {
		b.bill("1", "a", 1000, day, "")
		p := receivable.Payment{Entity: "acme", Account: "a", Amount: money.Amount{Minor: 400, Currency: money.EUR}, Way: receivable.Transfer, External: "stmt-1/7"}
		var ids []string
		for range 3 {
			b.must(func(tx *store.Tx) error {
				id, err := receivable.Receive(tx, p)
				ids = append(ids, id)
				return err
			})
		}
		if ids[0] == "" || ids[1] != ids[0] || ids[2] != ids[0] {
			t.Errorf("one payment came in as %v", ids)
		}
		p.Amount.Minor++
		b.refused(b.write(func(tx *store.Tx) error { _, err := receivable.Receive(tx, p); return err }), "alreadyTaken")
		b.expect("a", map[string]int64{"1": 600})
	})
}

func TestAReturnedPaymentOpensTheBill(t *testing.T) {
	each(t, func(b *books) {
		b.bill("1", "a", 1000, day, "")
		id := b.pay("a", 1000)
		back := func() error {
			return b.write(func(tx *store.Tx) error {
				return receivable.Return(tx, id, "AM04 insufficient funds", money.Amount{Minor: 350, Currency: money.EUR})
			})
		}
		if err := back(); err != nil {
			t.Fatal(err)
		}
		b.expect("a", map[string]int64{"1": 1000, "return/" + id: 350})
		b.refused(back(), "alreadyReturned")
		b.pay("a", 1350)
		b.expect("a", map[string]int64{})
	})
}

func TestWhatIsPaidTooMuchIsGivenBackOnce(t *testing.T) {
	each(t, func(b *books) {
		b.bill("1", "a", 1000, day, "")
		id := b.pay("a", 1300)
		give := func(name string, amount int64) error {
			return b.write(func(tx *store.Tx) error { return receivable.GiveBack(tx, id, name, amount, "Over-payment") })
		}
		b.refused(give("r1", 301), "notOpen")
		if err := give("r1", 200); err != nil {
			t.Fatal(err)
		}
		if err := give("r1", 50); !store.IsUnique(err, "ledger_transaction") {
			t.Errorf("one refund twice: %v", err)
		}
		b.refused(give("r2", 101), "notOpen")
		b.sound()
	})
}

func TestACreditNoteGoesToItsBill(t *testing.T) {
	each(t, func(b *books) {
		b.bill("1", "a", 1000, day, "")
		b.bill("2", "a", 2000, day.AddDays(30), "")
		b.bill("cn", "a", -2500, day.AddDays(20), "2")
		b.expect("a", map[string]int64{"1": 500})
		b.pay("a", 500)
		b.bill("cn2", "a", -300, day.AddDays(20), "1")
		b.expect("a", map[string]int64{"cn2": -300})
		b.bill("3", "a", 1000, day.AddDays(60), "")
		b.expect("a", map[string]int64{"3": 700})
	})
}

func TestAWriteOffAndItsRecovery(t *testing.T) {
	each(t, func(b *books) {
		b.bill("1", "a", 1190, day, "")
		b.pay("a", 190)
		var id string
		off := func() error {
			return b.write(func(tx *store.Tx) error {
				done, err := receivable.WriteOff(tx, "1", "Insolvent", receivable.TaxPart{Code: "S19", Amount: 160})
				if err == nil {
					id = done
				}
				return err
			})
		}
		if err := off(); err != nil {
			t.Fatal(err)
		}
		b.expect("a", map[string]int64{})
		b.refused(off(), "notOpen")
		late := b.pay("a", 900)
		recover := func(amount int64) error {
			return b.write(func(tx *store.Tx) error { return receivable.Recover(tx, late, id, amount) })
		}
		b.refused(recover(1001), "notOpen")
		if err := recover(900); err != nil {
			t.Fatal(err)
		}
		b.expect("a", map[string]int64{})
	})
}

func TestAgeing(t *testing.T) {
	each(t, func(b *books) {
		for i, late := range []int{-5, 0, 1, 30, 31, 60, 61, 90, 91, 400} {
			b.bill(fmt.Sprint(i), "a", 1<<i, day.AddDays(-late), "")
		}
		var got []receivable.Aged
		b.must(func(tx *store.Tx) (err error) { got, err = receivable.Ageing(tx, day, 10); return err })
		want := receivable.Aged{Account: "a", Currency: "EUR", NotDue: 1 + 2, To30: 4 + 8, To60: 16 + 32, To90: 64 + 128, Over90: 256 + 512}
		if len(got) != 1 || got[0] != want {
			t.Errorf("got %+v\nwant %+v", got, want)
		}
	})
}

// TestMoneyAddsUpAfterAnyHistory posts, pays, returns, refunds, releases and writes off
// at random; whatever was refused, the room and the books agree to the cent.
func TestMoneyAddsUpAfterAnyHistory(t *testing.T) {
	each(t, func(b *books) {
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		r := rand.New(rand.NewPCG(seed, 2))
		var payments, bills []string
		done := map[string]int{}
		all := []string{"bill", "pay", "return", "refund", "release", "writeOff", "credit"}
		missing := func() bool { return slices.ContainsFunc(all, func(what string) bool { return done[what] == 0 }) }
		for n := 0; n < 150 || n < 3000 && missing(); n++ { // a history has some of everything
			account := fmt.Sprintf("a%d", r.IntN(3))
			var err error
			what := []string{"bill", "bill", "bill", "pay", "pay", "return", "refund", "release", "writeOff", "credit"}[r.IntN(10)]
			switch what {
			case "bill", "credit":
				gross, credits := 1+r.Int64N(5000), ""
				if what == "credit" && len(bills) > 0 {
					gross, credits = -gross, bills[r.IntN(len(bills))]
				}
				bills = append(bills, fmt.Sprint(n))
				b.bill(fmt.Sprint(n), account, gross, day.AddDays(r.IntN(60)), credits)
			case "pay":
				payments = append(payments, b.pay(account, 1+r.Int64N(7000)))
			case "return":
				if len(payments) > 0 {
					err = b.write(func(tx *store.Tx) error {
						return receivable.Return(tx, payments[r.IntN(len(payments))], "MS03", money.Amount{Minor: r.Int64N(3) * 100, Currency: money.EUR})
					})
				}
			case "refund":
				if len(payments) > 0 {
					err = b.write(func(tx *store.Tx) error {
						return receivable.GiveBack(tx, payments[r.IntN(len(payments))], fmt.Sprint(n), 1+r.Int64N(900), "x")
					})
				}
			case "release":
				err = b.write(func(tx *store.Tx) error { return receivable.Release(tx, 1+r.Int64N(60)) })
			case "writeOff":
				for id, open := range b.open(account) {
					if open > 0 {
						err = b.write(func(tx *store.Tx) error { _, err := receivable.WriteOff(tx, id, "x"); return err })
						done[what]++
						break
					}
				}
			}
			if err == nil {
				if what != "writeOff" {
					done[what]++
				}
			} else if fault.Of(err).Kind == fault.Internal {
				t.Fatalf("%s: %v", what, err)
			}
		}
		if missing() {
			t.Errorf("something never succeeded: %v", done)
		}
		b.sound()
	})
}
