package charging_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"tandem/bss/charging"
	"tandem/bss/subscription"
	"tandem/edge/credit"
	"tandem/kit/access"
	"tandem/kit/journal"
	"tandem/kit/outbox"
	"tandem/kit/store"
	"tandem/kit/store/storetest"
	"tandem/kit/tmf"
)

const msisdn = "491510001"

// tries asks once for an event to be charged; it is named, so that to ask again is to
// ask for the same.
func tries(e credit.Charger, name string) credit.Result {
	call := &credit.Call{}
	r := &call.Request
	*r = credit.Request{Face: credit.Diameter, Kind: credit.Event, Action: credit.Post, Service: credit.Data, Numbered: true, Peer: []byte("gw"), Session: []byte(name),
		Subscribers: []credit.Subscriber{{Type: credit.E164, ID: []byte(msisdn)}}}
	r.AddUnit().Used = []credit.Used{{Units: credit.Units{Has: credit.HasTotal, Total: mib}}}
	credit.Do(e, call)
	return call.Answer.Result
}

// insists asks until it is charged, as a gateway does. It says how often it was told
// to try again.
func (w *world) insists(name string) (again int) {
	w.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	late := time.After(time.Minute)
	for ; ; again++ {
		switch res := tries(w.room.Engine, name); res {
		case credit.Success:
			return again
		case credit.Busy:
		default:
			w.Errorf("%s: %v", name, res)
			return again
		}
		select {
		case <-tick.C:
		case <-late:
			w.Errorf("%s is not charged", name)
			return again
		}
	}
}

// onPostgres is a world on a database that is there already.
func onPostgres(t *testing.T, url string) *world {
	t.Helper()
	db := storetest.OpenConfig(t, store.Config{URL: url}, slices.Concat([]store.Schema{tmf.Schema(), outbox.Schema(), access.Schema(), journal.Schema()}, subscription.Schemas, charging.Schemas)...)
	if err := tmf.Migrate(t.Context(), db, kinds); err != nil {
		t.Fatal(err)
	}
	w := &world{T: t, db: db, journal: db, tenants: []string{"mno", "rival"}, host: "mno"}
	w.start()
	w.serve()
	w.shelve("mno")
	w.sell("mno", "p1", "prepaid", msisdn)
	return w
}

// unique wants each of so many events charged once, to the octet and the cent, and the
// balance, the ledger and the journal to say the same.
func (w *world) unique(events int64) {
	w.Helper()
	w.await("the records of all events", func() bool {
		return w.count("mno", "SELECT count(*) FROM charging_usage WHERE tenant = $1") >= events
	})
	w.await("the journal to be projected", func() bool { return w.room.Behind() <= 0 })
	for sql, want := range map[string]int64{
		"SELECT count(*) FROM charging_usage WHERE tenant = $1":                                                        events,
		"SELECT count(DISTINCT session) FROM charging_usage WHERE tenant = $1":                                         events,
		"SELECT CAST(coalesce(sum(octets), 0) AS BIGINT) FROM charging_usage WHERE tenant = $1":                        events * mib,
		"SELECT CAST(coalesce(sum(money), 0) AS BIGINT) FROM charging_usage WHERE tenant = $1":                         events * 1e7,
		"SELECT CAST(coalesce(-sum(amount), 0) AS BIGINT) FROM charging_entry WHERE tenant = $1 AND against = 'usage'": events * 1e7,
		"SELECT count(*) FROM charging_suspense WHERE tenant = $1":                                                     0,
	} {
		if n := w.count("mno", sql); n != want {
			w.Errorf("%s: %d, want %d", sql, n, want)
		}
	}
	if found := w.balances(w.room, 1); len(found) > 0 {
		w.Errorf("%v", found)
	}
}

// The database fails over to its standby in the middle of traffic. Gateways that were
// not answered ask again; what was answered is there, and nothing is charged twice.
func TestTheDatabaseFailsOver(t *testing.T) {
	pair := storetest.StartPair(t)
	w := onPostgres(t, pair.URL())
	var answered, again atomic.Int64
	var wait sync.WaitGroup
	stop := make(chan struct{})
	for i := range 8 {
		wait.Go(func() {
			for n := 0; ; n++ {
				again.Add(int64(w.insists(fmt.Sprintf("s%d.%d", i, n))))
				answered.Add(1)
				select {
				case <-stop:
					return
				default:
				}
			}
		})
	}
	w.await("traffic", func() bool { return answered.Load() > 200 })
	pair.FailOver()
	before := answered.Load()
	w.await("traffic on the standby", func() bool { return answered.Load() > before+200 })
	close(stop)
	wait.Wait()
	if again.Load() == 0 {
		t.Error("nobody had to ask again: nothing failed over")
	}
	w.unique(answered.Load())
}

// freezeEnv makes this test binary a node that charges until its standard input ends.
const freezeEnv = "TANDEM_CHARGING_FREEZE"

// freezing is such a node. Of each event it says the name and what became of it.
func freezing(url string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	db, err := store.Open(ctx, store.Config{URL: url})
	if err != nil {
		return err
	}
	defer db.Close()
	room := charging.New(charging.Config{DB: db, Journal: db, Holder: tmf.NewID(), Address: "child", Lease: 500 * time.Millisecond, PINKey: []byte("a key for tests"),
		Tenants: func(context.Context) ([]string, error) { return []string{"mno", "rival"}, nil }, Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err := room.Start(ctx); err != nil {
		return err
	}
	defer room.Stop(ctx)
	done := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // that it ends is what counts
		close(done)
	}()
	out := make(chan string)
	for i := range 4 {
		go func() {
			for n := 0; ; n++ {
				name := fmt.Sprintf("frozen%d.%d", i, n)
				out <- fmt.Sprintf("%s %v", name, tries(room.Engine, name))
			}
		}()
	}
	for {
		select {
		case line := <-out:
			if _, err := fmt.Println(line); err != nil {
				return err
			}
		case <-done:
			return nil
		}
	}
}

// A node is frozen in the middle of traffic, another takes over, and the first thaws:
// what it had decided and not written counts nothing, and it knows.
func TestAFrozenNodeThaws(t *testing.T) {
	c := storetest.Config(t, store.Postgres)
	w := onPostgres(t, c.URL)
	if err := errors.Join(w.room.Idle(t.Context()), w.room.Stop(t.Context())); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), freezeEnv+"="+c.URL)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() }) // it has ended, if all is well
	lines := make(chan string, 1000)
	go func() {
		defer close(lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			lines <- s.Text()
		}
	}()
	charged, open := map[string]bool{}, map[string]bool{}
	hear := func(line string) {
		name, result, _ := strings.Cut(line, " ")
		if charged[name] = result == credit.Success.String(); !charged[name] {
			open[name] = true
		}
	}
	for len(charged) < 200 {
		hear(<-lines)
	}
	if err := cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	w.start() // takes over when the leases end
	for i := range 100 {
		w.insists(fmt.Sprint("own", i))
	}
	if err := cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	for len(open) < 50 { // it is told to try again by then
		hear(<-lines)
	}
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	for line := range lines {
		hear(line)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	for name := range open { // whoever was not answered asks the other node
		w.insists(name)
	}
	w.unique(int64(len(charged)) + 100)
}
