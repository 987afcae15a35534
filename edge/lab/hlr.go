package lab

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"tandem/edge/hlr"
)

const (
	maxBatch = 256  // commands decided under one lock and journalled in one write
	maxBody  = 1196 // of a CTRL frame; the real element does not survive a longer one
	maxConns = 256
)

// HLRConfig says where a register lives. An empty address is a free port on the loopback interface.
type HLRConfig struct {
	Dir      string // journal; made if absent
	CTRLAddr string // "127.0.0.1:4259"
	VTYAddr  string // "127.0.0.1:4258"
	Faults   Faults // nil: none
}

// HLR is a running register.
type HLR struct {
	store  *store
	ctrl   net.Listener
	vty    net.Listener
	faults atomic.Pointer[Faults]
	wg     sync.WaitGroup
	closed chan struct{}
	unhook func() bool

	mu    sync.Mutex
	conns map[net.Conn]bool // nil once closed
}

// StartHLR loads the directory and serves until Close or the end of the context.
func StartHLR(ctx context.Context, cfg HLRConfig) (*HLR, error) {
	s, err := openStore(cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("lab HLR: %w", err)
	}
	h := &HLR{store: s, closed: make(chan struct{}), conns: map[net.Conn]bool{}}
	if h.ctrl, err = listen(cfg.CTRLAddr); err != nil {
		s.close()
		return nil, fmt.Errorf("lab HLR: %w", err)
	}
	if h.vty, err = listen(cfg.VTYAddr); err != nil {
		h.ctrl.Close()
		s.close()
		return nil, fmt.Errorf("lab HLR: %w", err)
	}
	h.SetFaults(cfg.Faults)
	h.wg.Add(2)
	go h.accept(h.ctrl, h.serveCTRL)
	go h.accept(h.vty, h.serveVTY)
	h.unhook = context.AfterFunc(ctx, h.stop)
	return h, nil
}

func listen(addr string) (net.Listener, error) {
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	return net.Listen("tcp", addr)
}

// Addr is the address of the control interface.
func (h *HLR) Addr() string { return h.ctrl.Addr().String() }

// VTYAddr is the address of the command line.
func (h *HLR) VTYAddr() string { return h.vty.Addr().String() }

// SetFaults replaces the fault chooser; nil is none.
func (h *HLR) SetFaults(f Faults) {
	if f == nil {
		f = func(hlr.Command) Fault { return Fault{} }
	}
	h.faults.Store(&f)
}

// Close ends all connections and returns when nothing runs any more. What was answered is in the journal; the error tells why
// the journal could not be written, if so.
func (h *HLR) Close() error {
	h.unhook()
	h.stop()
	h.wg.Wait()
	h.store.mu.Lock()
	defer h.store.mu.Unlock()
	h.store.close()
	return h.store.broken
}

func (h *HLR) stop() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.conns == nil {
		return
	}
	close(h.closed)
	h.ctrl.Close()
	h.vty.Close()
	for c := range h.conns {
		c.Close()
	}
	h.conns = nil
}

func (h *HLR) accept(l net.Listener, serve func(net.Conn)) {
	defer h.wg.Done()
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		if !h.admit(conn) {
			conn.Close()
			continue
		}
		go func() {
			defer h.dismiss(conn)
			serve(conn)
		}()
	}
}

func (h *HLR) admit(conn net.Conn) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.conns == nil || len(h.conns) >= maxConns {
		return false
	}
	h.conns[conn] = true
	h.wg.Add(1)
	return true
}

func (h *HLR) dismiss(conn net.Conn) {
	conn.Close()
	h.mu.Lock()
	delete(h.conns, conn)
	h.mu.Unlock()
	h.wg.Done()
}

// ctrlConn is one connection of the control interface.
type ctrlConn struct {
	hlr  *HLR
	conn net.Conn
	in   *bufio.Reader
	out  sync.Mutex // one writer: the loop or a late reply
}

func (h *HLR) serveCTRL(conn net.Conn) {
	c := &ctrlConn{hlr: h, conn: conn, in: bufio.NewReaderSize(conn, 64<<10)}
	for {
		batch, err := c.readBatch()
		if err != nil {
			return
		}
		replies, err := h.store.answerAll(batch)
		if err != nil || !c.send(batch, replies) {
			return
		}
	}
}

// readBatch waits for one frame and takes along what has arrived behind it.
func (c *ctrlConn) readBatch() ([]request, error) {
	var batch []request
	for len(batch) == 0 || len(batch) < maxBatch && hlr.FrameBuffered(c.in) {
		f, err := hlr.ReadFrame(c.in, maxBody)
		if err != nil {
			return nil, err
		}
		if f.Proto == hlr.ProtoIPA {
			c.pong(f.Body)
			continue
		}
		text, ok := f.Text()
		if !ok {
			return nil, errors.New("a protocol other than CTRL")
		}
		r := parseRequest(text)
		if r.err == "" {
			r.flaw = (*c.hlr.faults.Load())(r.cmd)
		}
		batch = append(batch, r)
	}
	return batch, nil
}

// pong answers an IPA ping.
func (c *ctrlConn) pong(body []byte) {
	if len(body) == 1 && body[0] == 0 {
		c.write([]byte{0, 1, hlr.ProtoIPA, 1})
	}
}

// answerAll executes a batch, as far as no fault keeps it from that, and returns when its changes are in the journal.
func (s *store) answerAll(batch []request) ([]string, error) {
	replies := make([]string, len(batch))
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, r := range batch {
		switch r.flaw.Action {
		case CloseBefore:
			return replies, s.flush()
		case LoseCommand:
			continue
		case Refuse:
			replies[i] = "ERROR " + r.id + " " + r.flaw.Text
			continue
		}
		replies[i] = s.answer(r)
		if r.flaw.Action == CloseAfter {
			return replies, s.flush()
		}
	}
	return replies, s.flush()
}

// send writes the replies of a batch and returns false when the connection has to close.
func (c *ctrlConn) send(batch []request, replies []string) bool {
	out := make([]byte, 0, 96*len(replies))
	for i, r := range batch {
		switch r.flaw.Action {
		case NoFault, Refuse:
			out = hlr.AppendFrame(out, replies[i])
		case LateReply:
			c.hlr.wg.Add(1)
			go c.sendLate(r.flaw, replies[i])
		case CloseBefore, CloseAfter:
			c.write(out)
			return false
		}
	}
	return c.write(out)
}

func (c *ctrlConn) sendLate(f Fault, reply string) {
	defer c.hlr.wg.Done()
	timer := time.NewTimer(f.Delay)
	defer timer.Stop()
	due := timer.C
	if f.Until != nil {
		due = nil
	}
	select {
	case <-due:
	case <-f.Until:
	case <-c.hlr.closed:
		return
	}
	c.write(hlr.AppendFrame(nil, reply))
}

func (c *ctrlConn) write(b []byte) bool {
	c.out.Lock()
	defer c.out.Unlock()
	if len(b) == 0 {
		return true
	}
	_, err := c.conn.Write(b)
	return err == nil
}
