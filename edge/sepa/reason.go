package sepa

import "fmt"

// Action is what a creditor does about a payment that the bank did not carry out.
type Action uint8

const (
	Review      Action = iota + 1 // a person looks at it; nothing is collected meanwhile
	Retry                         // the mandate is good: collect again later
	RetryOnce                     // the true reason is hidden: once more, then as StopMandate
	Reopen                        // the debtor took the money back: open again, talk before collecting
	Correct                       // our data is wrong: mend it, then collect again
	StopMandate                   // collect no more under this mandate; ask for another way to pay
)

var actions = [...]string{"", "review", "retry", "retryOnce", "reopen", "correct", "stopMandate"}

func (a Action) String() string { return named(actions[:], int(a)) }

// Reason is what a reason code of a rejection, refusal, return or refund means for
// the creditor (ISO 20022 external code set; EPC173-14 for their use in direct debits).
type Reason struct {
	Code   string
	Text   string // for the agent at the desk
	Action Action
	// Ours is true when the cause lies in what the creditor sent, so that the
	// customer owes no fee for it.
	Ours bool
}

// ReasonOf explains a code. One that is not known goes to a person.
func ReasonOf(code string) Reason {
	if r, ok := reasons[code]; ok {
		return r
	}
	return Reason{Code: code, Text: fmt.Sprintf("The bank gives the reason %.10q, which is not known here", code), Action: Review}
}

var reasons = byCode([]Reason{
	// The account
	{"AC01", "The account number is wrong", StopMandate, false},
	{"AC04", "The account is closed", StopMandate, false},
	{"AC06", "The account is blocked", StopMandate, false},
	{"AC13", "The account is a consumer's, the scheme is for businesses", StopMandate, true},
	{"AG01", "The account does not allow direct debits", StopMandate, false},
	{"DNOR", "The debtor's bank cannot be reached", StopMandate, false},
	{"RC01", "The bank code is wrong", Correct, true},
	{"RC03", "The code of the debtor's bank is wrong", Correct, true},
	{"RC04", "The code of the creditor's bank is wrong", Correct, true},
	// The money
	{"AM04", "There was not enough money in the account", Retry, false},
	{"AM05", "The same payment was sent twice", Review, true},
	{"AM01", "The amount is zero", Correct, true},
	{"AM02", "The amount is more than the scheme allows", Correct, true},
	{"AM03", "The currency is not accepted", Correct, true},
	{"AM09", "The amount is wrong", Review, true},
	{"AM10", "The control sum of the file is wrong", Correct, true},
	{"AM18", "The number of payments in the file is wrong", Correct, true},
	{"CURR", "The currency is wrong", Correct, true},
	{"ED05", "The settlement between the banks failed", Retry, false},
	{"UPAY", "The payment is not due", Review, true},
	// The mandate
	{"MD01", "There is no valid mandate, or it was cancelled", StopMandate, false},
	{"MD02", "The details of the mandate are missing or wrong", Correct, true},
	{"MD05", "The collection was not due", Review, true},
	{"MD06", "The debtor asked for the money back", Reopen, false},
	{"MD07", "The debtor has died", StopMandate, false},
	{"MS02", "The debtor refused the collection", Reopen, false},
	{"MS03", "The debtor's bank gives no reason", RetryOnce, false},
	{"SL01", "The debtor had collections by this creditor blocked", StopMandate, false},
	{"SL11", "The creditor is not on the debtor's list of those allowed", StopMandate, false},
	{"SL12", "The creditor is on the debtor's list of those refused", StopMandate, false},
	{"SL13", "The debtor's limit on direct debits was passed", Review, false},
	{"SL14", "The debtor's limit on the number of direct debits was passed", Review, false},
	// The parties
	{"BE01", "The name does not belong to the account", Correct, false},
	{"BE04", "The creditor's address is missing or wrong", Correct, true},
	{"BE05", "The creditor identifier is wrong", Correct, true},
	{"BE06", "The bank does not know the customer", StopMandate, false},
	{"BE07", "The debtor's address is missing or wrong", Correct, true},
	{"CNOR", "The creditor's bank is not registered for the scheme", Review, true},
	{"FR01", "The bank suspects fraud", StopMandate, false},
	{"RR01", "The bank must know the debtor's account or identification", Correct, true},
	{"RR02", "The bank must know the debtor's name or address", Correct, true},
	{"RR03", "The bank must know the creditor's name or address", Correct, true},
	{"RR04", "A regulation forbids the payment", Review, false},
	// The file
	{"AG02", "The sequence type or the scheme is wrong", Correct, true},
	{"DT01", "The date is wrong", Correct, true},
	{"DU01", "The message was sent twice", Review, true},
	{"DU02", "The batch was sent twice", Review, true},
	{"DU03", "The transaction was sent twice", Review, true},
	{"DUPL", "The payment was sent twice", Review, true},
	{"FF01", "The file is not as the bank wants it", Correct, true},
	{"FF05", "The scheme is missing or wrong", Correct, true},
	{"TECH", "A technical problem at a bank", Retry, false},
	{"TM01", "The file came after the cut-off", Retry, true},
	// Afterwards
	{"CUST", "The customer asked for it", Review, false},
	{"FOCR", "It was recalled", Review, false},
	{"NARR", "The bank wrote the reason as text", Review, false},
	{"NOAS", "The other side did not answer", Review, false},
	{"NOOR", "The original payment was not found", Review, false},
})

func byCode(rows []Reason) map[string]Reason {
	out := make(map[string]Reason, len(rows))
	for _, r := range rows {
		out[r.Code] = r
	}
	return out
}
