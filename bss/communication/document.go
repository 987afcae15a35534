package communication

import (
	"context"
	"encoding/base64"
	"fmt"

	"tandem/bss/party"
	"tandem/kit/fault"
	"tandem/kit/store"
	"tandem/kit/tmf"
)

// File is a document as it travels with a message.
type File struct {
	Name  string
	Media string // type, such as application/pdf
	Data  []byte
}

// Documents makes the document that a notice names, when its message is delivered by e-mail.
// An error is tried again as a failed delivery is; fault.NotFound and fault.Conflict mean that
// there is none any more: the message goes without it.
type Documents func(ctx context.Context, tenant, document string) (*File, error)

// SendAll sends many notices, read for at once.
func SendAll(tx *store.Tx, notices []Notice) error {
	var ids, customers []string
	for _, n := range notices {
		ids = append(ids, n.id())
		if n.Customer != "" {
			customers = append(customers, n.Customer)
		}
	}
	if err := Messages.Fetch(tx, ids, false); err != nil {
		return err
	}
	if err := Unsent.Fetch(tx, ids, false); err != nil {
		return err
	}
	if err := Preferences.Fetch(tx, customers, false); err != nil {
		return err
	}
	if err := party.ContactsAhead(tx, customers); err != nil {
		return err
	}
	for _, n := range notices {
		if err := Send(tx, n); err != nil {
			return err
		}
	}
	return nil
}

// keepDocument notes which document travels with a message.
func keepDocument(tx *store.Tx, message, document string) {
	tx.Queue("INSERT INTO communication_document (tenant, message, document) VALUES ($1, $2, $3) ON CONFLICT (tenant, message) DO NOTHING", message, document)
}

// documentOf is the document that travels with a message, "" if there is none.
func documentOf(tx *store.Tx, message string) (document string, err error) {
	err = tx.Row("SELECT document FROM communication_document WHERE tenant = $1 AND message = $2", message).Scan(&document)
	if err == store.ErrNotFound {
		return "", nil
	}
	return document, err
}

// withDocument is the message with the document attached that travels with it. What is stored
// stays as it is: the document can be made again at any time.
func (d *Delivery) withDocument(ctx context.Context, tenant string, m *Message, document string) (*Message, error) {
	if document == "" || m.Channel() != Email || d.Documents == nil {
		return m, nil
	}
	f, err := d.Documents(ctx, tenant, document)
	if fault.Is(err, fault.NotFound) || fault.Is(err, fault.Conflict) {
		return m, nil
	}
	if err != nil {
		return nil, fmt.Errorf("document %s: %w", document, err)
	}
	out := *m
	out.Attachment = append([]tmf.Attachment{{Name: f.Name, MimeType: f.Media, Content: base64.StdEncoding.EncodeToString(f.Data)}}, m.Attachment...)
	return &out, nil
}
