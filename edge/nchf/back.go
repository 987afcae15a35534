package nchf

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"hash/maphash"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"tandem/edge/credit"
)

var _ credit.Client = (*Server)(nil)

// teller notifies consumers. Each session has one worker, so that what it is told comes in order; a full queue is answered NoAnswer.
type teller struct {
	s      *Server
	queues []chan notice
	seed   maphash.Seed
	ctx    context.Context // ends what is under way when the server closes
	cancel context.CancelFunc
	wg     sync.WaitGroup
	h2, h1 *http.Client

	mu  sync.Mutex
	old map[string]bool // authorities that do not speak HTTP/2
}

// Limits of the way back.
const (
	queuedNotices = 4096
	maxRedirects  = 3
	maxTold       = 64 << 10 // octets of an answer that are read
	maxOld        = 4096
)

// notice is something to be told.
type notice struct {
	uri  string
	body []byte
	done func(credit.Outcome)
}

func newTeller(s *Server) *teller {
	t := &teller{s: s, seed: maphash.MakeSeed(), old: map[string]bool{}}
	t.ctx, t.cancel = context.WithCancel(context.Background()) // the life of the server, ended by Close
	h2, h1 := new(http.Protocols), new(http.Protocols)
	h2.SetHTTP2(true)
	h2.SetUnencryptedHTTP2(true)
	h1.SetHTTP1(true)
	t.h2, t.h1 = t.client(h2), t.client(h1)
	for range s.cfg.Notifiers {
		q := make(chan notice, queuedNotices)
		t.queues = append(t.queues, q)
		t.wg.Go(func() { t.work(q) })
	}
	return t
}

func (t *teller) client(p *http.Protocols) *http.Client {
	cfg := &t.s.cfg
	tlsConfig := cfg.NotifyTLS
	if tlsConfig == nil {
		tlsConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	return &http.Client{
		Timeout: cfg.Patience,
		Transport: &http.Transport{
			DialContext:            (&net.Dialer{Timeout: cfg.Patience / 2}).DialContext,
			TLSClientConfig:        tlsConfig.Clone(),
			TLSHandshakeTimeout:    cfg.Patience / 2,
			Protocols:              p,
			MaxIdleConns:           256,
			MaxIdleConnsPerHost:    2,
			MaxConnsPerHost:        16,
			IdleConnTimeout:        cfg.Idle,
			MaxResponseHeaderBytes: int64(cfg.MaxHeaders),
		},
		CheckRedirect: t.redirect,
	}
}

var errRedirect = errors.New("a redirect that is not followed")

// redirect follows 307 and 308, which keep method and body (TS 29.500 6.10.9).
func (t *teller) redirect(r *http.Request, via []*http.Request) error {
	status := r.Response.StatusCode
	if len(via) > maxRedirects || status != http.StatusTemporaryRedirect && status != http.StatusPermanentRedirect {
		return errRedirect
	}
	return t.allowed(r.URL)
}

// allowed judges where a consumer wants to be told.
func (t *teller) allowed(u *url.URL) error {
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil {
		return errors.New("not a place to notify")
	}
	if t.s.cfg.NotifyTo == nil {
		return nil
	}
	return t.s.cfg.NotifyTo(u)
}

// close ends what is under way; whoever waits hears NoAnswer.
func (t *teller) close() {
	t.cancel()
	t.wg.Wait()
	t.h1.CloseIdleConnections()
	t.h2.CloseIdleConnections()
}

// tell queues a notice about a key; done is called once, from another goroutine.
func (t *teller) tell(key []byte, n notice) {
	q := t.queues[maphash.Bytes(t.seed, key)%uint64(len(t.queues))]
	if t.ctx.Err() == nil && n.uri != "" {
		select {
		case q <- n:
			return
		default:
		}
	}
	t.s.Stats.Unanswered.Add(1)
	go n.done(credit.NoAnswer)
}

func (t *teller) work(q chan notice) {
	for {
		select {
		case n := <-q:
			t.deliver(n)
		case <-t.ctx.Done():
			for {
				select {
				case n := <-q:
					n.done(credit.NoAnswer)
				default:
					return
				}
			}
		}
	}
}

func (t *teller) deliver(n notice) {
	t.s.Stats.Told.Add(1)
	o := t.post(n)
	if o == credit.NoAnswer {
		t.s.Stats.Unanswered.Add(1)
	}
	n.done(o)
}

// post sends a notice: by HTTP/2 first, as the service-based architecture has it, and by HTTP/1.1 to a consumer that does not speak it.
// Being told twice does no harm: a notification asks for a report or for an end.
func (t *teller) post(n notice) credit.Outcome {
	u, err := url.Parse(n.uri)
	if err != nil || t.allowed(u) != nil {
		return credit.NoAnswer
	}
	t.mu.Lock()
	old := t.old[u.Host]
	t.mu.Unlock()
	if !old {
		o, err := t.once(t.h2, n)
		var timeout net.Error
		var dial *net.OpError
		switch {
		case err == nil:
			return o
		case errors.Is(err, errRedirect), errors.As(err, &timeout) && timeout.Timeout(), errors.As(err, &dial) && dial.Op == "dial":
			return credit.NoAnswer
		}
	}
	o, err := t.once(t.h1, n)
	if err != nil {
		return credit.NoAnswer
	}
	t.mu.Lock()
	if len(t.old) < maxOld {
		t.old[u.Host] = true
	}
	t.mu.Unlock()
	return o
}

func (t *teller) once(c *http.Client, n notice) (credit.Outcome, error) {
	ctx, cancel := context.WithTimeout(t.ctx, t.s.cfg.Patience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, n.uri, bytes.NewReader(n.body))
	if err != nil {
		return credit.NoAnswer, err
	}
	r.Header.Set("Content-Type", "application/json")
	a, err := c.Do(r)
	if err != nil {
		return credit.NoAnswer, err
	}
	defer a.Body.Close()
	body, err := io.ReadAll(io.LimitReader(a.Body, maxTold))
	if err != nil {
		return credit.NoAnswer, err
	}
	return outcomeOf(a.StatusCode, body), nil
}

// outcomeOf reads how a consumer answers a notification (TS 32.291 6.1.5.2.3).
func outcomeOf(status int, body []byte) credit.Outcome {
	switch {
	case status == http.StatusNotFound || status == http.StatusGone:
		return credit.Gone
	case status/100 == 2:
		return invocation(body)
	case status >= 500 || status == http.StatusTooManyRequests || status/100 == 3:
		return credit.NoAnswer
	}
	return credit.Refused
}

// invocation looks for an error in a ChargingNotifyResponse.
func invocation(body []byte) credit.Outcome {
	var s scanner
	s.reset(body)
	o := credit.Accepted
	for l := s.object(); s.more(&l); {
		if string(s.key) != "invocationResult" {
			s.skip()
			continue
		}
		for l := s.object(); s.more(&l); {
			if string(s.key) == "error" && s.peek() == '{' {
				o = credit.Refused
			}
			s.skip()
		}
	}
	return o
}

// Reauthorise asks the consumer of a session for a report (TS 32.291 6.1.5.2, notification type REAUTHORIZATION). back is its
// notifyUri. done is called once, from another goroutine.
func (s *Server) Reauthorise(_, session, back []byte, groups []uint32, done func(credit.Outcome)) {
	b := []byte(`{"notificationType":"REAUTHORIZATION"`)
	if len(groups) > 0 {
		b = append(b, `,"reauthorizationDetails":[`...)
		for i, g := range groups {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(appendNumber(b, `{"ratingGroup":`, uint64(g)), '}')
		}
		b = append(b, ']')
	}
	s.teller.tell(session, notice{string(back), append(b, '}'), done})
}

// Abort ends a session (ABORT_CHARGING). Nchf has no word for the cause.
func (s *Server) Abort(_, session, back []byte, _ credit.Cause, done func(credit.Outcome)) {
	s.teller.tell(session, notice{string(back), []byte(`{"notificationType":"ABORT_CHARGING"}`), done})
}

// orAway waits for an outcome as long as ctx permits.
func orAway(ctx context.Context, tell func(done func(credit.Outcome))) credit.Outcome {
	heard := make(chan credit.Outcome, 1)
	tell(func(o credit.Outcome) { heard <- o })
	select {
	case o := <-heard:
		return o
	case <-ctx.Done():
		return credit.NoAnswer
	}
}

// instant is an RFC 3339 instant of a JSON body.
func instant(micro int64) string { return time.UnixMicro(micro).UTC().Format(time.RFC3339Nano) }
