package tmf

import (
	"cmp"
	"context"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"tandem/kit/store"
)

// event is a change record read as a TMF event.
type event struct {
	seq      int64
	tenant   string
	kind     string
	resource string
	rev      int64
	op       string
	at       time.Time
	payload  []byte // the resource as it was after the change; before it for a delete
	meta     Meta
}

// eventType is, for instance, ProductOrderStateChangeEvent.
func (e event) eventType() string {
	return e.meta.Class + map[string]string{opCreate: "CreateEvent", opDelete: "DeleteEvent",
		opChange: cmp.Or(e.meta.Events.Change, "AttributeValueChangeEvent"),
		opState:  cmp.Or(e.meta.Events.State, "StateChangeEvent")}[e.op]
}

// id is the same at each delivery of the event, so that a subscriber can tell
// what it has had already.
func (e event) id() string { return fmt.Sprintf("%s-%s-%d", e.kind, e.resource, e.rev) }

type eventBody struct {
	EventID   string                    `json:"eventId"`
	EventTime time.Time                 `json:"eventTime"`
	EventType string                    `json:"eventType"`
	Domain    string                    `json:"domain"`
	Title     string                    `json:"title"`
	Event     map[string]jsontext.Value `json:"event"`
}

func (e event) body(q *Query) ([]byte, error) {
	payload := e.payload
	if q.Fields != nil {
		var err error
		if payload, err = pick(payload, e.payloadFields(q)); err != nil {
			return nil, err
		}
	}
	return encode(eventBody{EventID: e.id(), EventTime: e.at, EventType: e.eventType(), Domain: e.meta.API.Name,
		Title: e.meta.Class + " " + e.resource, Event: map[string]jsontext.Value{e.kind: payload}})
}

// payloadFields are the fields asked for as event.<resource>.<attribute>.
func (e event) payloadFields(q *Query) []string {
	out := []string{}
	for _, f := range q.paths {
		if rest, ok := strings.CutPrefix(f, "event."+e.kind+"."); ok {
			first, _, _ := strings.Cut(rest, ".")
			out = append(out, first)
		}
	}
	return out
}

// wanted applies the subscription's query: eventType=... and
// event.<resource>.<attribute>=... (point 32).
func (e event) wanted(q *Query) bool {
	res := reflect.New(e.meta.Type)
	if err := json.Unmarshal(e.payload, res.Interface()); err != nil {
		return false
	}
	for i := range q.Conds {
		c := &q.Conds[i]
		if c.Path == "eventType" {
			if c.holds(reflect.ValueOf(e.eventType())) == (c.Op == "ne") {
				return false
			}
			continue
		}
		name, _, _ := strings.Cut(strings.TrimPrefix(c.Path, "event."), ".")
		if name != e.kind || !c.matches(res) {
			return false
		}
	}
	return true
}

// resolver finds the attributes a subscription to an API may name.
func (h *Hub) resolver(api string) func(string) *attribute {
	return func(path string) *attribute {
		if path == "eventType" {
			return &attribute{path: path}
		}
		rest, ok := strings.CutPrefix(path, "event.")
		if !ok {
			return nil
		}
		name, attr, _ := strings.Cut(rest, ".")
		for _, k := range h.byAPI[api] {
			if m := k.Meta(); m.Name == name {
				return m.plan.attribute(attr)
			}
		}
		return nil
	}
}

// read turns the tenant's changes in (cursor, upto] into events.
func (h *Hub) read(ctx context.Context, s subscription, upto int64) (out []event, err error) {
	err = h.db.Read(ctx, h.scope(s), func(tx *store.Tx) error {
		type row struct {
			event
			before []byte
		}
		rows, err := tx.Query(`SELECT seq, kind, id, rev, op, at, before FROM tmf_change
			WHERE tenant = $1 AND api = $2 AND seq > $3 AND seq <= $4 ORDER BY seq`, s.api, s.cursor, upto)
		changes, err := store.Collect(rows, err, func(r store.Rows) (x row, err error) {
			var at int64
			err = r.Scan(&x.seq, &x.kind, &x.resource, &x.rev, &x.op, &at, &x.before)
			x.at = store.Instant(at)
			return x, err
		})
		if err != nil {
			return err
		}
		out = out[:0]
		for _, c := range changes {
			k := h.kinds[s.api+"/"+c.kind]
			if k == nil {
				continue // a kind this version no longer serves
			}
			c.meta, c.tenant = k.Meta(), s.tenant
			if c.payload = c.before; c.op != opDelete {
				if c.payload, err = after(tx, c.meta, c.resource, c.seq); err != nil {
					return err
				}
			}
			if c.payload, err = k.present(c.payload); err != nil {
				return err
			}
			out = append(out, c.event)
		}
		return nil
	})
	return out, err
}

// after is the document that a change, one that is no deletion, left behind: the
// next change's before, or the document as it stands.
func after(tx *store.Tx, m Meta, id string, seq int64) (doc []byte, err error) {
	const next = `SELECT before FROM tmf_change WHERE tenant = $1 AND id = $2 AND kind = $3 AND api = $4 AND seq > $5 ORDER BY seq LIMIT 1`
	err = tx.Row(next, id, m.Name, m.API.ID, seq).Scan(&doc)
	if err == store.ErrNotFound {
		err = tx.Row("SELECT doc FROM "+m.Table+" WHERE tenant = $1 AND id = $2", id).Scan(&doc)
	}
	if err == store.ErrNotFound {
		// Deleted between the two reads: the delete's record now has the document.
		err = tx.Row(next, id, m.Name, m.API.ID, seq).Scan(&doc)
	}
	return doc, err
}

// present applies the Kind's View to a document.
func (k *Kind[T, P]) present(doc []byte) ([]byte, error) {
	if k.View == nil {
		return doc, nil
	}
	p, err := k.decodeStored(doc, 1)
	if err != nil {
		return nil, err
	}
	d, err := k.shown(p)
	return d.body, err
}
