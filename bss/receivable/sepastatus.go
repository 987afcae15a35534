package receivable

import (
	"bytes"
	"strings"

	"tandem/edge/sepa"
	"tandem/kit/fault"
	"tandem/kit/money"
	"tandem/kit/store"
)

// TakeStatus takes what the bank says about a file of ours (pain.002) and says which
// file that is. Collections that it rejects are over, with the action of their reason, and
// transfers that it rejects are put back; the others go on. The same answer taken again
// changes nothing.
func TakeStatus(tx *store.Tx, answer []byte) (file string, rejected int, err error) {
	r, err := sepa.ReadStatus(bytes.NewReader(answer), sepa.Limits{})
	if err != nil {
		return "", 0, err
	}
	return takeStatus(tx, r)
}

func takeStatus(tx *store.Tx, r sepa.StatusReport) (file string, rejected int, err error) {
	defer fault.Wrap(&err, "receivable.TakeStatus")
	f, err := DirectDebitFiles.Lock(tx, r.Original)
	if fault.Is(err, fault.NotFound) {
		if rejected, err = takeTransferStatus(tx, r); !fault.Is(err, fault.NotFound) {
			return r.Original, rejected, err
		}
		return "", 0, fault.BadInput("unknownFile", "The bank's answer %s is about the file %q, which was not made here", r.ID, r.Original)
	}
	if err != nil {
		return "", 0, err
	}
	sum, err := f.Sum.PostRat(1, 1, money.HalfUp)
	if err != nil {
		return "", 0, err
	}
	if err := r.About(sepa.Sent{ID: f.ID, Count: int(f.Count), Sum: sum}); err != nil {
		return "", 0, err
	}
	if f.Status == fileWithdrawn && !r.Status.Bad() {
		notWithdrawn(tx, f.ID)
	}
	if rejected, err = reject(tx, r); err != nil {
		return "", 0, err
	}
	return f.ID, rejected, answered(tx, f, r)
}

// reject ends the collections that the bank will not make.
func reject(tx *store.Tx, r sepa.StatusReport) (int, error) {
	sent, err := collections(tx.Query("SELECT "+collectionColumns+" FROM receivable_collection WHERE tenant = $1 AND file = $2 AND state = 'sent' ORDER BY id"+
		tx.Dialect().ForUpdate(), r.Original))
	if err != nil {
		return 0, err
	}
	of, n := verdicts(r), 0
	for i := range sent {
		c := &sent[i]
		v, ok := of[c.id]
		if !ok {
			status, why, _ := r.Of(c.batch, c.id)
			v = verdict{status, codeOf(why, r.Reasons)}
		}
		if !v.status.Bad() {
			continue
		}
		n++
		if err := c.failed(tx, "rejected", v.code); err != nil {
			return n, err
		}
	}
	return n, nil
}

// verdict is what the bank says of one collection.
type verdict struct {
	status sepa.Status
	code   string
}

// verdicts are those that the bank lists by name, so that a report of many is read
// once.
func verdicts(r sepa.StatusReport) map[string]verdict {
	out := map[string]verdict{}
	for _, b := range r.Batches {
		for _, p := range b.Payments {
			if p.Status != "" {
				out[p.EndToEnd] = verdict{p.Status, codeOf(p.Reasons, b.Reasons, r.Reasons)}
			}
		}
	}
	return out
}

// codeOf is the first code that is given: of the payment, its batch, or its file.
func codeOf(all ...[]sepa.StatusReason) string {
	for _, some := range all {
		if len(some) > 0 && some[0].Code != "" {
			return some[0].Code
		}
	}
	return ""
}

// answered writes to the file what the bank says about it as a whole.
func answered(tx *store.Tx, f *DirectDebitFile, r sepa.StatusReport) error {
	n, err := DirectDebitFiles.Copy(f)
	if err != nil {
		return err
	}
	n.Status, n.StatusText = statusOf(n.Status, r)
	return DirectDebitFiles.Save(tx, f, n)
}

// statusOf is what a file is after the bank's answer, and why.
func statusOf(was string, r sepa.StatusReport) (status, text string) {
	status = was
	switch {
	case r.Status.Bad():
		status = "rejected"
	case r.Status == sepa.Partly:
		status = "partly"
	case r.Status != "" && r.Status != sepa.Received && r.Status != sepa.Pending:
		status = "accepted"
	}
	if code := codeOf(r.Reasons); code != "" {
		text = strings.TrimSpace(code + " " + sepa.ReasonOf(code).Text)
	}
	return status, text
}
