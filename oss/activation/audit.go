package activation

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"maps"
	"slices"
	"strings"

	"tandem/kit/store"
	"tandem/oss/activation/driver"
)

// DriftKind is in what way an element differs from what is expected.
type DriftKind string

// The ways.
const (
	Missing   DriftKind = "missing"   // expected, and not on the element
	Surplus   DriftKind = "surplus"   // on the element, and not expected
	Different DriftKind = "different" // an attribute has another value
)

// Drift is one difference. Attribute, Want and Have are set for Different.
type Drift struct {
	Key       string
	Kind      DriftKind
	Attribute string
	Want      string
	Have      string
}

// Audit compares what is expected on an element with the list from the element itself, by key. Only expected attributes are compared,
// and no secrets, which elements do not list; what is expected Absent must not be there. Surplus is found among the keys that the
// tenant may touch: to audit a shared element, its host expects the resources of all who use it. Changes during the audit may
// show as drift; look again before repairing.
func (a *Activation) Audit(ctx context.Context, tenant, element, typ string, expected iter.Seq2[driver.Desired, error]) ([]Drift, error) {
	want := map[string]string{}
	for d, err := range expected {
		if err != nil {
			return nil, err
		}
		if d.Type == typ && !d.Absent {
			want[d.Key] = pack(d.Attributes)
		}
	}
	var drift []Drift
	err := a.List(ctx, tenant, element, typ, func(o driver.Observed) error {
		attributes, ok := want[o.Key]
		if !ok {
			drift = append(drift, Drift{Key: o.Key, Kind: Surplus})
			return nil
		}
		delete(want, o.Key)
		for name, value := range unpack(attributes) {
			if have := o.Attributes[name]; have != value {
				drift = append(drift, Drift{o.Key, Different, name, value, have})
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for key := range want {
		drift = append(drift, Drift{Key: key, Kind: Missing})
	}
	slices.SortFunc(drift, func(a, b Drift) int {
		return cmp.Or(strings.Compare(a.Key, b.Key), strings.Compare(a.Attribute, b.Attribute))
	})
	return drift, nil
}

// pack keeps attributes in one text: a million expected resources have to fit into memory.
func pack(attributes map[string]string) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(attributes)) {
		b.WriteString(name + "\x00" + attributes[name] + "\x00")
	}
	return b.String()
}

func unpack(packed string) iter.Seq2[string, string] {
	return func(yield func(name, value string) bool) {
		for packed != "" {
			var name, value string
			name, packed, _ = strings.Cut(packed, "\x00")
			value, packed, _ = strings.Cut(packed, "\x00")
			if !yield(name, value) {
				return
			}
		}
	}
}

// ExpectedServices are the tenant's directly activated services on an element, for Audit. Services that wait for their element or are
// being removed are not expected to be in either state and are left out.
func ExpectedServices(ctx context.Context, db *store.DB, tenant, element string) iter.Seq2[driver.Desired, error] {
	return func(yield func(driver.Desired, error) bool) {
		err := Services.Each(ctx, db, store.Scope{Tenant: tenant, Actor: "system:activation"}, func(s *Service) error {
			w, err := wishOf(s)
			if err != nil || w.element != element || s.State != stateActive && s.State != stateInactive {
				return err
			}
			if !yield(w.desired(s.State, nil), nil) {
				return errStopped
			}
			return nil
		})
		if err != nil && err != errStopped {
			yield(driver.Desired{}, err)
		}
	}
}

var errStopped = errors.New("the reader of the expected services stopped")
