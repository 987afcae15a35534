package nchf

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"testing"
	"time"

	"tandem/edge/credit"
)

// consumerAt is a consumer that is told things.
type consumerAt struct {
	mu    sync.Mutex
	heard []string
	proto map[string]bool
	url   string
}

func listen(t *testing.T, second bool, answer func(w http.ResponseWriter, r *http.Request)) *consumerAt {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &consumerAt{proto: map[string]bool{}, url: "http://" + l.Addr().String()}
	p := new(http.Protocols)
	p.SetHTTP1(!second)
	p.SetUnencryptedHTTP2(second)
	s := &http.Server{Protocols: p, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == "PRI" { // what HTTP/1.1 makes of a preface of HTTP/2
			w.WriteHeader(505)
			return
		}
		b, _ := io.ReadAll(r.Body)
		c.mu.Lock()
		c.heard = append(c.heard, r.URL.Path+" "+string(b))
		c.proto[r.Proto] = true
		c.mu.Unlock()
		answer(w, r)
	})}
	go s.Serve(l)
	t.Cleanup(func() { s.Close() })
	return c
}

func accept(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }

func reauthorise(s *Server, back string, groups ...uint32) credit.Outcome {
	done := make(chan credit.Outcome, 1)
	s.Reauthorise(nil, []byte("session"), []byte(back), groups, func(o credit.Outcome) { done <- o })
	return <-done
}

func TestNotifications(t *testing.T) {
	t.Parallel()
	h := serve(t, Config{Patience: 2 * time.Second}, null{})
	for _, second := range []bool{true, false} {
		c := listen(t, second, accept)
		if o := reauthorise(h.Server, c.url+"/cb", 1, 1<<32-1); o != credit.Accepted {
			t.Errorf("HTTP/2 %v: %v", second, o)
		}
		done := make(chan credit.Outcome, 1)
		h.Abort(nil, []byte("session"), []byte(c.url+"/cb"), credit.Barred, func(o credit.Outcome) { done <- o })
		if o := <-done; o != credit.Accepted {
			t.Errorf("abort: %v", o)
		}
		want := []string{`/cb {"notificationType":"REAUTHORIZATION","reauthorizationDetails":[{"ratingGroup":1},{"ratingGroup":4294967295}]}`,
			`/cb {"notificationType":"ABORT_CHARGING"}`}
		if len(c.heard) != 2 || c.heard[0] != want[0] || c.heard[1] != want[1] || c.proto["HTTP/2.0"] != second {
			t.Errorf("heard %q by %v", c.heard, c.proto)
		}
	}
	for name, x := range map[string]struct {
		answer func(http.ResponseWriter, *http.Request)
		want   credit.Outcome
	}{
		"404": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404) }, credit.Gone},
		"400": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(400) }, credit.Refused},
		"503": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }, credit.NoAnswer},
		"200 with a result": {func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, `{"invocationResult":{"failureHandling":"CONTINUE"}}`)
		}, credit.Accepted},
		"200 with an error": {func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, `{"invocationResult":{"error":{"status":400}}}`)
		}, credit.Refused},
		"302":                   {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", 302) }, credit.NoAnswer},
		"a redirect in circles": {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/cb", 307) }, credit.NoAnswer},
	} {
		c := listen(t, true, x.answer)
		if o := reauthorise(h.Server, c.url+"/cb"); o != x.want {
			t.Errorf("%s: %v, not %v", name, o, x.want)
		}
		if len(c.heard) > maxRedirects+1 {
			t.Errorf("%s: asked %d times", name, len(c.heard))
		}
	}
}

func TestRedirectsKeepMethodAndBody(t *testing.T) {
	t.Parallel()
	for _, code := range []int{307, 308} {
		other := listen(t, true, accept)
		c := listen(t, true, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, other.url+"/new", code) })
		var asked []string
		h := serve(t, Config{NotifyTo: func(u *url.URL) error { asked = append(asked, u.Path); return nil }}, null{})
		if o := reauthorise(h.Server, c.url+"/cb"); o != credit.Accepted {
			t.Errorf("%d: %v", code, o)
		}
		if len(other.heard) != 1 || other.heard[0] != `/new {"notificationType":"REAUTHORIZATION"}` {
			t.Errorf("%d: heard %q", code, other.heard)
		}
		if len(asked) != 2 || asked[1] != "/new" {
			t.Errorf("%d: judged %q", code, asked)
		}
	}
}

func TestPlacesThatAreNotNotified(t *testing.T) {
	t.Parallel()
	c := listen(t, true, accept)
	h := serve(t, Config{NotifyTo: func(*url.URL) error { return errors.New("not there") }, Patience: time.Second}, null{})
	for _, back := range []string{c.url, "", "file:///etc/passwd", "http://user@127.0.0.1/", "://"} {
		if o := reauthorise(h.Server, back); o != credit.NoAnswer {
			t.Errorf("%q: %v", back, o)
		}
	}
	if len(c.heard) != 0 {
		t.Errorf("heard %q", c.heard)
	}
}

func TestNotificationsOfASessionComeInOrder(t *testing.T) {
	t.Parallel()
	c := listen(t, true, accept)
	h := serve(t, Config{}, null{})
	var under sync.WaitGroup
	for i := range 100 {
		under.Add(1)
		h.Reauthorise(nil, []byte("one session"), []byte(c.url), []uint32{uint32(i)}, func(credit.Outcome) { under.Done() })
	}
	under.Wait()
	for i, heard := range c.heard {
		if want := string(appendNumber(nil, `/ {"notificationType":"REAUTHORIZATION","reauthorizationDetails":[{"ratingGroup":`, uint64(i))) + "}]}"; heard != want {
			t.Fatalf("%d: heard %q, not %q", i, heard, want)
		}
	}
}

func TestCloseEndsNotifications(t *testing.T) {
	t.Parallel()
	arrived, release := make(chan struct{}, 1), make(chan struct{})
	defer close(release)
	c := listen(t, true, func(http.ResponseWriter, *http.Request) { arrived <- struct{}{}; <-release })
	s, err := New(Config{Key: testKey}, null{})
	if err != nil {
		t.Fatal(err)
	}
	outcome := make(chan credit.Outcome, 2)
	for range 2 {
		s.Reauthorise(nil, []byte("session"), []byte(c.url), nil, func(o credit.Outcome) { outcome <- o })
	}
	<-arrived
	if err := s.Close(context.Background()); err != nil {
		t.Error(err)
	}
	for range 2 {
		if o := <-outcome; o != credit.NoAnswer {
			t.Errorf("outcome %v", o)
		}
	}
	if o := reauthorise(s, c.url); o != credit.NoAnswer {
		t.Errorf("after the end: %v", o)
	}
}
