package tmf

import (
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"

	"tandem/kit/money"
)

type object = map[string]any

// openAPI describes an API from the types of its kinds (OpenAPI 3.0.3), so that
// the document cannot drift from what is served.
func openAPI(a *mountedAPI) []byte {
	doc := &describer{schemas: object{}}
	paths := object{}
	for _, k := range a.order {
		m := k.Meta()
		ref := doc.schema(m.Type, m.Class)
		paths["/"+m.Name] = collectionPath(m, ref)
		paths["/"+m.Name+"/{id}"] = itemPath(m, ref)
		paths["/"+m.Name+"/{id}/history"] = historyPath(m, ref)
	}
	hub := doc.schema(reflect.TypeFor[hubBody](), "EventSubscription")
	hubPaths(paths, a.Name, hub, doc.schema(reflect.TypeFor[deadLetter](), "DeadLetter"))
	doc.schemas["Error"] = object{"type": "object", "required": []string{"code", "reason"}, "properties": object{
		"code": text, "reason": text, "message": text, "status": text, "@type": text}}
	out, err := json.Marshal(object{
		"openapi":    "3.0.3",
		"info":       object{"title": a.ID + " " + a.Name, "version": a.Version},
		"servers":    []any{object{"url": a.Base}},
		"paths":      paths,
		"components": object{"schemas": doc.schemas, "securitySchemes": object{"bearer": object{"type": "http", "scheme": "bearer"}}},
		"security":   []any{object{"bearer": []string{}}},
	}, json.Deterministic(true))
	if err != nil {
		panic(err) // the document is made of plain maps
	}
	return out
}

// hubPaths are the subscriptions of an API, and what could not be delivered to them.
func hubPaths(paths object, api string, hub, dead object) {
	list := func(of object) object { return object{"type": "array", "items": of} }
	seq := object{"name": "seq", "in": "path", "required": true, "schema": object{"type": "integer"}}
	paths["/hub"] = object{"get": operation("List subscriptions", "listListeners", api, nil, "200", list(hub)),
		"post": operation("Subscribe to events", "registerListener", api, hub, "201", hub)}
	paths["/hub/{id}"] = object{"parameters": []any{idParameter}, "get": operation("Read a subscription", "retrieveListener", api, nil, "200", hub),
		"delete": operation("Unsubscribe", "unregisterListener", api, nil, "204", nil)}
	paths["/hub/{id}/deadLetter"] = object{"parameters": []any{idParameter},
		"get": operation("List what could not be delivered", "listDeadLetters", api, nil, "200", list(dead))}
	paths["/hub/{id}/deadLetter/{seq}/redeliver"] = object{"parameters": []any{idParameter, seq},
		"post": operation("Deliver a dead letter again", "redeliverDeadLetter", api, nil, "204", nil)}
}

var (
	text        = object{"type": "string"}
	idParameter = object{"name": "id", "in": "path", "required": true, "schema": text}
)

func collectionPath(m Meta, ref object) object {
	list := operation("List "+m.Name, "list"+m.Class, m.API.Name, nil, "200", object{"type": "array", "items": ref})
	params := []any{}
	for _, p := range []struct{ name, kind, say string }{
		{"fields", "string", "first-level attributes to return, besides id and href; none for those two only"},
		{"offset", "integer", "resources to pass over"}, {"limit", "integer", "resources to return at most"},
		{"sort", "string", "attributes to sort by, a minus before one for descending"}} {
		params = append(params, object{"name": p.name, "in": "query", "description": p.say, "schema": object{"type": p.kind}})
	}
	for _, c := range m.plan.columns {
		params = append(params, object{"name": c.attr.path, "in": "query", "description": "indexed filter", "schema": text})
	}
	list["parameters"] = params
	out := object{"get": list}
	if m.Verbs&Post != 0 {
		out["post"] = operation("Create a "+m.Name, "create"+m.Class, m.API.Name, ref, "201", ref)
	}
	return out
}

func itemPath(m Meta, ref object) object {
	out := object{"parameters": []any{idParameter}, "get": operation("Read a "+m.Name, "retrieve"+m.Class, m.API.Name, nil, "200", ref)}
	if m.Verbs&Patch != 0 {
		op := operation("Change a "+m.Name, "patch"+m.Class, m.API.Name, nil, "200", ref)
		ops := object{"schema": object{"type": "array", "items": object{"type": "object"}}}
		op["requestBody"] = object{"required": true, "content": object{"application/merge-patch+json": object{"schema": object{"type": "object"}}, "application/json-patch+json": ops}}
		out["patch"] = op
	}
	if m.Verbs&Delete != 0 {
		out["delete"] = operation("Delete a "+m.Name, "delete"+m.Class, m.API.Name, nil, "204", nil)
	}
	return out
}

func historyPath(m Meta, ref object) object {
	entry := object{"type": "object", "required": []string{"at", "actor", "op", "rev"}, "properties": object{
		"at": object{"type": "string", "format": "date-time"}, "actor": text, "rev": object{"type": "integer"},
		"op": object{"type": "string", "enum": []string{opCreate, opChange, opState, opDelete}}, "before": ref, "after": ref}}
	return object{"parameters": []any{idParameter},
		"get": operation("Who changed a "+m.Name+", oldest first", "history"+m.Class, m.API.Name, nil, "200", object{"type": "array", "items": entry})}
}

func operation(summary, id, tag string, in object, status string, out object) object {
	answer := object{"description": "done"}
	if out != nil {
		answer["content"] = object{"application/json": object{"schema": out}}
	}
	failed := object{"description": "refused", "content": object{"application/json": object{"schema": object{"$ref": "#/components/schemas/Error"}}}}
	op := object{"summary": summary, "operationId": id, "tags": []string{tag}, "responses": object{status: answer, "default": failed}}
	if in != nil {
		op["requestBody"] = object{"required": true, "content": object{"application/json": object{"schema": in}}}
	}
	return op
}

// describer collects the schemas of the types it meets.
type describer struct {
	schemas object
	names   map[reflect.Type]string
}

func (d *describer) schema(t reflect.Type, name string) object {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case isList(t):
		return object{"type": "array", "items": d.schema(t.Elem(), "")}
	case t == timeType:
		return object{"type": "string", "format": "date-time"}
	case t == valueType:
		return object{}
	case t == reflect.TypeFor[money.Rate](), t == reflect.TypeFor[money.Amount]():
		return object{"type": "object", "properties": object{"unit": text, "value": object{"type": "number"}}}
	case t.Kind() == reflect.Bool:
		return object{"type": "boolean"}
	case t.Kind() >= reflect.Int && t.Kind() <= reflect.Uint64:
		return object{"type": "integer"}
	case t.Kind() != reflect.Struct:
		return text
	}
	if name == "" {
		name = t.Name()
	}
	if d.names == nil {
		d.names = map[reflect.Type]string{}
	}
	if known, ok := d.names[t]; ok {
		return object{"$ref": "#/components/schemas/" + known}
	}
	d.names[t] = name
	props, required := object{}, []string{}
	d.schemas[name] = object{"type": "object"} // stops recursion
	for _, attr := range slices.Sorted(maps.Keys(fieldsOf(t))) {
		f := fieldsOf(t)[attr]
		p := d.schema(f.Type, "")
		for _, part := range strings.Split(f.Tag.Get("tmf"), ",") {
			if part == "required" {
				required = append(required, attr)
			}
			if list, ok := strings.CutPrefix(part, "enum="); ok {
				p = object{"type": "string", "enum": strings.Split(list, "|")}
			}
		}
		props[attr] = p
	}
	s := object{"type": "object", "properties": props}
	if len(required) > 0 {
		s["required"] = required
	}
	d.schemas[name] = s
	return object{"$ref": "#/components/schemas/" + name}
}
