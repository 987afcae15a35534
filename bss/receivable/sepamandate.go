package receivable

import (
	"encoding/json"
	"strings"
	"time"

	"tandem/bss/billing"
	"tandem/edge/sepa"
	"tandem/kit/civil"
	"tandem/kit/fault"
	"tandem/kit/store"
	"tandem/kit/tmf"
)

// States of a mandate.
const (
	MandateActive  = "active"
	MandateStopped = "stopped" // by the debtor, by us or by what the bank said
	MandateExpired = "expired" // used up, or not used for 36 months
)

// Mandate lets us collect what an account owes from an account at a bank (SEPA Direct
// Debit). Its id is the unique mandate reference. The IBAN is given whole and shown
// masked: what is given is kept apart from the resource.
type Mandate struct {
	tmf.Entity
	Account       *Ref                   `json:"account,omitzero" tmf:"required"`
	Scheme        string                 `json:"scheme,omitzero" tmf:"enum=CORE|B2B"`
	IBAN          string                 `json:"iban,omitzero" tmf:"required"`
	BIC           string                 `json:"bic,omitzero"`
	Debtor        string                 `json:"debtorName,omitzero" tmf:"required"` // whose account it is
	DebtorAddress *billing.PostalAddress `json:"debtorAddress,omitzero"`             // for accounts outside of the European Economic Area
	Signed        string                 `json:"signedOn,omitzero" tmf:"required"`   // ISO date
	OneOff        *bool                  `json:"oneOff,omitzero"`                    // for one collection only
	State         string                 `json:"state,omitzero" tmf:"enum=active|stopped|expired"`
	Reason        string                 `json:"reason,omitzero"` // why it is not active
}

// Mandates of the tenant.
var Mandates = tmf.Kind[Mandate, *Mandate]{API: &API, Name: "mandate", Table: "receivable_mandate", Verbs: tmf.Post | tmf.Patch,
	Index: []string{"account.id", "state"}, StateAttr: "state", Frozen: []string{"account", "scheme", "oneOff", "signedOn"},
	Moves: tmf.Moves{"": {MandateActive}, MandateActive: {MandateStopped, MandateExpired}, MandateStopped: {MandateActive}}}

func init() {
	Mandates.Default, Mandates.Check, Mandates.Saved = defaultMandate, checkMandate, keepMandate
	Mandates.OnPost, Mandates.OnPatch = postMandate, patchMandate
}

func defaultMandate(_ *store.Tx, m *Mandate) error {
	m.State = MandateActive
	if m.Scheme == "" {
		m.Scheme = sepa.Core.String()
	}
	return nil
}

// longestMandate is what the schemes allow a reference to have.
const longestMandate = 35

func checkMandate(tx *store.Tx, old, m *Mandate) error {
	if len(m.ID) > longestMandate || strings.Contains(m.ID, "_") {
		return fault.BadInput("badReference", "The id of a mandate is its reference at the bank: at most %d letters, digits and . : -", longestMandate)
	}
	signed, err := civil.ParseDate(m.Signed)
	if err != nil || signed.After(today(tx).AddDays(1)) {
		return fault.BadInput("invalidDate", "signedOn is the date on which the mandate was signed, such as 2026-01-31, not %.20q", m.Signed)
	}
	if m.BIC != "" {
		if _, err := sepa.ParseBIC(m.BIC); err != nil {
			return err
		}
	}
	if len(m.Debtor) > 200 || len(m.Reason) > 500 {
		return fault.BadInput("tooLong", "debtorName has at most 200 characters, reason 500")
	}
	if m.State != MandateActive && m.Reason == "" {
		return fault.BadInput("noReason", "Say in reason why the mandate is %s", m.State)
	}
	if m.State == MandateActive && (old == nil || old.State != MandateActive) {
		return onlyMandate(tx, m)
	}
	return nil
}

// onlyMandate refuses a second active mandate of an account: which one holds?
func onlyMandate(tx *store.Tx, m *Mandate) error {
	var other string
	err := tx.Row("SELECT mandate FROM receivable_debtor WHERE tenant = $1 AND account = $2 AND active = 1 AND mandate <> $3", m.Account.ID, m.ID).Scan(&other)
	if err == store.ErrNotFound {
		return nil
	}
	if err == nil {
		err = fault.Clash("twoMandates", "The account %q is collected under the mandate %q; stop that one first", m.Account.ID, other)
	}
	return err
}

// keepMandate keeps what collections read in step with the state, and the payment method
// (TMF670) that the customer sees.
func keepMandate(tx *store.Tx, old, m *Mandate) error {
	if old == nil || m == nil || old.State == m.State {
		return nil
	}
	tx.QueueOne("UPDATE receivable_debtor SET active = $3 WHERE tenant = $1 AND mandate = $2", m.ID, flag(m.State == MandateActive))
	var method string
	err := tx.Row("SELECT id FROM receivable_method WHERE tenant = $1 AND sort = 'directDebit' AND token = $2", m.ID).Scan(&method)
	if err == store.ErrNotFound {
		return nil
	}
	if err != nil {
		return err
	}
	return followMandate(tx, method, m)
}

func flag(yes bool) int64 {
	if yes {
		return 1
	}
	return 0
}

// collectable reads an account that the schemes reach.
func collectable(text string) (sepa.IBAN, error) {
	i, err := sepa.ParseIBAN(text)
	if err != nil {
		return "", err
	}
	if !i.SEPA() {
		return "", fault.BadInput("ibanOutside", "The account %s lies outside of the payments area: no direct debit reaches %s", i.Masked(), i.Country())
	}
	return i, nil
}

func postMandate(tx *store.Tx, m *Mandate) error {
	a, err := accountOf(tx, m.Account)
	if err != nil {
		return err
	}
	if a.Currency != "" && a.Currency != "EUR" {
		return fault.BadInput("notEuro", "The account %q is billed in %s; SEPA carries nothing but euro", a.ID, a.Currency)
	}
	iban, err := collectable(m.IBAN)
	if err != nil {
		return err
	}
	m.IBAN = iban.Masked()
	if err := Mandates.Create(tx, m); err != nil {
		return err
	}
	tx.Insert("INSERT INTO receivable_debtor (tenant, mandate, account, iban, former, active, used, last_use)", m.ID, a.ID, string(iban), "", 1, 0, m.Signed)
	return nil
}

// patchMandate takes a new account of the debtor, which the bank is told with the next
// collection, and a change of the state.
func patchMandate(tx *store.Tx, old, m *Mandate) error {
	if m.IBAN == old.IBAN {
		return Mandates.Save(tx, old, m)
	}
	iban, err := collectable(m.IBAN)
	if err != nil {
		return err
	}
	m.IBAN = iban.Masked()
	if err := Mandates.Save(tx, old, m); err != nil {
		return err
	}
	tx.QueueOne(`UPDATE receivable_debtor SET former = CASE WHEN used = 1 AND former = '' THEN iban ELSE former END, iban = $3
		WHERE tenant = $1 AND mandate = $2`, m.ID, string(iban))
	return nil
}

// endMandate stops a mandate, or has it expire, if it is active.
func endMandate(tx *store.Tx, id, state, reason string) error {
	old, err := Mandates.Lock(tx, id)
	if err != nil || old.State != MandateActive {
		return err
	}
	m, err := Mandates.Copy(old)
	if err != nil {
		return err
	}
	m.State, m.Reason = state, reason
	return Mandates.Save(tx, old, m)
}

// profileOf is what the bank of a legal entity wants: what its attribute tandem:bank
// says (see sepa.ParseProfile), or what the rulebooks say.
func profileOf(e *billing.LegalEntity) (sepa.Profile, error) {
	var own struct {
		Bank json.RawMessage `json:"tandem:bank"`
	}
	if len(e.Extra) > 0 {
		if err := json.Unmarshal(e.Extra, &own); err != nil {
			return sepa.Profile{}, err
		}
	}
	if len(own.Bank) > 0 {
		return sepa.ParseProfile(own.Bank)
	}
	zone := time.UTC
	if e.TimeZone != "" {
		var err error
		if zone, err = civil.LoadZone(e.TimeZone); err != nil {
			return sepa.Profile{}, fault.BadInput("invalidTimeZone", "The legal entity %q: %v", e.Name, err)
		}
	}
	return sepa.Standard(zone), nil
}
