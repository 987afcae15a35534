package charging

import (
	"tandem/bss/charging/core"
	"tandem/kit/fault"
	"tandem/kit/store"
	"tandem/kit/tmf"
)

// refund makes an adjustment one that gives money back for a usage: what the client
// asks for, or all that is left. All that is given back for a usage is never more
// than it cost (P20); what waits for a second person counts. An event is not given
// back here: its client does that, by the name of the debit.
func refund(tx *store.Tx, p *BalanceAction, t target) (amount int64, err error) {
	u, err := Usages.Get(tx, p.Usage.ID)
	if fault.Is(err, fault.NotFound) || err == nil && u.row.account != t.account.Number {
		return 0, fault.BadInput("unknownUsage", "The account has no usage with id %q", p.Usage.ID)
	}
	switch {
	case err != nil:
		return 0, err
	case u.row.file == 0 && u.row.cause == "event":
		return 0, fault.BadInput("refundedByClient", "The usage %q is an event: who charged it refunds it, by the name of its debit", u.ID)
	case t.def.Unit != core.Money:
		return 0, fault.BadInput("wrongUnit", "Money is given back for a usage, and %q holds %s", t.bucket.ID, t.bucket.row.unit)
	}
	rest, err := refundable(tx, u)
	if err != nil {
		return 0, err
	}
	if p.Amount == nil {
		p.Amount = quantity(rest, t.bucket.row.unit, t.account.Currency)
	}
	if amount, err = t.amount(p.Amount); err != nil {
		return 0, err
	}
	if amount <= 0 || amount > rest {
		left := quantity(rest, t.bucket.row.unit, t.account.Currency)
		return 0, fault.Clash("aboveDebit", "Of what the usage %q cost, %s %s can still be given back", u.ID, left.Amount, left.Units)
	}
	p.Usage = &tmf.Ref{ID: u.ID, Href: UsageAPI.Base + "/usage/" + u.ID, ReferredType: "Usage"}
	tx.Insert("INSERT INTO charging_refund (tenant, usage_row, place, action, amount)", u.row.number, u.row.place, p.ID, amount)
	return amount, nil
}

// refundable is what a usage cost and was not given back. Until the transaction ends
// nobody else gives back for it.
func refundable(tx *store.Tx, u *Usage) (rest int64, err error) {
	var number, given int64
	if err := tx.Row("SELECT number FROM charging_usage WHERE tenant = $1 AND number = $2"+tx.Dialect().ForUpdate(), u.row.number).Scan(&number); err != nil {
		return 0, err
	}
	err = tx.Row("SELECT CAST(coalesce(sum(amount), 0) AS BIGINT) FROM charging_refund WHERE tenant = $1 AND usage_row = $2 AND place = $3",
		u.row.number, u.row.place).Scan(&given)
	return u.row.money - given, err
}

// saveAdjustment keeps the history of an adjustment. One that comes to nothing gives
// nothing back.
func saveAdjustment(tx *store.Tx, old, p *BalanceAction) error {
	if p != nil && p.Usage != nil && (p.Status == failed || p.Status == cancelled) {
		tx.Queue("DELETE FROM charging_refund WHERE tenant = $1 AND action = $2", p.ID)
	}
	return keepHistory(&Adjustments)(tx, old, p)
}
