package diameter

import (
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"testing"

	"tandem/edge/credit"
)

// relay passes octets between a client and a server and can cut all its connections.
type relay struct {
	l  net.Listener
	wg sync.WaitGroup

	mu    sync.Mutex
	conns []net.Conn
}

func newRelay(t *testing.T, target string) *relay {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &relay{l: l}
	p.wg.Go(func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", target)
			if err != nil {
				near.Close()
				continue
			}
			p.mu.Lock()
			p.conns = append(p.conns, near, far)
			p.mu.Unlock()
			p.wg.Go(func() { pass(far, near) })
			p.wg.Go(func() { pass(near, far) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		p.cut()
		p.wg.Wait()
	})
	return p
}

func pass(to, from net.Conn) {
	defer to.Close()
	defer from.Close()
	buf := make([]byte, 700) // odd pieces: messages are cut anywhere
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}

func (p *relay) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		c.Close()
	}
	p.conns = nil
}

// gateway asks again on another connection until it has an answer, as a client does that fails over.
type gateway struct {
	t     *testing.T
	addrs []string
	mu    sync.Mutex
	now   *Client
	next  int
	again int
}

func (g *gateway) client(not *Client) *Client {
	g.mu.Lock()
	defer g.mu.Unlock()
	for g.now == not || g.now == nil {
		g.next++
		c, err := Dial(g.t.Context(), g.addrs[g.next%len(g.addrs)], ClientConfig{Host: pgwHost, Realm: pgwRealm, ToRealm: ocsRealm})
		if err == nil {
			if g.now != nil {
				g.now.nc.Close()
			}
			g.now = c
		}
	}
	return g.now
}

func (g *gateway) ask(q credit.Request) credit.Answer {
	var failed *Client
	for {
		c := g.client(failed)
		a := ask(g.t, c, q)
		if a.Result != credit.Busy {
			return a
		}
		g.mu.Lock()
		g.again++
		g.mu.Unlock()
		q.Retransmitted, failed = true, c
	}
}

// Sessions go on over connections that break anywhere, to two servers before one charger: every report is charged once, and at the end
// nothing is reserved.
func TestNothingTwiceNothingLost(t *testing.T) {
	const sessions, updates = 20, 30
	k := newTill(t, 1<<40)
	twins := func(c *Config) { c.Aliases = []string{"twin.oss.test"} }
	one, oneAddr := serve(t, k, twins)
	two, twoAddr := serve(t, k, twins)
	first, second := newRelay(t, oneAddr), newRelay(t, twoAddr)
	g := &gateway{t: t, addrs: []string{first.l.Addr().String(), second.l.Addr().String()}}
	random := rand.New(rand.NewPCG(1, 2))
	used := make([][]uint64, sessions)
	total := uint64(0)
	for i := range used {
		for range updates {
			n := random.Uint64N(1000)
			used[i] = append(used[i], n)
			total += n
		}
	}
	var done sync.WaitGroup
	for i := range sessions {
		done.Go(func() {
			name := fmt.Sprintf("s;%d", i)
			g.ask(data(name, credit.Initial, 0, 0))
			for j, n := range used[i] {
				kind := credit.Update
				if j == updates-1 {
					kind = credit.Terminate
				}
				if a := g.ask(data(name, kind, uint32(j+1), n)); a.Result != credit.Success {
					t.Errorf("%s %d: %+v", name, j, a)
				}
			}
		})
	}
	ended := make(chan struct{})
	go func() {
		done.Wait()
		close(ended)
	}()
	for target := uint64(20); ; target += 20 {
		poll(t, func() bool {
			select {
			case <-ended:
				return true
			default:
				return one.Stats.Answered.Load()+two.Stats.Answered.Load() >= target
			}
		})
		select {
		case <-ended:
		default:
			first.cut()
			second.cut()
			continue
		}
		break
	}
	g.now.nc.Close()
	pot, spent, repeats := k.figures()
	if spent != total || pot != 1<<40-total {
		t.Errorf("spent %d of %d used, %d left reserved", spent, total, 1<<40-total-pot)
	}
	if repeats == 0 || g.again == 0 || two.Stats.Received.Load() == 0 {
		t.Errorf("%d repetitions reached the charger of %d: this test proves nothing", repeats, g.again)
	}
	t.Logf("%d requests, asked again %d times, %d of them had been charged before", sessions*(updates+1), g.again, repeats)
}
