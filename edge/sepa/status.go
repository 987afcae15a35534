package sepa

import (
	"encoding/xml"
	"io"
	"time"

	"tandem/kit/fault"
	"tandem/kit/money"
)

// Status is what became of a file, a batch or a payment (ISO 20022
// ExternalPaymentTransactionStatus).
type Status string

const (
	Received  Status = "RCVD"
	Accepted  Status = "ACCP" // or ACTC, ACSP, ACWC: on its way
	Settled   Status = "ACSC"
	Partly    Status = "PART"
	Pending   Status = "PDNG"
	Rejected  Status = "RJCT"
	Cancelled Status = "CANC"
)

// Bad tells whether the payment will not be carried out.
func (s Status) Bad() bool { return s == Rejected || s == Cancelled }

// StatusReport is a bank's answer to a file of payments (pain.002).
type StatusReport struct {
	ID       string
	Created  time.Time
	Original string // message id of the file, see Sent.ID
	Message  string // its kind, such as pain.008
	Status   Status // of the whole file; "" when only batches have one
	Reasons  []StatusReason
	Count    int          // of payments in the file as the bank counted; 0: it does not say
	Sum      money.Amount // of the file as the bank added it up; no currency: it does not say
	Batches  []BatchStatus
}

// BatchStatus is the answer to a batch.
type BatchStatus struct {
	ID       string // see SentBatch.ID
	Status   Status
	Reasons  []StatusReason
	Payments []PaymentStatus
}

// PaymentStatus is the answer to one payment.
type PaymentStatus struct {
	EndToEnd string
	Mandate  string       // as far as the bank repeats it
	Amount   money.Amount // as far as the bank repeats it
	Status   Status
	Reasons  []StatusReason
}

// StatusReason is why: a code of ReasonOf, and what the bank wrote.
type StatusReason struct {
	Code string
	Text string
	By   string // BIC or name of who decided
}

// Of is what the report says about one payment: its own status, or that of its batch,
// or that of the whole file; ok is false where it says nothing. A bank lists by name
// only the payments it rejects, so a payment that is not listed in a batch that was
// accepted in part goes on.
func (s StatusReport) Of(batch, endToEnd string) (status Status, reasons []StatusReason, ok bool) {
	for _, b := range s.Batches {
		if b.ID != batch && b.ID != "" {
			continue
		}
		for _, p := range b.Payments {
			if p.EndToEnd == endToEnd && p.Status != "" {
				return p.Status, p.Reasons, true
			}
		}
		if b.ID == batch && b.Status != "" && b.Status != Partly {
			return b.Status, b.Reasons, true
		}
	}
	if s.Status == "" || s.Status == Partly {
		return "", nil, false
	}
	return s.Status, s.Reasons, true
}

// About refuses a report about another file than the one that was sent, or about one
// that changed on its way.
func (s StatusReport) About(sent Sent) error {
	switch {
	case s.Original != sent.ID:
		return fault.BadInput("statusForeign", "The bank's answer %s is about the file %q, not about %q", s.ID, s.Original, sent.ID)
	case s.Count != 0 && s.Count != sent.Count:
		return fault.BadInput("statusCount", "The bank counted %d payments in the file %s; %d were sent", s.Count, sent.ID, sent.Count)
	case s.Sum.Currency != (money.Currency{}) && s.Sum != sent.Sum:
		return fault.BadInput("statusSum", "The bank added the file %s up to %s; %s were sent", sent.ID, s.Sum, sent.Sum)
	}
	return nil
}

// ReadStatus reads a customer payment status report, pain.002 of any version. Counts
// and sums that the bank gives are checked against what it lists.
func ReadStatus(in io.Reader, lim Limits) (StatusReport, error) {
	r := newReader(in, lim.orUsual())
	if _, err := r.begin(map[string]string{"pain.002": "CstmrPmtStsRpt"}); err != nil {
		return StatusReport{}, err
	}
	var out StatusReport
	err := r.each(func(name string, el xml.StartElement) error {
		switch name {
		case "GrpHdr":
			return r.statusHead(el, &out)
		case "OrgnlGrpInfAndSts":
			return r.statusGroup(el, &out)
		case "OrgnlPmtInfAndSts":
			b, err := r.statusBatch()
			out.Batches = append(out.Batches, b)
			return err
		}
		return r.skip()
	})
	if err == nil {
		err = r.finish()
	}
	if err == nil {
		err = out.valid()
	}
	if err != nil {
		return StatusReport{}, err
	}
	return out, nil
}

// valid refuses a report that cannot be understood.
func (s StatusReport) valid() error {
	if s.ID == "" || s.Original == "" {
		return fault.BadInput("statusForm", "The bank's answer does not say which file it is about")
	}
	if s.Status == Partly && len(s.Batches) == 0 {
		return fault.BadInput("statusForm", "The bank took the file %s in part but does not say which part", s.Original)
	}
	if s.Status == "" && len(s.Batches) == 0 {
		return fault.BadInput("statusForm", "The bank's answer about the file %s has no status", s.Original)
	}
	return nil
}

func (r *reader) statusHead(el xml.StartElement, out *StatusReport) error {
	n, err := r.tree(el)
	if err != nil {
		return err
	}
	out.ID = n.str("MsgId")
	out.Created, err = r.instant(n.str("CreDtTm"), "The time of the answer")
	return err
}

func (r *reader) statusGroup(el xml.StartElement, out *StatusReport) error {
	n, err := r.tree(el)
	if err != nil {
		return err
	}
	out.Original, out.Message = n.str("OrgnlMsgId"), prefix(n.str("OrgnlMsgNmId"), len("pain.008"))
	out.Status, out.Reasons = Status(n.str("GrpSts")), whys(n)
	if text := n.str("OrgnlNbOfTxs"); text != "" {
		if out.Count, err = r.number(text, "The number of payments of the file"); err != nil {
			return err
		}
	}
	if text := n.str("OrgnlCtrlSum"); text != "" {
		out.Sum, err = r.decimal(text, money.EUR, "The sum of the file")
	}
	return err
}

// statusBatch reads one OrgnlPmtInfAndSts; its transactions come one by one.
func (r *reader) statusBatch() (BatchStatus, error) {
	var b BatchStatus
	sums := newStatusSums()
	err := r.each(func(name string, el xml.StartElement) error {
		n, err := r.tree(el)
		if err != nil {
			return err
		}
		switch name {
		case "OrgnlPmtInfId":
			b.ID = n.text
		case "PmtInfSts":
			b.Status = Status(n.text)
		case "StsRsnInf":
			b.Reasons = append(b.Reasons, why(n))
		case "NbOfTxsPerSts":
			return sums.announce(r, n)
		case "TxInfAndSts":
			p, err := r.statusPayment(n)
			if err != nil {
				return err
			}
			b.Payments = append(b.Payments, p)
			return sums.add(r, p)
		}
		return nil
	})
	if err == nil {
		err = sums.check(r, b)
	}
	return b, err
}

func (r *reader) statusPayment(n *node) (PaymentStatus, error) {
	if err := r.count(); err != nil {
		return PaymentStatus{}, err
	}
	p := PaymentStatus{
		EndToEnd: n.str("OrgnlEndToEndId"), Status: Status(n.str("TxSts")), Reasons: whys(n),
		Mandate: n.str("OrgnlTxRef", "MndtRltdInf", "MndtId"),
	}
	if p.Mandate == "" { // since the version of 2019 the mandate is one of two kinds
		p.Mandate = n.str("OrgnlTxRef", "MndtRltdInf", "DrctDbtMndt", "MndtId")
	}
	if p.EndToEnd == "" {
		return p, r.bad("statusForm", "a payment in the bank's answer has no end-to-end reference")
	}
	sum := n.at("OrgnlTxRef", "Amt", "InstdAmt")
	if sum == nil {
		return p, nil
	}
	var err error
	p.Amount, err = r.sum(sum, "The payment "+p.EndToEnd)
	return p, err
}

// statusSums compares what a batch announces per status (NbOfTxsPerSts) with the
// payments that it lists. A status none of which is listed is not compared: banks
// count what they accepted and list what they rejected.
type statusSums struct {
	announced map[Status]int
	sums      map[Status]money.Amount
	listed    map[Status]int
	total     map[Status]money.Amount
	complete  map[Status]bool // every listed payment has its amount
}

func newStatusSums() *statusSums {
	return &statusSums{map[Status]int{}, map[Status]money.Amount{}, map[Status]int{}, map[Status]money.Amount{}, map[Status]bool{}}
}

func (s *statusSums) announce(r *reader, n *node) error {
	st := Status(n.str("DtldSts"))
	count, err := r.number(n.str("DtldNbOfTxs"), "The number of payments with status "+string(st))
	if err != nil {
		return err
	}
	s.announced[st] = count
	if sum := n.str("DtldCtrlSum"); sum != "" {
		s.sums[st], err = r.decimal(sum, money.EUR, "The sum of payments with status "+string(st))
	}
	return err
}

func (s *statusSums) add(r *reader, p PaymentStatus) (err error) {
	if s.listed[p.Status] == 0 {
		s.complete[p.Status], s.total[p.Status] = true, money.Amount{Currency: money.EUR}
	}
	s.listed[p.Status]++
	if p.Amount.Currency != money.EUR {
		s.complete[p.Status] = false
		return nil
	}
	if s.total[p.Status], err = s.total[p.Status].Add(p.Amount); err != nil {
		return r.bad("amount", "the payments add up to more than can be counted")
	}
	return nil
}

func (s *statusSums) check(r *reader, b BatchStatus) error {
	for st, listed := range s.listed {
		if want, ok := s.announced[st]; ok && want != listed {
			return r.bad("statusCount", "the batch %s announces %d payments with status %s and lists %d", b.ID, want, st, listed)
		}
		if want, ok := s.sums[st]; ok && s.complete[st] && want != s.total[st] {
			return r.bad("statusSum", "the batch %s announces %s for status %s; what it lists adds up to %s", b.ID, want, st, s.total[st])
		}
	}
	return nil
}

// whys are all reasons of an element.
func whys(n *node) []StatusReason {
	var out []StatusReason
	for _, k := range n.all("StsRsnInf") {
		out = append(out, why(k))
	}
	return out
}

func why(n *node) StatusReason {
	out := StatusReason{Code: n.str("Rsn", "Cd"), By: n.str("Orgtr", "Nm")}
	if out.Code == "" {
		out.Code = n.str("Rsn", "Prtry")
	}
	for _, path := range [][]string{{"BICOrBEI"}, {"AnyBIC"}} {
		if bic := n.str(append([]string{"Orgtr", "Id", "OrgId"}, path...)...); bic != "" {
			out.By = bic
		}
	}
	for _, k := range n.all("AddtlInf") {
		out.Text = joined(out.Text, k.text)
	}
	return out
}

// joined puts lines that a message had to break into one text.
func joined(a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a + " " + b
}
