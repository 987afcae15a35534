package card

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"tandem/kit/money"
)

// Gateway moves money of cards. Each call names its attempt (see the package
// comment). An error is one of three: Unknown(err), money may have moved and Ask
// tells; Transient(err), it has not and the same attempt may be sent later; anything
// else is a fault of the request or of the configuration, and no money has moved.
type Gateway interface {
	// Authorise reserves the amount; Capture takes it.
	Authorise(ctx context.Context, p Payment) (Result, error)
	// Charge takes the amount at once.
	Charge(ctx context.Context, p Payment) (Result, error)
	// Capture takes all or a part of what was authorised.
	Capture(ctx context.Context, c Capture) (Result, error)
	// Refund gives back all or a part of what was taken.
	Refund(ctx context.Context, r Refund) (Result, error)
	// Ask tells how an attempt stands; Absent if the gateway never saw it. An attempt
	// whose request may still be on its way can be Absent now and succeed later: send
	// it again or Cancel it, never mint another in its place before.
	Ask(ctx context.Context, attempt string) (Result, error)
	// Cancel ends an attempt: what was authorised is released, what was not yet seen
	// will never succeed. One that has already taken money stays Succeeded.
	Cancel(ctx context.Context, attempt string) (Result, error)
	// Webhook checks that the gateway sent the message, lately, and reads it.
	Webhook(header http.Header, body []byte, now time.Time) (Event, error)
}

// Token stands for a card at the gateway. It is not a card number, and logs do not
// show it all the same.
type Token string

// String masks the token wherever it is printed.
func (t Token) String() string { return t.masked() }

// GoString masks the token wherever it is printed.
func (t Token) GoString() string { return t.masked() }

// LogValue masks the token in logs.
func (t Token) LogValue() slog.Value { return slog.StringValue(t.masked()) }

func (t Token) masked() string {
	if len(t) < 12 {
		return "token"
	}
	return "token..." + string(t[len(t)-4:])
}

// Initiator says who started a payment: it decides whether the customer can be asked
// to confirm it (3-D Secure).
type Initiator string

const (
	Customer Initiator = "customer" // is at the screen
	Merchant Initiator = "merchant" // a recurring payment under an agreement
)

// Payment is money to take from a card.
type Payment struct {
	Attempt     string // 8 to 64 letters, digits, - and _
	Token       Token
	Amount      money.Amount
	Initiator   Initiator
	Description string // on the card holder's statement
	Reference   string // our own, such as the invoice number
	ReturnURL   string // where the customer comes back to after confirming
}

// LogValue shows in logs what is needed to find the payment, and no token.
func (p Payment) LogValue() slog.Value {
	return slog.GroupValue(slog.String("attempt", p.Attempt), slog.String("amount", p.Amount.String()), slog.String("reference", p.Reference))
}

// Capture takes what was authorised.
type Capture struct {
	Attempt string
	Payment string // Result.Payment of the authorisation
	Amount  money.Amount
}

// Refund gives back what was taken.
type Refund struct {
	Attempt     string
	Payment     string // Result.Payment of the payment
	Amount      money.Amount
	Description string
}

// Status is how an attempt stands.
type Status string

const (
	Succeeded      Status = "succeeded"       // the money moved; final
	Authorised     Status = "authorised"      // reserved, not yet taken
	Declined       Status = "declined"        // final: another try is another attempt
	Pending        Status = "pending"         // a webhook or Ask will tell
	RequiresAction Status = "requires_action" // the customer must confirm at RedirectURL
	Cancelled      Status = "cancelled"       // will never move money; final
	Absent         Status = "absent"          // the gateway never saw it
)

// Final tells whether the attempt can change no more.
func (s Status) Final() bool { return s == Succeeded || s == Declined || s == Cancelled }

// Kind is what an attempt does.
type Kind string

const (
	KindPayment Kind = "payment"
	KindCapture Kind = "capture"
	KindRefund  Kind = "refund"
)

// Result is an attempt as it stands at the gateway.
type Result struct {
	Attempt     string
	Kind        Kind
	ID          string // the gateway's id of this movement
	Payment     string // the gateway's id of the payment it belongs to
	Status      Status
	Amount      money.Amount
	Revision    int64 // grows with every change
	Decline     Decline
	RedirectURL string
	Card        Card
}

// Card is what may be shown of a card.
type Card struct {
	Brand   string
	Last4   string
	Expires string // YYYY-MM
}

// Event is what a webhook tells. The same Event.ID comes again and again; Result is
// newer than what is known only if its Revision is.
type Event struct {
	ID      string
	Type    EventType
	Created time.Time
	Result  Result
	Dispute *Dispute
}

// EventType is what happened.
type EventType string

const (
	AttemptChanged EventType = "attempt.changed"
	DisputeOpened  EventType = "dispute.opened" // a chargeback: the money is gone
	DisputeWon     EventType = "dispute.won"    // it came back
	DisputeLost    EventType = "dispute.lost"
)

// Dispute is a chargeback of a payment.
type Dispute struct {
	ID      string
	Payment string
	Amount  money.Amount
	Fee     money.Amount // what the gateway takes for it
	Reason  string
	Answer  time.Time // evidence is taken until then
}
