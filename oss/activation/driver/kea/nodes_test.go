package kea_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tandem/kit/store"
	"tandem/kit/store/storetest"
	"tandem/oss/activation/driver"
	"tandem/oss/activation/driver/kea"
)

// disk is a proxy in front of the agent that refuses to write while it is full, as the server does.
type disk struct {
	full   atomic.Bool
	writes atomic.Int64 // that came
	set    func()       // comes before a configuration is set; nil: nothing
}

func (d *disk) handler(agent string) http.HandlerFunc {
	return func(out http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		if bytes.Contains(body, []byte(`"command":"config-write"`)) {
			d.writes.Add(1)
			if d.full.Load() {
				_, _ = io.WriteString(out, `[{"result": 1, "text": "Unable to open file for writing"}]`)
				return
			}
		}
		if d.set != nil && bytes.Contains(body, []byte(`"command":"config-set"`)) {
			d.set()
		}
		res, err := http.Post("http://"+agent+"/", "application/json", bytes.NewReader(body))
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		defer res.Body.Close()
		_, _ = io.Copy(out, res.Body)
	}
}

// node is a driver as each node has one.
func node(t *testing.T, db *store.DB, address string) driver.Driver {
	t.Helper()
	d, err := kea.NewTurns(db, "northwind").New(driver.Endpoint{Address: address})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

// What the server could not write to its disk is not done, whoever asks and however often; when it can, it is, and outlives a restart.
func TestWhatIsNotOnTheDiskIsNotDone(t *testing.T) {
	storetest.Each(t, kea.Schemas, func(t *testing.T, db *store.DB) {
		s, d := newServer(t), &disk{}
		front := httptest.NewServer(d.handler(s.agent))
		defer front.Close()
		address := strings.TrimPrefix(front.URL, "http://")
		one, two, want := node(t, db, address), node(t, db, address), full(1)
		d.full.Store(true)
		for _, n := range []driver.Driver{one, one, two, node(t, db, address)} {
			if _, err := n.Ensure(t.Context(), want); driver.ClassOf(err) != driver.Transient || !strings.Contains(err.Error(), "cannot write it to its disk") {
				t.Fatalf("with a full disk: %v", err)
			}
		}
		d.full.Store(false)
		if _, err := two.Ensure(t.Context(), want); err != nil {
			t.Fatal(err)
		}
		s.kill()
		s.start()
		if err := s.holds(want); err != nil {
			t.Errorf("after a restart: %v", err)
		}
		before := d.writes.Load()
		for _, n := range []driver.Driver{one, two} {
			if _, err := n.Ensure(t.Context(), want); err != nil {
				t.Fatal(err)
			}
		}
		if n := d.writes.Load() - before; n != 0 {
			t.Errorf("%d writes of what is on the disk", n)
		}
	})
}

// Two nodes that reserve addresses at one server at the same time lose none, not even if one sets what it has read long ago.
func TestTwoNodesLoseNothing(t *testing.T) {
	storetest.Each(t, kea.Schemas, func(t *testing.T, db *store.DB) {
		s, held, done := newServer(t), make(chan bool), make(chan bool)
		var first atomic.Bool
		d := &disk{set: func() {
			if first.Swap(true) {
				return
			}
			close(held)
			select {
			case <-done: // the other has not waited
			case <-time.After(time.Second):
			}
		}}
		front := httptest.NewServer(d.handler(s.agent))
		defer front.Close()
		address := strings.TrimPrefix(front.URL, "http://")
		var late sync.WaitGroup
		late.Go(func() {
			if _, err := node(t, db, address).Ensure(t.Context(), full(1)); err != nil {
				t.Error(err)
			}
		})
		<-held
		if _, err := node(t, db, address).Ensure(t.Context(), full(2)); err != nil {
			t.Error(err)
		}
		close(done)
		late.Wait()
		for n := range 2 {
			if err := s.holds(full(1 + n)); err != nil {
				t.Error(err)
			}
		}
	})
}
