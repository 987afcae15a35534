package hlr

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// maxLine bounds a line of VTY output; the longest real one has about 250 octets.
const maxLine = 4096

// maxPrompt bounds a prompt: a host name of 64 octets, the mode and a space.
const maxPrompt = 66

// VTY is a connection to the element's command line. Its methods take turns.
type VTY struct {
	conn   net.Conn
	in     *telnetReader
	prompt string // of the privileged mode, "OsmoHLR# "
	turn   chan struct{}
	broken error // set by the holder of the turn
	// patience is how long the element may say nothing, where the context sets no limit. A
	// table of a million rows takes its time: it is each line that must come.
	patience time.Duration
}

// DialVTY connects to addr ("host:4258") and enters the privileged mode.
func DialVTY(ctx context.Context, addr string) (*VTY, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, &Error{Kind: NotSent, Command: "connect to " + addr, Cause: err}
	}
	v := &VTY{conn: conn, in: newTelnetReader(conn), turn: make(chan struct{}, 1), patience: patience}
	err = v.login(ctx)
	if err != nil {
		conn.Close()
		return nil, err
	}
	v.turn <- struct{}{}
	return v, nil
}

var viewPrompt = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}> $`)

// login learns the host name from the first prompt and becomes privileged.
func (v *VTY) login(ctx context.Context) error {
	_, stop := v.limit(ctx)
	defer stop()
	first, err := v.in.until(viewPrompt.MatchString, func(string) error { return nil })
	if err != nil {
		return v.fail(ctx, "login", err)
	}
	v.prompt = strings.TrimSuffix(first, "> ") + "# "
	lines, err := v.command(ctx, "enable")
	if err != nil {
		return err
	}
	if len(lines) > 0 {
		return &Error{Kind: Refused, Command: "enable", Text: lines[0]}
	}
	return nil
}

// Close ends the connection.
func (v *VTY) Close() error { return v.conn.Close() }

// Access is the network access mode of a subscriber: the domains that it may use.
type Access struct{ CS, PS bool }

// String gives the word of the command line.
func (a Access) String() string {
	switch {
	case a.CS && a.PS:
		return "cs+ps"
	case a.CS:
		return "cs"
	case a.PS:
		return "ps"
	}
	return "none"
}

// SetAccess sets the network access mode and, unlike the control interface, tells the nodes that serve the phone now: each domain
// taken away is a DeleteSubscriberData. Errors: NoSubscriber, InvalidIMSI.
func (v *VTY) SetAccess(ctx context.Context, imsi string, a Access) error {
	if err := checkIMSI(imsi); err != nil {
		return err
	}
	return v.update(ctx, imsi, "network-access-mode "+a.String(), Refused)
}

// SetMSISDN gives the subscriber a number, or takes it away if msisdn is empty, and sends InsertSubscriberData to the nodes that
// serve the phone now. Errors: NumberInUse, NoSubscriber, InvalidIMSI, InvalidValue.
func (v *VTY) SetMSISDN(ctx context.Context, imsi, msisdn string) error {
	if err := checkIMSI(imsi); err != nil {
		return err
	}
	if msisdn == "" {
		msisdn = "none"
	}
	if msisdn != "none" && !digits(msisdn, 1, 15) {
		return MSISDNCommand(imsi, msisdn).invalid("an MSISDN has 1 to 15 digits")
	}
	return v.update(ctx, imsi, "msisdn "+msisdn, NumberInUse)
}

// update runs "subscriber imsi X update WHAT" and classifies the lines that begin with a percent sign; failure is the kind of
// "% Error: cannot update".
func (v *VTY) update(ctx context.Context, imsi, what string, failure Kind) error {
	release, err := v.take(ctx, what)
	if err != nil {
		return err
	}
	defer release()
	command := "subscriber imsi " + imsi + " update " + what
	lines, err := v.command(ctx, command)
	if err != nil {
		return err
	}
	for _, line := range lines {
		switch {
		case strings.HasPrefix(line, "% Updated subscriber"):
		case strings.HasPrefix(line, "% No subscriber for"):
			return &Error{Kind: NoSubscriber, Command: command, Text: line}
		case strings.HasPrefix(line, "% Error: cannot update"):
			return &Error{Kind: failure, Command: command, Text: line}
		default:
			return &Error{Kind: Refused, Command: command, Text: line}
		}
	}
	return nil
}

// Subscribers lists all subscribers in the order of their ids, as one consistent table. It streams: the table of a million subscribers
// needs no memory. The last pair has an error if the table is incomplete. Stopping early closes the connection.
// The loop must not use the same VTY.
func (v *VTY) Subscribers(ctx context.Context) iter.Seq2[Subscriber, error] {
	return func(yield func(Subscriber, error) bool) {
		const command = "show subscribers all"
		release, err := v.take(ctx, command)
		if err != nil {
			yield(Subscriber{}, err)
			return
		}
		defer release()
		stopped := false
		t := table{row: func(s Subscriber) error {
			if !yield(s, nil) {
				stopped = true
				return errStopped
			}
			return nil
		}}
		err = v.run(ctx, command, t.line)
		if err == nil {
			err = t.complete()
		}
		if err != nil && !stopped {
			yield(Subscriber{}, err)
		}
	}
}

var errStopped = errors.New("the reader of the table stopped")

// take waits for the turn to use the connection.
func (v *VTY) take(ctx context.Context, command string) (release func(), err error) {
	select {
	case <-v.turn:
	case <-ctx.Done():
		return nil, &Error{Kind: NotSent, Command: command, Cause: ctx.Err()}
	}
	if v.broken != nil {
		v.turn <- struct{}{}
		return nil, &Error{Kind: NotSent, Command: command, Cause: v.broken}
	}
	return func() { v.turn <- struct{}{} }, nil
}

// command runs one command and returns its output lines.
func (v *VTY) command(ctx context.Context, command string) ([]string, error) {
	var lines []string
	err := v.run(ctx, command, func(line string) error {
		if len(lines) == 1000 {
			return errors.New("more than 1000 lines")
		}
		lines = append(lines, line)
		return nil
	})
	return lines, err
}

// run sends one command and hands its output to line, without the echo. After a failure the place in the stream is lost and the
// connection is closed.
func (v *VTY) run(ctx context.Context, command string, line func(string) error) error {
	goOn, stop := v.limit(ctx)
	defer stop()
	if _, err := io.WriteString(v.conn, command+"\n"); err != nil {
		return v.fail(ctx, command, err)
	}
	echoed := false
	_, err := v.in.until(func(s string) bool { return s == v.prompt }, func(s string) error {
		if !echoed {
			echoed = true
			if !strings.HasSuffix(s, command) {
				return fmt.Errorf("%w: the command is not echoed", Protocol)
			}
			return nil
		}
		defer goOn()
		return line(s)
	})
	if err != nil {
		return v.fail(ctx, command, err)
	}
	return nil
}

// limit ends reads and writes with the context, or when nothing came for too long since
// goOn was called last.
func (v *VTY) limit(ctx context.Context) (goOn, stop func()) {
	deadline, limited := ctx.Deadline()
	if limited {
		v.conn.SetDeadline(deadline)
		goOn = func() {}
	} else {
		goOn = func() {
			v.conn.SetDeadline(time.Now().Add(v.patience))
			if ctx.Err() != nil { // the hook may have run before
				v.conn.SetDeadline(time.Unix(1, 0))
			}
		}
		goOn()
	}
	cancelled := make(chan struct{})
	unhook := context.AfterFunc(ctx, func() {
		v.conn.SetDeadline(time.Unix(1, 0))
		close(cancelled)
	})
	return goOn, func() {
		if !unhook() {
			<-cancelled
		}
	}
}

func (v *VTY) fail(ctx context.Context, command string, err error) error {
	v.conn.Close()
	v.broken = err
	kind := Lost
	var timeout net.Error
	switch {
	case errors.Is(err, Protocol):
		kind = Protocol
	case ctx.Err() != nil, errors.As(err, &timeout) && timeout.Timeout():
		kind = Timeout
	}
	return &Error{Kind: kind, Command: command, Cause: err}
}

// table reads the lines of "show subscribers all". The header is repeated below a long table.
type table struct {
	row   func(Subscriber) error
	rows  int
	shown int
	ended bool
}

func (t *table) line(line string) error {
	line = strings.TrimRight(line, " ")
	switch {
	case line == "", strings.HasPrefix(line, "ID "), strings.HasPrefix(line, "-----"):
		return nil
	case line == "% No matching subscriber(s)":
		t.ended = true
		return nil
	}
	if n, ok := strings.CutPrefix(line, " Subscribers Shown: "); ok {
		shown, err := strconv.Atoi(n)
		if err != nil {
			return fmt.Errorf("%w: the number of subscribers is malformed", Protocol)
		}
		t.shown, t.ended = shown, true
		return nil
	}
	s, err := parseRow(line)
	if err != nil {
		return err
	}
	t.rows++
	return t.row(s)
}

// complete checks the row count below the table against the rows that came.
func (t *table) complete() error {
	if t.ended && t.rows == t.shown {
		return nil
	}
	return &Error{Kind: Protocol, Command: "show subscribers all",
		Text: fmt.Sprintf("%d rows came, %d were announced", t.rows, t.shown)}
}

// parseRow decodes "id msisdn imsi imei nam"; nam is CS, PS, CSPS or nothing, an unknown imei is dashes.
func parseRow(line string) (Subscriber, error) {
	f := strings.Fields(line)
	if len(f) != 4 && len(f) != 5 {
		return Subscriber{}, fmt.Errorf("%w: a row of %d columns", Protocol, len(f))
	}
	id, err := strconv.ParseInt(f[0], 10, 64)
	if err != nil || id < 1 || !digits(f[2], 1, 15) || f[1] != "none" && !digits(f[1], 1, 15) {
		return Subscriber{}, fmt.Errorf("%w: a malformed row", Protocol)
	}
	s := Subscriber{ID: id, IMSI: f[2]}
	if f[1] != "none" {
		s.MSISDN = f[1]
	}
	if strings.Trim(f[3], "-") != "" {
		s.IMEI = f[3]
	}
	if len(f) == 4 {
		return s, nil
	}
	switch f[4] {
	case "CS":
		s.CS = true
	case "PS":
		s.PS = true
	case "CSPS":
		s.CS, s.PS = true, true
	default:
		return Subscriber{}, fmt.Errorf("%w: an unknown network access mode", Protocol)
	}
	return s, nil
}

// telnetReader splits telnet output into lines and drops the option negotiation (RFC 854).
type telnetReader struct {
	r    *bufio.Reader
	line []byte
}

func newTelnetReader(r io.Reader) *telnetReader {
	return &telnetReader{r: bufio.NewReaderSize(r, 32<<10)}
}

// until hands each complete line to line and returns the unfinished one as soon as prompt accepts it.
func (t *telnetReader) until(prompt func(string) bool, line func(string) error) (string, error) {
	for {
		b, err := t.next()
		if err != nil {
			return "", err
		}
		switch b {
		case '\n':
			s := string(t.line)
			t.line = t.line[:0]
			if err := line(s); err != nil {
				return "", err
			}
			continue
		case '\r', 0:
			continue
		}
		if len(t.line) == maxLine {
			return "", fmt.Errorf("%w: a line of more than %d octets", Protocol, maxLine)
		}
		t.line = append(t.line, b)
		if b == ' ' && len(t.line) <= maxPrompt && prompt(string(t.line)) {
			s := string(t.line)
			t.line = t.line[:0]
			return s, nil
		}
	}
}

// Telnet command octets (RFC 854).
const (
	telnetIAC  = 255
	telnetSB   = 250
	telnetSE   = 240
	telnetWill = 251 // WILL, WONT, DO, DONT are 251 to 254 and carry an option octet
)

// next returns the next octet of text.
func (t *telnetReader) next() (byte, error) {
	for {
		b, err := t.r.ReadByte()
		if err != nil || b != telnetIAC {
			return b, err
		}
		verb, err := t.r.ReadByte()
		switch {
		case err != nil:
			return 0, err
		case verb == telnetIAC:
			return telnetIAC, nil
		case verb == telnetSB:
			err = t.skipSubnegotiation()
		case verb >= telnetWill:
			_, err = t.r.ReadByte()
		}
		if err != nil {
			return 0, err
		}
	}
}

func (t *telnetReader) skipSubnegotiation() error {
	var last byte
	for {
		b, err := t.r.ReadByte()
		if err != nil {
			return err
		}
		if last == telnetIAC && b == telnetSE {
			return nil
		}
		last = b
	}
}
