package receivable

import (
	"slices"
	"strings"
	"time"

	"tandem/bss/billing"
	"tandem/kit/civil"
	"tandem/kit/fault"
	"tandem/kit/money"
	"tandem/kit/store"
	"tandem/kit/tmf"
)

// PaymentAPI is TMF676.
var PaymentAPI = tmf.API{ID: "TMF676", Name: "Payment Management", Version: "4.0.0", Base: "/payment/v4"}

// Ref points to another thing, always by id.
type Ref struct {
	ID           string `json:"id,omitzero" tmf:"required"`
	Href         string `json:"href,omitzero"`
	Name         string `json:"name,omitzero"`
	Description  string `json:"description,omitzero"`
	ReferredType string `json:"@referredType,omitzero"`
	tmf.Extension
}

// Method is how a payment is made: a stored method by id, or a sort of it by its @type.
type Method struct {
	ID           string `json:"id,omitzero"`
	Href         string `json:"href,omitzero"`
	Name         string `json:"name,omitzero"`
	Description  string `json:"description,omitzero"`
	ReferredType string `json:"@referredType,omitzero"`
	Type         string `json:"@type,omitzero"`
	// Of a BankAccountTransfer that gives money back: the IBAN, shown masked; none: the
	// account that it came from.
	AccountNumber string `json:"accountNumber,omitzero"`
	BIC           string `json:"BIC,omitzero"`
	Owner         string `json:"owner,omitzero"`
	tmf.Extension
}

// PaymentItem is what of a payment is meant for which bill (TMF676).
type PaymentItem struct {
	ID          string     `json:"id,omitzero"`
	Amount      *tmf.Money `json:"amount,omitzero"`
	TaxAmount   *tmf.Money `json:"taxAmount,omitzero"`
	TotalAmount *tmf.Money `json:"totalAmount,omitzero"`
	Item        *Ref       `json:"item,omitzero" tmf:"required"`
	tmf.Extension
}

// PaymentResource is money that came in, or that a card is charged (TMF676). It pays the
// bills that its items name, and what is left of it what else the account owes, by the
// order of Settle. By a stored card it is pending until the gateway has said how it ended:
// done, declined or cancelled; requiresAction while the customer confirms it.
type PaymentResource struct {
	tmf.Entity
	Name              string            `json:"name,omitzero"`
	Description       string            `json:"description,omitzero"`
	AuthorizationCode string            `json:"authorizationCode,omitzero"`
	CorrelatorID      string            `json:"correlatorId,omitzero"` // of the client: the payment is taken once; by card without items there must be one
	PaymentDate       time.Time         `json:"paymentDate,omitzero"`
	Status            string            `json:"status,omitzero"`
	StatusDate        time.Time         `json:"statusDate,omitzero"`
	StatusReason      string            `json:"statusReason,omitzero"` // what to tell the customer
	ReturnURL         string            `json:"returnUrl,omitzero"`    // the customer is at the screen, and comes back there
	RedirectURL       string            `json:"redirectUrl,omitzero"`  // where he confirms the payment (status requiresAction)
	Account           *Ref              `json:"account,omitzero" tmf:"required"`
	Amount            *tmf.Money        `json:"amount,omitzero"`
	TaxAmount         *tmf.Money        `json:"taxAmount,omitzero"`
	TotalAmount       *tmf.Money        `json:"totalAmount,omitzero" tmf:"required"`
	Channel           *Ref              `json:"channel,omitzero"`
	Payer             *tmf.RelatedParty `json:"payer,omitzero"`
	PaymentItem       []PaymentItem     `json:"paymentItem,omitzero"`
	PaymentMethod     *Method           `json:"paymentMethod,omitzero" tmf:"required"`
}

// RefundResource is money that is given back of a payment (TMF676).
type RefundResource struct {
	tmf.Entity
	Name              string            `json:"name,omitzero"`
	Description       string            `json:"description,omitzero"`
	AuthorizationCode string            `json:"authorizationCode,omitzero"`
	CorrelatorID      string            `json:"correlatorId,omitzero"`
	RefundDate        time.Time         `json:"refundDate,omitzero"`
	Status            string            `json:"status,omitzero"`
	StatusDate        time.Time         `json:"statusDate,omitzero"`
	StatusReason      string            `json:"statusReason,omitzero"`
	Account           *Ref              `json:"account,omitzero" tmf:"required"`
	Amount            *tmf.Money        `json:"amount,omitzero"`
	TaxAmount         *tmf.Money        `json:"taxAmount,omitzero"`
	TotalAmount       *tmf.Money        `json:"totalAmount,omitzero" tmf:"required"`
	Channel           *Ref              `json:"channel,omitzero"`
	Payment           *Ref              `json:"payment,omitzero" tmf:"required"`
	PaymentMethod     *Method           `json:"paymentMethod,omitzero" tmf:"required"`
	Requestor         *tmf.RelatedParty `json:"requestor,omitzero"`
}

// Payments and Refunds of the tenant.
var (
	Payments = tmf.Kind[PaymentResource, *PaymentResource]{API: &PaymentAPI, Name: "payment", Table: "receivable_payment_doc", Verbs: tmf.Post,
		Index: []string{"account.id", "status", "correlatorId", "paymentDate"}, Multi: []string{"paymentItem.item.id"}, StateAttr: "status"}
	Refunds = tmf.Kind[RefundResource, *RefundResource]{API: &PaymentAPI, Name: "refund", Table: "receivable_refund_doc", Verbs: tmf.Post,
		Index: []string{"account.id", "payment.id", "status", "correlatorId"}, StateAttr: "status"}
)

func init() { Payments.OnPost, Refunds.OnPost = postPayment, postRefund }

// ways says by which @type of payment method (TMF670) money comes in that a clerk or a cash
// desk books. Cards are charged by the gateway (cardpay.go), vouchers and wallets are redeemed in
// charging: their money is not booked by hand.
var ways = map[string]string{"cash": Cash, "check": Cash, "bankaccounttransfer": Transfer, "bankaccountdebit": DirectDebit}

func wayOf(m *Method) (string, error) {
	kind := m.Type
	if kind == "" {
		kind = m.ReferredType
	}
	if kind == "" || strings.EqualFold(kind, "PaymentMethod") {
		kind = m.Name
	}
	way, ok := ways[strings.ToLower(kind)]
	if !ok {
		return "", fault.BadInput("unknownMethod", "paymentMethod %q is not one that a payment can be booked by: Cash, Check, BankAccountTransfer or BankAccountDebit", kind)
	}
	return way, nil
}

// minorOf is the whole minor units of an amount in the currency of an account.
func minorOf(name string, m *tmf.Money, a *billing.BillingAccount) (money.Amount, error) {
	if a.Currency != "" && m.Currency.Code() != a.Currency {
		return money.Amount{}, fault.BadInput("wrongCurrency", "%s is in %s; the account %q is billed in %s", name, m.Currency, a.ID, a.Currency)
	}
	out, err := m.PostRat(1, 1, money.HalfUp)
	if err != nil {
		return out, fault.BadInput("invalidAmount", "%s: %v", name, err)
	}
	if exact, err := out.Rate(); err != nil || exact.Nano != m.Nano {
		return out, fault.BadInput("invalidAmount", "%s has more decimals than %s has", name, m.Currency)
	}
	return out, nil
}

// postPayment takes a payment that a clerk or a cash desk reports.
func postPayment(tx *store.Tx, p *PaymentResource) error {
	if err := plainTexts("payment", p); err != nil {
		return err
	}
	p.PaymentMethod.mask()
	a, err := accountOf(tx, p.Account)
	if err != nil {
		return err
	}
	m, stored, err := methodOf(tx, p.PaymentMethod)
	if err != nil {
		return err
	}
	if stored {
		return payByCard(tx, p, m, a)
	}
	p.RedirectURL, p.StatusReason = "", ""
	in := Payment{Account: a.ID, External: p.CorrelatorID, Received: today(tx)}
	if in.Way, err = wayOf(p.PaymentMethod); err != nil {
		return err
	}
	if in.Amount, err = minorOf("totalAmount", p.TotalAmount, a); err != nil {
		return err
	}
	if !p.PaymentDate.IsZero() {
		in.Received = civil.DateOf(p.PaymentDate, time.UTC)
	}
	shares, err := sharesOf(p, a)
	if err != nil {
		return err
	}
	if in.Entity, err = owedTo(tx, a, shares); err != nil {
		return err
	}
	known, err := taken(tx, in)
	if err != nil {
		return err
	}
	if known != "" {
		return fault.Clash("alreadyTaken", "The payment with correlatorId %q was taken before, as payment %q", p.CorrelatorID, known)
	}
	p.Status, p.StatusDate = "done", tx.Now()
	if p.PaymentDate.IsZero() {
		p.PaymentDate = tx.Now()
	}
	if err := Payments.Create(tx, p); err != nil {
		return err
	}
	in.ID = p.ID
	_, err = Receive(tx, in, shares...)
	return err
}

func accountOf(tx *store.Tx, ref *Ref) (*billing.BillingAccount, error) {
	a, err := billing.BillingAccounts.Get(tx, ref.ID)
	if fault.Is(err, fault.NotFound) {
		return nil, fault.BadInput("unknownAccount", "There is no billing account with id %q", ref.ID)
	}
	return a, err
}

// owedTo is the legal entity that a payment is for: whose bill it names, or who is owed the
// longest; of an account that owes nothing the one that bills it now.
func owedTo(tx *store.Tx, a *billing.BillingAccount, shares []Share) (string, error) {
	if len(shares) > 0 {
		c, err := lockClaim(tx, shares[0].Claim)
		if err == nil || !fault.Is(err, fault.NotFound) {
			return c.Entity, err
		}
	}
	open, err := openClaims(tx, a.ID)
	if err != nil {
		return "", err
	}
	for _, c := range open {
		if c.Open > 0 {
			return c.Entity, nil
		}
	}
	e, err := billing.EntityOf(tx, a)
	if err != nil {
		return "", err
	}
	return e.ID, nil
}

// maxItems is how many bills one payment names at the most.
const maxItems = 500

// sharesOf are the parts of a payment that name what they pay.
func sharesOf(p *PaymentResource, a *billing.BillingAccount) ([]Share, error) {
	if len(p.PaymentItem) > maxItems {
		return nil, fault.BadInput("tooManyItems", "A payment names at most %d bills", maxItems)
	}
	var out []Share
	for _, i := range p.PaymentItem {
		s := Share{Claim: i.Item.ID}
		amount := i.TotalAmount
		if amount == nil {
			amount = i.Amount
		}
		if amount != nil {
			m, err := minorOf("amount of paymentItem "+i.Item.ID, amount, a)
			if err != nil {
				return nil, err
			}
			s.Amount = m.Minor
		}
		if slices.ContainsFunc(out, func(o Share) bool { return o.Claim == s.Claim }) {
			return nil, fault.BadInput("twice", "The payment names %q twice", s.Claim)
		}
		out = append(out, s)
	}
	return out, nil
}

// postRefund gives back what a payment leaves over.
func postRefund(tx *store.Tx, r *RefundResource) error {
	if err := plainTexts("refund", r); err != nil {
		return err
	}
	a, err := accountOf(tx, r.Account)
	if err != nil {
		return err
	}
	amount, err := minorOf("totalAmount", r.TotalAmount, a)
	if err != nil {
		return err
	}
	p, err := lockPayment(tx, r.Payment.ID)
	if fault.Is(err, fault.NotFound) || err == nil && p.Account != a.ID {
		return fault.BadInput("unknownPayment", "There is no payment with id %q on account %q", r.Payment.ID, a.ID)
	}
	if err != nil {
		return err
	}
	if r.CorrelatorID != "" {
		before, err := Refunds.Select(tx, tmf.Where{"correlatorId": r.CorrelatorID}, tmf.Page{Limit: 1})
		if err != nil {
			return err
		}
		if len(before) > 0 {
			return fault.Clash("alreadyRefunded", "The refund with correlatorId %q was given before, as refund %q", r.CorrelatorID, before[0].ID)
		}
	}
	if r.StatusReason = ""; r.RefundDate.IsZero() {
		r.RefundDate = tx.Now()
	}
	if byTransfer(r.PaymentMethod) {
		return refundByTransfer(tx, r, p, amount, a)
	}
	r.PaymentMethod.mask()
	if p.Way == Card {
		return refundByCard(tx, r, p, amount)
	}
	r.Status, r.StatusDate = "done", tx.Now()
	if err := Refunds.Create(tx, r); err != nil {
		return err
	}
	why := r.Description
	if why == "" {
		why = "Refund"
	}
	return GiveBack(tx, p.ID, r.ID, amount.Minor, why)
}
