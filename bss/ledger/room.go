package ledger

import "tandem/kit/tmf"

func init() { // hooks refer back to their kinds
	ChartAccounts.Check = checkChart
	PeriodCloses.OnPost, PeriodCloses.OnPatch = postClose, patchClose
	GeneralLedgerExports.Act = makeExport
}

// Kinds are the room's resources.
func Kinds() []tmf.Mounted {
	return []tmf.Mounted{&ChartAccounts, &Entries, &PeriodCloses, &GeneralLedgerExports}
}
