package billing

import (
	"embed"

	"tandem/kit/store"
	"tandem/kit/tmf"
)

//go:embed schema/*.sql
var schemaFiles embed.FS

// Schemas are the room's own tables.
var Schemas = []store.Schema{store.Embedded("billing", schemaFiles)}

func init() { // hooks refer back to their kinds
	for _, k := range []*tmf.Kind[Account, *Account]{&PartyAccounts, &BillingAccounts, &SettlementAccounts} {
		k.Default = func(_ *store.Tx, a *Account) error { defaultTerms(&a.AccountTerms); return nil }
		k.Check, k.OnDelete = checkAccount, removeAccount(k)
	}
	FinancialAccounts.Default = func(_ *store.Tx, a *FinancialAccount) error { defaultTerms(&a.AccountTerms); return nil }
	FinancialAccounts.Check, FinancialAccounts.OnDelete = checkFinancial, removeFinancial
	CycleSpecifications.Check = checkCycle
	CycleSpecifications.OnDelete = keptBy(&CycleSpecifications, "billStructure.cycleSpecification.id")
	Formats.OnDelete = keptBy(&Formats, "billStructure.format.id")
	Media.OnDelete = keptBy(&Media, "billStructure.presentationMedia.id")
	Items.Check, Items.Saved = checkItem, savedItem
	LegalEntities.Default, LegalEntities.Check, LegalEntities.OnDelete = defaultEntity, checkEntity, removeEntity
	TaxRates.Check = checkTaxRate
	CustomerBills.OnPatch, OnDemand.OnPost = patchBill, postOnDemand
	CreditNotes.OnPost, CreditNotes.OnPatch = postCreditNote, patchCreditNote
	Explanations.Rows.Complete = explainAll
}

// Kinds are the room's resources.
func Kinds() []tmf.Mounted {
	return []tmf.Mounted{&PartyAccounts, &BillingAccounts, &SettlementAccounts, &FinancialAccounts,
		&CycleSpecifications, &Formats, &Media, &Items, &LegalEntities, &TaxRates, &Deposits, &BillTemplates,
		&BillRuns, &HeldBills, &ParkedAccounts, &BillDecisions, &BillPolicies,
		&CustomerBills, &AppliedRates, &OnDemand, &CreditNotes, &Explanations,
		&BillPreviews, &BillComparisons, &ComparedBills, &BillDifferences}
}
