package revenue_test

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"tandem/bss/revenue"
	"tandem/kit/fault"
	"tandem/kit/store"
	"tandem/kit/tmf"
	"tandem/kit/tmf/tmftest"
	"tandem/kit/work"
)

// alone stops the node's work: runs begin and stay.
func (h *house) alone() { h.runner.Stop() }

// work begins the node's work again.
func (h *house) work() {
	h.Helper()
	h.runner = work.New(h.db, slog.New(slog.NewTextHandler(h.Output(), nil)), work.Config{})
	revenue.Handle(h.runner, h.db, revenue.Doors{Network: h})
	if err := h.runner.Start(h.Context()); err != nil {
		h.Fatal(err)
	}
	h.Cleanup(h.runner.Stop)
	ctx, cancel := context.WithTimeout(h.Context(), time.Minute)
	defer cancel()
	if err := h.runner.Idle(ctx); err != nil {
		h.Fatal(err)
	}
}

// Of two runs that begin at the same time, neither of which can see the other, one begins.
func TestTwoRunsDoNotBeginAtOnce(t *testing.T) {
	each(t, func(h *house) {
		h.alone()
		begun, second := make(chan bool), make(chan error, 1)
		tell := sync.OnceFunc(func() { close(begun) })
		go func() {
			<-begun
			second <- h.as(mno, "user:bob", func(tx *store.Tx) error { return revenue.ControlRuns.OnPost(tx, &revenue.ControlRun{}) })
		}()
		var other error
		waited := false
		h.must(func(tx *store.Tx) error {
			err := revenue.ControlRuns.OnPost(tx, &revenue.ControlRun{})
			tell()
			select {
			case other = <-second:
				waited = true
			case <-time.After(200 * time.Millisecond): // it waits for us, as it should
			}
			return err
		})
		if !waited {
			other = <-second
		}
		if other == nil || fault.Of(other).Code != "runUnderWay" {
			h.Errorf("the second run: %v", other)
		}
		if got := h.api.Do(mno, "GET", base+"controlRun?state=running", nil).List(); len(got) != 1 {
			h.Errorf("%d runs are under way", len(got))
		}
	})
}

// A run that nobody works on any more is ended, says so, and lets others begin.
func TestALostRunEnds(t *testing.T) {
	each(t, func(h *house) {
		h.alone()
		begin := func() string {
			h.Helper()
			return tmftest.Must[revenue.ControlRun](h.api, mno, "POST", base+"controlRun", &revenue.ControlRun{Control: []tmf.Ref{{ID: "R2"}}}).ID
		}
		ended := func(id, why string) {
			h.Helper()
			r := tmftest.Must[revenue.ControlRun](h.api, mno, "GET", base+"controlRun/"+id, nil)
			if r.State != revenue.Done || r.EndDate.IsZero() || r.Result[0].State != revenue.Failed || !strings.Contains(r.Result[0].Reason, why) {
				h.Errorf("the lost run: %+v, not because %q", r, why)
			}
		}
		first := begin()
		h.must(revenue.Begin) // begins none: it waits for its node
		h.sql("UPDATE work_job SET state = 'parked' WHERE tenant = $1 AND kind = 'revenue.run'")
		h.must(revenue.Begin)
		ended(first, "is parked")
		var second string
		h.read(func(tx *store.Tx) error {
			return tx.Row("SELECT id FROM revenue_run WHERE tenant = $1 AND a_state = 'running'").Scan(&second)
		})
		h.sql("DELETE FROM work_job WHERE tenant = $1 AND kind = 'revenue.run'")
		third := begin()
		ended(second, "is gone")
		h.sql("UPDATE work_job SET attempt = 5, last_error = 'the disk is full' WHERE tenant = $1 AND kind = 'revenue.run'")
		h.work()
		ended(third, "after 5 attempts: the disk is full")
		h.clean("R2")
	})
}
