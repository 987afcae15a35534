package receivable

import (
	"cmp"
	"slices"
	"strconv"

	"tandem/bss/ledger"
	"tandem/kit/civil"
	"tandem/kit/fault"
	"tandem/kit/money"
	"tandem/kit/store"
)

// Allocation says that so much of a payment or credit note pays a claim.
type Allocation struct {
	Number int64
	Source string // payment, or credit note
	ByNote bool   // Source is a credit note
	Claim  string
	Amount int64
	On     civil.Date
}

// rank is the order in which sorts of claim are paid: costs, interest, then the debt
// itself (§ 367 BGB).
var rank = map[string]int{Fee: 0, Interest: 1, Bill: 2}

// Settle uses what an account has paid and what it is credited for what it owes: credit
// notes first, each for the bill it credits before any other, then payments, oldest first.
//
// A payment that came with a purpose has paid that already ([Receive]): what the debtor
// says goes first (§ 366 I BGB). The rest pays in turns, see [turns]. What is disputed is
// paid by its credit note and by who names it, never by itself.
func Settle(tx *store.Tx, account string) error {
	claims, err := openClaims(tx, account)
	if err != nil {
		return err
	}
	var owed, notes []*Claim
	for i := range claims {
		if claims[i].Open > 0 {
			owed = append(owed, &claims[i])
		} else {
			notes = append(notes, &claims[i])
		}
	}
	for _, n := range notes {
		if own := slices.IndexFunc(owed, func(c *Claim) bool { return c.ID == n.Concerns }); own >= 0 {
			n.credit(tx, owed[own], owed[own].Open)
		}
	}
	payments, err := openPayments(tx, account)
	if err != nil {
		return err
	}
	if len(owed) > 0 && len(notes)+len(payments) > 0 {
		if err := settleInTurns(tx, account, owed, notes, payments); err != nil {
			return err
		}
	}
	return paid(tx, account)
}

func settleInTurns(tx *store.Tx, account string, owed, notes []*Claim, payments []Payment) error {
	all, err := turns(tx, account, owed)
	if err != nil {
		return err
	}
	for _, n := range notes {
		for i := range all {
			all[i].most -= n.credit(tx, all[i].claim, all[i].most)
		}
	}
	for i := range payments {
		p := &payments[i]
		for j := range all {
			before := p.Open
			if err := pay(tx, p, all[j].claim, min(before, all[j].most)); err != nil {
				return err
			}
			all[j].most -= before - p.Open
		}
	}
	return nil
}

// turn is a claim whose turn it is to be paid, up to so much.
type turn struct {
	claim *Claim
	most  int64
}

// turns says in which order an account's claims are paid by money that came without a
// purpose. By their rank, then the longest due; but what was arranged is what the customer
// means when he pays:
//
//  1. the instalments that are due, and the next one: a plan is an agreement on what is paid
//  2. what is in no arrangement
//  3. the instalments after the next one, which are deferred: what is due goes before what
//     is not (§ 366 II BGB)
func turns(tx *store.Tx, account string, owed []*Claim) ([]turn, error) {
	slices.SortStableFunc(owed, func(a, b *Claim) int {
		return cmp.Or(cmp.Compare(rank[a.Sort], rank[b.Sort]), a.Due.Compare(b.Due), cmp.Compare(a.ID, b.ID))
	})
	disputed, err := disputedIn(tx, account)
	if err != nil {
		return nil, err
	}
	now, in, err := arrangedNow(tx, account)
	if err != nil {
		return nil, err
	}
	var first, then, last []turn
	for _, c := range owed {
		free := c.Open - disputed[c.ID]
		if !in[c.ID] {
			then = append(then, turn{c, free})
			continue
		}
		part := max(0, min(now, free))
		now -= part
		first, last = append(first, turn{c, part}), append(last, turn{c, free - part})
	}
	return slices.Concat(first, then, last), nil
}

// disputedIn is what of the open claims of an account is disputed, by claim.
func disputedIn(tx *store.Tx, account string) (map[string]int64, error) {
	rows, err := tx.Query(`SELECT c.id, `+disputedOf+` FROM receivable_claim c WHERE c.tenant = $1 AND c.account = $2 AND c.open > 0
		AND EXISTS (SELECT 1 FROM receivable_dispute d WHERE d.tenant = c.tenant AND d.claim = c.id AND d.settled_at IS NULL)`, account)
	out := map[string]int64{}
	_, err = store.Collect(rows, err, func(r store.Rows) (none struct{}, err error) {
		var id string
		var amount int64
		err = r.Scan(&id, &amount)
		out[id] = amount
		return none, err
	})
	return out, err
}

// credit uses a credit note for a claim, up to so much, and says how much it was. The books
// have both as receivable: they do not move.
func (n *Claim) credit(tx *store.Tx, c *Claim, most int64) int64 {
	amount := min(-n.Open, c.Open, most)
	if amount <= 0 || c.Amount.Currency != n.Amount.Currency || c.Entity != n.Entity {
		return 0
	}
	n.add(tx, amount)
	c.add(tx, -amount)
	c.leaveAgency(tx, "Credited by "+n.Number)
	allocated(tx, n.ID, true, c.ID, amount, 0)
	return amount
}

// Allocate pays a claim of the same account with a payment.
func Allocate(tx *store.Tx, payment string, s Share) error {
	p, err := lockPayment(tx, payment)
	if err != nil {
		return err
	}
	c, err := lockClaim(tx, s.Claim)
	if fault.Is(err, fault.NotFound) {
		return fault.BadInput("unknownClaim", "There is no bill or fee with id %q", s.Claim)
	}
	if err != nil {
		return err
	}
	amount := s.Amount
	if amount == 0 {
		amount = min(max(c.Open, 0), p.Open)
	}
	switch {
	case c.Account != p.Account || c.Entity != p.Entity:
		return fault.BadInput("anothersClaim", "%s %q is not one of account %q", c.Sort, c.Number, p.Account)
	case c.Amount.Currency != p.Amount.Currency:
		return fault.BadInput("wrongCurrency", "%s %q is in %s; the payment is in %s", c.Sort, c.Number, c.Amount.Currency, p.Amount.Currency)
	case amount < 0 || amount > c.Open && amount > 0:
		return fault.Clash("notOpen", "Of %s %q %s are open", c.Sort, c.Number, money.Amount{Minor: max(c.Open, 0), Currency: c.Amount.Currency})
	case amount > p.Open:
		return fault.Clash("notOpen", "Of the payment %s are not used yet", money.Amount{Minor: p.Open, Currency: p.Amount.Currency})
	}
	return pay(tx, &p, &c, amount)
}

// pay writes an allocation and books it: the money is not the customer's any more, and
// the claim is that much smaller.
func pay(tx *store.Tx, p *Payment, c *Claim, amount int64) error {
	if amount <= 0 || p.Amount.Currency != c.Amount.Currency || p.Entity != c.Entity {
		return nil
	}
	p.use(tx, amount)
	c.add(tx, -amount)
	c.leaveAgency(tx, "Paid to us")
	name, err := allocate(tx, p.ID, c.ID, amount)
	if err != nil {
		return err
	}
	return book(tx, p, c, "allocation/"+name, amount)
}

func book(tx *store.Tx, p *Payment, c *Claim, name string, amount int64) error {
	return ledger.Post(tx, ledger.Transaction{Name: name, Entity: p.Entity, Currency: p.Amount.Currency, Date: today(tx), What: "Pays " + c.Number,
		Entries: []ledger.Entry{{Account: ledger.Unapplied, Party: p.Account, Amount: amount}, {Account: ledger.Receivable, Party: c.Account, Amount: -amount}}})
}

const insertAllocation = `INSERT INTO receivable_allocation (tenant, source, source_sort, claim, amount, undoes, on_date, actor, at)
	VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`

// allocate writes an allocation of a payment and says its number.
func allocate(tx *store.Tx, payment, claim string, amount int64) (string, error) {
	var n int64
	err := tx.Row(insertAllocation+" RETURNING number", payment, "payment", claim, amount, 0, today(tx).String(), tx.Actor(), store.Micros(tx.Now())).Scan(&n)
	return strconv.FormatInt(n, 10), err
}

// allocated writes an allocation whose number nobody needs.
func allocated(tx *store.Tx, source string, note bool, claim string, amount, undoes int64) {
	sort := "payment"
	if note {
		sort = CreditNote
	}
	tx.Queue(insertAllocation, source, sort, claim, amount, undoes, today(tx).String(), tx.Actor(), store.Micros(tx.Now()))
}

// Release undoes an allocation, once: the claim is open again, and the money pays
// nothing until it is allocated anew.
func Release(tx *store.Tx, number int64) error {
	a, err := scanAllocation(tx.Row("SELECT "+allocationColumns+" FROM receivable_allocation WHERE tenant = $1 AND number = $2", number))
	if err == store.ErrNotFound {
		return fault.Missing("allocation", strconv.FormatInt(number, 10))
	}
	if err != nil {
		return err
	}
	if a.ByNote || a.Amount < 0 {
		return fault.BadInput("notReleased", "Only what a payment pays can be undone")
	}
	p, err := lockPayment(tx, a.Source)
	if err != nil {
		return err
	}
	var undone int64
	if err := tx.Row("SELECT count(*) FROM receivable_allocation WHERE tenant = $1 AND undoes = $2", number).Scan(&undone); err != nil {
		return err
	}
	if undone > 0 {
		return fault.Clash("alreadyReleased", "The payment %q pays %q no longer: that was undone before", a.Source, a.Claim)
	}
	c, err := lockClaim(tx, a.Claim)
	if err != nil {
		return err
	}
	p.use(tx, -a.Amount)
	c.add(tx, a.Amount)
	allocated(tx, a.Source, false, a.Claim, -a.Amount, a.Number)
	return ledger.Reverse(tx, "allocation/"+strconv.FormatInt(number, 10), today(tx), "No longer pays "+c.Number)
}

const allocationColumns = "number, source, source_sort = 'creditNote', claim, amount, on_date"

func scanAllocation(r interface{ Scan(...any) error }) (a Allocation, err error) {
	return a, r.Scan(&a.Number, &a.Source, &a.ByNote, &a.Claim, &a.Amount, &a.On)
}

// allocationsOf are those of a payment that hold.
func allocationsOf(tx *store.Tx, payment string) ([]Allocation, error) {
	rows, err := tx.Query("SELECT "+allocationColumns+` FROM receivable_allocation a WHERE tenant = $1 AND source = $2 AND undoes = 0
		AND NOT EXISTS (SELECT 1 FROM receivable_allocation u WHERE u.tenant = a.tenant AND u.undoes = a.number) ORDER BY number`, payment)
	return store.Collect(rows, err, func(r store.Rows) (Allocation, error) { return scanAllocation(r) })
}
