package transfer

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"tandem/kit/fault"
	"tandem/kit/store"
	"tandem/kit/tmf"
)

// Content is a kind that is transferred; see [Of].
type Content interface {
	name() string
	takes(class, base string) bool
	load(tx *store.Tx, doc jsontext.Value, may Rights) error
	dump(ctx context.Context, db *store.DB, s store.Scope, where tmf.Where, emit func(any) error) error
	probe(tx *store.Tx, where tmf.Where) error
}

// Of makes a kind one that is transferred. Subclasses are the classes that are
// known to extend that of the kind; others say so by @baseType.
func Of[T any, P tmf.Pointer[T]](k *tmf.Kind[T, P], subclasses ...string) Content {
	return content[T, P]{k, subclasses}
}

type content[T any, P tmf.Pointer[T]] struct {
	kind       *tmf.Kind[T, P]
	subclasses []string
}

func (c content[T, P]) name() string { return c.kind.Name }

// takes reports whether a resource of the class, with the base class it names
// ("" if none), is one of the kind.
func (c content[T, P]) takes(class, base string) bool {
	own := c.kind.Meta().Class
	return class == own || base == own || slices.Contains(c.subclasses, class) || slices.Contains(c.subclasses, base)
}

// probe refuses a filter on attributes the kind does not have.
func (c content[T, P]) probe(tx *store.Tx, where tmf.Where) error {
	if len(where) == 0 {
		return nil
	}
	_, err := c.kind.Select(tx, where, tmf.Page{Limit: 1})
	if err != nil && fault.Of(err).Kind == fault.Internal {
		return fault.BadInput("invalidQuery", "query: %s has no such attribute to filter by", c.kind.Name)
	}
	return err
}

const pageSize = 500

func (c content[T, P]) dump(ctx context.Context, db *store.DB, s store.Scope, where tmf.Where, emit func(any) error) error {
	if len(where) == 0 {
		return c.kind.Each(ctx, db, s, func(p P) error { return emit(p) })
	}
	for offset := 0; ; offset += pageSize {
		var page []P
		err := db.Read(ctx, s, func(tx *store.Tx) (err error) {
			page, err = c.kind.Select(tx, where, tmf.Page{Sort: "id", Offset: offset, Limit: pageSize})
			return err
		})
		if err != nil || len(page) == 0 {
			return err
		}
		for _, p := range page {
			if err := emit(p); err != nil {
				return err
			}
		}
	}
}

// load creates the resource, or replaces the one with its id. Where the state it
// has cannot be reached at once, it is reached step by step; where it says none,
// what exists keeps its own.
func (c content[T, P]) load(tx *store.Tx, doc jsontext.Value, may Rights) error {
	p, err := c.read(doc)
	if err != nil {
		return err
	}
	var old P
	if id := p.Base().ID; id != "" {
		if old, err = c.kind.Lock(tx, id); err != nil && !fault.Is(err, fault.NotFound) {
			return err
		}
	}
	verb := tmf.VerbCreate
	if old != nil {
		verb = tmf.VerbUpdate
	}
	if err := may.must(c.kind.API.ID, c.name(), verb); err != nil {
		return err
	}
	way, err := c.way(old, p)
	if err != nil {
		return err
	}
	if len(way) == 0 {
		return c.save(tx, old, p)
	}
	for _, state := range way {
		step, err := withAttr(doc, c.kind.StateAttr, state)
		if err != nil {
			return err
		}
		if p, err = c.read(step); err != nil {
			return err
		}
		if err := c.save(tx, old, p); err != nil {
			return err
		}
		old = p
	}
	return nil
}

func (c content[T, P]) save(tx *store.Tx, old, p P) error {
	if old == nil {
		return c.kind.Create(tx, p)
	}
	p.Base().Href = old.Base().Href
	if p.Base().Type == "" {
		p.Base().Type = old.Base().Type
	}
	return c.kind.Save(tx, old, p)
}

func (c content[T, P]) read(doc jsontext.Value) (P, error) {
	p := P(new(T))
	if err := tmf.Decode(doc, p); err != nil {
		return nil, unreadable(err)
	}
	return p, nil
}

func unreadable(err error) error {
	var sem *json.SemanticError
	if errors.As(err, &sem) && sem.JSONPointer != "" {
		return fault.BadInput("wrongType", "%s has a value of the wrong type", sem.JSONPointer)
	}
	return fault.BadInput("malformedJSON", "The resource is not readable")
}

// way is the states to pass through, the wanted one last; nil if the machine has
// nothing to say or there is no way, which the save then says better.
func (c content[T, P]) way(old, p P) ([]string, error) {
	m := c.kind.Meta()
	if m.StateAttr == "" || m.Moves == nil {
		return nil, nil
	}
	want, err := attr(p, m.StateAttr)
	if err != nil || old == nil {
		if want == "" {
			return nil, err
		}
		return shortest(m.Moves, "", want), err
	}
	from, err := attr(old, m.StateAttr)
	if want == "" || want == from {
		return []string{from}, err
	}
	return shortest(m.Moves, from, want), err
}

// shortest is the shortest way through the moves, without the state it begins in.
func shortest(moves tmf.Moves, from, to string) []string {
	ways := [][]string{{from}}
	for seen := map[string]bool{}; len(ways) > 0; ways = ways[1:] {
		way := ways[0]
		last := way[len(way)-1]
		if last == to && len(way) > 1 {
			return way[1:]
		}
		if seen[last] {
			continue
		}
		seen[last] = true
		for _, next := range moves[last] {
			ways = append(ways, append(slices.Clone(way), next))
		}
	}
	return nil
}

// attr reads a text attribute of the first level.
func attr(p any, name string) (string, error) {
	doc, err := tmf.Encode(p)
	if err != nil {
		return "", err
	}
	var all map[string]jsontext.Value
	if err := json.Unmarshal(doc, &all); err != nil || all[name] == nil {
		return "", err
	}
	var s string
	err = json.Unmarshal(all[name], &s)
	return s, err
}

func withAttr(doc jsontext.Value, name, value string) (jsontext.Value, error) {
	var all map[string]jsontext.Value
	if err := json.Unmarshal(doc, &all); err != nil {
		return nil, err
	}
	quoted, err := jsontext.AppendQuote(nil, value)
	if err != nil {
		return nil, err
	}
	all[name] = quoted
	return json.Marshal(all, json.Deterministic(true))
}

// item is a resource in the content with its place: "line 3" of a file, or
// "resource 2" of content written out in the job, whose lines are not kept.
type item struct {
	place string
	class string
	base  string
	doc   jsontext.Value
}

// split takes content apart: a JSON array, or values one after another.
func split(data []byte, inline bool) ([]item, error) {
	d := jsontext.NewDecoder(bytes.NewReader(data))
	array := d.PeekKind() == '['
	if array {
		if _, err := d.ReadToken(); err != nil {
			return nil, malformed(data, err)
		}
	}
	var out []item
	line, counted := 1, int64(0)
	for {
		switch rest := bytes.TrimSpace(data[d.InputOffset():]); {
		case array && d.PeekKind() == ']':
			return out, ending(d, data)
		case !array && len(rest) == 0:
			return out, nil
		case len(out) == MaxResources:
			return nil, fault.BadInput("tooMany", "One import takes at most %d resources", MaxResources)
		}
		v, err := d.ReadValue()
		if err != nil {
			return nil, malformed(data, err)
		}
		start := d.InputOffset() - int64(len(v))
		line += bytes.Count(data[counted:start], newline)
		counted = start
		place := fmt.Sprintf("line %d", line)
		if inline {
			place = fmt.Sprintf("resource %d", len(out)+1)
		}
		it, err := newItem(place, v.Clone())
		if err != nil {
			return nil, err
		}
		out = append(out, it)
	}
}

var newline = []byte("\n")

// ending refuses text after the array.
func ending(d *jsontext.Decoder, data []byte) error {
	if _, err := d.ReadToken(); err != nil {
		return malformed(data, err)
	}
	if _, err := d.ReadToken(); !errors.Is(err, io.EOF) {
		return malformed(data, cmp.Or(err, errors.New("there is something after the end of the array")))
	}
	return nil
}

// malformed names the line of a syntax error.
func malformed(data []byte, err error) error {
	line := 1 + bytes.Count(bytes.TrimSpace(data), newline)
	if syn := (*jsontext.SyntacticError)(nil); errors.As(err, &syn) {
		line = 1 + bytes.Count(data[:min(syn.ByteOffset, int64(len(data)))], newline)
	}
	return placed(fmt.Sprintf("line %d", line), fault.BadInput("malformedJSON", "this is not valid JSON: %v", err))
}

func newItem(place string, v jsontext.Value) (item, error) {
	var head struct {
		Type string `json:"@type"`
		Base string `json:"@baseType"`
	}
	if v.Kind() != '{' {
		return item{}, placed(place, fault.BadInput("invalidContent", "this is not a resource (a JSON object)"))
	}
	if err := json.Unmarshal(v, &head); err != nil || head.Type == "" {
		return item{}, placed(place, fault.BadInput("invalidContent", "the resource does not name its class by @type"))
	}
	if err := sane(v); err != nil {
		return item{}, placed(place, err)
	}
	return item{place, head.Type, head.Base, v}, nil
}

// sane refuses what the store cannot keep: NUL characters, and nesting beyond
// what the API takes.
func sane(v jsontext.Value) error {
	d := jsontext.NewDecoder(bytes.NewReader(v))
	for {
		tok, err := d.ReadToken()
		if err != nil {
			return nil // the end: v is one whole value
		}
		if d.StackDepth() > tmf.MaxDepth {
			return fault.BadInput("tooDeep", "the resource nests deeper than %d levels", tmf.MaxDepth)
		}
		if tok.Kind() == '"' && strings.ContainsRune(tok.String(), 0) {
			return fault.BadInput("badText", "the resource contains a NUL character")
		}
	}
}

// placed names the place a refusal is about; other errors pass unchanged.
func placed(place string, err error) error {
	f := fault.Of(err)
	if err == nil || f.Kind == fault.Internal {
		return err
	}
	return fault.New(f.Kind, f.Code, "%s: %s", place, f.Reason)
}

// putOff are the checks that wait for the end of an import.
type putOff struct {
	place  string
	checks []func() error
}

type putOffKey struct{}

var errNone = errors.New("no import is running")

func importing(tx *store.Tx) *putOff {
	v, err := tx.Memo(putOffKey{}, func() (any, error) { return nil, errNone })
	if err != nil {
		return nil
	}
	return v.(*putOff)
}

// Later runs a check of references now or, if the transaction is an import, when
// all its resources are written: they may refer to each other in any order.
func Later(tx *store.Tx, check func() error) error {
	p := importing(tx)
	if p == nil {
		return check()
	}
	place := p.place
	p.checks = append(p.checks, func() error { return placed(place, check()) })
	return nil
}

// loadAll writes the resources and then runs the checks that were put off.
func (j *Jobs) loadAll(tx *store.Tx, items []item) error {
	may, err := j.rights(tx)
	if err != nil {
		return err
	}
	later := &putOff{}
	if _, err := tx.Memo(putOffKey{}, func() (any, error) { return later, nil }); err != nil {
		return err
	}
	for _, it := range items {
		i := slices.IndexFunc(j.contents, func(c Content) bool { return c.takes(it.class, it.base) })
		if i < 0 {
			return placed(it.place, fault.BadInput("unknownType", "@type %.60q is none of this catalogue", it.class))
		}
		later.place = it.place
		if err := j.contents[i].load(tx, it.doc, may); err != nil {
			return placed(it.place, err)
		}
	}
	for _, check := range later.checks {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}
