package access

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"tandem/kit/fault"
	"tandem/kit/store"
	"tandem/kit/store/storetest"
)

var schemas = []store.Schema{Schema()}

const (
	adminToken = "correct-horse-battery-staple"
	goodWord   = "Tr0ub4dor and three"
)

// house is a guard behind a real HTTP server, whose store's clock stands still.
type house struct {
	t     *testing.T
	g     *Guard
	db    *store.DB
	url   string
	log   *lockedBuffer
	clock *clock
}

type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func each(t *testing.T, f func(t *testing.T, h *house)) {
	for _, engine := range []store.Dialect{store.SQLite, store.Postgres} {
		t.Run(engine.String(), func(t *testing.T) { f(t, open(t, engine)) })
	}
}

func open(t *testing.T, engine store.Dialect) *house {
	h := &house{t: t, log: &lockedBuffer{}, clock: &clock{now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}}
	config := storetest.Made(t, engine, storetest.Layout{Schemas: schemas})
	config.Clock = h.clock.Now
	h.db = storetest.OpenConfig(t, config, schemas...)
	log := slog.New(slog.NewTextHandler(h.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	old := slog.Default()
	slog.SetDefault(log) // what the error writer logs counts too
	t.Cleanup(func() { slog.SetDefault(old) })
	var err error
	if h.g, err = New(h.db, log, Config{AdminToken: adminToken, Tenant: "mno"}); err != nil {
		t.Fatal(err)
	}
	if err := h.g.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(h.g.Handler())
	t.Cleanup(server.Close)
	h.url = server.URL
	return h
}

// call sends a request and returns the answer's status and members.
func (h *house) call(token, method, path string, body any, header ...string) (int, map[string]any) {
	h.t.Helper()
	status, text := h.raw(token, method, path, body, header...)
	var v map[string]any
	if len(text) > 0 && text[0] == '{' {
		if err := json.Unmarshal(text, &v); err != nil {
			h.t.Fatalf("%s %s: %v in %s", method, path, err, text)
		}
	}
	return status, v
}

func (h *house) raw(token, method, path string, body any, header ...string) (int, []byte) {
	h.t.Helper()
	var payload []byte
	switch b := body.(type) {
	case nil:
	case string:
		payload = []byte(b)
	default:
		payload, _ = json.Marshal(b)
	}
	r, err := http.NewRequestWithContext(h.t.Context(), method, h.url+"/access/v1"+path, bytes.NewReader(payload))
	if err != nil {
		h.t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		h.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	return res.StatusCode, text
}

// must is call that wants a status.
func (h *house) must(want int, token, method, path string, body any, header ...string) map[string]any {
	h.t.Helper()
	status, v := h.call(token, method, path, body, header...)
	if status != want {
		h.t.Fatalf("%s %s: %d %v, want %d", method, path, status, v, want)
	}
	return v
}

type object map[string]any

func (h *house) login(tenant, user, password string) (int, string) {
	h.t.Helper()
	status, v := h.call("", "POST", "/login", object{"tenant": tenant, "user": user, "password": password})
	token, _ := v["token"].(string)
	return status, token
}

func (h *house) user(id string, roles ...string) (token string) {
	h.t.Helper()
	h.must(201, adminToken, "POST", "/users", object{"id": id, "fullName": "A " + id, "password": goodWord, "roles": roles})
	status, token := h.login("mno", id, goodWord)
	if status != 200 {
		h.t.Fatalf("login of %s: %d", id, status)
	}
	return token
}

func (h *house) authenticate(token string, header ...string) (*Caller, error) {
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Authorization", "Bearer "+token)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return h.g.Authenticate(r.WithContext(h.t.Context()))
}

func TestALoginGivesATokenOfTheTenant(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		token := h.user("ann", "noc")
		c, err := h.authenticate(token)
		if err != nil || c.Tenant != "mno" || c.Actor != "user:ann" {
			t.Fatalf("%+v, %v", c, err)
		}
		me := h.must(200, token, "GET", "/me", nil)
		if me["actor"] != "user:ann" || me["tenant"] != "mno" || fmt.Sprint(me["roles"]) != "[noc]" {
			t.Errorf("me is %v", me)
		}
		h.must(204, token, "POST", "/logout", nil)
		if _, err := h.authenticate(token); !fault.Is(err, fault.Unauthorized) {
			t.Errorf("after logout: %v", err)
		}
	})
}

func TestATokenEndsWithItsTime(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		token := h.user("ann", "noc")
		h.clock.add(12*time.Hour - time.Second)
		if _, err := h.authenticate(token); err != nil {
			t.Errorf("shortly before the end: %v", err)
		}
		h.clock.add(time.Second)
		if _, err := h.authenticate(token); !fault.Is(err, fault.Unauthorized) {
			t.Errorf("at its end: %v", err)
		}
	})
}

func TestWrongPasswordsLockTheNameWhetherItExistsOrNot(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.user("ann", "noc")
		for _, name := range []string{"ann", "nobody"} {
			for i := range lockAfter {
				if status, _ := h.login("mno", name, "wrong password"); status != 401 {
					t.Fatalf("%s, try %d: %d, want 401", name, i, status)
				}
			}
			if status, _ := h.login("mno", name, goodWord); status != 429 {
				t.Errorf("%s after %d failures: %d, want 429", name, lockAfter, status)
			}
		}
		h.clock.add(lockFirst + time.Second)
		if status, _ := h.login("mno", "ann", goodWord); status != 200 {
			t.Errorf("after the lock: %d", status)
		}
		if status, _ := h.login("mno", "ann", "wrong password"); status != 401 {
			t.Errorf("a success did not wipe the failures: %d", status)
		}
	})
}

// Guesses side by side do not get around the lock.
func TestParallelGuessesAreCountedBeforeTheyAreChecked(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.user("ann", "noc")
		h.g.visitors = newVisitors()
		var wg sync.WaitGroup
		answers := make(chan int, 16)
		for range 16 {
			wg.Go(func() {
				status, _ := h.login("mno", "ann", "wrong password")
				answers <- status
			})
		}
		wg.Wait()
		close(answers)
		checked := 0
		for status := range answers {
			if status == 401 {
				checked++
			}
		}
		if checked != lockAfter {
			t.Errorf("%d guesses were checked, want %d", checked, lockAfter)
		}
	})
}

// The answer to a wrong name costs what the answer to a wrong password costs:
// one hash of the same parameters, and reads the same.
func TestAnUnknownNameCostsAsMuchAsAWrongPassword(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.user("ann", "noc")
		h.must(201, adminToken, "POST", "/users", object{"id": "bob", "password": goodWord})
		h.must(200, adminToken, "PATCH", "/users/bob", object{"status": "suspended"})
		var answers []string
		for _, c := range [][3]string{{"mno", "ann", "wrong password"}, {"mno", "nobody", "wrong password"}, {"nowhere", "ann", "wrong password"}, {"mno", "bob", goodWord}} {
			before := h.g.hasher.done.Load()
			status, text := h.raw("", "POST", "/login", object{"tenant": c[0], "user": c[1], "password": c[2]})
			if n := h.g.hasher.done.Load() - before; n != 1 || status != 401 {
				t.Errorf("%v: %d hashes, status %d", c, n, status)
			}
			answers = append(answers, string(text))
		}
		if len(slices.Compact(answers)) != 1 {
			t.Errorf("the answers differ: %q", answers)
		}
		c, _, _, err := parseHash(h.g.hasher.none)
		if err != nil || c != present {
			t.Errorf("the hash of nobody has other parameters: %+v, %v", c, err)
		}
	})
}

func TestLoginsFromOneAddressHaveAPace(t *testing.T) {
	v := newVisitors()
	now := time.Now()
	r := httptest.NewRequest("POST", "/", nil)
	admitted := 0
	for range 30 {
		if v.admit(r, now) {
			admitted++
		}
	}
	other := httptest.NewRequest("POST", "/", nil)
	other.RemoteAddr = "192.0.2.77:4711"
	if admitted != 20 || v.admit(r, now.Add(time.Second)) || !v.admit(r, now.Add(4*time.Second)) || !v.admit(other, now) {
		t.Errorf("%d of 30 at once", admitted)
	}
}

func TestATokenOpensItsOwnTenantOnly(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.must(201, adminToken, "POST", "/tenants", object{"id": "mvno", "name": "Blue", "admin": object{"id": "bea", "password": goodWord}})
		ann := h.user("ann", "admin")
		status, bea := h.login("mvno", "bea", goodWord)
		if status != 200 {
			t.Fatalf("login of the new tenant's admin: %d", status)
		}
		c, err := h.authenticate(bea, Header, "mno") // the header is for the superuser
		if err != nil || c.Tenant != "mvno" {
			t.Errorf("%+v, %v", c, err)
		}
		h.must(404, bea, "GET", "/users/ann", nil)
		h.must(404, bea, "PATCH", "/users/ann", object{"fullName": "x"})
		h.must(404, ann, "DELETE", "/users/bea", nil)
		h.must(403, bea, "GET", "/tenants", nil)
		h.must(403, bea, "POST", "/tenants", object{"id": "own", "name": "x"})
		h.must(200, ann, "GET", "/tenants", nil)
		h.must(403, ann, "POST", "/tenants", object{"id": "host2", "name": "x", "role": "host"})
		if status, _ := h.login("mno", "bea", goodWord); status != 401 {
			t.Errorf("bea logs in at mno: %d", status)
		}
		h.must(200, ann, "PATCH", "/tenants/mvno", object{"status": "suspended"})
		h.must(401, bea, "GET", "/me", nil)
		if status, _ := h.login("mvno", "bea", goodWord); status != 401 {
			t.Errorf("login at a suspended tenant: %d", status)
		}
	})
}

func TestTheSuperuserChoosesTheTenant(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.must(201, adminToken, "POST", "/tenants", object{"id": "mvno", "name": "Blue"})
		for header, want := range map[string]string{"": "mno", "mno": "mno", "mvno": "mvno"} {
			c, err := h.authenticate(adminToken, Header, header)
			if err != nil || c.Tenant != want || !c.Allow("TMF622", "ProductOrder", "delete") {
				t.Errorf("header %q: %+v, %v", header, c, err)
			}
		}
		if _, err := h.authenticate(adminToken, Header, "nowhere"); !fault.Is(err, fault.Unauthorized) {
			t.Errorf("unknown tenant: %v", err)
		}
		for _, token := range []string{adminToken[:len(adminToken)-1], adminToken + "x", "", "x"} {
			if _, err := h.authenticate(token); !fault.Is(err, fault.Unauthorized) {
				t.Errorf("token %q: %v", token, err)
			}
		}
		without, err := New(h.db, slog.Default(), Config{Tenant: "mno"})
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Authorization", "Bearer ")
		if _, err := without.Authenticate(r); !fault.Is(err, fault.Unauthorized) {
			t.Errorf("no admin token configured: %v", err)
		}
		if _, err := New(h.db, slog.Default(), Config{Tenant: "mno", AdminToken: "short"}); err == nil {
			t.Error("a short admin token was accepted")
		}
	})
}

func TestPermissions(t *testing.T) {
	role := func(id string) []Permission {
		r, ok := builtInRole(id)
		if !ok {
			t.Fatalf("no built-in role %s", id)
		}
		return r.Permissions
	}
	own := []Permission{{"TMF622", "ProductOrder", []string{"read", "create"}}, {"TMF637", "*", []string{"*"}}}
	for _, c := range []struct {
		what            string
		have            []Permission
		api, kind, verb string
		want            bool
	}{
		{"exact", own, "TMF622", "ProductOrder", "create", true},
		{"another verb", own, "TMF622", "ProductOrder", "delete", false},
		{"another kind", own, "TMF622", "CancelProductOrder", "create", false},
		{"another API", own, "TMF620", "ProductOrder", "read", false},
		{"any kind and verb", own, "TMF637", "Product", "delete", true},
		{"none", nil, "TMF637", "Product", "read", false},
		{"admin", role("admin"), "access", "user", "delete", true},
		{"noc handles alarms", role("noc"), "TMF642", "Alarm", "update", true},
		{"noc does not touch orders", role("noc"), "TMF641", "ServiceOrder", "update", false},
		{"noc does not see bills", role("noc"), "TMF678", "CustomerBill", "read", false},
		{"provisioner handles service orders", role("provisioner"), "TMF641", "ServiceOrder", "update", true},
		{"provisioner does not see bills", role("provisioner"), "TMF678", "CustomerBill", "read", false},
		{"agent orders", role("agent"), "TMF622", "ProductOrder", "create", true},
		{"agent sees alarms", role("agent"), "TMF642", "Alarm", "read", true},
		{"agent does not change bills", role("agent"), "TMF678", "CustomerBill", "update", false},
		{"product manager launches", role("product-manager"), "TMF620", "ProductOffering", "create", true},
		{"finance books", role("finance"), "TMF676", "Payment", "create", true},
		{"finance does not order", role("finance"), "TMF622", "ProductOrder", "create", false},
		{"dealer orders", role("dealer"), "TMF622", "ProductOrder", "create", true},
		{"dealer does not see alarms", role("dealer"), "TMF642", "Alarm", "read", false},
		{"reader reads", role("reader"), "TMF678", "CustomerBill", "read", true},
		{"reader writes nothing", role("reader"), "TMF621", "TroubleTicket", "create", false},
	} {
		caller := &Caller{permissions: c.have}
		if got := caller.Allow(c.api, c.kind, c.verb); got != c.want {
			t.Errorf("%s: %v, want %v", c.what, got, c.want)
		}
	}
}

func TestNobodyGivesAwayMoreThanHeHas(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.must(200, adminToken, "PUT", "/roles/clerk", object{"title": "Clerk", "permissions": []object{
			{"api": "access", "kind": "*", "verbs": []string{"*"}}, {"api": "TMF622", "kind": "*", "verbs": []string{"read"}}}})
		clerk := h.user("clerk", "clerk")
		h.user("boss", "admin")
		h.must(403, clerk, "POST", "/users", object{"id": "eve", "password": goodWord, "roles": []string{"admin"}})
		h.must(404, clerk, "GET", "/users/eve", nil)
		h.must(403, clerk, "POST", "/tokens", object{"id": "ci", "roles": []string{"agent"}})
		h.must(403, clerk, "PATCH", "/users/boss", object{"password": "a password of mine"})
		h.must(403, clerk, "DELETE", "/users/boss", nil)
		h.must(403, clerk, "PATCH", "/users/clerk", object{"roles": []string{"admin"}})
		h.must(403, clerk, "PUT", "/roles/clerk", object{"title": "Clerk", "permissions": []object{{"api": "*", "kind": "*", "verbs": []string{"read"}}}})
		h.must(409, adminToken, "PUT", "/roles/admin", object{"title": "x", "permissions": []object{{"api": "a", "kind": "b", "verbs": []string{"read"}}}})
		h.must(409, adminToken, "DELETE", "/roles/clerk", nil)
		h.must(400, adminToken, "POST", "/users", object{"id": "eve", "password": goodWord, "roles": []string{"nonsense"}})
		h.must(201, clerk, "POST", "/tokens", object{"id": "ci", "roles": []string{"clerk"}})
		plain := h.user("plain", "noc")
		h.must(403, plain, "GET", "/users", nil)
		h.must(403, plain, "GET", "/audit", nil)
		h.must(401, "", "GET", "/users", nil)
	})
}

func TestAnAPITokenIsShownOnceAndRevokedAtOnce(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		made := h.must(201, adminToken, "POST", "/tokens", object{"id": "ci", "note": "pipeline", "roles": []string{"reader"}})
		token := made["token"].(string)
		c, err := h.authenticate(token)
		if err != nil || c.Actor != "token:ci" || !c.Allow("TMF620", "ProductOffering", "read") || c.Allow("TMF620", "ProductOffering", "create") {
			t.Fatalf("%+v, %v", c, err)
		}
		h.must(409, adminToken, "POST", "/tokens", object{"id": "ci", "roles": []string{"reader"}})
		h.must(400, adminToken, "POST", "/tokens", object{"id": "old", "expiresAt": "2020-01-01T00:00:00Z"})
		h.must(409, token, "POST", "/logout", nil)
		_, list := h.raw(adminToken, "GET", "/tokens", nil)
		if strings.Contains(string(list), token) || !strings.Contains(string(list), token[:8]) || !strings.Contains(string(list), `"usedAt":"2026-03-01T12:00:00Z"`) {
			t.Errorf("the list is %s", list)
		}
		h.must(204, adminToken, "DELETE", "/tokens/ci", nil)
		if _, err := h.authenticate(token); !fault.Is(err, fault.Unauthorized) {
			t.Errorf("after its revocation: %v", err)
		}
	})
}

func TestAChangeOfRolesSuspensionAndPasswordWorkAtOnce(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		token := h.user("ann", "noc")
		h.must(403, token, "GET", "/users", nil)
		h.must(200, adminToken, "PATCH", "/users/ann", object{"roles": []string{"admin"}})
		h.must(200, token, "GET", "/users", nil)
		_, second := h.login("mno", "ann", goodWord)
		h.must(401, token, "POST", "/me/password", object{"old": "not this one", "new": "another good one"})
		h.must(400, token, "POST", "/me/password", object{"old": goodWord, "new": "short"})
		h.must(204, token, "POST", "/me/password", object{"old": goodWord, "new": "another good one"})
		h.must(200, token, "GET", "/me", nil)
		h.must(401, second, "GET", "/me", nil) // the other session ended
		if status, _ := h.login("mno", "ann", goodWord); status != 401 {
			t.Errorf("the old password still works: %d", status)
		}
		h.must(200, adminToken, "PATCH", "/users/ann", object{"status": "suspended"})
		h.must(401, token, "GET", "/me", nil)
		if status, _ := h.login("mno", "ann", "another good one"); status != 401 {
			t.Errorf("a suspended user logs in: %d", status)
		}
	})
}

// A revocation on another node is seen when the cache forgets.
func TestAnotherNodesRevocationIsSeenAfterSeconds(t *testing.T) {
	config := storetest.Config(t, store.Postgres)
	now := &clock{now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	config.Clock = now.Now
	db := storetest.OpenConfig(t, config, schemas...)
	one, err := New(db, slog.Default(), Config{AdminToken: adminToken, Tenant: "mno"})
	if err != nil {
		t.Fatal(err)
	}
	two, err := New(storetest.OpenConfig(t, config, schemas...), slog.Default(), Config{AdminToken: adminToken, Tenant: "mno"})
	if err != nil {
		t.Fatal(err)
	}
	if err := one.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(one.Handler())
	defer server.Close()
	h := &house{t: t, g: two, url: server.URL}
	token := h.must(201, adminToken, "POST", "/tokens", object{"id": "ci", "roles": []string{"reader"}})["token"].(string)
	if _, err := h.authenticate(token); err != nil {
		t.Fatal(err)
	}
	h.must(204, adminToken, "DELETE", "/tokens/ci", nil)
	now.add(6 * time.Second)
	if _, err := h.authenticate(token); !fault.Is(err, fault.Unauthorized) {
		t.Errorf("six seconds after: %v", err)
	}
}

// No secret ends in a row that is read by people, in any other column but the
// hashes, or in a log line.
func TestNoSecretIsLeftAnywhere(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		session := h.user("ann", "admin")
		api := h.must(201, session, "POST", "/tokens", object{"id": "ci", "roles": []string{"noc"}})["token"].(string)
		h.must(200, session, "GET", "/me", nil)
		h.must(204, session, "POST", "/me/password", object{"old": goodWord, "new": "a second good one"})
		h.must(200, adminToken, "PATCH", "/users/ann", object{"password": "a third good one"})
		h.must(201, adminToken, "POST", "/tenants", object{"id": "mvno", "name": "Blue", "admin": object{"id": "bea", "password": "a fourth good one"}})
		typo := "my-password-in-the-name-field"
		h.login("mno", typo, "x")
		h.must(400, adminToken, "POST", "/users", `{"id":"x","password":"a fifth good one","passwort":1}`)
		h.must(400, adminToken, "POST", "/users", `{"id":"x","password":["a sixth good one"]}`)
		secrets := []string{goodWord, "a second good one", "a third good one", "a fourth good one", typo, session, api, adminToken, "a fifth", "a sixth"}
		entries := 0
		for table, columns := range map[string]string{
			"access_audit":   "tenant || actor || action || subject || coalesce(CAST(before AS TEXT), '') || coalesce(CAST(after AS TEXT), '')",
			"access_token":   "tenant || id || subject || sum || prefix || note || created_by",
			"access_user":    "tenant || id || full_name || hash",
			"access_failure": "tenant || name",
		} {
			err := h.db.Read(t.Context(), store.Scope{}, func(tx *store.Tx) error {
				rows, err := tx.System().Query("SELECT " + columns + " FROM " + table)
				lines, err := store.Collect(rows, err, store.Text)
				for _, line := range lines {
					entries++
					mustNotHold(t, table, line, secrets)
					if table == "access_audit" && (strings.Contains(line, "argon2id") || strings.Contains(line, digest(api))) {
						t.Errorf("a hash in the audit: %s", line)
					}
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		if entries < 10 {
			t.Errorf("looked at %d rows only", entries)
		}
		_, text := h.raw(adminToken, "GET", "/audit", nil)
		for _, action := range []string{"tenant.create", "user.create", "login", "token.create", "user.password", "user.update+password"} {
			if !strings.Contains(string(text), `"`+action+`"`) {
				t.Errorf("the audit has no %s", action)
			}
		}
		h.db.Close() // an outage is logged, with its request
		if status, _ := h.login("mno", "ann", goodWord); status < 500 {
			t.Errorf("login without a store: %d", status)
		}
		if status, _ := h.call(session, "POST", "/users", object{"id": "x", "password": "a fifth good one"}); status < 500 {
			t.Errorf("a new user without a store: %d", status)
		}
		if !strings.Contains(h.log.String(), "/access/v1/login") {
			t.Error("the outage was not logged")
		}
		mustNotHold(t, "log", h.log.String(), secrets)
	})
}

func mustNotHold(t *testing.T, where, text string, secrets []string) {
	t.Helper()
	for _, s := range secrets {
		if strings.Contains(text, s) {
			t.Errorf("%s holds the secret %q", where, s)
		}
	}
}

func TestRequestsThatAreRefused(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		big := `{"id":"x","fullName":"` + strings.Repeat("x", maxBody) + `"}`
		for _, c := range []struct {
			method, path string
			body         any
			want         int
		}{
			{"POST", "/users", big, 413},
			{"POST", "/users", "not json", 400},
			{"POST", "/users", `{"id":"x","fullName":"\u0000","password":"good enough"}`, 400},
			{"POST", "/users", object{"id": "UPPER", "password": goodWord}, 400},
			{"POST", "/users", object{"id": "ann", "password": "short"}, 400},
			{"POST", "/users", object{"id": "annabel", "password": "annabel-12345"}, 400},
			{"PATCH", "/users/nobody", object{"fullName": "x"}, 404},
			{"GET", "/users/%00", nil, 400},
			{"GET", "/users?limit=0", nil, 400},
			{"GET", "/audit?after=x", nil, 400},
			{"POST", "/tenants", object{"id": "mno", "name": "again"}, 409},
			{"GET", "/nothing", nil, 404},
			{"PUT", "/roles/x", object{"title": "x", "permissions": []object{{"api": "a", "kind": "b", "verbs": []string{"fly"}}}}, 400},
		} {
			status, v := h.call(adminToken, c.method, c.path, c.body)
			if status != c.want || v["code"] == "" || v["reason"] == "" || v["status"] != fmt.Sprint(c.want) {
				t.Errorf("%s %s: %d %v, want %d", c.method, c.path, status, v, c.want)
			}
		}
	})
}

func TestAHashOfOldParametersIsRenewedAtLogin(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.user("ann", "noc")
		salt := []byte("0123456789abcdef")
		old := cost{memory: 8 * 1024, time: 1, lanes: 1}
		sum, err := h.g.hasher.derive(t.Context(), "an older password", salt, old)
		if err != nil {
			t.Fatal(err)
		}
		err = h.db.Write(t.Context(), store.Scope{Tenant: "mno"}, func(tx *store.Tx) error {
			tx.Queue("UPDATE access_user SET hash = $2 WHERE tenant = $1 AND id = 'ann'", format(old, salt, sum))
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		for range 2 { // with the old hash, then with the renewed one
			if status, _ := h.login("mno", "ann", "an older password"); status != 200 {
				t.Fatalf("login: %d", status)
			}
			var u User
			err = h.db.Read(t.Context(), store.Scope{Tenant: "mno"}, func(tx *store.Tx) (err error) {
				u, err = findUser(tx, "ann")
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			if c, _, _, err := parseHash(u.hash); err != nil || c != present {
				t.Errorf("the hash is of %+v, %v", c, err)
			}
		}
	})
}

func TestSealedSecretsOpenInTheirPlaceOnly(t *testing.T) {
	path := filepath.Join(t.TempDir(), "seal.key")
	key, err := LoadKey(path)
	if err != nil {
		t.Fatal(err)
	}
	again, err := LoadKey(path)
	if err != nil || !bytes.Equal(key, again) {
		t.Fatalf("the key changed, or %v", err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	s, err := NewSealer(key)
	if err != nil {
		t.Fatal(err)
	}
	plain := []byte("465B5CE8B199B49FAA5F0A2EE238A6BC")
	sealed, err := s.Seal(plain, "mno/sim-1")
	if err != nil || bytes.Contains(sealed, plain) {
		t.Fatalf("sealed %x, %v", sealed, err)
	}
	if got, err := s.Open(sealed, "mno/sim-1"); err != nil || !bytes.Equal(got, plain) {
		t.Errorf("opened %q, %v", got, err)
	}
	if twice, _ := s.Seal(plain, "mno/sim-1"); bytes.Equal(twice, sealed) {
		t.Error("the same secret seals to the same octets")
	}
	for _, place := range []string{"mno/sim-2", "mvno/sim-1", ""} {
		if _, err := s.Open(sealed, place); err == nil {
			t.Errorf("opened in %q", place)
		}
	}
	for i := range sealed {
		bent := slices.Clone(sealed)
		bent[i] ^= 1
		if _, err := s.Open(bent, "mno/sim-1"); err == nil {
			t.Errorf("opened with octet %d changed", i)
		}
		if _, err := s.Open(sealed[:i], "mno/sim-1"); err == nil {
			t.Errorf("opened the first %d octets", i)
		}
	}
	if _, err := NewSealer(key[:16]); err == nil {
		t.Error("a short key was accepted")
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadKey(path); err == nil {
		t.Error("a key that others may read was accepted")
	}
}

// Starts side by side agree on one key.
func TestOneKeyIsMadeUnderARace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "seal.key")
	keys := make(chan string, 8)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			key, err := LoadKey(path)
			if err != nil {
				t.Error(err)
			}
			keys <- string(key)
		})
	}
	wg.Wait()
	close(keys)
	first := <-keys
	for k := range keys {
		if k != first {
			t.Error("two keys were made")
		}
	}
}

func BenchmarkAuthenticate(b *testing.B) {
	db := storetest.Open(b, store.SQLite, schemas...)
	g, err := New(db, slog.Default(), Config{AdminToken: adminToken, Tenant: "mno"})
	if err != nil {
		b.Fatal(err)
	}
	if err := g.Prepare(b.Context()); err != nil {
		b.Fatal(err)
	}
	r := httptest.NewRequest("GET", "/", nil).WithContext(b.Context())
	r.Header.Set("Authorization", "Bearer "+adminToken)
	for b.Loop() {
		if _, err := g.Authenticate(r); err != nil {
			b.Fatal(err)
		}
	}
}
