package fulfilment

import (
	"slices"
	"strings"

	"tandem/kit/tmf"
	"tandem/oss/activation/driver"
	"tandem/oss/spec"
)

// Graph is what a service is made of: services, and the resources they run on,
// parents before their children. A plan is a target graph; the newest completed
// one is the service as it was built.
type Graph struct {
	Parts []Part `json:"parts"`
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
}

// elementKinds are the resources that live on network elements.
var elementKinds = map[string]elementKind{
	driver.HLRSubscriber: {key: "imsi", secrets: "iccid"},
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

// Intent is what an element must be made to hold. It carries no secrets: Keys
// names the SIM card whose keys are put in at the last moment.
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
// parents first; a part whose key changes leaves the element before it returns
// under the new key, because numbers are unique there.
func diff(current, target *Graph) []Step {
	var steps []Step
	at := map[string]int{} // path -> its last step
	for _, p := range slices.Backward(partsOf(target)) {
		if _, _, ok := p.onElement(); !ok {
			continue
		}
		now := p.intent()
		was := current.find(p.Path)
		switch {
		case was == nil:
			steps = append(steps, Step{p.ID, p.Path, now, now.absent(), belowOf(at, p.Path)})
		case was.intent().same(now):
			continue
		case was.intent().Key != now.Key || was.intent().Element != now.Element:
			old := was.intent()
			steps = append(steps, Step{p.ID, p.Path, old.absent(), old, belowOf(at, p.Path)})
			steps = append(steps, Step{p.ID, p.Path, now, now.absent(), []int{len(steps) - 1}})
		default:
			steps = append(steps, Step{p.ID, p.Path, now, was.intent(), belowOf(at, p.Path)})
		}
		at[p.Path] = len(steps) - 1
	}
	for _, p := range partsOf(current) {
		if _, _, ok := p.onElement(); !ok || target.find(p.Path) != nil {
			continue
		}
		old := p.intent()
		var after []int
		if n, ok := parentStep(at, p.Path); ok {
			after = []int{n}
		}
		steps = append(steps, Step{p.ID, p.Path, old.absent(), old, after})
		at[p.Path] = len(steps) - 1
	}
	return steps
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
