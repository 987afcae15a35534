package fulfilment

import (
	"fmt"
	"slices"
	"time"

	"tandem/fact"
	"tandem/kit/fault"
	"tandem/kit/store"
	"tandem/kit/tmf"
	"tandem/kit/work"
	"tandem/oss/inventory"
	"tandem/oss/spec"
)

const maxItems = 1000 // items of one service order

// What an item does to its service, finer than the TMF action.
const (
	stepActivate  = "activate"
	stepChange    = "change"
	stepSuspend   = "suspend"
	stepResume    = "resume"
	stepTerminate = "terminate"
	stepNothing   = "nothing"
)

// suspended is the characteristic by which a specification says what suspension
// means: its mappings turn it into attributes of the element.
const suspended = "suspended"

// planned is an item with its plan.
type planned struct {
	n       int
	item    *ServiceOrderItem
	step    string
	service string
	before  *Graph // nil for a new service
	target  *Graph // nil when the service goes
	steps   []Step
	tasks   []string // ids, one a step
	after   []int    // items that must be done first
}

// Begin takes a service order on: it decomposes every item into a target graph,
// reserves what comes from pools, plans the steps on the elements, and writes
// all of it, in the caller's transaction. Nothing is sent before that
// transaction is durable. On return each item's service has its id.
func Begin(tx *store.Tx, so *ServiceOrder) error {
	// The server dates an order, whatever the one who orders says.
	so.OrderDate, so.StartDate, so.ExpectedCompletionDate = tx.Now(), time.Time{}, time.Time{}
	so.CompletionDate, so.CancellationDate = time.Time{}, time.Time{}
	items, err := order(so)
	if err != nil {
		return err
	}
	if so.ID == "" {
		so.ID = tmf.NewID()
	}
	for _, it := range items {
		if err := it.plan(tx, so); err != nil {
			return fault.At(fmt.Sprintf("serviceOrderItem %s", it.item.ID), err)
		}
	}
	so.State = Acknowledged
	if !so.RequestedStartDate.After(tx.Now()) {
		so.State, so.StartDate = InProgress, tx.Now()
	}
	for _, it := range items {
		it.item.State = so.State
	}
	if err := ServiceOrders.Create(tx, so); err != nil {
		return err
	}
	if err := storeItems(tx, so, items); err != nil {
		return err
	}
	return watchDate(tx, so)
}

// storeItems writes planned items; those of an order that begins now and that
// have nothing to do are complete at once.
func storeItems(tx *store.Tx, so *ServiceOrder, items []*planned) error {
	for _, it := range items {
		if err := it.store(tx, so, items); err != nil {
			return err
		}
	}
	idle := slices.ContainsFunc(items, func(p *planned) bool { return len(p.steps) == 0 && len(p.after) == 0 })
	if so.State == Acknowledged || !idle {
		return nil // its day has not come, or there is something to do for each
	}
	return completeIdle(tx, so.ID)
}

// completeIdle completes the items of an order that are under way with nothing to
// do on any element, and nothing to wait for.
func completeIdle(tx *store.Tx, order string) error {
	rows, err := tx.Query("SELECT item FROM fulfilment_item WHERE tenant = $1 AND service_order = $2 AND state = 'inProgress' AND open_tasks = 0 ORDER BY n", order)
	items, err := store.Collect(rows, err, store.Text)
	for _, it := range items {
		if err == nil {
			err = completeItem(tx, order, it)
		}
	}
	return err
}

// order checks the items and sorts out who waits for whom.
func order(so *ServiceOrder) ([]*planned, error) {
	if len(so.ServiceOrderItem) > maxItems {
		return nil, fault.BadInput("tooManyItems", "A service order has at most %d items", maxItems)
	}
	var items []*planned
	byID := map[string]int{}
	for i := range so.ServiceOrderItem {
		it := &so.ServiceOrderItem[i]
		if _, twice := byID[it.ID]; twice {
			return nil, fault.BadInput("duplicateItem", "Two items have the id %q", it.ID)
		}
		if it.Quantity != nil && *it.Quantity != 1 {
			return nil, fault.BadInput("badQuantity", "quantity of item %q must be 1: each service or resource has an item of its own", it.ID)
		}
		if len(it.ServiceOrderItem) > 0 {
			return nil, fault.BadInput("nestedItems", "Item %q contains items; relate items by serviceOrderItemRelationship instead", it.ID)
		}
		byID[it.ID] = i
		items = append(items, &planned{n: i, item: it})
	}
	for _, p := range items {
		for _, r := range p.item.Relationship {
			if r.OrderItem == nil || r.OrderItem.ServiceOrderID != "" && r.OrderItem.ServiceOrderID != so.ID {
				continue
			}
			n, ok := byID[r.OrderItem.ItemID]
			if !ok {
				return nil, fault.BadInput("unknownItem", "Item %q relates to item %q, which the order does not have", p.item.ID, r.OrderItem.ItemID)
			}
			if !slices.Contains(p.after, n) {
				p.after = append(p.after, n)
			}
		}
	}
	return items, acyclic(items)
}

// acyclic refuses items that wait for one another in a circle.
func acyclic(items []*planned) error {
	const visiting, done = 1, 2
	state := make([]int, len(items))
	var visit func(int) error
	visit = func(n int) error {
		if state[n] == visiting {
			return fault.BadInput("cyclicItems", "Item %q waits for itself through its relationships", items[n].item.ID)
		}
		if state[n] == done {
			return nil
		}
		state[n] = visiting
		for _, a := range items[n].after {
			if err := visit(a); err != nil {
				return err
			}
		}
		state[n] = done
		return nil
	}
	for n := range items {
		if err := visit(n); err != nil {
			return err
		}
	}
	return nil
}

// plan decides what the item wants, reserves it, and finds the steps.
func (p *planned) plan(tx *store.Tx, so *ServiceOrder) error {
	switch p.item.Action {
	case NoChange:
		p.step, p.service = stepNothing, p.item.Service.ID
		return nil
	case Add:
		return p.planAdd(tx, so)
	}
	return p.planExisting(tx, so)
}

func (p *planned) planAdd(tx *store.Tx, so *ServiceOrder) error {
	s := p.item.Service
	if s.ID != "" {
		return fault.BadInput("serviceExists", "An item with action add describes a new service; it cannot name service %q", s.ID)
	}
	if s.Specification == nil || s.Specification.ID == "" {
		return fault.BadInput("mandatoryAttributeMissing", "service.serviceSpecification.id is required to add a service")
	}
	if v, _ := tmf.Value(s.Characteristic, suspended); v == "true" {
		return errSuspended
	}
	p.step = stepActivate
	target, err := expand(tx, s.Specification.ID, s, Add, nil)
	if err != nil {
		return err
	}
	p.target, p.service = target, target.Root().ID
	draw := so.draw(s)
	if err := draw.Check(tx); err != nil {
		return err
	}
	if err := assign(tx, target, draw, so.RequestedStartDate); err != nil {
		return err
	}
	p.steps = diff(nil, target)
	p.describe()
	return p.createServices(tx, so)
}

// expand turns a specification and characteristics into a target graph.
func expand(tx *store.Tx, specID string, s *Service, action string, current *Graph) (*Graph, error) {
	tree, err := spec.Load(tx, specID)
	if err != nil {
		return nil, err
	}
	node, err := tree.Expand(s.Characteristic, action, s.Place...)
	if err != nil {
		return nil, err
	}
	return graphOf(node, current, tmf.NewID), nil
}

func (p *planned) planExisting(tx *store.Tx, so *ServiceOrder) error {
	s := p.item.Service
	if s.ID == "" {
		return fault.BadInput("mandatoryAttributeMissing", "service.id is required to %s a service", p.item.Action)
	}
	if err := p.claim(tx, so.ID, s.ID); err != nil {
		return err
	}
	svc, err := inventory.Services.Get(tx, s.ID)
	if err != nil {
		return err
	}
	if svc.State == ServiceTerminated {
		return fault.Clash("serviceTerminated", "Service %q is terminated", s.ID)
	}
	if p.before, err = asBuilt(tx, s.ID); err != nil {
		return err
	}
	if p.item.Action == Delete {
		p.step, p.steps = stepTerminate, diff(p.before, nil)
		p.describe()
		return nil
	}
	if p.step, err = p.modification(svc.State); err != nil {
		return err
	}
	want := *s
	want.Characteristic = p.before.Root().Chars
	if v, said := tmf.Value(s.Characteristic, suspended); p.step == stepChange && said && (v == "true") != (p.before.Root().value(suspended) == "true") {
		return errSuspended
	}
	for _, c := range s.Characteristic {
		want.Characteristic = tmf.With(want.Characteristic, c)
	}
	if p.target, err = expand(tx, p.before.Root().Spec.ID, &want, Modify, p.before); err != nil {
		return err
	}
	draw := so.draw(s)
	if err := draw.Check(tx); err != nil {
		return err
	}
	if err := assign(tx, p.target, draw, so.RequestedStartDate, p.before); err != nil {
		return err
	}
	p.steps = diff(p.before, p.target)
	p.describe()
	return nil
}

// errSuspended refuses to bar a service behind the back of those who bill it.
var errSuspended = fault.BadInput("notSettable", "The characteristic suspended follows the state of the service: ask for service.state inactive or active")

// claim makes the item's order the only one that works on the service. It comes
// before anything of the service is read: what is read then stays true.
func (p *planned) claim(tx *store.Tx, order, service string) error {
	p.service = service
	_, err := tx.Exec("INSERT INTO fulfilment_claim (tenant, service, service_order) VALUES ($1, $2, $3)", service, order)
	if store.IsUnique(err, "fulfilment_claim") {
		return fault.Clash("serviceBusy", "Another order or item is at work on %q; wait for it or cancel it", service)
	}
	return err
}

// modification says what a modify means: service.state inactive suspends, active
// resumes, anything else changes characteristics.
func (p *planned) modification(state string) (string, error) {
	s := p.item.Service
	set := func(v string) {
		s.Characteristic = tmf.With(s.Characteristic, tmf.Characteristic{Name: suspended, ValueType: "boolean", Value: []byte(v)})
	}
	switch {
	case s.State == ServiceInactive && state == ServiceActive:
		set("true")
		return stepSuspend, nil
	case s.State == ServiceActive && state == ServiceInactive:
		set("false")
		return stepResume, nil
	case s.State != "" && s.State != state:
		return "", fault.Clash("illegalMove", "A service in state %q cannot be asked to become %q", state, s.State)
	case state != ServiceActive && state != ServiceInactive:
		return "", fault.Clash("notActive", "Service %q is %s; only a service in the network can be modified", s.ID, state)
	}
	return stepChange, nil
}

// describe completes the item's service as the order shows it.
func (p *planned) describe() {
	g := p.target
	if g == nil {
		g = p.before
	}
	s, root := p.item.Service, g.Root()
	s.ID, s.Href = p.service, inventory.Services.API.Base+"/service/"+p.service
	s.Specification = root.Spec.ref("service")
	if p.target != nil {
		s.Characteristic = root.Chars
	}
}

// createServices puts the new services of the graph into the inventory as
// reserved. Resources enter it when the network has confirmed them.
func (p *planned) createServices(tx *store.Tx, so *ServiceOrder) error {
	for i := len(p.target.Parts) - 1; i >= 0; i-- { // children first: parents refer to them
		part := &p.target.Parts[i]
		if part.Kind != spec.Service {
			continue
		}
		svc := p.target.service(part)
		svc.State, svc.SupportingResource = ServiceReserved, nil
		svc.RelatedParty, svc.BuiltBy = so.RelatedParty, so.ID
		svc.ServiceOrderItem = []inventory.RelatedServiceOrderItem{{ServiceOrderID: so.ID, ItemID: p.item.ID, ItemAction: p.item.Action, Role: "origin"}}
		if err := inventory.Services.Create(tx, svc); err != nil {
			return err
		}
	}
	return nil
}

// store writes the item and its tasks.
func (p *planned) store(tx *store.Tx, so *ServiceOrder, items []*planned) error {
	graph, err := encodeGraph(p.target)
	if err != nil {
		return err
	}
	before, err := encodeGraph(p.before)
	if err != nil {
		return err
	}
	var external any
	if p.item.External != nil {
		if external, err = text(p.item.External); err != nil {
			return err
		}
	}
	waits := len(p.after)
	tx.Insert("INSERT INTO fulfilment_item (tenant, service_order, item, n, service, action, step, state, open_tasks, arrows, graph, before, external, ends_in, reason, at)",
		so.ID, p.item.ID, p.n, p.service, p.item.Action, p.step, itemState(so.State), len(p.steps)+gate(waits), p.arrows(items), graph, before, external, "", "", store.Micros(tx.Now()))
	return p.storeTasks(tx, so, items)
}

// itemState is the row's state: what the order shows as acknowledged is pending.
func itemState(orderState string) string {
	if orderState == Acknowledged {
		return Pending
	}
	return orderState
}

// arrows is 1 if any task of the item waits for another or is waited for: if not,
// nobody needs to look for arrows when a task is done.
func (p *planned) arrows(items []*planned) int {
	if len(p.steps) > 1 || len(p.after) > 0 {
		return 1
	}
	for _, o := range items {
		if slices.Contains(o.after, p.n) {
			return 1
		}
	}
	return 0
}

// gate counts the one extra open task of an item that waits for others: it is
// closed when the last of them is done.
func gate(waits int) int {
	if waits > 0 {
		return 1
	}
	return 0
}

// storeTasks writes the tasks with their arrows and starts those that wait for
// nothing. An item that waits for others has a gate before its first tasks.
func (p *planned) storeTasks(tx *store.Tx, so *ServiceOrder, items []*planned) error {
	gateID := ""
	if len(p.after) > 0 {
		gateID = gateOf(so.ID, p.item.ID)
		if err := insertTask(tx, so, p, gateID, -1, Intent{}, Intent{}, len(p.after)); err != nil {
			return err
		}
		for _, a := range p.after {
			arrow(tx, itemDone(so.ID, items[a].item.ID), gateID)
		}
	}
	for n, s := range p.steps {
		id := tmf.NewID()
		p.tasks = append(p.tasks, id)
		waits := len(s.After)
		for _, a := range s.After {
			arrow(tx, p.tasks[a], id)
		}
		if gateID != "" && waits == 0 {
			arrow(tx, gateID, id)
			waits = 1
		}
		if err := insertTask(tx, so, p, id, n, s.Do, s.Undo, waits); err != nil {
			return err
		}
	}
	return nil
}

// gateOf and itemDone are the ends of the arrows between items.
func gateOf(order, item string) string   { return "gate:" + order + ":" + item }
func itemDone(order, item string) string { return "item:" + order + ":" + item }

func arrow(tx *store.Tx, before, after string) {
	tx.Queue("INSERT INTO fulfilment_arrow (tenant, before, after) VALUES ($1, $2, $3) ON CONFLICT (tenant, before, after) DO NOTHING", before, after)
}

func insertTask(tx *store.Tx, so *ServiceOrder, p *planned, id string, n int, do, undo Intent, waits int) error {
	desired, err := text(do)
	if err != nil {
		return err
	}
	back, err := text(undo)
	if err != nil {
		return err
	}
	state, resource := taskWaiting, ""
	if n >= 0 {
		resource = p.steps[n].Resource
	}
	if waits == 0 {
		state = taskReady
	}
	tx.Insert("INSERT INTO fulfilment_task (tenant, id, service_order, item, n, element, resource, desired, undo, undoing, waits_for, state, attempt, class, cause, evidence, at)",
		id, so.ID, p.item.ID, n, do.Element, resource, desired, back, 0, waits, state, 0, "", "", "", store.Micros(tx.Now()))
	if waits > 0 {
		return nil
	}
	return work.Enqueue(tx, taskJob, id, nil, startAt(tx, so.RequestedStartDate))
}

func startAt(tx *store.Tx, requested time.Time) time.Time {
	if requested.After(tx.Now()) {
		return requested
	}
	return tx.Now()
}

func text(v any) (string, error) {
	b, err := tmf.Encode(v)
	return string(b), err
}

// encodeGraph is a graph as its column holds it; nil for none.
func encodeGraph(g *Graph) (any, error) {
	if g == nil {
		return nil, nil
	}
	return text(g)
}

// asBuilt is the graph of a service as the network has it.
func asBuilt(tx *store.Tx, service string) (*Graph, error) {
	var doc []byte
	err := tx.Row(`SELECT graph FROM fulfilment_item WHERE tenant = $1 AND service = $2 AND state = 'completed' AND step <> 'nothing'
		ORDER BY at DESC, service_order DESC LIMIT 1`, service).Scan(&doc)
	if err == store.ErrNotFound {
		return nil, fault.Clash("notBuilt", "%q was not made by an order of its own, so an order cannot change it", service)
	}
	if err != nil || doc == nil {
		return nil, err
	}
	g := &Graph{}
	return g, tmf.Decode(doc, g)
}

// external is what the one who ordered calls the item.
func external(doc []byte) (e fact.External, err error) {
	if doc != nil {
		err = tmf.Decode(doc, &e)
	}
	return e, err
}

// SpecificationOf is the specification that a service was built after.
func SpecificationOf(tx *store.Tx, service string) (string, error) {
	g, err := asBuilt(tx, service)
	if err != nil {
		return "", err
	}
	if g == nil {
		return "", fault.Clash("serviceTerminated", "Service %q is terminated", service)
	}
	return g.Root().Spec.ID, nil
}
