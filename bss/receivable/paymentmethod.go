package receivable

import (
	"strings"
	"time"

	"tandem/edge/card"
	"tandem/edge/sepa"
	"tandem/kit/fault"
	"tandem/kit/store"
	"tandem/kit/tmf"
)

// MethodAPI is TMF670.
var MethodAPI = tmf.API{ID: "TMF670", Name: "Payment Method", Version: "4.0.0", Base: "/tmf-api/paymentMethod/v4"}

// PaymentMethod is a way of paying that a customer has left with us (TMF670): a card by the
// token that the gateway's page gave for it, or a mandate for an account at a bank. Its
// secret is given once and shown masked: token and account number are kept apart. A card
// that isPreferred is charged by itself for what falls due on its account.
//
// The attributes are those of all the classes of the API that are taken here:
// tokenizedCard, directDebit, bankAccountDebit and, for the record only, cash, check and
// bankAccountTransfer.
type PaymentMethod struct {
	tmf.Entity
	Name              string            `json:"name,omitzero" tmf:"required"`
	Description       string            `json:"description,omitzero"`
	AuthorizationCode string            `json:"authorizationCode,omitzero"`
	IsPreferred       *bool             `json:"isPreferred,omitzero"`
	Status            string            `json:"status,omitzero"`
	StatusDate        time.Time         `json:"statusDate,omitzero"`
	StatusReason      string            `json:"statusReason,omitzero"`
	ValidFor          *tmf.TimePeriod   `json:"validFor,omitzero"`
	Account           []Ref             `json:"account,omitzero"`
	RelatedParty      *tmf.RelatedParty `json:"relatedParty,omitzero"`
	RelatedPlace      *tmf.Place        `json:"relatedPlace,omitzero"`

	Brand          string `json:"brand,omitzero"`
	CardType       string `json:"cardType,omitzero"`
	LastFourDigits string `json:"lastFourDigits,omitzero"`
	TokenType      string `json:"tokenType,omitzero"`
	Token          string `json:"token,omitzero"` // given whole, shown masked
	Issuer         string `json:"issuer,omitzero"`
	ExpirationDate string `json:"expirationDate,omitzero"`

	MandateID     string `json:"mandateId,omitzero"`
	MandateType   string `json:"mandateType,omitzero"` // CORE or B2B
	MandateStatus string `json:"mandateStatus,omitzero"`
	SignatureDate string `json:"signatureDate,omitzero"` // ISO date
	AccountNumber string `json:"accountNumber,omitzero"` // IBAN: given whole, shown masked
	BIC           string `json:"BIC,omitzero"`
	Owner         string `json:"owner,omitzero"`
	Bank          string `json:"bank,omitzero"`
}

// States of a payment method.
const (
	methodActive    = "active"
	methodSuspended = "suspended" // by what the card's bank or the bank said
	methodCancelled = "cancelled" // by the customer, or by us
)

// PaymentMethods of the tenant.
var PaymentMethods = tmf.Kind[PaymentMethod, *PaymentMethod]{API: &MethodAPI, Name: "paymentMethod", Table: "receivable_method_doc", Verbs: tmf.All,
	Index: []string{"status", "relatedParty.id"}, Multi: []string{"account.id"}, StateAttr: "status",
	Events: tmf.EventNames{State: "StatusChangeEvent"},
	Frozen: []string{"@type", "account", "token", "lastFourDigits", "mandateId", "mandateType", "mandateStatus", "signatureDate", "accountNumber", "statusDate"},
	Moves:  tmf.Moves{"": {methodActive}, methodActive: {methodSuspended, methodCancelled}, methodSuspended: {methodActive, methodCancelled}, methodCancelled: {}}}

func init() {
	PaymentMethods.Default, PaymentMethods.Check, PaymentMethods.Saved = defaultMethod, checkMethod, keepMethod
	PaymentMethods.OnPost = postMethod
}

// methodClasses are the classes of method that are kept, as the API spells them, and the
// sort of money that each is: none are for the record only.
var methodClasses = []struct{ class, sort string }{{"tokenizedCard", Card}, {"directDebit", DirectDebit}, {"bankAccountDebit", DirectDebit},
	{"cash", ""}, {"check", ""}, {"bankAccountTransfer", ""}}

// known tells whether the method is of a class that is kept, and spells it as the API
// does. An operator's own class, which says that PaymentMethod is its base, is a record.
func (m *PaymentMethod) known() bool {
	for _, c := range methodClasses {
		if strings.EqualFold(c.class, m.Type) {
			m.Type = c.class
			return true
		}
	}
	return m.BaseType == "PaymentMethod" && !strings.EqualFold(m.Type, "bankCard")
}

func (m *PaymentMethod) sort() string {
	for _, c := range methodClasses {
		if c.class == m.Type {
			return c.sort
		}
	}
	return ""
}

func (m *PaymentMethod) account() string {
	if len(m.Account) == 0 {
		return ""
	}
	return m.Account[0].ID
}

func defaultMethod(tx *store.Tx, m *PaymentMethod) error {
	m.Status, m.StatusDate = methodActive, tx.Now()
	return nil
}

func checkMethod(tx *store.Tx, old, m *PaymentMethod) error {
	if !m.known() {
		return fault.BadInput("unknownMethod", "@type %q is not a way of paying that is kept here: tokenizedCard, directDebit or bankAccountDebit. Card numbers are not taken", m.Type)
	}
	m.ownClass()
	if err := plainTexts("payment method", m); err != nil && (old == nil || plainTexts("payment method", old) == nil) {
		return err // what was kept before this was asked keeps nobody from suspending it
	}
	if len(m.LastFourDigits) > 4 {
		return fault.BadInput("lastFourDigits", "lastFourDigits are the last four digits of the card, and no more of it")
	}
	if len(m.Account) > 1 {
		return fault.BadInput("oneAccount", "A payment method belongs to one billing account")
	}
	if old == nil || old.Status == m.Status {
		return nil
	}
	m.StatusDate = tx.Now()
	if m.sort() == DirectDebit {
		return checkDebitMove(tx, old, m)
	}
	return nil
}

// ownClass leaves a method the secrets of its class only: the others are kept nowhere else.
func (m *PaymentMethod) ownClass() {
	if m.sort() != Card {
		m.Token, m.LastFourDigits = "", ""
	}
	if m.sort() != DirectDebit {
		m.AccountNumber, m.MandateID, m.MandateType, m.MandateStatus = "", "", "", ""
	}
}

// checkDebitMove has a direct debit be as active as its mandate: who stops the one stops
// the other, and it is the mandate that is given anew.
func checkDebitMove(tx *store.Tx, old, m *PaymentMethod) error {
	if m.Status != methodActive {
		if old.Status == methodActive && m.MandateStatus == MandateActive {
			m.MandateStatus = MandateStopped
		}
		return nil
	}
	var active int64
	err := tx.Row("SELECT active FROM receivable_debtor WHERE tenant = $1 AND mandate = $2", m.MandateID).Scan(&active)
	if err != nil && err != store.ErrNotFound || active == 1 {
		return err
	}
	return fault.Clash("mandateNotActive", "Nothing can be collected under the mandate %q: it is %s. Have the mandate be active again, or take a new one", m.MandateID, m.MandateStatus)
}

// followMandate has the method of a mandate be what the mandate has become.
func followMandate(tx *store.Tx, id string, d *Mandate) error {
	old, err := PaymentMethods.Lock(tx, id)
	if fault.Is(err, fault.NotFound) || err == nil && old.Status == methodCancelled {
		return nil
	}
	if err != nil {
		return err
	}
	m, err := PaymentMethods.Copy(old)
	if err != nil {
		return err
	}
	m.MandateStatus = d.State
	switch {
	case d.State == MandateActive:
		m.Status, m.StatusReason = methodActive, ""
	case old.Status == methodActive:
		m.Status, m.StatusReason = methodSuspended, d.Reason
	}
	return PaymentMethods.Save(tx, old, m)
}

// postMethod keeps what is secret of a method apart from it.
func postMethod(tx *store.Tx, m *PaymentMethod) error {
	m.known()
	switch m.sort() {
	case Card:
		return postCard(tx, m)
	case DirectDebit:
		return postDebit(tx, m)
	}
	return PaymentMethods.Create(tx, m)
}

func postCard(tx *store.Tx, m *PaymentMethod) error {
	if m.Token == "" || len(m.Token) > 255 || strings.ContainsFunc(m.Token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return fault.BadInput("tokenForm", "A card is given by the token of the gateway's page: up to 255 characters without blanks")
	}
	if card.HasNumber(m.Token) {
		return fault.BadInput("cardNumber", "The token is a card number. Card numbers are typed into the page of the gateway only, which gives a token for them")
	}
	if m.account() == "" {
		return fault.BadInput("noAccount", "A card names the billing account that it pays for")
	}
	a, err := accountOf(tx, &m.Account[0])
	if err != nil {
		return err
	}
	token := card.Token(m.Token)
	m.Token = token.String()
	if err := PaymentMethods.Create(tx, m); err != nil {
		return err
	}
	automatic := m.IsPreferred != nil && *m.IsPreferred
	if automatic {
		if err := onlyAutomatic(tx, a.ID, m.ID); err != nil {
			return err
		}
		if err := keepCollecting(tx); err != nil {
			return err
		}
	}
	tx.Insert("INSERT INTO receivable_method (tenant, id, account, sort, token, automatic, active)", m.ID, a.ID, Card, string(token), flag(automatic), 1)
	return nil
}

// onlyAutomatic refuses a second card that is charged by itself: which one would it be?
func onlyAutomatic(tx *store.Tx, account, method string) error {
	var other string
	err := tx.Row("SELECT id FROM receivable_method WHERE tenant = $1 AND account = $2 AND automatic = 1 AND active = 1 AND id <> $3", account, method).Scan(&other)
	if err == store.ErrNotFound {
		return nil
	}
	if err == nil {
		err = fault.Clash("twoPreferred", "What falls due on the account %q is charged to the payment method %q already; have that one not be preferred first", account, other)
	}
	return err
}

// postDebit makes the mandate of a method.
func postDebit(tx *store.Tx, m *PaymentMethod) error {
	if m.account() == "" {
		return fault.BadInput("noAccount", "A direct debit names the billing account that it pays for")
	}
	if m.SignatureDate == "" {
		m.SignatureDate = today(tx).String()
	}
	if t, err := time.Parse(time.RFC3339, m.SignatureDate); err == nil {
		m.SignatureDate = t.Format(time.DateOnly)
	}
	d := &Mandate{Account: &m.Account[0], Scheme: strings.ToUpper(m.MandateType), IBAN: m.AccountNumber, BIC: m.BIC, Debtor: m.Owner, Signed: m.SignatureDate}
	if d.Scheme != sepa.B2B.String() {
		d.Scheme = sepa.Core.String()
	}
	if d.ID = m.MandateID; d.ID == "" {
		for d.ID = m.ID; d.ID == "" || card.HasNumber(d.ID); { // it looks like a card number
			d.ID = tmf.NewID()
		}
	}
	if d.Debtor == "" {
		return fault.BadInput("noOwner", "Say in owner whose account at the bank it is")
	}
	if err := postMandate(tx, d); err != nil {
		return err
	}
	m.AccountNumber, m.MandateID, m.MandateType, m.MandateStatus = d.IBAN, d.ID, d.Scheme, d.State
	if err := PaymentMethods.Create(tx, m); err != nil {
		return err
	}
	tx.Insert("INSERT INTO receivable_method (tenant, id, account, sort, token, automatic, active)", m.ID, d.Account.ID, DirectDebit, d.ID, 0, 1)
	return nil
}

// keepMethod keeps what payments read in step with the method.
func keepMethod(tx *store.Tx, old, m *PaymentMethod) error {
	if old == nil || old.sort() == "" {
		return nil
	}
	if m == nil {
		if err := endMethod(tx, old, "The payment method was deleted"); err != nil {
			return err
		}
		return nil
	}
	if old.sort() == DirectDebit {
		if m.Status == old.Status {
			return nil
		}
		if m.Status == methodActive {
			tx.QueueOne("UPDATE receivable_method SET active = 1 WHERE tenant = $1 AND id = $2", m.ID)
			return nil
		}
		return endMethod(tx, m, m.StatusReason)
	}
	active, automatic := m.Status == methodActive, m.IsPreferred != nil && *m.IsPreferred
	if active && automatic {
		if err := onlyAutomatic(tx, m.account(), m.ID); err != nil {
			return err
		}
		if err := keepCollecting(tx); err != nil {
			return err
		}
	}
	tx.QueueOne("UPDATE receivable_method SET active = $3, automatic = $4 WHERE tenant = $1 AND id = $2", m.ID, flag(active), flag(automatic))
	return nil
}

// endMethod has nothing more be taken by it. A movement that is under way is brought to
// its end.
func endMethod(tx *store.Tx, m *PaymentMethod, reason string) error {
	tx.QueueOne("UPDATE receivable_method SET active = 0, automatic = 0 WHERE tenant = $1 AND id = $2", m.ID)
	if m.sort() != DirectDebit {
		return nil
	}
	if reason == "" {
		reason = "The payment method is " + m.Status
	}
	return endMandate(tx, m.MandateID, MandateStopped, reason)
}

// method is what payments read of a payment method.
type method struct {
	id, account, sort string
	active            bool
}

// methodOf is the stored method of a payment; false if it names none.
func methodOf(tx *store.Tx, ref *Method) (m method, found bool, err error) {
	if ref == nil || ref.ID == "" {
		return m, false, nil
	}
	var active int64
	err = tx.Row("SELECT id, account, sort, active FROM receivable_method WHERE tenant = $1 AND id = $2", ref.ID).Scan(&m.id, &m.account, &m.sort, &active)
	m.active = active == 1
	if err == store.ErrNotFound {
		return m, false, nil
	}
	return m, err == nil, err
}

// tokenOf is the token of a card, for the gateway alone.
func tokenOf(tx *store.Tx, method string) (card.Token, error) {
	var token string
	err := tx.Row("SELECT token FROM receivable_method WHERE tenant = $1 AND id = $2 AND sort = 'card'", method).Scan(&token)
	if err == store.ErrNotFound {
		err = fault.Missing("paymentMethod", method)
	}
	return card.Token(token), err
}

// suspendMethod has a card not be charged any more before a person says so.
func suspendMethod(tx *store.Tx, id, reason string) error {
	old, err := PaymentMethods.Lock(tx, id)
	if fault.Is(err, fault.NotFound) || err == nil && old.Status != methodActive {
		return nil
	}
	if err != nil {
		return err
	}
	_, err = PaymentMethods.Edit(tx, id, func(m *PaymentMethod) error {
		m.Status, m.StatusReason = methodSuspended, reason
		return nil
	})
	return err
}
