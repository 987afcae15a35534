package card

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode"

	"tandem/kit/fault"
	"tandem/kit/money"
)

type wirePayment struct {
	Attempt     string `json:"attempt"`
	Token       string `json:"token"`
	Amount      int64  `json:"amount"`
	Currency    string `json:"currency"`
	Capture     bool   `json:"capture"`
	Initiator   string `json:"initiator"`
	Description string `json:"description,omitempty"`
	Reference   string `json:"reference,omitempty"`
	ReturnURL   string `json:"returnUrl,omitempty"`
}

type wireCapture struct {
	Attempt  string `json:"attempt"`
	Amount   int64  `json:"amount"`
	Currency string `json:"currency"`
}

type wireRefund struct {
	Attempt     string `json:"attempt"`
	Payment     string `json:"payment"`
	Amount      int64  `json:"amount"`
	Currency    string `json:"currency"`
	Description string `json:"description,omitempty"`
}

type wireResult struct {
	Attempt  string `json:"attempt"`
	Kind     string `json:"kind"`
	ID       string `json:"id"`
	Payment  string `json:"payment"`
	Status   string `json:"status"`
	Amount   int64  `json:"amount"`
	Currency string `json:"currency"`
	Revision int64  `json:"revision"`
	Decline  struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	} `json:"decline"`
	RedirectURL string `json:"redirectUrl"`
	Card        struct {
		Brand   string `json:"brand"`
		Last4   string `json:"last4"`
		Expires string `json:"expires"`
	} `json:"card"`
}

// want is what an answer must be about; a zero kind is any.
type want struct {
	attempt string
	kind    Kind
	amount  money.Amount
}

// result reads an answer. One about something else than was asked is an error: to take
// it would book another payment's money.
func (w want) result(text []byte) (Result, error) {
	var in wireResult
	if err := json.Unmarshal(text, &in); err != nil {
		return Result{}, fmt.Errorf("the answer is not readable: %w", err)
	}
	if in.Attempt != w.attempt {
		return Result{}, errors.New("the answer is about another attempt")
	}
	r, err := in.result()
	if err != nil {
		return r, err
	}
	if r.Kind == "" && r.Status == Cancelled {
		return r, nil
	}
	if w.kind != "" && r.Kind != w.kind {
		return r, errors.New("the answer is about another kind of attempt")
	}
	if w.kind != "" && r.Amount != w.amount {
		return r, fmt.Errorf("the answer is about %s, not about %s", r.Amount, w.amount)
	}
	return r, nil
}

// statuses are those that each kind of attempt can have.
var statuses = map[Kind][]Status{
	KindPayment: {Succeeded, Authorised, Declined, Pending, RequiresAction, Cancelled},
	KindCapture: {Succeeded, Declined, Pending, Cancelled},
	KindRefund:  {Succeeded, Declined, Pending, Cancelled},
}

func (in wireResult) result() (Result, error) {
	r := Result{
		Attempt: in.Attempt, Kind: Kind(in.Kind), ID: in.ID, Payment: in.Payment, Status: Status(in.Status), Revision: in.Revision,
		Decline: Decline{Code: clean(in.Decline.Code, 60), Message: clean(in.Decline.Message, 200)}, RedirectURL: in.RedirectURL,
		Card: Card{Brand: clean(in.Card.Brand, 40), Last4: clean(in.Card.Last4, 4), Expires: clean(in.Card.Expires, 7)},
	}
	if err := attemptForm(in.Attempt); err != nil {
		return r, err
	}
	// An attempt that never came has no kind and no amount; nor has one that was
	// cancelled before it came.
	if r.Status == Absent || r.Status == Cancelled && in.Kind == "" {
		return r, nil
	}
	known := false
	for _, s := range statuses[r.Kind] {
		known = known || s == r.Status
	}
	if !known {
		return r, fmt.Errorf("a %.20q cannot be %.40q", in.Kind, in.Status)
	}
	if len(in.ID) > 100 || len(in.Payment) > 100 || len(in.RedirectURL) > 2000 || HasNumber(in.ID) || HasNumber(in.Payment) {
		return r, errors.New("an id is too long or a card number")
	}
	if in.Payment == "" && r.Status != Cancelled && r.Status != Declined {
		return r, errors.New("the payment has no id")
	}
	if r.Status == RequiresAction && !strings.HasPrefix(in.RedirectURL, "https://") {
		return r, errors.New("the customer must confirm, but no page is named")
	}
	var err error
	r.Amount, err = amountOf(in.Amount, in.Currency)
	return r, err
}

func amountOf(minor int64, currency string) (money.Amount, error) {
	c, err := money.ParseCurrency(currency)
	if err != nil {
		return money.Amount{}, err
	}
	if minor < 0 {
		return money.Amount{}, errors.New("the amount is negative")
	}
	return money.Amount{Minor: minor, Currency: c}, nil
}

// clean makes foreign words fit to be shown: short, one line, no card numbers.
func clean(text string, longest int) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == unicode.ReplacementChar {
			return ' '
		}
		return r
	}, Scrub(text))
	if runes := []rune(text); len(runes) > longest {
		text = string(runes[:longest])
	}
	return strings.TrimSpace(text)
}

var attemptPattern = regexp.MustCompile(`^[A-Za-z0-9_-]{8,64}$`)

func attemptForm(attempt string) error {
	if !attemptPattern.MatchString(attempt) {
		return fault.BadInput("attemptForm", "An attempt is named by 8 to 64 letters, digits, dashes and underscores")
	}
	return refuseNumbers("attempt", attempt)
}

// valid refuses a payment that must not be sent.
func (p Payment) valid() error {
	if err := movement(p.Attempt, "-", p.Amount); err != nil {
		return err
	}
	if p.Token == "" || len(p.Token) > 255 || strings.ContainsFunc(string(p.Token), func(r rune) bool { return r <= ' ' || r > '~' }) {
		return fault.BadInput("tokenForm", "The token of the card is missing or not one that a gateway gives")
	}
	if p.Initiator != Customer && p.Initiator != Merchant {
		return fault.BadInput("initiator", "A payment is started by the customer or by the merchant")
	}
	if len(p.Description) > 200 || len(p.Reference) > 100 || len(p.ReturnURL) > 2000 {
		return fault.BadInput("paymentText", "The description, the reference or the return address of the payment is too long")
	}
	return refuseNumbers("token", string(p.Token), "description", p.Description, "reference", p.Reference, "return address", p.ReturnURL)
}

// movement refuses what no movement of money may be.
func movement(attempt, payment string, a money.Amount) error {
	if err := attemptForm(attempt); err != nil {
		return err
	}
	if payment == "" || len(payment) > 100 {
		return fault.BadInput("paymentMissing", "The gateway's id of the payment is missing")
	}
	if a.Currency == (money.Currency{}) || a.Minor <= 0 {
		return fault.BadInput("amountNotPositive", "%s cannot be moved on a card", a)
	}
	return refuseNumbers("payment id", payment)
}
