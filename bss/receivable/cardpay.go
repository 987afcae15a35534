package receivable

import (
	"fmt"
	"strings"

	"tandem/bss/billing"
	"tandem/kit/fault"
	"tandem/kit/money"
	"tandem/kit/store"
)

// payByCard is a payment whose money a gateway is asked for: it is pending until that is
// known.
func payByCard(tx *store.Tx, p *PaymentResource, m method, a *billing.BillingAccount) error {
	switch {
	case m.sort != Card:
		return fault.BadInput("notByHand", "What a mandate lets us collect is collected by a file for the bank, not by a payment")
	case m.account != a.ID:
		return fault.BadInput("anothersMethod", "The payment method %q does not belong to the account %q", m.id, a.ID)
	case !m.active:
		return fault.Clash("methodNotActive", "The payment method %q is not active; choose another one", m.id)
	case len(p.ReturnURL) > 2000 || p.ReturnURL != "" && !strings.HasPrefix(p.ReturnURL, "https://"):
		return fault.BadInput("returnUrl", "returnUrl is the https address of the page the customer comes back to")
	case len(p.CorrelatorID) > 200:
		return fault.BadInput("tooLong", "correlatorId has more than 200 characters")
	}
	amount, err := minorOf("totalAmount", p.TotalAmount, a)
	if err != nil {
		return err
	}
	if amount.Sign() <= 0 {
		return fault.BadInput("invalidAmount", "A payment is more than nothing, not %s", amount)
	}
	if len(p.PaymentItem) == 0 && p.CorrelatorID == "" {
		return fault.BadInput("noCorrelator", "A payment by card that names no bills in paymentItem has a correlatorId, so that it is taken once however often it is sent")
	}
	if err := holdAccount(tx, a.ID); err != nil {
		return err
	}
	shares, err := sharesOf(p, a)
	if err != nil {
		return err
	}
	t := attempt{sort: cardPayment, method: m.id, account: a.ID, amount: amount, correlator: p.CorrelatorID, backTo: p.ReturnURL}
	if t.entity, err = owedTo(tx, a, shares); err != nil {
		return err
	}
	if err := t.payable(tx, shares); err != nil {
		return err
	}
	p.Status, p.StatusDate, p.PaymentDate, p.StatusReason, p.RedirectURL = "pending", tx.Now(), tx.Now(), "", ""
	if err := Payments.Create(tx, p); err != nil {
		return err
	}
	t.document = p.ID
	return t.mint(tx, shares)
}

// holdAccount has all who charge an account, by hand or by themselves, do so one after the
// other, and the files for the bank wait, which hold the claims that they take: what is
// under way on the account is read after this. The account goes before its claims.
func holdAccount(tx *store.Tx, account string) error {
	if _, err := billing.BillingAccounts.Lock(tx, account); err != nil {
		return err
	}
	_, err := openClaims(tx, account)
	return err
}

// atBank tells of a claim c that it was given to the bank after the day that is the
// parameter: what is older the bank has not answered for too long (bankAnswers).
func atBank(parameter int) string {
	return fmt.Sprintf(`EXISTS (SELECT 1 FROM receivable_collection s WHERE s.tenant = c.tenant AND s.claim = c.id AND s.state = 'sent' AND s.due > $%d)`, parameter)
}

// payable refuses a payment that was asked for before, or while another one of the account
// is under way, or of bills that the bank is about to pay: whoever presses the button twice
// pays once. The account is held.
func (a *attempt) payable(tx *store.Tx, shares []Share) error {
	var known string
	err := tx.Row("SELECT document FROM receivable_attempt WHERE tenant = $1 AND sort = $2 AND correlator = $3 AND correlator <> ''", a.sort, a.correlator).Scan(&known)
	if err == nil {
		return fault.Clash("alreadyTaken", "The %s with correlatorId %q was asked for before, as %s %q", a.sort, a.correlator, a.sort, known)
	}
	if err != store.ErrNotFound {
		return err
	}
	err = tx.Row("SELECT document FROM receivable_attempt WHERE tenant = $1 AND account = $2 AND sort = 'payment' AND ended_at IS NULL LIMIT 1", a.account).Scan(&known)
	if err == nil {
		return fault.Clash("underWay", "The account %q is being charged already, by the payment %q; wait how it ends", a.account, known)
	}
	if err != store.ErrNotFound {
		return err
	}
	sum := int64(0)
	for _, s := range shares {
		c, err := lockClaim(tx, s.Claim)
		if fault.Is(err, fault.NotFound) || err == nil && (c.Account != a.account || c.Entity != a.entity) {
			return fault.BadInput("unknownClaim", "There is no bill or fee with id %q on account %q", s.Claim, a.account)
		}
		if err != nil {
			return err
		}
		if c.Open <= 0 || s.Amount > c.Open {
			return fault.Clash("notOpen", "Of %s %q %d minor units are open", c.Sort, c.Number, max(c.Open, 0))
		}
		if sum += s.Amount; s.Amount < 0 || sum > a.amount.Minor {
			return fault.BadInput("tooMuch", "The items of the payment are more than its totalAmount")
		}
		err = tx.Row("SELECT c.number FROM receivable_claim c WHERE c.tenant = $1 AND c.id = $2 AND "+atBank(3), s.Claim, today(tx).AddDays(-bankAnswers).String()).Scan(&known)
		if err == nil {
			return fault.Clash("atBank", "%s %q is being collected by direct debit; wait what the bank says", c.Sort, c.Number)
		}
		if err != store.ErrNotFound {
			return err
		}
	}
	return nil
}

// refundByCard gives money back the way it came. It is booked now, so that nothing else
// uses it, and put back if the gateway refuses.
func refundByCard(tx *store.Tx, r *RefundResource, p Payment, amount money.Amount) error {
	of, err := scanAttempt(tx.Row("SELECT "+attemptColumns+" FROM receivable_attempt WHERE tenant = $1 AND sort = 'payment' AND document = $2", p.ID))
	if err == store.ErrNotFound {
		return fault.Clash("notByCard", "The payment %q did not come through the gateway as one; give it back by bank transfer", p.ID)
	}
	if err != nil {
		return err
	}
	t := attempt{sort: cardRefund, payment: p.ID, method: of.method, account: p.Account, entity: p.Entity, amount: amount, correlator: r.CorrelatorID, gateway: of.gateway}
	r.Status, r.StatusDate = "pending", tx.Now()
	if err := Refunds.Create(tx, r); err != nil {
		return err
	}
	t.document = r.ID
	if err := GiveBack(tx, p.ID, r.ID, amount.Minor, "Refund to the card"); err != nil {
		return err
	}
	return t.mint(tx, nil)
}
