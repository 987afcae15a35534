package hlr

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// FuzzCTRL feeds a stream of frames: whatever decodes must encode to the octets it came from.
func FuzzCTRL(f *testing.F) {
	f.Add(AppendFrame(AppendFrame(nil, "SET_REPLY 1 subscriber.create 1"), "ERROR 2 No such subscriber."))
	f.Add(AppendFrame(nil, "GET_REPLY 6 subscriber.by-id-1.info \nid\t1\nimsi\t240010000000001\nnam_cs\t1\nnam_ps\t0"))
	f.Add([]byte{0, 1, ProtoIPA, 0})
	f.Add([]byte{0, 0, ProtoOsmo})
	f.Add([]byte{0xff, 0xff, ProtoOsmo, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bufio.NewReader(bytes.NewReader(b))
		var again []byte
		for {
			whole := FrameBuffered(r)
			fr, err := ReadFrame(r, maxReply)
			if err != nil {
				if whole && len(b) <= maxReply {
					t.Fatalf("a whole frame is not read: %v", err)
				}
				break
			}
			if len(fr.Body) > maxReply {
				t.Fatal("the limit is not kept")
			}
			again = append(again, byte(len(fr.Body)>>8), byte(len(fr.Body)), fr.Proto)
			again = append(again, fr.Body...)
			text, ok := fr.Text()
			if !ok {
				continue
			}
			a, err := parseAnswer(text)
			if err != nil {
				continue
			}
			if s, err := ParseInfo(a.value); err == nil && (s.ID == 0 || s.IMSI == "") {
				t.Fatalf("a subscriber without identity: %+v", s)
			}
			ParseAuth(a.value)
		}
		if !bytes.HasPrefix(b, again) {
			t.Fatalf("%x becomes %x", b, again)
		}
	})
}

const tableHead = "ID     MSISDN        IMSI              IMEI              NAM\r\n" +
	"-----  ------------  ----------------  ----------------  -----\r\n"

// FuzzVTY feeds the output of the command line: a table that is accepted has as many rows as it announces.
func FuzzVTY(f *testing.F) {
	f.Add([]byte("\xff\xfb\x01\xff\xfd\x1f" + tableHead + "1      none          001010000000001    -------------    CSPS  \r\n" +
		" Subscribers Shown: 1\r\nOsmoHLR# "))
	f.Add([]byte(tableHead + "% No matching subscriber(s)\r\nOsmoHLR# "))
	f.Add([]byte("\xff\xfa\x1f\x00\x50\xff\xf0" + tableHead + "7 1 123456 35693803564380 \r\n Subscribers Shown: 1\r\nOsmoHLR# "))
	f.Fuzz(func(t *testing.T, b []byte) {
		rows := 0
		tab := table{row: func(s Subscriber) error {
			if s.ID < 1 || s.IMSI == "" || strings.ContainsAny(s.IMSI+s.MSISDN, " \r\n") {
				t.Fatalf("row %+v", s)
			}
			rows++
			return nil
		}}
		in := newTelnetReader(bytes.NewReader(b))
		_, err := in.until(func(s string) bool { return s == "OsmoHLR# " }, tab.line)
		if err == nil && tab.complete() == nil && rows != tab.shown {
			t.Fatalf("%d rows, %d announced", rows, tab.shown)
		}
	})
}

// Tables and rows that must not pass.
func TestMalformedTables(t *testing.T) {
	for name, text := range map[string]string{
		"fewer rows than announced": tableHead + " Subscribers Shown: 1\r\n",
		"no end":                    tableHead + "1 none 240010000000001 ---- CSPS\r\n",
		"foreign line":              tableHead + "hello world\r\n Subscribers Shown: 0\r\n",
		"bad mode":                  tableHead + "1 none 240010000000001 ---- XX\r\n Subscribers Shown: 1\r\n",
		"bad imsi":                  tableHead + "1 none 2400a ---- CS\r\n Subscribers Shown: 1\r\n",
		"long line":                 strings.Repeat("x", maxLine+1) + "\r\n",
	} {
		tab := table{row: func(Subscriber) error { return nil }}
		in := newTelnetReader(strings.NewReader(text + "OsmoHLR# "))
		_, err := in.until(func(s string) bool { return s == "OsmoHLR# " }, tab.line)
		if err == nil {
			err = tab.complete()
		}
		if !errors.Is(err, Protocol) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A table that takes longer than the patience is read to its end as long as rows come, also
// by who takes long over each of them; one that stops coming is given up.
func TestALongTableIsReadToItsEnd(t *testing.T) {
	const rows, pace = 8, 60 * time.Millisecond
	for _, stops := range []bool{false, true} {
		v := scripted(t, func(c net.Conn, in *bufio.Scanner) {
			io.WriteString(c, "OsmoHLR> ")
			in.Scan() // enable
			io.WriteString(c, "enable\r\nOsmoHLR# ")
			in.Scan()
			io.WriteString(c, in.Text()+"\r\n"+tableHead)
			for i := range rows {
				time.Sleep(pace) // the element's own pace is what is tested
				fmt.Fprintf(c, "%d none 24001000000000%d ---- CSPS\r\n", i+1, i)
				if stops && i == 3 {
					in.Scan() // until the client goes
					return
				}
			}
			fmt.Fprintf(c, " Subscribers Shown: %d\r\nOsmoHLR# ", rows)
		})
		v.patience = 4 * pace
		got, failed := 0, error(nil)
		for _, err := range v.Subscribers(t.Context()) {
			if failed = err; err == nil {
				got++
			}
		}
		if !stops && (got != rows || failed != nil) {
			t.Errorf("%d of %d rows, %v", got, rows, failed)
		}
		if stops && (got != 4 || !errors.Is(failed, Timeout)) {
			t.Errorf("of a table that stops: %d rows, %v", got, failed)
		}
	}
}

// scripted is a command line whose other side is f.
func scripted(t *testing.T, f func(c net.Conn, in *bufio.Scanner)) *VTY {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		f(c, bufio.NewScanner(c))
	}()
	v, err := DialVTY(t.Context(), l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { v.Close() })
	return v
}
