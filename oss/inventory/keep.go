package inventory

import (
	"tandem/kit/fault"
	"tandem/kit/store"
	"tandem/kit/tmf"
)

// What an order has built is changed by orders: an inventory that says otherwise
// changes nothing in the network, and the bill goes on. Clients keep the rest of it
// up to date: notes, places, parties, alarms.

// attribute is one before and after a change.
type attribute struct {
	name     string
	old, now any
}

// keep refuses a change from a client of any of the attributes.
func keep(what, builtBy string, attributes ...attribute) error {
	if builtBy == "" {
		return nil
	}
	for _, a := range attributes {
		x, errX := tmf.Encode(a.old)
		y, errY := tmf.Encode(a.now)
		if errX != nil || errY != nil || string(x) != string(y) {
			return fault.Clash("orderNeeded", "%s of a %s that order %s has built is changed by an order, so that network and bill follow", a.name, what, builtBy)
		}
	}
	return nil
}

// unbuilt refuses a mark that only fulfilment sets.
func unbuilt(builtBy string) error {
	if builtBy != "" {
		return fault.BadInput("notSettable", "builtBy is set by the server")
	}
	return nil
}

func keepServices() {
	Services.OnPost = func(tx *store.Tx, s *Service) error {
		if err := unbuilt(s.BuiltBy); err != nil {
			return err
		}
		return Services.Create(tx, s)
	}
	Services.OnPatch = func(tx *store.Tx, old, s *Service) error {
		err := keep("service", old.BuiltBy,
			attribute{"state", old.State, s.State},
			attribute{"serviceSpecification", old.ServiceSpecification, s.ServiceSpecification},
			attribute{"serviceCharacteristic", old.ServiceCharacteristic, s.ServiceCharacteristic},
			attribute{"supportingService", old.SupportingService, s.SupportingService},
			attribute{"supportingResource", old.SupportingResource, s.SupportingResource},
			attribute{"serviceOrderItem", old.ServiceOrderItem, s.ServiceOrderItem},
			attribute{"startDate", old.StartDate, s.StartDate},
			attribute{"endDate", old.EndDate, s.EndDate},
			attribute{"suspendedSince", old.SuspendedSince, s.SuspendedSince})
		if err != nil {
			return err
		}
		return Services.Save(tx, old, s)
	}
	Services.OnDelete = func(tx *store.Tx, s *Service) error {
		if err := keep("service", s.BuiltBy, attribute{"The end", s.State, Terminated}); err != nil {
			return err
		}
		return Services.Remove(tx, s)
	}
}

func keepResources() {
	Resources.OnPost = func(tx *store.Tx, r *Resource) error {
		if err := unbuilt(r.BuiltBy); err != nil {
			return err
		}
		return Resources.Create(tx, r)
	}
	Resources.OnPatch = func(tx *store.Tx, old, r *Resource) error {
		err := keep("resource", old.BuiltBy,
			attribute{"name", old.Name, r.Name},
			attribute{"value", old.Value, r.Value},
			attribute{"category", old.Category, r.Category},
			attribute{"resourceSpecification", old.ResourceSpecification, r.ResourceSpecification},
			attribute{"resourceCharacteristic", old.ResourceCharacteristic, r.ResourceCharacteristic})
		if err != nil {
			return err
		}
		return Resources.Save(tx, old, r)
	}
	Resources.OnDelete = func(tx *store.Tx, r *Resource) error {
		if err := keep("resource", r.BuiltBy, attribute{"The end", true, false}); err != nil {
			return err
		}
		return Resources.Remove(tx, r)
	}
}
