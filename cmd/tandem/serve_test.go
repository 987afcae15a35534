package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tandem/bss/communication"
)

const (
	token  = "a-superuser-token-for-tests"
	secret = "a-secret-of-tests-only"
)

// node is `tandem serve` with these flags, as far as it ends with the test.
type node struct {
	*testing.T
	url  string
	stop func()
	done chan error
}

func start(t *testing.T, dir string, flags ...string) *node {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	t.Setenv("TANDEM_ADMIN_TOKEN", token)
	ctx, cancel := context.WithCancel(t.Context())
	n := &node{t, "http://" + addr, cancel, make(chan error, 1)}
	go func() {
		n.done <- serve(ctx, append([]string{"--data", dir, "--listen", addr, "--allow-local-callbacks"}, flags...))
	}()
	late, tick := time.After(30*time.Second), time.NewTicker(20*time.Millisecond)
	defer tick.Stop()
	for {
		if res, err := http.Get(n.url + "/readyz"); err == nil {
			res.Body.Close()
			return n
		}
		select {
		case err := <-n.done:
			t.Fatalf("the node does not start: %v", err)
		case <-late:
			t.Fatal("the node does not answer")
		case <-tick.C:
		}
	}
}

// ended stops the node and waits for it.
func (n *node) ended() {
	n.Helper()
	n.stop()
	select {
	case err := <-n.done:
		if err != nil {
			n.Error(err)
		}
	case <-time.After(30 * time.Second):
		n.Fatal("the node does not end")
	}
}

func (n *node) ask(tenant, method, path, body string) map[string]any {
	n.Helper()
	r, err := http.NewRequestWithContext(n.Context(), method, n.url+path, strings.NewReader(body))
	if err != nil {
		n.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Tandem-Tenant", tenant)
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		n.Fatal(err)
	}
	defer res.Body.Close()
	out := map[string]any{}
	if err := json.NewDecoder(res.Body).Decode(&out); err != nil || res.StatusCode/100 != 2 {
		n.Fatalf("%s %s: %d %v %v", method, path, res.StatusCode, out, err)
	}
	return out
}

// sent is a call that came in, with the secret that signed it.
type sent struct{ path, secret, content string }

// gateway takes calls signed with one of the secrets.
func gateway(t *testing.T, secrets ...string) (string, chan sent) {
	got := make(chan sent, 10)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var m struct{ Content string }
		if err != nil || json.Unmarshal(body, &m) != nil {
			t.Errorf("%s: %v", body, err)
		}
		signature, at := r.Header.Get(communication.SignatureHeader), int64(0)
		if _, err := fmt.Sscanf(signature, "t=%d,", &at); err != nil {
			t.Errorf("%s: %v", signature, err)
		}
		for _, secret := range secrets {
			if communication.Sign(secret, time.Unix(at, 0), body) == signature {
				got <- sent{r.URL.Path, secret, m.Content}
				return
			}
		}
		t.Errorf("%s is signed with no secret of ours", r.URL.Path)
	}))
	t.Cleanup(s.Close)
	return s.URL, got
}

func await[T any](t *testing.T, c <-chan T, what string) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(30 * time.Second):
		t.Fatalf("%s did not come", what)
	}
	return v
}

const messages = "/tmf-api/communicationManagement/v4/communicationMessage"

func message(typ, receiver string) string {
	return `{"messageType":"` + typ + `","content":"by ` + typ + `","sender":{"name":"Tandem"},"receiver":[` + receiver + `]}`
}

// Every way by which messages leave can be switched on from the command line, and a
// brand can have its own.
func TestMessagesLeaveByTheWaysTheCommandNames(t *testing.T) {
	t.Setenv("TANDEM_SMS_SECRET", secret+" sms")
	t.Setenv("TANDEM_WEBHOOK_SECRET", secret+" hook")
	url, got := gateway(t, secret+" sms", secret+" hook", secret+" brand")
	file := filepath.Join(t.TempDir(), "messages.json")
	if err := os.WriteFile(file, []byte(`{"brand":{"bluebird":{"sms":{"url":"`+url+`/brand","secret":"`+secret+` brand"}}}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	n := start(t, t.TempDir(), "--sms-gateway", url+"/sms", "--messages", file)
	n.ask("host", "POST", "/access/v1/tenants", `{"id":"bluebird","name":"Bluebird"}`)
	for _, c := range []struct{ tenant, body, path, secret string }{
		{"host", message("sms", `{"phoneNumber":"+46700000001"}`), "/sms", " sms"},
		{"host", message("webhook", `{"url":"`+url+`/customer"}`), "/customer", " hook"},
		{"bluebird", message("sms", `{"phoneNumber":"+46700000001"}`), "/brand", " brand"},
	} {
		n.ask(c.tenant, "POST", messages, c.body)
		if s := await(t, got, c.path); s.path != c.path || s.secret != secret+c.secret || !strings.HasPrefix(s.content, "by ") {
			t.Errorf("%s: %v", c.body, s)
		}
	}
	n.ended()
}

// A node that is told to stop finishes what it has begun: a message whose delivery is
// under way is neither cut off nor sent again.
func TestWhatIsUnderWayIsFinishedWhenTheNodeStops(t *testing.T) {
	t.Setenv("TANDEM_WEBHOOK_SECRET", secret)
	began, finish, calls := make(chan bool), make(chan bool), make(chan error, 10)
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.ReadAll(r.Body) // else a client that goes away is not noticed
		began <- true
		select {
		case <-finish:
		case <-r.Context().Done():
		}
		calls <- r.Context().Err()
	}))
	defer hook.Close()
	dir := t.TempDir()
	n := start(t, dir)
	id := n.ask("host", "POST", messages, message("webhook", `{"url":"`+hook.URL+`"}`))["id"].(string)
	await(t, began, "the delivery")
	n.stop()
	late, tick := time.After(30*time.Second), time.NewTicker(10*time.Millisecond)
	defer tick.Stop()
	for draining := true; draining; { // the listener is the first to close
		res, err := http.Get(n.url + "/readyz")
		if draining = err == nil; draining {
			res.Body.Close()
		}
		select {
		case <-late:
			t.Fatal("the node does not begin to stop")
		case <-tick.C:
		}
	}
	select {
	case finish <- true:
	case err := <-calls:
		t.Fatalf("the delivery was cut off: %v", err)
	}
	if err := await(t, calls, "the end of the delivery"); err != nil {
		t.Errorf("the delivery was cut off: %v", err)
	}
	n.ended()
	n = start(t, dir)
	if m := n.ask("host", "GET", messages+"/"+id, ""); m["state"] != "completed" || len(m["attempt"].([]any)) != 1 {
		t.Errorf("after the next start: %v", m)
	}
	n.ended()
}
