package receivable

import (
	"cmp"
	"context"
	"time"

	"tandem/edge/card"
	"tandem/kit/fault"
	"tandem/kit/store"
	"tandem/kit/work"
)

// cardJob brings one attempt to its end.
const cardJob = "receivable.card"

// Cards takes money from cards through the gateways of the tenants.
//
//	minted ──Charge, Refund──> sent ──answer──> succeeded: Receive; declined; confirm, pending: asked again
//	                            │ no answer: Ask; absent: the same attempt once more
//	                            └ too late: Cancel, which says what became of it
type Cards struct {
	DB *store.DB
	Of func(tenant string) card.Gateway // nil: the tenant has none
	// Tenants are all there are: those with the same gateway share the address that it tells
	// its news to. nil: none share one.
	Tenants func(ctx context.Context) ([]string, error)
	// Look is how long an attempt that waits for the customer or his bank is left alone
	// between two questions; 0: a minute. A webhook has it asked about at once.
	Look time.Duration
	// Backoff is the wait after the n-th call without an answer; nil: 1 s, doubled up to 10 min.
	Backoff func(attempt int) time.Duration
}

// Handle runs the jobs of cards.
func (c *Cards) Handle(r *work.Runner) {
	backoff := c.Backoff
	if backoff == nil {
		backoff = work.Exponential(time.Second, 10*time.Minute)
	}
	o := work.Options{Concurrency: 8, Backoff: backoff, MaxAttempts: 1000, Timeout: 2 * time.Minute} // more than patience holds
	r.Handle(cardJob, o, c.attempt)
	r.Handle(chargebackJob, o, c.chargeback) // it may wait for an attempt
}

// attempt does one step: what is to be asked is written down, then asked without a
// transaction, then the answer is written down.
func (c *Cards) attempt(ctx context.Context, j *work.Job) error {
	g := c.Of(j.Tenant)
	a, token, err := c.begin(ctx, j, g != nil)
	if err != nil || a.over() {
		return err
	}
	if g == nil {
		return fault.New(fault.Unavailable, "noGateway", "No card gateway is configured any more; what became of the attempt %q must be asked of it", a.id)
	}
	r, err := c.ask(ctx, g, a, token)
	if err != nil {
		return work.Retry(max(card.RetryAfter(err), c.backoff(int(j.Attempt))), err)
	}
	waits := false
	err = c.DB.Write(ctx, j.Scope(), func(tx *store.Tx) error {
		b, err := lockAttempt(tx, a.id)
		if err == nil {
			err = b.learn(tx, r)
		}
		if waits = !b.over(); err != nil || waits {
			return err
		}
		return j.Finish(tx)
	})
	if err == nil && waits {
		return work.Retry(cmp.Or(c.Look, time.Minute), nil)
	}
	return err
}

func (c *Cards) backoff(n int) time.Duration {
	if c.Backoff != nil {
		return c.Backoff(n)
	}
	return work.Exponential(time.Second, 10*time.Minute)(n)
}

// begin notes that the gateway is about to be asked. Without a gateway nothing that was
// not sent yet is: it ends here.
func (c *Cards) begin(ctx context.Context, j *work.Job, reachable bool) (a attempt, token card.Token, err error) {
	err = c.DB.Write(ctx, j.Scope(), func(tx *store.Tx) error {
		if a, err = lockAttempt(tx, j.Key); err != nil {
			return err
		}
		if a.state == attemptMinted && !reachable {
			if err := a.fail(tx, attemptCancelled, "noGateway", "Card payments are not set up; please pay another way", false); err != nil {
				return err
			}
		}
		if a.over() {
			return j.Finish(tx)
		}
		if a.sort == cardPayment {
			if token, err = tokenOf(tx, a.method); err != nil {
				return err
			}
		}
		if a.state == attemptMinted {
			tx.QueueOne("UPDATE receivable_attempt SET state = 'sent' WHERE tenant = $1 AND id = $2 AND state = 'minted'", a.id)
		}
		return nil
	})
	return a, token, err
}

// ask has the gateway do what was not asked for yet, or say what became of what was.
func (c *Cards) ask(ctx context.Context, g card.Gateway, a attempt, token card.Token) (card.Result, error) {
	if !c.DB.Now().Before(a.ends) {
		return g.Cancel(ctx, a.id)
	}
	if a.state != attemptMinted {
		r, err := g.Ask(ctx, a.id)
		if err != nil || r.Status != card.Absent {
			return r, err
		}
	}
	r, err := a.send(ctx, g, token)
	if err != nil && !card.Unknown(err) && !card.Transient(err) && fault.Is(err, fault.Invalid) {
		return g.Cancel(ctx, a.id) // refused as it is; an earlier request may still be on its way
	}
	return r, err
}

func (a *attempt) send(ctx context.Context, g card.Gateway, token card.Token) (card.Result, error) {
	if a.sort == cardRefund {
		return g.Refund(ctx, card.Refund{Attempt: a.id, Payment: a.gateway, Amount: a.amount, Description: "Refund"})
	}
	p := card.Payment{Attempt: a.id, Token: token, Amount: a.amount, Initiator: card.Merchant, Reference: a.document, ReturnURL: a.backTo}
	if a.backTo != "" {
		p.Initiator = card.Customer
	}
	return g.Charge(ctx, p)
}
