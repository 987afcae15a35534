package party

import (
	"net/mail"
	"regexp"
	"slices"
	"strings"
	"time"

	"tandem/kit/fault"
	"tandem/kit/tmf"
)

// ContactMedium is a way to reach somebody.
type ContactMedium struct {
	MediumType     string                `json:"mediumType,omitzero"` // email, mobile, postalAddress
	Preferred      *bool                 `json:"preferred,omitzero"`
	Characteristic *MediumCharacteristic `json:"characteristic,omitzero"`
	ValidFor       *tmf.TimePeriod       `json:"validFor,omitzero"`
	tmf.Extension
}

// MediumCharacteristic is the address itself: of a mailbox, a phone or a house.
type MediumCharacteristic struct {
	ContactType     string `json:"contactType,omitzero"` // private, office, delivery
	EmailAddress    string `json:"emailAddress,omitzero"`
	PhoneNumber     string `json:"phoneNumber,omitzero"`
	FaxNumber       string `json:"faxNumber,omitzero"`
	SocialNetworkID string `json:"socialNetworkId,omitzero"`
	Street1         string `json:"street1,omitzero"`
	Street2         string `json:"street2,omitzero"`
	PostCode        string `json:"postCode,omitzero"`
	City            string `json:"city,omitzero"`
	StateOrProvince string `json:"stateOrProvince,omitzero"`
	Country         string `json:"country,omitzero"`
	tmf.Extension
}

// Media whose type promises an address of a certain sort. Types are compared in
// lower case without blanks; others are the operator's own and promise nothing.
var (
	mailMedia  = []string{"email", "emailaddress", "e-mail"}
	phoneMedia = []string{"phone", "phonenumber", "telephone", "telephonenumber", "mobile", "mobilephone", "sms"}
)

func medium(m ContactMedium, names []string) bool {
	return slices.Contains(names, strings.ToLower(strings.ReplaceAll(m.MediumType, " ", "")))
}

func checkMedia(media []ContactMedium) error {
	for i, m := range media {
		c := m.Characteristic
		if c == nil {
			c = &MediumCharacteristic{}
		}
		switch {
		case medium(m, mailMedia) && c.EmailAddress == "":
			return fault.BadInput("incompleteContact", "contactMedium[%d] is an %s without emailAddress", i, m.MediumType)
		case medium(m, phoneMedia) && c.PhoneNumber == "":
			return fault.BadInput("incompleteContact", "contactMedium[%d] is a %s without phoneNumber", i, m.MediumType)
		case c.EmailAddress != "" && !isMailbox(c.EmailAddress):
			return fault.BadInput("invalidEmail", "contactMedium[%d]: %q is not an e-mail address like anna@example.com", i, c.EmailAddress)
		case c.PhoneNumber != "" && !isPhone(c.PhoneNumber):
			return fault.BadInput("invalidPhone", "contactMedium[%d]: %q is not a phone number like +491701234567", i, c.PhoneNumber)
		case c.FaxNumber != "" && !isPhone(c.FaxNumber):
			return fault.BadInput("invalidPhone", "contactMedium[%d]: %q is not a fax number like +49301234567", i, c.FaxNumber)
		}
	}
	return nil
}

// isMailbox accepts an addr-spec of RFC 5322 without display name or comment.
func isMailbox(s string) bool {
	a, err := mail.ParseAddress(s)
	return err == nil && a.Address == s && len(s) <= 254 // RFC 5321 4.5.3.1.3
}

// phone is E.164 (at most 15 digits, no leading zero after the plus) or a number
// as dialled in the country, with the separators people write.
var phone = regexp.MustCompile(`^(\+[1-9][0-9]{2,14}|[0-9]{3,15})$`)

func isPhone(s string) bool {
	return phone.MatchString(strings.NewReplacer(" ", "", "-", "", ".", "", "/", "", "(", "", ")", "").Replace(s))
}

// Contact is where and how messages reach a customer. Empty means unknown.
type Contact struct {
	Email    string
	Phone    string
	Name     string
	Language string // ISO 639 code as the party gave it
}

// fill takes addresses that are still unknown from media valid at the instant:
// preferred ones first, then in the order given.
func (c *Contact) fill(media []ContactMedium, at time.Time) {
	for _, wantPreferred := range []bool{true, false} {
		for _, m := range media {
			preferred := m.Preferred != nil && *m.Preferred
			if preferred != wantPreferred || m.Characteristic == nil || !m.ValidFor.Holds(at) {
				continue
			}
			if c.Email == "" {
				c.Email = m.Characteristic.EmailAddress
			}
			if c.Phone == "" {
				c.Phone = m.Characteristic.PhoneNumber
			}
		}
	}
}
