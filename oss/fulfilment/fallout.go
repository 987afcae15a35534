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
	"tandem/oss/activation"
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
	ids = slices.Compact(slices.Sorted(slices.Values(ids)))
	for _, id := range ids {
		if err := stillOpen(tx, id); err != nil {
			return fault.At("fallout "+id, err)
		}
	}
	for _, id := range ids {
		if err := actOn(tx, a, id); err != nil {
			return fault.At("fallout "+id, err)
		}
	}
	a.Done = ids
	return FalloutActions.Create(tx, a)
}

// stillOpen locks a fallout and refuses one that is resolved.
func stillOpen(tx *store.Tx, id string) error {
	f, err := Fallouts.Lock(tx, id)
	if err == nil && f.State != "open" {
		err = fault.Clash("notOpen", "It is resolved already: %s", f.Resolution)
	}
	return err
}

// actOn does it for one fallout. One that the same action has resolved already,
// because its order or item is another's too, needs nothing more.
func actOn(tx *store.Tx, a *FalloutAction, id string) error {
	f, err := Fallouts.Get(tx, id)
	if err != nil || f.State != "open" {
		return err
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
		if t.undoing == 1 {
			return fault.Clash("beingTakenBack", "The order item is being taken back already, and this is what is left of it; retry it, or skip it if it only takes away")
		}
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
	return it.replan(tx, t.id, chars)
}

// replan replaces the plan of an item; fallen is the task that is being fixed.
func (it itemRow) replan(tx *store.Tx, fallen string, chars []tmf.Characteristic) error {
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
	// What the old plan reserved counts as held, and what the service has in the
	// network: only what the fix changes is reserved anew. What is no longer wanted
	// stays reserved until the item ends: a failed attempt may have put it on an
	// element, and whoever had it next would be hit when that is cleared away.
	if err := assign(tx, p.target, so.draw(p.item.Service), so.RequestedStartDate, it.graph, it.before); err != nil {
		return err
	}
	p.target.Earlier = slices.Concat(it.graph.Parts, it.graph.Earlier)
	p.steps = diff(p.before, p.target)
	p.describe()
	if err := it.redescribe(tx, p); err != nil {
		return err
	}
	// The old tasks end in a state that says so; their failed attempt may have
	// changed something on the element that the new plan does not name.
	rows, err := tx.Query(selectTask+"service_order = $2 AND item = $3 AND n >= 0", it.order, it.item)
	old, err := store.Collect(rows, err, func(r store.Rows) (task, error) { return scanTask(r) })
	if err != nil {
		return err
	}
	p.steps = mend(slices.DeleteFunc(slices.Clone(old), func(t task) bool { return !it.owns(t.do.place()) }), p.steps, p.target)
	for _, t := range old {
		tx.QueueOne("UPDATE fulfilment_task SET state = 'cancelled', at = $3 WHERE tenant = $1 AND id = $2", t.id, store.Micros(tx.Now()))
		tx.Queue("DELETE FROM fulfilment_arrow WHERE tenant = $1 AND (before = $2 OR after = $2)", t.id)
		work.Cancel(tx, taskJob, t.id)
		if t.id == fallen {
			continue // the action closes it, and says who did
		}
		if err := closeFallout(tx, t.id, "The order item is planned anew"); err != nil {
			return err
		}
	}
	graph, err := encodeGraph(p.target)
	if err != nil {
		return err
	}
	tx.QueueOne("UPDATE fulfilment_item SET graph = $4, open_tasks = $5, arrows = 1 WHERE tenant = $1 AND service_order = $2 AND item = $3", it.order, it.item, graph, len(p.steps))
	return p.storeTasks(tx, so, nil)
}

// mend is the plan with further steps before it: they bring every place that a
// failed attempt may have touched, and that the plan does not name, to what the
// target wants there. There is at least one, for the task that failed.
func mend(old []task, steps []Step, target *Graph) []Step {
	wanted := map[activation.Place]Intent{}
	for _, p := range partsOf(target) {
		if p.entry() != nil {
			wanted[p.intent().place()] = p.intent()
		}
	}
	named := map[activation.Place]bool{}
	for _, s := range steps {
		named[s.Do.place()] = true
	}
	var out []Step
	for _, t := range old {
		if t.state == taskWaiting || named[t.do.place()] {
			continue
		}
		named[t.do.place()] = true
		do, stays := wanted[t.do.place()]
		if !stays {
			do = t.do.absent()
		}
		var after []int
		if len(out) > 0 {
			after = []int{len(out) - 1}
		}
		out = append(out, Step{Do: do, Undo: do, After: after})
	}
	first := len(out)
	for _, s := range steps {
		after := make([]int, len(s.After))
		for i, a := range s.After {
			after[i] = a + first
		}
		if first > 0 && len(after) == 0 {
			after = []int{first - 1}
		}
		s.After = after
		out = append(out, s)
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
