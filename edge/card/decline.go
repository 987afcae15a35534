package card

// Decline is why the card's bank said no.
type Decline struct {
	Code    string
	Message string // by the gateway, for our agent; card numbers in it are masked
}

// Hard tells whether the card will say no again: another try costs fees and is
// forbidden by the card schemes. A code that is not known counts as soft.
func (d Decline) Hard() bool { return declines[d.Code].hard }

// Advice is what to tell the customer.
func (d Decline) Advice() string {
	if row, ok := declines[d.Code]; ok {
		return row.advice
	}
	return "The card's bank declined the payment without a reason; try again later or take another card"
}

var declines = map[string]struct {
	hard   bool
	advice string
}{
	"insufficient_funds":      {false, "There is not enough money in the account of the card; try again later"},
	"limit_exceeded":          {false, "The limit of the card is reached; try again later or take another card"},
	"do_not_honor":            {false, "The card's bank declined the payment; ask the bank or take another card"},
	"try_again_later":         {false, "The card's bank could not be reached; try again later"},
	"processing_error":        {false, "The payment could not be processed; try again later"},
	"authentication_required": {false, "The card's bank wants the payment confirmed: pay in the portal and confirm it there"},
	"authentication_failed":   {false, "The payment was not confirmed; try again and confirm it"},
	"expired_card":            {true, "The card has expired; enter the new card"},
	"invalid_card":            {true, "The card is not valid any more; enter another card"},
	"card_not_supported":      {true, "The card does not allow this kind of payment; take another card"},
	"closed_account":          {true, "The account of the card is closed; take another card"},
	"lost_card":               {true, "The card was declined; take another card"},
	"stolen_card":             {true, "The card was declined; take another card"},
	"pickup_card":             {true, "The card was declined; take another card"},
	"fraud_suspected":         {true, "The card was declined; take another card"},
	"revoked":                 {true, "The permission to charge the card was withdrawn; ask for another way to pay"},
}
