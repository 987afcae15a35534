package tmf_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"tandem/kit/store"
	"tandem/kit/store/storetest"
	"tandem/kit/tmf"
	"tandem/kit/tmf/tmftest"
)

const hubPath = "/tmf-api/things/v4/hub"

// nameIn is the name of the thing an event is about.
func nameIn(t *testing.T, r *http.Request) string {
	var e struct {
		Event struct{ Thing struct{ Name string } }
	}
	if err := json.NewDecoder(r.Body).Decode(&e); err != nil {
		t.Errorf("event: %v", err)
	}
	return e.Event.Thing.Name
}

// next awaits a value that a test cannot go on without.
func next[T any](t *testing.T, c <-chan T, what string) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(20 * time.Second):
		t.Fatalf("%s did not come", what)
	}
	return v
}

// clocked runs f on both stores with a clock that f moves.
func clocked(t *testing.T, f func(t *testing.T, a *tmftest.API, db *store.DB, ahead *atomic.Int64)) {
	for _, engine := range []store.Dialect{store.SQLite, store.Postgres} {
		t.Run(engine.String(), func(t *testing.T) {
			var ahead atomic.Int64
			c := tmftest.Config(t, engine, nil, kinds)
			c.Clock = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
			db := tmftest.Open(t, c, nil, kinds)
			f(t, tmftest.Serve(t, db, kinds), db, &ahead)
		})
	}
}

// logged is a log of which every line is awaited.
type logged chan string

func (l logged) Enabled(context.Context, slog.Level) bool { return true }
func (l logged) WithAttrs([]slog.Attr) slog.Handler       { return l }
func (l logged) WithGroup(string) slog.Handler            { return l }
func (l logged) Handle(_ context.Context, r slog.Record) error {
	l <- r.Message
	return nil
}

// A node that hung until another took its subscription over moves nothing any more.
func TestANodeThatLostASubscriptionDoesNotSetItBack(t *testing.T) {
	clocked(t, func(t *testing.T, a *tmftest.API, db *store.DB, ahead *atomic.Int64) {
		got, hang, first := make(chan string, 100), make(chan bool), make(chan bool, 1)
		first <- true
		sub := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			name := nameIn(t, r)
			select {
			case <-first:
				got <- "hangs at " + name
				<-hang
				w.WriteHeader(500)
			default:
				got <- name
			}
		}))
		defer sub.Close()
		a.Hub.Stop() // this test's two nodes take its place
		lines := make(logged, 100)
		slow := tmf.NewHub(db, kinds, tmf.HubOptions{AllowLocal: true, Log: slog.New(lines)})
		slow.Start(t.Context())
		defer slow.Stop()
		a.Do("mno", "POST", hubPath, map[string]any{"callback": sub.URL})
		a.Do("mno", "POST", path, `{"name":"one"}`)
		next(t, got, "the event of the slow node")
		ahead.Store(int64(time.Hour))
		other := tmf.NewHub(db, kinds, tmf.HubOptions{AllowLocal: true})
		other.Start(t.Context())
		defer other.Stop()
		a.Do("mno", "POST", path, `{"name":"two"}`)
		for _, want := range []string{"one", "two"} {
			if name := next(t, got, want); name != want {
				t.Errorf("the other node delivers %s, want %s", name, want)
			}
		}
		hang <- true
		next(t, lines, "the end of the slow node's delivery")
		a.Do("mno", "POST", path, `{"name":"three"}`)
		if name := next(t, got, "three"); name != "three" {
			t.Errorf("%s was delivered again", name)
		}
	})
}

// However many events wait, each goes out under a lease that outlasts its delivery.
func TestTheLeaseOfASubscriptionLastsThroughABatch(t *testing.T) {
	clocked(t, func(t *testing.T, a *tmftest.API, db *store.DB, ahead *atomic.Int64) {
		left := make(chan time.Duration, 100)
		sub := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			var until int64
			err := db.Read(r.Context(), store.Scope{Tenant: "mno"}, func(tx *store.Tx) error {
				return tx.Row("SELECT lease_until FROM tmf_hub WHERE tenant = $1").Scan(&until)
			})
			if err != nil {
				t.Error(err)
			}
			left <- store.Instant(until).Sub(db.Now())
			ahead.Add(int64(9 * time.Second))
		}))
		defer sub.Close()
		err := db.Write(t.Context(), store.Scope{Tenant: "mno"}, func(tx *store.Tx) error {
			for i := range 8 {
				if err := things.Create(tx, &Thing{Name: fmt.Sprint(i)}); err != nil {
					return err
				}
			}
			// The subscription begins before all of them.
			tx.Queue(`INSERT INTO tmf_hub (tenant, id, api, callback, query, owner, cursor, attempt, next_at, lease_until, last_error, created_at)
				VALUES ($1, 'h', 'TMF000', $2, '', 'test', 0, 0, 0, 0, '', 0)`, sub.URL)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		for i := range 8 {
			if d := next(t, left, "an event"); d < 10*time.Second {
				t.Errorf("event %d goes out with %v left, which a delivery of 10 s may outlast", i, d)
			}
		}
	})
}

// A change that has its number when somebody subscribes, and is committed only then,
// is delivered: it happened after.
func TestASubscriptionMissesNothingThatIsCommittedAfterIt(t *testing.T) {
	db := storetest.Open(t, store.Postgres, tmf.Schema())
	if err := tmf.Migrate(t.Context(), db, kinds); err != nil {
		t.Fatal(err)
	}
	a := tmftest.Serve(t, db, kinds)
	got := make(chan string, 100)
	sub := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { got <- nameIn(t, r) }))
	defer sub.Close()
	numbered, commit, done := make(chan bool), make(chan bool), make(chan error)
	go func() {
		done <- db.Write(t.Context(), store.Scope{Tenant: "mno"}, func(tx *store.Tx) error {
			tx.Append()
			if _, err := tx.Exec(`INSERT INTO test_thing (tenant, id, rev, updated_at, doc) VALUES ($1, 'late', 1, 1, '{"id":"late","name":"late"}')`); err != nil {
				return err
			}
			_, err := tx.Exec("INSERT INTO tmf_change (tenant, api, kind, id, rev, op, at, actor) VALUES ($1, 'TMF000', 'thing', 'late', 1, 'create', 1, 'test')")
			numbered <- true
			<-commit
			return err
		})
	}()
	<-numbered
	a.Do("mno", "POST", path, `{"name":"early"}`) // has a higher number
	if r := a.Do("mno", "POST", hubPath, map[string]any{"callback": sub.URL}); r.Status != 201 {
		t.Fatalf("subscribe: %d %s", r.Status, r.Body)
	}
	commit <- true
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if name := next(t, got, "the late change"); name != "late" {
		t.Errorf("%s came first", name)
	}
}
