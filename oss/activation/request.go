package activation

import (
	"fmt"
	"slices"
	"time"

	"tandem/kit/fault"
	"tandem/kit/store"
	"tandem/kit/tmf"
	"tandem/kit/work"
)

// Kinds of jobs.
const (
	activateJob = "activation.activate" // key: the service
	pruneJob    = "activation.prune"    // key: "monitor"
)

// target is what a service shall be on its element: a row of activation_target.
type target struct {
	service, element, typ, key, state string
	change                            int64
	sealed                            []byte
}

const selectTarget = "SELECT service, element, type, key, state, change, sealed FROM activation_target WHERE tenant = $1 AND service = $2"

// targetOf is nil for a service that was never asked to run.
func targetOf(tx *store.Tx, sql, service string) (*target, error) {
	t := &target{}
	err := tx.Row(sql, service).Scan(&t.service, &t.element, &t.typ, &t.key, &t.state, &t.change, &t.sealed)
	if err == store.ErrNotFound {
		return nil, nil
	}
	return t, err
}

func lockTarget(tx *store.Tx, service string) (*target, error) {
	return targetOf(tx, selectTarget+tx.Dialect().ForUpdate(), service)
}

// request writes what the service shall be, the monitor that follows it, which s then refers to, and the job that does it. t is the
// target so far, if any. The caller saves s.
func request(tx *store.Tx, s *Service, t *target, method, want string, secrets map[string]string) error {
	if t == nil && !runs(want) {
		return keepNoSecrets(secrets)
	}
	w, err := wishOf(s)
	if err != nil {
		return err
	}
	if w.element == "" {
		return fault.BadInput("elementMissing", "The characteristic element is missing: on which element the service shall run")
	}
	if err := mayUse(tx, w); err != nil {
		return err
	}
	if t == nil {
		t = &target{service: s.ID, element: w.element, typ: w.typ, key: w.key}
		if err := Claim(tx, t.place(), holderOf(s.ID)); err != nil {
			return err
		}
	}
	t.state = want
	if len(secrets) > 0 {
		if t.sealed, err = seal(tx, s.ID, secrets); err != nil {
			return err
		}
	}
	tx.Queue(`INSERT INTO activation_target (tenant, service, element, type, key, state, change, sealed) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
		ON CONFLICT (tenant, service) DO UPDATE SET state = excluded.state, change = excluded.change, sealed = excluded.sealed`,
		t.service, t.element, t.typ, t.key, t.state, t.change+1, t.sealed)
	if err := follow(tx, s, method, want); err != nil {
		return err
	}
	if err := work.Enqueue(tx, activateJob, s.ID, struct{}{}, time.Time{}); err != nil {
		return err
	}
	return work.Enqueue(tx, pruneJob, "monitor", struct{}{}, tx.Now().Add(24*time.Hour))
}

func keepNoSecrets(secrets map[string]string) error {
	if len(secrets) > 0 {
		return fault.BadInput("secretsTooEarly", "Secrets are given when the service is to run, in state active or inactive")
	}
	return nil
}

func mayUse(tx *store.Tx, w wish) error {
	e, err := Resolve(tx, w.element)
	switch {
	case fault.Is(err, fault.NotFound):
		return fault.BadInput("unknownElement", "There is no element %q; the characteristic element names one of yours or one granted to you", w.element)
	case err != nil:
		return err
	case !e.permits(w.key):
		return fault.Denied("keyNotGranted", "The owner of element %s lets you use it for keys that begin with %s only", w.element, e.Prefix)
	}
	return nil
}

func (t *target) place() Place { return Place{t.element, t.typ, t.key} }

// holderOf is the name under which a directly activated service has its place.
func holderOf(service string) string { return "direct:" + service }

// place is where a service's secrets are sealed for.
func place(tx *store.Tx, service string) string { return "activation/" + tx.Tenant() + "/" + service }

func seal(tx *store.Tx, service string, secrets map[string]string) ([]byte, error) {
	sealer, err := sealerOf(tx)
	if err != nil {
		return nil, err
	}
	plain, err := tmf.Encode(secrets)
	if err != nil {
		return nil, err
	}
	return sealer.Seal(plain, place(tx, service))
}

func unseal(tx *store.Tx, t *target) (map[string]string, error) {
	if len(t.sealed) == 0 {
		return nil, nil
	}
	sealer, err := sealerOf(tx)
	if err != nil {
		return nil, err
	}
	plain, err := sealer.Open(t.sealed, place(tx, t.service))
	if err != nil {
		return nil, fmt.Errorf("open the secrets of service %s: %w", t.service, err)
	}
	var secrets map[string]string
	if tmf.Decode(plain, &secrets) != nil {
		return nil, fmt.Errorf("the secrets of service %s are not readable", t.service) // the error would quote them
	}
	return secrets, nil
}

func sealerOf(tx *store.Tx) (Sealer, error) {
	a, ok := rooms.Load(tx.DB())
	if !ok || a.(*Activation).options.Keys == nil {
		return nil, fault.New(fault.Unavailable, "noSealingKey", "Secrets cannot be kept: no key for sealing them is configured")
	}
	return a.(*Activation).options.Keys, nil
}

// follow makes the request's monitor and points the service to it.
func follow(tx *store.Tx, s *Service, method, want string) error {
	to := API.Base + "/service"
	if method != "POST" {
		to = s.Href
	}
	var body []byte
	if method != "DELETE" {
		asked := *s
		asked.State, asked.RelatedEntity = want, nil
		var err error
		if body, err = tmf.Encode(&asked); err != nil {
			return err
		}
	}
	m := &Monitor{State: inProgress, SourceHref: s.Href,
		Request: &Request{Method: method, To: to, Body: string(body), Header: jsonHeader}}
	if err := Monitors.Create(tx, m); err != nil {
		return err
	}
	s.RelatedEntity = slices.DeleteFunc(slices.Clone(s.RelatedEntity), func(e RelatedEntity) bool { return e.Role == "monitor" })
	s.RelatedEntity = append(s.RelatedEntity, RelatedEntity{ID: m.ID, Href: m.Href, Role: "monitor", ReferredType: "Monitor"})
	return nil
}

var jsonHeader = []HeaderItem{{Name: "Content-Type", Value: "application/json"}}
