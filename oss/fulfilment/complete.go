package fulfilment

import (
	"time"

	"tandem/fact"
	"tandem/kit/outbox"
	"tandem/kit/store"
	"tandem/kit/tmf"
	"tandem/oss/inventory"
	"tandem/oss/spec"
)

// itemRow is a row of fulfilment_item.
type itemRow struct {
	order, item, service, action, step, state string
	arrows                                    bool // tasks or items wait for one another
	graph, before                             *Graph
	external                                  fact.External
	endsIn, reason                            string
}

const (
	itemColumns = "service_order, item, service, action, step, state, arrows, graph, before, external, ends_in, reason"
	selectItem  = "SELECT " + itemColumns + " FROM fulfilment_item WHERE tenant = $1 AND "
)

func scanItem(r interface{ Scan(...any) error }) (itemRow, error) { return scanItemWith(r) }

// scanItemWith scans further columns that stand before those of the item.
func scanItemWith(r interface{ Scan(...any) error }, first ...any) (it itemRow, err error) {
	var graph, before, ext []byte
	var arrows int64
	if err = r.Scan(append(first, &it.order, &it.item, &it.service, &it.action, &it.step, &it.state, &arrows, &graph, &before, &ext, &it.endsIn, &it.reason)...); err != nil {
		return it, err
	}
	it.arrows = arrows == 1
	if graph != nil {
		it.graph = &Graph{}
		if err = tmf.Decode(graph, it.graph); err != nil {
			return it, err
		}
	}
	if before != nil {
		it.before = &Graph{}
		if err = tmf.Decode(before, it.before); err != nil {
			return it, err
		}
	}
	it.external, err = external(ext)
	return it, err
}

func loadItem(tx *store.Tx, order, item string) (itemRow, error) {
	return scanItem(tx.Row(selectItem+"service_order = $2 AND item = $3", order, item))
}

// finishItem ends an item whose last task is closed: completed, or, if it was
// being taken back, cancelled or failed.
func finishItem(tx *store.Tx, it itemRow, uses []*use) error {
	if it.state == PendingCancellation {
		return takenBack(tx, it)
	}
	return complete(tx, it, uses)
}

func completeItem(tx *store.Tx, order, item string) error {
	it, err := loadItem(tx, order, item)
	if err != nil {
		return err
	}
	return complete(tx, it, nil)
}

// complete makes the inventory say what the network has confirmed, and tells it
// in the same transaction: nobody can bill a service that is not confirmed, nor
// miss one that is.
func complete(tx *store.Tx, it itemRow, uses []*use) error {
	if uses == nil {
		inventory.Services.FetchLater(tx, it.services(), true)
		uses = takeLater(tx, it.before, it.graph)
		if err := tx.Flush(); err != nil {
			return err
		}
	}
	if err := settle(tx, it.before, it.graph, uses); err != nil {
		return err
	}
	if err := it.apply(tx); err != nil {
		return err
	}
	if !it.ofResource() {
		it.tell(tx)
	}
	return it.end(tx, Completed, "")
}

// behindBuilt is now ($6), or behind what was built before if the clock of the node
// that did was ahead: the newest is the last, whoever's clock says what. The claim on
// the service keeps others from building meanwhile.
const behindBuilt = `(SELECT CASE WHEN max(b.at) >= $6 THEN max(b.at) + 1 ELSE $6 END FROM fulfilment_item b
	WHERE b.tenant = $1 AND b.service = fulfilment_item.service AND b.state = 'completed')`

// end writes an item's final state and lets the order and the items that wait
// for it go on.
func (it itemRow) end(tx *store.Tx, state, reason string) error {
	at := "$6"
	if it.step != stepActivate {
		at = behindBuilt
	}
	tx.QueueOne("UPDATE fulfilment_item SET state = $4, reason = $5, open_tasks = 0, at = "+at+" WHERE tenant = $1 AND service_order = $2 AND item = $3",
		it.order, it.item, state, reason, store.Micros(tx.Now()))
	if it.step != stepActivate {
		tx.Queue("DELETE FROM fulfilment_claim WHERE tenant = $1 AND service = $2 AND service_order = $3", it.service, it.order)
	}
	if err := it.progress(tx, state, reason); err != nil {
		return err
	}
	switch {
	case !it.arrows:
		return nil
	case state == Completed:
		return startBehind(tx, itemDone(it.order, it.item))
	}
	return failBehind(tx, it)
}

// apply brings services and resources in the inventory to what now runs.
func (it itemRow) apply(tx *store.Tx) error {
	for i := len(partsOf(it.graph)) - 1; i >= 0; i-- { // children first: parents refer to them
		p := &it.graph.Parts[i]
		if err := it.applyPart(tx, p, it.before.same(p)); err != nil {
			return err
		}
	}
	for _, p := range partsOf(it.before) {
		if it.step == stepNothing || it.graph.same(&p) != nil {
			continue
		}
		if err := retire(tx, &p); err != nil {
			return err
		}
	}
	return nil
}

// services are the ids of the services of the item, before and after.
func (it itemRow) services() (ids []string) {
	for _, g := range []*Graph{it.graph, it.before} {
		for _, p := range partsOf(g) {
			if p.Kind == spec.Service {
				ids = append(ids, p.ID)
			}
		}
	}
	return ids
}

// applyPart writes one part that exists after the item.
func (it itemRow) applyPart(tx *store.Tx, p, was *Part) error {
	if p.Kind == spec.Resource {
		return it.applyResource(tx, p, was)
	}
	if was == nil && it.step != stepActivate {
		svc := it.graph.service(p)
		svc.State, svc.StartDate, svc.BuiltBy = ServiceActive, tx.Now(), it.order
		return inventory.Services.Create(tx, svc)
	}
	_, err := inventory.Services.Edit(tx, p.ID, func(s *inventory.Service) error {
		fresh := it.graph.service(p)
		s.ServiceCharacteristic, s.SupportingResource, s.SupportingService, s.BuiltBy = fresh.ServiceCharacteristic, fresh.SupportingResource, fresh.SupportingService, it.order
		switch it.step {
		case stepActivate:
			s.State, s.StartDate, s.ServiceDate = ServiceActive, tx.Now(), tmf.FormatTime(tx.Now())
		case stepSuspend:
			s.State, s.SuspendedSince = ServiceInactive, tx.Now()
		case stepResume:
			s.State = ServiceActive
		}
		return nil
	})
	return err
}

func (it itemRow) applyResource(tx *store.Tx, p, was *Part) error {
	fresh := p.resource()
	if was == nil {
		fresh.StartOperatingDate, fresh.BuiltBy = tx.Now(), it.order
		return inventory.Resources.Create(tx, fresh)
	}
	if sameChars(p.Chars, was.Chars) {
		return nil
	}
	_, err := inventory.Resources.Edit(tx, p.ID, func(r *inventory.Resource) error {
		r.Name, r.ResourceCharacteristic, r.BuiltBy = fresh.Name, fresh.ResourceCharacteristic, it.order
		return nil
	})
	return err
}

// retire ends a part that the network no longer has: a service stays in the
// inventory as terminated, a resource leaves it (its changes are kept).
func retire(tx *store.Tx, p *Part) error {
	if p.Kind == spec.Service {
		_, err := inventory.Services.Edit(tx, p.ID, func(s *inventory.Service) error {
			s.State, s.EndDate = ServiceTerminated, tx.Now()
			if s.EndDate.Before(s.StartDate) { // the clock of another node
				s.EndDate = s.StartDate
			}
			s.SupportingResource, s.SupportingService = nil, nil
			return nil
		})
		return err
	}
	r, err := inventory.Resources.Lock(tx, p.ID)
	if err != nil {
		return err
	}
	return inventory.Resources.Remove(tx, r)
}

// service is a service part as the inventory has it.
func (g *Graph) service(p *Part) *inventory.Service {
	s := &inventory.Service{Name: p.Spec.Name, Category: p.Category, ServiceSpecification: p.Spec.ref(spec.Service), ServiceCharacteristic: p.Chars}
	s.ID = p.ID
	if p.Path == "" {
		s.Category = "CFS"
	} else if s.Category == "" {
		s.Category = "RFS"
	}
	for i := range g.Parts {
		c := &g.Parts[i]
		if c.Path == "" || g.parent(c.Path) != p {
			continue
		}
		ref := tmf.Ref{ID: c.ID, Name: c.Spec.Name, Role: c.Role}
		if c.Kind == spec.Service {
			ref.Href, ref.ReferredType = inventory.Services.API.Base+"/service/"+c.ID, "Service"
			s.SupportingService = append(s.SupportingService, ref)
			continue
		}
		ref.Href, ref.ReferredType = inventory.Resources.API.Base+"/resource/"+c.ID, "Resource"
		s.SupportingResource = append(s.SupportingResource, ref)
	}
	return s
}

// resource is a resource part as the inventory has it.
func (p *Part) resource() *inventory.Resource {
	r := &inventory.Resource{Name: p.title(), Category: p.Category, ResourceSpecification: p.Spec.ref(spec.Resource), ResourceCharacteristic: p.Chars,
		ResourceStatus: "available", AdministrativeState: "unlocked", OperationalState: "enable", UsageState: "active"}
	r.ID = p.ID
	return r
}

// title is what a person calls the resource: its number, or its specification.
func (p *Part) title() string {
	if _, k, ok := p.onElement(); ok {
		return p.Spec.Name + " " + p.value(k.key)
	}
	name := p.Spec.Name
	_ = p.eachPooled(func(_, value string) error { name = value; return nil }) // the function never fails
	return name
}

func sameChars(a, b []tmf.Characteristic) bool {
	if len(a) != len(b) {
		return false
	}
	for _, c := range a {
		x, _ := tmf.Value(a, c.Name)
		if y, ok := tmf.Value(b, c.Name); !ok || x != y {
			return false
		}
	}
	return true
}

// tell says what the item did to its service.
func (it itemRow) tell(tx *store.Tx) {
	at := tx.Now()
	switch it.step {
	case stepActivate:
		outbox.Tell(tx, fact.ServiceActive{Service: it.service, ServiceOrder: it.order, External: it.external, At: at, Resources: it.graph.resources()})
	case stepChange:
		outbox.Tell(tx, fact.ServiceChanged{Service: it.service, ServiceOrder: it.order, External: it.external, At: at, Resources: it.graph.resources()})
	case stepSuspend:
		outbox.Tell(tx, fact.ServiceSuspended{Service: it.service, ServiceOrder: it.order, External: it.external, At: at})
	case stepResume:
		outbox.Tell(tx, fact.ServiceResumed{Service: it.service, ServiceOrder: it.order, External: it.external, At: at})
	case stepTerminate:
		outbox.Tell(tx, fact.ServiceTerminated{Service: it.service, ServiceOrder: it.order, External: it.external, At: at})
	}
}

// resources are the resources of a graph with the numbers people know them by.
func (g *Graph) resources() []fact.Resource {
	var out []fact.Resource
	for i := range g.Parts {
		p := &g.Parts[i]
		if p.Kind != spec.Resource {
			continue
		}
		value := p.title()
		if _, k, ok := p.onElement(); ok {
			value = p.value(k.key)
		}
		out = append(out, fact.Resource{ID: p.ID, Role: p.Role, Value: value})
	}
	return out
}

// ofResource says that the item belongs to a resource order (TMF652).
func (it itemRow) ofResource() bool {
	for _, g := range []*Graph{it.graph, it.before} {
		if g != nil {
			return g.Root().Kind == spec.Resource
		}
	}
	return false
}

// progress brings the order to what its items say, and tells it.
func (it itemRow) progress(tx *store.Tx, state, reason string) error {
	ofResource := it.ofResource()
	if it.step == stepNothing { // it has no graph to tell by
		var err error
		if ofResource, err = isResourceOrder(tx, it.order); err != nil {
			return err
		}
	}
	if ofResource {
		return progressResource(tx, it, state, reason)
	}
	outbox.Tell(tx, fact.ServiceOrderItemDone{ServiceOrder: it.order, Item: it.item, External: it.external, State: state, Reason: reason})
	_, err := ServiceOrders.Edit(tx, it.order, func(so *ServiceOrder) error {
		for i := range so.ServiceOrderItem {
			item := &so.ServiceOrderItem[i]
			if item.ID != it.item {
				continue
			}
			item.State = state
			if reason != "" {
				item.ErrorMessage = append(item.ErrorMessage, ErrorMessage{Code: state, Reason: reason, Timestamp: tx.Now()})
			}
		}
		so.settleState(tx.Now())
		return nil
	})
	return err
}

var final = map[string]bool{Completed: true, Failed: true, Cancelled: true, Rejected: true}

// settleState derives the order's state from its items (TMF641).
func (so *ServiceOrder) settleState(now time.Time) {
	var states []string
	for _, it := range so.ServiceOrderItem {
		states = append(states, it.State)
	}
	sum := sumStates(states)
	if sum == "" {
		return
	}
	so.State, so.CompletionDate = sum, now
	if sum == Cancelled {
		so.CancellationDate = now
	}
}

// sumStates is the state of an order whose items are in these; "" while one is open.
func sumStates(items []string) string {
	count := map[string]int{}
	for _, s := range items {
		if !final[s] {
			return ""
		}
		count[s]++
	}
	switch {
	case count[Completed] == len(items):
		return Completed
	case count[Cancelled] == len(items):
		return Cancelled
	case count[Completed] == 0:
		return Failed
	}
	return Partial
}
