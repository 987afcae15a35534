package activation

import (
	"strings"

	"tandem/kit/fault"
	"tandem/kit/store"
)

// Place is where a resource lives: an element, as the tenant names it, and the type and key that the element knows it by.
type Place struct{ Element, Type, Key string }

// Claim makes a place the holder's, until Yield. Who would put something on an element claims the place in the transaction that plans it:
// one service, order or direct activation has it, over all tenants that use the element. Doing it again is no error. Refusal:
// alreadyActivated.
func Claim(tx *store.Tx, p Place, holder string) error {
	n, err := tx.Exec(`INSERT INTO activation_claim (tenant, owner, element, type, key, holder) VALUES ($1,
		coalesce((SELECT e.tenant FROM activation_element e WHERE e.tenant = $1 AND e.name = $2),
			(SELECT g.tenant FROM activation_grant g WHERE g.grantee = $1 AND g.element = $2), $1), $2, $3, $4, $5)
		ON CONFLICT (element, type, key, owner) DO UPDATE SET holder = excluded.holder
		WHERE activation_claim.tenant = excluded.tenant AND activation_claim.holder = excluded.holder`, p.Element, p.Type, p.Key, holder)
	if err != nil || n == 1 {
		return err
	}
	err = tx.Row("SELECT holder FROM activation_claim WHERE tenant = $1 AND element = $2 AND type = $3 AND key = $4", p.Element, p.Type, p.Key).Scan(&holder)
	switch {
	case err == store.ErrNotFound:
		return fault.Clash("alreadyActivated", "Another operator has %s on element %s already, or is about to", p.Key, p.Element)
	case err != nil:
		return err
	}
	return fault.Clash("alreadyActivated", "Service %s has %s on element %s already, or is about to", strings.TrimPrefix(holder, "direct:"), p.Key, p.Element)
}

// Holds says that the tenant has a place, whoever of its services it is; fault.Missing if it does not.
func Holds(tx *store.Tx, p Place) error {
	var holder string
	err := tx.Row("SELECT holder FROM activation_claim WHERE tenant = $1 AND element = $2 AND type = $3 AND key = $4", p.Element, p.Type, p.Key).Scan(&holder)
	if err == store.ErrNotFound {
		return fault.Missing(p.Type, p.Key)
	}
	return err
}

// Yield gives a place up: nothing of the holder is there any more.
func Yield(tx *store.Tx, p Place, holder string) {
	tx.Queue("DELETE FROM activation_claim WHERE tenant = $1 AND element = $2 AND type = $3 AND key = $4 AND holder = $5", p.Element, p.Type, p.Key, holder)
}
