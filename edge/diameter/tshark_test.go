package diameter

import (
	"bytes"
	"encoding/binary"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"tandem/edge/credit"
)

// capture is a file of packets, written by hand: raw IPv4 with TCP, one message a segment.
type capture struct {
	b   []byte
	seq [2]uint32
}

func newCapture() *capture {
	var c capture
	for _, v := range []uint32{0xa1b2c3d4, 2 | 4<<16, 0, 0, 1 << 18, 101} {
		c.b = binary.LittleEndian.AppendUint32(c.b, v)
	}
	return &c
}

// add appends a message; side 0 is the client.
func (c *capture) add(side int, m []byte) {
	ports := [2]uint16{40000, 3868}
	var p []byte
	p = append(p, 0x45, 0)
	p = binary.BigEndian.AppendUint16(p, uint16(40+len(m)))
	p = append(p, 0, 0, 0, 0, 64, 6, 0, 0, 10, 0, 0, byte(1+side), 10, 0, 0, byte(2-side))
	p = binary.BigEndian.AppendUint16(p, ports[side])
	p = binary.BigEndian.AppendUint16(p, ports[1-side])
	p = binary.BigEndian.AppendUint32(p, c.seq[side])
	p = binary.BigEndian.AppendUint32(p, c.seq[1-side])
	p = append(p, 0x50, 0x18, 0xff, 0xff, 0, 0, 0, 0)
	p = append(p, m...)
	c.seq[side] += uint32(len(m))
	for _, v := range []uint32{1790000000, 0, uint32(len(p)), uint32(len(p))} {
		c.b = binary.LittleEndian.AppendUint32(c.b, v)
	}
	c.b = append(c.b, p...)
}

// tshark reads a capture and returns its lines.
func tshark(t *testing.T, c *capture, args ...string) []string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "d.pcap")
	if err := os.WriteFile(file, c.b, 0o600); err != nil {
		t.Fatal(err)
	}
	var out, complaints bytes.Buffer
	cmd := exec.Command("tshark", append([]string{"-n", "-r", file}, args...)...)
	cmd.Stdout, cmd.Stderr = &out, &complaints
	if err := cmd.Run(); err != nil {
		t.Fatalf("tshark: %v %s", err, complaints.String())
	}
	return strings.FieldsFunc(out.String(), func(r rune) bool { return r == '\n' })
}

// everything is a capture of each kind of message that client and server encode, by our own two ends.
func everything(t *testing.T) *capture {
	t.Helper()
	c := newCapture()
	id := newIdentity(ocsHost, ocsRealm, 7)
	q := typical()
	q.Subscribers = append(q.Subscribers, credit.Subscriber{Type: credit.SIPURI, ID: []byte("sip:a@b.test")})
	q.SubSession = 5
	q.Units[0].Want = credit.Units{Has: credit.HasTotal, Total: 1 << 30} // an empty group is legal, but frowned upon
	q.Units = append(q.Units, credit.Unit{HasGroup: true, Group: 11, Reason: credit.Condition, Triggers: []uint32{4},
		Used: []credit.Used{{Units: credit.Units{Has: credit.HasSeconds, Seconds: 9}, Change: credit.Before, At: 1_790_000_000_000_000}}})
	full := credit.Answer{Failover: true, Failure: credit.FailContinue, HasCost: true, Cost: 1_250_000_000, Currency: 978,
		HasRemaining: true, Remaining: -5, LowBalance: true, Refund: []byte("d"), Units: []credit.Granted{
			{HasGroup: true, Group: 10, Services: []uint32{4}, Grant: credit.Units{Has: credit.HasTotal, Total: 10 << 20}, Validity: 3600, HasHolding: true, Holding: 60,
				Threshold: credit.Units{Has: credit.HasTotal, Total: 1 << 20}, Change: 1_790_000_000_000_000, Pool: 3, Multiplier: 1e9, Arm: true, Triggers: []uint32{3}},
			{HasGroup: true, Group: 11, Grant: credit.Units{Has: credit.HasSeconds | credit.HasMoney, Seconds: 60, Money: 1, Currency: 978},
				Threshold: credit.Units{Has: credit.HasSeconds | credit.HasEvents, Seconds: 6, Events: 1},
				Final:     credit.FinalUnit{Action: credit.FinalRedirect, Type: credit.URL, Address: "https://top.up/"}},
			{HasGroup: true, Group: 12, Final: credit.FinalUnit{Action: credit.FinalRestrict, Filters: []string{"permit out ip from 10.0.0.1 to any", "portal"}}},
		}}
	event := credit.Request{Kind: credit.Event, Action: credit.Balance, Service: credit.SMS, Session: []byte("e"), Called: []byte("4788"), Calling: []byte("4799"), Incoming: true,
		Units: []credit.Unit{{Asked: true, Want: credit.Units{Has: credit.HasEvents, Events: 2}}}}
	voice := credit.Request{Kind: credit.Initial, Service: credit.Voice, Session: []byte("v"), Called: []byte("4788"), Calling: []byte("sip:a@b"), Incoming: true}
	record := data("r", credit.Update, 2, 99)
	head := appendBytes(appendBytes(newIdentity(pgwHost, pgwRealm, 3).origin, destinationRealm, ocsRealm), destinationHost, ocsHost)
	for _, x := range []struct {
		q          *credit.Request
		accounting bool
	}{{&q, false}, {&event, false}, {&voice, false}, {&record, true}} {
		m := appendRequest(nil, head, x.q, x.accounting, 1, 2)
		c.add(0, m)
		h, _ := parseHeader(m)
		var r reading
		var into credit.Request
		r.reset(&into, nil)
		if f := r.decode(h, m[headerSize:]); f != nil {
			t.Fatal(f)
		}
		c.add(1, appendAnswer(nil, &id, &h, &r, resultSuccess, &full, nil))
		c.add(1, appendAnswer(nil, &id, &h, &r, resultMissing, nil, absent(ccType, 4)))
		c.add(1, appendAnswer(nil, &id, &h, &r, resultBusy, nil, &flaw{resultBusy, nil, "too busy"}))
	}
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	own := newConn(&Server{id: id, cfg: Config{Product: "Tandem"}}, near)
	c.add(1, own.appendCEA(nil, &header{hop: 1, end: 1}, resultSuccess, nil))
	c.add(1, own.appendCEA(nil, &header{hop: 1, end: 1}, resultMissing, absent(originHost, 1)))
	own.open.Store(true)
	own.bye()
	c.add(1, own.out)
	for _, code := range []uint32{cmdWatchdog, cmdDisconnect} {
		c.add(1, id.appendBase(nil, &header{code: code, hop: 1, end: 1}, resultSuccess))
	}
	return c
}

// Another decoder finds nothing wrong in any message, and the same values.
func TestTshark(t *testing.T) {
	need(t, "tshark", "tshark")
	c := everything(t)
	if wrong := tshark(t, c, "-Y", "_ws.malformed || diameter && _ws.expert.severity >= 6291456", // warnings and errors
		"-T", "fields", "-e", "frame.number", "-e", "diameter.cmd.code", "-e", "_ws.expert.message"); len(wrong) > 0 {
		t.Errorf("tshark objects:\n%s", strings.Join(wrong, "\n"))
	}
	want := 4*4 + 5
	if got := tshark(t, c, "-Y", "diameter"); len(got) != want {
		t.Errorf("%d messages of %d are found", len(got), want)
	}
	fields := func(filter string, names ...string) string {
		args := []string{"-Y", filter, "-T", "fields"}
		for _, n := range names {
			args = append(args, "-e", "diameter."+n)
		}
		return strings.Join(tshark(t, c, args...), " | ")
	}
	q := typical()
	for _, c := range []struct{ filter, want, got string }{
		{"update", strings.Join([]string{string(q.Session), "2", "7", "32251@3gpp.org", "1073741824,5242880", "10,11", "3,6", "4", "06", "24201"}, "\t"),
			fields("diameter.CC-Request-Type == 2 && diameter.flags.request == 1", "Session-Id", "CC-Request-Type", "CC-Request-Number", "Service-Context-Id",
				"CC-Total-Octets", "Rating-Group", "3GPP-Reporting-Reason", "Trigger-Type", "3GPP-RAT-Type", "3GPP-SGSN-MCC-MNC")},
		{"grant", "10485760\t3600\t1048576\t60\t1,2\thttps://top.up/\t1,1,125,-5",
			fields("diameter.CC-Request-Type == 2 && diameter.Granted-Service-Unit", "CC-Total-Octets", "Validity-Time", "Volume-Quota-Threshold",
				"Quota-Holding-Time", "Final-Unit-Action", "Redirect-Server-Address", "Value-Digits")},
		{"errors", "3004\t1", fields("diameter.flags.error == 1 && diameter.cmd.code == 272 && diameter.Session-Id == \"e\"", "Result-Code", "flags.error")},
	} {
		if c.got != c.want {
			t.Errorf("%s:\n%q\nnot\n%q", c.filter, c.got, c.want)
		}
	}
}
