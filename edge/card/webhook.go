package card

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"tandem/kit/fault"
)

// SignatureHeader carries when and by whom a webhook was signed.
const SignatureHeader = "Gateway-Signature"

// Sign is the value of SignatureHeader for a body.
func Sign(secret Secret, at time.Time, body []byte) string {
	stamp := strconv.FormatInt(at.Unix(), 10)
	return "t=" + stamp + ",v1=" + hex.EncodeToString(mac(secret, stamp, body))
}

// mac signs the time with the body, so that neither can be changed.
func mac(secret Secret, stamp string, body []byte) []byte {
	h := hmac.New(sha256.New, []byte(secret))
	h.Write([]byte(stamp + "."))
	h.Write(body)
	return h.Sum(nil)
}

type wireEvent struct {
	ID      string       `json:"id"`
	Type    string       `json:"type"`
	Created int64        `json:"created"`
	Attempt *wireResult  `json:"attempt"`
	Dispute *wireDispute `json:"dispute"`
}

type wireDispute struct {
	ID       string `json:"id"`
	Payment  string `json:"payment"`
	Amount   int64  `json:"amount"`
	Fee      int64  `json:"fee"`
	Currency string `json:"currency"`
	Reason   string `json:"reason"`
	Answer   int64  `json:"answerBy"`
}

// Webhook checks the signature and its age against now, then reads the event. A message
// that is sent again within that age has the same Event.ID.
func (c *Client) Webhook(header http.Header, body []byte, now time.Time) (Event, error) {
	if len(body) > maxWebhook {
		return Event{}, fault.New(fault.TooLarge, "webhookLarge", "The message is larger than %d bytes", maxWebhook)
	}
	if err := c.signed(header, body, now); err != nil {
		return Event{}, err
	}
	var in wireEvent
	if err := json.Unmarshal(body, &in); err != nil {
		return Event{}, fault.BadInput("webhookForm", "The message of the card gateway is not readable")
	}
	return in.event()
}

// signed takes any of the signatures by any of the secrets.
func (c *Client) signed(header http.Header, body []byte, now time.Time) error {
	forged := fault.New(fault.Unauthorized, "webhookSignature", "The message is not signed by the card gateway")
	values := header.Values(SignatureHeader)
	if len(values) != 1 || len(values[0]) > 1000 {
		return forged
	}
	stamp, found := "", [][]byte{}
	for _, part := range strings.Split(values[0], ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		switch name {
		case "t":
			if stamp != "" {
				return forged
			}
			stamp = value
		case "v1":
			if sum, err := hex.DecodeString(value); err == nil {
				found = append(found, sum)
			}
		}
	}
	good := 0
	for _, secret := range c.conf.Webhooks {
		want := mac(secret, stamp, body)
		for _, sum := range found {
			good |= subtle.ConstantTimeCompare(want, sum)
		}
	}
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	if good != 1 || err != nil {
		return forged
	}
	if age := now.Sub(time.Unix(seconds, 0)); age > c.conf.Age || age < -c.conf.Age {
		return fault.New(fault.Unauthorized, "webhookAge", "The message of the card gateway was signed more than %v ago or ahead; it may be sent again by a stranger", c.conf.Age)
	}
	return nil
}

func (in wireEvent) event() (Event, error) {
	bad := func(what string) (Event, error) {
		return Event{}, fault.BadInput("webhookForm", "The message of the card gateway is not readable: %s", what)
	}
	if in.ID == "" || len(in.ID) > 100 || HasNumber(in.ID) {
		return bad("it has no id")
	}
	out := Event{ID: in.ID, Type: EventType(in.Type), Created: time.Unix(in.Created, 0).UTC()}
	var err error
	switch out.Type {
	case AttemptChanged:
		if in.Attempt == nil {
			return bad("it names no attempt")
		}
		out.Result, err = in.Attempt.result()
	case DisputeOpened, DisputeWon, DisputeLost:
		if in.Dispute == nil || in.Dispute.ID == "" || in.Dispute.Payment == "" {
			return bad("it names no dispute")
		}
		out.Dispute, err = in.Dispute.dispute()
	default: // a gateway may know more than we: the caller keeps it and does nothing
		return out, nil
	}
	if err != nil {
		return bad(err.Error())
	}
	return out, nil
}

func (in wireDispute) dispute() (*Dispute, error) {
	d := &Dispute{ID: clean(in.ID, 100), Payment: clean(in.Payment, 100), Reason: clean(in.Reason, 200)}
	if in.Answer > 0 {
		d.Answer = time.Unix(in.Answer, 0).UTC()
	}
	var err error
	if d.Amount, err = amountOf(in.Amount, in.Currency); err != nil {
		return nil, err
	}
	d.Fee, err = amountOf(in.Fee, in.Currency)
	return d, err
}

// Handler takes webhooks: 200 when take kept the event, 503 when it could not, so that
// the gateway sends it again; 400, 401 or 413 for what is no webhook. take keeps the
// event under its id and is quick: gateways give up after seconds.
func Handler(g Gateway, clock func() time.Time, take func(context.Context, Event) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			w.Header().Set("Allow", http.MethodPost)
			w.WriteHeader(http.StatusMethodNotAllowed)
			return
		}
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxWebhook))
		if err != nil {
			w.WriteHeader(http.StatusRequestEntityTooLarge)
			return
		}
		event, err := g.Webhook(r.Header, body, clock())
		switch {
		case fault.Is(err, fault.Unauthorized):
			w.WriteHeader(http.StatusUnauthorized)
			return
		case err != nil:
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		if err := take(r.Context(), event); err != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		w.WriteHeader(http.StatusOK)
	})
}
