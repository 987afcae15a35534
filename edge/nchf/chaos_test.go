package nchf

import (
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"tandem/edge/credit"
)

// TestLostAnswersAreNotChargedTwice cuts connections right after a request was sent, so that nobody knows whether it arrived, and
// repeats it on another connection, perhaps with the indicator, perhaps through net/http: creates that are repeated lead to one
// session, and use is counted once.
func TestLostAnswersAreNotChargedTwice(t *testing.T) {
	t.Parallel()
	l := newLedger()
	h := serve(t, Config{}, l)
	const sessions, updates = 12, 10
	var done sync.WaitGroup
	for s := range sessions {
		done.Go(func() { cutAndRepeat(t, h, s, updates) })
	}
	done.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.used) != sessions {
		t.Errorf("%d sessions of %d", len(l.used), sessions)
	}
	for s, n := range l.used {
		if n != updates*1000 {
			t.Errorf("session %s is charged %d, not %d", s, n, updates*1000)
		}
	}
}

func cutAndRepeat(t *testing.T, h *house, session, updates int) {
	create := strings.Replace(createBody, "001010000000001", fmt.Sprintf("00101%010d", session), 1)
	cut(t, h, v3, create)
	c := h2(t)
	a := post(t, c, "http://"+h.addr+v3, create)
	location := a.header.Get("Location")
	if a.status != 201 || location == "" {
		t.Errorf("create: %d %s", a.status, a.body)
		return
	}
	for n := range updates {
		body := fmt.Sprintf(`{%s%d,"multipleUnitUsage":[{"ratingGroup":1,"requestedUnit":{},"usedUnitContainer":[{"localSequenceNumber":%d,"totalVolume":1000}]}]}`,
			head, n+2, n)
		cut(t, h, strings.TrimPrefix(location, "http://"+h.addr)+"/update", body)
		if n%2 == 0 {
			body = strings.Replace(body, "{", `{"retransmissionIndicator":true,`, 1)
		}
		if u := post(t, c, location+"/update", body); u.status != 200 || !strings.Contains(u.body, `"grantedUnit":{"totalVolume":1073741824}`) {
			t.Errorf("update: %d %s", u.status, u.body)
		}
	}
}

// cut sends a request and leaves.
func cut(t *testing.T, h *house, path, body string) {
	nc, err := net.Dial("tcp", h.addr)
	if err != nil {
		t.Error(err)
		return
	}
	b := append([]byte(preface), appendHead(nil, 0, frameSettings, 0, 0)...)
	b = append(b, headers(1, flagEndHeaders, block(path))...)
	nc.Write(append(b, dataFrame(1, flagEndStream, body)...))
	nc.Close()
}

// A session whose answers are lost with the connection goes on over another one, by the name that the caller gave it.
func TestReferencesAreToldForOtherConnections(t *testing.T) {
	t.Parallel()
	l := newLedger()
	h := serve(t, Config{Node: "n7"}, l)
	first, second := h.dial(ClientConfig{}), h.dial(ClientConfig{})
	call := new(credit.Call)
	call.Request.Kind, call.Request.Session, call.Request.Number, call.Request.At = credit.Initial, []byte("mine"), 1, 1
	credit.Do(first, call)
	ref := string(call.Answer.Session)
	if !strings.HasPrefix(ref, "n7.") {
		t.Fatalf("the reference is %q", ref)
	}
	call.Request.Kind, call.Request.Session, call.Request.Number = credit.Update, []byte(ref), 2
	if credit.Do(second, call); call.Answer.Result != credit.Success {
		t.Errorf("%v %s", call.Answer.Result, call.Answer.Reason)
	}
	call.Request.Session, call.Request.Number = []byte("mine"), 3
	if credit.Do(second, call); call.Answer.Result != credit.UnknownSession {
		t.Errorf("a name that only the other connection knows: %v", call.Answer.Result)
	}
}

func TestClientGivesUpAndStaysUsable(t *testing.T) {
	t.Parallel()
	l := newLedger()
	l.hold = make(chan struct{})
	h := serve(t, Config{}, l)
	c := h.dial(ClientConfig{Patience: 30 * time.Millisecond, Window: 1})
	call := new(credit.Call)
	call.Request.Kind, call.Request.Session, call.Request.Number, call.Request.At = credit.Initial, []byte("mine"), 1, 1
	if credit.Do(c, call); call.Answer.Result != credit.Busy || call.Answer.Reason != "no answer in time" {
		t.Errorf("%v %q", call.Answer.Result, call.Answer.Reason)
	}
	close(l.hold)
	for range 100 { // the late answer of the first is dropped
		if call.Request.Retransmitted = true; call.Answer.Result == credit.Success {
			return
		}
		credit.Do(c, call)
	}
	t.Errorf("still %v %q", call.Answer.Result, call.Answer.Reason)
}
