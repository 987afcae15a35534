package receivable

import (
	"tandem/kit/fault"
	"tandem/kit/store"
)

const (
	fileWithdrawn = "withdrawn"
	// withdrawn stands where the code of a bank would.
	withdrawn = "WITHDRAWN"
)

// withdrawFile is a person who says that a file of collections never reached the bank, or
// was taken back there: its claims are open and may be collected anew. If the bank has it
// all the same, its answer or its money is taken as if nothing had been said.
func withdrawFile(tx *store.Tx, old, f *DirectDebitFile) error {
	switch {
	case f.Status != fileWithdrawn:
		return fault.BadInput("invalidState", "The status of a file is what the bank says; a person can only have it %s", fileWithdrawn)
	case old.Status != "made":
		return fault.Clash("fileAnswered", "The file %q is %s; only one that the bank has not answered is withdrawn", old.ID, old.Status)
	case f.StatusText == "" || len(f.StatusText) > 500:
		return fault.BadInput("noReason", "Say in statusReason why the file is withdrawn, in at most 500 characters")
	}
	tx.Queue("UPDATE receivable_collection SET state = 'rejected', reason = $3 WHERE tenant = $1 AND file = $2 AND state = 'sent'", old.ID, withdrawn)
	return DirectDebitFiles.Save(tx, old, f)
}

// notWithdrawn has the collections of a file that the bank has after all go on, but for
// claims that are being collected anew: their money is taken when it comes.
func notWithdrawn(tx *store.Tx, file string) {
	tx.Queue(`UPDATE receivable_collection SET state = 'sent', reason = '' WHERE tenant = $1 AND file = $2 AND state = 'rejected' AND reason = $3
		AND NOT EXISTS (SELECT 1 FROM receivable_collection o WHERE o.tenant = receivable_collection.tenant AND o.claim = receivable_collection.claim AND o.state = 'sent')`,
		file, withdrawn)
}

// due tells whether money of the collection may still come.
func (c *collection) due() bool {
	return c.state == "sent" || c.state == "rejected" && c.reason == withdrawn
}
