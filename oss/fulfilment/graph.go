package fulfilment

import (
	"maps"
	"slices"
	"strings"

	"tandem/kit/tmf"
	"tandem/oss/activation"
	"tandem/oss/activation/driver"
	"tandem/oss/spec"
)

// Graph is what a service is made of: services, and the resources they run on,
// parents before their children. A plan is a target graph; the newest completed
// one is the service as it was built.
type Graph struct {
	Parts []Part `json:"parts"`

	// Earlier are the parts of plans that this one replaced, each with its root
	// first. What they reserved, and their places on elements, which a failed
	// attempt may have touched, stay the service's until the order item ends.
	Earlier []Part `json:"earlier,omitzero"`
}

// Part is one service or resource of a graph.
type Part struct {
	Path     string               `json:"path"` // roles from the root; "" is the root
	Role     string               `json:"role,omitzero"`
	Kind     string               `json:"kind"` // service or resource
	ID       string               `json:"id"`   // in the inventory
	Spec     SpecRef              `json:"spec"`
	Category string               `json:"category,omitzero"` // CFS, RFS, number/msisdn, sim, element/hlrSubscriber
	Chars    []tmf.Characteristic `json:"characteristic,omitzero"`
}

// SpecRef freezes which specification, at which version, a part follows.
type SpecRef struct {
	ID      string `json:"id"`
	Name    string `json:"name,omitzero"`
	Version string `json:"version,omitzero"`
	Class   string `json:"class,omitzero"`
}

func (s SpecRef) ref(kind string) *tmf.Ref {
	return spec.Member{Kind: kind, ID: s.ID, Name: s.Name, Version: s.Version, Class: s.Class}.Ref()
}

// value of a characteristic as text, "" if it has none.
func (p *Part) value(name string) string {
	v, _ := tmf.Value(p.Chars, name)
	return v
}

func (p *Part) set(name, value string) {
	if old, ok := tmf.Value(p.Chars, name); !ok || old != value {
		p.Chars = tmf.With(p.Chars, tmf.Text(name, value))
	}
}

// Root is the service the graph is about.
func (g *Graph) Root() *Part { return &g.Parts[0] }

// earlier is what the plans before this one had, nil if there was none.
func (g *Graph) earlier() *Graph {
	if g == nil || len(g.Earlier) == 0 {
		return nil
	}
	return &Graph{Parts: g.Earlier}
}

// places are where the parts of the graph live on elements.
func (g *Graph) places() (out []activation.Place) {
	for _, p := range partsOf(g) {
		if p.entry() != nil {
			out = append(out, p.intent().place())
		}
	}
	return out
}

func (g *Graph) find(path string) *Part {
	if g == nil {
		return nil
	}
	i := slices.IndexFunc(g.Parts, func(p Part) bool { return p.Path == path })
	if i < 0 {
		return nil
	}
	return &g.Parts[i]
}

// same is the part that p is in this graph: at the same path and with the same id.
// What follows another specification is another part.
func (g *Graph) same(p *Part) *Part {
	if found := g.find(p.Path); found != nil && found.ID == p.ID {
		return found
	}
	return nil
}

// parent is the part that path belongs to, nil for the root.
func (g *Graph) parent(path string) *Part {
	if path == "" {
		return nil
	}
	i := strings.LastIndexByte(path, '/')
	return g.find(path[:max(i, 0)])
}

// graphOf flattens what a specification expands to. Parts that the service has
// already keep their inventory id.
func graphOf(root *spec.Node, current *Graph, newID func() string) *Graph {
	g := &Graph{}
	root.Walk(func(n *spec.Node) {
		p := Part{Path: n.Path, Role: n.Role, Kind: n.Kind, Category: n.Spec.Category, Chars: n.Characteristics,
			Spec: SpecRef{n.Spec.ID, n.Spec.Name, n.Spec.Version, n.Spec.Class}}
		if was := current.find(n.Path); was != nil && was.Spec.ID == p.Spec.ID {
			p.ID = was.ID
		} else {
			p.ID = newID()
		}
		g.Parts = append(g.Parts, p)
	})
	return g
}

// elementKind says which characteristics of a resource of a category
// "element/<type>" lead to it; what the element is given beside them are the
// attributes of the driver's type.
type elementKind struct {
	key     string // identifies it on the element
	secrets string // leads to its keys: a SIM card's ICCID
	made    bool   // its keys are made for the part that has it, and made anew when the value of secrets changes
	unique  string // no two on one element have the same
}

// elementKinds are the resources that live on network elements.
var elementKinds = map[string]elementKind{
	driver.HLRSubscriber:   {key: "imsi", secrets: "iccid", unique: "msisdn"},
	driver.RADIUSUser:      {key: "login", secrets: "passwordIssue", made: true, unique: "ipv4"},
	driver.DHCPReservation: {key: "ipv4", unique: "login"},
}

const elementPrefix = "element/"

// onElement gives the element kind of a part, false if it is no such resource.
func (p *Part) onElement() (typ string, k elementKind, ok bool) {
	typ, ok = strings.CutPrefix(p.Category, elementPrefix)
	if ok {
		k, ok = elementKinds[typ]
	}
	return typ, k, ok
}

// entry is the part if it lives on an element, else nil.
func (p *Part) entry() *Part {
	if p == nil {
		return nil
	}
	if _, _, ok := p.onElement(); !ok {
		return nil
	}
	return p
}

// Intent is what an element must be made to hold. It carries no secrets: Keys
// names the SIM card whose keys are put in at the last moment, or for whom they are made.
type Intent struct {
	Element    string            `json:"element"`
	Type       string            `json:"type"`
	Key        string            `json:"key"`
	Absent     bool              `json:"absent,omitzero"`
	Attributes map[string]string `json:"attributes,omitzero"`
	Keys       string            `json:"keys,omitzero"`
}

// intent of a part on an element.
func (p *Part) intent() Intent {
	typ, k, _ := p.onElement()
	in := Intent{Element: p.value("element"), Type: typ, Key: p.value(k.key), Keys: p.value(k.secrets), Attributes: map[string]string{}}
	if k.made {
		in.Keys = p.ID + "/" + in.Keys
	}
	for _, a := range driver.Types[typ].Attributes {
		if v := p.value(a); v != "" {
			in.Attributes[a] = v
		}
	}
	return in
}

func (in Intent) absent() Intent {
	return Intent{Element: in.Element, Type: in.Type, Key: in.Key, Absent: true}
}

// place is where an intent takes effect.
func (in Intent) place() activation.Place {
	return activation.Place{Element: in.Element, Type: in.Type, Key: in.Key}
}

func (in Intent) sameKey(o Intent) bool { return in.place() == o.place() }

// sameNumber says that both have one number, or both none, on one element.
func (in Intent) sameNumber(o Intent) bool {
	a, _ := in.number()
	b, _ := o.number()
	return a == b
}

func (in Intent) same(o Intent) bool {
	if in.Element != o.Element || in.Type != o.Type || in.Key != o.Key || in.Absent != o.Absent || in.Keys != o.Keys || len(in.Attributes) != len(o.Attributes) {
		return false
	}
	for k, v := range in.Attributes {
		if o.Attributes[k] != v {
			return false
		}
	}
	return true
}

// number is what no other entry of the element may have beside this one: its number.
// False if it has none.
func (in Intent) number() (activation.Place, bool) {
	value := in.Attributes[elementKinds[in.Type].unique]
	return activation.Place{Element: in.Element, Type: in.Type, Key: value}, value != ""
}

// unnumbered is the intent without it.
func (in Intent) unnumbered() Intent {
	in.Attributes = maps.Clone(in.Attributes)
	in.Attributes[elementKinds[in.Type].unique] = ""
	return in
}

// desired is the intent in the driver's terms, with the keys put in.
func (in Intent) desired(secrets map[string]driver.Secret) driver.Desired {
	return driver.Desired{Type: in.Type, Key: in.Key, Absent: in.Absent, Attributes: in.Attributes, Secrets: secrets}
}

// Step is one change of the network on the way from a graph to another.
type Step struct {
	Resource string // inventory id of the part
	Path     string
	Do, Undo Intent
	After    []int // steps that must be done first
}

// diff is the plan: the steps that lead from the current graph to the target,
// nil for none. It is pure. Parts are configured children first, taken away
// parents first. What must have left an element before something can be put there
// comes first: a part whose key changes, because numbers are unique, and whatever
// has a key or number that returns in another part. A part that stays and whose
// number goes to another lets go of it first. The rest is taken away last, when
// nothing refers to it any more. A step waits for earlier ones only.
func diff(current, target *Graph) []Step {
	d := differ{at: map[string]int{}, taken: map[activation.Place]int{}, given: map[activation.Place]int{}, bare: map[string]bool{}}
	returns, moves := map[activation.Place]bool{}, map[activation.Place]bool{}
	for _, p := range partsOf(target) {
		if p.entry() == nil {
			continue
		}
		was, now := current.same(&p).entry(), p.intent()
		if was == nil || !was.intent().sameKey(now) {
			returns[now.place()] = true
		}
		if number, has := now.number(); has && (was == nil || !was.intent().sameNumber(now)) {
			moves[number] = true
		}
	}
	var last []*Part
	for i := range partsOf(current) {
		p := current.Parts[i].entry()
		if p == nil {
			continue
		}
		is, was := target.same(p).entry(), p.intent()
		number, _ := was.number()
		switch {
		case is == nil && !returns[was.place()] && !moves[number]:
			last = append(last, p)
		case is == nil || !is.intent().sameKey(was):
			d.take(p)
		case moves[number] && !is.intent().sameNumber(was):
			d.letGo(p)
		}
	}
	for _, p := range slices.Backward(partsOf(target)) {
		if p.entry() != nil {
			d.put(current.same(&p).entry(), &p)
		}
	}
	for _, p := range last {
		d.take(p)
	}
	return d.steps
}

// differ gathers the steps of a plan.
type differ struct {
	steps []Step
	at    map[string]int           // path -> its last step
	taken map[activation.Place]int // the step that clears it
	given map[activation.Place]int // number -> the step that frees it
	bare  map[string]bool          // paths of the parts that have let their number go
}

func (d *differ) add(p *Part, do, undo Intent, after []int) {
	slices.Sort(after)
	d.steps = append(d.steps, Step{p.ID, p.Path, do, undo, slices.Compact(after)})
	d.at[p.Path] = len(d.steps) - 1
}

// take clears what a part has on its element, after its parent's step.
func (d *differ) take(p *Part) {
	var after []int
	if n, ok := parentStep(d.at, p.Path); ok {
		after = []int{n}
	}
	old := p.intent()
	d.add(p, old.absent(), old, after)
	d.taken[old.place()] = len(d.steps) - 1
	if number, has := old.number(); has {
		d.given[number] = len(d.steps) - 1
	}
}

// letGo takes the number off a part that stays.
func (d *differ) letGo(p *Part) {
	old := p.intent()
	number, _ := old.number()
	d.add(p, old.unnumbered(), old, nil)
	d.given[number], d.bare[p.Path] = len(d.steps)-1, true
}

// put configures a part that is new or has changed, after the parts below it.
func (d *differ) put(was, p *Part) {
	now := p.intent()
	if was != nil && was.intent().same(now) {
		return
	}
	after, undo := belowOf(d.at, p.Path), now.absent()
	if was != nil && was.intent().sameKey(now) {
		undo = was.intent()
		if d.bare[p.Path] {
			undo = undo.unnumbered() // whose turn its number is, is undone after this
		}
	}
	if n, ok := d.at[p.Path]; ok {
		after = append(after, n)
	}
	if n, ok := d.taken[now.place()]; ok {
		after = append(after, n)
	}
	if number, has := now.number(); has {
		if n, ok := d.given[number]; ok {
			after = append(after, n)
		}
	}
	d.add(p, now, undo, after)
}

func partsOf(g *Graph) []Part {
	if g == nil {
		return nil
	}
	return g.Parts
}

// belowOf lists the steps of the parts below a path.
func belowOf(at map[string]int, path string) []int {
	var out []int
	for p, n := range at {
		if path == "" || strings.HasPrefix(p, path+"/") {
			out = append(out, n)
		}
	}
	slices.Sort(out)
	return out
}

// parentStep is the step of the nearest part above a path.
func parentStep(at map[string]int, path string) (int, bool) {
	for {
		i := strings.LastIndexByte(path, '/')
		path = path[:max(i, 0)]
		if n, ok := at[path]; ok {
			return n, true
		}
		if path == "" {
			return 0, false
		}
	}
}
