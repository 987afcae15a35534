package catalog

import (
	"time"

	"tandem/kit/store"
	"tandem/kit/tmf"
)

// States of the life cycle (TMF620).
const (
	InStudy  = "In study"
	InDesign = "In design"
	InTest   = "In test"
	Rejected = "Rejected"
	Active   = "Active"
	Launched = "Launched"
	Retired  = "Retired"
	Obsolete = "Obsolete"
)

// lifecycle is the state machine of all resources of the catalogue.
var lifecycle = tmf.Moves{
	"":       {InStudy, InDesign, InTest, Active, Launched},
	InStudy:  {InDesign, Rejected},
	InDesign: {InTest, Rejected},
	InTest:   {InDesign, Active, Rejected},
	Active:   {Launched, Retired},
	Launched: {Retired},
	Retired:  {Obsolete},
}

// inForce says that something launched may rest on a thing in this state.
func inForce(state string) bool { return state == Active || state == Launched }

// withdrawn says that nothing new may rest on a thing in this state.
func withdrawn(state string) bool {
	return state == Retired || state == Obsolete || state == Rejected
}

var zero time.Time

func defaultState(state *string) {
	if *state == "" {
		*state = InStudy
	}
}

// stamp sets lastUpdate to the transaction's instant if anything else changed,
// so that a patch that changes nothing stays without a trace.
func stamp(tx *store.Tx, old, now any, was time.Time, is *time.Time) error {
	*is = was
	if !was.IsZero() {
		before, err := tmf.Encode(old)
		if err != nil {
			return err
		}
		after, err := tmf.Encode(now)
		if err != nil {
			return err
		}
		if string(before) == string(after) {
			return nil
		}
	}
	*is = tx.Now()
	return nil
}
