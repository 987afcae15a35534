package tmf

import (
	"context"
	"reflect"

	"tandem/kit/store"
)

// Meta is what a kind tells about itself, for routes, OpenAPI, console and hub.
type Meta struct {
	API       *API
	Name      string
	Class     string
	Table     string
	Verbs     Verbs
	StateAttr string
	Moves     Moves
	Events    EventNames
	Type      reflect.Type
	Rows      bool // it is served from rows of its room: it has no history
	plan      *plan
}

// promoted names the attributes that have a column, by that, and those of lists that
// are kept in tmf_multi, as "multi:" and their path.
func (m Meta) promoted() []string {
	out := []string{}
	for _, c := range m.plan.columns {
		out = append(out, c.name)
	}
	for _, c := range m.plan.multi {
		out = append(out, "multi:"+c.attr.path)
	}
	return out
}

// Mounted is a kind of any resource type.
type Mounted interface {
	Meta() Meta
	backfill(context.Context, *store.DB) error
	// The verbs of the API on documents; see serve.go.
	getDoc(tx *store.Tx, id string) (document, error)
	listDocs(tx *store.Tx, q *Query) (page, error)
	post(tx *store.Tx, body []byte) (document, error)
	act(ctx context.Context, db *store.DB, s store.Scope, body []byte) (d document, done bool, err error)
	patch(tx *store.Tx, id string, p patchRequest) (document, error)
	remove(tx *store.Tx, id string, match string) error
	present(doc []byte) ([]byte, error)
}

// Meta describes the kind.
func (k *Kind[T, P]) Meta() Meta {
	return Meta{API: k.API, Name: k.Name, Class: k.class(), Table: k.Table, Verbs: k.Verbs, StateAttr: k.StateAttr,
		Moves: k.Moves, Events: k.Events, Type: reflect.TypeFor[T](), Rows: k.Rows != nil, plan: k.ready()}
}

func (k *Kind[T, P]) class() string {
	k.ready()
	return k.Class
}

// document is a resource as it goes over the wire.
type document struct {
	id      string
	rev     int64
	updated int64
	body    []byte
}

// page is one page of a list.
type page struct {
	docs  []document
	total int64
}
