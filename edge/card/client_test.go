package card_test

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"tandem/edge/card"
	"tandem/kit/fault"
	"tandem/kit/money"
)

func TestAGatewayIsConfiguredSafely(t *testing.T) {
	good := card.Config{URL: "https://gateway.example/", Key: "key", Webhooks: []card.Secret{"0123456789abcdef"}}
	if _, err := card.NewClient(good); err != nil {
		t.Error(err)
	}
	for name, spoil := range map[string]func(c *card.Config){
		"no URL":            func(c *card.Config) { c.URL = "" },
		"no scheme":         func(c *card.Config) { c.URL = "gateway.example" },
		"in the clear":      func(c *card.Config) { c.URL = "http://gateway.example" },
		"like this machine": func(c *card.Config) { c.URL = "http://127.0.0.1.gateway.example" },
		"key in the URL":    func(c *card.Config) { c.URL = "https://user:pass@gateway.example" },
		"a query":           func(c *card.Config) { c.URL = "https://gateway.example?x=1" },
		"no key":            func(c *card.Config) { c.Key = "" },
		"no secret":         func(c *card.Config) { c.Webhooks = nil },
		"a short secret":    func(c *card.Config) { c.Webhooks = []card.Secret{"short"} },
	} {
		c := good
		spoil(&c)
		if _, err := card.NewClient(c); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What a gateway answers that is not in the protocol leaves the payment unknown, and
// what was asked for is what the answer must be about.
func TestAnAnswerThatMakesNoSenseIsUnknown(t *testing.T) {
	good := `{"attempt":"attempt-1","kind":"payment","id":"mov","payment":"pay","status":"succeeded","amount":100,"currency":"EUR","revision":1}`
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		t.Errorf("the key went to another place: %v", r.Header)
	}))
	defer elsewhere.Close()
	tests := []struct {
		name   string
		status int
		body   string
		ok     bool
	}{
		{"as it should be", 200, good, true},
		{"as it should be, created", 201, good, true},
		{"a member that we do not know", 200, strings.Replace(good, "{", `{"new":[1,{"a":2}],`, 1), true},
		{"another attempt", 200, strings.Replace(good, "attempt-1", "attempt-2", 1), false},
		{"another kind", 200, strings.Replace(good, `"payment","id"`, `"refund","id"`, 1), false},
		{"another amount", 200, strings.Replace(good, ":100", ":101", 1), false},
		{"another currency", 200, strings.Replace(good, "EUR", "USD", 1), false},
		{"no currency", 200, strings.Replace(good, "EUR", "", 1), false},
		{"a negative amount", 200, strings.Replace(good, ":100", ":-100", 1), false},
		{"a state that no payment has", 200, strings.Replace(good, "succeeded", "absent-minded", 1), false},
		{"no payment", 200, strings.Replace(good, `"payment":"pay"`, `"payment":""`, 1), false},
		{"a card number for an id", 200, strings.Replace(good, `"pay"`, `"4111111111111111"`, 1), false},
		{"to be confirmed nowhere", 200, strings.Replace(good, "succeeded", "requires_action", 1), false},
		{"to be confirmed in a script", 200, strings.Replace(good, `"succeeded"`, `"requires_action","redirectUrl":"javascript:alert(1)"`, 1), false},
		{"nothing", 200, "", false},
		{"a list", 200, "[]", false},
		{"too much", 200, good + strings.Repeat(" ", 65<<10), false},
		{"moved", 307, "", false},
		{"no content", 204, "", false},
		{"gone", 410, "", false},
		{"being worked on", 409, "", false},
		{"bad gateway", 502, "<html>", false},
	}
	for _, tt := range tests {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if tt.status == 307 {
				w.Header().Set("Location", elsewhere.URL)
			}
			if r.Header.Get("Idempotency-Key") != "attempt-1" {
				t.Errorf("the idempotency key is %q", r.Header.Get("Idempotency-Key"))
			}
			w.WriteHeader(tt.status)
			io.WriteString(w, tt.body)
		}))
		c, err := card.NewClient(card.Config{URL: server.URL, Key: "key", Webhooks: []card.Secret{"0123456789abcdef"}})
		if err != nil {
			t.Fatal(err)
		}
		r, err := c.Charge(t.Context(), card.Payment{Attempt: "attempt-1", Token: "tok_x", Amount: euro(100), Initiator: card.Merchant})
		if tt.ok != (err == nil && r.Status == card.Succeeded) || !tt.ok && !card.Unknown(err) {
			t.Errorf("%s: %+v, %v", tt.name, r, err)
		}
		c.Close()
		server.Close()
	}
}

// An answer that never ends takes no longer than the call may take.
func TestASlowAnswerIsGivenUp(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := io.WriteString(w, " "); err != nil {
				return
			}
			w.(http.Flusher).Flush()
		}
	}))
	defer server.Close()
	c, err := card.NewClient(card.Config{URL: server.URL, Key: "key", Webhooks: []card.Secret{"0123456789abcdef"}, Timeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if r, err := c.Charge(t.Context(), card.Payment{Attempt: "attempt-1", Token: "tok_x", Amount: euro(100), Initiator: card.Merchant}); !card.Unknown(err) {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestWhatMustNotBeSentIsRefused(t *testing.T) {
	a := setup(t, 0)
	good := card.Payment{Attempt: "attempt-1", Token: "tok_x", Amount: euro(100), Initiator: card.Merchant}
	for name, spoil := range map[string]func(p *card.Payment){
		"no attempt":      func(p *card.Payment) { p.Attempt = "" },
		"a path":          func(p *card.Payment) { p.Attempt = "../attempts/x" },
		"a long attempt":  func(p *card.Payment) { p.Attempt = strings.Repeat("a", 65) },
		"no token":        func(p *card.Payment) { p.Token = "" },
		"a token in two":  func(p *card.Payment) { p.Token = "tok x" },
		"nothing":         func(p *card.Payment) { p.Amount.Minor = 0 },
		"less":            func(p *card.Payment) { p.Amount.Minor = -100 },
		"no currency":     func(p *card.Payment) { p.Amount = money.Amount{Minor: 100} },
		"nobody":          func(p *card.Payment) { p.Initiator = "" },
		"too many words":  func(p *card.Payment) { p.Description = strings.Repeat("a", 201) },
		"a long page":     func(p *card.Payment) { p.ReturnURL = strings.Repeat("a", 2001) },
		"a long document": func(p *card.Payment) { p.Reference = strings.Repeat("a", 101) },
	} {
		p := good
		spoil(&p)
		if _, err := a.Authorise(t.Context(), p); !fault.Is(err, fault.Invalid) || card.Unknown(err) || card.Transient(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := a.Ask(t.Context(), "no/attempt"); !fault.Is(err, fault.Invalid) {
		t.Error(err)
	}
	if _, err := a.Cancel(t.Context(), ""); !fault.Is(err, fault.Invalid) {
		t.Error(err)
	}
	if a.Calls() != 0 {
		t.Errorf("%d calls left this machine", a.Calls())
	}
}

func TestNothingPrintsATokenOrAKey(t *testing.T) {
	token, key := card.Token("tok_verysecretindeed"), card.Secret("key_verysecretindeed")
	var out bytes.Buffer
	c := card.Config{URL: "https://gateway.example", Key: key, Webhooks: []card.Secret{key}}
	p := card.Payment{Attempt: "attempt-1", Token: token}
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		fmt.Fprintf(&out, format+format, c, p)
	}
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "token", token, "key", key, "payment", p, "config", c)
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "payment", p, "config", c)
	if strings.Contains(out.String(), "verysecret") {
		t.Errorf("%s", out.String())
	}
}

// The signature is what anybody makes of its description.
func TestTheSignatureOfWebhooks(t *testing.T) {
	got := card.Sign("whsec_0123456789", time.Unix(1790000000, 0), []byte(`{"id":"evt_1"}`))
	// printf '1790000000.{"id":"evt_1"}' | openssl dgst -sha256 -hmac whsec_0123456789
	if want := "t=1790000000,v1=8e73ca94c6ceb2965b6dff65f70d2238b3ce092d27c578e26c0a88cd4a442455"; got != want {
		t.Errorf("%s", got)
	}
}
