package lab

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
)

const (
	maxVTYLine  = 1024
	rowsAtATime = 4096 // of a table under one lock
)

// vtyConn is one telnet session on the command line.
type vtyConn struct {
	hlr        *HLR
	in         *bufio.Reader
	out        *bufio.Writer
	privileged bool
}

// greeting ends with the telnet options that osmo-hlr offers: WILL ECHO, WILL SUPPRESS-GO-AHEAD, DON'T LINEMODE, DO NAWS.
const greeting = "Welcome to the OsmoHLR VTY interface\r\n\r\nLab register of Tandem\r\n" +
	"\xff\xfb\x01\xff\xfb\x03\xff\xfe\x22\xff\xfd\x1f"

func (h *HLR) serveVTY(conn net.Conn) {
	v := &vtyConn{hlr: h, in: bufio.NewReader(conn), out: bufio.NewWriterSize(conn, 64<<10)}
	v.out.WriteString(greeting)
	for {
		v.prompt()
		if v.out.Flush() != nil {
			return
		}
		line, err := v.readLine()
		if err != nil {
			return
		}
		v.out.WriteString(line + "\r\n")
		if !v.run(strings.Fields(line)) {
			v.out.Flush()
			return
		}
	}
}

func (v *vtyConn) prompt() {
	if v.privileged {
		v.out.WriteString("OsmoHLR# ")
		return
	}
	v.out.WriteString("OsmoHLR> ")
}

// readLine reads what was typed, without telnet commands (RFC 854), up to a line feed or a carriage return.
func (v *vtyConn) readLine() (string, error) {
	var line []byte
	for {
		b, err := v.in.ReadByte()
		switch {
		case err != nil:
			return "", err
		case b == '\n' || b == '\r':
			return string(line), nil
		case b == 0xff:
			if err := v.skipOption(); err != nil {
				return "", err
			}
			continue
		case b < 0x20 || b > 0x7e:
			continue
		}
		if len(line) == maxVTYLine {
			return "", errors.New("the line is too long")
		}
		line = append(line, b)
	}
}

// skipOption skips what follows an IAC octet.
func (v *vtyConn) skipOption() error {
	verb, err := v.in.ReadByte()
	if err != nil || verb < 250 || verb == 0xff {
		return err
	}
	if verb > 250 { // WILL, WONT, DO, DONT
		_, err = v.in.ReadByte()
		return err
	}
	for verb != 240 { // subnegotiation up to SE
		if verb, err = v.in.ReadByte(); err != nil {
			return err
		}
	}
	return nil
}

// run executes one command line; false ends the session.
func (v *vtyConn) run(words []string) bool {
	line := strings.Join(words, " ")
	switch {
	case line == "":
	case line == "enable":
		v.privileged = true
	case line == "disable":
		v.privileged = false
	case line == "exit" || line == "quit":
		return false
	case line == "show subscribers all":
		v.showAll()
	case v.privileged && len(words) > 3 && words[0] == "subscriber":
		return v.subscriber(words[1], words[2], strings.Join(words[3:], " "))
	default:
		v.out.WriteString("% Unknown command.\r\n")
	}
	return true
}

// subscriber runs "subscriber imsi|msisdn|id X WHAT"; false ends the session because the journal cannot be written.
func (v *vtyConn) subscriber(kind, value, what string) bool {
	s := v.hlr.store
	s.mu.Lock()
	defer s.mu.Unlock()
	if kind == "imsi" && what == "create" {
		v.out.WriteString(s.vtyCreate(value))
		return s.flush() == nil
	}
	id, refused := s.find("by-" + kind + "-" + value)
	if refused != "" {
		fmt.Fprintf(v.out, "%% No subscriber for %s = '%s'\r\n", kind, value)
		return true
	}
	v.out.WriteString(s.vtyChange(id, what))
	return s.flush() == nil
}

func (s *store) vtyCreate(value string) string {
	imsi, ok := parseNumber(value, 6)
	if !ok {
		return "% Not a valid IMSI: " + value + "\r\n"
	}
	if _, exists := s.byIMSI[imsi]; exists {
		return "% Subscriber already exists for IMSI = " + value + "\r\n"
	}
	id := s.create(imsi)
	return fmt.Sprintf("%% Created subscriber %s\r\n    ID: %d\r\n    IMSI: %s\r\n    MSISDN: none\r\n", value, id, value)
}

func (s *store) vtyChange(id uint32, what string) string {
	row := s.rows[id]
	if what == "delete" {
		s.erase(id)
		return "% Deleted subscriber for IMSI '" + row.imsi.String() + "'\r\n"
	}
	if mode, ok := strings.CutPrefix(what, "update network-access-mode "); ok {
		cs, csOK := map[string]bool{"none": false, "cs": true, "ps": false, "cs+ps": true}[mode]
		if csOK {
			row.cs, row.ps = cs, strings.HasSuffix(mode, "ps")
			s.save(id, row)
			return ""
		}
	}
	if msisdn, ok := strings.CutPrefix(what, "update msisdn "); ok {
		return s.vtyMSISDN(id, row.imsi, msisdn)
	}
	return "% Unknown command.\r\n"
}

func (s *store) vtyMSISDN(id uint32, imsi number, msisdn string) string {
	if _, ok := parseNumber(msisdn, 1); !ok && msisdn != "none" {
		return "% MSISDN invalid: '" + msisdn + "'\r\n"
	}
	if s.setMSISDN(id, msisdn) != "" {
		return "% Error: cannot update MSISDN for subscriber IMSI='" + imsi.String() + "'\r\n"
	}
	if msisdn == "none" {
		return "% Updated subscriber IMSI='" + imsi.String() + "': removed MSISDN\r\n"
	}
	return "% Updated subscriber IMSI='" + imsi.String() + "' to MSISDN='" + msisdn + "'\r\n"
}

const (
	tableHead = "ID     MSISDN        IMSI              IMEI              NAM\r\n"
	tableRule = "-----  ------------  ----------------  ----------------  -----\r\n"
	longTable = 40 // rows from which on the head is repeated below
)

// showAll prints the table of all subscribers. It takes the lock for some thousand rows at a time: a long table does not hold up
// the control interface, and a change during the printing may or may not be in it.
func (v *vtyConn) showAll() {
	v.out.WriteString(tableHead + tableRule)
	shown, next := 0, 1
	for next > 0 {
		var page []byte
		var rows int
		page, rows, next = v.hlr.store.page(next)
		shown += rows
		if _, err := v.out.Write(page); err != nil {
			return
		}
	}
	if shown == 0 {
		v.out.WriteString("% No matching subscriber(s)\r\n")
		return
	}
	if shown > longTable {
		v.out.WriteString(tableRule + tableHead)
	}
	v.out.WriteString(" Subscribers Shown: " + strconv.Itoa(shown) + "\r\n")
}

// page formats the rows from id on; next is 0 after the last.
func (s *store) page(from int) (page []byte, rows, next int) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	end := min(from+rowsAtATime, len(s.rows))
	for id := from; id < end; id++ {
		row := &s.rows[id]
		if row.imsi == 0 {
			continue
		}
		cs, ps := "  ", "  "
		if row.cs {
			cs = "CS"
		}
		if row.ps {
			ps = "PS"
		}
		page = fmt.Appendf(page, "%-5d  %-12s  %-16s  %-16s  %s%s  \r\n", id, row.msisdn, row.imsi, " -------------", cs, ps)
		rows++
	}
	if end == len(s.rows) {
		return page, rows, 0
	}
	return page, rows, end
}
