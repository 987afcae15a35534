package party

import (
	"fmt"
	"maps"
	"slices"
	"sync"

	"tandem/kit/fault"
	"tandem/kit/store"
	"tandem/kit/tmf"
)

// keepers are the rooms that are asked before a customer is deleted.
var keepers struct {
	sync.Mutex
	byRoom map[string]func(tx *store.Tx, customer string) error
}

// Keep lets a room above refuse the delete of a customer it still needs, with a
// fault in the user's words. A room has one keeper; app wires it.
func Keep(room string, refuse func(tx *store.Tx, customer string) error) {
	keepers.Lock()
	defer keepers.Unlock()
	if keepers.byRoom == nil {
		keepers.byRoom = map[string]func(*store.Tx, string) error{}
	}
	keepers.byRoom[room] = refuse
}

func askKeepers(tx *store.Tx, customer string) error {
	keepers.Lock()
	ask := maps.Clone(keepers.byRoom)
	keepers.Unlock()
	for _, room := range slices.Sorted(maps.Keys(ask)) {
		if err := ask[room](tx, customer); err != nil {
			return err
		}
	}
	return nil
}

// unreferenced refuses the delete of a party that another resource of the room
// names. It runs after the row is gone in this transaction: whoever was about to
// refer to it held the row's lock and is visible now.
func unreferenced(tx *store.Tx, kind, id string) error {
	for _, path := range []string{"engagedParty.id", "relatedParty.id"} {
		where := tmf.Where{path: id}
		if err := named(tx, &Customers, kind, id, where); err != nil {
			return err
		}
		if err := named(tx, &Roles, kind, id, where); err != nil {
			return err
		}
	}
	where := tmf.Where{"relatedParty.id": id}
	if err := named(tx, &Individuals, kind, id, where); err != nil {
		return err
	}
	return named(tx, &Organizations, kind, id, where)
}

func named[T any, P tmf.Pointer[T]](tx *store.Tx, by *tmf.Kind[T, P], kind, id string, w tmf.Where) error {
	found, err := by.Select(tx, w, tmf.Page{Limit: 1})
	if err != nil {
		return fmt.Errorf("who refers to %s %s: %w", kind, id, err)
	}
	if len(found) == 0 {
		return nil
	}
	return stillNeeded(kind, id, by.Name, found[0].Base().ID)
}

func stillNeeded(kind, id, by, byID string) error {
	return fault.Clash("stillReferenced", "The %s %q cannot be deleted: %s %q refers to it", kind, id, by, byID)
}
