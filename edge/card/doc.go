// Package card takes money from cards through a payment gateway, by tokens only: a
// card number never enters this system (PCI DSS, questionnaire A). The customer types
// it into a page of the gateway and we get a token for it.
//
// Owns: the protocol with the gateway, the meaning of declines. Tells and hears
// nothing; keeps nothing.
//
//	attempt minted and stored (tx) ─> Gateway.Charge ─> Result, stored (tx)
//	                                       │ error: was money taken?
//	                     Transient: no ────┤
//	                     Unknown: perhaps ─┴─> Gateway.Ask(attempt) until it is known
//
//	gateway ── webhook ──> Handler: signature, age ──> Event, once per Event.ID in an inbox
//
// # The one rule
//
// Every movement of money has an attempt: a key that the caller mints and stores before
// it calls. The gateway moves money at most once for an attempt, however often it is
// asked. So after an error the same attempt is asked about or sent again; a new attempt
// is a new movement of money. An attempt that must never succeed any more is ended by
// Cancel, which says what became of it.
//
// # The protocol
//
// JSON over HTTPS in the manner of the common gateways; an adapter for one of them is
// a Gateway of its own, or a small proxy that speaks this. Bearer key in Authorization.
// Amounts are whole minor units. The attempt is the Idempotency-Key of every POST.
//
//	POST /v1/payments                {"attempt","token","amount","currency","capture","initiator",
//	                                  "description","reference","returnUrl"}
//	POST /v1/payments/{id}/capture   {"attempt","amount","currency"}
//	POST /v1/refunds                 {"attempt","payment","amount","currency","description"}
//	GET  /v1/attempts/{attempt}
//	POST /v1/attempts/{attempt}/cancel
//
// Each answers 200 with the attempt as it stands:
//
//	{"attempt","kind":"payment|capture|refund","id","payment","status","amount","currency","revision",
//	 "decline":{"code","message"},"redirectUrl","card":{"brand","last4","expires"}}
//
// status is succeeded, authorised, declined, pending, requires_action, cancelled, and
// for GET only absent: the gateway never saw the attempt. Cancelling one that it never
// saw answers cancelled, without kind and amount, and bars it for ever. revision grows
// with each change of the attempt, so that late news are known to be late. Other answers:
//
//	400 404 422  the request is wrong, no money moved     {"error":{"code","message"}}
//	401 403      the key is wrong, no money moved
//	409          the same attempt is being worked on      ask
//	429          too many requests, no money moved        later, Retry-After
//	5xx, none    anything may have happened               ask
//
// A webhook is a POST of {"id","type","created","attempt":{...}} for attempt.changed and
// of {"id","type","created","dispute":{"id","payment","amount","fee","currency","reason",
// "answerBy"}} for dispute.opened, dispute.won and dispute.lost, with times in unix
// seconds and Gateway-Signature: t=<unix seconds>,v1=<hex HMAC-SHA256 of "t.body">. It
// comes at least once and in any order, until it is answered 200.
package card
