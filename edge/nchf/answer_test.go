package nchf

import (
	"errors"
	"net/http"
	"os/exec"
	"strings"
	"testing"

	"tandem/edge/credit"
	"tandem/edge/peertest"
)

func TestResultsAsStatusAndCause(t *testing.T) {
	t.Parallel()
	l := newLedger()
	var result credit.Result
	l.before = func(call *credit.Call) bool {
		call.Answer.Result, call.Answer.Reason = result, "because"
		return false
	}
	h := serve(t, Config{}, l)
	c := h2(t)
	for r, want := range map[credit.Result]string{
		credit.Denied: "403 END_USER_REQUEST_DENIED", credit.NotApplicable: "403 CHARGING_NOT_APPLICABLE",
		credit.LimitReached: "403 QUOTA_LIMIT_REACHED", credit.UnknownUser: "404 USER_UNKNOWN", credit.RatingFailed: "400 CHARGING_FAILED",
		credit.UnknownSession: "404 RESOURCE_CONTEXT_NOT_FOUND", credit.Clash: "400 CHARGING_FAILED", credit.Busy: "503 NF_CONGESTION",
		credit.Failed: "500 SYSTEM_FAILURE", credit.Result(99): "500 SYSTEM_FAILURE",
	} {
		result = r
		a := post(t, c, "http://"+h.addr+v3, createBody)
		status, cause, _ := strings.Cut(want, " ")
		if http.StatusText(a.status) == "" || !strings.HasPrefix(status, itoa(a.status)) || !strings.Contains(a.body, `"cause":"`+cause+`"`) ||
			!strings.Contains(a.body, `"detail":"because"`) || a.header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%v: %d %s", r, a.status, a.body)
		}
		if (a.header.Get("Retry-After") != "") != (r == credit.Busy) {
			t.Errorf("%v: Retry-After %q", r, a.header.Get("Retry-After"))
		}
		if h.Stats.Status(a.status) == 0 {
			t.Errorf("status %d is not counted", a.status)
		}
	}
}

func itoa(n int) string {
	return string([]byte{'0' + byte(n/100), '0' + byte(n/10%10), '0' + byte(n%10)})
}

// TestBothServersSayTheSame compares the lean loop with the same service behind net/http.
func TestBothServersSayTheSame(t *testing.T) {
	t.Parallel()
	h := serve(t, Config{Root: "https://chf.example/root/", Node: "n1"}, newLedger())
	plain, lean := http.DefaultTransport.(*http.Transport).Clone(), h2(t)
	plain.Protocols = new(http.Protocols)
	plain.Protocols.SetHTTP1(true)
	old := &http.Client{Transport: plain}
	defer plain.CloseIdleConnections()
	base := "http://" + h.addr + "/root/nchf-convergedcharging/"
	for name, c := range map[string]struct {
		method, path, body string
		status             int
	}{
		"create":                 {"POST", "v3/chargingdata", createBody, 201},
		"create by version 2":    {"POST", "v2/chargingdata", createBody, 201},
		"create of an event":     {"POST", "v3/chargingdata", with(`"oneTimeEvent":true,"oneTimeEventType":"IEC"`), 201},
		"update of nothing":      {"POST", "v3/chargingdata/n1.0123456789abcdefghjkmnpqrs/update", updateBody, 404},
		"broken body":            {"POST", "v3/chargingdata", `{"invocationTimeStamp":7}`, 400},
		"another path":           {"POST", "v3/chargingdata/x/delete", "", 404},
		"another version":        {"POST", "v9/chargingdata", "", 404},
		"an endless reference":   {"POST", "v3/chargingdata/" + strings.Repeat("x", 200) + "/update", updateBody, 404},
		"GET":                    {"GET", "v3/chargingdata", "", 405},
		"a path of nobody":       {"POST", "../../elsewhere", "", 404},
		"not the whole path":     {"POST", "v3/chargingdatax", createBody, 404},
		"spending is not opened": {"POST", "../nchf-spendinglimitcontrol/v1/subscriptions", "{}", 404},
	} {
		a, b := ask(t, lean, c.method, base+c.path, c.body), ask(t, old, c.method, base+c.path, c.body)
		if a.status != c.status || b.status != c.status || a.body != b.body {
			t.Errorf("%s: %d %s by the lean loop, %d %s by net/http", name, a.status, a.body, b.status, b.body)
		}
		for _, key := range []string{"Location", "Content-Type", "Allow"} {
			if a.header.Get(key) != b.header.Get(key) {
				t.Errorf("%s: %s %q and %q", name, key, a.header.Get(key), b.header.Get(key))
			}
		}
		location := a.header.Get("Location")
		if strings.HasPrefix(location, "https://chf.example/root/nchf-convergedcharging/"+c.path+"/n1.") != (name == "create" || name == "create by version 2") {
			t.Errorf("%s: Location %q", name, location)
		}
	}
	r, _ := http.NewRequest("POST", base+"v3/chargingdata", strings.NewReader(createBody))
	r.Header.Set("Content-Type", "text/xml")
	for _, c := range []*http.Client{lean, old} {
		r.Body, _ = r.GetBody()
		if a, err := c.Do(r); err != nil || a.StatusCode != 415 {
			t.Errorf("XML: %v %v", a, err)
		}
	}
}

func TestAccessTokens(t *testing.T) {
	t.Parallel()
	scopes := map[string]string{"good": ScopeCharging, "spending": ScopeSpending}
	h := serve(t, Config{Verify: func(token, scope string) error {
		if scopes[token] != scope {
			return errors.New("not this one")
		}
		return nil
	}}, newLedger())
	for token, want := range map[string]credit.Result{"good": credit.Success, "spending": credit.BadValue, "": credit.BadValue} {
		c := h.dial(ClientConfig{Token: token})
		call := new(credit.Call)
		call.Request.Kind, call.Request.Session, call.Request.At = credit.Initial, []byte("s"), 1
		if credit.Do(c, call); call.Answer.Result != want {
			t.Errorf("token %q: %v %s", token, call.Answer.Result, call.Answer.Reason)
		}
	}
	if a := post(t, h2(t), "http://"+h.addr+v3, createBody); a.status != 401 || !strings.HasPrefix(a.header.Get("WWW-Authenticate"), "Bearer") {
		t.Errorf("%d %v", a.status, a.header)
	}
}

func TestOverloadRefusesCreatesFirst(t *testing.T) {
	t.Parallel()
	h := serve(t, Config{Rate: 5}, null{})
	c := h.dial(ClientConfig{Window: 1})
	refused := map[credit.Kind]int{}
	for i := range 60 { // four updates among the first eight; then creates, within a second or two
		for _, kind := range []credit.Kind{credit.Initial, credit.Update} {
			if i >= 4 && kind == credit.Update {
				continue
			}
			call := new(credit.Call)
			call.Request.Kind, call.Request.Session, call.Request.At = kind, []byte("s"), 1
			credit.Do(c, call)
			if call.Answer.Result == credit.Busy {
				refused[kind]++
			}
		}
	}
	if refused[credit.Update] > 0 || refused[credit.Initial] == 0 {
		t.Errorf("refused %v", refused)
	}
	if h.Stats.Overloads.Load() != uint64(refused[credit.Initial]) {
		t.Errorf("%d overloads, %v refused", h.Stats.Overloads.Load(), refused)
	}
}

// TestCurl lets a foreign HTTP/2 stack (nghttp2) walk a session.
func TestCurl(t *testing.T) {
	t.Parallel()
	curl := peertest.Need(t, "curl", "curl")
	l := newLedger()
	h := serve(t, Config{}, l)
	run := func(body, url string) string {
		out, err := exec.Command(curl, "-sS", "--http2-prior-knowledge", "-m", "10", "-i", "-H", "Content-Type: application/json", "-d", body, url).CombinedOutput()
		if err != nil {
			t.Fatalf("curl: %v %s", err, out)
		}
		return string(out)
	}
	out := run(createBody, "http://"+h.addr+v3)
	if !strings.HasPrefix(out, "HTTP/2 201") {
		t.Fatalf("create: %s", out)
	}
	_, location, _ := strings.Cut(out, "location: ")
	location, _, _ = strings.Cut(location, "\r\n")
	if out := run(updateBody, location+"/update"); !strings.HasPrefix(out, "HTTP/2 200") || !strings.Contains(out, `"resultCode":"SUCCESS"`) {
		t.Errorf("update: %s", out)
	}
	if out := run(releaseBody, location+"/release"); !strings.HasPrefix(out, "HTTP/2 204") {
		t.Errorf("release: %s", out)
	}
}

func TestConfigurationIsChecked(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]Config{"a short key": {Key: []byte("short")}, "a strange node": {Key: testKey, Node: "a.b"},
		"a root that is none": {Key: testKey, Root: "chf"}, "a body too small": {Key: testKey, MaxBody: 10}} {
		if _, err := New(cfg, null{}); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}
