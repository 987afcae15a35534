package card_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"tandem/edge/card"
	"tandem/edge/card/cardtest"
	"tandem/kit/fault"
	"tandem/kit/money"
)

// at is a gateway with a client.
type at struct {
	*cardtest.Gateway
	*card.Client
}

func setup(t *testing.T, timeout time.Duration) at {
	t.Helper()
	g, err := cardtest.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.Close(); err != nil {
			t.Error(err)
		}
	})
	return at{g, client(t, g, timeout)}
}

func client(t *testing.T, g *cardtest.Gateway, timeout time.Duration) *card.Client {
	t.Helper()
	c, err := card.NewClient(card.Config{URL: g.URL, Key: card.Secret(g.Key), Webhooks: []card.Secret{card.Secret(g.Secret)}, Timeout: timeout})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func euro(cents int64) money.Amount { return money.Amount{Minor: cents, Currency: money.EUR} }

func (a at) payment(attempt string, cents int64, b cardtest.Behaviour) card.Payment {
	return card.Payment{
		Attempt: attempt, Token: card.Token(a.Card(b)), Amount: euro(cents), Initiator: card.Merchant,
		Description: "Tandem Mobile", Reference: "INV-2026-000017",
	}
}

func status(t *testing.T, r card.Result, err error, want card.Status) card.Result {
	t.Helper()
	if err != nil || r.Status != want {
		t.Fatalf("%+v, %v; want %s", r, err, want)
	}
	return r
}

func TestMoneyIsTakenAndGivenBack(t *testing.T) {
	a, ctx := setup(t, 0), t.Context()
	p := a.payment("attempt-1", 4990, cardtest.Behaviour{})
	r, err := a.Charge(ctx, p)
	status(t, r, err, card.Succeeded)
	if r.Amount != p.Amount || r.Card.Last4 != "4242" || r.Kind != card.KindPayment {
		t.Errorf("%+v", r)
	}
	same, err := a.Cancel(ctx, "attempt-1") // too late: it says so
	status(t, same, err, card.Succeeded)
	back, err := a.Refund(ctx, card.Refund{Attempt: "refund-01", Payment: r.Payment, Amount: euro(990)})
	status(t, back, err, card.Succeeded)
	if got := a.Taken("EUR"); got != 4000 {
		t.Errorf("%d taken", got)
	}
	if _, err := a.Refund(ctx, card.Refund{Attempt: "refund-02", Payment: r.Payment, Amount: euro(4001)}); !fault.Is(err, fault.Invalid) || card.Unknown(err) {
		t.Errorf("more than was taken: %v", err)
	}
}

func TestWhatIsReservedIsTakenLaterOrReleased(t *testing.T) {
	a, ctx := setup(t, 0), t.Context()
	r, err := a.Authorise(ctx, a.payment("attempt-1", 10000, cardtest.Behaviour{}))
	status(t, r, err, card.Authorised)
	if a.Taken("EUR") != 0 {
		t.Error("an authorisation took money")
	}
	c, err := a.Capture(ctx, card.Capture{Attempt: "capture-1", Payment: r.Payment, Amount: euro(7500)})
	status(t, c, err, card.Succeeded)
	other, err := a.Authorise(ctx, a.payment("attempt-2", 5000, cardtest.Behaviour{}))
	status(t, other, err, card.Authorised)
	gone, err := a.Cancel(ctx, "attempt-2")
	status(t, gone, err, card.Cancelled)
	if _, err := a.Capture(ctx, card.Capture{Attempt: "capture-2", Payment: other.Payment, Amount: euro(5000)}); !fault.Is(err, fault.Invalid) {
		t.Errorf("what was released was taken: %v", err)
	}
	if got := a.Taken("EUR"); got != 7500 {
		t.Errorf("%d taken", got)
	}
}

func TestADeclineSaysWhetherToTryAgain(t *testing.T) {
	a, ctx := setup(t, 0), t.Context()
	for code, hard := range map[string]bool{"insufficient_funds": false, "stolen_card": true, "expired_card": true, "somethingnew": false} {
		r, err := a.Charge(ctx, a.payment("attempt-"+code, 100, cardtest.Behaviour{Decline: code}))
		status(t, r, err, card.Declined)
		if r.Decline.Code != code || r.Decline.Hard() != hard || r.Decline.Advice() == "" {
			t.Errorf("%s: %+v", code, r.Decline)
		}
		if strings.Contains(r.Decline.Message, "4242 4242") {
			t.Errorf("the gateway's card number came through: %q", r.Decline.Message)
		}
	}
	if a.Taken("EUR") != 0 {
		t.Error("a decline took money")
	}
}

func TestTheCustomerConfirms(t *testing.T) {
	a, ctx := setup(t, 0), t.Context()
	for i, yes := range []bool{true, false} {
		attempt := fmt.Sprintf("attempt-%d", i)
		p := a.payment(attempt, 2500, cardtest.Behaviour{Confirm: true})
		p.Initiator, p.ReturnURL = card.Customer, "https://portal.example/paid"
		r, err := a.Charge(ctx, p)
		if status(t, r, err, card.RequiresAction); !strings.HasPrefix(r.RedirectURL, "https://") {
			t.Errorf("no page to confirm: %+v", r)
		}
		if err := a.Confirm(attempt, yes); err != nil {
			t.Fatal(err)
		}
		then, err := a.Ask(ctx, attempt)
		status(t, then, err, map[bool]card.Status{true: card.Succeeded, false: card.Declined}[yes])
		if then.Revision <= r.Revision {
			t.Errorf("revision %d after %d", then.Revision, r.Revision)
		}
	}
	if got := a.Taken("EUR"); got != 2500 {
		t.Errorf("%d taken", got)
	}
}

// What goes wrong after the money was taken, or perhaps was, is unknown until the
// gateway is asked, and then it is known.
func TestAskTellsWhatBecameOfAnUnknownAttempt(t *testing.T) {
	tests := []struct {
		name  string
		fault cardtest.Fault
		took  bool
	}{
		{"takes the money and never answers", cardtest.TakeHang, true},
		{"takes the money and drops the connection", cardtest.TakeDrop, true},
		{"takes the money and breaks off its answer", cardtest.TakeCut, true},
		{"takes the money and answers with a page", cardtest.TakeGarbage, true},
		{"takes the money and answers 500", cardtest.TakeError, true},
		{"takes the money and answers about another amount", cardtest.TakeOther, true},
		{"never answers", cardtest.Hang, false},
		{"drops the connection", cardtest.Drop, false},
		{"answers 500", cardtest.Error, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			a, ctx := setup(t, time.Second), t.Context()
			p := a.payment("attempt-1", 1234, cardtest.Behaviour{})
			a.Break(tt.fault)
			if r, err := a.Charge(ctx, p); !card.Unknown(err) || card.Transient(err) {
				t.Fatalf("%+v, %v; want unknown", r, err)
			}
			patient := client(t, a.Gateway, 10*time.Second)
			r, err := patient.Ask(ctx, p.Attempt)
			if tt.took {
				status(t, r, err, card.Succeeded)
			} else {
				status(t, r, err, card.Absent)
			}
			// Either way the same attempt may be sent again, and takes the money once.
			r, err = patient.Charge(ctx, p)
			status(t, r, err, card.Succeeded)
			if moves := a.Moves(); len(moves) != 1 || moves[0].Amount != 1234 {
				t.Errorf("the gateway's books: %+v", moves)
			}
		})
	}
}

// A request that the network keeps for a while is absent when it is asked about, and
// takes the money when it comes. Cancel ends that.
func TestAnAttemptThatWasCancelledNeverTakesMoney(t *testing.T) {
	for _, cancel := range []bool{true, false} {
		a, ctx := setup(t, time.Second), t.Context()
		p := a.payment("attempt-1", 1234, cardtest.Behaviour{})
		a.Break(cardtest.Hold)
		if _, err := a.Charge(ctx, p); !card.Unknown(err) {
			t.Fatalf("%v; want unknown", err)
		}
		<-a.Held()
		patient := client(t, a.Gateway, 10*time.Second)
		r, err := patient.Ask(ctx, p.Attempt)
		status(t, r, err, card.Absent)
		want := int64(1234)
		if cancel {
			want = 0
			r, err = patient.Cancel(ctx, p.Attempt)
			status(t, r, err, card.Cancelled)
		}
		a.Release()
		// The same attempt comes behind the late one, or in its place: once.
		r, err = patient.Charge(ctx, p)
		status(t, r, err, map[bool]card.Status{true: card.Cancelled, false: card.Succeeded}[cancel])
		if err := a.Gateway.Close(); err != nil { // the late request is done
			t.Fatal(err)
		}
		if got := a.Taken("EUR"); got != want {
			t.Errorf("cancelled %v: %d taken, want %d", cancel, got, want)
		}
	}
}

func TestNothingIsUnknownWhenNothingWasSent(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	away := "http://" + l.Addr().String()
	l.Close()
	c, err := card.NewClient(card.Config{URL: away, Key: "key", Webhooks: []card.Secret{"0123456789abcdef"}, Timeout: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	p := card.Payment{Attempt: "attempt-1", Token: "tok_x", Amount: euro(1), Initiator: card.Merchant}
	if _, err := c.Charge(t.Context(), p); !card.Transient(err) || !fault.Is(err, fault.Unavailable) {
		t.Errorf("nobody listens: %v", err)
	}
	a := setup(t, 0)
	a.Break(cardtest.Busy)
	if _, err := a.Charge(t.Context(), a.payment("attempt-2", 100, cardtest.Behaviour{})); !card.Transient(err) || card.RetryAfter(err) != 3*time.Second {
		t.Errorf("too many requests: %v, after %v", err, card.RetryAfter(err))
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := a.Charge(ctx, a.payment("attempt-3", 100, cardtest.Behaviour{})); !card.Transient(err) {
		t.Errorf("given up before it was sent: %v", err)
	}
	wrong, err := card.NewClient(card.Config{URL: a.URL, Key: "another", Webhooks: []card.Secret{"0123456789abcdef"}})
	if err != nil {
		t.Fatal(err)
	}
	defer wrong.Close()
	if _, err := wrong.Ask(t.Context(), "attempt-4"); card.Unknown(err) || card.Transient(err) || fault.Of(err).Code != "gatewayRefusesKey" {
		t.Errorf("a wrong key: %v", err)
	}
	if len(a.Moves()) != 0 {
		t.Error("money moved")
	}
}

// The property of the whole: whatever goes wrong, an attempt that is sent again and
// again, from many places at once, takes its money once, and what the caller believes
// in the end is what stands in the gateway's books.
func TestAnAttemptNeverTakesMoneyTwice(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	a := setup(t, 150*time.Millisecond)
	faults := []cardtest.Fault{cardtest.None, cardtest.TakeDrop, cardtest.TakeCut, cardtest.TakeGarbage, cardtest.TakeError,
		cardtest.TakeOther, cardtest.Drop, cardtest.Error, cardtest.Busy, cardtest.TakeHang}
	for range 120 {
		a.Break(faults[rnd.IntN(len(faults))])
	}
	believed := map[string]money.Amount{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for n := range 40 {
		p := a.payment(fmt.Sprintf("attempt-%d", n), 100+rnd.Int64N(10_000), cardtest.Behaviour{})
		if n%4 == 0 {
			p.Token = card.Token(a.Card(cardtest.Behaviour{Decline: "insufficient_funds"}))
		}
		for range 2 { // two nodes with the same work
			wg.Go(func() {
				r, err := settle(t.Context(), a.Client, p)
				if err != nil {
					t.Errorf("%s: %v", p.Attempt, err)
				}
				if r.Status == card.Succeeded {
					mu.Lock()
					believed[p.Attempt] = r.Amount
					mu.Unlock()
				}
			})
		}
	}
	wg.Wait()
	booked := map[string]money.Amount{}
	for _, m := range a.Moves() {
		if _, twice := booked[m.Attempt]; twice {
			t.Errorf("%s took money twice", m.Attempt)
		}
		booked[m.Attempt] = euro(m.Amount)
	}
	if len(booked) != 30 || !maps.Equal(booked, believed) {
		t.Errorf("%d in the gateway's books, %d believed to be taken; want 30", len(booked), len(believed))
	}
}

// settle charges as a caller must: the same attempt until it is known how it stands.
func settle(ctx context.Context, g card.Gateway, p card.Payment) (r card.Result, err error) {
	for range 200 {
		r, err = g.Charge(ctx, p)
		if card.Unknown(err) {
			r, err = g.Ask(ctx, p.Attempt)
		}
		switch {
		case err == nil && r.Status.Final():
			return r, nil
		case err != nil && !card.Unknown(err) && !card.Transient(err):
			return r, err
		}
	}
	return r, fmt.Errorf("never settled: %w", err)
}

func TestAnAttemptIsForOneThing(t *testing.T) {
	a, ctx := setup(t, 0), t.Context()
	p := a.payment("attempt-1", 100, cardtest.Behaviour{})
	r, err := a.Charge(ctx, p)
	status(t, r, err, card.Succeeded)
	p.Amount = euro(200)
	if _, err := a.Charge(ctx, p); !fault.Is(err, fault.Invalid) || card.Unknown(err) {
		t.Errorf("the same attempt for another amount: %v", err)
	}
	if got := a.Taken("EUR"); got != 100 {
		t.Errorf("%d taken", got)
	}
}

// An inbox keeps an event once and a state only if it is newer.
type inbox struct {
	mu     sync.Mutex
	events map[string]int
	states map[string]card.Result
	broken int // times that it fails first
}

func (i *inbox) take(_ context.Context, e card.Event) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.broken > 0 {
		i.broken--
		return errors.New("the store is away")
	}
	if i.events[e.ID]++; i.events[e.ID] > 1 {
		return nil
	}
	if e.Result.Revision > i.states[e.Result.Attempt].Revision {
		i.states[e.Result.Attempt] = e.Result
	}
	return nil
}

func TestWebhooksTenTimesOutOfOrder(t *testing.T) {
	a, ctx, now := setup(t, 0), t.Context(), time.Now()
	in := &inbox{events: map[string]int{}, states: map[string]card.Result{}, broken: 3}
	hook := httptest.NewServer(card.Handler(a.Client, func() time.Time { return now }, in.take))
	defer hook.Close()
	for n := range 8 {
		attempt := fmt.Sprintf("attempt-%d", n)
		if _, err := a.Charge(ctx, a.payment(attempt, 100, cardtest.Behaviour{Pending: true})); err != nil {
			t.Fatal(err)
		}
		if err := a.Confirm(attempt, n%2 == 0); err != nil {
			t.Fatal(err)
		}
	}
	seed := uint64(now.UnixNano())
	t.Logf("seed %d", seed)
	answers, err := a.Deliver(ctx, hook.URL, 10, seed, now)
	if err != nil || answers[200] != 157 || answers[503] != 3 {
		t.Fatalf("%v, %v", answers, err)
	}
	if len(in.events) != 16 {
		t.Errorf("%d events, want 16", len(in.events))
	}
	for n := range 8 {
		attempt := fmt.Sprintf("attempt-%d", n)
		r, err := a.Ask(ctx, attempt)
		if err != nil || in.states[attempt].Status != r.Status || !r.Status.Final() {
			t.Errorf("%s: the inbox says %s, the gateway %s, %v", attempt, in.states[attempt].Status, r.Status, err)
		}
	}
}

func TestAForgedOrReplayedWebhookIsRefused(t *testing.T) {
	a, ctx, now := setup(t, 0), t.Context(), time.Now()
	taken := 0
	clock := now
	hook := httptest.NewServer(card.Handler(a.Client, func() time.Time { return clock }, func(context.Context, card.Event) error { taken++; return nil }))
	defer hook.Close()
	if _, err := a.Charge(ctx, a.payment("attempt-1", 100, cardtest.Behaviour{})); err != nil {
		t.Fatal(err)
	}
	all, err := a.Messages(now)
	if err != nil {
		t.Fatal(err)
	}
	good := all[0]
	send := func(m cardtest.Message, want int, why string) {
		t.Helper()
		if got, err := m.Send(ctx, hook.URL); err != nil || got != want {
			t.Errorf("%s: %d, %v; want %d", why, got, err, want)
		}
	}
	send(good, 200, "as it was sent")
	stamp, sum, _ := strings.Cut(good.Signature, ",")
	forged := map[string]cardtest.Message{
		"another body":     {Body: []byte(strings.Replace(string(good.Body), `"amount":100`, `"amount":900`, 1)), Signature: good.Signature},
		"no signature":     {Body: good.Body},
		"another secret":   {Body: good.Body, Signature: card.Sign("another secret, long", now, good.Body)},
		"a later time":     {Body: good.Body, Signature: fmt.Sprintf("t=%d,%s", now.Unix()+60, sum)},
		"two times":        {Body: good.Body, Signature: stamp + "," + good.Signature},
		"no time":          {Body: good.Body, Signature: sum},
		"cut signature":    {Body: good.Body, Signature: good.Signature[:len(good.Signature)-2]},
		"empty signature":  {Body: good.Body, Signature: stamp + ",v1="},
		"signed as nobody": {Body: good.Body, Signature: card.Sign("", now, good.Body)},
	}
	for why, m := range forged {
		send(m, 401, why)
	}
	clock = now.Add(6 * time.Minute)
	send(good, 401, "replayed after the time of its signature")
	clock = now.Add(-6 * time.Minute)
	send(good, 401, "signed ahead of time")
	if taken != 1 {
		t.Errorf("%d events were taken, want 1", taken)
	}
}

func TestSecretsOfWebhooksCanBeReplaced(t *testing.T) {
	c, err := card.NewClient(card.Config{URL: "https://gateway.example", Key: "key", Webhooks: []card.Secret{"the old secret 123", "the new secret 456"}})
	if err != nil {
		t.Fatal(err)
	}
	now, body := time.Now(), []byte(`{"id":"evt_a","type":"payout.paid"}`)
	for _, s := range []card.Secret{"the old secret 123", "the new secret 456"} {
		h := http.Header{card.SignatureHeader: {card.Sign(s, now, body)}}
		if e, err := c.Webhook(h, body, now); err != nil || e.ID != "evt_a" {
			t.Errorf("%+v, %v", e, err)
		}
	}
}

func TestADisputeIsTold(t *testing.T) {
	a, ctx, now := setup(t, 0), t.Context(), time.Now()
	r, err := a.Charge(ctx, a.payment("attempt-1", 3000, cardtest.Behaviour{}))
	status(t, r, err, card.Succeeded)
	if err := a.Dispute(r.Payment, "fraudulent", 1500); err != nil {
		t.Fatal(err)
	}
	all, err := a.Messages(now)
	if err != nil {
		t.Fatal(err)
	}
	last := all[len(all)-1]
	e, err := a.Webhook(http.Header{card.SignatureHeader: {last.Signature}}, last.Body, now)
	if err != nil || e.Type != card.DisputeOpened || e.Dispute == nil || e.Dispute.Payment != r.Payment || e.Dispute.Amount != euro(3000) || e.Dispute.Fee != euro(1500) {
		t.Errorf("%+v, %v", e, err)
	}
	if a.Taken("EUR") != 0 {
		t.Error("the money is still there")
	}
}

func TestACardNumberIsRefusedInEveryField(t *testing.T) {
	a := setup(t, 0)
	for field, spoil := range map[string]func(*card.Payment){
		"token":          func(p *card.Payment) { p.Token = "4111111111111111" },
		"description":    func(p *card.Payment) { p.Description = "card 4111-1111-1111-1111" },
		"reference":      func(p *card.Payment) { p.Reference = "5555 5555 5555 4444" },
		"return address": func(p *card.Payment) { p.ReturnURL = "https://x.example/?n=378282246310005" },
		"attempt":        func(p *card.Payment) { p.Attempt = "pay-6011111111111117" },
	} {
		p := a.payment("attempt-1", 100, cardtest.Behaviour{})
		spoil(&p)
		_, err := a.Charge(t.Context(), p)
		if fault.Of(err).Code != "cardNumber" || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: %v", field, err)
		}
		if err != nil && card.HasNumber(err.Error()) {
			t.Errorf("%s: the refusal repeats the number: %v", field, err)
		}
	}
	if _, err := a.Refund(t.Context(), card.Refund{Attempt: "refund-01", Payment: "4111111111111111", Amount: euro(1)}); fault.Of(err).Code != "cardNumber" {
		t.Errorf("payment id: %v", err)
	}
	if a.Calls() != 0 {
		t.Errorf("%d calls left this machine", a.Calls())
	}
}
