package catalog_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"tandem/bss/catalog"
	"tandem/kit/fault"
	"tandem/kit/store"
	"tandem/kit/tmf"
	"tandem/kit/tmf/tmftest"
)

// Whatever sequence of saves and deletes is tried, valid or not: no reference
// dangles, nothing contains itself, what is launched rests on what is in force,
// and no resource is in a state it could not come to.
func TestRandomSavesLeaveASoundCatalogue(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("TANDEM_SEED"); s != "" {
		seed, _ = strconv.ParseUint(s, 10, 64) // a wrong seed is seed 0, printed below
	}
	t.Logf("TANDEM_SEED=%d", seed)
	tmftest.Each(t, nil, kinds(), func(t *testing.T, db *store.DB) {
		w := &world{t: t, db: db, r: rand.New(rand.NewPCG(seed, 1))}
		for i := range 600 {
			w.step()
			if i%40 == 39 {
				w.audit()
			}
		}
		if w.done < 100 || w.refused < 100 {
			t.Errorf("%d done and %d refused: the test tries too little of one", w.done, w.refused)
		}
	})
}

func kinds() []tmf.Mounted { return catalog.Kinds() }

type world struct {
	t             *testing.T
	db            *store.DB
	r             *rand.Rand
	done, refused int
}

var states = []string{catalog.InStudy, catalog.InDesign, catalog.InTest, catalog.Rejected, catalog.Active, catalog.Launched, catalog.Retired, catalog.Obsolete}

// id is one of a few, so that they meet.
func (w *world) id() string { return string(rune('a' + w.r.IntN(8))) }

// state prefers what lets life go on.
func (w *world) state() string {
	if w.r.IntN(2) == 0 {
		return []string{catalog.Active, catalog.Launched}[w.r.IntN(2)]
	}
	return states[w.r.IntN(len(states))]
}

func (w *world) some(n int, f func(id string)) {
	for range w.r.IntN(n + 1) {
		f(w.id())
	}
}

func (w *world) step() {
	err := w.db.Write(w.t.Context(), scope(), func(tx *store.Tx) error {
		switch w.r.IntN(4) {
		case 0:
			return change(w, tx, &catalog.Specs, func(s *catalog.ProductSpecification) {
				s.Name, s.LifecycleStatus, s.BundledProductSpecification, s.ProductSpecCharacteristic = "s", w.state(), nil, nil
				w.some(1, func(id string) {
					s.BundledProductSpecification = append(s.BundledProductSpecification, catalog.BundledSpec{ID: id})
				})
				w.some(3, func(id string) {
					s.ProductSpecCharacteristic = append(s.ProductSpecCharacteristic, catalog.SpecCharacteristic{Name: id})
				})
			})
		case 1:
			return change(w, tx, &catalog.OfferingPrices, func(p *catalog.ProductOfferingPrice) {
				p.Name, p.LifecycleStatus, p.PriceType, p.IsBundle, p.BundledPopRelationship = "p", w.state(), "allowance", nil, nil
				w.some(1, func(id string) {
					p.BundledPopRelationship = append(p.BundledPopRelationship, catalog.BundledPriceRel{ID: id})
				})
			})
		case 2:
			return change(w, tx, &catalog.Categories, func(c *catalog.Category) {
				c.Name, c.LifecycleStatus, c.ParentID, c.IsRoot, c.SubCategory = "c", w.state(), "", nil, nil
				w.some(1, func(id string) { c.ParentID = id })
				w.some(1, func(id string) { c.SubCategory = append(c.SubCategory, catalog.Ref{ID: id}) })
			})
		}
		return change(w, tx, &catalog.Offerings, w.offering)
	})
	if err == nil {
		w.done++
		return
	}
	w.refused++
	if k := fault.Of(err).Kind; k != fault.Invalid && k != fault.Conflict && k != fault.NotFound {
		w.t.Fatalf("not a refusal: %v", err)
	}
}

func (w *world) offering(o *catalog.ProductOffering) {
	o.Name, o.LifecycleStatus, o.IsBundle = "o", w.state(), nil
	o.ProductSpecification, o.ProductOfferingPrice, o.BundledProductOffering, o.Category, o.ProdSpecCharValueUse = nil, nil, nil, nil, nil
	w.some(1, func(id string) { o.ProductSpecification = &catalog.Ref{ID: id} })
	w.some(2, func(id string) {
		o.ProductOfferingPrice = append(o.ProductOfferingPrice, catalog.PriceRefOrValue{ID: id})
	})
	w.some(1, func(id string) {
		o.BundledProductOffering = append(o.BundledProductOffering, catalog.BundledOffering{ID: id})
	})
	w.some(1, func(id string) { o.Category = append(o.Category, catalog.Ref{ID: id}) })
	if o.ProductSpecification != nil {
		w.some(1, func(id string) {
			o.ProdSpecCharValueUse = append(o.ProdSpecCharValueUse, catalog.ValueUse{Name: id})
		})
	}
}

// change creates, changes or deletes one of the few.
func change[T any, P tmf.Pointer[T]](w *world, tx *store.Tx, k *tmf.Kind[T, P], f func(P)) error {
	id := w.id()
	old, err := k.Lock(tx, id)
	switch {
	case fault.Is(err, fault.NotFound):
		p := P(new(T))
		f(p)
		p.Base().ID = id
		err := k.Create(tx, p)
		if err == nil {
			w.moved("", stateOf(p))
		}
		return err
	case err != nil:
		return err
	case w.r.IntN(6) == 0:
		return k.Remove(tx, old)
	}
	p, err := k.Copy(old)
	if err != nil {
		return err
	}
	f(p)
	if err := k.Save(tx, old, p); err != nil {
		return err
	}
	w.moved(stateOf(old), stateOf(p))
	return nil
}

func scope() store.Scope { return store.Scope{Tenant: "acme", Actor: "test"} }

func all[T any, P tmf.Pointer[T]](w *world, k *tmf.Kind[T, P]) map[string]P {
	out := map[string]P{}
	if err := k.Each(w.t.Context(), w.db, scope(), func(p P) error { out[p.Base().ID] = p; return nil }); err != nil {
		w.t.Fatal(err)
	}
	return out
}

// audit reads everything and judges it with none of the room's own code.
func (w *world) audit() {
	specs, prices := all(w, &catalog.Specs), all(w, &catalog.OfferingPrices)
	cats, offers := all(w, &catalog.Categories), all(w, &catalog.Offerings)
	inForce := func(s string) bool { return s == catalog.Active || s == catalog.Launched }
	need := func(ok bool, format string, args ...any) {
		if !ok {
			w.t.Fatalf(format, args...)
		}
	}
	below := map[string][]string{}
	edge := func(kind, from, to string) { below[kind+from] = append(below[kind+from], kind+to) }
	for id, s := range specs {
		for _, b := range s.BundledProductSpecification {
			need(specs[b.ID] != nil, "spec %s: part %s dangles", id, b.ID)
			edge("spec/", id, b.ID)
		}
	}
	for id, p := range prices {
		for _, b := range p.BundledPopRelationship {
			need(prices[b.ID] != nil, "price %s: part %s dangles", id, b.ID)
			need(!inForce(p.LifecycleStatus) || inForce(prices[b.ID].LifecycleStatus), "price %s is %s on %s", id, p.LifecycleStatus, prices[b.ID].LifecycleStatus)
			edge("price/", id, b.ID)
		}
	}
	for id, c := range cats {
		if c.ParentID != "" {
			need(cats[c.ParentID] != nil, "category %s: parent %s dangles", id, c.ParentID)
			edge("cat/", c.ParentID, id)
		}
		for _, sub := range c.SubCategory {
			need(cats[sub.ID] != nil, "category %s: sub %s dangles", id, sub.ID)
			edge("cat/", id, sub.ID)
		}
	}
	for id, o := range offers {
		onMarket := o.LifecycleStatus == catalog.Launched
		if r := o.ProductSpecification; r != nil {
			s := specs[r.ID]
			need(s != nil, "offering %s: specification %s dangles", id, r.ID)
			need(!onMarket || inForce(s.LifecycleStatus), "offering %s is launched on a specification that is %s", id, s.LifecycleStatus)
			for _, u := range o.ProdSpecCharValueUse {
				need(slices.ContainsFunc(s.ProductSpecCharacteristic, func(c catalog.SpecCharacteristic) bool { return c.Name == u.Name }), "offering %s narrows %s, which is not there", id, u.Name)
			}
		}
		for _, r := range o.ProductOfferingPrice {
			need(prices[r.ID] != nil, "offering %s: price %s dangles", id, r.ID)
			need(!onMarket || inForce(prices[r.ID].LifecycleStatus), "offering %s is launched on a price that is %s", id, prices[r.ID].LifecycleStatus)
		}
		for _, b := range o.BundledProductOffering {
			need(offers[b.ID] != nil, "offering %s: part %s dangles", id, b.ID)
			need(!onMarket || inForce(offers[b.ID].LifecycleStatus), "offering %s is launched on a part that is %s", id, offers[b.ID].LifecycleStatus)
			edge("offer/", id, b.ID)
		}
		for _, c := range o.Category {
			need(cats[c.ID] != nil, "offering %s: category %s dangles", id, c.ID)
		}
	}
	for node := range below {
		need(!reaches(below, node, node, map[string]bool{}), "%s contains itself: %v", node, below)
	}
}

// mayFollow is the life cycle, written once more.
var mayFollow = map[string]string{
	"":               "In study, In design, In test, Active, Launched",
	catalog.InStudy:  "In study, In design, Rejected",
	catalog.InDesign: "In design, In test, Rejected",
	catalog.InTest:   "In test, In design, Active, Rejected",
	catalog.Rejected: "Rejected", catalog.Active: "Active, Launched, Retired",
	catalog.Launched: "Launched, Retired", catalog.Retired: "Retired, Obsolete", catalog.Obsolete: "Obsolete",
}

// moved is told of every save that succeeded.
func (w *world) moved(from, to string) {
	if !slices.Contains(strings.Split(mayFollow[from], ", "), to) {
		w.t.Fatalf("a resource went from %q to %q", from, to)
	}
}

func stateOf(p any) string {
	switch p := p.(type) {
	case *catalog.ProductSpecification:
		return p.LifecycleStatus
	case *catalog.ProductOfferingPrice:
		return p.LifecycleStatus
	case *catalog.Category:
		return p.LifecycleStatus
	case *catalog.ProductOffering:
		return p.LifecycleStatus
	}
	return ""
}

func reaches(below map[string][]string, from, to string, seen map[string]bool) bool {
	for _, n := range below[from] {
		if n == to {
			return true
		}
		if !seen[n] {
			seen[n] = true
			if reaches(below, n, to, seen) {
				return true
			}
		}
	}
	return false
}

// Launching an offering and withdrawing its ground at the same time: one of the
// two is refused.
func TestLaunchRacesWithRetirement(t *testing.T) {
	each(t, func(t *testing.T, r *room) {
		for i := range 15 {
			o, p := fmt.Sprintf("o%d", i), fmt.Sprintf("p%d", i)
			r.do(201, "POST", "productOfferingPrice", `{"id":"`+p+`","name":"p","priceType":"oneTime","price":{"unit":"EUR","value":1},"lifecycleStatus":"Active"}`)
			r.do(201, "POST", "productOffering", `{"id":"`+o+`","name":"o","lifecycleStatus":"Active","productOfferingPrice":[{"id":"`+p+`"}]}`)
			results := make(chan string, 2)
			patch := func(path, state string) {
				a := r.Do("acme", "PATCH", base+path, `{"lifecycleStatus":"`+state+`"}`)
				results <- fmt.Sprintf("%s %d", state, a.Status)
			}
			go patch("productOffering/"+o, "Launched")
			go patch("productOfferingPrice/"+p, "Retired")
			got := []string{<-results, <-results}
			slices.Sort(got)
			if s := strings.Join(got, ", "); s != "Launched 200, Retired 409" && s != "Launched 400, Retired 200" {
				t.Fatalf("round %d: %s", i, s)
			}
		}
	})
}
