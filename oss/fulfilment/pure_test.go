package fulfilment

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"tandem/kit/tmf"
)

// element is a model of what all elements hold: element and key -> intent.
type element map[string]Intent

func where(in Intent) string { return in.Element + " " + in.Key }

func (e element) apply(in Intent) {
	if in.Absent {
		delete(e, where(in))
		return
	}
	e[where(in)] = in
}

// hold is an element that holds just what a graph wants.
func hold(g *Graph) element {
	e := element{}
	for _, p := range partsOf(g) {
		if _, _, ok := p.onElement(); ok {
			e.apply(p.intent())
		}
	}
	return e
}

func (e element) same(o element) bool {
	return maps.EqualFunc(e, o, func(a, b Intent) bool { return a.same(b) })
}

// drawGraph draws a graph with parts on elements at any depth, each under a key
// of its own; nil now and then.
func drawGraph(t *rapid.T, label string) *Graph {
	if rapid.IntRange(0, 7).Draw(t, label+" none") == 0 {
		return nil
	}
	g := &Graph{Parts: []Part{{Kind: "service", ID: "root"}}}
	keys := rapid.Permutation([]string{"1", "2", "3", "4", "5", "6", "7", "8"}).Draw(t, label+" keys")
	paths := []string{""}
	for n := range rapid.IntRange(0, len(keys)).Draw(t, label+" size") {
		parent := rapid.SampledFrom(paths).Draw(t, label+" parent")
		path := strings.TrimPrefix(parent+"/"+rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, label+" role"), "/")
		if slices.Contains(paths, path) {
			continue
		}
		paths = append(paths, path)
		category := rapid.SampledFrom([]string{"element/hlrSubscriber", "element/hlrSubscriber", "element/hlrSubscriber", "paper"}).Draw(t, label+" category")
		g.Parts = append(g.Parts, Part{Path: path, Kind: "resource", ID: path + " " + category, Category: category, Chars: []tmf.Characteristic{
			tmf.Text("element", rapid.SampledFrom([]string{"north", "south"}).Draw(t, label+" element")), tmf.Text("imsi", keys[n]),
			tmf.Text("msisdn", rapid.SampledFrom([]string{"46", "47"}).Draw(t, label+" number"))}})
	}
	slices.SortStableFunc(g.Parts, func(a, b Part) int { return strings.Count(a.Path, "/") - strings.Count(b.Path, "/") })
	return g
}

// ready are the steps that may be done now: nothing they wait for is left.
func ready(steps []Step, done map[int]bool) (out []int) {
	for n, s := range steps {
		if !done[n] && !slices.ContainsFunc(s.After, func(a int) bool { return !done[a] }) {
			out = append(out, n)
		}
	}
	return out
}

func TestStepsInAnyOrderAllowedLeadToTheTarget(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		current, target := drawGraph(t, "current"), drawGraph(t, "target")
		steps, e, done := diff(current, target), hold(current), map[int]bool{}
		for len(done) < len(steps) {
			next := ready(steps, done)
			if len(next) == 0 {
				t.Fatalf("the steps wait for one another: %+v", steps)
			}
			n := rapid.SampledFrom(next).Draw(t, "next")
			e.apply(steps[n].Do)
			done[n] = true
		}
		if want := hold(target); !e.same(want) {
			t.Fatalf("the element holds %v, want %v", e, want)
		}
	})
}

// What was done, and what may have been begun, is undone in reverse.
func TestUndoingInReverseLeadsBackFromAnyPoint(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		current, target := drawGraph(t, "current"), drawGraph(t, "target")
		steps, e, touched := diff(current, target), hold(current), map[int]bool{}
		for range rapid.IntRange(0, len(steps)).Draw(t, "how far") {
			n := rapid.SampledFrom(ready(steps, touched)).Draw(t, "next")
			e.apply(steps[n].Do)
			touched[n] = true
		}
		for _, n := range ready(steps, maps.Clone(touched)) {
			touched[n] = true
		}
		for _, n := range slices.Backward(slices.Sorted(maps.Keys(touched))) {
			e.apply(steps[n].Undo)
		}
		if want := hold(current); !e.same(want) {
			t.Fatalf("the element holds %v, want %v", e, want)
		}
	})
}

func TestStepsNameOnlyWhatChangesAndWaitForEarlierOnes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		current, target := drawGraph(t, "current"), drawGraph(t, "target")
		steps, was, is := diff(current, target), hold(current), hold(target)
		for n, s := range steps {
			at := where(s.Do)
			if before, had := was[at]; had && before.same(is[at]) && !slices.ContainsFunc(steps, func(o Step) bool { return o.Do.Absent && where(o.Do) == at }) {
				t.Fatalf("step %d is about %s, which stays as it is: %+v", n, at, s)
			}
			for _, a := range s.After {
				if a >= n {
					t.Fatalf("step %d waits for step %d", n, a)
				}
			}
		}
		if again := diff(target, target); len(again) > 0 {
			t.Fatalf("nothing changes, but there are steps: %+v", again)
		}
	})
}

// No two entries of an element ever have one number, on the way there or back.
func TestNumbersThatMoveAreNeverTwiceOnAnElement(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		drawn := func(label string) *Graph {
			g := drawGraph(t, label)
			numbers := rapid.Permutation([]string{"41", "42", "43", "44", "45", "46", "47", "48"}).Draw(t, label+" numbers")
			for i := range partsOf(g) {
				if p := &g.Parts[i]; i > 0 {
					p.set("msisdn", numbers[i-1])
				}
			}
			return g
		}
		current, target := drawn("now"), drawn("then")
		steps, e, done := diff(current, target), hold(current), map[int]bool{}
		unique := func(in Intent) {
			e.apply(in)
			seen := map[string]bool{}
			for _, x := range e {
				number := x.Element + " " + x.Attributes["msisdn"]
				if x.Attributes["msisdn"] != "" && seen[number] {
					t.Fatalf("two have number %s after %+v of %+v", number, in, steps)
				}
				seen[number] = true
			}
		}
		for range rapid.IntRange(0, len(steps)).Draw(t, "how far") {
			n := rapid.SampledFrom(ready(steps, done)).Draw(t, "next")
			unique(steps[n].Do)
			done[n] = true
		}
		for _, n := range slices.Backward(slices.Sorted(maps.Keys(done))) {
			unique(steps[n].Undo)
		}
	})
}

func hlrPart(path, key, msisdn string) Part {
	return Part{Path: path, Kind: "resource", ID: path, Category: "element/hlrSubscriber",
		Chars: []tmf.Characteristic{tmf.Text("element", "hlr"), tmf.Text("imsi", key), tmf.Text("msisdn", msisdn)}}
}

func graph(parts ...Part) *Graph {
	return &Graph{Parts: append([]Part{{Kind: "service", ID: "root"}}, parts...)}
}

// plan writes steps as "put 1", "take 2 after 0".
func plan(steps []Step) (out []string) {
	for _, s := range steps {
		text := "put "
		if s.Do.Absent {
			text = "take "
		}
		text += s.Do.Key
		if len(s.After) > 0 {
			text += " after " + strings.Trim(fmt.Sprint(s.After), "[]")
		}
		out = append(out, text)
	}
	return out
}

func TestDiffOrdersSteps(t *testing.T) {
	paper := Part{Path: "a", Kind: "resource", ID: "paper", Category: "paper"}
	for name, c := range map[string]struct {
		current, target *Graph
		want            []string
	}{
		"children are put before their parents":            {nil, graph(hlrPart("a", "1", "46"), hlrPart("a/b", "2", "47")), []string{"put 2", "put 1 after 0"}},
		"parents are taken before their children":          {graph(hlrPart("a", "1", "46"), hlrPart("a/b", "2", "47")), nil, []string{"take 1", "take 2 after 0"}},
		"brothers do not wait for one another":             {nil, graph(hlrPart("a", "1", "46"), hlrPart("b", "2", "47")), []string{"put 2", "put 1"}},
		"a changed key is taken before the new one is put": {graph(hlrPart("a", "1", "46")), graph(hlrPart("a", "2", "46")), []string{"take 1", "put 2 after 0"}},
		"a changed attribute is put where it is":           {graph(hlrPart("a", "1", "46")), graph(hlrPart("a", "1", "47")), []string{"put 1"}},
		"what stays needs no step":                         {graph(hlrPart("a", "1", "46")), graph(hlrPart("a", "1", "46")), nil},
		"a key that moves to another part leaves first":    {graph(hlrPart("a", "1", "46")), graph(hlrPart("b", "1", "46")), []string{"take 1", "put 1 after 0"}},
		"a number that moves waits for who lets it go":     {graph(hlrPart("a", "1", "46"), hlrPart("b", "2", "47")), graph(hlrPart("a", "1", "47"), hlrPart("b", "2", "48")), []string{"put 2", "put 2 after 0", "put 1 after 0"}},
		"numbers that are swapped are let go first":        {graph(hlrPart("a", "1", "46"), hlrPart("b", "2", "47")), graph(hlrPart("a", "1", "47"), hlrPart("b", "2", "46")), []string{"put 1", "put 2", "put 2 after 0 1", "put 1 after 0 1"}},
		"a number of what goes is free before it is put":   {graph(hlrPart("a", "1", "46"), hlrPart("b", "2", "47")), graph(hlrPart("a", "1", "47")), []string{"take 2", "put 1 after 0"}},
		"what gives way to something not on an element":    {graph(hlrPart("a", "1", "46")), graph(paper), []string{"take 1"}},
		"what takes the place of something not on one":     {graph(paper), graph(hlrPart("a", "1", "46")), []string{"put 1"}},
	} {
		if got := plan(diff(c.current, c.target)); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestItemsMayNotWaitForOneAnotherInACircle(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 8).Draw(t, "items")
		items := make([]*planned, n)
		for i := range items {
			items[i] = &planned{n: i, item: &ServiceOrderItem{ID: fmt.Sprint(i)}}
			items[i].after = rapid.SliceOfN(rapid.IntRange(0, n-1), 0, 3).Draw(t, "after")
		}
		done := map[int]bool{}
		for range n { // Kahn's: what waits for nothing that is left
			for i, it := range items {
				if !slices.ContainsFunc(it.after, func(a int) bool { return !done[a] }) {
					done[i] = true
				}
			}
		}
		if err := acyclic(items); (err == nil) != (len(done) == n) {
			t.Fatalf("acyclic says %v, but %d of %d items can be done", err, len(done), n)
		}
	})
}

func TestTheStateOfAnOrderSumsUpItsItems(t *testing.T) {
	for _, c := range []struct {
		items []string
		want  string
	}{
		{[]string{Completed, InProgress}, ""},
		{[]string{Failed, Pending}, ""},
		{[]string{Completed, PendingCancellation}, ""},
		{[]string{Completed, Completed}, Completed},
		{[]string{Cancelled, Cancelled}, Cancelled},
		{[]string{Failed}, Failed},
		{[]string{Failed, Cancelled}, Failed},
		{[]string{Completed, Failed}, Partial},
		{[]string{Completed, Cancelled}, Partial},
		{[]string{Completed, Failed, Cancelled}, Partial},
	} {
		if got := sumStates(c.items); got != c.want {
			t.Errorf("%v: %q, want %q", c.items, got, c.want)
		}
	}
}

func TestAPolicyWaitsTwiceAsLongEachTimeUpToItsLimit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := FaultPolicy{FirstWait: rapid.Int64Range(0, 100_000).Draw(t, "first")}
		p.LongestWait = rapid.Int64Range(p.FirstWait, 24*3600_000).Draw(t, "longest")
		for failed := range int64(100) {
			want := p.FirstWait
			for range failed {
				want = min(2*want, p.LongestWait)
			}
			if got := p.wait(failed); got != time.Duration(max(want, 1))*time.Millisecond {
				t.Fatalf("after %d failures %s, want %d ms", failed, got, want)
			}
		}
	})
}

func TestTheBuiltInPoliciesAreValid(t *testing.T) {
	for _, class := range []string{"transient", "capacity", "validation", "conflict", "auth", "unknown"} {
		p, ok := builtin[class]
		if err := checkPolicy(nil, nil, &p); !ok || err != nil || p.Then == "" {
			t.Errorf("%s: %+v, %v", class, p, err)
		}
	}
}

// An outage of an afternoon passes by itself.
func TestTransientFailuresAreTriedForHours(t *testing.T) {
	for _, class := range []string{"transient", "unknown"} {
		p, all := builtin[class], time.Duration(0)
		for failed := range p.Tries - 1 {
			all += p.wait(failed)
		}
		if all < 4*time.Hour || all > 24*time.Hour {
			t.Errorf("%s: given up after %s", class, all)
		}
	}
}
