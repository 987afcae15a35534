package communication

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"tandem/kit/fault"
	"tandem/kit/store"
	"tandem/kit/tmf"
	"tandem/kit/work"
)

// Delivery brings messages to people. It talks to the network outside of any
// transaction.
type Delivery struct {
	// Documents makes what travels with messages; nil: they go without.
	Documents Documents

	db      *store.DB
	config  Config
	gateway *http.Client // to the operator's own SMS gateway
	hooks   *http.Client // to addresses customers gave
}

// NewDelivery prepares delivery as configured.
func NewDelivery(db *store.DB, c Config) (*Delivery, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	if c.Backoff == nil {
		c.Backoff = work.Exponential(2*time.Second, 10*time.Minute)
	}
	return &Delivery{db: db, config: c, gateway: tmf.Outbound(true, time.Minute), hooks: tmf.Outbound(c.AllowLocal, time.Minute)}, nil
}

// Handle registers the delivery with a runner. The message's own tryTimes ends the
// attempts; the job's limit is only there for what never gets that far.
func (d *Delivery) Handle(r *work.Runner) {
	r.Handle(deliverJob, work.Options{Concurrency: 8, MaxAttempts: 2 * maxTries, Backoff: d.config.Backoff, Timeout: 2 * time.Minute}, d.deliver)
}

// refusal is an error that trying again does not cure.
type refusal struct{ reason string }

func (r refusal) Error() string { return r.reason }

func (d *Delivery) deliver(ctx context.Context, job *work.Job) error {
	m, document, err := d.begin(ctx, job)
	if err != nil || m == nil {
		return err
	}
	m, err = d.withDocument(ctx, job.Tenant, m, document)
	if err == nil {
		err = d.send(ctx, job.Tenant, m)
	}
	return d.outcome(ctx, job, err)
}

// begin writes down that an attempt starts, and says which document travels with the message;
// nil if there is nothing to send.
func (d *Delivery) begin(ctx context.Context, job *work.Job) (m *Message, document string, err error) {
	err = d.db.Write(ctx, job.Scope(), func(tx *store.Tx) error {
		m = nil
		old, err := Messages.Lock(tx, job.Key)
		if fault.Is(err, fault.NotFound) {
			return job.Finish(tx)
		}
		if err != nil {
			return err
		}
		if old.State != Initial && old.State != InProgress {
			return job.Finish(tx)
		}
		if wait := old.ScheduledSendTime.Sub(tx.Now()); wait > 0 {
			return work.Retry(wait, nil)
		}
		next, err := Messages.Copy(old)
		if err != nil {
			return err
		}
		if int64(len(next.Attempt)) >= next.tries() {
			next.State = Failed // the last attempt was cut off
			return errors.Join(Messages.Save(tx, old, next), job.Finish(tx))
		}
		next.State, next.Attempt = InProgress, append(next.Attempt, Attempt{At: tx.Now()})
		if next.SendTime.IsZero() {
			next.SendTime = tx.Now()
		}
		m = next
		if document, err = documentOf(tx, m.ID); err != nil {
			return err
		}
		return Messages.Save(tx, old, next)
	})
	return m, document, err
}

func (m *Message) tries() int64 {
	if m.TryTimes == nil {
		return defaultTries
	}
	return *m.TryTimes
}

// send tries once.
func (d *Delivery) send(ctx context.Context, tenant string, m *Message) error {
	c := d.config.of(tenant)
	switch channel := m.Channel(); {
	case channel == Email && c.SMTP != nil:
		return c.SMTP.send(ctx, tenant, m)
	case channel == SMS && c.SMS != nil:
		ctx, cancel := context.WithTimeout(ctx, seconds(c.SMS.Seconds, 15))
		defer cancel()
		return post(ctx, d.gateway, c.SMS.URL, c.SMS.Secret, tenant, m)
	case channel == Webhook && c.Webhook != nil:
		if err := tmf.CheckOutbound("url", m.Receiver[0].URL, d.config.AllowLocal); err != nil {
			return refusal{fault.Of(err).Reason}
		}
		ctx, cancel := context.WithTimeout(ctx, seconds(c.Webhook.Seconds, 15))
		defer cancel()
		return post(ctx, d.hooks, m.Receiver[0].URL, c.Webhook.Secret, tenant, m)
	default:
		return refusal{fmt.Sprintf("No way to send %s is configured", channel)}
	}
}

const outcomeTime = 10 * time.Second

// outcome writes down what became of the attempt. The time of the run may be over;
// what has been sent must be known all the same.
func (d *Delivery) outcome(ctx context.Context, job *work.Job, failure error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), outcomeTime)
	defer cancel()
	again := false
	err := d.db.Write(ctx, job.Scope(), func(tx *store.Tx) error {
		m, err := Messages.Edit(tx, job.Key, func(m *Message) error { return m.note(tx.Now(), failure) })
		if fault.Is(err, fault.NotFound) {
			return job.Finish(tx)
		}
		if err != nil {
			return err
		}
		if again = m.State == Initial; again {
			return nil
		}
		return job.Finish(tx)
	})
	if err == nil && again {
		return failure
	}
	return err
}

// note closes the present attempt.
func (m *Message) note(at time.Time, failure error) error {
	if m.State != InProgress || len(m.Attempt) == 0 {
		return fmt.Errorf("message %s is %s while it is being sent", m.ID, m.State)
	}
	a := &m.Attempt[len(m.Attempt)-1]
	var final refusal
	switch {
	case failure == nil:
		a.Outcome, m.State, m.SendTimeComplete = sent, Completed, at
	case errors.As(failure, &final):
		a.Outcome, a.Reason, m.State = refused, failure.Error(), Failed
	default:
		a.Outcome, a.Reason, m.State = failed, failure.Error(), Initial
		if int64(len(m.Attempt)) >= m.tries() {
			m.State = Failed
		}
	}
	return nil
}
