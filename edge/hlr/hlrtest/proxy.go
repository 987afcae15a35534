package hlrtest

import (
	"bufio"
	"net"
	"strings"
	"sync"
	"testing"

	"tandem/edge/hlr"
)

// Action is what the proxy does with one command.
type Action int

// The actions. Only Pass and Hold let the reply through.
const (
	Pass      Action = iota
	Swallow          // the element executes it, the reply is lost
	Hold             // the element executes it, the reply waits for Verdict.Until; later replies overtake it
	CutBefore        // the connection breaks before the element sees it
	CutAfter         // the element executes it, then the connection breaks instead of a reply
)

// Verdict is an Action with its data.
type Verdict struct {
	Action Action
	Until  <-chan struct{} // of Hold
}

// Rule judges the n-th command (from 1, over all connections of the proxy) by its text without the id, "SET subscriber.create 240...".
type Rule func(n int, command string) Verdict

// Proxy stands in front of the control interface of an element.
type Proxy struct {
	target   string
	listener net.Listener
	wg       sync.WaitGroup

	mu     sync.Mutex
	rule   Rule
	seen   int
	conns  map[net.Conn]bool
	closed chan struct{}
}

// NewProxy listens on a loopback port and forwards to target ("127.x.y.z:4259"). It ends with the test.
func NewProxy(t testing.TB, target string) *Proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{target: target, listener: l, conns: map[net.Conn]bool{}, closed: make(chan struct{})}
	p.wg.Add(1)
	go p.accept()
	t.Cleanup(func() {
		close(p.closed)
		l.Close()
		p.Cut()
		p.wg.Wait()
	})
	return p
}

// Addr is the address to dial instead of the element's.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// SetRule replaces the rule; nil passes everything.
func (p *Proxy) SetRule(r Rule) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rule = r
}

// Once is a rule that applies v to the first command that contains part, and passes the others.
func Once(part string, v Verdict) Rule {
	var used bool // the proxy asks under its lock
	return func(_ int, command string) Verdict {
		if used || !strings.Contains(command, part) {
			return Verdict{}
		}
		used = true
		return v
	}
}

// Seen is the number of commands so far.
func (p *Proxy) Seen() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.seen
}

// Cut breaks all connections now; new ones are accepted.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		c.Close()
	}
}

func (p *Proxy) judge(command string) Verdict {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen++
	if p.rule == nil {
		return Verdict{}
	}
	return p.rule(p.seen, command)
}

func (p *Proxy) accept() {
	defer p.wg.Done()
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", p.target)
		if err != nil {
			client.Close()
			continue
		}
		l := &link{proxy: p, client: client, server: server, verdicts: map[string]Verdict{}}
		p.mu.Lock()
		p.conns[client], p.conns[server] = true, true
		select {
		case <-p.closed:
			l.cut()
		default:
		}
		p.mu.Unlock()
		p.wg.Add(2)
		go l.commands()
		go l.replies()
	}
}

// link is one client connection and its connection to the element.
type link struct {
	proxy          *Proxy
	client, server net.Conn

	mu       sync.Mutex
	verdicts map[string]Verdict // by id, for commands under way
	out      sync.Mutex         // one writer to the client
}

func (l *link) cut() {
	l.client.Close()
	l.server.Close()
}

func (l *link) done() {
	l.cut()
	l.proxy.mu.Lock()
	delete(l.proxy.conns, l.client)
	delete(l.proxy.conns, l.server)
	l.proxy.mu.Unlock()
	l.proxy.wg.Done()
}

// commands forwards the client's frames.
func (l *link) commands() {
	defer l.done()
	r := bufio.NewReader(l.client)
	for {
		f, err := hlr.ReadFrame(r, 0xffff)
		if err != nil {
			return
		}
		text, ok := f.Text()
		if !ok {
			continue
		}
		verb, rest, _ := strings.Cut(text, " ")
		id, rest, _ := strings.Cut(rest, " ")
		v := l.proxy.judge(verb + " " + rest)
		if v.Action == CutBefore {
			return
		}
		l.mu.Lock()
		l.verdicts[id] = v
		l.mu.Unlock()
		if _, err := l.server.Write(hlr.AppendFrame(nil, text)); err != nil {
			return
		}
	}
}

// replies forwards the element's frames as the verdicts say.
func (l *link) replies() {
	defer l.done()
	r := bufio.NewReader(l.server)
	for {
		f, err := hlr.ReadFrame(r, 0xffff)
		if err != nil {
			return
		}
		text, ok := f.Text()
		if !ok {
			continue
		}
		_, rest, _ := strings.Cut(text, " ")
		id, _, _ := strings.Cut(rest, " ")
		l.mu.Lock()
		v := l.verdicts[id]
		delete(l.verdicts, id)
		l.mu.Unlock()
		switch v.Action {
		case Pass:
			l.send(text)
		case Hold:
			l.proxy.wg.Add(1)
			go l.hold(v.Until, text)
		case CutAfter:
			return
		}
	}
}

func (l *link) hold(until <-chan struct{}, text string) {
	defer l.proxy.wg.Done()
	select {
	case <-until:
		l.send(text)
	case <-l.proxy.closed:
	}
}

func (l *link) send(text string) {
	l.out.Lock()
	defer l.out.Unlock()
	l.client.Write(hlr.AppendFrame(nil, text))
}
