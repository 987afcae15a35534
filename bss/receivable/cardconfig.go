package receivable

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"

	"tandem/edge/card"
	"tandem/kit/fault"
)

// CardConfig says through which gateway each tenant takes card payments.
type CardConfig struct {
	Gateway *CardGateway            `json:"gateway,omitzero"` // of tenants without an own one; it tells its news to the address of any of them
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
	if err := c.eachOnce(); err != nil {
		return nil, closing, err
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

// eachOnce refuses one account at a gateway under two names: it tells its news to one
// address, and whose they are is known of those only that share the general gateway.
func (c CardConfig) eachOnce() error {
	type account struct{ url, key string }
	seen := map[account]string{}
	if c.Gateway != nil {
		seen[account{c.Gateway.URL, c.Gateway.Key}] = "the general gateway"
	}
	for _, tenant := range slices.Sorted(maps.Keys(c.Brand)) {
		g := c.Brand[tenant]
		if g == nil {
			continue
		}
		a := account{g.URL, g.Key}
		if other := seen[a]; other != "" {
			return fault.BadInput("gatewayTwice", "The card gateway of the brand %q is %s too; leave it out there and have it be the general one, which brands may share", tenant, other)
		}
		seen[a] = "that of the brand " + strconv.Quote(tenant)
	}
	return nil
}
