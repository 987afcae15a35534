package hlr

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"
)

const (
	// window is how many commands go out in one write. The element queues at most 100 replies for a connection and drops
	// the rest, so more must never be under way.
	window = 64
	// maxReply bounds the body of a reply; the longest real one (info-all) has about 400 octets.
	maxReply = 16 << 10
	// patience is the time for a Do whose context has no deadline.
	patience = 10 * time.Second
)

// Client is one CTRL connection. Its methods may be called concurrently; they take turns. A Client whose connection is gone
// stays so: every call returns NotSent, and the caller dials again.
type Client struct {
	conn net.Conn
	turn chan struct{} // holds one token: the right to write
	gone chan struct{} // closed when the reader has ended

	mu      sync.Mutex
	waiting map[uint32]*call
	lost    error // why the connection ended
	lastID  uint32
}

// call is a command under way. Its reply is written under Client.mu.
type call struct {
	cmd   Command
	reply *Reply
	batch *batch
}

type batch struct {
	open     int // unanswered commands
	answered chan struct{}
}

// Dial connects to addr ("host:4259"). The context limits the connecting only.
func Dial(ctx context.Context, addr string) (*Client, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, &Error{Kind: NotSent, Command: "connect to " + addr, Cause: err}
	}
	c := &Client{
		conn:    conn,
		turn:    make(chan struct{}, 1),
		gone:    make(chan struct{}),
		waiting: map[uint32]*call{},
	}
	c.turn <- struct{}{}
	go c.read()
	return c, nil
}

// Close ends the connection and waits for the reader. Commands under way end with Lost.
func (c *Client) Close() error {
	err := c.conn.Close()
	<-c.gone
	return err
}

// Do sends the commands in their order, many in one write, and returns one Reply for each, in the same order. A refused command does
// not stop those behind it. The error is nil when the element answered every command, be it with a refusal; otherwise it is
// the first failure (NotSent, Lost, Timeout, Protocol; InvalidValue when a command cannot be encoded and nothing was sent)
// and each Reply.Err tells how far its own command came. A context without a deadline gets 10 seconds.
func (c *Client) Do(ctx context.Context, cmds ...Command) ([]Reply, error) {
	replies := make([]Reply, len(cmds))
	for _, cmd := range cmds {
		if err := cmd.check(); err != nil {
			failAll(cmds, replies, NotSent, err)
			return replies, err
		}
	}
	if _, limited := ctx.Deadline(); !limited {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, patience)
		defer cancel()
	}
	select {
	case <-c.turn:
		defer func() { c.turn <- struct{}{} }()
	case <-ctx.Done():
		return replies, failAll(cmds, replies, NotSent, ctx.Err())
	}
	for len(cmds) > 0 {
		n := min(window, len(cmds))
		done := len(replies) - len(cmds)
		if err := c.exchange(ctx, cmds[:n], replies[done:done+n]); err != nil {
			failAll(cmds[n:], replies[done+n:], NotSent, err)
			return replies, err
		}
		cmds = cmds[n:]
	}
	return replies, nil
}

// failAll gives each reply the same failure and returns the first one.
func failAll(cmds []Command, replies []Reply, kind Kind, cause error) error {
	var first error
	for i, cmd := range cmds {
		err := &Error{Kind: kind, Command: cmd.name(), Cause: cause}
		replies[i].Err = err
		if first == nil {
			first = err
		}
	}
	return first
}

// exchange writes one window of commands and waits for their replies.
func (c *Client) exchange(ctx context.Context, cmds []Command, replies []Reply) error {
	if ctx.Err() != nil {
		return failAll(cmds, replies, NotSent, ctx.Err())
	}
	b := &batch{open: len(cmds), answered: make(chan struct{})}
	first, err := c.register(b, cmds, replies)
	if err != nil {
		return failAll(cmds, replies, NotSent, err)
	}
	out := make([]byte, 0, 160*len(cmds))
	ends := make([]int, len(cmds))
	for i, cmd := range cmds {
		out = cmd.appendFrame(out, first+uint32(i))
		ends[i] = len(out)
	}
	deadline, _ := ctx.Deadline()
	c.conn.SetWriteDeadline(deadline)
	written, err := c.conn.Write(out)
	if err != nil {
		// Half a frame may be on the wire: nothing can follow it.
		c.conn.Close()
		<-c.gone
		return c.abandon(first, cmds, replies, func(i int) *Error {
			if ends[i] > written {
				return &Error{Kind: NotSent, Command: cmds[i].name(), Cause: err}
			}
			return &Error{Kind: Lost, Command: cmds[i].name(), Cause: err}
		})
	}
	select {
	case <-b.answered:
		return nil
	case <-c.gone:
		return c.abandon(first, cmds, replies, func(i int) *Error { return c.lostError(cmds[i]) })
	case <-ctx.Done():
		return c.abandon(first, cmds, replies, func(i int) *Error {
			return &Error{Kind: Timeout, Command: cmds[i].name(), Cause: ctx.Err()}
		})
	}
}

// register reserves consecutive ids for the commands and returns the first.
func (c *Client) register(b *batch, cmds []Command, replies []Reply) (uint32, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lost != nil {
		return 0, c.lost
	}
	if c.lastID > 1<<31 {
		c.lastID = 0
	}
	first := c.lastID + 1
	for i := range cmds {
		c.lastID++
		c.waiting[c.lastID] = &call{cmds[i], &replies[i], b}
	}
	return first, nil
}

// abandon fails the commands of a window that have no answer yet; a reply that comes later finds nobody waiting and is dropped.
func (c *Client) abandon(first uint32, cmds []Command, replies []Reply, failure func(i int) *Error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var firstErr error
	for i := range cmds {
		id := first + uint32(i)
		if c.waiting[id] == nil {
			continue
		}
		delete(c.waiting, id)
		err := failure(i)
		replies[i].Err = err
		if firstErr == nil {
			firstErr = err
		}
	}
	return firstErr
}

func (c *Client) lostError(cmd Command) *Error {
	kind := Lost
	if errors.Is(c.lost, Protocol) {
		kind = Protocol
	}
	return &Error{Kind: kind, Command: cmd.name(), Cause: c.lost}
}

// read hands each reply to the command that waits for it, until the connection ends.
func (c *Client) read() {
	defer close(c.gone)
	r := bufio.NewReaderSize(c.conn, 32<<10)
	var err error
	for err == nil {
		var f Frame
		if f, err = ReadFrame(r, maxReply); err == nil {
			err = c.deliver(f)
		}
	}
	c.conn.Close()
	c.mu.Lock()
	c.lost = err
	c.mu.Unlock()
}

// deliver matches a frame with its command. An error means that the stream cannot be trusted any more.
func (c *Client) deliver(f Frame) error {
	text, ok := f.Text()
	if !ok {
		return nil // link control or another protocol of the multiplex
	}
	a, err := parseAnswer(text)
	if err != nil {
		return fmt.Errorf("%w: %w", Protocol, err)
	}
	if a.verb == "TRAP" {
		return nil
	}
	id, err := strconv.ParseUint(a.id, 10, 32)
	if err != nil {
		return fmt.Errorf("%w: the element could not read a command: %.100q", Protocol, a.value)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	w := c.waiting[uint32(id)]
	if w == nil {
		return nil // the caller gave up before
	}
	if a.verb != "ERROR" && (a.variable != w.cmd.Var || a.verb != string(w.cmd.Verb)+"_REPLY") {
		return fmt.Errorf("%w: reply %d belongs to another command", Protocol, id)
	}
	delete(c.waiting, uint32(id))
	if a.verb == "ERROR" {
		w.reply.Err = refusal(w.cmd, a.value)
	}
	if a.verb != "ERROR" {
		w.reply.Value, w.reply.secret = a.value, w.cmd.secret()
	}
	w.batch.open--
	if w.batch.open == 0 {
		close(w.batch.answered)
	}
	return nil
}

// one sends a single command; a refusal is an error.
func (c *Client) one(ctx context.Context, cmd Command) (string, error) {
	replies, err := c.Do(ctx, cmd)
	if err != nil {
		return "", err
	}
	return replies[0].Value, replies[0].Err
}
