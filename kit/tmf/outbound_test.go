package tmf_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"tandem/kit/fault"
	"tandem/kit/store"
	"tandem/kit/tmf"
	"tandem/kit/tmf/tmftest"
)

// A URL that can be seen to point to this machine is refused when it is given.
func TestLocalAddressesAreRefusedWhenTheyAreGiven(t *testing.T) {
	for _, host := range []string{"127.0.0.1", "127.8.9.10", "127.0.0.1:8080", "[::1]", "[::1]:8080", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::127.0.0.1]", "0.0.0.0", "0.1.2.3", "[::]",
		"169.254.169.254", "169.254.0.1:80", "[fe80::1]", "[fe80::1%25eth0]", "[::ffff:169.254.169.254]", "224.0.0.1", "[ff02::1]", "localhost", "LocalHost:80", "localhost.", "a.localhost", "a.LOCALHOST."} {
		for _, scheme := range []string{"http", "https", "HTTP"} {
			u := scheme + "://" + host + "/x"
			if err := tmf.CheckOutbound("callback", u, false); fault.Of(err).Code != "addressNotAllowed" {
				t.Errorf("%s: %v", u, err)
			}
			if err := tmf.CheckOutbound("callback", u, true); err != nil {
				t.Errorf("%s, where it is allowed: %v", u, err)
			}
		}
	}
	for _, u := range []string{"", "/x", "//example.com/x", "ftp://example.com", "javascript:alert(1)", "http://", "http:///x", "http://user:pw@example.com", "file:///etc/passwd", "http://exa mple.com",
		"http://example.com/" + strings.Repeat("x", 2000), "gopher://x", "unix:///x", "http://[::1", "http://example.com:x"} {
		if err := tmf.CheckOutbound("callback", u, true); fault.Of(err).Code != "badURL" {
			t.Errorf("%q: %v", u, err)
		}
	}
	for _, u := range []string{"http://example.com", "https://example.com:8443/a?b=c", "http://192.0.2.1/x", "http://[2001:db8::1]:80/", "http://localhost.example.com"} {
		if err := tmf.CheckOutbound("callback", u, false); err != nil {
			t.Errorf("%s: %v", u, err)
		}
	}
}

// trap is a server on this machine that nobody may reach, and a name service by
// which every name leads to it.
func trap(t *testing.T) (port string, hits *atomic.Int64) {
	t.Helper()
	hits = &atomic.Int64{}
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { hits.Add(1) }))
	t.Cleanup(srv.Close)
	names, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { names.Close() })
	go answerLoopback(names)
	old := net.DefaultResolver
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", names.LocalAddr().String())
	}}
	t.Cleanup(func() { net.DefaultResolver = old })
	_, port, err = net.SplitHostPort(srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port, hits
}

// answerLoopback answers every question of DNS (RFC 1035) with 127.0.0.1 or ::1.
func answerLoopback(c net.PacketConn) {
	buf := make([]byte, 512)
	for {
		n, from, err := c.ReadFrom(buf)
		if err != nil {
			return // closed
		}
		q := buf[12:n]
		end := 0
		for q[end] != 0 {
			end += int(q[end]) + 1
		}
		end += 5 // the root label, type and class
		addr := []byte{127, 0, 0, 1}
		if q[end-3] == 28 { // AAAA
			addr = net.IPv6loopback
		}
		out := append([]byte{buf[0], buf[1], 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0}, q[:end]...)
		out = append(out, 0xc0, 12, 0, q[end-3], 0, 1, 0, 0, 0, 0, 0, byte(len(addr)))
		if _, err := c.WriteTo(append(out, addr...), from); err != nil {
			return
		}
	}
}

// Whatever a name or another way to write an address turns into when the connection
// is made, it does not lead here.
func TestNoNameLeadsToThisMachine(t *testing.T) {
	port, hits := trap(t)
	client := tmf.Outbound(false, 5*time.Second)
	for _, host := range []string{"rebind.example", "2130706433", "0177.0.0.1", "0x7f.0.0.1", "127.1", "127.0.0.1.", "１２７.0.0.1", "localhost.localdomain", "localhost", "127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "0", "[::]"} {
		res, err := client.Get("http://" + host + ":" + port + "/")
		if err == nil {
			res.Body.Close()
			t.Errorf("%s was reached: %d", host, res.StatusCode)
		}
	}
	if hits.Load() != 0 {
		t.Errorf("%d requests came through", hits.Load())
	}
	res, err := tmf.Outbound(true, 5*time.Second).Get("http://rebind.example:" + port + "/")
	if err != nil || hits.Load() != 1 {
		t.Fatalf("the trap does not work: %v, %d", err, hits.Load())
	}
	res.Body.Close()
}

func TestNoRedirectIsFollowedAndNoProxyAsked(t *testing.T) {
	var hits atomic.Int64
	inner := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { hits.Add(1) }))
	defer inner.Close()
	outer := httptest.NewServer(http.RedirectHandler(inner.URL, http.StatusTemporaryRedirect))
	defer outer.Close()
	t.Setenv("HTTP_PROXY", inner.URL)
	res, err := tmf.Outbound(true, 5*time.Second).Post(outer.URL, "application/json", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusTemporaryRedirect || hits.Load() != 0 {
		t.Errorf("%d, and %d requests behind it", res.StatusCode, hits.Load())
	}
}

// A subscription whose name leads here when an event is delivered gets nothing but a
// dead letter that says so.
func TestACallbackThatTurnsLocalGetsNothing(t *testing.T) {
	port, hits := trap(t)
	tmftest.Each(t, nil, kinds, func(t *testing.T, db *store.DB) {
		hub := tmf.NewHub(db, kinds, tmf.HubOptions{Attempts: 1, Timeout: 5 * time.Second})
		hub.Start(t.Context())
		t.Cleanup(hub.Stop)
		api := tmf.NewServer(db, kinds, tmf.Options{Hub: hub, Authenticate: func(*http.Request) (*tmf.Caller, error) {
			return &tmf.Caller{Tenant: "mno", Actor: "test", Allow: func(string, string, string) bool { return true }}, nil
		}})
		ask := func(method, path, body string) *httptest.ResponseRecorder {
			w := httptest.NewRecorder()
			r := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
			r.Header.Set("Content-Type", "application/json")
			api.ServeHTTP(w, r)
			return w
		}
		const base = "/tmf-api/things/v4/"
		if w := ask("POST", base+"hub", `{"callback":"http://127.0.0.1:`+port+`"}`); w.Code != 400 || !strings.Contains(w.Body.String(), "addressNotAllowed") {
			t.Errorf("a local callback: %d %s", w.Code, w.Body)
		}
		made := ask("POST", base+"hub", `{"callback":"http://rebind.example:`+port+`/x"}`)
		if made.Code != 201 {
			t.Fatalf("%d %s", made.Code, made.Body)
		}
		ask("POST", base+"thing", `{"name":"one"}`)
		dead, err := await(t, func() string { return ask("GET", made.Header().Get("Location")+"/deadLetter", "").Body.String() }, "[]")
		if err != nil || !strings.Contains(dead, "local to the server") {
			t.Errorf("dead letters: %s, %v", dead, err)
		}
		if hits.Load() != 0 {
			t.Errorf("%d requests came through", hits.Load())
		}
	})
}

// await asks until the answer is another than the given one.
func await(t *testing.T, ask func() string, than string) (string, error) {
	t.Helper()
	late, tick := time.After(30*time.Second), time.NewTicker(20*time.Millisecond)
	defer tick.Stop()
	for {
		if got := ask(); got != than {
			return got, nil
		}
		select {
		case <-late:
			return "", fmt.Errorf("still %s", than)
		case <-tick.C:
		}
	}
}
