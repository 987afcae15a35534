package fulfilment

import (
	"slices"
	"time"

	"tandem/fact"
	"tandem/kit/fault"
	"tandem/kit/outbox"
	"tandem/kit/store"
	"tandem/kit/tmf"
	"tandem/kit/work"
	"tandem/oss/inventory"
)

// Fallout is a task that waits for a person: what failed, why, since when, and
// whose it is. Nothing is billed while it is open.
type Fallout struct {
	tmf.Entity
	State        string         `json:"state,omitzero" tmf:"enum=open|resolved"`
	ServiceOrder string         `json:"serviceOrder,omitzero"`
	Item         string         `json:"serviceOrderItem,omitzero"`
	Service      string         `json:"service,omitzero"`
	Element      string         `json:"element,omitzero"`
	Class        string         `json:"class,omitzero"`
	Cause        string         `json:"cause,omitzero"`
	Attempts     int64          `json:"attempts,omitzero"`
	Owner        string         `json:"owner,omitzero"`
	External     *fact.External `json:"external,omitzero"`
	Since        time.Time      `json:"since,omitzero"`
	ResolvedAt   time.Time      `json:"resolvedAt,omitzero"`
	Resolution   string         `json:"resolution,omitzero"`
}

// Fallouts is the queue: GET /fallout?state=open&cause=... groups what failed alike.
var Fallouts = tmf.Kind[Fallout, *Fallout]{
	API: API, Name: "fallout", Table: "fulfilment_fallout", Verbs: tmf.Patch,
	Index: []string{"state", "cause", "element", "owner", "serviceOrder", "since"}, StateAttr: "state",
	Moves:  tmf.Moves{"": {"open"}, "open": {"resolved"}, "resolved": {"open"}},
	Frozen: []string{"state", "serviceOrder", "serviceOrderItem", "service", "element", "class", "cause", "attempts", "external", "since", "resolvedAt", "resolution"},
}

// FalloutAction is what a person decides, for one fallout, for several, or for
// all open ones with the same cause.
type FalloutAction struct {
	tmf.Entity
	Action         string               `json:"action,omitzero" tmf:"required,enum=retry|fixAndRetry|skip|cancel"`
	Fallout        []string             `json:"fallout,omitzero"`
	Cause          string               `json:"cause,omitzero"`
	Reason         string               `json:"reason,omitzero"`
	Characteristic []tmf.Characteristic `json:"serviceCharacteristic,omitzero"`
	Done           []string             `json:"done,omitzero"`
}

// FalloutActions is a task resource: each decision stays on record.
var FalloutActions = tmf.Kind[FalloutAction, *FalloutAction]{
	API: API, Name: "falloutAction", Table: "fulfilment_fallout_action", Verbs: tmf.Task,
}

const maxFallouts = 1000 // of one action

// fallOut hands a failed task to people, or takes the item back at once if the
// policy says so. The fallout of a task has the task's id: it opens once.
func fallOut(tx *store.Tx, t task, class, cause string, p FaultPolicy) error {
	it, err := loadItem(tx, t.order, t.item)
	if err != nil {
		return err
	}
	if p.Then == "compensate" && t.undoing == 0 {
		return it.takeBack(tx, Failed, cause)
	}
	f := &Fallout{State: "open", ServiceOrder: t.order, Item: t.item, Service: it.service, Element: t.do.Element, Class: class,
		Cause: cause, Attempts: t.attempt + 1, External: &it.external, Since: tx.Now()}
	f.ID = t.id
	old, err := Fallouts.Lock(tx, t.id)
	switch {
	case fault.Is(err, fault.NotFound):
		err = Fallouts.Create(tx, f)
	case err == nil:
		_, err = Fallouts.Edit(tx, t.id, func(g *Fallout) error {
			g.State, g.Class, g.Cause, g.Attempts, g.ResolvedAt, g.Resolution = "open", class, cause, old.Attempts+t.attempt+1, time.Time{}, ""
			return nil
		})
	}
	if err != nil {
		return err
	}
	if it.ofResource() {
		return nil
	}
	outbox.Tell(tx, fact.ServiceOrderFellOut{ServiceOrder: t.order, Item: t.item, External: it.external, Cause: cause})
	return note(tx, t.order, t.item, class, cause)
}

// note puts the cause on the order item, where the one who ordered can see it.
func note(tx *store.Tx, order, item, class, cause string) error {
	_, err := ServiceOrders.Edit(tx, order, func(so *ServiceOrder) error {
		for i := range so.ServiceOrderItem {
			if it := &so.ServiceOrderItem[i]; it.ID == item {
				it.ErrorMessage = append(it.ErrorMessage, ErrorMessage{Code: class, Reason: cause, Timestamp: tx.Now()})
			}
		}
		return nil
	})
	return err
}

// closeFallout resolves the fallout of a task, if it has one.
func closeFallout(tx *store.Tx, id, resolution string) error {
	f, err := Fallouts.Lock(tx, id)
	if fault.Is(err, fault.NotFound) || err == nil && f.State == "resolved" {
		return nil
	}
	if err != nil {
		return err
	}
	_, err = Fallouts.Edit(tx, id, func(f *Fallout) error {
		f.State, f.ResolvedAt, f.Resolution = "resolved", tx.Now(), resolution
		return nil
	})
	return err
}

// act carries a decision out, all of it or nothing.
func act(tx *store.Tx, a *FalloutAction) error {
	ids := a.Fallout
	if a.Cause != "" {
		if len(ids) > 0 {
			return fault.BadInput("ambiguousAction", "Name fallouts by id or by cause, not both")
		}
		alike, err := Fallouts.Select(tx, tmf.Where{"state": "open", "cause": a.Cause}, tmf.Page{Sort: "id", Limit: maxFallouts})
		if err != nil {
			return err
		}
		for _, f := range alike {
			ids = append(ids, f.ID)
		}
	}
	if len(ids) == 0 || len(ids) > maxFallouts {
		return fault.BadInput("noFallout", "Name 1 to %d fallouts by id, or a cause that open fallouts have", maxFallouts)
	}
	if (a.Action == "skip" || a.Action == "cancel") && a.Reason == "" {
		return fault.BadInput("reasonMissing", "A reason is required to %s", a.Action)
	}
	for _, id := range slices.Compact(slices.Sorted(slices.Values(ids))) {
		if err := actOn(tx, a, id); err != nil {
			return fault.At("fallout "+id, err)
		}
	}
	a.Done = ids
	return FalloutActions.Create(tx, a)
}

func actOn(tx *store.Tx, a *FalloutAction, id string) error {
	f, err := Fallouts.Lock(tx, id)
	if err != nil {
		return err
	}
	if f.State != "open" {
		return fault.Clash("notOpen", "It is resolved already: %s", f.Resolution)
	}
	t, err := scanTask(tx.Row(selectTask+"id = $2", id))
	if err != nil {
		return err
	}
	if t.state != taskFallen {
		return fault.Clash("notFallen", "Its task is %s", t.state)
	}
	switch a.Action {
	case "retry":
		err = retry(tx, t)
	case "fixAndRetry":
		err = fixAndRetry(tx, t, a.Characteristic)
	case "skip":
		err = skip(tx, t, a.Reason)
	case "cancel":
		return cancelEither(tx, t.order, a.Reason)
	}
	if err != nil {
		return err
	}
	return closeFallout(tx, id, a.Action+" by "+tx.Actor()+": "+a.Reason)
}

// cancelEither cancels the service or resource order of the id.
func cancelEither(tx *store.Tx, order, reason string) error {
	err := Cancel(tx, order, reason)
	if !fault.Is(err, fault.NotFound) {
		return err
	}
	return postCancelResource(tx, &CancelResourceOrder{ResourceOrder: &tmf.Ref{ID: order}, CancellationReason: reason})
}

func retry(tx *store.Tx, t task) error {
	tx.QueueOne("UPDATE fulfilment_task SET state = 'ready', attempt = 0, at = $3 WHERE tenant = $1 AND id = $2 AND state = 'fallen'", t.id, store.Micros(tx.Now()))
	return work.Enqueue(tx, taskJob, t.id, nil, tx.Now())
}

// skip waives a task. What puts something into the network cannot be waived:
// a service that no element confirmed would be billed.
func skip(tx *store.Tx, t task, reason string) error {
	if !t.do.Absent {
		return fault.Clash("cannotSkip", "This task puts %s on element %s; without its confirmation the service would be billed but not run. Retry, fix or cancel it", t.do.Key, t.do.Element)
	}
	tx.QueueOne("UPDATE fulfilment_task SET state = 'skipped', evidence = $3, at = $4 WHERE tenant = $1 AND id = $2 AND state = 'fallen'",
		t.id, "waived by "+tx.Actor()+": "+reason, store.Micros(tx.Now()))
	return closeTask(tx, t)
}

// fixAndRetry plans the item anew with corrected characteristics. What was not
// touched yet is replaced; an item with confirmed steps is cancelled instead.
func fixAndRetry(tx *store.Tx, t task, chars []tmf.Characteristic) error {
	if len(chars) == 0 {
		return fault.BadInput("mandatoryAttributeMissing", "serviceCharacteristic is required to fix the item")
	}
	it, err := loadItem(tx, t.order, t.item)
	if err != nil {
		return err
	}
	var confirmed int64
	err = tx.Row("SELECT count(*) FROM fulfilment_task WHERE tenant = $1 AND service_order = $2 AND item = $3 AND (state = 'done' AND n >= 0 OR undoing = 1)", it.order, it.item).Scan(&confirmed)
	if err != nil {
		return err
	}
	if confirmed > 0 || it.graph == nil || it.ofResource() {
		return fault.Clash("cannotFix", "This item cannot be planned anew: it takes something away, belongs to a resource order, or has confirmed steps; retry or cancel it")
	}
	return it.replan(tx, chars)
}

func (it itemRow) replan(tx *store.Tx, chars []tmf.Characteristic) error {
	so, err := ServiceOrders.Lock(tx, it.order)
	if err != nil {
		return err
	}
	if so, err = ServiceOrders.Copy(so); err != nil {
		return err
	}
	i := slices.IndexFunc(so.ServiceOrderItem, func(x ServiceOrderItem) bool { return x.ID == it.item })
	p := &planned{n: i, item: &so.ServiceOrderItem[i], step: it.step, service: it.service, before: it.before}
	want := *p.item.Service
	want.Characteristic = it.graph.Root().Chars
	for _, c := range chars {
		want.Characteristic = tmf.With(want.Characteristic, c)
	}
	if p.target, err = expand(tx, it.graph.Root().Spec.ID, &want, it.action, it.graph); err != nil {
		return err
	}
	// What the old plan reserved counts as held: only what the fix changes is
	// reserved anew, and what it no longer wants is given back.
	if err := assign(tx, it.graph, p.target); err != nil {
		return err
	}
	if err := release(tx, it.graph, p.target); err != nil {
		return err
	}
	p.steps = diff(p.before, p.target)
	p.describe()
	if err := it.redescribe(tx, p); err != nil {
		return err
	}
	// The old tasks end in a state that says so; their failed attempt may have
	// left something on the element under the old key.
	rows, err := tx.Query(selectTask+"service_order = $2 AND item = $3 AND n >= 0", it.order, it.item)
	old, err := store.Collect(rows, err, func(r store.Rows) (task, error) { return scanTask(r) })
	if err != nil {
		return err
	}
	p.steps = append(leftovers(old, p.steps), p.steps...)
	for _, t := range old {
		tx.QueueOne("UPDATE fulfilment_task SET state = 'cancelled', at = $3 WHERE tenant = $1 AND id = $2", t.id, store.Micros(tx.Now()))
		tx.Queue("DELETE FROM fulfilment_arrow WHERE tenant = $1 AND (before = $2 OR after = $2)", t.id)
		work.Cancel(tx, taskJob, t.id)
	}
	graph, err := encodeGraph(p.target)
	if err != nil {
		return err
	}
	tx.QueueOne("UPDATE fulfilment_item SET graph = $4, open_tasks = $5, arrows = 1 WHERE tenant = $1 AND service_order = $2 AND item = $3", it.order, it.item, graph, len(p.steps))
	return p.storeTasks(tx, so, nil)
}

// leftovers are steps that clear what failed attempts may have left under keys
// the new plan no longer names.
func leftovers(old []task, steps []Step) []Step {
	var out []Step
	for _, t := range old {
		if t.do.Absent || t.state == taskWaiting || slices.ContainsFunc(steps, func(s Step) bool { return s.Do.Key == t.do.Key && s.Do.Element == t.do.Element }) {
			continue
		}
		out = append(out, Step{Do: t.do.absent(), Undo: t.do.absent()})
	}
	if len(out) > 0 {
		for i := range steps {
			for j := range steps[i].After {
				steps[i].After[j] += len(out)
			}
			if len(steps[i].After) == 0 {
				steps[i].After = []int{len(out) - 1}
			}
		}
		for i := 1; i < len(out); i++ {
			out[i].After = []int{i - 1}
		}
	}
	return out
}

// redescribe brings order and inventory to the corrected characteristics.
func (it itemRow) redescribe(tx *store.Tx, p *planned) error {
	if _, err := ServiceOrders.Edit(tx, it.order, func(so *ServiceOrder) error {
		so.ServiceOrderItem[p.n].Service = p.item.Service
		return nil
	}); err != nil {
		return err
	}
	if it.step != stepActivate {
		return nil
	}
	for i := range p.target.Parts {
		part := &p.target.Parts[i]
		if part.Kind != "service" {
			continue
		}
		if _, err := inventory.Services.Edit(tx, part.ID, func(s *inventory.Service) error {
			s.ServiceCharacteristic = part.Chars
			return nil
		}); err != nil {
			return err
		}
	}
	return nil
}
