package cardtest

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"time"
)

type event struct {
	ID      string   `json:"id"`
	Type    string   `json:"type"`
	Created int64    `json:"created"`
	Attempt *attempt `json:"attempt,omitempty"`
	Dispute *dispute `json:"dispute,omitempty"`
}

type dispute struct {
	ID       string `json:"id"`
	Payment  string `json:"payment"`
	Amount   int64  `json:"amount"`
	Fee      int64  `json:"fee"`
	Currency string `json:"currency"`
	Reason   string `json:"reason"`
}

// Message is a webhook ready to be sent.
type Message struct {
	EventID   string
	Body      []byte
	Signature string
}

// Messages is every webhook so far, in order, signed at the instant.
func (g *Gateway) Messages(at time.Time) ([]Message, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	out := make([]Message, 0, len(g.events))
	for _, e := range g.events {
		e.Created = at.Unix()
		body, err := json.Marshal(e)
		if err != nil {
			return nil, fmt.Errorf("cardtest: %w", err)
		}
		stamp := fmt.Sprint(at.Unix())
		h := hmac.New(sha256.New, []byte(g.Secret))
		fmt.Fprintf(h, "%s.%s", stamp, body)
		out = append(out, Message{e.ID, body, fmt.Sprintf("t=%s,v1=%x", stamp, h.Sum(nil))})
	}
	return out, nil
}

// Deliver sends every webhook so many times to the URL, all of them shuffled, and is
// done when all were answered; statuses counts the answers. The same seed gives the
// same order.
func (g *Gateway) Deliver(ctx context.Context, url string, times int, seed uint64, at time.Time) (statuses map[int]int, err error) {
	all, err := g.Messages(at)
	if err != nil {
		return nil, err
	}
	var queue []Message
	for range times {
		queue = append(queue, all...)
	}
	rand.New(rand.NewPCG(seed, seed)).Shuffle(len(queue), func(i, j int) { queue[i], queue[j] = queue[j], queue[i] })
	statuses = map[int]int{}
	for _, m := range queue {
		status, err := m.Send(ctx, url)
		if err != nil {
			return statuses, err
		}
		statuses[status]++
	}
	return statuses, nil
}

// Send posts the message once.
func (m Message) Send(ctx context.Context, url string) (status int, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(m.Body))
	if err != nil {
		return 0, fmt.Errorf("cardtest: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Gateway-Signature", m.Signature)
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, fmt.Errorf("cardtest: %w", err)
	}
	defer answer.Body.Close()
	if _, err := io.Copy(io.Discard, answer.Body); err != nil {
		return 0, fmt.Errorf("cardtest: %w", err)
	}
	return answer.StatusCode, nil
}
