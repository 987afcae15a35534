package activation

import "tandem/kit/store"

// Claimed says which places of an element of the tenant's own somebody has claimed,
// whichever tenant that is: of up to a few hundred keys of a type.
func Claimed(tx *store.Tx, element, typ string, keys []string) (map[string]bool, error) {
	out := map[string]bool{}
	if len(keys) == 0 {
		return out, nil
	}
	args := []any{element, typ}
	for _, k := range keys {
		args = append(args, k)
	}
	rows, err := tx.Query("SELECT key FROM activation_claim WHERE owner = $1 AND tenant <> '' AND element = $2 AND type = $3 AND key IN ("+store.In(4, len(keys))+")", args...)
	found, err := store.Collect(rows, err, store.Text)
	for _, k := range found {
		out[k] = true
	}
	return out, err
}
