// Package communication owns what is said to customers: messages and their
// delivery (TMF681 v4), the templates they are made from, and what each customer
// wants to hear, where and when.
//
//	fact ──> hear.go ──> Send: preference, contact, template, quiet hours
//	                       │                      └─ nobody to reach: unsentNotice, with the reason
//	client ── POST ──> communicationMessage ── job ──> Delivery ──> SMTP | SMS gateway | webhook
//	                                                     (no transaction meanwhile)
//
//	initial ──> inProgress ──> completed
//	 │  ^  ^        │  └─────> failed ──┐ sent again by a person
//	 │  │  └────────┘ try again         │
//	 │  └───────────────────────────────┘
//	 └──> cancelled
//
// # Once
//
// A message made from a fact has an id made from the fact, so that hearing it
// twice makes one message. A delivery writes down that it starts before it starts,
// and the outcome after: only a process that dies in between can send twice, and
// then the second e-mail has the same Message-ID and the second call the same
// Idempotency-Key. tryTimes bounds the attempts; each is kept on the message.
//
// # Channels
//
// The messageTypes email, sms and webhook are delivered here, as configured (see
// [Config]). Any other, a mobile app push say, is left in initial for whoever
// delivers it: that program hears of it by the hub and patches the state.
//
// # Preferences
//
// Without a word from the customer, service messages and those about bills go to
// the e-mail address, else the phone; marketing goes nowhere. Quiet hours are by
// the clocks of the customer's zone, over changes of daylight saving time too.
//
// Hears ProductActive, ProductChanged, ProductSuspended, ProductResumed,
// ProductTerminated, OrderEnded, ThresholdCrossed; tells nothing. Doors: [Send] and [SendAll] for rooms
// above, who also make the documents that travel with their notices ([Documents]).
package communication
