package revenue

import "slices"

// controls are those of the house, in the order in which they run.
var controls []Control

// controlIDs are their ids: the table of controls is made of them before the list is.
var controlIDs = []string{"R1", "R2", "R3", "R4", "R5", "R8", "R10", "R12", "R14", "R16", "R18", "R20", "R21", "R22", "R27"}

var fixDays int64 = 60

func init() {
	add := func(id string, c Control) {
		c.ID = id
		if c.Patience == "" {
			c.Patience = "PT1H"
		}
		if c.Correction == "" {
			c.Correction = Case
		}
		if c.Formula == "" {
			c.Formula = byAmount
		}
		c.Gone = recovered(slices.ContainsFunc(c.Classes, func(class string) bool { return shown[class] != nil }))
		controls = append(controls, c)
	}
	add("R1", Control{Name: "Network and inventory", Area: areaNetwork, Left: "what the elements list", Right: "services as they were built", Key: "element, type and key",
		Classes: []string{Stranger, NotOnElement, OtherOnElement}, Formula: byDay, Confidence: 90, work: network})
	add("R2", Control{Name: "Services and products", Area: areaOrder, Left: "product inventory", Right: "service inventory and billable items", Key: "product, service",
		Classes: []string{ServicesContradict, NothingRealises, NotBilled, ItemLost, WrongService, NoProduct, NotInInventory, Orphan}, Formula: byDay, Confidence: 95,
		Correction: Propose, FixDays: &fixDays, work: sold})
	add("R3", Control{Name: "Billed each period", Area: areaBilling, Left: "what is due by the billable items", Right: "billed service periods", Key: "product",
		Classes: []string{NotOnBill, CannotBeBilled}, Confidence: 99, Patience: "P5D", work: periods})
	add("R4", Control{Name: "Start of billing", Area: areaOrder, Left: "confirmed by the network", Right: "billed from", Key: "product",
		Classes: []string{BillingLate, BillingEarly}, Confidence: 95, work: products})
	add("R5", Control{Name: "End of billing", Area: areaOrder, Left: "product inventory", Right: "open billable items", Key: "product",
		Classes: []string{BilledAfterEnd, BilledInFull, BilledAsBarred}, Formula: byDay, Confidence: 95, Correction: Propose, FixDays: &fixDays, work: products})
	add("R8", Control{Name: "Files of usage", Area: areaUsage, Left: "sequence numbers of files that came", Right: "all of them", Key: "source and first number",
		Classes: []string{FileGap}, Confidence: 80, work: files})
	add("R10", Control{Name: "Usage charged twice", Area: areaUsage, Left: "newest usage", Right: "itself", Key: "customer and session",
		Classes: []string{ChargedTwice}, Confidence: 90, work: twice})
	add("R12", Control{Name: "Usage in suspense", Area: areaRating, Left: "usage that could not be charged", Right: "average charge of a record", Key: "source and reason",
		Classes: []string{InSuspense}, Confidence: 60, work: suspense})
	add("R14", Control{Name: "Rating anew", Area: areaRating, Left: "charges in the journal", Right: "prices by the words of the tariffs", Key: "side and currency",
		Classes: []string{WrongPrice}, Confidence: 99, work: rerated})
	add("R16", Control{Name: "Wallets", Area: areaFinance, Left: "what is in each wallet", Right: "what came less what went", Key: "account",
		Classes: []string{WalletDiffers}, Confidence: 99, work: wallets})
	add("R18", Control{Name: "Posted and delivered", Area: areaBilling, Left: "posted bills and drafts", Right: "series, books, delivery", Key: "bill",
		Classes: []string{BrokenChain, Undelivered, NotPosted}, Confidence: 90, Patience: "P3D", work: delivered})
	add("R20", Control{Name: "Payments", Area: areaReceivables, Left: "payments and claims", Right: "allocations and the books", Key: "claim, payment, account",
		Classes: []string{DoesNotAddUp, PaysNothing}, Confidence: 99, Patience: "P1D", work: paid})
	add("R21", Control{Name: "Debts and bars", Area: areaReceivables, Left: "ladders of debts", Right: "bars that the network has confirmed", Key: "product",
		Classes: []string{NotBarred, StillBarred}, Formula: byDay, Confidence: 95, work: barred})
	add("R22", Control{Name: "Credits by person", Area: areaCustomer, Left: "credit notes of a person", Right: "those of all others", Key: "person",
		Classes: []string{Outlier}, Confidence: 50, work: byAgent})
	add("R27", Control{Name: "Orders that wait", Area: areaOrder, Left: "fallout queue", Right: "value of the product", Key: "fallout",
		Classes: []string{WaitsForPerson}, Formula: byDay, Confidence: 100, work: waiting})
}
