package e2e_test

import (
	"bufio"
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"tandem/app/mobile"
	"tandem/bss/order"
	"tandem/edge/hlr/hlrtest"
	"tandem/kit/store"
	"tandem/kit/tmf"
)

// serve starts a child that serves, and returns where.
func (p *process) serve(t testing.TB) (addr string) {
	t.Helper()
	p.cmd.Stdout = nil
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.start(t)
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("the node does not start: %v\n%s", err, &p.log)
	}
	return strings.TrimSpace(line)
}

// kill is kill -9.
func (p *process) kill() {
	p.cmd.Process.Kill()
	p.cmd.Wait()
}

// stop ends a serving child in good order.
func (p *process) stop(t testing.TB) {
	t.Helper()
	p.stdin.Close()
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("the node ended with %v:\n%s", err, &p.log)
	}
}

// pair is two nodes on one store.
type pair struct {
	t     *testing.T
	job   job
	nodes [2]*process
	mu    sync.Mutex
	addrs [2]string
}

func (p *pair) begin(i int) {
	node := spawn(p.t, p.job)
	addr := node.serve(p.t)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.nodes[i], p.addrs[i] = node, addr
}

// addr of the node that the i-th client talks to.
func (p *pair) addr(i int) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.addrs[i%2]
}

// place places the i-th order, on the other node if its own gives no answer. That
// may have taken the order all the same.
func (p *pair) place(i int) (again bool) {
	w := wish(add(mobile.FlatM))
	w.ID = fmt.Sprintf("order-%03d", i)
	body, err := tmf.Encode(w)
	if err != nil {
		p.t.Error(err)
		return false
	}
	a, err := send(p.t.Context(), p.addr(i), brand, http.MethodPost, orders, "application/json", bytes.NewReader(body))
	if again = err != nil; again {
		a, err = send(p.t.Context(), p.addr(0), brand, http.MethodPost, orders, "application/json", bytes.NewReader(body))
	}
	if err != nil || a.status != http.StatusCreated && !(again && a.status == http.StatusConflict) {
		p.t.Errorf("order %d: %s, %v", i, a, err)
	}
	return again
}

// Two nodes serve one PostgreSQL, and one of them is killed with its hands full
// and comes back. Clients whose node is away go to the other, with the same order.
// Every order completes, and nothing is done twice.
func TestTwoNodes(t *testing.T) {
	t.Parallel()
	const n = 200
	e := hlrtest.Start(t)
	c := config(t, store.Postgres)
	t.Run("prepare", func(t *testing.T) {
		o := start(t, c, e)
		o.seed(e.CTRL(), e.VTY(), n)
	})
	pair := &pair{t: t, job: job{Data: c.Data, Database: c.Database}}
	pair.begin(0)
	pair.begin(1)
	var next, again atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := int(next.Add(1) - 1); i < n; i = int(next.Add(1) - 1) {
				switch i {
				case n / 2:
					pair.nodes[1].kill()
				case n * 3 / 4:
					pair.begin(1)
				}
				if pair.place(i) {
					again.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		t.FailNow()
	}
	if again.Load() == 0 {
		t.Error("no client had to go to the other node")
	}
	client := &operator{t: t}
	for i := range n {
		var last []byte
		client.await(fmt.Sprintf("order %d completed", i), func() bool {
			a, err := send(t.Context(), pair.addr(i), brand, http.MethodGet, fmt.Sprintf("%s/order-%03d", orders, i), "", nil)
			if err != nil {
				t.Fatal(err)
			}
			last = a.body
			o := order.ProductOrder{}
			return a.status == http.StatusOK && tmf.Decode(a.body, &o) == nil && o.State == order.Completed
		}, func() string { return string(last) })
	}
	pair.nodes[0].stop(t)
	pair.nodes[1].stop(t)

	// A third node hears what is left to hear.
	o := start(t, c, e)
	o.idle()
	o.proves()
	if got := o.count("SELECT count(*) FROM subscription_product WHERE a_status = 'active'"); got != n {
		t.Errorf("%d active products, want %d", got, n)
	}
	if got := o.charges(); got != 2*n {
		t.Errorf("%d billable items, want %d", got, 2*n)
	}
}
