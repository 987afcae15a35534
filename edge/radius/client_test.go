package radius

import (
	"crypto/md5"
	"net"
	"testing"
	"time"
)

// A client whose one port waits for answers goes on through the others: as long as any
// identifier is free, a request is sent.
func TestARequestGoesWhereThereIsRoom(t *testing.T) {
	server, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	server.SetReadBuffer(1 << 20)
	const secret = "between a gateway and its server"
	c, err := Dial(server.LocalAddr().String(), ClientConfig{Secret: Key(secret), Ports: 2, Wait: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	deaf := c.ports[0].conn.LocalAddr().String() // its requests are not answered
	go answerOthers(server, deaf, secret)

	answered := make(chan error, 1024)
	go func() { // 256 wait at the deaf port for good, all others are answered
		for range 1024 {
			if err := c.Send(AccountingRequest, func(b []byte) []byte { return b }, func(_ Packet, err error) { answered <- err }); err != nil {
				answered <- err
			}
		}
	}()
	for n := range 1024 - 256 {
		select {
		case err := <-answered:
			if err != nil {
				t.Fatal(err)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("after %d answers no more requests are sent", n)
		}
	}
}

func answerOthers(server *net.UDPConn, deaf, secret string) {
	b := make([]byte, 4096)
	for {
		n, from, err := server.ReadFromUDP(b)
		if err != nil {
			return
		}
		if from.String() == deaf {
			continue
		}
		reply := append([]byte{byte(AccountingResponse), b[1], 0, 20}, b[4:20]...)
		sum := md5.Sum(append(reply[:20:20], secret...)) // RFC 2866 section 3
		copy(reply[4:], sum[:])
		if _, err := server.WriteToUDP(reply, from); err != nil || n < 20 {
			return
		}
	}
}
