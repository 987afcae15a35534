package receivable

import (
	"fmt"
	"os"
	"time"

	"github.com/go-json-experiment/json"

	"tandem/edge/card"
)

// CardConfig says through which gateway each tenant takes card payments.
type CardConfig struct {
	Gateway *CardGateway            `json:"gateway,omitzero"` // of tenants without an own one
	Brand   map[string]*CardGateway `json:"brand,omitzero"`   // by tenant
}

// CardGateway is how one is reached.
type CardGateway struct {
	URL     string   `json:"url,omitzero"`
	Key     string   `json:"key,omitzero"`
	Webhook []string `json:"webhook,omitzero"` // secrets that its messages are signed with
	Seconds int      `json:"seconds,omitzero"` // of one call; 0: 20
}

// Load reads the configuration from a file in JSON. It holds secrets: it is for the node's
// user alone.
func (c *CardConfig) Load(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, c, json.RejectUnknownMembers(true)); err != nil {
		return fmt.Errorf("%s is not a file of card gateways: %w", path, err)
	}
	_, closing, err := c.Open()
	closing()
	return err
}

// Open makes the gateways, by tenant, and says how they are closed. Nothing is sent before
// one is used.
func (c CardConfig) Open() (of func(tenant string) card.Gateway, closing func(), err error) {
	var all []*card.Client
	closing = func() {
		for _, g := range all {
			g.Close()
		}
	}
	open := func(g *CardGateway) *card.Client {
		if g == nil || err != nil {
			return nil
		}
		conf := card.Config{URL: g.URL, Key: card.Secret(g.Key), Timeout: time.Duration(g.Seconds) * time.Second}
		for _, s := range g.Webhook {
			conf.Webhooks = append(conf.Webhooks, card.Secret(s))
		}
		client, bad := card.NewClient(conf)
		if err = bad; err != nil {
			return nil
		}
		all = append(all, client)
		return client
	}
	general, brand := open(c.Gateway), map[string]*card.Client{}
	for tenant, g := range c.Brand {
		brand[tenant] = open(g)
	}
	return func(tenant string) card.Gateway {
		if g := brand[tenant]; g != nil {
			return g
		}
		if general != nil {
			return general
		}
		return nil
	}, closing, err
}
