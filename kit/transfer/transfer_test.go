package transfer

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"tandem/kit/fault"
	"tandem/kit/store"
	"tandem/kit/tmf"
	"tandem/kit/tmf/tmftest"
	"tandem/kit/work"
)

// thing is a resource with a reference, a life cycle and nothing else.
type thing struct {
	tmf.Entity
	Name  string `json:"name,omitzero" tmf:"required"`
	Next  string `json:"next,omitzero"`
	State string `json:"state,omitzero"`
}

var things = tmf.Kind[thing, *thing]{API: &tmf.API{ID: "T1", Name: "Things", Version: "4.0.0", Base: "/tmf-api/things/v4"}, Name: "thing",
	Table: "transfer_thing", Verbs: tmf.All, Index: []string{"name"}, StateAttr: "state",
	Moves: tmf.Moves{"": {"new"}, "new": {"used"}, "used": {"old"}}}

func init() {
	things.Default = func(_ *store.Tx, p *thing) error {
		if p.State == "" {
			p.State = "new"
		}
		return nil
	}
	things.Check = func(tx *store.Tx, _, p *thing) error {
		if p.Next == "" {
			return nil
		}
		return Later(tx, func() error {
			_, err := things.Get(tx, p.Next)
			if fault.Is(err, fault.NotFound) {
				return fault.BadInput("unknownReference", "next: there is no thing with id %q", p.Next)
			}
			return err
		})
	}
}

type rig struct {
	t      *testing.T
	db     *store.DB
	jobs   *Jobs
	config Config
	runner *work.Runner
}

func each(t *testing.T, f func(t *testing.T, r *rig)) {
	jobs := New(things.API, "transfer", Of(&things))
	kinds := append(jobs.Kinds(), &things)
	tmftest.Each(t, []store.Schema{work.Schema()}, kinds, func(t *testing.T, db *store.DB) {
		f(t, &rig{t: t, db: db, jobs: jobs, config: Config{Folder: t.TempDir()}})
	})
}

func (r *rig) start() {
	r.runner = work.New(r.db, slog.New(slog.DiscardHandler), work.Config{Node: "test"})
	r.jobs.Run(r.runner, r.db, r.config)
	if err := r.runner.Start(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(r.runner.Stop)
}

func (r *rig) write(f func(tx *store.Tx) error) {
	r.t.Helper()
	if err := r.db.Write(r.t.Context(), store.Scope{Tenant: "acme", Actor: "user:ann"}, f); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) post(i *ImportJob) string {
	r.t.Helper()
	r.write(func(tx *store.Tx) error { return r.jobs.postImport(tx, i) })
	return i.ID
}

func (r *rig) ended(id string) (i *ImportJob) {
	r.t.Helper()
	if err := r.runner.Idle(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
	r.write(func(tx *store.Tx) (err error) { i, err = r.jobs.Imports.Get(tx, id); return err })
	return i
}

func (r *rig) count() (n int64) {
	r.t.Helper()
	r.write(func(tx *store.Tx) (err error) { n, err = things.Count(tx, nil); return err })
	return n
}

func list(docs ...string) jsontext.Value { return jsontext.Value("[" + strings.Join(docs, ",") + "]") }

func TestStatesAreReachedStepByStep(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		r.start()
		if i := r.ended(r.post(&ImportJob{Content: list(`{"@type":"Thing","id":"a","name":"a","state":"old"}`, `{"@type":"Thing","id":"b","name":"b"}`)})); i.Status != Succeeded {
			t.Fatalf("%+v", i)
		}
		if i := r.ended(r.post(&ImportJob{Content: list(`{"@type":"Thing","id":"b","name":"bb","state":"old"}`, `{"@type":"Thing","id":"a","name":"aa"}`)})); i.Status != Succeeded {
			t.Fatalf("%+v", i)
		}
		r.write(func(tx *store.Tx) error {
			for id, name := range map[string]string{"a": "aa", "b": "bb"} {
				if p, err := things.Get(tx, id); err != nil || p.State != "old" || p.Name != name {
					t.Errorf("%s: %+v, %v", id, p, err)
				}
			}
			return nil
		})
		if i := r.ended(r.post(&ImportJob{Content: list(`{"@type":"Thing","id":"a","name":"a","state":"new"}`)})); i.Status != Failed || !strings.Contains(i.ErrorLog, "final") {
			t.Errorf("a state that is gone came back: %+v", i)
		}
	})
}

func TestReferencesMayStandInAnyOrder(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		r.start()
		ring := list(`{"@type":"Thing","id":"a","name":"a","next":"b"}`, `{"@type":"Thing","id":"b","name":"b","next":"a"}`)
		if i := r.ended(r.post(&ImportJob{Content: ring})); i.Status != Succeeded || *i.Loaded != 2 {
			t.Errorf("%+v", i)
		}
		if i := r.ended(r.post(&ImportJob{Content: list(`{"@type":"Thing","id":"c","name":"c","next":"none"}`)})); i.Status != Failed {
			t.Errorf("%+v", i)
		}
		if n := r.count(); n != 2 {
			t.Errorf("%d things", n)
		}
	})
}

// A process that ends between "Running" and the outcome leaves a job that the
// next one does; one that ends after the outcome leaves nothing to do.
func TestJobOutlivesItsProcess(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		id := r.post(&ImportJob{Content: list(`{"@type":"Thing","name":"a"}`)})
		r.write(func(tx *store.Tx) error {
			_, err := r.jobs.Imports.Edit(tx, id, func(i *ImportJob) error { i.Status = Running; return nil })
			return err
		})
		r.start()
		if i := r.ended(id); i.Status != Succeeded || r.count() != 1 {
			t.Fatalf("%+v, %d things", i, r.count())
		}
		r.write(func(tx *store.Tx) error { return r.enqueue(tx, id) })
		if i := r.ended(id); i.Status != Succeeded || r.count() != 1 {
			t.Fatalf("run again: %+v, %d things", i, r.count())
		}
	})
}

func (r *rig) enqueue(tx *store.Tx, id string) error {
	return work.Enqueue(tx, r.jobs.importKind(), id, payload{id, "user:ann"}, tx.Now())
}

func TestImportActsForItsUser(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		r.start()
		r.ended(r.post(&ImportJob{Content: list(`{"@type":"Thing","id":"a","name":"a"}`)}))
		r.write(func(tx *store.Tx) error {
			var actor string
			err := tx.Row("SELECT actor FROM tmf_change WHERE tenant = $1 AND kind = 'thing' AND id = 'a'").Scan(&actor)
			if actor != "user:ann" {
				t.Errorf("the audit says %q", actor)
			}
			return err
		})
	})
}

func TestServerThatIsAwayIsTriedAgain(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		var calls atomic.Int64
		second := make(chan struct{})
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if calls.Add(1) == 1 {
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			close(second)
			fmt.Fprint(w, `{"@type":"Thing","name":"a"}`)
		}))
		defer srv.Close()
		r.config.Allow = func(string) error { return nil }
		r.start()
		id := r.post(&ImportJob{URL: srv.URL})
		select {
		case <-second:
		case <-time.After(20 * time.Second):
			t.Fatal("not tried again")
		}
		if i := r.ended(id); i.Status != Succeeded {
			t.Errorf("%+v", i)
		}
		if calls.Load() != 2 {
			t.Errorf("%d calls", calls.Load())
		}
	})
}

func TestRunningJobsStay(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		id := r.post(&ImportJob{Content: list()})
		r.write(func(tx *store.Tx) error {
			i, err := r.jobs.Imports.Edit(tx, id, func(i *ImportJob) error { i.Status = Running; return nil })
			if err != nil {
				return err
			}
			if err := r.jobs.deleteImport(tx, i); !fault.Is(err, fault.Conflict) {
				t.Errorf("a running job was deleted: %v", err)
			}
			return nil
		})
		other := r.post(&ImportJob{Content: list(`{"@type":"Thing","name":"a"}`)})
		r.write(func(tx *store.Tx) error {
			i, err := r.jobs.Imports.Lock(tx, other)
			if err != nil {
				return err
			}
			return r.jobs.deleteImport(tx, i)
		})
		r.start()
		if i := r.ended(id); i.Status != Succeeded || r.count() != 0 {
			t.Errorf("%+v, %d things: the job deleted before it began ran", i, r.count())
		}
	})
}

func TestLimits(t *testing.T) {
	one := []byte(`{"@type":"Thing","name":"a"}` + "\n")
	if items, err := split(bytes.Repeat(one, MaxResources), false); err != nil || len(items) != MaxResources {
		t.Errorf("as many as may be: %d, %v", len(items), err)
	}
	if _, err := split(bytes.Repeat(one, MaxResources+1), false); fault.Of(err).Code != "tooMany" {
		t.Errorf("one more: %v", err)
	}
	if _, err := readLimited(endless{}); fault.Of(err).Code != "contentTooLarge" {
		t.Errorf("content without end: %v", err)
	}
	deep := `{"@type":"Thing","x":` + strings.Repeat("[", tmf.MaxDepth) + strings.Repeat("]", tmf.MaxDepth) + `}`
	if _, err := split([]byte(deep), false); fault.Of(err).Code != "tooDeep" {
		t.Errorf("too deep: %v", err)
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

func TestTenantsHaveFoldersOfTheirOwn(t *testing.T) {
	folder := t.TempDir()
	for _, name := range []string{"", ".", "..", "../x", "a/b", `a\b`, ".hidden", "a\x00"} {
		if err := makeTenantFolder(folder, name); fault.Of(err).Code != "invalidTenant" {
			t.Errorf("%q: %v", name, err)
		}
	}
	outside := t.TempDir()
	if err := os.WriteFile(filepath.Join(outside, "f"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(folder, "linked")); err != nil {
		t.Fatal(err)
	}
	if _, err := readFile(folder, "linked", "f"); err == nil {
		t.Error("a folder that is a link out was read")
	}
	h := Handler(folder, func(*http.Request) (string, error) {
		return "", fault.New(fault.Unauthorized, "unauthorized", "Who are you?")
	})
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", RoutePrefix+"f", nil))
	if w.Code != http.StatusUnauthorized {
		t.Errorf("nobody got %d", w.Code)
	}
	w = httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("PUT", RoutePrefix+"f", nil))
	if w.Code != http.StatusMethodNotAllowed {
		t.Errorf("PUT got %d", w.Code)
	}
}

func TestShortest(t *testing.T) {
	moves := tmf.Moves{"": {"a"}, "a": {"b", "c"}, "b": {"a", "c"}, "c": {"d"}}
	for _, r := range []struct{ from, to, want string }{{"", "d", "a c d"}, {"b", "d", "c d"}, {"d", "a", ""}, {"", "x", ""}, {"a", "a", "b a"}} {
		if got := strings.Join(shortest(moves, r.from, r.to), " "); got != r.want {
			t.Errorf("%s to %s: %q, want %q", r.from, r.to, got, r.want)
		}
	}
}

// FuzzSplit: whatever comes in, every resource that goes on is a sound object of a
// named class, and refusals are refusals.
func FuzzSplit(f *testing.F) {
	for _, s := range []string{`[]`, `[{"@type":"A"}]`, "{\"@type\":\"A\"}\n{\"@type\":\"B\"}", `[{"@type":"A"},`, `{"@type":7}`, "\xff", `[[[`, `]`, ` `} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		items, err := split(data, false)
		if err != nil {
			var refusal *fault.Error
			if !errors.As(err, &refusal) {
				t.Fatalf("not a refusal: %v", err)
			}
			return
		}
		for _, it := range items {
			if it.class == "" || it.doc.Kind() != '{' || !it.doc.IsValid() {
				t.Fatalf("%q gave %+v", data, it)
			}
		}
	})
}

func BenchmarkSplit(b *testing.B) {
	data := bytes.Repeat([]byte(`{"@type":"Thing","name":"a","x":{"y":[1,2,3]}}`+"\n"), 1000)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if _, err := split(data, false); err != nil {
			b.Fatal(err)
		}
	}
}
