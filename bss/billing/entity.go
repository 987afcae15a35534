package billing

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"tandem/kit/civil"
	"tandem/kit/fault"
	"tandem/kit/money"
	"tandem/kit/store"
	"tandem/kit/tmf"
)

// LegalEntity is a company of the operator that sells: what stands on its invoices, how they
// are numbered, how they are taxed and paid.
type LegalEntity struct {
	tmf.Entity
	Name            string   `json:"name,omitzero" tmf:"required"` // as the register has it
	TradingName     string   `json:"tradingName,omitzero"`
	IsDefault       *bool    `json:"isDefault,omitzero"`       // of accounts that name none; one a tenant
	Provisional     *bool    `json:"provisional,omitzero"`     // made by the house so that there is one: its bills are held until it is completed
	Registration    string   `json:"registration,omitzero"`    // in the register of companies
	LegalForm       string   `json:"legalForm,omitzero"`       // what the law wants said: managing directors, capital
	VATID           string   `json:"vatId,omitzero"`           // with the country before it
	TaxRegistration string   `json:"taxRegistration,omitzero"` // with the local tax office
	Jurisdiction    string   `json:"jurisdiction,omitzero"`    // whose tax rates hold: ISO 3166-1, or 3166-2 where a part of a country has its own
	Currency        string   `json:"currency,omitzero"`
	TimeZone        string   `json:"timeZone,omitzero"`
	Language        string   `json:"language,omitzero"` // of customers who have said nothing
	Languages       []string `json:"languages,omitzero"`

	Address      *PostalAddress `json:"address,omitzero"`
	Email        string         `json:"email,omitzero"`
	Phone        string         `json:"phone,omitzero"`
	Contact      string         `json:"contact,omitzero"`
	Endpoint     string         `json:"endpoint,omitzero"` // electronic address for invoices
	EndpointType string         `json:"endpointScheme,omitzero"`

	IBAN       string `json:"iban,omitzero"`
	BIC        string `json:"bic,omitzero"`
	BankName   string `json:"bankName,omitzero"`
	CreditorID string `json:"creditorId,omitzero"` // SEPA creditor identifier

	// InvoiceNumber and CreditNoteNumber are formats of numbers: {year}, {month} is not
	// one of them since a series runs through a year, and {seq:7}, its digits.
	InvoiceNumber    string `json:"invoiceNumber,omitzero"`
	CreditNoteNumber string `json:"creditNoteNumber,omitzero"`
	Brand            string `json:"brand,omitzero"` // template of its documents
	PaymentDays      *int64 `json:"paymentDays,omitzero"`
	Note             string `json:"note,omitzero"`    // at the foot of each invoice
	Revenue          string `json:"revenue,omitzero"` // general-ledger account of prices that name none
	// ApproveAbove is from what gross amount on a credit note needs a second person.
	ApproveAbove *tmf.Money `json:"approveAbove,omitzero"`
	Rounding     string     `json:"rounding,omitzero"` // half-up, half-even; of charges and tax
}

// PostalAddress is where a company sits.
type PostalAddress struct {
	Street   string `json:"street,omitzero"`
	Street2  string `json:"street2,omitzero"`
	PostCode string `json:"postCode,omitzero"`
	City     string `json:"city,omitzero"`
	Region   string `json:"region,omitzero"`
	Country  string `json:"country,omitzero" tmf:"required"` // ISO 3166-1 alpha-2
	tmf.Extension
}

// LegalEntities are the tenant's.
var LegalEntities = tmf.Kind[LegalEntity, *LegalEntity]{
	API: &ItemAPI, Name: "legalEntity", Table: "billing_legal_entity", Verbs: tmf.All, Index: []string{"name", "isDefault"}, Still: true,
}

// Formats of numbers if an entity says nothing.
const (
	invoiceFormat    = "INV-{year}-{seq:7}"
	creditNoteFormat = "CN-{year}-{seq:7}"
	paymentDays      = 14
	defaultRevenue   = "sales"
)

func defaultEntity(_ *store.Tx, e *LegalEntity) error {
	set := func(at *string, value string) {
		if *at == "" {
			*at = value
		}
	}
	set(&e.Currency, "EUR")
	set(&e.TimeZone, "UTC")
	set(&e.Language, "en")
	set(&e.InvoiceNumber, invoiceFormat)
	set(&e.CreditNoteNumber, creditNoteFormat)
	set(&e.Revenue, defaultRevenue)
	set(&e.Rounding, money.HalfUp.String())
	if e.Jurisdiction == "" && e.Address != nil {
		e.Jurisdiction = e.Address.Country
	}
	if e.PaymentDays == nil {
		days := int64(paymentDays)
		e.PaymentDays = &days
	}
	return nil
}

var (
	countryCode  = regexp.MustCompile(`^[A-Z]{2}$`)
	jurisdiction = regexp.MustCompile(`^[A-Z]{2}(-[A-Z0-9]{1,3})?$`)
	numberFormat = regexp.MustCompile(`^[A-Za-z0-9/._-]{0,20}\{year\}[A-Za-z0-9/._-]{0,20}\{seq(:([1-9]|1[0-2]))?\}[A-Za-z0-9/._-]{0,10}$`)
	vatID        = regexp.MustCompile(`^[A-Z]{2}[0-9A-Z+*.]{2,13}$`)
	bic          = regexp.MustCompile(`^[A-Z]{6}[A-Z0-9]{2}([A-Z0-9]{3})?$`)
	languageTag  = regexp.MustCompile(`^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$`)
	accountCode  = regexp.MustCompile(`^[A-Za-z0-9._-]{1,40}$`)
)

// checkEntity refuses what would make invoices that nobody accepts.
func checkEntity(tx *store.Tx, old, e *LegalEntity) error {
	bad := func(format string, args ...any) error { return fault.BadInput("invalidLegalEntity", format, args...) }
	switch {
	case e.Address == nil || !countryCode.MatchString(e.Address.Country):
		return bad("address.country is required: two letters (ISO 3166-1), such as DE")
	case !jurisdiction.MatchString(e.Jurisdiction):
		return bad("jurisdiction is a country or a part of one (ISO 3166), such as DE or ES-CN, not %q", e.Jurisdiction)
	case e.VATID != "" && !vatID.MatchString(e.VATID):
		return bad("vatId begins with the country, such as DE123456789; %q does not", e.VATID)
	case e.IBAN != "" && !validIBAN(e.IBAN):
		return bad("iban %q is not one: its check digits do not fit", e.IBAN)
	case e.CreditorID != "" && !validCreditor(e.CreditorID):
		return bad("creditorId %q is not a SEPA creditor identifier: its check digits do not fit", e.CreditorID)
	case e.BIC != "" && !bic.MatchString(e.BIC):
		return bad("bic %q has not the form of one (ISO 9362)", e.BIC)
	case !numberFormat.MatchString(e.InvoiceNumber) || !numberFormat.MatchString(e.CreditNoteNumber):
		return bad("invoiceNumber and creditNoteNumber hold {year} and after it {seq:7}, such as %s", invoiceFormat)
	case e.InvoiceNumber == e.CreditNoteNumber:
		return bad("invoiceNumber and creditNoteNumber are the same: two documents would have one number")
	case *e.PaymentDays < 0 || *e.PaymentDays > 366:
		return bad("paymentDays is from 0 to 366, not %d", *e.PaymentDays)
	case !accountCode.MatchString(e.Revenue):
		return bad("revenue is the number of a general-ledger account, not %q", e.Revenue)
	case e.ApproveAbove != nil && (e.ApproveAbove.Sign() < 0 || e.ApproveAbove.Currency.Code() != e.Currency):
		return bad("approveAbove is an amount in %s without a sign", e.Currency)
	}
	if _, err := money.ParseRounding(e.Rounding); err != nil {
		return bad("rounding is half-up or half-even, not %q", e.Rounding)
	}
	for _, l := range append(slices.Clone(e.Languages), e.Language) {
		if !languageTag.MatchString(l) {
			return bad("%q is not a language, such as de or pt-BR (BCP 47)", l)
		}
	}
	if c, err := money.ParseCurrency(e.Currency); err != nil || !c.Active() {
		return fault.BadInput("unknownCurrency", "currency %q is not an active ISO 4217 currency", e.Currency)
	}
	if _, err := civil.LoadZone(e.TimeZone); err != nil {
		return fault.BadInput("unknownTimeZone", "timeZone: %v", err)
	}
	if err := zoneFixed(tx, old, e); err != nil {
		return err
	}
	if err := completed(tx, old, e); err != nil {
		return err
	}
	return oneDefault(tx, old, e)
}

// zoneFixed refuses another time zone once bills were made by an entity: the days of all its
// accounts that name none would begin at another instant.
func zoneFixed(tx *store.Tx, old, e *LegalEntity) error {
	if old == nil || old.TimeZone == e.TimeZone {
		return nil
	}
	var n int64
	if err := tx.Row("SELECT count(*) FROM billing_draft WHERE tenant = $1 AND entity = $2", e.ID).Scan(&n); err != nil || n == 0 {
		return err
	}
	return fault.Clash("zoneFixed", "%d bills of %q were made by the clocks of %s: give accounts that live by others a timeZone of their own", n, old.Name, old.TimeZone)
}

// What stands in an entity that the house has made, until somebody who knows sets it.
const (
	unknownAddress      = "-"
	unknownRegistration = "provisional"
)

func (e *LegalEntity) isProvisional() bool { return e.Provisional != nil && *e.Provisional }

// lacks are the attributes of an entity that still have what the house has put there.
func (e *LegalEntity) lacks(tenant string) (out []string) {
	missing := func(name string, is bool) {
		if is {
			out = append(out, name)
		}
	}
	missing("name", e.Name == tenant)
	if a := e.Address; a != nil {
		missing("address.street", a.Street == unknownAddress)
		missing("address.postCode", a.PostCode == unknownAddress)
		missing("address.city", a.City == unknownAddress)
	}
	missing("vatId or taxRegistration", e.TaxRegistration == unknownRegistration)
	return out
}

// completed lets an entity that the house has made be a real one when nothing of it is made
// up any more, and refuses to call it one before.
func completed(tx *store.Tx, old, e *LegalEntity) error {
	was := old != nil && old.isProvisional()
	if !was && !e.isProvisional() {
		return nil
	}
	if e.VATID != "" && e.TaxRegistration == unknownRegistration {
		e.TaxRegistration = ""
	}
	lacks := e.lacks(tx.Tenant())
	switch {
	case len(lacks) == 0:
		e.Provisional = nil
	case was && !e.isProvisional():
		return fault.Clash("stillProvisional", "%q would stand on invoices with what the house has made up: set %s", e.Name, strings.Join(lacks, ", "))
	}
	return nil
}

// provisional is why bills of a tenant's entity are held, "" if they are not.
func (e *LegalEntity) provisional(tenant string) string {
	if !e.isProvisional() {
		return ""
	}
	return fmt.Sprintf("It would go out in the name of the provisional legal entity %q: set %s of legalEntity/%s, discard this draft, and bill the account again",
		e.Name, strings.Join(e.lacks(tenant), ", "), e.ID)
}

// oneDefault keeps one default entity a tenant: the first is it, another that wants to be
// takes it over.
func oneDefault(tx *store.Tx, old, e *LegalEntity) error {
	is := e.IsDefault != nil && *e.IsDefault
	was := old != nil && old.IsDefault != nil && *old.IsDefault
	switch {
	case was && !is:
		return fault.Clash("oneDefault", "The tenant needs a default legal entity: make another one the default instead")
	case !is || was:
		return nil
	}
	others, err := LegalEntities.Select(tx, tmf.Where{"isDefault": "true"}, tmf.Page{})
	if err != nil {
		return err
	}
	for _, o := range others {
		if o.ID == e.ID {
			continue
		}
		if o.isProvisional() {
			if err := removeProvisional(tx, o); err == nil {
				continue
			}
		}
		return fault.Clash("oneDefault", "%q is the default legal entity already: complete that one, or make this one without isDefault", o.Name)
	}
	return nil
}

// removeProvisional takes away what the house has made, once there is a real one and nothing
// was billed by it.
func removeProvisional(tx *store.Tx, e *LegalEntity) error {
	if err := notBilled(tx, e); err != nil {
		return err
	}
	return LegalEntities.Remove(tx, e)
}

// notBilled refuses to let go of an entity that has made bills or has accounts.
func notBilled(tx *store.Tx, e *LegalEntity) error {
	var n int64
	if err := tx.Row("SELECT count(*) FROM billing_draft WHERE tenant = $1 AND entity = $2", e.ID).Scan(&n); err != nil {
		return err
	}
	if n > 0 {
		return fault.Clash("stillReferenced", "The legal entity %q cannot be deleted: it has made %d bills", e.Name, n)
	}
	found, err := BillingAccounts.Select(tx, tmf.Where{"legalEntity.id": e.ID}, tmf.Page{Limit: 1})
	if err == nil && len(found) > 0 {
		err = fault.Clash("stillReferenced", "The legal entity %q cannot be deleted: account %q is billed by it", e.Name, found[0].ID)
	}
	return err
}

func removeEntity(tx *store.Tx, e *LegalEntity) error {
	if e.IsDefault != nil && *e.IsDefault {
		return fault.Clash("oneDefault", "The default legal entity cannot be deleted: make another one the default first")
	}
	if err := notBilled(tx, e); err != nil {
		return err
	}
	return LegalEntities.Remove(tx, e)
}

// provisionalID is that of the entity which the house makes: two nodes at once make one.
const provisionalID = "default"

// DefaultEntity is the tenant's default legal entity. A tenant that has none gets a
// provisional one, with the tax rates of its country, so that it can be billed at once; that
// needs a transaction that writes.
func DefaultEntity(tx *store.Tx) (*LegalEntity, error) {
	made, err := LegalEntities.Look(tx, provisionalID)
	if err == nil && made.IsDefault != nil && *made.IsDefault {
		return made, nil // kept by the process
	}
	if err != nil && !fault.Is(err, fault.NotFound) {
		return nil, err
	}
	found, err := LegalEntities.Select(tx, tmf.Where{"isDefault": "true"}, tmf.Page{Limit: 1})
	if err != nil || len(found) > 0 {
		return firstOf(found), err
	}
	if !tx.Writable() {
		return nil, fault.Missing("legalEntity", provisionalID)
	}
	yes := true
	e := &LegalEntity{Name: tx.Tenant(), IsDefault: &yes, Provisional: &yes, TaxRegistration: unknownRegistration, TimeZone: "Europe/Berlin", Languages: []string{"en", "de"},
		Address: &PostalAddress{Street: unknownAddress, PostCode: unknownAddress, City: unknownAddress, Country: "DE"}}
	e.ID = provisionalID
	if err := LegalEntities.Create(tx, e); err != nil {
		return nil, err
	}
	return e, defaultRates(tx, "DE")
}

func firstOf[T any](list []T) (t T) {
	if len(list) > 0 {
		t = list[0]
	}
	return t
}

// Number is the number of a document of the entity: its kind, the year of its series and its
// place in it.
func (e *LegalEntity) Number(kind string, year int, seq int64) string {
	format := e.InvoiceNumber
	if kind == CreditNote {
		format = e.CreditNoteNumber
	}
	prefix, rest, ok := strings.Cut(format, "{seq")
	if !ok {
		prefix, rest = format, "}"
	}
	width, suffix, _ := strings.Cut(rest, "}")
	digits := strconv.FormatInt(seq, 10)
	if n, err := strconv.Atoi(strings.TrimPrefix(width, ":")); err == nil && len(digits) < n {
		digits = strings.Repeat("0", n-len(digits)) + digits
	}
	return strings.ReplaceAll(prefix, "{year}", strconv.Itoa(year)) + digits + suffix
}

// seller is the entity as it stands on a document.
func (e *LegalEntity) seller() DocumentParty {
	p := DocumentParty{Name: e.Name, TradingName: e.TradingName, Registration: e.Registration, LegalForm: e.LegalForm, VATID: e.VATID, TaxRegistration: e.TaxRegistration,
		Contact: e.Contact, Email: e.Email, Phone: e.Phone, Endpoint: e.Endpoint, EndpointScheme: e.EndpointType}
	if e.VATID == "" && e.Registration == "" {
		p.ID = e.ID
	}
	if a := e.Address; a != nil {
		p.Street, p.Street2, p.PostCode, p.City, p.Region, p.Country = a.Street, a.Street2, a.PostCode, a.City, a.Region, a.Country
	}
	return p
}

func (e *LegalEntity) bank() *Bank {
	if e.IBAN == "" {
		return nil
	}
	return &Bank{Name: e.Name, IBAN: e.IBAN, BIC: e.BIC, CreditorID: e.CreditorID}
}

// validIBAN tests the check digits (ISO 13616).
func validIBAN(iban string) bool {
	return len(iban) >= 15 && len(iban) <= 34 && countryCode.MatchString(iban[:2]) && mod97(iban[4:]+iban[:4]) == 1
}

// validCreditor tests those of a SEPA creditor identifier (EPC262-08): the three letters
// behind them, the business code, do not count.
func validCreditor(id string) bool {
	return len(id) >= 8 && len(id) <= 35 && countryCode.MatchString(id[:2]) && mod97(id[7:]+id[:4]) == 1
}

// mod97 is the remainder of digits and letters (A is 10) by 97 (ISO 7064), -1 for others.
func mod97(text string) int {
	rest := 0
	for i := range len(text) {
		switch c := text[i]; {
		case c >= '0' && c <= '9':
			rest = (rest*10 + int(c-'0')) % 97
		case c >= 'A' && c <= 'Z':
			rest = (rest*100 + int(c-'A') + 10) % 97
		default:
			return -1
		}
	}
	return rest
}
