package billing

import (
	"time"

	"tandem/bss/party"
	"tandem/kit/tmf"
)

// API is TMF666.
var API = tmf.API{ID: "TMF666", Name: "Account Management", Version: "4.0.0", Base: "/tmf-api/accountManagement/v4"}

// Account is a party account, a billing account or a settlement account: the same
// shape in three registers (TMF666).
type Account struct {
	tmf.Entity
	AccountTerms
	PaymentStatus        string         `json:"paymentStatus,omitzero"`
	BillStructure        *BillStructure `json:"billStructure,omitzero"`
	DefaultPaymentMethod *Ref           `json:"defaultPaymentMethod,omitzero"`
	FinancialAccount     *FinancialRef  `json:"financialAccount,omitzero"`
	PaymentPlan          []PaymentPlan  `json:"paymentPlan,omitzero"`

	// Currency and TimeZone extend TMF666: an account is billed in one currency,
	// and its days begin by the clocks of one zone (IANA name).
	Currency string `json:"currency,omitzero"`
	TimeZone string `json:"timeZone,omitzero"`

	// What is on its bills, and how they are taxed; see billAttributes.
	LegalEntity     *tmf.Ref   `json:"legalEntity,omitzero"` // that bills it; none: the default one
	Language        string     `json:"language,omitzero"`    // of its bills; none: the customer's
	TaxTreatment    string     `json:"taxTreatment,omitzero" tmf:"enum=automatic|standard|exempt|reverseCharge|thirdCountry"`
	TaxJurisdiction string     `json:"taxJurisdiction,omitzero"` // whose rates hold; none: that of the legal entity
	VATID           string     `json:"vatId,omitzero"`           // of the buyer; none: that of the organization
	BuyerReference  string     `json:"buyerReference,omitzero"`  // EN 16931 BT-10, such as a Leitweg-ID
	PurchaseOrder   string     `json:"purchaseOrder,omitzero"`   // BT-13
	ContractNumber  string     `json:"contractNumber,omitzero"`  // BT-12
	BillNote        string     `json:"billNote,omitzero"`        // BT-22
	MinimumBill     *tmf.Money `json:"minimumBill,omitzero"`     // a smaller bill waits for the next one

	// Itemisation is what its bills show of each use; none: nothing.
	Itemisation string `json:"itemisation,omitzero" tmf:"enum=none|masked|full"`
}

// BillingAccount is the account a customer's bills are made for.
type BillingAccount = Account

// FinancialAccount collects what other accounts owe (TMF666).
type FinancialAccount struct {
	tmf.Entity
	AccountTerms
}

// AccountTerms are what all four kinds of account have.
type AccountTerms struct {
	Name                string                `json:"name,omitzero" tmf:"required"`
	Description         string                `json:"description,omitzero"`
	AccountType         string                `json:"accountType,omitzero"`
	State               string                `json:"state,omitzero"`
	LastModified        time.Time             `json:"lastModified,omitzero"`
	CreditLimit         *tmf.Money            `json:"creditLimit,omitzero"`
	AccountBalance      []AccountBalance      `json:"accountBalance,omitzero"`
	AccountRelationship []AccountRelationship `json:"accountRelationship,omitzero"`
	Contact             []Contact             `json:"contact,omitzero"`
	RelatedParty        []tmf.RelatedParty    `json:"relatedParty,omitzero"`
	TaxExemption        []TaxExemption        `json:"taxExemption,omitzero"`
}

// Ref points to another thing, always by id.
type Ref struct {
	ID           string `json:"id,omitzero" tmf:"required"`
	Href         string `json:"href,omitzero"`
	Name         string `json:"name,omitzero"`
	Description  string `json:"description,omitzero"`
	ReferredType string `json:"@referredType,omitzero"`
	tmf.Extension
}

// FinancialRef points to the financial account that collects the account's debts.
type FinancialRef struct {
	ID             string          `json:"id,omitzero" tmf:"required"`
	Href           string          `json:"href,omitzero"`
	Name           string          `json:"name,omitzero"`
	AccountBalance *AccountBalance `json:"accountBalance,omitzero"`
	ReferredType   string          `json:"@referredType,omitzero"`
	tmf.Extension
}

// AccountBalance is what stands on the account at a time, by sort of balance.
type AccountBalance struct {
	Amount      *tmf.Money      `json:"amount,omitzero" tmf:"required"`
	BalanceType string          `json:"balanceType,omitzero" tmf:"required"`
	ValidFor    *tmf.TimePeriod `json:"validFor,omitzero" tmf:"required"`
	tmf.Extension
}

// AccountRelationship ties the account to another one.
type AccountRelationship struct {
	RelationshipType string          `json:"relationshipType,omitzero" tmf:"required"`
	Account          *Ref            `json:"account,omitzero"`
	ValidFor         *tmf.TimePeriod `json:"validFor,omitzero" tmf:"required"`
	tmf.Extension
}

// Contact is who to talk to about the account.
type Contact struct {
	ContactName   string                `json:"contactName,omitzero"`
	ContactType   string                `json:"contactType,omitzero" tmf:"required"`
	PartyRoleType string                `json:"partyRoleType,omitzero"`
	ContactMedium []party.ContactMedium `json:"contactMedium,omitzero"`
	RelatedParty  *tmf.RelatedParty     `json:"relatedParty,omitzero"`
	ValidFor      *tmf.TimePeriod       `json:"validFor,omitzero" tmf:"required"`
	tmf.Extension
}

// TaxExemption frees the account of a jurisdiction's tax.
type TaxExemption struct {
	CertificateNumber   string          `json:"certificateNumber,omitzero"`
	IssuingJurisdiction string          `json:"issuingJurisdiction,omitzero" tmf:"required"`
	Reason              string          `json:"reason,omitzero"`
	ValidFor            *tmf.TimePeriod `json:"validFor,omitzero" tmf:"required"`
	tmf.Extension
}

// PaymentPlan spreads a debt over several payments.
type PaymentPlan struct {
	PlanType         string          `json:"planType,omitzero"`
	Status           string          `json:"status,omitzero"`
	Priority         *int64          `json:"priority,omitzero"`
	NumberOfPayments *int64          `json:"numberOfPayments,omitzero"`
	PaymentFrequency string          `json:"paymentFrequency,omitzero"`
	PaymentMethod    *Ref            `json:"paymentMethod,omitzero"`
	TotalAmount      *tmf.Money      `json:"totalAmount,omitzero"`
	ValidFor         *tmf.TimePeriod `json:"validFor,omitzero"`
	tmf.Extension
}

// BillStructure is when and how the account's bills are made.
type BillStructure struct {
	CycleSpecification *RefOrValue  `json:"cycleSpecification,omitzero"`
	Format             *RefOrValue  `json:"format,omitzero"`
	PresentationMedia  []RefOrValue `json:"presentationMedia,omitzero"`
	tmf.Extension
}

// RefOrValue is a part of a bill structure by id; one written out in place
// (isRef false) is kept as it is.
type RefOrValue struct {
	ID           string `json:"id,omitzero"`
	Href         string `json:"href,omitzero"`
	Name         string `json:"name,omitzero"`
	Description  string `json:"description,omitzero"`
	IsRef        *bool  `json:"isRef,omitzero"`
	ReferredType string `json:"@referredType,omitzero"`
	tmf.Extension
}

// BillingCycleSpecification says when bills are made and when they fall due.
// Offsets are days from the start of the billing period (TMF666).
type BillingCycleSpecification struct {
	tmf.Entity
	Name                 string          `json:"name,omitzero" tmf:"required"`
	Description          string          `json:"description,omitzero"`
	BillingPeriod        string          `json:"billingPeriod,omitzero"`
	Frequency            string          `json:"frequency,omitzero"`
	BillingDateShift     *int64          `json:"billingDateShift,omitzero"`
	ChargeDateOffset     *int64          `json:"chargeDateOffset,omitzero"`
	CreditDateOffset     *int64          `json:"creditDateOffset,omitzero"`
	MailingDateOffset    *int64          `json:"mailingDateOffset,omitzero"`
	PaymentDueDateOffset *int64          `json:"paymentDueDateOffset,omitzero"`
	ValidFor             *tmf.TimePeriod `json:"validFor,omitzero"`
}

// Presentation is a bill format or a medium bills are presented on (TMF666).
type Presentation struct {
	tmf.Entity
	Name        string `json:"name,omitzero" tmf:"required"`
	Description string `json:"description,omitzero"`
}

var accountIndex = []string{"name", "state", "financialAccount.id", "billStructure.cycleSpecification.id", "billStructure.format.id",
	"legalEntity.id"}
var accountMulti = []string{"relatedParty.id", "accountRelationship.account.id", "billStructure.presentationMedia.id"}

// The registers of the tenant.
var (
	PartyAccounts = tmf.Kind[Account, *Account]{API: &API, Name: "partyAccount", Table: "billing_party_account",
		Verbs: tmf.All, Index: accountIndex, Multi: accountMulti, StateAttr: "state", Frozen: []string{"lastModified"}}
	BillingAccounts = tmf.Kind[Account, *Account]{API: &API, Name: "billingAccount", Table: "billing_account",
		Verbs: tmf.All, Index: accountIndex, Multi: accountMulti, StateAttr: "state", Frozen: []string{"lastModified"}}
	SettlementAccounts = tmf.Kind[Account, *Account]{API: &API, Name: "settlementAccount", Table: "billing_settlement_account",
		Verbs: tmf.All, Index: accountIndex, Multi: accountMulti, StateAttr: "state", Frozen: []string{"lastModified"}}
	FinancialAccounts = tmf.Kind[FinancialAccount, *FinancialAccount]{API: &API, Name: "financialAccount", Table: "billing_financial_account",
		Verbs: tmf.All, Index: []string{"name", "state"}, Multi: []string{"relatedParty.id", "accountRelationship.account.id"},
		StateAttr: "state", Frozen: []string{"lastModified"}}

	CycleSpecifications = tmf.Kind[BillingCycleSpecification, *BillingCycleSpecification]{API: &API, Name: "billingCycleSpecification",
		Table: "billing_cycle_specification", Verbs: tmf.All, Index: []string{"name"}}
	Formats = tmf.Kind[Presentation, *Presentation]{API: &API, Name: "billFormat", Table: "billing_format",
		Verbs: tmf.All, Index: []string{"name"}}
	Media = tmf.Kind[Presentation, *Presentation]{API: &API, Name: "billPresentationMedia", Table: "billing_media",
		Verbs: tmf.All, Index: []string{"name"}}
)
