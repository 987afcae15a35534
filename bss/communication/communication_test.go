package communication_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"net/http/httptest"
	"net/mail"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"crypto/tls"
	"mime/quotedprintable"

	"tandem/bss/catalog"
	"tandem/bss/communication"
	"tandem/bss/party"
	"tandem/fact"
	"tandem/kit/store"
	"tandem/kit/tmf/tmftest"
	"tandem/kit/work"
)

var mno = store.Scope{Tenant: "mno", Actor: "test"}

const (
	messages    = "/tmf-api/communicationManagement/v4/communicationMessage"
	own         = "/tandem-api/communication/v1/"
	patience    = 20 * time.Second
	secret      = "a secret of some length"
	mailAccount = "tandem:pass-word-1"
)

type world struct {
	*testing.T
	db  *store.DB
	api *tmftest.API
}

func each(t *testing.T, f func(w *world)) {
	kinds := slices.Concat(party.Kinds(), catalog.Kinds(), communication.Kinds())
	schemas := append([]store.Schema{work.Schema()}, communication.Schemas...)
	tmftest.Each(t, schemas, kinds, func(t *testing.T, db *store.DB) {
		f(&world{t, db, tmftest.Serve(t, db, kinds)})
	})
}

// deliver runs the delivery until the test ends.
func (w *world) deliver(c communication.Config) {
	w.Helper()
	c.Backoff = func(int) time.Duration { return 5 * time.Millisecond }
	d, err := communication.NewDelivery(w.db, c)
	if err != nil {
		w.Fatal(err)
	}
	r := work.New(w.db, slog.New(slog.DiscardHandler), work.Config{Node: "test"})
	d.Handle(r)
	if err := r.Start(w.Context()); err != nil {
		w.Fatal(err)
	}
	w.Cleanup(r.Stop)
}

func relay(s *smtpServer) communication.Config {
	return communication.Config{Channels: communication.Channels{SMTP: &communication.SMTP{
		Host: "127.0.0.1", Port: s.port(), TLS: "none", From: "Tandem Mobil <service@tandem.example>", ReplyTo: "hilfe@tandem.example"}}}
}

func (w *world) must(fn func(tx *store.Tx) error) {
	w.Helper()
	if err := w.db.Write(w.Context(), mno, fn); err != nil {
		w.Fatal(err)
	}
}

func (w *world) post(path, body string) map[string]any {
	w.Helper()
	a := w.api.Do("mno", "POST", path, body)
	if a.Status != 201 {
		w.Fatalf("POST %s: %d %s", path, a.Status, a.Body)
	}
	return a.Object()
}

func (w *world) refused(method, path, body string, status int, code string) {
	w.Helper()
	a := w.api.Do("mno", method, path, body)
	if a.Status != status || a.Object()["code"] != code {
		w.Errorf("%s %s %s: %d %s; want %d %s", method, path, body, a.Status, a.Body, status, code)
	}
}

// await polls the message until it is in the state.
func (w *world) await(id, state string) map[string]any {
	w.Helper()
	for deadline := time.Now().Add(patience); ; {
		a := w.api.Do("mno", "GET", messages+"/"+id, nil)
		if o := a.Object(); o["state"] == state {
			return o
		}
		if time.Now().After(deadline) {
			w.Fatalf("the message is not %s: %s", state, a.Body)
		}
		time.Sleep(5 * time.Millisecond) // between two polls
	}
}

func receive[T any](w *world, c <-chan T) (v T) {
	w.Helper()
	select {
	case v = <-c:
	case <-time.After(patience):
		w.Fatal("nothing was received")
	}
	return v
}

// customer is one with the media given as JSON.
func (w *world) customer(language, media string) string {
	p := w.post("/tmf-api/party/v4/individual", `{"givenName":"Änne","familyName":"Größe","contactMedium":[`+media+`],
		"languageAbility":[{"isFavouriteLanguage":true,"languageCode":"`+language+`"}]}`)
	c := w.post("/tmf-api/customerManagement/v4/customer", `{"name":"Größe","engagedParty":{"id":"`+p["id"].(string)+`","@referredType":"Individual"}}`)
	return c["id"].(string)
}

const (
	byMail  = `{"mediumType":"email","characteristic":{"emailAddress":"aenne@example.com"}}`
	byPhone = `{"mediumType":"mobile","characteristic":{"phoneNumber":"+491701234567"}}`
)

func (w *world) offering() string {
	return w.post("/tmf-api/productCatalogManagement/v4/productOffering", `{"name":"Größer M"}`)["id"].(string)
}

func parse(w *world, m received) (*mail.Message, string) {
	w.Helper()
	msg, err := mail.ReadMessage(strings.NewReader(m.data))
	if err != nil {
		w.Fatalf("%v in %s", err, m.data)
	}
	var body io.Reader = msg.Body
	if msg.Header.Get("Content-Transfer-Encoding") == "quoted-printable" {
		body = quotedprintable.NewReader(body)
	}
	text, err := io.ReadAll(body)
	if err != nil {
		w.Fatal(err)
	}
	return msg, strings.ReplaceAll(string(text), "\r\n", "\n")
}

func header(w *world, m *mail.Message, name string) string {
	w.Helper()
	s, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get(name))
	if err != nil {
		w.Fatal(err)
	}
	return s
}

func TestTheWelcomeReachesTheMailbox(t *testing.T) {
	each(t, func(w *world) {
		s := startSMTP(w.T, &smtpServer{})
		w.deliver(relay(s))
		at := time.Date(2026, 3, 5, 12, 0, 0, 0, time.UTC)
		f := fact.ProductActive{Product: "p1", Customer: w.customer("de", byPhone+","+byMail), Offering: w.offering(), Service: "s1", At: at,
			Resources: []fact.Resource{{ID: "r", Role: "msisdn", Value: "+491701234567"}}}
		for range 2 { // heard twice: one message
			w.must(func(tx *store.Tx) error { return communication.Welcome(tx, f) })
		}
		got := receive(w, s.mails)
		msg, body := parse(w, got)
		if got.from != "service@tandem.example" || !slices.Equal(got.to, []string{"aenne@example.com"}) {
			w.Errorf("envelope: from %s to %v", got.from, got.to)
		}
		for name, want := range map[string]string{
			"From": `"Tandem Mobil" <service@tandem.example>`, "To": `"Änne Größe" <aenne@example.com>`, "Reply-To": "<hilfe@tandem.example>",
			"Subject": "Größer M ist bereit", "Message-Id": "<mno.welcome-p1@tandem.example>", "Auto-Submitted": "auto-generated",
			"Content-Type": "text/plain; charset=UTF-8", "Mime-Version": "1.0",
		} {
			if have := header(w, msg, name); strings.ReplaceAll(have, `"`, "") != strings.ReplaceAll(want, `"`, "") {
				w.Errorf("%s: %q, want %q", name, have, want)
			}
		}
		want := "Guten Tag Änne Größe,\n\nGrößer M (+491701234567) ist seit 05.03.2026 aktiv. Sie können sofort loslegen.\n\nMit freundlichen Grüßen\n"
		if strings.TrimSpace(body) != strings.TrimSpace(want) {
			w.Errorf("body %q\nwant %q", body, want)
		}
		o := w.await("welcome.p1", "completed")
		if a := o["attempt"].([]any); len(a) != 1 || a[0].(map[string]any)["outcome"] != "sent" || o["sendTimeComplete"] == nil {
			w.Errorf("attempts: %v", o)
		}
		if all := w.api.Do("mno", "GET", messages, nil); len(all.List()) != 1 || len(s.mails) != 0 {
			w.Errorf("%d messages, %d further mails", len(all.List()), len(s.mails))
		}
		w.refused("PATCH", messages+"/welcome.p1", `{"subject":"other"}`, 409, "messageSent")
	})
}

func TestWhatIsSaidOfAProductsLife(t *testing.T) {
	each(t, func(w *world) {
		c, at := w.customer("en", byMail), time.Date(2026, 3, 5, 12, 0, 0, 0, time.UTC)
		offering := w.offering()
		for range 2 {
			w.must(func(tx *store.Tx) error {
				for _, err := range []error{
					communication.Welcome(tx, fact.ProductActive{Product: "p1", Customer: c, Offering: offering, Service: "s", At: at,
						Resources: []fact.Resource{{ID: "r", Role: "msisdn", Value: "491"}}}),
					communication.Changed(tx, fact.ProductChanged{Product: "p1", Customer: c, Service: "s", At: at,
						Resources: []fact.Resource{{ID: "r", Role: "msisdn", Value: "492"}}}),
					communication.Suspended(tx, fact.ProductSuspended{Product: "p1", Customer: c, Service: "s", At: at}),
					communication.Resumed(tx, fact.ProductResumed{Product: "p1", Customer: c, Service: "s", At: at}),
					communication.Suspended(tx, fact.ProductSuspended{Product: "p1", Customer: c, Service: "s", At: at.Add(24 * time.Hour)}),
					communication.Goodbye(tx, fact.ProductTerminated{Product: "p1", Customer: c, Service: "s", At: at}),
					communication.OrderFailed(tx, fact.OrderEnded{Order: "o1", State: "failed", Customer: c}),
					communication.OrderFailed(tx, fact.OrderEnded{Order: "o2", State: "completed", Customer: c}),
				} {
					if err != nil {
						return err
					}
				}
				return nil
			})
		}
		var said []string
		for _, m := range w.api.Do("mno", "GET", messages, nil).List() {
			_, middle, _ := strings.Cut(m["content"].(string), "\n\n")
			line, _, _ := strings.Cut(middle, "\n")
			said = append(said, line)
		}
		slices.Sort(said)
		want := []string{
			"Größer M (491) has been active since 5 March 2026. You can use it right away.",
			"Größer M (492) ended on 5 March 2026. Nothing is charged for the time after that. Thank you for having been our customer.",
			"Größer M (492) has been suspended since 5 March 2026 and cannot be used at present.",
			"Größer M (492) has been suspended since 6 March 2026 and cannot be used at present.",
			"Größer M (492) has been working again since 5 March 2026.",
			"we are sorry: your order o1 could not be completed. Nothing is charged for what you did not get; our staff will take care of it.",
		}
		slices.Sort(want)
		if !slices.Equal(said, want) {
			w.Errorf("said:\n%s\nwant:\n%s", strings.Join(said, "\n"), strings.Join(want, "\n"))
		}
	})
}

func TestANoticeForNobodyIsVisible(t *testing.T) {
	each(t, func(w *world) {
		nowhere, refuser := w.customer("en", ""), w.customer("en", byMail)
		w.post(own+"communicationPreference", `{"customer":{"id":"`+refuser+`"},"purpose":[{"name":"service","channel":[]}]}`)
		for key, customer := range map[string]string{"a": nowhere, "b": refuser, "c": "gone", "d": ""} {
			for range 2 {
				w.must(func(tx *store.Tx) error {
					return communication.Send(tx, communication.Notice{Key: key, Customer: customer, Purpose: communication.Service, Template: "welcome"})
				})
			}
		}
		w.must(func(tx *store.Tx) error {
			return communication.Send(tx, communication.Notice{Key: "e", Customer: nowhere, Purpose: communication.Marketing, Template: "welcome"})
		})
		got := map[string]any{}
		for _, u := range w.api.Do("mno", "GET", own+"unsentNotice", nil).List() {
			got[u["id"].(string)] = u["reason"]
		}
		want := map[string]string{"a": "No address is known for the allowed channels [email sms]", "b": "The customer wants no service messages",
			"c": `There is no customer with id "gone"`, "d": "Nobody is named as the customer", "e": "The customer wants no marketing messages"}
		if len(got) != len(want) {
			w.Errorf("unsent: %v", got)
		}
		for key, reason := range want {
			if got[key] != reason {
				w.Errorf("%s: %v, want %s", key, got[key], reason)
			}
		}
		if l := w.api.Do("mno", "GET", messages, nil).List(); len(l) != 0 {
			w.Errorf("messages: %v", l)
		}
	})
}

func email(more string) string {
	return `{"messageType":"Email","subject":"s","content":"c","sender":{"name":"x"},` + more + `"receiver":[{"email":"a@example.com"}]}`
}

func TestRefusalsAreFinalAndTroubleIsTriedAgain(t *testing.T) {
	each(t, func(w *world) {
		var trouble atomic.Int32
		s := startSMTP(w.T, &smtpServer{refuse: func(verb, arg string) string {
			switch {
			case verb == "RCPT" && strings.Contains(arg, "nobody"):
				return "550 5.1.1 no such mailbox"
			case verb == "RCPT" && strings.Contains(arg, "full"):
				return "452 4.2.2 mailbox full"
			case verb == "MAIL" && trouble.Add(-1) >= 0:
				return "451 4.3.0 come back later"
			}
			return ""
		}})
		w.deliver(relay(s))
		to := func(address, more string) string {
			return w.post(messages, strings.Replace(email(more), "a@example.com", address, 1))["id"].(string)
		}
		outcomes := func(o map[string]any) (out []string) {
			for _, a := range o["attempt"].([]any) {
				out = append(out, a.(map[string]any)["outcome"].(string))
			}
			return out
		}
		if got := outcomes(w.await(to("nobody@example.com", ""), "failed")); !slices.Equal(got, []string{"refused"}) {
			w.Errorf("no such mailbox: %v", got)
		}
		full := to("full@example.com", `"tryTimes":3,`)
		if got := outcomes(w.await(full, "failed")); !slices.Equal(got, []string{"failed", "failed", "failed"}) {
			w.Errorf("mailbox full: %v", got)
		}
		trouble.Store(2)
		if got := outcomes(w.await(to("a@example.com", ""), "completed")); !slices.Equal(got, []string{"failed", "failed", "sent"}) {
			w.Errorf("come back later: %v", got)
		}
		receive(w, s.mails)
		// A person may send it again.
		if a := w.api.Do("mno", "PATCH", messages+"/"+full, `{"state":"initial"}`); a.Status != 200 {
			w.Fatalf("again: %d %s", a.Status, a.Body)
		}
		if got := outcomes(w.await(full, "failed")); len(got) != 3 {
			w.Errorf("sent again: %v", got)
		}
		if len(s.mails) != 0 {
			w.Errorf("%d mails too many", len(s.mails))
		}
	})
}

// TestAnAttemptThatWasCutOffIsKnown sets a message to what a process leaves behind
// that dies between the start of an attempt and its outcome.
func TestAnAttemptThatWasCutOffIsKnown(t *testing.T) {
	each(t, func(w *world) {
		s := startSMTP(w.T, &smtpServer{})
		cut := func(more string) string {
			id := w.post(messages, email(more))["id"].(string)
			w.must(func(tx *store.Tx) error {
				_, err := communication.Messages.Edit(tx, id, func(m *communication.Message) error {
					m.State, m.Attempt = communication.InProgress, []communication.Attempt{{At: tx.Now()}}
					return nil
				})
				return err
			})
			return id
		}
		again, over := cut(""), cut(`"tryTimes":1,`)
		w.refused("DELETE", messages+"/"+again, ``, 409, "messageUnderWay")
		w.deliver(relay(s))
		if a := w.await(again, "completed")["attempt"].([]any); len(a) != 2 || a[0].(map[string]any)["outcome"] != nil || a[1].(map[string]any)["outcome"] != "sent" {
			w.Errorf("attempts %v", a)
		}
		if msg, _ := parse(w, receive(w, s.mails)); msg.Header.Get("Message-Id") != "<mno."+again+"@tandem.example>" {
			w.Errorf("Message-ID %s", msg.Header.Get("Message-Id"))
		}
		if a := w.await(over, "failed")["attempt"].([]any); len(a) != 1 || len(s.mails) != 0 {
			w.Errorf("attempts %v, %d mails", a, len(s.mails))
		}
	})
}

func TestTLSAndAuthentication(t *testing.T) {
	each(t, func(w *world) {
		cert := httptest.NewTLSServer(http.NotFoundHandler())
		defer cert.Close()
		s := startSMTP(w.T, &smtpServer{auth: mailAccount, tls: &tls.Config{Certificates: cert.TLS.Certificates}})
		c := relay(s)
		c.SMTP.TLS, c.SMTP.User, c.SMTP.Password = "", "tandem", "pass-word-1"
		c.SMTP.CA = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate().Raw}))
		plain := startSMTP(w.T, &smtpServer{})
		bare := *c.SMTP
		bare.Port, bare.User = plain.port(), ""
		c.Brand = map[string]communication.Channels{"bare": {SMTP: &bare}}
		w.deliver(c)

		id := w.post(messages, email(""))["id"].(string)
		if got := receive(w, s.mails); !got.encrypted || got.user != "tandem" {
			w.Errorf("encrypted %v, user %q", got.encrypted, got.user)
		}
		w.await(id, "completed")
		// TLS is mandatory by default: a server without it gets nothing.
		a := w.api.Do("bare", "POST", messages, email(`"tryTimes":1,`))
		for deadline := time.Now().Add(patience); a.Object()["state"] != "failed"; {
			if time.Now().After(deadline) {
				w.Fatalf("without TLS: %s", a.Body)
			}
			a = w.api.Do("bare", "GET", messages+"/"+a.Object()["id"].(string), nil)
		}
		if !strings.Contains(string(a.Body), "STARTTLS") || strings.Contains(string(a.Body), "pass-word-1") || len(plain.mails) != 0 {
			w.Errorf("without TLS: %s", a.Body)
		}
	})
}

func TestAttachmentsAndSeveralReceivers(t *testing.T) {
	each(t, func(w *world) {
		s := startSMTP(w.T, &smtpServer{})
		w.deliver(relay(s))
		w.post(messages, `{"messageType":"email","subject":"s","content":"c","sender":{"name":"x"},"receiver":[{"email":"a@example.com"},{"email":"b@example.com"}],
			"attachment":[{"name":"bill.txt","mimeType":"text/plain","content":"UmVjaG51bmc="}]}`)
		got := receive(w, s.mails)
		if !slices.Equal(got.to, []string{"a@example.com", "b@example.com"}) || strings.Contains(got.data, "@example.com") {
			w.Errorf("receivers see each other: %v in\n%s", got.to, got.data)
		}
		if !strings.Contains(got.data, "UmVjaG51bmc=") || !strings.Contains(got.data, `filename="bill.txt"`) {
			w.Errorf("attachment: %s", got.data)
		}
	})
}

// call is what a webhook received.
type call struct {
	header http.Header
	body   []byte
}

func (c call) signed() bool {
	t, sum, _ := strings.Cut(c.header.Get("Tandem-Signature"), ",v1=")
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(strings.TrimPrefix(t, "t=") + "."))
	mac.Write(c.body)
	return sum == hex.EncodeToString(mac.Sum(nil))
}

func TestWebhooksAndShortMessages(t *testing.T) {
	each(t, func(w *world) {
		calls, answers := make(chan call, 10), make(chan int, 10)
		srv := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			calls <- call{r.Header, body}
			rw.WriteHeader(<-answers)
		}))
		w.Cleanup(srv.Close)
		w.deliver(communication.Config{AllowLocal: true, Channels: communication.Channels{
			SMS: &communication.Gateway{URL: srv.URL + "/sms", Secret: secret}, Webhook: &communication.Hook{Secret: secret}}})

		// A short message to a customer without mailbox: by the gateway, tried again once.
		c := w.customer("de", byPhone)
		answers <- 503
		answers <- 202
		w.must(func(tx *store.Tx) error {
			return communication.Welcome(tx, fact.ProductActive{Product: "p1", Customer: c, Offering: w.quietOffering(tx), Service: "s", At: tx.Now()})
		})
		for range 2 {
			got := receive(w, calls)
			var body struct {
				ID, Type, Content string
				To                []string
			}
			if err := json.Unmarshal(got.body, &body); err != nil || !got.signed() || got.header.Get("Idempotency-Key") != "mno/welcome.p1" {
				w.Errorf("call: %v, signed %v, %v", err, got.signed(), got.header)
			}
			if body.Type != "sms" || !slices.Equal(body.To, []string{"+491701234567"}) || !strings.HasPrefix(body.Content, "Fibre ist seit") || strings.Contains(body.Content, "\n") {
				w.Errorf("body: %+v", body)
			}
		}
		w.await("welcome.p1", "completed")

		answers <- 410
		id := w.post(messages, `{"messageType":"webhook","content":"c","sender":{"name":"x"},"receiver":[{"url":"`+srv.URL+`/mine?token=abc"}]}`)["id"].(string)
		if got := receive(w, calls); !got.signed() {
			w.Errorf("unsigned: %v", got.header)
		}
		o := w.await(id, "failed")
		if a := o["attempt"].([]any)[0].(map[string]any); a["outcome"] != "refused" || a["reason"] != "The receiver answered 410" {
			w.Errorf("gone: %v", a)
		}
	})
}

// quietOffering makes an offering inside a transaction.
func (w *world) quietOffering(tx *store.Tx) string {
	o := &catalog.ProductOffering{Name: "Fibre"}
	if err := catalog.Offerings.Create(tx, o); err != nil {
		w.Error(err)
	}
	return o.ID
}

func TestWebhooksDoNotReachThisMachine(t *testing.T) {
	each(t, func(w *world) {
		srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { w.Error("a local address was called") }))
		w.Cleanup(srv.Close)
		w.deliver(communication.Config{Channels: communication.Channels{Webhook: &communication.Hook{Secret: secret}}})
		id := w.post(messages, `{"messageType":"webhook","content":"c","sender":{"name":"x"},"receiver":[{"url":"`+srv.URL+`"}]}`)["id"].(string)
		o := w.await(id, "failed")
		if a := o["attempt"].([]any)[0].(map[string]any); a["outcome"] != "refused" || !strings.Contains(a["reason"].(string), "loopback") {
			w.Errorf("attempt: %v", a)
		}
		none := w.post(messages, email(""))["id"].(string)
		o = w.await(none, "failed")
		if a := o["attempt"].([]any)[0].(map[string]any); a["reason"] != "No way to send email is configured" {
			w.Errorf("no relay: %v", a)
		}
	})
}

func TestMessagesByAPI(t *testing.T) {
	each(t, func(w *world) {
		body := func(typ, receiver, more string) string {
			return `{"messageType":"` + typ + `","content":"c","sender":{"id":"x"},` + more + `"receiver":[` + receiver + `]}`
		}
		w.refused("POST", messages, `{"messageType":"email","receiver":[{"email":"a@b.c"}],"sender":{"id":"x"}}`, 400, "mandatoryAttributeMissing")
		w.refused("POST", messages, body("email", `{"id":"x"}`, ""), 400, "addressMissing")
		w.refused("POST", messages, body("SMS", `{"email":"a@b.c"}`, ""), 400, "addressMissing")
		w.refused("POST", messages, body("webhook", `{"url":"ftp://x"}`, ""), 400, "badURL")
		w.refused("POST", messages, body("e-mail", `{"email":"a b"}`, ""), 400, "invalidEmail")
		w.refused("POST", messages, body("email", `{"email":"a@b.c"}`, `"subject":"a\nBcc: x@y.z",`), 400, "invalidSubject")
		w.refused("POST", messages, body("email", `{"email":"a@b.c"}`, `"tryTimes":100,`), 400, "invalidTryTimes")
		w.refused("POST", messages, body("email", `{"email":"a@b.c"}`, `"state":"completed",`), 400, "illegalState")
		w.refused("POST", messages, body("email", `{"email":"a@b.c"}`, `"attachment":[{"name":"x","content":"%"}],`), 400, "invalidAttachment")

		c := w.customer("en", byMail)
		o := w.post(messages, body("email", `{"party":{"id":"`+c+`"}}`, `"scheduledSendTime":"2999-01-01T00:00:00Z",`))
		if r := o["receiver"].([]any)[0].(map[string]any); r["email"] != "aenne@example.com" || o["state"] != "initial" || o["tryTimes"] != 6.0 {
			w.Errorf("completed: %v", o)
		}
		id := o["id"].(string)
		w.refused("PATCH", messages+"/"+id, `{"state":"completed"}`, 409, "deliveryDecides")
		w.refused("PATCH", messages+"/"+id, `{"messageType":"sms"}`, 409, "typeFixed")
		if a := w.api.Do("mno", "PATCH", messages+"/"+id, `{"subject":"better"}`); a.Status != 200 {
			w.Errorf("PATCH: %d %s", a.Status, a.Body)
		}
		if a := w.api.Do("mno", "PATCH", messages+"/"+id, `{"state":"cancelled"}`); a.Status != 200 {
			w.Errorf("cancel: %d %s", a.Status, a.Body)
		}
		var jobs int64
		w.must(func(tx *store.Tx) error { return tx.Row("SELECT count(*) FROM work_job WHERE tenant = $1").Scan(&jobs) })
		if jobs != 0 {
			w.Errorf("%d jobs of a cancelled message", jobs)
		}

		// A type that is delivered elsewhere: its program moves the state.
		push := w.post(messages, body("Mobile app push", `{"appUserId":"u1"}`, ""))["id"].(string)
		for _, state := range []string{"inProgress", "completed"} {
			if a := w.api.Do("mno", "PATCH", messages+"/"+push, `{"state":"`+state+`"}`); a.Status != 200 {
				w.Errorf("%s: %d %s", state, a.Status, a.Body)
			}
		}
		if a := w.api.Do("mno", "DELETE", messages+"/"+push, nil); a.Status != 204 {
			w.Errorf("DELETE: %d %s", a.Status, a.Body)
		}
	})
}

func TestOwnWordsComeFirst(t *testing.T) {
	each(t, func(w *world) {
		path := own + "messageTemplate"
		tpl := func(name, subject, body string) string {
			return `{"name":"` + name + `","channel":"email","language":"de-AT","subject":"` + subject + `","body":"` + body + `"}`
		}
		for text, why := range map[string]string{
			"{{.nix}}": "is not known here", "{{.customer": "unclosed action", "{{printf .customer}}": "is not allowed", "{{if .customer}}x{{end}}": "is not allowed",
			"{{.customer.name}}": "is not allowed", "{{define \\\"a\\\"}}x{{end}}": "not templates", "{{.}}": "is not allowed", "{{range .x}}{{end}}": "is not allowed",
		} {
			a := w.api.Do("mno", "POST", path, tpl("welcome", "s", text))
			if reason, _ := a.Object()["reason"].(string); a.Status != 400 || !strings.Contains(reason, why) {
				w.Errorf("%s: %d %s; want %q", text, a.Status, a.Body, why)
			}
		}
		w.refused("POST", path, tpl("welcome", "", "x"), 400, "mandatoryAttributeMissing")
		id := w.post(path, tpl("welcome", "Servus {{.customer}}", "{{.product}} rennt."))["id"]
		if id != "welcome.email.de" {
			w.Errorf("id %v", id)
		}
		w.refused("POST", path, tpl("welcome", "s", "again"), 409, "alreadyExists")
		c := w.customer("de", byMail)
		w.must(func(tx *store.Tx) error {
			return communication.Welcome(tx, fact.ProductActive{Product: "p1", Customer: c, Service: "s", At: tx.Now()})
		})
		o := w.api.Do("mno", "GET", messages+"/welcome.p1", nil).Object()
		if o["subject"] != "Servus Änne Größe" || o["content"] != "p1 rennt." {
			w.Errorf("message: %v", o)
		}
	})
}

func TestPreferencesByAPI(t *testing.T) {
	each(t, func(w *world) {
		path, c := own+"communicationPreference", w.customer("en", byMail+","+byPhone)
		pref := func(customer, more string) string { return `{"customer":{"id":"` + customer + `"}` + more + `}` }
		w.refused("POST", path, pref("x", ""), 400, "unknownCustomer")
		w.refused("POST", path, pref(c, `,"quietHours":{"from":"22:00","to":"07:00"}`), 400, "timeZoneMissing")
		w.refused("POST", path, pref(c, `,"quietHours":{"from":"24:00","to":"07:00"},"timeZone":"Europe/Berlin"`), 400, "invalidQuietHours")
		w.refused("POST", path, pref(c, `,"quietHours":{"from":"07:00","to":"07:00"},"timeZone":"Europe/Berlin"`), 400, "invalidQuietHours")
		w.refused("POST", path, pref(c, `,"timeZone":"Local"`), 400, "unknownTimeZone")
		w.refused("POST", path, pref(c, `,"purpose":[{"name":"fun"}]`), 400, "invalidValue")
		w.refused("POST", path, pref(c, `,"purpose":[{"name":"service","channel":["fax"]}]`), 400, "unknownChannel")
		w.refused("POST", path, pref(c, `,"purpose":[{"name":"service"},{"name":"service"}]`), 400, "purposeTwice")
		// Always quiet but for a minute: the message waits.
		o := w.post(path, pref(c, `,"language":"de","timeZone":"Europe/Berlin","quietHours":{"from":"00:01","to":"00:00"},"purpose":[{"name":"marketing","channel":["sms","email"]}]`))
		if o["id"] != c {
			w.Errorf("id %v", o["id"])
		}
		w.refused("POST", path, pref(c, ""), 409, "alreadyExists")
		for key, n := range map[string]communication.Notice{
			"m": {Purpose: communication.Marketing}, "s": {Purpose: communication.Service}, "u": {Purpose: communication.Service, Urgent: true}} {
			n.Key, n.Customer, n.Template, n.Values = key, c, "welcome", map[string]string{"product": "P"}
			w.must(func(tx *store.Tx) error { return communication.Send(tx, n) })
		}
		for key, want := range map[string]string{"m": "sms", "s": "email", "u": "email"} {
			o := w.api.Do("mno", "GET", messages+"/"+key, nil).Object()
			text, _ := o["scheduledSendTime"].(string)
			when, err := time.Parse(time.RFC3339Nano, text)
			berlin, _ := time.LoadLocation("Europe/Berlin")
			waits := err == nil && when.In(berlin).Format("15:04:05") == "00:00:00"
			if o["messageType"] != want || waits == (key == "u") {
				w.Errorf("%s: %v at %q", key, o["messageType"], text)
			}
		}
	})
}

func TestConfigurationIsExplained(t *testing.T) {
	for want, c := range map[string]communication.Channels{
		"communication.smtp needs a host":           {SMTP: &communication.SMTP{From: "a@b.c"}},
		"communication.smtp.tls is \"maybe\"":       {SMTP: &communication.SMTP{Host: "h", From: "a@b.c", TLS: "maybe"}},
		"communication.smtp.from is \"nobody\"":     {SMTP: &communication.SMTP{Host: "h", From: "nobody"}},
		"communication.smtp.ca: there is no PEM":    {SMTP: &communication.SMTP{Host: "h", From: "a@b.c", CA: "x"}},
		"communication.sms.secret needs at least":   {SMS: &communication.Gateway{URL: "https://gw.example", Secret: "short"}},
		"communication.sms.url must be an http":     {SMS: &communication.Gateway{URL: "gw", Secret: secret}},
		"communication.webhook.secret needs at lea": {Webhook: &communication.Hook{}},
	} {
		if err := (communication.Config{Channels: c}).Check(); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v; want %s", err, want)
		}
	}
	if err := (communication.Config{Brand: map[string]communication.Channels{"x": {Webhook: &communication.Hook{}}}}).Check(); err == nil {
		t.Error("a wrong brand is accepted")
	}
}
