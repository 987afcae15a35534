package tmf

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"tandem/kit/store"
)

// HubOptions say whom events may be sent to, and how long to try.
type HubOptions struct {
	AllowLocal bool          // loopback and link-local callbacks: for tests and the demo only
	Attempts   int           // deliveries of one event before it becomes a dead letter; 0: 10
	Backoff    time.Duration // wait after the first failure, doubled each time up to 5 minutes; 0: 1 s
	Timeout    time.Duration // of one delivery; 0: 10 s
	Keep       time.Duration // change records, as long as the events and histories in them are wanted; 0: for ever
	Log        *slog.Logger
	// Authorize gives the present permissions of the one who subscribed; nil: no check.
	Authorize func(ctx context.Context, tenant, owner string) (func(api, kind, verb string) bool, error)
	// Audit notes what is done with a subscription, in the transaction that does it; nil: nobody does.
	Audit func(tx *store.Tx, action, subject string, before, after any) error
}

// Hub delivers events to subscribers (TMF630 points 29 to 32): in order for each
// subscriber, at least once, across restarts, from the change records. An event
// that cannot be delivered becomes a dead letter that can be seen and sent again.
type Hub struct {
	db     *store.DB
	opt    HubOptions
	kinds  map[string]Mounted // by API base + name
	byAPI  map[string][]Mounted
	client *http.Client
	tail   *store.Tail
	wake   chan struct{}
	cancel context.CancelFunc
	done   sync.WaitGroup
	busy   sync.Map // tenant/hub -> true while this process delivers for it
}

const (
	hubPoll  = 500 * time.Millisecond
	hubBatch = 64
	maxHubs  = 100 // subscriptions of one tenant

	maxUnderWay = 2000 // changes that may have a number while one with a higher number is committed
)

// NewHub prepares delivery for the kinds.
func NewHub(db *store.DB, kinds []Mounted, opt HubOptions) *Hub {
	h := &Hub{db: db, opt: opt, kinds: map[string]Mounted{}, byAPI: map[string][]Mounted{}, tail: db.Tail("tmf_change"), wake: make(chan struct{}, 1)}
	if h.opt.Attempts == 0 {
		h.opt.Attempts = 10
	}
	if h.opt.Backoff == 0 {
		h.opt.Backoff = time.Second
	}
	if h.opt.Timeout == 0 {
		h.opt.Timeout = 10 * time.Second
	}
	if h.opt.Log == nil {
		h.opt.Log = slog.Default()
	}
	for _, k := range kinds {
		m := k.Meta()
		h.kinds[m.API.ID+"/"+m.Name] = k
		h.byAPI[m.API.ID] = append(h.byAPI[m.API.ID], k)
	}
	if h.opt.Audit == nil {
		h.opt.Audit = func(*store.Tx, string, string, any, any) error { return nil }
	}
	h.client = Outbound(h.opt.AllowLocal, h.opt.Timeout)
	return h
}

// Start begins delivering; Stop ends it and waits.
func (h *Hub) Start(ctx context.Context) {
	ctx, h.cancel = context.WithCancel(ctx)
	poke := func() {
		select {
		case h.wake <- struct{}{}:
		default:
		}
	}
	changed.Store(&poke)
	h.done.Add(1)
	go h.loop(ctx)
	if h.opt.Keep > 0 {
		h.done.Add(1)
		go h.keepPruning(ctx)
	}
}

// Stop waits for deliveries under way.
func (h *Hub) Stop() {
	h.cancel()
	h.done.Wait()
}

func (h *Hub) loop(ctx context.Context) {
	defer h.done.Done()
	tick := time.NewTicker(hubPoll)
	defer tick.Stop()
	for {
		if err := h.round(ctx); err != nil && ctx.Err() == nil {
			h.opt.Log.Error("hub delivery", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-h.wake:
		case <-tick.C:
		}
	}
}

// subscription is a row of tmf_hub.
type subscription struct {
	tenant, id, api, callback, query, owner string
	cursor, attempt                         int64
	// lease is until when the subscription is this process's, in microseconds. Each
	// lease ends later than the one before, so that it also tells them apart: what is
	// written under one that was lost finds no row.
	lease int64
}

// round starts a delivery for each subscription that is behind and due.
func (h *Hub) round(ctx context.Context) error {
	var due []subscription
	now := h.db.Now()
	err := h.db.Read(ctx, store.Scope{}, func(tx *store.Tx) error {
		rows, err := tx.System().Query(`SELECT tenant, id, api, callback, query, owner, cursor, attempt FROM tmf_hub
			WHERE next_at <= $1 AND lease_until <= $1 AND cursor < (SELECT coalesce(max(seq), 0) FROM tmf_change)`, store.Micros(now))
		due, err = store.Collect(rows, err, func(r store.Rows) (s subscription, err error) {
			err = r.Scan(&s.tenant, &s.id, &s.api, &s.callback, &s.query, &s.owner, &s.cursor, &s.attempt)
			return s, err
		})
		return err
	})
	if err != nil {
		return err
	}
	for _, s := range due {
		key := s.tenant + "/" + s.id
		if _, running := h.busy.LoadOrStore(key, true); running {
			continue
		}
		h.done.Add(1)
		go func() {
			defer h.done.Done()
			defer h.busy.Delete(key)
			if err := h.serveOne(ctx, s); err != nil && ctx.Err() == nil {
				h.opt.Log.Warn("hub subscription", "tenant", s.tenant, "hub", s.id, "error", err)
			}
		}()
	}
	return nil
}

func (h *Hub) scope(s subscription) store.Scope {
	return store.Scope{Tenant: s.tenant, Actor: "system:hub"}
}

// lease takes the subscription for this process, for as long as three deliveries may
// take; false if another has it, or it has moved on since it was read.
func (h *Hub) lease(ctx context.Context, s *subscription) (ok bool, err error) {
	err = h.db.Write(ctx, h.scope(*s), func(tx *store.Tx) error {
		s.lease = store.Micros(tx.Now().Add(3 * h.opt.Timeout))
		n, err := tx.Exec("UPDATE tmf_hub SET lease_until = $3 WHERE tenant = $1 AND id = $2 AND lease_until <= $4 AND cursor = $5 AND attempt = $6",
			s.id, s.lease, store.Micros(tx.Now()), s.cursor, s.attempt)
		ok = n == 1
		return err
	})
	return ok, err
}

// renew makes sure that the lease outlasts a delivery; store.ErrStale if it is lost.
func (h *Hub) renew(ctx context.Context, s *subscription) error {
	if store.Instant(s.lease).Sub(h.db.Now()) > 2*h.opt.Timeout {
		return nil
	}
	var until int64
	err := h.db.Write(ctx, h.scope(*s), func(tx *store.Tx) error {
		until = max(s.lease+1, store.Micros(tx.Now().Add(3*h.opt.Timeout)))
		tx.QueueOne("UPDATE tmf_hub SET lease_until = $3 WHERE tenant = $1 AND id = $2 AND lease_until = $4", s.id, until, s.lease)
		return nil
	})
	if err == nil {
		s.lease = until
	}
	return err
}

// serveOne delivers what a subscription is behind by, one batch a time.
func (h *Hub) serveOne(ctx context.Context, s subscription) error {
	ok, err := h.lease(ctx, &s)
	if err != nil || !ok {
		return err
	}
	defer func() { h.release(s) }() // s has the lease as it is then
	err = h.catchUp(ctx, &s)
	if errors.Is(err, store.ErrStale) {
		h.opt.Log.Info("another node has the subscription now, or it is gone", "tenant", s.tenant, "hub", s.id)
		return nil
	}
	return err
}

// catchUp delivers until nothing is left.
func (h *Hub) catchUp(ctx context.Context, s *subscription) error {
	q, err := parseQuery(s.query, h.resolver(s.api))
	if err != nil {
		return fmt.Errorf("stored query: %w", err)
	}
	for {
		allow, err := h.authorize(ctx, s.tenant, s.owner)
		if err != nil {
			return err
		}
		upto, err := h.tail.Upto(ctx, s.cursor, hubBatch)
		if err != nil || upto == s.cursor {
			return err
		}
		events, err := h.read(ctx, *s, upto)
		if err != nil {
			return err
		}
		for _, e := range events {
			if !allow(s.api, e.kind, VerbRead) || !e.wanted(q) {
				continue
			}
			if err := errors.Join(h.renew(ctx, s), ctx.Err()); err != nil {
				return err
			}
			if err := h.deliver(ctx, s, e, q); err != nil {
				return err
			}
		}
		if err := h.advance(ctx, s, upto); err != nil {
			return err
		}
	}
}

// authorize says what the owner of a subscription may read now.
func (h *Hub) authorize(ctx context.Context, tenant, owner string) (func(api, kind, verb string) bool, error) {
	if h.opt.Authorize == nil {
		return func(string, string, string) bool { return true }, nil
	}
	return h.opt.Authorize(ctx, tenant, owner)
}

// deliver posts one event; after the last attempt it becomes a dead letter, so
// that one event the subscriber cannot take does not hold up the rest for ever.
func (h *Hub) deliver(ctx context.Context, s *subscription, e event, q *Query) error {
	body, err := e.body(q)
	if err != nil {
		return err
	}
	failure := h.send(ctx, s.callback, body)
	if failure == nil || ctx.Err() != nil {
		if failure == nil {
			s.attempt = 0
		}
		return ctx.Err()
	}
	s.attempt++
	if s.attempt >= int64(h.opt.Attempts) {
		return h.bury(ctx, s, e, body, failure)
	}
	wait := min(h.opt.Backoff<<(s.attempt-1), 5*time.Minute)
	wait += time.Duration(rand.Int64N(int64(wait)/4 + 1))
	err = h.db.Write(ctx, h.scope(*s), func(tx *store.Tx) error {
		tx.QueueOne("UPDATE tmf_hub SET cursor = $3, attempt = $4, next_at = $5, last_error = $6 WHERE tenant = $1 AND id = $2 AND lease_until = $7",
			s.id, e.seq-1, s.attempt, store.Micros(tx.Now().Add(wait)), failure.Error(), s.lease)
		return nil
	})
	return errors.Join(err, fmt.Errorf("event %s, attempt %d: %w", e.id(), s.attempt, failure))
}

func (h *Hub) send(ctx context.Context, callback string, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, callback, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := h.client.Do(req)
	if err != nil {
		return fmt.Errorf("the callback could not be reached: %w", errors.Unwrap(err))
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 64<<10)) // only so that the connection can be used again
	if res.StatusCode/100 != 2 {
		return fmt.Errorf("the callback answered %d", res.StatusCode)
	}
	return nil
}

func (h *Hub) bury(ctx context.Context, s *subscription, e event, body []byte, failure error) error {
	attempts := s.attempt
	s.attempt = 0
	return h.db.Write(ctx, h.scope(*s), func(tx *store.Tx) error {
		tx.Queue(`INSERT INTO tmf_dead_letter (tenant, hub, seq, event, error, attempts, at) VALUES ($1, $2, $3, $4, $5, $6, $7)
			ON CONFLICT (tenant, hub, seq) DO UPDATE SET error = excluded.error, attempts = excluded.attempts, at = excluded.at`,
			s.id, e.seq, string(body), failure.Error(), attempts, store.Micros(tx.Now()))
		tx.QueueOne("UPDATE tmf_hub SET cursor = $3, attempt = 0, next_at = 0, last_error = $4 WHERE tenant = $1 AND id = $2 AND lease_until = $5",
			s.id, e.seq, failure.Error(), s.lease)
		return nil
	})
}

func (h *Hub) advance(ctx context.Context, s *subscription, upto int64) error {
	s.cursor = upto
	return h.db.Write(ctx, h.scope(*s), func(tx *store.Tx) error {
		tx.QueueOne("UPDATE tmf_hub SET cursor = $3, attempt = 0, next_at = 0, last_error = '' WHERE tenant = $1 AND id = $2 AND lease_until = $4", s.id, upto, s.lease)
		return nil
	})
}

func (h *Hub) release(s subscription) {
	// The lease is given back also when the process is stopping.
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	err := h.db.Write(ctx, h.scope(s), func(tx *store.Tx) error {
		tx.Queue("UPDATE tmf_hub SET lease_until = 0 WHERE tenant = $1 AND id = $2 AND lease_until = $3", s.id, s.lease)
		return nil
	})
	if err != nil && !errors.Is(err, store.ErrClosed) {
		h.opt.Log.Warn("hub lease is not given back; it expires by itself", "hub", s.id, "error", err)
	}
}

// newest is the number that all changes have passed which are committed by now: a
// subscription that begins there misses none that is committed later, though it may
// hear some from just before it.
func (h *Hub) newest(ctx context.Context) (int64, error) {
	var top int64
	err := h.db.Read(ctx, store.Scope{}, func(tx *store.Tx) error {
		return tx.System().Row("SELECT coalesce(max(seq), 0) FROM tmf_change").Scan(&top)
	})
	if err != nil {
		return 0, err
	}
	return h.tail.Upto(ctx, max(0, top-maxUnderWay), 2*maxUnderWay)
}
