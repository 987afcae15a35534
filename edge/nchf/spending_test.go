package nchf

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"tandem/edge/credit"
	"tandem/kit/fault"
)

// folder keeps subscriptions as files: it outlives the server.
type folder string

func (f folder) path(id string) string { return filepath.Join(string(f), filepath.Base(id)+".json") }

func (f folder) Save(_ context.Context, s Subscription, _ map[string]Status) error {
	b, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return os.WriteFile(f.path(s.ID), b, 0o600)
}

func (f folder) Load(_ context.Context, id string) (s Subscription, err error) {
	b, err := os.ReadFile(f.path(id))
	if errors.Is(err, fs.ErrNotExist) {
		return s, fault.Missing("subscription", id)
	}
	if err == nil {
		err = json.Unmarshal(b, &s)
	}
	return s, err
}

func (f folder) Delete(_ context.Context, id string) error { return os.Remove(f.path(id)) }

// counters is a policy: one subscriber, two counters.
type counters map[string]Status

func (c counters) Statuses(_ context.Context, who []credit.Subscriber, ids []string) (map[string]Status, []string, error) {
	i := slices.IndexFunc(who, func(s credit.Subscriber) bool { return s.Type == credit.IMSI })
	switch {
	case i < 0 || string(who[i].ID) == "away":
		return nil, nil, fault.Away(nil, "The balances are out of reach")
	case string(who[i].ID) != "001010000000001":
		return nil, nil, fault.Missing("subscriber", string(who[i].ID))
	case len(ids) == 0:
		return c, nil, nil
	}
	out := map[string]Status{}
	var unknown []string
	for _, id := range ids {
		if st, ok := c[id]; ok {
			out[id] = st
		} else {
			unknown = append(unknown, id)
		}
	}
	return out, unknown, nil
}

// askAs is a request with an access token; it returns the status.
func askAs(t *testing.T, c *http.Client, token, url, body string) int {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+token)
	a, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Body.Close(); err != nil {
		t.Error(err)
	}
	return a.StatusCode
}

func TestSpendingLimits(t *testing.T) {
	t.Parallel()
	reset := time.Date(2026, 4, 1, 0, 0, 0, 0, time.UTC)
	policy := counters{"data": {Current: "throttled", Pending: []Pending{{"full", reset}}}, "roaming": {Current: "valid"}}
	store := folder(t.TempDir())
	h := serve(t, Config{Spending: &Spending{policy, store}}, null{})
	pcf := listen(t, true, accept)
	c := h2(t)
	base := "http://" + h.addr + "/nchf-spendinglimitcontrol/v1/subscriptions"
	body := `{"supi":"imsi-001010000000001","policyCounterIds":["data"],"notifUri":"` + pcf.url + `/n28","notifId":"n-1","expiry":"2026-05-01T00:00:00Z","new":1}`
	a := post(t, c, base, body)
	want := `{"supi":"imsi-001010000000001","notifId":"n-1","statusInfos":{"data":{"policyCounterId":"data","currentStatus":"throttled",` +
		`"penPolCounterStatuses":[{"policyCounterStatus":"full","activationTime":"2026-04-01T00:00:00Z"}]}},"expiry":"2026-05-01T00:00:00Z"}`
	location := a.header.Get("Location")
	if a.status != 201 || a.body != want || !strings.HasPrefix(location, base+"/") {
		t.Fatalf("%d %s at %q", a.status, a.body, location)
	}
	b := ask(t, c, "PUT", location, strings.Replace(body, `["data"]`, `["data","roaming"]`, 1))
	if b.status != 200 || !strings.Contains(b.body, `"roaming":{"policyCounterId":"roaming","currentStatus":"valid"}`) {
		t.Errorf("PUT: %d %s", b.status, b.body)
	}
	sub, err := store.Load(t.Context(), location[strings.LastIndexByte(location, '/')+1:])
	if err != nil || len(sub.Counters) != 2 || sub.NotifyID != "n-1" {
		t.Fatalf("kept %+v, %v", sub, err)
	}
	if o, err := h.Changed(t.Context(), sub, map[string]Status{"roaming": {Current: "invalid"}}); o != credit.Accepted || err != nil {
		t.Errorf("notify: %v %v", o, err)
	}
	if o, err := h.Ended(t.Context(), sub, Removed); o != credit.Accepted || err != nil {
		t.Errorf("terminate: %v %v", o, err)
	}
	told := []string{`/n28/notify {"supi":"imsi-001010000000001","notifId":"n-1","statusInfos":{"roaming":{"policyCounterId":"roaming","currentStatus":"invalid"}}}`,
		`/n28/terminate {"supi":"imsi-001010000000001","notifId":"n-1","termCause":"REMOVED_SUBSCRIBER"}`}
	if !slices.Equal(pcf.heard, told) {
		t.Errorf("heard %q", pcf.heard)
	}
	if d := ask(t, c, "DELETE", location, ""); d.status != 204 {
		t.Errorf("DELETE: %d %s", d.status, d.body)
	}
	for name, x := range map[string]struct {
		method, url, body, cause string
		status                   int
	}{
		"PUT of what is gone":   {"PUT", location, body, "SUBSCRIPTION_NOT_FOUND", 404},
		"DELETE of it":          {"DELETE", location, "", "SUBSCRIPTION_NOT_FOUND", 404},
		"unknown counters":      {"POST", base, strings.Replace(body, `"data"`, `"data","x","y"`, 1), "UNKNOWN_POLICY_COUNTERS", 400},
		"unknown subscriber":    {"POST", base, strings.Replace(body, "0001", "0002", 1), "USER_UNKNOWN", 400},
		"no subscriber":         {"POST", base, `{"notifUri":"http://x"}`, causeMissing, 400},
		"nowhere to notify":     {"POST", base, `{"supi":"imsi-001010000000001"}`, causeMissing, 400},
		"broken expiry":         {"POST", base, strings.Replace(body, "2026-05-01", "May", 1), causeWrong, 400},
		"broken body":           {"POST", base, `{"supi":7}`, causeFormat, 400},
		"balances out of reach": {"POST", base, strings.Replace(body, "001010000000001", "away", 1), "NF_CONGESTION", 503},
		"another method":        {"GET", base, "", "", 405},
	} {
		a := ask(t, c, x.method, x.url, x.body)
		if a.status != x.status || x.cause != "" && !strings.Contains(a.body, `"cause":"`+x.cause+`"`) {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
}
