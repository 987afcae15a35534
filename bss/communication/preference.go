package communication

import (
	"slices"
	"strconv"
	"time"

	"tandem/bss/party"
	"tandem/kit/civil"
	"tandem/kit/fault"
	"tandem/kit/store"
	"tandem/kit/tmf"
)

// OwnAPI is Tandem's own API of what stands behind messages.
var OwnAPI = tmf.API{ID: "COMMUNICATION", Name: "Communication Settings", Version: "1.0.0", Base: "/tandem-api/communication/v1"}

// Purposes of a message.
const (
	Service   = "service"   // about what the customer has or ordered
	Billing   = "billing"   // about what the customer owes
	Marketing = "marketing" // about what the customer might want
)

// Preference is what a customer wants to hear, where and when. There is one for
// a customer; its id is the customer's.
type Preference struct {
	tmf.Entity
	Customer   *tmf.Ref      `json:"customer,omitzero" tmf:"required"`
	Purpose    []PurposePref `json:"purpose,omitzero"`
	Language   string        `json:"language,omitzero"` // instead of the party's: de, en
	TimeZone   string        `json:"timeZone,omitzero"` // IANA name, for quiet hours
	QuietHours *QuietHours   `json:"quietHours,omitzero"`
	WebhookURL string        `json:"webhookUrl,omitzero"` // of business customers
}

// PurposePref is the channels a customer allows for a purpose, best first. An
// empty list: none.
type PurposePref struct {
	Name    string   `json:"name,omitzero" tmf:"required,enum=service|billing|marketing"`
	Channel []string `json:"channel,omitzero"`
	tmf.Extension
}

// QuietHours are from a time of day up to another, by the customer's clocks; they
// may run over midnight.
type QuietHours struct {
	From string `json:"from,omitzero" tmf:"required"` // 22:00
	To   string `json:"to,omitzero" tmf:"required"`   // 07:00
	tmf.Extension
}

// Preferences are the preferences of the tenant's customers.
var Preferences = tmf.Kind[Preference, *Preference]{
	API: &OwnAPI, Name: "communicationPreference", Table: "communication_preference", Verbs: tmf.All,
	Index: []string{"customer.id"}, Frozen: []string{"customer"},
}

func postPreference(tx *store.Tx, p *Preference) error {
	p.ID = p.Customer.ID
	return Preferences.Create(tx, p)
}

func checkPreference(tx *store.Tx, old, p *Preference) error {
	if old == nil {
		c, err := party.Customers.Lock(tx, p.Customer.ID)
		if fault.Is(err, fault.NotFound) {
			return fault.BadInput("unknownCustomer", "There is no customer with id %q", p.Customer.ID)
		}
		if err != nil {
			return err
		}
		p.Customer.Name, p.Customer.Href, p.Customer.ReferredType = c.Name, c.Href, "Customer"
	}
	for i, u := range p.Purpose {
		if slices.ContainsFunc(p.Purpose[:i], func(o PurposePref) bool { return o.Name == u.Name }) {
			return fault.BadInput("purposeTwice", "purpose %q is given twice", u.Name)
		}
		for _, c := range u.Channel {
			if c != Email && c != SMS && c != Webhook {
				return fault.BadInput("unknownChannel", "purpose %q: %q is not a channel; choose from email, sms, webhook", u.Name, c)
			}
		}
	}
	if p.WebhookURL != "" {
		if err := tmf.CheckOutbound("webhookUrl", p.WebhookURL, true); err != nil {
			return err
		}
	}
	return p.checkHours()
}

func (p *Preference) checkHours() error {
	if p.TimeZone != "" {
		if _, err := civil.LoadZone(p.TimeZone); err != nil {
			return fault.BadInput("unknownTimeZone", "timeZone: %v", err)
		}
	}
	q := p.QuietHours
	if q == nil {
		return nil
	}
	from, okFrom := clock(q.From)
	to, okTo := clock(q.To)
	switch {
	case !okFrom || !okTo:
		return fault.BadInput("invalidQuietHours", "quietHours are times of day like 22:00")
	case from == to:
		return fault.BadInput("invalidQuietHours", "quietHours from and to are the same; to hear nothing, allow no channel")
	case p.TimeZone == "":
		return fault.BadInput("timeZoneMissing", "quietHours need a timeZone such as Europe/Berlin")
	}
	return nil
}

// clock reads a time of day, hh:mm.
func clock(s string) (time.Duration, bool) {
	if len(s) != 5 || s[2] != ':' {
		return 0, false
	}
	h, errH := strconv.ParseUint(s[:2], 10, 8)
	m, errM := strconv.ParseUint(s[3:], 10, 8)
	return time.Duration(h)*time.Hour + time.Duration(m)*time.Minute, errH == nil && errM == nil && h < 24 && m < 60
}

// preferenceOf is a customer's preference, or that of one who never said anything.
func preferenceOf(tx *store.Tx, customer string) (*Preference, error) {
	p, err := Preferences.Get(tx, customer)
	if fault.Is(err, fault.NotFound) {
		return &Preference{}, nil
	}
	return p, err
}

// channels are those allowed for a purpose, best first.
func (p *Preference) channels(purpose string) []string {
	for _, u := range p.Purpose {
		if u.Name == purpose {
			return u.Channel
		}
	}
	if purpose == Marketing {
		return nil
	}
	return []string{Email, SMS}
}

// after is the first instant from t on that is not in the quiet hours.
func (p *Preference) after(t time.Time) (time.Time, error) {
	if p.QuietHours == nil {
		return t, nil
	}
	zone, err := civil.LoadZone(p.TimeZone)
	if err != nil {
		return t, err
	}
	from, _ := clock(p.QuietHours.From) // checked when saved
	to, _ := clock(p.QuietHours.To)
	today := civil.DateOf(t, zone)
	// The quiet time that holds t began today or yesterday.
	for _, day := range []civil.Date{today.AddDays(-1), today} {
		begin, end := day.At(from, zone), day.At(to, zone)
		if to < from {
			end = day.AddDays(1).At(to, zone)
		}
		if !t.Before(begin) && t.Before(end) {
			return end, nil
		}
	}
	return t, nil
}
