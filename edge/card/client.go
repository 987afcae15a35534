package card

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"tandem/kit/fault"
)

// Config is how one gateway is reached.
type Config struct {
	URL string // https; plain http on this machine only
	Key Secret
	// Webhooks are the secrets that webhooks may be signed with: two while one replaces
	// the other.
	Webhooks []Secret
	Timeout  time.Duration // of one call; 0: 20 s
	Age      time.Duration // that a webhook may have; 0: 5 minutes
}

// LogValue shows where the gateway is.
func (c Config) LogValue() slog.Value { return slog.StringValue(c.URL) }

// Secret is a key; it shows itself to nobody who prints or logs it.
type Secret string

// String hides the key.
func (Secret) String() string { return "(secret)" }

// GoString hides the key.
func (Secret) GoString() string { return "(secret)" }

// LogValue hides the key.
func (Secret) LogValue() slog.Value { return slog.StringValue("(secret)") }

// Client is the Gateway that speaks the protocol of the package comment.
type Client struct {
	base *url.URL
	conf Config
	http *http.Client
}

const (
	maxAnswer  = 64 << 10
	maxWebhook = 256 << 10
)

// NewClient checks the configuration; it does not call the gateway.
func NewClient(c Config) (*Client, error) {
	base, err := url.Parse(strings.TrimRight(c.URL, "/"))
	if err != nil || base.Host == "" || base.User != nil || base.RawQuery != "" {
		return nil, fault.BadInput("gatewayURL", "The URL of the card gateway is not one such as https://gateway.example")
	}
	if base.Scheme != "https" && !(base.Scheme == "http" && loopback(base.Hostname())) {
		return nil, fault.BadInput("gatewayURL", "The card gateway %s is not reached by https", base.Host)
	}
	if c.Key == "" || len(c.Webhooks) == 0 {
		return nil, fault.BadInput("gatewayKey", "The card gateway %s needs a key and a secret for its webhooks", base.Host)
	}
	for _, s := range c.Webhooks {
		if len(s) < 16 {
			return nil, fault.BadInput("gatewayKey", "A secret for webhooks of the card gateway %s is shorter than 16 characters", base.Host)
		}
	}
	if c.Timeout <= 0 {
		c.Timeout = 20 * time.Second
	}
	if c.Age <= 0 {
		c.Age = 5 * time.Minute
	}
	return &Client{base: base, conf: c, http: transport(c.Timeout)}, nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// transport follows no redirect: a key must not travel to another place.
func transport(timeout time.Duration) *http.Client {
	dialer := &net.Dialer{Timeout: min(timeout, 5*time.Second)}
	return &http.Client{
		Transport: &http.Transport{
			DialContext: dialer.DialContext, TLSHandshakeTimeout: 5 * time.Second, ForceAttemptHTTP2: true,
			MaxIdleConnsPerHost: 16, IdleConnTimeout: time.Minute, MaxResponseHeaderBytes: 64 << 10,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Close gives idle connections back.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Authorise reserves money.
func (c *Client) Authorise(ctx context.Context, p Payment) (Result, error) {
	return c.pay(ctx, p, false)
}

// Charge takes money.
func (c *Client) Charge(ctx context.Context, p Payment) (Result, error) { return c.pay(ctx, p, true) }

func (c *Client) pay(ctx context.Context, p Payment, capture bool) (Result, error) {
	if err := p.valid(); err != nil {
		return Result{}, err
	}
	body := wirePayment{
		Attempt: p.Attempt, Token: string(p.Token), Amount: p.Amount.Minor, Currency: p.Amount.Currency.Code(), Capture: capture,
		Initiator: string(p.Initiator), Description: p.Description, Reference: p.Reference, ReturnURL: p.ReturnURL,
	}
	return c.post(ctx, want{p.Attempt, KindPayment, p.Amount}, "/v1/payments", body)
}

// Capture takes what was authorised.
func (c *Client) Capture(ctx context.Context, p Capture) (Result, error) {
	if err := movement(p.Attempt, p.Payment, p.Amount); err != nil {
		return Result{}, err
	}
	body := wireCapture{Attempt: p.Attempt, Amount: p.Amount.Minor, Currency: p.Amount.Currency.Code()}
	return c.post(ctx, want{p.Attempt, KindCapture, p.Amount}, "/v1/payments/"+url.PathEscape(p.Payment)+"/capture", body)
}

// Refund gives money back.
func (c *Client) Refund(ctx context.Context, p Refund) (Result, error) {
	if err := movement(p.Attempt, p.Payment, p.Amount); err != nil {
		return Result{}, err
	}
	if err := refuseNumbers("description", p.Description); err != nil {
		return Result{}, err
	}
	body := wireRefund{Attempt: p.Attempt, Payment: p.Payment, Amount: p.Amount.Minor, Currency: p.Amount.Currency.Code(), Description: p.Description}
	return c.post(ctx, want{p.Attempt, KindRefund, p.Amount}, "/v1/refunds", body)
}

// Ask tells how an attempt stands.
func (c *Client) Ask(ctx context.Context, attempt string) (Result, error) {
	if err := attemptForm(attempt); err != nil {
		return Result{}, err
	}
	return c.call(ctx, want{attempt: attempt}, http.MethodGet, "/v1/attempts/"+attempt, nil)
}

// Cancel ends an attempt and tells how it ended.
func (c *Client) Cancel(ctx context.Context, attempt string) (Result, error) {
	if err := attemptForm(attempt); err != nil {
		return Result{}, err
	}
	return c.post(ctx, want{attempt: attempt}, "/v1/attempts/"+attempt+"/cancel", struct{}{})
}

func (c *Client) post(ctx context.Context, w want, path string, body any) (Result, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return Result{}, fmt.Errorf("card: %w", err)
	}
	return c.call(ctx, w, http.MethodPost, path, text)
}

// call does one exchange and says what it means for the money.
func (c *Client) call(ctx context.Context, w want, method, path string, body []byte) (Result, error) {
	ctx, cancel := context.WithTimeout(ctx, c.conf.Timeout)
	defer cancel()
	// Until the head of the request is written, no money can have moved.
	var sent atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteHeaders: func() { sent.Store(true) }})
	req, err := http.NewRequestWithContext(ctx, method, c.base.String()+path, bytes.NewReader(body))
	if err != nil {
		return Result{}, fault.BadInput("gatewayRequest", "The card gateway cannot be asked that way")
	}
	req.Header.Set("Authorization", "Bearer "+string(c.conf.Key))
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Idempotency-Key", w.attempt)
	}
	answer, err := c.http.Do(req)
	if err != nil {
		return Result{}, c.silent(err, sent.Load())
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer+1))
	if err == nil && len(text) > maxAnswer {
		err = errors.New("the answer is too large")
	}
	return c.understand(w, answer, text, err)
}

// silent is a call without an answer.
func (c *Client) silent(err error, sent bool) error {
	err = scrubbed(err)
	if !sent {
		return transient(err, 0, "The card gateway %s cannot be reached; nothing was sent", c.base.Host)
	}
	return unknown(err, "The card gateway %s did not answer; whether money was taken must be asked", c.base.Host)
}

// scrubbed keeps the kind of an error (a time that ran out) and takes card numbers out
// of its words.
func scrubbed(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err // its text repeats the URL
	}
	if HasNumber(err.Error()) {
		return errors.New(Scrub(err.Error()))
	}
	return err
}

// understand reads an answer. broken is what went wrong while it came in.
func (c *Client) understand(w want, answer *http.Response, text []byte, broken error) (Result, error) {
	code := answer.StatusCode
	switch {
	case code == http.StatusOK || code == http.StatusCreated:
		if broken != nil {
			return Result{}, unknown(scrubbed(broken), "The answer of the card gateway %s broke off; whether money was taken must be asked", c.base.Host)
		}
		r, err := w.result(text)
		if err != nil {
			return Result{}, unknown(err, "The answer of the card gateway %s makes no sense; whether money was taken must be asked", c.base.Host)
		}
		return r, nil
	case code == http.StatusUnauthorized || code == http.StatusForbidden:
		return Result{}, fault.New(fault.Unavailable, "gatewayRefusesKey", "The card gateway %s refuses our key; nothing was taken. Its configuration must be mended", c.base.Host)
	case code == http.StatusTooManyRequests:
		return Result{}, transient(fmt.Errorf("status %d", code), wait(answer.Header), "The card gateway %s has too much to do; nothing was taken", c.base.Host)
	case code == http.StatusBadRequest || code == http.StatusNotFound || code == http.StatusUnprocessableEntity:
		return Result{}, fault.BadInput("gatewayRefuses", "The card gateway %s refuses the request: %s. Nothing was taken", c.base.Host, complaint(text))
	}
	return Result{}, unknown(fmt.Errorf("status %d", code), "The card gateway %s answered with status %d; whether money was taken must be asked", c.base.Host, code)
}

func wait(h http.Header) time.Duration {
	seconds, err := strconv.Atoi(h.Get("Retry-After"))
	if err != nil || seconds < 0 {
		return 0
	}
	return time.Duration(min(seconds, 3600)) * time.Second
}

// complaint is the gateway's own words, short and without card numbers.
func complaint(text []byte) string {
	var body struct {
		Error struct{ Code, Message string }
	}
	if json.Unmarshal(text, &body) != nil || body.Error.Code == "" {
		return "it does not say why"
	}
	return clean(body.Error.Code, 60) + " (" + clean(body.Error.Message, 200) + ")"
}
