package activation

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/oklog/ulid/v2"

	"tandem/kit/fault"
	"tandem/kit/store"
	"tandem/kit/tmf"
	"tandem/kit/work"
	"tandem/oss/activation/driver"
)

const (
	monitorAge  = 30 * 24 * time.Hour // how long an ended monitor is kept
	monitorPage = 500                 // monitors dealt with in one transaction
)

// Handle registers the room's jobs. Call it before the runner starts.
func (a *Activation) Handle(r *work.Runner) {
	r.Handle(activateJob, work.Options{Concurrency: 16, MaxAttempts: a.options.Attempts, Backoff: a.options.Backoff}, a.activate)
	r.Handle(pruneJob, work.Options{Concurrency: 1}, a.prune)
}

// intent is what a run of the job knew when it went to the element.
type intent struct {
	target   *target
	desired  driver.Desired
	monitors []string // of the requests that the target includes
}

// activate brings the element to a service's target and writes the outcome. A request that comes meanwhile makes the job run once more.
func (a *Activation) activate(ctx context.Context, job *work.Job) error {
	var in intent
	var seen driver.Observed
	err := a.db.Read(ctx, job.Scope(), func(tx *store.Tx) (err error) {
		in, err = readIntent(tx, job.Key)
		return err
	})
	if err == nil && in.target != nil {
		seen, err = a.Ensure(ctx, job.Tenant, in.target.element, in.desired)
	}
	if ctx.Err() != nil {
		return ctx.Err() // the lease is lost or the program stops: another run goes on
	}
	if err != nil {
		return a.failed(ctx, job, in, err)
	}
	return a.db.Write(ctx, job.Scope(), func(tx *store.Tx) error {
		if in.target != nil {
			if err := confirm(tx, in, seen); err != nil {
				return err
			}
		}
		return job.Finish(tx)
	})
}

// failed has the job tried again, or parked with its monitors saying why.
func (a *Activation) failed(ctx context.Context, job *work.Job, in intent, failure error) error {
	if mayPass(failure) && job.Attempt < int64(a.options.Attempts) {
		var e *driver.Error
		if errors.As(failure, &e) && e.RetryAfter > 0 {
			return work.Retry(e.RetryAfter, failure)
		}
		return failure
	}
	err := a.db.Write(ctx, job.Scope(), func(tx *store.Tx) error { return endMonitors(tx, in.monitors, inError, errorResponse(failure)) })
	return work.Park(errors.Join(failure, err))
}

// mayPass tells whether a failure may pass by itself.
func mayPass(err error) bool {
	var e *driver.Error
	if errors.As(err, &e) {
		return e.Class.Retryable()
	}
	f := fault.Of(err)
	return f.Kind == fault.Internal || f.Kind == fault.Unavailable
}

// readIntent reads the monitors first: then the target is at least as new as the requests they follow.
func readIntent(tx *store.Tx, service string) (in intent, err error) {
	open, err := Monitors.Select(tx, tmf.Where{"sourceHref": API.Base + "/service/" + service, "state": inProgress}, tmf.Page{Sort: "id", Limit: monitorPage})
	if err != nil {
		return in, err
	}
	for _, m := range open {
		in.monitors = append(in.monitors, m.ID)
	}
	in.target, err = targetOf(tx, selectTarget, service)
	if err != nil || in.target == nil {
		return in, err
	}
	s, err := Services.Get(tx, service)
	if err != nil {
		return in, err
	}
	secrets, err := unseal(tx, in.target)
	if err != nil {
		return in, err
	}
	w, err := wishOf(s)
	if err != nil {
		return in, err
	}
	in.desired = w.desired(in.target.state, secrets)
	return in, nil
}

// confirm moves the service to the state that the element was read to have, unless something newer is asked for by now.
func confirm(tx *store.Tx, in intent, seen driver.Observed) error {
	body, err := tmf.Encode(struct {
		Type       string            `json:"type"`
		Key        string            `json:"key"`
		Present    bool              `json:"present"`
		Attributes map[string]string `json:"attributes,omitzero"`
	}{seen.Type, seen.Key, seen.Present, seen.Attributes})
	if err != nil {
		return err
	}
	if err := endMonitors(tx, in.monitors, completed, &Response{StatusCode: "200", Body: string(body), Header: jsonHeader}); err != nil {
		return err
	}
	t, err := lockTarget(tx, in.target.service)
	if err != nil || t == nil || t.change != in.target.change {
		return err
	}
	if !runs(t.state) {
		tx.Queue("DELETE FROM activation_target WHERE tenant = $1 AND service = $2", t.service)
		Yield(tx, t.place(), holderOf(t.service))
	}
	if t.state == deleted {
		s, err := Services.Lock(tx, t.service)
		if err != nil {
			return err
		}
		return Services.Remove(tx, s)
	}
	_, err = Services.Edit(tx, t.service, func(s *Service) error {
		s.setState(t.state, tx.Now())
		return nil
	})
	return err
}

func (s *Service) setState(state string, now time.Time) {
	on := state == stateActive
	s.State, s.IsServiceEnabled = state, &on
	if on {
		s.HasStarted = &on
		if s.StartDate.IsZero() {
			s.StartDate = now
		}
	}
	if state == stateTerminated {
		s.EndDate = now
	}
}

func endMonitors(tx *store.Tx, ids []string, state string, r *Response) error {
	for _, id := range ids {
		_, err := Monitors.Edit(tx, id, func(m *Monitor) error {
			m.State, m.Response = state, r
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// statusOf maps the classes to what a synchronous answer would have had.
var statusOf = map[driver.Class]int{driver.Transient: 503, driver.Unknown: 503, driver.Capacity: 507, driver.Validation: 422, driver.Conflict: 409, driver.Auth: 403}

// errorResponse tells the client what went wrong; details of the network stay in the job's error.
func errorResponse(err error) *Response {
	code, reason, status := "internal", "Something went wrong on our side; it has been logged", 500
	var e *driver.Error
	if errors.As(err, &e) {
		code, reason, status = string(e.Class), cmp.Or(e.Reason, "The element does not do it"), statusOf[e.Class]
	} else if f := fault.Of(err); f.Kind != fault.Internal {
		code, reason, status = f.Code, f.Reason, 422
	}
	body, err := tmf.Encode(map[string]string{"code": code, "reason": reason, "status": strconv.Itoa(status)})
	if err != nil {
		body = nil // a map of texts always encodes
	}
	return &Response{StatusCode: strconv.Itoa(status), Body: string(body), Header: jsonHeader}
}

// prune removes ended monitors of long ago. Every request orders the next run, so it does not order itself.
func (a *Activation) prune(ctx context.Context, job *work.Job) error {
	before, err := ulid.New(ulid.Timestamp(a.db.Now().Add(-monitorAge)), nil)
	if err != nil {
		return fmt.Errorf("activation: prune: %w", err)
	}
	for {
		done := false
		err := a.db.Write(ctx, job.Scope(), func(tx *store.Tx) error {
			n, err := pruneMonitors(tx, before.String())
			if done = n < monitorPage; err != nil || !done {
				return err
			}
			return job.Finish(tx)
		})
		if err != nil || done {
			return err
		}
	}
}

// pruneMonitors removes a page of ended monitors whose ids, which begin with their time, are before the given one.
func pruneMonitors(tx *store.Tx, before string) (int, error) {
	rows, err := tx.Query("SELECT id FROM activation_monitor WHERE tenant = $1 AND id < $2 AND a_state <> '"+inProgress+"' ORDER BY id LIMIT $3", before, monitorPage)
	ids, err := store.Collect(rows, err, store.Text)
	if err != nil {
		return 0, err
	}
	for _, id := range ids {
		m, err := Monitors.Lock(tx, id)
		if err != nil {
			return 0, err
		}
		if err := Monitors.Remove(tx, m); err != nil {
			return 0, err
		}
	}
	return len(ids), nil
}
