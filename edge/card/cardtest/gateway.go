package cardtest

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// Fault is what goes wrong with one request that moves money.
type Fault int

const (
	None        Fault = iota
	TakeHang          // takes the money, then never answers
	TakeDrop          // takes the money, then drops the connection
	TakeCut           // takes the money, then breaks off in the middle of the answer
	TakeGarbage       // takes the money, then answers with a page for people
	TakeError         // takes the money, then answers 500
	TakeOther         // takes the money, then answers about another amount
	Hang              // never answers, takes nothing
	Drop              // drops the connection, takes nothing
	Error             // answers 500, takes nothing
	Busy              // answers 429, takes nothing
	Hold              // holds the request until Release, then takes the money, whoever still waits
)

// Behaviour is how a card answers.
type Behaviour struct {
	Decline string // a code: every payment is declined
	Confirm bool   // the customer must confirm, see Gateway.Confirm
	Pending bool   // the outcome comes later, see Gateway.Confirm
	Limit   int64  // minor units that it has, 0: no limit
}

// Move is money that really moved: positive from the card to us, negative back.
type Move struct {
	Attempt  string
	Payment  string
	Amount   int64
	Currency string
}

// attempt is what the gateway knows of one.
type attempt struct {
	body     string   // of the request, to refuse another one under the same name
	Attempt  string   `json:"attempt"`
	Kind     string   `json:"kind,omitempty"`
	ID       string   `json:"id,omitempty"`
	Payment  string   `json:"payment,omitempty"`
	Status   string   `json:"status"`
	Amount   int64    `json:"amount,omitempty"`
	Currency string   `json:"currency,omitempty"`
	Revision int64    `json:"revision"`
	Decline  *decline `json:"decline,omitempty"`
	Redirect string   `json:"redirectUrl,omitempty"`
	Card     *shown   `json:"card,omitempty"`
}

type decline struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

type shown struct {
	Brand   string `json:"brand"`
	Last4   string `json:"last4"`
	Expires string `json:"expires"`
}

// payment is the money of one payment.
type payment struct {
	attempt  string
	card     string
	amount   int64
	reserved int64 // authorised and not taken
	taken    int64 // and not given back
	currency string
	capture  bool
}

// Gateway is the server. Its zero value is not ready; Start makes one.
type Gateway struct {
	URL    string
	Key    string
	Secret string // of its webhooks

	mu       sync.Mutex
	faults   []Fault
	cards    map[string]*cardOf
	attempts map[string]*attempt
	payments map[string]*payment
	moves    []Move
	events   []event
	disputes map[string]*dispute // that are open, by payment
	release  chan struct{}
	held     chan struct{} // one value for each request that is being held
	calls    int

	server  *http.Server
	working sync.WaitGroup // requests
	closing chan struct{}
	once    sync.Once
	done    chan struct{}
}

type cardOf struct {
	Behaviour
	spent int64
}

// Start listens on this machine until Close.
func Start() (*Gateway, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("cardtest: %w", err)
	}
	g := &Gateway{
		URL: "http://" + l.Addr().String(), Key: name("key"), Secret: name("whsec"),
		cards: map[string]*cardOf{}, attempts: map[string]*attempt{}, payments: map[string]*payment{}, disputes: map[string]*dispute{},
		release: make(chan struct{}), held: make(chan struct{}, 1000), done: make(chan struct{}), closing: make(chan struct{}),
	}
	g.server = &http.Server{Handler: g.routes(), ReadHeaderTimeout: 10 * time.Second}
	go func() {
		defer close(g.done)
		if err := g.server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			panic(err)
		}
	}()
	return g, nil
}

// Close ends the server with all its connections, and waits for requests that are
// being worked on: the books change no more.
func (g *Gateway) Close() error {
	g.once.Do(func() { close(g.closing) })
	err := g.server.Close()
	<-g.done
	g.working.Wait()
	return err
}

// name is a fresh identifier, letters only behind the prefix: nothing that could be
// taken for a card number.
func name(prefix string) string {
	var b [12]byte
	rand.Read(b[:])
	return prefix + "_" + strings.Map(func(r rune) rune {
		if r <= '9' {
			return 'g' + r - '0'
		}
		return r
	}, hex.EncodeToString(b[:]))
}

// Card gives a token for a card that behaves so.
func (g *Gateway) Card(b Behaviour) string {
	g.mu.Lock()
	defer g.mu.Unlock()
	token := name("tok")
	g.cards[token] = &cardOf{Behaviour: b}
	return token
}

// Break has the next requests that move money go wrong, one by one.
func (g *Gateway) Break(faults ...Fault) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.faults = append(g.faults, faults...)
}

// Held is a signal for each request that begins to be held.
func (g *Gateway) Held() <-chan struct{} { return g.held }

// Release lets go what is held.
func (g *Gateway) Release() {
	g.mu.Lock()
	defer g.mu.Unlock()
	close(g.release)
	g.release = make(chan struct{})
}

// Moves is all money that moved, in order.
func (g *Gateway) Moves() []Move {
	g.mu.Lock()
	defer g.mu.Unlock()
	return append([]Move(nil), g.moves...)
}

// Taken is what was taken and not given back, in minor units.
func (g *Gateway) Taken(currency string) int64 {
	sum := int64(0)
	for _, m := range g.Moves() {
		if m.Currency == currency {
			sum += m.Amount
		}
	}
	return sum
}

// Calls is how many requests came.
func (g *Gateway) Calls() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.calls
}

// Confirm is the customer who confirms a payment, or the card's bank that decides about
// a pending one; yes takes or reserves the money.
func (g *Gateway) Confirm(name string, yes bool) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	a := g.attempts[name]
	if a == nil || a.Status != "requires_action" && a.Status != "pending" {
		return fmt.Errorf("cardtest: there is nothing to confirm for the attempt %s", name)
	}
	a.Redirect = ""
	if yes {
		g.succeed(a, g.payments[a.Payment])
	} else {
		a.Status, a.Decline = "declined", &decline{"authentication_failed", "The customer did not confirm"}
	}
	g.tell(a)
	return nil
}

// Dispute is the card holder who takes his money back through his bank.
func (g *Gateway) Dispute(payment, reason string, fee int64) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	p := g.payments[payment]
	if p == nil || p.taken == 0 {
		return fmt.Errorf("cardtest: nothing was taken by the payment %s", payment)
	}
	g.moves = append(g.moves, Move{"", payment, -p.taken, p.currency})
	d := &dispute{ID: name("dsp"), Payment: payment, Amount: p.taken, Fee: fee, Currency: p.currency, Reason: reason}
	p.taken, g.disputes[payment] = 0, d
	g.events = append(g.events, event{ID: name("evt"), Type: "dispute.opened", Dispute: d})
	return nil
}

// EndDispute is the card scheme that decides about the dispute of a payment: what is won
// comes back.
func (g *Gateway) EndDispute(payment string, won bool) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	d := g.disputes[payment]
	if d == nil {
		return fmt.Errorf("cardtest: the payment %s is not disputed", payment)
	}
	delete(g.disputes, payment)
	e := event{ID: name("evt"), Type: "dispute.lost", Dispute: d}
	if won {
		e.Type = "dispute.won"
		g.moves = append(g.moves, Move{"", payment, d.Amount, d.Currency})
	}
	g.events = append(g.events, e)
	return nil
}

// Payments are the gateway's ids of all payments, oldest first.
func (g *Gateway) Payments() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	var out []string
	for _, m := range g.moves {
		if m.Attempt != "" && !slices.Contains(out, m.Payment) {
			out = append(out, m.Payment)
		}
	}
	return out
}

// Unconfirmed are the attempts that wait for the customer or the card's bank.
func (g *Gateway) Unconfirmed() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	var out []string
	for id, a := range g.attempts {
		if a.Status == "requires_action" || a.Status == "pending" {
			out = append(out, id)
		}
	}
	slices.Sort(out)
	return out
}

func (g *Gateway) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/payments", g.money(g.pay))
	mux.HandleFunc("POST /v1/payments/{id}/capture", g.money(g.capture))
	mux.HandleFunc("POST /v1/refunds", g.money(g.refund))
	mux.HandleFunc("GET /v1/attempts/{attempt}", g.allowed(g.ask))
	mux.HandleFunc("POST /v1/attempts/{attempt}/cancel", g.allowed(g.cancel))
	return mux
}

// allowed checks the key and counts the call.
func (g *Gateway) allowed(do http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		g.mu.Lock()
		g.calls++
		g.working.Add(1)
		g.mu.Unlock()
		defer g.working.Done()
		if r.Header.Get("Authorization") != "Bearer "+g.Key {
			complain(w, http.StatusUnauthorized, "unauthorized", "The key is wrong")
			return
		}
		do(w, r)
	}
}

func complain(w http.ResponseWriter, status int, code, message string) {
	reply(w, status, map[string]any{"error": map[string]string{"code": code, "message": message}})
}

func reply(w http.ResponseWriter, status int, body any) {
	text, err := json.Marshal(body)
	if err != nil {
		panic(err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(text)
}

// request is what comes in, of all three kinds.
type request struct {
	Attempt  string `json:"attempt"`
	Token    string `json:"token"`
	Payment  string `json:"payment"`
	Amount   int64  `json:"amount"`
	Currency string `json:"currency"`
	Capture  bool   `json:"capture"`
}

// refused is a request that moves no money.
type refused struct {
	status        int
	code, message string
}

// money wraps what moves money with faults and with the memory of attempts.
func (g *Gateway) money(do func(r *http.Request, in request, a *attempt) *refused) http.HandlerFunc {
	return g.allowed(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
		var in request
		if err != nil || json.Unmarshal(body, &in) != nil || in.Attempt == "" || in.Attempt != r.Header.Get("Idempotency-Key") {
			complain(w, http.StatusBadRequest, "bad_request", "The body cannot be read, or its attempt is not the idempotency key")
			return
		}
		fault := g.fault()
		if !g.before(w, r, fault) {
			return
		}
		g.mu.Lock()
		a, no := g.perform(r, in, string(body), do)
		g.mu.Unlock()
		g.after(w, r, fault, a, no)
	})
}

func (g *Gateway) fault() Fault {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.faults) == 0 {
		return None
	}
	f := g.faults[0]
	g.faults = g.faults[1:]
	return f
}

// before does what goes wrong before the money moves; false ends the request.
func (g *Gateway) before(w http.ResponseWriter, r *http.Request, f Fault) bool {
	switch f {
	case Hang:
		<-r.Context().Done()
		panic(http.ErrAbortHandler)
	case Drop:
		panic(http.ErrAbortHandler)
	case Error:
		complain(w, http.StatusInternalServerError, "internal", "Something went wrong")
		return false
	case Busy:
		w.Header().Set("Retry-After", "3")
		complain(w, http.StatusTooManyRequests, "busy", "Later")
		return false
	case Hold:
		g.mu.Lock()
		wait := g.release
		g.mu.Unlock()
		g.held <- struct{}{}
		select {
		case <-wait:
		case <-g.closing:
		}
	}
	return true
}

// after answers, or does what goes wrong with the answer.
func (g *Gateway) after(w http.ResponseWriter, r *http.Request, f Fault, a attempt, no *refused) {
	switch f {
	case TakeHang:
		<-r.Context().Done()
		panic(http.ErrAbortHandler)
	case TakeDrop:
		panic(http.ErrAbortHandler)
	case TakeCut:
		w.Header().Set("Content-Length", "400")
		w.WriteHeader(http.StatusOK)
		io.WriteString(w, `{"attempt":"`)
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	case TakeGarbage:
		io.WriteString(w, "<html><body>We will be back soon</body></html>")
		return
	case TakeError:
		complain(w, http.StatusInternalServerError, "internal", "Something went wrong")
		return
	case TakeOther:
		a.Amount++
	}
	if no != nil {
		complain(w, no.status, no.code, no.message)
		return
	}
	reply(w, http.StatusOK, a)
}

// perform does a request unless its attempt is known. It holds the books' lock.
func (g *Gateway) perform(r *http.Request, in request, body string, do func(*http.Request, request, *attempt) *refused) (attempt, *refused) {
	if known := g.attempts[in.Attempt]; known != nil {
		if known.Status != "cancelled" && known.body != body+r.URL.Path {
			return attempt{}, &refused{http.StatusUnprocessableEntity, "attempt_reused", "The attempt was used for something else"}
		}
		return *known, nil
	}
	a := &attempt{Attempt: in.Attempt, ID: name("mov"), Amount: in.Amount, Currency: in.Currency, body: body + r.URL.Path}
	if no := do(r, in, a); no != nil {
		return attempt{}, no
	}
	g.attempts[in.Attempt] = a
	g.tell(a)
	return *a, nil
}

func (g *Gateway) pay(_ *http.Request, in request, a *attempt) *refused {
	c := g.cards[in.Token]
	if c == nil {
		return &refused{http.StatusUnprocessableEntity, "token_unknown", "There is no such token"}
	}
	if in.Amount <= 0 || len(in.Currency) != 3 {
		return &refused{http.StatusBadRequest, "amount", "The amount is wrong"}
	}
	a.Kind, a.Payment, a.Card = "payment", name("pay"), &shown{"visa", "4242", "2031-12"}
	p := &payment{attempt: a.Attempt, card: in.Token, amount: in.Amount, currency: in.Currency, capture: in.Capture}
	g.payments[a.Payment] = p
	switch {
	case c.Decline != "":
		a.Status, a.Decline = "declined", &decline{c.Decline, "Declined by the bank of card 4242 4242 4242 4242"}
	case c.Limit > 0 && c.spent+in.Amount > c.Limit:
		a.Status, a.Decline = "declined", &decline{"insufficient_funds", "Not enough money"}
	case c.Confirm:
		a.Status, a.Redirect = "requires_action", "https://gateway.example/confirm/"+a.ID
	case c.Pending:
		a.Status = "pending"
	default:
		g.succeed(a, p)
	}
	return nil
}

// succeed takes or reserves the money of a payment.
func (g *Gateway) succeed(a *attempt, p *payment) {
	g.cards[p.card].spent += p.amount
	if !p.capture {
		a.Status, p.reserved = "authorised", p.amount
		return
	}
	a.Status = "succeeded"
	p.taken += p.amount
	g.moves = append(g.moves, Move{a.Attempt, a.Payment, p.amount, p.currency})
}

func (g *Gateway) capture(r *http.Request, in request, a *attempt) *refused {
	a.Kind, a.Payment = "capture", r.PathValue("id")
	p := g.payments[a.Payment]
	if p == nil || p.currency != in.Currency || in.Amount <= 0 || in.Amount > p.reserved {
		return &refused{http.StatusUnprocessableEntity, "not_authorised", "So much was not authorised"}
	}
	a.Status = "succeeded"
	p.reserved = 0 // what is not taken at once is released
	p.taken += in.Amount
	g.moves = append(g.moves, Move{a.Attempt, a.Payment, in.Amount, p.currency})
	return nil
}

func (g *Gateway) refund(_ *http.Request, in request, a *attempt) *refused {
	a.Kind, a.Payment = "refund", in.Payment
	p := g.payments[a.Payment]
	if p == nil || p.currency != in.Currency || in.Amount <= 0 || in.Amount > p.taken {
		return &refused{http.StatusUnprocessableEntity, "not_taken", "So much was not taken"}
	}
	a.Status = "succeeded"
	p.taken -= in.Amount
	g.moves = append(g.moves, Move{a.Attempt, a.Payment, -in.Amount, p.currency})
	return nil
}

func (g *Gateway) ask(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	known := g.attempts[r.PathValue("attempt")]
	a := attempt{Attempt: r.PathValue("attempt"), Status: "absent"}
	if known != nil {
		a = *known
	}
	g.mu.Unlock()
	reply(w, http.StatusOK, a)
}

func (g *Gateway) cancel(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	id := r.PathValue("attempt")
	a := g.attempts[id]
	if a == nil {
		a = &attempt{Attempt: id, Status: "pending"}
		g.attempts[id] = a
	}
	if a.Status == "authorised" || a.Status == "pending" || a.Status == "requires_action" {
		a.Status, a.Redirect = "cancelled", ""
		if p := g.payments[a.Payment]; p != nil {
			p.reserved = 0
		}
		g.tell(a)
	}
	out := *a
	g.mu.Unlock()
	reply(w, http.StatusOK, out)
}

// tell makes an event of how the attempt stands now.
func (g *Gateway) tell(a *attempt) {
	a.Revision++
	copied := *a
	g.events = append(g.events, event{ID: name("evt"), Type: "attempt.changed", Attempt: &copied})
}
