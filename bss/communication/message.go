package communication

import (
	"encoding/base64"
	"fmt"
	"net/mail"
	"strings"
	"time"

	"tandem/bss/party"
	"tandem/kit/fault"
	"tandem/kit/store"
	"tandem/kit/tmf"
	"tandem/kit/work"
)

// API is TMF681.
var API = tmf.API{ID: "TMF681", Name: "Communication Management", Version: "4.0.0", Base: "/tmf-api/communicationManagement/v4"}

// States of a message (TMF681 CommunicationMessageStateType).
const (
	Initial    = "initial"
	InProgress = "inProgress"
	Completed  = "completed"
	Cancelled  = "cancelled"
	Failed     = "failed"
)

// Message is something said to somebody (TMF681 communicationMessage).
type Message struct {
	tmf.Entity
	MessageType       string               `json:"messageType,omitzero" tmf:"required"` // email, sms, webhook, or another deliverer's
	State             string               `json:"state,omitzero" tmf:"enum=initial|inProgress|completed|cancelled|failed"`
	Subject           string               `json:"subject,omitzero"`
	Content           string               `json:"content,omitzero" tmf:"required"`
	Description       string               `json:"description,omitzero"`
	Priority          string               `json:"priority,omitzero"`
	LogFlag           *bool                `json:"logFlag,omitzero"`
	Sender            *Sender              `json:"sender,omitzero" tmf:"required"`
	Receiver          []Receiver           `json:"receiver,omitzero" tmf:"required"`
	Attachment        []tmf.Attachment     `json:"attachment,omitzero"`
	Characteristic    []tmf.Characteristic `json:"characteristic,omitzero"`
	ScheduledSendTime time.Time            `json:"scheduledSendTime,omitzero"`
	SendTime          time.Time            `json:"sendTime,omitzero"`
	SendTimeComplete  time.Time            `json:"sendTimeComplete,omitzero"`
	TryTimes          *int64               `json:"tryTimes,omitzero"` // attempts at most

	// Attempt is what became of each attempt; an extension of TMF681.
	Attempt []Attempt `json:"attempt,omitzero"`
}

// Sender is who says it. The address messages are sent from is the operator's own,
// by configuration; a sender cannot choose it.
type Sender struct {
	ID          string            `json:"id,omitzero"`
	Name        string            `json:"name,omitzero"`
	Email       string            `json:"email,omitzero"`
	PhoneNumber string            `json:"phoneNumber,omitzero"`
	Party       *tmf.RelatedParty `json:"party,omitzero"`
	tmf.Extension
}

// Receiver is to whom it is said. URL, for messages of type webhook, extends TMF681.
type Receiver struct {
	ID          string            `json:"id,omitzero"`
	Name        string            `json:"name,omitzero"`
	Email       string            `json:"email,omitzero"`
	PhoneNumber string            `json:"phoneNumber,omitzero"`
	IP          string            `json:"ip,omitzero"`
	AppUserID   string            `json:"appUserId,omitzero"`
	Party       *tmf.RelatedParty `json:"party,omitzero"`
	URL         string            `json:"url,omitzero"`
	tmf.Extension
}

// Attempt is one try to deliver a message.
type Attempt struct {
	At      time.Time `json:"at,omitzero"`
	Outcome string    `json:"outcome,omitzero"` // sent, refused (for good), failed (for now); absent: under way, or cut off
	Reason  string    `json:"reason,omitzero"`
}

// Outcomes of an attempt.
const (
	sent    = "sent"
	refused = "refused"
	failed  = "failed"
)

const (
	defaultTries = 6
	maxTries     = 20
	maxReceivers = 100
	maxContent   = 256 << 10 // bytes
)

// Messages are the messages of the tenant.
var Messages = tmf.Kind[Message, *Message]{
	API: &API, Name: "communicationMessage", Table: "communication_message", Verbs: tmf.All,
	Index:     []string{"state", "sendTime"},
	Multi:     []string{"receiver.id", "receiver.party.id"},
	StateAttr: "state",
	Moves: tmf.Moves{"": {Initial}, Initial: {InProgress, Cancelled, Failed}, InProgress: {Initial, Completed, Failed},
		Failed: {Initial}},
	Frozen: []string{"attempt", "scheduledSendTime"},
}

// Channel is the channel of the message if it is delivered here, or "".
func (m *Message) Channel() string { return channel(m.MessageType) }

// channel reads the many ways to write a type.
func channel(messageType string) string {
	switch strings.NewReplacer(" ", "", "-", "", "_", "").Replace(strings.ToLower(messageType)) {
	case "email", "mail":
		return Email
	case "sms", "shortmessage", "text":
		return SMS
	case "webhook":
		return Webhook
	}
	return ""
}

// Channels messages are delivered by.
const (
	Email   = "email"
	SMS     = "sms"
	Webhook = "webhook"
)

// defaultMessage completes a new message: state, tries, and the addresses of
// receivers that are customers of ours.
func defaultMessage(tx *store.Tx, m *Message) error {
	if m.State == "" {
		m.State = Initial
	}
	if m.Channel() == "" {
		return nil
	}
	if m.TryTimes == nil || *m.TryTimes == 0 {
		n := int64(defaultTries)
		m.TryTimes = &n
	}
	for i := range m.Receiver {
		r := &m.Receiver[i]
		if r.Party == nil || r.address(m.Channel()) != "" {
			continue
		}
		c, err := party.Contacts(tx, r.Party.ID)
		if fault.Is(err, fault.NotFound) {
			continue
		}
		if err != nil {
			return err
		}
		r.Email, r.PhoneNumber = c.Email, c.Phone
		if r.Name == "" {
			r.Name = c.Name
		}
	}
	return nil
}

// address is where the channel finds the receiver.
func (r Receiver) address(channel string) string {
	switch channel {
	case Email:
		return r.Email
	case SMS:
		return r.PhoneNumber
	case Webhook:
		return r.URL
	}
	return ""
}

// checkMessage is the rules of messages that are delivered here; what another
// program delivers is its own business.
func checkMessage(_ *store.Tx, old, m *Message) error {
	if old != nil && old.State != Initial && m.State != Initial {
		return nil // only its progress is noted now
	}
	if len(m.Receiver) > maxReceivers || len(m.Content) > maxContent {
		return fault.BadInput("tooLarge", "A message has at most %d receivers and %d bytes of content", maxReceivers, maxContent)
	}
	if strings.ContainsAny(m.Subject, "\r\n") {
		return fault.BadInput("invalidSubject", "subject is one line")
	}
	if m.Channel() == "" {
		return nil
	}
	if m.TryTimes != nil && (*m.TryTimes < 1 || *m.TryTimes > maxTries) {
		return fault.BadInput("invalidTryTimes", "tryTimes is %d; it must be from 1 to %d", *m.TryTimes, maxTries)
	}
	if m.Channel() == Webhook && len(m.Receiver) > 1 {
		return fault.BadInput("oneReceiver", "A message of type webhook has one receiver")
	}
	for i, r := range m.Receiver {
		if err := r.check(m.Channel(), fmt.Sprintf("receiver[%d]", i)); err != nil {
			return err
		}
	}
	return m.checkAttachments()
}

func (r Receiver) check(channel, path string) error {
	switch address := r.address(channel); {
	case address == "" && channel == Email:
		return fault.BadInput("addressMissing", "%s has no email, and no party whose e-mail address is known", path)
	case address == "" && channel == SMS:
		return fault.BadInput("addressMissing", "%s has no phoneNumber, and no party whose phone number is known", path)
	case address == "":
		return fault.BadInput("addressMissing", "%s has no url", path)
	case channel == Email && !isMailbox(address):
		return fault.BadInput("invalidEmail", "%s.email: %q is not an e-mail address like anna@example.com", path, address)
	case channel == Webhook:
		// Whether the address may be local is configuration; that is seen when sending.
		return tmf.CheckOutbound(path+".url", address, true)
	}
	return nil
}

// isMailbox accepts an addr-spec of RFC 5322 without display name or comment.
func isMailbox(s string) bool {
	a, err := mail.ParseAddress(s)
	return err == nil && a.Address == s && len(s) <= 254 // RFC 5321 4.5.3.1.3
}

// checkAttachments: an attachment is sent by value; nothing is fetched for it.
func (m *Message) checkAttachments() error {
	for i, a := range m.Attachment {
		switch _, err := base64.StdEncoding.DecodeString(a.Content); {
		case m.Channel() == SMS:
			return fault.BadInput("noAttachments", "A short message has no attachments")
		case m.Channel() == Webhook:
		case a.Content == "":
			return fault.BadInput("attachmentEmpty", "attachment[%d] has no content; it is sent by value", i)
		case err != nil:
			return fault.BadInput("invalidAttachment", "attachment[%d].content is not base64", i)
		}
	}
	return nil
}

// deliverJob is the kind of job that delivers a message; its key is the id.
const deliverJob = "communication.deliver"

// savedMessage queues the delivery of a new message.
func savedMessage(tx *store.Tx, old, m *Message) error {
	switch {
	case m == nil:
		work.Cancel(tx, deliverJob, old.ID)
		tx.Queue("DELETE FROM communication_document WHERE tenant = $1 AND message = $2", old.ID)
		return nil
	case old == nil && m.Channel() != "":
		return enqueue(tx, m)
	case old != nil && old.State == Initial && m.State == Cancelled:
		work.Cancel(tx, deliverJob, m.ID)
	}
	return nil
}

func enqueue(tx *store.Tx, m *Message) error {
	return work.Enqueue(tx, deliverJob, m.ID, struct{}{}, m.ScheduledSendTime)
}

// patchMessage takes a client's change. What is delivered here can be changed as
// long as it waits, be cancelled then, and be sent again after it has failed.
func patchMessage(tx *store.Tx, old, m *Message) error {
	if old.Channel() == "" && m.Channel() == "" {
		return Messages.Save(tx, old, m)
	}
	switch {
	case old.Channel() != m.Channel():
		return fault.Clash("typeFixed", "The messageType of a message cannot change; cancel it and make another")
	case old.State == Initial && (m.State == Initial || m.State == Cancelled):
		return Messages.Save(tx, old, m)
	case old.State == Failed && m.State == Initial:
		m.SendTime, m.Attempt = time.Time{}, nil
		if err := Messages.Save(tx, old, m); err != nil {
			return err
		}
		return enqueue(tx, m)
	case old.State == m.State:
		return fault.Clash("messageSent", "A message that is %s cannot be changed any more", old.State)
	}
	return fault.Clash("deliveryDecides", "A message that is %s becomes %s by its delivery only", old.State, m.State)
}

func removeMessage(tx *store.Tx, m *Message) error {
	if m.State == InProgress && m.Channel() != "" {
		return fault.Clash("messageUnderWay", "The message is being sent; try again in a moment")
	}
	return Messages.Remove(tx, m)
}
