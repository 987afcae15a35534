package inventory_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"tandem/kit/fault"
	"tandem/kit/store"
	"tandem/kit/tmf"
	"tandem/kit/tmf/tmftest"
	"tandem/kit/work"
	"tandem/oss/inventory"
)

var (
	mno  = store.Scope{Tenant: "mno", Actor: "user:ann"}
	mvno = store.Scope{Tenant: "mvno", Actor: "user:bob"}
)

const (
	serviceBase  = "/tmf-api/serviceInventory/v4"
	resourceBase = "/tmf-api/resourceInventoryManagement/v4"
	siteBase     = "/tmf-api/geographicSiteManagement/v4"
	poolBase     = "/tmf-api/resourcePoolManagement/v1"
)

type obj = map[string]any

func schemas() []store.Schema { return append([]store.Schema{work.Schema()}, inventory.Schemas...) }

func each(t *testing.T, f func(t *testing.T, db *store.DB, api *tmftest.API)) {
	tmftest.Each(t, schemas(), inventory.Kinds(), func(t *testing.T, db *store.DB) {
		f(t, db, tmftest.Serve(t, db, inventory.Kinds()))
	})
}

func write(t testing.TB, db *store.DB, s store.Scope, f func(tx *store.Tx) error) {
	t.Helper()
	if err := db.Write(t.Context(), s, f); err != nil {
		t.Fatal(err)
	}
}

func read(t testing.TB, db *store.DB, f func(tx *store.Tx) error) {
	t.Helper()
	if err := db.Read(t.Context(), mno, f); err != nil {
		t.Fatal(err)
	}
}

func do(t *testing.T, api *tmftest.API, method, path string, body any, want int, says string) tmftest.Answer {
	t.Helper()
	a := api.Do("mno", method, path, body)
	if a.Status != want || !strings.Contains(string(a.Body), says) {
		t.Fatalf("%s %s: %d %s, want %d %q", method, path, a.Status, a.Body, want, says)
	}
	return a
}

func TestServiceStates(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB, api *tmftest.API) {
		s := do(t, api, "POST", serviceBase+"/service", obj{"id": "s1", "state": "reserved", "serviceSpecification": obj{"id": "line"}}, 201, "").Object()
		if s["serviceDate"] == nil || s["@type"] != "Service" {
			t.Errorf("%v", s)
		}
		do(t, api, "POST", serviceBase+"/service", obj{"state": "suspended", "serviceSpecification": obj{"id": "line"}}, 400, "must be one of")
		do(t, api, "POST", serviceBase+"/service", obj{"state": "terminated", "serviceSpecification": obj{"id": "line"}}, 400, "cannot begin")
		do(t, api, "POST", serviceBase+"/service", obj{"state": "active"}, 400, "serviceSpecification is required")
		do(t, api, "POST", serviceBase+"/service", obj{"state": "active", "serviceSpecification": obj{"name": "x"}}, 400, "serviceSpecification.id is required")
		one := serviceBase + "/service/s1"
		s = do(t, api, "PATCH", one, obj{"state": "active"}, 200, "").Object()
		if s["startDate"] == nil || s["isServiceEnabled"] != true || s["hasStarted"] != true {
			t.Errorf("active: %v", s)
		}
		do(t, api, "DELETE", one, nil, 409, "terminate it before")
		at := db.Now().Add(-time.Minute)
		write(t, db, mno, func(tx *store.Tx) error {
			_, err := inventory.Suspend(tx, "s1", at)
			return err
		})
		s = do(t, api, "GET", one, nil, 200, "").Object()
		if s["state"] != "inactive" || s["suspendedSince"] != tmf.FormatTime(at) || s["isServiceEnabled"] != false {
			t.Errorf("suspended: %v", s)
		}
		s = do(t, api, "PATCH", one, obj{"state": "active"}, 200, "").Object()
		if s["suspendedSince"] != nil {
			t.Errorf("resumed: %v", s)
		}
		do(t, api, "PATCH", one, obj{"suspendedSince": "2026-01-01T00:00:00Z", "state": "reserved"}, 409, "illegalMove")
		do(t, api, "PATCH", one, obj{"state": "terminated"}, 200, "endDate")
		do(t, api, "PATCH", one, obj{"state": "active"}, 409, "final")
		do(t, api, "DELETE", one, nil, 204, "")
	})
}

func TestResourceEnumsAndVariants(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB, api *tmftest.API) {
		do(t, api, "POST", resourceBase+"/resource", obj{"name": "card", "@type": "PhysicalResource", "serialNumber": "X1", "operationalState": "enable",
			"administrativeState": "unlocked", "usageState": "idle", "resourceStatus": "available", "rack": "R7"}, 201, `"rack":"R7"`)
		do(t, api, "POST", resourceBase+"/resource", obj{"name": "number", "@type": "LogicalResource", "value": "447700900001"}, 201, "")
		do(t, api, "POST", resourceBase+"/resource", obj{"name": "x", "operationalState": "enabled"}, 400, "enable, disable")
		do(t, api, "POST", resourceBase+"/resource", obj{"value": "x"}, 400, "name is required")
		if l := do(t, api, "GET", resourceBase+"/resource?value=447700900001", nil, 200, "").List(); len(l) != 1 {
			t.Errorf("%v", l)
		}
		do(t, api, "POST", siteBase+"/geographicSite", obj{"id": "hq", "name": "HQ", "place": []obj{{"@type": "GeographicAddress", "city": "Bern"}},
			"calendar": []obj{{"day": "mon", "hourPeriod": []obj{{"startHour": "8", "endHour": "17"}}}}}, 201, "Bern")
		do(t, api, "POST", serviceBase+"/service", obj{"id": "hq", "state": "active", "serviceSpecification": obj{"id": "x"}}, 409, "belongs to a site already")
	})
}

// network posts site -> node -> port -> link -> rfs -> cfs.
func network(t *testing.T, api *tmftest.API) {
	t.Helper()
	phys := func(id string, more obj) {
		t.Helper()
		b := obj{"id": id, "name": id, "@type": "PhysicalResource"}
		for k, v := range more {
			b[k] = v
		}
		do(t, api, "POST", resourceBase+"/resource", b, 201, "")
	}
	rel := func(says, id string) obj {
		return obj{"relationshipType": says, "role": "main", "resource": obj{"id": id}}
	}
	do(t, api, "POST", siteBase+"/geographicSite", obj{"id": "site", "name": "site"}, 201, "")
	phys("node", obj{"place": obj{"id": "site", "role": "installed", "@referredType": "GeographicSite"}})
	phys("port", obj{"resourceRelationship": []obj{rel("containedIn", "node")}})
	phys("spare", nil)
	do(t, api, "POST", resourceBase+"/resource", obj{"id": "link", "name": "link", "@type": "LogicalResource",
		"resourceRelationship": []obj{rel("connects", "port"), rel("protectedBy", "spare")}}, 201, "")
	svc := func(id string, more obj) {
		t.Helper()
		b := obj{"id": id, "name": id, "state": "active", "serviceSpecification": obj{"id": "x"}}
		for k, v := range more {
			b[k] = v
		}
		do(t, api, "POST", serviceBase+"/service", b, 201, "")
	}
	svc("rfs", obj{"supportingResource": []obj{{"id": "link", "role": "access"}}, "place": []obj{{"id": "site", "role": "delivery", "@referredType": "GeographicSite"}, {"id": "addr", "role": "billing"}}})
	svc("cfs", obj{"supportingService": []obj{{"id": "rfs", "role": "transport"}}, "relatedParty": []obj{{"id": "c1", "role": "customer"}}})
}

func names(rs []inventory.Reached) string {
	var out []string
	for _, r := range rs {
		out = append(out, fmt.Sprintf("%s/%s@%d", r.Class, r.ID, r.Distance))
	}
	return strings.Join(out, " ")
}

func TestGraphFollowsTheDocuments(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB, api *tmftest.API) {
		network(t, api)
		read(t, db, func(tx *store.Tx) error {
			above, err := inventory.Above(tx, "site", 100)
			if got := names(above); err != nil || got != "physical/node@1 physical/port@2 logical/link@3 service/rfs@4 service/cfs@5" {
				t.Errorf("above the site: %s %v", got, err)
			}
			if cut, err := inventory.Above(tx, "site", 2); err != nil || len(cut) != 2 {
				t.Errorf("limit: %v %v", cut, err)
			}
			below, err := inventory.Below(tx, "cfs", 100)
			if got := names(below); err != nil || got != "service/rfs@1 logical/link@2 physical/port@3 physical/node@4 site/site@5" {
				t.Errorf("below the service: %s %v", got, err)
			}
			if below[0].Via != "cfs" || below[0].Role != "transport" || below[0].Type != inventory.Supports {
				t.Errorf("%+v", below[0])
			}
			edges, err := inventory.Edges(tx, "link")
			want := []inventory.Edge{{"link", "rfs", "supports", "access"}, {"port", "link", "connects", "main"}, {"spare", "link", "protects", "main"}}
			if err != nil || !slices.Equal(edges, want) {
				t.Errorf("%v %v", edges, err)
			}
			return nil
		})
		// A port moves to another node: the old edge goes with the old statement.
		do(t, api, "POST", resourceBase+"/resource", obj{"id": "node2", "name": "node2"}, 201, "")
		do(t, api, "PATCH", resourceBase+"/resource/port", obj{"resourceRelationship": []obj{{"relationshipType": "containedIn", "resource": obj{"id": "node2"}}}}, 200, "")
		read(t, db, func(tx *store.Tx) error {
			above, err := inventory.Above(tx, "node", 100)
			if err != nil || len(above) != 0 {
				t.Errorf("above the old node: %s %v", names(above), err)
			}
			above, err = inventory.Above(tx, "node2", 100)
			if err != nil || len(above) != 4 {
				t.Errorf("above the new node: %s %v", names(above), err)
			}
			return nil
		})
		do(t, api, "DELETE", resourceBase+"/resource/link", nil, 409, "rfs refers to it")
		do(t, api, "DELETE", resourceBase+"/resource/node", nil, 204, "")
		do(t, api, "DELETE", siteBase+"/geographicSite/site", nil, 409, "rfs")
	})
}

func TestGraphRefusals(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB, api *tmftest.API) {
		network(t, api)
		patch := func(id, says, other string, want int, reason string) {
			t.Helper()
			do(t, api, "PATCH", resourceBase+"/resource/"+id, obj{"resourceRelationship": []obj{{"relationshipType": says, "resource": obj{"id": other}}}}, want, reason)
		}
		patch("spare", "contains", "nowhere", 400, "there is no resource with id")
		patch("spare", "contains", "cfs", 400, "there is no resource with id")
		patch("link", "contains", "spare", 400, `a logical cannot be said to be \"contains\" with a physical`)
		patch("spare", "feeds", "link", 400, "allowed is supports, contains, connects")
		patch("spare", "contains", "spare", 400, "related to itself")
		patch("node", "containedIn", "port", 400, "would carry itself")
		patch("spare", "contains", "node", 200, "")
		patch("node", "contains", "port", 200, "")
		patch("port", "contains", "spare", 400, "would carry itself")
		// An edge turned round in one save is no cycle.
		patch("port", "contains", "node", 400, "would carry itself")
		patch("node", "protects", "port", 200, "")
		patch("port", "contains", "node", 200, "")
		do(t, api, "PATCH", serviceBase+"/service/rfs", obj{"supportingService": []obj{{"id": "cfs"}}}, 400, "would carry itself")
		do(t, api, "PATCH", resourceBase+"/resource/spare", obj{"@type": "LogicalResource"}, 400, "")
		do(t, api, "POST", resourceBase+"/resource", obj{"name": "x", "place": obj{"id": "zz", "@referredType": "GeographicSite"}}, 400, "there is no site")
	})
}

func TestTwoWritersCannotCloseACycleTogether(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB, api *tmftest.API) {
		for round := range 10 {
			x, y := fmt.Sprint("x", round), fmt.Sprint("y", round)
			for _, id := range []string{x, y} {
				do(t, api, "POST", resourceBase+"/resource", obj{"id": id, "name": id}, 201, "")
			}
			done := make(chan int, 2)
			for _, p := range [][2]string{{x, y}, {y, x}} {
				go func() {
					body := obj{"resourceRelationship": []obj{{"relationshipType": "contains", "resource": obj{"id": p[1]}}}}
					done <- api.Do("mno", "PATCH", resourceBase+"/resource/"+p[0], body).Status
				}()
			}
			if a, b := <-done, <-done; a+b != 600 {
				t.Fatalf("round %d: %d and %d, want one 200 and one 400", round, a, b)
			}
		}
	})
}

// The edges of the tables are always those of the documents, whatever is changed.
func TestGraphProperty(t *testing.T) {
	tmftest.Each(t, schemas(), inventory.Kinds(), func(t *testing.T, db *store.DB) {
		checks := 0
		rapid.Check(t, func(r *rapid.T) {
			checks++
			if db.Dialect() == store.Postgres && checks > 20 {
				return
			}
			id := func(i int) string { return fmt.Sprintf("n%d-%d", checks, i) }
			says := []string{"contains", "containedIn", "supports", "reliesOn", "protects"}
			want := map[string][]inventory.Edge{} // by the resource that states them
			for range rapid.IntRange(1, 12).Draw(r, "steps") {
				me := rapid.IntRange(0, 4).Draw(r, "me")
				var rels []inventory.ResourceRelationship
				var edges []inventory.Edge
				for range rapid.IntRange(0, 2).Draw(r, "rels") {
					s, other := rapid.SampledFrom(says).Draw(r, "says"), id(rapid.IntRange(0, 4).Draw(r, "other"))
					rels = append(rels, inventory.ResourceRelationship{RelationshipType: s, Resource: &tmf.Ref{ID: other}})
					e := inventory.Edge{From: id(me), To: other, Type: map[string]string{"contains": "contains", "containedIn": "contains", "supports": "supports", "reliesOn": "supports", "protects": "protects"}[s]}
					if s == "containedIn" || s == "reliesOn" {
						e.From, e.To = e.To, e.From
					}
					if !slices.Contains(edges, e) {
						edges = append(edges, e)
					}
				}
				err := db.Write(t.Context(), mno, func(tx *store.Tx) error {
					old, err := inventory.Resources.Lock(tx, id(me))
					if fault.Is(err, fault.NotFound) {
						p := &inventory.Resource{Name: id(me), ResourceRelationship: rels}
						p.ID = id(me)
						return inventory.Resources.Create(tx, p)
					}
					if err != nil {
						return err
					}
					p, err := inventory.Resources.Copy(old)
					if err != nil {
						return err
					}
					p.ResourceRelationship = rels
					return inventory.Resources.Save(tx, old, p)
				})
				legal := legalEdges(id(me), edges, want)
				if legal != (err == nil) {
					r.Fatalf("%s %v: legal %v, but %v; graph %v", id(me), edges, legal, err, want)
				}
				if err == nil {
					want[id(me)] = edges
				}
			}
			read(t, db, func(tx *store.Tx) error {
				for i := range 5 {
					got, err := inventory.Edges(tx, id(i))
					if err != nil {
						return err
					}
					var all []inventory.Edge
					for _, es := range want {
						for _, e := range es {
							if (e.From == id(i) || e.To == id(i)) && !slices.Contains(all, e) {
								all = append(all, e)
							}
						}
					}
					slices.SortFunc(all, func(a, b inventory.Edge) int {
						return strings.Compare(a.From+" "+a.To+" "+a.Type, b.From+" "+b.To+" "+b.Type)
					})
					if !slices.Equal(got, all) {
						r.Fatalf("edges of %s: %v, want %v", id(i), got, all)
					}
				}
				return nil
			})
		})
	})
}

// legalEdges decides independently: all ends known, no self, no carrying ring.
func legalEdges(me string, edges []inventory.Edge, graph map[string][]inventory.Edge) bool {
	next := map[string][]string{}
	for owner, es := range graph {
		if owner != me {
			edges = append(slices.Clone(edges), es...)
		}
	}
	for _, e := range edges {
		_, from := graph[e.From]
		_, to := graph[e.To]
		if e.From == e.To || !from && e.From != me || !to && e.To != me {
			return false
		}
		if e.Type != "protects" {
			next[e.From] = append(next[e.From], e.To)
		}
	}
	var ring func(n string, path []string) bool
	ring = func(n string, path []string) bool {
		if slices.Contains(path, n) {
			return true
		}
		return slices.ContainsFunc(next[n], func(m string) bool { return ring(m, append(slices.Clone(path), n)) })
	}
	for n := range next {
		if ring(n, nil) {
			return false
		}
	}
	return true
}

func newPool(t testing.TB, db *store.DB, s store.Scope, id, kind string, quarantine time.Duration) {
	t.Helper()
	write(t, db, s, func(tx *store.Tx) error {
		return inventory.NewPool(tx, inventory.Pool{ID: id, Kind: kind, Name: id, Quarantine: quarantine})
	})
}

func addRange(t testing.TB, db *store.DB, s store.Scope, pool, first, last string, want int) {
	t.Helper()
	write(t, db, s, func(tx *store.Tx) error {
		n, err := inventory.AddRange(tx, pool, first, last)
		if err == nil && n != want {
			t.Errorf("%d numbers, want %d", n, want)
		}
		return err
	})
}

// clocked is a store whose clock the test moves.
func clocked(t *testing.T, engine store.Dialect) (*store.DB, *atomic.Int64) {
	clock := &atomic.Int64{}
	clock.Store(time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC).UnixMicro())
	c := tmftest.Config(t, engine, schemas(), inventory.Kinds())
	c.Clock = func() time.Time { return time.UnixMicro(clock.Load()) }
	return tmftest.Open(t, c, schemas(), inventory.Kinds()), clock
}

func onBoth(t *testing.T, f func(t *testing.T, engine store.Dialect)) {
	for _, engine := range []store.Dialect{store.SQLite, store.Postgres} {
		t.Run(engine.String(), func(t *testing.T) { f(t, engine) })
	}
}

func code(err error) string {
	if err == nil {
		return ""
	}
	return fault.Of(err).Code
}

func TestLifeOfANumber(t *testing.T) {
	onBoth(t, func(t *testing.T, engine store.Dialect) {
		db, clock := clocked(t, engine)
		newPool(t, db, mno, "p", inventory.MSISDN, time.Hour)
		newPool(t, db, mvno, "q", inventory.MSISDN, time.Hour)
		addRange(t, db, mno, "p", "0447700900000", "0447700900002", 3)
		addRange(t, db, mvno, "q", "447700800000", "447700800000", 1)
		try := func(s store.Scope, f func(tx *store.Tx) error) string {
			return code(db.Write(t.Context(), s, f))
		}
		reserve := func(s store.Scope, pool, want, holder string) (got, why string) {
			why = try(s, func(tx *store.Tx) (err error) {
				got, err = inventory.Reserve(tx, inventory.MSISDN, pool, want, holder, db.Now().Add(time.Minute))
				return err
			})
			return got, why
		}
		check := func(what, got, want string) {
			t.Helper()
			if got != want {
				t.Errorf("%s: %q, want %q", what, got, want)
			}
		}
		n, why := reserve(mno, "p", "", "s1")
		check("the first", n+why, "0447700900000")
		n, why = reserve(mno, "p", "0447700900002", "s2")
		check("the one wanted", n+why, "0447700900002")
		_, why = reserve(mno, "p", "0447700900002", "s2")
		check("again by the holder", why, "")
		for what, want := range map[string]string{"taken": "0447700900002", "another tenant's": "447700800000", "not there": "999999"} {
			_, why = reserve(mno, "p", want, "s3")
			check(what, why, "numberNotAvailable")
		}
		_, why = reserve(mno, "q", "", "s3")
		check("another tenant's pool", why, "notFound")
		_, why = reserve(mno, "p", "", "s3")
		check("the last", why, "")
		_, why = reserve(mno, "p", "", "s4")
		check("none left", why, "poolEmpty")
		check("a number twice", try(mvno, func(tx *store.Tx) error {
			_, err := inventory.AddRange(tx, "q", "0447700900001", "0447700900005")
			return err
		}), "numberTaken")

		assign := func(holder string) string {
			return try(mno, func(tx *store.Tx) error {
				return inventory.Assign(tx, inventory.MSISDN, "0447700900000", holder)
			})
		}
		check("assign by another", assign("s2"), "numberNotAvailable")
		check("assign", assign("s1"), "")
		check("assign again", assign("s1"), "")
		release := func(number, holder string, q time.Duration) string {
			return try(mno, func(tx *store.Tx) error { return inventory.Release(tx, inventory.MSISDN, number, holder, q) })
		}
		check("release by another", release("0447700900000", "s2", 0), "notHolder")
		check("release of nothing", release("1234567", "s2", 0), "notFound")
		check("release", release("0447700900000", "s1", -1), "")
		check("release again", release("0447700900000", "s1", -1), "")
		check("release what was only reserved", release("0447700900002", "s2", -1), "")
		state := func(number string) (out string) {
			read(t, db, func(tx *store.Tx) error {
				n, err := inventory.NumberOf(tx, inventory.MSISDN, number)
				out = fmt.Sprint(n.State, " ", n.Holder, " ", n.Until.Sub(db.Now()).Round(time.Minute))
				if n.Until.IsZero() {
					out = n.State + " " + n.Holder
				}
				return err
			})
			return out
		}
		check("resting", state("0447700900000"), "quarantined  1h0m0s")
		check("free at once", state("0447700900002"), "available ")
		check("held", state("0447700900001"), "reserved s3 1m0s")
		expire := func() (n int) {
			write(t, db, mno, func(tx *store.Tx) (err error) {
				n, err = inventory.Expire(tx, 10)
				return err
			})
			return n
		}
		if n := expire(); n != 0 {
			t.Errorf("%d expired before their time", n)
		}
		clock.Add(time.Minute.Microseconds())
		if n := expire(); n != 1 {
			t.Errorf("%d reservations expired, want 1", n)
		}
		check("expired", state("0447700900001"), "available ")
		clock.Add(time.Hour.Microseconds())
		if n := expire(); n != 1 {
			t.Errorf("%d quarantines ended, want 1", n)
		}
		check("rested", state("0447700900000"), "available ")
	})
}

func TestRangesKeepTheirDigits(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB, api *tmftest.API) {
		newPool(t, db, mno, "p", "vlan", 0)
		addRange(t, db, mno, "p", "0000000000000000098", "0000000000000000101", 4)
		addRange(t, db, mno, "p", "98", "99", 2)
		for _, c := range []struct{ first, last, code string }{
			{"1", "10", "badRange"}, {"5", "4", "badRange"}, {"a", "b", "badRange"}, {"", "", "badRange"},
			{"1000000", "1100000", "rangeTooLong"}, {"0000000000000000000", "9000000000000000000", "badRange"},
		} {
			err := db.Write(t.Context(), mno, func(tx *store.Tx) error {
				_, err := inventory.AddRange(tx, "p", c.first, c.last)
				return err
			})
			if code(err) != c.code {
				t.Errorf("%s-%s: %v", c.first, c.last, err)
			}
		}
		var got []string
		write(t, db, mno, func(tx *store.Tx) error {
			got = nil
			for range 6 {
				v, err := inventory.Reserve(tx, "vlan", "p", "", "s", db.Now().Add(time.Hour))
				if err != nil {
					return err
				}
				got = append(got, v)
			}
			return nil
		})
		want := []string{"0000000000000000098", "0000000000000000099", "0000000000000000100", "0000000000000000101", "98", "99"}
		if !slices.Equal(got, want) {
			t.Errorf("%v", got)
		}
	})
}

func TestSIMs(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB, api *tmftest.API) {
		newPool(t, db, mno, "sims", inventory.SIMs, time.Hour)
		newPool(t, db, mvno, "others", inventory.SIMs, 0)
		sim := func(n int) inventory.SIM {
			return inventory.SIM{ICCID: fmt.Sprintf("8944000000000000%03d", n), IMSI: fmt.Sprintf("234010000000%03d", n), Form: inventory.ESIM, Algorithm: "milenage", Sealed: []byte{1, 0, 255, byte(n)}}
		}
		write(t, db, mno, func(tx *store.Tx) error {
			return inventory.AddSIMs(tx, "sims", []inventory.SIM{sim(1), sim(2)})
		})
		other := sim(3)
		other.IMSI = sim(1).IMSI
		err := db.Write(t.Context(), mvno, func(tx *store.Tx) error { return inventory.AddSIMs(tx, "others", []inventory.SIM{other}) })
		if code(err) != "simTaken" {
			t.Errorf("an IMSI twice: %v", err)
		}
		for _, bad := range []inventory.SIM{{ICCID: "1"}, {ICCID: sim(4).ICCID, IMSI: "12"}, {ICCID: sim(4).ICCID, IMSI: sim(4).IMSI, Form: "card"}, {ICCID: sim(4).ICCID, IMSI: sim(4).IMSI, Form: "esim", Algorithm: "milenage"}} {
			if err := db.Write(t.Context(), mno, func(tx *store.Tx) error { return inventory.AddSIMs(tx, "sims", []inventory.SIM{bad}) }); !fault.Is(err, fault.Invalid) {
				t.Errorf("%+v: %v", bad, err)
			}
		}
		write(t, db, mno, func(tx *store.Tx) error {
			got, err := inventory.ReserveSIM(tx, "sims", "", "s1", db.Now().Add(time.Hour))
			if err != nil {
				return err
			}
			if got.ICCID != sim(1).ICCID || got.IMSI != sim(1).IMSI || string(got.Sealed) != string(sim(1).Sealed) || got.Holder != "s1" {
				t.Errorf("%+v", got)
			}
			if s := fmt.Sprintf("%v", got); strings.Contains(s, "255") {
				t.Errorf("key material printed: %s", s)
			}
			if err := inventory.AssignSIM(tx, got.ICCID, "s1"); err != nil {
				return err
			}
			by, err := inventory.SIMByIMSI(tx, got.IMSI)
			if err != nil || by.State != inventory.NumberAssigned {
				t.Errorf("%v %v", by, err)
			}
			held, err := inventory.HeldBy(tx, "s1")
			if err != nil || len(held) != 1 || held[0].Value != got.ICCID || held[0].Kind != inventory.SIMs {
				t.Errorf("%v %v", held, err)
			}
			return inventory.ReleaseSIM(tx, got.ICCID, "s1", -1)
		})
		read(t, db, func(tx *store.Tx) error {
			s, err := inventory.SIMOf(tx, sim(1).ICCID)
			if err != nil || s.State != inventory.NumberQuarantined {
				t.Errorf("%v %v", s, err)
			}
			return nil
		})
	})
}

// No value ever has two holders, and none is lost, whatever happens at once.
func TestNumbersUnderConcurrency(t *testing.T) {
	onBoth(t, func(t *testing.T, engine store.Dialect) {
		db, clock := clocked(t, engine)
		const workers, rounds, stock = 8, 60, 25
		newPool(t, db, mno, "p", inventory.MSISDN, time.Minute)
		newPool(t, db, mno, "sims", inventory.SIMs, time.Minute)
		addRange(t, db, mno, "p", "10000", "10024", stock)
		write(t, db, mno, func(tx *store.Tx) error {
			var sims []inventory.SIM
			for i := range stock {
				sims = append(sims, inventory.SIM{ICCID: fmt.Sprintf("8944000000000000%03d", i), IMSI: fmt.Sprintf("234010000000%03d", i), Form: inventory.Removable, Algorithm: "milenage", Sealed: []byte{1}})
			}
			return inventory.AddSIMs(tx, "sims", sims)
		})
		var mu sync.Mutex
		assigned := map[string]string{} // value -> holder, kept by the test
		var wg sync.WaitGroup
		for w := range workers {
			wg.Go(func() {
				rnd := rand.New(rand.NewPCG(uint64(w), 7))
				for i := range rounds {
					kind, pool := inventory.MSISDN, "p"
					if rnd.IntN(2) == 0 {
						kind, pool = inventory.SIMs, "sims"
					}
					holder := fmt.Sprintf("s%d-%d", w, i)
					value := ""
					err := db.Write(t.Context(), mno, func(tx *store.Tx) (err error) {
						value, err = inventory.Reserve(tx, kind, pool, "", holder, db.Now().Add(time.Minute))
						return err
					})
					if code(err) == "poolEmpty" {
						write(t, db, mno, func(tx *store.Tx) error { _, err := inventory.Expire(tx, 100); return err })
						clock.Add(time.Second.Microseconds())
						continue
					}
					if err != nil {
						t.Errorf("reserve: %v", err)
						return
					}
					if rnd.IntN(3) == 0 {
						continue // left to expire
					}
					err = db.Write(t.Context(), mno, func(tx *store.Tx) error { return inventory.Assign(tx, kind, value, holder) })
					if code(err) == "numberNotAvailable" {
						continue // it expired before
					}
					mu.Lock()
					if other := assigned[value]; err != nil || other != "" {
						t.Errorf("%s for %s: held by %q, %v", value, holder, other, err)
					}
					assigned[value] = holder
					mu.Unlock()
					if rnd.IntN(4) == 0 {
						continue // stays in use
					}
					mu.Lock()
					delete(assigned, value)
					mu.Unlock()
					if err := db.Write(t.Context(), mno, func(tx *store.Tx) error { return inventory.Release(tx, kind, value, holder, -1) }); err != nil {
						t.Errorf("release: %v", err)
					}
					clock.Add(5 * time.Second.Microseconds())
				}
			})
		}
		wg.Wait()
		clock.Add(time.Hour.Microseconds())
		write(t, db, mno, func(tx *store.Tx) error { _, err := inventory.Expire(tx, 1000); return err })
		read(t, db, func(tx *store.Tx) error {
			free := 0
			for _, pool := range []string{"p", "sims"} {
				n, err := inventory.Available(tx, pool, 1000)
				if err != nil {
					return err
				}
				free += n
			}
			if free+len(assigned) != 2*stock {
				t.Errorf("%d free and %d in use of %d", free, len(assigned), 2*stock)
			}
			for value, holder := range assigned {
				held, err := inventory.HeldBy(tx, holder)
				if err != nil || len(held) != 1 || held[0].Value != value || held[0].State != inventory.NumberAssigned {
					t.Errorf("%s of %s: %v %v", value, holder, held, err)
				}
			}
			return nil
		})
	})
}

func TestPoolsOverTMF685(t *testing.T) {
	onBoth(t, func(t *testing.T, engine store.Dialect) {
		db, clock := clocked(t, engine)
		api := tmftest.Serve(t, db, inventory.Kinds())
		p := do(t, api, "POST", poolBase+"/resourcePool", obj{"id": "p", "description": "London", "kind": "msisdn", "relatedParty": "us"}, 201, "").Object()
		if p["name"] != "London" || p["host"] != "mno" || p["quarantineSeconds"] != float64(90*24*3600) {
			t.Errorf("%v", p)
		}
		do(t, api, "PATCH", poolBase+"/resourcePool/p", obj{"kind": "vlan"}, 409, "kindFixed")
		do(t, api, "POST", poolBase+"/push", obj{"resourcePool": obj{"id": "p"}, "first": "44000", "last": "44004"}, 201, `"count":5`)
		do(t, api, "POST", poolBase+"/push", obj{"resourcePool": obj{"id": "p"}, "resource": []obj{{"id": "44004"}}}, 409, "numberTaken")
		do(t, api, "DELETE", poolBase+"/resourcePool/p", nil, 409, "poolNotEmpty")
		ask := func(n int) any {
			return do(t, api, "POST", poolBase+"/availabilityCheck", obj{"quantity": n, "resourceCapacity": obj{"resourcePool": obj{"id": "p"}}}, 201, "").Object()["availabilityState"]
		}
		item := func(more obj) []obj {
			i := obj{"resourceCapacity": obj{"resourcePool": obj{"id": "p"}}}
			for k, v := range more {
				i[k] = v
			}
			return []obj{i}
		}
		party := obj{"id": "c1", "role": "customer"}
		wish := obj{"resource": []obj{{"id": "44003"}}}
		r := do(t, api, "POST", poolBase+"/reservation", obj{"relatedParty": party, "reservationItem": item(obj{"quantity": 2, "appliedCapacityAmount": wish})}, 201, "").Object()
		values := func(r obj) string {
			var out []string
			for _, x := range r["reservationItem"].([]any)[0].(obj)["appliedCapacityAmount"].(obj)["resource"].([]any) {
				out = append(out, fmt.Sprint(x.(obj)["id"], ":", x.(obj)["state"]))
			}
			return strings.Join(out, " ")
		}
		if values(r) != "44003:reserved 44000:reserved" || r["reservationState"] != "reserved" {
			t.Errorf("%v", r)
		}
		do(t, api, "POST", poolBase+"/reservation", obj{"relatedParty": party, "reservationItem": item(obj{"appliedCapacityAmount": wish})}, 409, "numberNotAvailable")
		do(t, api, "POST", poolBase+"/reservation", obj{"relatedParty": party, "reservationItem": item(obj{"quantity": 4})}, 409, "poolEmpty")
		if ask(3) != "available" || ask(4) != "notAvailable" {
			t.Errorf("a refused reservation kept numbers: %v %v", ask(3), ask(4))
		}
		do(t, api, "POST", poolBase+"/reservation", obj{"reservationItem": item(nil)}, 400, "relatedParty")
		one := fmt.Sprint(poolBase, "/reservation/", r["id"])
		do(t, api, "PATCH", one, obj{"valid_for": "2027-01-01T00:00:00Z"}, 400, "")
		// One number goes to the service that was ordered; the other comes back.
		write(t, db, mno, func(tx *store.Tx) error {
			return inventory.HandOver(tx, inventory.MSISDN, "44003", inventory.HolderOf(fmt.Sprint(r["id"])), "s1", db.Now().Add(time.Hour))
		})
		r = do(t, api, "PATCH", one, obj{"reservationState": "cancelled"}, 200, "").Object()
		if values(r) != "44003:assigned 44000:available" {
			t.Errorf("%v", r)
		}
		do(t, api, "PATCH", one, obj{"reservationState": "reserved"}, 409, "final")

		// A reservation ends by itself, and so do a plain one and a quarantine.
		r = do(t, api, "POST", poolBase+"/reservation", obj{"relatedParty": party, "valid_for": tmf.FormatTime(db.Now().Add(time.Minute)), "reservationItem": item(nil)}, 201, "").Object()
		clock.Add(2 * time.Hour.Microseconds())
		runner := work.New(db, slog.New(slog.DiscardHandler), work.Config{Node: "test"})
		inventory.Handle(runner, db)
		if err := runner.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		defer runner.Stop()
		one = fmt.Sprint(poolBase, "/reservation/", r["id"])
		await(t, func() bool {
			n, err := inventory.Number{}, error(nil)
			read(t, db, func(tx *store.Tx) error {
				n, err = inventory.NumberOf(tx, inventory.MSISDN, "44003")
				return err
			})
			return api.Do("mno", "GET", one, nil).Object()["reservationState"] == "expired" && n.State == inventory.NumberAvailable
		})
		do(t, api, "POST", poolBase+"/extract", obj{"resourcePool": obj{"id": "p"}, "first": "44000", "last": "44004"}, 201, `"count":5`)
		do(t, api, "DELETE", poolBase+"/resourcePool/p", nil, 204, "")
	})
}

// await polls an answer until a deadline.
func await(t *testing.T, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal(errors.New("it did not happen in time"))
		}
	}
}
