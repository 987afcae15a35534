package app_test

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The law of floors (docs/house.md): commands go down, facts go up. A package
// imports only packages of the same wing listed below it, or lower floors.
var floors = []struct{ path, may string }{
	{"cmd", "app console bss oss fact edge kit"},
	{"app", "app console bss oss fact edge kit"},
	{"console", "bss oss fact kit"},
	{"bss", "bss oss fact edge kit"},
	{"oss", "oss fact edge kit"},
	{"fact", ""},
	{"edge", "edge kit"},
	{"kit", "kit"},
}

// wings list their rooms top to bottom.
var wings = map[string][]string{
	"bss": {"revenue", "partner", "receivable", "billing", "ledger", "order", "charging", "sales", "marketing", "care", "subscription", "rating", "communication", "catalog", "party"},
	"oss": {"assurance", "planning", "fulfilment", "field", "alarm", "performance", "activation", "inventory", "spec"},
}

// forbidden are arrows that would be legal by floor, with the reason why not.
var forbidden = []struct{ from, to, why string }{
	{"tandem/bss", "tandem/edge/hlr", "the business wing never talks to an element; it orders a service"},
	{"tandem/bss", "tandem/oss/activation", "nothing reaches an element but through a service order"},
	{"tandem/kit", "tandem/fact", "the kit knows no telecom"},
	{"tandem/kit/store", "tandem/kit/tmf", "the store knows no resource"},
	{"tandem/kit/money", "tandem/kit/store", "money is values only"},
	{"tandem/kit/civil", "tandem/kit/store", "calendars are values only"},
}

type listed struct {
	ImportPath string
	Imports    []string
}

func packages(t *testing.T) []listed {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports", "./...")
	cmd.Dir = filepath.Join("..")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []listed
	for d := json.NewDecoder(strings.NewReader(string(out))); d.More(); {
		var p listed
		if err := d.Decode(&p); err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	if len(all) < 20 {
		t.Fatalf("only %d packages found", len(all))
	}
	return all
}

func floorOf(path string) (floor, room string) {
	parts := strings.Split(strings.TrimPrefix(path, "tandem/"), "/")
	if len(parts) > 1 {
		room = parts[1]
	}
	return parts[0], room
}

func TestLawOfFloors(t *testing.T) {
	for _, p := range packages(t) {
		from, room := floorOf(p.ImportPath)
		i := slices.IndexFunc(floors, func(f struct{ path, may string }) bool { return f.path == from })
		if i < 0 {
			t.Errorf("%s is on no floor of the house", p.ImportPath)
			continue
		}
		if order := wings[from]; order != nil && !slices.Contains(order, room) {
			t.Errorf("%s is no room of the wing %s", p.ImportPath, from)
		}
		for _, imp := range p.Imports {
			if !strings.HasPrefix(imp, "tandem/") {
				continue
			}
			to, other := floorOf(imp)
			if !slices.Contains(strings.Fields(floors[i].may), to) {
				t.Errorf("%s imports %s: %s may import only %s", p.ImportPath, imp, from, floors[i].may)
			}
			if order := wings[from]; order != nil && to == from && room != other && slices.Index(order, room) > slices.Index(order, other) {
				t.Errorf("%s imports %s, which lies above it: tell it a fact", p.ImportPath, imp)
			}
			for _, f := range forbidden {
				if under(p.ImportPath, f.from) && under(imp, f.to) {
					t.Errorf("%s imports %s: %s", p.ImportPath, imp, f.why)
				}
			}
		}
	}
}

func under(path, root string) bool { return path == root || strings.HasPrefix(path, root+"/") }
