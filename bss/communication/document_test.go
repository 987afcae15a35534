package communication_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"tandem/bss/communication"
	"tandem/kit/fault"
	"tandem/kit/store"
	"tandem/kit/work"
)

// A document that a room names travels with the e-mail: made when it is delivered, tried again
// when it cannot be made, stored with no message, and not to be had by who posts one.
func TestDocumentsTravelWithNotices(t *testing.T) {
	each(t, func(w *world) {
		s := startSMTP(w.T, &smtpServer{})
		c := relay(s)
		c.Backoff = func(int) time.Duration { return 5 * time.Millisecond }
		d, err := communication.NewDelivery(w.db, c)
		if err != nil {
			w.Fatal(err)
		}
		var asked atomic.Int64
		d.Documents = func(_ context.Context, tenant, document string) (*communication.File, error) {
			switch {
			case document == "gone":
				return nil, fault.Missing("bill", document)
			case asked.Add(1) == 1:
				return nil, errors.New("not now")
			}
			return &communication.File{Name: document + ".pdf", Media: "application/pdf", Data: []byte("of " + tenant)}, nil
		}
		r := work.New(w.db, slog.New(slog.DiscardHandler), work.Config{Node: "test"})
		d.Handle(r)
		if err := r.Start(w.Context()); err != nil {
			w.Fatal(err)
		}
		w.Cleanup(r.Stop)
		customer := w.customer("de", `{"mediumType":"email","characteristic":{"emailAddress":"a@example.com"}}`)
		notice := func(key, document string) communication.Notice {
			return communication.Notice{Key: key, Customer: customer, Purpose: communication.Billing, Template: "billReady", Document: document,
				Values: map[string]string{"bill": "INV-1", "amount": "1,00 EUR", "due": "morgen"}}
		}
		w.must(func(tx *store.Tx) error {
			return communication.SendAll(tx, []communication.Notice{notice("n1", "b1"), notice("n1", "b1")})
		})
		got := receive(w, s.mails)
		if !strings.Contains(got.data, `filename="b1.pdf"`) || !strings.Contains(got.data, "b2YgbW5v") || !strings.Contains(got.data, "application/pdf") {
			w.Errorf("no document in\n%s", got.data)
		}
		if m := w.await("n1", "completed"); m["attachment"] != nil || asked.Load() != 2 {
			w.Errorf("asked for %d times: %v", asked.Load(), m)
		}
		w.must(func(tx *store.Tx) error { return communication.Send(tx, notice("n2", "gone")) })
		if got := receive(w, s.mails); strings.Contains(got.data, "filename") || !strings.Contains(got.data, "INV-1") {
			w.Errorf("%s", got.data)
		}
		w.post(messages, `{"id":"n3","messageType":"email","subject":"s","content":"c","document":"b1","characteristic":[{"name":"document","value":"b1"}],"sender":{"name":"x"},"receiver":[{"email":"a@example.com"}]}`)
		if got := receive(w, s.mails); strings.Contains(got.data, "filename") {
			w.Errorf("who posts a message has a document sent with it: %s", got.data)
		}
	})
}
