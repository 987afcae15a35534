package communication

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"tandem/kit/tmf"
)

// Headers of a signed call. The signature is "t=<seconds since 1970>,v1=<hex>": the
// HMAC-SHA256 of "<t>.<body>" with the shared secret; a receiver compares it and
// refuses an old t.
const (
	SignatureHeader   = "Tandem-Signature"
	IdempotencyHeader = "Idempotency-Key"
)

// hookBody is what a webhook or SMS gateway is sent.
type hookBody struct {
	ID             string               `json:"id"`
	Type           string               `json:"type"`
	To             []string             `json:"to,omitzero"` // phone numbers
	Subject        string               `json:"subject,omitzero"`
	Content        string               `json:"content"`
	Characteristic []tmf.Characteristic `json:"characteristic,omitzero"`
	Attachment     []tmf.Attachment     `json:"attachment,omitzero"`
}

// Sign is the signature of a body at an instant.
func Sign(secret string, at time.Time, body []byte) string {
	t := strconv.FormatInt(at.Unix(), 10)
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(t + "."))
	mac.Write(body)
	return "t=" + t + ",v1=" + hex.EncodeToString(mac.Sum(nil))
}

// post sends the message as a signed call. Only 2xx means taken; of the refusals,
// those that can pass by themselves are tried again.
func post(ctx context.Context, client *http.Client, url, secret, tenant string, m *Message) error {
	out := hookBody{ID: m.ID, Type: m.Channel(), Subject: m.Subject, Content: m.Content, Characteristic: m.Characteristic, Attachment: m.Attachment}
	if m.Channel() == SMS {
		for _, r := range m.Receiver {
			out.To = append(out.To, r.PhoneNumber)
		}
	}
	body, err := tmf.Encode(out)
	if err != nil {
		return refusal{err.Error()}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return refusal{"The address is not usable"}
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set(SignatureHeader, Sign(secret, time.Now(), body))
	req.Header.Set(IdempotencyHeader, tenant+"/"+m.ID)
	res, err := client.Do(req)
	if err != nil {
		if inner := errors.Unwrap(err); inner != nil {
			err = inner // the outer one repeats the address, which may hold a secret
		}
		return fmt.Errorf("the receiver could not be reached: %w", err)
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 64<<10)) // only so that the connection can be used again
	return judge(res.StatusCode)
}

func judge(status int) error {
	switch {
	case status/100 == 2:
		return nil
	case status >= 500, status == http.StatusRequestTimeout, status == http.StatusTooEarly, status == http.StatusTooManyRequests:
		return fmt.Errorf("the receiver answered %d", status)
	}
	return refusal{fmt.Sprintf("The receiver answered %d", status)}
}
