package nchf

import (
	"bytes"
	"encoding/binary"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"tandem/edge/credit"
	"tandem/edge/peertest"
)

// tap passes connections on to a server and writes down what goes by, as a file of packets: raw IPv4 with TCP.
type tap struct {
	net.Listener
	to string

	mu    sync.Mutex
	b     []byte
	conns uint16
	under sync.WaitGroup
}

func newTap(t *testing.T, to string) *tap {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &tap{Listener: l, to: to}
	for _, v := range []uint32{0xa1b2c3d4, 2 | 4<<16, 0, 0, 1 << 18, 101} {
		p.b = binary.LittleEndian.AppendUint32(p.b, v)
	}
	p.under.Go(p.accept)
	return p
}

func (p *tap) accept() {
	for {
		client, err := p.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", p.to)
		if err != nil {
			client.Close()
			return
		}
		p.conns++
		port, seq := 40000+p.conns, new([2]uint32)
		p.under.Go(func() { p.pass(client, server, port, 0, seq) })
		p.under.Go(func() { p.pass(server, client, port, 1, seq) })
	}
}

func (p *tap) pass(from, to net.Conn, port uint16, side int, seq *[2]uint32) {
	defer from.Close()
	defer to.Close()
	b := make([]byte, 16<<10)
	for {
		n, err := from.Read(b)
		if n > 0 {
			p.packet(port, side, seq, b[:n])
			to.Write(b[:n])
		}
		if err != nil {
			return
		}
	}
}

func (p *tap) packet(port uint16, side int, seq *[2]uint32, m []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	ports := [2]uint16{port, 8080}
	k := []byte{0x45, 0}
	k = binary.BigEndian.AppendUint16(k, uint16(40+len(m)))
	k = append(k, 0, 0, 0, 0, 64, 6, 0, 0, 10, 0, 0, byte(1+side), 10, 0, 0, byte(2-side))
	k = binary.BigEndian.AppendUint16(k, ports[side])
	k = binary.BigEndian.AppendUint16(k, ports[1-side])
	k = binary.BigEndian.AppendUint32(k, seq[side])
	k = binary.BigEndian.AppendUint32(k, seq[1-side])
	k = append(append(k, 0x50, 0x18, 0xff, 0xff, 0, 0, 0, 0), m...)
	seq[side] += uint32(len(m))
	for _, v := range []uint32{1790000000, 0, uint32(len(k)), uint32(len(k))} {
		p.b = binary.LittleEndian.AppendUint32(p.b, v)
	}
	p.b = append(p.b, k...)
}

// tshark reads what went by.
func (p *tap) tshark(t *testing.T, args ...string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "n.pcap")
	if err := os.WriteFile(file, p.b, 0o600); err != nil {
		t.Fatal(err)
	}
	var out, complaints bytes.Buffer
	cmd := exec.Command("tshark", append([]string{"-n", "-r", file, "-d", "tcp.port==8080,http2"}, args...)...)
	cmd.Stdout, cmd.Stderr = &out, &complaints
	if err := cmd.Run(); err != nil {
		t.Fatalf("tshark: %v %s", err, complaints.String())
	}
	return strings.TrimSpace(out.String())
}

// TestTshark lets another decoder read what our two ends and net/http say to each other.
func TestTshark(t *testing.T) {
	t.Parallel()
	peertest.Need(t, "tshark", "tshark")
	h := serve(t, Config{}, newLedger())
	p := newTap(t, h.addr)
	c, err := Dial(t.Context(), p.Addr().String(), ClientConfig{Consumer: "smf-1", Notify: "http://smf.example/cb"})
	if err != nil {
		t.Fatal(err)
	}
	for i, kind := range []credit.Kind{credit.Initial, credit.Update, credit.Update, credit.Terminate, credit.Event} {
		call := new(credit.Call)
		q := &call.Request
		q.Kind, q.Session, q.Number, q.At, q.Service = kind, []byte("s"), uint32(i+1), 1_772_000_000_000_000, credit.Data
		q.Subscribers = []credit.Subscriber{{Type: credit.IMSI, ID: []byte("001010000000001")}, {Type: credit.E164, ID: []byte("4917")}}
		u := q.AddUnit()
		u.HasGroup, u.Group, u.Asked = true, 7, kind != credit.Terminate
		u.Used = append(u.Used, credit.Used{Units: credit.Units{Has: credit.HasTotal, Total: 1<<64 - 1}, Seq: 1, Reason: credit.Exhausted})
		if credit.Do(c, call); call.Answer.Result != credit.Success {
			t.Errorf("%v: %v %s", kind, call.Answer.Result, call.Answer.Reason)
		}
	}
	other := h2(t)
	post(t, other, "http://"+p.Addr().String()+v3, createBody)
	post(t, other, "http://"+p.Addr().String()+v3, `{"broken":`)
	c.Close(t.Context())
	other.CloseIdleConnections()
	p.Close()
	p.under.Wait()
	if wrong := p.tshark(t, "-Y", "_ws.malformed || (http2 || json) && _ws.expert.severity >= 6291456", "-T", "fields", "-e", "frame.number",
		"-e", "_ws.expert.message"); wrong != "" {
		t.Errorf("tshark objects:\n%s", wrong)
	}
	var got []string
	for _, line := range strings.Fields(p.tshark(t, "-Y", "http2.headers.status", "-T", "fields", "-e", "http2.headers.status")) {
		got = append(got, strings.Split(line, ",")...)
	}
	if want := "201 200 200 204 201 201 400"; strings.Join(got, " ") != want {
		t.Errorf("tshark reads the status codes %v, not %s", got, want)
	}
	volumes := p.tshark(t, "-Y", `json.value.number == "18446744073709551615"`, "-T", "fields", "-e", "frame.number")
	if n := len(strings.Fields(volumes)); n < 5 {
		t.Errorf("tshark finds the largest volume in %d packets", n)
	}
}
