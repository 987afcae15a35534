package tmf

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/oklog/ulid/v2"

	"tandem/kit/fault"
	"tandem/kit/store"
)

// Resource is what a pointer to a resource struct offers by embedding Entity.
type Resource interface{ Base() *Entity }

// Pointer ties a struct to its pointer type, so that Kind can make new values.
type Pointer[T any] interface {
	*T
	Resource
}

// API is one TM Forum API: a base path, an OpenAPI document and a hub.
type API struct {
	ID      string // TMF622
	Name    string // Product Ordering
	Version string // 4.0.0
	Base    string // /tmf-api/productOrderingManagement/v4
}

// Verbs say which routes a resource has besides GET.
type Verbs uint8

const (
	Post Verbs = 1 << iota
	Patch
	Delete
	ReadOnly Verbs = 0
	All            = Post | Patch | Delete
	Task           = Post // a task resource is posted and read, never changed
)

// EventNames are the ends of the names of events: of a change of attributes, and of
// the state. Empty: AttributeValueChangeEvent and StateChangeEvent.
type EventNames struct{ Change, State string }

// Moves is a state machine as data: from a state to the states it may go to.
// The empty state lists the states a new resource may begin in.
type Moves map[string][]string

// Kind is one resource type: everything the machine needs to serve, store,
// filter, check and announce it. Data is set where the Kind is declared; hooks
// are set in the room's init, because they refer back to the Kind.
type Kind[T any, P Pointer[T]] struct {
	API   *API
	Name  string // productOrder
	Table string // order_product_order: prefix is the room
	Class string // @type of the resource when none is given; default: Name with a capital
	Verbs Verbs

	// Events names changes where the API's file has other words than most.
	Events EventNames

	// Index lists attribute paths ("status", "productOffering.id") kept in
	// columns with an index each. Paths that cross an array go into Multi.
	Index []string
	Multi []string // "relatedParty.id": indexed, any element matches

	StateAttr string // "state", "lifecycleStatus": "" if the resource has none
	Moves     Moves

	// Seeds are attributes the server sets and a client may not patch.
	Frozen []string

	// Still marks what is read a thousand times for each write (a catalogue): the
	// process keeps each such resource until one is written. See [Generation].
	Still bool

	// Default completes a new resource before it is checked.
	Default func(tx *store.Tx, p P) error
	// Check holds the rules of the room; old is nil for a new resource.
	Check func(tx *store.Tx, old, new P) error
	// Saved keeps the room's other tables in step; new is nil after a delete.
	Saved func(tx *store.Tx, old, new P) error

	// OnPost, OnPatch and OnDelete replace what the API's verb does by itself
	// (Create, Save, Remove) where a resource's life is a process.
	OnPost   func(tx *store.Tx, p P) error
	OnPatch  func(tx *store.Tx, old, new P) error
	OnDelete func(tx *store.Tx, old P) error
	// View changes what a reader is shown, e.g. to leave out what only machines use. It
	// is no lock: filters and patches see the whole resource, so a secret has no place in it.
	View func(p P)

	// Rows serves the resource from rows of the room, not from documents.
	Rows *Rows[P]
	// Act is what a POST does where that is no transaction of the store, but has its
	// own way of being done once. It completes p; what it leaves behind is found by Get.
	Act func(ctx context.Context, db *store.DB, s store.Scope, p P) error

	once   sync.Once
	plan   *plan
	texts  texts
	stills stills[P]
}

// texts are the Kind's SQL statements, built once.
type texts struct {
	get, lock, insert, update, remove string
}

// ready builds what can be known from the types. A Kind that is wrong stops the
// program at start: it is a programmer's error.
func (k *Kind[T, P]) ready() *plan {
	k.once.Do(func() {
		var zero T
		if k.Name == "" || k.Table == "" || k.API == nil {
			panic(fmt.Sprintf("tmf: Kind %T needs API, Name and Table", zero))
		}
		if k.Class == "" {
			k.Class = strings.ToUpper(k.Name[:1]) + k.Name[1:]
		}
		k.plan = newPlan(reflect.TypeOf(zero), k.Index, k.Multi)
		k.texts = k.statements()
	})
	return k.plan
}

func (k *Kind[T, P]) statements() texts {
	cols := k.plan.columns
	names, sets := "", ""
	for i, c := range cols {
		names += ", " + c.name
		sets += fmt.Sprintf(", %s = $%d", c.name, i+6)
	}
	return texts{
		get:    "SELECT rev, doc FROM " + k.Table + " WHERE tenant = $1 AND id = $2",
		insert: "INSERT INTO " + k.Table + " (tenant, id, rev, updated_at, doc" + names + ")",
		update: "UPDATE " + k.Table + " SET rev = $3 + 1, updated_at = $4, doc = $5" + sets + " WHERE tenant = $1 AND id = $2 AND rev = $3",
		remove: "DELETE FROM " + k.Table + " WHERE tenant = $1 AND id = $2 AND rev = $3",
	}
}

// NewID is a sortable, unique id.
func NewID() string { return ulid.Make().String() }

// Get reads one resource; fault.Missing if the tenant has none with this id.
func (k *Kind[T, P]) Get(tx *store.Tx, id string) (P, error) {
	k.ready()
	if k.Rows != nil {
		return k.row(tx, id)
	}
	if !k.Still {
		if d, ok := k.fetched(tx)[id]; ok {
			return k.ofFetched(d, id)
		}
		return k.load(tx, k.texts.get, id)
	}
	p, err := k.Look(tx, id)
	if err != nil {
		return nil, err
	}
	return k.Copy(p) // the caller may change what it gets
}

// GetMany reads resources by id, in the order of the ids, in one statement or
// less. They are for reading only. fault.Missing names the first that is not there.
func (k *Kind[T, P]) GetMany(tx *store.Tx, ids []string) ([]P, error) {
	k.ready()
	known := &view[P]{newStill[P]("")}
	if k.Still {
		var err error
		if known, err = k.seen(tx); err != nil {
			return nil, err
		}
	}
	out := make([]P, len(ids))
	var args []any
	for i, id := range ids {
		var ok bool
		if out[i], ok = known.get(id); !ok && !slices.Contains(args, any(id)) {
			args = append(args, id)
		}
	}
	if len(args) == 0 {
		return out, nil
	}
	read, err := k.readMany(tx, args)
	if err != nil {
		return nil, err
	}
	for i, id := range ids {
		if out[i] != nil {
			continue
		}
		if out[i] = read[id]; out[i] == nil {
			return nil, fault.Missing(k.Name, id)
		}
		known.put(id, out[i])
	}
	return out, nil
}

func (k *Kind[T, P]) readMany(tx *store.Tx, ids []any) (map[string]P, error) {
	rows, err := tx.Query("SELECT id, rev, updated_at, doc FROM "+k.Table+" WHERE tenant = $1 AND id IN ("+store.In(2, len(ids))+")", ids...)
	docs, err := store.Collect(rows, err, scanDocument)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", k.Name, err)
	}
	read := map[string]P{}
	for _, d := range docs {
		if read[d.id], err = k.decodeStored(d.body, d.rev); err != nil {
			return nil, err
		}
	}
	return read, nil
}

// Lock reads one resource that will be written back in this transaction.
func (k *Kind[T, P]) Lock(tx *store.Tx, id string) (P, error) {
	k.ready()
	if d := k.fetched(tx)[id]; d.locked {
		return k.ofFetched(d, id)
	}
	return k.load(tx, k.texts.get+tx.Dialect().ForUpdate(), id)
}

func (k *Kind[T, P]) load(tx *store.Tx, text, id string) (P, error) {
	var rev int64
	var raw []byte
	err := tx.Row(text, id).Scan(&rev, &raw)
	if err == store.ErrNotFound {
		return nil, fault.Missing(k.Name, id)
	}
	if err != nil {
		return nil, fmt.Errorf("read %s %s: %w", k.Name, id, err)
	}
	return k.decodeStored(raw, rev)
}

func (k *Kind[T, P]) decodeStored(raw []byte, rev int64) (P, error) {
	p := P(new(T))
	if err := decode(raw, p); err != nil {
		return nil, fmt.Errorf("stored %s is not readable: %w", k.Name, err)
	}
	b := p.Base()
	b.rev, b.raw = rev, raw
	return p, nil
}

// Copy is a deep copy of a resource that was read, to be changed and saved.
func (k *Kind[T, P]) Copy(p P) (P, error) {
	b := p.Base()
	if b.raw == nil {
		return nil, fmt.Errorf("tmf: %s %s was not read from the store", k.Name, b.ID)
	}
	return k.decodeStored(b.raw, b.rev)
}

// Edit locks a resource, lets fn change a copy, and saves it.
func (k *Kind[T, P]) Edit(tx *store.Tx, id string, fn func(P) error) (P, error) {
	old, err := k.Lock(tx, id)
	if err != nil {
		return nil, err
	}
	p, err := k.Copy(old)
	if err != nil {
		return nil, err
	}
	if err := fn(p); err != nil {
		return nil, err
	}
	return p, k.Save(tx, old, p)
}

// Create stores a new resource through the one door: defaults, checks, write,
// change record. An id that is already set is kept.
func (k *Kind[T, P]) Create(tx *store.Tx, p P) error { return k.Save(tx, nil, p) }

// Save is the one door for every write of a resource, from HTTP, from rooms and
// from the console: defaults - state machine - checks - write - change record.
// old is the value as read, nil for a new resource.
func (k *Kind[T, P]) Save(tx *store.Tx, old, p P) error {
	k.ready()
	b := p.Base()
	if old == nil {
		if b.ID == "" {
			b.ID = NewID()
		}
		b.Href = k.API.Base + "/" + k.Name + "/" + b.ID
		if b.Type == "" {
			b.Type = k.Class
		}
		if k.Default != nil {
			if err := k.Default(tx, p); err != nil {
				return err
			}
		}
	}
	if err := k.plan.validate(p); err != nil {
		return err
	}
	moved, err := k.move(old, p)
	if err != nil {
		return err
	}
	if k.Check != nil {
		if err := k.Check(tx, old, p); err != nil {
			return err
		}
	}
	if err := k.write(tx, old, p, moved); err != nil {
		return err
	}
	if k.Saved != nil {
		return k.Saved(tx, old, p)
	}
	return nil
}

func (k *Kind[T, P]) write(tx *store.Tx, old, p P, moved bool) error {
	doc, err := encode(p)
	if err != nil {
		return fmt.Errorf("encode %s: %w", k.Name, err)
	}
	b := p.Base()
	args := append([]any{b.ID, b.rev, store.Micros(tx.Now()), string(doc)}, k.plan.values(p)...)
	op, before := opCreate, []byte(nil)
	if old == nil {
		if err := k.unstill(tx); err != nil {
			return err
		}
		b.rev = 1
		args[1] = b.rev
		tx.Insert(k.texts.insert, args...)
	} else {
		ob := old.Base()
		if string(ob.raw) == string(doc) {
			b.rev, b.raw = ob.rev, doc
			return nil // nothing changed: no write, no event
		}
		if err := k.unstill(tx); err != nil {
			return err
		}
		args[1] = ob.rev
		tx.QueueOne(k.texts.update, args...)
		b.rev = ob.rev + 1
		before, op = ob.raw, opChange
		if moved {
			op = opState
		}
	}
	b.raw = doc
	k.note(tx, b.ID, b.rev, doc)
	k.plan.saveMulti(tx, k.Table, b.ID, old == nil, valuesOf(k.plan, old), k.plan.multiValues(p))
	record(tx, change{api: k.API.ID, kind: k.Name, id: b.ID, rev: b.rev, op: op, before: before})
	return nil
}

// valuesOf is the multi values of a resource that may be nil.
func valuesOf[T any, P Pointer[T]](pl *plan, p P) []multiValue {
	if p == nil {
		return nil
	}
	return pl.multiValues(p)
}

// Remove deletes a resource through the same door.
func (k *Kind[T, P]) Remove(tx *store.Tx, old P) error {
	k.ready()
	b := old.Base()
	if err := k.unstill(tx); err != nil {
		return err
	}
	tx.QueueOne(k.texts.remove, b.ID, b.rev)
	k.note(tx, b.ID, 0, nil)
	k.plan.saveMulti(tx, k.Table, b.ID, false, k.plan.multiValues(old), nil)
	record(tx, change{api: k.API.ID, kind: k.Name, id: b.ID, rev: b.rev + 1, op: opDelete, before: b.raw})
	if k.Saved != nil {
		return k.Saved(tx, old, nil)
	}
	return nil
}

// move checks the state machine and says whether the state changed.
func (k *Kind[T, P]) move(old, p P) (bool, error) {
	if k.StateAttr == "" {
		return false, nil
	}
	from, to := "", k.plan.text(p, k.StateAttr)
	if old != nil {
		from = k.plan.text(old, k.StateAttr)
	}
	if from == to && old != nil || k.Moves == nil {
		return from != to, nil
	}
	if slices.Contains(k.Moves[from], to) {
		return true, nil
	}
	if old == nil {
		return false, fault.BadInput("illegalState", "A new %s cannot begin in %s %q; it may begin in %s",
			k.Name, k.StateAttr, to, strings.Join(k.Moves[""], ", "))
	}
	next := strings.Join(k.Moves[from], ", ")
	if next == "" {
		next = "nothing: it is final"
	}
	return false, fault.Clash("illegalMove", "A %s in %s %q cannot become %q; from there it may become %s",
		k.Name, k.StateAttr, from, to, next)
}
