package communication

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"regexp"
	"time"

	"tandem/bss/party"
	"tandem/kit/civil"
	"tandem/kit/fault"
	"tandem/kit/store"
	"tandem/kit/tmf"
)

// Notice is something a room wants a customer to know.
type Notice struct {
	Key      string            // what it is about; a second notice with the key is the same one
	Customer string            // id
	Purpose  string            // Service, Billing or Marketing
	Template string            // name
	Values   map[string]string // for the placeholders; "customer" and "date" are added
	At       time.Time         // the date the notice is about
	Urgent   bool              // not held back by quiet hours
	Document string            // that travels with an e-mail, as Delivery.Documents knows it; "": none
}

// UnsentNotice is a notice nobody could be given, and why.
type UnsentNotice struct {
	tmf.Entity
	Customer *tmf.Ref  `json:"customer,omitzero"`
	Purpose  string    `json:"purpose,omitzero"`
	Template string    `json:"template,omitzero"`
	Reason   string    `json:"reason,omitzero"`
	Date     time.Time `json:"date,omitzero"`
}

// Unsent are the tenant's notices that reached nobody.
var Unsent = tmf.Kind[UnsentNotice, *UnsentNotice]{
	API: &OwnAPI, Name: "unsentNotice", Table: "communication_unsent", Verbs: tmf.ReadOnly,
	Index: []string{"customer.id", "date"},
}

// Send makes a message of a notice, to where the customer wants it and at a time
// the customer allows. If there is nowhere to send it, that is noted with its
// reason, and is no error: the fact it is about is true all the same.
func Send(tx *store.Tx, n Notice) (err error) {
	defer fault.Wrap(&err, "communication.Send(%s)", n.Key)
	id := n.id()
	if known, err := said(tx, id); err != nil || known {
		return err
	}
	if n.Customer == "" {
		return unsent(tx, id, n, "Nobody is named as the customer")
	}
	contact, err := party.Contacts(tx, n.Customer)
	if fault.Is(err, fault.NotFound) {
		return unsent(tx, id, n, fmt.Sprintf("There is no customer with id %q", n.Customer))
	}
	if err != nil {
		return err
	}
	pref, err := preferenceOf(tx, n.Customer)
	if err != nil {
		return err
	}
	channel, receiver := pref.reach(n, contact)
	if channel == "" {
		return unsent(tx, id, n, pref.unreachable(n.Purpose))
	}
	m, err := n.message(tx, pref, contact, channel)
	if err != nil {
		return err
	}
	m.ID, m.Receiver = id, []Receiver{receiver}
	if n.Document != "" {
		keepDocument(tx, id, n.Document)
	}
	return Messages.Create(tx, m)
}

var idShape = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:-]{0,99}$`)

// id is made from the key, so that a second notice with it is recognised.
func (n Notice) id() string {
	if idShape.MatchString(n.Key) {
		return n.Key
	}
	sum := sha256.Sum256([]byte(n.Key))
	return "notice-" + hex.EncodeToString(sum[:16])
}

// said says that the notice was sent, or noted as unsent, before.
func said(tx *store.Tx, id string) (bool, error) {
	_, err := Messages.Get(tx, id)
	if fault.Is(err, fault.NotFound) {
		_, err = Unsent.Get(tx, id)
	}
	if fault.Is(err, fault.NotFound) {
		return false, nil
	}
	return err == nil, err
}

func unsent(tx *store.Tx, id string, n Notice, reason string) error {
	u := &UnsentNotice{Purpose: n.Purpose, Template: n.Template, Reason: reason, Date: tx.Now()}
	u.ID = id
	if n.Customer != "" {
		u.Customer = &tmf.Ref{ID: n.Customer, ReferredType: "Customer"}
	}
	return Unsent.Create(tx, u)
}

// reach is the best allowed channel on which the customer can be reached.
func (p *Preference) reach(n Notice, c party.Contact) (channel string, r Receiver) {
	r = Receiver{ID: n.Customer, Name: c.Name, Party: &tmf.RelatedParty{ID: n.Customer, Role: "customer", ReferredType: "Customer"}}
	for _, channel := range p.channels(n.Purpose) {
		switch {
		case channel == Email && c.Email != "":
			r.Email = c.Email
			return Email, r
		case channel == SMS && c.Phone != "":
			r.PhoneNumber = c.Phone
			return SMS, r
		case channel == Webhook && p.WebhookURL != "":
			r.URL = p.WebhookURL
			return Webhook, r
		}
	}
	return "", r
}

func (p *Preference) unreachable(purpose string) string {
	allowed := p.channels(purpose)
	if len(allowed) == 0 {
		return fmt.Sprintf("The customer wants no %s messages", purpose)
	}
	return fmt.Sprintf("No address is known for the allowed channels %v", allowed)
}

// message is the notice in the customer's words, for the first allowed time.
func (n Notice) message(tx *store.Tx, pref *Preference, c party.Contact, channel string) (*Message, error) {
	lang := pref.Language
	if lang == "" {
		lang = c.Language
	}
	w, err := find(tx, n.Template, channel, lang)
	if err != nil {
		return nil, err
	}
	values := maps.Clone(n.Values)
	if values == nil {
		values = map[string]string{}
	}
	values["customer"] = c.Name
	if values["date"], err = pref.date(n.At, lang); err != nil {
		return nil, err
	}
	m := &Message{MessageType: channel, Description: n.Template, Sender: &Sender{ID: tx.Tenant()},
		Characteristic: []tmf.Characteristic{tmf.Text("purpose", n.Purpose), tmf.Text("template", n.Template)}}
	if m.Subject, m.Content, err = w.fill(n.Template, values); err != nil {
		return nil, err
	}
	if n.Urgent {
		return m, nil
	}
	when, err := pref.after(tx.Now())
	if when.After(tx.Now()) {
		m.ScheduledSendTime = when
	}
	return m, err
}

// date writes a date as the language does, by the customer's clocks (UTC if their
// zone is unknown).
func (p *Preference) date(at time.Time, lang string) (string, error) {
	if at.IsZero() {
		return "", nil
	}
	zone := time.UTC
	if p.TimeZone != "" {
		var err error
		if zone, err = civil.LoadZone(p.TimeZone); err != nil {
			return "", err
		}
	}
	if language(lang) == "de" {
		return at.In(zone).Format("02.01.2006"), nil
	}
	return at.In(zone).Format("2 January 2006"), nil
}
