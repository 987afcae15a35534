// Package kea speaks to the control agent of a Kea DHCP server: one JSON command per HTTP request (Kea 2.2, "Management API").
//
// Owns: the connections of a Client. It knows no subscriber. Tells and hears nothing.
//
//	Client ── POST {"command", "service": ["dhcp4"], "arguments"} ──> kea-ctrl-agent ── socket ──> kea-dhcp4
//	       <─ [{"result", "text", "arguments"}] ──────────────────────
//
// Quirks of 2.2.0: result 3 says that something is absent; reservation-add is not built in (result 2), so reservations are a part of the
// configuration, read with config-get and written whole with config-set; what is set is lost at a restart unless config-write follows.
package kea

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

const maxAnswer = 256 << 20 // octets; a hundred thousand reservations are some ten million

// Refused is a command that the server did not carry out.
type Refused struct {
	Command string
	Result  int // 1: error, 2: not supported, 3: absent
	Text    string
}

func (r *Refused) Error() string {
	return fmt.Sprintf("kea: %s: result %d: %s", r.Command, r.Result, r.Text)
}

// Client speaks to one agent. It may be used by many at once.
type Client struct {
	url  string
	http *http.Client
}

// New is a client of the agent at host:port; it connects when it is first used.
func New(address string, connections int) *Client {
	return &Client{url: "http://" + address + "/", http: &http.Client{Transport: &http.Transport{MaxConnsPerHost: connections, MaxIdleConnsPerHost: connections, IdleConnTimeout: time.Minute},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// Close ends idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Do has the DHCPv4 server carry out a command; nil arguments: it has none. A *Refused is its own word; any other error leaves open
// whether it was done.
func (c *Client) Do(ctx context.Context, command string, arguments any) (jsontext.Value, error) {
	body, err := json.Marshal(struct {
		Command   string   `json:"command"`
		Service   []string `json:"service"`
		Arguments any      `json:"arguments,omitzero"`
	}{command, []string{"dhcp4"}, arguments})
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return nil, err
	}
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("kea: %s: %s", command, res.Status)
	}
	return answer(command, text)
}

// answer reads what the agent says: a list with one answer for each service asked.
func answer(command string, text []byte) (jsontext.Value, error) {
	var all []struct {
		Result    *int           `json:"result"`
		Text      string         `json:"text"`
		Arguments jsontext.Value `json:"arguments"`
	}
	if err := json.Unmarshal(text, &all); err != nil {
		return nil, fmt.Errorf("kea: %s: the answer cannot be read: %w", command, err)
	}
	if len(all) != 1 || all[0].Result == nil {
		return nil, errors.New("kea: " + command + ": the answer is not that of one server")
	}
	if *all[0].Result != 0 {
		return nil, &Refused{command, *all[0].Result, all[0].Text}
	}
	return all[0].Arguments, nil
}
