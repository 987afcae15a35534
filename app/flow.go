package app

import (
	"tandem/bss/billing"
	"tandem/bss/charging"
	"tandem/bss/communication"
	"tandem/bss/order"
	"tandem/bss/receivable"
	"tandem/bss/subscription"
	"tandem/kit/outbox"
)

// score is which fact is heard by whom, both wings top to bottom. A hearer has
// its own cursor and its own transaction; the facts of one key reach it in the
// order they were told; Ahead is what a hearer reads at once for several of them.
// docs/flow.md is drawn from here.
func score(b *outbox.Bus, c *charging.Room) {
	// The network has confirmed something of a service.
	outbox.On(b, "subscription", subscription.Activate)
	outbox.On(b, "subscription", subscription.Change)
	outbox.On(b, "subscription", subscription.Suspend)
	outbox.On(b, "subscription", subscription.Resume)
	outbox.On(b, "subscription", subscription.Terminate)
	outbox.Ahead(b, "subscription", subscription.Ahead)

	// A service order item has ended, or waits for a person.
	outbox.On(b, "order", order.ItemDone)
	outbox.On(b, "order", order.FellOut)
	outbox.Ahead(b, "order", order.Ahead)

	// A product runs, changes, rests, ends: money begins and ends with it.
	outbox.On(b, "billing", billing.Begin)
	outbox.On(b, "billing", billing.Change)
	outbox.On(b, "billing", billing.Suspend)
	outbox.On(b, "billing", billing.Resume)
	outbox.On(b, "billing", billing.End)
	outbox.Ahead(b, "billing", billing.Ahead)

	// Its subscriber may use what the offering gives, and is charged for the rest.
	outbox.On(b, "charging", c.Open)
	outbox.On(b, "charging", c.Change)
	outbox.On(b, "charging", c.Suspend)
	outbox.On(b, "charging", c.Resume)
	outbox.On(b, "charging", c.End)

	// What charging could not give is not to run.
	outbox.On(b, "option", order.OptionRefused)

	// What was billed of a contract is revenue when it is rendered.
	outbox.On(b, "recognition", billing.Recognise)

	// What was billed is owed; what was barred for debt is barred when the network says so.
	outbox.On(b, "receivable", receivable.Posted)
	outbox.On(b, "receivable", receivable.Barred)
	outbox.On(b, "receivable", receivable.Unbarred)

	// The customer hears of it.
	outbox.On(b, "announcement", billing.Announce)
	outbox.On(b, "communication", communication.Welcome)
	outbox.On(b, "communication", communication.Changed)
	outbox.On(b, "communication", communication.Suspended)
	outbox.On(b, "communication", communication.Resumed)
	outbox.On(b, "communication", communication.Goodbye)
	outbox.On(b, "communication", communication.OrderFailed)
	outbox.On(b, "communication", communication.Threshold)
	outbox.Ahead(b, "communication", communication.Ahead)
}
