package catalog

import (
	"tandem/kit/store"
	"tandem/kit/tmf"
)

// Judge says whether an offering can be launched with its prices, in the words of who
// wrote it; what it refuses is a fault. What it takes down for itself is part of the
// change: it is asked again of an offering that has not changed, when a price has.
type Judge func(tx *store.Tx, o *ProductOffering, prices []*ProductOfferingPrice) error

// judges are other rooms' words on what they would have to carry out.
var judges []Judge

// AskBeforeLaunch lets a room refuse to launch what it could not carry out: when an
// offering is launched, and when it or a price of it changes after that. Call it
// before the node starts.
func AskBeforeLaunch(j Judge) { judges = append(judges, j) }

// judged asks all rooms about an offering that is on the market or is about to be;
// changed is a price of it as it will be, nil if none changes.
func judged(tx *store.Tx, o *ProductOffering, changed *ProductOfferingPrice) error {
	if o.LifecycleStatus != Launched || len(judges) == 0 {
		return nil
	}
	prices, err := Prices(tx, o)
	if err != nil {
		return err
	}
	for i, p := range prices {
		if changed != nil && p.ID == changed.ID {
			prices[i] = changed
		}
	}
	for _, judge := range judges {
		if err := judge(tx, o, prices); err != nil {
			return err
		}
	}
	return nil
}

// judgedUsers asks about all offerings on the market that have a price which is about
// to change.
func judgedUsers(tx *store.Tx, p *ProductOfferingPrice) error {
	if len(judges) == 0 {
		return nil
	}
	users, err := Offerings.Select(tx, tmf.Where{"productOfferingPrice.id": p.ID, "lifecycleStatus": Launched}, tmf.Page{})
	if err != nil {
		return err
	}
	for _, o := range users {
		if err := judged(tx, o, p); err != nil {
			return err
		}
	}
	return nil
}
