package ledger

import "strings"

// Accounts of the chart. Those in capitals of the comment carry a code after a colon.
const (
	Receivable    = "receivable"    // what customers owe; by party
	Unapplied     = "unapplied"     // money received that pays no bill yet; by party
	Deposits      = "deposits"      // securities held; by party
	ContractAsset = "contractAsset" // delivered and not yet billed (IFRS 15.107); by party
	Deferred      = "deferred"      // billed and not yet delivered (contract liability, IFRS 15.106); by party
	Revenue       = "revenue"       // CODE: revenue by general-ledger account
	Tax           = "tax"           // CODE: tax payable by tax code
	BadDebt       = "badDebt"       // written off
	Recovered     = "recovered"     // paid after it was written off
	Fees          = "fees"          // dunning and return fees charged
	Interest      = "interest"      // default interest charged
	BankCharges   = "bankCharges"   // what banks and gateways charge us
	Rounding      = "rounding"      // differences of rounding
	Exchange      = "exchange"      // differences of exchange rates
	Bank          = "bank"          // CODE: account at a bank, by IBAN or name
	Clearing      = "clearing"      // CODE: money on its way: card, sepa, cash, wallet
	Commission    = "commission"    // owed to dealers; by party
)

// sorts says of each account whether it carries a code and whether it is kept by party.
var sorts = map[string]struct{ coded, byParty bool }{
	Receivable: {false, true}, Unapplied: {false, true}, Deposits: {false, true}, ContractAsset: {false, true}, Deferred: {false, true},
	Revenue: {true, false}, Tax: {true, false}, BadDebt: {}, Recovered: {}, Fees: {}, Interest: {}, BankCharges: {}, Rounding: {},
	Exchange: {}, Bank: {true, false}, Clearing: {true, false}, Commission: {false, true},
}

// Of is an account with a code: Of(Revenue, "4400").
func Of(sort, code string) string { return sort + ":" + code }

// known tells whether the account is one of the chart, with a code and a party if it
// has to have them.
func known(account, party string) bool {
	sort, code, _ := strings.Cut(account, ":")
	is, ok := sorts[sort]
	return ok && (code != "") == is.coded && (party != "") == is.byParty && len(account) <= 64
}
