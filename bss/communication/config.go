package communication

import (
	"cmp"
	"fmt"
	"net/mail"
	"os"
	"time"

	"github.com/go-json-experiment/json"

	"tandem/kit/tmf"
)

// Config says by which ways messages leave.
type Config struct {
	Channels
	// Brand has the channels of tenants with own ones; each replaces all of the
	// general ones.
	Brand map[string]Channels `json:"brand,omitzero"`
	// AllowLocal lets webhooks of customers reach this machine and its links: for
	// tests and the demo only.
	AllowLocal bool `json:"allowLocal,omitzero"`
	// Backoff is the wait after the n-th failed attempt; nil: 2 s, doubled up to 10 min.
	Backoff func(attempt int) time.Duration `json:"-"`
}

// Channels are the ways of a tenant. What is nil is not there: its messages fail
// at once and say so.
type Channels struct {
	SMTP    *SMTP    `json:"smtp,omitzero"`
	SMS     *Gateway `json:"sms,omitzero"`
	Webhook *Hook    `json:"webhook,omitzero"`
}

// SMTP is the operator's mail relay (RFC 5321, submission by RFC 6409).
type SMTP struct {
	Host     string `json:"host,omitzero"`
	Port     int    `json:"port,omitzero"` // 0: 587, or 465 for TLS "implicit"
	User     string `json:"user,omitzero"` // empty: no authentication
	Password string `json:"password,omitzero"`
	TLS      string `json:"tls,omitzero"`  // mandatory (default), opportunistic, implicit, none
	CA       string `json:"ca,omitzero"`   // PEM certificates to trust instead of the system's
	From     string `json:"from,omitzero"` // Tandem Mobile <service@example.com>
	ReplyTo  string `json:"replyTo,omitzero"`
	Seconds  int    `json:"seconds,omitzero"` // of one delivery; 0: 30
}

// Gateway takes short messages by HTTP, signed as webhooks are.
type Gateway struct {
	URL     string `json:"url,omitzero"`
	Secret  string `json:"secret,omitzero"`
	Seconds int    `json:"seconds,omitzero"` // of one delivery; 0: 15
}

// Hook signs the webhooks of customers.
type Hook struct {
	Secret  string `json:"secret,omitzero"`
	Seconds int    `json:"seconds,omitzero"` // of one delivery; 0: 15
}

// Load adds what a file says in JSON. The file holds secrets: it is for the node's user
// alone. A channel that is null in it is left as it is.
func (c *Config) Load(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	was := c.Channels
	if err := json.Unmarshal(text, c, json.RejectUnknownMembers(true)); err != nil {
		return fmt.Errorf("%s is not a file of channels: %w", path, err)
	}
	c.SMTP, c.SMS, c.Webhook = cmp.Or(c.SMTP, was.SMTP), cmp.Or(c.SMS, was.SMS), cmp.Or(c.Webhook, was.Webhook)
	return nil
}

// Check explains what is wrong with the configuration.
func (c Config) Check() error {
	if err := c.Channels.check("communication"); err != nil {
		return err
	}
	for tenant, own := range c.Brand {
		if err := own.check("communication.brand." + tenant); err != nil {
			return err
		}
	}
	return nil
}

func (c Channels) check(path string) error {
	if s := c.SMTP; s != nil {
		if err := s.check(path + ".smtp"); err != nil {
			return err
		}
	}
	if g := c.SMS; g != nil {
		if err := tmf.CheckOutbound(path+".sms.url", g.URL, true); err != nil {
			return err
		}
		if len(g.Secret) < minSecret {
			return fmt.Errorf("%s.sms.secret needs at least %d characters", path, minSecret)
		}
	}
	if h := c.Webhook; h != nil && len(h.Secret) < minSecret {
		return fmt.Errorf("%s.webhook.secret needs at least %d characters", path, minSecret)
	}
	return nil
}

const minSecret = 16

func (s *SMTP) check(path string) error {
	switch s.TLS {
	case "", "mandatory", "opportunistic", "implicit", "none":
	default:
		return fmt.Errorf("%s.tls is %q; it must be mandatory, opportunistic, implicit or none", path, s.TLS)
	}
	if s.Host == "" || s.Port < 0 || s.Port > 65535 {
		return fmt.Errorf("%s needs a host, and a port up to 65535", path)
	}
	if _, err := mail.ParseAddress(s.From); err != nil {
		return fmt.Errorf("%s.from is %q; it must be an address such as Service <service@example.com>", path, s.From)
	}
	if _, err := mail.ParseAddress(s.ReplyTo); s.ReplyTo != "" && err != nil {
		return fmt.Errorf("%s.replyTo is %q; it must be an address such as service@example.com", path, s.ReplyTo)
	}
	if _, err := s.tls(); err != nil {
		return fmt.Errorf("%s.ca: %w", path, err)
	}
	return nil
}

// of are the channels of a tenant.
func (c Config) of(tenant string) Channels {
	if own, ok := c.Brand[tenant]; ok {
		return own
	}
	return c.Channels
}

func seconds(n, fallback int) time.Duration {
	if n <= 0 {
		n = fallback
	}
	return time.Duration(n) * time.Second
}
